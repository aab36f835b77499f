//! A log by its records (a line and what belongs to it, such as a stack trace) and their patterns: numbers, ids and times
//! put aside, records that say the same stand together and under what they say.

use super::TextKind;
use super::node::{Grain, Node, lines};

/// Bytes of a pattern.
const PATTERN_BYTES_MAX: usize = 80;

pub(super) fn nodes(text: &str) -> Vec<Node> {
    let mut records: Vec<Node> = Vec::new();
    for (at, line) in lines(text) {
        let stop = at + line.len();
        match records.last_mut() {
            Some(last) if belongs(line) => last.end = stop,
            _ => records.push(Node::lines(at, stop, TextKind::Log)),
        }
    }
    let mut runs: Vec<Node> = Vec::new();
    for record in records {
        let pattern = pattern(text[record.start..record.end].lines().next().unwrap_or_default());
        match runs.last_mut() {
            Some(run) if run.label.first() == Some(&pattern) => {
                run.end = record.end;
                run.parts.push(record);
            }
            _ => runs.push(Node { label: vec![pattern], parts: vec![record.clone()], ..record }),
        }
    }
    if runs.is_empty() {
        return Vec::new();
    }
    vec![Node { start: 0, end: text.len(), label: Vec::new(), kind: TextKind::Log, grain: Grain::Line, parts: runs }]
}

/// Whether a line goes on with the record before it.
fn belongs(line: &str) -> bool {
    let words = line.trim_start();
    words.is_empty()
        || line.starts_with([' ', '\t'])
        || words.starts_with("Caused by:")
        || words.starts_with("at ")
        || words.starts_with("...")
}

/// What a record says, whatever its numbers: words that hold a digit, quoted texts and times are left out.
pub(super) fn pattern(line: &str) -> String {
    let mut pattern = String::new();
    let mut quoted = false;
    for word in line.split_whitespace() {
        let marks = word.matches(['"', '\'']).count();
        let was_quoted = quoted;
        quoted ^= marks % 2 == 1;
        let varies = was_quoted || marks > 0 || word.chars().any(|c| c.is_ascii_digit()) || word.len() > 48;
        let word = if varies { "*" } else { word };
        if word == "*" && (pattern.is_empty() || pattern.ends_with('*')) {
            continue;
        }
        if !pattern.is_empty() {
            pattern.push(' ');
        }
        if pattern.len() + word.len() > PATTERN_BYTES_MAX {
            break;
        }
        pattern.push_str(word);
    }
    pattern.trim_end_matches(['*', ' ']).to_owned()
}
