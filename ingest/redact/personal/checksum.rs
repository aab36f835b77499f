//! Check digits: arithmetic over the characters of an identifier, one function a scheme.

use sha2::{Digest, Sha256};

/// The value of an ASCII digit.
fn digit(byte: u8) -> u32 {
    u32::from(byte.wrapping_sub(b'0'))
}

/// The value of a digit or letter in passports and IBANs: `A` is 10.
fn value(byte: u8) -> u32 {
    match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        _ => u32::from(byte.to_ascii_uppercase()).saturating_sub(u32::from(b'A')) + 10,
    }
}

/// A letter as two digits: `A` is 01.
fn letter(byte: u8) -> [u32; 2] {
    let number = u32::from(byte.to_ascii_uppercase() - b'A') + 1;
    [number / 10, number % 10]
}

fn digit_sum(number: u32) -> u32 {
    number / 10 + number % 10
}

/// Luhn's check over digits, the last of which is the check digit: payment cards.
pub fn luhn(digits: &[u8]) -> bool {
    let doubled = |(place, byte): (usize, &u8)| match place % 2 {
        0 => digit(*byte),
        _ => digit_sum(2 * digit(*byte)),
    };
    digits.iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}

/// ISO 7064 MOD 97-10 over an IBAN without separators, its country and check digits first.
pub fn mod_97(iban: &[u8]) -> bool {
    let turned = iban[4..].iter().chain(&iban[..4]);
    let rest = turned.fold(0, |rest, byte| match value(*byte) {
        value if value < 10 => (rest * 10 + value) % 97,
        value => (rest * 100 + value) % 97,
    });
    rest == 1
}

/// ISO 7064 MOD 11,10 over digits, the last of which is the check digit: German tax ids and VAT ids.
pub fn mod_11_10(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10, |product, byte| {
        let sum = (product + digit(*byte)) % 10;
        2 * (if sum == 0 { 10 } else { sum }) % 11
    });
    (11 - product) % 10 == digit(*check)
}

/// Weights 7, 3, 1 over all but the last character, which is the check digit: documents with a machine-readable zone.
pub fn weights_7_3_1(document: &[u8]) -> bool {
    let Some((check, body)) = document.split_last() else { return false };
    let sum: u32 = body.iter().zip([7, 3, 1].iter().cycle()).map(|(byte, weight)| value(*byte) * weight).sum();
    check.is_ascii_digit() && sum % 10 == digit(*check)
}

/// The German health insurance number: a letter, eight digits, the check digit.
pub fn health_insurance(number: &[u8]) -> bool {
    let Some((check, body)) = number.split_last() else { return false };
    let figures = letter(body[0]).into_iter().chain(body[1..].iter().map(|byte| digit(*byte)));
    let sum: u32 = figures.zip([1, 2].iter().cycle()).map(|(figure, weight)| digit_sum(figure * weight)).sum();
    sum % 10 == digit(*check)
}

/// The German pension insurance number: area, date of birth, letter, serial number, the check digit.
pub fn pension_insurance(number: &[u8]) -> bool {
    const WEIGHTS: [u32; 12] = [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1];
    let Some((check, body)) = number.split_last() else { return false };
    let figures = body[..8].iter().map(|byte| digit(*byte)).chain(letter(body[8]));
    let figures = figures.chain(body[9..].iter().map(|byte| digit(*byte)));
    let sum: u32 = figures.zip(WEIGHTS).map(|(figure, weight)| digit_sum(figure * weight)).sum();
    sum % 10 == digit(*check)
}

/// The German lifelong physician number: six digits, the check digit, two digits of the specialty.
pub fn physician(number: &[u8]) -> bool {
    let sum: u32 = number[..6].iter().zip([4, 9].iter().cycle()).map(|(byte, weight)| digit(*byte) * weight).sum();
    (10 - sum % 10) % 10 == digit(number[6])
}

