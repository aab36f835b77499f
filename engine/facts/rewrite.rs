//! Fragments written anew without what was erased. A deletion in Lance only marks rows; their bytes stay in the file. Here
//! the rows that stay are written to new files, which take the old ones' place in one commit; the old versions, indexes and
//! everything that nobody refers to is cleaned away afterwards.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};
use lance::Dataset;
use lance::dataset::cleanup::CleanupPolicy;
use lance::dataset::transaction::{Operation, TransactionBuilder, UpdateMap};
use lance::dataset::{CommitBuilder, InsertBuilder};
use lance::index::DatasetIndexExt;
use lance_core::ROW_ID;
use lance_table::format::Fragment;
use roaring::RoaringTreemap;

use super::current::{Base, seqs};
use super::{Facts, append_params, dictionaries, lance_error, properties};
use crate::erase::{Fate, Order};
use crate::error::{Error, Kind, Result};
use crate::fault::{Point, reached};

/// Config key that a commit without any other change carries.
const MARKED: &str = "stellwerk.marked";

/// What an order finds in one fragment.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// By column: rows that hold a value, and how many of them go.
    pub columns: HashMap<String, (u64, u64)>,
    /// Rows that stay after all.
    pub staying: u64,
    /// Places in the log of rows that go or are masked.
    pub gone: RoaringTreemap,
    pub masked: RoaringTreemap,
    /// Rows that hold a value and were deleted before: their bytes are still in the file.
    pub dead: u64,
    /// Rows of other tenants that hold a value.
    pub elsewhere: u64,
}

impl Look {
    /// Whether the fragment must be written anew.
    pub fn is_touched(&self) -> bool {
        !self.gone.is_empty() || !self.masked.is_empty() || self.dead > 0
    }
}

impl Facts {
    /// The fragments as they are now.
    pub(crate) fn fragments(&self) -> Vec<Fragment> {
        self.snapshot().dataset.fragments().as_ref().clone()
    }

    /// What an order finds in a fragment, deleted rows included.
    pub(crate) async fn look(&self, order: &Order, fragment: &Fragment) -> Result<Look> {
        let doing = || self.doing("look through");
        let dataset = self.snapshot().dataset;
        let mut scan = dataset.scan();
        scan.with_fragments(vec![fragment.clone()]).scan_in_order(true);
        scan.project(&order.columns(self.table)).map_err(lance_error(doing()))?;
        scan.with_row_id().include_deleted_rows();
        let mut rows = scan.try_into_stream().await.map_err(lance_error(doing()))?;
        let mut look = Look::default();
        while let Some(batch) = rows.try_next().await.map_err(lance_error(doing()))? {
            let fates = order.fates(self.table, &batch)?;
            let ids = batch.column_by_name(ROW_ID);
            let is_live = |row: usize| ids.is_none_or(|ids| ids.is_valid(row));
            look.elsewhere += fates.elsewhere;
            for (at, hits) in &fates.hits {
                let schema = batch.schema();
                let seen = look.columns.entry(schema.field(*at).name().clone()).or_default();
                for row in (0..batch.num_rows()).filter(|row| hits[*row] && is_live(*row)) {
                    seen.0 += 1;
                    seen.1 += u64::from(fates.rows[row] == Fate::Goes);
                }
            }
            for (row, (fate, seq)) in fates.rows.iter().zip(seqs(&batch)?.values()).enumerate() {
                let seq = *seq as u64;
                match fate {
                    _ if !is_live(row) => look.dead += u64::from(*fate != Fate::Stays),
                    Fate::Stays => look.staying += 1,
                    Fate::Masked => {
                        look.staying += 1;
                        look.masked.insert(seq);
                    }
                    Fate::Goes => {
                        look.gone.insert(seq);
                    }
                }
            }
        }
        Ok(look)
    }

