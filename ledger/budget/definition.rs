//! Budgets as data: what a file says, checked as a whole before anything changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;
use engine::{Error, Result};
use serde::{Deserialize, Serialize};

use super::calendar::{DAY_US, NEVER_US, Period, SECOND_US, Window, first_instant};
use super::predicate::Predicate;
use super::quota::{Quota, QuotaDocument};
use super::unit::Unit;
use crate::decimal;

/// The tenant of budgets that count every tenant's charges.
pub const EVERYBODY: &str = "*";
/// Budgets and quotas of one file.
const ENTRIES_MAX: usize = 10_000;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 128;
/// Thresholds of one budget.
const THRESHOLDS_MAX: usize = 32;
/// How deep budgets nest.
const DEPTH_MAX: usize = 16;

/// A number in a file: whole, or as text. A bare fraction was a float before anybody could read it exactly.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Number {
    /// A whole number.
    Whole(i64),
    /// Digits.
    Text(String),
    /// What YAML and JSON make of a fraction.
    Float(f64),
}

impl Number {
    /// The digits.
    pub fn text(&self) -> Result<String> {
        match self {
            Number::Whole(number) => Ok(number.to_string()),
            Number::Text(text) => Ok(text.clone()),
            Number::Float(number) => Err(Error::invalid(format!("write {number} in quotes, so that no digit is lost"))),
        }
    }
}

/// One budget as it stands in a file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetDocument {
    name: String,
    tenant: String,
    #[serde(default = "everything")]
    scope: String,
    unit: String,
    limit: Number,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counts: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    window: WindowDocument,
    #[serde(default = "utc")]
    zone: String,
    #[serde(default = "hard")]
    kind: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    thresholds: Vec<ThresholdDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    starts: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unpriced: Option<Number>,
}

fn everything() -> String {
    "TRUE".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

fn hard() -> String {
    "hard".to_owned()
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
enum WindowDocument {
    Word(String),
    Map(WindowMap),
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct WindowMap {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calendar: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_day: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_month: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rolling: Option<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ThresholdDocument {
    on: Measure,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percent: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<Number>,
}

/// What a threshold looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// What was spent.
    Actual,
    /// What was spent and what is reserved.
    Reserved,
    /// What the window will have cost.
    Forecast,
}

impl Measure {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Measure::Actual => "actual",
            Measure::Reserved => "reserved",
            Measure::Forecast => "forecast",
        }
    }
}

/// A mark that an event is written at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// What it looks at.
    pub on: Measure,
    /// From how many units on.
    pub units: i64,
}

/// Which money of a cost line counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostColumn {
    /// What the invoice says.
    Billed,
    /// What commitments make of it.
    Effective,
}

impl CostColumn {
    /// The ledger's column.
    pub fn name(self) -> &'static str {
        match self {
            CostColumn::Billed => "BilledCost",
            CostColumn::Effective => "EffectiveCost",
        }
    }
}

/// Whose charges count: what calls post, what the bill's lines say, or both. A call whose cost comes with the bill, too,
/// would count twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// What calls post.
    pub calls: bool,
    /// The lines of the bill.
    pub ledger: bool,
}

