//! The audit log: every decision and change is a row, and one RFC 6962 tree over all rows tells whether any of them was
//! changed, removed, inserted or put elsewhere since. It lives in the state database, because a row of it must be durable
//! together with the change that it tells of.

mod append;
mod budgets;
mod denial;
mod entry;
pub mod export;
pub mod merkle;
pub mod proof;
pub mod retire;
mod rewind;
pub mod root;
pub mod siem;
mod stored;
pub mod verify;
mod witness;
mod writer;

use std::sync::Arc;

use engine::sqlx::AssertSqlSafe;
use engine::state::Transaction;
use engine::{Clock, Column, Needles, Redactor, Result, State, StateTable, Type, Value};
use tokio::sync::{mpsc, oneshot};

use crate::directory::Dice;
use crate::principal::Caller;
use append::Ink;
use denial::Denials;
use writer::Command;

pub use denial::{SAMPLED_MAX, WINDOW};
pub use entry::{Entry, Outcome};
pub use rewind::{Rewind, TABLES as HISTORY};
pub use witness::{Book, Compared, compare};

/// Decisions and changes.
pub static AUDIT: StateTable = StateTable {
    name: "audit",
    doc: "Decisions and changes: who did what to what, on whose behalf, why it was allowed, how it ended. Written once; `stellwerk audit verify` finds what was changed since. A tenant sees what is its own matter.",
    columns: &[
        Column::new("seq", Type::Int, "The row's place in the log, from 0; the leaf's index in the tree.").required(),
        Column::new("at", Type::Time, "When it became durable.").required(),
        Column::new("tenant", Type::Text, "Whose matter it is; null for the platform's own."),
        Column::new("actor", Type::Text, "Who did it; null once the name was erased."),
        Column::new("on_behalf_of", Type::Text, "For whom the actor says it acted."),
        Column::new("personal", Type::Text, "The person whom the row is about, until the name is erased."),
        Column::new("action", Type::Text, "What was done: `key.create`, `tenant.apply`, `sql.ask`, `commit` …")
            .required(),
        Column::new("subject", Type::Text, "The id of what it was done to.").required(),
        Column::new("reason", Type::Text, "Why it was allowed, or refused."),
        Column::new("outcome", Type::Text, "`done`, `denied` or `failed`.").required(),
        Column::new(
            "occurrences",
            Type::Int,
            "How often: 1, or the denials of a minute that have no row of their own.",
        )
        .required(),
        Column::new("trace_id", Type::Text, "The trace of the request."),
        Column::new("detail", Type::Json, "What else there is to know."),
        Column::new("leaf_hash", Type::Text, "SHA-256 of the row's leaf, hexadecimal.").required(),
    ],
    hidden: &["actor_commitment", "on_behalf_commitment", "personal_commitment"],
    tenant: Some("tenant"),
};

/// Segments of the log.
pub static AUDIT_SEGMENT: StateTable = StateTable {
    name: "audit_segment",
    doc: "Whole segments of 4,096 audit rows: sealed when the last row came, retired when their rows lie in a file instead. Seen by the platform only.",
    columns: &[
        Column::new("segment", Type::Int, "Number of the segment, from 0; it holds the rows from 4096 times that.")
            .required(),
        Column::new("root", Type::Text, "Root of the tree over its rows, hexadecimal.").required(),
        Column::new("sealed_at", Type::Time, "When its last row came.").required(),
        Column::new("retired_at", Type::Time, "When its rows were removed here."),
        Column::new("retired_to", Type::Text, "Where they lie instead."),
    ],
    hidden: &[],
    tenant: None,
};

/// Roots that were signed and put somewhere.
pub static AUDIT_ROOT: StateTable = StateTable {
    name: "audit_root",
    doc: "Signed roots of the audit log, and where they were put. Seen by the platform only.",
    columns: &[
        Column::new("size", Type::Int, "Rows of the log under this root.").required(),
        Column::new("destination", Type::Text, "The folder or the URL of the object store.").required(),
        Column::new("root", Type::Text, "The root, hexadecimal.").required(),
        Column::new("key", Type::Text, "The public key that it is signed with, Ed25519, hexadecimal.").required(),
        Column::new("signature", Type::Text, "The signature, hexadecimal.").required(),
        Column::new("at", Type::Time, "When it was signed.").required(),
    ],
    hidden: &[],
    tenant: None,
};

