//! How a command reaches a store: through the control socket of the process that owns the data directory, or by opening
//! it here when none runs. Commands see one trait and cannot tell.

mod local;
mod socket;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use engine::{Kind, Question, Result, Settings};
use ingest::ado::live::{Outcome, Watch, Wish};
use ingest::{FileOptions, Progress, Summary};
use ledger::policy::{AuditOptions, AuditReport};
use serde::{Deserialize, Serialize};

use crate::house::Found;
use crate::reference::Reference;

/// How long a command waits for another one that has the data directory open.
const OWNER_PATIENCE: Duration = Duration::from_secs(5);
const OWNER_PAUSE: Duration = Duration::from_millis(100);

/// What commands ask of a store.
#[async_trait]
pub trait Reach: Send + Sync {
    /// Asks one question; for one tenant, or for all.
    async fn ask(&self, question: Question, tenant: Option<&str>) -> Result<Found>;
    /// Reads one file or folder.
    async fn ingest(&self, kind: &str, path: &Path, options: &FileOptions, progress: &dyn Progress) -> Result<Summary>;
    /// Holds the stored objects against a folder of policies.
    async fn audit(&self, wish: &AuditWish) -> Result<AuditReport>;
    /// Reads an Azure DevOps organization.
    async fn read_ado(&self, wish: &Wish, watch: &dyn Watch) -> Result<Outcome>;
    /// The SQL reference, with row counts if asked for.
    async fn reference(&self, rows: bool) -> Result<Reference>;
    /// Makes a key.
    async fn create_key(&self, wish: &KeyWish) -> Result<NewKey>;
    /// Every key, or a tenant's.
    async fn list_keys(&self, tenant: Option<&str>) -> Result<Vec<KeyEntry>>;
    /// Ends a key.
    async fn revoke_key(&self, id: &str) -> Result<()>;
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

/// The key that somebody wants.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyWish {
    /// What it is for.
    pub name: String,
    /// The tenant it speaks for; `None` is the platform.
    pub tenant: Option<String>,
}

/// A key just made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewKey {
    /// Its description.
    #[serde(flatten)]
    pub entry: KeyEntry,
    /// The key itself; it is shown this once.
    pub key: String,
}

/// A key as it is listed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyEntry {
    /// The public part.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// `platform` or `tenant`.
    pub role: String,
    /// The tenant it speaks for.
    pub tenant: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// To ten minutes.
    pub last_used_at: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<String>,
}

impl From<ledger::directory::ApiKey> for KeyEntry {
    fn from(key: ledger::directory::ApiKey) -> Self {
        KeyEntry {
            id: key.id,
            name: key.name,
            role: key.role.as_str().to_owned(),
            tenant: key.tenant,
            created_at: rfc3339(key.created_at_us),
            last_used_at: key.last_used_at_us.map(rfc3339),
            revoked_at: key.revoked_at_us.map(rfc3339),
        }
    }
}

fn rfc3339(at_us: i64) -> String {
    let at = chrono::DateTime::from_timestamp_micros(at_us);
    at.map_or_else(|| at_us.to_string(), |at| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
}

/// Reaches the store of these settings. `create` lets it make a data directory that is not there.
pub async fn reach(settings: &Settings, create: bool) -> Result<Box<dyn Reach>> {
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
        match crate::wire::open(settings.clone()).await {
            Ok(house) => return Ok(Box::new(local::Local::new(house))),
            // The owner may be a command that ends soon, or a server whose socket is about to appear.
            Err(busy) if busy.kind() == Kind::Conflict && since.elapsed() < OWNER_PATIENCE => {
                tokio::time::sleep(OWNER_PAUSE).await
            }
            Err(error) => return Err(error),
        }
    }
}
