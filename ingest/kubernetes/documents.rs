//! A body as the objects in it: JSON or YAML, one document or many, lists and watch events unfolded.

use serde_json::Value;

use super::yaml;
use crate::bounded;
use crate::json::{at, clip};
use crate::stream::{self, Part};

/// More broken YAML documents than this in one body, and the rest of it is not read.
const BROKEN_MAX: usize = 1_000;

/// One object of a body.
#[derive(Debug)]
pub struct Item {
    /// Where in the body it stood (`line 12`, `document 3, items[7]`).
    pub place: String,
    /// The object, with kind and API version of its list where it had none.
    pub object: Value,
    /// A watch said that it is gone.
    pub deleted: bool,
}

/// A part of a body that is no object.
#[derive(Debug)]
pub struct Broken {
    /// Where in the body it stood.
    pub place: String,
    /// Why it is none.
    pub reason: String,
    /// What stood there.
    pub text: String,
}

/// What a body holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Objects in their order.
    pub items: Vec<Item>,
    /// The parts that are none.
    pub broken: Vec<Broken>,
}

/// Reads a body. Never fails: what is no object is told in `broken`.
pub fn read(body: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(e) => {
            contents.refuse("byte 0".to_owned(), format!("not UTF-8: {e}"), &String::from_utf8_lossy(body));
            return contents;
        }
    };
    let begin = text.trim_start();
    if begin.is_empty() {
        contents.refuse("byte 0".to_owned(), "the body is empty".to_owned(), "");
    } else if begin.starts_with(['{', '[']) {
        read_json(text, &mut contents);
        if contents.items.is_empty() && contents.broken.len() == 1 {
            // A YAML document may begin with a brace, too.
            let mut second = Contents::default();
            read_yaml(text, &mut second);
            if second.broken.is_empty() {
                contents = second;
            }
        }
    } else {
        read_yaml(text, &mut contents);
    }
    contents
}

fn read_json(text: &str, contents: &mut Contents) {
    for part in stream::parts(text) {
        match part {
            Part::Whole { number, text } => {
                contents.document(
                    &format!("document {number}"),
                    text,
                    bounded::json(text).map_err(|e| format!("no JSON: {e}")),
                );
            }
            Part::Broken { number, text, reason } => contents.refuse(format!("document {number}"), reason, text),
        }
    }
}

fn read_yaml(text: &str, contents: &mut Contents) {
    for (line, document) in yaml::documents(text) {
        if contents.broken.len() > BROKEN_MAX {
            contents.refuse(
                format!("line {line}"),
                "too many broken documents: the rest is not read".to_owned(),
                document,
            );
            return;
        }
        contents.document(&format!("line {line}"), document, yaml::json(document).map_err(|e| format!("no YAML: {e}")));
    }
}

impl Contents {
    fn refuse(&mut self, place: String, reason: String, text: &str) {
        self.broken.push(Broken { place, reason, text: text.to_owned() });
    }

    fn document(&mut self, place: &str, text: &str, read: Result<Value, String>) {
        match read {
            Ok(Value::Null) => {}
            Ok(value) => self.unfold(place, value, false),
            Err(reason) => self.refuse(place.to_owned(), reason, text),
        }
    }

    fn unfold(&mut self, place: &str, value: Value, deleted: bool) {
        match value {
            Value::Array(values) => {
                for (i, value) in values.into_iter().enumerate() {
                    self.unfold(&format!("{place}, [{i}]"), value, deleted);
                }
            }
            Value::Object(_) if watch_type(&value).is_some() => self.watch_event(place, value),
            Value::Object(_) if is_list(&value) => self.list(place, value, deleted),
            Value::Object(_) => self.items.push(Item { place: place.to_owned(), object: value, deleted }),
            other => self.refuse(place.to_owned(), "not an object".to_owned(), &other.to_string()),
        }
    }

    fn watch_event(&mut self, place: &str, mut event: Value) {
        let kind = watch_type(&event).unwrap_or_default().to_owned();
        let object = event["object"].take();
        match kind.as_str() {
            "ADDED" | "MODIFIED" => self.unfold(place, object, false),
            "DELETED" => self.unfold(place, object, true),
            // Says how far the watch is; no object of the cluster.
            "BOOKMARK" => {}
            _ => {
                let message = at(&object, &["message"]).and_then(Value::as_str).unwrap_or("no message");
                self.refuse(
                    place.to_owned(),
                    format!("the watch ended with an error: {}", clip(message)),
                    &object.to_string(),
                );
            }
        }
    }