/// The state tables of the log.
pub const STATE_TABLES: &[&StateTable] = &[&AUDIT, &AUDIT_SEGMENT, &AUDIT_ROOT];

/// The hash of the leaf that an entry becomes at a place, its commitments made anew: the pure part of appending.
pub fn leaf(entry: Entry, seq: u64, at_us: i64, dice: &dyn Dice) -> Result<merkle::Hash> {
    Ok(entry::Row::of(entry, seq, at_us, dice, &str::to_owned)?.leaf())
}

/// The columns with personal values.
const PERSONAL: [&str; 3] = ["actor", "on_behalf_of", "personal"];
/// Rows of one tenant, and those of none: the tenant is the last value.
const OF_TENANT: &str = "(tenant IS NULL OR tenant = $2)";

/// For a column: away with the salts, then with the values.
fn erasing(column: &str, of: &str) -> (String, String) {
    let rows = format!("{column} = $1{of}");
    (
        format!("DELETE FROM audit_salt WHERE field = '{column}' AND seq IN (SELECT seq FROM audit WHERE {rows})"),
        format!("UPDATE audit SET {column} = NULL WHERE {rows}"),
    )
}

const LEAF_TEXTS: &str = "SELECT seq, tenant, action, subject, reason, outcome, trace_id, detail FROM audit
    WHERE seq > $1 ORDER BY seq LIMIT 4096";

/// The log, open for writing.
#[derive(Debug)]
pub struct Audit {
    pen: Arc<Pen>,
    writer: mpsc::Sender<Command>,
    denials: Denials,
}

/// What writes.
struct Pen {
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    redactor: Arc<dyn Redactor>,
}

impl std::fmt::Debug for Pen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pen").finish_non_exhaustive()
    }
}

impl Pen {
    fn clean(&self, text: &str) -> String {
        self.redactor.redact(text).into_owned()
    }

    async fn append_in(&self, transaction: &mut Transaction, entries: Vec<Entry>) -> Result<u64> {
        let clean = |text: &str| self.clean(text);
        let ink = Ink { now_us: self.clock.now_us(), dice: self.dice.as_ref(), clean: &clean };
        append::append(transaction, entries, &ink).await
    }

    async fn append(&self, entries: Vec<Entry>) -> Result<u64> {
        let mut transaction = self.state.transaction().await?;
        let first = self.append_in(&mut transaction, entries).await?;
        transaction.commit().await?;
        Ok(first)
    }
}

impl Audit {
    /// Opens the log in `state` and starts its writer. Free text passes the redactor before it is written.
    pub async fn start(
        state: Arc<State>,
        clock: Arc<dyn Clock>,
        dice: Arc<dyn Dice>,
        redactor: Arc<dyn Redactor>,
    ) -> Result<Audit> {
        let mut id = [0; 16];
        dice.fill(&mut id)?;
        let name = "UPDATE audit_head SET log = $1 WHERE id = 1 AND log IS NULL";
        if append::head(&state).await?.log.is_none() {
            state.execute(name, &[hex::encode(id).into()]).await?;
        }
        let pen = Arc::new(Pen { state, clock, dice, redactor });
        Ok(Audit { writer: writer::start(Arc::clone(&pen)), pen, denials: Denials::default() })
    }

    /// Writes an entry; durable when this returns, and its place in the log.
    pub async fn record(&self, entry: Entry) -> Result<u64> {
        writer::record(&self.writer, entry).await
    }

    /// Writes entries as a part of a transaction: they are durable if the change is. Call it last before the commit; it
    /// holds the end of the log until then.
    pub async fn record_in(&self, transaction: &mut Transaction, entries: Vec<Entry>) -> Result<u64> {
        self.pen.append_in(transaction, entries).await
    }

    /// Notes a denial: the first [`SAMPLED_MAX`] of a kind in a [`WINDOW`] are rows, the rest is counted exactly. Never
    /// fails: who is refused stays refused.
    pub async fn denied(&self, entry: Entry) {
        let entry = entry.ended(Outcome::Denied);
        self.write_all(self.denials.note(entry, self.pen.clock.now_us())).await;
    }

