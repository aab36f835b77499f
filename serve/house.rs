//! The open components together, and what every door asks of them: an answer, a file's rows, the reference, keys.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::arrow::array::RecordBatch;
use engine::arrow::datatypes::SchemaRef;
use engine::sql::session::from_datafusion;
use engine::{Error, Kind, Limits, Question, Result, Scope, Store};
use futures::StreamExt;
use futures::stream::BoxStream;
use ingest::ado::live::{Live, Outcome, Watch, Wish};
use ingest::{FileOptions, Progress, Source, Summary};
use ledger::directory::Directory;
use ledger::policy::{AuditReport, PolicySet};
use ledger::price::Prices;
use ledger::principal::Role;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::problem::kind_name;
use crate::metrics::Metrics;
use crate::reach::{AuditWish, KeyWish, NewKey};
use crate::reference::{Reference, TableEntry, TableKind};

/// Questions answered at the same time; one more is told to come back.
pub const QUESTIONS_MAX: usize = 16;

/// Everything that is open.
#[derive(Debug)]
pub struct House {
    /// The tables.
    pub store: Arc<Store>,
    /// Tenants and keys.
    pub directory: Directory,
    /// The prices that SQL's functions use.
    pub prices: Arc<Prices>,
    /// This process's figures.
    pub metrics: Arc<Metrics>,
    reference: Reference,
    gate: Arc<Semaphore>,
}

/// A running answer. Dropping it cancels the question.
pub struct Found {
    /// Id of the question in `query_log`.
    pub query_id: String,
    /// The answer's schema.
    pub schema: SchemaRef,
    /// Its rows.
    pub batches: BoxStream<'static, Result<RecordBatch>>,
}

impl House {
    /// The components together.
    pub fn new(store: Arc<Store>, directory: Directory, prices: Arc<Prices>, reference: Reference) -> Self {
        let gate = Arc::new(Semaphore::new(QUESTIONS_MAX));
        House { store, directory, prices, metrics: Arc::default(), reference, gate }
    }

    /// Asks one question under a scope. Refused with `Overloaded` when too many are being answered.
    pub async fn ask(&self, scope: &Scope, question: Question, limits: Limits) -> Result<Found> {
        let permit = Arc::clone(&self.gate).try_acquire_owned().map_err(|_| {
            let kind = Kind::Overloaded { retry_after: Duration::from_secs(1) };
            Error::new(kind, format!("{QUESTIONS_MAX} questions are being answered already; ask again in a second"))
        })?;
        let mut timer = self.metrics.query();
        let answer = match self.store.query(scope, question, limits).await {
            Ok(answer) => answer,
            Err(error) => {
                timer.ended(kind_name(error.kind()));
                return Err(error);
            }
        };
        let schema = answer.stream.schema();
        let running = Running { stream: answer.stream, timer, _permit: permit };
        let batches = futures::stream::unfold(running, |mut running| async {
            let item = running.next().await?;
            Some((item, running))
        });
        Ok(Found { query_id: answer.query_id, schema, batches: batches.fuse().boxed() })
    }

    /// Reads one file or folder of a kind and makes its rows durable.
    pub async fn ingest(
        &self,
        kind: &str,
        path: &Path,
        options: &FileOptions,
        progress: &dyn Progress,
    ) -> Result<Summary> {
        let source = source(kind)?;
        let scope = Scope::platform("operator");
        let summary = source.ingest_path(&self.store, &scope, path, options, progress).await?;
        if kind == ingest::price::KIND {
            self.prices.load(&self.store).await?;
        }
        self.metrics.ingested(kind, &summary);
        Ok(summary)
    }

