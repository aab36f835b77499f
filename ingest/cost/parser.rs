//! The files of one run become batches and rejects: the pure part of reading cost data, without store or clock.

use std::collections::VecDeque;
use std::io::Read;
use std::path::PathBuf;

use engine::arrow::array::RecordBatch;
use engine::reject::Reject;
use engine::{Error, Result, Table};

use super::azure;
use super::batch::{Builder, Cells, Origin, SetTotal};
use super::layout::{Form, Header, Layout};
use super::mapping::{self, Mapping};
use super::records::{OnBytes, Records, RowCells};

/// More refused rows than this refuse the run: the file is then not what it seems, and stays where it is.
pub const REJECTS_MAX: usize = 100_000;
/// More bytes of refused rows than this refuse the run.
pub const REJECT_BYTES_MAX: usize = 128 << 20;

/// One file of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it lies.
    pub path: PathBuf,
    /// Its name in messages.
    pub label: String,
    /// Data rows that the manifest promises.
    pub rows: Option<u64>,
}

/// Reads a run, batch by batch.
pub struct Parser {
    form: Form,
    header: Header,
    mapper: Option<Box<dyn Mapping>>,
    builder: Builder,
    current: Option<(Part, Records, u64)>,
    waiting: VecDeque<Part>,
    on_bytes: OnBytes,
    rejects: Vec<Reject>,
    reject_bytes: usize,
    /// Rows that became rows.
    pub accepted: u64,
    /// Rows that did not.
    pub rejected: u64,
    /// What a reader of the run should know.
    pub notes: Vec<String>,
}

impl Parser {
    /// Opens a run's first file and sees from its header what the run delivers.
    pub fn open(
        mut parts: VecDeque<Part>,
        hint: Option<Form>,
        origin: impl FnOnce(Form) -> Origin,
        on_bytes: OnBytes,
    ) -> Result<Parser> {
        let first = parts.pop_front().ok_or_else(|| Error::invalid("the run has no file"))?;
        let records = Records::open(&first.path, on_bytes.clone())?;
        Parser::start(first, records, parts, hint, origin, on_bytes)
    }

    /// Reads one CSV from bytes.
    pub fn csv(reader: impl Read + Send + 'static, label: &str, hint: Option<Form>, origin: Origin) -> Result<Parser> {
        let part = Part { path: PathBuf::new(), label: label.to_owned(), rows: None };
        let records = Records::csv(Box::new(reader)).map_err(|e| e.context(label))?;
        Parser::start(part, records, VecDeque::new(), hint, |_| origin, std::sync::Arc::new(|_| {}))
    }

    fn start(
        first: Part,
        records: Records,
        waiting: VecDeque<Part>,
        hint: Option<Form>,
        origin: impl FnOnce(Form) -> Origin,
        on_bytes: OnBytes,
    ) -> Result<Parser> {
        let header = records.header.clone();
        let hint = match hint {
            None if azure::is_usage_only(&header) => Some(Form::AzureActual),
            // The two forms have the same columns; what neither a manifest nor a name says, the rows say.
            None if azure::is_native(&header) && first.path.is_file() => Some(mapping::told_by_rows(&first.path)?),
            hint => hint,
        };
        let layout = Layout::of(&header, hint).map_err(|e| e.context(&first.label))?;
        let form = layout.form;
        let mut parser = Parser {
            form,
            mapper: mapping::mapper(&header, form),
            builder: Builder::new(layout, origin(form)),
            notes: Vec::new(),
            current: None,
            header,
            waiting,
            on_bytes,
            rejects: Vec::new(),
            reject_bytes: 0,
            accepted: 0,
            rejected: 0,
        };
        parser.begin(first, records);
        Ok(parser)
    }

    /// What the run delivers.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Table of its rows.
    pub fn table(&self) -> &'static Table {
        self.form.table()
    }

    /// The columns, as the first file spells them.
    pub fn column_names(&self) -> &[String] {
        &self.header.names
    }

    /// What each set got so far.
    pub fn sets(&self) -> &[SetTotal] {
        self.builder.sets()
    }

    /// The rows that did not parse, so far.
    pub fn take_rejects(&mut self) -> Vec<Reject> {
        self.reject_bytes = 0;
        std::mem::take(&mut self.rejects)
    }

    /// The next batch; none at the end. An error ends the run: a file that breaks off, or one that is not what it was said to be.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while !self.builder.is_full() {
            if self.current.is_none() && !self.open_next()? {
                break;
            }
            self.read_row()?;
        }
        Ok((!self.builder.is_empty()).then(|| self.builder.finish()))
    }

    fn begin(&mut self, part: Part, records: Records) {
        if !records.floats.is_empty() {
            let columns = records.floats.join(", ");
            self.notes.push(format!(
                "{}: floating-point columns, read by their shortest decimal text: {columns}",
                part.label
            ));
        }
        self.current = Some((part, records, 0));
    }

    fn open_next(&mut self) -> Result<bool> {
        let Some(part) = self.waiting.pop_front() else { return Ok(false) };
        let records = Records::open(&part.path, self.on_bytes.clone())?;
        if records.header.lower != self.header.lower {
            return Err(Error::invalid(format!("{}: has other columns than the run's first file", part.label)));
        }
        self.begin(part, records);
        Ok(true)
    }

    fn read_row(&mut self) -> Result<()> {
        let Parser { current, builder, mapper, .. } = self;
        let (part, records, read) = current.as_mut().expect("a file is open");
        let number = self.accepted + self.rejected + 1;
        let row = records.next(|row| match mapper {
            None => builder.row(&row, number),
            Some(mapper) => builder.row(&Mapped { made: mapper.map(row), row }, number),
        });
        let row = row.map_err(|e| e.context(&part.label))?;
        if let Some(refusal) = builder.refusal() {
            return Err(refusal.context(&part.label));
        }
        match row {
            Some(Ok(())) => self.accepted += 1,
            Some(Err(mut reject)) => {
                reject.place = reject.place.map(|place| format!("{} {place}", part.label));
                self.reject_bytes += reject.body.len();
                self.rejects.push(reject);
                self.rejected += 1;
                if self.rejects.len() > REJECTS_MAX || self.reject_bytes > REJECT_BYTES_MAX {
                    let first = &self.rejects[0];
                    let place = first.place.as_deref().unwrap_or_default();
                    return Err(Error::invalid(format!(
                        "too many rows do not parse; the first: {place}: {}",
                        first.reason
                    )));
                }
            }
            None => {
                let (rows, promised) = (*read, part.rows);
                if let Some(promised) = promised.filter(|p| *p != rows) {
                    return Err(Error::invalid(format!(
                        "{}: has {rows} rows where the manifest says {promised}",
                        part.label
                    )));
                }
                self.current = None;
                return Ok(());
            }
        }
        *read += 1;
        Ok(())
    }
}

/// A row of a provider's own form: the mapped cells, then the file's.
struct Mapped<'a> {
    made: Vec<Option<String>>,
    row: &'a dyn RowCells,
}

impl Cells for Mapped<'_> {
    fn cell(&self, at: usize) -> Option<&str> {
        match at.checked_sub(self.made.len()) {
            None => self.made[at].as_deref(),
            Some(at) => self.row.text(at),
        }
    }
}

#[cfg(test)]
mod tests;
