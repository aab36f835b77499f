//! The physical scan of one table: flushed fragments as N partitions and the tail as one more, the scope and the
//! currentness of rows applied inside, below every filter of the user.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int32Type, SchemaRef};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, ident, lit};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use lance::dataset::fragment::FileFragment;
use lance_table::format::Fragment;

use super::Snapshot;
use super::current::{Bound, Visible};
use crate::scope::{Scope, Tenants};

/// Rows of a batch that a scan hands up.
const BATCH_ROWS: usize = 8_192;
/// Bytes that Lance may read ahead for one partition.
const IO_BUFFER_BYTES: u64 = 32 << 20;

/// A scan of one table under one scope.
#[derive(Debug)]
pub struct FactScan {
    snapshot: Snapshot,
    scope: Scope,
    bound: Bound,
    schema: SchemaRef,
    filter: Option<Expr>,
    groups: Vec<Vec<Fragment>>,
    visible: Arc<tokio::sync::OnceCell<Visible>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl FactScan {
    /// Scans `snapshot` for the columns of `schema`. `filter` holds only predicates that cannot raise an error: it runs
    /// beside the scope, on rows of every tenant.
    pub fn new(
        snapshot: Snapshot,
        scope: Scope,
        bound: Bound,
        schema: SchemaRef,
        filter: Option<Expr>,
        partitions: usize,
    ) -> Self {
        let groups = group(snapshot.dataset.get_fragments(), partitions);
        let count = groups.len() + usize::from(!snapshot.tail.is_empty());
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(count.max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        FactScan {
            snapshot,
            scope,
            bound,
            schema,
            filter,
            groups,
            visible: Arc::default(),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The scope that the scan carries; the second wall compares it with the asker's.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    fn reader(&self) -> Reader {
        Reader {
            snapshot: self.snapshot.clone(),
            tenants: self.scope.tenants.clone(),
            bound: self.bound,
            schema: self.schema.clone(),
            filter: self.filter.clone(),
            visible: self.visible.clone(),
        }
    }
}

/// Spreads fragments over at most `partitions` groups of about the same number of rows, in order.
fn group(fragments: Vec<FileFragment>, partitions: usize) -> Vec<Vec<Fragment>> {
    let rows = |f: &Fragment| f.physical_rows.unwrap_or(1).max(1);
    let fragments: Vec<Fragment> = fragments.into_iter().map(|f| f.metadata().clone()).collect();
    let total: usize = fragments.iter().map(rows).sum();
    let each = total.div_ceil(partitions.max(1)).max(1);
    let mut groups: Vec<Vec<Fragment>> = Vec::new();
    let mut filled = each;
    for fragment in fragments {
        if filled >= each {
            groups.push(Vec::new());
            filled = 0;
        }
        filled += rows(&fragment);
        groups.last_mut().expect("a group was just pushed").push(fragment);
    }
    groups
}

impl DisplayAs for FactScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.schema.fields().iter().map(|c| c.name().as_str()).collect();
        write!(f, "FactScan: {} columns=[{}]", self.snapshot.table.name, columns.join(", "))?;
        match &self.scope.tenants {
            Tenants::All => write!(f, ", scope=all tenants")?,
            Tenants::One(tenant) => write!(f, ", scope={tenant}")?,
        }
        match &self.filter {
            Some(filter) => write!(f, ", pruned by {filter}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for FactScan {
    fn name(&self) -> &str {
        "FactScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let reader = self.reader();
        let rows = match self.groups.get(partition) {
            Some(group) => reader.fragments(group.clone()).boxed(),
            None => reader.tail().boxed(),
        };
        let counted = rows.inspect_ok(move |batch| baseline.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), counted)))
    }
}

/// What one partition needs to read, apart from the plan it came from.
struct Reader {
    snapshot: Snapshot,
    tenants: Tenants,
    bound: Bound,
    schema: SchemaRef,
    filter: Option<Expr>,
    visible: Arc<tokio::sync::OnceCell<Visible>>,
}

fn outside(e: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(e))
}

impl Reader {
    async fn visible(&self) -> DfResult<&Visible> {
        self.visible.get_or_try_init(|| Visible::of(&self.snapshot, self.bound)).await.map_err(outside)
    }

    fn fragments(self, group: Vec<Fragment>) -> impl futures::Stream<Item = DfResult<RecordBatch>> + Send {
        stream::once(async move {
            let visible = self.visible().await?;
            let table = self.snapshot.table;
            let mut names: Vec<&str> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
            names.extend(visible.columns());
            names.sort_unstable();
            names.dedup();
            if names.is_empty() {
                names.push(crate::table::SEQ); // Lance scans at least one column; `_seq` is the cheapest.
            }
            let mut scan = self.snapshot.dataset.scan();
            scan.with_fragments(group).scan_in_order(false).batch_size(BATCH_ROWS).io_buffer_size(IO_BUFFER_BYTES);
            scan.project(&names).map_err(outside)?;
            let scope = match &self.tenants {
                Tenants::All => None,
                Tenants::One(tenant) => Some(ident(table.tenant).eq(lit(tenant.as_ref()))),
            };
            let filter = scope.into_iter().chain(visible.filter()).chain(self.filter.clone()).reduce(Expr::and);
            if let Some(filter) = filter {
                scan.filter_expr(filter);
            }
            let rows = scan.try_into_stream().await.map_err(outside)?;
            Ok::<_, DataFusionError>(rows.map_err(outside).and_then(move |batch| {
                let shown = self.visible.get().expect("set before the scan began").rows(batch).map_err(outside);
                futures::future::ready(shown.and_then(|batch| self.shape(&batch)))
            }))
        })
        .try_flatten()
        .try_filter(|batch| futures::future::ready(batch.num_rows() > 0))
    }

    fn tail(self) -> impl futures::Stream<Item = DfResult<RecordBatch>> + Send {
        stream::once(async move {
            let visible = self.visible().await?;
            let mut shown = Vec::new();
            for chunk in &self.snapshot.tail {
                let mine = self.mine(&chunk.rows)?;
                let batch = visible.rows(mine).map_err(outside)?;
                let batch = self.shape(&batch)?;
                let slices = (0..batch.num_rows()).step_by(BATCH_ROWS);
                shown.extend(slices.map(|at| Ok(batch.slice(at, BATCH_ROWS.min(batch.num_rows() - at)))));
            }
            Ok::<_, DataFusionError>(stream::iter(shown))
        })
        .try_flatten()
    }

    /// The rows of the scope's tenant.
    fn mine(&self, rows: &RecordBatch) -> DfResult<RecordBatch> {
        let Tenants::One(tenant) = &self.tenants else { return Ok(rows.clone()) };
        let name = self.snapshot.table.tenant;
        let column = rows.column_by_name(name).expect("every row names its tenant");
        let dictionary = column.as_dictionary::<Int32Type>();
        let values = dictionary.values().as_string::<i32>();
        let wanted: Vec<bool> =
            (0..values.len()).map(|i| values.is_valid(i) && values.value(i) == tenant.as_ref()).collect();
        let keep: BooleanArray =
            dictionary.keys().iter().map(|k| Some(k.is_some_and(|k| wanted[k as usize]))).collect();
        Ok(filter_record_batch(rows, &keep)?)
    }

    /// The asked columns in their order and types. Lance may hand a dictionary column back with other keys.
    fn shape(&self, rows: &RecordBatch) -> DfResult<RecordBatch> {
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
