//! Live clusters: whatever the API server and the network before it do, in the end the tables equal the server's own
//! state. A seeded simulation of both, and a restart of our side in the middle.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::harness::{Ground, Server, command};
use crate::simulated::kubernetes::{ApiServer, Faults, Kind};

pub const POD: Kind = ("", "v1", "Pod", "pods");
const NAMESPACE: Kind = ("", "v1", "Namespace", "namespaces");
const QUOTA: Kind = ("", "v1", "ResourceQuota", "resourcequotas");
/// Its parts are named by a word of SQL; what the tables hold of it is asked for whether there is one or not.
const RANGE: Kind = ("", "v1", "LimitRange", "limitranges");
const DEPLOYMENT: Kind = ("apps", "v1", "Deployment", "deployments");
const APPLICATION: Kind = ("argoproj.io", "v1alpha1", "Application", "applications");
const WIDGET: Kind = ("example.org", "v1", "Widget", "widgets");

/// How long the tables may take to be equal after the last fault.
const EQUAL_WITHIN: Duration = Duration::from_secs(30);
const CLUSTER: &str = "sim";

/// `stellwerk ingest k8s --follow`; ends with this value.
pub struct Follower {
    child: Child,
}

impl Follower {
    pub fn start(ground: &Ground, kubeconfig: &str, more: &[&str]) -> Follower {
        let mut follow = command(&["ingest", "k8s", "--kubeconfig", kubeconfig, "--follow", "--data"]);
        follow.arg(ground.data()).args(more);
        let log = std::fs::File::options().create(true).append(true).open(ground.beside("follow.log")).expect("a log");
        let child = follow.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the binary starts");
        Follower { child }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the tables say, a line each.
fn tables(server: &Server) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for (table, sql) in [
        (
            "object",
            "SELECT tenant, api_group, kind, namespace, name, resource_version FROM k8s_object WHERE cluster = 'sim'",
        ),
        ("pod", "SELECT tenant, namespace, pod, container, image FROM k8s_pod WHERE cluster = 'sim'"),
        ("deployment", "SELECT tenant, namespace, name, replicas FROM k8s_deployment WHERE cluster = 'sim'"),
        ("quota", "SELECT tenant, namespace, name, resource FROM k8s_resource_quota WHERE cluster = 'sim'"),
        ("namespace", "SELECT tenant, name, phase FROM k8s_namespace WHERE cluster = 'sim'"),
        ("custom", "SELECT tenant, kind, namespace, name, phase FROM k8s_custom_resource WHERE cluster = 'sim'"),
    ] {
        for row in server.sql(sql).rows {
            assert!(lines.insert(format!("{table} {}", row.join("|"))), "{table} has {row:?} twice");
        }
    }
    lines
}

/// What they must say, told by the API server's objects.
fn expected(api: &ApiServer) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for (group, resource) in [
        ("", "pods"),
        ("", "namespaces"),
        ("", "resourcequotas"),
        ("apps", "deployments.apps"),
        ("argoproj.io", "applications.argoproj.io"),
        ("example.org", "widgets.example.org"),
    ] {
        for object in api.objects(resource) {
            let word = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
            let tenant =
                Some(word("/metadata/labels/tenant")).filter(|t| !t.is_empty()).unwrap_or("default".to_owned());
            let (kind, space, name) = (word("/kind"), word("/metadata/namespace"), word("/metadata/name"));
            let version = word("/metadata/resourceVersion");
            lines.insert(format!("object {tenant}|{group}|{kind}|{space}|{name}|{version}"));
            match kind.as_str() {
                "Pod" => {
                    for container in object["spec"]["containers"].as_array().expect("a pod has containers") {
                        let part = |of: &str| container[of].as_str().unwrap_or_default();
                        lines.insert(format!("pod {tenant}|{space}|{name}|{}|{}", part("name"), part("image")));
                    }
                }
                "Deployment" => {
                    lines.insert(format!("deployment {tenant}|{space}|{name}|{}", object["spec"]["replicas"]));
                }
                "ResourceQuota" => {
                    for resource in object["spec"]["hard"].as_object().expect("a quota has limits").keys() {
                        lines.insert(format!("quota {tenant}|{space}|{name}|{resource}"));
                    }
                }
                "Namespace" => {
                    lines.insert(format!("namespace {tenant}|{name}|{}", word("/status/phase")));
                }
                _ => {
                    lines.insert(format!("custom {tenant}|{kind}|{space}|{name}|{}", word("/status/phase")));
                }
            }
        }
    }
    lines
}

