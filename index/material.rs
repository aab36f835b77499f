//! What is searched, as data: SQL sources over other tables, each row a text with its place, its version and who may see it.
//! A source says nothing about chunks or models; what changed is told by comparing rows with what was cut before.

mod azure_devops;
mod cluster;
mod incident;
mod shown;

use std::collections::HashMap;
use std::time::Duration;

use engine::{Error, Kind, Result, Scope, Store};

use crate::chunk::{Budget, Chunk, ChunkKind, Outlined, Source, chunks, chunks_by_outline};
use crate::stored::{Cells, ask};

/// Texts that are fetched with one question.
pub const FETCHED_TOGETHER: usize = 32;
/// Bytes of a text that are cut into chunks.
pub const TEXT_BYTES_MAX: usize = crate::chunk::DOCUMENT_BYTES_MAX;

/// A source of texts.
#[derive(Debug, Clone, Copy)]
pub struct MaterialSource {
    /// Its name, which `chunk.material` holds and a search filters by.
    pub name: &'static str,
    /// One sentence for the reader of `stellwerk index status`.
    pub doc: &'static str,
    /// Tables whose rows it reads: a change in one of them is a reason to look.
    pub tables: &'static [&'static str],
    /// A SELECT of `tenant`, `key` (tells texts of a tenant apart), `seq` (changes with every change of the text), `title`,
    /// `path`, `uri`, `text`, `format` (see [`ChunkKind::of`]), `language`, `acl`, `content_hash`, `version` and, where the text
    /// is HTML as a reader sees it, `outline` (see [`Outlined`]). Only the first three must not be null; a text that is says
    /// nothing, as an empty one does.
    pub sql: &'static str,
    /// How often it is looked at.
    pub pace: Pace,
    /// Somebody wrote its texts, and a model may be asked about them. What is computed changes for ever: so would the bill.
    pub is_written: bool,
}

impl MaterialSource {
    /// How often its tables changed since the store was opened.
    pub fn changes(&self, store: &Store) -> u64 {
        self.tables.iter().map(|table| store.changes(table)).sum()
    }
}

/// Of all time, the part that looking at a source, or reading some of its texts, may take while nobody waits: one in so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace(u32);

impl Pace {
    /// Of what somebody wrote, who searches for it next: a look that took 100 ms is followed by a pause of 300.
    const SOON: Pace = Pace(4);
    /// Of what is computed from telemetry, which never stops changing: who sends records must not pay for summaries.
    const SELDOM: Pace = Pace(200);

    /// How long to rest after a look.
    pub fn rest(self, took: Duration) -> Duration {
        took * (self.0 - 1)
    }
}

/// Every source of texts.
pub const MATERIAL: &[MaterialSource] = &[
    DOCUMENT,
    azure_devops::WORK_ITEM,
    azure_devops::PULL_REQUEST,
    cluster::OBJECT,
    cluster::EVENT,
    incident::INCIDENT,
];

/// Documents.
const DOCUMENT: MaterialSource = MaterialSource {
    name: "document",
    doc: "Documents of folders, wikis and repositories.",
    tables: &["document"],
    sql: r#"SELECT tenant,
       replace(replace(origin, '%', '%25'), ':', '%3A') || ':' || replace(replace("ref", '%', '%25'), ':', '%3A') || ':' || path AS key,
       _seq AS seq, title, path, uri, text, document_format AS format, language, acl, content_hash, version,
       CASE WHEN document_format = 'html' THEN outline END AS outline
FROM document"#,
    pace: Pace::SOON,
    is_written: true,
};

/// One text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Material {
    /// Whose it is.
    pub tenant: String,
    /// Name of its source.
    pub source: &'static str,
    /// What tells it from every other of its tenant: source and key.
    pub document: String,
    /// Its title.
    pub title: String,
    /// Its path within where it comes from.
    pub path: String,
    /// Where it lies.
    pub uri: Option<String>,
    /// The text.
    pub text: String,
    /// Its format, where the source knows it.
    pub format: Option<String>,
    /// Its language, where the source knows it.
    pub language: Option<String>,
    /// Its headings, as JSON, where the text does not show them.
    pub outline: Option<String>,
    /// The groups that may see it, as JSON.
    pub acl: Option<String>,
    /// Hash of its content.
    pub content_hash: Option<String>,
    /// Its version.
    pub version: Option<i64>,
    /// `_seq` of its row.
    pub seq: i64,
}

