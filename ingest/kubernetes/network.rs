//! Who reaches whom: `k8s_service`, `k8s_ingress`, `k8s_network_policy`.

use engine::{Column, Table, Type};
use serde_json::{Value, json};

use super::cells::{Cells, object_columns};
use super::detail::{Detail, Write};
use super::meta::Meta;
use crate::json::{self, Reason, at};

/// Services.
pub static K8S_SERVICE: Table = Table {
    key: &["cluster", "namespace", "name"],
    time: "ingested_at",
    ..Table::new(
        "k8s_service",
        "The last seen state of every Service.",
        object_columns![
            Column::new("service_type", Type::Name, "`ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`."),
            Column::new("cluster_ip", Type::Text, "Address within the cluster; `None` for a headless Service."),
            Column::new("external_name", Type::Text, "The name that it stands for (`ExternalName`)."),
            Column::new("load_balancer_class", Type::Name, "Which load balancer serves it."),
            Column::new("load_balancer_addresses", Type::Json, "Addresses and names of the load balancer."),
            Column::new("external_traffic_policy", Type::Name, "`Cluster` or `Local`."),
            Column::new("ports", Type::Json, "The list `spec.ports`."),
            Column::new(
                "selector",
                Type::Json,
                "Labels of the pods behind it; null if its endpoints are made by hand."
            ),
        ],
    )
};

/// Ingresses.
pub static K8S_INGRESS: Table = Table {
    key: &["cluster", "namespace", "name"],
    time: "ingested_at",
    ..Table::new(
        "k8s_ingress",
        "The last seen state of every Ingress.",
        object_columns![
            Column::new("ingress_class", Type::Name, "Class, by field or by the older annotation."),
            Column::new("hosts", Type::Json, "Hosts of its rules, in their order."),
            Column::new("tls_hosts", Type::Json, "Hosts that have a certificate."),
            Column::new("backends", Type::Json, "One `{host, path, path_type, service, port}` for each path."),
            Column::new("load_balancer_addresses", Type::Json, "Addresses and names of the load balancer."),
        ],
    )
};

/// NetworkPolicies.
pub static K8S_NETWORK_POLICY: Table = Table {
    key: &["cluster", "namespace", "name"],
    time: "ingested_at",
    ..Table::new(
        "k8s_network_policy",
        "The last seen state of every NetworkPolicy, and whether it denies by default.",
        object_columns![
            Column::new("pod_selector", Type::Json, "Pods that it is about; `{}` is all of the namespace."),
            Column::new("selects_all_pods", Type::Bool, "It is about every pod of its namespace."),
            Column::new(
                "policy_types",
                Type::Json,
                "`Ingress`, `Egress`, as written or as they follow from its rules."
            ),
            Column::new("ingress_rules", Type::Int, "Rules that let traffic in."),
            Column::new("egress_rules", Type::Int, "Rules that let traffic out."),
            Column::new("denies_ingress", Type::Bool, "It governs ingress of all pods and lets nothing in."),
            Column::new("denies_egress", Type::Bool, "It governs egress of all pods and lets nothing out."),
            Column::new("ingress", Type::Json, "The list `spec.ingress`."),
            Column::new("egress", Type::Json, "The list `spec.egress`."),
        ],
    )
};

/// Services.
pub static SERVICE: Detail = Detail { table: &K8S_SERVICE, kinds: &[("", "Service")], write: Write::One(service) };
/// Ingresses.
pub static INGRESS: Detail = Detail {
    table: &K8S_INGRESS,
    kinds: &[("networking.k8s.io", "Ingress"), ("extensions", "Ingress")],
    write: Write::One(ingress),
};
/// NetworkPolicies.
pub static NETWORK_POLICY: Detail = Detail {
    table: &K8S_NETWORK_POLICY,
    kinds: &[("networking.k8s.io", "NetworkPolicy"), ("extensions", "NetworkPolicy")],
    write: Write::One(network_policy),
};

