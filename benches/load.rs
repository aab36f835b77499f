//! The load generator: connections that stay open, bodies that were encoded before the clock started, and as little
//! work as possible for each, because it shares the cores with what it measures.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::peer;
use crate::report::percentile;

/// A reply that takes longer ends the run.
const REPLY_TIME_MAX: Duration = Duration::from_secs(60);
/// A sender that was told to come back does so after this, as a patient exporter would.
const PAUSE: Duration = Duration::from_millis(20);
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Where requests go.
#[derive(Debug, Clone)]
pub struct Door {
    pub address: SocketAddr,
    pub path: String,
    /// Header lines, each with its line end.
    pub headers: String,
}

impl Door {
    /// A door that takes protobuf.
    pub fn protobuf(address: SocketAddr, path: &str) -> Door {
        Door { address, path: path.to_owned(), headers: "content-type: application/x-protobuf\r\n".to_owned() }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Door {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }
}

/// One connection that stays open.
pub struct Line {
    stream: TcpStream,
    held: Vec<u8>,
}

impl Line {
    pub fn open(door: &Door) -> Line {
        let stream = TcpStream::connect(door.address).unwrap_or_else(|cause| panic!("{}: {cause}", door.address));
        stream.set_nodelay(true).expect("a connected socket takes options");
        stream.set_read_timeout(Some(REPLY_TIME_MAX)).expect("a connected socket takes options");
        Line { stream, held: Vec::new() }
    }

    /// Sends one body and reads the whole reply: its status and text.
    pub fn post(&mut self, door: &Door, body: &[u8]) -> (u16, Vec<u8>) {
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\n{}content-length: {}\r\n\r\n",
            door.path,
            door.address,
            door.headers,
            body.len()
        );
        self.stream.write_all(head.as_bytes()).and_then(|()| self.stream.write_all(body)).expect("the server reads");
        self.reply()
    }

    fn reply(&mut self) -> (u16, Vec<u8>) {
        let end = loop {
            if let Some(at) = self.held.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.held.len() < HEAD_BYTES_MAX, "a reply without an end of its head");
            self.more();
        };
        let head = String::from_utf8_lossy(&self.held[..end]).to_ascii_lowercase();
        self.held.drain(..end);
        let status =
            head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a reply begins with a status");
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let body = match header("content-length:") {
            Some(length) => self.take(length.parse().expect("a length is a number")),
            None if header("transfer-encoding:").is_some_and(|coding| coding == "chunked") => self.chunks(),
            None => Vec::new(),
        };
        (status, body)
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = self.held.windows(2).position(|two| two == b"\r\n") {
                    break at;
                }
                self.more();
            };
            let size = String::from_utf8_lossy(&self.held[..end]).trim().to_owned();
            self.held.drain(..end + 2);
            let size = usize::from_str_radix(&size, 16).expect("a chunk begins with its size");
            let chunk = self.take(size + 2);
            if size == 0 {
                return body;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    fn take(&mut self, bytes: usize) -> Vec<u8> {
        while self.held.len() < bytes {
            self.more();
        }
        self.held.drain(..bytes).collect()
    }

    fn more(&mut self) {
        let mut block = [0_u8; 16 << 10];
        let read = self.stream.read(&mut block).expect("the server answers in time");
        assert!(read > 0, "the server closed the connection");
        self.held.extend_from_slice(&block[..read]);
    }
}

/// What is sent, and how.
#[derive(Clone)]
pub struct Plan {
    pub door: Door,
    /// Sent in turn, from the first again after the last.
    pub bodies: Arc<Vec<Vec<u8>>>,
    /// Connections; each sends its next request when the last is answered.
    pub clients: usize,
    /// Requests a second over all clients, each due at its time whether or not the server keeps up; none is as fast as
    /// it goes.
    pub pace: Option<f64>,
}

/// What came of it. Only what was acknowledged between `measure` and `stop` counts, except in `sent`.
#[derive(Debug, Clone)]
pub struct Measured {
    pub acks: usize,
    pub refused: usize,
    /// Acknowledged from the start to the end.
    pub sent: usize,
    pub window_s: f64,
    /// Of the server.
    pub cpu_s: f64,
    /// Milliseconds to each ack, sorted. With a pace they count from when the request was due.
    pub ack_ms: Vec<f64>,
}

