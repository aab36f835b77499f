//! Tables as DataFusion sees them: one provider for facts, one for state, each bound to a scope when it is made.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use datafusion::scalar::ScalarValue;

use crate::facts::Snapshot;
use crate::facts::current::Bound;
use crate::facts::scan::{FactScan, Wanted};
use crate::scope::Scope;
use crate::state::{State, StateTable};
use crate::table::Index;

/// A table of facts under one scope.
#[derive(Debug)]
pub struct FactProvider {
    snapshot: Snapshot,
    scope: Scope,
    bound: Bound,
    schema: SchemaRef,
}

impl FactProvider {
    /// The table as `scope` sees it, looking back to `bound`.
    pub fn new(snapshot: Snapshot, scope: Scope, bound: Bound) -> Self {
        let schema = snapshot.table.sql_schema();
        FactProvider { snapshot, scope, bound, schema }
    }
}

#[async_trait]
impl TableProvider for FactProvider {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DfResult<Vec<TableProviderFilterPushDown>> {
        let verdict = |filter: &&Expr| match evaluable(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(verdict).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let table = DFSchema::try_from(self.schema.clone())?;
        let physical = |filter: &Expr| session.create_physical_expr(unqualified(filter.clone())?, &table);
        let wanted = Wanted {
            schema,
            filters: filters.iter().map(physical).collect::<DfResult<_>>()?,
            needle: filters.iter().find_map(|filter| self.needle(filter)),
            partitions: session.config().target_partitions(),
        };
        Ok(Arc::new(FactScan::new(self.snapshot.clone(), self.scope.clone(), self.bound, wanted)))
    }
}

impl FactProvider {
    /// The filter as Lance's index takes it, if it looks an indexed id up.
    fn needle(&self, filter: &Expr) -> Option<(&'static str, Expr)> {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                let (column, either) = self.needle(left)?;
                let (_, or) = self.needle(right).filter(|(other, _)| *other == column)?;
                Some((column, either.or(or)))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (&**left, &**right) {
                (Expr::Column(column), Expr::Literal(value, _)) | (Expr::Literal(value, _), Expr::Column(column)) => {
                    Some((self.indexed(column)?, bare(column).eq(constant(value)?)))
                }
                _ => None,
            },
            Expr::InList(InList { expr, list, negated: false }) => match &**expr {
                Expr::Column(column) => {
                    let constants = list.iter().map(|e| match e {
                        Expr::Literal(value, _) => constant(value),
                        _ => None,
                    });
                    let constants = constants.collect::<Option<Vec<_>>>()?;
                    Some((self.indexed(column)?, bare(column).in_list(constants, false)))
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn indexed(&self, column: &Column) -> Option<&'static str> {
        let mut indexed = self.snapshot.table.indexes.iter().map(|Index::BTree(name)| *name);
        indexed.find(|name| *name == column.name)
    }
}

/// Whether a filter depends on a row of this table alone.
fn evaluable(filter: &Expr) -> bool {
    let outside = |expr: &Expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Placeholder(_)
                | Expr::Unnest(_)
        ))
    };
    !filter.is_volatile() && !filter.exists(outside).unwrap_or(true)
}

fn unqualified(filter: Expr) -> DfResult<Expr> {
    let bare_column = |expr| match expr {
        Expr::Column(column) => Ok(Transformed::yes(bare(&column))),
        other => Ok(Transformed::no(other)),
    };
    filter.transform(bare_column).data()
}

fn bare(column: &Column) -> Expr {
    Expr::Column(Column::new_unqualified(column.name.clone()))
}

/// Lance compares a dictionary column with a plain constant.
fn constant(value: &ScalarValue) -> Option<Expr> {
    match value {
        value if value.is_null() => None,
        ScalarValue::Dictionary(_, inner) => constant(inner),
        ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => {
            Some(Expr::Literal(ScalarValue::Utf8(text.clone()), None))
        }
        value => Some(Expr::Literal(value.clone(), None)),
    }
}

/// A state table under one scope.
#[derive(Debug)]
pub struct StateProvider {
    table: &'static StateTable,
    state: Arc<State>,
    scope: Scope,
}

impl StateProvider {
    /// The table as `scope` sees it.
    pub fn new(table: &'static StateTable, state: Arc<State>, scope: Scope) -> Self {
        StateProvider { table, state, scope }
    }
}

#[async_trait]
impl TableProvider for StateProvider {
    fn schema(&self) -> SchemaRef {
        self.table.sql_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let whole = self.table.sql_schema();
        let projection = projection.cloned().unwrap_or_else(|| (0..whole.fields().len()).collect());
        let schema = Arc::new(whole.project(&projection)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Ok(Arc::new(StateScan {
            table: self.table,
            state: self.state.clone(),
            scope: self.scope.clone(),
            projection,
            schema,
            limit,
            properties: Arc::new(properties),
        }))
    }
}

/// A scan of one state table under one scope.
#[derive(Debug)]
pub struct StateScan {
    table: &'static StateTable,
    state: Arc<State>,
    scope: Scope,
    projection: Vec<usize>,
    schema: SchemaRef,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl StateScan {
    /// The scope that the scan carries.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl DisplayAs for StateScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateScan: {}", self.table.name)
    }
}

impl ExecutionPlan for StateScan {
    fn name(&self) -> &str {
        "StateScan"
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

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let (table, state, scope) = (self.table, self.state.clone(), self.scope.clone());
        let (projection, limit) = (self.projection.clone(), self.limit);
        let rows = futures::stream::once(async move {
            let batch =
                state.read(table, &scope.tenants, limit).await.map_err(|e| DataFusionError::External(Box::new(e)))?;
            Ok(batch.project(&projection)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows)))
    }
}
