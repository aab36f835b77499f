//! Asks every engine every question in turns, has the answers judged, and makes tables of the times.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::asked::{Asked, difference};
use super::engines::{Answered, Engine};
use crate::Context;
use crate::report::{Bound, Goal, Report, Spread, figure};

/// Rounds that count, behind one that does not.
const ROUNDS: usize = 5;
/// A question that takes longer than this is asked three times only.
const SLOW_MS: f64 = 5_000.0;
const SLOW_ROUNDS: usize = 3;

/// What became of all questions.
pub struct Race {
    asked: Vec<Asked>,
    engines: Vec<&'static str>,
    /// Times by question and engine; an error says why there is none.
    times: BTreeMap<(String, &'static str), Result<Vec<f64>, String>>,
    query_ids: BTreeMap<String, Vec<String>>,
    /// Answers that were not the same.
    pub differences: Vec<String>,
}

/// Runs it. The first engine is the one that the others' answers are held against.
pub fn run(context: &Context, asked: Vec<Asked>, engines: &mut [&mut dyn Engine]) -> Race {
    let names = engines.iter().map(|engine| engine.name()).collect();
    let mut race = Race {
        asked: asked.clone(),
        engines: names,
        times: BTreeMap::new(),
        query_ids: BTreeMap::new(),
        differences: Vec::new(),
    };
    for question in &asked {
        let first = race.first(question, engines);
        let slowest = first.iter().flatten().map(|answered| answered.ms).fold(0.0, f64::max);
        let rounds = if slowest > SLOW_MS { SLOW_ROUNDS } else { ROUNDS };
        for _ in 0..rounds {
            for engine in engines.iter_mut() {
                race.again(question, &mut **engine);
            }
        }
        context.say(race.line(question));
    }
    race
}

impl Race {
    /// The round that warms up, and whose answers are judged.
    fn first(&mut self, question: &Asked, engines: &mut [&mut dyn Engine]) -> Vec<Option<Answered>> {
        let mut answers: Vec<Option<Answered>> = Vec::new();
        for engine in engines.iter_mut() {
            let (name, key) = (engine.name(), (question.name.clone(), engine.name()));
            match engine.ask(question.sql(name)) {
                Ok(answered) => {
                    self.times.insert(key, Ok(Vec::new()));
                    answers.push(Some(answered));
                }
                Err(why) => {
                    self.times.insert(key, Err(why.lines().take(3).collect::<Vec<_>>().join(" ")));
                    answers.push(None);
                }
            }
        }
        let Some(ours) = answers.first().and_then(Option::as_ref) else { return answers };
        for (name, theirs) in self.engines.iter().zip(&answers).skip(1) {
            let Some(theirs) = theirs else { continue };
            if let Some(why) = difference(&ours.rows, &theirs.rows, question.tolerance) {
                self.differences.push(format!("{}: {} against {name}: {why}", question.name, self.engines[0]));
            }
        }
        answers
    }

    fn again(&mut self, question: &Asked, engine: &mut dyn Engine) {
        let Some(Ok(times)) = self.times.get_mut(&(question.name.clone(), engine.name())) else { return };
        match engine.time(question.sql(engine.name())) {
            Ok(answered) => {
                times.push(answered.ms);
                let ids = self.query_ids.entry(question.name.clone()).or_default();
                ids.extend(answered.query_id);
            }
            Err(why) => drop(self.times.insert((question.name.clone(), engine.name()), Err(why))),
        }
    }

    fn line(&self, question: &Asked) -> String {
        let cell = |engine: &&'static str| match self.median(&question.name, engine) {
            Some(ms) => format!("{engine} {}", figure(ms)),
            None => format!("{engine} failed"),
        };
        format!("{:<24} {}", question.name, self.engines.iter().map(cell).collect::<Vec<_>>().join("  "))
    }

    /// Milliseconds of a question in an engine.
    pub fn median(&self, question: &str, engine: &'static str) -> Option<f64> {
        let times = self.times.get(&(question.to_owned(), engine))?.as_ref().ok()?;
        Spread::maybe(times).map(|spread| spread.median)
    }

    /// Why engines did not answer.
    fn refusals(&self, engine: &'static str) -> Vec<(&str, &str)> {
        let failed = self.times.iter().filter(|((_, name), _)| *name == engine);
        failed.filter_map(|((question, _), times)| Some((question.as_str(), times.as_ref().err()?.as_str()))).collect()
    }

