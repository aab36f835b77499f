//! A CSV file with named columns; what is wrong is said with its file, row and column.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use engine::{Error, Result};
use ledger::decimal;

/// A file, read.
pub struct Sheet {
    name: String,
    header: Vec<String>,
    /// Where each column stands.
    places: HashMap<String, usize>,
    records: Vec<csv::StringRecord>,
}

/// One row of it.
pub struct Line<'a> {
    sheet: &'a Sheet,
    record: &'a csv::StringRecord,
    number: usize,
}

impl Sheet {
    /// Reads a file of a folder; `None` if it is not there.
    pub fn open(folder: &Path, name: &str) -> Result<Option<Sheet>> {
        let path = folder.join(name);
        if !path.exists() {
            return Ok(None);
        }
        let wrong = |e: csv::Error| Error::invalid(format!("read {}: {e}", path.display()));
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(&path).map_err(wrong)?;
        let header = reader.headers().map_err(wrong)?.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned());
        let header: Vec<String> = header.collect();
        let places: HashMap<String, usize> = header.iter().cloned().enumerate().map(|(at, name)| (name, at)).collect();
        if places.len() < header.len() {
            return Err(Error::invalid(format!("read {}: its header names a column twice", path.display())));
        }
        let records = reader.records().collect::<std::result::Result<_, _>>().map_err(wrong)?;
        Ok(Some(Sheet { name: path.display().to_string(), header, places, records }))
    }

    /// Its rows.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        // The header is row 1.
        self.records.iter().enumerate().map(|(at, record)| Line { sheet: self, record, number: at + 2 })
    }
}

impl Line<'_> {
    fn wrong(&self, column: &str, what: &str) -> Error {
        Error::invalid(format!("{} row {}: {column} {what}", self.sheet.name, self.number))
    }

    fn cell(&self, column: &str) -> &str {
        self.sheet.places.get(column).and_then(|at| self.record.get(*at)).unwrap_or_default()
    }

    /// A text; empty where it is missing.
    pub fn text(&self, column: &str) -> String {
        self.cell(column).to_owned()
    }

    /// A text that must be there.
    pub fn needed(&self, column: &str) -> Result<String> {
        match self.cell(column) {
            "" => Err(self.wrong(column, "is missing")),
            text => Ok(text.to_owned()),
        }
    }

    /// A number in units of 10⁻¹⁸; zero where it is missing.
    pub fn amount(&self, column: &str) -> Result<i128> {
        Ok(self.maybe_amount(column)?.unwrap_or_default())
    }

    /// A number in units of 10⁻¹⁸.
    pub fn maybe_amount(&self, column: &str) -> Result<Option<i128>> {
        match self.cell(column) {
            "" => Ok(None),
            text => match decimal::parse(text) {
                Ok(number) => Ok(Some(number.units)),
                Err(why) => Err(self.wrong(column, &format!("{text:?} {why}"))),
            },
        }
    }

    /// A number that is not negative.
    pub fn quantity(&self, column: &str) -> Result<i128> {
        let amount = self.amount(column)?;
        if amount < 0 { Err(self.wrong(column, "is negative")) } else { Ok(amount) }
    }

    /// An instant in microseconds since 1970.
    pub fn instant(&self, column: &str) -> Result<i64> {
        let text = self.needed(column)?;
        let at = chrono::DateTime::parse_from_rfc3339(&text);
        at.map(|at| at.timestamp_micros()).map_err(|_| self.wrong(column, &format!("{text:?} is no RFC 3339 instant")))
    }

    /// Whether a cell says yes.
    pub fn flag(&self, column: &str) -> bool {
        matches!(self.cell(column).to_ascii_lowercase().as_str(), "true" | "1" | "yes")
    }

    /// Columns with this beginning, by the rest of their names; empty cells are left out.
    pub fn prefixed(&self, prefix: &str) -> BTreeMap<String, String> {
        let cells = self.sheet.header.iter().zip(self.record);
        let named = cells.filter_map(|(name, text)| Some((name.strip_prefix(prefix)?.to_owned(), text.to_owned())));
        named.filter(|(_, text)| !text.is_empty()).collect()
    }
}
