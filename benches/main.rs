//! First figures of the real binary over loopback: rows that are durable per second, and a few questions about them.
//! `make bench`; `make bench ARGS="--seconds 30"`. Results go to `benches/results`, with the machine's description.

#[allow(dead_code)]
#[path = "../tests/harness.rs"]
mod harness;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use harness::{Ground, Http, Server};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde_json::json;

/// The size that OpenTelemetry's batch processor sends by default.
const RECORDS: usize = 512;
const CLIENTS: usize = 4;
const SECONDS: u64 = 10;
const ROUNDS: usize = 5;
const SERVICES: usize = 8;

const QUESTIONS: &[(&str, &str)] = &[
    ("count", "SELECT count(*) FROM otel_log"),
    ("group", "SELECT service_name, severity_number, count(*) FROM otel_log GROUP BY 1, 2 ORDER BY 3 DESC"),
    ("needle", "SELECT count(*) FROM otel_log WHERE body LIKE '%request 77 of%'"),
    ("newest", "SELECT time, service_name, body FROM otel_log ORDER BY time DESC LIMIT 50"),
];

fn text(value: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(Any::StringValue(value.to_owned())) })
}

fn pair(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: text(value), ..KeyValue::default() }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(since.as_nanos()).expect("before the year 2554")
}

/// One export request, as a service under load would send it.
fn request(client: usize, number: usize) -> Vec<u8> {
    let begun = now_ns() - (RECORDS as u64) * 1_000_000;
    let record = |at: usize| LogRecord {
        time_unix_nano: begun + (at as u64) * 1_000_000,
        severity_number: if at % 50 == 0 { 17 } else { 9 },
        body: text(&format!("client {client} answered request {number} of record {at} with status {}", 200 + at % 5)),
        attributes: vec![pair("http.route", "/orders/{id}"), pair("order.id", &format!("{number}-{at}"))],
        trace_id: [client as u8, number as u8, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, at as u8].to_vec(),
        ..LogRecord::default()
    };
    let scope = ScopeLogs { log_records: (0..RECORDS).map(record).collect(), ..ScopeLogs::default() };
    let service = pair("service.name", &format!("service-{}", (client + number) % SERVICES));
    let resource =
        Resource { attributes: vec![service, pair("deployment.environment.name", "bench")], ..Resource::default() };
    let group = ResourceLogs { resource: Some(resource), scope_logs: vec![scope], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![group] }.encode_to_vec()
}

/// Sends until told to stop; how long each acknowledged request took.
fn client(mut http: Http, client: usize, stop: &AtomicBool) -> Vec<Duration> {
    let mut taken = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let body = request(client, number);
        let begun = Instant::now();
        let reply = http.post("/v1/logs", "application/x-protobuf", body);
        match reply.status {
            200 => taken.push(begun.elapsed()),
            429 | 503 => std::thread::sleep(Duration::from_millis(20)),
            other => panic!("{other}: {}", reply.text()),
        }
    }
    taken
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).map_or(0.0, Duration::as_secs_f64)
        * 1e3
}

fn seconds() -> u64 {
    let args: Vec<String> = std::env::args().collect();
    let given = args.iter().position(|arg| arg == "--seconds").and_then(|at| args.get(at + 1)?.parse().ok());
    given.unwrap_or(SECONDS)
}

fn main() {
    let ground = Ground::new();
    let server = Server::start(&ground, &[]);
    let (stop, begun) = (AtomicBool::new(false), Instant::now());
    let mut taken: Vec<Duration> = std::thread::scope(|scope| {
        let stop = &stop;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| (number, server.connect()))
            .map(|(number, http)| scope.spawn(move || client(http, number, stop)))
            .collect();
        std::thread::sleep(Duration::from_secs(seconds()));
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("a client does not panic")).collect()
    });
    let elapsed = begun.elapsed().as_secs_f64();
    taken.sort();
    let rows = taken.len() * RECORDS;
    let stored = server.cell("SELECT count(*) FROM otel_log");
    assert_eq!(stored, rows.to_string(), "what was acknowledged is there");
    let rate = (rows as f64 / elapsed).round();
    println!(
        "ingest: {rows} rows in {elapsed:.1} s, {rate} durable rows/s, p50 {:.1} ms, p99 {:.1} ms",
        percentile(&taken, 50),
        percentile(&taken, 99)
    );

    let mut questions = Vec::new();
    for (name, sql) in QUESTIONS {
        let mut times: Vec<Duration> = (0..ROUNDS).map(|_| time(|| drop(server.sql(sql)))).collect();
        times.sort();
        println!("{name}: {:.1} ms (median of {ROUNDS})", percentile(&times, 50));
        questions.push(
            json!({"name": name, "sql": sql, "median_ms": percentile(&times, 50), "worst_ms": percentile(&times, 100)}),
        );
    }
    let result = json!({
        "what": "OTLP/HTTP logs over loopback into the embedded default; every acknowledged row is fsynced; load generator on the same cores",
        "machine": machine(), "commit": commit(), "profile": "dev (the one profile)", "clients": CLIENTS, "records_per_request": RECORDS,
        "ingest": {"rows": rows, "seconds": elapsed, "durable_rows_per_s": rate, "p50_ms": percentile(&taken, 50), "p99_ms": percentile(&taken, 99)},
        "questions": questions,
        "peers": "none yet: the next issue measures them on the same machine",
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results/first.json");
    std::fs::write(&path, format!("{result:#}\n")).expect("the result is written");
    println!("benches/results/first.json");
}

fn time(act: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    act();
    begun.elapsed()
}

/// Cores, processor and memory; nothing that names the machine.
fn machine() -> serde_json::Value {
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim().to_owned());
        line.unwrap_or_else(|| "unknown".to_owned())
    };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({"cores": cores, "cpu": field("/proc/cpuinfo", "model name"), "memory": field("/proc/meminfo", "MemTotal"), "os": std::env::consts::OS, "load_average_at_the_end": load.split(' ').next()})
}

fn commit() -> String {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    output.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
