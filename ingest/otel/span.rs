//! `otel_span`: one row per span.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat};
use engine::arrow::array::ArrayRef;
use engine::{Column, Index, Table, Type};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::cells::{join, own_columns};
use super::intake::{Refused, SignalRows};
use super::labels::SHARED_COLUMNS;
use super::promote::{Promoted, Promotion, columns, promote};
use super::{Signal, json, value};

own_columns! {
    /// What a span says besides its attributes.
    Own, OWN_COLUMNS;
    time: TimeNs.required(), "When the span started.";
    end_time: TimeNs, "When the span ended; null while it has not.";
    duration_ns: Int, "End less start, nanoseconds; negative where the sender's clock stepped back.";
    trace_id: Text.required(), "Trace, 32 lower-case hex digits.";
    span_id: Text.required(), "Span, 16 lower-case hex digits.";
    parent_span_id: Text, "Parent span, 16 lower-case hex digits; null for a root span.";
    trace_state: Text, "W3C tracestate.";
    name: Name, "What the span does.";
    kind: Name, "INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER or UNSPECIFIED.";
    status_code: Name, "UNSET, OK or ERROR.";
    status_message: Text, "What went wrong.";
    events: Json, "JSON array of the span's events: `time`, `name`, `attributes`; null when there are none.";
    links: Json, "JSON array of the span's links: `trace_id`, `span_id`, `trace_state`, `attributes`; null when there are none.";
    flags: Int, "W3C trace flags in the low 8 bits; bits 8 and 9 say whether the parent is remote.";
    dropped_attributes_count: Int, "Attributes that the source dropped.";
    dropped_events_count: Int, "Events that the source dropped.";
    dropped_links_count: Int, "Links that the source dropped.";
}

const PROMOTIONS: [Promotion; 26] = [
    promote("error_type", Type::Name, "error.type", &[], "Class of error, attribute `error.type`."),
    promote("http_request_method", Type::Name, "http.request.method", &["http.method"], "HTTP method."),
    promote(
        "http_response_status_code",
        Type::Int,
        "http.response.status_code",
        &["http.status_code"],
        "HTTP status code.",
    ),
    promote("http_route", Type::Name, "http.route", &[], "Route template of the HTTP server."),
    promote("url_path", Type::Text, "url.path", &[], "Path of the request."),
    promote("server_address", Type::Name, "server.address", &["net.peer.name"], "Server's name or address."),
    promote("db_system_name", Type::Name, "db.system.name", &["db.system"], "Database product."),
    promote("db_namespace", Type::Name, "db.namespace", &["db.name"], "Database, within the product."),
    promote("db_operation_name", Type::Name, "db.operation.name", &["db.operation"], "Database operation."),
    promote(
        "db_collection_name",
        Type::Name,
        "db.collection.name",
        &["db.sql.table"],
        "Table, collection or container.",
    ),
    promote("rpc_system", Type::Name, "rpc.system", &["rpc.system.name"], "RPC system."),
    promote("rpc_service", Type::Name, "rpc.service", &[], "RPC service."),
    promote("rpc_method", Type::Name, "rpc.method", &[], "RPC method."),
    promote("messaging_system", Type::Name, "messaging.system", &[], "Messaging product."),
    promote(
        "messaging_destination_name",
        Type::Name,
        "messaging.destination.name",
        &["messaging.destination"],
        "Queue or topic.",
    ),
    promote("gen_ai_provider_name", Type::Name, "gen_ai.provider.name", &["gen_ai.system"], "Provider of the model."),
    promote(
        "gen_ai_operation_name",
        Type::Name,
        "gen_ai.operation.name",
        &[],
        "Model operation: `chat`, `embeddings`, `execute_tool` …",
    ),
    promote("gen_ai_request_model", Type::Name, "gen_ai.request.model", &[], "Model that was asked for."),
    promote("gen_ai_response_model", Type::Name, "gen_ai.response.model", &[], "Model that answered."),
    promote(
        "gen_ai_usage_input_tokens",
        Type::Int,
        "gen_ai.usage.input_tokens",
        &["gen_ai.usage.prompt_tokens"],
        "Tokens of the prompt.",
    ),
    promote(
        "gen_ai_usage_output_tokens",
        Type::Int,
        "gen_ai.usage.output_tokens",
        &["gen_ai.usage.completion_tokens"],
        "Tokens of the answer.",
    ),
    promote("gen_ai_agent_name", Type::Name, "gen_ai.agent.name", &[], "Agent that asked."),
    promote("gen_ai_tool_name", Type::Name, "gen_ai.tool.name", &[], "Tool that was called."),
    promote("cicd_pipeline_name", Type::Name, "cicd.pipeline.name", &[], "Pipeline whose run the span is part of."),
    promote(
        "cicd_pipeline_run_id",
        Type::Text,
        "cicd.pipeline.run.id",
        &[],
        "Id of the pipeline run; Azure DevOps' build id.",
    ),
    promote("user_id", Type::Text, "user.id", &["enduser.id"], "User on whose behalf the span ran."),
];

