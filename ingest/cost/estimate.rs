//! Estimates of what no bill says yet: clusters by their usage, model calls by their spans. They are written by the day,
//! each day of a source as one replaceable set, so that writing a day again replaces it; then what is billed already is
//! settled at once.

mod clusters;
mod known;
mod models;
mod schedule;

use std::collections::BTreeSet;

use engine::{Error, Kind, Result, Rows, Scope, Store};
use ledger::answer::Answer;
use ledger::estimate::{Settlement, settle_stored};
use ledger::exchange::Exchange;
use ledger::period::{Seals, TURN};
use ledger::rewrite::{SetOf, literal, replace_sets};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::instant;

pub use clusters::ClusterWish;
use known::Known;
pub use schedule::{Beat, Schedule};

const DAY_US: i64 = 86_400_000_000;
/// What estimates of model calls, and of clusters, are made of.
const SPANS: &str = "otel_span";
const USAGE: &str = "k8s_usage";
/// Days written by one command; more of them are several commands.
const DAYS_MAX: i64 = 400;

/// What was estimated and written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimated {
    /// Days.
    pub days: u64,
    /// Rows of the ledger.
    pub rows: u64,
    /// What the bills that are there made of them.
    pub settlement: Settlement,
    /// What has no price, a sentence each.
    pub unpriced: Vec<String>,
    /// What is wrong with the data (negative idle).
    pub faults: Vec<String>,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

/// The days of a window; refuses what is no whole day, for a part of a day would replace the rest of it.
fn days(window: (i64, i64), now: i64) -> Result<Vec<(i64, i64)>> {
    let (start, end) = window;
    if start.rem_euclid(DAY_US) != 0 || end.rem_euclid(DAY_US) != 0 || end <= start {
        return Err(Error::invalid("estimates are written by the day: the window begins and ends at midnight, UTC"));
    }
    if (end - start) / DAY_US > DAYS_MAX {
        return Err(Error::invalid(format!("estimates of more than {DAYS_MAX} days are not written at once")));
    }
    // Today is as long as it has lasted.
    let days = (start..end).step_by(DAY_US as usize).filter(|day| *day < now);
    Ok(days.map(|day| (day, (day + DAY_US).min(now))).collect())
}

/// What a reader is told of a day that keeps its estimates.
fn kept(day: i64) -> String {
    format!(
        "{}: what it was estimated from has outlived its retention in part; its estimates stay as they are",
        day_name(day)
    )
}

/// `2026-10-01`.
fn day_name(day: i64) -> String {
    let (year, month, day) = instant::date(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The billing period of a day: its month.
fn month(day: i64) -> (i64, i64) {
    let start = instant::month_start(day);
    (start, instant::month_start(start + 32 * DAY_US))
}

/// An id out of words.
fn charge_id(words: &[&str]) -> String {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word.len().to_le_bytes());
        hash.update(word.as_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}

/// Where sets are written, and which are not written again.
struct Writing<'a> {
    store: &'a Store,
    scope: Scope,
    seals: Seals,
    known: Option<&'a Known>,
    /// What they are made of may be gone before this time, having outlived its retention.
    whole_from: Option<i64>,
}

impl<'a> Writing<'a> {
    /// Of what the table `origin` holds.
    async fn begin(store: &'a Store, known: Option<&'a Known>, origin: &str) -> Result<Writing<'a>> {
        let scope = Scope::platform("cost/estimate");
        let seals = Seals::load(store, &scope).await?;
        Ok(Writing { store, scope, seals, known, whole_from: store.retention_floor_us(origin) })
    }
}

/// What became of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// It holds so many rows now.
    Rows(u64),
    /// It is known to hold the same already.
    Same,
    /// It keeps what it held: that was made of more than is left.
    Kept,
}

/// Rows of one set under construction.
struct Set {
    name: String,
    rows: Rows,
    tenants: BTreeSet<String>,
}

impl Set {
    fn new(name: String) -> Set {
        Set { name, rows: Rows::new(&ledger::COST_LINE), tenants: BTreeSet::new() }
    }

