//! Documents become the directory, atomically and as a version: who, when, which documents, what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use engine::query_log::PLATFORM;
use engine::state::{Row, Transaction};
use engine::{Error, Kind, Result, Tenants, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::Directory;
use super::document::{Read, read_entities, read_folder};
use super::entity::{Entity, EntityKey, EntityKind};
use super::plan::{Action, Change, Plan, Planned, Wish, plan, team_members};
use crate::principal::Caller;

/// Things that the directory holds at most.
const ENTITIES_MAX: usize = 100_000;

const ENTITIES: &str = "SELECT tenant, kind, id, title, description, owner, spec, labels FROM directory_entity
    ORDER BY tenant, kind, id LIMIT 100001";
const TENANTS: &str = "SELECT id FROM tenant WHERE ended_at IS NULL";
const VERSION: &str = "SELECT version FROM directory_head WHERE id = 1";
const TAKE_VERSION: &str = "UPDATE directory_head SET version = version + 1 WHERE id = 1 AND version = $1";
const PUT: &str =
    "INSERT INTO directory_entity (tenant, kind, id, title, description, owner, spec, labels, version, changed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (tenant, kind, id) DO UPDATE SET title = excluded.title, description = excluded.description,
        owner = excluded.owner, spec = excluded.spec, labels = excluded.labels, version = excluded.version,
        changed_at = excluded.changed_at";
const DELETE: &str = "DELETE FROM directory_entity WHERE tenant = $1 AND kind = $2 AND id = $3";
const NOTE_CHANGE: &str = "INSERT INTO directory_change (version, tenant, kind, id, action, at, before, after)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const NOTE_VERSION: &str = "INSERT INTO directory_version (version, at, actor, origin, hash, created, changed, deleted)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const PUT_TENANT: &str = "INSERT INTO tenant (id, name, created_at) VALUES ($1, $2, $3)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, ended_at = NULL";
const END_TENANT: &str = "UPDATE tenant SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL";
const END_KEYS: &str = "UPDATE api_key SET revoked_at = $1 WHERE tenant = $2 AND revoked_at IS NULL";
const PUT_MEMBER: &str = "INSERT INTO team_member (tenant, team, member, role) VALUES ($1, $2, $3, $4)";
const PUT_GRANT: &str = "INSERT INTO tenant_grant (tenant, grantee, access, source) VALUES ($1, $2, $3, $4)
    ON CONFLICT (tenant, grantee, source) DO UPDATE SET access = excluded.access";

/// What came of applying documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// What was done, or would be.
    pub plan: Plan,
    /// The version that the directory has now; the old one where nothing was done.
    pub version: i64,
    /// Whether it was done.
    pub applied: bool,
}

/// The directory of one tenant, or of all, as documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Documents {
    /// The version of the directory.
    pub version: i64,
    /// The documents; they can be applied again.
    pub entities: Vec<Json>,
}

impl Directory {
    /// Applies the documents of a folder.
    pub async fn apply_folder(&self, folder: &Path, wish: &Wish, caller: &Caller) -> Result<Applied> {
        let (path, origin) = (folder.to_owned(), folder.display().to_string());
        let reading = tokio::task::spawn_blocking(move || read_folder(&path)).await;
        let wanted = reading.map_err(|e| Error::unavailable("read the documents", e))??;
        self.apply(wanted, wish, &origin, caller).await
    }

    /// Applies the documents of a request.
    pub async fn apply_entities(&self, entities: &[Json], wish: &Wish, caller: &Caller) -> Result<Applied> {
        self.apply(read_entities(entities)?, wish, "api", caller).await
    }

    async fn apply(&self, wanted: Vec<Read>, wish: &Wish, origin: &str, caller: &Caller) -> Result<Applied> {
        let wish = within(wish, caller)?;
        let there = self.there().await?;
        let planned = plan(wanted, there.entities, &there.tenants, there.version, &wish)?;
        if wish.dry_run || planned.plan.changes.is_empty() {
            return Ok(Applied { plan: planned.plan, version: there.version, applied: false });
        }
        let version = self.write(&planned, &wish, origin, caller).await?;
        // Teams, grants and tenants may have changed: everybody is looked at anew.
        self.cache.forget_all();
        Ok(Applied { plan: planned.plan, version, applied: true })
    }

    /// The directory as documents.
    pub async fn documents(&self, tenants: &Tenants) -> Result<Documents> {
        let version = self.version().await?;
        let entities = self.entities().await?;
        let entities = entities.iter().filter(|entity| tenants.covers(&entity.key.tenant)).map(Entity::document);
        Ok(Documents { version, entities: entities.collect() })
    }

