//! A throw-away PostgreSQL for what runs on both databases, where it is installed. It lies in the system's folder for temporary
//! files, which its own user can enter, other than the folder for measurements below somebody's home.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A server of one suite; stopped when dropped.
pub struct Postgres {
    url: String,
    folder: TempDir,
}

impl Postgres {
    /// Starts one; an error says why there is none.
    pub fn start() -> Result<Postgres, String> {
        let folder =
            tempfile::Builder::new().prefix("stellwerk-bench-postgres-").tempdir().map_err(|e| e.to_string())?;
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        if kind_of_disk(&mounts, folder.path()).is_some_and(|kind| IN_MEMORY.contains(&kind)) {
            return Err("the folder for temporary files lies in memory: set TMPDIR to one on a disk".to_owned());
        }
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
        let output = script("start", folder.path())?;
        if !output.status.success() {
            // The reason goes onto the page, where a path of this machine has no place.
            let why = String::from_utf8_lossy(&output.stderr).replace(&*folder.path().to_string_lossy(), "its folder");
            return Err(why.trim().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let url = said.lines().last().ok_or("it named no URL")?.to_owned();
        Ok(Postgres { url, folder })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// File systems whose fsync costs nothing.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

/// The file system that a folder lies on, by the lines of `/proc/mounts`.
fn kind_of_disk<'a>(mounts: &'a str, folder: &Path) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let mut words = line.split(' ').skip(1);
        let (at, kind) = (words.next()?, words.next()?);
        folder.starts_with(at).then_some((at.len(), kind))
    };
    mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

fn script(command: &str, folder: &Path) -> Result<Output, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/postgres.sh");
    Command::new(path).arg(command).arg(folder).output().map_err(|e| e.to_string())
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = script("stop", self.folder.path());
    }
}
