//! `ado_work_item`: the last told state of every work item.

use engine::{Column, Rows, Table, Type, Value as Cell};
use serde_json::{Map, Value};

use super::cells::{float, identity, int, member, path, text, time};
use super::origin::{ORGANIZATION, Origin, PROJECT_ID, TENANT};
use crate::json::Reason;

/// Work items.
pub static ADO_WORK_ITEM: Table = Table {
    key: &["organization", "id"],
    version: Some("rev"),
    time: "ingested_at",
    ..Table::new(
        "ado_work_item",
        "The last revision of every work item. A deleted one stays, marked, as it stays in the recycle bin; restoring it takes the mark away.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            Column::new("project", Type::Name, "Name of the project (`System.TeamProject`)."),
            Column::new("id", Type::Int, "Number of the work item.").required(),
            Column::new("rev", Type::Int, "Revision that this state is."),
            Column::new("work_item_type", Type::Name, "`Bug`, `User Story`, `Task` …"),
            Column::new("title", Type::Text, "Title."),
            Column::new("state", Type::Name, "State (`New`, `Active`, `Closed` …)."),
            Column::new("reason", Type::Name, "Why it is in its state."),
            Column::new("area_path", Type::Name, "Area, with backslashes."),
            Column::new("iteration_path", Type::Name, "Iteration, with backslashes."),
            Column::new("assigned_to", Type::Text, "Display name of who works on it."),
            Column::new("assigned_to_unique_name", Type::Text, "Unique name of who works on it."),
            Column::new("created_by", Type::Text, "Display name of who made it.").personal(),
            Column::new("created_by_unique_name", Type::Text, "Unique name of who made it."),
            Column::new("created_date", Type::Time, "When it was made."),
            Column::new("changed_by", Type::Text, "Display name of who changed it last.").personal(),
            Column::new("changed_by_unique_name", Type::Text, "Unique name of who changed it last."),
            Column::new("changed_date", Type::Time, "When it was changed last."),
            Column::new("closed_date", Type::Time, "When it was closed."),
            Column::new("priority", Type::Int, "Priority, 1 first."),
            Column::new("severity", Type::Name, "Severity (`2 - High`)."),
            Column::new("story_points", Type::Float, "Story points, or effort, or size, as the process calls it."),
            Column::new("tag_names", Type::Text, "Tags with semicolons between (`System.Tags`)."),
            Column::new("parent", Type::Int, "Number of the parent work item."),
            Column::new("is_deleted", Type::Bool, "Lies in the recycle bin.").required(),
            Column::new("url", Type::Text, "REST address."),
            Column::new("fields", Type::Json, "All fields of this state by their reference names."),
        ],
    )
};

/// How a resource tells of a work item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// As it is.
    State,
    /// As a revision, with what changed.
    Update,
    /// As it went to the recycle bin.
    Deleted,
}

/// The work item's number. In an update `id` is the update's; the work item's own stands beside it or in the revision.
pub fn number(resource: &Value, telling: Telling) -> Option<i64> {
    let ids: &[&[&str]] = match telling {
        Telling::Update => &[&["revision", "id"], &["workItemId"]],
        Telling::State | Telling::Deleted => &[&["id"], &["workItemId"]],
    };
    ids.iter().filter_map(|names| path(resource, names).and_then(int)).find(|id| *id > 0)
}

/// The number of the revision.
pub fn revision(resource: &Value) -> Option<i64> {
    path(resource, &["revision", "rev"]).or_else(|| member(resource, "rev")).and_then(int)
}

/// Adds the end of a work item of whose deletion little is told. It may be restored, with a later revision.
fn forget(origin: &Origin, id: i64, rev: Option<i64>, rows: &mut Rows) -> Result<(), Reason> {
    rows.set("tenant", origin.tenant.as_str()).set("organization", origin.organization.as_str());
    rows.set("id", id).set("rev", rev);
    rows.end_delete().map_err(|e| e.to_string())
}

