//! What the clients know, outside the process: which requests were acknowledged, refused or never answered. From that
//! follows what the store must hold, may hold and must not hold; [`Oracle::judge`] compares.

use std::collections::{BTreeMap, BTreeSet};

/// Findings of one sort that a verdict spells out.
const EXAMPLES: usize = 4;

/// How an attempt to deliver ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Acked,
    /// Answered, but not with success.
    Refused,
    /// The connection broke, or the answer has not come yet.
    Unknown,
}

/// One attempt. `mark` is where the disk's journal ended when the client knew; an attempt whose end the journal does not
/// reach is, for a cut before it, one without an answer.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    ending: Ending,
    mark: u64,
}

impl Attempt {
    fn at(self, bound: Bound) -> Ending {
        match self.ending {
            _ if self.mark > bound.cut => Ending::Unknown,
            Ending::Refused if bound.refused_may_return => Ending::Unknown,
            ending => ending,
        }
    }
}

/// From where a verdict looks.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Only what was known when the journal ended here counts.
    pub cut: u64,
    /// Whether a refused frame may be there all the same: a store that refused may have taken it, and a process that died
    /// could not take it back.
    pub refused_may_return: bool,
}

impl Bound {
    /// Everything counts.
    pub const NOW: Bound = Bound { cut: u64::MAX, refused_may_return: false };
}

/// Rows that are acknowledged together: a frame of log records, an event.
#[derive(Debug)]
struct Request {
    records: u64,
    keyed: bool,
    attempts: Vec<Attempt>,
}

/// A thing with one current state: an object of a cluster, the rows of a cost file. The empty state is "not there".
#[derive(Debug, Default)]
struct Thing {
    /// Rows of each state that is there.
    rows: u64,
    attempts: Vec<(String, Attempt)>,
}

/// What a question over an old place in the log answered.
#[derive(Debug, Clone)]
pub struct Moment {
    pub sql: String,
    pub answer: Vec<Vec<String>>,
    mark: u64,
}

/// Names one attempt.
#[derive(Debug, Clone)]
pub struct Ticket {
    name: String,
    attempt: usize,
}

#[derive(Debug, Default)]
pub struct Oracle {
    requests: BTreeMap<String, Request>,
    things: BTreeMap<String, Thing>,
    moments: Vec<Moment>,
    /// Answers that no fault explains.
    pub wrong: Vec<String>,
}

/// What the store holds.
#[derive(Debug, Default)]
pub struct Held {
    /// Rows and distinct records of every request.
    pub requests: BTreeMap<String, (u64, u64)>,
    /// States and their rows of every thing.
    pub things: BTreeMap<String, BTreeMap<String, u64>>,
}

/// What was found; everything but `acked` and `returned` is an engine's fault.
#[derive(Debug, Default, Clone)]
pub struct Verdict {
    /// Records and states that were acknowledged.
    pub acked: u64,
    pub lost: Vec<String>,
    pub doubled: Vec<String>,
    /// Refused and there all the same.
    pub returned: Vec<String>,
    /// Frames of which a part is there.
    pub torn: Vec<String>,
}

impl Verdict {
    /// Everything that is wrong, in words; `None` if nothing is.
    pub fn complaint(&self) -> Option<String> {
        let sorts = [
            ("lost", &self.lost),
            ("there twice", &self.doubled),
            ("refused, but there", &self.returned),
            ("torn", &self.torn),
        ];
        let told: Vec<String> = sorts
            .iter()
            .filter(|(_, found)| !found.is_empty())
            .map(|(sort, found)| format!("{} {sort}: {}", found.len(), found[..found.len().min(EXAMPLES)].join("; ")))
            .collect();
        (!told.is_empty()).then(|| told.join(" | "))
    }
}

impl Oracle {
    /// An attempt to deliver a request begins.
    pub fn send(&mut self, name: &str, records: u64, keyed: bool) -> Ticket {
        let request = self.requests.entry(name.to_owned()).or_insert(Request { records, keyed, attempts: Vec::new() });
        request.attempts.push(Attempt { ending: Ending::Unknown, mark: 0 });
        Ticket { name: name.to_owned(), attempt: request.attempts.len() - 1 }
    }

