//! `k8s_pod`: one row a container, with the pod's columns repeated, because that is what is asked for: containers
//! without limits, restarts by image, requests by workload.

use engine::{Column, Index, Rows, Table, Type, Value as Cell};
use serde_json::Value;

use super::detail::{Detail, Parts, Write};
use super::meta::{Meta, Origin};
use super::resources::{accelerators, quantity};
use crate::json::{self, Reason, at};

/// Containers of pods.
pub static K8S_POD: Table = Table {
    key: &["cluster", "namespace", "pod", "container"],
    time: "ingested_at",
    indexes: &[Index::BTree("pod")],
    ..Table::new(
        "k8s_pod",
        "The last seen state of every container of every pod, with its pod's columns beside it. One row a container; count(DISTINCT pod_uid) counts pods.",
        &[
            Column::new("tenant", Type::Name, "Label `tenant` of the pod, else the sender's tenant.").required(),
            Column::new("cluster", Type::Name, "Name of the cluster, as the sender gave it.").required(),
            Column::new("namespace", Type::Name, "Namespace of the pod.").required(),
            Column::new("pod", Type::Text, "Name of the pod.").required(),
            Column::new("pod_uid", Type::Text, "Identity of the pod over its life."),
            Column::new("container", Type::Text, "Name of the container.").required(),
            Column::new(
                "container_kind",
                Type::Name,
                "`container`, `init`, `sidecar` (an init container that keeps running) or `ephemeral`.",
            )
            .required(),
            Column::new("env", Type::Name, "Label `env` or `environment`."),
            Column::new("app", Type::Name, "Label `app.kubernetes.io/name`, `app` or `k8s-app`."),
            Column::new("version", Type::Name, "Label `app.kubernetes.io/version` or `version`."),
            Column::new("cost_center", Type::Name, "Label `cost-center`."),
            Column::new("phase", Type::Name, "Phase of the pod: Pending, Running, Succeeded, Failed, Unknown."),
            Column::new("pod_reason", Type::Name, "Why the pod is in its phase (`Evicted`)."),
            Column::new("pod_ready", Type::Bool, "Condition Ready of the pod."),
            Column::new("qos_class", Type::Name, "Guaranteed, Burstable or BestEffort."),
            Column::new("node", Type::Text, "Node it runs on; null while it is not scheduled."),
            Column::new("pod_ip", Type::Text, "Address of the pod."),
            Column::new("service_account", Type::Text, "Service account of the pod."),
            Column::new("priority_class", Type::Name, "Priority class of the pod."),
            Column::new("owner_kind", Type::Name, "Kind of the controlling owner (`ReplicaSet`)."),
            Column::new("owner_name", Type::Text, "Name of the controlling owner."),
            Column::new(
                "workload_kind",
                Type::Name,
                "Kind of the workload: the Deployment behind a ReplicaSet, else the owner, else `Pod`.",
            ),
            Column::new("workload_name", Type::Text, "Name of the workload."),
            Column::new("creation_timestamp", Type::Time, "When the pod was created."),
            Column::new("deletion_timestamp", Type::Time, "When the pod's deletion was asked for."),
            Column::new("start_time", Type::Time, "When the kubelet took the pod."),
            Column::new("image", Type::Text, "Image as the pod asks for it."),
            Column::new("image_id", Type::Text, "Image with its digest, as it runs."),
            Column::new("cpu_request_cores", Type::Decimal, "CPU that is reserved; null if none is asked for.")
                .unit("cores"),
            Column::new("cpu_limit_cores", Type::Decimal, "CPU that it may use; null if there is no limit.")
                .unit("cores"),
            Column::new("memory_request_bytes", Type::Int, "Memory that is reserved; null if none is asked for.")
                .unit("bytes"),
            Column::new("memory_limit_bytes", Type::Int, "Memory that it may use; null if there is no limit.")
                .unit("bytes"),
            Column::new("ephemeral_storage_request_bytes", Type::Int, "Local disk that is reserved.").unit("bytes"),
            Column::new("ephemeral_storage_limit_bytes", Type::Int, "Local disk that it may use.").unit("bytes"),
            Column::new("gpus", Type::Int, "GPUs, of every vendor, that it holds."),
            Column::new("ready", Type::Bool, "Whether the container is ready; null before its first status."),
            Column::new("restart_count", Type::Int, "Restarts so far; null before its first status."),
            Column::new("state", Type::Name, "`running`, `waiting` or `terminated`."),
            Column::new(
                "state_reason",
                Type::Name,
                "Why it waits or ended (`CrashLoopBackOff`, `ImagePullBackOff`, `OOMKilled`).",
            ),
            Column::new("state_message", Type::Text, "The kubelet's words about it."),
            Column::new("started_at", Type::Time, "When it began to run."),
            Column::new("finished_at", Type::Time, "When it ended, if it is terminated."),
            Column::new("exit_code", Type::Int, "Exit code, if it is terminated."),
            Column::new("last_termination_reason", Type::Name, "Why its last run ended (`OOMKilled`, `Error`)."),
            Column::new("last_termination_exit_code", Type::Int, "Exit code of its last run."),
            Column::new("last_terminated_at", Type::Time, "When its last run ended."),
            Column::new("labels", Type::Json, "All labels of the pod."),
        ],
    )
};

