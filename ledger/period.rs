//! Billing periods: open while charges change, sealed once the platform has closed its books. A sealed period keeps its
//! charges as they are: what comes later is refused, unless it is a correction, which belongs to a later billing period and
//! names the time that it corrects. The seal holds a root over the charges, so that a change would show.

use engine::arrow::array::Array;
use engine::datafusion::physical_plan::common::collect;
use engine::sql::session::from_datafusion;
use engine::{Error, Frame, Kind, Limits, Question, Result, Rows, Scope, Store, Value};
use sha2::{Digest, Sha256};

use crate::answer::{Answer, amount, text};
use crate::cost_line::{BILLING_PERIOD_TABLE, SET, TENANT};
use crate::decimal;
use crate::rewrite::{instant, literal};

/// Whoever changes the charges of a period, or seals it, does it one after the other.
pub static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Name of sealing in the source column.
const SOURCE: &str = "cost/seal";
/// Sets of seals that hold for every tenant begin with this.
const ALL: &str = "seal|all|";
/// What a root is made of, in this order.
const SEALED: &[&str] = &[
    "x_charge_id",
    "x_set",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "ChargeClass",
    "ServiceName",
    "ResourceId",
    "AllocatedResourceId",
    "InvoiceId",
    "BillingCurrency",
    "BilledCost",
    "EffectiveCost",
    "ListCost",
    "ContractedCost",
];

/// A sealed period.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Seal {
    /// Whose charges.
    pub tenant: String,
    /// Start of the billing period, microseconds since 1970.
    pub start: i64,
    /// Whose invoices; none for all issuers.
    pub issuer: Option<String>,
    /// Whether it holds for tenants that had no charges then, too.
    pub is_for_all: bool,
    /// Charges in it.
    pub rows: i64,
    /// SHA-256 over them.
    pub root: String,
}

/// What is to be sealed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SealWish {
    /// Start and end of the period.
    pub period: (i64, i64),
    /// Only this tenant.
    pub tenant: Option<String>,
    /// Only this issuer's charges.
    pub issuer: Option<String>,
    /// Who seals it.
    pub by: String,
    /// Why.
    pub note: Option<String>,
    /// Even if it holds estimates or usage without a price.
    pub is_forced: bool,
}

/// Every seal that a scope sees.
#[derive(Debug, Clone, Default)]
pub struct Seals(Vec<Seal>);

impl Seals {
    /// Reads them.
    pub async fn load(store: &Store, scope: &Scope) -> Result<Seals> {
        let sql = "SELECT x_tenant, x_set, \"BillingPeriodStart\", \"InvoiceIssuerName\", x_sealed_rows, x_sealed_root
            FROM billing_period WHERE x_sealed_at IS NOT NULL ORDER BY \"BillingPeriodStart\", x_tenant";
        let answer = Answer::of(store, scope, sql, &[]).await?;
        let (tenants, sets, issuers) = (answer.texts(TENANT)?, answer.texts(SET)?, answer.texts("InvoiceIssuerName")?);
        let (starts, rows) = (answer.times("BillingPeriodStart")?, answer.numbers("x_sealed_rows")?);
        let roots = answer.texts("x_sealed_root")?;
        let seal = |at: usize| Seal {
            tenant: text(&tenants, at),
            start: starts.value(at),
            issuer: issuers.is_valid(at).then(|| issuers.value(at).to_owned()),
            is_for_all: sets.value(at).starts_with(ALL),
            rows: rows.value(at),
            root: text(&roots, at),
        };
        Ok(Seals((0..answer.rows()).map(seal).collect()))
    }

    /// All of them.
    pub fn all(&self) -> &[Seal] {
        &self.0
    }

    /// Whether a charge of this tenant, billing period and issuer would change a sealed period.
    pub fn holds(&self, tenant: &str, start: i64, issuer: Option<&str>) -> bool {
        self.0.iter().any(|seal| {
            let of_issuer = seal.issuer.is_none() || seal.issuer.as_deref() == issuer;
            seal.start == start && of_issuer && (seal.is_for_all || seal.tenant == tenant)
        })
    }
}

