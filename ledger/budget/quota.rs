//! Quotas: how many requests and tokens a stretch of time takes, and how many requests may run at once. A generic cell
//! rate algorithm in whole numbers: the time until the next admission is exact, and a refused request consumes nothing.
//! Cells lie in this node's memory; nodes that share a state database divide the rate by how many of them live.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use engine::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

use super::attributes::{self, Attributes, Scalar};
use super::calendar::SECOND_US;
use super::definition::{EVERYBODY, Number, named};
use super::predicate::Predicate;

/// Cells of one node; more callers than this are told to come back.
const CELLS_MAX: usize = 200_000;
/// Attributes that tell the callers of one quota apart.
const PER_MAX: usize = 8;
/// Highest rate.
const RATE_MAX: i64 = 1_000_000_000_000;

/// One quota as it stands in a file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaDocument {
    pub(super) name: String,
    pub(super) tenant: String,
    #[serde(default = "everything")]
    scope: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    per: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requests: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burst_requests: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burst_tokens: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    concurrency: Option<i64>,
}

fn everything() -> String {
    "TRUE".to_owned()
}

/// So many in so long, and how many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: i64,
    /// In so many microseconds.
    pub period_us: i64,
    /// At most so many at one moment.
    pub burst: i64,
}

/// A checked quota.
#[derive(Debug, Clone)]
pub struct Quota {
    /// Whose requests count; [`EVERYBODY`] is all tenants.
    pub tenant: Arc<str>,
    /// Its name within the tenant.
    pub name: Arc<str>,
    /// Which requests count.
    pub scope: Predicate,
    /// Attributes whose values each have a quota of their own.
    per: Vec<u16>,
    /// Requests.
    pub requests: Option<Rate>,
    /// Tokens.
    pub tokens: Option<Rate>,
    /// Requests that run at once.
    pub concurrency: Option<i64>,
    document: QuotaDocument,
}

impl Quota {
    /// Checks one entry.
    pub fn check(document: QuotaDocument) -> Result<Quota> {
        let rate = |what: &str, text: &Option<String>, burst: &Option<Number>| {
            text.as_deref().map(|text| rate(text, burst.as_ref())).transpose().map_err(|e| e.context(what))
        };
        let quota = Quota {
            tenant: named("tenant", &document.tenant)?,
            name: named("name", &document.name)?,
            scope: Predicate::parse(&document.scope)?,
            per: document.per.iter().map(|name| attributes::place(name)).collect::<Result<_>>()?,
            requests: rate("requests", &document.requests, &document.burst_requests)?,
            tokens: rate("tokens", &document.tokens, &document.burst_tokens)?,
            concurrency: document.concurrency,
            document,
        };
        if quota.per.len() > PER_MAX {
            return Err(Error::invalid(format!("a quota is per at most {PER_MAX} attributes")));
        }
        if quota.concurrency.is_some_and(|most| most < 1) {
            return Err(Error::invalid("a concurrency is at least 1"));
        }
        if quota.requests.is_none() && quota.tokens.is_none() && quota.concurrency.is_none() {
            return Err(Error::invalid("it limits nothing: give requests, tokens or concurrency"));
        }
        Ok(quota)
    }

    /// What was stored by [`Quota::stored`].
    pub fn read(json: &str) -> Result<Quota> {
        Quota::check(serde_json::from_str(json).map_err(|e| Error::invalid(format!("a stored quota: {e}")))?)
    }

    /// As JSON, to be stored and shown.
    pub fn stored(&self) -> String {
        serde_json::json!(self.document).to_string()
    }

    fn key(&self, attributes: &Attributes) -> String {
        let mut key = String::new();
        for at in &self.per {
            match attributes.get(*at) {
                Some(Scalar::Text(text)) => key.push_str(text),
                Some(Scalar::Number(units)) => key.push_str(&units.to_string()),
                Some(Scalar::Truth(truth)) => key.push_str(&truth.to_string()),
                None => {}
            }
            key.push('\u{1f}');
        }
        key
    }
}

/// `60/m`, `1000/h`, `5/s`, `100000/d`.
fn rate(text: &str, burst: Option<&Number>) -> Result<Rate> {
    let wrong = || Error::invalid(format!("{text:?} is no rate: 5/s, 60/m, 1000/h and 100000/d are"));
    let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
    let count: i64 = count.trim().parse().map_err(|_| wrong())?;
    let period_us = SECOND_US
        * match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
    let burst = burst.map_or(Ok(count), |burst| burst.text()?.parse().map_err(|_| wrong()))?;
    if !(1..=RATE_MAX).contains(&count) || !(1..=RATE_MAX).contains(&burst) {
        return Err(wrong());
    }
    Ok(Rate { count, period_us, burst })
}

