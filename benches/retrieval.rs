//! Search on one core: full text against bm25s and tantivy's Python module, vectors against usearch, hnswlib, faiss and
//! LanceDB at equal recall, and what the fusion costs.
//!
//! Texts are the judged collections in `STELLWERK_RETRIEVAL`, else `../shared/data/retrieval`, else generated ones. Vectors
//! are of these texts, embedded in the first run, where the model was pulled, else made up; the result says which.

mod rows;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use index::evaluate::dataset;
use index::fuse::{QuestionTraits, Weights, fuse};
use index::text::{Hit, Passage, TextIndex, TextKind};
use index::vector::{VectorIndex, VectorSettings};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use self::rows::{Rows, WIDTH};
use crate::Context;
use crate::peer;
use crate::report::{Bound, Goal, Report, Spread, figure, percentile};

const SEED: u64 = 20_261_127;
/// Texts and vectors at full size.
const TEXTS_MAX: usize = 140_000;
const VECTORS_MAX: usize = 140_000;
const QUESTIONS: usize = 1000;
/// Where texts come from that are of no collection.
const GENERATED: &str = "generated";
const K: usize = 10;
const ROUNDS: usize = 3;
/// Words of a passage, as a chunk has them.
const PASSAGE_WORDS: usize = 150;
/// Recalls at which the graphs are compared.
const RECALLS: [f64; 2] = [0.95, 0.99];
/// What the index is asked to tune itself to, in turn.
const ASKED_RECALLS: [f32; 13] = [0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.999];

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    text(context, &mut report);
    vectors(context, &mut report);
    fusion(&mut report);
    report.note("Everything runs on one thread; rounds of ours and of the peers follow each other. Rates are medians of the rounds.");
    report
}

/// Folders of judged collections.
pub fn folders() -> Vec<PathBuf> {
    let named = std::env::var_os("STELLWERK_RETRIEVAL").map(PathBuf::from);
    let root = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/retrieval"));
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.retain(|path| dataset::is_collection(path) && path.join("corpus.jsonl").is_file());
    found.sort();
    found
}

/// Passages of so many words and questions of the collections, or generated ones.
fn texts(count: usize, passage_words: usize) -> (Vec<String>, Vec<String>, &'static str) {
    let (mut passages, mut questions) = (Vec::new(), Vec::new());
    for folder in folders() {
        let Ok(collection) = dataset::read(&folder) else { continue };
        for document in &collection.documents {
            let words: Vec<&str> = document.text.split_whitespace().collect();
            passages.extend(words.chunks(passage_words).map(|words| format!("{} {}", document.title, words.join(" "))));
        }
        questions.extend(collection.questions.into_iter().map(|question| question.text));
    }
    let mut dice = StdRng::seed_from_u64(SEED);
    if passages.is_empty() {
        let words: Vec<String> = (0..30_000).map(|n| format!("w{n:x}")).collect();
        // Words as rare as Zipf says.
        let draw = |dice: &mut StdRng| words[(words.len() as f64).powf(dice.random::<f64>()) as usize - 1].clone();
        let line = |count: usize, dice: &mut StdRng| (0..count).map(|_| draw(dice)).collect::<Vec<_>>().join(" ");
        passages = (0..count).map(|_| line(passage_words, &mut dice)).collect();
        questions = (0..QUESTIONS).map(|_| line(8, &mut dice)).collect();
        return (passages, questions, GENERATED);
    }
    for list in [&mut passages, &mut questions] {
        for n in (1..list.len()).rev() {
            list.swap(n, dice.random_range(0..=n));
        }
    }
    passages.truncate(count);
    questions.truncate(QUESTIONS);
    (passages, questions, "judged collections")
}