fn service(meta: &Meta<'_>, cells: &mut Cells<'_, '_>) -> Result<(), Reason> {
    cells
        .text("service_type", "spec.type")?
        .text("cluster_ip", "spec.clusterIP")?
        .text("external_name", "spec.externalName")?
        .text("load_balancer_class", "spec.loadBalancerClass")?
        .set("load_balancer_addresses", addresses(meta.object))
        .text("external_traffic_policy", "spec.externalTrafficPolicy")?
        .json("ports", "spec.ports")?
        .json("selector", "spec.selector")?;
    Ok(())
}

fn addresses(object: &Value) -> Option<String> {
    let ends = at(object, &["status", "loadBalancer", "ingress"])?.as_array()?;
    let word = |end: &Value| end.get("ip").or_else(|| end.get("hostname")).cloned();
    serde_json::to_string(&ends.iter().filter_map(word).collect::<Vec<_>>()).ok()
}

fn ingress(meta: &Meta<'_>, cells: &mut Cells<'_, '_>) -> Result<(), Reason> {
    const CLASS: &[&str] = &["metadata", "annotations", "kubernetes.io/ingress.class"];
    let object = meta.object;
    let class = json::text(object, &["spec", "ingressClassName"])?.or(json::text(object, CLASS)?);
    let rules = json::list(object, &["spec", "rules"])?.map(Vec::as_slice).unwrap_or_default();
    let tls = json::list(object, &["spec", "tls"])?.map(Vec::as_slice).unwrap_or_default();
    let tls_hosts: Vec<&Value> = tls.iter().filter_map(|entry| entry.get("hosts")?.as_array()).flatten().collect();
    let hosts: Vec<&Value> = rules.iter().filter_map(|rule| rule.get("host")).collect();
    let backends: Vec<Value> = rules.iter().flat_map(backends).collect();
    cells
        .set("ingress_class", class)
        .set("hosts", json!(hosts).to_string())
        .set("tls_hosts", json!(tls_hosts).to_string())
        .set("backends", json!(backends).to_string())
        .set("load_balancer_addresses", addresses(object));
    Ok(())
}

/// The paths of one rule, of `networking.k8s.io/v1` and of the betas before it.
fn backends(rule: &Value) -> Vec<Value> {
    let paths = at(rule, &["http", "paths"]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let one = |path: &Value| {
        let get = |names: &[&str]| at(path, names).cloned().unwrap_or(Value::Null);
        let either = |one: Value, other: Value| if one.is_null() { other } else { one };
        let port = either(get(&["backend", "service", "port", "number"]), get(&["backend", "service", "port", "name"]));
        json!({
            "host": rule.get("host"),
            "path": get(&["path"]),
            "path_type": get(&["pathType"]),
            "service": either(get(&["backend", "service", "name"]), get(&["backend", "serviceName"])),
            "port": either(port, get(&["backend", "servicePort"])),
        })
    };
    paths.iter().map(one).collect()
}

fn network_policy(meta: &Meta<'_>, cells: &mut Cells<'_, '_>) -> Result<(), Reason> {
    let object = meta.object;
    let selects_all = match json::object(object, &["spec", "podSelector"])? {
        None => true,
        Some(selector) => selector.values().all(|part| {
            part.is_null()
                || part.as_object().is_some_and(|m| m.is_empty())
                || part.as_array().is_some_and(Vec::is_empty)
        }),
    };
    let rules = |name: &str| json::list(object, &["spec", name]).map(|rules| rules.map_or(0, Vec::len));
    let (ins, outs) = (rules("ingress")?, rules("egress")?);
    // Where the types are not written, a policy is about ingress, and about egress if it has rules for it.
    let types: Vec<&str> = match json::list(object, &["spec", "policyTypes"])? {
        Some(types) => types.iter().filter_map(Value::as_str).collect(),
        None if outs > 0 => vec!["Ingress", "Egress"],
        None => vec!["Ingress"],
    };
    cells
        .json("pod_selector", "spec.podSelector")?
        .set("selects_all_pods", selects_all)
        .set("policy_types", json!(types).to_string())
        .set("ingress_rules", i64::try_from(ins).ok())
        .set("egress_rules", i64::try_from(outs).ok())
        .set("denies_ingress", selects_all && types.contains(&"Ingress") && ins == 0)
        .set("denies_egress", selects_all && types.contains(&"Egress") && outs == 0)
        .json("ingress", "spec.ingress")?
        .json("egress", "spec.egress")?;
    Ok(())
}
