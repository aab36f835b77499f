//! The chunks' headings, prefixes and texts beside the memory: a file without a name, which ends with the process. An answer reads the
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
    prefix_bytes: u32,
    text_bytes: u32,
}

impl Spot {
    /// Whether a model's words place the chunk.
    pub fn is_placed(&self) -> bool {
        self.prefix_bytes > 0
    }

    fn bytes(&self) -> usize {
        self.heading_bytes as usize + self.prefix_bytes as usize + self.text_bytes as usize
    }
}

/// A chunk's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    pub heading: String,
    pub prefix: String,
    pub text: String,
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
    pub fn add(&self, heading: &str, prefix: &str, text: &str) -> Result<Spot> {
        let mut end = self.end.lock();
        let bytes = |text: &str| u32::try_from(text.len()).map_err(|_| Error::invalid("a chunk of more than 4 GiB"));
        let (heading_bytes, prefix_bytes, text_bytes) = (bytes(heading)?, bytes(prefix)?, bytes(text)?);
        let spot = Spot { at: *end, heading_bytes, prefix_bytes, text_bytes };
        let all = [heading, prefix, text].concat();
        self.file.write_all_at(all.as_bytes(), *end).map_err(|e| Error::unavailable("keep a chunk's text", e))?;
        *end += all.len() as u64;
        Ok(spot)
    }

    /// The words of a chunk.
    pub fn read(&self, spot: Spot) -> Result<Words> {
        let doing = "read a chunk's text";
        let mut heading = vec![0; spot.bytes()];
        self.file.read_exact_at(&mut heading, spot.at).map_err(|e| Error::unavailable(doing, e))?;
        let mut prefix = heading.split_off(spot.heading_bytes as usize);
        let text = prefix.split_off(spot.prefix_bytes as usize);
        let whole = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|e| Error::unavailable(doing, e));
        Ok(Words { heading: whole(heading)?, prefix: whole(prefix)?, text: whole(text)? })
    }

    /// Notes that nobody reads a chunk any more.
    pub fn forget(&self, spot: Spot) {
        self.garbage_bytes.fetch_add(spot.bytes() as u64, Ordering::Relaxed);
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
        let spots: Vec<Spot> =
            (0..3).map(|i| passages.add(&format!("H{i}"), &"p".repeat(i), &"ä".repeat(i)).unwrap()).collect();
        let words = |heading: &str, prefix: &str, text: &str| Words {
            heading: heading.to_owned(),
            prefix: prefix.to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(passages.read(spots[2]).unwrap(), words("H2", "pp", "ää"));
        assert_eq!(passages.read(spots[0]).unwrap(), words("H0", "", ""));
        assert!(spots[1].is_placed() && !spots[0].is_placed());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        passages.forget(spots[2]);
        assert_eq!(passages.size(), (15, 8));
    }
}
