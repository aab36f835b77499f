//! How a server ends, and who owns a data directory.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Ground, Server};
use crate::records::logs;

const PROTOBUF: &str = "application/x-protobuf";
/// So late that only a stop flushes.
const LAZY: &[&str] = &["--flush-after", "1h"];

fn write(server: &Server, count: usize) {
    let ids: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    assert_eq!(server.connect().post("/v1/logs", PROTOBUF, logs("stop", &ids)).status, 200);
}

/// Bytes of the write-ahead log.
fn log_bytes(ground: &Ground) -> u64 {
    let files = std::fs::read_dir(ground.data().join("wal")).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum()
}

#[test]
fn a_graceful_stop_flushes_and_keeps_every_row() {
    let ground = Ground::new();
    let server = Server::start(&ground, LAZY);
    write(&server, 1_000);
    let before = log_bytes(&ground);
    let (code, _) = server.stop();
    assert_eq!(code, Some(0));
    assert!(
        log_bytes(&ground) < before,
        "the log was not emptied: {before} bytes before, {} after",
        log_bytes(&ground)
    );
    assert_eq!(ground.ask("SELECT count(*) FROM otel_log"), [["1000"]]);
}

#[test]
fn a_second_signal_stops_at_once_and_loses_nothing() {
    let ground = Ground::new();
    let mut server = Server::start(&ground, LAZY);
    write(&server, 1_000);
    server.signal(Signal::TERM);
    server.signal(Signal::INT);
    let (_, took) = server.wait();
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    let server = Server::start(&ground, LAZY);
    assert_eq!(server.cell("SELECT count(*) FROM otel_log"), "1000");
}

#[test]
fn one_process_owns_a_data_directory_and_the_others_reach_it() {
    let ground = Ground::new();
    let mut server = Server::start(&ground, LAZY);
    write(&server, 10);
    let second = Server::try_start(&ground, &[]).err().expect("a second server on the same folder is refused");
    assert!(second.to_lowercase().contains("own") || second.contains("pid") || second.contains("process"), "{second}");
    assert_eq!(ground.ask("SELECT count(*) FROM otel_log"), [["10"]], "commands go through the control socket");
    server.kill9();
    assert_eq!(ground.ask("SELECT count(*) FROM otel_log"), [["10"]], "the lock of a dead owner is free");
}
