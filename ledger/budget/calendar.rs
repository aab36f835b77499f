//! The window that an instant is in. Half-open, in whole days of a named time zone, so that windows lie edge to edge over
//! every jump of the clock; rolling ones count 60 buckets, each of which leaves when its last instant is too old.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use chrono_tz::Tz;
use engine::{Error, Result};

use super::window;

/// Buckets of a rolling window.
const BUCKETS: i64 = 60;
/// Shortest rolling window: a bucket is then a second.
const ROLLING_US_MIN: i64 = 60 * SECOND_US;
/// Longest rolling window: more days than a leap year has.
const ROLLING_US_MAX: i64 = 400 * DAY_US;
/// Microseconds of a second.
pub const SECOND_US: i64 = 1_000_000;
/// Microseconds of a day of 24 hours.
pub const DAY_US: i64 = 86_400 * SECOND_US;
/// The end of a window that has none: the year 2262, the last that nanoseconds since 1970 can write.
pub const NEVER_US: i64 = 9_214_646_400 * SECOND_US;

/// A stretch of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// Midnight to midnight.
    Day,
    /// Seven days, ISO's from Monday.
    Week,
    /// From one day of the month to the same of the next.
    Month,
    /// Three months.
    Quarter,
    /// Twelve months.
    Year,
}

/// When a budget's window begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Stretches of the calendar.
    Calendar {
        /// How long they are.
        period: Period,
        /// The day on which they begin: 1 (Monday) to 7 of a week, 1 to 31 of a month; where the month is shorter, its last.
        start_day: u8,
        /// The month in which a year begins, and from which quarters are counted.
        start_month: u8,
    },
    /// The last so many microseconds, at any time.
    Rolling {
        /// How many.
        length_us: i64,
    },
    /// From the budget's start to its end, once.
    Fixed,
    /// Everything from the budget's start on; it never begins anew.
    Total,
}

/// Where a charge is counted: one row of the state database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Name of the row: the window's first instant; of a rolling window, its bucket's.
    pub starts_us: i64,
    /// From here on it counts no longer.
    pub ends_us: i64,
    /// Until here new charges go into it.
    pub open_until_us: i64,
}

impl Window {
    /// The days or microseconds make sense.
    pub fn check(&self) -> Result<()> {
        match *self {
            Window::Calendar { period, start_day, start_month } => {
                let last = match period {
                    Period::Day => 1,
                    Period::Week => 7,
                    Period::Month | Period::Quarter | Period::Year => 31,
                };
                if !(1..=last).contains(&start_day) {
                    return Err(Error::invalid(format!("the start day {start_day} is not between 1 and {last}")));
                }
                let counted = matches!(period, Period::Quarter | Period::Year);
                if !(1..=12).contains(&start_month) || (!counted && start_month != 1) {
                    return Err(Error::invalid("a start month is 1 to 12, and for quarters and years only"));
                }
                Ok(())
            }
            Window::Rolling { length_us } if !(ROLLING_US_MIN..=ROLLING_US_MAX).contains(&length_us) => {
                Err(Error::invalid("a rolling window has between a minute and 400 days"))
            }
            Window::Rolling { .. } | Window::Fixed | Window::Total => Ok(()),
        }
    }

    /// The row for a charge at `now`; `life` is when the budget begins and ends.
    pub fn place(&self, now_us: i64, zone: Tz, life: (i64, i64)) -> Result<Place> {
        match *self {
            Window::Calendar { period, start_day, start_month } => {
                let (start, end) = Cut { period, start_day, start_month }.around(now_us, zone)?;
                Ok(Place { starts_us: start, ends_us: end, open_until_us: end })
            }
            Window::Rolling { length_us } => {
                let bucket_us = length_us / BUCKETS;
                let start = now_us.div_euclid(bucket_us) * bucket_us;
                let open_until_us = start + bucket_us;
                Ok(Place { starts_us: start, ends_us: open_until_us + length_us, open_until_us })
            }
            Window::Fixed | Window::Total => Ok(Place { starts_us: life.0, ends_us: life.1, open_until_us: life.1 }),
        }
    }

