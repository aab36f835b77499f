//! Appending to the log inside a transaction. Whoever holds the lock on the head's row gives out the places: on PostgreSQL
//! that is one process at a time, and the database itself fences it, without a clock. SQLite has one writer anyway.

use std::fmt::Write;
use std::sync::LazyLock;

use engine::state::Transaction;
use engine::{Error, Kind, Result, Value};

use super::entry::{Entry, Personal, Row};
use super::merkle::{Frontier, Hash, SEGMENT_LEAVES, from_hex, hex_of};
use crate::directory::Dice;

/// Rows of one INSERT, the larger first: few statements, each prepared once.
const CHUNKS: [usize; 3] = [64, 8, 1];
const COLUMNS: [&str; 17] = [
    "seq",
    "at",
    "tenant",
    "actor",
    "on_behalf_of",
    "personal",
    "action",
    "subject",
    "reason",
    "outcome",
    "occurrences",
    "trace_id",
    "detail",
    "actor_commitment",
    "on_behalf_commitment",
    "personal_commitment",
    "leaf_hash",
];
const SALT_COLUMNS: [&str; 3] = ["seq", "field", "salt"];

static INSERT_ROWS: LazyLock<[String; 3]> = LazyLock::new(|| CHUNKS.map(|rows| insert("audit", &COLUMNS, rows)));
static INSERT_SALTS: LazyLock<[String; 3]> =
    LazyLock::new(|| CHUNKS.map(|rows| insert("audit_salt", &SALT_COLUMNS, rows)));

/// Takes the head's lock for the rest of the transaction.
const LOCK: &str = "UPDATE audit_head SET size = size WHERE id = 1";
const HEAD: &str = "SELECT log, size, peaks, root, at FROM audit_head WHERE id = 1";
const MOVE_HEAD: &str = "UPDATE audit_head SET size = $1, peaks = $2, root = $3, at = $4 WHERE id = 1";
const COMMIT: &str = "INSERT INTO audit_commit (size, root, at) VALUES ($1, $2, $3)";
const SEAL: &str = "INSERT INTO audit_segment (segment, root, sealed_at) VALUES ($1, $2, $3)";

/// The end of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub log: Option<String>,
    pub size: u64,
    pub peaks: String,
    pub root: String,
    pub at_us: i64,
}

impl Head {
    pub fn of(row: Option<engine::state::Row>) -> Result<Head> {
        let row = row.ok_or_else(|| Error::new(Kind::Corrupt, "the audit log has lost its head"))?;
        let size: i64 = row.get("size")?;
        Ok(Head {
            log: row.get("log")?,
            size: u64::try_from(size).map_err(|_| Error::new(Kind::Corrupt, "the audit log has a negative size"))?,
            peaks: row.get("peaks")?,
            root: row.get("root")?,
            at_us: row.get("at")?,
        })
    }

    /// What is needed to append; `None` where peaks and size do not fit.
    pub fn frontier(&self) -> Option<Frontier> {
        let peaks: Option<Vec<Hash>> = self.peaks.split_whitespace().map(from_hex).collect();
        Frontier::of(self.size, peaks?)
    }
}

/// The head as it is now.
pub(super) async fn head(state: &engine::State) -> Result<Head> {
    Head::of(state.fetch(HEAD, &[]).await?.pop())
}

/// What appending needs beside the entries.
pub(super) struct Ink<'a> {
    pub now_us: i64,
    pub dice: &'a dyn Dice,
    pub clean: &'a (dyn Fn(&str) -> String + Send + Sync),
}

