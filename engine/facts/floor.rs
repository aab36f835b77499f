//! How far back a table can be looked at. Rows that were superseded, that outlived their time or that were erased are gone
//! from every look back; what would be incomplete is refused.

use std::sync::Arc;

use datafusion::logical_expr::{ident, lit};
use futures::TryStreamExt;
use lance::Dataset;

use super::current::{Bound, seqs};
use super::{Facts, lance_error};
use crate::clock::rfc3339;
use crate::error::{Error, Kind, Result};
use crate::fault::{Point, reached};
use crate::scope::Tenants;
use crate::table::SEQ;

/// Why rows are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// Newer ones took their place before the horizon.
    Superseded,
    /// They outlived their retention.
    Retention,
    /// A subject's data was erased.
    Erased,
}

impl Floor {
    const ALL: [Floor; 3] = [Floor::Superseded, Floor::Retention, Floor::Erased];

    /// Keys of the dataset's config: a place in the log, and a time in µs, before which a look back is refused.
    fn keys(self) -> (&'static str, &'static str) {
        match self {
            Floor::Superseded => ("stellwerk.as_of_floor_seq", "stellwerk.as_of_floor_us"),
            Floor::Retention => ("stellwerk.retention_floor_seq", "stellwerk.retention_floor_us"),
            Floor::Erased => ("stellwerk.erasure_floor_seq", "stellwerk.erasure_floor_us"),
        }
    }

    fn said(self, table: &str, us: Option<i64>) -> String {
        let at = us.map_or_else(String::new, |us| format!(" before {}", rfc3339(us)));
        match self {
            Floor::Superseded => {
                format!("rows of {table} that were superseded before the as-of horizon are gone; look back less far")
            }
            Floor::Retention => format!("rows of {table}{at} are past their retention and gone; look back less far"),
            Floor::Erased => format!(
                "rows of {table} were erased, and nothing shows it as it was{at}; look back to a moment after the erasure"
            ),
        }
    }
}

/// A floor that is to be noted; `None` for every tenant without one of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Why.
    pub floor: Floor,
    /// Whose rows.
    pub tenant: Option<String>,
    /// The first place in the log that can still be looked back to.
    pub seq: u64,
    /// The first time, µs.
    pub us: i64,
}

/// The key for one tenant's rows.
fn of_tenant(key: &str, tenant: Option<&str>) -> String {
    tenant.map_or_else(|| key.to_owned(), |tenant| format!("{key}/{tenant}"))
}

fn noted(dataset: &Dataset, key: &str) -> Option<i64> {
    dataset.config().get(key).and_then(|value| value.parse().ok())
}

