//! Who is asked: our server over HTTP, and each peer in a Python process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use super::asked::Rows;
use crate::harness::{self, Http};
use crate::peer::{Process, free_address};

/// One answer and what it took.
pub struct Answered {
    pub rows: Rows,
    /// At the client, until the whole answer was there.
    pub ms: f64,
    /// Ours only: the question's name in `query_log`.
    pub query_id: Option<String>,
}

/// Something that answers SQL.
pub trait Engine {
    /// Name in the question files and on the page.
    fn name(&self) -> &'static str;
    /// Asks; an error says why there is no answer.
    fn ask(&mut self, sql: &str) -> Result<Answered, String>;
    /// The same where only the time counts: the rows may be missing.
    fn time(&mut self, sql: &str) -> Result<Answered, String> {
        self.ask(sql)
    }
}

/// What ours may hold while it answers: the peers take as much as they like, of this machine some ten times as much.
pub const MEMORY_GIB: usize = 2;

/// Our server on a data directory that outlives it.
pub struct Ours {
    http: Http,
    process: Process,
    pub address: std::net::SocketAddr,
    pub key: String,
    /// Answers that are timed come as Arrow, as the peers' do: for answers of many rows.
    pub arrow: bool,
}

impl Ours {
    /// Serves a data directory on a free port, with these further arguments.
    pub fn start(data: &Path, args: &[&str]) -> Result<Ours, String> {
        let address = free_address();
        let mut command = harness::command(&["serve", "--listen", &address.to_string(), "--data"]);
        command.arg(data).arg("--memory").arg(format!("{MEMORY_GIB}GiB")).args(args);
        let log = data.with_extension("log");
        let process = Process::listening("stellwerk", &mut command, &log, address)?;
        let key = data.join("bootstrap.key");
        let key = std::fs::read_to_string(&key).map_err(|cause| format!("{}: {cause}", key.display()))?;
        let key = key.trim().to_owned();
        Ok(Ours { http: Http::new(address, &key), process, address, key, arrow: false })
    }

    pub fn stop(self) {
        self.process.stop();
    }

    /// One question over the open connection, and how long the whole reply took.
    fn post(&mut self, path: &str, sql: &str) -> Result<(bytes::Bytes, f64), String> {
        let begun = Instant::now();
        let reply = self.http.send("POST", path, &[("content-type", "text/plain")], sql.to_owned())?;
        let ms = begun.elapsed().as_secs_f64() * 1e3;
        match reply.status {
            200 => Ok((reply.body, ms)),
            status => Err(format!("{status} {}", reply.text())),
        }
    }
}

impl Engine for Ours {
    fn name(&self) -> &'static str {
        "stellwerk"
    }

    fn ask(&mut self, sql: &str) -> Result<Answered, String> {
        let (body, ms) = self.post("/sql", sql)?;
        let document: Value = serde_json::from_slice(&body).map_err(|cause| cause.to_string())?;
        let query_id = document["query_id"].as_str().map(str::to_owned);
        Ok(Answered { rows: rows(&document), ms, query_id })
    }

    fn time(&mut self, sql: &str) -> Result<Answered, String> {
        if !self.arrow {
            return self.ask(sql);
        }
        let (_, ms) = self.post("/sql?format=arrow", sql)?;
        Ok(Answered { rows: Vec::new(), ms, query_id: None })
    }
}

/// The rows of our JSON answer, in the order of its schema.
fn rows(document: &Value) -> Rows {
    let list = |name: &str| document[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = list("schema").iter().filter_map(|column| column["name"].as_str()).collect();
    list("rows").iter().map(|row| names.iter().map(|name| cell(&row[*name])).collect()).collect()
}

fn cell(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// A peer behind `benches/peers/engine.py`.
pub struct Peer {
    name: &'static str,
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it; what it keeps lies in `folder`.
    pub fn start(name: &'static str, python: &Path, folder: &Path) -> Result<Peer, String> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from).to_string();
        let mut command = Command::new(python);
        command.arg(script("engine.py")).arg(name).arg(folder).arg(threads);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|cause| format!("{name} does not start: {cause}"))?;
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Ok(Peer { name, child, to, from })
    }

    /// Declares a table over Parquet files; an engine with tables of its own fills it, once.
    pub fn table(&mut self, name: &str, files: &[PathBuf], options: Value) -> Result<Value, String> {
        self.tell(json!({"do": "table", "name": name, "files": files, "options": options}))
    }

    /// Runs a statement that has no answer.
    pub fn run(&mut self, sql: &str) -> Result<Value, String> {
        self.tell(json!({"do": "run", "sql": sql}))
    }

    fn tell(&mut self, what: Value) -> Result<Value, String> {
        let gone = |cause: std::io::Error| format!("{cause}: the process has ended");
        let to = self.to.as_mut().expect("open until it is dropped");
        writeln!(to, "{what}").and_then(|()| to.flush()).map_err(gone)?;
        let mut line = String::new();
        self.from.read_line(&mut line).map_err(gone)?;
        let answer: Value = serde_json::from_str(&line).map_err(|_| format!("{} ended: {line}", self.name))?;
        match answer["error"].as_str() {
            Some(why) => Err(why.to_owned()),
            None => Ok(answer),
        }
    }
}

impl Engine for Peer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn ask(&mut self, sql: &str) -> Result<Answered, String> {
        self.answered(json!({"do": "ask", "sql": sql}))
    }

    fn time(&mut self, sql: &str) -> Result<Answered, String> {
        self.answered(json!({"do": "ask", "sql": sql, "rows": false}))
    }
}

impl Peer {
    fn answered(&mut self, what: Value) -> Result<Answered, String> {
        let answer = self.tell(what)?;
        let rows = answer["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
        let rows = rows.iter().map(|row| row.as_array().into_iter().flatten().map(cell).collect()).collect();
        Ok(Answered { rows, ms: answer["ms"].as_f64().unwrap_or(f64::NAN), query_id: None })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The end of its input is the end of the process.
        self.to = None;
        let _ = self.child.wait();
    }
}

/// A script of `benches/peers`.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(name)
}

/// Runs a script to its end; an error holds what it said last.
pub fn run_script(python: &Path, name: &str, args: &[String]) -> Result<String, String> {
    let done = Command::new(python).arg(script(name)).args(args).stdin(Stdio::null()).output();
    let done = done.map_err(|cause| format!("{name} does not start: {cause}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match done.status.success() {
        true => Ok(text(&done.stdout)),
        false => Err(format!("{name}: {}", text(&done.stderr))),
    }
}
