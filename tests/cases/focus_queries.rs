//! FOCUS's published queries. The original text runs first, with its parameters bound; a repaired one only where the
//! original is not valid SQL.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Tally, arg, compare, files};
use crate::harness::{Ground, csv_rows};

/// Where a dataset's files lie, from the suite's folder: the parent's sub-folder and the ends of the names. The suite's
/// README names them in prose only. Any other dataset is `datasets/NAME*.parquet`.
const DATASETS: &[(&str, &str, &str)] = &[
    ("real10", "../focus_samples", "_1000.parquet"),
    ("syn12", "../focus_synthetic", "_all.parquet"),
    ("syn13", "../focus_synthetic", "_all.parquet"),
    ("syn14", "datasets", ".parquet"),
    ("ai15", "datasets", ".parquet"),
];
/// What a file's name contains if it belongs to the dataset.
const NAMED: &[(&str, &str)] = &[("syn12", "_1_2_"), ("syn13", "_1_3_"), ("syn14", "f14_"), ("ai15", "ai_")];

struct Query {
    name: String,
    folder: String,
    original: bool,
    params: Vec<String>,
    rows: usize,
}

pub fn run(suite: &Path) -> Option<Tally> {
    let index = fs::read_to_string(suite.join("index.csv")).ok()?;
    let mut tally = Tally::default();
    let (mut originals, mut marked) = (0, 0);
    for (dataset, queries) in by_dataset(&index) {
        let ground = Ground::new();
        let files = dataset_files(suite, &dataset);
        let mut ingest = vec!["ingest", "cost"];
        ingest.extend(files.iter().map(|path| arg(path)));
        let done = ground.run(&ingest);
        let ingested = if files.is_empty() { Err("no files of this dataset".to_owned()) } else { Ok(()) };
        let ingested =
            ingested.and(if done.code == Some(0) { Ok(()) } else { Err(format!("ingest: {}", done.stderr)) });
        for query in queries {
            marked += usize::from(query.original);
            let outcome = ingested.clone().and_then(|()| answer(suite, &ground, &query));
            originals += usize::from(outcome == Ok(true));
            tally.case(&query.name, outcome.map(|_| ()));
        }
    }
    tally.note = format!(" (original text {originals}, marked original {marked})");
    if originals < marked {
        tally.failures.push(format!("only {originals} of {marked} ran from the original text"));
    }
    Some(tally)
}

fn by_dataset(index: &str) -> BTreeMap<String, Vec<Query>> {
    let rows = csv_rows(index);
    let (head, rows) = rows.split_first().expect("index.csv has a header");
    let column =
        |name: &str| head.iter().position(|column| column == name).unwrap_or_else(|| panic!("index.csv has {name}"));
    let (name, folder, variant) = (column("name"), column("dir"), column("variant"));
    let (dataset, params, count) = (column("dataset"), column("params"), column("rows"));
    let mut found: BTreeMap<String, Vec<Query>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row[variant] != "NONE") {
        let query = Query {
            name: row[name].clone(),
            folder: row[folder].clone(),
            original: row[variant] == "original",
            params: serde_json::from_str(&row[params]).expect("params are a JSON list of texts"),
            rows: row[count].parse().expect("rows is a number"),
        };
        found.entry(row[dataset].clone()).or_default().push(query);
    }
    found
}

fn dataset_files(suite: &Path, dataset: &str) -> Vec<PathBuf> {
    let (folder, ending) = DATASETS
        .iter()
        .find(|(name, _, _)| *name == dataset)
        .map_or(("datasets", ".parquet"), |(_, folder, ending)| (folder, ending));
    let named = NAMED.iter().find(|(name, _)| *name == dataset).map(|(_, named)| *named);
    let named = named.unwrap_or(if folder == "datasets" { dataset } else { "" });
    let is_of = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains(named));
    files(&suite.join(folder), ending).into_iter().filter(is_of).collect()
}

/// The texts to try, best first: where it lies, and whether it takes parameters.
fn texts(suite: &Path, query: &Query) -> Vec<(PathBuf, bool)> {
    let mut original = vec![suite.join(&query.folder).join(format!("{}.sql", query.name))];
    if !original[0].exists() {
        // The use-case library's column `dir` holds versions, not the folder.
        original = files(suite, &format!("/{}.sql", query.name))
            .into_iter()
            .filter(|path| !path.starts_with(suite.join("fixed")))
            .collect();
    }
    let fixed = suite.join("fixed").join(format!("{}.sql", query.name));
    let bound = suite.join("fixed").join(format!("{}.bound.sql", query.name));
    let all = original.into_iter().map(|path| (path, true)).chain([(fixed, true), (bound, false)]);
    all.filter(|(path, _)| path.exists()).collect()
}

/// Whether the original text gave the expected answer; an error says why no text did.
fn answer(suite: &Path, ground: &Ground, query: &Query) -> Result<bool, String> {
    let expected = suite.join("expected").join(format!("{}.csv", query.name));
    let expected = fs::read_to_string(&expected).map_err(|cause| format!("{}: {cause}", expected.display()))?;
    let expected = csv_rows(&expected).split_off(1);
    let mut reasons = Vec::new();
    for (path, takes_params) in texts(suite, query) {
        let mut args = vec!["sql", "--file", arg(&path), "--format", "csv"];
        let params = if takes_params { query.params.as_slice() } else { &[] };
        params.iter().for_each(|param| args.extend(["--param", param]));
        let done = ground.run(&args);
        let outcome = match done.code {
            Some(0) => compare::rows(&csv_rows(&done.stdout).split_off(1), &expected, query.rows),
            code => Err(format!("exit {code:?}: {}", done.stderr.trim())),
        };
        let is_original = !path.starts_with(suite.join("fixed"));
        match outcome {
            Ok(()) => return Ok(is_original),
            Err(why) => reasons.push(format!("{}: {why}", path.file_name().unwrap_or_default().to_string_lossy())),
        }
    }
    Err(reasons.join("\n    "))
}
