//! Reads loosely: reports of dozens of tools leave members out, write null or a number for a text. What a finding cannot do
//! without is asked for by its reader; everything else is taken where it fits.

use serde_json::Value;

use crate::json::{at, instant_us};

/// Text at a path that says something.
pub fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path).and_then(Value::as_str).map(str::trim).filter(|words| !words.is_empty())
}

/// Text at a path, owned.
pub fn owned(value: &Value, path: &[&str]) -> Option<String> {
    text(value, path).map(str::to_owned)
}

/// Text, a number or a truth value at a path, as text.
pub fn scalar(value: &Value, path: &[&str]) -> Option<String> {
    match at(value, path)? {
        Value::String(words) => Some(words.trim().to_owned()).filter(|words| !words.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// A whole number at a path, written as one or as text.
pub fn int(value: &Value, path: &[&str]) -> Option<i64> {
    match at(value, path)? {
        Value::Number(number) => number.as_i64(),
        Value::String(words) => words.trim().parse().ok(),
        _ => None,
    }
}

/// A number at a path, written as one or as text.
pub fn float(value: &Value, path: &[&str]) -> Option<f64> {
    match at(value, path)? {
        Value::Number(number) => number.as_f64(),
        Value::String(words) => words.trim().parse().ok(),
        _ => None,
    }
    .filter(|number| number.is_finite())
}

/// The items of a list at a path; none where there is no list.
pub fn items<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The texts of a list at a path; one text counts as a list of one.
pub fn texts(value: &Value, path: &[&str]) -> Vec<String> {
    match at(value, path) {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(one)) if !one.trim().is_empty() => vec![one.clone()],
        _ => Vec::new(),
    }
}

/// An instant at a path, in microseconds since 1970; a day counts from its midnight in UTC.
pub fn instant(value: &Value, path: &[&str]) -> Option<i64> {
    text(value, path).and_then(instant_of)
}

/// An instant, if the words are one. Tools write 0001-01-01 for "never".
pub fn instant_of(words: &str) -> Option<i64> {
    let day = |format| {
        let day = chrono::NaiveDate::parse_from_str(words, format).ok()?;
        Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros())
    };
    instant_us(words)
        .or_else(|| day("%Y-%m-%d"))
        .or_else(|| day("%m-%d-%Y"))
        .or_else(|| day("%m/%d/%Y"))
        .filter(|us| *us > 0)
}

/// A list as a JSON cell; nothing for an empty one.
pub fn cell<T: serde::Serialize>(list: &[T]) -> Option<String> {
    (!list.is_empty()).then(|| serde_json::json!(list).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_fits_is_taken() {
        let value = json!({"a": " x ", "n": 7, "t": "8", "f": "0.5", "empty": " ", "none": null, "list": ["p", 1, "q"], "day": "2024-03-01"});
        assert_eq!(text(&value, &["a"]), Some("x"));
        assert_eq!((text(&value, &["n"]), text(&value, &["empty"]), text(&value, &["none"])), (None, None, None));
        assert_eq!(
            (scalar(&value, &["n"]).as_deref(), int(&value, &["t"]), float(&value, &["f"])),
            (Some("7"), Some(8), Some(0.5))
        );
        assert_eq!(
            (texts(&value, &["list"]), texts(&value, &["a"])),
            (vec!["p".to_owned(), "q".to_owned()], vec![" x ".to_owned()])
        );
        assert_eq!(instant(&value, &["day"]), Some(1_709_251_200_000_000));
        assert_eq!(instant_of("0001-01-01T00:00:00Z"), None);
        assert!(items(&value, &["a"]).is_empty());
    }
}
