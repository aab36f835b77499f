//! How a store is opened. Everything has a default that suits a laptop; nothing is read from the environment here.

use std::path::PathBuf;
use std::time::Duration;

/// Where the write-ahead log lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WalPlace {
    /// Segments under the data directory, one fdatasync for all that wait.
    #[default]
    Local,
    /// Segments as objects beside the tables, one conditional PUT for all that wait; no local disk is trusted.
    Store,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Data directory: WAL, state database, spill files, owner lock, control socket.
    pub data: PathBuf,
    /// URL of the tables (`s3://bucket/prefix`, `az://…`, `gs://…`); `None` is `tables/` under the data directory.
    pub store: Option<String>,
    /// Options of the object store (`aws_access_key_id`, `aws_endpoint`, `allow_http` …), as object_store names them.
    pub store_options: Vec<(String, String)>,
    /// Where the write-ahead log lives.
    pub wal: WalPlace,
    /// URL of the state database (`postgres://…`); `None` is `state.db` (SQLite) under the data directory.
    pub state: Option<String>,
    /// A table is flushed when its tail holds this many rows.
    pub flush_rows: usize,
    /// A table is flushed when its oldest tail row is this old.
    pub flush_after: Duration,
    /// Memory of everything together: what waits for the log, tails, questions, maintenance, Lance's caches. Beyond it
    /// questions spill to disk and frames are refused with `Overloaded`.
    pub memory_bytes_max: usize,
    /// How long superseded rows stay readable by `as_of`.
    pub as_of_horizon: Duration,
    /// File of the redactor's rules; whoever fills the port reads it.
    pub redaction: Option<PathBuf>,
    /// File of the rules of retention; whoever fills the port reads it.
    pub retention: Option<PathBuf>,
}

impl Settings {
    /// The defaults over one data directory.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Settings {
            data: data.into(),
            store: None,
            store_options: Vec::new(),
            wal: WalPlace::Local,
            state: None,
            flush_rows: 131_072,
            flush_after: Duration::from_secs(30),
            memory_bytes_max: 512 << 20,
            as_of_horizon: Duration::from_secs(7 * 86_400),
            redaction: None,
            retention: None,
        }
    }

    /// Bytes of frames that may wait for the log; more is refused with `Overloaded`.
    pub fn queue_bytes_max(&self) -> usize {
        self.memory_bytes_max / 8
    }

    /// Bytes of tail over all tables; more is refused with `Overloaded`.
    pub fn tail_bytes_max(&self) -> usize {
        self.memory_bytes_max / 2
    }
}