impl Facts {
    /// Notes floors, before rows go: a process that ends in between refuses a look back rather than answering without the
    /// rows. A floor only ever rises.
    pub(crate) async fn note_floors(&self, notes: &[Note]) -> Result<()> {
        let _turn = self.turn_to_commit().await?;
        let mut dataset = self.snapshot().dataset.as_ref().clone();
        let mut entries: Vec<(String, String)> = Vec::new();
        for note in notes {
            let (seq, us) = note.floor.keys();
            for (key, value) in [(seq, i64::try_from(note.seq).unwrap_or(i64::MAX)), (us, note.us)] {
                let key = of_tenant(key, note.tenant.as_deref());
                if noted(&dataset, &key).is_none_or(|old| old < value) {
                    entries.push((key, value.to_string()));
                }
            }
        }
        if entries.is_empty() {
            return Ok(());
        }
        let doing = format!("note the as-of floor of table {}", self.table.name);
        let done = dataset.update_config(entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))).await;
        done.map_err(|e| self.doubt(&doing, e))?;
        reached(Point::FloorCommitted);
        self.put_in_place(Arc::new(dataset));
        Ok(())
    }

    /// The first place in the log that was acknowledged at or after a time; `next` where none was.
    pub(super) async fn first_seq_since(&self, us: i64, next: u64) -> Result<u64> {
        let doing = || format!("look for the log places of table {}", self.table.name);
        let dataset = self.snapshot().dataset;
        let mut scan = dataset.scan();
        scan.project(&[SEQ]).map_err(lance_error(doing()))?;
        let at = datafusion::scalar::ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()));
        scan.filter_expr(ident(self.table.ingested_at).gt_eq(lit(at)));
        let mut rows = scan.try_into_stream().await.map_err(lance_error(doing()))?;
        let mut first = next;
        while let Some(batch) = rows.try_next().await.map_err(lance_error(doing()))? {
            let smallest = seqs(&batch)?.values().iter().min().copied();
            first = smallest.and_then(|seq| u64::try_from(seq).ok()).map_or(first, |seq| first.min(seq));
        }
        Ok(first)
    }

    /// The time (µs) before which rows of some tenant may be gone for a reason, if any are.
    pub fn floor_us(&self, floor: Floor) -> Option<i64> {
        let gone = floors_above(&self.snapshot().dataset, i64::MIN);
        gone.into_iter().find(|(of, _)| *of == floor).map(|(_, us)| us)
    }

    /// The place in the log before which rows may be gone for a reason: what stands behind it must be complete.
    pub fn floor_seq(&self, floor: Floor) -> u64 {
        let dataset = self.snapshot().dataset;
        let (key, _) = floor.keys();
        let begins = format!("{key}/");
        let of = |(name, value): (&String, &String)| {
            (name == key || name.starts_with(&begins)).then(|| value.parse::<u64>().ok()).flatten()
        };
        dataset.config().iter().filter_map(of).max().unwrap_or(0)
    }
}

/// Why rows that were there at a time (µs) are gone, of whatever tenant, and since when the table is whole again.
pub(crate) fn floors_above(dataset: &Dataset, us: i64) -> Vec<(Floor, i64)> {
    let above = |floor: Floor| {
        let (_, key) = floor.keys();
        let begins = format!("{key}/");
        let of = |(name, value): (&String, &String)| {
            (name == key || name.starts_with(&begins)).then(|| value.parse::<i64>().ok()).flatten()
        };
        let highest = dataset.config().iter().filter_map(of).max()?;
        (us < highest).then_some((floor, highest))
    };
    Floor::ALL.into_iter().filter_map(above).collect()
}

/// Refuses a look back to where rows of these tenants are gone already: the answer would be incomplete.
pub fn check_floor(dataset: &Dataset, table: &str, bound: Bound, tenants: &Tenants) -> Result<()> {
    if bound == Bound::Now {
        return Ok(());
    }
    for floor in Floor::ALL {
        let (seq, us) = floor.keys();
        for tenant in whose(dataset, floor, tenants) {
            let (seq, us) = (of_tenant(seq, tenant.as_deref()), of_tenant(us, tenant.as_deref()));
            let at = noted(dataset, &us);
            let gone = match bound {
                Bound::Now => false,
                Bound::Seq(asked) => noted(dataset, &seq).is_some_and(|f| i64::try_from(asked).unwrap_or(i64::MAX) < f),
                Bound::Time(asked) => at.is_some_and(|f| asked < f),
            };
            if gone {
                return Err(Error::new(Kind::Limit, floor.said(table, at)));
            }
        }
    }
    Ok(())
}

/// The tenants whose floors count for an asker: those it may see, and what holds for all the others. A tenant with a
/// retention of its own has no part in that of the others.
fn whose(dataset: &Dataset, floor: Floor, tenants: &Tenants) -> Vec<Option<String>> {
    let (_, us) = floor.keys();
    let Some(named) = tenants.named() else {
        let begins = format!("{us}/");
        let own = dataset.config().keys().filter_map(|key| key.strip_prefix(&begins));
        return std::iter::once(None).chain(own.map(|tenant| Some(tenant.to_owned()))).collect();
    };
    let of = |tenant: &std::sync::Arc<str>| {
        let own = noted(dataset, &of_tenant(us, Some(tenant))).map(|_| Some(tenant.to_string()));
        let common = (own.is_none() || floor != Floor::Retention).then_some(None);
        common.into_iter().chain(own)
    };
    named.iter().flat_map(of).collect()
}
