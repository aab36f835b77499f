//! One process owns a data directory at a time. The kernel's lock on `owner.lock` is the truth; the process id inside
//! only tells a person who holds it, so a file left behind by a dead process is harmless.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Error, Kind, Result};

/// Name of the lock file in a data directory.
pub const FILE: &str = "owner.lock";

/// The exclusive right to a data directory, until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct OwnerLock {
    file: File,
}

impl OwnerLock {
    /// Takes the lock of `data`, which exists. Fails at once, with kind `Conflict` and the owner's process id, if it is held.
    pub fn acquire(data: &Path) -> Result<OwnerLock> {
        let path = data.join(FILE);
        let doing = format!("lock {}", path.display());
        let failed = |e| Error::unavailable(&doing, e);
        // Not truncated on opening: until the lock is ours, the content is the owner's.
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(owned(data, &mut file)),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(OwnerLock { file })
    }

    /// The process id that the lock file of `data` names, for messages; it may be out of date.
    pub fn named(data: &Path) -> Option<u32> {
        fs::read_to_string(data.join(FILE)).ok()?.trim().parse().ok()
    }
}

impl Drop for OwnerLock {
    fn drop(&mut self) {
        // Emptied while still locked, so that the next owner's process id is never confused with ours. The lock itself
        // ends with the file; if emptying fails, a stale number stays, which is harmless.
        let _ = self.file.set_len(0);
    }
}

fn owned(data: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(32).read_to_string(&mut text));
    let owner = match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    Error::new(Kind::Conflict, format!("data directory {} is in use by {owner}", data.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_second_owner_is_told_who_the_first_is() {
        let data = tempfile::tempdir().unwrap();
        let first = OwnerLock::acquire(data.path()).unwrap();
        let refused = OwnerLock::acquire(data.path()).unwrap_err();
        assert_eq!(refused.kind(), Kind::Conflict);
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        OwnerLock::acquire(data.path()).unwrap();
    }

    #[test]
    fn a_file_left_behind_is_harmless() {
        let data = tempfile::tempdir().unwrap();
        for stale in ["4000000000\n", "not a number", ""] {
            std::fs::write(data.path().join(FILE), stale).unwrap();
            let lock = OwnerLock::acquire(data.path()).unwrap();
            assert_eq!(OwnerLock::named(data.path()), Some(std::process::id()));
            drop(lock);
            assert_eq!(OwnerLock::named(data.path()), None);
        }
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(OwnerLock::acquire(&data.path().join("none")).unwrap_err().kind(), Kind::Unavailable);
    }
}
