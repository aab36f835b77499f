//! An exemption from a check of a scorecard for which people are asked: who wants it does not vote, one no is a no, and so is
//! no answer until the deadline.

use std::sync::Arc;

use engine::{Error, Kind, Result, State as Database};
use serde_json::{Value, json};

use super::approved::{APPROVE, ASK, DEADLINE, QUORUM, VOTERS, parameter};
use super::hands::Call;
use super::{Act, Flow, Known, RETRY, Step};
use crate::actions::{Effect, Kind as Type};
use crate::score::{Exemptions, Request};

/// An exemption that people must agree to.
pub static SCORE_EXEMPTION: Flow = Flow {
    name: "score_exemption",
    doc: "Asks people whether somebody need not pass a check of a scorecard for a while; the exemption has the flow's id.",
    parameters: &[
        parameter("scorecard", Type::Text, "The scorecard."),
        parameter("check", Type::Text, "The check."),
        parameter("tenant", Type::Text, "Whose the entity is."),
        parameter("entity", Type::Text, "Who need not pass."),
        parameter("reason", Type::Text, "Why."),
        parameter("days", Type::Number, "For how many days from the decision on."),
        ASK,
        VOTERS,
        QUORUM,
        DEADLINE,
    ],
    steps: &[
        Step {
            name: "request",
            doc: "The exemption is asked for, and holds nothing.",
            act: Act::Call { effect: Effect::Natural, input },
            retry: RETRY,
            undo: Some(nothing),
        },
        APPROVE,
        Step {
            name: "grant",
            doc: "It holds from now on for its days.",
            act: Act::Call { effect: Effect::Natural, input: nothing },
            retry: RETRY,
            undo: None,
        },
    ],
};

fn input(known: &Known<'_>) -> std::result::Result<Value, String> {
    Ok(known.input.clone())
}

/// Which one is meant says the flow itself.
fn nothing(_: &Known<'_>) -> std::result::Result<Value, String> {
    Ok(json!({}))
}

/// Does a step, or undoes it: then people said no, and that is what is written.
pub(super) async fn act(state: &Arc<Database>, call: &Call) -> Result<(String, Value)> {
    let exemptions = Exemptions::new(Arc::clone(state));
    let target = format!("exemption {}", call.job);
    match (call.step.as_str(), call.undo) {
        ("request", false) => {
            let request = wanted(state, call).await?;
            exemptions.ask(&call.job, &request, call.began_us).await?;
        }
        ("request", true) => {
            let by = voters(state, &call.job, false).await?;
            let by = if by.is_empty() { "nobody in time".to_owned() } else { by };
            match exemptions.settle(&call.job, false, &by, call.began_us).await {
                // It was refused before it was asked for.
                Err(error) if error.kind() == Kind::NotFound => {}
                settled => drop(settled?),
            }
        }
        ("grant", false) => {
            let by = voters(state, &call.job, true).await?;
            exemptions.settle(&call.job, true, &by, call.began_us).await?;
        }
        (step, _) => return Err(Error::invalid(format!("the flow {} has no step {step} of this kind", call.flow))),
    }
    Ok((target, json!({ "exemption": call.job })))
}

/// What is asked for, by whoever started the flow.
async fn wanted(state: &Database, call: &Call) -> Result<Request> {
    let rows = state.fetch("SELECT requester FROM job WHERE id = $1", &[call.job.as_str().into()]).await?;
    let requester = rows.first().map(|row| row.get::<Option<String>>("requester")).transpose()?.flatten();
    let gone = || Error::new(Kind::NotFound, format!("the flow {} is gone, or nobody wants it", call.job));
    let text = |name: &str| call.input[name].as_str().unwrap_or_default().to_owned();
    Ok(Request {
        scorecard: text("scorecard"),
        check: text("check"),
        key: (text("tenant"), text("entity")),
        reason: text("reason"),
        requester: requester.ok_or_else(gone)?,
        days: call.input["days"].as_i64().unwrap_or(0),
    })
}

/// Who agreed to the flow's last question, or did not.
async fn voters(state: &Database, job: &str, yes: bool) -> Result<String> {
    let sql = "SELECT voter FROM vote WHERE yes = $2 AND approval = \
               (SELECT id FROM approval WHERE job = $1 ORDER BY round DESC LIMIT 1) ORDER BY voter";
    let rows = state.fetch(sql, &[job.into(), yes.into()]).await?;
    let names: Vec<String> = rows.iter().map(|row| row.get("voter")).collect::<Result<_>>()?;
    Ok(names.join(", "))
}
