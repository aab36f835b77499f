//! The physical scan of one table: flushed fragments as N partitions and the tail as one more; the scope, the
//! currentness of rows and the asker's filters applied inside, in this order.

mod acl;
mod filter;
mod fragment;
mod reader;
mod zoned;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_expr_common::physical_expr::is_dynamic_physical_expr;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::sort_pushdown::SortOrderPushdownResult;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt};
use lance_table::format::Fragment;

use super::Snapshot;
use super::current::{Bound, Visible};
use super::zones::ZONE_ROWS;
use crate::scope::{Scope, Tenants};
pub use acl::admits;
use filter::Filters;
use reader::Reader;

/// Rows of a batch that a scan hands up.
pub const BATCH_ROWS: usize = 8_192;
/// Bytes that Lance may read ahead for one partition.
pub const IO_BUFFER_BYTES: u64 = 32 << 20;

/// A rest of a fragment that is smaller than this is not left to another partition.
const PIECE_ZONES_MIN: usize = 8;

/// Some zones of a fragment, neighbours.
#[derive(Debug, Clone)]
struct Piece {
    fragment: Fragment,
    /// The last piece of a fragment has no end: its zones are known when it is opened.
    zones: Range<usize>,
}

/// A scan of one table under one scope.
#[derive(Debug, Clone)]
pub struct FactScan {
    snapshot: Snapshot,
    scope: Scope,
    bound: Bound,
    schema: SchemaRef,
    filters: Filters,
    /// An indexed column, and the part of the filters that its index answers.
    needle: Option<(&'static str, Expr)>,
    /// The question wants the latest (or else the earliest) rows, and may stop early.
    latest_first: Option<bool>,
    groups: Vec<Vec<Piece>>,
    visible: Arc<tokio::sync::OnceCell<Visible>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// What a scan reads.
#[derive(Debug)]
pub struct Wanted {
    /// The columns, in their order.
    pub schema: SchemaRef,
    /// Filters over columns of the table, by name.
    pub filters: Vec<Arc<dyn PhysicalExpr>>,
    /// An indexed column, and the part of the filters that its index answers.
    pub needle: Option<(&'static str, Expr)>,
    /// Partitions at most, the tail aside.
    pub partitions: usize,
}

impl FactScan {
    /// Scans `snapshot` as `scope` sees it, looking back to `bound`.
    pub fn new(snapshot: Snapshot, scope: Scope, bound: Bound, wanted: Wanted) -> Self {
        let Wanted { schema, filters, needle, partitions } = wanted;
        // An index is asked once for all fragments.
        let partitions = if needle.is_some() { 1 } else { partitions };
        let groups = group(&snapshot, partitions);
        let count = groups.len() + usize::from(!snapshot.tail.is_empty());
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(count.max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let acl = snapshot.table.acl.zip(scope.groups().map(Arc::from));
        let filters = Filters { table: snapshot.table, tenants: scope.tenants.clone(), acl, asked: filters };
        FactScan {
            snapshot,
            scope,
            bound,
            schema,
            filters,
            needle,
            latest_first: None,
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

    /// The number of rows, where counting needs no look at them.
    fn known_rows(&self) -> Option<usize> {
        let counted = self.scope.tenants == Tenants::All
            && !self.snapshot.table.supersedes()
            && matches!(self.bound, Bound::Now)
            && self.filters.acl.is_none()
            && self.filters.asked.is_empty();
        let fragments = self.groups.iter().flatten().filter(|piece| piece.zones.start == 0);
        let flushed = fragments.map(|piece| piece.fragment.num_rows());
        let tail = self.snapshot.tail.iter().map(|chunk| Some(chunk.rows.num_rows()));
        counted.then(|| flushed.chain(tail).sum::<Option<usize>>()).flatten()
    }

    fn reader(&self) -> Reader {
        Reader {
            snapshot: self.snapshot.clone(),
            bound: self.bound,
            schema: self.schema.clone(),
            filters: self.filters.clone(),
            needle: self.needle.clone(),
            latest_first: self.latest_first,
            visible: self.visible.clone(),
        }
    }
}

/// Spreads fragments over at most `partitions` groups of about the same number of rows, in order. A fragment that is too
/// large for one group is cut between zones.
fn group(snapshot: &Snapshot, partitions: usize) -> Vec<Vec<Piece>> {
    let rows = |fragment: &Fragment| fragment.physical_rows.unwrap_or(1).max(1);
    let total: usize = snapshot.dataset.fragments().iter().map(rows).sum();
    let each = total.div_ceil(partitions.max(1)).max(1);
    let mut groups: Vec<Vec<Piece>> = Vec::new();
    let mut filled = each;
    for fragment in snapshot.dataset.fragments().iter() {
        let (count, mut begin) = (rows(fragment).div_ceil(ZONE_ROWS), 0);
        while begin < count {
            if filled >= each {
                groups.push(Vec::new());
                filled = 0;
            }
            let (room, rest) = ((each - filled).div_ceil(ZONE_ROWS), count - begin);
            let taken = if rest <= room + PIECE_ZONES_MIN { rest } else { room };
            let end = if taken == rest { usize::MAX } else { begin + taken };
            let piece = Piece { fragment: fragment.clone(), zones: begin..end };
            groups.last_mut().expect("a group was just pushed").push(piece);
            filled += taken * ZONE_ROWS;
            begin += taken;
        }
    }
    groups
}

/// The same pieces dealt out in turn, the newest first: each partition soon meets the latest rows.
fn deal(groups: &[Vec<Piece>], latest_first: bool) -> Vec<Vec<Piece>> {
    let mut pieces: Vec<Piece> = groups.iter().flatten().cloned().collect();
    if latest_first {
        pieces.reverse();
    }
    let mut dealt = vec![Vec::new(); groups.len()];
    for (at, piece) in pieces.into_iter().enumerate() {
        dealt[at % groups.len()].push(piece);
    }
    dealt
}

impl DisplayAs for FactScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.schema.fields().iter().map(|c| c.name().as_str()).collect();
        write!(f, "FactScan: {} columns=[{}]", self.snapshot.table.name, columns.join(", "))?;
        match &self.scope.tenants {
            Tenants::All => write!(f, ", scope=all tenants")?,
            Tenants::One(tenant) => write!(f, ", scope={tenant}")?,
            Tenants::Several(tenants) => write!(f, ", scope={}", tenants.join("+"))?,
        }
        if let Some((_, needle)) = &self.needle {
            write!(f, ", looked up by {needle}")?;
        }
        if let Some(latest) = self.latest_first {
            write!(f, ", {} first", if latest { "latest" } else { "earliest" })?;
        }
        for filter in &self.filters.asked {
            write!(f, ", where {filter}")?;
        }
        Ok(())
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

    fn partition_statistics(&self, partition: Option<usize>) -> DfResult<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        if let Some(rows) = self.known_rows().filter(|_| partition.is_none()) {
            statistics.num_rows = Precision::Exact(rows);
        }
        Ok(Arc::new(statistics))
    }

    /// Takes what a TopK or a join above finds out while it runs. They keep their own filter: ours only spares rows.
    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> DfResult<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let answers = vec![PushedDown::No; result.parent_filters.len()];
        let propagation = FilterPushdownPropagation::with_parent_pushdown_result(answers);
        let mut growing = result.parent_filters.into_iter().map(|offer| offer.filter).filter(is_dynamic_physical_expr);
        let Some(first) = growing.next() else { return Ok(propagation) };
        let mut scan = self.clone();
        scan.filters.asked.push(first);
        scan.filters.asked.extend(growing);
        Ok(propagation.with_updated_node(Arc::new(scan)))
    }

    /// A question for the latest rows meets them first, and a TopK above soon needs no others.
    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
    ) -> DfResult<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        let first = order.first().and_then(|first| first.expr.downcast_ref::<Column>().map(|column| (column, first)));
        match first {
            Some((column, first)) if column.name() == self.snapshot.table.time && self.needle.is_none() => {
                let latest_first = first.options.descending;
                let groups = deal(&self.groups, latest_first);
                let scan = FactScan { latest_first: Some(latest_first), groups, ..self.clone() };
                Ok(SortOrderPushdownResult::Inexact { inner: Arc::new(scan) })
            }
            _ => Ok(SortOrderPushdownResult::Unsupported),
        }
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

fn outside(e: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(e))
}
