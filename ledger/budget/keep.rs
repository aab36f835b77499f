//! What a node does by itself: it commits what waits, keeps its lease, ends what nobody settled, takes notice of what
//! others did, and gives back what it does not use.

use std::sync::{Arc, Weak};
use std::time::Duration;

use engine::{Result, Store, Value};

use super::book::Slot;
use super::node::Budgets;
use super::request::State;
use super::rows;

/// How often a node looks around.
pub const TICK: Duration = Duration::from_millis(250);
/// Pause after a commit that failed, doubled up to the longest.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A slice that nobody drew on for so long goes back, where other nodes may want it.
const IDLE_US: i64 = 1_000_000;
/// A call for slices of a budget that ran dry is heard this long.
const WANTED_US: i64 = 3_000_000;
/// Notices of one look; the rest waits for the next.
const NOTICES_MAX: i64 = 10_000;
/// Reservations that one look ends.
const EXPIRED_MAX: usize = 10_000;

impl Budgets {
    /// Commits what waits, for as long as somebody holds the budgets.
    pub fn run_commits(self: &Arc<Self>) {
        let budgets = Arc::downgrade(self);
        tokio::spawn(commits(budgets));
    }

    /// One look around. A look that is missed, late or repeated changes nothing.
    pub async fn tick(&self) -> Result<()> {
        if !self.options.sole {
            self.reload_if_changed().await?;
        }
        self.end_expired();
        if self.has_joined() {
            self.take_notice().await?;
            if !self.options.sole {
                self.give_back_wanted().await?;
                self.take_over_dead().await?;
                self.count_nodes().await?;
            }
            self.give_back_idle();
        }
        if self.has_work() || self.must_renew() { self.commit().await } else { Ok(()) }
    }

    /// Makes this process a node, so that decisions need not wait for it.
    pub async fn begin(&self) -> Result<()> {
        if self.has_joined() { Ok(()) } else { self.commit().await }
    }

    /// Reservations whose time is over count as spent in full: the call may well have been made.
    fn end_expired(&self) {
        let now_us = self.clock.now_us();
        let mut book = self.book();
        for key in book.expired(now_us).into_iter().take(EXPIRED_MAX) {
            let held = book.open.get(&key).cloned();
            book.settle(&key, State::Expired, None, false);
            if let Some(held) = held {
                self.release(&held, State::Expired, None);
            }
        }
    }

    async fn node(&self) -> Option<Arc<str>> {
        self.identity.lock().await.node.clone()
    }

    /// Reservations of this node that were settled past its memory: by others, and by itself while a take-over was in the
    /// database and not yet in memory. Without the notice they would hold their units here until they expire.
    async fn take_notice(&self) -> Result<()> {
        let Some(node) = self.node().await else { return Ok(()) };
        let sql = "SELECT tenant, request_id FROM budget_notice WHERE node = $1 LIMIT $2";
        let noticed = self.state.fetch(sql, &[node.as_ref().into(), NOTICES_MAX.into()]).await?;
        let keys = noticed.iter().map(rows::key).collect::<Result<Vec<_>>>()?;
        let mut book = self.book();
        for key in &keys {
            let held = book.open.get(key).cloned();
            held.into_iter().for_each(|held| self.release(&held, State::Posted, None));
        }
        book.queue.noticed.extend(keys);
        Ok(())
    }

    /// Somebody found a budget dry while this node has some of it that it does not use.
    async fn give_back_wanted(&self) -> Result<()> {
        let sql = "SELECT budget_id, starts_at FROM budget_window WHERE wanted_at > $1 AND granted_units > 0";
        let since = Value::Time((self.clock.now_us() - WANTED_US).max(0));
        let wanted = self.state.fetch(sql, &[since]).await?;
        let mut book = self.book();
        for row in wanted {
            let slot = (book.number(&row.get::<String>("budget_id")?.into()), row.get("starts_at")?);
            book.give_back(slot);
        }
        Ok(())
    }

