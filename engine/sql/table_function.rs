//! Functions in FROM that a higher floor brings: rows worked out for one asker, such as the answer of a search. The scope is
//! bound when the catalogue of the question is made, the guard finds it in the plan, and every row that comes back is held
//! against it once more.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionImpl, TableProvider};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use datafusion::scalar::ScalarValue;

use super::functions::FunctionDoc;
use crate::error::{Error, Kind, Result};
use crate::scope::Scope;

/// The column by which rows are held against the scope.
pub const TENANT: &str = "tenant";

/// Rows worked out for an asker.
#[async_trait]
pub trait ScopedRows: Send + Sync + fmt::Debug {
    /// The rows' schema; a text column `tenant` is among it.
    fn schema(&self) -> SchemaRef;
    /// Looks at the arguments when the question is planned; an error says how the function is called.
    fn check(&self, arguments: &[ScalarValue]) -> Result<()>;
    /// The rows that `scope` may see.
    async fn rows(&self, scope: &Scope, arguments: &[ScalarValue]) -> Result<RecordBatch>;
}

/// A function in FROM; a [`Catalogue`](crate::Catalogue) lists it.
#[derive(Debug, Clone)]
pub struct TableFunction {
    /// Its entry in the SQL reference.
    pub doc: FunctionDoc,
    /// What it answers.
    pub rows: Arc<dyn ScopedRows>,
}

impl TableFunction {
    /// The function for one asker, as DataFusion calls it.
    pub(crate) fn bound(&self, scope: &Scope) -> (String, Arc<dyn TableFunctionImpl>) {
        let bound = Bound { function: self.clone(), scope: scope.clone() };
        (self.doc.name.to_owned(), Arc::new(bound))
    }
}

#[derive(Debug)]
struct Bound {
    function: TableFunction,
    scope: Scope,
}

impl TableFunctionImpl for Bound {
    fn call(&self, arguments: &[Expr]) -> DfResult<Arc<dyn TableProvider>> {
        let doc = self.function.doc;
        let usage = || DataFusionError::Plan(format!("{} takes constants: {}", doc.name, doc.signature));
        let arguments = arguments.iter().map(constant).collect::<Option<Vec<_>>>().ok_or_else(usage)?;
        self.function.rows.check(&arguments).map_err(|e| DataFusionError::External(Box::new(e)))?;
        let call = Call { function: self.function.clone(), scope: self.scope.clone(), arguments };
        Ok(Arc::new(Provider { call: Arc::new(call) }))
    }
}

/// The value of a literal, with a sign or a cast around it.
fn constant(argument: &Expr) -> Option<ScalarValue> {
    match argument {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Cast(of) => constant(&of.expr)?.cast_to(of.field.data_type()).ok(),
        Expr::Negative(of) => constant(of)?.arithmetic_negate().ok(),
        _ => None,
    }
}

/// One call under one scope.
#[derive(Debug)]
struct Call {
    function: TableFunction,
    scope: Scope,
    arguments: Vec<ScalarValue>,
}

impl Call {
    async fn rows(&self) -> Result<RecordBatch> {
        let name = self.function.doc.name;
        let rows = self.function.rows.rows(&self.scope, &self.arguments).await?;
        if rows.schema().fields() != self.function.rows.schema().fields() {
            return Err(Error::new(Kind::Internal, format!("{name}() answered other columns than it declares")));
        }
        if !only_of(&self.scope, &rows)? {
            return Err(Error::new(Kind::Denied, format!("{name}() answered a row that is not the asker's")));
        }
        Ok(rows)
    }
}

/// Whether every row is of the scope's tenants.
fn only_of(scope: &Scope, rows: &RecordBatch) -> Result<bool> {
    if scope.tenants.named().is_none() {
        return Ok(true);
    }
    let column = rows.column_by_name(TENANT);
    let column = column.ok_or_else(|| Error::new(Kind::Internal, "rows of a function name their tenant"))?;
    let names = cast(column, &DataType::Utf8).map_err(|e| Error::unavailable("read the tenants of rows", e))?;
    let names = names.as_string::<i32>();
    Ok((0..names.len()).all(|row| names.is_valid(row) && scope.tenants.covers(names.value(row))))
}

#[derive(Debug)]
struct Provider {
    call: Arc<Call>,
}

#[async_trait]
impl TableProvider for Provider {
    fn schema(&self) -> SchemaRef {
        self.call.function.rows.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let whole = self.schema();
        let projection = projection.cloned().unwrap_or_else(|| (0..whole.fields().len()).collect());
        let schema = Arc::new(whole.project(&projection)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Ok(Arc::new(FunctionScan { call: self.call.clone(), projection, schema, properties: Arc::new(properties) }))
    }
}

/// The rows of one call under one scope.
#[derive(Debug)]
pub struct FunctionScan {
    call: Arc<Call>,
    projection: Vec<usize>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl FunctionScan {
    /// The scope that the scan carries.
    pub fn scope(&self) -> &Scope {
        &self.call.scope
    }
}

impl DisplayAs for FunctionScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FunctionScan: {}", self.call.function.doc.name)
    }
}

impl ExecutionPlan for FunctionScan {
    fn name(&self) -> &str {
        "FunctionScan"
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
        let (call, projection) = (self.call.clone(), self.projection.clone());
        let rows = futures::stream::once(async move {
            let rows = call.rows().await.map_err(|e| DataFusionError::External(Box::new(e)))?;
            Ok(rows.project(&projection)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows)))
    }
}
