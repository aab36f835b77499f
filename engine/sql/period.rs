//! Periods by name: `2026`, `2026-Q2`, `2026-05`, `2026-W21`, `2026-05-17`. A period is its start and the start of the next
//! one, so nobody has to remember that FOCUS's period ends are exclusive.

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};

/// Start (inclusive) and end (exclusive) of a period in microseconds since 1970, UTC.
pub fn bounds_us(text: &str) -> Option<(i64, i64)> {
    let (start, end) = bounds(text.trim())?;
    Some((midnight_us(start), midnight_us(end)))
}

fn midnight_us(date: NaiveDate) -> i64 {
    date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros()
}

fn bounds(text: &str) -> Option<(NaiveDate, NaiveDate)> {
    let (year, rest) = match text.split_once('-') {
        Some((year, rest)) => (year, Some(rest)),
        None => (text, None),
    };
    if year.len() != 4 {
        return None;
    }
    let year: i32 = year.parse().ok()?;
    let Some(rest) = rest else {
        return Some((NaiveDate::from_ymd_opt(year, 1, 1)?, NaiveDate::from_ymd_opt(year + 1, 1, 1)?));
    };
    if let Some(quarter) = rest.strip_prefix(['Q', 'q']) {
        let quarter: u32 = quarter.parse().ok().filter(|q| (1..=4).contains(q))?;
        return months(NaiveDate::from_ymd_opt(year, quarter * 3 - 2, 1)?, 3);
    }
    if let Some(week) = rest.strip_prefix(['W', 'w']) {
        let monday = NaiveDate::from_isoywd_opt(year, week.parse().ok()?, Weekday::Mon)?;
        return Some((monday, monday.checked_add_days(Days::new(7))?));
    }
    match rest.split_once('-') {
        None if rest.len() == 2 => months(NaiveDate::from_ymd_opt(year, rest.parse().ok()?, 1)?, 1),
        Some((month, day)) if month.len() == 2 && day.len() == 2 => {
            let day = NaiveDate::from_ymd_opt(year, month.parse().ok()?, day.parse().ok()?)?;
            Some((day, day.succ_opt()?))
        }
        _ => None,
    }
}

fn months(start: NaiveDate, count: u32) -> Option<(NaiveDate, NaiveDate)> {
    Some((start, start.checked_add_months(Months::new(count))?))
}

/// Start of the bucket of `months` and `step_us` that holds an instant; the grid passes through `origin_us`.
pub fn bucket_us(value: i64, months: i32, step_us: i64, origin_us: i64) -> Option<i64> {
    if months > 0 {
        let origin = chrono::DateTime::from_timestamp_micros(origin_us)?;
        let at = chrono::DateTime::from_timestamp_micros(value)?;
        let between = (at.year() - origin.year()) * 12 + at.month() as i32 - origin.month() as i32;
        let count = between.div_euclid(months) * months;
        let first = origin.date_naive().with_day(1)?;
        let start = match u32::try_from(count) {
            Ok(forward) => first.checked_add_months(Months::new(forward))?,
            Err(_) => first.checked_sub_months(Months::new(count.unsigned_abs()))?,
        };
        return Some(midnight_us(start));
    }
    value.checked_sub(origin_us)?.div_euclid(step_us).checked_mul(step_us)?.checked_add(origin_us)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_half_open() {
        for (text, start, end) in [
            ("2026", "2026-01-01", "2027-01-01"),
            ("2026-Q2", "2026-04-01", "2026-07-01"),
            ("2026-12", "2026-12-01", "2027-01-01"),
            ("2024-02-29", "2024-02-29", "2024-03-01"),
            ("2026-W01", "2025-12-29", "2026-01-05"),
        ] {
            let (s, e) = bounds(text).unwrap();
            assert_eq!((s.to_string(), e.to_string()), (start.to_owned(), end.to_owned()), "{text}");
        }
        for wrong in ["", "26-05", "2026-13", "2026-Q5", "2026-W60", "2026-5", "2026-02-30", "may", "2026-05-01T00"] {
            assert_eq!(bounds_us(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn buckets_hold_their_instant() {
        let day = 86_400_000_000;
        let monday = 946_857_600_000_000;
        assert_eq!(bucket_us(monday + day, 0, 7 * day, monday), Some(monday));
        assert_eq!(bucket_us(monday - 1, 0, 7 * day, monday), Some(monday - 7 * day));
        let (may, june) = bounds_us("2026-05").unwrap();
        assert_eq!(bucket_us(june - 1, 1, 0, bounds_us("2000-01").unwrap().0), Some(may));
        assert_eq!(
            bucket_us(bounds_us("1999-12-31").unwrap().0, 3, 0, bounds_us("2000-01").unwrap().0),
            Some(bounds_us("1999-10").unwrap().0)
        );
    }
}
