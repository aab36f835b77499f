//! Answers of the REST interface: every documented or captured one of a resource that we read becomes rows, and none is
//! refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use engine::Value as Cell;
use ingest::ado::answer::{number, read};
use ingest::ado::origin::Origin;
use serde_json::Value;

use super::{Tally, files};

/// Folder of an example and what it is an example of.
const READ: &[(&str, &str)] = &[
    ("core/projects", "projects"),
    ("git/repositories", "repositories"),
    ("git/refs", "refs"),
    ("git/commits", "commits"),
    ("git/pushes", "pushes"),
    ("git/pullRequests", "pullRequests"),
    ("git/pullRequestReviewers", "pullRequestReviewers"),
    ("git/pullRequestThreads", "pullRequestThreads"),
    ("policy/configurations", "policy/configurations"),
    ("policy/evaluations", "policy/evaluations"),
    ("build/builds", "builds"),
    ("build/timeline", "timeline"),
    ("pipelines/runs", "runs"),
    ("approvalsAndChecks/approvals", "approvals"),
    ("approvalsAndChecks/configurations", "checks"),
    ("environments/environments", "environments"),
    ("hooks/subscriptions", "subscriptions"),
    ("audit/auditLog", "auditlog"),
    ("release/releases", "releases"),
    ("release/deployments", "release/deployments"),
    ("release/approvals", "release/approvals"),
    ("release/manualInterventions", "manualinterventions"),
    ("serviceEndpoint/endpoints", "endpoints"),
    ("wit/workItems", "workItems"),
    ("wit/workItemRevisions", "workItemRevisions"),
    ("wit/revisions", "revisions"),
    ("wit/comments", "comments"),
    ("graph/groups", "groups"),
    ("graph/users", "users"),
    ("graph/memberships", "memberships"),
];

/// Beginnings of the names of captured answers.
const CAPTURED: &[(&str, &str)] = &[
    ("projects", "projects"),
    ("repos", "repositories"),
    ("repo", "repositories"),
    ("branches", "refs"),
    ("tags", "refs"),
    ("commits", "commits"),
    ("commit", "commits"),
    ("pr", "pullRequests"),
    ("hooks", "subscriptions"),
    ("hook", "subscriptions"),
];

/// The examples of the specification: request and answer, one a file.
pub fn examples(suite: &Path) -> Option<Tally> {
    let mut tally = Tally::default();
    let mut rows = BTreeMap::new();
    for path in files(suite, ".json") {
        let name = path.strip_prefix(suite).unwrap_or(&path).to_string_lossy().into_owned();
        let parts: Vec<&str> = name.split('/').collect();
        let Some(at) = parts.iter().position(|part| *part == "httpExamples") else { continue };
        let (Some(area), Some(folder)) = (parts.first(), parts.get(at + 1)) else { continue };
        let known = READ.iter().find(|(of, _)| of.eq_ignore_ascii_case(&format!("{area}/{folder}")));
        // A template is no work item: it has no number yet.
        let is_template = name.contains("template");
        let Some((_, kind)) =
            known.filter(|_| !is_template && parts.last().is_some_and(|file| file.starts_with("GET")))
        else {
            continue;
        };
        let example = json_of(&path);
        let body =
            example["responses"].as_object().and_then(|all| all.values().next()).map(|answer| answer["body"].clone());
        let Some(body) = body.filter(|body| body.is_object() || body.is_array()) else { continue };
        tally.case(&name, check(kind, &body, &mut rows));
    }
    tally.note = format!(", rows in {} tables", rows.len());
    Some(tally)
}

/// Captured answers, named by what they hold.
pub fn captured(suite: &Path) -> Option<Tally> {
    let mut tally = Tally::default();
    let mut rows = BTreeMap::new();
    for path in files(suite, ".json") {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let word = stem.split('_').nth(1).unwrap_or_default();
        let plain = stem.split('_').count() == 2 || stem.ends_with("_filter");
        let Some((_, kind)) = CAPTURED.iter().find(|(name, _)| *name == word && plain) else { continue };
        tally.case(&stem, check(kind, &json_of(&path), &mut rows));
    }
    tally.note = format!(", rows in {} tables", rows.len());
    Some(tally)
}

fn json_of(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("the answer is readable");
    serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap_or(Value::Null)
}

/// No resource is refused, and each that names itself is a row.
fn check(kind: &str, body: &Value, rows: &mut BTreeMap<&'static str, usize>) -> Result<(), String> {
    let origin = Origin {
        tenant: "acme".to_owned(),
        organization: "fabrikam".to_owned(),
        project_id: Some("p".to_owned()),
        project: Some("P".to_owned()),
        version: Some(1),
    };
    // What the address of the answer would say.
    let given: Vec<(&'static str, Cell)> = match kind {
        "refs" | "commits" => vec![("repository_id", "r".into())],
        "pullRequestReviewers" | "pullRequestThreads" => {
            vec![("repository_id", "r".into()), ("pull_request_id", number("1"))]
        }
        "timeline" => vec![("build_id", number("1"))],
        "comments" => vec![("work_item_id", number("1"))],
        _ => vec![],
    };
    let (batches, count, reasons) = read(kind, body, &origin, &given).ok_or_else(|| format!("{kind} is not read"))?;
    if let Some(reason) = reasons.first() {
        return Err(format!("{} of {count} refused: {reason}", reasons.len()));
    }
    let found: usize = batches.iter().map(|batch| batch.rows.num_rows()).sum();
    batches.iter().for_each(|batch| *rows.entry(batch.table.name).or_default() += batch.rows.num_rows());
    // An answer of a push or a work item may leave out what names it: `fields=System.Title`.
    let partial = kind == "pushes" || kind == "workItems" || kind == "revisions" || kind == "workItemRevisions";
    if found < count && !partial { Err(format!("{found} rows of {count} resources")) } else { Ok(()) }
}
