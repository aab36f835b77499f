//! Files become rows of cells: CSV (plain, gzip or Zstandard; comma, semicolon or tab) and Parquet, seen from their bytes.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use csv::{ByteRecord, StringRecord};
use engine::arrow::array::StringArray;
use engine::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use engine::reject::Reject;
use engine::{Error, Result};

use super::batch::{Cells, present};
use super::layout::Header;
use super::texts::text_column;

/// Told of bytes read from disk.
pub type OnBytes = Arc<dyn Fn(u64) + Send + Sync>;

/// Rows of a Parquet file that are turned into text at once.
const PARQUET_ROWS: usize = 8192;
/// A first line longer than this has no line end that we can find.
const HEADER_BYTES_MAX: usize = 1 << 20;

/// An open file.
pub struct Records {
    /// Its columns.
    pub header: Header,
    /// Columns of floating-point numbers, which were never exact: their shortest decimal text is taken.
    pub floats: Vec<String>,
    input: Input,
}

enum Input {
    Csv { reader: csv::Reader<Box<dyn Read + Send>>, record: ByteRecord },
    Parquet { reader: ParquetRecordBatchReader, columns: Vec<StringArray>, row: usize, rows: usize, number: u64 },
}

impl Records {
    /// Opens a file by what its first bytes say it is.
    pub fn open(path: &Path, on_bytes: OnBytes) -> Result<Records> {
        let doing = format!("read {}", path.display());
        let mut file = File::open(path).map_err(|e| Error::unavailable(&doing, e))?;
        let mut magic = [0u8; 4];
        let length = file.read(&mut magic).map_err(|e| Error::unavailable(&doing, e))?;
        if &magic[..length] == b"PAR1" {
            on_bytes(file.metadata().map_or(0, |m| m.len()));
            return Records::parquet(file).map_err(|e| e.context(&doing));
        }
        let start = Cursor::new(magic[..length].to_vec());
        Records::csv(Box::new(Counted { inner: start.chain(file), on_bytes })).map_err(|e| e.context(&doing))
    }

    /// Reads CSV from bytes, compressed or not.
    pub fn csv(reader: Box<dyn Read + Send>) -> Result<Records> {
        let failed = |e: std::io::Error| Error::invalid(format!("cannot be read: {e}"));
        let mut reader = decompressed(reader).map_err(failed)?;
        let start = reader.fill_buf().map_err(failed)?;
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(Error::invalid("is UTF-16; cost files are read as UTF-8"));
        }
        if start.starts_with(b"\xef\xbb\xbf") {
            reader.consume(3);
        }
        let mut line = Vec::new();
        (&mut reader).take(HEADER_BYTES_MAX as u64).read_until(b'\n', &mut line).map_err(failed)?;
        if line.len() == HEADER_BYTES_MAX {
            return Err(Error::invalid("has no line end in its first megabyte: it is no CSV"));
        }
        let delimiter = delimiter(&line);
        let whole: Box<dyn Read + Send> = Box::new(Cursor::new(line).chain(reader));
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(whole);
        let mut record = ByteRecord::new();
        if !reader.read_byte_record(&mut record).map_err(|e| Error::invalid(format!("cannot be read: {e}")))? {
            return Err(Error::invalid("is empty: it has not even a header"));
        }
        let names = StringRecord::from_byte_record(record).map_err(|_| Error::invalid("line 1 is not UTF-8"))?;
        let header = Header::new(names.iter())?;
        Ok(Records { header, floats: Vec::new(), input: Input::Csv { reader, record: ByteRecord::new() } })
    }

    fn parquet(file: File) -> Result<Records> {
        let failed = |e: engine::parquet::errors::ParquetError| Error::invalid(format!("is no readable Parquet: {e}"));
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
        let schema = builder.schema().clone();
        let header = Header::new(schema.fields().iter().map(|f| f.name().as_str()))?;
        let floats = schema.fields().iter().filter(|f| f.data_type().is_floating()).map(|f| f.name().clone()).collect();
        let reader = builder.with_batch_size(PARQUET_ROWS).build().map_err(failed)?;
        Ok(Records {
            header,
            floats,
            input: Input::Parquet { reader, columns: Vec::new(), row: 0, rows: 0, number: 0 },
        })
    }

    /// Gives the next row to `take`, with its place for messages. A row that cannot even be split into cells is a reject;
    /// an error ends the file, for what follows cannot be found. None: the file is at its end.
    pub fn next(
        &mut self,
        take: impl FnOnce(&dyn RowCells) -> Result<(), String>,
    ) -> Result<Option<Result<(), Reject>>> {
        let width = self.header.names.len();
        match &mut self.input {
            Input::Csv { reader, record } => {
                let more =
                    reader.read_byte_record(record).map_err(|e| Error::invalid(format!("cannot be read on: {e}")))?;
                if !more {
                    return Ok(None);
                }
                let line = record.position().map_or(0, csv::Position::line);
                Ok(Some(csv_row(record, width, line, take)))
            }
            Input::Parquet { reader, columns, row, rows, number } => {
                while *row == *rows {
                    let Some(batch) = reader.next() else { return Ok(None) };
                    let batch = batch.map_err(|e| Error::invalid(format!("is no readable Parquet: {e}")))?;
                    let schema = batch.schema();
                    let fields = schema.fields().iter().zip(batch.columns());
                    *columns = fields.map(|(field, array)| text_column(field, array)).collect::<Result<_>>()?;
                    (*row, *rows) = (0, batch.num_rows());
                }
                let cells = ArrowRow { columns, row: *row };
                (*row, *number) = (*row + 1, *number + 1);
                Ok(Some(take(&cells).map_err(|reason| reject(reason, format!("row {number}"), cells.body()))))
            }
        }
    }
}

