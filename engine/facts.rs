//! One table at run time: its Lance dataset, the tail of rows not yet in it, and which rows are current.
//!
//! Appends reach the tail from the writer, flush moves a prefix of the tail into Lance, and the commit carries how far it
//! went (`stellwerk.wal`), so that a crash between commit and truncation repeats nothing. All commits of a table pass
//! one lock.

pub mod current;
pub(crate) mod cut;
mod dictionaries;
pub mod encode;
pub(crate) mod expire;
pub mod floor;
mod index;
pub mod maintain;
pub mod owners;
pub mod rewrite;
pub mod scan;
pub mod tail;
pub mod zones;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use lance::Dataset;
use lance::dataset::{CommitBuilder, InsertBuilder, NewColumnTransform, WriteMode, WriteParams};
use parking_lot::Mutex;

use crate::columns::TableColumns;
use crate::error::{Error, Kind, Result};
use crate::fault::{Point, reached};
use crate::memory::Memory;
use crate::place::Place;
use crate::table::Table;
use current::{Additions, Base};
use tail::Tail;
use zones::{Known, ZoneCache};

/// Every row of the table that stands before this `_seq` and came through the log is in Lance.
const PROPERTY_WAL: &str = "stellwerk.wal";
/// No `_seq` at or after this one has been given out to a row of this commit.
const PROPERTY_NEXT: &str = "stellwerk.next";
/// Rows of one Lance file.
const FILE_ROWS_MAX: usize = 1 << 20;

/// One table's rows at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The declaration.
    pub table: &'static Table,
    /// Flushed rows.
    pub dataset: Arc<Dataset>,
    /// Rows not yet flushed, in log order.
    pub tail: Vec<Arc<tail::Chunk>>,
    /// Which of the flushed rows are current.
    pub base: Base,
    /// What is known of each fragment.
    pub zones: Arc<ZoneCache>,
    /// What was read of fragments lately.
    pub columns: TableColumns,
}

impl Snapshot {
    /// Rows flushed and in the tail, superseded ones among them.
    pub fn physical_rows(&self) -> usize {
        let flushed = self.dataset.fragments().iter().map(|f| f.physical_rows.unwrap_or(usize::MAX));
        let tail = self.tail.iter().map(|chunk| chunk.rows.num_rows());
        flushed.chain(tail).fold(0, usize::saturating_add)
    }
}

/// One table at run time.
#[derive(Debug)]
pub struct Facts {
    /// The declaration.
    pub table: &'static Table,
    commits: tokio::sync::Mutex<()>,
    /// Held for a whole bulk load: were the rows of two loads interleaved in the log, rows of the first would stand behind
    /// the mark of the second and both be current.
    loads: tokio::sync::Mutex<()>,
    memory: Memory,
    /// How often rows became visible since the table was opened.
    changes: AtomicU64,
    /// The times of fragments, as far as somebody asked.
    spans: Mutex<HashMap<u64, expire::Span>>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    dataset: Arc<Dataset>,
    /// Version that carries the newest `stellwerk.wal`; `clean` keeps it.
    marked_version: u64,
    flushed: u64,
    tail: Tail,
    base: Base,
    zones: Arc<ZoneCache>,
    columns: TableColumns,
    commits: u64,
    /// When maintenance last looked for rows to delete, µs.
    swept_us: i64,
    /// Why the last commit failed, if it did. It may have arrived all the same: an object store's answer can be lost.
    failed: Option<String>,
}

/// Figures of one table, for status and metrics.
#[derive(Debug, Clone, Default)]
pub struct FactsStatus {
    pub table: &'static str,
    pub tail_rows: usize,
    pub tail_bytes: usize,
    pub fragments: usize,
    pub version: u64,
    pub commits: u64,
    /// Why the last commit failed, if it did.
    pub failed: Option<String>,
}

pub(crate) fn lance_error(doing: String) -> impl FnOnce(lance::Error) -> Error {
    move |e| Error::unavailable(&doing, e)
}

