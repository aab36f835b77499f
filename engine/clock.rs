//! The named door through which time comes in, so that a simulation can turn it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Microseconds since 1970, UTC.
    fn now_us(&self) -> i64;
}

/// The machine's clock.
#[derive(Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now_us(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

/// An instant in microseconds since 1970 as people and programs read it, with as many digits as it has.
pub fn rfc3339(us: i64) -> String {
    let at = chrono::DateTime::from_timestamp_micros(us);
    at.map_or_else(|| us.to_string(), |at| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
}
