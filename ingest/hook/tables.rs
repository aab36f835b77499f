//! `hook_event` and `hook_alert`.

use engine::{Column, Index, Table, Type};

/// Deliveries of web hooks.
pub static HOOK_EVENT: Table = Table {
    key: &["hook", "delivery_id"],
    time: "received_at",
    indexes: &[Index::BTree("delivery_id")],
    retention_days: Some(90),
    ..Table::new(
        "hook_event",
        "Deliveries of web hooks as they came. A delivery that comes again is the same row; one that was replayed is another. Rules follow it by `on: [hook_event]`.",
        &[
            Column::new("tenant", Type::Name, "The sender's tenant, as the settings say.").required(),
            Column::new("hook", Type::Name, "The sender's name in the settings, and in the path: `POST /hooks/NAME`.").required(),
            Column::new("scheme", Type::Name, "`github`, `alertmanager`, `argocd`, `ado` or `hmac`.").required(),
            Column::new("event", Type::Name, "What happened, in the sender's words: `pull_request.opened`, `firing`, `git.push`.").required(),
            Column::new("delivery_id", Type::Text, "What tells deliveries apart: the sender's own id, for Alertmanager the group with its alerts and their starts, else the hash of the body.").required(),
            Column::new("subject", Type::Text, "What it is about, where the sender says it: a repository with a number, an alert's name, an application."),
            Column::new("body", Type::Json, "The body, redacted. A text that is no JSON is a JSON text."),
            Column::new("body_bytes", Type::Int, "Size of the body as received.").unit("bytes"),
            Column::new("body_sha256", Type::Text, "SHA-256 of the body as received."),
            Column::new("replay_of", Type::Text, "The delivery that was replayed; null for one that was received."),
            Column::new("received_at", Type::Time, "When it was received, or replayed.").required(),
        ],
    )
};

/// Alerts of Alertmanager.
pub static HOOK_ALERT: Table = Table {
    key: &["hook", "fingerprint"],
    version: Some("changed_at"),
    time: "changed_at",
    indexes: &[Index::BTree("fingerprint")],
    ..Table::new(
        "hook_alert",
        "Alerts of Alertmanager as they stand: one row an alert, firing or resolved. Rules follow it by `on: [hook_alert]`.",
        &[
            Column::new("tenant", Type::Name, "The sender's tenant, as the settings say.").required(),
            Column::new("hook", Type::Name, "The sender's name in the settings.").required(),
            Column::new("fingerprint", Type::Text, "Identity of the alert: a hash of its labels.").required(),
            Column::new("status", Type::Name, "`firing` or `resolved`.").required(),
            Column::new("alertname", Type::Name, "Its name."),
            Column::new("severity", Type::Name, "Its label `severity`."),
            Column::new("summary", Type::Text, "Its annotation `summary`, else `description` or `message`."),
            Column::new("labels", Type::Json, "Its labels."),
            Column::new("annotations", Type::Json, "Its annotations."),
            Column::new("generator_url", Type::Text, "Where it comes from."),
            Column::new("group_key", Type::Text, "The group that it was delivered in."),
            Column::new("starts_at", Type::Time, "When it began to fire.").required(),
            Column::new("ends_at", Type::Time, "When it was resolved; null while it fires."),
            Column::new(
                "changed_at",
                Type::Time,
                "Its start, or its end once it is resolved: says which delivery is newer.",
            )
            .required(),
        ],
    )
};
