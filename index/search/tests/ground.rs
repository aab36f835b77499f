//! A store with documents, and an index over it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use engine::arrow::util::display::{ArrayFormatter, FormatOptions};
use engine::ports::{Cell, ColumnRedactor, Finding};
use engine::{
    Catalogue, Column, Embedder, Frame, NoRedaction, Ports, Redactor, Result, Rows, Scope, Settings, Store, Table,
    Type, WallClock,
};
use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::StdRng;

use crate::search::hashed::HashedEmbedder;
use crate::search::room::{Models, SearchRoom};
use crate::search::{Legs, SearchWish, Searcher, functions};
use crate::stored::{Cells, TABLES, ask};

/// As `ingest` declares it, as far as a search reads it.
static DOCUMENT: Table = Table {
    key: &["origin", "ref", "path"],
    time: "ingested_at",
    acl: Some("acl"),
    ..Table::new(
        "document",
        "Documents.",
        &[
            Column::new("tenant", Type::Name, "Tenant.").required(),
            Column::new("origin", Type::Text, "Origin.").required(),
            Column::new("ref", Type::Text, "Ref.").required(),
            Column::new("path", Type::Text, "Path.").required(),
            Column::new("uri", Type::Text, "Place."),
            Column::new("title", Type::Text, "Title.").required(),
            Column::new("document_format", Type::Name, "Format.").required(),
            Column::new("language", Type::Name, "Language."),
            Column::new("text", Type::Text, "Text.").required(),
            Column::new("content_hash", Type::Text, "Hash.").required(),
            Column::new("version", Type::Int, "Version.").required(),
            Column::new("acl", Type::Json, "Groups."),
            Column::new("outline", Type::Json, "Headings."),
        ],
    )
};

pub struct Ground {
    folder: tempfile::TempDir,
    pub store: Arc<Store>,
    room: Arc<SearchRoom>,
    texts: Mutex<HashMap<(String, String), (String, i64)>>,
}

/// Opens the hashed model of a width.
#[derive(Debug)]
struct Hashed(Option<usize>);

#[async_trait]
impl Models for Hashed {
    async fn open(&self, _: Option<&str>, _: Option<&str>) -> Result<Option<Arc<dyn Embedder>>> {
        Ok(embedder(self.0))
    }
}

fn embedder(width: Option<usize>) -> Option<Arc<dyn Embedder>> {
    width.map(|width| Arc::new(HashedEmbedder::new(width)) as Arc<dyn Embedder>)
}

/// Masks one name wherever it stands.
#[derive(Debug)]
pub struct Masking;

impl Redactor for Masking {
    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match text.contains("hunter2000") {
            true => Cow::Owned(text.replace("hunter2000", "***")),
            false => Cow::Borrowed(text),
        }
    }

    fn column<'a>(&'a self, _: &Table, column: &Column) -> Option<Box<dyn ColumnRedactor + 'a>> {
        matches!(column.kind, Type::Text).then(|| Box::new(Masking) as Box<dyn ColumnRedactor>)
    }
}

impl ColumnRedactor for Masking {
    fn redact(&self, text: &str, _: &mut Vec<Finding>) -> Option<Cell> {
        match Redactor::redact(self, text) {
            Cow::Owned(clean) => Some(Cell::Text(clean)),
            Cow::Borrowed(_) => None,
        }
    }
}

impl Ground {
    pub async fn new() -> Ground {
        Ground::with(Arc::new(NoRedaction)).await
    }

    /// With a redactor that masks one name.
    pub async fn redacting() -> Ground {
        Ground::with(Arc::new(Masking)).await
    }

    async fn with(redactor: Arc<dyn Redactor>) -> Ground {
        let folder = tempfile::tempdir().unwrap();
        let room = SearchRoom::new();
        let catalogue = Catalogue {
            tables: TABLES.iter().copied().chain([&DOCUMENT]).collect(),
            functions: functions::functions(&room),
            table_functions: functions::table_functions(&room),
            ..Catalogue::default()
        };
        let ports = Ports { clock: Arc::new(WallClock), redactor };
        let store = Store::open(Settings::new(folder.path()), catalogue, ports).await.unwrap();
        Ground { folder, store, room, texts: Mutex::default() }
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("index")
    }

    pub async fn searcher(&self, width: Option<usize>) -> Arc<Searcher> {
        Searcher::open(self.store.clone(), embedder(width), &self.dir()).await.unwrap()
    }

    /// An index of the same store in a folder of its own.
    pub async fn elsewhere(&self, width: Option<usize>) -> Arc<Searcher> {
        let dir = self.folder.path().join("elsewhere");
        Searcher::open(self.store.clone(), embedder(width), &dir).await.unwrap()
    }

