//! The day of telemetry in our store and, the same rows, as Parquet for the peers. Kept between runs, because sending
//! it through the door takes minutes; made anew when the rows, or how the store lays them down, have changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::{Clock, NoRedaction, Ports, Settings, Store, WallClock};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::engines::{Ours, run_script};
use crate::Context;
use crate::data::{self, Day, Needles, Request};
use crate::harness::Http;

/// Connections that send.
const CLIENTS: usize = 3;
const WAITING_REQUESTS_MAX: usize = 64;
/// Rows are made anew before the table's retention takes them.
const AGE_MAX: Duration = Duration::from_secs(20 * 86_400);
/// Rounds of maintenance until nothing changes.
const ROUNDS_MAX: usize = 40;
const DAY_NS: u64 = 86_400_000_000_000;
/// Hours that are exported: the day's, and one for what begins at its end.
const HOURS: &str = "25";
const PAUSE: Duration = Duration::from_millis(20);
/// Folders of a table to which every commit adds, even one that changes no rows.
const PER_COMMIT: [&str; 2] = ["_versions", "_transactions"];
/// A request that was refused so often fails the preparation.
const TRIES_MAX: usize = 3_000;

/// What decides how rows lie on disk: when one of these changes, our copy is loaded again.
const LAYOUT: &[&str] = &[
    include_str!("../../engine/table.rs"),
    include_str!("../../engine/facts.rs"),
    include_str!("../../engine/facts/dictionaries.rs"),
    include_str!("../../engine/facts/encode.rs"),
    include_str!("../../engine/facts/maintain.rs"),
    include_str!("../../ingest/otel/log.rs"),
    include_str!("../../ingest/otel/span.rs"),
    include_str!("../../ingest/otel/labels.rs"),
];

/// The prepared day.
pub struct Telemetry {
    /// What the peers keep lies here too.
    pub folder: PathBuf,
    /// Our data directory.
    pub data: PathBuf,
    pub logs: PathBuf,
    pub spans: PathBuf,
    pub log_rows: u64,
    pub span_rows: u64,
    pub needles: Needles,
    /// `2026-11-25`.
    pub day: String,
    /// The day after it.
    pub next: String,
}

/// The day at this run's scale, made if it is not there. Without Python there are no Parquet files.
pub fn telemetry(context: &Context) -> Telemetry {
    let traces = context.scaled(usize::try_from(data::TRACES).expect("a million fits")) as u64;
    let folder = context.folder.join(format!("telemetry-{}-{traces}", data::VERSION));
    let begin_ns = begin_of(&folder);
    let day = Day { traces, begin_ns };
    let prepared = Telemetry {
        data: folder.join("data"),
        logs: folder.join("otel_log.parquet"),
        spans: folder.join("otel_span.parquet"),
        log_rows: traces * data::LOGS_PER_TRACE,
        span_rows: traces * data::SPANS_PER_TRACE,
        needles: day.needles(),
        day: date(begin_ns),
        next: date(begin_ns + DAY_NS),
        folder,
    };
    prepared.fill(context, day);
    settle(context, &prepared.data);
    prepared.export(context, day);
    prepared
}

/// The kept day's midnight, or yesterday's for a folder that is new or whose rows grew too old.
fn begin_of(folder: &Path) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    let kept = fs::read_to_string(folder.join("day.json")).ok();
    let kept = kept.and_then(|text| serde_json::from_str::<Value>(&text).ok()?["begin_ns"].as_u64());
    if let Some(begin) = kept.filter(|begin| now.saturating_sub(Duration::from_nanos(*begin)) < AGE_MAX) {
        return begin;
    }
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).expect("the folder for measurements can be made");
    let days = now.as_secs() / 86_400 - 1;
    let begin_ns = days * DAY_NS;
    fs::write(folder.join("day.json"), json!({ "begin_ns": begin_ns }).to_string()).expect("the folder takes a file");
    begin_ns
}