    fn list(&mut self, place: &str, mut list: Value, deleted: bool) {
        let item_kind = at(&list, &["kind"]).and_then(Value::as_str).and_then(|kind| kind.strip_suffix("List"));
        let item_kind = item_kind.filter(|kind| !kind.is_empty()).map(str::to_owned);
        let api_version = at(&list, &["apiVersion"]).and_then(Value::as_str).map(str::to_owned);
        let Value::Array(items) = list["items"].take() else { return };
        for (i, mut item) in items.into_iter().enumerate() {
            let place = format!("{place}, items[{i}]");
            if let (Some(members), Some(kind)) = (item.as_object_mut(), &item_kind) {
                // The API server leaves both out of a typed list's items.
                if members.get("kind").is_none_or(Value::is_null) {
                    members.insert("kind".to_owned(), Value::from(kind.as_str()));
                    if let Some(version) =
                        api_version.as_deref().filter(|_| members.get("apiVersion").is_none_or(Value::is_null))
                    {
                        members.insert("apiVersion".to_owned(), Value::from(version));
                    }
                }
            }
            self.unfold(&place, item, deleted);
        }
    }
}

/// A list has items (null when it is empty) and a kind that says so.
fn is_list(value: &Value) -> bool {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    matches!(value.get("items"), Some(Value::Array(_) | Value::Null)) && (kind.ends_with("List") || kind.is_empty())
}

fn watch_type(value: &Value) -> Option<&str> {
    let members = value.as_object()?;
    let object = members.get("object")?;
    (object.is_object() && !members.contains_key("kind")).then(|| members.get("type")?.as_str()).flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(body: &str) -> (Vec<String>, Vec<String>) {
        let contents = read(body.as_bytes());
        let item = |item: &Item| {
            let word = |path: &[&str]| at(&item.object, path).and_then(Value::as_str).unwrap_or("?").to_owned();
            format!("{}{}/{}", if item.deleted { "-" } else { "" }, word(&["kind"]), word(&["metadata", "name"]))
        };
        (
            contents.items.iter().map(item).collect(),
            contents.broken.into_iter().map(|b| format!("{}: {}", b.place, b.reason)).collect(),
        )
    }

    #[test]
    fn every_form_of_a_body() {
        let pod = |name: &str| format!(r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}"}}}}"#);
        for (body, expected) in [
            (pod("a"), vec!["Pod/a"]),
            (format!("\u{feff}[{},{}]", pod("a"), pod("b")), vec!["Pod/a", "Pod/b"]),
            (format!("{}\n{}", pod("a"), pod("b")), vec!["Pod/a", "Pod/b"]),
            (r#"{"kind":"NodeList","apiVersion":"v1","items":[{"metadata":{"name":"n"}}]}"#.to_owned(), vec!["Node/n"]),
            (
                r#"{"kind":"List","apiVersion":"v1","items":[{"kind":"A","metadata":{"name":"n"}}]}"#.to_owned(),
                vec!["A/n"],
            ),
            (r#"{"kind":"PodList","apiVersion":"v1","items":null}"#.to_owned(), vec![]),
            ("kind: A\nmetadata: {name: x}\n---\nkind: B\nmetadata: {name: y}\n".to_owned(), vec!["A/x", "B/y"]),
            ("{kind: A, metadata: {name: x}}".to_owned(), vec!["A/x"]),
            (format!(r#"{{"type":"DELETED","object":{}}}"#, pod("a")), vec!["-Pod/a"]),
            (
                format!(r#"{{"type":"ADDED","object":{}}}{{"type":"BOOKMARK","object":{}}}"#, pod("a"), pod("b")),
                vec!["Pod/a"],
            ),
        ] {
            let (items, broken) = names(&body);
            assert_eq!(items, expected, "{body}");
            assert!(broken.is_empty(), "{body}: {broken:?}");
        }
    }

    #[test]
    fn neighbours_of_a_broken_document_stay() {
        let (items, broken) = names(
            "{\"kind\":\"A\",\"metadata\":{\"name\":\"1\"}}\n{\"kind\": oops}\n{\"kind\":\"A\",\"metadata\":{\"name\":\"3\"}}\n",
        );
        assert_eq!(items, ["A/1", "A/3"]);
        assert_eq!(broken.len(), 1);
        let (items, broken) = names("kind: A\nmetadata: {name: 1}\n---\nkind: [\n---\nkind: B\nmetadata: {name: y}\n");
        assert_eq!(items, ["A/?", "B/y"]);
        assert_eq!(broken.len(), 1);
        let (items, broken) =
            names(r#"{"type":"ERROR","object":{"kind":"Status","message":"too old resource version"}}"#);
        assert!(items.is_empty());
        assert!(broken[0].contains("too old"), "{broken:?}");
        for nothing in ["", "  ", "null", "---\n---\n"] {
            assert!(names(nothing).0.is_empty());
        }
    }
}
