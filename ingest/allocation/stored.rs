//! What the store holds of clusters, as usage and assets of a window: containers with what they asked for and took, the
//! nodes that they ran on, volumes, load balancers. What is gone by now is found in the history of objects.

mod measure;
mod state;
mod vanished;

use std::collections::{BTreeMap, BTreeSet};

use engine::{Error, Result, Scope, Store};
use ledger::allocate::Input;
use ledger::answer::{Answer, amount, text};
use ledger::decimal::{ONE, text as text_of};
use ledger::price::ResourceBook;
use ledger::rewrite::{instant, literal};

pub use measure::{Measure, Measured, Priced};
pub use state::{Balancer, Container, Node, Place, Volume};

/// Containers that are gone whose requests one statement names.
const REQUESTS_AT_ONCE: usize = 1_000;

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// From here, in microseconds since 1970 …
    pub start: i64,
    /// … until here, excluded.
    pub end: i64,
    /// Only this cluster.
    pub cluster: Option<String>,
}

/// A window of stored usage, with costs.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// What `ledger::allocate` spreads.
    pub input: Input,
    /// What was measured of each of its rows, in their order.
    pub measures: Vec<Measure>,
    /// Nodes, volumes and balancers with what they cost.
    pub assets: Vec<Measured>,
    /// Currency of the prices; none where nothing was priced.
    pub currency: Option<String>,
    /// What has no price, a sentence each.
    pub unpriced: Vec<String>,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

/// Everything that was there in a window.
#[derive(Debug, Default)]
pub struct States {
    pub containers: Vec<Container>,
    pub nodes: Vec<Node>,
    pub volumes: Vec<Volume>,
    pub balancers: Vec<Balancer>,
}

/// Reads a window and prices it. Nodes belong to the platform and pods to tenants, so only the platform's scope sees both.
pub async fn read(store: &Store, wish: &Wish, prices: &ResourceBook) -> Result<Stored> {
    if wish.end <= wish.start {
        return Err(Error::invalid("allocate: the window has no length"));
    }
    let scope = Scope::platform("cost/allocate");
    let mut states = States { nodes: nodes(store, &scope, wish).await?, ..States::default() };
    states.containers = containers(store, &scope, wish).await?;
    let known = states.containers.len();
    vanished::add(store, &scope, wish, &mut states).await?;
    states.volumes = volumes(store, &scope, wish, &states.containers).await?;
    states.balancers = balancers(store, &scope, wish).await?;
    let mut used = used(store, &scope, wish, "LEFT JOIN k8s_pod p").await?;
    for gone in states.containers[known..].chunks(REQUESTS_AT_ONCE) {
        let requests = format!("JOIN {}", requests(gone));
        used.extend(self::used(store, &scope, wish, &requests).await?);
    }
    measure::measured(states, &used, wish, prices)
}

/// The condition that a row is of the wished cluster.
fn of_cluster(wish: &Wish, column: &str) -> String {
    wish.cluster.as_ref().map_or_else(String::new, |cluster| format!(" AND {column} = {}", literal(cluster)))
}

async fn nodes(store: &Store, scope: &Scope, wish: &Wish) -> Result<Vec<Node>> {
    let sql = format!(
        "SELECT * FROM k8s_node WHERE coalesce(creation_timestamp, {0}) < {1}{2}",
        instant(wish.start),
        instant(wish.end),
        of_cluster(wish, "cluster")
    );
    state::nodes(&Answer::of(store, scope, sql, &[]).await?)
}

