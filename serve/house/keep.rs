//! Wishes about what is kept: retention, holds, erasures, backups, granted for a caller that the door has let in.

use std::path::PathBuf;
use std::sync::Arc;

use engine::backup::{self, BackupPlace};
use engine::{Error, Kind, Result, Store};
use index::search::erase::ErasedWith;
use index::search::room::SearchRoom;
use ledger::audit::export::{Destination, FOLDER};
use ledger::audit::root::SigningKey;
use ledger::audit::{Audit, HISTORY};
use ledger::directory::{OsDice, Secret};
use ledger::erase::Erasures;
use ledger::principal::{Caller, Permission};
use ledger::retention::{Policy, Retention};
use serde_json::{Value as Json, json};

use super::House;
use crate::auth::bootstrap;
use crate::reach::keep::KeepWish;

/// What says what is kept, and takes out what must go.
#[derive(Debug)]
pub struct Keep {
    retention: Arc<Retention>,
    erasures: Erasures,
}

impl Keep {
    /// Over an open store; maintenance asks it from now on.
    pub fn new(store: &Arc<Store>, audit: &Arc<Audit>, search: &Arc<SearchRoom>, policy: Policy) -> Self {
        let (state, clock) = (Arc::clone(store.state()), Arc::clone(store.clock()));
        let retention = Arc::new(Retention::new(state, clock, Arc::clone(audit), policy));
        store.set_keeper(Arc::clone(&retention) as Arc<dyn engine::Keeper>);
        let derived = Arc::new(ErasedWith(Arc::clone(search)));
        let erasures = Erasures::new(Arc::clone(store), Arc::clone(audit), Arc::clone(&retention), derived);
        Keep { retention, erasures }
    }
}

/// What belongs to a store and lies beside its tables: keys, and who it is among others.
const BESIDE: &[&str] = &["audit.key", bootstrap::FILE, "node.id"];

/// What the operator of the data directory is called.
const OPERATOR: &str = "operator";

impl House {
    fn kept(&self) -> Result<&Keep> {
        self.keep.as_ref().ok_or_else(|| Error::new(Kind::Unavailable, "nothing says what is kept in this process"))
    }

    /// Grants a wish; the answer is the JSON of what the wish says.
    pub async fn keep(&self, wish: KeepWish, caller: &Caller) -> Result<Json> {
        let Keep { retention, erasures } = self.kept()?;
        let tables = &self.store.catalogue().tables;
        let who = caller.scope.principal.to_string();
        Ok(match wish {
            KeepWish::RetentionStatus => json!(retention.status(&self.store).await?),
            KeepWish::RetentionRun => json!(retention.run(&self.store, caller).await?),
            KeepWish::AddHold(order) => json!(retention.holds().add(&order, tables, caller, &who).await?),
            KeepWish::ListHolds => json!(retention.holds().list().await?),
            KeepWish::ReleaseHold { id, reason } => json!(retention.holds().release(&id, &reason, caller, &who).await?),
            KeepWish::CopyHold { id, to, options, lock } => {
                let lock = lock.map(|lock| lock.placed_at(self.audit.now_us()));
                let to = Destination::open_with(&to, &options, lock)?;
                json!(retention.holds().copy(&self.store, &id, &to, lock, caller, &who).await?)
            }
            KeepWish::ListHoldCopies => json!(retention.holds().copies().await?),
            KeepWish::CheckHoldCopy { id, options } => json!(retention.holds().check_copy(&id, &options).await?),
            KeepWish::PlanErasure { wish, key } => {
                let (caller, who) = self.person(key.as_deref(), caller).await?;
                json!(erasures.plan(&wish, &caller, &who).await?)
            }
            KeepWish::ApproveErasure { id, key } => {
                let (caller, who) = self.person(key.as_deref(), caller).await?;
                let asked = erasures.show(&id).await?.requested_by;
                let who = if self.is_one_hand(&asked, &who).await? { asked } else { who };
                json!(erasures.approve(&id, &caller, &who).await?)
            }
            KeepWish::RunErasure { id, key } => {
                let (caller, _) = self.person(key.as_deref(), caller).await?;
                json!(erasures.run(&id, &caller).await?)
            }
            KeepWish::CancelErasure { id, key } => {
                let (caller, who) = self.person(key.as_deref(), caller).await?;
                json!(erasures.cancel(&id, &caller, &who).await?)
            }
            KeepWish::ListErasures => json!(erasures.list().await?),
            KeepWish::ShowErasure { id } => json!(erasures.show(&id).await?),
            KeepWish::Backup { to, options } => json!(self.backup(&to, &options, caller).await?),
            // No row of the audit log: it happens every minute, changes nothing, and would be a change itself.
            KeepWish::BackupState { to, options } => {
                json!(backup::ship_state(&self.store, &BackupPlace::open(&to, &options)?, HISTORY).await?)
            }
        })
    }