/// Appends entries; answers the place of the first. Durable when the transaction is.
pub(super) async fn append(transaction: &mut Transaction, entries: Vec<Entry>, ink: &Ink<'_>) -> Result<u64> {
    transaction.execute(LOCK, &[]).await?;
    let head = Head::of(transaction.fetch(HEAD, &[]).await?.pop())?;
    let mut frontier =
        head.frontier().ok_or_else(|| Error::new(Kind::Corrupt, "the audit log's head does not fit its size"))?;
    let first = head.size;
    // Times of rows do not run backwards, whatever the clock does.
    let now_us = ink.now_us.max(head.at_us);
    let mut rows = Vec::with_capacity(entries.len() * COLUMNS.len());
    let mut salts = Vec::with_capacity(entries.len() * SALT_COLUMNS.len());
    let mut sealed = Vec::new();
    for (seq, entry) in (first..).zip(entries) {
        let row = Row::of(entry, seq, now_us, ink.dice, &|text| (ink.clean)(text))?;
        let leaf = row.leaf();
        if let Some(root) = frontier.push(leaf) {
            sealed.push((seq / SEGMENT_LEAVES, root));
        }
        salt_values(&row, &mut salts);
        row_values(row, leaf, &mut rows);
    }
    insert_all(transaction, &INSERT_ROWS, rows, COLUMNS.len()).await?;
    insert_all(transaction, &INSERT_SALTS, salts, SALT_COLUMNS.len()).await?;
    for (segment, root) in sealed {
        transaction.execute(SEAL, &[place(segment), hex_of(&root).into(), Value::Time(now_us)]).await?;
    }
    let (size, root) = (place(frontier.size()), hex_of(&frontier.root()));
    transaction.execute(COMMIT, &[size.clone(), root.as_str().into(), Value::Time(now_us)]).await?;
    let peaks = frontier.peaks().iter().map(hex_of).collect::<Vec<_>>().join(" ");
    transaction.execute(MOVE_HEAD, &[size, peaks.into(), root.into(), Value::Time(now_us)]).await?;
    Ok(first)
}

/// A place in the log as the database has it.
pub(super) fn place(at: u64) -> Value {
    Value::Int(i64::try_from(at).unwrap_or(i64::MAX))
}

fn row_values(row: Row, leaf: Hash, values: &mut Vec<Value>) {
    let commitments = Personal::ALL.map(|field| row.commitment_hex(field));
    let [actor, on_behalf_of, personal] = row.personal.map(|committed| committed.and_then(|c| c.value));
    let [actor_commitment, on_behalf_commitment, personal_commitment] = commitments;
    values.extend([
        place(row.seq),
        Value::Time(row.at_us),
        row.tenant.into(),
        actor.into(),
        on_behalf_of.into(),
        personal.into(),
        row.action.into(),
        row.subject.into(),
        row.reason.into(),
        row.outcome.into(),
        row.occurrences.into(),
        row.trace_id.into(),
        row.detail.into(),
        actor_commitment.into(),
        on_behalf_commitment.into(),
        personal_commitment.into(),
        hex_of(&leaf).into(),
    ]);
}

fn salt_values(row: &Row, values: &mut Vec<Value>) {
    for field in Personal::ALL {
        if let Some(salt) = row.personal[field as usize].as_ref().and_then(|committed| committed.salt) {
            values.extend([place(row.seq), field.name().into(), hex::encode(salt).into()]);
        }
    }
}

async fn insert_all(
    transaction: &mut Transaction,
    statements: &'static [String; 3],
    values: Vec<Value>,
    width: usize,
) -> Result<()> {
    let mut rest = &values[..];
    while !rest.is_empty() {
        let rows = rest.len() / width;
        let chunk = CHUNKS.iter().position(|chunk| *chunk <= rows).expect("a chunk of one row always fits");
        let (now, later) = rest.split_at(CHUNKS[chunk] * width);
        transaction.execute(statements[chunk].as_str(), now).await.map_err(taken)?;
        rest = later;
    }
    Ok(())
}

/// Places are given once: where something stands already, it was put there by somebody else.
fn taken(error: Error) -> Error {
    match error.kind() {
        Kind::Conflict => {
            let why = "something stands where the next row belongs; `stellwerk audit verify` says more";
            Error::new(Kind::Corrupt, format!("the audit log was tampered with: {why}: {error}"))
        }
        _ => error,
    }
}

fn insert(table: &str, columns: &[&str], rows: usize) -> String {
    let mut sql = format!("INSERT INTO {table} ({}) VALUES ", columns.join(", "));
    for row in 0..rows {
        let places: Vec<String> = (1..=columns.len()).map(|at| format!("${}", row * columns.len() + at)).collect();
        let comma = if row == 0 { "" } else { ", " };
        write!(sql, "{comma}({})", places.join(", ")).expect("a string takes everything");
    }
    sql
}
