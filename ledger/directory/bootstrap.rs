//! The first key: whoever has the data directory has it.

use engine::{Error, Kind, Result, Value};

use super::Directory;
use super::key::{ApiKey, INSERT_KEY, KeyOrder, SELECT_KEY, insert_values};
use super::secret::{PREFIX, Secret};
use crate::principal::{Caller, Role};

/// Name of the key that the first start makes.
pub const BOOTSTRAP: &str = "bootstrap";

impl Directory {
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
        let caller = Caller::process("bootstrap", "the file of the bootstrap key in the data directory");
        let mut entries = Vec::new();
        let mut transaction = self.state.transaction().await?;
        let older = "UPDATE api_key SET revoked_at = $1
            WHERE name = $2 AND role = 'platform' AND id <> $3 AND revoked_at IS NULL RETURNING id";
        let ended = transaction.fetch(older, &[Value::Time(now_us), BOOTSTRAP.into(), secret.id().into()]).await?;
        let ended: Vec<String> = ended.iter().map(|row| row.get("id")).collect::<Result<_>>()?;
        entries.extend(ended.iter().map(|id| caller.entry("key.revoke", id.as_str())));
        let key = match transaction.fetch(SELECT_KEY, &[secret.id().into()]).await?.pop() {
            Some(row) => {
                let key = ApiKey::of(&row)?;
                if !secret.is_of(&row.get::<String>("hash")?) || key.role != Role::Platform || key.name != BOOTSTRAP {
                    return Err(Error::new(Kind::Conflict, "the bootstrap key's id belongs to another key"));
                }
                if key.revoked_at_us.is_some() {
                    let text = "the bootstrap key was revoked: remove its file to get a new one";
                    return Err(Error::new(Kind::Conflict, text));
                }
                key
            }
            None => {
                let key = ApiKey::new(&secret, &KeyOrder::new(BOOTSTRAP, None), now_us);
                transaction.execute(INSERT_KEY, &insert_values(&key, &secret)?).await?;
                entries.push(
                    caller.entry("key.create", key.id.as_str()).about_person(key.name.as_str()).with(key.detail()),
                );
                key
            }
        };
        if !entries.is_empty() {
            self.note(&mut transaction, entries).await?;
        }
        transaction.commit().await?;
        ended.iter().for_each(|id| self.cache.forget(id));
        Ok(key)
    }
}
