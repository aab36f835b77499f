//! How long rows are kept: a file of rules by table, signal and tenant, legal holds that win over every rule, and what came
//! of them. Maintenance asks here before it deletes anything.

mod copy;
mod hold;
mod policy;

use std::sync::Arc;

use async_trait::async_trait;
use engine::clock::rfc3339;
use engine::{Clock, Column, Due, Expired, Keeper, Kept, Result, Scope, State, StateTable, Store, Table, Type, Value};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::audit::{Audit, Entry};
use crate::principal::Caller;

pub use copy::{CheckedCopy, HoldCopy};
pub(crate) use hold::fresh_id;
pub use hold::{HoldEntry, HoldOrder, Holds};
pub use policy::{Policy, SIGNALS};

/// What is kept of each table, as it was last looked at.
pub static RETENTION_STATUS: StateTable = StateTable {
    name: "retention_status",
    doc: "How long each table's rows are kept, how many are past their time, and what holds keep them, as of the last look: `stellwerk retention status` looks anew, a server every hour. Seen by the platform only.",
    columns: &[
        Column::new("table_name", Type::Text, "The table.").required(),
        Column::new("keep", Type::Text, "How long: `30d`, `forever`; other times of tenants behind it.").required(),
        Column::new(
            "origin",
            Type::Text,
            "Who says so: `declared` with the table, or the rules of the file by number.",
        )
        .required(),
        Column::new("stored_rows", Type::Int, "Rows that are stored, superseded ones among them.").required(),
        Column::new("size_bytes", Type::Int, "Bytes of their files.").required(),
        Column::new("due_rows", Type::Int, "Rows past their time that the next round deletes.").required(),
        Column::new("due_bytes", Type::Int, "Bytes of these, by their share of the rows.").required(),
        Column::new("held_rows", Type::Int, "Rows past their time that a hold keeps.").required(),
        Column::new("holds", Type::Json, "Ids of the holds that keep rows of the table, a list.").required(),
        Column::new("deleted_rows", Type::Int, "Rows that were deleted for their age so far.").required(),
        Column::new("deleted_at", Type::Time, "When the last of them were."),
        Column::new("checked_at", Type::Time, "When the table was looked at.").required(),
    ],
    hidden: &[],
    tenant: None,
};

/// The state tables of this room.
pub const STATE_TABLES: &[&StateTable] = &[&RETENTION_STATUS, &hold::LEGAL_HOLD, &copy::HOLD_COPY];

const PUT_STATUS: &str = "INSERT INTO retention_status
    (table_name, keep, origin, stored_rows, size_bytes, due_rows, due_bytes, held_rows, holds, deleted_rows, checked_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10)
    ON CONFLICT (table_name) DO UPDATE SET keep = excluded.keep, origin = excluded.origin,
        stored_rows = excluded.stored_rows, size_bytes = excluded.size_bytes, due_rows = excluded.due_rows,
        due_bytes = excluded.due_bytes, held_rows = excluded.held_rows, holds = excluded.holds,
        checked_at = excluded.checked_at";
const NOTE_DELETED: &str = "INSERT INTO retention_status
    (table_name, keep, origin, stored_rows, size_bytes, due_rows, due_bytes, held_rows, holds, deleted_rows, deleted_at, checked_at)
    VALUES ($1, '', '', 0, 0, 0, 0, 0, '[]', $2, $3, $3)
    ON CONFLICT (table_name) DO UPDATE SET deleted_rows = retention_status.deleted_rows + excluded.deleted_rows,
        deleted_at = excluded.deleted_at";
const DELETED: &str = "SELECT deleted_rows, deleted_at FROM retention_status WHERE table_name = $1";

/// What is kept of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableStatus {
    /// The table.
    pub table: String,
    /// How long, in words.
    pub keep: String,
    /// Who says so.
    pub origin: String,
    /// How much is past its time.
    #[serde(flatten)]
    pub due: Due,
    /// The holds that keep rows of it.
    pub holds: Vec<String>,
    /// Rows that were deleted for their age so far.
    pub deleted_rows: i64,
    /// When the last of them were, RFC 3339.
    pub deleted_at: Option<String>,
}

/// Answers what is kept.
#[derive(Debug)]
pub struct Retention {
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    audit: Arc<Audit>,
    policy: Policy,
    holds: Holds,
}

impl Retention {
    /// Over these rules and the holds of the state database.
    pub fn new(state: Arc<State>, clock: Arc<dyn Clock>, audit: Arc<Audit>, policy: Policy) -> Self {
        let holds = Holds::new(Arc::clone(&state), Arc::clone(&clock), Arc::clone(&audit));
        Retention { state, clock, audit, policy, holds }
    }

    /// The holds.
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Looks at every table, and notes what was seen in `retention_status`.
    pub async fn status(&self, store: &Store) -> Result<Vec<TableStatus>> {
        store.flush().await?;
        let mut all = Vec::new();
        for table in store.catalogue().tables.iter().copied() {
            let kept = self.kept(table).await?;
            let due = store.due(table, &kept).await?;
            let (keep, origin) = self.policy.said(table);
            let holds: Vec<String> = kept.holds.iter().map(|hold| hold.id.clone()).collect();
            let int = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
            let values = [
                table.name.into(),
                keep.as_str().into(),
                origin.as_str().into(),
                int(due.rows),
                int(due.size_bytes),
                int(due.due_rows),
                int(due.due_bytes),
                int(due.held_rows),
                json!(holds).to_string().into(),
                Value::Time(self.clock.now_us()),
            ];
            self.state.execute(PUT_STATUS, &values).await?;
            let deleted = self.state.fetch(DELETED, &[table.name.into()]).await?.pop();
            let (deleted_rows, deleted_at) = match deleted {
                Some(row) => (row.get("deleted_rows")?, row.get::<Option<i64>>("deleted_at")?),
                None => (0, None),
            };
            let deleted_at = deleted_at.map(rfc3339);
            all.push(TableStatus { table: table.name.to_owned(), keep, origin, due, holds, deleted_rows, deleted_at });
        }
        Ok(all)
    }

    /// Deletes what is past its time now; answers how every table stands afterwards.
    pub async fn run(&self, store: &Store, caller: &Caller) -> Result<Vec<TableStatus>> {
        self.audit.record(caller.entry("retention.run", "tables").of_tenant(None)).await?;
        store.sweep().await?;
        self.status(store).await
    }
}

#[async_trait]
impl Keeper for Retention {
    async fn kept(&self, table: &'static Table) -> Result<Kept> {
        Ok(Kept { holds: self.holds.of(table.name).await?, ..self.policy.kept(table) })
    }

    async fn expired(&self, expired: &Expired) {
        let Expired { table, rows, rows_in_whole_fragments, before_us } = *expired;
        tracing::info!(table, rows, "rows past their retention are deleted");
        let count = i64::try_from(rows).unwrap_or(i64::MAX);
        let values = [table.into(), Value::Int(count), Value::Time(self.clock.now_us())];
        if let Err(error) = self.state.execute(NOTE_DELETED, &values).await {
            tracing::warn!(table, %error, "rows that were deleted are not counted in retention_status");
        }
        let detail = json!({
            "rows": rows, "rows_in_whole_fragments": rows_in_whole_fragments, "before": rfc3339(before_us),
            "keep": self.policy.said_of(table),
        });
        let entry = Entry::new(&Scope::platform("store"), "retention.delete", table);
        if let Err(error) = self.audit.record(entry.because("past their retention").with(detail)).await {
            tracing::error!(table, rows, %error, "a deletion is missing in the audit log");
        }
    }
}

#[cfg(test)]
mod tests;
