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
fn kinds_with_a_table_of_their_own() {
    let meta = json!({"name": "x", "namespace": "shop", "labels": {"team": "a"}, "annotations": {"b": "c"},
        "ownerReferences": [{"kind": "Owner", "name": "o", "controller": true}], "creationTimestamp": "2024-05-01T10:00:00Z"});
    let container = json!({"name": "c", "image": "web:1", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"nvidia.com/gpu": 1}}});
    let template = json!({"spec": {"serviceAccountName": "sa", "containers": [container]}});
    let check_row = |api: &str, kind: &str, rest: Value, table, expected: Value| {
        let mut object = json!({"apiVersion": api, "kind": kind, "metadata": meta.clone()});
        rest.as_object().unwrap().iter().for_each(|(name, value)| object[name] = value.clone());
        let parsed = parse(object.to_string().as_bytes());
        assert!(parsed.rejects.is_empty(), "{kind}: {:?}", parsed.rejects);
        let found = rows(&parsed, table);
        check(
            &found[0],
            json!({"namespace": "shop", "name": "x", "owner_kind": "Owner", "labels": "{\"team\":\"a\"}"}),
        );
        check(&found[0], expected);
        assert_eq!(rows(&parsed, &K8S_OBJECT).len(), 1);
    };
    check_row(
        "apps/v1",
        "Deployment",
        json!({"spec": {"replicas": 3, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}, "template": template},
            "status": {"readyReplicas": 2, "conditions": [{"type": "Available", "status": "True"}, {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]}}),
        &K8S_DEPLOYMENT,
        json!({"replicas": 3, "replicas_ready": 2, "replicas_updated": 0, "max_surge": "25%", "max_unavailable": "0", "available": true,
            "progressing": false, "progressing_reason": "ProgressDeadlineExceeded", "images": "[\"web:1\"]", "cpu_request_cores": 0.5,
            "memory_request_bytes": 1 << 30, "cpu_limit_cores": null, "gpus": 1, "service_account": "sa"}),
    );
    check_row(
        "apps/v1",
        "DaemonSet",
        json!({"spec": {"template": template}, "status": {"desiredNumberScheduled": 4, "numberReady": 3, "numberUnavailable": 1}}),
        &K8S_DAEMON_SET,
        json!({"replicas": 4, "replicas_ready": 3, "replicas_unavailable": 1, "replicas_misscheduled": 0}),
    );
    check_row(
        "apps/v1",
        "StatefulSet",
        json!({"spec": {"replicas": 2, "serviceName": "s", "template": template}}),
        &K8S_STATEFUL_SET,
        json!({"replicas": 2, "replicas_ready": null, "service_name": "s"}),
    );
    check_row(
        "batch/v1",
        "Job",
        json!({"spec": {"template": template, "backoffLimit": 2}, "status": {"failed": 3, "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}}),
        &K8S_JOB,
        json!({"state": "Failed", "reason": "BackoffLimitExceeded", "failed": 3, "succeeded": 0}),
    );
    check_row(
        "batch/v1",
        "CronJob",
        json!({"spec": {"schedule": "0 * * * *", "suspend": true, "jobTemplate": {"spec": {"template": template}}}, "status": {"active": [{}, {}]}}),
        &K8S_CRON_JOB,
        json!({"schedule": "0 * * * *", "suspended": true, "active": 2, "images": "[\"web:1\"]"}),
    );
    check_row(
        "v1",
        "Service",
        json!({"spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}, {"hostname": "h"}]}}}),
        &K8S_SERVICE,
        json!({"service_type": "LoadBalancer", "cluster_ip": "10.0.0.1", "load_balancer_addresses": "[\"1.2.3.4\",\"h\"]"}),
    );
    check_row(
        "networking.k8s.io/v1",
        "Ingress",
        json!({"spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["a.b"]}], "rules": [{"host": "a.b", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}}),
        &K8S_INGRESS,
        json!({"ingress_class": "nginx", "hosts": "[\"a.b\"]", "tls_hosts": "[\"a.b\"]",
            "backends": "[{\"host\":\"a.b\",\"path\":\"/\",\"path_type\":\"Prefix\",\"service\":\"web\",\"port\":80}]"}),
    );
    check_row(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        json!({"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": [{}]}}),
        &K8S_NETWORK_POLICY,
        json!({"selects_all_pods": true, "denies_ingress": true, "denies_egress": false, "egress_rules": 1}),
    );
    check_row(
        "v1",
        "PersistentVolumeClaim",
        json!({"spec": {"resources": {"requests": {"storage": "8Gi"}}, "volumeName": "pv"}, "status": {"phase": "Bound", "capacity": {"storage": "10Gi"}}}),
        &K8S_PERSISTENT_VOLUME_CLAIM,
        json!({"request_bytes": 8_i64 << 30, "capacity_bytes": 10_i64 << 30, "phase": "Bound", "volume_name": "pv"}),
    );
    check_row(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 9}, "status": {"currentReplicas": 2, "conditions": [{"type": "ScalingActive", "status": "False"}]}}),
        &K8S_HORIZONTAL_POD_AUTOSCALER,
        json!({"target_name": "web", "max_replicas": 9, "current_replicas": 2, "desired_replicas": 0, "scaling_active": false}),
    );
    check_row(
        "argoproj.io/v1alpha1",
        "Application",
        json!({"spec": {"project": "p", "destination": {"namespace": "n"}}, "status": {"sync": {"status": "OutOfSync"}, "health": {"status": "Degraded"}}}),
        &K8S_CUSTOM_RESOURCE,
        json!({"api_group": "argoproj.io", "kind": "Application", "phase": "Degraded",
            "fields": "{\"destination_namespace\":\"n\",\"health_status\":\"Degraded\",\"project\":\"p\",\"sync_status\":\"OutOfSync\"}"}),
    );
    check_row(
        "external-secrets.io/v1",
        "ExternalSecret",
        json!({"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "SecretSyncedError", "message": "no"}]}}),
        &K8S_CUSTOM_RESOURCE,
        json!({"ready": false, "reason": "SecretSyncedError", "message": "no"}),
    );
}

#[test]
fn kinds_with_a_row_for_each_part() {
    let object = |kind: &str, api: &str, rest: Value| {
        let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x", "namespace": "shop"}});
        rest.as_object().unwrap().iter().for_each(|(name, value)| object[name] = value.clone());
        object
    };
    let quota = object(
        "ResourceQuota",
        "v1",
        json!({"spec": {"hard": {"pods": "10", "requests.cpu": "4"}}, "status": {"used": {"pods": "3"}}}),
    );
    let limits = object(
        "LimitRange",
        "v1",
        json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "default": {"cpu": "500m", "memory": "1Gi"}}]}}),
    );
    let binding = object(
        "RoleBinding",
        "rbac.authorization.k8s.io/v1",
        json!({"roleRef": {"kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "User", "name": "jane"}, {"kind": "ServiceAccount", "name": "web", "namespace": "shop"}]}),
    );
    let parsed = parse(json!([quota, limits, binding]).to_string().as_bytes());
    assert!(parsed.rejects.is_empty(), "{:?}", parsed.rejects);
    let found = rows(&parsed, &K8S_RESOURCE_QUOTA);
    check(&found[0], json!({"resource": "pods", "hard": 10.0, "used": 3.0}));
    check(&found[1], json!({"resource": "requests.cpu", "hard": 4.0, "used": null}));
    let found = rows(&parsed, &K8S_LIMIT_RANGE);
    check(&found[0], json!({"limit": "Container/cpu", "max": 2.0, "default_limit": 0.5}));
    check(&found[1], json!({"limit": "Container/memory", "max": null}));
    let subjects: Vec<_> = rows(&parsed, &K8S_ROLE_BINDING).into_iter().map(|row| row["subject"].clone()).collect();
    assert_eq!(subjects, ["User:jane", "ServiceAccount:shop/web"]);
    // Their ends are those of the parts.
    let ends = json!({"type": "DELETED", "object": quota}).to_string()
        + &json!({"type": "DELETED", "object": binding}).to_string();
    let ended = parse(ends.as_bytes());
    let ops = |table| rows(&ended, table).iter().filter(|row| row["_op"] == 1).count();
    assert_eq!((ops(&K8S_RESOURCE_QUOTA), ops(&K8S_ROLE_BINDING), ops(&K8S_OBJECT)), (2, 2, 2));
}

#[test]
fn every_version_stays_in_the_history() {
    let pod = |version: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "d", "resourceVersion": version}, "spec": {"containers": []}});
    let event = |what: &str, version: &str| json!({"type": what, "object": pod(version)}).to_string();
    let body = [event("ADDED", "1"), event("MODIFIED", "2"), event("DELETED", "3")].join("\n");
    let found = rows(&parse(body.as_bytes()), &K8S_OBJECT_HISTORY);
    let seen: Vec<_> =
        found.iter().map(|row| (row["change"].as_str().unwrap(), row["resource_version"].as_str())).collect();
    assert_eq!(seen, [("applied", Some("1")), ("applied", Some("2")), ("deleted", None)]);
}

