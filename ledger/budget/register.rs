//! Budgets and quotas as they are kept: what a file changes, worked out and checked before anything is written; every
//! change is a revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::state::{Row, Transaction};
use engine::{Error, Kind, Result, Value};
use serde::{Deserialize, Serialize};

use super::definition::{Budget, File, nesting};
use super::node::Budgets;
use super::plan::{Plan, Stored};
use super::quota::Quota;
use super::rows;

/// What becomes of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is new.
    Created,
    /// It is other than before.
    Changed,
    /// It is as it was.
    Unchanged,
    /// It is gone.
    Deleted,
}

impl Action {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Created => "created",
            Action::Changed => "changed",
            Action::Unchanged => "unchanged",
            Action::Deleted => "deleted",
        }
    }
}

/// What an entry of a file comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `budget` or `quota`.
    pub kind: String,
    /// Whose.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub action: Action,
    /// Counting begins anew, because what was counted so far means something else now.
    pub begins_anew: bool,
}

/// Who changes something, for the revision; whose entries he may change.
#[derive(Debug, Clone)]
pub struct Author {
    /// His name.
    pub name: String,
    /// The only tenant whose entries he may change; `None` may change all.
    pub tenant: Option<Arc<str>>,
}

/// One revision of an entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Revision {
    /// `budget` or `quota`.
    pub kind: String,
    /// Counted from 1.
    pub version: i64,
    /// What was done.
    pub action: String,
    /// As it was written.
    pub definition: serde_json::Value,
    /// Microseconds since 1970, UTC.
    pub changed_us: i64,
    /// By whom.
    pub changed_by: String,
}

const LOCK: &str = "UPDATE budget_edition SET edition = edition WHERE one = 1 RETURNING edition";
const NEXT_EDITION: &str = "UPDATE budget_edition SET edition = edition + 1 WHERE one = 1";
const BUDGETS: &str = "SELECT tenant, name, id, version, definition FROM budget ORDER BY tenant, name";
const QUOTAS: &str = "SELECT tenant, name, definition FROM quota ORDER BY tenant, name";
const PUT_BUDGET: &str = "INSERT INTO budget (tenant, name, id, version, unit, limit_units, kind, scope, parent, span,
    zone, starts_at, ends_at, definition, changed_at, changed_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
    ON CONFLICT (tenant, name) DO UPDATE SET id = excluded.id, version = excluded.version, unit = excluded.unit,
    limit_units = excluded.limit_units, kind = excluded.kind, scope = excluded.scope, parent = excluded.parent,
    span = excluded.span, zone = excluded.zone, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
    definition = excluded.definition, changed_at = excluded.changed_at, changed_by = excluded.changed_by";
const PUT_QUOTA: &str =
    "INSERT INTO quota (tenant, name, definition, changed_at, changed_by) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (tenant, name) DO UPDATE SET definition = excluded.definition, changed_at = excluded.changed_at,
    changed_by = excluded.changed_by";
const LAST_REVISION: &str = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) AS version FROM budget_revision
    WHERE tenant = $1 AND name = $2 AND kind = $3";
const PUT_REVISION: &str = "INSERT INTO budget_revision (tenant, name, kind, version, action, definition, changed_at,
    changed_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const PUT_EVENT: &str = "INSERT INTO budget_event (id, tenant, budget, budget_id, window_start, kind, happened_at,
    event_count, unit, limit_units, spent_units, reserved_units, details)
    VALUES ($1, $2, $3, $4, 0, 'changed', $5, 1, $6, $7, 0, 0, $8) ON CONFLICT (id) DO NOTHING";

/// Stored entries of both kinds.
struct Known {
    edition: i64,
    budgets: Vec<Stored>,
    quotas: Vec<Quota>,
}