    /// Writes the counts of windows that have ended; to be called now and then.
    pub async fn sweep(&self) {
        self.write_all(self.denials.ended(self.pen.clock.now_us())).await;
    }

    async fn write_all(&self, entries: Vec<Entry>) {
        for entry in entries {
            let (action, occurrences) = (entry.action, entry.occurrences);
            if let Err(error) = self.record(entry).await {
                tracing::error!(action, occurrences, %error, "denials are missing in the audit log");
            }
        }
    }

    /// Erases a personal value: from every row that has it, name and salt go, and the commitments stay, so that every
    /// proof is as it was. Answers how many places it stood in; the log says that it was done, and not of whom.
    pub async fn erase(&self, value: &str, tenant: Option<&str>, caller: &Caller) -> Result<u64> {
        let mut transaction = self.pen.state.transaction().await?;
        let mut places = 0;
        let of = tenant.map_or(String::new(), |_| format!(" AND {OF_TENANT}"));
        let values: Vec<Value> = std::iter::once(value).chain(tenant).map(Value::from).collect();
        for column in PERSONAL {
            let (salts, names) = erasing(column, &of);
            transaction.execute(AssertSqlSafe(salts), &values).await?;
            places += transaction.execute(AssertSqlSafe(names), &values).await?;
        }
        let entry = caller.entry("audit.erase", "personal value").of_tenant(tenant);
        let entry = entry.with(serde_json::json!({ "places": places }));
        self.record_in(&mut transaction, vec![entry]).await?;
        transaction.commit().await?;
        Ok(places)
    }

    /// The names of people in the log that hold one of these values, in rows of one tenant and of none, or in all.
    pub async fn names_with(&self, needles: &Needles, tenant: Option<&str>) -> Result<Vec<String>> {
        let mut found = std::collections::BTreeSet::new();
        let of = tenant.map_or("", |_| " AND (tenant IS NULL OR tenant = $1)");
        let values: Vec<Value> = tenant.map(Value::from).into_iter().collect();
        for column in PERSONAL {
            let sql = format!("SELECT DISTINCT {column} AS name FROM audit WHERE {column} IS NOT NULL{of}");
            for row in self.pen.state.fetch(AssertSqlSafe(sql), &values).await? {
                let name: String = row.get("name")?;
                if needles.is_in(name.as_bytes()) {
                    found.insert(name);
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Rows whose leaf holds one of these values in the clear, by their places: what is in a leaf cannot go without breaking
    /// the tree. Those of one tenant and of none, or all.
    pub async fn leaves_with(&self, needles: &Needles, tenant: Option<&str>) -> Result<Vec<i64>> {
        let mut found = Vec::new();
        let mut behind: i64 = -1;
        loop {
            let page = self.pen.state.fetch(LEAF_TEXTS, &[behind.into()]).await?;
            let Some(last) = page.last() else { return Ok(found) };
            behind = last.get("seq")?;
            for row in &page {
                let owner: Option<String> = row.get("tenant")?;
                if tenant.zip(owner.as_deref()).is_some_and(|(wanted, owner)| wanted != owner) {
                    continue;
                }
                let texts = ["tenant", "action", "subject", "reason", "outcome", "trace_id", "detail"];
                let holds = texts.iter().map(|column| row.get::<Option<String>>(column)).collect::<Result<Vec<_>>>()?;
                if holds.iter().flatten().any(|text| needles.is_in(text.as_bytes())) {
                    found.push(row.get("seq")?);
                }
            }
        }
    }

    /// Writes what waits and takes no more.
    pub async fn close(&self) {
        self.write_all(self.denials.all()).await;
        let (done, closed) = oneshot::channel();
        if self.writer.send(Command::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
    }

    /// The state database that it lies in.
    pub fn state(&self) -> &Arc<State> {
        &self.pen.state
    }

    /// The time that it goes by.
    pub fn now_us(&self) -> i64 {
        self.pen.clock.now_us()
    }
}

#[cfg(test)]
pub(crate) mod tests;
