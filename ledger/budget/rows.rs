//! Rows of the state database written many at a time: one statement for all that wait, the same text on both databases.

use std::sync::Arc;

use engine::sqlx::AssertSqlSafe;
use engine::state::{Row, Transaction};
use engine::{Error, Kind, Result, Value};

use super::book::{Held, Leg};
use super::request::Key;
use super::unit::{Amounts, Unit};

/// Rows of one statement: PostgreSQL takes 65,535 placeholders, SQLite 32,766.
const ROWS_MAX: usize = 200;

/// Runs `{head} VALUES (…), (…) {tail}` over all rows, some at a time, and collects what it returns. Names and words of
/// `head` and `tail` are the program's own.
pub async fn insert(transaction: &mut Transaction, head: &str, rows: &[Vec<Value>], tail: &str) -> Result<Vec<Row>> {
    let mut returned = Vec::new();
    for some in rows.chunks(ROWS_MAX) {
        let mut sql = format!("{head} VALUES ");
        let mut number = 0;
        for (at, row) in some.iter().enumerate() {
            sql.push_str(if at == 0 { "(" } else { ", (" });
            for column in 0..row.len() {
                number += 1;
                sql.push_str(&format!("{}${number}", if column == 0 { "" } else { ", " }));
            }
            sql.push(')');
        }
        sql.push(' ');
        sql.push_str(tail);
        let values: Vec<Value> = some.iter().flatten().cloned().collect();
        returned.extend(transaction.fetch(AssertSqlSafe(sql), &values).await?);
    }
    Ok(returned)
}

/// The id of what a budget counts: whose it is and what it is called can be read from it.
pub fn id(tenant: &str, name: &str, generation: i64) -> Arc<str> {
    format!("{tenant}/{name}#{generation}").into()
}

/// Tenant and name in an id.
pub fn names(id: &str) -> (&str, &str) {
    let full = id.rsplit_once('#').map_or(id, |(full, _)| full);
    full.split_once('/').unwrap_or(("", full))
}

/// The legs as they are stored: `[[id, starts, ends, day, unit, units, held], …]`.
pub fn legs_json(legs: &[Leg], ids: &[Arc<str>]) -> String {
    let one = |leg: &Leg| {
        let id = &ids[leg.number as usize];
        serde_json::json!([id, leg.starts_us, leg.ends_us, leg.day_us, leg.unit.to_string(), leg.units, leg.held])
    };
    serde_json::Value::Array(legs.iter().map(one).collect()).to_string()
}

/// What [`legs_json`] wrote; `number` gives an id's number.
pub fn read_legs(text: &str, number: &mut impl FnMut(&Arc<str>) -> u32) -> Result<Vec<Leg>> {
    type Stored = (Arc<str>, i64, i64, i64, String, i64, bool);
    let stored: Vec<Stored> =
        serde_json::from_str(text).map_err(|e| Error::new(Kind::Corrupt, format!("stored legs: {e}")))?;
    let one = |(id, starts_us, ends_us, day_us, unit, units, held): Stored| {
        let unit: Unit = unit.parse()?;
        Ok(Leg { number: number(&id), starts_us, ends_us, day_us, unit, units, held })
    };
    stored.into_iter().map(one).collect()
}

/// Tenant and request id of a row.
pub fn key(row: &Row) -> Result<Key> {
    Ok((row.get::<String>("tenant")?.into(), row.get::<String>("request_id")?.into()))
}

/// An open reservation from its row.
pub fn held(row: &Row, number: &mut impl FnMut(&Arc<str>) -> u32) -> Result<Held> {
    Ok(Held {
        key: key(row)?,
        amounts: Amounts::stored(&row.get::<String>("amounts")?)?,
        legs: read_legs(&row.get::<String>("legs")?, number)?,
        reserved_us: row.get("reserved_at")?,
        expires_us: row.get("expires_at")?,
        permit: std::sync::Mutex::default(),
        is_written: true.into(),
    })
}
