//! Every question leaves a row: who asked what, what it cost, what it saw.

use crate::scope::{Scope, Tenants};
use crate::table::{Column, Table, Type};

/// Tenant of questions that were asked under the platform's own scope.
pub const PLATFORM: &str = "platform";

/// Questions, answered or not.
pub static QUERY_LOG: Table = Table {
    time: "started_at",
    retention_days: Some(90),
    ..Table::new(
        "query_log",
        "Every question put to the store: who asked, the SQL (redacted), how long it took, how many rows it gave, why it failed.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the asker; `platform` for the platform's own scope.")
                .required(),
            Column::new("query_id", Type::Text, "Id of the question, as the answer's header gave it.").required(),
            Column::new("principal", Type::Name, "Name of the asker's key.").required(),
            Column::new("sql", Type::Text, "The SQL as asked, redacted, its first 65,536 bytes."),
            Column::new("started_at", Type::Time, "When planning began.").required(),
            Column::new("duration_ms", Type::Float, "From planning to the last row.").unit("ms"),
            Column::new("rows", Type::Int, "Rows given.").unit("rows"),
            Column::new(
                "snapshot_seq",
                Type::Int,
                "Every row before this `_seq` was visible; `as_of(table, snapshot_seq - 1)` asks again.",
            ),
            Column::new("status", Type::Name, "`ok`, `error` or `cancelled`.").required(),
            Column::new("error", Type::Text, "Why it failed."),
        ],
    )
};

/// What a row of the log says, gathered while the question runs.
#[derive(Debug, Clone)]
pub struct Entry {
    pub query_id: String,
    pub sql: String,
    pub started_us: i64,
    pub rows: u64,
    pub snapshot_seq: u64,
    pub status: &'static str,
    pub error: Option<String>,
}

/// The tenant that a scope's questions are logged under: with several, the first.
pub fn tenant_of(scope: &Scope) -> &str {
    match &scope.tenants {
        Tenants::All => PLATFORM,
        Tenants::One(tenant) => tenant,
        Tenants::Several(tenants) => &tenants[0],
    }
}