impl Budgets {
    /// Puts the budgets and quotas of a file in place of those of the same names; others stay. With `dry`, says what it
    /// would do. Nothing changes where anything is wrong.
    pub async fn apply(&self, text: &str, author: &Author, dry: bool) -> Result<Vec<Change>> {
        let file = File::parse(text)?;
        for (tenant, name) in
            file.budgets.iter().map(|b| (&b.tenant, &b.name)).chain(file.quotas.iter().map(|q| (&q.tenant, &q.name)))
        {
            author.may(tenant, name)?;
        }
        let mut transaction = self.state.transaction().await?;
        let known = known(&mut transaction).await?;
        let changes = planned(&file, &known)?;
        if dry || changes.iter().all(|(change, _)| change.action == Action::Unchanged) {
            return Ok(changes.into_iter().map(|(change, _)| change).collect());
        }
        let now_us = self.clock.now_us();
        for (change, entry) in changes.iter().filter(|(change, _)| change.action != Action::Unchanged) {
            let version = revise(&mut transaction, change, &entry.stored(), now_us, author).await?;
            match entry {
                Entry::Budget(budget) => {
                    put_budget(&mut transaction, budget, change, version, &known, now_us, author).await?
                }
                Entry::Quota(quota) => {
                    let values = [
                        quota.tenant.as_ref().into(),
                        quota.name.as_ref().into(),
                        quota.stored().into(),
                        Value::Time(now_us),
                        author.name.as_str().into(),
                    ];
                    transaction.execute(PUT_QUOTA, &values).await?;
                }
            }
        }
        let changes: Vec<Change> = changes.into_iter().map(|(change, _)| change).collect();
        self.tell_and_commit(transaction, &changes, author).await?;
        Ok(changes)
    }

    /// Takes a budget or quota away. What was counted stays in its tables.
    pub async fn delete(&self, tenant: &str, name: &str, author: &Author) -> Result<Vec<Change>> {
        author.may(tenant, name)?;
        let mut transaction = self.state.transaction().await?;
        let known = known(&mut transaction).await?;
        let is = |t: &Arc<str>, n: &Arc<str>| t.as_ref() == tenant && n.as_ref() == name;
        let left = known.budgets.iter().filter(|s| !is(&s.budget.tenant, &s.budget.name)).map(|s| s.budget.as_ref());
        nesting(left).map_err(|e| e.context("the budget is a parent of others"))?;
        let mut changes = Vec::new();
        let budgets = known.budgets.iter().map(|s| (&s.budget.tenant, &s.budget.name, "budget", s.budget.stored()));
        let quotas = known.quotas.iter().map(|q| (&q.tenant, &q.name, "quota", q.stored()));
        for (_, _, kind, stored) in budgets.chain(quotas).filter(|(t, n, ..)| is(t, n)) {
            let change = Change {
                kind: kind.to_owned(),
                tenant: tenant.to_owned(),
                name: name.to_owned(),
                action: Action::Deleted,
                begins_anew: false,
            };
            revise(&mut transaction, &change, &stored, self.clock.now_us(), author).await?;
            let sql = if kind == "budget" {
                "DELETE FROM budget WHERE tenant = $1 AND name = $2"
            } else {
                "DELETE FROM quota WHERE tenant = $1 AND name = $2"
            };
            transaction.execute(sql, &[tenant.into(), name.into()]).await?;
            changes.push(change);
        }
        if changes.is_empty() {
            return Err(Error::new(Kind::NotFound, format!("there is no budget and no quota {tenant}/{name}")));
        }
        self.tell_and_commit(transaction, &changes, author).await?;
        Ok(changes)
    }

    async fn tell_and_commit(&self, mut transaction: Transaction, changes: &[Change], author: &Author) -> Result<()> {
        transaction.execute(NEXT_EDITION, &[]).await?;
        if let Some(trail) = &self.options.trail {
            trail.changed(&mut transaction, changes, author).await?;
        }
        transaction.commit().await?;
        self.reload().await
    }

