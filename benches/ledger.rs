//! The ledger's own work: a million FOCUS rows against the rules, and a thousand nodes over thirty days spread over who
//! used them. The peer of the first is the FinOps Foundation's validator on a thousand of the same rows, if it is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;

use crate::Context;
use crate::harness::command;
use crate::peer::{self, Ended};
use crate::questions::engines::run_script;
use crate::report::{Bound, Goal, Report, Spread, figure};

const SAMPLE: &str = "tests/fixtures/cost/focus_1.2_synthetic_80.csv";
const ROWS: usize = 1_000_000;
const NODES: usize = 1_000;
const DAYS: usize = 30;
const CONTAINERS_A_NODE: usize = 30;
const ROUNDS: usize = 3;
const CHECK_GOAL_S: f64 = 10.0;
const ALLOCATE_GOAL_S: f64 = 5.0;
const ALLOCATE_GOAL_MB: f64 = 2048.0;
/// What the validator took for a thousand rows where it was measured with the reference figures.
const VALIDATOR_S: f64 = 6.1;

/// Checks and allocates.
pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    conformance(context, &mut report);
    allocation(context, &mut report);
    report
}

fn timed(args: &[&str], codes: &[i32]) -> Ended {
    let ended = peer::watch(command(args).stdout(Stdio::null()).stderr(Stdio::null()));
    let status = ended.status;
    assert!(status.code().is_some_and(|code| codes.contains(&code)), "{args:?} ended with {status}");
    ended
}

fn spread(rounds: &[Ended], of: fn(&Ended) -> f64) -> Spread {
    Spread::of(&rounds.iter().map(of).collect::<Vec<_>>())
}

fn conformance(context: &Context, report: &mut Report) {
    let Some(python) = &context.python else {
        report.missing("FOCUS rows", "the Python environment of the bench writes them and is not there");
        return;
    };
    let rows = context.scaled(ROWS);
    let folder = context.folder.join(format!("ledger-{rows}"));
    fs::create_dir_all(&folder).expect("the folder for measurements can be made");
    let file = folder.join("focus.csv");
    if !file.exists() {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join(SAMPLE);
        let args = [sample.to_string_lossy().into_owned(), rows.to_string(), file.to_string_lossy().into_owned()];
        run_script(python, "focus_rows.py", &args).unwrap_or_else(|why| panic!("{why}"));
    }
    let path = file.to_string_lossy().into_owned();
    // Generated rows break a rule or two: exit code 1 says that they were found.
    let rounds: Vec<Ended> =
        (0..ROUNDS).map(|_| timed(&["cost", "check", &path, "--format", "json"], &[0, 1])).collect();
    let (wall, peak) = (spread(&rounds, |r| r.wall_s), spread(&rounds, |r| r.peak_mb));
    report.goal(Goal {
        what: &format!("{rows} FOCUS rows against every rule"),
        bound: Bound::AtMost(CHECK_GOAL_S * context.scale.max(0.1)),
        unit: "s",
        value: Some(wall.median),
        ours: format!("{wall} s, {peak} MB"),
        peer: format!("focus-validator: {VALIDATOR_S} s for 1000 rows where it was measured, 441 of 578 rules skipped"),
    });
    report.raw("conformance", json!({"rows": rows, "wall_s": wall.median, "peak_mb": peak.median}));
}

fn allocation(context: &Context, report: &mut Report) {
    let (nodes, days) = (context.scaled(NODES), DAYS);
    let mut table = Vec::new();
    for (name, parts) in [("the month as one window", 1), ("a row for each container and day", days)] {
        let folder = context.folder.join(format!("allocate-{nodes}-{parts}"));
        written(&folder, nodes, days, parts);
        let path = folder.to_string_lossy().into_owned();
        let prices = folder.join("prices.json").to_string_lossy().into_owned();
        let hours = (days * 24).to_string();
        let args = [
            "cost",
            "allocate",
            "--from",
            &path,
            "--prices",
            &prices,
            "--by",
            "namespace",
            "--share-idle",
            "weighted",
            "--idle-by-node",
            "--window-hours",
            &hours,
            "--format",
            "json",
        ];
        let rounds: Vec<Ended> = (0..ROUNDS).map(|_| timed(&args, &[0])).collect();
        let (wall, peak) = (spread(&rounds, |r| r.wall_s), spread(&rounds, |r| r.peak_mb));
        let rows = nodes * CONTAINERS_A_NODE * parts;
        table.push(vec![name.to_owned(), rows.to_string(), wall.to_string(), peak.to_string()]);
        report.raw(&format!("allocate_{parts}"), json!({"rows": rows, "wall_s": wall.median, "peak_mb": peak.median}));
        for (what, unit, bound, value) in
            [("time", "s", ALLOCATE_GOAL_S, wall.median), ("most resident memory", "MB", ALLOCATE_GOAL_MB, peak.median)]
        {
            report.goal(Goal {
                what: &format!("{nodes} nodes over {days} days, {name}: {what}"),
                bound: Bound::AtMost(bound),
                unit,
                value: Some(value),
                ours: format!("{rows} rows, {} {unit}", figure(value)),
                peer: "OpenCost: 504 beyond 200 nodes over six days".to_owned(),
            });
        }
    }
    let columns = ["input", "rows", "wall, s", "peak, MB"];
    report.table(&format!("{nodes} nodes, {CONTAINERS_A_NODE} containers each, {days} days"), &columns, table);
    report.note(
        "From the start of the process to its end: CSV read, costs computed, idle shared by node, groups written.",
    );
}

/// A folder of usage: each node has 30 containers; with parts, each container has a row a part.
fn written(folder: &PathBuf, nodes: usize, days: usize, parts: usize) {
    if folder.join("containers.csv").exists() {
        return;
    }
    fs::create_dir_all(folder).expect("a folder");
    let hours = days * 24;
    let mut sheet = "cluster,node,cpu_cores,ram_gib,gpus,hours\n".to_owned();
    let mut containers = "cluster,node,namespace,pod,container,controller_kind,controller,label_app,hours,cpu_request_cores,cpu_usage_cores,ram_request_gib,ram_usage_gib\n".to_owned();
    for node in 0..nodes {
        sheet.push_str(&format!("bench,node-{node},16,64,0,{hours}\n"));
        for at in 0..CONTAINERS_A_NODE {
            let app = (node * 7 + at * 13) % 400;
            for _ in 0..parts {
                containers.push_str(&format!(
                    "bench,node-{node},team-{},app-{app}-{node}-{at},main,deployment,app-{app},app-{app},{},0.25,0.{:02},1,0.{:02}\n",
                    app % 50,
                    hours / parts,
                    10 + at % 40,
                    30 + at % 60
                ));
            }
        }
    }
    fs::write(folder.join("nodes.csv"), sheet).expect("written");
    fs::write(
        folder.join("prices.json"),
        json!({"provider": "custom", "CPU": "0.031611", "RAM": "0.004237"}).to_string(),
    )
    .expect("written");
    // Last: a folder with it is whole.
    fs::write(folder.join("containers.csv"), containers).expect("written");
}