/// What a period holds.
struct Content {
    rows: i64,
    billed: Option<i128>,
    currency: Option<String>,
    root: String,
}

/// Seals a period: from now on its charges stay as they are.
pub async fn seal(store: &Store, wish: &SealWish) -> Result<Vec<Seal>> {
    let _turn = TURN.lock().await;
    let scope = Scope::platform("cost/seal");
    let (start, end) = wish.period;
    if end > store.clock().now_us() {
        return Err(Error::invalid("seal a billing period: it is not over yet"));
    }
    let condition = condition(start, wish.tenant.as_deref(), wish.issuer.as_deref());
    if !wish.is_forced {
        refuse_unsettled(store, &scope, &condition).await?;
    }
    let before = Seals::load(store, &scope).await?;
    let tenants = Answer::of(store, &scope, format!("SELECT DISTINCT x_tenant FROM cost_line WHERE {condition}"), &[]);
    let tenants = tenants.await?.texts("x_tenant")?;
    let mut tenants: Vec<String> = tenants.iter().flatten().map(str::to_owned).collect();
    let own = wish.tenant.clone().unwrap_or_else(|| crate::estimate::PAYER.to_owned());
    if !tenants.contains(&own) {
        tenants.push(own);
    }
    tenants.sort_unstable();
    let (mut rows, mut sealed) = (Rows::new(&BILLING_PERIOD_TABLE), Vec::new());
    for tenant in tenants {
        if before.0.iter().any(|s| s.tenant == tenant && s.start == start && s.issuer == wish.issuer) {
            continue;
        }
        let content = content(store, &scope, start, &tenant, wish.issuer.as_deref()).await?;
        write(store, wish, &tenant, &content, &mut rows)?;
        sealed.push(Seal {
            tenant,
            start,
            issuer: wish.issuer.clone(),
            is_for_all: wish.tenant.is_none(),
            rows: content.rows,
            root: content.root,
        });
    }
    if sealed.is_empty() {
        return Err(Error::new(Kind::Conflict, "seal a billing period: it is sealed already"));
    }
    let mut frame = Frame::new(SOURCE);
    frame.push_rows(&mut rows);
    store.append(frame).await?;
    Ok(sealed)
}

fn condition(start: i64, tenant: Option<&str>, issuer: Option<&str>) -> String {
    let mut text = format!("\"BillingPeriodStart\" = {}", instant(start));
    if let Some(tenant) = tenant {
        text.push_str(&format!(" AND x_tenant = {}", literal(tenant)));
    }
    if let Some(issuer) = issuer {
        text.push_str(&format!(" AND \"InvoiceIssuerName\" = {}", literal(issuer)));
    }
    text
}

/// Estimates and unpriced usage are no books to close.
async fn refuse_unsettled(store: &Store, scope: &Scope, condition: &str) -> Result<()> {
    let sql = format!(
        "SELECT count(*) FILTER (WHERE x_estimate) AS estimates, count(*) FILTER (WHERE x_unpriced IS NOT NULL) AS unpriced FROM cost_line WHERE {condition}"
    );
    let answer = Answer::of(store, scope, sql, &[]).await?;
    let (estimates, unpriced) = (answer.numbers("estimates")?.value(0), answer.numbers("unpriced")?.value(0));
    if estimates + unpriced == 0 {
        return Ok(());
    }
    Err(Error::new(
        Kind::Conflict,
        format!(
            "seal a billing period: it still holds {estimates} estimates without a bill and {unpriced} rows of usage without a price; --force seals it all the same"
        ),
    ))
}

