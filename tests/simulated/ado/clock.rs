//! The organization's time: one that passes when somebody waits, and not otherwise, or the machine's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use engine::Clock;
use ingest::ado::client::Time;

/// 2026-01-05T00:00:00Z.
pub const BEGINNING_US: i64 = 1_767_571_200_000_000;

/// Who turns the clock.
#[derive(Debug)]
pub enum Turned {
    /// Those who wait.
    By(AtomicI64),
    /// The machine, for a binary that waits by its own clock.
    #[allow(dead_code)] // The benches' own.
    Machine,
}

impl Turned {
    /// At the beginning.
    pub fn starting() -> Arc<Turned> {
        Arc::new(Turned::By(AtomicI64::new(BEGINNING_US)))
    }

    /// Moves on to an instant.
    pub fn advance_to(&self, at_us: i64) {
        if let Turned::By(now) = self {
            now.fetch_max(at_us, Ordering::SeqCst);
        }
    }

    /// Moves on by so much; the time then.
    pub fn advance(&self, us: i64) -> i64 {
        match self {
            Turned::By(now) => now.fetch_add(us, Ordering::SeqCst) + us,
            Turned::Machine => Clock::now_us(self),
        }
    }

    /// Lets this much go by that [`Turned::advance`] did not: on the machine's clock an answer takes its time.
    pub async fn pass(&self, us: i64) {
        if matches!(self, Turned::Machine) {
            tokio::time::sleep(Duration::from_micros(us.max(0).unsigned_abs())).await;
        }
    }
}

impl Clock for Turned {
    fn now_us(&self) -> i64 {
        match self {
            Turned::By(now) => now.load(Ordering::SeqCst),
            Turned::Machine => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
                i64::try_from(since.as_micros()).expect("before the year 294247")
            }
        }
    }
}

#[async_trait]
impl Time for Turned {
    fn now_us(&self) -> i64 {
        Clock::now_us(self)
    }

    async fn sleep_until(&self, at_us: i64) {
        self.pass(at_us - Clock::now_us(self)).await;
        self.advance_to(at_us);
        tokio::task::yield_now().await;
    }
}
