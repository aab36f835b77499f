//! A CSV file with named columns; what is wrong is said with its file, row and column.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use engine::{Error, Result};
use ledger::allocate::Labels;
use ledger::decimal;

/// A file, read.
pub struct Sheet {
    name: String,
    header: Vec<String>,
    records: Vec<csv::StringRecord>,
}

/// One row of it.
pub struct Line<'a> {
    sheet: &'a Sheet,
    record: &'a csv::StringRecord,
    number: usize,
}

/// The header is row 1.
const FIRST_ROW: usize = 2;

impl Sheet {
    /// Reads a file of a folder; `None` if it is not there.
    pub fn open(folder: &Path, name: &str) -> Result<Option<Sheet>> {
        let Some((mut sheet, mut reader)) = Sheet::begin(folder, name)? else { return Ok(None) };
        sheet.records = reader.records().collect::<std::result::Result<_, _>>().map_err(|e| sheet.torn(e))?;
        Ok(Some(sheet))
    }

    /// Hands the rows of a file of a folder over one by one; says whether it is there. For files of any length.
    pub fn each(folder: &Path, name: &str, take: &mut dyn FnMut(&Line<'_>) -> Result<()>) -> Result<bool> {
        let Some((sheet, mut reader)) = Sheet::begin(folder, name)? else { return Ok(false) };
        let mut record = csv::StringRecord::new();
        let mut number = FIRST_ROW;
        while reader.read_record(&mut record).map_err(|e| sheet.torn(e))? {
            take(&Line { sheet: &sheet, record: &record, number })?;
            number += 1;
        }
        Ok(true)
    }

    fn begin(folder: &Path, name: &str) -> Result<Option<(Sheet, csv::Reader<File>)>> {
        let path = folder.join(name);
        if !path.exists() {
            return Ok(None);
        }
        let mut sheet = Sheet { name: path.display().to_string(), header: Vec::new(), records: Vec::new() };
        let reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(&path);
        let mut reader = reader.map_err(|e| sheet.torn(e))?;
        let header = reader.headers().map_err(|e| sheet.torn(e))?;
        sheet.header = header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
        if sheet.header.iter().collect::<HashSet<_>>().len() < sheet.header.len() {
            return Err(Error::invalid(format!("read {}: its header names a column twice", sheet.name)));
        }
        Ok(Some((sheet, reader)))
    }

    fn torn(&self, cause: csv::Error) -> Error {
        Error::invalid(format!("read {}: {cause}", self.name))
    }

    /// Its rows.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let line = |(at, record)| Line { sheet: self, record, number: at + FIRST_ROW };
        self.records.iter().enumerate().map(line)
    }
}

/// Columns that begin alike, as labels by the rest of their names. Rows of one workload share theirs.
pub struct Prefixed {
    prefix: &'static str,
    known: HashMap<String, Labels>,
    cells: String,
}

/// Between the cells of a key.
const BETWEEN: char = '\u{1f}';

impl Prefixed {
    /// The columns that begin so.
    pub fn new(prefix: &'static str) -> Prefixed {
        Prefixed { prefix, known: HashMap::new(), cells: String::new() }
    }

    /// Those of a row; empty cells are left out.
    pub fn of(&mut self, line: &Line<'_>) -> Labels {
        let prefix = self.prefix;
        let named = || {
            let cells = line.sheet.header.iter().zip(line.record);
            cells.filter_map(move |(name, text)| Some((name.strip_prefix(prefix)?, text)))
        };
        self.cells.clear();
        for (_, text) in named() {
            self.cells.push_str(text);
            self.cells.push(BETWEEN);
        }
        if let Some(known) = self.known.get(&self.cells) {
            return Arc::clone(known);
        }
        let filled = named().filter(|(_, text)| !text.is_empty());
        let labels: Labels = Arc::new(filled.map(|(name, text)| (name.to_owned(), text.to_owned())).collect());
        // Cells that hold the mark could be two different rows.
        if !named().any(|(_, text)| text.contains(BETWEEN)) {
            self.known.insert(self.cells.clone(), Arc::clone(&labels));
        }
        labels
    }
}

impl Line<'_> {
    fn wrong(&self, column: &str, what: &str) -> Error {
        Error::invalid(format!("{} row {}: {column} {what}", self.sheet.name, self.number))
    }

    fn cell(&self, column: &str) -> &str {
        // A few dozen names at most: lengths tell most of them apart.
        let at = self.sheet.header.iter().position(|name| name == column);
        at.and_then(|at| self.record.get(at)).unwrap_or_default()
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
}
