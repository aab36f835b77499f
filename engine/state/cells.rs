//! Cells on their way into and out of the two databases. sqlx's `Any` driver is not used: it refuses SQLite's BOOLEAN
//! columns, panics on shared texts and hides the drivers' options; two small drivers behind one trait have none of that.

use std::sync::Arc;

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgQueryResult, PgRow, PgTypeInfo};
use sqlx::sqlite::{SqliteArguments, SqliteQueryResult, SqliteRow};
use sqlx::{Arguments, Column, Database, Decode, Encode, Postgres, Row as _, Sqlite, Type, TypeInfo, ValueRef};

use crate::error::{Error, Kind, Result};
use crate::rows::Value;

/// One of the two databases, as far as cells go.
pub(super) trait Driver: Database {
    /// The placeholders' values.
    fn arguments(values: &[Value]) -> Result<Self::Arguments, BoxDynError>;
    /// One cell of a row.
    fn cell(row: &Self::Row, at: usize) -> Result<Value, sqlx::Error>;
    /// Rows that a statement changed.
    fn affected(result: &Self::QueryResult) -> u64;
}

impl Driver for Sqlite {
    fn arguments(values: &[Value]) -> Result<SqliteArguments, BoxDynError> {
        let mut arguments = SqliteArguments::default();
        for value in values {
            match value {
                Value::Null => arguments.add(None::<i64>)?,
                Value::Text(v) => arguments.add(v.clone())?,
                Value::Bool(v) => arguments.add(*v)?,
                Value::Int(v) | Value::Time(v) => arguments.add(*v)?,
                Value::Float(v) => arguments.add(*v)?,
                Value::Bytes(v) => arguments.add(v.clone())?,
                Value::Decimal(_) => return Err(NO_DECIMALS.into()),
                Value::Vector(_) => return Err("the state database holds no vectors".into()),
            }
        }
        Ok(arguments)
    }

    fn cell(row: &SqliteRow, at: usize) -> Result<Value, sqlx::Error> {
        let raw = row.try_get_raw(at)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let value = match raw.type_info().name() {
            "INTEGER" => <i64 as Decode<Sqlite>>::decode(raw).map(Value::Int),
            "REAL" => <f64 as Decode<Sqlite>>::decode(raw).map(Value::Float),
            "TEXT" => <String as Decode<Sqlite>>::decode(raw).map(Value::Text),
            "BLOB" => <Vec<u8> as Decode<Sqlite>>::decode(raw).map(Value::Bytes),
            other => Err(format!("a cell of type {other} has no portable form").into()),
        };
        value.map_err(|source| sqlx::Error::ColumnDecode { index: at.to_string(), source })
    }

    fn affected(result: &SqliteQueryResult) -> u64 {
        result.rows_affected()
    }
}

impl Driver for Postgres {
    fn arguments(values: &[Value]) -> Result<PgArguments, BoxDynError> {
        let mut arguments = PgArguments::default();
        for value in values {
            match value {
                Value::Null => arguments.add(UntypedNull)?,
                Value::Text(v) => arguments.add(v.as_str())?,
                Value::Bool(v) => arguments.add(*v)?,
                Value::Int(v) | Value::Time(v) => arguments.add(*v)?,
                Value::Float(v) => arguments.add(*v)?,
                Value::Bytes(v) => arguments.add(v.as_slice())?,
                Value::Decimal(_) => return Err(NO_DECIMALS.into()),
                Value::Vector(_) => return Err("the state database holds no vectors".into()),
            }
        }
        Ok(arguments)
    }

    fn cell(row: &PgRow, at: usize) -> Result<Value, sqlx::Error> {
        let raw = row.try_get_raw(at)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let value = match raw.type_info().name() {
            "INT8" => <i64 as Decode<Postgres>>::decode(raw).map(Value::Int),
            "INT4" => <i32 as Decode<Postgres>>::decode(raw).map(|v| Value::Int(v.into())),
            "INT2" => <i16 as Decode<Postgres>>::decode(raw).map(|v| Value::Int(v.into())),
            "BOOL" => <bool as Decode<Postgres>>::decode(raw).map(Value::Bool),
            "FLOAT8" => <f64 as Decode<Postgres>>::decode(raw).map(Value::Float),
            "TEXT" | "VARCHAR" | "NAME" => <String as Decode<Postgres>>::decode(raw).map(Value::Text),
            "BYTEA" => <Vec<u8> as Decode<Postgres>>::decode(raw).map(Value::Bytes),
            other => Err(format!("a cell of type {other} has no portable form: cast it to BIGINT or TEXT").into()),
        };
        value.map_err(|source| sqlx::Error::ColumnDecode { index: at.to_string(), source })
    }

