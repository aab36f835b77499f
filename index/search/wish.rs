//! What is asked of the index, and what it answers.

use engine::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::text::TextKind;

/// Hits of one answer.
pub const HITS_MAX: usize = 1_000;
/// Bytes of a question.
pub const QUERY_BYTES_MAX: usize = 16 << 10;

/// Which ways of searching take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Legs {
    /// Words and vectors, weighed against each other.
    #[default]
    Both,
    /// Words only.
    Text,
    /// Vectors only.
    Vector,
}

/// What a hit must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filters {
    /// Whose; a scope's own tenants are never left by it.
    pub tenant: Option<String>,
    /// Of which source: `document` …
    pub source: Option<String>,
    /// In which language.
    pub language: Option<String>,
    /// Of which kind of text.
    #[serde(with = "kind")]
    pub kind: Option<TextKind>,
    /// Under which path: what it begins with.
    pub path: Option<String>,
    /// Of which document.
    pub document: Option<String>,
}

mod kind {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::stored::{kind_name, kind_named};
    use crate::text::TextKind;

    pub fn serialize<S: Serializer>(kind: &Option<TextKind>, to: S) -> Result<S::Ok, S::Error> {
        match kind {
            Some(kind) => to.serialize_some(kind_name(*kind)),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Option<TextKind>, D::Error> {
        let name: Option<String> = Option::deserialize(from)?;
        name.map(|name| kind_named(&name).map_err(serde::de::Error::custom)).transpose()
    }
}

/// A moment to look back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Moment {
    /// Up to and with this `_seq`.
    Seq(u64),
    /// A time as SQL writes it.
    Time(String),
}

/// A question.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchWish {
    /// What is looked for; words in `"double quotes"` stand side by side.
    pub query: String,
    /// Hits wanted; 10 where it is 0.
    pub k: usize,
    /// Which ways of searching take part.
    pub legs: Legs,
    /// The question's language, where it is known.
    pub language: Option<String>,
    /// What a hit must be.
    pub filters: Filters,
    /// The answer as of then.
    pub as_of: Option<Moment>,
    /// Each hit says why it stands where it stands.
    pub explain: bool,
    /// The best hits say which parts of their text answer.
    pub parts: bool,
}

impl SearchWish {
    /// A question with the usual settings.
    pub fn new(query: &str, k: usize) -> SearchWish {
        SearchWish { query: query.to_owned(), k, ..SearchWish::default() }
    }

    /// Hits wanted.
    pub fn hits(&self) -> usize {
        if self.k == 0 { 10 } else { self.k }
    }

    /// Refuses what cannot be answered.
    pub fn check(&self) -> Result<()> {
        if self.query.trim().is_empty() {
            return Err(Error::invalid("a search needs words to look for"));
        }
        if self.query.len() > QUERY_BYTES_MAX {
            return Err(Error::invalid(format!("a question has at most {QUERY_BYTES_MAX} bytes")));
        }
        if self.k > HITS_MAX {
            return Err(Error::invalid(format!("at most {HITS_MAX} hits can be asked for")));
        }
        Ok(())
    }
}

/// One way's part in a hit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LegPart {
    /// Its rank there, from 1.
    pub rank: usize,
    /// Its score there.
    pub score: f32,
    /// The score as it is weighed: 1 is every word of the question, or as much nearness; below zero adds nothing.
    pub normalized: f32,
    /// How much this way counts for this question.
    pub weight: f32,
}

/// Why a hit stands where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// By its words.
    pub text: Option<LegPart>,
    /// By its vector.
    pub vector: Option<LegPart>,
    /// Chunks that the asker's scope and filters allowed, before anything was ranked.
    pub allowed: u64,
    /// Whether its vector was there, or only its words could find it.
    pub embedded: bool,
}

/// A part of a hit's text that answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HitPart {
    /// Where it begins in the hit's `text`, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What it is worth beside the other parts of this answer: 1 is every word of the question.
    pub worth: f32,
}

/// A chunk that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchHit {
    /// Whose it is.
    pub tenant: String,
    /// Its document.
    pub document: String,
    /// Of which source.
    pub source: String,
    /// The document's version.
    pub version: Option<i64>,
    /// Where the document lies.
    pub uri: Option<String>,
    /// The document's path.
    pub path: String,
    /// The document's title.
    pub title: String,
    /// Headings, keys or symbols that it stands under.
    pub heading: String,
    /// Where it begins in the document's text, in bytes.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// What it says.
    pub text: String,
    /// Its language.
    pub language: Option<String>,
    /// `prose`, `code`, `log` or `config`.
    pub kind: String,
    /// Place among the document's chunks.
    pub ordinal: u32,
    /// `_seq` of its row in `chunk`.
    pub seq: u64,
    /// How good it is, within this answer.
    pub score: f32,
    /// The parts of its text that answer, the best first, where they were asked for. A hit without any adds nothing.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parts: Vec<HitPart>,
    /// Why, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explained>,
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The best first.
    pub hits: Vec<SearchHit>,
    /// The newest `_seq` among the rows that the index has seen.
    pub covered_seq: u64,
    /// Whether rows of the sources wait: to be seen, or to be cut.
    pub behind: bool,
    /// The model whose vectors took part.
    pub model: Option<String>,
    /// What the asker should know: no model, chunks without a vector.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}
