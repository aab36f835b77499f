//! How a command reaches a store: through the control socket of the process that owns the data directory, or by opening
//! it here when none runs. Commands see one trait and cannot tell.

pub mod keep;
mod local;
mod socket;
pub mod trust;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use engine::{Kind, Question, Result, Scope, Settings};
use futures::stream::BoxStream;
use index::search::{IndexStatus, SearchWish};
use ingest::ado::live::{Outcome, Watch, Wish};
use ingest::{FileOptions, Progress, Summary};
use ledger::policy::{AuditOptions, AuditReport};
use serde::{Deserialize, Serialize};

use crate::answers::{AnswerWish, ChatOptions};
use crate::cli::context::ContextArgs;
use crate::cli::embedder::EmbedderArgs;
use crate::cost::{CostAnswer, CostWish};
use crate::house::Found;
use crate::http::budgets;
use crate::models::Named;
use crate::reference::Reference;
use crate::rules::RuleWish;
use crate::scores::ScoreWish;
use crate::work::WorkWish;
use trust::Trust;

/// How long a command waits for another one that has the data directory open.
const OWNER_PATIENCE: Duration = Duration::from_secs(5);
const OWNER_PAUSE: Duration = Duration::from_millis(100);

/// Pieces of an answer as JSON: `{"event": …, "data": …}`.
pub type AnswerEvents = BoxStream<'static, Result<serde_json::Value>>;

/// What commands ask of a store.
#[async_trait]
pub trait Reach: Send + Sync {
    /// Asks one question; for one tenant, or for all.
    async fn ask(&self, question: Question, tenant: Option<&str>) -> Result<Found>;
    /// Answers a question, piece by piece; a store opened here reads the model that the options name.
    async fn answer(&self, wish: &AnswerWish, chat: &ChatOptions, tenant: Option<&str>) -> Result<AnswerEvents>;
    /// Reads one file or folder.
    async fn ingest(&self, kind: &str, path: &Path, options: &FileOptions, progress: &dyn Progress) -> Result<Summary>;
    /// Holds the stored objects against a folder of policies.
    async fn audit(&self, wish: &AuditWish) -> Result<AuditReport>;
    /// Estimates, settles, seals or allocates.
    async fn cost(&self, wish: &CostWish) -> Result<CostAnswer>;
    /// Reads an Azure DevOps organization.
    async fn read_ado(&self, wish: &Wish, watch: &dyn Watch) -> Result<Outcome>;
    /// Searches documents.
    async fn find(&self, wish: &FindWish) -> Result<index::search::Found>;
    /// How far the index is.
    async fn index_status(&self) -> Result<IndexStatus>;
    /// Brings the index up to date, or makes another model ready and turns to it.
    async fn index_build(
        &self,
        wish: &BuildWish,
        tell: &(dyn for<'s> Fn(&'s IndexStatus) + Send + Sync),
    ) -> Result<IndexStatus>;
    /// Deletes a model's vectors; answers how many.
    async fn index_drop(&self, wish: &DropWish) -> Result<u64>;
    /// Answers a wish about rules and jobs.
    async fn rules(&self, wish: &RuleWish) -> Result<serde_json::Value>;
    /// Answers a wish about jobs, flows and approvals.
    async fn work(&self, wish: &WorkWish) -> Result<serde_json::Value>;
    /// Answers a wish about scorecards.
    async fn scores(&self, wish: &ScoreWish) -> Result<serde_json::Value>;
    /// Asks something of budgets.
    async fn budgets(&self, wish: budgets::Wish) -> Result<budgets::Answer>;
    /// The SQL reference, with row counts if asked for.
    async fn reference(&self, rows: bool) -> Result<Reference>;
    /// Grants a wish about the directory, keys or the audit log; the answer is JSON, as the wish says.
    async fn trust(&self, wish: &Trust) -> Result<serde_json::Value>;
    /// Lets go; a store opened here is flushed and closed.
    async fn close(&self) -> Result<()>;
}

/// The audit that somebody wants.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuditWish {
    /// An absolute path: a folder of templates and constraints, or a file.
    pub policies: PathBuf,
    /// Only this tenant's objects.
    pub tenant: Option<String>,
    /// How it is made.
    pub options: AuditOptions,
}

/// The search that somebody wants.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FindWish {
    /// Only this tenant's documents.
    pub tenant: Option<String>,
    /// As somebody in these groups sees them; only with a tenant.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What is asked.
    pub wish: SearchWish,
}

impl FindWish {
    /// Who asks, as far as the operator says.
    pub fn scope(&self) -> Scope {
        let tenant = |tenant: &str| Scope::tenant(tenant, "operator").in_groups(self.groups.iter().cloned());
        self.tenant.as_deref().map_or_else(|| Scope::platform("operator"), tenant)
    }
}

/// The index that somebody wants.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BuildWish {
    /// The model to turn to.
    pub model: Option<String>,
    /// The model that is to place chunks, as its option was written; a server has its own, and refuses another.
    #[serde(default)]
    pub context: Option<String>,
}

/// The vectors that nobody wants.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DropWish {
    /// Their model.
    pub model: String,
}

/// Reaches the store of these settings. `create` lets it make a data directory that is not there.
pub async fn reach(settings: &Settings, create: bool) -> Result<Box<dyn Reach>> {
    reach_over(settings, create, &Arc::new(Named::new(EmbedderArgs::of_environment()))).await
}

/// The same for a command that says which model embeds, should no server run.
pub async fn reach_with(settings: &Settings, embedder: &EmbedderArgs) -> Result<Box<dyn Reach>> {
    reach_over(settings, false, &Arc::new(Named::new(embedder.clone()))).await
}

/// The same with a model that places chunks within their documents.
pub async fn reach_placing(
    settings: &Settings,
    embedder: &EmbedderArgs,
    context: &ContextArgs,
) -> Result<Box<dyn Reach>> {
    reach_over(settings, false, &Arc::new(Named::new(embedder.clone()).placing(context.clone()))).await
}

async fn reach_over(settings: &Settings, create: bool, models: &Arc<Named>) -> Result<Box<dyn Reach>> {
    let since = Instant::now();
    loop {
        if let Some(socket) = socket::Socket::find(&settings.data).await? {
            return Ok(Box::new(socket));
        }
        if !create && settings.store.is_none() && !settings.data.join(engine::owner::FILE).exists() {
            let text = format!(
                "there is no store in {}; `stellwerk serve` and `stellwerk ingest` make one",
                settings.data.display()
            );
            return Err(engine::Error::new(Kind::NotFound, text));
        }
        match crate::wire::open_with(settings.clone(), Arc::clone(models), None).await {
            Ok(house) => return Ok(Box::new(local::Local::new(house))),
            // The owner may be a command that ends soon, or a server whose socket is about to appear.
            Err(busy) if busy.kind() == Kind::Conflict && since.elapsed() < OWNER_PATIENCE => {
                tokio::time::sleep(OWNER_PAUSE).await
            }
            Err(error) => return Err(error),
        }
    }
}
