//! The log on a local disk: segments that grow, one fdatasync for all frames that wait.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::Recovered;
use super::frame::{self, Key};
use crate::error::{Error, Kind, Result};
use crate::fault::{Point, reached};

/// A segment is closed when it has grown to this.
const SEGMENT_BYTES: u64 = 16 << 20;

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    bytes: u64,
    /// `_seq` after its last row.
    next: u64,
    keys: Vec<Key>,
}

/// Segments under one directory; the newest is open for writing.
#[derive(Debug)]
pub struct LocalLog {
    dir: PathBuf,
    closed: Vec<Segment>,
    open: Option<(Segment, File)>,
    /// A refused frame may still stand in a segment: whatever is written behind it, a restart would bring it back.
    broken: bool,
}

impl LocalLog {
    /// Reads every segment and key file under `dir`. Writing goes on in a new segment: what stands behind a torn frame
    /// is never trusted.
    pub fn open(dir: PathBuf) -> Result<(LocalLog, Recovered, Vec<Key>)> {
        let at = |e| Error::unavailable("open the write-ahead log", e);
        fs::create_dir_all(&dir).map_err(at)?;
        // Its own name must survive the power too.
        sync_dir(dir.parent().expect("the log lies in a data directory")).map_err(at)?;
        let (mut recovered, mut keys, mut closed) = (Recovered { frames: vec![], dropped: vec![] }, vec![], vec![]);
        for path in sorted(&dir, "keys").map_err(at)? {
            keys.extend(parse_keys(&fs::read(&path).map_err(at)?, &name_of(&path), &mut recovered.dropped));
        }
        for path in sorted(&dir, "wal").map_err(at)? {
            let bytes = Bytes::from(fs::read(&path).map_err(at)?);
            let one = frame::decode(&bytes, &name_of(&path));
            if one.frames.is_empty() {
                // Nothing in it was acknowledged, and the next write may take its name.
                recovered.dropped.extend(one.dropped);
                fs::remove_file(&path).map_err(at)?;
                continue;
            }
            // Whoever wrote it may have ended before the sync. From now on its rows are shown, and its keys are answered as
            // acknowledged, so they must not go with the power.
            File::open(&path).and_then(|file| file.sync_all()).map_err(at)?;
            let segment = Segment {
                bytes: bytes.len() as u64,
                next: one.frames.last().map_or(0, |(h, _)| h.next()),
                keys: one.frames.iter().filter_map(|(h, _)| h.key.clone()).collect(),
                path,
            };
            recovered.frames.extend(one.frames);
            recovered.dropped.extend(one.dropped);
            closed.push(segment);
        }
        sync_dir(&dir).map_err(at)?;
        Ok((LocalLog { dir, closed, open: None, broken: false }, recovered, keys))
    }

    /// See [`super::Log::write`].
    pub async fn write(&mut self, first: u64, next: u64, frames: Vec<Bytes>, keys: Vec<Key>) -> Result<()> {
        if self.broken {
            let why = "the log takes no more: after a failed write it could not be cut back; restart the process";
            return Err(Error::new(Kind::Unavailable, why));
        }
        let (mut segment, file) = match self.open.take() {
            Some(open) => open,
            None => create(&self.dir, first).map_err(|e| Error::unavailable("start a log segment", e))?,
        };
        let start = segment.bytes;
        let done = tokio::task::spawn_blocking(move || {
            let written = write_durably(&file, start, &frames);
            (file, written)
        });
        let (file, written) = done.await.expect("writing a segment never panics");
        match written {
            Ok(bytes) => {
                segment.bytes += bytes;
                segment.next = next;
                segment.keys.extend(keys);
                match segment.bytes < SEGMENT_BYTES {
                    true => self.open = Some((segment, file)),
                    false => self.closed.push(segment),
                }
                Ok(())
            }
            Err(error) => {
                // The file may hold part of the frames. Cut it back, so that a frame that was refused never returns.
                let cut = file.set_len(start).and_then(|()| file.sync_all());
                self.broken = cut.is_err();
                if start > 0 || self.broken {
                    self.closed.push(segment);
                } else {
                    let _ = fs::remove_file(&segment.path);
                }
                Err(Error::unavailable("write the log", error))
            }
        }
    }

