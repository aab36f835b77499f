//! Azure DevOps: service-hook events become `ado_event`, whole, and `ado_work_item`, `ado_pull_request`, `ado_push`,
//! `ado_build`.
//!
//! Azure DevOps stops a subscription whose receiver answers with errors, and what happens meanwhile is lost. So nothing
//! that arrives is refused: an event of unknown type is kept in `ado_event`, what is no event in `reject`.

use std::path::Path;

use async_trait::async_trait;
use engine::reject::Reject;
use engine::{Idempotency, Result, Rows, Scope, Store, Table};
use serde_json::value::RawValue;

use crate::bounded;
use crate::files::{self, Reading, content_hash, key_part};
use crate::stream::{self, Part};
use crate::{FileOptions, Parsed, Progress, Source, Summary};

mod build;
mod cells;
mod event;
mod pull_request;
mod push;
#[cfg(test)]
mod tests;
mod work_item;

pub use build::ADO_BUILD;
pub use event::ADO_EVENT;
pub use pull_request::ADO_PULL_REQUEST;
pub use push::ADO_PUSH;
pub use work_item::ADO_WORK_ITEM;

use event::Event;

/// JSON of events that one frame takes before the next begins.
const FRAME_BYTES: usize = 4 << 20;

/// Reads one delivery of a service hook. `delivery` is the sender's id of the delivery, for events that do not name
/// their subscription. The key makes a repeated delivery harmless.
pub fn event(body: &[u8], scope: &Scope, delivery: Option<&str>) -> Result<Parsed> {
    let mut unit = Unit::new(scope.owner(None));
    let body_hash = content_hash(trim(body));
    let mut key = None;
    match std::str::from_utf8(trim(body)) {
        Ok(text) => key = unit.add(text, "body"),
        Err(e) => unit.reject(format!("not UTF-8: {e}"), "body", body),
    }
    let key = key.or_else(|| delivery.map(|id| format!("delivery:{}", key_part(id))));
    let key = key.unwrap_or_else(|| format!("body:{}", hex::encode(body_hash)));
    let mut parsed = unit.finish();
    parsed.idempotency = Some(Idempotency { key: format!("ado:{}:{key}", files::key_owner(scope, None)), body_hash });
    Ok(parsed)
}

/// The second key of a delivery whose first was used with another body: it is kept beside the first.
pub fn key_of_another_body(taken: &Idempotency) -> Idempotency {
    // The first key tells whose it is.
    let key = format!("{}:body:{}", hex::encode(content_hash(taken.key.as_bytes())), hex::encode(taken.body_hash));
    Idempotency { key: format!("ado:{key}"), body_hash: taken.body_hash }
}

/// Body bytes without a byte-order mark and the white space around.
fn trim(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii()
}

/// Rows of all five tables under construction.
struct Unit<'a> {
    tenant: &'a str,
    events: Rows,
    work_items: Rows,
    pull_requests: Rows,
    pushes: Rows,
    builds: Rows,
    accepted: u64,
    rejects: Vec<Reject>,
    bytes: usize,
}

impl<'a> Unit<'a> {
    fn new(tenant: &'a str) -> Self {
        Unit {
            tenant,
            events: Rows::new(&ADO_EVENT),
            work_items: Rows::new(&ADO_WORK_ITEM),
            pull_requests: Rows::new(&ADO_PULL_REQUEST),
            pushes: Rows::new(&ADO_PUSH),
            builds: Rows::new(&ADO_BUILD),
            accepted: 0,
            rejects: Vec::new(),
            bytes: 0,
        }
    }

    fn reject(&mut self, reason: String, place: &str, body: &[u8]) {
        self.bytes += body.len();
        self.rejects.push(Reject { kind: "ado", reason, place: Some(place.to_owned()), body: body.to_vec() });
    }

    /// Adds one event. Returns the key of its delivery, if it names its subscription.
    fn add(&mut self, text: &str, place: &str) -> Option<String> {
        self.bytes += text.len();
        let body = match bounded::json(text) {
            Ok(body) => body,
            Err(e) => {
                self.reject(format!("no JSON: {e}"), place, text.as_bytes());
                return None;
            }
        };
        let event = match Event::read(&body) {
            Ok(event) => event,
            Err(reason) => {
                self.reject(reason, place, text.as_bytes());
                return None;
            }
        };
        let name = |id: &Option<String>| key_part(id.as_deref().unwrap_or("-"));
        let notification = event.notification_id.map_or("-".to_owned(), |n| n.to_string());
        let named = format!("{}:{}:{notification}", name(&event.subscription_id), name(&event.event_id));
        let delivery = format!("{named}:{}", hex::encode(content_hash(text.as_bytes())));
        if let Err(reason) = event.write(self.tenant, &delivery, &mut self.events) {
            self.reject(reason, place, text.as_bytes());
            return None;
        }
        self.accepted += 1;
        if let Err(reason) = self.add_resource(&event) {
            self.reject(format!("{}: {reason}", event.event_type), place, text.as_bytes());
        }
        (event.subscription_id.is_some() && event.event_id.is_some()).then_some(named)
    }

