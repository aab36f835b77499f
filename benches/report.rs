//! What a suite found, as data: goals with their verdicts, tables, the peers that were missing. The page is rendered
//! from this and from nothing else.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::{Context, Suite, machine};

/// Everything that a suite found.
#[derive(Default)]
pub struct Report {
    goals: Vec<Value>,
    tables: Vec<Value>,
    missing: Vec<String>,
    notes: Vec<String>,
    raw: Map<String, Value>,
}

/// What counts as reaching a goal.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// One goal and what was measured.
#[derive(Debug, Clone)]
pub struct Goal<'a> {
    /// What is measured, in words.
    pub what: &'a str,
    pub bound: Bound,
    /// Unit of the bound and the value: `ms`, `x`, `logs/CPU-s`.
    pub unit: &'a str,
    /// What is held against the bound; none when a peer was missing.
    pub value: Option<f64>,
    /// Our figure, with its unit.
    pub ours: String,
    /// The peer's figure, with its name; empty for a goal without one.
    pub peer: String,
}

impl Report {
    /// Records a goal with its verdict.
    pub fn goal(&mut self, goal: Goal) {
        let (sign, bound) = match goal.bound {
            Bound::AtLeast(bound) => ("≥", bound),
            Bound::AtMost(bound) => ("≤", bound),
        };
        let verdict = match (goal.bound, goal.value) {
            (_, None) => "not measured",
            (Bound::AtLeast(bound), Some(value)) if value >= bound => "met",
            (Bound::AtMost(bound), Some(value)) if value <= bound => "met",
            _ => "missed",
        };
        self.goals.push(json!({
            "what": goal.what, "goal": format!("{sign} {} {}", figure(bound), goal.unit), "bound": bound, "value": goal.value,
            "shown": goal.value.map(|value| format!("{} {}", figure(value), goal.unit)),
            "ours": goal.ours, "peer": goal.peer, "verdict": verdict,
        }));
    }

    /// Adds a table; every row has a cell for every column.
    pub fn table(&mut self, title: &str, columns: &[&str], rows: Vec<Vec<String>>) {
        assert!(rows.iter().all(|row| row.len() == columns.len()), "{title}: a cell for every column");
        self.tables.push(json!({"title": title, "columns": columns, "rows": rows}));
    }

    /// Says, loudly and on the page, which peer was not there and why.
    pub fn missing(&mut self, peer: &str, why: &str) {
        crate::harness::skipped(peer, why);
        self.missing.push(format!("{peer}: {why}"));
    }

    /// A sentence under the suite's tables.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Keeps measured values as they are, for whoever wants to look closer.
    pub fn raw(&mut self, name: &str, value: Value) {
        self.raw.insert(name.to_owned(), value);
    }

    /// The whole document of a suite.
    pub fn document(self, suite: &Suite, context: &Context, took: Duration) -> Value {
        let quick = if context.quick { "--quick " } else { "" };
        json!({
            "suite": suite.name, "shows": suite.shows, "repeat": format!("make bench ARGS=\"{quick}{}\"", suite.name),
            "quick": context.quick, "machine": machine::describe(&context.folder), "commit": machine::commit(),
            "took_s": took.as_secs_f64().round(), "goals": self.goals, "tables": self.tables, "missing": self.missing,
            "notes": self.notes, "raw": self.raw,
        })
    }
}

/// The middle of several rounds, with the ends.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: &[f64]) -> Spread {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() {
            0 => panic!("a spread of nothing"),
            even if even % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        Spread { median, min: sorted[0], max: sorted[sorted.len() - 1] }
    }

    /// The same, or none without values.
    pub fn maybe(values: &[f64]) -> Option<Spread> {
        (!values.is_empty()).then(|| Spread::of(values))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} to {})", figure(self.median), figure(self.min), figure(self.max))
    }
}

/// The value below which this share of the sorted values lies; 0 of nothing.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// A number as a person writes it: three digits that count, thousands apart.
pub fn figure(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        medium if medium >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut apart = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    fraction.map_or_else(|| format!("{sign}{apart}"), |fraction| format!("{sign}{apart}.{fraction}"))
}
