//! What reaches a store with locks: the lock with roots and rows, signed with the request, and none with names of people.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use engine::place::lock::{Lock, LockMode};

use super::*;

/// Takes requests as a store would, says yes, and hands their heads over.
fn store() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, heads) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
            let head = loop {
                let read = stream.read(&mut piece).unwrap_or(0);
                bytes.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    if read == 0 {
                        break text;
                    }
                    continue;
                };
                let length = head
                    .lines()
                    .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    break head.to_ascii_lowercase();
                }
            };
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            if sender.send(head).is_err() {
                return;
            }
        }
    });
    (endpoint, heads)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_goes_with_what_may_be_kept_and_is_signed() {
    let (endpoint, heads) = store();
    let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let options = [
        option("aws_endpoint", &endpoint),
        option("aws_access_key_id", "somebody"),
        option("aws_secret_access_key", "something"),
        option("aws_region", "eu-central-1"),
        option("allow_http", "true"),
    ];
    let lock = Lock { mode: LockMode::Compliance, until_us: 1_793_620_800_000_000 };
    let to = Destination::open_with("s3://bucket/audit", &options, Some(lock)).unwrap();
    to.put_new("roots/l/1.json", "{}".to_owned()).await.unwrap();
    let locked = heads.recv().unwrap();
    assert!(locked.starts_with("put /bucket/audit/roots/l/1.json "), "{locked}");
    for header in [
        "x-amz-object-lock-mode: compliance",
        "x-amz-object-lock-retain-until-date: 2026-11-02t12:00:00z",
        "if-none-match: *",
    ] {
        assert!(locked.contains(header), "{header} in {locked}");
    }
    let signed = locked.lines().find(|line| line.starts_with("authorization:")).unwrap();
    for name in ["x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "x-amz-checksum-sha256"] {
        assert!(signed.contains(name), "{name} in {signed}");
    }
    to.put_new_free("segments/l/0.names.jsonl", "ana".to_owned()).await.unwrap();
    let free = heads.recv().unwrap();
    assert!(free.starts_with("put /bucket/audit/segments/l/0.names.jsonl ") && !free.contains("object-lock"), "{free}");
    let plain = Destination::open_with("s3://bucket/audit", &options, None).unwrap();
    plain.put_new("roots/l/2.json", "{}".to_owned()).await.unwrap();
    assert!(!heads.recv().unwrap().contains("object-lock"));
    let folder = tempfile::tempdir().unwrap();
    assert!(Destination::open_with(folder.path().to_str().unwrap(), &[], Some(lock)).is_err());
}