const ATTRIBUTES: [Column; 1] = [Column::new(
    "attributes",
    Type::Json,
    "The span's other attributes, a JSON object with their types kept; null when there are none.",
)];

const COLUMNS: [Column; OWN_COLUMNS.len() + PROMOTIONS.len() + 1 + SHARED_COLUMNS.len()] =
    join(&[OWN_COLUMNS, &columns(&PROMOTIONS), &ATTRIBUTES, &SHARED_COLUMNS]);

/// Spans.
pub static OTEL_SPAN: Table = Table {
    indexes: &[Index::BTree("trace_id")],
    retention_days: Some(30),
    ..Table::new("otel_span", "OpenTelemetry spans, one row each.", &COLUMNS)
};

/// An instant of OTLP: nanoseconds since 1970, zero when it is not known.
pub(super) fn instant(field: &str, nanos: u64) -> Result<Option<i64>, String> {
    match i64::try_from(nanos) {
        Ok(0) => Ok(None),
        Ok(nanos) => Ok(Some(nanos)),
        Err(_) => Err(format!("{field} {nanos} lies beyond the year 2262, the end of 64-bit nanoseconds")),
    }
}

/// An id of `N` bytes in hex; `None` when it has another length or is all zero, which W3C calls invalid.
pub(super) fn hex_id<const N: usize>(id: &[u8]) -> Option<String> {
    (id.len() == N && id.iter().any(|byte| *byte != 0)).then(|| hex::encode(id))
}

/// Spans becoming rows.
pub(super) struct SpanRows {
    own: Own,
    promoted: Promoted,
}

impl Default for SpanRows {
    fn default() -> Self {
        SpanRows { own: Own::default(), promoted: Promoted::new(&PROMOTIONS) }
    }
}

/// What a span must have to be a row.
struct Identity {
    trace_id: String,
    span_id: String,
    parent_span_id: Option<String>,
    start: i64,
    end: Option<i64>,
}

impl Identity {
    fn of(span: &Span) -> Result<Self, String> {
        let invalid = |field: &str, id: &[u8], bytes: usize| match id.len() == bytes {
            true => format!("{field} is all zero"),
            false => format!("{field} has {} bytes, not {bytes}", id.len()),
        };
        let parent_valid = span.parent_span_id.is_empty() || span.parent_span_id.len() == 8;
        if !parent_valid {
            return Err(invalid("parent_span_id", &span.parent_span_id, 8));
        }
        Ok(Identity {
            trace_id: hex_id::<16>(&span.trace_id).ok_or_else(|| invalid("trace_id", &span.trace_id, 16))?,
            span_id: hex_id::<8>(&span.span_id).ok_or_else(|| invalid("span_id", &span.span_id, 8))?,
            parent_span_id: hex_id::<8>(&span.parent_span_id),
            start: instant("start_time_unix_nano", span.start_time_unix_nano)?
                .ok_or("start_time_unix_nano is missing")?,
            end: instant("end_time_unix_nano", span.end_time_unix_nano)?,
        })
    }
}

impl SignalRows for SpanRows {
    const SIGNAL: Signal = Signal::Traces;
    const TABLE: &'static Table = &OTEL_SPAN;
    type Record = Span;

