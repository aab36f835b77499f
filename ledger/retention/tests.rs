#![allow(clippy::unwrap_used)]

use engine::arrow::array::{AsArray, RecordBatch};
use engine::arrow::compute::cast;
use engine::arrow::datatypes::DataType;
use engine::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use engine::{Catalogue, Frame, NoRedaction, Ports, Rows, Settings};

use super::*;
use crate::audit::export::Destination;
use crate::audit::tests::ground::Hand;
use crate::cost_line::COST_LINE;
use crate::directory::OsDice;

static LOG: Table = Table::new("otel_log", "Logs.", &[Column::new("tenant", Type::Name, "Tenant.").required()]);
static SPAN: Table = Table::new("otel_span", "Spans.", &[Column::new("tenant", Type::Name, "Tenant.").required()]);
static QUERY: Table = Table {
    retention_days: Some(90),
    ..Table::new("query_log", "Questions.", &[Column::new("tenant", Type::Name, "Tenant.").required()])
};
const TABLES: &[&Table] = &[&LOG, &SPAN, &QUERY];

fn said(rules: &str) -> Vec<(String, String)> {
    let policy = Policy::parse(rules, TABLES).unwrap();
    TABLES.iter().map(|table| policy.said(table)).collect()
}

#[test]
fn the_first_rule_that_fits_decides() {
    let check = |rules: &str, wanted: [(&str, &str); 3]| {
        let wanted = wanted.map(|(keep, origin)| (keep.to_owned(), origin.to_owned()));
        assert_eq!(said(rules), wanted, "{rules}");
    };
    check("{}", [("forever", "declared"), ("forever", "declared"), ("90d", "declared")]);
    check(
        "rules: [{signal: logs, tenant: acme, keep: 90d}, {signal: logs, keep: 30d}, {table: query_log, keep: forever}]",
        [("30d; acme: 90d", "rules 1, 2"), ("forever", "declared"), ("forever", "rule 3")],
    );
    check(
        "rules: [{table: otel_log, keep: 36h}, {table: 'otel_*', keep: 2w}]",
        [("36h", "rule 1"), ("2w", "rule 2"), ("90d", "declared")],
    );
    let policy =
        Policy::parse("rules: [{signal: logs, tenant: acme, keep: forever}, {signal: logs, keep: 1d}]", TABLES);
    let kept = policy.unwrap().kept(&LOG);
    assert_eq!(kept.tenants.get("acme"), Some(&None));
    assert_eq!(kept.others, Some(std::time::Duration::from_secs(86_400)));
}

#[test]
fn a_wrong_rule_says_what_to_write() {
    for (rules, why) in [
        ("rules: [{table: nowhere, keep: 1d}]", "rule 1: there is no table nowhere"),
        ("rules: [{signal: smoke, keep: 1d}]", "there are logs, traces"),
        ("rules: [{keep: 1d}]", "name a table or a signal"),
        ("rules: [{table: otel_log, signal: logs, keep: 1d}]", "one of the two"),
        ("rules: [{table: otel_log, keep: '30'}]", "write 30d, 36h, 13w or forever"),
        ("rules: [{table: otel_log, keep: soon}]", "write 30d, 36h, 13w or forever"),
        ("rules: [{table: otel_log, keep: 0d}]", "keeps nothing at all"),
        ("rules: [{table: otel_log, keep: 9999999999w}]", "write forever"),
        ("rules: [{table: otel_log, keeps: 1d}]", "unknown field"),
        (
            "rules: [{table: 'otel_*', keep: 1d}, {signal: logs, tenant: a, keep: 2d}]",
            "rule 1 before it fits all of it",
        ),
    ] {
        let error = Policy::parse(rules, TABLES).unwrap_err();
        assert!(error.to_string().contains(why), "{rules}: {error}");
    }
}

