//! An audit of 10,000 pods by every policy of a folder, on one core: seconds and memory.
//!
//! The folder is `STELLWERK_POLICIES`, else `../shared/data/policies`, else the repository's own fixtures; what it held is
//! told in the result.

use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::Context;
use crate::harness::{Ground, command};
use crate::peer::{self, Ended};
use crate::report::{Bound, Goal, Report, Spread, figure};

const SEED: u64 = 20_261_126;
const PODS: usize = 10_000;
const PODS_A_FILE: usize = 1_000;
const NAMESPACES: usize = 50;
const ROUNDS: usize = 3;
const TIME_GOAL_S: f64 = 90.0;
const RESIDENT_GOAL_MB: f64 = 300.0;

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let policies = policies();
    let pods = context.scaled(PODS);
    let ground = Ground::under(&context.folder);
    fill(&ground, pods);
    context.say(format_args!("{pods} pods by the policies of {}", policies.display()));
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| audit(&ground, &policies)).collect();
    let spread = |of: fn(&Round) -> f64| Spread::of(&rounds.iter().map(of).collect::<Vec<_>>());
    let (cpu_s, wall_s, peak_mb) = (spread(|r| r.cpu_s), spread(|r| r.wall_s), spread(|r| r.peak_mb));
    let last = &rounds[rounds.len() - 1].report;
    let cluster = &last["clusters"][0];
    report.goal(Goal {
        what: &format!("{pods} pods by {} constraints, CPU of the whole command", last["constraints"]),
        bound: Bound::AtMost(TIME_GOAL_S * context.scale),
        unit: "s",
        value: Some(cpu_s.median),
        ours: format!("{cpu_s} s of CPU, {wall_s} s by the clock"),
        peer: String::new(),
    });
    report.goal(Goal {
        what: "most resident memory of that command, the store in it",
        bound: Bound::AtMost(RESIDENT_GOAL_MB),
        unit: "MB",
        value: Some(peak_mb.median),
        ours: format!("{peak_mb} MB"),
        peer: String::new(),
    });
    let count = |value: &Value| value.as_f64().unwrap_or(0.0);
    let columns = [
        "templates",
        "constraints",
        "evaluations",
        "violations",
        "failures",
        "audit, s",
        "an evaluation, µs",
        "peak MB",
    ];
    let audit_s = count(&last["duration_ms"]) / 1e3;
    let each_us = audit_s * 1e6 / count(&cluster["reviews"]).max(1.0);
    let names = ["templates", "constraints"].map(|name| figure(count(&last[name])));
    let found = ["reviews", "violations", "failures"].map(|name| figure(count(&cluster[name])));
    let mut cells: Vec<String> = names.into_iter().chain(found).collect();
    cells.extend([figure(audit_s), figure(each_us), peak_mb.to_string()]);
    report.table("One audit, one thread that evaluates", &columns, vec![cells]);
    report
        .note("Objects come from the table k8s_object, violations go to policy_violation; both are part of the time.");
    report
        .raw("audit", json!({"pods": pods, "cpu_s": cpu_s.median, "wall_s": wall_s.median, "peak_mb": peak_mb.median}));
    report
}

fn policies() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("STELLWERK_POLICIES").map(PathBuf::from);
    let found = named.or_else(|| Some(own.join("../shared/data/policies")).filter(|path| path.is_dir()));
    found.unwrap_or_else(|| own.join("tests/fixtures/policies"))
}

/// One audit as a process of its own.
struct Round {
    report: Value,
    cpu_s: f64,
    wall_s: f64,
    peak_mb: f64,
}

