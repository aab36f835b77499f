//! Erasure of a subject's data: planned by one, approved by another, run, proven by a search of every byte, and told in the
//! audit log by a salted commitment instead of a name.
//!
//! A run that was cut off is run again: each step looks for what is still there. The values of the subject are kept until the
//! proof holds, and then go, too.

mod book;
mod run;

use std::sync::Arc;

use async_trait::async_trait;
use engine::clock::rfc3339;
use engine::query_log::PLATFORM;
use engine::state::{Scrubbed, StateSeen};
use engine::store::erase::{Found, Scanned};
use engine::{Also, Column, ErasedTable, Error, Kind, Needles, Order, Result, Seen, StateTable, Store, Type};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::audit::Audit;
use crate::principal::Caller;
use crate::retention::Retention;
use book::Kept;

/// Erasures, from their plan to their proof.
pub static ERASURE: StateTable = StateTable {
    name: "erasure",
    doc: "Erasures of a subject's data: who asked, who approved, what was found, what the proof says. The subject itself stands nowhere once it is done, only a salted commitment. Seen by the platform only.",
    columns: &[
        Column::new("id", Type::Text, "Its id.").required(),
        Column::new("tenant", Type::Text, "Only this tenant's rows; null for every one's."),
        Column::new("state", Type::Text, "`planned`, `approved`, `running`, `done` or `cancelled`.").required(),
        Column::new("reason", Type::Text, "Why.").required(),
        Column::new("requested_by", Type::Text, "Who asked for it.").required(),
        Column::new("requested_at", Type::Time, "When.").required(),
        Column::new("approved_by", Type::Text, "Who approved it: somebody else."),
        Column::new("approved_at", Type::Time, "When."),
        Column::new("started_at", Type::Time, "When it was run first."),
        Column::new("ended_at", Type::Time, "When it was proven, or cancelled."),
        Column::new("commitment", Type::Text, "SHA-256 over a salt and the subject's values, hexadecimal.").required(),
        Column::new("plan", Type::Json, "What was found when it was planned.").required(),
        Column::new("proof", Type::Json, "What was done, and what a search of every byte found afterwards."),
    ],
    hidden: &["subject", "salt"],
    tenant: None,
};

/// The state tables of this room.
pub const STATE_TABLES: &[&StateTable] = &[&ERASURE];

/// State tables whose cells are not simply masked: the audit log has a way of its own, and what erasures and holds know of
/// subjects is sealed.
const NOT_MASKED: &[&str] =
    &["audit", "audit_salt", "audit_commit", "audit_segment", "audit_root", "audit_head", "erasure", "legal_hold"];

/// Whose rows of the state database are meant by an erasure of one tenant: its own, and the platform's.
fn tenants_of(tenant: &str) -> [&str; 3] {
    [tenant, PLATFORM, ""]
}

/// What is derived from rows and kept beside them, such as an index.
#[async_trait]
pub trait Derived: Send + Sync + std::fmt::Debug {
    /// Derives nothing more until [`Derived::renew`].
    async fn pause(&self) -> Result<()>;
    /// What was derived from rows that go: it goes with them.
    async fn behind(&self, order: &Order, found: &Found) -> Result<Vec<Also>>;
    /// Throws away what lies in files, and derives anew from what is there. Called after every [`Derived::pause`].
    async fn renew(&self) -> Result<()>;
}

/// The erasure that somebody wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureWish {
    /// The names and addresses of the subject.
    pub subject: Vec<String>,
    /// Only this tenant's rows.
    pub tenant: Option<String>,
    /// Why.
    pub reason: String,
}

/// A hold in the way of an erasure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The hold.
    pub hold: String,
    /// Rows of the plan that it keeps.
    pub rows: u64,
}

/// What an erasure would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Where the values stand, by table and column.
    pub columns: Vec<Seen>,
    /// Rows by table.
    pub tables: Vec<ErasedTable>,
    /// Rows that were deleted before, whose bytes are still in the files.
    pub dead_rows: u64,
    /// Rows of other tenants that hold a value and stay.
    pub elsewhere_rows: u64,
    /// Cells of the state database that are masked.
    pub state: Vec<Scrubbed>,
    /// Cells of other tenants in the state database that hold a value and stay.
    #[serde(default)]
    pub state_elsewhere: u64,
    /// Names in the audit log that are erased.
    pub audit_names: u64,
    /// Rows of the audit log whose leaf holds a value in the clear: they cannot be erased without breaking the tree.
    pub audit_leaves: Vec<i64>,
    /// Holds in the way.
    pub held: Vec<Held>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// What was done, and what is left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Rows by table.
    pub tables: Vec<ErasedTable>,
    /// Cells of the state database that were masked.
    pub state: Vec<Scrubbed>,
    /// Names in the audit log that were erased, and how many places they stood in.
    pub audit_names: u64,
    /// How many places they stood in.
    pub audit_places: u64,
    /// The search of every file as bytes.
    pub scanned: Scanned,
    /// Rows that still hold a value, read through the reader: none where the proof holds.
    pub remaining_rows: u64,
    /// Rows of other tenants that hold a value and stay: files may hold their bytes.
    pub elsewhere_rows: u64,
    /// Cells of other tenants in the state database, likewise.
    #[serde(default)]
    pub state_elsewhere: u64,
    /// What could not be erased, a sentence each.
    pub remaining: Vec<String>,
}

