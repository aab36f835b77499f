//! The rules in their order: idle and shares are computed over all rows, before any filter and on costs before idle, so
//! that what a filter hides keeps its share and is never spread again.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use engine::{Error, Result};

use super::condition::Condition;
use super::property::{Property, Selector, key};
use super::row::{Idle, Input, Row};
use super::{IDLE, TENANCY, UNALLOCATED};
use crate::decimal;

/// How idle is spread over the containers of its node or cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Share {
    /// It stays an entry of its own.
    #[default]
    None,
    /// By what each container costs, resource by resource.
    Weighted,
    /// Each container the same.
    Even,
}

impl FromStr for Share {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        match word {
            "" | "none" => Ok(Share::None),
            "weighted" => Ok(Share::Weighted),
            "even" => Ok(Share::Even),
            other => Err(Error::invalid(format!("idle is shared none, weighted or even, not {other:?}"))),
        }
    }
}

/// How shared rows and overhead are spread over what remains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Split {
    /// By what each costs.
    #[default]
    Weighted,
    /// Each group the same.
    Even,
}

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// How the result is grouped.
    pub by: Vec<Property>,
    /// What becomes of idle.
    pub share_idle: Share,
    /// Rows that all others pay for.
    pub shared: Vec<Selector>,
    /// How these are spread.
    pub split: Split,
    /// Overhead of the whole window, in units of 10⁻¹⁸.
    pub overhead: i128,
    /// Whether the cluster's costs beside its nodes are spread over its rows.
    pub share_tenancy: bool,
    /// Rows that are shown: those that every selector chooses …
    pub filter: Vec<Selector>,
    /// … and that meet this condition.
    pub condition: Option<Condition>,
}

/// The cost of one group, in units of 10⁻¹⁸.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its own.
    pub own: i128,
    /// Its part of idle.
    pub idle: i128,
    /// The same by resource, where it is shared: cores, memory, accelerators.
    pub idle_of: [i128; 3],
    /// Its part of shared rows, with their idle.
    pub shared: i128,
    /// Its part of overhead.
    pub overhead: i128,
    /// Its part of what the cluster costs beside its nodes.
    pub tenancy: i128,
}

impl Entry {
    /// All together.
    pub fn total(&self) -> i128 {
        self.own + self.idle + self.shared + self.overhead + self.tenancy
    }

    fn add(&mut self, other: &Entry) {
        self.own += other.own;
        self.idle += other.idle;
        self.idle_of.iter_mut().zip(other.idle_of).for_each(|(sum, part)| *sum += part);
        self.shared += other.shared;
        self.overhead += other.overhead;
        self.tenancy += other.tenancy;
    }
}

/// The result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// By group.
    pub entries: BTreeMap<String, Entry>,
    /// Each input row's part, in the order of the input; `None` where it is shared or filtered out.
    pub rows: Vec<Option<Entry>>,
    /// What is left to idle, with the cluster and node that it is of; empty where it has gone to rows.
    pub idle: i128,
    /// What is wrong with the input: negative idle, which is kept as it is so that the sum still holds.
    pub faults: Vec<String>,
}

/// Smallest sum with 38 digits in units of 10⁻¹⁸.
const SUM_MAX: i128 = 10i128.pow(37);

fn overflow() -> Error {
    Error::invalid("allocate: a sum has more than 38 digits")
}

