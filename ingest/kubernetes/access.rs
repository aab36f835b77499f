//! Who may do what: `k8s_role_binding`, one row a subject.

use engine::{Column, Table, Type};
use serde_json::Value;

use super::cells::object_columns;
use super::detail::{self, Detail, Parts, Write};
use super::meta::{Meta, Origin};
use crate::json;

/// RoleBindings and ClusterRoleBindings.
pub static K8S_ROLE_BINDING: Table = Table {
    key: &["cluster", "namespace", "name", "subject"],
    time: "ingested_at",
    ..Table::new(
        "k8s_role_binding",
        "The last seen state of every RoleBinding and ClusterRoleBinding, one row a subject. A row without namespace binds in the whole cluster.",
        object_columns![
            Column::new(
                "subject",
                Type::Text,
                "The subject in one word: `User:jane`, `ServiceAccount:shop/web`; empty for a binding without subjects."
            )
            .required(),
            Column::new("subject_kind", Type::Name, "`User`, `Group` or `ServiceAccount`."),
            Column::new("subject_namespace", Type::Name, "Namespace of a service account."),
            Column::new("subject_name", Type::Text, "Name of the user, group or service account."),
            Column::new("role_kind", Type::Name, "`Role` or `ClusterRole`."),
            Column::new("role_name", Type::Text, "The role that they get (`cluster-admin`)."),
        ],
    )
};

/// RoleBindings and ClusterRoleBindings.
pub static ROLE_BINDING: Detail = Detail {
    table: &K8S_ROLE_BINDING,
    kinds: &[("rbac.authorization.k8s.io", "RoleBinding"), ("rbac.authorization.k8s.io", "ClusterRoleBinding")],
    write: Write::Parts { columns: ("name", "subject"), write: role_binding },
};

fn role_binding(meta: &Meta<'_>, origin: Origin<'_>, parts: &mut Parts<'_>) {
    let none = [Value::Null];
    let subjects = match json::list(meta.object, &["subjects"]) {
        Ok(Some(subjects)) if !subjects.is_empty() => subjects.as_slice(),
        Ok(_) => none.as_slice(),
        Err(reason) => return parts.refused.push(reason),
    };
    for (i, subject) in subjects.iter().enumerate() {
        let mut part = String::new();
        let filled = detail::begin(meta, origin, parts.rows).and_then(|()| {
            let word = |name: &str| json::text(subject, &[name]);
            let (kind, namespace, name) = (word("kind")?, word("namespace")?, word("name")?);
            part = match (kind, namespace) {
                (Some(kind), Some(namespace)) => format!("{kind}:{namespace}/{}", name.unwrap_or_default()),
                (Some(kind), None) => format!("{kind}:{}", name.unwrap_or_default()),
                _ => String::new(),
            };
            parts
                .rows
                .set("subject", part.as_str())
                .set("subject_kind", kind)
                .set("subject_namespace", namespace)
                .set("subject_name", name)
                .set("role_kind", json::text(meta.object, &["roleRef", "kind"])?)
                .set("role_name", json::text(meta.object, &["roleRef", "name"])?);
            Ok(())
        });
        parts.end(&part, &format!("subjects[{i}]"), filled);
    }
}
