//! What is remembered between runs: rules, the rows they track, their runs, and the jobs that follow. All of one run is one
//! transaction, so that no row fires without its job and no tick has two runs.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use engine::state::{Row, Transaction};
use engine::{Column, Error, Kind, Result, State as Database, StateTable, Type, Value};
use serde_json::Map;

use crate::queue::many::Many;
use crate::queue::{self, NewJob};
use crate::rows::{Difference, State, Tracked};
use crate::rule::{Fault, Rule};

/// Rules as they were loaded.
pub static RULE: StateTable = StateTable {
    name: "rule",
    doc: "Rules as they were loaded, when each runs next, and why one is held. Seen by the platform only.",
    columns: &[
        Column::new("name", Type::Text, "Path of its file within the folder of rules, without the ending.").required(),
        Column::new("version", Type::Text, "SHA-256 of its file.").required(),
        Column::new("owner", Type::Text, "Who answers for it.").required(),
        Column::new("why", Type::Text, "Why it exists."),
        Column::new("text", Type::Text, "Its file.").required(),
        Column::new("enabled", Type::Bool, "Whether it runs: false where its file is gone.").required(),
        Column::new("next_at", Type::Time, "Its next tick; null where only new rows of a table make it run."),
        Column::new("last_tick", Type::Time, "The tick of its last run that ended well."),
        Column::new(
            "held_reason",
            Type::Text,
            "Why it changes nothing until its owner releases it; null while it runs.",
        ),
        Column::new("released", Type::Bool, "Whether the next run may exceed its limit once.").required(),
        Column::new("loaded_at", Type::Time, "When this version was loaded.").required(),
    ],
    hidden: &["rate_at"],
    tenant: None,
};

/// Runs of rules.
pub static RULE_RUN: StateTable = StateTable {
    name: "rule_run",
    doc: "Every run of a rule: its tick, what it saw and what followed. Seen by the platform only.",
    columns: &[
        Column::new("rule", Type::Text, "The rule.").required(),
        Column::new("tick", Type::Time, "The instant that `$now` was.").required(),
        Column::new("version", Type::Text, "Which version of the rule ran.").required(),
        Column::new("status", Type::Text, "`done`, `held` (nothing changed, see error) or `error` (nothing changed).")
            .required(),
        Column::new("query_id", Type::Text, "Its question in `query_log`, where `snapshot_seq` says what it saw."),
        Column::new("rows", Type::Int, "Rows of its SELECT.").required(),
        Column::new("rows_new", Type::Int, "Rows that were new.").required(),
        Column::new("rows_changed", Type::Int, "Rows that changed.").required(),
        Column::new("rows_resolved", Type::Int, "Rows that were gone.").required(),
        Column::new("result", Type::Json, "The first rows of its SELECT."),
        Column::new("error", Type::Text, "Why it changed nothing."),
        Column::new("began_at", Type::Time, "When it began.").required(),
        Column::new("ended_at", Type::Time, "When it ended.").required(),
    ],
    hidden: &[],
    tenant: None,
};

/// Rows that rules track.
pub static RULE_ROW: StateTable = StateTable {
    name: "rule_row",
    doc: "Rows that rules track. A row that is resolved is forgotten. Seen by the platform only.",
    columns: &[
        Column::new("rule", Type::Text, "The rule.").required(),
        Column::new("key", Type::Json, "The cells of its `key`, a list.").required(),
        Column::new("state", Type::Text, "`pending`, `firing` or `clearing`.").required(),
        Column::new("epoch", Type::Time, "The tick at which it began to fire, or came.").required(),
        Column::new("watch", Type::Text, "Hash of the watched cells as they were told.").required(),
        Column::new("since", Type::Time, "The tick since which it is in this state.").required(),
        Column::new("flaps", Type::Int, "Times it came back before it was resolved.").required(),
        Column::new("data", Type::Json, "Its cells when it was last seen.").required(),
    ],
    hidden: &[],
    tenant: None,
};

/// Every state table of rules and jobs.
pub const STATE_TABLES: &[&StateTable] = &[
    &RULE,
    &RULE_RUN,
    &RULE_ROW,
    &queue::JOB,
    &queue::JOB_DONE,
    &queue::JOB_LIMIT,
    &queue::EFFECT,
    &crate::flow::stored::STEP,
    &crate::flow::stored::SIGNAL,
    &crate::approval::APPROVAL,
    &crate::approval::VOTE,
];