impl Facts {
    /// Opens or creates the table, adds columns that a newer binary declares, and walks back to the newest version that
    /// says how far the log was flushed. Returns the table and the first `_seq` not given out as far as it knows.
    pub async fn open(table: &'static Table, place: &Place, memory: &Memory, exists: bool) -> Result<(Facts, u64)> {
        let found = match exists {
            true => open_dataset(table, place).await?,
            false => None,
        };
        let mut dataset = match found {
            Some(dataset) => dataset,
            None => create_dataset(table, place).await?,
        };
        upgrade(table, &mut dataset).await?;
        let mark = walk_back(table, &dataset).await?;
        let dataset = Arc::new(dataset);
        let base = Base::read(table, &dataset).await?;
        let inner = Inner {
            dataset,
            marked_version: mark.version,
            flushed: mark.wal,
            tail: Tail::new(memory.account("the rows not yet flushed")),
            base,
            zones: Arc::default(),
            columns: memory.columns().of_table(),
            commits: 0,
            swept_us: 0,
            failed: None,
        };
        let facts = Facts {
            table,
            commits: tokio::sync::Mutex::new(()),
            loads: tokio::sync::Mutex::new(()),
            memory: memory.clone(),
            changes: AtomicU64::new(0),
            spans: Mutex::default(),
            inner: Mutex::new(inner),
        };
        Ok((facts, mark.next))
    }

    /// Waits for its turn to load in bulk; the turn lasts until the guard is dropped.
    pub async fn turn_to_load(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.loads.lock().await
    }

    /// Rows of the log before this `_seq` are in Lance.
    pub fn flushed(&self) -> u64 {
        self.inner.lock().flushed
    }

    /// `_seq` of the first row that waits in the tail.
    pub fn first_unflushed(&self) -> Option<u64> {
        self.inner.lock().tail.first_seq()
    }

    /// Rows and bytes in the tail, and when its oldest row was acknowledged (µs).
    pub fn tail_size(&self) -> (usize, usize, Option<i64>) {
        let inner = self.inner.lock();
        (inner.tail.rows(), inner.tail.bytes(), inner.tail.oldest_us())
    }

    /// Makes acknowledged rows visible. `rows` has the stored schema and `_seq` from `first` on.
    pub fn publish(&self, rows: RecordBatch, first: u64, at_us: i64) {
        self.inner.lock().tail.push(rows, first, at_us);
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// How often rows became visible since the table was opened: who saw it at the same number has seen all.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// The table as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let inner = self.inner.lock();
        Snapshot {
            table: self.table,
            dataset: inner.dataset.clone(),
            tail: inner.tail.chunks(),
            base: inner.base.clone(),
            zones: inner.zones.clone(),
            columns: inner.columns.clone(),
        }
    }

    /// Figures for status and metrics.
    pub fn status(&self) -> FactsStatus {
        let inner = self.inner.lock();
        FactsStatus {
            table: self.table.name,
            tail_rows: inner.tail.rows(),
            tail_bytes: inner.tail.bytes(),
            fragments: inner.dataset.count_fragments(),
            version: inner.dataset.version_id(),
            commits: inner.commits,
            failed: inner.failed.clone(),
        }
    }

