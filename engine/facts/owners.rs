//! Whose rows stand in each zone of a fragment, and behind which mark of which set: so that a question over rows that all
//! are the asker's and current does not read the four columns that say so, and one over others reads nothing.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, DictionaryArray, Int8Array, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};

use super::current::Marks;
use crate::scope::Tenants;
use crate::table::{OP, SEQ, Table, Type};

/// Owners of one zone at most; where more rows lie in a mixture, the rows themselves are looked at.
const OWNERS_MAX: usize = 64;

/// A tenant and, in a table with sets, a set.
type Owner = (Option<Arc<str>>, Option<Arc<str>>);

/// Whose rows stand in the zones of one fragment.
#[derive(Debug, Default)]
pub struct Owners {
    /// `None` where the rows must be looked at: marks and deletes among them, or too many owners.
    zones: Vec<Option<Box<[Owned]>>>,
}

/// Rows of one owner in one zone.
#[derive(Debug)]
struct Owned {
    owner: Owner,
    first_seq: i64,
    last_seq: i64,
}

/// What a zone shows of its rows, before the asker's filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    All,
    Nothing,
    /// That depends on the row.
    Some,
}

impl Owners {
    /// The stored columns that tell it.
    pub fn columns(table: &Table) -> Vec<&'static str> {
        match table.set {
            Some(set) => vec![table.tenant, set, SEQ, OP],
            None => vec![table.tenant],
        }
    }

    /// Adds the rows of the next zone, which have [`Owners::columns`].
    pub fn push(&mut self, table: &Table, rows: &RecordBatch) {
        self.zones.push(owned(table, rows).map(Vec::into_boxed_slice));
    }

    /// What a zone shows to somebody who may see these tenants, where the newest marks of sets are known.
    pub fn shows(&self, zone: usize, tenants: &Tenants, marks: Option<&Marks>) -> Shows {
        let Some(Some(owned)) = self.zones.get(zone) else { return Shows::Some };
        let mut shown = owned.iter().map(|owned| owned.shown(tenants, marks));
        let Some(first) = shown.next() else { return Shows::Nothing };
        shown.fold(first, |all, one| if all == one { all } else { Shows::Some })
    }
}

impl Owned {
    fn shown(&self, tenants: &Tenants, marks: Option<&Marks>) -> Shows {
        let (tenant, set) = &self.owner;
        let mine = tenant.as_ref().map_or(*tenants == Tenants::All, |tenant| tenants.covers(tenant));
        if !mine {
            return Shows::Nothing;
        }
        let marked = marks.and_then(|marks| marks.get(tenant.as_deref()?)?.get(set.as_deref()?));
        let mark = marked.map_or(i64::MIN, |mark| i64::try_from(*mark).unwrap_or(i64::MAX));
        match (self.first_seq >= mark, self.last_seq >= mark) {
            (true, true) => Shows::All,
            (false, false) => Shows::Nothing,
            _ => Shows::Some,
        }
    }
}

/// `None` is also the answer to what cannot be read: the rows are looked at, and will say why.
fn owned(table: &Table, rows: &RecordBatch) -> Option<Vec<Owned>> {
    let tenants = names(rows, table.tenant)?;
    let (sets, seqs) = match table.set {
        Some(set) => {
            let ops = rows.column_by_name(OP)?.as_any().downcast_ref::<Int8Array>()?;
            if ops.null_count() < ops.len() {
                return None;
            }
            let seqs = rows.column_by_name(SEQ)?.as_any().downcast_ref::<Int64Array>()?;
            (Some(names(rows, set)?), Some(seqs))
        }
        None => (None, None),
    };
    let mut owned: Vec<Owned> = Vec::new();
    // The place of the last row's pair of keys: neighbours mostly are of one owner.
    let mut last: Option<((Option<usize>, Option<usize>), usize)> = None;
    let mut places: HashMap<(Option<usize>, Option<usize>), usize> = HashMap::new();
    for row in 0..rows.num_rows() {
        let pair = (tenants.key(row), sets.as_ref().and_then(|sets| sets.key(row)));
        let place = match last.filter(|(same, _)| *same == pair) {
            Some((_, place)) => place,
            None => match places.get(&pair) {
                Some(place) => *place,
                None => {
                    if owned.len() == OWNERS_MAX {
                        return None;
                    }
                    let owner = (text(&tenants, row), sets.as_ref().and_then(|sets| text(sets, row)));
                    owned.push(Owned { owner, first_seq: i64::MAX, last_seq: i64::MIN });
                    places.insert(pair, owned.len() - 1);
                    owned.len() - 1
                }
            },
        };
        last = Some((pair, place));
        let seq = seqs.map_or(0, |seqs| seqs.value(row));
        let entry = &mut owned[place];
        (entry.first_seq, entry.last_seq) = (entry.first_seq.min(seq), entry.last_seq.max(seq));
    }
    Some(owned)
}

