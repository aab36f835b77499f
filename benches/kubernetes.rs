//! A cluster of 25,000 pods, listed and watched: how soon the table is whole, what it costs in memory, how late a change is.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::Context;
use crate::api_server::{ApiServer, Kind};
use crate::harness::{Ground, Server};
use crate::peer::{anonymous_bytes, cpu_s, peak_bytes, resident_bytes};
use crate::report::{Bound, Goal, Report, figure, percentile};

const SEED: u64 = 20_260_904;
const PODS: usize = 25_000;
const CHANGES: usize = 400;
const MEMORY_GOAL_MB: f64 = 250.0;
const TABLE_GOAL_S: f64 = 10.0;
const LATE_GOAL_MS: f64 = 1_000.0;
const POD: Kind = ("", "v1", "Pod", "pods");
/// The smallest budget that a store takes, and an allocator that gives back what it does not need at once.
const ENVIRONMENT: [(&str, &str); 2] = [("STELLWERK_MEMORY", "64MiB"), ("MIMALLOC_PURGE_DELAY", "0")];
/// A table that is not whole after this is not measured.
const TIME_MAX: Duration = Duration::from_secs(300);
/// How long the server rests before its memory at rest is read.
const REST: Duration = Duration::from_secs(45);

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let mut dice = StdRng::seed_from_u64(SEED);
    let pods = context.scaled(PODS);
    let api = ApiServer::start(&[POD], SEED);
    for n in 0..pods {
        api.put("pods", pod(n, 0, &mut dice));
    }
    let bytes = api.objects("pods").iter().take(200).map(|pod| pod.to_string().len()).sum::<usize>() / 200.min(pods);
    context.say(format_args!("{pods} pods of {bytes} bytes wait"));
    let ground = Ground::under(&context.folder);
    let kubeconfig = ground.beside("kubeconfig");
    api.kubeconfig(&kubeconfig, "bench");
    let args = ["--kubernetes", kubeconfig.to_str().expect("a path is text")];
    let server = Server::spawn(&ground, &args, &ENVIRONMENT).unwrap_or_else(|why| panic!("{why}"));
    let (begun, cpu) = (Instant::now(), cpu_s(server.id()));
    let (whole_s, own_peak) = whole(&server, begun, pods);
    let listed_cpu_s = cpu_s(server.id()) - cpu;
    let mut late = changes(context, &api, &server, pods, &mut dice);
    late.sort_by(f64::total_cmp);
    std::thread::sleep(if context.quick { Duration::from_secs(2) } else { REST });
    let mb = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let (own_rest, own_peak) = (mb(anonymous_bytes(server.id())), mb(own_peak));
    let (rest, peak) = (mb(resident_bytes(server.id())), mb(peak_bytes(server.id())));
    let (p50, p99) = (percentile(&late, 0.5), percentile(&late, 0.99));
    for (what, bound, unit, value) in [
        ("first full table", TABLE_GOAL_S, "s", whole_s),
        ("resident memory at the most, store included", MEMORY_GOAL_MB, "MB", peak),
        ("change to visible, p99", LATE_GOAL_MS, "ms", p99),
    ] {
        let ours = format!("{} {unit}, {pods} pods", figure(value));
        let bound = Bound::AtMost(bound);
        report.goal(Goal { what, bound, unit, value: Some(value), ours, peer: String::new() });
    }
    let columns = [
        ("pods", pods.to_string()),
        ("bytes a pod", bytes.to_string()),
        ("first full table, s", figure(whole_s)),
        ("CPU for it, s", figure(listed_cpu_s)),
        ("resident at the most, MB", figure(peak)),
        ("of that no file's, MB", figure(own_peak)),
        ("resident at rest, MB", figure(rest)),
        ("of that no file's, MB", figure(own_rest)),
        ("visible p50, ms", figure(p50)),
        ("p99, ms", figure(p99)),
    ];
    let (names, cells): (Vec<&str>, Vec<String>) = columns.into_iter().unzip();
    report.table("One process: `serve --kubernetes` with a memory budget of 64 MiB", &names, vec![cells]);
    report.note("The simulated API server of the tests runs on the same cores. Time to visible ends with the first answer over HTTP that shows the change; asking takes part of it. Resident memory counts the pages of the program's own file, which a build without optimisation has many of.");
    report.note("Published, not run here: kube-state-metrics asks for 250 MiB \"as a general rule\" and holds metrics, not objects (its README, `Resource recommendation`); client-go held about 400 MiB for 10,000 pods (kubernetes/kubernetes#111370); kube-rs' watcher takes two to three times the data when it lists again (kube-rs/kube#1209).");
    report.raw(
        "kubernetes",
        json!({"pods": pods, "pod_bytes": bytes, "whole_s": whole_s, "listed_cpu_s": listed_cpu_s, "peak_mb": peak,
            "own_peak_mb": own_peak, "rest_mb": rest, "visible_p50_ms": p50, "visible_p99_ms": p99}),
    );
    report
}