    fn affected(result: &PgQueryResult) -> u64 {
        result.rows_affected()
    }
}

const NO_DECIMALS: &str =
    "a decimal has no portable form in the state database: store its units as BIGINT or its digits as TEXT";

/// A null whose type PostgreSQL infers from its place. sqlx's own nulls name a type, and `NULL::TEXT` does not fit BIGINT.
struct UntypedNull;

/// Zero in a Parse message leaves the type to the server.
const UNSPECIFIED: Oid = Oid(0);

impl Type<Postgres> for UntypedNull {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(UNSPECIFIED)
    }
}

impl Encode<'_, Postgres> for UntypedNull {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

/// One row of the state database: cells by column name.
#[derive(Debug, Clone)]
pub struct Row {
    columns: Arc<[String]>,
    cells: Vec<Value>,
}

impl Row {
    /// Copies a driver's row. `columns` is shared by the rows of one answer.
    pub(super) fn of<D: Driver>(row: &D::Row, columns: &mut Option<Arc<[String]>>) -> Result<Self, sqlx::Error> {
        let columns = columns.get_or_insert_with(|| row.columns().iter().map(|c| c.name().to_owned()).collect());
        let cells = (0..columns.len()).map(|at| D::cell(row, at)).collect::<Result<_, _>>()?;
        Ok(Row { columns: Arc::clone(columns), cells })
    }

    /// The cell of a column, as `String`, `i64`, `bool`, `f64`, `Vec<u8>` or an `Option` of these.
    pub fn get<T: Cell>(&self, column: &str) -> Result<T> {
        let at = self.columns.iter().position(|name| name == column);
        let value = at.map(|at| &self.cells[at]).ok_or_else(|| misread(column, "is not in the answer"))?;
        T::of(value).ok_or_else(|| misread(column, &format!("holds {}", shape(value))))
    }

    /// The names of the columns, in the order of the SELECT.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The cells in the order of the SELECT.
    pub(super) fn into_cells(self) -> Vec<Value> {
        self.cells
    }
}

fn misread(column: &str, why: &str) -> Error {
    Error::new(Kind::Internal, format!("read column {column} of the state database: it {why}"))
}

/// The kind of a value, without the value: a message may end in a log.
fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Text(_) => "text",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Time(_) => "an integer",
        Value::Float(_) => "a float",
        Value::Decimal(_) => "a decimal",
        Value::Bytes(_) => "bytes",
        Value::Vector(_) => "a vector",
    }
}

/// A Rust type that a cell can be read as.
pub trait Cell: Sized {
    /// The value, unless the cell holds something else.
    fn of(value: &Value) -> Option<Self>;
}

impl Cell for String {
    fn of(value: &Value) -> Option<Self> {
        if let Value::Text(v) = value { Some(v.clone()) } else { None }
    }
}

impl Cell for i64 {
    fn of(value: &Value) -> Option<Self> {
        if let Value::Int(v) = value { Some(*v) } else { None }
    }
}

impl Cell for bool {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(v) => Some(*v),
            Value::Int(v @ (0 | 1)) => Some(*v == 1), // SQLite keeps booleans as integers.
            _ => None,
        }
    }
}

impl Cell for f64 {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Float(v) => Some(*v),
            Value::Int(v) => Some(*v as f64), // SQLite may keep a whole float as an integer.
            _ => None,
        }
    }
}

impl Cell for Vec<u8> {
    fn of(value: &Value) -> Option<Self> {
        if let Value::Bytes(v) = value { Some(v.clone()) } else { None }
    }
}

impl<T: Cell> Cell for Option<T> {
    fn of(value: &Value) -> Option<Self> {
        if value == &Value::Null { Some(None) } else { T::of(value).map(Some) }
    }
}
