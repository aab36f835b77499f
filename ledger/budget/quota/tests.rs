#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn quota(more: &str) -> Result<Quota> {
    let text = format!("{{name: q, tenant: acme, {more}}}");
    Quota::check(serde_yaml_ng::from_str(&text).map_err(|e| Error::invalid(e.to_string()))?)
}

fn quotas(more: &str) -> Quotas {
    let quotas = Quotas::default();
    quotas.publish(vec![quota(more).unwrap()]);
    quotas
}

fn admit(quotas: &Quotas, user: &str, tokens: i64, now_us: i64) -> Result<Permit, OverQuota> {
    let mut attributes = Attributes::default();
    attributes.text("x_user", user).unwrap();
    quotas.admit("acme", &attributes, tokens, now_us).unwrap()
}

#[test]
fn the_wait_is_exact() {
    let quotas = quotas("requests: 60/m, burst_requests: 2, per: [x_user]");
    let now = 1_000 * SECOND_US;
    assert!(admit(&quotas, "a", 0, now).is_ok() && admit(&quotas, "a", 0, now).is_ok());
    let over = admit(&quotas, "a", 0, now + 1).unwrap_err();
    assert_eq!((over.what, over.retry_after_us), ("requests", Some(SECOND_US - 1)));
    assert!(admit(&quotas, "a", 0, now + SECOND_US - 1).is_err(), "a microsecond too early, and it cost nothing");
    assert!(admit(&quotas, "a", 0, now + SECOND_US).is_ok());
    assert!(admit(&quotas, "b", 0, now).is_ok(), "another caller has a quota of its own");
}

#[test]
fn tokens_that_were_not_used_come_back() {
    let quotas = quotas("tokens: 1000/m");
    let now = 1_000 * SECOND_US;
    let permit = admit(&quotas, "a", 1_000, now).unwrap();
    assert_eq!(admit(&quotas, "a", 1, now).unwrap_err().retry_after_us, Some(60_000));
    assert_eq!(quotas.room(&permit, now).1, Some(Room { limit: 1_000, remaining: 0, reset_us: 60 * SECOND_US }));
    quotas.end(permit, Some(400));
    assert_eq!(admit(&quotas, "a", 601, now).unwrap_err().what, "tokens");
    let all = admit(&quotas, "a", 600, now).unwrap();
    quotas.undo(all);
    assert!(admit(&quotas, "a", 600, now).is_ok(), "what was never sent does not count");
    assert_eq!(admit(&quotas, "a", 1_001, now).unwrap_err().retry_after_us, None, "it never fits");
}

#[test]
fn so_many_run_at_once() {
    let quotas = quotas("concurrency: 2");
    let first = admit(&quotas, "a", 0, 0).unwrap();
    let second = admit(&quotas, "a", 0, 0).unwrap();
    assert_eq!(admit(&quotas, "a", 0, 0).unwrap_err().what, "concurrency");
    quotas.end(first, None);
    assert!(admit(&quotas, "a", 0, 0).is_ok());
    quotas.end(second, None);
}

#[test]
fn what_is_no_quota_is_refused() {
    for (more, why) in [
        ("requests: 60", "no rate"),
        ("requests: 0/m", "no rate"),
        ("tokens: 5/fortnight", "no rate"),
        ("concurrency: 0", "at least 1"),
        ("scope: \"TRUE\"", "limits nothing"),
        ("requests: 1/s, per: [x_shoe]", "no column x_shoe"),
        ("requests: 1/s, scope: \"rand() > 1\"", "rand"),
        ("requests: 1/s, limit: 4", "unknown field"),
    ] {
        let said = quota(more).unwrap_err().to_string();
        assert!(said.contains(why), "{more}: {said}");
    }
}

/// A bucket that leaks, by the book: its level in millionths times the rate's count, drained step by step.
struct Bucket {
    level: i128,
    at_us: i64,
}

impl Bucket {
    fn take(&mut self, rate: Rate, nodes: u32, n: i64, now_us: i64) -> bool {
        let leaked = i128::from(now_us - self.at_us) * i128::from(rate.count);
        self.level = (self.level - leaked).max(0);
        self.at_us = now_us;
        let more = i128::from(n) * i128::from(rate.period_us) * i128::from(nodes);
        let fits = self.level + more <= i128::from(rate.burst) * i128::from(rate.period_us);
        if fits {
            self.level += more;
        }
        fits
    }
}

proptest! {
    /// The algorithm admits what a leaking bucket admits, and a caller who waits as long as it was told is admitted, not a
    /// microsecond earlier.
    #[test]
    fn a_leaking_bucket_agrees(count in 1i64..2_000, period_s in prop::sample::select(vec![1i64, 60, 3_600]), burst in 1i64..2_000,
        nodes in 1u32..4, steps in prop::collection::vec((0i64..30_000_000, 0i64..50), 1..80)) {
        let rate = Rate { count, period_us: period_s * SECOND_US, burst };
        let (mut arrival, mut now_us) = (Arrival::default(), 1_000_000_000_000);
        let mut bucket = Bucket { level: 0, at_us: now_us };
        for (pause_us, n) in steps {
            now_us += pause_us;
            let taken = rate.take(arrival, n, now_us, nodes);
            prop_assert_eq!(taken.is_ok(), bucket.take(rate, nodes, n, now_us));
            match taken {
                Ok(after) => arrival = after,
                Err(None) => prop_assert!(n * i64::from(nodes) > burst),
                Err(Some(wait_us)) => {
                    prop_assert!(rate.take(arrival, n, now_us + wait_us, nodes).is_ok());
                    prop_assert!(rate.take(arrival, n, now_us + wait_us - 1, nodes).is_err());
                }
            }
        }
    }

    /// In any stretch of time, no more are admitted than the burst and what the rate gives back meanwhile.
    #[test]
    fn never_more_than_burst_and_rate(count in 1i64..100, burst in 1i64..20, pauses in prop::collection::vec(0i64..3_000_000, 1..200)) {
        let rate = Rate { count, period_us: 60 * SECOND_US, burst };
        let (mut arrival, mut now_us, mut admitted) = (Arrival::default(), 0, Vec::new());
        for pause_us in pauses {
            now_us += pause_us;
            if let Ok(after) = rate.take(arrival, 1, now_us, 1) {
                arrival = after;
                admitted.push(now_us);
            }
        }
        for (first, from_us) in admitted.iter().enumerate() {
            for (last, to_us) in admitted.iter().enumerate().skip(first) {
                let number = i128::from((last - first + 1) as i64);
                let allowed = i128::from(burst) * i128::from(rate.period_us) + i128::from(to_us - from_us) * i128::from(count);
                prop_assert!(number * i128::from(rate.period_us) <= allowed);
            }
        }
    }
}
