//! Prefixes that an evaluation asked for are read again by the next: one file a model, a JSON object a line. Appended to; a
//! line that a crash cut off is left out. A store keeps its own in a table.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use engine::{Error, Result};
use serde::{Deserialize, Serialize};

use super::writer::{ASKED_TOGETHER, Written};
use super::{Asked, Writer};

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    key: String,
    prefix: Option<String>,
}

/// A model with what it said before.
#[derive(Debug)]
pub struct Kept<'a> {
    writer: &'a Writer,
    path: Option<PathBuf>,
    known: HashMap<String, Option<String>>,
    /// The file's last line has no end.
    torn: bool,
}

impl<'a> Kept<'a> {
    /// With what is kept in `dir`; without a folder, nothing is kept.
    pub fn open(writer: &'a Writer, dir: Option<&Path>) -> Result<Self> {
        let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        let path =
            dir.map(|dir| dir.join(format!("{}.prefixes", writer.name().chars().map(plain).collect::<String>())));
        let mut bytes = Vec::new();
        if let Some(path) = path.as_deref().filter(|path| path.exists()) {
            let doing = format!("read the kept prefixes in {}", path.display());
            bytes = std::fs::read(path).map_err(|e| Error::unavailable(&doing, e))?;
        }
        let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Line>(line).ok());
        let known = lines.map(|line| (line.key, line.prefix)).collect();
        let torn = bytes.last().is_some_and(|byte| *byte != b'\n');
        Ok(Kept { writer, path, known, torn })
    }

    /// The prefixes of chunks, `None` where the model has nothing to say of one. A model that fails ends it: measured would be
    /// something else. What it said is kept.
    pub async fn prefixes(&mut self, asked: &[Asked<'_>], told: &dyn Fn(usize)) -> Result<Vec<Option<String>>> {
        let keys: Vec<String> = asked.iter().map(|asked| self.writer.key(asked)).collect();
        let mut missing: Vec<usize> = (0..asked.len()).filter(|n| !self.known.contains_key(&keys[*n])).collect();
        missing.sort_by(|a, b| keys[*a].cmp(&keys[*b]));
        missing.dedup_by(|a, b| keys[*a] == keys[*b]);
        // In the order of the documents: a server that keeps what it read of a prompt reads each once.
        missing.sort_unstable();
        let mut done = asked.len() - missing.len();
        told(done);
        for group in missing.chunks(ASKED_TOGETHER) {
            let questions: Vec<Asked<'_>> = group.iter().map(|n| asked[*n]).collect();
            let mut failed = None;
            for (n, written) in group.iter().zip(self.writer.write(&questions).await) {
                match written {
                    Written::Said(prefix) => self.keep(&keys[*n], prefix)?,
                    Written::Refused(error) | Written::Failed(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            done += group.len();
            told(done);
        }
        Ok(keys.iter().map(|key| self.known[key].clone()).collect())
    }

    fn keep(&mut self, key: &str, prefix: Option<String>) -> Result<()> {
        if let Some(path) = &self.path {
            let doing = format!("keep prefixes in {}", path.display());
            let failed = |e| Error::unavailable(&doing, e);
            path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
            let line = serde_json::json!(Line { key: key.to_owned(), prefix: prefix.clone() });
            let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
            let end = if std::mem::take(&mut self.torn) { "\n" } else { "" };
            file.write_all(format!("{end}{line}\n").as_bytes()).map_err(failed)?;
        }
        self.known.insert(key.to_owned(), prefix);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::prefix::scripted::Scripted;

    #[tokio::test]
    async fn what_was_said_is_not_asked_again() {
        let dir = tempfile::tempdir().unwrap();
        let model = Scripted::new("About the chunk and its document.");
        let writer = Writer::new(model.clone()).unwrap();
        let document = "One thing. Another thing.";
        let of = |chunk| Asked { tenant: "", title: "", document, heading: "", chunk, start: 0 };
        let asked = [of("One thing."), of("Another thing."), of("One thing.")];
        let mut kept = Kept::open(&writer, Some(dir.path())).unwrap();
        let said = kept.prefixes(&asked, &|_| ()).await.unwrap();
        assert_eq!(said, vec![Some("About the chunk and its document.".to_owned()); 3]);
        assert_eq!(model.asked(), 2);
        // A line that a crash cut off is asked for again; one that failed ends the measurement.
        let path = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 5]).unwrap();
        let mut again = Kept::open(&writer, Some(dir.path())).unwrap();
        model.fail(Some(engine::Kind::Denied));
        assert_eq!(again.prefixes(&asked, &|_| ()).await.unwrap_err().kind(), engine::Kind::Denied);
        model.fail(None);
        assert_eq!(again.prefixes(&asked, &|_| ()).await.unwrap(), said);
        assert_eq!(model.asked(), 4);
        let mut third = Kept::open(&writer, Some(dir.path())).unwrap();
        assert_eq!((third.prefixes(&asked, &|_| ()).await.unwrap(), model.asked()), (said, 4));
        assert!(Writer::new(Arc::new(Scripted::reading(900))).is_err());
    }
}
