//! One answer of the REST interface as rows, by what it is a list of. What an address says and a resource does not (the
//! repository of a ref) is given beside it.

use engine::{Batch, Value as Cell};
use serde_json::Value;

use super::cells::{int, path};
use super::live::code::thread;
use super::live::pipeline::record;
use super::origin::{Origin, Told};
use super::shape::Shape;
use super::work_item::Telling;
use super::*;
use crate::json::Reason;

/// Cells that the address of the answer holds.
pub type Given<'g> = &'g [(&'static str, Cell)];

type Write = fn(&Origin, &Value, Given<'_>, &[Value], &mut Told) -> Result<(), Reason>;

/// What can be read, the member of a list's answer, and how. The words are those of the interface's own addresses.
const KINDS: &[(&str, &str, Write)] = &[
    ("projects", "value", |o, v, g, _, t| shaped(&PROJECT_SHAPE, o, v, g, t)),
    ("repositories", "value", |o, v, g, _, t| shaped(&REPOSITORY, o, v.get("repository").unwrap_or(v), g, t)),
    ("refs", "value", |o, v, g, _, t| shaped(&REF, o, v, g, t)),
    ("commits", "value", |o, v, g, _, t| shaped(&COMMIT, o, v, g, t)),
    ("pushes", "value", |o, v, _, _, t| push::write(o, v, t.rows(&ADO_PUSH))),
    ("pullRequests", "value", |o, v, _, _, t| route::pull(o, v, t)),
    ("pullRequestReviewers", "value", |o, v, g, _, t| shaped(&PULL_REQUEST_VOTE, o, v, g, t)),
    ("pullRequestThreads", "value", |o, v, g, _, t| {
        let of = |name: &str| g.iter().find(|(column, _)| *column == name).map_or(Cell::Null, |(_, cell)| cell.clone());
        thread(o, v, &[("repository_id", of("repository_id")), ("pull_request_id", of("pull_request_id"))], t)
    }),
    ("policy/configurations", "value", |o, v, g, _, t| shaped(&POLICY_CONFIGURATION, o, v, g, t)),
    ("policy/evaluations", "value", |o, v, g, _, t| shaped(&POLICY_EVALUATION, o, v, g, t)),
    ("builds", "value", |o, v, _, _, t| build::write(o, v, t.rows(&ADO_BUILD))),
    ("timeline", "records", |o, v, g, all, t| {
        let number = g.iter().find(|(column, _)| *column == "build_id").map(|(_, cell)| cell.clone());
        let Some(Cell::Int(number)) = number else { return Ok(()) };
        record(o, v, number, all, t)
    }),
    ("runs", "value", |o, v, _, _, t| route::write_run(o, v, t)),
    ("approvals", "value", |o, v, g, _, t| route::write_approval(o, v, g, t)),
    ("checks", "value", |o, v, g, _, t| shaped(&CHECK, o, v, g, t)),
    ("deployments", "value", |o, v, g, _, t| shaped(&ENVIRONMENT_DEPLOYMENT, o, v, g, t)),
    ("environments", "value", |o, v, g, _, t| shaped(&ENVIRONMENT, o, v, g, t)),
    ("subscriptions", "value", |o, v, g, _, t| shaped(&HOOK_SUBSCRIPTION, o, v, g, t)),
    ("auditlog", "decoratedAuditLogEntries", |o, v, g, _, t| shaped(&AUDIT_ENTRY, o, v, g, t)),
    ("releases", "value", |o, v, _, _, t| route::write_release(o, v, t)),
    ("release/deployments", "value", |o, v, g, _, t| shaped(&RELEASE_DEPLOYMENT, o, v, g, t)),
    ("release/approvals", "value", |o, v, g, _, t| shaped(&RELEASE_APPROVAL, o, v, g, t)),
    ("manualinterventions", "value", |o, v, g, _, t| shaped(&MANUAL_INTERVENTION, o, v, g, t)),
    ("endpoints", "value", |o, v, g, _, t| shaped(&SERVICE_ENDPOINT, o, v, g, t)),
    ("workItems", "value", |o, v, _, _, t| work_item::write(o, v, Telling::State, t.rows(&ADO_WORK_ITEM))),
    ("workItemRevisions", "values", |o, v, _, _, t| route::revision(o, v, Telling::State, t)),
    ("revisions", "value", |o, v, _, _, t| route::revision(o, v, Telling::State, t)),
    ("comments", "comments", |o, v, g, _, t| comment(o, v, g, t)),
    ("test/runs", "value", |o, v, g, _, t| shaped(&TEST_RUN, o, v, g, t)),
    ("test/results", "value", |o, v, g, _, t| shaped(&TEST_RESULT, o, v, g, t)),
    ("groups", "value", |o, v, g, _, t| shaped(&GROUP, o, v, g, t)),
    ("users", "value", |o, v, g, _, t| shaped(&USER, o, v, g, t)),
    ("memberships", "value", |o, v, g, _, t| shaped(&MEMBERSHIP, o, v, g, t)),
];

fn shaped(shape: &Shape, origin: &Origin, value: &Value, given: Given<'_>, told: &mut Told) -> Result<(), Reason> {
    shape.write_with(origin, value, given, told)
}

/// A comment; older versions of the interface tell its revision where newer ones tell its number.
fn comment(origin: &Origin, value: &Value, given: Given<'_>, told: &mut Told) -> Result<(), Reason> {
    let mut own = given.to_vec();
    let named = path(value, &["commentId"]).or_else(|| path(value, &["id"]));
    if let (None, Some(rev)) = (named, path(value, &["revision"]).and_then(int)) {
        own.push(("comment_id", format!("rev:{rev}").into()));
    }
    WORK_ITEM_COMMENT.write_with(origin, value, &own, told)
}

/// Rows of an answer, how many resources it has, and why some became no rows. `None` for a kind that is not read.
pub fn read(kind: &str, body: &Value, origin: &Origin, given: Given<'_>) -> Option<(Vec<Batch>, usize, Vec<Reason>)> {
    let (_, member, write) = KINDS.iter().find(|(name, _, _)| name.eq_ignore_ascii_case(kind))?;
    let inner = body.get("value").filter(|v| v.is_object()).unwrap_or(body);
    // Older versions of the interface call every list `value`.
    let listed = path(inner, &[member]).or_else(|| path(inner, &["value"]));
    let items: Vec<Value> = match (listed, inner) {
        (Some(Value::Array(items)), _) | (None, Value::Array(items)) => items.clone(),
        _ => vec![inner.clone()],
    };
    let (mut told, mut reasons) = (Told::default(), Vec::new());
    for item in &items {
        if let Err(reason) = write(origin, item, given, &items, &mut told) {
            told.abandon();
            reasons.push(reason);
        }
    }
    Some((told.finish(), items.len(), reasons))
}

/// A number of an address, as a cell.
pub fn number(word: &str) -> Cell {
    int(&Value::String(word.to_owned())).into()
}
