use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::Message;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What the server writes for each request in turn, cut into parts with a pause between them; the last one repeats.
type Script = Vec<Vec<String>>;

/// A server that follows a script; its address, and what it was asked.
async fn server(script: Script) -> (String, Arc<Mutex<Vec<String>>>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let (asked, gone) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let (heard, left) = (Arc::clone(&asked), Arc::clone(&gone));
    tokio::spawn(async move {
        for turn in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4_096];
            while !whole(&request) {
                let read = stream.read(&mut buffer).await.unwrap();
                if read == 0 {
                    break;
                }
                request.extend_from_slice(&buffer[..read]);
            }
            heard.lock().push(String::from_utf8_lossy(&request).into_owned());
            for part in &script[turn.min(script.len() - 1)] {
                tokio::time::sleep(Duration::from_millis(10)).await;
                if stream.write_all(part.as_bytes()).await.is_err() {
                    left.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    });
    (base, asked, gone)
}

fn whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn head(status: &str, kind: &str, more: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n{more}\r\n")
}

fn events(parts: &[&str]) -> Vec<String> {
    let mut all = vec![head("200 OK", "text/event-stream", "")];
    all.extend(parts.iter().map(|part| (*part).to_owned()));
    all
}

fn refusal(status: &str, body: &str, more: &str) -> Vec<String> {
    vec![head(status, "application/json", more), body.to_owned()]
}

async fn ask(base: &str, change: impl FnOnce(&mut UpstreamSettings)) -> Result<Vec<Result<String>>> {
    let mut settings = UpstreamSettings::new(base, "big");
    settings.silence_max = Duration::from_millis(400);
    change(&mut settings);
    let request = ChatRequest {
        messages: vec![Message { speaker: Speaker::System, text: "rules".to_owned() }],
        tokens_max: 7,
        temperature: 0.0,
    };
    Ok(Upstream::new(settings)?.chat(request).await?.collect().await)
}

fn text(pieces: Vec<Result<String>>) -> String {
    pieces.into_iter().map(|piece| piece.unwrap_or_else(|e| format!("!{e}"))).collect()
}

#[tokio::test]
async fn words_come_as_they_are_said() {
    let script = vec![events(&[
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"Grü\"",
        "}}]}\n\n: ping\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"ße\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    ])];
    let (base, asked, _) = server(script).await;
    let pieces = ask(&base, |settings| settings.key = Some(Arc::new(|| Ok("sk-7".to_owned())))).await.unwrap();
    assert_eq!((pieces.len(), text(pieces).as_str()), (2, "Grüße"));
    let asked = asked.lock().remove(0);
    assert!(asked.starts_with("POST /v1/chat/completions "), "{asked}");
    assert!(asked.contains("authorization: Bearer sk-7") && asked.contains(r#""stream":true"#), "{asked}");
}

#[tokio::test]
async fn a_busy_server_is_asked_again_after_the_time_it_names() {
    let script = vec![
        refusal("429 Too Many Requests", "{}", "retry-after: 0.2\r\n"),
        refusal("503 Service Unavailable", "", "retry-after: 0\r\n"),
        events(&["data: {\"choices\":[{\"delta\":{\"content\":\"yes\"},\"finish_reason\":\"stop\"}]}\n\n"]),
    ];
    let (base, asked, _) = server(script).await;
    let begun = std::time::Instant::now();
    assert_eq!(text(ask(&base, |_| ()).await.unwrap()), "yes");
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(asked.lock().len(), 3);
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    for (answer, kind, words, attempts) in [
        (refusal("401 Unauthorized", r#"{"error":{"message":"bad key"}}"#, ""), Kind::Denied, "bad key", 1),
        (refusal("404 Not Found", r#"{"error":"no such model"}"#, ""), Kind::NotFound, "no such model", 1),
        (refusal("400 Bad Request", "too long", ""), Kind::Invalid, "too long", 1),
        (refusal("503 Busy", "", "retry-after: 3600\r\n"), Kind::Unavailable, "no reason given", 1),
        (refusal("500 Oops", "", "retry-after: 0\r\n"), Kind::Unavailable, "500", 4),
    ] {
        let (base, asked, _) = server(vec![answer]).await;
        let refused = ask(&base, |_| ()).await.unwrap_err();
        assert_eq!((refused.kind(), asked.lock().len()), (kind, attempts), "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
    }
    assert_eq!(ask("ftp://x", |_| ()).await.unwrap_err().kind(), Kind::Invalid);
}

#[tokio::test]
async fn what_breaks_off_is_an_error_and_not_an_end() {
    let word = "data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\n";
    for (parts, words) in [
        (vec![word], "broke off"),
        (vec![word, "data: {\"error\":{\"message\":\"out of memory\"}}\n\n"], "out of memory"),
        (vec![word, "data: no json\n\n"], "no JSON"),
    ] {
        let (base, asked, _) = server(vec![events(&parts)]).await;
        let said = text(ask(&base, |_| ()).await.unwrap());
        assert!(said.starts_with("half!") && said.contains(words), "{said}");
        assert_eq!(asked.lock().len(), 1, "nothing is repeated behind the first word");
    }
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_read_whole() {
    let whole = r#"{"choices":[{"message":{"content":"all of it"},"finish_reason":"stop"}]}"#;
    let (base, _, _) = server(vec![refusal("200 OK", whole, "")]).await;
    assert_eq!(text(ask(&base, |_| ()).await.unwrap()), "all of it");
}

#[tokio::test]
async fn silence_ends_the_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let quick = |settings: &mut UpstreamSettings| settings.silence_max = Duration::from_millis(30);
    let refused = ask(&base, quick).await.unwrap_err();
    assert!(refused.to_string().contains("said nothing"), "{refused}");
    drop(listener);
    let refused = ask(&base, quick).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable, "{refused}");
}

#[test]
fn pauses_are_seconds_or_instants() {
    assert_eq!(pause("7"), Some(Duration::from_secs(7)));
    assert_eq!(pause("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
    assert_eq!(pause("soon"), None);
}
