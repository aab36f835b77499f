//! What is known of a scorecard from the evaluation before.

use std::collections::BTreeMap;

use super::Key;
use super::outcome::Outcome;

/// A scorecard as it stands in the database.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stored {
    /// SHA-256 of the file that was evaluated last; `None` before the first time.
    pub version: Option<String>,
    /// The tick of the last evaluation.
    pub last_tick: Option<i64>,
    /// Every row before this place in the log was seen by it.
    pub seq: i64,
    /// Who was scored, with the level as it was told last.
    pub entities: BTreeMap<Key, KeptEntity>,
    /// What each check said, by entity and check.
    pub results: BTreeMap<(Key, String), Kept>,
}

/// An entity as it stands in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEntity {
    /// Its name for people.
    pub title: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The name of its level.
    pub level: String,
    /// The tick since which it has that level.
    pub level_last_change: i64,
    /// The tick at which it was first seen.
    pub since: i64,
}

/// What a check said about an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it said.
    pub outcome: Outcome,
    /// By which evidence.
    pub evidence: Option<String>,
    /// When that was seen, µs since 1970.
    pub observed_us: Option<i64>,
    /// Which version of the check said so.
    pub rule_version: String,
    /// The tick since which it says so.
    pub result_last_change: i64,
}