    /// Begins a row with what all estimates say.
    fn begin(&mut self, tenant: &str, charge_id: &str, span: (i64, i64), source: &str) -> &mut Rows {
        use engine::Value;
        self.tenants.insert(tenant.to_owned());
        let (period_start, period_end) = month(span.0);
        self.rows
            .set("x_tenant", tenant)
            .set("x_set", self.name.as_str())
            .set("x_charge_id", charge_id)
            .set("x_estimate", true)
            .set("x_source_schema", source)
            .set("ChargePeriodStart", Value::Time(span.0))
            .set("ChargePeriodEnd", Value::Time(span.1))
            .set("BillingPeriodStart", Value::Time(period_start))
            .set("BillingPeriodEnd", Value::Time(period_end))
            .set("ChargeCategory", "Usage")
            .set("ChargeFrequency", "Usage-Based");
        &mut self.rows
    }

    /// Writes the set in place of what it held.
    async fn write(mut self, to: &Writing<'_>, day: i64, source: &str) -> Result<Written> {
        let count = self.rows.len() as u64;
        let rows = self.rows.finish();
        let digest = known::digest(&rows)?;
        if to.known.is_some_and(|known| known.holds(&self.name, &digest)) {
            return Ok(Written::Same);
        }
        let sql = format!("SELECT DISTINCT x_tenant FROM cost_line WHERE x_set = {}", literal(&self.name));
        let before = Answer::of(to.store, &to.scope, sql, &[]).await?.texts("x_tenant")?;
        if before.iter().flatten().next().is_some() && to.whole_from.is_some_and(|from| day < from) {
            return Ok(Written::Kept);
        }
        self.tenants.extend(before.iter().flatten().map(str::to_owned));
        let (period, _) = month(day);
        if let Some(tenant) = self.tenants.iter().find(|tenant| to.seals.holds(tenant, period, None)) {
            let text = format!(
                "the billing period {} of {tenant} is sealed: no estimates are written into it",
                instant::period_name(period)
            );
            return Err(Error::new(Kind::Conflict, text));
        }
        let sets: Vec<SetOf> =
            self.tenants.iter().map(|tenant| SetOf { tenant: tenant.clone(), name: self.name.clone() }).collect();
        replace_sets(to.store, source, &sets, vec![rows]).await?;
        if let Some(known) = to.known {
            known.keep(self.name, digest);
        }
        Ok(Written::Rows(count))
    }
}

/// Estimates what clusters cost, from their stored usage, and writes it day by day.
pub async fn clusters(store: &Store, wish: &ClusterWish) -> Result<Estimated> {
    clusters_but(store, wish, None).await
}

/// Estimates what model calls cost, from their spans, and writes it day by day.
pub async fn models(store: &Store, window: (i64, i64)) -> Result<Estimated> {
    models_but(store, window, None).await
}

/// The same, but for what is known to be written; where nothing else is, there is nothing to settle.
async fn clusters_but(store: &Store, wish: &ClusterWish, known: Option<&Known>) -> Result<Estimated> {
    let days = days(wish.window, store.clock().now_us())?;
    let _turn = TURN.lock().await;
    let mut estimated = clusters::write(&Writing::begin(store, known, USAGE).await?, &days, wish).await?;
    if known.is_none() || estimated.days > 0 {
        settle(store, wish.window, &mut estimated).await?;
    }
    Ok(estimated)
}

/// The same of model calls.
async fn models_but(store: &Store, window: (i64, i64), known: Option<&Known>) -> Result<Estimated> {
    let days = days(window, store.clock().now_us())?;
    let _turn = TURN.lock().await;
    let mut estimated = models::write(&Writing::begin(store, known, SPANS).await?, &days).await?;
    if known.is_none() || estimated.days > 0 {
        settle(store, window, &mut estimated).await?;
    }
    Ok(estimated)
}

async fn settle(store: &Store, window: (i64, i64), estimated: &mut Estimated) -> Result<()> {
    let exchange = Exchange::load(store).await?;
    estimated.settlement = settle_stored(store, window, &exchange).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
