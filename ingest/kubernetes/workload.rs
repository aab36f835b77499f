//! Workloads that keep pods running: `k8s_deployment`, `k8s_replica_set`, `k8s_stateful_set`, `k8s_daemon_set`. What one
//! of their pods asks for stands beside the replicas, so that requests times replicas is a product of two columns.

use engine::{Column, Table, Type, Value as Cell};
use serde_json::Value;

use super::cells::{Cells, condition, object_columns};
use super::detail::{Detail, Write};
use super::meta::Meta;
use super::resources::{accelerators, quantity};
use crate::json::{self, Reason, at};

/// The columns of a workload around those of its kind.
macro_rules! workload_columns {
    ($($own:expr),* $(,)?) => {
        object_columns![
            $($own,)*
            Column::new("images", Type::Json, "Images of the pod's containers, in their order."),
            Column::new("cpu_request_cores", Type::Decimal, "CPU that one pod reserves, all containers together.").unit("cores"),
            Column::new("cpu_limit_cores", Type::Decimal, "CPU that one pod may use; null if a container has no limit.").unit("cores"),
            Column::new("memory_request_bytes", Type::Int, "Memory that one pod reserves, all containers together.").unit("bytes"),
            Column::new("memory_limit_bytes", Type::Int, "Memory that one pod may use; null if a container has no limit.").unit("bytes"),
            Column::new("gpus", Type::Int, "GPUs, of every vendor, that one pod holds."),
            Column::new("service_account", Type::Text, "Service account of the pods."),
            Column::new("node_selector", Type::Json, "Labels that a pod's node must carry."),
            Column::new("selector", Type::Json, "Which pods belong to it."),
            Column::new("observed_generation", Type::Int, "The generation that its controller has seen."),
            Column::new("generation", Type::Int, "Counts changes of the desired state."),
            Column::new("conditions", Type::Json, "The list `status.conditions`."),
        ]
    };
}

const KEY: &[&str] = &["cluster", "namespace", "name"];

/// Deployments.
pub static K8S_DEPLOYMENT: Table = Table {
    key: KEY,
    time: "ingested_at",
    ..Table::new(
        "k8s_deployment",
        "The last seen state of every Deployment, with what one of its pods asks for.",
        workload_columns![
            Column::new("replicas", Type::Int, "Replicas asked for."),
            Column::new("replicas_updated", Type::Int, "Replicas of the newest template."),
            Column::new("replicas_ready", Type::Int, "Replicas that are ready."),
            Column::new("replicas_available", Type::Int, "Replicas that have been ready for long enough."),
            Column::new("replicas_unavailable", Type::Int, "Replicas that are still missing."),
            Column::new("strategy", Type::Name, "`RollingUpdate` or `Recreate`."),
            Column::new("max_surge", Type::Name, "Pods above the replicas during a rollout: a number or a percentage."),
            Column::new("max_unavailable", Type::Name, "Pods that may be missing during a rollout."),
            Column::new("paused", Type::Bool, "Rollouts are held."),
            Column::new("available", Type::Bool, "Condition Available."),
            Column::new("progressing", Type::Bool, "Condition Progressing."),
            Column::new("progressing_reason", Type::Name, "Its reason (`ProgressDeadlineExceeded`)."),
        ],
    )
};

/// ReplicaSets.
pub static K8S_REPLICA_SET: Table = Table {
    key: KEY,
    time: "ingested_at",
    ..Table::new(
        "k8s_replica_set",
        "The last seen state of every ReplicaSet; the Deployment that made it is its owner.",
        workload_columns![
            Column::new("replicas", Type::Int, "Replicas asked for; 0 for a superseded revision."),
            Column::new("replicas_ready", Type::Int, "Replicas that are ready."),
            Column::new("replicas_available", Type::Int, "Replicas that have been ready for long enough."),
            Column::new("revision", Type::Name, "Revision of its Deployment."),
        ],
    )
};

/// StatefulSets.
pub static K8S_STATEFUL_SET: Table = Table {
    key: KEY,
    time: "ingested_at",
    ..Table::new(
        "k8s_stateful_set",
        "The last seen state of every StatefulSet.",
        workload_columns![
            Column::new("replicas", Type::Int, "Replicas asked for."),
            Column::new("replicas_updated", Type::Int, "Replicas of the newest template."),
            Column::new("replicas_ready", Type::Int, "Replicas that are ready."),
            Column::new("replicas_available", Type::Int, "Replicas that have been ready for long enough."),
            Column::new("service_name", Type::Text, "Service that names the pods."),
            Column::new("pod_management_policy", Type::Name, "`OrderedReady` or `Parallel`."),
            Column::new("update_strategy", Type::Name, "`RollingUpdate` or `OnDelete`."),
            Column::new("current_revision", Type::Text, "Revision that the pods had."),
            Column::new("update_revision", Type::Text, "Revision that the pods get."),
            Column::new("volume_claim_templates", Type::Json, "Volumes that each replica claims."),
        ],
    )
};

