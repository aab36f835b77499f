//! The directory of tenants, teams, what they own and who may see what, and API keys; over the state database.

mod apply;
mod bootstrap;
mod cache;
mod document;
mod entity;
mod grant;
mod key;
mod plan;
mod secret;
mod tables;

use std::sync::{Arc, OnceLock};

use engine::state::Transaction;
use engine::{Clock, Error, Result, State, Value};

use crate::audit::{Audit, Entry};
use cache::Cache;

pub use apply::{Applied, Documents};
pub use bootstrap::BOOTSTRAP;
pub use cache::BELIEVED_FOR;
pub use document::API_VERSION;
pub use entity::{Entity, EntityKey, EntityKind};
pub use key::{ApiKey, KeyOrder, Refusal, Rotation};
pub use plan::{Action, Change, Plan, Wish};
pub use secret::{Dice, OsDice, PREFIX, Secret};
pub use tables::{
    API_KEY, DIRECTORY_CHANGE, DIRECTORY_ENTITY, DIRECTORY_VERSION, STATE_TABLES, TEAM_MEMBER, TENANT, TENANT_GRANT,
    VIEWS,
};

/// Bytes of a tenant's id, a tenant's name or a key's name.
const NAME_BYTES_MAX: usize = 128;
/// Ids that no tenant may have: `query_log` names the platform's own questions so, and shared things are kept under it.
const RESERVED: &[&str] = &[engine::query_log::PLATFORM];

const INSERT_TENANT: &str = "INSERT INTO tenant (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING";

/// Tenants, what they own, and keys. Cheap to call: verified keys are believed for [`BELIEVED_FOR`].
#[derive(Debug)]
pub struct Directory {
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    cache: Cache,
    audit: OnceLock<Arc<Audit>>,
}

impl Directory {
    /// The directory in `state`.
    pub fn new(state: Arc<State>, clock: Arc<dyn Clock>, dice: Arc<dyn Dice>) -> Self {
        Directory { state, clock, dice, cache: Cache::default(), audit: OnceLock::new() }
    }

    /// From now on, every change is a row of this log, durable with the change itself.
    pub fn with_audit(self, audit: Arc<Audit>) -> Self {
        let _ = self.audit.set(audit);
        self
    }

    /// Makes a tenant; making it again changes nothing.
    pub async fn ensure_tenant(&self, id: &str, name: &str) -> Result<()> {
        let values = self.tenant_values(id, name)?;
        self.state.execute(INSERT_TENANT, &values).await.map(|_| ())
    }

    fn tenant_values(&self, id: &str, name: &str) -> Result<[Value; 3]> {
        if RESERVED.contains(&id.trim()) {
            return Err(Error::invalid(format!("the tenant id {id} is the platform's own")));
        }
        Ok([checked("tenant", id)?, checked("name", name)?, Value::Time(self.clock.now_us())])
    }

    /// Writes entries with a change, if there is a log. Called last before the commit.
    async fn note(&self, transaction: &mut Transaction, entries: Vec<Entry>) -> Result<()> {
        match self.audit.get() {
            Some(audit) => audit.record_in(transaction, entries).await.map(|_| ()),
            None => Ok(()),
        }
    }
}

fn checked(what: &str, text: &str) -> Result<Value> {
    // In filters and budgets a star stands for every tenant.
    if what == "tenant" && text.contains('*') {
        return Err(Error::invalid("the id of a tenant has no `*`: that stands for several"));
    }
    if text.trim().is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Error::invalid(format!("a {what} has 1 to {NAME_BYTES_MAX} bytes and no control characters")));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests;