    /// The resource's own row. A resource that is nonsense stays in its event; the row is refused with its reason.
    fn add_resource(&mut self, event: &Event<'_>) -> std::result::Result<(), String> {
        let kind = event.event_type.as_str();
        let (rows, written) = if kind.starts_with("workitem.") {
            let written = work_item::write(event, self.tenant, &mut self.work_items);
            (&mut self.work_items, written)
        } else if kind.starts_with("git.pullrequest.") || kind == "ms.vss-code.git-pullrequest-comment-event" {
            let written = pull_request::write(event, self.tenant, &mut self.pull_requests);
            (&mut self.pull_requests, written)
        } else if kind == "git.push" {
            let written = push::write(event, self.tenant, &mut self.pushes);
            (&mut self.pushes, written)
        } else if kind == "build.complete" {
            let written = build::write(event, self.tenant, &mut self.builds);
            (&mut self.builds, written)
        } else if kind == "ms.vss-pipelines.run-state-changed-event" {
            let written = build::write_run(event, self.tenant, &mut self.builds);
            (&mut self.builds, written)
        } else {
            return Ok(());
        };
        rows.abandon_row();
        written
    }

    fn finish(mut self) -> Parsed {
        let mut parsed = Parsed { accepted: self.accepted, rejects: self.rejects, ..Parsed::default() };
        let tables =
            [&mut self.events, &mut self.work_items, &mut self.pull_requests, &mut self.pushes, &mut self.builds];
        for rows in tables {
            if !rows.is_empty() {
                parsed.batches.push(engine::Batch { table: rows.table(), rows: rows.finish() });
            }
        }
        parsed
    }
}

/// Reads a file of events: one, a list, or one behind the other.
fn units(body: &[u8], tenant: &str, owner: &str, hash: [u8; 32]) -> Vec<Parsed> {
    let mut done = Vec::new();
    let mut open = Unit::new(tenant);
    match std::str::from_utf8(trim(body)) {
        Err(e) => open.reject(format!("not UTF-8: {e}"), "file", body),
        Ok("") => open.reject("the file is empty".to_owned(), "file", body),
        Ok(text) => {
            for part in stream::parts(text) {
                match part {
                    Part::Broken { number, text, reason } => {
                        open.reject(reason, &format!("document {number}"), text.as_bytes())
                    }
                    Part::Whole { number, text } => {
                        let events: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
                        let texts = if events.is_empty() {
                            vec![text]
                        } else {
                            events.into_iter().map(RawValue::get).collect()
                        };
                        for (i, text) in texts.into_iter().enumerate() {
                            open.add(text, &format!("document {number}, [{i}]"));
                            if open.bytes >= FRAME_BYTES {
                                done.push(std::mem::replace(&mut open, Unit::new(tenant)).finish());
                            }
                        }
                    }
                }
            }
        }
    }
    done.push(open.finish());
    for (ordinal, unit) in done.iter_mut().enumerate() {
        let key = format!("ado:file:{owner}:{}:{ordinal}", hex::encode(hash));
        unit.idempotency = Some(Idempotency { key, body_hash: hash });
    }
    done
}

/// Files and folders of service-hook events.
#[derive(Debug)]
pub struct Ado;

#[async_trait]
impl Source for Ado {
    fn kind(&self) -> &'static str {
        "ado"
    }

    fn doc(&self) -> &'static str {
        "Azure DevOps service-hook events, one or many a file (.json, .jsonl, also .gz, .zst)"
    }

    fn tables(&self) -> Vec<&'static Table> {
        vec![&ADO_EVENT, &ADO_WORK_ITEM, &ADO_PULL_REQUEST, &ADO_PUSH, &ADO_BUILD]
    }

    async fn ingest_path(
        &self,
        store: &Store,
        scope: &Scope,
        path: &Path,
        options: &FileOptions,
        progress: &dyn Progress,
    ) -> Result<Summary> {
        let named = files::tenant(scope, options)?;
        let tenant = scope.owner(named.as_deref());
        let reading = Reading { kind: "ado", extensions: &["json", "jsonl", "ndjson"], store, scope, progress };
        let owner = files::key_owner(scope, named.as_deref());
        reading.folder(path, |body, hash| units(body, tenant, &owner, hash)).await
    }
}
