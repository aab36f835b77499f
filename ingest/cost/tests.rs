//! Runs against a store: what holds after each delivery.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::arrow::array::{Array, AsArray};
use engine::arrow::compute::{cast, concat_batches};
use engine::arrow::datatypes::DataType;
use engine::{Catalogue, Limits, NoRedaction, Ports, Question, Settings, WallClock};
use futures::TryStreamExt;

use super::*;
use crate::sources::Silent;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/cost").join(name)
}

struct House {
    store: Arc<Store>,
    dir: tempfile::TempDir,
}

impl House {
    async fn open() -> House {
        let dir = tempfile::tempdir().unwrap();
        let catalogue = Catalogue { tables: Cost.tables(), views: ledger::VIEWS.to_vec(), ..Catalogue::default() };
        let ports = Ports { clock: Arc::new(WallClock), redactor: Arc::new(NoRedaction) };
        let store = Store::open(Settings::new(dir.path().join("data")), catalogue, ports).await.unwrap();
        House { store, dir }
    }

    async fn ingest(&self, path: &Path) -> Result<Summary> {
        self.ingest_as(path, &FileOptions::default()).await
    }

    async fn ingest_as(&self, path: &Path, options: &FileOptions) -> Result<Summary> {
        let scope = Scope::platform("test");
        Cost.ingest_path(&self.store, &scope, path, options, &Silent).await
    }

    /// The rows of an answer as lines, cells between bars.
    async fn ask(&self, sql: &str) -> Vec<String> {
        let scope = Scope::platform("test");
        let answer = self.store.query(&scope, Question::from(sql), Limits::default()).await.unwrap();
        let schema = answer.stream.schema();
        let batches: Vec<_> = answer.stream.try_collect().await.unwrap();
        let batch = concat_batches(&schema, &batches).unwrap();
        let texts: Vec<_> = batch.columns().iter().map(|c| cast(c, &DataType::Utf8).unwrap()).collect();
        let cell = |column: usize, row: usize| {
            let text = texts[column].as_string::<i32>();
            if text.is_null(row) { "∅".to_owned() } else { text.value(row).to_owned() }
        };
        (0..batch.num_rows()).map(|row| (0..texts.len()).map(|c| cell(c, row)).collect::<Vec<_>>().join("|")).collect()
    }

