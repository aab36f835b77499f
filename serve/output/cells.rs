//! One cell as text. Every text format writes cells through here, so a value looks the same in all of them.

use std::fmt::Write;

use engine::arrow::array::*;
use engine::arrow::datatypes::*;
use engine::arrow::temporal_conversions as temporal;
use engine::arrow::util::display::{ArrayFormatter, FormatOptions};
use engine::{Error, Kind, Result};

/// The cells of one column of one batch.
pub trait Cells {
    /// Whether the cell is null.
    fn is_null(&self, row: usize) -> bool;
    /// Appends the cell's text; the row is not null.
    fn write(&self, row: usize, out: &mut String);
    /// Whether the text is JSON as it stands; otherwise it becomes a JSON string.
    fn is_json(&self, _row: usize) -> bool {
        false
    }
}

/// Readers for the columns of a batch.
pub fn columns(batch: &RecordBatch) -> Result<Vec<Box<dyn Cells + '_>>> {
    batch.columns().iter().map(|column| cells(column.as_ref())).collect()
}

/// Whether people expect the column's cells flush right.
pub fn is_numeric(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, value) => is_numeric(value),
        other => other.is_numeric(),
    }
}

/// Appends the cell as JSON.
pub fn write_json(cells: &dyn Cells, row: usize, scratch: &mut String, out: &mut String) {
    if cells.is_null(row) {
        out.push_str("null");
    } else if cells.is_json(row) {
        cells.write(row, out);
    } else {
        scratch.clear();
        cells.write(row, scratch);
        push_json_string(scratch, out);
    }
}

/// Appends a JSON string literal.
pub fn push_json_string(text: &str, out: &mut String) {
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[from..at]);
        from = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => {
                let _ = write!(out, "\\u{control:04x}");
            }
        }
    }
    out.push_str(&text[from..]);
    out.push('"');
}

fn cells<'a>(array: &'a dyn Array) -> Result<Box<dyn Cells + 'a>> {
    use DataType as D;
    Ok(match array.data_type() {
        D::Null => Box::new(Nothing),
        D::Boolean => Box::new(array.as_boolean()),
        D::Int8 => Box::new(Whole(array.as_primitive::<Int8Type>())),
        D::Int16 => Box::new(Whole(array.as_primitive::<Int16Type>())),
        D::Int32 => Box::new(Whole(array.as_primitive::<Int32Type>())),
        D::Int64 => Box::new(Whole(array.as_primitive::<Int64Type>())),
        D::UInt8 => Box::new(Whole(array.as_primitive::<UInt8Type>())),
        D::UInt16 => Box::new(Whole(array.as_primitive::<UInt16Type>())),
        D::UInt32 => Box::new(Whole(array.as_primitive::<UInt32Type>())),
        D::UInt64 => Box::new(Whole(array.as_primitive::<UInt64Type>())),
        D::Float32 => Box::new(array.as_primitive::<Float32Type>()),
        D::Float64 => Box::new(array.as_primitive::<Float64Type>()),
        D::Decimal32(..) => Box::new(Exact(array.as_primitive::<Decimal32Type>())),
        D::Decimal64(..) => Box::new(Exact(array.as_primitive::<Decimal64Type>())),
        D::Decimal128(..) => Box::new(Exact(array.as_primitive::<Decimal128Type>())),
        D::Decimal256(..) => Box::new(Exact(array.as_primitive::<Decimal256Type>())),
        D::Utf8 => Box::new(array.as_string::<i32>()),
        D::LargeUtf8 => Box::new(array.as_string::<i64>()),
        D::Utf8View => Box::new(array.as_string_view()),
        D::Binary => Box::new(array.as_binary::<i32>()),
        D::LargeBinary => Box::new(array.as_binary::<i64>()),
        D::BinaryView => Box::new(array.as_binary_view()),
        D::FixedSizeBinary(_) => Box::new(array.as_fixed_size_binary()),
        D::Timestamp(unit, zone) => instants(array, *unit, zone.is_some()),
        D::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            // A column of nothing but nulls has an empty dictionary, whose keys cannot be normalised and are never read.
            let keys = if dictionary.values().is_empty() { Vec::new() } else { dictionary.normalized_keys() };
            Box::new(Named { keys, array, values: cells(dictionary.values().as_ref())? })
        }
        D::List(_) => Box::new(Listed {
            array,
            item: Items::Small(array.as_list()),
            values: cells(array.as_list::<i32>().values().as_ref())?,
        }),
        D::LargeList(_) => Box::new(Listed {
            array,
            item: Items::Large(array.as_list()),
            values: cells(array.as_list::<i64>().values().as_ref())?,
        }),
        D::FixedSizeList(..) => {
            let list = array.as_fixed_size_list();
            Box::new(Listed { array, item: Items::Fixed(list), values: cells(list.values().as_ref())? })
        }
        D::Map(..) => {
            let map = array.as_map();
            Box::new(Mapped { map, keys: cells(map.keys().as_ref())?, values: cells(map.values().as_ref())? })
        }
        D::Struct(fields) => {
            let parts = array.as_struct();
            let values = parts.columns().iter().map(|column| cells(column.as_ref())).collect::<Result<_>>()?;
            Box::new(Parts { array, names: fields.iter().map(|f| f.name().as_str()).collect(), values })
        }
        _ => Box::new(Other { array, formatter: formatter(array)? }),
    })
}

