//! What German offices and insurers number people with. Most are digits in a row: their check digit is not enough, a word
//! near them must say what they are.

use super::kind::Kind;
use super::{Check, Found, Scan, Word, checksum, plate};

/// A finding that only a word near it makes sure.
const WEAK: u8 = 40;
/// A form that says little.
const VAGUE: u8 = 20;

/// Everything that the word may begin or end.
pub fn candidates(scan: &Scan<'_>, word: Word, add: &mut dyn FnMut(Found)) {
    let bytes = &scan.bytes[word.start..word.end];
    let found: [Option<Found>; 2] = match (word.number, bytes.len()) {
        (true, 2) => [grouped_tax_id(scan, word), grouped_pension(scan, word)],
        (true, 9) => {
            practice(scan, word).into_iter().for_each(&mut *add);
            [physician(scan, word), vat_id(scan, word)]
        }
        (true, 3) => [vat_id(scan, word), None],
        (true, 5) => [postcode(scan, word), None],
        (true, 11) => [tax_id(scan, word, word.end), None],
        (false, 5) => [vat_id(scan, word), None],
        (false, 9 | 10) => {
            health_insurance(scan, word).into_iter().for_each(&mut *add);
            [document(scan, word, Kind::DeIdCard), document(scan, word, Kind::DePassport)]
        }
        (false, 11) => [vat_id(scan, word), driving_licence(scan, word)],
        (false, 12) => [pension(scan, word), None],
        _ => [None, None],
    };
    found.into_iter().flatten().for_each(&mut *add);
    let others = [tax_number(scan, word), plate::plate(scan, word), commercial_register(scan, word)];
    others.into_iter().flatten().for_each(add);
}

/// Eleven digits, no zero in front, no digit four times among the first ten, and the check digit.
fn tax_id(scan: &Scan<'_>, word: Word, end: usize) -> Option<Found> {
    if !scan.wanted.has(Kind::DeTaxId) {
        return None;
    }
    let digits: Vec<u8> = scan.bytes[word.start..end].iter().copied().filter(u8::is_ascii_digit).collect();
    let often = (b'0'..=b'9').any(|digit| digits[..10].iter().filter(|d| **d == digit).count() >= 4);
    if digits[0] == b'0' || often || !checksum::mod_11_10(&digits) || !scan.alone(word.start, end) {
        return None;
    }
    scan.judge(Kind::DeTaxId, word.start, end, WEAK, Check::Valid)
}

/// The same as `12 345 678 903`.
fn grouped_tax_id(scan: &Scan<'_>, word: Word) -> Option<Found> {
    let end = word.start + 14;
    (shape(scan, word.start, "00 000 000 000")).then(|| tax_id(scan, word, end)).flatten()
}

/// Whether the text there has this shape: `0` a digit, `A` a letter, anything else itself.
fn shape(scan: &Scan<'_>, start: usize, shape: &str) -> bool {
    let text = scan.bytes.get(start..start + shape.len());
    text.is_some_and(|text| {
        text.iter().zip(shape.bytes()).all(|(byte, wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            b'A' => byte.is_ascii_alphabetic(),
            _ => *byte == wanted,
        })
    })
}

/// Shapes of the number that a tax office gives, by state, and the one that all states send electronically.
const TAX_NUMBERS: &[&str] = &[
    "000/000/00000",
    "000/0000/00000",
    "000/0000/0000",
    "000/000/0000",
    "00/000/00000",
    "00/0000/00000",
    "00/0000/0000",
    "00/000/0000",
    "00000/00000",
    "0 000/00000",
    "000 000 00000",
    "00 000 00000",
    "000 0000 0000",
];

/// The number of a taxpayer at an office; it has no check digit that all states share.
fn tax_number(scan: &Scan<'_>, word: Word) -> Option<Found> {
    if !word.number || !matches!(word.len(), 1 | 2 | 3 | 5 | 10 | 11 | 13) || !scan.wanted.has(Kind::DeTaxNumber) {
        return None;
    }
    if word.len() >= 10 {
        return solid_tax_number(scan, word);
    }
    if !matches!(scan.byte(word.end), b'/' | b' ') || !scan.byte(word.end + 1).is_ascii_digit() {
        return None;
    }
    let fits = |text: &&&str| {
        let end = word.start + text.len();
        shape(scan, word.start, text) && scan.alone(word.start, end) && scan.after(end) != '/'
    };
    let shape = TAX_NUMBERS.iter().find(fits)?;
    // Slashes are how they are written; spaces are how everything is.
    let alone = if shape.contains('/') { WEAK } else { VAGUE };
    (scan.before(word.start) != '/')
        .then(|| scan.judge(Kind::DeTaxNumber, word.start, word.start + shape.len(), alone, Check::Absent))
        .flatten()
}

