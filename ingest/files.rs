//! Files and folders as bodies: walked in order, unpacked within bounds, appended unit by unit, the same file twice being
//! no change.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use engine::reject::Reject;
use engine::{Error, Frame, Idempotency, Kind, Receipt, Result, Scope, Store, Tenants};
use sha2::{Digest, Sha256};

use crate::{FileOptions, Parsed, Progress, Summary};

/// Bytes that a file may unpack to.
const BODY_BYTES_MAX: u64 = 256 << 20;
/// Folders within folders that are walked.
const DEPTH_MAX: usize = 32;
/// Lines of notes about single files; more are counted.
const NOTES_MAX: usize = 50;
/// How often a frame is offered to a store that is full.
const OFFERS_MAX: usize = 120;

/// SHA-256 of a body.
pub fn content_hash(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// A name as a part of an idempotency key, which has room for 512 bytes: a long one counts by its hash.
pub fn key_part(name: &str) -> String {
    const NAME_BYTES_MAX: usize = 100;
    if name.len() <= NAME_BYTES_MAX { name.to_owned() } else { hex::encode(content_hash(name.as_bytes())) }
}

/// Whose rows a key is about: the same file for two tenants is two files.
pub fn key_owner(scope: &Scope, named: Option<&str>) -> String {
    match &scope.tenants {
        Tenants::One(tenant) => format!("one:{}", key_part(tenant)),
        Tenants::Several(_) => format!("one:{}", key_part(scope.owner(named))),
        Tenants::All => format!("all:{}", key_part(named.unwrap_or_default())),
    }
}

/// One reading of files for a source.
pub struct Reading<'a> {
    /// The source's word, `kind` of its rejects.
    pub kind: &'static str,
    /// Names' ends of files that are read from a folder; `.gz` and `.zst` may follow.
    pub extensions: &'static [&'static str],
    pub store: &'a Store,
    pub scope: &'a Scope,
    pub progress: &'a dyn Progress,
}

/// The tenant of rows that name none. A tenant's caller cannot name another.
pub fn tenant(scope: &Scope, options: &FileOptions) -> Result<Option<String>> {
    match &options.tenant {
        Some(named) if !scope.tenants.covers(named) => {
            let own = scope.owner(None);
            Err(Error::new(Kind::Denied, format!("a credential of tenant {own} cannot write for {named}")))
        }
        named => Ok(named.clone()),
    }
}

