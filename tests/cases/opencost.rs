//! OpenCost's allocation: every group's cost is what its own tests say (and, where they say that they are wrong, what its
//! rules say), volumes are shared by time; whatever is asked for, what comes out is what went in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ledger::allocate::{Mount, volume_shares};
use ledger::decimal::{ONE, parse};
use serde_json::Value;

use super::{Tally, arg, files};
use crate::harness::{self, Done, csv_rows};

/// How near a recorded number is, unless its case says otherwise: they are recorded to nine decimals, and as integers.
const TOLERANCE: f64 = 1e-9;

pub fn run(suite: &Path) -> Option<Tally> {
    let mut tally = Tally::default();
    for file in files(suite, "/cases.json") {
        let folder = file.parent().expect("a file lies in a folder");
        let document = read(&file);
        for (name, case) in document["cases"].as_object().into_iter().flatten() {
            tally.case(name, allocation(folder, &document, case));
            tally.case(&format!("{name}: adds up"), adds_up(folder, &document, case));
        }
    }
    for file in files(suite, "pvc_share.json") {
        let document = read(&file);
        for case in document["cases"].as_array().into_iter().flatten() {
            tally.case(case["name"].as_str().unwrap_or_default(), volume(&document, case));
        }
    }
    Some(tally)
}

fn read(file: &Path) -> Value {
    let text = fs::read_to_string(file).expect("the cases are readable");
    serde_json::from_str(&text).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()))
}

/// A column of the cases as a property.
fn property(column: &str) -> String {
    let label = column.strip_prefix("label_").map(|name| format!("label:{name}"));
    let annotation = || column.strip_prefix("annotation_").map(|name| format!("annotation:{name}"));
    label.or_else(annotation).unwrap_or_else(|| column.to_owned())
}

fn selectors(flag: &str, chosen: &Value) -> Vec<String> {
    let mut args = Vec::new();
    for (column, values) in chosen.as_object().into_iter().flatten() {
        let texts = match values {
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            one => one.as_str().unwrap_or_default().to_owned(),
        };
        args.extend([flag.to_owned(), format!("{}={texts}", property(column))]);
    }
    args
}

/// The command that asks for a case, without its filter where `whole`.
fn asked(folder: &Path, document: &Value, case: &Value, whole: bool) -> Done {
    let options = &case["opts"];
    let by: Vec<String> = case["by"].as_array().into_iter().flatten().filter_map(Value::as_str).map(property).collect();
    let mut args: Vec<String> =
        ["cost", "allocate", "--format", "json", "--from", arg(folder), "--by"].map(str::to_owned).to_vec();
    args.extend([by.join(","), "--window-hours".to_owned(), document["window_hours"].to_string()]);
    for (option, flag) in [("share_idle", "--share-idle"), ("share_split", "--share-split")] {
        if let Some(word) = options[option].as_str() {
            args.extend([flag.to_owned(), word.to_owned()]);
        }
    }
    if options["overhead_hourly"].is_number() {
        args.extend(["--overhead-hourly".to_owned(), options["overhead_hourly"].to_string()]);
    }
    if options["idle_by_node"] == true {
        args.push("--idle-by-node".to_owned());
    }
    args.extend(selectors("--share", &options["share"]));
    if !whole {
        args.extend(selectors("--filter", &options["filter"]));
    }
    harness::run(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn totals(done: &Done) -> Result<BTreeMap<String, i128>, String> {
    if done.code != Some(0) {
        return Err(format!("exit {:?}: {}", done.code, done.stderr));
    }
    let document: Value = serde_json::from_str(&done.stdout).map_err(|cause| format!("{cause}: {}", done.stdout))?;
    let total = |entry: &Value| {
        let units = parse(entry["total"].as_str().unwrap_or_default()).map(|number| number.units);
        Ok((entry["group"].as_str().unwrap_or_default().to_owned(), units?))
    };
    let entries = document["entries"].as_array().cloned().unwrap_or_default();
    entries.iter().map(total).collect::<Result<_, &str>>().map_err(str::to_owned)
}

fn allocation(folder: &Path, document: &Value, case: &Value) -> Result<(), String> {
    let got = totals(&asked(folder, document, case, false))?;
    let got = got.into_iter().map(|(group, total)| (group, total as f64 / ONE as f64)).collect();
    near(&got, &case["expected"], case["tol"].as_f64().unwrap_or(TOLERANCE))
}

/// Every group of one is a group of the other, with the same number; a group of nothing may be missing.
fn near(got: &BTreeMap<String, f64>, expected: &Value, tolerance: f64) -> Result<(), String> {
    let expected: BTreeMap<String, f64> =
        expected.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.as_f64().unwrap_or(f64::NAN))).collect();
    for group in got.keys().chain(expected.keys()).collect::<BTreeSet<_>>() {
        let of = |from: &BTreeMap<String, f64>| from.get(group).copied().unwrap_or_default();
        // A NaN is near nothing.
        if (of(got) - of(&expected)).abs() <= tolerance {
            continue;
        }
        return Err(format!("{group} is {}, expected {}; all: {got:?}", of(got), of(&expected)));
    }
    Ok(())
}

