//! What a ranking is worth against judgements, and how sure that is.

use crate::fuse::learn::ndcg;

/// What is measured at document level, in the order in which it is shown.
pub const MEASURES: &[&str] = &[
    "ndcg@10",
    "mrr@10",
    "recall@5",
    "recall@10",
    "recall@20",
    "recall@100",
    "pass@5",
    "pass@10",
    "pass@20",
    "hit@1",
    "hit@5",
];

/// One question's value of each of [`MEASURES`].
pub fn values(ranking: &[u64], relevant: &[(u64, f32)]) -> Vec<f64> {
    let is_relevant = |id: &u64| relevant.iter().any(|(other, _)| other == id);
    let found = |k: usize| ranking.iter().take(k).filter(|id| is_relevant(id)).count() as f64;
    let recall = |k: usize| found(k) / relevant.len().max(1) as f64;
    let first = ranking.iter().take(10).position(|id| is_relevant(id));
    MEASURES
        .iter()
        .map(|measure| match *measure {
            "ndcg@10" => ndcg(ranking.iter().copied(), relevant, 10),
            "mrr@10" => first.map_or(0.0, |place| 1.0 / (place as f64 + 1.0)),
            // The share of the judged passages that is among the first k; some call it recall, some the pass rate.
            "recall@5" | "pass@5" => recall(5),
            "recall@10" | "pass@10" => recall(10),
            "recall@20" | "pass@20" => recall(20),
            "recall@100" => recall(100),
            "hit@1" => f64::from(u8::from(found(1) > 0.0)),
            _ => f64::from(u8::from(found(5) > 0.0)),
        })
        .collect()
}

/// A mean with the range in which it lies in ninety-five of a hundred samples of questions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Over all questions.
    pub mean: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Samples that are drawn.
const SAMPLES: usize = 2000;

/// The bootstrap over questions; the dice are the same each time.
pub fn bootstrap(values: &[f64]) -> Interval {
    let count = values.len();
    if count == 0 {
        return Interval { mean: 0.0, low: 0.0, high: 0.0 };
    }
    let mut dice = 0x9e37_79b9_7f4a_7c15u64;
    let mut means: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let total: f64 = (0..count)
                .map(|_| {
                    dice ^= dice << 13;
                    dice ^= dice >> 7;
                    dice ^= dice << 17;
                    values[((dice >> 33) as usize * count) >> 31]
                })
                .sum();
            total / count as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((SAMPLES - 1) as f64 * share).round() as usize];
    Interval { mean: values.iter().sum::<f64>() / count as f64, low: at(0.025), high: at(0.975) }
}

/// How much of the answer's text was found, how much of what was found is the answer, and their overlap.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SpanScore {
    /// Share of the answer that is covered.
    pub recall: f64,
    /// Share of the found text that is answer.
    pub precision: f64,
    /// What is both, of what is either.
    pub iou: f64,
}

/// Spans of an answer in one document against the found spans (`document`, start, end).
pub fn spans(found: &[(u64, usize, usize)], document: u64, answer: &[(usize, usize)]) -> SpanScore {
    let answer = union(answer.to_vec());
    let inside: Vec<(usize, usize)> =
        found.iter().filter(|span| span.0 == document).map(|span| (span.1, span.2)).collect();
    let covered = union(inside);
    let shared: usize =
        covered.iter().flat_map(|a| answer.iter().map(move |b| a.1.min(b.1).saturating_sub(a.0.max(b.0)))).sum();
    let length = |spans: &[(usize, usize)]| spans.iter().map(|span| span.1 - span.0).sum::<usize>();
    let all_found: usize = found.iter().map(|span| span.2 - span.1).sum();
    let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
    SpanScore {
        recall: share(shared, length(&answer)),
        precision: share(shared, all_found),
        iou: share(shared, all_found + length(&answer) - shared),
    }
}

fn union(mut spans: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    spans.retain(|span| span.0 < span.1);
    spans.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.0 <= last.1 => last.1 = last.1.max(span.1),
            _ => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_what_they_say() {
        let value = |measure: &str, ranking: &[u64], relevant: &[(u64, f32)]| {
            values(ranking, relevant)[MEASURES.iter().position(|other| *other == measure).expect("a measure")]
        };
        let relevant = [(7, 1.0), (9, 1.0)];
        assert_eq!(value("mrr@10", &[1, 9, 7], &relevant), 0.5);
        assert_eq!(value("pass@5", &[1, 9, 2, 3, 4, 7], &relevant), 0.5);
        assert_eq!(value("recall@10", &[1, 9, 2, 3, 4, 7], &relevant), 1.0);
        assert_eq!(value("hit@1", &[7], &relevant), 1.0);
        assert_eq!(value("hit@5", &[1, 2, 3, 4, 5, 7], &relevant), 0.0);
    }

    #[test]
    fn intervals_hold_the_mean() {
        let interval = bootstrap(&(0..200).map(|n| f64::from(n % 2)).collect::<Vec<_>>());
        assert!((interval.mean - 0.5).abs() < 1e-9);
        assert!(
            interval.low > 0.4 && interval.low < 0.48 && interval.high > 0.52 && interval.high < 0.6,
            "{interval:?}"
        );
        let same = bootstrap(&[0.25; 30]);
        assert_eq!((same.low, same.high), (0.25, 0.25));
    }

    #[test]
    fn spans_overlap() {
        let score = spans(&[(0, 0, 10), (0, 8, 20), (1, 0, 5)], 0, &[(5, 15)]);
        assert_eq!(score.recall, 1.0);
        assert!((score.precision - 10.0 / 27.0).abs() < 1e-9);
        assert!((score.iou - 10.0 / 27.0).abs() < 1e-9);
        assert_eq!(spans(&[], 0, &[(0, 3)]), SpanScore::default());
    }
}
