//! When a budget's window ends. Days, weeks and months end at midnight of a named time zone; hours and less are aligned
//! inside the day. Wall clocks jump twice a year: an instant that a clock skips is taken as the clock read before the
//! jump, one that it shows twice as the first that is still to come.

use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use engine::{Error, Result};

/// Length of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duration {
    /// Seconds, aligned to the minute.
    Seconds(u32),
    /// Minutes, aligned to the hour.
    Minutes(u32),
    /// Hours, aligned to the day.
    Hours(u32),
    /// Whole days; one is a day, seven a week that begins on Monday, others count from today.
    Days(u32),
    /// Calendar months, aligned to the year: three are a quarter.
    Months(u32),
}

/// Words for lengths.
const WORDS: &[(&str, &str)] = &[
    ("hourly", "1h"),
    ("daily", "1d"),
    ("weekly", "1w"),
    ("monthly", "1mo"),
    ("quarterly", "3mo"),
    ("yearly", "12mo"),
];
/// What people write when they mean a month.
const DAYS_OF_A_MONTH: u32 = 30;
const MINUTE_SECONDS: u32 = 60;
const HOUR_SECONDS: u32 = 3600;
const DAY_SECONDS: u32 = 86_400;

impl FromStr for Duration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid(format!("{text:?} is no length of a window: 90s, 15m, 6h, 1d, 2w and 1mo are"));
        let word = text.trim().to_ascii_lowercase();
        let word = WORDS.iter().find(|(name, _)| *name == word).map_or(word.as_str(), |(_, length)| length);
        let at = word.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let count: u32 = word[..at].parse().map_err(|_| wrong())?;
        let times = |unit: u32| count.checked_mul(unit).filter(|total| *total > 0).ok_or_else(wrong);
        match &word[at..] {
            "s" => times(1).map(Duration::Seconds),
            "m" => times(1).map(Duration::Minutes),
            // Two days as hours end where two days do.
            "h" if count > 24 && count % 24 == 0 => Ok(Duration::Days(count / 24)),
            "h" => times(1).map(Duration::Hours),
            "d" if count == DAYS_OF_A_MONTH => Ok(Duration::Months(1)),
            "d" => times(1).map(Duration::Days),
            "w" => times(7).map(Duration::Days),
            "mo" => times(1).map(Duration::Months),
            _ => Err(wrong()),
        }
    }
}

/// The end of the window that `now` is in.
pub fn next_reset(duration: Duration, now: DateTime<Utc>, zone: Tz) -> Result<DateTime<Utc>> {
    let local = now.with_timezone(&zone).naive_local();
    let today = local.date();
    let end = match duration {
        Duration::Seconds(count) => aligned(local, count, MINUTE_SECONDS),
        Duration::Minutes(count) => {
            count.checked_mul(MINUTE_SECONDS).and_then(|length| aligned(local, length, HOUR_SECONDS))
        }
        Duration::Hours(count) => {
            count.checked_mul(HOUR_SECONDS).and_then(|length| aligned(local, length, DAY_SECONDS))
        }
        Duration::Days(7) => {
            let days = 7 - u64::from(today.weekday().num_days_from_monday());
            today.checked_add_days(Days::new(days)).map(midnight)
        }
        Duration::Days(days) => today.checked_add_days(Days::new(u64::from(days))).map(midnight),
        Duration::Months(months) => later_month(today, months).map(midnight),
    };
    let end = end.and_then(|end| instant(end, zone, now));
    end.ok_or_else(|| Error::invalid("the window ends in a year that cannot be written"))
}

pub(super) fn midnight(day: NaiveDate) -> NaiveDateTime {
    day.and_time(chrono::NaiveTime::MIN)
}

/// The next multiple of the length, counted from the begin of the minute, hour or day that `frame` is.
fn aligned(local: NaiveDateTime, length: u32, frame: u32) -> Option<NaiveDateTime> {
    let seconds = local.time().num_seconds_from_midnight();
    let begun = seconds - seconds % frame;
    let passed = (seconds - begun) / length;
    let next = passed.checked_add(1)?.checked_mul(length)?.checked_add(begun)?;
    midnight(local.date()).checked_add_signed(TimeDelta::seconds(i64::from(next)))
}

