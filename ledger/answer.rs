//! A question's answer in memory, its cells by column name, whatever encoding the plan chose for them.

use engine::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use engine::arrow::compute::{cast, concat_batches};
use engine::arrow::datatypes::{DataType, Decimal128Type, Int64Type, TimestampMicrosecondType};
use engine::datafusion::physical_plan::common::collect;
use engine::sql::session::from_datafusion;
use engine::{Error, Kind, Limits, Question, Result, Scope, Store, Table, Type};

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    batch: RecordBatch,
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("read an answer: {what}"))
}

impl Answer {
    /// Asks, and reads the answer to its end: for questions whose rows fit into memory.
    pub async fn of(store: &Store, scope: &Scope, sql: impl Into<String>, params: &[String]) -> Result<Answer> {
        let question = Question { sql: sql.into(), params: params.to_vec() };
        let answer = store.query(scope, question, Limits::default()).await?;
        let schema = answer.stream.schema();
        let batches = collect(answer.stream).await.map_err(from_datafusion)?;
        Ok(Answer { batch: concat_batches(&schema, &batches).map_err(broken)? })
    }

    /// Over rows that are already there.
    pub fn over(batch: RecordBatch) -> Answer {
        Answer { batch }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    fn column(&self, name: &str, kind: &DataType) -> Result<ArrayRef> {
        let array = self.batch.column_by_name(name).ok_or_else(|| broken(format!("it has no column {name}")))?;
        cast(array, kind).map_err(broken)
    }

    /// A column of texts.
    pub fn texts(&self, name: &str) -> Result<StringArray> {
        Ok(self.column(name, &DataType::Utf8)?.as_string::<i32>().clone())
    }

    /// A column of amounts in units of 10⁻¹⁸.
    pub fn decimals(&self, name: &str) -> Result<Decimal128Array> {
        Ok(self.column(name, &Type::Decimal.arrow())?.as_primitive::<Decimal128Type>().clone())
    }

    /// A column of whole numbers.
    pub fn numbers(&self, name: &str) -> Result<Int64Array> {
        Ok(self.column(name, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
    }

    /// A column of instants in microseconds.
    pub fn times(&self, name: &str) -> Result<TimestampMicrosecondArray> {
        Ok(self.column(name, &Type::Time.arrow())?.as_primitive::<TimestampMicrosecondType>().clone())
    }

    /// A column of truths.
    pub fn truths(&self, name: &str) -> Result<BooleanArray> {
        Ok(self.column(name, &DataType::Boolean)?.as_boolean().clone())
    }

    /// The rows as a batch that can be appended to `table`: its columns in their declared types, without what the store
    /// adds; no row is a mark.
    pub fn declared(&self, table: &Table) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> =
            table.columns.iter().map(|c| self.column(c.name, &c.kind.arrow())).collect::<Result<_>>()?;
        if table.supersedes() {
            columns.push(new_null_array(&DataType::Int8, self.rows()));
        }
        RecordBatch::try_new(table.batch_schema(), columns).map_err(broken)
    }
}

/// The text of a cell; empty where it is null.
pub fn text(texts: &StringArray, row: usize) -> String {
    if texts.is_null(row) { String::new() } else { texts.value(row).to_owned() }
}

/// The amount of a cell.
pub fn amount(amounts: &Decimal128Array, row: usize) -> Option<i128> {
    amounts.is_valid(row).then(|| amounts.value(row))
}
