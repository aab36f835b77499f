//! The bytes of a frame, and how frames are found again in a damaged segment.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Marks the start of a frame, and lets recovery find the next whole one behind damage.
pub const MAGIC: u32 = 0x4C4B_5753;
const PREFIX_BYTES: usize = 24;
/// Larger is no frame of ours.
const HEADER_BYTES_MAX: usize = 1 << 20;
/// Larger is no frame of ours; `append` refuses more.
pub const BODY_BYTES_MAX: usize = 1 << 30;

/// One table's share of a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Table name.
    pub table: String,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of its Arrow IPC stream.
    pub bytes: u64,
}

/// An idempotency key as the log remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The key, unique over sources and tenants.
    pub key: String,
    /// SHA-256 of the body, hex.
    pub hash: String,
    /// `_seq` of the frame's first row.
    pub seq: u64,
    /// Rows acknowledged.
    pub rows: u64,
    /// When, in microseconds since 1970.
    pub at_us: i64,
}

/// What stands before a frame's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// `_seq` of the first row; the parts' rows follow in order.
    pub seq: u64,
    /// Ingest time of every row.
    pub at_us: i64,
    /// The door or file.
    pub source: String,
    /// The sender's key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<Key>,
    /// What the body holds.
    pub parts: Vec<Part>,
}

impl Header {
    /// `_seq` after the frame's last row.
    pub fn next(&self) -> u64 {
        // A header whose checksum is right may still say anything; a log must open whatever it says.
        self.parts.iter().fold(self.seq, |next, part| next.saturating_add(part.rows))
    }
}

/// A frame's bytes. `body_crc` is the CRC-32 of the body, computed where the body was made.
pub fn encode(header: &Header, body: &[u8], body_crc: u32) -> Bytes {
    let head = serde_json::to_vec(header).expect("a header is plain data");
    let mut out = BytesMut::with_capacity(PREFIX_BYTES + head.len() + body.len());
    out.put_u32_le(MAGIC);
    out.put_u32_le(u32::try_from(head.len()).expect("a header is small"));
    out.put_u64_le(body.len() as u64);
    out.put_u32_le(crc32fast::hash(&head));
    out.put_u32_le(body_crc);
    out.extend_from_slice(&head);
    out.extend_from_slice(body);
    out.freeze()
}

/// Reads every whole frame of a segment. Damage is skipped to the next whole frame and described in `dropped`.
pub fn decode(segment: &Bytes, name: &str) -> super::Recovered {
    let (mut frames, mut dropped, mut at) = (Vec::new(), Vec::new(), 0);
    // A segment that is whole needs none.
    let mut sums: Option<Sums<'_>> = None;
    while at < segment.len() {
        let hashed = |from: usize, to: usize| crc32fast::hash(&segment[from..to]);
        let crc = |from, to| sums.as_ref().map_or_else(|| hashed(from, to), |sums| sums.stretch(from, to));
        match decode_one(segment, at, crc) {
            Ok((header, body, next)) => {
                frames.push((header, body));
                at = next;
            }
            Err(why) => {
                let sums = sums.get_or_insert_with(|| Sums::of(segment));
                let next = find_frame(segment, at + 1, sums).unwrap_or(segment.len());
                dropped.push(format!("{name}: bytes {at} to {next} are no whole frame ({why})"));
                at = next;
            }
        }
    }
    super::Recovered { frames, dropped }
}

fn find_frame(segment: &Bytes, from: usize, sums: &Sums<'_>) -> Option<usize> {
    let magic = MAGIC.to_le_bytes();
    let mut at = from;
    while at + PREFIX_BYTES <= segment.len() {
        let hit = segment[at..].windows(4).position(|w| w == magic)? + at;
        if decode_one(segment, hit, |from, to| sums.stretch(from, to)).is_ok() {
            return Some(hit);
        }
        at = hit + 1;
    }
    None
}

/// `crc` gives the checksum of a stretch of the segment.
fn decode_one(
    segment: &Bytes,
    at: usize,
    crc: impl Fn(usize, usize) -> u32,
) -> Result<(Header, Bytes, usize), &'static str> {
    let prefix = segment.get(at..at + PREFIX_BYTES).ok_or("cut off in its prefix")?;
    let u32_at = |i: usize| u32::from_le_bytes([prefix[i], prefix[i + 1], prefix[i + 2], prefix[i + 3]]);
    if u32_at(0) != MAGIC {
        return Err("no frame starts here");
    }
    let head_len = u32_at(4) as usize;
    let body_len = (u64::from(u32_at(8)) | u64::from(u32_at(12)) << 32) as usize;
    if head_len > HEADER_BYTES_MAX || body_len > BODY_BYTES_MAX {
        return Err("impossible length");
    }
    let head_at = at + PREFIX_BYTES;
    let body_at = head_at + head_len;
    let head = segment.get(head_at..body_at).ok_or("cut off in its header")?;
    if crc(head_at, body_at) != u32_at(16) {
        return Err("header checksum differs");
    }
    let header: Header = serde_json::from_slice(head).map_err(|_| "header does not parse")?;
    if body_at + body_len > segment.len() {
        return Err("cut off in its body");
    }
    let body = segment.slice(body_at..body_at + body_len);
    if crc(body_at, body_at + body_len) != u32_at(20) {
        return Err("body checksum differs");
    }
    Ok((header, body, body_at + body_len))
}

/// Checksums of any stretch of a segment, made of those of its beginnings. Whoever looks for a frame behind damage may meet
/// a mark every few bytes, each with a length of its own; hashing what every one of them claims would take hours.
struct Sums<'a> {
    segment: &'a [u8],
    /// Of the segment's first 0, 1, 2 … steps.
    beginnings: Vec<u32>,
}

