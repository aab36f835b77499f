//! Requests through the router, against a store that only remembers.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use prost::Message;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::answer::{Any, ExportResponse, RETRY_INFO, RetryInfo, RpcStatus};
use super::*;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Remembers frames and keys; refuses everything when it is told to.
#[derive(Debug, Default)]
struct Memory {
    frames: Mutex<Vec<Frame>>,
    keys: Mutex<HashMap<String, [u8; 32]>>,
    failing: Option<Kind>,
}

#[async_trait]
impl Durable for Memory {
    async fn append(&self, frame: Frame) -> Result<Receipt> {
        if let Some(kind) = self.failing {
            return Err(Error::new(kind, "the store says no"));
        }
        let rows = frame.rows() as u64;
        let mut repeated = false;
        if let Some(idempotency) = &frame.idempotency {
            match self.keys.lock().unwrap().insert(idempotency.key.clone(), idempotency.body_hash) {
                Some(hash) if hash != idempotency.body_hash => {
                    return Err(Error::new(Kind::Conflict, "the key was used for another body"));
                }
                seen => repeated = seen.is_some(),
            }
        }
        if !repeated {
            self.frames.lock().unwrap().push(frame);
        }
        Ok(Receipt { seq: 0, rows, repeated })
    }
}

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now_us(&self) -> i64 {
        1_700_000_000_000_000
    }
}

fn doors(failing: Option<Kind>) -> (Router, Arc<Memory>) {
    let memory = Arc::new(Memory { failing, ..Memory::default() });
    (router(Doors::new(memory.clone(), Arc::new(Noon), Arc::default())), memory)
}