async fn content(store: &Store, scope: &Scope, start: i64, tenant: &str, issuer: Option<&str>) -> Result<Content> {
    let condition = condition(start, Some(tenant), issuer);
    let columns: Vec<String> = SEALED.iter().map(|name| format!("CAST(\"{name}\" AS VARCHAR) AS \"{name}\"")).collect();
    // What is equal in everything that is hashed has no order, and needs none.
    let order: Vec<String> = (1..=SEALED.len()).map(|at| at.to_string()).collect();
    let sql = format!("SELECT {} FROM cost_line WHERE {condition} ORDER BY {}", columns.join(", "), order.join(", "));
    let answer = store.query(scope, Question { sql, params: Vec::new() }, Limits::default()).await?;
    let (mut hash, mut rows) = (Sha256::new(), 0i64);
    for batch in collect(answer.stream).await.map_err(from_datafusion)? {
        let answer = Answer::over(batch);
        let cells = SEALED.iter().map(|name| answer.texts(name)).collect::<Result<Vec<_>>>()?;
        for at in 0..answer.rows() {
            for texts in &cells {
                // The length tells an empty text from none, and one cell's end from the next one's begin.
                let cell = texts.is_valid(at).then(|| texts.value(at));
                hash.update(cell.map_or(u64::MAX, |cell| cell.len() as u64).to_le_bytes());
                hash.update(cell.unwrap_or_default());
            }
            rows += 1;
        }
    }
    let sql = format!(
        "SELECT sum(\"BilledCost\") AS billed, min(\"BillingCurrency\") AS currency, count(DISTINCT \"BillingCurrency\") AS currencies FROM cost_line WHERE {condition}"
    );
    let sum = Answer::of(store, scope, sql, &[]).await?;
    let is_one = sum.numbers("currencies")?.value(0) == 1;
    let currency = is_one.then_some(text(&sum.texts("currency")?, 0));
    let billed = amount(&sum.decimals("billed")?, 0).filter(|_| is_one);
    Ok(Content { rows, billed, currency, root: hex::encode(hash.finalize()) })
}

fn write(store: &Store, wish: &SealWish, tenant: &str, content: &Content, rows: &mut Rows) -> Result<()> {
    let (start, end) = wish.period;
    let day = chrono::DateTime::from_timestamp_micros(start).unwrap_or_default().format("%Y-%m-%d");
    let scope = if wish.tenant.is_none() { ALL } else { "seal|one|" };
    let now = Value::Time(store.clock().now_us());
    rows.set(TENANT, tenant)
        .set(SET, format!("{scope}{day}|{}", wish.issuer.as_deref().unwrap_or_default()))
        .set("BillingPeriodStart", Value::Time(start))
        .set("BillingPeriodEnd", Value::Time(end))
        .set("BillingPeriodStatus", "Closed")
        .set("BillingPeriodCreated", Value::Time(start))
        .set("BillingPeriodLastUpdated", now.clone())
        .set("InvoiceIssuerName", wish.issuer.as_deref())
        .set("x_source_schema", "Stellwerk seal")
        .set("x_sealed_at", now)
        .set("x_sealed_by", wish.by.as_str())
        .set("x_sealed_note", wish.note.as_deref())
        .set("x_sealed_rows", content.rows)
        .set("x_sealed_billed_cost", content.billed.map_or(Value::Null, Value::Decimal))
        .set("x_sealed_currency", content.currency.as_deref())
        .set("x_sealed_root", content.root.as_str());
    rows.end_row()
}

/// Seals whose period no longer holds what it held, a sentence each.
pub async fn broken_seals(store: &Store, scope: &Scope) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for seal in Seals::load(store, scope).await?.all() {
        let now = content(store, scope, seal.start, &seal.tenant, seal.issuer.as_deref()).await?;
        if now.root != seal.root {
            let day = chrono::DateTime::from_timestamp_micros(seal.start).unwrap_or_default().format("%Y-%m-%d");
            let billed = now.billed.map_or_else(|| "unknown".to_owned(), decimal::text);
            broken.push(format!(
                "the sealed period from {day} of {} held {} charges and holds {} now, BilledCost {billed}: its charges are not those that were sealed",
                seal.tenant, seal.rows, now.rows
            ));
        }
    }
    Ok(broken)
}
