//! Allocations and assets in OpenCost's JSON. Amounts are decimals as they are, written as JSON numbers.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use engine::{Error, Kind, Result};
use ingest::allocation::stored::{Measure, Measured, Priced, Stored};
use ledger::allocate::{Entry, IDLE, Labels, Options, Outcome, Row, UNMOUNTED, Use, key};
use ledger::decimal::{self, ONE, product, scaled};
use serde::Serialize;
use serde_json::value::RawValue;

use super::window::Window;

/// Bytes of a GiB.
const GIB: i128 = 1 << 30;
const UNDEFINED: &str = "__undefined__";

type Members = BTreeMap<&'static str, Box<RawValue>>;

fn raw(value: &impl Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value).map_err(|e| Error::new(Kind::Internal, format!("write an answer: {e}")))
}

/// An amount as a JSON number, digit by digit.
fn number(units: i128) -> Result<Box<RawValue>> {
    RawValue::from_string(decimal::text(units)).map_err(|e| Error::new(Kind::Internal, format!("write an amount: {e}")))
}

fn instant(at: i64) -> String {
    let at = DateTime::from_timestamp_micros(at).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn minutes(span: (i64, i64)) -> i128 {
    i128::from((span.1 - span.0).max(0)) * ONE / 60_000_000
}

/// The sum of a group.
#[derive(Default)]
struct Group<'a> {
    rows: Vec<&'a Row>,
    measures: Vec<&'a Measure>,
    entry: Entry,
    costs: [i128; 7],
    idle: [i128; 3],
}

/// The allocations of one window by their names.
pub fn set(
    read: &Stored,
    outcome: &Outcome,
    options: &Options,
    window: Window,
    includes_idle: bool,
) -> Result<BTreeMap<String, Box<RawValue>>> {
    let mut groups: BTreeMap<String, Group<'_>> = BTreeMap::new();
    for ((row, measure), entry) in read.input.rows.iter().zip(&read.measures).zip(&outcome.rows) {
        let Some(entry) = entry else { continue };
        let name = if options.by.is_empty() && !row.is_unmounted() { "all".to_owned() } else { key(row, &options.by) };
        let group = groups.entry(name).or_default();
        let costs = &row.costs;
        let own = [costs.cpu, costs.ram, costs.gpu, costs.pv, costs.network, costs.load_balancer, costs.external];
        group.costs.iter_mut().zip(own).for_each(|(sum, cost)| *sum += cost);
        group.idle.iter_mut().zip(entry.idle_of).for_each(|(sum, cost)| *sum += cost);
        group.entry.shared += entry.shared + entry.overhead + entry.tenancy;
        group.entry.own += entry.total();
        group.rows.push(row);
        group.measures.push(measure);
    }
    let mut set = BTreeMap::new();
    for (name, group) in &groups {
        set.insert(name.clone(), raw(&group.members(name, window)?)?);
    }
    if let Some(idle) = outcome.entries.get(IDLE).filter(|_| includes_idle) {
        set.insert(IDLE.to_owned(), raw(&idle_members(read, idle.total(), window)?)?);
    }
    Ok(set)
}