    fn from_json(record: &serde_json::Value) -> Result<Span, String> {
        json::span(record)
    }

    fn push(&mut self, span: &Span, _received_ns: i64, refused: &mut Vec<Refused>) -> usize {
        let identity = match Identity::of(span) {
            Ok(identity) => identity,
            Err(reason) => {
                refused.push(Refused::of(reason, span));
                return 0;
            }
        };
        let own = &mut self.own;
        own.time.set(Some(identity.start));
        own.end_time.set(identity.end);
        own.duration_ns.set(identity.end.map(|end| end - identity.start));
        own.trace_id.set(Some(&identity.trace_id));
        own.span_id.set(Some(&identity.span_id));
        own.parent_span_id.set(identity.parent_span_id.as_deref());
        own.trace_state.set(Some(span.trace_state.as_str()).filter(|s| !s.is_empty()));
        own.name.set(&span.name);
        own.kind.set(&short_name(span.kind, SpanKind::try_from(span.kind).ok().map(|k| k.as_str_name()), "SPAN_KIND_"));
        let (code, message) = span.status.as_ref().map_or((0, ""), |status| (status.code, status.message.as_str()));
        own.status_code.set(&short_name(
            code,
            StatusCode::try_from(code).ok().map(|c| c.as_str_name()),
            "STATUS_CODE_",
        ));
        own.status_message.set(Some(message).filter(|m| !m.is_empty()));
        own.events.list(&span.events, write_event);
        own.links.list(&span.links, write_link);
        own.flags.set_count(span.flags);
        own.dropped_attributes_count.set_count(span.dropped_attributes_count);
        own.dropped_events_count.set_count(span.dropped_events_count);
        own.dropped_links_count.set_count(span.dropped_links_count);
        self.promoted.set(&span.attributes);
        1
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        let mut columns = self.own.finish();
        columns.extend(self.promoted.finish());
        columns
    }
}

/// An enumeration's name without its prefix; a number that the protocol does not know yet stays a number.
pub(super) fn short_name<'a>(number: i32, name: Option<&'a str>, prefix: &str) -> Cow<'a, str> {
    match name {
        Some(name) => name.strip_prefix(prefix).unwrap_or(name).into(),
        None => number.to_string().into(),
    }
}

/// An instant as ISO 8601 text with nanoseconds; null when it is not known. Total: `u64` nanoseconds end in 2554.
pub(super) fn write_instant(out: &mut String, nanos: u64) {
    let seconds = i64::try_from(nanos / 1_000_000_000).expect("u64 nanoseconds are fewer seconds than i64 holds");
    let rest = u32::try_from(nanos % 1_000_000_000).expect("a remainder below a billion");
    match DateTime::from_timestamp(seconds, rest).filter(|_| nanos > 0) {
        Some(time) => value::write_text(out, &time.to_rfc3339_opts(SecondsFormat::Nanos, true)),
        None => out.push_str("null"),
    }
}

fn write_event(out: &mut String, event: &Event) {
    out.push_str("{\"time\":");
    write_instant(out, event.time_unix_nano);
    out.push_str(",\"name\":");
    value::write_text(out, &event.name);
    out.push_str(",\"attributes\":");
    value::write_object(out, &event.attributes);
    write_dropped(out, event.dropped_attributes_count);
    out.push('}');
}

fn write_link(out: &mut String, link: &Link) {
    out.push_str("{\"trace_id\":");
    value::write_text(out, &hex::encode(&link.trace_id));
    out.push_str(",\"span_id\":");
    value::write_text(out, &hex::encode(&link.span_id));
    if !link.trace_state.is_empty() {
        out.push_str(",\"trace_state\":");
        value::write_text(out, &link.trace_state);
    }
    out.push_str(",\"attributes\":");
    value::write_object(out, &link.attributes);
    write_dropped(out, link.dropped_attributes_count);
    if link.flags > 0 {
        out.push_str(",\"flags\":");
        value::write_int(out, i64::from(link.flags));
    }
    out.push('}');
}

fn write_dropped(out: &mut String, count: u32) {
    if count > 0 {
        out.push_str(",\"dropped_attributes_count\":");
        value::write_int(out, i64::from(count));
    }
}