    /// Holds the stored objects against a folder of policies and keeps what is broken.
    pub async fn audit(&self, wish: &AuditWish) -> Result<AuditReport> {
        let policies = wish.policies.clone();
        let loading = tokio::task::spawn_blocking(move || PolicySet::load(&policies));
        let set = loading.await.map_err(|e| Error::unavailable("read the policies", e))??;
        let all = || Scope::platform("operator");
        let scope = wish.tenant.as_deref().map_or_else(all, |tenant| Scope::tenant(tenant, "operator"));
        ledger::policy::audit(&self.store, &scope, Arc::new(set), &wish.options).await
    }

    /// Reads an Azure DevOps organization.
    pub async fn read_ado(&self, wish: &Wish, watch: &dyn Watch) -> Result<Outcome> {
        let live = Live::open(Arc::clone(&self.store), &Scope::platform("operator"), wish.clone())?;
        live.run(watch).await
    }

    /// Makes a key: the platform's, or a tenant's.
    pub async fn create_key(&self, wish: &KeyWish) -> Result<NewKey> {
        let role = if wish.tenant.is_some() { Role::Tenant } else { Role::Platform };
        let (key, secret) = self.directory.create_key(wish.tenant.as_deref(), &wish.name, role).await?;
        Ok(NewKey { entry: key.into(), key: secret.reveal().to_owned() })
    }

    /// Why the store takes no rows now, if it does not.
    pub fn unready(&self) -> Option<String> {
        self.gate.is_closed().then(|| "the process is stopping".to_owned())
    }

    /// The SQL reference.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The SQL reference with the rows that the scope sees in each table.
    pub async fn counted_reference(&self, scope: &Scope) -> Result<Reference> {
        let mut reference = self.reference.clone();
        self.count(scope, reference.tables.iter_mut().filter(|t| t.kind != TableKind::View).collect()).await?;
        Ok(reference)
    }

    /// Fills in the rows of these tables that the scope sees, with one question for all.
    pub async fn count(&self, scope: &Scope, tables: Vec<&mut TableEntry>) -> Result<()> {
        use engine::arrow::array::AsArray;
        use engine::arrow::datatypes::Int64Type;
        let part = |(at, table): (usize, &&mut TableEntry)| {
            format!("SELECT CAST({at} AS BIGINT) AS at, count(*) AS n FROM \"{}\"", table.name)
        };
        let sql = tables.iter().enumerate().map(part).collect::<Vec<_>>().join(" UNION ALL ");
        let mut found = self.ask(scope, Question::from(sql.as_str()), Limits::default()).await?;
        let mut tables = tables;
        while let Some(batch) = found.batches.next().await.transpose()? {
            let (at, n) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Int64Type>());
            for (at, n) in at.values().iter().zip(n.values()) {
                let table = usize::try_from(*at).ok().and_then(|at| tables.get_mut(at));
                table.expect("the question numbers the tables").rows = u64::try_from(*n).ok();
            }
        }
        Ok(())
    }

    /// Refuses new work, flushes and lets go of the data directory.
    pub async fn close(&self) -> Result<()> {
        self.gate.close();
        self.store.close().await
    }
}

/// The source of a kind.
pub fn source(kind: &str) -> Result<&'static dyn Source> {
    let found = ingest::sources::SOURCES.iter().find(|source| source.kind() == kind);
    found.copied().ok_or_else(|| {
        let kinds: Vec<_> = ingest::sources::SOURCES.iter().map(|s| s.kind()).collect();
        Error::invalid(format!("there is no source {kind}; there are {}", kinds.join(", ")))
    })
}

struct Running {
    stream: engine::datafusion::execution::SendableRecordBatchStream,
    timer: crate::metrics::QueryTimer,
    _permit: OwnedSemaphorePermit,
}

impl Running {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        match self.stream.next().await {
            Some(Ok(batch)) => {
                self.timer.rows(batch.num_rows());
                Some(Ok(batch))
            }
            Some(Err(error)) => {
                let error = from_datafusion(error);
                self.timer.ended(kind_name(error.kind()));
                Some(Err(error))
            }
            None => {
                self.timer.ended_well();
                None
            }
        }
    }
}
