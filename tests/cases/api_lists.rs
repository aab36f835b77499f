//! Kubernetes API lists: the store holds as many objects of each kind as the JSON itself does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Tally, arg, files};
use crate::harness::Ground;

/// Tables of kinds, with the column of an object's name.
const TABLES: &[(&str, &str, &str)] = &[
    ("k8s_pod", "pod", "Pod"),
    ("k8s_node", "name", "Node"),
    ("k8s_event", "name", "Event"),
    ("k8s_deployment", "name", "Deployment"),
    ("k8s_replica_set", "name", "ReplicaSet"),
    ("k8s_stateful_set", "name", "StatefulSet"),
    ("k8s_daemon_set", "name", "DaemonSet"),
    ("k8s_job", "name", "Job"),
    ("k8s_cron_job", "name", "CronJob"),
    ("k8s_service", "name", "Service"),
    ("k8s_ingress", "name", "Ingress"),
    ("k8s_network_policy", "name", "NetworkPolicy"),
    ("k8s_persistent_volume", "name", "PersistentVolume"),
    ("k8s_persistent_volume_claim", "name", "PersistentVolumeClaim"),
    ("k8s_horizontal_pod_autoscaler", "name", "HorizontalPodAutoscaler"),
    ("k8s_namespace", "name", "Namespace"),
];

pub fn run(suite: &Path) -> Option<Tally> {
    if !suite.is_dir() {
        return None;
    }
    let mut objects: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files(suite, ".json") {
        let document: Value =
            serde_json::from_str(&fs::read_to_string(&path).expect("the list is readable")).expect("JSON");
        // Items of most lists carry no kind of their own: it is the list's without `List`.
        let list_kind = document["kind"].as_str().unwrap_or_default();
        let items = document["items"].as_array().cloned().unwrap_or_else(|| vec![document.clone()]);
        for item in items {
            let kind = item["kind"].as_str().unwrap_or(list_kind.trim_end_matches("List")).to_owned();
            // A name is unique in its kind and namespace at any time; the anonymised lists repeat uids.
            let meta = |name: &str| item["metadata"][name].as_str().unwrap_or_default();
            let name = format!("{}/{}", meta("namespace"), meta("name"));
            objects.entry(kind).or_default().insert(name);
        }
    }
    let mut tally = Tally::default();
    let ground = Ground::new();
    let done = ground.run(&["ingest", "k8s", arg(suite)]);
    tally.case("ingested", if done.code == Some(0) { Ok(()) } else { Err(done.stderr) });
    let rows = ground.ask("SELECT kind, count(*) FROM k8s_object GROUP BY kind");
    let got: BTreeMap<String, usize> =
        rows.into_iter().map(|mut row| (row.swap_remove(0), row[0].parse().unwrap_or(0))).collect();
    for (kind, ids) in &objects {
        tally.equal(kind, &got.get(kind).copied().unwrap_or(0), &ids.len());
    }
    // A pod has a row for each of its containers.
    for (table, name, kind) in TABLES {
        // These three are in every folder of lists; another that has none is no case.
        if !matches!(*kind, "Pod" | "Node" | "Event") && !objects.contains_key(*kind) {
            continue;
        }
        let count = ground.ask(&format!("SELECT count(*) FROM (SELECT DISTINCT namespace, {name} FROM {table})"));
        tally.equal(table, &count.concat().concat(), &objects.get(*kind).map_or(0, BTreeSet::len).to_string());
    }
    tally.equal("rejects", &ground.ask("SELECT count(*) FROM reject").concat().concat(), &"0".to_owned());
    Some(tally)
}
