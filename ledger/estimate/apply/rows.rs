//! The rows of estimated sets, and what they become.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use engine::arrow::array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use engine::arrow::compute::{cast, take};
use engine::table::{DECIMAL_PRECISION, DECIMAL_SCALE};
use engine::{Error, Kind, Result, Rows, Value};
use sha2::{Digest, Sha256};

use super::super::settle::{Amounts, Bill, Estimate, Part};
use super::super::thing_of;
use crate::answer::{Answer, amount, text};
use crate::cost_line::COST_LINE;
use crate::decimal;
use crate::period::Seals;

/// `AllocatedMethodId` of a part of a bill that was split by what telemetry saw.
const METHOD: &str = "stellwerk-usage-1";
/// The costs, in the order of [`Amounts`].
const COSTS: [&str; 4] = ["BilledCost", "EffectiveCost", "ListCost", "ContractedCost"];

/// What a row of an estimated set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An estimate, or what became of one.
    Estimate,
    /// It takes back what parts of a bill carry.
    Offset,
    /// Neither: a billed row of a file that has estimates too.
    Other,
}

/// What a row that takes back says of the bill.
#[derive(Debug, Clone)]
pub struct Offset {
    /// Its texts by column; empty is null.
    pub texts: BTreeMap<&'static str, String>,
    /// Its billing period.
    pub period: (Option<i64>, Option<i64>),
}

/// The rows of some sets, as they stand.
pub struct Held {
    rows: RecordBatch,
    set: StringArray,
    tenant: StringArray,
    id: StringArray,
    supersedes: StringArray,
    key: StringArray,
    currency: StringArray,
    estimated_currency: StringArray,
    method: StringArray,
    provider: [StringArray; 3],
    model: StringArray,
    resource: StringArray,
    estimate: BooleanArray,
    estimated: Decimal128Array,
    costs: [Decimal128Array; 4],
    delta: Decimal128Array,
    start: TimestampMicrosecondArray,
    end: TimestampMicrosecondArray,
    period: TimestampMicrosecondArray,
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("settle estimates: {what}"))
}

impl Held {
    /// Reads the answer to a question for whole rows.
    pub fn read(answer: Answer) -> Result<Held> {
        let texts = |name: &str| answer.texts(name);
        let [billed, effective, list, contracted] = COSTS;
        Ok(Held {
            rows: answer.declared(&COST_LINE)?,
            set: texts("x_set")?,
            tenant: texts("x_tenant")?,
            id: texts("x_charge_id")?,
            supersedes: texts("x_supersedes")?,
            key: texts("x_estimate_key")?,
            currency: texts("BillingCurrency")?,
            estimated_currency: texts("x_estimated_currency")?,
            method: texts("AllocatedMethodId")?,
            provider: [texts("ServiceProviderName")?, texts("ProviderName")?, texts("InvoiceIssuerName")?],
            model: texts("x_model")?,
            resource: texts("ResourceId")?,
            estimate: answer.truths("x_estimate")?,
            estimated: answer.decimals("x_estimated_cost")?,
            costs: [
                answer.decimals(billed)?,
                answer.decimals(effective)?,
                answer.decimals(list)?,
                answer.decimals(contracted)?,
            ],
            delta: answer.decimals("x_estimate_delta")?,
            start: answer.times("ChargePeriodStart")?,
            end: answer.times("ChargePeriodEnd")?,
            period: answer.times("BillingPeriodStart")?,
        })
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.rows.num_rows()
    }

    /// A row's set.
    pub fn set(&self, row: usize) -> &str {
        self.set.value(row)
    }

    /// A row's tenant.
    pub fn tenant(&self, row: usize) -> &str {
        self.tenant.value(row)
    }

    /// The tenants that have rows of a set.
    pub fn tenants(&self, set: &str) -> BTreeSet<String> {
        (0..self.count()).filter(|row| self.set(*row) == set).map(|row| self.tenant(row).to_owned()).collect()
    }

    /// Sets with a row of a sealed period: they stay as they are.
    pub fn sealed_sets(&self, seals: &Seals) -> HashSet<&str> {
        let is_sealed =
            |row: &usize| self.period.is_valid(*row) && seals.holds(self.tenant(*row), self.period.value(*row), None);
        (0..self.count()).filter(is_sealed).map(|row| self.set(row)).collect()
    }

