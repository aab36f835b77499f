//! CSV after RFC 4180, lines ended by `\n`. NULL is an empty field and an empty text `""`, so the two stay apart.

use engine::Result;
use engine::arrow::array::RecordBatch;
use engine::arrow::datatypes::SchemaRef;

use super::Encoder;
use super::cells::columns;

/// The encoder.
pub struct Csv {
    header: Vec<String>,
    text: String,
    cell: String,
}

impl Csv {
    /// An encoder for answers of `schema`.
    pub fn new(schema: &SchemaRef) -> Self {
        let header = schema.fields().iter().map(|f| f.name().clone()).collect();
        Csv { header, text: String::new(), cell: String::new() }
    }
}

impl Encoder for Csv {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let mut line = String::new();
        for (at, name) in self.header.iter().enumerate() {
            if at > 0 {
                line.push(',');
            }
            push_field(name, &mut line);
        }
        line.push('\n');
        out.extend_from_slice(line.as_bytes());
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let columns = columns(batch)?;
        self.text.clear();
        for row in 0..batch.num_rows() {
            for (at, cells) in columns.iter().enumerate() {
                if at > 0 {
                    self.text.push(',');
                }
                if !cells.is_null(row) {
                    self.cell.clear();
                    cells.write(row, &mut self.cell);
                    push_field(&self.cell, &mut self.text);
                }
            }
            self.text.push('\n');
        }
        out.extend_from_slice(self.text.as_bytes());
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
}

fn push_field(text: &str, out: &mut String) {
    let plain =
        !text.is_empty() && !text.contains(['"', ',', '\n', '\r']) && !text.starts_with(' ') && !text.ends_with(' ');
    if plain {
        out.push_str(text);
        return;
    }
    out.push('"');
    for part in text.split_inclusive('"') {
        out.push_str(part);
        if part.ends_with('"') {
            out.push('"');
        }
    }
    out.push('"');
}
