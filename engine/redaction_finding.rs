//! How much was taken out of which column, without the values. Counted in memory while frames pass, written as rows every
//! few seconds: a row a frame would cost more than the redaction.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::ports::Finding;
use crate::rows::{Rows, Value};
use crate::table::{Column, Table, Type};

/// Counts of what was found before it became durable.
pub static REDACTION_FINDING: Table = Table {
    time: "counted_at",
    retention_days: Some(400),
    ..Table::new(
        "redaction_finding",
        "How many secrets and personal data were found on the way into a table, by column and kind; the values are nowhere. Written every ten seconds and at the end; a crash may lose the last counts.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the rows.").required(),
            Column::new("table_name", Type::Name, "Table that the rows went to.").required(),
            Column::new("column_name", Type::Name, "Column of the cells.").required(),
            Column::new(
                "detector",
                Type::Name,
                "Kind of datum (`email_address`, `iban`, `de_tax_id` …) or rule of gitleaks.",
            )
            .required(),
            Column::new("action", Type::Name, "What was done: `mask`, `hash` or `drop`.").required(),
            Column::new("findings", Type::Int, "How many were found.").required(),
            Column::new("counted_at", Type::Time, "Begin of the minute in which they were counted.").required(),
        ],
    )
};

const MINUTE_US: i64 = 60_000_000;

/// Where something was found, and what.
#[derive(Debug, Clone)]
pub struct Spot {
    /// Tenant of the row.
    pub tenant: String,
    /// Table of the row.
    pub table: &'static str,
    /// Column of the cell.
    pub column: &'static str,
    /// The kind, and what was done.
    pub finding: Finding,
}

/// Tenant, table, column, detector, action.
type Key = (String, &'static str, &'static str, String, &'static str);

/// Counts by spot.
#[derive(Debug, Default)]
pub struct Findings(BTreeMap<Key, i64>);

impl Findings {
    /// Counts some more.
    pub fn add(&mut self, spot: Spot, count: i64) {
        let Spot { tenant, table, column, finding } = spot;
        *self.0.entry((tenant, table, column, finding.detector.into_owned(), finding.action)).or_default() += count;
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, whatever they were found in.
    pub fn total(&self) -> i64 {
        self.0.values().sum()
    }

    fn merge(&mut self, other: Findings) {
        other.0.into_iter().for_each(|(key, count)| *self.0.entry(key).or_default() += count);
    }

    /// Appends them as rows of [`REDACTION_FINDING`].
    pub fn write(self, now_us: i64, rows: &mut Rows) {
        for ((tenant, table, column, detector, action), count) in self.0 {
            rows.set("tenant", tenant)
                .set("table_name", table)
                .set("column_name", column)
                .set("detector", detector)
                .set("action", action)
                .set("findings", count)
                .set("counted_at", Value::Time(now_us - now_us.rem_euclid(MINUTE_US)));
            rows.end_row().expect("a finding has every required cell");
        }
    }
}

/// What was counted since it was last written.
#[derive(Debug, Default)]
pub struct Counter {
    findings: Mutex<(Findings, i64)>,
}

impl Counter {
    /// Counts what was found in one frame.
    pub fn add(&self, findings: Findings) {
        if !findings.is_empty() {
            self.findings.lock().0.merge(findings);
        }
    }

    /// What waits to be written, if it is `every_us` or longer since the last time.
    pub fn take(&self, now_us: i64, every_us: i64) -> Option<Findings> {
        let mut findings = self.findings.lock();
        if findings.0.is_empty() || now_us - findings.1 < every_us {
            return None;
        }
        findings.1 = now_us;
        Some(std::mem::take(&mut findings.0))
    }
}