fn names(rows: &RecordBatch, column: &str) -> Option<DictionaryArray<Int32Type>> {
    let column = cast(rows.column_by_name(column)?, &Type::Name.arrow()).ok()?;
    let names = column.as_dictionary_opt::<Int32Type>()?;
    (*names.values().data_type() == DataType::Utf8).then(|| names.clone())
}

fn text(names: &DictionaryArray<Int32Type>, row: usize) -> Option<Arc<str>> {
    let key = names.key(row)?;
    let values = names.values().as_string::<i32>();
    values.is_valid(key).then(|| values.value(key).into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::iter::repeat_n;

    use arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::table::{Column, OP_REPLACE};

    static SETS: Table = Table {
        set: Some("month"),
        ..Table::new(
            "bill",
            "Bills.",
            &[
                Column::new("tenant", Type::Name, "Tenant.").required(),
                Column::new("month", Type::Name, "Month.").required(),
            ],
        )
    };

    fn zone(rows: &[(Option<&str>, &str, i64, Option<i8>)]) -> RecordBatch {
        let column = |texts: Vec<Option<&str>>| texts.into_iter().collect::<DictionaryArray<Int32Type>>();
        let tenants = column(rows.iter().map(|row| row.0).collect());
        let sets = column(rows.iter().map(|row| Some(row.1)).collect());
        let seqs: Int64Array = rows.iter().map(|row| Some(row.2)).collect();
        let ops: Int8Array = rows.iter().map(|row| row.3).collect();
        let fields = [SETS.tenant, SETS.set.unwrap(), SEQ, OP];
        let columns: Vec<arrow::array::ArrayRef> =
            vec![Arc::new(tenants), Arc::new(sets), Arc::new(seqs), Arc::new(ops)];
        let fields =
            fields.iter().zip(&columns).map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
        RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).unwrap()
    }

    fn marks(of: &[(&str, &str, u64)]) -> Marks {
        let mut marks = Marks::new();
        for (tenant, set, seq) in of {
            marks.entry((*tenant).to_owned()).or_default().insert((*set).to_owned(), *seq);
        }
        marks
    }

    #[test]
    fn a_zone_shows_what_is_the_askers_and_behind_its_mark() {
        let mut owners = Owners::default();
        let (a, b) = (Some("a"), Some("b"));
        owners.push(&SETS, &zone(&[(a, "june", 10, None), (a, "june", 11, None)]));
        owners.push(&SETS, &zone(&[(a, "june", 12, None), (b, "june", 13, None)]));
        owners.push(&SETS, &zone(&[(a, "june", 14, Some(OP_REPLACE)), (a, "june", 15, None)]));
        owners.push(&SETS, &zone(&[(None, "june", 16, None)]));
        let (one, none) = (Tenants::One("a".into()), marks(&[]));
        let seen = |tenants: &Tenants, marks: &Marks| -> Vec<Shows> {
            (0..5).map(|zone| owners.shows(zone, tenants, Some(marks))).collect()
        };
        use Shows::{All, Nothing, Some as Rows};
        assert_eq!(seen(&Tenants::All, &none), [All, All, Rows, All, Rows]);
        assert_eq!(seen(&one, &none), [All, Rows, Rows, Nothing, Rows]);
        assert_eq!(seen(&Tenants::One("c".into()), &none), [Nothing, Nothing, Rows, Nothing, Rows]);
        assert_eq!(seen(&one, &marks(&[("a", "june", 11)]))[0], Rows, "the mark stands between the rows");
        assert_eq!(seen(&one, &marks(&[("a", "june", 12)]))[0], Nothing, "the mark stands behind the rows");
        assert_eq!(seen(&one, &marks(&[("a", "july", 12), ("b", "june", 12)]))[0], All, "other sets' marks");
        assert_eq!(owners.shows(1, &Tenants::One("b".into()), None), Rows);
    }

    #[test]
    fn a_mixture_of_many_is_not_remembered() {
        let names: Vec<String> = (0..=OWNERS_MAX).map(|n| format!("tenant {n}")).collect();
        let rows: Vec<_> =
            names.iter().zip(repeat_n("june", names.len())).map(|(t, s)| (Some(t.as_str()), s, 1, None)).collect();
        let mut owners = Owners::default();
        owners.push(&SETS, &zone(&rows));
        owners.push(&SETS, &zone(&rows[1..]));
        let seen: Vec<Shows> = (0..2).map(|zone| owners.shows(zone, &Tenants::All, None)).collect();
        assert_eq!(seen, [Shows::Some, Shows::All]);
    }
}
