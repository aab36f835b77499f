//! Batches as Arrow IPC streams (LZ4), the body of a frame.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use bytes::Bytes;

use crate::error::{Error, Kind, Result};

/// One batch as a stream.
pub fn encode(rows: &RecordBatch) -> Result<Bytes> {
    let broken = |e| Error::unavailable("encode a batch for the log", e);
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).map_err(broken)?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &rows.schema(), options).map_err(broken)?;
    writer.write(rows).map_err(broken)?;
    Ok(Bytes::from(writer.into_inner().map_err(broken)?))
}

/// The batch of such a stream.
pub fn decode(bytes: &[u8]) -> Result<RecordBatch> {
    let broken =
        |e: arrow::error::ArrowError| Error::new(Kind::Corrupt, format!("a frame of the log does not decode: {e}"));
    let reader = StreamReader::try_new(bytes, None).map_err(broken)?;
    let schema = reader.schema();
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(broken)?;
    concat_batches(&schema, &batches).map_err(broken)
}
