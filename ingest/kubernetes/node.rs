//! `k8s_node`: what a cluster can run on.

use engine::{Column, Rows, Table, Type};
use serde_json::Value;

use super::detail::{Detail, Write};
use super::meta::{Meta, Origin};
use super::resources::{accelerators, quantity};
use crate::json::{self, Reason, at};

/// Nodes with what they offer.
pub static K8S_NODE: Table = Table {
    key: &["cluster", "name"],
    time: "ingested_at",
    ..Table::new(
        "k8s_node",
        "The last seen state of every Kubernetes node: capacity, what pods may use of it, system, place, conditions.",
        &[
            Column::new("tenant", Type::Name, "Label `tenant`, else the sender's tenant.").required(),
            Column::new("cluster", Type::Name, "Name of the cluster, as the sender gave it.").required(),
            Column::new("namespace", Type::Name, "Always empty: a node belongs to the cluster."),
            Column::new("name", Type::Text, "Name of the node; `k8s_pod.node` joins it.").required(),
            Column::new("uid", Type::Text, "Identity over the node's whole life."),
            Column::new("creation_timestamp", Type::Time, "When the node joined."),
            Column::new("env", Type::Name, "Label `env` or `environment`."),
            Column::new("app", Type::Name, "Label `app.kubernetes.io/name`, `app` or `k8s-app`."),
            Column::new("version", Type::Name, "Label `app.kubernetes.io/version` or `version`."),
            Column::new("cost_center", Type::Name, "Label `cost-center`."),
            Column::new("roles", Type::Name, "Roles from `node-role.kubernetes.io/…`, sorted, with commas."),
            Column::new("instance_type", Type::Name, "Machine type of the cloud (`Standard_D4s_v5`)."),
            Column::new("region", Type::Name, "Region of the cloud."),
            Column::new("zone", Type::Name, "Availability zone."),
            Column::new("provider_id", Type::Text, "The machine's id at its cloud; joins cost by resource."),
            Column::new("capacity_cpu_cores", Type::Decimal, "CPU of the machine.").unit("cores"),
            Column::new("capacity_memory_bytes", Type::Int, "Memory of the machine.").unit("bytes"),
            Column::new("capacity_pods", Type::Int, "Pods that the machine takes."),
            Column::new("capacity_gpus", Type::Int, "GPUs of the machine, of every vendor."),
            Column::new("allocatable_cpu_cores", Type::Decimal, "CPU that pods may use.").unit("cores"),
            Column::new("allocatable_memory_bytes", Type::Int, "Memory that pods may use.").unit("bytes"),
            Column::new("allocatable_pods", Type::Int, "Pods that may run."),
            Column::new("allocatable_gpus", Type::Int, "GPUs that pods may use."),
            Column::new("ready", Type::Bool, "Condition Ready; null if the node reports none."),
            Column::new("memory_pressure", Type::Bool, "Condition MemoryPressure."),
            Column::new("disk_pressure", Type::Bool, "Condition DiskPressure."),
            Column::new("pid_pressure", Type::Bool, "Condition PIDPressure."),
            Column::new("network_unavailable", Type::Bool, "Condition NetworkUnavailable."),
            Column::new("unschedulable", Type::Bool, "Cordoned: takes no new pods.").required(),
            Column::new("kubelet_version", Type::Name, "Version of the kubelet."),
            Column::new("container_runtime_version", Type::Name, "Container runtime with its version."),
            Column::new("kernel_version", Type::Name, "Version of the kernel."),
            Column::new("os_image", Type::Name, "Name of the operating system's image."),
            Column::new("operating_system", Type::Name, "`linux` or `windows`."),
            Column::new("architecture", Type::Name, "`amd64`, `arm64` …"),
            Column::new("internal_ip", Type::Text, "First address of type InternalIP."),
            Column::new("external_ip", Type::Text, "First address of type ExternalIP."),
            Column::new("taints", Type::Json, "The list `spec.taints`."),
            Column::new("conditions", Type::Json, "The list `status.conditions`."),
            Column::new("addresses", Type::Json, "The list `status.addresses`."),
            Column::new("labels", Type::Json, "All labels."),
        ],
    )
};

