#![allow(clippy::unwrap_used)]

use engine::Scope;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::shown::{data, fixture, rows};

fn parse(body: &[u8]) -> Parsed {
    objects(body, &Scope::platform("test"), "lab").unwrap()
}

fn parsed(name: &str) -> Parsed {
    let parsed = parse(&fixture(&format!("k8s/{name}")));
    assert!(parsed.rejects.is_empty(), "{name}: {:?}", parsed.rejects);
    parsed
}

/// `expected` must hold every member of its own; the row may have more.
fn check(row: &Value, expected: Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(row.get(name).unwrap_or(&Value::Null), value, "{name} of {row}");
    }
}

#[test]
fn nodes_of_a_list() {
    let parsed = parsed("nodes.json");
    assert_eq!(parsed.accepted, 7);
    let nodes = rows(&parsed, &K8S_NODE);
    assert_eq!((nodes.len(), rows(&parsed, &K8S_OBJECT).len()), (7, 7));
    let gpu: Vec<_> = nodes.iter().filter(|n| n["capacity_gpus"] == 1).collect();
    assert_eq!(gpu.len(), 1);
    assert!(gpu[0]["name"].as_str().unwrap().starts_with("ip-172-31-21-92"));
    check(
        gpu[0],
        json!({"ready": true, "unschedulable": false, "cluster": "lab", "tenant": "default", "architecture": "x86_64", "namespace": ""}),
    );
    for node in &nodes {
        assert!(node["capacity_memory_bytes"].as_i64().unwrap() > 1 << 30, "{node}");
        assert!(node["kubelet_version"].is_string());
    }
}

#[test]
fn pods_in_trouble() {
    for (name, expected) in [
        (
            "pods-pod-crashloop-backoff.json",
            json!({"phase": "Running", "state": "waiting", "state_reason": "CrashLoopBackOff", "restart_count": 4, "ready": false,
                "last_termination_reason": "ContainerCannotRun", "last_termination_exit_code": 127, "container": "nginx",
                "container_kind": "container", "pod_ready": false, "qos_class": "BestEffort"}),
        ),
        (
            "pods-oomkill-pod.json",
            json!({"state": "terminated", "state_reason": "OOMKilled", "exit_code": 137, "phase": "Failed", "workload_kind": "Job"}),
        ),
        ("pods-image-pull-fail.json", json!({"state": "waiting", "phase": "Pending"})),
        ("pods-pending-pod-resources.json", json!({"phase": "Pending"})),
        ("pods-pod-init-crashloop-backoff.json", json!({"phase": "Pending"})),
    ] {
        let parsed = parsed(name);
        let pods = rows(&parsed, &K8S_POD);
        assert!(
            pods.iter().any(|row| expected.as_object().unwrap().iter().all(|(k, v)| row.get(k) == Some(v))),
            "{name}: {pods:#?}"
        );
    }
}

#[test]
fn a_pod_has_a_row_for_each_container() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-7d4b9c6f5-x2x2x", "namespace": "shop", "uid": "u1", "creationTimestamp": "2024-05-01T10:00:00Z",
            "labels": {"app.kubernetes.io/name": "web", "tenant": "acme", "env": "prod", "cost-center": "4711", "pod-template-hash": "7d4b9c6f5"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-7d4b9c6f5", "controller": true}],
            "managedFields": [{"manager": "kubectl"}]},
        "spec": {"nodeName": "n1",
            "initContainers": [{"name": "setup", "image": "busybox"}, {"name": "mesh", "image": "envoy", "restartPolicy": "Always"}],
            "containers": [{"name": "web", "image": "nginx:1", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"},
                "limits": {"cpu": 2, "memory": "1Gi", "nvidia.com/gpu": "1"}}}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "web", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": "2024-05-01T10:00:05Z"}}}]}
    });
    let parsed = parse(pod.to_string().as_bytes());
    let pods = rows(&parsed, &K8S_POD);
    let kinds: Vec<_> = pods.iter().map(|p| p["container_kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["init", "sidecar", "container"]);
    check(
        &pods[2],
        json!({"tenant": "acme", "env": "prod", "app": "web", "cost_center": "4711", "workload_kind": "Deployment",
        "workload_name": "web", "cpu_request_cores": 0.1, "cpu_limit_cores": 2.0, "memory_request_bytes": 64 << 20,
        "memory_limit_bytes": 1 << 30, "gpus": 1, "state": "running", "started_at": "2024-05-01T10:00:05Z", "node": "n1"}),
    );
    check(&pods[0], json!({"cpu_limit_cores": null, "memory_limit_bytes": null, "state": null}));
    let object = &rows(&parsed, &K8S_OBJECT)[0];
    assert!(!object["object"].as_str().unwrap().contains("managedFields"));
}

#[test]
fn events_of_both_apis() {
    let listed = parsed("events-image-pull-fail.json");
    assert_eq!(rows(&listed, &K8S_EVENT).len(), 17);
    let newer = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e", "namespace": "d"},
        "type": "Warning", "reason": "BackOff", "note": "again", "eventTime": "2024-05-01T10:00:00.123456Z",
        "series": {"count": 7, "lastObservedTime": "2024-05-01T11:00:00Z"}, "reportingController": "kubelet",
        "regarding": {"kind": "Pod", "namespace": "d", "name": "p"}});
    let row = rows(&parse(newer.to_string().as_bytes()), &K8S_EVENT).remove(0);
    check(
        &row,
        json!({"event_type": "Warning", "note": "again", "count": 7, "first_seen": "2024-05-01T10:00:00.123456Z",
        "last_seen": "2024-05-01T11:00:00Z", "involved_kind": "Pod", "source_component": "kubelet"}),
    );
}

