//! State: what must change atomically. One face over SQLite (`state.db` in the data directory) or PostgreSQL (by URL).
//!
//! The SQL is portable: `$1` placeholders, TEXT, BIGINT and BOOLEAN columns, instants as microseconds since 1970,
//! `INSERT … ON CONFLICT … RETURNING`. SQLite runs one writing transaction at a time, PostgreSQL many at READ COMMITTED:
//! a transaction that decides by what it read must lock it first (`UPDATE … SET x = x WHERE …`) or decide in the
//! writing statement itself.

mod cells;
mod database;
mod dump;
mod fault;
mod lease;
mod migrate;
mod read;
mod scrub;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::SqlSafeStr;

use crate::error::{Error, Kind, Result};
use crate::ports::{NoRedaction, Redactor};
use crate::rows::Value;
use crate::settings::Settings;
use database::{Database, Open};

pub use cells::{Cell, Row};
pub use dump::{Dumped, Line, Part, Snapshot};
pub use lease::Lease;
pub use read::READ_ROWS_MAX;
pub use scrub::{Scrubbed, StateSeen, Tenants};
pub use table::{LEASE, StateTable};

/// Name of the SQLite file in the data directory.
pub const FILE: &str = "state.db";

/// The state database. A clone is the same database over the same connections.
#[derive(Debug, Clone)]
pub struct State {
    database: Database,
    redactor: Arc<dyn Redactor>,
    /// See [`State::lose_answers`].
    lost: Arc<AtomicU32>,
}

impl State {
    /// Opens the state database that the settings name, creates it if it is not there, and brings its schema up to date.
    /// A SQLite file belongs to the owner of its data directory; a PostgreSQL database is shared by many processes.
    pub async fn open(settings: &Settings) -> Result<State> {
        let database = match settings.state.as_deref() {
            None => Database::sqlite(&settings.data.join(FILE)).await?,
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Database::postgres(url).await?
            }
            Some(url) => {
                // Only the scheme is repeated: the rest may hold a password.
                let scheme = url.split_once("://").map_or("no scheme", |(scheme, _)| scheme);
                return Err(Error::invalid(format!(
                    "open the state database: {scheme} is not supported, use postgres:// or leave it out for SQLite"
                )));
            }
        };
        Ok(State { database, redactor: Arc::new(NoRedaction), lost: Arc::default() })
    }

    /// The same with what takes secrets and personal data out of texts. Whoever writes a text of somebody else asks it first.
    pub fn with_redactor(self, redactor: Arc<dyn Redactor>) -> State {
        State { redactor, ..self }
    }

    /// What texts of others pass before they are written here.
    pub fn redactor(&self) -> &Arc<dyn Redactor> {
        &self.redactor
    }

    /// For trials: so many transactions that commit from now on are durable, and whoever asked is told `Unavailable`, as where
    /// a connection breaks behind a commit.
    pub fn lose_answers(&self, count: u32) {
        self.lost.store(count, Ordering::SeqCst);
    }

    /// Runs one writing statement, durable when this returns; the answer is the number of rows it changed.
    pub async fn execute(&self, sql: impl SqlSafeStr, values: &[Value]) -> Result<u64> {
        self.database.execute(sql, values).await
    }

    /// Runs one writing statement with RETURNING, durable when this returns.
    pub async fn write_returning(&self, sql: impl SqlSafeStr, values: &[Value]) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        self.database.each(true, sql, values, &mut |row| Ok(rows.push(row))).await?;
        Ok(rows)
    }

    /// Runs one SELECT. The caller bounds its rows.
    pub async fn fetch(&self, sql: impl SqlSafeStr, values: &[Value]) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        self.database.each(false, sql, values, &mut |row| Ok(rows.push(row))).await?;
        Ok(rows)
    }

    /// Begins a writing transaction. Dropped without `commit`, it changed nothing.
    pub async fn transaction(&self) -> Result<Transaction> {
        let open = self.database.begin().await?;
        let (redactor, lost) = (Arc::clone(&self.redactor), Arc::clone(&self.lost));
        Ok(Transaction { open, failed: false, redactor, lost })
    }

    /// Waits for running calls and closes the database; later calls fail with `Unavailable`.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

/// Statements that happen together or not at all.
pub struct Transaction {
    open: Open,
    /// Whether a statement failed. PostgreSQL would answer a commit then as if it were one, and SQLite keep the rest.
    failed: bool,
    redactor: Arc<dyn Redactor>,
    lost: Arc<AtomicU32>,
}

impl Transaction {
    /// What texts of others pass before they are written here.
    pub fn redactor(&self) -> Arc<dyn Redactor> {
        Arc::clone(&self.redactor)
    }

    /// Runs one writing statement; the answer is the number of rows it changed.
    pub async fn execute(&mut self, sql: impl SqlSafeStr, values: &[Value]) -> Result<u64> {
        self.open.execute(sql, values).await.inspect_err(|_| self.failed = true)
    }

    /// Runs one statement that answers with rows: a SELECT, or a write with RETURNING.
    pub async fn fetch(&mut self, sql: impl SqlSafeStr, values: &[Value]) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let read = self.open.each(sql, values, &mut |row| Ok(rows.push(row))).await;
        read.inspect_err(|_| self.failed = true)?;
        Ok(rows)
    }

    /// Makes the statements durable: all of them, or none where one failed, whatever became of its error.
    pub async fn commit(self) -> Result<()> {
        match self.failed {
            true => {
                Err(Error::new(Kind::Internal, "commit to the state database: a statement failed, nothing is written"))
            }
            false => self.open.commit().await,
        }?;
        match self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(Error::new(Kind::Unavailable, "commit to the state database: the connection broke")),
            Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