    /// Who is behind a wish: whose key comes with it, else the operator of the data directory. Two steps of an erasure are
    /// told apart by it.
    async fn person(&self, key: Option<&str>, caller: &Caller) -> Result<(Caller, String)> {
        let Some(key) = key else { return Ok((caller.clone(), caller.scope.principal.to_string())) };
        let refused = |why: &str| Error::new(Kind::Denied, format!("the key is not good for this: {why}"));
        let id =
            Secret::parse(key).map(|secret| secret.id().to_owned()).ok_or_else(|| refused("it has no such form"))?;
        let principal = self.directory.examine(key).await?.map_err(|refusal| refused(refusal.as_str()))?;
        let scope = principal.scope_for(Permission::Operate);
        let scope = scope.ok_or_else(|| refused("it does not have the scope operate of the platform"))?;
        let reason = format!("key {id} has the scope {}", Permission::Operate.as_str());
        Ok((Caller { scope, reason, ..caller.clone() }, format!("key {id}")))
    }

    /// Whether two names of [`House::person`] are one hand: a key and those that took its place are, and so are the operator
    /// of the data directory and the key that lies in it.
    async fn is_one_hand(&self, a: &str, b: &str) -> Result<bool> {
        if a == b {
            return Ok(true);
        }
        let keys = self.directory.list(None).await?;
        let lying = std::fs::read_to_string(self.store.settings().data.join(bootstrap::FILE)).ok();
        let lying = lying.as_deref().and_then(Secret::parse).map(|secret| secret.id().to_owned());
        let first = |name: &str| {
            let Some(mut id) = name.strip_prefix("key ") else { return name.to_owned() };
            let before = |id: &str| keys.iter().find(|key| key.id == id).and_then(|key| key.rotated_from.as_deref());
            // A chain cannot be longer than there are keys.
            for _ in 0..keys.len() {
                if lying.as_deref() == Some(id) {
                    break;
                }
                let Some(earlier) = before(id) else { break };
                id = earlier;
            }
            if lying.as_deref() == Some(id) { OPERATOR.to_owned() } else { format!("key {id}") }
        };
        Ok(first(a) == first(b))
    }

    async fn backup(&self, to: &str, options: &[(String, String)], caller: &Caller) -> Result<backup::Summary> {
        let place = BackupPlace::open(to, options)?;
        let data = &self.store.settings().data;
        SigningKey::ensure(data, &OsDice)?;
        let mut beside: Vec<PathBuf> = BESIDE.iter().map(PathBuf::from).collect();
        // Roots that are signed from now on cover more than the backup holds.
        files_below(data, &PathBuf::from(FOLDER), &mut beside)
            .map_err(|e| Error::unavailable("list the signed roots", e))?;
        let made = backup::create(&self.store, &place, &beside).await?;
        let detail = json!({"to": to, "seq": made.seq, "files": made.files, "new_bytes": made.new_bytes});
        self.audit.record(caller.entry("backup.create", made.id.as_str()).of_tenant(None).with(detail)).await?;
        Ok(made)
    }

    /// Looks at what is kept now and then, so that `retention_status` is not old.
    pub async fn keep_retention(&self) -> Result<()> {
        self.kept()?.retention.status(&self.store).await.map(|_| ())
    }
}

/// The files below a folder of the data directory, by their names from there.
fn files_below(data: &std::path::Path, folder: &std::path::Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !data.join(folder).exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(data.join(folder))? {
        let entry = entry?;
        let name = folder.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => files_below(data, &name, found)?,
            false => found.push(name),
        }
    }
    Ok(())
}
