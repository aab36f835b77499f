//! The clients of a trial: they write over the real doors, retry as their kind does, and tell the oracle what they know.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::disk;
use super::oracle::{Ending, Oracle, Ticket};
use crate::harness::{Http, Server};
use crate::records::{ADO_DOOR, PROTOBUF, log_records, now_ns};

/// Records of one OTLP request; the severity numbers them, so there are 24 at most.
pub const RECORDS: u64 = 20;
/// The service that the trial's records name.
pub const SERVICE: &str = "faults";
/// The cluster that its objects are of.
pub const CLUSTER: &str = "faults";
const OBJECTS: u64 = 6;
/// Rows of one cost file.
pub const COST_ROWS: u64 = 40;
/// The thing that a cost file replaces.
pub const COST_SET: &str = "cost-file";
/// How long a client waits before it tries again, and between two requests.
const RETRY_AFTER: Duration = Duration::from_millis(15);
const BETWEEN: Duration = Duration::from_millis(3);
const BETWEEN_LOADS: Duration = Duration::from_millis(60);
const LOAD_TIME_MAX: Duration = Duration::from_secs(60);
/// Every so many objects the state of all is asked and remembered with its place in the log.
const MOMENT_EVERY: u64 = 12;
/// What a door answers when it wants the request again.
const COME_BACK: [u16; 2] = [429, 503];

/// Where the server is now. A client that sees a new number connects anew.
#[derive(Debug, Clone)]
struct Door {
    number: u64,
    address: std::net::SocketAddr,
    key: String,
    data: PathBuf,
}

/// What the clients of a trial share.
pub struct World {
    door: Mutex<Option<Door>>,
    numbered: AtomicU64,
    stop: AtomicBool,
    oracle: Mutex<Oracle>,
    pub retried: AtomicU64,
    /// The disk's journal, where the power may go.
    journal: Option<PathBuf>,
    /// A log that another process has taken over refuses with a conflict.
    pub conflicts_expected: AtomicBool,
}

impl World {
    pub fn new(journal: Option<PathBuf>) -> World {
        World {
            door: Mutex::new(None),
            numbered: AtomicU64::new(1),
            stop: AtomicBool::new(false),
            oracle: Mutex::default(),
            retried: AtomicU64::new(0),
            journal,
            conflicts_expected: AtomicBool::new(false),
        }
    }

    pub fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().expect("no client panics")
    }

    /// Clients may write to this server.
    pub fn open(&self, server: &Server, data: PathBuf) {
        let number = self.numbered.fetch_add(1, Ordering::SeqCst);
        let door = Door { number, address: server.address, key: server.key.clone(), data };
        *self.door.lock().expect("no client panics") = Some(door);
    }

    /// Clients wait: there is no server.
    pub fn close(&self) {
        self.numbered.fetch_add(1, Ordering::SeqCst);
        *self.door.lock().expect("no client panics") = None;
    }

    /// Clients end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Where the disk's journal ends, for the oracle's marks.
    pub fn mark(&self) -> u64 {
        self.journal.as_deref().map_or(0, disk::mark)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn end(&self, ticket: &Ticket, ending: Ending) {
        let mark = self.mark();
        self.oracle().end(ticket, ending, mark);
    }
}

/// Starts every client of a trial.
pub fn start(world: &Arc<World>, dice: &mut StdRng, cost_file: PathBuf) -> Vec<std::thread::JoinHandle<()>> {
    let mut client = |write: fn(&mut Client)| {
        let (world, dice) = (Arc::clone(world), StdRng::seed_from_u64(dice.random()));
        let mut client = Client { world, dice, http: None, cost_file: cost_file.clone() };
        std::thread::spawn(move || write(&mut client))
    };
    vec![
        client(Client::write_keyed_logs),
        client(Client::write_logs),
        client(Client::write_events),
        client(Client::write_objects),
        client(Client::load_costs),
    ]
}

struct Client {
    world: Arc<World>,
    dice: StdRng,
    http: Option<(u64, Http)>,
    cost_file: PathBuf,
}

