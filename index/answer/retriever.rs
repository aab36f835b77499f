//! Where an answer's passages come from. The answer knows this much of search and no more, so that its rules are tested
//! over passages that a test writes down.

use async_trait::async_trait;
use engine::{Result, Scope};

/// What is wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    /// The question.
    pub question: String,
    /// Passages at most.
    pub k: usize,
    /// The question's language.
    pub language: Option<String>,
    /// Only passages of these sources: `document`, `ado_work_item` …; all without one.
    pub sources: Vec<String>,
    /// As of this place in the log or this time.
    pub as_of: Option<String>,
}

/// A passage that was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Passage {
    /// The document's id.
    pub document: String,
    /// Which of its contents.
    pub version: i64,
    /// Its tenant.
    pub tenant: String,
    /// Where it lies.
    pub uri: Option<String>,
    /// The document's title.
    pub title: String,
    /// Headings above the passage, `A > B`.
    pub heading: String,
    /// Where the passage begins in the document's text, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The passage.
    pub text: String,
    /// Its language, where it is known.
    pub language: Option<String>,
    /// How well it fits, as search says it; comparable within one answer only.
    pub score: f32,
    /// How near its meaning is to the question's (a cosine), where a model compared them.
    pub similarity: Option<f32>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retrieved {
    /// Best first.
    pub passages: Vec<Passage>,
    /// Everything up to this place in the log was searched.
    pub covered_seq: Option<u64>,
    /// The model that compared meanings; `None` where only words were compared.
    pub model: Option<String>,
}

/// Finds passages for a question, within what the scope may see.
#[async_trait]
pub trait Retriever: Send + Sync + std::fmt::Debug {
    /// The best passages.
    async fn retrieve(&self, scope: &Scope, wish: &Wish) -> Result<Retrieved>;
}
