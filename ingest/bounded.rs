//! JSON and YAML into memory, within bounds: what comes out is counted, not what goes in. A YAML alias repeats what stands
//! once, and `[0,0,0` weighs sixteen times its text.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What a node costs beside its text.
const NODE_BYTES: usize = 32;
/// What a JSON text may weigh in memory, beside eight times its own size.
const JSON_BYTES: usize = 16 << 20;

/// Reads one value that weighs at most `bytes_max`.
pub fn bounded<'de, D: Deserializer<'de>>(deserializer: D, bytes_max: usize) -> Result<Value, D::Error> {
    let mut left = bytes_max;
    Bounded { left: &mut left }.deserialize(deserializer)
}

/// Reads one JSON value, and nothing behind it, that weighs no more than such a text may.
pub fn json(text: &str) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = bounded(&mut deserializer, JSON_BYTES + 8 * text.len())?;
    deserializer.end()?;
    Ok(value)
}

/// Builds one value and takes what it weighs from what is left.
struct Bounded<'a> {
    left: &'a mut usize,
}

impl Bounded<'_> {
    fn spend<E: Error>(&mut self, text_bytes: usize) -> Result<(), E> {
        let cost = text_bytes + NODE_BYTES;
        *self.left =
            self.left.checked_sub(cost).ok_or_else(|| E::custom("the document is too large once it is read"))?;
        Ok(())
    }

    fn again(&mut self) -> Bounded<'_> {
        Bounded { left: self.left }
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(mut self) -> Result<Value, E> {
        self.spend(0)?;
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<Value, E> {
        self.spend(0)?;
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<Value, E> {
        self.spend(0)?;
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<Value, E> {
        self.spend(0)?;
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<Value, E> {
        self.spend(0)?;
        Ok(Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number))
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<Value, E> {
        self.spend(value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self.again())? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let mut members = Map::new();
        while let Some(key) = access.next_key_seed(self.again())? {
            let key = match key {
                Value::String(key) => key,
                Value::Null => "null".to_owned(),
                Value::Bool(_) | Value::Number(_) => key.to_string(),
                Value::Array(_) | Value::Object(_) => return Err(A::Error::custom("a key is not a scalar")),
            };
            let value = access.next_value_seed(self.again())?;
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }

    // A tag of our caller's own (`!Ref x`): the value counts, the tag has no meaning here.
    fn visit_enum<A: EnumAccess<'de>>(mut self, access: A) -> Result<Value, A::Error> {
        let (_, content) = access.variant_seed(self.again())?;
        content.newtype_variant_seed(self.again())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_json_is_what_it_was() {
        for text in [r#"{"a":[1,-2,1.5,"x",null,true,{"b":{}}],"c":18446744073709551615}"#, "[]", "\"\\u00e4\"", "1e3"]
        {
            assert_eq!(json(text).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
        assert!(json("{} x").is_err());
    }

    #[test]
    fn heavier_than_allowed_is_refused() {
        let zeros = format!("[{}0]", "0,".repeat(2_000_000));
        assert!(json(&zeros).unwrap_err().to_string().contains("too large"));
        assert!(json(&"[".repeat(1_000_000)).is_err());
    }
}
