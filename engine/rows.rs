//! Row-by-row building of a table's batch, for sources whose records are irregular. Hot sources build arrays themselves.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Decimal128Builder, FixedSizeListBuilder, Float32Builder,
    Float64Builder, Int8Builder, Int64Builder, RecordBatch, StringBuilder, StringDictionaryBuilder,
    TimestampMicrosecondBuilder, TimestampNanosecondBuilder,
};
use arrow::datatypes::Int32Type;

use crate::error::{Error, Result};
use crate::table::{DECIMAL_PRECISION, DECIMAL_SCALE, OP_DELETE, OP_REPLACE, Table, Type};

/// One cell. Text serves `Name`, `Text` and `Json`; times are micro- or nanoseconds since 1970, by the column's type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Text(String),
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Units of 10⁻¹⁸.
    Decimal(i128),
    /// Microseconds for `Time`, nanoseconds for `TimeNs`.
    Time(i64),
    Bytes(Vec<u8>),
    /// As many numbers as the column's width, none of them infinite.
    Vector(Vec<f32>),
}

impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Value::Text(v.to_owned())
    }
}
impl From<String> for Value {
    fn from(v: String) -> Self {
        Value::Text(v)
    }
}
impl From<i64> for Value {
    fn from(v: i64) -> Self {
        Value::Int(v)
    }
}
impl From<bool> for Value {
    fn from(v: bool) -> Self {
        Value::Bool(v)
    }
}
impl From<f64> for Value {
    fn from(v: f64) -> Self {
        Value::Float(v)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Self {
        v.map_or(Value::Null, Into::into)
    }
}

/// Rows of one table under construction. Columns not set before `end_row` are null.
#[derive(Debug)]
pub struct Rows {
    table: &'static Table,
    columns: Vec<ColumnBuilder>,
    op: Int8Builder,
    pending: Vec<Value>,
    rows: usize,
}

/// Builds one column's array from cells; a cell of another type becomes null.
pub(crate) enum ColumnBuilder {
    Name(StringDictionaryBuilder<Int32Type>),
    Text(StringBuilder),
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Decimal(Decimal128Builder),
    Time(TimestampMicrosecondBuilder),
    TimeNs(TimestampNanosecondBuilder),
    Bytes(BinaryBuilder),
    Vector(FixedSizeListBuilder<Float32Builder>),
}

impl Rows {
    /// An empty batch of `table`.
    pub fn new(table: &'static Table) -> Self {
        let columns = table.columns.iter().map(|c| ColumnBuilder::new(c.kind)).collect();
        Rows { table, columns, op: Int8Builder::new(), pending: vec![Value::Null; table.columns.len()], rows: 0 }
    }

    /// The table these rows belong to.
    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// Finished rows so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row is finished yet.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Sets a cell of the row under construction. Panics on a column that the table does not declare: that is a
    /// programming error, found by the first test that runs the line.
    pub fn set(&mut self, column: &str, value: impl Into<Value>) -> &mut Self {
        let at = self.table.position(column);
        let at = at.unwrap_or_else(|| panic!("table {} declares no column {column}", self.table.name));
        self.pending[at] = value.into();
        self
    }

    /// Drops the row under construction.
    pub fn abandon_row(&mut self) {
        self.pending.fill(Value::Null);
    }

    /// Ends a plain row. Fails, and drops the row, if a required cell is null or a cell has the wrong type.
    pub fn end_row(&mut self) -> Result<()> {
        self.push(None)
    }

    /// Ends a row that deletes its key: only tenant and key (and the time, if known) need be set.
    pub fn end_delete(&mut self) -> Result<()> {
        self.push(Some(OP_DELETE))
    }

    /// Ends a row that supersedes every earlier row of its set (the `set` column must be set).
    pub fn end_replace(&mut self) -> Result<()> {
        self.push(Some(OP_REPLACE))
    }

    fn push(&mut self, op: Option<i8>) -> Result<()> {
        for (column, value) in self.table.columns.iter().zip(&self.pending) {
            let missing = value == &Value::Null && column.required && op.is_none();
            if missing || !fits(column.kind, value) {
                let why = if missing { "is required".to_owned() } else { format!("cannot hold {value:?}") };
                let error = Error::invalid(format!("{}.{} {why}", self.table.name, column.name));
                self.abandon_row();
                return Err(error);
            }
        }
        for (builder, value) in self.columns.iter_mut().zip(&mut self.pending) {
            builder.append(std::mem::replace(value, Value::Null));
        }
        self.op.append_option(op);
        self.rows += 1;
        Ok(())
    }