/// A change that somebody makes.
fn change(api: &ApiServer, dice: &mut StdRng) {
    let (resource, kind) = [
        ("pods", "Pod"),
        ("pods", "Pod"),
        ("pods", "Pod"),
        ("deployments.apps", "Deployment"),
        ("resourcequotas", "ResourceQuota"),
        ("namespaces", "Namespace"),
        ("applications.argoproj.io", "Application"),
        ("widgets.example.org", "Widget"),
    ][dice.random_range(0..8)];
    let namespace = if kind == "Namespace" { "" } else { ["shop", "pay", "ops"][dice.random_range(0..3)] };
    let name = format!("{}-{}", kind.to_lowercase(), dice.random_range(0..25));
    if dice.random_bool(0.3) {
        api.delete(resource, &format!("{namespace}/{name}"));
        return;
    }
    let mut object = json!({"kind": kind, "metadata": {"name": name, "namespace": namespace, "labels": {"app": "x"},
        "managedFields": [{"manager": "kubectl"}]}});
    if namespace.is_empty() {
        object["metadata"].as_object_mut().expect("an object").remove("namespace");
    }
    if dice.random_bool(0.3) {
        object["metadata"]["labels"]["tenant"] = json!(["acme", "beta"][dice.random_range(0..2)]);
    }
    let phase = ["Running", "Pending", "Failed"][dice.random_range(0..3)];
    object["status"] = json!({"phase": phase});
    let mut some =
        |names: &[&str]| names.iter().filter(|_| dice.random_bool(0.6)).map(|n| (*n).to_owned()).collect::<Vec<_>>();
    match kind {
        "Pod" => {
            let mut names = some(&["web", "mesh", "log"]);
            names.push("main".to_owned());
            let container =
                |name: String| json!({"name": name, "image": format!("{name}:{}", dice.random_range(0..9))});
            object["apiVersion"] = json!("v1");
            object["spec"] = json!({"containers": names.into_iter().map(container).collect::<Vec<_>>()});
        }
        "Deployment" => {
            object["apiVersion"] = json!("apps/v1");
            object["spec"] = json!({"replicas": dice.random_range(0..5)});
        }
        "ResourceQuota" => {
            let hard = some(&["pods", "requests.cpu", "requests.memory"]).into_iter().map(|name| (name, json!("10")));
            object["apiVersion"] = json!("v1");
            object["spec"] = json!({"hard": hard.collect::<serde_json::Map<_, _>>()});
        }
        "Namespace" => object["apiVersion"] = json!("v1"),
        "Application" => object["apiVersion"] = json!("argoproj.io/v1alpha1"),
        _ => object["apiVersion"] = json!("example.org/v1"),
    }
    api.put(resource, object);
}

