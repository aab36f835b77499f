//! Runs rules whose tick has come, and jobs whose time has come. It remembers nothing that the database does not: a second
//! runner over the same database does what the first one leaves.

mod work;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::clock::rfc3339;
use engine::fault::{Point, reached};
use engine::{Clock, Error, Kind, Result, Scope, Store};
use futures::{FutureExt, StreamExt};
use tokio::sync::Notify;

use crate::actions::{self, Outside};
use crate::book::{After, Book, Entry, RESULT_ROWS_MAX, Run};
use crate::evaluate::{At, evaluate};
use crate::flow::approved::approved;
use crate::flow::trace::Trace;
use crate::flow::{FLOWS, Flow, Hands};
use crate::queue::{NewJob, PRIORITY, Queue, Terms, pause};
use crate::rows::{Difference, Transition, difference};
use crate::rule::{Found, Rule};

/// It looks at least this often, for what other processes wrote.
const LOOK_EVERY: Duration = Duration::from_millis(1_000);
/// The shortest pause between two looks.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// How often a sign of life is given.
const BEAT_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked for jobs whose process gave none: so much later than their leases they go on.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often old jobs are forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// Rules that are evaluated at the same time: while one waits for the disk, another one asks.
const RULES_AT_ONCE: usize = 4;
/// Missed ticks that are looked at after a long sleep.
const MISSED_MAX: usize = 10_000;

/// Runs rules and jobs.
#[derive(Debug)]
pub struct Runner {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    book: Book,
    queue: Queue,
    outside: Arc<dyn Outside>,
    scope: Scope,
    hands: Option<Arc<dyn Hands>>,
    trace: Arc<Trace>,
    flows: &'static [&'static Flow],
    wake: Notify,
    wake_work: Notify,
    /// Rules that run when tables have new rows.
    follows: Mutex<Vec<Follow>>,
}

/// A rule that runs when one of its tables has new rows.
#[derive(Debug)]
struct Follow {
    rule: String,
    tables: Vec<String>,
    /// What the tables looked like at the last look; rows in memory and commits, which every append changes.
    seen: Vec<(u64, usize)>,
}

impl Runner {
    /// A runner over a store; `owner` names this process among others, `outside` does what jobs ask for.
    pub fn new(store: Arc<Store>, owner: &str, outside: Arc<dyn Outside>) -> Self {
        let clock = Arc::clone(store.clock());
        let (book, queue) = (Book::new(Arc::clone(store.state())), Queue::new(Arc::clone(store.state()), owner));
        Runner {
            store,
            clock,
            book,
            queue,
            outside,
            scope: Scope::platform("rules"),
            hands: None,
            trace: Arc::default(),
            flows: FLOWS,
            wake: Notify::new(),
            wake_work: Notify::new(),
            follows: Mutex::default(),
        }
    }

    /// The same with what does the steps of flows.
    pub fn with_hands(self, hands: Option<Arc<dyn Hands>>) -> Self {
        Runner { hands, ..self }
    }

