//! Rows of a parsed body as JSON, for tests to look at.

#![allow(clippy::unwrap_used)]

use engine::Table;
use serde_json::Value;

use crate::Parsed;

/// The rows of one table, in order; null cells are left out.
pub fn rows(parsed: &Parsed, table: &'static Table) -> Vec<Value> {
    let batches = parsed.batches.iter().filter(|batch| batch.table.name == table.name);
    let mut writer = engine::arrow::json::LineDelimitedWriter::new(Vec::new());
    batches.for_each(|batch| writer.write(&batch.rows).unwrap());
    writer.finish().unwrap();
    let lines = String::from_utf8(writer.into_inner()).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A fixture of the repository.
pub fn fixture(path: &str) -> Vec<u8> {
    let full = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(path);
    std::fs::read(&full).unwrap_or_else(|e| panic!("{}: {e}", full.display()))
}

/// Every file below a folder of the data that `STELLWERK_DATA` names; says so when there is none.
pub fn data(folder: &str) -> Vec<std::path::PathBuf> {
    let Some(root) = std::env::var_os("STELLWERK_DATA") else {
        eprintln!("SKIPPED: STELLWERK_DATA is not set, the files of {folder} are not read");
        return Vec::new();
    };
    let mut open = vec![std::path::Path::new(&root).join(folder)];
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.push(path);
        }
    }
    files.sort();
    assert!(!files.is_empty(), "{folder} holds no file");
    files
}
