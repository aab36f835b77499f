//! What keeps messages back: silences for a while, acknowledgements for as long as a row fires; and who was told later.

mod silence;
mod tables;

use engine::state::Transaction;
use engine::{Error, Kind, Result, State, Value};
use serde_json::json;

use crate::queue;

pub use silence::{NewSilence, Silence, kept_back, take_silenced};
pub use tables::{ACKNOWLEDGEMENT, ESCALATION, SILENCE, STATE_TABLES};

/// A row that somebody is told of.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The cells of its key, a list.
    pub key: serde_json::Value,
    /// Which of its lives.
    pub epoch: i64,
    /// Its cells.
    pub row: serde_json::Value,
    /// What is said of it.
    pub message: String,
}

impl Row {
    /// As it stands in a job's arguments.
    pub fn json(&self) -> serde_json::Value {
        json!({ "key": self.key, "epoch": self.epoch, "row": self.row, "message": self.message })
    }
}

/// Leaves the rows that still fire and that nobody acknowledged.
pub async fn retain_open(state: &State, rule: &str, rows: &mut Vec<Row>) -> Result<()> {
    let mut open = Vec::with_capacity(rows.len());
    for row in rows.drain(..) {
        let values = [rule.into(), row.key.to_string().into(), Value::Time(row.epoch)];
        let sql = "SELECT r.key FROM rule_row r WHERE r.rule = $1 AND r.key = $2 AND r.epoch = $3 AND r.state = 'firing' \
                   AND NOT EXISTS (SELECT 1 FROM acknowledgement a WHERE a.rule = r.rule AND a.key = r.key AND a.epoch = r.epoch)";
        if !state.fetch(sql, &values).await?.is_empty() {
            open.push(row);
        }
    }
    *rows = open;
    Ok(())
}

/// Says that somebody knows of a row that fires: those who would be told later are not, until it fires again.
pub async fn acknowledge(
    state: &State,
    rule: &str,
    key: &str,
    who: &str,
    why: Option<&str>,
    now_us: i64,
) -> Result<()> {
    let values = [rule.into(), key.into(), who.into(), why.into(), Value::Time(now_us)];
    let sql = "INSERT INTO acknowledgement (rule, key, epoch, who, why, at) \
               SELECT rule, key, epoch, $3, $4, $5 FROM rule_row WHERE rule = $1 AND key = $2 AND state <> 'pending' \
               ON CONFLICT (rule, key, epoch) DO UPDATE SET who = excluded.who, why = excluded.why, at = excluded.at";
    match state.execute(sql, &values).await? {
        0 => Err(Error::new(
            Kind::NotFound,
            format!("no row {key} of the rule {rule} fires; `stellwerk rule explain` says why"),
        )),
        _ => Ok(()),
    }
}

/// The same for one life of a row, by somebody who need not be known: whoever said so before stays. False where it is over.
pub async fn acknowledge_life(open: &mut Transaction, rule: &str, row: &Row, who: &str, now_us: i64) -> Result<bool> {
    let values = [rule.into(), row.key.to_string().into(), Value::Time(row.epoch)];
    let fires = "SELECT key FROM rule_row WHERE rule = $1 AND key = $2 AND epoch = $3 AND state <> 'pending'";
    if open.fetch(fires, &values).await?.is_empty() {
        return Ok(false);
    }
    let sql = "INSERT INTO acknowledgement (rule, key, epoch, who, why, at) VALUES ($1, $2, $3, $4, NULL, $5) \
               ON CONFLICT (rule, key, epoch) DO NOTHING";
    let [rule, key, epoch] = values;
    open.execute(sql, &[rule, key, epoch, who.into(), Value::Time(now_us)]).await?;
    Ok(true)
}

/// Writes down that a route's step was taken for rows.
pub async fn escalated(
    open: &mut Transaction,
    rule: &str,
    rows: &[Row],
    route: &str,
    step: i64,
    now_us: i64,
) -> Result<()> {
    for row in rows {
        let values = [
            rule.into(),
            row.key.to_string().into(),
            Value::Time(row.epoch),
            route.into(),
            Value::Int(step),
            Value::Time(now_us),
        ];
        let sql = "INSERT INTO escalation (rule, key, epoch, route, step, at) VALUES ($1, $2, $3, $4, $5, $6) \
                   ON CONFLICT (rule, key, epoch, route, step) DO NOTHING";
        open.execute(sql, &values).await?;
    }
    Ok(())
}

/// How many steps of a route were taken for any of these rows.
pub async fn steps_taken(state: &State, rule: &str, rows: &[Row], route: &str) -> Result<i64> {
    let mut taken = 0;
    for row in rows {
        let values = [rule.into(), row.key.to_string().into(), Value::Time(row.epoch), route.into()];
        let sql = "SELECT CAST(COALESCE(max(step), -1) AS BIGINT) AS step FROM escalation \
                   WHERE rule = $1 AND key = $2 AND epoch = $3 AND route = $4";
        let rows = state.fetch(sql, &values).await?;
        taken = taken.max(rows.first().map_or(Ok(-1), |row| row.get::<i64>("step"))? + 1);
    }
    Ok(taken)
}

/// Forgets silences that ended long ago, and what was acknowledged and told later of rows that are gone.
pub async fn forget(state: &State, now_us: i64) -> Result<()> {
    let before = [Value::Time(now_us - i64::try_from(queue::KEPT.as_micros()).expect("days fit"))];
    state.execute("DELETE FROM silence WHERE ends_at < $1", &before).await?;
    let gone = "NOT EXISTS (SELECT 1 FROM rule_row r WHERE r.rule = t.rule AND r.key = t.key AND r.epoch = t.epoch)";
    for table in ["acknowledgement", "escalation"] {
        let sql = format!("DELETE FROM {table} AS t WHERE t.at < $1 AND {gone}");
        state.execute(engine::sqlx::AssertSqlSafe(sql), &before).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
