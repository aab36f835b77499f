//! The row state machine: what a rule's rows mean, compared with the rows that it tracks already. Pure: rows and a tick go
//! in, the difference comes out.
//!
//! ```text
//! absent ─► pending (for) ─► firing ─► clearing (keep) ─► absent
//!                              new ▲  changed   │    resolved ▲
//!                                  └────────────┘ came back
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::rule::{Header, Limit, Start};

/// A row of a rule's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its identity: the cells of `key`, as a JSON list.
    pub key: String,
    /// Hash of the cells of `watch`.
    pub watch: String,
    /// All its cells.
    pub data: Map<String, Value>,
}

/// Where a tracked row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not been there long enough to be new.
    Pending,
    /// It is there, and was told.
    Firing,
    /// It is gone, not long enough to be resolved.
    Clearing,
}

impl State {
    /// Its name in `rule_row`.
    pub fn name(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Firing => "firing",
            State::Clearing => "clearing",
        }
    }

    /// The state of a name.
    pub fn parse(name: &str) -> Option<State> {
        [State::Pending, State::Firing, State::Clearing].into_iter().find(|state| state.name() == name)
    }
}

/// A row that a rule tracks.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracked {
    /// Where it stands.
    pub state: State,
    /// The tick at which it began to fire, or, pending, at which it came: tells two lives of one key apart.
    pub epoch: i64,
    /// Hash of the watched cells as they were told.
    pub watch: String,
    /// The tick since which it stands there.
    pub since: i64,
    /// Times it came back before it was resolved.
    pub flaps: i64,
    /// Its cells when it was last seen.
    pub data: Map<String, Value>,
}

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transition {
    /// It is there.
    New,
    /// A watched cell is another one.
    Changed,
    /// It is gone.
    Resolved,
}

impl Transition {
    /// All of them, in the order of a row's life.
    pub const ALL: [Transition; 3] = [Transition::New, Transition::Changed, Transition::Resolved];

    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Transition::New => "new",
            Transition::Changed => "changed",
            Transition::Resolved => "resolved",
        }
    }
}

/// A transition of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Move {
    /// The row.
    pub key: String,
    /// Which of its lives.
    pub epoch: i64,
    /// What happened.
    pub transition: Transition,
    /// Hash of the watched cells.
    pub watch: String,
    /// Its cells; of a row that is gone, the last ones.
    pub data: Map<String, Value>,
}

impl Move {
    /// Names an action of this transition once and for all: looking at the same tick again gives the same name.
    pub fn dedupe(&self, rule: &str, action: usize) -> String {
        let mut hash = Sha256::new();
        let (epoch, action) = (self.epoch.to_string(), action.to_string());
        for part in [rule, &self.key, &epoch, self.transition.name(), &self.watch, &action] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hex::encode(hash.finalize())
    }
}

/// What a run changes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Difference {
    /// What happened, by key.
    pub moves: Vec<Move>,
    /// Rows to be tracked as they are now; those that did not change are not among them.
    pub tracked: Vec<(String, Tracked)>,
    /// Rows that are not tracked any more.
    pub forgotten: Vec<String>,
}

/// Why a run changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Two rows have one key.
    DuplicateKey {
        /// The key.
        key: String,
        /// Keys that several rows have.
        keys: usize,
    },
    /// More rows would be new than the rule allows.
    Held {
        /// Rows that would be new.
        new: usize,
        /// Rows that are tracked as firing.
        tracked: usize,
    },
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::DuplicateKey { key, keys } => {
                write!(f, "{keys} keys have several rows, {key} among them: add columns to `key`, or group the rows")
            }
            Stop::Held { new, tracked } => {
                write!(
                    f,
                    "{new} rows would be new beside {tracked}, more than `limit` allows: look, then release the run"
                )
            }
        }
    }
}

