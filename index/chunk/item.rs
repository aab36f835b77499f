//! A work item by its fields: `Field: value` at the beginning of a line. Short fields stand together, long ones for
//! themselves.

use super::node::{Grain, Node, lines};

/// Bytes of a field's name.
const NAME_BYTES_MAX: usize = 48;

pub(super) fn nodes(text: &str) -> Vec<Node> {
    let mut parts: Vec<Node> = Vec::new();
    // Inside a long field a line with a colon is text, unless a blank line stands before it.
    let mut open = true;
    for (at, line) in lines(text) {
        let stop = at + line.len();
        let field = field(line).filter(|_| open);
        match (field, parts.last_mut()) {
            (Some((name, _)), _) => parts.push(Node::prose(at, stop).named(name)),
            (None, Some(last)) => last.end = stop,
            (None, None) => parts.push(Node::prose(at, stop)),
        }
        open = line.trim().is_empty() || field.is_some_and(|(_, value)| !value.is_empty());
    }
    if parts.is_empty() {
        return Vec::new();
    }
    vec![Node { parts, grain: Grain::Paragraph, ..Node::prose(0, text.len()) }]
}

/// A line's field and what stands behind it.
fn field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let first = name.chars().next()?;
    let word = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | '/' | '(' | ')');
    let named = name.len() <= NAME_BYTES_MAX && first.is_uppercase() && name.chars().all(word);
    let apart = value.is_empty() || value.starts_with([' ', '\n', '\r']);
    (named && apart && name.split_whitespace().count() <= 5).then(|| (name.trim(), value.trim()))
}