    /// Slices of windows that are over go back, and those that nobody draws on.
    fn give_back_idle(&self) {
        let now_us = self.clock.now_us();
        let mut book = self.book();
        let is_idle = |used_us: i64| !self.options.sole && now_us - used_us > IDLE_US;
        let due = |account: &super::book::Account| account.open_until_us <= now_us || is_idle(account.used_us);
        let slots: Vec<Slot> = book
            .accounts
            .iter()
            .filter(|(_, account)| account.free() > 0 && due(account))
            .map(|(slot, _)| *slot)
            .collect();
        slots.into_iter().for_each(|slot| book.give_back(slot));
        let empty = |account: &super::book::Account| {
            account.granted == 0 && account.open == 0 && account.unposted == 0 && account.waiting.is_empty()
        };
        book.accounts.retain(|_, account| account.open_until_us > now_us || !empty(account));
    }

    /// Quotas are divided by the nodes that live.
    async fn count_nodes(&self) -> Result<()> {
        let sql = "SELECT COUNT(*) AS n FROM budget_node WHERE expires_at > $1";
        let row = self.state.fetch(sql, &[Value::Time(self.clock.now_us())]).await?.pop();
        let nodes = row.map_or(Ok(1), |row| row.get::<i64>("n"))?;
        self.quotas.shared_by(u32::try_from(nodes).unwrap_or(1));
        Ok(())
    }
}

/// Commits until nobody holds the budgets any more.
async fn commits(budgets: Weak<Budgets>) {
    let mut pause = PAUSE;
    loop {
        let Some(strong) = budgets.upgrade() else { return };
        if !strong.has_work() {
            // A short sleep, so that the last holder's going is noticed.
            let _ = tokio::time::timeout(Duration::from_secs(1), strong.awoken()).await;
            if !strong.has_work() {
                continue;
            }
        }
        match strong.commit().await {
            Ok(()) => pause = PAUSE,
            Err(error) => {
                tracing::warn!(%error, "budgets were not written; they are tried again");
                drop(strong);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// The looks of a running server; they end with [`Keeper::stop`].
#[derive(Debug)]
pub struct Keeper {
    stop: tokio::sync::watch::Sender<bool>,
    looking: Vec<tokio::task::JoinHandle<()>>,
}

/// How often budgets are evaluated and the ledger is asked, if it changed.
pub(super) const EVALUATE: Duration = Duration::from_millis(500);

impl Budgets {
    /// Looks around until it is stopped. The bill is read by a task of its own: its questions may take long.
    pub fn keep(self: &Arc<Self>, store: &Arc<Store>) -> Keeper {
        let (stop, stopping) = tokio::sync::watch::channel(false);
        let ticks = {
            let (budgets, stopping) = (Arc::clone(self), stopping.clone());
            tokio::spawn(looks(stopping, TICK, move || {
                let budgets = Arc::clone(&budgets);
                async move { budgets.tick().await }
            }))
        };
        let evaluations = {
            let (budgets, store) = (Arc::clone(self), Arc::clone(store));
            tokio::spawn(looks(stopping, EVALUATE, move || {
                let (budgets, store) = (Arc::clone(&budgets), Arc::clone(&store));
                async move {
                    budgets.read_ledger(&store).await?;
                    budgets.evaluate().await
                }
            }))
        };
        Keeper { stop, looking: vec![ticks, evaluations] }
    }
}

impl Keeper {
    /// Ends the looks and waits for those that run.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        for looking in self.looking {
            let _ = looking.await;
        }
    }
}

/// Looks again and again; what fails is said once until it works again.
async fn looks<F, L>(mut stopping: tokio::sync::watch::Receiver<bool>, every: Duration, look: L)
where
    F: Future<Output = Result<()>> + Send,
    L: Fn() -> F + Send,
{
    let mut failing = false;
    loop {
        let ended = look().await;
        if let (Err(error), false) = (&ended, failing) {
            tracing::warn!(%error, "budgets could not be looked after; it is tried again");
        }
        failing = ended.is_err();
        tokio::select! {
            _ = stopping.changed() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}
