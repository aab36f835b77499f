#![allow(clippy::unwrap_used)]

use ledger::allocate::{IDLE, Options, Property, Share, allocate};
use ledger::decimal;

use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn defaults() -> Defaults {
    let unit = |text: &str| decimal::parse(text).unwrap().units;
    let node = Rates { cpu: unit("0.03"), ram: unit("0.004"), gpu: unit("1") };
    Defaults { node, spot: node, storage: unit("0.0001"), network: [unit("0.01"), unit("0.01"), unit("0.12")] }
}

const NODES: &str = "cluster,node,cpu_cores,ram_gib,gpus,hours,hourly_price,spot\nc,n,4,16,0,10,,false\n";
const CONTAINERS: &str = "cluster,node,namespace,pod,container,hours,cpu_request_cores,cpu_usage_cores,ram_request_gib,ram_usage_gib,network_internet_gib,label_app
c,n,a,p,x,10,1,2,4,1,1,web
c,n,a,p,y,10,1,0,0,2,0,web
";

/// Namespaces and idle with their totals.
fn check(files: &[(&str, &str)], expected: &[(&str, &str)]) {
    let folder = folder(files);
    let input = read(folder.path(), true, &defaults()).unwrap();
    let options = Options { by: vec![Property::Namespace], share_idle: Share::None, ..Options::default() };
    let outcome = allocate(&input, &options).unwrap();
    let got: Vec<_> =
        outcome.entries.iter().map(|(key, entry)| format!("{key} {}", decimal::text(entry.total()))).collect();
    let expected: Vec<_> = expected.iter().map(|(key, total)| format!("{key} {total}")).collect();
    assert_eq!(got, expected);
}

#[test]
fn usage_becomes_cost_and_the_rest_of_the_node_is_idle() {
    // Cores (2 + 1) x 10 h x 0.03, memory (4 + 2) x 10 h x 0.004, traffic 0.12; the node costs 1.2 + 0.64.
    check(&[("nodes.csv", NODES), ("containers.csv", CONTAINERS)], &[(IDLE, "0.7"), ("a", "1.26")]);
}

#[test]
fn volumes_and_balancers_go_to_the_containers_behind_them() {
    let volumes = "cluster,volume,gib,start,end\nc,v,100,2026-01-01T00:00:00Z,2026-01-01T10:00:00Z\n";
    let mounts = "cluster,volume,namespace,pod,start,end\nc,v,a,p,2026-01-01T00:00:00Z,2026-01-01T05:00:00Z\n";
    let balancers = "cluster,load_balancer,cost,namespace,pod,overlap_hours\nc,lb,0.5,a,p,3\nc,other,0.25,,,\n";
    let files = [
        ("nodes.csv", NODES),
        ("containers.csv", CONTAINERS),
        ("volumes.csv", volumes),
        ("mounts.csv", mounts),
        ("load_balancers.csv", balancers),
    ];
    check(&files, &[(IDLE, "0.7"), ("__unmounted__", "0.3"), ("a", "1.81")]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let refused = |files: &[(&str, &str)], by_node: bool| {
        let folder = folder(files);
        read(folder.path(), by_node, &defaults()).unwrap_err().to_string()
    };
    assert!(refused(&[], false).contains("neither"));
    let head = "cluster,node,namespace,pod,container,cpu_cost\n";
    let text = format!("{head}c,n,a,p,x,much\n");
    assert!(refused(&[("allocations.csv", &text)], false).contains("row 2: cpu_cost \"much\" is not a number"));
    assert!(refused(&[("containers.csv", CONTAINERS)], false).contains("no nodes.csv"));
    let missing = "cluster,node,cpu_cores,ram_gib,hours\nc,other,1,1,1\n";
    assert!(
        refused(&[("nodes.csv", missing), ("containers.csv", CONTAINERS)], true)
            .contains("which nodes.csv does not have")
    );
    assert!(
        refused(&[("allocations.csv", head), ("idle_cluster.csv", "cluster,cpu_cost\n")], true)
            .contains("by cluster only")
    );
}
