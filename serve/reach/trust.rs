//! What commands ask of the directory, of keys and of the audit log: one wish each, sent as it is through the control
//! socket or granted here.

use std::path::PathBuf;
use std::time::Duration;

use engine::clock::rfc3339;
use engine::place::lock::{Lock, LockMode};
use engine::{Error, Result};
use ledger::audit::Compared;
use ledger::audit::proof::{ConsistencyProof, InclusionProof};
use ledger::audit::retire::Retired;
use ledger::audit::root::SignedRoot;
use ledger::audit::siem::Format;
use ledger::audit::verify::{Finding, Verdict};
use ledger::directory::{Applied, Documents, Wish};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Reach;
use super::keep::KeepWish;

/// A wish.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Make a key; answers [`NewKey`].
    CreateKey(KeyWish),
    /// Put a new key in an old one's place; answers [`NewKey`].
    RotateKey(RotationWish),
    /// Every key, or a tenant's; answers a list of [`KeyEntry`].
    ListKeys { tenant: Option<String> },
    /// End a key.
    RevokeKey { id: String },
    /// Apply a folder of documents; answers [`Applied`].
    ApplyTenants { folder: PathBuf, wish: Wish },
    /// The directory as documents; answers [`Documents`].
    Directory { tenant: Option<String> },
    /// Recompute the audit log; answers [`Verification`].
    Verify(VerifyWish),
    /// Sign the log as it is and put the root somewhere; answers a [`SignedRoot`].
    ExportRoot(ExportWish),
    /// Rows of the log as lines; answers [`Lines`].
    Events { from: u64, format: Format },
    /// Prove that a row is in the log; answers an [`InclusionProof`].
    ProveRow { seq: u64, size: Option<u64> },
    /// Prove that the log only grew; answers a [`ConsistencyProof`].
    ProveGrowth { from: u64, to: Option<u64> },
    /// Move old segments out; answers a list of [`Retired`].
    Retire(RetireWish),
    /// Retention, holds, erasures, backups; answers as the wish says.
    Keep(KeepWish),
}

/// The key that somebody wants.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyWish {
    /// What it is for.
    pub name: String,
    /// The tenant it speaks for; `None` is the platform, or nobody with `granted`.
    pub tenant: Option<String>,
    /// It has no tenant of its own and sees what is granted to its teams and roles.
    pub granted: bool,
    /// What it may do, as words; `None` is what its role usually may.
    pub scopes: Option<String>,
    /// Its teams.
    pub teams: Vec<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// Seconds until it ends.
    pub expires_in_s: Option<u64>,
}

/// The rotation that somebody wants.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RotationWish {
    /// The old key.
    pub id: String,
    /// Seconds that it stays good.
    pub overlap_s: u64,
    /// Seconds until the new one ends; `None` as long as the old one was good.
    pub expires_in_s: Option<u64>,
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
    /// `platform`, `tenant` or `granted`.
    pub role: String,
    /// The tenant it speaks for.
    pub tenant: Option<String>,
    /// What it may do, as words.
    pub scopes: String,
    /// Its teams, as `tenant/team`.
    pub teams: Vec<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
    /// To ten minutes.
    pub last_used_at: Option<String>,
    /// When it ends by itself.
    pub expires_at: Option<String>,
    /// The key that it replaces.
    pub rotated_from: Option<String>,
    /// The key that replaces it.
    pub rotated_to: Option<String>,
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
            scopes: key.scopes.words(),
            teams: key.teams,
            roles: key.roles,
            created_at: rfc3339(key.created_at_us),
            last_used_at: key.last_used_at_us.map(rfc3339),
            expires_at: key.expires_at_us.map(rfc3339),
            rotated_from: key.rotated_from,
            rotated_to: key.rotated_to,
            revoked_at: key.revoked_at_us.map(rfc3339),
        }
    }
}

/// How the log is to be recomputed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VerifyWish {
    /// Files, folders or URLs with signed roots, beside those in the data directory.
    pub roots: Vec<String>,
    /// Options of the object stores among them.
    pub options: Vec<(String, String)>,
    /// Public keys that may have signed; without one, the data directory's own.
    pub keys: Vec<String>,
    /// Whether the ledger's tables are compared with their commits in the log.
    pub tables: bool,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verification {
    /// Of the log itself.
    pub log: Verdict,
    /// Of the files of retired segments.
    pub retired: Vec<Finding>,
    /// Of the ledger's tables.
    pub tables: Option<Compared>,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        let tables = self.tables.as_ref().is_none_or(|tables| tables.findings.is_empty());
        self.log.is_good() && self.retired.is_empty() && tables
    }
}

