//! Two lists become one, and the one is not worse than the better of them.
//!
//! The score is a weighted sum. What words found counts as a share of the weight of the whole question: words that no text
//! holds count against it, so that a German question over English texts gets next to nothing from its few names. What
//! vectors found counts by the distance to the end of their list, in the model's own unit. How much words weigh depends on
//! how sharply they decided: a list whose tenth text is nearly as good as its first (code asked for in sentences) says
//! little. The numbers were fitted on eleven collections, each left out in turn; none of them is named here.

pub mod learn;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::text::{Hit, TextFound, Tongue};

/// Hits of a leg that are weighed; the last of them is the leg's zero. Those behind follow in the order of the leg that says
/// more of them, and change nothing before them.
pub const DEPTH: usize = 100;
/// The hit against which the first is held to say how sharp a list is.
const SHARP_AT: usize = 10;

/// What is known of a question beside its hits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QuestionTraits {
    /// The score that the words of the question could reach together, those that no text holds included.
    pub mass: f32,
    /// The part of it that belongs to words which some text holds.
    pub known: f32,
    /// Words that are scored.
    pub words: f32,
    /// What one unit of the model's cosine is worth ([`ModelTraits::unit`]); without it, each list is its own measure.
    pub vector_unit: Option<f32>,
    /// The question is in a language that the model was not made for.
    pub foreign: bool,
}

impl QuestionTraits {
    /// Of a question that was put to the full text, and to the vectors of a model.
    pub fn of(found: &TextFound, model: Option<ModelTraits<'_>>) -> Self {
        Self {
            mass: found.mass.asked,
            known: found.mass.known,
            words: found.mass.words,
            vector_unit: model.and_then(|model| model.unit()),
            foreign: found.tongue == Some(Tongue::German) && model.is_some_and(|model| is_english_only(model.name)),
        }
    }
}

/// What is known of a model beside its vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelTraits<'a> {
    /// Its name.
    pub name: &'a str,
    /// How far the cosines of texts that have nothing to do with each other are spread: their standard deviation.
    pub spread: Option<f32>,
}

/// Spreads that make a unit. With the models known, a unit is between four and five times as much as theirs.
const SPREADS_PER_UNIT: f32 = 4.2;

impl ModelTraits<'_> {
    /// The cosine by which one vector must be nearer than another to count as much as a text with every word of the question:
    /// of the models known by name ([`vector_unit`]), and of others by how far they spread texts.
    pub fn unit(self) -> Option<f32> {
        vector_unit(self.name).or(self.spread.map(|spread| SPREADS_PER_UNIT * spread))
    }
}

/// Models that were made from English texts alone.
fn is_english_only(model: &str) -> bool {
    const ENGLISH: &[&str] = &["all-MiniLM", "all-mpnet", "bge-small-en", "bge-base-en", "e5-small-v2", "gte-small"];
    ENGLISH.iter().any(|name| model.contains(name))
}

/// The unit of a model that was measured with judged collections.
pub fn vector_unit(model: &str) -> Option<f32> {
    const UNITS: &[(&str, f32)] = &[("e5-", 0.12), ("all-MiniLM", 0.5), ("all-mpnet", 0.5)];
    UNITS.iter().find(|(name, _)| model.contains(name)).map(|(_, unit)| *unit)
}

/// How the weight of the words follows from the question: the logarithm of the weight is their sum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// Always.
    pub bias: f32,
    /// Times the share by which the first text is ahead of the tenth.
    pub sharp: f32,
    /// Times the share by which the first text is ahead of the second.
    pub lead: f32,
    /// Times the logarithm of the number of words.
    pub words: f32,
    /// Times the share of the question's weight that some text holds.
    pub known: f32,
    /// Where the model was not made for the question's language.
    pub foreign: f32,
}

impl Default for Weights {
    fn default() -> Self {
        Self { bias: -2.5, sharp: 1.64, lead: 0.82, words: 0.65, known: 0.35, foreign: 1.0 }
    }
}

/// Numbers that the weights are.
pub const NUMBERS: usize = 6;

/// The widest range of a weight's logarithm.
const LOG_WEIGHT: std::ops::RangeInclusive<f32> = -6.0..=4.0;

/// What a leg said of a hit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LegScore {
    /// Its place in the leg's list, from 1.
    pub rank: usize,
    /// As the leg gave it.
    pub score: f32,
    /// As the sum takes it; below zero behind the leg's [`DEPTH`], where the sum takes nothing.
    pub normalized: f32,
    /// What it is multiplied with.
    pub weight: f32,
}

/// A hit of both lists together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Fused {
    /// The passage.
    pub id: u64,
    /// The sum; below zero where neither list has it among its first [`DEPTH`].
    pub score: f32,
    /// What the words said, where they found it.
    pub text: Option<LegScore>,
    /// What the vectors said, where they found it.
    pub vector: Option<LegScore>,
}

