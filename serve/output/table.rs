//! Aligned columns for people. Widths come from the first rows; on a terminal, what is too wide is cut and says so.

use engine::Result;
use engine::arrow::array::RecordBatch;
use engine::arrow::datatypes::SchemaRef;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Encoder;
use super::cells::{columns, is_numeric};

/// Rows whose widths decide the layout; later rows that are wider stick out.
const LAYOUT_ROWS: usize = 10_000;
/// A column is not cut below this many cells of the terminal.
const COLUMN_WIDTH_MIN: usize = 8;
const NULL: &str = "NULL";

/// Where the table will be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Cells of the terminal; `None` cuts nothing.
    pub width: Option<usize>,
    /// Whether to dim NULL and the header.
    pub colour: bool,
}

impl Look {
    /// For a file or a pipe.
    pub fn plain() -> Self {
        Look { width: None, colour: false }
    }
}

/// The encoder.
pub struct Table {
    header: Vec<String>,
    numeric: Vec<bool>,
    look: Look,
    waiting: Vec<Vec<Option<String>>>,
    widths: Option<Vec<usize>>,
}

impl Table {
    /// An encoder for answers of `schema`.
    pub fn new(schema: &SchemaRef, look: Look) -> Self {
        Table {
            header: schema.fields().iter().map(|f| printable(f.name())).collect(),
            numeric: schema.fields().iter().map(|f| is_numeric(f.data_type())).collect(),
            look,
            waiting: Vec::new(),
            widths: None,
        }
    }

    /// Lays the columns out by the rows seen so far, writes the header and those rows.
    fn lay_out(&mut self, out: &mut Vec<u8>) {
        let mut widths: Vec<usize> = self.header.iter().map(|name| name.width()).collect();
        for row in &self.waiting {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.as_deref().unwrap_or(NULL).width());
            }
        }
        let shown = match self.look.width {
            Some(room) => fit(&mut widths, room),
            None => widths.len(),
        };
        widths.truncate(shown);
        self.write_header(&widths, out);
        for row in std::mem::take(&mut self.waiting) {
            self.write_row(&row, &widths, out);
        }
        self.widths = Some(widths);
    }

    fn write_header(&self, widths: &[usize], out: &mut Vec<u8>) {
        let mut line = String::new();
        for (at, (name, width)) in self.header.iter().zip(widths).enumerate() {
            line.push_str(if at > 0 { "│ " } else { " " });
            pad(&cut(name, *width), *width, self.numeric[at], &mut line);
            line.push(' ');
        }
        line.truncate(line.trim_end().len());
        let hidden = self.header.len() - widths.len();
        if hidden > 0 {
            line.push_str(&format!(" │ … {hidden} more columns"));
        }
        line.push('\n');
        for (at, width) in widths.iter().enumerate() {
            line.push_str(if at > 0 { "┼" } else { "" });
            line.push_str(&"─".repeat(width + 2));
        }
        line.push('\n');
        out.extend_from_slice(line.as_bytes());
    }

    fn write_row(&self, row: &[Option<String>], widths: &[usize], out: &mut Vec<u8>) {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
            line.push_str(if at > 0 { "│ " } else { " " });
            match cell {
                Some(text) if self.look.width.is_some() => pad(&cut(text, *width), *width, self.numeric[at], &mut line),
                Some(text) => pad(text, *width, self.numeric[at], &mut line),
                None if self.look.colour => {
                    line.push_str("\x1b[2m");
                    pad(NULL, *width, self.numeric[at], &mut line);
                    line.push_str("\x1b[0m");
                }
                None => pad(NULL, *width, self.numeric[at], &mut line),
            }
            line.push(' ');
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        out.extend_from_slice(line.as_bytes());
    }
}

impl Encoder for Table {
    fn begin(&mut self, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let columns = columns(batch)?;
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            let cell = |cells: &Box<dyn super::cells::Cells + '_>| {
                (!cells.is_null(row)).then(|| {
                    text.clear();
                    cells.write(row, &mut text);
                    printable(&text)
                })
            };
            let cells: Vec<Option<String>> = columns.iter().map(cell).collect();
            match &self.widths {
                Some(widths) => self.write_row(&cells, widths, out),
                None => self.waiting.push(cells),
            }
        }
        if self.widths.is_none() && self.waiting.len() >= LAYOUT_ROWS {
            self.lay_out(out);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.widths.is_none() {
            self.lay_out(out);
        }
        Ok(())
    }
}

/// Control characters as escapes: a log line must not steer the terminal of the person who reads it.
pub fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// Narrows the widest columns until the line fits; answers how many columns are shown.
fn fit(widths: &mut [usize], room: usize) -> usize {
    let line = |widths: &[usize]| widths.iter().map(|w| w + 3).sum::<usize>().saturating_sub(1);
    while line(widths) > room {
        let excess = line(widths) - room;
        let widest = widths.iter().copied().max().unwrap_or(0);
        if widest <= COLUMN_WIDTH_MIN {
            break;
        }
        let next = widths.iter().copied().filter(|w| *w < widest).max().unwrap_or(0).max(COLUMN_WIDTH_MIN);
        let count = widths.iter().filter(|w| **w == widest).count();
        let narrowed = next.max(widest.saturating_sub(excess.div_ceil(count)));
        widths.iter_mut().filter(|w| **w == widest).for_each(|w| *w = narrowed);
    }
    if line(widths) <= room {
        return widths.len();
    }
    // Room for the word that says how many columns are missing.
    let room = room.saturating_sub(" │ … 999 more columns".width());
    (1..=widths.len()).rev().find(|n| line(&widths[..*n]) <= room).unwrap_or(1)
}

fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used >= width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

fn pad(text: &str, width: usize, right: bool, line: &mut String) {
    let space = " ".repeat(width.saturating_sub(text.width()));
    if right {
        line.push_str(&space);
        line.push_str(text);
    } else {
        line.push_str(text);
        line.push_str(&space);
    }
}
