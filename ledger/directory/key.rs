//! API keys: made, rotated, ended, and verified at every call.

use std::time::Duration;

use engine::state::Row;
use engine::{Error, Kind, Result, Value};
use serde_json::json;

use super::grant::granted;
use super::secret::Secret;
use super::{Directory, INSERT_TENANT, checked};
use crate::principal::{Caller, Permission, Permissions, Principal, Role};

/// `last_used_at` is written at most this often per key: a coarse answer is enough to find keys nobody uses.
const LAST_USED_EVERY: Duration = Duration::from_secs(600);
/// Teams and roles of one key.
const GROUPS_MAX: usize = 64;

pub(super) const INSERT_KEY: &str = "INSERT INTO api_key
    (id, tenant, name, role, scopes, teams, roles, hash, created_at, expires_at, rotated_from)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
pub(super) const SELECT_KEY: &str = "SELECT id, tenant, name, role, scopes, teams, roles, created_at, last_used_at,
    expires_at, rotated_from, rotated_to, revoked_at, hash FROM api_key WHERE id = $1";
const SELECT_ALL: &str = "SELECT id, tenant, name, role, scopes, teams, roles, created_at, last_used_at, expires_at,
    rotated_from, rotated_to, revoked_at FROM api_key ORDER BY created_at DESC, id";
const LOCK_KEY: &str = "UPDATE api_key SET name = name WHERE id = $1";
const REVOKE: &str = "UPDATE api_key SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
const SUCCEED: &str = "UPDATE api_key SET rotated_to = $1, expires_at = $2 WHERE id = $3";
const TEAM: &str = "SELECT id FROM directory_entity WHERE tenant = $1 AND kind = 'Team' AND id = $2";
const TENANT_ENDED: &str = "SELECT id FROM tenant WHERE id = $1 AND ended_at IS NOT NULL";

/// A key as the directory lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part.
    pub id: String,
    /// The tenant it speaks for; `None` is the platform, or a key that only has what is granted.
    pub tenant: Option<String>,
    /// What it is for.
    pub name: String,
    /// For whom it speaks.
    pub role: Role,
    /// What it may do.
    pub scopes: Permissions,
    /// Its teams, as `tenant/team`.
    pub teams: Vec<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// Microseconds since 1970, UTC.
    pub created_at_us: i64,
    /// When it was last used, to ten minutes.
    pub last_used_at_us: Option<i64>,
    /// When it ends by itself.
    pub expires_at_us: Option<i64>,
    /// The key that it replaces.
    pub rotated_from: Option<String>,
    /// The key that replaces it.
    pub rotated_to: Option<String>,
    /// When it was revoked.
    pub revoked_at_us: Option<i64>,
}

/// The key that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOrder {
    /// What it is for.
    pub name: String,
    /// The tenant it speaks for.
    pub tenant: Option<String>,
    /// For whom it speaks.
    pub role: Role,
    /// What it may do.
    pub scopes: Permissions,
    /// Its teams: bare names are of its own tenant, others are `tenant/team`.
    pub teams: Vec<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// How long it is good; `None` until it is ended.
    pub expires_in: Option<Duration>,
}

impl KeyOrder {
    /// A tenant's key that reads and writes; without a tenant, one of the platform that may do everything.
    pub fn new(name: &str, tenant: Option<&str>) -> Self {
        let (role, scopes) = match tenant {
            Some(_) => (Role::Tenant, Permissions::of(&[Permission::Read, Permission::Write])),
            None => (Role::Platform, Permissions::ALL),
        };
        KeyOrder {
            name: name.to_owned(),
            tenant: tenant.map(str::to_owned),
            role,
            scopes,
            teams: Vec::new(),
            roles: Vec::new(),
            expires_in: None,
        }
    }
}

/// How a key is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// How long the old key is good beside the new one.
    pub overlap: Duration,
    /// How long the new one is good; `None` as long as the old one was.
    pub expires_in: Option<Duration>,
}

/// Why a credential is not good. The caller is not told which; the audit log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It does not have the form of a key.
    NoKey,
    /// There is no such key, or its secret is another.
    Unknown,
    /// It was revoked.
    Revoked,
    /// Its time is over.
    Expired,
}

impl Refusal {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::NoKey => "no key",
            Refusal::Unknown => "unknown key",
            Refusal::Revoked => "revoked key",
            Refusal::Expired => "expired key",
        }
    }
}

