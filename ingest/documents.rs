//! Documents: trees of Markdown, HTML, AsciiDoc, reStructuredText, plain text, PDF and DOCX, wikis among them, become
//! `document`.
//!
//! Only what changed is written: a file is compared with what the store holds by its hash, and one that is gone takes its
//! row along.

use std::collections::HashMap;
use std::path::Path;

use async_trait::async_trait;
use engine::reject::Reject;
use engine::{Result, Rows, Scope, Store, Table};

use crate::files::{self, Reading};
use crate::{FileOptions, Parsed, Progress, Source, Summary, known};

mod adr;
mod document;
mod docx;
mod front_matter;
mod language;
mod markdown;
mod page;
mod pdf;
mod plain;
#[cfg(test)]
mod tests;
mod tree;
pub mod views;

pub use document::{DOCUMENT, Document, delete};
pub use page::{Page, is_document, is_packed};
pub use tree::{order_of, wiki_title};

/// Documents of one frame before the next begins.
const FRAME_BYTES: usize = 4 << 20;

/// What the store holds of an origin at a ref: path, content hash, version.
pub async fn stored(
    store: &Store,
    scope: &Scope,
    tenant: &str,
    origin: &str,
    reference: &str,
) -> Result<HashMap<String, (String, i64)>> {
    let sql = "SELECT path, content_hash, CAST(version AS VARCHAR) FROM document WHERE tenant = $1 AND origin = $2 AND ref = $3";
    // A page that only some groups may read is known all the same: the tenant stands in the question.
    let reader = Scope::platform(&scope.principal);
    let rows = known::rows(store, &reader, sql, &[tenant, origin, reference]).await?;
    let entry = |row: Vec<Option<String>>| {
        let mut cells = row.into_iter();
        let mut next = || cells.next().flatten();
        Some((next()?, (next().unwrap_or_default(), next().and_then(|version| version.parse().ok()).unwrap_or(1))))
    };
    Ok(rows.into_iter().filter_map(entry).collect())
}

/// Rows of documents under construction, in frames.
#[derive(Debug)]
pub struct Shelf {
    word: &'static str,
    rows: Rows,
    rejects: Vec<Reject>,
    accepted: u64,
    bytes: usize,
    done: Vec<Parsed>,
}

impl Shelf {
    /// An empty one of a source.
    pub fn new(word: &'static str) -> Shelf {
        Shelf { word, rows: Rows::new(&DOCUMENT), rejects: Vec::new(), accepted: 0, bytes: 0, done: Vec::new() }
    }

    /// Adds a document's row.
    pub fn put(&mut self, document: &Document<'_>) {
        self.bytes += document.page.text.len();
        match document.write(&mut self.rows) {
            Ok(()) => self.accepted += 1,
            Err(reason) => self.refuse(reason, document.path, b""),
        }
        if self.bytes >= FRAME_BYTES {
            self.close();
        }
    }

    /// Adds the mark that a document is gone.
    pub fn remove(&mut self, tenant: &str, origin: &str, reference: &str, path: &str) {
        match document::delete(tenant, origin, reference, path, &mut self.rows) {
            Ok(()) => self.accepted += 1,
            Err(reason) => self.refuse(reason, path, b""),
        }
    }

    /// Keeps what did not parse.
    pub fn refuse(&mut self, reason: String, path: &str, body: &[u8]) {
        self.rejects.push(Reject { kind: self.word, reason, place: Some(path.to_owned()), body: body.to_vec() });
    }

    fn close(&mut self) {
        let mut parsed =
            Parsed { accepted: self.accepted, rejects: std::mem::take(&mut self.rejects), ..Parsed::default() };
        if !self.rows.is_empty() {
            parsed.batches.push(engine::Batch { table: &DOCUMENT, rows: self.rows.finish() });
        }
        (self.accepted, self.bytes) = (0, 0);
        self.done.push(parsed);
    }

    /// The frames.
    pub fn finish(mut self) -> Vec<Parsed> {
        self.close();
        self.done
    }
}

/// Makes frames durable and counts them.
pub async fn append(reading: &Reading<'_>, units: Vec<Parsed>, source: &str, summary: &mut Summary) -> Result<()> {
    for unit in units {
        let (accepted, rejects) = (unit.accepted, unit.rejects.len() as u64);
        let reason = unit.rejects.first().map(|r| format!("{}: {}", r.place.as_deref().unwrap_or_default(), r.reason));
        let frame = unit.into_frame(source, reading.scope);
        if frame.batches.is_empty() {
            continue;
        }
        reading.append(frame).await?;
        summary.accepted += accepted;
        summary.rejected += rejects;
        if summary.notes.is_empty() {
            summary.notes.extend(reason);
        }
    }
    Ok(())
}

/// Trees of documents.
#[derive(Debug)]
pub struct Docs;

#[async_trait]
impl Source for Docs {
    fn kind(&self) -> &'static str {
        "docs"
    }

    fn doc(&self) -> &'static str {
        "Documents: Markdown, HTML, AsciiDoc, reStructuredText, text, PDF, DOCX; a file, a folder or a wiki (.order); only what changed is read again"
    }

    fn tables(&self) -> Vec<&'static Table> {
        vec![&DOCUMENT]
    }

    async fn ingest_path(
        &self,
        store: &Store,
        scope: &Scope,
        path: &Path,
        options: &FileOptions,
        progress: &dyn Progress,
    ) -> Result<Summary> {
        let named = files::tenant(scope, options)?;
        let tenant = scope.owner(named.as_deref());
        let tree = tree::Tree::read(path)?;
        let origin = options.target.clone().unwrap_or_else(|| tree.origin.clone());
        let known = stored(store, scope, tenant, &origin, "").await?;
        let reading = Reading { kind: "docs", extensions: &[], store, scope, progress };
        let mut summary = Summary::default();
        let mut shelf = Shelf::new("docs");
        for file in &tree.files {
            progress.begin(&file.full, file.bytes);
            summary.files += 1;
            match tree.page(file) {
                Err(reason) => shelf.refuse(reason, &file.path, b""),
                Ok((page, hash)) => {
                    let before = known.get(&file.path);
                    if before.is_some_and(|(kept, _)| *kept == hash) {
                        summary.repeated += 1;
                    } else {
                        let version = before.map_or(1, |(_, version)| version + 1);
                        let owner = tree.owners(&file.path);
                        let uri = file.uri();
                        shelf.put(&Document {
                            tenant,
                            origin: &origin,
                            reference: "",
                            path: &file.path,
                            uri: Some(&uri),
                            page: &page,
                            content_hash: &hash,
                            version,
                            bytes: file.bytes,
                            modified_us: file.modified_us,
                            owners: &owner,
                            position: file.position,
                        });
                    }
                }
            }
            progress.advance(file.bytes);
        }
        // A single file says nothing about its neighbours.
        if tree.is_folder {
            let here: std::collections::HashSet<&str> = tree.files.iter().map(|file| file.path.as_str()).collect();
            for gone in known.keys().filter(|path| !here.contains(path.as_str())) {
                shelf.remove(tenant, &origin, "", gone);
            }
        }
        append(&reading, shelf.finish(), "docs", &mut summary).await?;
        Ok(summary)
    }
}
