//! Which rows are current. A keyed table shows the newest row per key (a delete wins and is not shown); a table with a
//! set column shows the rows behind the newest mark of their set. Both are decided by `_seq`, behind the version where a
//! table has one, and from all rows, so that any filter may run below without changing the answer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, DictionaryArray, Int8Array, Int64Array, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};
use lance::Dataset;
use parking_lot::Mutex;
use roaring::RoaringTreemap;
use sha2::{Digest, Sha256};

use super::Snapshot;
use crate::error::{Error, Result};
use crate::scope::Tenants;
use crate::table::{OP, OP_DELETE, OP_REPLACE, SEQ, Table, Type};

type KeyHash = [u8; 16];

/// What makes one row of a key newer than another: its version, then its `_seq`. Without a version column it is 0.
type Age = (i64, u64);

/// Newest mark per tenant and set: like a key, a set is one within its tenant.
pub type Marks = HashMap<String, HashMap<String, u64>>;

/// How far back a question looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Everything acknowledged.
    Now,
    /// Rows up to and with this `_seq`.
    Seq(u64),
    /// Rows acknowledged up to and with this time, µs.
    Time(i64),
}

/// What is current among the flushed rows of a table.
#[derive(Debug, Clone, Default)]
pub enum Base {
    /// Rows are only ever added.
    #[default]
    Every,
    Keyed(Arc<Keyed>),
    /// Newest mark per tenant and set.
    Sets(Arc<Marks>),
}

/// What rows mean for [`Base`], worked out before their commit.
#[derive(Debug, Default)]
pub struct Additions {
    /// Key, version and `_seq`, whether the row deletes its key.
    keys: Vec<(KeyHash, Age, bool)>,
    marks: Marks,
}

/// Newest row per key.
#[derive(Debug, Clone, Default)]
pub struct Keyed {
    newest: HashMap<KeyHash, (Age, bool)>,
    /// `_seq` of every current row.
    live: RoaringTreemap,
}

impl Keyed {
    /// Whether the row at this place is its key's newest, and no delete.
    pub fn is_live(&self, seq: u64) -> bool {
        self.live.contains(seq)
    }

    fn add(&mut self, key: KeyHash, age: Age, delete: bool) {
        let entry = self.newest.entry(key).or_insert(((i64::MIN, 0), true));
        if age < entry.0 {
            return;
        }
        self.live.remove(entry.0.1);
        *entry = (age, delete);
        if !delete {
            self.live.insert(age.1);
        }
    }
}

/// Gathers, from a load's stream, what [`Base::additions`] needs to know of it.
#[derive(Debug, Clone)]
pub struct Collector {
    table: &'static Table,
    seen: Arc<Mutex<Vec<RecordBatch>>>,
}

impl Collector {
    /// The same stream, watched.
    pub fn watch(self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        if !self.table.supersedes() {
            return rows;
        }
        let schema = rows.schema();
        let watched = rows.inspect_ok(move |batch| {
            let kept = match self.table.key.is_empty() {
                true => marks_of(batch),
                false => batch.project(&positions(self.table, batch)).ok(),
            };
            self.seen.lock().extend(kept.filter(|b| b.num_rows() > 0));
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, watched))
    }

    /// What was gathered.
    pub fn take(&self) -> Vec<RecordBatch> {
        std::mem::take(&mut *self.seen.lock())
    }
}

fn marks_of(batch: &RecordBatch) -> Option<RecordBatch> {
    let op = batch.column_by_name(OP)?.as_any().downcast_ref::<Int8Array>()?;
    if op.null_count() == op.len() {
        return None;
    }
    let is_mark: BooleanArray = op.iter().map(|o| Some(o == Some(OP_REPLACE))).collect();
    filter_record_batch(batch, &is_mark).ok()
}

fn positions(table: &Table, batch: &RecordBatch) -> Vec<usize> {
    needed(table).iter().filter_map(|name| batch.schema().index_of(name).ok()).collect()
}

/// Columns that decide what is current.
fn needed(table: &Table) -> Vec<&'static str> {
    let mut names = vec![table.tenant];
    names.extend(table.key.iter().filter(|k| **k != table.tenant));
    names.extend(table.version.filter(|v| !table.key.contains(v)));
    names.extend(table.set);
    names.extend([SEQ, OP]);
    names
}

impl Base {
    /// Reads what is current among a dataset's rows.
    pub async fn read(table: &'static Table, dataset: &Arc<Dataset>) -> Result<Base> {
        Base::at(table, dataset, Bound::Now).await
    }

