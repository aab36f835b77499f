//! Columns under construction: text in, Arrow arrays out, with what repeats remembered.

use std::collections::HashMap;
use std::sync::Arc;

use engine::arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, DictionaryArray, Int32Array, Int64Builder, StringArray, StringBuilder,
    TimestampMicrosecondBuilder,
};
use engine::arrow::buffer::NullBuffer;
use engine::arrow::datatypes::Int32Type;
use engine::table::{DECIMAL_PRECISION, DECIMAL_SCALE};
use engine::{Table, Type};
use ledger::decimal;

use super::instant;

/// One cell, read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Parsed {
    Null,
    /// Its text is taken as it is.
    Text,
    Units(i128),
    Micros(i64),
    Int(i64),
    Bool(bool),
}

/// A column under construction. Files repeat themselves: the last text and what it meant are remembered.
pub struct Sink {
    /// Column of the table.
    pub column: usize,
    /// Cell of the row.
    pub cell: usize,
    kind: Type,
    last: String,
    last_parsed: (Parsed, bool),
    /// The column so far.
    pub values: Values,
}

/// The text and why it cannot be read.
pub type Unreadable = (String, &'static str);

impl Sink {
    /// The column `column` of `table`, filled from the cell `cell`.
    pub fn new(table: &Table, column: usize, cell: usize) -> Sink {
        let kind = table.columns[column].kind;
        Sink { column, cell, kind, last: String::new(), last_parsed: (Parsed::Null, true), values: Values::new(kind) }
    }

    /// Reads a cell: its value, and whether the value is exactly what the text says.
    pub fn parse(&mut self, text: Option<&str>) -> Result<(Parsed, bool), Unreadable> {
        let Some(text) = text else { return Ok((Parsed::Null, true)) };
        if matches!(self.kind, Type::Name | Type::Text | Type::Json) {
            return Ok((Parsed::Text, true));
        }
        if text == self.last {
            return Ok(self.last_parsed);
        }
        let refuse = |why| (text.chars().take(80).collect(), why);
        let parsed = match self.kind {
            Type::Decimal => decimal::parse(text).map(|d| (Parsed::Units(d.units), d.exact)),
            Type::Time => instant::parse(text).map(|i| (Parsed::Micros(i.micros), i.exact)),
            Type::Int => text.trim().parse().map(|i| (Parsed::Int(i), true)).map_err(|_| "is not a whole number"),
            Type::Bool => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => Ok((Parsed::Bool(true), true)),
                "false" | "0" => Ok((Parsed::Bool(false), true)),
                _ => Err("is neither true nor false"),
            },
            _ => Err("is of a type that cost files do not have"),
        }
        .map_err(refuse)?;
        self.last.clear();
        self.last.push_str(text);
        self.last_parsed = parsed;
        Ok(parsed)
    }

    /// Appends a cell that parsed; returns the size of its text.
    pub fn append(&mut self, parsed: Parsed, text: Option<&str>) -> usize {
        match (&mut self.values, parsed, text) {
            (Values::Name(b), Parsed::Text, text) => b.append(text),
            (Values::Text(b), Parsed::Text, Some(text)) => {
                b.append_value(text);
                return text.len();
            }
            (Values::Decimal(b), Parsed::Units(v), _) => b.append_value(v),
            (Values::Time(b), Parsed::Micros(v), _) => b.append_value(v),
            (Values::Int(b), Parsed::Int(v), _) => b.append_value(v),
            (Values::Bool(b), Parsed::Bool(v), _) => b.append_value(v),
            (values, _, _) => values.append_null(),
        }
        0
    }
}

/// The values of a column under construction.
pub enum Values {
    Name(Names),
    Text(StringBuilder),
    Decimal(Decimal128Builder),
    Time(TimestampMicrosecondBuilder),
    Int(Int64Builder),
    Bool(BooleanBuilder),
}

impl Values {
    fn new(kind: Type) -> Values {
        match kind {
            Type::Name => Values::Name(Names::default()),
            Type::Decimal => Values::Decimal(
                Decimal128Builder::new()
                    .with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE)
                    .expect("the ledger's precision and scale are valid"),
            ),
            Type::Time | Type::TimeNs => Values::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            Type::Int => Values::Int(Int64Builder::new()),
            Type::Bool => Values::Bool(BooleanBuilder::new()),
            Type::Text | Type::Json | Type::Float | Type::Bytes | Type::Vector(_) => Values::Text(StringBuilder::new()),
        }
    }

    /// Appends a null.
    pub fn append_null(&mut self) {
        match self {
            Values::Name(b) => b.append(None),
            Values::Text(b) => b.append_null(),
            Values::Decimal(b) => b.append_null(),
            Values::Time(b) => b.append_null(),
            Values::Int(b) => b.append_null(),
            Values::Bool(b) => b.append_null(),
        }
    }

    /// The column; empty again.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Values::Name(b) => b.finish(),
            Values::Text(b) => Arc::new(b.finish()),
            Values::Decimal(b) => Arc::new(b.finish()),
            Values::Time(b) => Arc::new(b.finish()),
            Values::Int(b) => Arc::new(b.finish()),
            Values::Bool(b) => Arc::new(b.finish()),
        }
    }
}

/// A dictionary column under construction; a value that repeats the one before costs one comparison.
#[derive(Debug, Default)]
pub struct Names {
    keys: Vec<i32>,
    values: Vec<String>,
    index: HashMap<String, i32>,
    last: Option<i32>,
}

impl Names {
    /// Appends a value or null.
    pub fn append(&mut self, value: Option<&str>) {
        let Some(value) = value else { return self.keys.push(-1) };
        if let Some(last) = self.last.filter(|l| self.values[key_index(*l)] == value) {
            return self.keys.push(last);
        }
        let key = match self.index.get(value) {
            Some(&key) => key,
            None => {
                let key = i32::try_from(self.values.len()).expect("a batch has fewer than 2^31 rows");
                self.values.push(value.to_owned());
                self.index.insert(value.to_owned(), key);
                key
            }
        };
        self.last = Some(key);
        self.keys.push(key);
    }

    /// The column; empty again.
    pub fn finish(&mut self) -> ArrayRef {
        let Names { keys, values, .. } = std::mem::take(self);
        let nulls: NullBuffer = keys.iter().map(|k| *k >= 0).collect();
        let keys: Vec<i32> = keys.into_iter().map(|k| k.max(0)).collect();
        let keys = Int32Array::new(keys.into(), Some(nulls));
        let values: ArrayRef = Arc::new(StringArray::from(values));
        Arc::new(DictionaryArray::<Int32Type>::new(keys, values))
    }
}

fn key_index(key: i32) -> usize {
    usize::try_from(key).expect("keys of values are not negative")
}

/// A column of one value, as a dictionary.
pub fn constant(value: &str, count: usize) -> ArrayRef {
    let values: ArrayRef = Arc::new(StringArray::from(vec![value]));
    let keys = Int32Array::from(vec![0; count]);
    Arc::new(DictionaryArray::<Int32Type>::new(keys, values))
}
