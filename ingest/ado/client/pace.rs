//! Staying within the budget: 200 TSTU per identity in any five minutes, as the source measures them. It says what remains
//! only where little does, so that until then nothing holds us back, and from then on we keep book of what we spent.

use std::collections::{HashMap, VecDeque};

/// The window over which the source adds up.
const WINDOW_US: i64 = 300_000_000;
/// The budget of a window, where the source does not say another.
const LIMIT_DEFAULT: f64 = 200.0;
/// So much of it is used: the rest is for what the estimate missed.
const USED_SHARE_MAX: f64 = 0.97;
/// From here on requests are sent one at a time.
const NEAR_SHARE: f64 = 0.7;
/// What a request is taken to cost before anything is known.
const COST_FIRST: f64 = 0.1;
/// How much the newest observation counts.
const NEWEST_SHARE: f64 = 0.3;
/// Spread of the moments after a wait, so that several clients do not come back at the same one.
const JITTER_US: i64 = 50_000;
/// Longest that an answer may take.
const ANSWER_US_MAX: i64 = 150_000_000;
/// Entries of the book; older ones are put together.
const ENTRIES_MAX: usize = 20_000;

/// What an answer tells of the budget.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    pub limit: Option<f64>,
    pub remaining: Option<f64>,
    pub retry_after_us: Option<i64>,
}

/// The book of one identity.
#[derive(Debug)]
pub struct Pacer {
    limit: f64,
    spent: VecDeque<(i64, f64)>,
    sum: f64,
    /// Requests whose answers are not there yet: their class, when they were sent, what they are taken to cost.
    flying: Vec<(String, i64, f64)>,
    costs: HashMap<String, f64>,
    /// Whether the source has said what remains: before, the book is a guess and holds nobody back.
    known: bool,
    not_before_us: i64,
}

impl Default for Pacer {
    fn default() -> Self {
        Pacer {
            limit: LIMIT_DEFAULT,
            spent: VecDeque::new(),
            sum: 0.0,
            flying: Vec::new(),
            costs: HashMap::new(),
            known: false,
            not_before_us: 0,
        }
    }
}

impl Pacer {
    /// Enters a request into the book, or says until when to wait.
    pub fn admit(&mut self, class: &str, now_us: i64) -> Result<(), i64> {
        if now_us < self.not_before_us {
            return Err(self.not_before_us + jitter_us());
        }
        self.forget(now_us);
        let cost = self.cost(class);
        if self.known && self.sum + cost > self.limit * USED_SHARE_MAX {
            if let Some(until_us) = self.room_at(cost) {
                return Err(until_us.max(now_us + 1_000) + jitter_us());
            }
        }
        if self.spent.len() >= ENTRIES_MAX {
            // Two of the oldest become one, at the later moment: that errs to the safe side.
            if let (Some((_, first)), Some(second)) = (self.spent.pop_front(), self.spent.front_mut()) {
                second.1 += first;
            }
        }
        self.spent.push_back((now_us, cost));
        self.sum += cost;
        self.flying.push((class.to_owned(), now_us, cost));
        Ok(())
    }

    /// Whether so much is used that the source says what remains.
    pub fn is_near(&self) -> bool {
        self.known && self.sum > self.limit * NEAR_SHARE
    }

    /// An answer that does not come. What it cost stays in the book.
    pub fn lost(&mut self, class: &str, now_us: i64) {
        if let Some(at) = self.flying.iter().position(|(of, _, _)| of == class) {
            self.flying.remove(at);
        }
        // A request that was given up says nothing: it is forgotten when its answer can no longer come.
        self.flying.retain(|(_, at, _)| now_us - at < ANSWER_US_MAX);
    }

    fn in_flight(&self) -> f64 {
        self.flying.iter().map(|(_, _, cost)| cost).sum()
    }

