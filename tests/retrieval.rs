//! The quality gate: small judged collections, with floors below what is measured. The text leg always; the others where a
//! model was pulled.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::harness;

/// nDCG@10 that a leg must reach on a slice. Measured values are a little higher; a point lost is noticed.
struct Floor {
    slice: &'static str,
    text: f64,
    fusion: f64,
}

const FLOORS: &[Floor] =
    &[Floor { slice: "german", text: 0.955, fusion: 0.985 }, Floor { slice: "code", text: 0.885, fusion: 0.88 }];
/// How far the fusion may stay behind the better leg on a slice, where one question is a large part.
const BEHIND_MAX: f64 = 0.01;

fn slice(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/retrieval").join(name)
}

/// Where models lie: the harness hides the environment from the binary, models are the exception.
fn cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    set("STELLWERK_CACHE").or_else(|| user.map(|user| user.join("stellwerk")))
}

fn eval(slice: &Path, more: &[&str], kept: &Path) -> Value {
    let mut args = vec!["eval", "retrieval", slice.to_str().expect("UTF-8"), "--format", "json", "--data-cache"];
    args.push(kept.to_str().expect("UTF-8"));
    args.extend(more);
    let mut command = harness::command(&args);
    if let Some(cache) = cache() {
        command.env("STELLWERK_CACHE", cache);
    }
    let output = command.stdin(Stdio::null()).output().expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "stellwerk {}: {said}", args.join(" "));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|cause| panic!("{cause}: {said}"))
}

#[test]
fn words_find_what_they_found_before() {
    let kept = tempfile::tempdir().expect("a folder");
    for floor in FLOORS {
        let report = eval(&slice(floor.slice), &["--legs", "text"], kept.path());
        let text = report["ndcg@10"]["text"].as_f64().expect("a figure");
        assert!(text >= floor.text, "{}: text {text:.4}, at least {} is asked", floor.slice, floor.text);
        assert!(report["ndcg@10"]["fusion"].is_null());
    }
}

#[test]
fn both_legs_together_are_no_worse() {
    const MODEL: &str = "multilingual-e5-small";
    if !cache().is_some_and(|cache| cache.join("models").join(MODEL).is_dir()) {
        harness::skipped(
            "the quality of vectors and fusion",
            "no model was pulled: stellwerk model pull multilingual-e5-small",
        );
        return;
    }
    let kept = tempfile::tempdir().expect("a folder");
    for floor in FLOORS {
        let report = eval(&slice(floor.slice), &["--model", MODEL], kept.path());
        let of = |leg: &str| report["ndcg@10"][leg].as_f64().expect("a figure");
        let (best, fusion) = (of("text").max(of("vector")), of("fusion"));
        assert!(fusion >= floor.fusion, "{}: fusion {fusion:.4}, at least {} is asked", floor.slice, floor.fusion);
        assert!(fusion >= best - BEHIND_MAX, "{}: fusion {fusion:.4} against {best:.4}", floor.slice);
    }
}

/// Judgements of a team: learned weights are written only where they help on questions that were left out.
#[test]
fn weights_are_learned_from_judgements() {
    let kept = tempfile::tempdir().expect("a folder");
    let folder = slice("german");
    let questions = std::fs::read_to_string(folder.join("queries.jsonl")).expect("questions");
    let texts: std::collections::HashMap<String, String> = questions
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .map(|line| {
            (line["_id"].as_str().unwrap_or_default().to_owned(), line["text"].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    let judgements = std::fs::read_to_string(folder.join("qrels.tsv")).expect("judgements");
    let lines: Vec<String> = judgements
        .lines()
        .skip(1)
        .filter_map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let query = texts.get(columns[0])?;
            Some(serde_json::json!({"query": query, "document": columns[1], "action": "click"}).to_string())
        })
        .collect();
    let (file, weights) = (kept.path().join("clicks.jsonl"), kept.path().join("weights.json"));
    std::fs::write(&file, lines.join("\n")).expect("written");
    let args =
        ["--legs", "text", "--judgements", file.to_str().expect("UTF-8"), "--learn", weights.to_str().expect("UTF-8")];
    let report = eval(&folder, &args, kept.path());
    assert!(report["counts"]["questions"].as_f64() >= Some(100.0), "{report}");
    // Words alone leave nothing to weigh.
    assert!(!weights.exists());
}
