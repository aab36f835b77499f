//! This node's budgets: the face that the doors and the model router call. A decision is an operation on memory; what it
//! decided is durable when the call returns.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::{Clock, Error, Kind, Result, State as StateDatabase};
use tokio::sync::{Notify, oneshot};

use super::book::{Batch, Book, Decision, Outcome, Slot};
use super::commit::{Written, answer};
use super::plan::Plan;
use super::quota::{Permit, Quotas};
use super::request::{Allowed, Key, Reason, Request, Settled, State, TTL_MAX, Verdict, WAIT_MAX};
use super::trail::Trail;
use super::unit::{Amounts, Unit};

/// How often a request asks for a larger slice before it is told to come back: others take what came.
const ASKS_MAX: usize = 64;
/// Longest that a caller waits for the database; then it is told that budgets cannot be asked.
const DURABLE_MAX: Duration = Duration::from_secs(10);
/// How long a caller that waits for others to settle sleeps at most between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Before its lease ends, a node stops by this much: clocks differ.
const LEASE_MARGIN_US: i64 = 1_000_000;

/// How a node keeps its budgets.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of this start of the process; new with every start.
    pub node: String,
    /// Name of the data directory: what an earlier start in it left behind is this one's at once.
    pub home: String,
    /// No other node shares the state database.
    pub sole: bool,
    /// How long other nodes wait for this one before they take over what it had.
    pub lease: Duration,
    /// How much of what is left of a budget a node takes at once, in per cent.
    pub share_percent: i64,
    /// Where changes and refusals are told, beside the tables of budgets.
    pub trail: Option<Arc<dyn Trail>>,
}

/// Share of the headroom that a node takes where others want some, too.
const SHARE_PERCENT: i64 = 5;
/// How long a node that went away keeps others from its slices.
const LEASE: Duration = Duration::from_secs(15);

impl Options {
    /// For a node with a SQLite file of its own (`sole`), or one of several over PostgreSQL.
    pub fn new(node: &str, home: &str, sole: bool) -> Options {
        let share_percent = if sole { 100 } else { SHARE_PERCENT };
        Options { node: node.to_owned(), home: home.to_owned(), sole, lease: LEASE, share_percent, trail: None }
    }
}

/// Who this node is, and the batch whose fate is unknown.
#[derive(Debug, Default)]
pub(super) struct Identity {
    pub node: Option<Arc<str>>,
    pub starts: u32,
    stuck: Option<(Batch, std::collections::BTreeMap<Slot, i64>)>,
}

/// A place in the quotas. Whoever goes away before his request is reserved, or is refused, gives it back.
struct Admitted<'a> {
    quotas: &'a Quotas,
    permit: Option<Permit>,
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.quotas.undo(permit);
        }
    }
}

/// Budgets and quotas of one node.
#[derive(Debug)]
pub struct Budgets {
    pub(super) state: Arc<StateDatabase>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: Options,
    pub(super) quotas: Quotas,
    book: Mutex<Book>,
    /// Held by whoever commits: one at a time.
    pub(super) identity: tokio::sync::Mutex<Identity>,
    wake: Notify,
    freed: Notify,
    lease_until_us: AtomicI64,
    closing: AtomicBool,
    pub(super) seen: Mutex<super::evaluate::Seen>,
}

impl Budgets {
    /// The budgets in `state`. Nothing is written before the first request.
    pub async fn open(state: Arc<StateDatabase>, clock: Arc<dyn Clock>, options: Options) -> Result<Arc<Budgets>> {
        let budgets = Arc::new(Budgets {
            state,
            clock,
            options,
            quotas: Quotas::default(),
            book: Mutex::default(),
            identity: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            freed: Notify::new(),
            lease_until_us: AtomicI64::new(0),
            closing: AtomicBool::new(false),
            seen: Mutex::default(),
        });
        budgets.reload().await?;
        Ok(budgets)
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lease_us(&self) -> i64 {
        i64::try_from(self.options.lease.as_micros()).unwrap_or(i64::MAX)
    }

    /// The budgets as this node knows them.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.book().plan)
    }

