//! Flows: jobs of several steps. A step that is done is never done again, what waits is a row, and how a step is undone is
//! written down before it is done. Nothing is replayed: another program may go on with what an older one began.
//!
//! What happens next is decided by [`machine`] alone, from the rows and a clock; [`drive`] makes it durable and does it.

pub mod approved;
pub mod callback;
pub mod desk;
pub mod draft;
pub mod drive;
pub mod exemption;
pub mod forge;
pub mod hands;
pub mod machine;
pub mod rows;
pub mod stored;
pub mod trace;

use std::time::Duration;

use serde_json::Value;

use crate::actions::{Effect, Parameter};

pub use desk::{Desk, Start};
pub use hands::{Call, Hands, Outcome, RealHands};

/// Every flow.
pub const FLOWS: &[&Flow] = &[
    &draft::DRAFT_PULL_REQUEST,
    &approved::APPROVED_ACTION,
    &approved::APPROVED_FLOW,
    &callback::CALLBACK,
    &exemption::SCORE_EXEMPTION,
];

/// The flow of a name.
pub fn flow(name: &str) -> Option<&'static Flow> {
    FLOWS.iter().copied().find(|flow| flow.name == name)
}

/// A flow as it is declared.
#[derive(Debug)]
pub struct Flow {
    /// Its name.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// What it needs to know.
    pub parameters: &'static [Parameter],
    /// Its steps, in order.
    pub steps: &'static [Step],
}

/// A step as it is declared.
#[derive(Debug)]
pub struct Step {
    /// Its name within the flow.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// What is done.
    pub act: Act,
    /// How often it is tried.
    pub retry: Retry,
    /// What undoes it, if anything does: made before it is done.
    pub undo: Option<Make>,
}

/// Makes a step's input out of what is known by then; an error says what is missing, and fails the step.
pub type Make = fn(&Known<'_>) -> Result<Value, String>;

/// What a step does.
#[derive(Debug)]
pub enum Act {
    /// Something that the flow's own hands do.
    Call {
        /// What a second call does.
        effect: Effect,
        /// What it gets.
        input: Make,
    },
    /// An action of the register: `{"action": …, "arguments": …}`.
    Action {
        /// Which one, and what it gets.
        input: Make,
    },
    /// Waits for a time: `{"us": …}`, microseconds.
    Sleep {
        /// How long.
        input: Make,
    },
    /// Waits for a signal.
    Signal {
        /// Its name.
        name: &'static str,
        /// Without it by then, the step fails.
        deadline: Option<Duration>,
    },
    /// Runs another flow, and waits for its end: `{"flow": …, "input": …}`.
    Child {
        /// Which one, and what it gets.
        input: Make,
    },
    /// Asks people: `{"ask": …, "voters": …, "quorum": …, "deadline_us": …}`.
    Approval {
        /// What is asked, and whom.
        input: Make,
    },
}

impl Act {
    /// Its name in the table.
    pub fn kind(&self) -> &'static str {
        match self {
            Act::Call { .. } => "call",
            Act::Action { .. } => "action",
            Act::Sleep { .. } => "sleep",
            Act::Signal { .. } => "signal",
            Act::Child { .. } => "child",
            Act::Approval { .. } => "approval",
        }
    }

    /// What it gets.
    pub fn input(&self, known: &Known<'_>) -> Result<Value, String> {
        match self {
            Act::Call { input, .. }
            | Act::Action { input }
            | Act::Sleep { input }
            | Act::Child { input }
            | Act::Approval { input } => input(known),
            Act::Signal { name, deadline } => {
                let deadline_us = deadline.map(|time| i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
                Ok(serde_json::json!({ "signal": name, "deadline_us": deadline_us }))
            }
        }
    }

    /// What a second call of it does; `None` where nothing is called.
    pub fn effect(&self, input: &Value) -> Option<Effect> {
        match self {
            Act::Call { effect, .. } => Some(*effect),
            Act::Action { .. } => {
                let action = input["action"].as_str().and_then(crate::actions::action);
                Some(action.map_or(Effect::Once, |action| action.effect))
            }
            _ => None,
        }
    }
}

/// How often a step is tried. A time that the other side asks for wins over ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all; one in which the process ended counts.
    pub attempts: i64,
    /// The longest first pause; it doubles.
    pub first: Duration,
    /// The longest pause of all.
    pub longest: Duration,
}

/// What most steps do: eight attempts over some minutes.
pub const RETRY: Retry = Retry { attempts: 8, first: Duration::from_secs(1), longest: Duration::from_secs(300) };

/// What is known when a step begins.
#[derive(Debug)]
pub struct Known<'a> {
    /// The flow's job.
    pub job: &'a str,
    /// Names the flow once and for all.
    pub dedupe: &'a str,
    /// Which time it runs.
    pub round: i64,
    /// What the flow was started with.
    pub input: &'a Value,
    /// The steps before this one.
    pub steps: &'a [rows::StepRow],
}

impl Known<'_> {
    /// What a step before came to; null where it came to nothing.
    pub fn output(&self, step: &str) -> &Value {
        let row = self.steps.iter().find(|row| row.name == step);
        row.and_then(|row| row.output.as_ref()).unwrap_or(&Value::Null)
    }

    /// A text of the flow's input.
    pub fn text(&self, name: &str) -> Result<&str, String> {
        match &self.input[name] {
            Value::String(text) if !text.is_empty() => Ok(text),
            Value::Null => Err(format!("the flow's input has no {name}")),
            Value::String(_) => Err(format!("{name} of the flow's input is empty")),
            _ => Err(format!("{name} of the flow's input is no text")),
        }
    }
}

impl Flow {
    /// What is wrong with an input.
    pub fn check(&self, input: &Value) -> Vec<String> {
        use crate::actions::Kind;
        let Some(given) = input.as_object() else {
            return vec![format!("the input of the flow {} is a JSON object", self.name)];
        };
        let mut faults = Vec::new();
        for parameter in self.parameters {
            match given.get(parameter.name) {
                None | Some(Value::Null) if parameter.optional => {}
                None | Some(Value::Null) => {
                    faults.push(format!("the flow {} needs {}: {}", self.name, parameter.name, parameter.doc));
                }
                Some(Value::String(_)) if parameter.kind == Kind::Text => {}
                Some(value) if parameter.kind == Kind::Number && value.is_i64() => {}
                Some(_) => {
                    let wanted = if parameter.kind == Kind::Number { "a whole number" } else { "a text" };
                    faults.push(format!("{} of the flow {} is {wanted}", parameter.name, self.name));
                }
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests;
