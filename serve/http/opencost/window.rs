//! Windows in OpenCost's words: `today`, `lastweek`, `7d`, two instants with a comma between.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};
use engine::{Error, Result};
use ledger::decimal::ONE;

const HOUR_US: i128 = 3_600_000_000;

/// A time in microseconds since 1970, the end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From here …
    pub start: i64,
    /// … until here.
    pub end: i64,
}

fn wrong(text: &str) -> Error {
    Error::invalid(format!(
        "the window {text:?} is none; today, yesterday, week, month, lastweek, lastmonth, 30m, 12h, 7d, and two RFC 3339 instants or Unix seconds with a comma between are"
    ))
}

impl Window {
    /// Reads a window as of an instant.
    pub fn parse(text: &str, now: i64) -> Result<Window> {
        let text = text.trim();
        let today = DateTime::<Utc>::from_timestamp_micros(now).unwrap_or_default().date_naive();
        let days = |from: Option<NaiveDate>, to: Option<NaiveDate>| match (from, to) {
            (Some(from), Some(to)) => Ok(Window { start: midnight(from), end: midnight(to) }),
            _ => Err(wrong(text)),
        };
        // A week begins on Sunday, as OpenCost's does.
        let sunday = today.checked_sub_days(Days::new(u64::from(today.weekday().num_days_from_sunday())));
        let first = today.with_day(1);
        let later = |day: Option<NaiveDate>, count: u64| day.and_then(|day| day.checked_add_days(Days::new(count)));
        let earlier = |day: Option<NaiveDate>, count: u64| day.and_then(|day| day.checked_sub_days(Days::new(count)));
        let window = match text {
            "today" => days(Some(today), later(Some(today), 1))?,
            "yesterday" => days(earlier(Some(today), 1), Some(today))?,
            "week" => days(sunday, later(sunday, 7))?,
            "lastweek" => days(earlier(sunday, 7), sunday)?,
            "month" => days(first, first.and_then(|day| day.checked_add_months(Months::new(1))))?,
            "lastmonth" => days(first.and_then(|day| day.checked_sub_months(Months::new(1))), first)?,
            _ => match text.split_once(',') {
                Some((from, to)) => Window {
                    start: instant(from).ok_or_else(|| wrong(text))?,
                    end: instant(to).ok_or_else(|| wrong(text))?,
                },
                None => Window { start: now - duration(text).map_err(|_| wrong(text))?, end: now },
            },
        };
        // Nothing was before 1970; without such times, no length below leaves its type.
        let window = Window { start: window.start.max(0), ..window };
        if window.end <= window.start {
            return Err(Error::invalid(format!("the window {text:?} has no length")));
        }
        Ok(window)
    }

    /// Its hours, in units of 10⁻¹⁸.
    pub fn hours(self) -> i128 {
        i128::from(self.end - self.start) * ONE / HOUR_US
    }

    /// The window in steps backwards from its end, in the order of time; the first may be shorter.
    pub fn steps(self, step: i64, most: usize) -> Result<Vec<Window>> {
        let mut steps = Vec::new();
        let mut end = self.end;
        while end > self.start {
            if steps.len() >= most {
                return Err(Error::invalid(format!("the step makes more than {most} sets of this window")));
            }
            let start = (end - step).max(self.start);
            steps.push(Window { start, end });
            end = start;
        }
        steps.reverse();
        Ok(steps)
    }
}

fn midnight(day: NaiveDate) -> i64 {
    day.and_time(NaiveTime::MIN).and_utc().timestamp_micros()
}

/// An RFC 3339 instant, or seconds since 1970.
fn instant(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1_000_000);
    }
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_micros())
}

/// `30m`, `12h`, `7d`, `2w` in microseconds.
pub fn duration(text: &str) -> Result<i64> {
    let length = engine::parse_span(text).ok().and_then(|length| i64::try_from(length.as_micros()).ok());
    let length = length.filter(|length| *length > 0);
    length.ok_or_else(|| Error::invalid(format!("{text:?} is no duration; 30m, 12h and 7d are")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    #[test]
    fn windows_in_all_words() {
        // A Wednesday.
        let now = at("2026-10-07T13:30:00Z");
        for (text, start, end) in [
            ("today", "2026-10-07T00:00:00Z", "2026-10-08T00:00:00Z"),
            ("yesterday", "2026-10-06T00:00:00Z", "2026-10-07T00:00:00Z"),
            ("week", "2026-10-04T00:00:00Z", "2026-10-11T00:00:00Z"),
            ("lastweek", "2026-09-27T00:00:00Z", "2026-10-04T00:00:00Z"),
            ("month", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
            ("lastmonth", "2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z"),
            ("7d", "2026-09-30T13:30:00Z", "2026-10-07T13:30:00Z"),
            ("30m", "2026-10-07T13:00:00Z", "2026-10-07T13:30:00Z"),
            ("2026-10-01T00:00:00Z,2026-10-02T00:00:00Z", "2026-10-01T00:00:00Z", "2026-10-02T00:00:00Z"),
            ("1578002645,1580681045", "2020-01-02T22:04:05Z", "2020-02-02T22:04:05Z"),
            ("-9223372036854,1580681045", "1970-01-01T00:00:00Z", "2020-02-02T22:04:05Z"),
            ("1000000w", "1970-01-01T00:00:00Z", "2026-10-07T13:30:00Z"),
        ] {
            assert_eq!(Window::parse(text, now).unwrap(), Window { start: at(start), end: at(end) }, "{text}");
        }
        for wrong in ["", "soon", "7", "7x", "0d", "2,1", "2026-10-02T00:00:00Z,2026-10-01T00:00:00Z"] {
            assert!(Window::parse(wrong, now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn steps_lie_backwards_from_the_end() {
        let hour = 3_600_000_000;
        let steps = Window { start: 0, end: 5 * hour }.steps(2 * hour, 10).unwrap();
        let bounds: Vec<_> = steps.iter().map(|step| (step.start / hour, step.end / hour)).collect();
        assert_eq!(bounds, [(0, 1), (1, 3), (3, 5)]);
        assert!(Window { start: 0, end: 50 * hour }.steps(2 * hour, 10).is_err());
        let longest = Window::parse("-9223372036854,9223372036854", 0).unwrap();
        assert_eq!(longest.steps(i64::MAX, 1).unwrap(), [longest]);
        assert!(longest.hours() > 0);
    }
}
