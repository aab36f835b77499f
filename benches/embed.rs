//! Embedding on the processor: tokens a second of our two precisions beside candle's own BERT and ONNX Runtime's int8, the
//! share of what the cores can multiply, and what bytes cost in quality.
//!
//! Texts are SciFact's abstracts where `../shared/data` (or `STELLWERK_CASES`) has them, else sentences of the traffic
//! generator's words. Every engine gets the same texts, the same two threads and 256 tokens a text, in turns; tokens are those
//! that the model reads, padding not counted.

mod peers;
mod quality;

use std::path::{Path, PathBuf};
use std::time::Instant;

use engine::Purpose;
use index::embed::{Device, LocalEmbedder, Options, Precision};
use index::model;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::Context;
use crate::report::{Bound, Goal, Report, Spread, figure};

const SEED: u64 = 20_261_127;
const MODEL: &str = "all-MiniLM-L6-v2";
const ROUNDS: usize = 5;
const THREADS: usize = 2;
/// Texts of one round; candle takes some seconds for them.
const TEXTS: usize = 96;
const CANDLE_GOAL: f64 = 2.5;
const ROOF_GOAL: f64 = 0.6;
const ORT_GOAL: f64 = 1.0;
const QUALITY_GOAL: f64 = 0.3;
/// Multiplications and additions that the weights ask of one token: 10.62 million weights, two operations each.
const WEIGHT_FLOP: f64 = 21.23e6;
/// The same for attention, for each token that a token looks at: two products in six layers of 384 numbers.
const ATTENTION_FLOP: f64 = 9_216.0;

/// Texts to embed.
pub struct Texts {
    name: &'static str,
    texts: Vec<String>,
}

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let folder = model::folder(&crate::cache(), MODEL);
    if !model::present(&crate::cache(), MODEL) {
        report.missing(MODEL, "its weights were not pulled; deploy/setup weights does");
        return report;
    }
    let texts = texts(context.scaled(TEXTS));
    let load = |precision| {
        let options = Options { threads: THREADS, precision, device: Device::Processor, isa: None };
        LocalEmbedder::load(&folder, options).expect("the model was pulled whole")
    };
    let (single, bytes) = (load(Precision::Single), load(Precision::Bytes));
    let lengths: Vec<usize> =
        texts.texts.iter().map(|text| single.token_ids(text, Purpose::Passage).expect("tokens").len()).collect();
    let tokens: usize = lengths.iter().sum();
    let squares: usize = lengths.iter().map(|length| length * length).sum();
    context.say(format_args!("{} texts of {}, {tokens} tokens", lengths.len(), texts.name));
    let mut peers = peers::Peers::new(context, &folder, &texts.texts, tokens);
    let (mut ours_single, mut ours_bytes) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        context.say(format_args!("round {round} of {ROUNDS}"));
        ours_single.push(rate(&single, &texts.texts, tokens));
        ours_bytes.push(rate(&bytes, &texts.texts, tokens));
        peers.round();
    }
    let flop = WEIGHT_FLOP + ATTENTION_FLOP * squares as f64 / tokens as f64;
    let (single_rate, bytes_rate) = (Spread::of(&ours_single), Spread::of(&ours_bytes));
    goals(&mut report, &peers, single_rate, bytes_rate, flop);
    latency(&mut report, &single, &bytes);
    if let Err(why) = quality::compare(context, &mut report, &single, &bytes, QUALITY_GOAL) {
        report.missing("nDCG on SciFact", &why);
    }
    report.note(format!(
        "{} texts of {}, {tokens} tokens in all, at most 256 a text; a token costs {} MFLOP in single precision.",
        lengths.len(),
        texts.name,
        figure(flop / 1e6)
    ));
    report.raw("tokens_per_s", json!({"f32": ours_single, "int8": ours_bytes, "peers": peers.raw()}));
    report
}