    /// Takes the turn to commit. After a commit that failed, looks first whether it arrived: taking its rows for missing
    /// would write them twice.
    pub(crate) async fn turn_to_commit(&self) -> Result<tokio::sync::MutexGuard<'_, ()>> {
        let turn = self.commits.lock().await;
        let (dataset, doubtful) = {
            let inner = self.inner.lock();
            (inner.dataset.clone(), inner.failed.is_some())
        };
        if doubtful {
            let mut latest = dataset.as_ref().clone();
            let doing = format!("look for the last commit of {}", self.table.name);
            latest.checkout_latest().await.map_err(lance_error(doing))?;
            let mark = walk_back(self.table, &latest).await?;
            let latest = Arc::new(latest);
            let base = Base::read(self.table, &latest).await?;
            let mut inner = self.inner.lock();
            inner.base = base;
            inner.adopt(latest, vec![], Some((mark.version, mark.wal)));
        }
        Ok(turn)
    }

    /// Remembers that a commit failed, and says so.
    pub(crate) fn doubt(&self, doing: &str, error: lance::Error) -> Error {
        self.inner.lock().failed = Some(error.to_string());
        Error::unavailable(doing, error)
    }

    /// Moves the whole tail into Lance in one commit. Readers see each row once, before and after. `still_owner` is asked
    /// last before the commit: a process that was fenced must not write rows that the new owner reads from the log.
    pub async fn flush(&self, still_owner: impl Future<Output = Result<()>>) -> Result<bool> {
        let _turn = self.turn_to_commit().await?;
        let (dataset, chunks) = {
            let inner = self.inner.lock();
            (inner.dataset.clone(), inner.tail.chunks())
        };
        let Some(last) = chunks.last() else { return Ok(false) };
        let next = last.next;
        let schema: SchemaRef = Arc::new(dataset.schema().into());
        let batches: Result<Vec<RecordBatch>> = chunks.iter().map(|c| encode::in_order_of(&c.rows, &schema)).collect();
        let batches = dictionaries::unify(batches?).map_err(|e| Error::unavailable("join rows before a flush", e))?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let zones = Known::of(self.table, &batches);
        let reader = arrow::array::RecordBatchIterator::new(batches.into_iter().map(Ok), schema);
        // What can fail without a commit comes before the commit.
        let additions: Result<Vec<_>> = chunks.iter().map(|c| Base::additions(self.table, &c.rows)).collect();
        let additions = additions?;
        let doing = format!("flush {}", self.table.name);
        let params = append_params();
        let written = InsertBuilder::new(dataset.clone()).with_params(&params).execute_uncommitted_stream(reader).await;
        let mut transaction = written.map_err(lance_error(doing.clone()))?;
        transaction.transaction_properties = Some(Arc::new(properties(next, next)));
        reached(Point::FlushWritten);
        still_owner.await?;
        let before = dataset.clone();
        let committed = CommitBuilder::new(dataset).execute(transaction).await;
        let dataset = Arc::new(committed.map_err(|e| self.doubt(&doing, e))?);
        reached(Point::FlushCommitted);
        let version = dataset.version_id();
        let mut inner = self.inner.lock();
        if let Some(fragment) = only_new_fragment(&before, &dataset, rows) {
            inner.zones.keep(fragment, zones);
        }
        inner.adopt(dataset, additions, Some((version, next)));
        Ok(true)
    }

    /// Appends a file's rows, which already carry their `_seq`, in one commit. `next` tells the first `_seq` not given
    /// out once the stream has ended.
    pub async fn load(
        &self,
        rows: SendableRecordBatchStream,
        next: impl Fn() -> u64 + Send,
        still_owner: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        // The rows are written outside the turn: only the commit must wait for it.
        let dataset = self.inner.lock().dataset.clone();
        let doing = format!("load {}", self.table.name);
        let params = append_params();
        let marks = Base::collector(self.table);
        // A load is not refused for its memory, but counted, so that questions spill and maintenance waits.
        let held = self.memory.account("a bulk load");
        held.grow(dictionaries::HELD_BYTES);
        let rows = dictionaries::unified(marks.clone().watch(rows));
        let transaction = InsertBuilder::new(dataset).with_params(&params).execute_uncommitted_stream(rows).await;
        let mut transaction = transaction.map_err(lance_error(doing.clone()))?;
        drop(held);
        reached(Point::LoadWritten);
        let _turn = self.turn_to_commit().await?;
        let (dataset, flushed) = {
            let inner = self.inner.lock();
            (inner.dataset.clone(), inner.flushed)
        };
        let additions: Result<Vec<_>> = marks.take().iter().map(|rows| Base::additions(self.table, rows)).collect();
        let additions = additions?;
        transaction.transaction_properties = Some(Arc::new(properties(flushed, next())));
        still_owner.await?;
        let committed = CommitBuilder::new(dataset).execute(transaction).await.map_err(|e| self.doubt(&doing, e))?;
        let version = committed.version_id();
        self.inner.lock().adopt(Arc::new(committed), additions, Some((version, flushed)));
        self.changes.fetch_add(1, Ordering::SeqCst);
        reached(Point::LoadCommitted);
        Ok(())
    }
}

impl Inner {
    /// Puts a commit in place: its rows leave the tail in the same moment. `marked` is the version and the position in the
    /// log of a commit that carries one.
    fn adopt(&mut self, dataset: Arc<Dataset>, additions: Vec<Additions>, marked: Option<(u64, u64)>) {
        let live: HashSet<u64> = dataset.fragments().iter().map(|fragment| fragment.id).collect();
        self.zones.keep_only(&live);
        self.columns.keep_only(&live);
        self.dataset = dataset;
        additions.into_iter().for_each(|a| self.base.take_in(a));
        if let Some((version, flushed)) = marked {
            self.marked_version = version;
            self.flushed = self.flushed.max(flushed);
            self.tail.drop_before(self.flushed);
        }
        self.commits += 1;
        self.failed = None;
    }
}

/// The fragment that holds all rows of a commit; `None` if they were spread over several.
fn only_new_fragment(before: &Dataset, after: &Dataset, rows: usize) -> Option<u64> {
    let newest = before.fragments().iter().map(|fragment| fragment.id).max();
    let mut new = after.fragments().iter().filter(|fragment| newest.is_none_or(|newest| fragment.id > newest));
    let whole = new.next().filter(|fragment| fragment.physical_rows == Some(rows));
    whole.filter(|_| new.next().is_none()).map(|fragment| fragment.id)
}