/// `2026-11-25` of an instant.
fn date(ns: u64) -> String {
    let days = i64::try_from(ns / DAY_NS).expect("a u64 of nanoseconds has few days");
    // Civil from days, Hinnant's algorithm: eras of 400 years from 0000-03-01.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

impl Telemetry {
    /// Words for the questions' gaps.
    pub fn words(&self) -> [(&str, &str); 6] {
        let needles = &self.needles;
        [
            ("day", &self.day),
            ("next", &self.next),
            ("trace", &needles.trace_id),
            ("span", &needles.span_id),
            ("pod", &needles.pod),
            ("token", data::RARE_TOKEN),
        ]
    }

    /// Sends the day through the doors, unless the same rows already lie there in today's layout.
    fn fill(&self, context: &Context, day: Day) {
        let mark = self.folder.join("layout");
        let layout = digest(LAYOUT);
        if fs::read_to_string(&mark).is_ok_and(|kept| kept == layout) {
            return;
        }
        let _ = fs::remove_file(&mark);
        // What the peers hold is made from our rows, and those are redacted by this program's rules.
        for entry in fs::read_dir(&self.folder).expect("the folder was made").flatten() {
            let path = entry.path();
            let _ = match path.is_dir() {
                true => fs::remove_dir_all(path),
                false if entry.file_name() == "day.json" => Ok(()),
                false => fs::remove_file(path),
            };
        }
        context.say(format_args!("sending {} logs and {} spans through the door", self.log_rows, self.span_rows));
        let begun = Instant::now();
        let server = Ours::start(&self.data, &[]).unwrap_or_else(|why| panic!("{why}"));
        send(&server, day);
        let mut http = Http::new(server.address, &server.key);
        for (table, rows) in [("otel_log", self.log_rows), ("otel_span", self.span_rows)] {
            let answer = http.ask(&format!("SELECT count(*) FROM {table}")).unwrap_or_else(|r| panic!("{}", r.text()));
            assert_eq!(answer.rows[0][0], rows.to_string(), "what was sent to {table} is there");
        }
        drop(http);
        server.stop();
        fs::write(&mark, layout).expect("the folder takes a file");
        context.say(format_args!("sent in {:.0} s", begun.elapsed().as_secs_f64()));
    }

    fn export(&self, context: &Context, day: Day) {
        let Some(python) = &context.python else { return };
        if self.logs.exists() && self.spans.exists() {
            return;
        }
        let server = Ours::start(&self.data, &[]).unwrap_or_else(|why| panic!("{why}"));
        for (table, file, rows) in [("otel_log", &self.logs, self.log_rows), ("otel_span", &self.spans, self.span_rows)]
        {
            context.say(format_args!("writing {table} as Parquet"));
            let begin_ns = day.begin_ns.to_string();
            let (address, file) = (server.address.to_string(), file.to_string_lossy().into_owned());
            let args = [address, server.key.clone(), table.to_owned(), begin_ns, HOURS.to_owned(), file];
            let written = run_script(python, "export.py", &args).unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(written.trim(), rows.to_string(), "{table} is exported whole");
        }
        server.stop();
    }
}

/// Maintains until nothing changes, in this process, with a clock that is ahead: leases of ended servers have run out
/// and no old version is kept.
pub fn settle(context: &Context, data: &Path) {
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let rounds = runtime.block_on(async {
        let ports = Ports { clock: Arc::new(Ahead), redactor: Arc::new(NoRedaction) };
        let opened = Store::open(Settings::new(data), serve::wire::catalogue(), ports).await;
        let store = opened.expect("the prepared store opens");
        store.flush().await.expect("the prepared store flushes");
        let mut rounds = 0;
        let mut before = Vec::new();
        loop {
            store.maintain().await.expect("the prepared store is maintained");
            rounds += 1;
            let now = listing(&data.join("tables"));
            if now == before {
                break;
            }
            assert!(rounds < ROUNDS_MAX, "maintenance does not come to an end");
            before = now;
        }
        store.close().await.expect("the prepared store closes");
        rounds
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    context.say(format_args!("settled in {rounds} rounds, {:.0} s", begun.elapsed().as_secs_f64()));
}

/// One name for several sources.
pub fn digest(sources: &[&str]) -> String {
    let mut hash = Sha256::new();
    sources.iter().for_each(|source| hash.update(source.as_bytes()));
    hex::encode(hash.finalize())
}

/// An hour ahead of the wall.
#[derive(Debug)]
struct Ahead;

impl Clock for Ahead {
    fn now_us(&self) -> i64 {
        WallClock.now_us() + 3_600_000_000
    }
}

/// Names and lengths of all files that hold rows or indexes, sorted.
fn listing(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() && PER_COMMIT.iter().any(|name| entry.file_name() == *name) => {}
                Ok(meta) if meta.is_dir() => open.push(entry.path()),
                Ok(meta) => found.push((entry.path(), meta.len())),
                Err(_) => {}
            }
        }
    }
    found.sort();
    found
}

/// Sends every request until it is acknowledged.
fn send(server: &Ours, day: Day) {
    let (sender, receiver) = sync_channel::<Request>(WAITING_REQUESTS_MAX);
    let receiver = Arc::new(Mutex::new(receiver));
    let (address, key) = (server.address, &server.key);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let receiver = Arc::clone(&receiver);
            scope.spawn(move || client(Http::new(address, key), &receiver));
        }
        day.requests(|request| sender.send(request).expect("the clients outlive the day"));
        drop(sender);
    });
}

fn client(mut http: Http, requests: &Mutex<Receiver<Request>>) {
    loop {
        let next = requests.lock().expect("no client panics while it waits").recv();
        let Ok(request) = next else { return };
        let body = bytes::Bytes::from(request.body);
        for tried in 0.. {
            let reply = http.post(request.path, "application/x-protobuf", body.clone());
            match reply.status {
                200 => break,
                429 | 503 if tried < TRIES_MAX => std::thread::sleep(PAUSE),
                other => panic!("{}: {other}: {}", request.path, reply.text()),
            }
        }
    }
}
