//! Usage and assets become costs, by the rules of `ledger::allocate`: containers on their nodes, volumes by who mounted
//! them, balancers by how long each container stood behind them, traffic by class.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use engine::{Error, Result};
use ledger::allocate::{
    Asset, Costs, Input, Mount, NodePrice, Rates, Row, UNMOUNTED, Use, by_overlap, hours_used, idle_of, node_rates,
    priced, volume_shares,
};
use ledger::decimal::product;

use super::sheet::{Line, Sheet};
use super::{Defaults, Names};

/// Classes of traffic, in the order of [`Defaults::network`].
const TRAFFIC: [&str; 3] = ["network_zone_gib", "network_region_gib", "network_internet_gib"];

fn overflow() -> Error {
    Error::invalid("a cost has more than 38 digits")
}

fn needed_sheet(folder: &Path, name: &str) -> Result<Sheet> {
    Sheet::open(folder, name)?.ok_or_else(|| Error::invalid(format!("{} has no {name}", folder.display())))
}

/// Reads the folder.
pub fn read(folder: &Path, defaults: &Defaults) -> Result<Input> {
    let mut input = Input::default();
    let nodes = nodes(folder, defaults)?;
    let mut used = containers(folder, defaults, &nodes, &mut input.rows)?.into_iter();
    for (asset, rates) in nodes.values() {
        input.idle.push(idle_of(asset, rates, used.next().unwrap_or_default())?);
    }
    let (volumes, balancers) = (Sheet::open(folder, "volumes.csv")?, Sheet::open(folder, "load_balancers.csv")?);
    if volumes.is_none() && balancers.is_none() {
        return Ok(input);
    }
    let mut pods = Pods::new(&mut input.rows);
    if let Some(sheet) = volumes {
        by_volume(&sheet, folder, defaults, &mut pods)?;
    }
    if let Some(sheet) = balancers {
        by_balancer(&sheet, &mut pods)?;
    }
    Ok(input)
}

/// Containers with their costs; answers what of each node they used, in the order of the nodes.
fn containers(folder: &Path, defaults: &Defaults, nodes: &Nodes, rows: &mut Vec<Row>) -> Result<Vec<[i128; 3]>> {
    let keys = nodes.keys().map(|(cluster, node)| (cluster.as_str(), node.as_str()));
    let places: HashMap<(&str, &str), usize> = keys.zip(0..).collect();
    let rates: Vec<&Rates> = nodes.values().map(|(_, rates)| rates).collect();
    let mut used = vec![[0i128; 3]; nodes.len()];
    let mut names = Names::default();
    let is_there = Sheet::each(folder, "containers.csv", &mut |line| {
        let row = names.of(line)?;
        let Some(at) = places.get(&(row.cluster.as_str(), row.node.as_str())).copied() else {
            let why = format!("{} ran on {} of {}, which nodes.csv does not have", row.pod, row.node, row.cluster);
            return Err(Error::invalid(why));
        };
        let [cpu, ram, gpu] = priced(hours(line)?, rates[at])?;
        for (sum, cost) in used[at].iter_mut().zip([cpu, ram, gpu]) {
            *sum = sum.checked_add(cost).ok_or_else(overflow)?;
        }
        let mut network = 0i128;
        for (column, price) in TRAFFIC.into_iter().zip(defaults.network) {
            let cost = product(line.quantity(column)?, price).ok_or_else(overflow)?;
            network = network.checked_add(cost).ok_or_else(overflow)?;
        }
        rows.push(Row { costs: Costs { cpu, ram, gpu, network, ..Costs::default() }, ..row });
        Ok(())
    })?;
    match is_there {
        true => Ok(used),
        false => Err(Error::invalid(format!("{} has no containers.csv", folder.display()))),
    }
}

type Nodes = BTreeMap<(String, String), (Asset, Rates)>;

fn nodes(folder: &Path, defaults: &Defaults) -> Result<Nodes> {
    let mut nodes = Nodes::new();
    for line in needed_sheet(folder, "nodes.csv")?.lines() {
        let own = [line.maybe_amount("cpu_price")?, line.maybe_amount("ram_price")?, line.maybe_amount("gpu_price")?];
        let price = match (line.maybe_amount("hourly_price")?, own) {
            (Some(whole), [None, None, None]) => NodePrice::Whole(whole),
            (None, [None, None, None]) => NodePrice::Unknown,
            (_, [cpu, ram, gpu]) => {
                let of = |price: Option<i128>| price.unwrap_or_default();
                NodePrice::ByResource(Rates { cpu: of(cpu), ram: of(ram), gpu: of(gpu) })
            }
        };
        let asset = Asset {
            cluster: line.needed("cluster")?,
            node: line.needed("node")?,
            capacity: [line.quantity("cpu_cores")?, line.quantity("ram_gib")?, line.quantity("gpus")?],
            hours: line.quantity("hours")?,
            price,
            discount: line.quantity("discount")?,
        };
        let rates = node_rates(&asset, if line.flag("spot") { &defaults.spot } else { &defaults.node })?;
        let place = (asset.cluster.clone(), asset.node.clone());
        if let Some((twice, _)) = nodes.insert(place, (asset, rates)) {
            return Err(Error::invalid(format!("nodes.csv has {} of {} twice", twice.node, twice.cluster)));
        }
    }
    Ok(nodes)
}

