#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use axum::response::IntoResponse;
use serde_json::json;

use super::*;

/// Embeds a text as its length and a mark of its purpose.
#[derive(Debug)]
struct Lengths;

#[async_trait]
impl Embedder for Lengths {
    fn model(&self) -> &str {
        "lengths@0123abcd/f32"
    }
    fn width(&self) -> usize {
        2
    }
    fn tokens(&self, text: &str) -> usize {
        text.split(' ').count()
    }
    fn tokens_max(&self) -> usize {
        4
    }
    async fn embed(&self, texts: &[&str], purpose: Purpose) -> engine::Result<Vec<Vec<f32>>> {
        let mark = if purpose == Purpose::Query { 0.5 } else { -0.5 };
        Ok(texts.iter().map(|text| vec![text.len() as f32, mark]).collect())
    }
}

async fn ask(embedder: Option<Arc<dyn Embedder>>, body: Value) -> (u16, Value) {
    let data = tempfile::tempdir().unwrap();
    let house =
        crate::wire::open_with(engine::Settings::new(data.path()), std::sync::Arc::default(), embedder).await.unwrap();
    let answer = embed(State(house), Bytes::from(body.to_string())).await;
    let response = answer.map_or_else(IntoResponse::into_response, IntoResponse::into_response);
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn vectors_as_clients_expect_them() {
    let lengths = || Some(Arc::new(Lengths) as Arc<dyn Embedder>);
    let (status, answer) =
        ask(lengths(), json!({"input": ["ab", "a b c d e f"], "model": "Lengths", "user": "u"})).await;
    let expected = json!({
        "object": "list", "model": "lengths@0123abcd/f32", "usage": {"prompt_tokens": 5, "total_tokens": 5},
        "data": [{"object": "embedding", "index": 0, "embedding": [2.0, -0.5]}, {"object": "embedding", "index": 1, "embedding": [11.0, -0.5]}],
    });
    assert_eq!((status, answer), (200, expected));
    let body = json!({"input": "ab", "encoding_format": "base64", "dimensions": 2, "input_type": "query"});
    let (_, answer) = ask(lengths(), body).await;
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(answer["data"][0]["embedding"].as_str().unwrap()).unwrap();
    assert_eq!(bytes, [2.0_f32.to_le_bytes(), 0.5_f32.to_le_bytes()].concat());
    assert_eq!(ask(None, json!({"input": "a"})).await.0, 404);
}

#[test]
fn requests_that_are_refused() {
    let wish = |body: Value| serde_json::from_value::<Wish>(body).unwrap();
    for (body, status, word) in [
        (json!({"input": "a", "model": "text-embedding-3-small"}), 404, "but by lengths"),
        (json!({"input": "a", "dimensions": 256}), 400, "have 2 numbers"),
        (json!({"input": "a", "encoding_format": "hex"}), 400, "float and base64"),
    ] {
        let problem = wish(body).checked(&Lengths).unwrap_err();
        assert!(problem.error.contains(word), "{}", problem.error);
        assert_eq!(problem.into_response().status().as_u16(), status);
    }
    assert!(wish(json!({"input": "a", "input_type": "song"})).purpose().is_err());
    let many: Vec<&str> = vec!["a"; TEXTS_MAX + 1];
    for (input, word) in [
        (json!([1, 2]), "token numbers"),
        (json!([[1, 2]]), "token numbers"),
        (json!([]), "empty list"),
        (json!(["a", " "]), "text 1"),
        (json!(7), "a text or a list"),
        (json!([null]), "no text"),
        (json!(many), "texts in one request"),
    ] {
        let problem = texts(input).unwrap_err();
        assert!(problem.error.contains(word), "{}", problem.error);
    }
}
