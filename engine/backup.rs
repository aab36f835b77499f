//! Backups of a whole store: facts at pinned versions, the state database at the same moment, and the small files beside them.
//!
//! A place holds any number of backups. What was copied once is not copied again: files lie there by the SHA-256 of their
//! content, and each backup is a list of names and hashes. On the same disk a file is linked, not copied. The list is written
//! last, so that a backup that was cut off is none. Between backups the state database may lie there alone ([`ship_state`]).

mod moment;
mod place;
mod prune;
mod restore;
mod states;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::rfc3339;
use crate::error::{Error, Kind, Result};
use crate::state::{Dumped, Snapshot};
use crate::store::Store;
use crate::store::pin::Pinned;
pub use moment::{Changes, Journal, Moment, RestoredTo, To, restore_to};
pub use place::BackupPlace;
pub use prune::{Pruned, prune};
pub use restore::{Restored, restore};
pub use states::{Shipped, StateMark, ship_state, states};

/// What this program writes and reads.
const FORMAT: u32 = 1;
/// A file in a data directory that a restore has not finished.
const UNFINISHED: &str = "restore.unfinished";
/// Names of a backup's files begin with what they belong to.
const TABLES: &str = "tables/";
const DATA: &str = "data/";
const KEYS: &str = "keys/";
const STATE: &str = "state.jsonl";

/// One backup: what it holds, by name and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// How it is written.
    pub format: u32,
    /// Its name.
    pub id: String,
    /// The moment that it shows, µs since 1970.
    pub at_us: i64,
    /// Every row before this place in the log is in it.
    pub seq: u64,
    /// The program that made it.
    pub program: String,
    /// The tables.
    pub tables: Vec<TableEntry>,
    /// What the state database held.
    pub state: Dumped,
    /// Rows of the audit log in it; older backups do not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub log_rows: Option<i64>,
    /// Every file.
    pub files: Vec<FileEntry>,
}

/// A table in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// Its rows, superseded ones among them.
    pub rows: u64,
}

/// A file in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// What it is called in the store.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// Its content, as hexadecimal SHA-256; the object that holds it is called so.
    pub sha256: String,
}

/// A backup as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Its name.
    pub id: String,
    /// The moment that it shows, RFC 3339.
    pub at: String,
    /// Every row before this place in the log is in it.
    pub seq: u64,
    /// Rows of all tables, superseded ones among them.
    pub rows: u64,
    /// Rows of the state database.
    pub state_rows: u64,
    /// Files.
    pub files: u64,
    /// Bytes of all of them.
    pub size_bytes: u64,
    /// Bytes that were not there before: what it added to its place. Known when it is made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub new_bytes: Option<u64>,
}

/// What a check of a backup found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The backup.
    pub id: String,
    /// Files that hold what was written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Moments around it whose state lies there.
    #[serde(default)]
    pub states: u64,
    /// What is wrong, a sentence each.
    pub findings: Vec<String>,
}

impl Manifest {
    /// The backup in short.
    pub fn summary(&self) -> Summary {
        Summary {
            id: self.id.clone(),
            at: rfc3339(self.at_us),
            seq: self.seq,
            rows: self.tables.iter().map(|table| table.rows).sum(),
            state_rows: self.state.rows,
            files: self.files.len() as u64,
            size_bytes: self.files.iter().map(|file| file.size_bytes).sum(),
            new_bytes: None,
        }
    }
}

/// Fails where a restore into this data directory was cut off: what is there is half a store.
pub(crate) fn refuse_unfinished(data: &Path) -> Result<()> {
    match data.join(UNFINISHED).exists() {
        false => Ok(()),
        true => Err(Error::new(
            Kind::Corrupt,
            format!("a restore into {} was cut off: empty it and restore again", data.display()),
        )),
    }
}

