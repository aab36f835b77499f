#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use engine::arrow::array::*;
use engine::arrow::datatypes::*;
use engine::arrow::ipc::reader::StreamReader;
use engine::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::table::{Look, Table};
use super::*;

fn sample() -> RecordBatch {
    let names: DictionaryArray<Int32Type> = [Some("a,b"), None, Some("")].into_iter().collect();
    let money = Decimal128Array::from(vec![Some(12_500_000_000_000_000_000), Some(-1), None])
        .with_precision_and_scale(38, 18)
        .unwrap();
    let times = TimestampMicrosecondArray::from(vec![Some(1_790_000_000_123_456), Some(0), None]).with_timezone("UTC");
    let floats = Float64Array::from(vec![Some(1.5), Some(f64::NAN), Some(1e300)]);
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_null();
    lists.append_value([]);
    RecordBatch::try_from_iter([
        ("name", Arc::new(names) as ArrayRef),
        ("count", Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(-7), None]))),
        ("money", Arc::new(money)),
        ("at", Arc::new(times)),
        ("ratio", Arc::new(floats)),
        ("list", Arc::new(lists.finish())),
        ("raw", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\x00\xff"), None, Some(b"")]))),
        ("ok", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
    ])
    .unwrap()
}

fn written(mut encoder: Box<dyn Encoder>, batches: &[RecordBatch]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.begin(&mut out).unwrap();
    for batch in batches {
        chunks(batch).for_each(|chunk| encoder.batch(&chunk, &mut out).unwrap());
    }
    encoder.finish(&mut out).unwrap();
    out
}

fn text(format: Format, batches: &[RecordBatch]) -> String {
    let schema = batches[0].schema();
    String::from_utf8(written(format.encoder(&schema).unwrap(), batches)).unwrap()
}

#[test]
fn csv_keeps_null_and_empty_apart() {
    let expected = "\
name,count,money,at,ratio,list,raw,ok
\"a,b\",9223372036854775807,12.5,2026-09-21T14:13:20.123456Z,1.5,\"[1,null]\",00ff,true
,-7,-0.000000000000000001,1970-01-01T00:00:00Z,NaN,,,false
\"\",,,,1e300,[],\"\",
";
    assert_eq!(text(Format::Csv, &[sample()]), expected);
}

#[test]
fn json_is_exact_and_parses() {
    let json: serde_json::Value = serde_json::from_str(&text(Format::Json, &[sample(), sample()])).unwrap();
    let rows = json.as_array().unwrap();
    assert_eq!(rows.len(), 6);
    let first = serde_json::json!({"name": "a,b", "count": i64::MAX, "money": "12.5", "at": "2026-09-21T14:13:20.123456Z", "ratio": 1.5,
        "list": [1, null], "raw": "00ff", "ok": true});
    assert_eq!(rows[3], first);
    assert_eq!(
        (&rows[1]["ratio"], &rows[1]["money"], &rows[1]["name"]),
        (&"NaN".into(), &"-0.000000000000000001".into(), &serde_json::Value::Null)
    );
    assert_eq!(rows[2]["ratio"], 1e300);
    let lines = text(Format::Jsonl, &[sample()]);
    assert_eq!(
        lines.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()).collect::<Vec<_>>(),
        rows[..3]
    );
}

#[test]
fn a_document_proves_that_it_is_whole() {
    let schema = sample().schema();
    let whole = String::from_utf8(written(json_document(&schema, "q-1"), &[sample()])).unwrap();
    let json: serde_json::Value = serde_json::from_str(&whole).unwrap();
    assert_eq!((&json["query_id"], &json["row_count"]), (&"q-1".into(), &3.into()));
    assert_eq!(json["schema"][2]["type"], "Decimal128(38, 18)");
    let empty: serde_json::Value = serde_json::from_slice(&written(json_document(&schema, "q"), &[])).unwrap();
    assert_eq!((&empty["rows"], &empty["row_count"]), (&serde_json::json!([]), &0.into()));
}

#[test]
fn strings_are_escaped_for_json_and_for_terminals() {
    let nasty = "\"\\\n\u{1}\u{1b}[31m ä €";
    let batch = RecordBatch::try_from_iter([("t", Arc::new(StringArray::from(vec![nasty])) as ArrayRef)]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text(Format::Json, std::slice::from_ref(&batch))).unwrap();
    assert_eq!(json[0]["t"], nasty);
    let table = text(Format::Table, &[batch]);
    assert!(!table.contains('\u{1b}') && table.contains("\\n\\u{1}\\u{1b}[31m ä €"), "{table}");
}

