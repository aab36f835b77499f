//! The directory of tenants and API keys, over the state database.

mod cache;
mod secret;

use std::sync::Arc;
use std::time::Duration;

use engine::state::Row;
use engine::{Clock, Column, Error, Kind, Result, State, StateTable, Type, Value};

use crate::principal::{Principal, Role};
use cache::Cache;

pub use cache::BELIEVED_FOR;
pub use secret::{Dice, OsDice, PREFIX, Secret};

/// `last_used_at` is written at most this often per key: a coarse answer is enough to find keys nobody uses.
const LAST_USED_EVERY: Duration = Duration::from_secs(600);
/// Bytes of a tenant's id, a tenant's name or a key's name.
const NAME_BYTES_MAX: usize = 128;
/// Ids that no tenant may have: `query_log` names the platform's own questions so.
const RESERVED: &[&str] = &[engine::query_log::PLATFORM];
/// Name of the key that the first start makes.
pub const BOOTSTRAP: &str = "bootstrap";

/// Everybody whose rows are kept apart.
pub static TENANT: StateTable = StateTable {
    name: "tenant",
    doc: "Everybody whose rows are kept apart. A tenant sees itself only.",
    columns: &[
        Column::new("id", Type::Text, "The tenant's id, as it stands in every row's tenant column.").required(),
        Column::new("name", Type::Text, "Name for people.").required(),
        Column::new("created_at", Type::Time, "When it was made.").required(),
    ],
    hidden: &[],
    tenant: Some("id"),
};

/// Keys that speak for the platform or for a tenant.
pub static API_KEY: StateTable = StateTable {
    name: "api_key",
    doc: "Keys that speak for the platform or for a tenant; never the secret or its hash.",
    columns: &[
        Column::new("id", Type::Text, "The public part of the key: `swk_<id>_…`.").required(),
        Column::new("tenant", Type::Text, "The tenant it speaks for; null for the platform."),
        Column::new("name", Type::Text, "What the key is for; the caller's name in `query_log`.").required(),
        Column::new("role", Type::Text, "`platform` or `tenant`.").required(),
        Column::new("created_at", Type::Time, "When it was made.").required(),
        Column::new("last_used_at", Type::Time, "When it was last used, to ten minutes."),
        Column::new("revoked_at", Type::Time, "When it was revoked; null while it is good."),
    ],
    hidden: &["hash"],
    tenant: Some("tenant"),
};

/// Every state table that the ledger declares.
pub const STATE_TABLES: &[&StateTable] = &[&TENANT, &API_KEY];

/// A key as the directory lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part.
    pub id: String,
    /// The tenant it speaks for; `None` is the platform.
    pub tenant: Option<String>,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Microseconds since 1970, UTC.
    pub created_at_us: i64,
    /// When it was last used, to ten minutes.
    pub last_used_at_us: Option<i64>,
    /// When it was revoked.
    pub revoked_at_us: Option<i64>,
}

impl ApiKey {
    fn of(row: &Row) -> Result<Self> {
        let role: String = row.get("role")?;
        let role =
            Role::parse(&role).ok_or_else(|| Error::new(Kind::Corrupt, format!("an API key has the role {role}")))?;
        Ok(ApiKey {
            id: row.get("id")?,
            tenant: row.get("tenant")?,
            name: row.get("name")?,
            role,
            created_at_us: row.get("created_at")?,
            last_used_at_us: row.get("last_used_at")?,
            revoked_at_us: row.get("revoked_at")?,
        })
    }

    /// Whoever presents this key.
    pub fn principal(&self) -> Principal {
        match &self.tenant {
            Some(tenant) => Principal::tenant_member(tenant, &self.name),
            None => Principal::platform(&self.name),
        }
    }
}

/// Tenants and keys. Cheap to call: verified keys are believed for [`BELIEVED_FOR`].
#[derive(Debug)]
pub struct Directory {
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    cache: Cache,
}

