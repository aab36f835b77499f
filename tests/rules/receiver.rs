//! A web hook's receiver: remembers what it was told, and can be slow and broken, and take a message whose answer is lost.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

#[derive(Debug, Clone)]
struct Told {
    path: String,
    text: String,
    key: String,
    signature: String,
    body: Vec<u8>,
    mark: u64,
}

/// A message that was taken.
#[derive(Debug, Clone)]
pub struct Call {
    pub path: String,
    pub text: String,
    /// The name of its job.
    pub key: String,
    pub body: serde_json::Value,
    /// Where the journal of [`Receiver::mark_by`] ended when it came.
    pub mark: u64,
}

#[derive(Debug, Default)]
struct Heard {
    told: Vec<Told>,
    wait: Duration,
    errors_left: usize,
    lose_every: usize,
    journal: Option<PathBuf>,
}

/// Listens on a free port of this machine until it is dropped with the process.
pub struct Receiver {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

impl Receiver {
    pub fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Arc::<Mutex<Heard>>::default());
        let hearing = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let hearing = Arc::clone(&hearing);
                std::thread::spawn(move || while answer(&stream, &hearing).is_some() {});
            }
        });
        Receiver { address, heard }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on each answer takes this long, and the first ones are errors.
    pub fn slow(&self, wait: Duration, errors: usize) {
        let mut heard = self.heard.lock().unwrap();
        (heard.wait, heard.errors_left) = (wait, errors);
    }

    /// From now on the answer to every so many messages that are taken is lost.
    pub fn lose(&self, every: usize) {
        self.heard.lock().unwrap().lose_every = every;
    }

    /// From now on each message is remembered with where this file ended when it came.
    pub fn mark_by(&self, journal: PathBuf) {
        self.heard.lock().unwrap().journal = Some(journal);
    }

    /// Everything that was taken, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.calls_since(0)
    }

    /// The same without the first ones.
    pub fn calls_since(&self, first: usize) -> Vec<Call> {
        let heard = self.heard.lock().unwrap();
        let call = |told: &Told| Call {
            path: told.path.clone(),
            text: told.text.clone(),
            key: told.key.clone(),
            body: serde_json::from_slice(&told.body).unwrap(),
            mark: told.mark,
        };
        heard.told.iter().skip(first).map(call).collect()
    }

    /// The messages that were taken, in order.
    pub fn texts(&self) -> Vec<String> {
        self.heard.lock().unwrap().told.iter().map(|told| told.text.clone()).collect()
    }

    /// What was sent to a path, in order.
    pub fn bodies(&self, path: &str) -> Vec<serde_json::Value> {
        let heard = self.heard.lock().unwrap();
        let of = heard.told.iter().filter(|told| told.path == path);
        of.map(|told| serde_json::from_slice(&told.body).unwrap()).collect()
    }

    /// The names of the jobs whose messages were taken.
    pub fn keys(&self) -> BTreeSet<String> {
        self.heard.lock().unwrap().told.iter().map(|told| told.key.clone()).collect()
    }

    /// Whether every message carries the HMAC of its body.
    pub fn signed(&self, secret: &[u8]) -> bool {
        self.heard
            .lock()
            .unwrap()
            .told
            .iter()
            .all(|told| told.signature == format!("sha256={}", hmac(secret, &told.body)))
    }
}

/// One request of a connection; `None` at its end.
fn answer(stream: &TcpStream, heard: &Mutex<Heard>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut key, mut signature, mut line) = (0, String::new(), String::new(), String::new());
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let path = line.split(' ').nth(1)?.to_owned();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        let value = value.trim().to_owned();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "idempotency-key" => key = value,
            "x-stellwerk-signature-256" => signature = value,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let wait = heard.lock().unwrap().wait;
    std::thread::sleep(wait);
    let mut heard = heard.lock().unwrap();
    let status = if heard.errors_left > 0 { "503 Service Unavailable" } else { "200 OK" };
    match heard.errors_left {
        0 => {
            let document: serde_json::Value = serde_json::from_slice(&body).ok()?;
            let text = document["text"].as_str().unwrap_or_default().to_owned();
            let mark =
                heard.journal.as_ref().and_then(|journal| std::fs::metadata(journal).ok()).map_or(0, |of| of.len());
            heard.told.push(Told { path, text, key, signature, body, mark });
            if heard.lose_every > 0 && heard.told.len() % heard.lose_every == 0 {
                return None;
            }
        }
        _ => heard.errors_left -= 1,
    }
    drop(heard);
    let mut out = stream;
    out.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).ok()
}

/// HMAC-SHA256 in hex, as RFC 2104 has it; written here so that the test does not believe the library.
pub fn hmac(secret: &[u8], body: &[u8]) -> String {
    let mut key = [0_u8; 64];
    key[..secret.len()].copy_from_slice(secret);
    let with = |pad: u8, text: &[u8]| {
        let key = key.map(|byte| byte ^ pad);
        Sha256::new().chain_update(key).chain_update(text).finalize()
    };
    hex::encode(with(0x5c, &with(0x36, body)))
}
