//! The one writer of a process: jobs made, taken up and ended, and the steps of flows, become durable together, in one
//! transaction with one sync. What is answered is durable. A wish that the database refuses hurts no other: its group is
//! written again in halves until it stands alone.
//!
//! Free places wait here for jobs, so that the end of one and the beginning of the next are one commit, and so are the making
//! of a job and its beginning.
//!
//! Where the answer to a commit is lost, the database is asked whether it took place. If it did, everybody is answered as if
//! nothing had happened: what was made is told as made, and nothing is written twice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use engine::state::Transaction;
use engine::{Clock, Error, Kind, Result, State as Database, Value};
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::group::{self, Done, Doubted, Failed};
use super::limit::NEXT_DUE;
use super::mark;
use super::{Claimed, Ended, NewJob};
use crate::flow::Flow;
use crate::flow::drive::Begun;
use ledger::audit::{Audit, Entry};

/// Wishes that may wait; one more waits outside.
const WISHES_WAITING_MAX: usize = 4_096;
/// Wishes of one transaction.
const GROUP_WISHES_MAX: usize = 512;
/// A group waits at most this long for as many wishes as the last one had: whoever got an answer is about to ask again.
const LINGER: Duration = Duration::from_millis(2);
/// Places that are free look at least this often for what other processes wrote.
const LOOK_EVERY: Duration = Duration::from_millis(1_000);
/// The shortest pause between two looks.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// A transaction that met another one is tried so often.
const TRIES_MAX: u32 = 5;
/// Between two of these.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// What is asked of the writer.
pub(super) enum Wish {
    /// A job is to be made; answers whether it was.
    Insert(Box<NewJob>, Reply<bool>),
    /// Attempts ended; answers how many of them count.
    End(Vec<(Claimed, Ended)>, i64, Reply<usize>),
    /// So many jobs are to be taken up at this time.
    Claim(i64, i64, Reply<Vec<Claimed>>),
    /// Something else that belongs into the same transaction.
    Part(Box<dyn Part>),
    /// A place is free: how its last job ended, if that is not written yet, and where its next one goes.
    Turn(Option<(Claimed, Ended)>, Place),
    /// There may be something due that the writer does not know of.
    Look,
}

/// A place that is free, or about to be.
pub(super) struct Place {
    pub crew: Arc<Crew>,
    pub reply: Reply<Taken>,
}

/// Those who do the jobs of a process.
#[derive(Debug)]
pub(crate) struct Crew {
    /// Their clock.
    pub clock: Arc<dyn Clock>,
    /// The flows that they know.
    pub flows: &'static [&'static Flow],
}

/// A job for a place.
pub(crate) struct Taken {
    /// The job.
    pub job: Claimed,
    /// What follows first, of a flow: durable as this is.
    pub begun: Option<Box<Begun>>,
}

/// A part of a shared transaction.
pub(super) trait Part: Send + Sync {
    /// Writes it. Called again where the transaction is.
    fn write<'a>(&'a mut self, open: &'a mut Transaction) -> BoxFuture<'a, Result<()>>;
    /// What the audit log says of it once it is written.
    fn entries(&mut self) -> Option<(Arc<Audit>, Vec<Entry>)>;
    /// Tells whoever waits.
    fn answer(self: Box<Self>, written: Result<()>);
}

/// Starts the writer. It ends when nobody can ask it any more.
pub(super) fn start(state: Arc<Database>, owner: String) -> mpsc::Sender<Wish> {
    let (sender, inbox) = mpsc::channel(WISHES_WAITING_MAX);
    let writer = Writer {
        state,
        owner,
        inbox,
        idle: VecDeque::new(),
        doubted: None,
        found: VecDeque::new(),
        last: 0,
        more: true,
        rest_until: None,
    };
    tokio::spawn(writer.run());
    sender
}

struct Writer {
    state: Arc<Database>,
    owner: String,
    inbox: mpsc::Receiver<Wish>,
    /// Places without a job, longest first.
    idle: VecDeque<Place>,
    /// A group of which nobody knows whether it is written. Whoever asked was told so; the jobs that it took up may be ours.
    doubted: Option<Doubted>,
    /// Jobs that were taken up, and wait for a place.
    found: VecDeque<Taken>,
    /// How many wishes the last group had.
    last: usize,
    /// Whether something may be due that nobody has looked at.
    more: bool,
    /// No look before, because the last one failed.
    rest_until: Option<Instant>,
}

impl Writer {
    async fn run(mut self) {
        let mut wishes = Vec::with_capacity(GROUP_WISHES_MAX);
        while self.gather(&mut wishes).await {
            let mut group = Vec::with_capacity(wishes.len());
            for wish in wishes.drain(..) {
                match wish {
                    Wish::Turn(None, place) => self.idle.push_back(place),
                    Wish::Look => self.more = true,
                    wish => group.push(wish),
                }
            }
            self.last = group.len();
            self.settle(group).await;
        }
    }

