//! Who takes telemetry: ours and the peers, each started fresh on a folder of its own and sent the same bodies.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::Context;
use crate::harness::{Ground, Server};
use crate::load::{self, Door, Plan};
use crate::peer::{self, Process};
use crate::traffic::RECORDS;
use crate::ways::Round;

pub type Bodies = Arc<Vec<Vec<u8>>>;

const WARM: Duration = Duration::from_secs(2);
const WINDOW_S: f64 = 10.0;
const WINDOW_S_MIN: f64 = 2.0;

/// How long each measurement counts.
fn window(context: &Context) -> Duration {
    Duration::from_secs_f64((WINDOW_S * context.scale).max(WINDOW_S_MIN))
}

/// What is sent to a taker.
#[derive(Clone, Copy)]
pub struct Sent<'a> {
    /// Door of OTLP over HTTP: `/v1/logs`.
    pub path: &'a str,
    pub bodies: &'a Bodies,
    pub clients: usize,
    pub gzip: bool,
    /// Requests a second; none is as fast as it goes.
    pub pace: Option<f64>,
}

/// The door of our server, with its key.
pub fn our_door(server: &Server, path: &str) -> Door {
    Door::protobuf(server.address, path).with("authorization", &format!("Bearer {}", server.key))
}

/// A fresh server of ours; afterwards every acknowledged record must be in its table.
pub fn ours(context: &Context, sent: Sent, table: &str) -> Round {
    ours_with(context, sent, table, &[])
}

/// The same with more arguments for the server.
pub fn ours_with(context: &Context, sent: Sent, table: &str, args: &[&str]) -> Round {
    let ground = Ground::under(&context.folder);
    let server = Server::start(&ground, args);
    let door = our_door(&server, sent.path);
    let door = if sent.gzip { door.with("content-encoding", "gzip") } else { door };
    let plan = Plan { door, bodies: Arc::clone(sent.bodies), clients: sent.clients, pace: sent.pace };
    let measured = load::run(plan, server.id(), WARM, window(context));
    let stored = server.cell(&format!("SELECT count(*) FROM {table}"));
    assert_eq!(stored, (measured.sent * RECORDS).to_string(), "what was acknowledged is there");
    Round::of(&measured)
}

/// A peer that lives in a Python process and inserts Arrow batches; the script prints one JSON object.
pub fn in_python(context: &Context, script: &str, batches: &Path, batch_ms: u32) -> Result<Round, String> {
    let python = context.python.as_ref().ok_or("the Python peers are not installed")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/ingest").join(script);
    let folder = folder(context)?;
    let times = [WARM.as_secs_f64(), window(context).as_secs_f64()].map(|time| time.to_string());
    let mut command = Command::new(python);
    command.arg(&script).arg(batches).arg(folder.path().join("store")).args(times).arg(batch_ms.to_string());
    let found = peer::answer(&mut command)?;
    let number = |name: &str| found[name].as_f64().ok_or_else(|| format!("{name} is missing in {found}"));
    let rows = number("rows")?;
    Ok(Round {
        per_cpu_s: rows / number("cpu_s")?.max(0.01),
        per_s: rows / number("wall_s")?,
        p50_ms: number("p50_ms")?,
        p99_ms: number("p99_ms")?,
        refused: 0,
    })
}

/// VictoriaLogs on its defaults.
pub fn victoria_logs(context: &Context, sent: Sent) -> Result<Round, String> {
    victoria(context, "victoria-logs", "/insert/opentelemetry/v1/logs", sent)
}

/// VictoriaMetrics on its defaults.
pub fn victoria_metrics(context: &Context, sent: Sent) -> Result<Round, String> {
    victoria(context, "victoria-metrics", "/opentelemetry/v1/metrics", sent)
}

fn victoria(context: &Context, name: &str, path: &str, sent: Sent) -> Result<Round, String> {
    let binary = context.peer(name).ok_or("not installed")?;
    let (folder, address) = (folder(context)?, peer::free_address());
    let mut command = Command::new(binary);
    command.arg(format!("-httpListenAddr={address}"));
    command.arg(format!("-storageDataPath={}", folder.path().join("store").display()));
    let process = Process::listening(name, &mut command, &folder.path().join("log"), address)?;
    Ok(through(context, Door::protobuf(address, path), sent, process))
}

/// The plainest OpenTelemetry Collector.
pub fn collector(context: &Context, sent: Sent) -> Result<Round, String> {
    let folder = folder(context)?;
    let (process, address) = start_collector(context, folder.path())?;
    Ok(through(context, Door::protobuf(address, sent.path), sent, process))
}

/// A collector whose every pipeline ends in a file.
fn start_collector(context: &Context, folder: &Path) -> Result<(Process, SocketAddr), String> {
    let binary = context.peer("otelcol").ok_or("not installed")?;
    let address = peer::free_address();
    let config = format!(
        "receivers: {{otlp: {{protocols: {{http: {{endpoint: \"{address}\"}}}}}}}}\n\
         exporters: {{file: {{path: \"{}\", format: proto}}}}\n\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    logs: &pipe {{receivers: [otlp], exporters: [file]}}\n    \
         traces: *pipe\n    metrics: *pipe\n",
        folder.join("out").display()
    );
    let path = folder.join("collector.yaml");
    std::fs::write(&path, config).map_err(|cause| cause.to_string())?;
    let mut command = Command::new(binary);
    command.arg("--config").arg(&path);
    let process = Process::listening("the collector", &mut command, &folder.join("log"), address)?;
    Ok((process, address))
}

/// Sends to a peer's own server as we send to ours, then ends it.
fn through(context: &Context, door: Door, sent: Sent, process: Process) -> Round {
    let plan = Plan { door, bodies: Arc::clone(sent.bodies), clients: sent.clients, pace: sent.pace };
    let measured = load::run(plan, process.id(), WARM, window(context));
    process.stop();
    Round::of(&measured)
}

fn folder(context: &Context) -> Result<TempDir, String> {
    let made = tempfile::Builder::new().prefix("peer-").tempdir_in(&context.folder);
    made.map_err(|cause| format!("a folder for the peer: {cause}"))
}
