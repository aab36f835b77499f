//! How the queue stands: for metrics, and for who watches it.

use std::time::Duration;

use engine::state::Row;
use engine::{Error, Kind, Result, Value};
use serde::{Deserialize, Serialize};

use super::Queue;

/// Jobs that are shown of those that run, and of those that are dead.
const SHOWN_MAX: i64 = 20;
/// What ended within this time counts as just ended.
const JUST_US: i64 = 60_000_000;

/// Where the oldest job waits longer than this, no more are taken from others.
pub const AGE_MAX: Duration = Duration::from_secs(120);
/// When others come back then.
const COME_BACK: Duration = Duration::from_secs(15);

/// One queue and kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// The queue.
    pub queue: String,
    /// The kind of its jobs.
    pub kind: String,
    /// Due, and not begun.
    pub ready: i64,
    /// Ready at a later time: retries.
    pub later: i64,
    /// Being done.
    pub running: i64,
    /// Flows that wait.
    pub waiting: i64,
    /// Dead.
    pub dead: i64,
    /// Standing still by somebody's wish.
    pub paused: i64,
    /// Ended within the last minute.
    pub ended_minute: i64,
    /// Since when the oldest one that is due waits, in microseconds.
    pub oldest_ready_age_us: Option<i64>,
}

/// A job being done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningNow {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Which attempt.
    pub attempt: i64,
    /// What it follows from.
    pub cause: Option<String>,
}

/// A job that is dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadNow {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Why.
    pub error: Option<String>,
}

/// Everything together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// By queue and kind.
    pub loads: Vec<Load>,
    /// Some of those that run.
    pub running: Vec<RunningNow>,
    /// The newest dead ones.
    pub dead: Vec<DeadNow>,
    /// Approvals that nobody has decided.
    pub approvals: i64,
}

impl Figures {
    /// Since when the oldest job of a queue that is due waits, in microseconds; 0 where none does.
    pub fn oldest_ready_us(&self, queue: &str) -> i64 {
        self.loads.iter().filter(|l| l.queue == queue).filter_map(|l| l.oldest_ready_age_us).max().unwrap_or(0)
    }

    /// The queues there are; the default one always.
    pub fn queues(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            std::iter::once("default").chain(self.loads.iter().map(|l| l.queue.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Queue {
    /// How the queue stands by queue and kind.
    pub async fn loads(&self, now_us: i64) -> Result<Vec<Load>> {
        let live = "SELECT queue, kind, \
                    sum(CASE WHEN state = 'ready' AND paused = false AND run_at <= $1 THEN 1 ELSE 0 END) AS ready, \
                    sum(CASE WHEN state = 'ready' AND paused = false AND run_at > $1 THEN 1 ELSE 0 END) AS later, \
                    sum(CASE WHEN state = 'running' THEN 1 ELSE 0 END) AS running, \
                    sum(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END) AS waiting, \
                    sum(CASE WHEN state = 'dead' THEN 1 ELSE 0 END) AS dead, \
                    sum(CASE WHEN paused THEN 1 ELSE 0 END) AS paused, \
                    min(CASE WHEN state = 'ready' AND paused = false AND run_at <= $1 THEN run_at END) AS oldest \
                    FROM job GROUP BY queue, kind ORDER BY queue, kind";
        let rows = self.state.fetch(live, &[Value::Time(now_us)]).await?;
        let load = |row: &Row| {
            let oldest: Option<i64> = row.get("oldest")?;
            Ok::<_, engine::Error>(Load {
                queue: row.get("queue")?,
                kind: row.get("kind")?,
                ready: row.get("ready")?,
                later: row.get("later")?,
                running: row.get("running")?,
                waiting: row.get("waiting")?,
                dead: row.get("dead")?,
                paused: row.get("paused")?,
                ended_minute: 0,
                oldest_ready_age_us: oldest.map(|at| (now_us - at).max(0)),
            })
        };
        let mut loads = rows.iter().map(load).collect::<Result<Vec<_>>>()?;
        let ended = "SELECT queue, kind, count(*) AS jobs FROM job_done WHERE ended_at > $1 GROUP BY queue, kind";
        for row in self.state.fetch(ended, &[Value::Time(now_us - JUST_US)]).await? {
            let (queue, kind): (String, String) = (row.get("queue")?, row.get("kind")?);
            let at = loads.iter().position(|l| l.queue == queue && l.kind == kind).unwrap_or_else(|| {
                loads.push(Load { queue, kind, ..Load::default() });
                loads.len() - 1
            });
            loads[at].ended_minute = row.get("jobs")?;
        }
        loads.sort_by(|a, b| (&a.queue, &a.kind).cmp(&(&b.queue, &b.kind)));
        Ok(loads)
    }

    /// For how long the oldest job that is ready waits for its turn. What is paused or limited is late by somebody's wish, and
    /// does not count.
    pub async fn oldest_age(&self, now_us: i64) -> Result<Duration> {
        let rows = self.state.fetch(super::limit::OLDEST, &[Value::Time(now_us)]).await?;
        let oldest: Option<i64> = rows.first().map_or(Ok(None), |row| row.get("oldest"))?;
        Ok(Duration::from_micros(oldest.map_or(0, |at| u64::try_from(now_us - at).unwrap_or(0))))
    }

    /// `Overloaded`, with a time to come back, where jobs are done so late that whoever brings more must wait.
    pub async fn take_more(&self, now_us: i64) -> Result<()> {
        let age = self.oldest_age(now_us).await?;
        if age <= AGE_MAX {
            return Ok(());
        }
        let text = format!("the oldest job waits for {} s already: come back later", age.as_secs());
        Err(Error::new(Kind::Overloaded { retry_after: COME_BACK }, text))
    }

    /// Everything that somebody who watches the queue wants to see.
    pub async fn figures(&self, now_us: i64) -> Result<Figures> {
        let most = [Value::Int(SHOWN_MAX)];
        let running = "SELECT id, kind, attempt, cause FROM job WHERE state = 'running' ORDER BY id LIMIT $1";
        let running = self.state.fetch(running, &most).await?;
        let running = running.iter().map(|row| {
            Ok::<_, engine::Error>(RunningNow {
                id: row.get("id")?,
                kind: row.get("kind")?,
                attempt: row.get("attempt")?,
                cause: row.get("cause")?,
            })
        });
        let dead = "SELECT id, kind, error FROM job WHERE state = 'dead' ORDER BY id DESC LIMIT $1";
        let dead = self.state.fetch(dead, &most).await?;
        let dead = dead.iter().map(|row| {
            Ok::<_, engine::Error>(DeadNow { id: row.get("id")?, kind: row.get("kind")?, error: row.get("error")? })
        });
        let open = self.state.fetch("SELECT count(*) AS n FROM approval WHERE decision IS NULL", &[]).await?;
        Ok(Figures {
            running: running.collect::<Result<_>>()?,
            dead: dead.collect::<Result<_>>()?,
            approvals: open.first().map_or(Ok(0), |row| row.get("n"))?,
            loads: self.loads(now_us).await?,
        })
    }
}
