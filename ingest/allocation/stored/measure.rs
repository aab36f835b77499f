//! Containers, nodes, volumes and balancers become costs, by the prices of their days. Decided purely. A window in which
//! prices change is priced piece by piece.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use engine::{Error, Result};
use ledger::allocate::{
    Asset, Costs, Idle, Mount, NodePrice, Rates, Row, UNMOUNTED, Use, by_overlap, hours_used, node_rates, priced,
    volume_shares,
};
use ledger::decimal::{self, ONE, product, scaled};
use ledger::estimate::resource_key;
use ledger::price::{About, ResourceBook};

use super::state::clipped;
use super::{Balancer, Container, Node, Place, States, Stored, Took, Volume, Wish};

const HOUR_US: i128 = 3_600_000_000;

/// What was measured of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measure {
    /// When it ran, within the window.
    pub span: (i64, i64),
    /// Hours that it ran, in units of 10⁻¹⁸, as all that follows.
    pub hours: i128,
    /// Cores asked for and taken.
    pub cpu: Use,
    /// GiB asked for and taken.
    pub ram: Use,
    /// Accelerators that it held.
    pub gpus: i128,
    /// Volumes: name, GiB-hours, cost.
    pub volumes: Vec<(String, i128, i128)>,
    /// Services with a balancer in front of it: name, cost.
    pub balancers: Vec<(String, i128)>,
    /// Its node's id at the cloud.
    pub provider_id: String,
    /// What a bill of its node is of; empty where no bill can name it.
    pub thing: String,
    /// Why it has no price.
    pub unpriced: Option<String>,
}

impl Measure {
    /// Hours of cores, GiB and accelerators that count in so many hours.
    pub fn counted(&self, hours: i128) -> Result<[i128; 3]> {
        let gpu = product(self.gpus, hours).ok_or_else(overflow)?;
        Ok([hours_used(self.cpu, hours)?, hours_used(self.ram, hours)?, gpu])
    }
}

/// What an asset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priced {
    Node,
    Volume,
    Balancer,
}

/// An asset with its cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    pub kind: Priced,
    pub tenant: String,
    pub cluster: String,
    pub namespace: String,
    pub name: String,
    /// Machine type of a node, storage class of a volume.
    pub class: String,
    pub region: String,
    pub provider_id: String,
    pub labels: BTreeMap<String, String>,
    pub span: (i64, i64),
    pub hours: i128,
    pub is_spot: bool,
    /// Cores, GiB, accelerators of a node; GiB of a volume in the second place.
    pub capacity: [i128; 3],
    /// By resource for a node; the whole in the first place otherwise.
    pub costs: [i128; 3],
    /// Namespace and name of the claim of a volume.
    pub claim: (String, String),
}

impl Measured {
    /// All of it.
    pub fn total(&self) -> i128 {
        self.costs.iter().sum()
    }
}

fn overflow() -> Error {
    Error::invalid("allocate: a cost has more than 38 digits")
}

fn add(sum: &mut i128, cost: i128) -> Result<()> {
    *sum = sum.checked_add(cost).ok_or_else(overflow)?;
    Ok(())
}

/// Hours between two instants.
fn hours(from: i64, to: i64) -> i128 {
    i128::from((to - from).max(0)) * ONE / HOUR_US
}

/// Costs and what was measured.
pub fn measured(states: States, used: &BTreeMap<Place, Took>, wish: &Wish, prices: &ResourceBook) -> Result<Stored> {
    let mut bounds = vec![wish.start];
    bounds.extend(prices.changes((wish.start, wish.end)));
    bounds.push(wish.end);
    let mut making = Making {
        wish,
        prices,
        pieces: bounds.windows(2).map(|piece| (piece[0], piece[1])).collect(),
        stored: Stored::default(),
        currencies: BTreeSet::new(),
        unpriced: BTreeSet::new(),
        pods: HashMap::new(),
    };
    let nodes = making.nodes(states.nodes)?;
    making.containers(states.containers, used, nodes)?;
    for volume in states.volumes {
        making.volume(volume)?;
    }
    for balancer in states.balancers {
        making.balancer(&balancer)?;
    }
    making.finish()
}

/// A node with its prices by piece of the window.
struct Rated {
    rates: Vec<Rates>,
    allocated: [i128; 3],
    provider_id: String,
    thing: String,
    unpriced: Option<String>,
    /// Its place among the assets; none for a node that only its pods name.
    asset: Option<usize>,
}