/// Thirteen digits that begin with a state or its office; or ten and eleven, which are as much anything else.
fn solid_tax_number(scan: &Scan<'_>, word: Word) -> Option<Found> {
    let digits = &scan.bytes[word.start..word.end];
    let state = (digits[0] - b'0') * 10 + (digits[1] - b'0');
    // The number of a state, or the first digits of its offices with the zero that stands behind them.
    let office =
        digits[4] == b'0' && matches!(state, 10 | 11 | 21..=24 | 26..=28 | 30..=32 | 40 | 41 | 50..=59 | 90..=99);
    let fits = digits.len() < 13 || (1..=16).contains(&state) || office;
    (fits && scan.alone(word.start, word.end))
        .then(|| scan.judge(Kind::DeTaxNumber, word.start, word.end, VAGUE, Check::Absent))
        .flatten()
}

/// Area, date of birth, letter of the name, serial number, check digit.
fn pension(scan: &Scan<'_>, word: Word) -> Option<Found> {
    pension_number(scan, word.start, word.end)
}

/// The same as `15 070649 C 103`.
fn grouped_pension(scan: &Scan<'_>, word: Word) -> Option<Found> {
    let end = word.start + 15;
    shape(scan, word.start, "00 000000 A 000").then(|| pension_number(scan, word.start, end)).flatten()
}

fn pension_number(scan: &Scan<'_>, start: usize, end: usize) -> Option<Found> {
    let number: Vec<u8> = scan.bytes[start..end].iter().copied().filter(|byte| *byte != b' ').collect();
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    if !digits(&number[..8]) || !number[8].is_ascii_alphabetic() || !digits(&number[9..]) {
        return None;
    }
    let two = |at: usize| u32::from(number[at] - b'0') * 10 + u32::from(number[at + 1] - b'0');
    // Who needs a second number of the same day gets the day with fifty added.
    let day = if two(2) > 50 { two(2) - 50 } else { two(2) };
    let date = (1..=31).contains(&day) && (1..=12).contains(&two(4));
    if two(0) < 2 || !date || !checksum::pension_insurance(&number) || !scan.alone(start, end) {
        return None;
    }
    scan.judge(Kind::DeSocialSecurity, start, end, 60, Check::Valid)
}

/// A letter, eight digits, the check digit.
fn health_insurance(scan: &Scan<'_>, word: Word) -> Option<Found> {
    let number = &scan.bytes[word.start..word.end];
    let fits = number.len() == 10 && number[0].is_ascii_alphabetic() && number[1..].iter().all(u8::is_ascii_digit);
    if !fits || !checksum::health_insurance(number) || !scan.alone(word.start, word.end) {
        return None;
    }
    scan.judge(Kind::DeHealthInsurance, word.start, word.end, WEAK, Check::Valid)
}

/// Serial numbers of identity cards and passports: no vowels and no letter that looks like a digit; the ninth or, where
/// the machine-readable zone was copied, the tenth character is the check digit. Old identity cards have none.
fn document(scan: &Scan<'_>, word: Word, kind: Kind) -> Option<Found> {
    let number: Vec<u8> = scan.bytes[word.start..word.end].iter().map(u8::to_ascii_uppercase).collect();
    let first = if kind == Kind::DePassport { &b"CFGHJK"[..] } else { &b"CFGHJKLMNPRTVWXYZ"[..] };
    let fits = first.contains(&number[0])
        && number.iter().all(|byte| byte.is_ascii_digit() || b"CFGHJKLMNPRTVWXYZ".contains(byte));
    if !fits || !scan.wanted.has(kind) || !scan.alone(word.start, word.end) {
        return None;
    }
    let old =
        kind == Kind::DeIdCard && number.len() == 9 && number[0] == b'T' && number[1..].iter().all(u8::is_ascii_digit);
    match checksum::weights_7_3_1(&number) {
        true => scan.judge(kind, word.start, word.end, WEAK, Check::Valid),
        false if old => scan.judge(kind, word.start, word.end, VAGUE, Check::Absent),
        false => None,
    }
}

