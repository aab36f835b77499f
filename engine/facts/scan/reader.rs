//! What one partition of a scan reads: its fragments, or the tail.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::Expr;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use lance::index::DatasetIndexExt;
use lance_io::scheduler::{ScanScheduler, SchedulerConfig};
use lance_table::format::Fragment;
use roaring::RoaringBitmap;

use super::filter::Filters;
use super::fragment::Plan;
use super::{BATCH_ROWS, IO_BUFFER_BYTES, Piece, outside};
use crate::facts::Snapshot;
use crate::facts::current::{Bound, Visible};
use crate::facts::index::index_name;
use crate::table::SEQ;

/// What one partition needs to read, apart from the plan it came from.
#[derive(Clone)]
pub(super) struct Reader {
    pub snapshot: Snapshot,
    pub bound: Bound,
    pub schema: SchemaRef,
    pub filters: Filters,
    /// An indexed column, and the part of the filters that its index answers.
    pub needle: Option<(&'static str, Expr)>,
    pub latest_first: Option<bool>,
    pub visible: Arc<tokio::sync::OnceCell<Visible>>,
}

impl Reader {
    pub async fn visible(&self) -> DfResult<&Visible> {
        let of = || Visible::of(&self.snapshot, self.bound, &self.filters.tenants);
        self.visible.get_or_try_init(of).await.map_err(outside)
    }

    /// The rows of some pieces of fragments.
    pub fn fragments(self, group: Vec<Piece>) -> impl Stream<Item = DfResult<RecordBatch>> + Send {
        stream::once(async move {
            self.visible().await?;
            let (indexed, others) = self.split(group).await?;
            let found = match indexed.is_empty() {
                true => stream::empty().boxed(),
                false => self.clone().look_up(indexed).await?.boxed(),
            };
            Ok::<_, DataFusionError>(found.chain(self.read(others).await?))
        })
        .try_flatten()
        .try_filter(|batch| futures::future::ready(batch.num_rows() > 0))
    }

    /// The fragments that an index can answer for, and the others. With a needle there is one partition, and no fragment is
    /// cut.
    async fn split(&self, group: Vec<Piece>) -> DfResult<(Vec<Fragment>, Vec<Piece>)> {
        let Some((column, _)) = &self.needle else { return Ok((Vec::new(), group)) };
        let indexes = self.snapshot.dataset.load_indices().await.map_err(outside)?;
        let name = index_name(column);
        let segments = indexes.iter().filter(|index| index.name == name).filter_map(|i| i.fragment_bitmap.as_ref());
        let covered = segments.fold(RoaringBitmap::new(), |all, segment| all | segment);
        let is_covered = |piece: &Piece| covered.contains(piece.fragment.id as u32);
        let (indexed, others): (Vec<Piece>, Vec<Piece>) = group.into_iter().partition(is_covered);
        Ok((indexed.into_iter().map(|piece| piece.fragment).collect(), others))
    }

    /// Reads the pieces one behind the other.
    async fn read(self, group: Vec<Piece>) -> DfResult<impl Stream<Item = DfResult<RecordBatch>> + Send> {
        let store = self.snapshot.dataset.object_store(None).await.map_err(outside)?;
        let scheduler = ScanScheduler::new(store, SchedulerConfig::new(IO_BUFFER_BYTES));
        let plan = Arc::new(Plan::new(self, scheduler)?);
        Ok(stream::iter(group.into_iter().map(Ok)).and_then(move |piece| plan.clone().open(piece)).try_flatten())
    }

    /// Finds rows through Lance's indexes; the filters are applied to what was found.
    async fn look_up(self, group: Vec<Fragment>) -> DfResult<impl Stream<Item = DfResult<RecordBatch>> + Send> {
        let names = self.columns(self.schema.fields().iter().map(|f| f.name().clone()), false);
        let visible = self.visible().await?;
        let mut scan = self.snapshot.dataset.scan();
        scan.with_fragments(group).scan_in_order(false).batch_size(BATCH_ROWS).io_buffer_size(IO_BUFFER_BYTES);
        scan.project(&names).map_err(outside)?;
        let filter = self
            .filters
            .tenant()
            .into_iter()
            .chain(visible.filter())
            .chain(self.needle.clone().map(|(_, filter)| filter));
        if let Some(filter) = filter.reduce(Expr::and) {
            scan.filter_expr(filter);
        }
        let rows = scan.try_into_stream().await.map_err(outside)?;
        Ok(rows.map_err(outside).and_then(move |batch| futures::future::ready(self.shown(batch))))
    }

    /// What is visible, once [`Reader::visible`] has found out.
    pub fn seen(&self) -> &Visible {
        self.visible.get().expect("known before anything is read")
    }

    /// The columns that must be read to show `wanted` ones; `all_shown` of rows that are all the asker's, and current.
    pub fn columns(&self, wanted: impl Iterator<Item = String>, all_shown: bool) -> Vec<String> {
        let mut names = self.filters.columns(all_shown);
        if !all_shown {
            names.extend(self.seen().columns().into_iter().map(str::to_owned));
        }
        names.extend(wanted);
        if names.is_empty() {
            names.insert(SEQ.to_owned()); // Lance reads at least one column; `_seq` is the cheapest.
        }
        names.into_iter().collect()
    }

    /// What a batch of every needed column shows.
    fn shown(&self, rows: RecordBatch) -> DfResult<RecordBatch> {
        let bound = self.filters.bind(&rows.schema())?;
        self.shape(&self.filters.rows(rows, self.seen(), bound.as_ref())?)
    }

    /// The rows of the tail.
    pub fn tail(self) -> impl Stream<Item = DfResult<RecordBatch>> + Send {
        stream::once(async move {
            self.visible().await?;
            let mut chunks = self.snapshot.tail.clone();
            if self.latest_first == Some(true) {
                chunks.reverse();
            }
            Ok::<_, DataFusionError>(stream::iter(chunks).map(move |chunk| {
                let batch = self.shown(chunk.rows.clone())?;
                let slices = (0..batch.num_rows()).step_by(BATCH_ROWS);
                let slices = slices.map(|at| Ok(batch.slice(at, BATCH_ROWS.min(batch.num_rows() - at))));
                Ok::<_, DataFusionError>(stream::iter(slices.collect::<Vec<_>>()))
            }))
        })
        .try_flatten()
        .try_flatten()
    }

    /// The asked columns in their order and types. Lance may hand a dictionary column back with other keys.
    pub fn shape(&self, rows: &RecordBatch) -> DfResult<RecordBatch> {
        let columns: DfResult<Vec<ArrayRef>> = self
            .schema
            .fields()
            .iter()
            .map(|field| {
                let column = rows.column_by_name(field.name());
                let column =
                    column.ok_or_else(|| DataFusionError::Internal(format!("a scan lost {}", field.name())))?;
                match column.data_type() == field.data_type() {
                    true => Ok(column.clone()),
                    false => Ok(cast(column, field.data_type() as &DataType)?),
                }
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns?, &options)?)
    }
}