    /// Reserves what a request may take, in every budget that counts it or in none. When this says `Allowed`, it is
    /// durable. The same request again is allowed again, and nothing more is reserved.
    pub async fn reserve(&self, request: &Request) -> Result<Verdict> {
        let tokens = request.amounts.of(&Unit::Tokens).unwrap_or(0);
        let now_us = self.clock.now_us();
        let known = self.book().open.contains_key(&request.key);
        let mut admitted = Admitted { quotas: &self.quotas, permit: None };
        if !known {
            match self.quotas.admit(&request.key.0, &request.attributes, tokens, now_us)? {
                Ok(permit) => admitted.permit = Some(permit),
                Err(over) => return Ok(Verdict::OverQuota(over)),
            }
        }
        let rooms = admitted.permit.as_ref().map_or((None, None), |permit| self.quotas.room(permit, now_us));
        let verdict = self.reserve_within(request).await;
        let is_new = matches!(&verdict, Ok(Verdict::Allowed(allowed)) if !allowed.repeated);
        if let Some(permit) = admitted.permit.take_if(|_| is_new) {
            let held = self.book().open.get(&request.key).cloned();
            match held {
                Some(held) => *held.permit.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit),
                None => self.quotas.end(permit, None),
            }
        }
        drop(admitted);
        if let (Ok(Verdict::Refused(refusal)), Some(trail)) = (&verdict, &self.options.trail) {
            trail.refused(&request.key, refusal).await;
        }
        Ok(match verdict? {
            Verdict::Allowed(allowed) => Verdict::Allowed(Allowed { rooms, ..allowed }),
            other => other,
        })
    }

    async fn reserve_within(&self, request: &Request) -> Result<Verdict> {
        if request.ttl.is_zero() || request.ttl > TTL_MAX {
            return Err(Error::invalid(format!("a reservation holds between a moment and {TTL_MAX:?}")));
        }
        let patience = tokio::time::Instant::now() + request.wait.min(WAIT_MAX);
        let mut asked = false;
        let mut asks = 0;
        let deadline = tokio::time::Instant::now() + DURABLE_MAX;
        while asks < ASKS_MAX {
            let freed = self.freed.notified();
            let decision = self.decide(request, asked)?;
            match decision {
                Decision::Allowed(allowed, None) => return Ok(Verdict::Allowed(allowed)),
                Decision::Allowed(allowed, Some(durable)) => match self.durable(durable, &request.key).await? {
                    Outcome::Done => return Ok(Verdict::Allowed(allowed)),
                    Outcome::Elsewhere => match self.reserved_elsewhere(request).await? {
                        Some(allowed) => return Ok(Verdict::Allowed(allowed)),
                        None => asked = false,
                    },
                    Outcome::Fenced => asked = false,
                },
                Decision::Short(answered) => {
                    asks += 1;
                    self.wake.notify_one();
                    let answered = tokio::time::timeout(DURABLE_MAX, answered).await;
                    answered.map_err(|_| unavailable("the database gave no slice in time"))?.unwrap_or(());
                    asked = true;
                }
                Decision::Settling if tokio::time::Instant::now() > deadline => {
                    return Err(unavailable("the state database did not answer in time"));
                }
                Decision::Settling => tokio::time::sleep(Duration::from_millis(1)).await,
                Decision::Refused(refusal) => {
                    let waits = refusal.reason == Reason::Reserved && tokio::time::Instant::now() < patience;
                    if !waits {
                        // The same request may have been allowed by another node, or be settled already.
                        if let Some(allowed) = self.reserved_elsewhere(request).await? {
                            return Ok(Verdict::Allowed(allowed));
                        }
                        self.book().note(&refusal, self.clock.now_us());
                        return Ok(Verdict::Refused(refusal));
                    }
                    let until = (tokio::time::Instant::now() + LOOK_AGAIN).min(patience);
                    let _ = tokio::time::timeout_at(until, freed).await;
                    asked = false;
                }
            }
        }
        let kind = Kind::Overloaded { retry_after: Duration::from_secs(1) };
        Err(Error::new(kind, "others took every part of the budget that came free; try again"))
    }

    /// The decision alone: an operation on memory. `Ok(None)`: this node must ask the database first, so call
    /// [`Budgets::reserve`]. What is allowed here is durable with the next group commit, a few milliseconds on; a process
    /// that is killed before has handed out no more than its slice, and the bill shows what was spent.
    pub fn try_reserve(&self, request: &Request) -> Result<Option<Verdict>> {
        self.check_lease()?;
        let now_us = self.clock.now_us();
        let decision = self.book().decide(request, now_us, false, false)?;
        Ok(match decision {
            Decision::Allowed(allowed, _) => {
                self.wake.notify_one();
                Some(Verdict::Allowed(allowed))
            }
            Decision::Refused(refusal) => {
                self.book().note(&refusal, now_us);
                Some(Verdict::Refused(refusal))
            }
            Decision::Short(_) | Decision::Settling => {
                self.wake.notify_one();
                None
            }
        })
    }

    fn decide(&self, request: &Request, asked: bool) -> Result<Decision> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(unavailable("the process is stopping"));
        }
        self.book().decide(request, self.clock.now_us(), true, asked)
    }

    /// A node whose lease has ended may have lost its slices to others.
    fn check_lease(&self) -> Result<()> {
        let until_us = self.lease_until_us.load(Ordering::Relaxed);
        match self.clock.now_us() + LEASE_MARGIN_US.min(self.lease_us() / 4) < until_us {
            true => Ok(()),
            false => Err(unavailable("this node has not reached the state database for too long")),
        }
    }

    /// Waits until a part of a batch is durable. After too long the caller is told to come back, and what it reserved is
    /// voided with whatever is written next.
    async fn durable(&self, done: oneshot::Receiver<Outcome>, key: &Key) -> Result<Outcome> {
        self.wake.notify_one();
        match tokio::time::timeout(DURABLE_MAX, done).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) => Err(unavailable("the process is stopping")),
            Err(_) => {
                self.book().settle(key, State::Voided, None, false);
                Err(unavailable("the state database did not answer in time"))
            }
        }
    }

    /// Books what a request took, once: what was reserved beyond it comes back. More than was reserved is booked, too, and
    /// marked as overrun. A unit that is not named took what was reserved.
    pub async fn post(&self, key: &Key, amounts: &Amounts) -> Result<Settled> {
        self.settle(key, State::Posted, Some(amounts)).await
    }

    /// Gives a reservation back: the request took nothing.
    pub async fn void(&self, key: &Key) -> Result<Settled> {
        self.settle(key, State::Voided, None).await
    }

    async fn settle(&self, key: &Key, state: State, posted: Option<&Amounts>) -> Result<Settled> {
        for _ in 0..ASKS_MAX {
            let (held, settling) = {
                let mut book = self.book();
                let held = book.open.get(key).cloned();
                (
                    held.and_then(|held| Some((held, book.settle(key, state, posted, true)??))),
                    book.settling.contains(key),
                )
            };
            match held {
                Some((held, done)) => {
                    self.release(&held, state, posted);
                    self.freed.notify_waiters();
                    self.wake.notify_one();
                    let done = tokio::time::timeout(DURABLE_MAX, done).await;
                    let outcome = done.map_err(|_| unavailable("the state database did not answer in time"))?;
                    if outcome.map_err(|_| unavailable("the process is stopping"))? == Outcome::Done {
                        return Ok(Settled::Now);
                    }
                }
                None if settling => {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    continue;
                }
                None => {}
            }
            if let Some(settled) = self.settle_elsewhere(key, state, posted).await? {
                return Ok(settled);
            }
        }
        Err(Error::new(
            Kind::Overloaded { retry_after: Duration::from_secs(1) },
            "the request is being settled by others",
        ))
    }

    /// Ends a reservation's place in the quotas.
    pub(super) fn release(&self, held: &super::book::Held, state: State, posted: Option<&Amounts>) {
        let permit = held.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(permit) = permit else { return };
        match state {
            State::Voided => self.quotas.end(permit, Some(0)),
            _ => self.quotas.end(permit, posted.and_then(|posted| posted.of(&Unit::Tokens))),
        }
    }

    /// Writes what waits, if anything does; `idle` writes nothing but the lease. The answer says whether this node lived.
    pub async fn commit(&self) -> Result<()> {
        let mut identity = self.identity.lock().await;
        if identity.node.is_none() {
            self.join(&mut identity).await?;
        }
        let node = identity.node.clone().expect("a node that joined has a name");
        let (batch, wanted) = identity.stuck.take().unwrap_or_else(|| self.book().take_batch());
        let now_us = self.clock.now_us();
        match self.write(&node, &batch, &wanted, now_us).await {
            Ok(Some(written)) => {
                self.lease_until_us.store(now_us + self.lease_us(), Ordering::Relaxed);
                self.remember(&batch, &written);
                answer(batch, Some(&written));
                self.freed.notify_waiters();
                Ok(())
            }
            Ok(None) => {
                tracing::warn!(%node, "other nodes took over what this one had: it did not renew its lease in time");
                identity.node = None;
                // What was decided meanwhile was decided out of slices that are gone.
                let decided = {
                    let mut book = self.book();
                    book.forget_all();
                    std::mem::take(&mut book.queue)
                };
                answer(batch, None);
                answer(decided, None);
                self.join(&mut identity).await
            }
            Err(error) => {
                // Whether it was written is not known. Run again, it finds what it already did.
                identity.stuck = Some((Batch { read_slices: true, ..batch }, wanted));
                self.book().queue.read_slices = true;
                Err(error)
            }
        }
    }

    /// Brings memory in step with what was written.
    fn remember(&self, batch: &Batch, written: &Written) {
        let mut book = self.book();
        for settling in &batch.settling {
            book.settling.remove(&settling.held.key);
            for (leg, (_, from_slice)) in settling.held.legs.iter().zip(&settling.parts) {
                if let Some(account) = book.accounts.get_mut(&leg.slot()).filter(|_| leg.held) {
                    account.unposted -= from_slice;
                }
            }
        }
        for reserving in &batch.reserving {
            let held = &reserving.held;
            if written.has(&held.key) {
                held.is_written.store(true, Ordering::Release);
            } else if book.open.get(&held.key).is_some_and(|open| Arc::ptr_eq(open, held)) {
                book.let_go(&held.key);
            }
        }
        for (slot, units) in &batch.returning {
            if let Some(account) = book.accounts.get_mut(slot) {
                account.returning -= units;
            }
        }
        for key in &batch.noticed {
            book.let_go(key);
        }
        if written.whole {
            book.accounts.values_mut().for_each(|account| account.granted = 0);
        }
        for ((id, starts_us), granted) in &written.slices {
            let slot = (book.number(id), *starts_us);
            book.accounts.entry(slot).or_default().granted = *granted;
        }
        for (slot, denied) in &written.denied {
            let account = book.accounts.entry(*slot).or_default();
            account.denied = *denied;
            account.let_go_on();
        }
        // Who asked for several slots waits at the first of them.
        for slot in &batch.asking {
            if let Some(account) = book.accounts.get_mut(slot) {
                account.let_go_on();
            }
        }
    }

    /// Waits until something is to be written.
    pub(super) async fn awoken(&self) {
        self.wake.notified().await;
    }

    /// Whether something waits to be written.
    pub(super) fn has_work(&self) -> bool {
        !self.book().queue.is_empty()
    }

    /// Whether this node has joined the others.
    pub(super) fn has_joined(&self) -> bool {
        self.lease_until_us.load(Ordering::Relaxed) > 0
    }

    /// A third of the lease is over.
    pub(super) fn must_renew(&self) -> bool {
        let until_us = self.lease_until_us.load(Ordering::Relaxed);
        until_us > 0 && self.clock.now_us() > until_us - self.lease_us() * 2 / 3
    }

    pub(super) fn lease_held_until(&self, until_us: i64) {
        self.lease_until_us.store(until_us, Ordering::Relaxed);
    }

    /// Takes nothing more, writes what waits and gives every slice back. Open reservations stay; they are adopted by the
    /// next start, or by another node.
    pub async fn close(&self) -> Result<()> {
        self.closing.store(true, Ordering::SeqCst);
        if !self.has_joined() && !self.has_work() {
            return Ok(());
        }
        {
            let mut book = self.book();
            let slots: Vec<Slot> = book.accounts.keys().copied().collect();
            slots.into_iter().for_each(|slot| book.give_back(slot));
        }
        self.commit().await?;
        let node = self.identity.lock().await.node.take();
        self.leave(node).await
    }
}

pub(super) fn unavailable(why: &str) -> Error {
    Error::new(Kind::Unavailable, format!("budget_unavailable: {why}"))
}