async fn containers(store: &Store, scope: &Scope, wish: &Wish) -> Result<Vec<Container>> {
    let sql = format!(
        "SELECT * FROM k8s_pod WHERE node IS NOT NULL AND coalesce(start_time, creation_timestamp, {start}) < {end}
           AND coalesce(finished_at, {end}) > {start}{cluster}",
        start = instant(wish.start),
        end = instant(wish.end),
        cluster = of_cluster(wish, "cluster")
    );
    let mut containers = state::containers(&Answer::of(store, scope, sql, &[]).await?)?;
    let sql = format!(
        "SELECT cluster, namespace, name, annotations, spec -> 'volumes' AS volumes FROM k8s_object
         WHERE kind = 'Pod' AND api_group = ''{}",
        of_cluster(wish, "cluster")
    );
    let answer = Answer::of(store, scope, sql, &[]).await?;
    let (clusters, namespaces, names) = (answer.texts("cluster")?, answer.texts("namespace")?, answer.texts("name")?);
    let (annotations, volumes) = (answer.texts("annotations")?, answer.texts("volumes")?);
    let of = |at: usize| {
        let place = (text(&clusters, at), text(&namespaces, at), text(&names, at));
        (place, (state::pairs(&text(&annotations, at)), state::claims(&text(&volumes, at))))
    };
    let told: BTreeMap<_, _> = (0..answer.rows()).map(of).collect();
    for container in &mut containers {
        let Place { cluster, namespace, pod, .. } = &container.place;
        if let Some((annotations, claims)) = told.get(&(cluster.clone(), namespace.clone(), pod.clone())) {
            container.annotations.clone_from(annotations);
            container.claims.clone_from(claims);
        }
    }
    Ok(containers)
}

async fn volumes(store: &Store, scope: &Scope, wish: &Wish, containers: &[Container]) -> Result<Vec<Volume>> {
    let sql = format!(
        "SELECT cluster, name, tenant, capacity_bytes, storage_class, claim_namespace, claim_name, creation_timestamp, volume_handle, labels
         FROM k8s_persistent_volume WHERE coalesce(creation_timestamp, {}) < {}{}",
        instant(wish.start),
        instant(wish.end),
        of_cluster(wish, "cluster")
    );
    let mut volumes = state::volumes(&Answer::of(store, scope, sql, &[]).await?)?;
    for volume in &mut volumes {
        let mut pods = BTreeSet::new();
        let mounts = containers.iter().filter(|c| {
            let Place { cluster, namespace, .. } = &c.place;
            *cluster == volume.cluster && *namespace == volume.claim.0 && c.claims.contains(&volume.claim.1)
        });
        for container in mounts {
            let (start, end) = container.span(wish);
            pods.insert((format!("{}/{}", container.place.namespace, container.place.pod), start, end));
        }
        volume.mounts = pods.into_iter().collect();
    }
    Ok(volumes)
}

async fn balancers(store: &Store, scope: &Scope, wish: &Wish) -> Result<Vec<Balancer>> {
    let sql = format!(
        "SELECT tenant, cluster, namespace, name, selector, creation_timestamp FROM k8s_service
         WHERE service_type = 'LoadBalancer' AND coalesce(creation_timestamp, {}) < {}{}",
        instant(wish.start),
        instant(wish.end),
        of_cluster(wish, "cluster")
    );
    state::balancers(&Answer::of(store, scope, sql, &[]).await?)
}

/// What a container took, averaged over its samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Took {
    /// Cores.
    pub cpu: i128,
    /// Cores, at least what was asked for at each sample.
    pub cpu_allocation: Option<i128>,
    /// GiB of memory.
    pub ram: i128,
    /// GiB, at least what was asked for at each sample.
    pub ram_allocation: Option<i128>,
    /// First and last sample.
    pub span: (i64, i64),
}

/// What containers asked for that are gone, as a table of constants.
fn requests(gone: &[Container]) -> String {
    let row = |container: &Container| {
        let Place { cluster, namespace, pod, container: name } = &container.place;
        let names = [&container.tenant, cluster, namespace, pod, name].map(|name| literal(name)).join(", ");
        let bytes = container.ram_request / ONE * (1 << 30) + container.ram_request % ONE * (1 << 30) / ONE;
        format!("({names}, CAST('{}' AS DECIMAL(38, 18)), CAST({bytes} AS BIGINT))", text_of(container.cpu_request))
    };
    let rows: Vec<String> = gone.iter().map(row).collect();
    let columns = "tenant, cluster, namespace, pod, container, cpu_request_cores, memory_request_bytes";
    format!("(VALUES {}) AS p({columns})", rows.join(", "))
}

