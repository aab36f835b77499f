//! Asks a model for what places a chunk.

use std::sync::Arc;
use std::time::Duration;

use engine::{ChatModel, Error, Kind, Result};
use futures::{StreamExt, future};

use super::{Asked, clean, key, name_of, request, room};

/// Questions that a model gets at the same time.
pub const ASKED_TOGETHER: usize = 4;
/// Longest that a model may take for one chunk, with the pauses in which it is busy.
const TIME_MAX: Duration = Duration::from_secs(120);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// A model that places chunks.
#[derive(Debug, Clone)]
pub struct Writer {
    model: Arc<dyn ChatModel>,
    name: String,
    room: usize,
}

/// What came of one question.
#[derive(Debug)]
pub enum Written {
    /// The sentences; none where the model had nothing to say.
    Said(Option<String>),
    /// This question cannot be answered, another may be: it is too long, or against the rules of whoever serves the model.
    Refused(Error),
    /// The model cannot be reached, or does not answer.
    Failed(Error),
}

impl Writer {
    /// With this model; one that reads too little is refused.
    pub fn new(model: Arc<dyn ChatModel>) -> Result<Writer> {
        let tokens = model.context_tokens();
        let room = room(tokens).ok_or_else(|| {
            Error::invalid(format!("{tokens} tokens leave a model no room for a document beside a chunk of it"))
        })?;
        Ok(Writer { name: name_of(model.model()), model, room })
    }

    /// The name under which its sentences are kept.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells a question from every other.
    pub fn key(&self, asked: &Asked<'_>) -> String {
        key(&self.name, asked, self.room)
    }

    /// Asks about some chunks at the same time, and waits for all of them.
    pub async fn write(&self, asked: &[Asked<'_>]) -> Vec<Written> {
        future::join_all(asked.iter().map(|asked| self.write_one(asked))).await
    }

    async fn write_one(&self, asked: &Asked<'_>) -> Written {
        let said = tokio::time::timeout(TIME_MAX, self.ask(asked)).await;
        let late = || format!("the model {} spoke for more than {} s", self.model.model(), TIME_MAX.as_secs());
        match said.unwrap_or_else(|_| Err(Error::new(Kind::Unavailable, late()))) {
            Ok(said) => Written::Said(clean(&said)),
            Err(error) if matches!(error.kind(), Kind::Invalid | Kind::TooLarge) => Written::Refused(error),
            Err(error) => Written::Failed(error),
        }
    }

    async fn ask(&self, asked: &Asked<'_>) -> Result<String> {
        let mut words = self.model.chat(request(asked, self.room)).await?;
        let mut said = String::new();
        while let Some(piece) = words.next().await {
            said.push_str(&piece?);
            if said.len() > ANSWER_BYTES_MAX {
                break;
            }
        }
        Ok(said)
    }
}