/// First day of the next block of so many months, counted from the first January.
fn later_month(day: NaiveDate, months: u32) -> Option<NaiveDate> {
    let months = i32::try_from(months).ok()?;
    let index = day.year().checked_mul(12)? + i32::try_from(day.month0()).ok()?;
    let next = (index.div_euclid(months) + 1).checked_mul(months)?;
    NaiveDate::from_ymd_opt(next.div_euclid(12), u32::try_from(next.rem_euclid(12)).ok()? + 1, 1)
}

/// The instant of a wall clock: of one that comes twice the first behind `now`, of one that is skipped the same after the
/// jump, read with the offset from before it.
pub(super) fn instant(local: NaiveDateTime, zone: Tz, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => Some(at.to_utc()),
        LocalResult::Ambiguous(first, second) => {
            let first = first.to_utc();
            Some(if first > now { first } else { second.to_utc() })
        }
        LocalResult::None => {
            let day = TimeDelta::days(1);
            let before = zone.from_local_datetime(&local.checked_sub_signed(day)?).earliest()?;
            Some(before.to_utc() + day)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(duration: &str, now: &str, zone: &str, expected: &str) {
        let now = DateTime::parse_from_rfc3339(now).unwrap().to_utc();
        let end = next_reset(duration.parse().unwrap(), now, zone.parse().unwrap()).unwrap();
        assert_eq!(end, DateTime::parse_from_rfc3339(expected).unwrap(), "{duration} {now} {zone}: {end}");
    }

    #[test]
    fn windows_end_at_midnight_of_their_zone() {
        check("1d", "2026-05-01T10:30:00Z", "UTC", "2026-05-02T00:00:00Z");
        check("1d", "2026-05-01T23:30:00Z", "Europe/Zurich", "2026-05-03T00:00:00+02:00");
        check("weekly", "2026-05-04T00:00:00Z", "UTC", "2026-05-11T00:00:00Z");
        check("7d", "2026-05-10T12:00:00Z", "UTC", "2026-05-11T00:00:00Z");
        check("14d", "2026-05-10T12:00:00Z", "UTC", "2026-05-24T00:00:00Z");
        check("30d", "2026-12-31T23:59:59Z", "UTC", "2027-01-01T00:00:00Z");
        check("1mo", "2028-02-29T12:00:00Z", "America/New_York", "2028-03-01T00:00:00-05:00");
        check("3mo", "2026-05-10T12:00:00Z", "UTC", "2026-07-01T00:00:00Z");
        check("yearly", "2026-05-10T12:00:00Z", "UTC", "2027-01-01T00:00:00Z");
        check("48h", "2026-05-10T12:00:00Z", "UTC", "2026-05-12T00:00:00Z");
    }

    #[test]
    fn hours_and_less_are_aligned_inside_the_day() {
        check("6h", "2026-05-10T12:00:00Z", "UTC", "2026-05-10T18:00:00Z");
        check("24h", "2026-05-10T12:00:00Z", "UTC", "2026-05-11T00:00:00Z");
        check("15m", "2026-05-10T12:50:00Z", "UTC", "2026-05-10T13:00:00Z");
        check("45m", "2026-05-10T12:50:00Z", "UTC", "2026-05-10T13:30:00Z");
        check("30s", "2026-05-10T23:59:45Z", "UTC", "2026-05-11T00:00:00Z");
        check("90s", "2026-05-10T23:59:45Z", "UTC", "2026-05-11T00:00:30Z");
    }

    #[test]
    fn clocks_that_jump() {
        // The last Sunday of March has 23 hours in Berlin, that of October 25; in New York two other Sundays.
        check("1d", "2026-03-29T00:30:00Z", "Europe/Berlin", "2026-03-30T00:00:00+02:00");
        check("1d", "2026-10-25T00:30:00Z", "Europe/Berlin", "2026-10-26T00:00:00+01:00");
        check("1h", "2026-03-29T00:30:00Z", "Europe/Berlin", "2026-03-29T03:00:00+02:00");
        check("1h", "2026-10-25T00:30:00Z", "Europe/Berlin", "2026-10-25T03:00:00+01:00");
        check("12h", "2026-03-08T06:30:00Z", "America/New_York", "2026-03-08T12:00:00-04:00");
        check("1d", "2026-11-01T05:30:00Z", "America/New_York", "2026-11-02T00:00:00-05:00");
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for text in ["", "h", "1", "0d", "1y", "-1d", "1.5h", "soon", "99999999999s"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
