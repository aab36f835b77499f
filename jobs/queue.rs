//! The durable queue: jobs are ready, run under a lease that is fenced by their attempt, and end as done or dead. What is
//! due is a column; nothing depends on what a process remembers.

mod claim;
mod dead;
mod end;
mod figures;
mod group;
mod insert;
mod limit;
pub(crate) mod many;
mod mark;
mod together;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::state::{Row, Transaction};
use engine::{Column, Error, Kind, Result, State as Database, StateTable, Type, Value};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};

pub use dead::{DeadJob, Which};
pub use figures::{AGE_MAX, DeadNow, Figures, Load, RunningNow};
pub use insert::insert;
pub(crate) use insert::insert_all;
pub use limit::{JOB_LIMIT, Limit, LimitRow};
pub(crate) use writer::{Crew, Taken};
use writer::{Place, Wish};

/// The kind of jobs that are flows: they take steps, and wait.
pub const FLOW: &str = "flow";
/// How urgent a job is unless somebody says otherwise; lower ones run first.
pub const PRIORITY: i64 = 100;
/// How long a running job belongs to its process without a sign of life.
pub const LEASE: Duration = Duration::from_secs(15);
/// Attempts before a job is dead.
pub const ATTEMPTS_MAX: i64 = 12;
/// The longest wait between two attempts.
pub const BACKOFF_MAX: Duration = Duration::from_secs(3600);
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Ended jobs are kept this long; so long is a job of the same name none.
pub const KEPT: Duration = Duration::from_secs(30 * 86_400);

macro_rules! job_columns {
    ($($more:expr),* $(,)?) => {
        &[
            Column::new("id", Type::Text, "Its id; later jobs have greater ones.").required(),
            Column::new("queue", Type::Text, "Its queue.").required(),
            Column::new("kind", Type::Text, "The action.").required(),
            Column::new("arguments", Type::Json, "What the action gets.").required(),
            Column::new("dedupe", Type::Text, "Names the job once and for all: a second job of this name is none.").required(),
            Column::new("cause", Type::Text, "What it follows from: `rule NAME at TICK`."),
            Column::new("attempt", Type::Int, "Times it was begun.").required(),
            Column::new("error", Type::Text, "Why the last attempt failed."),
            Column::new("created_at", Type::Time, "When it was made.").required(),
            Column::new("tenant", Type::Text, "Whose matter it is; null where it is the platform's own."),
            Column::new("parent", Type::Text, "The flow that waits for it."),
            Column::new("requester", Type::Text, "Who wants it: a principal, or the owner of the rule. Never one of its approvers."),
            Column::new("round", Type::Int, "Which time a flow runs: one more after each replay of what was undone.").required(),
            $($more),*
        ]
    };
}

/// Jobs that have not ended.
pub static JOB: StateTable = StateTable {
    name: "job",
    doc: "Jobs that wait, run, or are dead until somebody retries them. Seen by the platform only.",
    columns: job_columns![
        Column::new(
            "state",
            Type::Text,
            "`ready`, `running`, `waiting` (for a time, a signal, another flow or a vote) or `dead`.",
        )
        .required(),
        Column::new("priority", Type::Int, "Lower ones run first.").required(),
        Column::new("run_at", Type::Time, "It does not run before.").required(),
        Column::new("attempts_max", Type::Int, "Attempts before it is dead.").required(),
        Column::new("lease_until", Type::Time, "While it runs: when another process may take it."),
        Column::new("owner", Type::Text, "While it runs: the process."),
        Column::new("paused", Type::Bool, "Whether it stands still until somebody resumes it.").required(),
        Column::new("cancel", Type::Text, "Why it is to end, once what runs has come to its end."),
    ],
    hidden: &["wakes"],
    tenant: None,
};

/// Jobs that have ended.
pub static JOB_DONE: StateTable = StateTable {
    name: "job_done",
    doc: "Jobs that are done or were cancelled. Seen by the platform only.",
    columns: job_columns![
        Column::new("state", Type::Text, "`done` or `cancelled`.").required(),
        Column::new("ended_at", Type::Time, "When it ended.").required(),
        Column::new("output", Type::Json, "What a flow came to."),
    ],
    hidden: &[],
    tenant: None,
};