    /// See [`super::Log::truncate`].
    pub async fn truncate(&mut self, seq: u64) -> Result<()> {
        let at = |e| Error::unavailable("truncate the log", e);
        if self.open.as_ref().is_some_and(|(segment, _)| segment.next <= seq) {
            self.closed.extend(self.open.take().map(|(segment, _)| segment));
        }
        // One at a time, so that after an error the others are still known.
        while let Some(at_index) = self.closed.iter().position(|s| s.next <= seq) {
            let segment = &self.closed[at_index];
            if !segment.keys.is_empty() {
                keep_keys(segment).map_err(at)?;
                reached(Point::LogKeysKept);
            }
            fs::remove_file(&segment.path).map_err(at)?;
            self.closed.remove(at_index);
            reached(Point::LogSegmentRemoved);
        }
        Ok(())
    }

    /// See [`super::Log::part`].
    pub fn part(&mut self) {
        self.closed.extend(self.open.take().map(|(segment, _)| segment));
    }

    /// Removes key files whose newest key is older than `before_us`.
    pub fn forget_keys(&mut self, before_us: i64) -> Result<()> {
        let at = |e| Error::unavailable("shorten the key log", e);
        for path in sorted(&self.dir, "keys").map_err(at)? {
            let keys = parse_keys(&fs::read(&path).map_err(at)?, &name_of(&path), &mut Vec::new());
            if keys.iter().all(|k| k.at_us < before_us) {
                fs::remove_file(&path).map_err(at)?;
            }
        }
        Ok(())
    }

    /// Bytes in all segments.
    pub fn bytes(&self) -> u64 {
        self.closed.iter().map(|s| s.bytes).sum::<u64>() + self.open.as_ref().map_or(0, |(s, _)| s.bytes)
    }
}

fn create(dir: &Path, first: u64) -> io::Result<(Segment, File)> {
    // A segment of the same first row can only be one that holds nothing acknowledged: another write began and failed.
    let path = dir.join(format!("{first:020}.wal"));
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    file.sync_all()?;
    sync_dir(dir)?;
    reached(Point::LogSegmentCreated);
    Ok((Segment { path, bytes: 0, next: 0, keys: Vec::new() }, file))
}

fn write_durably(mut file: &File, start: u64, frames: &[Bytes]) -> io::Result<u64> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = 0;
    for frame in frames {
        file.write_all(frame)?;
        bytes += frame.len() as u64;
    }
    reached(Point::FrameWritten);
    file.sync_data()?;
    Ok(bytes)
}

/// Writes a segment's keys beside it, durably, before the segment goes.
fn keep_keys(segment: &Segment) -> io::Result<()> {
    let path = segment.path.with_extension("keys");
    let staged = segment.path.with_extension("keys-new");
    let mut file = File::create(&staged)?;
    file.write_all(&format_keys(&segment.keys))?;
    file.sync_all()?;
    fs::rename(&staged, &path)?;
    sync_dir(path.parent().expect("a segment lies in a directory"))
}

/// Keys as lines of JSON, each behind its checksum.
pub(crate) fn format_keys(keys: &[Key]) -> Vec<u8> {
    let mut out = Vec::new();
    for key in keys {
        let json = serde_json::to_vec(key).expect("a key is plain data");
        out.extend_from_slice(key_sum(&json).as_bytes());
        out.extend_from_slice(&json);
        out.push(b'\n');
    }
    out
}

/// The keys of such lines. A damaged line is told of in `dropped`: were it believed, a repeated delivery would pass for a
/// new one, and a number out of place would become the log's next.
pub(crate) fn parse_keys(bytes: &[u8], name: &str, dropped: &mut Vec<String>) -> Vec<Key> {
    let mut keys = Vec::new();
    for (number, line) in bytes.split(|b| *b == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        match parse_key(line) {
            Some(key) => keys.push(key),
            None => dropped.push(format!("{name}: line {} is no whole key", number + 1)),
        }
    }
    keys
}

