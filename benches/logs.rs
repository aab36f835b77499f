//! Durable logs: 512 records a request over OTLP/HTTP, each acknowledged after its fsync, against what others do with the
//! same records. The headline is logs a server CPU-second, because a shared machine's wall clock says little.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use serde_json::{Value, json};

use crate::Context;
use crate::harness::{Ground, Server};
use crate::load::{self, Door, Measured, Plan};
use crate::peer::{self, Process};
use crate::report::{Bound, Goal, Report, Spread, figure};
use crate::traffic::{RECORDS, Traffic};
use crate::{decoded, machine};

const ROUNDS: usize = 3;
const REQUESTS: usize = 400;
const SEED: u64 = 20_260_901;
const WARM: Duration = Duration::from_secs(2);
const WINDOW_S: f64 = 10.0;
/// Clients at which ours is measured; peers are measured at [`CLIENTS`].
const CLIENT_COUNTS: [usize; 3] = [1, 8, 64];
const CLIENTS: usize = 8;

const PER_CPU_S_GOAL: f64 = 50_000.0;
const CHDB_GOAL: f64 = 3.0;
const ACK_P99_GOAL_MS: f64 = 25.0;

/// One way of taking logs, over all its rounds.
struct Way {
    name: String,
    clients: usize,
    /// What an answer means there.
    ack: &'static str,
    rounds: Vec<Round>,
}

/// What one round of one way measured.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Logs a CPU-second of the server.
    pub per_cpu_s: f64,
    /// Logs a second of the clock.
    pub per_s: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub refused: usize,
}

/// The bodies of a suite, made before any clock starts.
struct Bodies {
    plain: Arc<Vec<Vec<u8>>>,
    gzip: Arc<Vec<Vec<u8>>>,
    /// The same records as Arrow batches.
    decoded: PathBuf,
}

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let bodies = bodies(context);
    let bytes = bodies.plain.iter().map(Vec::len).sum::<usize>() as f64 / (bodies.plain.len() * RECORDS) as f64;
    context.say(format_args!("{} requests of {RECORDS} logs, {bytes:.0} B a log", bodies.plain.len()));
    let mut ways: Vec<Way> = Vec::new();
    for round in 1..=ROUNDS {
        context.say(format_args!("round {round} of {ROUNDS}"));
        one_round(context, &bodies, &mut ways, &mut report);
    }
    goals(&mut report, &ways);
    let floor = Spread::of(&machine::fsync_us(&context.folder));
    tables(&mut report, &ways, floor.median);
    report.note(format!(
        "{bytes:.0} B of protobuf a log: body, 4 to 6 attributes, trace and span id, 8 resource attributes a request."
    ));
    report.note("chDB and DuckDB get decoded Arrow batches in one process and pay neither HTTP nor protobuf; VictoriaLogs and the collector answer before anything is synced.");
    report.raw("rounds", Value::Array(ways.iter().map(Way::json).collect()));
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
pub fn gzip(body: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("memory takes bytes")
}

/// Ours and every peer once, in turn.
fn one_round(context: &Context, bodies: &Bodies, ways: &mut Vec<Way>, report: &mut Report) {
    for clients in CLIENT_COUNTS {
        let round = ours(context, &bodies.plain, clients, false);
        add(ways, context, "Stellwerk", clients, "fsynced and visible", Ok(round), report);
    }
    let round = ours(context, &bodies.gzip, CLIENTS, true);
    add(ways, context, "Stellwerk, gzip", CLIENTS, "fsynced and visible", Ok(round), report);
    let chdb = |batch_ms: u32| in_python(context, "into_chdb.py", &bodies.decoded, batch_ms);
    add(ways, context, "chDB, insert a request", 1, "fsynced", chdb(0), report);
    add(ways, context, "chDB, insert each 100 ms", 1, "fsynced, 100 ms later", chdb(100), report);
    add(
        ways,
        context,
        "DuckDB, insert a request",
        1,
        "fsynced",
        in_python(context, "into_duckdb.py", &bodies.decoded, 0),
        report,
    );
    add(ways, context, "VictoriaLogs", CLIENTS, "in memory", victoria_logs(context, &bodies.plain), report);
    add(
        ways,
        context,
        "OpenTelemetry Collector to a file",
        CLIENTS,
        "written, no fsync",
        collector(context, &bodies.plain),
        report,
    );
}

/// Files a round under its way; a peer that is not there is named once.
fn add(
    ways: &mut Vec<Way>,
    context: &Context,
    name: &str,
    clients: usize,
    ack: &'static str,
    round: Result<Round, String>,
    report: &mut Report,
) {
    let at = ways.iter().position(|way| way.name == name && way.clients == clients).unwrap_or_else(|| {
        ways.push(Way { name: name.to_owned(), clients, ack, rounds: Vec::new() });
        ways.len() - 1
    });
    match round {
        Ok(round) => {
            context.say(format_args!(
                "{name}, {clients} clients: {} logs/CPU-s, {} logs/s, p50 {:.1} ms, p99 {:.1} ms",
                figure(round.per_cpu_s),
                figure(round.per_s),
                round.p50_ms,
                round.p99_ms
            ));
            ways[at].rounds.push(round);
        }
        Err(why) => {
            if ways[at].ack != "missing" {
                report.missing(name, &why);
            }
            ways[at].ack = "missing";
        }
    }
}