/// Rows of a result that its run keeps.
pub const RESULT_ROWS_MAX: usize = 20;
/// Runs that are kept of a rule.
const RUNS_KEPT: i64 = 10_000;

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The rule.
    pub rule: String,
    /// Its tick.
    pub tick: i64,
    /// Its version.
    pub version: String,
    /// `done`, `held` or `error`.
    pub status: &'static str,
    /// The question in `query_log`.
    pub query_id: Option<String>,
    /// Rows of its SELECT.
    pub rows: usize,
    /// New, changed and resolved rows.
    pub counts: [usize; 3],
    /// The first rows.
    pub result: Vec<Map<String, serde_json::Value>>,
    /// Why it changed nothing.
    pub error: Option<String>,
    /// When it began.
    pub began_us: i64,
    /// When it ended.
    pub ended_us: i64,
}

/// How a rule stands after a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct After {
    /// Its last tick as the run knew it: the run counts only if no other one ended since.
    pub last_tick: Option<i64>,
    /// Its next tick.
    pub next_us: Option<i64>,
    /// Why it is held.
    pub held: Option<String>,
    /// When the rate of its actions allows the next one.
    pub rate_us: Option<i64>,
}

/// A rule as it stands in the book.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Who answers for it.
    pub owner: String,
    /// Whether it runs.
    pub enabled: bool,
    /// Its next tick.
    pub next_us: Option<i64>,
    /// The tick of its last run that ended well.
    pub last_tick: Option<i64>,
    /// Why it is held.
    pub held: Option<String>,
    /// Whether its next run may exceed its limit.
    pub released: bool,
    /// When the rate of its actions allows the next one.
    pub rate_us: Option<i64>,
    /// Its file.
    pub text: String,
}

impl Entry {
    fn of(row: &Row) -> Result<Self> {
        Ok(Entry {
            name: row.get("name")?,
            version: row.get("version")?,
            owner: row.get("owner")?,
            enabled: row.get("enabled")?,
            next_us: row.get("next_at")?,
            last_tick: row.get("last_tick")?,
            held: row.get("held_reason")?,
            released: row.get("released")?,
            rate_us: row.get("rate_at")?,
            text: row.get("text")?,
        })
    }

    /// The rule of its file.
    pub fn rule(&self) -> std::result::Result<Rule, Vec<Fault>> {
        Rule::parse(&self.name, &self.text)
    }
}

