//! `ado_hook_subscription`, `ado_audit_entry`: what Azure DevOps sends us, and what it noted of itself.

use engine::{Column, Table, Type};

use super::origin::{ORGANIZATION, PROJECT, PROJECT_ID, TENANT, VERSION};
use super::shape::Shape;

/// Service-hook subscriptions.
pub static ADO_HOOK_SUBSCRIPTION: Table = Table {
    key: &["organization", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_hook_subscription",
        "Service-hook subscriptions.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Text, "Id of the subscription.").required(),
            Column::new("event_type", Type::Name, "Event that it sends."),
            Column::new("publisher_id", Type::Name, "Who publishes it (`tfs`, `pipelines`, `rm` …)."),
            Column::new("resource_version", Type::Name, "Resource version that it sends."),
            Column::new("consumer_id", Type::Name, "Kind of receiver (`webHooks` …)."),
            Column::new("consumer_action_id", Type::Name, "What the receiver does."),
            Column::new(
                "status",
                Type::Name,
                "`enabled`, `onProbation`, `disabledByUser`, `disabledBySystem`, `disabledByInactiveIdentity`.",
            ),
            Column::new("probation_retries", Type::Int, "Tries on probation."),
            Column::new("created_by", Type::Text, "Display name of who made it."),
            Column::new("created_by_unique_name", Type::Text, "Unique name of who made it."),
            Column::new("created_date", Type::Time, "When it was made."),
            Column::new("modified_date", Type::Time, "When it was changed last."),
            Column::new("publisher_inputs", Type::Json, "Which events it sends."),
            Column::new("consumer_inputs", Type::Json, "Where it sends them, without passwords."),
            Column::new("url", Type::Text, "REST address."),
            VERSION,
        ],
    )
};

/// How [`ADO_HOOK_SUBSCRIPTION`] is read.
pub static HOOK_SUBSCRIPTION: Shape = Shape { table: &ADO_HOOK_SUBSCRIPTION, paths: &[] };

/// The organization's audit log.
pub static ADO_AUDIT_ENTRY: Table = Table {
    key: &["organization", "id"],
    version: Some("version"),
    time: "logged_at",
    ..Table::new(
        "ado_audit_entry",
        "The organization's audit log.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Text, "Id of the entry.").required(),
            Column::new("logged_at", Type::Time, "When it happened."),
            Column::new("actor", Type::Text, "Display name of who did it."),
            Column::new("actor_user_id", Type::Text, "Id of who did it."),
            Column::new("actor_upn", Type::Text, "Name that the actor signs in with."),
            Column::new("action_id", Type::Name, "What was done (`Git.RefUpdatePoliciesBypassed` …)."),
            Column::new("area", Type::Name, "Where (`Git`, `Security` …)."),
            Column::new("category", Type::Name, "`access`, `create`, `modify`, `remove`, `execute` …"),
            Column::new("category_display_name", Type::Name, "The same for people."),
            Column::new("details", Type::Text, "The same as a sentence."),
            Column::new("scope_type", Type::Name, "`organization`, `project` …"),
            Column::new("scope_display_name", Type::Text, "Name of the scope."),
            Column::new("scope_id", Type::Text, "Id of the scope."),
            Column::new("correlation_id", Type::Text, "What belongs to the same request."),
            Column::new("ip_address", Type::Text, "Where it came from."),
            Column::new("user_agent", Type::Text, "Program that asked."),
            Column::new("authentication_mechanism", Type::Name, "How the actor signed in."),
            Column::new("data", Type::Json, "All that the entry tells."),
            VERSION,
        ],
    )
};

/// How [`ADO_AUDIT_ENTRY`] is read.
pub static AUDIT_ENTRY: Shape = Shape {
    table: &ADO_AUDIT_ENTRY,
    paths: &[("logged_at", "timestamp"), ("actor", "actorDisplayName"), ("actor_upn", "actorUPN")],
};
