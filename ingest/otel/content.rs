//! What a file of telemetry holds, seen from its bytes and never from its name: requests in OTLP/JSON, one a line (the
//! Collector's file exporter) or one or several documents; requests in protobuf, one alone, each behind four bytes of
//! big-endian length (the file exporter's `proto` format) or behind a varint length; all of it plain, gzip or zstd.
//!
//! The signal of a protobuf request is not written anywhere. It shows in its first record: fields 1 and 11 are times only
//! in a log record, fields 7 and 8 only in a span, and only a metric has a name in field 1 and a message of data points.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::{Error, Kind, Result};
use serde_json::value::RawValue;

use super::wire::{self, Content, Field, Fields};
use super::{Encoding, REQUEST_BYTES_MAX, Signal};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const UTF8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
/// First byte of a protobuf request that is not empty: field 1, a message.
const REQUEST_TAG: u8 = 0x0a;

/// The requests of one file, in order.
pub(super) struct Requests {
    reader: Box<dyn BufRead + Send>,
    form: Form,
    ordinal: usize,
    /// Requests that were read to know the form, last first.
    pending: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    JsonLines,
    /// Everything is in `pending`.
    Documents(Encoding),
    /// Protobuf behind four bytes of big-endian length.
    LengthPrefixed,
    /// Protobuf behind a varint length.
    VarintPrefixed,
}

/// One request of a file.
#[derive(Debug)]
pub(super) struct Request {
    pub bytes: Vec<u8>,
    pub encoding: Encoding,
    /// `line 3`, `message 3`.
    pub place: String,
    /// The file is this request: when it cannot be read, nothing can.
    pub is_whole_file: bool,
}

