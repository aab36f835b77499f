//! What is remembered of scorecards. All that an evaluation changes is one transaction, and only what changed is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::state::{Row, Transaction};
use engine::{Error, Kind, Result, State as Database, Value};
use serde_json::json;

use super::Key;
use super::definition::{Check, Scorecard};
use super::evaluate::{Entity, Evaluated, Found};
use super::exemption::Exemptions;
use super::outcome::{Outcome, Standing, standing};
use super::stored::{Kept, KeptEntity, Stored};

/// Evaluations that are kept of a scorecard.
const RUNS_KEPT: i64 = 1_000;
/// The result of a check or an entity that is no more.
const GONE: &str = "gone";

/// How an evaluation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its tick.
    pub tick: i64,
    /// Why it changed nothing; `None` where it ended well.
    pub error: Option<String>,
    /// Every row before this place in the log was seen by it.
    pub seq: i64,
    /// When it began.
    pub began_us: i64,
    /// When it ended.
    pub ended_us: i64,
}

/// What an evaluation changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Who was scored.
    pub entities: usize,
    /// Facts that were looked at.
    pub asked: usize,
    /// Checks that say something else than before, new ones among them.
    pub changed: usize,
}

/// The book, over the state database.
#[derive(Debug, Clone)]
pub struct Book {
    state: Arc<Database>,
}

impl Book {
    /// The book in `state`.
    pub fn new(state: Arc<Database>) -> Self {
        Book { state }
    }

    /// The version of a scorecard that was evaluated last, and its tick.
    pub async fn last(&self, card: &str) -> Result<(Option<String>, Option<i64>)> {
        let rows = self.state.fetch("SELECT version, last_tick FROM scorecard WHERE name = $1", &[card.into()]).await?;
        let Some(row) = rows.first() else { return Ok((None, None)) };
        Ok((Some(row.get("version")?), row.get("last_tick")?))
    }

    /// What is known of a scorecard.
    pub async fn stored(&self, card: &str) -> Result<Stored> {
        let of = [card.into()];
        let sql = "SELECT version, last_tick, seen_seq FROM scorecard WHERE name = $1";
        let mut stored = Stored::default();
        if let Some(row) = self.state.fetch(sql, &of).await?.first() {
            stored.version = Some(row.get("version")?);
            stored.last_tick = row.get("last_tick")?;
            stored.seq = row.get("seen_seq")?;
        }
        let sql = "SELECT tenant, entity, title, owner, level, level_last_change, since FROM score_entity WHERE scorecard = $1";
        for row in &self.state.fetch(sql, &of).await? {
            let entity = KeptEntity {
                title: row.get("title")?,
                owner: row.get("owner")?,
                level: row.get("level")?,
                level_last_change: row.get("level_last_change")?,
                since: row.get("since")?,
            };
            stored.entities.insert((row.get("tenant")?, row.get("entity")?), entity);
        }
        let sql = "SELECT tenant, entity, check_id, result, evidence, observed_at, rule_version, result_last_change \
                   FROM score_result WHERE scorecard = $1";
        for row in &self.state.fetch(sql, &of).await? {
            let key: Key = (row.get("tenant")?, row.get("entity")?);
            stored.results.insert((key, row.get("check_id")?), kept(row)?);
        }
        Ok(stored)
    }