impl Material {
    /// Its chunks.
    pub fn chunks(&self, budget: &Budget, tokens: &dyn Fn(&str) -> usize) -> Vec<Chunk> {
        // Of HTML the table holds what a reader sees, not its source.
        let seen = self.format.as_deref() == Some("html");
        let kind = if seen { ChunkKind::Text } else { ChunkKind::of(self.format.as_deref(), &self.path) };
        let source =
            Source { kind, path: &self.path, title: &self.title, text: &self.text, language: self.language.as_deref() };
        let outline: Option<Vec<Outlined>> = self.outline.as_deref().and_then(|json| serde_json::from_str(json).ok());
        match outline.filter(|_| seen) {
            Some(outline) => chunks_by_outline(&source, &outline, budget, tokens),
            None => chunks(&source, budget, tokens),
        }
    }
}

/// A text's place, without the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Whose it is.
    pub tenant: String,
    /// Source and key.
    pub document: String,
}

/// The name of a document of a source.
fn document(source: &MaterialSource, key: &str) -> String {
    format!("{}:{key}", source.name)
}

/// Every text of a source with the `seq` of its row. The texts themselves are not read.
pub async fn places(store: &Store, source: &MaterialSource) -> Result<HashMap<Place, i64>> {
    let sql = format!("SELECT tenant, key, seq FROM ({}) AS material WHERE key IS NOT NULL", source.sql);
    let mut places = HashMap::new();
    for batch in ask(store, &reader(), &sql, &[]).await? {
        let cells = Cells::of(&batch)?;
        for row in 0..cells.len() {
            let place = Place {
                tenant: cells.required("tenant", row)?.to_owned(),
                document: document(source, cells.required("key", row)?),
            };
            let seq = cells.number("seq", row).unwrap_or(0);
            // A key that comes twice is one text: the newer row.
            places.entry(place).and_modify(|known: &mut i64| *known = seq.max(*known)).or_insert(seq);
        }
    }
    Ok(places)
}

/// The texts at these places, by what their rows' `seq` is. What changed meanwhile is left out: the next look finds it.
pub async fn fetch(store: &Store, source: &'static MaterialSource, wanted: &[(Place, i64)]) -> Result<Vec<Material>> {
    let mut found = Vec::with_capacity(wanted.len());
    for part in wanted.chunks(FETCHED_TOGETHER) {
        let seqs: Vec<String> = part.iter().map(|(_, seq)| seq.to_string()).collect();
        let sql = format!("SELECT * FROM ({}) AS material WHERE seq IN ({})", source.sql, seqs.join(", "));
        for batch in ask(store, &reader(), &sql, &[]).await? {
            let cells = Cells::of(&batch)?;
            for row in 0..cells.len() {
                let material = read(source, &cells, row)?;
                found.extend(material.filter(|found| {
                    part.iter().any(|(place, seq)| {
                        *seq == found.seq && place.document == found.document && place.tenant == found.tenant
                    })
                }));
            }
        }
    }
    Ok(found)
}

fn read(source: &'static MaterialSource, cells: &Cells, row: usize) -> Result<Option<Material>> {
    let Some(key) = cells.text("key", row) else { return Ok(None) };
    let text = cells.text("text", row).unwrap_or_default();
    let owned = |column| cells.text(column, row).map(str::to_owned);
    Ok(Some(Material {
        tenant: cells.required("tenant", row)?.to_owned(),
        source: source.name,
        document: document(source, key),
        title: owned("title").unwrap_or_default(),
        path: owned("path").unwrap_or_default(),
        uri: owned("uri"),
        text: shown::text(cells.text("format", row), text).into_owned(),
        format: owned("format"),
        language: owned("language"),
        outline: owned("outline"),
        acl: owned("acl"),
        content_hash: owned("content_hash"),
        version: cells.number("version", row),
        seq: cells.number("seq", row).ok_or_else(|| Error::new(Kind::Internal, "a source of texts has no seq"))?,
    }))
}

/// The index reads for every tenant; who asks it sees his own.
pub fn reader() -> Scope {
    Scope::platform("index")
}