fn request(path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post(path).body(body.into()).unwrap();
    for (name, value) in headers {
        request.headers_mut().append(axum::http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    request.extensions_mut().insert(Scope::tenant("acme", "key"));
    request
}

/// Status, content type and body of the answer.
async fn send(router: &Router, request: Request<Body>) -> (StatusCode, String, Vec<u8>) {
    let response: Response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let content_type =
        response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    (status, content_type, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

fn logs(bodies: &[&str]) -> Vec<u8> {
    let records: Vec<Value> = bodies.iter().map(|body| json!({"body": {"stringValue": body}})).collect();
    json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).to_string().into_bytes()
}

/// One good span, one without identity.
fn spans() -> Vec<u8> {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": [
        {"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7", "startTimeUnixNano": "1", "name": "x"},
        {"spanId": "00f067aa0ba902b7", "startTimeUnixNano": "1"},
    ]}]}]})
    .to_string()
    .into_bytes()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn accepted_records_are_durable_before_the_answer() {
    let (router, memory) = doors(None);
    let plain = logs(&["a", "b"]);
    for (encoding, body) in
        [("identity", plain.clone()), ("gzip", gzip(&plain)), ("zstd", zstd::encode_all(&plain[..], 1).unwrap())]
    {
        let sent = request(
            "/v1/logs",
            &[("content-type", "Application/JSON; charset=utf-8"), ("content-encoding", encoding)],
            body,
        );
        assert_eq!(send(&router, sent).await, (StatusCode::OK, JSON.to_owned(), b"{}".to_vec()), "{encoding}");
    }
    let frames = memory.frames.lock().unwrap();
    assert_eq!(frames.iter().map(Frame::rows).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(frames[0].source, "otlp/http");
}

#[tokio::test]
async fn an_empty_request_is_a_success_in_its_encoding() {
    let (router, memory) = doors(None);
    for path in ["/v1/logs", "/v1/traces", "/v1/metrics"] {
        let answer = send(&router, request(path, &[("content-type", PROTOBUF)], Body::empty())).await;
        assert_eq!(answer, (StatusCode::OK, PROTOBUF.to_owned(), Vec::new()));
        let answer = send(&router, request(path, &[("content-type", JSON)], "{}")).await;
        assert_eq!(answer, (StatusCode::OK, JSON.to_owned(), b"{}".to_vec()));
    }
    assert!(memory.frames.lock().unwrap().is_empty(), "nothing to make durable");
}

#[tokio::test]
async fn partial_success_counts_and_says_why() {
    let (router, memory) = doors(None);
    let (status, _, body) = send(&router, request("/v1/traces", &[("content-type", JSON)], spans())).await;
    assert_eq!(status, StatusCode::OK);
    let expected =
        json!({"partialSuccess": {"rejectedSpans": "1", "errorMessage": "1 × trace_id has 0 bytes, not 16"}});
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
    let frames = memory.frames.lock().unwrap();
    let tables: Vec<_> = frames[0].batches.iter().map(|batch| (batch.table.name, batch.rows.num_rows())).collect();
    assert_eq!(tables, [("otel_span", 1), ("reject", 1)]);
}

#[tokio::test]
async fn refusals_have_a_status_in_the_requests_encoding() {
    let (router, _) = doors(None);
    let bomb = gzip(&vec![b' '; (64 << 20) + 1]);
    for (what, headers, body, expected) in [
        ("no content type", vec![], logs(&[]), 415),
        ("wrong content type", vec![("content-type", "text/plain")], logs(&[]), 415),
        ("deflate", vec![("content-type", JSON), ("content-encoding", "deflate")], logs(&[]), 415),
        ("two encodings", vec![("content-type", JSON), ("content-encoding", "gzip, zstd")], logs(&[]), 415),
        ("malformed JSON", vec![("content-type", JSON)], b"{".to_vec(), 400),
        ("not gzip", vec![("content-type", JSON), ("content-encoding", "gzip")], logs(&["a"]), 400),
        ("not zstd", vec![("content-type", JSON), ("content-encoding", "zstd")], logs(&["a"]), 400),
        ("claims too much", vec![("content-type", JSON), ("content-length", "104857600")], logs(&["a"]), 413),
        ("too large", vec![("content-type", JSON)], vec![b' '; (64 << 20) + 1], 413),
        ("a bomb", vec![("content-type", JSON), ("content-encoding", "gzip")], bomb, 413),
        ("empty key", vec![("content-type", JSON), ("x-idempotency-key", "")], logs(&["a"]), 400),
    ] {
        let (status, content_type, body) = send(&router, request("/v1/logs", &headers, body)).await;
        assert_eq!((status.as_u16(), content_type.as_str()), (expected, JSON), "{what}");
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert!(
            body["code"].is_i64() && body["message"].as_str().is_some_and(|text| !text.is_empty()),
            "{what}: {body}"
        );
    }
    let (status, content_type, body) =
        send(&router, request("/v1/logs", &[("content-type", PROTOBUF)], &b"\x0a\x05abc"[..])).await;
    assert_eq!((status, content_type.as_str()), (StatusCode::BAD_REQUEST, PROTOBUF));
    let body = RpcStatus::decode(&body[..]).unwrap();
    assert_eq!(body.code, tonic::Code::InvalidArgument as i32);
    assert!(body.message.contains("malformed protobuf"), "{}", body.message);
}

#[tokio::test]
async fn a_stranger_is_turned_away() {
    let (router, memory) = doors(None);
    for path in ["/v1/logs", grpc::path(Signal::Logs)] {
        let mut stranger = request(
            path,
            &[("content-type", if path == "/v1/logs" { JSON } else { "application/grpc" })],
            logs(&["a"]),
        );
        stranger.extensions_mut().clear();
        let response = router.clone().oneshot(stranger).await.unwrap();
        let grpc = response.headers().get("grpc-status").map(|status| status.to_str().unwrap().to_owned());
        assert!(response.status() == StatusCode::UNAUTHORIZED || grpc.as_deref() == Some("16"), "{path}");
    }
    assert!(memory.frames.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_key_makes_a_retry_harmless() {
    let (router, memory) = doors(None);
    let headers = [("content-type", JSON), ("x-idempotency-key", "7")];
    let compressed = [("content-type", JSON), ("content-encoding", "gzip"), ("x-idempotency-key", "7")];
    assert_eq!(send(&router, request("/v1/logs", &headers, logs(&["a"]))).await.0, StatusCode::OK);
    assert_eq!(send(&router, request("/v1/logs", &headers, logs(&["a"]))).await.0, StatusCode::OK);
    assert_eq!(send(&router, request("/v1/logs", &compressed, gzip(&logs(&["a"])))).await.0, StatusCode::OK);
    assert_eq!(send(&router, request("/v1/logs", &headers, logs(&["b"]))).await.0, StatusCode::CONFLICT);
    assert_eq!(
        send(&router, request("/v1/traces", &headers, spans())).await.0,
        StatusCode::OK,
        "another signal, another key"
    );
    let mut other = request("/v1/logs", &headers, logs(&["b"]));
    other.extensions_mut().insert(Scope::tenant("other", "key"));
    assert_eq!(send(&router, other).await.0, StatusCode::OK, "another tenant, another key");
    assert_eq!(memory.frames.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn failures_tell_the_sender_what_to_do() {
    let retry_after = Duration::from_millis(1500);
    for (kind, http, delay, grpc) in [
        (Kind::Overloaded { retry_after }, 503, Some("2"), "8"),
        (Kind::Unavailable, 503, None, "14"),
        (Kind::Conflict, 409, None, "6"),
        (Kind::Denied, 403, None, "7"),
        (Kind::Internal, 500, None, "13"),
    ] {
        let (router, _) = doors(Some(kind));
        let sent = request("/v1/logs", &[("content-type", JSON)], logs(&["a"]));
        let response = router.clone().oneshot(sent).await.unwrap();
        assert_eq!(response.status().as_u16(), http, "{kind:?}");
        assert_eq!(response.headers().get("retry-after").map(|v| v.to_str().unwrap()), delay, "{kind:?}");
        let response = call(&router, Signal::Logs, &[], false, &[0x0a, 4, 0x12, 2, 0x12, 0]).await;
        assert_eq!(response.headers()["grpc-status"], grpc, "{kind:?}");
        let details = tonic::Status::from_header_map(response.headers()).unwrap();
        let status = RpcStatus::decode(details.details()).unwrap();
        let retry: Option<&Any> = status.details.iter().find(|detail| detail.type_url == RETRY_INFO);
        let told = retry.map(|any| RetryInfo::decode(any.value.clone()).unwrap().retry_delay.unwrap());
        assert_eq!(told.map(|d| (d.seconds, d.nanos)), delay.map(|_| (1, 500_000_000)), "{kind:?}");
    }
}

#[tokio::test]
async fn beyond_the_bytes_in_flight_callers_are_told_to_come_back() {
    let memory = Arc::new(Memory::default());
    let doors = Doors::new(memory, Arc::new(Noon), Arc::default());
    let router = router(doors.clone());
    let held = doors.reserve(IN_FLIGHT_BYTES_MAX - 2 * PERMIT_BYTES).unwrap();
    let headers = [("content-type", JSON), ("content-length", "4096")];
    assert_eq!(send(&router, request("/v1/logs", &headers, logs(&["a"]))).await.0, StatusCode::SERVICE_UNAVAILABLE);
    drop(held);
    assert_eq!(send(&router, request("/v1/logs", &[("content-type", JSON)], logs(&["a"]))).await.0, StatusCode::OK);
}

/// One gRPC call with a message that may be gzip.
async fn call(router: &Router, signal: Signal, headers: &[(&str, &str)], compressed: bool, message: &[u8]) -> Response {
    let message = if compressed { gzip(message) } else { message.to_vec() };
    let mut framed = vec![u8::from(compressed)];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    let mut all = vec![("content-type", "application/grpc"), ("te", "trailers")];
    all.extend_from_slice(headers);
    router.clone().oneshot(request(grpc::path(signal), &all, framed)).await.unwrap()
}

#[tokio::test]
async fn grpc_takes_the_same_requests() {
    let (router, memory) = doors(None);
    // resource_spans { scope_spans { spans {} } }: a span without identity.
    let message = [0x0a, 4, 0x12, 2, 0x12, 0];
    for (headers, compressed) in [(&[][..], false), (&[("grpc-encoding", "gzip")][..], true)] {
        let response = call(&router, Signal::Traces, headers, compressed, &message).await;
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
        let bytes = collected.to_bytes();
        let answer = ExportResponse::decode(&bytes[5..]).unwrap().partial_success.unwrap();
        assert_eq!((answer.rejected, answer.error_message.as_str()), (1, "1 × trace_id has 0 bytes, not 16"));
    }
    assert_eq!(memory.frames.lock().unwrap()[0].source, "otlp/grpc");
    let bomb = vec![0_u8; (64 << 20) + 1];
    for (headers, compressed) in [(&[][..], false), (&[("grpc-encoding", "gzip")][..], true)] {
        let response = call(&router, Signal::Logs, headers, compressed, &bomb).await;
        assert_eq!(response.headers()["grpc-status"], "8");
    }
    let response = call(&router, Signal::Logs, &[], false, b"\x0a\x05abc").await;
    assert_eq!(response.headers()["grpc-status"], "3");
    let response = call(&router, Signal::Logs, &[("grpc-encoding", "br")], true, b"").await;
    assert_eq!(response.headers()["grpc-status"], "12");
}