const ENTRY: &str =
    "SELECT name, version, owner, text, enabled, next_at, last_tick, held_reason, released, rate_at FROM rule";

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

    /// Takes the rules of a folder over: new and changed ones are loaded, those that are gone no longer run. Ticks that a
    /// rule already has stay.
    pub async fn load(&self, rules: &[Rule], now_us: i64) -> Result<()> {
        let mut open = self.state.transaction().await?;
        open.execute("UPDATE rule SET enabled = false WHERE enabled = true", &[]).await?;
        for rule in rules {
            upsert_rule(&mut open, rule, true, now_us).await?;
        }
        open.commit().await
    }

    /// Adds one rule, for a run by hand: it does not run by itself unless it does already.
    pub async fn add(&self, rule: &Rule, now_us: i64) -> Result<()> {
        let mut open = self.state.transaction().await?;
        upsert_rule(&mut open, rule, false, now_us).await?;
        open.commit().await
    }

    /// Every rule, by name.
    pub async fn entries(&self) -> Result<Vec<Entry>> {
        let rows = self.state.fetch(format_static(ENTRY, " ORDER BY name"), &[]).await?;
        rows.iter().map(Entry::of).collect()
    }

    /// One rule.
    pub async fn entry(&self, name: &str) -> Result<Option<Entry>> {
        let rows = self.state.fetch(format_static(ENTRY, " WHERE name = $1"), &[name.into()]).await?;
        rows.first().map(Entry::of).transpose()
    }

    /// The rows that a rule tracks.
    pub async fn tracked(&self, rule: &str) -> Result<BTreeMap<String, Tracked>> {
        let sql = "SELECT key, state, epoch, watch, since, flaps, data FROM rule_row WHERE rule = $1";
        let rows = self.state.fetch(sql, &[rule.into()]).await?;
        rows.iter().map(|row| Ok((row.get("key")?, tracked(row)?))).collect()
    }

    /// Whether a rule ever ran to its end.
    pub async fn ran(&self, rule: &str) -> Result<bool> {
        let sql = "SELECT tick FROM rule_run WHERE rule = $1 AND status = 'done' LIMIT 1";
        Ok(!self.state.fetch(sql, &[rule.into()]).await?.is_empty())
    }

    /// Writes a run with its difference and its jobs, and when the rule runs next, into a transaction. False where the tick has
    /// a run already, or where another run of the rule ended since this one began: then nothing of the transaction may stay.
    pub async fn write(
        open: &mut Transaction,
        run: &Run,
        difference: &Difference,
        jobs: &[NewJob],
        after: &After,
    ) -> Result<bool> {
        let values = [
            run.rule.as_str().into(),
            time(after.next_us),
            after.held.as_deref().into(),
            Value::Bool(run.status == "done"),
            Value::Time(run.tick),
            time(after.rate_us),
            time(after.last_tick),
        ];
        // Decided in the writing statement: what the run compared with is what this row's last tick left behind.
        let fenced = "UPDATE rule SET next_at = $2, held_reason = $3, released = CASE WHEN $4 THEN false ELSE released END, \
                      last_tick = CASE WHEN $4 THEN $5 ELSE last_tick END, rate_at = $6 \
                      WHERE name = $1 AND COALESCE(last_tick, -1) = COALESCE($7, -1)";
        if open.execute(fenced, &values).await? == 0 || !insert_run(open, run).await? {
            return Ok(false);
        }
        let mut rows = Vec::with_capacity(difference.tracked.len() * 8);
        for (key, row) in &difference.tracked {
            rows.extend(row_values(&run.rule, key, row));
        }
        UPSERT_ROWS.fetch(open, &rows).await?;
        let gone: Vec<Value> = difference.forgotten.iter().map(|key| key.as_str().into()).collect();
        FORGET_ROWS.fetch_with(open, &[run.rule.as_str().into()], &gone).await?;
        queue::insert_all(open, jobs).await?;
        let old = [run.rule.as_str().into(), Value::Int(RUNS_KEPT)];
        open.execute(
            "DELETE FROM rule_run WHERE rule = $1 AND tick < (SELECT min(tick) FROM \
             (SELECT tick FROM rule_run WHERE rule = $1 ORDER BY tick DESC LIMIT $2) AS newest)",
            &old,
        )
        .await?;
        Ok(true)
    }

    /// Lets the next run of a held rule exceed its limit. `NotFound` where the rule is not held.
    pub async fn release(&self, rule: &str, now_us: i64) -> Result<()> {
        let values = [rule.into(), Value::Time(now_us)];
        let sql = "UPDATE rule SET released = true, held_reason = NULL, next_at = $2 \
                   WHERE name = $1 AND held_reason IS NOT NULL";
        match self.state.execute(sql, &values).await? {
            0 => Err(Error::new(Kind::NotFound, format!("the rule {rule} is not held"))),
            _ => Ok(()),
        }
    }

    /// Makes a rule due now, because a table that it follows has new rows.
    pub async fn touch(&self, rule: &str, now_us: i64) -> Result<()> {
        let sql = "UPDATE rule SET next_at = $2 WHERE name = $1 AND (next_at IS NULL OR next_at > $2)";
        self.state.execute(sql, &[rule.into(), Value::Time(now_us)]).await.map(|_| ())
    }

    /// Leaves ticks out that are not caught up.
    pub async fn pass_over(&self, rule: &str, next_us: Option<i64>) -> Result<()> {
        let values = [rule.into(), time(next_us)];
        self.state.execute("UPDATE rule SET next_at = $2 WHERE name = $1", &values).await.map(|_| ())
    }

    /// Rules whose tick has come, by tick.
    pub async fn due(&self, now_us: i64) -> Result<Vec<Entry>> {
        let sql = format_static(
            ENTRY,
            " WHERE enabled = true AND held_reason IS NULL AND next_at <= $1 ORDER BY next_at, name",
        );
        self.state.fetch(sql, &[Value::Time(now_us)]).await?.iter().map(Entry::of).collect()
    }

    /// The next tick of all.
    pub async fn next_tick(&self) -> Result<Option<i64>> {
        let rows = self
            .state
            .fetch("SELECT min(next_at) AS next_at FROM rule WHERE enabled = true AND held_reason IS NULL", &[])
            .await?;
        rows.first().map_or(Ok(None), |row| row.get("next_at"))
    }

    /// The newest runs of a rule, newest first.
    pub async fn runs(&self, rule: &str, count: i64) -> Result<Vec<BTreeMap<&'static str, serde_json::Value>>> {
        let sql = "SELECT tick, version, status, rows, rows_new, rows_changed, rows_resolved, error, began_at, ended_at \
                   FROM rule_run WHERE rule = $1 ORDER BY tick DESC LIMIT $2";
        let rows = self.state.fetch(sql, &[rule.into(), Value::Int(count)]).await?;
        let number = |row: &Row, name: &'static str| Ok::<_, Error>((name, row.get::<i64>(name)?.into()));
        let text = |row: &Row, name: &'static str| Ok::<_, Error>((name, row.get::<Option<String>>(name)?.into()));
        let entry = |row: &Row| {
            let numbers = ["tick", "rows", "rows_new", "rows_changed", "rows_resolved", "began_at", "ended_at"];
            let texts = ["version", "status", "error"];
            numbers.into_iter().map(|n| number(row, n)).chain(texts.into_iter().map(|n| text(row, n))).collect()
        };
        rows.iter().map(entry).collect()
    }
}

