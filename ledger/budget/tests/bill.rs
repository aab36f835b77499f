//! What the bill says is seen by the next look, however little time has passed.

use engine::{Catalogue, Frame, NoRedaction, Ports, Rows, Store, Value};

use super::*;
use crate::cost_line::COST_LINE;

async fn store(folder: &std::path::Path, clock: Arc<TestClock>) -> Arc<Store> {
    let catalogue = Catalogue { tables: crate::TABLES.to_vec(), ..Catalogue::default() };
    let ports = Ports { clock, redactor: Arc::new(NoRedaction) };
    Store::open(Settings::new(folder.join("store")), catalogue, ports).await.unwrap()
}

/// The charges of a day, in place of what the file said before.
async fn bill(store: &Store, costs: &[i128]) {
    let mut rows = Rows::new(&COST_LINE);
    rows.set("x_tenant", "acme").set("x_set", "october").end_replace().unwrap();
    for cost in costs {
        rows.set("x_tenant", "acme")
            .set("x_set", "october")
            .set("x_source_schema", "test")
            .set("BillingCurrency", "USD")
            .set("BilledCost", Value::Decimal(cost * crate::decimal::ONE))
            .set("EffectiveCost", Value::Decimal(cost * crate::decimal::ONE))
            .set("ChargePeriodStart", Value::Time(NOON_US))
            .end_row()
            .unwrap();
    }
    let mut frame = Frame::new("test");
    frame.push_rows(&mut rows);
    store.append(frame).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_look_behind_a_commit_sees_all_of_it() {
    let ground = Ground::new().await;
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), ground.clock.clone()).await;
    let node = ground.node("home", true).await;
    ground.apply(&node, &format!("budgets: [{}]", budget("cloud", "100", "window: month, zone: UTC"))).await;
    node.begin().await.unwrap();
    let billed = async || {
        node.read_ledger(&store).await.unwrap();
        ground.number("SELECT CAST(COALESCE(SUM(billed_units), 0) AS BIGINT) AS n FROM budget_window").await
    };
    assert_eq!(billed().await, 0);
    // The clock stands still: it is the order that counts. More, less, nothing, and what was flushed in between.
    let bills: [(&[i128], i64); 5] = [(&[3, 4], 7), (&[3, 4, 5], 12), (&[2], 2), (&[], 0), (&[9], 9)];
    for (costs, wanted) in bills {
        bill(&store, costs).await;
        assert_eq!(billed().await, wanted * 1_000_000_000, "{costs:?}");
        store.flush().await.unwrap();
        assert_eq!(billed().await, wanted * 1_000_000_000, "{costs:?}, flushed");
    }
    node.close().await.unwrap();
}

#[test]
fn a_look_comes_soon_enough_to_be_seen_within_a_second() {
    assert!(super::super::keep::EVALUATE + super::super::keep::TICK < std::time::Duration::from_secs(1));
}
