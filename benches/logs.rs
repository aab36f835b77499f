//! Durable logs: 512 records a request over OTLP/HTTP, each acknowledged after its fsync, against what others do with
//! the same records. The headline is logs a server CPU-second: a shared machine's wall clock says little.

use std::path::PathBuf;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use crate::Context;
use crate::report::{Bound, Goal, Report, percentile};
use crate::takers::{self, Sent};
use crate::traffic::{RECORDS, Traffic};
use crate::ways::Ways;
use crate::{decoded, machine};

const ROUNDS: usize = 3;
const REQUESTS: usize = 400;
const SEED: u64 = 20_260_901;
/// Clients at which ours is measured; peers are measured at [`CLIENTS`].
const CLIENT_COUNTS: [usize; 3] = [1, 8, 64];
const CLIENTS: usize = 8;

const PER_CPU_S_GOAL: f64 = 50_000.0;
const CHDB_GOAL: f64 = 3.0;
const ACK_P99_GOAL_MS: f64 = 25.0;

/// As fast as it goes, an ack waits for the cores; at this pace it waits for the log.
const STEADY_LOGS_PER_S: f64 = 50_000.0;

const OURS: &str = "Stellwerk";
const STEADY: &str = "Stellwerk, 50,000 logs a second";
const CHDB: &str = "chDB, an insert a request";
const CHDB_BATCH: &str = "chDB, an insert each 100 ms";

/// The bodies of the suite, made before any clock starts.
struct Bodies {
    plain: takers::Bodies,
    gzip: takers::Bodies,
    /// The same records as Arrow batches.
    decoded: PathBuf,
}

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let bodies = bodies(context);
    let count = bodies.plain.len();
    let bytes = bodies.plain.iter().map(Vec::len).sum::<usize>() as f64 / (count * RECORDS) as f64;
    context.say(format_args!("{count} requests of {RECORDS} logs, {bytes:.0} B a log"));
    let mut ways = Ways::default();
    for round in 1..=ROUNDS {
        context.say(format_args!("round {round} of {ROUNDS}"));
        one_round(context, &bodies, &mut ways, &mut report);
    }
    goals(&mut report, &ways);
    let fsync_us = percentile(&machine::fsync_us(&context.folder), 0.5);
    ways.table(&mut report, &format!("{RECORDS} logs a request"), fsync_us);
    report.note(format!(
        "{bytes:.0} B of protobuf a log: body, 4 to 7 attributes, trace and span id; 8 resource attributes a request."
    ));
    report.note(
        "chDB and DuckDB get decoded Arrow batches within one process: they pay neither HTTP nor protobuf. VictoriaLogs and \
         the Collector answer before anything is synced.",
    );
    report.raw("rounds", ways.json());
    report
}

fn bodies(context: &Context) -> Bodies {
    let mut traffic = Traffic::new(SEED);
    let requests: Vec<_> = (0..context.scaled(REQUESTS)).map(|_| traffic.logs()).collect();
    let decoded = context.folder.join("logs.arrow");
    decoded::write(&requests, &decoded);
    let plain: Vec<Vec<u8>> = requests.iter().map(Message::encode_to_vec).collect();
    let gzip = plain.iter().map(|body| gzip(body)).collect();
    Bodies { plain: Arc::new(plain), gzip: Arc::new(gzip), decoded }
}

/// As the Collector's exporter compresses by default.
fn gzip(body: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("memory takes bytes")
}

/// Ours and every peer once, in turn.
fn one_round(context: &Context, bodies: &Bodies, ways: &mut Ways, report: &mut Report) {
    let plain = Sent { path: "/v1/logs", bodies: &bodies.plain, clients: CLIENTS, gzip: false, pace: None };
    let packed = Sent { bodies: &bodies.gzip, gzip: true, ..plain };
    let durable = "fsynced and visible";
    let steady = Sent { pace: Some(STEADY_LOGS_PER_S / RECORDS as f64), ..plain };
    let mut add = |name: &str, clients, ack, round| ways.add(context, report, (name, clients, ack), round);
    for clients in CLIENT_COUNTS {
        add(OURS, clients, durable, Ok(takers::ours(context, Sent { clients, ..plain }, "otel_log")));
    }
    let chdb = |batch_ms: u32| takers::in_python(context, "into_chdb.py", &bodies.decoded, batch_ms);
    add(CHDB, 1, "fsynced", chdb(0));
    add("Stellwerk, gzip", CLIENTS, durable, Ok(takers::ours(context, packed, "otel_log")));
    add(CHDB_BATCH, 1, "fsynced", chdb(100));
    add(STEADY, CLIENTS, durable, Ok(takers::ours(context, steady, "otel_log")));
    let duckdb = takers::in_python(context, "into_duckdb.py", &bodies.decoded, 0);
    add("DuckDB, an insert a request", 1, "fsynced", duckdb);
    add("VictoriaLogs", CLIENTS, "in memory", takers::victoria_logs(context, plain));
    add("OpenTelemetry Collector to a file", CLIENTS, "written, not synced", takers::collector(context, plain));
}

fn goals(report: &mut Report, ways: &Ways) {
    let ours = ways.find(OURS, CLIENTS).expect("ours is always measured");
    let per_cpu_s = ours.spread(|round| round.per_cpu_s).expect("ours has rounds");
    let shown = format!("{per_cpu_s} logs a CPU-second");
    report.goal(Goal {
        what: "durable logs a server CPU-second, 8 clients",
        bound: Bound::AtLeast(PER_CPU_S_GOAL),
        unit: "logs/CPU-s",
        value: Some(per_cpu_s.median),
        ours: shown.clone(),
        peer: String::new(),
    });
    let theirs = |name: &str| ways.find(name, 1).and_then(|way| way.spread(|round| round.per_cpu_s));
    let (single, batched) = (theirs(CHDB), theirs(CHDB_BATCH));
    report.goal(Goal {
        what: "the same, against chDB with fsync_after_insert",
        bound: Bound::AtLeast(CHDB_GOAL),
        unit: "x",
        value: single.map(|theirs| per_cpu_s.median / theirs.median),
        ours: shown,
        peer: single.map(|theirs| format!("{CHDB}: {theirs}")).unwrap_or_default(),
    });
    if let Some(theirs) = batched {
        let ratio = per_cpu_s.median / theirs.median;
        report.note(format!(
            "{CHDB_BATCH}: {theirs} logs a CPU-second; ours is {ratio:.2} times that, an ack a request."
        ));
    }
    let p99 = ours.spread(|round| round.p99_ms).expect("ours has rounds");
    let steady = ways.find(STEADY, CLIENTS).and_then(|way| way.spread(|round| round.p99_ms));
    let steady = steady.map(|steady| format!("; {steady} ms at 50,000 logs a second")).unwrap_or_default();
    report.goal(Goal {
        what: "p99 of the ack, 8 clients as fast as they go",
        bound: Bound::AtMost(ACK_P99_GOAL_MS),
        unit: "ms",
        value: Some(p99.median),
        ours: format!("{p99} ms{steady}"),
        peer: String::new(),
    });
}