/// What a rule's rows at a tick mean. `first` says that the rule never ran; `released` that its owner allows what `limit`
/// forbids.
pub fn difference(
    header: &Header,
    tracked: &BTreeMap<String, Tracked>,
    rows: Vec<Seen>,
    tick: i64,
    first: bool,
    released: bool,
) -> Result<Difference, Stop> {
    let rows = by_key(rows)?;
    let (mut difference, mut gone) = (Difference::default(), Vec::new());
    // Both are sorted: one pass over them together.
    let mut known = tracked.iter().peekable();
    for row in rows {
        while let Some(missing) = known.next_if(|(key, _)| **key < row.key) {
            gone.push(missing);
        }
        let old = known.next_if(|(key, _)| **key == row.key).map(|(_, old)| old);
        let Seen { key, watch, data } = row;
        let (next, transition) = met(header, old, watch, data, tick, first);
        difference.note(&key, old, next, transition);
    }
    gone.extend(known);
    for (key, old) in gone {
        match missed(header, old, tick) {
            Missed::Stays(next) => difference.note(key, Some(old), next, None),
            Missed::Vanishes => difference.forgotten.push(key.clone()),
            Missed::Resolved => {
                difference.moves.push(moved(key, old, Transition::Resolved));
                difference.forgotten.push(key.clone());
            }
        }
    }
    difference.moves.sort_by(|a, b| (a.transition, &a.key).cmp(&(b.transition, &b.key)));
    let new = difference.moves.iter().filter(|m| m.transition == Transition::New).count();
    let firing = tracked.values().filter(|row| row.state != State::Pending).count();
    let broken = |limit: Limit| limit.broken(new, firing);
    if !released && header.limit.is_some_and(broken) {
        return Err(Stop::Held { new, tracked: firing });
    }
    Ok(difference)
}

impl Difference {
    fn note(&mut self, key: &str, old: Option<&Tracked>, next: Tracked, transition: Option<Transition>) {
        self.moves.extend(transition.map(|transition| moved(key, &next, transition)));
        if old != Some(&next) {
            self.tracked.push((key.to_owned(), next));
        }
    }
}

fn moved(key: &str, row: &Tracked, transition: Transition) -> Move {
    let (epoch, watch, data) = (row.epoch, row.watch.clone(), row.data.clone());
    Move { key: key.to_owned(), epoch, transition, watch, data }
}

/// Rows in the order of their keys, of which none comes twice.
fn by_key(mut rows: Vec<Seen>) -> Result<Vec<Seen>, Stop> {
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    let twice: Vec<&str> =
        rows.windows(2).filter(|two| two[0].key == two[1].key).map(|two| two[0].key.as_str()).collect();
    let Some(first) = twice.first() else { return Ok(rows) };
    let keys = twice.iter().collect::<std::collections::BTreeSet<_>>().len();
    Err(Stop::DuplicateKey { key: (*first).to_owned(), keys })
}

/// A row that is there.
fn met(
    header: &Header,
    old: Option<&Tracked>,
    watch: String,
    data: Map<String, Value>,
    tick: i64,
    first: bool,
) -> (Tracked, Option<Transition>) {
    let changed = old.is_some_and(|old| old.watch != watch).then_some(Transition::Changed);
    let now = |state, epoch, since, flaps| Tracked { state, epoch, watch, since, flaps, data };
    let Some(old) = old else {
        let known = first && header.start == Start::Baseline;
        return match known || header.hold.is_zero() {
            true => (now(State::Firing, tick, tick, 0), (!known).then_some(Transition::New)),
            false => (now(State::Pending, tick, tick, 0), None),
        };
    };
    match old.state {
        State::Pending if passed(old.since, tick, header.hold) => {
            (now(State::Firing, tick, tick, old.flaps), Some(Transition::New))
        }
        State::Pending => (now(State::Pending, old.epoch, old.since, old.flaps), None),
        State::Firing | State::Clearing => {
            let back = old.state == State::Clearing;
            let (since, flaps) = if back { (tick, old.flaps + 1) } else { (old.since, old.flaps) };
            (now(State::Firing, old.epoch, since, flaps), changed)
        }
    }
}

enum Missed {
    Stays(Tracked),
    Vanishes,
    Resolved,
}

/// A tracked row that is not there.
fn missed(header: &Header, old: &Tracked, tick: i64) -> Missed {
    match old.state {
        State::Pending => Missed::Vanishes,
        State::Firing if header.keep.is_zero() => Missed::Resolved,
        State::Firing => Missed::Stays(Tracked { state: State::Clearing, since: tick, ..old.clone() }),
        State::Clearing if passed(old.since, tick, header.keep) => Missed::Resolved,
        State::Clearing => Missed::Stays(old.clone()),
    }
}

fn passed(since: i64, tick: i64, span: Duration) -> bool {
    tick.saturating_sub(since) >= i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
