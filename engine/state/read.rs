//! State tables as Arrow batches, for the catalogue that DataFusion plans over.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use sqlx::AssertSqlSafe;

use super::State;
use super::table::StateTable;
use crate::error::{Error, Kind, Result};
use crate::rows::{ColumnBuilder, Value};
use crate::scope::Tenants;
use crate::table::{Column, Type};

/// Rows of one state table that one read may hold in memory.
pub const READ_ROWS_MAX: usize = 1_000_000;

impl State {
    /// The rows of a state table that `tenants` may see, with the declared columns. The tenant predicate is part of the
    /// SQL text, so no row of another tenant leaves the database. At most `limit` rows; without one, more than
    /// [`READ_ROWS_MAX`] are an error of kind `Limit`, never a silent cut.
    pub async fn read(&self, table: &StateTable, tenants: &Tenants, limit: Option<usize>) -> Result<RecordBatch> {
        let mut builders: Vec<_> = table.columns.iter().map(|c| ColumnBuilder::new(c.kind)).collect();
        let mut rows = 0;
        if let Some((sql, values)) = select(table, tenants, limit) {
            let mut take = |row: super::Row| {
                rows += 1;
                if rows > READ_ROWS_MAX {
                    let message =
                        format!("read {}: it has more than {READ_ROWS_MAX} rows, ask with a LIMIT", table.name);
                    return Err(Error::new(Kind::Limit, message));
                }
                for ((column, builder), value) in table.columns.iter().zip(&mut builders).zip(row.into_cells()) {
                    builder.append(typed(table, column, value)?);
                }
                Ok(())
            };
            self.database.each(false, AssertSqlSafe(sql), &values, &mut take).await?;
        }
        let arrays: Vec<ArrayRef> = builders.iter_mut().map(ColumnBuilder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(table.sql_schema(), arrays, &options);
        batch.map_err(|e| Error::new(Kind::Corrupt, format!("read {}: {e}", table.name)))
    }
}

/// The SELECT over the declared columns, or `None` where this scope sees nothing. Names come from declarations only.
fn select(table: &StateTable, tenants: &Tenants, limit: Option<usize>) -> Option<(String, Vec<Value>)> {
    let columns: Vec<String> = table.columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
    let mut sql = format!("SELECT {} FROM \"{}\"", columns.join(", "), table.name);
    let mut values = Vec::new();
    if let Some(names) = tenants.named() {
        let places: Vec<String> = (1..=names.len()).map(|at| format!("${at}")).collect();
        sql.push_str(&format!(" WHERE \"{}\" IN ({})", table.tenant?, places.join(", ")));
        values.extend(names.iter().map(|tenant| Value::Text(tenant.to_string())));
    }
    let rows_max = limit.unwrap_or(READ_ROWS_MAX + 1).min(READ_ROWS_MAX + 1);
    sql.push_str(&format!(" LIMIT {rows_max}"));
    Some((sql, values))
}

/// The cell as its column's type: the database knows integers, the declaration knows that they are instants.
fn typed(table: &StateTable, column: &Column, value: Value) -> Result<Value> {
    Ok(match (column.kind, value) {
        (_, Value::Null) => Value::Null,
        (Type::Name | Type::Text | Type::Json, value @ Value::Text(_)) => value,
        (Type::Bool, value @ Value::Bool(_)) => value,
        (Type::Bool, Value::Int(v @ (0 | 1))) => Value::Bool(v == 1),
        (Type::Int, value @ Value::Int(_)) => value,
        (Type::Float, value @ Value::Float(_)) => value,
        (Type::Time | Type::TimeNs, Value::Int(v)) => Value::Time(v),
        (Type::Bytes, value @ Value::Bytes(_)) => value,
        _ => {
            let message = format!("read {}.{}: the cell does not have the declared type", table.name, column.name);
            return Err(Error::new(Kind::Corrupt, message));
        }
    })
}
