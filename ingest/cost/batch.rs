//! Rows of cells become Arrow batches of a ledger table, column by column, with nothing allocated per cell.

use std::collections::HashMap;
use std::sync::Arc;

use engine::arrow::array::{
    ArrayRef, BooleanBuilder, Int8Builder, Int64Builder, RecordBatch, StringBuilder, new_null_array,
};
use engine::table::OP_REPLACE;
use engine::{Error, Kind, Table};
use ledger::period::Seals;

use super::column::{Names, Parsed, Sink, constant};
use super::identity::Identity;
use super::instant;
use super::labels::Labels;
use super::layout::{Form, Layout};

/// A batch is handed on when it holds this many rows …
pub const BATCH_ROWS_MAX: usize = 65_536;
/// … or this much text.
pub const BATCH_BYTES_MAX: usize = 48 << 20;

/// A row of a file: cells by position, null where the file writes nothing, `NULL`, `null` or `(null)`.
pub trait Cells {
    /// The cell's text.
    fn cell(&self, at: usize) -> Option<&str>;
}

/// The text of a cell, or none where it only says that there is nothing.
pub fn present(text: &str) -> Option<&str> {
    let nothing = match text.len() {
        0 => true,
        4 => text.eq_ignore_ascii_case("null"),
        6 => text.eq_ignore_ascii_case("(null)"),
        _ => false,
    };
    (!nothing).then_some(text)
}

/// Whose rows these are and where they come from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Tenant of rows that name none, or of all rows if `named_tenants` is false.
    pub tenant: String,
    /// Whether a row may name its tenant (a platform scope's files).
    pub named_tenants: bool,
    /// The export: first part of the sets' names.
    pub export: String,
    /// The run.
    pub run_id: String,
    /// Start of the run's billing period where a manifest says it; else each row's own decides its set.
    pub period: Option<i64>,
    /// Sets that the run replaces even if it has no row for them: (tenant, set, period).
    pub replaces: Vec<(String, String, Option<i64>)>,
    /// Periods whose charges stay as they are.
    pub seals: Seals,
}

/// A replaceable set and what a run gave to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetTotal {
    /// Tenant of its rows.
    pub tenant: String,
    /// Its name, the `x_set` of its rows.
    pub name: String,
    /// Start of its billing period.
    pub period: Option<i64>,
    /// Rows.
    pub rows: u64,
    /// Sum of BilledCost; none if the rows are of several currencies or too large.
    pub billed: Option<i128>,
    /// Their currency.
    pub currency: Option<String>,
}

impl SetTotal {
    fn add(&mut self, units: Option<i128>, currency: Option<&str>) {
        match (&self.currency, currency) {
            (None, Some(new)) => self.currency = Some(new.to_owned()),
            (Some(old), Some(new)) if old != new => self.billed = None,
            _ => {}
        }
        self.rows += 1;
        self.billed = self.billed.and_then(|sum| sum.checked_add(units.unwrap_or(0)));
    }
}

/// The set's name: export, dataset, billing period.
pub fn set_name(export: &str, form: Form, period: Option<i64>) -> String {
    let period = period.map_or_else(|| "all".to_owned(), instant::period_name);
    format!("{export}|{}|{period}", form.dataset())
}

/// Builds batches of one run.
pub struct Builder {
    layout: Layout,
    table: &'static Table,
    origin: Origin,
    sinks: Vec<Sink>,
    parsed: Vec<Parsed>,
    identity: Option<Identity>,
    labels: Option<Labels>,
    tenant: Names,
    set: Names,
    rows: Int64Builder,
    raw: StringBuilder,
    extra: StringBuilder,
    op: Int8Builder,
    count: usize,
    bytes: usize,
    sets: Vec<SetTotal>,
    set_index: HashMap<(String, Option<i64>), usize>,
    period_cell: Option<usize>,
    billed_cell: Option<usize>,
    currency_cell: Option<usize>,
    issuer_cell: Option<usize>,
    states_estimate: bool,
    refusal: Option<Error>,
}

