//! Personal data in any text: one pass over the bytes finds the words that hold a digit, an at sign or two colons; what
//! their form allows is looked at more closely. A number that could be anything needs its check digit and a word near it.

use kind::{Kind, Kinds};

mod checksum;
mod contact;
mod german;
mod iban;
pub mod kind;
mod network;
mod payment;
mod plate;
mod surroundings;
#[cfg(test)]
mod tests;

/// Findings with this score are acted on: the form and, where there is one, the check digit leave little doubt, or a word
/// near it says what it is.
pub const SURE: u8 = 50;
/// What a word near it makes of a finding that is not sure by itself.
const WITH_CONTEXT: u8 = 90;

/// What a check digit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It is right.
    Valid,
    /// There is none.
    Absent,
    /// It is wrong; the form alone fits.
    Failed,
}

/// Something that may be personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// First byte.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
    /// How sure that is, of 100.
    pub score: u8,
    /// What its check digit says.
    pub check: Check,
}

/// A text under examination.
struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    wanted: Kinds,
}

/// A run of ASCII letters and digits.
#[derive(Debug, Clone, Copy)]
struct Word {
    start: usize,
    end: usize,
    /// Nothing but digits.
    number: bool,
}

impl Word {
    fn len(self) -> usize {
        self.end - self.start
    }
}

const DIGIT: u8 = 1;
const LETTER: u8 = 2;
const SIGN: u8 = 4;

/// What a byte can begin.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'@' | b':' | b'\\' | b'[' => SIGN,
            _ => 0,
        };
        byte += 1;
    }
    class
};

/// What stands where something was taken out begins with one of these.
pub const MARKS: [&str; 2] = [super::MARK, "[hashed:"];

/// The bytes of a mark that begins here.
pub fn mark_length(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..];
    MARKS.iter().any(|mark| rest.starts_with(mark)).then(|| rest.find(']').map_or(rest.len(), |end| end + 1))
}

/// Finds the wanted kinds with at least this score; in order, none over another.
pub fn find(text: &str, wanted: Kinds, least: u8) -> Vec<Found> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let scan = Scan { text, bytes: text.as_bytes(), wanted };
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(byte) = scan.bytes.get(at) {
        let class = CLASS[usize::from(*byte)];
        if class & (DIGIT | LETTER) != 0 {
            at = scan.word(at, least, &mut found);
        } else if class == SIGN {
            at = scan.sign(at, *byte, least, &mut found);
        } else {
            at += 1;
        }
    }
    without_overlaps(found)
}

