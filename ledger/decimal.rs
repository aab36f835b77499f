//! Numbers of cost files and price lists, exactly: plain or `1E-7` notation, any length, rounded half to even only
//! behind the 18th decimal, and then said so. And the little arithmetic over them that money needs: all of it in 256
//! bits, checked, and such that parts add up to their whole.

use engine::arrow::datatypes::i256;
use engine::sql::decimal::{divide_half_even, narrow};

/// A number in the ledger's units of 10⁻¹⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    /// Units of 10⁻¹⁸.
    pub units: i128,
    /// False: the text had digits behind the 18th decimal.
    pub exact: bool,
}

const SCALE: i32 = engine::table::DECIMAL_SCALE as i32;
const DIGITS_MAX: u32 = engine::table::DECIMAL_PRECISION as u32;
const LIMIT: u128 = 10u128.pow(DIGITS_MAX);

/// Reads a number; the error is the end of a sentence that begins with the text.
pub fn parse(text: &str) -> Result<Decimal, &'static str> {
    let text = text.trim();
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text.as_bytes()[1..]),
        Some(b'+') => (false, &text.as_bytes()[1..]),
        _ => (false, text.as_bytes()),
    };
    let number = Scanned::scan(digits).ok_or("is not a number")?;
    let (units, exact) = number.to_units()?;
    let units = i128::try_from(units).map_err(|_| TOO_LARGE)?;
    Ok(Decimal { units: if negative { -units } else { units }, exact })
}

/// One, in units of 10⁻¹⁸.
pub const ONE: i128 = 10i128.pow(SCALE.unsigned_abs());

