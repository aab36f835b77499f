//! Cost files as CSV, FOCUS and Azure's own forms: every record is a row or a reject, and the sum that the register keeps
//! is the sum of the rows.

use std::io::Cursor;

use engine::arrow::array::{Array, AsArray, RecordBatch};
use engine::arrow::datatypes::{Decimal128Type, Int8Type};
use engine::table::OP;
use ingest::cost::{Form, Origin, Parser};

use super::rows;

/// One file, as each of the forms that its name could announce.
pub fn csv(data: &[u8]) {
    let file = rows::plant(data);
    for hint in [None, Some(Form::AzureActual), Some(Form::AzureAmortized)] {
        if let Ok(parser) = Parser::csv(Cursor::new(file.clone()), "fuzz.csv", hint, origin()) {
            read(parser, &file);
        }
    }
}

fn origin() -> Origin {
    Origin {
        tenant: "acme".to_owned(),
        named_tenants: true,
        export: "fuzz".to_owned(),
        run_id: "run".to_owned(),
        period: None,
        replaces: Vec::new(),
        seals: ledger::period::Seals::default(),
    }
}

fn read(mut parser: Parser, file: &[u8]) {
    let (mut plain, mut billed) = (0, Some(0_i128));
    let ended = loop {
        match parser.next_batch() {
            Ok(Some(batch)) => {
                let (rows, sum) = totals(&batch);
                plain += rows;
                billed = billed.zip(sum).and_then(|(a, b)| a.checked_add(b));
                rows::check_batch(parser.table(), batch);
            }
            Ok(None) => break true,
            // What follows cannot be found; the run is refused as a whole.
            Err(_) => break false,
        }
    };
    let rejects = parser.take_rejects();
    assert!(!ended || rejects.len() as u64 == parser.rejected, "every refused row is told of");
    let kept = ingest::Parsed { rejects, ..ingest::Parsed::default() };
    rows::check(kept, "fuzz.csv", &engine::Scope::platform("fuzz"));
    if ended {
        assert_eq!(plain, parser.accepted, "an accepted record is a row");
        let sets: u64 = parser.sets().iter().map(|set| set.rows).sum();
        assert_eq!(plain, sets, "the register counts the rows");
        let summed: Option<i128> = parser.sets().iter().try_fold(0_i128, |sum, set| sum.checked_add(set.billed?));
        assert!(summed.is_none() || summed == billed, "the register sums the rows: {summed:?}, {billed:?}");
        counted(file, parser.accepted + parser.rejected);
    }
}

/// Plain rows of a batch and the sum of their BilledCost.
fn totals(batch: &RecordBatch) -> (u64, Option<i128>) {
    let op = batch.column_by_name(OP).map(|op| op.as_primitive::<Int8Type>());
    let plain = |row: &usize| op.is_none_or(|op| op.is_null(*row));
    let billed = batch.column_by_name("BilledCost").map(|column| column.as_primitive::<Decimal128Type>());
    let cell = |row: usize| billed.filter(|billed| billed.is_valid(row)).map_or(0, |billed| billed.value(row));
    let rows: Vec<usize> = (0..batch.num_rows()).filter(plain).collect();
    (rows.len() as u64, rows.iter().try_fold(0_i128, |sum, row| sum.checked_add(cell(*row))))
}

/// Compares with how many records any reader of CSV finds, whichever of the delimiters it takes.
fn counted(file: &[u8], found: u64) {
    let compressed = file.starts_with(&[0x1f, 0x8b]) || file.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    if compressed {
        return;
    }
    let text = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let count = |delimiter: &u8| {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(*delimiter).from_reader(text);
        (reader.byte_records().count() as u64).saturating_sub(1)
    };
    let counts: Vec<u64> = b",;\t".iter().map(count).collect();
    assert!(counts.contains(&found), "{found} rows and rejects of {counts:?} records");
}
