//! What time does to it: acks, open files and start-up after thousands of flushes, and memory under a steady load with
//! dashboards open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use prost::Message;
use serde_json::json;

use crate::Context;
use crate::harness::{Ground, Http, Server};
use crate::load::{Measured, Plan, Running};
use crate::peer;
use crate::report::{Bound, Goal, Report, figure, percentile};
use crate::start::ready;
use crate::takers::{Bodies, our_door};
use crate::traffic::{RECORDS, Traffic};

const SEED: u64 = 20_260_905;

/// Flushes after which the table counts as old, and as young.
const OLD: usize = 10_000;
const YOUNG: usize = 100;
/// Acks are taken over this share of the old table's flushes, in both ages.
const WINDOW_SHARE: f64 = 0.1;
/// Small requests that each fill a tail, so that thousands of flushes fit into minutes.
const LOGS_A_FLUSH: usize = 16;
const REQUESTS_PER_S: f64 = 60.0;
const FLUSH_CLIENTS: usize = 4;
const AGE_TIME_MAX: Duration = Duration::from_secs(1_200);
/// A table that is not old by then is measured for so long as it is.
const LATE_TIME: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// Often enough that the windows of both ages see several rounds.
const MAINTAIN: (&str, &str) = ("STELLWERK_MAINTAIN_EVERY", "5s");
const AGE_GOAL: f64 = 1.2;

const LOGS_PER_S: f64 = 50_000.0;
const REQUESTS: usize = 400;
const CLIENTS: usize = 8;
const DASHBOARDS_TIME_S: f64 = 60.0;
const DASHBOARDS_TIME_S_MIN: f64 = 10.0;
/// A dashboard asks its next question so long after the last answer.
const THINK: Duration = Duration::from_millis(500);
const RESIDENT_GOAL_MB: f64 = 512.0;
/// Six dashboards, one question each.
const DASHBOARDS: [&str; 6] = [
    "SELECT service_name, severity_text, count(*) FROM otel_log GROUP BY 1, 2 ORDER BY 3 DESC",
    "SELECT date_trunc('second', time) AS at, count(*) FROM otel_log WHERE severity_number >= 17 GROUP BY 1 ORDER BY 1 DESC LIMIT 60",
    "SELECT time, service_name, body FROM otel_log WHERE severity_number >= 17 ORDER BY time DESC LIMIT 50",
    "SELECT k8s_pod_name, count(*) FROM otel_log WHERE service_name = 'payment' GROUP BY 1 ORDER BY 2 DESC",
    "SELECT count(*) FROM otel_log WHERE body LIKE '%unexpected EOF%'",
    "SELECT service_name, count(DISTINCT trace_id) FROM otel_log GROUP BY 1 ORDER BY 2 DESC",
];

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    age(context, &mut report);
    memory(context, &mut report);
    report
}

/// What was seen at one age of the table.
struct Age {
    flushes: usize,
    acks: Measured,
    open_files: usize,
    threads: usize,
    ready_s: f64,
    counted_s: f64,
}

/// A table that gets old in minutes. The server starts again at both ages; flushes are counted over its starts.
struct Aging {
    ground: Ground,
    /// None only while it starts again.
    server: Option<Server>,
    bodies: Bodies,
    flushes_before: usize,
    requests: usize,
}

impl Aging {
    fn new(context: &Context) -> Aging {
        let mut traffic = Traffic::new(SEED);
        let bodies = (0..REQUESTS).map(|_| traffic.logs_of(LOGS_A_FLUSH).encode_to_vec()).collect();
        let ground = Ground::under(&context.folder);
        let server = Some(Aging::serve(&ground));
        Aging { ground, server, bodies: Arc::new(bodies), flushes_before: 0, requests: 0 }
    }

    fn serve(ground: &Ground) -> Server {
        let rows = LOGS_A_FLUSH.to_string();
        Server::spawn(ground, &["--flush-rows", &rows], &[MAINTAIN]).unwrap_or_else(|why| panic!("{why}"))
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs again before anybody asks")
    }

