//! Wishes about the directory, keys and the audit log, granted for a caller that the door has let in.

use std::time::Duration;

use engine::{Error, Result, Scope};
use ledger::audit::export::{self, Destination};
use ledger::audit::root::{SignedRoot, SigningKey};
use ledger::audit::{Outcome, proof, retire, verify};
use ledger::directory::{KeyOrder, OsDice, Rotation};
use ledger::principal::{Caller, Permissions, Role};
use serde_json::{Value as Json, json};

use super::House;
use crate::reach::trust::{
    ExportWish, KeyEntry, KeyWish, Lines, NewKey, RetireWish, RotationWish, Trust, Verification, VerifyWish,
};

impl House {
    /// Grants a wish; the answer is the JSON of what the wish says.
    pub async fn trust(&self, wish: Trust, caller: &Caller) -> Result<Json> {
        Ok(match wish {
            Trust::CreateKey(wish) => json!(self.create_key(&wish, caller).await?),
            Trust::RotateKey(wish) => json!(self.rotate_key(&wish, caller).await?),
            Trust::ListKeys { tenant } => json!(self.list_keys(tenant.as_deref()).await?),
            Trust::RevokeKey { id } => json!(self.directory.revoke(&id, caller).await?),
            Trust::ApplyTenants { folder, wish } => json!(self.directory.apply_folder(&folder, &wish, caller).await?),
            Trust::Directory { tenant } => {
                let scope =
                    tenant.map_or(caller.scope.clone(), |tenant| Scope::tenant(&tenant, &caller.scope.principal));
                json!(self.directory.documents(&scope.tenants).await?)
            }
            Trust::Verify(wish) => json!(self.verify(&wish, caller).await?),
            Trust::ExportRoot(wish) => json!(self.export_root(&wish, caller).await?),
            Trust::Events { from, format } => {
                let (lines, next) = export::events(self.store.state(), from, format).await?;
                json!(Lines { lines, next })
            }
            Trust::ProveRow { seq, size } => json!(proof::prove_inclusion(self.store.state(), seq, size).await?),
            Trust::ProveGrowth { from, to } => json!(proof::prove_consistency(self.store.state(), from, to).await?),
            Trust::Retire(wish) => json!(self.retire(&wish, caller).await?),
            Trust::Keep(wish) => self.keep(wish, caller).await?,
        })
    }

    /// Makes a key: the platform's, a tenant's, or one that only has what is granted.
    pub async fn create_key(&self, wish: &KeyWish, caller: &Caller) -> Result<NewKey> {
        let usual = KeyOrder::new(&wish.name, wish.tenant.as_deref());
        if wish.granted && wish.tenant.is_some() {
            return Err(Error::invalid("a key has a tenant of its own or only what is granted, not both"));
        }
        let usual = match wish.granted {
            true => KeyOrder { role: Role::Granted, scopes: Permissions::parse("read")?, ..usual },
            false => usual,
        };
        let order = KeyOrder {
            scopes: wish.scopes.as_deref().map_or(Ok(usual.scopes), Permissions::parse)?,
            teams: wish.teams.clone(),
            roles: wish.roles.clone(),
            expires_in: wish.expires_in_s.map(Duration::from_secs),
            ..usual
        };
        let (key, secret) = self.directory.issue(&order, caller).await?;
        Ok(NewKey { entry: key.into(), key: secret.reveal().to_owned() })
    }

    /// A new key in an old one's place.
    pub async fn rotate_key(&self, wish: &RotationWish, caller: &Caller) -> Result<NewKey> {
        let rotation = Rotation {
            overlap: Duration::from_secs(wish.overlap_s),
            expires_in: wish.expires_in_s.map(Duration::from_secs),
        };
        let (key, secret) = self.directory.rotate(&wish.id, rotation, caller).await?;
        Ok(NewKey { entry: key.into(), key: secret.reveal().to_owned() })
    }

    /// Every key, or a tenant's.
    pub async fn list_keys(&self, tenant: Option<&str>) -> Result<Vec<KeyEntry>> {
        Ok(self.directory.list(tenant).await?.into_iter().map(KeyEntry::from).collect())
    }