impl Group<'_> {
    fn members(&self, name: &str, window: Window) -> Result<Members> {
        let start = self.measures.iter().map(|m| m.span.0).min().unwrap_or(window.start);
        let end = self.measures.iter().map(|m| m.span.1).max().unwrap_or(window.end);
        let minutes = minutes((start, end));
        let hours = minutes / 60;
        let [cpu, ram, gpu, pv, network, balancer, external] = self.costs;
        let mut counted = [0i128; 3];
        let (mut asked, mut taken) = ([0i128; 2], [0i128; 2]);
        for measure in &self.measures {
            let of = measure.counted(measure.hours)?;
            counted.iter_mut().zip(of).for_each(|(sum, hours)| *sum += hours);
            for (at, used) in [measure.cpu, measure.ram].into_iter().enumerate() {
                asked[at] += product(used.request, measure.hours).unwrap_or_default();
                taken[at] += product(used.usage, measure.hours).unwrap_or_default();
            }
        }
        let by_hour = |amount: i128| scaled(amount, ONE, hours).unwrap_or_default();
        let bytes = |gib: i128| gib.saturating_mul(GIB);
        let efficiency = |at: usize| match (asked[at], taken[at]) {
            (0, 0) => 0,
            (0, _) => ONE,
            (asked, taken) => scaled(taken, ONE, asked).unwrap_or_default(),
        };
        let as_use = |at: usize| Use { request: asked[at], usage: taken[at], allocation: None };
        let total_efficiency = ledger::allocate::total_efficiency(as_use(0), as_use(1), cpu, ram).unwrap_or_default();
        let volume_hours: i128 = self.measures.iter().flat_map(|m| &m.volumes).map(|(_, gib, _)| gib).sum();
        let mut members = opening(name, &self.properties(name), window, (start, end))?;
        let zero = 0i128;
        for (member, amount) in [
            ("minutes", minutes),
            ("cpuCores", by_hour(counted[0])),
            ("cpuCoreRequestAverage", by_hour(asked[0])),
            ("cpuCoreUsageAverage", by_hour(taken[0])),
            ("cpuCoreHours", counted[0]),
            ("cpuCost", cpu + self.idle[0]),
            ("cpuCostIdle", self.idle[0]),
            ("cpuCostAdjustment", zero),
            ("cpuEfficiency", efficiency(0)),
            ("gpuCount", by_hour(counted[2])),
            ("gpuHours", counted[2]),
            ("gpuCost", gpu + self.idle[2]),
            ("gpuCostIdle", self.idle[2]),
            ("gpuCostAdjustment", zero),
            ("networkTransferBytes", zero),
            ("networkReceiveBytes", zero),
            ("networkCost", network),
            ("networkCrossZoneCost", zero),
            ("networkCrossRegionCost", zero),
            ("networkInternetCost", zero),
            ("networkCostAdjustment", zero),
            ("loadBalancerCost", balancer),
            ("loadBalancerCostAdjustment", zero),
            ("pvBytes", by_hour(bytes(volume_hours))),
            ("pvByteHours", bytes(volume_hours)),
            ("pvCost", pv),
            ("pvCostAdjustment", zero),
            ("ramBytes", by_hour(bytes(counted[1]))),
            ("ramByteRequestAverage", by_hour(bytes(asked[1]))),
            ("ramByteUsageAverage", by_hour(bytes(taken[1]))),
            ("ramByteHours", bytes(counted[1])),
            ("ramCost", ram + self.idle[1]),
            ("ramCostIdle", self.idle[1]),
            ("ramCostAdjustment", zero),
            ("ramEfficiency", efficiency(1)),
            ("externalCost", external),
            ("sharedCost", self.entry.shared),
            ("totalCost", self.entry.own),
            ("totalEfficiency", total_efficiency),
        ] {
            members.insert(member, number(amount)?);
        }
        members.insert("pvs", self.volumes()?);
        members.insert("lbAllocations", self.balancers()?);
        Ok(members)
    }

    /// What all rows of the group have in common.
    fn properties(&self, name: &str) -> serde_json::Map<String, serde_json::Value> {
        let mut properties = serde_json::Map::new();
        if name == UNMOUNTED {
            return properties;
        }
        let mut common = |member: &str, of: &dyn Fn(usize) -> String| {
            let first = (!self.rows.is_empty()).then(|| of(0)).filter(|text| !text.is_empty());
            if let Some(first) = first.filter(|first| (1..self.rows.len()).all(|at| of(at) == *first)) {
                properties.insert(member.to_owned(), first.into());
            }
        };
        common("cluster", &|at| self.rows[at].cluster.clone());
        common("node", &|at| self.rows[at].node.clone());
        common("namespace", &|at| self.rows[at].namespace.clone());
        common("pod", &|at| self.rows[at].pod.clone());
        common("container", &|at| self.rows[at].container.clone());
        common("controller", &|at| self.rows[at].controller.clone());
        common("controllerKind", &|at| self.rows[at].controller_kind.clone());
        common("providerID", &|at| self.measures[at].provider_id.clone());
        let services: std::collections::BTreeSet<&str> =
            self.rows.iter().map(|row| row.service.as_str()).filter(|name| !name.is_empty()).collect();
        if !services.is_empty() {
            properties.insert("services".to_owned(), serde_json::json!(services));
        }
        let labels = |row: &Row| Labels::clone(&row.labels);
        let annotations = |row: &Row| Labels::clone(&row.annotations);
        let kinds: [(&str, &dyn Fn(&Row) -> Labels); 2] = [("labels", &labels), ("annotations", &annotations)];
        for (member, of) in kinds {
            let mut shared: BTreeMap<String, String> =
                self.rows.first().map(|row| of(row).as_ref().clone()).unwrap_or_default();
            self.rows.iter().for_each(|row| shared.retain(|name, value| of(row).get(name) == Some(value)));
            if !shared.is_empty() {
                let plain = |name: &str| {
                    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>()
                };
                let named: BTreeMap<String, String> =
                    shared.into_iter().map(|(name, value)| (plain(&name), value)).collect();
                properties.insert(member.to_owned(), serde_json::json!(named));
            }
        }
        properties
    }

    fn volumes(&self) -> Result<Box<RawValue>> {
        let mut found: BTreeMap<String, (i128, i128)> = BTreeMap::new();
        for (row, measure) in self.rows.iter().zip(&self.measures) {
            for (name, gib_hours, cost) in &measure.volumes {
                let entry = found.entry(format!("cluster={}:name={name}", row.cluster)).or_default();
                entry.0 += gib_hours;
                entry.1 += cost;
            }
        }
        if found.is_empty() {
            return raw(&serde_json::Value::Null);
        }
        let mut members = BTreeMap::new();
        for (name, (gib_hours, cost)) in found {
            let volume = BTreeMap::from([
                ("byteHours", number(gib_hours.saturating_mul(GIB))?),
                ("cost", number(cost)?),
                ("providerID", raw(&"")?),
                ("adjustment", number(0)?),
            ]);
            members.insert(name, volume);
        }
        raw(&members)
    }

    fn balancers(&self) -> Result<Box<RawValue>> {
        let mut found: BTreeMap<String, i128> = BTreeMap::new();
        for (row, measure) in self.rows.iter().zip(&self.measures) {
            for (name, cost) in &measure.balancers {
                *found.entry(format!("{}/{}/{name}", row.cluster, row.namespace)).or_default() += cost;
            }
        }
        if found.is_empty() {
            return raw(&serde_json::Value::Null);
        }
        let mut members = BTreeMap::new();
        for (name, cost) in found {
            let balancer = BTreeMap::from([("service", raw(&name)?), ("cost", number(cost)?)]);
            members.insert(name, balancer);
        }
        raw(&members)
    }
}

