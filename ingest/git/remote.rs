//! Where a repository lies: a folder, or a URL that the `git` program mirrors into the data directory.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use engine::{Error, Kind, Result};
use tokio::process::Command;

use crate::files::content_hash;

/// Folder of mirrors within the data directory.
const CACHE: &str = "git-mirrors";

/// Whether a path on the command line is an address of another machine.
pub fn is_remote(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let scheme = text
        .split_once("://")
        .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+'));
    // `git@host:group/name` is an address, too; a drive letter or a folder with a colon is not.
    let login = text.split_once(':').is_some_and(|(host, _)| host.contains('@') && !host.contains('/'));
    scheme || login
}

/// A repository's name in tables, and the folder to open.
#[derive(Debug)]
pub struct Repository {
    /// URL without credentials, or the folder.
    pub name: String,
    /// Where it can be opened.
    pub folder: PathBuf,
}

/// Finds a repository, mirrors it if it lies elsewhere.
pub async fn find(path: &Path, data: &Path) -> Result<Repository> {
    let text = path.to_string_lossy();
    let local = text.strip_prefix("file://").map(PathBuf::from).or_else(|| (!is_remote(path)).then(|| path.to_owned()));
    if let Some(folder) = local {
        let folder =
            folder.canonicalize().map_err(|e| Error::new(Kind::NotFound, format!("{}: {e}", folder.display())))?;
        return Ok(Repository { name: folder.display().to_string(), folder });
    }
    let name = without_credentials(&text);
    let folder = data.join(CACHE).join(&hex::encode(content_hash(name.as_bytes()))[..32]);
    mirror(&text, &name, &folder).await?;
    Ok(Repository { name, folder })
}

/// The address without user and password, which reach no table.
fn without_credentials(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            let path = path.trim_end_matches('/');
            if path.is_empty() { format!("{scheme}://{host}") } else { format!("{scheme}://{host}/{path}") }
        }
        None => url.to_owned(),
    }
}

async fn mirror(url: &str, name: &str, folder: &Path) -> Result<()> {
    let known = folder.join("HEAD").exists();
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above).map_err(|e| Error::unavailable(&format!("create {}", above.display()), e))?;
    }
    let mut command = Command::new("git");
    match known {
        // The address is given anew each time: a mirror keeps no credentials.
        true => command.arg("-C").arg(folder).args(["fetch", "--prune", "--quiet", url, "+refs/*:refs/*"]),
        false => command.args(["clone", "--mirror", "--quiet", url]).arg(folder),
    };
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let done = command.output().await.map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::invalid(format!(
            "{name} lies on another machine, and the program git, which fetches it, is not installed"
        )),
        _ => Error::unavailable("run git", e),
    })?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr).replace(url, name);
        return Err(Error::new(Kind::Unavailable, format!("git could not fetch {name}: {}", said.trim())));
    }
    if !known {
        // What `clone` wrote down may hold a password.
        let forget =
            Command::new("git").arg("-C").arg(folder).args(["remote", "set-url", "origin", name]).output().await;
        forget.map_err(|e| Error::unavailable("run git", e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, remote) in [
            ("https://x/y", true),
            ("git@host:a/b.git", true),
            ("file:///x", true),
            ("/a/b:c", false),
            ("./x", false),
            ("C:/x", false),
        ] {
            assert_eq!(is_remote(Path::new(text)), remote, "{text}");
        }
        assert_eq!(without_credentials("https://user:secret@host/a/b.git/"), "https://host/a/b.git");
    }
}
