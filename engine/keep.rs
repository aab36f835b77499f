//! How long rows are kept, and which stay whatever their age: what maintenance asks before it deletes anything. Who fills the
//! port reads policies and holds; without it the tables' declarations decide.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::array::{BooleanArray, RecordBatch};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::facts::expire::equals;
use crate::needles::Needles;
use crate::table::Table;

/// Says what is kept of a table.
#[async_trait]
pub trait Keeper: Send + Sync + std::fmt::Debug {
    /// What is kept of it now. An error keeps everything.
    async fn kept(&self, table: &'static Table) -> Result<Kept>;
    /// Rows past their time are gone. They are, whatever comes of this.
    async fn expired(&self, expired: &Expired);
}

/// What is kept of one table. A time of `None` is for ever.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// How long, of tenants by name.
    pub tenants: BTreeMap<String, Option<Duration>>,
    /// How long, of every other tenant.
    pub others: Option<Duration>,
    /// What stays all the same.
    pub holds: Vec<Hold>,
}

/// Rows that stay: of a tenant, about a subject, or every one.
#[derive(Debug, Clone)]
pub struct Hold {
    /// Its id, for whoever asks why a row is still there.
    pub id: String,
    /// Only this tenant's rows.
    pub tenant: Option<String>,
    /// Only rows that name this subject.
    pub subject: Option<Needles>,
}

impl Hold {
    /// Which rows of a batch with all columns of a table it keeps.
    pub fn keeps(&self, table: &Table, batch: &RecordBatch) -> BooleanArray {
        let own = self.tenant.as_deref().map(|tenant| equals(batch.column_by_name(table.tenant), tenant));
        let mut kept = vec![self.subject.is_none(); batch.num_rows()];
        if let Some(subject) = &self.subject {
            for hits in batch.columns().iter().filter_map(|column| subject.rows_of(column.as_ref())) {
                kept.iter_mut().zip(hits).for_each(|(kept, hit)| *kept |= hit);
            }
        }
        let is_own = |row: usize| own.as_ref().is_none_or(|own| own.value(row));
        kept.iter().enumerate().map(|(row, kept)| Some(*kept && is_own(row))).collect()
    }
}

/// Rows of a table that maintenance deleted for their age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// The table.
    pub table: &'static str,
    /// Rows that went.
    pub rows: u64,
    /// Of them, rows that went with whole fragments.
    pub rows_in_whole_fragments: u64,
    /// The latest time before which rows went, µs.
    pub before_us: i64,
}

/// How much of a table is past its time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// Rows that are stored, superseded ones among them.
    pub rows: u64,
    /// Bytes of their files.
    pub size_bytes: u64,
    /// Rows that the next round deletes.
    pub due_rows: u64,
    /// Bytes of these, by their share of the rows.
    pub due_bytes: u64,
    /// Rows past their time that a hold keeps.
    pub held_rows: u64,
}

impl Kept {
    /// What the table's declaration says.
    pub fn declared(table: &Table) -> Kept {
        let days = table.retention_days.map(|days| Duration::from_secs(u64::from(days) * 86_400));
        Kept { others: days, ..Kept::default() }
    }

    /// The same without its holds.
    pub fn without_holds(&self) -> Kept {
        Kept { holds: Vec::new(), ..self.clone() }
    }

    /// Whether no row ever gets too old.
    pub fn is_forever(&self) -> bool {
        self.others.is_none() && self.tenants.values().all(Option::is_none)
    }

    /// Every time that rows are kept for, with the tenant; `None` is every other one.
    pub fn times(&self) -> impl Iterator<Item = (Option<&str>, Duration)> {
        let named = self.tenants.iter().filter_map(|(tenant, keep)| Some((Some(tenant.as_str()), (*keep)?)));
        named.chain(self.others.map(|keep| (None, keep)))
    }
}

/// Goes by the tables' declarations; nothing is held.
#[derive(Debug, Default)]
pub struct AsDeclared;

#[async_trait]
impl Keeper for AsDeclared {
    async fn kept(&self, table: &'static Table) -> Result<Kept> {
        Ok(Kept::declared(table))
    }

    async fn expired(&self, expired: &Expired) {
        tracing::info!(table = expired.table, rows = expired.rows, "rows past their retention are deleted");
    }
}