    /// Every revision of a name, the newest first.
    pub async fn history(&self, tenant: &str, name: &str) -> Result<Vec<Revision>> {
        let sql = "SELECT kind, version, action, definition, changed_at, changed_by FROM budget_revision
            WHERE tenant = $1 AND name = $2 ORDER BY changed_at DESC, version DESC";
        let rows = self.state.fetch(sql, &[tenant.into(), name.into()]).await?;
        let one = |row: &Row| {
            let definition: String = row.get("definition")?;
            Ok(Revision {
                kind: row.get("kind")?,
                version: row.get("version")?,
                action: row.get("action")?,
                definition: serde_json::from_str(&definition).unwrap_or(serde_json::Value::String(definition)),
                changed_us: row.get("changed_at")?,
                changed_by: row.get("changed_by")?,
            })
        };
        rows.iter().map(one).collect()
    }

    /// Reads the budgets anew if somebody changed them.
    pub(super) async fn reload_if_changed(&self) -> Result<()> {
        let row = self.state.fetch("SELECT edition FROM budget_edition WHERE one = 1", &[]).await?.pop();
        let edition = row.map_or(Ok(0), |row| row.get::<i64>("edition"))?;
        if edition == self.plan().edition { Ok(()) } else { self.reload().await }
    }

    /// Reads the budgets and quotas.
    pub(super) async fn reload(&self) -> Result<()> {
        // The edition first: what changes meanwhile is then read again.
        let row = self.state.fetch("SELECT edition FROM budget_edition WHERE one = 1", &[]).await?.pop();
        let edition = row.map_or(Ok(0), |row| row.get::<i64>("edition"))?;
        let budgets: Vec<Stored> = self.state.fetch(BUDGETS, &[]).await?.iter().map(stored).collect::<Result<_>>()?;
        let quotas = self.state.fetch(QUOTAS, &[]).await?;
        let quotas = quotas.iter().map(|row| Quota::read(&row.get::<String>("definition")?)).collect::<Result<_>>()?;
        self.quotas.publish(quotas);
        self.book().publish(Plan::new(edition, budgets));
        Ok(())
    }
}

impl Author {
    fn may(&self, tenant: &str, name: &str) -> Result<()> {
        match &self.tenant {
            Some(own) if own.as_ref() != tenant => {
                Err(Error::new(Kind::Denied, format!("{tenant}/{name} belongs to another tenant")))
            }
            _ => Ok(()),
        }
    }
}

fn stored(row: &Row) -> Result<Stored> {
    let (tenant, name): (String, String) = (row.get("tenant")?, row.get("name")?);
    let budget = Budget::read(&row.get::<String>("definition")?);
    Ok(Stored {
        id: row.get::<String>("id")?.into(),
        version: row.get("version")?,
        budget: Arc::new(budget.map_err(|e| e.context(&format!("budget {tenant}/{name}")))?),
    })
}

async fn known(transaction: &mut Transaction) -> Result<Known> {
    // Locks the row, so that two files are applied one after the other.
    let row = transaction.fetch(LOCK, &[]).await?.pop();
    let edition = row.map_or(Ok(0), |row| row.get("edition"))?;
    let budgets = transaction.fetch(BUDGETS, &[]).await?.iter().map(stored).collect::<Result<_>>()?;
    let quotas = transaction.fetch(QUOTAS, &[]).await?;
    let quotas = quotas.iter().map(|row| Quota::read(&row.get::<String>("definition")?)).collect::<Result<_>>()?;
    Ok(Known { edition, budgets, quotas })
}

enum Entry<'a> {
    Budget(&'a Budget),
    Quota(&'a Quota),
}

impl Entry<'_> {
    fn stored(&self) -> String {
        match self {
            Entry::Budget(budget) => budget.stored(),
            Entry::Quota(quota) => quota.stored(),
        }
    }
}