#[tokio::test]
async fn holds_hold_until_they_are_released() {
    let data = tempfile::tempdir().unwrap();
    let state = Arc::new(State::open(&Settings::new(data.path())).await.unwrap());
    let hand = Arc::new(Hand::default());
    let audit = Audit::start(state.clone(), hand.clone(), Arc::new(OsDice), Arc::new(NoRedaction)).await.unwrap();
    let retention = Retention::new(state.clone(), hand, Arc::new(audit), Policy::default());
    let (holds, caller) = (retention.holds(), Caller::operator());
    let order = HoldOrder { tables: "otel_*".into(), reason: "matter 1".into(), ..HoldOrder::default() };
    for (wrong, why) in [
        (HoldOrder { tables: "x*".into(), ..order.clone() }, "there is no table x*"),
        (HoldOrder { reason: " ".into(), ..order.clone() }, "has a reason"),
        (HoldOrder { subject: vec!["bo".into()], ..order.clone() }, "by chance"),
    ] {
        let error = holds.add(&wrong, TABLES, &caller, "operator").await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    let subject = HoldOrder { subject: vec!["ana@acme.example".into()], tenant: Some("acme".into()), ..order.clone() };
    let first = holds.add(&order, TABLES, &caller, "operator").await.unwrap();
    let second = holds.add(&subject, TABLES, &caller, "operator").await.unwrap();
    assert!(second.about_subject && !first.about_subject);
    let of_log = retention.kept(&LOG).await.unwrap().holds;
    assert_eq!(of_log.len(), 2);
    let subject = of_log.iter().find_map(|hold| hold.subject.as_ref()).unwrap();
    assert!(subject.is_in(b"to ANA@acme.example"));
    assert!(retention.kept(&QUERY).await.unwrap().holds.is_empty());
    holds.release(&first.id, "closed", &caller, "operator").await.unwrap();
    assert!(holds.release(&first.id, "closed", &caller, "operator").await.is_err());
    assert_eq!(retention.kept(&LOG).await.unwrap().holds.len(), 1);
    assert_eq!(holds.list().await.unwrap().len(), 2);
    let told = state.fetch("SELECT action FROM audit WHERE action LIKE 'hold.%' ORDER BY seq", &[]).await.unwrap();
    let told: Vec<String> = told.iter().map(|row| row.get("action").unwrap()).collect();
    assert_eq!(told, ["hold.add", "hold.add", "hold.release"]);
}

/// Charges of two tenants, the first's twice: what was replaced is still stored.
async fn charged(store: &Store) {
    for (tenant, cost) in [("acme", 1), ("other", 2), ("acme", 3)] {
        let mut rows = Rows::new(&COST_LINE);
        rows.set("x_tenant", tenant).set("x_set", "october").end_replace().unwrap();
        rows.set("x_tenant", tenant)
            .set("x_set", "october")
            .set("x_source_schema", "test")
            .set("BillingCurrency", "USD")
            .set("BilledCost", Value::Decimal(cost * crate::decimal::ONE))
            .end_row()
            .unwrap();
        let mut frame = Frame::new("test");
        frame.push_rows(&mut rows);
        store.append(frame).await.unwrap();
    }
    store.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_what_a_hold_keeps_and_a_check_finds_what_was_changed() {
    let (data, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hand = Arc::new(Hand::default());
    let catalogue = Catalogue { tables: vec![&COST_LINE], ..Catalogue::default() };
    let ports = Ports { clock: hand.clone(), redactor: Arc::new(NoRedaction) };
    let store = Store::open(Settings::new(data.path()), catalogue, ports).await.unwrap();
    charged(&store).await;
    let mut wanted = 0;
    let mut count = |batch: &RecordBatch| {
        let tenants = cast(batch.column(0), &DataType::Utf8).unwrap();
        wanted += tenants.as_string::<i32>().iter().filter(|tenant| *tenant == Some("acme")).count();
        Ok(())
    };
    store.each_stored(&COST_LINE, &["x_tenant"], &mut count).await.unwrap();
    assert!(wanted >= 2);

    let state = Arc::clone(store.state());
    let audit = Audit::start(state.clone(), hand.clone(), Arc::new(OsDice), Arc::new(NoRedaction)).await.unwrap();
    let retention = Retention::new(state.clone(), hand, Arc::new(audit), Policy::default());
    let (holds, caller) = (retention.holds(), Caller::operator());
    let order = HoldOrder { tables: "cost_line".into(), reason: "matter 1".into(), ..HoldOrder::default() };
    let of_acme = HoldOrder { tenant: Some("acme".into()), ..order.clone() };
    let hold = holds.add(&of_acme, &[&COST_LINE], &caller, "operator").await.unwrap();
    let to = Destination::open(away.path().to_str().unwrap(), &[]).unwrap();
    let copy = holds.copy(&store, &hold.id, &to, None, &caller, "operator").await.unwrap();
    assert_eq!((copy.rows, copy.files, &copy.lock_mode), (i64::try_from(wanted).unwrap(), 1, &None));
    assert_eq!(holds.copies().await.unwrap(), [copy.clone()]);
    let told = state.fetch("SELECT detail FROM audit WHERE action = 'hold.copy'", &[]).await.unwrap();
    assert!(told[0].get::<String>("detail").unwrap().contains(&copy.sha256));
    let checked = holds.check_copy(&copy.id, &[]).await.unwrap();
    assert_eq!((checked.files, &checked.findings[..]), (1, &[][..]));

    let list = away.path().join(&copy.path);
    let rows = list.with_file_name("cost_line-00000.parquet");
    let read = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&rows).unwrap()).unwrap();
    assert_eq!(read.metadata().file_metadata().num_rows(), copy.rows);
    let plain = |kind: &DataType| !matches!(kind, DataType::Dictionary(..));
    assert!(read.schema().fields().iter().all(|field| plain(field.data_type())));

    let content = std::fs::read(&rows).unwrap();
    std::fs::write(&rows, &content[1..]).unwrap();
    let found = holds.check_copy(&copy.id, &[]).await.unwrap().findings;
    assert!(found.len() == 1 && found[0].contains("not what was written"), "{found:?}");
    std::fs::remove_file(&rows).unwrap();
    assert!(holds.check_copy(&copy.id, &[]).await.unwrap().findings[0].contains("missing"));
    std::fs::write(&list, "{}").unwrap();
    assert!(holds.check_copy(&copy.id, &[]).await.unwrap().findings[0].contains("copy.json: it is not"));

    // A subject that no row names, a hold that was released.
    let of_nobody = HoldOrder { subject: vec!["nobody at all".into()], ..order };
    let nobody = holds.add(&of_nobody, &[&COST_LINE], &caller, "operator").await.unwrap();
    assert_eq!(holds.copy(&store, &nobody.id, &to, None, &caller, "operator").await.unwrap().rows, 0);
    holds.release(&hold.id, "closed", &caller, "operator").await.unwrap();
    assert!(holds.copy(&store, &hold.id, &to, None, &caller, "operator").await.is_err());
    assert!(holds.check_copy("nothing", &[]).await.is_err());
    store.close().await.unwrap();
}
