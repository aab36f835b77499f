//! What one request wants to be durable: batches for one or several tables, acknowledged together or not at all.

use arrow::array::RecordBatch;

use crate::table::Table;

/// Rows of one table, of its [`Table::batch_schema`].
#[derive(Debug, Clone)]
pub struct Batch {
    /// Where they go.
    pub table: &'static Table,
    /// The rows.
    pub rows: RecordBatch,
}

/// Makes a repeated delivery harmless: same key and body is acknowledged again, same key with another body refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Unique within its source and tenant (ADO delivery id, OTLP `x-idempotency-key`); at most 512 bytes.
    pub key: String,
    /// SHA-256 of the body as received.
    pub body_hash: [u8; 32],
}

/// One unit of acknowledgement.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The door or file it came through (`otlp/http`, `ado/hook`, a file's name); becomes the source column.
    pub source: String,
    /// The rows, in the order they get their `_seq`.
    pub batches: Vec<Batch>,
    /// The key that makes a retry harmless, if the sender gave one.
    pub idempotency: Option<Idempotency>,
}

impl Frame {
    /// A frame of `source` without rows yet.
    pub fn new(source: impl Into<String>) -> Self {
        Frame { source: source.into(), batches: Vec::new(), idempotency: None }
    }

    /// Adds a batch unless it is empty.
    pub fn push(&mut self, table: &'static Table, rows: RecordBatch) {
        if rows.num_rows() > 0 {
            self.batches.push(Batch { table, rows });
        }
    }

    /// Adds the finished rows of a builder unless there are none.
    pub fn push_rows(&mut self, rows: &mut crate::rows::Rows) {
        self.push(rows.table(), rows.finish());
    }

    /// Rows over all batches.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(|b| b.rows.num_rows()).sum()
    }
}

/// The answer to a durable append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// `_seq` of the frame's first row.
    pub seq: u64,
    /// Rows acknowledged.
    pub rows: u64,
    /// The key was seen before with the same body: nothing was added.
    pub repeated: bool,
}