/// Without its filter, a case's groups are everything that was paid for.
fn adds_up(folder: &Path, document: &Value, case: &Value) -> Result<(), String> {
    let by_node = case["opts"]["idle_by_node"] == true;
    let idle = if by_node { "idle_node.csv" } else { "idle_cluster.csv" };
    let mut paid = 0;
    for name in ["allocations.csv", idle] {
        let rows = csv_rows(&fs::read_to_string(folder.join(name)).map_err(|cause| format!("{name}: {cause}"))?);
        let costs: Vec<usize> = (0..rows[0].len()).filter(|at| rows[0][*at].ends_with("_cost")).collect();
        for row in &rows[1..] {
            paid += costs.iter().filter_map(|at| parse(&row[*at]).ok()).map(|number| number.units).sum::<i128>();
        }
    }
    let hourly = case["opts"]["overhead_hourly"].to_string();
    let hours = document["window_hours"].as_i64().unwrap_or_default();
    paid += parse(&hourly).map_or(0, |number| number.units * i128::from(hours));
    let got: i128 = totals(&asked(folder, document, case, true))?.values().sum();
    if got == paid { Ok(()) } else { Err(format!("{got} of {paid} units of 10⁻¹⁸")) }
}

/// Minutes of a clock text, `08:30`, or of an instant.
fn minutes(text: &str) -> i64 {
    let clock = text.split('T').next_back().unwrap_or(text);
    let mut parts = clock.trim_end_matches('Z').split(':').map(|part| part.parse::<i64>().unwrap_or_default());
    parts.next().unwrap_or_default() * 60 + parts.next().unwrap_or_default()
}

fn volume(document: &Value, case: &Value) -> Result<(), String> {
    let window = if case["window"].is_array() { &case["window"] } else { &document["window"] };
    let at = |of: &Value, place: usize| minutes(of[place].as_str().unwrap_or_default());
    let mounts: Vec<Mount> = case["pods"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(pod, span)| Mount { pod: pod.clone(), start: at(span, 0), end: at(span, 1) })
        .collect();
    let shares = volume_shares(ONE, (at(window, 0), at(window, 1)), &mounts);
    let answered = case["expected"].as_object().is_some_and(|shares| !shares.is_empty());
    match (shares, answered) {
        (Ok(shares), true) => {
            if shares.values().sum::<i128>() != ONE {
                return Err(format!("the shares do not add up: {shares:?}"));
            }
            let got = shares.into_iter().map(|(pod, part)| (pod, part as f64 / ONE as f64)).collect();
            near(&got, &case["expected"], TOLERANCE)
        }
        // A case without expected shares is one that must be refused.
        (Err(_), false) => Ok(()),
        (Ok(shares), false) => Err(format!("{shares:?}, expected {}", case["expected"])),
        (Err(error), true) => Err(error.to_string()),
    }
}