/// Tokens a second.
fn rate(model: &LocalEmbedder, texts: &[String], tokens: usize) -> f64 {
    let slices: Vec<&str> = texts.iter().map(String::as_str).collect();
    let begun = Instant::now();
    let vectors = model.embed_now(&slices, Purpose::Passage).expect("the model embeds");
    assert_eq!(std::hint::black_box(vectors).len(), texts.len());
    tokens as f64 / begun.elapsed().as_secs_f64()
}

fn goals(report: &mut Report, peers: &peers::Peers, single: Spread, bytes: Spread, flop: f64) {
    let (candle, ort, roof) = (peers.candle(), peers.ort(), peers.roof());
    report.goal(Goal {
        what: "single precision, over candle's own BERT",
        bound: Bound::AtLeast(CANDLE_GOAL),
        unit: "x",
        value: candle.map(|candle| single.median / candle.median),
        ours: format!("{single} tokens/s"),
        peer: candle.map_or_else(String::new, |candle| format!("candle {candle} tokens/s")),
    });
    let reached = single.median * flop / 1e9;
    report.goal(Goal {
        what: "single precision, over the fastest product of the same two cores",
        bound: Bound::AtLeast(ROOF_GOAL),
        unit: "x",
        value: roof.map(|(_, roof)| reached / roof.median),
        ours: format!("{} GFLOP/s from text to vector", figure(reached)),
        peer: roof.map_or_else(String::new, |(name, roof)| format!("{name} {roof} GFLOP/s")),
    });
    report.goal(Goal {
        what: "int8, over ONNX Runtime's int8",
        bound: Bound::AtLeast(ORT_GOAL),
        unit: "x",
        value: ort.map(|ort| bytes.median / ort.median),
        ours: format!("{bytes} tokens/s"),
        peer: ort.map_or_else(String::new, |ort| format!("ONNX Runtime {ort} tokens/s")),
    });
    for (name, why) in peers.missing() {
        report.missing(name, why);
    }
}

/// How long one question takes, which is a short text alone.
fn latency(report: &mut Report, single: &LocalEmbedder, bytes: &LocalEmbedder) {
    const QUESTIONS: usize = 200;
    let question = "which node pools of the shop team cost more than last month and why";
    let row = |name: &str, model: &LocalEmbedder| {
        let once = || {
            let begun = Instant::now();
            std::hint::black_box(model.embed_now(&[question], Purpose::Query).expect("the model embeds"));
            begun.elapsed().as_secs_f64() * 1e3
        };
        let mut times: Vec<f64> = (0..QUESTIONS).map(|_| once()).collect();
        times.sort_by(f64::total_cmp);
        let at = |share| figure(crate::report::percentile(&times, share));
        vec![name.to_owned(), at(0.5), at(0.99)]
    };
    let rows = vec![row("f32", single), row("int8", bytes)];
    report.table("One question of 16 tokens", &["precision", "p50, ms", "p99, ms"], rows);
}

/// The folder of SciFact, if it is there.
pub fn scifact() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let named = std::env::var_os("STELLWERK_CASES").map(PathBuf::from);
    named.into_iter().chain([own]).map(|data| data.join("retrieval/scifact")).find(|path| path.is_dir())
}

/// The documents of a folder: id, and title and text as one.
pub fn documents(folder: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder.join("corpus.jsonl")).expect("a corpus");
    let word = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let documents = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a document a line"));
    documents.map(|d| (word(&d, "_id"), format!("{} {}", word(&d, "title"), word(&d, "text")))).collect()
}

fn texts(count: usize) -> Texts {
    if let Some(folder) = scifact() {
        let texts = documents(&folder).into_iter().take(count).map(|(_, text)| text).collect();
        return Texts { name: "SciFact", texts };
    }
    let mut dice = StdRng::seed_from_u64(SEED);
    let words =
        ["signal", "train", "switch", "the", "of", "a", "latency", "pod", "invoice", "cluster", "restarted", "is"];
    let mut text = || {
        let length = dice.random_range(40..320);
        (0..length).map(|_| *words.choose(&mut dice).expect("words")).collect::<Vec<_>>().join(" ")
    };
    Texts { name: "made-up words", texts: (0..count).map(|_| text()).collect() }
}