    /// Writes an evaluation: what it changed and its record. Fails with `Conflict` where another one ended in between.
    pub async fn commit(&self, card: &Scorecard, stored: &Stored, now: &Evaluated, run: &Run) -> Result<Counted> {
        let exempt = Exemptions::new(Arc::clone(&self.state)).holding(&card.name, run.tick).await?;
        let mut open = self.state.transaction().await?;
        upsert_card(&mut open, card, stored, run).await?;
        versions(&mut open, card, run.tick).await?;
        let mut counted = Counted { entities: now.entities.len(), asked: now.asked, changed: 0 };
        let checks: BTreeMap<&str, &Check> = card.checks.iter().map(|check| (check.id.as_str(), check)).collect();
        // A title or a level may have changed with the file, though nothing that a check says did.
        let same_file = stored.version.as_deref() == Some(card.version.as_str());
        for ((key, id), found) in &now.results {
            let before = stored.results.get(&(key.clone(), id.clone()));
            let check = checks.get(id.as_str()).ok_or_else(|| Error::new(Kind::Internal, "a result of no check"))?;
            let says = before.is_none_or(|before| before.outcome != found.outcome);
            counted.changed += usize::from(says);
            if says || before.is_some_and(|before| before.rule_version != check.version) {
                let was = before.map(|before| before.outcome.name());
                let what = Told { was, is: found.outcome.name(), evidence: found.evidence.as_deref() };
                history(&mut open, &card.name, key, id, &what, &check.version, run.tick).await?;
            }
            let since = before.filter(|_| !says).map_or(run.tick, |before| before.result_last_change);
            if !same_file || before.is_none_or(|before| !is_same(before, found, check)) {
                upsert_result(&mut open, card, key, check, found, since).await?;
            }
        }
        for ((key, id), before) in stored.results.iter().filter(|(at, _)| !now.results.contains_key(*at)) {
            let what = Told { was: Some(before.outcome.name()), is: GONE, evidence: None };
            history(&mut open, &card.name, key, id, &what, &before.rule_version, run.tick).await?;
            let sql = "DELETE FROM score_result WHERE scorecard = $1 AND tenant = $2 AND entity = $3 AND check_id = $4";
            let of = [card.name.as_str().into(), key.0.as_str().into(), key.1.as_str().into(), id.as_str().into()];
            open.execute(sql, &of).await?;
            counted.changed += 1;
        }
        entities(&mut open, card, stored, now, &exempt, run.tick).await?;
        insert_run(&mut open, card, run, counted).await?;
        open.commit().await?;
        Ok(counted)
    }

    /// Writes that an evaluation failed: nothing else changes.
    pub async fn failed(&self, card: &Scorecard, run: &Run) -> Result<()> {
        let mut open = self.state.transaction().await?;
        insert_run(&mut open, card, run, Counted::default()).await?;
        open.commit().await
    }
}

fn is_same(before: &Kept, found: &Found, check: &Check) -> bool {
    before.outcome == found.outcome
        && before.evidence == found.evidence
        && before.observed_us == found.observed_us
        && before.rule_version == check.version
}

fn kept(row: &Row) -> Result<Kept> {
    let result: String = row.get("result")?;
    let outcome = Outcome::parse(&result);
    Ok(Kept {
        outcome: outcome.ok_or_else(|| Error::new(Kind::Corrupt, format!("a check's result is {result}")))?,
        evidence: row.get("evidence")?,
        observed_us: row.get("observed_at")?,
        rule_version: row.get("rule_version")?,
        result_last_change: row.get("result_last_change")?,
    })
}

fn time(at: Option<i64>) -> Value {
    at.map_or(Value::Null, Value::Time)
}

fn place(at: usize) -> Value {
    Value::Int(i64::try_from(at).unwrap_or(i64::MAX))
}

async fn upsert_card(open: &mut Transaction, card: &Scorecard, stored: &Stored, run: &Run) -> Result<()> {
    let values = [
        card.name.as_str().into(),
        card.version.as_str().into(),
        card.title.as_str().into(),
        card.owner.as_str().into(),
        card.why.as_deref().into(),
        card.entity_kind.as_str().into(),
        json!(card.levels).to_string().into(),
        card.text.as_str().into(),
        Value::Time(run.tick),
        Value::Int(run.seq),
        time(stored.last_tick),
    ];
    // Decided in the writing statement: what was compared with is what this row's last tick left behind.
    let sql = "INSERT INTO scorecard (name, version, title, owner, why, entity_kind, levels, text, last_tick, seen_seq, loaded_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9) ON CONFLICT (name) DO UPDATE SET \
               loaded_at = CASE WHEN scorecard.version = excluded.version THEN scorecard.loaded_at ELSE excluded.loaded_at END, \
               version = excluded.version, title = excluded.title, owner = excluded.owner, why = excluded.why, \
               entity_kind = excluded.entity_kind, levels = excluded.levels, text = excluded.text, \
               last_tick = excluded.last_tick, seen_seq = excluded.seen_seq \
               WHERE COALESCE(scorecard.last_tick, -1) = COALESCE($11, -1)";
    match open.execute(sql, &values).await? {
        0 => Err(Error::new(
            Kind::Conflict,
            format!("the scorecard {} was evaluated elsewhere in the meantime", card.name),
        )),
        _ => Ok(()),
    }
}

