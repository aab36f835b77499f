//! The open components together, and what every door asks of them: an answer, a file's rows, the reference, keys.

pub mod keep;
mod trust;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use engine::arrow::array::RecordBatch;
use engine::arrow::datatypes::SchemaRef;
use engine::sql::session::from_datafusion;
use engine::{Embedder, Error, Kind, Limits, Question, Result, Scope, Store};
use futures::StreamExt;
use futures::stream::BoxStream;
use index::search::SearchWish;
use index::search::room::SearchRoom;
use ingest::ado::live::{Live, Outcome, Watch, Wish};
use ingest::hook::Senders;
use ingest::{FileOptions, Progress, Source, Summary};
use jobs::actions::link::Links;
use jobs::flow::Hands;
use jobs::runner::Runner;
use ledger::audit::{Audit, Entry, Outcome as Ended};
use ledger::budget::Budgets;
use ledger::directory::Directory;
use ledger::policy::{AuditReport, PolicySet};
use ledger::price::Prices;
use ledger::principal::Caller;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answers::Answers;
use crate::http::problem::kind_name;
use crate::metrics::Metrics;
use crate::reach::{AuditWish, FindWish};
use crate::reference::{Reference, TableEntry, TableKind};

/// Questions answered at the same time; one more is told to come back.
pub const QUESTIONS_MAX: usize = 16;

/// Characters of a refused question that the audit log keeps.
const SQL_AUDITED_CHARS: usize = 1_000;

/// Everything that is open.
#[derive(Debug)]
pub struct House {
    /// The tables.
    pub store: Arc<Store>,
    /// Tenants and keys.
    pub directory: Directory,
    /// Decisions and changes.
    pub audit: Arc<Audit>,
    /// The prices that SQL's functions use.
    pub prices: Arc<Prices>,
    /// The search.
    pub search: Arc<SearchRoom>,
    /// Budgets and quotas.
    pub budgets: Arc<Budgets>,
    /// This process's figures.
    pub metrics: Arc<Metrics>,
    /// What turns texts into vectors; none means full text only.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// What runs rules and jobs.
    pub runner: OnceLock<Arc<Runner>>,
    /// What does the steps of flows.
    pub hands: OnceLock<Arc<dyn Hands>>,
    /// What is kept, held and erased.
    keep: Option<keep::Keep>,
    /// Who may send web hooks without a key of ours.
    pub senders: OnceLock<Arc<Senders>>,
    /// Whose links acknowledge rows without a key of ours.
    pub links: OnceLock<Links>,
    reference: Reference,
    gate: Arc<Semaphore>,
    answers: OnceLock<Answers>,
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
    pub fn new(
        store: Arc<Store>,
        directory: Directory,
        audit: Arc<Audit>,
        prices: Arc<Prices>,
        search: Arc<SearchRoom>,
        budgets: Arc<Budgets>,
        reference: Reference,
    ) -> Self {
        let gate = Arc::new(Semaphore::new(QUESTIONS_MAX));
        let (metrics, runner, answers) = (Arc::default(), OnceLock::new(), OnceLock::new());
        House {
            store,
            directory,
            audit,
            prices,
            search,
            budgets,
            metrics,
            embedder: None,
            runner,
            hands: OnceLock::new(),
            keep: None,
            senders: OnceLock::new(),
            links: OnceLock::new(),
            reference,
            gate,
            answers,
        }
    }

    /// The same with a model that embeds.
    pub fn with_embedder(self, embedder: Option<Arc<dyn Embedder>>) -> Self {
        House { embedder, ..self }
    }

    /// The same with what says what is kept.
    pub fn with_keep(self, keep: keep::Keep) -> Self {
        House { keep: Some(keep), ..self }
    }

    /// Lets this house answer questions; the first call counts.
    pub fn set_answers(&self, answers: Answers) {
        let _ = self.answers.set(answers);
    }

    /// What answers questions.
    pub fn answers(&self) -> Result<&Answers> {
        self.answers.get().ok_or_else(|| Error::new(Kind::Unavailable, "nothing answers questions in this process"))
    }

