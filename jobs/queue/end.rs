//! How attempts ended, written into a transaction that others share. What counts is decided in the writing statements: an
//! attempt that lost its lease finds no row.

use std::collections::HashSet;
use std::sync::LazyLock;

use engine::state::Transaction;
use engine::{Error, Kind, Result, Value};

use super::many::Many;
use super::{Claimed, Ended, backoff, wake};

/// A job that is done, from the table of live work into the archive.
static MOVE: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO job_done (id, queue, kind, arguments, state, attempt, dedupe, cause, created_at, ended_at, tenant, parent, \
         requester, round) SELECT job.id, queue, kind, arguments, 'done', attempt, dedupe, cause, created_at, ended.column3, tenant, \
         parent, requester, round FROM (VALUES ",
        "tii",
        ") AS ended CROSS JOIN job WHERE job.id = ended.column1 AND job.attempt = ended.column2 AND job.state = 'running' RETURNING id",
    )
});
static TAKE_OUT: LazyLock<Many> =
    LazyLock::new(|| Many::new("DELETE FROM job WHERE state = 'running' AND id IN (VALUES ", "t", ") RETURNING id"));
static TELL: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "UPDATE effect SET state = 'done', target = told.column2, response = told.column3, at = told.column4 FROM (VALUES ",
        "ttti",
        ") AS told WHERE effect.dedupe = told.column1 RETURNING dedupe",
    )
});
const RETRY: &str = "UPDATE job SET state = 'ready', run_at = $3, error = $4, lease_until = NULL, owner = NULL \
                     WHERE id = $1 AND attempt = $2 AND state = 'running'";
const BURY: &str = "UPDATE job SET state = 'dead', error = $3, lease_until = NULL, owner = NULL \
                    WHERE id = $1 AND attempt = $2 AND state = 'running'";
const FAILED: &str =
    "UPDATE effect SET state = 'failed', response = $2, at = $3 WHERE dedupe = $1 AND state = 'intent'";
const PARENT: &str = "SELECT parent FROM job WHERE id = $1 AND parent IS NOT NULL";

/// An attempt that ended, and when.
pub(super) type Ending<'a> = (&'a Claimed, &'a Ended, i64);

/// Writes how attempts ended; of each, whether it counts. Of two ends of one attempt the first does.
pub(super) async fn write(open: &mut Transaction, endings: &[Ending<'_>]) -> Result<Vec<bool>> {
    let mut seen = HashSet::new();
    let first: Vec<bool> = endings.iter().map(|(job, ..)| seen.insert((job.id.as_str(), job.attempt))).collect();
    let is_done = |at: &usize| first[*at] && matches!(endings[*at].1, Ended::Done { .. });
    let mut done: Vec<usize> = (0..endings.len()).filter(is_done).collect();
    // Whoever locks several rows does so in one order.
    done.sort_by(|a, b| endings[*a].0.id.cmp(&endings[*b].0.id));
    let moved = move_done(open, &done.iter().map(|at| endings[*at]).collect::<Vec<_>>()).await?;
    let mut written = vec![false; endings.len()];
    for at in done {
        written[at] = moved.contains(endings[at].0.id.as_str());
    }
    for (at, (job, ended, now_us)) in endings.iter().enumerate().filter(|(at, _)| first[*at]) {
        match ended {
            Ended::Done { .. } => {}
            Ended::Failed { error, retry_after } if job.attempt < job.attempts_max => {
                let wait = retry_after.unwrap_or_else(|| backoff(&job.id, job.attempt));
                let again_us = now_us.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
                let redactor = open.redactor();
                let values = attempt(job, vec![Value::Time(again_us), redactor.redact(error).into_owned().into()]);
                written[at] = open.execute(RETRY, &values).await? == 1;
            }
            Ended::Failed { error, .. } | Ended::Refused { error } => {
                written[at] = bury(open, job, error, *now_us).await?;
            }
        }
    }
    Ok(written)
}

fn attempt(job: &Claimed, more: Vec<Value>) -> Vec<Value> {
    [vec![job.id.as_str().into(), Value::Int(job.attempt)], more].concat()
}

/// Moves those that are done and still ours; their ids.
async fn move_done(open: &mut Transaction, done: &[Ending<'_>]) -> Result<HashSet<String>> {
    let mut ours = Vec::with_capacity(done.len() * 3);
    for (job, _, now_us) in done {
        ours.extend([job.id.as_str().into(), Value::Int(job.attempt), Value::Time(*now_us)]);
    }
    let rows = MOVE.fetch(open, &ours).await?;
    let moved = rows.iter().map(|row| row.get("id")).collect::<Result<HashSet<String>>>()?;
    let (mut ids, mut told) = (Vec::with_capacity(moved.len()), Vec::with_capacity(moved.len() * 4));
    let redactor = open.redactor();
    for (job, ended, now_us) in done.iter().filter(|(job, ..)| moved.contains(&job.id)) {
        ids.push(Value::from(job.id.as_str()));
        if let Ended::Done { target, response } = ended {
            let name = Value::from(job.dedupe.as_str());
            told.extend([
                name,
                redactor.redact(target).into_owned().into(),
                redactor.redact(response).into_owned().into(),
                Value::Time(*now_us),
            ]);
        }
    }
    if TAKE_OUT.fetch(open, &ids).await?.len() < moved.len() {
        // Somebody took one over between the two statements; PostgreSQL shows that only now.
        let kind = Kind::Overloaded { retry_after: std::time::Duration::from_millis(10) };
        return Err(Error::new(kind, "a job was taken over while its end was written"));
    }
    TELL.fetch(open, &told).await?;
    Ok(moved)
}

async fn bury(open: &mut Transaction, job: &Claimed, error: &str, now_us: i64) -> Result<bool> {
    let redactor = open.redactor();
    let error = redactor.redact(error);
    if open.execute(BURY, &attempt(job, vec![error.as_ref().into()])).await? == 0 {
        return Ok(false);
    }
    open.execute(FAILED, &[job.dedupe.as_str().into(), error.as_ref().into(), Value::Time(now_us)]).await?;
    for row in open.fetch(PARENT, &[job.id.as_str().into()]).await? {
        wake(open, &row.get::<String>("parent")?, now_us).await?;
    }
    Ok(true)
}
