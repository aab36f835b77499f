//! Weights from judgements: a search over the few numbers that the fusion has, held against questions that it did not see.

use super::{Fused, NUMBERS, QuestionTraits, Weights, fuse};
use crate::text::Hit;

/// A question with both its lists and what was judged.
#[derive(Debug, Clone)]
pub struct Judged {
    /// What is known of the question.
    pub question: QuestionTraits,
    /// What words found.
    pub text: Vec<Hit>,
    /// What vectors found.
    pub vector: Vec<Hit>,
    /// Passages and how well they answer.
    pub relevant: Vec<(u64, f32)>,
}

/// What came of learning.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// The weights to take: the learned ones, or those before where learning did not help.
    pub weights: Weights,
    /// nDCG@10 of the weights before, over all questions.
    pub before: f64,
    /// nDCG@10 of learned weights over questions that they were not learned from.
    pub after: f64,
    /// Whether the learned weights are taken.
    pub taken: bool,
}

/// Parts into which the questions are cut: each is judged by weights from the others.
const FOLDS: usize = 5;
/// Steps of one search.
const STEPS: usize = 400;
/// Fewer judged questions say nothing.
pub const QUESTIONS_MIN: usize = 20;
/// What learned weights must gain on unseen questions to be taken.
const GAIN_MIN: f64 = 0.002;
/// What it costs to go away from the weights before, per square of the way.
const PULL: f64 = 0.002;

/// nDCG@10 of a list of ids against judgements.
pub fn ndcg(ids: impl Iterator<Item = u64>, relevant: &[(u64, f32)], k: usize) -> f64 {
    let discount = |n: usize| 1.0 / (n as f64 + 2.0).log2();
    let gain = |id: u64| relevant.iter().find(|(other, _)| *other == id).map_or(0.0, |(_, gain)| f64::from(*gain));
    let mut gains: Vec<f64> = relevant.iter().map(|(_, gain)| f64::from(*gain)).filter(|gain| *gain > 0.0).collect();
    gains.sort_by(|a, b| b.total_cmp(a));
    let ideal: f64 = gains.iter().take(k).enumerate().map(|(n, gain)| gain * discount(n)).sum();
    if ideal == 0.0 {
        return 0.0;
    }
    ids.take(k).enumerate().map(|(n, id)| gain(id) * discount(n)).sum::<f64>() / ideal
}

/// Learns from judged questions. With too few of them nothing changes.
pub fn learn(judged: &[Judged], before: &Weights) -> Learned {
    let everything: Vec<&Judged> = judged.iter().collect();
    let score = mean(&everything, before);
    if judged.len() < QUESTIONS_MIN {
        return Learned { weights: *before, before: score, after: score, taken: false };
    }
    let mut after = 0.0;
    for fold in 0..FOLDS {
        let (unseen, seen): (Vec<_>, Vec<_>) = judged.iter().enumerate().partition(|(n, _)| n % FOLDS == fold);
        let seen: Vec<&Judged> = seen.into_iter().map(|(_, one)| one).collect();
        let unseen: Vec<&Judged> = unseen.into_iter().map(|(_, one)| one).collect();
        after += mean(&unseen, &search(&seen, before)) * unseen.len() as f64;
    }
    after /= judged.len() as f64;
    let taken = after >= score + GAIN_MIN;
    let weights = if taken { search(&everything, before) } else { *before };
    Learned { weights, before: score, after, taken }
}

/// Weights for several collections, each of which counts the same whatever its size, near to those before.
pub fn fit(collections: &[&[Judged]], before: &Weights) -> Weights {
    let collections: Vec<Vec<&Judged>> = collections.iter().map(|judged| judged.iter().collect()).collect();
    let worth = |weights: &Weights| {
        collections.iter().map(|judged| mean(judged, weights)).sum::<f64>() / collections.len().max(1) as f64
    };
    climb(worth, before)
}

fn mean(judged: &[&Judged], weights: &Weights) -> f64 {
    let total: f64 =
        judged.iter().map(|one| ndcg(ranked(one, weights).iter().map(|hit| hit.id), &one.relevant, 10)).sum();
    total / judged.len().max(1) as f64
}

fn ranked(one: &Judged, weights: &Weights) -> Vec<Fused> {
    fuse(&one.question, &one.text, &one.vector, 10, weights)
}

fn search(judged: &[&Judged], before: &Weights) -> Weights {
    climb(|weights| mean(judged, weights), before)
}

/// Goes a step in a random direction, and stays where it is better; steps grow with success and shrink without. The dice
/// are the same each time.
fn climb(worth: impl Fn(&Weights) -> f64, before: &Weights) -> Weights {
    let start = before.numbers();
    let worth = |numbers: [f32; NUMBERS]| {
        let way: f32 = numbers.iter().zip(start).map(|(a, b)| (a - b) * (a - b)).sum();
        worth(&Weights::from_numbers(numbers)) - PULL * f64::from(way)
    };
    let (mut best, mut step, mut dice) = (start, 0.5f32, 0x2545_f491_4f6c_dd1du64);
    let mut best_worth = worth(best);
    for _ in 0..STEPS {
        let tried = best.map(|number| number + step * throw(&mut dice));
        let tried_worth = worth(tried);
        if tried_worth > best_worth {
            (best, best_worth, step) = (tried, tried_worth, (step * 1.3).min(1.0));
        } else {
            step = (step * 0.985).max(0.03);
        }
    }
    Weights::from_numbers(best)
}

/// About normal: the sum of four even throws.
fn throw(dice: &mut u64) -> f32 {
    (0..4)
        .map(|_| {
            *dice ^= *dice << 13;
            *dice ^= *dice >> 7;
            *dice ^= *dice << 17;
            (*dice >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        })
        .sum::<f32>()
        * 1.7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ndcg_is_what_the_books_say() {
        let relevant = [(1, 1.0), (2, 1.0)];
        assert!((ndcg([1, 2, 3].into_iter(), &relevant, 10) - 1.0).abs() < 1e-9);
        assert!((ndcg([3, 1].into_iter(), &[(1, 1.0)], 10) - 1.0 / 3f64.log2()).abs() < 1e-9);
        assert_eq!(ndcg([3].into_iter(), &[], 10), 0.0);
    }

    /// Judgements that follow the words, or the vectors: learning finds which.
    #[test]
    fn weights_follow_the_judgements() {
        let judged = |by_text: bool| -> Vec<Judged> {
            (0..60u64)
                .map(|n| {
                    let question =
                        QuestionTraits { mass: 10.0, known: 10.0, words: 3.0, vector_unit: Some(0.12), foreign: false };
                    let spread = 0.2 + (n % 7) as f32 * 0.4;
                    let text = vec![Hit { id: 1, score: 4.0 + spread }, Hit { id: 2, score: 4.0 }];
                    let near = 0.80 + (n % 5) as f32 * 0.01;
                    let vector =
                        vec![Hit { id: 2, score: near }, Hit { id: 1, score: 0.79 }, Hit { id: 3, score: 0.7 }];
                    Judged { question, text, vector, relevant: vec![(if by_text { 1 } else { 2 }, 1.0)] }
                })
                .collect()
        };
        for by_text in [true, false] {
            let learned = learn(&judged(by_text), &Weights::default());
            let result = learned.after.max(learned.before);
            assert!(result > 0.95, "by_text {by_text}: {learned:?}");
        }
        let few = learn(&judged(true)[..5], &Weights::default());
        assert!(!few.taken);
    }
}