/// How the two legs of a question are scaled and weighed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scale {
    text_floor: f32,
    text_unit: f32,
    text_weight: f32,
    vector_floor: f32,
    vector_unit: f32,
}

/// Traits of one question and its list that the weight is made of, in the order of [`Weights`]' fields.
pub fn features(question: &QuestionTraits, text: &[Hit]) -> [f32; NUMBERS] {
    let first = text.first().map_or(0.0, |hit| hit.score);
    let ahead = |of: usize| match text.get(of) {
        Some(hit) if first > 0.0 => (first - hit.score) / first,
        // A list that ends before is as sharp as can be; an empty one says nothing.
        _ => f32::from(u8::from(first > 0.0)),
    };
    let known = if question.mass > 0.0 { question.known / question.mass } else { 0.0 };
    [1.0, ahead(SHARP_AT - 1), ahead(1), question.words.max(1.0).ln(), known, f32::from(u8::from(question.foreign))]
}

fn text_floor(text: &[Hit]) -> f32 {
    text.get(DEPTH - 1).map_or(0.0, |hit| hit.score)
}

impl Weights {
    /// The weights as numbers, in the order of [`features`].
    pub fn numbers(&self) -> [f32; NUMBERS] {
        [self.bias, self.sharp, self.lead, self.words, self.known, self.foreign]
    }

    /// From numbers.
    pub fn from_numbers([bias, sharp, lead, words, known, foreign]: [f32; NUMBERS]) -> Self {
        Self { bias, sharp, lead, words, known, foreign }
    }

    fn of_text(&self, features: [f32; NUMBERS]) -> f32 {
        let log: f32 = self.numbers().iter().zip(features).map(|(weight, feature)| weight * feature).sum();
        log.clamp(*LOG_WEIGHT.start(), *LOG_WEIGHT.end()).exp()
    }

    fn scale(&self, question: &QuestionTraits, text: &[Hit], vector: &[Hit]) -> Scale {
        let first = vector.first().map_or(0.0, |hit| hit.score);
        let vector_floor = vector.get(DEPTH - 1).or(vector.last()).map_or(0.0, |hit| hit.score);
        // Without the model's own unit the list's spread stands in for it: half again as much, as with the models known.
        let vector_unit = question.vector_unit.unwrap_or((first - vector_floor) * 1.55);
        Scale {
            text_floor: text_floor(text),
            text_unit: question.mass.max(1e-6),
            text_weight: self.of_text(features(question, text)),
            vector_floor,
            vector_unit: vector_unit.max(1e-6),
        }
    }
}

/// The best `k` of two lists, each the best first. Of equal ones, the smaller id.
pub fn fuse(question: &QuestionTraits, text: &[Hit], vector: &[Hit], k: usize, weights: &Weights) -> Vec<Fused> {
    let scale = weights.scale(question, text, vector);
    let mut fused: HashMap<u64, Fused> = HashMap::with_capacity(text.len() + vector.len());
    for (n, hit) in text.iter().enumerate() {
        let normalized = (hit.score - scale.text_floor) / scale.text_unit;
        let leg = LegScore { rank: n + 1, score: hit.score, normalized, weight: scale.text_weight };
        entry(&mut fused, hit.id).text = Some(leg);
    }
    for (n, hit) in vector.iter().enumerate() {
        let normalized = (hit.score - scale.vector_floor) / scale.vector_unit;
        entry(&mut fused, hit.id).vector = Some(LegScore { rank: n + 1, score: hit.score, normalized, weight: 1.0 });
    }
    let mut fused: Vec<Fused> = fused.into_values().map(|hit| Fused { score: sum(&hit), ..hit }).collect();
    fused.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    fused.truncate(k);
    fused
}

fn entry(fused: &mut HashMap<u64, Fused>, id: u64) -> &mut Fused {
    fused.entry(id).or_insert(Fused { id, score: 0.0, text: None, vector: None })
}

