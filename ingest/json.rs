//! Reads cells out of loosely typed JSON: absent and null are `None`, another type than expected is a reason to refuse.

use chrono::{DateTime, NaiveDateTime};
use serde_json::{Map, Value};

/// Why a record is refused, in words for the person who must act.
pub type Reason = String;

/// The value at a path of member names; `None` where a member is absent or null.
pub fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    let mut here = value;
    for name in path {
        here = here.as_object()?.get(*name)?;
    }
    (!here.is_null()).then_some(here)
}

/// Text at a path.
pub fn text<'a>(value: &'a Value, path: &[&str]) -> Result<Option<&'a str>, Reason> {
    typed(value, path, "text", Value::as_str)
}

/// A truth value at a path.
pub fn boolean(value: &Value, path: &[&str]) -> Result<Option<bool>, Reason> {
    typed(value, path, "true or false", Value::as_bool)
}

/// A whole number of 64 bits at a path.
pub fn int(value: &Value, path: &[&str]) -> Result<Option<i64>, Reason> {
    typed(value, path, "a whole number", Value::as_i64)
}

/// A list at a path.
pub fn list<'a>(value: &'a Value, path: &[&str]) -> Result<Option<&'a Vec<Value>>, Reason> {
    typed(value, path, "a list", Value::as_array)
}

/// An object at a path.
pub fn object<'a>(value: &'a Value, path: &[&str]) -> Result<Option<&'a Map<String, Value>>, Reason> {
    typed(value, path, "an object", Value::as_object)
}

/// An instant at a path, in microseconds since 1970.
pub fn time(value: &Value, path: &[&str]) -> Result<Option<i64>, Reason> {
    let Some(words) = text(value, path)? else { return Ok(None) };
    if words.is_empty() {
        return Ok(None);
    }
    instant_us(words).map(Some).ok_or_else(|| format!("{} is no time: {:?}", path.join("."), clip(words)))
}

/// The JSON text at a path, for a `Json` column.
pub fn document(value: &Value, path: &[&str]) -> Option<String> {
    at(value, path).map(Value::to_string)
}

/// Microseconds since 1970 of an ISO 8601 instant; without a zone it is UTC. Digits below a microsecond are dropped.
pub fn instant_us(words: &str) -> Option<i64> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(words) {
        return Some(instant.timestamp_micros());
    }
    let local = NaiveDateTime::parse_from_str(words, "%Y-%m-%dT%H:%M:%S%.f");
    let local = local.or_else(|_| NaiveDateTime::parse_from_str(words, "%Y-%m-%d %H:%M:%S%.f"));
    local.ok().map(|instant| instant.and_utc().timestamp_micros())
}

/// The beginning of a text, short enough for a reason.
pub fn clip(words: &str) -> &str {
    const REASON_CHARS_MAX: usize = 120;
    words.char_indices().nth(REASON_CHARS_MAX).map_or(words, |(end, _)| &words[..end])
}

fn typed<'a, T>(
    value: &'a Value,
    path: &[&str],
    wanted: &str,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<Option<T>, Reason> {
    let Some(found) = at(value, path) else { return Ok(None) };
    match read(found) {
        Some(read) => Ok(Some(read)),
        None => Err(format!("{} is not {wanted}: {}", path.join("."), clip(&found.to_string()))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn instants_of_every_spelling() {
        for (words, us) in [
            ("1970-01-01T00:00:01Z", Some(1_000_000)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1970-01-01T00:00:00.1234567Z", Some(123_456)),
            ("1970-01-01T00:00:01", Some(1_000_000)),
            ("0001-01-01T00:00:00", Some(-62_135_596_800_000_000)),
            ("9999-01-01T00:00:00Z", Some(253_370_764_800_000_000)),
            ("yesterday", None),
            ("2024-02-30T00:00:00Z", None),
        ] {
            assert_eq!(instant_us(words), us, "{words}");
        }
    }

    #[test]
    fn another_type_is_a_reason() {
        let value = json!({"a": {"b": 1, "n": null}});
        assert_eq!(int(&value, &["a", "b"]).unwrap(), Some(1));
        assert_eq!(int(&value, &["a", "n"]).unwrap(), None);
        assert_eq!(int(&value, &["a", "x", "y"]).unwrap(), None);
        assert_eq!(text(&value, &["a", "b"]).unwrap_err(), "a.b is not text: 1");
    }
}
