//! Deliveries of Azure DevOps service hooks. Nothing that arrives is refused: an event is kept whole, anything else is in
//! `reject`, and the same delivery has the same key.

use engine::Scope;
use engine::arrow::array::AsArray;
use ingest::ado::{self, ADO_EVENT};
use serde_json::Value;

use super::rows;

/// One delivery.
pub fn delivery(data: &[u8]) {
    let body = rows::plant(data);
    let scope = Scope::tenant("acme", "hook");
    let parsed = ado::event(&body, &scope, Some("delivery-1")).expect("nothing that arrives is refused");
    assert!(parsed.accepted + parsed.rejects.len() as u64 >= 1, "what arrived is somewhere");
    let again = ado::event(&body, &scope, Some("delivery-1")).expect("nothing that arrives is refused");
    let key = |parsed: &ingest::Parsed| parsed.idempotency.as_ref().map(|i| (i.key.clone(), i.body_hash));
    assert!(key(&parsed).is_some() && key(&parsed) == key(&again), "a delivery repeated is the same");
    let events = parsed.batches.iter().filter(|batch| batch.table.name == ADO_EVENT.name);
    let bodies: Vec<String> = events
        .filter_map(|batch| batch.rows.column_by_name("body"))
        .flat_map(|column| column.as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(bodies.len() as u64, parsed.accepted, "an accepted event is a row");
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body).trim_ascii();
    match serde_json::from_slice::<Value>(text) {
        Ok(event) if is_event(&event) => assert_eq!(bodies, [event.to_string()], "an event is kept whole"),
        _ => assert!(bodies.is_empty(), "what is no event is in reject: {bodies:?}"),
    }
    rows::check(parsed, "hooks/ado", &scope);
}

/// Whether a document names the type of an event, in either spelling.
fn is_event(value: &Value) -> bool {
    let member = |names: [&str; 2]| names.iter().find_map(|name| value.get(name)).filter(|v| !v.is_null());
    let word = member(["eventType", "EventType"]).or_else(|| member(["eventId", "EventId"]));
    value.is_object() && word.and_then(Value::as_str).is_some_and(|word| !word.is_empty())
}
