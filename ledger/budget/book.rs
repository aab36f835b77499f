//! What this node holds in memory: its slices of budgets, the reservations that are open, and what waits to be written.
//! Every decision is made here, under one lock and without the database; [`super::commit`] makes it durable.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use engine::{Error, Kind, Result};
use tokio::sync::oneshot;

use super::calendar::{Period, Place, Window};
use super::plan::{Line, Plan};
use super::quota::Permit;
use super::request::{Allowed, Key, Reason, Refusal, Request, State};
use super::unit::{Amounts, Unit};

/// Reservations of one node that are open at once.
const OPEN_MAX: usize = 200_000;
/// Reservations and settlements that wait to be written; more are told to come back.
const WAITING_MAX: usize = 32_768;
/// What the database said about a budget without room is believed this long before it is asked again.
const DENIED_US: i64 = 100_000;
/// When to come back where other reservations are in the way.
const RESERVED_RETRY_US: i64 = 1_000_000;

/// Names a row of the state database: which budget, by this book's number, and where its window starts.
pub(super) type Slot = (u32, i64);

/// One budget's part in a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leg {
    pub number: u32,
    pub starts_us: i64,
    pub ends_us: i64,
    /// First instant of the day of the budget's zone on which it was reserved.
    pub day_us: i64,
    pub unit: Unit,
    pub units: i64,
    /// Whether the units were taken from this node's slice: a soft budget has none.
    pub held: bool,
}

impl Leg {
    pub fn slot(&self) -> Slot {
        (self.number, self.starts_us)
    }
}

/// A reservation.
#[derive(Debug)]
pub(super) struct Held {
    pub key: Key,
    pub amounts: Amounts,
    pub legs: Vec<Leg>,
    pub reserved_us: i64,
    pub expires_us: i64,
    pub permit: Mutex<Option<Permit>>,
    /// Whether it is durable.
    pub is_written: AtomicBool,
}

/// This node's slice of one window.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// What the database says that this node has.
    pub granted: i64,
    /// Of it, what open reservations hold.
    pub open: i64,
    /// Of it, what was spent and is not written yet.
    pub unposted: i64,
    /// Of it, what is on its way back.
    pub returning: i64,
    /// What waiting requests want.
    pub asked: i64,
    pub waiting: Vec<oneshot::Sender<()>>,
    /// What the database said when it had less than was asked for.
    pub denied: Option<Denied>,
    pub used_us: i64,
    pub ends_us: i64,
    pub open_until_us: i64,
}

impl Account {
    pub fn free(&self) -> i64 {
        self.granted - self.open - self.unposted - self.returning
    }

    /// Wakes whoever waits for a larger slice. One that went away meanwhile needs no waking.
    pub fn let_go_on(&mut self) {
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(());
        }
    }
}

/// How a window stood when it had too little.
#[derive(Debug, Clone, Copy)]
pub(super) struct Denied {
    pub at_us: i64,
    /// What nobody had been granted.
    pub headroom: i64,
    pub limit: i64,
    pub spent: i64,
    pub reserved: i64,
    /// When the oldest part of a rolling window leaves.
    pub frees_us: i64,
}

/// Where a line's charges go now.
#[derive(Debug, Clone, Copy)]
struct Current {
    place: Place,
    day: (i64, i64),
}

/// A settlement that waits to be written.
#[derive(Debug)]
pub(super) struct Settling {
    pub held: Arc<Held>,
    pub state: State,
    pub posted: Option<Amounts>,
    /// For each leg what was spent, and how much of it came from the slice.
    pub parts: Vec<(i64, i64)>,
    pub done: Option<oneshot::Sender<Outcome>>,
}

/// A reservation that waits to be written.
#[derive(Debug)]
pub(super) struct Reserving {
    pub held: Arc<Held>,
    pub done: Option<oneshot::Sender<Outcome>>,
}

