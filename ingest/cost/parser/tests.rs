//! The pure part, on real and on hostile files.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::arrow::array::RecordBatch;
use engine::arrow::array::{
    Array, ArrayRef, AsArray, Decimal256Array, Float64Array, Int8Array, Int64Array, StringArray,
    TimestampNanosecondArray,
};
use engine::arrow::compute::{cast, concat_batches};
use engine::arrow::datatypes::{DataType, Decimal128Type, i256};
use engine::parquet::arrow::ArrowWriter;

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/cost").join(name)
}

fn origin() -> Origin {
    Origin {
        tenant: "default".to_owned(),
        named_tenants: true,
        export: "test".to_owned(),
        run_id: "run-1".to_owned(),
        period: None,
        replaces: Vec::new(),
        seals: ledger::period::Seals::default(),
    }
}

/// A run's rows as text, with the rows that did not parse.
struct Read {
    batch: RecordBatch,
    parser: Parser,
    rejects: Vec<String>,
}

fn drain(mut parser: Parser) -> Read {
    let mut batches = Vec::new();
    while let Some(batch) = parser.next_batch().unwrap() {
        batches.push(batch);
    }
    let batch = concat_batches(&parser.table().batch_schema(), &batches).unwrap();
    let rejects = parser.take_rejects().into_iter().map(|r| format!("{}: {}", r.place.unwrap(), r.reason)).collect();
    Read { batch, parser, rejects }
}

fn csv(text: &str) -> Read {
    drain(Parser::csv(Cursor::new(text.as_bytes().to_vec()), "f.csv", None, origin()).unwrap())
}

fn file(path: &Path) -> Read {
    let label = path.file_name().unwrap().to_string_lossy().into_owned();
    let hint = if label.contains("Amortized") { Form::AzureAmortized } else { Form::AzureActual };
    let part = Part { path: path.to_path_buf(), label, rows: None };
    drain(Parser::open([part].into(), Some(hint), |_| origin(), Arc::new(|_| {})).unwrap())
}