fn properties(wal: u64, next: u64) -> HashMap<String, String> {
    HashMap::from([(PROPERTY_WAL.to_owned(), wal.to_string()), (PROPERTY_NEXT.to_owned(), next.to_string())])
}

fn append_params() -> WriteParams {
    WriteParams { mode: WriteMode::Append, max_rows_per_file: FILE_ROWS_MAX, ..WriteParams::default() }
}

/// `None` where the folder of a table is all there is: its creation was cut off before the first manifest.
async fn open_dataset(table: &'static Table, place: &Place) -> Result<Option<Dataset>> {
    let doing = || format!("open table {}", table.name);
    match place.connection().open_table(table.name).execute().await {
        Ok(opened) => dataset_of(&opened, doing).await.map(Some),
        Err(lancedb::Error::TableNotFound { .. }) => Ok(None),
        Err(e) => Err(Error::unavailable(&doing(), e)),
    }
}

async fn create_dataset(table: &'static Table, place: &Place) -> Result<Dataset> {
    let doing = || format!("create table {}", table.name);
    let options = lancedb::table::WriteOptions {
        lance_write_params: Some(WriteParams {
            mode: WriteMode::Create,
            enable_stable_row_ids: true,
            enable_v2_manifest_paths: true,
            auto_cleanup: None,
            ..WriteParams::default()
        }),
    };
    let created = place.connection().create_empty_table(table.name, encode::lance_schema(table)).write_options(options);
    let created = created.execute().await.map_err(|e| Error::unavailable(&doing(), e))?;
    reached(Point::TableCreated);
    dataset_of(&created, doing).await
}

async fn dataset_of(table: &lancedb::Table, doing: impl Fn() -> String) -> Result<Dataset> {
    let native = table.dataset().expect("a table of a local or object store is native");
    let dataset = native.get().await.map_err(|e| Error::unavailable(&doing(), e))?;
    Ok(dataset.as_ref().clone())
}

/// Adds declared columns that the stored table lacks. A stored column of another type is a table of another program.
async fn upgrade(table: &'static Table, dataset: &mut Dataset) -> Result<()> {
    let stored = arrow::datatypes::Schema::from(dataset.schema());
    let declared = encode::lance_schema(table);
    let mut missing = Vec::new();
    for field in declared.fields() {
        match stored.field_with_name(field.name()) {
            Ok(old) if old.data_type() == field.data_type() => {}
            Ok(old) => {
                let (name, old, new) = (field.name(), old.data_type(), field.data_type());
                let why = format!("table {} holds {name} as {old}, this program declares {new}", table.name);
                return Err(Error::new(Kind::Corrupt, why));
            }
            Err(_) => missing.push(field.clone()),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let transform = NewColumnTransform::AllNulls(Arc::new(arrow::datatypes::Schema::new(missing)));
    let added = dataset.add_columns(transform, None, None).await;
    added.map_err(lance_error(format!("add the new columns of table {}", table.name)))?;
    reached(Point::ColumnsAdded);
    Ok(())
}

struct Mark {
    version: u64,
    wal: u64,
    next: u64,
}

/// Deletes, compactions, index builds and schema changes commit without our properties, so the newest version that has
/// them may stand further back.
async fn walk_back(table: &'static Table, dataset: &Dataset) -> Result<Mark> {
    let mut version = dataset.version_id();
    while version > 0 {
        let transaction = match dataset.read_transaction_by_version(version).await {
            Ok(transaction) => transaction,
            // Older versions were cleaned, which never takes the newest marked one: there is none.
            Err(lance::Error::DatasetNotFound { .. } | lance::Error::NotFound { .. }) => break,
            Err(e) => return Err(Error::unavailable(&format!("read the history of table {}", table.name), e)),
        };
        let found = transaction.as_ref().and_then(|t| t.transaction_properties.as_ref());
        let number = |key: &str| found.and_then(|p| p.get(key)).and_then(|v| v.parse().ok());
        if let (Some(wal), Some(next)) = (number(PROPERTY_WAL), number(PROPERTY_NEXT)) {
            return Ok(Mark { version, wal, next });
        }
        version -= 1;
    }
    Ok(Mark { version: 0, wal: 0, next: 0 })
}
