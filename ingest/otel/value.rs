//! OTLP values as JSON text that keeps their types: integers stay integers, doubles always carry a point or exponent,
//! `NaN`, `Infinity` and `-Infinity` are strings as in OTLP/JSON, bytes are `{"bytes":"base64"}`, lists of keys and
//! values are objects, an empty value is `null`.

use std::collections::HashMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

/// Up to this many attributes a repeated key is looked for by comparing, above it by hashing.
const COMPARED_MAX: usize = 32;

/// Appends a value.
pub(super) fn write(out: &mut String, value: Option<&AnyValue>) {
    match value.and_then(|v| v.value.as_ref()) {
        None => out.push_str("null"),
        Some(Value::StringValue(text)) => write_text(out, text),
        Some(Value::BoolValue(flag)) => out.push_str(if *flag { "true" } else { "false" }),
        Some(Value::IntValue(int)) => write_int(out, *int),
        // An index into a table of strings that only profiles carry.
        Some(Value::StringValueStrindex(index)) => write_int(out, i64::from(*index)),
        Some(Value::DoubleValue(double)) => write_double(out, *double),
        Some(Value::ArrayValue(array)) => {
            write_list(out, &array.values, |out, value| write(out, Some(value)));
        }
        Some(Value::KvlistValue(list)) => write_object(out, &list.values),
        Some(Value::BytesValue(bytes)) => {
            out.push_str("{\"bytes\":\"");
            STANDARD.encode_string(bytes, out);
            out.push_str("\"}");
        }
    }
}

/// Appends keys and values as an object; of a repeated key the last value wins.
pub(super) fn write_object(out: &mut String, pairs: &[KeyValue]) {
    write_pairs(out, pairs, |_| false);
}

/// Appends the pairs whose position `left_out` does not name.
pub(super) fn write_pairs(out: &mut String, pairs: &[KeyValue], left_out: impl Fn(usize) -> bool) {
    let last: Option<HashMap<&str, usize>> = (pairs.len() > COMPARED_MAX)
        .then(|| pairs.iter().enumerate().map(|(at, pair)| (pair.key.as_str(), at)).collect());
    let repeated = |at: usize, key: &str| match &last {
        Some(last) => last.get(key) != Some(&at),
        None => pairs[at + 1..].iter().any(|later| later.key == key),
    };
    out.push('{');
    let mut first = true;
    for (at, pair) in pairs.iter().enumerate() {
        if left_out(at) || repeated(at, &pair.key) {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        write_text(out, &pair.key);
        out.push(':');
        write(out, pair.value.as_ref());
    }
    out.push('}');
}

/// Appends a list.
pub(super) fn write_list<T>(out: &mut String, items: &[T], mut item: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (at, each) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        item(out, each);
    }
    out.push(']');
}

/// Appends an integer.
pub(super) fn write_int(out: &mut String, int: i64) {
    write!(out, "{int}").expect("a String takes every write");
}

/// Appends a double: the shortest digits that read back as the same number.
pub(super) fn write_double(out: &mut String, double: f64) {
    match double {
        d if d.is_nan() => out.push_str("\"NaN\""),
        f64::INFINITY => out.push_str("\"Infinity\""),
        f64::NEG_INFINITY => out.push_str("\"-Infinity\""),
        finite => write!(out, "{finite:?}").expect("a String takes every write"),
    }
}

/// Appends a JSON string.
pub(super) fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match escape {
            "" => write!(out, "\\u{byte:04x}").expect("a String takes every write"),
            known => out.push_str(known),
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// A scalar as the text of a label; `None` for what is not a scalar.
pub(super) fn label(value: Option<&AnyValue>) -> Option<String> {
    match value?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::BoolValue(flag) => Some(flag.to_string()),
        Value::IntValue(int) => Some(int.to_string()),
        Value::DoubleValue(double) => Some(double.to_string()),
        _ => None,
    }
}

/// The body of a log record: text as it is, anything structured as JSON text.
pub(super) fn body(value: Option<&AnyValue>) -> Option<std::borrow::Cow<'_, str>> {
    match value?.value.as_ref()? {
        Value::StringValue(text) => Some(text.as_str().into()),
        _ => {
            let mut out = String::new();
            write(&mut out, value);
            Some(out.into())
        }
    }
}
