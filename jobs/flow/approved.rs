//! An action, or a flow, that people must agree to first: what `approve` in a rule's front matter makes of its actions.

use serde_json::{Value, json};

use super::stored::{input_of, name_of};
use super::{Act, Flow, Known, RETRY, Step};
use crate::actions::{Kind, Parameter};
use crate::queue::{FLOW, NewJob};
use crate::rule::Approval;

pub(super) const fn parameter(name: &'static str, kind: Kind, doc: &'static str) -> Parameter {
    Parameter { name, kind, optional: false, doc }
}

// What both need to know to ask people, and the step that asks them.
pub(super) const ASK: Parameter = parameter("ask", Kind::Text, "What people are asked.");
pub(super) const VOTERS: Parameter = parameter("voters", Kind::Text, "The group whose members vote.");
pub(super) const QUORUM: Parameter = parameter("quorum", Kind::Number, "How many of them must agree.");
pub(super) const DEADLINE: Parameter =
    parameter("deadline_us", Kind::Number, "Microseconds after which no answer is a no.");
pub(super) const APPROVE: Step =
    Step { name: "approve", doc: "People agree.", act: Act::Approval { input: ask }, retry: RETRY, undo: None };

/// An action that people must agree to first.
pub static APPROVED_ACTION: Flow = Flow {
    name: "approved_action",
    doc: "Asks people, and does an action if they agree.",
    parameters: &[parameter("action", Kind::Text, "The action."), ASK, VOTERS, QUORUM, DEADLINE],
    steps: &[
        APPROVE,
        Step { name: "act", doc: "The action is done.", act: Act::Action { input: action }, retry: RETRY, undo: None },
    ],
};

/// A flow that people must agree to first.
pub static APPROVED_FLOW: Flow = Flow {
    name: "approved_flow",
    doc: "Asks people, and runs another flow if they agree.",
    parameters: &[parameter("flow", Kind::Text, "The flow."), ASK, VOTERS, QUORUM, DEADLINE],
    steps: &[
        APPROVE,
        Step {
            name: "run",
            doc: "The flow runs to its end.",
            act: Act::Child { input: child },
            retry: RETRY,
            undo: None,
        },
    ],
};

fn child(known: &Known<'_>) -> Result<Value, String> {
    Ok(json!({ "flow": known.text("flow")?, "input": known.input["input"] }))
}

fn ask(known: &Known<'_>) -> Result<Value, String> {
    let input = known.input;
    Ok(json!({
        "ask": known.text("ask")?, "voters": known.text("voters")?, "quorum": input["quorum"], "deadline_us": input["deadline_us"],
    }))
}

fn action(known: &Known<'_>) -> Result<Value, String> {
    Ok(json!({ "action": known.text("action")?, "arguments": known.input["arguments"] }))
}

/// The job of a rule's action, to be done once people have agreed.
pub fn approved(job: NewJob, approval: &Approval, ask: &str) -> NewJob {
    let deadline_us = i64::try_from(approval.deadline.as_micros()).unwrap_or(i64::MAX);
    let mut input = json!({
        "ask": ask, "voters": approval.group, "quorum": approval.quorum, "deadline_us": deadline_us,
    });
    let flow = match job.kind == FLOW {
        true => {
            (input["flow"], input["input"]) = (name_of(&job.arguments).into(), input_of(&job.arguments));
            APPROVED_FLOW.name
        }
        false => {
            (input["action"], input["arguments"]) = (job.kind.as_str().into(), job.arguments.clone());
            APPROVED_ACTION.name
        }
    };
    NewJob { kind: FLOW.to_owned(), arguments: json!({ "flow": flow, "input": input }), ..job }
}
