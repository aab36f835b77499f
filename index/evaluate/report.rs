//! What an evaluation found, and how it is told.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::dataset::{Collection, Question};
use super::measure::{Interval, MEASURES, SpanScore, bootstrap, spans, values};
use crate::fuse::learn::Judged;
use crate::text::Hit;

/// What ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// Words.
    Text,
    /// Vectors.
    Vector,
    /// Both.
    Fusion,
}

impl Leg {
    /// All, in the order in which they are kept.
    pub const ALL: [Leg; 3] = [Leg::Text, Leg::Vector, Leg::Fusion];

    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Leg::Text => "text",
            Leg::Vector => "vector",
            Leg::Fusion => "fusion",
        }
    }
}

/// One leg's values, a question a row.
#[derive(Debug, Clone, Default)]
pub struct LegReport {
    values: Vec<Vec<f64>>,
    /// By the parts that answer, and by whole chunks.
    spans: Vec<[SpanScore; 2]>,
    times: Vec<Duration>,
}

/// A measure over all questions.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Its name.
    pub measure: &'static str,
    /// With a leg each, where it ran.
    pub legs: Vec<(Leg, Interval)>,
}

/// What came of one collection.
#[derive(Debug)]
pub struct Report {
    /// The collection.
    pub name: String,
    /// The model of the vectors, where there are any.
    pub model: Option<String>,
    /// The model whose words place chunks within their documents, where there are any.
    pub placed_by: Option<String>,
    /// Documents and chunks that were searched, and questions that were asked.
    pub counts: (usize, usize, usize),
    /// From the folder to the first question.
    pub build_time: Duration,
    /// Every question with its lists, to learn from.
    pub judged: Vec<Judged>,
    legs: [LegReport; 3],
}

/// Of the parts that a search marks as the answer, and of whole chunks.
const SPAN_MEASURES: [&str; 6] =
    ["span_recall", "span_precision", "span_iou", "chunk_recall", "chunk_precision", "chunk_iou"];

/// Among them, how well the parts that answer cover the answer and nothing else.
const SPAN_IOU: usize = 2;

/// Places that a leg found: document, start and end.
#[derive(Debug, Clone, PartialEq)]
pub struct Spans {
    /// The parts that answer.
    pub parts: Vec<(u64, usize, usize)>,
    /// The best chunks as they are.
    pub chunks: Vec<(u64, usize, usize)>,
}

impl Report {
    /// Nothing was asked yet.
    pub fn new(collection: &Collection, model: Option<&str>, pieces: usize) -> Self {
        Self {
            name: collection.name.clone(),
            model: model.map(str::to_owned),
            placed_by: None,
            counts: (collection.documents.len(), pieces, collection.questions.len()),
            build_time: Duration::ZERO,
            judged: Vec::new(),
            legs: Default::default(),
        }
    }

    /// Takes in a question that is judged by documents.
    pub fn documents(&mut self, question: &Question, rankings: [&[Hit]; 3], times: [Duration; 3]) {
        for ((leg, ranking), time) in self.legs.iter_mut().zip(rankings).zip(times) {
            let ids: Vec<u64> = ranking.iter().map(|hit| hit.id).collect();
            leg.values.push(values(&ids, &question.relevant));
            leg.times.push(time);
        }
    }

    /// Takes in a question that is judged by spans.
    pub fn spans(&mut self, question: &Question, found: [Spans; 3], times: [Duration; 3]) {
        let document = question.relevant.first().map_or(0, |(document, _)| *document);
        for ((leg, found), time) in self.legs.iter_mut().zip(found).zip(times) {
            leg.spans.push([found.parts, found.chunks].map(|found| spans(&found, document, &question.spans)));
            leg.times.push(time);
        }
    }

    /// Whether the questions are judged by documents; else by spans of them.
    pub fn by_documents(&self) -> bool {
        !self.legs[0].values.is_empty()
    }