    /// Recomputes the audit log and compares it with every signed root that is known.
    pub async fn verify(&self, wish: &VerifyWish, caller: &Caller) -> Result<Verification> {
        let (state, data) = (self.store.state(), &self.store.settings().data);
        let log = export::log_name(state).await?;
        let mut roots = Destination::of_data(data)?.roots(&log).await?;
        for from in &wish.roots {
            roots.extend(export::read_roots(from, &wish.options, &log).await?);
        }
        let mut keys = wish.keys.clone();
        keys.extend(SigningKey::read(data)?.filter(|_| wish.keys.is_empty()).map(|key| key.public()));
        let verdict = verify::verify(state, roots, &keys).await?;
        let retired = retire::check(state, &log, &wish.options).await?;
        let tables = match wish.tables {
            true => Some(ledger::audit::compare(&self.store).await?),
            false => None,
        };
        let found = Verification { log: verdict, retired, tables };
        let outcome = if found.is_good() { Outcome::Done } else { Outcome::Failed };
        let detail = json!({"rows": found.log.rows, "findings": found.log.findings.len() + found.retired.len()});
        let entry = caller.entry("audit.verify", "log").of_tenant(None).ended(outcome).with(detail);
        // A log that was tampered with may take no row any more; what was found is told all the same.
        if let Err(error) = self.audit.record(entry).await {
            tracing::warn!(%error, "the verification itself is missing in the audit log");
        }
        Ok(found)
    }

    /// Signs the log as it is now and puts the root somewhere, and into the data directory.
    pub async fn export_root(&self, wish: &ExportWish, caller: &Caller) -> Result<SignedRoot> {
        if let Some(to) = &wish.to {
            let entry = caller.entry("audit.export", "root").of_tenant(None);
            self.audit.record(entry.with(json!({ "to": to, "lock": wish.lock }))).await?;
        }
        let root = self.sign_root().await?;
        if let Some(to) = &wish.to {
            let lock = wish.lock.map(|lock| lock.placed_at(self.audit.now_us()));
            Destination::open_with(to, &wish.options, lock)?.put_root(self.store.state(), &root).await?;
        }
        Ok(root)
    }

    /// Signs the log as it is now and puts the root into the data directory.
    async fn sign_root(&self) -> Result<SignedRoot> {
        let data = &self.store.settings().data;
        let key = SigningKey::ensure(data, &OsDice)?;
        let root = export::sign(self.store.state(), &key, self.audit.now_us()).await?;
        Destination::of_data(data)?.put_root(self.store.state(), &root).await?;
        Ok(root)
    }

    /// What is done for the audit log now and then: counts of denials are written, and where it has grown, its root is
    /// signed into the data directory.
    pub async fn keep_audit(&self) -> Result<()> {
        self.audit.sweep().await;
        let grown = "SELECT h.size AS size FROM audit_head h WHERE h.id = 1
            AND h.size > COALESCE((SELECT MAX(size) FROM audit_root WHERE destination = $1), 0)";
        let here = Destination::of_data(&self.store.settings().data)?;
        if self.store.state().fetch(grown, &[here.name.as_str().into()]).await?.is_empty() {
            return Ok(());
        }
        self.sign_root().await.map(|_| ())
    }

    async fn retire(&self, wish: &RetireWish, caller: &Caller) -> Result<Vec<retire::Retired>> {
        let now_us = self.audit.now_us();
        let age_us = i64::try_from(wish.older_than_s.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
        let to = Destination::open_with(&wish.to, &wish.options, wish.lock.map(|lock| lock.placed_at(now_us)))?;
        let state = self.store.state();
        let log = export::log_name(state).await?;
        if !wish.dry_run {
            // A root that covers the rows lies beside them, whatever becomes of the database.
            let root = self.sign_root().await?;
            to.put_root(state, &root).await?;
        }
        let retired = retire::retire(state, &log, now_us.saturating_sub(age_us), &to, wish.dry_run, now_us).await?;
        if !wish.dry_run && !retired.is_empty() {
            let segments: Vec<u64> = retired.iter().map(|segment| segment.segment).collect();
            let entry = caller.entry("audit.retire", "segments").of_tenant(None);
            self.audit.record(entry.with(json!({"segments": segments, "to": wish.to, "lock": wish.lock}))).await?;
        }
        Ok(retired)
    }
}
