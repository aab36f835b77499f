//! Redaction: bytes a core-second over the logs of the traffic generator, recall and precision on labelled German texts
//! beside presidio-analyzer, and what ingest pays for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use ingest::redact::Redaction;
use ingest::redact::personal::SURE;
use ingest::redact::policy::Plan;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message;
use serde_json::{Value, json};

use crate::Context;
use crate::peer;
use crate::report::{Bound, Goal, Report, Spread, figure};
use crate::takers::{self, Sent};
use crate::traffic::Traffic;
use crate::ways::Round;

const ROUNDS: usize = 3;
const REQUESTS: usize = 200;
const SEED: u64 = 20_261_126;
const CLIENTS: usize = 8;
const MB_PER_S_GOAL: f64 = 25.0;
const SHARE_GOAL: f64 = 0.99;
const INGEST_GOAL: f64 = 0.7;
const LABELLED: &str = "tests/fixtures/pii/labelled/labelled_de_300.json";
/// Rules that look for nothing.
const NOTHING: &str = "rules:\n- {detect: [personal, secrets], action: keep}\n";

/// Types of labels, our kinds, and whether a check digit lets us promise anything.
const TYPES: &[(&str, &str, bool)] = &[
    ("IBAN_CODE", "iban", true),
    ("CREDIT_CARD", "payment_card", true),
    ("DE_TAX_ID", "de_tax_id", true),
    ("DE_ID_CARD", "de_id_card", true),
    ("DE_VAT_ID", "de_vat_id", true),
    ("EMAIL_ADDRESS", "email_address", false),
    ("PHONE_NUMBER", "phone_number", false),
    ("IP_ADDRESS", "ip_address", false),
    ("DE_KFZ", "de_licence_plate", false),
];

/// A text, and the place of something in it.
type Span = (usize, u64, u64);
/// By type of label.
type Spans = BTreeMap<String, BTreeSet<Span>>;

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let lines = lines(context);
    let texts = texts();
    let redaction = Redaction::default();
    let rate = rate(&redaction, &lines);
    report.goal(Goal {
        what: "redaction of log text with everything on",
        bound: Bound::AtLeast(MB_PER_S_GOAL),
        unit: "MB/s a core",
        value: Some(rate.median),
        ours: format!("{rate} MB/s"),
        peer: String::new(),
    });
    let peer = presidio(context, &lines);
    if let Err(why) = &peer {
        report.missing("presidio-analyzer", why);
    }
    labels(&mut report, &redaction, &texts, peer.as_ref().ok());
    report.note(
        "presidio-analyzer runs its pattern recognizers for German and the generic ones, each by itself, and takes what it \
         scores 0.35 or more with context words; its models of names need a download and find none of these types.",
    );
    if let Ok(peer) = &peer {
        let theirs = peer["mb_per_s"].as_f64().unwrap_or(0.0);
        report.note(format!("presidio-analyzer reads the same log text at {} MB/s a core.", figure(theirs)));
        report.raw("presidio", peer.clone());
    }
    ingest(context, &mut report);
    report
}

/// Texts of the generator's records: body and attributes, a line each.
fn lines(context: &Context) -> Vec<String> {
    let mut traffic = Traffic::new(SEED);
    let mut lines = Vec::new();
    for _ in 0..context.scaled(REQUESTS) {
        let records = traffic.logs().resource_logs.into_iter().flat_map(|r| r.scope_logs).flat_map(|s| s.log_records);
        lines.extend(records.map(|record| {
            let attributes: serde_json::Map<String, Value> = record.attributes.iter().map(member).collect();
            format!("{} {}", text(record.body.as_ref()), Value::from(attributes))
        }));
    }
    lines
}

fn member(attribute: &KeyValue) -> (String, Value) {
    (attribute.key.clone(), Value::from(text(attribute.value.as_ref())))
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::DoubleValue(number)) => number.to_string(),
        Some(Any::BoolValue(truth)) => truth.to_string(),
        _ => String::new(),
    }
}

/// Megabytes a second on this thread.
fn rate(redaction: &Redaction, lines: &[String]) -> Spread {
    let bytes: usize = lines.iter().map(String::len).sum();
    let plan = Plan::mask();
    let once = || {
        let begun = Instant::now();
        let changed = lines.iter().filter(|line| redaction.clean(line, &plan, &mut |_, _| ()) != line.as_str()).count();
        std::hint::black_box(changed);
        bytes as f64 / 1e6 / begun.elapsed().as_secs_f64()
    };
    // The rules are compiled when a text first calls for them.
    once();
    Spread::of(&(0..ROUNDS).map(|_| once()).collect::<Vec<_>>())
}

fn texts() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(LABELLED);
    let text = std::fs::read_to_string(path).expect("the labelled texts are part of the repository");
    serde_json::from_str(&text).expect("the labelled texts are JSON")
}

