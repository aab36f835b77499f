//! One day: which estimates do the bills cover, and what becomes of each?

use std::collections::{BTreeMap, BTreeSet};

use engine::{Error, Result};

use super::PAYER;
use crate::decimal;

/// BilledCost, EffectiveCost, ListCost and ContractedCost in units of 10⁻¹⁸; what a bill does not state is none.
pub type Amounts = [Option<i128>; 4];

/// An estimate, as it was before any bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// Whose it is.
    pub tenant: String,
    /// What it is of.
    pub thing: String,
    /// Its currency.
    pub currency: String,
    /// What was estimated.
    pub cost: i128,
}

/// What was billed of one thing, as it stands in one charge or in charges of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// Who got the bill.
    pub tenant: String,
    /// What it is of.
    pub thing: String,
    /// Its currency.
    pub currency: String,
    /// How much.
    pub amounts: Amounts,
}

/// What became of an estimate: its part of the bills in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Place of the estimate.
    pub estimate: usize,
    /// Currency of the bills.
    pub currency: String,
    /// Its part of them.
    pub amounts: Amounts,
    /// Billed less estimated, where both have one currency.
    pub delta: Option<i128>,
}

/// The day, settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// The estimates that bills cover, by place; each has a part for every currency that its thing was billed in.
    pub parts: Vec<Part>,
    /// Places of the bills that the parts carry now.
    pub split: Vec<usize>,
    /// Places of the estimates that no bill covers yet.
    pub open: Vec<usize>,
}

fn overflow() -> Error {
    Error::invalid("a bill that is split has more than 38 digits")
}

/// Splits bills over estimates. A tenant's own bill covers its own estimates; the payer's covers everybody else's.
/// `convert` makes amounts of several currencies comparable as weights: amount, from, to.
pub fn settle(
    estimates: &[Estimate],
    bills: &[Bill],
    convert: &dyn Fn(i128, &str, &str) -> Option<i128>,
) -> Result<Settled> {
    let billed: BTreeSet<(&str, &str)> = bills.iter().map(|b| (b.thing.as_str(), b.tenant.as_str())).collect();
    let mut covered: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    let mut settled = Settled::default();
    for (at, estimate) in estimates.iter().enumerate() {
        match payer_of(&billed, estimate) {
            Some(group) => covered.entry(group).or_default().push(at),
            None => settled.open.push(at),
        }
    }
    let mut sums: BTreeMap<(&str, &str), BTreeMap<&str, Amounts>> = BTreeMap::new();
    for (at, bill) in bills.iter().enumerate() {
        let group = (bill.thing.as_str(), bill.tenant.as_str());
        if !covered.contains_key(&group) {
            continue;
        }
        settled.split.push(at);
        let sum = sums.entry(group).or_default().entry(bill.currency.as_str()).or_default();
        for (sum, amount) in sum.iter_mut().zip(bill.amounts) {
            if let Some(amount) = amount {
                *sum = Some(sum.unwrap_or(0).checked_add(amount).ok_or_else(overflow)?);
            }
        }
    }
    for (group, members) in covered {
        for (currency, amounts) in sums.remove(&group).unwrap_or_default() {
            let of: Vec<&Estimate> = members.iter().map(|at| &estimates[*at]).collect();
            split(&of, &members, currency, amounts, convert, &mut settled.parts)?;
        }
    }
    settled.parts.sort_by(|a, b| (a.estimate, &a.currency).cmp(&(b.estimate, &b.currency)));
    Ok(settled)
}

/// The bills that cover an estimate: its thing, and whose they are.
fn payer_of<'a>(billed: &BTreeSet<(&'a str, &'a str)>, estimate: &'a Estimate) -> Option<(&'a str, &'a str)> {
    let own = (estimate.thing.as_str(), estimate.tenant.as_str());
    let everybodys = (estimate.thing.as_str(), PAYER);
    billed.get(&own).or_else(|| billed.get(&everybodys)).copied()
}

fn split(
    estimates: &[&Estimate],
    places: &[usize],
    currency: &str,
    amounts: Amounts,
    convert: &dyn Fn(i128, &str, &str) -> Option<i128>,
    parts: &mut Vec<Part>,
) -> Result<()> {
    let weights = weights(estimates, currency, convert);
    let shares = |amount: i128| decimal::shares(amount, weights.iter().copied()).ok_or_else(overflow);
    let mut by_amount: [Option<Vec<i128>>; 4] = Default::default();
    for (shared, amount) in by_amount.iter_mut().zip(amounts) {
        *shared = amount.map(shares).transpose()?;
    }
    for (at, (estimate, place)) in estimates.iter().zip(places).enumerate() {
        let own: Amounts = std::array::from_fn(|i| by_amount[i].as_ref().map(|shares| shares[at]));
        let delta = match own[0].or(own[1]) {
            Some(cost) if estimate.currency == currency => Some(cost.checked_sub(estimate.cost).ok_or_else(overflow)?),
            _ => None,
        };
        parts.push(Part { estimate: *place, currency: currency.to_owned(), amounts: own, delta });
    }
    Ok(())
}

