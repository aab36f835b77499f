//! The two databases behind one face: how each is opened, how a statement runs on it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor, IntoArguments, PgPool, SqlSafeStr, SqlStr, SqlitePool};

use super::cells::{Driver, Row};
use super::fault::fault;
use super::migrate::migrate;
use crate::error::{Error, Result};
use crate::rows::Value;

/// How long a writer of SQLite waits for another process (a backup, a shell) before the call is refused.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call waits for a connection before it is refused with a retry time.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// SQLite's readers; beyond this they wait.
const SQLITE_READERS_MAX: u32 = 4;
/// Connections to PostgreSQL of one process.
const POSTGRES_CONNECTIONS_MAX: u32 = 10;
/// Key of PostgreSQL's advisory lock around migrations: "stellwrk" in ASCII.
const MIGRATION_LOCK: i64 = 0x7374_656c_6c77_726b;

/// An open database; clones share its pools.
#[derive(Debug, Clone)]
pub(super) enum Database {
    /// One connection writes, a few read: SQLite has one writer, and a queue in the pool is fairer than its busy loop.
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    /// One pool for both.
    Postgres(PgPool),
}

/// An open transaction of either.
pub(super) enum Open {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Database {
    /// Opens or creates the SQLite file at `path` and brings its schema up to date.
    pub(super) async fn sqlite(path: &Path) -> Result<Self> {
        let opening = "open the state database";
        // Created by us, so that neither it nor the files SQLite puts beside it can be read by others.
        let created = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        created.map_err(|e| Error::unavailable(opening, e))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let pool = || SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).idle_timeout(None).max_lifetime(None);
        let writer = pool().max_connections(1).connect_with(options.clone()).await.map_err(|e| fault(opening, e))?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(|e| fault(opening, e))?;
        migrate(&mut *transaction).await?;
        transaction.commit().await.map_err(|e| fault(opening, e))?;
        let options = options.pragma("query_only", "on");
        let readers = pool().max_connections(SQLITE_READERS_MAX).connect_with(options).await;
        Ok(Database::Sqlite { writer, readers: readers.map_err(|e| fault(opening, e))? })
    }

    /// Connects to PostgreSQL and brings its schema up to date; processes that start together do so one after another.
    pub(super) async fn postgres(url: &str) -> Result<Self> {
        let opening = "open the state database on PostgreSQL";
        let options = PgConnectOptions::from_str(url).map_err(|e| fault(opening, e))?.application_name("stellwerk");
        // A connection of its own: a pool would hide why the server cannot be reached behind its time-out.
        let connect = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await;
        let mut connection = connect.map_err(|e| Error::unavailable(opening, e))?.map_err(|e| fault(opening, e))?;
        let mut transaction = connection.begin().await.map_err(|e| fault(opening, e))?;
        let setting = "SELECT current_setting('synchronous_commit') || '/' || current_setting('fsync')";
        let setting: String =
            sqlx::query_scalar(setting).fetch_one(&mut *transaction).await.map_err(|e| fault(opening, e))?;
        if setting.starts_with("off/") || setting.ends_with("/off") {
            return Err(Error::invalid(format!(
                "{opening}: the server acknowledges before a commit is durable (synchronous_commit/fsync = {setting}); turn both on"
            )));
        }
        let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK);
        lock.execute(&mut *transaction).await.map_err(|e| fault(opening, e))?;
        migrate(&mut *transaction).await?;
        transaction.commit().await.map_err(|e| fault(opening, e))?;
        connection.close().await.map_err(|e| fault(opening, e))?;
        let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS_MAX).acquire_timeout(ACQUIRE_TIMEOUT);
        Ok(Database::Postgres(pool.connect_lazy_with(options)))
    }

    /// Runs a writing statement; the answer is the number of rows it changed.
    pub(super) async fn execute(&self, sql: impl SqlSafeStr, values: &[Value]) -> Result<u64> {
        match self {
            Database::Sqlite { writer, .. } => execute(writer, sql.into_sql_str(), values).await,
            Database::Postgres(pool) => execute(pool, sql.into_sql_str(), values).await,
        }
    }

    /// Runs a reading statement, or with `writes` one with RETURNING, and hands each row to `take`.
    pub(super) async fn each(
        &self,
        writes: bool,
        sql: impl SqlSafeStr,
        values: &[Value],
        take: &mut (dyn FnMut(Row) -> Result<()> + Send),
    ) -> Result<()> {
        match self {
            Database::Sqlite { writer, .. } if writes => each(writer, sql.into_sql_str(), values, take).await,
            Database::Sqlite { readers, .. } => each(readers, sql.into_sql_str(), values, take).await,
            Database::Postgres(pool) => each(pool, sql.into_sql_str(), values, take).await,
        }
    }

    /// Begins a writing transaction. SQLite takes its write lock at once, so that a transaction never fails half-way
    /// because another one wrote first.
    pub(super) async fn begin(&self) -> Result<Open> {
        let doing = "begin a transaction in the state database";
        Ok(match self {
            Database::Sqlite { writer, .. } => {
                Open::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await.map_err(|e| fault(doing, e))?)
            }
            Database::Postgres(pool) => Open::Postgres(pool.begin().await.map_err(|e| fault(doing, e))?),
        })
    }

    /// Begins a transaction that sees the database as it is now, and only reads; says how long the audit log is in it.
    pub(super) async fn begin_reading(&self) -> Result<(Open, i64)> {
        let doing = "begin to read the state database";
        let mut open = match self {
            Database::Sqlite { readers, .. } => {
                Open::Sqlite(readers.begin_with("BEGIN").await.map_err(|e| fault(doing, e))?)
            }
            Database::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Open::Postgres(pool.begin_with(begin).await.map_err(|e| fault(doing, e))?)
            }
        };
        // Neither database takes its snapshot before the first look.
        let mut log_rows = 0;
        open.each("SELECT size FROM audit_head", &[], &mut |row| Ok(log_rows = row.get("size")?)).await?;
        Ok((open, log_rows))
    }

    /// Waits for running calls and closes every connection; SQLite's log is folded into its file.
    pub(super) async fn close(&self) {
        match self {
            Database::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Database::Postgres(pool) => pool.close().await,
        }
    }
}