/// Two constant pieces of SQL as one; there are few, and each is made once.
fn format_static(left: &'static str, right: &'static str) -> engine::sqlx::AssertSqlSafe<String> {
    engine::sqlx::AssertSqlSafe(format!("{left}{right}"))
}

fn time(at: Option<i64>) -> Value {
    at.map_or(Value::Null, Value::Time)
}

fn tracked(row: &Row) -> Result<Tracked> {
    let broken = |what: String| Error::new(Kind::Corrupt, format!("a tracked row of a rule {what}"));
    let (state, data): (String, String) = (row.get("state")?, row.get("data")?);
    Ok(Tracked {
        state: State::parse(&state).ok_or_else(|| broken(format!("is in the state {state}")))?,
        epoch: row.get("epoch")?,
        watch: row.get("watch")?,
        since: row.get("since")?,
        flaps: row.get("flaps")?,
        data: serde_json::from_str(&data).map_err(|e| broken(format!("has cells that are no JSON: {e}")))?,
    })
}

async fn upsert_rule(open: &mut Transaction, rule: &Rule, enabled: bool, now_us: i64) -> Result<()> {
    let values = [
        rule.name.as_str().into(),
        rule.version.as_str().into(),
        rule.header.owner.as_str().into(),
        rule.header.why.as_deref().into(),
        rule.text.as_str().into(),
        time(rule.header.timing.next(&rule.name, now_us)),
        Value::Time(now_us),
        Value::Bool(enabled),
    ];
    let sql = "INSERT INTO rule (name, version, owner, why, text, enabled, next_at, released, loaded_at) \
               VALUES ($1, $2, $3, $4, $5, $8, $6, false, $7) ON CONFLICT (name) DO UPDATE SET \
               next_at = CASE WHEN rule.version = excluded.version THEN COALESCE(rule.next_at, excluded.next_at) ELSE excluded.next_at END, \
               loaded_at = CASE WHEN rule.version = excluded.version THEN rule.loaded_at ELSE excluded.loaded_at END, \
               held_reason = CASE WHEN rule.version = excluded.version THEN rule.held_reason ELSE NULL END, \
               version = excluded.version, owner = excluded.owner, why = excluded.why, text = excluded.text, \
               enabled = (rule.enabled OR excluded.enabled)";
    open.execute(sql, &values).await.map(|_| ())
}

async fn insert_run(open: &mut Transaction, run: &Run) -> Result<bool> {
    let redactor = open.redactor();
    let count = |n: usize| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
    let values = [
        run.rule.as_str().into(),
        Value::Time(run.tick),
        run.version.as_str().into(),
        run.status.into(),
        run.query_id.as_deref().into(),
        count(run.rows),
        count(run.counts[0]),
        count(run.counts[1]),
        count(run.counts[2]),
        serde_json::to_string(&run.result).unwrap_or_default().into(),
        // What failed may repeat a cell.
        run.error.as_deref().map(|error| redactor.redact(error).into_owned()).into(),
        Value::Time(run.began_us),
        Value::Time(run.ended_us),
    ];
    // A run that changed nothing gives way to one that does.
    let sql = "INSERT INTO rule_run (rule, tick, version, status, query_id, rows, rows_new, rows_changed, rows_resolved, result, \
               error, began_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
               ON CONFLICT (rule, tick) DO UPDATE SET version = excluded.version, status = excluded.status, \
               query_id = excluded.query_id, rows = excluded.rows, rows_new = excluded.rows_new, \
               rows_changed = excluded.rows_changed, rows_resolved = excluded.rows_resolved, result = excluded.result, \
               error = excluded.error, began_at = excluded.began_at, ended_at = excluded.ended_at \
               WHERE rule_run.status <> 'done'";
    Ok(open.execute(sql, &values).await? == 1)
}

static UPSERT_ROWS: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO rule_row (rule, key, state, epoch, watch, since, flaps, data) \
         SELECT column1, column2, column3, column4, column5, column6, column7, column8 FROM (VALUES ",
        "tttitiit",
        ") AS tracked WHERE column1 <> '' ON CONFLICT (rule, key) DO UPDATE SET state = excluded.state, epoch = excluded.epoch, watch = excluded.watch, \
         since = excluded.since, flaps = excluded.flaps, data = excluded.data",
    )
});
static FORGET_ROWS: LazyLock<Many> =
    LazyLock::new(|| Many::sharing(1, "DELETE FROM rule_row WHERE rule = $1 AND key IN (VALUES ", "t", ")"));

fn row_values(rule: &str, key: &str, row: &Tracked) -> [Value; 8] {
    [
        rule.into(),
        key.into(),
        row.state.name().into(),
        Value::Time(row.epoch),
        row.watch.as_str().into(),
        Value::Time(row.since),
        Value::Int(row.flaps),
        serde_json::to_string(&row.data).unwrap_or_default().into(),
    ]
}

#[cfg(test)]
mod tests;