/// Nodes.
pub static NODE: Detail = Detail { table: &K8S_NODE, kinds: &[("", "Node")], write: Write::Own(write) };

fn write(meta: &Meta<'_>, origin: Origin<'_>, rows: &mut Rows) -> Result<(), Reason> {
    let object = meta.object;
    let info = |name: &str| json::text(object, &["status", "nodeInfo", name]);
    let list = |path: &[&str]| json::list(object, path).map(|found| found.map(|_| json::document(object, path)));
    meta.set(origin, rows);
    rows.set("name", meta.name)
        .set("uid", meta.uid)
        .set("creation_timestamp", meta.creation_timestamp.map(engine::Value::Time))
        .set("roles", roles(object))
        .set("instance_type", meta.label(&["node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"]))
        .set("region", meta.label(&["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"]))
        .set("zone", meta.label(&["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"]))
        .set("provider_id", json::text(object, &["spec", "providerID"])?)
        .set("unschedulable", json::boolean(object, &["spec", "unschedulable"])?.unwrap_or(false))
        .set("kubelet_version", info("kubeletVersion")?)
        .set("container_runtime_version", info("containerRuntimeVersion")?)
        .set("kernel_version", info("kernelVersion")?)
        .set("os_image", info("osImage")?)
        .set("operating_system", info("operatingSystem")?)
        .set("architecture", info("architecture")?)
        .set("internal_ip", address(object, "InternalIP"))
        .set("external_ip", address(object, "ExternalIP"))
        .set("taints", list(&["spec", "taints"])?)
        .set("conditions", list(&["status", "conditions"])?)
        .set("addresses", list(&["status", "addresses"])?)
        .set("labels", json::document(object, &["metadata", "labels"]));
    for (column, kind) in [
        ("ready", "Ready"),
        ("memory_pressure", "MemoryPressure"),
        ("disk_pressure", "DiskPressure"),
        ("pid_pressure", "PIDPressure"),
        ("network_unavailable", "NetworkUnavailable"),
    ] {
        rows.set(column, condition(object, kind));
    }
    for (member, cpu, memory, pods, gpus) in [
        ("capacity", "capacity_cpu_cores", "capacity_memory_bytes", "capacity_pods", "capacity_gpus"),
        ("allocatable", "allocatable_cpu_cores", "allocatable_memory_bytes", "allocatable_pods", "allocatable_gpus"),
    ] {
        let offer = at(object, &["status", member]).unwrap_or(&Value::Null);
        let place = format!("status.{member}");
        rows.set(cpu, quantity(offer, "cpu", &place)?.map(|q| engine::Value::Decimal(q.decimal())))
            .set(memory, quantity(offer, "memory", &place)?.map(|q| q.whole()))
            .set(pods, quantity(offer, "pods", &place)?.map(|q| q.whole()))
            .set(gpus, accelerators(offer, &place)?);
    }
    rows.end_row().map_err(|e| e.to_string())
}

fn roles(object: &Value) -> Option<String> {
    let labels = at(object, &["metadata", "labels"])?.as_object()?;
    let mut roles: Vec<&str> = labels.keys().filter_map(|key| key.strip_prefix("node-role.kubernetes.io/")).collect();
    roles.extend(labels.get("kubernetes.io/role").and_then(Value::as_str));
    roles.sort_unstable();
    roles.dedup();
    (!roles.is_empty()).then(|| roles.join(","))
}

fn condition(object: &Value, kind: &str) -> Option<bool> {
    let conditions = at(object, &["status", "conditions"])?.as_array()?;
    let found = conditions.iter().find(|c| c.get("type").and_then(Value::as_str) == Some(kind))?;
    match found.get("status").and_then(Value::as_str)? {
        "True" => Some(true),
        // A node that no longer reports is not ready; whether its disk is full is unknown.
        "Unknown" if kind == "Ready" => Some(false),
        "False" => Some(false),
        _ => None,
    }
}

fn address<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let addresses = at(object, &["status", "addresses"])?.as_array()?;
    let found = addresses.iter().find(|a| a.get("type").and_then(Value::as_str) == Some(kind))?;
    found.get("address")?.as_str()
}