impl Proof {
    /// Whether nothing is left that could have gone.
    pub fn holds(&self) -> bool {
        let files = self.scanned.holding_count == 0 || self.elsewhere_rows > 0 || self.state_elsewhere > 0;
        self.remaining_rows == 0 && files && self.remaining.is_empty()
    }
}

/// An erasure as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureEntry {
    /// Its id.
    pub id: String,
    /// Only this tenant's rows.
    pub tenant: Option<String>,
    /// `planned`, `approved`, `running`, `done` or `cancelled`.
    pub state: String,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub requested_by: String,
    /// RFC 3339.
    pub requested_at: String,
    /// Who approved.
    pub approved_by: Option<String>,
    /// RFC 3339.
    pub ended_at: Option<String>,
    /// SHA-256 over a salt and the values.
    pub commitment: String,
    /// What was found.
    pub plan: Plan,
    /// What was done.
    pub proof: Option<Proof>,
    /// The salt of the commitment, told once when the erasure is done: with it and the subject's values anybody can show
    /// whom the row in the audit log is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub salt: Option<String>,
}

/// Erasures over one store.
#[derive(Debug)]
pub struct Erasures {
    store: Arc<Store>,
    audit: Arc<Audit>,
    retention: Arc<Retention>,
    derived: Arc<dyn Derived>,
    /// One runs at a time.
    turn: tokio::sync::Mutex<()>,
}

/// SHA-256 over the salt (16 bytes) and the values in order, each behind its length (8 bytes, big-endian).
pub fn commitment(salt: &[u8], values: &[String]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(salt);
    for value in values {
        hasher.update((value.len() as u64).to_be_bytes());
        hasher.update(value);
    }
    hex::encode(hasher.finalize())
}

impl Erasures {
    /// Over a store and what is derived from it.
    pub fn new(store: Arc<Store>, audit: Arc<Audit>, retention: Arc<Retention>, derived: Arc<dyn Derived>) -> Self {
        Erasures { store, audit, retention, derived, turn: tokio::sync::Mutex::default() }
    }

    /// Plans an erasure: looks for the values everywhere, and changes nothing. `who` asks.
    pub async fn plan(&self, wish: &ErasureWish, caller: &Caller, who: &str) -> Result<ErasureEntry> {
        if wish.reason.trim().is_empty() {
            return Err(Error::invalid("an erasure has a reason: say which request it answers"));
        }
        let needles = Needles::new(&wish.subject)?;
        let order = Order { tenant: wish.tenant.clone(), needles, also: Vec::new(), tables: Vec::new() };
        let plan = self.found(&order).await?;
        let id = self.enter(wish, order.needles.values(), &plan, caller, who).await?;
        self.show(&id).await
    }

    /// What an order finds now.
    async fn found(&self, order: &Order) -> Result<Plan> {
        let found = self.store.look(order.clone()).await?;
        let held = self.held(order, &found).await?;
        let tenant = order.tenant.as_deref();
        let seen = self.state_seen(order).await?;
        let mut plan = Plan {
            columns: found.columns,
            tables: found.tables,
            dead_rows: found.dead_rows,
            elsewhere_rows: found.elsewhere_rows,
            state: seen.own,
            state_elsewhere: seen.elsewhere,
            audit_names: self.audit.names_with(&order.needles, tenant).await?.len() as u64,
            audit_leaves: self.audit.leaves_with(&order.needles, tenant).await?,
            held,
            notes: Vec::new(),
        };
        let copies = self.retention.holds().copies().await?.len();
        plan.notes = notes(&plan, self.store.settings().store.as_deref(), self.store.state().is_sqlite());
        if copies > 0 {
            plan.notes.push(format!(
                "{copies} copies of held rows lie outside this store and keep them, locked ones until their time: `stellwerk hold copies`"
            ));
        }
        if order.tenant.is_some() {
            let whole = "of the state database and the audit log, rows of other tenants stay; rows that are no tenant's, such as jobs' own and the platform's, are masked with this tenant's";
            plan.notes.insert(0, whole.to_owned());
        }
        Ok(plan)
    }

