//! Runs the real binary on a folder of its own and speaks to it over its real doors. Ends only what it started.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;

/// A server must say where it listens within this time; a debug build on a busy machine takes seconds.
const START_TIME_MAX: Duration = Duration::from_secs(90);
const STOP_TIME_MAX: Duration = Duration::from_secs(60);
const REPLY_TIME_MAX: Duration = Duration::from_secs(300);

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_stellwerk");

/// A data directory that outlives the servers which run on it.
pub struct Ground {
    folder: tempfile::TempDir,
}

impl Ground {
    pub fn new() -> Ground {
        Ground { folder: tempfile::Builder::new().prefix("stellwerk-").tempdir().expect("a temporary folder") }
    }

    /// The same on the disk of this folder, for what measures the disk.
    #[allow(dead_code)] // The benches' own.
    pub fn under(folder: &Path) -> Ground {
        Ground { folder: tempfile::Builder::new().prefix("ground-").tempdir_in(folder).expect("a temporary folder") }
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Copies the folder to where nobody removes it; answers the copy.
    pub fn keep(&self) -> PathBuf {
        let copy = self.folder.path().with_extension("kept");
        let copied = Command::new("cp").arg("-a").arg(self.folder.path()).arg(&copy).status();
        assert!(copied.is_ok_and(|status| status.success()), "copy {}", self.folder.path().display());
        copy
    }

    /// A file beside the data directory.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command of the binary on this data directory to its end.
    pub fn run(&self, args: &[&str]) -> Done {
        let mut command = command(args);
        command.arg("--data").arg(self.data());
        Done::of(args, command.stdin(Stdio::null()).output().expect("the binary starts"))
    }

    /// Asks from the command line; CSV without its header.
    pub fn ask(&self, sql: &str) -> Vec<Vec<String>> {
        let done = self.run(&["sql", sql, "--format", "csv"]).ok();
        csv_rows(&done.stdout).split_off(1)
    }
}

/// Runs a command that needs no data directory to its end.
pub fn run(args: &[&str]) -> Done {
    Done::of(args, command(args).stdin(Stdio::null()).output().expect("the binary starts"))
}

/// The binary with these arguments, free of the environment's settings.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("STELLWERK_")) {
        command.env_remove(name);
    }
    // A model that somebody pulled on this machine must not change what a test sees.
    command.env("STELLWERK_EMBEDDER", "none").args(args);
    command
}

/// Rows of a CSV text, header included.
pub fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    reader.records().map(|record| record.expect("valid CSV").iter().map(str::to_owned).collect()).collect()
}