    /// Writes a file beside the store.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

const STATE: &str = "SELECT COUNT(*), SUM(\"BilledCost\"), SUM(\"EffectiveCost\") FROM cost_line";

fn scale(text: &str) -> String {
    let (whole, fraction) = text.split_once('.').unwrap();
    format!("{whole}.{fraction:0<18}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_to_date_export_ends_as_its_newest_whole_run() {
    let house = House::open().await;
    let root = fixture("azure_mtd");
    let expected: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(root.join("expected.json")).unwrap()).unwrap();
    let state = |of: &serde_json::Value| {
        format!("{}|{}|{}", of["rows"], scale(of["billed"].as_str().unwrap()), scale(of["effective"].as_str().unwrap()))
    };
    let after = expected["after"].as_array().unwrap();
    for run in &after[..3] {
        let manifest = root.join(run["manifest"].as_str().unwrap());
        let summary = house.ingest(manifest.parent().unwrap()).await.unwrap();
        assert_eq!((summary.accepted, summary.repeated), (run["rows"].as_u64().unwrap(), 0));
        assert_eq!(house.ask(STATE).await, [state(run)]);
    }
    let torn = house.ingest(root.join(after[3]["manifest"].as_str().unwrap()).parent().unwrap()).await.unwrap_err();
    assert!(torn.to_string().contains("is missing"), "{torn}");
    assert_eq!(house.ask(STATE).await, [state(&expected["final"])]);
    // Every run again, and an older one late: nothing changes.
    let again = house.ingest(&root).await.unwrap();
    assert_eq!((again.accepted, again.repeated), (0, 3));
    assert_eq!(house.ask(STATE).await, [state(&expected["final"])]);
    let states = house.ask("SELECT state FROM cost_run ORDER BY run_id").await;
    assert_eq!(states, ["superseded", "superseded", "applied", "torn"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_reaches_nothing_outside_the_folder_given() {
    let house = House::open().await;
    house.write("exports/secret.csv", "BilledCost,BillingPeriodStart\n1,2026-05-01\n");
    let manifest = r#"{"exportConfig":{},"runInfo":{"runId":"r"},"blobs":[{"blobName":"secret.csv"}]}"#;
    let manifest = house.write("exports/month/run/manifest.json", manifest);
    let run = manifest.parent().unwrap();
    for given in [&manifest, run, run.parent().unwrap()] {
        let refused = house.ingest(given).await.unwrap_err();
        assert!(refused.to_string().contains("blob secret.csv is missing"), "{}: {refused}", given.display());
    }
    assert_eq!(house.ingest(&house.dir.path().join("exports")).await.unwrap().accepted, 1, "inside it is found");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_run_that_arrives_late_replaces_nothing() {
    let house = House::open().await;
    let run = |n: usize| {
        fixture("azure_mtd/focus-cost/20260501-20260531").join(["202605100600", "202605110600", "202606030600"][n])
    };
    house.ingest(&run(2)).await.unwrap();
    let before = house.ask(STATE).await;
    let late = house.ingest(&run(0)).await.unwrap();
    assert!(late.notes[0].contains("is newer"), "{:?}", late.notes);
    assert_eq!(house.ask(STATE).await, before);
    assert_eq!(
        house.ask("SELECT state, row_count FROM cost_run ORDER BY run_id").await,
        ["superseded|0", "applied|102"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_again_changes_nothing_and_a_restated_one_replaces_its_months() {
    let house = House::open().await;
    let header = "BilledCost,BillingPeriodStart,BillingCurrency,ResourceId\n";
    let path = house.write("costs/a.csv", &format!("{header}1,2026-05-01,USD,r1\n2,2026-06-01,USD,r2\n"));
    assert_eq!(house.ingest(&path).await.unwrap().accepted, 2);
    assert_eq!(house.ingest(&path).await.unwrap().repeated, 1);
    let copy = house.write("elsewhere/b.csv", &std::fs::read_to_string(&path).unwrap());
    assert_eq!(house.ingest(&copy).await.unwrap().repeated, 1);
    house.write("costs/a.csv", &format!("{header}5,2026-05-01,USD,r1\nx,2026-05-01,USD,r9\n"));
    let restated = house.ingest(&path).await.unwrap();
    assert_eq!((restated.accepted, restated.rejected), (1, 1));
    let sums =
        "SELECT SUM(\"BilledCost\") FROM cost_line GROUP BY \"BillingPeriodStart\" ORDER BY \"BillingPeriodStart\"";
    assert_eq!(house.ask(sums).await, ["5.000000000000000000", "2.000000000000000000"]);
    assert_eq!(
        house.ask("SELECT kind, place, reason FROM reject").await,
        ["cost|a.csv line 3|BilledCost: `x` is not a number"]
    );
    assert_eq!(house.ask("SELECT DISTINCT state FROM cost_run ORDER BY state").await, ["applied", "superseded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_in_the_register_and_changes_nothing() {
    let house = House::open().await;
    let twice = house.write("twice.csv", "BilledCost,Tags,tags\n1,,\n");
    let error = house.ingest(&twice).await.unwrap_err();
    assert!(error.to_string().contains("appears twice"), "{error}");
    let all_bad = house.write("bad.csv", "BilledCost\nNaN\nInfinity\n");
    assert!(house.ingest(&all_bad).await.unwrap_err().to_string().contains("none of its 2 rows parses"));
    assert_eq!(house.ask("SELECT COUNT(*) FROM cost_line").await, ["0"]);
    assert_eq!(house.ask("SELECT state FROM cost_run").await, ["refused", "refused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_rows_and_runs_are_their_own() {
    let house = House::open().await;
    let path = house.write("a.csv", "BilledCost,BillingPeriodStart\n1,2026-05-01\n");
    let named = |tenant: &str| FileOptions { tenant: Some(tenant.to_owned()), ..FileOptions::default() };
    assert_eq!(house.ingest_as(&path, &named("red")).await.unwrap().accepted, 1);
    assert_eq!(house.ingest_as(&path, &named("blue")).await.unwrap().accepted, 1);
    assert_eq!(house.ingest_as(&path, &named("blue")).await.unwrap().repeated, 1);
    assert_eq!(house.ask("SELECT x_tenant FROM cost_line ORDER BY x_tenant").await, ["blue", "red"]);
    let scope = Scope::tenant("red", "test");
    assert!(Cost.ingest_path(&house.store, &scope, &path, &named("blue"), &Silent).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_files_is_as_many_runs() {
    let house = House::open().await;
    house.write("aws/x/data/BILLING_PERIOD=2026-05/part-1.csv", "BilledCost,BillingPeriodStart\n1,2026-05-01\n");
    house.write("aws/x/data/BILLING_PERIOD=2026-05/part-2.csv", "BilledCost,BillingPeriodStart\n2,2026-05-01\n");
    house.write("aws/x/metadata/BILLING_PERIOD=2026-05/x-Manifest.json", "{}");
    house.write("aws/y.csv", "BilledCost,BillingPeriodStart\n4,2026-05-01\n");
    let root = house.dir.path().join("aws");
    let summary = house.ingest(&root).await.unwrap();
    assert_eq!((summary.files, summary.accepted), (3, 3));
    house.write("aws/x/data/BILLING_PERIOD=2026-05/part-2.csv", "BilledCost,BillingPeriodStart\n8,2026-05-01\n");
    let summary = house.ingest(&root).await.unwrap();
    assert_eq!((summary.accepted, summary.repeated), (2, 1));
    assert_eq!(house.ask("SELECT SUM(\"BilledCost\") FROM cost_line").await, ["13.000000000000000000"]);
}
