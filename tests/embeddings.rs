//! Vectors over HTTP, and models from the command line, with a small model of random weights.

use base64::Engine;
use serde_json::{Value, json};

use crate::harness::{Ground, Server, command};

#[allow(dead_code)]
#[path = "../index/embed/tests/synthetic.rs"]
mod synthetic;

use synthetic::Synthetic;

fn ask(server: &Server, body: &Value) -> (u16, Value) {
    let reply = server.connect().post("/v1/embeddings", "application/json", body.to_string());
    (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|n| n.as_f64().unwrap() as f32).collect()
}

#[test]
fn vectors_over_the_real_door() {
    let (ground, model) = (Ground::new(), Synthetic::new(21));
    let server = Server::start(&ground, &["--embedder", model.folder().to_str().unwrap()]);
    let (status, answer) = ask(&server, &json!({"input": ["w1 w2", "w3"], "model": ""}));
    assert_eq!(status, 404, "{answer}");
    let (status, answer) = ask(&server, &json!({"input": ["w1 w2", "w3"]}));
    assert_eq!((status, answer["object"].as_str(), answer["data"][1]["index"].as_u64()), (200, Some("list"), Some(1)));
    assert_eq!(answer["usage"]["prompt_tokens"], 3);
    let first = numbers(&answer["data"][0]["embedding"]);
    let length = first.iter().map(|cell| cell * cell).sum::<f32>();
    assert!(first.len() == synthetic::HIDDEN && (length - 1.0).abs() < 1e-5, "{length}");

    let name = answer["model"].as_str().unwrap().to_owned();
    assert!(name.contains('@') && name.ends_with("/f32"), "{name}");
    let (_, answer) = ask(&server, &json!({"input": "w1 w2", "model": name, "encoding_format": "base64"}));
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(answer["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let decoded: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert!(decoded.iter().zip(&first).all(|(a, b)| (a - b).abs() < 1e-6));

    for (body, status, word) in [
        (json!({"input": [[1, 2, 3]]}), 400, "token numbers"),
        (json!({"input": "w1", "dimensions": 8}), 400, "numbers, not 8"),
        (json!({"input": "w1", "model": "text-embedding-3-large"}), 404, "does not embed by"),
        (json!({"input": "w1", "encoding_format": "int8"}), 400, "float and base64"),
        (json!({}), 400, "missing field"),
    ] {
        let (found, answer) = ask(&server, &body);
        assert!(
            found == status && answer["error"].as_str().unwrap_or_default().contains(word),
            "{body}: {found} {answer}"
        );
    }
    let unknown = [("authorization", "Bearer swk_nobody")];
    let refused = server.connect().send("POST", "/v1/embeddings", &unknown, r#"{"input": "w1"}"#).unwrap();
    assert_eq!(refused.status, 401);
}

#[test]
fn a_server_without_a_model_says_so() {
    let ground = Ground::new();
    let server = Server::start(&ground, &["--embedder", "none"]);
    let (status, answer) = ask(&server, &json!({"input": "w1"}));
    assert!(status == 404 && answer["error"].as_str().unwrap().contains("stellwerk model pull"), "{status} {answer}");
    assert!(server.log().contains("no model embeds: full text only"), "{}", server.log());
    drop(server);
    for (wish, word) in [("no-such-model", "was not pulled"), ("./no/folder", "no config.json")] {
        let why = Server::try_start(&ground, &["--embedder", wish]).err().unwrap();
        assert!(why.contains(word), "{why}");
    }
}

#[test]
fn models_from_the_command_line() {
    let (cache, model) = (tempfile::tempdir().unwrap(), Synthetic::new(22));
    let run = |args: &[&str]| {
        let output = command(args).env("STELLWERK_CACHE", cache.path()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let folder = model.folder().to_str().unwrap();
    let name = model.folder().file_name().unwrap().to_str().unwrap();
    let (code, out, err) = run(&["model", "pull", folder]);
    assert!(code == Some(0) && out.contains("pulled"), "{out} {err}");
    assert!(run(&["model", "pull", folder]).1.contains("is there already"));
    let (_, out, _) = run(&["model", "list", "--json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    let of = |wanted: &str| listed.as_array().unwrap().iter().find(|m| m["name"] == wanted).cloned().unwrap();
    assert_eq!(
        (of(name)["pulled"].clone(), of("multilingual-e5-small")["pulled"].clone()),
        (json!(true), json!(false))
    );
    let (code, out, _) = run(&["model", "check", "--json"]);
    let checked: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, checked["models"][0]["width"].as_u64()), (Some(0), Some(synthetic::HIDDEN as u64)));

    let weights = cache.path().join("models").join(name).join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let (code, out, _) = run(&["model", "check", name]);
    assert!(code == Some(1) && out.contains("is not the file that was pulled"), "{code:?} {out}");
    let (code, _, err) = run(&["model", "pull", "no-such-model"]);
    assert!(code == Some(2) && err.contains("no model that is known by name"), "{err}");
    assert_eq!(run(&["model", "check", "all-MiniLM-L6-v2"]).0, Some(2));
}
