//! A backup becomes a store again, in a new data directory. Every file is held against its hash on the way.

use std::io::{BufReader, Write};
use std::path::Path;

use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::place::private_file;
use super::states::{StateMark, StateThen, write_state};
use super::{BackupPlace, DATA, FileEntry, KEYS, Manifest, STATE, Summary, TABLES, UNFINISHED};
use crate::error::{Error, Kind, Result};
use crate::owner::OwnerLock;
use crate::place::Place;
use crate::settings::{Settings, WalPlace};
use crate::state::{Dumped, Part, State};

/// Bytes that wait to be written.
const PIECE_BYTES: usize = 8 << 20;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The backup.
    pub backup: Summary,
    /// What the state database holds now.
    pub state: Dumped,
}

/// Restores a backup: the one of this name, or the newest that is no younger than a time, or the newest. The data directory,
/// the tables' place and the state database must be new.
pub async fn restore(
    settings: &Settings,
    from: &BackupPlace,
    id: Option<&str>,
    at_us: Option<i64>,
) -> Result<Restored> {
    let manifest = from.manifest(id, at_us).await?;
    let target = Target::begin(settings).await?;
    target.put_tables(from, &manifest.files).await?;
    target.put_keys(from, &manifest.files, &|keys| keys).await?;
    target.put_beside(from, &manifest.files).await?;
    target.place.settle().await?;
    let state = State::open(settings).await?;
    let all = |_: &str| true;
    let dumps = [Dump { from, of: DumpOf::Backup(&manifest), wants: &all }];
    let loaded = target.load(&state, &dumps).await;
    state.close().await;
    loaded?;
    target.finish()?;
    Ok(Restored { backup: manifest.summary(), state: manifest.state })
}

/// A state database in a place, and which of its tables are wanted.
pub(super) struct Dump<'a> {
    pub from: &'a BackupPlace,
    pub of: DumpOf<'a>,
    pub wants: &'a (dyn Fn(&str) -> bool + Sync),
}

/// Where the state of a moment lies.
pub(super) enum DumpOf<'a> {
    /// In a backup.
    Backup(&'a Manifest),
    /// Between two.
    Mark(&'a StateMark),
}

/// What was loaded of a dump.
pub(super) struct Loaded {
    /// How much it holds, wanted or not.
    pub held: Dumped,
    /// Rows of the audit log at its moment, if that is known.
    pub log_rows: Option<i64>,
}

impl Dump<'_> {
    /// Writes its lines to a file.
    async fn write(&self, to: &Path) -> Result<Loaded> {
        match self.of {
            DumpOf::Backup(manifest) => {
                let dump = manifest.files.iter().find(|file| file.name == STATE);
                let dump = dump.ok_or_else(|| Error::new(Kind::Corrupt, "the backup holds no state database"))?;
                write(to, self.from, dump).await?;
                Ok(Loaded { held: manifest.state, log_rows: manifest.log_rows })
            }
            DumpOf::Mark(mark) => {
                let StateThen { held, log_rows } = write_state(self.from, mark, to).await?;
                Ok(Loaded { held, log_rows: Some(log_rows) })
            }
        }
    }
}

/// A new data directory that is being filled. Until [`Target::finish`] it is no store.
pub(super) struct Target<'a> {
    settings: &'a Settings,
    pub place: Place,
    _owner: OwnerLock,
}

