//! JSON in three shapes: an array (files, `jq`), lines (streams), a document with its schema (the HTTP door).

use engine::Result;
use engine::arrow::array::RecordBatch;
use engine::arrow::datatypes::SchemaRef;

use super::cells::{columns, push_json_string, write_json};
use super::{Encoder, unique_names};

/// `"name":` of every column, ready to paste.
struct Objects {
    labels: Vec<String>,
    text: String,
    scratch: String,
}

impl Objects {
    fn new(schema: &SchemaRef) -> Self {
        let label = |name: String| {
            let mut label = String::new();
            push_json_string(&name, &mut label);
            label.push(':');
            label
        };
        let labels = unique_names(schema).into_iter().map(label).collect();
        Objects { labels, text: String::new(), scratch: String::new() }
    }

    /// The batch's rows as objects, each with `before` in front and `after` behind.
    fn write(
        &mut self,
        batch: &RecordBatch,
        mut before: impl FnMut() -> &'static str,
        after: &str,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let columns = columns(batch)?;
        self.text.clear();
        for row in 0..batch.num_rows() {
            self.text.push_str(before());
            self.text.push('{');
            for (at, (label, cells)) in self.labels.iter().zip(&columns).enumerate() {
                if at > 0 {
                    self.text.push(',');
                }
                self.text.push_str(label);
                write_json(cells.as_ref(), row, &mut self.scratch, &mut self.text);
            }
            self.text.push('}');
            self.text.push_str(after);
        }
        out.extend_from_slice(self.text.as_bytes());
        Ok(())
    }
}

/// `",\n"` from the second call on.
fn comma(first: &mut bool) -> &'static str {
    if std::mem::take(first) { "\n" } else { ",\n" }
}

/// `[{…},{…}]`, a row a line.
pub struct Array {
    objects: Objects,
    first: bool,
}

impl Array {
    /// An encoder for answers of `schema`.
    pub fn new(schema: &SchemaRef) -> Self {
        Array { objects: Objects::new(schema), first: true }
    }
}

impl Encoder for Array {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<()> {
        out.push(b'[');
        Ok(())
    }
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let first = &mut self.first;
        self.objects.write(batch, || comma(first), "", out)
    }
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(if self.first { b"]\n" } else { b"\n]\n" });
        Ok(())
    }
}

/// One object a line.
pub struct Lines {
    objects: Objects,
}

impl Lines {
    /// An encoder for answers of `schema`.
    pub fn new(schema: &SchemaRef) -> Self {
        Lines { objects: Objects::new(schema) }
    }
}

impl Encoder for Lines {
    fn begin(&mut self, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        self.objects.write(batch, || "", "\n", out)
    }
    fn finish(&mut self, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
    fn failed(&mut self, problem: &serde_json::Value, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{problem}\n").as_bytes());
    }
}

/// `{"query_id":…,"schema":[…],"rows":[…],"row_count":…}`. The count comes last, so it proves that the answer is whole.
pub struct Document {
    objects: Objects,
    head: String,
    first: bool,
    rows: usize,
}

impl Document {
    /// An encoder for the answer to `query_id`.
    pub fn new(schema: &SchemaRef, query_id: &str) -> Self {
        let columns: Vec<_> = unique_names(schema)
            .into_iter()
            .zip(schema.fields())
            .map(|(name, field)| serde_json::json!({"name": name, "type": field.data_type().to_string(), "nullable": field.is_nullable()}))
            .collect();
        let head = format!(
            "{{\"query_id\":{},\n\"schema\":{},\n\"rows\":[",
            serde_json::json!(query_id),
            serde_json::json!(columns)
        );
        Document { objects: Objects::new(schema), head, first: true, rows: 0 }
    }
}

impl Encoder for Document {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(self.head.as_bytes());
        Ok(())
    }
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let first = &mut self.first;
        self.rows += batch.num_rows();
        self.objects.write(batch, || comma(first), "", out)
    }
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(format!("],\n\"row_count\":{}}}\n", self.rows).as_bytes());
        Ok(())
    }
}
