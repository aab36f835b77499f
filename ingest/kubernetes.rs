//! Kubernetes: API lists, single objects, manifests and watch events become `k8s_object`, its history, and a table for
//! each kind that is asked about by its own columns. Files say what was once so; `live` follows clusters and keeps the
//! tables equal to them.
//!
//! A list in a file does not delete what it leaves out: only who follows a cluster knows that an object is gone.

use std::path::Path;

use async_trait::async_trait;
use engine::{Idempotency, Result, Scope, Store, Table, View};

use crate::files::{self, Reading};
use crate::{FileOptions, Parsed, Progress, Source, Summary};

mod access;
mod batch;
mod cells;
mod custom;
mod detail;
mod documents;
mod event;
mod history;
pub mod live;
mod meta;
mod namespace;
mod network;
mod node;
mod object;
mod pod;
mod quantity;
mod quota;
mod resources;
mod scaling;
mod scrape;
mod secret;
mod storage;
#[cfg(test)]
mod tests;
mod unit;
mod usage;
mod views;
mod workload;
mod yaml;

pub use access::K8S_ROLE_BINDING;
pub use batch::{K8S_CRON_JOB, K8S_JOB};
pub use custom::{Field, K8S_CUSTOM_RESOURCE};
pub use event::K8S_EVENT;
pub use history::K8S_OBJECT_HISTORY;
pub use live::K8S_WATCH;
pub use namespace::K8S_NAMESPACE;
pub use network::{K8S_INGRESS, K8S_NETWORK_POLICY, K8S_SERVICE};
pub use node::K8S_NODE;
pub use object::K8S_OBJECT;
pub use pod::K8S_POD;
pub use quantity::Quantity;
pub use quota::{K8S_LIMIT_RANGE, K8S_RESOURCE_QUOTA};
pub use scaling::K8S_HORIZONTAL_POD_AUTOSCALER;
pub use storage::{K8S_PERSISTENT_VOLUME, K8S_PERSISTENT_VOLUME_CLAIM};
pub use usage::K8S_USAGE;
pub use workload::{K8S_DAEMON_SET, K8S_DEPLOYMENT, K8S_REPLICA_SET, K8S_STATEFUL_SET};

/// Every view over these tables.
pub const VIEWS: &[&View] = &[&views::K8S_CONTAINER, &views::K8S_POD_OWNER];

use meta::Origin;
use unit::{Identity, Unit};

/// JSON of objects that one frame takes before the next begins, so that a large list passes a bounded queue.
const FRAME_BYTES: usize = 4 << 20;
/// Name of the cluster where a file's reader gives none.
const CLUSTER_UNNAMED: &str = "default";

/// The rows that a stored version of an object has in the table of its kind; none for what has no table or does not fit.
pub(crate) fn rows_of(
    object: &serde_json::Value,
    tenant: &str,
    cluster: &str,
) -> Option<engine::arrow::array::RecordBatch> {
    // The version was kept once; whose it is was decided then.
    let scope = Scope::tenant(tenant, "history");
    let origin = Origin { scope: &scope, cluster, tenant: None };
    let meta = meta::Meta::read(object, origin).ok()?;
    let detail = detail::of(meta.api_group, meta.kind)?;
    let mut rows = engine::Rows::new(detail.table);
    detail.put(&meta, origin, &mut rows, &mut Vec::new());
    (!rows.is_empty()).then(|| rows.finish())
}

/// Reads a body of objects into one unit.
pub fn objects(body: &[u8], scope: &Scope, cluster: &str) -> Result<Parsed> {
    let origin = Origin { scope, cluster, tenant: None };
    Ok(parts(body, origin, usize::MAX).pop().unwrap_or_default())
}

/// Reads a body of objects into units small enough to be appended one after the other. With a key, each unit is
/// idempotent by itself: a sender that is cut off in the middle sends the whole body again.
pub fn units(body: &[u8], scope: &Scope, cluster: &str, key: Option<&str>) -> Vec<Parsed> {
    let mut units = parts(body, Origin { scope, cluster, tenant: None }, FRAME_BYTES);
    if let Some(key) = key {
        let (cluster, owner) = (files::key_part(cluster), files::key_owner(scope, None));
        number(&mut units, &format!("k8s:sent:{cluster}:{owner}:{}", files::key_part(key)), files::content_hash(body));
    }
    units
}

