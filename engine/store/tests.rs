#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;

use super::*;
use crate::clock::WallClock;
use crate::ports::NoRedaction;
use crate::table::{Column, Index, Type};

mod derived;
mod keep;
mod moment;
mod zones;

static EVENT: Table = Table {
    indexes: &[Index::BTree("trace")],
    ..Table::new(
        "event",
        "Things that happened.",
        &[
            Column::new("tenant", Type::Name, "Tenant.").required(),
            Column::new("time", Type::Time, "When.").required(),
            Column::new("trace", Type::Text, "Trace."),
            Column::new("size", Type::Int, "Size."),
        ],
    )
};
static THING: Table = Table {
    key: &["cluster", "name"],
    time: "seen",
    ..Table::new(
        "thing",
        "Things that are.",
        &[
            Column::new("tenant", Type::Name, "Tenant.").required(),
            Column::new("cluster", Type::Name, "Cluster.").required(),
            Column::new("name", Type::Text, "Name.").required(),
            Column::new("phase", Type::Name, "Phase."),
            Column::new("seen", Type::Time, "When."),
        ],
    )
};
static TOLD: Table = Table {
    key: &["name"],
    version: Some("rev"),
    time: "ingested_at",
    ..Table::new(
        "told",
        "Things that are told of out of order.",
        &[
            Column::new("tenant", Type::Name, "Tenant.").required(),
            Column::new("name", Type::Text, "Name.").required(),
            Column::new("rev", Type::Int, "Revision."),
            Column::new("phase", Type::Name, "Phase."),
        ],
    )
};
static BILL: Table = Table {
    set: Some("month"),
    time: "day",
    ..Table::new(
        "bill",
        "What it cost.",
        &[
            Column::new("tenant", Type::Name, "Tenant.").required(),
            Column::new("month", Type::Name, "Month.").required(),
            Column::new("Cost", Type::Decimal, "Cost."),
            Column::new("day", Type::Time, "When."),
        ],
    )
};
static BIG: View = View { name: "BigEvents", doc: "Large ones.", sql: "SELECT trace, size FROM event WHERE size > 10" };

async fn open(dir: &Path) -> Arc<Store> {
    open_at(dir, Arc::new(WallClock)).await
}

async fn open_at(dir: &Path, clock: Arc<dyn Clock>) -> Arc<Store> {
    let tables = vec![&EVENT, &THING, &TOLD, &BILL, &crate::reject::REJECT, &QUERY_LOG];
    let catalogue =
        Catalogue { tables, views: vec![&BIG], state_tables: vec![&crate::state::LEASE], ..Catalogue::default() };
    let mut settings = Settings::new(dir);
    settings.flush_after = Duration::from_secs(3600);
    let ports = Ports { clock, redactor: Arc::new(NoRedaction) };
    Store::open(settings, catalogue, ports).await.unwrap()
}

/// A clock that stands still.
#[derive(Debug)]
struct Still(i64);

