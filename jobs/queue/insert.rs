//! Jobs made, as a part of a transaction that others share: one of a name that is there or was is none. What they are given
//! passes the redactor here, whoever makes them.

use std::collections::HashSet;
use std::sync::LazyLock;

use engine::state::Transaction;
use engine::{Result, Value};

use super::many::Many;
use super::{ATTEMPTS_MAX, FLOW, NewJob};
use crate::given;

static INSERT: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO job (id, queue, kind, arguments, state, priority, run_at, attempt, attempts_max, dedupe, cause, created_at, \
         tenant, parent, requester) SELECT column1, 'default', column2, column3, 'ready', column4, column5, 0, column6, column7, \
         column8, column9, NULLIF(column10, ''), NULLIF(column11, ''), NULLIF(column12, '') FROM (VALUES ",
        "tttiiittittt",
        ") AS made WHERE column1 <> '' AND NOT EXISTS (SELECT 1 FROM job_done WHERE job_done.dedupe = made.column7) \
         ON CONFLICT (dedupe) DO NOTHING RETURNING id",
    )
});

/// Adds a job, unless one of its name is there or was.
pub async fn insert(open: &mut Transaction, job: &NewJob) -> Result<bool> {
    Ok(!insert_all(open, std::slice::from_ref(job)).await?.is_empty())
}

/// Adds jobs; the ids of those that were made.
pub(crate) async fn insert_all<'a>(
    open: &mut Transaction,
    jobs: impl IntoIterator<Item = &'a NewJob>,
) -> Result<HashSet<String>> {
    let text = |text: &Option<String>| Value::from(text.as_deref().unwrap_or_default());
    let redactor = open.redactor();
    let mut values = Vec::new();
    for job in jobs {
        // A flow is taken up each time something happens to it; what may fail too often are its steps.
        let attempts_max = if job.kind == FLOW { i64::MAX } else { ATTEMPTS_MAX };
        values.extend([
            job.id.as_str().into(),
            job.kind.as_str().into(),
            given::document(&*redactor, &job.arguments).to_string().into(),
            Value::Int(job.terms.priority),
            Value::Time(job.run_us),
            Value::Int(attempts_max),
            job.dedupe.as_str().into(),
            job.cause.as_str().into(),
            Value::Time(job.created_us),
            text(&job.terms.tenant),
            text(&job.terms.parent),
            text(&job.terms.requester),
        ]);
    }
    INSERT.fetch(open, &values).await?.iter().map(|row| row.get("id")).collect()
}
