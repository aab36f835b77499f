//! One sweep on its beat: never twice at the same time, slower after failures, and no failure ends the process.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::{Error, Kind, Result};
use tokio::time::Instant;

/// A failing sweep is tried at least this often.
pub const BACKOFF_MAX: Duration = Duration::from_secs(300);

type Running = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A task without arguments that may run twice.
pub struct Sweep {
    name: &'static str,
    every: Duration,
    task: Box<dyn Fn() -> Running + Send + Sync>,
}

impl Sweep {
    /// A sweep that runs every so many whole seconds.
    pub fn new<F>(name: &'static str, every: Duration, task: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Sweep { name, every, task: Box::new(move || Box::pin(task())) }
    }
}

/// What a sweep did so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// Its name.
    pub name: &'static str,
    /// Times it ended well.
    pub done: u64,
    /// Times it failed.
    pub failed: u64,
    /// Beats at which it was still running.
    pub overlapped: u64,
    /// The last failure, until it ends well again.
    pub last_error: Option<String>,
}

pub(super) struct Beat {
    sweep: Sweep,
    turn: tokio::sync::Mutex<Turn>,
    count: Mutex<Count>,
    stopping: AtomicBool,
}

/// Held while the sweep runs.
#[derive(Default)]
struct Turn {
    failures_in_a_row: u32,
    not_before: Option<Instant>,
}

impl Beat {
    pub(super) fn new(sweep: Sweep) -> Self {
        let count = Count { name: sweep.name, ..Count::default() };
        Beat { sweep, turn: tokio::sync::Mutex::default(), count: Mutex::new(count), stopping: AtomicBool::new(false) }
    }

    pub(super) fn every(&self) -> Duration {
        self.sweep.every
    }

    pub(super) fn count(&self) -> Count {
        self.counting().clone()
    }

    fn counting(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the sweep, unless it is running, waits after a failure, or was stopped.
    pub(super) async fn once(&self) {
        let Ok(mut turn) = self.turn.try_lock() else {
            self.counting().overlapped += 1;
            return;
        };
        if self.stopping.load(Ordering::SeqCst) || turn.not_before.is_some_and(|at| Instant::now() < at) {
            return;
        }
        // A task of its own, so that a panic comes back as an error.
        let outcome = tokio::spawn((self.sweep.task)()).await;
        let outcome = outcome.unwrap_or_else(|panic| Err(Error::new(Kind::Internal, format!("it panicked: {panic}"))));
        let Err(error) = outcome else {
            *turn = Turn::default();
            let mut count = self.counting();
            count.done += 1;
            count.last_error = None;
            return;
        };
        turn.failures_in_a_row = turn.failures_in_a_row.saturating_add(1);
        let wait = backoff(self.sweep.every, turn.failures_in_a_row);
        turn.not_before = Some(Instant::now() + wait);
        tracing::warn!(sweep = self.sweep.name, %error, retry_in_s = wait.as_secs(), "a sweep failed and is tried again");
        let mut count = self.counting();
        count.failed += 1;
        count.last_error = Some(error.to_string());
    }

    /// Begins no further run and waits for the one that runs.
    pub(super) async fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        drop(self.turn.lock().await);
    }
}

/// Twice the beat after the first failure, doubling up to [`BACKOFF_MAX`].
fn backoff(every: Duration, failures_in_a_row: u32) -> Duration {
    let factor = 1_u32.checked_shl(failures_in_a_row).unwrap_or(u32::MAX);
    every.saturating_mul(factor).min(BACKOFF_MAX.max(every))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_and_is_bounded() {
        let second = Duration::from_secs(1);
        for (failures, wanted) in [(1, 2), (2, 4), (5, 32), (9, 300), (31, 300), (32, 300), (u32::MAX, 300)] {
            assert_eq!(backoff(second, failures), Duration::from_secs(wanted), "{failures}");
        }
        assert_eq!(backoff(2 * BACKOFF_MAX, 3), 2 * BACKOFF_MAX);
    }
}
