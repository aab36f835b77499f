//! Rules from files: one, or every `.sql` below a folder.

use std::path::{Path, PathBuf};

use engine::{Error, Result};

use super::{BYTES_MAX, Fault, Rule};

/// Rules of one folder.
const RULES_MAX: usize = 10_000;

/// A file and what it holds.
#[derive(Debug)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// Its rule, or what is wrong with it.
    pub rule: std::result::Result<Rule, Vec<Fault>>,
}

/// The folder below which a file's path is its rule's name, whichever file is meant.
const HOME: &str = "rules";

/// One file. Its name is its path below the last folder called `rules`, as it is when that folder is read; elsewhere its
/// own name.
pub fn read(path: &Path) -> Result<Found> {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let parts: Vec<_> = whole.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    let folders = &parts[..parts.len().saturating_sub(1)];
    let from = folders.iter().rposition(|part| part == HOME).map_or(folders.len(), |home| home + 1);
    let name = parts[from..].join("/");
    read_as(path, name.strip_suffix(".sql").unwrap_or(&name))
}

/// Every rule below a folder, by name; a file is taken as a folder of one.
pub fn read_folder(folder: &Path) -> Result<Vec<Found>> {
    if folder.is_file() {
        return Ok(vec![read(folder)?]);
    }
    let mut paths = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(dir) = open.pop() {
        let entries =
            std::fs::read_dir(&dir).map_err(|e| Error::invalid(format!("read the rules in {}: {e}", dir.display())))?;
        for entry in entries {
            let entry = entry.map_err(|e| Error::invalid(format!("read the rules in {}: {e}", dir.display())))?;
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            match path.is_dir() {
                true => open.push(path),
                false if path.extension().is_some_and(|ending| ending == "sql") => paths.push(path),
                false => {}
            }
        }
        if paths.len() > RULES_MAX {
            return Err(Error::invalid(format!("{} holds more than {RULES_MAX} rules", folder.display())));
        }
    }
    paths.sort();
    let named = |path: PathBuf| {
        let name = path.strip_prefix(folder).unwrap_or(&path).with_extension("");
        let name = name.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        read_as(&path, &name)
    };
    paths.into_iter().map(named).collect()
}

fn read_as(path: &Path, name: &str) -> Result<Found> {
    let doing = |e: std::io::Error| Error::invalid(format!("read the rule {}: {e}", path.display()));
    let bytes = std::fs::metadata(path).map_err(doing)?.len();
    let too_large = || vec![Fault::at(1, format!("the file is larger than {BYTES_MAX} bytes"))];
    if bytes > BYTES_MAX as u64 {
        return Ok(Found { path: path.to_owned(), rule: Err(too_large()) });
    }
    let text = std::fs::read(path).map_err(doing)?;
    let rule = match String::from_utf8(text) {
        Ok(text) => Rule::parse(name, &text),
        Err(_) => Err(vec![Fault::at(1, "the file is not UTF-8")]),
    };
    Ok(Found { path: path.to_owned(), rule })
}