/// The theoretical arrival time of a cell, in microseconds times the rate's count: a whole number, so nothing is rounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrival(i128);

impl Rate {
    /// Takes `n` at `now`. `Err`: how long until it would be admitted, in microseconds rounded up; `None` is never.
    pub fn take(&self, arrival: Arrival, n: i64, now_us: i64, nodes: u32) -> Result<Arrival, Option<i64>> {
        let now = i128::from(now_us) * i128::from(self.count);
        let room = i128::from(self.burst) * i128::from(self.period_us);
        let cost = i128::from(n) * i128::from(self.period_us) * i128::from(nodes.max(1));
        if cost > room {
            return Err(None);
        }
        let after = arrival.0.max(now) + cost;
        let over = after - now - room;
        if over <= 0 {
            return Ok(Arrival(after));
        }
        let count = i128::from(self.count);
        Err(Some(i64::try_from((over + count - 1) / count).unwrap_or(i64::MAX)))
    }

    /// Gives back `n` that were taken and not used; taken more than was said adds them.
    fn give_back(&self, arrival: Arrival, n: i64, nodes: u32) -> Arrival {
        Arrival(arrival.0 - i128::from(n) * i128::from(self.period_us) * i128::from(nodes.max(1)))
    }

    /// How many could be taken now, and how long until all could.
    fn left(&self, arrival: Arrival, now_us: i64, nodes: u32) -> (i64, i64) {
        let now = i128::from(now_us) * i128::from(self.count);
        let room = i128::from(self.burst) * i128::from(self.period_us);
        let used = (arrival.0 - now).max(0);
        let each = i128::from(self.period_us) * i128::from(nodes.max(1));
        let narrow = |units: i128| i64::try_from(units).unwrap_or(i64::MAX);
        (narrow((room - used).max(0) / each), narrow((used + i128::from(self.count) - 1) / i128::from(self.count)))
    }
}

#[derive(Debug, Default)]
struct Cell {
    requests: Arrival,
    tokens: Arrival,
    running: i64,
}

type CellKey = (Arc<str>, Arc<str>, String);

/// A request's place in every quota that counts it. Given back by [`Quotas::end`].
#[derive(Debug, Default)]
pub struct Permit {
    cells: Vec<(Arc<Quota>, CellKey)>,
    tokens: i64,
}

/// How full the fullest quota is, for the caller's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// How many a burst may take.
    pub limit: i64,
    /// How many could be taken now.
    pub remaining: i64,
    /// How long until all could, in microseconds.
    pub reset_us: i64,
}

/// Why a request must wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverQuota {
    /// Whose quota.
    pub tenant: Arc<str>,
    /// Which.
    pub name: Arc<str>,
    /// `requests`, `tokens` or `concurrency`.
    pub what: &'static str,
    /// Microseconds until it would be admitted; `None`: never in this size, or whenever another request ends.
    pub retry_after_us: Option<i64>,
}

/// The quotas of this node.
#[derive(Debug, Default)]
pub struct Quotas {
    known: RwLock<Arc<Vec<Arc<Quota>>>>,
    cells: Mutex<HashMap<CellKey, Cell>>,
    nodes: AtomicU32,
}

impl Quotas {
    /// Puts other quotas in place; what was consumed stays consumed.
    pub fn publish(&self, quotas: Vec<Quota>) {
        let quotas = Arc::new(quotas.into_iter().map(Arc::new).collect());
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = quotas;
    }

    /// So many nodes share the rates.
    pub fn shared_by(&self, nodes: u32) {
        self.nodes.store(nodes.max(1), Ordering::Relaxed);
    }

