//! Log records and spans.

use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use serde_json::Value;

use super::{Message, Read, any_value, key_value};

/// A log record.
pub(in crate::otel) fn log_record(value: &Value) -> Read<LogRecord> {
    let message = Message::of(value)?;
    Ok(LogRecord {
        time_unix_nano: message.u64("timeUnixNano")?,
        observed_time_unix_nano: message.u64("observedTimeUnixNano")?,
        severity_number: message.enumeration("severityNumber", SeverityNumber::from_str_name)?,
        severity_text: message.text("severityText")?,
        body: message.nested("body", any_value)?,
        attributes: message.list("attributes", key_value)?,
        dropped_attributes_count: message.u32("droppedAttributesCount")?,
        flags: message.u32("flags")?,
        trace_id: message.id("traceId")?,
        span_id: message.id("spanId")?,
        event_name: message.text("eventName")?,
    })
}

/// A span.
pub(in crate::otel) fn span(value: &Value) -> Read<Span> {
    let message = Message::of(value)?;
    Ok(Span {
        trace_id: message.id("traceId")?,
        span_id: message.id("spanId")?,
        trace_state: message.text("traceState")?,
        parent_span_id: message.id("parentSpanId")?,
        flags: message.u32("flags")?,
        name: message.text("name")?,
        kind: message.enumeration("kind", SpanKind::from_str_name)?,
        start_time_unix_nano: message.u64("startTimeUnixNano")?,
        end_time_unix_nano: message.u64("endTimeUnixNano")?,
        attributes: message.list("attributes", key_value)?,
        dropped_attributes_count: message.u32("droppedAttributesCount")?,
        events: message.list("events", event)?,
        dropped_events_count: message.u32("droppedEventsCount")?,
        links: message.list("links", link)?,
        dropped_links_count: message.u32("droppedLinksCount")?,
        status: message.nested("status", status)?,
    })
}

fn event(value: &Value) -> Read<Event> {
    let message = Message::of(value)?;
    Ok(Event {
        time_unix_nano: message.u64("timeUnixNano")?,
        name: message.text("name")?,
        attributes: message.list("attributes", key_value)?,
        dropped_attributes_count: message.u32("droppedAttributesCount")?,
    })
}

fn link(value: &Value) -> Read<Link> {
    let message = Message::of(value)?;
    Ok(Link {
        trace_id: message.id("traceId")?,
        span_id: message.id("spanId")?,
        trace_state: message.text("traceState")?,
        attributes: message.list("attributes", key_value)?,
        dropped_attributes_count: message.u32("droppedAttributesCount")?,
        flags: message.u32("flags")?,
    })
}

fn status(value: &Value) -> Read<Status> {
    let message = Message::of(value)?;
    Ok(Status { message: message.text("message")?, code: message.enumeration("code", StatusCode::from_str_name)? })
}
