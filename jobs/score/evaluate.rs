//! A scorecard's SELECTs at a tick: who is scored, and what every check says about each. Looking at what changed gives the
//! rows that looking at everything would.

use std::collections::{BTreeMap, BTreeSet};

use engine::arrow::datatypes::{DataType, SchemaRef};
use engine::{Error, Kind, Result, Scope, Store};
use serde_json::{Map, Value};

use super::Key;
use super::definition::{Check, Scorecard, since};
use super::outcome::{Fact, Outcome, outcome, too_old};
use super::stored::{Kept, Stored};
use crate::evaluate::{place_of, table};
use crate::rule::NOW;

/// More changed entities than this, and all are looked at.
const NARROW_MAX: usize = 2_000;
/// What the columns of filters are called, before the number of their check.
const APPLIES: &str = "applies_";

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// Everything.
    All,
    /// What changed since the evaluation before.
    Changed(&'a Stored),
}

/// Who is scored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entity {
    /// Its name for people.
    pub title: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
}

/// What a check says about an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it says.
    pub outcome: Outcome,
    /// By which evidence.
    pub evidence: Option<String>,
    /// When that was seen, µs since 1970.
    pub observed_us: Option<i64>,
}

/// What a scorecard says at a tick.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evaluated {
    /// Who is scored.
    pub entities: BTreeMap<Key, Entity>,
    /// What every check says, by entity and check.
    pub results: BTreeMap<(Key, String), Found>,
    /// Facts that were asked for; the others are as they were.
    pub asked: usize,
}

/// Everything that is wrong with a scorecard over these tables.
pub async fn check(store: &Store, scope: &Scope, card: &Scorecard) -> Vec<String> {
    let mut faults = Vec::new();
    let mut look = |what: String, outcome: Result<()>| {
        faults.extend(outcome.err().map(|error| format!("{what}: {error}")));
    };
    let nothing = |sql: &str| format!("SELECT * FROM ({sql}\n) LIMIT 0");
    let entities = table(store, scope, &nothing(&entities_sql(card)), 0).await;
    look(
        "the entities' SELECT, or a filter".to_owned(),
        entities.and_then(|(schema, _)| needs(&schema, &["tenant", "entity"])),
    );
    for check in &card.checks {
        let facts = table(store, scope, &nothing(&check.sql), 0).await;
        let outcome = facts.and_then(|(schema, _)| {
            needs(&schema, &["tenant", "entity", "passed"])?;
            let passed = schema.field(place_of(&schema, "passed")?).data_type().clone();
            match passed {
                DataType::Boolean | DataType::Null => Ok(()),
                other => Err(Error::invalid(format!("`passed` is {other}, and must be true, false or null"))),
            }
        });
        look(format!("check {}", check.id), outcome);
        if let Some(changed) = &check.changed {
            let outcome = table(store, scope, &nothing(&since(changed, 0)), 0).await;
            let outcome = outcome.and_then(|(schema, _)| needs(&schema, &["entity"]));
            look(format!("check {}, changed", check.id), outcome);
        }
    }
    faults
}

fn needs(schema: &SchemaRef, names: &[&str]) -> Result<()> {
    names.iter().try_for_each(|name| place_of(schema, name).map(|_| ()))
}

/// What a scorecard says at a tick (µs since 1970).
pub async fn evaluate(
    store: &Store,
    scope: &Scope,
    card: &Scorecard,
    tick: i64,
    which: Which<'_>,
) -> Result<Evaluated> {
    let (schema, rows) = table(store, scope, &entities_sql(card), tick).await?;
    needs(&schema, &["tenant", "entity"])?;
    let (mut evaluated, mut applies) = (Evaluated::default(), vec![BTreeSet::new(); card.checks.len()]);
    for row in &rows {
        let key = key(row, "the entities' SELECT")?;
        let entity = Entity { title: text(row, "title"), owner: text(row, "owner") };
        for (at, who) in applies.iter_mut().enumerate() {
            if row.get(&format!("{APPLIES}{at}")).and_then(Value::as_bool).unwrap_or(false) {
                who.insert(key.clone());
            }
        }
        if evaluated.entities.insert(key.clone(), entity).is_some() {
            return Err(Error::invalid(format!("the entities' SELECT has several rows for {} of {}", key.1, key.0)));
        }
    }
    let same = |stored: &Stored| stored.version.as_deref() == Some(card.version.as_str());
    for (check, who) in card.checks.iter().zip(&applies) {
        let before = match which {
            Which::Changed(stored) if same(stored) => narrow(store, scope, check, who, stored, tick).await?,
            _ => None,
        };
        let facts = facts(store, scope, check, before.as_ref().map(|before| &before.look), tick).await?;
        for key in evaluated.entities.keys() {
            let found = match &before {
                _ if !who.contains(key) => not_applicable(),
                Some(before) if !before.look.contains(&key.1) => carried(check, before.kept.get(&key).copied(), tick),
                _ => {
                    evaluated.asked += 1;
                    let fact = facts.get(key);
                    let (outcome, evidence) = outcome(fact, check.max_age, tick);
                    Found { outcome, evidence, observed_us: fact.and_then(|fact| fact.observed_us) }
                }
            };
            evaluated.results.insert((key.clone(), check.id.clone()), found);
        }
    }
    Ok(evaluated)
}