/// A checked budget.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Whose charges count; [`EVERYBODY`] is all tenants.
    pub tenant: Arc<str>,
    /// Its name within the tenant.
    pub name: Arc<str>,
    /// Which charges count.
    pub scope: Predicate,
    /// In what.
    pub unit: Unit,
    /// How much there is.
    pub limit: i64,
    /// Which money of the bill counts.
    pub cost: CostColumn,
    /// Whose charges count.
    pub counts: Counts,
    /// Tenant and name of the budget around it.
    pub parent: Option<(Arc<str>, Arc<str>)>,
    /// When it begins anew.
    pub window: Window,
    /// Whose midnight that is.
    pub zone: Tz,
    /// Refuses what would break it; a soft one only tells.
    pub hard: bool,
    /// When it tells.
    pub thresholds: Vec<Threshold>,
    /// From when to when it counts.
    pub life: (i64, i64),
    /// What a request without a price counts as; without it, such a request is refused.
    pub unpriced: Option<i64>,
    /// As it is stored and shown.
    pub document: BudgetDocument,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct File {
    /// Its budgets.
    pub budgets: Vec<Budget>,
    /// Its quotas.
    pub quotas: Vec<Quota>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDocument {
    #[serde(default)]
    budgets: Vec<BudgetDocument>,
    #[serde(default)]
    quotas: Vec<QuotaDocument>,
}

impl File {
    /// Reads YAML or JSON. Each entry is checked by itself, and names must be there once; nesting is checked against what
    /// is stored, by [`nesting`].
    pub fn parse(text: &str) -> Result<File> {
        let document: FileDocument = serde_yaml_ng::from_str(text)
            .map_err(|e| Error::invalid(format!("the file is {{budgets: […], quotas: […]}}: {e}")))?;
        if document.budgets.len() + document.quotas.len() > ENTRIES_MAX {
            return Err(Error::invalid(format!("a file has at most {ENTRIES_MAX} budgets and quotas")));
        }
        let mut file = File::default();
        let mut seen = BTreeSet::new();
        for document in document.budgets {
            let called = format!("budget {}/{}", document.tenant, document.name);
            let budget = Budget::check(document).map_err(|e| e.context(&called))?;
            once(&mut seen, called)?;
            file.budgets.push(budget);
        }
        for document in document.quotas {
            let called = format!("quota {}/{}", document.tenant, document.name);
            let quota = Quota::check(document).map_err(|e| e.context(&called))?;
            once(&mut seen, called)?;
            file.quotas.push(quota);
        }
        Ok(file)
    }
}

fn once(seen: &mut BTreeSet<String>, called: String) -> Result<()> {
    match seen.contains(&called) {
        true => Err(Error::invalid(format!("the {called} stands there twice"))),
        false => {
            seen.insert(called);
            Ok(())
        }
    }
}

/// A name that people and paths can carry.
pub fn named(what: &str, text: &str) -> Result<Arc<str>> {
    let strange = |c: char| c.is_control() || c == '/' || c.is_whitespace();
    if text.is_empty() || text.len() > NAME_BYTES_MAX || text.contains(strange) {
        return Err(Error::invalid(format!(
            "a {what} has 1 to {NAME_BYTES_MAX} bytes, no blanks, slashes or control characters: {text:?}"
        )));
    }
    Ok(text.into())
}

impl Budget {
    /// Checks one entry.
    pub fn check(document: BudgetDocument) -> Result<Budget> {
        let tenant = named("tenant", &document.tenant)?;
        let name = named("name", &document.name)?;
        let scope = Predicate::parse(&document.scope)?;
        let unit: Unit = document.unit.parse()?;
        let limit = unit.exact(&document.limit.text()?).map_err(|e| e.context("limit"))?;
        let zone: Tz = document
            .zone
            .parse()
            .map_err(|_| Error::invalid(format!("{:?} is no time zone; Europe/Berlin and UTC are", document.zone)))?;
        let cost = match document.cost.as_deref() {
            None | Some("billed") => CostColumn::Billed,
            Some("effective") => CostColumn::Effective,
            Some(other) => return Err(Error::invalid(format!("cost is billed or effective, not {other:?}"))),
        };
        let counts = match document.counts.as_deref() {
            None | Some("both") => Counts { calls: true, ledger: true },
            Some("calls") => Counts { calls: true, ledger: false },
            Some("ledger") => Counts { calls: false, ledger: true },
            Some(other) => return Err(Error::invalid(format!("counts is calls, ledger or both, not {other:?}"))),
        };
        let hard = match document.kind.as_str() {
            "hard" => true,
            "soft" => false,
            other => return Err(Error::invalid(format!("kind is hard or soft, not {other:?}"))),
        };
        let window = document.window.check()?;
        let life = life(&document, window, zone)?;
        let parent = document.parent.as_deref().map(|text| parent(text, &tenant)).transpose()?;
        let unpriced = document.unpriced.as_ref().map(|n| unit.exact(&n.text()?)).transpose();
        let unpriced = unpriced.map_err(|e| e.context("unpriced"))?;
        let thresholds = thresholds(&document.thresholds, &unit, limit)?;
        Ok(Budget {
            tenant,
            name,
            scope,
            unit,
            limit,
            cost,
            counts,
            parent,
            window,
            zone,
            hard,
            thresholds,
            life,
            unpriced,
            document,
        })
    }

    /// What was stored by [`Budget::stored`].
    pub fn read(json: &str) -> Result<Budget> {
        let document = serde_json::from_str(json).map_err(|e| Error::invalid(format!("a stored budget: {e}")))?;
        Budget::check(document)
    }

    /// As JSON, to be stored and shown.
    pub fn stored(&self) -> String {
        serde_json::json!(self.document).to_string()
    }

    /// The predicate as it was written.
    pub fn scope_text(&self) -> &str {
        &self.document.scope
    }

    /// Whether what was counted so far means something else under the other definition: it then begins anew.
    pub fn counts_otherwise(&self, other: &Budget) -> bool {
        self.scope != other.scope
            || self.unit != other.unit
            || self.cost != other.cost
            || self.counts != other.counts
            || self.window != other.window
            || self.zone != other.zone
            || self.life.0 != other.life.0
    }

    /// The kind of window, in a word.
    pub fn window_kind(&self) -> &'static str {
        match self.window {
            Window::Calendar { period: Period::Day, .. } => "day",
            Window::Calendar { period: Period::Week, .. } => "week",
            Window::Calendar { period: Period::Month, .. } => "month",
            Window::Calendar { period: Period::Quarter, .. } => "quarter",
            Window::Calendar { period: Period::Year, .. } => "year",
            Window::Rolling { .. } => "rolling",
            Window::Fixed => "fixed",
            Window::Total => "total",
        }
    }
}

