//! How long the rows of an open store are kept.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;

use super::Store;
use crate::error::{Error, Result};
use crate::facts::floor::Floor;
use crate::keep::{AsDeclared, Due, Hold, Keeper, Kept};
use crate::table::Table;

impl Store {
    /// Tells from now on what is kept; the first call counts. Without it the tables' declarations do.
    pub fn set_keeper(&self, keeper: Arc<dyn Keeper>) {
        let _ = self.keeper.set(keeper);
    }

    pub(super) fn keeper(&self) -> Arc<dyn Keeper> {
        self.keeper.get().cloned().unwrap_or_else(|| Arc::new(AsDeclared))
    }

    /// One round of maintenance that looks for rows past their time, however short ago that was done.
    pub async fn sweep(&self) -> Result<()> {
        self.flush().await?;
        let _alone = self.maintaining.lock().await;
        self.own_maintenance().await?;
        self.tables.values().for_each(|facts| facts.sweep_soon());
        self.round(self.ports.clock.now_us()).await
    }

    /// Hands over the stored rows of a table that a hold keeps, superseded ones among them, with all their columns.
    pub async fn each_held(
        &self,
        table: &Table,
        hold: &Hold,
        each: &mut (dyn FnMut(RecordBatch) -> Result<()> + Send),
    ) -> Result<()> {
        self.flush().await?;
        let schema = table.stored_schema();
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let mut held = |batch: &RecordBatch| {
            let kept = filter_record_batch(batch, &hold.keeps(table, batch));
            each(kept.map_err(|e| Error::unavailable("read held rows", e))?)
        };
        self.each_stored(table, &columns, &mut held).await
    }

    /// How much of a table is past its time by these rules, of what is flushed.
    pub async fn due(&self, table: &Table, kept: &Kept) -> Result<Due> {
        self.facts(table.name)?.due(kept, self.ports.clock.now_us()).await
    }

    /// The time (µs since 1970) before which rows of a table may be gone, having outlived their retention.
    pub fn retention_floor_us(&self, table: &str) -> Option<i64> {
        self.tables.get(table).and_then(|facts| facts.floor_us(Floor::Retention))
    }

    /// The place in the log before which rows of a table may be gone, having outlived their retention.
    pub fn retention_floor(&self, table: &str) -> u64 {
        self.tables.get(table).map_or(0, |facts| facts.floor_seq(Floor::Retention))
    }
}