    fn flushes(&self) -> usize {
        self.flushes_before + flushes(self.server())
    }

    /// Sends until the table has so many flushes; acks count from `from` flushes on. Ends early when time is up.
    fn until(&mut self, context: &Context, from: usize, to: usize) -> Measured {
        let door = our_door(self.server(), "/v1/logs");
        let plan = Plan { door, bodies: Arc::clone(&self.bodies), clients: FLUSH_CLIENTS, pace: Some(REQUESTS_PER_S) };
        let (mut running, begun, mut measuring) = (Running::start(plan, self.server().id()), Instant::now(), false);
        let mut told = Instant::now();
        loop {
            let flushes = self.flushes();
            if told.elapsed() > Duration::from_secs(20) {
                context.say(format_args!("{flushes} flushes of {to}"));
                told = Instant::now();
            }
            let late = begun.elapsed().saturating_sub(AGE_TIME_MAX);
            if !measuring && (flushes >= from || !late.is_zero()) {
                measuring = true;
                running.measure();
            }
            if measuring && (flushes >= to || late > LATE_TIME) {
                break;
            }
            std::thread::sleep(POLL);
        }
        let measured = running.stop();
        self.requests += measured.sent;
        measured
    }

    /// Figures at this age; the server starts again.
    fn take(&mut self, acks: Measured) -> Age {
        let flushes = self.flushes();
        let (open_files, threads) = (peer::open_files(self.server().id()), peer::threads(self.server().id()));
        self.server.take().expect("it runs").stop();
        let begun = Instant::now();
        let server = self.server.insert(Aging::serve(&self.ground));
        let ready_s = ready(server, begun);
        let counted = server.cell("SELECT count(*) FROM otel_log");
        assert_eq!(counted, (self.requests * LOGS_A_FLUSH).to_string(), "what was acknowledged is there");
        self.flushes_before = flushes;
        Age { flushes, acks, open_files, threads, ready_s, counted_s: begun.elapsed().as_secs_f64() }
    }
}