fn parent(text: &str, tenant: &Arc<str>) -> Result<(Arc<str>, Arc<str>)> {
    match text.split_once('/') {
        None => Ok((Arc::clone(tenant), named("parent", text)?)),
        Some((EVERYBODY, name)) => Ok((EVERYBODY.into(), named("parent", name)?)),
        Some((of, name)) if of == tenant.as_ref() => Ok((Arc::clone(tenant), named("parent", name)?)),
        Some((of, _)) => Err(Error::invalid(format!(
            "the parent is another tenant's, {of:?}; it is of the same tenant or of {EVERYBODY:?}"
        ))),
    }
}

fn thresholds(documents: &[ThresholdDocument], unit: &Unit, limit: i64) -> Result<Vec<Threshold>> {
    if documents.len() > THRESHOLDS_MAX {
        return Err(Error::invalid(format!("a budget has at most {THRESHOLDS_MAX} thresholds")));
    }
    let one = |document: &ThresholdDocument| {
        let units = match (&document.percent, &document.amount) {
            (Some(percent), None) => {
                let text = percent.text()?;
                let percent = decimal::parse(&text).map_err(|why| Error::invalid(format!("{text:?} {why}")))?;
                decimal::scaled(i128::from(limit), percent.units, 100 * decimal::ONE)
                    .and_then(|units| i64::try_from(units).ok())
                    .filter(|units| *units > 0)
                    .ok_or_else(|| Error::invalid(format!("{text} % of the limit is nothing that can be reached")))?
            }
            (None, Some(amount)) => unit.exact(&amount.text()?)?,
            _ => return Err(Error::invalid("it has a percent of the limit, or an amount")),
        };
        Ok(Threshold { on: document.on, units })
    };
    documents.iter().map(|document| one(document).map_err(|e: Error| e.context("a threshold"))).collect()
}

/// A day of the zone, or an instant.
fn instant(text: &str, zone: Tz) -> Result<i64> {
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return first_instant(day, zone);
    }
    let at = DateTime::parse_from_rfc3339(text).map(|at| at.timestamp_micros());
    at.map_err(|_| Error::invalid(format!("{text:?} is no instant; 2026-10-01 and 2026-10-01T00:00:00Z are")))
}