impl ApiKey {
    pub(super) fn of(row: &Row) -> Result<Self> {
        let corrupt = |what: &str, word: &str| Error::new(Kind::Corrupt, format!("an API key has the {what} {word}"));
        let (role, scopes): (String, String) = (row.get("role")?, row.get("scopes")?);
        let words = |column: &str| -> Result<Vec<String>> {
            Ok(row.get::<String>(column)?.split_whitespace().map(str::to_owned).collect())
        };
        Ok(ApiKey {
            id: row.get("id")?,
            tenant: row.get("tenant")?,
            name: row.get("name")?,
            role: Role::parse(&role).ok_or_else(|| corrupt("role", &role))?,
            scopes: Permissions::parse(&scopes).map_err(|_| corrupt("scopes", &scopes))?,
            teams: words("teams")?,
            roles: words("roles")?,
            created_at_us: row.get("created_at")?,
            last_used_at_us: row.get("last_used_at")?,
            expires_at_us: row.get("expires_at")?,
            rotated_from: row.get("rotated_from")?,
            rotated_to: row.get("rotated_to")?,
            revoked_at_us: row.get("revoked_at")?,
        })
    }

    pub(super) fn new(secret: &Secret, order: &KeyOrder, now_us: i64) -> Self {
        ApiKey {
            id: secret.id().to_owned(),
            tenant: order.tenant.clone(),
            name: order.name.clone(),
            role: order.role,
            scopes: order.scopes,
            teams: order.teams.clone(),
            roles: order.roles.clone(),
            created_at_us: now_us,
            last_used_at_us: None,
            expires_at_us: order.expires_in.map(|time| later(now_us, time)),
            rotated_from: None,
            rotated_to: None,
            revoked_at_us: None,
        }
    }

    /// What the audit log says of it.
    pub(super) fn detail(&self) -> serde_json::Value {
        json!({
            "role": self.role, "scopes": self.scopes.words(), "teams": self.teams, "roles": self.roles,
            "expires_at_us": self.expires_at_us,
        })
    }

    fn principal(&self) -> Principal {
        let principal = match (&self.tenant, self.role) {
            (Some(tenant), _) => Principal::tenant_member(tenant, &self.name),
            (None, Role::Granted) => Principal::granted(&self.name),
            (None, _) => Principal::platform(&self.name),
        };
        principal.with_permissions(self.scopes)
    }

    fn refusal(&self, now_us: i64) -> Option<Refusal> {
        if self.revoked_at_us.is_some() {
            return Some(Refusal::Revoked);
        }
        self.expires_at_us.filter(|at_us| *at_us <= now_us).map(|_| Refusal::Expired)
    }
}

impl Directory {
    /// A key with what its role may do; the secret is nowhere else afterwards.
    pub async fn create_key(&self, tenant: Option<&str>, name: &str, role: Role) -> Result<(ApiKey, Secret)> {
        let order = KeyOrder { role, ..KeyOrder::new(name, tenant) };
        self.issue(&order, &Caller::operator()).await
    }

    /// Makes a key (and its tenant, if the platform asks for a new one). The secret is nowhere else afterwards.
    pub async fn issue(&self, order: &KeyOrder, caller: &Caller) -> Result<(ApiKey, Secret)> {
        let order = fitting(order, caller)?;
        let secret = Secret::mint(self.dice.as_ref())?;
        let key = ApiKey::new(&secret, &order, self.clock.now_us());
        let mut transaction = self.state.transaction().await?;
        if let Some(tenant) = &key.tenant {
            transaction.execute(INSERT_TENANT, &self.tenant_values(tenant, tenant)?).await?;
            if !transaction.fetch(TENANT_ENDED, &[tenant.as_str().into()]).await?.is_empty() {
                return Err(Error::new(
                    Kind::Conflict,
                    format!("the tenant {tenant} was ended: apply its document again first"),
                ));
            }
        }
        for (tenant, team) in key.teams.iter().filter_map(|team| team.split_once('/')) {
            if transaction.fetch(TEAM, &[tenant.into(), team.into()]).await?.is_empty() {
                return Err(Error::invalid(format!("the directory knows no team {team} of the tenant {tenant}")));
            }
        }
        transaction.execute(INSERT_KEY, &insert_values(&key, &secret)?).await?;
        let entry = caller.entry("key.create", key.id.as_str()).of_tenant(key.tenant.as_deref());
        // A key is often called after who has it: a name that can be erased.
        let entry = entry.about_person(key.name.as_str()).with(key.detail());
        self.note(&mut transaction, vec![entry]).await?;
        transaction.commit().await?;
        Ok((key, secret))
    }