    /// Learns from an answer.
    pub fn settle(&mut self, class: &str, now_us: i64, told: &Told) {
        self.lost(class, now_us);
        if let Some(wait_us) = told.retry_after_us {
            self.not_before_us = self.not_before_us.max(now_us + wait_us);
        }
        if let Some(limit) = told.limit.filter(|limit| *limit > 0.0) {
            self.limit = limit;
        }
        let Some(remaining) = told.remaining else { return };
        self.forget(now_us);
        let used = (self.limit - remaining).max(0.0);
        let counted = (self.sum - self.in_flight()).max(0.0);
        if !self.known && self.sum > 0.0 {
            // All guesses were wrong by the same factor.
            let factor = used / self.sum;
            self.spent.iter_mut().for_each(|(_, cost)| *cost *= factor);
            self.flying.iter_mut().for_each(|(_, _, cost)| *cost *= factor);
            self.costs.values_mut().for_each(|cost| *cost *= factor);
            self.costs.entry(class.to_owned()).or_insert(COST_FIRST * factor);
            self.known = true;
        } else if let Some(last) = self.spent.back_mut() {
            // The source has not counted what is still on its way, or has counted it early: that errs to the safe side.
            let missed = used - counted;
            let cost = (last.1 + missed).max(0.0);
            let estimate = self.costs.entry(class.to_owned()).or_insert(cost);
            *estimate += NEWEST_SHARE * (cost - *estimate);
            if last.1 + missed >= 0.0 {
                last.1 = cost;
            } else {
                // The book stands too high by more than this request: everything in it was dearer than it is.
                let factor = if counted > 0.0 { (used / counted).min(1.0) } else { 1.0 };
                self.spent.iter_mut().for_each(|(_, cost)| *cost *= factor);
            }
            self.known = true;
        }
        self.sum = self.spent.iter().map(|(_, cost)| cost).sum();
    }

    fn cost(&self, class: &str) -> f64 {
        let known = self.costs.get(class).copied();
        let dearest = || self.costs.values().copied().fold(0.0, f64::max);
        known.unwrap_or_else(|| if self.known { dearest().max(0.001) } else { COST_FIRST })
    }

    fn forget(&mut self, now_us: i64) {
        while self.spent.front().is_some_and(|(at, _)| now_us - at >= WINDOW_US) {
            let (_, cost) = self.spent.pop_front().expect("the front was looked at");
            self.sum = (self.sum - cost).max(0.0);
        }
    }

    /// When so much of the book has left the window that `cost` fits; `None` if it never will.
    fn room_at(&self, cost: f64) -> Option<i64> {
        let mut over = self.sum + cost - self.limit * USED_SHARE_MAX;
        for (at, spent) in &self.spent {
            over -= spent;
            if over <= 0.0 {
                return Some(at + WINDOW_US);
            }
        }
        // One request that costs more than the whole budget: it waits for an empty window.
        self.spent.back().map(|(at, _)| at + WINDOW_US)
    }
}

fn jitter_us() -> i64 {
    rand::random_range(0..JITTER_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that measures exactly and says what remains from half of the budget on.
    #[derive(Default)]
    struct Source(VecDeque<(i64, f64)>);

    impl Source {
        fn take(&mut self, now_us: i64, cost: f64) -> (f64, Told) {
            self.0.retain(|(at, _)| now_us - at < WINDOW_US);
            self.0.push_back((now_us, cost));
            let used: f64 = self.0.iter().map(|(_, cost)| cost).sum();
            let remaining = (used > LIMIT_DEFAULT / 2.0).then_some(LIMIT_DEFAULT - used);
            (used, Told { limit: remaining.map(|_| LIMIT_DEFAULT), remaining, retry_after_us: None })
        }
    }

    #[test]
    fn the_budget_is_used_and_never_passed() {
        for (unit, latency_us) in [(0.02, 20_000), (0.3, 50_000), (2.0, 100_000)] {
            let (mut pacer, mut source, mut now_us) = (Pacer::default(), Source::default(), 0);
            let (mut spent, mut highest) = (0.0, 0.0_f64);
            let end_us = 6 * WINDOW_US;
            for i in 0_u32.. {
                // Dear and cheap requests, in runs, as lists and details come.
                let (class, cost) = if (i / 40) % 3 == 0 { ("dear", unit * 4.0) } else { ("cheap", unit) };
                while let Err(until_us) = pacer.admit(class, now_us) {
                    now_us = until_us;
                }
                if now_us >= end_us {
                    break;
                }
                let (used, told) = source.take(now_us, cost);
                spent += cost;
                highest = highest.max(used);
                now_us += latency_us;
                pacer.settle(class, now_us, &told);
            }
            assert!(highest <= LIMIT_DEFAULT, "{unit}: {highest} in a window");
            let share = spent / (6.0 * LIMIT_DEFAULT);
            // What a window has room for may be more than requests one behind the other can spend.
            let possible = 2.0 * unit * 1e6 / latency_us as f64 * 300.0 / LIMIT_DEFAULT;
            assert!(share >= 0.9_f64.min(possible * 0.95), "{unit}: {share} of the budget, {possible} was possible");
        }
    }

    #[test]
    fn a_time_to_come_back_is_kept() {
        let mut pacer = Pacer::default();
        pacer.settle("x", 0, &Told { retry_after_us: Some(5_000_000), ..Told::default() });
        assert!(pacer.admit("x", 4_999_999).is_err());
        assert!(pacer.admit("x", 5_000_000).is_ok());
    }
}
