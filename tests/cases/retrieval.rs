//! Judged collections: what each leg is worth, what both together are, and the law that both are never worse than the better
//! one. Every folder that holds a collection is measured with the models that can be pulled; those with a published figure
//! have a goal of their own.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Tally, arg};
use crate::harness;

/// What a leg must reach on a collection by its name.
struct Goal {
    collection: &'static str,
    measure: &'static str,
    leg: &'static str,
    /// The model, where it is not the one that is used by default.
    model: Option<&'static str>,
    at_least: f64,
}

const fn goal(collection: &'static str, measure: &'static str, leg: &'static str, at_least: f64) -> Goal {
    Goal { collection, measure, leg, model: None, at_least }
}

const GOALS: &[Goal] = &[
    goal("scifact", "ndcg@10", "text", 0.686),
    goal("scifact", "ndcg@10", "fusion", 0.715),
    Goal { model: Some("all-MiniLM-L6-v2"), ..goal("scifact", "ndcg@10", "vector", 0.642) },
    goal("xquad-de", "ndcg@10", "fusion", 0.956),
    goal("xquad-de2en", "ndcg@10", "fusion", 0.918),
    goal("anthropic-codebase", "pass@10", "fusion", 0.872),
    // Published for chunks of 1,200 characters.
    goal("chroma-chunking", "span_recall", "fusion", 0.809),
    goal("chroma-chunking", "span_iou", "fusion", 0.177),
    goal("ocp-docs", "hit@1", "text", 0.485),
    goal("ocp-docs", "hit@5", "text", 0.686),
];

/// How far the lower end of the fusion's lead may lie below the better leg.
const LAW: f64 = -0.010;
/// What the fusion must gain over the better single way, in the mean over all collections.
const MEAN_GAIN: f64 = 0.02;
/// Used when nothing else is asked for.
const MODELS: [&str; 2] = ["multilingual-e5-small", "all-MiniLM-L6-v2"];

pub fn run(suite: &Path) -> Option<Tally> {
    let mut folders: Vec<PathBuf> = fs::read_dir(suite).ok()?.flatten().map(|entry| entry.path()).collect();
    folders.retain(|path| path.join("queries.jsonl").is_file() || path.join("questions.jsonl").is_file());
    folders.sort();
    let mut tally = Tally::default();
    let pulled = MODELS.map(|model| harness::run(&["model", "pull", model]).code == Some(0));
    if !pulled[0] {
        harness::skipped("the vector leg of judged collections", "multilingual-e5-small could not be pulled");
    }
    let mut means = Vec::new();
    for folder in &folders {
        let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        // Named, since tests run without a model unless they ask for one.
        let Some(report) = measured(folder, pulled[0].then_some(MODELS[0]), &name, &mut tally) else { continue };
        for goal in GOALS.iter().filter(|goal| goal.collection == name && (pulled[0] || goal.leg == "text")) {
            let report = match goal.model {
                None => Some(report.clone()),
                Some(model) if pulled[1] => measured(folder, Some(model), &name, &mut tally),
                Some(_) => None,
            };
            if let Some(report) = report {
                reaches(&mut tally, goal, &report);
            }
        }
        law(&mut tally, &name, &report);
        if let (Some(text), Some(vector), Some(fusion)) =
            (of(&report, "ndcg@10", "text"), of(&report, "ndcg@10", "vector"), of(&report, "ndcg@10", "fusion"))
        {
            means.push([text, vector, fusion]);
            tally.note += &format!(" {name} {:.1}/{:.1}/{:.1},", 100.0 * text, 100.0 * vector, 100.0 * fusion);
        }
    }
    if means.len() > 1 {
        let mean = |leg: usize| means.iter().map(|row| row[leg]).sum::<f64>() / means.len() as f64;
        let (best, fusion) = (mean(0).max(mean(1)), mean(2));
        let outcome = if fusion >= best + MEAN_GAIN { Ok(()) } else { Err(format!("{fusion:.4} against {best:.4}")) };
        tally.case("the mean over all collections", outcome);
    }
    Some(tally)
}

fn measured(folder: &Path, model: Option<&str>, name: &str, tally: &mut Tally) -> Option<Value> {
    let mut args = vec!["eval", "retrieval", arg(folder), "--format", "json"];
    if let Some(model) = model {
        args.extend(["--model", model]);
    }
    let done = harness::run(&args);
    match serde_json::from_str(&done.stdout) {
        Ok(report) if done.code == Some(0) => Some(report),
        _ => {
            tally.case(name, Err(format!("it was not measured: {}", done.stderr.trim())));
            None
        }
    }
}

fn of(report: &Value, measure: &str, leg: &str) -> Option<f64> {
    report[measure][leg].as_f64()
}

fn reaches(tally: &mut Tally, goal: &Goal, report: &Value) {
    let outcome = match of(report, goal.measure, goal.leg) {
        Some(value) if value >= goal.at_least => Ok(()),
        Some(value) => Err(format!("{value:.4}, at least {} is asked", goal.at_least)),
        None => Err("was not measured".to_owned()),
    };
    tally.case(&format!("{} {} of {}", goal.collection, goal.measure, goal.leg), outcome);
}

/// The lower end of what the fusion is ahead of the better leg, question by question.
fn law(tally: &mut Tally, name: &str, report: &Value) {
    if let Some(low) = report["fusion_minus_best_leg"]["low"].as_f64() {
        let outcome = if low >= LAW { Ok(()) } else { Err(format!("the lower end is {:+.2} points", 100.0 * low)) };
        tally.case(&format!("{name} law"), outcome);
    }
}
