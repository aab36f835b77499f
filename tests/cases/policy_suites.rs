//! Suites of policies in gator's format: every case does what its suite expects, by the engine that OPA's users know.
//! A case whose policy denies because it cannot be evaluated here is told of, and has not passed.

use std::path::Path;

use serde_json::Value;

use super::{Tally, arg};
use crate::harness::command;

pub fn run(suite: &Path) -> Option<Tally> {
    if !suite.is_dir() {
        return None;
    }
    let output = command(&["policy", "test", arg(suite), "--json"]).output().expect("the binary starts");
    let mut tally = Tally::default();
    let document: Value = match serde_json::from_slice(&output.stdout) {
        Ok(document) => document,
        Err(why) => {
            let said = String::from_utf8_lossy(&output.stderr);
            tally.case("policy test", Err(format!("{why}: {said}")));
            return Some(tally);
        }
    };
    let mut denied = 0;
    for report in list(&document["suites"]) {
        let path = report["path"].as_str().unwrap_or_default();
        let path = Path::new(path).strip_prefix(suite).unwrap_or(Path::new(path)).display().to_string();
        for test in list(&report["tests"]) {
            let name = |case: &str| format!("{path} {} {case}", test["name"].as_str().unwrap_or_default());
            if list(&test["cases"]).is_empty() && test["outcome"] == "failed" {
                tally.case(&name(""), Err(test["why"].to_string()));
            }
            for case in list(&test["cases"]).iter().filter(|case| case["outcome"] != "skipped") {
                denied += usize::from(case["outcome"] == "denied");
                let outcome = if case["outcome"] == "passed" { Ok(()) } else { Err(case["why"].to_string()) };
                tally.case(&name(case["name"].as_str().unwrap_or_default()), outcome);
            }
        }
    }
    tally.note = format!(", {denied} denied because they cannot be evaluated");
    Some(tally)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
