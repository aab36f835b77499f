//! What every door promises of the rows that it hands over, whatever came in.

use engine::arrow::array::{Array, AsArray, RecordBatch};
use engine::arrow::datatypes::{DataType, Int8Type, Int32Type};
use engine::reject::REJECT;
use engine::table::OP;
use engine::{Frame, Scope, Table};
use ingest::Parsed;
use ingest::redact::Redaction;

/// Stands in an input where a secret is put.
pub const PLACE: &[u8] = b"~~";
/// Made up; of the form that the issuer's tokens have.
const SECRET: &str = concat!("ghp", "_", "0123456789abcdefghijABCDEFGHIJ012345");

/// The input with a secret in every place for one. Blanks keep it apart from what stands beside it: glued to a word it is
/// no token any more. A fuzzer that watches comparisons learns the secret; where it writes it, it is taken out first.
pub fn plant(data: &[u8]) -> Vec<u8> {
    let bare = replace(data, SECRET.as_bytes(), b"");
    replace(&bare, PLACE, format!(" {SECRET} ").as_bytes())
}

fn replace(data: &[u8], word: &[u8], by: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some(at) = rest.windows(word.len()).position(|w| w == word) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(by);
        rest = &rest[at + word.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// Checks all rows of a frame made of `parsed`, the refused records among them.
pub fn check(parsed: Parsed, source: &str, scope: &Scope) {
    let rejects = parsed.rejects.len();
    let frame: Frame = parsed.into_frame(source, scope);
    let kept = frame.batches.iter().filter(|b| b.table.name == REJECT.name).map(|b| b.rows.num_rows());
    assert_eq!(kept.sum::<usize>(), rejects, "every refused record is a row of reject");
    for batch in frame.batches {
        check_batch(batch.table, batch.rows);
    }
}

/// Checks one table's rows: the schema, what is required, and that no secret is left once they are redacted.
pub fn check_batch(table: &'static Table, rows: RecordBatch) {
    engine::facts::encode::check(table, &rows).unwrap_or_else(|e| panic!("{}: {e}", table.name));
    let op = rows.column_by_name(OP).map(|op| op.as_primitive::<Int8Type>().clone());
    for (column, cells) in table.columns.iter().zip(rows.columns()).filter(|(column, _)| column.required) {
        let missing = |row: &usize| cells.is_null(*row) && op.as_ref().is_none_or(|op| op.is_null(*row));
        let row = (0..rows.num_rows()).find(missing);
        assert!(row.is_none(), "{}.{} is null in the plain row {row:?}", table.name, column.name);
    }
    thread_local! {
        // Its patterns are compiled once.
        static REDACTION: Redaction = Redaction::default();
    }
    let (clean, _) = REDACTION.with(|redaction| engine::redact::redact(table, rows, redaction));
    for (column, cells) in table.columns.iter().zip(clean.columns()) {
        let held = holding(cells, SECRET);
        assert!(held.is_none(), "{}.{} still holds the secret: {held:?}", table.name, column.name);
    }
}

/// The first text cell that holds this word.
fn holding<'a>(cells: &'a dyn Array, word: &str) -> Option<&'a str> {
    let texts = match cells.data_type() {
        DataType::Utf8 => cells.as_string::<i32>(),
        DataType::Dictionary(..) => cells.as_dictionary::<Int32Type>().values().as_string::<i32>(),
        _ => return None,
    };
    texts.iter().flatten().find(|text| text.contains(word))
}
