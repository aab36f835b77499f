//! The log as it was at an earlier moment, for a restore: rows that came later go, and the tree is what it was. The log only
//! grows and its times do not run backwards, so that what stood then is a beginning of what stands now; the root of that
//! beginning, kept since, proves it. One row behind it says what was restored.

use std::sync::Arc;

use async_trait::async_trait;
use engine::backup::{Changes, Journal, Moment};
use engine::clock::rfc3339;
use engine::state::Transaction;
use engine::{Clock, Error, Kind, Result, State, Value};
use serde_json::json;

use super::append::{self, Ink, place};
use super::merkle::{Frontier, SEGMENT_LEAVES, from_hex, hex_of};
use super::stored::segments;
use crate::directory::Dice;
use crate::principal::Caller;

/// The log's own tables, in the order in which they were made: a history, of which a restore needs no copy between backups.
pub const TABLES: &[&str] = &["audit_head", "audit", "audit_salt", "audit_commit", "audit_segment", "audit_root"];
/// What changes facts, or nothing: it is restored, or need not be.
const NOT_OF_STATE: &[&str] = &[
    "commit",
    "file.ingest",
    "price.import",
    "policy.audit",
    "ado.read",
    "cost.estimate",
    "cost.settle",
    "cost.seal",
    "retention.run",
    "retention.delete",
    "backup.create",
    "backup.prune",
    "backup.restore",
    "audit.verify",
    "audit.export",
];

const SIZE: &str = "SELECT MAX(seq) AS last FROM audit WHERE at <= $1";
const CHANGED: &str = "SELECT action, COUNT(*) AS count FROM audit WHERE seq >= $1 AND seq < $2 AND outcome = 'done'
    GROUP BY action ORDER BY action";
const FIRST_LATER: &str = "SELECT MIN(seq) AS first FROM audit WHERE at > $1";
/// Rows of facts that were erased since stay erased, and the log must go on to say so: else it would miss them.
const ERASED: &str = "SELECT tenant, subject, detail FROM audit WHERE seq >= $1 AND action = 'erase.rows' ORDER BY seq";
const LEAVES: &str = "SELECT seq, at, leaf_hash FROM audit WHERE seq >= $1 AND seq < $2 ORDER BY seq";
const ROOT: &str = "SELECT root FROM audit_commit WHERE size = $1";
const MOVE_HEAD: &str = "UPDATE audit_head SET size = $1, peaks = $2, root = $3, at = $4 WHERE id = 1";
/// What goes, by the size that stays.
const LATER: &[&str] = &[
    "DELETE FROM audit_salt WHERE seq >= $1",
    "DELETE FROM audit WHERE seq >= $1",
    "DELETE FROM audit_commit WHERE size > $1",
    "DELETE FROM audit_root WHERE size > $1",
];
const LATER_SEGMENTS: &str = "DELETE FROM audit_segment WHERE segment >= $1";

/// Cuts the audit log back for a restore.
#[derive(Debug)]
pub struct Rewind {
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    caller: Caller,
}

impl Rewind {
    /// For whoever restores.
    pub fn new(clock: Arc<dyn Clock>, dice: Arc<dyn Dice>, caller: Caller) -> Self {
        Rewind { clock, dice, caller }
    }

    /// One row about the restore, and what must be told again, in the transaction of the cut.
    async fn tell(
        &self,
        transaction: &mut Transaction,
        moment: &Moment,
        missing: &[Changes],
        erased: Vec<Erased>,
    ) -> Result<()> {
        let detail = json!({
            "to": rfc3339(moment.to_us), "facts": moment.facts.id, "state": moment.state.id,
            "state_at": rfc3339(moment.state_us), "missing": missing,
        });
        let restore =
            self.caller.entry("backup.restore", moment.facts.id.as_str()).of_tenant(None).with_exactly(detail);
        let again = erased.into_iter().map(|erased| {
            let entry = self.caller.entry("erase.rows", erased.table).of_tenant(erased.tenant.as_deref());
            entry.because("erased after the moment that was restored").with_exactly(erased.detail)
        });
        let entries = std::iter::once(restore).chain(again).collect();
        let ink = Ink { now_us: self.clock.now_us(), dice: self.dice.as_ref(), clean: &str::to_owned };
        append::append(transaction, entries, &ink).await.map(|_| ())
    }
}

/// Rows of a table that were erased.
struct Erased {
    table: String,
    tenant: Option<String>,
    detail: serde_json::Value,
}

async fn erased_since(state: &State, from: Option<i64>) -> Result<Vec<Erased>> {
    let mut erased = Vec::new();
    for row in state.fetch(ERASED, &[Value::Int(from.unwrap_or(0))]).await? {
        let detail: Option<String> = row.get("detail")?;
        // What is no such row any more was changed, and is found by the tree.
        let Some(detail) = detail.and_then(|detail| serde_json::from_str(&detail).ok()) else { continue };
        erased.push(Erased { table: row.get("subject")?, tenant: row.get("tenant")?, detail });
    }
    Ok(erased)
}