    /// Asks one question under a scope. Refused with `Overloaded` when too many are being answered.
    pub async fn ask(&self, scope: &Scope, question: Question, limits: Limits) -> Result<Found> {
        let permit = Arc::clone(&self.gate).try_acquire_owned().map_err(|_| {
            let kind = Kind::Overloaded { retry_after: Duration::from_secs(1) };
            Error::new(kind, format!("{QUESTIONS_MAX} questions are being answered already; ask again in a second"))
        })?;
        let mut timer = self.metrics.query();
        let sql = question.sql.chars().take(SQL_AUDITED_CHARS).collect::<String>();
        let answer = match self.store.query(scope, question, limits).await {
            Ok(answer) => answer,
            Err(error) => {
                if error.kind() == Kind::Denied {
                    let entry = Entry::new(scope, "sql.ask", "question").because(error.to_string());
                    self.audit.denied(entry.with(serde_json::json!({ "sql": sql }))).await;
                }
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
        let caller = Caller::operator();
        let read = source.ingest_path(&self.store, &caller.scope, path, options, progress).await;
        let action = if kind == ingest::price::KIND { "price.import" } else { "file.ingest" };
        let (ended, detail) = match &read {
            Ok(summary) => (
                Ended::Done,
                serde_json::json!({
                    "path": path, "files": summary.files, "accepted": summary.accepted, "rejected": summary.rejected,
                    "repeated": summary.repeated, "refused": summary.refused,
                }),
            ),
            Err(error) => (Ended::Failed, serde_json::json!({"path": path, "error": error.to_string()})),
        };
        let entry = caller.entry(action, kind).of_tenant(options.tenant.as_deref()).ended(ended).with(detail);
        self.audit.record(entry).await?;
        let summary = read?;
        if kind == ingest::price::KIND {
            self.prices.load(&self.store).await?;
        }
        self.metrics.ingested(kind, &summary);
        Ok(summary)
    }

    /// Searches documents, as somebody of the wish's tenant and groups sees them.
    pub async fn find(&self, wish: &FindWish) -> Result<index::search::Found> {
        self.search_as(&wish.scope(), &wish.wish).await
    }

    /// Searches what a scope may see. Refused with `Overloaded` when too many questions are being answered.
    pub async fn search_as(&self, scope: &Scope, wish: &SearchWish) -> Result<index::search::Found> {
        let permit = self.gate.try_acquire();
        let _permit = permit.map_err(|_| {
            let kind = Kind::Overloaded { retry_after: Duration::from_secs(1) };
            Error::new(kind, format!("{QUESTIONS_MAX} questions are being answered already; ask again in a second"))
        })?;
        self.search.ready().await?.search(scope, wish).await
    }

    /// Holds the stored objects against a folder of policies and keeps what is broken.
    pub async fn audit(&self, wish: &AuditWish) -> Result<AuditReport> {
        let policies = wish.policies.clone();
        let loading = tokio::task::spawn_blocking(move || PolicySet::load(&policies));
        let set = loading.await.map_err(|e| Error::unavailable("read the policies", e))??;
        let all = || Scope::platform("operator");
        let scope = wish.tenant.as_deref().map_or_else(all, |tenant| Scope::tenant(tenant, "operator"));
        let report = ledger::policy::audit(&self.store, &scope, Arc::new(set), &wish.options).await?;
        let entry = Caller::operator().entry("policy.audit", report.audit_run.as_str());
        let detail = serde_json::json!({
            "constraints": report.constraints, "clusters": report.clusters.len(), "broken_constraints": report.broken.len(),
        });
        self.audit.record(entry.of_tenant(wish.tenant.as_deref()).with(detail)).await?;
        Ok(report)
    }

    /// Reads an Azure DevOps organization.
    pub async fn read_ado(&self, wish: &Wish, watch: &dyn Watch) -> Result<Outcome> {
        let live = Live::open(Arc::clone(&self.store), &Scope::platform("operator"), wish.clone())?;
        let outcome = live.run(watch).await;
        let ended = if outcome.is_ok() { Ended::Done } else { Ended::Failed };
        self.audit.record(Caller::operator().entry("ado.read", "organization").ended(ended)).await?;
        outcome
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
        // Slices go back at once; a process that cannot say so is taken over when its lease ends.
        if let Err(error) = self.budgets.close().await {
            tracing::warn!(%error, "budgets were not given back; the next start takes them over");
        }
        if let Err(error) = self.search.close().await {
            tracing::warn!(%error, "the index was not written; the next start builds it again");
        }
        if let Err(error) = self.keep_audit().await {
            tracing::warn!(%error, "the audit log's root was not signed; it is when the store is next open");
        }
        self.audit.close().await;
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
