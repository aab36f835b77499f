//! Looking up a trace while logs arrive at half of what the engine can take, and how long an acknowledged log takes to
//! show. chDB does the same at half of its own capacity.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::Context;
use crate::decoded;
use crate::harness::{Ground, Http, Server};
use crate::load::{self, Line, Plan, Running};
use crate::peer;
use crate::report::{Bound, Goal, Report, figure, percentile};
use crate::takers::{Bodies, our_door};
use crate::traffic::{RECORDS, RECORDS_PER_TRACE, Traffic};

const SEED: u64 = 20_260_904;
/// Half a million logs before the clock starts.
const REQUESTS: usize = 1_000;
const CLIENTS: usize = 8;
const CAPACITY_TIME: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(30);
/// Logs that are looked for right after their ack.
const PROBES: usize = 40;
/// A log that shows up later than this ends the suite.
const PROBE_TIME_MAX: Duration = Duration::from_secs(30);

const FASTER_GOAL: f64 = 5.0;
const VISIBLE_GOAL_MS: f64 = 1_000.0;

/// Sorted milliseconds of lookups, and the pace of the logs meanwhile.
struct Found {
    p50_ms: f64,
    p99_ms: f64,
    lookups: usize,
    logs_per_s: f64,
}

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let mut traffic = Traffic::new(SEED);
    let requests: Vec<ExportLogsServiceRequest> = (0..context.scaled(REQUESTS)).map(|_| traffic.logs()).collect();
    let batches = context.folder.join("needle.arrow");
    decoded::write(&requests, &batches);
    let window = WINDOW.mul_f64(context.scale.max(0.2));
    let (ours, visible) = ours(context, &requests, &mut traffic, window);
    let theirs = chdb(context, &batches, window).map_err(|why| report.missing("chDB", &why)).ok();
    for (name, of) in [("p50", (|found| found.p50_ms) as fn(&Found) -> f64), ("p99", |found| found.p99_ms)] {
        let peer = theirs.as_ref().map(of);
        report.goal(Goal {
            what: &format!("trace lookup while ingesting at half capacity, {name}, against chDB"),
            bound: Bound::AtLeast(FASTER_GOAL),
            unit: "x faster",
            value: peer.map(|peer| peer / of(&ours)),
            ours: format!("{} ms", figure(of(&ours))),
            peer: peer.map(|peer| format!("chDB {} ms", figure(peer))).unwrap_or_default(),
        });
    }
    let slowest = percentile(&visible, 1.0);
    report.goal(Goal {
        what: "ack to visible meanwhile, the slowest of the probes",
        bound: Bound::AtMost(VISIBLE_GOAL_MS),
        unit: "ms",
        value: Some(slowest),
        ours: format!("{} ms, median {} ms", figure(slowest), figure(percentile(&visible, 0.5))),
        peer: String::new(),
    });
    let row = |name: &str, found: &Found| {
        let cells = [found.p50_ms, found.p99_ms, found.lookups as f64, found.logs_per_s].map(figure);
        std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let mut rows = vec![row("Stellwerk, over HTTP", &ours)];
    rows.extend(theirs.as_ref().map(|theirs| row("chDB, in process", theirs)));
    report.table("Trace lookups", &["engine", "p50 ms", "p99 ms", "lookups", "logs a second meanwhile"], rows);
    report.note(format!(
        "Each engine takes logs at half of its own capacity, so ours has the heavier load; {} logs lie there before. A probe's \
         time is from its ack to the end of the answer that shows it.",
        requests.len() * RECORDS
    ));
    report.raw("visible_ms", json!(visible));
    report
}

fn ours(
    context: &Context,
    requests: &[ExportLogsServiceRequest],
    traffic: &mut Traffic,
    window: Duration,
) -> (Found, Vec<f64>) {
    let ground = Ground::under(&context.folder);
    let server = Server::start(&ground, &[]);
    let bodies: Bodies = Arc::new(requests.iter().map(Message::encode_to_vec).collect());
    let plan = Plan { door: our_door(&server, "/v1/logs"), bodies, clients: CLIENTS, pace: None };
    preload(&server, &plan);
    let free = load::run(plan.clone(), server.id(), Duration::from_secs(1), CAPACITY_TIME);
    let pace = free.per_s() / 2.0;
    context.say(format_args!(
        "ours takes {} logs a second; half of it while looking up",
        figure(free.per_s() * RECORDS as f64)
    ));
    let mut running = Running::start(Plan { pace: Some(pace), ..plan }, server.id());
    running.measure();
    let traces = traces(requests);
    let times = lookups(&server, &traces, window);
    let visible = probes(&server, traffic);
    let measured = running.stop();
    let found = Found {
        p50_ms: percentile(&times, 0.5),
        p99_ms: percentile(&times, 0.99),
        lookups: times.len(),
        logs_per_s: measured.per_s() * RECORDS as f64,
    };
    context
        .say(format_args!("ours: p50 {:.1} ms, p99 {:.1} ms of {} lookups", found.p50_ms, found.p99_ms, found.lookups));
    (found, visible)
}

