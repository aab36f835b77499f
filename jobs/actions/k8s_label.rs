//! `k8s_label`: a label of a Kubernetes object, put there or, when the row is gone, taken off.

use std::sync::Arc;

use engine::Kind;
use ingest::kubernetes::live::label::{Labels, Object};

use super::world::{World, ended, said, with};
use crate::queue::{Claimed, Ended};

pub(super) async fn act(world: &World, job: &Claimed) -> Result<Ended, Ended> {
    let (cluster, name, label) = (with(job, "cluster"), with(job, "name"), with(job, "label"));
    let object = Object::of(with(job, "resource"), with(job, "namespace"), name).map_err(|error| ended(&error))?;
    let gone = said(&job.arguments, "transition") == "resolved";
    let value = (!gone).then(|| with(job, "value"));
    let target = format!("cluster {cluster}");
    let done = |response: String| Ok(Ended::Done { target: target.clone(), response });
    match labels(world, cluster).await?.put(&object, label, value).await {
        Ok(()) => done(value.map_or_else(|| format!("{label} was taken off"), |value| format!("{label}={value}"))),
        Err(error) if gone && error.kind() == Kind::NotFound => done("the object is gone".to_owned()),
        Err(error) => Err(ended(&error)),
    }
}

/// The cluster of a name in the settings, opened once.
async fn labels(world: &World, cluster: &str) -> Result<Arc<Labels>, Ended> {
    let mut opened = world.clusters.lock().await;
    if let Some(labels) = opened.get(cluster) {
        return Ok(Arc::clone(labels));
    }
    let unknown = || Ended::Refused { error: format!("the settings of actions name no cluster {cluster}") };
    let settings = world.settings.clusters.get(cluster).ok_or_else(unknown)?;
    let labels = Labels::open(&settings.kubeconfig, settings.context.as_deref()).await;
    let labels = Arc::new(labels.map_err(|error| ended(&error.context(&format!("open the cluster {cluster}"))))?);
    opened.insert(cluster.to_owned(), Arc::clone(&labels));
    Ok(labels)
}
