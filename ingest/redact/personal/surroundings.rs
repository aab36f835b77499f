//! What stands around a number: words that say what it is, and names that say it is something else.

use std::borrow::Cow;

use super::kind::Kind;
use super::{MARKS, Scan};

/// How far words before a number count.
const BEFORE_BYTES: usize = 72;
/// How far words behind it count.
const AFTER_BYTES: usize = 28;

/// Endings of names that machines number things with.
const COUNTERS: &[&str] = &[
    "id",
    "ids",
    "uid",
    "guid",
    "trace",
    "span",
    "seq",
    "sequence",
    "offset",
    "timestamp",
    "time",
    "ts",
    "ns",
    "us",
    "ms",
    "bytes",
    "size",
    "duration",
    "version",
    "build",
    "count",
    "length",
    "hash",
    "sha",
    "checksum",
    "revision",
    "rev",
    "nonce",
    "order",
    "request",
    "session",
    "tag",
    "epoch",
    "lag",
    "total",
];
/// Words before a version that looks like an address.
const VERSIONS: &[&str] = &["version", "ver", "v", "rev", "revision", "release", "build", "oid", "schema", "upgrade"];

impl Scan<'_> {
    /// Whether a word near the place names the kind.
    pub(super) fn names(&self, kind: Kind, start: usize, end: usize) -> bool {
        let words = kind.context();
        if words.is_empty() {
            return false;
        }
        let from = self.text.floor_char_boundary(start.saturating_sub(BEFORE_BYTES));
        let before = &self.text[from..start];
        let before = before.rsplit(['\n', '{', '}']).next().unwrap_or(before);
        let to = self.text.floor_char_boundary((end + AFTER_BYTES).min(self.text.len()));
        let after = &self.text[end..to];
        let after = after.split(['\n', ',', ';', '"', '{', '}']).next().unwrap_or(after);
        [before, after].into_iter().any(|near| {
            let near = without_marks(near).to_lowercase();
            words.iter().any(|word| has(&near, word))
        })
    }

    /// The name that the number is assigned to (`trace_id=`, `"size":`), if it ends like one that machines count with.
    pub(super) fn is_counter(&self, start: usize) -> bool {
        let before = self.text[..start].trim_end_matches([' ', '\t']);
        let Some(name) = before.strip_suffix(['=', ':', '#', '"']) else { return false };
        let name = name.trim_end_matches(['"', '\\', ' ', ':', '=', '\'']);
        let words = |c: char| !(c.is_ascii_alphanumeric());
        let last = name.rsplit(words).next().unwrap_or_default();
        // The last part of camel case: `requestId` ends in `Id`.
        let hump =
            last.rfind(|c: char| c.is_ascii_uppercase()).filter(|_| last.chars().any(|c| c.is_ascii_lowercase()));
        let part = &last[hump.unwrap_or(0)..];
        COUNTERS.iter().any(|counter| counter.eq_ignore_ascii_case(part) || counter.eq_ignore_ascii_case(last))
    }

    /// Whether a word before the place says that a version follows.
    pub(super) fn follows_version(&self, start: usize) -> bool {
        if matches!(self.before(start), 'v' | 'V') {
            return true;
        }
        let before = self.text[..start].trim_end_matches([' ', '=', ':', '"', '\\', '\'', '(', '/', '-']);
        if before.len() == start {
            return false;
        }
        let last = before.rsplit(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        VERSIONS.iter().any(|version| version.eq_ignore_ascii_case(last))
    }
}

/// The text without the marks of what was taken out: those name kinds, too, and must not become words near the next one.
fn without_marks(near: &str) -> Cow<'_, str> {
    if !MARKS.iter().any(|mark| near.contains(mark)) && !near.contains(']') {
        return Cow::Borrowed(near);
    }
    let mut left = String::new();
    let mut rest = near;
    // The window may begin within a mark.
    if let Some(close) = rest.find(']').filter(|close| !rest[..*close].contains('[')) {
        rest = &rest[close + 1..];
    }
    while let Some(at) = MARKS.iter().filter_map(|mark| rest.find(mark)).min() {
        left.push_str(&rest[..at]);
        rest = rest[at..].find(']').map_or("", |close| &rest[at + close + 1..]);
    }
    left.push_str(rest);
    Cow::Owned(left)
}

/// Whether the text has the word: of up to four letters as a word of its own, a longer one anywhere.
fn has(near: &str, word: &str) -> bool {
    let short = word.chars().count() <= 4;
    near.match_indices(word).any(|(at, _)| {
        let before = near[..at].chars().next_back().filter(|_| !ends_in_escape(&near[..at]));
        let after = near[at + word.len()..].chars().next();
        !short || !(before.is_some_and(char::is_alphanumeric) || after.is_some_and(char::is_alphabetic))
    })
}

/// Whether an escape of JSON ends here: what stands behind `\n` begins a line.
fn ends_in_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes, [.., b'\\', b'b' | b'f' | b'n' | b'r' | b't'])
        || (bytes.len() >= 6 && bytes[bytes.len() - 6..].starts_with(b"\\u"))
}