/// Recall and precision by type, ours and the peer's.
fn labels(report: &mut Report, redaction: &Redaction, texts: &[Value], peer: Option<&Value>) {
    let (mut labelled, mut ours) = (Spans::new(), Spans::new());
    for (at, text) in texts.iter().enumerate() {
        let body = text["full_text"].as_str().unwrap_or_default();
        let place = |bytes: usize| body[..bytes].chars().count() as u64;
        for span in text["spans"].as_array().into_iter().flatten() {
            let number = |name: &str| span[name].as_u64().unwrap_or_default();
            let label = span["entity_type"].as_str().unwrap_or_default().to_owned();
            labelled.entry(label).or_default().insert((at, number("start_position"), number("end_position")));
        }
        for found in redaction.spot(body, &Plan::mask(), SURE) {
            ours.entry(found.detector.to_string()).or_default().insert((at, place(found.start), place(found.end)));
        }
    }
    let theirs: Option<Spans> = peer.map(|peer| {
        let spans = peer["findings"].as_array().into_iter().flatten();
        spans.fold(Spans::new(), |mut all, span| {
            let at = usize::try_from(span[1].as_u64().unwrap_or_default()).unwrap_or_default();
            let place = |i: usize| span[i].as_u64().unwrap_or_default();
            all.entry(span[0].as_str().unwrap_or_default().to_owned()).or_default().insert((at, place(2), place(3)));
            all
        })
    });
    let none = BTreeSet::new();
    let mut rows = Vec::new();
    let mut least: f64 = 1.0;
    for (label, kind, checked) in TYPES {
        let Some(wanted) = labelled.get(*label) else { continue };
        let shares = |found: &BTreeSet<Span>| {
            let both = wanted.intersection(found).count() as f64;
            (both / wanted.len() as f64, both / found.len().max(1) as f64)
        };
        let (recall, precision) = shares(ours.get(*kind).unwrap_or(&none));
        if *checked {
            least = least.min(recall).min(precision);
        }
        let shown = |(recall, precision): (f64, f64)| [format!("{recall:.3}"), format!("{precision:.3}")];
        let other = theirs.as_ref().map(|theirs| shown(shares(theirs.get(*label).unwrap_or(&none))));
        let other = other.unwrap_or_else(|| ["".to_owned(), "".to_owned()]);
        let [r, p] = shown((recall, precision));
        rows.push([&[(*label).to_owned(), wanted.len().to_string(), r, p][..], &other[..]].concat());
    }
    report.table(
        "Labelled German texts: whole spans",
        &["type", "labels", "recall", "precision", "presidio recall", "presidio precision"],
        rows,
    );
    report.goal(Goal {
        what: "the least recall or precision of a type with a check digit",
        bound: Bound::AtLeast(SHARE_GOAL),
        unit: "",
        value: Some(least),
        ours: format!("{least:.3} on {} texts", texts.len()),
        peer: String::new(),
    });
}

/// presidio-analyzer over the labelled texts and a part of the log text; the script prints one JSON object.
fn presidio(context: &Context, lines: &[String]) -> Result<Value, String> {
    const LINES: usize = 2_000;
    let python = context.python.as_ref().ok_or("the Python peers are not installed")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let log = context.folder.join("redaction-lines.json");
    let part: Vec<&String> = lines.iter().take(LINES).collect();
    std::fs::write(&log, json!(part).to_string()).map_err(|cause| cause.to_string())?;
    peer::answer(Command::new(python).arg(root.join("benches/peers/recognize.py")).arg(root.join(LABELLED)).arg(log))
}

/// Durable logs with the redaction and without it.
fn ingest(context: &Context, report: &mut Report) {
    let mut traffic = Traffic::new(SEED);
    let bodies = (0..context.scaled(REQUESTS)).map(|_| traffic.logs().encode_to_vec()).collect();
    let bodies: takers::Bodies = Arc::new(bodies);
    let sent = Sent { path: "/v1/logs", bodies: &bodies, clients: CLIENTS, gzip: false, pace: None };
    let rules: PathBuf = context.folder.join("redact-nothing.yaml");
    std::fs::write(&rules, NOTHING).expect("the folder for measurements takes a file");
    let nothing = ["--redaction", rules.to_str().expect("the folder's name is UTF-8")];
    let (mut with, mut without): (Vec<Round>, Vec<Round>) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        context.say(format_args!("ingest, round {round} of {ROUNDS}"));
        with.push(takers::ours(context, sent, "otel_log"));
        without.push(takers::ours_with(context, sent, "otel_log", &nothing));
    }
    let cpu = |rounds: &[Round]| Spread::of(&rounds.iter().map(|round| round.per_cpu_s).collect::<Vec<_>>());
    let wall = |rounds: &[Round]| Spread::of(&rounds.iter().map(|round| round.per_s).collect::<Vec<_>>());
    report.goal(Goal {
        what: "ingest of logs with redaction, over ingest without, by CPU",
        bound: Bound::AtLeast(INGEST_GOAL),
        unit: "x",
        value: Some(cpu(&with).median / cpu(&without).median),
        ours: format!("{} logs a CPU-second, without {}", cpu(&with), cpu(&without)),
        peer: String::new(),
    });
    let row = |name: &str, rounds: &[Round]| vec![name.to_owned(), cpu(rounds).to_string(), wall(rounds).to_string()];
    report.table(
        &format!("Ingest, {CLIENTS} clients"),
        &["redaction", "logs/CPU-s", "logs/s"],
        vec![row("on", &with), row("off", &without)],
    );
}
