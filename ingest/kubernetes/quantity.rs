//! Kubernetes quantities (`100m`, `1Gi`, `12e6`), read exactly. As the API server does, digits below a nano round away
//! from zero; larger than 2⁶³−1 is refused, where the server would cap it.

/// An amount in units of 10⁻⁹.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    nanos: i128,
}

const NANOS_PER_UNIT: i128 = 1_000_000_000;
const NANO_DIGITS: i32 = 9;
const DIGITS_MAX: usize = 38;

/// What a suffix multiplies with.
#[derive(Debug, Clone, Copy)]
enum Scale {
    Ten(i32),
    Two(u32),
}

impl Quantity {
    /// Reads one quantity.
    pub fn parse(text: &str) -> Result<Quantity, String> {
        let refuse = |why: &str| format!("{why}: {:?}", crate::json::clip(text));
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') {
            return Err(refuse("no quantity"));
        }
        let scale = scale(suffix).ok_or_else(|| refuse("no quantity"))?;
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        if digits.len() > DIGITS_MAX {
            return Err(refuse("a quantity of more than 38 digits"));
        }
        let mantissa: i128 = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| refuse("no quantity"))? };
        let fraction_digits = i32::try_from(fraction.len()).map_err(|_| refuse("no quantity"))?;
        let nanos = nanos(mantissa, fraction_digits, scale).filter(|n| *n <= i128::from(i64::MAX) * NANOS_PER_UNIT);
        let nanos = nanos.ok_or_else(|| refuse("a quantity larger than 2^63-1"))?;
        Ok(Quantity { nanos: if negative { -nanos } else { nanos } })
    }

    /// Reads a JSON text or number.
    pub fn from_json(value: &serde_json::Value) -> Result<Quantity, String> {
        match value {
            serde_json::Value::String(text) => Quantity::parse(text),
            serde_json::Value::Number(number) => Quantity::parse(&number.to_string()),
            other => Err(format!("no quantity: {}", crate::json::clip(&other.to_string()))),
        }
    }

    /// Units of 10⁻¹⁸, as a `Decimal` cell holds them.
    pub fn decimal(self) -> i128 {
        self.nanos * NANOS_PER_UNIT
    }

    /// Whole units, rounded away from zero as the scheduler rounds.
    pub fn whole(self) -> i64 {
        let magnitude = divide_up(self.nanos.abs(), NANOS_PER_UNIT) * self.nanos.signum();
        i64::try_from(magnitude).expect("parse refuses what does not fit 63 bits")
    }
}

fn scale(suffix: &str) -> Option<Scale> {
    Some(match suffix {
        "" => Scale::Ten(0),
        "n" => Scale::Ten(-9),
        "u" => Scale::Ten(-6),
        "m" => Scale::Ten(-3),
        "k" => Scale::Ten(3),
        "M" => Scale::Ten(6),
        "G" => Scale::Ten(9),
        "T" => Scale::Ten(12),
        "P" => Scale::Ten(15),
        "E" => Scale::Ten(18),
        "Ki" => Scale::Two(10),
        "Mi" => Scale::Two(20),
        "Gi" => Scale::Two(30),
        "Ti" => Scale::Two(40),
        "Pi" => Scale::Two(50),
        "Ei" => Scale::Two(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
            let signed = exponent.strip_prefix('-').unwrap_or(exponent);
            if signed.is_empty() || !signed.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            // Beyond this the result is zero, a nano or too large, whatever the digits.
            Scale::Ten(exponent.parse::<i32>().ok()?.clamp(-10_000, 10_000))
        }
    })
}

