//! Columns that were read lately, decoded. Most of a question's time goes into unpacking columns that the question before
//! it has unpacked, too; fragments never change, so what was unpacked stays right for as long as the fragment lives.
//!
//! What is kept is a column of a fragment, zone by zone. When the room is taken, a column that is asked for more often
//! takes the place of the one that is asked for least; one that is asked for just as often does not, so that a table larger
//! than the room keeps the same part of itself instead of driving itself out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int32Type};
use parking_lot::Mutex;

/// After so many zones that were asked for all counts are halved, so that what was asked for long ago gives way: some twenty
/// questions over three columns of ten million rows.
const ASKED_UNTIL_HALVED: u32 = 1 << 16;
/// A zone with longer cells, half a KiB each on average, is not kept: the room is for what many questions read.
const ZONE_BYTES_MAX: usize = 4 << 20;
/// What a zone costs beside its cells.
const ZONE_BYTES: usize = 128;

/// A column by the number of its table and its field.
type Field = (u32, i32);

/// The decoded columns of all tables of a store.
#[derive(Debug, Clone)]
pub struct Columns {
    inner: Arc<Mutex<Inner>>,
    tables: Arc<AtomicU32>,
}

#[derive(Debug)]
struct Inner {
    bytes_max: usize,
    bytes: usize,
    kept: HashMap<(Field, u64), Column>,
    /// How many zones of each column were asked for lately.
    asked: HashMap<Field, u32>,
    /// How many of all since the counts were halved.
    since: u32,
    /// Until the next read nothing is asked for less often than so many times: a scan need not look for every zone.
    least: Option<u32>,
}

/// A column of one fragment.
#[derive(Debug, Default)]
struct Column {
    zones: Vec<Option<ArrayRef>>,
    bytes: usize,
}

impl Columns {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Columns {
        let inner = Inner { bytes_max, bytes: 0, kept: HashMap::new(), asked: HashMap::new(), since: 0, least: None };
        Columns { inner: Arc::new(Mutex::new(inner)), tables: Arc::default() }
    }

    /// A part of it for one table more.
    pub fn of_table(&self) -> TableColumns {
        TableColumns { columns: self.clone(), table: self.tables.fetch_add(1, Ordering::Relaxed) }
    }

    /// Bytes that are kept now.
    pub fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }
}

/// The decoded columns of one table.
#[derive(Debug, Clone)]
pub struct TableColumns {
    columns: Columns,
    table: u32,
}

impl TableColumns {
    /// A column's zones in one fragment, if all of them are kept. Counts as a read of the column.
    pub fn get(&self, fragment: u64, field: i32, zones: &[usize]) -> Option<Vec<ArrayRef>> {
        let mut inner = self.columns.inner.lock();
        inner.ask((self.table, field), zones.len());
        inner.zones(((self.table, field), fragment), zones)
    }

    /// Whether all of these zones are kept.
    pub fn has(&self, fragment: u64, field: i32, zones: &[usize]) -> bool {
        self.columns.inner.lock().zones(((self.table, field), fragment), zones).is_some()
    }

    /// Keeps a zone of a column, if there is room or something that is asked for less.
    pub fn keep(&self, fragment: u64, field: i32, zone: usize, cells: &ArrayRef) {
        let mut inner = self.columns.inner.lock();
        inner.keep(((self.table, field), fragment), zone, cells);
    }

    /// Forgets fragments that are gone.
    pub fn keep_only(&self, fragments: &HashSet<u64>) {
        let mut inner = self.columns.inner.lock();
        let mut freed = 0;
        inner.kept.retain(|((table, _), fragment), column| {
            let lives = *table != self.table || fragments.contains(fragment);
            freed += if lives { 0 } else { column.bytes };
            lives
        });
        inner.bytes -= freed;
    }
}

impl Inner {
    fn ask(&mut self, field: Field, zones: usize) {
        let zones = u32::try_from(zones).unwrap_or(u32::MAX);
        let count = self.asked.entry(field).or_insert(0);
        *count = count.saturating_add(zones);
        self.since = self.since.saturating_add(zones);
        self.least = None;
        if self.since >= ASKED_UNTIL_HALVED {
            self.since = 0;
            self.asked.retain(|_, count| {
                *count /= 2;
                *count > 0
            });
        }
    }

    fn asked(&self, field: Field) -> u32 {
        self.asked.get(&field).copied().unwrap_or(0)
    }

    fn zones(&self, place: (Field, u64), zones: &[usize]) -> Option<Vec<ArrayRef>> {
        let column = self.kept.get(&place)?;
        zones.iter().map(|zone| column.zones.get(*zone)?.clone()).collect()
    }

