//! The store, opened in this process.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use engine::{Limits, Question, Result, Scope};
use ingest::ado::live::{Outcome, Watch, Wish};
use ingest::{FileOptions, Progress, Summary};
use ledger::policy::AuditReport;

use super::{AuditWish, KeyEntry, KeyWish, NewKey, Reach};
use crate::house::{Found, House};
use crate::reference::Reference;

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

    async fn ingest(&self, kind: &str, path: &Path, options: &FileOptions, progress: &dyn Progress) -> Result<Summary> {
        self.house.ingest(kind, path, options, progress).await
    }

    async fn audit(&self, wish: &AuditWish) -> Result<AuditReport> {
        self.house.audit(wish).await
    }

    async fn read_ado(&self, wish: &Wish, watch: &dyn Watch) -> Result<Outcome> {
        self.house.read_ado(wish, watch).await
    }

    async fn reference(&self, rows: bool) -> Result<Reference> {
        match rows {
            true => self.house.counted_reference(&operator(None)).await,
            false => Ok(self.house.reference().clone()),
        }
    }

    async fn create_key(&self, wish: &KeyWish) -> Result<NewKey> {
        self.house.create_key(wish).await
    }

    async fn list_keys(&self, tenant: Option<&str>) -> Result<Vec<KeyEntry>> {
        Ok(self.house.directory.list(tenant).await?.into_iter().map(KeyEntry::from).collect())
    }

    async fn revoke_key(&self, id: &str) -> Result<()> {
        self.house.directory.revoke(id).await
    }

    async fn close(&self) -> Result<()> {
        self.house.close().await
    }
}