    /// Writes a fragment anew as an order says, in one commit. `next` is the `_seq` that the store's next row gets.
    pub(crate) async fn rewrite(
        &self,
        order: Arc<Order>,
        fragment: &Fragment,
        look: &Look,
        next: u64,
        still_owner: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        let doing = || self.doing("write anew a fragment of");
        let new_fragments = match look.staying {
            0 => Vec::new(),
            _ => self.write_anew(order, fragment).await?,
        };
        reached(Point::RewriteWritten);
        let _turn = self.turn_to_commit().await?;
        let (dataset, flushed) = {
            let inner = self.inner.lock();
            (inner.dataset.clone(), inner.flushed)
        };
        let same = |now: &Fragment| now.id == fragment.id && now.deletion_file == fragment.deletion_file;
        if !dataset.fragments().iter().any(same) {
            let why =
                format!("a fragment of table {} changed while it was written anew; run it again", self.table.name);
            return Err(Error::new(Kind::Conflict, why));
        }
        let operation = Operation::Update {
            removed_fragment_ids: vec![fragment.id],
            updated_fragments: Vec::new(),
            new_fragments,
            fields_modified: Vec::new(),
            compacted_sstables: Vec::new(),
            fields_for_preserving_frag_bitmap: Vec::new(),
            update_mode: None,
            inserted_rows_filter: None,
            updated_fragment_offsets: None,
        };
        let transaction = TransactionBuilder::new(dataset.version_id(), operation)
            .transaction_properties(Some(Arc::new(properties(flushed, next))))
            .build();
        still_owner.await?;
        let committed = CommitBuilder::new(dataset).execute(transaction).await;
        let committed = Arc::new(committed.map_err(|e| self.doubt(&doing(), e))?);
        reached(Point::RewriteCommitted);
        let base = Base::read(self.table, &committed).await?;
        let version = committed.version_id();
        {
            let mut inner = self.inner.lock();
            inner.base = base;
            inner.adopt(committed, vec![], Some((version, flushed)));
        }
        self.changes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn write_anew(&self, order: Arc<Order>, fragment: &Fragment) -> Result<Vec<Fragment>> {
        let doing = || self.doing("write anew a fragment of");
        let _memory = self.memory.take("rewriting", super::maintain::REWRITE_BYTES)?;
        let dataset = self.snapshot().dataset;
        let schema: SchemaRef = Arc::new(dataset.schema().into());
        let mut scan = dataset.scan();
        scan.with_fragments(vec![fragment.clone()]).scan_in_order(true).batch_size(super::scan::BATCH_ROWS);
        let rows = scan.try_into_stream().await.map_err(lance_error(doing()))?;
        let (table, ordered) = (self.table, schema.clone());
        let kept = rows.map(move |batch| -> Result<RecordBatch, DataFusionError> {
            let batch = batch.map_err(|e| DataFusionError::External(Box::new(e)))?;
            let external = |e: Error| DataFusionError::External(Box::new(e));
            let fates = order.fates(table, &batch).map_err(external)?;
            let mut columns = batch.columns().to_vec();
            for (at, hits) in &fates.hits {
                columns[*at] = order.needles.mask(&columns[*at], hits).map_err(external)?;
            }
            let batch = RecordBatch::try_new(batch.schema(), columns)?;
            let stays: BooleanArray = fates.rows.iter().map(|fate| Some(*fate != Fate::Goes)).collect();
            without_leftovers(&filter_record_batch(&batch, &stays)?, &ordered)
        });
        let kept = kept.try_filter(|batch| futures::future::ready(batch.num_rows() > 0));
        let stream = dictionaries::unified(Box::pin(RecordBatchStreamAdapter::new(schema, kept)));
        let params = append_params();
        let written = InsertBuilder::new(dataset).with_params(&params).execute_uncommitted_stream(stream).await;
        match written.map_err(lance_error(doing()))?.operation {
            Operation::Append { fragments } => Ok(fragments),
            _ => Err(Error::new(Kind::Internal, "Lance wrote rows in another way than it was asked to")),
        }
    }

    /// Takes every index away; maintenance builds them again. Their pages hold the values of the rows that they were built on.
    pub(crate) async fn drop_indexes(&self) -> Result<()> {
        let doing = || self.doing("drop the indexes of");
        let _turn = self.turn_to_commit().await?;
        let dataset = self.snapshot().dataset;
        let indexes = dataset.load_indices().await.map_err(lance_error(doing()))?;
        // Names of Lance's own begin with underscores.
        let removed: Vec<_> = indexes.iter().filter(|index| !index.name.starts_with('_')).cloned().collect();
        if removed.is_empty() {
            return Ok(());
        }
        let operation = Operation::CreateIndex { new_indices: Vec::new(), removed_indices: removed };
        let transaction = TransactionBuilder::new(dataset.version_id(), operation).build();
        let committed = CommitBuilder::new(dataset).execute(transaction).await;
        self.put_in_place(Arc::new(committed.map_err(|e| self.doubt(&doing(), e))?));
        Ok(())
    }

    /// Makes sure that the newest version says how far the log was flushed. The caller has the turn to commit.
    pub(crate) async fn mark(&self, next: u64) -> Result<Arc<Dataset>> {
        let (dataset, marked, flushed) = {
            let inner = self.inner.lock();
            (inner.dataset.clone(), inner.marked_version, inner.flushed)
        };
        if dataset.version_id() == marked {
            return Ok(dataset);
        }
        let entries = vec![(MARKED, next.to_string().as_str()).into()];
        let operation = Operation::UpdateConfig {
            config_updates: Some(UpdateMap { update_entries: entries, replace: false }),
            table_metadata_updates: None,
            schema_metadata_updates: None,
            field_metadata_updates: HashMap::new(),
        };
        let transaction = TransactionBuilder::new(dataset.version_id(), operation)
            .transaction_properties(Some(Arc::new(properties(flushed, next))))
            .build();
        let committed = CommitBuilder::new(dataset).execute(transaction).await;
        let committed = Arc::new(committed.map_err(|e| self.doubt(&self.doing("mark"), e))?);
        let version = committed.version_id();
        self.inner.lock().adopt(committed.clone(), vec![], Some((version, flushed)));
        Ok(committed)
    }

    /// Deletes every older version and every file that the newest does not refer to, however young. Questions that still
    /// read an older version fail.
    pub(crate) async fn clean_all(&self, next: u64) -> Result<()> {
        // Neither a load nor a flush has files on their way now.
        let _load = self.turn_to_load().await;
        let _turn = self.turn_to_commit().await?;
        let dataset = self.mark(next).await?;
        let policy = CleanupPolicy {
            before_version: Some(dataset.version_id()),
            delete_unverified: true,
            ..CleanupPolicy::default()
        };
        dataset.cleanup_with_policy(policy).await.map_err(lance_error(self.doing("clean")))?;
        Ok(())
    }

    /// Hands the stored rows over, superseded ones among them, batch by batch, with these columns.
    pub(crate) async fn each_stored(
        &self,
        columns: &[&str],
        each: &mut (dyn FnMut(&RecordBatch) -> Result<()> + Send),
    ) -> Result<()> {
        let doing = || self.doing("read the rows of");
        let dataset = self.snapshot().dataset;
        let mut scan = dataset.scan();
        scan.project(columns).map_err(lance_error(doing()))?;
        let mut rows = scan.try_into_stream().await.map_err(lance_error(doing()))?;
        while let Some(batch) = rows.try_next().await.map_err(lance_error(doing()))? {
            each(&batch)?;
        }
        Ok(())
    }
}

/// The same rows in the columns of `schema`, with dictionaries of what they use: a value that no row has any more would be
/// written with the others.
fn without_leftovers(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let column = |field: &Arc<Field>| -> Result<ArrayRef, DataFusionError> {
        let lost = || DataFusionError::Internal(format!("a scan lost {}", field.name()));
        let column = batch.column_by_name(field.name()).ok_or_else(lost)?;
        Ok(match field.data_type() {
            DataType::Dictionary(..) => cast(&cast(column, &DataType::Utf8)?, field.data_type())?,
            kind if kind != column.data_type() => cast(column, kind)?,
            _ => column.clone(),
        })
    };
    let columns: Result<Vec<ArrayRef>, DataFusionError> = schema.fields().iter().map(column).collect();
    Ok(RecordBatch::try_new(schema.clone(), columns?)?)
}
