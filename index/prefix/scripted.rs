//! A model that says what a test wishes, and counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use engine::{ChatModel, ChatRequest, Error, Kind, Result};
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;

/// What is said about a prompt.
type Says = Box<dyn Fn(&str) -> Result<String> + Send + Sync>;

pub struct Scripted {
    says: Says,
    fails: Mutex<Option<Kind>>,
    asked: AtomicUsize,
    context: usize,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

impl Scripted {
    /// Always the same.
    pub fn new(answer: &'static str) -> Arc<Scripted> {
        Scripted::saying(move |_| Ok(answer.to_owned()))
    }

    /// What a function makes of the prompt.
    pub fn saying(says: impl Fn(&str) -> Result<String> + Send + Sync + 'static) -> Arc<Scripted> {
        let (fails, asked) = (Mutex::default(), AtomicUsize::new(0));
        Arc::new(Scripted { says: Box::new(says), fails, asked, context: 8_192 })
    }

    /// One that reads so many tokens.
    pub fn reading(context: usize) -> Scripted {
        let says = Box::new(|_: &str| Ok(String::new()));
        Scripted { says, fails: Mutex::default(), asked: AtomicUsize::new(0), context }
    }

    /// From now on every question fails so, or none.
    pub fn fail(&self, kind: Option<Kind>) {
        *self.fails.lock() = kind;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl ChatModel for Scripted {
    fn model(&self) -> &str {
        "scripted"
    }

    fn context_tokens(&self) -> usize {
        self.context
    }

    async fn chat(&self, request: ChatRequest) -> Result<BoxStream<'static, Result<String>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(kind) = *self.fails.lock() {
            return Err(Error::new(kind, "the script says no"));
        }
        let said = (self.says)(&request.messages[1].text)?;
        Ok(futures::stream::iter(said.chars().map(|c| Ok(c.to_string())).collect::<Vec<_>>()).boxed())
    }
}
