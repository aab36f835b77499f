//! Where signed roots go: a folder or an object store that the operator of the database does not rule. What lies there is
//! never written over; a bucket with an object lock holds even its owner to that.

use std::path::Path as FilePath;
use std::sync::Arc;

use engine::object_store::path::Path;
use engine::object_store::{self, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use engine::place::lock::Lock;
use engine::{Error, Kind, Result, State, Value};
use futures::TryStreamExt;

use super::append::{head, place};
use super::entry::Personal;
use super::root::{SignedRoot, SigningKey};
use super::siem::{Event, Format};
use super::stored::{PAGE_ROWS, page};

/// The folder in a data directory that holds the roots signed there.
pub const FOLDER: &str = "audit";
/// Signed roots that one verification reads from a place.
const ROOTS_MAX: usize = 100_000;

/// Somewhere that roots, segments and events are put.
#[derive(Debug, Clone)]
pub struct Destination {
    /// As it was given.
    pub name: String,
    objects: Arc<dyn ObjectStore>,
    /// The same place, where what is put is locked.
    locked: Option<Arc<dyn ObjectStore>>,
    base: Path,
}

impl Destination {
    /// A folder, or the URL of an object store with its options.
    pub fn open(name: &str, options: &[(String, String)]) -> Result<Destination> {
        let (objects, base) = engine::place::objects(name, options)?;
        Ok(Destination { name: name.to_owned(), objects, locked: None, base })
    }

    /// The same, where roots and rows that are put here are locked, if a lock is wanted. Names of people never are: they must
    /// be able to go.
    pub fn open_with(name: &str, options: &[(String, String)], lock: Option<Lock>) -> Result<Destination> {
        let locked = lock.map(|lock| engine::place::lock::locked(name, options, lock)).transpose()?;
        Ok(Destination { locked: locked.map(|(objects, _)| objects), ..Destination::open(name, options)? })
    }

    /// The folder of a data directory.
    pub fn of_data(data: &FilePath) -> Result<Destination> {
        Destination::open(&data.join(FOLDER).display().to_string(), &[])
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.base.clone(), |path, part| path.join(part))
    }

    /// Puts an object that is not there yet, locked where that is wanted. The same content again changes nothing, other
    /// content is refused.
    pub async fn put_new(&self, name: &str, content: impl Into<Vec<u8>>) -> Result<()> {
        self.put_into(self.locked.as_ref().unwrap_or(&self.objects), name, content.into()).await
    }

    /// The same, and never locked.
    pub(super) async fn put_new_free(&self, name: &str, content: String) -> Result<()> {
        self.put_into(&self.objects, name, content.into_bytes()).await
    }

    async fn put_into(&self, objects: &Arc<dyn ObjectStore>, name: &str, content: Vec<u8>) -> Result<()> {
        let (path, doing) = (self.path(name), format!("write {name} to {}", self.name));
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match objects.put_opts(&path, PutPayload::from(content.clone()), options).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                match self.get_bytes(name).await? == Some(content) {
                    true => Ok(()),
                    false => Err(Error::new(Kind::Conflict, format!("{doing}: another one lies there"))),
                }
            }
            Err(error) => Err(Error::unavailable(&doing, error)),
        }
    }

    /// Puts an object in place of what lies there.
    pub(super) async fn put_over(&self, name: &str, content: String) -> Result<()> {
        let put = self.objects.put(&self.path(name), PutPayload::from(content.into_bytes())).await;
        put.map(|_| ()).map_err(|e| Error::unavailable(&format!("write {name} to {}", self.name), e))
    }

    /// An object as text, if it is there.
    pub async fn get(&self, name: &str) -> Result<Option<String>> {
        let Some(bytes) = self.get_bytes(name).await? else { return Ok(None) };
        let no_text = |e| Error::new(Kind::Corrupt, format!("read {name} from {}: {e}", self.name));
        String::from_utf8(bytes).map(Some).map_err(no_text)
    }

    /// An object, if it is there.
    pub async fn get_bytes(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let doing = || format!("read {name} from {}", self.name);
        let found = match self.objects.get(&self.path(name)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(Error::unavailable(&doing(), error)),
        };
        found.bytes().await.map(|bytes| Some(bytes.to_vec())).map_err(|e| Error::unavailable(&doing(), e))
    }

    /// Puts a signed root, and notes in the state database that it lies there.
    pub async fn put_root(&self, state: &State, root: &SignedRoot) -> Result<()> {
        let text = serde_json::to_string(root).expect("a root of plain fields is JSON") + "\n";
        self.put_new(&root_name(root), text).await?;
        let note =
            "INSERT INTO audit_root (size, destination, root, key, signature, at) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (destination, size) DO NOTHING";
        let values = [
            place(root.size),
            self.name.as_str().into(),
            root.root.as_str().into(),
            root.key.as_str().into(),
            root.signature.as_str().into(),
            Value::Time(root.at_us),
        ];
        state.execute(note, &values).await.map(|_| ())
    }

    /// The signed roots of a log that lie here.
    pub async fn roots(&self, log: &str) -> Result<Vec<SignedRoot>> {
        let doing = || format!("list the signed roots in {}", self.name);
        let prefix = self.path(&format!("roots/{log}"));
        let listed: Vec<_> =
            self.objects.list(Some(&prefix)).try_collect().await.map_err(|e| Error::unavailable(&doing(), e))?;
        if listed.len() > ROOTS_MAX {
            return Err(Error::new(Kind::Limit, format!("{}: more than {ROOTS_MAX} lie there", doing())));
        }
        let mut roots = Vec::with_capacity(listed.len());
        for object in listed.into_iter().filter(|object| object.location.as_ref().ends_with(".json")) {
            let found = self.objects.get(&object.location).await.map_err(|e| Error::unavailable(&doing(), e))?;
            let bytes = found.bytes().await.map_err(|e| Error::unavailable(&doing(), e))?;
            roots.push(SignedRoot::parse(&String::from_utf8_lossy(&bytes), object.location.as_ref())?);
        }
        Ok(roots)
    }
}

