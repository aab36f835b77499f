//! Log lines on stderr. RUST_LOG chooses; without it the server says what it does and commands only what is wrong.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The server's default: our own rooms at `info`, the libraries under the store at `warn`.
const SERVER: &str = "warn,engine=info,ledger=info,ingest=info,index=info,jobs=info,serve=info";
const COMMAND: &str = "error,engine=warn,ledger=warn,ingest=warn,serve=warn";

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging for this process.
pub fn start(format: LogFormat, server: bool) {
    let default = if server { SERVER } else { COMMAND };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        eprintln!("stellwerk: logging did not start: {error}");
    }
}
