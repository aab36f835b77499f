//! Rows past their time go. Where a whole fragment is past it for every tenant and nothing is held, the fragment goes with
//! one commit and nobody reads it; elsewhere rows are deleted by a predicate.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::logical_expr::{Expr, col, ident, lit};
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use lance::Dataset;
use lance::dataset::CommitBuilder;
use lance::dataset::transaction::{Operation, TransactionBuilder};
use lance_table::format::Fragment;

use super::current::seqs;
use super::floor::{Floor, Note};
use super::maintain::DELETE_ROWS;
use super::{Facts, lance_error};
use crate::error::Result;
use crate::fault::{Point, reached};
use crate::keep::{Due, Expired, Kept};
use crate::needles::Needles;
use crate::table::{SEQ, Table, Type};

/// The times of a fragment's rows, in the column's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Earliest and latest; `None` where no row has one.
    bounds: Option<(i64, i64)>,
    nulls: u64,
}

/// What is past its time in a table.
struct Past {
    /// Rows that go, as far as a predicate can say; those about a held subject are among them.
    filter: Expr,
    /// Subjects that are held, with their tenant.
    held: Vec<(Option<String>, Needles)>,
    /// Rows of every tenant before this time go, in the column's unit.
    of_all: Option<i64>,
    /// No row at or after this time goes.
    latest: i64,
    latest_us: i64,
}

fn kind(table: &Table) -> Type {
    table.columns.iter().find(|column| column.name == table.time).map_or(Type::Time, |column| column.kind)
}

/// A time in the unit of the table's time column.
fn in_unit(table: &Table, us: i64) -> i64 {
    if kind(table) == Type::TimeNs { us.saturating_mul(1000) } else { us }
}

fn before(table: &Table, us: i64) -> Expr {
    let zone = Some("UTC".into());
    let at = match kind(table) {
        Type::TimeNs => ScalarValue::TimestampNanosecond(Some(us.saturating_mul(1000)), zone),
        _ => ScalarValue::TimestampMicrosecond(Some(us), zone),
    };
    ident(table.time).lt(lit(at))
}

fn cutoff(now_us: i64, keep: Duration) -> i64 {
    now_us.saturating_sub(i64::try_from(keep.as_micros()).unwrap_or(i64::MAX))
}

/// `None` where nothing can be past its time.
fn past(table: &Table, kept: &Kept, now_us: i64) -> Option<Past> {
    let whole: Vec<&Option<String>> =
        kept.holds.iter().filter(|hold| hold.subject.is_none()).map(|hold| &hold.tenant).collect();
    if whole.iter().any(|tenant| tenant.is_none()) {
        return None;
    }
    let held: BTreeSet<&str> = whole.into_iter().flatten().map(String::as_str).collect();
    let of = |tenant: &str| ident(table.tenant).eq(lit(tenant));
    let mut parts: Vec<Expr> = Vec::new();
    let mut latest_us = i64::MIN;
    for (tenant, keep) in kept.times() {
        let at = cutoff(now_us, keep);
        let part = match tenant {
            Some(tenant) if held.contains(tenant) => continue,
            Some(tenant) => of(tenant).and(before(table, at)),
            None => {
                let named: BTreeSet<&str> =
                    kept.tenants.keys().map(String::as_str).chain(held.iter().copied()).collect();
                named
                    .into_iter()
                    .fold(before(table, at), |all, tenant| all.and(ident(table.tenant).not_eq(lit(tenant))))
            }
        };
        latest_us = latest_us.max(at);
        parts.push(part);
    }
    let filter = parts.into_iter().reduce(Expr::or)?;
    let same_for_all = kept.holds.is_empty() && kept.others.is_some() && kept.tenants.values().all(Option::is_some);
    let longest = kept.times().map(|(_, keep)| keep).max().filter(|_| same_for_all);
    let subjects = kept.holds.iter().filter_map(|hold| Some((hold.tenant.clone(), hold.subject.clone()?)));
    Some(Past {
        filter,
        held: subjects.collect(),
        of_all: longest.map(|keep| in_unit(table, cutoff(now_us, keep))),
        latest: in_unit(table, latest_us),
        latest_us,
    })
}