impl Open {
    pub(super) async fn execute(&mut self, sql: impl SqlSafeStr, values: &[Value]) -> Result<u64> {
        match self {
            Open::Sqlite(open) => execute(&mut **open, sql.into_sql_str(), values).await,
            Open::Postgres(open) => execute(&mut **open, sql.into_sql_str(), values).await,
        }
    }

    pub(super) async fn each(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value],
        take: &mut (dyn FnMut(Row) -> Result<()> + Send),
    ) -> Result<()> {
        match self {
            Open::Sqlite(open) => each(&mut **open, sql.into_sql_str(), values, take).await,
            Open::Postgres(open) => each(&mut **open, sql.into_sql_str(), values, take).await,
        }
    }

    pub(super) async fn commit(self) -> Result<()> {
        let committed = match self {
            Open::Sqlite(open) => open.commit().await,
            Open::Postgres(open) => open.commit().await,
        };
        committed.map_err(|e| fault("commit to the state database", e))
    }
}

async fn execute<'c, D, E>(executor: E, sql: SqlStr, values: &[Value]) -> Result<u64>
where
    D: Driver,
    D::Arguments: IntoArguments<D>,
    E: Executor<'c, Database = D>,
{
    let arguments = D::arguments(values).map_err(|e| fault("bind a value", sqlx::Error::Encode(e)))?;
    let result = sqlx::query_with(sql, arguments).execute(executor).await;
    result.map(|result| D::affected(&result)).map_err(|e| fault("write to the state database", e))
}

async fn each<'c, D, E>(
    executor: E,
    sql: SqlStr,
    values: &[Value],
    take: &mut (dyn FnMut(Row) -> Result<()> + Send),
) -> Result<()>
where
    D: Driver,
    D::Arguments: IntoArguments<D>,
    E: Executor<'c, Database = D>,
{
    let arguments = D::arguments(values).map_err(|e| fault("bind a value", sqlx::Error::Encode(e)))?;
    let mut rows = sqlx::query_with(sql, arguments).fetch(executor);
    let mut columns: Option<Arc<[String]>> = None;
    while let Some(row) = rows.try_next().await.map_err(|e| fault("read the state database", e))? {
        take(Row::of::<D>(&row, &mut columns).map_err(|e| fault("read the state database", e))?)?;
    }
    Ok(())
}