#[test]
fn every_other_kind_is_an_object() {
    for (name, kind, count) in [
        ("deployments.json", "Deployment", 4),
        ("namespaces.json", "Namespace", 5),
        ("configmaps.json", "ConfigMap", 1),
        ("deployment-live.yaml", "Deployment", 1),
        ("networkpolicies.yaml", "NetworkPolicy", 3),
        ("crd-acraccesstokens.yaml", "CustomResourceDefinition", 1),
    ] {
        let found = rows(&parsed(name), &K8S_OBJECT);
        assert!(found.iter().all(|row| row["kind"] == kind), "{name}");
        assert_eq!(found.len(), count, "{name}");
    }
}

#[test]
fn a_watch_takes_away_what_is_gone() {
    let event = |what: &str, kind: &str| {
        json!({"type": what, "object": {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x", "namespace": "d"},
            "spec": {"containers": [{"name": "a"}, {"name": "b"}]}}})
        .to_string()
    };
    let stream = [event("ADDED", "Pod"), event("DELETED", "Pod"), event("DELETED", "Node"), event("DELETED", "Event")]
        .join("\n");
    let parsed = parse(stream.as_bytes());
    assert_eq!((parsed.accepted, parsed.rejects.len()), (4, 0));
    let ops = |table| rows(&parsed, table).iter().map(|row| row["_op"].as_i64()).collect::<Vec<_>>();
    assert_eq!(ops(&K8S_OBJECT), [None, Some(1), Some(1), Some(1)]);
    assert_eq!(ops(&K8S_POD), [None, None, Some(1), Some(1)]);
    assert_eq!(ops(&K8S_NODE), [Some(1)]);
    assert!(ops(&K8S_EVENT).is_empty());
}

#[test]
fn nonsense_is_refused_and_its_neighbours_stay() {
    let list = json!({"kind": "List", "apiVersion": "v1", "items": [
        {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}, "spec": {"containers": [
            {"name": "bad", "resources": {"limits": {"cpu": "fast"}}}, {"name": "good"}]}},
        {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n"}, "status": {"capacity": {"memory": "-"}}},
        {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c", "creationTimestamp": 12}},
        {"kind": "ConfigMap", "apiVersion": "v1"},
        {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "fine"}},
        7
    ]});
    let parsed = parse(list.to_string().as_bytes());
    assert_eq!(parsed.accepted, 3);
    let reasons: Vec<_> = parsed.rejects.iter().map(|r| r.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "not an object",
            "spec.containers[0]: resources.limits.cpu: no quantity: \"fast\"",
            "status.capacity.memory: no quantity: \"-\"",
            "metadata.creationTimestamp is not text: 12",
            "metadata.name is missing"
        ]
    );
    assert_eq!(rows(&parsed, &K8S_POD).len(), 1);
    assert_eq!(rows(&parsed, &K8S_OBJECT).len(), 3);
}

#[test]
fn a_secret_is_kept_without_its_values() {
    for body in [
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\ndata:\n  key: aHVudGVyMg==\nstringData: {plain: aHVudGVyMg==}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {}\ndata:\n  key: aHVudGVyMg==\n",
    ] {
        let shown = format!("{:?}", parse(body.as_bytes()));
        assert!(!shown.contains("aHVudGVyMg"), "{shown}");
    }
}

#[test]
fn a_large_body_becomes_several_units_with_keys_of_their_own() {
    let pod = |i: usize| {
        format!(
            r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"c{i}"}},"data":{{"x":"{}"}}}}"#,
            "y".repeat(100_000)
        )
    };
    let body = (0..100).map(pod).collect::<Vec<_>>().join("\n");
    let units = units(body.as_bytes(), &Scope::platform("t"), "lab", Some("key"));
    assert!(units.len() > 1);
    assert_eq!(units.iter().map(|u| u.accepted).sum::<u64>(), 100);
    let keys: Vec<_> = units.iter().map(|u| u.idempotency.as_ref().unwrap().key.as_str()).collect();
    assert_eq!(&keys[..2], ["k8s:sent:lab:all::key:0", "k8s:sent:lab:all::key:1"]);
}

#[test]
fn every_file_of_the_data_parses() {
    for path in data("k8s") {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if !matches!(extension, "json" | "yaml" | "yml") || path.ends_with("swagger.json") {
            continue;
        }
        let parsed = parse(&std::fs::read(&path).unwrap());
        assert!(parsed.rejects.is_empty(), "{}: {:?}", path.display(), parsed.rejects[0].reason);
        assert!(parsed.accepted > 0, "{}", path.display());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(body in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&body);
    }

    #[test]
    fn any_text_is_read(body in "[\\[\\]{}:,\"a-z0-9 \n&*!|>#%-]{0,200}") {
        let parsed = parse(body.as_bytes());
        prop_assert_eq!(parsed.accepted, 0);
    }
}
