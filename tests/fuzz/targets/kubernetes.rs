//! Kubernetes bodies, JSON and YAML: every object of a document that parses is a row or a reject.

use engine::Scope;
use ingest::kubernetes::{self, K8S_OBJECT};
use serde_json::{Deserializer, Value};

use super::rows;

/// Objects of a body that is JSON throughout, without knowing how it is read.
const JSON_BEGINS: &[char] = &['{', '['];

/// One body.
pub fn objects(data: &[u8]) {
    let body = rows::plant(data);
    let scope = Scope::tenant("acme", "fuzz");
    let whole = kubernetes::objects(&body, &scope, "prod").expect("what is no object is a reject");
    let units = kubernetes::units(&body, &scope, "prod", Some("key"));
    let counts = |parsed: &ingest::Parsed| (parsed.accepted, parsed.rejects.len());
    let summed = units.iter().map(counts).fold((0, 0), |sum, unit| (sum.0 + unit.0, sum.1 + unit.1));
    assert_eq!(summed, counts(&whole), "frame by frame it is the same");
    let batches = whole.batches.iter().filter(|batch| batch.table.name == K8S_OBJECT.name);
    let kept: usize = batches.map(|batch| batch.rows.num_rows()).sum();
    assert_eq!(whole.accepted, kept as u64, "an accepted object is a row");
    if let Some(expected) = json_objects(&body) {
        let told = whole.accepted + whole.rejects.len() as u64;
        assert!(told >= expected, "{expected} objects came, {told} are told of");
    }
    rows::check(whole, "ingest/k8s", &scope);
}

/// How many objects a body of JSON documents holds; none where some of it is no JSON.
fn json_objects(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).ok()?;
    if !text.trim_start().starts_with(JSON_BEGINS) {
        return None;
    }
    let documents: Result<Vec<Value>, _> = Deserializer::from_str(text).into_iter().collect();
    Some(documents.ok()?.iter().filter(|document| !document.is_null()).map(count).sum())
}

fn count(value: &Value) -> u64 {
    match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(members) => {
            let word = |name: &str| members.get(name).and_then(Value::as_str);
            let kind = word("kind").unwrap_or_default();
            if let (Some(kind), Some(object @ Value::Object(_)), false) =
                (word("type"), members.get("object"), members.contains_key("kind"))
            {
                return match kind {
                    "ADDED" | "MODIFIED" | "DELETED" => count(object),
                    "BOOKMARK" => 0,
                    _ => 1,
                };
            }
            match members.get("items") {
                Some(Value::Array(items)) if kind.is_empty() || kind.ends_with("List") => items.iter().map(count).sum(),
                Some(Value::Null) if kind.is_empty() || kind.ends_with("List") => 0,
                _ => 1,
            }
        }
        _ => 1,
    }
}
