//! What commands and doors ask of the ledger beside questions: usage that is stored spread over who caused it, estimates
//! written, bills settled, periods sealed. Decides nothing about money; it calls who does.

use engine::{Error, Result, Store};
use ingest::allocation::idle_by_cluster;
use ingest::allocation::stored::{self, Stored};
use ingest::cost::estimate::{self, ClusterWish, Estimated, Schedule};
use ledger::Outcome as Ended;
use ledger::allocate::{Entry, Options, Outcome, Split, allocate};
use ledger::decimal;
use ledger::estimate::{Settlement, settle_stored};
use ledger::exchange::Exchange;
use ledger::period::{Seal, SealWish, broken_seals, seal};
use ledger::price::ResourceBook;
use ledger::principal::Caller;
use serde::{Deserialize, Serialize};

use crate::house::House;

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostWish {
    /// Stored usage spread, and shown.
    Allocate(Box<AllocateWish>),
    /// What clusters cost, written as estimates.
    EstimateClusters(ClusterWish),
    /// What model calls cost, written as estimates.
    EstimateModels((i64, i64)),
    /// Bills split over estimates once more.
    Settle((i64, i64)),
    /// A billing period sealed.
    Seal(SealWish),
    /// Seals that no longer fit what they sealed.
    BrokenSeals,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostAnswer {
    /// Groups with their costs.
    Allocated(Allocated),
    /// What was written.
    Estimated(Estimated),
    /// What was settled.
    Settled(Settlement),
    /// What was sealed.
    Sealed(Vec<Seal>),
    /// A sentence each.
    Broken(Vec<String>),
}

/// Stored usage to be spread; options as the command line writes them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AllocateWish {
    /// From and until, in microseconds since 1970.
    pub window: (i64, i64),
    /// Only this cluster.
    pub cluster: Option<String>,
    /// Groups.
    pub by: Vec<String>,
    /// `none`, `weighted` or `even`.
    pub share_idle: String,
    /// Whether idle is shared on each node by itself.
    pub is_idle_by_node: bool,
    /// Rows that all others pay for.
    pub share: Vec<String>,
    /// `weighted` or `even`.
    pub share_split: String,
    /// Overhead of the whole window.
    pub overhead: String,
    /// Whether what the cluster costs beside its nodes is shared.
    pub is_tenancy_shared: bool,
    /// Rows that are shown.
    pub filter: Vec<String>,
}

/// Groups with their costs; amounts are texts, so that no reader makes floats of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocated {
    /// The groups, in order.
    pub entries: Vec<AllocatedEntry>,
    /// What is wrong with the data.
    pub faults: Vec<String>,
    /// Currency of the amounts, where a price said it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub currency: Option<String>,
    /// What has no price.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unpriced: Vec<String>,
    /// What else a reader should know.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

/// One group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocatedEntry {
    /// Its name.
    pub group: String,
    /// Its own costs.
    pub own: String,
    /// Its part of idle.
    pub idle: String,
    /// Its part of shared rows.
    pub shared: String,
    /// Its part of overhead.
    pub overhead: String,
    /// Its part of what the cluster costs beside its nodes.
    pub tenancy: String,
    /// All together.
    pub total: String,
}

