//! Where the control socket lies: in the data directory, or, where that path is too long for a socket's address, in a
//! directory of its own under the runtime directory, with a pointer in the data directory.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use engine::{Error, Kind, Result};
use tokio::net::{UnixListener, UnixStream};

/// Name of the socket in a data directory.
pub const SOCKET: &str = "control.sock";
/// Name of the file that says where the socket lies if not here.
pub const POINTER: &str = "control.path";
/// Bytes of a socket's path: `sun_path` has 108, one of them the end.
const PATH_BYTES_MAX: usize = 107;

/// A bound socket; dropping it removes the file.
#[derive(Debug)]
pub struct Bound {
    socket: PathBuf,
    pointer: Option<PathBuf>,
}

impl Bound {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
        if let Some(pointer) = &self.pointer {
            let _ = std::fs::remove_file(pointer);
            let _ = self.socket.parent().map(std::fs::remove_dir);
        }
    }
}

/// Binds the control socket of `data`, which this process owns: what an earlier owner left there is removed.
pub fn bind(data: &Path) -> Result<(UnixListener, Bound)> {
    let failed = |e| Error::unavailable(&format!("make the control socket of {}", data.display()), e);
    let data = data.canonicalize().map_err(failed)?;
    remove(&data.join(SOCKET)).map_err(failed)?;
    remove(&data.join(POINTER)).map_err(failed)?;
    let inside = data.join(SOCKET);
    let bound = match inside.as_os_str().as_bytes().len() <= PATH_BYTES_MAX {
        true => Bound { socket: inside, pointer: None },
        false => elsewhere(&data).map_err(failed)?,
    };
    let listener = UnixListener::bind(&bound.socket).map_err(failed)?;
    std::fs::set_permissions(&bound.socket, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok((listener, bound))
}

/// A directory that nobody else can enter, with a name that nobody could have taken before.
fn elsewhere(data: &Path) -> std::io::Result<Bound> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    let name = uuid::Uuid::new_v4().simple().to_string();
    let dir = runtime.unwrap_or_else(std::env::temp_dir).join(format!("stellwerk-{}", &name[..12]));
    DirBuilder::new().mode(0o700).create(&dir)?;
    let socket = dir.join(SOCKET);
    let pointer = data.join(POINTER);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&pointer)?;
    file.write_all(socket.as_os_str().as_bytes())?;
    Ok(Bound { socket, pointer: Some(pointer) })
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Where the socket of `data` would lie.
pub fn find(data: &Path) -> Option<PathBuf> {
    if let Ok(pointed) = std::fs::read(data.join(POINTER)) {
        return Some(PathBuf::from(std::ffi::OsStr::from_bytes(&pointed)));
    }
    // A relative path is short enough more often; only what does not fit is spelled out.
    let inside = data.join(SOCKET);
    inside.exists().then_some(inside)
}

/// Connects to a server of our own user; `None` if nobody listens.
pub async fn connect(path: &Path) -> Result<Option<UnixStream>> {
    let stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(gone) if matches!(gone.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(Error::unavailable(&format!("connect to {}", path.display()), error)),
    };
    let peer = stream.peer_cred().map_err(|e| Error::unavailable("ask who listens on the control socket", e))?;
    if peer.uid() != rustix::process::getuid().as_raw() {
        return Err(Error::new(Kind::Denied, format!("{} belongs to another user's process", path.display())));
    }
    Ok(Some(stream))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_data_directory_points_to_a_short_socket() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("x".repeat(150));
        std::fs::create_dir(&data).unwrap();
        let (listener, bound) = bind(&data).unwrap();
        let found = find(&data).unwrap();
        assert_eq!(found, bound.path());
        assert!(connect(&found).await.unwrap().is_some());
        assert_eq!(std::fs::metadata(&found).unwrap().permissions().mode() & 0o777, 0o600);
        drop((listener, bound));
        assert!(find(&data).is_none() && !found.exists() && !found.parent().unwrap().exists());
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_nobody_answers_on_it() {
        let data = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(data.path().join(SOCKET)).unwrap());
        let left = find(data.path()).unwrap();
        assert!(connect(&left).await.unwrap().is_none());
        let (_listener, bound) = bind(data.path()).unwrap();
        assert!(connect(bound.path()).await.unwrap().is_some());
    }
}
