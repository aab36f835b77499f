//! The parts of what was found that answer the question: stretches of sentences which hold its words, weighed as the full text
//! weighs them, of the chunks that ranked best. A chunk is what a model reads well; what somebody wants to read, or to pay for
//! as a prompt, is a few sentences of it.

use std::ops::Range;

use crate::answer::sentence::{Form, sentences};
use crate::text::{HeldWords, TextKind, Weighed};

/// Chunks whose sentences are looked at.
pub const CHUNKS: usize = 10;
/// Bytes of a stretch, unless one sentence has more.
const STRETCH_BYTES_MAX: usize = 500;
/// Stretches of one answer.
const STRETCHES_MAX: usize = 20;
// The next three were tried out together on chroma-chunking, and trade how much of an answer is shown for how much else.
/// What the best chunk's rank is worth, in shares of all the question's words; others by their score.
const RANK_SHARE: f32 = 0.6;
/// What a thousand bytes cost, in the same.
const LENGTH_COST: f32 = 0.2;
/// Stretches worth less than this share of the best one are left out.
const BAR: f32 = 0.62;
/// Where no stretch has this share of the question's words, words do not tell where the answer stands: the texts are in
/// another language, or say it otherwise. Then whole chunks are the answer.
const TOLD_MIN: f32 = 0.25;

/// A chunk that was found, the best first.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// What it says.
    pub text: &'a str,
    /// Its language, where it is known.
    pub language: Option<&'a str>,
    /// Its kind of text.
    pub kind: TextKind,
    /// How good it is.
    pub score: f32,
}

/// A part of a chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Which chunk, counted from 0.
    pub chunk: usize,
    /// Bytes of its text.
    pub span: Range<usize>,
    /// What it is worth: 1 is every word of the question.
    pub worth: f32,
}

