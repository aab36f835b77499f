#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::get;
use engine::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use engine::{Error, Kind, Scope, Settings};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::sql::answer::Writing;
use super::*;
use crate::output::Format;
use ledger::principal::Principal;

/// A house over an empty store, with the platform's bootstrap key.
async fn house(data: &std::path::Path) -> (Arc<House>, String) {
    let house = crate::wire::open(Settings::new(data)).await.unwrap();
    let key = crate::auth::bootstrap::ensure(data, &house.directory).await.unwrap().unwrap();
    (house, key.fresh.unwrap())
}

async fn call(app: &Router, request: Request<Body>) -> (StatusCode, Response, String) {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned();
    (parts.status, Response::from_parts(parts, Body::empty()), text)
}

fn post(key: &str, uri: &str, body: &str) -> Request<Body> {
    Request::post(uri).header("authorization", format!("Bearer {key}")).body(Body::from(body.to_owned())).unwrap()
}

/// One store serves all the cases: opening one creates every table.
#[tokio::test]
async fn the_doors_over_a_store() {
    let data = tempfile::tempdir().unwrap();
    let (house, key) = house(data.path()).await;
    let panics = Router::new().route("/panics", get(|| async { panic!("a defect") as StatusCode }));
    let app = app(&house, Guard::Keys(Arc::clone(&house)), panics);

    for (open, word) in [("/healthz", "ok"), ("/readyz", "ready"), ("/metrics", "# EOF")] {
        let (status, _, text) = call(&app, Request::get(open).body(Body::empty()).unwrap()).await;
        assert!(status.is_success() && text.contains(word), "{open}: {status} {text}");
    }
    for (method, uri, expected) in
        [("GET", "/nowhere", 404), ("GET", "/sql", 405), ("POST", "/sql", 401), ("GET", "/tables", 401)]
    {
        let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        let (status, _, text) = call(&app, request).await;
        assert_eq!(status, expected, "{uri}");
        assert!(
            serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|json| json["kind"].is_string()),
            "{uri}: {text}"
        );
    }
    let (status, _, _) =
        call(&app, post("swk_000000000000_0000000000000000000000000000000000000000000", "/sql", "SELECT 1")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);

    let (status, answer, text) =
        call(&app, post(&key, "/sql", "SELECT 1 AS a, CAST(2.50 AS DECIMAL(9,2)) AS b, NULL AS c")).await;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &json["rows"]), (StatusCode::OK, &serde_json::json!([{"a": 1, "b": "2.5", "c": null}])));
    assert_eq!(answer.headers()[sql::QUERY_ID], json["query_id"].as_str().unwrap());
    let (_, _, text) = call(&app, post(&key, "/sql?format=csv&param=7", "SELECT CAST($1 AS BIGINT) + 1 AS n")).await;
    assert_eq!(text, "n\n8\n");
    let (_, _, text) =
        call(&app, post(&key, "/sql?format=jsonl", "SELECT now() > TIMESTAMP '2020-01-01T00:00:00Z' AS later")).await;
    assert_eq!(text, "{\"later\":true}\n");
    for (uri, body, expected) in [
        ("/sql", "SELEC 1", 400),
        ("/sql", "", 400),
        ("/sql", "SELECT * FROM nowhere", 400),
        ("/sql", "DROP TABLE cost_line", 403),
        ("/sql?format=xml", "SELECT 1", 400),
        ("/sql?limit=1", "SELECT 1", 400),
        ("/tables/nowhere", "", 405),
    ] {
        let (status, _, text) = call(&app, post(&key, uri, body)).await;
        assert_eq!(status, expected, "{uri} {body}: {text}");
    }
    let mut request = post(&key, "/sql", "{\"sql\": \"SELECT 1\", \"colour\": 1}");
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    assert_eq!(call(&app, request).await.0, StatusCode::BAD_REQUEST);
    let large = "x".repeat(2 << 20);
    assert_eq!(call(&app, post(&key, "/sql", &large)).await.0, StatusCode::PAYLOAD_TOO_LARGE);

    let mut request = Request::get("/panics").body(Body::empty()).unwrap();
    request.headers_mut().insert("x-api-key", key.parse().unwrap());
    let (status, _, text) = call(&app, request).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text.contains("\"kind\":\"internal\""), "{text}");
    house.close().await.unwrap();
}

/// An answer of one batch that breaks off behind it.
async fn broken_answer(format: Format, trailer: bool) -> (Vec<u8>, Option<String>, bool) {
    let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let encoder = format.encoder(&batch.schema()).unwrap();
    let failure = stream::iter([Err(Error::new(Kind::Limit, "too many rows"))]).boxed();
    let mut body = Writing::new(encoder, Some(batch), "q-1", failure, trailer).into_body();
    let (mut bytes, mut told) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame.map(|f| f.into_data()) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            Ok(Err(frame)) => {
                told = frame
                    .into_trailers()
                    .ok()
                    .map(|t| String::from_utf8_lossy(t[sql::ERROR_TRAILER].as_bytes()).into_owned())
            }
            Err(_) => return (bytes, told, true),
        }
    }
    (bytes, told, false)
}

#[tokio::test]
async fn half_an_answer_is_never_taken_for_a_whole_one() {
    let (bytes, _, aborted) = broken_answer(Format::Jsonl, false).await;
    let last = String::from_utf8(bytes).unwrap();
    let last: serde_json::Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    assert_eq!(
        (last["error"].as_str(), last["query_id"].as_str(), aborted),
        (Some("too many rows"), Some("q-1"), true)
    );
    for format in [Format::Json, Format::Csv, Format::Arrow, Format::Parquet] {
        assert!(broken_answer(format, false).await.2, "{format:?}");
    }
    let (_, told, aborted) = broken_answer(Format::Arrow, true).await;
    assert!(told.unwrap().contains("\"kind\":\"limit\"") && !aborted);
}

#[tokio::test]
async fn a_scope_reaches_the_handler() {
    let said = |Extension(scope): Extension<Scope>| async move { scope.principal.to_string() };
    let guard = Guard::Everybody(Principal::platform("operator"));
    let app = Router::new().route("/", get(said)).route_layer(middleware::from_fn_with_state(guard, admit));
    let (_, answer, text) = call(&app, Request::get("/").body(Body::empty()).unwrap()).await;
    assert_eq!(text, "operator");
    assert!(answer.extensions().get::<Scope>().is_some());
}
