//! Requests in, rows out: one table of cases per signal, both encodings.
#![allow(clippy::unwrap_used)]

use engine::arrow::util::display::array_value_to_string;
use engine::{Kind, Scope};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::{Value, json};

use super::*;

mod files;
mod logs;
mod metrics;
mod sdk;
mod spans;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const NOW_NS: i64 = 1_700_000_000_000_000_000;

fn parse_as(signal: Signal, body: &[u8], encoding: Encoding, scope: &Scope) -> Result<Parsed> {
    parse(signal, body, encoding, &Arrival { scope, tenant: None, received_ns: NOW_NS })
}

/// Parses OTLP/JSON.
fn parsed_json(signal: Signal, request: &Value) -> Parsed {
    parse_as(signal, &serde_json::to_vec(request).unwrap(), Encoding::Json, &Scope::platform("test")).unwrap()
}

/// Parses OTLP/JSON; then, where the protocol's own types read it too, parses it as protobuf and expects the same rows.
fn parsed(signal: Signal, request: &Value) -> Parsed {
    let body = serde_json::to_vec(request).unwrap();
    let scope = Scope::platform("test");
    let from_json = parse_as(signal, &body, Encoding::Json, &scope).unwrap();
    let protobuf = match signal {
        Signal::Logs => serde_json::from_slice::<ExportLogsServiceRequest>(&body).map(|m| m.encode_to_vec()),
        Signal::Traces => serde_json::from_slice::<ExportTraceServiceRequest>(&body).map(|m| m.encode_to_vec()),
        Signal::Metrics => serde_json::from_slice::<ExportMetricsServiceRequest>(&body).map(|m| m.encode_to_vec()),
    };
    if let Ok(protobuf) = protobuf {
        let from_protobuf = parse_as(signal, &protobuf, Encoding::Protobuf, &scope).unwrap();
        assert_eq!(from_json.accepted, from_protobuf.accepted);
        assert_eq!(from_json.rejects.len(), from_protobuf.rejects.len());
        for (a, b) in from_json.batches.iter().zip(&from_protobuf.batches) {
            assert_eq!(a.rows, b.rows, "both encodings give the same rows");
        }
    }
    from_json
}

/// The cells of one row by column; null is `∅`.
fn cell(parsed: &Parsed, row: usize, column: &str) -> String {
    let column = parsed.batches[0].rows.column_by_name(column).unwrap_or_else(|| panic!("no column {column}"));
    if column.is_null(row) || column.logical_nulls().is_some_and(|nulls| nulls.is_null(row)) {
        return "∅".to_owned();
    }
    array_value_to_string(column, row).unwrap()
}

/// Compares the named cells of one row.
fn check(parsed: &Parsed, row: usize, expected: &[(&str, &str)]) {
    for (column, text) in expected {
        assert_eq!(cell(parsed, row, column), *text, "column {column} of row {row}");
    }
}

fn reasons(parsed: &Parsed) -> Vec<&str> {
    parsed.rejects.iter().map(|reject| reject.reason.as_str()).collect()
}

fn resource(pairs: &[(&str, &str)]) -> Value {
    let attributes: Vec<Value> =
        pairs.iter().map(|(key, text)| json!({"key": key, "value": {"stringValue": text}})).collect();
    json!({ "attributes": attributes })
}

fn logs(records: Value) -> Value {
    json!({"resourceLogs": [{"resource": resource(&[("service.name", "checkout")]), "scopeLogs": [{"logRecords": records}]}]})
}

fn spans(records: Value) -> Value {
    json!({"resourceSpans": [{"resource": resource(&[("service.name", "checkout")]), "scopeSpans": [{"spans": records}]}]})
}

fn metrics(records: Value) -> Value {
    json!({"resourceMetrics": [{"resource": resource(&[("service.name", "checkout")]), "scopeMetrics": [{"metrics": records}]}]})
}

#[test]
fn labels_are_promoted_and_the_rest_keeps_its_types() {
    let request = json!({"resourceLogs": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "payment"}},
            {"key": "service.namespace", "value": {"stringValue": "shop"}},
            {"key": "service.version", "value": {"doubleValue": 1.5}},
            {"key": "deployment.environment", "value": {"stringValue": "prod"}},
            {"key": "cost-center", "value": {"intValue": "4711"}},
            {"key": "tenant", "value": {"stringValue": "team-a"}},
            {"key": "k8s.pod.name", "value": {"stringValue": "payment-0"}},
            {"key": "process.pid", "value": {"intValue": "9007199254740993"}}
        ]},
        "schemaUrl": "https://opentelemetry.io/schemas/1.37.0",
        "scopeLogs": [{"scope": {"name": "lib", "version": "2", "attributes": [{"key": "x", "value": {"boolValue": true}}]},
            "schemaUrl": "s", "logRecords": [{"timeUnixNano": "1"}, {"timeUnixNano": 2}]}]
    }]});
    let parsed = parsed(Signal::Logs, &request);
    for row in [0, 1] {
        check(
            &parsed,
            row,
            &[
                ("tenant", "team-a"),
                ("env", "prod"),
                ("app", "shop"),
                ("service_name", "payment"),
                ("service_version", "1.5"),
                ("cost_center", "4711"),
                ("k8s_pod_name", "payment-0"),
                ("host_name", "∅"),
                ("scope_name", "lib"),
                ("scope_version", "2"),
                ("scope_attributes", r#"{"x":true}"#),
                ("scope_schema_url", "s"),
                ("resource_schema_url", "https://opentelemetry.io/schemas/1.37.0"),
                (
                    "resource_attributes",
                    r#"{"service.namespace":"shop","service.version":1.5,"deployment.environment":"prod","cost-center":4711,"process.pid":9007199254740993}"#,
                ),
            ],
        );
    }
}

