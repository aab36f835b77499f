//! What stands around a number: words that say what it is, and names that say it is something else.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

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

/// Every word of every kind, in one search.
struct Words {
    search: AhoCorasick,
    /// For each word: the kind that it names, and whether it is short and stands as a word of its own only.
    meant: Vec<(Kind, bool)>,
}

/// A word of up to four letters is part of too many others.
const SHORT_LETTERS_MAX: usize = 4;

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let words = Kind::ALL.into_iter().flat_map(|kind| kind.context().iter().map(move |word| (kind, *word)));
    // Case is folded for ASCII alone.
    let all: Vec<(Kind, String)> =
        words.flat_map(|(kind, word)| [(kind, word.to_owned()), (kind, capitals(word))]).collect();
    let search = AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .build(all.iter().map(|(_, word)| word));
    let short = |word: &str| word.chars().count() <= SHORT_LETTERS_MAX;
    let meant = all.iter().map(|(kind, word)| (*kind, short(word))).collect();
    Words { search: search.expect("a few hundred words make a small automaton"), meant }
});

/// The word with capital umlauts.
fn capitals(word: &str) -> String {
    word.chars().map(|c| if c.is_ascii() { c } else { c.to_uppercase().next().unwrap_or(c) }).collect()
}

impl Scan<'_> {
    /// Whether a word near the place names the kind.
    pub(super) fn names(&self, kind: Kind, start: usize, end: usize) -> bool {
        if kind.context().is_empty() {
            return false;
        }
        let from = self.text.floor_char_boundary(start.saturating_sub(BEFORE_BYTES));
        let stops = |byte: &u8| matches!(byte, b'\n' | b'{' | b'}');
        let from = self.bytes[from..start].iter().rposition(stops).map_or(from, |at| from + at + 1);
        let to = self.text.floor_char_boundary((end + AFTER_BYTES).min(self.text.len()));
        let stops = |byte: &u8| matches!(byte, b'\n' | b',' | b';' | b'"' | b'{' | b'}');
        let to = self.bytes[end..to].iter().position(stops).map_or(to, |at| end + at);
        named(&self.text[from..start], kind) || named(&self.text[end..to], kind)
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

/// Whether the text has a word of the kind.
fn named(near: &str, kind: Kind) -> bool {
    WORDS.search.find_overlapping_iter(near).any(|hit| {
        let (meant, short) = WORDS.meant[hit.pattern().as_usize()];
        meant == kind && !(short && within_a_word(near, hit.start(), hit.end())) && !within_a_mark(near, hit.start())
    })
}

/// Whether letters stand around the place, so that it is a part of a longer word.
fn within_a_word(near: &str, start: usize, end: usize) -> bool {
    let before = near[..start].chars().next_back().filter(|_| !ends_in_escape(&near[..start]));
    let after = near[end..].chars().next();
    before.is_some_and(char::is_alphanumeric) || after.is_some_and(char::is_alphabetic)
}

/// Whether the place is within the mark of what was taken out: those name kinds, too, and must not become words near the
/// next number. The text may begin within one.
fn within_a_mark(near: &str, at: usize) -> bool {
    match near[..at].rfind(['[', ']']) {
        Some(open) if near[open..].starts_with('[') => MARKS.iter().any(|mark| near[open..].starts_with(mark)),
        Some(_) => false,
        None => near[at..].find(['[', ']']).is_some_and(|next| near[at + next..].starts_with(']')),
    }
}

/// Whether an escape of JSON ends here: what stands behind `\n` begins a line.
fn ends_in_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes, [.., b'\\', b'b' | b'f' | b'n' | b'r' | b't'])
        || (bytes.len() >= 6 && bytes[bytes.len() - 6..].starts_with(b"\\u"))
}
