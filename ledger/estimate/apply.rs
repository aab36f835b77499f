//! Settling what is stored: estimates of overlapping times are read together with the bills of these times, settled, and
//! the sets that change are written anew, each in one step. Doing it again changes nothing.

mod rows;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use engine::{Error, Kind, Result, Scope, Store};

use super::settle::{Amounts, Bill, Estimate, settle};
use super::thing_of;
use crate::answer::{Answer, amount, text};
use crate::decimal::scaled;
use crate::exchange::Exchange;
use crate::period::Seals;
use crate::rewrite::{SetOf, instant, literal, replace_sets};
use rows::{Held, Offset, Role, Written};

/// Estimates that are settled together; more of overlapping times are refused.
const ROWS_MAX: usize = 2_000_000;
const DAY_US: i64 = 86_400_000_000;
/// A charge that began earlier than this before a time is not looked for in it.
const CHARGE_LENGTH_MAX_US: i64 = 400 * DAY_US;
/// Name of the settling in the source column.
const SOURCE: &str = "cost/settle";

/// Estimates and bills are read by one statement and written by another.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What settling came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Settlement {
    /// Estimates that a bill covers.
    pub covered: u64,
    /// Estimates without a bill.
    pub open: u64,
    /// Sets that were written anew.
    pub rewritten: u64,
}

/// What a bill says beside its amounts; the row that takes it back says the same.
const GROUP: &[&str] = &[
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "BillingAccountId",
    "BillingAccountName",
    "ServiceName",
    "ServiceCategory",
    "ServiceSubcategory",
    "ServiceProviderName",
    "HostProviderName",
    "ProviderName",
    "PublisherName",
    "InvoiceIssuerName",
    "SubAccountId",
    "SubAccountName",
    "RegionId",
    "ResourceId",
    "ChargeCategory",
    "x_model",
];

const TEXTS: &str = "the columns of a bill are those that were asked for";

/// Settles the estimates whose time begins in `window` (microseconds since 1970, the end excluded).
pub async fn settle_stored(store: &Store, window: (i64, i64), exchange: &Exchange) -> Result<Settlement> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let scope = Scope::platform("cost/settle");
    let mut settlement = Settlement::default();
    let sets = estimated_sets(store, &scope, window).await?;
    if sets.is_empty() {
        return Ok(settlement);
    }
    let seals = Seals::load(store, &scope).await?;
    for cluster in clusters(sets) {
        let names: Vec<String> = cluster.names.iter().map(|name| literal(name)).collect();
        let sql = format!("SELECT * FROM cost_line WHERE x_set IN ({})", names.join(", "));
        let held = Held::read(Answer::of(store, &scope, sql, &[]).await?)?;
        if held.count() > ROWS_MAX {
            let text = format!("{} estimates of one time: more than {ROWS_MAX} are not settled together", held.count());
            return Err(Error::new(Kind::TooLarge, text));
        }
        let sealed: HashSet<&str> = held.sealed_sets(&seals);
        let bills = bills(store, &scope, cluster.from, cluster.to).await?;
        let (written, counted) = decide(&held, &bills, &sealed, exchange)?;
        settlement.covered += counted.0;
        settlement.open += counted.1;
        settlement.rewritten += write(store, &held, written, &sealed).await?;
    }
    Ok(settlement)
}

/// The sets that hold estimates, or what became of them, with the time that they span.
async fn estimated_sets(store: &Store, scope: &Scope, window: (i64, i64)) -> Result<Vec<(i64, i64, String)>> {
    let sql = format!(
        "SELECT x_set, min(\"ChargePeriodStart\") AS since, max(coalesce(\"ChargePeriodEnd\", \"ChargePeriodStart\")) AS until
         FROM cost_line
         WHERE (x_estimate OR x_estimated_cost IS NOT NULL) AND \"ChargePeriodStart\" >= {} AND \"ChargePeriodStart\" < {}
         GROUP BY x_set ORDER BY 2, 1",
        instant(window.0),
        instant(window.1)
    );
    let answer = Answer::of(store, scope, sql, &[]).await?;
    let (names, since, until) = (answer.texts("x_set")?, answer.times("since")?, answer.times("until")?);
    Ok((0..answer.rows()).map(|at| (since.value(at), until.value(at), text(&names, at))).collect())
}

/// Sets of overlapping times.
#[derive(Debug)]
struct Cluster {
    from: i64,
    to: i64,
    names: Vec<String>,
}

