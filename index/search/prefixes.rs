//! What a model writes in front of chunks. Words and vectors do not wait for it: a text is searchable as it is, and once more
//! when its chunks were placed, all of them in one moment and with their vectors made before. What the model said is a row of
//! `chunk_prefix` first, and passes the redactor there; only what can be read back from it goes in front of a chunk.
//!
//! A model that fails keeps nobody waiting but the chunks that lack its words: it is asked again after a pause, and the
//! status says how many they are. A question that is refused (too long, or against somebody's rules) by a model that
//! answers others leaves its chunk without a prefix, as an answer without words does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::{Error, Frame, Result, Rows, Store};
use parking_lot::{Mutex, RwLock};
use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};

use super::Searcher;
use super::follow::{Cut, cut, place_of};
use super::shelf::Shelf;
use super::space::hash_of;
use super::status::IndexStatus;
use crate::chunk::Chunk;
use crate::material::{self, MATERIAL, Material, MaterialSource, Place, reader};
use crate::prefix::writer::{ASKED_TOGETHER, Written};
use crate::prefix::{Asked, Writer};
use crate::stored::{CHUNK_PREFIX, Cells, ask};

/// Texts that are fetched to be placed.
const TEXTS_A_STEP: usize = 4;
/// Keys that are looked up with one question.
const LOOKED_UP_MAX: usize = 512;
/// Nobody of a tenant reads what is kept: who may see a document changes, and these rows do not.
const NOBODY: &str = "[]";

/// What is wished of prefixes.
#[derive(Debug, Clone, Default)]
pub enum PrefixWish {
    /// Those that are there stay; new texts get none.
    #[default]
    Keep,
    /// They are taken out again.
    TakeOut,
    /// Every chunk that stands beside others of a text that somebody wrote gets one.
    Write(Arc<Writer>),
}

/// How far they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixStatus {
    /// The model that is asked; none where nobody is.
    pub model: Option<String>,
    /// Chunks that have a prefix.
    pub written: u64,
    /// Chunks for which the model had none.
    pub without: u64,
    /// Chunks that wait for theirs, or for being rid of it.
    pub waiting: u64,
    /// Why the last attempt failed, if it did.
    pub failed: Option<String>,
}

/// What a process knows of prefixes.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    wish: RwLock<PrefixWish>,
    /// Chunks leave room for a prefix.
    roomy: AtomicBool,
    /// What the model said is known.
    spoke: AtomicBool,
    failed: Mutex<Option<String>>,
}

/// What is kept under a key.
struct Found {
    documents: HashSet<String>,
    prefix: Option<String>,
}

impl Prefixes {
    /// Whether chunks leave room for one.
    pub(super) fn roomy(&self) -> bool {
        self.roomy.load(Ordering::Relaxed)
    }

    fn writer(&self) -> Option<Arc<Writer>> {
        match &*self.wish.read() {
            PrefixWish::Write(writer) => Some(Arc::clone(writer)),
            PrefixWish::Keep | PrefixWish::TakeOut => None,
        }
    }

    /// Chunks that are not as they are wished.
    fn waiting(&self, shelf: &Shelf) -> RoaringTreemap {
        match &*self.wish.read() {
            PrefixWish::Keep => RoaringTreemap::new(),
            PrefixWish::TakeOut => shelf.placed(),
            PrefixWish::Write(writer) => {
                let mut waiting = shelf.unplaced(writer.name());
                for source in MATERIAL.iter().filter(|source| !source.is_written) {
                    waiting -= shelf.of_material(source.name);
                }
                waiting
            }
        }
    }

    /// How far they are; `None` where there are none and nobody wants any.
    pub(super) fn status(&self, shelf: &Shelf) -> Option<PrefixStatus> {
        let writer = self.writer();
        let asked = writer.as_ref().map_or_else(|| shelf.placed(), |writer| shelf.placed_by(writer.name()));
        if writer.is_none() && asked.is_empty() {
            return None;
        }
        let has = |id: &u64| shelf.slot(*id).is_some_and(|slot| slot.spot.is_placed());
        let written = asked.iter().filter(has).count() as u64;
        Some(PrefixStatus {
            model: writer.map(|writer| writer.name().to_owned()),
            written,
            without: asked.len() - written,
            waiting: self.waiting(shelf).len(),
            failed: self.failed.lock().clone(),
        })
    }
}

impl Searcher {
    /// What is wished of prefixes from now on. Before anything is cut.
    pub async fn wish_prefixes(&self, wish: PrefixWish) -> Result<()> {
        let prefixes = &self.prefixes;
        let (mut roomy, mut spoke) = (false, false);
        match &wish {
            PrefixWish::Keep => roomy = !self.shelf.read().placed().is_empty(),
            PrefixWish::TakeOut => {}
            PrefixWish::Write(writer) => {
                let sql = format!("SELECT hash FROM {} WHERE model = $1 LIMIT 1", CHUNK_PREFIX.name);
                let rows = ask(&self.store, &reader(), &sql, &[writer.name()]).await?;
                (roomy, spoke) = (true, rows.iter().any(|rows| rows.num_rows() > 0));
            }
        }
        prefixes.roomy.store(roomy, Ordering::Relaxed);
        prefixes.spoke.store(spoke, Ordering::Relaxed);
        *prefixes.wish.write() = wish;
        Ok(())
    }

