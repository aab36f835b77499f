//! Runs the redactor over every text of a batch before it becomes durable, and counts what it finds.

use std::borrow::Cow;
use std::collections::HashMap;
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
    if table.derived {
        return (rows, findings);
    }
    let mut columns = rows.columns().to_vec();
    for (place, column) in table.columns.iter().enumerate() {
        let cells = &rows.columns()[place];
        if !matches!(cells.data_type(), DataType::Utf8 | DataType::Dictionary(..)) {
            continue;
        }
        let Some(cleaner) = redactor.column(table, column) else { continue };
        let Some((clean, found)) = redact_column(cells, &*cleaner) else { continue };
        columns[place] = clean;
        // A column may have a finding in every row; few of them differ.
        let mut counts: HashMap<(&str, &Finding), i64> = HashMap::new();
        for (row, finding) in &found {
            *counts.entry((tenant(table, &rows, *row), finding)).or_default() += 1;
        }
        for ((tenant, finding), count) in counts {
            let (tenant, finding) = (tenant.to_owned(), finding.clone());
            findings.add(Spot { tenant, table: table.name, column: column.name, finding }, count);
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
        let mut seen = Seen::new(redactor);
        let clean = redact_text(column.as_string(), &mut |text| seen.redact(text));
        return clean.map(|(text, found)| (Arc::new(text) as _, found));
    }
    let dictionary = column.as_dictionary::<Int32Type>();
    let (values, found) = redact_text(dictionary.values().as_string(), &mut |text| say(redactor, text))?;
    // A value of a dictionary stands in many rows, and is found in each.
    let keys = dictionary.keys();
    let in_rows = keys.iter().enumerate().filter_map(|(row, key)| Some((row, usize::try_from(key?).ok()?)));
    let in_rows = in_rows.flat_map(|(row, key)| {
        found.iter().filter(move |(value, _)| *value == key).map(move |(_, finding)| (row, finding.clone()))
    });
    let in_rows = in_rows.collect();
    // Nothing reads a dictionary whose values are null; the keys are.
    let live = |key: &i32| usize::try_from(*key).is_ok_and(|key| values.is_valid(key));
    let keys = if values.null_count() == 0 { keys.clone() } else { keys.iter().map(|key| key.filter(live)).collect() };
    Some((Arc::new(DictionaryArray::new(keys, Arc::new(values))), in_rows))
}

fn redact_text<'a>(text: &'a StringArray, redact: &mut dyn FnMut(&'a str) -> Said) -> Option<(StringArray, Found)> {
    let mut changed: Vec<(usize, Cell)> = Vec::new();
    let mut found = Vec::new();
    for row in (0..text.len()).filter(|row| text.is_valid(*row)) {
        let (clean, in_cell) = redact(text.value(row));
        changed.extend(clean.map(|clean| (row, clean)));
        found.extend(in_cell.into_iter().map(|finding| (row, finding)));
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

/// Cells after which a column's texts are either known to repeat or not looked up any more. Most columns tell soon: what names a
/// resource or a product stands in many rows, bodies and numbers differ from the first on.
const TRIAL_CELLS: usize = 64;
/// Different texts of one batch that are remembered.
const TEXTS_MAX: usize = 16_384;

/// What the redactor said of the texts of one column: those that stand in many rows are read once; of a column whose texts all
/// differ only the last one is remembered.
struct Seen<'a> {
    redactor: &'a dyn ColumnRedactor,
    texts: HashMap<&'a str, Said>,
    last: Option<(&'a str, Said)>,
    cells: usize,
    hits: usize,
}

/// What is stored in place of a text, and what was found in it.
type Said = (Option<Cell>, Vec<Finding>);

fn say(redactor: &dyn ColumnRedactor, text: &str) -> Said {
    let mut found = Vec::new();
    let clean = redactor.redact(text, &mut found);
    (clean, found)
}

impl<'a> Seen<'a> {
    fn new(redactor: &'a dyn ColumnRedactor) -> Self {
        Seen { redactor, texts: HashMap::new(), last: None, cells: 0, hits: 0 }
    }

    fn redact(&mut self, text: &'a str) -> Said {
        if let Some((_, said)) = self.last.as_ref().filter(|(last, _)| *last == text) {
            return said.clone();
        }
        self.cells += 1;
        let pays = self.cells < TRIAL_CELLS || self.hits * 2 > self.cells;
        let known = pays.then(|| self.texts.get(text).cloned()).flatten();
        self.hits += usize::from(known.is_some());
        let said = known.unwrap_or_else(|| {
            let said = say(self.redactor, text);
            if pays && self.texts.len() < TEXTS_MAX {
                self.texts.insert(text, said.clone());
            }
            said
        });
        self.last.insert((text, said)).1.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::rows::Rows;
    use crate::table::{Column, Type};

    static TABLE: Table = Table::new(
        "note",
        "Notes.",
        &[
            Column::new("tenant", Type::Name, "Tenant.").required(),
            Column::new("author", Type::Name, "Author."),
            Column::new("text", Type::Text, "Text."),
        ],
    );

    /// Takes a word out of every column but the tenant; a cell that is nothing else becomes null.
    #[derive(Debug)]
    struct Word;

    impl Redactor for Word {
        fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
            Cow::Borrowed(text)
        }

        fn column<'a>(&'a self, _: &Table, column: &Column) -> Option<Box<dyn ColumnRedactor + 'a>> {
            (column.name != "tenant").then(|| Box::new(Word) as _)
        }
    }

    impl ColumnRedactor for Word {
        fn redact(&self, text: &str, found: &mut Vec<Finding>) -> Option<Cell> {
            let count = text.matches("anna").count();
            found.extend((0..count).map(|_| Finding { detector: "name".into(), action: "mask" }));
            match text {
                "anna" => Some(Cell::Null),
                _ => (count > 0).then(|| Cell::Text(text.replace("anna", "x"))),
            }
        }
    }

    #[test]
    fn cells_change_and_findings_are_counted_by_row_and_tenant() {
        let mut rows = Rows::new(&TABLE);
        for (tenant, author, text) in
            [("a", "anna", "anna and anna"), ("a", "anna", "nobody"), ("b", "anna", "anna"), ("b", "otto", "nobody")]
        {
            rows.set("tenant", tenant).set("author", author).set("text", text);
            rows.end_row().unwrap();
        }
        let mut frame = crate::Frame::new("test");
        frame.push_rows(&mut rows);
        let (clean, findings) = redact(&TABLE, frame.batches.remove(0).rows, &Word);
        assert_eq!(clean.column(1).null_count(), 3);
        let texts: Vec<_> = clean.column(2).as_string::<i32>().iter().collect();
        assert_eq!(texts, [Some("x and x"), Some("nobody"), None, Some("nobody")]);
        let mut counted = Rows::new(&crate::redaction_finding::REDACTION_FINDING);
        assert_eq!(findings.total(), 6);
        findings.write(61_000_000, &mut counted);
        let mut frame = crate::Frame::new("test");
        frame.push_rows(&mut counted);
        let counted = frame.batches.remove(0).rows;
        let numbers =
            counted.column_by_name("findings").unwrap().as_primitive::<arrow::datatypes::Int64Type>().values();
        // By tenant, then column: a's two authors and two words, b's author and word.
        assert_eq!(numbers.to_vec(), [2, 2, 1, 1]);
    }
}