/// Bytes between two beginnings. A stretch that is shorter is hashed as it stands.
const STEP_BYTES: usize = 16 << 10;

impl<'a> Sums<'a> {
    fn of(segment: &'a [u8]) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        let mut beginnings = vec![0];
        for step in segment.chunks_exact(STEP_BYTES) {
            hasher.update(step);
            beginnings.push(hasher.clone().finalize());
        }
        Sums { segment, beginnings }
    }

    fn stretch(&self, from: usize, to: usize) -> u32 {
        if to - from < STEP_BYTES {
            return crc32fast::hash(&self.segment[from..to]);
        }
        // The checksum of two parts is that of the first, moved on by the second's length, and that of the second.
        let mut moved = crc32fast::Hasher::new_with_initial_len(self.beginning(from), from as u64);
        moved.combine(&crc32fast::Hasher::new_with_initial_len(0, (to - from) as u64));
        self.beginning(to) ^ moved.finalize()
    }

    fn beginning(&self, to: usize) -> u32 {
        let steps = to / STEP_BYTES;
        let mut hasher = crc32fast::Hasher::new_with_initial(self.beginnings[steps]);
        hasher.update(&self.segment[steps * STEP_BYTES..to]);
        hasher.finalize()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_stretchs_checksum_is_that_of_its_bytes() {
        let bytes: Vec<u8> = (0..5 * STEP_BYTES + 7).map(|n| (n * n % 251) as u8).collect();
        let sums = Sums::of(&bytes);
        let ends = [0, 1, 24, STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 3 * STEP_BYTES, bytes.len() - 1, bytes.len()];
        for (from, to) in ends.iter().flat_map(|a| ends.iter().map(move |b| (*a, *b))).filter(|(a, b)| a <= b) {
            assert_eq!(sums.stretch(from, to), crc32fast::hash(&bytes[from..to]), "{from} to {to}");
        }
    }

    /// With every claim hashed this takes minutes.
    #[test]
    fn marks_without_end_are_read_to_the_end() {
        let header = Header { seq: 1, at_us: 7, source: "test".into(), key: None, parts: vec![] };
        let head = serde_json::to_vec(&header).unwrap();
        let mut liars = Vec::new();
        while liars.len() < 8 << 20 {
            // One that claims a long header, and one whose header is right and that claims a long body.
            for (head, head_bytes) in [(&b""[..], HEADER_BYTES_MAX), (&head[..], head.len())] {
                liars.extend_from_slice(&MAGIC.to_le_bytes());
                liars.extend_from_slice(&u32::try_from(head_bytes).unwrap().to_le_bytes());
                liars.extend_from_slice(&(6_u64 << 20).to_le_bytes());
                liars.extend_from_slice(&crc32fast::hash(head).to_le_bytes());
                liars.extend_from_slice(&[0; 4]);
                liars.extend_from_slice(head);
            }
        }
        liars.extend_from_slice(&frame(1, b"one"));
        let recovered = decode(&Bytes::from(liars), "s");
        assert_eq!((recovered.frames.len(), recovered.dropped.len()), (1, 1));
    }

    #[test]
    fn a_header_that_counts_past_every_number_is_read() {
        let parts = vec![Part { table: "t".into(), rows: u64::MAX, bytes: 0 }];
        let header = Header { seq: u64::MAX - 1, at_us: 7, source: "test".into(), key: None, parts };
        assert_eq!(header.next(), u64::MAX);
    }

    fn frame(seq: u64, body: &[u8]) -> Bytes {
        let parts = vec![Part { table: "t".into(), rows: 2, bytes: body.len() as u64 }];
        let header = Header { seq, at_us: 7, source: "test".into(), key: None, parts };
        encode(&header, body, crc32fast::hash(body))
    }

    fn join(frames: &[Bytes]) -> Vec<u8> {
        frames.iter().flat_map(|f| f.iter().copied()).collect()
    }

    #[test]
    fn whole_frames_come_back() {
        let segment = Bytes::from(join(&[frame(1, b"one"), frame(3, b"two")]));
        let recovered = decode(&segment, "s");
        assert_eq!(
            recovered.frames.iter().map(|(h, b)| (h.seq, b.clone())).collect::<Vec<_>>(),
            [(1, Bytes::from_static(b"one")), (3, Bytes::from_static(b"two"))]
        );
        assert!(recovered.dropped.is_empty());
    }

    #[test]
    fn a_cut_anywhere_loses_only_the_last_frame() {
        let (first, second) = (frame(1, b"one"), frame(3, b"two"));
        let whole = join(&[first.clone(), second]);
        for cut in first.len() + 1..whole.len() {
            let recovered = decode(&Bytes::copy_from_slice(&whole[..cut]), "s");
            assert_eq!(recovered.frames.len(), 1, "cut at {cut}");
            assert_eq!(recovered.dropped.len(), 1, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_byte_loses_only_its_frame() {
        let frames = [frame(1, b"one"), frame(3, b"two"), frame(5, b"three")];
        let (start, end) = (frames[0].len(), frames[0].len() + frames[1].len());
        for at in start..end {
            let mut bytes = join(&frames);
            bytes[at] ^= 0x40;
            let recovered = decode(&Bytes::from(bytes), "s");
            let seqs: Vec<u64> = recovered.frames.iter().map(|(h, _)| h.seq).collect();
            assert_eq!(seqs, [1, 5], "byte {at}");
            assert_eq!(recovered.dropped.len(), 1, "byte {at}");
        }
    }
}
