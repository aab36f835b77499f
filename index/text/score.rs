//! BM25 over the postings, a word at a time: exact counts of what is alive, exact lengths, so that a score depends on what is
//! indexed and not on the order in which it came.

use std::cell::RefCell;

use engine::{Error, Result};
use roaring::RoaringTreemap;
use tantivy::postings::BlockSegmentPostings;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{SegmentReader, Term};

use super::Hit;
use super::snapshot::Snapshot;

/// How soon a word that repeats stops to count. Measured on nine sets: 0.9 and 2.0 lose on documentation and on claims.
pub const K1: f32 = 1.2;
/// How much a long text pays for its length.
pub const B: f32 = 0.75;

/// A word of the question with everything that says the same: counted together, as if it were one word.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Concept {
    /// How much it counts beside the other words.
    pub weight: f32,
    /// Terms of the words' field.
    pub words: Vec<String>,
    /// German words of the surface field, which hold it as a part.
    pub compounds: Vec<String>,
    /// A name that is said a second time, whole: when no text holds it, nothing is missed.
    pub optional: bool,
}

/// What the scoring found out about the question.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Mass {
    /// The score that a text with every word of the question, all of them without end, would have.
    pub asked: f32,
    /// The part of it that belongs to words which some text holds.
    pub known: f32,
    /// Words that are scored, by their weights.
    pub words: f32,
}

#[derive(Default)]
struct Space {
    scores: Vec<f32>,
    docs: Vec<u32>,
    counts: Vec<u32>,
}

thread_local! {
    static SPACE: RefCell<Space> = RefCell::new(Space::default());
}

/// The best `k` texts; of equal ones, those with the smaller id.
pub fn best(
    snapshot: &Snapshot,
    concepts: &[Concept],
    k: usize,
    allowed: &dyn Fn(u32, u64) -> bool,
) -> Result<(Vec<Hit>, Mass)> {
    SPACE.with_borrow_mut(|space| {
        let mut mass = Mass::default();
        space.scores.clear();
        space.scores.resize(snapshot.ids.len(), 0.0);
        for concept in concepts {
            snapshot.gather(concept, &mut space.docs, &mut space.counts)?;
            let idf = concept.weight * idf(space.docs.len(), snapshot.alive);
            if !(concept.optional && space.docs.is_empty()) {
                mass.asked += idf;
                mass.words += concept.weight;
            }
            if !space.docs.is_empty() {
                mass.known += idf;
                add(snapshot, idf, space);
            }
        }
        Ok((top(&space.scores, &snapshot.ids, k, allowed), mass))
    })
}

/// The concepts that some text holds, each with what it weighs.
pub fn weights(snapshot: &Snapshot, concepts: Vec<Concept>) -> Result<Vec<(Concept, f32)>> {
    let (mut docs, mut counts) = (Vec::new(), Vec::new());
    let mut weighed = Vec::with_capacity(concepts.len());
    for concept in concepts {
        snapshot.gather(&concept, &mut docs, &mut counts)?;
        if !docs.is_empty() {
            let weight = concept.weight * idf(docs.len(), snapshot.alive);
            weighed.push((concept, weight));
        }
    }
    Ok(weighed)
}

fn idf(holding: usize, all: usize) -> f32 {
    (1.0 + (all as f32 - holding as f32 + 0.5) / (holding as f32 + 0.5)).ln()
}

fn add(snapshot: &Snapshot, idf: f32, space: &mut Space) {
    let base = K1 * (1.0 - B);
    let slope = K1 * B / snapshot.length_average.max(1e-9);
    for (&doc, &count) in space.docs.iter().zip(&space.counts) {
        let (doc, count) = (doc as usize, count as f32);
        space.scores[doc] += idf * count / (count + base + slope * snapshot.lengths[doc]);
    }
}

/// Texts looked at together: most groups hold none that is good enough.
const GROUP: usize = 16;