fn clusters(sets: Vec<(i64, i64, String)>) -> Vec<Cluster> {
    let mut clusters: Vec<Cluster> = Vec::new();
    for (since, until, name) in sets {
        let (from, to) = (day_of(since), day_of(until.max(since + 1) - 1) + DAY_US);
        match clusters.last_mut() {
            Some(last) if from < last.to => {
                last.to = last.to.max(to);
                last.names.push(name);
            }
            _ => clusters.push(Cluster { from, to, names: vec![name] }),
        }
    }
    clusters
}

fn day_of(at: i64) -> i64 {
    at - at.rem_euclid(DAY_US)
}

/// Charges of one kind, of one thing, in one day or in one longer time.
#[derive(Debug)]
struct Billed {
    tenant: String,
    thing: String,
    start: i64,
    end: i64,
    amounts: Amounts,
    offset: Offset,
}

/// What was billed for things of that time.
async fn bills(store: &Store, scope: &Scope, from: i64, to: i64) -> Result<Vec<Billed>> {
    let columns: Vec<String> = GROUP.iter().map(|name| format!("\"{name}\"")).collect();
    let columns = columns.join(", ");
    let sql = format!(
        "SELECT x_tenant, {columns}, since, until,
           sum(\"BilledCost\") AS billed, sum(\"EffectiveCost\") AS effective, sum(\"ListCost\") AS list, sum(\"ContractedCost\") AS contracted
         FROM (
           SELECT *,
             CASE WHEN is_long THEN \"ChargePeriodStart\" ELSE day_start END AS since,
             CASE WHEN is_long THEN \"ChargePeriodEnd\" ELSE day_start + INTERVAL '1 day' END AS until
           FROM (
             SELECT x_tenant, {columns}, \"BilledCost\", \"EffectiveCost\", \"ListCost\", \"ContractedCost\", \"ChargePeriodStart\", \"ChargePeriodEnd\",
               date_trunc('day', \"ChargePeriodStart\") AS day_start,
               coalesce(\"ChargePeriodEnd\" > date_trunc('day', \"ChargePeriodStart\") + INTERVAL '1 day', false) AS is_long
             FROM cost_line
             WHERE \"ChargePeriodStart\" >= {} AND \"ChargePeriodStart\" < {}
               AND coalesce(\"ChargePeriodEnd\", \"ChargePeriodStart\" + INTERVAL '1 second') > {}
               AND NOT coalesce(x_estimate, false) AND x_estimate_key IS NULL AND x_estimated_cost IS NULL
               AND \"ChargeClass\" IS NULL AND coalesce(\"ChargeCategory\", 'Usage') = 'Usage'
               AND (\"ResourceId\" IS NOT NULL OR x_model IS NOT NULL)
           ) AS told
         ) AS dated
         GROUP BY x_tenant, {columns}, since, until",
        instant(from - CHARGE_LENGTH_MAX_US),
        instant(to),
        instant(from),
    );
    let answer = Answer::of(store, scope, sql, &[]).await?;
    let tenants = answer.texts("x_tenant")?;
    let mut texts = BTreeMap::new();
    for name in GROUP.iter().filter(|name| !name.starts_with("BillingPeriod")) {
        texts.insert(*name, answer.texts(name)?);
    }
    let (since, until) = (answer.times("since")?, answer.times("until")?);
    let (period_start, period_end) = (answer.times("BillingPeriodStart")?, answer.times("BillingPeriodEnd")?);
    let sums = [
        answer.decimals("billed")?,
        answer.decimals("effective")?,
        answer.decimals("list")?,
        answer.decimals("contracted")?,
    ];
    let bill = |at: usize| {
        let cell = |name: &str| text(texts.get(name).expect(TEXTS), at);
        let provider = [cell("ServiceProviderName"), cell("ProviderName"), cell("InvoiceIssuerName")];
        let provider = provider.iter().find(|name| !name.is_empty()).cloned().unwrap_or_default();
        let period = |times: &engine::arrow::array::TimestampMicrosecondArray| {
            use engine::arrow::array::Array;
            times.is_valid(at).then(|| times.value(at))
        };
        Billed {
            tenant: text(&tenants, at),
            thing: thing_of(&provider, &cell("x_model"), &cell("ResourceId")),
            start: since.value(at),
            end: until.value(at).max(since.value(at) + 1),
            amounts: std::array::from_fn(|i| amount(&sums[i], at)),
            offset: Offset {
                texts: texts.iter().map(|(name, cells)| (*name, text(cells, at))).collect(),
                period: (period(&period_start), period(&period_end)),
            },
        }
    };
    Ok((0..answer.rows()).map(bill).filter(|bill| !bill.thing.is_empty()).collect())
}

/// The part of a charge that falls into a time.
fn within(bill: &Billed, from: i64, to: i64) -> Option<Amounts> {
    let (start, end) = (bill.start.max(from), bill.end.min(to));
    if start >= end {
        return None;
    }
    let (part, whole) = (i128::from(end - start), i128::from(bill.end - bill.start));
    Some(bill.amounts.map(|amount| amount.and_then(|amount| scaled(amount, part, whole))))
}

/// What every set is to hold, and how many estimates are covered and open.
fn decide(
    held: &Held,
    bills: &[Billed],
    sealed: &HashSet<&str>,
    exchange: &Exchange,
) -> Result<(Vec<Written>, (u64, u64))> {
    let mut slots: BTreeMap<(i64, i64), Vec<usize>> = BTreeMap::new();
    let (mut written, mut seen, mut counted) = (Vec::new(), HashSet::new(), (0, 0));
    for row in 0..held.count() {
        if sealed.contains(held.set(row)) {
            continue;
        }
        match held.role(row) {
            Role::Other => written.push(Written::kept(row)),
            Role::Offset => {}
            // Several parts of one estimate are one estimate again.
            Role::Estimate => {
                if seen.insert((held.set(row), held.tenant(row), held.original_id(row))) {
                    let (start, end) = held.span(row);
                    let (from, to) = (day_of(start), day_of(end.max(start + 1) - 1) + DAY_US);
                    slots.entry((to - from, from)).or_default().push(row);
                }
            }
        }
    }
    // The shortest times first: what they take of a bill is no longer there for longer ones.
    let mut claimed: BTreeSet<(String, i64)> = BTreeSet::new();
    for ((length, from), rows) in slots {
        let to = from + length;
        let estimates: Vec<Estimate> = rows.iter().map(|row| held.estimate(*row)).collect();
        let wanted: HashSet<&str> = estimates.iter().map(|e| e.thing.as_str()).collect();
        let (mut taken, mut origins) = (Vec::new(), Vec::new());
        for bill in bills.iter().filter(|bill| wanted.contains(bill.thing.as_str())) {
            let is_claimed = claimed.contains(&(bill.thing.clone(), day_of(bill.start.max(from))));
            let Some(amounts) = within(bill, from, to).filter(|_| !is_claimed) else { continue };
            let currency = bill.offset.texts.get("BillingCurrency").cloned().unwrap_or_default();
            taken.push(Bill { tenant: bill.tenant.clone(), thing: bill.thing.clone(), currency, amounts });
            origins.push(bill);
        }
        let convert = |amount: i128, of: &str, to: &str| exchange.convert(amount, of, to, from);
        let settled = settle(&estimates, &taken, &convert)?;
        counted.1 += settled.open.len() as u64;
        counted.0 += (estimates.len() - settled.open.len()) as u64;
        written.extend(settled.open.iter().map(|at| held.reopened(rows[*at])));
        for part in &settled.parts {
            written.push(held.part(rows[part.estimate], part));
        }
        for at in settled.split {
            let bill = &taken[at];
            let first = estimates.iter().position(|e| e.thing == bill.thing).unwrap_or_default();
            written.push(Written::offset(held.set(rows[first]), bill, (from, to), &origins[at].offset));
            claimed.extend((0..length / DAY_US).map(|day| (bill.thing.clone(), from + day * DAY_US)));
        }
    }
    Ok((written, counted))
}

/// Writes the sets that changed; answers how many.
async fn write(store: &Store, held: &Held, written: Vec<Written>, sealed: &HashSet<&str>) -> Result<u64> {
    let mut by_set: BTreeMap<String, Vec<Written>> = BTreeMap::new();
    for row in written {
        by_set.entry(row.set(held)).or_default().push(row);
    }
    let mut rewritten = 0;
    for (name, rows) in by_set {
        if sealed.contains(name.as_str()) || held.fingerprint(&name) == Written::fingerprint(held, &rows) {
            continue;
        }
        let mut tenants: BTreeSet<String> = rows.iter().map(|row| row.tenant(held)).collect();
        tenants.extend(held.tenants(&name));
        let sets: Vec<SetOf> = tenants.into_iter().map(|tenant| SetOf { tenant, name: name.clone() }).collect();
        replace_sets(store, SOURCE, &sets, held.batches(&rows)?).await?;
        rewritten += 1;
    }
    Ok(rewritten)
}
