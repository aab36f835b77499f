//! What a flow's rows say: its steps, and what happened outside that it may wait for.

use std::collections::BTreeMap;

use serde_json::Value;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            /// Its word in the table.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }

            /// What a word of the table says.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// How a step stands.
    StepState {
        /// Its call is intended, and may have been made.
        Running = "running",
        /// It failed, and is tried again.
        Retrying = "retrying",
        /// It waits for a time, a signal, another flow or votes.
        Waiting = "waiting",
        /// Its call may have been made, and a second one would be seen: somebody must say.
        Unknown = "unknown",
        /// It is done, and never done again.
        Done = "done",
        /// It failed for good.
        Failed = "failed",
        /// The flow ended before it was done.
        Cancelled = "cancelled",
    }
}

words! {
    /// How the compensation of a step stands.
    UndoState {
        /// It is written down.
        Recorded = "recorded",
        /// Its call is intended, and may have been made.
        Running = "running",
        /// It failed, and is tried again.
        Retrying = "retrying",
        /// The step is undone.
        Done = "done",
        /// It failed for good.
        Failed = "failed",
    }
}

/// A step of a flow.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRow {
    /// Its name.
    pub name: String,
    /// Its place in the flow, from 0.
    pub place: i64,
    /// What it does.
    pub kind: String,
    /// How it stands.
    pub state: StepState,
    /// Times it was begun.
    pub attempt: i64,
    /// When it goes on: the next attempt, the end of a sleep, a deadline.
    pub run_us: Option<i64>,
    /// What it got.
    pub input: Value,
    /// What it came to.
    pub output: Option<Value>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// What undoes it.
    pub undo: Option<Value>,
    /// How that stands.
    pub undo_state: Option<UndoState>,
    /// Times that was begun.
    pub undo_attempt: i64,
    /// When it is tried again.
    pub undo_run_us: Option<i64>,
    /// Why it failed.
    pub undo_error: Option<String>,
    /// When it began.
    pub began_us: i64,
    /// When it ended.
    pub ended_us: Option<i64>,
}

/// A flow with its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its job.
    pub job: String,
    /// Names it once and for all.
    pub dedupe: String,
    /// Which time it runs.
    pub round: i64,
    /// What it was started with.
    pub input: Value,
    /// Its steps of this round, by place.
    pub steps: Vec<StepRow>,
}

impl Instance {
    /// The step of a name.
    pub fn step(&self, name: &str) -> Option<&StepRow> {
        self.steps.iter().find(|row| row.name == name)
    }

    /// Puts a step in its place.
    pub fn put(&mut self, row: StepRow) {
        match self.steps.iter().position(|known| known.name == row.name) {
            Some(at) => self.steps[at] = row,
            None => {
                self.steps.push(row);
                self.steps.sort_by_key(|row| row.place);
            }
        }
    }

    /// The key of a step's call, the same at every attempt.
    pub fn key(&self, step: &str, undo: bool) -> String {
        let mut key = format!("{}/{step}", self.dedupe);
        if self.round > 1 {
            key.push_str(&format!("@{}", self.round));
        }
        if undo {
            key.push_str("/undo");
        }
        key
    }
}

/// A signal that no step has taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it says.
    pub payload: Value,
}

/// How a child ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// It is done, and came to this.
    Done(Value),
    /// It failed or was cancelled.
    Failed(String),
}

/// What people decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub approved: bool,
    /// Who said so, and why.
    pub reason: String,
}

/// What happened outside of the flow, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Signals, oldest first.
    pub signals: Vec<Signal>,
    /// Children that ended, by step.
    pub children: BTreeMap<String, Ending>,
    /// Decided approvals, by step.
    pub decisions: BTreeMap<String, Decision>,
    /// Why the flow is to end.
    pub cancel: Option<String>,
    /// Whether it is to stand still.
    pub paused: bool,
}