/// What became of something that waited to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is durable.
    Done,
    /// Somebody else was there first, on another node or before a restart.
    Elsewhere,
    /// This node's lease had ended: nothing of the batch happened.
    Fenced,
}

/// Everything that waits to be written.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub reserving: Vec<Reserving>,
    pub settling: Vec<Settling>,
    pub asking: BTreeSet<Slot>,
    pub returning: BTreeMap<Slot, i64>,
    pub refusals: BTreeMap<Slot, (i64, Refusal)>,
    /// Reservations that were settled past this node's memory.
    pub noticed: Vec<Key>,
    /// The slices must be read again: memory may be wrong about them.
    pub read_slices: bool,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.reserving.is_empty()
            && self.settling.is_empty()
            && self.asking.is_empty()
            && self.returning.is_empty()
            && self.refusals.is_empty()
            && self.noticed.is_empty()
            && !self.read_slices
    }
}

/// What the book says to a request.
pub(super) enum Decision {
    Allowed(Allowed, Option<oneshot::Receiver<Outcome>>),
    Refused(Refusal),
    /// This node's slices are too small; more is being asked for.
    Short(oneshot::Receiver<()>),
    /// The same request is being written.
    Settling,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    pub plan: Arc<Plan>,
    current: Vec<Option<Current>>,
    line_numbers: Vec<u32>,
    numbers: HashMap<Arc<str>, u32>,
    /// Ids of budgets by number.
    pub ids: Vec<Arc<str>>,
    pub accounts: HashMap<Slot, Account>,
    pub open: HashMap<Key, Arc<Held>>,
    pub settling: HashSet<Key>,
    expiring: BTreeSet<(i64, Key)>,
    pub queue: Batch,
}

impl Book {
    /// The number of a budget's id.
    pub fn number(&mut self, id: &Arc<str>) -> u32 {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = u32::try_from(self.ids.len()).expect("fewer than four billion budgets are met by one process");
        self.ids.push(Arc::clone(id));
        self.numbers.insert(Arc::clone(id), number);
        number
    }

    /// The line of a number, while the budget is there.
    pub fn line(&self, number: u32) -> Option<&Line> {
        let at = self.line_numbers.iter().position(|known| *known == number)?;
        self.plan.lines.get(at)
    }

    /// Another edition of the budgets.
    pub fn publish(&mut self, plan: Plan) {
        let ids: Vec<Arc<str>> = plan.lines.iter().map(|line| Arc::clone(&line.stored.id)).collect();
        self.line_numbers = ids.iter().map(|id| self.number(id)).collect();
        self.current = vec![None; plan.lines.len()];
        self.plan = Arc::new(plan);
        self.accounts.values_mut().for_each(|account| account.denied = None);
    }

    fn current(&mut self, at: usize, now_us: i64) -> Result<Current> {
        if let Some(known) = self.current[at] {
            let fresh = known.place.starts_us <= now_us && now_us < known.place.open_until_us;
            if fresh && known.day.0 <= now_us && now_us < known.day.1 {
                return Ok(known);
            }
        }
        let budget = &self.plan.lines[at].stored.budget;
        let place = budget.window.place(now_us, budget.zone, budget.life)?;
        let day = Window::Calendar { period: Period::Day, start_day: 1, start_month: 1 };
        let current = Current { place, day: day.span(now_us, budget.zone, budget.life)? };
        self.current[at] = Some(current);
        Ok(current)
    }

    /// The legs of a request: every budget that counts it.
    fn legs(&mut self, request: &Request, now_us: i64) -> Result<Vec<(usize, Leg)>> {
        let plan = Arc::clone(&self.plan);
        let mut legs = Vec::new();
        for at in plan.may_count(&request.key.0, &request.attributes) {
            let line = &plan.lines[at];
            if !line.counts(&request.attributes, now_us) {
                continue;
            }
            let units = line.amount(&request.amounts)?;
            let Current { place, day } = self.current(at, now_us)?;
            let leg = Leg {
                number: self.line_numbers[at],
                starts_us: place.starts_us,
                ends_us: place.ends_us,
                day_us: day.0,
                unit: line.budget().unit.clone(),
                units,
                held: line.budget().hard,
            };
            if leg.held {
                let account = self.accounts.entry(leg.slot()).or_default();
                (account.ends_us, account.open_until_us) = (place.ends_us, place.open_until_us);
            }
            legs.push((at, leg));
        }
        Ok(legs)
    }

