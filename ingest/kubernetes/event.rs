//! `k8s_event`: what the cluster's controllers say happened, of both event APIs.

use engine::{Column, Rows, Table, Type, Value as Cell};
use serde_json::Value;

use super::detail::{Detail, Write};
use super::meta::{Meta, Origin};
use crate::json::{self, Reason, at};

/// Events of clusters.
pub static K8S_EVENT: Table = Table {
    key: &["cluster", "namespace", "name", "count"],
    time: "last_seen",
    ..Table::new(
        "k8s_event",
        "Kubernetes events of core/v1 and events.k8s.io. An event that repeats is one object whose count grows: each count that was seen is a row, max(count) by name is how often it happened.",
        &[
            Column::new("tenant", Type::Name, "Label `tenant` of the event, else the sender's tenant.").required(),
            Column::new("cluster", Type::Name, "Name of the cluster, as the sender gave it.").required(),
            Column::new("namespace", Type::Name, "Namespace of the event.").required(),
            Column::new("name", Type::Text, "Name of the event.").required(),
            Column::new("uid", Type::Text, "Identity of the event."),
            Column::new("env", Type::Name, "Label `env` or `environment`."),
            Column::new("app", Type::Name, "Label `app.kubernetes.io/name`, `app` or `k8s-app`."),
            Column::new("version", Type::Name, "Label `app.kubernetes.io/version` or `version`."),
            Column::new("cost_center", Type::Name, "Label `cost-center`."),
            Column::new("event_type", Type::Name, "`Normal` or `Warning`."),
            Column::new("reason", Type::Name, "The reason in one word (`BackOff`, `FailedScheduling`)."),
            Column::new("note", Type::Text, "What happened, in a sentence (`message` of core/v1)."),
            Column::new("action", Type::Name, "What the controller did about it."),
            Column::new("count", Type::Int, "How often it had happened when it was seen.").required(),
            Column::new("first_seen", Type::Time, "When it happened first."),
            Column::new("last_seen", Type::Time, "When it happened last."),
            Column::new("involved_api_version", Type::Name, "API version of the object it is about."),
            Column::new("involved_kind", Type::Name, "Kind of the object it is about."),
            Column::new(
                "involved_namespace",
                Type::Name,
                "Namespace of the object it is about; empty for objects of the cluster.",
            ),
            Column::new("involved_name", Type::Text, "Name of the object it is about."),
            Column::new("involved_uid", Type::Text, "Identity of the object it is about."),
            Column::new("involved_field_path", Type::Text, "The part it is about (`spec.containers{web}`)."),
            Column::new("source_component", Type::Name, "Who says so (`kubelet`)."),
            Column::new("source_host", Type::Text, "On which node or instance."),
        ],
    )
};

/// Whether the object is an event of either API.
pub fn is_event(meta: &Meta<'_>) -> bool {
    is(meta.api_group, meta.kind)
}

/// Whether a kind is the event of either API.
pub fn is(api_group: &str, kind: &str) -> bool {
    kind == "Event" && matches!(api_group, "" | "events.k8s.io")
}

/// Events of both APIs.
pub static EVENT: Detail =
    Detail { table: &K8S_EVENT, kinds: &[("", "Event"), ("events.k8s.io", "Event")], write: Write::Kept(write) };

/// Adds an event's row.
fn write(meta: &Meta<'_>, origin: Origin<'_>, rows: &mut Rows) -> Result<(), Reason> {
    let event = meta.object;
    let text = |paths: &[&[&str]]| first(paths, |path| json::text(event, path).map(|t| t.filter(|t| !t.is_empty())));
    let time = |paths: &[&[&str]]| first(paths, |path| json::time(event, path));
    let count = first(&[&["series", "count"], &["count"], &["deprecatedCount"]], |path| json::int(event, path))?;
    let involved = at(event, &["involvedObject"]).or_else(|| at(event, &["regarding"])).unwrap_or(&Value::Null);
    let about = |name: &str| json::text(involved, &[name]);
    let happened = time(&[&["eventTime"]])?.or(meta.creation_timestamp);
    let last = time(&[&["series", "lastObservedTime"], &["lastTimestamp"], &["deprecatedLastTimestamp"]])?;
    let earliest = time(&[&["firstTimestamp"], &["deprecatedFirstTimestamp"]])?;
    meta.set(origin, rows);
    rows.set("name", meta.name)
        .set("uid", meta.uid)
        .set("event_type", text(&[&["type"]])?)
        .set("reason", text(&[&["reason"]])?)
        .set("note", text(&[&["note"], &["message"]])?)
        .set("action", text(&[&["action"]])?)
        // An event that never repeated carries no count, or zero.
        .set("count", count.filter(|n| *n > 0).unwrap_or(1))
        .set("first_seen", earliest.or(happened).map(Cell::Time))
        .set("last_seen", last.or(happened).map(Cell::Time))
        .set("involved_api_version", about("apiVersion")?)
        .set("involved_kind", about("kind")?)
        .set("involved_namespace", about("namespace")?.unwrap_or_default())
        .set("involved_name", about("name")?)
        .set("involved_uid", about("uid")?)
        .set("involved_field_path", about("fieldPath")?)
        .set(
            "source_component",
            text(&[
                &["reportingController"],
                &["reportingComponent"],
                &["source", "component"],
                &["deprecatedSource", "component"],
            ])?,
        )
        .set("source_host", text(&[&["source", "host"], &["deprecatedSource", "host"], &["reportingInstance"]])?);
    rows.end_row().map_err(|e| e.to_string())
}

fn first<T>(paths: &[&[&str]], read: impl Fn(&[&str]) -> Result<Option<T>, Reason>) -> Result<Option<T>, Reason> {
    for path in paths {
        if let Some(found) = read(path)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
