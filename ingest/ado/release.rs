//! `ado_release`, `ado_release_environment`, `ado_release_deployment`, `ado_release_approval`: classic releases.

use engine::{Column, Table, Type};

use super::origin::{ORGANIZATION, PROJECT, PROJECT_ID, TENANT, VERSION};
use super::shape::Shape;

/// Classic releases.
pub static ADO_RELEASE: Table = Table {
    key: &["organization", "project_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_release",
        "Classic releases.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Int, "Number of the release.").required(),
            Column::new("name", Type::Name, "Name."),
            Column::new("status", Type::Name, "`draft`, `active`, `abandoned`."),
            Column::new("definition_id", Type::Int, "Number of the release definition."),
            Column::new("definition", Type::Name, "Name of the release definition."),
            Column::new("reason", Type::Name, "`manual`, `continuousIntegration`, `schedule`, `pullRequest`."),
            Column::new("description", Type::Text, "What it is for."),
            Column::new("created_by", Type::Text, "Display name of who made it."),
            Column::new("created_by_unique_name", Type::Text, "Unique name of who made it."),
            Column::new("created_on", Type::Time, "When it was made."),
            Column::new("modified_on", Type::Time, "When it was changed last."),
            Column::new("keep_forever", Type::Bool, "Never cleaned."),
            Column::new("artifacts", Type::Json, "What it deploys."),
            Column::new("variables", Type::Json, "Variables, secret ones without their value."),
            Column::new("url", Type::Text, "REST address."),
            VERSION,
        ],
    )
};

/// How [`ADO_RELEASE`] is read.
pub static RELEASE: Shape = Shape {
    table: &ADO_RELEASE,
    paths: &[("definition_id", "releaseDefinition.id"), ("definition", "releaseDefinition.name")],
};

/// Environments (stages) of classic releases.
pub static ADO_RELEASE_ENVIRONMENT: Table = Table {
    key: &["organization", "project_id", "release_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_release_environment",
        "Environments (stages) of classic releases.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("release_id", Type::Int, "Number of the release.").required(),
            Column::new("id", Type::Int, "Number of the environment in its release.").required(),
            Column::new("name", Type::Name, "Name (`Dev`, `Production` …)."),
            Column::new(
                "status",
                Type::Name,
                "`notStarted`, `inProgress`, `succeeded`, `partiallySucceeded`, `rejected`, `canceled`, `queued`.",
            ),
            Column::new("definition_environment_id", Type::Int, "Number of the environment in the definition."),
            Column::new("env_rank", Type::Int, "Place in the release."),
            Column::new("owner", Type::Text, "Display name of its owner."),
            Column::new("owner_unique_name", Type::Text, "Unique name of its owner."),
            Column::new("created_on", Type::Time, "When it was made."),
            Column::new("modified_on", Type::Time, "When it was changed last."),
            Column::new("scheduled_deployment_time", Type::Time, "When it is to be deployed."),
            VERSION,
        ],
    )
};

/// How [`ADO_RELEASE_ENVIRONMENT`] is read.
pub static RELEASE_ENVIRONMENT: Shape =
    Shape { table: &ADO_RELEASE_ENVIRONMENT, paths: &[("release_id", "release.id|releaseId"), ("env_rank", "rank")] };

/// Deployments of classic releases.
pub static ADO_RELEASE_DEPLOYMENT: Table = Table {
    key: &["organization", "project_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_release_deployment",
        "Deployments of classic releases.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Int, "Number of the deployment.").required(),
            Column::new("release_id", Type::Int, "Number of the release."),
            Column::new("release", Type::Name, "Name of the release."),
            Column::new("definition_id", Type::Int, "Number of the release definition."),
            Column::new("definition", Type::Name, "Name of the release definition."),
            Column::new("environment_id", Type::Int, "Number of the environment in its release."),
            Column::new("environment", Type::Name, "Name of the environment."),
            Column::new("attempt", Type::Int, "Counts repetitions."),
            Column::new("reason", Type::Name, "Why."),
            Column::new(
                "deployment_status",
                Type::Name,
                "`notDeployed`, `inProgress`, `succeeded`, `partiallySucceeded`, `failed`.",
            ),
            Column::new("operation_status", Type::Name, "What it does now."),
            Column::new("requested_by", Type::Text, "Display name of who asked for it."),
            Column::new("requested_by_unique_name", Type::Text, "Unique name of who asked for it."),
            Column::new("queued_on", Type::Time, "When it was queued."),
            Column::new("started_on", Type::Time, "When it began."),
            Column::new("completed_on", Type::Time, "When it ended."),
            Column::new("last_modified_on", Type::Time, "When it was changed last."),
            VERSION,
        ],
    )
};

/// How [`ADO_RELEASE_DEPLOYMENT`] is read.
pub static RELEASE_DEPLOYMENT: Shape = Shape {
    table: &ADO_RELEASE_DEPLOYMENT,
    paths: &[
        ("release_id", "release.id"),
        ("release", "release.name"),
        ("definition_id", "releaseDefinition.id"),
        ("definition", "releaseDefinition.name"),
        ("environment_id", "releaseEnvironment.id"),
        ("environment", "releaseEnvironment.name"),
    ],
};

/// Approvals of classic releases.
pub static ADO_RELEASE_APPROVAL: Table = Table {
    key: &["organization", "project_id", "release_id", "environment_id", "approval_type", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_release_approval",
        "Approvals of classic releases.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Int, "Number of the approval.").required(),
            Column::new("approval_type", Type::Name, "`preDeploy` or `postDeploy`.").required(),
            Column::new(
                "status",
                Type::Name,
                "`pending`, `approved`, `rejected`, `reassigned`, `canceled`, `skipped`.",
            ),
            Column::new("approver", Type::Text, "Display name of who is asked."),
            Column::new("approver_unique_name", Type::Text, "Unique name of who is asked."),
            Column::new("approved_by", Type::Text, "Display name of who answered."),
            Column::new("approved_by_unique_name", Type::Text, "Unique name of who answered."),
            Column::new("comments", Type::Text, "What was said."),
            Column::new("is_automated", Type::Bool, "Approved by itself."),
            Column::new("attempt", Type::Int, "Counts repetitions."),
            Column::new("revision", Type::Int, "Counts changes."),
            Column::new("release_id", Type::Int, "Number of the release.").required(),
            Column::new("release", Type::Name, "Name of the release."),
            Column::new("environment_id", Type::Int, "Number of the environment in its release.").required(),
            Column::new("environment", Type::Name, "Name of the environment."),
            Column::new("created_on", Type::Time, "When it was asked."),
            Column::new("modified_on", Type::Time, "When it was changed last."),
            VERSION,
        ],
    )
};

/// How [`ADO_RELEASE_APPROVAL`] is read.
pub static RELEASE_APPROVAL: Shape = Shape {
    table: &ADO_RELEASE_APPROVAL,
    paths: &[
        ("release_id", "release.id"),
        ("release", "release.name"),
        ("environment_id", "releaseEnvironment.id"),
        ("environment", "releaseEnvironment.name"),
    ],
};