impl Clock for Still {
    fn now_us(&self) -> i64 {
        self.0
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_between_two_starts_forgets_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let day_us = 86_400_000_000;
    let keyed = |key: &str| Frame {
        idempotency: Some(crate::frame::Idempotency { key: key.into(), body_hash: [7; 32] }),
        ..events("a", &[1])
    };
    for (now, key) in [(100 * day_us, "before"), (90 * day_us, "after")] {
        let store = open_at(dir.path(), Arc::new(Still(now))).await;
        assert!(!store.append(keyed(key)).await.unwrap().repeated);
        store.close().await.unwrap();
    }
    let store = open_at(dir.path(), Arc::new(Still(90 * day_us))).await;
    for key in ["before", "after"] {
        assert!(store.append(keyed(key)).await.unwrap().repeated, "{key}");
    }
    assert_eq!(ask(&store, "SELECT count(*) FROM event").await, "2");
}

fn events(tenant: &str, sizes: &[i64]) -> Frame {
    let mut rows = Rows::new(&EVENT);
    for size in sizes {
        rows.set("tenant", tenant).set("time", Value::Time(*size)).set("trace", format!("t{size}")).set("size", *size);
        rows.end_row().unwrap();
    }
    let mut frame = Frame::new("test");
    frame.push_rows(&mut rows);
    frame
}

fn thing(tenant: &str, name: &str, phase: Option<&str>) -> Frame {
    let mut rows = Rows::new(&THING);
    rows.set("tenant", tenant).set("cluster", "c1").set("name", name);
    match phase {
        Some(phase) => rows.set("phase", phase).end_row().unwrap(),
        None => rows.end_delete().unwrap(),
    }
    let mut frame = Frame::new("test");
    frame.push_rows(&mut rows);
    frame
}

fn bill(month: &str, costs: &[i128]) -> RecordBatch {
    let mut rows = Rows::new(&BILL);
    rows.set("tenant", "a").set("month", month).end_replace().unwrap();
    for cost in costs {
        rows.set("tenant", "a")
            .set("month", month)
            .set("Cost", Value::Decimal(cost * 10_i128.pow(18)))
            .end_row()
            .unwrap();
    }
    rows.finish()
}

async fn ask_as(store: &Store, scope: &Scope, sql: &str) -> Result<String> {
    let answer = store.query(scope, sql, Limits::default()).await?;
    let batches: Vec<RecordBatch> = answer.stream.try_collect().await.map_err(crate::sql::session::from_datafusion)?;
    let mut lines = Vec::new();
    for batch in &batches {
        let options = FormatOptions::default().with_null("null");
        let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        lines.extend(
            (0..batch.num_rows())
                .map(|row| columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join(" ")),
        );
    }
    Ok(lines.join("; "))
}

async fn ask(store: &Store, sql: &str) -> String {
    ask_as(store, &Scope::platform("test"), sql).await.unwrap()
}

async fn load(store: &Store, batches: Vec<RecordBatch>) -> Receipt {
    let batches = Box::pin(futures::stream::iter(batches.into_iter().map(Ok)));
    store.load(Load { table: &BILL, source: "file".into(), batches }).await.unwrap()
}

/// The same questions before a flush, after it, and after a restart.
async fn in_every_life(check: impl AsyncFn(&Store), fill: impl AsyncFn(&Store)) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    fill(&store).await;
    check(&store).await;
    drop(store); // No close: as after kill -9, the log is all there is.
    let store = reopen(dir.path()).await;
    check(&store).await;
    store.flush().await.unwrap();
    check(&store).await;
    store.maintain().await.unwrap();
    check(&store).await;
    store.close().await.unwrap();
    drop(store);
    let store = reopen(dir.path()).await;
    check(&store).await;
}

