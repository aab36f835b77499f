//! Secrets that are known by the name they are given: `password=…`, `"token": "…"`, `{"name":"DB_PASSWORD","value":"…"}`,
//! connection strings, environment pairs; in plain text, in JSON, and in JSON inside of JSON.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::quoted::{closing, quote, skip_spaces};
use super::{MARK, mark};

/// Names that only a secret has: any value is one.
const STRONG: &str = "password|passwd|passphrase|pwd|api[ _-]?key|access[_-]?key|account[_-]?key|private[_-]?key|secret[_-]?key|client[_-]?secret";
/// Names that references have, too: a value must look like a secret.
const WEAK: &str = "secret|token|credentials?|authorization|pat";

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!("(?i)({STRONG})|({WEAK})")).expect("the pattern is part of the program and tested")
});

/// Takes out what is assigned to the names of secrets.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut redacted = String::new();
    let mut kept = 0;
    for found in NAME.captures_iter(text) {
        let name = found.get(0).expect("group 0 is the match");
        if name.start() < kept || !ends_a_name(text, name.as_str(), name.start(), name.end()) {
            continue;
        }
        let Some(value) = assigned(text, name.end()) else { continue };
        let strong = found.get(1).is_some();
        let words = &text[value.from..value.to];
        let secret = if strong { !is_placeholder(words) } else { looks_secret(words) };
        // A bare value in JSON is a number or a word of the language, and what takes its place needs quotes.
        if !secret || (value.bare_in_json && !(strong && words.bytes().all(|b| b.is_ascii_digit()))) {
            continue;
        }
        redacted.push_str(&text[kept..value.from]);
        let mark = mark(if strong { "password" } else { "secret" });
        let quote = if value.bare_in_json { value.quote } else { "" };
        redacted.extend([quote, &mark, quote]);
        kept = value.to;
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    redacted.push_str(&text[kept..]);
    Cow::Owned(redacted)
}

/// Whether the word is the end of a name: `db_password`, but not `passwordHash`; `pat` only as a word of its own.
fn ends_a_name(text: &str, word: &str, start: usize, end: usize) -> bool {
    let after = text.as_bytes().get(end).copied().unwrap_or(b' ');
    let whole = !(after.is_ascii_alphanumeric() || matches!(after, b'_' | b'-' | b'.' | b'/'));
    let before = start.checked_sub(1).and_then(|at| text.as_bytes().get(at)).copied().unwrap_or(b' ');
    whole && (word.len() > 3 || !word.eq_ignore_ascii_case("pat") || !before.is_ascii_alphanumeric())
}

/// Where an assigned value stands.
struct Assigned<'a> {
    from: usize,
    to: usize,
    /// The quote around the name, with its backslashes.
    quote: &'a str,
    /// The name is quoted, the value is not.
    bare_in_json: bool,
}

/// The value that is assigned to the name which ends here.
fn assigned(text: &str, name_end: usize) -> Option<Assigned<'_>> {
    let quote = quote(text, name_end);
    let after_name = skip_spaces(text, name_end + quote.len());
    let rest = &text[after_name..];
    let sign = if rest.starts_with(":=") || rest.starts_with("=>") {
        2
    } else if rest.starts_with([':', '='])
        && !rest.starts_with("==")
        && !rest.starts_with("://")
        && !rest.starts_with("::")
    {
        1
    } else if rest.starts_with(',') && !quote.is_empty() {
        // {"name":"DB_PASSWORD","value":"…"}, as containers have their environment.
        let member = skip_spaces(text, after_name + 1);
        return value_member(text, member, quote);
    } else {
        return None;
    };
    let begin = skip_spaces(text, after_name + sign);
    if text[begin..].starts_with('{') && !quote.is_empty() {
        // {"DB_PASSWORD":{"isSecret":true,"value":"…"}}, as pipelines have their variables.
        const LOOK_BYTES: usize = 120;
        let inside = &text[begin + 1..];
        let inside =
            &inside[..inside.find(['{', '}']).unwrap_or(inside.len()).min(inside.floor_char_boundary(LOOK_BYTES))];
        let member = inside.find(&format!("{quote}value{quote}"))?;
        return value_member(text, begin + 1 + member, quote);
    }
    value(text, begin, quote)
}