impl Client {
    /// The door, as soon as there is one; `None` at the end of the trial.
    fn door(&self) -> Option<Door> {
        loop {
            if self.world.stopped() {
                return None;
            }
            if let Some(door) = self.world.door.lock().expect("no client panics").clone() {
                return Some(door);
            }
            std::thread::sleep(RETRY_AFTER);
        }
    }

    /// One attempt over HTTP: how it ended, and the answer.
    fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<(Ending, Value)> {
        let door = self.door()?;
        if self.http.as_ref().is_none_or(|(number, _)| *number != door.number) {
            self.http = Some((door.number, Http::new(door.address, &door.key)));
        }
        let (_, http) = self.http.as_mut().expect("just made");
        let reply = match http.send("POST", path, headers, body.to_vec()) {
            Ok(reply) => reply,
            Err(why) => {
                self.http = None;
                // Nobody listened, so nobody took it.
                let ending = if why.contains("refused") { Ending::Refused } else { Ending::Unknown };
                return Some((ending, Value::Null));
            }
        };
        if (200..300).contains(&reply.status) {
            return Some((Ending::Acked, serde_json::from_slice(&reply.body).unwrap_or_default()));
        }
        let conflict = reply.status == 409 && self.world.conflicts_expected.load(Ordering::SeqCst);
        if !COME_BACK.contains(&reply.status) && !conflict {
            self.world.oracle().wrong.push(format!("{path} answered {}: {}", reply.status, reply.text()));
        }
        Some((Ending::Refused, Value::Null))
    }

