//! How fast jobs may begin, by kind, by tenant or by both, and what stands still. A limit delays and never drops.
//!
//! GCRA: one number a limit, the theoretical time of the next job; a burst is how far ahead of it jobs may be.

use std::time::Duration;

use engine::state::Transaction;
use engine::{Column, Error, Kind, Result, StateTable, Type, Value};

use super::Queue;

/// Limits on jobs.
pub static JOB_LIMIT: StateTable = StateTable {
    name: "job_limit",
    doc: "How fast jobs of a kind, of a tenant or of both may begin, and which stand still. Seen by the platform only.",
    columns: &[
        Column::new("kind", Type::Text, "The kind of jobs; empty for all.").required(),
        Column::new("tenant", Type::Text, "The tenant; empty for all together.").required(),
        Column::new("interval_us", Type::Int, "Microseconds between two jobs; null without a limit."),
        Column::new("burst", Type::Int, "Jobs that may begin at once after a time without any."),
        Column::new("free_at", Type::Time, "When the next job would begin if all came at the limit's own beat.")
            .required(),
        Column::new("paused", Type::Bool, "Whether none begins until somebody resumes them.").required(),
    ],
    hidden: &[],
    tenant: None,
};

/// What is limited, and how.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limit {
    /// The kind of jobs; `None` for all.
    pub kind: Option<String>,
    /// The tenant; `None` for all together.
    pub tenant: Option<String>,
    /// So many in such a time; `None` lifts the limit.
    pub rate: Option<(u32, Duration)>,
}

/// A limit as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRow {
    /// The kind; empty for all.
    pub kind: String,
    /// The tenant; empty for all.
    pub tenant: String,
    /// Between two jobs, and how many at once.
    pub beat: Option<(i64, i64)>,
    /// The theoretical time of the next job.
    pub free_us: i64,
    /// Whether none begins.
    pub paused: bool,
}

const SELECT: &str = "SELECT kind, tenant, interval_us, burst, free_at, paused FROM job_limit ORDER BY kind, tenant";

/// Jobs that are due and that no limit stops; $1 is now, $2 how many.
pub(super) const CANDIDATES: &str = concat!(
    "SELECT id, kind, COALESCE(tenant, '') AS tenant, attempt FROM job WHERE state = 'ready' AND paused = false AND run_at <= $1 AND ",
    "NOT EXISTS (SELECT 1 FROM job_limit l WHERE (l.kind = job.kind OR l.kind = '') ",
    "AND (l.tenant = COALESCE(job.tenant, '') OR l.tenant = '') AND (l.paused = true OR (NOT (job.kind = 'flow' AND job.attempt > 0) ",
    "AND l.free_at - COALESCE(l.interval_us * (l.burst - 1), 0) > $1))) ORDER BY priority, run_at, id LIMIT $2"
);

/// When the next thing is due: a job that no limit stops, or a limit that lets the next one through.
pub(super) const NEXT_DUE: &str = concat!(
    "SELECT min(due) AS due FROM (SELECT min(run_at) AS due FROM job WHERE state = 'ready' AND paused = false AND ",
    "NOT EXISTS (SELECT 1 FROM job_limit l WHERE (l.kind = job.kind OR l.kind = '') ",
    "AND (l.tenant = COALESCE(job.tenant, '') OR l.tenant = '') AND (l.paused = true OR (NOT (job.kind = 'flow' AND job.attempt > 0) ",
    "AND l.free_at - COALESCE(l.interval_us * (l.burst - 1), 0) > $1))) ",
    "UNION ALL SELECT min(run_at) AS due FROM job WHERE state = 'waiting' ",
    "UNION ALL SELECT min(free_at - COALESCE(interval_us * (burst - 1), 0)) AS due FROM job_limit WHERE paused = false ",
    "AND free_at - COALESCE(interval_us * (burst - 1), 0) > $1) AS next"
);

/// Since when the oldest job waits that nothing keeps from running but a free place; $1 is now.
pub(super) const OLDEST: &str = concat!(
    "SELECT min(run_at) AS oldest FROM job WHERE state = 'ready' AND paused = false AND run_at <= $1 AND ",
    "NOT EXISTS (SELECT 1 FROM job_limit l WHERE (l.kind = job.kind OR l.kind = '') ",
    "AND (l.tenant = COALESCE(job.tenant, '') OR l.tenant = ''))"
);

/// The limits, held for the rest of the transaction where there are any.
pub(super) async fn lock(open: &mut Transaction) -> Result<Vec<LimitRow>> {
    // Nearly always there are none, and a claim that only reads them waits for nobody.
    if open.fetch("SELECT kind FROM job_limit LIMIT 1", &[]).await?.is_empty() {
        return Ok(Vec::new());
    }
    open.execute("UPDATE job_limit SET free_at = free_at", &[]).await?;
    open.fetch(SELECT, &[]).await?.iter().map(LimitRow::of).collect()
}

/// Counts a job in where every limit that it meets has room, and answers whether.
pub(super) fn admit(limits: &mut [LimitRow], kind: &str, tenant: &str, now_us: i64) -> bool {
    let meets =
        |row: &LimitRow| (row.kind.is_empty() || row.kind == kind) && (row.tenant.is_empty() || row.tenant == tenant);
    if limits.iter().any(|row| meets(row) && !row.has_room(now_us)) {
        return false;
    }
    for row in limits.iter_mut().filter(|row| meets(row)) {
        if let Some((interval_us, _)) = row.beat {
            row.free_us = row.free_us.max(now_us).saturating_add(interval_us);
        }
    }
    true
}

