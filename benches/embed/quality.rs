//! What bytes cost: nDCG@10 on SciFact by exact search over the vectors of both precisions.

use std::collections::HashMap;

use engine::Purpose;
use index::embed::LocalEmbedder;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use crate::Context;
use crate::report::{Bound, Goal, Report};

use super::{SEED, documents, scifact};

const DEPTH: usize = 10;

/// The two figures side by side; an error says what is missing.
pub fn compare(
    context: &Context,
    report: &mut Report,
    single: &LocalEmbedder,
    bytes: &LocalEmbedder,
    goal: f64,
) -> Result<(), String> {
    let folder = scifact().ok_or("SciFact is not there: STELLWERK_CASES names the folder of its data")?;
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|e| format!("{name}: {e}"));
    let mut wanted: HashMap<String, HashMap<String, f64>> = HashMap::new();
    for line in read("qrels.tsv")?.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let (Some(query), Some(document), Some(grade)) =
            (cells.first(), cells.get(cells.len().saturating_sub(2)), cells.last())
        else {
            continue;
        };
        if let Ok(grade) = grade.parse::<f64>() {
            wanted.entry((*query).to_owned()).or_default().insert((*document).to_owned(), grade);
        }
    }
    let queries = read("queries.jsonl")?;
    let queries: Vec<(String, String)> = queries
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|q| (q["_id"].as_str().unwrap_or_default().to_owned(), q["text"].as_str().unwrap_or_default().to_owned()))
        .filter(|(id, _)| wanted.contains_key(id))
        .collect();
    let mut all = documents(&folder);
    if context.quick {
        // A trial: what is wanted, and a few others.
        let relevant = |id: &str| wanted.values().any(|documents| documents.contains_key(id));
        let (keep, mut rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(id, _)| relevant(id));
        rest.shuffle(&mut StdRng::seed_from_u64(SEED));
        all = keep.into_iter().chain(rest.into_iter().take(200)).collect();
    }
    context.say(format_args!("nDCG@10 over {} documents and {} questions, twice", all.len(), queries.len()));
    let [of_single, of_bytes] = [single, bytes].map(|model| ndcg(model, &all, &queries, &wanted));
    report.goal(Goal {
        what: &format!("points of nDCG@10 that int8 loses on SciFact, {} documents", all.len()),
        bound: Bound::AtMost(goal),
        unit: "points",
        value: Some(100.0 * (of_single - of_bytes)),
        ours: format!("f32 {:.2}, int8 {:.2}", 100.0 * of_single, 100.0 * of_bytes),
        peer: String::new(),
    });
    report.raw("ndcg_at_10", json!({"f32": of_single, "int8": of_bytes, "documents": all.len()}));
    Ok(())
}

fn ndcg(
    model: &LocalEmbedder,
    documents: &[(String, String)],
    queries: &[(String, String)],
    wanted: &HashMap<String, HashMap<String, f64>>,
) -> f64 {
    let embed = |texts: &[(String, String)], purpose| {
        let slices: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
        model.embed_now(&slices, purpose).expect("the model embeds")
    };
    let (found, asked) = (embed(documents, Purpose::Passage), embed(queries, Purpose::Query));
    let gain = |at: usize, grade: f64| grade / ((at + 2) as f64).log2();
    let of_query = |(id, _): &(String, String), query: &[f32]| {
        let score = |vector: &Vec<f32>| vector.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
        let mut ranked: Vec<(f32, usize)> = found.iter().map(score).zip(0..).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let grades = &wanted[id];
        let grade = |at: usize| grades.get(&documents[at].0).copied().unwrap_or(0.0);
        let reached: f64 =
            ranked.iter().take(DEPTH).enumerate().map(|(at, (_, document))| gain(at, grade(*document))).sum();
        let mut best: Vec<f64> = grades.values().copied().collect();
        best.sort_by(|a, b| b.total_cmp(a));
        let ideal: f64 = best.iter().take(DEPTH).enumerate().map(|(at, grade)| gain(at, *grade)).sum();
        if ideal > 0.0 { reached / ideal } else { 0.0 }
    };
    let sum: f64 = queries.iter().zip(&asked).map(|(query, vector)| of_query(query, vector)).sum();
    sum / queries.len() as f64
}
