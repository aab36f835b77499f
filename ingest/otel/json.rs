//! OTLP/JSON into the protobuf messages, by the protobuf JSON mapping with OTLP's exceptions: names in lowerCamelCase,
//! 64-bit integers as numbers or text, enumerations as numbers or names, ids in hex, bytes in base64 (either alphabet,
//! padded or not), doubles also as `"NaN"` and `"Infinity"`, `null` for an absent field, unknown fields ignored.
//!
//! The derived serde types of the protocol's crate do not do: a value with an unknown field or `"NaN"` fails there, and
//! with it the request.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::{Map, Value};

mod metric;
mod record;

pub(super) use metric::metric;
pub(super) use record::{log_record, span};

type Read<T> = Result<T, String>;

const UNPADDED_OK: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, UNPADDED_OK);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, UNPADDED_OK);

/// A resource.
pub(super) fn resource(value: &Value) -> Read<Resource> {
    let message = Message::of(value)?;
    Ok(Resource {
        attributes: message.list("attributes", key_value)?,
        dropped_attributes_count: message.u32("droppedAttributesCount")?,
        ..Resource::default()
    })
}

/// An instrumentation scope.
pub(super) fn scope(value: &Value) -> Read<InstrumentationScope> {
    let message = Message::of(value)?;
    Ok(InstrumentationScope {
        name: message.text("name")?,
        version: message.text("version")?,
        attributes: message.list("attributes", key_value)?,
        dropped_attributes_count: message.u32("droppedAttributesCount")?,
    })
}

fn key_value(value: &Value) -> Read<KeyValue> {
    let message = Message::of(value)?;
    Ok(KeyValue { key: message.text("key")?, value: message.nested("value", any_value)?, ..KeyValue::default() })
}

fn any_value(value: &Value) -> Read<AnyValue> {
    let message = Message::of(value)?;
    let inner = if message.has("stringValue") {
        Some(Any::StringValue(message.text("stringValue")?))
    } else if message.has("boolValue") {
        Some(Any::BoolValue(message.bool("boolValue")?))
    } else if message.has("intValue") {
        Some(Any::IntValue(message.i64("intValue")?))
    } else if message.has("doubleValue") {
        Some(Any::DoubleValue(message.f64("doubleValue")?))
    } else if message.has("bytesValue") {
        Some(Any::BytesValue(message.bytes("bytesValue")?))
    } else if message.has("arrayValue") {
        let values = |v: &Value| Ok(ArrayValue { values: Message::of(v)?.list("values", any_value)? });
        message.nested("arrayValue", values)?.map(Any::ArrayValue)
    } else {
        let values = |v: &Value| Ok(KeyValueList { values: Message::of(v)?.list("values", key_value)? });
        message.nested("kvlistValue", values)?.map(Any::KvlistValue)
    };
    Ok(AnyValue { value: inner })
}

/// The fields of one message.
#[derive(Debug, Clone, Copy)]
struct Message<'a>(&'a Map<String, Value>);

