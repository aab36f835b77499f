//! Ready after `kill -9`: a log of 256 MB that nothing has flushed is read again before the first question.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message;
use serde_json::json;

use crate::Context;
use crate::harness::{Ground, Server};
use crate::load::{Plan, Running};
use crate::peer;
use crate::report::{Bound, Goal, Report, Spread, figure};
use crate::takers::{Bodies, our_door};
use crate::traffic::{RECORDS, Traffic};

const SEED: u64 = 20_260_903;
const REQUESTS: usize = 300;
const CLIENTS: usize = 8;
const RESTARTS: usize = 5;
const WAL_BYTES: usize = 256 << 20;
const READY_GOAL_S: f64 = 2.0;
const POLL: Duration = Duration::from_millis(20);
/// A log that is not long enough after this is taken as it is.
const FILL_TIME_MAX: Duration = Duration::from_secs(120);
/// The log shrinks when something is flushed; then it does not grow beyond what it was.
const SHRUNK: f64 = 0.9;

/// Nothing is flushed for its size or age, and memory does not force it.
const KEEP: [&str; 4] = ["--flush-rows", "1000000000", "--flush-after", "1h"];
const MEMORY: (&str, &str) = ("STELLWERK_MEMORY", "4GiB");

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let mut traffic = Traffic::new(SEED);
    let bodies = Arc::new((0..context.scaled(REQUESTS)).map(|_| traffic.logs().encode_to_vec()).collect());
    let ground = Ground::under(&context.folder);
    let goal_bytes = context.scaled(WAL_BYTES) as u64;
    let (rows, wal_bytes) = fill(context, &ground, &bodies, goal_bytes);
    let mut ready = Vec::new();
    let mut counted = Vec::new();
    for _ in 0..RESTARTS {
        let (ready_s, counted_s) = restart(&ground, rows);
        context.say(format_args!("ready after {ready_s:.2} s, the right count after {counted_s:.2} s"));
        ready.push(ready_s);
        counted.push(counted_s);
    }
    let (ready, counted) = (Spread::of(&ready), Spread::of(&counted));
    let mb = |bytes: u64| figure(bytes as f64 / f64::from(1 << 20));
    report.goal(Goal {
        what: &format!("ready after kill -9 with {} MB of log", mb(wal_bytes)),
        bound: Bound::AtMost(READY_GOAL_S),
        unit: "s",
        value: Some(ready.median),
        ours: format!("{ready} s, {rows} rows"),
        peer: String::new(),
    });
    let columns = ["log, MB", "rows in it", "first 200 of /readyz, s", "first right count(*), s"];
    report.table(
        "From exec, after kill -9",
        &columns,
        vec![vec![mb(wal_bytes), rows.to_string(), ready.to_string(), counted.to_string()]],
    );
    if wal_bytes < goal_bytes {
        let note = format!(
            "The log stopped growing at {} MB, below the {} MB asked for: tails were flushed or full.",
            mb(wal_bytes),
            mb(goal_bytes)
        );
        context.say(&note);
        report.note(note);
    }
    report.note("The log lies in the page cache, as after the crash of a process; after one of the machine the disk is read first.");
    report.raw(
        "start",
        json!({"wal_bytes": wal_bytes, "rows": rows, "ready_s": ready.median, "counted_s": counted.median}),
    );
    report
}

/// Ingests until the log is this long, then kills the server; rows acknowledged, and bytes of the log.
fn fill(context: &Context, ground: &Ground, bodies: &Bodies, goal_bytes: u64) -> (usize, u64) {
    let mut server = Server::spawn(ground, &KEEP, &[MEMORY]).unwrap_or_else(|why| panic!("{why}"));
    let plan = Plan { door: our_door(&server, "/v1/logs"), bodies: Arc::clone(bodies), clients: CLIENTS, pace: None };
    let mut running = Running::start(plan, server.id());
    running.measure();
    let (wal, begun) = (ground.data().join("wal"), Instant::now());
    let mut goal_bytes = goal_bytes;
    let mut longest = 0;
    while begun.elapsed() < FILL_TIME_MAX {
        let now = peer::folder_bytes(&wal);
        if now >= goal_bytes {
            break;
        }
        longest = longest.max(now);
        if (now as f64) < longest as f64 * SHRUNK {
            goal_bytes = (longest as f64 * SHRUNK) as u64;
        }
        std::thread::sleep(POLL);
    }
    let measured = running.stop();
    let bytes = peer::folder_bytes(Path::new(&wal));
    context.say(format_args!(
        "{} rows acknowledged, {} MB of log after {:.0} s",
        measured.sent * RECORDS,
        bytes >> 20,
        measured.window_s
    ));
    server.kill9();
    (measured.sent * RECORDS, bytes)
}

/// Seconds from exec to the first 200 of /readyz, and to the first right count; then kills it again.
fn restart(ground: &Ground, rows: usize) -> (f64, f64) {
    let begun = Instant::now();
    let mut server = Server::spawn(ground, &KEEP, &[MEMORY]).unwrap_or_else(|why| panic!("{why}"));
    let ready_s = ready(&server, begun);
    let counted = server.cell("SELECT count(*) FROM otel_log");
    let counted_s = begun.elapsed().as_secs_f64();
    assert_eq!(counted, rows.to_string(), "what was acknowledged is there again");
    server.kill9();
    (ready_s, counted_s)
}

/// Seconds from `begun` until the server says that it is ready.
pub fn ready(server: &Server, begun: Instant) -> f64 {
    let mut http = server.connect();
    loop {
        let reply = http.send("GET", "/readyz", &[], Vec::new()).expect("a bound server answers");
        if reply.status == 200 {
            return begun.elapsed().as_secs_f64();
        }
        assert!(begun.elapsed() < FILL_TIME_MAX, "not ready: {}", reply.text());
        std::thread::sleep(Duration::from_millis(2));
    }
}