    /// What was current among a dataset's rows at `bound`.
    pub async fn at(table: &'static Table, dataset: &Arc<Dataset>, bound: Bound) -> Result<Base> {
        let mut base = match (table.key.is_empty(), table.set) {
            (true, None) => return Ok(Base::Every),
            (false, _) => Base::Keyed(Arc::default()),
            (true, Some(_)) => Base::Sets(Arc::default()),
        };
        let doing = || format!("read the keys of table {}", table.name);
        let mut scan = dataset.scan();
        let mut columns = needed(table);
        columns.extend(matches!(bound, Bound::Time(_)).then_some(table.ingested_at));
        scan.project(&columns).map_err(super::lance_error(doing()))?;
        let marks_only = matches!(base, Base::Sets(_)).then(|| col(OP).eq(lit(OP_REPLACE)));
        if let Some(filter) = marks_only.into_iter().chain(bound.filter(table)).reduce(Expr::and) {
            scan.filter_expr(filter);
        }
        let mut rows = scan.try_into_stream().await.map_err(super::lance_error(doing()))?;
        while let Some(batch) = rows.next().await {
            base.take_in(Base::additions(table, &batch.map_err(super::lance_error(doing()))?)?);
        }
        Ok(base)
    }

    /// Gathers what a load's stream means for this table.
    pub fn collector(table: &'static Table) -> Collector {
        Collector { table, seen: Arc::default() }
    }

    /// What rows that are about to become part of the dataset mean for this table.
    pub fn additions(table: &'static Table, rows: &RecordBatch) -> Result<Additions> {
        let mut additions = Additions::default();
        if !table.key.is_empty() {
            for_each_key(table, rows, |key, age, op| additions.keys.push((key, age, op == Some(OP_DELETE))))?;
        } else if table.set.is_some() {
            add_marks(table, rows, &mut additions.marks)?;
        }
        Ok(additions)
    }

    /// Takes them in. It cannot fail: the rows are committed.
    pub fn take_in(&mut self, additions: Additions) {
        match self {
            Base::Every => {}
            Base::Keyed(keyed) => {
                let keyed = Arc::make_mut(keyed);
                additions.keys.into_iter().for_each(|(key, age, delete)| keyed.add(key, age, delete));
            }
            Base::Sets(marks) => {
                let marks = Arc::make_mut(marks);
                for (tenant, sets) in additions.marks {
                    let of_tenant = marks.entry(tenant).or_default();
                    for (set, seq) in sets {
                        let newest = of_tenant.entry(set).or_insert(0);
                        *newest = (*newest).max(seq);
                    }
                }
            }
        }
    }
}

impl Bound {
    /// The bound as a predicate on stored columns.
    pub fn filter(self, table: &Table) -> Option<Expr> {
        match self {
            Bound::Now => None,
            Bound::Seq(seq) => Some(col(SEQ).lt_eq(lit(i64::try_from(seq).unwrap_or(i64::MAX)))),
            Bound::Time(us) => {
                let at = datafusion::scalar::ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()));
                Some(datafusion::logical_expr::ident(table.ingested_at).lt_eq(lit(at)))
            }
        }
    }
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a arrow::array::ArrayRef> {
    rows.column_by_name(name).ok_or_else(|| Error::invalid(format!("a batch lacks {name}")))
}

/// The `_seq` column of a batch.
pub(crate) fn seqs(rows: &RecordBatch) -> Result<&Int64Array> {
    Ok(column(rows, SEQ)?.as_any().downcast_ref::<Int64Array>().expect("_seq is Int64"))
}

fn ops(rows: &RecordBatch) -> Result<&Int8Array> {
    Ok(column(rows, OP)?.as_any().downcast_ref::<Int8Array>().expect("_op is Int8"))
}

fn for_each_key(table: &Table, rows: &RecordBatch, mut each: impl FnMut(KeyHash, Age, Option<i8>)) -> Result<()> {
    let broken = |e| Error::unavailable("read the keys of a batch", e);
    let mut names = vec![table.tenant];
    names.extend(table.key.iter().filter(|k| **k != table.tenant));
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let array = column(rows, name)?;
        // The same text is the same key, dictionary-encoded or not.
        let plain = match array.data_type() {
            DataType::Dictionary(_, values) => cast(array, values).map_err(broken)?,
            _ => array.clone(),
        };
        columns.push(plain);
    }
    let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(broken)?;
    let keys = converter.convert_columns(&columns).map_err(broken)?;
    let versions = versions(table, rows)?;
    for (row, ((key, seq), op)) in keys.iter().zip(seqs(rows)?.values()).zip(ops(rows)?.iter()).enumerate() {
        let digest = Sha256::digest(key.as_ref());
        let hash: KeyHash = digest[..16].try_into().expect("a SHA-256 has 32 bytes");
        let version = versions.as_ref().map_or(0, |v| if v.is_null(row) { i64::MIN } else { v.value(row) });
        each(hash, (version, *seq as u64), op);
    }
    Ok(())
}