/// What the legs say together. Behind both lists' ends nothing is added up: the better of the two decides.
fn sum(hit: &Fused) -> f32 {
    let parts = || hit.text.iter().chain(&hit.vector).map(|leg| leg.normalized * leg.weight);
    let above: f32 = parts().map(|part| part.max(0.0)).sum();
    let best = parts().fold(f32::NEG_INFINITY, f32::max);
    above + best.min(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hits(scores: &[(u64, f32)]) -> Vec<Hit> {
        scores.iter().map(|(id, score)| Hit { id: *id, score: *score }).collect()
    }

    fn traits(mass: f32, known: f32) -> QuestionTraits {
        QuestionTraits { mass, known, words: 4.0, vector_unit: Some(0.12), foreign: false }
    }

    fn order(fused: &[Fused]) -> Vec<u64> {
        fused.iter().map(|hit| hit.id).collect()
    }

    #[test]
    fn one_leg_alone_keeps_its_order() {
        let list = hits(&[(7, 9.0), (3, 8.0), (5, 1.0)]);
        for (text, vector) in [(list.as_slice(), [].as_slice()), (&[], &list)] {
            assert_eq!(order(&fuse(&traits(20.0, 20.0), text, vector, 10, &Weights::default())), [7, 3, 5]);
        }
        assert!(fuse(&traits(0.0, 0.0), &[], &[], 10, &Weights::default()).is_empty());
    }

    #[test]
    fn words_that_no_text_knows_weigh_little() {
        let text = hits(&[(1, 3.0), (2, 1.0)]);
        let vector = hits(&[(2, 0.90), (1, 0.86), (3, 0.80)]);
        // All of the question's weight was found: the words decide. A tenth of it: they do not.
        assert_eq!(fuse(&traits(4.0, 4.0), &text, &vector, 3, &Weights::default())[0].id, 1);
        assert_eq!(fuse(&traits(40.0, 4.0), &text, &vector, 3, &Weights::default())[0].id, 2);
    }

    #[test]
    fn a_hit_says_where_its_score_comes_from() {
        let fused =
            fuse(&traits(10.0, 10.0), &hits(&[(1, 5.0)]), &hits(&[(1, 0.9), (2, 0.8)]), 10, &Weights::default());
        let (text, vector) = (fused[0].text.expect("a text score"), fused[0].vector.expect("a vector score"));
        assert_eq!((text.rank, vector.rank), (1, 1));
        let sum = text.normalized * text.weight + vector.normalized * vector.weight;
        assert!((sum - fused[0].score).abs() < 1e-6);
        assert!(fused[1].text.is_none());
    }

    /// What stands behind a leg's end is not lost, and changes nothing before it.
    #[test]
    fn long_lists_go_on_behind_their_ends() {
        let many = |first: u64, count: u64, step: f32| -> Vec<Hit> {
            (0..count).map(|n| Hit { id: first + n, score: 0.9 - step * n as f32 }).collect()
        };
        // The lists meet in the middle: the end of the one is the beginning of the other.
        let (text, vector) = (many(0, 300, 0.001), many(150, 300, 0.0001));
        let all = fuse(&traits(5.0, 5.0), &text, &vector, usize::MAX, &Weights::default());
        assert_eq!(all.len(), 450);
        let short = fuse(&traits(5.0, 5.0), &text[..DEPTH], &vector[..DEPTH], usize::MAX, &Weights::default());
        let scores = |hits: &[Fused]| hits.iter().map(|hit| (hit.id, hit.score)).collect::<Vec<_>>();
        assert_eq!(scores(&all[..short.len()]), scores(&short));
        assert!(all[short.len()..].iter().all(|hit| hit.score < 0.0));
        for list in [&text, &vector] {
            let alone = fuse(&traits(5.0, 5.0), list, &[], usize::MAX, &Weights::default());
            assert_eq!(order(&alone), list.iter().map(|hit| hit.id).collect::<Vec<_>>());
        }
    }

    proptest! {
        /// Nothing is invented, nothing is lost, and a hit that is first in both lists stays first.
        #[test]
        fn fusion_is_of_its_lists(
            text in prop::collection::btree_map(0u64..60, 0.1f32..30.0, 0..40),
            vector in prop::collection::btree_map(0u64..60, -1.0f32..1.0, 0..40),
            mass in 0.0f32..60.0,
        ) {
            let sorted = |map: &std::collections::BTreeMap<u64, f32>| {
                let mut hits: Vec<Hit> = map.iter().map(|(id, score)| Hit { id: *id, score: *score }).collect();
                hits.sort_by(|a, b| b.score.total_cmp(&a.score));
                hits
            };
            let (text_hits, vector_hits) = (sorted(&text), sorted(&vector));
            let fused = fuse(&traits(mass, mass / 2.0), &text_hits, &vector_hits, usize::MAX, &Weights::default());
            let ids: std::collections::BTreeSet<u64> = fused.iter().map(|hit| hit.id).collect();
            let expected: std::collections::BTreeSet<u64> = text.keys().chain(vector.keys()).copied().collect();
            prop_assert_eq!(ids.len(), fused.len());
            prop_assert_eq!(ids, expected);
            if let (Some(first), Some(other)) = (text_hits.first(), vector_hits.first())
                && first.id == other.id
            {
                prop_assert_eq!(fused[0].id, first.id);
            }
            prop_assert!(fused.iter().all(|hit| hit.score.is_finite()));
        }
    }
}
