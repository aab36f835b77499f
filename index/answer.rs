//! Questions answered from what the store holds, with the places that say it.
//!
//! The decisions are pure and have their tests beside them: whether there is evidence at all (`evidence`), the draft of
//! sentences that answer (`extract`), what a model reads (`prompt`), and what of its words may be said (`citation`). This
//! file asks in their order. A model never speaks to the reader: each sentence is checked before it leaves, and where no
//! sentence of it is supported, or no model is at hand, the draft is the answer.

pub mod citation;
pub mod evidence;
pub mod extract;
pub mod injection;
pub mod phrase;
pub mod prompt;
pub mod retriever;
pub mod searcher;
pub mod sentence;
pub mod session;
pub mod words;

use std::sync::Arc;

use engine::{ChatModel, Error, Kind, Result, Scope};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Serialize;

pub use citation::{Sentence, Support};
pub use evidence::Evidence;
pub use phrase::Language;
pub use prompt::Style;
pub use retriever::{Passage, Retrieved, Retriever, Wish};

/// Bytes of a question.
pub const QUESTION_BYTES_MAX: usize = 8_192;
/// Passages that an answer may be made from.
pub const PASSAGES_MAX: usize = 20;
/// Passages that an answer is made from where nobody says otherwise.
pub const PASSAGES: usize = 8;

/// What somebody asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The question.
    pub question: String,
    /// Passages that the answer is made from, at most.
    pub k: usize,
    /// The answer's language; the question's, where it is not said.
    pub language: Option<Language>,
    /// Only these sources.
    pub sources: Vec<String>,
    /// As of this place in the log or this time.
    pub as_of: Option<String>,
    /// Whether a model may phrase the answer.
    pub with_model: bool,
}

impl Ask {
    /// A question with the usual bounds.
    pub fn new(question: &str) -> Ask {
        let question = question.to_owned();
        Ask { question, k: PASSAGES, language: None, sources: Vec::new(), as_of: None, with_model: true }
    }
}

/// A passage that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source {
    /// Its number in the answer.
    pub n: usize,
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
    /// Headings above it.
    pub heading: String,
    /// Where it begins in the document's text, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Its language.
    pub language: Option<String>,
    /// How well it fits.
    pub score: f32,
}

/// The place that says what a sentence of the answer says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Citation {
    /// Number of its source.
    pub n: usize,
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
    /// Headings above it.
    pub heading: String,
    /// Where the quotation begins in the document's text, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The words.
    pub quote: String,
}

/// Who made the answer's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A model, checked sentence by sentence.
    Model,
    /// The sources themselves.
    Extract,
    /// There is no answer.
    None,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Whether the sources answer the question.
    pub answered: bool,
    /// The answer, with the numbers of its sources.
    pub text: String,
    /// Who made its words.
    pub mode: Mode,
    /// The model that was asked.
    pub model: Option<String>,
    /// The answer's language.
    pub language: &'static str,
    /// Its sentences, with what supports each.
    pub sentences: Vec<Sentence>,
    /// The places that say it.
    pub citations: Vec<Citation>,
    /// Every passage that was found.
    pub sources: Vec<Source>,
    /// What speaks for an answer.
    pub evidence: Evidence,
    /// Citations of the model that named no source, or one that says something else: they were removed.
    pub dropped_citations: usize,
    /// Sentences that no source supports: marked, or left out where a small model said them.
    pub unsupported_sentences: usize,
    /// Lines of sources that give orders to the model: they were withheld from it.
    pub withheld_lines: usize,
    /// Everything up to this place in the log was searched.
    pub covered_seq: Option<u64>,
    /// What a person should know: a model that failed, words of it that nothing supported.
    pub notes: Vec<String>,
}

/// A piece of an answer, in the order in which they come.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// What was found; first.
    Sources(Vec<Source>),
    /// The next words of the answer.
    Text { text: String, support: Support },
    /// A place that says what the words before it say.
    Citation(Citation),
    /// The whole answer; last.
    Done(Box<Answer>),
}

/// A model and how it is asked.
#[derive(Debug, Clone)]
pub struct Speaker {
    /// The model.
    pub model: Arc<dyn ChatModel>,
    /// How it is asked.
    pub style: Style,
}

/// Answers questions.
#[derive(Debug, Clone)]
pub struct Answerer {
    retriever: Arc<dyn Retriever>,
    speaker: Option<Speaker>,
}

impl Answerer {
    /// Over these sources, with a model or without.
    pub fn new(retriever: Arc<dyn Retriever>, speaker: Option<Speaker>) -> Answerer {
        Answerer { retriever, speaker }
    }

    /// The model, if there is one.
    pub fn model(&self) -> Option<&str> {
        self.speaker.as_ref().map(|speaker| speaker.model.model())
    }

    /// The answer, as it is made. What fails before the first piece is an error here; a model that fails later is a note,
    /// and the sources themselves are the answer. Dropping the stream ends the work.
    pub async fn answer(&self, scope: &Scope, ask: Ask) -> Result<BoxStream<'static, Result<Event>>> {
        let question = ask.question.trim();
        if question.is_empty() {
            return Err(Error::invalid("the question is empty"));
        }
        if question.len() > QUESTION_BYTES_MAX {
            return Err(Error::new(Kind::TooLarge, format!("a question may have {QUESTION_BYTES_MAX} bytes")));
        }
        if ask.k == 0 || ask.k > PASSAGES_MAX {
            return Err(Error::invalid(format!("an answer is made from 1 to {PASSAGES_MAX} passages, not {}", ask.k)));
        }
        let language = ask.language.unwrap_or_else(|| Language::of(question));
        let wish = Wish {
            question: question.to_owned(),
            k: ask.k,
            language: Some(language.code().to_owned()),
            sources: ask.sources.clone(),
            as_of: ask.as_of.clone(),
        };
        let found = self.retriever.retrieve(scope, &wish).await?;
        let speaker = self.speaker.clone().filter(|_| ask.with_model);
        let session = session::Session::new(question, language, found, speaker);
        let events = futures::stream::unfold(session, |mut session| async {
            let event = session.next().await?;
            Some((Ok(event), session))
        });
        Ok(events.boxed())
    }

    /// The whole answer at once.
    pub async fn whole(&self, scope: &Scope, ask: Ask) -> Result<Answer> {
        let mut events = self.answer(scope, ask).await?;
        while let Some(event) = events.next().await.transpose()? {
            if let Event::Done(answer) = event {
                return Ok(*answer);
            }
        }
        Err(Error::new(Kind::Internal, "the answer never ended"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
