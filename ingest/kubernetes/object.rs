//! `k8s_object`: every object of every kind, custom resources included.

use engine::{Column, Index, Rows, Table, Type};
use serde_json::Value;

use super::meta::{Meta, Origin};
use super::unit::Identity;
use crate::json::{self, Reason, at};

/// Objects of clusters, whatever their kind.
pub static K8S_OBJECT: Table = Table {
    key: &["cluster", "api_group", "kind", "namespace", "name"],
    time: "ingested_at",
    indexes: &[Index::BTree("name"), Index::BTree("uid")],
    ..Table::new(
        "k8s_object",
        "The last seen state of every Kubernetes object, custom resources included. A Secret keeps the names of its values, never the values.",
        &[
            Column::new("tenant", Type::Name, "Label `tenant`, else the sender's tenant.").required(),
            Column::new("cluster", Type::Name, "Name of the cluster, as the sender gave it.").required(),
            Column::new("api_group", Type::Name, "API group (`apps`); empty for the core group.").required(),
            Column::new("api_version", Type::Name, "Version within the group (`v1`)."),
            Column::new("kind", Type::Name, "Kind (`Deployment`).").required(),
            Column::new("namespace", Type::Name, "Namespace; empty for objects of the cluster.").required(),
            Column::new("name", Type::Text, "Name; `generateName` of a manifest that has no name yet.").required(),
            Column::new("uid", Type::Text, "Identity over the object's whole life; null in manifests."),
            Column::new("resource_version", Type::Text, "The API server's version of this state."),
            Column::new("generation", Type::Int, "Counts changes of the desired state."),
            Column::new("creation_timestamp", Type::Time, "When the object was created."),
            Column::new(
                "deletion_timestamp",
                Type::Time,
                "When its deletion was asked for; it still exists while finalizers hold it.",
            ),
            Column::new("owner_kind", Type::Name, "Kind of the controlling owner."),
            Column::new("owner_name", Type::Text, "Name of the controlling owner."),
            Column::new("env", Type::Name, "Label `env` or `environment`."),
            Column::new("app", Type::Name, "Label `app.kubernetes.io/name`, `app` or `k8s-app`."),
            Column::new("version", Type::Name, "Label `app.kubernetes.io/version` or `version`."),
            Column::new("cost_center", Type::Name, "Label `cost-center`."),
            Column::new(
                "ready",
                Type::Bool,
                "Condition Ready, Available or Established; for workloads whether all replicas are ready; null where the kind has no such thing.",
            ),
            Column::new("replicas", Type::Int, "Replicas asked for."),
            Column::new("replicas_ready", Type::Int, "Replicas that are ready."),
            Column::new("labels", Type::Json, "All labels."),
            Column::new("annotations", Type::Json, "All annotations."),
            Column::new("conditions", Type::Json, "The list `status.conditions`."),
            Column::new("spec", Type::Json, "Desired state."),
            Column::new("status", Type::Json, "Observed state."),
            Column::new("object", Type::Json, "The whole object without `metadata.managedFields`."),
        ],
    )
};

/// Adds an object's row; `whole` is its JSON.
pub fn write(meta: &Meta<'_>, origin: Origin<'_>, whole: &str, rows: &mut Rows) -> Result<(), Reason> {
    let object = meta.object;
    let replicas = Replicas::read(object);
    let text = |path: &[&str]| json::text(object, path);
    meta.set(origin, rows);
    rows.set("api_group", meta.api_group)
        .set("api_version", meta.api_version)
        .set("kind", meta.kind)
        .set("name", meta.name)
        .set("uid", meta.uid)
        .set("resource_version", text(&["metadata", "resourceVersion"])?)
        .set("generation", json::int(object, &["metadata", "generation"])?)
        .set("creation_timestamp", meta.creation_timestamp.map(engine::Value::Time))
        .set("deletion_timestamp", meta.deletion_timestamp.map(engine::Value::Time))
        .set("owner_kind", meta.owner_kind)
        .set("owner_name", meta.owner_name)
        .set("ready", ready(object))
        .set("replicas", replicas.wanted)
        .set("replicas_ready", replicas.ready)
        .set("labels", json::document(object, &["metadata", "labels"]))
        .set("annotations", json::document(object, &["metadata", "annotations"]))
        .set("conditions", json::document(object, &["status", "conditions"]))
        .set("spec", json::document(object, &["spec"]))
        .set("status", json::document(object, &["status"]))
        .set("object", whole);
    rows.end_row().map_err(|e| e.to_string())
}

/// Adds the mark that an object is gone.
pub fn delete(identity: &Identity, tenant: &str, cluster: &str, rows: &mut Rows) -> Result<(), Reason> {
    rows.set("tenant", tenant)
        .set("cluster", cluster)
        .set("api_group", &*identity.api_group)
        .set("kind", &*identity.kind)
        .set("namespace", &*identity.namespace)
        .set("name", &*identity.name);
    rows.end_delete().map_err(|e| e.to_string())
}

/// How many replicas a workload wants and has.
#[derive(Debug, Clone, Copy)]
struct Replicas {
    wanted: Option<i64>,
    ready: Option<i64>,
}

impl Replicas {
    fn read(object: &Value) -> Replicas {
        let count = |path: &[&str]| at(object, path).and_then(Value::as_i64);
        // A DaemonSet counts nodes. The API server leaves a zero out of a status.
        let nodes = count(&["status", "desiredNumberScheduled"]);
        if nodes.is_some() {
            return Replicas { wanted: nodes, ready: Some(count(&["status", "numberReady"]).unwrap_or(0)) };
        }
        let wanted = count(&["spec", "replicas"]);
        let status = at(object, &["status"]).filter(|_| wanted.is_some());
        Replicas { wanted, ready: status.map(|_| count(&["status", "readyReplicas"]).unwrap_or(0)) }
    }
}

/// Whether an object is what it should be, as far as its kind tells.
pub fn ready(object: &Value) -> Option<bool> {
    let replicas = Replicas::read(object);
    if let (Some(wanted), Some(ready)) = (replicas.wanted, replicas.ready) {
        return Some(ready >= wanted);
    }
    let conditions = at(object, &["status", "conditions"])?.as_array()?;
    let condition = |kind: &str| conditions.iter().find(|c| c.get("type").and_then(Value::as_str) == Some(kind));
    let decisive = ["Ready", "Available", "Established"].into_iter().find_map(condition)?;
    match decisive.get("status").and_then(Value::as_str)? {
        "True" => Some(true),
        "False" | "Unknown" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn readiness_by_kind() {
        for (object, expected) in [
            (json!({"spec": {"replicas": 2}, "status": {"readyReplicas": 2}}), Some(true)),
            (json!({"spec": {"replicas": 2}, "status": {}}), Some(false)),
            (json!({"spec": {"replicas": 0}, "status": {}}), Some(true)),
            (json!({"spec": {"replicas": 2}}), None),
            (json!({"status": {"desiredNumberScheduled": 3, "numberReady": 2}}), Some(false)),
            (json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}), Some(true)),
            (json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}), Some(false)),
            (json!({"status": {"conditions": [{"type": "Established", "status": "True"}]}}), Some(true)),
            (json!({"status": {"conditions": "odd"}}), None),
            (json!({"data": {}}), None),
        ] {
            assert_eq!(ready(&object), expected, "{object}");
        }
    }
}