impl Facts {
    /// Deletes rows past their time; answers what went, if anything did.
    pub(super) async fn expire(&self, kept: &Kept, now_us: i64, next: u64) -> Result<Option<Expired>> {
        let Some(past) = past(self.table, kept, now_us) else { return Ok(None) };
        let dataset = self.snapshot().dataset;
        let spans = self.spans(&dataset).await?;
        let span = |fragment: &Fragment| spans.get(&fragment.id).copied();
        let is_whole = |fragment: &&Fragment| {
            let span = span(fragment).filter(|span| span.nulls == 0).and_then(|span| span.bounds);
            span.zip(past.of_all).is_some_and(|((_, latest), before)| latest < before)
        };
        let (whole, others): (Vec<&Fragment>, Vec<&Fragment>) = dataset.fragments().iter().partition(is_whole);
        let may = |fragment: &&&Fragment| {
            span(fragment).is_none_or(|span| span.bounds.is_some_and(|(earliest, _)| earliest < past.latest))
        };
        let others: Vec<Fragment> = others.iter().filter(may).map(|fragment| (*fragment).clone()).collect();
        let seqs = match past.held.is_empty() || others.is_empty() {
            true => None,
            false => Some(self.past_and_free(&dataset, &others, &past).await?),
        };
        let rest = match &seqs {
            Some(seqs) => seqs.len() as u64,
            None if others.is_empty() => 0,
            None => self.count(past.filter.clone(), Some(others)).await?,
        };
        // Counting first keeps a round without work free of commits.
        if whole.is_empty() && rest == 0 {
            return Ok(None);
        }
        self.note_floors(&self.retention_floors(kept, now_us, next).await?).await?;
        let in_whole = self.drop_whole(&whole).await?;
        let mut rows = in_whole;
        match seqs {
            _ if rest == 0 => {}
            None => rows += self.delete(past.filter).await?,
            Some(seqs) => {
                for part in seqs.chunks(DELETE_ROWS) {
                    let list = part.iter().map(|seq| lit(*seq)).collect();
                    rows += self.delete(col(SEQ).in_list(list, false)).await?;
                }
            }
        }
        let table = self.table.name;
        Ok(Some(Expired { table, rows, rows_in_whole_fragments: in_whole, before_us: past.latest_us }))
    }

    /// The fragments go with one commit; nobody reads them.
    async fn drop_whole(&self, fragments: &[&Fragment]) -> Result<u64> {
        if fragments.is_empty() {
            return Ok(0);
        }
        let rows: u64 = fragments.iter().map(|fragment| fragment.num_rows().unwrap_or(0) as u64).sum();
        let ids = fragments.iter().map(|fragment| fragment.id).collect();
        let predicate = format!("{} is past its retention", self.table.time);
        let operation = Operation::Delete { updated_fragments: Vec::new(), deleted_fragment_ids: ids, predicate };
        let _turn = self.turn_to_commit().await?;
        let dataset = self.snapshot().dataset;
        let transaction = TransactionBuilder::new(dataset.version_id(), operation).build();
        let committed = CommitBuilder::new(dataset).execute(transaction).await;
        let committed = committed.map_err(|e| self.doubt(&self.doing("drop fragments of"), e))?;
        reached(Point::DeleteCommitted);
        self.put_in_place(Arc::new(committed));
        Ok(rows)
    }

    /// The places of rows that are past their time and about no held subject.
    async fn past_and_free(&self, dataset: &Arc<Dataset>, fragments: &[Fragment], past: &Past) -> Result<Vec<i64>> {
        let doing = || self.doing("look for held rows of");
        let mut scan = dataset.scan();
        let mut columns = text_columns(self.table);
        columns.push(SEQ);
        scan.with_fragments(fragments.to_vec()).project(&columns).map_err(lance_error(doing()))?;
        scan.filter_expr(past.filter.clone());
        let mut rows = scan.try_into_stream().await.map_err(lance_error(doing()))?;
        let mut free = Vec::new();
        while let Some(batch) = rows.try_next().await.map_err(lance_error(doing()))? {
            let mut held = vec![false; batch.num_rows()];
            for (tenant, subject) in &past.held {
                let own = tenant.as_deref().map(|tenant| equals(batch.column_by_name(self.table.tenant), tenant));
                for hits in batch.columns().iter().filter_map(|column| subject.rows_of(column.as_ref())) {
                    for (row, hit) in hits.iter().enumerate() {
                        held[row] |= *hit && own.as_ref().is_none_or(|own| own.value(row));
                    }
                }
            }
            let places = seqs(&batch)?.values().iter().zip(held);
            free.extend(places.filter(|(_, held)| !held).map(|(seq, _)| *seq));
        }
        Ok(free)
    }

    async fn retention_floors(&self, kept: &Kept, now_us: i64, next: u64) -> Result<Vec<Note>> {
        let mut notes = Vec::new();
        for (tenant, keep) in kept.times() {
            let us = cutoff(now_us, keep);
            let seq = self.first_seq_since(us, next).await?;
            notes.push(Note { floor: Floor::Retention, tenant: tenant.map(str::to_owned), seq, us });
        }
        // A tenant that keeps everything says so: that of the others does not count for it.
        let forever = kept.tenants.iter().filter(|(_, keep)| keep.is_none());
        let of = |tenant: &String| Note { floor: Floor::Retention, tenant: Some(tenant.clone()), seq: 0, us: 0 };
        notes.extend(forever.map(|(tenant, _)| of(tenant)));
        Ok(notes)
    }

