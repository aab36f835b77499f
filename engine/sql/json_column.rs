//! The result column of a JSON function, and an object's keys.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Int64Builder, ListBuilder, StringBuilder};
use arrow::datatypes::DataType;

/// A result column of one of the four shapes.
pub(crate) enum Column {
    Text(StringBuilder),
    Bool(BooleanBuilder),
    Int(Int64Builder),
    List(ListBuilder<StringBuilder>),
}

impl Column {
    /// A column of a type.
    pub(crate) fn new(kind: &DataType, rows: usize) -> Column {
        match kind {
            DataType::Boolean => Column::Bool(BooleanBuilder::with_capacity(rows)),
            DataType::Int64 => Column::Int(Int64Builder::with_capacity(rows)),
            DataType::List(_) => Column::List(ListBuilder::with_capacity(StringBuilder::new(), rows)),
            _ => Column::Text(StringBuilder::with_capacity(rows, rows * 16)),
        }
    }

    /// NULL.
    pub(crate) fn null(&mut self) {
        match self {
            Column::Text(builder) => builder.append_null(),
            Column::Bool(builder) => builder.append_null(),
            Column::Int(builder) => builder.append_null(),
            Column::List(builder) => builder.append_null(),
        }
    }

    /// A text or NULL.
    pub(crate) fn text(&mut self, value: Option<&str>) {
        if let Column::Text(builder) = self {
            builder.append_option(value);
        }
    }

    /// A boolean.
    pub(crate) fn bool(&mut self, value: bool) {
        if let Column::Bool(builder) = self {
            builder.append_value(value);
        }
    }

    /// A number or NULL.
    pub(crate) fn int(&mut self, value: Option<i64>) {
        if let Column::Int(builder) = self {
            builder.append_option(value);
        }
    }

    /// A list of texts.
    pub(crate) fn list<'v>(&mut self, values: impl Iterator<Item = Option<Cow<'v, str>>>) {
        if let Column::List(builder) = self {
            builder.append_value(values);
        }
    }

    /// The column.
    pub(crate) fn finish(self) -> ArrayRef {
        match self {
            Column::Text(mut builder) => Arc::new(builder.finish()),
            Column::Bool(mut builder) => Arc::new(builder.finish()),
            Column::Int(mut builder) => Arc::new(builder.finish()),
            Column::List(mut builder) => Arc::new(builder.finish()),
        }
    }
}

/// An object's keys in the order of the document.
pub(crate) struct OrderedKeys(pub(crate) Vec<String>);

impl<'de> serde::Deserialize<'de> for OrderedKeys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct KeysOnly;
        impl<'de> serde::de::Visitor<'de> for KeysOnly {
            type Value = OrderedKeys;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> std::result::Result<OrderedKeys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                    keys.push(key);
                }
                Ok(OrderedKeys(keys))
            }
        }
        deserializer.deserialize_map(KeysOnly)
    }
}
