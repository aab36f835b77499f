//! Folders for one input. Nothing in them has to survive, so they lie in memory where the machine offers that: a log syncs
//! its files, and a disk would allow a few inputs a second.

use std::path::Path;

use tempfile::TempDir;

const MEMORY: &str = "/dev/shm";

/// A new folder, gone when it is dropped.
pub fn folder() -> TempDir {
    let in_memory = Path::new(MEMORY).is_dir().then(|| tempfile::tempdir_in(MEMORY).ok()).flatten();
    in_memory.unwrap_or_else(|| tempfile::tempdir().expect("a folder can be made"))
}