/// Samples of the window, a row a container, beside what it asked for (`p`). Counters of a scrape become rates between one
/// sample and the next.
async fn used(store: &Store, scope: &Scope, wish: &Wish, requests: &str) -> Result<BTreeMap<Place, Took>> {
    let inside = format!(
        "kind = 'Pod' AND container NOT IN ('', 'POD') AND time > {} AND time <= {}{}",
        instant(wish.start),
        instant(wish.end),
        of_cluster(wish, "cluster")
    );
    let sql = format!(
        "WITH rate AS (
           SELECT tenant, cluster, namespace, name, container, time, memory_bytes, cpu_cores FROM k8s_usage
           WHERE {inside} AND cpu_seconds_total IS NULL
           UNION ALL
           SELECT tenant, cluster, namespace, name, container, time, memory_bytes,
             CASE WHEN used_seconds >= 0 AND passed_us > 0
               THEN CAST(used_seconds * 1000000 / passed_us AS DECIMAL(38, 18)) END
           FROM (
             SELECT tenant, cluster, namespace, name, container, time, memory_bytes,
               cpu_seconds_total - lag(cpu_seconds_total) OVER (PARTITION BY tenant, cluster, namespace, name, container ORDER BY time) AS used_seconds,
               CAST(time AS BIGINT) - CAST(lag(time) OVER (PARTITION BY tenant, cluster, namespace, name, container ORDER BY time) AS BIGINT) AS passed_us
             FROM k8s_usage WHERE {inside} AND cpu_seconds_total IS NOT NULL
           ) AS counted
         )
         SELECT r.cluster, r.namespace, r.name AS pod, r.container,
           avg(r.cpu_cores) AS cpu, avg(greatest(r.cpu_cores, coalesce(p.cpu_request_cores, 0))) AS cpu_allocation,
           avg(CAST(r.memory_bytes AS DECIMAL(38, 18))) AS ram,
           avg(CAST(greatest(r.memory_bytes, coalesce(p.memory_request_bytes, 0)) AS DECIMAL(38, 18))) AS ram_allocation,
           min(r.time) AS first_at, max(r.time) AS last_at
         FROM rate r
         {requests} ON p.tenant = r.tenant AND p.cluster = r.cluster AND p.namespace = r.namespace
           AND p.pod = r.name AND p.container = r.container
         GROUP BY r.cluster, r.namespace, r.name, r.container"
    );
    let answer = Answer::of(store, scope, sql, &[]).await?;
    let (clusters, namespaces) = (answer.texts("cluster")?, answer.texts("namespace")?);
    let (pods, containers) = (answer.texts("pod")?, answer.texts("container")?);
    let (cpu, cpu_allocation) = (answer.decimals("cpu")?, answer.decimals("cpu_allocation")?);
    let (ram, ram_allocation) = (answer.decimals("ram")?, answer.decimals("ram_allocation")?);
    let (first, last) = (answer.times("first_at")?, answer.times("last_at")?);
    let took = |at: usize| {
        let place = Place {
            cluster: text(&clusters, at),
            namespace: text(&namespaces, at),
            pod: text(&pods, at),
            container: text(&containers, at),
        };
        let took = Took {
            cpu: amount(&cpu, at).unwrap_or_default(),
            cpu_allocation: amount(&cpu_allocation, at),
            ram: amount(&ram, at).map(gib).unwrap_or_default(),
            ram_allocation: amount(&ram_allocation, at).map(gib),
            span: (first.value(at), last.value(at)),
        };
        (place, took)
    };
    Ok((0..answer.rows()).map(took).collect())
}

/// Bytes in units of 10⁻¹⁸ as GiB.
fn gib(bytes: i128) -> i128 {
    bytes / (1 << 30)
}

/// Whole bytes as GiB in units of 10⁻¹⁸.
fn gib_of(bytes: i64) -> i128 {
    i128::from(bytes) * ONE / (1 << 30)
}