#[test]
fn usage_is_a_sample_and_no_object() {
    let list = json!({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "items": [
        {"metadata": {"name": "p", "namespace": "d", "labels": {"tenant": "acme"}}, "timestamp": "2024-05-01T10:00:00Z", "window": "30s",
            "containers": [{"name": "a", "usage": {"cpu": "123456789n", "memory": "1000Ki"}}, {"name": "b", "usage": {"cpu": "0", "memory": "1Mi"}}]}]});
    let node = json!({"kind": "NodeMetrics", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {"name": "n"}, "timestamp": "2024-05-01T10:00:00Z",
        "window": "1m", "usage": {"cpu": "2", "memory": "4Gi"}});
    let parsed = parse(format!("{list}\n{node}").as_bytes());
    assert!(parsed.rejects.is_empty(), "{:?}", parsed.rejects);
    let found = rows(&parsed, &K8S_USAGE);
    assert_eq!(found.len(), 3);
    check(
        &found[0],
        json!({"tenant": "acme", "kind": "Pod", "name": "p", "container": "a", "cpu_cores": 0.123456789, "memory_bytes": 1_024_000, "window_seconds": 30.0}),
    );
    check(&found[2], json!({"kind": "Node", "name": "n", "container": "", "cpu_cores": 2.0, "window_seconds": 60.0}));
    assert!(rows(&parsed, &K8S_OBJECT).is_empty());
}

#[test]
fn a_scrape_of_a_kubelet_is_usage() {
    let text = "# HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time\n# TYPE container_cpu_usage_seconds_total counter\n\
        container_cpu_usage_seconds_total{container=\"c\",namespace=\"n\",pod=\"p\"} 12.5 1700000000000\n\
        container_memory_working_set_bytes{container=\"c\",namespace=\"n\",pod=\"p\"} 1.048576e+06 1700000000000\n\
        pod_cpu_usage_seconds_total{namespace=\"n\",pod=\"p\"} 12.5 1700000000000\n\
        container_memory_working_set_bytes{container=\"c\"} 1 1700000000000\n";
    let parsed = parse(text.as_bytes());
    let found = rows(&parsed, &K8S_USAGE);
    assert_eq!(found.len(), 1);
    check(
        &found[0],
        json!({"kind": "Pod", "name": "p", "container": "c", "cpu_seconds_total": 12.5, "memory_bytes": 1 << 20, "cpu_cores": null}),
    );
    assert_eq!((parsed.accepted, parsed.rejects[0].reason.as_str()), (1, "the label namespace is missing"));
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
