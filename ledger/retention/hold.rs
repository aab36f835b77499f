//! Legal holds: rows that stay, whatever retention or an erasure says, until somebody releases them with a reason.

use std::sync::Arc;

use engine::clock::rfc3339;
use engine::state::Row;
use engine::{Clock, Column, Error, Hold, Kind, Needles, Result, State, StateTable, Table, Type, Value};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::policy::fits;
use crate::audit::Audit;
use crate::principal::Caller;
use crate::sealed::{open, seal};

/// Holds, released ones among them.
pub static LEGAL_HOLD: StateTable = StateTable {
    name: "legal_hold",
    doc: "Legal holds: rows that neither retention nor an erasure deletes, until the hold is released. Seen by the platform only; a subject's values are not shown.",
    columns: &[
        Column::new("id", Type::Text, "Its id.").required(),
        Column::new("tables", Type::Text, "The tables, as a name with a `*` at its end or without.").required(),
        Column::new("tenant", Type::Text, "Only this tenant's rows; null for every one's."),
        Column::new("about_subject", Type::Bool, "Whether only rows that name a subject are held.").required(),
        Column::new("reason", Type::Text, "Why.").required(),
        Column::new("placed_by", Type::Text, "Who placed it.").required(),
        Column::new("placed_at", Type::Time, "When.").required(),
        Column::new("released_by", Type::Text, "Who released it; null while it holds."),
        Column::new("released_at", Type::Time, "When."),
        Column::new("release_reason", Type::Text, "Why it was released."),
    ],
    hidden: &["subject"],
    tenant: None,
};

const INSERT: &str = "INSERT INTO legal_hold (id, tables, tenant, subject, about_subject, reason, placed_by, placed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const RELEASE: &str = "UPDATE legal_hold SET released_by = $1, released_at = $2, release_reason = $3, subject = NULL
    WHERE id = $4 AND released_at IS NULL";
const ACTIVE: &str =
    "SELECT id, tables, tenant, subject FROM legal_hold WHERE released_at IS NULL ORDER BY placed_at, id";
const ALL: &str =
    "SELECT id, tables, tenant, about_subject, reason, placed_by, placed_at, released_by, released_at, release_reason
    FROM legal_hold ORDER BY placed_at, id";

/// The hold that somebody wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldOrder {
    /// A table's name, with a `*` at its end or without.
    pub tables: String,
    /// Only this tenant's rows.
    pub tenant: Option<String>,
    /// Only rows that name one of these.
    pub subject: Vec<String>,
    /// Why.
    pub reason: String,
}

/// A hold as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldEntry {
    /// Its id.
    pub id: String,
    /// The tables.
    pub tables: String,
    /// Only this tenant's rows.
    pub tenant: Option<String>,
    /// Whether only rows that name a subject are held.
    pub about_subject: bool,
    /// Why.
    pub reason: String,
    /// Who placed it.
    pub placed_by: String,
    /// RFC 3339.
    pub placed_at: String,
    /// Who released it.
    pub released_by: Option<String>,
    /// RFC 3339.
    pub released_at: Option<String>,
    /// Why it was released.
    pub release_reason: Option<String>,
}

/// A hold that holds.
#[derive(Debug, Clone)]
pub(crate) struct Active {
    pub tables: String,
    pub hold: Hold,
}

impl Active {
    /// Whether a table is among its tables.
    pub fn fits(&self, table: &str) -> bool {
        fits(&self.tables, table)
    }
}

/// The holds of a state database.
#[derive(Debug)]
pub struct Holds {
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    audit: Arc<Audit>,
}