/// Lance commits of the table since the server started.
fn flushes(server: &Server) -> usize {
    let reply = server.connect().send("GET", "/metrics", &[], Vec::new()).expect("the server answers");
    let text = reply.text();
    let line = text.lines().find_map(|line| line.strip_prefix("stellwerk_store_commits_total{table=\"otel_log\"}"));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

fn age(context: &Context, report: &mut Report) {
    let old = context.scaled(OLD);
    let window = (old as f64 * WINDOW_SHARE) as usize;
    let mut aging = Aging::new(context);
    context.say(format_args!("{old} flushes of {LOGS_A_FLUSH} logs, {REQUESTS_PER_S} requests a second"));
    let acks = aging.until(context, YOUNG, YOUNG + window);
    let young = aging.take(acks);
    let acks = aging.until(context, old - window, old);
    let old = aging.take(acks);
    let p99 = |age: &Age| age.acks.ack_ms(0.99);
    report.goal(Goal {
        what: &format!("p99 of the ack at flush {}, against flush {YOUNG}", figure(old.flushes as f64)),
        bound: Bound::AtMost(AGE_GOAL),
        unit: "x",
        value: Some(p99(&old) / p99(&young)),
        ours: format!("{} ms against {} ms", figure(p99(&old)), figure(p99(&young))),
        peer: String::new(),
    });
    let row = |age: &Age| {
        vec![
            format!("{} to {}", age.flushes.saturating_sub(window), age.flushes),
            figure(age.acks.ack_ms(0.5)),
            figure(p99(age)),
            age.acks.acks.to_string(),
            age.open_files.to_string(),
            age.threads.to_string(),
            figure(age.ready_s),
            figure(age.counted_s),
        ]
    };
    let columns = [
        "flushes",
        "ack p50 ms",
        "ack p99 ms",
        "acks",
        "open files",
        "threads",
        "start to ready, s",
        "to the right count, s",
    ];
    report.table("Age of a table", &columns, vec![row(&young), row(&old)]);
    report.note(format!(
        "Each flush holds about {LOGS_A_FLUSH} logs; maintenance runs every 5 s; {REQUESTS_PER_S} requests a second arrive whether or \
         not the server keeps up, and an ack's time counts from when its request was due."
    ));
    report.raw("age", json!({"young_p99_ms": p99(&young), "old_p99_ms": p99(&old), "old_flushes": old.flushes}));
}

fn memory(context: &Context, report: &mut Report) {
    let mut traffic = Traffic::new(SEED + 1);
    let bodies: Bodies = Arc::new((0..context.scaled(REQUESTS)).map(|_| traffic.logs().encode_to_vec()).collect());
    let ground = Ground::under(&context.folder);
    let server = Server::start(&ground, &[]);
    let pace = Some(LOGS_PER_S / RECORDS as f64);
    let plan = Plan { door: our_door(&server, "/v1/logs"), bodies, clients: CLIENTS, pace };
    let window = Duration::from_secs_f64((DASHBOARDS_TIME_S * context.scale).max(DASHBOARDS_TIME_S_MIN));
    context.say(format_args!(
        "{LOGS_PER_S} logs a second and {} dashboards for {} s",
        DASHBOARDS.len(),
        window.as_secs()
    ));
    let mut running = Running::start(plan, server.id());
    running.measure();
    let mut answers = dashboards(&server, window);
    let measured = running.stop();
    answers.sort_by(f64::total_cmp);
    let mb = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let (peak, now) = (mb(peer::peak_bytes(server.id())), mb(peer::resident_bytes(server.id())));
    let per_s = measured.per_s() * RECORDS as f64;
    report.goal(Goal {
        what: "most resident memory, 50,000 logs a second and six dashboards",
        bound: Bound::AtMost(RESIDENT_GOAL_MB),
        unit: "MB",
        value: Some(peak),
        ours: format!("{} MB at {} logs a second", figure(peak), figure(per_s)),
        peer: String::new(),
    });
    let columns = [
        "logs a second",
        "peak MB",
        "MB at the end",
        "questions",
        "question p50 ms",
        "p99 ms",
        "ack p50 ms",
        "p99 ms",
        "CPU cores",
    ];
    let (question, ack) = (|share| percentile(&answers, share), |share| measured.ack_ms(share));
    let cores = measured.cpu_s / measured.window_s;
    let cells = [per_s, peak, now, answers.len() as f64, question(0.5), question(0.99), ack(0.5), ack(0.99), cores];
    report.table("Steady load", &columns, vec![cells.map(figure).to_vec()]);
    report.note(format!(
        "{} of the 50,000 logs a second were taken, {} requests were told to come back. A dashboard asks again {} ms after its answer.",
        figure(per_s), measured.refused, THINK.as_millis()
    ));
}

/// Every dashboard asks its question again and again; milliseconds of all answers.
fn dashboards(server: &Server, window: Duration) -> Vec<f64> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = &stop;
        let asking: Vec<_> = DASHBOARDS
            .map(|sql| (sql, server.connect()))
            .into_iter()
            .map(|(sql, http)| scope.spawn(move || ask(http, sql, stop)))
            .collect();
        std::thread::sleep(window);
        stop.store(true, Ordering::Relaxed);
        asking.into_iter().flat_map(|dashboard| dashboard.join().expect("a dashboard does not panic")).collect()
    })
}

fn ask(mut http: Http, sql: &str, stop: &AtomicBool) -> Vec<f64> {
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let answer = http.ask(sql).unwrap_or_else(|reply| panic!("{sql}: {}", reply.text()));
        assert!(!answer.columns.is_empty(), "{sql}: an answer without columns");
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(THINK);
    }
    times
}
