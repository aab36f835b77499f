//! What this floor needs from a higher one: small traits, filled by `serve/wire`.

use std::borrow::Cow;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde_json::Value;

use crate::error::Result;
use crate::table::{Column, Table};

/// Takes secrets and personal data out of text before it becomes durable. Asked for every text and JSON column of every
/// frame.
pub trait Redactor: Send + Sync + std::fmt::Debug {
    /// A text of no column without secrets and personal data; borrowed when there was nothing to take out.
    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str>;
    /// The same for a document, whose members stay; borrowed when there was nothing to take out.
    fn document<'a>(&self, document: &'a Value) -> Cow<'a, Value> {
        let text = match document {
            Value::Null | Value::Bool(_) => return Cow::Borrowed(document),
            Value::String(text) => Cow::Borrowed(text.as_str()),
            whole => Cow::Owned(whole.to_string()),
        };
        let clean = match self.redact(&text) {
            Cow::Borrowed(_) => return Cow::Borrowed(document),
            Cow::Owned(clean) => clean,
        };
        let nested = matches!(document, Value::Array(_) | Value::Object(_));
        let parsed = if nested { serde_json::from_str(&clean).ok() } else { None };
        Cow::Owned(parsed.unwrap_or(Value::String(clean)))
    }
    /// What treats the cells of a column; `None` leaves them as they are.
    fn column<'a>(&'a self, table: &Table, column: &Column) -> Option<Box<dyn ColumnRedactor + 'a>>;
}

/// Treats the cells of one column.
pub trait ColumnRedactor {
    /// What is stored in place of the cell; `None` where it stays. Says what was found.
    fn redact(&self, text: &str, found: &mut Vec<Finding>) -> Option<Cell>;
}

/// A cell in which something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// The rest of it.
    Text(String),
    /// Nothing is left.
    Null,
}

/// What was found in a cell, without the value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// The kind of datum.
    pub detector: Cow<'static, str>,
    /// What was done with it.
    pub action: &'static str,
}

/// Leaves everything as it is; for tests of the store itself.
#[derive(Debug, Default)]
pub struct NoRedaction;

impl Redactor for NoRedaction {
    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(text)
    }

    fn column<'a>(&'a self, _: &Table, _: &Column) -> Option<Box<dyn ColumnRedactor + 'a>> {
        None
    }
}

/// What a text is embedded for: some models read a question otherwise than what answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The text asks.
    Query,
    /// The text is to be found.
    Passage,
}

/// Turns texts into vectors of length one.
#[async_trait]
pub trait Embedder: Send + Sync + std::fmt::Debug {
    /// The model and what tells its weights apart, such as `all-MiniLM-L6-v2@53aa5117`. Vectors of different names are never
    /// compared.
    fn model(&self) -> &str;
    /// Numbers in a vector.
    fn width(&self) -> usize;
    /// Tokens of a text as the model counts them, its own marks left out.
    fn tokens(&self, text: &str) -> usize;
    /// Tokens of one text that the model reads; what is longer is cut there.
    fn tokens_max(&self) -> usize;
    /// One vector of [`Embedder::width`] a text, in their order. `Unavailable` when the model cannot answer now.
    async fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Vec<Vec<f32>>>;
}

/// Who says a message of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// Whoever sets the rules.
    System,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub speaker: Speaker,
    /// What is said.
    pub text: String,
}

/// What a model is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// Tokens that the answer may have.
    pub tokens_max: u32,
    /// Zero takes the likeliest word each time.
    pub temperature: f32,
}

/// Answers conversations, a piece at a time.
#[async_trait]
pub trait ChatModel: Send + Sync + std::fmt::Debug {
    /// The model's name, for records.
    fn model(&self) -> &str;
    /// Tokens of question and answer together.
    fn context_tokens(&self) -> usize;
    /// Tokens of a text, rather too many than too few where the model's own count is not at hand.
    fn tokens(&self, text: &str) -> usize {
        text.len().div_ceil(3)
    }
    /// The answer, as pieces of text in order. Dropping the stream ends the work.
    async fn chat(&self, request: ChatRequest) -> Result<BoxStream<'static, Result<String>>>;
}