fn csv_row(
    record: &mut ByteRecord,
    width: usize,
    line: u64,
    take: impl FnOnce(&dyn RowCells) -> Result<(), String>,
) -> Result<(), Reject> {
    let place = || format!("line {line}");
    if record.len() != width {
        let reason = format!("has {} cells where the header has {width}", record.len());
        return Err(reject(reason, place(), joined(record.iter())));
    }
    match StringRecord::from_byte_record(std::mem::take(record)) {
        Ok(cells) => {
            let taken = take(&cells).map_err(|reason| reject(reason, place(), joined(cells.iter().map(str::as_bytes))));
            *record = cells.into_byte_record();
            taken
        }
        Err(error) => {
            *record = error.into_byte_record();
            Err(reject("is not UTF-8".to_owned(), place(), joined(record.iter())))
        }
    }
}

fn reject(reason: String, place: String, body: Vec<u8>) -> Reject {
    Reject { kind: "cost", reason, place: Some(place), body }
}

fn joined<'a>(cells: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    // Writing into memory does not fail; an empty body is no loss of the reason.
    let _ = writer.write_record(cells);
    writer.into_inner().unwrap_or_default()
}

/// [`Cells`] behind a pointer.
pub trait RowCells {
    /// The cell's text.
    fn text(&self, at: usize) -> Option<&str>;
}

impl Cells for &dyn RowCells {
    fn cell(&self, at: usize) -> Option<&str> {
        self.text(at)
    }
}

impl RowCells for StringRecord {
    fn text(&self, at: usize) -> Option<&str> {
        self.get(at).and_then(present)
    }
}

struct ArrowRow<'a> {
    columns: &'a [StringArray],
    row: usize,
}

impl ArrowRow<'_> {
    fn body(&self) -> Vec<u8> {
        joined((0..self.columns.len()).map(|at| self.text(at).unwrap_or_default().as_bytes()))
    }
}

impl RowCells for ArrowRow<'_> {
    fn text(&self, at: usize) -> Option<&str> {
        use engine::arrow::array::Array;
        let column = &self.columns[at];
        if column.is_null(self.row) { None } else { present(column.value(self.row)) }
    }
}

/// Tells of the bytes that pass.
struct Counted<R> {
    inner: R,
    on_bytes: OnBytes,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        (self.on_bytes)(count as u64);
        Ok(count)
    }
}