    /// Decides one request. `asked`: the database was asked for more since the request came.
    pub fn decide(&mut self, request: &Request, now_us: i64, durable: bool, asked: bool) -> Result<Decision> {
        if let Some(held) = self.open.get(&request.key) {
            return self.again(&Arc::clone(held), request);
        }
        if self.settling.contains(&request.key) {
            return Ok(Decision::Settling);
        }
        if self.open.len() >= OPEN_MAX || self.queue.reserving.len() + self.queue.settling.len() >= WAITING_MAX {
            let kind = Kind::Overloaded { retry_after: std::time::Duration::from_secs(1) };
            return Err(Error::new(kind, "this node has too many reservations that are open or not written yet"));
        }
        let legs = self.legs(request, now_us)?;
        let short = |(_, leg): &&(usize, Leg)| leg.held && self.accounts[&leg.slot()].free() < leg.units;
        if legs.iter().any(|leg| short(&leg)) {
            return Ok(self.too_little(&legs, now_us, asked));
        }
        Ok(self.take(request, legs, now_us, durable))
    }

    /// The same request once more.
    fn again(&self, held: &Arc<Held>, request: &Request) -> Result<Decision> {
        if held.amounts != request.amounts {
            let text = format!("request {} was reserved with other amounts", request.key.1);
            return Err(Error::new(Kind::Conflict, text));
        }
        if !held.is_written.load(Ordering::Acquire) {
            return Ok(Decision::Settling);
        }
        Ok(Decision::Allowed(self.allowed(held, true), None))
    }

    fn allowed(&self, held: &Held, repeated: bool) -> Allowed {
        let named = |leg: &Leg| {
            let budget = self.line(leg.number)?.budget();
            Some((Arc::clone(&budget.tenant), Arc::clone(&budget.name)))
        };
        let budgets = held.legs.iter().filter_map(named).collect();
        Allowed { repeated, budgets, expires_us: held.expires_us, rooms: (None, None) }
    }

    fn take(&mut self, request: &Request, legs: Vec<(usize, Leg)>, now_us: i64, durable: bool) -> Decision {
        let mut budgets = Vec::with_capacity(legs.len());
        for (at, leg) in &legs {
            let budget = self.plan.lines[*at].budget();
            budgets.push((Arc::clone(&budget.tenant), Arc::clone(&budget.name)));
            if leg.held {
                let account = self.accounts.get_mut(&leg.slot()).expect("a held leg has an account");
                account.open += leg.units;
                account.used_us = now_us;
            }
        }
        let ttl_us = i64::try_from(request.ttl.as_micros()).unwrap_or(i64::MAX);
        let held = Arc::new(Held {
            key: request.key.clone(),
            amounts: request.amounts.clone(),
            legs: legs.into_iter().map(|(_, leg)| leg).collect(),
            reserved_us: now_us,
            expires_us: now_us.saturating_add(ttl_us),
            permit: Mutex::default(),
            is_written: AtomicBool::new(false),
        });
        let allowed = Allowed { repeated: false, budgets, expires_us: held.expires_us, rooms: (None, None) };
        self.keep(Arc::clone(&held));
        let (done, wait) = if durable { Some(oneshot::channel()).unzip() } else { (None, None) };
        self.queue.reserving.push(Reserving { held, done });
        Decision::Allowed(allowed, wait)
    }

    /// Remembers an open reservation.
    pub fn keep(&mut self, held: Arc<Held>) {
        self.expiring.insert((held.expires_us, held.key.clone()));
        self.open.insert(held.key.clone(), held);
    }

