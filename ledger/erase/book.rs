//! Erasures as the state database keeps them; every step is a row of the audit log in the same transaction.

use engine::clock::rfc3339;
use engine::state::Row;
use engine::{Error, Kind, Result, Value};
use serde_json::json;

use super::{ErasureEntry, ErasureWish, Erasures, Plan, Proof, at, commitment};
use crate::directory::{Dice, OsDice};
use crate::principal::Caller;
use crate::retention::fresh_id;
use crate::sealed::{open, seal};

const INSERT: &str =
    "INSERT INTO erasure (id, tenant, state, reason, requested_by, requested_at, commitment, plan, subject, salt)
    VALUES ($1, $2, 'planned', $3, $4, $5, $6, $7, $8, $9)";
const ALL: &str = "SELECT id, tenant, state, reason, requested_by, requested_at, approved_by, ended_at, commitment, plan, proof, subject, salt
    FROM erasure ORDER BY requested_at, id";
const APPROVE: &str =
    "UPDATE erasure SET state = 'approved', approved_by = $1, approved_at = $2 WHERE id = $3 AND state = $4";
const CANCEL: &str = "UPDATE erasure SET state = 'cancelled', subject = NULL, salt = NULL, ended_at = $1
    WHERE id = $2 AND state = $3";
const BEGIN: &str = "UPDATE erasure SET state = 'running', started_at = COALESCE(started_at, $1) WHERE id = $2
    AND state IN ('approved', 'running')";
const END: &str = "UPDATE erasure SET state = 'done', proof = $1, ended_at = $2, subject = NULL, salt = NULL
    WHERE id = $3 AND state = 'running'";
const NOTE: &str = "UPDATE erasure SET proof = $1 WHERE id = $2 AND state = 'running'";

/// An erasure with what only its run needs.
#[derive(Debug)]
pub(super) struct Kept {
    pub entry: ErasureEntry,
    /// The values; none once it ended.
    pub values: Option<Vec<String>>,
    pub salt: Option<String>,
}

fn read(row: &Row) -> Result<Kept> {
    let broken = |e: serde_json::Error| Error::new(Kind::Corrupt, format!("an erasure cannot be read: {e}"));
    let proof: Option<String> = row.get("proof")?;
    let subject: Option<String> = row.get("subject")?;
    let entry = ErasureEntry {
        id: row.get("id")?,
        tenant: row.get("tenant")?,
        state: row.get("state")?,
        reason: row.get("reason")?,
        requested_by: row.get("requested_by")?,
        requested_at: rfc3339(row.get("requested_at")?),
        approved_by: row.get("approved_by")?,
        ended_at: at(row.get("ended_at")?),
        commitment: row.get("commitment")?,
        plan: serde_json::from_str(&row.get::<String>("plan")?).map_err(broken)?,
        proof: proof.map(|json| serde_json::from_str(&json)).transpose().map_err(broken)?,
        salt: None,
    };
    Ok(Kept { entry, values: subject.map(|sealed| open(&sealed)).transpose()?, salt: row.get("salt")? })
}

