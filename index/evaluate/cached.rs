//! Vectors that were made once are read again: one file a model, records of a text's hash and its vector. Appended to; a
//! record that a crash cut off is dropped.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use engine::{Embedder, Error, Purpose, Result};
use half::f16;
use sha2::{Digest, Sha256};

/// Bytes of a text's hash.
const KEY_BYTES: usize = 16;
/// Texts that go to the model at once: enough to fill its batches, few enough for progress to be seen.
const TEXTS_AT_ONCE: usize = 256;

type Key = [u8; KEY_BYTES];

/// An embedder with what it said before.
pub struct CachedEmbedder<'a> {
    inner: &'a dyn Embedder,
    path: Option<PathBuf>,
    known: HashMap<Key, Vec<f16>>,
}

fn key(text: &str, purpose: Purpose) -> Key {
    let mut hash = Sha256::new();
    hash.update(match purpose {
        Purpose::Query => b"q",
        Purpose::Passage => b"p",
    });
    hash.update(text.as_bytes());
    let mut key = [0; KEY_BYTES];
    key.copy_from_slice(&hash.finalize()[..KEY_BYTES]);
    key
}

/// A model's name as a file's.
fn file_name(model: &str) -> String {
    let plain: String = model.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    format!("{plain}.vectors")
}

impl<'a> CachedEmbedder<'a> {
    /// With the vectors kept in `dir`; without a folder, nothing is kept.
    pub fn open(inner: &'a dyn Embedder, dir: Option<&Path>) -> Result<Self> {
        let path = dir.map(|dir| dir.join(file_name(inner.model())));
        let mut known = HashMap::new();
        if let Some(path) = &path {
            let failed = |cause| Error::unavailable(&format!("read the kept vectors of {}", path.display()), cause);
            if let Some(dir) = path.parent() {
                std::fs::create_dir_all(dir).map_err(failed)?;
            }
            if path.is_file() {
                let mut bytes = Vec::new();
                File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
                let record = KEY_BYTES + 2 * inner.width();
                for record in bytes.chunks_exact(record) {
                    let (head, rest) = record.split_at(KEY_BYTES);
                    let mut key = [0; KEY_BYTES];
                    key.copy_from_slice(head);
                    known.insert(key, rest.as_chunks().0.iter().map(|value| f16::from_le_bytes(*value)).collect());
                }
                let whole = bytes.len() / record * record;
                if whole < bytes.len() {
                    OpenOptions::new()
                        .write(true)
                        .open(path)
                        .and_then(|file| file.set_len(whole as u64))
                        .map_err(failed)?;
                }
            }
        }
        Ok(Self { inner, path, known })
    }

    /// Vectors of texts, in their order. `told` hears how many are done.
    pub async fn embed(
        &mut self,
        texts: &[String],
        purpose: Purpose,
        told: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<f32>>> {
        let keys: Vec<Key> = texts.iter().map(|text| key(text, purpose)).collect();
        let mut missing: Vec<usize> = (0..texts.len()).filter(|n| !self.known.contains_key(&keys[*n])).collect();
        // Texts of like length together, so that a batch has no padding; the same ones side by side.
        missing.sort_unstable_by_key(|n| (texts[*n].len(), keys[*n]));
        missing.dedup_by_key(|n| keys[*n]);
        let mut done = texts.len() - missing.len();
        told(done);
        let mut file = self.file()?;
        for group in missing.chunks(TEXTS_AT_ONCE) {
            let group_texts: Vec<&str> = group.iter().map(|n| texts[*n].as_str()).collect();
            let vectors = self.inner.embed(&group_texts, purpose).await?;
            for (n, vector) in group.iter().zip(vectors) {
                let vector: Vec<f16> = vector.into_iter().map(f16::from_f32).collect();
                if let Some(file) = &mut file {
                    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                    let written = file.write_all(&keys[*n]).and_then(|()| file.write_all(&bytes));
                    written.map_err(|cause| Error::unavailable("keep vectors", cause))?;
                }
                self.known.insert(keys[*n], vector);
            }
            done += group.len();
            told(done);
        }
        if let Some(mut file) = file {
            file.flush().map_err(|cause| Error::unavailable("keep vectors", cause))?;
        }
        let vectors = keys.iter().map(|key| self.known[key].iter().map(|value| value.to_f32()).collect());
        Ok(vectors.collect())
    }

    fn file(&self) -> Result<Option<BufWriter<File>>> {
        let Some(path) = &self.path else { return Ok(None) };
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.map(|file| Some(BufWriter::new(file))).map_err(|cause| Error::unavailable("keep vectors", cause))
    }
}
