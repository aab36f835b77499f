//! What the disk shim wrote down: every change of one folder, in order, with its data.

use std::fs;
use std::path::Path;

use bytes::Bytes;

/// Bytes before a record's paths and data, as `struct record` of disk.c has them.
const HEAD_BYTES: usize = 32;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The folder itself; `file` is its inode.
    Root {
        file: u64,
    },
    MakeFile {
        path: String,
        file: u64,
    },
    MakeDir {
        path: String,
        file: u64,
    },
    Write {
        file: u64,
        at: u64,
        data: Bytes,
    },
    /// The file is now so long, shorter or longer.
    Cut {
        file: u64,
        bytes: u64,
    },
    Rename {
        from: String,
        to: String,
    },
    Link {
        from: String,
        to: String,
    },
    Remove {
        path: String,
    },
    SyncBegin {
        file: u64,
        ticket: u64,
    },
    SyncEnd {
        ticket: u64,
    },
    SyncFailed {
        ticket: u64,
    },
}

/// A change, and where it ends in the journal.
#[derive(Debug, Clone)]
pub struct Record {
    pub end: u64,
    pub change: Change,
}

/// Reads a journal up to its last whole record.
pub fn read(path: &Path) -> Vec<Record> {
    let bytes = Bytes::from(fs::read(path).expect("the journal can be read"));
    let (mut records, mut at) = (Vec::new(), 0);
    while let Some((change, next)) = one(&bytes, at) {
        at = next;
        records.push(Record { end: at as u64, change });
    }
    records
}

fn one(bytes: &Bytes, at: usize) -> Option<(Change, usize)> {
    let head = bytes.get(at..at + HEAD_BYTES)?;
    let u32_at = |i: usize| u32::from_le_bytes(head[i..i + 4].try_into().expect("four bytes")) as usize;
    let u64_at = |i: usize| u64::from_le_bytes(head[i..i + 8].try_into().expect("eight bytes"));
    let (path_bytes, other_bytes, data_bytes) = (u32_at(4), u32_at(8), u32_at(12));
    let path_at = at + HEAD_BYTES;
    let (other_at, data_at) = (path_at + path_bytes, path_at + path_bytes + other_bytes);
    let end = data_at + data_bytes;
    if end > bytes.len() {
        return None;
    }
    let text = |from: usize, to: usize| String::from_utf8_lossy(&bytes[from..to]).into_owned();
    let (path, other) = (text(path_at, other_at), text(other_at, data_at));
    let (file, place) = (u64_at(16), u64_at(24));
    let change = match u32_at(0) {
        1 => Change::MakeFile { path, file },
        2 => Change::MakeDir { path, file },
        3 => Change::Write { file, at: place, data: bytes.slice(data_at..end) },
        4 => Change::Cut { file, bytes: place },
        5 => Change::Rename { from: path, to: other },
        6 => Change::Link { from: path, to: other },
        7 => Change::Remove { path },
        8 => Change::SyncBegin { file, ticket: place },
        9 => Change::SyncEnd { ticket: place },
        10 => Change::SyncFailed { ticket: place },
        11 => Change::Root { file },
        other => panic!("the journal holds a record of kind {other} at byte {at}"),
    };
    Some((change, end))
}