impl Reading<'_> {
    /// Reads one file, or every file of a folder in the order of their names. `parse` gets a body and its SHA-256.
    pub async fn folder<F>(&self, path: &Path, mut parse: F) -> Result<Summary>
    where
        F: FnMut(&[u8], [u8; 32]) -> Vec<Parsed> + Send,
    {
        let mut files = Vec::new();
        walk(path, self.extensions, 0, &mut files)?;
        let mut summary = Summary::default();
        if files.is_empty() {
            summary.notes.push(format!("{}: no file ends in {}", path.display(), self.extensions.join(", ")));
        }
        for file in files {
            let one = self.file(&file, &mut parse).await.map_err(|e| e.context(&file.display().to_string()))?;
            summary.add(one);
            if summary.notes.len() > NOTES_MAX {
                summary.notes.truncate(NOTES_MAX);
                summary.notes.push("more files have notes".to_owned());
            }
        }
        Ok(summary)
    }

    async fn file<F>(&self, path: &Path, parse: &mut F) -> Result<Summary>
    where
        F: FnMut(&[u8], [u8; 32]) -> Vec<Parsed> + Send,
    {
        let size = std::fs::metadata(path).map_err(|e| Error::unavailable("look at the file", e))?.len();
        self.progress.begin(path, size);
        let mut summary = Summary { files: 1, ..Summary::default() };
        let units = match read(path) {
            Ok(body) => {
                let hash = content_hash(&body);
                parse(&body, hash)
            }
            Err(reason) => vec![self.unreadable(path, reason)],
        };
        let source = path.file_name().map_or_else(|| self.kind.to_owned(), |name| name.to_string_lossy().into_owned());
        let count = units.len().max(1) as u64;
        for unit in units {
            let (accepted, rejects) = (unit.accepted, unit.rejects.len() as u64);
            let reason = unit.rejects.first().map(|r| format!("{}: {}", path.display(), r.reason));
            let frame = unit.into_frame(source.clone(), self.scope);
            if frame.batches.is_empty() {
                continue;
            }
            let receipt = self.append(frame).await?;
            self.progress.advance(size / count);
            if receipt.repeated {
                summary.repeated = 1;
                continue;
            }
            summary.accepted += accepted;
            summary.rejected += rejects;
            if summary.notes.is_empty() {
                summary.notes.extend(reason);
            }
        }
        self.progress.advance(size % count);
        Ok(summary)
    }

    /// A full store is waited for: nobody else would send the file again.
    pub async fn append(&self, frame: Frame) -> Result<Receipt> {
        for _ in 1..OFFERS_MAX {
            match self.store.append(frame.clone()).await {
                Err(error) => match error.kind() {
                    Kind::Overloaded { retry_after } => tokio::time::sleep(retry_after).await,
                    _ => return Err(error),
                },
                durable => return durable,
            }
        }
        self.store.append(frame).await
    }

    fn unreadable(&self, path: &Path, reason: String) -> Parsed {
        let place = path.display().to_string();
        let body_hash = content_hash(format!("{place}: {reason}").as_bytes());
        let owner = key_owner(self.scope, None);
        let key = format!("{}:unreadable:{owner}:{}", self.kind, hex::encode(body_hash));
        Parsed {
            rejects: vec![Reject { kind: self.kind, reason, place: Some(place), body: Vec::new() }],
            idempotency: Some(Idempotency { key, body_hash }),
            ..Parsed::default()
        }
    }
}

fn walk(path: &Path, extensions: &[&str], depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let about = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Error::new(Kind::NotFound, format!("{}: no such file or folder", path.display()))
        }
        _ => Error::unavailable(&format!("look at {}", path.display()), e),
    })?;
    if about.is_file() {
        // A file that is named is read whatever its name; a folder may hold other things.
        if depth == 0 || fits(path, extensions) {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    if !about.is_dir() || depth > DEPTH_MAX {
        return Ok(());
    }
    let listing = std::fs::read_dir(path).map_err(|e| Error::unavailable(&format!("list {}", path.display()), e))?;
    let mut inside = Vec::new();
    for entry in listing {
        inside.push(entry.map_err(|e| Error::unavailable(&format!("list {}", path.display()), e))?);
    }
    inside.sort_by_key(std::fs::DirEntry::file_name);
    for entry in inside {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        // A link may lead out of the folder, or round in a circle.
        if !hidden && !(link && entry.path().is_dir()) {
            walk(&entry.path(), extensions, depth + 1, files)?;
        }
    }
    Ok(())
}

fn fits(path: &Path, extensions: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
    name.rsplit_once('.').is_some_and(|(_, end)| extensions.contains(&end))
}

fn read(path: &Path) -> std::result::Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|e| format!("cannot be read: {e}"))?;
    unpack(file, BODY_BYTES_MAX).map_err(|e| format!("cannot be read: {e}"))
}

