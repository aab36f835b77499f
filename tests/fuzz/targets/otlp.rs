//! OTLP requests against the protocol's own types: what they read is read here, with as many records; what they refuse is
//! refused here, whole or record by record; and a message gives the same rows in both encodings.

use engine::Scope;
use ingest::Parsed;
use ingest::otel::{self, Arrival, Encoding, Signal};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::rows;

const NOW_NS: i64 = 1_700_000_000_000_000_000;
/// Refusals of the protocol's decoder that concern no record of ours: it counts nesting from the request on and not from
/// the record on, and it refuses a whole request for the encoding of a label.
const PECULIAR: &[&str] = &["recursion limit", "schema_url"];

/// A request of one signal as the protocol's crate has it.
trait Request: Message + Default + Serialize + DeserializeOwned + PartialEq {
    const SIGNAL: Signal;
    /// Log records, spans or data points; a metric without any counts as one where it is refused as a whole.
    fn records(&self) -> u64;
}

impl Request for ExportLogsServiceRequest {
    const SIGNAL: Signal = Signal::Logs;

    fn records(&self) -> u64 {
        self.resource_logs.iter().flat_map(|r| &r.scope_logs).map(|s| s.log_records.len() as u64).sum()
    }
}

impl Request for ExportTraceServiceRequest {
    const SIGNAL: Signal = Signal::Traces;

    fn records(&self) -> u64 {
        self.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len() as u64).sum()
    }
}

impl Request for ExportMetricsServiceRequest {
    const SIGNAL: Signal = Signal::Metrics;

    fn records(&self) -> u64 {
        self.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics).map(points).sum()
    }
}

fn points(metric: &Metric) -> u64 {
    let points = match &metric.data {
        _ if metric.name.is_empty() => return 1,
        None => return 1,
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
    };
    points as u64
}

/// Protobuf bodies, each taken for a request of every signal: the three have one shape.
pub fn protobuf(data: &[u8]) {
    protobuf_as::<ExportLogsServiceRequest>(data);
    protobuf_as::<ExportTraceServiceRequest>(data);
    protobuf_as::<ExportMetricsServiceRequest>(data);
}

/// JSON bodies, each taken for a request of every signal.
pub fn json(data: &[u8]) {
    let data = rows::plant(data);
    json_as::<ExportLogsServiceRequest>(&data);
    json_as::<ExportTraceServiceRequest>(&data);
    json_as::<ExportMetricsServiceRequest>(&data);
}

fn protobuf_as<R: Request>(body: &[u8]) {
    let ours = parse(R::SIGNAL, body, Encoding::Protobuf);
    match (R::decode(body), &ours) {
        (Ok(request), Ok(parsed)) => {
            assert_eq!(parsed.accepted + parsed.rejects.len() as u64, request.records(), "every record has its place");
            let unread = parsed.rejects.iter().find(|reject| reject.reason.contains("cannot be read"));
            assert!(unread.is_none(), "the protocol's decoder reads it: {unread:?}");
            if let Ok(json) = serde_json::to_vec(&request)
                && serde_json::from_slice::<R>(&json).is_ok_and(|again| again == request)
            {
                let from_json = parse(R::SIGNAL, &json, Encoding::Json);
                same(parsed, &from_json.expect("a request as JSON is a request"));
            }
        }
        (Ok(_), Err(error)) => panic!("{}: the protocol's decoder reads what is refused: {error}", R::SIGNAL.name()),
        (Err(error), Ok(parsed)) => {
            let peculiar = PECULIAR.iter().any(|word| error.to_string().contains(word));
            let told = !parsed.rejects.is_empty();
            assert!(told || peculiar, "{}: the protocol's decoder refuses: {error}", R::SIGNAL.name());
        }
        (Err(_), Err(_)) => {}
    }
    finish(ours);
}

fn json_as<R: Request>(body: &[u8]) {
    let ours = parse(R::SIGNAL, body, Encoding::Json);
    // Half a character in a record, as an escape, refuses that record only; bytes of a field that nobody reads are nothing.
    let grammatical = std::str::from_utf8(body).map_or(true, |text| serde_json::from_str::<&RawValue>(text).is_ok());
    assert!(ours.is_err() || grammatical, "{}: no JSON and yet taken", R::SIGNAL.name());
    if let (Ok(document), Ok(parsed)) = (serde_json::from_slice::<Value>(body), &ours)
        && R::SIGNAL != Signal::Metrics
    {
        let records = records_of(&document, R::SIGNAL);
        assert_eq!(parsed.accepted + parsed.rejects.len() as u64, records, "every record has its place");
    }
    if let (Ok(request), Ok(parsed)) = (serde_json::from_slice::<R>(body), &ours)
        // What the protocol's types leave out when they write is read by them and not by us, or the other way round.
        && serde_json::to_value(&request).ok() == serde_json::from_slice(body).ok()
    {
        let from_protobuf = parse(R::SIGNAL, &request.encode_to_vec(), Encoding::Protobuf);
        same(&from_protobuf.expect("a request as protobuf is a request"), parsed);
    }
    finish(ours);
}

fn parse(signal: Signal, body: &[u8], encoding: Encoding) -> engine::Result<Parsed> {
    let scope = Scope::platform("fuzz");
    otel::parse(signal, body, encoding, &Arrival { scope: &scope, tenant: None, received_ns: NOW_NS })
}

fn finish(parsed: engine::Result<Parsed>) {
    if let Ok(parsed) = parsed {
        let rows: usize = parsed.batches.iter().map(|batch| batch.rows.num_rows()).sum();
        assert_eq!(parsed.accepted, rows as u64, "an accepted record is a row");
        rows::check(parsed, "otlp/http", &Scope::platform("fuzz"));
    }
}

fn same(protobuf: &Parsed, json: &Parsed) {
    let counts = |parsed: &Parsed| (parsed.accepted, parsed.rejects.len());
    assert_eq!(counts(protobuf), counts(json), "both encodings give as many rows");
    for (a, b) in protobuf.batches.iter().zip(&json.batches) {
        assert_eq!(a.rows, b.rows, "both encodings give the same rows");
    }
}

/// Records of a JSON request, counted without knowing what they are.
fn records_of(document: &Value, signal: Signal) -> u64 {
    let resources = match signal {
        Signal::Logs => "resourceLogs",
        Signal::Traces => "resourceSpans",
        Signal::Metrics => "resourceMetrics",
    };
    let list = |value: &Value, names: &[&str]| -> Vec<Value> {
        names.iter().find_map(|name| value.get(name)?.as_array()).cloned().unwrap_or_default()
    };
    let scopes = |resource: &Value| list(resource, &["scopeLogs", "scopeSpans", "scopeMetrics"]);
    let records = |scope: &Value| list(scope, &["logRecords", "spans", "metrics"]).len() as u64;
    list(document, &[resources]).iter().flat_map(scopes).map(|scope| records(&scope)).sum()
}