    /// The same with other flows than those that are registered.
    pub fn with_flows(self, flows: &'static [&'static Flow]) -> Self {
        Runner { flows, ..self }
    }

    /// What is remembered.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Looks at what is due now, without waiting for its time to look.
    pub fn wake(&self) {
        self.wake.notify_one();
        self.wake_work.notify_one();
    }

    /// Takes over the rules of a folder. A file with a fault is left out, and named in the answer; its rule does not run.
    pub async fn load(&self, found: Vec<Found>) -> Result<Vec<String>> {
        let (mut rules, mut refused) = (Vec::new(), Vec::new());
        for file in found {
            let faults = match file.rule {
                Ok(rule) => match crate::check::check(&self.store, &self.scope, &rule).await {
                    faults if faults.is_empty() => {
                        rules.push(rule);
                        continue;
                    }
                    faults => faults,
                },
                Err(faults) => faults,
            };
            let place = file.path.display();
            refused.extend(faults.iter().map(|fault| format!("{place}:{}: {}", fault.line, fault.what)));
        }
        self.book.load(&rules, self.clock.now_us()).await?;
        let follow =
            |rule: &Rule| Follow { rule: rule.name.clone(), tables: rule.header.timing.on.clone(), seen: Vec::new() };
        let follows = rules.iter().filter(|rule| !rule.header.timing.on.is_empty()).map(follow).collect();
        *self.follows.lock().unwrap_or_else(PoisonError::into_inner) = follows;
        Ok(refused)
    }

    /// Rules whose tables have rows that were not there at the last look; at the first look, those that have any.
    fn stirred(&self) -> Vec<String> {
        let status = self.store.status().tables;
        let look = |name: &String| {
            let table = status.iter().find(|table| table.table == name);
            table.map_or((0, 0), |table| (table.commits, table.tail_rows))
        };
        let mut follows = self.follows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stirred = Vec::new();
        for follow in follows.iter_mut() {
            let seen: Vec<_> = follow.tables.iter().map(look).collect();
            if follow.seen != seen {
                follow.seen = seen;
                stirred.push(follow.rule.clone());
            }
        }
        stirred
    }

    /// Runs until it is dropped: what is due, then a pause until the next thing is. `alone` says that no other process uses
    /// the database: then whatever ran before is taken up at once.
    pub async fn run(&self, alone: bool) {
        // Whatever another process left is looked at once more.
        if let Err(error) = self.queue.reclaim(self.clock.now_us(), alone).await {
            tracing::warn!(%error, "jobs of ended processes were not taken up");
        }
        // Signs of life wait for nothing, and no tick waits for a slow call.
        tokio::join!(self.act(), self.labour(), self.keep(), self.trace.write(&self.store, &self.clock));
    }

    async fn act(&self) {
        loop {
            let pause = match self.once().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(%error, "rules and jobs stood still for a moment");
                    LOOK_EVERY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    async fn keep(&self) {
        let (mut beat, mut prune) = (tokio::time::interval(BEAT_EVERY), tokio::time::interval(PRUNE_EVERY));
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            tokio::select! {
                _ = beat.tick() => {
                    if let Err(error) = self.queue.beat(self.clock.now_us()).await {
                        tracing::warn!(%error, "no sign of life was given for running jobs");
                    }
                }
                _ = sweep.tick() => match self.queue.reclaim(self.clock.now_us(), false).await {
                    Ok(0) => {}
                    Ok(_) => self.queue.look().await,
                    Err(error) => tracing::warn!(%error, "jobs of ended processes were not taken up"),
                },
                _ = prune.tick() => {
                    if let Err(error) = self.queue.prune(self.clock.now_us()).await {
                        tracing::warn!(%error, "old jobs were not forgotten");
                    }
                    if let Err(error) = actions::notice::forget(self.store.state(), self.clock.now_us()).await {
                        tracing::warn!(%error, "old silences were not forgotten");
                    }
                }
            }
        }
    }

    /// Runs the rules that are due, and says how long none will be.
    pub async fn once(&self) -> Result<Duration> {
        for rule in self.stirred() {
            self.book.touch(&rule, self.clock.now_us()).await?;
        }
        let due = self.book.due(self.clock.now_us()).await?;
        futures::stream::iter(&due)
            .for_each_concurrent(RULES_AT_ONCE, |entry| async move {
                // One rule that cannot run keeps no other from running.
                if let Err(error) = self.run_due(entry).await {
                    tracing::warn!(rule = entry.name, %error, "a rule did not run, and is tried again");
                }
            })
            .await;
        Ok(pause(self.book.next_tick().await?, self.clock.now_us(), PAUSE_MIN, LOOK_EVERY))
    }

    /// Runs the ticks of a rule that have come and are to be run.
    async fn run_due(&self, entry: &Entry) -> Result<()> {
        let rule = match entry.rule() {
            Ok(rule) => rule,
            Err(faults) => {
                let what = faults.first().map_or("", |fault| fault.what.as_str());
                return Err(Error::invalid(format!("the rule {} cannot be read any more: {what}", entry.name)));
            }
        };
        let now = self.clock.now_us();
        let mut missed = Vec::new();
        let mut tick = entry.next_us;
        while let Some(at) = tick.filter(|at| *at <= now && missed.len() < MISSED_MAX) {
            missed.push(at);
            tick = rule.header.timing.next(&rule.name, at);
        }
        // A tick that has just come is no missed one.
        let ticks = match missed.as_slice() {
            [one] => vec![*one],
            several => rule.header.catchup.of(several, now),
        };
        let Some(first) = ticks.first() else {
            return self.book.pass_over(&rule.name, rule.header.timing.next(&rule.name, now)).await;
        };
        let mut entry = Entry { next_us: Some(*first), ..entry.clone() };
        for (at, tick) in ticks.iter().enumerate() {
            // What is still to be caught up stands in the book, should this process end in between.
            let next = ticks.get(at + 1).copied().or_else(|| rule.header.timing.next(&rule.name, now.max(*tick)));
            let run = self.run_rule(&entry, &rule, *tick, next).await?;
            if run.status == "held" {
                return Ok(());
            }
            entry = self.book.entry(&rule.name).await?.unwrap_or(entry);
        }
        Ok(())
    }

    /// Runs a rule at a tick: evaluates it, compares, and writes the difference, the jobs and the run in one transaction.
    /// `next_us` is its tick after this one. Nothing is written where another run of the rule ended in between.
    pub async fn run_rule(&self, entry: &Entry, rule: &Rule, tick: i64, next_us: Option<i64>) -> Result<Run> {
        let began_us = self.clock.now_us();
        let mut run = Run {
            rule: rule.name.clone(),
            tick,
            version: rule.version.clone(),
            status: "done",
            query_id: None,
            rows: 0,
            counts: [0; 3],
            result: Vec::new(),
            error: None,
            began_us,
            ended_us: began_us,
        };
        let mut after = After { last_tick: entry.last_tick, next_us, held: None, rate_us: entry.rate_us };
        let (mut found, mut jobs) = (Difference::default(), Vec::new());
        match evaluate(&self.store, &self.scope, rule, tick, At::Now).await {
            // Absence of data is no good news: nothing is resolved because a question failed.
            Err(error) => (run.status, run.error) = ("error", Some(error.to_string())),
            Ok(evaluated) => {
                run.query_id = Some(evaluated.query_id);
                run.rows = evaluated.rows.len();
                run.result = evaluated.rows.iter().take(RESULT_ROWS_MAX).map(|row| row.data.clone()).collect();
                let tracked = self.book.tracked(&rule.name).await?;
                let first = !self.book.ran(&rule.name).await?;
                match difference(&rule.header, &tracked, evaluated.rows, tick, first, entry.released) {
                    Ok(difference) => {
                        jobs = self.jobs(rule, &difference, tick, &mut after);
                        jobs = jobs.into_iter().map(|job| on_terms(rule, job)).collect();
                        run.counts = counts(&difference);
                        found = difference;
                    }
                    Err(stop @ crate::rows::Stop::Held { .. }) => {
                        (run.status, run.error) = ("held", Some(stop.to_string()));
                        after.held = run.error.clone();
                    }
                    Err(stop) => (run.status, run.error) = ("error", Some(stop.to_string())),
                }
            }
        }
        run.ended_us = self.clock.now_us();
        reached(Point::RuleCompared);
        let run = self.commit(run, found, jobs, after).await?;
        if let Some(error) = &run.error {
            tracing::warn!(rule = rule.name, status = run.status, error, "a rule changed nothing");
        }
        Ok(run)
    }

    /// Makes a run durable with all that follows from it; its jobs begin in the same commit where a place is free.
    async fn commit(&self, run: Run, found: Difference, jobs: Vec<NewJob>, after: After) -> Result<Run> {
        let shared = Arc::new((run, found, jobs, after));
        let kept = Arc::clone(&shared);
        let written = self.queue.together(None, move |open| {
            let kept = Arc::clone(&kept);
            async move {
                let (run, found, jobs, after) = &*kept;
                match Book::write(open, run, found, jobs, after).await? {
                    true => Ok(((), Vec::new())),
                    // As an error, so that nothing of it stays.
                    false => {
                        let text = format!("the rule {} ran elsewhere in the meantime", run.rule);
                        Err(Error::new(Kind::Conflict, text))
                    }
                }
            }
            .boxed()
        });
        written.await?;
        Ok(shared.0.clone())
    }

    /// The jobs of a difference, no faster than the rule's rate.
    fn jobs(&self, rule: &Rule, difference: &Difference, tick: i64, after: &mut After) -> Vec<NewJob> {
        let now = self.clock.now_us();
        let mut jobs = Vec::new();
        for bundle in actions::bundles(rule, difference) {
            let run_us = match rule.header.rate {
                Some(rate) => {
                    let per = i64::try_from(rate.per.as_micros()).unwrap_or(i64::MAX);
                    let each = per / i64::from(rate.count);
                    let next = after.rate_us.unwrap_or(now).max(now);
                    after.rate_us = Some(next + each);
                    now.max(next - (per - each))
                }
                None => now,
            };
            jobs.push(NewJob {
                id: uuid::Uuid::now_v7().to_string(),
                arguments: bundle.arguments,
                kind: bundle.action,
                dedupe: bundle.dedupe,
                cause: format!("rule {} at {}", rule.name, rfc3339(tick)),
                run_us,
                created_us: now,
                terms: Terms::default(),
            });
        }
        jobs
    }
}

/// A job on the terms of its rule: how urgent it is, whose matter, and who must agree first.
fn on_terms(rule: &Rule, job: NewJob) -> NewJob {
    let tenant = job.arguments["row"]["tenant"].as_str().filter(|tenant| !tenant.is_empty()).map(str::to_owned);
    let terms = Terms {
        priority: rule.header.priority.unwrap_or(PRIORITY),
        tenant,
        parent: None,
        requester: Some(rule.header.owner.clone()),
    };
    let job = NewJob { terms, ..job };
    match &rule.header.approve {
        Some(approval) => {
            let why = rule.header.why.as_deref().map_or_else(String::new, |why| format!(" ({why})"));
            let ask = format!("{} of the rule {}{why}: {}", job.kind, rule.name, job.arguments["with"]);
            approved(job, approval, &ask)
        }
        None => job,
    }
}

fn counts(difference: &Difference) -> [usize; 3] {
    Transition::ALL.map(|transition| difference.moves.iter().filter(|m| m.transition == transition).count())
}