fn number(units: &mut [Parsed], key: &str, body_hash: [u8; 32]) {
    for (ordinal, unit) in units.iter_mut().enumerate() {
        unit.idempotency = Some(Idempotency { key: format!("{key}:{ordinal}"), body_hash });
    }
}

fn parts(body: &[u8], origin: Origin<'_>, frame_bytes: usize) -> Vec<Parsed> {
    if scrape::is_scrape(body) {
        let mut unit = Unit::new(origin, &[]);
        unit.scrape(&String::from_utf8_lossy(body));
        return vec![unit.finish()];
    }
    let contents = documents::read(body);
    let mut done = Vec::new();
    let mut open = Unit::new(origin, &[]);
    for broken in contents.broken {
        open.reject(broken.reason, broken.place, broken.text.into_bytes());
    }
    for item in contents.items {
        if open.bytes() >= frame_bytes {
            done.push(std::mem::replace(&mut open, Unit::new(origin, &[])).finish());
        }
        open.add(item);
    }
    if done.is_empty() || !open.is_empty() {
        done.push(open.finish());
    }
    done
}

/// Files and folders of objects.
#[derive(Debug)]
pub struct Kubernetes;

#[async_trait]
impl Source for Kubernetes {
    fn kind(&self) -> &'static str {
        "k8s"
    }

    fn doc(&self) -> &'static str {
        "Kubernetes objects and lists as `kubectl get -o json` or YAML manifests have them (also .gz, .zst); with --kubeconfig or --in-cluster, clusters themselves"
    }

    fn tables(&self) -> Vec<&'static Table> {
        vec![
            &K8S_OBJECT,
            &K8S_OBJECT_HISTORY,
            &K8S_POD,
            &K8S_NODE,
            &K8S_EVENT,
            &K8S_DEPLOYMENT,
            &K8S_REPLICA_SET,
            &K8S_STATEFUL_SET,
            &K8S_DAEMON_SET,
            &K8S_JOB,
            &K8S_CRON_JOB,
            &K8S_SERVICE,
            &K8S_INGRESS,
            &K8S_NETWORK_POLICY,
            &K8S_RESOURCE_QUOTA,
            &K8S_LIMIT_RANGE,
            &K8S_ROLE_BINDING,
            &K8S_PERSISTENT_VOLUME,
            &K8S_PERSISTENT_VOLUME_CLAIM,
            &K8S_HORIZONTAL_POD_AUTOSCALER,
            &K8S_NAMESPACE,
            &K8S_CUSTOM_RESOURCE,
            &K8S_USAGE,
            &K8S_WATCH,
        ]
    }

    async fn ingest_path(
        &self,
        store: &Store,
        scope: &Scope,
        path: &Path,
        options: &FileOptions,
        progress: &dyn Progress,
    ) -> Result<Summary> {
        let tenant = files::tenant(scope, options)?;
        if let Some(wish) = &options.live {
            return live::run(store, scope, path, tenant.as_deref(), options.cluster.as_deref(), wish, progress).await;
        }
        let cluster = options.cluster.as_deref().unwrap_or(CLUSTER_UNNAMED).to_owned();
        let reading = Reading {
            kind: "k8s",
            extensions: &["json", "jsonl", "ndjson", "yaml", "yml", "prom"],
            store,
            scope,
            progress,
        };
        reading
            .folder(path, |body, hash| {
                let origin = Origin { scope, cluster: &cluster, tenant: tenant.as_deref() };
                let mut units = parts(body, origin, FRAME_BYTES);
                let owner = files::key_owner(scope, tenant.as_deref());
                let key = format!("k8s:file:{}:{owner}:{}", files::key_part(&cluster), hex::encode(hash));
                number(&mut units, &key, hash);
                units
            })
            .await
    }
}
