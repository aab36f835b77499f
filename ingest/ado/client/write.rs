//! Writes that may be repeated: refs move by compare-and-swap, what has a name is looked up before it is made, and what is
//! ours bears a mark.

use serde_json::{Value, json};

use super::super::cells::{path, text};
use super::{Ask, Client, Host, Refused, segment};

/// The object that a ref which is not there stands at.
pub const NOWHERE: &str = "0000000000000000000000000000000000000000";

/// One ref that is to move.
#[derive(Debug, Clone)]
pub struct Move {
    pub name: String,
    /// Where it must stand; [`NOWHERE`] for a new one.
    pub from: String,
    /// Where it is to stand; [`NOWHERE`] to delete it.
    pub to: String,
}

/// What became of one ref. The answer's status is 200 in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// It stands there now, or stood there before.
    Done,
    /// Somebody else moved it first: read it, and decide anew.
    Stale,
    /// Refused, with the source's own word (`rejectedByPolicy`, `locked`, `createBranchPermissionRequired` …).
    Refused(String),
}

/// Moves refs. A repetition after a lost answer is no failure: a ref that stands where it should is done.
pub async fn move_refs(client: &Client, repository: &str, moves: &[Move]) -> Result<Vec<Moved>, Refused> {
    let at = format!("_apis/git/repositories/{}/refs", segment(repository));
    let wanted = |m: &Move| json!({"name": m.name, "oldObjectId": m.from, "newObjectId": m.to});
    let ask = Ask::post(Host::Core, at, Value::Array(moves.iter().map(wanted).collect()));
    let answer = client.ask(&ask).await?;
    let mut done = Vec::with_capacity(moves.len());
    for wanted in moves {
        let found = answer
            .items("value")
            .iter()
            .find(|r| path(r, &["name"]).and_then(text).as_deref() == Some(wanted.name.as_str()));
        done.push(outcome(client, repository, wanted, found).await?);
    }
    Ok(done)
}

async fn outcome(client: &Client, repository: &str, wanted: &Move, told: Option<&Value>) -> Result<Moved, Refused> {
    let status = told.and_then(|told| path(told, &["updateStatus"]).and_then(text)).unwrap_or_default();
    match status.as_str() {
        "succeeded" | "succeededNonExistentRef" | "succeededCorruptRef" => Ok(Moved::Done),
        "staleOldObjectId" => {
            let stands = where_stands(client, repository, &wanted.name).await?;
            Ok(if stands.as_deref().unwrap_or(NOWHERE) == wanted.to { Moved::Done } else { Moved::Stale })
        }
        "" => Ok(Moved::Refused("the answer does not name it".to_owned())),
        other => Ok(Moved::Refused(other.to_owned())),
    }
}

/// Where a ref stands; `None` if it is not there.
pub async fn where_stands(client: &Client, repository: &str, name: &str) -> Result<Option<String>, Refused> {
    let short = name.strip_prefix("refs/").unwrap_or(name);
    let ask =
        Ask::get(Host::Core, format!("_apis/git/repositories/{}/refs", segment(repository))).with("filter", short);
    let answer = client.ask(&ask).await?;
    let found = answer.items("value").iter().find(|r| path(r, &["name"]).and_then(text).as_deref() == Some(name));
    Ok(found.and_then(|found| path(found, &["objectId"]).and_then(text)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::{Hosts, WallTime};
    use super::*;

    /// Answers each request with the next body, and tells the requests' bodies.
    async fn scripted(answers: Vec<Value>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/acme", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (mut bytes, mut chunk) = (Vec::new(), [0_u8; 4096]);
                let body = loop {
                    let count = stream.read(&mut chunk).await.unwrap();
                    assert!(count > 0, "the request is cut off");
                    bytes.extend_from_slice(&chunk[..count]);
                    let text = String::from_utf8(bytes.clone()).unwrap();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let head = head.to_lowercase();
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                        break body.to_owned();
                    }
                };
                asked.push(body);
                let answer = answer.to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
                stream.write_all((head + &answer).as_bytes()).await.unwrap();
            }
            asked
        });
        (address, serving)
    }

    async fn moved(answers: Vec<Value>, to: &str) -> (Moved, Vec<String>) {
        let (address, serving) = scripted(answers).await;
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "token").unwrap();
        let credential = format!("pat:file:{}", token.path().display()).parse().unwrap();
        let client = Client::new(Hosts::of(&address).unwrap(), credential, Arc::new(WallTime)).unwrap();
        let wanted = Move { name: "refs/heads/topic".to_owned(), from: NOWHERE.to_owned(), to: to.to_owned() };
        let done = move_refs(&client, "shop", &[wanted]).await.unwrap().remove(0);
        (done, serving.await.unwrap())
    }

    fn told(status: &str) -> Value {
        json!({"value": [{"name": "refs/heads/topic", "updateStatus": status}]})
    }

    fn stands(at: &str) -> Value {
        json!({"value": [{"name": "refs/heads/topic2", "objectId": "9"}, {"name": "refs/heads/topic", "objectId": at}]})
    }

    #[tokio::test]
    async fn a_ref_moves_from_where_it_must_stand() {
        let (done, asked) = moved(vec![told("succeeded")], "1").await;
        assert_eq!(done, Moved::Done);
        let sent: Value = serde_json::from_str(&asked[0]).unwrap();
        assert_eq!(sent, json!([{"name": "refs/heads/topic", "oldObjectId": NOWHERE, "newObjectId": "1"}]));
    }

    #[tokio::test]
    async fn a_repetition_after_a_lost_answer_is_done_and_anothers_move_is_stale() {
        assert_eq!(moved(vec![told("staleOldObjectId"), stands("1")], "1").await.0, Moved::Done);
        assert_eq!(moved(vec![told("staleOldObjectId"), stands("2")], "1").await.0, Moved::Stale);
        let gone = json!({"value": []});
        assert_eq!(moved(vec![told("staleOldObjectId"), gone], NOWHERE).await.0, Moved::Done, "deleted already");
    }

    #[tokio::test]
    async fn an_answer_of_200_may_refuse() {
        let refused = |word: &str| Moved::Refused(word.to_owned());
        assert_eq!(moved(vec![told("rejectedByPolicy")], "1").await.0, refused("rejectedByPolicy"));
        assert_eq!(moved(vec![json!({"value": []})], "1").await.0, refused("the answer does not name it"));
    }
}