/// Writes how far the limits are.
pub(super) async fn keep(open: &mut Transaction, limits: &[LimitRow]) -> Result<()> {
    for row in limits.iter().filter(|row| row.beat.is_some()) {
        let values = [row.kind.as_str().into(), row.tenant.as_str().into(), Value::Time(row.free_us)];
        open.execute("UPDATE job_limit SET free_at = $3 WHERE kind = $1 AND tenant = $2", &values).await?;
    }
    Ok(())
}

impl LimitRow {
    fn of(row: &engine::state::Row) -> Result<Self> {
        let (interval_us, burst): (Option<i64>, Option<i64>) = (row.get("interval_us")?, row.get("burst")?);
        Ok(LimitRow {
            kind: row.get("kind")?,
            tenant: row.get("tenant")?,
            beat: interval_us.zip(burst),
            free_us: row.get("free_at")?,
            paused: row.get("paused")?,
        })
    }

    fn has_room(&self, now_us: i64) -> bool {
        let ahead = self.beat.map_or(0, |(interval_us, burst)| interval_us.saturating_mul(burst - 1));
        !self.paused && self.free_us.saturating_sub(ahead) <= now_us
    }
}

impl Queue {
    /// Sets or lifts a limit.
    pub async fn limit(&self, limit: &Limit, now_us: i64) -> Result<()> {
        let beat = match limit.rate {
            None => None,
            Some((count, per)) => {
                let per_us = i64::try_from(per.as_micros()).unwrap_or(i64::MAX);
                if count == 0 || per_us / i64::from(count) == 0 {
                    return Err(Error::invalid(
                        "a limit is a count above 0 in a time, such as 10/1m; `job pause` stops all",
                    ));
                }
                Some((per_us / i64::from(count), i64::from(count)))
            }
        };
        let number = |number: Option<i64>| number.map_or(Value::Null, Value::Int);
        let values = [
            limit.kind.as_deref().unwrap_or_default().into(),
            limit.tenant.as_deref().unwrap_or_default().into(),
            number(beat.map(|beat| beat.0)),
            number(beat.map(|beat| beat.1)),
            Value::Time(now_us),
        ];
        let sql = "INSERT INTO job_limit (kind, tenant, interval_us, burst, free_at, paused) VALUES ($1, $2, $3, $4, $5, false) \
                   ON CONFLICT (kind, tenant) DO UPDATE SET interval_us = excluded.interval_us, burst = excluded.burst, \
                   free_at = excluded.free_at";
        self.state.execute(sql, &values).await?;
        self.forget_limits().await
    }

    /// Lets no job of a kind, of a tenant or of both begin, or lets them begin again.
    pub async fn hold(&self, kind: Option<&str>, tenant: Option<&str>, paused: bool, now_us: i64) -> Result<()> {
        let values = [
            kind.unwrap_or_default().into(),
            tenant.unwrap_or_default().into(),
            Value::Time(now_us),
            Value::Bool(paused),
        ];
        let sql = "INSERT INTO job_limit (kind, tenant, free_at, paused) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (kind, tenant) DO UPDATE SET paused = excluded.paused";
        self.state.execute(sql, &values).await?;
        self.forget_limits().await
    }

    async fn forget_limits(&self) -> Result<()> {
        let idle = "DELETE FROM job_limit WHERE interval_us IS NULL AND paused = false";
        self.state.execute(idle, &[]).await.map(|_| ())
    }

    /// Lets one job stand still, or go on. `NotFound` where there is none.
    pub async fn pause(&self, id: &str, paused: bool, now_us: i64) -> Result<()> {
        let mut open = self.state.transaction().await?;
        let values = [id.into(), Value::Bool(paused)];
        if open.execute("UPDATE job SET paused = $2 WHERE id = $1", &values).await? == 0 {
            return Err(Error::new(Kind::NotFound, format!("there is no job {id} that has not ended")));
        }
        super::wake(&mut open, id, now_us).await?;
        open.commit().await
    }

    /// Every limit.
    pub async fn limits(&self) -> Result<Vec<LimitRow>> {
        self.state.fetch(SELECT, &[]).await?.iter().map(LimitRow::of).collect()
    }

    /// Changes how urgent a job is; lower ones run first. `NotFound` where there is none.
    pub async fn prioritize(&self, id: &str, priority: i64) -> Result<()> {
        let values = [id.into(), Value::Int(priority)];
        match self.state.execute("UPDATE job SET priority = $2 WHERE id = $1", &values).await? {
            0 => Err(Error::new(Kind::NotFound, format!("there is no job {id} that has not ended"))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: &str, tenant: &str, beat: Option<(i64, i64)>) -> LimitRow {
        LimitRow { kind: kind.to_owned(), tenant: tenant.to_owned(), beat, free_us: 0, paused: false }
    }

    #[test]
    fn a_burst_goes_through_and_then_one_an_interval() {
        let mut limits = [row("notify", "", Some((10, 3)))];
        let mut at = |now| (0..5).filter(|_| admit(&mut limits, "notify", "acme", now)).count();
        assert_eq!([at(100), at(100), at(109), at(110), at(1_000)], [3, 0, 0, 1, 3]);
    }

    #[test]
    fn every_limit_that_a_job_meets_must_have_room() {
        let mut limits = [row("notify", "", Some((10, 2))), row("", "acme", Some((10, 1)))];
        assert!(admit(&mut limits, "notify", "acme", 100));
        assert!(!admit(&mut limits, "notify", "acme", 100), "the tenant's is used up");
        assert!(admit(&mut limits, "notify", "other", 100), "a refused job takes nothing of the other limit");
        assert!(!admit(&mut limits, "notify", "other", 100));
        assert!(admit(&mut limits, "http", "other", 100));
        limits[1].paused = true;
        assert!(!admit(&mut limits, "http", "acme", 10_000));
    }
}