fn not_applicable() -> Found {
    Found { outcome: Outcome::NotApplicable, evidence: None, observed_us: None }
}

/// The entities' SELECT with a column for every filter.
fn entities_sql(card: &Scorecard) -> String {
    let filters: String = card
        .checks
        .iter()
        .enumerate()
        .map(|(at, check)| {
            let filter = check.filter.as_deref().unwrap_or("true");
            format!(", coalesce(({filter}\n), false) AS {APPLIES}{at}")
        })
        .collect();
    format!("SELECT *{filters} FROM ({}\n) AS entities", card.entity_sql)
}

/// What is not looked at again.
struct Before<'a> {
    /// Names of entities that are looked at.
    look: BTreeSet<String>,
    /// What the check said about the others.
    kept: BTreeMap<&'a Key, &'a Kept>,
}

/// What a check need not look at again; `None` where it looks at everything: its facts move with the tick, it does not
/// say what changed, it was another check before, or too much changed.
async fn narrow<'a>(
    store: &Store,
    scope: &Scope,
    check: &Check,
    who: &BTreeSet<Key>,
    stored: &'a Stored,
    tick: i64,
) -> Result<Option<Before<'a>>> {
    let Some(changed) = &check.changed else { return Ok(None) };
    if check.sql.to_ascii_lowercase().contains(NOW) {
        return Ok(None);
    }
    let kept: BTreeMap<&Key, &Kept> = stored
        .results
        .iter()
        .filter(|((_, id), kept)| *id == check.id && kept.rule_version == check.version)
        .filter(|(_, kept)| kept.outcome != Outcome::NotApplicable)
        .map(|((key, _), kept)| (key, kept))
        .collect();
    let (_, rows) = table(store, scope, &since(changed, stored.seq), tick).await?;
    let mut look: BTreeSet<String> = rows.iter().filter_map(|row| text(row, "entity")).collect();
    // New ones, and those that the check was not about.
    look.extend(who.iter().filter(|key| !kept.contains_key(key)).map(|key| key.1.clone()));
    Ok((look.len() <= NARROW_MAX).then_some(Before { look, kept }))
}

/// What stays as it was, but for growing too old.
fn carried(check: &Check, kept: Option<&Kept>, tick: i64) -> Found {
    let Some(kept) = kept else { return Found { outcome: Outcome::Unknown, evidence: None, observed_us: None } };
    let stale = (kept.observed_us.is_some()).then(|| too_old(kept.observed_us, check.max_age, tick)).flatten();
    match stale {
        Some(why) => Found { outcome: Outcome::Unknown, evidence: Some(why), observed_us: kept.observed_us },
        None => Found { outcome: kept.outcome, evidence: kept.evidence.clone(), observed_us: kept.observed_us },
    }
}

/// The facts of a check: all, or those of entities with these names.
async fn facts(
    store: &Store,
    scope: &Scope,
    check: &Check,
    look: Option<&BTreeSet<String>>,
    tick: i64,
) -> Result<BTreeMap<Key, Fact>> {
    let sql = match look {
        None => check.sql.clone(),
        Some(names) if names.is_empty() => return Ok(BTreeMap::new()),
        Some(names) => {
            let names: Vec<String> = names.iter().map(|name| format!("'{}'", name.replace('\'', "''"))).collect();
            format!("SELECT * FROM ({}\n) AS facts WHERE entity IN ({})", check.sql, names.join(", "))
        }
    };
    let named = |error: Error| Error::new(error.kind(), format!("check {}: {error}", check.id));
    let (schema, rows) = table(store, scope, &sql, tick).await.map_err(named)?;
    needs(&schema, &["tenant", "entity", "passed"]).map_err(named)?;
    let mut facts = BTreeMap::new();
    for row in &rows {
        let key = key(row, &format!("check {}", check.id))?;
        let observed_us = text(row, "observed_at").map(|at| observed(&at, check)).transpose()?;
        let fact =
            Fact { passed: row.get("passed").and_then(Value::as_bool), evidence: text(row, "evidence"), observed_us };
        if facts.insert(key.clone(), fact).is_some() {
            let what = format!("check {} has several rows for {} of {}: group them", check.id, key.1, key.0);
            return Err(Error::invalid(what));
        }
    }
    Ok(facts)
}

fn observed(text: &str, check: &Check) -> Result<i64> {
    let at = chrono::DateTime::parse_from_rfc3339(text).map(|at| at.timestamp_micros());
    // Without a zone SQL means UTC.
    let at = at.or_else(|_| text.parse::<chrono::NaiveDateTime>().map(|at| at.and_utc().timestamp_micros()));
    at.map_err(|_| Error::invalid(format!("check {}: `observed_at` is {text}, which is no time", check.id)))
}

fn key(row: &Map<String, Value>, what: &str) -> Result<Key> {
    match (text(row, "tenant"), text(row, "entity")) {
        (Some(tenant), Some(entity)) => Ok((tenant, entity)),
        _ => Err(Error::new(Kind::Invalid, format!("{what} has a row without tenant or entity"))),
    }
}

/// A cell as text; null and what is not there are none.
fn text(row: &Map<String, Value>, name: &str) -> Option<String> {
    match row.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