/// Where a signed root goes; without a place, into the data directory.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportWish {
    /// A folder or the URL of an object store.
    pub to: Option<String>,
    /// Options of the object store.
    pub options: Vec<(String, String)>,
    /// How what is put there is locked.
    pub lock: Option<LockWish>,
}

/// Objects that nobody deletes or replaces for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockWish {
    /// Who may lift it before.
    pub mode: LockMode,
    /// For how many seconds.
    pub for_s: u64,
}

impl LockWish {
    /// The lock of what is put now.
    pub fn placed_at(self, now_us: i64) -> Lock {
        let for_us = i64::try_from(self.for_s.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
        Lock { mode: self.mode, until_us: now_us.saturating_add(for_us) }
    }
}

/// Lines of a part of the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lines {
    /// The lines.
    pub lines: Vec<String>,
    /// The place to go on from; `None` at the end.
    pub next: Option<u64>,
}

/// Which segments move out, and where to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RetireWish {
    /// Seconds since the segment's last row.
    pub older_than_s: u64,
    /// A folder or the URL of an object store.
    pub to: String,
    /// Options of the object store.
    pub options: Vec<(String, String)>,
    /// How what is put there is locked.
    #[serde(default)]
    pub lock: Option<LockWish>,
    /// Only say which.
    pub dry_run: bool,
}

impl dyn Reach + '_ {
    pub(super) async fn granted<A: DeserializeOwned>(&self, wish: Trust) -> Result<A> {
        let answer = self.trust(&wish).await?;
        serde_json::from_value(answer).map_err(|e| Error::unavailable("read the answer", e))
    }

    /// Makes a key.
    pub async fn create_key(&self, wish: KeyWish) -> Result<NewKey> {
        self.granted(Trust::CreateKey(wish)).await
    }

    /// Puts a new key in an old one's place.
    pub async fn rotate_key(&self, id: &str, overlap: Duration, expires_in: Option<Duration>) -> Result<NewKey> {
        let expires_in_s = expires_in.map(|time| time.as_secs());
        self.granted(Trust::RotateKey(RotationWish { id: id.to_owned(), overlap_s: overlap.as_secs(), expires_in_s }))
            .await
    }

    /// Every key, or a tenant's.
    pub async fn list_keys(&self, tenant: Option<&str>) -> Result<Vec<KeyEntry>> {
        self.granted(Trust::ListKeys { tenant: tenant.map(str::to_owned) }).await
    }

    /// Ends a key.
    pub async fn revoke_key(&self, id: &str) -> Result<()> {
        self.granted(Trust::RevokeKey { id: id.to_owned() }).await
    }

    /// Applies a folder of documents.
    pub async fn apply_tenants(&self, folder: PathBuf, wish: Wish) -> Result<Applied> {
        self.granted(Trust::ApplyTenants { folder, wish }).await
    }

    /// The directory as documents.
    pub async fn directory(&self, tenant: Option<String>) -> Result<Documents> {
        self.granted(Trust::Directory { tenant }).await
    }

    /// Recomputes the audit log.
    pub async fn verify(&self, wish: VerifyWish) -> Result<Verification> {
        self.granted(Trust::Verify(wish)).await
    }

    /// Signs the log as it is and puts the root somewhere.
    pub async fn export_root(&self, wish: ExportWish) -> Result<SignedRoot> {
        self.granted(Trust::ExportRoot(wish)).await
    }

    /// Rows of the log as lines.
    pub async fn events(&self, from: u64, format: Format) -> Result<Lines> {
        self.granted(Trust::Events { from, format }).await
    }

    /// Proves that a row is in the log.
    pub async fn prove_row(&self, seq: u64, size: Option<u64>) -> Result<InclusionProof> {
        self.granted(Trust::ProveRow { seq, size }).await
    }

    /// Proves that the log only grew.
    pub async fn prove_growth(&self, from: u64, to: Option<u64>) -> Result<ConsistencyProof> {
        self.granted(Trust::ProveGrowth { from, to }).await
    }

    /// Moves old segments out.
    pub async fn retire(&self, wish: RetireWish) -> Result<Vec<Retired>> {
        self.granted(Trust::Retire(wish)).await
    }
}