/// `DE` and nine digits, the last of which is the check digit; with spaces, dots or dashes between.
fn vat_id(scan: &Scan<'_>, word: Word) -> Option<Found> {
    if !scan.wanted.has(Kind::DeVatId) {
        return None;
    }
    let is_country = |at: usize| scan.bytes.get(at..at + 2).is_some_and(|c| c.eq_ignore_ascii_case(b"DE"));
    let separates = |byte: u8| matches!(byte, b' ' | b'.' | b'-');
    let (start, digits_from) = if !word.number {
        if !is_country(word.start) {
            return None;
        }
        (word.start, word.start + 2)
    } else if word.start >= 3 && separates(scan.bytes[word.start - 1]) && is_country(word.start - 3) {
        (word.start - 3, word.start)
    } else {
        return None;
    };
    let mut digits = Vec::with_capacity(9);
    let mut at = digits_from;
    while digits.len() < 9 {
        if !digits.is_empty() && digits.len() % 3 == 0 && separates(scan.byte(at)) {
            at += 1;
        }
        digits.push(Some(scan.byte(at)).filter(u8::is_ascii_digit)?);
        at += 1;
    }
    if !scan.alone(start, at) {
        return None;
    }
    if !checksum::mod_11_10(&digits) {
        return scan.judge(Kind::DeVatId, start, at, VAGUE, Check::Failed);
    }
    let alone = if &scan.bytes[start..start + 2] == b"DE" { 80 } else { WEAK };
    scan.judge(Kind::DeVatId, start, at, alone, Check::Valid)
}

/// Six digits, the check digit, two digits of the specialty.
fn physician(scan: &Scan<'_>, word: Word) -> Option<Found> {
    let valid = checksum::physician(&scan.bytes[word.start..word.end]) && scan.alone(word.start, word.end);
    valid.then(|| scan.judge(Kind::DePhysician, word.start, word.end, VAGUE, Check::Valid)).flatten()
}

/// Two digits of the association of physicians, seven more.
fn practice(scan: &Scan<'_>, word: Word) -> Option<Found> {
    let fits = &scan.bytes[word.start..word.start + 2] != b"00" && scan.alone(word.start, word.end);
    fits.then(|| scan.judge(Kind::DePractice, word.start, word.end, VAGUE, Check::Absent)).flatten()
}

/// Five digits from 01001 to 99998.
fn postcode(scan: &Scan<'_>, word: Word) -> Option<Found> {
    let number = &scan.bytes[word.start..word.end];
    let fits = (&b"01001"[..]..=&b"99998"[..]).contains(&number) && scan.alone(word.start, word.end);
    fits.then(|| scan.judge(Kind::DePostcode, word.start, word.end, 10, Check::Absent)).flatten()
}

/// `HRB 123456`, `HRA12345`.
fn commercial_register(scan: &Scan<'_>, word: Word) -> Option<Found> {
    if !scan.wanted.has(Kind::DeCommercialRegister) {
        return None;
    }
    let is_section = |at: usize| {
        let section = scan.bytes.get(at..at + 3);
        section.is_some_and(|s| s.eq_ignore_ascii_case(b"HRA") || s.eq_ignore_ascii_case(b"HRB"))
    };
    let (start, digits) = if word.number {
        let start = word.start.checked_sub(4)?;
        (matches!(scan.bytes[word.start - 1], b' ' | b'-') && is_section(start)).then_some((start, word.start))?
    } else {
        is_section(word.start).then_some((word.start, word.start + 3))?
    };
    let number = &scan.bytes[digits..word.end];
    if !(1..=6).contains(&number.len()) || !number.iter().all(u8::is_ascii_digit) || !scan.alone(start, word.end) {
        return None;
    }
    let alone = if scan.bytes[start].is_ascii_uppercase() { 70 } else { WEAK };
    scan.judge(Kind::DeCommercialRegister, start, word.end, alone, Check::Absent)
}

/// Office, serial number, check digit, number of the copy; or, as older ones, two letters, eight digits and one more.
fn driving_licence(scan: &Scan<'_>, word: Word) -> Option<Found> {
    if !scan.wanted.has(Kind::DeDrivingLicence) || !scan.alone(word.start, word.end) {
        return None;
    }
    let number = &scan.bytes[word.start..word.end];
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    if number[0].is_ascii_alphanumeric() && digits(&number[1..3]) && checksum::driving_licence(number) {
        return scan.judge(Kind::DeDrivingLicence, word.start, word.end, WEAK, Check::Valid);
    }
    let older = number[..2].iter().all(u8::is_ascii_alphabetic) && digits(&number[2..10]);
    older.then(|| scan.judge(Kind::DeDrivingLicence, word.start, word.end, VAGUE, Check::Absent)).flatten()
}
