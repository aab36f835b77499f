//! The tables that an audit fills.

use engine::{Column, Index, Table, Type};

/// What is broken now.
pub static POLICY_VIOLATION: Table = Table {
    key: &["cluster", "constraint_kind", "constraint_name", "api_group", "kind", "namespace", "name", "violation_id"],
    time: "audited_at",
    indexes: &[Index::BTree("name"), Index::BTree("uid")],
    ..Table::new(
        "policy_violation",
        "Every rule that an object of a cluster broke at the last audit. A violation that is gone at the next audit leaves the table.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the object.").required(),
            Column::new("cluster", Type::Name, "Cluster that the object lies in.").required(),
            Column::new("constraint_kind", Type::Name, "Kind of the constraint (`K8sRequiredLabels`).").required(),
            Column::new("constraint_name", Type::Name, "Name of the constraint.").required(),
            Column::new("template", Type::Name, "Name of the constraint's template."),
            Column::new(
                "enforcement_action",
                Type::Name,
                "What the constraint asks for: `deny`, `warn`, `dryrun`; several by commas.",
            ),
            Column::new("api_group", Type::Name, "API group of the object; empty for the core group.").required(),
            Column::new("kind", Type::Name, "Kind of the object.").required(),
            Column::new("namespace", Type::Name, "Namespace of the object; empty for objects of the cluster.")
                .required(),
            Column::new("name", Type::Text, "Name of the object.").required(),
            Column::new("uid", Type::Text, "Identity of the object over its whole life."),
            Column::new(
                "violation_id",
                Type::Text,
                "The same finding on the same object has the same id in every audit.",
            )
            .required(),
            Column::new("message", Type::Text, "What is broken, in the template's words."),
            Column::new("details", Type::Json, "What else the template says about it."),
            Column::new("engine", Type::Name, "What evaluated it: `rego` or `cel`."),
            Column::new(
                "is_failure",
                Type::Bool,
                "True: the rule could not be evaluated, which counts as broken; the message says why.",
            ),
            Column::new("audit_run", Type::Name, "The audit that saw it last; see `policy_audit`."),
            Column::new("audited_at", Type::Time, "When that audit began."),
        ],
    )
};

/// The audits themselves.
pub static POLICY_AUDIT: Table = Table {
    time: "audited_at",
    ..Table::new(
        "policy_audit",
        "One row a cluster for every audit: what was held against which rules, and what came of it.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the objects.").required(),
            Column::new("cluster", Type::Name, "Cluster that was audited.").required(),
            Column::new("audit_run", Type::Name, "Id of the audit.").required(),
            Column::new("audited_at", Type::Time, "When it began.").required(),
            Column::new("duration_ms", Type::Float, "How long it took.").unit("ms"),
            Column::new("engine", Type::Name, "Which engine was asked for: `rego`, `cel` or `both`."),
            Column::new("templates", Type::Int, "Templates in the set."),
            Column::new("constraints", Type::Int, "Constraints in the set."),
            Column::new("objects", Type::Int, "Objects that were read."),
            Column::new("reviews", Type::Int, "Evaluations of a constraint on an object."),
            Column::new("violations", Type::Int, "Violations found, failures among them."),
            Column::new("failures", Type::Int, "Evaluations that could not be made, and so deny."),
            Column::new("vanished", Type::Int, "Violations of earlier audits that are gone."),
            Column::new("notes", Type::Json, "What was said when the policies were loaded."),
        ],
    )
};
