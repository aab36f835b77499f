//! What went wrong, from telemetry: one text for a service and a day, with the patterns of its errors and how often each
//! came. Of the last week only: what is older is asked in SQL, and reading a month of records with every change costs more
//! than it tells.

use super::{MaterialSource, Pace};

/// Errors of logs and spans by service and day.
pub const INCIDENT: MaterialSource = MaterialSource {
    name: "incident",
    doc: "Errors of the last seven days, one text for a service and a day: patterns of log records, spans that failed, counts.",
    tables: &["otel_log", "otel_span"],
    sql: include_str!("incident.sql"),
    pace: Pace::SELDOM,
    is_written: false,
};
