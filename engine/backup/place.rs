//! Where backups lie: a folder or an object store, with files by the hash of their content.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart};
use sha2::{Digest, Sha256};

use super::Manifest;
use crate::clock::rfc3339;
use crate::error::{Error, Kind, Result};

/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 8 << 20;
/// Pieces of one object that are on their way.
const PIECES_MAX: usize = 4;
/// Where it is noted which files no backup names any more.
const DOOMED: &str = "unnamed";
/// Where marks of the state database lie.
const STATES: &str = "states";
/// Hexadecimal characters of a hash.
const SHA256_CHARS: usize = 64;
/// Backups that one place is read for.
const BACKUPS_MAX: usize = 10_000;

/// A place of backups.
#[derive(Debug, Clone)]
pub struct BackupPlace {
    name: String,
    objects: Arc<dyn ObjectStore>,
    base: Path,
    /// Where it is a folder: files can be linked into it.
    folder: Option<PathBuf>,
}

/// A new file that only its owner reads.
pub(super) fn private_file(path: &FilePath) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn hash_of(path: &FilePath) -> std::io::Result<String> {
    let (mut file, mut hasher, mut piece) = (File::open(path)?, Sha256::new(), vec![0; PIECE_BYTES]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            read => hasher.update(&piece[..read]),
        }
    }
}

