//! Search as its users meet it: documents that the real binary takes, cuts and embeds, then questions over HTTP, one after the
//! other, by words and vectors together.
//!
//! Documents and questions are the judged collections in `STELLWERK_RETRIEVAL`, else `../shared/data/retrieval`.

use std::path::Path;
use std::time::{Duration, Instant};

use index::evaluate::dataset::{self, Document};
use index::model;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use crate::harness::{Ground, Http, Server};
use crate::report::{Bound, Goal, Report, figure, percentile};
use crate::{Context, peer, retrieval};

const SEED: u64 = 20_261_127;
const MODEL: &str = "multilingual-e5-small";
const DOCUMENTS: usize = 2_000;
const QUESTIONS: usize = 1000;
const WARM: usize = 50;
const K: usize = 10;
const MEDIAN_GOAL_MS: f64 = 10.0;
const P99_GOAL_MS: f64 = 30.0;
/// All is searchable within this time, or something is wrong.
const BUILD_TIME_MAX: Duration = Duration::from_secs(3600);
const LOOK: Duration = Duration::from_millis(500);

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    if !model::present(&crate::cache(), MODEL) {
        report.missing(MODEL, "its weights were not pulled; deploy/setup weights does");
        return report;
    }
    let (documents, questions) = material(context);
    if documents.is_empty() {
        report.missing("judged collections", "neither STELLWERK_RETRIEVAL nor ../shared/data/retrieval has any");
        return report;
    }
    let ground = Ground::under(&context.folder);
    let folder = ground.beside("documents");
    let bytes = write(&folder, &documents);
    let server = Server::start(&ground, &["--embedder", MODEL]);
    context.say(format_args!("{} documents, {} MB", documents.len(), bytes >> 20));
    let begun = Instant::now();
    ground.run(&["ingest", "docs", folder.to_str().expect("UTF-8")]).ok();
    let ingest_s = begun.elapsed().as_secs_f64();
    let status = settled(context, &ground);
    let build_s = begun.elapsed().as_secs_f64();
    let count = |name: &str| status[name].as_f64().expect("a count of the index");
    let chunks = count("chunks");
    let mb = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    report.table(
        "Building the index",
        &[
            "documents",
            "chunks",
            "taken, s",
            "searchable, s",
            "documents/s",
            "chunks/s",
            "CPU, s",
            "peak MB",
            "MB after",
        ],
        vec![vec![
            figure(count("documents")),
            figure(chunks),
            figure(ingest_s),
            figure(build_s),
            figure(count("documents") / build_s),
            figure(chunks / build_s),
            figure(peer::cpu_s(server.id())),
            figure(mb(peer::peak_bytes(server.id()))),
            figure(mb(peer::resident_bytes(server.id()))),
        ]],
    );
    context.say(format_args!("{} questions", questions.len()));
    let mut door = server.connect();
    let mut rows = Vec::new();
    for legs in ["both", "text", "vector"] {
        let mut times: Vec<f64> = questions.iter().map(|question| ask(&mut door, question, legs)).collect();
        times.drain(..WARM.min(times.len() / 2));
        times.sort_by(f64::total_cmp);
        let [median, p99] = [0.5, 0.99].map(|share| percentile(&times, share));
        rows.push(vec![legs.to_owned(), figure(median), figure(percentile(&times, 0.9)), figure(p99)]);
        if legs == "both" {
            for (name, goal, value) in [("median", MEDIAN_GOAL_MS, median), ("p99", P99_GOAL_MS, p99)] {
                report.goal(Goal {
                    what: &format!("a question over HTTP by words and vectors, {chunks} chunks, {name}"),
                    bound: Bound::AtMost(goal),
                    unit: "ms",
                    value: Some(value),
                    ours: format!("{} ms", figure(value)),
                    peer: String::new(),
                });
            }
        }
    }
    report.table(&format!("Questions, the best {K}"), &["by", "p50 ms", "p90 ms", "p99 ms"], rows);
    report.note(format!(
        "{MODEL} in {}, questions one after the other over one connection; each is another question, embedded when it is asked.",
        status["active"]["model"].as_str().unwrap_or("its default precision")
    ));
    report
}

/// Documents of all collections, mixed, and questions about them.
fn material(context: &Context) -> (Vec<Document>, Vec<String>) {
    let (mut documents, mut questions) = (Vec::new(), Vec::new());
    for folder in retrieval::folders() {
        let Ok(collection) = dataset::read(&folder) else { continue };
        documents.extend(collection.documents);
        questions.extend(collection.questions.into_iter().map(|question| question.text));
    }
    let mut dice = StdRng::seed_from_u64(SEED);
    documents.shuffle(&mut dice);
    questions.shuffle(&mut dice);
    documents.truncate(context.scaled(DOCUMENTS));
    questions.truncate(context.scaled(QUESTIONS));
    (documents, questions)
}

/// A page of Markdown each; how many bytes they are.
fn write(folder: &Path, documents: &[Document]) -> u64 {
    const PAGES_A_FOLDER: usize = 500;
    let mut bytes = 0;
    for (n, document) in documents.iter().enumerate() {
        let folder = folder.join(format!("{:03}", n / PAGES_A_FOLDER));
        std::fs::create_dir_all(&folder).expect("a folder for documents");
        let page = format!("# {}\n\n{}\n", document.title.replace('\n', " "), document.text);
        bytes += page.len() as u64;
        std::fs::write(folder.join(format!("{n:05}.md")), page).expect("a document");
    }
    bytes
}

/// The index's state once nothing waits.
fn settled(context: &Context, ground: &Ground) -> Value {
    let (begun, mut said) = (Instant::now(), Instant::now());
    loop {
        let done = ground.run(&["index", "status", "--json"]).ok();
        let now: Value = serde_json::from_str(&done.stdout).expect("the state of the index is JSON");
        let embedded = now["active"]["embedded"].as_u64().unwrap_or(0);
        if now["waiting_documents"] == 0 && now["behind"] == false && now["active"]["missing"] == 0 && embedded > 0 {
            return now;
        }
        if said.elapsed() > Duration::from_secs(30) {
            context.say(format_args!("{embedded} of {} chunks embedded", now["chunks"]));
            said = Instant::now();
        }
        assert!(begun.elapsed() < BUILD_TIME_MAX, "the index does not settle: {now:#}");
        std::thread::sleep(LOOK);
    }
}

/// Milliseconds until the answer is read.
fn ask(door: &mut Http, question: &str, legs: &str) -> f64 {
    let wish = json!({"query": question, "k": K, "legs": legs}).to_string();
    let begun = Instant::now();
    let reply = door.post("/search", "application/json", wish);
    let took = begun.elapsed().as_secs_f64() * 1e3;
    assert_eq!(reply.status, 200, "{}", reply.text());
    took
}
