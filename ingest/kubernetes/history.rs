//! `k8s_object_history`: every version of every object that was seen, beside `k8s_object`, which holds the last one.

use engine::{Column, Index, Rows, Table, Type};

use super::meta::{Meta, Origin};
use crate::json::{self, Reason};

/// Versions of objects.
pub static K8S_OBJECT_HISTORY: Table = Table {
    time: "ingested_at",
    indexes: &[Index::BTree("name"), Index::BTree("uid")],
    ..Table::new(
        "k8s_object_history",
        "Every version of every Kubernetes object that was seen, in the order in which it was seen; `k8s_object` has the last one. Kubernetes events are left out: `k8s_event` is their history. A version that is sent again as a file is a row again.",
        &[
            Column::new("tenant", Type::Name, "Label `tenant`, else the sender's tenant.").required(),
            Column::new("cluster", Type::Name, "Name of the cluster, as the sender gave it.").required(),
            Column::new("api_group", Type::Name, "API group (`apps`); empty for the core group.").required(),
            Column::new("api_version", Type::Name, "Version within the group (`v1`)."),
            Column::new("kind", Type::Name, "Kind (`Deployment`).").required(),
            Column::new("namespace", Type::Name, "Namespace; empty for objects of the cluster.").required(),
            Column::new("name", Type::Text, "Name of the object.").required(),
            Column::new("uid", Type::Text, "Identity over the object's whole life; null in manifests."),
            Column::new("resource_version", Type::Text, "The API server's version of this state."),
            Column::new("generation", Type::Int, "Counts changes of the desired state."),
            Column::new("change", Type::Name, "`applied`, or `deleted` when it was gone.").required(),
            Column::new(
                "object",
                Type::Json,
                "The whole object without `metadata.managedFields`; null if only its end was seen.",
            ),
        ],
    )
};

/// Adds a version.
pub fn applied(meta: &Meta<'_>, origin: Origin<'_>, text: &str, rows: &mut Rows) -> Result<(), Reason> {
    rows.set("tenant", meta.tenant)
        .set("cluster", origin.cluster)
        .set("api_group", meta.api_group)
        .set("api_version", meta.api_version)
        .set("kind", meta.kind)
        .set("namespace", meta.namespace)
        .set("name", meta.name)
        .set("uid", meta.uid)
        .set("resource_version", json::text(meta.object, &["metadata", "resourceVersion"])?)
        .set("generation", json::int(meta.object, &["metadata", "generation"])?)
        .set("change", "applied")
        .set("object", text);
    rows.end_row().map_err(|e| e.to_string())
}

/// Adds the end of an object.
pub fn deleted(identity: &super::Identity, tenant: &str, cluster: &str, rows: &mut Rows) -> Result<(), Reason> {
    rows.set("tenant", tenant)
        .set("cluster", cluster)
        .set("api_group", &*identity.api_group)
        .set("kind", &*identity.kind)
        .set("namespace", &*identity.namespace)
        .set("name", &*identity.name)
        .set("change", "deleted");
    rows.end_row().map_err(|e| e.to_string())
}
