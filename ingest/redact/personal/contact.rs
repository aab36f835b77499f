//! Mail addresses and telephone numbers.

use super::kind::Kind;
use super::{Check, Found, Scan, Word};

/// Endings that name files and units of systemd, not domains: `getty@tty1.service`, `logo@2x.png`.
const NO_DOMAINS: &[&str] = &[
    "service", "socket", "slice", "mount", "timer", "target", "device", "scope", "swap", "path", "png", "jpg", "jpeg",
    "gif", "svg", "webp", "js", "ts", "css", "json", "yaml", "yml", "html", "lock", "rc", "beta", "alpha",
];
const LOCAL_BYTES_MAX: usize = 64;
const DOMAIN_BYTES_MAX: usize = 253;

/// The mail address around the at sign.
pub fn email(scan: &Scan<'_>, at: usize) -> Option<Found> {
    let mut start = at;
    while start > 0 {
        let c = scan.before(start);
        if !(is_letter(c) || matches!(c, '.' | '_' | '%' | '+' | '-')) || at - start > LOCAL_BYTES_MAX {
            break;
        }
        start -= c.len_utf8();
    }
    let local = &scan.text[start..at];
    start += local.len() - local.trim_start_matches(['.', '-', '%', '+']).len();
    let local = &scan.text[start..at];
    if local.is_empty() || local.len() > LOCAL_BYTES_MAX || local.ends_with('.') || local == "git" {
        return None;
    }
    // What stands before the host of a URL is a user; its password is a matter of its own.
    if scan.text[..start].ends_with("://") {
        return None;
    }
    let rest = &scan.text[at + 1..];
    let length = rest.find(|c: char| !(is_letter(c) || matches!(c, '.' | '-'))).unwrap_or(rest.len());
    let length = rest.floor_char_boundary(length.min(DOMAIN_BYTES_MAX));
    let domain = rest[..length].trim_end_matches(['.', '-']);
    let (host, top) = domain.rsplit_once('.')?;
    let is_top = top.starts_with("xn--") || (top.chars().count() >= 2 && top.chars().all(char::is_alphabetic));
    let labels = host.split('.').all(|label| !label.is_empty() && !label.starts_with('-'));
    if !is_top || !labels || NO_DOMAINS.contains(&top) || !scan.wanted.has(Kind::EmailAddress) {
        return None;
    }
    let end = at + 1 + domain.len();
    Some(Found { kind: Kind::EmailAddress, start, end, score: 100, check: Check::Absent })
}

/// A letter of a Latin alphabet, or a digit: a mail address in a Chinese sentence ends where the sentence goes on.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || (c.is_alphanumeric() && c < '\u{250}')
}

const DIGITS_MAX: usize = 15;

/// A number as it is dialled: its digits, where it ends, how many separators it has.
struct Dialled {
    digits: Vec<u8>,
    end: usize,
    groups: Vec<usize>,
    separators: Vec<u8>,
}

/// The telephone number whose first digits are this word.
pub fn phone(scan: &Scan<'_>, word: Word) -> Option<Found> {
    if !word.number || !scan.wanted.has(Kind::PhoneNumber) {
        return None;
    }
    let first = scan.bytes[word.start];
    let before = scan.before(word.start);
    if before == '+' {
        return international(scan, word.start, word.start - 1);
    }
    if before == '(' && (2..=6).contains(&word.len()) && scan.byte(word.end) == b')' {
        let outer = scan.before(word.start - 1);
        if outer.is_alphanumeric() || outer == '+' {
            return None;
        }
        return if first == b'0' { national(scan, word.start, word.start - 1) } else { american(scan, word) };
    }
    if glued(before) {
        return None;
    }
    match first {
        b'0' if scan.byte(word.start + 1) == b'0' && word.len() >= 3 => international(scan, word.start + 2, word.start),
        b'0' => national(scan, word.start, word.start),
        b'2'..=b'9' if word.len() == 3 && scan.byte(word.end) == b'-' => american(scan, word),
        _ => None,
    }
}

fn glued(before: char) -> bool {
    before.is_alphanumeric() || matches!(before, '_' | '-' | '.' | '/' | '+' | ',' | '#' | '$' | '\u{20ac}')
}

/// Reads digits in groups, from the first digit on.
fn dialled(scan: &Scan<'_>, from: usize, separators: &[u8]) -> Dialled {
    let mut found = Dialled { digits: Vec::new(), end: from, groups: Vec::new(), separators: Vec::new() };
    let mut at = from;
    loop {
        let begin = at;
        while scan.byte(at).is_ascii_digit() {
            found.digits.push(scan.bytes[at]);
            at += 1;
        }
        if at > begin {
            found.groups.push(at - begin);
            found.end = at;
        }
        // Up to two signs between groups: `) `, ` (`.
        let mut next = at;
        while next < at + 2 && separators.contains(&scan.byte(next)) {
            next += 1;
        }
        if next == at || !scan.byte(next).is_ascii_digit() || found.digits.len() > DIGITS_MAX {
            return found;
        }
        found.separators.extend(&scan.bytes[at..next]);
        at = next;
    }
}

