//! Azure month-to-date exports: each run supersedes its month, a torn one is refused, a delivery repeated changes nothing,
//! and every past state stays readable.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Tally, arg, files};
use crate::harness::Ground;

/// Rows, billed and effective cost: what a state is compared by. Decimals are exact texts.
type Totals = (String, String, String);

const TOTALS: &str = "count(*), sum(BilledCost), sum(EffectiveCost)";

pub fn run(suite: &Path) -> Option<Tally> {
    let mut tally = Tally::default();
    for expected in files(suite, "/expected.json") {
        let text = fs::read_to_string(&expected).expect("expected.json is readable");
        let document: Value = serde_json::from_str(&text).expect("expected.json is JSON");
        if document["after"].is_array() {
            scenario(expected.parent().expect("a file lies in a folder"), &document, &mut tally);
        }
    }
    Some(tally)
}

fn scenario(folder: &Path, expected: &Value, tally: &mut Tally) {
    let ground = Ground::new();
    let runs = expected["after"].as_array().cloned().unwrap_or_default();
    let mut states: Vec<(String, Totals)> = Vec::new();
    for run in &runs {
        let manifest = folder.join(run["manifest"].as_str().unwrap_or_default());
        let name = run["note"].as_str().unwrap_or("run").to_owned();
        let done = ground.run(&["ingest", "cost", arg(&manifest)]);
        if is_torn(&manifest) {
            tally.case(
                &format!("{name}: refused"),
                if done.code == Some(0) { Err("exit code 0".to_owned()) } else { Ok(()) },
            );
            let before = states.last().map(|(_, totals)| totals.clone());
            tally.equal(&format!("{name}: nothing changed"), &Some(totals(&ground, "cost_line")), &before);
            continue;
        }
        tally.case(&format!("{name}: ingested"), if done.code == Some(0) { Ok(()) } else { Err(done.stderr) });
        let got = totals(&ground, "cost_line");
        tally.equal(&name, &got, &of(run));
        let seq = ground.ask("SELECT max(_seq) FROM cost_line").concat().concat();
        states.push((seq, got));
    }
    let last = of(&expected["final"]);
    tally.equal("final", &totals(&ground, "cost_line"), &last);
    for run in &runs {
        let manifest = folder.join(run["manifest"].as_str().unwrap_or_default());
        let _ = ground.run(&["ingest", "cost", arg(&manifest)]);
        tally.equal("delivered again", &totals(&ground, "cost_line"), &last);
    }
    for (seq, state) in &states {
        tally.equal("as of an earlier run", &totals(&ground, &format!("as_of('cost_line', {seq})")), state);
    }
}

fn totals(ground: &Ground, from: &str) -> Totals {
    let mut row = ground.ask(&format!("SELECT {TOTALS} FROM {from}")).swap_remove(0).into_iter();
    let mut next = || row.next().unwrap_or_default();
    (next(), plain(&next()), plain(&next()))
}

fn of(run: &Value) -> Totals {
    let text = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
    (run["rows"].to_string(), plain(&text("billed")), plain(&text("effective")))
}

/// A decimal without the zeros that say nothing.
fn plain(decimal: &str) -> String {
    if decimal.contains('.') {
        decimal.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        decimal.to_owned()
    }
}

/// Whether the manifest lists a blob that is not there.
fn is_torn(manifest: &Path) -> bool {
    let document: Value =
        serde_json::from_str(&fs::read_to_string(manifest).expect("the manifest is readable")).expect("JSON");
    let blobs = document["blobs"].as_array().cloned().unwrap_or_default();
    let beside = |blob: &Value| -> Option<PathBuf> {
        Some(manifest.parent()?.join(blob["blobName"].as_str()?.rsplit('/').next()?))
    };
    blobs.iter().filter_map(beside).any(|path| !path.exists())
}