/// Seconds until the stream says that it is true, and the most memory of the process's own until then; the table must
/// hold every pod.
fn whole(server: &Server, begun: Instant, pods: usize) -> (f64, u64) {
    let mut most = 0;
    loop {
        most = most.max(anonymous_bytes(server.id()));
        let state = server.sql("SELECT state FROM k8s_watch WHERE kind = 'Pod'").rows.concat().concat();
        if state == "watching" {
            let whole_s = begun.elapsed().as_secs_f64();
            assert_eq!(server.cell("SELECT count(DISTINCT pod_uid) FROM k8s_pod"), pods.to_string());
            return (whole_s, most);
        }
        assert!(begun.elapsed() < TIME_MAX, "the table is not whole: {state}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Milliseconds from a change to the first answer that shows it, one change after the other.
fn changes(context: &Context, api: &ApiServer, server: &Server, pods: usize, dice: &mut StdRng) -> Vec<f64> {
    let mut http = server.connect();
    let one = |turn: usize| {
        let n = dice.random_range(0..pods);
        let changed = pod(n, turn + 1, dice);
        let sql = format!("SELECT image FROM k8s_pod WHERE pod = '{}' AND container = 'web'", name(n));
        let image = format!("registry.example.org/shop/web:{}", turn + 1);
        let begun = Instant::now();
        api.put("pods", changed);
        loop {
            let answer = http.ask(&sql).unwrap_or_else(|reply| panic!("{}", reply.text()));
            if answer.rows.concat().concat() == image {
                return begun.elapsed().as_secs_f64() * 1e3;
            }
            assert!(begun.elapsed() < TIME_MAX, "a change never came");
        }
    };
    (0..context.scaled(CHANGES)).map(one).collect()
}

fn name(n: usize) -> String {
    format!("web-{:04}-7d4b9c6f5-{n:05}", n / 10)
}

/// A pod as a Deployment makes them, with what field managers write about it.
fn pod(n: usize, turn: usize, dice: &mut StdRng) -> Value {
    let time = "2026-09-04T08:00:00Z";
    let workload = format!("web-{:04}", n / 10);
    let node = format!("aks-pool{}-{:08}-vmss{:06}", n % 4, 12_345_678, n % 800);
    let word = |dice: &mut StdRng| format!("{:016x}", dice.random::<u64>());
    let mounted = json!({"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true});
    let container = |name: &str, image: String, dice: &mut StdRng| {
        json!({"name": name, "image": image, "imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File", "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "REGION", "value": "westeurope"},
                {"name": "OTEL_SERVICE_NAME", "value": name}, {"name": "BUILD_ID", "value": word(dice)},
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
            "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"}, "periodSeconds": 10, "failureThreshold": 3},
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http", "scheme": "HTTP"}, "periodSeconds": 5, "failureThreshold": 3},
            "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "config", "mountPath": "/etc/shop"}, mounted.clone()]})
    };
    let status = |name: &str, image: &str, dice: &mut StdRng| {
        json!({"name": name, "ready": true, "restartCount": 0, "started": true, "image": image, "containerID": format!("containerd://{}{}", word(dice), word(dice)),
            "imageID": format!("{image}@sha256:{}{}{}{}", word(dice), word(dice), word(dice), word(dice)), "lastState": {}, "state": {"running": {"startedAt": time}}})
    };
    let (web, mesh) =
        (format!("registry.example.org/shop/web:{turn}"), "registry.example.org/mesh/proxy:1.22".to_owned());
    let managed = json!({"f:metadata": {"f:generateName": {}, "f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}, "f:team": {}},
        "f:ownerReferences": {".": {}, "k:{\"uid\":\"x\"}": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:image": {},
        "f:imagePullPolicy": {}, "f:name": {}, "f:resources": {".": {}, "f:limits": {".": {}, "f:cpu": {}, "f:memory": {}}}, "f:volumeMounts": {".": {}}}},
        "f:dnsPolicy": {}, "f:enableServiceLinks": {}, "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {}, "f:volumes": {".": {}}}});
    let condition =
        |kind: &str| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": time});
    json!({"metadata": {"name": name(n), "generateName": format!("{workload}-7d4b9c6f5-"), "namespace": format!("team-{:03}", n % 200),
            "uid": format!("{:08x}-0000-4000-8000-000000000000", n), "creationTimestamp": time,
            "labels": {"app": workload, "app.kubernetes.io/name": "web", "pod-template-hash": "7d4b9c6f5", "team": format!("team-{:03}", n % 200), "cost-center": "4711", "env": "prod"},
            "annotations": {"prometheus.io/scrape": "true", "checksum/config": format!("{}{}", word(dice), word(dice))},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{workload}-7d4b9c6f5"), "uid": word(dice), "controller": true, "blockOwnerDeletion": true}],
            "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": time, "fieldsType": "FieldsV1", "fieldsV1": managed}]},
        "spec": {"nodeName": node, "serviceAccountName": "web", "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
            "priority": 0, "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority", "terminationGracePeriodSeconds": 30,
            "containers": [container("web", web.clone(), dice), container("mesh", mesh.clone(), dice)],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
            "volumes": [{"name": "config", "configMap": {"name": "web", "defaultMode": 420}}, {"name": "kube-api-access", "projected": {"defaultMode": 420,
                "sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}, {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]}}]},
        "status": {"phase": "Running", "qosClass": "Burstable", "podIP": format!("10.{}.{}.{}", n % 250, n / 250 % 250, n % 99), "hostIP": "10.0.0.4", "startTime": time,
            "conditions": [condition("Initialized"), condition("Ready"), condition("ContainersReady"), condition("PodScheduled")],
            "containerStatuses": [status("web", &web, dice), status("mesh", &mesh, dice)]}})
}
