//! The register of actions: what a rule can do, which arguments each takes, and what happens when one is called twice.

mod settings;
mod world;

pub use settings::{Channel, Settings};
pub use world::{Outside, World};

use crate::rule::{Argument, Call};

/// What an action's argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text, or a cell of any type as text.
    Text,
    /// A whole number, or a cell that holds one.
    Number,
}

/// One argument of an action.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name, as in the job's arguments.
    pub name: &'static str,
    /// What it must be.
    pub kind: Kind,
    /// It may be left out, with all behind it.
    pub optional: bool,
    /// One sentence.
    pub doc: &'static str,
}

/// What a second call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The same again: it puts something in place.
    Natural,
    /// The other side tells calls apart by a key that we send.
    Keyed,
    /// It is seen twice.
    Once,
}

impl Effect {
    /// Its name in `job` and `effect`.
    pub fn name(self) -> &'static str {
        match self {
            Effect::Natural => "natural",
            Effect::Keyed => "keyed",
            Effect::Once => "once",
        }
    }
}

/// One action.
#[derive(Debug)]
pub struct Action {
    /// Its name in rules.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Its arguments, in order.
    pub parameters: &'static [Parameter],
    /// What a second call does.
    pub effect: Effect,
}

const fn text(name: &'static str, doc: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Text, optional: false, doc }
}

/// A message to people.
pub static NOTIFY: Action = Action {
    name: "notify",
    doc: "Sends a message to a channel: a name from the settings, whose web hook gets it as JSON with an HMAC signature.",
    parameters: &[text("channel", "Name of the channel."), text("message", "The message.")],
    effect: Effect::Once,
};

/// A call of a service.
pub static HTTP: Action = Action {
    name: "http",
    doc: "Posts the row as JSON to a URL of an allowed host, with the job's name as `Idempotency-Key`.",
    parameters: &[text("url", "Where to."), Parameter { optional: true, ..text("message", "A text beside the row.") }],
    effect: Effect::Keyed,
};

/// Several steps, one after the other.
pub static FLOW: Action = Action {
    name: crate::queue::FLOW,
    doc: "Starts a flow; the row is its input.",
    parameters: &[text("flow", "Name of the flow.")],
    effect: Effect::Natural,
};

/// Every action that a rule can name.
pub const ACTIONS: &[&Action] = &[&NOTIFY, &HTTP, &FLOW];

/// The action of a name.
pub fn action(name: &str) -> Option<&'static Action> {
    ACTIONS.iter().copied().find(|action| action.name == name)
}

impl Action {
    /// How it is written.
    pub fn signature(&self) -> String {
        let parameter = |p: &Parameter| if p.optional { format!("[{}]", p.name) } else { p.name.to_owned() };
        format!("{}({})", self.name, self.parameters.iter().map(parameter).collect::<Vec<_>>().join(", "))
    }
}

/// What is wrong with a call, where columns hold numbers if `is_number` says so.
pub fn check(call: &Call, is_number: &dyn Fn(&str) -> Option<bool>) -> Vec<String> {
    let Some(action) = action(&call.action) else {
        let known: Vec<_> = ACTIONS.iter().map(|action| action.signature()).collect();
        return vec![format!("there is no action `{}`; there are {}", call.action, known.join(", "))];
    };
    let mut faults = Vec::new();
    let least = action.parameters.iter().filter(|p| !p.optional).count();
    if call.arguments.len() < least || call.arguments.len() > action.parameters.len() {
        faults.push(format!("`{}` takes {}, not {} arguments", action.name, action.signature(), call.arguments.len()));
    }
    for column in call.columns() {
        if is_number(column).is_none() {
            faults.push(format!("`{}` names the column {column}, which the SELECT does not have", call.text));
        }
    }
    if action.name == FLOW.name {
        faults.extend(check_flow(call, is_number));
    }
    for (argument, parameter) in call.arguments.iter().zip(action.parameters) {
        let number = match argument {
            Argument::Number(_) => true,
            Argument::Text(_) => false,
            Argument::Column(name) => is_number(name).unwrap_or(true),
        };
        if parameter.kind == Kind::Number && !number {
            faults.push(format!("`{}` of `{}` is a whole number", parameter.name, action.name));
        }
    }
    faults
}

/// What is wrong with starting a flow: its name is known when the rule is, and the row must be an input of it.
fn check_flow(call: &Call, is_number: &dyn Fn(&str) -> Option<bool>) -> Vec<String> {
    let name = call.render(&serde_json::Map::new()).first().and_then(|value| value.as_str().map(str::to_owned));
    let named = name.filter(|_| call.columns().is_empty());
    let Some(flow) = named.as_deref().and_then(crate::flow::flow) else {
        let known: Vec<_> = crate::flow::FLOWS.iter().map(|flow| flow.name).collect();
        return vec![format!("`{}` names no flow; there are {}", call.text, known.join(", "))];
    };
    let missing = flow.parameters.iter().filter(|parameter| !parameter.optional && is_number(parameter.name).is_none());
    missing.map(|p| format!("the flow {} needs the column {}: {}", flow.name, p.name, p.doc)).collect()
}
