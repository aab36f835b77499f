//! Instants of cost files: ISO 8601 with `T` or a blank, with or without zone (then UTC, as FOCUS says), or a date alone.

/// Microseconds since 1970, and whether the text held more than microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant {
    /// Microseconds since 1970, UTC.
    pub micros: i64,
    /// False: digits behind the microsecond were cut off.
    pub exact: bool,
}

const NO_TIME: &str = "is not a time (ISO 8601: 2026-05-01T00:00:00Z)";

/// Reads an instant; the error is the end of a sentence that begins with the text.
pub fn parse(text: &str) -> Result<Instant, &'static str> {
    read(text.trim().as_bytes()).ok_or(NO_TIME)
}

/// Reads a date as Azure's actual and amortized exports write it: `09/01/2023` is the first of September.
pub fn parse_us(text: &str) -> Result<Instant, &'static str> {
    let mut parts = text.trim().splitn(3, '/');
    let mut next = || parts.next().and_then(|p| p.parse::<i64>().ok());
    match (next(), next(), next()) {
        (Some(month), Some(day), Some(year)) => {
            let year = if (0..100).contains(&year) { 2000 + year } else { year };
            // Four digits, as the other form has; more would not fit the microseconds either.
            let days = (1..=9999).contains(&year).then(|| days(year, month, day)).flatten().ok_or(NO_TIME)?;
            Ok(Instant { micros: days * DAY_US, exact: true })
        }
        _ => parse(text),
    }
}

const DAY_US: i64 = 86_400_000_000;

fn read(b: &[u8]) -> Option<Instant> {
    let (date, mut rest) = b.split_at_checked(10)?;
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let day = days(number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?)?;
    let (mut micros, mut exact) = (day * DAY_US, true);
    if let Some((b'T' | b't' | b' ', clock)) = rest.split_first() {
        let (hms, tail) = clock.split_at_checked(8).or_else(|| clock.split_at_checked(5))?;
        let (hour, minute) = (number(&hms[..2])?, number(&hms[3..5])?);
        let second = if hms.len() == 8 && hms[5] == b':' {
            number(&hms[6..])?
        } else if hms.len() == 5 {
            0
        } else {
            return None;
        };
        if hms[2] != b':' || hour > 24 || minute > 59 || second > 60 || (hour == 24 && minute + second > 0) {
            return None;
        }
        micros += (hour * 3600 + minute * 60 + second) * 1_000_000;
        rest = tail;
        if let Some((b'.' | b',', fraction)) = rest.split_first() {
            let length = fraction.iter().take_while(|c| c.is_ascii_digit()).count();
            let (digits, tail) = fraction.split_at(length);
            let six: i64 = (0..6).fold(0, |sum, i| sum * 10 + i64::from(digits.get(i).map_or(0, |c| c - b'0')));
            exact = digits.iter().skip(6).all(|c| *c == b'0');
            micros += six;
            rest = if length == 0 { return None } else { tail };
        }
    }
    micros -= zone_minutes(rest)? * 60_000_000;
    Some(Instant { micros, exact })
}

fn zone_minutes(zone: &[u8]) -> Option<i64> {
    match zone {
        b"" | b"Z" | b"z" | b" UTC" | b" utc" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, tail @ ..] => {
            let minutes = match tail {
                [] => 0,
                [b':', m1, m2] | [m1, m2] => number(&[*m1, *m2])?,
                _ => return None,
            };
            let total = number(&[*h1, *h2])? * 60 + minutes;
            (total <= 18 * 60).then_some(if *sign == b'-' { -total } else { total })
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0i64, |sum, c| c.is_ascii_digit().then(|| sum * 10 + i64::from(c - b'0')))
}

/// Days from 1970 to a date of the proleptic Gregorian calendar; none for one that does not exist.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Year, month and day of an instant.
pub fn date(micros: i64) -> (i64, i64, i64) {
    let z = micros.div_euclid(DAY_US) + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// The billing period that starts at this instant, as part of a set's name: `2026-05`, or the date if it is no first of a month.
pub fn period_name(micros: i64) -> String {
    match date(micros) {
        (year, month, 1) if micros.rem_euclid(DAY_US) == 0 => format!("{year:04}-{month:02}"),
        (year, month, day) => format!("{year:04}-{month:02}-{day:02}"),
    }
}

/// The first of the instant's month.
pub fn month_start(micros: i64) -> i64 {
    let (year, month, _) = date(micros);
    days(year, month, 1).map_or(micros, |d| d * DAY_US)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_in_every_form_that_files_use() {
        let may = parse("2026-05-01").unwrap();
        for text in [
            "2026-05-01T00:00:00Z",
            "2026-05-01 00:00:00",
            "2026-05-01T00:00",
            "2026-05-01T00:00:00.0000000Z",
            "2026-05-01T02:00:00+02:00",
            "2026-04-30T19:00:00-0500",
            "2026-04-30T24:00:00Z",
            "2026-05-01 00:00:00 UTC",
        ] {
            assert_eq!(parse(text), Ok(may), "{text}");
        }
        assert_eq!(parse("2026-05-01T00:00:00.1234567Z"), Ok(Instant { micros: may.micros + 123_456, exact: false }));
        assert!(parse("9999-12-31T23:59:59.999999Z").is_ok());
        assert_eq!(parse_us("05/01/2026"), Ok(may));
        assert_eq!(parse_us("5/1/26"), Ok(may));
        assert_eq!(parse_us("2026-05-01"), Ok(may));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "5/1/25",
            "2026-02-30",
            "2026-13-01",
            "2026-05-01T25:00:00",
            "2026-05-01Tx",
            "20260501",
            "2026-05-01T00:00:00.",
            "2026-05-01T00:00:00+99:00",
            "2026-05-01T00:00:00é",
        ] {
            assert_eq!(parse(text), Err(NO_TIME), "{text}");
        }
        for text in ["1/1/99999999999", "1/1/9223372036854775807", "1/1/-9223372036854775808", "1/1/10000", "2/30/2026"]
        {
            assert_eq!(parse_us(text), Err(NO_TIME), "{text}");
        }
    }

    #[test]
    fn periods_are_named_by_month() {
        assert_eq!(period_name(parse("2024-09-01").unwrap().micros), "2024-09");
        assert_eq!(period_name(parse("2024-09-15").unwrap().micros), "2024-09-15");
        assert_eq!(month_start(parse("2024-02-29T13:00:00Z").unwrap().micros), parse("2024-02-01").unwrap().micros);
    }

    proptest! {
        #[test]
        fn calendar_agrees_with_chrono(seconds in -60_000_000_000i64..250_000_000_000) {
            let time = DateTime::from_timestamp(seconds, 0).unwrap();
            let text = time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
            if text.len() == 20 {
                prop_assert_eq!(parse(&text), Ok(Instant { micros: seconds * 1_000_000, exact: true }));
                let (y, m, d) = date(seconds * 1_000_000);
                prop_assert_eq!(format!("{y:04}-{m:02}-{d:02}"), time.format("%Y-%m-%d").to_string());
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = parse(&text);
            let _ = parse_us(&text);
        }
    }
}