/// Hours of cores, GiB and accelerators that count.
fn hours(line: &Line<'_>) -> Result<[i128; 3]> {
    let hours = line.quantity("hours")?;
    let of = |request: &str, usage: &str, allocation: &str| -> Result<i128> {
        let used = Use {
            request: line.quantity(request)?,
            usage: line.quantity(usage)?,
            allocation: line.maybe_amount(allocation)?,
        };
        hours_used(used, hours)
    };
    let cpu = of("cpu_request_cores", "cpu_usage_cores", "cpu_allocation_cores")?;
    let ram = of("ram_request_gib", "ram_usage_gib", "ram_allocation_gib")?;
    // An accelerator is not shared by time: what was given counts, else what was asked for.
    let gpus = match line.maybe_amount("gpu_allocation")? {
        Some(given) => given,
        None => line.quantity("gpu_request")?,
    };
    Ok([cpu, ram, product(gpus, hours).ok_or_else(overflow)?])
}

/// Volumes by who mounted them; a pod's part is its containers' in equal parts.
fn by_volume(volumes: &Sheet, folder: &Path, defaults: &Defaults, pods: &mut Pods<'_>) -> Result<()> {
    let mut mounts: HashMap<(String, String), Vec<Mount>> = HashMap::new();
    for line in Sheet::open(folder, "mounts.csv")?.iter().flat_map(Sheet::lines) {
        let mount = Mount { pod: pod_key(&line)?, start: line.instant("start")?, end: line.instant("end")? };
        mounts.entry((line.needed("cluster")?, line.needed("volume")?)).or_default().push(mount);
    }
    for line in volumes.lines() {
        let (cluster, volume) = (line.needed("cluster")?, line.needed("volume")?);
        let window = (line.instant("start")?, line.instant("end")?);
        let hour = 3_600_000_000i128;
        let hours = ledger::decimal::scaled(ledger::decimal::ONE, i128::from(window.1 - window.0), hour);
        let price = line.maybe_amount("price")?.unwrap_or(defaults.storage);
        let size = line.quantity("gib")?;
        let gib_hours = hours.and_then(|hours| product(size, hours));
        let cost = gib_hours.and_then(|amount| product(amount, price)).ok_or_else(overflow)?;
        let mounted = mounts.remove(&(cluster.clone(), volume)).unwrap_or_default();
        for (pod, part) in volume_shares(cost, window, &mounted)? {
            pods.give(&cluster, &pod, part, |costs| &mut costs.pv)?;
        }
    }
    Ok(())
}

fn pod_key(line: &Line<'_>) -> Result<String> {
    Ok(format!("{}/{}", line.needed("namespace")?, line.needed("pod")?))
}

/// Load balancers by how long each container stood behind them.
fn by_balancer(sheet: &Sheet, pods: &mut Pods<'_>) -> Result<()> {
    let mut balancers: BTreeMap<(String, String), (i128, Vec<(String, i128)>)> = BTreeMap::new();
    for line in sheet.lines() {
        let entry = balancers.entry((line.needed("cluster")?, line.needed("load_balancer")?)).or_default();
        // The cost stands in the balancer's own row, or in each of its rows: it is one cost.
        entry.0 = entry.0.max(line.quantity("cost")?);
        if !line.text("pod").is_empty() {
            entry.1.push((pod_key(&line)?, line.quantity("overlap_hours")?));
        }
    }
    for ((cluster, _), (cost, overlaps)) in balancers {
        for (pod, part) in by_overlap(cost, &overlaps) {
            pods.give(&cluster, &pod, part, |costs| &mut costs.load_balancer)?;
        }
    }
    Ok(())
}

/// The rows under construction, and where each pod's containers stand.
struct Pods<'a> {
    rows: &'a mut Vec<Row>,
    places: HashMap<(String, String), Vec<usize>>,
}

impl Pods<'_> {
    fn new(rows: &mut Vec<Row>) -> Pods<'_> {
        let mut places: HashMap<(String, String), Vec<usize>> = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            let pod = format!("{}/{}", row.namespace, row.pod);
            places.entry((row.cluster.clone(), pod)).or_default().push(at);
        }
        Pods { rows, places }
    }

    /// Adds a cost to a pod's containers in equal parts; to a row of its own where no container has the name.
    fn give(&mut self, cluster: &str, pod: &str, cost: i128, of: impl Fn(&mut Costs) -> &mut i128) -> Result<()> {
        let place = (cluster.to_owned(), pod.to_owned());
        if !self.places.contains_key(&place) {
            let (namespace, name) = pod.split_once('/').unwrap_or((pod, pod));
            let container = if pod == UNMOUNTED { UNMOUNTED } else { "" }.to_owned();
            let (cluster, namespace, pod) = (cluster.to_owned(), namespace.to_owned(), name.to_owned());
            self.rows.push(Row { cluster, namespace, pod, container, ..Row::default() });
        }
        let places = self.places.entry(place).or_insert_with(|| vec![self.rows.len() - 1]);
        let parts = ledger::decimal::shares(cost, vec![1i128; places.len()]).ok_or_else(overflow)?;
        for (at, part) in places.iter().zip(parts) {
            let sum = of(&mut self.rows[*at].costs);
            *sum = sum.checked_add(part).ok_or_else(overflow)?;
        }
        Ok(())
    }
}