/// A command that ended.
pub struct Done {
    pub what: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    fn of(args: &[&str], output: Output) -> Done {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Done {
            what: args.join(" "),
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The same, if it ended with 0.
    pub fn ok(self) -> Done {
        assert_eq!(self.code, Some(0), "stellwerk {}\n{}\n{}", self.what, self.stdout, self.stderr);
        self
    }
}

/// A running server.
pub struct Server {
    child: Option<Child>,
    lines: Receiver<String>,
    log: PathBuf,
    /// HTTP API, OTLP over HTTP and gRPC, webhooks.
    pub address: SocketAddr,
    /// The bootstrap key.
    pub key: String,
}

impl Server {
    /// Serves `ground` on a free port and waits until it is bound.
    pub fn start(ground: &Ground, args: &[&str]) -> Server {
        match Server::try_start(ground, args) {
            Ok(server) => server,
            Err(why) => panic!("{why}"),
        }
    }

    /// The same, with what the server said when it did not start.
    pub fn try_start(ground: &Ground, args: &[&str]) -> Result<Server, String> {
        Server::spawn(ground, args, &[])
    }

    /// The same, with variables of the environment.
    pub fn spawn(ground: &Ground, args: &[&str], env: &[(&str, &str)]) -> Result<Server, String> {
        let (mut child, log) = Server::launch(ground, args, env);
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server { child: Some(child), lines, log, address: nowhere, key: String::new() };
        server.wait_until_bound()?;
        let key = ground.data().join("bootstrap.key");
        server.key =
            fs::read_to_string(&key).map_err(|cause| format!("read {}: {cause}", key.display()))?.trim().to_owned();
        Ok(server)
    }

    /// The process and its log; nobody waits until it is bound.
    fn launch(ground: &Ground, args: &[&str], env: &[(&str, &str)]) -> (Child, PathBuf) {
        let log = ground.beside("server.log");
        let log_file = fs::File::options().create(true).append(true).open(&log).expect("a log file");
        let mut command = command(&["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(ground.data()).args(args).envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file);
        (command.spawn().expect("the binary starts"), log)
    }

    /// Begins to serve `ground`, and is killed after this time, whether it is bound or not.
    pub fn kill_at_start(ground: &Ground, args: &[&str], after: Duration) {
        let (mut child, _) = Server::launch(ground, args, &[]);
        std::thread::sleep(after);
        let _ = child.kill();
        let _ = child.wait();
    }

    fn wait_until_bound(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        let mut said = Vec::new();
        while self.address.port() == 0 {
            let left = START_TIME_MAX.saturating_sub(begun.elapsed());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    self.kill9();
                    return Err(format!("the server did not start in time: {}\n{}", said.join("\n"), self.log()));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.take().map(|mut child| child.wait().expect("the server ends"));
                    let status = status.map_or_else(String::new, |status| status.to_string());
                    return Err(format!("the server did not start: {status}: {}\n{}", said.join("\n"), self.log()));
                }
            };
            if let Some(address) = address(&line) {
                self.address = address;
            }
            said.push(line);
        }
        Ok(())
    }

    /// The process's id.
    #[allow(dead_code)] // The benches' own.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// What it wrote to stderr, over all starts on this ground.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A connection with the bootstrap key.
    pub fn connect(&self) -> Http {
        Http::new(self.address, &self.key)
    }

    /// Asks over HTTP.
    pub fn sql(&self, sql: &str) -> Answer {
        match self.try_sql(sql) {
            Ok(answer) => answer,
            Err(reply) => panic!("{sql}\n{} {}\n{}", reply.status, reply.text(), self.log()),
        }
    }

    /// The same, with the refusal if it is refused.
    pub fn try_sql(&self, sql: &str) -> Result<Answer, Reply> {
        self.connect().ask(sql)
    }

    /// The first cell of the first row.
    pub fn cell(&self, sql: &str) -> String {
        self.sql(sql).rows.swap_remove(0).swap_remove(0)
    }

    /// How the process ended by itself, if it did; afterwards it counts as stopped.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        let status = self.child.as_mut()?.try_wait().expect("the child can be asked")?;
        self.child = None;
        Some(status)
    }

    /// `kill -9`.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = self
            .child
            .as_ref()
            .and_then(|child| i32::try_from(child.id()).ok())
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(id.expect("the server runs"), signal).expect("the signal is sent");
    }

