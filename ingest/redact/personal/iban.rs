//! International bank account numbers: the structure of each country's account, then mod 97.

use super::checksum::mod_97;
use super::kind::Kind;
use super::{Check, Found, Scan, Word};

/// How each country's account number is built behind the four characters of country and check digits: how many digits
/// (n), capital letters (a), or either (c), as the registry of ISO 13616 writes it; and the unregistered ones in use.
const STRUCTURES: &[(&str, &str)] = &[
    ("AD", "8n12c"),
    ("AE", "19n"),
    ("AL", "8n16c"),
    ("AO", "21n"),
    ("AT", "16n"),
    ("AZ", "4a20c"),
    ("BA", "16n"),
    ("BE", "12n"),
    ("BF", "2c22n"),
    ("BG", "4a6n8c"),
    ("BH", "4a14c"),
    ("BI", "23n"),
    ("BJ", "2c22n"),
    ("BR", "23n1a1c"),
    ("BY", "4c4n16c"),
    ("CF", "23n"),
    ("CG", "23n"),
    ("CH", "5n12c"),
    ("CI", "2c22n"),
    ("CM", "23n"),
    ("CR", "18n"),
    ("CV", "21n"),
    ("CY", "8n16c"),
    ("CZ", "20n"),
    ("DE", "18n"),
    ("DJ", "23n"),
    ("DK", "14n"),
    ("DO", "4c20n"),
    ("DZ", "22n"),
    ("EE", "16n"),
    ("EG", "25n"),
    ("ES", "20n"),
    ("FI", "14n"),
    ("FK", "2a12n"),
    ("FO", "14n"),
    ("FR", "10n11c2n"),
    ("GA", "23n"),
    ("GB", "4a14n"),
    ("GE", "2a16n"),
    ("GI", "4a15c"),
    ("GL", "14n"),
    ("GQ", "23n"),
    ("GR", "7n16c"),
    ("GT", "4c20c"),
    ("GW", "2c19n"),
    ("HN", "4a20n"),
    ("HR", "17n"),
    ("HU", "24n"),
    ("IE", "4a14n"),
    ("IL", "19n"),
    ("IQ", "4a15n"),
    ("IR", "22n"),
    ("IS", "22n"),
    ("IT", "1a10n12c"),
    ("JO", "4a4n18c"),
    ("KM", "23n"),
    ("KW", "4a22c"),
    ("KZ", "3n13c"),
    ("LB", "4n20c"),
    ("LC", "4a24c"),
    ("LI", "5n12c"),
    ("LT", "16n"),
    ("LU", "3n13c"),
    ("LV", "4a13c"),
    ("LY", "21n"),
    ("MA", "24n"),
    ("MC", "10n11c2n"),
    ("MD", "2c18c"),
    ("ME", "18n"),
    ("MG", "23n"),
    ("MK", "3n10c2n"),
    ("ML", "2c22n"),
    ("MN", "16n"),
    ("MR", "23n"),
    ("MT", "4a5n18c"),
    ("MU", "4a19n3a"),
    ("MZ", "21n"),
    ("NE", "2a22n"),
    ("NI", "4a20n"),
    ("NL", "4a10n"),
    ("NO", "11n"),
    ("OM", "3n16c"),
    ("PK", "4c16c"),
    ("PL", "24n"),
    ("PS", "4c21c"),
    ("PT", "21n"),
    ("QA", "4a21c"),
    ("RO", "4c16c"),
    ("RS", "18n"),
    ("RU", "14n15c"),
    ("SA", "2n18c"),
    ("SC", "4a20n3a"),
    ("SD", "14n"),
    ("SE", "20n"),
    ("SI", "15n"),
    ("SK", "20n"),
    ("SM", "1a10n12c"),
    ("SN", "2a22n"),
    ("SO", "19n"),
    ("ST", "21n"),
    ("SV", "4a20n"),
    ("TD", "23n"),
    ("TG", "2a22n"),
    ("TL", "19n"),
    ("TN", "20n"),
    ("TR", "6n16c"),
    ("UA", "6n19c"),
    ("VA", "18n"),
    ("VG", "4c16n"),
    ("XK", "16n"),
    ("YE", "4a4n18c"),
];
/// Longest there may be.
const CHARACTERS_MAX: usize = 34;

/// The account number that begins with this word.
pub fn iban(scan: &Scan<'_>, word: Word) -> Option<Found> {
    let begin = &scan.bytes[word.start..word.end];
    let fits = begin.len() >= 4
        && begin[..2].iter().all(u8::is_ascii_alphabetic)
        && begin[2..4].iter().all(u8::is_ascii_digit);
    if !fits || !scan.wanted.has(Kind::Iban) || matches!(scan.before(word.start), '_' | '.' | '/') {
        return None;
    }
    let country = [begin[0].to_ascii_uppercase(), begin[1].to_ascii_uppercase()];
    let (_, structure) = STRUCTURES.iter().find(|(code, _)| code.as_bytes() == country)?;
    let length = 4 + parts(structure).map(|(count, _)| count).sum::<usize>();
    let (number, end) = compact(scan, word.start, length)?;
    let after = scan.after(end);
    // Written in capitals or in small letters, not in both.
    let written = &scan.bytes[word.start..end];
    let mixed = written.iter().any(u8::is_ascii_uppercase) && written.iter().any(u8::is_ascii_lowercase);
    if mixed || after.is_alphanumeric() || after == '_' || !has_structure(&number[4..], structure) || !mod_97(&number) {
        return None;
    }
    Some(Found { kind: Kind::Iban, start: word.start, end, score: 100, check: Check::Valid })
}

/// So many characters, with one sign between groups of four where the first group has one behind it.
fn compact(scan: &Scan<'_>, start: usize, length: usize) -> Option<(Vec<u8>, usize)> {
    let mut number = Vec::with_capacity(CHARACTERS_MAX);
    let mut at = start;
    let sign = Some(scan.byte(start + 4)).filter(|sign| matches!(sign, b' ' | b'-'));
    while number.len() < length {
        if !number.is_empty() && number.len() % 4 == 0 && Some(scan.byte(at)) == sign {
            at += 1;
        }
        let byte = scan.byte(at);
        if !byte.is_ascii_alphanumeric() {
            return None;
        }
        number.push(byte.to_ascii_uppercase());
        at += 1;
    }
    Some((number, at))
}

/// `8n12c` as counts and classes.
fn parts(structure: &str) -> impl Iterator<Item = (usize, u8)> {
    structure.split_inclusive(['n', 'a', 'c']).map(|part| {
        let (count, class) = part.split_at(part.len() - 1);
        (count.parse().expect("the table has counts"), class.as_bytes()[0])
    })
}

fn has_structure(mut account: &[u8], structure: &str) -> bool {
    parts(structure).all(|(count, class)| {
        let (part, rest) = account.split_at(count);
        account = rest;
        part.iter().all(|byte| match class {
            b'n' => byte.is_ascii_digit(),
            b'a' => byte.is_ascii_uppercase(),
            _ => byte.is_ascii_alphanumeric(),
        })
    })
}
