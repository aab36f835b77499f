//! Reports of scanners and SBOMs: every file is read without a reject, and holds as many findings and components as a plain
//! walk over its JSON counts, or as DefectDojo's own tests expect.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Tally, arg, files};
use crate::harness::Ground;

mod count;

const ENDINGS: &[&str] = &[".json", ".sarif", ".csv", ".asff", ".gitlab", ".gitlab-codequality", ".gsbom"];

/// Figures of one file: findings, components, rejects; and the severities among the findings.
#[derive(Default, Clone, PartialEq, Eq, Debug)]
struct Figures {
    findings: usize,
    components: usize,
    rejects: usize,
    severities: BTreeSet<String>,
}

/// Reads each folder into a store of its own; a file is known by its name there.
fn read(suite: &Path, tally: &mut Tally) -> BTreeMap<PathBuf, Figures> {
    let mut folders: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    let mut seen = HashSet::new();
    let all = ENDINGS.iter().flat_map(|ending| files(suite, ending)).collect::<BTreeSet<_>>();
    for path in all.into_iter().filter(|path| !path.ends_with("expected_counts.json")) {
        // The same document under another name is the same document.
        if seen.insert(fs::read(&path).expect("the report is readable")) {
            folders.entry(path.parent().expect("a file lies in a folder").to_owned()).or_default().push(path);
        }
    }
    let mut figures = BTreeMap::new();
    for (folder, paths) in folders {
        let ground = Ground::new();
        let named: Vec<&str> = paths.iter().map(|path| arg(path)).collect();
        let done = ground.run(&[&["ingest", "sarif"][..], &named[..]].concat());
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        tally.case(&format!("{name}: ingested"), if done.code == Some(0) { Ok(()) } else { Err(done.stderr) });
        let mut of: BTreeMap<String, Figures> = BTreeMap::new();
        for (table, more) in [("security_finding", ", severity"), ("sbom_component", ""), ("reject", "")] {
            for row in ground.ask(&format!("SELECT source, count(*){more} FROM {table} GROUP BY source{more}")) {
                let (entry, count) = (of.entry(row[0].clone()).or_default(), row[1].parse().unwrap_or(0));
                match table {
                    "security_finding" => {
                        entry.findings += count;
                        entry.severities.insert(row[2].clone());
                    }
                    "sbom_component" => entry.components += count,
                    _ => entry.rejects += count,
                }
            }
        }
        for path in paths {
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            figures.insert(path, of.remove(&name).unwrap_or_default());
        }
    }
    figures
}

/// Compares with what the JSON itself holds.
fn compare(suite: &Path, path: &Path, got: &Figures, tally: &mut Tally) {
    let name = path.strip_prefix(suite).unwrap_or(path).display().to_string();
    let text = fs::read_to_string(path).expect("the report is text");
    let Some(expected) = count::of(&text) else { return };
    tally.equal(&format!("{name}: findings"), &got.findings, &expected.findings);
    if let Some(components) = expected.components {
        tally.equal(&format!("{name}: components"), &got.components, &components);
    }
    tally.equal(&format!("{name}: rejects"), &got.rejects, &expected.broken);
}

/// Any folder of reports.
pub fn run(suite: &Path) -> Option<Tally> {
    let mut tally = Tally::default();
    for (path, got) in read(suite, &mut tally) {
        compare(suite, &path, &got, &mut tally);
    }
    Some(tally)
}

/// DefectDojo's files: its own expectations where it has them, else the walk.
pub fn defectdojo(suite: &Path) -> Option<Tally> {
    let expected = fs::read_to_string(suite.join("expected_counts.json")).ok()?;
    let expected: Value = serde_json::from_str(&expected).expect("expected_counts.json is JSON");
    let mut tally = Tally::default();
    let figures = read(suite, &mut tally);
    for (name, wanted) in expected.as_object().into_iter().flatten() {
        let path = suite.join(name);
        // The same document may stand under another name; then that one was read.
        let same = || figures.iter().find(|(other, _)| fs::read(other).ok() == fs::read(&path).ok());
        let Some(got) = figures.get(&path).or_else(|| same().map(|(_, got)| got)) else {
            tally.case(name, Err("was not read".to_owned()));
            continue;
        };
        let count = wanted["findings"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
        tally.equal(&format!("{name}: findings"), &got.findings, &count);
        tally.equal(&format!("{name}: rejects"), &got.rejects, &0);
        for severity in wanted["severities_seen_in_first_asserts"].as_array().into_iter().flatten() {
            let severity = severity.as_str().unwrap_or_default().to_lowercase();
            let seen = got.severities.contains(&severity);
            let why = || format!("none of {:?}", got.severities);
            tally.case(&format!("{name}: {severity}"), if seen { Ok(()) } else { Err(why()) });
        }
    }
    for (path, got) in &figures {
        let name = path.strip_prefix(suite).unwrap_or(path).display().to_string();
        if expected.get(&name).is_none() {
            compare(suite, path, got, &mut tally);
        }
    }
    Some(tally)
}