    /// Where the values stand in the state database, but for what has a way of its own.
    async fn state_seen(&self, order: &Order) -> Result<StateSeen> {
        let tenants = order.tenant.as_deref().map(tenants_of);
        let wants = |table: &str| !NOT_MASKED.contains(&table);
        self.store.state().find_values(&order.needles, &wants, tenants.as_ref().map(|all| &all[..])).await
    }

    /// The holds in the way: those that keep a row of what was found.
    async fn held(&self, order: &Order, found: &Found) -> Result<Vec<Held>> {
        let mut held = Vec::new();
        for active in self.retention.holds().active().await? {
            let hold = &active.hold;
            let other = hold.tenant.as_ref().zip(order.tenant.as_ref()).is_some_and(|(a, b)| a != b);
            let tables: Vec<&'static str> =
                self.store.catalogue().tables.iter().map(|table| table.name).filter(|name| active.fits(name)).collect();
            if other || tables.is_empty() {
                continue;
            }
            let tenant = order.tenant.clone().or_else(|| hold.tenant.clone());
            let of_hold = |needles: &Needles| Order {
                tenant: tenant.clone(),
                needles: needles.clone(),
                also: Vec::new(),
                tables: tables.clone(),
            };
            let own = self.store.look(of_hold(&order.needles)).await?.places;
            let rows = match &hold.subject {
                None => own.len(),
                Some(subject) => (own & self.store.look(of_hold(subject)).await?.places).len(),
            };
            if rows > 0 && !found.places.is_empty() {
                held.push(Held { hold: hold.id.clone(), rows });
            }
        }
        Ok(held)
    }

    /// Lets an erasure be run. `who` must be somebody else than who asked.
    pub async fn approve(&self, id: &str, caller: &Caller, who: &str) -> Result<ErasureEntry> {
        let kept = self.kept(id).await?;
        if kept.entry.requested_by == who {
            let why = format!("{who} asked for the erasure {id}: somebody else must approve it, by a key of their own");
            self.audit.denied(caller.entry("erase.approve", id).because("approved by who asked")).await;
            return Err(Error::new(Kind::Denied, why));
        }
        self.step(&kept, "planned", "approved", caller, who).await?;
        self.show(id).await
    }

    /// Gives an erasure up that was not run; its values go.
    pub async fn cancel(&self, id: &str, caller: &Caller, who: &str) -> Result<ErasureEntry> {
        let kept = self.kept(id).await?;
        match kept.entry.state.as_str() {
            state @ ("planned" | "approved") => self.step(&kept, state, "cancelled", caller, who).await?,
            state => {
                return Err(Error::new(Kind::Conflict, format!("the erasure {id} is {state} and cannot be cancelled")));
            }
        }
        self.show(id).await
    }

    /// One erasure.
    pub async fn show(&self, id: &str) -> Result<ErasureEntry> {
        self.kept(id).await.map(|kept| kept.entry)
    }

    /// Every erasure, oldest first.
    pub async fn list(&self) -> Result<Vec<ErasureEntry>> {
        Ok(self.all().await?.into_iter().map(|kept| kept.entry).collect())
    }

    async fn kept(&self, id: &str) -> Result<Kept> {
        let found = self.all().await?.into_iter().find(|kept| kept.entry.id == id);
        found.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("there is no erasure {id}; `stellwerk erase list` shows them"))
        })
    }
}

/// What a reader of a plan should know.
fn notes(plan: &Plan, store: Option<&str>, sqlite: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let remote = store.filter(|url| url.contains("://") && !url.starts_with("file://"));
    if let Some(url) = remote {
        let scheme = url.split("://").next().unwrap_or_default();
        notes.push(format!(
            "the tables lie in {scheme}://: where the bucket keeps versions or locks objects, it keeps what is deleted here; the search sees current objects only"
        ));
    }
    if !sqlite {
        notes.push("PostgreSQL's own log and archives keep what was written until they are recycled; the search does not see them".to_owned());
    }
    if plan.elsewhere_rows > 0 {
        notes.push(format!(
            "{} rows of other tenants hold a value and stay: their bytes may stand in the same files",
            plan.elsewhere_rows
        ));
    }
    if !plan.audit_leaves.is_empty() {
        notes.push(format!(
            "{} rows of the audit log hold a value in a text that the tree is made of; they stay, and the proof names them",
            plan.audit_leaves.len()
        ));
    }
    if plan.state.iter().any(|cells| cells.table.starts_with("directory") || cells.table == "team_member") {
        notes.push(
            "the directory names the subject: change its documents, too, or the next `tenant apply` brings it back"
                .to_owned(),
        );
    }
    notes.push("backups that were made before keep the rows until they are removed".to_owned());
    notes
}

/// When an erasure did something, for people.
fn at(us: Option<i64>) -> Option<String> {
    us.map(rfc3339)
}

#[cfg(test)]
mod tests;
