//! A question's words, looked for in single sentences of what was found.

use super::score::Concept;
use super::words::{Tongue, terms};
use super::{TextKind, tongue_of};

/// Words that are looked for: the heaviest.
const WORDS_MAX: usize = 64;

/// A question's words that some text of an index holds, with what each weighs there.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Weighed {
    concepts: Vec<(Concept, f32)>,
    total: f32,
}

/// Which of a question's words a sentence holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct HeldWords(u64);

impl HeldWords {
    /// The words of both.
    #[must_use]
    pub fn with(self, other: HeldWords) -> HeldWords {
        HeldWords(self.0 | other.0)
    }
}

impl Weighed {
    pub(super) fn new(mut concepts: Vec<(Concept, f32)>) -> Self {
        concepts.sort_by(|a, b| b.1.total_cmp(&a.1));
        concepts.truncate(WORDS_MAX);
        let total = concepts.iter().map(|(_, weight)| weight).sum();
        Self { concepts, total }
    }

    /// How the sentences of a text are read.
    pub fn reader(&self, language: Option<&str>, kind: TextKind, text: &str) -> SentenceReader<'_> {
        SentenceReader { weighed: self, tongue: tongue_of(language, kind, text) }
    }

    /// The share of the question's weight that these words have.
    pub fn share(&self, held: HeldWords) -> f32 {
        let weights = self.concepts.iter().enumerate().filter(|(n, _)| held.0 & 1 << n != 0);
        if self.total > 0.0 { weights.map(|(_, (_, weight))| weight).sum::<f32>() / self.total } else { 0.0 }
    }
}

/// Reads sentences of one text.
#[derive(Debug)]
pub struct SentenceReader<'a> {
    weighed: &'a Weighed,
    tongue: Tongue,
}

impl SentenceReader<'_> {
    /// The question's words that a sentence holds.
    pub fn held(&self, sentence: &str) -> HeldWords {
        let mut held = 0;
        for term in terms(sentence, self.tongue) {
            for (n, (concept, _)) in self.weighed.concepts.iter().enumerate() {
                let holds = concept.words.contains(&term.text)
                    || (!term.surface.is_empty() && concept.compounds.contains(&term.surface));
                held |= u64::from(holds) << n;
            }
        }
        HeldWords(held)
    }
}