const CONTAINERS: [(&str, &str, &str); 3] = [
    ("init", "initContainers", "initContainerStatuses"),
    ("container", "containers", "containerStatuses"),
    ("ephemeral", "ephemeralContainers", "ephemeralContainerStatuses"),
];

/// Pods, a row for each container.
pub static POD: Detail =
    Detail { table: &K8S_POD, kinds: &[("", "Pod")], write: Write::Parts { columns: ("pod", "container"), write } };

/// Adds the rows of a pod's containers. A container that does not fit is told, the others stay.
fn write(meta: &Meta<'_>, origin: Origin<'_>, parts: &mut Parts<'_>) {
    for (kind, specs, statuses) in CONTAINERS {
        let containers = match json::list(meta.object, &["spec", specs]) {
            Ok(found) => found.map(Vec::as_slice).unwrap_or_default(),
            Err(reason) => {
                parts.refused.push(reason);
                continue;
            }
        };
        for (i, container) in containers.iter().enumerate() {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            let filled = set_container(meta, origin, kind, container, statuses, parts.rows);
            parts.end(name, &format!("spec.{specs}[{i}]"), filled);
        }
    }
}

fn set_container(
    meta: &Meta<'_>,
    origin: Origin<'_>,
    kind: &str,
    container: &Value,
    statuses: &str,
    rows: &mut Rows,
) -> Result<(), Reason> {
    let name = json::text(container, &["name"])?.filter(|n| !n.is_empty()).ok_or("name is missing")?;
    let sidecar = kind == "init" && json::text(container, &["restartPolicy"])? == Some("Always");
    meta.set(origin, rows);
    set_pod(meta, rows)?;
    rows.set("container", name)
        .set("container_kind", if sidecar { "sidecar" } else { kind })
        .set("image", json::text(container, &["image"])?);
    set_resources(container, rows)?;
    let statuses = json::list(meta.object, &["status", statuses])?.map(Vec::as_slice).unwrap_or_default();
    if let Some(status) = statuses.iter().find(|s| s.get("name").and_then(Value::as_str) == Some(name)) {
        set_status(status, rows)?;
    }
    Ok(())
}

