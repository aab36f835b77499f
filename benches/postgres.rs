//! A throw-away PostgreSQL for what runs on both databases, where it is installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A server of one suite; stopped when dropped.
pub struct Postgres {
    url: String,
    folder: PathBuf,
}

impl Postgres {
    /// Starts one in a folder that does not exist yet; an error says why there is none.
    pub fn start(folder: &Path) -> Result<Postgres, String> {
        use std::os::unix::fs::PermissionsExt;
        let above = folder.parent().expect("a folder lies in another");
        std::fs::set_permissions(above, PermissionsExt::from_mode(0o755)).map_err(|e| e.to_string())?;
        let output = script("start", folder)?;
        if !output.status.success() {
            // The reason goes onto the page, where a path of this machine has no place.
            let why = String::from_utf8_lossy(&output.stderr).replace(&*folder.to_string_lossy(), "its folder");
            return Err(why.trim().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let url = said.lines().last().ok_or("it named no URL")?.to_owned();
        Ok(Postgres { url, folder: folder.to_owned() })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn script(command: &str, folder: &Path) -> Result<Output, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/postgres.sh");
    Command::new(path).arg(command).arg(folder).output().map_err(|e| e.to_string())
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = script("stop", &self.folder);
    }
}