const OPTIONS: FormatOptions<'static> = FormatOptions::new();

fn formatter(array: &dyn Array) -> Result<ArrayFormatter<'_>> {
    let unsupported = |cause| {
        Error::new(Kind::Invalid, format!("a column of type {} cannot be written as text: {cause}", array.data_type()))
    };
    ArrayFormatter::try_new(array, &OPTIONS).map_err(unsupported)
}

struct Nothing;

impl Cells for Nothing {
    fn is_null(&self, _: usize) -> bool {
        true
    }
    fn write(&self, _: usize, _: &mut String) {}
}

impl Cells for &BooleanArray {
    fn is_null(&self, row: usize) -> bool {
        Array::is_null(self, row)
    }
    fn write(&self, row: usize, out: &mut String) {
        out.push_str(if self.value(row) { "true" } else { "false" });
    }
    fn is_json(&self, _: usize) -> bool {
        true
    }
}

struct Whole<'a, T: ArrowPrimitiveType>(&'a PrimitiveArray<T>);

impl<T: ArrowPrimitiveType> Cells for Whole<'_, T>
where
    T::Native: std::fmt::Display,
{
    fn is_null(&self, row: usize) -> bool {
        Array::is_null(self.0, row)
    }
    fn write(&self, row: usize, out: &mut String) {
        let _ = write!(out, "{}", self.0.value(row));
    }
    fn is_json(&self, _: usize) -> bool {
        true
    }
}

macro_rules! float_cells {
    ($($array:ty),*) => {$(
        impl Cells for &$array {
            fn is_null(&self, row: usize) -> bool {
                Array::is_null(self, row)
            }
            fn write(&self, row: usize, out: &mut String) {
                let value = self.value(row);
                let _ = if value.is_infinite() {
                    out.write_str(if value > 0.0 { "Infinity" } else { "-Infinity" })
                } else if value != 0.0 && (value.abs() >= 1e21 || value.abs() < 1e-7) {
                    write!(out, "{value:e}")
                } else {
                    write!(out, "{value}")
                };
            }
            // JSON has no NaN and no infinity: those are the strings "NaN", "Infinity", "-Infinity", as in protobuf's JSON.
            fn is_json(&self, row: usize) -> bool {
                self.value(row).is_finite()
            }
        }
    )*};
}
float_cells!(Float32Array, Float64Array);

struct Exact<'a, T: DecimalType>(&'a PrimitiveArray<T>);

impl<T: DecimalType> Cells for Exact<'_, T> {
    fn is_null(&self, row: usize) -> bool {
        Array::is_null(self.0, row)
    }
    fn write(&self, row: usize, out: &mut String) {
        let text = self.0.value_as_string(row);
        out.push_str(if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text });
    }
}

macro_rules! text_cells {
    ($($array:ty),*) => {$(
        impl Cells for &$array {
            fn is_null(&self, row: usize) -> bool {
                Array::is_null(self, row)
            }
            fn write(&self, row: usize, out: &mut String) {
                out.push_str(self.value(row));
            }
        }
    )*};
}
text_cells!(StringArray, LargeStringArray, StringViewArray);

macro_rules! binary_cells {
    ($($array:ty),*) => {$(
        impl Cells for &$array {
            fn is_null(&self, row: usize) -> bool {
                Array::is_null(self, row)
            }
            fn write(&self, row: usize, out: &mut String) {
                for byte in self.value(row) {
                    let _ = write!(out, "{byte:02x}");
                }
            }
        }
    )*};
}
binary_cells!(BinaryArray, LargeBinaryArray, BinaryViewArray, FixedSizeBinaryArray);

struct Instants<'a, T: ArrowTimestampType> {
    array: &'a PrimitiveArray<T>,
    zoned: bool,
}

