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
const WINDOW_SHARE_MIN: f64 = 0.2;
/// Logs that are looked for right after their ack.
const PROBES: usize = 40;
/// A log that shows up later than this ends the suite.
const PROBE_TIME_MAX: Duration = Duration::from_secs(30);

const FASTER_GOAL: f64 = 5.0;
const VISIBLE_GOAL_MS: f64 = 1_000.0;

/// Lookups, and the pace of the logs meanwhile.
struct Found {
    p50_ms: f64,
    p99_ms: f64,
    lookups: usize,
    logs_per_s: f64,
}

impl Found {
    /// Of sorted times; ends the load.
    fn new(context: &Context, times: &[f64], running: Running) -> Found {
        let (p50_ms, p99_ms, lookups) = (percentile(times, 0.5), percentile(times, 0.99), times.len());
        let logs_per_s = running.stop().per_s() * RECORDS as f64;
        context.say(format_args!(
            "ours: p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms of {lookups} lookups at {logs_per_s:.0} logs/s"
        ));
        Found { p50_ms, p99_ms, lookups, logs_per_s }
    }
}

/// Ours at half of its own capacity, and at the peer's load.
struct Ours {
    half: Found,
    level: Option<Found>,
    /// Sorted, at half capacity.
    visible_ms: Vec<f64>,
}

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let mut traffic = Traffic::new(SEED);
    let requests: Vec<ExportLogsServiceRequest> = (0..context.scaled(REQUESTS)).map(|_| traffic.logs()).collect();
    let batches = context.folder.join("needle.arrow");
    decoded::write(&requests, &batches);
    let window = WINDOW.mul_f64(context.scale.max(WINDOW_SHARE_MIN));
    let theirs = chdb(context, &batches, window).map_err(|why| report.missing("chDB", &why)).ok();
    let ours = ours(context, &requests, &mut traffic, window, theirs.as_ref().map(|theirs| theirs.logs_per_s));
    goals(&mut report, &ours, theirs.as_ref());
    let row = |name: &str, found: &Found| {
        let cells = [found.p50_ms, found.p99_ms, found.lookups as f64, found.logs_per_s].map(figure);
        std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let mut rows = vec![row("Stellwerk, half of its capacity", &ours.half)];
    rows.extend(ours.level.as_ref().map(|level| row("Stellwerk, as many logs as chDB", level)));
    rows.extend(theirs.as_ref().map(|theirs| row("chDB in process, half of its capacity", theirs)));
    report.table("Trace lookups", &["engine", "p50 ms", "p99 ms", "lookups", "logs a second meanwhile"], rows);
    report.note(format!(
        "Half of its own capacity is the heavier load for the faster engine, so ours is shown at chDB's load too. {} logs lie \
         there before; ours is asked over HTTP. A probe's time is from its ack to the end of the answer that shows it.",
        requests.len() * RECORDS
    ));
    report.raw("visible_ms", json!(ours.visible_ms));
    report
}

fn goals(report: &mut Report, ours: &Ours, theirs: Option<&Found>) {
    for (name, of) in [("p50", (|found| found.p50_ms) as fn(&Found) -> f64), ("p99", |found| found.p99_ms)] {
        let peer = theirs.map(of);
        let level = ours.level.as_ref().map(|level| format!("; {} ms at chDB's load", figure(of(level))));
        report.goal(Goal {
            what: &format!("trace lookup while ingesting at half capacity, {name}, against chDB"),
            bound: Bound::AtLeast(FASTER_GOAL),
            unit: "x faster",
            value: peer.map(|peer| peer / of(&ours.half)),
            ours: format!("{} ms{}", figure(of(&ours.half)), level.unwrap_or_default()),
            peer: peer.map(|peer| format!("chDB {} ms", figure(peer))).unwrap_or_default(),
        });
    }
    let (median, slowest) = (percentile(&ours.visible_ms, 0.5), percentile(&ours.visible_ms, 1.0));
    report.goal(Goal {
        what: "ack to visible meanwhile, the slowest of the probes",
        bound: Bound::AtMost(VISIBLE_GOAL_MS),
        unit: "ms",
        value: Some(slowest),
        ours: format!("{} ms, median {} ms", figure(slowest), figure(median)),
        peer: String::new(),
    });
}

fn ours(
    context: &Context,
    requests: &[ExportLogsServiceRequest],
    traffic: &mut Traffic,
    window: Duration,
    level_logs_per_s: Option<f64>,
) -> Ours {
    let ground = Ground::under(&context.folder);
    let server = Server::start(&ground, &[]);
    let bodies: Bodies = Arc::new(requests.iter().map(Message::encode_to_vec).collect());
    let plan = Plan { door: our_door(&server, "/v1/logs"), bodies, clients: CLIENTS, pace: None };
    preload(&server, &plan);
    let traces = traces(requests);
    let level = level_logs_per_s.map(|logs_per_s| {
        let mut running = load_at(&server, &plan, logs_per_s / RECORDS as f64);
        running.measure();
        let times = lookups(&server, &traces, window);
        Found::new(context, &times, running)
    });
    let free = load::run(plan.clone(), server.id(), Duration::from_secs(1), CAPACITY_TIME);
    context.say(format_args!("ours takes {} logs a second", figure(free.per_s() * RECORDS as f64)));
    let mut running = load_at(&server, &plan, free.per_s() / 2.0);
    running.measure();
    let times = lookups(&server, &traces, window);
    let visible_ms = probes(&server, traffic);
    Ours { half: Found::new(context, &times, running), level, visible_ms }
}

fn load_at(server: &Server, plan: &Plan, requests_per_s: f64) -> Running {
    Running::start(Plan { pace: Some(requests_per_s), ..plan.clone() }, server.id())
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
