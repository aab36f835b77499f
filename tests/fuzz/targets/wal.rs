//! The bytes of a log segment. Any bytes are read to their end; of a segment that was whole and is damaged, every frame
//! that was left whole comes back, in order, and every other byte is told of.

use bytes::Bytes;
use engine::wal::frame::{Header, Key, MAGIC, Part, decode, encode};

use super::draw::Draw;

const FRAMES_MAX: usize = 6;
const BODY_BYTES_MAX: usize = 300;
const DAMAGES_MAX: usize = 4;
/// Bytes of a frame before its header: mark, two lengths, two checksums.
const PREFIX_BYTES: usize = 24;

/// One segment: as it is, then as a recipe for a segment and its damage, then as headers with checksums that are right.
pub fn segment(data: &[u8]) {
    read_to_the_end(&Bytes::copy_from_slice(data));
    let mut draw = Draw::of(data);
    let frames = frames(&mut draw, 1);
    let whole: Vec<Bytes> = frames.iter().map(|(header, body)| encode(header, body, crc32fast::hash(body))).collect();
    let mut bytes = whole.concat();
    for _ in 0..draw.below(DAMAGES_MAX + 1) {
        damage(&mut bytes, &mut draw);
    }
    check(&Bytes::from(bytes), &whole, &frames);
    let forged = forge(data);
    read_to_the_end(&Bytes::from(forged));
}

/// Frames of one log, one behind the other from `seq` on.
pub fn frames(draw: &mut Draw<'_>, mut seq: u64) -> Vec<(Header, Vec<u8>)> {
    let mut frames = Vec::new();
    for _ in 0..=draw.below(FRAMES_MAX) {
        let rows = 1 + u64::from(draw.byte() % 9);
        let body = draw.bytes(BODY_BYTES_MAX).to_vec();
        let parts = vec![Part { table: "otel_log".into(), rows, bytes: body.len() as u64 }];
        let key =
            (draw.byte() % 2 == 1).then(|| Key { key: format!("key-{seq}"), hash: "00".into(), seq, rows, at_us: 9 });
        frames.push((Header { seq, at_us: 7, source: "fuzz".into(), key, parts }, body));
        seq += rows;
    }
    frames
}

/// Changes a few bytes: one, a stretch, or the length.
pub fn damage(bytes: &mut Vec<u8>, draw: &mut Draw<'_>) {
    let kind = draw.byte() % 5;
    let at = draw.below(bytes.len());
    let end = (at + 1 + draw.below(64)).min(bytes.len());
    match kind {
        0 if at < bytes.len() => bytes[at] ^= draw.byte() | 1,
        1 => bytes.truncate(at),
        2 => drop(bytes.splice(at..at, draw.bytes(64).iter().copied())),
        3 => drop(bytes.drain(at..end)),
        _ => bytes[at..end].fill(draw.byte()),
    }
}

/// Whatever the bytes are, they are read to their end, and each stretch that is no frame is told of once.
fn read_to_the_end(bytes: &Bytes) {
    let recovered = decode(bytes, "segment");
    assert!(recovered.dropped.len() <= recovered.frames.len() + 1, "between two frames lies at most one stretch");
    // What a log does with a header first.
    assert!(recovered.frames.iter().all(|(header, _)| header.next() >= header.seq), "rows only count on");
    assert!(bytes.is_empty() || !(recovered.frames.is_empty() && recovered.dropped.is_empty()), "something is told");
}

/// A reader that knows what was written finds a frame wherever its bytes stand untouched.
fn check(segment: &Bytes, whole: &[Bytes], frames: &[(Header, Vec<u8>)]) {
    let mut expected = Vec::new();
    let (mut at, mut told) = (0, 0);
    while at < segment.len() {
        match whole.iter().position(|frame| segment[at..].starts_with(frame)) {
            Some(index) => {
                expected.push(index);
                at += whole[index].len();
                told += whole[index].len();
            }
            None => at += 1,
        }
    }
    let recovered = decode(segment, "segment");
    let found: Vec<(&Header, &[u8])> = recovered.frames.iter().map(|(header, body)| (header, &body[..])).collect();
    let expected: Vec<(&Header, &[u8])> = expected.iter().map(|i| (&frames[*i].0, &frames[*i].1[..])).collect();
    let magic = MAGIC.to_le_bytes();
    if frames.iter().any(|(_, body)| body.windows(magic.len()).any(|w| w == magic)) {
        // A body may hold a frame of its own, which comes to light when the frame around it is damaged.
        let mut rest = found.iter();
        assert!(
            expected.iter().all(|frame| rest.any(|found| found == frame)),
            "every whole frame comes back, in order"
        );
        return;
    }
    assert_eq!(found, expected, "every whole frame comes back, in order, and no other");
    let dropped: usize = recovered.dropped.iter().map(|line| stretch(line)).sum();
    assert_eq!(told + dropped, segment.len(), "every other byte is told of: {:?}", recovered.dropped);
}

/// How many bytes a line says were dropped.
fn stretch(line: &str) -> usize {
    let numbers = line.strip_prefix("segment: bytes ").and_then(|rest| rest.split_once(" are no whole frame"));
    let (from, to) = numbers.and_then(|(numbers, _)| numbers.split_once(" to ")).expect("the line names a stretch");
    let number = |text: &str| text.parse::<usize>().expect("a stretch has two ends");
    number(to) - number(from)
}

/// Frames whose checksums are right and whose headers are whatever the input says.
pub fn forge(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = data;
    for _ in 0..FRAMES_MAX {
        let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let (head, behind) = rest.split_at(end);
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&0_u64.to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(head).to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(b"").to_le_bytes());
        out.extend_from_slice(head);
        rest = behind.get(1..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
    }
    debug_assert!(out.len() >= PREFIX_BYTES, "one frame at least");
    out
}