fn instants<'a>(array: &'a dyn Array, unit: TimeUnit, zoned: bool) -> Box<dyn Cells + 'a> {
    match unit {
        TimeUnit::Second => Box::new(Instants { array: array.as_primitive::<TimestampSecondType>(), zoned }),
        TimeUnit::Millisecond => Box::new(Instants { array: array.as_primitive::<TimestampMillisecondType>(), zoned }),
        TimeUnit::Microsecond => Box::new(Instants { array: array.as_primitive::<TimestampMicrosecondType>(), zoned }),
        TimeUnit::Nanosecond => Box::new(Instants { array: array.as_primitive::<TimestampNanosecondType>(), zoned }),
    }
}

impl<T: ArrowTimestampType> Cells for Instants<'_, T> {
    fn is_null(&self, row: usize) -> bool {
        Array::is_null(self.array, row)
    }
    fn write(&self, row: usize, out: &mut String) {
        let value = self.array.value(row);
        let zone = if self.zoned { "Z" } else { "" };
        let _ = match temporal::as_datetime::<T>(value) {
            Some(at) => write!(out, "{}{zone}", at.format("%Y-%m-%dT%H:%M:%S%.f")),
            // Outside the calendar's range the raw count is all that can be said.
            None => write!(out, "{value}"),
        };
    }
}

struct Named<'a> {
    array: &'a dyn Array,
    keys: Vec<usize>,
    values: Box<dyn Cells + 'a>,
}

impl Cells for Named<'_> {
    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row) || self.values.is_null(self.keys[row])
    }
    fn write(&self, row: usize, out: &mut String) {
        self.values.write(self.keys[row], out);
    }
    fn is_json(&self, row: usize) -> bool {
        self.values.is_json(self.keys[row])
    }
}

enum Items<'a> {
    Small(&'a ListArray),
    Large(&'a LargeListArray),
    Fixed(&'a FixedSizeListArray),
}

impl Items<'_> {
    fn range(&self, row: usize) -> std::ops::Range<usize> {
        match self {
            Items::Small(list) => list.value_offsets()[row] as usize..list.value_offsets()[row + 1] as usize,
            Items::Large(list) => list.value_offsets()[row] as usize..list.value_offsets()[row + 1] as usize,
            Items::Fixed(list) => {
                let from = list.value_offset(row) as usize;
                from..from + list.value_length() as usize
            }
        }
    }
}

struct Listed<'a> {
    array: &'a dyn Array,
    item: Items<'a>,
    values: Box<dyn Cells + 'a>,
}

impl Cells for Listed<'_> {
    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }
    fn write(&self, row: usize, out: &mut String) {
        let mut scratch = String::new();
        out.push('[');
        let range = self.item.range(row);
        for at in range.clone() {
            if at > range.start {
                out.push(',');
            }
            write_json(self.values.as_ref(), at, &mut scratch, out);
        }
        out.push(']');
    }
    fn is_json(&self, _: usize) -> bool {
        true
    }
}

struct Mapped<'a> {
    map: &'a MapArray,
    keys: Box<dyn Cells + 'a>,
    values: Box<dyn Cells + 'a>,
}

impl Cells for Mapped<'_> {
    fn is_null(&self, row: usize) -> bool {
        Array::is_null(self.map, row)
    }
    fn write(&self, row: usize, out: &mut String) {
        let (mut key, mut scratch) = (String::new(), String::new());
        let range = self.map.value_offsets()[row] as usize..self.map.value_offsets()[row + 1] as usize;
        out.push('{');
        for at in range.clone() {
            if at > range.start {
                out.push(',');
            }
            key.clear();
            self.keys.write(at, &mut key);
            push_json_string(&key, out);
            out.push(':');
            write_json(self.values.as_ref(), at, &mut scratch, out);
        }
        out.push('}');
    }
    fn is_json(&self, _: usize) -> bool {
        true
    }
}

struct Parts<'a> {
    array: &'a dyn Array,
    names: Vec<&'a str>,
    values: Vec<Box<dyn Cells + 'a>>,
}

impl Cells for Parts<'_> {
    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }
    fn write(&self, row: usize, out: &mut String) {
        let mut scratch = String::new();
        out.push('{');
        for (at, (name, cells)) in self.names.iter().zip(&self.values).enumerate() {
            if at > 0 {
                out.push(',');
            }
            push_json_string(name, out);
            out.push(':');
            write_json(cells.as_ref(), row, &mut scratch, out);
        }
        out.push('}');
    }
    fn is_json(&self, _: usize) -> bool {
        true
    }
}

struct Other<'a> {
    array: &'a dyn Array,
    formatter: ArrayFormatter<'a>,
}

impl Cells for Other<'_> {
    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }
    fn write(&self, row: usize, out: &mut String) {
        let _ = write!(out, "{}", self.formatter.value(row));
    }
}
