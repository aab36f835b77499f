//! The catalogue of one question: the tables, views and state tables as one scope sees them, `information_schema` with the
//! declarations' comments, and the functions in FROM.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, SchemaProvider,
    TableFunctionImpl, TableProvider,
};
use datafusion::common::plan_err;
use datafusion::datasource::ViewTable;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement;
use parking_lot::RwLock;

use super::information;
use super::narrow::{Wanted, narrow};
use super::provider::{FactProvider, StateProvider};
use super::session::{Parsed, Views, from_datafusion};
use crate::error::{Error, Kind, Result};
use crate::facts::Snapshot;
use crate::facts::current::Bound;
use crate::scope::Scope;
use crate::state::State;
use crate::store::Catalogue;
use crate::table::View;

/// Name of the catalog in `information_schema`.
pub const CATALOG: &str = "stellwerk";
/// Name of the schema that all tables stand in.
pub const SCHEMA: &str = "public";
/// The function that looks back.
const AS_OF: &str = "as_of";
const INFORMATION_SCHEMA: &str = "information_schema";

/// The tables as one scope sees them, at one moment.
pub struct ScopedSchema {
    catalogue: Catalogue,
    snapshots: BTreeMap<&'static str, Snapshot>,
    scope: Scope,
    state: Arc<State>,
    /// How far back tables look whose names stand alone.
    bound: Bound,
    /// Views that this question names, planned.
    views: RwLock<HashMap<&'static str, Arc<dyn TableProvider>>>,
    /// Rows in the tables that the question names, superseded ones among them.
    named_rows: AtomicUsize,
}

impl std::fmt::Debug for ScopedSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScopedSchema").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl ScopedSchema {
    /// The catalogue for one question.
    pub fn new(
        catalogue: &Catalogue,
        snapshots: BTreeMap<&'static str, Snapshot>,
        scope: Scope,
        state: Arc<State>,
        bound: Bound,
    ) -> Self {
        ScopedSchema {
            catalogue: catalogue.clone(),
            snapshots,
            scope,
            state,
            bound,
            views: RwLock::default(),
            named_rows: AtomicUsize::new(0),
        }
    }

    /// Rows in the tables that were named so far: how large the question can be.
    pub fn named_rows(&self) -> usize {
        self.named_rows.load(Ordering::Relaxed)
    }

    /// As DataFusion wants it.
    pub fn catalog_list(self: Arc<Self>) -> Arc<dyn CatalogProviderList> {
        let catalog = MemoryCatalogProvider::new();
        let information = Arc::new(Information { schema: self.clone() });
        catalog.register_schema(SCHEMA, self).expect("a memory catalog takes any schema");
        catalog.register_schema(INFORMATION_SCHEMA, information).expect("a memory catalog takes any schema");
        let list = MemoryCatalogProviderList::new();
        list.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        Arc::new(list)
    }

    /// The functions in FROM, bound to the scope: `as_of('table', <_seq or timestamp>)` and those of the floors above.
    pub fn functions(self: Arc<Self>) -> Vec<(String, Arc<dyn TableFunctionImpl>)> {
        let brought =
            self.catalogue.table_functions.iter().map(|function| function.bound(&self.scope)).collect::<Vec<_>>();
        let as_of: Arc<dyn TableFunctionImpl> = Arc::new(AsOf { schema: self });
        std::iter::once((AS_OF.to_owned(), as_of)).chain(brought).collect()
    }

    /// Plans the views that a statement names, and those that they name, each with the columns that may be named somewhere.
    /// `information_schema` names all of them. Answers whether a view lacks columns.
    pub async fn plan_views(&self, session: &SessionState, views: &Views, statement: &Statement) -> Result<bool> {
        let mut named = Vec::new();
        let whole = self.gather(session, views, statement, &mut named)?;
        if named.is_empty() {
            return Ok(false);
        }
        let asked = if whole { Wanted::EVERYTHING } else { Wanted::of(statement) };
        let mut narrowed = false;
        // Whoever names a view stands before it, so those that are named are planned first.
        for at in (0..named.len()).rev() {
            let others = named.iter().enumerate().filter(|(other, _)| *other != at);
            let wanted = others.fold(asked.clone(), |wanted, (_, (_, parsed))| wanted.or(&parsed.wanted));
            let (view, parsed) = &named[at];
            let cut = narrow(&parsed.statement, &wanted);
            narrowed |= cut.is_some();
            self.plan_view(session, view, cut.unwrap_or_else(|| parsed.statement.clone())).await?;
        }
        Ok(narrowed)
    }

    /// Plans them once more, with every column: whoever named one that is none is told those that there are.
    pub async fn plan_views_whole(&self, session: &SessionState, views: &Views, statement: &Statement) -> Result<()> {
        let mut named = Vec::new();
        self.gather(session, views, statement, &mut named)?;
        for (view, parsed) in named.into_iter().rev() {
            self.plan_view(session, view, parsed.statement.clone()).await?;
        }
        Ok(())
    }

    /// The views that a statement needs, whoever names one before it; answers whether it asks for all that is known of views.
    fn gather<'a>(
        &'a self,
        session: &SessionState,
        views: &Views,
        statement: &Statement,
        named: &mut Vec<(&'a View, Arc<Parsed>)>,
    ) -> Result<bool> {
        let mut all = false;
        for reference in session.resolve_table_references(statement).map_err(from_datafusion)? {
            let whole = reference.schema() == Some(INFORMATION_SCHEMA);
            all |= whole;
            for view in self.catalogue.views.iter().filter(|v| whole || v.name == reference.table()) {
                // It moves behind whoever named it last, and what it names behind it.
                named.retain(|(other, _)| other.name != view.name);
                let parsed = views.parsed(view).map_err(|e| broken(view, e))?;
                named.push((view, Arc::clone(&parsed)));
                self.gather(session, views, &parsed.statement, named)?;
            }
        }
        Ok(all)
    }

    async fn plan_view(&self, session: &SessionState, view: &View, statement: Statement) -> Result<()> {
        let plan = session.statement_to_plan(statement).await.map_err(|e| broken(view, from_datafusion(e)))?;
        let table = Arc::new(ViewTable::new(plan, Some(view.sql.to_owned())));
        let name = self.catalogue.views.iter().find(|v| v.name == view.name).expect("it is one of them").name;
        self.views.write().insert(name, table);
        Ok(())
    }

    fn provider(&self, name: &str, bound: Bound) -> Option<Arc<dyn TableProvider>> {
        if let Some(snapshot) = self.snapshots.get(name) {
            self.named_rows.fetch_add(snapshot.physical_rows(), Ordering::Relaxed);
            return Some(Arc::new(FactProvider::new(snapshot.clone(), self.scope.clone(), bound)));
        }
        let state_table = self.catalogue.state_tables.iter().find(|t| t.name == name);
        if let (Some(table), Bound::Now) = (state_table, bound) {
            return Some(Arc::new(StateProvider::new(table, self.state.clone(), self.scope.clone())));
        }
        self.views.read().get(name).cloned()
    }
}

