//! One question from text to a stream: parsed, planned over the catalogue of its scope, checked by the second wall, run
//! within the memory that all questions share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::context::{SQLOptions, SessionState};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use parking_lot::RwLock;

use super::catalogue::{CATALOG, SCHEMA, ScopedSchema};
use super::names::Names;
use super::narrow::Wanted;
use super::{guard, install};
use crate::error::{Error, Kind, Result};
use crate::facts::Snapshot;
use crate::facts::current::Bound;
use crate::memory::Memory;
use crate::scope::Scope;
use crate::settings::Settings;
use crate::state::State;
use crate::store::{Catalogue, Question};
use crate::table::View;

/// Names that are not columns of a declared table but keep their spelling.
const STORE_NAMES: &[&str] = &[crate::table::SEQ];

/// Tables of fewer rows together are read by one thread: starting more costs longer than they save, and rows that an
/// ORDER BY leaves equal come in the order in which they were first seen.
const PARALLEL_ROWS_MIN: usize = 65_536;

/// What questions share: the names, the functions, the memory.
pub struct Asking {
    names: Arc<Names>,
    catalogue: Catalogue,
    base: SessionState,
    views: Views,
}

/// The views' texts, parsed once. What they mean depends on the scope, what they say does not.
pub struct Views {
    names: Arc<Names>,
    parsed: RwLock<HashMap<&'static str, Arc<Parsed>>>,
}

/// What a view says, and what it may name of other views.
pub struct Parsed {
    pub statement: Statement,
    pub wanted: Wanted,
}

impl Views {
    /// What a view says.
    pub fn parsed(&self, view: &View) -> Result<Arc<Parsed>> {
        if let Some(parsed) = self.parsed.read().get(view.name) {
            return Ok(Arc::clone(parsed));
        }
        let statement = super::parse(view.sql, &self.names, &[])?;
        let parsed = Arc::new(Parsed { wanted: Wanted::of(&statement), statement });
        self.parsed.write().insert(view.name, Arc::clone(&parsed));
        Ok(parsed)
    }
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking").finish_non_exhaustive()
    }
}

/// Every name that SQL may spell in any case.
pub fn names(catalogue: &Catalogue) -> Names {
    let mut names: Vec<&str> = STORE_NAMES.to_vec();
    for table in &catalogue.tables {
        names.extend([table.name, table.source, table.ingested_at]);
        names.extend(table.columns.iter().map(|c| c.name));
    }
    for table in &catalogue.state_tables {
        names.push(table.name);
        names.extend(table.columns.iter().map(|c| c.name));
    }
    names.extend(catalogue.views.iter().map(|v| v.name));
    // A view's own columns stand quoted in its text.
    names.extend(catalogue.views.iter().flat_map(|v| v.sql.split('"').skip(1).step_by(2)));
    Names::new(names)
}

impl Asking {
    /// Prepares for the catalogue; spill files go under the data directory.
    pub fn new(settings: &Settings, catalogue: &Catalogue, memory: &Memory) -> Result<Asking> {
        let spill = settings.data.join("spill");
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(memory.pool())
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![spill])),
            )
            .build();
        let runtime: RuntimeEnv = runtime.map_err(|e| Error::unavailable("prepare for questions", e))?;
        let config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(false);
        let builder =
            SessionStateBuilder::new().with_default_features().with_config(config).with_runtime_env(Arc::new(runtime));
        // Each question brings its own table functions, and no others: what generates rows carries no scope.
        let mut builder = install(builder).with_table_function_list(Vec::new());
        let functions = builder.scalar_functions().get_or_insert_with(Vec::new);
        functions.extend(catalogue.functions.iter().map(|function| Arc::clone(&function.udf)));
        let base = builder.build();
        let names = Arc::new(names(catalogue));
        let views = Views { names: Arc::clone(&names), parsed: RwLock::default() };
        Ok(Asking { names, catalogue: catalogue.clone(), base, views })
    }

    /// Plans a question over what was there at `bound`, and starts it.
    pub async fn ask(
        &self,
        scope: &Scope,
        question: &Question,
        bound: Bound,
        snapshots: BTreeMap<&'static str, Snapshot>,
        state: &Arc<State>,
    ) -> Result<SendableRecordBatchStream> {
        let statement = super::parse(&question.sql, &self.names, &question.params)?;
        let schema = Arc::new(ScopedSchema::new(&self.catalogue, snapshots, scope.clone(), state.clone(), bound));
        // A copy, not a rebuilt state: that would register hundreds of functions anew for every question.
        let mut session = self.base.clone();
        session.register_catalog_list(schema.clone().catalog_list());
        for (name, function) in schema.clone().functions() {
            session.register_udtf(&name, function);
        }
        let plan = match schema.plan_views(&session, &self.views, &statement).await? {
            false => session.statement_to_plan(statement).await,
            true => match session.statement_to_plan(statement.clone()).await {
                Ok(plan) => Ok(plan),
                Err(_) => {
                    schema.plan_views_whole(&session, &self.views, &statement).await?;
                    session.statement_to_plan(statement).await
                }
            },
        };
        let plan = plan.map_err(from_datafusion)?;
        let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reading.verify_plan(&plan).map_err(from_datafusion)?;
        if schema.named_rows() < PARALLEL_ROWS_MIN {
            session.config_mut().options_mut().execution.target_partitions = 1;
        }
        // One instant for the whole question: without it now() and its kin cannot be planned.
        session.mark_start_execution();
        let plan = session.create_physical_plan(&plan).await.map_err(from_datafusion)?;
        guard::check(&plan, scope)?;
        execute_stream(plan, session.task_ctx()).map_err(from_datafusion)
    }
}

/// DataFusion's error with our kind: what the asker wrote, what the limits allow, or what failed below.
pub fn from_datafusion(error: DataFusionError) -> Error {
    if let Some(ours) = find_ours(&error) {
        return Error::new(ours.kind(), ours.to_string());
    }
    let root = error.find_root();
    let kind = match root {
        DataFusionError::ResourcesExhausted(_) => Kind::Limit,
        DataFusionError::Internal(_) => Kind::Internal,
        DataFusionError::IoError(_) | DataFusionError::ObjectStore(_) | DataFusionError::External(_) => {
            Kind::Unavailable
        }
        _ => Kind::Invalid,
    };
    Error::new(kind, root.strip_backtrace())
}

fn find_ours(error: &DataFusionError) -> Option<&Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(ours) = inner.downcast_ref::<Error>() {
            return Some(ours);
        }
        cause = inner.source();
    }
    None
}
