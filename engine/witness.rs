//! Who is told of rows that became durable, with a digest that can be made again from what SQL shows: so that a log of
//! audits can tell later whether stored rows are still those that were acknowledged.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int64Type};
use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};
use crate::store::Store;
use crate::table::{OP, Table, Type};

/// Is told of rows that became durable, before the sender is.
#[async_trait]
pub trait Witness: Send + Sync + std::fmt::Debug {
    /// Whether it is told of this table.
    fn wants(&self, table: &Table) -> bool;
    /// The rows are durable, whatever comes of this.
    async fn committed(&self, commit: Commit);
}

/// Rows of one table that became durable together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The table.
    pub table: &'static str,
    /// The door or file.
    pub source: String,
    /// Their places in the log: first, and one behind the last.
    pub ranges: Vec<(u64, u64)>,
    /// Rows, without marks that only take others away.
    pub rows: u64,
    /// SHA-256 over them, see [`RowDigest`].
    pub sha256: [u8; 32],
}

/// SHA-256 over the declared columns of rows, in the order of their places in the log. Encodings of the store (dictionaries,
/// files, order of columns) do not show in it; marks that take other rows away are left out, as SQL leaves them out.
#[derive(Debug, Clone, Default)]
pub struct RowDigest {
    hasher: Sha256,
    rows: u64,
}

impl RowDigest {
    /// Adds rows, as ingest hands them over or as SQL shows them.
    pub fn add(&mut self, table: &Table, rows: &RecordBatch) -> Result<()> {
        let columns: Vec<Cells> =
            table.columns.iter().map(|c| Cells::of(rows, c.name, c.kind)).collect::<Result<_>>()?;
        let marks = rows.column_by_name(OP).map(|op| op.as_primitive::<Int8Type>());
        let mut bytes = Vec::with_capacity(1024);
        for row in (0..rows.num_rows()).filter(|row| marks.is_none_or(|marks| marks.is_null(*row))) {
            bytes.clear();
            columns.iter().for_each(|cells| cells.write(row, &mut bytes));
            self.hasher.update(&bytes);
            self.rows += 1;
        }
        Ok(())
    }

    /// Rows that were added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The digest.
    pub fn finish(self) -> [u8; 32] {
        self.hasher.finalize().into()
    }
}

/// Rows on their way that a witness will be told of.
pub(crate) struct Seen {
    witness: Arc<dyn Witness>,
    table: &'static Table,
    source: String,
    ranges: Vec<(u64, u64)>,
    digest: RowDigest,
}

impl Seen {
    /// Adds rows at a place.
    pub(crate) fn add(&mut self, rows: &RecordBatch, seq: u64) -> Result<()> {
        self.digest.add(self.table, rows)?;
        let end = seq + rows.num_rows() as u64;
        match self.ranges.last_mut().filter(|(_, last)| *last == seq) {
            Some((_, last)) => *last = end,
            None => self.ranges.push((seq, end)),
        }
        Ok(())
    }

    /// The rows are durable; their places count from `base`.
    pub(crate) async fn tell(self, base: u64) {
        let Seen { witness, table, source, ranges, digest } = self;
        let ranges = ranges.into_iter().map(|(from, to)| (base + from, base + to)).collect();
        let rows = digest.rows();
        witness.committed(Commit { table: table.name, source, ranges, rows, sha256: digest.finish() }).await;
    }
}

impl Store {
    /// From now on, `witness` is told of what becomes durable. There is one at most: a second one is not heard.
    pub fn set_witness(&self, witness: Arc<dyn Witness>) {
        let _ = self.witness.set(witness);
    }

    /// Begins to see rows of a table, if somebody wants to be told of them.
    pub(crate) fn seeing(&self, table: &'static Table, source: &str) -> Option<Seen> {
        let witness = self.witness.get().filter(|witness| witness.wants(table)).cloned()?;
        Some(Seen { witness, table, source: source.to_owned(), ranges: Vec::new(), digest: RowDigest::default() })
    }

    /// Sees one batch.
    pub(crate) fn seen(
        &self,
        table: &'static Table,
        source: &str,
        rows: &RecordBatch,
        at: u64,
    ) -> Result<Option<Seen>> {
        let Some(mut seen) = self.seeing(table, source) else { return Ok(None) };
        seen.add(rows, at)?;
        Ok(Some(seen))
    }
}

/// A column in the one form that is hashed.
struct Cells {
    array: ArrayRef,
    kind: Type,
}

