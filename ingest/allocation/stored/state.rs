//! Rows of the Kubernetes tables as containers, nodes, volumes and balancers.

use std::collections::BTreeMap;

use engine::Result;
use engine::arrow::array::{Array, Int64Array, TimestampMicrosecondArray};
use ledger::answer::{Answer, amount, text};
use ledger::decimal::ONE;

use super::{Wish, gib_of};

/// Labels that say that a node can be taken away: their name, and the value where it matters.
const SPOT: &[(&str, &str)] = &[
    ("kubernetes.azure.com/scalesetpriority", "spot"),
    ("eks.amazonaws.com/capacityType", "SPOT"),
    ("cloud.google.com/gke-spot", "true"),
    ("cloud.google.com/gke-preemptible", "true"),
    ("cloud.google.com/gke-provisioning", "spot"),
    ("karpenter.sh/capacity-type", "spot"),
    ("node.kubernetes.io/lifecycle", "spot"),
];

/// Which container.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Cluster.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Container.
    pub container: String,
}

/// A container that ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    pub tenant: String,
    pub place: Place,
    pub node: String,
    pub controller_kind: String,
    pub controller: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Claims that its pod mounts.
    pub claims: Vec<String>,
    pub start: Option<i64>,
    pub end: Option<i64>,
    /// Cores asked for.
    pub cpu_request: i128,
    /// GiB asked for.
    pub ram_request: i128,
    pub gpus: i64,
}

impl Container {
    /// The part of the window in which it ran.
    pub fn span(&self, wish: &Wish) -> (i64, i64) {
        clipped(self.start, self.end, wish)
    }
}

/// The part of a life that lies in the window.
pub fn clipped(start: Option<i64>, end: Option<i64>, wish: &Wish) -> (i64, i64) {
    let start = start.unwrap_or(wish.start).clamp(wish.start, wish.end);
    (start, end.unwrap_or(wish.end).clamp(start, wish.end))
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    pub tenant: String,
    pub cluster: String,
    pub name: String,
    pub region: String,
    pub instance_type: String,
    pub provider_id: String,
    pub labels: BTreeMap<String, String>,
    /// Cores, GiB, accelerators.
    pub capacity: [i128; 3],
    pub start: Option<i64>,
    pub end: Option<i64>,
}

impl Node {
    /// Whether it can be taken away at any time, and costs less for it.
    pub fn is_spot(&self) -> bool {
        let says =
            |(name, value): &(&str, &str)| self.labels.get(*name).is_some_and(|own| own.eq_ignore_ascii_case(value));
        SPOT.iter().any(says)
    }
}

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    pub tenant: String,
    pub cluster: String,
    pub name: String,
    pub storage_class: String,
    pub handle: String,
    pub gib: i128,
    /// Namespace and name of the claim that holds it.
    pub claim: (String, String),
    pub labels: BTreeMap<String, String>,
    pub start: Option<i64>,
    /// Pods that had it, with the time.
    pub mounts: Vec<(String, i64, i64)>,
}

/// A load balancer of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balancer {
    pub tenant: String,
    pub cluster: String,
    pub namespace: String,
    pub name: String,
    /// Labels of the pods behind it.
    pub selector: BTreeMap<String, String>,
    pub start: Option<i64>,
}

/// The texts of a JSON object.
pub fn pairs(json: &str) -> BTreeMap<String, String> {
    let Ok(serde_json::Value::Object(map)) = serde_json::from_str(json) else { return BTreeMap::new() };
    map.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned()))).collect()
}

/// The claims among a pod's volumes.
pub fn claims(json: &str) -> Vec<String> {
    let Ok(serde_json::Value::Array(volumes)) = serde_json::from_str(json) else { return Vec::new() };
    let claim =
        |volume: &serde_json::Value| volume.pointer("/persistentVolumeClaim/claimName")?.as_str().map(str::to_owned);
    volumes.iter().filter_map(claim).collect()
}

fn time(times: &TimestampMicrosecondArray, at: usize) -> Option<i64> {
    times.is_valid(at).then(|| times.value(at))
}

fn number(numbers: &Int64Array, at: usize) -> i64 {
    if numbers.is_valid(at) { numbers.value(at) } else { 0 }
}