#[async_trait]
impl SchemaProvider for ScopedSchema {
    fn table_names(&self) -> Vec<String> {
        let tables = self.snapshots.keys().copied();
        let state = self.catalogue.state_tables.iter().map(|t| t.name);
        tables.chain(state).chain(self.catalogue.views.iter().map(|v| v.name)).map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> DfResult<Option<Arc<dyn TableProvider>>> {
        let found = self.provider(name, self.bound);
        if found.is_none() && self.catalogue.state_tables.iter().any(|table| table.name == name) {
            return plan_err!("{name} keeps no history: it cannot be asked as of then");
        }
        Ok(found)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.provider(name, self.bound).is_some()
    }
}

struct Information {
    schema: Arc<ScopedSchema>,
}

impl std::fmt::Debug for Information {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Information")
    }
}

#[async_trait]
impl SchemaProvider for Information {
    fn table_names(&self) -> Vec<String> {
        information::TABLES.iter().map(|t| (*t).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> DfResult<Option<Arc<dyn TableProvider>>> {
        let views = self.schema.views.read().iter().map(|(name, table)| (*name, table.schema())).collect();
        information::table(name, &self.schema.catalogue, &views)
    }

    fn table_exist(&self, name: &str) -> bool {
        information::TABLES.contains(&name)
    }
}

struct AsOf {
    schema: Arc<ScopedSchema>,
}

impl std::fmt::Debug for AsOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AsOf")
    }
}

impl TableFunctionImpl for AsOf {
    fn call(&self, args: &[Expr]) -> DfResult<Arc<dyn TableProvider>> {
        let usage = || {
            DataFusionError::Plan("as_of takes a table's name and a _seq or a timestamp: as_of('cost_line', 1200) or as_of('cost_line', '2026-05-01T00:00:00Z')".to_owned())
        };
        let [Expr::Literal(name, _), at] = args else { return Err(usage()) };
        let name = name.try_as_str().flatten().ok_or_else(usage)?.to_ascii_lowercase();
        let bound = bound_of(at).ok_or_else(usage)?;
        let unknown = || DataFusionError::Plan(format!("as_of knows no table of facts named {name}"));
        self.schema
            .provider(&name, bound)
            .filter(|_| self.schema.snapshots.contains_key(name.as_str()))
            .ok_or_else(unknown)
    }
}

fn broken(view: &View, error: Error) -> Error {
    Error::new(Kind::Internal, format!("view {}: {error}", view.name))
}

fn bound_of(at: &Expr) -> Option<Bound> {
    let value = match at {
        Expr::Literal(value, _) => value.clone(),
        // `TIMESTAMP '…'` and `'…'::timestamp` come as a cast of a text.
        Expr::Cast(cast) => match &*cast.expr {
            Expr::Literal(value, _) => value.clone(),
            _ => return None,
        },
        _ => return None,
    };
    if let Some(Some(text)) = value.try_as_str() {
        let at = ScalarValue::Utf8(Some(text.to_owned())).cast_to(&crate::table::Type::Time.arrow()).ok()?;
        return match at {
            ScalarValue::TimestampMicrosecond(Some(us), _) => Some(Bound::Time(us)),
            _ => None,
        };
    }
    match value.cast_to(&arrow::datatypes::DataType::Int64).ok()? {
        ScalarValue::Int64(Some(seq)) => Some(Bound::Seq(u64::try_from(seq).ok()?)),
        _ => None,
    }
}