    /// Places the chunks of some texts, or takes prefixes out of them; says whether more wait.
    pub async fn place_some(&self) -> Result<bool> {
        let placed = self.place_texts().await;
        *self.prefixes.failed.lock() = placed.as_ref().err().map(ToString::to_string);
        placed
    }

    /// Places every chunk, telling how far it is. Everything else is done before; a model that fails ends it with an error.
    pub async fn place_all(&self, tell: &mut (dyn FnMut(&IndexStatus) + Send)) -> Result<()> {
        loop {
            let more = self.place_some().await?;
            tell(&self.status());
            if !more {
                return Ok(());
            }
        }
    }

    async fn place_texts(&self) -> Result<bool> {
        let Some((source, texts)) = self.unplaced_texts() else { return Ok(false) };
        // What changed meanwhile is not among them; it is cut anew, and comes again.
        let found = material::fetch(&self.store, source, &texts).await?;
        let any = !found.is_empty();
        for text in found {
            self.place_text(text).await?;
        }
        Ok(any && !self.prefixes.waiting(&self.shelf.read()).is_empty())
    }

    /// Texts of one source that have chunks to be placed, those of the newest first.
    fn unplaced_texts(&self) -> Option<(&'static MaterialSource, Vec<(Place, i64)>)> {
        let shelf = self.shelf.read();
        let mut source: Option<&'static MaterialSource> = None;
        let mut texts: Vec<(Place, i64)> = Vec::new();
        for id in self.prefixes.waiting(&shelf).iter().rev() {
            let Some(held) = shelf.slot(id).map(|slot| shelf.held(slot)) else { continue };
            let of = MATERIAL.iter().find(|source| source.name == held.about.material);
            let Some(of) = of.filter(|of| source.is_none_or(|source| source.name == of.name)) else { continue };
            source = Some(of);
            if !texts.iter().any(|(place, _)| *place == held.place) {
                texts.push((held.place.clone(), held.about.seq));
            }
            if texts.len() == TEXTS_A_STEP {
                break;
            }
        }
        source.map(|source| (source, texts))
    }

    /// Puts a text in place of itself, with what places its chunks. Vectors are made before, so that a chunk is never without.
    async fn place_text(&self, text: Material) -> Result<()> {
        let (place, seq) = (place_of(&text), text.seq);
        let cutting = self.cutting();
        let cut = tokio::task::spawn_blocking(move || cut(text, &cutting));
        let mut cuts = [cut.await.map_err(|e| Error::unavailable("cut a text", e))?];
        if let Some(writer) = self.prefixes.writer() {
            self.ask_for_prefixes(&writer, &cuts[0]).await?;
        }
        self.put_known_prefixes(&mut cuts).await?;
        self.vectors_of(&cuts, true).await?;
        let _alone = self.followed.lock().await;
        let same = self.shelf.read().at(&place).is_some_and(|held| held.about.seq == seq);
        match same {
            true => self.put(&cuts, &[], false).await,
            false => Ok(()),
        }
    }