    /// SIGTERM, then waits for the end: exit code, and how long it took.
    pub fn stop(mut self) -> (Option<i32>, Duration) {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        let mut child = self.child.take().expect("the server runs");
        loop {
            if let Some(status) = child.try_wait().expect("the child can be asked") {
                return (status.code(), begun.elapsed());
            }
            if begun.elapsed() > STOP_TIME_MAX {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the server did not stop within {STOP_TIME_MAX:?}\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// The loopback address that a line names.
fn address(line: &str) -> Option<SocketAddr> {
    let at = line.find("127.0.0.1:")?;
    let rest = &line[at..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
    rest[..end].trim_end_matches([':', '.']).parse().ok()
}

/// An answer as text; NULL is `NULL`.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Answer {
    fn of(document: &Value) -> Answer {
        let list = |name: &str| document[name].as_array().cloned().unwrap_or_default();
        let columns: Vec<String> =
            list("schema").iter().map(|c| c["name"].as_str().unwrap_or_default().to_owned()).collect();
        let cell = |value: &Value| match value {
            Value::Null => "NULL".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let rows: Vec<_> =
            list("rows").iter().map(|row| columns.iter().map(|name| cell(&row[name])).collect()).collect();
        assert_eq!(
            document["row_count"].as_u64(),
            Some(rows.len() as u64),
            "the count proves that the answer is whole"
        );
        Answer { columns, rows }
    }
}

/// What the server replied.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Bytes,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One blocking HTTP/1.1 connection; made again when it broke.
pub struct Http {
    runtime: tokio::runtime::Runtime,
    sender: Option<SendRequest<Full<Bytes>>>,
    address: SocketAddr,
    authorization: String,
}

impl Http {
    pub fn new(address: SocketAddr, key: &str) -> Http {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        Http { runtime, sender: None, address, authorization: format!("Bearer {key}") }
    }

    /// Sends one request; an error is a broken connection, with nothing known about what the server did.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Reply, String> {
        let mut request = hyper::Request::builder().method(method).uri(path).header("host", self.address.to_string());
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.header("authorization", &self.authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a valid request");
        let (sender, address) = (self.sender.take().filter(|sender| !sender.is_closed()), self.address);
        let exchange = async move {
            let mut sender = match sender {
                Some(sender) => sender,
                None => connect(address).await?,
            };
            sender.ready().await.map_err(|cause| cause.to_string())?;
            let (head, body) = sender.send_request(request).await.map_err(|cause| cause.to_string())?.into_parts();
            let body = body.collect().await.map_err(|cause| cause.to_string())?.to_bytes();
            Ok::<_, String>((sender, Reply { status: head.status.as_u16(), body }))
        };
        let timed = async { tokio::time::timeout(REPLY_TIME_MAX, exchange).await };
        let (sender, reply) =
            self.runtime.block_on(timed).map_err(|_| format!("no reply within {REPLY_TIME_MAX:?}"))??;
        self.sender = Some(sender);
        Ok(reply)
    }

    /// The reply to a request whose connection must not break.
    pub fn post(&mut self, path: &str, content_type: &str, body: impl Into<Bytes>) -> Reply {
        self.send("POST", path, &[("content-type", content_type)], body)
            .unwrap_or_else(|why| panic!("POST {path}: {why}"))
    }

    /// `POST /sql`.
    pub fn ask(&mut self, sql: &str) -> Result<Answer, Reply> {
        self.try_ask(sql).unwrap_or_else(|why| panic!("{sql}: {why}"))
    }

    /// The same over a connection that may break.
    pub fn try_ask(&mut self, sql: &str) -> Result<Result<Answer, Reply>, String> {
        let question = serde_json::json!({ "sql": sql }).to_string();
        let reply = self.send("POST", "/sql", &[("content-type", "application/json")], question)?;
        if reply.status != 200 {
            return Ok(Err(reply));
        }
        let document =
            serde_json::from_slice(&reply.body).unwrap_or_else(|cause| panic!("{sql}: {cause}: {}", reply.text()));
        Ok(Ok(Answer::of(&document)))
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = tokio::net::TcpStream::connect(address).await.map_err(|cause| cause.to_string())?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|cause| cause.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}

/// A service that a script under `tests/services` runs in the foreground.
pub struct Service {
    child: Child,
    /// `name value` lines that it printed first.
    pub facts: Vec<(String, String)>,
}

impl Service {
    /// Starts `tests/services/{script}` and reads its first `facts` lines. `None`: it is not installed, and the script said so.
    pub fn start(script: &str, args: &[&Path], facts: usize) -> Option<Service> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services").join(script);
        let mut child = Command::new(path)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script starts");
        let mut reader = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut said = Vec::new();
        while said.len() < facts {
            let mut line = String::new();
            if reader.read_line(&mut line).expect("the script speaks text") == 0 {
                let code = child.wait().expect("the script ends").code();
                assert_eq!(code, Some(77), "tests/services/{script} failed");
                return None;
            }
            let (name, value) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            said.push((name.to_owned(), value.to_owned()));
        }
        std::thread::spawn(move || std::io::copy(&mut reader.take(u64::MAX), &mut std::io::sink()));
        Some(Service { child, facts: said })
    }

    pub fn fact(&self, name: &str) -> &str {
        self.facts.iter().find(|(fact, _)| fact == name).map(|(_, value)| value.as_str()).expect("the script prints it")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says that a test could not run here. Seen in the log of `make test` whatever the verbosity.
pub fn skipped(what: &str, why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "\n!!! SKIPPED: {what}: {why}\n");
}