    /// Forgets an open reservation; its units are the slice's again.
    pub fn let_go(&mut self, key: &Key) -> Option<Arc<Held>> {
        let held = self.open.remove(key)?;
        self.expiring.remove(&(held.expires_us, key.clone()));
        for leg in held.legs.iter().filter(|leg| leg.held) {
            if let Some(account) = self.accounts.get_mut(&leg.slot()) {
                account.open -= leg.units;
            }
        }
        Some(held)
    }

    /// Some slice is too small: ask for more, or refuse where the database just said that there is no more.
    fn too_little(&mut self, legs: &[(usize, Leg)], now_us: i64, asked: bool) -> Decision {
        let mut refusal: Option<Refusal> = None;
        let mut short: Vec<(Slot, i64)> = Vec::new();
        for (at, leg) in legs.iter().filter(|(_, leg)| leg.held) {
            let account = &self.accounts[&leg.slot()];
            let lacking = leg.units - account.free();
            if lacking <= 0 {
                continue;
            }
            short.push((leg.slot(), leg.units));
            let denied = account.denied.filter(|denied| denied.headroom < lacking);
            // What is spent stays spent; what is reserved may have come back since.
            let is_spent = |denied: &Denied| denied.spent.saturating_add(leg.units) > denied.limit;
            let is_fresh = |denied: &Denied| (0..DENIED_US).contains(&(now_us - denied.at_us));
            let denied = denied.filter(|denied| asked || (is_spent(denied) && is_fresh(denied)));
            let Some(denied) = denied else { continue };
            let found = refused(&self.plan.lines[*at], leg, &denied, now_us);
            if refusal.as_ref().is_none_or(|known| is_tighter(&found, known)) {
                refusal = Some(found);
            }
        }
        if let Some(refusal) = refusal {
            return Decision::Refused(refusal);
        }
        let (sender, receiver) = oneshot::channel();
        let mut sender = Some(sender);
        for (slot, units) in short {
            self.give_back_earlier(slot, now_us);
            let account = self.accounts.get_mut(&slot).expect("a held leg has an account");
            account.asked = account.asked.saturating_add(units);
            // All that is asked for in one batch is answered together.
            account.waiting.extend(sender.take());
            self.queue.asking.insert(slot);
        }
        Decision::Short(receiver)
    }

    /// Notes a refusal, to be counted in the database.
    pub fn note(&mut self, refusal: &Refusal, now_us: i64) {
        let plan = Arc::clone(&self.plan);
        let found = plan
            .lines
            .iter()
            .position(|line| line.budget().tenant == refusal.tenant && line.budget().name == refusal.budget);
        let Some(at) = found else { return };
        let Ok(Current { place, .. }) = self.current(at, now_us) else { return };
        let slot = (self.line_numbers[at], place.starts_us);
        self.queue.refusals.entry(slot).or_insert_with(|| (0, refusal.clone())).0 += 1;
    }

    /// Settles an open reservation of this node; `None`: it is none. `posted` is what it took, by unit; a unit that is not
    /// named took what was reserved.
    pub fn settle(
        &mut self,
        key: &Key,
        state: State,
        posted: Option<&Amounts>,
        waits: bool,
    ) -> Option<Option<oneshot::Receiver<Outcome>>> {
        let held = self.let_go(key)?;
        let parts = held.legs.iter().map(|leg| self.part(leg, state, posted)).collect();
        let (done, wait) = if waits { Some(oneshot::channel()).unzip() } else { (None, None) };
        self.settling.insert(key.clone());
        self.queue.settling.push(Settling { held, state, posted: posted.cloned(), parts, done });
        Some(wait)
    }