    /// The times of every fragment. A fragment's rows never change, and only get fewer.
    async fn spans(&self, dataset: &Arc<Dataset>) -> Result<HashMap<u64, Span>> {
        let zones = self.snapshot().zones;
        let mut spans = self.spans.lock().clone();
        let live: BTreeSet<u64> = dataset.fragments().iter().map(|fragment| fragment.id).collect();
        spans.retain(|id, _| live.contains(id));
        for fragment in dataset.fragments().iter() {
            if spans.contains_key(&fragment.id) {
                continue;
            }
            let span = match zones.times(fragment.id) {
                Some(times) => {
                    let (bounds, nulls) = times.span();
                    Span { bounds, nulls }
                }
                None => self.read_span(dataset, fragment).await?,
            };
            spans.insert(fragment.id, span);
        }
        self.spans.lock().clone_from(&spans);
        Ok(spans)
    }

    async fn read_span(&self, dataset: &Arc<Dataset>, fragment: &Fragment) -> Result<Span> {
        let doing = || self.doing("read the times of");
        let mut scan = dataset.scan();
        scan.with_fragments(vec![fragment.clone()]).project(&[self.table.time]).map_err(lance_error(doing()))?;
        let mut rows = scan.try_into_stream().await.map_err(lance_error(doing()))?;
        let mut span = Span { bounds: None, nulls: 0 };
        while let Some(batch) = rows.try_next().await.map_err(lance_error(doing()))? {
            // A timestamp is a 64-bit integer in its unit; reading it as one cannot fail.
            let times = cast(batch.column(0), &DataType::Int64).expect("a timestamp reads as an integer");
            let times = times.as_primitive::<Int64Type>();
            span.nulls += times.null_count() as u64;
            let here = min(times).zip(max(times));
            span.bounds = match (span.bounds, here) {
                (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
                (a, b) => a.or(b),
            };
        }
        Ok(span)
    }

    /// How much is past its time, of what is flushed.
    pub async fn due(&self, kept: &Kept, now_us: i64) -> Result<Due> {
        let dataset = self.snapshot().dataset;
        let rows: u64 = dataset.fragments().iter().map(|fragment| fragment.num_rows().unwrap_or(0) as u64).sum();
        let files = dataset.fragments().iter().flat_map(|fragment| &fragment.files);
        let size_bytes: u64 = files.filter_map(|file| file.file_size_bytes.get()).map(|bytes| bytes.get()).sum();
        let mut due = Due { rows, size_bytes, ..Due::default() };
        let Some(all) = past(self.table, &kept.without_holds(), now_us).filter(|_| rows > 0) else { return Ok(due) };
        let all = self.count(all.filter, None).await?;
        if all > 0 {
            due.due_rows = match past(self.table, kept, now_us) {
                None => 0,
                Some(past) if past.held.is_empty() => self.count(past.filter, None).await?,
                Some(past) => {
                    let fragments = dataset.fragments().as_ref().clone();
                    self.past_and_free(&dataset, &fragments, &past).await?.len() as u64
                }
            };
        }
        due.held_rows = all.saturating_sub(due.due_rows);
        due.due_bytes = (u128::from(size_bytes) * u128::from(due.due_rows) / u128::from(rows.max(1))) as u64;
        Ok(due)
    }

    /// Rows that a predicate names, in these fragments or in all.
    pub(super) async fn count(&self, filter: Expr, fragments: Option<Vec<Fragment>>) -> Result<u64> {
        let dataset = self.snapshot().dataset;
        let mut scan = dataset.scan();
        if let Some(fragments) = fragments {
            scan.with_fragments(fragments);
        }
        scan.empty_project().map_err(lance_error(self.doing("count rows of")))?;
        scan.filter_expr(filter).with_row_id();
        scan.count_rows().await.map_err(lance_error(self.doing("count rows of")))
    }
}

/// Columns that hold texts or bytes, the store's own among them.
pub(crate) fn text_columns(table: &'static Table) -> Vec<&'static str> {
    let is_text = |kind: Type| matches!(kind, Type::Name | Type::Text | Type::Json | Type::Bytes);
    let declared = table.columns.iter().filter(|column| is_text(column.kind)).map(|column| column.name);
    declared.chain([table.source]).collect()
}

/// Which rows of a column hold exactly this text.
pub(crate) fn equals(column: Option<&arrow::array::ArrayRef>, text: &str) -> BooleanArray {
    let Some(plain) = column.and_then(|column| cast(column, &DataType::Utf8).ok()) else {
        return BooleanArray::from(Vec::<bool>::new());
    };
    let cells = plain.as_string::<i32>();
    (0..cells.len()).map(|row| Some(cells.is_valid(row) && cells.value(row) == text)).collect()
}
