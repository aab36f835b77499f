//! Which store a command means, and how it is opened: options that every such command shares.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use engine::{Settings, WalPlace};

/// Which store, and how it is opened.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Store (where a server runs over DIR, its own settings hold)")]
pub struct Place {
    /// Data directory: log, state database, spill files, control socket; the tables too, unless --store says otherwise.
    #[arg(long, value_name = "DIR", env = "STELLWERK_DATA")]
    pub data: PathBuf,
    /// URL of the tables: s3://bucket/prefix (MinIO too), az://container/prefix, gs://bucket/prefix, file:///path.
    #[arg(long, value_name = "URL", env = "STELLWERK_STORE")]
    store: Option<String>,
    /// Option of the object store, as object_store names it: aws_endpoint=http://127.0.0.1:9000, allow_http=true. Repeat it, or
    /// separate by commas.
    #[arg(long, value_name = "K=V", env = "STELLWERK_STORE_OPTIONS", value_delimiter = ',', value_parser = pair, hide_env_values = true)]
    store_option: Vec<(String, String)>,
    /// Where the write-ahead log lives: under DIR, or as objects beside the tables.
    #[arg(long, value_enum, default_value = "local", env = "STELLWERK_WAL")]
    wal: Wal,
    /// URL of the state database, postgres://…; without it, SQLite under DIR.
    #[arg(long, value_name = "URL", env = "STELLWERK_STATE", hide_env_values = true)]
    state: Option<String>,
    /// Flush a table when its oldest row in memory is this old: 500ms, 30s, 5m.
    #[arg(long, value_name = "TIME", default_value = "30s", env = "STELLWERK_FLUSH_AFTER", value_parser = duration)]
    flush_after: Duration,
    /// Flush a table when it holds this many rows in memory.
    #[arg(long, value_name = "ROWS", default_value_t = 131_072, env = "STELLWERK_FLUSH_ROWS")]
    flush_rows: usize,
    /// Memory of everything together: 512MiB, 4GiB. Beyond it questions spill to disk and writers are told to come back.
    #[arg(long, value_name = "SIZE", default_value = "512MiB", env = "STELLWERK_MEMORY", value_parser = bytes)]
    memory: usize,
    /// How long superseded rows stay readable by as_of(): 12h, 7d.
    #[arg(long, value_name = "TIME", default_value = "7d", env = "STELLWERK_AS_OF_HORIZON", value_parser = duration)]
    as_of_horizon: Duration,
    /// Rules of redaction by table and column (YAML): mask, hash, drop or keep.
    #[arg(long, value_name = "FILE", env = "STELLWERK_REDACTION")]
    redaction: Option<PathBuf>,
    /// How long rows are kept, by table, signal and tenant (YAML); without it, as the tables declare it.
    #[arg(long, value_name = "FILE", env = "STELLWERK_RETENTION")]
    retention: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wal {
    Local,
    Store,
}

impl Place {
    /// The settings that these options mean.
    pub fn settings(&self) -> Settings {
        Settings {
            store: self.store.clone(),
            store_options: self.store_option.clone(),
            wal: if self.wal == Wal::Store { WalPlace::Store } else { WalPlace::Local },
            state: self.state.clone(),
            flush_rows: self.flush_rows,
            flush_after: self.flush_after,
            memory_bytes_max: self.memory,
            as_of_horizon: self.as_of_horizon,
            redaction: self.redaction.clone(),
            retention: self.retention.clone(),
            ..Settings::new(&self.data)
        }
    }
}

/// An option of an object store.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("an option is K=V")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// A span of time; a number without a unit is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    text.trim().parse().map(Duration::from_secs).or_else(|_| engine::parse_span(text))
}

fn bytes(text: &str) -> Result<usize, String> {
    let (number, unit) = split(text);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "kib" | "k" => 10,
        "mib" | "m" => 20,
        "gib" | "g" => 30,
        _ => return Err("a size is a number with B, KiB, MiB or GiB".to_owned()),
    };
    let number: usize = number.parse().map_err(|_| "a size is a whole number with B, KiB, MiB or GiB")?;
    number.checked_mul(1 << shift).ok_or_else(|| "more than this machine can address".to_owned())
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..at], text[at..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert!(duration("soon").is_err() && duration("-1s").is_err());
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("4096"), Ok(4096));
        assert!(bytes("1TB").is_err() && bytes("99999999999GiB").is_err());
    }
}