impl Cells {
    fn of(rows: &RecordBatch, name: &str, kind: Type) -> Result<Cells> {
        let missing = || Error::new(Kind::Internal, format!("rows to be witnessed have no column {name}"));
        let array = rows.column_by_name(name).ok_or_else(missing)?;
        // A dictionary is how names are kept, not what they say.
        let plain = if kind == Type::Name { DataType::Utf8 } else { kind.arrow() };
        let wrong = |e| Error::new(Kind::Internal, format!("read column {name} to be witnessed: {e}"));
        let array = if array.data_type() == &plain { Arc::clone(array) } else { cast(array, &plain).map_err(wrong)? };
        let array = match kind {
            Type::Time | Type::TimeNs => cast(&array, &DataType::Int64).map_err(wrong)?,
            _ => array,
        };
        Ok(Cells { array, kind })
    }

    /// A cell says whether it is there and how long it is: no two rows have the same bytes.
    fn write(&self, row: usize, bytes: &mut Vec<u8>) {
        if self.array.is_null(row) {
            return bytes.push(0);
        }
        bytes.push(1);
        let mut long = |cell: &[u8]| {
            bytes.extend_from_slice(&(cell.len() as u64).to_le_bytes());
            bytes.extend_from_slice(cell);
        };
        match self.kind {
            Type::Name | Type::Text | Type::Json => long(self.array.as_string::<i32>().value(row).as_bytes()),
            Type::Bytes => long(self.array.as_binary::<i32>().value(row)),
            Type::Bool => bytes.push(u8::from(self.array.as_boolean().value(row))),
            Type::Int | Type::Time | Type::TimeNs => {
                bytes.extend_from_slice(&self.array.as_primitive::<Int64Type>().value(row).to_le_bytes());
            }
            Type::Float => {
                bytes.extend_from_slice(&self.array.as_primitive::<Float64Type>().value(row).to_bits().to_le_bytes());
            }
            Type::Decimal => {
                bytes.extend_from_slice(&self.array.as_primitive::<Decimal128Type>().value(row).to_le_bytes());
            }
            Type::Vector(_) => {
                let numbers = self.array.as_fixed_size_list().value(row);
                let numbers = numbers.as_primitive::<Float32Type>().values().iter();
                long(&numbers.flat_map(|number| number.to_bits().to_le_bytes()).collect::<Vec<u8>>());
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rows::{Rows, Value};
    use crate::table::Column;

    static THING: Table = Table {
        key: &["id"],
        time: "at",
        ..Table::new(
            "thing",
            "For this test.",
            &[
                Column::new("tenant", Type::Name, "Tenant."),
                Column::new("id", Type::Int, "Id."),
                Column::new("text", Type::Text, "Text."),
                Column::new("cost", Type::Decimal, "Cost."),
                Column::new("at", Type::Time, "Time."),
            ],
        )
    };

    fn batch(texts: &[Option<&str>]) -> RecordBatch {
        let mut rows = Rows::new(&THING);
        for (id, text) in (0_i64..).zip(texts) {
            rows.set("tenant", "acme")
                .set("id", id)
                .set("text", *text)
                .set("cost", Value::Decimal(5))
                .set("at", Value::Time(id));
            rows.end_row().unwrap();
        }
        rows.finish()
    }

    fn digest(batches: &[RecordBatch]) -> ([u8; 32], u64) {
        let mut digest = RowDigest::default();
        batches.iter().for_each(|batch| digest.add(&THING, batch).unwrap());
        let rows = digest.rows();
        (digest.finish(), rows)
    }

    #[test]
    fn how_rows_are_cut_into_batches_does_not_show() {
        let whole = batch(&[Some("a"), None, Some("")]);
        assert_eq!(digest(&[whole.clone()]), digest(&[whole.slice(0, 1), whole.slice(1, 2)]));
        assert_eq!(digest(&[whole.clone()]).1, 3);
        for other in [&[Some("a"), Some(""), None][..], &[Some("a"), None], &[Some("b"), None, Some("")]] {
            assert_ne!(digest(&[whole.clone()]).0, digest(&[batch(other)]).0);
        }
    }

    #[test]
    fn a_mark_that_takes_a_row_away_is_left_out() {
        let mut rows = Rows::new(&THING);
        rows.set("tenant", "acme").set("id", 9_i64).set("at", Value::Time(1));
        rows.end_delete().unwrap();
        let mark = rows.finish();
        let whole = batch(&[Some("a")]);
        assert_eq!(digest(&[whole.clone(), mark]), digest(&[whole]));
    }
}
