//! The same suite on SQLite and on a real PostgreSQL: `STELLWERK_TEST_POSTGRES` names a server, else
//! `tests/services/postgres.sh` starts one; where there is none, the half that did not run says so.

#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

use super::*;
use crate::error::Kind;
use crate::scope::Tenants;
use crate::table::{Column, Type};

mod dump;

/// A PostgreSQL that lives as long as this value.
struct Postgres {
    url: String,
    home: Option<tempfile::TempDir>,
}

impl Postgres {
    fn start() -> Option<Self> {
        if let Ok(url) = std::env::var("STELLWERK_TEST_POSTGRES") {
            return Some(Postgres { url, home: None });
        }
        let home = tempfile::tempdir().unwrap();
        let output = Command::new(SCRIPT).arg("start").arg(home.path()).output().unwrap();
        if output.status.code() == Some(77) {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let url = String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned();
        Some(Postgres { url, home: Some(home) })
    }

    /// Settings over a fresh database of this server.
    async fn settings(&self, data: &std::path::Path, name: &'static str) -> Settings {
        let admin = sqlx::PgPool::connect(&self.url).await.unwrap();
        let create = format!("DROP DATABASE IF EXISTS stellwerk_test_{name}");
        sqlx::query(sqlx::AssertSqlSafe(create)).execute(&admin).await.unwrap();
        let create = format!("CREATE DATABASE stellwerk_test_{name}");
        sqlx::query(sqlx::AssertSqlSafe(create)).execute(&admin).await.unwrap();
        let (server, _) = self.url.rsplit_once('/').unwrap();
        Settings { state: Some(format!("{server}/stellwerk_test_{name}")), ..Settings::new(data) }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            let _ = Command::new(SCRIPT).arg("stop").arg(home.path()).output();
        }
    }
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/services/postgres.sh");

async fn suite(settings: Settings) {
    let state = Arc::new(State::open(&settings).await.unwrap());
    cells_round_trip(&state).await;
    faults_have_kinds(&state).await;
    transactions_are_whole(&state).await;
    counters_lose_nothing(&state).await;
    leases_fence(&state).await;
    one_of_many_takes_a_lease(&state).await;
    reads_are_scoped(&state).await;
    declared_columns_are_the_databases(&state, settings.state.is_some()).await;
    state.close().await;
    assert_eq!(state.fetch("SELECT 1 AS one", &[]).await.unwrap_err().kind(), Kind::Unavailable);
    opens_again(&settings).await;
    refuses_what_it_does_not_know(&settings).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    let data = tempfile::tempdir().unwrap();
    suite(Settings::new(data.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    let Some(server) = Postgres::start() else { return };
    let data = tempfile::tempdir().unwrap();
    suite(server.settings(data.path(), "suite").await).await;
    start_together(server.settings(data.path(), "together").await).await;
    let careless = server.settings(data.path(), "careless").await;
    let admin = sqlx::PgPool::connect(&server.url).await.unwrap();
    let off = "ALTER DATABASE stellwerk_test_careless SET synchronous_commit = off";
    sqlx::query(off).execute(&admin).await.unwrap();
    let refused = State::open(&careless).await.unwrap_err();
    assert!(refused.kind() == Kind::Invalid && refused.to_string().contains("synchronous_commit"), "{refused}");
    let absent = Settings { state: Some("postgres://nobody@127.0.0.1:1/none".into()), ..Settings::new(data.path()) };
    assert_eq!(State::open(&absent).await.unwrap_err().kind(), Kind::Unavailable);
}

#[tokio::test]
async fn the_sqlite_file_is_durable_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let data = tempfile::tempdir().unwrap();
    let state = State::open(&Settings::new(data.path())).await.unwrap();
    for file in [FILE.to_owned(), format!("{FILE}-wal"), format!("{FILE}-shm")] {
        let mode = std::fs::metadata(data.path().join(&file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let mut writer = state.transaction().await.unwrap();
    let synchronous = writer.fetch("SELECT synchronous FROM pragma_synchronous", &[]).await.unwrap();
    assert_eq!(synchronous[0].get::<i64>("synchronous").unwrap(), 2, "FULL");
    let mode = writer.fetch("SELECT journal_mode FROM pragma_journal_mode", &[]).await.unwrap();
    assert_eq!(mode[0].get::<String>("journal_mode").unwrap(), "wal");
    // A reader neither waits for an open writer nor writes.
    assert_eq!(state.fetch("SELECT id FROM tenant", &[]).await.unwrap().len(), 0);
    let refused = state
        .fetch("INSERT INTO tenant (id, name, created_at) VALUES ('x', 'x', 1) RETURNING id", &[])
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable, "{refused}");
}

#[tokio::test]
async fn damage_and_wrong_urls_are_told_apart() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join(FILE), vec![7_u8; 8192]).unwrap();
    assert_eq!(State::open(&Settings::new(data.path())).await.unwrap_err().kind(), Kind::Corrupt);
    let wrong = Settings { state: Some("mysql://root:hunter2@db/x".into()), ..Settings::new(data.path()) };
    let refused = State::open(&wrong).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Invalid);
    assert!(refused.to_string().contains("mysql") && !refused.to_string().contains("hunter2"), "{refused}");
    let absent = Settings::new(data.path().join("none"));
    assert_eq!(State::open(&absent).await.unwrap_err().kind(), Kind::Unavailable);
}

async fn cells_round_trip(state: &State) {
    let create = "CREATE TABLE cell (id BIGINT PRIMARY KEY, t TEXT, b BOOLEAN, i BIGINT, f DOUBLE PRECISION, x BYTEA)";
    state.execute(create, &[]).await.unwrap();
    let insert = "INSERT INTO cell (id, t, b, i, f, x) VALUES ($1, $2, $3, $4, $5, $6)";
    let rows = [
        [
            Value::Int(1),
            "Grüße 'quoted' \" \u{1F682}".into(),
            true.into(),
            i64::MIN.into(),
            (-0.5).into(),
            Value::Bytes(vec![0, 255, 1]),
        ],
        [Value::Int(2), "".into(), false.into(), i64::MAX.into(), 3.0.into(), Value::Bytes(vec![])],
        [Value::Int(3), Value::Null, Value::Null, Value::Null, Value::Null, Value::Null],
    ];
    for row in &rows {
        assert_eq!(state.execute(insert, row).await.unwrap(), 1);
    }
    let read = state.fetch("SELECT * FROM cell ORDER BY id", &[]).await.unwrap();
    assert_eq!(read.len(), 3);
    for (row, wanted) in read.iter().zip(&rows) {
        let text: Option<String> = row.get("t").unwrap();
        assert_eq!(Value::from(text), wanted[1]);
        assert_eq!(Value::from(row.get::<Option<bool>>("b").unwrap()), wanted[2]);
        assert_eq!(Value::from(row.get::<Option<i64>>("i").unwrap()), wanted[3]);
        assert_eq!(Value::from(row.get::<Option<f64>>("f").unwrap()), wanted[4]);
        assert_eq!(row.get::<Option<Vec<u8>>>("x").unwrap().map_or(Value::Null, Value::Bytes), wanted[5]);
    }
    assert_eq!(read[0].get::<i64>("t").unwrap_err().kind(), Kind::Internal);
    assert_eq!(read[0].get::<i64>("nothing").unwrap_err().kind(), Kind::Internal);
    let truth = state.fetch("SELECT id FROM cell WHERE b = $1", &[true.into()]).await.unwrap();
    assert_eq!(truth[0].get::<i64>("id").unwrap(), 1);
    let count = state.fetch("SELECT COUNT(*) AS n FROM cell WHERE t = $1", &[Value::Null]).await.unwrap();
    assert_eq!(count[0].get::<i64>("n").unwrap(), 0);
    let refused = state
        .execute(insert, &[Value::Decimal(1), Value::Null, Value::Null, Value::Null, Value::Null, Value::Null])
        .await;
    assert!(refused.unwrap_err().to_string().contains("decimal"));
    state.execute("DROP TABLE cell", &[]).await.unwrap();
}

async fn faults_have_kinds(state: &State) {
    let tenant = "INSERT INTO tenant (id, name, created_at) VALUES ($1, $2, $3)";
    state.execute(tenant, &["twice".into(), "twice".into(), 1.into()]).await.unwrap();
    let key = "INSERT INTO api_key (id, tenant, name, role, hash, created_at) VALUES ($1, $2, 'n', $3, 'h', 1)";
    for (sql, values, wanted) in [
        (tenant, vec!["twice".into(), "x".into(), 1.into()], Kind::Conflict),
        (tenant, vec!["new".into(), Value::Null, 1.into()], Kind::Invalid),
        (key, vec!["k".into(), "nobody".into(), "tenant".into()], Kind::Invalid),
        (key, vec!["k".into(), "twice".into(), "king".into()], Kind::Invalid),
        (key, vec!["k".into(), "twice".into(), "platform".into()], Kind::Invalid),
        (key, vec!["k".into(), Value::Null, "tenant".into()], Kind::Invalid),
        ("SELEKT 1", vec![], Kind::Internal),
        ("UPDATE nowhere SET a = 1", vec![], Kind::Internal),
    ] {
        let refused = state.execute(sql, &values).await.unwrap_err();
        assert_eq!(refused.kind(), wanted, "{refused}");
    }
    state.execute("DELETE FROM tenant", &[]).await.unwrap();
}

async fn transactions_are_whole(state: &State) {
    let insert = "INSERT INTO tenant (id, name, created_at) VALUES ($1, $1, 1)";
    let mut dropped = state.transaction().await.unwrap();
    dropped.execute(insert, &["dropped".into()]).await.unwrap();
    drop(dropped);
    let mut failed = state.transaction().await.unwrap();
    failed.execute(insert, &["failed".into()]).await.unwrap();
    assert!(failed.execute(insert, &["failed".into()]).await.is_err());
    drop(failed);
    let mut silent = state.transaction().await.unwrap();
    silent.execute(insert, &["silent".into()]).await.unwrap();
    assert!(silent.execute(insert, &["silent".into()]).await.is_err());
    let unsaid = silent.commit().await.unwrap_err().to_string();
    assert!(unsaid.contains("a statement failed"), "whoever drops an error commits nothing: {unsaid}");
    let mut kept = state.transaction().await.unwrap();
    kept.execute(insert, &["kept".into()]).await.unwrap();
    let seen = kept.fetch("SELECT id FROM tenant", &[]).await.unwrap();
    assert_eq!(seen.len(), 1, "a transaction sees its own writes");
    assert_eq!(state.fetch("SELECT id FROM tenant", &[]).await.unwrap().len(), 0, "nobody else does");
    kept.commit().await.unwrap();
    let rows = state.fetch("SELECT id FROM tenant", &[]).await.unwrap();
    assert_eq!(rows[0].get::<String>("id").unwrap(), "kept");
    state.execute("DELETE FROM tenant", &[]).await.unwrap();
}

async fn counters_lose_nothing(state: &Arc<State>) {
    state
        .execute("INSERT INTO lease (name, holder, epoch, expires_at) VALUES ('count', 'h', 0, 0)", &[])
        .await
        .unwrap();
    let tasks = (0..8).map(|_| {
        let state = Arc::clone(state);
        tokio::spawn(async move {
            for _ in 0..10 {
                let mut transaction = state.transaction().await.unwrap();
                // The row is locked before it is read, as the module's documentation asks.
                transaction.execute("UPDATE lease SET epoch = epoch WHERE name = 'count'", &[]).await.unwrap();
                let row = transaction.fetch("SELECT epoch FROM lease WHERE name = 'count'", &[]).await.unwrap();
                let next = row[0].get::<i64>("epoch").unwrap() + 1;
                transaction.execute("UPDATE lease SET epoch = $1 WHERE name = 'count'", &[next.into()]).await.unwrap();
                transaction.commit().await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let row = state.fetch("SELECT epoch FROM lease WHERE name = 'count'", &[]).await.unwrap();
    assert_eq!(row[0].get::<i64>("epoch").unwrap(), 80);
    state.execute("DELETE FROM lease", &[]).await.unwrap();
}

async fn leases_fence(state: &State) {
    let ttl = Duration::from_secs(15);
    let second = 1_000_000;
    let first = state.lease("maintain", "a", ttl, 0).await.unwrap().unwrap();
    assert_eq!((first.epoch, first.expires_at_us), (1, 15 * second));
    assert_eq!(state.lease("maintain", "b", ttl, 14 * second).await.unwrap(), None);
    let renewed = state.lease("maintain", "a", ttl, 10 * second).await.unwrap().unwrap();
    assert_eq!((renewed.epoch, renewed.expires_at_us), (1, 25 * second));
    assert_eq!(state.lease("maintain", "b", ttl, 24 * second).await.unwrap(), None);
    let stolen = state.lease("maintain", "b", ttl, 25 * second).await.unwrap().unwrap();
    assert_eq!(stolen.epoch, 2);
    assert_eq!(state.lease("maintain", "a", ttl, 26 * second).await.unwrap(), None);
    state.release(&first).await.unwrap();
    assert_eq!(state.lease("maintain", "a", ttl, 26 * second).await.unwrap(), None, "a late release frees nothing");
    state.release(&stolen).await.unwrap();
    assert_eq!(state.lease("maintain", "a", ttl, 26 * second).await.unwrap().unwrap().epoch, 3);
    assert_eq!(state.lease("other", "b", ttl, 0).await.unwrap().unwrap().epoch, 1);
    state.release_all("b").await.unwrap();
    assert_eq!(state.lease("other", "a", ttl, second).await.unwrap().unwrap().epoch, 2, "who ends gives back");
}

async fn one_of_many_takes_a_lease(state: &Arc<State>) {
    for round in 0..5_i64 {
        let tasks = (0..8).map(|holder| {
            let state = Arc::clone(state);
            let holder = format!("{round}-{holder}");
            tokio::spawn(async move {
                state.lease("race", &holder, Duration::from_secs(1), round * 1_000_000).await.unwrap()
            })
        });
        let mut winners = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            winners.extend(task.await.unwrap());
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(winners[0].epoch, round + 1);
    }
}

static MEMO: StateTable = StateTable {
    name: "memo",
    doc: "For this test.",
    columns: &[
        Column::new("id", Type::Int, "Id.").required(),
        Column::new("owner", Type::Name, "Tenant."),
        Column::new("body", Type::Json, "Body."),
        Column::new("done", Type::Bool, "Done."),
        Column::new("weight", Type::Float, "Weight."),
        Column::new("due_at", Type::Time, "Due."),
        Column::new("raw", Type::Bytes, "Raw."),
    ],
    hidden: &["secret"],
    tenant: Some("owner"),
};

async fn reads_are_scoped(state: &State) {
    let create = "CREATE TABLE memo (id BIGINT PRIMARY KEY, owner TEXT, secret TEXT, body TEXT, done BOOLEAN, weight DOUBLE PRECISION, due_at BIGINT, raw BYTEA)";
    state.execute(create, &[]).await.unwrap();
    let insert = "INSERT INTO memo (id, owner, secret, body, done, weight, due_at, raw) VALUES ($1, $2, 'hush', '{}', $3, 2, $4, $5)";
    for (id, owner) in [(1, Value::from("acme")), (2, "rival".into()), (3, Value::Null), (4, "acme".into())] {
        let values = [id.into(), owner, true.into(), Value::Time(1_750_000_000_000_000), Value::Bytes(vec![1])];
        state.execute(insert, &values).await.unwrap();
    }
    for (tenants, limit, wanted) in [
        (Tenants::All, None, 4),
        (Tenants::All, Some(2), 2),
        (Tenants::One("acme".into()), None, 2),
        (Tenants::One("acme".into()), Some(1), 1),
        (Tenants::One("acme".into()), Some(0), 0),
        (Tenants::One("rival".into()), None, 1),
        (Tenants::of(["acme", "rival"]).unwrap(), None, 3),
        (Tenants::of(["acme", "nobody"]).unwrap(), None, 2),
        (Tenants::One("".into()), None, 0),
        (Tenants::One("acme' OR 1=1 --".into()), None, 0),
    ] {
        let batch = state.read(&MEMO, &tenants, limit).await.unwrap();
        assert_eq!(batch.num_rows(), wanted, "{tenants:?} {limit:?}");
        assert_eq!(batch.schema(), MEMO.sql_schema());
        assert!(!format!("{batch:?}").contains("hush"));
    }
    let rival = state.read(&MEMO, &Tenants::One("rival".into()), None).await.unwrap();
    assert_eq!(rival.column(0).as_primitive::<Int64Type>().value(0), 2);
    assert!(rival.column(3).as_boolean().value(0));
    assert_eq!(rival.column(5).as_primitive::<TimestampMicrosecondType>().value(0), 1_750_000_000_000_000);
    assert!(state.read(&MEMO, &Tenants::All, None).await.unwrap().column(1).is_nullable());
    let leases = state.read(&LEASE, &Tenants::One("acme".into()), None).await.unwrap();
    assert_eq!(leases.num_rows(), 0, "a table without tenants is the platform's");
    assert!(state.read(&LEASE, &Tenants::All, None).await.unwrap().num_rows() > 0);
    state.execute("DROP TABLE memo", &[]).await.unwrap();
}

async fn declared_columns_are_the_databases(state: &State, postgres: bool) {
    let columns = if postgres {
        state.fetch("SELECT column_name AS name FROM information_schema.columns WHERE table_name = 'lease'", &[]).await
    } else {
        state.fetch("SELECT name FROM pragma_table_info('lease')", &[]).await
    };
    let mut names: Vec<String> = columns.unwrap().iter().map(|row| row.get("name").unwrap()).collect();
    let mut declared: Vec<&str> = LEASE.columns.iter().map(|c| c.name).chain(LEASE.hidden.iter().copied()).collect();
    names.sort();
    declared.sort_unstable();
    assert_eq!(names, declared);
}

async fn opens_again(settings: &Settings) {
    let state = State::open(settings).await.unwrap();
    let ran = state.fetch("SELECT COUNT(*) AS n FROM _sqlx_migrations", &[]).await.unwrap();
    assert_eq!(ran[0].get::<i64>("n").unwrap(), migrate::MIGRATIONS.len() as i64);
    let kept = state.read(&LEASE, &Tenants::All, None).await.unwrap();
    assert!(kept.num_rows() > 0, "what was committed is there");
    state.close().await;
}

async fn refuses_what_it_does_not_know(settings: &Settings) {
    let state = State::open(settings).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (999, 'later', TRUE, $1, 0)";
    state.execute(newer, &[Value::Bytes(vec![1])]).await.unwrap();
    state.close().await;
    let refused = State::open(settings).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict, "{refused}");
}

/// Processes that start together: each migration runs once, and everybody opens.
async fn start_together(settings: Settings) {
    let opens = (0..6).map(|_| {
        let settings = settings.clone();
        tokio::spawn(async move { State::open(&settings).await.unwrap() })
    });
    for open in opens.collect::<Vec<_>>() {
        open.await.unwrap().close().await;
    }
}