fn life(document: &BudgetDocument, window: Window, zone: Tz) -> Result<(i64, i64)> {
    let at = |text: &Option<String>, otherwise| text.as_deref().map_or(Ok(otherwise), |text| instant(text, zone));
    let life = (at(&document.starts, 0)?, at(&document.ends, NEVER_US)?);
    if life.0 >= life.1 {
        return Err(Error::invalid("it ends before it starts"));
    }
    if window == Window::Fixed && (document.starts.is_none() || document.ends.is_none()) {
        return Err(Error::invalid("a fixed window is from `starts` to `ends`: give both"));
    }
    Ok(life)
}

impl WindowDocument {
    fn check(&self) -> Result<Window> {
        let map = match self {
            WindowDocument::Word(word) if word == "total" => return Ok(Window::Total),
            WindowDocument::Word(word) if word == "fixed" => return Ok(Window::Fixed),
            WindowDocument::Word(word) => &WindowMap { calendar: Some(word.clone()), ..WindowMap::default() },
            WindowDocument::Map(map) => map,
        };
        let window = match (map.calendar.as_deref(), map.rolling.as_deref()) {
            (Some(word), None) => Window::Calendar {
                period: period(word)?,
                start_day: map.start_day.unwrap_or(1),
                start_month: map.start_month.unwrap_or(1),
            },
            (None, Some(length)) if map.start_day.is_none() && map.start_month.is_none() => {
                Window::Rolling { length_us: rolling(length)? }
            }
            _ => {
                return Err(Error::invalid(
                    "a window is a word (day, week, month, quarter, year, fixed, total), {calendar: month, start_day: 25} or {rolling: 24h}",
                ));
            }
        };
        window.check().map(|()| window)
    }
}

fn period(word: &str) -> Result<Period> {
    Ok(match word {
        "day" => Period::Day,
        "week" => Period::Week,
        "month" => Period::Month,
        "quarter" => Period::Quarter,
        "year" => Period::Year,
        other => {
            return Err(Error::invalid(format!(
                "{other:?} is no window: day, week, month, quarter, year, fixed, total and {{rolling: 24h}} are"
            )));
        }
    })
}

/// Minutes, hours or days of 24 hours.
fn rolling(text: &str) -> Result<i64> {
    let wrong = || Error::invalid(format!("{text:?} is no length of a rolling window: 90m, 24h and 30d are"));
    let (number, unit_us) = match text.char_indices().next_back().ok_or_else(wrong)? {
        (at, 'm') => (&text[..at], 60 * SECOND_US),
        (at, 'h') => (&text[..at], 3_600 * SECOND_US),
        (at, 'd') => (&text[..at], DAY_US),
        _ => return Err(wrong()),
    };
    let number: i64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit_us).ok_or_else(wrong)
}

/// Checks how budgets nest: every parent is there and counts the same unit, and none is its own ancestor.
pub fn nesting<'a>(budgets: impl IntoIterator<Item = &'a Budget>) -> Result<()> {
    let by_name: BTreeMap<(&str, &str), &Budget> =
        budgets.into_iter().map(|budget| ((budget.tenant.as_ref(), budget.name.as_ref()), budget)).collect();
    for budget in by_name.values() {
        let mut at = *budget;
        let mut depth = 0;
        while let Some((tenant, name)) = &at.parent {
            let above = by_name.get(&(tenant.as_ref(), name.as_ref())).copied().ok_or_else(|| {
                Error::invalid(format!("budget {}/{}: its parent {tenant}/{name} is not there", at.tenant, at.name))
            })?;
            if above.unit != at.unit {
                return Err(Error::invalid(format!(
                    "budget {}/{} counts {}, its parent {tenant}/{name} counts {}",
                    at.tenant, at.name, at.unit, above.unit
                )));
            }
            depth += 1;
            let circle = above.tenant == budget.tenant && above.name == budget.name;
            if circle || depth > DEPTH_MAX {
                let why =
                    if circle { "is its own ancestor".to_owned() } else { format!("nests deeper than {DEPTH_MAX}") };
                return Err(Error::invalid(format!("budget {}/{} {why}", budget.tenant, budget.name)));
            }
            at = above;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "definition/tests.rs"]
mod tests;
