//! JSON paths: `$.a.b[0]`, `$['a b'].c[*]`, a bare key, a JSON pointer, PostgreSQL's `{a,b}`; and walking a document along
//! one without building it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// An element of an array; negative counts from the end.
    Index(i64),
    /// Every element of an array, every value of an object.
    Every,
}

/// Reads a path; `None` if it is none.
pub fn parse(text: &str) -> Option<Vec<Step>> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('$') {
        return steps(rest);
    }
    if let Some(pointer) = text.strip_prefix('/') {
        let unescaped = |part: &str| part.replace("~1", "/").replace("~0", "~");
        return Some(pointer.split('/').map(|part| key_or_index(unescaped(part))).collect());
    }
    if let Some(inner) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        let parts = inner.split(',').map(|part| part.trim().trim_matches('"').to_owned());
        return Some(parts.filter(|part| !part.is_empty()).map(key_or_index).collect());
    }
    Some(vec![Step::Key(text.to_owned())])
}

fn key_or_index(part: String) -> Step {
    match part.parse() {
        Ok(index) => Step::Index(index),
        Err(_) => Step::Key(part),
    }
}

/// What follows the `$`.
fn steps(mut rest: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let (step, tail) = member(after)?;
            steps.push(step);
            rest = tail;
        } else {
            let inner = rest.strip_prefix('[')?;
            let (step, tail) = bracket(inner)?;
            steps.push(step);
            rest = tail;
        }
    }
    Some(steps)
}

fn member(after: &str) -> Option<(Step, &str)> {
    if let Some(quoted) = after.strip_prefix('"') {
        let end = quoted.find('"')?;
        return Some((Step::Key(quoted[..end].to_owned()), &quoted[end + 1..]));
    }
    let end = after.find(['.', '[']).unwrap_or(after.len());
    let (key, tail) = after.split_at(end);
    match key {
        "" => None,
        "*" => Some((Step::Every, tail)),
        key => Some((Step::Key(key.to_owned()), tail)),
    }
}

fn bracket(inner: &str) -> Option<(Step, &str)> {
    for quote in ['\'', '"'] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let end = quoted.find(quote)?;
            let tail = quoted[end + 1..].strip_prefix(']')?;
            return Some((Step::Key(quoted[..end].to_owned()), tail));
        }
    }
    let end = inner.find(']')?;
    let (content, tail) = (inner[..end].trim(), &inner[end + 1..]);
    let step = match content {
        "*" => Step::Every,
        number => {
            Step::Index(number.strip_prefix("#-").map_or_else(|| number.parse(), |n| n.parse().map(|n: i64| -n)).ok()?)
        }
    };
    Some((step, tail))
}

/// The values that a path leads to, as they stand in the document; `None` if the document is no JSON.
pub fn find<'a>(document: &'a str, steps: &[Step]) -> Option<Vec<&'a RawValue>> {
    let mut found = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(document);
    Walk { steps, found: &mut found }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(found)
}

/// A value as text: strings unquoted, the rest as it stands, null as nothing.
pub fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<Cow<str>>(raw).ok().map(|s| Cow::Owned(s.into_owned())),
        Some(b'n') => None,
        _ => Some(Cow::Borrowed(raw)),
    }
}

/// Whether a value is an object or an array.
pub fn is_container(value: &RawValue) -> bool {
    matches!(value.get().as_bytes().first(), Some(b'{' | b'['))
}

/// The JSON type of a value.
pub fn kind_of(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    }
}

/// Follows the steps; what lies beside the path is checked and skipped.
struct Walk<'s, 'f, 'a> {
    steps: &'s [Step],
    found: &'f mut Vec<&'a RawValue>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.steps.is_empty() {
            self.found.push(serde::Deserialize::deserialize(deserializer)?);
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (step, rest) = (&self.steps[0], &self.steps[1..]);
        let before = self.found.len();
        while let Some(key) = map.next_key::<Cow<str>>()? {
            match step {
                Step::Key(wanted) if *wanted == key => {
                    // Of a repeated key the last value counts.
                    self.found.truncate(before);
                    map.next_value_seed(Walk { steps: rest, found: self.found })?;
                }
                Step::Every => map.next_value_seed(Walk { steps: rest, found: self.found })?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let (step, rest) = (&self.steps[0], &self.steps[1..]);
        match step {
            Step::Every => while seq.next_element_seed(Walk { steps: rest, found: self.found })?.is_some() {},
            Step::Index(index) if *index >= 0 => {
                let mut position = 0;
                loop {
                    let more = if position == *index {
                        seq.next_element_seed(Walk { steps: rest, found: self.found })?.is_some()
                    } else {
                        seq.next_element::<IgnoredAny>()?.is_some()
                    };
                    if !more {
                        return Ok(());
                    }
                    position += 1;
                }
            }
            Step::Index(from_end) => {
                let mut elements: Vec<&'de RawValue> = Vec::new();
                while let Some(element) = seq.next_element()? {
                    elements.push(element);
                }
                let position = usize::try_from(from_end + elements.len() as i64).ok();
                if let Some(element) = position.and_then(|at| elements.get(at))
                    && let Some(inner) = find(element.get(), rest)
                {
                    self.found.extend(inner);
                }
            }
            Step::Key(_) => while seq.next_element::<IgnoredAny>()?.is_some() {},
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DOCUMENT: &str =
        r#"{"a": {"b c": [1, {"d": "x\ny"}, null]}, "n": 1e-7, "a.b": true, "twice": 1, "twice": 2}"#;

    fn check(path: &str, expected: Option<&str>) {
        let found = find(DOCUMENT, &parse(path).unwrap()).unwrap();
        assert_eq!(found.first().map(|v| v.get()), expected, "{path}");
    }

    #[test]
    fn paths_lead_to_values() {
        check("$", Some(DOCUMENT));
        check("$.n", Some("1e-7"));
        check("n", Some("1e-7"));
        check("$.a['b c'][0]", Some("1"));
        check("$.a.\"b c\"[1].d", Some(r#""x\ny""#));
        check("$.a[\"b c\"][-1]", Some("null"));
        check("/a/b c/1/d", Some(r#""x\ny""#));
        check("{a,b c,0}", Some("1"));
        check("a.b", Some("true"));
        check("$.twice", Some("2"));
        check("$.nothing.more", None);
        check("$.n.more", None);
        assert_eq!(find(DOCUMENT, &parse("$.a['b c'][*]").unwrap()).unwrap().len(), 3);
        assert_eq!(parse("$.."), None);
        assert_eq!(parse("$[x]"), None);
    }

    #[test]
    fn broken_documents_are_nothing() {
        for broken in ["", "{", "{\"a\": 1} x", "nul", "{'a': 1}", "\u{0}"] {
            assert!(find(broken, &parse("$.a").unwrap()).is_none(), "{broken}");
        }
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        find(&deep, &parse("$[0][0]").unwrap());
    }
}
