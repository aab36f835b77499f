//! What is asked of budgets, and what they answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use engine::{Error, Result};

use super::attributes::Attributes;
use super::quota::{OverQuota, Room};
use super::unit::{Amounts, Unit};

/// How long a reservation holds that does not say otherwise: the longest call, and a minute.
pub const TTL: Duration = Duration::from_secs(15 * 60);
/// How long it may hold.
pub const TTL_MAX: Duration = Duration::from_secs(24 * 3_600);
/// How long a request may wait for others to settle.
pub const WAIT_MAX: Duration = Duration::from_secs(2);
/// Bytes of a request's id.
const ID_BYTES_MAX: usize = 128;

/// What tells reservations apart: tenant and id.
pub type Key = (Arc<str>, Arc<str>);

/// Somebody wants to spend.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who pays, and the id by which the same request is known again.
    pub key: Key,
    /// What it says about itself, the tenant among it.
    pub attributes: Attributes,
    /// An upper bound of what it takes.
    pub amounts: Amounts,
    /// How long the reservation holds; then it counts as spent in full, until somebody says otherwise.
    pub ttl: Duration,
    /// How long to wait where only reservations of others are in the way.
    pub wait: Duration,
}

impl Request {
    /// A request of a tenant that its caller proved.
    pub fn new(tenant: &str, id: &str, attributes: Attributes, amounts: Amounts) -> Result<Request> {
        if id.is_empty() || id.len() > ID_BYTES_MAX || id.chars().any(char::is_control) {
            return Err(Error::invalid(format!(
                "a request id has 1 to {ID_BYTES_MAX} bytes and no control characters"
            )));
        }
        let tenant: Arc<str> = tenant.into();
        let attributes = attributes.of_tenant(&tenant);
        Ok(Request { key: (tenant, id.into()), attributes, amounts, ttl: TTL, wait: Duration::ZERO })
    }
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Every budget and quota has room; it is reserved.
    Allowed(Allowed),
    /// A hard budget has not.
    Refused(Refusal),
    /// A quota has not.
    OverQuota(OverQuota),
}

/// What was reserved.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// The same request was allowed before; nothing more was reserved.
    pub repeated: bool,
    /// Tenant and name of the budgets that count it.
    pub budgets: Vec<(Arc<str>, Arc<str>)>,
    /// Until when it is held.
    pub expires_us: i64,
    /// Room of the fullest quotas: of requests, and of tokens.
    pub rooms: (Option<Room>, Option<Room>),
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The budget is spent; it does not help to come back before it begins anew.
    Spent,
    /// Others hold the rest; some of it may come back when they settle.
    Reserved,
}

impl Reason {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Spent => "spent",
            Reason::Reserved => "reserved",
        }
    }
}

/// The tightest budget that has no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whose budget.
    pub tenant: Arc<str>,
    /// Which.
    pub budget: Arc<str>,
    /// What it counts in.
    pub unit: Unit,
    /// Its limit.
    pub limit: i64,
    /// What is spent of it.
    pub spent: i64,
    /// What is reserved of it.
    pub reserved: i64,
    /// What the request would take.
    pub asked: i64,
    /// Why.
    pub reason: Reason,
    /// When the window ends; `None` where it never begins anew.
    pub resets_us: Option<i64>,
    /// How long to wait, in microseconds; `None`: it does not help.
    pub retry_after_us: Option<i64>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.reason {
            Reason::Spent => "is spent",
            Reason::Reserved => "is reserved by other requests",
        };
        write!(f, "budget {} {why}", self.budget)
    }
}

/// How a reservation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It waits for its end.
    Open,
    /// What it took was booked.
    Posted,
    /// It took nothing.
    Voided,
    /// Nobody said; it counts as taken in full until somebody does.
    Expired,
}

impl State {
    /// Its word in the state database.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Posted => "posted",
            State::Voided => "voided",
            State::Expired => "expired",
        }
    }

    /// The state of a word.
    pub fn parse(word: &str) -> Option<State> {
        [State::Open, State::Posted, State::Voided, State::Expired].into_iter().find(|state| state.as_str() == word)
    }
}

/// What became of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was booked now.
    Now,
    /// It had been booked before, the same way.
    Before,
}