    /// A new key in place of an old one, which stays good for the overlap and ends then. What the old one may do, the new
    /// one may.
    pub async fn rotate(&self, id: &str, rotation: Rotation, caller: &Caller) -> Result<(ApiKey, Secret)> {
        let now_us = self.clock.now_us();
        let secret = Secret::mint(self.dice.as_ref())?;
        let mut transaction = self.state.transaction().await?;
        transaction.execute(LOCK_KEY, &[id.into()]).await?;
        let old = transaction.fetch(SELECT_KEY, &[id.into()]).await?.pop().map(|row| ApiKey::of(&row)).transpose()?;
        let old = old.filter(|key| owned(key, caller)).ok_or_else(unknown)?;
        if let Some(refusal) = old.refusal(now_us) {
            return Err(Error::new(
                Kind::Conflict,
                format!("the key {id} cannot be rotated: it is a {}", refusal.as_str()),
            ));
        }
        if let Some(successor) = &old.rotated_to {
            return Err(Error::new(Kind::Conflict, format!("the key {id} was rotated already: rotate {successor}")));
        }
        if old.name == super::BOOTSTRAP && old.role == Role::Platform {
            return Err(Error::new(
                Kind::Conflict,
                "the bootstrap key is rotated by removing its file and starting anew",
            ));
        }
        let lived_us = old.expires_at_us.map(|at_us| at_us - old.created_at_us);
        let lives =
            rotation.expires_in.map(|time| later(now_us, time)).or(lived_us.map(|lived| now_us.saturating_add(lived)));
        let new = ApiKey {
            id: secret.id().to_owned(),
            created_at_us: now_us,
            last_used_at_us: None,
            expires_at_us: lives,
            rotated_from: Some(old.id.clone()),
            ..old.clone()
        };
        let ends_us = later(now_us, rotation.overlap).min(old.expires_at_us.unwrap_or(i64::MAX));
        transaction.execute(INSERT_KEY, &insert_values(&new, &secret)?).await?;
        transaction.execute(SUCCEED, &[new.id.as_str().into(), Value::Time(ends_us), id.into()]).await?;
        let entry = caller.entry("key.rotate", id).of_tenant(old.tenant.as_deref());
        let detail = json!({"to": new.id, "old_ends_at_us": ends_us, "expires_at_us": lives});
        self.note(&mut transaction, vec![entry.with(detail)]).await?;
        transaction.commit().await?;
        self.cache.forget(id);
        Ok((new, secret))
    }

    /// Whose key this is, or `None` if it is not good: a caller is not told why.
    pub async fn verify(&self, presented: &str) -> Result<Option<Principal>> {
        Ok(self.examine(presented).await?.ok())
    }

    /// Whose key this is, or why it is not good. A key that was revoked on another node, or a grant that was taken away
    /// there, counts here for [`super::BELIEVED_FOR`] at most; a key never outlives its own end.
    pub async fn examine(&self, presented: &str) -> Result<Result<Principal, Refusal>> {
        let Some(secret) = Secret::parse(presented) else { return Ok(Err(Refusal::NoKey)) };
        let (hash, now_us) = (secret.hash(), self.clock.now_us());
        if let Some(principal) = self.cache.get(&hash, now_us) {
            return Ok(Ok(principal));
        }
        let mark = self.cache.mark();
        let Some(row) = self.state.fetch(SELECT_KEY, &[secret.id().into()]).await?.pop() else {
            return Ok(Err(Refusal::Unknown));
        };
        let key = ApiKey::of(&row)?;
        if !secret.is_of(&row.get::<String>("hash")?) {
            return Ok(Err(Refusal::Unknown));
        }
        if let Some(refusal) = key.refusal(now_us) {
            return Ok(Err(refusal));
        }
        let principal = granted(&self.state, &key, key.principal()).await?;
        self.cache.put(hash, &key.id, principal.clone(), now_us, key.expires_at_us, mark);
        self.note_use(&key, now_us).await;
        Ok(Ok(principal))
    }

    /// Every key, newest first: of one tenant, or of all.
    pub async fn list(&self, tenant: Option<&str>) -> Result<Vec<ApiKey>> {
        let keys = self.state.fetch(SELECT_ALL, &[]).await?;
        let keys: Vec<ApiKey> = keys.iter().map(ApiKey::of).collect::<Result<_>>()?;
        Ok(keys.into_iter().filter(|key| tenant.is_none() || key.tenant.as_deref() == tenant).collect())
    }

