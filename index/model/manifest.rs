//! `stellwerk.json` in a model's folder: what it is called, where it came from, and what its files hash to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use engine::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file's name.
pub const FILE: &str = "stellwerk.json";
/// Bytes that are hashed at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// What a pull wrote down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The model's name.
    pub name: String,
    /// Where it came from: a package with its version, a repository of a hub, a folder.
    pub source: String,
    /// The licence of the weights, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub licence: Option<String>,
    /// Put before a question.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub query_prefix: Option<String>,
    /// Put before what is to be found.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub passage_prefix: Option<String>,
    /// SHA-256 by file, relative to the folder.
    pub files: BTreeMap<String, String>,
}

impl Manifest {
    /// The manifest of a folder; none where nobody pulled it.
    pub fn read(folder: &Path) -> Result<Option<Manifest>> {
        let path = folder.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::unavailable(&format!("read {}", path.display()), e)),
        };
        let broken = |e| Error::new(Kind::Corrupt, format!("{} is not what a pull writes: {e}", path.display()));
        serde_json::from_slice(&text).map(Some).map_err(broken)
    }

    /// Writes it into a folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::unavailable("write a manifest", e))?;
        std::fs::write(&path, text + "\n").map_err(|e| Error::unavailable(&format!("write {}", path.display()), e))
    }

    /// Holds every file against its hash; `Corrupt` with the first that differs.
    pub fn check(&self, folder: &Path) -> Result<()> {
        for (file, expected) in &self.files {
            let path = folder.join(file);
            let found = hash(&path)?;
            if found != *expected {
                let (name, path) = (&self.name, path.display());
                let text = format!(
                    "{path} is not the file that was pulled (sha256 {found}, pulled {expected}): `stellwerk model pull {name} --force` fetches it again"
                );
                return Err(Error::new(Kind::Corrupt, text));
            }
        }
        Ok(())
    }
}

/// Holds a folder against its manifest, if there is one; the hash of its weights.
pub fn verify(folder: &Path, weights: &Path) -> Result<String> {
    let manifest = Manifest::read(folder)?;
    if let Some(manifest) = &manifest {
        manifest.check(folder)?;
    }
    let file = weights.file_name().unwrap_or_default().to_string_lossy();
    match manifest.and_then(|manifest| manifest.files.get(file.as_ref()).cloned()) {
        Some(hash) => Ok(hash),
        None => hash(weights),
    }
}

/// The SHA-256 of a file, in hex.
pub fn hash(path: &Path) -> Result<String> {
    let doing = || format!("read {}", path.display());
    let mut file = File::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::new(Kind::NotFound, format!("there is no file {}", path.display())),
        _ => Error::unavailable(&doing(), e),
    })?;
    let (mut digest, mut chunk) = (Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut chunk).map_err(|e| Error::unavailable(&doing(), e))? {
            0 => return Ok(hex::encode(digest.finalize())),
            read => digest.update(&chunk[..read]),
        }
    }
}
