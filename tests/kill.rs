//! `kill -9` at random moments while clients write. Whatever was acknowledged is there afterwards, once: counted by the
//! clients' own lists, outside the process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::{Ground, Http, Server};

/// Records of one OTLP request.
const RECORDS: u64 = 25;
/// Small, so that a trial of seconds sees many flushes and compactions.
const EAGER: &[&str] = &["--flush-rows", "400", "--flush-after", "200ms"];
const LOG_CLIENTS: u64 = 2;

/// Where the server is now, and what the clients know to be durable.
struct Shared {
    door: Mutex<(SocketAddr, String)>,
    stop: AtomicBool,
    acked: Mutex<Vec<String>>,
    retries: AtomicU64,
    refused: Mutex<Vec<String>>,
}

impl Shared {
    fn connect(&self) -> Http {
        let (address, key) = self.door.lock().expect("no client panics").clone();
        Http::new(address, &key)
    }

    /// Sends until it is acknowledged; a client that gives up would hide a loss.
    fn deliver(&self, http: &mut Http, path: &str, headers: &[(&str, &str)], body: &[u8]) -> bool {
        loop {
            match http.send("POST", path, headers, body.to_vec()) {
                Ok(reply) if (200..300).contains(&reply.status) => return true,
                Ok(reply) if [429, 503].contains(&reply.status) => {}
                Ok(reply) => {
                    self.refused.lock().expect("no client panics").push(format!(
                        "{path}: {} {}",
                        reply.status,
                        reply.text()
                    ));
                    return false;
                }
                Err(_) => *http = self.connect(),
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(15));
        }
    }

    fn ack(&self, ids: impl IntoIterator<Item = String>) {
        self.acked.lock().expect("no client panics").extend(ids);
    }
}

fn text(value: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(Any::StringValue(value.to_owned())) })
}

/// Now; older records would fall to retention some day.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(since.as_nanos()).expect("before the year 2554")
}

/// One OTLP request whose records carry `ids` as their bodies.
pub fn logs(service: &str, ids: &[String]) -> Vec<u8> {
    let record =
        |id: &String| LogRecord { time_unix_nano: 1_764_000_000_000_000_000, body: text(id), ..LogRecord::default() };
    let service = KeyValue { key: "service.name".to_owned(), value: text(service), ..KeyValue::default() };
    let scope = ScopeLogs { log_records: ids.iter().map(record).collect(), ..ScopeLogs::default() };
    let resource = Resource { attributes: vec![service], ..Resource::default() };
    let group = ResourceLogs { resource: Some(resource), scope_logs: vec![scope], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![group] }.encode_to_vec()
}

fn write_logs(shared: &Shared, client: u64) {
    let mut http = shared.connect();
    for request in 0.. {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let ids: Vec<String> = (0..RECORDS).map(|record| format!("log-{client}-{request}-{record}")).collect();
        let key = format!("{client}-{request}");
        let headers = [("content-type", "application/x-protobuf"), ("x-idempotency-key", key.as_str())];
        if shared.deliver(&mut http, "/v1/logs", &headers, &logs("kill-trial", &ids)) {
            shared.ack(ids);
        }
    }
}

fn write_events(shared: &Shared) {
    let mut http = shared.connect();
    for number in 0.. {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let event = serde_json::json!({
            "id": id, "eventType": "build.complete", "publisherId": "tfs", "createdDate": "2026-11-24T00:00:00Z",
            "resource": {"id": number, "buildNumber": format!("{number}"), "status": "succeeded"},
        });
        if shared.deliver(&mut http, ADO_DOOR, &[("content-type", "application/json")], event.to_string().as_bytes()) {
            shared.ack([id]);
        }
    }
}

/// Where Azure DevOps posts its service hooks.
pub const ADO_DOOR: &str = "/hooks/ado";

/// How often every id that the trial wrote is in the store.
fn held(server: &Server) -> BTreeMap<String, u64> {
    let sql = "SELECT body AS id, count(*) AS n FROM otel_log WHERE service_name = 'kill-trial' GROUP BY body \
               UNION ALL SELECT event_id, count(*) FROM ado_event GROUP BY event_id";
    server.sql(sql).rows.into_iter().map(|row| (row[0].clone(), row[1].parse().expect("a count"))).collect()
}

fn check(shared: &Shared, held: &BTreeMap<String, u64>, when: &str) {
    let acked = shared.acked.lock().expect("no client panics");
    let missing: Vec<_> = acked.iter().filter(|id| !held.contains_key(*id)).take(5).collect();
    let twice: Vec<_> = held.iter().filter(|(_, count)| **count > 1).take(5).collect();
    assert!(missing.is_empty(), "{when}: acknowledged, but lost: {missing:?}");
    assert!(twice.is_empty(), "{when}: there twice: {twice:?}");
}

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// `TRIALS` kills (default 5), at moments drawn from `SEED`.
#[test]
fn nothing_acknowledged_is_lost_or_doubled() {
    let seed = env("SEED", u64::from(std::process::id()));
    let kills = env("TRIALS", 5);
    trial(seed, kills, &[]);
}

/// The trial with the log in another place, or the tables in another store.
pub fn trial(seed: u64, kills: u64, args: &[&str]) {
    println!("kill -9 trial: SEED={seed} TRIALS={kills} {args:?}");
    let mut dice = StdRng::seed_from_u64(seed);
    let args: Vec<&str> = EAGER.iter().chain(args).copied().collect();
    let ground = Ground::new();
    let mut server = Server::start(&ground, &args);
    let shared = Arc::new(Shared {
        door: Mutex::new((server.address, server.key.clone())),
        stop: AtomicBool::new(false),
        acked: Mutex::new(Vec::new()),
        retries: AtomicU64::new(0),
        refused: Mutex::new(Vec::new()),
    });
    let mut clients = Vec::new();
    for client in 0..LOG_CLIENTS {
        let shared = Arc::clone(&shared);
        clients.push(std::thread::spawn(move || write_logs(&shared, client)));
    }
    let events = Arc::clone(&shared);
    clients.push(std::thread::spawn(move || write_events(&events)));
    for kill in 1..=kills {
        std::thread::sleep(Duration::from_millis(dice.random_range(200..2_500)));
        server.kill9();
        server = Server::start(&ground, &args);
        // What was acknowledged before this question must be in its answer; the clients go on only afterwards.
        check(&shared, &held(&server), &format!("after kill {kill} of SEED={seed}"));
        *shared.door.lock().expect("no client panics") = (server.address, server.key.clone());
    }
    std::thread::sleep(Duration::from_millis(500));
    shared.stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("a client does not panic"));
    check(&shared, &held(&server), &format!("at the end of SEED={seed}"));
    let refused = shared.refused.lock().expect("no client panics").clone();
    assert!(refused.is_empty(), "refused: {refused:?}");
    server.stop();
    let server = Server::start(&ground, &args);
    let held = held(&server);
    check(&shared, &held, &format!("after a graceful restart, SEED={seed}"));
    let (acked, retries) =
        (shared.acked.lock().expect("no client panics").len(), shared.retries.load(Ordering::Relaxed));
    assert!(acked > 0, "the clients wrote nothing");
    println!("kill -9 trial: {kills} kills, {acked} records acknowledged, {retries} retries: 0 lost, 0 doubled");
}
