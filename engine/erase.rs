//! What an erasure takes out of the tables, as data: whose rows, which values, and what else goes with them.
//!
//! Rows of a table that only grows go. Where rows supersede each other, a row that went would bring an older one back: there
//! the value is masked and the row stays, unless the value is part of what tells rows apart. Rows that were derived from
//! others go, and are derived anew.

use std::collections::HashSet;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::facts::expire::{equals, text_columns};
use crate::needles::Needles;
use crate::table::Table;

/// What is to be erased.
#[derive(Debug, Clone)]
pub struct Order {
    /// Only this tenant's rows.
    pub tenant: Option<String>,
    /// The values.
    pub needles: Needles,
    /// Rows that go with others, whatever they say.
    pub also: Vec<Also>,
    /// Only these tables; empty for every one.
    pub tables: Vec<&'static str>,
}

/// Rows of a table that go because of a cell.
#[derive(Debug, Clone)]
pub struct Also {
    /// The table.
    pub table: &'static str,
    /// A column of text.
    pub column: &'static str,
    /// The cells.
    pub cells: HashSet<String>,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is.
    Stays,
    /// Values in it are masked.
    Masked,
    /// It goes.
    Goes,
}

/// What was found in a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// Whether it is declared to hold names or addresses of people.
    pub is_personal: bool,
    /// Rows that hold a value there.
    pub rows: u64,
    /// Of them, rows that go; the values of the others are masked.
    pub rows_deleted: u64,
}

/// What was done to a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedTable {
    /// The table.
    pub table: String,
    /// Rows that went.
    pub rows_deleted: u64,
    /// Rows whose values are masked now.
    pub rows_masked: u64,
    /// Fragments that were written anew.
    pub fragments: u64,
    /// Places in the log of the rows that went or were masked: first, and one behind the last. Neighbours are joined where
    /// they are too many to be listed.
    pub ranges: Vec<(u64, u64)>,
}

/// The fates of a batch's rows, and which columns hold a value where.
#[derive(Debug)]
pub struct Fates {
    /// Row by row.
    pub rows: Vec<Fate>,
    /// By the column's place, the rows that hold a value of the order's tenant.
    pub hits: Vec<(usize, Vec<bool>)>,
    /// Rows of other tenants that hold a value.
    pub elsewhere: u64,
}

impl Fates {
    /// Whether every row stays as it is.
    pub fn are_none(&self) -> bool {
        self.rows.iter().all(|fate| *fate == Fate::Stays)
    }
}

impl Order {
    /// Whether the order is about a table at all.
    pub fn wants(&self, table: &Table) -> bool {
        self.tables.is_empty() || self.tables.contains(&table.name)
    }

    /// The columns that decide about a row.
    pub fn columns(&self, table: &'static Table) -> Vec<&'static str> {
        let mut columns = text_columns(table);
        columns.extend(self.also.iter().filter(|also| also.table == table.name).map(|also| also.column));
        columns.push(table.tenant);
        columns.push(crate::table::SEQ);
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// What becomes of each row of a batch.
    pub fn fates(&self, table: &'static Table, batch: &RecordBatch) -> Result<Fates> {
        let mut fates = Fates { rows: vec![Fate::Stays; batch.num_rows()], hits: Vec::new(), elsewhere: 0 };
        let own = self.tenant.as_deref().map(|tenant| equals(batch.column_by_name(table.tenant), tenant));
        let is_own = |row: usize| own.as_ref().is_none_or(|own| own.value(row));
        let mut foreign = vec![false; batch.num_rows()];
        for (at, (field, column)) in batch.schema().fields().iter().zip(batch.columns()).enumerate() {
            let Some(mut hits) = self.needles.rows_of(column.as_ref()) else { continue };
            let fate = if goes_whole(table, field.name()) { Fate::Goes } else { Fate::Masked };
            for row in 0..hits.len() {
                foreign[row] |= hits[row] && !is_own(row);
                hits[row] &= is_own(row);
                if hits[row] && fates.rows[row] != Fate::Goes {
                    fates.rows[row] = fate;
                }
            }
            if hits.contains(&true) {
                fates.hits.push((at, hits));
            }
        }
        for also in self.also.iter().filter(|also| also.table == table.name) {
            let Some(column) = batch.column_by_name(also.column) else { continue };
            for row in rows_among(column, &also.cells).into_iter().filter(|row| is_own(*row)) {
                fates.rows[row] = Fate::Goes;
            }
        }
        fates.elsewhere = foreign.iter().filter(|hit| **hit).count() as u64;
        Ok(fates)
    }
}

/// Whether a row goes whose cell of this column holds a value.
fn goes_whole(table: &Table, column: &str) -> bool {
    let tells_apart = table.key.contains(&column)
        || table.set == Some(column)
        || table.version == Some(column)
        || table.tenant == column;
    !table.supersedes() || table.derived || tells_apart
}

/// The rows of a column of text or whole numbers whose cell is among these.
fn rows_among(column: &arrow::array::ArrayRef, cells: &HashSet<String>) -> Vec<usize> {
    if column.data_type() == &DataType::Int64 {
        let numbers = column.as_primitive::<Int64Type>();
        let is_among = |row: &usize| numbers.is_valid(*row) && cells.contains(&numbers.value(*row).to_string());
        return (0..numbers.len()).filter(is_among).collect();
    }
    let Ok(plain) = cast(column, &DataType::Utf8) else { return Vec::new() };
    let texts = plain.as_string::<i32>();
    (0..texts.len()).filter(|row| texts.is_valid(*row) && cells.contains(texts.value(*row))).collect()
}

/// Ranges that one list holds at most.
const RANGES_MAX: usize = 1_000;

/// Places as ranges. Where there are too many, the closest are joined: they then name places between that nothing was done to.
pub(crate) fn ranges(places: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for place in places {
        match ranges.last_mut().filter(|(_, end)| *end == place) {
            Some((_, end)) => *end += 1,
            None => ranges.push((place, place + 1)),
        }
    }
    if ranges.len() > RANGES_MAX {
        let mut gaps: Vec<u64> = ranges.windows(2).map(|pair| pair[1].0 - pair[0].1).collect();
        gaps.sort_unstable();
        let joined = gaps[gaps.len() - RANGES_MAX];
        let mut fewer: Vec<(u64, u64)> = Vec::new();
        for (from, to) in ranges {
            match fewer.last_mut().filter(|(_, end)| from - *end <= joined) {
                Some((_, end)) => *end = to,
                None => fewer.push((from, to)),
            }
        }
        return fewer;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_become_ranges_and_never_too_many() {
        assert_eq!(ranges([1, 2, 3, 7, 9, 10].into_iter()), [(1, 4), (7, 8), (9, 11)]);
        let many = ranges((0..100_000).map(|n| n * 3 + n % 2));
        assert!(many.len() <= RANGES_MAX, "{}", many.len());
        assert!(many.iter().zip(many.iter().skip(1)).all(|(a, b)| a.1 < b.0));
    }
}