impl<'a> Message<'a> {
    fn of(value: &'a Value) -> Read<Self> {
        value.as_object().map(Message).ok_or_else(|| format!("expected an object, found {}", kind(value)))
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A field read by `read`; absent is the type's default. An error is told with the field's name.
    fn field<T: Default>(&self, name: &str, read: impl FnOnce(&'a Value) -> Read<T>) -> Read<T> {
        match self.get(name) {
            None => Ok(T::default()),
            Some(value) => read(value).map_err(|reason| match reason.starts_with(['.', '[']) {
                true => format!(".{name}{reason}"),
                false => format!(".{name}: {reason}"),
            }),
        }
    }

    fn nested<T>(&self, name: &str, read: impl FnOnce(&'a Value) -> Read<T>) -> Read<Option<T>> {
        self.field(name, |value| read(value).map(Some))
    }

    fn list<T>(&self, name: &str, read: impl Fn(&'a Value) -> Read<T>) -> Read<Vec<T>> {
        self.field(name, |value| {
            let items = value.as_array().ok_or_else(|| format!("expected an array, found {}", kind(value)))?;
            let item = |(at, item)| {
                read(item).map_err(|reason| match reason.starts_with(['.', '[']) {
                    true => format!("[{at}]{reason}"),
                    false => format!("[{at}]: {reason}"),
                })
            };
            items.iter().enumerate().map(item).collect()
        })
    }

    fn text(&self, name: &str) -> Read<String> {
        self.field(name, |value| value.as_str().map(str::to_owned).ok_or_else(|| wrong("text", value)))
    }

    fn bool(&self, name: &str) -> Read<bool> {
        self.field(name, |value| value.as_bool().ok_or_else(|| wrong("true or false", value)))
    }

    fn u64(&self, name: &str) -> Read<u64> {
        self.field(name, unsigned)
    }

    fn i64(&self, name: &str) -> Read<i64> {
        self.field(name, signed)
    }

    fn u32(&self, name: &str) -> Read<u32> {
        self.field(name, |value| u32::try_from(unsigned(value)?).map_err(|_| wrong("an integer of 32 bits", value)))
    }

    fn i32(&self, name: &str) -> Read<i32> {
        self.field(name, |value| i32::try_from(signed(value)?).map_err(|_| wrong("an integer of 32 bits", value)))
    }

    fn f64(&self, name: &str) -> Read<f64> {
        self.field(name, double)
    }

    /// Bytes in base64.
    fn bytes(&self, name: &str) -> Read<Vec<u8>> {
        self.field(name, |value| {
            let text = value.as_str().ok_or_else(|| wrong("base64 text", value))?;
            let alphabet = if text.contains(['-', '_']) { BASE64_URL } else { BASE64 };
            alphabet.decode(text).map_err(|error| format!("not base64: {error}"))
        })
    }

    /// A trace or span id in hex.
    fn id(&self, name: &str) -> Read<Vec<u8>> {
        self.field(name, |value| {
            let text = value.as_str().ok_or_else(|| wrong("hex text", value))?;
            hex::decode(text).map_err(|error| format!("not hex: {error}"))
        })
    }

    /// An enumeration by number or name.
    fn enumeration<E: Into<i32>>(&self, name: &str, from_name: fn(&str) -> Option<E>) -> Read<i32> {
        self.field(name, |value| match value.as_str().and_then(from_name) {
            Some(known) => Ok(known.into()),
            None => i32::try_from(signed(value)?).map_err(|_| wrong("an enumeration", value)),
        })
    }
}

fn signed(value: &Value) -> Read<i64> {
    let int = match value {
        Value::Number(number) => {
            number.as_i64().or_else(|| whole(number.as_f64()?, i64::MIN as f64, i64::MAX as f64).map(|w| w as i64))
        }
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    int.ok_or_else(|| wrong("an integer of 64 bits", value))
}

fn unsigned(value: &Value) -> Read<u64> {
    let int = match value {
        Value::Number(number) => {
            number.as_u64().or_else(|| whole(number.as_f64()?, 0.0, u64::MAX as f64).map(|w| w as u64))
        }
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    int.ok_or_else(|| wrong("an unsigned integer of 64 bits", value))
}

/// A whole number written with a point or an exponent (`1.0`, `1e3`), within `from` and below `to`.
fn whole(double: f64, from: f64, to: f64) -> Option<f64> {
    (double.fract() == 0.0 && double >= from && double < to).then_some(double)
}

fn double(value: &Value) -> Read<f64> {
    let double = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            digits => digits.parse().ok().filter(|double: &f64| double.is_finite()),
        },
        _ => None,
    };
    double.ok_or_else(|| wrong("a double", value))
}

fn wrong(expected: &str, found: &Value) -> String {
    format!("expected {expected}, found {}", kind(found))
}

/// A value as an error shows it: scalars themselves, cut short, of the rest the kind.
fn kind(value: &Value) -> String {
    match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        scalar => scalar.to_string().chars().take(64).collect(),
    }
}