/// What the file changes of what is known. Fails where the whole would not be right.
fn planned<'a>(file: &'a File, known: &Known) -> Result<Vec<(Change, Entry<'a>)>> {
    let mut after: BTreeMap<(&str, &str), &Budget> =
        known.budgets.iter().map(|s| ((s.budget.tenant.as_ref(), s.budget.name.as_ref()), s.budget.as_ref())).collect();
    let mut changes = Vec::new();
    let change = |kind: &str, tenant: &str, name: &str, before: Option<String>, now: String| Change {
        kind: kind.to_owned(),
        tenant: tenant.to_owned(),
        name: name.to_owned(),
        action: match before {
            None => Action::Created,
            Some(before) if before == now => Action::Unchanged,
            Some(_) => Action::Changed,
        },
        begins_anew: false,
    };
    for budget in &file.budgets {
        let before = after.insert((budget.tenant.as_ref(), budget.name.as_ref()), budget);
        let begins_anew = before.is_some_and(|before| before.counts_otherwise(budget));
        let found = change("budget", &budget.tenant, &budget.name, before.map(Budget::stored), budget.stored());
        changes.push((Change { begins_anew, ..found }, Entry::Budget(budget)));
    }
    for quota in &file.quotas {
        let before = known.quotas.iter().find(|known| known.tenant == quota.tenant && known.name == quota.name);
        let found = change("quota", &quota.tenant, &quota.name, before.map(Quota::stored), quota.stored());
        changes.push((found, Entry::Quota(quota)));
    }
    nesting(after.into_values())?;
    Ok(changes)
}

/// Writes the revision; answers its version.
async fn revise(
    transaction: &mut Transaction,
    change: &Change,
    stored: &str,
    now_us: i64,
    author: &Author,
) -> Result<i64> {
    let (tenant, name, kind) = (change.tenant.as_str(), change.name.as_str(), change.kind.as_str());
    let last = transaction.fetch(LAST_REVISION, &[tenant.into(), name.into(), kind.into()]).await?;
    let version = last.first().map_or(Ok(0), |row| row.get::<i64>("version"))? + 1;
    let values = [
        tenant.into(),
        name.into(),
        kind.into(),
        version.into(),
        change.action.as_str().into(),
        stored.into(),
        Value::Time(now_us),
        author.name.as_str().into(),
    ];
    transaction.execute(PUT_REVISION, &values).await?;
    Ok(version)
}

async fn put_budget(
    transaction: &mut Transaction,
    budget: &Budget,
    change: &Change,
    version: i64,
    known: &Known,
    now_us: i64,
    author: &Author,
) -> Result<()> {
    let before = known.budgets.iter().find(|s| s.budget.tenant == budget.tenant && s.budget.name == budget.name);
    // A deleted budget that comes back begins anew, so its id carries the revision that made it.
    let id = match before {
        Some(before) if !change.begins_anew => Arc::clone(&before.id),
        _ => rows::id(&budget.tenant, &budget.name, version),
    };
    let values = [
        budget.tenant.as_ref().into(),
        budget.name.as_ref().into(),
        id.as_ref().into(),
        version.into(),
        budget.unit.to_string().into(),
        budget.limit.into(),
        (if budget.hard { "hard" } else { "soft" }).into(),
        budget.scope_text().into(),
        budget.parent.as_ref().map(|(tenant, name)| format!("{tenant}/{name}")).into(),
        budget.window_kind().into(),
        budget.zone.name().into(),
        Value::Time(budget.life.0),
        Value::Time(budget.life.1),
        budget.stored().into(),
        Value::Time(now_us),
        author.name.as_str().into(),
    ];
    transaction.execute(PUT_BUDGET, &values).await?;
    let details = serde_json::json!({"action": change.action, "version": version, "by": author.name, "edition": known.edition + 1});
    let event = [
        format!("{id}/changed/{version}").into(),
        budget.tenant.as_ref().into(),
        budget.name.as_ref().into(),
        id.as_ref().into(),
        Value::Time(now_us),
        budget.unit.to_string().into(),
        budget.limit.into(),
        details.to_string().into(),
    ];
    transaction.execute(PUT_EVENT, &event).await.map(|_| ())
}
