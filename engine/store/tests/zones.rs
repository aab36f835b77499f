//! Questions over fragments of many zones: whoever asks, however often, whatever was replaced meanwhile.

use std::collections::BTreeMap;

use datafusion::logical_expr::{col, lit};

use super::*;
use crate::scope::Tenants;

/// Rows and their sum, by tenant and month.
type Truth = BTreeMap<(&'static str, &'static str), (i128, i128)>;

fn bill_of(tenant: &str, month: &str, rows: i128) -> RecordBatch {
    let mut bills = Rows::new(&BILL);
    bills.set("tenant", tenant).set("month", month).end_replace().unwrap();
    for cost in 0..rows {
        bills.set("tenant", tenant).set("month", month).set("Cost", Value::Decimal(cost * 10_i128.pow(18)));
        bills.set("day", Value::Time(i64::try_from(cost).unwrap())).end_row().unwrap();
    }
    bills.finish()
}

fn scopes() -> Vec<(Scope, Vec<&'static str>)> {
    let several = Tenants::of(["a", "c"]).unwrap();
    vec![
        (Scope::platform("test"), vec!["a", "b", "c"]),
        (Scope::tenant("a", "test"), vec!["a"]),
        (Scope::tenant("b", "test"), vec!["b"]),
        (Scope::of(several, "test"), vec!["a", "c"]),
        (Scope::tenant("nobody", "test"), vec![]),
    ]
}

