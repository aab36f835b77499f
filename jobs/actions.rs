//! The register of actions: what a rule can do, which arguments each takes, and what happens when one is called twice.

mod decision;
mod k8s_label;
mod label;
pub mod link;
pub mod notice;
mod notify;
mod reach;
mod settings;
mod throttle;
mod ticket;
mod together;
mod world;

pub use decision::DECISION;
pub use notify::{Message, sent};
pub use reach::unknown_names;
pub use settings::{Channel, EXAMPLE as SETTINGS_EXAMPLE, Settings};
pub use together::{Bundle, ROWS_MAX as ROWS_SHOWN_MAX, bundles};
pub use world::{Inside, Outside, World};

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

/// Which rows of a run are one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together {
    /// Each row is its own.
    Never,
    /// Those that the rule's `group` puts together.
    Grouped,
    /// All of them.
    Run,
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
    /// Which rows of a run are one job.
    pub together: Together,
}

const fn text(name: &'static str, doc: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Text, optional: false, doc }
}

const fn optional(name: &'static str, doc: &'static str) -> Parameter {
    Parameter { optional: true, ..text(name, doc) }
}

const MESSAGE: &[Parameter] = &[
    text("channel", "Name of a channel or a route of the settings; a column may hold it."),
    text("message", "The message."),
    optional("title", "What stands above it; without it the rule's name."),
];

const fn message(name: &'static str, doc: &'static str) -> Action {
    Action { name, doc, parameters: MESSAGE, effect: Effect::Once, together: Together::Grouped }
}

/// A message to people.
pub static NOTIFY: Action = message(
    "notify",
    "Sends a message to a channel of any kind, or by a route such as P1 to several and later to more. Web hooks get the job's name as `webhook-id` and an HMAC signature.",
);
/// A message to a channel of Teams.
pub static TEAMS: Action = message("teams", "Sends an adaptive card to a channel of kind teams.");
/// A message to a channel of Slack.
pub static SLACK: Action = message("slack", "Sends blocks to a channel of kind slack.");
/// A mail.
pub static EMAIL: Action = message("email", "Sends a mail through a channel of kind email.");

/// A call of a service.
pub static HTTP: Action = Action {
    name: "http",
    doc: "Posts the row as JSON to a URL of an allowed host, with the job's name as `Idempotency-Key`.",
    parameters: &[text("url", "Where to."), optional("message", "A text beside the row.")],
    effect: Effect::Keyed,
    together: Together::Never,
};

/// A work item of Azure DevOps.
pub static TICKET: Action = Action {
    name: "ticket",
    doc: "Keeps one work item for as long as a row fires: created with new, brought up to date with changed, closed with resolved. A tag tells it, so that no repetition makes a second one.",
    parameters: &[
        text("project", "The project."),
        text("title", "Its title."),
        optional("text", "Its description."),
        optional("type", "Its type; without it the settings' own."),
    ],
    effect: Effect::Natural,
    together: Together::Never,
};

/// A table of decisions.
pub static MATERIALIZE: Action = Action {
    name: "materialize",
    doc: "Puts the rows that fire into the table decision, in place of those that stood there under the same name: one snapshot for another.",
    parameters: &[text("name", "Name of the decision.")],
    effect: Effect::Natural,
    together: Together::Run,
};

/// A quota put in place.
pub static THROTTLE: Action = Action {
    name: "throttle",
    doc: "Puts a quota of requests in place for a tenant, or changes the one of the same name.",
    parameters: &[
        text("tenant", "Whose requests."),
        text("rate", "How many: 5/s, 60/m, 1000/h."),
        optional("name", "Name of the quota; without it the rule's name."),
    ],
    effect: Effect::Natural,
    together: Together::Never,
};

/// A quota taken away.
pub static UNTHROTTLE: Action = Action {
    name: "unthrottle",
    doc: "Takes the quota away that `throttle` put in place; where there is none, nothing is done.",
    parameters: &[
        text("tenant", "Whose requests."),
        optional("name", "Name of the quota; without it the rule's name."),
    ],
    effect: Effect::Natural,
    together: Together::Never,
};

/// A tag of a work item.
pub static LABEL: Action = Action {
    name: "label",
    doc: "Puts a tag on a work item of Azure DevOps, or, with resolved, takes it off.",
    parameters: &[
        text("project", "The project."),
        Parameter { name: "item", kind: Kind::Number, optional: false, doc: "Number of the work item." },
        text("label", "The tag."),
    ],
    effect: Effect::Natural,
    together: Together::Never,
};

/// A label of a Kubernetes object.
pub static K8S_LABEL: Action = Action {
    name: "k8s_label",
    doc: "Puts a label on an object of a cluster of the settings, or, with resolved, takes it off.",
    parameters: &[
        text("cluster", "Name of the cluster in the settings."),
        text("resource", "Its resource: pods, deployments.apps, applications.v1alpha1.argoproj.io."),
        text("namespace", "Its namespace; empty for what belongs to the whole cluster."),
        text("name", "Its name."),
        text("label", "The label."),
        optional("value", "The label's value."),
    ],
    effect: Effect::Natural,
    together: Together::Never,
};

/// Several steps, one after the other.
pub static FLOW: Action = Action {
    name: crate::queue::FLOW,
    doc: "Starts a flow; the row is its input.",
    parameters: &[text("flow", "Name of the flow.")],
    effect: Effect::Natural,
    together: Together::Never,
};

/// Every action that a rule can name.
pub const ACTIONS: &[&Action] =
    &[&NOTIFY, &TEAMS, &SLACK, &EMAIL, &HTTP, &TICKET, &MATERIALIZE, &THROTTLE, &UNTHROTTLE, &LABEL, &K8S_LABEL, &FLOW];

/// The facts that actions write.
pub const TABLES: &[&engine::Table] = &[&DECISION];

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
