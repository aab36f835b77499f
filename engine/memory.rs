//! The one budget of memory. What waits for the log, the tails, questions, compaction and index building take from one
//! accounted pool; Lance's caches and the columns that are kept decoded are cut from the same budget before it.
//!
//! A question that meets the limit spills to disk; a frame that meets it is told to come back; maintenance waits for
//! its next round. What is already durable is taken in even then: it is counted, and flushed first.

use std::sync::Arc;

use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryPool, MemoryReservation};

use crate::columns::Columns;
use crate::error::{Error, Kind, Result};

/// The least that a store works with.
pub const BYTES_MIN: usize = 64 << 20;

/// A store's budget.
#[derive(Debug, Clone)]
pub struct Memory {
    bytes_max: usize,
    pool: Arc<dyn MemoryPool>,
    columns: Columns,
}

impl Memory {
    /// A budget of this many bytes in all.
    pub fn new(bytes_max: usize) -> Result<Memory> {
        if bytes_max < BYTES_MIN {
            return Err(Error::invalid(format!("a store needs {BYTES_MIN} bytes of memory, not {bytes_max}")));
        }
        let columns = Columns::new(column_cache_bytes(bytes_max));
        Ok(Memory { bytes_max, pool: Arc::new(FairSpillPool::new(bytes_max - caches_bytes(bytes_max))), columns })
    }

    /// Columns that were read lately, decoded.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The pool, for questions: they spill when they meet their fair share of what the others leave.
    pub fn pool(&self) -> Arc<dyn MemoryPool> {
        self.pool.clone()
    }

    /// The whole budget.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Bytes that are taken now, caches aside.
    pub fn taken_bytes(&self) -> usize {
        self.pool.reserved()
    }

    /// An account that holds nothing yet, for what cannot spill.
    pub fn account(&self, name: &'static str) -> MemoryReservation {
        MemoryConsumer::new(name).register(&self.pool)
    }

    /// Takes bytes for work that can wait.
    pub fn take(&self, name: &'static str, bytes: usize) -> Result<MemoryReservation> {
        let account = self.account(name);
        account.try_grow(bytes).map_err(|_| {
            let (taken, all) = (self.taken_bytes(), self.bytes_max);
            let why = format!("{name} needs {bytes} bytes, and {taken} of the budget of {all} are taken");
            Error::new(Kind::Overloaded { retry_after: crate::writer::RETRY_AFTER }, why)
        })?;
        Ok(account)
    }
}

/// Cap of Lance's index cache; its own default of 6 GiB is more than our whole budget.
pub const fn index_cache_bytes(bytes_max: usize) -> usize {
    bytes_max / 8
}

/// Room for columns that were read lately, decoded: an eighth of a budget of half a gigabyte, which is short of everything,
/// and a quarter of what there is beyond it.
pub const fn column_cache_bytes(bytes_max: usize) -> usize {
    bytes_max / 8 + bytes_max.saturating_sub(512 << 20) / 8
}

const fn caches_bytes(bytes_max: usize) -> usize {
    index_cache_bytes(bytes_max) + metadata_cache_bytes(bytes_max) + column_cache_bytes(bytes_max)
}

/// Cap of Lance's metadata cache.
pub const fn metadata_cache_bytes(bytes_max: usize) -> usize {
    bytes_max / 16
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn all_accounts_share_one_budget() {
        let memory = Memory::new(BYTES_MIN).unwrap();
        let room = BYTES_MIN - caches_bytes(BYTES_MIN);
        let tail = memory.account("tail");
        tail.grow(room - 10);
        assert!(matches!(memory.take("compaction", 11).unwrap_err().kind(), Kind::Overloaded { .. }));
        let taken = memory.take("compaction", 10).unwrap();
        assert_eq!(memory.taken_bytes(), room);
        drop((tail, taken));
        assert_eq!(memory.taken_bytes(), 0);
    }

    #[test]
    fn a_budget_too_small_to_work_with_is_refused() {
        assert_eq!(Memory::new(1 << 20).unwrap_err().kind(), Kind::Invalid);
    }
}