struct Making<'a> {
    wish: &'a Wish,
    prices: &'a ResourceBook,
    pieces: Vec<(i64, i64)>,
    stored: Stored,
    currencies: BTreeSet<String>,
    unpriced: BTreeSet<String>,
    /// Rows of each pod.
    pods: HashMap<(String, String), Vec<usize>>,
}

impl Making<'_> {
    fn price(&mut self, resource: &str, about: &About<'_>, at: i64) -> i128 {
        let Some(price) = self.prices.price(resource, about, at) else { return 0 };
        self.currencies.insert(price.currency.clone());
        price.unit_price
    }

    fn rates(&mut self, node: &Node, at: i64) -> Result<Rates> {
        let about = About {
            region: &node.region,
            instance_type: &node.instance_type,
            name: &node.name,
            provider_id: &node.provider_id,
            labels: Some(&node.labels),
        };
        let mut of = |resource: &str| {
            let spot = if node.is_spot() { self.price(&format!("spot_{resource}"), &about, at) } else { 0 };
            if spot > 0 { spot } else { self.price(resource, &about, at) }
        };
        let defaults = Rates { cpu: of("cpu"), ram: of("ram"), gpu: of("gpu") };
        let whole = self.price("node", &about, at);
        let has_size = node.capacity[0] > 0 || node.capacity[1] > 0;
        let price = if whole > 0 && has_size { NodePrice::Whole(whole) } else { NodePrice::Unknown };
        let asset = Asset {
            cluster: node.cluster.clone(),
            node: node.name.clone(),
            capacity: node.capacity,
            hours: 0,
            price,
            discount: 0,
        };
        node_rates(&asset, &defaults)
    }

    fn rated(&mut self, node: &Node, asset: Option<usize>) -> Result<Rated> {
        let pieces = self.pieces.clone();
        let rates: Vec<Rates> = pieces.iter().map(|(from, _)| self.rates(node, *from)).collect::<Result<_>>()?;
        let is_unpriced = rates.iter().any(|rates| rates.cpu == 0 || rates.ram == 0);
        let unpriced = is_unpriced.then(|| {
            let kind = if node.instance_type.is_empty() { "no machine type" } else { node.instance_type.as_str() };
            format!("no price list has the cores and memory of {kind} at this date")
        });
        self.unpriced.extend(unpriced.clone());
        let thing = if node.provider_id.is_empty() { String::new() } else { resource_key(&node.provider_id) };
        Ok(Rated { rates, allocated: [0; 3], provider_id: node.provider_id.clone(), thing, unpriced, asset })
    }

    fn nodes(&mut self, nodes: Vec<Node>) -> Result<BTreeMap<(String, String), Rated>> {
        let mut rated = BTreeMap::new();
        for node in nodes {
            let span = clipped(node.start, node.end, self.wish);
            let asset = self.stored.assets.len();
            let of_node = self.rated(&node, Some(asset))?;
            let mut costs = [0i128; 3];
            for ((from, to), rates) in self.pieces.iter().zip(&of_node.rates) {
                let hours = hours(span.0.max(*from), span.1.min(*to));
                let amounts = node.capacity.map(|capacity| product(capacity, hours).ok_or_else(overflow));
                let [cpu, ram, gpu] = amounts;
                for (sum, cost) in costs.iter_mut().zip(priced([cpu?, ram?, gpu?], rates)?) {
                    add(sum, cost)?;
                }
            }
            self.stored.assets.push(Measured {
                kind: Priced::Node,
                is_spot: node.is_spot(),
                tenant: node.tenant,
                cluster: node.cluster.clone(),
                namespace: String::new(),
                name: node.name.clone(),
                class: node.instance_type,
                region: node.region,
                provider_id: node.provider_id,
                labels: node.labels,
                span,
                hours: hours(span.0, span.1),
                capacity: node.capacity,
                costs,
                claim: Default::default(),
            });
            rated.insert((node.cluster, node.name), of_node);
        }
        Ok(rated)
    }

    fn containers(
        &mut self,
        containers: Vec<Container>,
        used: &BTreeMap<Place, Took>,
        mut nodes: BTreeMap<(String, String), Rated>,
    ) -> Result<()> {
        let mut strangers = BTreeSet::new();
        for container in containers {
            let place = (container.place.cluster.clone(), container.node.clone());
            if !nodes.contains_key(&place) {
                let node = Node { cluster: place.0.clone(), name: place.1.clone(), ..Node::default() };
                let rated = self.rated(&node, None)?;
                nodes.insert(place.clone(), rated);
                strangers.insert(format!("{} of {}", place.1, place.0));
            }
            let node = nodes.get_mut(&place).expect("the node was there or was made");
            let took = used.get(&container.place).copied().unwrap_or_default();
            let measure = measure(&container, &took, node, self.wish);
            let costs = costs(&measure, node, &self.pieces)?;
            for (sum, cost) in node.allocated.iter_mut().zip(costs.of_node()) {
                add(sum, cost)?;
            }
            self.push(row(container, costs), measure);
        }
        for ((cluster, name), rated) in nodes {
            let Some(asset) = rated.asset else { continue };
            let mut idle = Idle { cluster, node: name, costs: self.stored.assets[asset].costs };
            for (left, used) in idle.costs.iter_mut().zip(rated.allocated) {
                *left = left.checked_sub(used).ok_or_else(overflow)?;
            }
            self.stored.input.idle.push(idle);
        }
        if !strangers.is_empty() {
            let some: Vec<_> = strangers.iter().take(3).cloned().collect();
            self.stored.notes.push(format!(
                "{} nodes are named by their pods only and have no idle: {}",
                strangers.len(),
                some.join(", ")
            ));
        }
        Ok(())
    }

    fn push(&mut self, row: Row, measure: Measure) -> usize {
        let at = self.stored.input.rows.len();
        let pod = format!("{}/{}", row.namespace, row.pod);
        self.pods.entry((row.cluster.clone(), pod)).or_default().push(at);
        self.stored.input.rows.push(row);
        self.stored.measures.push(measure);
        at
    }

    /// The rows that carry a pod's part: its containers, or one of its own where none is known.
    fn carriers(&mut self, tenant: &str, cluster: &str, pod: &str) -> Vec<usize> {
        let place = (cluster.to_owned(), pod.to_owned());
        if !self.pods.contains_key(&place) {
            let (namespace, name) = pod.split_once('/').unwrap_or((pod, pod));
            let row = Row {
                tenant: tenant.to_owned(),
                cluster: cluster.to_owned(),
                namespace: namespace.to_owned(),
                pod: name.to_owned(),
                container: if pod == UNMOUNTED { UNMOUNTED } else { "" }.to_owned(),
                ..Row::default()
            };
            let at = self.push(row, Measure { span: (self.wish.start, self.wish.end), ..Measure::default() });
            self.pods.insert(place.clone(), vec![at]);
        }
        self.pods.get(&place).cloned().unwrap_or_default()
    }

    fn volume(&mut self, volume: Volume) -> Result<()> {
        let span = clipped(volume.start, None, self.wish);
        if span.0 >= span.1 {
            return Ok(());
        }
        let about = About { name: &volume.name, labels: Some(&volume.labels), ..About::default() };
        let (mut cost, mut gib_hours) = (0, 0);
        for (from, to) in self.pieces.clone() {
            let price = self.price("pv", &about, from);
            let price = if price > 0 { price } else { self.price("storage", &about, from) };
            let amount = product(volume.gib, hours(span.0.max(from), span.1.min(to))).ok_or_else(overflow)?;
            add(&mut gib_hours, amount)?;
            add(&mut cost, product(amount, price).ok_or_else(overflow)?)?;
        }
        if cost == 0 && volume.gib > 0 {
            self.unpriced.insert("no price list has the GiB-hour of storage at this date".to_owned());
        }
        let mounts: Vec<Mount> = volume
            .mounts
            .iter()
            .map(|(pod, start, end)| Mount { pod: pod.clone(), start: *start, end: *end })
            .collect();
        for (pod, part) in volume_shares(cost, span, &mounts)? {
            let rows = self.carriers(&volume.tenant, &volume.cluster, &pod);
            let amount = scaled(gib_hours, part, cost).unwrap_or_default();
            let even = |whole: i128| decimal::shares(whole, vec![1i128; rows.len()]).ok_or_else(overflow);
            for ((at, part), amount) in rows.iter().zip(even(part)?).zip(even(amount)?) {
                add(&mut self.stored.input.rows[*at].costs.pv, part)?;
                self.stored.measures[*at].volumes.push((volume.name.clone(), amount, part));
            }
        }
        self.stored.assets.push(Measured {
            kind: Priced::Volume,
            tenant: volume.tenant,
            cluster: volume.cluster,
            namespace: String::new(),
            name: volume.name,
            class: volume.storage_class,
            region: String::new(),
            provider_id: volume.handle,
            labels: volume.labels,
            span,
            hours: hours(span.0, span.1),
            is_spot: false,
            capacity: [0, volume.gib, 0],
            costs: [cost, 0, 0],
            claim: volume.claim,
        });
        Ok(())
    }

    fn balancer(&mut self, balancer: &Balancer) -> Result<()> {
        let span = clipped(balancer.start, None, self.wish);
        let mut cost = 0;
        for (from, to) in self.pieces.clone() {
            let price = self.price("load_balancer", &About { name: &balancer.name, ..About::default() }, from);
            add(&mut cost, product(hours(span.0.max(from), span.1.min(to)), price).ok_or_else(overflow)?)?;
        }
        if cost == 0 {
            return Ok(());
        }
        let overlaps: BTreeMap<String, i128> = self
            .stored
            .input
            .rows
            .iter()
            .zip(&self.stored.measures)
            .filter(|(row, _)| {
                let chosen = |(name, value): (&String, &String)| row.labels.get(name) == Some(value);
                let is_behind = !balancer.selector.is_empty() && balancer.selector.iter().all(chosen);
                row.cluster == balancer.cluster && row.namespace == balancer.namespace && is_behind
            })
            .map(|(row, measure)| (format!("{}/{}", row.namespace, row.pod), measure.hours))
            .collect();
        let overlaps: Vec<(String, i128)> = overlaps.into_iter().collect();
        for (pod, part) in by_overlap(cost, &overlaps) {
            let rows = self.carriers(&balancer.tenant, &balancer.cluster, &pod);
            let parts = decimal::shares(part, vec![1i128; rows.len()]).ok_or_else(overflow)?;
            for (at, part) in rows.iter().zip(parts) {
                let row = &mut self.stored.input.rows[*at];
                add(&mut row.costs.load_balancer, part)?;
                if row.service.is_empty() && pod != UNMOUNTED {
                    row.service.clone_from(&balancer.name);
                }
                self.stored.measures[*at].balancers.push((balancer.name.clone(), part));
            }
        }
        self.stored.assets.push(Measured {
            kind: Priced::Balancer,
            tenant: balancer.tenant.clone(),
            cluster: balancer.cluster.clone(),
            namespace: balancer.namespace.clone(),
            name: balancer.name.clone(),
            class: String::new(),
            region: String::new(),
            provider_id: String::new(),
            labels: BTreeMap::new(),
            span,
            hours: hours(span.0, span.1),
            is_spot: false,
            capacity: [0; 3],
            costs: [cost, 0, 0],
            claim: Default::default(),
        });
        Ok(())
    }

    fn finish(mut self) -> Result<Stored> {
        if self.currencies.len() > 1 {
            let names: Vec<_> = self.currencies.into_iter().collect();
            return Err(Error::invalid(format!(
                "allocate: the prices are in {}; amounts of several currencies are not added",
                names.join(" and ")
            )));
        }
        self.stored.currency = self.currencies.pop_first();
        self.stored.unpriced = self.unpriced.into_iter().collect();
        Ok(self.stored)
    }
}