fn top(scores: &[f32], ids: &[u64], k: usize, allowed: &dyn Fn(u32, u64) -> bool) -> Vec<Hit> {
    let mut best = Best::new(k);
    for (group, chunk) in scores.chunks(GROUP).enumerate() {
        if chunk.iter().fold(0.0f32, |most, &score| if score > most { score } else { most }) < best.floor() {
            continue;
        }
        for (n, &score) in chunk.iter().enumerate() {
            let doc = group * GROUP + n;
            if score > 0.0 && best.takes(ids[doc], score) && allowed(doc as u32, ids[doc]) {
                best.put(ids[doc], score);
            }
        }
    }
    best.sorted()
}

/// The best `k` so far; of equal scores the smaller id is better.
#[derive(Debug)]
pub struct Best {
    k: usize,
    heap: std::collections::BinaryHeap<Ranked>,
}

#[derive(Debug, PartialEq)]
struct Ranked(Hit);

impl Eq for Ranked {}

impl Ord for Ranked {
    /// The worst is the greatest, so that a heap gives it first.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.0.score.total_cmp(&self.0.score).then_with(|| self.0.id.cmp(&other.0.id))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Best {
    /// Room for `k`.
    pub fn new(k: usize) -> Self {
        Self { k, heap: std::collections::BinaryHeap::with_capacity(k.min(4096) + 1) }
    }

    /// A score below this cannot enter.
    pub fn floor(&self) -> f32 {
        if self.heap.len() < self.k {
            f32::NEG_INFINITY
        } else {
            self.heap.peek().map_or(f32::INFINITY, |worst| worst.0.score)
        }
    }

    /// Whether it would enter.
    pub fn takes(&self, id: u64, score: f32) -> bool {
        if self.heap.len() < self.k {
            return self.k > 0;
        }
        self.heap.peek().is_some_and(|worst| Ranked(Hit { id, score }) < *worst)
    }

    /// Enters, and the worst goes where there is no room.
    pub fn put(&mut self, id: u64, score: f32) {
        if self.takes(id, score) {
            self.heap.push(Ranked(Hit { id, score }));
            if self.heap.len() > self.k {
                self.heap.pop();
            }
        }
    }

    /// The best first.
    pub fn sorted(self) -> Vec<Hit> {
        self.heap.into_sorted_vec().into_iter().map(|ranked| ranked.0).collect()
    }
}

/// Whether a text may be shown: by the asker's bitmap, and by the phrases that it must hold.
pub fn gate<'a>(
    allowed: Option<&'a RoaringTreemap>,
    phrases: &'a [roaring::RoaringBitmap],
) -> impl Fn(u32, u64) -> bool + 'a {
    move |doc, id| allowed.is_none_or(|set| set.contains(id)) && phrases.iter().all(|set| set.contains(doc))
}

/// Every posting of a term in one segment that is alive, appended with the segment's first number added.
pub fn append(
    segment: &SegmentReader,
    base: u32,
    field: Field,
    word: &str,
    docs: &mut Vec<u32>,
    counts: &mut Vec<u32>,
) -> Result<()> {
    let failed = |cause: String| Error::unavailable("read the text index", std::io::Error::other(cause));
    let inverted = segment.inverted_index(field).map_err(|cause| failed(cause.to_string()))?;
    let term = Term::from_field_text(field, word);
    let Some(mut blocks) =
        inverted.read_block_postings(&term, IndexRecordOption::WithFreqs).map_err(|cause| failed(cause.to_string()))?
    else {
        return Ok(());
    };
    append_blocks(&mut blocks, segment, base, docs, counts);
    Ok(())
}

fn append_blocks(
    blocks: &mut BlockSegmentPostings,
    segment: &SegmentReader,
    base: u32,
    docs: &mut Vec<u32>,
    counts: &mut Vec<u32>,
) {
    let alive = segment.alive_bitset();
    let mut left = blocks.doc_freq() as usize;
    while left > 0 && blocks.block_len() > 0 {
        let (found, found_counts) = (blocks.docs(), blocks.freqs());
        match alive {
            None => {
                docs.extend(found.iter().map(|doc| doc + base));
                counts.extend_from_slice(&found_counts[..found.len()]);
            }
            Some(alive) => {
                for (doc, count) in found.iter().zip(found_counts).filter(|(doc, _)| alive.is_alive(**doc)) {
                    docs.push(doc + base);
                    counts.push(*count);
                }
            }
        }
        left = left.saturating_sub(found.len());
        blocks.advance();
    }
}
