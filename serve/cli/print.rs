//! Where a command's answer goes: stdout, or a file that appears whole or not at all.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use engine::{Error, Question, Result};
use futures::StreamExt;

use super::exit::Exit;
use super::place::Place;
use crate::house::Found;
use crate::output::table::{Look, Table};
use crate::output::{Encoder, Format, chunks};
use crate::reach::reach;

/// Writes a short text to stdout.
pub fn text(text: &str) -> Result<Exit> {
    let mut out = std::io::stdout();
    ignore_closed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))?;
    Ok(Exit(Exit::OK))
}

/// A reader that has seen enough (`| head`) is no error.
fn ignore_closed(written: std::io::Result<()>) -> Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::unavailable("write the answer", error)),
    }
}

/// How stdout looks at a table.
pub fn look() -> Look {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return Look::plain();
    }
    let width = terminal_size::terminal_size_of(&stdout).map(|(width, _)| usize::from(width.0));
    let colour = std::env::var_os("NO_COLOR").is_none();
    Look { width: Some(width.unwrap_or(80)), colour }
}

/// Where an answer goes: to stdout, or to a file that has another name until it is whole.
pub struct Sink {
    file: Option<Part>,
}

struct Part {
    part: PathBuf,
    path: PathBuf,
    out: BufWriter<File>,
}

impl Sink {
    /// A file, or stdout without a path.
    pub fn open(path: Option<&Path>) -> Result<Sink> {
        let Some(path) = path else { return Ok(Sink { file: None }) };
        let name = path.file_name().ok_or_else(|| Error::invalid(format!("{} names no file", path.display())))?;
        let mut part = name.to_owned();
        part.push(".part");
        let part = path.with_file_name(part);
        let file = File::create(&part).map_err(|e| Error::invalid(format!("write {}: {e}", part.display())))?;
        Ok(Sink { file: Some(Part { part, path: path.to_owned(), out: BufWriter::new(file) }) })
    }

    /// Whether people look at it.
    pub fn is_terminal(&self) -> bool {
        self.file.is_none() && std::io::stdout().is_terminal()
    }

    /// Writes; `false` if nobody reads any more.
    pub fn write(&mut self, bytes: &[u8]) -> Result<bool> {
        let Some(file) = &mut self.file else { return ignore_closed(std::io::stdout().write_all(bytes)) };
        file.out.write_all(bytes).map_err(|e| Error::unavailable(&format!("write {}", file.part.display()), e))?;
        Ok(true)
    }

    /// The answer is whole.
    pub fn finish(mut self) -> Result<()> {
        let Some(file) = &mut self.file else { return ignore_closed(std::io::stdout().flush()).map(|_| ()) };
        let written = file.out.flush().and_then(|()| file.out.get_ref().sync_all());
        let named = written.and_then(|()| std::fs::rename(&file.part, &file.path));
        named.map_err(|e| Error::unavailable(&format!("write {}", file.path.display()), e))
    }
}

/// Writes an answer; its number of rows, or `None` if the reader went away.
pub async fn answer(mut found: Found, format: Format, sink: &mut Sink) -> Result<Option<u64>> {
    let mut encoder: Box<dyn Encoder> = match format {
        Format::Table if sink.file.is_none() => Box::new(Table::new(&found.schema, look())),
        _ => format.encoder(&found.schema)?,
    };
    let mut out = Vec::new();
    let mut rows = 0;
    encoder.begin(&mut out)?;
    while let Some(batch) = found.batches.next().await.transpose()? {
        rows += batch.num_rows() as u64;
        for chunk in chunks(&batch) {
            encoder.batch(&chunk, &mut out)?;
            if !sink.write(&out)? {
                return Ok(None);
            }
            out.clear();
        }
    }
    encoder.finish(&mut out)?;
    Ok(sink.write(&out)?.then_some(rows))
}

/// Asks one question and writes its answer to stdout.
pub async fn asked(place: &Place, question: Question, format: Format) -> Result<Exit> {
    let reach = reach(&place.settings(), false).await?;
    let written = async {
        let mut sink = Sink::open(None)?;
        answer(reach.ask(question, None).await?, format, &mut sink).await?;
        sink.finish()
    };
    let written = written.await;
    let closed = reach.close().await;
    written?;
    closed?;
    Ok(Exit(Exit::OK))
}

/// The line under a table.
pub fn footer(rows: u64, took: std::time::Duration) -> String {
    let noun = if rows == 1 { "row" } else { "rows" };
    format!("({rows} {noun}, {:.3} s)\n", took.as_secs_f64())
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Whole answers have been renamed away; what still has this name is half of one.
            let _ = std::fs::remove_file(&file.part);
        }
    }
}
