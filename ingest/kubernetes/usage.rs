//! `k8s_usage`: what pods and nodes really took, as `metrics.k8s.io` tells it, or a scrape of a kubelet.

use engine::{Column, Rows, Table, Type, Value as Cell};
use serde_json::Value;

use super::meta::{Meta, Origin};
use super::resources::quantity;
use crate::json::{self, Reason, at};

/// Samples of usage.
pub static K8S_USAGE: Table = Table {
    key: &["cluster", "kind", "namespace", "name", "container", "time"],
    retention_days: Some(400),
    ..Table::new(
        "k8s_usage",
        "CPU and memory that containers and nodes used, one row a container (or node) and sample: of `metrics.k8s.io`, or of a Prometheus scrape of a kubelet's `/metrics/resource`.",
        &[
            Column::new("tenant", Type::Name, "Label `tenant` of the pod, else the sender's tenant.").required(),
            Column::new("cluster", Type::Name, "Name of the cluster, as the sender gave it.").required(),
            Column::new("kind", Type::Name, "`Pod` or `Node`.").required(),
            Column::new("namespace", Type::Name, "Namespace of the pod; empty for a node.").required(),
            Column::new("name", Type::Text, "Name of the pod or node; joins `k8s_pod.pod`, `k8s_node.name`.")
                .required(),
            Column::new("container", Type::Text, "Name of the container; empty for a node.").required(),
            Column::new("time", Type::Time, "End of the window that was measured.").required(),
            Column::new("window_seconds", Type::Float, "Length of the window.").unit("seconds"),
            Column::new("cpu_cores", Type::Decimal, "CPU over the window; null in a scrape.").unit("cores"),
            Column::new(
                "cpu_seconds_total",
                Type::Float,
                "CPU since its start, of a scrape: the difference of two samples is what was used between them.",
            )
            .unit("seconds"),
            Column::new("memory_bytes", Type::Int, "Memory at the end of the window (working set).").unit("bytes"),
            Column::new("env", Type::Name, "Label `env` or `environment`."),
            Column::new("app", Type::Name, "Label `app.kubernetes.io/name`, `app` or `k8s-app`."),
            Column::new("version", Type::Name, "Label `app.kubernetes.io/version` or `version`."),
            Column::new("cost_center", Type::Name, "Label `cost-center`."),
        ],
    )
};

/// Whether the object is a sample rather than an object of the cluster.
pub fn is_sample(meta: &Meta<'_>) -> bool {
    meta.api_group == "metrics.k8s.io" && matches!(meta.kind, "PodMetrics" | "NodeMetrics")
}

/// Adds the rows of a sample.
pub fn write(meta: &Meta<'_>, origin: Origin<'_>, rows: &mut Rows) -> Vec<Reason> {
    let none = [];
    let containers: Vec<(&str, &Value)> = match meta.kind {
        "NodeMetrics" => vec![("", at(meta.object, &["usage"]).unwrap_or(&Value::Null))],
        _ => {
            let listed =
                at(meta.object, &["containers"]).and_then(Value::as_array).map_or(none.as_slice(), Vec::as_slice);
            listed
                .iter()
                .map(|c| {
                    (c.get("name").and_then(Value::as_str).unwrap_or_default(), c.get("usage").unwrap_or(&Value::Null))
                })
                .collect()
        }
    };
    let mut refused = Vec::new();
    for (container, usage) in containers {
        if let Err(reason) = sample(meta, origin, container, usage, rows) {
            rows.abandon_row();
            refused.push(reason);
        }
    }
    refused
}

fn sample(meta: &Meta<'_>, origin: Origin<'_>, container: &str, usage: &Value, rows: &mut Rows) -> Result<(), Reason> {
    let window = json::text(meta.object, &["window"])?.and_then(seconds);
    meta.set(origin, rows);
    rows.set("kind", meta.kind.trim_end_matches("Metrics"))
        .set("name", meta.name)
        .set("container", container)
        .set("time", json::time(meta.object, &["timestamp"])?.map(Cell::Time))
        .set("window_seconds", window)
        .set("cpu_cores", quantity(usage, "cpu", "usage")?.map(|q| Cell::Decimal(q.decimal())))
        .set("memory_bytes", quantity(usage, "memory", "usage")?.map(|q| q.whole()));
    rows.end_row().map_err(|e| e.to_string())
}

/// A duration of Go (`30s`, `1m15.5s`) in seconds.
fn seconds(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        sum += number
            * match &rest[end..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_go() {
        for (text, expected) in
            [("30s", Some(30.0)), ("1m15.5s", Some(75.5)), ("500ms", Some(0.5)), ("1x", None), ("s", None)]
        {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
