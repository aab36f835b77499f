//! Kubernetes: API lists, single objects, manifests and watch events become `k8s_object`, `k8s_pod`, `k8s_node` and
//! `k8s_event`.
//!
//! A list that was read in full does not delete what it leaves out: only a watch knows that an object is gone.

use std::path::Path;

use async_trait::async_trait;
use engine::reject::Reject;
use engine::{Idempotency, Result, Rows, Scope, Store, Table};

use crate::files::{self, Reading};
use crate::{FileOptions, Parsed, Progress, Source, Summary};

mod documents;
mod event;
mod meta;
mod node;
mod object;
mod pod;
mod quantity;
mod resources;
#[cfg(test)]
mod tests;
mod yaml;

pub use event::K8S_EVENT;
pub use node::K8S_NODE;
pub use object::K8S_OBJECT;
pub use pod::K8S_POD;
pub use quantity::Quantity;

use meta::{Meta, Origin};

/// JSON of objects that one frame takes before the next begins, so that a large list passes a bounded queue.
const FRAME_BYTES: usize = 4 << 20;
/// Name of the cluster where a file's reader gives none.
const CLUSTER_UNNAMED: &str = "default";

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
    let contents = documents::read(body);
    let mut done = Vec::new();
    let mut open = Unit::new(origin);
    for broken in contents.broken {
        open.reject(broken.reason, broken.place, broken.text.into_bytes());
    }
    for item in contents.items {
        if open.bytes >= frame_bytes {
            done.push(std::mem::replace(&mut open, Unit::new(origin)).finish());
        }
        open.add(item);
    }
    if done.is_empty() || !open.is_empty() {
        done.push(open.finish());
    }
    done
}

/// Rows of all four tables under construction.
struct Unit<'a> {
    origin: Origin<'a>,
    objects: Rows,
    pods: Rows,
    nodes: Rows,
    events: Rows,
    accepted: u64,
    rejects: Vec<Reject>,
    bytes: usize,
}

impl<'a> Unit<'a> {
    fn new(origin: Origin<'a>) -> Self {
        Unit {
            origin,
            objects: Rows::new(&K8S_OBJECT),
            pods: Rows::new(&K8S_POD),
            nodes: Rows::new(&K8S_NODE),
            events: Rows::new(&K8S_EVENT),
            accepted: 0,
            rejects: Vec::new(),
            bytes: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.accepted == 0 && self.rejects.is_empty()
    }

    fn reject(&mut self, reason: String, place: String, body: Vec<u8>) {
        self.bytes += body.len();
        self.rejects.push(Reject { kind: "k8s", reason, place: Some(place), body });
    }

    fn add(&mut self, item: documents::Item) {
        let documents::Item { place, mut object, deleted } = item;
        meta::strip(&mut object);
        let refused = match Meta::read(&object, self.origin) {
            Ok(meta) if deleted => self.delete(&meta).err().into_iter().collect(),
            Ok(meta) => self.write(&meta),
            Err(reason) => vec![reason],
        };
        let text = object.to_string();
        self.bytes += text.len();
        for reason in refused {
            self.reject(reason, place.clone(), text.clone().into_bytes());
        }
    }

    /// The object's own row, then what its kind has beside it. An object whose details are nonsense stays in
    /// `k8s_object`; the detail is refused with its reason.
    fn write(&mut self, meta: &Meta<'_>) -> Vec<String> {
        if let Err(reason) = object::write(meta, self.origin, &mut self.objects) {
            self.objects.abandon_row();
            return vec![reason];
        }
        self.accepted += 1;
        let detail = |rows: &mut Rows, written: std::result::Result<(), String>| {
            rows.abandon_row();
            written.err().into_iter().collect()
        };
        match (meta.api_group, meta.kind) {
            ("", "Pod") => pod::write(meta, self.origin, &mut self.pods),
            ("", "Node") => {
                let written = node::write(meta, self.origin, &mut self.nodes);
                detail(&mut self.nodes, written)
            }
            _ if event::is_event(meta) => {
                let written = event::write(meta, self.origin, &mut self.events);
                detail(&mut self.events, written)
            }
            _ => Vec::new(),
        }
    }

    /// An event that the API server forgot still happened: only its object goes.
    fn delete(&mut self, meta: &Meta<'_>) -> std::result::Result<(), String> {
        object::delete(meta, self.origin, &mut self.objects)?;
        self.accepted += 1;
        match (meta.api_group, meta.kind) {
            ("", "Pod") => pod::delete(meta, self.origin, &mut self.pods),
            ("", "Node") => node::delete(meta, self.origin, &mut self.nodes),
            _ => Ok(()),
        }
    }

    fn finish(mut self) -> Parsed {
        let mut parsed = Parsed { accepted: self.accepted, rejects: self.rejects, ..Parsed::default() };
        for rows in [&mut self.objects, &mut self.pods, &mut self.nodes, &mut self.events] {
            if !rows.is_empty() {
                parsed.batches.push(engine::Batch { table: rows.table(), rows: rows.finish() });
            }
        }
        parsed
    }
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
        "Kubernetes objects and lists as `kubectl get -o json` or YAML manifests have them (also .gz, .zst)"
    }

    fn tables(&self) -> Vec<&'static Table> {
        vec![&K8S_OBJECT, &K8S_POD, &K8S_NODE, &K8S_EVENT]
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
        let cluster = options.cluster.as_deref().unwrap_or(CLUSTER_UNNAMED).to_owned();
        let reading =
            Reading { kind: "k8s", extensions: &["json", "jsonl", "ndjson", "yaml", "yml"], store, scope, progress };
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
