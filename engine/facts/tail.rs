//! Rows that are durable in the log and not yet in Lance. They are visible at once.
//!
//! Small frames are joined as they come (each chunk at least twice as large as the next), so that a query never meets
//! ten thousand batches of one row, and joining stays linear-logarithmic. Frames of a batch processor's size are left as
//! they are: joining those would copy every row several times.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::execution::memory_pool::MemoryReservation;

/// A chunk of so many rows is not joined to others.
const CHUNK_ROWS: usize = 256;

/// Rows that follow each other in the log, of the stored schema.
#[derive(Debug)]
pub struct Chunk {
    /// The rows.
    pub rows: RecordBatch,
    /// `_seq` of the first.
    pub first: u64,
    /// `_seq` after the last.
    pub next: u64,
    /// Ingest time of the first, µs.
    pub oldest_us: i64,
    bytes: usize,
}

/// The tail of one table.
#[derive(Debug)]
pub struct Tail {
    chunks: Vec<Arc<Chunk>>,
    rows: usize,
    account: MemoryReservation,
}

impl Tail {
    /// An empty tail. Its rows are durable, so its account always grows; whoever takes new work looks at the budget.
    pub fn new(account: MemoryReservation) -> Tail {
        Tail { chunks: Vec::new(), rows: 0, account }
    }

    /// Adds rows behind all others.
    pub fn push(&mut self, rows: RecordBatch, first: u64, at_us: i64) {
        let next = first + rows.num_rows() as u64;
        let bytes = rows.get_array_memory_size();
        self.rows += rows.num_rows();
        let mut all_bytes = self.bytes() + bytes;
        self.chunks.push(Arc::new(Chunk { rows, first, next, oldest_us: at_us, bytes }));
        while let [.., a, b] = self.chunks.as_slice() {
            let (rows_a, rows_b) = (a.rows.num_rows(), b.rows.num_rows());
            if rows_a > 2 * rows_b || rows_a >= CHUNK_ROWS || rows_b >= CHUNK_ROWS {
                break;
            }
            let Ok(rows) = concat_batches(&a.rows.schema(), [&a.rows, &b.rows]) else { break };
            let bytes = rows.get_array_memory_size();
            all_bytes = all_bytes + bytes - a.bytes - b.bytes;
            let joined = Arc::new(Chunk { rows, first: a.first, next: b.next, oldest_us: a.oldest_us, bytes });
            self.chunks.truncate(self.chunks.len() - 2);
            self.chunks.push(joined);
        }
        self.account.resize(all_bytes);
    }

    /// Forgets chunks that end before `seq`. A flush takes whole chunks, so none is cut.
    pub fn drop_before(&mut self, seq: u64) {
        self.chunks.retain_mut(|chunk| {
            if chunk.next <= seq {
                return false;
            }
            // Rows that came while the flush ran may have been joined to flushed ones: cut those off.
            if chunk.first < seq {
                let keep = chunk.rows.column_by_name(crate::table::SEQ).map_or(0, |column| {
                    let seqs = column.as_any().downcast_ref::<arrow::array::Int64Array>().expect("_seq is Int64");
                    seqs.values().partition_point(|s| (*s as u64) < seq)
                });
                let rows = chunk.rows.slice(keep, chunk.rows.num_rows() - keep);
                let bytes = rows.get_array_memory_size();
                *chunk = Arc::new(Chunk { rows, first: seq, next: chunk.next, oldest_us: chunk.oldest_us, bytes });
            }
            true
        });
        self.rows = self.chunks.iter().map(|c| c.rows.num_rows()).sum();
        self.account.resize(self.chunks.iter().map(|c| c.bytes).sum());
    }

    /// The chunks in log order.
    pub fn chunks(&self) -> Vec<Arc<Chunk>> {
        self.chunks.clone()
    }

    /// `_seq` of the first row.
    pub fn first_seq(&self) -> Option<u64> {
        self.chunks.first().map(|c| c.first)
    }

    /// When the oldest row was acknowledged, µs.
    pub fn oldest_us(&self) -> Option<i64> {
        self.chunks.first().map(|c| c.oldest_us)
    }

    /// Rows in the tail.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of its arrays.
    pub fn bytes(&self) -> usize {
        self.account.size()
    }
}
