//! A proxy in front of a real object store that fails as networks and stores do. One request a connection: the bytes are
//! passed on as they are, so that signatures hold.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A request's head is not longer.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// A peer that says nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often each failure happens, as shares of one; drawn in this order, at most one a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// Answered with 500 or 503, and not passed on.
    pub error: f64,
    /// The connection is reset before the request is passed on.
    pub reset: f64,
    /// Passed on, and the answer is lost.
    pub answer_lost: f64,
    /// Passed on, and the answer breaks off.
    pub torn: f64,
    /// Passed on after a while.
    pub slow: f64,
    /// The longest while, ms.
    pub slow_ms: u64,
    /// A conditional PUT whose object is there already is answered as if it had been taken.
    pub unconditional: bool,
}

/// A running proxy; it ends with its value.
pub struct Proxy {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    upstream: SocketAddr,
    rates: Mutex<Rates>,
    dice: Mutex<StdRng>,
    stop: AtomicBool,
    failed: AtomicU64,
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Pass,
    Error(&'static str),
    Reset,
    AnswerLost,
    /// The answer breaks off after this share of it.
    Torn(f64),
    Slow(Duration),
}

impl Proxy {
    /// Listens before `upstream`; healthy at first.
    pub fn before(upstream: SocketAddr, seed: u64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let inner = Arc::new(Inner {
            upstream,
            rates: Mutex::default(),
            dice: Mutex::new(StdRng::seed_from_u64(seed)),
            stop: AtomicBool::new(false),
            failed: AtomicU64::new(0),
        });
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.stop.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // A peer that breaks off is what this is for.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Proxy { address, inner }
    }

    /// How it fails from now on.
    pub fn fail(&self, rates: Rates) {
        *self.inner.rates.lock().expect("no connection panics") = rates;
    }

    /// Requests that failed so far.
    pub fn failed(&self) -> u64 {
        self.inner.failed.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.inner.stop.store(true, Ordering::SeqCst);
        // The listener wakes up once more, and sees it.
        drop(TcpStream::connect(self.address));
    }
}

impl Inner {
    fn draw(&self) -> Fate {
        let rates = *self.rates.lock().expect("no connection panics");
        let mut dice = self.dice.lock().expect("no connection panics");
        let mut at = dice.random_range(0.0..1.0);
        let mut hit = |rate: f64| {
            at -= rate;
            at < 0.0
        };
        let fate = if hit(rates.error) {
            let answers = ["500 Internal Server Error", "503 Service Unavailable"];
            Fate::Error(answers[dice.random_range(0..2)])
        } else if hit(rates.reset) {
            Fate::Reset
        } else if hit(rates.answer_lost) {
            Fate::AnswerLost
        } else if hit(rates.torn) {
            Fate::Torn(dice.random_range(0.0..1.0))
        } else if hit(rates.slow) {
            Fate::Slow(Duration::from_millis(dice.random_range(0..=rates.slow_ms)))
        } else {
            Fate::Pass
        };
        if fate != Fate::Pass {
            self.failed.fetch_add(1, Ordering::SeqCst);
        }
        fate
    }

    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        let Some((head, body)) = request(&mut client)? else { return Ok(()) };
        let fate = self.draw();
        match fate {
            Fate::Error(status) => {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                client.write_all(answer.as_bytes())?;
                return client.shutdown(Shutdown::Write);
            }
            Fate::Reset => return Ok(()),
            Fate::Slow(time) => std::thread::sleep(time),
            Fate::Pass | Fate::AnswerLost | Fate::Torn(_) => {}
        }
        let mut answer = self.exchange(&head, &body)?;
        if self.rates.lock().expect("no connection panics").unconditional && answer.starts_with(b"HTTP/1.1 412") {
            answer = b"HTTP/1.1 200 OK\r\netag: \"feigned\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
        }
        match fate {
            Fate::AnswerLost => Ok(()),
            Fate::Torn(share) => client.write_all(&answer[..(answer.len() as f64 * share) as usize]),
            _ => client.write_all(&answer).and_then(|()| client.shutdown(Shutdown::Write)),
        }
    }

    /// Passes a request on over a connection that ends with its answer.
    fn exchange(&self, head: &[u8], body: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut store = TcpStream::connect(self.upstream)?;
        store.set_read_timeout(Some(PATIENCE))?;
        store.write_all(&head[..head.len() - 2])?;
        store.write_all(b"connection: close\r\n\r\n")?;
        store.write_all(body)?;
        let mut answer = Vec::new();
        store.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// A request's head, blank line included, and its body. `None`: the connection ended before one began.
fn request(client: &mut TcpStream) -> std::io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 16 << 10];
    let head_bytes = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        let count = client.read(&mut chunk)?;
        if count == 0 || bytes.len() > HEAD_BYTES_MAX {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk[..count]);
    };
    let head = String::from_utf8_lossy(&bytes[..head_bytes]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    while bytes.len() < head_bytes + length {
        let count = client.read(&mut chunk)?;
        if count == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk[..count]);
    }
    let body = bytes.split_off(head_bytes);
    Ok(Some((bytes, body)))
}
