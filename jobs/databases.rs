//! Databases for tests: SQLite always, PostgreSQL where it is installed.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};
use std::sync::Arc;

use engine::{Settings, State as Database};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/services/postgres.sh");

/// A PostgreSQL of one test.
pub struct Postgres {
    home: tempfile::TempDir,
    url: String,
}

impl Postgres {
    /// `None` where it is not installed, which is said.
    pub fn start(what: &str) -> Option<Postgres> {
        let home = tempfile::tempdir().unwrap();
        let started = script("start", &home);
        if started.status.code() == Some(77) {
            eprintln!("\n!!! SKIPPED: {what} on PostgreSQL: {}", String::from_utf8_lossy(&started.stderr));
            return None;
        }
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let url = String::from_utf8(started.stdout).unwrap().lines().last().unwrap().to_owned();
        Some(Postgres { home, url })
    }

    pub async fn open(&self) -> Arc<Database> {
        let settings = Settings { state: Some(self.url.clone()), ..Settings::new(self.home.path()) };
        Arc::new(Database::open(&settings).await.unwrap())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        script("stop", &self.home);
    }
}

fn script(word: &str, home: &tempfile::TempDir) -> Output {
    Command::new(SCRIPT).arg(word).arg(home.path()).output().unwrap()
}

/// A SQLite in a folder of its own.
pub async fn sqlite() -> (tempfile::TempDir, Arc<Database>) {
    let data = tempfile::tempdir().unwrap();
    let state = Arc::new(Database::open(&Settings::new(data.path())).await.unwrap());
    (data, state)
}