impl Scan<'_> {
    /// Looks at the word that begins here; answers with where to go on.
    fn word(&self, start: usize, least: u8, found: &mut Vec<Found>) -> usize {
        let (mut end, mut seen) = (start, 0);
        for byte in &self.bytes[start..] {
            let class = CLASS[usize::from(*byte)];
            if class & (DIGIT | LETTER) == 0 {
                break;
            }
            seen |= class;
            end += 1;
        }
        let word = Word { start, end, number: seen == DIGIT };
        if seen & DIGIT == 0 {
            // Only addresses of the network begin with a group without a digit.
            if end - start > 4 || !matches!(self.byte(end), b':' | b'-' | b'.') {
                return end;
            }
            let address = network::ip_v6(self, start).or_else(|| network::mac(self, word));
            return address.filter(|address| address.score >= least).map_or(end, |address| {
                found.push(address);
                address.end
            });
        }
        if self.is_closed(word) {
            return end;
        }
        let mut best: Option<Found> = None;
        self.candidates(word, &mut |candidate| {
            let better = best.is_none_or(|best| {
                (candidate.score, candidate.end - candidate.start) > (best.score, best.end - best.start)
            });
            if candidate.score >= least && better {
                best = Some(candidate);
            }
        });
        match best {
            Some(best) => {
                found.push(best);
                best.end.max(end)
            }
            None => end,
        }
    }

    /// Whether the length of the word and the signs around it rule everything out: a count in a document, a hash.
    fn is_closed(&self, word: Word) -> bool {
        let length = word.len();
        if !word.number {
            let begin = &self.bytes[word.start..word.end];
            let iban = length >= 4 && begin[1].is_ascii_alphabetic() && begin[2].is_ascii_digit();
            return length > 12 && !iban && !matches!(length, 26..=35 | 42 | 62);
        }
        // Five digits are a postcode, nine and more stand alone.
        if length >= 9 || length == 5 {
            return false;
        }
        let before = if word.start == 0 { 0 } else { self.bytes[word.start - 1] };
        !matches!(self.byte(word.end), b'.' | b':' | b'-' | b'/' | b' ' | b')')
            && !matches!(before, b' ' | b'-' | b'.' | b'+' | b'(')
    }

    /// Everything that the word may begin or be the middle of.
    fn candidates(&self, word: Word, add: &mut dyn FnMut(Found)) {
        let detectors: [fn(&Scan<'_>, Word) -> Option<Found>; 6] =
            [network::ip_v4, network::mac, payment::card, payment::crypto, iban::iban, contact::phone];
        detectors.iter().filter_map(|detector| detector(self, word)).for_each(&mut *add);
        if self.byte(word.end) == b':' && word.len() <= 4 {
            network::ip_v6(self, word.start).into_iter().for_each(&mut *add);
        }
        german::candidates(self, word, add);
    }

    /// Looks at a sign that begins or holds something.
    fn sign(&self, at: usize, byte: u8, least: u8, found: &mut Vec<Found>) -> usize {
        let seen = match byte {
            b'\\' => return self.behind_escape(at),
            b'[' => return at + mark_length(self.text, at).unwrap_or(1),
            b'@' => contact::email(self, at),
            _ if self.byte(at + 1) == b':' => network::ip_v6(self, at),
            _ => None,
        };
        match seen.filter(|seen| seen.score >= least) {
            Some(seen) => {
                found.push(seen);
                seen.end.max(at + 1)
            }
            None => at + 1,
        }
    }

    /// The place behind an escape of JSON, however deep: what stands behind `\n` begins a line.
    fn behind_escape(&self, at: usize) -> usize {
        let mut end = at;
        while self.byte(end) == b'\\' {
            end += 1;
        }
        match self.byte(end) {
            b'b' | b'f' | b'n' | b'r' | b't' => end + 1,
            b'u' if self.bytes.get(end + 1..end + 5).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit)) => {
                end + 5
            }
            _ => end,
        }
    }

    /// The byte there, 0 beyond the end.
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// The character before a place; a space where an escape ends or the text begins.
    fn before(&self, at: usize) -> char {
        let Some(last) = at.checked_sub(1).map(|last| self.bytes[last]) else { return ' ' };
        if matches!(last, b'b' | b'f' | b'n' | b'r' | b't') && at >= 2 && self.bytes[at - 2] == b'\\' {
            return ' ';
        }
        if at >= 6 && self.bytes[at - 5] == b'u' && self.bytes[at - 6] == b'\\' {
            return ' ';
        }
        if last.is_ascii() {
            char::from(last)
        } else {
            self.text.get(..at).and_then(|text| text.chars().next_back()).unwrap_or(' ')
        }
    }

    /// The character at a place; a space where an escape begins or the text ends.
    fn after(&self, at: usize) -> char {
        match self.byte(at) {
            0 | b'\\' => ' ',
            byte if byte.is_ascii() => char::from(byte),
            _ => self.text.get(at..).and_then(|text| text.chars().next()).unwrap_or(' '),
        }
    }

    /// Whether an identifier that stands here stands alone, and is no part of a longer name, number or path.
    fn alone(&self, start: usize, end: usize) -> bool {
        let (before, after) = (self.before(start), self.after(end));
        let glued = |c: char| c.is_alphanumeric() || c == '_';
        let further_before = if start >= 2 && before.is_ascii() { self.before(start - 1) } else { ' ' };
        let further_after = if after.is_ascii() { self.after(end + 1) } else { ' ' };
        // Behind a full stop an abbreviation may have ended: `IdNr.12345678903`.
        let joined = match before {
            '-' | '/' => further_before.is_alphanumeric(),
            '.' => further_before.is_ascii_digit(),
            _ => false,
        };
        !glued(before)
            && !glued(after)
            && !joined
            && !(matches!(after, '-' | '.' | '/') && further_after.is_alphanumeric())
    }

    /// A finding of a kind if it is wanted, raised where a word near it says what it is.
    fn judge(&self, kind: Kind, start: usize, end: usize, alone: u8, check: Check) -> Option<Found> {
        if !self.wanted.has(kind) {
            return None;
        }
        let raised = check != Check::Failed && alone < WITH_CONTEXT && self.names(kind, start, end);
        Some(Found { kind, start, end, score: if raised { WITH_CONTEXT } else { alone }, check })
    }
}

/// The findings in order; where two share bytes, the surer or else the longer one.
fn without_overlaps(mut found: Vec<Found>) -> Vec<Found> {
    if found.len() < 2 {
        return found;
    }
    found.sort_by_key(|f| (std::cmp::Reverse(f.score), std::cmp::Reverse(f.end - f.start), f.start));
    let mut kept: Vec<Found> = Vec::with_capacity(found.len());
    for one in found {
        if kept.iter().all(|other| one.end <= other.start || other.end <= one.start) {
            kept.push(one);
        }
    }
    kept.sort_by_key(|f| f.start);
    kept
}
