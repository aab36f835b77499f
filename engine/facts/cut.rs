//! A table of a backup cut back to an earlier moment. Rows are never updated, so what was there then is what is there now
//! without the rows that came later, as far as nothing that stood then is gone since.

use std::sync::Arc;

use datafusion::logical_expr::{ident, lit};
use datafusion::scalar::ScalarValue;
use lance::dataset::DeleteBuilder;

use super::floor::{Floor, floors_above};
use super::{lance_error, open_dataset};
use crate::clock::rfc3339;
use crate::error::{Error, Kind, Result};
use crate::place::Place;
use crate::table::Table;

/// What became of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Rows that came later, and went.
    pub rows: u64,
    /// Why rows that stood then are gone all the same, a sentence each.
    pub gone: Vec<String>,
    /// Whether a subject's data was erased since.
    pub is_erased: bool,
}

/// Takes the rows out that were acknowledged later than `to_us`. Nobody has the table open. Refused where rows that were
/// current then were dropped since, because newer ones took their place; what retention or an erasure took stays gone.
pub(crate) async fn cut(table: &'static Table, place: &Place, to_us: i64) -> Result<Cut> {
    let Some(dataset) = open_dataset(table, place).await? else { return Ok(Cut::default()) };
    let mut cut = Cut::default();
    for (floor, since) in floors_above(&dataset, to_us) {
        let (name, since) = (table.name, rfc3339(since));
        match floor {
            Floor::Superseded => {
                let why = format!(
                    "{name} was at {} what this backup no longer holds: rows that newer ones replaced before {since} were dropped; a moment from then on can be restored, or the backup before it",
                    rfc3339(to_us)
                );
                return Err(Error::new(Kind::Limit, why));
            }
            Floor::Retention => {
                cut.gone.push(format!("{name}: rows before {since} have outlived their retention and stay gone"))
            }
            Floor::Erased => {
                cut.is_erased = true;
                cut.gone.push(format!("{name}: rows of subjects that were erased by {since} stay erased"));
            }
        }
    }
    let at = ScalarValue::TimestampMicrosecond(Some(to_us), Some("UTC".into()));
    let later = ident(table.ingested_at).gt(lit(at));
    let deleted = DeleteBuilder::from_expr(Arc::new(dataset), later).execute().await;
    cut.rows = deleted.map_err(lance_error(format!("cut table {} back", table.name)))?.num_deleted_rows;
    Ok(cut)
}
