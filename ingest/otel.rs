//! OpenTelemetry: OTLP requests, protobuf or JSON, become rows of `otel_log`, `otel_span` and `otel_metric`.
//!
//! A request is never decoded whole. Its envelope (resource → scope → records) is walked in place, and one record at a
//! time is decoded and appended to column builders, so that memory is bounded by the largest record, a malformed record
//! is refused alone, and what stands on a resource or scope is computed once for all its records.
//!
//! Where the specification leaves a choice:
//! - Attribute keys must be unique; of a repeated key the last value wins.
//! - Trace and span ids are stored as lower-case hex text, as `traceparent`, log lines and every UI print them, so that
//!   `WHERE trace_id = '4bf9…'` needs no function and meets the index; the compressed size is close to that of bytes.
//! - A log record's ids of a wrong length, or all zero, count as absent. A span without valid ids is refused.
//! - A log record without a time gets its observed time, else the time of arrival. Spans and data points need their own.

use engine::{Error, Kind, Result, Scope, Table};

use crate::Parsed;

mod cells;
mod content;
mod envelope;
mod file;
mod intake;
mod json;
mod labels;
mod log;
mod metric;
mod promote;
mod span;
#[cfg(test)]
mod tests;
mod value;
mod wire;

pub use file::Otlp;
pub use log::OTEL_LOG;
pub use metric::OTEL_METRIC;
pub use span::OTEL_SPAN;

/// Largest request, as sent and after decompression.
pub const REQUEST_BYTES_MAX: usize = 64 << 20;
/// Largest single record: decoded attributes take up to forty times their encoded size.
pub const RECORD_BYTES_MAX: usize = 8 << 20;
/// Most records and data points in one request: an empty record is two bytes on the wire and a full row in memory.
pub const RECORDS_MAX: usize = 1_000_000;

/// The three signals of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    Logs,
    Traces,
    Metrics,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Signal; 3] = [Signal::Logs, Signal::Traces, Signal::Metrics];

    /// The signal's word in paths: `logs`, `traces`, `metrics`.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Logs => "logs",
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
        }
    }

    /// Kind of its refused records in `reject`.
    pub fn reject_kind(self) -> &'static str {
        match self {
            Signal::Logs => "otlp.logs",
            Signal::Traces => "otlp.traces",
            Signal::Metrics => "otlp.metrics",
        }
    }

    /// Name of the repeated field of a request in OTLP/JSON.
    fn json_field(self) -> &'static str {
        match self {
            Signal::Logs => "resourceLogs",
            Signal::Traces => "resourceSpans",
            Signal::Metrics => "resourceMetrics",
        }
    }
}

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

/// What is known about a request besides its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Who sent it; decides whose rows they are.
    pub scope: &'a Scope,
    /// Tenant of records that name none, when the scope covers every tenant.
    pub tenant: Option<&'a str>,
    /// When it arrived, nanoseconds since 1970: the time of log records that have none.
    pub received_ns: i64,
}

/// Parses one export request. Malformed framing or JSON is an error for the whole request; a record that does not fit is
/// a reject beside its accepted neighbours. `Parsed::accepted` and `rejects` count log records, spans or data points.
pub fn parse(signal: Signal, body: &[u8], encoding: Encoding, arrival: &Arrival<'_>) -> Result<Parsed> {
    if body.len() > REQUEST_BYTES_MAX {
        let limit = format!("a request of {} bytes exceeds the limit of {REQUEST_BYTES_MAX} bytes", body.len());
        return Err(Error::new(Kind::TooLarge, limit));
    }
    match signal {
        Signal::Logs => intake::run::<log::LogRows>(body, encoding, arrival),
        Signal::Traces => intake::run::<span::SpanRows>(body, encoding, arrival),
        Signal::Metrics => intake::run::<metric::MetricRows>(body, encoding, arrival),
    }
}

/// The tables of the three signals.
pub fn tables() -> Vec<&'static Table> {
    vec![&OTEL_LOG, &OTEL_SPAN, &OTEL_METRIC]
}
