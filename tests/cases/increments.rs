//! Two releases of one documentation: the second is read over the first, and the index must do no more than what changed,
//! end as one that was built of the second alone, and find nothing of files that are gone.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Tally;
use crate::harness::{Ground, Server};

const MODEL: &str = "hashed-64";
/// Of the chunks that truly changed, as many more may be embedded.
const AGAIN_MAX: f64 = 1.05;
/// Questions that both indexes answer.
const QUESTIONS: usize = 40;

type Files = BTreeMap<String, String>;

/// Runs in a folder with `versions/*.jsonl.gz` and questions.
pub fn run(folder: &Path) -> Option<Tally> {
    let mut versions = super::files(&folder.join("versions"), ".jsonl.gz");
    versions.sort();
    let [.., before, after] = versions.as_slice() else { return None };
    let (before, after) = (read(before), read(after));
    let mut tally = Tally::default();
    let ground = Ground::new();
    write(&ground, &Files::new(), &before);
    let full = build(&ground);
    let old = hashes(&ground);
    write(&ground, &before, &after);
    let more = build(&ground);
    let new = hashes(&ground);
    let changed = new.difference(&old).count();
    let embedded = more.status["embedded_inputs"].as_u64().unwrap_or(0) as f64;
    let ratio = embedded / changed.max(1) as f64;
    let enough = if ratio <= AGAIN_MAX { Ok(()) } else { Err(format!("{embedded} embedded for {changed} changed")) };
    tally.case("only what changed is embedded", enough);
    let gone: Vec<&String> = before.keys().filter(|path| !after.contains_key(*path)).collect();
    let anew = Ground::new();
    write(&anew, &Files::new(), &after);
    build(&anew);
    let (server, rebuilt) = (serve(&ground), serve(&anew));
    let questions = questions(&folder.join("queries.jsonl"), &gone, &before);
    for question in &questions {
        let (got, expected) = (answers(&server, question), answers(&rebuilt, question));
        tally.equal(question, &got, &expected);
        let stale = gone.iter().find(|path| got.iter().any(|hit| hit.starts_with(&format!("{path}.md "))));
        tally.case("nothing of a deleted file", stale.map_or(Ok(()), |path| Err(format!("{path} for {question:?}"))));
    }
    tally.note = format!(
        ": {} files, {} chunks, built in {:.1} s; {changed} inputs changed, {embedded} embedded ({ratio:.3}), in {:.1} s ({:.2} of the full build)",
        before.len(),
        new.len(),
        full.took.as_secs_f64(),
        more.took.as_secs_f64(),
        more.took.as_secs_f64() / full.took.as_secs_f64()
    );
    Some(tally)
}

fn read(path: &Path) -> Files {
    let file = fs::File::open(path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    let entry = |line: std::io::Result<String>| {
        let document: Value = serde_json::from_str(&line.expect("text")).expect("a document a line");
        let field = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
        (field("_id"), field("text"))
    };
    lines.map(entry).collect()
}

/// Brings the folder from one release to another, and reads it.
fn write(ground: &Ground, before: &Files, after: &Files) {
    let folder = ground.beside("docs");
    let place = |path: &str| folder.join(format!("{path}.md"));
    for path in before.keys().filter(|path| !after.contains_key(*path)) {
        fs::remove_file(place(path)).expect("a file of the release before");
    }
    for (path, text) in after.iter().filter(|(path, text)| before.get(*path) != Some(text)) {
        let place = place(path);
        fs::create_dir_all(place.parent().expect("a file lies in a folder")).expect("a folder");
        fs::write(place, text).expect("a file");
    }
    ground.run(&["ingest", "docs", super::arg(&folder)]).ok();
}

struct Built {
    status: Value,
    took: Duration,
}

fn build(ground: &Ground) -> Built {
    let begun = Instant::now();
    let done = ground.run(&["index", "build", "--embedder", MODEL, "--json"]).ok();
    Built { took: begun.elapsed(), status: serde_json::from_str(&done.stdout).expect("a status") }
}

fn hashes(ground: &Ground) -> HashSet<String> {
    ground.ask("SELECT DISTINCT hash FROM chunk").into_iter().flatten().collect()
}

fn serve(ground: &Ground) -> Server {
    Server::start(ground, &["--embedder", MODEL, "--index", "off"])
}

/// Questions of the set, and the titles of files that are gone.
fn questions(path: &Path, gone: &[&String], before: &Files) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let asked = text.lines().filter_map(|line| {
        let question: Value = serde_json::from_str(line).ok()?;
        question["text"].as_str().map(str::to_owned)
    });
    let asked: Vec<String> = asked.collect();
    let step = (asked.len() / QUESTIONS).max(1);
    let title =
        |path: &&String| before[*path].lines().next().map(|line| line.trim_start_matches(['#', ' ']).to_owned());
    let titles = gone.iter().filter_map(title).filter(|title| !title.is_empty());
    asked.into_iter().step_by(step).chain(titles).collect()
}

/// Path, place, text and score of what is found, by each leg and both.
fn answers(server: &Server, question: &str) -> Vec<String> {
    let literal = question.replace('\'', "''");
    let mut all = Vec::new();
    for function in ["search", "text_search", "vector_search"] {
        let sql = format!(
            "SELECT path, ordinal, span_start, span_end, round(score, 4) AS score, text FROM {function}('{literal}', 10) ORDER BY rank"
        );
        let rows = server.sql(&sql).rows;
        all.extend(rows.iter().map(|row| format!("{} {function} {}", row[0], row[1..].join(" "))));
    }
    all
}