fn nanos(mantissa: i128, fraction_digits: i32, scale: Scale) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    let (factor, ten) = match scale {
        Scale::Ten(exponent) => (1, exponent),
        Scale::Two(bits) => (1_i128 << bits, 0),
    };
    let scaled = mantissa.checked_mul(factor)?;
    let power = ten - fraction_digits + NANO_DIGITS;
    let ten_to = |power: u32| 10_i128.checked_pow(power);
    if power >= 0 {
        return scaled.checked_mul(ten_to(power.unsigned_abs())?);
    }
    // A divisor that does not fit is larger than any mantissa: what is left of it rounds up to one nano.
    Some(ten_to(power.unsigned_abs()).map_or(1, |divisor| divide_up(scaled, divisor)))
}

fn divide_up(value: i128, divisor: i128) -> i128 {
    value / divisor + i128::from(value % divisor != 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> i128 {
        Quantity::parse(text).unwrap().decimal()
    }

    #[test]
    fn the_forms_that_clusters_write() {
        const ONE: i128 = 1_000_000_000_000_000_000;
        for (text, expected) in [
            ("100m", ONE / 10),
            ("0.5", ONE / 2),
            (".5", ONE / 2),
            ("1.", ONE),
            ("1e3", 1000 * ONE),
            ("1E3", 1000 * ONE),
            ("12e6", 12_000_000 * ONE),
            ("1.5e-3", ONE / 1000 + ONE / 2000),
            ("1E", 1_000_000_000_000_000_000 * ONE),
            ("128974848", 128_974_848 * ONE),
            ("129M", 129_000_000 * ONE),
            ("123Mi", 128_974_848 * ONE),
            ("1.5Gi", 1_610_612_736 * ONE),
            ("250u", ONE / 4000),
            ("3n", 3 * ONE / 1_000_000_000),
            ("0.1n", ONE / 1_000_000_000),
            ("-2", -2 * ONE),
            ("+2", 2 * ONE),
            ("0", 0),
            ("0.000Ki", 0),
            ("1e-9999", ONE / 1_000_000_000),
        ] {
            assert_eq!(decimal(text), expected, "{text}");
        }
        assert_eq!(Quantity::parse("100m").unwrap().whole(), 1);
        assert_eq!(Quantity::parse("-100m").unwrap().whole(), -1);
        assert_eq!(Quantity::parse("7Ei").unwrap().whole(), 7 << 60);
    }

    #[test]
    fn what_is_no_quantity() {
        for text in
            ["", "m", ".", "1.2.3", "1 Gi", "1gi", "1KB", "0x10", "1e", "1e+", "1e1.5", "NaN", "١", "1Gi ", "--1"]
        {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
        for text in ["9223372036854775808", "8Ei", "1e19", "1e9999", "99999999999999999999999999999999999999Ei"] {
            assert!(Quantity::parse(text).unwrap_err().contains("2^63-1"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_suffix_multiplies(number in 0_i64..4_000_000, which in 0_usize..15) {
            let suffixes = ["n", "u", "m", "", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "e0", "e3", "E-3"];
            let per_unit: [i128; 15] = [1, 1_000, 1_000_000, 1_000_000_000, 1_000_000_000_000, 1_000_000_000_000_000,
                1_000_000_000_000_000_000, 1_000_000_000_000_000_000_000, 1_000_000_000 << 10, 1_000_000_000 << 20,
                1_000_000_000 << 30, 1_000_000_000 << 40, 1_000_000_000, 1_000_000_000_000, 1_000_000];
            let read = Quantity::parse(&format!("{number}{}", suffixes[which])).unwrap();
            prop_assert_eq!(read.decimal(), i128::from(number) * per_unit[which] * 1_000_000_000);
        }

        #[test]
        fn a_fraction_is_exact(whole in 0_u32..1_000_000, nano in 0_u32..1_000_000_000) {
            let read = Quantity::parse(&format!("{whole}.{nano:09}")).unwrap();
            prop_assert_eq!(read.decimal(), (i128::from(whole) * 1_000_000_000 + i128::from(nano)) * 1_000_000_000);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = Quantity::parse(&text).map(Quantity::whole);
        }
    }
}