fn text(context: &Context, report: &mut Report) {
    let (passages, questions, origin) = texts(context.scaled(TEXTS_MAX), PASSAGE_WORDS);
    context.say(format_args!("full text: {} passages of {origin}, {} questions", passages.len(), questions.len()));
    let index = TextIndex::in_memory().expect("an index");
    let begun = Instant::now();
    for (n, group) in passages.chunks(4096).enumerate() {
        let passages: Vec<Passage<'_>> = group
            .iter()
            .enumerate()
            .map(|(at, body)| Passage {
                id: (n * 4096 + at) as u64,
                title: "",
                heading: "",
                prefix: "",
                body,
                language: None,
                kind: TextKind::Prose,
            })
            .collect();
        index.add(&passages).expect("added");
    }
    index.commit().expect("committed");
    let build_s = begun.elapsed().as_secs_f64();
    let ask = || {
        let begun = Instant::now();
        for question in &questions {
            std::hint::black_box(index.search(question, None, K, None).expect("searched"));
        }
        questions.len() as f64 / begun.elapsed().as_secs_f64()
    };
    ask();
    let file = context.folder.join("retrieval-texts.json");
    let document = json!({"passages": passages, "questions": questions, "k": K});
    std::fs::write(&file, document.to_string()).expect("a file for the peers");
    let mut ours = Vec::new();
    let mut theirs: [Vec<f64>; 2] = Default::default();
    let names = ["bm25s", "tantivy"];
    let mut why = [const { String::new() }; 2];
    for _ in 0..ROUNDS {
        ours.push(ask());
        for (n, name) in names.iter().enumerate() {
            match python(context, "text.py", &[name, file.to_str().expect("UTF-8")]) {
                Ok(answer) => theirs[n].extend(answer["rate"].as_f64()),
                Err(cause) => why[n] = cause,
            }
        }
    }
    let ours = Spread::of(&ours);
    let mut rows = vec![vec!["ours".to_owned(), ours.to_string(), figure(passages.len() as f64 / build_s)]];
    for (n, (name, bound)) in names.iter().zip([5.0, 1.0]).enumerate() {
        let spread = Spread::maybe(&theirs[n]);
        if spread.is_none() {
            report.missing(name, &why[n]);
        }
        report.goal(Goal {
            what: &format!("full text, the best {K} of {} passages, against {name}", passages.len()),
            bound: Bound::AtLeast(bound),
            unit: "x",
            value: spread.map(|spread| ours.median / spread.median),
            ours: format!("{ours} questions/s"),
            peer: spread.map_or(String::new(), |spread| format!("{name} {spread} questions/s")),
        });
        rows.push(vec![(*name).to_owned(), spread.map_or("-".to_owned(), |s| s.to_string()), "-".to_owned()]);
    }
    report.table(&format!("Full text, {origin}"), &["", "questions/s", "passages/s to build"], rows);
}

fn vectors(context: &Context, report: &mut Report) {
    let Rows { rows: all, questions, origin } =
        rows::rows(context, context.scaled(VECTORS_MAX), context.scaled(QUESTIONS));
    context.say(format_args!("vectors: {} rows, {origin}", all.len()));
    let mut exact = VectorIndex::new(WIDTH, VectorSettings { exact_rows_max: usize::MAX, recall: 1.0 });
    let mut graph = VectorIndex::new(WIDTH, VectorSettings { exact_rows_max: 1000, recall: 0.95 });
    for (id, row) in all.iter().enumerate() {
        exact.add(id as u64, row);
        graph.add(id as u64, row);
    }
    let begun = Instant::now();
    graph.tend();
    let build_s = begun.elapsed().as_secs_f64();
    let truth: Vec<Vec<u64>> =
        questions.iter().map(|row| exact.search(row, K, None).iter().map(|hit| hit.id).collect()).collect();
    let file = context.folder.join("retrieval-vectors.f32");
    write_vectors(&file, &all, &questions).expect("a file for the peers");
    let peers: Vec<(&str, Result<Value, String>)> = ["usearch", "hnswlib", "faiss", "lancedb"]
        .into_iter()
        .map(|name| {
            let counts = [WIDTH, all.len(), questions.len(), K].map(|count| count.to_string());
            let mut args = vec![name, file.to_str().expect("UTF-8")];
            args.extend(counts.iter().map(String::as_str));
            (name, python(context, "vectors.py", &args))
        })
        .collect();
    let mut table = Vec::new();
    for recall in RECALLS {
        let (ours, reached, filtered) = at_recall(&mut graph, &questions, &truth, recall);
        table.push(vec!["ours".to_owned(), figure(recall), format!("{reached:.3}"), figure(ours), figure(build_s)]);
        let mut best: Option<(f64, &str)> = None;
        for (name, answer) in &peers {
            let found = answer.as_ref().ok().and_then(|answer| {
                let points = answer["points"].as_array()?;
                points.iter().find(|point| point["recall"].as_f64() >= Some(recall)).cloned()
            });
            let Some(point) = found else { continue };
            let rate = point["rate"].as_f64().unwrap_or(0.0);
            let built = answer.as_ref().ok().and_then(|answer| answer["build_s"].as_f64()).unwrap_or(0.0);
            let shown = format!("{:.3}", point["recall"].as_f64().unwrap_or(0.0));
            table.push(vec![(*name).to_owned(), figure(recall), shown, figure(rate), figure(built)]);
            if *name == "lancedb" {
                report.goal(Goal {
                    what: &format!("the nearest {K} of {} vectors at recall {recall}, against LanceDB", all.len()),
                    bound: Bound::AtLeast(10.0),
                    unit: "x",
                    value: Some(ours / rate),
                    ours: format!("{} questions/s", figure(ours)),
                    peer: format!("lancedb {} questions/s", figure(rate)),
                });
            } else if best.is_none_or(|(other, _)| rate > other) {
                best = Some((rate, name));
            }
        }
        report.goal(Goal {
            what: &format!("the nearest {K} of {} vectors at recall {recall}, against the best of three", all.len()),
            bound: Bound::AtLeast(1.0),
            unit: "x",
            value: best.map(|(rate, _)| ours / rate),
            ours: format!("{} questions/s", figure(ours)),
            peer: best.map_or(String::new(), |(rate, name)| format!("{name} {} questions/s", figure(rate))),
        });
        for (part, rate) in filtered {
            report.goal(Goal {
                what: &format!("the same where a filter lets one row in {part} through, against none"),
                bound: Bound::AtLeast(0.5),
                unit: "x",
                value: Some(rate / ours),
                ours: format!("{} questions/s", figure(rate)),
                peer: String::new(),
            });
        }
    }
    for (name, answer) in &peers {
        if let Err(why) = answer {
            report.missing(name, why);
        }
    }
    let columns = ["", "recall asked", "recall", "questions/s", "seconds to build"];
    report.table(&format!("Vectors, {} rows of {WIDTH}: {origin}", all.len()), &columns, table);
    let begun = Instant::now();
    questions.iter().take(100).for_each(|row| drop(std::hint::black_box(exact.search(row, K, None))));
    let each_ms = begun.elapsed().as_secs_f64() * 1e3 / questions.len().min(100) as f64;
    report.note(format!("Reading every one of the {} rows takes {} ms a question.", all.len(), figure(each_ms)));
}

