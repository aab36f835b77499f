//! `ado_alert`: what Advanced Security found.

use engine::{Column, Table, Type};

use super::origin::{ORGANIZATION, PROJECT, PROJECT_ID, TENANT, VERSION};
use super::shape::Shape;

/// Alerts of Advanced Security: code, dependencies, secrets.
pub static ADO_ALERT: Table = Table {
    key: &["organization", "repository_url", "alert_id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_alert",
        "Alerts of Advanced Security: code, dependencies, secrets. A secret itself is never kept.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("repository_url", Type::Text, "Repository that it is about.").required(),
            Column::new("alert_id", Type::Int, "Number of the alert in its repository.").required(),
            Column::new("title", Type::Text, "Title."),
            Column::new("severity", Type::Name, "`low`, `medium`, `high`, `critical`, `note`, `warning`, `error`."),
            Column::new("confidence", Type::Name, "How sure the tool is."),
            Column::new("state", Type::Name, "`active`, `dismissed`, `fixed`, `autoDismissed`."),
            Column::new("alert_type", Type::Name, "`code`, `dependency`, `secret`."),
            Column::new("tool", Type::Name, "Tool that found it."),
            Column::new("rule", Type::Text, "Rule that it breaks."),
            Column::new("git_ref", Type::Text, "Branch on which it was found."),
            Column::new("first_seen_date", Type::Time, "When it was found first."),
            Column::new("last_seen_date", Type::Time, "When it was found last."),
            Column::new("introduced_date", Type::Time, "When it came in."),
            Column::new("fixed_date", Type::Time, "When it was gone."),
            Column::new("dismissal_type", Type::Name, "Why it was dismissed."),
            Column::new("physical_locations", Type::Json, "Where it is, by file and line."),
            Column::new("tools", Type::Json, "Tools and rules."),
            VERSION,
        ],
    )
};

/// How [`ADO_ALERT`] is read.
pub static ALERT: Shape = Shape { table: &ADO_ALERT, paths: &[("dismissal_type", "dismissal.dismissalType")] };