impl Read {
    /// A column's cells without the marks; null is ∅.
    fn column(&self, name: &str) -> Vec<String> {
        let op = self.batch.column(self.batch.num_columns() - 1).as_any().downcast_ref::<Int8Array>().unwrap();
        let text = cast(self.batch.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
        let text = text.as_string::<i32>();
        let plain = (0..text.len()).filter(|at| op.is_null(*at));
        plain.map(|at| if text.is_null(at) { "∅".to_owned() } else { text.value(at).to_owned() }).collect()
    }

    fn sum(&self, name: &str) -> i128 {
        self.batch.column_by_name(name).unwrap().as_primitive::<Decimal128Type>().iter().flatten().sum()
    }
}

#[test]
fn the_real_file_keeps_every_row_and_every_digit() {
    let read = file(&fixture("focus_1.0_real_1000.csv"));
    assert_eq!((read.parser.accepted, read.parser.rejected), (1000, 0));
    assert_eq!(read.parser.form(), Form::Focus(ledger::focus::Dataset::CostAndUsage, ledger::focus::Version::V1_0));
    assert_eq!(read.sum("BilledCost"), 20_520_226_728_990_000_000);
    assert_eq!(read.sum("ListCost"), 20_390_905_751_190_000_000);
    assert_eq!(read.column("ContractedCost").iter().filter(|c| *c == "∅").count(), 7);
    let sets: Vec<_> = read.parser.sets().iter().map(|s| (s.name.as_str(), s.rows, s.billed)).collect();
    let [september, october] = [20_280_226_728_990_000_000, 240_000_000_000_000_000];
    assert_eq!(
        sets,
        [("test|cost_and_usage|2024-09", 999, Some(september)), ("test|cost_and_usage|2024-10", 1, Some(october))]
    );
    assert_eq!(read.column("x_extra")[0], r#"{"Id":"11472"}"#);
    assert_eq!((read.column("x_app")[1].as_str(), read.column("x_env")[1].as_str()), ("BrightLensMatrix", "dev"));
    assert_eq!(read.column("x_source_row")[999], "1000");
    let ids: std::collections::HashSet<_> = read.column("x_charge_id").into_iter().collect();
    assert_eq!(ids.len(), 1000);
}

#[test]
fn a_mark_stands_before_each_sets_first_row() {
    let read = csv(
        "BilledCost,BillingPeriodStart,x_tenant\n1,2026-05-01,\n2,2026-06-01,\n3,2026-05-01,other\n4,2026-05-01,\n",
    );
    let op = read.batch.column_by_name("_op").unwrap();
    let marks: Vec<bool> = (0..op.len()).map(|at| op.is_valid(at)).collect();
    assert_eq!(marks, [true, false, true, false, true, false, false]);
    assert_eq!(read.column("x_tenant"), ["default", "default", "other", "default"]);
    assert_eq!(read.column("x_set")[3], "test|cost_and_usage|2026-05");
    assert_eq!(read.parser.sets().iter().map(|s| s.rows).collect::<Vec<_>>(), [2, 1, 1]);
}

#[test]
fn a_charge_keeps_its_id_when_its_cost_changes() {
    let header = "BilledCost,BillingPeriodStart,ResourceId,ChargePeriodStart\n";
    let rows = |a: &str, b: &str| {
        csv(&format!(
            "{header}{a},2026-05-01,r1,2026-05-02\n{b},2026-05-01,r1,2026-05-02\n5,2026-05-01,r2,2026-05-02\n"
        ))
    };
    let (first, second) = (rows("1", "1").column("x_charge_id"), rows("0.9", "2").column("x_charge_id"));
    assert_eq!(first, second);
    assert_eq!(first.iter().collect::<std::collections::HashSet<_>>().len(), 3);
}

#[test]
fn digits_that_do_not_fit_are_kept_beside() {
    let read = csv(
        "BilledCost,EffectiveCost,ChargePeriodStart\n0.123456789012345678901234,1E-7,9999-12-31T23:59:59.1234567Z\n",
    );
    assert_eq!(read.column("BilledCost"), ["0.123456789012345679"]);
    assert_eq!(read.column("EffectiveCost"), ["0.000000100000000000"]);
    assert_eq!(
        read.column("x_raw"),
        [r#"{"BilledCost":"0.123456789012345678901234","ChargePeriodStart":"9999-12-31T23:59:59.1234567Z"}"#]
    );
}

#[test]
fn a_row_that_does_not_parse_is_named_and_its_neighbours_stay() {
    let read = csv(
        "BilledCost,BillingPeriodStart\n1,2026-05-01\nNaN,2026-05-01\n2\n3,May\n100000000000000000000,2026-05-01\n4,2026-05-01\n",
    );
    assert_eq!(read.column("BilledCost").len(), 2);
    assert_eq!(read.column("x_source_row"), ["1", "6"]);
    assert_eq!(
        read.rejects,
        [
            "f.csv line 3: BilledCost: `NaN` is not a number",
            "f.csv line 4: has 1 cells where the header has 2",
            "f.csv line 5: BillingPeriodStart: `May` is not a time (ISO 8601: 2026-05-01T00:00:00Z)",
            "f.csv line 6: BilledCost: `100000000000000000000` has more than 20 digits before the point",
        ]
    );
}

#[test]
fn sums_of_several_currencies_are_not_made() {
    let read =
        csv("BilledCost,BillingPeriodStart,BillingCurrency\n1,2026-05-01,USD\n1,2026-05-01,EUR\n1,2026-06-01,USD\n");
    assert_eq!(read.parser.sets().iter().map(|s| s.billed).collect::<Vec<_>>(), [None, Some(10i128.pow(18))]);
}

#[test]
fn azures_own_exports_fill_the_cost_that_they_state() {
    let actual = file(&fixture("EA_ActualCost_Small.csv"));
    assert_eq!((actual.parser.accepted, actual.parser.form()), (11, Form::AzureActual));
    assert_eq!(actual.column("ChargeCategory")[0], "Purchase");
    assert_eq!(
        (actual.column("BilledCost")[0].as_str(), actual.column("EffectiveCost")[0].as_str()),
        ("3.250000000000000000", "∅")
    );
    assert_eq!(actual.column("BillingPeriodEnd")[0], "2023-10-01T00:00:00Z");
    assert_eq!(actual.column("x_app")[1], "databricks");
    assert!(actual.column("x_extra")[0].contains(r#""InvoiceSection":"ACM""#));
    let amortized = file(&fixture("EA_AmortizedCost_Small.csv"));
    assert_eq!((amortized.parser.accepted, amortized.parser.form()), (28, Form::AzureAmortized));
    assert_eq!(
        (amortized.sum("BilledCost"), amortized.column("EffectiveCost")[0].as_str()),
        (0, "0.493152000000000000")
    );
    let pair = |at: usize| {
        (
            amortized.column("CommitmentDiscountStatus")[at].clone(),
            amortized.column("CommitmentDiscountType")[at].clone(),
        )
    };
    assert_eq!(pair(0), ("Used".to_owned(), "Reservation".to_owned()));
    let german = file(&fixture("azure_german.csv"));
    assert_eq!(german.column("BilledCost")[0], "0.075000000000000000");
    assert_eq!(german.column("BillingPeriodStart")[0], "2021-02-01T00:00:00Z");
    assert_eq!(file(&fixture("EA_NoRows.csv")).parser.accepted, 0);
}

#[test]
fn azures_own_export_of_unknown_kind_is_told_by_its_rows() {
    for (name, form) in [
        ("EA_ActualCost_Small.csv", Form::AzureActual),
        ("EA_AmortizedCost_Small.csv", Form::AzureAmortized),
        ("EA_NoRows.csv", Form::AzureCost),
    ] {
        let part = Part { path: fixture(name), label: "costs.csv".to_owned(), rows: None };
        let parser = Parser::open([part].into(), None, |_| origin(), Arc::new(|_| {})).unwrap();
        assert_eq!(parser.form(), form, "{name}");
    }
    let bytes = std::fs::read(fixture("EA_ActualCost_Small.csv")).unwrap();
    let read = Parser::csv(std::io::Cursor::new(bytes), "costs.csv", None, origin());
    let error = read.err().unwrap().to_string();
    assert!(error.contains("costs.csv") && error.contains("AmortizedCost"), "{error}");
}

#[test]
fn the_other_datasets_go_to_their_tables() {
    for (name, table) in [
        ("invoice_detail", "invoice_detail"),
        ("billing_period", "billing_period"),
        ("contract_commitment", "contract_commitment"),
    ] {
        let read = file(&fixture(&format!("focus_1.4_{name}.csv")));
        assert_eq!((read.parser.table().name, read.parser.rejected), (table, 0));
        assert!(read.parser.accepted > 0);
    }
}

#[test]
fn parquet_of_any_types_is_read_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("costs.bin");
    let wide =
        Decimal256Array::from(vec![Some(i256::from_i128(123_456_789)), None]).with_precision_and_scale(50, 20).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("BilledCost", Arc::new(Float64Array::from(vec![0.1, 1e-7]))),
        ("ListCost", Arc::new(wide)),
        ("PricingQuantity", Arc::new(Int64Array::from(vec![3, 4]))),
        (
            "BillingPeriodStart",
            Arc::new(TimestampNanosecondArray::from(vec![1_777_593_600_000_000_000; 2]).with_timezone("Europe/Berlin")),
        ),
        ("Tags", Arc::new(StringArray::from(vec![Some("{}"), None]))),
        ("x_Foo", Arc::new(Int64Array::from(vec![Some(7), None]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let read = file(&path);
    assert_eq!(read.rejects, Vec::<String>::new());
    assert_eq!(read.column("BilledCost"), ["0.100000000000000000", "0.000000100000000000"]);
    assert_eq!(read.column("ListCost"), ["0.000000000001234568", "∅"]);
    assert!(read.column("x_raw")[0].contains("0.00000000000123456789"));
    assert_eq!(read.column("PricingQuantity"), ["3.000000000000000000", "4.000000000000000000"]);
    assert_eq!(read.column("BillingPeriodStart")[0], "2026-05-01T00:00:00Z");
    assert_eq!(read.column("x_extra"), [r#"{"x_Foo":"7"}"#, "∅"]);
    assert_eq!(
        read.parser.notes,
        ["costs.bin: floating-point columns, read by their shortest decimal text: BilledCost"]
    );
}

#[test]
fn corrections_come_to_the_same_in_either_form() {
    let total = |names: [&str; 2]| -> i128 {
        names.iter().map(|n| file(&fixture(&format!("corrections/closed_scenario_1_{n}.csv"))).sum("BilledCost")).sum()
    };
    assert_eq!(total(["original", "ledger"]), total(["original", "delta"]));
}