impl Holds {
    pub(super) fn new(state: Arc<State>, clock: Arc<dyn Clock>, audit: Arc<Audit>) -> Self {
        Holds { state, clock, audit }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn audit(&self) -> &Audit {
        &self.audit
    }

    pub(super) fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    /// Places a hold; it counts from now on, for a deletion that has not begun.
    pub async fn add(
        &self,
        order: &HoldOrder,
        tables: &[&'static Table],
        caller: &Caller,
        who: &str,
    ) -> Result<HoldEntry> {
        let pattern = order.tables.trim();
        if !tables.iter().any(|table| fits(pattern, table.name)) {
            return Err(Error::invalid(format!("there is no table {pattern}; `stellwerk tables` lists them")));
        }
        if order.reason.trim().is_empty() {
            return Err(Error::invalid("a hold has a reason: say which matter it is for"));
        }
        let subject = match order.subject.is_empty() {
            true => None,
            false => Some(seal(Needles::new(&order.subject)?.values())?),
        };
        let id = fresh_id()?;
        let about_subject = subject.is_some();
        let values = [
            id.as_str().into(),
            pattern.into(),
            order.tenant.clone().into(),
            subject.into(),
            about_subject.into(),
            order.reason.trim().into(),
            who.into(),
            Value::Time(self.clock.now_us()),
        ];
        let mut transaction = self.state.transaction().await?;
        transaction.execute(INSERT, &values).await?;
        let entry = caller.entry("hold.add", id.as_str()).of_tenant(order.tenant.as_deref());
        let entry =
            entry.with(json!({"tables": pattern, "about_subject": about_subject, "reason": order.reason.trim()}));
        self.audit.record_in(&mut transaction, vec![entry]).await?;
        transaction.commit().await?;
        let found = self.list().await?.into_iter().find(|entry| entry.id == id);
        found.ok_or_else(|| Error::new(Kind::Internal, "a hold that was just placed is not there"))
    }

    /// Every hold, oldest first.
    pub async fn list(&self) -> Result<Vec<HoldEntry>> {
        self.state.fetch(ALL, &[]).await?.iter().map(entry_of).collect()
    }

    /// Releases a hold: from now on its rows age and can be erased. What it knew of a subject goes.
    pub async fn release(&self, id: &str, reason: &str, caller: &Caller, who: &str) -> Result<()> {
        if reason.trim().is_empty() {
            return Err(Error::invalid("a release has a reason: say why the rows may go"));
        }
        let mut transaction = self.state.transaction().await?;
        let values = [who.into(), Value::Time(self.clock.now_us()), reason.trim().into(), id.into()];
        if transaction.execute(RELEASE, &values).await? == 0 {
            return Err(Error::new(Kind::NotFound, format!("no hold {id} holds; `stellwerk hold list` shows them")));
        }
        let entry = caller.entry("hold.release", id).of_tenant(None).with(json!({"reason": reason.trim()}));
        self.audit.record_in(&mut transaction, vec![entry]).await?;
        transaction.commit().await
    }

    /// The holds that hold.
    pub(crate) async fn active(&self) -> Result<Vec<Active>> {
        let active = |row: &Row| -> Result<Active> {
            let subject: Option<String> = row.get("subject")?;
            let subject = subject.map(|sealed| Needles::new(&open(&sealed)?)).transpose()?;
            let hold = Hold { id: row.get("id")?, tenant: row.get("tenant")?, subject };
            Ok(Active { tables: row.get("tables")?, hold })
        };
        self.state.fetch(ACTIVE, &[]).await?.iter().map(active).collect()
    }

    /// The holds that hold rows of a table.
    pub(crate) async fn of(&self, table: &str) -> Result<Vec<Hold>> {
        let active = self.active().await?;
        Ok(active.into_iter().filter(|active| active.fits(table)).map(|active| active.hold).collect())
    }
}

fn entry_of(row: &Row) -> Result<HoldEntry> {
    Ok(HoldEntry {
        id: row.get("id")?,
        tables: row.get("tables")?,
        tenant: row.get("tenant")?,
        about_subject: row.get("about_subject")?,
        reason: row.get("reason")?,
        placed_by: row.get("placed_by")?,
        placed_at: rfc3339(row.get("placed_at")?),
        released_by: row.get("released_by")?,
        released_at: row.get::<Option<i64>>("released_at")?.map(rfc3339),
        release_reason: row.get("release_reason")?,
    })
}

/// An id that nobody guesses and everybody can type.
pub(crate) fn fresh_id() -> Result<String> {
    use crate::directory::{Dice, OsDice};
    let mut bytes = [0; 6];
    OsDice.fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}