    /// Sends until it is acknowledged, with a key; without one, a lost answer may end it. `None` at the end of the trial.
    fn deliver(
        &mut self,
        name: &str,
        records: u64,
        keyed: bool,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Value> {
        loop {
            let ticket = self.world.oracle().send(name, records, keyed);
            let (ending, answer) = self.post(path, headers, body).unwrap_or((Ending::Refused, Value::Null));
            self.world.end(&ticket, ending);
            if ending == Ending::Acked {
                return Some(answer);
            }
            if self.world.stopped() {
                return None;
            }
            if !keyed && ending == Ending::Unknown && self.dice.random_bool(0.5) {
                return Some(Value::Null);
            }
            self.world.retried.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(RETRY_AFTER);
        }
    }

    fn write_keyed_logs(&mut self) {
        for number in 0.. {
            let name = format!("keyed-{number:06}");
            let headers = [("content-type", PROTOBUF), ("x-idempotency-key", name.as_str())];
            if self.deliver(&name, RECORDS, true, "/v1/logs", &headers, &logs(&name)).is_none() {
                return;
            }
            std::thread::sleep(BETWEEN);
        }
    }

    fn write_logs(&mut self) {
        for number in 0.. {
            let name = format!("plain-{number:06}");
            if self.deliver(&name, RECORDS, false, "/v1/logs", &[("content-type", PROTOBUF)], &logs(&name)).is_none() {
                return;
            }
            std::thread::sleep(BETWEEN);
        }
    }

    fn write_events(&mut self) {
        for number in 0.. {
            let (id, body) = event(number);
            let json = [("content-type", "application/json")];
            if self.deliver(&id, 1, true, ADO_DOOR, &json, body.as_bytes()).is_none() {
                return;
            }
            std::thread::sleep(BETWEEN);
        }
    }

    fn write_objects(&mut self) {
        let path = format!("/ingest/k8s?cluster={CLUSTER}");
        for version in 1_u64.. {
            let name = format!("object-{}", self.dice.random_range(0..OBJECTS));
            let gone = self.dice.random_bool(0.15);
            let object = object(&name, version, gone);
            let state = if gone { String::new() } else { version.to_string() };
            loop {
                let ticket = self.world.oracle().set(&name, &state, 1);
                let sent = self.post(&path, &[("content-type", "application/json")], object.as_bytes());
                let (ending, answer) = sent.unwrap_or((Ending::Refused, Value::Null));
                self.world.end(&ticket, ending);
                if ending == Ending::Acked {
                    if let Some(seq) = answer["seq"].as_u64().filter(|_| version % MOMENT_EVERY == 0) {
                        self.remember(seq);
                    }
                    break;
                }
                if self.world.stopped() {
                    return;
                }
                self.world.retried.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(RETRY_AFTER);
            }
            std::thread::sleep(BETWEEN);
        }
    }

    /// Only this client writes objects, so their state at its newest place in the log is decided for good.
    fn remember(&mut self, seq: u64) {
        let sql = format!("SELECT name, resource_version FROM as_of('k8s_object', {seq}) ORDER BY name");
        let answer = self.http.as_mut().and_then(|(_, http)| http.try_ask(&sql).ok()?.ok());
        if let Some(answer) = answer {
            let mark = self.world.mark();
            self.world.oracle().remember(sql, answer.rows, mark);
        }
    }

    /// The same file again and again, each time with other rows that replace the former.
    fn load_costs(&mut self) {
        for generation in 1_u64.. {
            let state = format!("generation-{generation}");
            std::fs::write(&self.cost_file, cost_file(&state)).expect("the cost file can be written");
            loop {
                let Some(door) = self.door() else { return };
                let ticket = self.world.oracle().set(COST_SET, &state, COST_ROWS);
                let ending = load(&door.data, &self.cost_file);
                self.world.end(&ticket, ending);
                if ending == Ending::Acked {
                    break;
                }
                self.world.retried.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(RETRY_AFTER);
            }
            std::thread::sleep(BETWEEN_LOADS);
        }
    }
}

/// One OTLP request: its records carry the request's name, and are numbered by their severity.
/// Their time is the run's, so that the same name has the same bytes.
pub fn logs(name: &str) -> Vec<u8> {
    static BEGUN_NS: OnceLock<u64> = OnceLock::new();
    let records = (1..=RECORDS).map(|record| (name.to_owned(), i32::try_from(record).expect("a severity")));
    log_records(*BEGUN_NS.get_or_init(now_ns), SERVICE, records)
}

/// A service-hook event: its id and its body.
pub fn event(number: u64) -> (String, String) {
    let id = format!("00000000-0000-4000-8000-{number:012}");
    let body = json!({
        "id": id, "eventType": "build.complete", "publisherId": "tfs", "createdDate": "2026-11-24T00:00:00Z",
        "resource": {"id": number, "buildNumber": format!("{number}"), "status": "succeeded"},
    });
    (id, body.to_string())
}

/// An object of the cluster, or the end of one, as a watch tells it.
fn object(name: &str, version: u64, gone: bool) -> String {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", "resourceVersion": version.to_string()},
        "data": {"text": "x".repeat(200)},
    });
    let kind = if gone { "DELETED" } else { "MODIFIED" };
    json!({"type": kind, "object": object}).to_string()
}

/// A FOCUS file whose rows name their generation; made of a real one's first row.
fn cost_file(generation: &str) -> String {
    const FOCUS: &str = include_str!("../fixtures/cost/focus_1.2_synthetic_80.csv");
    let mut lines = FOCUS.lines();
    let (header, row) = (lines.next().expect("a header"), lines.next().expect("a row"));
    let at = header.split(',').position(|name| name == "SkuId").expect("FOCUS has SKUs");
    let sku = row.split(',').nth(at).expect("the row has a SKU").to_owned();
    let row = row.replace(&sku, generation);
    let rows = (0..COST_ROWS).map(|_| format!("{row}\n")).collect::<String>();
    format!("{header}\n{rows}")
}

/// Loads a cost file through the operator's socket. A refused run may have replaced the rows all the same: they and the
/// register are two commits, and the answer is about both.
fn load(data: &std::path::Path, file: &std::path::Path) -> Ending {
    let wish = json!({"kind": "cost", "path": file}).to_string();
    let request = format!(
        "POST /control/ingest HTTP/1.1\r\nhost: control\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{wish}",
        wish.len()
    );
    let exchange = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(data.join("control.sock"))?;
        stream.set_read_timeout(Some(LOAD_TIME_MAX))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    match exchange() {
        Ok(answer) if answer.contains("{\"summary\":") => Ending::Acked,
        _ => Ending::Unknown,
    }
}
