//! The same logs, decoded, for the peers that take rows: Arrow batches in the columns that ClickHouse's exporter for
//! OpenTelemetry writes, one batch a request. The peers are spared the parsing of protobuf, which we pay.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use engine::arrow::array::{
    ArrayRef, MapBuilder, MapFieldNames, RecordBatch, StringArray, StringBuilder, TimestampNanosecondArray, UInt8Array,
};
use engine::arrow::ipc::writer::StreamWriter;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;

/// Writes one batch a request as an Arrow stream.
pub fn write(requests: &[ExportLogsServiceRequest], path: &Path) {
    let batches: Vec<RecordBatch> = requests.iter().map(batch).collect();
    let file = File::create(path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    let mut writer = StreamWriter::try_new(file, &batches[0].schema()).expect("a schema can be written");
    batches.iter().for_each(|batch| writer.write(batch).expect("the disk takes a batch"));
    writer.finish().expect("the disk takes the end of a stream");
}

/// The rows of a request.
fn batch(request: &ExportLogsServiceRequest) -> RecordBatch {
    let group = &request.resource_logs[0];
    let resource = &group.resource.as_ref().expect("every request has a resource").attributes;
    let records = &group.scope_logs[0].log_records;
    let service = resource.iter().find(|pair| pair.key == "service.name").map(|pair| shown(pair.value.as_ref()));
    let strings = |of: &dyn Fn(&LogRecord) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(records.iter().map(of)))
    };
    let small =
        |of: fn(&LogRecord) -> u8| -> ArrayRef { Arc::new(UInt8Array::from_iter_values(records.iter().map(of))) };
    let times = records.iter().map(|record| i64::try_from(record.time_unix_nano).expect("before the year 2262"));
    let columns: [(&str, ArrayRef); 10] = [
        ("Timestamp", Arc::new(TimestampNanosecondArray::from_iter_values(times))),
        ("TraceId", strings(&|record| hex::encode(&record.trace_id))),
        ("SpanId", strings(&|record| hex::encode(&record.span_id))),
        ("TraceFlags", small(|record| (record.flags & 0xff) as u8)),
        ("SeverityText", strings(&|record| record.severity_text.clone())),
        ("SeverityNumber", small(|record| u8::try_from(record.severity_number).unwrap_or(0))),
        ("ServiceName", strings(&|_| service.clone().unwrap_or_default())),
        ("Body", strings(&|record| shown(record.body.as_ref()))),
        ("ResourceAttributes", maps(records.iter().map(|_| resource.as_slice()))),
        ("LogAttributes", maps(records.iter().map(|record| record.attributes.as_slice()))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn maps<'a>(rows: impl Iterator<Item = &'a [KeyValue]>) -> ArrayRef {
    let names = MapFieldNames { entry: "entries".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for pairs in rows {
        for pair in pairs {
            builder.keys().append_value(&pair.key);
            builder.values().append_value(shown(pair.value.as_ref()));
        }
        builder.append(true).expect("as many keys as values");
    }
    Arc::new(builder.finish())
}

fn shown(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::DoubleValue(number)) => number.to_string(),
        Some(Any::BoolValue(yes)) => yes.to_string(),
        _ => String::new(),
    }
}