/// The parts that answer, the best first. No two overlap.
pub fn parts(question: &Weighed, chunks: &[Chunk<'_>]) -> Vec<Part> {
    let chunks = &chunks[..chunks.len().min(CHUNKS)];
    let best_score = chunks.iter().map(|chunk| chunk.score).fold(0.0, f32::max);
    let rank = |chunk: &Chunk<'_>| if best_score > 0.0 { chunk.score.max(0.0) / best_score } else { 0.0 };
    let mut told = 0.0f32;
    let mut found: Vec<Part> = Vec::new();
    for (n, chunk) in chunks.iter().enumerate() {
        for (span, share) in stretches(question, chunk) {
            told = told.max(share);
            let worth = share + RANK_SHARE * rank(chunk) - LENGTH_COST * span.len() as f32 / 1000.0;
            found.push(Part { chunk: n, span, worth });
        }
    }
    if told < TOLD_MIN {
        let whole = |(n, chunk): (usize, &Chunk<'_>)| Part { chunk: n, span: 0..chunk.text.len(), worth: rank(chunk) };
        found = chunks.iter().enumerate().map(whole).collect();
    }
    found.sort_by(|a, b| b.worth.total_cmp(&a.worth).then(a.span.len().cmp(&b.span.len())));
    let bar = found.first().map_or(0.0, |best| BAR * best.worth);
    let mut taken: Vec<Part> = Vec::new();
    for part in found.into_iter().take_while(|part| part.worth >= bar && part.worth > 0.0) {
        let overlaps = |other: &Part| {
            other.chunk == part.chunk && other.span.start < part.span.end && part.span.start < other.span.end
        };
        if !taken.iter().any(overlaps) {
            taken.push(part);
        }
        if taken.len() == STRETCHES_MAX {
            break;
        }
    }
    taken
}

/// Every stretch of a chunk's sentences with the share of the question's words that it holds.
fn stretches(question: &Weighed, chunk: &Chunk<'_>) -> Vec<(Range<usize>, f32)> {
    let reader = question.reader(chunk.language, chunk.kind, chunk.text);
    let sentences = sentences(chunk.text);
    let held: Vec<_> = sentences.iter().map(|sentence| reader.held(&chunk.text[sentence.span.clone()])).collect();
    let mut found = Vec::new();
    for (first, sentence) in sentences.iter().enumerate() {
        let (mut words, mut says) = (HeldWords::default(), false);
        for (n, (next, more)) in sentences.iter().zip(&held).enumerate().skip(first) {
            let span = sentence.span.start..next.span.end;
            if n > first && span.len() > STRETCH_BYTES_MAX {
                break;
            }
            words = words.with(*more);
            // A heading alone answers nothing.
            says |= next.form != Form::Heading;
            if says {
                found.push((span, question.share(words)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Passage, TextIndex};

    const KEYS: &str = "# Keys\n\nA vault holds keys. To rotate a key, make a new one first. Then the old one is revoked. \
                        Coffee is on the second floor.\n";
    const NODES: &str =
        "Drain a node before its upgrade. Nodes are replaced one by one, and a key part of it is patience.";

    fn weighed(query: &str) -> Weighed {
        let index = TextIndex::in_memory().expect("an index");
        let passage = |(body, id)| Passage {
            id,
            title: "",
            heading: "",
            prefix: "",
            body,
            language: Some("en"),
            kind: TextKind::Prose,
        };
        index.add(&[(KEYS, 1), (NODES, 2)].map(passage)).expect("added");
        index.commit().expect("committed");
        index.weigh(query, None).expect("weighed")
    }

    fn chunk(text: &str, score: f32) -> Chunk<'_> {
        Chunk { text, language: Some("en"), kind: TextKind::Prose, score }
    }

    fn said(query: &str) -> Vec<&'static str> {
        let found = parts(&weighed(query), &[chunk(KEYS, 2.0), chunk(NODES, 1.0)]);
        found.into_iter().map(|part| &[KEYS, NODES][part.chunk][part.span]).collect()
    }

    #[test]
    fn the_sentence_that_holds_the_words_is_the_answer() {
        assert_eq!(said("How do I rotate a key?"), ["To rotate a key, make a new one first."]);
        assert_eq!(said("drain a node for the upgrade"), ["Drain a node before its upgrade."]);
        // Two sentences that hold it together stand side by side.
        assert_eq!(
            said("rotate the key and revoke the old one"),
            ["To rotate a key, make a new one first. Then the old one is revoked."]
        );
    }

    #[test]
    fn where_words_tell_nothing_whole_chunks_are_the_answer() {
        let found = parts(&weighed("Kaffee"), &[chunk(KEYS, 2.0), chunk(NODES, 1.9), chunk(NODES, 0.1)]);
        let spans: Vec<_> = found.iter().map(|part| (part.chunk, part.span.clone())).collect();
        assert_eq!(spans, [(0, 0..KEYS.len()), (1, 0..NODES.len())]);
        assert!(parts(&weighed("key"), &[]).is_empty());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

        #[test]
        fn parts_are_of_their_chunks(texts in proptest::collection::vec("[a-cäK .\n#-]{0,80}", 0..5), query in "[a-cäK ]{1,12}") {
            let index = TextIndex::in_memory().expect("an index");
            for (body, id) in texts.iter().zip(0..) {
                index.add(&[Passage { id, title: "", heading: "", prefix: "", body, language: None, kind: TextKind::Prose }]).expect("added");
            }
            index.commit().expect("committed");
            let chunks: Vec<Chunk<'_>> = texts.iter().map(|text| Chunk { language: None, ..chunk(text, 1.0) }).collect();
            let found = parts(&index.weigh(&query, None).expect("weighed"), &chunks);
            for (n, part) in found.iter().enumerate() {
                proptest::prop_assert!(chunks[part.chunk].text.get(part.span.clone()).is_some());
                proptest::prop_assert!(found[n + 1..].iter().all(|other| other.chunk != part.chunk
                    || other.span.end <= part.span.start || part.span.end <= other.span.start));
            }
        }
    }
}
