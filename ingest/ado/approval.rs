//! `ado_approval`, `ado_approval_step`, `ado_check`, `ado_manual_intervention`: what a pipeline waits for.

use engine::{Column, Table, Type};

use super::origin::{ORGANIZATION, PROJECT, PROJECT_ID, TENANT, VERSION};
use super::shape::Shape;

/// Approvals of pipelines.
pub static ADO_APPROVAL: Table = Table {
    key: &["organization", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_approval",
        "Approvals of pipelines.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Text, "Id of the approval.").required(),
            Column::new("status", Type::Name, "`pending`, `approved`, `rejected`, `skipped`, `canceled`, `timedOut` …"),
            Column::new("created_on", Type::Time, "When it was asked for."),
            Column::new("last_modified_on", Type::Time, "When it was changed last."),
            Column::new("instructions", Type::Text, "What the approvers are told."),
            Column::new("min_required_approvers", Type::Int, "So many must approve."),
            Column::new("execution_order", Type::Name, "`anyOrder` or `inSequence`."),
            Column::new("pipeline_id", Type::Int, "Number of the pipeline that waits."),
            Column::new("pipeline", Type::Name, "Name of the pipeline that waits."),
            Column::new("run_id", Type::Int, "Number of the run that waits."),
            Column::new("stage_name", Type::Text, "Stage that waits."),
            Column::new("blocked_approvers", Type::Json, "Who may not approve."),
            VERSION,
        ],
    )
};

/// How [`ADO_APPROVAL`] is read.
pub static APPROVAL: Shape =
    Shape { table: &ADO_APPROVAL, paths: &[("pipeline_id", "pipeline.id"), ("run_id", "run.id|pipeline.owner.id")] };

/// What each approver said.
pub static ADO_APPROVAL_STEP: Table = Table {
    key: &["organization", "approval_id", "approver_id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_approval_step",
        "What each approver said.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("approval_id", Type::Text, "Id of the approval.").required(),
            Column::new("approver_id", Type::Text, "Id of who is asked.").required(),
            Column::new("assigned_approver", Type::Text, "Display name of who is asked."),
            Column::new("assigned_approver_unique_name", Type::Text, "Unique name of who is asked."),
            Column::new("actual_approver", Type::Text, "Display name of who answered."),
            Column::new("actual_approver_unique_name", Type::Text, "Unique name of who answered."),
            Column::new("status", Type::Name, "`pending`, `approved`, `rejected` …"),
            Column::new("comment", Type::Text, "What was said."),
            Column::new("initiated_on", Type::Time, "When it was asked."),
            Column::new("last_modified_on", Type::Time, "When it was answered."),
            Column::new("step_order", Type::Int, "Place in the sequence."),
            VERSION,
        ],
    )
};

/// How [`ADO_APPROVAL_STEP`] is read.
pub static APPROVAL_STEP: Shape =
    Shape { table: &ADO_APPROVAL_STEP, paths: &[("approver_id", "assignedApprover.id"), ("step_order", "order")] };

/// Checks that guard environments, queues, endpoints and repositories.
pub static ADO_CHECK: Table = Table {
    key: &["organization", "project_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_check",
        "Checks that guard environments, queues, endpoints and repositories.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Int, "Number of the check configuration.").required(),
            Column::new("type_id", Type::Text, "Id of the kind of check."),
            Column::new("type_name", Type::Name, "Kind (`Approval`, `Task Check`, `ExtendsCheck` …)."),
            Column::new(
                "resource_type",
                Type::Name,
                "What it guards: `environment`, `queue`, `endpoint`, `repository` …",
            ),
            Column::new("resource_id", Type::Text, "Id of what it guards."),
            Column::new("resource_name", Type::Text, "Name of what it guards."),
            Column::new("timeout_minutes", Type::Int, "Longest wait."),
            Column::new("is_disabled", Type::Bool, "Not in force."),
            Column::new("check_version", Type::Int, "Counts its changes."),
            Column::new("created_by", Type::Text, "Display name of who made it."),
            Column::new("created_by_unique_name", Type::Text, "Unique name of who made it."),
            Column::new("created_on", Type::Time, "When it was made."),
            Column::new("modified_on", Type::Time, "When it was changed last."),
            Column::new("settings", Type::Json, "What it demands."),
            VERSION,
        ],
    )
};

/// How [`ADO_CHECK`] is read.
pub static CHECK: Shape = Shape {
    table: &ADO_CHECK,
    paths: &[
        ("id", "id|checkConfigurationId"),
        ("type_id", "type.id"),
        ("type_name", "type.name"),
        ("resource_type", "resource.type"),
        ("resource_id", "resource.id"),
        ("resource_name", "resource.name"),
        ("timeout_minutes", "timeout"),
        ("check_version", "version"),
    ],
};

/// Pipelines that wait for a person.
pub static ADO_MANUAL_INTERVENTION: Table = Table {
    key: &["organization", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_manual_intervention",
        "Pipelines that wait for a person.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Text, "Id of the intervention.").required(),
            Column::new("name", Type::Text, "Name."),
            Column::new("status", Type::Name, "`pending`, `approved`, `rejected`, `canceled`."),
            Column::new("instructions", Type::Text, "What to do."),
            Column::new("comments", Type::Text, "What was said."),
            Column::new("approver", Type::Text, "Display name of who answered."),
            Column::new("approver_unique_name", Type::Text, "Unique name of who answered."),
            Column::new("created_on", Type::Time, "When it was asked for."),
            Column::new("modified_on", Type::Time, "When it was changed last."),
            Column::new("release_id", Type::Int, "Number of the release that waits."),
            Column::new("url", Type::Text, "REST address."),
            VERSION,
        ],
    )
};

/// How [`ADO_MANUAL_INTERVENTION`] is read.
pub static MANUAL_INTERVENTION: Shape =
    Shape { table: &ADO_MANUAL_INTERVENTION, paths: &[("release_id", "release.id")] };