/// Every body once.
fn preload(server: &Server, plan: &Plan) {
    let mut line = Line::open(&plan.door);
    for body in plan.bodies.iter() {
        let mut status = 0;
        while status != 200 {
            status = line.post(&plan.door, body).0;
            assert!([200, 429, 503].contains(&status), "{status}: {}", server.log());
        }
    }
}

/// One trace in eight, as hex.
fn traces(requests: &[ExportLogsServiceRequest]) -> Vec<String> {
    let records = requests.iter().flat_map(|request| &request.resource_logs[0].scope_logs[0].log_records);
    records.step_by(RECORDS_PER_TRACE * 8).map(|record| hex::encode(&record.trace_id)).collect()
}

fn lookups(server: &Server, traces: &[String], window: Duration) -> Vec<f64> {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut http = server.connect();
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < window {
        let trace = &traces[random.random_range(0..traces.len())];
        let sql = format!(
            "SELECT time, service_name, severity_text, body FROM otel_log WHERE trace_id = '{trace}' ORDER BY time"
        );
        let at = Instant::now();
        let found = http.ask(&sql).unwrap_or_else(|reply| panic!("{}", reply.text())).rows.len();
        times.push(at.elapsed().as_secs_f64() * 1e3);
        // Requests that were sent again bring the same logs again.
        assert!(found > 0 && found.is_multiple_of(RECORDS_PER_TRACE), "trace {trace}: {found} rows");
    }
    times.sort_by(f64::total_cmp);
    times
}

/// Sorted milliseconds from the ack of a request to the answer that shows it.
fn probes(server: &Server, traffic: &mut Traffic) -> Vec<f64> {
    let door = our_door(server, "/v1/logs");
    let mut line = Line::open(&door);
    let mut http = server.connect();
    let mut probe = || {
        let request = traffic.logs_of(RECORDS_PER_TRACE);
        let trace = hex::encode(&request.resource_logs[0].scope_logs[0].log_records[0].trace_id);
        while line.post(&door, &request.encode_to_vec()).0 != 200 {}
        shows_after(&mut http, &trace)
    };
    let mut times: Vec<f64> = (0..PROBES).map(|_| probe()).collect();
    times.sort_by(f64::total_cmp);
    times
}

fn shows_after(http: &mut Http, trace: &str) -> f64 {
    let sql = format!("SELECT count(*) FROM otel_log WHERE trace_id = '{trace}'");
    let begun = Instant::now();
    loop {
        let answer = http.ask(&sql).unwrap_or_else(|reply| panic!("{}", reply.text()));
        if answer.rows[0][0] == RECORDS_PER_TRACE.to_string() {
            return begun.elapsed().as_secs_f64() * 1e3;
        }
        assert!(begun.elapsed() < PROBE_TIME_MAX, "trace {trace} does not show");
    }
}

fn chdb(context: &Context, batches: &Path, window: Duration) -> Result<Found, String> {
    let python = context.python.as_ref().ok_or("the Python peers are not installed")?;
    let folder =
        tempfile::Builder::new().prefix("peer-").tempdir_in(&context.folder).map_err(|cause| cause.to_string())?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/ingest/needle_chdb.py");
    let times = [CAPACITY_TIME, window].map(|time| time.as_secs_f64().to_string());
    let mut command = Command::new(python);
    command.arg(script).arg(batches).arg(folder.path().join("store")).args(times).arg(RECORDS_PER_TRACE.to_string());
    let found = peer::answer(&mut command)?;
    let number = |name: &str| found[name].as_f64().ok_or_else(|| format!("{name} is missing"));
    context.say(format_args!("chDB: {found}"));
    Ok(Found {
        p50_ms: number("p50_ms")?,
        p99_ms: number("p99_ms")?,
        lookups: number("lookups")? as usize,
        logs_per_s: number("requests_per_s")? * RECORDS as f64,
    })
}