    /// The batch, of [`Table::batch_schema`]; the builder is empty again.
    pub fn finish(&mut self) -> RecordBatch {
        let mut arrays: Vec<ArrayRef> = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        let op = self.op.finish();
        if self.table.supersedes() {
            arrays.push(Arc::new(op));
        }
        self.rows = 0;
        RecordBatch::try_new(self.table.batch_schema(), arrays).expect("the builders follow the table's schema")
    }
}

fn fits(kind: Type, value: &Value) -> bool {
    if let (Type::Vector(width), Value::Vector(numbers)) = (kind, value) {
        return numbers.len() == usize::from(width) && numbers.iter().all(|number| number.is_finite());
    }
    matches!(
        (kind, value),
        (_, Value::Null)
            | (Type::Name | Type::Text | Type::Json, Value::Text(_))
            | (Type::Bool, Value::Bool(_))
            | (Type::Int, Value::Int(_))
            | (Type::Float, Value::Float(_))
            | (Type::Decimal, Value::Decimal(_))
            | (Type::Time | Type::TimeNs, Value::Time(_))
            | (Type::Bytes, Value::Bytes(_))
    )
}

impl std::fmt::Debug for ColumnBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ColumnBuilder") // arrow's dictionary builder has no Debug of its own
    }
}

impl ColumnBuilder {
    pub(crate) fn new(kind: Type) -> Self {
        match kind {
            Type::Name => ColumnBuilder::Name(StringDictionaryBuilder::new()),
            Type::Text | Type::Json => ColumnBuilder::Text(StringBuilder::new()),
            Type::Bool => ColumnBuilder::Bool(BooleanBuilder::new()),
            Type::Int => ColumnBuilder::Int(Int64Builder::new()),
            Type::Float => ColumnBuilder::Float(Float64Builder::new()),
            Type::Decimal => ColumnBuilder::Decimal(
                Decimal128Builder::new()
                    .with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE)
                    .expect("the ledger's precision and scale are valid"),
            ),
            Type::Time => ColumnBuilder::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            Type::TimeNs => ColumnBuilder::TimeNs(TimestampNanosecondBuilder::new().with_timezone("UTC")),
            Type::Bytes => ColumnBuilder::Bytes(BinaryBuilder::new()),
            Type::Vector(width) => {
                ColumnBuilder::Vector(FixedSizeListBuilder::new(Float32Builder::new(), i32::from(width)))
            }
        }
    }

    pub(crate) fn append(&mut self, value: Value) {
        match (self, value) {
            (ColumnBuilder::Name(b), Value::Text(v)) => b.append_value(v),
            (ColumnBuilder::Text(b), Value::Text(v)) => b.append_value(v),
            (ColumnBuilder::Bool(b), Value::Bool(v)) => b.append_value(v),
            (ColumnBuilder::Int(b), Value::Int(v)) => b.append_value(v),
            (ColumnBuilder::Float(b), Value::Float(v)) => b.append_value(v),
            (ColumnBuilder::Decimal(b), Value::Decimal(v)) => b.append_value(v),
            (ColumnBuilder::Time(b), Value::Time(v)) => b.append_value(v),
            (ColumnBuilder::TimeNs(b), Value::Time(v)) => b.append_value(v),
            (ColumnBuilder::Bytes(b), Value::Bytes(v)) => b.append_value(v),
            (ColumnBuilder::Vector(b), Value::Vector(v)) => {
                b.values().append_slice(&v);
                b.append(true);
            }
            (builder, _) => builder.append_null(),
        }
    }

    fn append_null(&mut self) {
        match self {
            ColumnBuilder::Name(b) => b.append_null(),
            ColumnBuilder::Text(b) => b.append_null(),
            ColumnBuilder::Bool(b) => b.append_null(),
            ColumnBuilder::Int(b) => b.append_null(),
            ColumnBuilder::Float(b) => b.append_null(),
            ColumnBuilder::Decimal(b) => b.append_null(),
            ColumnBuilder::Time(b) => b.append_null(),
            ColumnBuilder::TimeNs(b) => b.append_null(),
            ColumnBuilder::Bytes(b) => b.append_null(),
            ColumnBuilder::Vector(b) => {
                let width = usize::try_from(b.value_length()).expect("a width is a u16");
                b.values().append_nulls(width);
                b.append(false);
            }
        }
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        let builder: &mut dyn ArrayBuilder = match self {
            ColumnBuilder::Name(b) => b,
            ColumnBuilder::Text(b) => b,
            ColumnBuilder::Bool(b) => b,
            ColumnBuilder::Int(b) => b,
            ColumnBuilder::Float(b) => b,
            ColumnBuilder::Decimal(b) => b,
            ColumnBuilder::Time(b) => b,
            ColumnBuilder::TimeNs(b) => b,
            ColumnBuilder::Bytes(b) => b,
            ColumnBuilder::Vector(b) => b,
        };
        builder.finish()
    }
}