/// Ends the versions of checks that are other ones now, or none, and begins the new ones.
async fn versions(open: &mut Transaction, card: &Scorecard, tick: i64) -> Result<()> {
    let of = [card.name.as_str().into()];
    let sql = "SELECT check_id, number, rule_version, until FROM scorecard_check WHERE scorecard = $1 ORDER BY number";
    let mut known: BTreeMap<String, (i64, String, bool)> = BTreeMap::new();
    for row in &open.fetch(sql, &of).await? {
        let ended: Option<i64> = row.get("until")?;
        known.insert(row.get("check_id")?, (row.get("number")?, row.get("rule_version")?, ended.is_some()));
    }
    let wanted: BTreeSet<(&str, &str)> = card.checks.iter().map(|c| (c.id.as_str(), c.version.as_str())).collect();
    for (id, (number, version, ended)) in &known {
        if !ended && !wanted.contains(&(id.as_str(), version.as_str())) {
            let values = [card.name.as_str().into(), id.as_str().into(), Value::Int(*number), Value::Time(tick)];
            let sql = "UPDATE scorecard_check SET until = $4 WHERE scorecard = $1 AND check_id = $2 AND number = $3";
            open.execute(sql, &values).await?;
        }
    }
    for check in &card.checks {
        let last = known.get(&check.id);
        if last.is_some_and(|(_, version, ended)| *version == check.version && !ended) {
            continue;
        }
        let values = [
            card.name.as_str().into(),
            check.id.as_str().into(),
            Value::Int(last.map_or(1, |(number, _, _)| number + 1)),
            check.version.as_str().into(),
            card.levels[check.level].as_str().into(),
            Value::Int(check.weight),
            check.title.as_str().into(),
            check.why.as_deref().into(),
            check.sql.as_str().into(),
            Value::Time(tick),
        ];
        let sql = "INSERT INTO scorecard_check (scorecard, check_id, number, rule_version, level, weight, title, why, sql, since) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        open.execute(sql, &values).await?;
    }
    Ok(())
}

async fn upsert_result(
    open: &mut Transaction,
    card: &Scorecard,
    key: &Key,
    check: &Check,
    found: &Found,
    since: i64,
) -> Result<()> {
    let values = [
        card.name.as_str().into(),
        key.0.as_str().into(),
        key.1.as_str().into(),
        check.id.as_str().into(),
        check.title.as_str().into(),
        card.levels[check.level].as_str().into(),
        place(check.level),
        card.levels[check.level - 1].as_str().into(),
        Value::Int(check.weight),
        found.outcome.name().into(),
        found.evidence.as_deref().into(),
        time(found.observed_us),
        check.version.as_str().into(),
        Value::Time(since),
    ];
    let sql = "INSERT INTO score_result (scorecard, tenant, entity, check_id, title, level, level_order, level_below, weight, \
               result, evidence, observed_at, rule_version, result_last_change) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
               ON CONFLICT (scorecard, tenant, entity, check_id) DO UPDATE SET title = excluded.title, level = excluded.level, \
               level_order = excluded.level_order, level_below = excluded.level_below, weight = excluded.weight, \
               result = excluded.result, evidence = excluded.evidence, observed_at = excluded.observed_at, \
               rule_version = excluded.rule_version, result_last_change = excluded.result_last_change";
    open.execute(sql, &values).await.map(|_| ())
}

/// A change as history tells it.
struct Told<'a> {
    was: Option<&'a str>,
    is: &'a str,
    evidence: Option<&'a str>,
}

async fn history(
    open: &mut Transaction,
    card: &str,
    key: &Key,
    check: &str,
    what: &Told<'_>,
    version: &str,
    tick: i64,
) -> Result<()> {
    let values = [
        card.into(),
        key.0.as_str().into(),
        key.1.as_str().into(),
        check.into(),
        Value::Time(tick),
        what.was.into(),
        what.is.into(),
        what.evidence.into(),
        version.into(),
    ];
    let sql = "INSERT INTO score_history (scorecard, tenant, entity, check_id, happened_at, result_before, result, evidence, \
               rule_version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    open.execute(sql, &values).await.map(|_| ())
}