impl<'a> Target<'a> {
    /// Begins in a data directory and a place of tables that hold nothing.
    pub async fn begin(settings: &'a Settings) -> Result<Target<'a>> {
        let data = &settings.data;
        let doing = |e| Error::unavailable(&format!("restore into {}", data.display()), e);
        std::fs::create_dir_all(data).map_err(doing)?;
        if std::fs::read_dir(data).map_err(doing)?.next().is_some() {
            let why = format!("{} is not empty: restore into a new data directory", data.display());
            return Err(Error::new(Kind::Conflict, why));
        }
        let owner = OwnerLock::acquire(data)?;
        private_file(&data.join(UNFINISHED)).and_then(|file| file.sync_all()).map_err(doing)?;
        let place = Place::open(settings).await?;
        let there = place.connection().table_names().execute().await;
        let there = there.map_err(|e| Error::unavailable("list the tables", e))?;
        if !there.is_empty() {
            return Err(Error::new(
                Kind::Conflict,
                format!("{} holds tables already: restore into a new place", place.url()),
            ));
        }
        Ok(Target { settings, place, _owner: owner })
    }

    /// The files of every table.
    pub async fn put_tables(&self, from: &BackupPlace, files: &[FileEntry]) -> Result<()> {
        for file in files {
            if let Some(name) = file.name.strip_prefix(TABLES) {
                let to = name.split('/').fold(self.place.base().clone(), |path, part| path.join(part));
                put(&*self.place.objects(), &to, from, file).await?;
            }
        }
        Ok(())
    }

    /// The idempotency keys of what is no longer in the log, those of them that `keep` leaves.
    pub async fn put_keys(
        &self,
        from: &BackupPlace,
        files: &[FileEntry],
        keep: &(dyn Fn(Vec<u8>) -> Vec<u8> + Sync),
    ) -> Result<()> {
        for file in files {
            let Some(name) = file.name.strip_prefix(KEYS) else { continue };
            let content = keep(content(from, file).await?);
            match self.settings.wal {
                WalPlace::Local => {
                    let to = self.settings.data.join("wal").join(checked(name)?);
                    let failed = |e| Error::unavailable(&format!("write {}", to.display()), e);
                    let mut out = new_file(&to).map_err(failed)?;
                    out.write_all(&content).and_then(|()| synced(&out, &to)).map_err(failed)?;
                }
                WalPlace::Store => {
                    let to = self.place.path("wal").join(name);
                    let failed = |e: object_store::Error| Error::unavailable(&format!("write {to}"), e);
                    self.place.objects().put(&to, PutPayload::from(content)).await.map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    /// The small files of the data directory.
    pub async fn put_beside(&self, from: &BackupPlace, files: &[FileEntry]) -> Result<()> {
        for file in files {
            if let Some(name) = file.name.strip_prefix(DATA) {
                write(&self.settings.data.join(checked(name)?), from, file).await?;
            }
        }
        Ok(())
    }

    /// Puts what is wanted of these dumps in place of what a new state database holds.
    pub async fn load(&self, state: &State, dumps: &[Dump<'_>]) -> Result<Vec<Loaded>> {
        let failed = |e| Error::unavailable("read the dump of the state database", e);
        let (mut parts, mut paths, mut listed) = (Vec::new(), Vec::new(), Vec::new());
        for (number, dump) in dumps.iter().enumerate() {
            let path = self.settings.data.join(format!("state-{number}.part"));
            listed.push(dump.write(&path).await?);
            let lines = BufReader::new(std::fs::File::open(&path).map_err(failed)?);
            parts.push(Part { lines: Box::new(lines), wants: dump.wants });
            paths.push(path);
        }
        let loaded = state.load_parts(parts).await;
        for path in paths {
            std::fs::remove_file(&path).map_err(failed)?;
        }
        match loaded?.iter().zip(&listed).all(|(loaded, listed)| *loaded == listed.held) {
            true => Ok(listed),
            false => Err(Error::new(Kind::Corrupt, "the dump of the state database is not the one of this backup")),
        }
    }

    /// From now on it is a store.
    pub fn finish(self) -> Result<()> {
        let data = &self.settings.data;
        let doing = |e| Error::unavailable(&format!("restore into {}", data.display()), e);
        std::fs::remove_file(data.join(UNFINISHED)).map_err(doing)?;
        std::fs::File::open(data).and_then(|dir| dir.sync_all()).map_err(doing)
    }
}

/// A name of a file below a folder, and nowhere else.
fn checked(name: &str) -> Result<&Path> {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    match plain && !name.is_empty() {
        true => Ok(path),
        false => Err(Error::new(Kind::Corrupt, format!("the backup names a file {name:?} outside the data directory"))),
    }
}

/// Fails where the content is not the one that the backup lists.
fn held_against(file: &FileEntry, hasher: Sha256, bytes: u64) -> Result<()> {
    match bytes == file.size_bytes && hex::encode(hasher.finalize()) == file.sha256 {
        true => Ok(()),
        false => {
            Err(Error::new(Kind::Corrupt, format!("{} is not what was backed up; nothing is restored", file.name)))
        }
    }
}

/// A new file, and its folder where that is not there.
fn new_file(to: &Path) -> std::io::Result<std::fs::File> {
    std::fs::create_dir_all(to.parent().expect("a file lies in a folder"))?;
    private_file(to)
}

fn synced(file: &std::fs::File, path: &Path) -> std::io::Result<()> {
    file.sync_all()?;
    std::fs::File::open(path.parent().expect("a file lies in a folder"))?.sync_all()
}

/// A small file's content, held against its hash.
async fn content(from: &BackupPlace, file: &FileEntry) -> Result<Vec<u8>> {
    let mut whole = Vec::new();
    let mut take = |piece: &[u8]| {
        whole.extend_from_slice(piece);
        Ok(())
    };
    from.read(&file.sha256, &mut take).await?;
    let mut hasher = Sha256::new();
    hasher.update(&whole);
    held_against(file, hasher, whole.len() as u64)?;
    Ok(whole)
}

async fn write(to: &Path, from: &BackupPlace, file: &FileEntry) -> Result<()> {
    let failed = |e| Error::unavailable(&format!("write {}", to.display()), e);
    let mut out = new_file(to).map_err(failed)?;
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    let mut take = |piece: &[u8]| {
        hasher.update(piece);
        bytes += piece.len() as u64;
        out.write_all(piece).map_err(failed)
    };
    from.read(&file.sha256, &mut take).await?;
    held_against(file, hasher, bytes)?;
    synced(&out, to).map_err(failed)
}

async fn put(
    objects: &dyn ObjectStore,
    to: &object_store::path::Path,
    from: &BackupPlace,
    file: &FileEntry,
) -> Result<()> {
    let failed = |e: object_store::Error| Error::unavailable(&format!("write {to}"), e);
    if file.size_bytes <= PIECE_BYTES as u64 {
        let whole = content(from, file).await?;
        return objects.put(to, PutPayload::from(whole)).await.map(|_| ()).map_err(failed);
    }
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    let upload = objects.put_multipart(to).await.map_err(failed)?;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, PIECE_BYTES);
    let mut take = |piece: &[u8]| {
        hasher.update(piece);
        bytes += piece.len() as u64;
        upload.write(piece);
        Ok(())
    };
    from.read(&file.sha256, &mut take).await?;
    held_against(file, hasher, bytes)?;
    upload.finish().await.map(|_| ()).map_err(failed)
}