impl Builder {
    /// A builder of the run's rows; the marks of the sets that it replaces in any case come first.
    pub fn new(layout: Layout, origin: Origin) -> Builder {
        let table = layout.form.table();
        let sinks: Vec<Sink> = layout.targets.iter().map(|(column, cell)| Sink::new(table, *column, *cell)).collect();
        let sink_of = |name: &str| sinks.iter().position(|s| table.columns[s.column].name == name);
        let is_cost = std::ptr::eq(table, &ledger::COST_LINE);
        let replaces = origin.replaces.clone();
        let mut builder = Builder {
            table,
            parsed: vec![Parsed::Null; sinks.len()],
            identity: is_cost.then(|| Identity::new(&layout)),
            labels: is_cost.then(|| Labels::new(&layout)),
            tenant: Names::default(),
            set: Names::default(),
            rows: Int64Builder::new(),
            raw: StringBuilder::new(),
            extra: StringBuilder::new(),
            op: Int8Builder::new(),
            count: 0,
            bytes: 0,
            sets: Vec::new(),
            set_index: HashMap::new(),
            period_cell: sink_of("BillingPeriodStart"),
            billed_cell: sink_of("BilledCost"),
            currency_cell: sink_of("BillingCurrency").map(|s| sinks[s].cell),
            issuer_cell: sink_of("InvoiceIssuerName").map(|s| sinks[s].cell),
            states_estimate: sink_of("x_estimate").is_some(),
            refusal: None,
            layout,
            origin,
            sinks,
        };
        for (tenant, name, period) in replaces {
            builder.open_set(tenant, name, period);
        }
        builder
    }

    /// Takes the row with this number in its run. An error says which cell does not parse; nothing of the row is kept then.
    pub fn row(&mut self, cells: &impl Cells, number: u64) -> Result<(), String> {
        let mut inexact = Vec::new();
        for (sink, parsed) in self.sinks.iter_mut().zip(&mut self.parsed) {
            let name = self.table.columns[sink.column].name;
            let (value, exact) =
                sink.parse(cells.cell(sink.cell)).map_err(|(text, why)| format!("{name}: `{text}` {why}"))?;
            *parsed = value;
            if !exact {
                inexact.push((name, cells.cell(sink.cell).unwrap_or_default()));
            }
        }
        let period = match (self.origin.period, self.period_cell.map(|s| self.parsed[s])) {
            (Some(period), _) => Some(period),
            (None, Some(Parsed::Micros(micros))) => Some(micros),
            _ => None,
        };
        self.refuse_sealed(cells, period)?;
        let set = self.set_of(cells, period);
        for (sink, parsed) in self.sinks.iter_mut().zip(&self.parsed) {
            self.bytes += sink.append(*parsed, cells.cell(sink.cell));
        }
        let units = match self.billed_cell.map(|s| self.parsed[s]) {
            Some(Parsed::Units(units)) => Some(units),
            _ => None,
        };
        self.sets[set].add(units, self.currency_cell.and_then(|c| cells.cell(c)));
        self.rows.append_value(i64::try_from(number).unwrap_or(i64::MAX));
        self.append_own(cells, set, period, &inexact);
        Ok(())
    }

    /// Why the run as a whole is refused, if it is.
    pub fn refusal(&mut self) -> Option<Error> {
        self.refusal.take()
    }

