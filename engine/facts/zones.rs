//! What is known of each stretch of rows of a fragment: its smallest and largest time, which ids cannot be in it, and whose
//! rows they are. So a question about an hour does not read a month, and a look-up of an id reads one stretch of a fragment
//! that no index covers yet.
//!
//! Lance's files carry no such figures. A flush makes them of the rows that it writes; for other fragments they are read
//! from the columns when a question first needs them. They are kept for as long as the fragment lives; its rows never
//! change.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::{cast, concat_batches, max, min};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Column;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::pruning::PruningStatistics;
use datafusion::scalar::ScalarValue;
use parking_lot::Mutex;

use super::owners::Owners;
use crate::table::{Index, Table};

/// Rows of a zone.
pub const ZONE_ROWS: usize = 8_192;
/// Bits of a zone's filter of ids: 16 an id, so that one of 400 zones is read in vain.
const ID_BITS: usize = ZONE_ROWS * 16;
/// Bits that each id sets.
const BITS_AN_ID: usize = 4;
const HASHING: RandomState = RandomState::with_seed(0);

/// Rows of a zone in its fragment of `rows` rows.
pub fn zone_range(zone: usize, rows: u64) -> Range<u64> {
    let start = (zone * ZONE_ROWS) as u64;
    start..(start + ZONE_ROWS as u64).min(rows)
}

/// The times of one fragment's zones.
#[derive(Debug, Default)]
pub struct Times {
    bounds: Vec<Option<(i64, i64)>>,
    nulls: Vec<u64>,
    rows: Vec<u64>,
}

impl Times {
    /// Adds the times of the next zone.
    pub fn push(&mut self, times: &ArrayRef) {
        // A timestamp is a 64-bit integer in its unit; reading it as one cannot fail.
        let times = cast(times, &DataType::Int64).expect("a timestamp reads as an integer");
        let times = times.as_primitive::<Int64Type>();
        self.bounds.push(min(times).zip(max(times)));
        self.nulls.push(times.null_count() as u64);
        self.rows.push(times.len() as u64);
    }

    /// The earliest and the latest time of all zones, and how many rows have none.
    pub fn span(&self) -> (Option<(i64, i64)>, u64) {
        let wider = |a: (i64, i64), b: (i64, i64)| (a.0.min(b.0), a.1.max(b.1));
        (self.bounds.iter().flatten().copied().reduce(wider), self.nulls.iter().sum())
    }

    /// The zones with the latest, or the earliest, first.
    pub fn sorted(&self, mut zones: Vec<usize>, latest_first: bool) -> Vec<usize> {
        match latest_first {
            true => zones.sort_by_key(|zone| std::cmp::Reverse(self.bounds[*zone].map(|(_, latest)| latest))),
            false => zones.sort_by_key(|zone| self.bounds[*zone].map(|(earliest, _)| earliest)),
        }
        zones
    }
}

/// The ids of one column in one fragment's zones, as Bloom filters.
#[derive(Debug, Default)]
pub struct Ids {
    zones: Vec<Box<[u64]>>,
}

impl Ids {
    /// Adds the ids of the next zone.
    pub fn push(&mut self, ids: &ArrayRef) {
        let mut bits = vec![0_u64; ID_BITS / 64].into_boxed_slice();
        for hash in hashes(ids) {
            places(hash).for_each(|place| bits[place / 64] |= 1 << (place % 64));
        }
        self.zones.push(bits);
    }

    fn may_hold(&self, zone: usize, hashes: &[u64]) -> bool {
        let bits = &self.zones[zone];
        hashes.iter().any(|hash| places(*hash).all(|place| bits[place / 64] & (1 << (place % 64)) != 0))
    }
}

fn hashes(ids: &ArrayRef) -> Vec<u64> {
    let mut hashes = vec![0; ids.len()];
    // A type that cannot be hashed would be found by the first test of a table that indexes it.
    create_hashes([ids], &HASHING, &mut hashes).expect("ids are text, numbers or bytes");
    hashes
}

fn places(hash: u64) -> impl Iterator<Item = usize> {
    let step = (hash >> 32) | 1;
    (0..BITS_AN_ID as u64).map(move |at| (hash.wrapping_add(at.wrapping_mul(step)) % ID_BITS as u64) as usize)
}

/// What is known of one fragment's zones, as DataFusion's pruning reads it.
#[derive(Debug, Default)]
pub struct Zones {
    /// Zones of the fragment.
    pub count: usize,
    /// Name and type of the time column, and its times.
    pub times: Option<(&'static str, DataType, Arc<Times>)>,
    /// Name and type of columns of ids.
    pub ids: Vec<(&'static str, DataType, Arc<Ids>)>,
}

impl Zones {
    fn bounds(&self, column: &Column, bound: impl Fn(&(i64, i64)) -> i64) -> Option<ArrayRef> {
        let (_, kind, times) = self.times.as_ref().filter(|(name, ..)| *name == column.name)?;
        let bounds: Int64Array = times.bounds.iter().map(|times| times.as_ref().map(&bound)).collect();
        cast(&bounds, kind).ok()
    }
}

impl PruningStatistics for Zones {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |(earliest, _)| *earliest)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |(_, latest)| *latest)
    }

    fn num_containers(&self) -> usize {
        self.count
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let (.., times) = self.times.as_ref().filter(|(name, ..)| *name == column.name)?;
        Some(Arc::new(UInt64Array::from(times.nulls.clone())))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let (.., times) = self.times.as_ref()?;
        Some(Arc::new(UInt64Array::from(times.rows.clone())))
    }

    #[allow(clippy::mutable_key_type)] // The trait's own signature.
    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let (_, kind, ids) = self.ids.iter().find(|(name, ..)| *name == column.name)?;
        let arrays = values.iter().map(|value| value.cast_to(kind)?.to_array());
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_, _>>().ok()?;
        let wanted: Vec<u64> = arrays.iter().flat_map(hashes).collect();
        Some((0..self.count).map(|zone| (!ids.may_hold(zone, &wanted)).then_some(false)).collect())
    }
}

