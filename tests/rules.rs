//! Rules through the real binary: checked, tried, run, and their actions at a real web hook, `kill -9` in between.

pub mod receiver;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Done, Ground, Server};
use receiver::Receiver;

const RULE: &str = "-- ---
-- owner: shop
-- every: 1s
-- key: [namespace, pod]
-- watch: [phase]
-- new: notify(\"ops\", \"{pod} is {phase}\")
-- changed: notify(\"ops\", \"{pod} became {phase}\")
-- resolved: notify(\"ops\", \"{pod} is gone\")
-- why: A pod that does not run is nobody's until somebody is told.
-- ---
SELECT namespace, pod, phase FROM k8s_pod WHERE phase <> 'Running'
";

/// A little more than a tick of the rule: what stays this long is there at one.
const TICK: Duration = Duration::from_millis(1_100);

fn pod(name: &str, phase: &str, version: u64) -> Value {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": version.to_string() },
        "spec": { "containers": [{ "name": "c", "image": "i:1" }] }, "status": { "phase": phase },
    })
}

/// Replaces the cluster's pods.
fn put_pods(ground: &Ground, pods: &[Value]) {
    let path = ground.beside("pods.json");
    let list = serde_json::json!({ "apiVersion": "v1", "kind": "PodList", "metadata": { "resourceVersion": "1" }, "items": pods });
    fs::write(&path, list.to_string()).unwrap();
    ground.run(&["ingest", "k8s", path.to_str().unwrap(), "--cluster", "c"]).ok();
}

struct Trial {
    ground: Ground,
    receiver: Receiver,
    rules: PathBuf,
    actions: String,
}

impl Trial {
    fn new(rule: &str) -> Trial {
        let (ground, receiver) = (Ground::new(), Receiver::start());
        let rules = ground.beside("rules");
        fs::create_dir_all(rules.join("shop")).unwrap();
        fs::write(rules.join("shop/pods.sql"), rule).unwrap();
        fs::write(ground.beside("key"), "hidden").unwrap();
        let actions = ground.beside("actions.yaml");
        let text = format!("channels: {{ops: {{url: 'http://{}/hook', secret: 'file:key'}}}}\n", receiver.address());
        fs::write(&actions, text).unwrap();
        Trial { ground, receiver, rules, actions: actions.display().to_string() }
    }

    fn file(&self) -> String {
        self.rules.join("shop/pods.sql").display().to_string()
    }

    fn rule(&self, args: &[&str]) -> Done {
        self.ground.run(&[&["rule"][..], args].concat())
    }

    fn json(&self, args: &[&str]) -> Value {
        let done = self.rule(&[args, &["--json"][..]].concat()).ok();
        serde_json::from_str(&done.stdout).unwrap()
    }
}

#[test]
fn a_rule_is_tried_run_explained_and_tells_each_row_once() {
    let trial = Trial::new(RULE);
    let begun = chrono::Utc::now().to_rfc3339();
    put_pods(&trial.ground, &[pod("web-0", "Pending", 1), pod("web-1", "Running", 1)]);
    let checked = trial.rule(&["check", trial.rules.to_str().unwrap()]).ok();
    assert!(checked.stdout.contains("1 rules, 0 of them wrong"), "{}", checked.stdout);

    let preview = trial.rule(&["preview", &trial.file()]).ok().stdout;
    assert!(preview.contains("new") && preview.contains("web-0 is Pending") && !preview.contains("web-1"), "{preview}");
    assert_eq!(trial.receiver.texts(), [""; 0]);

    let run = trial.json(&["run", &trial.file(), "--actions", &trial.actions]);
    assert_eq!((&run["new"], &run["attempts"]), (&1.into(), &1.into()), "{run}");
    assert_eq!(trial.receiver.texts(), ["web-0 is Pending"]);
    let again = trial.json(&["run", &trial.file(), "--actions", &trial.actions]);
    assert_eq!((&again["new"], &again["attempts"]), (&0.into(), &0.into()), "{again}");

    std::thread::sleep(TICK);
    put_pods(&trial.ground, &[pod("web-0", "Failed", 2), pod("web-1", "Running", 1)]);
    trial.rule(&["run", &trial.file(), "--actions", &trial.actions]).ok();
    std::thread::sleep(TICK);
    put_pods(&trial.ground, &[pod("web-0", "Running", 3), pod("web-1", "Running", 1)]);
    let explained = trial.rule(&["explain", "shop/pods", "[\"shop\", \"web-0\"]"]).ok().stdout;
    assert!(explained.contains("the SELECT has it no more") && explained.contains("nobody's"), "{explained}");
    trial.rule(&["run", &trial.file(), "--actions", &trial.actions]).ok();
    assert_eq!(trial.receiver.texts(), ["web-0 is Pending", "web-0 became Failed", "web-0 is gone"]);

    let rows = trial.ground.ask("SELECT count(*), sum(rows_new), sum(rows_changed), sum(rows_resolved) FROM rule_run");
    assert_eq!(rows, [["4", "1", "1", "1"]]);
    assert_eq!(trial.ground.ask("SELECT count(*) FROM job_done WHERE state = 'done'"), [["3"]]);
    assert_eq!(trial.ground.ask("SELECT count(*) FROM effect WHERE state <> 'done'"), [["0"]]);
    std::thread::sleep(TICK);
    // What was there then is there again: the same three transitions, and nothing before the first.
    let backtest = trial.rule(&["backtest", &trial.file(), "--from", &begun, "--json"]).ok().stdout;
    let ticks: Value = serde_json::from_str(&backtest).unwrap();
    let moves = ticks["ticks"].as_array().unwrap().iter().flat_map(|tick| tick["moves"].as_array().unwrap());
    let moves: Vec<&str> = moves.map(|moved| moved["transition"].as_str().unwrap()).collect();
    assert_eq!(moves, ["new", "changed", "resolved"], "{backtest}");
}

#[test]
fn a_wrong_rule_is_refused_before_it_runs() {
    for (from, to, part) in [
        ("k8s_pod WHERE", "k8s_pods WHERE", "k8s_pods"),
        ("[namespace, pod]", "[node]", "no column node"),
        ("is {phase}", "is {fase}", "names the column fase"),
        ("notify(\"ops\", \"{pod} is gone\")", "page(\"ops\")", "there is no action `page`"),
        ("SELECT namespace, pod, phase", "SELECT namespace, pod, phase, now() AS t", "write $now"),
        ("SELECT namespace, pod", "SELECT $now AS namespace, pod", "moves with $now"),
        ("every: 1s", "cron: 0 0 31 2 *", "never fires"),
    ] {
        assert!(RULE.contains(from), "{from}");
        let trial = Trial::new(&RULE.replace(from, to));
        put_pods(&trial.ground, &[]);
        let checked = trial.rule(&["check", &trial.file()]);
        assert_eq!(checked.code, Some(1), "{to}: {}{}", checked.stdout, checked.stderr);
        assert!(checked.stdout.contains(part) && checked.stdout.contains("pods.sql:"), "{to}: {}", checked.stdout);
        assert_ne!(trial.rule(&["preview", &trial.file()]).code, Some(0), "{to}");
    }
}

#[test]
fn too_many_new_rows_are_held_until_somebody_releases_them() {
    let trial = Trial::new(&RULE.replace("-- watch", "-- limit: 2\n-- watch"));
    let pods: Vec<Value> = (0..3).map(|at| pod(&format!("web-{at}"), "Pending", 1)).collect();
    put_pods(&trial.ground, &pods);
    let held = trial.rule(&["run", &trial.file(), "--actions", &trial.actions]);
    assert!(held.code == Some(1) && held.stdout.contains("3 rows would be new"), "{}{}", held.stdout, held.stderr);
    let again = trial.rule(&["run", &trial.file(), "--actions", &trial.actions]);
    assert!(again.stderr.contains("is held"), "{}{}", again.stdout, again.stderr);
    assert_eq!(
        (trial.receiver.texts().len(), trial.ground.ask("SELECT count(*) FROM rule_row")),
        (0, vec![vec!["0".to_owned()]])
    );
    trial.rule(&["release", "shop/pods"]).ok();
    trial.rule(&["run", &trial.file(), "--actions", &trial.actions]).ok();
    assert_eq!(trial.receiver.texts().len(), 3);
}

/// Waits until the receiver has so many different messages.
fn wait_for(receiver: &Receiver, count: usize) {
    let begun = Instant::now();
    while receiver.keys().len() < count {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{count} messages were not there in time: {:?}",
            receiver.texts()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_runs_its_rules_and_loses_and_doubles_nothing_when_killed() {
    let trial = Trial::new(RULE);
    let pods: Vec<Value> = (0..40).map(|at| pod(&format!("web-{at}"), "Pending", 1)).collect();
    put_pods(&trial.ground, &pods);
    // It answers late and, at first, with errors: there is always something on its way when the server dies.
    trial.receiver.slow(Duration::from_millis(15), 5);
    let rules = trial.rules.display().to_string();
    let args = ["--rules", &rules, "--actions", &trial.actions];
    for wait in [400_u64, 900, 1500] {
        let mut server = Server::start(&trial.ground, &args);
        std::thread::sleep(Duration::from_millis(wait));
        server.kill9();
    }
    let server = Server::start(&trial.ground, &args);
    wait_for(&trial.receiver, 40);
    let begun = Instant::now();
    loop {
        let open = trial.ground.ask("SELECT count(*) FROM job");
        if open == [["0"]] {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "jobs are still open: {open:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Every row has one job, every job one name, and whoever remembers names saw each of them once.
    assert_eq!(trial.ground.ask("SELECT count(*), count(DISTINCT dedupe) FROM job_done"), [["40", "40"]]);
    assert_eq!(trial.ground.ask("SELECT count(*) FROM rule_row WHERE state = 'firing'"), [["40"]]);
    assert_eq!(trial.receiver.keys().len(), 40);
    assert!(trial.receiver.signed(b"hidden"), "a message came without its signature");
    drop(server);
}

#[test]
fn new_rows_of_a_table_make_a_rule_run() {
    let trial = Trial::new(&RULE.replace("every: 1s", "on: [k8s_pod]"));
    put_pods(&trial.ground, &[]);
    let rules = trial.rules.display().to_string();
    let _server = Server::start(&trial.ground, &["--rules", &rules, "--actions", &trial.actions]);
    put_pods(&trial.ground, &[pod("web-0", "Pending", 1)]);
    wait_for(&trial.receiver, 1);
    put_pods(&trial.ground, &[pod("web-0", "Running", 2)]);
    wait_for(&trial.receiver, 2);
    assert_eq!(trial.receiver.texts(), ["web-0 is Pending", "web-0 is gone"]);
}