impl Measured {
    pub fn per_s(&self) -> f64 {
        self.acks as f64 / self.window_s
    }

    pub fn per_cpu_s(&self) -> f64 {
        self.acks as f64 / self.cpu_s.max(0.01)
    }

    pub fn ack_ms(&self, share: f64) -> f64 {
        percentile(&self.ack_ms, share)
    }
}

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const STOPPED: u8 = 2;

struct Shared {
    plan: Plan,
    phase: AtomicU8,
    next: AtomicU64,
    begun: Instant,
}

/// What one client saw.
#[derive(Default)]
struct Seen {
    sent: usize,
    refused: usize,
    ack_ms: Vec<f64>,
}

/// Load that runs until it is stopped.
pub struct Running {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Seen>>,
    server: u32,
    window: Option<(Instant, f64)>,
}

impl Running {
    /// Starts sending to the process `server`; nothing counts yet.
    pub fn start(plan: Plan, server: u32) -> Running {
        assert!(!plan.bodies.is_empty(), "a load without bodies");
        let begun = Instant::now();
        let shared = Arc::new(Shared { phase: AtomicU8::new(WARMING), next: AtomicU64::new(0), begun, plan });
        let client = |_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || client(&shared))
        };
        let clients = (0..shared.plan.clients).map(client).collect();
        Running { shared, clients, server, window: None }
    }

    /// From here on acks count.
    pub fn measure(&mut self) {
        self.window = Some((Instant::now(), peer::cpu_s(self.server)));
        self.shared.phase.store(MEASURING, Ordering::Relaxed);
    }

    /// Every client ends after its running request.
    pub fn stop(self) -> Measured {
        let (begun, cpu_s) = self.window.expect("measured before it is stopped");
        let (cpu_s, window_s) = (peer::cpu_s(self.server) - cpu_s, begun.elapsed().as_secs_f64());
        self.shared.phase.store(STOPPED, Ordering::Relaxed);
        let seen: Vec<Seen> =
            self.clients.into_iter().map(|client| client.join().expect("a client does not panic")).collect();
        let mut ack_ms: Vec<f64> = seen.iter().flat_map(|seen| seen.ack_ms.iter().copied()).collect();
        ack_ms.sort_by(f64::total_cmp);
        let sum = |of: fn(&Seen) -> usize| seen.iter().map(of).sum();
        Measured { acks: ack_ms.len(), refused: sum(|s| s.refused), sent: sum(|s| s.sent), window_s, cpu_s, ack_ms }
    }
}

/// Warms up, measures, stops.
pub fn run(plan: Plan, server: u32, warm: Duration, window: Duration) -> Measured {
    let mut running = Running::start(plan, server);
    std::thread::sleep(warm);
    running.measure();
    std::thread::sleep(window);
    running.stop()
}

fn client(shared: &Shared) -> Seen {
    let plan = &shared.plan;
    let mut line = Line::open(&plan.door);
    let mut seen = Seen::default();
    while shared.phase.load(Ordering::Relaxed) != STOPPED {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let due = plan.pace.map(|pace| shared.begun + Duration::from_secs_f64(number as f64 / pace));
        if let Some(wait) = due.and_then(|due| due.checked_duration_since(Instant::now())) {
            std::thread::sleep(wait);
        }
        let body = &plan.bodies[number as usize % plan.bodies.len()];
        send(shared, &mut line, body, due.unwrap_or_else(Instant::now), &mut seen);
    }
    seen
}

/// Sends one body until it is acknowledged.
fn send(shared: &Shared, line: &mut Line, body: &[u8], begun: Instant, seen: &mut Seen) {
    loop {
        match line.post(&shared.plan.door, body) {
            (200..=299, _) => {
                seen.sent += 1;
                if shared.phase.load(Ordering::Relaxed) == MEASURING {
                    seen.ack_ms.push(begun.elapsed().as_secs_f64() * 1e3);
                }
                return;
            }
            (429 | 503, _) => {
                seen.refused += 1;
                std::thread::sleep(PAUSE);
                if shared.phase.load(Ordering::Relaxed) == STOPPED {
                    return;
                }
            }
            (status, text) => panic!("{}: {status}: {}", shared.plan.door.path, String::from_utf8_lossy(&text)),
        }
    }
}
