//! A store for one case: only the tables that the rule and its rows name, in a folder that goes away.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use engine::{
    Catalogue, Clock, Frame, NoRedaction, Ports, Result, Rows, Scope, Settings, StateTable, Store, Table, Type, Value,
};
use serde_json::Value as Json;

use crate::rule::Rule;

/// Cells that a row has where a case does not say otherwise, so that cases say only what matters.
const HOUSE: &[(&str, &str)] = &[("tenant", "acme"), ("x_tenant", "acme"), ("cluster", "c1"), ("organization", "org")];

/// A clock that stands where it was put.
#[derive(Debug)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A store that holds a case's rows.
pub struct Ground {
    store: Arc<Store>,
    clock: Arc<Hand>,
    folder: PathBuf,
}

impl Ground {
    /// Opens a store at an instant (µs since 1970) with what `sql`, the rule and `tables` name.
    pub async fn open(catalogue: &Catalogue, sql: &str, rule: &Rule, tables: &[&str], now_us: i64) -> Result<Ground> {
        let mut words: BTreeSet<String> = tables.iter().map(|name| name.to_ascii_lowercase()).collect();
        words.extend(rule.header.timing.on.iter().map(|name| name.to_ascii_lowercase()));
        words.extend(rule.header.fresh.iter().map(|fresh| fresh.table.to_ascii_lowercase()));
        let catalogue = needed(catalogue, sql, words);
        let folder = std::env::temp_dir().join(format!("stellwerk-trial-{}", uuid::Uuid::new_v4()));
        let clock = Arc::new(Hand(AtomicI64::new(now_us)));
        let ports = Ports { clock: clock.clone(), redactor: Arc::new(NoRedaction) };
        let store = Store::open(Settings::new(&folder), catalogue, ports).await?;
        Ok(Ground { store, clock, folder })
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Who asks.
    pub fn scope(&self) -> Scope {
        Scope::platform("rules")
    }

    /// Writes a case's rows: state table by state table, then facts in the order in which they came, for the log's time never
    /// goes back. The inner error is the case's own mistake.
    pub async fn fill(&self, tables: &serde_yaml_ng::Mapping, tick: i64) -> Result<std::result::Result<(), String>> {
        let mut facts = Vec::new();
        for (name, rows) in tables {
            let Some(name) = name.as_str() else { return Ok(Err("`rows` names tables".to_owned())) };
            let rows: Vec<serde_json::Map<String, Json>> = match serde_yaml_ng::from_value(rows.clone()) {
                Ok(rows) => rows,
                Err(error) => return Ok(Err(format!("the rows of {name}: {error}"))),
            };
            let catalogue = self.store.catalogue();
            let table = catalogue.tables.iter().copied().find(|table| table.name == name);
            let state = catalogue.state_tables.iter().copied().find(|table| table.name == name);
            for (at, row) in rows.into_iter().enumerate() {
                let place = format!("row {} of {name}", at + 1);
                match (table, state) {
                    (Some(table), _) => match came(table, &row, tick) {
                        Ok(came) => facts.push((came, table, row, place)),
                        Err(wrong) => return Ok(Err(format!("{place}: {wrong}"))),
                    },
                    (None, Some(table)) => {
                        if let Err(wrong) = self.insert(table, &row, tick).await? {
                            return Ok(Err(format!("{place}: {wrong}")));
                        }
                    }
                    (None, None) => return Ok(Err(format!("{place}: there is no such table; a view has no rows"))),
                }
            }
        }
        facts.sort_by_key(|(came, ..)| *came);
        for (came, table, row, place) in &facts {
            self.clock.0.store(*came, Ordering::SeqCst);
            if let Err(wrong) = self.append(table, row, tick).await? {
                return Ok(Err(format!("{place}: {wrong}")));
            }
        }
        self.clock.0.store(tick, Ordering::SeqCst);
        Ok(Ok(()))
    }

    /// Closes the store and removes its folder.
    pub async fn close(self) -> Result<()> {
        let closed = self.store.close().await;
        let _ = std::fs::remove_dir_all(&self.folder);
        closed
    }

    async fn append(
        &self,
        table: &'static Table,
        row: &serde_json::Map<String, Json>,
        tick: i64,
    ) -> Result<std::result::Result<(), String>> {
        let mut rows = Rows::new(table);
        for column in table.columns {
            let value = match row.get(column.name) {
                Some(value) => cell(column.kind, value, tick).map_err(|wrong| format!("{}: {wrong}", column.name)),
                None => Ok(unsaid(column.name, column.kind, column.required, tick)),
            };
            match value {
                Ok(value) => {
                    rows.set(column.name, value);
                }
                Err(wrong) => return Ok(Err(wrong)),
            }
        }
        let known = |name: &String| name == table.ingested_at || table.position(name).is_some();
        if let Some(name) = row.keys().find(|name| !known(*name)) {
            return Ok(Err(format!("{} has no column {name}", table.name)));
        }
        rows.end_row()?;
        let mut frame = Frame::new("trial");
        frame.push_rows(&mut rows);
        self.store.append(frame).await?;
        Ok(Ok(()))
    }

    /// Columns of the database that SQL does not show may be said, too.
    async fn insert(
        &self,
        table: &'static StateTable,
        row: &serde_json::Map<String, Json>,
        tick: i64,
    ) -> Result<std::result::Result<(), String>> {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for column in table.columns {
            let value = match row.get(column.name) {
                Some(value) => cell(column.kind, value, tick),
                None => Ok(unsaid(column.name, column.kind, column.required, tick)),
            };
            match value {
                Ok(value) => values.push(value),
                Err(wrong) => return Ok(Err(format!("{}: {wrong}", column.name))),
            }
            names.push(column.name);
        }
        for (name, value) in row {
            match table.hidden.iter().copied().find(|hidden| *hidden == name.as_str()) {
                Some(hidden) => {
                    names.push(hidden);
                    values.push(loose(value, tick));
                }
                None if names.contains(&name.as_str()) => {}
                None => return Ok(Err(format!("{} has no column {name}", table.name))),
            }
        }
        let columns: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let places: Vec<String> = (1..=names.len()).map(|at| format!("${at}")).collect();
        // Names come from declarations only.
        let sql = format!("INSERT INTO \"{}\" ({}) VALUES ({})", table.name, columns.join(", "), places.join(", "));
        let done = self.store.state().execute(engine::sqlx::AssertSqlSafe(sql), &values).await;
        Ok(done.map(|_| ()).map_err(|error| error.to_string()))
    }
}

/// When a row came.
fn came(table: &Table, row: &serde_json::Map<String, Json>, tick: i64) -> std::result::Result<i64, String> {
    match row.get(table.ingested_at).map(|came| cell(Type::Time, came, tick)) {
        None => Ok(tick),
        Some(Ok(Value::Time(came))) => Ok(came),
        Some(_) => Err(format!("{} is no time", table.ingested_at)),
    }
}

/// The tables and views that a SELECT names, and those that these views name.
fn needed(catalogue: &Catalogue, sql: &str, mut words: BTreeSet<String>) -> Catalogue {
    let of = |sql: &str| -> Vec<String> {
        sql.split(|c: char| !(c.is_alphanumeric() || c == '_')).map(str::to_ascii_lowercase).collect()
    };
    words.extend(of(sql));
    loop {
        let views = catalogue.views.iter().filter(|view| words.contains(&view.name.to_ascii_lowercase()));
        let more: BTreeSet<String> = views.flat_map(|view| of(view.sql)).filter(|word| !words.contains(word)).collect();
        if more.is_empty() {
            break;
        }
        words.extend(more);
    }
    let mut needed = catalogue.clone();
    needed.tables.retain(|table| words.contains(table.name));
    needed.views.retain(|view| words.contains(&view.name.to_ascii_lowercase()));
    needed
}

/// The cell of a column that a case does not speak of.
fn unsaid(name: &str, kind: Type, required: bool, tick: i64) -> Value {
    if let Some((_, text)) = HOUSE.iter().find(|(house, _)| *house == name) {
        return (*text).into();
    }
    if !required {
        return Value::Null;
    }
    match kind {
        Type::Name | Type::Text => "-".into(),
        Type::Json => "{}".into(),
        Type::Bool => false.into(),
        Type::Int => Value::Int(0),
        Type::Float => Value::Float(0.0),
        Type::Decimal => Value::Decimal(0),
        Type::Time => Value::Time(tick),
        Type::TimeNs => Value::Time(tick.saturating_mul(1_000)),
        _ => Value::Null,
    }
}

/// A cell of a column, from what a case says.
fn cell(kind: Type, value: &Json, tick: i64) -> std::result::Result<Value, String> {
    let wrong = || format!("{value} does not fit its column");
    let text = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if value.is_null() {
        return Ok(Value::Null);
    }
    match kind {
        Type::Name | Type::Text if value.is_array() || value.is_object() => Err(wrong()),
        Type::Name | Type::Text => Ok(Value::Text(text())),
        Type::Json => Ok(Value::Text(dated(value, tick).to_string())),
        Type::Bool => value.as_bool().map(Value::Bool).ok_or_else(wrong),
        Type::Int => value.as_i64().map(Value::Int).ok_or_else(wrong),
        Type::Float => value.as_f64().map(Value::Float).ok_or_else(wrong),
        Type::Decimal => {
            ledger::decimal::parse(&text()).map(|number| Value::Decimal(number.units)).map_err(|_| wrong())
        }
        Type::Time => instant(&text(), tick).map(Value::Time).ok_or_else(wrong),
        Type::TimeNs => instant(&text(), tick).map(|us| Value::Time(us.saturating_mul(1_000))).ok_or_else(wrong),
        _ => Err("cells of this type cannot be said in a test".to_owned()),
    }
}

/// A cell of a column whose type nobody declares.
fn loose(value: &Json, tick: i64) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(yes) => Value::Bool(*yes),
        Json::Number(number) => number.as_i64().map_or(Value::Null, Value::Int),
        Json::String(text) => instant(text, tick).map_or_else(|| Value::Text(text.clone()), Value::Time),
        other => Value::Text(other.to_string()),
    }
}

