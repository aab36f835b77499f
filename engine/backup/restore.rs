//! A backup becomes a store again, in a new data directory. Every file is held against its hash on the way.

use std::io::{BufReader, Write};
use std::path::Path;

use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::place::private_file;
use super::{BackupPlace, DATA, FileEntry, KEYS, STATE, Summary, TABLES, UNFINISHED};
use crate::error::{Error, Kind, Result};
use crate::owner::OwnerLock;
use crate::place::Place;
use crate::settings::{Settings, WalPlace};
use crate::state::{Dumped, State};

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
    let data = &settings.data;
    let doing = |e| Error::unavailable(&format!("restore into {}", data.display()), e);
    std::fs::create_dir_all(data).map_err(doing)?;
    if std::fs::read_dir(data).map_err(doing)?.next().is_some() {
        let why = format!("{} is not empty: restore into a new data directory", data.display());
        return Err(Error::new(Kind::Conflict, why));
    }
    let _owner = OwnerLock::acquire(data)?;
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
    for file in &manifest.files {
        if let Some(name) = file.name.strip_prefix(TABLES) {
            let to = name.split('/').fold(place.base().clone(), |path, part| path.join(part));
            put(&*place.objects(), &to, from, file).await?;
        } else if let Some(name) = file.name.strip_prefix(KEYS) {
            match settings.wal {
                WalPlace::Local => write(&data.join("wal").join(checked(name)?), from, file).await?,
                WalPlace::Store => put(&*place.objects(), &place.path("wal").join(name), from, file).await?,
            }
        } else if let Some(name) = file.name.strip_prefix(DATA) {
            write(&data.join(checked(name)?), from, file).await?;
        }
    }
    place.settle().await?;
    let state = restore_state(settings, from, &manifest.files).await?;
    if state != manifest.state {
        return Err(Error::new(Kind::Corrupt, "the dump of the state database is not the one of this backup"));
    }
    std::fs::remove_file(data.join(UNFINISHED)).map_err(doing)?;
    std::fs::File::open(data).and_then(|dir| dir.sync_all()).map_err(doing)?;
    Ok(Restored { backup: manifest.summary(), state })
}

async fn restore_state(settings: &Settings, from: &BackupPlace, files: &[FileEntry]) -> Result<Dumped> {
    let dump = files.iter().find(|file| file.name == STATE);
    let dump = dump.ok_or_else(|| Error::new(Kind::Corrupt, "the backup holds no state database"))?;
    let path = settings.data.join("state.part");
    write(&path, from, dump).await?;
    let failed = |e| Error::unavailable("read the dump of the state database", e);
    let state = State::open(settings).await?;
    let mut lines = BufReader::new(std::fs::File::open(&path).map_err(failed)?);
    let loaded = state.load(&mut lines).await;
    state.close().await;
    std::fs::remove_file(&path).map_err(failed)?;
    loaded
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

async fn write(to: &Path, from: &BackupPlace, file: &FileEntry) -> Result<()> {
    let failed = |e| Error::unavailable(&format!("write {}", to.display()), e);
    let above = to.parent().expect("a file lies in a folder");
    std::fs::create_dir_all(above).map_err(failed)?;
    let mut out = private_file(to).map_err(failed)?;
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    let mut take = |piece: &[u8]| {
        hasher.update(piece);
        bytes += piece.len() as u64;
        out.write_all(piece).map_err(failed)
    };
    from.read(&file.sha256, &mut take).await?;
    held_against(file, hasher, bytes)?;
    out.sync_all().and_then(|()| std::fs::File::open(above)?.sync_all()).map_err(failed)
}

async fn put(
    objects: &dyn ObjectStore,
    to: &object_store::path::Path,
    from: &BackupPlace,
    file: &FileEntry,
) -> Result<()> {
    let failed = |e: object_store::Error| Error::unavailable(&format!("write {to}"), e);
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    if file.size_bytes <= PIECE_BYTES as u64 {
        let mut whole = Vec::new();
        let mut take = |piece: &[u8]| {
            hasher.update(piece);
            bytes += piece.len() as u64;
            whole.extend_from_slice(piece);
            Ok(())
        };
        from.read(&file.sha256, &mut take).await?;
        held_against(file, hasher, bytes)?;
        return objects.put(to, PutPayload::from(whole)).await.map(|_| ()).map_err(failed);
    }
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