    /// An attempt to bring a thing into a state begins.
    pub fn set(&mut self, name: &str, state: &str, rows: u64) -> Ticket {
        let thing = self.things.entry(name.to_owned()).or_default();
        thing.rows = rows;
        thing.attempts.push((state.to_owned(), Attempt { ending: Ending::Unknown, mark: 0 }));
        Ticket { name: name.to_owned(), attempt: thing.attempts.len() - 1 }
    }

    /// How an attempt ended.
    pub fn end(&mut self, ticket: &Ticket, ending: Ending, mark: u64) {
        let attempt = Attempt { ending, mark };
        if let Some(request) = self.requests.get_mut(&ticket.name) {
            request.attempts[ticket.attempt] = attempt;
        } else if let Some(thing) = self.things.get_mut(&ticket.name) {
            thing.attempts[ticket.attempt].1 = attempt;
        }
    }

    /// A question over an old place in the log was answered.
    pub fn remember(&mut self, sql: String, answer: Vec<Vec<String>>, mark: u64) {
        self.moments.push(Moment { sql, answer, mark });
    }

    /// The newest questions that were answered before the cut.
    pub fn moments(&self, bound: Bound, count: usize) -> Vec<Moment> {
        self.moments.iter().rev().filter(|moment| moment.mark <= bound.cut).take(count).cloned().collect()
    }

    /// Acknowledged attempts so far.
    pub fn acks(&self) -> usize {
        let requests = self.requests.values().flat_map(|request| request.attempts.iter());
        let things = self.things.values().flat_map(|thing| thing.attempts.iter().map(|(_, attempt)| attempt));
        requests.chain(things).filter(|attempt| attempt.ending == Ending::Acked).count()
    }

    /// The newest acknowledged request with a key whose name begins so.
    pub fn newest_acked(&self, prefix: &str, bound: Bound) -> Option<String> {
        let acked = |request: &Request| request.keyed && request.attempts.iter().any(|a| a.at(bound) == Ending::Acked);
        let mine = self.requests.iter().rev().filter(|(name, _)| name.starts_with(prefix));
        mine.filter(|(_, request)| acked(request)).map(|(name, _)| name.clone()).next()
    }

    /// Compares what a store holds with what it must hold.
    pub fn judge(&self, held: &Held, bound: Bound) -> Verdict {
        let mut verdict = Verdict::default();
        for (name, request) in &self.requests {
            judge_request(name, request, held.requests.get(name).copied().unwrap_or_default(), bound, &mut verdict);
        }
        for name in held.requests.keys().filter(|name| !self.requests.contains_key(*name)) {
            verdict.returned.push(format!("{name} was never sent"));
        }
        for (name, thing) in &self.things {
            let there = held.things.get(name).cloned().unwrap_or_default();
            judge_thing(name, thing, &there, bound, &mut verdict);
        }
        verdict
    }
}

fn judge_request(name: &str, request: &Request, (rows, distinct): (u64, u64), bound: Bound, verdict: &mut Verdict) {
    let endings: Vec<Ending> = request.attempts.iter().map(|attempt| attempt.at(bound)).collect();
    let count = |wanted| endings.iter().filter(|ending| **ending == wanted).count() as u64;
    let (acked, unknown) = (count(Ending::Acked), count(Ending::Unknown));
    // Repeats of an acknowledged key are acknowledged again and add nothing.
    let (least, most) = match request.keyed {
        true => (acked.min(1), (acked + unknown).min(1)),
        false => (acked, acked + unknown),
    };
    verdict.acked += acked.min(1) * request.records;
    let times = rows / request.records;
    let told = || format!("{name} ({rows} rows of {}, {acked} acked, {unknown} without an answer)", request.records);
    if rows % request.records != 0 || (rows > 0 && distinct != request.records) {
        verdict.torn.push(format!("{}, {distinct} different", told()));
    } else if times < least {
        verdict.lost.push(told());
    } else if times > most {
        if most == 0 { verdict.returned.push(told()) } else { verdict.doubled.push(told()) }
    }
}