/// A fresh server of ours; afterwards every acknowledged log must be there.
fn ours(context: &Context, bodies: &Arc<Vec<Vec<u8>>>, clients: usize, gzip: bool) -> Round {
    let ground = Ground::under(&context.folder);
    let server = Server::start(&ground, &[]);
    let door = Door::protobuf(server.address, "/v1/logs").with("authorization", &format!("Bearer {}", server.key));
    let door = if gzip { door.with("content-encoding", "gzip") } else { door };
    let plan = Plan { door, bodies: Arc::clone(bodies), clients, pace: None };
    let measured = load::run(plan, server.id(), WARM, window(context));
    let stored = server.cell("SELECT count(*) FROM otel_log");
    assert_eq!(stored, (measured.sent * RECORDS).to_string(), "what was acknowledged is there");
    Round::of(&measured)
}

pub fn window(context: &Context) -> Duration {
    Duration::from_secs_f64((WINDOW_S * context.scale).max(2.0))
}

impl Round {
    /// Of requests with [`RECORDS`] records each.
    pub fn of(measured: &Measured) -> Round {
        let records = RECORDS as f64;
        Round {
            per_cpu_s: measured.per_cpu_s() * records,
            per_s: measured.per_s() * records,
            p50_ms: measured.ack_ms(0.5),
            p99_ms: measured.ack_ms(0.99),
            refused: measured.refused,
        }
    }
}

/// A peer that lives in a Python process and inserts Arrow batches; the script prints one JSON object.
fn in_python(context: &Context, script: &str, batches: &Path, batch_ms: u32) -> Result<Round, String> {
    let python = context.python.as_ref().ok_or("the Python peers are not installed")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/ingest").join(script);
    let folder =
        tempfile::Builder::new().prefix("peer-").tempdir_in(&context.folder).map_err(|cause| cause.to_string())?;
    let output = Command::new(python)
        .arg(&script)
        .arg(batches)
        .arg(folder.path().join("store"))
        .args([WARM.as_secs_f64().to_string(), window(context).as_secs_f64().to_string(), batch_ms.to_string()])
        .output()
        .map_err(|cause| cause.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = said.lines().last().unwrap_or_default();
    let found: Value = serde_json::from_str(last).map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        format!("{}: {}", script.display(), errors.lines().last().unwrap_or("it said nothing"))
    })?;
    let number = |name: &str| found[name].as_f64().ok_or_else(|| format!("{name} is missing in {last}"));
    let rows = number("rows")?;
    Ok(Round {
        per_cpu_s: rows / number("cpu_s")?.max(0.01),
        per_s: rows / number("wall_s")?,
        p50_ms: number("p50_ms")?,
        p99_ms: number("p99_ms")?,
        refused: 0,
    })
}

fn victoria_logs(context: &Context, bodies: &Arc<Vec<Vec<u8>>>) -> Result<Round, String> {
    let binary = context.peer("victoria-logs").ok_or("not installed")?;
    let folder =
        tempfile::Builder::new().prefix("peer-").tempdir_in(&context.folder).map_err(|cause| cause.to_string())?;
    let address = peer::free_address();
    let mut command = Command::new(binary);
    command.arg(format!("-httpListenAddr={address}"));
    command.arg(format!("-storageDataPath={}", folder.path().join("store").display()));
    let process = Process::listening("VictoriaLogs", &mut command, &folder.path().join("log"), address)?;
    let door = Door::protobuf(address, "/insert/opentelemetry/v1/logs");
    Ok(through(context, door, bodies, &process))
}

fn collector(context: &Context, bodies: &Arc<Vec<Vec<u8>>>) -> Result<Round, String> {
    let folder =
        tempfile::Builder::new().prefix("peer-").tempdir_in(&context.folder).map_err(|cause| cause.to_string())?;
    let (process, address) = start_collector(context, folder.path())?;
    Ok(through(context, Door::protobuf(address, "/v1/logs"), bodies, &process))
}

/// A collector whose every pipeline ends in a file.
pub fn start_collector(context: &Context, folder: &Path) -> Result<(Process, std::net::SocketAddr), String> {
    let binary = context.peer("otelcol").ok_or("not installed")?;
    let address = peer::free_address();
    let pipeline = "{receivers: [otlp], exporters: [file]}";
    let config = format!(
        "receivers: {{otlp: {{protocols: {{http: {{endpoint: \"{address}\"}}}}}}}}\n\
         exporters: {{file: {{path: \"{}\", format: proto}}}}\n\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines: {{logs: {pipeline}, traces: {pipeline}, metrics: {pipeline}}}\n",
        folder.join("out").display()
    );
    let path = folder.join("collector.yaml");
    std::fs::write(&path, config).map_err(|cause| cause.to_string())?;
    let mut command = Command::new(binary);
    command.arg("--config").arg(&path);
    let process = Process::listening("the collector", &mut command, &folder.join("log"), address)?;
    Ok((process, address))
}