impl Requests {
    /// Opens a file and looks at its form. `consumed` counts the bytes read from disk.
    pub fn open(path: &Path, consumed: Arc<AtomicU64>) -> Result<Self> {
        let doing = format!("open {}", path.display());
        let file = File::open(path).map_err(|error| Error::unavailable(&doing, error))?;
        let mut raw = BufReader::new(Counted { inner: file, consumed });
        let start = raw.fill_buf().map_err(|error| Error::unavailable(&doing, error))?;
        let plain: Box<dyn BufRead + Send> = if start.starts_with(&GZIP_MAGIC) {
            Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(raw)))
        } else if start.starts_with(&ZSTD_MAGIC) {
            let decoder =
                zstd::stream::read::Decoder::with_buffer(raw).map_err(|error| Error::unavailable(&doing, error))?;
            Box::new(BufReader::new(decoder))
        } else {
            Box::new(raw)
        };
        Requests::look(plain).map_err(|error| error.context(&path.display().to_string()))
    }

    fn look(mut reader: Box<dyn BufRead + Send>) -> Result<Self> {
        let requests = |reader, form, pending| Ok(Requests { reader, form, ordinal: 0, pending });
        if reader.fill_buf().map_err(unreadable)?.starts_with(UTF8_MARK) {
            reader.consume(UTF8_MARK.len());
        }
        let Some(&first) = reader.fill_buf().map_err(unreadable)?.first() else {
            return requests(reader, Form::JsonLines, Vec::new());
        };
        match first {
            // No request is its own length prefix: a message cannot begin with byte zero.
            0 => requests(reader, Form::LengthPrefixed, Vec::new()),
            REQUEST_TAG => {
                let all = read_all(&mut reader)?;
                // A line end before JSON, and the length of a varint-prefixed request of ten bytes, begin like this too.
                if Fields::of(&all).all(|field| field.is_ok()) {
                    return requests(reader, Form::Documents(Encoding::Protobuf), vec![all]);
                }
                let is_json = all.trim_ascii_start().starts_with(b"{");
                let again: Box<dyn BufRead + Send> = Box::new(std::io::Cursor::new(all));
                match is_json {
                    true => Requests::look_json(again),
                    false => requests(again, Form::VarintPrefixed, Vec::new()),
                }
            }
            b'{' | b'[' | b' ' | b'\t' | b'\r' => Requests::look_json(reader),
            _ => requests(reader, Form::VarintPrefixed, Vec::new()),
        }
    }

    fn look_json(mut reader: Box<dyn BufRead + Send>) -> Result<Self> {
        let line = loop {
            match read_line(&mut reader)? {
                Some(line) if line.trim_ascii().is_empty() => {}
                line => break line.unwrap_or_default(),
            }
        };
        let trimmed = line.trim_ascii();
        if trimmed.starts_with(b"{") && trimmed.ends_with(b"}") {
            return Ok(Requests { reader, form: Form::JsonLines, ordinal: 0, pending: vec![line] });
        }
        let mut all = line;
        all.extend(read_all(&mut reader)?);
        let documents: Result<Vec<&RawValue>, _> = serde_json::Deserializer::from_slice(&all).into_iter().collect();
        let documents = documents.map_err(|error| Error::invalid(format!("malformed JSON: {error}")))?;
        let pending = documents.iter().rev().map(|document| document.get().as_bytes().to_vec()).collect();
        Ok(Requests { reader, form: Form::Documents(Encoding::Json), ordinal: 0, pending })
    }

    /// The next request.
    pub fn next(&mut self) -> Result<Option<Request>> {
        let (word, encoding, bytes) = match self.form {
            Form::Documents(encoding) => ("message", encoding, self.pending.pop()),
            Form::JsonLines => ("line", Encoding::Json, self.next_line()?),
            Form::LengthPrefixed => (
                "message",
                Encoding::Protobuf,
                self.next_framed(|reader| {
                    let mut prefix = [0; 4];
                    reader.read_exact(&mut prefix)?;
                    Ok(u64::from(u32::from_be_bytes(prefix)))
                })?,
            ),
            Form::VarintPrefixed => ("message", Encoding::Protobuf, self.next_framed(read_varint)?),
        };
        self.ordinal += 1;
        let is_whole_file = matches!(self.form, Form::Documents(_));
        let place = format!("{word} {}", self.ordinal);
        Ok(bytes.map(|bytes| Request { bytes, encoding, place, is_whole_file }))
    }

    fn next_line(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let line = match self.pending.pop() {
                Some(line) => Some(line),
                None => read_line(&mut self.reader)?,
            };
            match line {
                Some(line) if line.trim_ascii().is_empty() => self.ordinal += 1,
                line => return Ok(line),
            }
        }
    }

    fn next_framed(
        &mut self,
        length: impl FnOnce(&mut dyn BufRead) -> std::io::Result<u64>,
    ) -> Result<Option<Vec<u8>>> {
        if self.reader.fill_buf().map_err(unreadable)?.is_empty() {
            return Ok(None);
        }
        let place = self.ordinal + 1;
        let torn =
            |error: std::io::Error| Error::invalid(format!("message {place} is torn, or this is not OTLP: {error}"));
        let length = length(&mut self.reader).map_err(torn)?;
        if length > REQUEST_BYTES_MAX as u64 {
            return Err(Error::invalid(format!("message {place} claims {length} bytes; this does not look like OTLP")));
        }
        let mut message = Vec::new();
        let read = self.reader.by_ref().take(length).read_to_end(&mut message).map_err(unreadable)?;
        match read as u64 == length {
            true => Ok(Some(message)),
            false => Err(torn(std::io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

fn read_varint(reader: &mut dyn BufRead) -> std::io::Result<u64> {
    let mut bytes = Vec::new();
    while bytes.last().is_none_or(|byte| byte & 0x80 != 0) {
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        bytes.push(byte[0]);
        if bytes.len() > 10 {
            break;
        }
    }
    wire::varint(&mut bytes.as_slice()).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

/// Reads one line, without its end. Longer than a request may be is an error: it would not fit memory either.
fn read_line(reader: &mut Box<dyn BufRead + Send>) -> Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let limit = REQUEST_BYTES_MAX as u64 + 1;
    let read = reader.by_ref().take(limit).read_until(b'\n', &mut line).map_err(unreadable)?;
    match read {
        0 => Ok(None),
        read if read as u64 == limit => {
            Err(Error::new(Kind::TooLarge, format!("a line exceeds {REQUEST_BYTES_MAX} bytes")))
        }
        _ => Ok(Some(line)),
    }
}

fn read_all(reader: &mut Box<dyn BufRead + Send>) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    reader.by_ref().take(REQUEST_BYTES_MAX as u64 + 1).read_to_end(&mut all).map_err(unreadable)?;
    match all.len() > REQUEST_BYTES_MAX {
        true => Err(Error::new(
            Kind::TooLarge,
            format!("a single request exceeds {REQUEST_BYTES_MAX} bytes; write one a line"),
        )),
        false => Ok(all),
    }
}

/// Damaged compression and a failing disk look alike here; the message says which.
fn unreadable(error: std::io::Error) -> Error {
    Error::invalid(format!("cannot be read: {error}"))
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    consumed: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(into)?;
        self.consumed.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The signal of a protobuf request, from its first record; `None` when it holds no record.
pub(super) fn protobuf_signal(request: &[u8]) -> Option<Signal> {
    const MEMBERS: [u32; 3] = [1, 2, 2];
    fn first_record(message: &[u8], level: usize) -> Option<&[u8]> {
        let Some(number) = MEMBERS.get(level) else { return Some(message) };
        Fields::of(message).map_while(Result::ok).find_map(|field| match field {
            Field { number: n, content: Content::Bytes(bytes) } if n == *number => first_record(bytes, level + 1),
            _ => None,
        })
    }
    let record = first_record(request, 0)?;
    let has = |numbers: &[u32], is: fn(&Content<'_>) -> bool| {
        Fields::of(record).map_while(Result::ok).any(|field| numbers.contains(&field.number) && is(&field.content))
    };
    let fixed: fn(&Content<'_>) -> bool = |content| matches!(content, Content::Fixed64);
    let bytes: fn(&Content<'_>) -> bool = |content| matches!(content, Content::Bytes(_));
    Some(if has(&[1, 11], fixed) {
        Signal::Logs
    } else if has(&[7, 8], fixed) {
        Signal::Traces
    } else if has(&[1], bytes) && has(&[5, 7, 9, 10, 11], bytes) {
        Signal::Metrics
    } else {
        Signal::Logs
    })
}
