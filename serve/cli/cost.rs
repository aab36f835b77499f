//! `stellwerk cost`: cost files and the ledger checked, clusters' costs spread over who used them, estimates, billing
//! periods, and what is shown to who pays.

mod allocate;
mod check;
mod estimate;
mod period;
mod rows;
mod showback;

use chrono::{Datelike, Months, NaiveDate, Utc};
use clap::Subcommand;
use engine::Result;

use super::exit::Exit;

/// Check cost files and the ledger, spread costs over who caused them, estimate, seal, show.
#[derive(Debug, Subcommand)]
pub enum Cost {
    /// Spread a cluster's costs over who used it, by OpenCost's rules, exactly.
    Allocate(Box<allocate::Allocate>),
    /// Check a file against FOCUS's rules, or the ledger as a whole.
    Check(check::Check),
    /// Write what models' calls cost into the ledger, as estimates that bills replace.
    Estimate(estimate::Estimate),
    /// List billing periods, and seal them.
    #[command(subcommand)]
    Period(period::Period),
    /// Show a tenant what it costs and why, a month at a time.
    Showback(showback::Showback),
}

impl Cost {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Cost::Allocate(allocate) => allocate.run().await,
            Cost::Check(check) => check.run().await,
            Cost::Estimate(estimate) => estimate.run().await,
            Cost::Period(period) => period.run().await,
            Cost::Showback(showback) => showback.run().await,
        }
    }
}

/// The first instants of a month and of the next one, in microseconds since 1970.
fn month(text: &str) -> std::result::Result<(i64, i64), String> {
    let first = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d");
    let first = first.map_err(|_| "a month is written 2026-10".to_owned())?;
    let next = first.checked_add_months(Months::new(1)).ok_or("a month of a year that can be written")?;
    Ok((midnight(first), midnight(next)))
}

fn midnight(day: NaiveDate) -> i64 {
    day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros()
}

/// A window: a month (`2026-10`), a day (`2026-10-05`), or two days with `..` between, the second excluded.
fn window(text: &str) -> std::result::Result<(i64, i64), String> {
    let day = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    if let Some((from, to)) = text.split_once("..") {
        return match (day(from), day(to)) {
            (Some(from), Some(to)) if from < to => Ok((midnight(from), midnight(to))),
            _ => Err("a window is 2026-10-01..2026-10-08, the last day excluded".to_owned()),
        };
    }
    match day(text) {
        Some(day) => Ok((midnight(day), midnight(day.succ_opt().ok_or("a day that has a next one")?))),
        None => month(text).map_err(|_| "a window is 2026-10, 2026-10-05 or 2026-10-01..2026-10-08".to_owned()),
    }
}

/// This month up to and with today.
fn this_month() -> (i64, i64) {
    let today = Utc::now().date_naive();
    let first = today.with_day(1).unwrap_or(today);
    (midnight(first), midnight(today.succ_opt().unwrap_or(today)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_months() {
        const DAY: i64 = 86_400_000_000;
        let (from, to) = month("2024-02").unwrap();
        assert_eq!((to - from) / DAY, 29);
        assert_eq!(window("2024-02").unwrap(), (from, to));
        assert_eq!(window("2024-02-01..2024-03-01").unwrap(), (from, to));
        assert_eq!(window("2024-02-01").unwrap(), (from, from + DAY));
        for wrong in ["2024", "2024-13", "2024-02-30", "2024-02-02..2024-02-01", "soon"] {
            assert!(window(wrong).is_err(), "{wrong}");
        }
    }
}
