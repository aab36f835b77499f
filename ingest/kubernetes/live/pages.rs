//! A list of objects, taken apart while it arrives: each object is handed on when its last byte is there, so that the
//! length of a list does not matter.

/// Takes a list apart.
#[derive(Debug, Default)]
pub struct Pages {
    /// Everything outside of the items: kind, metadata.
    rest: Vec<u8>,
    /// The item that is arriving.
    item: Vec<u8>,
    /// The last text at the list's own level, to see which member begins.
    word: Vec<u8>,
    depth: usize,
    in_text: bool,
    escaped: bool,
    in_items: bool,
}

/// Braces around the items: the list and its member.
const ITEM_DEPTH: usize = 2;

impl Pages {
    /// Takes the next piece; whole items go to `take`.
    pub fn push(&mut self, piece: &[u8], mut take: impl FnMut(&[u8])) {
        let mut from = 0;
        for (at, byte) in piece.iter().enumerate() {
            let byte = *byte;
            if self.in_text {
                if self.escaped {
                    self.escaped = false;
                } else if byte == b'\\' {
                    self.escaped = true;
                } else if byte == b'"' {
                    self.in_text = false;
                } else if self.depth == 1 {
                    self.word.push(byte);
                }
                continue;
            }
            match byte {
                b'"' => {
                    self.in_text = true;
                    if self.depth == 1 {
                        self.word.clear();
                    }
                }
                b'{' | b'[' => {
                    if self.in_items && self.depth == ITEM_DEPTH {
                        from = at;
                    }
                    self.depth += 1;
                    if byte == b'[' && self.depth == ITEM_DEPTH && self.word == b"items" {
                        self.in_items = true;
                        self.rest.extend_from_slice(&piece[from..=at]);
                    }
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.in_items && self.depth == ITEM_DEPTH {
                        self.item.extend_from_slice(&piece[from..=at]);
                        take(&self.item);
                        self.item.clear();
                    } else if self.in_items && self.depth < ITEM_DEPTH {
                        self.in_items = false;
                        from = at;
                    }
                }
                _ => {}
            }
        }
        if self.in_items {
            if self.depth > ITEM_DEPTH {
                self.item.extend_from_slice(&piece[from..]);
            }
        } else {
            self.rest.extend_from_slice(&piece[from..]);
        }
    }

    /// The list without its items, once everything is there.
    pub fn finish(self) -> Result<serde_json::Value, String> {
        serde_json::from_slice(&self.rest).map_err(|e| format!("the list broke off or is no JSON: {e}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn taken(text: &str, size: usize) -> (Vec<Value>, Value) {
        let (mut pages, mut items) = (Pages::default(), Vec::new());
        for piece in text.as_bytes().chunks(size) {
            pages.push(piece, |item| items.push(serde_json::from_slice(item).unwrap()));
        }
        (items, pages.finish().unwrap())
    }

    #[test]
    fn a_list_comes_apart_wherever_it_is_cut() {
        let item = |name: &str| json!({"metadata": {"name": name, "items": [1, {"items": []}]}, "text": "a\"]}[{\\"});
        let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7", "continue": "x\"y", "items": [3]},
            "items": [item("a"), item("b"), {}]});
        let last_first = format!(r#" {{ "items" : [ {} , {{}} ] , "kind" : "PodList" }} "#, item("a"));
        for text in [list.to_string(), format!("{list:#}"), last_first] {
            let whole: Value = serde_json::from_str(&text).unwrap();
            for size in 1..text.len() + 1 {
                let (items, rest) = taken(&text, size);
                assert_eq!(Value::Array(items), whole["items"], "{size}");
                assert_eq!((&rest["kind"], &rest["metadata"]), (&whole["kind"], &whole["metadata"]), "{size}");
            }
        }
        assert_eq!(taken(r#"{"items":null,"kind":"PodList"}"#, 3).0.len(), 0);
        assert_eq!(taken(r#"{"items":[],"kind":"PodList"}"#, 3).0.len(), 0);
    }

    #[test]
    fn a_list_that_broke_off_is_none() {
        let mut pages = Pages::default();
        pages.push(br#"{"items":[{"a":1},"#, |_| {});
        assert!(pages.finish().is_err());
    }
}
