//! Bad input through the real doors: a clear refusal or a row in `reject`, never a panic, never a lost neighbour.

use std::fs;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Point;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics};
use prost::Message;

use crate::harness::{Ground, Http, Reply, Server};
use crate::records::{ADO_DOOR, logs, now_ns};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// A refusal says what is wrong, in words, with one of these statuses.
fn refused(reply: &Reply, statuses: &[u16], words: &[&str]) {
    let text = reply.text().to_lowercase();
    assert!(statuses.contains(&reply.status), "{} {text}", reply.status);
    assert!(words.is_empty() || words.iter().any(|word| text.contains(word)), "none of {words:?} in: {text}");
    assert!(!text.contains("panick"), "{text}");
}

fn gauge(name: &str, value: f64) -> Metric {
    let point = NumberDataPoint { time_unix_nano: now_ns(), value: Some(Point::AsDouble(value)), ..Default::default() };
    Metric { name: name.to_owned(), data: Some(Data::Gauge(Gauge { data_points: vec![point] })), ..Metric::default() }
}

fn metrics(metrics: Vec<Metric>) -> Vec<u8> {
    let scope = ScopeMetrics { metrics, ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec()
}

#[test]
fn bad_requests_are_refused_in_words() {
    let ground = Ground::new();
    let server = Server::start(&ground, &[]);
    let mut http = server.connect();
    let whole = logs("bad-input", &["a".to_owned(), "b".to_owned()]);

    refused(
        &http.post("/v1/logs", PROTOBUF, whole[..whole.len() - 3].to_vec()),
        &[400],
        &["protobuf", "decode", "truncated", "malformed"],
    );
    refused(&http.post("/v1/logs", "text/plain", whole.clone()), &[415, 400], &["content"]);
    refused(&http.post("/v1/logs", JSON, "{\"resourceLogs\": ["), &[400], &["json", "eof"]);
    refused(&http.post("/v1/traces", PROTOBUF, vec![0xff; 64]), &[400], &[]);
    // A hook's sender would give up on us after errors: what is no event is taken, and lies in `reject`.
    refused(&http.post(ADO_DOOR, JSON, "no json"), &[202], &[]);
    assert_eq!(server.cell("SELECT count(*) FROM reject WHERE kind = 'ado'"), "1");
    refused(&http.post("/sql", JSON, r#"{"sql": "SELEC 1"}"#), &[400], &["selec", "sql"]);
    refused(&http.post("/sql", JSON, r#"{"sql": "SELECT * FROM no_such_table"}"#), &[400, 404], &["no_such_table"]);
    refused(&http.post("/nowhere", JSON, "{}"), &[404], &[]);
    let huge = vec![b'x'; 100 << 20];
    match http.send("POST", "/v1/logs", &[("content-type", PROTOBUF)], huge) {
        Ok(reply) => refused(&reply, &[413], &[]),
        // A server may answer and hang up before the client has written it all.
        Err(broken) => assert!(!broken.contains("no reply"), "{broken}"),
    }
    let mut stranger = Http::new(server.address, "not-a-key");
    refused(&stranger.post("/v1/logs", PROTOBUF, whole.clone()), &[401, 403], &[]);
    refused(&stranger.post("/sql", JSON, r#"{"sql": "SELECT 1"}"#), &[401, 403], &[]);

    assert_eq!(server.connect().post("/v1/logs", PROTOBUF, whole).status, 200, "the server still serves");
    assert_eq!(server.cell("SELECT count(*) FROM otel_log"), "2");
}

#[test]
fn a_bad_record_leaves_its_neighbours_alone() {
    let ground = Ground::new();
    let server = Server::start(&ground, &[]);
    let mut http = server.connect();
    // Not a number is a value that OpenTelemetry allows; a metric without data is not.
    let empty = Metric { name: "empty".to_owned(), ..Metric::default() };
    let body = metrics(vec![gauge("fine", 1.5), gauge("odd", f64::NAN), empty, gauge("also_fine", 2.5)]);
    let reply = http.post("/v1/metrics", PROTOBUF, body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let fine = server.sql("SELECT metric_name FROM otel_metric WHERE metric_name LIKE '%fine' ORDER BY 1");
    assert_eq!(fine.rows, [["also_fine"], ["fine"]]);
    let odd = server
        .cell("SELECT (SELECT count(*) FROM otel_metric WHERE metric_name = 'odd') + (SELECT count(*) FROM reject)");
    assert_ne!(odd, "0", "the record is kept somewhere");

    let unknown = r#"{"id": "7c1a", "eventType": "solar.flare", "publisherId": "sun", "createdDate": "9999-12-31T23:59:59Z", "resource": {"x": 1}}"#;
    assert_eq!(http.post(ADO_DOOR, JSON, unknown).status, 200, "an unknown event is kept whole");
    assert_eq!(server.cell("SELECT count(*) FROM ado_event WHERE event_type = 'solar.flare'"), "1");
}

#[test]
fn the_same_key_with_another_body_is_a_conflict() {
    let ground = Ground::new();
    let server = Server::start(&ground, &[]);
    let mut http = server.connect();
    let mut send = |body: Vec<u8>| {
        let headers = [("content-type", PROTOBUF), ("x-idempotency-key", "one")];
        http.send("POST", "/v1/logs", &headers, body).expect("a reply").status
    };
    let one = logs("idempotent", &["one".to_owned()]);
    assert_eq!([send(one.clone()), send(one)], [200, 200]);
    assert_eq!(send(logs("idempotent", &["two".to_owned()])), 409);
    assert_eq!(server.cell("SELECT count(*) FROM otel_log"), "1");
}

#[test]
fn bad_files_are_refused_with_an_exit_code() {
    let ground = Ground::new();
    let refused = |name: &str, content: &str, words: &[&str]| {
        let path = ground.beside(name);
        fs::write(&path, content).expect("a file is written");
        let done = ground.run(&["ingest", "cost", path.to_str().expect("UTF-8")]);
        let said = format!("{}{}", done.stdout, done.stderr).to_lowercase();
        assert_ne!(done.code, Some(0), "{name} was taken: {said}");
        assert!(words.iter().any(|word| said.contains(word)), "{name}: none of {words:?} in: {said}");
        assert!(!said.contains("panicked"), "{name}: {said}");
    };
    refused(
        "twice.csv",
        "BilledCost,BilledCost,ChargePeriodStart\n1,2,2026-01-01T00:00:00Z\n",
        &["billedcost", "twice", "duplicate"],
    );
    refused("other.csv", "apples,pears\n1,2\n", &["focus", "column", "form"]);
    refused("empty.csv", "", &["empty", "header", "column"]);
    refused("manifest.json", r#"{"manifestVersion": "2024-04-01", "blobs": "none"}"#, &["manifest"]);
    assert_eq!(ground.ask("SELECT count(*) FROM cost_line"), [["0"]]);
    let missing = ground.run(&["ingest", "cost", "/no/such/file.csv"]);
    assert_ne!(missing.code, Some(0));
}