    /// What a leg spends, and how much of that comes out of the slice: first what it had reserved, then what is free there.
    fn part(&mut self, leg: &Leg, state: State, posted: Option<&Amounts>) -> (i64, i64) {
        let spent = spent(leg, state, posted);
        let Some(account) = self.accounts.get_mut(&leg.slot()).filter(|_| leg.held) else { return (spent, 0) };
        let from_slice = spent.min(leg.units + (account.free() - leg.units).max(0));
        account.unposted += from_slice;
        (spent, from_slice)
    }

    /// Keys of reservations that nobody settled in time.
    pub fn expired(&self, now_us: i64) -> Vec<Key> {
        self.expiring.iter().take_while(|(at, _)| *at <= now_us).map(|(_, key)| key.clone()).collect()
    }

    /// Takes everything that waits, with what waiting requests want by slot.
    pub fn take_batch(&mut self) -> (Batch, BTreeMap<Slot, i64>) {
        let batch = std::mem::take(&mut self.queue);
        let mut wanted = BTreeMap::new();
        for slot in &batch.asking {
            if let Some(account) = self.accounts.get_mut(slot) {
                wanted.insert(*slot, (std::mem::take(&mut account.asked) - account.free().max(0)).max(0));
            }
        }
        (batch, wanted)
    }

    /// Gives back what is free of a slice.
    pub fn give_back(&mut self, slot: Slot) {
        let Some(account) = self.accounts.get_mut(&slot) else { return };
        let free = account.free();
        if free > 0 {
            account.returning += free;
            *self.queue.returning.entry(slot).or_default() += free;
        }
    }

    /// Gives back what is free of a budget's earlier windows: of a rolling one they count, too.
    fn give_back_earlier(&mut self, slot: Slot, now_us: i64) {
        let is_earlier = |(other, account): &(&Slot, &Account)| {
            other.0 == slot.0 && other.1 < slot.1 && account.open_until_us <= now_us
        };
        let earlier: Vec<Slot> = self.accounts.iter().filter(is_earlier).map(|(slot, _)| *slot).collect();
        earlier.into_iter().for_each(|slot| self.give_back(slot));
    }

    /// Forgets every slice and reservation: another node has them now.
    pub fn forget_all(&mut self) {
        for account in self.accounts.values_mut() {
            account.let_go_on();
        }
        self.accounts.clear();
        self.open.clear();
        self.expiring.clear();
        self.settling.clear();
    }
}

/// What a leg of a settlement spends.
pub(super) fn spent(leg: &Leg, state: State, posted: Option<&Amounts>) -> i64 {
    match state {
        State::Voided | State::Open => 0,
        State::Expired => leg.units,
        State::Posted => posted.and_then(|posted| posted.of(&leg.unit)).unwrap_or(leg.units),
    }
}

fn refused(line: &Line, leg: &Leg, denied: &Denied, now_us: i64) -> Refusal {
    let budget = line.budget();
    let reason = if denied.spent.saturating_add(leg.units) > denied.limit { Reason::Spent } else { Reason::Reserved };
    let resets_us = match budget.window {
        Window::Calendar { .. } => Some(leg.ends_us),
        Window::Rolling { .. } => Some(denied.frees_us),
        Window::Fixed | Window::Total => None,
    };
    let retry_after_us = match reason {
        Reason::Spent => resets_us.map(|at| (at - now_us).max(1)),
        Reason::Reserved => Some(RESERVED_RETRY_US),
    };
    Refusal {
        tenant: Arc::clone(&budget.tenant),
        budget: Arc::clone(&budget.name),
        unit: budget.unit.clone(),
        limit: denied.limit,
        spent: denied.spent,
        reserved: denied.reserved,
        asked: leg.units,
        reason,
        resets_us,
        retry_after_us,
    }
}

/// Whether less of its limit is left.
fn is_tighter(one: &Refusal, other: &Refusal) -> bool {
    let left = |r: &Refusal| i128::from(r.limit) - i128::from(r.spent) - i128::from(r.reserved);
    left(one) * i128::from(other.limit.max(1)) < left(other) * i128::from(one.limit.max(1))
}
