//! Runs the redactor over every text of a batch before it becomes durable.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int32Type};

use crate::ports::Redactor;

/// The batch with secrets taken out of its text cells; the same arrays where there were none.
pub fn redact(rows: RecordBatch, redactor: &dyn Redactor) -> RecordBatch {
    let columns: Vec<ArrayRef> = rows.columns().iter().map(|column| redact_column(column, redactor)).collect();
    RecordBatch::try_new(rows.schema(), columns).expect("redaction keeps types and lengths")
}

fn redact_column(column: &ArrayRef, redactor: &dyn Redactor) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8 => {
            redact_text(column.as_string(), redactor).map_or_else(|| column.clone(), |text| Arc::new(text) as _)
        }
        DataType::Dictionary(..) => {
            let dictionary = column.as_dictionary::<Int32Type>();
            match redact_text(dictionary.values().as_string(), redactor) {
                Some(values) => Arc::new(DictionaryArray::new(dictionary.keys().clone(), Arc::new(values))),
                None => column.clone(),
            }
        }
        _ => column.clone(),
    }
}

/// `None` when nothing had to be taken out, which is nearly always.
fn redact_text(text: &StringArray, redactor: &dyn Redactor) -> Option<StringArray> {
    let mut changed: Vec<(usize, String)> = Vec::new();
    for row in 0..text.len() {
        if text.is_valid(row)
            && let Cow::Owned(clean) = redactor.redact(text.value(row))
        {
            changed.push((row, clean));
        }
    }
    if changed.is_empty() {
        return None;
    }
    let mut changed = changed.into_iter().peekable();
    let clean = (0..text.len()).map(|row| match changed.next_if(|(at, _)| *at == row) {
        Some((_, clean)) => Some(Cow::Owned(clean)),
        None => text.is_valid(row).then(|| Cow::Borrowed(text.value(row))),
    });
    Some(clean.collect())
}