impl Erasures {
    /// Enters a plan; answers its id.
    pub(super) async fn enter(
        &self,
        wish: &ErasureWish,
        values: &[String],
        plan: &Plan,
        caller: &Caller,
        who: &str,
    ) -> Result<String> {
        let id = fresh_id()?;
        let mut salt = [0; 16];
        OsDice.fill(&mut salt)?;
        let committed = commitment(&salt, values);
        let row = [
            id.as_str().into(),
            wish.tenant.clone().into(),
            wish.reason.trim().into(),
            who.into(),
            Value::Time(self.audit.now_us()),
            committed.as_str().into(),
            json!(plan).to_string().into(),
            seal(values)?.into(),
            hex::encode(salt).into(),
        ];
        let mut transaction = self.store.state().transaction().await?;
        transaction.execute(INSERT, &row).await?;
        let rows: u64 = plan.tables.iter().map(|table| table.rows_deleted + table.rows_masked).sum();
        let entry = caller.entry("erase.plan", id.as_str()).of_tenant(wish.tenant.as_deref());
        let detail = json!({"commitment": committed, "tables": plan.tables.len(), "rows": rows});
        self.audit.record_in(&mut transaction, vec![entry.with_exactly(detail)]).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Every erasure, oldest first.
    pub(super) async fn all(&self) -> Result<Vec<Kept>> {
        self.store.state().fetch(ALL, &[]).await?.iter().map(read).collect()
    }

    /// From one state to another, by somebody.
    pub(super) async fn step(&self, kept: &Kept, from: &str, to: &str, caller: &Caller, who: &str) -> Result<()> {
        let id = kept.entry.id.as_str();
        let now = Value::Time(self.audit.now_us());
        let mut transaction = self.store.state().transaction().await?;
        let (action, changed) = match to {
            "approved" => {
                let values = [who.into(), now, id.into(), from.into()];
                ("erase.approve", transaction.execute(APPROVE, &values).await?)
            }
            _ => ("erase.cancel", transaction.execute(CANCEL, &[now, id.into(), from.into()]).await?),
        };
        if changed == 0 {
            let why = format!("the erasure {id} is {}, not {from}", kept.entry.state);
            return Err(Error::new(Kind::Conflict, why));
        }
        let entry = caller.entry(action, id).of_tenant(kept.entry.tenant.as_deref());
        self.audit.record_in(&mut transaction, vec![entry]).await?;
        transaction.commit().await
    }

    /// Notes that it runs.
    pub(super) async fn begin(&self, kept: &Kept, caller: &Caller) -> Result<()> {
        let id = kept.entry.id.as_str();
        let mut transaction = self.store.state().transaction().await?;
        let values = [Value::Time(self.audit.now_us()), id.into()];
        if transaction.execute(BEGIN, &values).await? == 0 {
            let why = format!("the erasure {id} is {}: only an approved one is run", kept.entry.state);
            return Err(Error::new(Kind::Conflict, why));
        }
        let entry = caller.entry("erase.begin", id).of_tenant(kept.entry.tenant.as_deref());
        self.audit.record_in(&mut transaction, vec![entry]).await?;
        transaction.commit().await
    }

    /// Tells of rows of a table before they go: a run that is cut off behind it leaves no row that is missing without a word.
    pub(super) async fn tell(&self, kept: &Kept, tables: &[engine::ErasedTable], caller: &Caller) -> Result<()> {
        for table in tables {
            let entry = caller.entry("erase.rows", table.table.as_str()).of_tenant(kept.entry.tenant.as_deref());
            let mut detail = json!(table);
            detail["erasure"] = kept.entry.id.as_str().into();
            self.audit.record(entry.with_exactly(detail)).await?;
        }
        Ok(())
    }

    /// Ends it with its proof; the values go. Where the proof does not hold, it stays open and can be run again.
    pub(super) async fn end(&self, kept: &Kept, proof: &Proof, caller: &Caller) -> Result<()> {
        let id = kept.entry.id.as_str();
        let (text, holds) = (json!(proof).to_string(), proof.holds());
        let mut transaction = self.store.state().transaction().await?;
        match holds {
            true => transaction.execute(END, &[text.into(), Value::Time(self.audit.now_us()), id.into()]).await?,
            false => transaction.execute(NOTE, &[text.into(), id.into()]).await?,
        };
        let outcome = if holds { crate::audit::Outcome::Done } else { crate::audit::Outcome::Failed };
        let rows = |of: fn(&engine::ErasedTable) -> u64| proof.tables.iter().map(of).sum::<u64>();
        let detail = json!({
            "commitment": kept.entry.commitment, "rows_deleted": rows(|table| table.rows_deleted),
            "rows_masked": rows(|table| table.rows_masked), "state_cells": proof.state.iter().map(|s| s.cells).sum::<u64>(),
            "audit_places": proof.audit_places, "files_searched": proof.scanned.files, "bytes_searched": proof.scanned.bytes,
            "files_holding": proof.scanned.holding_count, "rows_remaining": proof.remaining_rows,
            "rows_elsewhere": proof.elsewhere_rows, "remaining": proof.remaining.len(),
            "requested_by": kept.entry.requested_by, "approved_by": kept.entry.approved_by,
        });
        let entry = caller.entry("erase.proof", id).of_tenant(kept.entry.tenant.as_deref()).ended(outcome);
        self.audit.record_in(&mut transaction, vec![entry.with_exactly(detail)]).await?;
        transaction.commit().await
    }
}