    /// What a row is.
    pub fn role(&self, row: usize) -> Role {
        let is_estimate = self.estimate.is_valid(row) && self.estimate.value(row);
        if is_estimate || self.estimated.is_valid(row) {
            Role::Estimate
        } else if self.key.is_valid(row) {
            Role::Offset
        } else {
            Role::Other
        }
    }

    fn is_part(&self, row: usize) -> bool {
        self.estimated.is_valid(row)
    }

    /// The id of the estimate that a row is or was.
    pub fn original_id(&self, row: usize) -> &str {
        if self.is_part(row) { self.supersedes.value(row) } else { self.id.value(row) }
    }

    /// When a row's time begins and ends.
    pub fn span(&self, row: usize) -> (i64, i64) {
        let start = self.start.value(row);
        (start, if self.end.is_valid(row) { self.end.value(row) } else { start + 1 })
    }

    fn thing(&self, row: usize) -> String {
        // A key is a thing and its day.
        if self.key.is_valid(row) {
            let key = self.key.value(row);
            return key.rsplit_once('|').map_or(key, |(thing, _)| thing).to_owned();
        }
        let provider = self.provider.iter().map(|texts| text(texts, row)).find(|name| !name.is_empty());
        thing_of(&provider.unwrap_or_default(), &text(&self.model, row), &text(&self.resource, row))
    }

    /// The estimate that a row is or was.
    pub fn estimate(&self, row: usize) -> Estimate {
        let (cost, currency) = match self.is_part(row) {
            true => (self.estimated.value(row), text(&self.estimated_currency, row)),
            false => (amount(&self.costs[0], row).unwrap_or_default(), text(&self.currency, row)),
        };
        Estimate { tenant: self.tenant(row).to_owned(), thing: self.thing(row), currency, cost }
    }

    fn key_of(&self, row: usize) -> Option<String> {
        let thing = self.thing(row);
        let day = chrono::DateTime::from_timestamp_micros(self.start.value(row)).unwrap_or_default();
        (!thing.is_empty()).then(|| format!("{thing}|{}", day.format("%Y-%m-%d")))
    }

    /// The row as an estimate that no bill covers.
    pub fn reopened(&self, row: usize) -> Written {
        if !self.is_part(row) {
            return Written::kept(row);
        }
        let estimate = self.estimate(row);
        let cells = Cells {
            id: self.original_id(row).to_owned(),
            amounts: [Some(estimate.cost); 4],
            currency: estimate.currency,
            is_estimate: true,
            key: self.key_of(row),
            ..Cells::default()
        };
        Written::Changed { row, cells: Box::new(cells) }
    }

    /// The row as its part of a bill.
    pub fn part(&self, row: usize, part: &Part) -> Written {
        let estimate = self.estimate(row);
        let original = self.original_id(row);
        let cells = Cells {
            id: digest(&["part", original, &part.currency]),
            amounts: part.amounts,
            currency: part.currency.clone(),
            is_estimate: false,
            key: self.key_of(row),
            estimated: Some((estimate.cost, estimate.currency)),
            delta: part.delta,
            supersedes: Some(original.to_owned()),
        };
        Written::Changed { row, cells: Box::new(cells) }
    }

    /// What tells one state of a set from another.
    pub fn fingerprint(&self, set: &str) -> BTreeSet<String> {
        let line = |row: usize| {
            let amounts: Amounts = std::array::from_fn(|i| amount(&self.costs[i], row));
            fingerprint_line(&text(&self.id, row), &text(&self.currency, row), &amounts)
        };
        (0..self.count()).filter(|row| self.set(*row) == set).map(line).collect()
    }

    /// The batches of a set's new state.
    pub fn batches(&self, written: &[Written]) -> Result<Vec<RecordBatch>> {
        let mut offsets = Rows::new(&COST_LINE);
        let mut rows: Vec<(usize, Option<&Cells>)> = Vec::new();
        for one in written {
            match one {
                Written::Kept { row } => rows.push((*row, None)),
                Written::Changed { row, cells } => rows.push((*row, Some(cells))),
                Written::TakenBack(offset) => offset.write(&mut offsets)?,
            }
        }
        Ok(vec![self.changed(&rows)?, offsets.finish()])
    }