fn audit(ground: &Ground, policies: &Path) -> Round {
    let mut command = command(&["policy", "audit", "--threads", "1", "--format", "json", "--policies"]);
    command.arg(policies).arg("--data").arg(ground.data());
    let out = ground.beside("audit.json");
    let file = std::fs::File::create(&out).expect("a file for the report");
    let Ended { status, wall_s, cpu_s, peak_mb } = peer::watch(command.stdout(file));
    assert!(matches!(status.code(), Some(0 | 1)), "the audit ended with {status}");
    let text = std::fs::read_to_string(&out).expect("the report");
    let report = serde_json::from_str(&text).expect("the report is JSON");
    Round { report, cpu_s, wall_s, peak_mb }
}

/// Ingests generated pods and their namespaces.
fn fill(ground: &Ground, pods: usize) {
    let mut dice = StdRng::seed_from_u64(SEED);
    let namespaces: Vec<Value> = (0..NAMESPACES)
        .map(|n| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("team-{n}"), "uid": format!("ns-{n}")}}))
        .collect();
    ingest(ground, "namespaces", &namespaces);
    for first in (0..pods).step_by(PODS_A_FILE) {
        let some: Vec<Value> = (first..(first + PODS_A_FILE).min(pods)).map(|n| pod(n, &mut dice)).collect();
        ingest(ground, &format!("pods-{first}"), &some);
    }
}

fn ingest(ground: &Ground, name: &str, items: &[Value]) {
    let path = ground.beside(&format!("{name}.json"));
    std::fs::write(&path, json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).expect("a file");
    ground.run(&["ingest", "k8s", path.to_str().expect("UTF-8"), "--cluster", "bench"]).ok();
}

/// A pod such as clusters hold: one to three containers, some careless about limits, users and probes.
fn pod(number: usize, dice: &mut StdRng) -> Value {
    let containers: Vec<Value> = (0..dice.random_range(1..=3)).map(|at| container(at, dice)).collect();
    let mut labels =
        json!({"app": format!("app-{}", number % 400), "pod-template-hash": format!("{:08x}", dice.random::<u32>())});
    if dice.random_bool(0.7) {
        labels["owner"] = json!(format!("team-{}.example", number % NAMESPACES));
    }
    let mut spec = json!({
        "nodeName": format!("node-{}", number % 250), "serviceAccountName": "default", "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst", "containers": containers,
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        "volumes": [{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}, {"name": "tmp", "emptyDir": {}}],
    });
    if dice.random_bool(0.05) {
        spec["hostNetwork"] = json!(true);
    }
    if dice.random_bool(0.5) {
        spec["securityContext"] =
            json!({"runAsNonRoot": true, "fsGroup": 2000, "seccompProfile": {"type": "RuntimeDefault"}});
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("app-{}-{number}", number % 400), "namespace": format!("team-{}", number % NAMESPACES),
            "uid": format!("{:032x}", dice.random::<u128>()), "resourceVersion": number.to_string(),
            "creationTimestamp": "2026-11-20T08:00:00Z", "labels": labels,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "app", "uid": "r", "controller": true}],
        },
        "spec": spec,
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "podIP": "10.0.0.1"},
    })
}

fn container(at: usize, dice: &mut StdRng) -> Value {
    let tags = ["1.4.2", "latest", "2.0", "sha-9f3c"];
    let tag = tags[dice.random_range(0..tags.len())];
    let mut container = json!({
        "name": format!("c{at}"), "image": format!("registry.example/team/app-{at}:{tag}"), "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 8080 + at, "protocol": "TCP"}],
        "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "REGION", "value": "west"}],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "token", "mountPath": "/var/run/token", "readOnly": true}],
    });
    if dice.random_bool(0.8) {
        container["resources"] =
            json!({"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "1Gi"}});
    }
    if dice.random_bool(0.6) {
        container["securityContext"] = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsUser": 1000,
            "capabilities": {"drop": ["ALL"]}});
    }
    if dice.random_bool(0.7) {
        container["readinessProbe"] = json!({"httpGet": {"path": "/ready", "port": 8080}});
        container["livenessProbe"] = json!({"httpGet": {"path": "/live", "port": 8080}});
    }
    container
}