    fn keep(&mut self, place: (Field, u64), zone: usize, cells: &ArrayRef) {
        if self.kept.get(&place).is_some_and(|column| column.zones.get(zone).is_some_and(Option::is_some)) {
            return;
        }
        let before = zone.checked_sub(1).and_then(|before| self.kept.get(&place)?.zones.get(before)?.as_ref());
        let bytes = ZONE_BYTES + bytes_of(cells, before);
        if bytes > ZONE_BYTES_MAX {
            return;
        }
        while self.bytes + bytes > self.bytes_max {
            if !self.drop_one(place.0) {
                return;
            }
        }
        let column = self.kept.entry(place).or_default();
        if column.zones.len() <= zone {
            column.zones.resize(zone + 1, None);
        }
        column.zones[zone] = Some(cells.clone());
        column.bytes += bytes;
        self.bytes += bytes;
    }

    /// Drops a column that is asked for less often than `than`; answers whether there was one.
    fn drop_one(&mut self, than: Field) -> bool {
        let asked = self.asked(than);
        if self.least.is_some_and(|least| asked <= least) {
            return false;
        }
        let Some((least, place)) = self.kept.keys().map(|place| (self.asked(place.0), *place)).min() else {
            return false;
        };
        self.least = Some(least);
        if asked <= least {
            return false;
        }
        let dropped = self.kept.remove(&place).expect("it was found");
        self.bytes -= dropped.bytes;
        true
    }
}

/// What these cells hold in memory; names that the zone before holds as well are counted there.
fn bytes_of(cells: &ArrayRef, before: Option<&ArrayRef>) -> usize {
    match cells.data_type() {
        DataType::Dictionary(..) => {
            let same =
                cells.as_dictionary_opt::<Int32Type>().zip(before.and_then(|b| b.as_dictionary_opt::<Int32Type>()));
            match same.filter(|(cells, before)| cells.values().to_data().ptr_eq(&before.values().to_data())) {
                Some((cells, _)) => cells.keys().get_array_memory_size(),
                None => cells.get_array_memory_size(),
            }
        }
        _ => cells.get_array_memory_size(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    const CELLS: usize = 1_000;

    fn cells(first: i64) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(first..first + CELLS as i64))
    }

    fn room_for(zones: usize) -> Columns {
        Columns::new(zones * (cells(0).get_array_memory_size() + ZONE_BYTES))
    }

    #[test]
    fn what_is_kept_is_found_until_its_fragment_is_gone() {
        let columns = room_for(10);
        let (one, other) = (columns.of_table(), columns.of_table());
        one.keep(7, 1, 0, &cells(0));
        one.keep(7, 1, 2, &cells(2));
        assert_eq!(one.get(7, 1, &[0, 2]).unwrap()[1].as_ref(), cells(2).as_ref());
        assert!(one.get(7, 1, &[0, 1, 2]).is_none(), "one of them was never read");
        assert!(one.get(7, 2, &[0]).is_none() && one.get(8, 1, &[0]).is_none() && other.get(7, 1, &[0]).is_none());
        other.keep_only(&HashSet::new());
        assert!(one.has(7, 1, &[0]), "another table's fragments");
        one.keep_only(&HashSet::from([8]));
        assert!(!one.has(7, 1, &[0]));
        assert_eq!(columns.bytes(), 0);
    }

    #[test]
    fn what_is_asked_for_more_takes_the_place_of_what_is_asked_for_less() {
        let columns = room_for(2);
        let table = columns.of_table();
        let read = |field: i32, fragment: u64| {
            let found = table.get(fragment, field, &[0]).is_some();
            table.keep(fragment, field, 0, &cells(0));
            found
        };
        assert!(!read(1, 1) && !read(1, 2));
        assert!(!read(2, 1) && !read(2, 1), "asked for no more often, it finds no room");
        assert!(read(1, 1) && read(1, 2), "and drives nothing out");
        (0..4).for_each(|_| {
            read(2, 1);
        });
        assert!(table.has(1, 2, &[0]), "asked for more often, it does");
        assert_eq!(columns.bytes(), columns.inner.lock().bytes_max);
    }

    #[test]
    fn counts_fade() {
        let columns = room_for(1);
        let table = columns.of_table();
        (0..100).for_each(|_| drop(table.get(1, 1, &[0])));
        (0..ASKED_UNTIL_HALVED * 8).for_each(|_| drop(table.get(1, 2, &[0])));
        assert_eq!(columns.inner.lock().asked((0, 1)), 0);
    }

    #[test]
    fn what_is_too_much_is_never_kept() {
        let keeps = |columns: Columns, cells: &ArrayRef| {
            let table = columns.of_table();
            drop(table.get(1, 1, &[0]));
            table.keep(1, 1, 0, cells);
            table.has(1, 1, &[0])
        };
        assert!(!keeps(Columns::new(CELLS), &cells(0)));
        let long: ArrayRef = Arc::new(Int64Array::from(vec![0; ZONE_BYTES_MAX / 8]));
        assert!(!keeps(Columns::new(usize::MAX), &long));
        assert!(keeps(Columns::new(usize::MAX), &cells(0)));
    }
}