/// What is known of one fragment.
#[derive(Debug, Default)]
pub struct Known {
    times: Option<Arc<Times>>,
    ids: HashMap<&'static str, Arc<Ids>>,
    owners: Option<Arc<Owners>>,
    /// Held by who reads what is not known yet.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Known {
    /// All that can be known of a fragment with these rows.
    pub fn of(table: &Table, rows: &[RecordBatch]) -> Known {
        let mut times = Times::default();
        let mut known = Known::default();
        if each_zone(rows, &[table.time], |zone| times.push(zone.column(0))) {
            known.times = Some(Arc::new(times));
        }
        let mut owners = Owners::default();
        if table.key.is_empty() && each_zone(rows, &Owners::columns(table), |zone| owners.push(table, &zone)) {
            known.owners = Some(Arc::new(owners));
        }
        for Index::BTree(column) in table.indexes {
            let mut ids = Ids::default();
            if each_zone(rows, &[column], |zone| ids.push(zone.column(0))) {
                known.ids.insert(column, Arc::new(ids));
            }
        }
        known
    }
}

/// Hands columns over, zone by zone; answers whether every batch has them.
fn each_zone(rows: &[RecordBatch], columns: &[&str], mut take: impl FnMut(RecordBatch)) -> bool {
    let Some(first) = rows.first().map(RecordBatch::schema) else { return false };
    let places: Vec<usize> = columns.iter().filter_map(|column| first.index_of(column).ok()).collect();
    let parts: Vec<RecordBatch> = rows.iter().filter_map(|rows| rows.project(&places).ok()).collect();
    let complete = places.len() == columns.len() && parts.len() == rows.len();
    let Some(whole) = parts.first().filter(|_| complete).and_then(|part| concat_batches(&part.schema(), &parts).ok())
    else {
        return false;
    };
    (0..whole.num_rows()).step_by(ZONE_ROWS).for_each(|at| take(whole.slice(at, ZONE_ROWS.min(whole.num_rows() - at))));
    true
}

/// What is known of one table's fragments, by the fragment's id, which Lance never gives out again.
#[derive(Debug, Default)]
pub struct ZoneCache {
    known: Mutex<HashMap<u64, Known>>,
}

impl ZoneCache {
    /// The times of a fragment, if they were read before.
    pub fn times(&self, fragment: u64) -> Option<Arc<Times>> {
        self.known.lock().get(&fragment)?.times.clone()
    }

    /// The ids of a fragment's column, if they were read before.
    pub fn ids(&self, fragment: u64, column: &str) -> Option<Arc<Ids>> {
        self.known.lock().get(&fragment)?.ids.get(column).cloned()
    }

    /// Whose rows stand in a fragment, if that was read before.
    pub fn owners(&self, fragment: u64) -> Option<Arc<Owners>> {
        self.known.lock().get(&fragment)?.owners.clone()
    }

    /// Waits for the turn to read a fragment's columns: two partitions that share it must not both read them whole.
    pub async fn turn(&self, fragment: u64) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = self.known.lock().entry(fragment).or_default().turn.clone();
        turn.lock_owned().await
    }

    /// Keeps the times of a fragment.
    pub fn keep_times(&self, fragment: u64, times: Arc<Times>) {
        self.known.lock().entry(fragment).or_default().times = Some(times);
    }

    /// Keeps the ids of a fragment's column.
    pub fn keep_ids(&self, fragment: u64, column: &'static str, ids: Arc<Ids>) {
        self.known.lock().entry(fragment).or_default().ids.insert(column, ids);
    }

    /// Keeps whose rows stand in a fragment.
    pub fn keep_owners(&self, fragment: u64, owners: Arc<Owners>) {
        self.known.lock().entry(fragment).or_default().owners = Some(owners);
    }

    /// Keeps all that is known of a fragment.
    pub fn keep(&self, fragment: u64, known: Known) {
        self.known.lock().insert(fragment, known);
    }

    /// Forgets fragments that are gone.
    pub fn keep_only(&self, live: &HashSet<u64>) {
        self.known.lock().retain(|fragment, _| live.contains(fragment));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    fn ids(prefix: &str) -> ArrayRef {
        Arc::new((0..ZONE_ROWS).map(|n| Some(format!("{prefix}{n:032x}"))).collect::<StringArray>())
    }

    #[test]
    fn an_id_is_found_in_its_zone_and_seldom_elsewhere() {
        let mut zones = Ids::default();
        ["a", "b"].iter().for_each(|prefix| zones.push(&ids(prefix)));
        let wanted = hashes(&ids("a"));
        assert!(wanted.iter().all(|hash| zones.may_hold(0, &[*hash])));
        let in_vain = wanted.iter().filter(|hash| zones.may_hold(1, &[**hash])).count();
        assert!(in_vain < ZONE_ROWS / 200, "{in_vain} of {ZONE_ROWS}");
    }
}
