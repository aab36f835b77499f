//! What a check's fact means, and where an entity stands by all of them. Pure.

use std::time::Duration;

use engine::clock::rfc3339;
use engine::write_span;

/// What a check says about an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it should be.
    Pass,
    /// It is not.
    Fail,
    /// The fact is missing, or too old: nobody can say, and it does not count as passed.
    Unknown,
    /// The check is not about this entity.
    NotApplicable,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 4] = [Outcome::Pass, Outcome::Fail, Outcome::Unknown, Outcome::NotApplicable];

    /// Its name in `score_result`.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Unknown => "unknown",
            Outcome::NotApplicable => "not_applicable",
        }
    }

    /// The outcome of a name.
    pub fn parse(name: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// A row of a check's SELECT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fact {
    /// Whether it is as it should be; null where that cannot be said.
    pub passed: Option<bool>,
    /// What it was seen by.
    pub evidence: Option<String>,
    /// When that was seen, µs since 1970.
    pub observed_us: Option<i64>,
}

/// Why a fact says nothing at a tick: it is too old, or nobody knows how old.
pub(super) fn too_old(observed_us: Option<i64>, max_age: Option<Duration>, tick: i64) -> Option<String> {
    let max_age = max_age?;
    let Some(observed) = observed_us else {
        return Some(format!("nobody knows when it was seen, and it may be {} old", write_span(max_age)));
    };
    let allowed = i64::try_from(max_age.as_micros()).unwrap_or(i64::MAX);
    (tick.saturating_sub(observed) > allowed)
        .then(|| format!("last seen at {}, and it may be {} old", rfc3339(observed), write_span(max_age)))
}

/// What a fact means at a tick, and by which evidence.
pub(super) fn outcome(fact: Option<&Fact>, max_age: Option<Duration>, tick: i64) -> (Outcome, Option<String>) {
    let Some(fact) = fact else { return (Outcome::Unknown, Some("the check has no fact about it".to_owned())) };
    if let Some(why) = too_old(fact.observed_us, max_age, tick) {
        return (Outcome::Unknown, Some(why));
    }
    let outcome = match fact.passed {
        Some(true) => Outcome::Pass,
        Some(false) => Outcome::Fail,
        None => Outcome::Unknown,
    };
    (outcome, fact.evidence.clone())
}

/// Where an entity stands.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Standing {
    /// The place of its level among the levels, from 0.
    pub level: usize,
    /// Checks that passed.
    pub passed: usize,
    /// Checks that failed.
    pub failed: usize,
    /// Checks that nobody can answer.
    pub unknown: usize,
    /// Weight of the checks that passed.
    pub weight_passed: i64,
    /// Weight of the checks that apply.
    pub weight: i64,
}

impl Standing {
    /// What part of the checks that apply passes, in percent of their weight; null where none applies.
    pub fn percent(&self) -> Option<f64> {
        (self.weight > 0).then(|| 100.0 * self.weight_passed as f64 / self.weight as f64)
    }
}

/// Where an entity stands by its checks (level, weight, outcome), exempted ones as [`Outcome::NotApplicable`]: the highest
/// of `levels` levels such that every check of it and of those below passes.
pub fn standing(levels: usize, checks: impl IntoIterator<Item = (usize, i64, Outcome)>) -> Standing {
    let mut standing = Standing { level: levels.saturating_sub(1), ..Standing::default() };
    for (level, weight, outcome) in checks {
        let place = match outcome {
            Outcome::NotApplicable => continue,
            Outcome::Pass => &mut standing.passed,
            Outcome::Fail => &mut standing.failed,
            Outcome::Unknown => &mut standing.unknown,
        };
        *place += 1;
        standing.weight += weight;
        if outcome == Outcome::Pass {
            standing.weight_passed += weight;
        } else {
            standing.level = standing.level.min(level.saturating_sub(1));
        }
    }
    standing
}