/// What every allocation begins with.
fn opening(name: &str, properties: &impl Serialize, window: Window, span: (i64, i64)) -> Result<Members> {
    let empty = serde_json::json!({});
    Ok(Members::from([
        ("name", raw(&name)?),
        ("properties", raw(properties)?),
        ("window", raw(&serde_json::json!({"start": instant(window.start), "end": instant(window.end)}))?),
        ("start", raw(&instant(span.0))?),
        ("end", raw(&instant(span.1))?),
        ("proportionalAssetResourceCosts", raw(&empty)?),
        ("sharedCostBreakdown", raw(&empty)?),
    ]))
}

/// Idle as an allocation; what a filter left of it keeps the proportions of the whole.
fn idle_members(read: &Stored, total: i128, window: Window) -> Result<Members> {
    let mut whole = [0i128; 3];
    for idle in &read.input.idle {
        whole.iter_mut().zip(idle.costs).for_each(|(sum, cost)| *sum += cost);
    }
    let sum: i128 = whole.iter().sum();
    let part = |of: i128| scaled(total, of, sum).unwrap_or_default();
    let (ram, gpu) = (part(whole[1]), part(whole[2]));
    let clusters: std::collections::BTreeSet<&str> = read.input.idle.iter().map(|i| i.cluster.as_str()).collect();
    let properties = match clusters.len() {
        1 => serde_json::json!({"cluster": clusters.first()}),
        _ => serde_json::json!({}),
    };
    let mut members = opening(IDLE, &properties, window, (window.start, window.end))?;
    for (member, amount) in [
        ("minutes", minutes((window.start, window.end))),
        ("cpuCost", total - ram - gpu),
        ("gpuCost", gpu),
        ("ramCost", ram),
        ("pvCost", 0),
        ("networkCost", 0),
        ("loadBalancerCost", 0),
        ("externalCost", 0),
        ("sharedCost", 0),
        ("totalCost", total),
        ("totalEfficiency", 0),
    ] {
        members.insert(member, number(amount)?);
    }
    Ok(members)
}