/// Adds the work item's state, if the event carries it: a subscription may ask for minimal resources.
pub fn write(origin: &Origin, resource: &Value, telling: Telling, rows: &mut Rows) -> Result<(), Reason> {
    let deleted = telling == Telling::Deleted;
    let id = number(resource, telling);
    let fields = fields(resource)?;
    let Some(id) = id else {
        return if fields.is_empty() { Ok(()) } else { Err("the work item's number is missing".to_owned()) };
    };
    if !fields.contains_key("System.WorkItemType") {
        if deleted {
            return forget(origin, id, revision(resource), rows);
        }
        return Ok(());
    }
    origin.set(rows);
    let named = fields.get("System.TeamProject").and_then(text);
    rows.set("project", named.or_else(|| origin.project.clone()));
    set_fields(&fields, rows);
    rows.set("id", id)
        .set("rev", revision(resource))
        .set("parent", parent(resource, &fields))
        .set("is_deleted", deleted)
        .set(
            "url",
            path(resource, &["revision", "url"]).and_then(text).or_else(|| path(resource, &["url"]).and_then(text)),
        )
        .set("fields", Value::Object(fields).to_string());
    rows.end_row().map_err(|e| e.to_string())
}

/// The fields after the event. An update carries the revision and the changes; documented samples show the revision as
/// it was before, so the changes are laid over it. A change without a new value empties its field.
pub fn fields(resource: &Value) -> Result<Map<String, Value>, Reason> {
    let object = |names: &[&str]| match path(resource, names) {
        None => Ok(None),
        Some(Value::Object(fields)) => Ok(Some(fields)),
        Some(other) => Err(format!("{} is not an object: {}", names.join("."), crate::json::clip(&other.to_string()))),
    };
    let mut state = object(&["revision", "fields"])?.cloned().unwrap_or_default();
    for (name, value) in object(&["fields"])?.into_iter().flatten() {
        let change = value.as_object().filter(|v| v.contains_key("newValue") || v.contains_key("oldValue"));
        match change {
            None => drop(state.insert(name.clone(), value.clone())),
            Some(change) => match change.get("newValue") {
                Some(new) => drop(state.insert(name.clone(), new.clone())),
                None => drop(state.remove(name)),
            },
        }
    }
    Ok(state)
}

fn set_fields(fields: &Map<String, Value>, rows: &mut Rows) {
    for (column, field) in [
        ("work_item_type", "System.WorkItemType"),
        ("title", "System.Title"),
        ("state", "System.State"),
        ("reason", "System.Reason"),
        ("area_path", "System.AreaPath"),
        ("iteration_path", "System.IterationPath"),
        ("severity", "Microsoft.VSTS.Common.Severity"),
        ("tag_names", "System.Tags"),
    ] {
        rows.set(column, fields.get(field).and_then(text));
    }
    for (column, unique, field) in [
        ("assigned_to", "assigned_to_unique_name", "System.AssignedTo"),
        ("created_by", "created_by_unique_name", "System.CreatedBy"),
        ("changed_by", "changed_by_unique_name", "System.ChangedBy"),
    ] {
        let who = fields.get(field).map(identity).unwrap_or_default();
        rows.set(column, who.display_name).set(unique, who.unique_name);
    }
    for (column, field) in [
        ("created_date", "System.CreatedDate"),
        ("changed_date", "System.ChangedDate"),
        ("closed_date", "Microsoft.VSTS.Common.ClosedDate"),
    ] {
        rows.set(column, fields.get(field).and_then(time).map(Cell::Time));
    }
    let mut points = ["StoryPoints", "Effort", "Size"].into_iter();
    let points = points.find_map(|name| fields.get(&format!("Microsoft.VSTS.Scheduling.{name}")).and_then(float));
    rows.set("priority", fields.get("Microsoft.VSTS.Common.Priority").and_then(int)).set("story_points", points);
}

fn parent(resource: &Value, fields: &Map<String, Value>) -> Option<i64> {
    let linked = || {
        let lists = [path(resource, &["revision", "relations"]), member(resource, "relations")];
        let mut relations = lists.into_iter().flatten().filter_map(Value::as_array).flatten();
        let up = relations
            .find(|r| member(r, "rel").and_then(Value::as_str) == Some("System.LinkTypes.Hierarchy-Reverse"))?;
        member(up, "url")?.as_str()?.rsplit('/').next()?.parse().ok()
    };
    fields.get("System.Parent").and_then(int).or_else(linked)
}