    /// Legs that ran.
    pub fn ran(&self) -> impl Iterator<Item = Leg> + '_ {
        Leg::ALL.into_iter().filter(|leg| self.model.is_some() || *leg == Leg::Text)
    }

    /// Every measure with its intervals.
    pub fn scores(&self) -> Vec<Scores> {
        let measures: &[&'static str] = if self.by_documents() { MEASURES } else { &SPAN_MEASURES };
        let scores = measures.iter().enumerate().map(|(n, measure)| Scores {
            measure,
            legs: self.ran().map(|leg| (leg, bootstrap(&self.column(leg, n)))).collect(),
        });
        scores.collect()
    }

    /// One measure's value for each question.
    fn column(&self, leg: Leg, measure: usize) -> Vec<f64> {
        let leg = &self.legs[leg as usize];
        if leg.values.is_empty() {
            let value = |scores: &[SpanScore; 2]| {
                let score = scores[measure / 3];
                [score.recall, score.precision, score.iou][measure % 3]
            };
            return leg.spans.iter().map(value).collect();
        }
        leg.values.iter().map(|values| values[measure]).collect()
    }

    /// The mean of one measure for a leg, where both are there.
    pub fn mean(&self, measure: &str, leg: Leg) -> Option<f64> {
        let scores = self.scores();
        let scores = scores.iter().find(|scores| scores.measure == measure)?;
        scores.legs.iter().find(|(other, _)| *other == leg).map(|(_, interval)| interval.mean)
    }

    /// How much the fusion is ahead of the better leg, question by question: by nDCG@10, or by the IoU of what answers, since a
    /// longer answer always has the better recall.
    pub fn ahead(&self) -> Option<Interval> {
        self.model.as_ref()?;
        let measure = if self.by_documents() { 0 } else { SPAN_IOU };
        let columns = Leg::ALL.map(|leg| self.column(leg, measure));
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let [text, vector, fusion] = columns;
        let best = if mean(&text) >= mean(&vector) { text } else { vector };
        Some(bootstrap(&fusion.iter().zip(&best).map(|(fused, best)| fused - best).collect::<Vec<_>>()))
    }

    /// The time that a share of the questions stayed below, for a leg.
    pub fn time(&self, leg: Leg, share: f64) -> Duration {
        let mut times = self.legs[leg as usize].times.clone();
        times.sort_unstable();
        times.get(((times.len().max(1) - 1) as f64 * share).round() as usize).copied().unwrap_or_default()
    }

    /// `{"ndcg@10": {"text": …, "vector": …, "fusion": …}, …}`, fractions of one; with the ends of the intervals, the
    /// fusion's lead, and milliseconds.
    pub fn json(&self) -> Value {
        let mut all = Map::new();
        let scores = self.scores();
        let row = |scores: &Scores, value: &dyn Fn(&Interval) -> f64| -> Value {
            scores
                .legs
                .iter()
                .map(|(leg, interval)| (leg.name().to_owned(), json!(value(interval))))
                .collect::<Map<_, _>>()
                .into()
        };
        for scores in &scores {
            all.insert(scores.measure.to_owned(), row(scores, &|interval| interval.mean));
        }
        for scores in &scores {
            all.insert(format!("{}_low", scores.measure), row(scores, &|interval| interval.low));
            all.insert(format!("{}_high", scores.measure), row(scores, &|interval| interval.high));
        }
        for (name, share) in [("latency_p50_ms", 0.5), ("latency_p99_ms", 0.99)] {
            let times = self.ran().map(|leg| (leg.name().to_owned(), json!(self.time(leg, share).as_secs_f64() * 1e3)));
            all.insert(name.to_owned(), times.collect::<Map<_, _>>().into());
        }
        if let Some(ahead) = self.ahead() {
            let lead = json!({"mean": ahead.mean, "low": ahead.low, "high": ahead.high});
            all.insert("fusion_minus_best_leg".to_owned(), lead);
        }
        let (documents, chunks, questions) = self.counts;
        all.insert("collection".to_owned(), json!(self.name));
        all.insert("model".to_owned(), json!(self.model));
        all.insert("prefixes_by".to_owned(), json!(self.placed_by));
        all.insert("counts".to_owned(), json!({"documents": documents, "chunks": chunks, "questions": questions}));
        all.insert("build_s".to_owned(), json!(self.build_time.as_secs_f64()));
        all.into()
    }
}