const INSERT_KEY: &str =
    "INSERT INTO api_key (id, tenant, name, role, hash, created_at) VALUES ($1, $2, $3, $4, $5, $6)";
const INSERT_TENANT: &str = "INSERT INTO tenant (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING";
const SELECT_KEY: &str =
    "SELECT id, tenant, name, role, created_at, last_used_at, revoked_at, hash FROM api_key WHERE id = $1";

impl Directory {
    /// The directory in `state`.
    pub fn new(state: Arc<State>, clock: Arc<dyn Clock>, dice: Arc<dyn Dice>) -> Self {
        Directory { state, clock, dice, cache: Cache::default() }
    }

    /// Makes a tenant; making it again changes nothing.
    pub async fn ensure_tenant(&self, id: &str, name: &str) -> Result<()> {
        if RESERVED.contains(&id.trim()) {
            return Err(Error::invalid(format!("the tenant id {id} is the platform's own")));
        }
        let values = [checked("tenant", id)?, checked("name", name)?, Value::Time(self.clock.now_us())];
        self.state.execute(INSERT_TENANT, &values).await.map(|_| ())
    }

    /// Makes a key: of the platform without a tenant, of `tenant` (made if it is new) with one. The secret is nowhere
    /// else afterwards.
    pub async fn create_key(&self, tenant: Option<&str>, name: &str, role: Role) -> Result<(ApiKey, Secret)> {
        if (role == Role::Tenant) != tenant.is_some() {
            return Err(Error::invalid("a tenant's key names its tenant, a platform key names none"));
        }
        if let Some(tenant) = tenant {
            self.ensure_tenant(tenant, tenant).await?;
        }
        let secret = Secret::mint(self.dice.as_ref())?;
        let key = self.described(&secret, tenant, name, role);
        self.state.execute(INSERT_KEY, &insert_values(&key, &secret)?).await?;
        Ok((key, secret))
    }

    /// Whose key this is, or `None` if it is no key, an unknown one, a wrong one or a revoked one: a caller is not told which.
    pub async fn verify(&self, presented: &str) -> Result<Option<Principal>> {
        let Some(secret) = Secret::parse(presented) else { return Ok(None) };
        let (hash, now_us) = (secret.hash(), self.clock.now_us());
        if let Some(principal) = self.cache.get(&hash, now_us) {
            return Ok(Some(principal));
        }
        let mark = self.cache.mark();
        let Some(row) = self.state.fetch(SELECT_KEY, &[secret.id().into()]).await?.pop() else { return Ok(None) };
        let key = ApiKey::of(&row)?;
        if !secret.is_of(&row.get::<String>("hash")?) || key.revoked_at_us.is_some() {
            return Ok(None);
        }
        let principal = key.principal();
        self.cache.put(hash, &key.id, principal.clone(), now_us, mark);
        self.note_use(&key, now_us).await;
        Ok(Some(principal))
    }

    /// Every key, newest first: of one tenant, or of all.
    pub async fn list(&self, tenant: Option<&str>) -> Result<Vec<ApiKey>> {
        let rows = match tenant {
            None => {
                let all = "SELECT id, tenant, name, role, created_at, last_used_at, revoked_at FROM api_key ORDER BY created_at DESC, id";
                self.state.fetch(all, &[]).await?
            }
            Some(tenant) => {
                let own = "SELECT id, tenant, name, role, created_at, last_used_at, revoked_at FROM api_key
                    WHERE tenant = $1 ORDER BY created_at DESC, id";
                self.state.fetch(own, &[tenant.into()]).await?
            }
        };
        rows.iter().map(ApiKey::of).collect()
    }