/// Rows of `k8s_node`.
pub fn nodes(answer: &Answer) -> Result<Vec<Node>> {
    let texts = |name: &str| answer.texts(name);
    let (tenants, clusters, names, labels) = (texts("tenant")?, texts("cluster")?, texts("name")?, texts("labels")?);
    let (regions, types, providers) = (texts("region")?, texts("instance_type")?, texts("provider_id")?);
    let cores = answer.decimals("capacity_cpu_cores")?;
    let (memory, gpus) = (answer.numbers("capacity_memory_bytes")?, answer.numbers("capacity_gpus")?);
    let created = answer.times("creation_timestamp")?;
    let node = |at: usize| Node {
        tenant: text(&tenants, at),
        cluster: text(&clusters, at),
        name: text(&names, at),
        region: text(&regions, at),
        instance_type: text(&types, at),
        provider_id: text(&providers, at),
        labels: pairs(&text(&labels, at)),
        capacity: [
            amount(&cores, at).unwrap_or_default(),
            gib_of(number(&memory, at)),
            i128::from(number(&gpus, at)) * ONE,
        ],
        start: time(&created, at),
        end: None,
    };
    Ok((0..answer.rows()).map(node).collect())
}

/// Rows of `k8s_pod`; what only prepared its pod is left out.
pub fn containers(answer: &Answer) -> Result<Vec<Container>> {
    let texts = |name: &str| answer.texts(name);
    let (tenants, clusters, namespaces, pods) =
        (texts("tenant")?, texts("cluster")?, texts("namespace")?, texts("pod")?);
    let (names, kinds, nodes, labels) =
        (texts("container")?, texts("container_kind")?, texts("node")?, texts("labels")?);
    let (workload_kinds, workloads) = (texts("workload_kind")?, texts("workload_name")?);
    let (cores, memory) = (answer.decimals("cpu_request_cores")?, answer.numbers("memory_request_bytes")?);
    let gpus = answer.numbers("gpus")?;
    let (started, created, finished) =
        (answer.times("start_time")?, answer.times("creation_timestamp")?, answer.times("finished_at")?);
    let container = |at: usize| {
        // A pod that nothing made is no workload.
        let kind = text(&workload_kinds, at).to_lowercase();
        let is_bare = kind.is_empty() || kind == "pod";
        Container {
            tenant: text(&tenants, at),
            place: Place {
                cluster: text(&clusters, at),
                namespace: text(&namespaces, at),
                pod: text(&pods, at),
                container: text(&names, at),
            },
            node: text(&nodes, at),
            controller: if is_bare { String::new() } else { text(&workloads, at) },
            controller_kind: if is_bare { String::new() } else { kind },
            labels: pairs(&text(&labels, at)),
            start: time(&started, at).or(time(&created, at)),
            end: time(&finished, at),
            cpu_request: amount(&cores, at).unwrap_or_default(),
            ram_request: gib_of(number(&memory, at)),
            gpus: number(&gpus, at),
            ..Container::default()
        }
    };
    let ran = |at: &usize| matches!(text(&kinds, *at).as_str(), "container" | "sidecar");
    Ok((0..answer.rows()).filter(ran).map(container).collect())
}

/// Rows of `k8s_persistent_volume`.
pub fn volumes(answer: &Answer) -> Result<Vec<Volume>> {
    let texts = |name: &str| answer.texts(name);
    let (tenants, clusters, names, labels) = (texts("tenant")?, texts("cluster")?, texts("name")?, texts("labels")?);
    let (classes, handles) = (texts("storage_class")?, texts("volume_handle")?);
    let (claim_namespaces, claim_names) = (texts("claim_namespace")?, texts("claim_name")?);
    let (bytes, created) = (answer.numbers("capacity_bytes")?, answer.times("creation_timestamp")?);
    let volume = |at: usize| Volume {
        tenant: text(&tenants, at),
        cluster: text(&clusters, at),
        name: text(&names, at),
        storage_class: text(&classes, at),
        handle: text(&handles, at),
        gib: gib_of(number(&bytes, at)),
        claim: (text(&claim_namespaces, at), text(&claim_names, at)),
        labels: pairs(&text(&labels, at)),
        start: time(&created, at),
        mounts: Vec::new(),
    };
    Ok((0..answer.rows()).map(volume).collect())
}

/// Rows of `k8s_service`.
pub fn balancers(answer: &Answer) -> Result<Vec<Balancer>> {
    let texts = |name: &str| answer.texts(name);
    let (tenants, clusters, namespaces) = (texts("tenant")?, texts("cluster")?, texts("namespace")?);
    let (names, selectors, created) = (texts("name")?, texts("selector")?, answer.times("creation_timestamp")?);
    let balancer = |at: usize| Balancer {
        tenant: text(&tenants, at),
        cluster: text(&clusters, at),
        namespace: text(&namespaces, at),
        name: text(&names, at),
        selector: pairs(&text(&selectors, at)),
        start: time(&created, at),
    };
    Ok((0..answer.rows()).map(balancer).collect())
}