impl BackupPlace {
    /// Opens a folder (made for its owner alone if it is not there) or the URL of an object store with its options.
    pub fn open(name: &str, options: &[(String, String)]) -> Result<BackupPlace> {
        let is_folder = !name.contains("://");
        if is_folder && !FilePath::new(name).exists() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(name);
            made.map_err(|e| Error::unavailable(&format!("create {name}"), e))?;
        }
        let (objects, base) = crate::place::objects(name, options)?;
        Ok(BackupPlace { name: name.to_owned(), objects, base, folder: is_folder.then(|| PathBuf::from(name)) })
    }

    /// As it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.base.clone(), |path, part| path.join(part))
    }

    fn object(sha256: &str) -> String {
        format!("objects/{}/{sha256}", &sha256[..2_usize.min(sha256.len())])
    }

    fn failed(&self) -> impl Fn(object_store::Error) -> Error {
        let doing = format!("use the backups in {}", self.name);
        move |e| Error::unavailable(&doing, e)
    }

    async fn has(&self, sha256: &str) -> Result<bool> {
        match self.objects.head(&self.path(&Self::object(sha256))).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(self.failed()(e)),
        }
    }

    /// Puts bytes; answers their hash, and whether they were not there before.
    pub(super) async fn put_bytes(&self, bytes: &[u8]) -> Result<(String, bool)> {
        let sha256 = hex::encode(Sha256::digest(bytes));
        if self.has(&sha256).await? {
            return Ok((sha256, false));
        }
        let path = self.path(&Self::object(&sha256));
        self.objects.put(&path, PutPayload::from(bytes.to_vec())).await.map_err(self.failed())?;
        Ok((sha256, true))
    }

    /// Puts a file's content.
    pub(super) async fn put_file(&self, path: &FilePath) -> Result<(String, bool)> {
        let doing = |e| Error::unavailable(&format!("read {}", path.display()), e);
        let owned = path.to_owned();
        let hashing = tokio::task::spawn_blocking(move || hash_of(&owned));
        let sha256 = hashing.await.expect("hashing a file never panics").map_err(doing)?;
        if self.has(&sha256).await? {
            return Ok((sha256, false));
        }
        let to = self.path(&Self::object(&sha256));
        let upload = self.objects.put_multipart(&to).await.map_err(self.failed())?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PIECE_BYTES);
        let mut file = File::open(path).map_err(doing)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = file.read(&mut piece).map_err(doing)?;
            if read == 0 {
                break;
            }
            upload.wait_for_capacity(PIECES_MAX).await.map_err(self.failed())?;
            upload.write(&piece[..read]);
        }
        upload.finish().await.map_err(self.failed())?;
        Ok((sha256, true))
    }

    /// Puts a file that never changes: linked where that is possible, else copied.
    pub(super) async fn link_file(&self, path: &FilePath) -> Result<(String, bool)> {
        let Some(folder) = self.folder.clone() else { return self.put_file(path).await };
        let owned = path.to_owned();
        let linking = move || -> std::io::Result<Option<(String, bool)>> {
            let sha256 = hash_of(&owned)?;
            let to = folder.join(Self::object(&sha256));
            if to.exists() {
                return Ok(Some((sha256, false)));
            }
            let above = to.parent().expect("an object lies in a folder");
            std::fs::create_dir_all(above)?;
            match std::fs::hard_link(&owned, &to) {
                Ok(()) => File::open(above)?.sync_all().map(|()| Some((sha256, true))),
                // Another disk, or one without links.
                Err(_) => Ok(None),
            }
        };
        let linked = tokio::task::spawn_blocking(linking).await.expect("linking a file never panics");
        match linked.map_err(|e| Error::unavailable(&format!("link {}", path.display()), e))? {
            Some(linked) => Ok(linked),
            None => self.put_file(path).await,
        }
    }

    /// Copies an object of another store; answers its bytes, too. It passes through this machine once to be hashed and once
    /// to be copied, so that nothing half is ever called by its hash.
    pub(super) async fn copy_object(&self, from: &dyn ObjectStore, path: &Path) -> Result<((String, bool), u64)> {
        let failed = |e: object_store::Error| Error::unavailable(&format!("read {path}"), e);
        let mut pieces = from.get(path).await.map_err(failed)?.into_stream();
        let (mut hasher, mut bytes) = (Sha256::new(), 0);
        while let Some(piece) = pieces.next().await.transpose().map_err(failed)? {
            hasher.update(&piece);
            bytes += piece.len() as u64;
        }
        let sha256 = hex::encode(hasher.finalize());
        if self.has(&sha256).await? {
            return Ok(((sha256, false), bytes));
        }
        let upload = self.objects.put_multipart(&self.path(&Self::object(&sha256))).await.map_err(self.failed())?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PIECE_BYTES);
        let mut pieces = from.get(path).await.map_err(failed)?.into_stream();
        while let Some(piece) = pieces.next().await.transpose().map_err(failed)? {
            upload.wait_for_capacity(PIECES_MAX).await.map_err(self.failed())?;
            upload.put(piece);
        }
        upload.finish().await.map_err(self.failed())?;
        Ok(((sha256, true), bytes))
    }

    /// Hands the content of a hash over, piece by piece.
    pub(super) async fn read(&self, sha256: &str, take: &mut (dyn FnMut(&[u8]) -> Result<()> + Send)) -> Result<()> {
        let got = match self.objects.get(&self.path(&Self::object(sha256))).await {
            Ok(got) => got,
            Err(object_store::Error::NotFound { .. }) => {
                return Err(Error::new(Kind::NotFound, format!("{} holds no object {sha256}", self.name)));
            }
            Err(e) => return Err(self.failed()(e)),
        };
        let mut pieces = got.into_stream();
        while let Some(piece) = pieces.next().await.transpose().map_err(self.failed())? {
            take(&piece)?;
        }
        Ok(())
    }

    fn list_of(manifest: &Manifest) -> String {
        format!("backups/{:020}-{}.json", manifest.at_us, manifest.id)
    }

    /// Writes the list of a backup: only now it is one.
    pub(super) async fn put_manifest(&self, manifest: &Manifest) -> Result<()> {
        let name = Self::list_of(manifest);
        let text = serde_json::to_vec(manifest).expect("a list of plain fields is JSON");
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.objects.put_opts(&self.path(&name), PutPayload::from(text), options).await;
        put.map(|_| ()).map_err(self.failed())
    }

    /// Removes the list of a backup: it is none any more.
    pub(super) async fn remove_manifest(&self, manifest: &Manifest) -> Result<()> {
        self.remove(&Self::list_of(manifest)).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        match self.objects.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.failed()(e)),
        }
    }

    /// Every file that lies here, by its hash, with its bytes.
    pub(super) async fn files(&self) -> Result<Vec<(String, u64)>> {
        let listed: Vec<_> =
            self.objects.list(Some(&self.path("objects"))).try_collect().await.map_err(self.failed())?;
        let named = |object: &object_store::ObjectMeta| {
            let name = object.location.filename().filter(|name| name.len() == SHA256_CHARS)?;
            Some((name.to_owned(), object.size))
        };
        Ok(listed.iter().filter_map(named).collect())
    }

    /// Puts what marks the state database at a moment.
    pub(super) async fn put_state_mark(&self, name: &str, mark: Vec<u8>) -> Result<()> {
        let path = self.path(&format!("{STATES}/{name}"));
        self.objects.put(&path, PutPayload::from(mark)).await.map(|_| ()).map_err(self.failed())
    }

    /// The content of such a mark.
    pub(super) async fn state_mark(&self, name: &str) -> Result<Vec<u8>> {
        let got = self.objects.get(&self.path(&format!("{STATES}/{name}"))).await.map_err(self.failed())?;
        Ok(got.bytes().await.map_err(self.failed())?.to_vec())
    }

    /// Such a mark goes.
    pub(super) async fn remove_state_mark(&self, name: &str) -> Result<()> {
        self.remove(&format!("{STATES}/{name}")).await
    }

    /// The names of the marks behind another name, in order.
    pub(super) async fn state_marks(&self, behind: &str) -> Result<Vec<String>> {
        let (folder, offset) = (self.path(STATES), self.path(&format!("{STATES}/{behind}")));
        let listed = self.objects.list_with_offset(Some(&folder), &offset).try_collect::<Vec<_>>().await;
        let named = |object: &object_store::ObjectMeta| object.location.filename().map(str::to_owned);
        let mut names: Vec<String> = listed.map_err(self.failed())?.iter().filter_map(named).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Removes the content of a hash.
    pub(super) async fn remove_file(&self, sha256: &str) -> Result<()> {
        self.remove(&Self::object(sha256)).await
    }

    /// Notes when it was first seen that no backup names these files.
    pub(super) async fn doom(&self, now_us: i64, files: &[String]) -> Result<()> {
        let text = serde_json::to_vec(files).expect("a list of texts is JSON");
        let put = self.objects.put(&self.path(&format!("{DOOMED}/{now_us:020}.json")), PutPayload::from(text)).await;
        put.map(|_| ()).map_err(self.failed())
    }

    /// These notes, by their time.
    pub(super) async fn doomed(&self) -> Result<Vec<(i64, Vec<String>)>> {
        let listed: Vec<_> = self.objects.list(Some(&self.path(DOOMED))).try_collect().await.map_err(self.failed())?;
        let mut doomed = Vec::with_capacity(listed.len());
        for object in listed {
            let at = object.location.filename().and_then(|name| name.strip_suffix(".json")?.parse().ok());
            let Some(at) = at else { continue };
            let bytes = self.objects.get(&object.location).await.map_err(self.failed())?.bytes().await;
            let files = serde_json::from_slice(&bytes.map_err(self.failed())?);
            // A note that cannot be read is no note: its files are seen for the first time once more.
            doomed.push((at, files.unwrap_or_default()));
        }
        Ok(doomed)
    }

    /// The note of a time goes.
    pub(super) async fn forget_doomed(&self, at_us: i64) -> Result<()> {
        self.remove(&format!("{DOOMED}/{at_us:020}.json")).await
    }

    /// The moment of the newest backup, by the names alone.
    pub(super) async fn newest(&self) -> Result<Option<i64>> {
        let listed: Vec<_> =
            self.objects.list(Some(&self.path("backups"))).try_collect().await.map_err(self.failed())?;
        let moment = |object: &object_store::ObjectMeta| object.location.filename()?.split('-').next()?.parse().ok();
        Ok(listed.iter().filter_map(moment).max())
    }

    /// Every backup, oldest first.
    pub(super) async fn manifests(&self) -> Result<Vec<Manifest>> {
        let listed: Vec<_> =
            self.objects.list(Some(&self.path("backups"))).try_collect().await.map_err(self.failed())?;
        if listed.len() > BACKUPS_MAX {
            return Err(Error::new(Kind::Limit, format!("{} holds more than {BACKUPS_MAX} backups", self.name)));
        }
        let mut manifests = Vec::with_capacity(listed.len());
        for object in listed.into_iter().filter(|object| object.location.extension() == Some("json")) {
            let bytes = self.objects.get(&object.location).await.map_err(self.failed())?.bytes().await;
            let bytes = bytes.map_err(self.failed())?;
            let read: Manifest = serde_json::from_slice(&bytes).map_err(|e| {
                Error::new(Kind::Corrupt, format!("{} in {} is no list of a backup: {e}", object.location, self.name))
            })?;
            if read.format != super::FORMAT {
                let why =
                    format!("the backup {} is of format {}, which this program does not read", read.id, read.format);
                return Err(Error::new(Kind::Corrupt, why));
            }
            manifests.push(read);
        }
        manifests.sort_by_key(|manifest| manifest.at_us);
        Ok(manifests)
    }

    /// A backup by name, or the newest one, taken no later than a time if one is given.
    pub(super) async fn manifest(&self, id: Option<&str>, at_us: Option<i64>) -> Result<Manifest> {
        let all = self.manifests().await?;
        let oldest = all.first().map(|manifest| manifest.at_us);
        let fits =
            |manifest: &Manifest| id.is_none_or(|id| manifest.id == id) && at_us.is_none_or(|at| manifest.at_us <= at);
        all.into_iter().rev().find(fits).ok_or_else(|| {
            let why = match (oldest, id, at_us) {
                (None, ..) => format!("{} holds no backup", self.name),
                (_, Some(id), _) => format!("{} holds no backup {id}", self.name),
                (Some(oldest), _, _) => {
                    format!("no backup in {} is that old: the first is of {}", self.name, rfc3339(oldest))
                }
            };
            Error::new(Kind::NotFound, why)
        })
    }
}