/// A number of units as plain text, without trailing zeros.
pub fn text(units: i128) -> String {
    let magnitude = units.unsigned_abs();
    let one = ONE.unsigned_abs();
    let text = format!("{}{}.{:018}", if units < 0 { "-" } else { "" }, magnitude / one, magnitude % one);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `value × numerator ÷ denominator`, rounded half to even; `None` where it has more than 38 digits or the denominator
/// is zero.
pub fn scaled(value: i128, numerator: i128, denominator: i128) -> Option<i128> {
    if denominator == 0 {
        return None;
    }
    // Most products fit into half the width, where they are several times as fast.
    let product = match value.checked_mul(numerator) {
        Some(product) => i256::from_i128(product),
        None => i256::from_i128(value).checked_mul(i256::from_i128(numerator))?,
    };
    divide_half_even(product, i256::from_i128(denominator)).and_then(narrow)
}

/// The product of two numbers of units.
pub fn product(left: i128, right: i128) -> Option<i128> {
    scaled(left, right, ONE)
}

/// The parts of `total` by weight. They add up to it exactly: each part is the difference of two rounded running sums.
/// Weights are not negative; `None` where they are all zero or the numbers do not fit.
pub fn shares(total: i128, weights: impl IntoIterator<Item = i128> + Clone) -> Option<Vec<i128>> {
    let whole = weights.clone().into_iter().try_fold(0i128, i128::checked_add)?;
    if whole <= 0 {
        return None;
    }
    let (mut sum, mut given, mut parts) = (0i128, 0i128, Vec::new());
    for weight in weights {
        sum += weight;
        let until = scaled(total, sum, whole)?;
        parts.push(until - given);
        given = until;
    }
    Some(parts)
}

const TOO_LARGE: &str = "has more than 20 digits before the point";

/// mantissa × 10^exponent, and what was cut off behind the mantissa's 38 digits.
struct Scanned {
    mantissa: u128,
    exponent: i64,
    /// The first digit that was cut off.
    first_cut: Option<u8>,
    /// Whether any digit behind that one was more than zero.
    more_cut: bool,
}

impl Scanned {
    fn scan(bytes: &[u8]) -> Option<Scanned> {
        let mut out = Scanned { mantissa: 0, exponent: 0, first_cut: None, more_cut: false };
        let (mut seen, mut point, mut at) = (false, false, 0);
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'0'..=b'9' => {
                    seen = true;
                    out.push(byte - b'0', point);
                }
                b'.' if !point => point = true,
                b'e' | b'E' if seen => break,
                _ => return None,
            }
            at += 1;
        }
        if at < bytes.len() {
            let exponent: i64 = std::str::from_utf8(&bytes[at + 1..]).ok()?.parse().ok()?;
            out.exponent = out.exponent.checked_add(exponent)?;
        }
        seen.then_some(out)
    }

    fn push(&mut self, digit: u8, behind_point: bool) {
        if self.mantissa < LIMIT / 10 {
            self.mantissa = self.mantissa * 10 + u128::from(digit);
            self.exponent -= i64::from(behind_point);
        } else {
            // The 38 digits that count are taken; what follows only decides rounding.
            match self.first_cut {
                None => self.first_cut = Some(digit),
                Some(_) => self.more_cut |= digit != 0,
            }
            self.exponent += i64::from(!behind_point);
        }
    }

    fn to_units(&self) -> Result<(u128, bool), &'static str> {
        if self.mantissa == 0 {
            return Ok((0, true));
        }
        let cut = self.more_cut || self.first_cut.is_some_and(|digit| digit > 0);
        let shift = self.exponent + i64::from(SCALE);
        if shift >= 0 {
            let power = u32::try_from(shift).ok().filter(|s| *s <= DIGITS_MAX).ok_or(TOO_LARGE)?;
            let units = self.mantissa.checked_mul(10u128.pow(power)).ok_or(TOO_LARGE)?;
            let up = match self.first_cut {
                Some(5) => self.more_cut || units % 2 == 1,
                digit => digit > Some(5),
            };
            let units = units.checked_add(u128::from(up)).filter(|u| *u < LIMIT).ok_or(TOO_LARGE)?;
            return Ok((units, !cut));
        }
        // Beyond 38 places everything is cut off; the mantissa is below 10^38, so it rounds to zero there.
        let Some(power) = u32::try_from(-shift).ok().filter(|s| *s <= DIGITS_MAX) else { return Ok((0, false)) };
        let divisor = 10u128.pow(power);
        let (quotient, rest) = (self.mantissa / divisor, self.mantissa % divisor);
        let half = divisor / 2;
        let up = rest > half || (rest == half && (cut || quotient % 2 == 1));
        let units = quotient + u128::from(up);
        if units >= LIMIT {
            return Err(TOO_LARGE);
        }
        Ok((units, rest == 0 && !cut))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn products_and_quotients_round_half_to_even() {
        assert_eq!(product(2 * ONE, ONE / 4), Some(ONE / 2));
        assert_eq!(scaled(1, 1, 2), Some(0));
        assert_eq!(scaled(3, 1, 2), Some(2));
        assert_eq!(scaled(1, 1, 0), None);
        assert_eq!(product(10i128.pow(37), 10i128.pow(37)), None);
        assert_eq!(shares(10, [1, 1, 1]), Some(vec![3, 4, 3]));
        assert_eq!(shares(10, [0, 0]), None);
    }

    fn check(text: &str, expected: &str, exact: bool) {
        let got = parse(text).unwrap();
        assert_eq!((super::text(got.units).as_str(), got.exact), (expected, exact), "{text}");
    }

    #[test]
    fn numbers_are_read_exactly() {
        check("0.00000080000", "0.0000008", true);
        check("1E-7", "0.0000001", true);
        check("-1.5e+3", "-1500", true);
        check("+.5", "0.5", true);
        check("7.", "7", true);
        check("0.000000000000000000", "0", true);
        check("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999", true);
        check("0000000000000000000000000000000000000000001.5", "1.5", true);
        check("0e99999999", "0", true);
    }

    #[test]
    fn digits_behind_the_18th_decimal_round_half_to_even() {
        check("0.123456789012345678901234", "0.123456789012345679", false);
        check("0.0000000000000000005", "0", false);
        check("0.0000000000000000015", "0.000000000000000002", false);
        check("0.00000000000000000050000000000000000000000000000000001", "0.000000000000000001", false);
        check("-0.0000000000000000025", "-0.000000000000000002", false);
        check("1e-400", "0", false);
        check("12345678901234567890.1234567890123456785", "12345678901234567890.123456789012345678", false);
        check("12345678901234567890.1234567890123456775", "12345678901234567890.123456789012345678", false);
        check("12345678901234567890.12345678901234567850001", "12345678901234567890.123456789012345679", false);
    }

    #[test]
    fn what_is_no_number_or_too_large_is_refused() {
        for text in [
            "",
            " ",
            "NaN",
            "Infinity",
            "-inf",
            "1,5",
            "$10",
            "1.2.3",
            "e5",
            "1e",
            "--1",
            "0x1",
            ".",
            "1e9999999999999999999",
        ] {
            assert_eq!(parse(text), Err("is not a number"), "{text}");
        }
        for text in ["100000000000000000000", "1e20", "99999999999999999999.9999999999999999995", "1e300"] {
            assert_eq!(parse(text), Err(TOO_LARGE), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(units in -(10i128.pow(38) - 1)..10i128.pow(38)) {
            prop_assert_eq!(parse(&super::text(units)), Ok(Decimal { units, exact: true }));
        }

        #[test]
        fn parts_add_up_to_their_whole(total in -(10i128.pow(30))..10i128.pow(30), weights in prop::collection::vec(0i128..10i128.pow(25), 1..40)) {
            match shares(total, weights.iter().copied()) {
                Some(parts) => prop_assert_eq!(parts.iter().sum::<i128>(), total),
                None => prop_assert!(weights.iter().all(|weight| *weight == 0)),
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.eE, ]{0,60}") {
            let _ = parse(&text);
        }
    }
}
