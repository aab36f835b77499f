//! Spans of time as people write them: `30s`, `5m`, `1h30m`, `2d`, `1w`.

use std::time::Duration;

const UNITS: &[(char, u64)] = &[('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
/// A longer span is a mistake.
const SPAN_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Reads a span.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no span of time: write 30s, 5m, 1h30m, 2d or 1w");
    let (mut seconds, mut number, mut any) = (0_u64, None::<u64>, false);
    for sign in text.trim().chars() {
        if let Some(digit) = sign.to_digit(10) {
            let so_far = number.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(digit.into()));
            number = Some(so_far.ok_or_else(wrong)?);
            continue;
        }
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == sign).ok_or_else(wrong)?;
        let part = number.take().and_then(|n| n.checked_mul(*unit)).ok_or_else(wrong)?;
        seconds = seconds.checked_add(part).ok_or_else(wrong)?;
        any = true;
    }
    let span = Duration::from_secs(seconds);
    if !any || number.is_some() || span > SPAN_MAX { Err(wrong()) } else { Ok(span) }
}

/// Writes a span of whole seconds the shortest way.
pub fn write_span(span: Duration) -> String {
    let mut left = span.as_secs();
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
