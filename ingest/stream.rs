//! JSON values one behind the other: a single document, JSON lines, `kubectl get -w -o json`. A broken one leaves its
//! neighbours alone: reading goes on at the next line that begins with a brace.

use serde_json::Deserializer;
use serde_json::value::RawValue;

/// More broken values than this, and the rest of the text is refused as one.
const BROKEN_MAX: usize = 1_000;
/// An unclosed value is only seen to be one at the end of the text; it may be looked at so many times.
const UNCLOSED_MAX: usize = 16;

/// A part of the text.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// One JSON value, as it stands.
    Whole { number: usize, text: &'a str },
    /// What could not be read up to the next value, and why.
    Broken { number: usize, text: &'a str, reason: String },
}

/// Splits a text into its values. Numbers count from 1.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let mut found = Vec::new();
    let (mut begin, mut broken, mut unclosed) = (0, 0, 0);
    while begin < text.len() {
        let mut stream = Deserializer::from_str(&text[begin..]).into_iter::<&RawValue>();
        let mut good = 0;
        let error = loop {
            match stream.next() {
                None => return found,
                Some(Ok(raw)) => found.push(Part::Whole { number: found.len() + 1, text: raw.get() }),
                Some(Err(error)) => break error,
            }
            good = stream.byte_offset();
        };
        broken += 1;
        unclosed += usize::from(error.is_eof());
        let rest = text[begin + good..].trim_start();
        let from = text.len() - rest.len();
        let given_up = broken > BROKEN_MAX || unclosed > UNCLOSED_MAX;
        let next = rest.find("\n{").filter(|_| !given_up);
        begin = next.map_or(text.len(), |at| from + at + 1);
        let reason = format!("no JSON: {error}");
        found.push(Part::Broken { number: found.len() + 1, text: &text[from..begin], reason });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_what_lies_between() {
        let found = parts("{\"a\":1}\n{\"b\": oops}\n{\"c\":3} [4]");
        let words: Vec<_> = found
            .iter()
            .map(|part| match part {
                Part::Whole { number, text } => format!("{number} {text}"),
                Part::Broken { number, text, .. } => format!("{number}! {}", text.trim()),
            })
            .collect();
        assert_eq!(words, ["1 {\"a\":1}", "2! {\"b\": oops}", "3 {\"c\":3}", "4 [4]"]);
    }

    #[test]
    fn endless_rubbish_ends() {
        assert!(parts(&"{\n".repeat(50_000)).len() <= BROKEN_MAX + 1);
        assert!(parts(&"{\"a\":[\n".repeat(50_000)).len() <= UNCLOSED_MAX + 1);
    }
}