    /// Waits for wishes, or for the time to look; false once nobody can ask any more.
    async fn gather(&mut self, wishes: &mut Vec<Wish>) -> bool {
        // Who waited for a job may have gone.
        self.idle.retain(|place| !place.reply.is_closed());
        let got = match self.idle.is_empty() {
            true => Some(self.inbox.recv_many(wishes, GROUP_WISHES_MAX).await),
            false => self.gather_or_look(wishes).await,
        };
        match got {
            Some(0) => return false,
            Some(_) => {}
            None => {
                self.more = true;
                return true;
            }
        }
        let wanted = (self.last - self.last / 8).min(GROUP_WISHES_MAX);
        let deadline = Instant::now() + LINGER;
        while wishes.len() < wanted {
            let room = GROUP_WISHES_MAX - wishes.len();
            match tokio::time::timeout_at(deadline, self.inbox.recv_many(wishes, room)).await {
                Ok(more) if more > 0 => {}
                _ => break,
            }
        }
        true
    }

    /// The same for as long as nothing is due; `None` when something is.
    async fn gather_or_look(&mut self, wishes: &mut Vec<Wish>) -> Option<usize> {
        // While wishes come one behind the other, nobody asks when the next job is due.
        if let Ok(got) = tokio::time::timeout(PAUSE_MIN, self.inbox.recv_many(wishes, GROUP_WISHES_MAX)).await {
            return Some(got);
        }
        let pause = self.pause().await;
        tokio::time::timeout(pause, self.inbox.recv_many(wishes, GROUP_WISHES_MAX)).await.ok()
    }

    /// How long nothing will be due.
    async fn pause(&self) -> Duration {
        let Some(place) = self.idle.front().filter(|_| self.rest_until.is_none_or(|until| until <= Instant::now()))
        else {
            return LOOK_EVERY;
        };
        let now_us = place.crew.clock.now_us();
        match next_due(&self.state, now_us).await {
            Ok(due) => super::pause(due, now_us, PAUSE_MIN, LOOK_EVERY),
            Err(error) => {
                tracing::warn!(%error, "when the next job is due was not to be had");
                LOOK_EVERY
            }
        }
    }

    /// Writes a group, in parts where it must be.
    async fn settle(&mut self, group: Vec<Wish>) {
        let (mut waiting, mut tries, mut with_jobs) = (vec![group], 0, true);
        while let Some(mut group) = waiting.pop() {
            if let Err(error) = self.ask_again().await {
                self.rest(&error, self.idle.len());
                refuse(group, &error);
                continue;
            }
            let places = if with_jobs { self.places(&group) } else { 0 };
            if group.is_empty() && places == 0 {
                self.hand_out();
                continue;
            }
            let error = match self.write(&mut group, places).await {
                Ok(done) => {
                    self.rest_until = None;
                    self.more = if places == 0 { self.more || !group.is_empty() } else { done.taken.len() == places };
                    self.answer(group, done);
                    continue;
                }
                Err(error) => error,
            };
            match error.kind() {
                Kind::Overloaded { .. } if tries < TRIES_MAX && self.doubted.is_none() => {
                    tries += 1;
                    tokio::time::sleep(TRY_AGAIN * tries).await;
                    waiting.push(group);
                }
                // Where the database answers, one of these wishes made its transaction unusable.
                _ if self.doubted.is_some() || (error.kind() == Kind::Unavailable && !self.answers().await) => {
                    self.rest(&error, places);
                    refuse(group, &error);
                }
                // A group that is refused is written without new jobs, then in halves: who is wrong stands alone at last.
                _ if with_jobs => {
                    with_jobs = false;
                    self.more = true;
                    if group.is_empty() {
                        self.rest(&error, places);
                    }
                    waiting.push(group);
                }
                _ if group.len() > 1 => {
                    let later = group.split_off(group.len() / 2);
                    waiting.extend([later, group]);
                }
                _ => refuse(group, &error),
            }
        }
    }

    /// Writes a group. Where the answer is lost, it is as the database says; where that does not answer, the group is in doubt.
    async fn write(&mut self, group: &mut [Wish], places: usize) -> Result<Done> {
        let crew = self.crew(group);
        let (error, doubted) = match group::write(&self.state, &self.owner, group, places, crew).await {
            Ok(done) => return Ok(done),
            Err(Failed { error, doubted: None }) => return Err(error),
            Err(Failed { error, doubted: Some(doubted) }) => (error, doubted),
        };
        match mark::is_last(&self.state, &self.owner, &doubted.mark).await {
            Ok(true) => Ok(doubted.done),
            Ok(false) => Err(error),
            Err(why) => {
                tracing::warn!(%error, %why, "whether jobs were written is not known yet, and asked again");
                self.doubted = Some(doubted);
                Err(error)
            }
        }
    }

