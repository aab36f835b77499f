//! `ado_build`: builds and pipeline runs. A YAML pipeline's run is a build of the same number.

use engine::{Column, Rows, Table, Type, Value as Cell};
use serde_json::Value;

use super::cells::{Identity, identity, int, member, path, text, time};
use super::origin::{ORGANIZATION, Origin, PROJECT, PROJECT_ID, TENANT, VERSION};
use crate::json::Reason;

/// Builds and runs.
pub static ADO_BUILD: Table = Table {
    key: &["organization", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_build",
        "The last state of every build and pipeline run that was told of.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Int, "Number of the build or run.").required(),
            Column::new("build_number", Type::Text, "Name of the build or run (`20150407.1`)."),
            Column::new("definition_id", Type::Int, "Number of the definition or pipeline."),
            Column::new("definition", Type::Name, "Name of the definition or pipeline."),
            Column::new("status", Type::Name, "`inProgress`, `canceling`, `completed` …"),
            Column::new(
                "result",
                Type::Name,
                "`succeeded`, `partiallySucceeded`, `failed`, `canceled`; null before its end.",
            ),
            Column::new("reason", Type::Name, "Why it ran (`manual`, `individualCI`, `pullRequest`, `schedule` …)."),
            Column::new("queue_time", Type::Time, "When it was queued."),
            Column::new("start_time", Type::Time, "When it began; a run does not say."),
            Column::new("finish_time", Type::Time, "When it ended."),
            Column::new("duration_ms", Type::Int, "From start to finish; for a run from queue to finish.").unit("ms"),
            Column::new("source_branch", Type::Text, "Branch that was built."),
            Column::new("source_version", Type::Text, "Commit that was built."),
            Column::new("repository_id", Type::Text, "Id of the repository."),
            Column::new("repository", Type::Name, "Name of the repository when it was told of."),
            Column::new("requested_for", Type::Text, "Display name of who it ran for.").personal(),
            Column::new("requested_for_unique_name", Type::Text, "Unique name of who it ran for."),
            Column::new("url", Type::Text, "REST address."),
            Column::new("build_tags", Type::Json, "Tags."),
            Column::new("queue", Type::Name, "Queue that it waited in."),
            Column::new("is_deleted", Type::Bool, "Deleted; the source keeps a while what it was."),
            VERSION,
        ],
    )
};

/// How far behind any telling of the build itself its run's stands: a run tells less, so that it shows only until then.
const RUN_TELLS_LESS: i64 = 1 << 60;

/// Adds the build, if it is carried.
pub fn write(origin: &Origin, resource: &Value, rows: &mut Rows) -> Result<(), Reason> {
    let build = resource;
    let instant = |name: &str| member(build, name).and_then(time);
    let (Some(id), Some(status)) = (path(build, &["id"]).and_then(int), path(resource, &["status"]).and_then(text))
    else {
        return Ok(());
    };
    let (start, finish) = (instant("startTime"), instant("finishTime"));
    // Resource version 1.0 says the result where later ones say the status.
    let (status, result) = match path(resource, &["result"]).and_then(text) {
        Some(result) => (status, Some(result)),
        None if finish.is_some() => ("completed".to_owned(), Some(status)),
        None => (status, None),
    };
    let (branch, version) = source(resource);
    let who = requested_for(build);
    origin.set(rows);
    rows.set("id", id)
        .set("build_number", path(resource, &["buildNumber"]).and_then(text))
        .set("definition_id", path(build, &["definition", "id"]).and_then(int))
        .set("definition", path(resource, &["definition", "name"]).and_then(text))
        .set("status", status)
        .set("result", result)
        .set("reason", path(resource, &["reason"]).and_then(text))
        .set("queue_time", instant("queueTime").map(Cell::Time))
        .set("start_time", start.map(Cell::Time))
        .set("finish_time", finish.map(Cell::Time))
        .set("duration_ms", duration_ms(start, finish))
        .set("source_branch", branch)
        .set("source_version", version)
        .set("repository_id", path(resource, &["repository", "id"]).and_then(text))
        .set("repository", path(resource, &["repository", "name"]).and_then(text))
        .set("requested_for", who.display_name)
        .set("requested_for_unique_name", who.unique_name)
        .set("url", path(resource, &["url"]).and_then(text))
        .set("build_tags", member(build, "tags").map(Value::to_string))
        .set("queue", path(build, &["queue", "name"]).and_then(text))
        .set("is_deleted", member(build, "deleted").and_then(Value::as_bool))
        .set("version", origin.version);
    rows.end_row().map_err(|e| e.to_string())
}

/// Adds the run of a `run-state-changed` event, if it carries one.
pub fn write_run(origin: &Origin, resource: &Value, rows: &mut Rows) -> Result<(), Reason> {
    let Some(run) = member(resource, "run") else { return Ok(()) };
    let word = |names: &[&str]| path(run, names).and_then(text);
    let instant = |name: &str| member(run, name).and_then(time);
    let (Some(id), Some(state)) = (run_id(run), word(&["state"])) else { return Ok(()) };
    let (queue, finish) = (instant("createdDate"), instant("finishedDate"));
    let code = path(run, &["resources", "repositories", "self"]).unwrap_or(&Value::Null);
    let of_code = |names: &[&str]| path(code, names).and_then(text);
    origin.set(rows);
    rows.set("id", id)
        .set("build_number", word(&["name"]))
        .set("definition_id", path(run, &["pipeline", "id"]).and_then(int))
        .set("definition", word(&["pipeline", "name"]))
        .set("status", state)
        .set("result", word(&["result"]))
        .set("queue_time", queue.map(Cell::Time))
        .set("finish_time", finish.map(Cell::Time))
        .set("duration_ms", duration_ms(queue, finish))
        .set("source_branch", of_code(&["refName"]))
        .set("source_version", of_code(&["version"]))
        .set("repository_id", of_code(&["repository", "id"]))
        .set("repository", of_code(&["repository", "fullName"]))
        .set("url", word(&["url"]).or_else(|| word(&["_links", "self", "href"])))
        .set("version", origin.version.map(|version| version - RUN_TELLS_LESS));
    rows.end_row().map_err(|e| e.to_string())
}

/// A run's number stands in it, or only in its addresses.
pub fn run_id(run: &Value) -> Option<i64> {
    let in_url = |names: &[&str]| path(run, names).and_then(Value::as_str)?.rsplit('/').next()?.parse().ok();
    member(run, "id").and_then(int).or_else(|| in_url(&["url"])).or_else(|| in_url(&["_links", "self", "href"]))
}

/// Branch and commit; older builds write both as `LG:refs/heads/main:600c52d…`.
fn source(resource: &Value) -> (Option<String>, Option<String>) {
    let old = path(resource, &["sourceGetVersion"]).and_then(text);
    let old = old.as_deref().and_then(|v| v.split_once(':')?.1.rsplit_once(':'));
    let (branch, version) = old.map_or((None, None), |(b, v)| (Some(b.to_owned()), Some(v.to_owned())));
    (
        path(resource, &["sourceBranch"]).and_then(text).or(branch),
        path(resource, &["sourceVersion"]).and_then(text).or(version),
    )
}

fn requested_for(build: &Value) -> Identity {
    let request = || member(build, "requests")?.as_array()?.first().and_then(|r| member(r, "requestedFor"));
    member(build, "requestedFor").or_else(request).map(identity).unwrap_or_default()
}

/// From one to the other, if both are known and in order.
pub fn duration_ms(from: Option<i64>, to: Option<i64>) -> Option<i64> {
    Some(to?.checked_sub(from?)? / 1_000).filter(|ms| *ms >= 0)
}