fn set_pod(meta: &Meta<'_>, rows: &mut Rows) -> Result<(), Reason> {
    let pod = meta.object;
    let text = |path: &[&str]| json::text(pod, path);
    let conditions = json::list(pod, &["status", "conditions"])?.map(Vec::as_slice).unwrap_or_default();
    let ready = conditions.iter().find(|c| c.get("type").and_then(Value::as_str) == Some("Ready"));
    let (workload_kind, workload_name) = workload(meta);
    rows.set("pod", meta.name)
        .set("pod_uid", meta.uid)
        .set("phase", text(&["status", "phase"])?)
        .set("pod_reason", text(&["status", "reason"])?)
        .set("pod_ready", ready.map(|c| c.get("status").and_then(Value::as_str) == Some("True")))
        .set("qos_class", text(&["status", "qosClass"])?)
        .set("node", text(&["spec", "nodeName"])?.filter(|node| !node.is_empty()))
        .set("pod_ip", text(&["status", "podIP"])?)
        .set("service_account", text(&["spec", "serviceAccountName"])?)
        .set("priority_class", text(&["spec", "priorityClassName"])?)
        .set("owner_kind", meta.owner_kind)
        .set("owner_name", meta.owner_name)
        .set("workload_kind", workload_kind)
        .set("workload_name", workload_name)
        .set("creation_timestamp", meta.creation_timestamp.map(Cell::Time))
        .set("deletion_timestamp", meta.deletion_timestamp.map(Cell::Time))
        .set("start_time", json::time(pod, &["status", "startTime"])?.map(Cell::Time))
        .set("labels", json::document(pod, &["metadata", "labels"]));
    Ok(())
}

/// A ReplicaSet that a Deployment made is named after it and the pod template's hash, and its pods carry the hash.
fn workload<'a>(meta: &Meta<'a>) -> (&'a str, &'a str) {
    match (meta.owner_kind, meta.owner_name) {
        (Some("ReplicaSet"), Some(name)) => {
            let above = |label: &str| name.strip_suffix(meta.label(&[label])?)?.strip_suffix('-');
            match (above("pod-template-hash"), above("rollouts-pod-template-hash")) {
                (Some(deployment), _) => ("Deployment", deployment),
                (_, Some(rollout)) => ("Rollout", rollout),
                _ => ("ReplicaSet", name),
            }
        }
        (Some(kind), Some(name)) => (kind, name),
        _ => ("Pod", meta.name),
    }
}

fn set_resources(container: &Value, rows: &mut Rows) -> Result<(), Reason> {
    let part = |name: &str| at(container, &["resources", name]).unwrap_or(&Value::Null);
    let (requests, limits) = (part("requests"), part("limits"));
    for (resources, place, cpu, memory, disk) in [
        (
            requests,
            "resources.requests",
            "cpu_request_cores",
            "memory_request_bytes",
            "ephemeral_storage_request_bytes",
        ),
        (limits, "resources.limits", "cpu_limit_cores", "memory_limit_bytes", "ephemeral_storage_limit_bytes"),
    ] {
        rows.set(cpu, quantity(resources, "cpu", place)?.map(|q| Cell::Decimal(q.decimal())))
            .set(memory, quantity(resources, "memory", place)?.map(|q| q.whole()))
            .set(disk, quantity(resources, "ephemeral-storage", place)?.map(|q| q.whole()));
    }
    let gpus = match accelerators(limits, "resources.limits")? {
        Some(gpus) => Some(gpus),
        None => accelerators(requests, "resources.requests")?,
    };
    rows.set("gpus", gpus);
    Ok(())
}

fn set_status(status: &Value, rows: &mut Rows) -> Result<(), Reason> {
    let (state, detail) = state(status);
    let last = at(status, &["lastState", "terminated"]).unwrap_or(&Value::Null);
    rows.set("image_id", json::text(status, &["imageID"])?.filter(|id| !id.is_empty()))
        .set("ready", json::boolean(status, &["ready"])?)
        .set("restart_count", json::int(status, &["restartCount"])?)
        .set("state", state)
        .set("state_reason", json::text(detail, &["reason"])?)
        .set("state_message", json::text(detail, &["message"])?)
        .set("started_at", json::time(detail, &["startedAt"])?.map(Cell::Time))
        .set("finished_at", json::time(detail, &["finishedAt"])?.map(Cell::Time))
        .set("exit_code", json::int(detail, &["exitCode"])?)
        .set("last_termination_reason", json::text(last, &["reason"])?)
        .set("last_termination_exit_code", json::int(last, &["exitCode"])?)
        .set("last_terminated_at", json::time(last, &["finishedAt"])?.map(Cell::Time));
    Ok(())
}

fn state(status: &Value) -> (Option<&'static str>, &Value) {
    for name in ["running", "waiting", "terminated"] {
        if let Some(detail) = at(status, &["state", name]) {
            return (Some(name), detail);
        }
    }
    (None, &Value::Null)
}
