//! `ado_agent_pool`, `ado_elastic_pool`, `ado_agent_queue`, `ado_agent`: who runs jobs.

use engine::{Column, Table, Type};

use super::origin::{ORGANIZATION, PROJECT, PROJECT_ID, TENANT, VERSION};
use super::shape::Shape;

/// Pools of agents.
pub static ADO_AGENT_POOL: Table = Table {
    key: &["organization", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_agent_pool",
        "Pools of agents.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Int, "Number of the pool.").required(),
            Column::new("name", Type::Name, "Name."),
            Column::new("pool_type", Type::Name, "`automation` or `deployment`."),
            Column::new("is_hosted", Type::Bool, "Run by Microsoft."),
            Column::new("agent_count", Type::Int, "Agents in it."),
            Column::new("auto_provision", Type::Bool, "Every project gets a queue to it."),
            Column::new("auto_update", Type::Bool, "Agents update themselves."),
            Column::new("created_on", Type::Time, "When it was made."),
            Column::new("pool_options", Type::Name, "Options."),
            VERSION,
        ],
    )
};

/// How [`ADO_AGENT_POOL`] is read.
pub static AGENT_POOL: Shape =
    Shape { table: &ADO_AGENT_POOL, paths: &[("agent_count", "size"), ("pool_options", "options")] };

/// Pools on scale sets, and how large they are.
pub static ADO_ELASTIC_POOL: Table = Table {
    key: &["organization", "pool_id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_elastic_pool",
        "Pools on scale sets, and how large they are.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("pool_id", Type::Int, "Number of the pool.").required(),
            Column::new("pool_name", Type::Name, "Name of the pool."),
            Column::new("azure_id", Type::Text, "Scale set in Azure."),
            Column::new("desired_size", Type::Int, "Machines wanted."),
            Column::new("previous_size", Type::Int, "Machines wanted before."),
            Column::new("desired_idle", Type::Int, "Machines that wait."),
            Column::new("max_capacity", Type::Int, "Most machines."),
            Column::new("state", Type::Name, "`online`, `offline`, `unhealthy`, `new`."),
            Column::new("os_type", Type::Name, "`linux` or `windows`."),
            Column::new("recycle_after_each_use", Type::Bool, "A machine serves one job."),
            Column::new("time_to_live_minutes", Type::Int, "How long an idle machine stays."),
            VERSION,
        ],
    )
};

/// How [`ADO_ELASTIC_POOL`] is read.
pub static ELASTIC_POOL: Shape = Shape {
    table: &ADO_ELASTIC_POOL,
    paths: &[("azure_id", "azureId|resourceId"), ("desired_size", "desiredSize|newSize")],
};

/// Queues, through which projects use pools.
pub static ADO_AGENT_QUEUE: Table = Table {
    key: &["organization", "project_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_agent_queue",
        "Queues, through which projects use pools.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Int, "Number of the queue.").required(),
            Column::new("name", Type::Name, "Name."),
            Column::new("pool_id", Type::Int, "Number of the pool."),
            Column::new("pool", Type::Name, "Name of the pool."),
            Column::new("is_hosted", Type::Bool, "Run by Microsoft."),
            VERSION,
        ],
    )
};

/// How [`ADO_AGENT_QUEUE`] is read.
pub static AGENT_QUEUE: Shape = Shape {
    table: &ADO_AGENT_QUEUE,
    paths: &[("id", "id|queueId"), ("name", "name|queueName"), ("pool_id", "pool.id"), ("is_hosted", "pool.isHosted")],
};

/// Agents of pools.
pub static ADO_AGENT: Table = Table {
    key: &["organization", "pool_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_agent",
        "Agents of pools.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("pool_id", Type::Int, "Number of the pool.").required(),
            Column::new("id", Type::Int, "Number of the agent.").required(),
            Column::new("name", Type::Name, "Name."),
            Column::new("agent_version", Type::Name, "Version of its software."),
            Column::new("os_description", Type::Text, "Its operating system."),
            Column::new("enabled", Type::Bool, "Takes jobs."),
            Column::new("status", Type::Name, "`online` or `offline`."),
            Column::new("provisioning_state", Type::Name, "State of its machine."),
            Column::new("created_on", Type::Time, "When it was registered."),
            Column::new("status_changed_on", Type::Time, "When its status changed."),
            Column::new("system_capabilities", Type::Json, "What it has, without values that look like keys."),
            Column::new("user_capabilities", Type::Json, "What it was given."),
            VERSION,
        ],
    )
};

/// How [`ADO_AGENT`] is read.
pub static AGENT: Shape = Shape { table: &ADO_AGENT, paths: &[("agent_version", "version")] };
