//! The store, opened in this process.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use engine::{Limits, Question, Result, Scope};
use futures::StreamExt;
use index::search::IndexStatus;
use ingest::ado::live::{Outcome, Watch, Wish};
use ingest::{FileOptions, Progress, Summary};
use ledger::policy::AuditReport;
use ledger::principal::Caller;

use super::trust::Trust;
use super::{AnswerEvents, AuditWish, BuildWish, DropWish, FindWish, Reach};
use crate::answers::{AnswerWish, ChatOptions};
use crate::cost::{CostAnswer, CostWish};
use crate::house::{Found, House};
use crate::http::budgets;
use crate::reference::Reference;
use crate::rules::RuleWish;
use crate::scores::ScoreWish;
use crate::work::{Wisher, WorkWish};

/// An open store of our own.
pub struct Local {
    house: Arc<House>,
}

impl Local {
    /// Over these components.
    pub fn new(house: Arc<House>) -> Self {
        Local { house }
    }
}

fn operator(tenant: Option<&str>) -> Scope {
    tenant.map_or_else(|| Scope::platform("operator"), |tenant| Scope::tenant(tenant, "operator"))
}

#[async_trait]
impl Reach for Local {
    async fn ask(&self, question: Question, tenant: Option<&str>) -> Result<Found> {
        self.house.ask(&operator(tenant), question, Limits::default()).await
    }

    async fn answer(&self, wish: &AnswerWish, chat: &ChatOptions, tenant: Option<&str>) -> Result<AnswerEvents> {
        crate::wire::answers(&self.house, chat)?;
        let events = self.house.answers()?.answer(&operator(tenant), wish.clone()).await?;
        Ok(events.map(|event| event.map(|event| serde_json::json!(event))).boxed())
    }

    async fn ingest(&self, kind: &str, path: &Path, options: &FileOptions, progress: &dyn Progress) -> Result<Summary> {
        self.house.ingest(kind, path, options, progress).await
    }

    async fn audit(&self, wish: &AuditWish) -> Result<AuditReport> {
        self.house.audit(wish).await
    }

    async fn cost(&self, wish: &CostWish) -> Result<CostAnswer> {
        crate::cost::answer(&self.house, wish).await
    }

    async fn read_ado(&self, wish: &Wish, watch: &dyn Watch) -> Result<Outcome> {
        self.house.read_ado(wish, watch).await
    }

    async fn find(&self, wish: &FindWish) -> Result<index::search::Found> {
        self.house.find(wish).await
    }

    async fn index_status(&self) -> Result<IndexStatus> {
        self.house.search.status().await
    }

    async fn index_build(
        &self,
        wish: &BuildWish,
        tell: &(dyn for<'s> Fn(&'s IndexStatus) + Send + Sync),
    ) -> Result<IndexStatus> {
        self.house.search.build(wish.model.as_deref(), &mut |status| tell(status)).await
    }

    async fn index_drop(&self, wish: &DropWish) -> Result<u64> {
        self.house.search.searcher().await?.drop_model(&wish.model).await
    }

    async fn work(&self, wish: &WorkWish) -> Result<serde_json::Value> {
        self.house.work(wish, &Wisher::operator()).await
    }

    async fn rules(&self, wish: &RuleWish) -> Result<serde_json::Value> {
        self.house.rules(wish).await
    }

    async fn scores(&self, wish: &ScoreWish) -> Result<serde_json::Value> {
        self.house.scores(wish).await
    }

    async fn budgets(&self, wish: budgets::Wish) -> Result<budgets::Answer> {
        budgets::act(&self.house, wish).await
    }

    async fn reference(&self, rows: bool) -> Result<Reference> {
        match rows {
            true => self.house.counted_reference(&operator(None)).await,
            false => Ok(self.house.reference().clone()),
        }
    }

    async fn trust(&self, wish: &Trust) -> Result<serde_json::Value> {
        self.house.trust(wish.clone(), &Caller::operator()).await
    }

    async fn close(&self) -> Result<()> {
        self.house.close().await
    }
}