    /// Places for which jobs are looked for with this group.
    fn places(&mut self, group: &[Wish]) -> usize {
        let resting = self.rest_until.is_some_and(|until| until > Instant::now());
        if resting || (group.is_empty() && !self.more) {
            return 0;
        }
        self.idle.retain(|place| !place.reply.is_closed());
        let turns = group.iter().filter(|wish| matches!(wish, Wish::Turn(..))).count();
        (self.idle.len() + turns).saturating_sub(self.found.len())
    }

    fn crew(&self, group: &[Wish]) -> Option<Arc<Crew>> {
        let turning = || group.iter().find_map(|wish| if let Wish::Turn(_, place) = wish { Some(place) } else { None });
        self.idle.front().or_else(turning).map(|place| Arc::clone(&place.crew))
    }

    /// Asks what became of a group in doubt: the jobs that it took up go to the next places if it was written. Nothing else is
    /// written before the database says so.
    async fn ask_again(&mut self) -> Result<()> {
        let Some(doubted) = &self.doubted else { return Ok(()) };
        let is_written = mark::is_last(&self.state, &self.owner, &doubted.mark).await?;
        if let Some(Doubted { done, .. }) = self.doubted.take().filter(|_| is_written) {
            let asked_for = done.claimed.into_iter().flatten().map(|job| Taken { job, begun: None });
            self.found.extend(done.taken.into_iter().chain(asked_for));
        }
        Ok(())
    }

    /// Gives free places what was taken up for them.
    fn hand_out(&mut self) {
        while let Some(taken) = self.found.pop_front() {
            let Some(place) = self.idle.pop_front() else { return self.found.push_front(taken) };
            if let Err(Ok(taken)) = place.reply.send(Ok(taken)) {
                self.found.push_front(taken);
            }
        }
    }

    /// Gives somebody the jobs that were taken up for it, and others that wait, as many as it wants.
    fn give(&mut self, mut jobs: Vec<Claimed>, count: i64, reply: Reply<Vec<Claimed>>) {
        let most = usize::try_from(count).unwrap_or(0);
        // What follows first from a flow is known to a place only.
        while jobs.len() < most && self.found.front().is_some_and(|taken| taken.begun.is_none()) {
            jobs.extend(self.found.pop_front().map(|taken| taken.job));
        }
        if let Err(Ok(jobs)) = reply.send(Ok(jobs)) {
            self.found.extend(jobs.into_iter().map(|job| Taken { job, begun: None }));
        }
    }

    async fn answers(&self) -> bool {
        self.state.fetch("SELECT 1 AS one", &[]).await.is_ok()
    }

    fn rest(&mut self, error: &Error, places: usize) {
        if places > 0 {
            tracing::warn!(%error, "jobs stood still for a moment");
            self.rest_until = Some(Instant::now() + LOOK_EVERY);
            self.more = true;
        }
    }

    /// Tells everybody what became of their wishes; whoever asked may have gone.
    fn answer(&mut self, group: Vec<Wish>, done: Done) {
        let (mut made, mut ended, mut claimed) =
            (done.made.into_iter(), done.ended.into_iter(), done.claimed.into_iter());
        for wish in group {
            match wish {
                Wish::Insert(_, reply) => drop(reply.send(Ok(made.next().unwrap_or_default()))),
                Wish::End(ends, _, reply) => {
                    let count = ends.iter().filter(|_| ended.next().unwrap_or_default()).count();
                    let _ = reply.send(Ok(count));
                }
                Wish::Claim(count, _, reply) => self.give(claimed.next().unwrap_or_default(), count, reply),
                Wish::Part(part) => part.answer(Ok(())),
                Wish::Turn(last, place) => {
                    if let Some((job, _)) = last.filter(|_| !ended.next().unwrap_or_default()) {
                        let (job, attempt) = (job.id, job.attempt);
                        tracing::warn!(job, attempt, "a result came after its lease had ended, and counts no more");
                    }
                    self.idle.push_back(place);
                }
                Wish::Look => {}
            }
        }
        // Where everybody left in between, the next place does it.
        self.found.extend(done.taken);
        self.hand_out();
    }
}

/// When the next thing is due that nothing but time keeps from running.
pub(super) async fn next_due(state: &Database, now_us: i64) -> Result<Option<i64>> {
    let rows = state.fetch(NEXT_DUE, &[Value::Time(now_us)]).await?;
    rows.first().map_or(Ok(None), |row| row.get("due"))
}

fn refuse(group: Vec<Wish>, error: &Error) {
    let why = || Error::new(error.kind(), error.to_string());
    for wish in group {
        match wish {
            Wish::Insert(_, reply) => drop(reply.send(Err(why()))),
            Wish::End(.., reply) => drop(reply.send(Err(why()))),
            Wish::Claim(.., reply) => drop(reply.send(Err(why()))),
            Wish::Part(part) => part.answer(Err(why())),
            Wish::Turn(_, place) => drop(place.reply.send(Err(why()))),
            Wish::Look => {}
        }
    }
}

#[cfg(test)]
mod tests;