#[async_trait]
impl Journal for Rewind {
    fn tables(&self) -> &[&'static str] {
        TABLES
    }

    async fn cut(&self, state: &State, moment: &Moment) -> Result<Vec<Changes>> {
        let until = size_then(state, moment).await?;
        let missing = changed(state, moment, until).await?;
        let erased = erased_since(state, until).await?;
        let (frontier, at_us) = as_of(state, until).await?;
        let size = place(frontier.size());
        let mut transaction = state.transaction().await?;
        for sql in LATER {
            transaction.execute(*sql, std::slice::from_ref(&size)).await?;
        }
        transaction.execute(LATER_SEGMENTS, &[place(frontier.size() / SEGMENT_LEAVES)]).await?;
        let peaks = frontier.peaks().iter().map(hex_of).collect::<Vec<_>>().join(" ");
        let head = [size, peaks.into(), hex_of(&frontier.root()).into(), Value::Time(at_us)];
        transaction.execute(MOVE_HEAD, &head).await?;
        self.tell(&mut transaction, moment, &missing, erased).await?;
        transaction.commit().await?;
        Ok(missing)
    }
}

/// How many rows the log had then: as many as the state of that moment goes with, else those whose time is no later.
async fn size_then(state: &State, moment: &Moment) -> Result<Option<i64>> {
    if let Some(rows) = moment.log_rows.filter(|_| moment.state_us == moment.to_us) {
        return Ok(Some(rows).filter(|rows| *rows > 0));
    }
    let last = state.fetch(SIZE, &[Value::Time(moment.to_us)]).await?.pop();
    let last: Option<i64> = last.map(|row| row.get("last")).transpose()?.flatten();
    Ok(last.map(|last| last + 1))
}

/// What changed between the state that is restored and the moment: what the log says behind the rows that it goes with.
async fn changed(state: &State, moment: &Moment, until: Option<i64>) -> Result<Vec<Changes>> {
    let from = match moment.log_rows {
        Some(rows) => Some(rows),
        None => {
            let first = state.fetch(FIRST_LATER, &[Value::Time(moment.state_us)]).await?.pop();
            first.map(|row| row.get("first")).transpose()?.flatten()
        }
    };
    let Some((from, until)) = from.zip(until) else { return Ok(Vec::new()) };
    let rows = state.fetch(CHANGED, &[Value::Int(from), Value::Int(until)]).await?;
    let mut missing = Vec::with_capacity(rows.len());
    for row in rows {
        let action: String = row.get("action")?;
        if !NOT_OF_STATE.contains(&action.as_str()) {
            missing.push(Changes { action, count: row.get("count")? });
        }
    }
    Ok(missing)
}

/// The tree as it was when it had so many rows, held against the root that was kept then, and the time of its last row.
async fn as_of(state: &State, size: Option<i64>) -> Result<(Frontier, i64)> {
    let sealed = segments(state).await?;
    let Some(size) = size else {
        if sealed.iter().any(|segment| segment.retired_to.is_some()) {
            let why = "the audit log of that moment has moved out of the database; restore a backup as it is";
            return Err(Error::new(Kind::Limit, why));
        }
        return Ok((Frontier::default(), 0));
    };
    let broken = |what: &str| {
        let why = format!("the audit log in the backup is damaged: {what}; `stellwerk audit verify` on it says more");
        Error::new(Kind::Corrupt, why)
    };
    let size = u64::try_from(size).map_err(|_| broken("a row has a negative place"))?;
    let mut frontier = Frontier::default();
    for (number, segment) in (0..size / SEGMENT_LEAVES).zip(&sealed) {
        let root = segment.root.filter(|_| place(number) == Value::Int(segment.number));
        frontier.push_segment(root.ok_or_else(|| broken("a segment has no root"))?);
    }
    let mut at_us = 0;
    // At least the last row, for its time.
    let from = frontier.size().min(size - 1);
    for row in state.fetch(LEAVES, &[place(from), place(size)]).await? {
        at_us = row.get("at")?;
        if place(frontier.size()) == Value::Int(row.get("seq")?) {
            let leaf = from_hex(&row.get::<String>("leaf_hash")?);
            frontier.push(leaf.ok_or_else(|| broken("a row has no leaf"))?);
        }
    }
    let kept = state.fetch(ROOT, &[place(size)]).await?.pop();
    let kept: Option<String> = kept.map(|row| row.get("root")).transpose()?;
    if frontier.size() != size || kept != Some(hex_of(&frontier.root())) {
        return Err(broken("its rows do not give the root that was kept with them"));
    }
    Ok((frontier, at_us))
}

#[cfg(test)]
mod tests;
