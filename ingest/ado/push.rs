//! `ado_push`: pushes to repositories.

use engine::{Column, Rows, Table, Type, Value as Cell};
use serde_json::Value;

use super::cells::{identity, int, member, path, text, time};
use super::origin::{ORGANIZATION, Origin, PROJECT, PROJECT_ID, TENANT, VERSION};
use crate::json::Reason;

/// Pushes.
pub static ADO_PUSH: Table = Table {
    key: &["organization", "repository_id", "push_id"],
    version: Some("version"),
    time: "push_date",
    ..Table::new(
        "ado_push",
        "Pushes to Azure Repos.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("repository_id", Type::Text, "Id of the repository.").required(),
            Column::new("repository", Type::Name, "Name of the repository when it was told of."),
            Column::new("push_id", Type::Int, "Number of the push.").required(),
            Column::new("pushed_by", Type::Text, "Display name of who pushed.").personal(),
            Column::new("pushed_by_unique_name", Type::Text, "Unique name of who pushed."),
            Column::new("push_date", Type::Time, "When it was pushed."),
            Column::new("ref_name", Type::Text, "The ref that moved, the first if several did."),
            Column::new("old_object_id", Type::Text, "Where that ref stood."),
            Column::new("new_object_id", Type::Text, "Where that ref stands now; zeros if it was deleted."),
            Column::new("commit_count", Type::Int, "Commits that the event lists."),
            Column::new("ref_updates", Type::Json, "All refs that moved."),
            Column::new("commits", Type::Json, "The commits that the event lists."),
            Column::new("url", Type::Text, "REST address."),
            VERSION,
        ],
    )
};

/// Adds the push, if the event carries it.
pub fn write(origin: &Origin, resource: &Value, rows: &mut Rows) -> Result<(), Reason> {
    let push = resource;
    let (Some(id), Some(repository)) =
        (path(push, &["pushId"]).and_then(int), path(resource, &["repository", "id"]).and_then(text))
    else {
        return Ok(());
    };
    let list = |name: &str| match member(push, name) {
        None => Ok(&[][..]),
        Some(Value::Array(items)) => Ok(items.as_slice()),
        Some(other) => Err(format!("{name} is not a list: {}", crate::json::clip(&other.to_string()))),
    };
    let (refs, commits) = (list("refUpdates")?, list("commits")?);
    let moved = |name: &str| refs.first().and_then(|r| member(r, name)).and_then(text);
    let who = member(push, "pushedBy").map(identity).unwrap_or_default();
    origin.set(rows);
    rows.set("repository_id", repository)
        .set("repository", path(resource, &["repository", "name"]).and_then(text))
        .set("push_id", id)
        .set("pushed_by", who.display_name)
        .set("pushed_by_unique_name", who.unique_name)
        .set("push_date", member(push, "date").and_then(time).map(Cell::Time))
        .set("ref_name", moved("name"))
        .set("old_object_id", moved("oldObjectId"))
        .set("new_object_id", moved("newObjectId"))
        .set("commit_count", i64::try_from(commits.len()).unwrap_or(i64::MAX))
        .set("ref_updates", member(push, "refUpdates").map(Value::to_string))
        .set("commits", member(push, "commits").map(Value::to_string))
        .set("url", path(resource, &["url"]).and_then(text))
        .set("version", origin.version);
    rows.end_row().map_err(|e| e.to_string())
}