/// Spreads a window's costs.
pub fn allocate(input: &Input, options: &Options) -> Result<Outcome> {
    let rows = &input.rows;
    let own: Vec<i128> = rows
        .iter()
        .map(|row| row.costs.total().filter(|cost| *cost >= 0).ok_or_else(|| broken(row)))
        .collect::<Result<_>>()?;
    // Everything together fits, so no sum below overflows.
    let idle_costs = input.idle.iter().flat_map(|idle| idle.costs);
    let all =
        own.iter().copied().chain(idle_costs).chain(input.tenancy.iter().map(|t| t.cost)).chain([options.overhead]);
    all.map(|cost| cost.checked_abs().filter(|cost| *cost < SUM_MAX))
        .try_fold(0i128, |sum, cost| sum.checked_add(cost?).filter(|sum| *sum < SUM_MAX))
        .ok_or_else(overflow)?;
    let mut outcome = Outcome { faults: faults(&input.idle), ..Outcome::default() };

    let idle = IdleParts::of(input, options)?;
    let (tenancy, tenancy_left) = tenancy_parts(input, &own)?;
    let shared: Vec<bool> = rows.iter().map(|row| options.shared.iter().any(|chosen| chosen.matches(row))).collect();
    let carried = |at: usize| if options.share_tenancy { tenancy[at] } else { 0 };
    let has_idle = options.share_idle != Share::None;

    // What the shared rows hand on, and the idle that goes with them where idle is not shared.
    let (mut pool, mut pool_idle) = (0i128, 0i128);
    for at in (0..rows.len()).filter(|at| shared[*at]) {
        pool += own[at] + carried(at) + if has_idle { idle.whole(at) } else { 0 };
        pool_idle += if has_idle { 0 } else { idle.whole(at) };
    }
    let receivers: Vec<usize> = (0..rows.len()).filter(|at| !shared[*at] && !rows[*at].is_unmounted()).collect();
    let spread = Spread { rows, own: &own, receivers: &receivers, options };
    let (shared_parts, overhead_parts, idle_parts) =
        (spread.of(pool)?, spread.of(options.overhead)?, spread.of(pool_idle)?);

    let meets = |row: &Row| options.condition.as_ref().is_none_or(|condition| condition.matches(row));
    let shown = |row: &Row| options.filter.iter().all(|chosen| chosen.matches(row)) && meets(row);
    outcome.rows = vec![None; rows.len()];
    for at in (0..rows.len()).filter(|at| !shared[*at] && shown(&rows[*at])) {
        let entry = Entry {
            own: own[at],
            idle: if has_idle { idle.whole(at) } else { 0 },
            idle_of: if has_idle { idle.of_row[at] } else { [0; 3] },
            shared: shared_parts[at],
            overhead: overhead_parts[at],
            tenancy: carried(at),
        };
        outcome.idle += if has_idle { 0 } else { idle.whole(at) + idle_parts[at] };
        outcome.entries.entry(key(&rows[at], &options.by)).or_default().add(&entry);
        outcome.rows[at] = Some(entry);
    }
    let place =
        |cluster: &str, node: &str| Row { cluster: cluster.to_owned(), node: node.to_owned(), ..Row::default() };
    for (cluster, node, cost) in idle.left.iter().filter(|(cluster, node, _)| shown(&place(cluster, node))) {
        tracing::debug!(cluster, node, cost, "idle of a resource that nobody used");
        outcome.idle += cost;
    }
    if outcome.idle != 0 {
        outcome.entries.entry(IDLE.to_owned()).or_default().idle += outcome.idle;
    }
    // Nobody is left to pay: it stays, so that the sum still holds.
    if receivers.is_empty() && options.filter.is_empty() && options.condition.is_none() {
        let left = outcome.entries.entry(UNALLOCATED.to_owned()).or_default();
        left.add(&Entry { shared: pool, overhead: options.overhead, idle: pool_idle, ..Entry::default() });
        outcome.entries.retain(|_, entry| *entry != Entry::default());
    }
    let unshared = if options.share_tenancy { Vec::new() } else { (0..rows.len()).map(|at| tenancy[at]).collect() };
    let kept = unshared.iter().enumerate().filter(|(at, _)| shown(&rows[*at])).map(|(_, part)| *part).sum::<i128>();
    let nobodys = tenancy_left.iter().filter(|(cluster, node, _)| shown(&place(cluster, node)));
    let kept = kept + nobodys.map(|(_, _, cost)| cost).sum::<i128>();
    if kept != 0 {
        outcome.entries.entry(TENANCY.to_owned()).or_default().tenancy += kept;
    }
    Ok(outcome)
}

fn broken(row: &Row) -> Error {
    Error::invalid(format!(
        "allocate: {}/{}/{} costs less than nothing, or too much",
        row.namespace, row.pod, row.container
    ))
}

/// Negative idle says that more was used than paid for: prices or usage are wrong.
fn faults(idle: &[Idle]) -> Vec<String> {
    let names = ["cpu", "ram", "gpu"];
    let of = |idle: &Idle| {
        let place =
            if idle.node.is_empty() { format!("cluster {}", idle.cluster) } else { format!("node {}", idle.node) };
        let negative = idle.costs.into_iter().zip(names).filter(|(cost, _)| *cost < 0);
        let lines = negative.map(move |(cost, name)| {
            format!("{place}: {name} idle is {}: more was allocated than the node costs", decimal::text(cost))
        });
        lines.collect::<Vec<_>>()
    };
    idle.iter().flat_map(of).collect()
}

