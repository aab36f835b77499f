//! `ado_environment`, `ado_environment_deployment`, `ado_service_endpoint`: where pipelines deploy, and through what.

use engine::{Column, Table, Type};

use super::origin::{ORGANIZATION, PROJECT, PROJECT_ID, TENANT, VERSION};
use super::shape::Shape;

/// Environments of pipelines.
pub static ADO_ENVIRONMENT: Table = Table {
    key: &["organization", "project_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_environment",
        "Environments of pipelines.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Int, "Number of the environment.").required(),
            Column::new("name", Type::Name, "Name."),
            Column::new("description", Type::Text, "What it is for."),
            Column::new("created_by", Type::Text, "Display name of who made it."),
            Column::new("created_by_unique_name", Type::Text, "Unique name of who made it."),
            Column::new("created_on", Type::Time, "When it was made."),
            Column::new("last_modified_on", Type::Time, "When it was changed last."),
            VERSION,
        ],
    )
};

/// How [`ADO_ENVIRONMENT`] is read.
pub static ENVIRONMENT: Shape = Shape { table: &ADO_ENVIRONMENT, paths: &[] };

/// Deployments to environments.
pub static ADO_ENVIRONMENT_DEPLOYMENT: Table = Table {
    key: &["organization", "project_id", "environment_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_environment_deployment",
        "Deployments to environments.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("environment_id", Type::Int, "Number of the environment.").required(),
            Column::new("environment", Type::Name, "Name of the environment."),
            Column::new("id", Type::Int, "Number of the deployment record.").required(),
            Column::new("run_id", Type::Int, "Number of the run (build) that deployed."),
            Column::new("definition_id", Type::Int, "Number of the pipeline."),
            Column::new("definition", Type::Name, "Name of the pipeline."),
            Column::new("stage_name", Type::Text, "Stage that deployed."),
            Column::new("job_name", Type::Text, "Job that deployed."),
            Column::new("stage_attempt", Type::Int, "Counts repetitions of the stage."),
            Column::new("result", Type::Name, "`succeeded`, `failed`, `canceled`, `skipped`; null before its end."),
            Column::new("queue_time", Type::Time, "When it was queued."),
            Column::new("start_time", Type::Time, "When it began."),
            Column::new("finish_time", Type::Time, "When it ended."),
            Column::new("duration_ms", Type::Int, "From start to finish.").unit("ms"),
            VERSION,
        ],
    )
};

/// How [`ADO_ENVIRONMENT_DEPLOYMENT`] is read.
pub static ENVIRONMENT_DEPLOYMENT: Shape =
    Shape { table: &ADO_ENVIRONMENT_DEPLOYMENT, paths: &[("run_id", "owner.id"), ("definition_id", "definition.id")] };

/// Service connections; what they authorize with is never kept.
pub static ADO_SERVICE_ENDPOINT: Table = Table {
    key: &["organization", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_service_endpoint",
        "Service connections; what they authorize with is never kept.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Text, "Id of the endpoint.").required(),
            Column::new("name", Type::Name, "Name."),
            Column::new("type", Type::Name, "`azurerm`, `github`, `generic` …"),
            Column::new("target_url", Type::Text, "Where it leads."),
            Column::new("description", Type::Text, "What it is for."),
            Column::new("authorization_scheme", Type::Name, "How it authorizes (`ServicePrincipal`, `Token` …)."),
            Column::new("is_ready", Type::Bool, "Usable."),
            Column::new("is_shared", Type::Bool, "Shared between projects."),
            Column::new("owner", Type::Name, "`library` or `agentcloud`."),
            Column::new("created_by", Type::Text, "Display name of who made it."),
            Column::new("created_by_unique_name", Type::Text, "Unique name of who made it."),
            Column::new("operation_status", Type::Json, "State of its creation."),
            Column::new("project_ids", Type::Json, "Projects that may use it."),
            VERSION,
        ],
    )
};

/// How [`ADO_SERVICE_ENDPOINT`] is read.
pub static SERVICE_ENDPOINT: Shape = Shape {
    table: &ADO_SERVICE_ENDPOINT,
    paths: &[
        ("target_url", "url"),
        ("authorization_scheme", "authorization.scheme"),
        ("project_ids", "projectIds|serviceEndpointProjectReferences"),
    ],
};