    async fn version(&self) -> Result<i64> {
        let row = self.state.fetch(VERSION, &[]).await?.pop();
        row.ok_or_else(|| Error::new(Kind::Corrupt, "the directory has lost its version"))?.get("version")
    }

    async fn entities(&self) -> Result<Vec<Entity>> {
        let rows = self.state.fetch(ENTITIES, &[]).await?;
        if rows.len() > ENTITIES_MAX {
            return Err(Error::new(Kind::Limit, format!("the directory holds more than {ENTITIES_MAX} things")));
        }
        rows.iter().map(entity).collect()
    }

    async fn there(&self) -> Result<There> {
        let version = self.version().await?;
        let entities = self.entities().await?;
        let documented: BTreeSet<&String> =
            entities.iter().map(|e| &e.key).filter(|k| k.kind == EntityKind::Tenant).map(|k| &k.id).collect();
        let tenants = self.state.fetch(TENANTS, &[]).await?;
        let tenants: Vec<String> = tenants.iter().map(|row| row.get("id")).collect::<Result<_>>()?;
        let tenants = tenants.into_iter().filter(|tenant| !documented.contains(tenant)).collect();
        let documents: Vec<Json> = entities.iter().map(Entity::document).collect();
        let entities =
            read_entities(&documents).map_err(|e| Error::new(Kind::Corrupt, format!("read the directory: {e}")))?;
        Ok(There { version, entities, tenants })
    }

    async fn write(&self, planned: &Planned, wish: &Wish, origin: &str, caller: &Caller) -> Result<i64> {
        let (plan, now_us) = (&planned.plan, self.clock.now_us());
        let mut transaction = self.state.transaction().await?;
        if transaction.execute(TAKE_VERSION, &[plan.over_version.into()]).await? == 0 {
            return Err(Error::new(Kind::Conflict, "the directory has changed since the plan was made: apply again"));
        }
        let writing = Writing { version: plan.over_version + 1, now_us };
        let after: BTreeMap<&EntityKey, &Read> = planned.after.iter().map(|read| (&read.entity.key, read)).collect();
        for change in &plan.changes {
            writing.change(&mut transaction, change, after.get(&change.key).copied()).await?;
        }
        let tenants: BTreeSet<&str> = plan.changes.iter().map(|change| change.key.tenant.as_str()).collect();
        for tenant in &tenants {
            writing.members(&mut transaction, &planned.after, tenant).await?;
        }
        let counts = [Action::Create, Action::Change, Action::Delete].map(|action| plan.count(action));
        let values = [
            writing.version.into(),
            Value::Time(now_us),
            (&*caller.scope.principal).into(),
            origin.into(),
            plan.hash.as_str().into(),
            counts[0].into(),
            counts[1].into(),
            counts[2].into(),
        ];
        transaction.execute(NOTE_VERSION, &values).await?;
        let detail = |tenant: Option<&str>| {
            let of = |action| {
                plan.changes
                    .iter()
                    .filter(move |c| c.action == action && tenant.is_none_or(|t| c.key.tenant == t))
                    .count()
            };
            json!({"version": writing.version, "hash": plan.hash, "origin": origin, "prune": wish.prune,
                   "created": of(Action::Create), "changed": of(Action::Change), "deleted": of(Action::Delete)})
        };
        let of_tenants = tenants
            .iter()
            .filter(|tenant| **tenant != PLATFORM)
            .map(|tenant| caller.entry("tenant.apply", *tenant).of_tenant(Some(tenant)).with(detail(Some(tenant))));
        let mut entries = vec![
            caller.entry("directory.apply", format!("version {}", writing.version)).of_tenant(None).with(detail(None)),
        ];
        entries.extend(of_tenants);
        self.note(&mut transaction, entries).await?;
        transaction.commit().await?;
        Ok(writing.version)
    }
}

/// What is there before.
struct There {
    version: i64,
    entities: Vec<Read>,
    /// Tenants without a document.
    tenants: BTreeSet<String>,
}

/// A caller who is not the platform speaks for its tenant only.
fn within(wish: &Wish, caller: &Caller) -> Result<Wish> {
    let named = match (caller.scope.tenants.named(), &wish.within) {
        (None, named) => named.clone(),
        (Some([own]), None) => Some(own.to_string()),
        (Some(_), Some(named)) if caller.scope.tenants.covers(named) => Some(named.clone()),
        (Some(_), Some(_)) => {
            return Err(Error::new(Kind::Denied, "the directory of another tenant is not yours to change"));
        }
        (Some(_), None) => return Err(Error::invalid("name the tenant whose directory is meant")),
    };
    Ok(Wish { within: named, ..wish.clone() })
}

