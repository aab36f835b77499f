//! What an identity may use: 200 TSTU in any five minutes, and what it used of them.

use std::collections::VecDeque;

/// TSTU that any window has.
pub const LIMIT: f64 = 200.0;
const WINDOW_US: i64 = 300_000_000;
/// So much of it is nearly all: from here on there is more to ask than it allows.
const NEARLY: f64 = 0.9;
/// What one answer takes.
pub(super) const LATENCY_US: i64 = 20_000;

/// The source's own book of one identity.
pub struct Budget {
    spent: VecDeque<(i64, f64)>,
    pub(super) used: f64,
    /// Time and share of the budget at each request, once it was nearly used up.
    shares: Vec<(i64, f64)>,
    pub(super) throttled: u64,
    /// TSTU of the cheapest request.
    pub(super) dear: f64,
    pub(super) requests: u64,
    /// TSTU of all requests together.
    pub(super) sum: f64,
}

impl Budget {
    pub(super) fn new() -> Budget {
        Budget {
            spent: VecDeque::new(),
            used: 0.0,
            shares: Vec::new(),
            throttled: 0,
            dear: 0.05,
            requests: 0,
            sum: 0.0,
        }
    }

    /// Lists cost more than single resources, and no two requests the same. Returns what the window holds then.
    pub(super) fn spend(&mut self, is_heavy: bool, now_us: i64) -> f64 {
        while self.spent.front().is_some_and(|(at, _)| now_us - at >= WINDOW_US) {
            self.used -= self.spent.pop_front().expect("the front was looked at").1;
        }
        let heavy = if is_heavy { 2.0 } else { 1.0 };
        let cost = self.dear * heavy * (0.8 + 0.4 * (now_us / LATENCY_US % 10) as f64 / 10.0);
        self.spent.push_back((now_us, cost));
        self.used += cost;
        self.requests += 1;
        self.sum += cost;
        if self.used >= LIMIT * NEARLY || !self.shares.is_empty() {
            self.shares.push((now_us, self.used / LIMIT));
        }
        self.used
    }

    /// How much of the budget was used over the time in which there was more to ask than it allows.
    pub(super) fn used_share(&self) -> f64 {
        let from = self.shares.first().map_or(0, |(at, _)| *at);
        let to = self.shares.last().map_or(0, |(at, _)| *at);
        let area: f64 = self.shares.windows(2).map(|pair| pair[0].1 * (pair[1].0 - pair[0].0) as f64).sum();
        if to > from { area / (to - from) as f64 } else { 0.0 }
    }

    /// The least time that the budget allows for what was asked: a window's whole budget at once, and again when it is over.
    #[allow(dead_code)] // The benches' own.
    pub(super) fn least_us(&self) -> i64 {
        (self.sum / LIMIT).floor() as i64 * WINDOW_US
    }
}
