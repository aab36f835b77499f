//! A state database for tests, of both kinds: SQLite in a folder, and a real PostgreSQL where there is one.
//! `STELLWERK_TEST_POSTGRES` names a server, else `tests/services/postgres.sh` starts one.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use engine::sqlx::{self, AssertSqlSafe};
use engine::{Clock, Settings};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/services/postgres.sh");

/// A clock that stands until it is turned.
#[derive(Debug)]
pub struct Hand(AtomicI64);

impl Default for Hand {
    fn default() -> Self {
        Hand(AtomicI64::new(1_750_000_000_000_000))
    }
}

impl Clock for Hand {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Hand {
    pub fn turn(&self, by: Duration) {
        self.0.fetch_add(by.as_micros() as i64, Ordering::SeqCst);
    }
}

/// A PostgreSQL that lives as long as this value.
pub struct Postgres {
    url: String,
    home: Option<tempfile::TempDir>,
}

impl Postgres {
    /// `None`, with a line that says so, where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        if let Ok(url) = std::env::var("STELLWERK_TEST_POSTGRES") {
            return Some(Postgres { url, home: None });
        }
        let home = tempfile::tempdir().unwrap();
        let output = Command::new(SCRIPT).arg("start").arg(home.path()).output().unwrap();
        if output.status.code() == Some(77) {
            eprintln!("!!! SKIPPED: PostgreSQL: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let url = String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned();
        Some(Postgres { url, home: Some(home) })
    }

    /// Settings over a fresh database of this server.
    pub async fn settings(&self, data: &Path, name: &str) -> Settings {
        let admin = sqlx::PgPool::connect(&self.url).await.unwrap();
        for sql in [format!("DROP DATABASE IF EXISTS stellwerk_{name}"), format!("CREATE DATABASE stellwerk_{name}")] {
            sqlx::query(AssertSqlSafe(sql)).execute(&admin).await.unwrap();
        }
        let (server, _) = self.url.rsplit_once('/').unwrap();
        Settings { state: Some(format!("{server}/stellwerk_{name}")), ..Settings::new(data) }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            let _ = Command::new(SCRIPT).arg("stop").arg(home.path()).output();
        }
    }
}