/// A document in which `now-3d` is an instant.
fn dated(value: &Json, tick: i64) -> Json {
    match value {
        Json::String(text) if text.starts_with("now") => {
            instant(text, tick).map_or_else(|| value.clone(), |us| Json::String(engine::clock::rfc3339(us)))
        }
        Json::Array(items) => items.iter().map(|item| dated(item, tick)).collect(),
        Json::Object(members) => {
            Json::Object(members.iter().map(|(name, member)| (name.clone(), dated(member, tick))).collect())
        }
        other => other.clone(),
    }
}

/// `now`, `now-3d`, `now+2h`, an instant by RFC 3339, or a day; µs since 1970.
pub fn instant(text: &str, tick: i64) -> Option<i64> {
    let us = |span: &str| Some(i64::try_from(engine::parse_span(span).ok()?.as_micros()).unwrap_or(i64::MAX));
    match text.strip_prefix("now").map(|rest| rest.split_at_checked(1)) {
        Some(None) => return Some(tick),
        Some(Some(("-", span))) => return Some(tick.saturating_sub(us(span)?)),
        Some(Some(("+", span))) => return Some(tick.saturating_add(us(span)?)),
        _ => {}
    }
    let day = || {
        let day: chrono::NaiveDate = text.parse().ok()?;
        Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros())
    };
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_micros()).or_else(day)
}
