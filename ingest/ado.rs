//! Azure DevOps: service-hook events become `ado_event`, whole, and rows of the tables of what they are about; what the
//! REST interface answers comes to the same tables.
//!
//! Azure DevOps stops a subscription whose receiver answers with errors, and what happens meanwhile is lost. So nothing
//! that arrives is refused: an event of unknown type is kept in `ado_event`, what is no event in `reject`.

use std::path::Path;

use async_trait::async_trait;
use engine::reject::Reject;
use engine::{Idempotency, Result, Scope, Store, Table};
use serde_json::value::RawValue;

use crate::bounded;
use crate::files::{self, Reading, content_hash, key_part};
use crate::stream::{self, Part};
use crate::{FileOptions, Parsed, Progress, Source, Summary};

mod agent;
mod alert;
pub mod answer;
mod approval;
mod build;
mod cells;
mod changeset;
pub mod client;
pub mod delivery;
mod environment;
mod event;
mod git;
pub mod live;
pub mod origin;
mod people;
mod policy;
mod pull_request;
mod push;
mod release;
mod review;
mod revision;
mod route;
mod run;
mod shape;
pub mod subscribe;
mod subscription;
mod test_run;
#[cfg(test)]
mod tests;
mod work_item;

pub use agent::{ADO_AGENT, ADO_AGENT_POOL, ADO_AGENT_QUEUE, ADO_ELASTIC_POOL};
use agent::{AGENT, AGENT_POOL, AGENT_QUEUE, ELASTIC_POOL};
pub use alert::ADO_ALERT;
use alert::ALERT;
pub use approval::{ADO_APPROVAL, ADO_APPROVAL_STEP, ADO_CHECK, ADO_MANUAL_INTERVENTION};
use approval::{APPROVAL, APPROVAL_STEP, CHECK, MANUAL_INTERVENTION};
pub use build::ADO_BUILD;
pub use changeset::{ADO_CHANGESET, ADO_MESSAGE};
use changeset::{CHANGESET, MESSAGE};
pub use environment::{ADO_ENVIRONMENT, ADO_ENVIRONMENT_DEPLOYMENT, ADO_SERVICE_ENDPOINT};
use environment::{ENVIRONMENT, ENVIRONMENT_DEPLOYMENT, SERVICE_ENDPOINT};
pub use event::ADO_EVENT;
pub use git::{ADO_COMMIT, ADO_PROJECT, ADO_REF, ADO_REPOSITORY};
use git::{COMMIT, PROJECT_SHAPE, REF, REPOSITORY};
pub use live::ADO_CURSOR;
pub use people::{ADO_GROUP, ADO_MEMBERSHIP, ADO_USER};
use people::{GROUP, MEMBERSHIP, USER};
pub use policy::{ADO_POLICY_CONFIGURATION, ADO_POLICY_EVALUATION};
use policy::{POLICY_CONFIGURATION, POLICY_EVALUATION};
pub use pull_request::ADO_PULL_REQUEST;
pub use push::ADO_PUSH;
pub use release::{ADO_RELEASE, ADO_RELEASE_APPROVAL, ADO_RELEASE_DEPLOYMENT, ADO_RELEASE_ENVIRONMENT};
use release::{RELEASE, RELEASE_APPROVAL, RELEASE_DEPLOYMENT, RELEASE_ENVIRONMENT};
pub use review::{ADO_PULL_REQUEST_COMMENT, ADO_PULL_REQUEST_THREAD, ADO_PULL_REQUEST_VOTE};
use review::{PULL_REQUEST_COMMENT, PULL_REQUEST_THREAD, PULL_REQUEST_VOTE};
pub use revision::{ADO_WORK_ITEM_COMMENT, ADO_WORK_ITEM_REVISION};
use revision::{WORK_ITEM_COMMENT, WORK_ITEM_REVISION};
pub use run::{ADO_JOB, ADO_RUN, ADO_STAGE, ADO_TIMELINE_RECORD};
use run::{JOB, RUN, STAGE, TIMELINE_RECORD};
pub use subscription::{ADO_AUDIT_ENTRY, ADO_HOOK_SUBSCRIPTION};
use subscription::{AUDIT_ENTRY, HOOK_SUBSCRIPTION};
pub use test_run::{ADO_TEST_RESULT, ADO_TEST_RUN};
use test_run::{TEST_RESULT, TEST_RUN};
pub use work_item::ADO_WORK_ITEM;

use event::Event;
use origin::Told;

