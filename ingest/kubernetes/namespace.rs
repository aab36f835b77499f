//! `k8s_namespace`: the rooms of a cluster.

use engine::{Column, Table, Type};

use super::cells::{Cells, object_columns};
use super::detail::{Detail, Write};
use super::meta::Meta;
use crate::json::{self, Reason};

/// Namespaces.
pub static K8S_NAMESPACE: Table = Table {
    key: &["cluster", "namespace", "name"],
    time: "ingested_at",
    ..Table::new(
        "k8s_namespace",
        "The last seen state of every Namespace, with its pod security levels.",
        object_columns![
            Column::new("phase", Type::Name, "`Active` or `Terminating`."),
            Column::new(
                "pod_security_enforce",
                Type::Name,
                "Label `pod-security.kubernetes.io/enforce`: what is refused."
            ),
            Column::new("pod_security_warn", Type::Name, "Label `pod-security.kubernetes.io/warn`."),
            Column::new("pod_security_audit", Type::Name, "Label `pod-security.kubernetes.io/audit`."),
            Column::new("finalizers", Type::Json, "What still holds a namespace that is to go."),
        ],
    )
};

/// Namespaces.
pub static NAMESPACE: Detail =
    Detail { table: &K8S_NAMESPACE, kinds: &[("", "Namespace")], write: Write::One(namespace) };

fn namespace(meta: &Meta<'_>, cells: &mut Cells<'_, '_>) -> Result<(), Reason> {
    cells
        .text("phase", "status.phase")?
        .set("pod_security_enforce", meta.label(&["pod-security.kubernetes.io/enforce"]))
        .set("pod_security_warn", meta.label(&["pod-security.kubernetes.io/warn"]))
        .set("pod_security_audit", meta.label(&["pod-security.kubernetes.io/audit"]))
        .set("finalizers", json::document(meta.object, &["spec", "finalizers"]));
    Ok(())
}
