//! From a batch as ingest made it to rows as stored: the store's own columns, and the encodings that Lance should use.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::table::{SEQ, Table, Type};

/// Lance's hints for texts: chunks of this size are compressed and read as one. With 32 KiB a log's body took 1.32 times
/// what it takes in Parquet, whose pages are a megabyte.
const TEXT_HINTS: Hints = &[
    ("lance-encoding:compression", "zstd"),
    ("lance-encoding:compression-level", "3"),
    ("lance-encoding:minichunk-size", "262144"),
    // Lance makes a page's dictionary by itself where texts repeat, and would compress its values with lz4: nothing for ids.
    ("lance-encoding:dict-values-compression", "zstd"),
];
/// For names: keys in as many bits as the dictionary needs (not split into byte planes: slow to join), runs compressed.
const NAME_HINTS: Hints = &[
    ("lance-encoding:compression", "zstd"),
    ("lance-encoding:bss", "off"),
    ("lance-encoding:dict-values-compression", "zstd"),
];
const NUMBER_HINTS: Hints = &[("lance-encoding:compression", "zstd")];
/// For what grows by one from row to row: its low bytes repeat, each byte's plane by itself.
const SEQ_HINTS: Hints = &[("lance-encoding:compression", "zstd"), ("lance-encoding:bss", "on")];

type Hints = &'static [(&'static str, &'static str)];

/// The stored schema with Lance's encoding hints.
pub fn lance_schema(table: &Table) -> SchemaRef {
    let stored = table.stored_schema();
    let fields: Vec<Field> = stored
        .fields()
        .iter()
        .map(|field| {
            let hints: Hints = match table.columns.iter().find(|c| c.name == field.name()).map(|c| c.kind) {
                Some(Type::Text | Type::Json | Type::Bytes) => TEXT_HINTS,
                // The numbers of a vector do not get smaller, and an index reads them as they are.
                Some(Type::Vector(_)) => &[],
                None if field.name() == SEQ => SEQ_HINTS,
                _ if matches!(field.data_type(), DataType::Dictionary(..)) => NAME_HINTS,
                _ => NUMBER_HINTS,
            };
            let metadata: HashMap<String, String> =
                hints.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            field.as_ref().clone().with_metadata(metadata)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// Refuses a batch that is not of the table's schema, or lacks a required cell in a plain row.
pub fn check(table: &Table, rows: &RecordBatch) -> Result<()> {
    let expected = table.batch_schema();
    let same = expected.fields().len() == rows.num_columns()
        && expected
            .fields()
            .iter()
            .zip(rows.schema().fields())
            .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type());
    if !same {
        return Err(Error::invalid(format!("a batch for {} has another schema than the table", table.name)));
    }
    if table.supersedes() {
        return Ok(()); // A delete or a mark carries its key only; `Rows` has checked the plain ones.
    }
    match table.columns.iter().zip(rows.columns()).find(|(c, array)| c.required && array.null_count() > 0) {
        Some((column, _)) => Err(Error::invalid(format!("{}.{} is required", table.name, column.name))),
        None => Ok(()),
    }
}

/// Adds source, ingest time and `_seq` (from `first` on) to a batch of [`Table::batch_schema`].
pub fn stored(table: &Table, rows: &RecordBatch, source: &str, at_us: i64, first: u64) -> RecordBatch {
    let n = rows.num_rows();
    let values: ArrayRef = Arc::new(StringArray::from(vec![source]));
    let keys = Int32Array::from(vec![0; n]);
    let source: DictionaryArray<Int32Type> = DictionaryArray::new(keys, values);
    let at = TimestampMicrosecondArray::from(vec![at_us; n]).with_timezone("UTC");
    let first = i64::try_from(first).expect("the log never reaches 2^63 rows");
    let seq: Int64Array = (first..).take(n).collect();
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns.push(Arc::new(source));
    columns.push(Arc::new(at));
    columns.push(Arc::new(seq));
    RecordBatch::try_new(table.stored_schema(), columns).expect("a checked batch and our columns are the stored schema")
}

/// The same rows with columns in the order of `schema` (a table that was upgraded has its new columns last).
pub fn in_order_of(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns: Result<Vec<ArrayRef>> = schema
        .fields()
        .iter()
        .map(|field| match rows.column_by_name(field.name()) {
            Some(column) => Ok(column.clone()),
            // A column that a newer binary added and this one does not know.
            None => Ok(arrow::array::new_null_array(field.data_type(), rows.num_rows())),
        })
        .collect();
    RecordBatch::try_new(schema.clone(), columns?).map_err(|e| Error::unavailable("order a batch's columns", e))
}
