//! Addresses of the network: IPv4, IPv6, MAC.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::kind::Kind;
use super::{Check, Found, Scan, Word};

const SCORE: u8 = 70;
/// A version that looks like an address, or an address without a digit.
const UNLIKELY: u8 = 30;
const V6_BYTES_MAX: usize = 45;

/// The IPv4 address whose first octet is this word.
pub fn ip_v4(scan: &Scan<'_>, word: Word) -> Option<Found> {
    if !word.number || word.len() > 3 || scan.byte(word.end) != b'.' || !scan.wanted.has(Kind::IpAddress) {
        return None;
    }
    let before = scan.before(word.start);
    if before.is_alphanumeric() || matches!(before, '.' | '_') {
        return None;
    }
    let mut end = word.start;
    for octet in 0..4 {
        let begin = end + usize::from(octet > 0);
        if octet > 0 && scan.byte(end) != b'.' {
            return None;
        }
        end = begin;
        let mut value = 0;
        while scan.byte(end).is_ascii_digit() && end - begin < 4 {
            value = value * 10 + u32::from(scan.bytes[end] - b'0');
            end += 1;
        }
        let leading_zero = end - begin > 1 && scan.bytes[begin] == b'0';
        if end == begin || value > 255 || leading_zero {
            return None;
        }
    }
    let after = scan.after(end);
    let further = if after.is_ascii() { scan.after(end + 1) } else { ' ' };
    if after.is_alphanumeric() || after == '_' || (after == '-' && further.is_alphabetic()) {
        return None;
    }
    // A fifth number is one too many for an address; six and more are an object identifier.
    if after == '.' && further.is_ascii_digit() {
        let rest = scan.text[end + 1..].trim_start_matches(|c: char| c.is_ascii_digit());
        if rest.starts_with('.') && rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
    }
    let product = before == '/' && word.start >= 2 && scan.before(word.start - 1).is_alphabetic();
    let version = scan.follows_version(word.start)
        || scan.text[..word.start].ends_with("==")
        || (product && scan.text[..end].ends_with(".0"))
        || (before == '-' && word.start >= 2 && scan.before(word.start - 1).is_alphabetic())
        || (after == '-' && further.is_ascii_digit() && !follows_address(&scan.text[end + 1..]));
    Some(address(word.start, end, if version { UNLIKELY } else { SCORE }))
}

/// Whether the text begins with an address: the end of a range, and not a package's revision.
fn follows_address(text: &str) -> bool {
    let length = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    text[..length].trim_end_matches('.').parse::<Ipv4Addr>().is_ok()
}

fn address(start: usize, end: usize, score: u8) -> Found {
    Found { kind: Kind::IpAddress, start, end, score, check: Check::Absent }
}

/// The IPv6 address that begins here, with an IPv4 tail or a zone where it has one.
pub fn ip_v6(scan: &Scan<'_>, start: usize) -> Option<Found> {
    if !scan.wanted.has(Kind::IpAddress) || !may_begin(scan, start) {
        return None;
    }
    let mut end = start;
    while end - start <= V6_BYTES_MAX && (scan.byte(end).is_ascii_hexdigit() || matches!(scan.byte(end), b':' | b'.')) {
        end += 1;
    }
    while scan.bytes.get(start..end).is_some_and(|a| a.ends_with(b".") || (a.ends_with(b":") && !a.ends_with(b"::"))) {
        end -= 1;
    }
    let after = scan.after(end);
    if after.is_alphanumeric() || after == '_' || after == ':' {
        return None;
    }
    let text = &scan.text[start..end];
    if text.matches(':').count() < 2 || text.parse::<Ipv6Addr>().is_err() {
        return None;
    }
    if text == "::" {
        return Some(address(start, end, 10));
    }
    // Eight groups of two are a hardware address or a fingerprint; a name of letters only is a path in some language.
    let short_groups = text.split(':').all(|group| group.len() == 2);
    let score = if short_groups || !text.bytes().any(|b| b.is_ascii_digit()) { UNLIKELY } else { SCORE };
    if after == '%' {
        let zone = &scan.text[end + 1..];
        end += 1 + zone.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).unwrap_or(zone.len());
    }
    Some(address(start, end, score))
}

/// Not within a word or another address: `std::cout` and `gggg:hhhh::1` are none.
fn may_begin(scan: &Scan<'_>, start: usize) -> bool {
    match scan.before(start) {
        ':' => {
            // `addr:2001:db8::1`: a name before the colon, no group of an address.
            let name = scan.text[..start - 1].rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            scan.byte(start) != b':'
                && !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphabetic())
                && name.bytes().any(|b| !b.is_ascii_hexdigit())
                && scan.before(start - 1 - name.len()) != ':'
        }
        c => !(c.is_alphanumeric() || matches!(c, '_' | '.')),
    }
}

/// The MAC address whose first group is this word: `00:1A:2B:3C:4D:5E`, `00-1A-…`, `001a.2b3c.4d5e`.
pub fn mac(scan: &Scan<'_>, word: Word) -> Option<Found> {
    let sign = scan.byte(word.end);
    let (groups, width) = match (word.len(), sign) {
        (2, b':' | b'-') => (6, 2),
        (4, b'.') => (3, 4),
        _ => return None,
    };
    mac_at(scan, word.start, sign, groups, width)
}

fn mac_at(scan: &Scan<'_>, start: usize, sign: u8, groups: usize, width: usize) -> Option<Found> {
    let end = start + groups * width + groups - 1;
    let text = scan.bytes.get(start..end)?;
    let fits = text.iter().enumerate().all(|(at, byte)| match at % (width + 1) == width {
        true => *byte == sign,
        false => byte.is_ascii_hexdigit(),
    });
    if !fits {
        return None;
    }
    let (before, after) = (scan.before(start), scan.after(end));
    let touches = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '-');
    let named_before = before == ':' && start >= 2 && !scan.before(start - 1).is_ascii_hexdigit();
    if (touches(before) && !named_before) || touches(after) {
        return None;
    }
    let only = |wanted: u8| text.iter().all(|byte| *byte == sign || byte.eq_ignore_ascii_case(&wanted));
    if only(b'0') || only(b'f') {
        return None;
    }
    // Without a letter it may be a time, a date or a version.
    let score = if text.iter().any(u8::is_ascii_alphabetic) { 60 } else { UNLIKELY };
    let found = scan.judge(Kind::MacAddress, start, end, score, Check::Absent)?;
    Some(Found { score: found.score.min(60), ..found })
}