#[test]
fn a_tenants_caller_writes_only_for_its_own_tenant() {
    let named =
        json!({"resourceLogs": [{"resource": resource(&[("tenant", "b")]), "scopeLogs": [{"logRecords": [{}]}]}]});
    let body = serde_json::to_vec(&named).unwrap();
    for (scope, default, tenant, rest) in [
        (Scope::tenant("a", "key"), None, "a", r#"{"tenant":"b"}"#),
        (Scope::tenant("b", "key"), None, "b", "∅"),
        (Scope::platform("root"), None, "b", "∅"),
        (Scope::platform("root"), Some("c"), "b", "∅"),
    ] {
        let arrival = Arrival { scope: &scope, tenant: default, received_ns: NOW_NS };
        let parsed = parse(Signal::Logs, &body, Encoding::Json, &arrival).unwrap();
        check(&parsed, 0, &[("tenant", tenant), ("resource_attributes", rest)]);
    }
    let unnamed = serde_json::to_vec(&logs(json!([{}]))).unwrap();
    for (scope, default, tenant) in [
        (Scope::platform("root"), None, "default"),
        (Scope::platform("root"), Some("c"), "c"),
        (Scope::tenant("a", "key"), Some("c"), "a"),
    ] {
        let arrival = Arrival { scope: &scope, tenant: default, received_ns: NOW_NS };
        check(&parse(Signal::Logs, &unnamed, Encoding::Json, &arrival).unwrap(), 0, &[("tenant", tenant)]);
    }
}

#[test]
fn malformed_requests_are_refused_whole() {
    let whole = serde_json::from_value::<ExportLogsServiceRequest>(logs(json!([
        {"timeUnixNano": "1", "severityNumber": 9, "observedTimeUnixNano": "1", "body": {"stringValue": "hello"}}
    ])));
    let whole = whole.map(|request| request.encode_to_vec()).unwrap_or_else(|error| panic!("{error}"));
    let scope = Scope::platform("test");
    assert_eq!(parse_as(Signal::Logs, &whole, Encoding::Protobuf, &scope).unwrap().accepted, 1);
    for length in 1..whole.len() {
        let error = parse_as(Signal::Logs, &whole[..length], Encoding::Protobuf, &scope).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "the first {length} bytes: {error}");
    }
    for body in
        ["{", "[]x", "\"\"", "{\"resourceLogs\":7}", "{\"resourceLogs\":[{\"scopeLogs\":{}}]}", "nonsense", "\u{0}"]
    {
        let error = parse_as(Signal::Logs, body.as_bytes(), Encoding::Json, &scope).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{body}: {error}");
    }
    let error = parse_as(Signal::Metrics, br#"{"resourceLogs":[]}"#, Encoding::Json, &scope).unwrap_err();
    assert_eq!(error.to_string(), "this is a request of logs, not of metrics");
    for (body, encoding) in
        [(&b""[..], Encoding::Protobuf), (b"{}", Encoding::Json), (br#"{"later":{"x":1}}"#, Encoding::Json)]
    {
        assert_eq!(parse_as(Signal::Traces, body, encoding, &scope).unwrap().accepted, 0);
    }
}

#[test]
fn a_bomb_of_empty_records_is_too_large() {
    let records = 2_000_000_u32;
    let mut scope_logs = Vec::new();
    (0..records).for_each(|_| scope_logs.extend([0x12, 0]));
    let message = |tag: u8, inner: &[u8]| {
        let mut out = vec![tag];
        prost::encoding::encode_varint(inner.len() as u64, &mut out);
        out.extend_from_slice(inner);
        out
    };
    let body = message(0x0a, &message(0x12, &scope_logs));
    let error = parse_as(Signal::Traces, &body, Encoding::Protobuf, &Scope::platform("test")).unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
}

#[test]
fn an_unreadable_resource_refuses_only_its_own_records() {
    let group = |service: Value| {
        json!({
            "resource": {"attributes": [{"key": "service.name", "value": service}]},
            "scopeLogs": [{"logRecords": [{"body": {"stringValue": "x"}}]}]
        })
    };
    let request = json!({"resourceLogs": [group(json!({"stringValue": "a"})), group(json!(3)), group(json!({"stringValue": "c"}))]});
    let parsed = parsed(Signal::Logs, &request);
    assert_eq!(parsed.accepted, 2);
    check(&parsed, 0, &[("service_name", "a")]);
    check(&parsed, 1, &[("service_name", "c")]);
    assert_eq!(reasons(&parsed), ["its resource cannot be read: .attributes[0].value: expected an object, found 3"]);
    assert_eq!(parsed.rejects[0].place.as_deref(), Some("resourceLogs[1].scope[0].record[0]"));
}

#[test]
fn tables_are_declared_well() {
    for table in tables() {
        let mut names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), table.columns.len(), "{}: a column is declared twice", table.name);
        assert!(table.position(table.time).is_some() && table.position(table.tenant).is_some());
    }
}