    fn changed(&self, rows: &[(usize, Option<&Cells>)]) -> Result<RecordBatch> {
        let places = UInt64Array::from_iter_values(rows.iter().map(|(row, _)| *row as u64));
        let mut columns: Vec<ArrayRef> = self
            .rows
            .columns()
            .iter()
            .map(|column| take(column, &places, None).map_err(broken))
            .collect::<Result<_>>()?;
        let mut put = |name: &str, array: ArrayRef| -> Result<()> {
            let at = COST_LINE.position(name).ok_or_else(|| broken(format!("no column {name}")))?;
            columns[at] = cast(&array, &COST_LINE.columns[at].kind.arrow()).map_err(broken)?;
            Ok(())
        };
        let texts = |of: &dyn Fn(usize, Option<&Cells>) -> Option<String>| -> ArrayRef {
            Arc::new(rows.iter().map(|(row, cells)| of(*row, *cells)).collect::<StringArray>())
        };
        let amounts = |of: &dyn Fn(usize, Option<&Cells>) -> Option<i128>| -> Result<ArrayRef> {
            let array: Decimal128Array = rows.iter().map(|(row, cells)| of(*row, *cells)).collect();
            let array = array.with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE).map_err(broken)?;
            Ok(Arc::new(array))
        };
        let old = |texts: &StringArray, row: usize| texts.is_valid(row).then(|| texts.value(row).to_owned());
        for (i, name) in COSTS.into_iter().enumerate() {
            put(name, amounts(&|row, cells| cells.map_or_else(|| amount(&self.costs[i], row), |c| c.amounts[i]))?)?;
        }
        put(
            "BillingCurrency",
            texts(&|row, cells| cells.map_or_else(|| old(&self.currency, row), |c| Some(c.currency.clone()))),
        )?;
        put("x_charge_id", texts(&|row, cells| cells.map_or_else(|| old(&self.id, row), |c| Some(c.id.clone()))))?;
        put("x_estimate_key", texts(&|row, cells| cells.map_or_else(|| old(&self.key, row), |c| c.key.clone())))?;
        put(
            "x_supersedes",
            texts(&|row, cells| cells.map_or_else(|| old(&self.supersedes, row), |c| c.supersedes.clone())),
        )?;
        let estimated_currency = |row: usize, cells: Option<&Cells>| match cells {
            Some(cells) => cells.estimated.as_ref().map(|(_, currency)| currency.clone()),
            None => old(&self.estimated_currency, row),
        };
        put("x_estimated_currency", texts(&estimated_currency))?;
        let estimated = |row: usize, cells: Option<&Cells>| match cells {
            Some(cells) => cells.estimated.as_ref().map(|(cost, _)| *cost),
            None => amount(&self.estimated, row),
        };
        put("x_estimated_cost", amounts(&estimated)?)?;
        put("x_estimate_delta", amounts(&|row, cells| cells.map_or_else(|| amount(&self.delta, row), |c| c.delta))?)?;
        let method = |row: usize, cells: Option<&Cells>| match (cells, old(&self.method, row)) {
            (Some(cells), None) if !cells.is_estimate => Some(METHOD.to_owned()),
            (Some(cells), Some(method)) if cells.is_estimate && method == METHOD => None,
            (_, method) => method,
        };
        put("AllocatedMethodId", texts(&method))?;
        let is_estimate = rows.iter().map(|(row, cells)| match cells {
            Some(cells) => Some(cells.is_estimate),
            None => self.estimate.is_valid(*row).then(|| self.estimate.value(*row)),
        });
        put("x_estimate", Arc::new(is_estimate.collect::<BooleanArray>()))?;
        RecordBatch::try_new(COST_LINE.batch_schema(), columns).map_err(broken)
    }
}

/// What changes in a row.
#[derive(Debug, Default)]
pub struct Cells {
    id: String,
    amounts: Amounts,
    currency: String,
    is_estimate: bool,
    key: Option<String>,
    estimated: Option<(i128, String)>,
    delta: Option<i128>,
    supersedes: Option<String>,
}

/// A row of a set's new state.
#[derive(Debug)]
pub enum Written {
    /// As it stands.
    Kept { row: usize },
    /// With other cells.
    Changed { row: usize, cells: Box<Cells> },
    /// What takes back from a bill what its parts carry.
    TakenBack(Box<TakenBack>),
}