#[test]
fn names_that_repeat_stay_apart_in_json() {
    let one = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let fields: Vec<Field> = ["a", "a", "a_2"].map(|n| Field::new(n, DataType::Int64, true)).to_vec();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![one(), one(), one()]).unwrap();
    assert_eq!(text(Format::Jsonl, &[batch]), "{\"a\":1,\"a_2\":1,\"a_2_2\":1}\n");
}

#[test]
fn a_dictionary_of_nothing_but_nulls_is_null_in_every_format() {
    let nulls: DictionaryArray<Int32Type> = [None::<&str>, None].into_iter().collect();
    let batch = RecordBatch::try_from_iter([("a", Arc::new(nulls) as ArrayRef)]).unwrap();
    assert_eq!(text(Format::Csv, std::slice::from_ref(&batch)), "a\n\n\n");
    assert_eq!(text(Format::Jsonl, std::slice::from_ref(&batch)), "{\"a\":null}\n{\"a\":null}\n");
    for format in [Format::Arrow, Format::Parquet] {
        written(format.encoder(&batch.schema()).unwrap(), std::slice::from_ref(&batch));
    }
}

#[test]
fn arrow_and_parquet_read_back_with_plain_text() {
    let arrow = written(Format::Arrow.encoder(&sample().schema()).unwrap(), &[sample(), sample()]);
    let read: Vec<RecordBatch> = StreamReader::try_new(arrow.as_slice(), None).unwrap().map(Result::unwrap).collect();
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].schema().field(0).data_type(), &DataType::Utf8);
    assert_eq!(read[0].column(2), sample().column(2));
    let parquet = written(Format::Parquet.encoder(&sample().schema()).unwrap(), &[sample(), sample()]);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(parquet)).unwrap().build().unwrap();
    let read: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 6);
    assert_eq!(read[0].column(2).slice(0, 3).as_ref(), sample().column(2).as_ref());
}

#[test]
fn every_format_writes_an_answer_without_rows_or_columns() {
    let none = Arc::new(Schema::empty());
    for format in [Format::Table, Format::Json, Format::Jsonl, Format::Csv, Format::Arrow, Format::Parquet] {
        written(format.encoder(&sample().schema()).unwrap(), &[sample().slice(0, 0)]);
        written(format.encoder(&none).unwrap(), &[]);
    }
    assert_eq!(text(Format::Json, &[sample().slice(0, 0)]), "[]\n");
}

#[test]
fn tables_align_and_are_cut_on_a_terminal_only() {
    let batch = RecordBatch::try_from_iter([
        ("service", Arc::new(StringArray::from(vec![Some("checkout with a very long name indeed"), None])) as ArrayRef),
        ("n", Arc::new(Int64Array::from(vec![5, 12_000]))),
    ])
    .unwrap();
    assert_eq!(
        text(Format::Table, std::slice::from_ref(&batch)),
        " service                               │     n
───────────────────────────────────────┼───────
 checkout with a very long name indeed │     5
 NULL                                  │ 12000
"
    );
    let narrow = Look { width: Some(24), colour: false };
    let cut = String::from_utf8(written(Box::new(Table::new(&batch.schema(), narrow)), &[batch])).unwrap();
    assert!(cut.contains(" checkout with… │     5"), "{cut}");
    assert!(cut.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 24), "{cut}");
    let wide = RecordBatch::try_from_iter(
        (0..40).map(|i| (format!("column_{i}"), Arc::new(Int64Array::from(vec![i])) as ArrayRef)),
    )
    .unwrap();
    let cut = String::from_utf8(written(
        Box::new(Table::new(&wide.schema(), Look { width: Some(60), colour: false })),
        &[wide],
    ))
    .unwrap();
    assert!(cut.contains("more columns"), "{cut}");
    assert!(cut.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 60), "{cut}");
}

#[test]
fn large_batches_come_in_chunks() {
    let batch =
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from_iter_values(0..20_000)) as ArrayRef)]).unwrap();
    assert_eq!(chunks(&batch).map(|c| c.num_rows()).collect::<Vec<_>>(), [8_192, 8_192, 3_616]);
    assert_eq!(text(Format::Csv, &[batch]).lines().count(), 20_001);
}
