//! A rule's own test: rows that make it fire and rows that do not, in a file beside it (`near_cap.test.yaml` beside
//! `near_cap.sql`). Each case runs over a store of its own that holds its rows and nothing else.
//!
//! ```yaml
//! - case: a pod that waits
//!   rows:
//!     k8s_pod:
//!     - {namespace: shop, pod: web-0, container: web, phase: Pending, creation_timestamp: now-1h}
//!     - {namespace: shop, pod: web-1, container: web, phase: Running}
//!   fires:            # exactly these rows of the SELECT, by the cells that matter
//!   - {pod: web-0}
//!   silent:           # rows that are there, and must not fire
//!   - {pod: web-1}
//! ```
//! `now`, `now-3d` and `now+2h` are instants about the tick, in any cell; `ingested_at` sets when a row came.

mod fixture;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use engine::{Catalogue, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::evaluate::{At, evaluate};
use crate::rule::Rule;
use fixture::Ground;

/// What a rule's test is called, where the rule is called `NAME.sql`.
pub const ENDING: &str = "test.yaml";

/// One case of a rule's test.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub case: String,
    /// The tick, RFC 3339; now without it.
    #[serde(default)]
    at: Option<String>,
    /// Rows by table, in the order in which they come.
    rows: serde_yaml_ng::Mapping,
    /// The rows that the SELECT must give, by some of their cells.
    fires: Vec<Map<String, Value>>,
    /// Cells that no row of the SELECT may have together.
    #[serde(default)]
    silent: Vec<Map<String, Value>>,
}

/// How a case went.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// The case.
    pub case: String,
    /// What was otherwise than the case says; empty where it passed.
    pub wrong: Vec<String>,
}

/// The path of the test that belongs to a rule's file.
pub fn beside(rule: &Path) -> PathBuf {
    rule.with_extension(ENDING)
}

/// The cases of a test's file. A test without a row that fires and one that does not shows nothing, and is refused.
pub fn parse(text: &str) -> std::result::Result<Vec<Case>, String> {
    let cases: Vec<Case> = serde_yaml_ng::from_str(text).map_err(|e| e.to_string())?;
    let names: BTreeSet<&str> = cases.iter().map(|case| case.case.as_str()).collect();
    if names.len() != cases.len() {
        return Err("two cases have one name".to_owned());
    }
    if !cases.iter().any(|case| !case.fires.is_empty()) {
        return Err("no case has a row under `fires`".to_owned());
    }
    if !cases.iter().any(|case| !case.silent.is_empty()) {
        return Err("no case has a row under `silent`".to_owned());
    }
    Ok(cases)
}

/// Runs the cases of a rule, each over the tables of `catalogue` that it needs.
pub async fn run(catalogue: &Catalogue, rule: &Rule, cases: &[Case]) -> Result<Vec<Verdict>> {
    let mut verdicts = Vec::with_capacity(cases.len());
    for case in cases {
        verdicts.push(Verdict { case: case.case.clone(), wrong: run_case(catalogue, rule, case).await? });
    }
    Ok(verdicts)
}

async fn run_case(catalogue: &Catalogue, rule: &Rule, case: &Case) -> Result<Vec<String>> {
    let tick = match case.at.as_deref().map(chrono::DateTime::parse_from_rfc3339) {
        Some(Ok(at)) => at.timestamp_micros(),
        Some(Err(_)) => return Ok(vec!["`at` is no time: write 2026-11-01T06:00:00Z".to_owned()]),
        None => chrono::Utc::now().timestamp_micros(),
    };
    let tables: Vec<&str> = case.rows.keys().filter_map(|name| name.as_str()).collect();
    let ground = Ground::open(catalogue, &rule.sql, rule, &tables, tick).await?;
    let outcome = judge(&ground, rule, case, tick).await;
    ground.close().await?;
    outcome
}

async fn judge(ground: &Ground, rule: &Rule, case: &Case, tick: i64) -> Result<Vec<String>> {
    if let Err(wrong) = ground.fill(&case.rows, tick).await? {
        return Ok(vec![wrong]);
    }
    let faults = crate::check::check(ground.store(), &ground.scope(), rule).await;
    if !faults.is_empty() {
        return Ok(faults.iter().map(|fault| format!("line {}: {}", fault.line, fault.what)).collect());
    }
    let rows = match evaluate(ground.store(), &ground.scope(), rule, tick, At::Now).await {
        Ok(evaluated) => evaluated.rows,
        Err(error) => return Ok(vec![error.to_string()]),
    };
    let rows: Vec<Map<String, Value>> = rows.into_iter().map(|row| row.data).collect();
    Ok(compare(&case.fires, &case.silent, &rows))
}

/// What is otherwise than expected: every row must be one of `fires`, every one of `fires` a row, and none like `silent`.
fn compare(fires: &[Map<String, Value>], silent: &[Map<String, Value>], rows: &[Map<String, Value>]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut left: Vec<&Map<String, Value>> = rows.iter().collect();
    for wanted in fires {
        match left.iter().position(|row| is_like(row, wanted)) {
            Some(at) => {
                left.remove(at);
            }
            None => wrong.push(format!("nothing fires like {}", shown(wanted))),
        }
    }
    wrong.extend(left.iter().map(|row| format!("fires, and no line of `fires` says so: {}", shown(row))));
    for unwanted in silent {
        let found = rows.iter().find(|row| is_like(row, unwanted));
        wrong.extend(found.map(|row| format!("must be silent about {}: {}", shown(unwanted), shown(row))));
    }
    wrong
}

fn is_like(row: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(name, value)| row.get(name).is_some_and(|cell| is_same(cell, value)))
}

/// Cells are compared as SQL writes them; numbers as numbers, for a decimal is a text here.
fn is_same(cell: &Value, wanted: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match (wanted.is_number(), number(cell), number(wanted)) {
        (true, Some(cell), Some(wanted)) => (cell - wanted).abs() <= 1e-9 * wanted.abs().max(1.0),
        _ => text(cell) == text(wanted),
    }
}

fn shown(row: &Map<String, Value>) -> String {
    Value::Object(row.clone()).to_string()
}

#[cfg(test)]
mod tests;
