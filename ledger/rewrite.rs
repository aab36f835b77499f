//! Replaceable sets of the ledger's rows, written anew in one step: nobody sees half of one.

use engine::arrow::array::RecordBatch;
use engine::{Frame, Load, Result, Rows, Store};
use futures::StreamExt;

use crate::cost_line::{COST_LINE, SET, TENANT};

/// More rows than this go past the log, into one commit of their own.
const ROWS_IN_FRAME_MAX: usize = 10_000;

/// A set of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetOf {
    /// The tenant.
    pub tenant: String,
    /// The set's name, the `x_set` of its rows.
    pub name: String,
}

/// Makes `rows` all that these sets hold. Every set of the rows is among them; one without rows is empty afterwards.
pub async fn replace_sets(store: &Store, source: &str, sets: &[SetOf], rows: Vec<RecordBatch>) -> Result<()> {
    let mut marks = Rows::new(&COST_LINE);
    for set in sets {
        marks.set(TENANT, set.tenant.as_str()).set(SET, set.name.as_str());
        marks.end_replace()?;
    }
    let count: usize = rows.iter().map(RecordBatch::num_rows).sum();
    let batches = std::iter::once(marks.finish()).chain(rows).filter(|batch| batch.num_rows() > 0);
    if count > ROWS_IN_FRAME_MAX {
        let batches: Vec<Result<RecordBatch>> = batches.map(Ok).collect();
        let load =
            Load { table: &COST_LINE, source: source.to_owned(), batches: futures::stream::iter(batches).boxed() };
        return store.load(load).await.map(|_| ());
    }
    let mut frame = Frame::new(source);
    batches.for_each(|batch| frame.push(&COST_LINE, batch));
    if frame.rows() == 0 { Ok(()) } else { store.append(frame).await.map(|_| ()) }
}

/// A text as SQL writes it.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An instant as SQL writes it.
pub fn instant(at_us: i64) -> String {
    let at = chrono::DateTime::from_timestamp_micros(at_us).unwrap_or_default();
    format!("TIMESTAMP '{}'", at.format("%Y-%m-%dT%H:%M:%S%.6fZ"))
}
