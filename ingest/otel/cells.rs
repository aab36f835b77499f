//! Column builders of one request, and the macro that declares a table's own columns together with their builders.

use std::sync::Arc;

use engine::Column;
use engine::arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, StringDictionaryBuilder,
    TimestampNanosecondBuilder,
};
use engine::arrow::datatypes::Int32Type;

/// A column under construction. The types rhyme with `engine::Type`.
pub(super) trait Cell: Default {
    fn finish(&mut self) -> ArrayRef;
}

/// Text of few distinct values.
#[derive(Default)]
pub(super) struct Name(StringDictionaryBuilder<Int32Type>);

impl Name {
    /// Appends one cell; empty text is null, as protobuf's default says nothing.
    pub fn set(&mut self, value: &str) {
        self.repeat(Some(value).filter(|v| !v.is_empty()), 1);
    }

    /// Appends the same cell for several rows.
    pub fn repeat(&mut self, value: Option<&str>, rows: usize) {
        self.0.append_options(value, rows);
    }
}

impl Cell for Name {
    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// Text of many distinct values.
#[derive(Debug, Default)]
pub(super) struct Text(StringBuilder);

impl Text {
    pub fn set(&mut self, value: Option<&str>) {
        self.0.append_option(value);
    }
}

impl Cell for Text {
    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// A JSON document as text.
#[derive(Debug, Default)]
pub(super) struct Json {
    column: StringBuilder,
    scratch: String,
}

impl Json {
    pub fn null(&mut self) {
        self.column.append_null();
    }

    /// Appends what `write` puts into an empty text.
    pub fn write(&mut self, write: impl FnOnce(&mut String)) {
        self.scratch.clear();
        write(&mut self.scratch);
        self.column.append_value(&self.scratch);
    }

    /// Appends a list, null when it is empty.
    pub fn list<T>(&mut self, items: &[T], item: impl FnMut(&mut String, &T)) {
        match items {
            [] => self.null(),
            items => self.write(|out| super::value::write_list(out, items, item)),
        }
    }
}

impl Cell for Json {
    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.column.finish())
    }
}

/// Truth values.
#[derive(Debug, Default)]
pub(super) struct Bool(BooleanBuilder);

impl Bool {
    pub fn set(&mut self, value: Option<bool>) {
        self.0.append_option(value);
    }
}

impl Cell for Bool {
    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// Whole numbers.
#[derive(Debug, Default)]
pub(super) struct Int(Int64Builder);

impl Int {
    pub fn set(&mut self, value: Option<i64>) {
        self.0.append_option(value);
    }

    /// Appends a count; zero is null, as protobuf's default says nothing.
    pub fn set_count(&mut self, value: u32) {
        self.0.append_option((value > 0).then_some(i64::from(value)));
    }
}

impl Cell for Int {
    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// Doubles.
#[derive(Debug, Default)]
pub(super) struct Float(Float64Builder);

impl Float {
    pub fn set(&mut self, value: Option<f64>) {
        self.0.append_option(value);
    }
}

impl Cell for Float {
    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// Instants in nanoseconds.
#[derive(Debug)]
pub(super) struct TimeNs(TimestampNanosecondBuilder);

impl Default for TimeNs {
    fn default() -> Self {
        TimeNs(TimestampNanosecondBuilder::new().with_timezone("UTC"))
    }
}

impl TimeNs {
    pub fn set(&mut self, value: Option<i64>) {
        self.0.append_option(value);
    }
}

impl Cell for TimeNs {
    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// Declares columns and, field by field, their builders: one line a column, so that neither can miss the other.
macro_rules! own_columns {
    ($(#[$meta:meta])* $rows:ident, $columns:ident; $( $name:ident: $kind:ident $(.$flag:ident())?, $doc:literal; )*) => {
        const $columns: &[engine::Column] =
            &[ $( engine::Column::new(stringify!($name), engine::Type::$kind, $doc)$(.$flag())? ),* ];

        $(#[$meta])*
        #[derive(Default)]
        struct $rows { $( $name: crate::otel::cells::$kind ),* }

        impl $rows {
            fn finish(&mut self) -> Vec<engine::arrow::array::ArrayRef> {
                use crate::otel::cells::Cell;
                vec![ $( self.$name.finish() ),* ]
            }
        }
    };
}
pub(super) use own_columns;

/// Puts parts of a declaration in a row.
pub(super) const fn join<const N: usize>(parts: &[&[Column]]) -> [Column; N] {
    let mut joined = [parts[0][0]; N];
    let (mut part, mut at) = (0, 0);
    while part < parts.len() {
        let mut column = 0;
        while column < parts[part].len() {
            joined[at] = parts[part][column];
            at += 1;
            column += 1;
        }
        part += 1;
    }
    assert!(at == N, "the parts fill the declaration");
    joined
}
