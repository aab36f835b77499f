//! `ado_pull_request`: the last told state of every pull request.

use engine::{Column, Rows, Table, Type, Value as Cell};
use serde_json::Value;

use super::cells::{identity, int, member, path, text, time};
use super::origin::{ORGANIZATION, Origin, PROJECT, PROJECT_ID, TENANT, VERSION};
use crate::json::Reason;

/// Pull requests.
pub static ADO_PULL_REQUEST: Table = Table {
    key: &["organization", "repository_id", "pull_request_id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_pull_request",
        "The last state of every pull request that was told of; a comment tells it, too.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("repository_id", Type::Text, "Id of the repository.").required(),
            Column::new("repository", Type::Name, "Name of the repository when it was told of."),
            Column::new("pull_request_id", Type::Int, "Number of the pull request.").required(),
            Column::new("title", Type::Text, "Title."),
            Column::new("description", Type::Text, "Description."),
            Column::new("status", Type::Name, "`active`, `completed` or `abandoned`."),
            Column::new("merge_status", Type::Name, "`succeeded`, `conflicts`, `queued`, `rejectedByPolicy` …"),
            Column::new("is_draft", Type::Bool, "A draft; null if the event does not say."),
            Column::new("source_ref_name", Type::Text, "Branch with the change."),
            Column::new("target_ref_name", Type::Name, "Branch that takes it."),
            Column::new("created_by", Type::Text, "Display name of its author.").personal(),
            Column::new("created_by_unique_name", Type::Text, "Unique name of its author."),
            Column::new("creation_date", Type::Time, "When it was opened."),
            Column::new("closed_date", Type::Time, "When it was completed or abandoned."),
            Column::new("approvals", Type::Int, "Reviewers who approved, with or without suggestions."),
            Column::new("rejections", Type::Int, "Reviewers who rejected or wait for the author."),
            Column::new("last_merge_commit", Type::Text, "Commit of the last merge that was tried."),
            Column::new("last_merge_source_commit", Type::Text, "Head of the source branch then."),
            Column::new("last_merge_target_commit", Type::Text, "Head of the target branch then."),
            Column::new(
                "reviewers",
                Type::Json,
                "Reviewers with their votes: 10 approved, 5 with suggestions, 0 none, -5 waits, -10 rejected.",
            ),
            Column::new("url", Type::Text, "REST address."),
            Column::new("completed_by", Type::Text, "Display name of who completed or abandoned it."),
            VERSION,
        ],
    )
};

/// Adds the pull request's state, if the event carries it.
pub fn write(origin: &Origin, resource: &Value, rows: &mut Rows) -> Result<(), Reason> {
    let pull = member(resource, "pullRequest").unwrap_or(resource);
    let word = |names: &[&str]| path(pull, names).and_then(text);
    let (Some(id), Some(repository), Some(status)) =
        (path(pull, &["pullRequestId"]).and_then(int), word(&["repository", "id"]), word(&["status"]))
    else {
        return Ok(());
    };
    let reviewers = match member(pull, "reviewers") {
        None => &[][..],
        Some(Value::Array(reviewers)) => reviewers.as_slice(),
        Some(other) => return Err(format!("reviewers is not a list: {}", crate::json::clip(&other.to_string()))),
    };
    let votes = |counted: fn(i64) -> bool| {
        let votes = reviewers.iter().filter_map(|r| member(r, "vote").and_then(int));
        i64::try_from(votes.filter(|vote| counted(*vote)).count()).unwrap_or(i64::MAX)
    };
    let author = member(pull, "createdBy").map(identity).unwrap_or_default();
    origin.set(rows);
    rows.set("repository_id", repository)
        .set("repository", word(&["repository", "name"]))
        .set("pull_request_id", id)
        .set("title", word(&["title"]))
        .set("description", word(&["description"]))
        .set("status", status)
        .set("merge_status", word(&["mergeStatus"]))
        .set("is_draft", member(pull, "isDraft").and_then(Value::as_bool))
        .set("source_ref_name", word(&["sourceRefName"]))
        .set("target_ref_name", word(&["targetRefName"]))
        .set("created_by", author.display_name)
        .set("created_by_unique_name", author.unique_name)
        .set("creation_date", member(pull, "creationDate").and_then(time).map(Cell::Time))
        .set("closed_date", member(pull, "closedDate").and_then(time).map(Cell::Time))
        .set("approvals", votes(|vote| vote >= 5))
        .set("rejections", votes(|vote| vote <= -5))
        .set("last_merge_commit", word(&["lastMergeCommit", "commitId"]))
        .set("last_merge_source_commit", word(&["lastMergeSourceCommit", "commitId"]))
        .set("last_merge_target_commit", word(&["lastMergeTargetCommit", "commitId"]))
        .set("reviewers", member(pull, "reviewers").map(Value::to_string))
        .set("url", word(&["url"]))
        .set("completed_by", member(pull, "closedBy").map(identity).unwrap_or_default().display_name)
        .set("version", origin.version);
    rows.end_row().map_err(|e| e.to_string())
}
