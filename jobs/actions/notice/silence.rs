//! A silence: a rule, or rows of it by their cells, of which nobody is told for a while.

use std::collections::BTreeMap;

use engine::state::Row as Stored;
use engine::{Error, Kind, Result, State, Value};
use serde::{Deserialize, Serialize};

use super::Row;

/// The longest silence: what is forgotten is not silent but gone.
const DAYS_MAX: i64 = 366;

/// The silence that somebody wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewSilence {
    /// The rule; a `*` at its end stands for any rest.
    pub rule: String,
    /// Cells that a row must have.
    pub cells: BTreeMap<String, String>,
    /// From when, µs since 1970; now without it.
    pub starts_us: Option<i64>,
    /// How long, µs.
    pub span_us: i64,
    /// Who wants it.
    pub who: String,
    /// Why.
    pub why: String,
}

/// A silence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Its id.
    pub id: String,
    /// The rule; a `*` at its end stands for any rest.
    pub rule: String,
    /// Cells that a row must have.
    pub cells: BTreeMap<String, String>,
    /// From when, µs since 1970.
    pub starts_us: i64,
    /// Until when.
    pub ends_us: i64,
    /// Who wants it.
    pub who: String,
    /// Why.
    pub why: String,
}

const SILENCES: &str =
    "SELECT id, rule, cells, starts_at, ends_at, who, why FROM silence WHERE ends_at > $1 ORDER BY ends_at, id";

impl Silence {
    fn of(row: &Stored) -> Result<Silence> {
        let cells: String = row.get("cells")?;
        let cells = serde_json::from_str(&cells)
            .map_err(|e| Error::new(Kind::Corrupt, format!("the cells of a silence are no JSON: {e}")))?;
        Ok(Silence {
            id: row.get("id")?,
            rule: row.get("rule")?,
            cells,
            starts_us: row.get("starts_at")?,
            ends_us: row.get("ends_at")?,
            who: row.get("who")?,
            why: row.get("why")?,
        })
    }

    /// Makes a silence.
    pub async fn add(state: &State, new: &NewSilence, now_us: i64) -> Result<Silence> {
        let filled = |what: &str, text: &str| match text.trim() {
            "" => Err(Error::invalid(format!("a silence says {what}"))),
            _ => Ok(()),
        };
        filled("which rule it is about; `*` is every one", &new.rule)?;
        filled("why it is wanted", &new.why)?;
        if new.rule.strip_suffix('*').unwrap_or(&new.rule).contains('*') {
            return Err(Error::invalid(format!(
                "a `*` stands at the end of a rule's name only, not as in `{}`",
                new.rule
            )));
        }
        let starts_us = new.starts_us.unwrap_or(now_us);
        if new.span_us <= 0
            || new.span_us > DAYS_MAX * 86_400_000_000
            || starts_us.saturating_add(new.span_us) <= now_us
        {
            return Err(Error::invalid(format!("a silence ends in the future, and lasts at most {DAYS_MAX} days")));
        }
        let silence = Silence {
            id: uuid::Uuid::new_v4().simple().to_string()[..8].to_owned(),
            rule: new.rule.clone(),
            cells: new.cells.clone(),
            starts_us,
            ends_us: starts_us + new.span_us,
            who: new.who.clone(),
            why: state.redactor().redact(&new.why).into_owned(),
        };
        let values = [
            silence.id.as_str().into(),
            silence.rule.as_str().into(),
            serde_json::to_string(&silence.cells).unwrap_or_default().into(),
            Value::Time(silence.starts_us),
            Value::Time(silence.ends_us),
            silence.who.as_str().into(),
            silence.why.as_str().into(),
            Value::Time(now_us),
        ];
        let sql = "INSERT INTO silence (id, rule, cells, starts_at, ends_at, who, why, created_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        state.execute(sql, &values).await?;
        Ok(silence)
    }

    /// Silences that have not ended at an instant.
    pub async fn all(state: &State, after_us: i64) -> Result<Vec<Silence>> {
        state.fetch(SILENCES, &[Value::Time(after_us)]).await?.iter().map(Silence::of).collect()
    }

    /// Ends a silence now: what it kept back and still fires is told. `NotFound` where none of the id lasts.
    pub async fn expire(state: &State, id: &str, now_us: i64) -> Result<()> {
        let mut open = state.transaction().await?;
        let values = [id.into(), Value::Time(now_us)];
        if open.execute("UPDATE silence SET ends_at = $2 WHERE id = $1 AND ends_at > $2", &values).await? == 0 {
            return Err(Error::new(
                Kind::NotFound,
                format!("there is no silence {id}, or it has ended; `stellwerk silence list`"),
            ));
        }
        let waiting = "UPDATE job SET run_at = $2 WHERE state = 'ready' AND run_at > $2 AND cause = $1";
        open.execute(waiting, &[kept_back(id).into(), Value::Time(now_us)]).await?;
        open.commit().await
    }

    /// Whether it keeps a row back.
    pub fn covers(&self, rule: &str, row: &serde_json::Value, now_us: i64) -> bool {
        let of_rule = match self.rule.strip_suffix('*') {
            Some(begin) => rule.starts_with(begin),
            None => rule == self.rule,
        };
        let cell = |name: &String, wanted: &String| match &row[name.as_str()] {
            serde_json::Value::String(text) => text == wanted,
            serde_json::Value::Null => wanted.is_empty(),
            other => other.to_string() == *wanted,
        };
        of_rule && (self.starts_us..self.ends_us).contains(&now_us) && self.cells.iter().all(|(n, w)| cell(n, w))
    }
}

/// The cause of jobs that wait for a silence's end.
pub fn kept_back(id: &str) -> String {
    format!("silence {id}")
}

/// Takes the rows out that are silenced, each with the silence that lasts longest.
pub async fn take_silenced(
    state: &State,
    rule: &str,
    rows: &mut Vec<Row>,
    now_us: i64,
) -> Result<Vec<(Silence, Vec<Row>)>> {
    let mut silences = Silence::all(state, now_us).await?;
    silences.reverse();
    let mut taken: Vec<(Silence, Vec<Row>)> = Vec::new();
    for silence in silences {
        let of: Vec<Row> = rows.extract_if(.., |row| silence.covers(rule, &row.row, now_us)).collect();
        if !of.is_empty() {
            taken.push((silence, of));
        }
    }
    Ok(taken)
}
