//! What a container used and what it costs: the larger of what it asked for and what it took, times its node's prices;
//! what a node cost and nobody used; and how well a request fitted.

use engine::{Error, Result};

use super::row::Idle;
use crate::decimal::{ONE, product, scaled};

/// An allocation of more cores than this is a fault of the metric; what was asked for counts instead.
const CORES_MAX: i128 = 512 * ONE;

/// What was asked for and what was taken of one resource, averaged over the time it ran, in units of 10⁻¹⁸.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    /// Asked for.
    pub request: i128,
    /// Taken.
    pub usage: i128,
    /// The larger of both at each moment, averaged, where that was measured.
    pub allocation: Option<i128>,
}

fn overflow() -> Error {
    Error::invalid("allocate: usage times price has more than 38 digits")
}

/// Hours of a resource that count: what was allocated, but at least what was asked for.
pub fn hours_used(used: Use, hours: i128) -> Result<i128> {
    let measured = used.allocation.unwrap_or(used.usage);
    let measured = if measured > CORES_MAX { used.request } else { measured };
    product(measured.max(used.request), hours).ok_or_else(overflow)
}

/// Prices of one node by the hour, in units of 10⁻¹⁸.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of a core.
    pub cpu: i128,
    /// Of a GiB of memory.
    pub ram: i128,
    /// Of an accelerator.
    pub gpu: i128,
}

/// What is known of a node's price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodePrice {
    /// Nothing: the defaults hold.
    Unknown,
    /// By resource; what is missing or zero is the default's.
    ByResource(Rates),
    /// As a whole, by the hour.
    Whole(i128),
}

/// A node: what it has, what it costs, how long it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Cluster.
    pub cluster: String,
    /// Node.
    pub node: String,
    /// Cores, GiB of memory, accelerators.
    pub capacity: [i128; 3],
    /// Hours that it ran.
    pub hours: i128,
    /// Its price.
    pub price: NodePrice,
    /// What is taken off cores and memory, as a part of one; accelerators have no discount.
    pub discount: i128,
}

/// A node's prices: its own, else the defaults; a price as a whole is split as the defaults relate to each other.
pub fn node_rates(asset: &Asset, defaults: &Rates) -> Result<Rates> {
    let or_default = |own: i128, default: i128| if own > 0 { own } else { default };
    let rates = match asset.price {
        NodePrice::Unknown => *defaults,
        NodePrice::ByResource(own) => Rates {
            cpu: or_default(own.cpu, defaults.cpu),
            ram: or_default(own.ram, defaults.ram),
            gpu: or_default(own.gpu, defaults.gpu),
        },
        NodePrice::Whole(price) => {
            let [cores, memory, gpus] = asset.capacity;
            // At the defaults the node would cost this much by the hour; all prices move by the same factor.
            let parts = [(cores, defaults.cpu), (memory, defaults.ram), (gpus, defaults.gpu)];
            let mut listed = 0i128;
            for (amount, rate) in parts {
                listed = product(amount, rate).and_then(|cost| listed.checked_add(cost)).ok_or_else(overflow)?;
            }
            let of = |rate: i128| {
                scaled(price, rate, listed).ok_or_else(|| {
                    Error::invalid(format!("allocate: node {} has a price and neither cores nor memory", asset.node))
                })
            };
            Rates { cpu: of(defaults.cpu)?, ram: of(defaults.ram)?, gpu: of(defaults.gpu)? }
        }
    };
    let kept = ONE - asset.discount;
    let less = |rate: i128| product(rate, kept).ok_or_else(overflow);
    Ok(Rates { cpu: less(rates.cpu)?, ram: less(rates.ram)?, gpu: rates.gpu })
}

/// The costs of hours of cores, memory and accelerators at these prices.
pub fn priced(hours: [i128; 3], rates: &Rates) -> Result<[i128; 3]> {
    let [cpu, ram, gpu] = hours;
    let cost = |hours: i128, rate: i128| product(hours, rate).ok_or_else(overflow);
    Ok([cost(cpu, rates.cpu)?, cost(ram, rates.ram)?, cost(gpu, rates.gpu)?])
}

/// What a node cost and its containers did not use. Negative where they used more than it costs: that is a fault of the
/// data, and it is told, not hidden.
pub fn idle_of(asset: &Asset, rates: &Rates, allocated: [i128; 3]) -> Result<Idle> {
    let hours = asset.capacity.map(|amount| product(amount, asset.hours).ok_or_else(overflow));
    let [cpu, ram, gpu] = hours;
    let cost = priced([cpu?, ram?, gpu?], rates)?;
    let mut idle = Idle { cluster: asset.cluster.clone(), node: asset.node.clone(), costs: [0; 3] };
    for (at, left) in idle.costs.iter_mut().enumerate() {
        *left = cost[at].checked_sub(allocated[at]).ok_or_else(overflow)?;
    }
    Ok(idle)
}

/// Usage by request; one where something was used and nothing asked for, `None` where neither.
fn efficiency(used: Use) -> Option<i128> {
    match (used.request, used.usage) {
        (0, 0) => None,
        (0, _) => Some(ONE),
        (request, usage) => scaled(usage, ONE, request),
    }
}

/// Efficiency of cores and memory together, by what they cost.
pub fn total_efficiency(cpu: Use, ram: Use, cpu_cost: i128, ram_cost: i128) -> Option<i128> {
    let whole = cpu_cost.checked_add(ram_cost).filter(|cost| *cost > 0)?;
    let part = |used: Use, cost: i128| efficiency(used).map_or(Some(0), |efficiency| product(efficiency, cost));
    scaled(part(cpu, cpu_cost)?.checked_add(part(ram, ram_cost)?)?, ONE, whole)
}

/// What a bill corrects: billed less estimated, spread over the rows by their estimates.
pub fn adjustment(billed: i128, estimates: &[i128]) -> Result<Vec<i128>> {
    let estimated = estimates.iter().try_fold(0i128, |sum, cost| sum.checked_add(*cost)).ok_or_else(overflow)?;
    let difference = billed.checked_sub(estimated).ok_or_else(overflow)?;
    crate::decimal::shares(difference, estimates.iter().copied())
        .ok_or_else(|| Error::invalid("allocate: a bill came for a node on which nothing was estimated"))
}
