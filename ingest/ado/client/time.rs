//! The doors through which time comes into the client, so that a simulation can turn it.

use std::time::Duration;

use async_trait::async_trait;
use engine::{Clock, WallClock};

/// Tells the time and lets it pass.
#[async_trait]
pub trait Time: Send + Sync + std::fmt::Debug {
    /// Microseconds since 1970, UTC.
    fn now_us(&self) -> i64;
    /// Returns when it is so late.
    async fn sleep_until(&self, at_us: i64);
}

/// The machine's time.
#[derive(Debug, Default)]
pub struct WallTime;

#[async_trait]
impl Time for WallTime {
    fn now_us(&self) -> i64 {
        WallClock.now_us()
    }

    async fn sleep_until(&self, at_us: i64) {
        let wait_us = u64::try_from(at_us - self.now_us()).unwrap_or(0);
        tokio::time::sleep(Duration::from_micros(wait_us)).await;
    }
}
