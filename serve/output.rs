//! Answers as bytes: one encoder a format, fed batch by batch, so an answer of any size passes through a bounded memory.
//! The HTTP door, the command line and the shell share them.
//!
//! All text formats write the same cells: decimals as exact text without padding zeros, instants as RFC 3339 in UTC,
//! binary as lower-case hex. JSON quotes decimals, because a JSON number would pass through a float in most readers.

pub mod cells;
mod columnar;
mod csv;
mod json;
pub mod table;

use engine::arrow::array::RecordBatch;
use engine::arrow::datatypes::SchemaRef;
use engine::{Error, Kind, Result};

/// Rows that one call of an encoder sees at most; keeps the bytes of one chunk bounded.
pub const CHUNK_ROWS: usize = 8_192;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Aligned columns for people.
    Table,
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    #[value(alias = "ndjson")]
    #[serde(alias = "ndjson")]
    Jsonl,
    /// RFC 4180 with a header; NULL is an empty field, an empty text is `""`.
    Csv,
    /// Arrow IPC stream.
    Arrow,
    /// One Parquet file, zstd.
    Parquet,
}

impl Format {
    /// The format by its name in a request.
    pub fn named(name: &str) -> Option<Format> {
        <Format as clap::ValueEnum>::from_str(name, true).ok()
    }

    /// Whether a terminal would choke on it.
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Arrow | Format::Parquet)
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Table => "text/plain; charset=utf-8",
            Format::Json => "application/json",
            Format::Jsonl => "application/x-ndjson",
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::Arrow => "application/vnd.apache.arrow.stream",
            Format::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// An encoder for answers of `schema`.
    pub fn encoder(self, schema: &SchemaRef) -> Result<Box<dyn Encoder>> {
        Ok(match self {
            Format::Table => Box::new(table::Table::new(schema, table::Look::plain())),
            Format::Json => Box::new(json::Array::new(schema)),
            Format::Jsonl => Box::new(json::Lines::new(schema)),
            Format::Csv => Box::new(csv::Csv::new(schema)),
            Format::Arrow => Box::new(columnar::Arrow::new(schema)?),
            Format::Parquet => Box::new(columnar::Parquet::new(schema)?),
        })
    }
}

/// The JSON document of the HTTP door: `{"query_id", "schema", "rows", "row_count"}`.
pub fn json_document(schema: &SchemaRef, query_id: &str) -> Box<dyn Encoder> {
    Box::new(json::Document::new(schema, query_id))
}

/// Turns batches into bytes. `begin` once, `batch` for each, `finish` once.
pub trait Encoder: Send {
    /// What stands before the first row.
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<()>;
    /// The rows of one batch of at most [`CHUNK_ROWS`].
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()>;
    /// What stands behind the last row.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()>;
    /// A last word to the reader when the answer broke off, where the format has room for one.
    fn failed(&mut self, _problem: &serde_json::Value, _out: &mut Vec<u8>) {}
}

/// Slices of at most [`CHUNK_ROWS`]; no copy.
pub fn chunks(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    let rows = batch.num_rows();
    (0..rows).step_by(CHUNK_ROWS).map(move |at| batch.slice(at, CHUNK_ROWS.min(rows - at)))
}

/// Column names for formats that cannot hold the same name twice: later ones get `_2`, `_3` …
pub fn unique_names(schema: &SchemaRef) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let mut name = field.name().clone();
        let mut turn = 2;
        while names.contains(&name) {
            name = format!("{}_{turn}", field.name());
            turn += 1;
        }
        names.push(name);
    }
    names
}

fn cannot_write(cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("write the answer: {cause}"))
}

#[cfg(test)]
mod tests;
