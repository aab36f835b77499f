//! Bodies that the tests send.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// Where Azure DevOps posts its service hooks.
pub const ADO_DOOR: &str = "/hooks/ado";
/// What an OTLP exporter sends.
pub const PROTOBUF: &str = "application/x-protobuf";

fn text(value: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(Any::StringValue(value.to_owned())) })
}

/// Now; older records would fall to retention some day.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(since.as_nanos()).expect("before the year 2554")
}

/// One OTLP request whose records carry `ids` as their bodies.
pub fn logs(service: &str, ids: &[String]) -> Vec<u8> {
    log_records(now_ns(), service, ids.iter().map(|id| (id.clone(), 0)))
}

/// One OTLP request of bodies with a severity each, 0 for none.
pub fn log_records(time_ns: u64, service: &str, records: impl Iterator<Item = (String, i32)>) -> Vec<u8> {
    let record = |(body, severity): (String, i32)| LogRecord {
        time_unix_nano: time_ns,
        severity_number: severity,
        body: text(&body),
        ..LogRecord::default()
    };
    let service = KeyValue { key: "service.name".to_owned(), value: text(service), ..KeyValue::default() };
    let scope = ScopeLogs { log_records: records.map(record).collect(), ..ScopeLogs::default() };
    let resource = Resource { attributes: vec![service], ..Resource::default() };
    let group = ResourceLogs { resource: Some(resource), scope_logs: vec![scope], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![group] }.encode_to_vec()
}