/// Backs a store up. `beside` are files of the data directory that belong to it, such as keys and signed roots; they are read
/// before the moment is taken.
pub async fn create(store: &Store, place: &BackupPlace, beside: &[PathBuf]) -> Result<Summary> {
    let data = store.settings().data.clone();
    let mut small: Vec<(String, Vec<u8>)> = Vec::new();
    for path in beside {
        match std::fs::read(data.join(path)) {
            Ok(content) => small.push((format!("{DATA}{}", path.display()), content)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::unavailable(&format!("read {}", path.display()), e)),
        }
    }
    let known = known_files(place).await?;
    let Pinned { seq, at_us, state, keys, tables: pinned, still } = store.pin().await?;
    let log_rows = Some(state.log_rows());
    // At once: the database keeps what has changed since for as long as it is read.
    let (state, dump) = dump_state(store, state).await?;
    let tables =
        pinned.each().map(|(name, version, rows)| TableEntry { name: name.to_owned(), version, rows }).collect();
    let files = pinned.files().await?;
    let (objects, folder) = (pinned.objects(), store.place.folder());
    let mut copied = Copied::default();
    let dump_bytes = std::fs::metadata(dump.path()).map_err(|e| Error::unavailable("read a dump", e))?.len();
    copied.add(place.put_file(dump.path()).await?, STATE.to_owned(), dump_bytes);
    drop(dump);
    for (name, content) in keys {
        copied.add(place.put_bytes(&content).await?, format!("{KEYS}{name}"), content.len() as u64);
    }
    for file in files {
        let name = format!("{TABLES}{}", file.name);
        if let Some(entry) = known.get(&name) {
            copied.files.push(entry.clone());
            continue;
        }
        let (put, bytes) = match &folder {
            Some(folder) => {
                let path = folder.join(&file.name);
                let bytes = std::fs::metadata(&path).map_err(|e| Error::unavailable("read a table's file", e))?.len();
                (place.link_file(&path).await?, bytes)
            }
            None => place.copy_object(&*objects, &file.path).await?,
        };
        copied.add(put, name, bytes);
    }
    drop(still);
    for (name, content) in small {
        copied.add(place.put_bytes(&content).await?, name, content.len() as u64);
    }
    let id = uuid::Uuid::now_v7().simple().to_string();
    let program = env!("CARGO_PKG_VERSION").to_owned();
    let manifest = Manifest { format: FORMAT, id, at_us, seq, program, tables, state, log_rows, files: copied.files };
    place.put_manifest(&manifest).await?;
    Ok(Summary { new_bytes: Some(copied.new_bytes), ..manifest.summary() })
}

/// What was put.
#[derive(Default)]
struct Copied {
    files: Vec<FileEntry>,
    new_bytes: u64,
}

impl Copied {
    fn add(&mut self, (sha256, is_new): (String, bool), name: String, size_bytes: u64) {
        self.new_bytes += if is_new { size_bytes } else { 0 };
        self.files.push(FileEntry { name, size_bytes, sha256 });
    }
}

/// The files of tables that the newest backup holds: none of them ever changes under its name.
async fn known_files(place: &BackupPlace) -> Result<HashMap<String, FileEntry>> {
    let newest = place.manifests().await?.pop();
    let files = newest.into_iter().flat_map(|manifest| manifest.files);
    Ok(files.filter(|file| file.name.starts_with(TABLES)).map(|file| (file.name.clone(), file)).collect())
}

/// A file in a data directory that goes with this value.
struct PartFile(PathBuf);

impl PartFile {
    fn new(data: &Path, what: &str) -> PartFile {
        PartFile(data.join(format!("{what}-{}.part", uuid::Uuid::new_v4().simple())))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn dump_state(store: &Store, snapshot: Snapshot) -> Result<(Dumped, PartFile)> {
    let failed = |e| Error::unavailable("write a dump of the state database", e);
    let dump = PartFile::new(&store.settings().data, "backup");
    let mut sink = std::io::BufWriter::new(place::private_file(dump.path()).map_err(failed)?);
    let dumped = snapshot.write(store.state().is_sqlite(), &mut sink).await?;
    Ok((dumped, dump))
}

/// The backups of a place, oldest first.
pub async fn list(place: &BackupPlace) -> Result<Vec<Summary>> {
    Ok(place.manifests().await?.iter().map(Manifest::summary).collect())
}

/// The moment of the newest backup of a place, µs since 1970.
pub async fn newest(place: &BackupPlace) -> Result<Option<i64>> {
    place.newest().await
}

/// Reads every file of a backup, of the newest one unless another is named, and compares it with its hash; so, too, of the
/// states that lie between the backup before it and the next one.
pub async fn verify(place: &BackupPlace, id: Option<&str>) -> Result<Checked> {
    let manifest = place.manifest(id, None).await?;
    let moments: Vec<i64> = place.manifests().await?.iter().map(|manifest| manifest.at_us).collect();
    let before_us = moments.iter().copied().filter(|at| *at < manifest.at_us).max().unwrap_or(manifest.at_us);
    let next_us = moments.iter().copied().filter(|at| *at > manifest.at_us).min().unwrap_or(i64::MAX);
    let mut between = states(place, before_us).await?;
    between.retain(|mark| mark.at_us < next_us);
    let findings = states::damaged(place, &between).await?;
    let mut checked = Checked { id: manifest.id.clone(), states: between.len() as u64, findings, ..Checked::default() };
    for file in &manifest.files {
        let mut hasher = Sha256::new();
        let mut bytes = 0;
        let mut take = |piece: &[u8]| {
            bytes += piece.len() as u64;
            hasher.update(piece);
            Ok(())
        };
        match place.read(&file.sha256, &mut take).await {
            Err(error) if error.kind() == Kind::NotFound => {
                checked.findings.push(format!("{}: it is missing", file.name))
            }
            Err(error) => return Err(error),
            Ok(()) if bytes == file.size_bytes && hex::encode(hasher.finalize()) == file.sha256 => {
                checked.files += 1;
                checked.bytes += bytes;
            }
            Ok(()) => checked.findings.push(format!("{}: it is not what was written", file.name)),
        }
    }
    Ok(checked)
}
