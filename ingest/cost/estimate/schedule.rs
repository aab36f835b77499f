//! Estimates that a running server writes by itself: today, the last days, for telemetry comes late, and after a pause the
//! days that were missed. Each day of a source is one replaceable set, so that a beat that is repeated, late or missed
//! changes nothing; what would be the same again is not written again. Where there is no price list nothing is estimated:
//! it would be unpriced usage only.

use std::sync::atomic::{AtomicBool, Ordering};

use engine::{Kind, Result, Scope, Store};
use ledger::answer::Answer;

use super::{ClusterWish, DAY_US, Estimated, Known, clusters_but, day_name, models_but};

/// Days before today that are looked at with every beat.
const DAYS_BACK: i64 = 3;
/// Days that are caught up with at most.
const DAYS_MISSED_MAX: i64 = 35;

/// What is estimated: its name in the audit log, its price list, the sets that it writes.
const KINDS: [(&str, &str, &str); 2] =
    [("models", "model_price", "estimate|models|%"), ("clusters", "resource_price", "estimate|k8s|%")];

/// Estimates that are kept up to date.
#[derive(Debug)]
pub struct Schedule {
    wish: ClusterWish,
    known: Known,
    caught_up: AtomicBool,
}

/// What became of one day of one kind.
#[derive(Debug)]
pub struct Beat {
    /// `models` or `clusters`.
    pub kind: &'static str,
    /// The day.
    pub window: (i64, i64),
    /// What was written, or why it was not.
    pub done: Result<Estimated>,
}

impl Schedule {
    /// With these settings of clusters; the window of the wish does not count.
    pub fn new(wish: ClusterWish) -> Self {
        Schedule { wish, known: Known::default(), caught_up: AtomicBool::new(false) }
    }

    /// Estimates what may have changed. Answers the days that were written, and those that could not be; days of a sealed
    /// period stay as they are.
    pub async fn beat(&self, store: &Store) -> Result<Vec<Beat>> {
        let now = store.clock().now_us();
        let today = now - now.rem_euclid(DAY_US);
        let mut beats = Vec::new();
        for (kind, prices, sets) in KINDS {
            if !has_rows(store, prices).await? {
                continue;
            }
            let mut day = self.first(store, sets, today).await?;
            while day <= today {
                beats.extend(self.day(store, kind, (day, day + DAY_US)).await);
                day += DAY_US;
            }
        }
        let days: Vec<String> = (0..=DAYS_BACK).map(|back| day_name(today - back * DAY_US)).collect();
        self.known.forget_but(&days);
        // What failed is caught up with by the next beat, which looks back as far.
        self.caught_up.store(beats.iter().all(|beat| beat.done.is_ok()), Ordering::SeqCst);
        Ok(beats)
    }

    /// The first day that is looked at: at the first beat, the one behind the last that was ever estimated.
    async fn first(&self, store: &Store, sets: &str, today: i64) -> Result<i64> {
        let usual = today - DAYS_BACK * DAY_US;
        if self.caught_up.load(Ordering::SeqCst) {
            return Ok(usual);
        }
        let sql = format!(
            "SELECT max(date_trunc('day', \"ChargePeriodStart\")) AS last, count(*) AS n FROM cost_line WHERE x_set LIKE '{sets}'"
        );
        let answer = Answer::of(store, &Scope::platform("cost/estimate"), sql, &[]).await?;
        if answer.numbers("n")?.value(0) == 0 {
            return Ok(usual);
        }
        let last = answer.times("last")?.value(0);
        Ok((last + DAY_US).clamp(today - DAYS_MISSED_MAX * DAY_US, usual))
    }

    async fn day(&self, store: &Store, kind: &'static str, window: (i64, i64)) -> Option<Beat> {
        let done = match kind {
            "models" => models_but(store, window, Some(&self.known)).await,
            _ => clusters_but(store, &ClusterWish { window, ..self.wish.clone() }, Some(&self.known)).await,
        };
        match &done {
            Ok(estimated) if estimated.days == 0 => return None,
            // The period is sealed: its estimates are no longer ours to write.
            Err(error) if error.kind() == Kind::Conflict => return None,
            _ => {}
        }
        if done.is_err() {
            self.known.forget(&day_name(window.0));
        }
        Some(Beat { kind, window, done })
    }
}

async fn has_rows(store: &Store, table: &str) -> Result<bool> {
    let sql = format!("SELECT count(*) AS n FROM (SELECT 1 AS one FROM {table} LIMIT 1) AS first");
    Ok(Answer::of(store, &Scope::platform("cost/estimate"), sql, &[]).await?.numbers("n")?.value(0) > 0)
}
