//! What one commit left, as the scoring reads it: the ids and lengths of every text in memory, the German vocabulary when it
//! is asked for.

use std::collections::HashMap;
use std::sync::OnceLock;

use engine::{Error, Result};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, Searcher, TERMINATED, Term};

use super::compound::Compounds;
use super::score::{Concept, append};
use super::words::Tongue;

/// The fields of the index.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    /// The passage's number.
    pub id: Field,
    /// Terms that count.
    pub length: Field,
    /// The language, as [`tongue_number`].
    pub tongue: Field,
    /// Terms with their places.
    pub words: Field,
    /// German words as written, for the compounds.
    pub surface: Field,
}

/// How a language is stored.
pub fn tongue_number(tongue: Tongue) -> u64 {
    match tongue {
        Tongue::Other => 0,
        Tongue::English => 1,
        Tongue::German => 2,
    }
}

/// One commit.
pub struct Snapshot {
    /// Its readers.
    pub searcher: Searcher,
    fields: Fields,
    /// The number of each segment's first text.
    bases: Vec<u32>,
    /// By the text's number; texts that are gone keep their place.
    pub ids: Vec<u64>,
    /// By the text's number.
    pub lengths: Vec<f32>,
    /// Over what is alive.
    pub length_average: f32,
    /// Texts that are not gone.
    pub alive: usize,
    /// Texts by [`tongue_number`].
    pub tongues: [usize; 3],
    compounds: OnceLock<Compounds>,
}

fn failed(cause: impl std::fmt::Display) -> Error {
    Error::unavailable("read the text index", std::io::Error::other(cause.to_string()))
}

impl Snapshot {
    /// Reads what every question needs.
    pub fn read(searcher: Searcher, fields: Fields) -> Result<Self> {
        let (mut bases, mut ids, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        let (mut alive, mut total, mut tongues) = (0usize, 0u64, [0usize; 3]);
        for segment in searcher.segment_readers() {
            bases.push(u32::try_from(ids.len()).map_err(failed)?);
            let columns = segment.fast_fields();
            let column = |name: &str| columns.u64(name).map(|column| column.first_or_default_col(0)).map_err(failed);
            let (id, length, tongue) = (column("id")?, column("length")?, column("tongue")?);
            for doc in 0..segment.max_doc() {
                let words = length.get_val(doc);
                ids.push(id.get_val(doc));
                lengths.push(words as f32);
                if !segment.is_deleted(doc) {
                    alive += 1;
                    total += words;
                    tongues[(tongue.get_val(doc) as usize).min(2)] += 1;
                }
            }
        }
        let length_average = if alive == 0 { 0.0 } else { (total as f64 / alive as f64) as f32 };
        Ok(Self { searcher, fields, bases, ids, lengths, length_average, alive, tongues, compounds: OnceLock::new() })
    }

    /// Every text that holds the concept, in order, and how often.
    pub fn gather(&self, concept: &Concept, docs: &mut Vec<u32>, counts: &mut Vec<u32>) -> Result<()> {
        docs.clear();
        counts.clear();
        let terms = concept.words.iter().map(|word| (self.fields.words, word));
        let terms: Vec<_> = terms.chain(concept.compounds.iter().map(|word| (self.fields.surface, word))).collect();
        for (segment, base) in self.searcher.segment_readers().iter().zip(&self.bases) {
            let start = docs.len();
            for (field, word) in &terms {
                append(segment, *base, *field, word, docs, counts)?;
            }
            if terms.len() > 1 {
                merge(start, docs, counts);
            }
        }
        Ok(())
    }

    /// Texts that hold the words side by side, by number.
    pub fn holding_phrase(&self, words: &[(usize, String)]) -> Result<roaring::RoaringBitmap> {
        let mut found = roaring::RoaringBitmap::new();
        for (segment, base) in self.searcher.segment_readers().iter().zip(&self.bases) {
            self.phrase_in(segment, *base, words, &mut found)?;
        }
        Ok(found)
    }

    fn phrase_in(
        &self,
        segment: &tantivy::SegmentReader,
        base: u32,
        words: &[(usize, String)],
        found: &mut roaring::RoaringBitmap,
    ) -> Result<()> {
        use tantivy::postings::Postings;
        let inverted = segment.inverted_index(self.fields.words).map_err(failed)?;
        let mut lists = Vec::with_capacity(words.len());
        for (offset, word) in words {
            let term = Term::from_field_text(self.fields.words, word);
            let list = inverted.read_postings(&term, IndexRecordOption::WithFreqsAndPositions).map_err(failed)?;
            let Some(list) = list else { return Ok(()) };
            lists.push((*offset as u32, list));
        }
        lists.sort_by_key(|(_, list)| list.doc_freq());
        let Some(((first_offset, first), rest)) = lists.split_first_mut() else { return Ok(()) };
        let (mut starts, mut places) = (Vec::new(), Vec::new());
        while first.doc() != TERMINATED {
            let doc = first.doc();
            if !segment.is_deleted(doc) && rest.iter_mut().all(|(_, list)| seek(list, doc)) {
                first.positions(&mut starts);
                for (offset, list) in rest.iter_mut() {
                    list.positions(&mut places);
                    starts.retain(|start| {
                        (start + *offset).checked_sub(*first_offset).is_some_and(|at| places.binary_search(&at).is_ok())
                    });
                }
                if !starts.is_empty() {
                    found.insert(base + doc);
                }
            }
            first.advance();
        }
        Ok(())
    }

    /// The German vocabulary, read the first time that somebody asks in German.
    pub fn compounds(&self) -> Result<&Compounds> {
        if let Some(known) = self.compounds.get() {
            return Ok(known);
        }
        let mut words: HashMap<String, u32> = HashMap::new();
        for segment in self.searcher.segment_readers() {
            let inverted = segment.inverted_index(self.fields.surface).map_err(failed)?;
            let mut terms = inverted.terms().stream().map_err(failed)?;
            while let Some((word, info)) = terms.next() {
                let Ok(word) = std::str::from_utf8(word) else { continue };
                let count = match segment.alive_bitset() {
                    None => info.doc_freq,
                    Some(alive) => inverted
                        .read_postings_from_terminfo(info, IndexRecordOption::Basic)
                        .map_err(failed)?
                        .doc_freq_given_deletes(alive),
                };
                if count > 0 {
                    *words.entry(word.to_owned()).or_insert(0) += count;
                }
            }
        }
        Ok(self.compounds.get_or_init(|| Compounds::new(words)))
    }
}

fn seek(list: &mut tantivy::postings::SegmentPostings, doc: u32) -> bool {
    if list.doc() < doc {
        list.seek(doc);
    }
    list.doc() == doc
}

/// Texts that several terms named become one, with their counts added.
fn merge(start: usize, docs: &mut Vec<u32>, counts: &mut Vec<u32>) {
    let mut pairs: Vec<(u32, u32)> = docs.drain(start..).zip(counts.drain(start..)).collect();
    pairs.sort_unstable();
    for (doc, count) in pairs {
        if docs.len() > start && docs.last() == Some(&doc) {
            if let Some(last) = counts.last_mut() {
                *last += count;
            }
        } else {
            docs.push(doc);
            counts.push(count);
        }
    }
}