/// Whether the number may end there.
fn ends(scan: &Scan<'_>, end: usize) -> bool {
    let after = scan.after(end);
    let further = if after.is_ascii() { scan.after(end + 1) } else { ' ' };
    !(after.is_alphanumeric() || after == '_' || (matches!(after, '-' | '.' | '/' | ':') && further.is_alphanumeric()))
}

/// `+49 30 1234567`, `0049 (0)30 1234567`.
fn international(scan: &Scan<'_>, from: usize, start: usize) -> Option<Found> {
    let before = scan.before(start);
    if before.is_alphanumeric() || matches!(before, '_' | '.' | '/' | '-') {
        return None;
    }
    let number = dialled(scan, from, b" -.()/");
    let digits: &[u8] = &number.digits;
    // The zero in `(0)` is dialled at home only.
    let optional_zero = scan.text[from..number.end].contains("(0)");
    let count = digits.len() - usize::from(optional_zero);
    if !country_fits(digits, count) || !ends(scan, number.end) {
        return None;
    }
    let plus = scan.byte(from - 1) == b'+';
    let score = if plus {
        75
    } else if number.groups.len() > 1 && scan.after(from + 2) != '0' {
        60
    } else {
        30
    };
    scan.judge(Kind::PhoneNumber, start, number.end, score, Check::Absent)
}

/// Whether a number with so many digits is one of its country.
fn country_fits(digits: &[u8], count: usize) -> bool {
    let unassigned = ["0", "28", "83", "89", "210", "214", "215", "217", "219", "259"];
    if unassigned.iter().any(|code| digits.starts_with(code.as_bytes())) {
        return false;
    }
    match digits {
        [b'1', area, ..] => count == 11 && *area >= b'2',
        [b'4', b'9', ..] => (9..=14).contains(&count),
        [b'3', b'3', ..] => count == 11,
        [b'7', ..] => count == 11,
        _ => (8..=DIGITS_MAX).contains(&count),
    }
}

/// `0171/8508095`, `(089) 966306-55`, `030 1234567`; and as other countries with a leading zero write theirs.
fn national(scan: &Scan<'_>, from: usize, start: usize) -> Option<Found> {
    let bracketed = start < from;
    let number = dialled(scan, from, if bracketed { b" -)/" } else { b" -/" });
    let digits: &[u8] = &number.digits;
    let (area, local) = (number.groups.first().copied().unwrap_or(0), &number.groups[1..]);
    let local_digits: usize = local.iter().sum();
    if digits.get(1).is_none_or(|d| *d == b'0') || !ends(scan, number.end) || !(8..=13).contains(&digits.len()) {
        return None;
    }
    let score = if local.is_empty() {
        // Ten digits in a row may be anything.
        if digits.len() < 10 { return None } else { 25 }
    } else if area > 6 || local_digits < 4 || local.iter().any(|group| *group == 1) || number.separators.len() > 4 {
        return None;
    } else if number.groups == [2, 2, 4] {
        // A date, in Europe or in America.
        return None;
    } else {
        let slash = number.separators.first() == Some(&b'/') && local[0] >= 3 && local_digits >= 5;
        let slashes = number.separators.iter().filter(|s| **s == b'/').count();
        let mobile = (b'5'..=b'7').contains(&digits[2]) && digits[1] == b'1' && digits.len() >= 11 && area >= 4;
        match () {
            () if bracketed => 70,
            () if slash && slashes == 1 => 65,
            () if mobile && slashes == 0 => 60,
            () => 40,
        }
    };
    scan.judge(Kind::PhoneNumber, start, number.end, score, Check::Absent)
}

/// `(415) 555-0132`, `415-555-0132`.
fn american(scan: &Scan<'_>, word: Word) -> Option<Found> {
    let bracketed = scan.byte(word.end) == b')';
    let start = word.start - usize::from(bracketed);
    let number = dialled(scan, word.start, b" -)");
    let fits = number.groups == [3, 3, 4] && matches!(scan.byte(word.start), b'2'..=b'9') && number.digits[3] >= b'2';
    let dashed = bracketed || number.separators == *b"--";
    if !fits || !dashed || !ends(scan, number.end) {
        return None;
    }
    scan.judge(Kind::PhoneNumber, start, number.end, if bracketed { 60 } else { 40 }, Check::Absent)
}
