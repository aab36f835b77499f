//! Runs the redactor over every text of a batch before it becomes durable, and counts what it finds.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int32Type};

use crate::ports::{Cell, ColumnRedactor, Finding, Redactor};
use crate::redaction_finding::{Findings, Spot};
use crate::table::Table;

/// The batch with secrets and personal data taken out of its text cells, the same arrays where there were none; and how
/// much was found.
pub fn redact(table: &'static Table, rows: RecordBatch, redactor: &dyn Redactor) -> (RecordBatch, Findings) {
    let mut findings = Findings::default();
    let mut columns = rows.columns().to_vec();
    for (place, column) in table.columns.iter().enumerate() {
        let cells = &rows.columns()[place];
        if !matches!(cells.data_type(), DataType::Utf8 | DataType::Dictionary(..)) {
            continue;
        }
        let Some(cleaner) = redactor.column(table, column) else { continue };
        let Some((clean, found)) = redact_column(cells, &*cleaner) else { continue };
        columns[place] = clean;
        for (row, finding) in found {
            let tenant = tenant(table, &rows, row).to_owned();
            findings.add(Spot { tenant, table: table.name, column: column.name, finding }, 1);
        }
    }
    (RecordBatch::try_new(rows.schema(), columns).expect("redaction keeps types and lengths"), findings)
}

/// The tenant of a row.
fn tenant<'a>(table: &Table, rows: &'a RecordBatch, row: usize) -> &'a str {
    let Some(cells) = table.position(table.tenant).map(|place| rows.column(place)) else { return "" };
    match cells.data_type() {
        DataType::Utf8 if cells.is_valid(row) => cells.as_string::<i32>().value(row),
        DataType::Dictionary(..) if cells.is_valid(row) => {
            let dictionary = cells.as_dictionary::<Int32Type>();
            dictionary.key(row).map_or("", |key| dictionary.values().as_string::<i32>().value(key))
        }
        _ => "",
    }
}

/// What was found, with the row.
type Found = Vec<(usize, Finding)>;

/// `None` when nothing had to be taken out, which is nearly always.
fn redact_column(column: &ArrayRef, redactor: &dyn ColumnRedactor) -> Option<(ArrayRef, Found)> {
    if column.data_type() == &DataType::Utf8 {
        return redact_text(column.as_string(), redactor).map(|(text, found)| (Arc::new(text) as _, found));
    }
    let dictionary = column.as_dictionary::<Int32Type>();
    let (values, found) = redact_text(dictionary.values().as_string(), redactor)?;
    // A value of a dictionary stands in many rows, and is found in each.
    let keys = dictionary.keys();
    let in_rows = keys.iter().enumerate().filter_map(|(row, key)| Some((row, usize::try_from(key?).ok()?)));
    let in_rows = in_rows.flat_map(|(row, key)| {
        found.iter().filter(move |(value, _)| *value == key).map(move |(_, finding)| (row, finding.clone()))
    });
    let in_rows = in_rows.collect();
    Some((Arc::new(DictionaryArray::new(keys.clone(), Arc::new(values))), in_rows))
}

fn redact_text(text: &StringArray, redactor: &dyn ColumnRedactor) -> Option<(StringArray, Found)> {
    let mut changed: Vec<(usize, Cell)> = Vec::new();
    let (mut found, mut in_cell) = (Vec::new(), Vec::new());
    for row in 0..text.len() {
        if text.is_valid(row)
            && let Some(clean) = redactor.redact(text.value(row), &mut in_cell)
        {
            changed.push((row, clean));
        }
        found.extend(in_cell.drain(..).map(|finding| (row, finding)));
    }
    if changed.is_empty() {
        return None;
    }
    let mut changed = changed.into_iter().peekable();
    let clean = (0..text.len()).map(|row| match changed.next_if(|(at, _)| *at == row) {
        Some((_, Cell::Text(clean))) => Some(Cow::Owned(clean)),
        Some((_, Cell::Null)) => None,
        None => text.is_valid(row).then(|| Cow::Borrowed(text.value(row))),
    });
    Some((clean.collect(), found))
}
