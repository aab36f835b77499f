//! A rule that finds nothing in a table that nobody writes any more says nothing: its run changes nothing, and says why.

use std::time::Duration;

use engine::arrow::array::{Array, AsArray};
use engine::arrow::datatypes::TimestampMicrosecondType;
use engine::clock::rfc3339;
use engine::sql::session::from_datafusion;
use engine::{Error, Kind, Limits, Question, Result, Scope, Store, write_span};
use futures::TryStreamExt;

use crate::evaluate::At;
use crate::rule::Fresh;

/// Looking for one young row is quick, or something else is wrong.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Fails with `Unavailable` where a table was not written as lately as it should have been at the tick (µs since 1970).
pub async fn check(store: &Store, scope: &Scope, fresh: &[Fresh], tick: i64, at: At) -> Result<()> {
    for one in fresh {
        let within = i64::try_from(one.within.as_micros()).unwrap_or(i64::MAX);
        let oldest = tick.saturating_sub(within);
        if last_written(store, scope, &one.table, Some(oldest), tick, at).await?.is_some() {
            continue;
        }
        let last = last_written(store, scope, &one.table, None, tick, at).await?;
        let when = last.map_or_else(
            || "was never written".to_owned(),
            |last| {
                let age = Duration::from_secs(u64::try_from((tick - last) / 1_000_000).unwrap_or(0));
                format!("was last written at {}, {} before", rfc3339(last), write_span(age))
            },
        );
        let allowed = write_span(one.within);
        let what = format!(
            "{} {when}, and `fresh` allows {allowed}: that nothing is found does not mean that nothing is there",
            one.table
        );
        return Err(Error::new(Kind::Unavailable, what));
    }
    Ok(())
}

/// When the newest row of a table came that came by the tick, and not before `oldest`.
async fn last_written(
    store: &Store,
    scope: &Scope,
    name: &str,
    oldest: Option<i64>,
    tick: i64,
    at: At,
) -> Result<Option<i64>> {
    let table = store.catalogue().tables.iter().find(|table| table.name == name);
    let table = table.ok_or_else(|| Error::invalid(format!("`fresh` names {name}, which is no table of facts")))?;
    let instant = |us: i64| format!("arrow_cast({us}, 'Timestamp(Microsecond, Some(\"UTC\"))')");
    let column = format!("\"{}\"", table.ingested_at);
    let mut sql = format!("SELECT max({column}) FROM \"{name}\" WHERE {column} <= {}", instant(tick));
    if let Some(oldest) = oldest {
        sql.push_str(&format!(" AND {column} >= {}", instant(oldest)));
    }
    let (question, limits) = (Question { sql, params: Vec::new() }, Limits { rows_max: 1, time_max: TIME_MAX });
    let answer = match at {
        At::Now => store.query(scope, question, limits).await?,
        At::Then => store.query_as_of(scope, question, limits, tick).await?,
    };
    let batches: Vec<_> = answer.stream.try_collect().await.map_err(from_datafusion)?;
    let cell = batches.iter().find(|batch| batch.num_rows() > 0).map(|batch| batch.column(0));
    let cell = cell.and_then(|cell| cell.as_primitive_opt::<TimestampMicrosecondType>());
    Ok(cell.filter(|cell| !cell.is_null(0)).map(|cell| cell.value(0)))
}
