//! The first key. It lies in a file that only its owner can read, so that the first call needs no ceremony.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use engine::{Error, Kind, Result};
use ledger::directory::Directory;

/// Name of the key's file in a data directory.
pub const FILE: &str = "bootstrap.key";

/// The bootstrap key as it lies in the data directory.
#[derive(Debug)]
pub struct Bootstrap {
    /// Where it lies.
    pub path: PathBuf,
    /// The key itself, only on the start that made it: what is shown once is not shown again.
    pub fresh: Option<String>,
}

/// Makes the key if there is none, and makes the directory know it. `None` if its owner revoked it and left the file.
pub async fn ensure(data: &Path, directory: &Directory) -> Result<Option<Bootstrap>> {
    let path = data.join(FILE);
    let doing = format!("read {}", path.display());
    let (text, fresh) = match std::fs::read_to_string(&path) {
        Ok(text) => {
            check_mode(&path)?;
            (text, false)
        }
        Err(missing) if missing.kind() == ErrorKind::NotFound => {
            let secret = directory.mint()?;
            write(&path, secret.reveal()).map_err(|e| Error::unavailable(&format!("write {}", path.display()), e))?;
            (secret.reveal().to_owned(), true)
        }
        Err(error) => return Err(Error::unavailable(&doing, error)),
    };
    match directory.ensure_bootstrap(text.trim()).await {
        Ok(_) => Ok(Some(Bootstrap { path, fresh: fresh.then_some(text) })),
        Err(revoked) if revoked.kind() == Kind::Conflict => {
            tracing::warn!(file = %path.display(), "{revoked}");
            Ok(None)
        }
        Err(error) => Err(error.context(&format!("use {}", path.display()))),
    }
}

/// Durable before it is used: a key that callers hold must survive the crash that follows. Whole or not there: it gets its
/// name when it is synced, so that no crash leaves an empty file that the next start takes for a key.
fn write(path: &Path, key: &str) -> std::io::Result<()> {
    let staged = path.with_extension("key.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
    file.write_all(format!("{key}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&staged, path)?;
    File::open(path.parent().expect("the key's file lies in the data directory"))?.sync_all()
}

fn check_mode(path: &Path) -> Result<()> {
    let doing = || format!("look at {}", path.display());
    let mode = std::fs::metadata(path).map_err(|e| Error::unavailable(&doing(), e))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Error::new(
        Kind::Denied,
        format!(
            "{} can be read by others (mode {:o}): `chmod 600` it, or remove it to get a new key",
            path.display(),
            mode & 0o777
        ),
    ))
}