fn entity(row: &Row) -> Result<Entity> {
    let corrupt = |what: String| Error::new(Kind::Corrupt, format!("read the directory: {what}"));
    let kind: String = row.get("kind")?;
    let kind = EntityKind::parse(&kind).ok_or_else(|| corrupt(format!("{kind} is no kind")))?;
    let document = |column: &str| -> Result<Json> {
        serde_json::from_str(&row.get::<String>(column)?).map_err(|e| corrupt(format!("{column}: {e}")))
    };
    Ok(Entity {
        key: EntityKey { tenant: row.get("tenant")?, kind, id: row.get("id")? },
        title: row.get("title")?,
        description: row.get("description")?,
        owner: row.get("owner")?,
        spec: document("spec")?,
        labels: document("labels")?,
    })
}

/// One version, while it is written.
struct Writing {
    version: i64,
    now_us: i64,
}

impl Writing {
    async fn change(&self, transaction: &mut Transaction, change: &Change, after: Option<&Read>) -> Result<()> {
        let EntityKey { tenant, kind, id } = &change.key;
        let key: [Value; 3] = [tenant.as_str().into(), kind.as_str().into(), id.as_str().into()];
        match after {
            Some(read) => self.put(transaction, &key, read).await?,
            None => drop(transaction.execute(DELETE, &key).await?),
        }
        let text = |json: &Option<Json>| json.as_ref().map(Json::to_string);
        let [tenant, kind, id] = key;
        let values = [
            self.version.into(),
            tenant,
            kind,
            id,
            change.action.as_str().into(),
            Value::Time(self.now_us),
            text(&change.before).into(),
            text(&change.after).into(),
        ];
        transaction.execute(NOTE_CHANGE, &values).await?;
        match change.key.kind {
            EntityKind::Tenant => self.tenant(transaction, &change.key.id, after).await,
            EntityKind::Grant => self.grant(transaction, &change.key, after).await,
            _ => Ok(()),
        }
    }

    async fn put(&self, transaction: &mut Transaction, key: &[Value; 3], read: &Read) -> Result<()> {
        let Entity { title, description, owner, spec, labels, .. } = &read.entity;
        let [tenant, kind, id] = key.clone();
        let values = [
            tenant,
            kind,
            id,
            title.clone().into(),
            description.clone().into(),
            owner.clone().into(),
            spec.to_string().into(),
            labels.to_string().into(),
            self.version.into(),
            Value::Time(self.now_us),
        ];
        transaction.execute(PUT, &values).await.map(|_| ())
    }

    /// A tenant that goes is ended, not removed: its rows still name it. Its keys end with it.
    async fn tenant(&self, transaction: &mut Transaction, id: &str, after: Option<&Read>) -> Result<()> {
        match after {
            Some(read) => {
                let name = read.entity.title.as_deref().unwrap_or(id);
                transaction.execute(PUT_TENANT, &[id.into(), name.into(), Value::Time(self.now_us)]).await?;
            }
            None => {
                transaction.execute(END_TENANT, &[Value::Time(self.now_us), id.into()]).await?;
                transaction.execute(END_KEYS, &[Value::Time(self.now_us), id.into()]).await?;
            }
        }
        Ok(())
    }

    async fn grant(&self, transaction: &mut Transaction, key: &EntityKey, after: Option<&Read>) -> Result<()> {
        let source = format!("{}/{}", key.tenant, key.id);
        transaction.execute("DELETE FROM tenant_grant WHERE source = $1", &[source.as_str().into()]).await?;
        let Some(grant) = after.and_then(|read| read.grant.as_ref()) else { return Ok(()) };
        let own = std::slice::from_ref(&key.tenant);
        let grantee = grant.to.replacen("group:", "team:", 1);
        for tenant in if grant.tenants.is_empty() { own } else { &grant.tenants } {
            let values =
                [tenant.as_str().into(), grantee.as_str().into(), grant.access.as_str().into(), source.as_str().into()];
            transaction.execute(PUT_GRANT, &values).await?;
        }
        Ok(())
    }

    async fn members(&self, transaction: &mut Transaction, after: &[Read], tenant: &str) -> Result<()> {
        transaction.execute("DELETE FROM team_member WHERE tenant = $1", &[tenant.into()]).await?;
        for ((team, member), role) in team_members(after, tenant) {
            let values = [tenant.into(), team.into(), member.into(), role.into()];
            transaction.execute(PUT_MEMBER, &values).await?;
        }
        Ok(())
    }
}