/// The German driving licence: nine characters, the check digit (`X` is ten), the number of the copy.
pub fn driving_licence(number: &[u8]) -> bool {
    let sum: u32 = number[..9].iter().zip((1..=9).rev()).map(|(byte, weight)| value(*byte) * weight).sum();
    match sum % 11 {
        10 => number[9].eq_ignore_ascii_case(&b'X'),
        rest => number[9].is_ascii_digit() && digit(number[9]) == rest,
    }
}

/// A base58 address of version, hash and four bytes of a double SHA-256.
pub fn base58(address: &str) -> bool {
    const ALPHABET: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    const BYTES: usize = 25;
    let mut bytes = [0_u8; BYTES];
    for character in address.bytes() {
        let Some(at) = ALPHABET.iter().position(|known| *known == character) else { return false };
        let mut carry = at;
        for byte in bytes.iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = (carry % 256) as u8;
            carry /= 256;
        }
        if carry > 0 {
            return false;
        }
    }
    let (body, check) = bytes.split_at(BYTES - 4);
    Sha256::digest(Sha256::digest(body))[..4] == *check
}

/// A bech32 or bech32m address: its last six characters are a checksum over all of it.
pub fn bech32(address: &str) -> bool {
    const ALPHABET: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let lower = address.to_ascii_lowercase();
    let Some((human, data)) = lower.rsplit_once('1') else { return false };
    let mut values: Vec<u32> = human.bytes().map(|byte| u32::from(byte >> 5)).collect();
    values.push(0);
    values.extend(human.bytes().map(|byte| u32::from(byte & 31)));
    for character in data.bytes() {
        let Some(at) = ALPHABET.iter().position(|known| *known == character) else { return false };
        values.push(at as u32);
    }
    let checksum = values.iter().fold(1_u32, |checksum, value| {
        let top = checksum >> 25;
        let next = ((checksum & 0x1ff_ffff) << 5) ^ value;
        GENERATOR
            .iter()
            .enumerate()
            .fold(next, |next, (bit, with)| if top >> bit & 1 == 1 { next ^ with } else { next })
    });
    matches!(checksum, 1 | 0x2bc8_30a3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_examples() {
        for (name, check, good) in [
            ("luhn", luhn as fn(&[u8]) -> bool, "4012888888881881"),
            ("mod 97", mod_97, "DE89370400440532013000"),
            ("mod 97", mod_97, "GB82WEST12345698765432"),
            ("mod 11,10", mod_11_10, "136695976"),
            ("mod 11,10", mod_11_10, "12345678903"),
            ("7-3-1", weights_7_3_1, "L01X00T471"),
            ("health", health_insurance, "A000500015"),
            ("pension", pension_insurance, "15070649C103"),
            ("physician", physician, "123456601"),
            ("licence", driving_licence, "B072RRE2I55"),
        ] {
            assert!(check(good.as_bytes()), "{name}: {good}");
        }
        assert!(base58("16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ") && !base58("16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyY"));
        assert!(
            bech32("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq")
                && !bech32("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdp")
        );
    }

    proptest! {
        /// Every scheme here sees one changed digit; where two weights share a factor with ten, the test leaves them out.
        #[test]
        fn one_changed_digit_is_seen(digits in "[0-9]{15}", at in 0_usize..15, to in 0_u8..10) {
            let complete = |check: fn(&[u8]) -> bool, body: &str| -> Option<Vec<u8>> {
                (b'0'..=b'9').map(|last| [body.as_bytes(), &[last]].concat()).find(|whole| check(whole))
            };
            for check in [luhn as fn(&[u8]) -> bool, mod_11_10, weights_7_3_1] {
                let whole = complete(check, &digits).expect("one of ten digits checks");
                let mut changed = whole.clone();
                changed[at] = b'0' + to;
                prop_assert_eq!(check(&changed), changed == whole);
            }
        }
    }
}