/// Effects on the world.
pub static EFFECT: StateTable = StateTable {
    name: "effect",
    doc: "Effects on the world: intended before the call, done after it, unknown where a process ended in between, failed where the other side said no. Seen by the platform only.",
    columns: &[
        Column::new("dedupe", Type::Text, "The name of the job, or of a flow's step; sent as the key that tells calls apart.")
            .required(),
        Column::new("job", Type::Text, "The job.").required(),
        Column::new("step", Type::Text, "The step of a flow."),
        Column::new("attempt", Type::Int, "Which attempt of it.").required(),
        Column::new("class", Type::Text, "What a second call does: `natural` (the same again), `keyed` (told apart by the key) or `once` (seen twice).")
            .required(),
        Column::new("target", Type::Text, "Whom it reached: a host or a channel, never a secret.").required(),
        Column::new("request_hash", Type::Text, "SHA-256 of what was asked for, hexadecimal."),
        Column::new("state", Type::Text, "`intent`, `done`, `unknown` or `failed`.").required(),
        Column::new("response", Type::Text, "What was answered, shortened."),
        Column::new("at", Type::Time, "When this was written.").required(),
    ],
    hidden: &[],
    tenant: None,
};

/// A job to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Its id.
    pub id: String,
    /// The action.
    pub kind: String,
    /// What the action gets.
    pub arguments: serde_json::Value,
    /// Its name once and for all.
    pub dedupe: String,
    /// What it follows from.
    pub cause: String,
    /// It does not run before.
    pub run_us: i64,
    /// When it was made.
    pub created_us: i64,
    /// On which terms.
    pub terms: Terms,
}

/// On which terms a job is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Lower ones run first.
    pub priority: i64,
    /// Whose matter it is.
    pub tenant: Option<String>,
    /// The flow that waits for it.
    pub parent: Option<String>,
    /// Who wants it.
    pub requester: Option<String>,
}

impl Default for Terms {
    fn default() -> Self {
        Terms { priority: PRIORITY, tenant: None, parent: None, requester: None }
    }
}

/// A job that this process runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// Its id.
    pub id: String,
    /// The action.
    pub kind: String,
    /// What the action gets.
    pub arguments: serde_json::Value,
    /// Its name once and for all.
    pub dedupe: String,
    /// Which attempt this is, from one.
    pub attempt: i64,
    /// Attempts before it is dead.
    pub attempts_max: i64,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// It is done.
    Done {
        /// Whom it reached.
        target: String,
        /// What was answered, shortened.
        response: String,
    },
    /// It failed and may be tried again.
    Failed {
        /// Why.
        error: String,
        /// When the other side wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Trying again would not help.
    Refused {
        /// Why.
        error: String,
    },
}

/// Notes that something happened which a waiting job may wait for, as a part of the transaction in which it did.
pub async fn wake(open: &mut Transaction, job: &str, now_us: i64) -> Result<bool> {
    let sql = "UPDATE job SET wakes = wakes + 1, run_at = CASE WHEN state = 'waiting' THEN $2 ELSE run_at END, \
               state = CASE WHEN state = 'waiting' THEN 'ready' ELSE state END WHERE id = $1";
    Ok(open.execute(sql, &[job.into(), Value::Time(now_us)]).await? == 1)
}

/// The queue, over the state database. Clones share one writer: what is asked of them becomes durable together.
#[derive(Debug, Clone)]
pub struct Queue {
    state: Arc<Database>,
    /// This process, as long as it runs.
    owner: String,
    writer: Arc<Mutex<Option<mpsc::Sender<Wish>>>>,
}

impl Queue {
    /// The queue in `state`, for the process `owner`: a random name, never that of a host.
    pub fn new(state: Arc<Database>, owner: &str) -> Self {
        Queue { state, owner: owner.to_owned(), writer: Arc::default() }
    }

    /// The database that it is in.
    pub(crate) fn state(&self) -> &Arc<Database> {
        &self.state
    }

    /// Makes a job, durable when this returns; false where one of its name is there or was.
    pub async fn add(&self, job: NewJob) -> Result<bool> {
        self.ask(|reply| Wish::Insert(Box::new(job), reply)).await
    }

