//! `otel_log`: one row per log record.

use engine::arrow::array::ArrayRef;
use engine::{Column, Index, Table, Type};
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::cells::{join, own_columns};
use super::intake::{Refused, SignalRows};
use super::labels::SHARED_COLUMNS;
use super::promote::{Promoted, Promotion, columns, promote};
use super::{Signal, json, span, value};

own_columns! {
    /// What a log record says besides its attributes.
    Own, OWN_COLUMNS;
    time: TimeNs.required(), "When the event happened; its observed time, else its arrival, where the record does not say.";
    observed_time: TimeNs, "When the event was collected.";
    severity_number: Int, "Severity from 1 (TRACE) to 24 (FATAL4): 9 is INFO, 13 WARN, 17 ERROR.";
    severity_text: Name, "Severity as the source calls it.";
    body: Text, "The message; a structured body as JSON text.";
    event_name: Name, "Name that identifies the class of event.";
    trace_id: Text, "Trace that the record belongs to, 32 lower-case hex digits.";
    span_id: Text, "Span that the record belongs to, 16 lower-case hex digits.";
    flags: Int, "W3C trace flags in the low 8 bits.";
    dropped_attributes_count: Int, "Attributes that the source dropped.";
}

const PROMOTIONS: [Promotion; 2] = [
    promote("exception_type", Type::Name, "exception.type", &[], "Type of the exception, attribute `exception.type`."),
    promote(
        "exception_message",
        Type::Text,
        "exception.message",
        &[],
        "Message of the exception, attribute `exception.message`.",
    ),
];

const ATTRIBUTES: [Column; 1] = [Column::new(
    "attributes",
    Type::Json,
    "The record's other attributes, a JSON object with their types kept; null when there are none.",
)];

const COLUMNS: [Column; OWN_COLUMNS.len() + PROMOTIONS.len() + 1 + SHARED_COLUMNS.len()] =
    join(&[OWN_COLUMNS, &columns(&PROMOTIONS), &ATTRIBUTES, &SHARED_COLUMNS]);

/// Log records.
pub static OTEL_LOG: Table = Table {
    indexes: &[Index::BTree("trace_id")],
    retention_days: Some(30),
    ..Table::new("otel_log", "OpenTelemetry log records and events, one row each.", &COLUMNS)
};

/// Log records becoming rows.
pub(super) struct LogRows {
    own: Own,
    promoted: Promoted,
}

impl Default for LogRows {
    fn default() -> Self {
        LogRows { own: Own::default(), promoted: Promoted::new(&PROMOTIONS) }
    }
}

impl SignalRows for LogRows {
    const SIGNAL: Signal = Signal::Logs;
    const TABLE: &'static Table = &OTEL_LOG;
    type Record = LogRecord;

    fn from_json(record: &serde_json::Value) -> Result<LogRecord, String> {
        json::log_record(record)
    }

    fn push(&mut self, record: &LogRecord, received_ns: i64, refused: &mut Vec<Refused>) -> usize {
        let times = span::instant("time_unix_nano", record.time_unix_nano)
            .and_then(|time| Ok((time, span::instant("observed_time_unix_nano", record.observed_time_unix_nano)?)));
        let (time, observed) = match times {
            Ok(times) => times,
            Err(reason) => {
                refused.push(Refused::of(reason, record));
                return 0;
            }
        };
        let own = &mut self.own;
        own.time.set(time.or(observed).or(Some(received_ns)));
        own.observed_time.set(observed);
        own.severity_number.set((record.severity_number != 0).then_some(i64::from(record.severity_number)));
        own.severity_text.set(&record.severity_text);
        own.body.set(value::body(record.body.as_ref()).as_deref());
        own.event_name.set(&record.event_name);
        own.trace_id.set(span::hex_id::<16>(&record.trace_id).as_deref());
        own.span_id.set(span::hex_id::<8>(&record.span_id).as_deref());
        own.flags.set_count(record.flags);
        own.dropped_attributes_count.set_count(record.dropped_attributes_count);
        self.promoted.set(&record.attributes);
        1
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        let mut columns = self.own.finish();
        columns.extend(self.promoted.finish());
        columns
    }
}