    /// Asks for what is not kept of a text's prefixes, and keeps it. What was said before a failure is kept, too.
    async fn ask_for_prefixes(&self, writer: &Writer, cut: &Cut) -> Result<()> {
        let Some(keys) = keys(writer, cut) else { return Ok(()) };
        let known = look_up(&self.store, writer, &keys).await?;
        let mut seen = HashSet::new();
        let lacking = keys.iter().zip(&cut.chunks).filter(|(key, _)| !known.contains_key(*key) && seen.insert(*key));
        let lacking: Vec<(&String, Asked<'_>)> =
            lacking.map(|(key, (chunk, _))| (key, asked(&cut.material, chunk))).collect();
        for group in lacking.chunks(ASKED_TOGETHER) {
            let questions: Vec<Asked<'_>> = group.iter().map(|(_, asked)| *asked).collect();
            let (mut rows, mut failed) = (Rows::new(&CHUNK_PREFIX), None);
            let (mut refused, mut spoke) = (Vec::new(), self.prefixes.spoke.load(Ordering::Relaxed));
            for ((key, _), written) in group.iter().zip(writer.write(&questions).await) {
                match written {
                    Written::Said(prefix) => {
                        spoke = true;
                        keep(&mut rows, &cut.material, writer, key, prefix.as_deref())?;
                    }
                    Written::Refused(error) => refused.push((*key, error)),
                    Written::Failed(error) => failed = Some(error),
                }
            }
            for (key, error) in refused {
                // A model that answered nothing yet is asked in a wrong way, rather than for a wrong thing.
                if !spoke {
                    failed = Some(error);
                    continue;
                }
                tracing::warn!(%error, document = cut.material.document, "a chunk goes without a prefix");
                keep(&mut rows, &cut.material, writer, key, None)?;
            }
            self.prefixes.spoke.store(spoke, Ordering::Relaxed);
            append(&self.store, rows).await?;
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Puts what is kept in front of the chunks of texts that were just cut.
    pub(super) async fn put_known_prefixes(&self, cuts: &mut [Cut]) -> Result<()> {
        let Some(writer) = self.prefixes.writer() else { return Ok(()) };
        let all: Vec<Option<Vec<String>>> = cuts.iter().map(|cut| keys(&writer, cut)).collect();
        let known = look_up(&self.store, &writer, &all.iter().flatten().flatten().cloned().collect::<Vec<_>>()).await?;
        let mut rows = Rows::new(&CHUNK_PREFIX);
        for (cut, keys) in cuts.iter_mut().zip(&all) {
            let Some(keys) = keys else { continue };
            let mut copied: HashSet<&String> = HashSet::new();
            for ((chunk, hash), key) in cut.chunks.iter_mut().zip(keys) {
                let Some(found) = known.get(key) else { continue };
                // Who erases a document finds what was said about it by its name.
                if !found.documents.contains(&cut.material.document) && copied.insert(key) {
                    keep(&mut rows, &cut.material, &writer, key, found.prefix.as_deref())?;
                }
                let prefix = found.prefix.as_deref().unwrap_or_default();
                *chunk = chunk.clone().placed(&cut.material.title, prefix, writer.name());
                *hash = hash_of(&chunk.hash).expect("a chunk's hash has 16 bytes");
            }
        }
        append(&self.store, rows).await
    }

    /// Deletes what a model said from the store; chunks that have it keep it until they are cut anew. Answers how many rows.
    pub(super) async fn drop_prefixes(&self, model: &str) -> Result<u64> {
        let mut dropped = 0;
        let sql = format!("SELECT tenant, document, hash FROM {} WHERE model = $1", CHUNK_PREFIX.name);
        for batch in ask(&self.store, &reader(), &sql, &[model]).await? {
            let cells = Cells::of(&batch)?;
            let mut rows = Rows::new(&CHUNK_PREFIX);
            for row in 0..cells.len() {
                rows.set("tenant", cells.required("tenant", row)?)
                    .set("document", cells.required("document", row)?)
                    .set("hash", cells.required("hash", row)?);
                rows.end_delete()?;
            }
            dropped += rows.len() as u64;
            append(&self.store, rows).await?;
        }
        Ok(dropped)
    }
}

/// The keys of a text's chunks; `None` where there is nothing to be placed: one chunk is all there is, or nobody wrote it.
fn keys(writer: &Writer, cut: &Cut) -> Option<Vec<String>> {
    let keys = cut.chunks.iter().map(|(chunk, _)| writer.key(&asked(&cut.material, chunk)));
    let is_written = MATERIAL.iter().any(|source| source.name == cut.material.source && source.is_written);
    (is_written && cut.chunks.len() > 1).then(|| keys.collect())
}

fn asked<'a>(material: &'a Material, chunk: &'a Chunk) -> Asked<'a> {
    Asked {
        tenant: &material.tenant,
        title: &material.title,
        document: &material.text,
        heading: &chunk.heading,
        chunk: &chunk.text,
        start: chunk.start,
    }
}

/// What is kept under these keys.
async fn look_up(store: &Store, writer: &Writer, keys: &[String]) -> Result<HashMap<String, Found>> {
    let mut known: HashMap<String, Found> = HashMap::new();
    for part in keys.chunks(LOOKED_UP_MAX) {
        let names: Vec<String> = part.iter().map(|key| format!("'{key}'")).collect();
        let table = CHUNK_PREFIX.name;
        let sql =
            format!("SELECT document, hash, prefix FROM {table} WHERE model = $1 AND hash IN ({})", names.join(", "));
        for batch in ask(store, &reader(), &sql, &[writer.name()]).await? {
            let cells = Cells::of(&batch)?;
            for row in 0..cells.len() {
                let prefix = || cells.text("prefix", row).map(str::to_owned);
                let found = known
                    .entry(cells.required("hash", row)?.to_owned())
                    .or_insert_with(|| Found { documents: HashSet::new(), prefix: prefix() });
                found.documents.insert(cells.required("document", row)?.to_owned());
            }
        }
    }
    Ok(known)
}

fn keep(rows: &mut Rows, material: &Material, writer: &Writer, key: &str, prefix: Option<&str>) -> Result<()> {
    rows.set("tenant", material.tenant.as_str())
        .set("document", material.document.as_str())
        .set("hash", key)
        .set("model", writer.name())
        .set("prefix", prefix.map(str::to_owned))
        .set("acl", NOBODY);
    rows.end_row()
}

async fn append(store: &Store, mut rows: Rows) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut frame = Frame::new("index");
    frame.push_rows(&mut rows);
    store.append(frame).await.map(|_| ())
}
