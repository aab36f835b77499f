//! Cells of an answer by name, whatever encoding the question's plan chose for them.

use std::collections::HashMap;

use engine::arrow::array::{Array, AsArray, Decimal128Array, Int64Array, RecordBatch, StringArray};
use engine::arrow::compute::cast;
use engine::arrow::datatypes::{DataType, Decimal128Type, Int64Type, TimestampMicrosecondType};
use engine::{Error, Kind, Result, Table, Type};

use super::history::Validity;

/// The cells of a batch whose columns are those of a table.
pub struct Cells {
    texts: HashMap<&'static str, StringArray>,
    numbers: HashMap<&'static str, Int64Array>,
    decimals: HashMap<&'static str, Decimal128Array>,
    rows: usize,
}

impl Cells {
    /// Reads every declared column of `table` from a batch.
    pub fn read(table: &Table, batch: &RecordBatch) -> Result<Cells> {
        let mut cells =
            Cells { texts: HashMap::new(), numbers: HashMap::new(), decimals: HashMap::new(), rows: batch.num_rows() };
        for column in table.columns {
            let broken =
                |what: String| Error::new(Kind::Internal, format!("read {}.{}: {what}", table.name, column.name));
            let array = batch.column_by_name(column.name).ok_or_else(|| broken("not in the answer".to_owned()))?;
            let as_type = |kind: DataType| cast(array, &kind).map_err(|e| broken(e.to_string()));
            match column.kind {
                Type::Name | Type::Text | Type::Json => {
                    cells.texts.insert(column.name, as_type(DataType::Utf8)?.as_string::<i32>().clone());
                }
                Type::Decimal => {
                    let array = as_type(Type::Decimal.arrow())?;
                    cells.decimals.insert(column.name, array.as_primitive::<Decimal128Type>().clone());
                }
                Type::Time => {
                    let array = as_type(Type::Time.arrow())?;
                    let micros = array.as_primitive::<TimestampMicrosecondType>().iter().collect();
                    cells.numbers.insert(column.name, micros);
                }
                Type::Int => {
                    cells.numbers.insert(column.name, as_type(DataType::Int64)?.as_primitive::<Int64Type>().clone());
                }
                other => return Err(broken(format!("no price column is of type {other:?}"))),
            }
        }
        Ok(cells)
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// A text; empty where it is null.
    pub fn text(&self, column: &str, row: usize) -> String {
        self.maybe_text(column, row).unwrap_or_default()
    }

    /// A text.
    pub fn maybe_text(&self, column: &str, row: usize) -> Option<String> {
        let texts = self.texts.get(column)?;
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    }

    /// A number or an instant in microseconds.
    pub fn number(&self, column: &str, row: usize) -> Option<i64> {
        let numbers = self.numbers.get(column)?;
        numbers.is_valid(row).then(|| numbers.value(row))
    }

    /// When a row is good.
    pub fn validity(&self, row: usize) -> Validity {
        Validity { from: self.number("valid_from", row).unwrap_or_default(), to: self.number("valid_to", row) }
    }

    /// A decimal in units of 10⁻¹⁸.
    pub fn decimal(&self, column: &str, row: usize) -> Option<i128> {
        let decimals = self.decimals.get(column)?;
        decimals.is_valid(row).then(|| decimals.value(row))
    }
}