    pub fn room(&self, width: Option<usize>) -> Arc<SearchRoom> {
        self.room.furnish(self.store.clone(), Arc::new(Hashed(width)));
        self.room.clone()
    }

    pub async fn put(&self, tenant: &str, path: &str, text: &str, acl: Option<&str>) {
        let version = {
            let mut texts = self.texts.lock();
            let known = texts.entry((tenant.to_owned(), path.to_owned())).or_default();
            *known = (text.to_owned(), known.1 + 1);
            known.1
        };
        let mut rows = Rows::new(&DOCUMENT);
        rows.set("tenant", tenant)
            .set("origin", "wiki")
            .set("ref", "")
            .set("path", path)
            .set("title", path.trim_end_matches(".md"))
            .set("document_format", "markdown")
            .set("text", text)
            .set("content_hash", crate::chunk::hash(text))
            .set("version", version)
            .set("acl", acl.map(str::to_owned));
        rows.end_row().unwrap();
        self.append(rows).await;
    }

    pub async fn delete(&self, tenant: &str, path: &str) {
        let mut rows = Rows::new(&DOCUMENT);
        rows.set("tenant", tenant).set("origin", "wiki").set("ref", "").set("path", path);
        rows.end_delete().unwrap();
        self.append(rows).await;
    }

    async fn append(&self, mut rows: Rows) {
        let mut frame = Frame::new("test");
        frame.push_rows(&mut rows);
        self.store.append(frame).await.unwrap();
    }

    pub fn text(&self, path: &str) -> String {
        self.texts.lock()[&("t".to_owned(), path.to_owned())].0.clone()
    }

    pub async fn newest_chunk(&self) -> u64 {
        let sql = "SELECT max(_seq) AS newest FROM chunk";
        let batches = ask(&self.store, &Scope::platform("p"), sql, &[]).await.unwrap();
        u64::try_from(Cells::of(&batches[0]).unwrap().number("newest", 0).unwrap()).unwrap()
    }

    /// The rows of an answer, cells apart by a space.
    pub async fn rows(&self, scope: &Scope, sql: &str) -> Result<Vec<String>> {
        let mut rows = Vec::new();
        for batch in ask(&self.store, scope, sql, &[]).await? {
            let options = FormatOptions::default();
            let cells: Vec<_> =
                batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
            for row in 0..batch.num_rows() {
                rows.push(cells.iter().map(|cell| cell.value(row).to_string()).collect::<Vec<_>>().join(" "));
            }
        }
        Ok(rows)
    }
}

const WORDS: &[&str] = &[
    "rotate",
    "key",
    "vault",
    "node",
    "pool",
    "drain",
    "budget",
    "month",
    "pipeline",
    "failed",
    "Knoten",
    "Schlüssel",
    "deploy",
    "cluster",
    "upgrade",
    "cost",
    "alert",
    "the",
    "a",
    "of",
];

pub fn words(dice: &mut StdRng, count: usize) -> String {
    (0..count).map(|_| WORDS[dice.random_range(0..WORDS.len())]).collect::<Vec<_>>().join(" ")
}

/// Some sections of Markdown; some of them empty, some the same as others.
pub fn text_of(dice: &mut StdRng) -> String {
    let section = |dice: &mut StdRng| {
        let (heading, length) = (words(dice, 2), dice.random_range(0..60));
        format!("# {heading}\n\n{}.\n\n", words(dice, length))
    };
    (0..dice.random_range(1..6)).map(|_| section(dice)).collect()
}

/// Everything that some questions find, as far as it does not name the row.
pub async fn ask_all(searcher: &Searcher) -> Vec<String> {
    let mut all = Vec::new();
    for query in ["rotate the key", "Knoten", "budget of a month", "\"node pool\"", "vault cluster upgrade cost"] {
        for legs in [Legs::Both, Legs::Text, Legs::Vector] {
            for groups in [vec![], vec!["ops".to_owned()]] {
                let scope = Scope::tenant("t", "p").in_groups(groups.clone());
                let found = searcher.search(&scope, &SearchWish { legs, ..SearchWish::new(query, 50) }).await.unwrap();
                let hit = |hit: &crate::search::SearchHit| {
                    format!("{} {} {} {} {:.5} {}", hit.path, hit.ordinal, hit.start, hit.heading, hit.score, hit.text)
                };
                all.push(format!("{query} {legs:?} {groups:?}"));
                all.extend(found.hits.iter().map(hit));
            }
        }
    }
    all
}
