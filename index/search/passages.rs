//! The chunks' headings and texts beside the memory: a file without a name, which ends with the process. An answer reads the
//! few that it shows.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::{Error, Result};
use parking_lot::Mutex;

/// Where a chunk's words lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spot {
    at: u64,
    heading_bytes: u32,
    text_bytes: u32,
}

/// The file.
#[derive(Debug)]
pub struct Passages {
    file: File,
    end: Mutex<u64>,
    garbage_bytes: AtomicU64,
}

impl Passages {
    /// An empty file in a folder, gone with the process however that ends.
    pub fn new(dir: &Path) -> Result<Passages> {
        let doing = || format!("prepare the texts of the index in {}", dir.display());
        std::fs::create_dir_all(dir).map_err(|e| Error::unavailable(&doing(), e))?;
        let path = dir.join(format!("passages-{}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(|e| Error::unavailable(&doing(), e))?;
        std::fs::remove_file(&path).map_err(|e| Error::unavailable(&doing(), e))?;
        Ok(Passages { file, end: Mutex::new(0), garbage_bytes: AtomicU64::new(0) })
    }

    /// Writes a chunk's words behind the others.
    pub fn add(&self, heading: &str, text: &str) -> Result<Spot> {
        let mut end = self.end.lock();
        let bytes = |text: &str| u32::try_from(text.len()).map_err(|_| Error::invalid("a chunk of more than 4 GiB"));
        let spot = Spot { at: *end, heading_bytes: bytes(heading)?, text_bytes: bytes(text)? };
        let both = [heading.as_bytes(), text.as_bytes()].concat();
        self.file.write_all_at(&both, *end).map_err(|e| Error::unavailable("keep a chunk's text", e))?;
        *end += both.len() as u64;
        Ok(spot)
    }

    /// Heading and text of a chunk.
    pub fn read(&self, spot: Spot) -> Result<(String, String)> {
        let mut heading = vec![0; spot.heading_bytes as usize];
        let mut text = vec![0; spot.text_bytes as usize];
        let doing = "read a chunk's text";
        self.file.read_exact_at(&mut heading, spot.at).map_err(|e| Error::unavailable(doing, e))?;
        let behind = spot.at + u64::from(spot.heading_bytes);
        self.file.read_exact_at(&mut text, behind).map_err(|e| Error::unavailable(doing, e))?;
        let whole = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|e| Error::unavailable(doing, e));
        Ok((whole(heading)?, whole(text)?))
    }

    /// Notes that nobody reads a chunk any more.
    pub fn forget(&self, spot: Spot) {
        self.garbage_bytes.fetch_add(u64::from(spot.heading_bytes) + u64::from(spot.text_bytes), Ordering::Relaxed);
    }

    /// Bytes written, and those of them that nobody reads.
    pub fn size(&self) -> (u64, u64) {
        (*self.end.lock(), self.garbage_bytes.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn words_come_back_and_leave_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let passages = Passages::new(dir.path()).unwrap();
        let spots: Vec<Spot> = (0..3).map(|i| passages.add(&format!("H{i}"), &"ä".repeat(i)).unwrap()).collect();
        assert_eq!(passages.read(spots[2]).unwrap(), ("H2".to_owned(), "ää".to_owned()));
        assert_eq!(passages.read(spots[0]).unwrap(), ("H0".to_owned(), String::new()));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        passages.forget(spots[2]);
        assert_eq!(passages.size(), (12, 6));
    }
}
