//! Where in a document a finding stands: within a text, as the name of a member, or bare. What takes the place of a bare
//! number needs quotes, or the document would be none.

use serde::de::IgnoredAny;

/// Where a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// In running text, or within quotes.
    Text,
    /// In the name of a member.
    Key,
    /// Digits of a longer number, which must stay one.
    Part,
    /// A number of its own; the quote that its document uses, with its backslashes.
    Bare(&'a str),
}

/// The places of these findings, which are in order.
pub fn places<'a>(text: &'a str, findings: impl Iterator<Item = (usize, usize)>) -> Vec<Place<'a>> {
    let document = is_document(text);
    let bytes = text.as_bytes();
    let (mut at, mut quoted) = (0, false);
    findings
        .map(|(start, end)| {
            let number = bytes[start..end].iter().all(u8::is_ascii_digit);
            if !document {
                return if number { bare_member(text, start, end) } else { Place::Text };
            }
            while at < start {
                match bytes[at] {
                    b'\\' if quoted => at += 1,
                    b'"' => quoted = !quoted,
                    _ => {}
                }
                at += 1;
            }
            match quoted {
                true if is_key(text, end) => Place::Key,
                true if number => bare_member(text, start, end),
                true => Place::Text,
                false if whole_number(bytes, start, end) => Place::Bare("\""),
                false => Place::Part,
            }
        })
        .collect()
}

/// Whether the number is all that stands between two signs of a document.
fn whole_number(bytes: &[u8], start: usize, end: usize) -> bool {
    let structural = |byte: Option<&u8>| byte.is_none_or(|byte| b":,[]{} \t\r\n".contains(byte));
    structural(start.checked_sub(1).and_then(|at| bytes.get(at))) && structural(bytes.get(end))
}

/// Whether all of the text is one document; a line that begins with a bracket is not.
pub fn is_document(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether the text in quotes that ends behind here is followed by a colon.
fn is_key(text: &str, from: usize) -> bool {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' => return text[at + 1..].trim_start().starts_with(':'),
            _ => {}
        }
        at += 1;
    }
    false
}

/// A number behind the quoted name of a member, in a document within a line of text or within another document.
fn bare_member(text: &str, start: usize, end: usize) -> Place<'_> {
    let Some(name) = text[..start].trim_end_matches([' ', '\t']).strip_suffix(':') else { return Place::Text };
    let name = name.trim_end_matches([' ', '\t']);
    let Some(before) = name.strip_suffix('"') else { return Place::Text };
    let quote = &name[before.trim_end_matches('\\').len()..];
    let follows = text[end..].trim_start_matches([' ', '\t']);
    if follows.is_empty() || follows.starts_with([',', '}', ']', '\\', '\n']) {
        Place::Bare(quote)
    } else {
        Place::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number stands where the text has `~`.
    fn check(text: &str, expected: Place<'_>) {
        let at = text.find('~').expect("the text has a place");
        let text = text.replace('~', "4111111111111111");
        assert_eq!(places(&text, [(at, at + 16)].into_iter()), [expected], "{text}");
    }

    #[test]
    fn places_in_documents_and_lines() {
        check(r#"{"a":"~"}"#, Place::Text);
        check(r#"{"a":~}"#, Place::Bare("\""));
        check(r#"{"a":[1, ~]}"#, Place::Bare("\""));
        check(r#"{"~":1}"#, Place::Key);
        check(r#"{"a":"{\"b\":~}"}"#, Place::Bare("\\\""));
        check(r#"paid {"card": ~, "n":1}"#, Place::Bare("\""));
        check(r#"card: ~"#, Place::Text);
        check(r#"{"a\"b":"x \" ~"}"#, Place::Text);
        check("[info] ~", Place::Text);
        check(r#"{"a":-~}"#, Place::Part);
        check(r#"{"a":~.5}"#, Place::Part);
    }
}
