#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::*;
use crate::model::scripted::{Reply, Scripted};

/// Vectors that tell how long each text is.
fn vectors(body: &[u8]) -> Reply {
    let asked: Value = serde_json::from_slice(body).unwrap();
    let texts = asked["input"].as_array().unwrap().iter().enumerate();
    let item = |(index, text): (usize, &Value)| json!({"object": "embedding", "index": index, "embedding": [text.as_str().unwrap().len() as f32 + 3.0, 4.0]});
    // The last first: an answer need not keep the order.
    let data: Vec<Value> = texts.map(item).rev().collect();
    Reply::new(200, json!({"object": "list", "model": asked["model"], "data": data}).to_string())
}

async fn connect(server: &Scripted) -> Result<RemoteEmbedder> {
    let mut settings = RemoteSettings::new(&format!("{}/v1/", server.address), "m");
    settings.key = Some(Arc::new(|| Ok("secret".to_owned())));
    settings.query_prefix = "query: ".to_owned();
    RemoteEmbedder::connect(settings).await
}

#[tokio::test]
async fn texts_go_in_batches_and_come_back_in_order() {
    let server = Scripted::serve(|asked| {
        assert_eq!((asked.path.as_str(), asked.headers["authorization"].as_str()), ("/v1/embeddings", "Bearer secret"));
        vectors(&asked.body)
    })
    .await;
    let embedder = connect(&server).await.unwrap();
    assert_eq!((embedder.width(), embedder.model()), (2, "m@127.0.0.1"));
    let texts: Vec<String> = (0..150).map(|n| "x".repeat(n)).collect();
    let slices: Vec<&str> = texts.iter().map(String::as_str).collect();
    let found = embedder.embed(&slices, Purpose::Query).await.unwrap();
    for (text, vector) in texts.iter().zip(&found) {
        let long = (text.len() + 7) as f32 + 3.0;
        assert!((vector[0] / vector[1] - long / 4.0).abs() < 1e-3, "{vector:?}");
        assert!((vector.iter().map(|cell| cell * cell).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    assert_eq!(server.asked().len(), 1 + 150_usize.div_ceil(BATCH_TEXTS_MAX));
    assert!(embedder.embed(&[], Purpose::Query).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_when_it_says() {
    let tries = AtomicUsize::new(0);
    let server = Scripted::serve(move |asked| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Reply { headers: vec![("retry-after", "1".to_owned())], ..Reply::new(429, "slow down") },
        1 => Reply::new(503, ""),
        _ => vectors(&asked.body),
    })
    .await;
    let begun = Instant::now();
    connect(&server).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "the time that was asked for is waited");
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn refusals_are_told_and_not_repeated() {
    let told = |status: u16, body: &'static str| async move {
        let server = Scripted::serve(move |_| Reply::new(status, body)).await;
        let error = connect(&server).await.unwrap_err();
        (error.kind(), error.to_string(), server.asked().len())
    };
    for (status, body, kind, word) in [
        (401, r#"{"error": {"message": "bad key"}}"#, Kind::Denied, "401: bad key"),
        (404, r#"{"error": "no such model"}"#, Kind::NotFound, "no such model"),
        (400, "plain words", Kind::Invalid, "plain words"),
        (413, "", Kind::TooLarge, "413"),
        (200, "{}", Kind::Unavailable, "of no use"),
        (200, r#"{"data": []}"#, Kind::Unavailable, "no vector for text 0"),
        (200, r#"{"data": [{"index": 4, "embedding": [1.0]}]}"#, Kind::Unavailable, "for text 4"),
        (200, r#"{"data": [{"index": 0, "embedding": [0.0]}]}"#, Kind::Unavailable, "without a direction"),
    ] {
        let (found, text, asked) = told(status, body).await;
        assert!(found == kind && text.contains(word) && asked == 1, "{status} {body}: {found:?} {text} {asked}");
        assert!(!text.contains("secret"), "{text}");
    }
    for base in ["ftp://h/v1", "nowhere"] {
        assert_eq!(RemoteEmbedder::connect(RemoteSettings::new(base, "m")).await.unwrap_err().kind(), Kind::Invalid);
    }
}

#[test]
fn requests_have_a_size() {
    let sizes = |texts: Vec<String>| batches(texts).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(vec!["a".to_owned(); 130]), [64, 64, 2]);
    assert_eq!(sizes(vec!["a".repeat(BATCH_BYTES_MAX / 2 + 1); 3]), [1, 1, 1]);
    assert_eq!(sizes(vec![]), [0_usize; 0]);
}
