//! Payment cards and Bitcoin addresses.

use super::checksum::{base58, bech32, luhn};
use super::kind::Kind;
use super::{Check, Found, Scan, Word};

/// A finding that only a word near it makes sure.
const WEAK: u8 = 40;
/// A number that a name says is a count of something.
const COUNTED: u8 = 30;

/// The card whose first digits are this word: in one piece, or in the groups that are printed on it.
pub fn card(scan: &Scan<'_>, word: Word) -> Option<Found> {
    if !word.number || !(word.len() == 4 || (12..=19).contains(&word.len())) || !scan.wanted.has(Kind::PaymentCard) {
        return None;
    }
    let solid = word.len() > 4;
    let (digits, end) =
        if solid { (scan.bytes[word.start..word.end].to_vec(), word.end) } else { grouped(scan, word)? };
    let strong = issuer(&digits)?;
    if !luhn(&digits) || digits.iter().all(|digit| *digit == digits[0]) || !stands_alone(scan, word.start, end) {
        return None;
    }
    let alone = match () {
        () if !strong => WEAK,
        () if solid && scan.is_counter(word.start) => COUNTED,
        () => 100,
    };
    scan.judge(Kind::PaymentCard, word.start, end, alone, Check::Valid)
}

/// `4012 8888 8888 1881`, `3782-822463-10005`: the same sign between groups of these lengths.
fn grouped(scan: &Scan<'_>, word: Word) -> Option<(Vec<u8>, usize)> {
    const GROUPS: &[&[usize]] = &[&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 4, 1]];
    let sign = Some(scan.byte(word.end)).filter(|sign| matches!(sign, b' ' | b'-'))?;
    if !scan.bytes.get(word.end + 1..word.end + 5)?.iter().all(u8::is_ascii_digit) {
        return None;
    }
    GROUPS.iter().find_map(|groups| {
        let mut digits = Vec::new();
        let mut at = word.start;
        for (number, group) in groups.iter().enumerate() {
            if number > 0 {
                if scan.byte(at) != sign {
                    return None;
                }
                at += 1;
            }
            digits.extend(scan.bytes.get(at..at + group)?);
            at += group;
        }
        (digits.iter().all(u8::is_ascii_digit) && !scan.byte(at).is_ascii_digit()).then_some((digits, at))
    })
}

/// Not within a longer number, a decimal or an identifier with dashes.
fn stands_alone(scan: &Scan<'_>, start: usize, end: usize) -> bool {
    let (before, after) = (scan.before(start), scan.after(end));
    let further_before = if start >= 2 && before.is_ascii() { scan.before(start - 1) } else { ' ' };
    let further_after = if after.is_ascii() { scan.after(end + 1) } else { ' ' };
    !(before.is_alphanumeric() || matches!(before, '_' | '.'))
        && !(before == '-' && further_before.is_alphanumeric())
        && !(after.is_alphanumeric() || after == '_')
        && !(matches!(after, '-' | '.' | '/') && further_after.is_alphanumeric())
}

/// Whether a large issuer's prefix and length fit; `None` where no issuer's do.
fn issuer(digits: &[u8]) -> Option<bool> {
    let prefix =
        |count: usize| digits[..count].iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'));
    let (two, three, four, length) = (prefix(2), prefix(3), prefix(4), digits.len());
    match (two, length) {
        // Visa; Mastercard; American Express; Diners Club; JCB; Discover; UnionPay.
        (40..=49, 16) | (51..=55, 16) | (34 | 37, 15) | (36 | 38 | 39, 14) | (65, 16) | (62, 16) => Some(true),
        (22..=27, 16) if (2221..=2720).contains(&four) => Some(true),
        (30, 14) if (300..=305).contains(&three) => Some(true),
        (35, 16) if (3528..=3589).contains(&four) => Some(true),
        (60 | 64, 16) if four == 6011 || (644..=649).contains(&three) => Some(true),
        (40..=49, 13 | 19) | (62, 17..=19) | (60 | 64 | 65, 19) | (35, 17..=19) => Some(false),
        // Maestro and other debit cards; air travel cards.
        (50 | 56..=58 | 60 | 61 | 63 | 66..=69, 12..=19) | (10..=19, 15) => Some(false),
        _ => None,
    }
}

/// A Bitcoin address: base58 with its hash, or bech32.
pub fn crypto(scan: &Scan<'_>, word: Word) -> Option<Found> {
    if !matches!(word.len(), 26..=35 | 42 | 62) || !scan.wanted.has(Kind::CryptoAddress) {
        return None;
    }
    let text = &scan.text[word.start..word.end];
    let valid = match text.as_bytes()[..3] {
        [b'b' | b'B', b'c' | b'C', b'1'] => matches!(text.len(), 42 | 62) && bech32(text),
        // Hashes and ids in hexadecimal have no capitals.
        [b'1' | b'3', ..] => text.len() <= 35 && text.bytes().any(|b| b.is_ascii_uppercase()) && base58(text),
        _ => false,
    };
    let found = Found { kind: Kind::CryptoAddress, start: word.start, end: word.end, score: 100, check: Check::Valid };
    (valid && scan.alone(word.start, word.end)).then_some(found)
}
