//! YAML by document and key path, told by indentation alone, so that templates and broken files are cut, too. A Kubernetes
//! object's chunks stand under its kind and name.

use super::TextKind;
use super::node::{Grain, Node, lines};

/// How deep keys are told apart.
const DEPTH_MAX: usize = 6;
/// Bytes of a key.
const KEY_BYTES_MAX: usize = 80;

pub(super) fn nodes(text: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut start = 0;
    for (at, line) in lines(text) {
        let words = line.trim_end();
        if (words == "---" || words.starts_with("--- ")) && at > start {
            nodes.push(document(text, start, at));
            start = at;
        }
    }
    if start < text.len() {
        nodes.push(document(text, start, text.len()));
    }
    nodes
}

fn document(text: &str, start: usize, end: usize) -> Node {
    let parts = keys(text, start, end, 0);
    let label = object(&text[start..end]).into_iter().collect();
    Node { start, end, label, kind: TextKind::Config, grain: Grain::Line, parts }
}

/// `Kind name` of a Kubernetes object.
fn object(text: &str) -> Option<String> {
    let top = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(value);
    let kind = top("kind:").filter(|kind| !kind.is_empty())?;
    let mut inside = text.lines().skip_while(|line| !line.starts_with("metadata:")).skip(1);
    let name = inside.find_map(|line| {
        let indented = line.starts_with([' ', '\t']) || line.is_empty();
        if !indented { Some(None) } else { line.trim().strip_prefix("name:").map(|name| Some(value(name))) }
    });
    match name.flatten().filter(|name| !name.is_empty()) {
        Some(name) => Some(format!("{kind} {name}")),
        None => Some(kind.to_owned()),
    }
}

fn value(text: &str) -> &str {
    text.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\''])
}

/// The keys of one indentation; they tile the stretch.
fn keys(text: &str, start: usize, end: usize, depth: usize) -> Vec<Node> {
    if depth >= DEPTH_MAX {
        return Vec::new();
    }
    let Some(indent) = lines(&text[start..end]).filter_map(|(_, line)| indent(line)).min() else { return Vec::new() };
    let mut nodes: Vec<Node> = Vec::new();
    for (at, line) in lines(&text[start..end]).map(|(at, line)| (at + start, line)) {
        let stop = at + line.len();
        if self::indent(line) == Some(indent) || nodes.is_empty() {
            let node = Node::lines(at, stop, TextKind::Config);
            nodes.push(match key(line) {
                Some(key) => node.named(key),
                None => node,
            });
        } else if let Some(last) = nodes.last_mut() {
            last.end = stop;
        }
    }
    for node in &mut nodes {
        let first = text[node.start..node.end].find('\n').map_or(node.end, |at| node.start + at + 1);
        let mut inner = keys(text, first, node.end, depth + 1);
        // One key alone is no choice: what is under it is, under both names.
        if let [only] = inner.as_mut_slice() {
            node.label.append(&mut only.label);
            inner = std::mem::take(&mut only.parts);
        }
        if let Some(first) = inner.first_mut() {
            first.start = node.start;
            node.parts = inner;
        }
    }
    if let [only] = nodes.as_slice()
        && only.label.is_empty()
    {
        return only.parts.clone();
    }
    nodes
}

/// Spaces in front of a line that holds something; a list's mark counts.
fn indent(line: &str) -> Option<usize> {
    let words = line.trim_start_matches(' ');
    let first = words.trim_end();
    if first.is_empty() || first.starts_with('#') || first.starts_with("---") {
        return None;
    }
    Some(line.len() - words.len())
}

/// The key of a line; of an entry of a list `name: x` in full.
fn key(line: &str) -> Option<String> {
    let words = line.trim();
    let item = words.strip_prefix("- ");
    let (key, rest) = item.unwrap_or(words).split_once(':')?;
    let key = key.trim().trim_matches(['"', '\'']);
    if key.is_empty() || key.len() > KEY_BYTES_MAX || key.starts_with(['#', '{', '[']) {
        return None;
    }
    if !rest.is_empty() && !rest.starts_with(' ') && !rest.starts_with('\r') {
        return None;
    }
    let named = value(rest);
    match item.is_some() && matches!(key, "name" | "task" | "job" | "stage" | "id") && !named.is_empty() {
        true if named.len() <= KEY_BYTES_MAX => Some(named.to_owned()),
        _ => Some(key.to_owned()),
    }
}