/// A row that takes back.
#[derive(Debug)]
pub struct TakenBack {
    set: String,
    tenant: String,
    id: String,
    thing: String,
    span: (i64, i64),
    amounts: Amounts,
    offset: Offset,
}

impl Written {
    /// A row that stays.
    pub fn kept(row: usize) -> Written {
        Written::Kept { row }
    }

    /// The row that takes back what the parts of a bill carry in a time.
    pub fn offset(set: &str, bill: &Bill, span: (i64, i64), offset: &Offset) -> Written {
        let mut words = vec!["taken back", set, &bill.tenant, &bill.thing];
        words.extend(offset.texts.values().map(String::as_str));
        let (start, end, period) = (span.0.to_string(), span.1.to_string(), format!("{:?}", offset.period));
        words.extend([start.as_str(), end.as_str(), period.as_str()]);
        Written::TakenBack(Box::new(TakenBack {
            set: set.to_owned(),
            tenant: bill.tenant.clone(),
            id: digest(&words),
            thing: bill.thing.clone(),
            span,
            amounts: bill.amounts.map(|amount| amount.map(|amount| -amount)),
            offset: offset.clone(),
        }))
    }

    /// Its set.
    pub fn set(&self, held: &Held) -> String {
        match self {
            Written::Kept { row } | Written::Changed { row, .. } => held.set(*row).to_owned(),
            Written::TakenBack(row) => row.set.clone(),
        }
    }

    /// Its tenant.
    pub fn tenant(&self, held: &Held) -> String {
        match self {
            Written::Kept { row } | Written::Changed { row, .. } => held.tenant(*row).to_owned(),
            Written::TakenBack(row) => row.tenant.clone(),
        }
    }

    /// What tells this state from another.
    pub fn fingerprint(held: &Held, rows: &[Written]) -> BTreeSet<String> {
        let line = |row: &Written| match row {
            Written::Kept { row } => {
                let amounts: Amounts = std::array::from_fn(|i| amount(&held.costs[i], *row));
                fingerprint_line(&text(&held.id, *row), &text(&held.currency, *row), &amounts)
            }
            Written::Changed { cells, .. } => fingerprint_line(&cells.id, &cells.currency, &cells.amounts),
            Written::TakenBack(row) => {
                let currency = row.offset.texts.get("BillingCurrency").map_or("", String::as_str);
                fingerprint_line(&row.id, currency, &row.amounts)
            }
        };
        rows.iter().map(line).collect()
    }
}

impl TakenBack {
    fn write(&self, rows: &mut Rows) -> Result<()> {
        for (name, text) in &self.offset.texts {
            rows.set(name, Some(text.as_str()).filter(|text| !text.is_empty()));
        }
        for (name, amount) in COSTS.into_iter().zip(self.amounts) {
            rows.set(name, amount.map_or(Value::Null, Value::Decimal));
        }
        let time = |at: Option<i64>| at.map_or(Value::Null, Value::Time);
        let day = chrono::DateTime::from_timestamp_micros(self.span.0).unwrap_or_default();
        rows.set("x_tenant", self.tenant.as_str())
            .set("x_set", self.set.as_str())
            .set("x_charge_id", self.id.as_str())
            .set("x_estimate", false)
            .set("x_estimate_key", format!("{}|{}", self.thing, day.format("%Y-%m-%d")))
            .set("ChargePeriodStart", Value::Time(self.span.0))
            .set("ChargePeriodEnd", Value::Time(self.span.1))
            .set("BillingPeriodStart", time(self.offset.period.0))
            .set("BillingPeriodEnd", time(self.offset.period.1))
            .set("ChargeDescription", "Split over who used it; the parts stand in rows of their own")
            .set("ChargeFrequency", "Usage-Based")
            .set("x_source_schema", "Stellwerk settlement");
        rows.end_row()
    }
}

fn fingerprint_line(id: &str, currency: &str, amounts: &Amounts) -> String {
    let amounts = amounts.map(|amount| amount.map_or_else(|| "-".to_owned(), decimal::text));
    format!("{id} {currency} {}", amounts.join(" "))
}

/// An id out of words: the same words, the same id.
fn digest(words: &[&str]) -> String {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word.len().to_le_bytes());
        hash.update(word.as_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}
