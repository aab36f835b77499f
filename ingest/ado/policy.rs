//! `ado_policy_configuration`, `ado_policy_evaluation`: what a branch demands, and whether a pull request meets it.

use engine::{Column, Table, Type};

use super::origin::{ORGANIZATION, PROJECT, PROJECT_ID, TENANT, VERSION};
use super::shape::Shape;

/// Branch policies.
pub static ADO_POLICY_CONFIGURATION: Table = Table {
    key: &["organization", "project_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_policy_configuration",
        "Branch policies.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Int, "Number of the policy in its project.").required(),
            Column::new("revision", Type::Int, "Counts its changes."),
            Column::new("type_id", Type::Text, "Id of the kind of policy."),
            Column::new(
                "type_name",
                Type::Name,
                "Kind (`Minimum number of reviewers`, `Build`, `Required reviewers` …).",
            ),
            Column::new("is_enabled", Type::Bool, "In force."),
            Column::new("is_blocking", Type::Bool, "Stops the merge."),
            Column::new("is_deleted", Type::Bool, "Deleted."),
            Column::new("created_by", Type::Text, "Display name of who set it."),
            Column::new("created_by_unique_name", Type::Text, "Unique name of who set it."),
            Column::new("created_date", Type::Time, "When this revision was made."),
            Column::new("settings", Type::Json, "What it demands, and of which branches."),
            Column::new("url", Type::Text, "REST address."),
            VERSION,
        ],
    )
};

/// How [`ADO_POLICY_CONFIGURATION`] is read.
pub static POLICY_CONFIGURATION: Shape =
    Shape { table: &ADO_POLICY_CONFIGURATION, paths: &[("type_id", "type.id"), ("type_name", "type.displayName")] };

/// Policies as they stand for a pull request.
pub static ADO_POLICY_EVALUATION: Table = Table {
    key: &["organization", "evaluation_id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_policy_evaluation",
        "Policies as they stand for a pull request.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("evaluation_id", Type::Text, "Id of the evaluation.").required(),
            Column::new("pull_request_id", Type::Int, "Number of the pull request."),
            Column::new("configuration_id", Type::Int, "Number of the policy."),
            Column::new("type_name", Type::Name, "Kind of policy."),
            Column::new("is_blocking", Type::Bool, "Stops the merge."),
            Column::new(
                "status",
                Type::Name,
                "`queued`, `running`, `approved`, `rejected`, `notApplicable`, `broken`.",
            ),
            Column::new("started_date", Type::Time, "When it began."),
            Column::new("completed_date", Type::Time, "When it ended."),
            Column::new("context", Type::Json, "What it looked at (build, build definition …)."),
            VERSION,
        ],
    )
};

/// How [`ADO_POLICY_EVALUATION`] is read.
pub static POLICY_EVALUATION: Shape = Shape {
    table: &ADO_POLICY_EVALUATION,
    paths: &[
        ("configuration_id", "configuration.id"),
        ("type_name", "configuration.type.displayName"),
        ("is_blocking", "configuration.isBlocking"),
    ],
};
