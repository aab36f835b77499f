//! Arrow IPC stream and Parquet. Dictionary columns go out as plain text: readers in other languages stumble over
//! dictionaries that change between batches, and ours do, because each fragment has its own.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use engine::Result;
use engine::arrow::array::{ArrayRef, RecordBatch};
use engine::arrow::compute::cast;
use engine::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use engine::arrow::ipc::writer::StreamWriter;
use engine::parquet::arrow::ArrowWriter;
use engine::parquet::basic::{Compression, ZstdLevel};
use engine::parquet::file::properties::WriterProperties;

use super::{Encoder, cannot_write};

/// A Parquet row group is closed at this size, so that an endless answer needs bounded memory.
const ROW_GROUP_BYTES_MAX: usize = 32 << 20;

/// Where the writers leave their bytes until the encoder hands them on.
#[derive(Clone, Default)]
struct Tray(Arc<Mutex<Vec<u8>>>);

impl Tray {
    fn empty_into(&self, out: &mut Vec<u8>) {
        out.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Write for Tray {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The schema with plain values instead of dictionaries.
fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    let plain = |field: &Arc<Field>| match field.data_type() {
        DataType::Dictionary(_, value) => Arc::new(field.as_ref().clone().with_data_type(value.as_ref().clone())),
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>()))
}

fn plain_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let plain = |(column, field): (&ArrayRef, &Arc<Field>)| match column.data_type() == field.data_type() {
        true => Ok(Arc::clone(column)),
        false => cast(column, field.data_type()).map_err(cannot_write),
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(plain).collect::<Result<Vec<_>>>()?;
    let options = engine::arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(cannot_write)
}

/// Arrow IPC stream.
pub struct Arrow {
    schema: SchemaRef,
    tray: Tray,
    writer: StreamWriter<Tray>,
}

impl Arrow {
    /// An encoder for answers of `schema`.
    pub fn new(schema: &SchemaRef) -> Result<Self> {
        let (schema, tray) = (plain_schema(schema), Tray::default());
        let writer = StreamWriter::try_new(tray.clone(), &schema).map_err(cannot_write)?;
        Ok(Arrow { schema, tray, writer })
    }
}

impl Encoder for Arrow {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.tray.empty_into(out);
        Ok(())
    }
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        self.writer.write(&plain_batch(batch, &self.schema)?).map_err(cannot_write)?;
        self.tray.empty_into(out);
        Ok(())
    }
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.writer.finish().map_err(cannot_write)?;
        self.tray.empty_into(out);
        Ok(())
    }
}

/// One Parquet file.
pub struct Parquet {
    schema: SchemaRef,
    tray: Tray,
    writer: ArrowWriter<Tray>,
}

impl Parquet {
    /// An encoder for answers of `schema`.
    pub fn new(schema: &SchemaRef) -> Result<Self> {
        let (schema, tray) = (plain_schema(schema), Tray::default());
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(format!("stellwerk {}", env!("CARGO_PKG_VERSION")))
            .build();
        let writer = ArrowWriter::try_new(tray.clone(), Arc::clone(&schema), Some(properties)).map_err(cannot_write)?;
        Ok(Parquet { schema, tray, writer })
    }
}

impl Encoder for Parquet {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.tray.empty_into(out);
        Ok(())
    }
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        self.writer.write(&plain_batch(batch, &self.schema)?).map_err(cannot_write)?;
        if self.writer.in_progress_size() >= ROW_GROUP_BYTES_MAX {
            self.writer.flush().map_err(cannot_write)?;
        }
        self.tray.empty_into(out);
        Ok(())
    }
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.writer.finish().map_err(cannot_write)?;
        self.tray.empty_into(out);
        Ok(())
    }
}