/// Who runs a machine, by the scheme of its id.
fn provider(id: &str) -> &'static str {
    match id.split_once("://").map(|(scheme, _)| scheme) {
        Some("azure") => "Azure",
        Some("aws") => "AWS",
        Some("gce") => "GCP",
        _ => UNDEFINED,
    }
}

/// An asset with its key.
pub fn asset(asset: &Measured, window: Window) -> Result<(String, Box<RawValue>)> {
    let (kind, category) = match asset.kind {
        Priced::Node => ("Node", "Compute"),
        Priced::Volume => ("Disk", "Storage"),
        Priced::Balancer => ("LoadBalancer", "Network"),
    };
    let maker = provider(&asset.provider_id);
    let project = match asset.provider_id.strip_prefix("gce://") {
        Some(path) => path.split('/').next().unwrap_or(UNDEFINED),
        None => UNDEFINED,
    };
    let id = asset.provider_id.rsplit('/').next().filter(|id| !id.is_empty()).unwrap_or(&asset.name);
    let name = match asset.namespace.as_str() {
        "" => asset.name.clone(),
        namespace => format!("{namespace}/{}", asset.name),
    };
    let words = [maker, UNDEFINED, project, category, &asset.cluster, kind, "Kubernetes", id, &name];
    let key = words.join("/");
    let mut members = Members::from([
        ("type", raw(&kind)?),
        (
            "properties",
            raw(&serde_json::json!({
                "category": category, "provider": maker, "project": project, "service": "Kubernetes",
                "cluster": asset.cluster, "name": name, "providerID": id,
            }))?,
        ),
        ("labels", raw(&asset.labels)?),
        ("window", raw(&serde_json::json!({"start": instant(window.start), "end": instant(window.end)}))?),
        ("start", raw(&instant(asset.span.0))?),
        ("end", raw(&instant(asset.span.1))?),
    ]);
    let hours = |amount: i128| product(amount, asset.hours).unwrap_or_default();
    let bytes = asset.capacity[1].saturating_mul(GIB);
    let mut amounts = vec![("minutes", minutes(asset.span)), ("adjustment", 0), ("totalCost", asset.total())];
    match asset.kind {
        Priced::Node => {
            let [cpu, ram, gpu] = asset.costs;
            members.insert("nodeType", raw(&asset.class)?);
            amounts.extend([
                ("cpuCores", asset.capacity[0]),
                ("ramBytes", bytes),
                ("gpuCount", asset.capacity[2]),
                ("cpuCoreHours", hours(asset.capacity[0])),
                ("ramByteHours", hours(asset.capacity[1]).saturating_mul(GIB)),
                ("GPUHours", hours(asset.capacity[2])),
                ("cpuCost", cpu),
                ("ramCost", ram),
                ("gpuCost", gpu),
                ("preemptible", if asset.is_spot { ONE } else { 0 }),
                ("discount", 0),
            ]);
        }
        Priced::Volume => {
            members.insert("storageClass", raw(&asset.class)?);
            members.insert("volumeName", raw(&asset.name)?);
            members.insert("claimNamespace", raw(&asset.claim.0)?);
            members.insert("claimName", raw(&asset.claim.1)?);
            amounts.extend([("bytes", bytes), ("byteHours", hours(asset.capacity[1]).saturating_mul(GIB))]);
        }
        Priced::Balancer => {}
    }
    for (member, amount) in amounts {
        members.insert(member, number(amount)?);
    }
    Ok((key, raw(&members)?))
}
