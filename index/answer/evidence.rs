//! Whether what was found can answer the question at all. Two signs are looked at: how much of what the question asks for
//! stands in the passages, and how near the best of them is in meaning. Either is enough; where both are weak, the honest
//! answer is that it is not in the sources.

use super::retriever::Passage;
use super::words::{Bag, Word};

/// Passages that are looked at.
const PASSAGES: usize = 5;
/// Share of the question's words that must stand in one passage, or a little more in several. Measured over the first five
/// passages by BM25: of questions whose document was among them, 0.55 keeps 90 % (xquad-de), 93 % (anthropic-codebase) and 98
/// to 100 % (five collections of manuals); of questions put to a collection about something else it refuses 74 to 100 %,
/// but only 21 to 66 % of those of three or four words (cosqa).
const COVERAGE_MIN: f32 = 0.55;
/// What several passages together count beside the best one alone.
const TOGETHER: f32 = 0.3;
/// Nearness from which on meaning alone is enough, by model: cosines of different models are different things.
const NEARNESS_MIN: &[(&str, f32)] = &[("all-minilm", 0.55), ("e5", 0.86)];
/// For models that were not measured.
const NEARNESS_MIN_UNKNOWN: f32 = 0.8;

/// What speaks for an answer.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Evidence {
    /// Share of the question's words that the passages hold, 0 to 1.
    pub coverage: f32,
    /// The nearest passage's cosine, where meanings were compared.
    pub nearness: Option<f32>,
    /// Whether it is enough.
    pub is_enough: bool,
}

/// Weighs the passages for a question of these words.
pub fn weigh(question: &[Word], passages: &[Passage], model: Option<&str>) -> Evidence {
    let bags: Vec<Bag> = passages.iter().take(PASSAGES).map(bag).collect();
    let best = bags.iter().map(|bag| bag.share(question)).fold(0.0, f32::max);
    let (mut there, mut total) = (0.0, 0.0);
    for word in question {
        total += word.weight;
        there += if bags.iter().any(|bag| bag.has(word)) { word.weight } else { 0.0 };
    }
    let together = if total > 0.0 { there / total } else { 0.0 };
    let coverage = (1.0 - TOGETHER) * best + TOGETHER * together;
    let nearness = passages.iter().take(PASSAGES).filter_map(|passage| passage.similarity).reduce(f32::max);
    let near = nearness.is_some_and(|nearness| nearness >= nearness_min(model.unwrap_or_default()));
    // A question that is nothing but small words cannot be judged by them.
    let is_enough = !passages.is_empty() && (near || !question.is_empty() && coverage >= COVERAGE_MIN);
    Evidence { coverage, nearness, is_enough }
}

fn nearness_min(model: &str) -> f32 {
    let model = model.to_lowercase();
    NEARNESS_MIN.iter().find(|(name, _)| model.contains(name)).map_or(NEARNESS_MIN_UNKNOWN, |(_, min)| *min)
}

/// The words of a passage, with those that say where it stands.
pub fn bag(passage: &Passage) -> Bag {
    Bag::of(&format!("{}\n{}\n{}", passage.title, passage.heading, passage.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::words::content;

    fn passage(text: &str, similarity: Option<f32>) -> Passage {
        Passage { text: text.to_owned(), similarity, ..Passage::default() }
    }

    #[test]
    fn words_or_nearness_are_enough_and_neither_is_not() {
        let question = content("How long are backups of the ledger kept?");
        let kept = "Backups of the ledger are kept for 30 days.";
        for (passages, model, expected) in [
            (vec![passage(kept, None)], None, true),
            (vec![passage("Restarting a pod.", None)], None, false),
            (vec![passage("Restarting a pod.", Some(0.2)), passage("Datenhaltung", Some(0.9))], Some("e5-small"), true),
            (vec![passage("Datenhaltung", Some(0.82))], Some("multilingual-e5-small@x"), false),
            (vec![passage("Datenhaltung", Some(0.82))], Some("all-MiniLM-L6-v2@x"), true),
            (vec![], None, false),
        ] {
            let evidence = weigh(&question, &passages, model);
            assert_eq!(evidence.is_enough, expected, "{evidence:?} of {passages:?}");
        }
        assert!(!weigh(&[], &[passage(kept, None)], None).is_enough);
    }
}