fn measure(container: &Container, took: &Took, node: &Rated, wish: &Wish) -> Measure {
    // What was sampled ran, whatever the object's times say.
    let (start, end) = container.span(wish);
    let sampled = took.cpu_allocation.is_some() || took.ram_allocation.is_some();
    let (start, end) = match sampled {
        true => (start.min(took.span.0.clamp(wish.start, wish.end)), end.max(took.span.1.clamp(wish.start, wish.end))),
        false => (start, end),
    };
    Measure {
        span: (start, end),
        hours: hours(start, end),
        cpu: Use { request: container.cpu_request, usage: took.cpu, allocation: took.cpu_allocation },
        ram: Use { request: container.ram_request, usage: took.ram, allocation: took.ram_allocation },
        gpus: i128::from(container.gpus) * ONE,
        provider_id: node.provider_id.clone(),
        thing: node.thing.clone(),
        unpriced: node.unpriced.clone(),
        ..Measure::default()
    }
}

fn costs(measure: &Measure, node: &Rated, pieces: &[(i64, i64)]) -> Result<Costs> {
    let mut costs = Costs::default();
    for ((from, to), rates) in pieces.iter().zip(&node.rates) {
        let hours = hours(measure.span.0.max(*from), measure.span.1.min(*to));
        let [cpu, ram, gpu] = priced(measure.counted(hours)?, rates)?;
        add(&mut costs.cpu, cpu)?;
        add(&mut costs.ram, ram)?;
        add(&mut costs.gpu, gpu)?;
    }
    Ok(costs)
}

fn row(container: Container, costs: Costs) -> Row {
    Row {
        tenant: container.tenant,
        cluster: container.place.cluster,
        node: container.node,
        namespace: container.place.namespace,
        pod: container.place.pod,
        container: container.place.container,
        controller_kind: container.controller_kind,
        controller: container.controller,
        service: String::new(),
        labels: Arc::new(container.labels),
        annotations: Arc::new(container.annotations),
        costs,
    }
}