/// DaemonSets.
pub static K8S_DAEMON_SET: Table = Table {
    key: KEY,
    time: "ingested_at",
    ..Table::new(
        "k8s_daemon_set",
        "The last seen state of every DaemonSet; its replicas are nodes.",
        workload_columns![
            Column::new("replicas", Type::Int, "Nodes that should run it."),
            Column::new("replicas_updated", Type::Int, "Nodes that run the newest template."),
            Column::new("replicas_ready", Type::Int, "Nodes where it is ready."),
            Column::new("replicas_available", Type::Int, "Nodes where it has been ready for long enough."),
            Column::new("replicas_unavailable", Type::Int, "Nodes where it should be ready and is not."),
            Column::new("replicas_misscheduled", Type::Int, "Nodes that run it and should not."),
            Column::new("update_strategy", Type::Name, "`RollingUpdate` or `OnDelete`."),
        ],
    )
};

/// Deployments.
pub static DEPLOYMENT: Detail = Detail {
    table: &K8S_DEPLOYMENT,
    kinds: &[("apps", "Deployment"), ("extensions", "Deployment")],
    write: Write::One(deployment),
};
/// ReplicaSets.
pub static REPLICA_SET: Detail = Detail {
    table: &K8S_REPLICA_SET,
    kinds: &[("apps", "ReplicaSet"), ("extensions", "ReplicaSet")],
    write: Write::One(replica_set),
};
/// StatefulSets.
pub static STATEFUL_SET: Detail =
    Detail { table: &K8S_STATEFUL_SET, kinds: &[("apps", "StatefulSet")], write: Write::One(stateful_set) };
/// DaemonSets.
pub static DAEMON_SET: Detail = Detail {
    table: &K8S_DAEMON_SET,
    kinds: &[("apps", "DaemonSet"), ("extensions", "DaemonSet")],
    write: Write::One(daemon_set),
};

fn deployment(meta: &Meta<'_>, cells: &mut Cells<'_, '_>) -> Result<(), Reason> {
    let (available, progressing) = (condition(meta.object, "Available"), condition(meta.object, "Progressing"));
    cells
        .int("replicas", "spec.replicas")?
        .count("replicas_updated", "status.updatedReplicas")?
        .count("replicas_ready", "status.readyReplicas")?
        .count("replicas_available", "status.availableReplicas")?
        .count("replicas_unavailable", "status.unavailableReplicas")?
        .text("strategy", "spec.strategy.type")?
        .int_or_text("max_surge", "spec.strategy.rollingUpdate.maxSurge")?
        .int_or_text("max_unavailable", "spec.strategy.rollingUpdate.maxUnavailable")?
        .bool("paused", "spec.paused")?
        .set("available", available.status)
        .set("progressing", progressing.status)
        .set("progressing_reason", progressing.reason);
    shared(meta, cells)
}

fn replica_set(meta: &Meta<'_>, cells: &mut Cells<'_, '_>) -> Result<(), Reason> {
    const REVISION: &[&str] = &["metadata", "annotations", "deployment.kubernetes.io/revision"];
    cells
        .int("replicas", "spec.replicas")?
        .count("replicas_ready", "status.readyReplicas")?
        .count("replicas_available", "status.availableReplicas")?
        .set("revision", json::text(meta.object, REVISION)?);
    shared(meta, cells)
}

fn stateful_set(meta: &Meta<'_>, cells: &mut Cells<'_, '_>) -> Result<(), Reason> {
    cells
        .int("replicas", "spec.replicas")?
        .count("replicas_updated", "status.updatedReplicas")?
        .count("replicas_ready", "status.readyReplicas")?
        .count("replicas_available", "status.availableReplicas")?
        .text("service_name", "spec.serviceName")?
        .text("pod_management_policy", "spec.podManagementPolicy")?
        .text("update_strategy", "spec.updateStrategy.type")?
        .text("current_revision", "status.currentRevision")?
        .text("update_revision", "status.updateRevision")?
        .json("volume_claim_templates", "spec.volumeClaimTemplates")?;
    shared(meta, cells)
}

fn daemon_set(meta: &Meta<'_>, cells: &mut Cells<'_, '_>) -> Result<(), Reason> {
    cells
        .count("replicas", "status.desiredNumberScheduled")?
        .count("replicas_updated", "status.updatedNumberScheduled")?
        .count("replicas_ready", "status.numberReady")?
        .count("replicas_available", "status.numberAvailable")?
        .count("replicas_unavailable", "status.numberUnavailable")?
        .count("replicas_misscheduled", "status.numberMisscheduled")?
        .text("update_strategy", "spec.updateStrategy.type")?;
    shared(meta, cells)
}

