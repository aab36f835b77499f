//! German compounds, told by the index's own words: `Volkszählung` is `Volk` and `Zählung` when both stand alone in what is
//! indexed. The words are taken apart when they are asked for, by the vocabulary as it is then, so that the order in which
//! texts came changes nothing.

use std::collections::HashMap;

use super::words::{Tongue, stem};

/// Letters of the shortest part: shorter ones (`den`, `man`) split words that are none.
const PART_LETTERS_MIN: usize = 4;
/// Letters of the longest word looked at.
const WORD_LETTERS_MAX: usize = 48;
/// Texts that hold the second part alone, at least.
const TAIL_TEXTS_MIN: u32 = 2;
/// What may stand between two parts.
const LINKS: [&str; 7] = ["", "s", "es", "n", "en", "e", "er"];
/// How deep a compound of compounds is taken apart.
const DEPTH_MAX: usize = 4;
/// Compounds that one question's word widens to at most.
pub const WIDENED_MAX: usize = 256;

/// The German words of an index.
#[derive(Debug, Default)]
pub struct Compounds {
    texts: HashMap<String, u32>,
    stems: HashMap<String, u32>,
    /// By the stem of a part, the compounds that hold it.
    holding: HashMap<String, Vec<String>>,
}

impl Compounds {
    /// From every word and the number of texts that hold it.
    pub fn new(words: HashMap<String, u32>) -> Self {
        let texts: HashMap<String, u32> = words.into_iter().filter(|(word, _)| is_candidate(word)).collect();
        let mut stems = HashMap::new();
        for (word, count) in &texts {
            *stems.entry(stem(word, Tongue::German)).or_insert(0) += count;
        }
        let mut whole = Self { texts, stems, holding: HashMap::new() };
        let mut holding: HashMap<String, Vec<String>> = HashMap::new();
        for word in whole.texts.keys() {
            let own = stem(word, Tongue::German);
            for part in whole.split(word) {
                let part = stem(&part, Tongue::German);
                if part != own {
                    holding.entry(part).or_default().push(word.clone());
                }
            }
        }
        for compounds in holding.values_mut() {
            compounds.sort_unstable_by(|a, b| whole.texts[b].cmp(&whole.texts[a]).then_with(|| a.cmp(b)));
            compounds.dedup();
            compounds.truncate(WIDENED_MAX);
        }
        whole.holding = holding;
        whole
    }

    /// The compounds that hold a part with this stem, the most frequent first.
    pub fn holding(&self, stem: &str) -> &[String] {
        self.holding.get(stem).map_or(&[], Vec::as_slice)
    }

    /// The parts of a lower-cased word; empty where it is none.
    pub fn split(&self, word: &str) -> Vec<String> {
        let mut parts = Vec::new();
        if is_candidate(word) {
            self.split_into(word, DEPTH_MAX, &mut parts);
        }
        parts
    }

    fn split_into(&self, word: &str, depth: usize, parts: &mut Vec<String>) -> bool {
        let Some((head, tail)) = (depth > 0).then(|| self.cut(word)).flatten() else { return false };
        for part in [head, tail] {
            if !self.split_into(&part, depth - 1, parts) {
                parts.push(part);
            }
        }
        true
    }

    /// The likeliest cut in two: both parts are words, and the more frequent the better.
    fn cut(&self, word: &str) -> Option<(String, String)> {
        let letters = word.chars().count();
        let mut best: Option<(f32, String, String)> = None;
        for (n, (at, _)) in word.char_indices().enumerate() {
            if n < PART_LETTERS_MIN || letters - n < PART_LETTERS_MIN {
                continue;
            }
            let (left, tail) = word.split_at(at);
            let tails = self.stems.get(&stem(tail, Tongue::German)).copied().unwrap_or(0);
            if tails < TAIL_TEXTS_MIN {
                continue;
            }
            for link in LINKS {
                let Some(head) = left.strip_suffix(link).filter(|head| head.chars().count() >= PART_LETTERS_MIN) else {
                    continue;
                };
                let Some(heads) = self.texts.get(head).or_else(|| self.texts.get(&format!("{head}e"))) else {
                    continue;
                };
                let cost = if link.is_empty() { 0.0 } else { 0.3 };
                let score = (1.0 + *heads as f32).ln() + (1.0 + tails as f32).ln() - cost;
                if best.as_ref().is_none_or(|(other, _, _)| score > *other) {
                    best = Some((score, head.to_owned(), tail.to_owned()));
                }
            }
        }
        best.map(|(_, head, tail)| (head, tail))
    }
}

fn is_candidate(word: &str) -> bool {
    word.len() <= WORD_LETTERS_MAX && word.chars().count() >= PART_LETTERS_MIN && word.chars().all(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[(&str, u32)]) -> Compounds {
        Compounds::new(list.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect())
    }

    #[test]
    fn compounds_are_told_by_their_parts() {
        let known = words(&[
            ("volk", 3),
            ("zählung", 2),
            ("volkszählung", 1),
            ("land", 9),
            ("meisterschaft", 4),
            ("unternehmen", 5),
            ("zeit", 30),
            ("spiel", 12),
            ("spielzeit", 2),
            ("bundesland", 2),
            ("bund", 2),
        ]);
        let table: &[(&str, &[&str])] = &[
            ("volkszählung", &["volk", "zählung"]),
            ("volkszählungen", &["volk", "zählungen"]),
            ("landesmeisterschaft", &["land", "meisterschaft"]),
            ("bundeslandmeisterschaft", &["bund", "land", "meisterschaft"]),
            ("spielzeit", &["spiel", "zeit"]),
            ("unternehmen", &[]),
            ("auto", &[]),
        ];
        for (word, parts) in table {
            assert_eq!(known.split(word), *parts, "{word}");
        }
        assert_eq!(known.holding(&stem("zeiten", Tongue::German)), ["spielzeit"]);
        assert_eq!(known.holding(&stem("zählung", Tongue::German)), ["volkszählung"]);
    }
}