/// By what the estimates say, in one currency; where they cannot be compared, or are all nothing, alike.
fn weights(estimates: &[&Estimate], currency: &str, convert: &dyn Fn(i128, &str, &str) -> Option<i128>) -> Vec<i128> {
    let one = estimates.iter().all(|e| e.currency == estimates[0].currency);
    let weight = |e: &&Estimate| match one {
        true => Some(e.cost),
        false => convert(e.cost, &e.currency, currency),
    };
    let weights: Option<Vec<i128>> = estimates.iter().map(weight).collect();
    let usable = weights.filter(|weights| {
        let sum = weights.iter().try_fold(0i128, |sum, weight| sum.checked_add(*weight));
        weights.iter().all(|weight| *weight >= 0) && sum.is_some_and(|sum| sum > 0)
    });
    usable.unwrap_or_else(|| vec![1; estimates.len()])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn estimate(tenant: &str, thing: &str, cost: i128) -> Estimate {
        Estimate { tenant: tenant.to_owned(), thing: thing.to_owned(), currency: "USD".to_owned(), cost }
    }

    fn bill(tenant: &str, thing: &str, cost: i128) -> Bill {
        let amounts = [Some(cost), Some(cost), None, None];
        Bill { tenant: tenant.to_owned(), thing: thing.to_owned(), currency: "USD".to_owned(), amounts }
    }

    fn never(_: i128, _: &str, _: &str) -> Option<i128> {
        None
    }

    #[test]
    fn a_bill_is_split_over_the_estimates_of_the_same_thing() {
        let estimates =
            [estimate("a", "vm", 30), estimate("b", "vm", 10), estimate("a", "disk", 5), estimate(PAYER, "vm", 0)];
        let settled = settle(&estimates, &[bill(PAYER, "vm", 100), bill(PAYER, "lb", 7)], &never).unwrap();
        let parts: Vec<_> = settled.parts.iter().map(|p| (p.estimate, p.amounts[0], p.delta)).collect();
        assert_eq!(parts, [(0, Some(75), Some(45)), (1, Some(25), Some(15)), (3, Some(0), Some(0))]);
        assert_eq!((settled.split, settled.open), (vec![0], vec![2]));
        assert_eq!(settled.parts[0].amounts[2], None);
    }

    #[test]
    fn a_tenants_own_bill_covers_its_own_estimates_only() {
        let estimates = [estimate("a", "m", 1), estimate("b", "m", 1)];
        let settled = settle(&estimates, &[bill("a", "m", 10)], &never).unwrap();
        assert_eq!((settled.parts.len(), settled.open.as_slice()), (1, [1].as_slice()));
        let settled = settle(&estimates, &[bill("a", "m", 10), bill(PAYER, "m", 4)], &never).unwrap();
        let billed: Vec<_> = settled.parts.iter().map(|p| p.amounts[0]).collect();
        assert_eq!((billed, settled.split), (vec![Some(10), Some(4)], vec![0, 1]));
    }

    #[test]
    fn estimates_without_a_price_share_alike() {
        let estimates = [estimate("a", "m", 0), estimate("b", "m", 0)];
        let settled = settle(&estimates, &[bill(PAYER, "m", 9)], &never).unwrap();
        let billed: Vec<_> = settled.parts.iter().map(|p| p.amounts[0]).collect();
        assert_eq!(billed, [Some(4), Some(5)]);
    }

    #[test]
    fn currencies_are_compared_by_their_rate_and_a_difference_over_two_is_none() {
        let euro = Estimate { currency: "EUR".to_owned(), ..estimate("a", "m", 10) };
        let estimates = [euro, estimate("b", "m", 20)];
        let twice = |amount: i128, from: &str, _: &str| Some(if from == "EUR" { amount * 2 } else { amount });
        let settled = settle(&estimates, &[bill(PAYER, "m", 50)], &twice).unwrap();
        let got: Vec<_> = settled.parts.iter().map(|p| (p.amounts[0], p.delta)).collect();
        assert_eq!(got, [(Some(25), None), (Some(25), Some(5))]);
    }

    proptest! {
        /// Whatever is billed and estimated: the parts are the bills that were split, and no estimate of a thing stays open
        /// that its tenant's or the payer's bill covers.
        #[test]
        fn nothing_counts_twice_and_nothing_is_lost(
            estimates in prop::collection::vec((prop::sample::select(vec!["a", "b", PAYER]), prop::sample::select(vec!["x", "y", "z"]), 0..10i128.pow(24)), 0..12),
            bills in prop::collection::vec((prop::sample::select(vec!["a", PAYER]), prop::sample::select(vec!["x", "y"]), -(10i128.pow(20))..10i128.pow(24)), 0..6),
        ) {
            let estimates: Vec<_> = estimates.into_iter().map(|(tenant, thing, cost)| estimate(tenant, thing, cost)).collect();
            let bills: Vec<_> = bills.into_iter().map(|(tenant, thing, cost)| bill(tenant, thing, cost)).collect();
            let settled = settle(&estimates, &bills, &never).unwrap();
            let parts: i128 = settled.parts.iter().filter_map(|p| p.amounts[0]).sum();
            let split: i128 = settled.split.iter().filter_map(|at| bills[*at].amounts[0]).sum();
            prop_assert_eq!(parts, split);
            // The ledger's sum: bills, less what is taken back, plus the parts, plus open estimates.
            let billed: i128 = bills.iter().filter_map(|b| b.amounts[0]).sum();
            let open: i128 = settled.open.iter().map(|at| estimates[*at].cost).sum();
            let uncovered: i128 = estimates
                .iter()
                .filter(|e| !bills.iter().any(|b| b.thing == e.thing && (b.tenant == e.tenant || b.tenant == PAYER)))
                .map(|e| e.cost)
                .sum();
            prop_assert_eq!(billed - split + parts + open, billed + uncovered);
            let mut seen: Vec<usize> = settled.parts.iter().map(|p| p.estimate).chain(settled.open.iter().copied()).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..estimates.len()).collect::<Vec<_>>());
            for part in &settled.parts {
                prop_assert_eq!(part.delta, part.amounts[0].map(|cost| cost - estimates[part.estimate].cost));
            }
        }
    }
}