/// Waits until the tables are equal to the API server's state.
fn equal(server: &Server, api: &ApiServer, ground: &Ground, what: &str) {
    let begun = Instant::now();
    loop {
        let (found, wanted) = (tables(server), expected(api));
        if found == wanted {
            return;
        }
        if begun.elapsed() > EQUAL_WITHIN {
            let too_many: Vec<_> = found.difference(&wanted).take(10).collect();
            let missing: Vec<_> = wanted.difference(&found).take(10).collect();
            let log = std::fs::read_to_string(ground.beside("follow.log")).unwrap_or_default();
            let watch = server.sql("SELECT kind, state, resource_version, objects, lists, changes, failures, last_failure FROM k8s_watch").rows;
            panic!(
                "{what}: {} lines too many {too_many:#?}, {} missing {missing:#?}\n{watch:#?}\n{:?}\n{log}",
                found.difference(&wanted).count(),
                wanted.difference(&found).count(),
                api.counts()
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// One run with faults of every kind, and a restart of our side in the middle.
fn trial(seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    let api = ApiServer::start(&[POD, NAMESPACE, QUOTA, RANGE, DEPLOYMENT, APPLICATION, WIDGET], seed);
    for _ in 0..700 {
        change(&api, &mut dice);
    }
    let ground = Ground::new();
    let kubeconfig = ground.beside("kubeconfig");
    api.kubeconfig(&kubeconfig, CLUSTER);
    let kubeconfig = kubeconfig.to_str().expect("a path is text");
    let args = ["--list-every", "2s", "--discover-every", "300ms", "--resource", "widgets.example.org"];
    let faults = Faults {
        throttled: 0.1,
        broken: 0.1,
        token_expired: 0.3,
        list_cut: 0.2,
        cut: 0.05,
        repeated: 0.1,
        reordered: 0.05,
        lost: 0.03,
    };
    api.fail(faults);
    let mut server = Server::start(&ground, &[]);
    let mut follower = Follower::start(&ground, kubeconfig, &args);
    for round in 0..6 {
        for _ in 0..40 {
            change(&api, &mut dice);
            std::thread::sleep(Duration::from_millis(dice.random_range(0..10)));
        }
        match (round + seed) % 6 {
            0 => api.compact(),
            1 => {
                api.down(true);
                (0..60).for_each(|_| change(&api, &mut dice));
                std::thread::sleep(Duration::from_millis(300));
                api.down(false);
            }
            2 => {
                let token = format!("token-{round}");
                api.rotate(&token);
                std::thread::sleep(Duration::from_millis(300));
                api.kubeconfig(kubeconfig.as_ref(), CLUSTER);
            }
            3 => {
                drop(follower);
                server.kill9();
                (0..60).for_each(|_| change(&api, &mut dice));
                api.compact();
                server = Server::start(&ground, &[]);
                follower = Follower::start(&ground, kubeconfig, &args);
            }
            4 => {
                api.stop_serving("widgets");
                std::thread::sleep(Duration::from_millis(700));
                api.serve(WIDGET);
            }
            _ => {}
        }
    }
    // Nothing fails any more; an event that was lost on the way is found by the next list.
    api.fail(Faults::default());
    equal(&server, &api, &ground, &format!("seed {seed}"));
    println!("seed {seed}: {} objects, requests {:?}", api.objects("pods").len(), api.counts());
    drop(follower);
}

#[test]
fn tables_equal_the_cluster_after_any_fault() {
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
    let seeds = seed.map_or(vec![1, 2], |seed| vec![seed]);
    seeds.into_iter().for_each(trial);
}

#[test]
fn a_list_takes_away_what_is_gone_and_tells_what_it_could_not_read() {
    let api = ApiServer::start(&[POD, DEPLOYMENT], 7);
    let pod = |name: &str| {
        json!({"metadata": {"name": name, "namespace": "d"}, "spec": {"containers": [
        {"name": "a", "image": "i", "env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}]}})
    };
    for n in 0..1_203 {
        api.put("pods", pod(&format!("p{n}")));
    }
    let ground = Ground::new();
    let kubeconfig = ground.beside("kubeconfig");
    api.kubeconfig(&kubeconfig, CLUSTER);
    let args = ["ingest", "k8s", "--kubeconfig", kubeconfig.to_str().expect("text"), "--format", "json"];
    let summary = |done: crate::harness::Done| serde_json::from_str::<Value>(&done.stdout).expect("JSON");
    assert_eq!(summary(ground.run(&args).ok())["accepted"], 1_203);
    // Nothing changed, nothing is written.
    assert_eq!(summary(ground.run(&args).ok())["accepted"], 0);
    api.delete("pods", "d/p7");
    api.put("pods", pod("p8"));
    assert_eq!(summary(ground.run(&args).ok())["accepted"], 2);
    let count = |sql: &str| ground.ask(sql).concat().concat();
    assert_eq!(count("SELECT count(*) FROM k8s_pod WHERE cluster = 'sim'"), "1202");
    assert_eq!(count("SELECT count(*) FROM k8s_object_history WHERE change = 'deleted'"), "1");
    assert_eq!(count("SELECT count(*) FROM k8s_object_history WHERE name = 'p8'"), "2");
    assert_eq!(count("SELECT count(*) FROM k8s_object WHERE object LIKE '%hunter2%'"), "0");
    assert_eq!(count("SELECT state FROM k8s_watch WHERE kind = 'Pod'"), "listed");
    api.rotate("another");
    let refused = ground.run(&args);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stdout.contains("401"), "{}", refused.stdout);
    // A cluster that is away is no empty cluster.
    assert_eq!(count("SELECT count(*) FROM k8s_pod WHERE cluster = 'sim'"), "1202");
}
