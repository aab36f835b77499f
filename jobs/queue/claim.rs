//! Jobs taken up: they run from now on, and what they will do to the world is written down as intended, in one transaction
//! that others share.

use std::sync::LazyLock;

use engine::state::{Row, Transaction};
use engine::{Result, Value};

use super::limit::{self, LimitRow};
use super::many::Many;
use super::{Claimed, FLOW, hash, lease};

/// What waited for a time that has come.
const DUE: &str = "UPDATE job SET state = 'ready' WHERE state = 'waiting' AND run_at <= $1";
const TAKE: &str = "UPDATE job SET state = 'running', attempt = attempt + 1, lease_until = $3, owner = $4 \
                    WHERE state = 'ready' AND id IN (SELECT id FROM job WHERE state = 'ready' AND paused = false AND run_at <= $1 \
                    ORDER BY priority, run_at, id LIMIT $2) \
                    RETURNING id, kind, arguments, dedupe, attempt, attempts_max";
const TAKE_ONE: &str = "UPDATE job SET state = 'running', attempt = attempt + 1, lease_until = $2, owner = $3 \
                        WHERE id = $1 AND state = 'ready' RETURNING id, kind, arguments, dedupe, attempt, attempts_max";
const UNREADABLE: &str = "UPDATE job SET state = 'dead', error = $2, lease_until = NULL, owner = NULL WHERE id = $1";
static INTEND: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO effect (dedupe, job, attempt, target, state, at, class, request_hash) \
         SELECT column1, column2, column3, column4, 'intent', column5, column6, column7 FROM (VALUES ",
        "ttititt",
        ") AS intent WHERE column1 <> '' ON CONFLICT (dedupe) DO UPDATE SET attempt = excluded.attempt, at = excluded.at, \
         state = CASE WHEN effect.state = 'failed' THEN 'intent' ELSE effect.state END WHERE effect.state <> 'done'",
    )
});

/// Takes up to `count` jobs whose time has come, the most urgent first, as far as limits allow.
pub(super) async fn claim(open: &mut Transaction, owner: &str, count: i64, now_us: i64) -> Result<Vec<Claimed>> {
    open.execute(DUE, &[Value::Time(now_us)]).await?;
    let rows = match limit::lock(open).await? {
        limits if limits.is_empty() => {
            let values = [Value::Time(now_us), Value::Int(count), Value::Time(lease(now_us)), owner.into()];
            open.fetch(TAKE, &values).await?
        }
        limits => take_within(open, limits, owner, count, now_us).await?,
    };
    let mut claimed = Vec::with_capacity(rows.len());
    for row in &rows {
        match Claimed::of(row) {
            Ok(job) => claimed.push(job),
            // One that cannot be read keeps no other from running.
            Err(error) => {
                let values = [row.get::<String>("id")?.into(), error.to_string().into()];
                open.execute(UNREADABLE, &values).await?;
            }
        }
    }
    claimed.sort_by(|a, b| a.id.cmp(&b.id));
    let mut intents = Vec::with_capacity(claimed.len() * 7);
    for job in claimed.iter().filter(|job| job.kind != FLOW) {
        intents.extend([
            job.dedupe.as_str().into(),
            job.id.as_str().into(),
            Value::Int(job.attempt),
            job.kind.as_str().into(),
            Value::Time(now_us),
            crate::actions::action(&job.kind).map_or("once", |action| action.effect.name()).into(),
            hash(&job.arguments).into(),
        ]);
    }
    INTEND.fetch(open, &intents).await?;
    Ok(claimed)
}

/// The same as far as limits allow; what they do not allow stays where it is.
async fn take_within(
    open: &mut Transaction,
    mut limits: Vec<LimitRow>,
    owner: &str,
    count: i64,
    now_us: i64,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let due = open.fetch(limit::CANDIDATES, &[Value::Time(now_us), Value::Int(count)]).await?;
    for job in &due {
        let (kind, tenant): (String, String) = (job.get("kind")?, job.get("tenant")?);
        let woken = kind == FLOW && job.get::<i64>("attempt")? > 0;
        if !woken && !limit::admit(&mut limits, &kind, &tenant, now_us) {
            continue;
        }
        let values = [job.get::<String>("id")?.into(), Value::Time(lease(now_us)), owner.into()];
        rows.extend(open.fetch(TAKE_ONE, &values).await?);
    }
    limit::keep(open, &limits).await?;
    Ok(rows)
}