/// The table's version column as whole numbers, if it has one.
fn versions(table: &Table, rows: &RecordBatch) -> Result<Option<Int64Array>> {
    let Some(name) = table.version else { return Ok(None) };
    let plain = cast(column(rows, name)?, &DataType::Int64);
    let plain = plain.map_err(|e| Error::unavailable("read the versions of a batch", e))?;
    Ok(Some(plain.as_primitive::<Int64Type>().clone()))
}

/// Takes in the marks among `rows`.
fn add_marks(table: &Table, rows: &RecordBatch, marks: &mut Marks) -> Result<()> {
    let Some(set) = table.set else { return Ok(()) };
    let ops = ops(rows)?;
    if ops.null_count() == ops.len() {
        return Ok(());
    }
    let (tenants, sets) = (texts(rows, table.tenant)?, texts(rows, set)?);
    for (row, (op, seq)) in ops.iter().zip(seqs(rows)?.values()).enumerate() {
        if let (Some(OP_REPLACE), Some(tenant), Some(set)) = (op, text(&tenants, row), text(&sets, row)) {
            let newest = marks.entry(tenant.to_owned()).or_default().entry(set.to_owned()).or_insert(0);
            *newest = (*newest).max(*seq as u64);
        }
    }
    Ok(())
}

/// A column of text, dictionary-encoded whether it came so or not: it has few distinct values.
fn texts(rows: &RecordBatch, name: &str) -> Result<DictionaryArray<Int32Type>> {
    let coded = cast(column(rows, name)?, &Type::Name.arrow());
    let coded = coded.map_err(|e| Error::unavailable("read the sets of a batch", e))?;
    Ok(coded.as_dictionary::<Int32Type>().clone())
}

/// The text of one row; `None` is null.
fn text(column: &DictionaryArray<Int32Type>, row: usize) -> Option<&str> {
    column.key(row).map(|key| column.values().as_string::<i32>().value(key))
}

/// Decides row by row what a scan shows.
#[derive(Debug)]
pub struct Visible {
    table: &'static Table,
    bound: Bound,
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    Every,
    Keyed { base: Arc<Keyed>, dead: HashSet<u64>, fresh: HashSet<u64> },
    Sets(Marks),
}

impl Visible {
    /// What is visible in `snapshot` at `bound`, for an asker who may see these tenants.
    pub async fn of(snapshot: &Snapshot, bound: Bound, tenants: &Tenants) -> Result<Visible> {
        let table = snapshot.table;
        let base = match bound {
            Bound::Now => snapshot.base.clone(),
            _ => {
                super::floor::check_floor(&snapshot.dataset, table.name, bound, tenants)?;
                Base::at(table, &snapshot.dataset, bound).await?
            }
        };
        let mut tail = Vec::with_capacity(snapshot.tail.len());
        if table.supersedes() {
            for chunk in &snapshot.tail {
                tail.push(within(table, &chunk.rows, bound)?);
            }
        }
        let rule = match base {
            Base::Every => Rule::Every,
            Base::Keyed(base) => {
                let mut newest: HashMap<KeyHash, (Age, bool)> = HashMap::new();
                for rows in &tail {
                    for_each_key(table, rows, |key, age, op| {
                        let flushed = base.newest.get(&key).map_or((i64::MIN, 0), |(age, _)| *age);
                        let entry = newest.entry(key).or_insert((flushed, true));
                        if age >= entry.0 {
                            *entry = (age, op == Some(OP_DELETE));
                        }
                    })?;
                }
                // A key whose flushed row is newer than every row in the tail keeps it.
                newest.retain(|key, (age, _)| base.newest.get(key).is_none_or(|(flushed, _)| *age > *flushed));
                let dead = newest.keys().filter_map(|k| base.newest.get(k)).map(|((_, seq), _)| *seq).collect();
                let fresh = newest.values().filter(|(_, delete)| !delete).map(|((_, seq), _)| *seq).collect();
                Rule::Keyed { base, dead, fresh }
            }
            Base::Sets(marks) => {
                let mut marks = marks.as_ref().clone();
                for rows in &tail {
                    add_marks(table, rows, &mut marks)?;
                }
                Rule::Sets(marks)
            }
        };
        Ok(Visible { table, bound, rule })
    }

