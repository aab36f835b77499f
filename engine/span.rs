//! Spans of time as people write them: `500ms`, `30s`, `1.5m`, `1h30m`, `2d`, `1w`.

use std::time::Duration;

/// From the longest on, in milliseconds.
const UNITS: &[(&str, u64)] =
    &[("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// With a longer one, an instant in microseconds could leave its 64 bits.
const SPAN_MAX: Duration = Duration::from_secs(100_000 * 365 * 86_400);

/// Reads a span: numbers, each with its unit. Fails on anything else, and above a hundred thousand years.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no span of time: write 500ms, 30s, 5m, 1h30m, 2d or 1w");
    let (mut left, mut span) = (text.trim(), Duration::ZERO);
    if left.is_empty() {
        return Err(wrong());
    }
    while !left.is_empty() {
        let (number, rest) = split_at(left, |c| !c.is_ascii_digit() && c != '.');
        let (unit, rest) = split_at(rest.trim_start(), |c| !c.is_ascii_alphabetic());
        let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        span = span.checked_add(part(number, *unit_ms).ok_or_else(wrong)?).ok_or_else(wrong)?;
        left = rest.trim_start();
    }
    if span > SPAN_MAX { Err(wrong()) } else { Ok(span) }
}

fn split_at(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// Whole numbers exactly, others to the nanosecond.
fn part(number: &str, unit_ms: u64) -> Option<Duration> {
    if number.contains('.') {
        let number: f64 = number.parse().ok()?;
        return Duration::try_from_secs_f64(number * unit_ms as f64 / 1e3).ok();
    }
    number.parse::<u64>().ok()?.checked_mul(unit_ms).map(Duration::from_millis)
}

/// Writes a span of whole milliseconds the shortest way.
pub fn write_span(span: Duration) -> String {
    let mut left = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, unit) in UNITS {
        if left >= *unit {
            text.push_str(&format!("{}{name}", left / unit));
            left %= unit;
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_of_all_units() {
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("1.5m", 90_000),
            ("1h30m", 5_400_000),
            (" 1h 30m ", 5_400_000),
            ("2 d", 172_800_000),
            ("1w", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_span(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in
            ["", "soon", "-1s", "30", "3 weeks", "s", "1.2.3s", "1h30", "101w x", "6000000w", "99999999999999999999s"]
        {
            let why = parse_span(text).unwrap_err();
            assert!(why.contains("no span of time"), "{text}: {why}");
        }
    }

    proptest! {
        #[test]
        fn spans_are_read_as_they_are_written(ms in 0_u64..300_000_000_000) {
            let span = Duration::from_millis(ms);
            prop_assert_eq!(parse_span(&write_span(span)).unwrap(), span);
        }

        #[test]
        fn reading_any_text_ends(text in "[ -~äµ]{0,12}") {
            let _ = parse_span(&text);
        }
    }
}