/// The name sorts by size, and holds the root's beginning: two roots of one size are two objects, and both are seen.
fn root_name(root: &SignedRoot) -> String {
    let short = root.root.get(..16).unwrap_or(&root.root);
    format!("roots/{}/{:020}-{short}.json", root.log, root.size)
}

/// Signs the log as it is now.
pub async fn sign(state: &State, key: &SigningKey, now_us: i64) -> Result<SignedRoot> {
    let head = head(state).await?;
    let log = head.log.as_deref().ok_or_else(|| Error::new(Kind::Corrupt, "the audit log has no name"))?;
    Ok(key.sign(log, head.size, &head.root, now_us))
}

/// The name of the log, which tells it from every other.
pub async fn log_name(state: &State) -> Result<String> {
    Ok(head(state).await?.log.unwrap_or_default())
}

/// Signed roots in a file, a folder or an object store.
pub async fn read_roots(from: &str, options: &[(String, String)], log: &str) -> Result<Vec<SignedRoot>> {
    if !from.contains("://") {
        let path = FilePath::new(from);
        if path.is_file() {
            let text = std::fs::read_to_string(path).map_err(|e| Error::unavailable(&format!("read {from}"), e))?;
            return Ok(vec![SignedRoot::parse(&text, from)?]);
        }
        if !path.is_dir() {
            return Err(Error::new(Kind::NotFound, format!("there is no signed root at {from}")));
        }
    }
    Destination::open(from, options)?.roots(log).await
}

/// Rows from a place on, as lines for a SIEM; the place to go on from, if there are more.
pub async fn events(state: &State, from: u64, format: Format) -> Result<(Vec<String>, Option<u64>)> {
    let rows = page(state, i64::try_from(from).unwrap_or(i64::MAX), i64::MAX).await?;
    let mut lines = Vec::with_capacity(rows.len());
    let whole = rows.len() == PAGE_ROWS;
    let mut next = None;
    for stored in rows {
        let row = stored
            .row
            .map_err(|why| Error::new(Kind::Corrupt, format!("row {} of the audit log: {why}", stored.seq)))?;
        next = Some(row.seq + 1);
        let name =
            |field: Personal| row.personal[field as usize].as_ref().and_then(|committed| committed.value.as_deref());
        let event = Event {
            seq: row.seq,
            at_us: row.at_us,
            tenant: row.tenant.as_deref(),
            actor: name(Personal::Actor),
            on_behalf_of: name(Personal::OnBehalfOf),
            person: name(Personal::Personal),
            action: &row.action,
            subject: &row.subject,
            reason: row.reason.as_deref(),
            outcome: &row.outcome,
            occurrences: row.occurrences,
            trace_id: row.trace_id.as_deref(),
            detail: row.detail.as_deref(),
            leaf_hash: &stored.leaf.map(|leaf| super::merkle::hex_of(&leaf)).unwrap_or_default(),
        };
        lines.push(event.line(format));
    }
    Ok((lines, next.filter(|_| whole)))
}

#[cfg(test)]
mod tests;