fn shared(meta: &Meta<'_>, cells: &mut Cells<'_, '_>) -> Result<(), Reason> {
    let template = at(meta.object, &["spec", "template", "spec"]).unwrap_or(&Value::Null);
    let sums = Sums::of(template)?;
    cells
        .set("images", images(template))
        .set("cpu_request_cores", sums.cpu_request.map(Cell::Decimal))
        .set("cpu_limit_cores", sums.cpu_limit.map(Cell::Decimal))
        .set("memory_request_bytes", sums.memory_request)
        .set("memory_limit_bytes", sums.memory_limit)
        .set("gpus", sums.gpus)
        .text("service_account", "spec.template.spec.serviceAccountName")?
        .json("node_selector", "spec.template.spec.nodeSelector")?
        .json("selector", "spec.selector")?
        .int("observed_generation", "status.observedGeneration")?
        .int("generation", "metadata.generation")?
        .json("conditions", "status.conditions")?;
    Ok(())
}

/// The images of a pod's containers as a JSON list.
pub fn images(pod: &Value) -> Option<String> {
    let containers = at(pod, &["containers"])?.as_array()?;
    let images: Vec<&Value> = containers.iter().filter_map(|c| c.get("image")).collect();
    serde_json::to_string(&images).ok()
}

/// What the containers of one pod ask for together: those that run side by side, init containers that stay included.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub cpu_request: Option<i128>,
    pub cpu_limit: Option<i128>,
    pub memory_request: Option<i64>,
    pub memory_limit: Option<i64>,
    pub gpus: Option<i64>,
}

impl Sums {
    /// Of a pod's spec.
    pub fn of(pod: &Value) -> Result<Sums, Reason> {
        let mut sums = Sums::default();
        let mut unlimited = (false, false);
        let containers = json::list(pod, &["containers"])?.map(Vec::as_slice).unwrap_or_default();
        let inits = json::list(pod, &["initContainers"])?.map(Vec::as_slice).unwrap_or_default();
        let stays = |init: &&Value| init.get("restartPolicy").and_then(Value::as_str) == Some("Always");
        for container in containers.iter().chain(inits.iter().filter(stays)) {
            let part = |name: &str| at(container, &["resources", name]).unwrap_or(&Value::Null);
            let (requests, limits) = (part("requests"), part("limits"));
            // A container with a limit and no request reserves its limit.
            let asked = |name: &str| match quantity(requests, name, "resources.requests")? {
                Some(asked) => Ok(Some(asked)),
                None => quantity(limits, name, "resources.limits"),
            };
            let (cpu, memory) = (asked("cpu")?, asked("memory")?);
            add(&mut sums.cpu_request, cpu.map(|q| q.decimal()));
            add(&mut sums.memory_request, memory.map(|q| q.whole()));
            let (cpu, memory) =
                (quantity(limits, "cpu", "resources.limits")?, quantity(limits, "memory", "resources.limits")?);
            unlimited = (unlimited.0 || cpu.is_none(), unlimited.1 || memory.is_none());
            add(&mut sums.cpu_limit, cpu.map(|q| q.decimal()));
            add(&mut sums.memory_limit, memory.map(|q| q.whole()));
            let gpus = match accelerators(limits, "resources.limits")? {
                Some(gpus) => Some(gpus),
                None => accelerators(requests, "resources.requests")?,
            };
            add(&mut sums.gpus, gpus);
        }
        if unlimited.0 {
            sums.cpu_limit = None;
        }
        if unlimited.1 {
            sums.memory_limit = None;
        }
        Ok(sums)
    }
}

fn add<T: Copy + std::ops::Add<Output = T>>(sum: &mut Option<T>, more: Option<T>) {
    if let Some(more) = more {
        *sum = Some(sum.map_or(more, |sum| sum + more));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_asks_for_what_its_containers_ask_for() {
        let pod = json!({
            "initContainers": [
                {"name": "once", "resources": {"requests": {"cpu": "4"}}},
                {"name": "mesh", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}}],
            "containers": [
                {"name": "a", "image": "x:1", "resources": {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}}},
                {"name": "b", "image": "y:2", "resources": {"limits": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "2"}}}]});
        const MILLI: i128 = 1_000_000_000_000_000;
        let sums = Sums::of(&pod).unwrap();
        assert_eq!(sums.cpu_request, Some(850 * MILLI));
        assert_eq!(sums.cpu_limit, Some(2500 * MILLI));
        assert_eq!(sums.memory_request, Some(2 << 30));
        // The sidecar has no memory limit, so the pod has none.
        assert_eq!((sums.memory_limit, sums.gpus), (None, Some(2)));
        assert_eq!(images(&pod).unwrap(), r#"["x:1","y:2"]"#);
        assert_eq!(Sums::of(&json!({})).unwrap(), Sums::default());
    }
}
