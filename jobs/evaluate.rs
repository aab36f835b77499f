//! A rule's SELECT at a tick, as rows with their keys. Preview, backtest and run ask here and nowhere else.

use engine::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use engine::arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use engine::arrow::util::display::{ArrayFormatter, FormatOptions};
use engine::sql::session::from_datafusion;
use engine::{Answer, Error, Kind, Limits, Question, Result, Scope, Store};
use futures::TryStreamExt;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::freshness;
use crate::rows::Seen;
use crate::rule::{Rule, at_tick};

/// Rows of one run; a rule with more is no rule but a report.
pub const ROWS_MAX: usize = 100_000;
/// A rule's question may take this long.
pub const TIME_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// Where a rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// At what is there.
    Now,
    /// At what was there at the tick.
    Then,
}

/// What a rule's SELECT answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The question in `query_log`, which says what it saw.
    pub query_id: String,
    /// Its rows.
    pub rows: Vec<Seen>,
}

/// The rows of a rule at a tick (µs since 1970).
pub async fn evaluate(store: &Store, scope: &Scope, rule: &Rule, tick: i64, at: At) -> Result<Evaluated> {
    freshness::check(store, scope, &rule.header.fresh, tick, at).await?;
    let answer = ask(store, scope, &rule.sql, tick, at).await?;
    let query_id = answer.query_id;
    let schema = answer.stream.schema();
    let places = |names: &[String]| {
        let place = |name: &String| place_of(&schema, name);
        names.iter().map(place).collect::<Result<Vec<_>>>()
    };
    let (key, watch) = (places(&rule.header.key)?, places(&rule.header.watch)?);
    let batches: Vec<RecordBatch> = answer.stream.try_collect().await.map_err(from_datafusion)?;
    let mut rows = Vec::new();
    for batch in &batches {
        let columns = batch.columns().iter().map(cells).collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            let list = |places: &[usize]| Value::Array(places.iter().map(|at| columns[*at][row].clone()).collect());
            let names = schema.fields().iter().map(|field| field.name().clone());
            let data: Map<String, Value> = names.zip(columns.iter().map(|column| column[row].clone())).collect();
            let watch = if watch.is_empty() { String::new() } else { hash(&list(&watch)) };
            rows.push(Seen { key: list(&key).to_string(), watch, data });
        }
    }
    Ok(Evaluated { query_id, rows })
}

/// The columns and rows of any SELECT at a tick, cells as JSON.
pub async fn table(store: &Store, scope: &Scope, sql: &str, tick: i64) -> Result<(SchemaRef, Vec<Map<String, Value>>)> {
    let answer = ask(store, scope, sql, tick, At::Now).await?;
    let schema = answer.stream.schema();
    let batches: Vec<RecordBatch> = answer.stream.try_collect().await.map_err(from_datafusion)?;
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    for batch in &batches {
        let columns = batch.columns().iter().map(cells).collect::<Result<Vec<_>>>()?;
        let names = || schema.fields().iter().map(|field| field.name().clone());
        for row in 0..batch.num_rows() {
            rows.push(names().zip(columns.iter().map(|column| column[row].clone())).collect());
        }
    }
    Ok((schema, rows))
}

/// The columns of a rule's SELECT, without its rows.
pub async fn columns(store: &Store, scope: &Scope, rule: &Rule) -> Result<SchemaRef> {
    let nothing = format!("SELECT * FROM ({}\n) LIMIT 0", rule.sql);
    Ok(ask(store, scope, &nothing, 0, At::Now).await?.stream.schema())
}

async fn ask(store: &Store, scope: &Scope, sql: &str, tick: i64, at: At) -> Result<Answer> {
    let question = Question { sql: at_tick(sql, tick), params: Vec::new() };
    let limits = Limits { rows_max: ROWS_MAX, time_max: TIME_MAX };
    match at {
        At::Now => store.query(scope, question, limits).await,
        At::Then => store.query_as_of(scope, question, limits, tick).await,
    }
}

/// The place of a column, in any spelling if only one is meant.
pub fn place_of(schema: &SchemaRef, name: &str) -> Result<usize> {
    let exact = schema.fields().iter().position(|field| field.name() == name);
    let loose = || schema.fields().iter().position(|field| field.name().eq_ignore_ascii_case(name));
    exact.or_else(loose).ok_or_else(|| {
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        Error::new(Kind::Invalid, format!("the SELECT has no column {name}; it has {}", names.join(", ")))
    })
}

fn hash(value: &Value) -> String {
    hex::encode(&Sha256::digest(value.to_string().as_bytes())[..16])
}

/// The cells of a column as JSON: numbers that JSON holds exactly as numbers, everything else as SQL writes it.
fn cells(column: &ArrayRef) -> Result<Vec<Value>> {
    let broken = |e: engine::arrow::error::ArrowError| Error::new(Kind::Internal, format!("read a rule's rows: {e}"));
    let options = FormatOptions::default().with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"));
    let formatter = ArrayFormatter::try_new(column, &options).map_err(broken)?;
    let text = |row: usize| formatter.value(row).try_to_string().map_err(broken);
    let one = |row: usize| -> Result<Value> {
        if column.is_null(row) {
            return Ok(Value::Null);
        }
        Ok(match column.data_type() {
            DataType::Boolean => column.as_boolean().value(row).into(),
            DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
            DataType::Float32 => f64::from(column.as_primitive::<Float32Type>().value(row)).into(),
            kind if kind.is_integer() => serde_json::from_str(&text(row)?).unwrap_or_default(),
            DataType::Decimal128(..) | DataType::Decimal256(..) => Value::String(short(&text(row)?)),
            _ => Value::String(text(row)?),
        })
    };
    (0..column.len()).map(one).collect()
}

/// A decimal without the zeros at its end.
fn short(decimal: &str) -> String {
    if decimal.contains('.') {
        decimal.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        decimal.to_owned()
    }
}