    /// Ends a key: here at once, on other nodes within [`super::BELIEVED_FOR`]. Ending it again changes nothing.
    pub async fn revoke(&self, id: &str, caller: &Caller) -> Result<()> {
        let mut transaction = self.state.transaction().await?;
        transaction.execute(LOCK_KEY, &[id.into()]).await?;
        let key = transaction.fetch(SELECT_KEY, &[id.into()]).await?.pop().map(|row| ApiKey::of(&row)).transpose()?;
        let key = key.filter(|key| owned(key, caller)).ok_or_else(unknown)?;
        let ended = transaction.execute(REVOKE, &[Value::Time(self.clock.now_us()), id.into()]).await?;
        if ended > 0 {
            let entry = caller.entry("key.revoke", id).of_tenant(key.tenant.as_deref());
            self.note(&mut transaction, vec![entry]).await?;
        }
        transaction.commit().await?;
        self.cache.forget(id);
        Ok(())
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

/// The order as far as the caller may give it: a tenant's caller makes keys of its tenant, that may do no more than
/// its role can.
fn fitting(order: &KeyOrder, caller: &Caller) -> Result<KeyOrder> {
    if (order.role == Role::Tenant) != order.tenant.is_some() {
        return Err(Error::invalid("a tenant's key names its tenant, a platform key names none"));
    }
    if let Some(own) = caller.scope.tenants.named() {
        let is_own = order.tenant.as_ref().is_some_and(|tenant| own.iter().any(|own| own.as_ref() == tenant));
        if !is_own {
            return Err(Error::new(Kind::Denied, "a tenant's keys are for that tenant"));
        }
        let foreign =
            |team: &&String| team.split_once('/').is_some_and(|(tenant, _)| Some(tenant) != order.tenant.as_deref());
        if let Some(team) = order.teams.iter().find(foreign) {
            return Err(Error::new(Kind::Denied, format!("the team {team} is another tenant's")));
        }
        // A role may have been granted other tenants' rows; only the platform says who has one.
        if let Some(role) = order.roles.first() {
            return Err(Error::new(Kind::Denied, format!("the role {role} is the platform's to give")));
        }
    }
    if order.teams.len() + order.roles.len() > GROUPS_MAX {
        return Err(Error::invalid(format!("a key has at most {GROUPS_MAX} teams and roles")));
    }
    let teams = order.teams.iter().map(|team| match (team.contains('/'), &order.tenant) {
        (true, _) => Ok(team.clone()),
        (false, Some(tenant)) => Ok(format!("{tenant}/{team}")),
        (false, None) => Err(Error::invalid(format!("the team {team} of a key without a tenant is named TENANT/TEAM"))),
    });
    let teams: Vec<String> = teams.collect::<Result<_>>()?;
    let is_word = |word: &String| !word.is_empty() && !word.contains(char::is_whitespace);
    if !teams.iter().chain(&order.roles).all(is_word) {
        return Err(Error::invalid("names of teams and roles have no blanks"));
    }
    let scopes = order.scopes.within(order.role);
    if scopes == Permissions::default() {
        let text = format!("a key of role {} cannot have the scopes {}", order.role.as_str(), order.scopes.words());
        return Err(Error::invalid(text));
    }
    Ok(KeyOrder { teams, scopes, ..order.clone() })
}

/// Whether a key is the caller's to manage. What is not is not there.
fn owned(key: &ApiKey, caller: &Caller) -> bool {
    match caller.scope.tenants.named() {
        None => true,
        Some(_) => key.tenant.as_ref().is_some_and(|tenant| caller.scope.tenants.covers(tenant)),
    }
}

fn unknown() -> Error {
    Error::new(Kind::NotFound, "there is no key with this id")
}

fn later(now_us: i64, time: Duration) -> i64 {
    now_us.saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

pub(super) fn insert_values(key: &ApiKey, secret: &Secret) -> Result<[Value; 11]> {
    Ok([
        key.id.as_str().into(),
        key.tenant.clone().into(),
        checked("name", &key.name)?,
        key.role.as_str().into(),
        key.scopes.words().into(),
        key.teams.join(" ").into(),
        key.roles.join(" ").into(),
        hex::encode(secret.hash()).into(),
        Value::Time(key.created_at_us),
        key.expires_at_us.map_or(Value::Null, Value::Time),
        key.rotated_from.clone().into(),
    ])
}