async fn check(store: &Store, truth: &Truth, when: &str) {
    for (scope, tenants) in scopes() {
        let mine: Vec<_> = truth.iter().filter(|((tenant, _), _)| tenants.contains(tenant)).collect();
        let lines: Vec<String> = mine
            .iter()
            .map(|((tenant, month), (rows, sum))| format!("{tenant} {month} {rows} {sum}.000000000000000000"))
            .collect();
        let all: i128 = mine.iter().map(|(_, (rows, _))| rows).sum();
        let over: i128 = mine.iter().map(|(_, (rows, _))| (rows - 9_001).max(0)).sum();
        let most = mine.iter().map(|(_, (rows, _))| rows - 1).max();
        // The second time the columns may be in memory.
        for turn in ["first", "second"] {
            let case = format!("{when}, {tenants:?}, {turn} time");
            let ask = async |sql: &str| ask_as(store, &scope, sql).await.unwrap();
            let sums = "SELECT tenant, month, count(*), sum(Cost) FROM bill GROUP BY 1, 2 ORDER BY 1, 2";
            assert_eq!(ask(sums).await, lines.join("; "), "{case}");
            assert_eq!(ask("SELECT count(*) FROM bill").await, all.to_string(), "{case}");
            let some = "SELECT count(month) FROM bill WHERE Cost > 9000 AND tenant <> 'x' AND day IS NOT NULL";
            assert_eq!(ask(some).await, over.to_string(), "{case}");
            let latest = ask("SELECT Cost, tenant, month FROM bill ORDER BY day DESC LIMIT 1").await;
            let most = most.map_or_else(String::new, |most| format!("{most}.000000000000000000"));
            assert_eq!(latest.split(' ').next().unwrap_or_default(), most, "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sets_of_many_zones_are_shown_to_whom_they_belong() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut truth = Truth::new();
    let loads: [(&str, &str, i128); 8] = [
        ("a", "june", 12_000),
        ("b", "june", 9_500),
        ("a", "may", 20_000),
        ("c", "june", 10),
        ("a", "june", 9_100),
        ("b", "june", 17_000),
        ("c", "may", 8_192),
        ("a", "may", 0),
    ];
    for (at, (tenant, month, rows)) in loads.into_iter().enumerate() {
        load(&store, vec![bill_of(tenant, month, rows)]).await;
        truth.insert((tenant, month), (rows, rows * (rows - 1) / 2));
        truth.retain(|_, (rows, _)| *rows > 0);
        if at % 3 == 2 {
            check(&store, &truth, &format!("after load {at}")).await;
        }
    }
    store.maintain().await.unwrap();
    check(&store, &truth, "after maintenance").await;
    // Rows that are not flushed supersede flushed ones.
    let mut rows = Rows::new(&BILL);
    rows.set("tenant", "b").set("month", "june").end_replace().unwrap();
    let mut frame = Frame::new("test");
    frame.push_rows(&mut rows);
    store.append(frame).await.unwrap();
    truth.remove(&("b", "june"));
    check(&store, &truth, "with a mark in the tail").await;
    store.close().await.unwrap();
    drop(store);
    let store = reopen(dir.path()).await;
    check(&store, &truth, "opened again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn added_rows_of_many_zones_are_shown_to_whom_they_belong() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for (tenant, from, until) in [("a", 0, 9_000), ("b", 9_000, 30_000), ("a", 30_000, 47_000), ("c", 47_000, 47_003)] {
        store.append(events(tenant, &(from..until).collect::<Vec<i64>>())).await.unwrap();
    }
    store.flush().await.unwrap();
    store.append(events("b", &[47_003])).await.unwrap();
    let count = |tenants: &[&str]| -> usize {
        let of = |tenant| match tenant {
            "a" => 26_000,
            "b" => 21_001,
            _ => 3,
        };
        tenants.iter().map(|tenant| of(*tenant)).sum()
    };
    for (scope, tenants) in scopes() {
        for turn in ["first", "second"] {
            let case = format!("{tenants:?}, {turn} time");
            let ask = async |sql: &str| ask_as(&store, &scope, sql).await.unwrap();
            assert_eq!(ask("SELECT count(*) FROM event").await, count(&tenants).to_string(), "{case}");
            let seen = ask("SELECT DISTINCT tenant FROM event ORDER BY 1").await;
            assert_eq!(seen, tenants.join("; "), "{case}");
            let found = ask("SELECT size FROM event WHERE trace = 't40000'").await;
            assert_eq!(found, if tenants.contains(&"a") { "40000" } else { "" }, "{case}");
            let last = ask("SELECT size, trace FROM event WHERE size < 30000 ORDER BY time DESC LIMIT 1").await;
            let expected = match (tenants.contains(&"b"), tenants.contains(&"a")) {
                (true, _) => "29999 t29999",
                (false, true) => "8999 t8999",
                _ => "",
            };
            assert_eq!(last, expected, "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fragment_that_lost_rows_is_read_beside_whole_ones() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    // Read in this order, by one partition: whole, with a row less, smaller than a zone, whole.
    for (from, until) in [(0, 10_000), (10_000, 20_000), (20_000, 20_010), (20_010, 30_000)] {
        store.append(events("a", &(from..until).collect::<Vec<i64>>())).await.unwrap();
        store.flush().await.unwrap();
    }
    let deleted = store.facts("event").unwrap().delete(col("size").eq(lit(15_000_i64))).await.unwrap();
    assert_eq!(deleted, 1);
    let scope = Scope::tenant("a", "test");
    for turn in ["first", "second"] {
        let ask = async |sql: &str| ask_as(&store, &scope, sql).await.unwrap();
        let all = "SELECT count(*), sum(size) FROM event WHERE trace <> 't7' AND size <> 8";
        let sum: i64 = (0..30_000).filter(|n| ![7, 8, 15_000].contains(n)).sum();
        assert_eq!(ask(all).await, format!("29997 {sum}"), "{turn}");
        let few = "SELECT tenant, trace, source FROM event WHERE size IN (14999, 15000, 20005, 29999) ORDER BY size";
        assert_eq!(ask(few).await, "a t14999 test; a t20005 test; a t29999 test", "{turn}");
        let most = "SELECT trace FROM event WHERE size >= 9998 AND tenant = 'a' ORDER BY time DESC LIMIT 2";
        assert_eq!(ask(most).await, "t29999; t29998", "{turn}");
        assert_eq!(
            ask("SELECT min(trace), count(tenant) FROM event WHERE size > 14998").await,
            "t14999 15000",
            "{turn}"
        );
    }
}