/// Every table of Azure DevOps.
pub const TABLES: &[&Table] = &[
    &ADO_EVENT,
    &ADO_CURSOR,
    &ADO_AGENT_POOL,
    &ADO_ELASTIC_POOL,
    &ADO_AGENT_QUEUE,
    &ADO_AGENT,
    &ADO_ALERT,
    &ADO_APPROVAL,
    &ADO_APPROVAL_STEP,
    &ADO_CHECK,
    &ADO_MANUAL_INTERVENTION,
    &ADO_BUILD,
    &ADO_CHANGESET,
    &ADO_MESSAGE,
    &ADO_ENVIRONMENT,
    &ADO_ENVIRONMENT_DEPLOYMENT,
    &ADO_SERVICE_ENDPOINT,
    &ADO_PROJECT,
    &ADO_REPOSITORY,
    &ADO_REF,
    &ADO_COMMIT,
    &ADO_GROUP,
    &ADO_USER,
    &ADO_MEMBERSHIP,
    &ADO_POLICY_CONFIGURATION,
    &ADO_POLICY_EVALUATION,
    &ADO_PULL_REQUEST,
    &ADO_PUSH,
    &ADO_RELEASE,
    &ADO_RELEASE_ENVIRONMENT,
    &ADO_RELEASE_DEPLOYMENT,
    &ADO_RELEASE_APPROVAL,
    &ADO_PULL_REQUEST_VOTE,
    &ADO_PULL_REQUEST_THREAD,
    &ADO_PULL_REQUEST_COMMENT,
    &ADO_WORK_ITEM_REVISION,
    &ADO_WORK_ITEM_COMMENT,
    &ADO_RUN,
    &ADO_STAGE,
    &ADO_JOB,
    &ADO_TIMELINE_RECORD,
    &ADO_HOOK_SUBSCRIPTION,
    &ADO_AUDIT_ENTRY,
    &ADO_TEST_RUN,
    &ADO_TEST_RESULT,
    &ADO_WORK_ITEM,
];

/// How their rows are read, of all tables but the oldest five.
#[cfg(test)]
const SHAPES: &[&shape::Shape] = &[
    &AGENT_POOL,
    &ELASTIC_POOL,
    &AGENT_QUEUE,
    &AGENT,
    &ALERT,
    &APPROVAL,
    &APPROVAL_STEP,
    &CHECK,
    &MANUAL_INTERVENTION,
    &CHANGESET,
    &MESSAGE,
    &ENVIRONMENT,
    &ENVIRONMENT_DEPLOYMENT,
    &SERVICE_ENDPOINT,
    &PROJECT_SHAPE,
    &REPOSITORY,
    &REF,
    &COMMIT,
    &GROUP,
    &USER,
    &MEMBERSHIP,
    &POLICY_CONFIGURATION,
    &POLICY_EVALUATION,
    &RELEASE,
    &RELEASE_ENVIRONMENT,
    &RELEASE_DEPLOYMENT,
    &RELEASE_APPROVAL,
    &PULL_REQUEST_VOTE,
    &PULL_REQUEST_THREAD,
    &PULL_REQUEST_COMMENT,
    &WORK_ITEM_REVISION,
    &WORK_ITEM_COMMENT,
    &RUN,
    &STAGE,
    &JOB,
    &TIMELINE_RECORD,
    &HOOK_SUBSCRIPTION,
    &AUDIT_ENTRY,
    &TEST_RUN,
    &TEST_RESULT,
];

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

/// Rows of all tables under construction.
struct Unit<'a> {
    tenant: &'a str,
    told: Told,
    accepted: u64,
    rejects: Vec<Reject>,
    bytes: usize,
}

impl<'a> Unit<'a> {
    fn new(tenant: &'a str) -> Self {
        Unit { tenant, told: Told::default(), accepted: 0, rejects: Vec::new(), bytes: 0 }
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
        if let Err(reason) = event.write(self.tenant, &delivery, self.told.rows(&ADO_EVENT)) {
            self.reject(reason, place, text.as_bytes());
            return None;
        }
        self.accepted += 1;
        if let Err(reason) = route::write(&event, self.tenant, &mut self.told) {
            self.reject(format!("{}: {reason}", event.event_type), place, text.as_bytes());
        }
        (event.subscription_id.is_some() && event.event_id.is_some()).then_some(named)
    }

    fn finish(self) -> Parsed {
        let batches = self.told.finish();
        Parsed { batches, accepted: self.accepted, rejects: self.rejects, ..Parsed::default() }
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
        TABLES.to_vec()
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