    /// Ends a key: here at once, on other nodes within [`BELIEVED_FOR`]. Ending it again changes nothing.
    pub async fn revoke(&self, id: &str) -> Result<()> {
        let revoke = "UPDATE api_key SET revoked_at = COALESCE(revoked_at, $1) WHERE id = $2";
        let known = self.state.execute(revoke, &[Value::Time(self.clock.now_us()), id.into()]).await?;
        self.cache.forget(id);
        if known == 0 { Err(Error::new(Kind::NotFound, "there is no key with this id")) } else { Ok(()) }
    }

    /// A new key's text, for the file that [`Directory::ensure_bootstrap`] is then given.
    pub fn mint(&self) -> Result<Secret> {
        Secret::mint(self.dice.as_ref())
    }

    /// Makes the presented key the one bootstrap key: registered as the platform's if it is new; an older bootstrap key
    /// ends. Refuses, with kind `Conflict`, one that was revoked or whose id belongs to another key.
    pub async fn ensure_bootstrap(&self, presented: &str) -> Result<ApiKey> {
        let secret = Secret::parse(presented);
        let secret = secret
            .ok_or_else(|| Error::invalid(format!("the bootstrap key does not have the form {PREFIX}<id>_<secret>")))?;
        let now_us = self.clock.now_us();
        let mut transaction = self.state.transaction().await?;
        let older = "UPDATE api_key SET revoked_at = $1
            WHERE name = $2 AND role = 'platform' AND id <> $3 AND revoked_at IS NULL RETURNING id";
        let ended = transaction.fetch(older, &[Value::Time(now_us), BOOTSTRAP.into(), secret.id().into()]).await?;
        let key = match transaction.fetch(SELECT_KEY, &[secret.id().into()]).await?.pop() {
            Some(row) => {
                let key = ApiKey::of(&row)?;
                if !secret.is_of(&row.get::<String>("hash")?) || key.role != Role::Platform || key.name != BOOTSTRAP {
                    return Err(Error::new(Kind::Conflict, "the bootstrap key's id belongs to another key"));
                }
                if key.revoked_at_us.is_some() {
                    return Err(Error::new(
                        Kind::Conflict,
                        "the bootstrap key was revoked: remove its file to get a new one",
                    ));
                }
                key
            }
            None => {
                let key = self.described(&secret, None, BOOTSTRAP, Role::Platform);
                transaction.execute(INSERT_KEY, &insert_values(&key, &secret)?).await?;
                key
            }
        };
        transaction.commit().await?;
        for row in ended {
            self.cache.forget(&row.get::<String>("id")?);
        }
        Ok(key)
    }

    fn described(&self, secret: &Secret, tenant: Option<&str>, name: &str, role: Role) -> ApiKey {
        ApiKey {
            id: secret.id().to_owned(),
            tenant: tenant.map(str::to_owned),
            name: name.to_owned(),
            role,
            created_at_us: self.clock.now_us(),
            last_used_at_us: None,
            revoked_at_us: None,
        }
    }

    /// Notes the use of a key, now and then. A failure is logged only: the caller has shown a good key.
    async fn note_use(&self, key: &ApiKey, now_us: i64) {
        let before_us = now_us.saturating_sub(LAST_USED_EVERY.as_micros() as i64);
        if key.last_used_at_us.is_some_and(|used_us| used_us > before_us) {
            return;
        }
        let note = "UPDATE api_key SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)";
        if let Err(error) = self.state.execute(note, &[Value::Time(now_us), key.id.as_str().into()]).await {
            tracing::warn!(key = key.id, %error, "the last use of a key was not noted");
        }
    }
}

fn insert_values(key: &ApiKey, secret: &Secret) -> Result<[Value; 6]> {
    Ok([
        key.id.as_str().into(),
        key.tenant.clone().into(),
        checked("name", &key.name)?,
        key.role.as_str().into(),
        hex::encode(secret.hash()).into(),
        Value::Time(key.created_at_us),
    ])
}

fn checked(what: &str, text: &str) -> Result<Value> {
    if text.trim().is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Error::invalid(format!("a {what} has 1 to {NAME_BYTES_MAX} bytes and no control characters")));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests;