    fn cells(&self) -> MutexGuard<'_, HashMap<CellKey, Cell>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a request to every quota that counts it, or to none.
    pub fn admit(&self, tenant: &str, of: &Attributes, tokens: i64, now_us: i64) -> Result<Result<Permit, OverQuota>> {
        let known = Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner));
        let counts = |quota: &&Arc<Quota>| {
            (quota.tenant.as_ref() == tenant || quota.tenant.as_ref() == EVERYBODY) && quota.scope.matches(of)
        };
        let mut permit = Permit { cells: Vec::new(), tokens };
        for quota in known.iter().filter(counts) {
            let key = (Arc::clone(&quota.tenant), Arc::clone(&quota.name), quota.key(of));
            permit.cells.push((Arc::clone(quota), key));
        }
        if permit.cells.is_empty() {
            return Ok(Ok(permit));
        }
        let nodes = self.nodes.load(Ordering::Relaxed).max(1);
        let mut cells = self.cells();
        if cells.len() + permit.cells.len() > CELLS_MAX {
            sweep(&mut cells, &known, now_us);
            if cells.len() + permit.cells.len() > CELLS_MAX {
                let kind = Kind::Overloaded { retry_after: std::time::Duration::from_secs(1) };
                return Err(Error::new(kind, format!("quotas of {CELLS_MAX} callers are kept already")));
            }
        }
        let mut taken = Vec::with_capacity(permit.cells.len());
        for (quota, key) in &permit.cells {
            let cell = cells.get(key);
            let at = |of: fn(&Cell) -> Arrival| cell.map_or(Arrival::default(), of);
            let over = |what, retry_after_us| {
                Ok(Err(OverQuota { tenant: key.0.clone(), name: key.1.clone(), what, retry_after_us }))
            };
            let running = cell.map_or(0, |cell| cell.running);
            if quota.concurrency.is_some_and(|most| running >= (most / i64::from(nodes)).max(1)) {
                return over("concurrency", None);
            }
            let requests = match quota.requests.map(|rate| rate.take(at(|c| c.requests), 1, now_us, nodes)) {
                Some(Err(wait)) => return over("requests", wait),
                Some(Ok(arrival)) => arrival,
                None => Arrival::default(),
            };
            let tokens = match quota.tokens.map(|rate| rate.take(at(|c| c.tokens), tokens, now_us, nodes)) {
                Some(Err(wait)) => return over("tokens", wait),
                Some(Ok(arrival)) => arrival,
                None => Arrival::default(),
            };
            taken.push((requests, tokens));
        }
        for ((_, key), (requests, tokens)) in permit.cells.iter().zip(taken) {
            let cell = cells.entry(key.clone()).or_default();
            *cell = Cell { requests, tokens, running: cell.running + 1 };
        }
        Ok(Ok(permit))
    }

    /// The request ended and used so many tokens; `None`: as many as it said. What it did not use is given back.
    pub fn end(&self, permit: Permit, tokens_used: Option<i64>) {
        if permit.cells.is_empty() {
            return;
        }
        let nodes = self.nodes.load(Ordering::Relaxed).max(1);
        let back = permit.tokens - tokens_used.unwrap_or(permit.tokens);
        let mut cells = self.cells();
        for (quota, key) in permit.cells {
            let Some(cell) = cells.get_mut(&key) else { continue };
            cell.running = (cell.running - 1).max(0);
            if let Some(rate) = quota.tokens {
                cell.tokens = rate.give_back(cell.tokens, back, nodes);
            }
        }
    }

    /// The request was not sent after all: nothing of it counts.
    pub fn undo(&self, permit: Permit) {
        let nodes = self.nodes.load(Ordering::Relaxed).max(1);
        let mut cells = self.cells();
        for (quota, key) in &permit.cells {
            let Some(cell) = cells.get_mut(key) else { continue };
            if let Some(rate) = quota.requests {
                cell.requests = rate.give_back(cell.requests, 1, nodes);
            }
        }
        drop(cells);
        self.end(permit, Some(0));
    }

    /// The least room of a permit's quotas: of requests, and of tokens.
    pub fn room(&self, permit: &Permit, now_us: i64) -> (Option<Room>, Option<Room>) {
        let nodes = self.nodes.load(Ordering::Relaxed).max(1);
        let cells = self.cells();
        let room = |rate: Rate, arrival: Arrival| {
            let (remaining, reset_us) = rate.left(arrival, now_us, nodes);
            Room { limit: rate.burst / i64::from(nodes), remaining, reset_us }
        };
        let of = |pick: fn(&Quota) -> Option<Rate>, at: fn(&Cell) -> Arrival| {
            let each = permit.cells.iter().filter_map(|(quota, key)| Some(room(pick(quota)?, at(cells.get(key)?))));
            each.min_by_key(|room| room.remaining)
        };
        (of(|q| q.requests, |c| c.requests), of(|q| q.tokens, |c| c.tokens))
    }
}

/// Forgets cells that are as good as new.
fn sweep(cells: &mut HashMap<CellKey, Cell>, known: &[Arc<Quota>], now_us: i64) {
    let quotas: HashMap<(&str, &str), &Quota> =
        known.iter().map(|quota| ((quota.tenant.as_ref(), quota.name.as_ref()), quota.as_ref())).collect();
    cells.retain(|(tenant, name, _), cell| {
        let past = |rate: Option<Rate>, at: Arrival| {
            rate.is_none_or(|rate| at.0 <= i128::from(now_us) * i128::from(rate.count))
        };
        let fresh = |quota: &&Quota| past(quota.requests, cell.requests) && past(quota.tokens, cell.tokens);
        cell.running > 0 || quotas.get(&(tenant.as_ref(), name.as_ref())).is_some_and(|quota| !fresh(quota))
    });
}

#[cfg(test)]
#[path = "quota/tests.rs"]
mod tests;
