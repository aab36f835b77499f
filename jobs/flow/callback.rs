//! Somebody else does something and says when it is done: a service is called with the flow's id, and the flow waits for its
//! answer, `POST /flows/{id}/signals/answered`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Act, Flow, Known, RETRY, Step};
use crate::actions::{HTTP, Kind, Parameter};

/// Longest that an answer is waited for.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(7 * 86_400);
/// The signal that brings the answer.
pub const ANSWERED: &str = "answered";

/// A call whose answer comes later.
pub static CALLBACK: Flow = Flow {
    name: "callback",
    doc: "Calls a service of an allowed host with this flow's id, and waits until it sends the signal `answered`, a week at most.",
    parameters: &[
        Parameter {
            name: "url",
            kind: Kind::Text,
            optional: false,
            doc: "Where to; its host is among those of the settings.",
        },
        Parameter { name: "text", kind: Kind::Text, optional: true, doc: "A text for the service." },
    ],
    steps: &[
        Step {
            name: "call",
            doc: "The service is called.",
            act: Act::Action { input: call },
            retry: RETRY,
            undo: None,
        },
        Step {
            name: "answer",
            doc: "The service has answered.",
            act: Act::Signal { name: ANSWERED, deadline: Some(ANSWER_TIME_MAX) },
            retry: RETRY,
            undo: None,
        },
    ],
};

fn call(known: &Known<'_>) -> Result<Value, String> {
    let answer = format!("/flows/{}/signals/{ANSWERED}", known.job);
    Ok(json!({
        "action": HTTP.name,
        "arguments": {
            "with": { "url": known.text("url")? }, "flow": known.job, "answer": answer, "text": known.input["text"],
            "input": known.input,
        },
    }))
}