/// Questions a second at a recall, the recall that was reached on these questions, and the rates under two filters.
fn at_recall(
    graph: &mut VectorIndex,
    questions: &[Vec<f32>],
    truth: &[Vec<u64>],
    recall: f64,
) -> (f64, f64, Vec<(u64, f64)>) {
    let mut reached = 0.0;
    // The index tunes itself on its own rows, with room for questions that are stranger; here the narrowest walk counts that
    // reaches the recall on these questions, as for the peers.
    for asked in ASKED_RECALLS {
        graph.tune(asked);
        let found: usize = questions
            .iter()
            .zip(truth)
            .map(|(row, truth)| graph.search(row, K, None).iter().filter(|hit| truth.contains(&hit.id)).count())
            .sum();
        reached = found as f64 / (truth.len() * K) as f64;
        if reached >= recall {
            break;
        }
    }
    let rate = |allowed: Option<&roaring::RoaringTreemap>| {
        let rounds: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let begun = Instant::now();
                questions.iter().for_each(|row| drop(std::hint::black_box(graph.search(row, K, allowed))));
                questions.len() as f64 / begun.elapsed().as_secs_f64()
            })
            .collect();
        Spread::of(&rounds).median
    };
    let filtered = [100u64, 1000].map(|part| {
        let allowed = (0..graph.len() as u64).filter(|id| id % part == 0).collect();
        (part, rate(Some(&allowed)))
    });
    (rate(None), reached, filtered.to_vec())
}

fn write_vectors(path: &Path, rows: &[Vec<f32>], questions: &[Vec<f32>]) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
    for value in rows.iter().chain(questions).flatten() {
        out.write_all(&value.to_le_bytes())?;
    }
    out.flush()
}

fn fusion(report: &mut Report) {
    let mut dice = StdRng::seed_from_u64(SEED);
    let mut list = |most: f32| -> Vec<Hit> {
        let mut hits: Vec<Hit> =
            (0..100).map(|_| Hit { id: dice.random_range(0..150), score: most * dice.random::<f32>() }).collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits
    };
    let traits = QuestionTraits { mass: 40.0, known: 36.0, words: 6.0, vector_unit: Some(0.12), foreign: false };
    let pairs: Vec<_> = (0..500).map(|_| (list(20.0), list(1.0))).collect();
    let mut times: Vec<f64> = pairs
        .iter()
        .map(|(text, vector)| {
            let begun = Instant::now();
            std::hint::black_box(fuse(&traits, text, vector, K, &Weights::default()));
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let p99 = percentile(&times, 0.99);
    report.goal(Goal {
        what: "fusion of two lists of a hundred, p99",
        bound: Bound::AtMost(1.0),
        unit: "ms",
        value: Some(p99),
        ours: format!("{p99:.4} ms"),
        peer: String::new(),
    });
}

fn python(context: &Context, script: &str, args: &[&str]) -> Result<Value, String> {
    let Some(python) = &context.python else { return Err("the Python peers are not installed".to_owned()) };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/search").join(script);
    let mut command = Command::new(python);
    let threads =
        ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LANCE_CPU_THREADS", "TOKIO_WORKER_THREADS", "RAYON_NUM_THREADS"];
    command.envs(threads.iter().map(|name| (name, "1")));
    peer::answer(command.arg(script).args(args))
}