    /// Columns, beside those asked for, that [`Visible::rows`] needs.
    pub fn columns(&self) -> Vec<&'static str> {
        let mut names = match self.rule {
            Rule::Every => vec![],
            Rule::Keyed { .. } => vec![SEQ, OP],
            Rule::Sets(_) => {
                vec![SEQ, OP, self.table.tenant, self.table.set.expect("a table with marks has a set column")]
            }
        };
        match self.bound {
            Bound::Now => {}
            Bound::Seq(_) => names.push(SEQ),
            Bound::Time(_) => names.push(self.table.ingested_at),
        }
        names.dedup();
        names
    }

    /// Whether who owns a row, and behind which mark it stands, decides alone: then with the marks, where there are sets.
    pub fn by_owner(&self) -> Option<Option<&Marks>> {
        match (&self.rule, self.bound) {
            (Rule::Every, Bound::Now) => Some(None),
            (Rule::Sets(marks), Bound::Now) => Some(Some(marks)),
            _ => None,
        }
    }

    /// A predicate that every visible flushed row meets; Lance may prune by it.
    pub fn filter(&self) -> Option<Expr> {
        let plain = self.table.supersedes().then(|| col(OP).is_null());
        plain.into_iter().chain(self.bound.filter(self.table)).reduce(Expr::and)
    }

    /// The visible rows of a batch.
    pub fn rows(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let batch = within(self.table, &batch, self.bound)?;
        let keep: BooleanArray = match &self.rule {
            Rule::Every => return Ok(batch),
            Rule::Keyed { base, dead, fresh } => seqs(&batch)?
                .values()
                .iter()
                .map(|seq| *seq as u64)
                .map(|seq| Some(fresh.contains(&seq) || (base.live.contains(seq) && !dead.contains(&seq))))
                .collect(),
            Rule::Sets(marks) => self.behind_marks(&batch, marks)?,
        };
        if keep.true_count() == batch.num_rows() {
            return Ok(batch);
        }
        filter_record_batch(&batch, &keep).map_err(|e| Error::unavailable("keep the current rows", e))
    }

    fn behind_marks(&self, batch: &RecordBatch, marks: &Marks) -> Result<BooleanArray> {
        let tenants = texts(batch, self.table.tenant)?;
        let sets = texts(batch, self.table.set.expect("a table with marks has a set column"))?;
        let (seqs, ops) = (seqs(batch)?, ops(batch)?);
        let mut known = KnownMarks::new(tenants.values().len(), sets.values().len());
        let mut keep = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let mark = known.mark((tenants.key(row), sets.key(row)), || {
                let mark = text(&tenants, row).zip(text(&sets, row)).and_then(|(t, s)| marks.get(t)?.get(s));
                mark.copied().unwrap_or(0)
            });
            keep.push(ops.is_null(row) && seqs.value(row) as u64 >= mark);
        }
        Ok(BooleanArray::from(keep))
    }
}

/// Most pairs of a tenant and a set for which a batch keeps a place each.
const PAIRS_MAX: usize = 1 << 16;

/// Marks by the keys of a batch's dictionaries, so that texts are hashed once a pair and not once a row.
struct KnownMarks {
    /// Sets, and one for none.
    width: usize,
    /// Empty where there would be too many; then only the last pair is known.
    places: Vec<Option<u64>>,
    last: ((Option<usize>, Option<usize>), Option<u64>),
}

impl KnownMarks {
    fn new(tenants: usize, sets: usize) -> KnownMarks {
        let (width, pairs) = (sets + 1, (tenants + 1).saturating_mul(sets + 1));
        let places = if pairs <= PAIRS_MAX { vec![None; pairs] } else { Vec::new() };
        KnownMarks { width, places, last: ((None, None), None) }
    }

    fn mark(&mut self, pair: (Option<usize>, Option<usize>), look: impl FnOnce() -> u64) -> u64 {
        let place = |key: Option<usize>| key.map_or(0, |key| key + 1);
        let known = match self.places.get_mut(place(pair.0) * self.width + place(pair.1)) {
            Some(known) => known,
            None => {
                if self.last.0 != pair {
                    self.last = (pair, None);
                }
                &mut self.last.1
            }
        };
        *known.get_or_insert_with(look)
    }
}

/// The rows of a batch within a bound.
fn within(table: &Table, batch: &RecordBatch, bound: Bound) -> Result<RecordBatch> {
    let keep: BooleanArray = match bound {
        Bound::Now => return Ok(batch.clone()),
        Bound::Seq(until) => seqs(batch)?.values().iter().map(|s| Some((*s as u64) <= until)).collect(),
        Bound::Time(until) => {
            let at = column(batch, table.ingested_at)?;
            let at = at
                .as_any()
                .downcast_ref::<arrow::array::TimestampMicrosecondArray>()
                .expect("the ingest time is in µs");
            at.values().iter().map(|t| Some(*t <= until)).collect()
        }
    };
    filter_record_batch(batch, &keep).map_err(|e| Error::unavailable("look back", e))
}