/// The value of a member `"value"` that begins here.
fn value_member<'a>(text: &'a str, at: usize, quote: &'a str) -> Option<Assigned<'a>> {
    let name = text[at..].strip_prefix(quote)?.strip_prefix("value")?.strip_prefix(quote)?;
    let colon = skip_spaces(text, text.len() - name.len());
    text[colon..].strip_prefix(':')?;
    let begin = skip_spaces(text, colon + 1);
    let found = value(text, begin, quote)?;
    (!found.bare_in_json).then_some(found)
}

/// A value that begins here: quoted up to the same quote, or bare up to what ends a word.
fn value<'a>(text: &'a str, begin: usize, name_quote: &'a str) -> Option<Assigned<'a>> {
    let open = quote(text, begin);
    if open.is_empty() {
        let to = begin + bare_length(&text[begin..]);
        return (to > begin).then_some(Assigned {
            from: begin,
            to,
            quote: name_quote,
            bare_in_json: !name_quote.is_empty(),
        });
    }
    let from = begin + open.len();
    // Behind a bare name it may as well be the end of the text in JSON that the name stands in.
    if name_quote.is_empty() && text[from..].trim_start().starts_with([',', ':', ']', '}']) {
        return None;
    }
    let to = closing(text, from, open).unwrap_or(text.len());
    (to > from).then_some(Assigned { from, to, quote: name_quote, bare_in_json: false })
}

/// Bytes of a bare value. An escaped line break, tab, quote or ampersand ends it; another escape is part of it, whole.
fn bare_length(rest: &str) -> usize {
    let mut characters = rest.char_indices();
    while let Some((at, c)) = characters.next() {
        if c.is_whitespace() || matches!(c, ',' | ';' | '&' | '"' | '\'' | '<' | '>' | ')' | '}' | ']' | '`' | '|') {
            return at;
        }
        if c == '\\' {
            let escaped = &rest[at + 1..];
            if escaped.is_empty()
                || escaped.starts_with(['n', 'r', 't', '"', '\''])
                || ["u0026", "u003c", "u003e", "u0022", "u0027"].iter().any(|code| escaped.starts_with(code))
            {
                return at;
            }
            characters.next();
        }
    }
    rest.len()
}

/// What stands for a secret that is somewhere else.
fn is_placeholder(words: &str) -> bool {
    let word = words.trim();
    let reference =
        ["${", "$(", "{{", "<", "%", "*", "[", "@Microsoft.KeyVault"].iter().any(|begin| word.starts_with(begin));
    let variable =
        word.strip_prefix('$').is_some_and(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
    let nothing = ["", "true", "false", "null", "none", "nil", "undefined", "redacted", "required", "optional"];
    word.starts_with(MARK)
        || reference
        || variable
        || nothing.iter().any(|n| word.eq_ignore_ascii_case(n))
        || word.starts_with(['{', '('])
}

/// Random enough to be a secret, and no name, path or id.
pub(super) fn looks_secret(words: &str) -> bool {
    let any = |is: fn(&u8) -> bool| words.as_bytes().iter().any(is);
    let is_name = any(|b| matches!(b, b'-' | b'.' | b'/' | b':')) && !any(u8::is_ascii_uppercase);
    let is_path = words.starts_with(['/', '.']) || words.contains("://");
    let is_sentence = any(u8::is_ascii_whitespace);
    words.len() >= 8
        && any(u8::is_ascii_digit)
        && any(u8::is_ascii_alphabetic)
        && !(is_name || is_path || is_sentence || is_uuid(words) || is_placeholder(words))
}

fn is_uuid(words: &str) -> bool {
    words.len() == 36
        && words
            .bytes()
            .enumerate()
            .all(|(i, b)| if matches!(i, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() })
}