    /// The stretch of time that counts at `now`, for people and for the bill: of a rolling window, up to now.
    pub fn span(&self, now_us: i64, zone: Tz, life: (i64, i64)) -> Result<(i64, i64)> {
        match *self {
            Window::Rolling { length_us } => Ok((now_us - length_us, now_us)),
            _ => self.place(now_us, zone, life).map(|place| (place.starts_us, place.ends_us)),
        }
    }
}

/// How the calendar is cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    period: Period,
    start_day: u8,
    start_month: u8,
}

fn unwritable() -> Error {
    Error::invalid("the window lies in a year that cannot be written")
}

impl Cut {
    /// The first instants of the window around `now` and of the one behind it.
    fn around(self, now_us: i64, zone: Tz) -> Result<(i64, i64)> {
        let now = DateTime::from_timestamp_micros(now_us).ok_or_else(unwritable)?;
        let mut begin = self.begin(now.with_timezone(&zone).date_naive()).ok_or_else(unwritable)?;
        // Where a clock is set back over midnight a date comes twice; two steps are more than any zone needs.
        for _ in 0..3 {
            let next = self.next(begin).ok_or_else(unwritable)?;
            let (start, end) = (first_instant(begin, zone)?, first_instant(next, zone)?);
            if now_us < start {
                begin = self.begin(begin.pred_opt().ok_or_else(unwritable)?).ok_or_else(unwritable)?;
            } else if now_us >= end {
                begin = next;
            } else {
                return Ok((start, end));
            }
        }
        Err(Error::new(engine::Kind::Internal, format!("no window of {self:?} is around {now} in {zone}")))
    }

    /// First day of the window that a day is in.
    fn begin(self, day: NaiveDate) -> Option<NaiveDate> {
        match self.period {
            Period::Day => Some(day),
            Period::Week => {
                let past = (7 + day.weekday().number_from_monday() - u32::from(self.start_day)) % 7;
                day.checked_sub_days(Days::new(u64::from(past)))
            }
            Period::Month | Period::Quarter | Period::Year => {
                let (months, offset) = self.months();
                let index = day.year() * 12 + i32::try_from(day.month0()).ok()?;
                let block = (index - offset).div_euclid(months);
                let begin = self.anchor(block * months + offset)?;
                if day < begin { self.anchor((block - 1) * months + offset) } else { Some(begin) }
            }
        }
    }

    /// First day of the window behind the one that begins at `begin`.
    fn next(self, begin: NaiveDate) -> Option<NaiveDate> {
        match self.period {
            Period::Day => begin.succ_opt(),
            Period::Week => begin.checked_add_days(Days::new(7)),
            Period::Month | Period::Quarter | Period::Year => {
                let index = begin.year() * 12 + i32::try_from(begin.month0()).ok()?;
                self.anchor(index + self.months().0)
            }
        }
    }

    /// Months of a window, and the month from which they are counted.
    fn months(self) -> (i32, i32) {
        let offset = i32::from(self.start_month) - 1;
        match self.period {
            Period::Quarter => (3, offset % 3),
            Period::Year => (12, offset),
            Period::Day | Period::Week | Period::Month => (1, 0),
        }
    }

    /// The start day in a month counted from the year 0; its last day where it is shorter.
    fn anchor(self, index: i32) -> Option<NaiveDate> {
        let first = NaiveDate::from_ymd_opt(index.div_euclid(12), u32::try_from(index.rem_euclid(12)).ok()? + 1, 1)?;
        let last = first.checked_add_months(Months::new(1))?.pred_opt()?;
        first.with_day(u32::from(self.start_day).min(last.day()))
    }
}

/// The first instant of a day: of a midnight that comes twice the first, of one that is skipped the moment of the jump.
pub fn first_instant(day: NaiveDate, zone: Tz) -> Result<i64> {
    let at = window::instant(window::midnight(day), zone, DateTime::<Utc>::MIN_UTC);
    at.map(|at| at.timestamp_micros()).ok_or_else(unwritable)
}

