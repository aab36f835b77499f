//! Who does what steps ask for.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::{Redactor, Result, State};
use serde_json::Value;

use super::draft::{self, DRAFT_PULL_REQUEST};
use super::exemption::{self, SCORE_EXEMPTION};
use super::forge::Forges;
use crate::actions::{Effect, Settings};
use crate::given;

/// One call of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The flow.
    pub flow: &'static str,
    /// Its job.
    pub job: String,
    /// The step.
    pub step: String,
    /// Whether the step is undone.
    pub undo: bool,
    /// Whether it is an action of the register, and no matter of the flow's own hands.
    pub is_action: bool,
    /// Tells this call from others; the same at every attempt.
    pub key: String,
    /// Which attempt.
    pub attempt: i64,
    /// What it gets: the step's input, or its compensation.
    pub input: Value,
    /// What the step came to, where it is undone.
    pub output: Option<Value>,
    /// Why it is undone.
    pub reason: Option<String>,
    /// What a second call does.
    pub effect: Effect,
    /// When the step began: the same at every attempt.
    pub began_us: i64,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is done.
    Done {
        /// Whom it reached.
        target: String,
        /// What it came to.
        output: Value,
    },
    /// It failed and may be tried again.
    Failed {
        /// Why.
        error: String,
        /// When the other side wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Trying again would not help.
    Refused {
        /// Why.
        error: String,
    },
}

impl Outcome {
    /// The same without secrets and personal data: what other steps and the database get to see.
    pub fn redacted(self, redactor: &dyn Redactor) -> Self {
        let text = |text: String| match redactor.redact(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(clean) => clean,
        };
        match self {
            Outcome::Done { target, output } => {
                Outcome::Done { target: text(target), output: given::document(redactor, &output) }
            }
            Outcome::Failed { error, retry_after } => Outcome::Failed { error: text(error), retry_after },
            Outcome::Refused { error } => Outcome::Refused { error: text(error) },
        }
    }

    /// An error of ours as an outcome: what somebody must change is refused, the rest is tried again.
    pub fn of(error: &engine::Error) -> Self {
        let text = error.to_string();
        match error.kind() {
            engine::Kind::Overloaded { retry_after } => Outcome::Failed { error: text, retry_after: Some(retry_after) },
            engine::Kind::Unavailable | engine::Kind::Internal => Outcome::Failed { error: text, retry_after: None },
            _ => Outcome::Refused { error: text },
        }
    }
}

/// Does what steps ask for.
#[async_trait]
pub trait Hands: Send + Sync + std::fmt::Debug {
    /// One attempt of a call.
    async fn act(&self, call: &Call) -> Outcome;
}

/// The hands of the flows that are registered.
#[derive(Debug)]
pub struct RealHands {
    forges: Arc<Forges>,
    state: Arc<State>,
}

impl RealHands {
    /// Hands that reach as far as the settings do, and into the state database. `data` holds working copies of repositories.
    pub fn new(settings: &Settings, data: &std::path::Path, state: Arc<State>) -> Result<Self> {
        Ok(RealHands { forges: Arc::new(Forges::new(settings.repositories.clone(), data)?), state })
    }
}

#[async_trait]
impl Hands for RealHands {
    async fn act(&self, call: &Call) -> Outcome {
        let done = match call.flow {
            name if name == DRAFT_PULL_REQUEST.name => draft::act(&self.forges, call).await,
            name if name == SCORE_EXEMPTION.name => exemption::act(&self.state, call).await,
            other => Err(engine::Error::invalid(format!("the flow {other} has no hands in this program"))),
        };
        done.map_or_else(|error| Outcome::of(&error), |(target, output)| Outcome::Done { target, output })
    }
}