fn judge_thing(name: &str, thing: &Thing, there: &BTreeMap<String, u64>, bound: Bound, verdict: &mut Verdict) {
    let endings: Vec<(&str, Ending)> =
        thing.attempts.iter().map(|(state, attempt)| (state.as_str(), attempt.at(bound))).collect();
    let last = endings.iter().rposition(|(_, ending)| *ending == Ending::Acked);
    verdict.acked += endings.iter().filter(|(_, ending)| *ending == Ending::Acked).count() as u64;
    let first = last.map_or("", |at| endings[at].0);
    let later = endings.iter().skip(last.map_or(0, |at| at + 1)).filter(|(_, ending)| *ending == Ending::Unknown);
    let allowed: BTreeSet<&str> = later.map(|(state, _)| *state).chain([first]).collect();
    let told = || format!("{name} is {there:?} and may be {allowed:?}");
    match there.iter().collect::<Vec<_>>().as_slice() {
        [] if allowed.contains("") => {}
        [] => verdict.lost.push(told()),
        [(state, rows)] if allowed.contains(state.as_str()) => {
            if **rows > thing.rows {
                verdict.doubled.push(told());
            } else if **rows < thing.rows {
                verdict.torn.push(told());
            }
        }
        [(state, _)] => {
            let place = endings.iter().rposition(|(known, _)| known == state);
            match (place, last) {
                // An older state than the last acknowledged one.
                (Some(place), Some(last)) if place < last => verdict.lost.push(told()),
                _ => verdict.returned.push(told()),
            }
        }
        _ => verdict.doubled.push(told()),
    }
}

#[test]
fn the_oracle_tells_loss_from_doubling() {
    let check = |keyed: bool, endings: &[Ending], rows: u64, expected: &str| {
        let mut oracle = Oracle::default();
        for ending in endings {
            let ticket = oracle.send("r", 2, keyed);
            oracle.end(&ticket, *ending, 10);
        }
        let held = Held { requests: BTreeMap::from([("r".to_owned(), (rows, rows.min(2)))]), ..Held::default() };
        let told = oracle.judge(&held, Bound::NOW).complaint().unwrap_or_default();
        assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{endings:?} {rows}: {told:?}");
    };
    use Ending::{Acked, Refused, Unknown};
    check(true, &[Acked], 2, "");
    check(true, &[Acked], 0, "lost");
    check(true, &[Acked], 1, "torn");
    check(true, &[Unknown, Acked], 4, "twice");
    check(false, &[Unknown, Acked], 4, "");
    check(false, &[Unknown, Acked], 6, "twice");
    check(false, &[Unknown], 0, "");
    check(true, &[Refused], 2, "refused");
    check(true, &[Refused, Acked], 2, "");
    check(false, &[Refused, Acked], 4, "twice");
}

#[test]
fn the_oracle_knows_which_state_is_the_newest() {
    let check = |attempts: &[(&str, Ending)], there: &[(&str, u64)], expected: &str| {
        let mut oracle = Oracle::default();
        for (state, ending) in attempts {
            let ticket = oracle.set("t", state, 1);
            oracle.end(&ticket, *ending, 10);
        }
        let states = there.iter().map(|(state, rows)| ((*state).to_owned(), *rows)).collect();
        let held = Held { things: BTreeMap::from([("t".to_owned(), states)]), ..Held::default() };
        let told = oracle.judge(&held, Bound::NOW).complaint().unwrap_or_default();
        assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{attempts:?} {there:?}: {told:?}");
    };
    use Ending::{Acked, Refused, Unknown};
    check(&[("1", Acked), ("2", Acked)], &[("2", 1)], "");
    check(&[("1", Acked), ("2", Acked)], &[("1", 1)], "lost");
    check(&[("1", Acked), ("2", Unknown)], &[("1", 1)], "");
    check(&[("1", Acked), ("2", Unknown)], &[("2", 1)], "");
    check(&[("1", Acked), ("2", Refused)], &[("2", 1)], "refused");
    check(&[("1", Acked), ("", Acked)], &[], "");
    check(&[("1", Acked), ("", Acked)], &[("1", 1)], "lost");
    check(&[("1", Acked), ("2", Acked)], &[("1", 1), ("2", 1)], "twice");
    check(&[("1", Acked)], &[("1", 2)], "twice");
    check(&[("1", Acked)], &[], "lost");
}
