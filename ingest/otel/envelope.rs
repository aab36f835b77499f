//! The envelope of an export request, `resource → scope → records`, walked in place. It has the same shape and the same
//! field numbers for all three signals; only the JSON names differ.

use std::borrow::Cow;

use engine::{Error, Kind, Result};
use prost::Message;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::intake::{Intake, SignalRows};
use super::wire::{Content, Field, Fields};
use super::{RECORD_BYTES_MAX, Signal, json};

const REQUEST_RESOURCES: u32 = 1;
/// Of a resource group: the resource. Of a scope group: the scope.
const GROUP_HEAD: u32 = 1;
/// Of a resource group: its scope groups. Of a scope group: its records.
const GROUP_MEMBERS: u32 = 2;
const GROUP_SCHEMA_URL: u32 = 3;

/// Walks a protobuf request.
pub(super) fn walk_protobuf<S: SignalRows>(body: &[u8], intake: &mut Intake<'_, S>) -> Result<()> {
    let malformed = |what: &str| Error::invalid(format!("malformed protobuf in the request: {what}"));
    let mut at = 0;
    for field in Fields::of(body) {
        let field = field.map_err(malformed)?;
        if field.number == REQUEST_RESOURCES {
            let Content::Bytes(group) = field.content else { return Err(malformed("a resource is not a message")) };
            let place = format!("{}[{at}]", intake.signal().json_field());
            walk_resource(group, at, intake).map_err(|error| error.context(&place))?;
            at += 1;
        }
    }
    Ok(())
}

fn walk_resource<S: SignalRows>(group: &[u8], at: usize, intake: &mut Intake<'_, S>) -> Result<()> {
    // A writer may put the head behind the members, so it is looked for first; this pass also proves the framing.
    let (head, schema_url) = head(group)?;
    let mut untold = head.as_ref().err().map(|reason| format!("its resource cannot be read: {reason}"));
    intake.resource(at, head, &schema_url);
    for (at, group) in members(group).enumerate() {
        let (head, schema_url) = self::head(group)?;
        let unread = head.as_ref().err().map(|reason| format!("its scope {at} cannot be read: {reason}"));
        intake.scope(at, head, &schema_url);
        let mut records = members(group).peekable();
        match (records.peek(), unread) {
            // Its reject tells.
            (Some(_), _) => untold = None,
            (None, Some(reason)) => return Err(unreadable(&reason)),
            (None, None) => {}
        }
        for record in records {
            intake.protobuf(record)?;
        }
    }
    untold.map_or(Ok(()), |reason| Err(unreadable(&reason)))
}

/// What is wrong above the records, where there is no record that would be rejected for it.
fn unreadable(reason: &str) -> Error {
    Error::invalid(format!("malformed protobuf: {reason}"))
}

/// The head of a group, decoded, and its schema URL. Fails when the group's framing does.
fn head<M: Message + Default>(group: &[u8]) -> Result<(Result<M, String>, String)> {
    let malformed = |what: &str| Error::invalid(format!("malformed protobuf: {what}"));
    let mut head = M::default();
    let mut outcome = Ok(());
    let mut schema_url = String::new();
    for field in Fields::of(group) {
        let field = field.map_err(malformed)?;
        match (field.number, field.content) {
            (GROUP_HEAD, Content::Bytes(bytes)) if bytes.len() > RECORD_BYTES_MAX => {
                return Err(Error::new(Kind::TooLarge, format!("a resource may take {RECORD_BYTES_MAX} bytes")));
            }
            // Protobuf merges a message that is given twice.
            (GROUP_HEAD, Content::Bytes(bytes)) => outcome = outcome.and(head.merge(bytes).map_err(|e| e.to_string())),
            (GROUP_SCHEMA_URL, Content::Bytes(bytes)) => schema_url = String::from_utf8_lossy(bytes).into_owned(),
            (GROUP_HEAD | GROUP_MEMBERS | GROUP_SCHEMA_URL, content) if !matches!(content, Content::Bytes(_)) => {
                return Err(malformed("a field has the wrong wire type"));
            }
            _ => {}
        }
    }
    Ok((outcome.map(|()| head), schema_url))
}

fn members(group: &[u8]) -> impl Iterator<Item = &[u8]> {
    Fields::of(group).filter_map(|field| match field {
        Ok(Field { number: GROUP_MEMBERS, content: Content::Bytes(bytes) }) => Some(bytes),
        _ => None,
    })
}

/// A request in OTLP/JSON. Unknown fields are ignored, `null` is an absent field, records stay text until their turn.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    #[serde(borrow)]
    resource_logs: Option<Vec<ResourceGroup<'a>>>,
    #[serde(borrow)]
    resource_spans: Option<Vec<ResourceGroup<'a>>>,
    #[serde(borrow)]
    resource_metrics: Option<Vec<ResourceGroup<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceGroup<'a> {
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, alias = "scopeSpans", alias = "scopeMetrics")]
    scope_logs: Option<Vec<ScopeGroup<'a>>>,
    #[serde(borrow)]
    schema_url: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeGroup<'a> {
    #[serde(borrow)]
    scope: Option<&'a RawValue>,
    #[serde(borrow, alias = "spans", alias = "metrics")]
    log_records: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    schema_url: Option<Cow<'a, str>>,
}

impl<'a> Request<'a> {
    /// Reads the envelope.
    pub fn read(body: &'a [u8]) -> Result<Self> {
        serde_json::from_slice(body).map_err(|error| Error::invalid(format!("malformed JSON in the request: {error}")))
    }

    /// The signals that it holds.
    pub fn signals(&self) -> impl Iterator<Item = Signal> {
        Signal::ALL.into_iter().filter(|signal| self.groups(*signal).is_some())
    }

    fn groups(&self, signal: Signal) -> Option<&[ResourceGroup<'a>]> {
        match signal {
            Signal::Logs => self.resource_logs.as_deref(),
            Signal::Traces => self.resource_spans.as_deref(),
            Signal::Metrics => self.resource_metrics.as_deref(),
        }
    }
}

/// Walks a JSON request.
pub(super) fn walk_json<S: SignalRows>(body: &[u8], intake: &mut Intake<'_, S>) -> Result<()> {
    let request = Request::read(body)?;
    let Some(groups) = request.groups(S::SIGNAL) else {
        return match request.signals().next() {
            Some(other) => {
                Err(Error::invalid(format!("this is a request of {}, not of {}", other.name(), S::SIGNAL.name())))
            }
            None => Ok(()),
        };
    };
    for (at, group) in groups.iter().enumerate() {
        let schema_url = group.schema_url.as_deref().unwrap_or_default();
        intake.resource(at, head_json(group.resource, json::resource), schema_url);
        for (at, group) in group.scope_logs.iter().flatten().enumerate() {
            let schema_url = group.schema_url.as_deref().unwrap_or_default();
            intake.scope(at, head_json(group.scope, json::scope), schema_url);
            for record in group.log_records.iter().flatten() {
                intake.json(record)?;
            }
        }
    }
    Ok(())
}

fn head_json<M: Default>(
    raw: Option<&RawValue>,
    read: impl FnOnce(&serde_json::Value) -> Result<M, String>,
) -> Result<M, String> {
    let Some(raw) = raw else { return Ok(M::default()) };
    if raw.get().len() > RECORD_BYTES_MAX {
        return Err(format!("it exceeds {RECORD_BYTES_MAX} bytes"));
    }
    let value: serde_json::Value = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
    read(&value)
}