/// Writes who is new, who is gone, and whose level or name is another one.
async fn entities(
    open: &mut Transaction,
    card: &Scorecard,
    stored: &Stored,
    now: &Evaluated,
    exempt: &BTreeSet<(Key, String)>,
    tick: i64,
) -> Result<()> {
    for (key, entity) in &now.entities {
        let stands = stands(card, key, now, exempt);
        let level = &card.levels[stands.level];
        let before = stored.entities.get(key);
        let moved = before.is_none_or(|before| before.level != *level);
        if moved {
            let was = before.map(|before| before.level.as_str());
            level_history(open, &card.name, key, (was, level.as_str()), stands.percent(), tick).await?;
        }
        let named = before.is_some_and(|before| before.title == entity.title && before.owner == entity.owner);
        if moved || !named || stored.version.as_deref() != Some(card.version.as_str()) {
            let since = before.filter(|_| !moved).map_or(tick, |before| before.level_last_change);
            let first = before.map_or(tick, |before| before.since);
            upsert_entity(open, card, key, entity, level, [since, first]).await?;
        }
    }
    for (key, before) in stored.entities.iter().filter(|(key, _)| !now.entities.contains_key(*key)) {
        level_history(open, &card.name, key, (Some(before.level.as_str()), GONE), None, tick).await?;
        let of = [card.name.as_str().into(), key.0.as_str().into(), key.1.as_str().into()];
        open.execute("DELETE FROM score_entity WHERE scorecard = $1 AND tenant = $2 AND entity = $3", &of).await?;
    }
    Ok(())
}

/// Where an entity stands by what was found.
fn stands(card: &Scorecard, key: &Key, now: &Evaluated, exempt: &BTreeSet<(Key, String)>) -> Standing {
    let checks = card.checks.iter().filter_map(|check| {
        let at = (key.clone(), check.id.clone());
        let outcome = if exempt.contains(&at) { Outcome::NotApplicable } else { now.results.get(&at)?.outcome };
        Some((check.level, check.weight, outcome))
    });
    standing(card.levels.len(), checks)
}

async fn upsert_entity(
    open: &mut Transaction,
    card: &Scorecard,
    key: &Key,
    entity: &Entity,
    level: &str,
    [level_since, since]: [i64; 2],
) -> Result<()> {
    let values = [
        card.name.as_str().into(),
        key.0.as_str().into(),
        key.1.as_str().into(),
        card.entity_kind.as_str().into(),
        entity.title.as_deref().into(),
        entity.owner.as_deref().into(),
        level.into(),
        card.levels.last().map(String::as_str).into(),
        Value::Time(level_since),
        Value::Time(since),
    ];
    let sql = "INSERT INTO score_entity (scorecard, tenant, entity, entity_kind, title, owner, level, top_level, \
               level_last_change, since) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
               ON CONFLICT (scorecard, tenant, entity) DO UPDATE SET entity_kind = excluded.entity_kind, \
               title = excluded.title, owner = excluded.owner, level = excluded.level, top_level = excluded.top_level, \
               level_last_change = excluded.level_last_change";
    open.execute(sql, &values).await.map(|_| ())
}

async fn level_history(
    open: &mut Transaction,
    card: &str,
    key: &Key,
    (was, is): (Option<&str>, &str),
    percent: Option<f64>,
    tick: i64,
) -> Result<()> {
    let values = [
        card.into(),
        key.0.as_str().into(),
        key.1.as_str().into(),
        Value::Time(tick),
        was.into(),
        is.into(),
        percent.into(),
    ];
    let sql = "INSERT INTO score_level_history (scorecard, tenant, entity, happened_at, level_before, level, score_percent) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    open.execute(sql, &values).await.map(|_| ())
}

async fn insert_run(open: &mut Transaction, card: &Scorecard, run: &Run, counted: Counted) -> Result<()> {
    let values = [
        card.name.as_str().into(),
        Value::Time(run.tick),
        card.version.as_str().into(),
        if run.error.is_some() { "error" } else { "done" }.into(),
        place(counted.entities),
        place(counted.asked),
        place(counted.changed),
        run.error.as_deref().into(),
        Value::Time(run.began_us),
        Value::Time(run.ended_us),
    ];
    let sql = "INSERT INTO score_run (scorecard, tick, version, status, entities, facts_asked, results_changed, error, began_at, \
               ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (scorecard, tick) DO NOTHING";
    open.execute(sql, &values).await?;
    let old = [card.name.as_str().into(), Value::Int(RUNS_KEPT)];
    let sql = "DELETE FROM score_run WHERE scorecard = $1 AND tick < (SELECT min(tick) FROM \
               (SELECT tick FROM score_run WHERE scorecard = $1 ORDER BY tick DESC LIMIT $2) AS newest)";
    open.execute(sql, &old).await.map(|_| ())
}
