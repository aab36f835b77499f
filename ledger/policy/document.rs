//! Files of YAML or JSON, several documents one behind the other.

use std::path::{Path, PathBuf};

use engine::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

/// Bytes of one file of policies; a larger one is none.
const FILE_BYTES_MAX: u64 = 32 << 20;
/// Folders inside each other.
const FOLDERS_MAX: usize = 32;

/// The documents of a file; empty ones are left out.
pub fn read(path: &Path) -> Result<Vec<Value>> {
    let failed = |why: String| Error::invalid(format!("read {}: {why}", path.display()));
    let bytes = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(failed(format!("{bytes} bytes are more than {FILE_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    parse(&text).map_err(failed)
}

/// The documents of a text.
pub fn parse(text: &str) -> Result<Vec<Value>, String> {
    let mut documents = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let value = Value::deserialize(document).map_err(|e| e.to_string())?;
        if !value.is_null() {
            documents.push(value);
        }
    }
    Ok(documents)
}

/// Every file of YAML or JSON below a path, sorted; the path itself where it is a file.
pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    collect(path, 0, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |e: std::io::Error| Error::invalid(format!("read {}: {e}", folder.display()));
    if depth > FOLDERS_MAX {
        return Err(Error::invalid(format!("{} lies more than {FOLDERS_MAX} folders deep", folder.display())));
    }
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            collect(&path, depth + 1, found)?;
        } else if path.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e == *known)) {
            found.push(path);
        }
    }
    Ok(())
}

/// The text at a path of fields.
pub fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    document.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// `apps/v1` is group `apps`, version `v1`; `v1` has the core group.
pub fn group_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}