    /// Whether the batch should be handed on.
    pub fn is_full(&self) -> bool {
        self.count >= BATCH_ROWS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    /// Whether there is nothing to hand on.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What each set got so far.
    pub fn sets(&self) -> &[SetTotal] {
        &self.sets
    }

    /// The batch, of the table's schema; the builder goes on with the next.
    pub fn finish(&mut self) -> RecordBatch {
        let (table, count) = (self.table, std::mem::take(&mut self.count));
        let mut arrays: Vec<Option<ArrayRef>> = vec![None; table.columns.len()];
        for sink in &mut self.sinks {
            arrays[sink.column] = Some(sink.values.finish());
        }
        let mut own = |name: &str, array: ArrayRef| {
            let at = table.position(name).expect("the ledger's tables have the bookkeeping columns");
            arrays[at] = Some(array);
        };
        own("x_tenant", self.tenant.finish());
        own("x_set", self.set.finish());
        own("x_source_run_id", constant(&self.origin.run_id, count));
        own("x_source_schema", constant(&self.layout.form.schema(), count));
        own("x_source_row", Arc::new(self.rows.finish()));
        own("x_raw", Arc::new(self.raw.finish()));
        own("x_extra", Arc::new(self.extra.finish()));
        if let Some(identity) = &mut self.identity {
            own("x_charge_id", identity.finish());
            // What a file says about itself stands; without a word it is a bill.
            if !self.states_estimate {
                let mut estimate = BooleanBuilder::new();
                estimate.append_n(count, false);
                own("x_estimate", Arc::new(estimate.finish()));
            }
        }
        if let Some(labels) = &mut self.labels {
            labels.finish().into_iter().for_each(|(name, array)| own(name, array));
        }
        let filled = arrays.into_iter().zip(table.columns);
        let mut columns: Vec<ArrayRef> = filled
            .map(|(array, column)| array.unwrap_or_else(|| new_null_array(&column.kind.arrow(), count)))
            .collect();
        columns.push(Arc::new(self.op.finish()));
        self.bytes = 0;
        RecordBatch::try_new(table.batch_schema(), columns).expect("the builders follow the table's schema")
    }

    /// A charge that would change a sealed period refuses its run: in part it would be no run.
    fn refuse_sealed(&mut self, cells: &impl Cells, period: Option<i64>) -> Result<(), String> {
        let Some(period) = period.filter(|_| self.identity.is_some() && !self.origin.seals.all().is_empty()) else {
            return Ok(());
        };
        let named = self.layout.tenant.filter(|_| self.origin.named_tenants).and_then(|at| cells.cell(at));
        let tenant = named.unwrap_or(&self.origin.tenant);
        let issuer = self.issuer_cell.and_then(|at| cells.cell(at));
        if !self.origin.seals.holds(tenant, period, issuer) {
            return Ok(());
        }
        let text = format!(
            "the billing period {} of {tenant} is sealed: its charges stay as they are; a correction belongs to a later billing period, with ChargeClass `Correction` and the ChargePeriod that it corrects",
            instant::period_name(period)
        );
        self.refusal = Some(Error::new(Kind::Conflict, text.clone()));
        Err(text)
    }

    fn set_of(&mut self, cells: &impl Cells, period: Option<i64>) -> usize {
        let named = self.layout.tenant.filter(|_| self.origin.named_tenants).and_then(|at| cells.cell(at));
        let tenant = named.unwrap_or(&self.origin.tenant);
        let newest = self.sets.last().filter(|s| s.period == period && s.tenant == tenant);
        if newest.is_some() {
            return self.sets.len() - 1;
        }
        if let Some(&at) = self.set_index.get(&(tenant.to_owned(), period)) {
            return at;
        }
        let (tenant, name) = (tenant.to_owned(), set_name(&self.origin.export, self.layout.form, period));
        self.open_set(tenant, name, period)
    }

    /// Begins a set: its mark stands before its first row, and supersedes whatever the set held.
    fn open_set(&mut self, tenant: String, name: String, period: Option<i64>) -> usize {
        self.tenant.append(Some(&tenant));
        self.set.append(Some(&name));
        self.sinks.iter_mut().for_each(|sink| sink.values.append_null());
        self.rows.append_null();
        self.raw.append_null();
        self.extra.append_null();
        self.op.append_value(OP_REPLACE);
        if let Some(identity) = &mut self.identity {
            identity.append_null();
        }
        if let Some(labels) = &mut self.labels {
            labels.append_null();
        }
        self.count += 1;
        let at = self.sets.len();
        self.set_index.insert((tenant.clone(), period), at);
        self.sets.push(SetTotal { tenant, name, period, rows: 0, billed: Some(0), currency: None });
        at
    }

    fn append_own(&mut self, cells: &impl Cells, set: usize, period: Option<i64>, inexact: &[(&str, &str)]) {
        let total = &self.sets[set];
        self.tenant.append(Some(&total.tenant));
        self.set.append(Some(&total.name));
        self.op.append_null();
        append_object(&mut self.raw, inexact.iter().map(|(name, text)| (*name, *text)));
        let extras =
            self.layout.extras.iter().filter_map(|(name, at)| cells.cell(*at).map(|text| (name.as_str(), text)));
        self.bytes += append_object(&mut self.extra, extras);
        if let Some(identity) = &mut self.identity {
            identity.append(cells, &total.tenant, &self.origin.export, period);
        }
        if let Some(labels) = &mut self.labels {
            labels.append(cells);
        }
        self.count += 1;
    }
}

/// Appends a JSON object of texts, or null if there is none; returns its size.
fn append_object<'a>(out: &mut StringBuilder, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> usize {
    let mut pairs = pairs.peekable();
    if pairs.peek().is_none() {
        out.append_null();
        return 0;
    }
    let map: serde_json::Map<String, serde_json::Value> =
        pairs.map(|(name, text)| (name.to_owned(), serde_json::Value::from(text))).collect();
    let text = serde_json::Value::Object(map).to_string();
    out.append_value(&text);
    text.len()
}