/// A body, unpacked if it begins as gzip or zstd do; no JSON or YAML begins like that. More than `bytes_max` is refused.
pub fn unpack(mut packed: impl Read, bytes_max: u64) -> Result<Vec<u8>> {
    /// Largest window of a zstd frame that is unpacked, as RFC 8878 recommends: 8 MiB.
    const ZSTD_WINDOW_LOG_MAX: u32 = 23;
    let tell = |e: std::io::Error| Error::invalid(format!("unpack the body: {e}"));
    let mut head = Vec::new();
    packed.by_ref().take(4).read_to_end(&mut head).map_err(tell)?;
    let whole = std::io::Cursor::new(head.clone()).chain(packed);
    let mut body = Vec::new();
    let taken = match head.as_slice() {
        [0x1f, 0x8b, ..] => flate2::read::MultiGzDecoder::new(whole).take(bytes_max + 1).read_to_end(&mut body),
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let mut decoder = zstd::stream::read::Decoder::new(whole).map_err(tell)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(tell)?;
            decoder.take(bytes_max + 1).read_to_end(&mut body)
        }
        _ => whole.take(bytes_max + 1).read_to_end(&mut body),
    };
    taken.map_err(tell)?;
    if body.len() as u64 > bytes_max {
        return Err(Error::new(Kind::TooLarge, format!("a body of more than {bytes_max} bytes is not taken")));
    }
    Ok(body)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_folder_is_walked_in_order_and_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for (name, text) in [("c.json", "c"), ("b/a.yaml", "a"), ("b/notes.txt", "no"), (".hidden.json", "no")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"packed").unwrap();
        std::fs::write(folder.path().join("a.json.gz"), gz.finish().unwrap()).unwrap();
        std::fs::write(folder.path().join("d.json.zst"), zstd::encode_all(&b"zstd"[..], 1).unwrap()).unwrap();
        let mut files = Vec::new();
        walk(folder.path(), &["json", "yaml"], 0, &mut files).unwrap();
        let bodies: Vec<_> = files.iter().map(|f| String::from_utf8(read(f).unwrap()).unwrap()).collect();
        assert_eq!(bodies, ["packed", "a", "c", "zstd"]);
        assert_eq!(walk(&folder.path().join("none"), &[], 0, &mut files).unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn a_tenant_cannot_write_for_another() {
        let options = FileOptions { tenant: Some("b".to_owned()), ..FileOptions::default() };
        assert_eq!(tenant(&Scope::tenant("a", "x"), &options).unwrap_err().kind(), Kind::Denied);
        assert_eq!(tenant(&Scope::tenant("b", "x"), &options).unwrap().as_deref(), Some("b"));
        assert_eq!(tenant(&Scope::platform("x"), &options).unwrap().as_deref(), Some("b"));
    }

    async fn count(store: &Store, table: &str) -> usize {
        let question = format!("SELECT * FROM {table}");
        let answer = store.query(&Scope::platform("test"), question.as_str(), engine::Limits::default()).await.unwrap();
        let batches: Vec<_> = futures::TryStreamExt::try_collect(answer.stream).await.unwrap();
        batches.iter().map(engine::arrow::array::RecordBatch::num_rows).sum()
    }

    #[tokio::test]
    async fn the_same_folder_twice_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        // Sources name the tables of lower floors that they write, each for itself.
        let mut tables = vec![&engine::reject::REJECT];
        for table in crate::sources::tables() {
            if !tables.iter().any(|known| known.name == table.name) {
                tables.push(table);
            }
        }
        let catalogue = engine::Catalogue { tables, ..engine::Catalogue::default() };
        let ports = engine::Ports {
            clock: std::sync::Arc::new(engine::WallClock),
            redactor: std::sync::Arc::new(crate::redact::Redaction::default()),
        };
        let store = Store::open(engine::Settings::new(folder.path()), catalogue, ports).await.unwrap();
        let scope = Scope::platform("test");
        let options = FileOptions { cluster: Some("lab".to_owned()), ..FileOptions::default() };
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
        for (source, folder, files, counts) in [
            (&crate::kubernetes::Kubernetes as &dyn crate::Source, "k8s", 14, [("k8s_node", 7), ("k8s_event", 17)]),
            (&crate::ado::Ado, "ado", 42, [("ado_event", 42), ("ado_stage", 1)]),
        ] {
            let path = fixtures.join(folder);
            let read = || source.ingest_path(&store, &scope, &path, &options, &crate::sources::Silent);
            let (first, second) = (read().await.unwrap(), read().await.unwrap());
            assert_eq!((first.files, first.rejected, first.repeated), (files, 0, 0), "{:?}", first.notes);
            assert_eq!((second.files, second.accepted, second.repeated), (files, 0, files), "{:?}", second.notes);
            for (table, rows) in counts {
                assert_eq!(count(&store, table).await, rows, "{table}");
            }
        }
        store.close().await.unwrap();
    }
}