/// Sends to a peer's own server as we send to ours.
pub fn through(context: &Context, door: Door, bodies: &Arc<Vec<Vec<u8>>>, process: &Process) -> Round {
    let plan = Plan { door, bodies: Arc::clone(bodies), clients: CLIENTS, pace: None };
    Round::of(&load::run(plan, process.id(), WARM, window(context)))
}

impl Way {
    fn spread(&self, of: fn(&Round) -> f64) -> Option<Spread> {
        Spread::maybe(&self.rounds.iter().map(of).collect::<Vec<_>>())
    }

    fn json(&self) -> Value {
        let round = |round: &Round| json!({"per_cpu_s": round.per_cpu_s, "per_s": round.per_s, "p50_ms": round.p50_ms, "p99_ms": round.p99_ms, "refused": round.refused});
        json!({"way": self.name, "clients": self.clients, "rounds": self.rounds.iter().map(round).collect::<Vec<_>>()})
    }
}

fn find<'a>(ways: &'a [Way], name: &str, clients: usize) -> Option<&'a Way> {
    ways.iter().find(|way| way.name == name && way.clients == clients && !way.rounds.is_empty())
}

fn goals(report: &mut Report, ways: &[Way]) {
    let ours = find(ways, "Stellwerk", CLIENTS).expect("ours is always measured");
    let per_cpu_s = ours.spread(|round| round.per_cpu_s).expect("ours has rounds");
    let shown = format!("{per_cpu_s} logs a CPU-second");
    report.goal(Goal {
        what: "durable logs a server CPU-second, 8 clients, no compression",
        bound: Bound::AtLeast(PER_CPU_S_GOAL),
        unit: "logs/CPU-s",
        value: Some(per_cpu_s.median),
        ours: shown.clone(),
        peer: String::new(),
    });
    for name in ["chDB, insert a request", "chDB, insert each 100 ms"] {
        let theirs = find(ways, name, 1).and_then(|way| way.spread(|round| round.per_cpu_s));
        let goal = Goal {
            what: "the same against chDB with fsync_after_insert=1",
            bound: Bound::AtLeast(CHDB_GOAL),
            unit: "x",
            value: theirs.map(|theirs| per_cpu_s.median / theirs.median),
            ours: shown.clone(),
            peer: theirs.map(|theirs| format!("{name}: {theirs}")).unwrap_or_default(),
        };
        if name.ends_with("a request") {
            report.goal(goal);
        } else if let (Some(ratio), Some(theirs)) = (goal.value, theirs) {
            report.note(format!("chDB with a batch each 100 ms takes {theirs} logs a CPU-second: ours is {ratio:.2} times that, with an ack a request."));
        }
    }
    let p99 = ours.spread(|round| round.p99_ms).expect("ours has rounds");
    report.goal(Goal {
        what: "p99 of the ack, 8 clients",
        bound: Bound::AtMost(ACK_P99_GOAL_MS),
        unit: "ms",
        value: Some(p99.median),
        ours: format!("{p99} ms"),
        peer: String::new(),
    });
}

fn tables(report: &mut Report, ways: &[Way], fsync_us: f64) {
    let columns =
        ["way", "an answer means", "clients", "logs a CPU-second", "logs a second", "p50 ms", "p99 ms", "syncs' worth"];
    let row = |way: &Way| {
        let cell = |of: fn(&Round) -> f64| way.spread(of).map(|spread| spread.to_string()).unwrap_or_default();
        let requests_per_s = way.spread(|round| round.per_s).map_or(0.0, |spread| spread.median / RECORDS as f64);
        vec![
            way.name.clone(),
            way.ack.to_owned(),
            way.clients.to_string(),
            cell(|round| round.per_cpu_s),
            cell(|round| round.per_s),
            cell(|round| round.p50_ms),
            cell(|round| round.p99_ms),
            format!("{:.2}", requests_per_s * fsync_us / 1e6),
        ]
    };
    let rows = ways.iter().filter(|way| !way.rounds.is_empty()).map(row).collect();
    report.table(&format!("{RECORDS} logs a request"), &columns, rows);
    report.note(format!(
        "Syncs' worth: requests a second over what a bare loop of 4 KiB and fdatasync reaches on this disk ({} a second); above 1, one sync carries several requests.",
        figure(1e6 / fsync_us)
    ));
    let refused: usize = ways.iter().flat_map(|way| way.rounds.iter().map(|round| round.refused)).sum();
    report.note(format!("{refused} requests were told to come back, over all rounds and ways; each was sent again."));
}