/// The owner lock goes with the last task of the store that was dropped.
async fn reopen(dir: &Path) -> Arc<Store> {
    for _ in 0..100 {
        match OwnerLock::acquire(dir) {
            Ok(lock) => {
                drop(lock);
                return open(dir).await;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("the store was not released")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn added_rows_are_seen_once_in_every_life() {
    in_every_life(
        async |store| {
            assert_eq!(ask(store, "SELECT count(*), sum(size), min(_seq) FROM event").await, "4 100 1");
            assert_eq!(ask(store, "SELECT size FROM EVENT WHERE Trace = 't20'").await, "20");
            assert_eq!(ask(store, "SELECT source, count(*) FROM event GROUP BY 1").await, "test 4");
            assert_eq!(ask(store, "SELECT count(*) FROM bigevents").await, "3");
            assert_eq!(ask(store, "SELECT tenant, count(*) FROM event GROUP BY tenant ORDER BY 1").await, "a 3; b 1");
        },
        async |store| {
            store.append(events("a", &[10, 20])).await.unwrap();
            store.append(events("b", &[30])).await.unwrap();
            store.append(events("a", &[40])).await.unwrap();
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_row_of_a_key_wins_in_every_life() {
    in_every_life(
        async |store| {
            let now = "SELECT name, phase FROM thing WHERE tenant = 'a' ORDER BY name";
            assert_eq!(ask(store, now).await, "x new; z back");
            assert_eq!(
                ask(store, "SELECT count(*) FROM thing WHERE phase = 'old'").await,
                "1",
                "tenant b keeps its own x"
            );
            assert_eq!(
                ask(store, "SELECT name, phase FROM as_of('thing', 3) ORDER BY name").await,
                "x old; y here; z here"
            );
        },
        async |store| {
            for (tenant, name, phase) in [
                ("a", "x", Some("old")),
                ("a", "y", Some("here")),
                ("a", "z", Some("here")),
                ("b", "x", Some("old")),
                ("a", "x", Some("new")),
                ("a", "y", None),
                ("a", "z", None),
                ("a", "z", Some("back")),
            ] {
                store.append(thing(tenant, name, phase)).await.unwrap();
            }
        },
    )
    .await;
}

fn told(name: &str, rev: Option<i64>, phase: Option<&str>) -> Frame {
    let mut rows = Rows::new(&TOLD);
    rows.set("tenant", "a").set("name", name).set("rev", rev).set("phase", phase);
    if phase.is_some() {
        rows.end_row().unwrap()
    } else {
        rows.end_delete().unwrap()
    }
    let mut frame = Frame::new("test");
    frame.push_rows(&mut rows);
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_telling_sets_nothing_back() {
    // Flushed after so many of the tellings: what is decided among flushed rows, in the tail and across is one.
    for flush_after in 0..=9 {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        let tellings = [
            ("x", Some(2), Some("second")),
            ("x", Some(1), Some("first")),
            ("x", None, Some("unknown")),
            ("y", Some(5), None),
            ("y", Some(4), Some("late")),
            ("z", Some(1), Some("one")),
            ("z", Some(3), Some("three")),
            ("z", Some(3), Some("three again")),
            ("z", Some(2), None),
        ];
        for (i, (name, rev, phase)) in tellings.into_iter().enumerate() {
            if i == flush_after {
                store.flush().await.unwrap();
            }
            store.append(told(name, rev, phase)).await.unwrap();
        }
        let now = "SELECT name, phase FROM told ORDER BY name";
        assert_eq!(ask(&store, now).await, "x second; z three again", "flushed after {flush_after}");
        store.close().await.unwrap();
        drop(store);
        let store = reopen(dir.path()).await;
        assert_eq!(ask(&store, now).await, "x second; z three again", "opened again, flushed after {flush_after}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_superseded_across_the_flush() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.append(thing("a", "x", Some("old"))).await.unwrap();
    store.append(thing("a", "y", Some("old"))).await.unwrap();
    store.flush().await.unwrap();
    store.append(thing("a", "x", Some("new"))).await.unwrap();
    store.append(thing("a", "y", None)).await.unwrap();
    assert_eq!(ask(&store, "SELECT name, phase FROM thing").await, "x new");
    store.flush().await.unwrap();
    assert_eq!(ask(&store, "SELECT name, phase FROM thing").await, "x new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_is_replaced_as_a_whole_and_stays_readable_as_of() {
    in_every_life(
        async |store| {
            let sums = "SELECT month, sum(cost), count(*) FROM bill GROUP BY month ORDER BY month";
            assert_eq!(ask(store, sums).await, "june 5.000000000000000000 1; may 7.000000000000000000 1");
            let then = "SELECT sum(Cost) FROM as_of('bill', 3)";
            assert_eq!(ask(store, then).await, "3.000000000000000000");
        },
        async |store| {
            load(store, vec![bill("may", &[1, 2])]).await; // 1 mark, 2 and 3 rows
            load(store, vec![bill("june", &[5])]).await;
            load(store, vec![bill("may", &[7])]).await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_load_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    load(&store, vec![bill("may", &[1])]).await;
    let batches = vec![Ok(bill("may", &[100])), Err(Error::invalid("line 7 is torn"))];
    let failed = store
        .load(Load { table: &BILL, source: "file".into(), batches: Box::pin(futures::stream::iter(batches)) })
        .await;
    let error = failed.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Invalid, "line 7 is torn"));
    assert_eq!(ask(&store, "SELECT sum(Cost) FROM bill").await, "1.000000000000000000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_loads_at_once_the_later_one_stands_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let slow = |costs: &'static [i128]| {
        let whole = bill("may", costs);
        let batches = futures::stream::iter((0..whole.num_rows()).map(move |row| whole.slice(row, 1)));
        let batches = batches.then(|batch| async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(batch)
        });
        Load { table: &BILL, source: "file".into(), batches: Box::pin(batches) }
    };
    let (one, two) = tokio::join!(store.load(slow(&[1; 10])), store.load(slow(&[100; 10])));
    (one.unwrap(), two.unwrap());
    let sum = ask(&store, "SELECT sum(Cost) FROM bill").await;
    assert!(["10.000000000000000000", "1000.000000000000000000"].contains(&sum.as_str()), "{sum}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_acknowledged_once_in_every_life() {
    let dir = tempfile::tempdir().unwrap();
    let keyed = |key: &str, body: u8| {
        let mut frame = events("a", &[1]);
        frame.idempotency = Some(crate::frame::Idempotency { key: key.into(), body_hash: [body; 32] });
        frame
    };
    let store = open(dir.path()).await;
    let first = store.append(keyed("k", 1)).await.unwrap();
    assert!(!first.repeated);
    for life in 0..3 {
        let store = if life == 0 { store.clone() } else { reopen(dir.path()).await };
        let again = store.append(keyed("k", 1)).await.unwrap();
        assert_eq!((again.seq, again.rows, again.repeated), (first.seq, 1, true), "life {life}");
        let other = store.append(keyed("k", 2)).await.unwrap_err();
        assert_eq!(other.kind(), Kind::Conflict);
        assert_eq!(ask(&store, "SELECT count(*) FROM event").await, "1");
        store.flush().await.unwrap(); // The frame leaves the log, its key stays.
        if life == 0 {
            break;
        }
    }
    drop(store);
    let store = reopen(dir.path()).await;
    assert!(store.append(keyed("k", 1)).await.unwrap().repeated, "the key log outlives the flush");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_sees_its_own_rows_only() {
    in_every_life(
        async |store| {
            let a = Scope::tenant("a", "key");
            for (sql, expected) in [
                ("SELECT count(*) FROM event", "2"),
                ("SELECT max(size) FROM event", "20"),
                ("SELECT count(*) FROM event WHERE tenant = 'b'", "0"),
                ("SELECT count(*) FROM bigevents", "1"),
                ("SELECT count(*) FROM as_of('event', 100000)", "2"),
                ("SELECT sum(1 / (size - 777)) FROM event", "0"),
                ("SELECT count(*) FROM lease", "0"),
            ] {
                assert_eq!(ask_as(store, &a, sql).await.unwrap(), expected, "{sql}");
            }
        },
        async |store| {
            store.append(events("a", &[10, 20])).await.unwrap();
            store.append(events("b", &[777, 999])).await.unwrap();
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_that_write_or_reach_outside_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for sql in [
        "DELETE FROM event",
        "CREATE TABLE x AS SELECT 1",
        "COPY event TO 'x.csv'",
        "SET a = 1",
        "SELECT * FROM 'file.parquet'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "SELECT 1; SELECT 2",
        "SELECT * FROM nowhere",
    ] {
        assert!(ask_as(&store, &Scope::platform("test"), sql).await.is_err(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_question_is_logged_and_limits_end_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.append(events("a", &[1, 2, 3])).await.unwrap();
    let limits = Limits { rows_max: 2, ..Limits::default() };
    let answer = store.query(&Scope::tenant("a", "key"), "SELECT * FROM event", limits).await.unwrap();
    let failed = answer.stream.try_collect::<Vec<_>>().await.map_err(crate::sql::session::from_datafusion).unwrap_err();
    assert_eq!(failed.kind(), Kind::Limit);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let logged = ask(&store, "SELECT tenant, principal, status, sql FROM query_log WHERE tenant = 'a'").await;
    assert_eq!(logged, "a key error SELECT * FROM event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_declarations_are_the_comments() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let comment = "SELECT column_comment, data_type FROM information_schema.columns WHERE table_name = 'bill' AND column_name = 'Cost'";
    assert_eq!(ask(&store, comment).await, "Cost. DECIMAL(38,18)");
    assert!(ask(&store, "SHOW TABLES").await.contains("BigEvents"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_column_upgrades_the_table_in_place() {
    static NEWER: Table = Table {
        ..Table::new(
            "event",
            "Things that happened.",
            &[
                Column::new("tenant", Type::Name, "Tenant.").required(),
                Column::new("time", Type::Time, "When.").required(),
                Column::new("colour", Type::Name, "New."),
                Column::new("trace", Type::Text, "Trace."),
                Column::new("size", Type::Int, "Size."),
            ],
        )
    };
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.append(events("a", &[1])).await.unwrap();
    store.flush().await.unwrap();
    store.append(events("a", &[2])).await.unwrap();
    drop(store);
    drop(reopen(dir.path()).await);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let catalogue =
        Catalogue { tables: vec![&NEWER, &THING, &BILL, &crate::reject::REJECT, &QUERY_LOG], ..Catalogue::default() };
    let ports = Ports { clock: Arc::new(WallClock), redactor: Arc::new(NoRedaction) };
    let store = Store::open(Settings::new(dir.path()), catalogue, ports).await.unwrap();
    let mut rows = Rows::new(&NEWER);
    rows.set("tenant", "a").set("time", Value::Time(3)).set("size", 3).set("colour", "red").end_row().unwrap();
    let mut frame = Frame::new("test");
    frame.push_rows(&mut rows);
    store.append(frame).await.unwrap();
    let all = "SELECT size, colour FROM event ORDER BY size";
    assert_eq!(ask(&store, all).await, "1 null; 2 null; 3 red");
    store.flush().await.unwrap();
    assert_eq!(ask(&store, all).await, "1 null; 2 null; 3 red");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_whose_creation_was_cut_off_is_created_again() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("tables/event.lance/_transactions")).unwrap();
    let store = open(dir.path()).await;
    store.append(events("a", &[1])).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(ask(&store, "SELECT size FROM event").await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_arrived_although_it_failed_is_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for tenant in ["a", "b"] {
        store.append(thing(tenant, "x", Some("here"))).await.unwrap();
        store.append(events(tenant, &[1])).await.unwrap();
    }
    for name in ["event", "thing"] {
        // The flush of another handle on the same rows is what a lost answer leaves behind.
        let facts = store.facts(name).unwrap();
        let twin = Facts::open(facts.table, &store.place, &store.memory, true).await.unwrap().0;
        for chunk in facts.snapshot().tail {
            for (row, seq) in crate::facts::current::seqs(&chunk.rows).unwrap().values().iter().enumerate() {
                twin.publish(chunk.rows.slice(row, 1), *seq as u64, chunk.oldest_us);
            }
        }
        twin.flush(async { Ok(()) }).await.unwrap();
        facts.doubt("flush", lance::Error::io("the answer was lost"));
    }
    store.append(thing("a", "x", Some("there"))).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(ask(&store, "SELECT tenant, size FROM event ORDER BY tenant").await, "a 1; b 1");
    assert_eq!(ask(&store, "SELECT tenant, phase FROM thing ORDER BY tenant").await, "a there; b here");
}
