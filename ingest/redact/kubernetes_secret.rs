//! Kubernetes Secrets in any text: a manifest in a config map, the copy that kubectl keeps in an annotation, a body that
//! could not be parsed. The names of the values stay.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::quoted::{closing, quote};
use super::{MARK, mark};

static KIND: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"(?:^|\\n|[^A-Za-z])kind\\*["']?[ \t]*:[ \t]*\\*["']?Secret(?:\\*["']|\\+[nr]|[\s,}]|$)"#)
});
static VALUES: LazyLock<Regex> = LazyLock::new(|| regex(r#"(?:^|[\s{,"'\\]|\\n)(data|stringData)(\\*["']?)[ \t]*:"#));
/// A line of YAML with a value: indentation, name with its colon, value.
static LINE: LazyLock<Regex> = LazyLock::new(|| regex(r#"^([ \t]*)([^\s:]+[ \t]*:[ \t]*)(.*)$"#));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is part of the program and tested")
}

/// Takes the values out of every Secret in the text.
pub fn redact(text: &str) -> Cow<'_, str> {
    if !KIND.is_match(text) {
        return Cow::Borrowed(text);
    }
    let mut redacted = String::new();
    let mut kept = 0;
    for found in VALUES.captures_iter(text) {
        let (whole, name) =
            (found.get(0).expect("group 0 is the match"), found.get(1).expect("group 1 is not optional"));
        if whole.start() < kept {
            continue;
        }
        let rest = &text[whole.end()..];
        let open = skip_white(rest, 0);
        let (length, stays) = if rest[open..].starts_with('{') {
            members(rest, open + 1)
        } else if found[2].is_empty() {
            let before = &text[..name.start()];
            lines(rest, before.len() - before.trim_end_matches([' ', '\t']).len())
        } else {
            continue;
        };
        redacted.push_str(&text[kept..whole.end()]);
        redacted.push_str(&stays);
        kept = whole.end() + length;
    }
    redacted.push_str(&text[kept..]);
    if redacted == text { Cow::Borrowed(text) } else { Cow::Owned(redacted) }
}

/// The members of a JSON object of texts: up to where they were read, and what stays.
fn members(rest: &str, begin: usize) -> (usize, String) {
    let mut stays = String::new();
    let mut kept = 0;
    let mut at = begin;
    loop {
        at = skip_white(rest, at);
        let name_quote = quote(rest, at);
        if name_quote.is_empty() {
            break;
        }
        let Some(name_end) = closing(rest, at + name_quote.len(), name_quote) else { break };
        let colon = skip_white(rest, name_end + name_quote.len());
        if !rest[colon..].starts_with(':') {
            break;
        }
        at = skip_white(rest, colon + 1);
        let value_quote = quote(rest, at);
        if value_quote.is_empty() {
            // Null, or nonsense: a Secret's values are texts.
            at += rest[at..].find([',', '}']).unwrap_or(rest.len() - at);
            continue;
        }
        let from = at + value_quote.len();
        let to = closing(rest, from, value_quote).unwrap_or(rest.len());
        if to > from && !rest[from..].starts_with(MARK) {
            stays.push_str(&rest[kept..from]);
            stays.push_str(&mark("kubernetes_secret"));
            kept = to;
        }
        at = (to + value_quote.len()).min(rest.len());
    }
    (kept, stays)
}

/// The lines of a YAML mapping, those indented deeper than its name: how long they are, and what stays of them. Where
/// the manifest is itself a text in JSON, its line breaks are escaped and it ends with that text.
fn lines(rest: &str, depth: usize) -> (usize, String) {
    let begin = rest.trim_start_matches([' ', '\t']);
    let backslashes = begin.bytes().take_while(|b| *b == b'\\').count();
    let escaped = backslashes > 0 && begin[backslashes..].starts_with('n');
    let line_break = if escaped { &begin[..=backslashes] } else { "\n" };
    let text = if escaped { &rest[..text_end(rest, backslashes)] } else { rest };
    let mut stays = String::new();
    let mut length = 0;
    let mut value_depth = None;
    for (number, line) in text.split_inclusive(line_break).enumerate() {
        let content = line.strip_suffix(line_break).unwrap_or(line);
        let indent = content.len() - content.trim_start_matches([' ', '\t']).len();
        if number > 0 && !content.trim().is_empty() {
            if indent <= depth {
                break;
            }
            let first = *value_depth.get_or_insert(indent);
            match LINE.captures(content).filter(|_| indent <= first) {
                Some(found) if !found[3].is_empty() && !found[3].starts_with(MARK) => {
                    stays.extend([&found[1], &found[2], &mark("kubernetes_secret")]);
                }
                Some(found) => stays.push_str(&found[0]),
                // A continued line or a block; its place is marked above.
                None => {}
            }
        } else {
            stays.push_str(content);
        }
        stays.push_str(&line[content.len()..]);
        length += line.len();
    }
    (length, stays)
}

/// Where a JSON text ends in which a line break has so many backslashes: at a quote with fewer.
fn text_end(rest: &str, backslashes: usize) -> usize {
    let quotes = rest.match_indices('"').map(|(at, _)| at);
    let before = |at: &usize| rest.as_bytes()[..*at].iter().rev().take_while(|b| **b == b'\\').count();
    quotes.filter(|at| before(at) < backslashes).map(|at| at - before(&at)).next().unwrap_or(rest.len())
}

/// The place behind white space, escaped white space and commas.
fn skip_white(rest: &str, at: usize) -> usize {
    let mut here = at.min(rest.len());
    loop {
        let left = rest[here..].trim_start_matches([' ', '\t', '\r', '\n', ',']);
        here = rest.len() - left.len();
        let backslashes = left.bytes().take_while(|b| *b == b'\\').count();
        if backslashes == 0 || !left[backslashes..].starts_with(['n', 'r', 't']) {
            return here;
        }
        here += backslashes + 1;
    }
}
