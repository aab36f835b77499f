//! Folders of documents: walked in order, wikis with their `.order`, owners by CODEOWNERS.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use engine::{Error, Kind, Result};

use super::page::{Page, is_document};
use crate::files::content_hash;
use crate::git::codeowners::{self, Codeowners};
use crate::json::Reason;

/// Folders within folders that are walked.
const DEPTH_MAX: usize = 32;
/// Folders that hold no documents of ours.
const LEFT_OUT: &[&str] = &["node_modules", "target", "vendor", "__pycache__"];

/// A folder, or one file.
#[derive(Debug)]
pub struct Tree {
    /// Name of the folder in the table.
    pub origin: String,
    /// Whether it is a folder: only then does a missing file mean a document that is gone.
    pub is_folder: bool,
    /// Its documents, in order.
    pub files: Vec<File>,
    owners: Option<Codeowners>,
}

/// One document's file.
#[derive(Debug)]
pub struct File {
    /// Where it lies.
    pub full: PathBuf,
    /// Its path within the tree, with slashes.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it changed last.
    pub modified_us: Option<i64>,
    /// Its place among its siblings.
    pub position: Option<i64>,
    /// Whether it belongs to a wiki, where the file's name is the title.
    is_wiki: bool,
}

impl File {
    /// Its address.
    pub fn uri(&self) -> String {
        format!("file://{}", self.full.display())
    }
}

impl Tree {
    /// Walks a folder, or takes one file.
    pub fn read(path: &Path) -> Result<Tree> {
        let doing = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::new(Kind::NotFound, format!("{}: no such file or folder", path.display()))
            }
            _ => Error::unavailable(&format!("look at {}", path.display()), e),
        };
        let full = path.canonicalize().map_err(doing)?;
        let is_folder = full.is_dir();
        let root = if is_folder { full.clone() } else { full.parent().unwrap_or(&full).to_owned() };
        let mut files = Vec::new();
        if is_folder {
            walk(&root, &full, 0, &mut files)?;
        } else {
            files.extend(file(&root, &full, &HashMap::new()));
        }
        let owners = codeowners::PLACES.iter().find_map(|place| std::fs::read_to_string(root.join(place)).ok());
        Ok(Tree {
            origin: root.display().to_string(),
            is_folder,
            files,
            owners: owners.map(|text| Codeowners::read(&text)),
        })
    }

    /// Reads one document, with its hash.
    pub fn page(&self, file: &File) -> std::result::Result<(Page, String), Reason> {
        let body = std::fs::read(&file.full).map_err(|e| format!("cannot be read: {e}"))?;
        let mut page = Page::read(&file.path, &body)?;
        if file.is_wiki {
            page.title = wiki_title(&file.path);
        }
        Ok((page, hex::encode(content_hash(&body))))
    }

    /// The owners of a path.
    pub fn owners(&self, path: &str) -> Vec<String> {
        self.owners.as_ref().map(|owners| owners.of(path).to_vec()).unwrap_or_default()
    }
}

/// The title of a page of an Azure DevOps wiki: its file's name, where a dash is a space and `%2D` a dash.
pub fn wiki_title(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.rsplit_once('.').map_or(name, |(stem, _)| stem).replace('-', " ");
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, behind @ ..] = rest {
        let code = (*first == b'%').then(|| behind.get(..2)).flatten();
        let code = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        out.push(code.unwrap_or(*first));
        rest = if code.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn walk(root: &Path, folder: &Path, depth: usize, files: &mut Vec<File>) -> Result<()> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    let list = |e| Error::unavailable(&format!("list {}", folder.display()), e);
    let mut inside =
        std::fs::read_dir(folder).map_err(list)?.collect::<std::result::Result<Vec<_>, _>>().map_err(list)?;
    inside.sort_by_key(std::fs::DirEntry::file_name);
    let order = order_of(&std::fs::read_to_string(folder.join(".order")).unwrap_or_default());
    for entry in inside {
        let name = entry.file_name().to_string_lossy().into_owned();
        let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        // Attachments of a wiki lie in a hidden folder; a link may lead out of the tree, or round in a circle.
        if name.starts_with('.') && name != ".github" || LEFT_OUT.contains(&name.as_str()) || link {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            walk(root, &path, depth + 1, files)?;
        } else {
            files.extend(file(root, &path, &order));
        }
    }
    Ok(())
}

/// A wiki's order of the pages in a folder: names without their end.
pub fn order_of(text: &str) -> HashMap<String, i64> {
    let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
    names.zip(1..).map(|(name, place)| (name.trim_end_matches(".md").to_owned(), place)).collect()
}

fn file(root: &Path, full: &Path, order: &HashMap<String, i64>) -> Option<File> {
    let path = full.strip_prefix(root).ok()?.to_string_lossy().replace('\\', "/");
    if !is_document(&path) {
        return None;
    }
    let about = std::fs::metadata(full).ok()?;
    let modified = about.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let stem = full.file_stem()?.to_string_lossy().into_owned();
    Some(File {
        full: full.to_owned(),
        path,
        bytes: about.len(),
        modified_us: modified.and_then(|since| i64::try_from(since.as_micros()).ok()),
        position: order.get(&stem).copied(),
        is_wiki: !order.is_empty(),
    })
}