/// The first instants of every day of `[from, to)`, with ISO's number of the weekday; at most `days_max`.
pub fn days(from_us: i64, to_us: i64, zone: Tz, days_max: usize) -> Result<Vec<(i64, u8)>> {
    let cut = Cut { period: Period::Day, start_day: 1, start_month: 1 };
    let mut found = Vec::new();
    let mut at_us = from_us;
    while at_us < to_us && found.len() < days_max {
        let (start, end) = cut.around(at_us, zone)?;
        let day = DateTime::from_timestamp_micros(start).ok_or_else(unwritable)?.with_timezone(&zone);
        let weekday = u8::try_from(day.weekday().number_from_monday()).expect("a week has seven days");
        found.push((start, weekday));
        at_us = end;
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    fn shown(us: i64) -> String {
        DateTime::from_timestamp_micros(us).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    fn window(period: Period, start_day: u8, start_month: u8) -> Window {
        let window = Window::Calendar { period, start_day, start_month };
        window.check().unwrap();
        window
    }

    fn check(window: Window, now: &str, zone: &str, start: &str, end: &str) {
        let (from, to) = window.span(at(now), zone.parse().unwrap(), (0, NEVER_US)).unwrap();
        assert_eq!((shown(from), shown(to)), (shown(at(start)), shown(at(end))), "{window:?} at {now} in {zone}");
    }

    #[test]
    fn days_have_23_and_25_hours_where_clocks_jump() {
        let day = window(Period::Day, 1, 1);
        check(day, "2026-03-29T12:00:00Z", "Europe/Berlin", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00");
        check(day, "2026-10-25T12:00:00Z", "Europe/Berlin", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00");
        check(
            day,
            "2026-03-08T12:00:00Z",
            "America/New_York",
            "2026-03-08T00:00:00-05:00",
            "2026-03-09T00:00:00-04:00",
        );
        check(
            day,
            "2026-11-01T12:00:00Z",
            "America/New_York",
            "2026-11-01T00:00:00-04:00",
            "2026-11-02T00:00:00-05:00",
        );
        // The last microsecond of one day and the first of the next, and the hour that comes twice.
        check(day, "2026-10-25T22:59:59Z", "Europe/Berlin", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00");
        check(day, "2026-10-25T23:00:00Z", "Europe/Berlin", "2026-10-26T00:00:00+01:00", "2026-10-27T00:00:00+01:00");
        check(day, "2026-10-25T00:30:00Z", "Europe/Berlin", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00");
        check(day, "2026-10-25T01:30:00Z", "Europe/Berlin", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00");
        // Santiago's clocks skip midnight itself, Havana's show it twice.
        check(
            day,
            "2026-09-06T12:00:00Z",
            "America/Santiago",
            "2026-09-06T01:00:00-03:00",
            "2026-09-07T00:00:00-03:00",
        );
        check(day, "2026-11-01T04:30:00Z", "America/Havana", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00");
    }

    #[test]
    fn weeks_begin_on_monday_or_another_day() {
        let week = window(Period::Week, 1, 1);
        // The first ISO week of 2027 begins on 4 January; 2026 has 53.
        check(week, "2027-01-01T12:00:00Z", "UTC", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z");
        check(week, "2026-03-29T12:00:00Z", "Europe/Berlin", "2026-03-23T00:00:00+01:00", "2026-03-30T00:00:00+02:00");
        check(
            week,
            "2026-11-01T12:00:00Z",
            "America/New_York",
            "2026-10-26T00:00:00-04:00",
            "2026-11-02T00:00:00-05:00",
        );
        check(
            window(Period::Week, 7, 1),
            "2026-11-07T12:00:00Z",
            "UTC",
            "2026-11-01T00:00:00Z",
            "2026-11-08T00:00:00Z",
        );
    }

    #[test]
    fn months_end_where_they_end() {
        let month = window(Period::Month, 1, 1);
        check(month, "2028-02-29T23:59:59Z", "UTC", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z");
        check(month, "2026-02-28T23:30:00Z", "Europe/Berlin", "2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00");
        check(
            month,
            "2026-03-15T00:00:00Z",
            "America/New_York",
            "2026-03-01T00:00:00-05:00",
            "2026-04-01T00:00:00-04:00",
        );
        let late = window(Period::Month, 31, 1);
        check(late, "2028-02-28T12:00:00Z", "UTC", "2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z");
        check(late, "2028-02-29T12:00:00Z", "UTC", "2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z");
        check(late, "2026-04-30T00:00:00Z", "UTC", "2026-04-30T00:00:00Z", "2026-05-31T00:00:00Z");
        check(
            window(Period::Month, 25, 1),
            "2026-01-10T00:00:00Z",
            "UTC",
            "2025-12-25T00:00:00Z",
            "2026-01-25T00:00:00Z",
        );
    }

    #[test]
    fn quarters_and_years_may_be_fiscal() {
        check(
            window(Period::Quarter, 1, 1),
            "2026-11-27T00:00:00Z",
            "UTC",
            "2026-10-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
        );
        check(
            window(Period::Quarter, 1, 2),
            "2026-01-15T00:00:00Z",
            "UTC",
            "2025-11-01T00:00:00Z",
            "2026-02-01T00:00:00Z",
        );
        check(
            window(Period::Year, 6, 4),
            "2026-04-05T00:00:00Z",
            "UTC",
            "2025-04-06T00:00:00Z",
            "2026-04-06T00:00:00Z",
        );
        check(
            window(Period::Year, 29, 2),
            "2027-06-01T00:00:00Z",
            "UTC",
            "2027-02-28T00:00:00Z",
            "2028-02-29T00:00:00Z",
        );
        check(
            window(Period::Year, 1, 1),
            "2028-02-29T00:00:00Z",
            "UTC",
            "2028-01-01T00:00:00Z",
            "2029-01-01T00:00:00Z",
        );
    }

    #[test]
    fn rolling_windows_are_exact_hours_whatever_clocks_do() {
        let window = Window::Rolling { length_us: DAY_US };
        let place = window.place(at("2026-03-29T12:34:56Z"), "Europe/Berlin".parse().unwrap(), (0, NEVER_US)).unwrap();
        assert_eq!(shown(place.starts_us), "2026-03-29T12:24:00Z");
        assert_eq!(shown(place.open_until_us), "2026-03-29T12:48:00Z");
        assert_eq!(place.ends_us - place.open_until_us, DAY_US, "its last instant stays for the whole length");
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for window in [
            Window::Rolling { length_us: SECOND_US },
            Window::Rolling { length_us: 401 * DAY_US },
            Window::Calendar { period: Period::Week, start_day: 8, start_month: 1 },
            Window::Calendar { period: Period::Month, start_day: 0, start_month: 1 },
            Window::Calendar { period: Period::Month, start_day: 1, start_month: 4 },
            Window::Calendar { period: Period::Year, start_day: 1, start_month: 13 },
            Window::Calendar { period: Period::Day, start_day: 2, start_month: 1 },
        ] {
            assert!(window.check().is_err(), "{window:?}");
        }
    }

    proptest! {
        #[test]
        fn windows_lie_edge_to_edge(now in 0i64..4_102_444_800, zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "America/Havana", "America/Santiago", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Beirut"]),
            period in prop::sample::select(vec![Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year]), start_day in 1u8..=31, start_month in 1u8..=12) {
            let start_day = match period { Period::Day => 1, Period::Week => start_day % 7 + 1, _ => start_day };
            let start_month = if matches!(period, Period::Quarter | Period::Year) { start_month } else { 1 };
            let window = Window::Calendar { period, start_day, start_month };
            let zone: Tz = zone.parse().unwrap();
            let now = now * SECOND_US;
            let (from, to) = window.span(now, zone, (0, NEVER_US)).unwrap();
            prop_assert!(from <= now && now < to);
            prop_assert_eq!(window.span(from, zone, (0, NEVER_US)).unwrap(), (from, to));
            prop_assert_eq!(window.span(to - 1, zone, (0, NEVER_US)).unwrap(), (from, to));
            prop_assert_eq!(window.span(to, zone, (0, NEVER_US)).unwrap().0, to);
        }
    }
}