    /// How many times as long as the peer we take: each question both answered.
    fn ratios(&self, peer: &'static str) -> Vec<f64> {
        let ours = self.engines[0];
        let ratio = |asked: &Asked| Some(self.median(&asked.name, ours)? / self.median(&asked.name, peer)?.max(1e-3));
        self.asked.iter().filter_map(ratio).collect()
    }

    /// The geometric mean of our times over a peer's.
    pub fn geomean(&self, peer: &'static str) -> Option<f64> {
        let ratios = self.ratios(peer);
        let sum: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
        (!ratios.is_empty()).then(|| (sum / ratios.len() as f64).exp())
    }

    /// The same for every peer.
    pub fn geomeans(&self) -> Value {
        self.engines[1..].iter().map(|peer| ((*peer).to_owned(), json!(self.geomean(peer)))).collect()
    }

    /// The middle of our times over a peer's.
    pub fn median_ratio(&self, peer: &'static str) -> Option<f64> {
        Spread::maybe(&self.ratios(peer)).map(|spread| spread.median)
    }

    /// Ids of the questions that counted, for a look into `query_log`.
    pub fn query_ids(&self, question: &str) -> &[String] {
        self.query_ids.get(question).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn questions(&self) -> &[Asked] {
        &self.asked
    }

    /// A table of all medians, a column more for each `more`, and what was not answered or answered otherwise.
    pub fn tables(&self, report: &mut Report, title: &str, more: &BTreeMap<String, f64>) {
        let ours = self.engines[0];
        let mut columns = vec!["question".to_owned(), format!("{ours}, ms")];
        if !more.is_empty() {
            columns.push("of that inside, ms".to_owned());
        }
        for peer in &self.engines[1..] {
            columns.extend([format!("{peer}, ms"), format!("x {peer}")]);
        }
        let shown = |ms: Option<f64>| ms.map_or_else(|| "failed".to_owned(), figure);
        let row = |asked: &Asked| {
            let mine = self.median(&asked.name, ours);
            let mut cells = vec![asked.name.clone(), shown(mine)];
            if !more.is_empty() {
                cells.push(more.get(&asked.name).map_or_else(String::new, |ms| figure(*ms)));
            }
            for peer in &self.engines[1..] {
                let theirs = self.median(&asked.name, peer);
                let ratio = mine.zip(theirs).map_or_else(String::new, |(mine, theirs)| figure(mine / theirs.max(1e-3)));
                cells.extend([shown(theirs), ratio]);
            }
            cells
        };
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        report.table(title, &names, self.asked.iter().map(row).collect());
        for engine in &self.engines {
            for (question, why) in self.refusals(engine) {
                report.note(format!("{engine} does not answer {question}: {why}"));
            }
        }
        self.differences.iter().for_each(|difference| report.note(format!("answers differ: {difference}")));
        let asks: BTreeMap<&str, &str> = self.asked.iter().map(|asked| (&*asked.name, &*asked.doc)).collect();
        report.raw("asks", json!(asks));
        report.raw("times_ms", self.raw());
    }

    /// A goal on the geometric mean against one peer.
    pub fn goal(&self, report: &mut Report, what: &str, peer: &'static str, most: f64) {
        let failed = self.refusals(self.engines[0]).len();
        let value = self.geomean(peer);
        let failures = if failed > 0 { format!(", {failed} not answered") } else { String::new() };
        report.goal(Goal {
            what,
            bound: Bound::AtMost(most),
            unit: "x",
            value,
            ours: format!("geomean of {} ratios{failures}", self.ratios(peer).len()),
            peer: peer.to_owned(),
        });
    }

    fn raw(&self) -> Value {
        let times = |question: &str| {
            let of = |engine: &&'static str| {
                let times = match self.times.get(&(question.to_owned(), *engine)) {
                    Some(Ok(times)) => json!(times),
                    Some(Err(why)) => json!(why),
                    None => Value::Null,
                };
                ((*engine).to_owned(), times)
            };
            self.engines.iter().map(of).collect::<serde_json::Map<_, _>>()
        };
        json!(self.asked.iter().map(|asked| (asked.name.clone(), times(&asked.name))).collect::<BTreeMap<_, _>>())
    }

    /// Answers that differ make the times worthless: the suite breaks, after it has said which.
    pub fn insist(&self) {
        assert!(self.differences.is_empty(), "answers differ:\n{}", self.differences.join("\n"));
    }
}