    /// Takes up to `count` jobs whose time has come, and writes down that their effects are intended: one commit for both.
    pub async fn claim(&self, count: i64, now_us: i64) -> Result<Vec<Claimed>> {
        self.ask(|reply| Wish::Claim(count, now_us, reply)).await
    }

    /// Writes how attempts ended, all in one commit. One that lost its lease in between is left out: its result counts no
    /// more. Answers how many were written.
    pub async fn end(&self, ended: &[(Claimed, Ended)], now_us: i64) -> Result<usize> {
        self.ask(|reply| Wish::End(ended.to_vec(), now_us, reply)).await
    }

    /// Writes how the last job of a place ended, and waits for its next one. An error says that the end is not written.
    pub(crate) async fn turn(&self, last: Option<(Claimed, Ended)>, crew: &Arc<Crew>) -> Result<Taken> {
        self.ask(|reply| Wish::Turn(last, Place { crew: Arc::clone(crew), reply })).await
    }

    /// Looks at what is due now, without waiting for the time to look.
    pub(crate) async fn look(&self) {
        // A writer that has ended looks at everything when it is started again.
        let _ = self.sender().send(Wish::Look).await;
    }

    async fn ask<T>(&self, wish: impl FnOnce(oneshot::Sender<Result<T>>) -> Wish) -> Result<T> {
        let gone = || Error::new(Kind::Unavailable, "the writer of the queue ended before it answered");
        let (reply, answer) = oneshot::channel();
        self.sender().send(wish(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// The way to the writer, which is started where there is none.
    fn sender(&self) -> mpsc::Sender<Wish> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match writer.as_ref().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender.clone(),
            None => writer.insert(writer::start(Arc::clone(&self.state), self.owner.clone())).clone(),
        }
    }

    /// A sign of life for the jobs that this process runs.
    pub async fn beat(&self, now_us: i64) -> Result<()> {
        let sql = "UPDATE job SET lease_until = $2 WHERE owner = $1 AND state = 'running'";
        self.state.execute(sql, &[self.owner.as_str().into(), Value::Time(lease(now_us))]).await.map(|_| ())
    }

    /// Makes jobs ready again whose process gave no sign of life; with `all`, those of every other process: after a start
    /// over a database that belongs to this process alone. An attempt that was begun counts, and what it did is unknown.
    pub async fn reclaim(&self, now_us: i64, all: bool) -> Result<u64> {
        let values = [self.owner.as_str().into(), Value::Time(now_us), Value::Bool(all)];
        let lost = "SELECT id FROM job WHERE state = 'running' AND owner <> $1 AND (lease_until < $2 OR $3)";
        // Nearly always there are none, and nobody who writes waits for that.
        if self.state.fetch(lost, &values).await?.is_empty() {
            return Ok(0);
        }
        let mut open = self.state.transaction().await?;
        let ids: Vec<String> =
            open.fetch(lost, &values).await?.iter().map(|row| row.get("id")).collect::<Result<_>>()?;
        for id in &ids {
            let unknown = "UPDATE effect SET state = 'unknown', at = $2 WHERE job = $1 AND state = 'intent'";
            open.execute(unknown, &[id.as_str().into(), Value::Time(now_us)]).await?;
            let sql = "UPDATE job SET state = CASE WHEN attempt >= attempts_max THEN 'dead' ELSE 'ready' END, owner = NULL, \
                       lease_until = NULL, run_at = $2, error = 'its process ended while it ran' \
                       WHERE id = $1 AND state = 'running'";
            open.execute(sql, &[id.as_str().into(), Value::Time(now_us)]).await?;
        }
        open.commit().await?;
        Ok(ids.len() as u64)
    }

    /// Ends a job that does not run. A flow that is under way ends by itself, once what it did is undone. `NotFound` where
    /// there is none.
    pub async fn cancel(&self, id: &str, now_us: i64) -> Result<()> {
        let mut open = self.state.transaction().await?;
        let asked = "UPDATE job SET cancel = COALESCE(cancel, $2) WHERE id = $1 AND kind = 'flow' AND state <> 'dead'";
        if open.execute(asked, &[id.into(), "somebody cancelled it".into()]).await? == 1 {
            wake(&mut open, id, now_us).await?;
            return open.commit().await;
        }
        let moved = "INSERT INTO job_done (id, queue, kind, arguments, state, attempt, dedupe, cause, error, created_at, ended_at, tenant, parent, requester, round) \
                     SELECT id, queue, kind, arguments, 'cancelled', attempt, dedupe, cause, error, created_at, $2, tenant, parent, requester, round \
                     FROM job WHERE id = $1 AND state <> 'running'";
        if open.execute(moved, &[id.into(), Value::Time(now_us)]).await? == 0 {
            return Err(Error::new(Kind::NotFound, format!("there is no job {id} that waits or is dead")));
        }
        open.execute("DELETE FROM job WHERE id = $1", &[id.into()]).await?;
        open.commit().await
    }

    /// When the next job is due that nothing but time keeps from running.
    pub async fn next_due(&self, now_us: i64) -> Result<Option<i64>> {
        writer::next_due(&self.state, now_us).await
    }

    /// Forgets jobs that ended long ago, with their effects, steps, signals and votes.
    pub async fn prune(&self, now_us: i64) -> Result<()> {
        let old_us = now_us - i64::try_from(KEPT.as_micros()).expect("days fit");
        mark::prune(&self.state, &self.owner, now_us, old_us).await?;
        let old = [Value::Time(old_us)];
        let effects = "DELETE FROM effect WHERE state = 'done' AND at < $1";
        self.state.execute(effects, &old).await?;
        for of_ended in [
            "DELETE FROM vote WHERE approval IN (SELECT id FROM approval WHERE job IN (SELECT id FROM job_done WHERE ended_at < $1))",
            "DELETE FROM approval WHERE job IN (SELECT id FROM job_done WHERE ended_at < $1)",
            "DELETE FROM signal WHERE job IN (SELECT id FROM job_done WHERE ended_at < $1)",
            "DELETE FROM step WHERE job IN (SELECT id FROM job_done WHERE ended_at < $1)",
        ] {
            self.state.execute(of_ended, &old).await?;
        }
        self.state.execute("DELETE FROM job_done WHERE ended_at < $1", &old).await.map(|_| ())
    }
}

impl Claimed {
    fn of(row: &Row) -> Result<Self> {
        let arguments: String = row.get("arguments")?;
        let arguments = serde_json::from_str(&arguments)
            .map_err(|e| Error::new(Kind::Corrupt, format!("a job's arguments are no JSON: {e}")))?;
        Ok(Claimed {
            id: row.get("id")?,
            kind: row.get("kind")?,
            arguments,
            dedupe: row.get("dedupe")?,
            attempt: row.get("attempt")?,
            attempts_max: row.get("attempts_max")?,
        })
    }
}

fn lease(now_us: i64) -> i64 {
    now_us.saturating_add(i64::try_from(LEASE.as_micros()).expect("seconds fit"))
}

/// How long nothing will be due, within bounds.
pub(crate) fn pause(next_us: Option<i64>, now_us: i64, least: Duration, longest: Duration) -> Duration {
    let wait = next_us.map(|at| u64::try_from(at - now_us).unwrap_or(0));
    wait.map_or(longest, Duration::from_micros).clamp(least, longest)
}

/// The hash of what is asked for.
pub(crate) fn hash(asked: &serde_json::Value) -> String {
    hex::encode(Sha256::digest(asked.to_string().as_bytes()))
}

/// Doubling up to [`BACKOFF_MAX`], anywhere between nothing and that, the same for the same attempt of the same job.
pub fn backoff(job: &str, attempt: i64) -> Duration {
    backoff_within(job, attempt, BACKOFF_MIN, BACKOFF_MAX)
}

/// The same between two bounds of one's own.
pub fn backoff_within(job: &str, attempt: i64, least: Duration, longest: Duration) -> Duration {
    let factor = 1_u32.checked_shl(u32::try_from(attempt - 1).unwrap_or(0)).unwrap_or(u32::MAX);
    let most = least.saturating_mul(factor).min(longest);
    let hash = Sha256::digest(format!("{job}/{attempt}").as_bytes());
    let dice = u64::from_be_bytes(hash[..8].try_into().expect("eight bytes"));
    let most_us = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(most_us / 10 + dice % (most_us - most_us / 10).max(1))
}

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;