fn parse_key(line: &[u8]) -> Option<Key> {
    let (sum, json) = line.split_at_checked(KEY_SUM_CHARS)?;
    (sum == key_sum(json).as_bytes()).then(|| serde_json::from_slice(json).ok())?
}

/// Stands before a key: the checksum of its JSON in hex, and a blank.
fn key_sum(json: &[u8]) -> String {
    format!("{:08x} ", crc32fast::hash(json))
}

const KEY_SUM_CHARS: usize = 9;

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn sorted(dir: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Header, Part};
    use super::*;

    fn frame_at(seq: u64) -> Bytes {
        let parts = vec![Part { table: "t".into(), rows: 1, bytes: 4 }];
        let header = Header { seq, at_us: 1, source: "test".into(), key: None, parts };
        frame::encode(&header, b"body", crc32fast::hash(b"body"))
    }

    fn seqs(dir: &Path) -> Vec<u64> {
        LocalLog::open(dir.to_owned()).unwrap().1.frames.iter().map(|(h, _)| h.seq).collect()
    }

    #[tokio::test]
    async fn a_torn_first_frame_does_not_take_the_next_segment_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let whole = frame_at(1);
        fs::write(dir.path().join(format!("{:020}.wal", 1)), &whole[..whole.len() - 1]).unwrap();
        let (mut log, recovered, _) = LocalLog::open(dir.path().to_owned()).unwrap();
        assert_eq!((recovered.frames.len(), recovered.dropped.len()), (0, 1));
        log.write(1, 2, vec![frame_at(1)], vec![]).await.unwrap();
        log.truncate(1).await.unwrap();
        assert_eq!(seqs(dir.path()), [1], "the acknowledged frame of the same name stays");
    }

    #[tokio::test]
    async fn truncation_keeps_what_is_not_flushed_and_the_keys_of_what_is() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, ..) = LocalLog::open(dir.path().to_owned()).unwrap();
        let key = Key { key: "k".into(), hash: "h".into(), seq: 1, rows: 1, at_us: 9 };
        log.write(1, 2, vec![frame_at(1)], vec![key.clone()]).await.unwrap();
        log.truncate(2).await.unwrap();
        log.write(2, 3, vec![frame_at(2)], vec![]).await.unwrap();
        log.truncate(2).await.unwrap();
        assert_eq!(seqs(dir.path()), [2]);
        assert_eq!(LocalLog::open(dir.path().to_owned()).unwrap().2, [key]);
        log.forget_keys(10).unwrap();
        assert!(LocalLog::open(dir.path().to_owned()).unwrap().2.is_empty());
    }

    #[test]
    fn a_damaged_key_is_not_believed() {
        let key = |n: u64| Key { key: format!("k{n}"), hash: "h".into(), seq: n, rows: 1, at_us: 9 };
        let whole = format_keys(&[key(1), key(2), key(3)]);
        let lines: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
        for at in lines[0] + 1..lines[1] {
            let mut bytes = whole.clone();
            // Still a digit where it was one.
            bytes[at] ^= 1;
            let mut dropped = Vec::new();
            assert_eq!(parse_keys(&bytes, "s.keys", &mut dropped), [key(1), key(3)], "byte {at}");
            assert_eq!(dropped, ["s.keys: line 2 is no whole key"], "byte {at}");
        }
    }

    #[tokio::test]
    async fn a_log_that_cannot_take_back_a_refused_frame_takes_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, ..) = LocalLog::open(dir.path().to_owned()).unwrap();
        log.write(1, 2, vec![frame_at(1)], vec![]).await.unwrap();
        // A file that can be read only fails to be written and to be cut.
        let (segment, _) = log.open.take().unwrap();
        log.open =
            Some((Segment { next: 2, ..segment }, File::open(dir.path().join(format!("{:020}.wal", 1))).unwrap()));
        assert!(log.write(2, 3, vec![frame_at(2)], vec![]).await.is_err());
        let refused = log.write(3, 4, vec![frame_at(3)], vec![]).await.unwrap_err();
        assert!(refused.to_string().contains("restart"), "{refused}");
        assert_eq!(seqs(dir.path()), [1]);
    }
}