fn decompressed(reader: Box<dyn Read + Send>) -> std::io::Result<Box<dyn BufRead + Send>> {
    const BUFFER: usize = 256 << 10;
    let mut reader = BufReader::with_capacity(BUFFER, reader);
    let start = reader.fill_buf()?;
    Ok(if start.starts_with(&[0x1f, 0x8b]) {
        Box::new(BufReader::with_capacity(BUFFER, flate2::bufread::MultiGzDecoder::new(reader)))
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(BufReader::with_capacity(BUFFER, zstd::stream::read::Decoder::with_buffer(reader)?))
    } else {
        Box::new(reader)
    })
}

/// The sign between cells: the one that stands most often in the header outside quotes.
fn delimiter(header: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in header {
        quoted ^= *byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(sign, _)| sign == byte && !quoted) {
            *count += 1;
        }
    }
    // Of equals the first: `max_by_key` would take the last.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(sign, _)| *sign)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<String>, Vec<Result<Vec<String>, String>>) {
        let mut records = Records::csv(Box::new(Cursor::new(bytes.to_vec()))).unwrap();
        let width = records.header.names.len();
        let mut rows = Vec::new();
        loop {
            let mut cells = Vec::new();
            let row = records.next(|row| {
                cells = (0..width).map(|at| row.text(at).unwrap_or("∅").to_owned()).collect();
                Ok(())
            });
            match row.unwrap() {
                None => break,
                Some(Ok(())) => rows.push(Ok(cells)),
                Some(Err(reject)) => rows.push(Err(format!("{} {}", reject.place.unwrap(), reject.reason))),
            }
        }
        (records.header.names, rows)
    }

    fn ok(cells: &[&str]) -> Result<Vec<String>, String> {
        Ok(cells.iter().map(|c| (*c).to_owned()).collect())
    }

    #[test]
    fn csv_in_all_its_clothes_is_the_same_rows() {
        let plain = b"a,b\n1,\"x, \"\"y\"\"\nz\"\n".to_vec();
        let expected = (vec!["a".to_owned(), "b".to_owned()], vec![ok(&["1", "x, \"y\"\nz"])]);
        let mut marked = b"\xef\xbb\xbf".to_vec();
        marked.extend(&plain);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, &marked).unwrap();
        let windows = b"a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n".to_vec();
        let semicolons = b"a;b\n1;\"x, \"\"y\"\"\nz\"".to_vec();
        let zst = zstd::encode_all(&plain[..], 1).unwrap();
        for bytes in [plain, marked, gz.finish().unwrap(), zst, windows, semicolons] {
            assert_eq!(read(&bytes), expected);
        }
    }

    #[test]
    fn texts_that_say_nothing_are_null() {
        let (_, rows) = read(b"a,b,c,d\nNULL,(null),,null\n\"NULL\", ,NULLs,0\n");
        assert_eq!(rows, [ok(&["∅", "∅", "∅", "∅"]), ok(&["∅", " ", "NULLs", "0"])]);
    }

    #[test]
    fn a_bad_row_does_not_reject_its_neighbours() {
        let (_, rows) = read(b"a,b\n1,2\n3\n4,5,6\n\xff,7\n8,9\n");
        let bad = |text: &str| Err(text.to_owned());
        assert_eq!(
            rows,
            [
                ok(&["1", "2"]),
                bad("line 3 has 1 cells where the header has 2"),
                bad("line 4 has 3 cells where the header has 2"),
                bad("line 5 is not UTF-8"),
                ok(&["8", "9"]),
            ]
        );
    }

    #[test]
    fn what_is_no_csv_is_said_so() {
        let error = |bytes: &[u8]| Records::csv(Box::new(Cursor::new(bytes.to_vec()))).err().unwrap().to_string();
        assert_eq!(error(b""), "is empty: it has not even a header");
        assert_eq!(error(b"\xff\xfea\0"), "is UTF-16; cost files are read as UTF-8");
        assert_eq!(error(b"\xff,b\n"), "line 1 is not UTF-8");
        assert!(error(&[b'a'; 2 << 20]).contains("no line end"));
    }
}
