//! YAML as JSON, within bounds: an alias may repeat what stands once, so what comes out is counted, not what goes in.

use serde_json::Value;

use crate::bounded::bounded;

/// Bytes that one document may become, aliases written out.
const DOCUMENT_BYTES_MAX: usize = 64 << 20;

/// The documents of a YAML text, each by itself so that a broken one leaves its neighbours alone: the line it begins
/// on, and its text.
pub fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut begin = 0;
    let mut begin_line = 1;
    let mut here = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.trim_end();
        let marker = bare == "---" || bare == "..." || line.starts_with("--- ") || line.starts_with("---\t");
        if marker {
            found.push((begin_line, &text[begin..here]));
            // What follows the marker on its line belongs to the new document.
            begin = here + 3;
            begin_line = number + 1;
        }
        here += line.len();
    }
    found.push((begin_line, &text[begin..]));
    found.retain(|(_, document)| document.lines().any(|line| !is_remark(line)));
    found
}

fn is_remark(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#') || line.starts_with('%')
}

/// One document as JSON. Numbers as keys become text; `.inf` and `.nan` stay text.
pub fn json(document: &str) -> Result<Value, String> {
    bounded(serde_yaml_ng::Deserializer::from_str(document), DOCUMENT_BYTES_MAX).map_err(|e| e.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_stand_alone() {
        let text = "# head\n---\na: 1\n--- # note\nb: |\n  ---\n  x\n...\n---\n\n--- {c: 3}\n";
        let found = documents(text);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(json(found[0].1).unwrap(), json!({"a": 1}));
        assert_eq!(json(found[1].1).unwrap(), json!({"b": "---\nx\n"}));
        assert_eq!(json(found[2].1).unwrap(), json!({"c": 3}));
        assert_eq!(found[0].0, 2);
    }

    #[test]
    fn scalars_anchors_and_tags() {
        let read = json("a: &x {n: 1.5}\nb: *x\n1: yes\nt: !secret q\ni: .inf\ne: ~\n").unwrap();
        assert_eq!(read, json!({"a": {"n": 1.5}, "b": {"n": 1.5}, "1": "yes", "t": "q", "i": "inf", "e": null}));
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            text += &format!("a{level}: &a{level} [{}]\n", [before.as_str(); 9].join(", "));
        }
        assert!(json(&text).is_err());
        let long = "x".repeat(1 << 20);
        let many = "*a, ".repeat(200);
        assert!(json(&format!("a: &a {long}\nb: [{many}]\n")).unwrap_err().contains("too large"));
        assert!(json(&"[".repeat(100_000)).is_err());
    }
}