impl AllocatedEntry {
    /// The amounts with their names, in the order in which they are shown.
    pub fn amounts(&self) -> [(&'static str, &str); 6] {
        [
            ("own", &self.own),
            ("idle", &self.idle),
            ("shared", &self.shared),
            ("overhead", &self.overhead),
            ("tenancy", &self.tenancy),
            ("total", &self.total),
        ]
    }
}

impl Allocated {
    /// An outcome as texts.
    pub fn of(outcome: &Outcome) -> Allocated {
        let entry = |(group, entry): (&String, &Entry)| AllocatedEntry {
            group: group.clone(),
            own: decimal::text(entry.own),
            idle: decimal::text(entry.idle),
            shared: decimal::text(entry.shared),
            overhead: decimal::text(entry.overhead),
            tenancy: decimal::text(entry.tenancy),
            total: decimal::text(entry.total()),
        };
        Allocated {
            entries: outcome.entries.iter().map(entry).collect(),
            faults: outcome.faults.clone(),
            ..Allocated::default()
        }
    }
}

/// Does what is asked.
pub async fn answer(house: &House, wish: &CostWish) -> Result<CostAnswer> {
    let store = &house.store;
    Ok(match wish {
        CostWish::Allocate(wish) => CostAnswer::Allocated(allocated(store, wish).await?),
        CostWish::EstimateClusters(wish) => {
            let done = estimate::clusters(store, wish).await;
            CostAnswer::Estimated(
                noted(house, &Caller::operator(), "cost.estimate", "clusters", wish.window, done).await?,
            )
        }
        CostWish::EstimateModels(window) => {
            let done = estimate::models(store, *window).await;
            CostAnswer::Estimated(noted(house, &Caller::operator(), "cost.estimate", "models", *window, done).await?)
        }
        CostWish::Settle(window) => {
            let exchange = Exchange::load(store).await?;
            let done = settle_stored(store, *window, &exchange).await;
            CostAnswer::Settled(noted(house, &Caller::operator(), "cost.settle", "estimates", *window, done).await?)
        }
        CostWish::Seal(wish) => {
            let sealed = seal(store, wish).await?;
            let detail = serde_json::json!({
                "issuer": wish.issuer, "forced": wish.is_forced, "note": wish.note,
                "seals": sealed.iter().map(|seal| (&seal.tenant, &seal.root)).collect::<Vec<_>>(),
            });
            let entry = Caller::operator().entry("cost.seal", engine::clock::rfc3339(wish.period.0));
            house.audit.record(entry.of_tenant(wish.tenant.as_deref()).with(detail)).await?;
            CostAnswer::Sealed(sealed)
        }
        CostWish::BrokenSeals => {
            let scope = engine::Scope::platform("cost/check");
            CostAnswer::Broken(broken_seals(store, &scope).await?)
        }
    })
}

/// Estimates what is due by a schedule. What was written, and what could not be, is a row of the audit log each.
pub async fn keep_estimates(house: &House, schedule: &Schedule) -> Result<()> {
    let caller = Caller::schedule();
    let mut failed = None;
    for beat in schedule.beat(&house.store).await? {
        let noted = noted(house, &caller, "cost.estimate", beat.kind, beat.window, beat.done).await;
        failed = failed.or(noted.err());
    }
    failed.map_or(Ok(()), Err)
}

/// Notes in the audit log what was done to the ledger, or that it failed.
async fn noted<T: Serialize>(
    house: &House,
    caller: &Caller,
    action: &'static str,
    subject: &str,
    window: (i64, i64),
    done: Result<T>,
) -> Result<T> {
    let (ended, told) = match &done {
        Ok(done) => (Ended::Done, serde_json::json!(done)),
        Err(error) => (Ended::Failed, serde_json::json!({"error": error.to_string()})),
    };
    let at = engine::clock::rfc3339;
    let detail = serde_json::json!({"from": at(window.0), "to": at(window.1), "told": told});
    let entry = caller.entry(action, subject).of_tenant(None).ended(ended);
    house.audit.record(entry.with(detail)).await?;
    done
}

/// Usage of a window as it is stored, at these prices; idle by node, or by cluster.
pub async fn read_stored(store: &Store, wish: &stored::Wish, prices: &ResourceBook, by_node: bool) -> Result<Stored> {
    let mut read = stored::read(store, wish, prices).await?;
    if !by_node {
        read.input.idle = idle_by_cluster(std::mem::take(&mut read.input.idle))?;
    }
    Ok(read)
}

async fn allocated(store: &Store, wish: &AllocateWish) -> Result<Allocated> {
    let overhead = if wish.overhead.is_empty() { "0" } else { wish.overhead.as_str() };
    let overhead = decimal::parse(overhead).map_err(|why| Error::invalid(format!("the overhead {why}")))?;
    let options = Options {
        by: wish.by.iter().map(|text| text.parse()).collect::<Result<_>>()?,
        share_idle: wish.share_idle.parse()?,
        shared: wish.share.iter().map(|text| text.parse()).collect::<Result<_>>()?,
        split: if wish.share_split == "even" { Split::Even } else { Split::Weighted },
        overhead: overhead.units,
        share_tenancy: wish.is_tenancy_shared,
        filter: wish.filter.iter().map(|text| text.parse()).collect::<Result<_>>()?,
        condition: None,
    };
    let asked = stored::Wish { start: wish.window.0, end: wish.window.1, cluster: wish.cluster.clone() };
    let prices = ResourceBook::load(store).await?;
    let read = read_stored(store, &asked, &prices, wish.is_idle_by_node).await?;
    let outcome = allocate(&read.input, &options)?;
    Ok(Allocated { currency: read.currency, unpriced: read.unpriced, notes: read.notes, ..Allocated::of(&outcome) })
}