/// Places of the rows of each cluster and node.
fn by_place(rows: &[Row]) -> HashMap<(&str, &str), Vec<usize>> {
    let mut places: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| !row.is_unmounted()) {
        places.entry((row.cluster.as_str(), "")).or_default().push(at);
        if !row.node.is_empty() {
            places.entry((row.cluster.as_str(), row.node.as_str())).or_default().push(at);
        }
    }
    places
}

/// Each row's part of idle, and what belongs to no row: cluster, node, cost.
struct IdleParts {
    /// By resource.
    of_row: Vec<[i128; 3]>,
    left: Vec<(String, String, i128)>,
}

impl IdleParts {
    fn whole(&self, row: usize) -> i128 {
        self.of_row[row].iter().sum()
    }

    /// A row's part of a resource's idle is its part of that resource's cost on the same node, or in the same cluster.
    fn of(input: &Input, options: &Options) -> Result<IdleParts> {
        let places = by_place(&input.rows);
        let mut parts = IdleParts { of_row: vec![[0; 3]; input.rows.len()], left: Vec::new() };
        for idle in &input.idle {
            let members =
                places.get(&(idle.cluster.as_str(), idle.node.as_str())).map(Vec::as_slice).unwrap_or_default();
            for (resource, cost) in idle.costs.into_iter().enumerate().filter(|(_, cost)| *cost != 0) {
                let weights = members.iter().map(|at| {
                    let row = &input.rows[*at];
                    match options.share_idle {
                        Share::Even => i128::from(row.is_container()),
                        Share::Weighted | Share::None => row.costs.of_node()[resource].max(0),
                    }
                });
                match decimal::shares(cost, weights) {
                    Some(shares) => {
                        members.iter().zip(shares).for_each(|(at, part)| parts.of_row[*at][resource] += part);
                    }
                    None => parts.left.push((idle.cluster.clone(), idle.node.clone(), cost)),
                }
            }
        }
        Ok(parts)
    }
}

/// What belongs to no row: cluster, node, cost.
type Left = Vec<(String, String, i128)>;

/// Each row's part of what its cluster or node costs beside, by its own cost.
fn tenancy_parts(input: &Input, own: &[i128]) -> Result<(Vec<i128>, Left)> {
    let (mut parts, mut left) = (vec![0i128; own.len()], Vec::new());
    if input.tenancy.is_empty() {
        return Ok((parts, left));
    }
    let places = by_place(&input.rows);
    for tenancy in &input.tenancy {
        let members =
            places.get(&(tenancy.cluster.as_str(), tenancy.node.as_str())).map(Vec::as_slice).unwrap_or_default();
        match decimal::shares(tenancy.cost, members.iter().map(|at| own[*at])) {
            Some(shares) => members.iter().zip(shares).for_each(|(at, part)| parts[*at] += part),
            None => left.push((tenancy.cluster.clone(), tenancy.node.clone(), tenancy.cost)),
        }
    }
    Ok((parts, left))
}

/// Spreads an amount over the rows that pay for others.
struct Spread<'a> {
    rows: &'a [Row],
    own: &'a [i128],
    receivers: &'a [usize],
    options: &'a Options,
}

impl Spread<'_> {
    /// Each row's part of `amount`: by its cost, or each group the same and within it by cost.
    fn of(&self, amount: i128) -> Result<Vec<i128>> {
        let mut parts = vec![0i128; self.rows.len()];
        if amount == 0 || self.receivers.is_empty() {
            return Ok(parts);
        }
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        match self.options.split {
            Split::Weighted => drop(groups.insert(String::new(), self.receivers.to_vec())),
            Split::Even => {
                for at in self.receivers {
                    groups.entry(key(&self.rows[*at], &self.options.by)).or_default().push(*at);
                }
            }
        }
        let of_groups = decimal::shares(amount, vec![1i128; groups.len()]).ok_or_else(overflow)?;
        for (members, amount) in groups.values().zip(of_groups) {
            let weighted = decimal::shares(amount, members.iter().map(|at| self.own[*at]));
            // Rows that all cost nothing share alike.
            let even = || decimal::shares(amount, vec![1i128; members.len()]);
            let shares = weighted.or_else(even).ok_or_else(overflow)?;
            members.iter().zip(shares).for_each(|(at, part)| parts[*at] = part);
        }
        Ok(parts)
    }
}
