//! Columns of Parquet files as text, digit by digit: the same door as CSV, whatever type a provider chose.

use std::sync::Arc;

use engine::arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use engine::arrow::compute::{CastOptions, cast_with_options};
use engine::arrow::datatypes::{DataType, FieldRef, TimeUnit};
use engine::arrow::json::writer::{EncoderOptions, make_encoder};
use engine::{Error, Result};

/// The column's cells as text: numbers exact (a double by its shortest decimal), times in ISO 8601, maps and lists as JSON.
pub fn text_column(field: &FieldRef, array: &ArrayRef) -> Result<StringArray> {
    let failed = |e| Error::invalid(format!("column {} cannot be read as text: {e}", field.name()));
    if matches!(field.data_type(), DataType::Map(..) | DataType::Struct(_) | DataType::List(_) | DataType::LargeList(_))
    {
        return json_column(field, array).map_err(failed);
    }
    let plain = without_zone(array);
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let text = cast_with_options(&plain, &DataType::Utf8, &strict).map_err(failed)?;
    Ok(text.as_string::<i32>().clone())
}

/// A zone only changes how an instant is written; what is stored is UTC in any case.
fn without_zone(array: &ArrayRef) -> ArrayRef {
    use engine::arrow::datatypes::{
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    };
    let DataType::Timestamp(unit, Some(_)) = array.data_type() else { return array.clone() };
    match unit {
        TimeUnit::Second => {
            Arc::new(array.as_primitive::<TimestampSecondType>().clone().with_timezone_opt(None::<Arc<str>>))
        }
        TimeUnit::Millisecond => {
            Arc::new(array.as_primitive::<TimestampMillisecondType>().clone().with_timezone_opt(None::<Arc<str>>))
        }
        TimeUnit::Microsecond => {
            Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(None::<Arc<str>>))
        }
        TimeUnit::Nanosecond => {
            Arc::new(array.as_primitive::<TimestampNanosecondType>().clone().with_timezone_opt(None::<Arc<str>>))
        }
    }
}

fn json_column(
    field: &FieldRef,
    array: &ArrayRef,
) -> std::result::Result<StringArray, engine::arrow::error::ArrowError> {
    let options = EncoderOptions::default();
    let mut encoder = make_encoder(field, array.as_ref(), &options)?;
    let (mut out, mut buffer) = (StringBuilder::new(), Vec::new());
    for row in 0..array.len() {
        if array.is_null(row) {
            out.append_null();
            continue;
        }
        buffer.clear();
        encoder.encode(row, &mut buffer);
        out.append_value(String::from_utf8_lossy(&buffer));
    }
    Ok(out.finish())
}
