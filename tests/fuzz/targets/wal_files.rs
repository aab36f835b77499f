//! The log as a folder: segments and key files, whole or damaged. It always opens, gives back what was left whole, says
//! what it dropped, never believes a damaged key, and takes the next frame.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use engine::wal::frame::{Header, Key, Part, encode};
use engine::wal::local::LocalLog;

use super::draw::Draw;
use super::scratch;
use super::wal::{damage, forge, frames};

const SEGMENTS_MAX: usize = 3;
/// `_seq` from which one segment begins, times its number.
const SEGMENT_ROWS: u64 = 1_000;

/// One folder.
pub fn folder(data: &[u8]) {
    let dir = scratch::folder();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut draw = Draw::of(data);
        let keys = keep_keys(dir.path(), &mut draw).await;
        let whole = write_segments(dir.path(), &mut draw);
        if draw.byte() % 4 == 1 {
            let forged = forge(draw.bytes(usize::from(u16::MAX)));
            fs::write(dir.path().join(format!("{:020}.wal", 9 * SEGMENT_ROWS)), forged).expect("a segment is written");
        }
        let (mut log, recovered, kept) = LocalLog::open(dir.path().to_owned()).expect("a log always opens");
        for (seq, body) in &whole {
            let back = recovered.frames.iter().any(|(header, found)| header.seq == *seq && found == body);
            assert!(back, "the whole frame at {seq} comes back: {:?}", recovered.dropped);
        }
        for key in &kept {
            let made = keys.iter().any(|known| known == key);
            assert!(made, "a key that nobody made is believed: {key:?}");
        }
        let next = 10 * SEGMENT_ROWS;
        let parts = vec![Part { table: "otel_log".into(), rows: 1, bytes: 3 }];
        let header = Header { seq: next, at_us: 9, source: "fuzz".into(), key: None, parts };
        let frame = encode(&header, b"new", crc32fast::hash(b"new"));
        log.write(next, next + 1, vec![frame], vec![]).await.expect("the next frame is taken");
        let again = LocalLog::open(dir.path().to_owned()).expect("a log always opens").1;
        let seqs = |frames: &[(Header, Bytes)]| frames.iter().map(|(header, _)| header.seq).collect::<Vec<_>>();
        let (before, after) = (seqs(&recovered.frames), seqs(&again.frames));
        assert_eq!(after.len(), before.len() + 1, "what came back stays, and the new frame stands beside it");
        assert!(after.contains(&next), "the new frame comes back");
    });
}

/// Lets the log itself write a key file, and damages that. Returns the keys that were acknowledged.
async fn keep_keys(dir: &Path, draw: &mut Draw<'_>) -> Vec<Key> {
    let count = draw.below(4) as u64;
    let mut keys = Vec::new();
    if count > 0 {
        let (mut log, ..) = LocalLog::open(dir.to_owned()).expect("an empty log opens");
        for seq in 1..=count {
            let at_us = i64::from(draw.byte());
            let key = Key { key: format!("kept-{seq}"), hash: "ab".into(), seq, rows: 1, at_us };
            let parts = vec![Part { table: "otel_log".into(), rows: 1, bytes: 3 }];
            let header = Header { seq, at_us, source: "fuzz".into(), key: Some(key.clone()), parts };
            let frame = encode(&header, b"old", crc32fast::hash(b"old"));
            log.write(seq, seq + 1, vec![frame], vec![key.clone()]).await.expect("a frame is taken");
            keys.push(key);
        }
        log.truncate(count + 1).await.expect("the log is shortened");
        for path in files(dir, "keys") {
            let mut bytes = fs::read(&path).expect("a key file is there");
            for _ in 0..draw.below(3) {
                damage(&mut bytes, draw);
            }
            fs::write(&path, bytes).expect("a key file is written");
        }
    }
    keys
}

/// Writes segments, some damaged. Returns the frames of those that were left alone.
fn write_segments(dir: &Path, draw: &mut Draw<'_>) -> BTreeMap<u64, Vec<u8>> {
    let mut whole = BTreeMap::new();
    for number in 1..=draw.below(SEGMENTS_MAX + 1) as u64 {
        let first = number * SEGMENT_ROWS;
        let frames = frames(draw, first);
        let bytes = frames.iter().map(|(header, body)| encode(header, body, crc32fast::hash(body)));
        let mut bytes = bytes.collect::<Vec<Bytes>>().concat();
        match draw.byte() % 3 {
            0 => whole.extend(frames.into_iter().map(|(header, body)| (header.seq, body))),
            _ => (0..=draw.below(3)).for_each(|_| damage(&mut bytes, draw)),
        }
        fs::write(dir.join(format!("{first:020}.wal")), bytes).expect("a segment is written");
    }
    whole
}

fn files(dir: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).expect("the folder is there").flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
}
