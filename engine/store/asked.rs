//! What a store is given and asked: loads, questions, their limits and their answers.

use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::stream::BoxStream;

use crate::error::Result;
use crate::table::Table;

/// A bulk load: a file's rows, in one commit, without the log.
pub struct Load {
    /// Where they go.
    pub table: &'static Table,
    /// The file or door; becomes the source column.
    pub source: String,
    /// Batches of [`Table::batch_schema`], in log order. An error ends the load and nothing is committed.
    pub batches: BoxStream<'static, Result<RecordBatch>>,
}

/// One question: a SELECT, and texts for its placeholders (`?` in order, or `$1`, `$2` …).
#[derive(Debug, Clone, Default)]
pub struct Question {
    pub sql: String,
    pub params: Vec<String>,
}

impl From<&str> for Question {
    fn from(sql: &str) -> Self {
        Question { sql: sql.to_owned(), params: Vec::new() }
    }
}

/// Bounds of one question.
#[derive(Debug, Clone)]
pub struct Limits {
    /// More rows than this end the answer with an error of kind `Limit`.
    pub rows_max: usize,
    /// Longer than this ends the answer with an error of kind `Limit`.
    pub time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { rows_max: 10_000_000, time_max: Duration::from_secs(300) }
    }
}

/// A running answer. Dropping it cancels the question.
pub struct Answer {
    /// Id of the question in `query_log`.
    pub query_id: String,
    /// Batches with the answer's schema (`stream.schema()`); limits and failures come as errors of the stream.
    pub stream: SendableRecordBatchStream,
}
