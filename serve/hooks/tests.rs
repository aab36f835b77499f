#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;

use async_trait::async_trait;
use axum::http::Request;
use engine::Frame;
use tower::ServiceExt;

use super::*;

/// Remembers frames and keys as the store does; fails as it is told.
#[derive(Default)]
struct Memory {
    frames: Mutex<Vec<Frame>>,
    keys: Mutex<HashMap<String, [u8; 32]>>,
    failing: Option<Kind>,
}

#[async_trait]
impl Durable for Memory {
    async fn append(&self, frame: Frame) -> Result<Receipt> {
        if let Some(kind) = self.failing {
            return Err(Error::new(kind, "told to"));
        }
        let mut frames = self.frames.lock().unwrap();
        let receipt = Receipt { seq: frames.len() as u64, rows: frame.rows() as u64, repeated: false };
        if let Some(key) = &frame.idempotency {
            let mut keys = self.keys.lock().unwrap();
            match keys.get(&key.key) {
                Some(hash) if *hash == key.body_hash => return Ok(Receipt { repeated: true, ..receipt }),
                Some(_) => return Err(Error::new(Kind::Conflict, "another body")),
                None => drop(keys.insert(key.key.clone(), key.body_hash)),
            }
        }
        frames.push(frame);
        Ok(receipt)
    }
}

async fn post_to(store: &Arc<Memory>, path: &str, body: impl Into<Body>) -> (StatusCode, serde_json::Value, HeaderMap) {
    let scope = Scope::tenant("acme", "test");
    let app = router(Arc::clone(store) as Arc<dyn Durable>).layer(Extension(scope));
    let response = app.oneshot(Request::post(path).body(body.into()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, serde_json::from_slice(&body).unwrap_or_default(), parts.headers)
}

fn event(notification: u32, text: &str) -> String {
    format!(
        r#"{{"eventType":"x.y","id":"e","subscriptionId":"s","notificationId":{notification},"message":{{"text":"{text}"}}}}"#
    )
}

#[tokio::test]
async fn an_event_is_taken_once() {
    let store = Arc::new(Memory::default());
    let (status, taken, _) = post_to(&store, "/hooks/ado", event(1, "a")).await;
    assert_eq!((status, &taken["accepted"], &taken["repeated"]), (StatusCode::OK, &1.into(), &false.into()));
    let (status, taken, _) = post_to(&store, "/ingest/ado", event(1, "a")).await;
    assert_eq!((status, &taken["repeated"]), (StatusCode::OK, &true.into()));
    assert_eq!(store.frames.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_delivery_with_another_body_is_kept_beside_the_first() {
    let store = Arc::new(Memory::default());
    for (text, frames) in [("a", 1), ("b", 2), ("a", 2), ("b", 2)] {
        let (status, ..) = post_to(&store, "/hooks/ado", event(1, text)).await;
        assert_eq!((status, store.frames.lock().unwrap().len()), (StatusCode::OK, frames), "{text}");
    }
}

#[tokio::test]
async fn what_is_no_event_is_kept_and_told() {
    let store = Arc::new(Memory::default());
    for body in ["", "hello", "{\"eventType\":", "[1]", "{}"] {
        let (status, taken, _) = post_to(&store, "/hooks/ado", body).await;
        assert_eq!((status, &taken["rejected"]), (StatusCode::ACCEPTED, &1.into()), "{body}");
        assert!(taken["reasons"][0].is_string());
    }
    assert!(store.frames.lock().unwrap().iter().all(|frame| frame.batches[0].table.name == "reject"));
}

#[tokio::test]
async fn a_failing_store_is_never_a_500() {
    let overloaded = Kind::Overloaded { retry_after: Duration::from_secs(7) };
    for (kind, retry_after) in
        [(overloaded, Some("7")), (Kind::Unavailable, None), (Kind::Internal, Some("1")), (Kind::Corrupt, Some("1"))]
    {
        let store = Arc::new(Memory { failing: Some(kind), ..Memory::default() });
        let (status, _, headers) = post_to(&store, "/hooks/ado", event(1, "a")).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{kind:?}");
        let told = headers.get(header::RETRY_AFTER).map(|v| v.to_str().unwrap());
        assert_eq!(told, retry_after, "{kind:?}");
    }
}

#[tokio::test]
async fn objects_need_a_cluster_and_come_packed_or_not() {
    let store = Arc::new(Memory::default());
    let pod = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":{"containers":[{"name":"c"}]}}"#;
    let (status, problem, _) = post_to(&store, "/ingest/k8s", pod).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(problem["error"].as_str().unwrap().contains("cluster=NAME"));
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(pod.as_bytes()).unwrap();
    for body in [Body::from(pod), Body::from(gz.finish().unwrap()), Body::from("kind: A\nmetadata: {name: x}\n")] {
        let (status, taken, _) = post_to(&store, "/ingest/k8s?cluster=lab", body).await;
        assert_eq!((status, &taken["accepted"], &taken["rejected"]), (StatusCode::OK, &1.into(), &0.into()));
    }
    let (status, taken, _) = post_to(&store, "/ingest/k8s?cluster=lab", "{\"kind\":").await;
    assert_eq!((status, &taken["rejected"]), (StatusCode::BAD_REQUEST, &1.into()));
}

#[tokio::test]
async fn large_bodies_are_refused_packed_or_not() {
    let store = Arc::new(Memory::default());
    let (status, ..) = post_to(&store, "/hooks/ado", vec![b' '; BODY_BYTES_MAX + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let bomb = zstd::encode_all(&vec![b' '; BODY_BYTES_MAX + 1][..], 1).unwrap();
    let (status, ..) = post_to(&store, "/hooks/ado", bomb).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let object = format!(r#"{{"kind":"A","metadata":{{"name":"x"}},"data":"{}"}}"#, "y".repeat(100_000));
    let large = format!("[{}]", vec![object.as_str(); 100].join(","));
    let (status, taken, _) = post_to(&store, "/ingest/k8s?cluster=lab", large).await;
    assert_eq!((status, &taken["accepted"]), (StatusCode::OK, &100.into()));
    assert!(store.frames.lock().unwrap().len() > 1);
}
