//! The vectors of one model: what the store keeps of them, and the index over those of the chunks that are searchable now. A
//! chunk whose input was embedded before, for whomever, costs nothing.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::fault::{Point, reached};
use engine::{Embedder, Error, Frame, Kind, Limits, Purpose, Question, Result, Rows, Store, Table, Value};
use futures::TryStreamExt;
use parking_lot::{Mutex, RwLock};
use roaring::RoaringTreemap;

use super::passages::{Passages, Words};
use super::shelf::{Hash, Shelf};
use crate::chunk;
use crate::fuse::{ModelTraits, vector_unit};
use crate::material::reader;
use crate::stored::{Cells, ask, table_of};
use crate::text::Hit;
use crate::vector::{VectorIndex, VectorSettings};

/// Texts that a model gets at once.
const EMBEDDED_TOGETHER: usize = 64;
/// Rows that go into the graph while searches wait.
const TENDED_TOGETHER: usize = 128;
/// Hashes that are looked up with one question.
const LOOKED_UP_MAX: usize = 512;

/// Inputs by whose vectors the spread of a model is told.
const SPREAD_INPUTS: usize = 128;

/// How far the model spreads texts, by some of those that are there.
#[derive(Debug, Default)]
struct Spread {
    /// Changes of the index when it was looked at.
    changes: u64,
    inputs: Vec<Hash>,
    value: Option<f32>,
}

/// The vectors of one model.
pub struct Space {
    embedder: Arc<dyn Embedder>,
    width: usize,
    table: &'static Table,
    padded: usize,
    vectors: RwLock<VectorIndex>,
    /// Chunks whose vector is in the index.
    having: RwLock<RoaringTreemap>,
    /// Inputs whose vector the store keeps.
    stored: Mutex<HashSet<Hash>>,
    file: PathBuf,
    read_inputs: AtomicU64,
    /// How often a vector came or went.
    changes: AtomicU64,
    spread: Mutex<Spread>,
    /// Held while chunks are embedded: two would embed the same.
    filling: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Space").field("model", &self.model()).finish_non_exhaustive()
    }
}

/// An input that lacks a vector.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Whose it is; the row of its vector is theirs.
    pub tenant: String,
    /// What the model reads.
    pub input: String,
}

impl Space {
    /// The model's vectors, as far as the store keeps them. `known` says that the folder's files are of this store.
    pub async fn open(
        store: &Store,
        embedder: Arc<dyn Embedder>,
        shelf: &RwLock<Shelf>,
        dir: &Path,
        known: bool,
    ) -> Result<Space> {
        let width = embedder.width();
        let (table, padded) = table_of(width)?;
        let file = dir.join(format!("vectors-{}", chunk::hash(embedder.model())));
        let loaded = known.then(|| VectorIndex::load(&file, VectorSettings::default()).ok()).flatten();
        let vectors = loaded.filter(|loaded| loaded.width() == width);
        let space = Space {
            embedder,
            width,
            table,
            padded,
            vectors: RwLock::new(vectors.unwrap_or_else(|| VectorIndex::new(width, VectorSettings::default()))),
            having: RwLock::default(),
            stored: Mutex::default(),
            file,
            read_inputs: AtomicU64::new(0),
            changes: AtomicU64::new(1),
            spread: Mutex::default(),
            filling: tokio::sync::Mutex::new(()),
        };
        space.keep_only(shelf);
        space.read(store, shelf).await?;
        space.vectors.write().tend();
        Ok(space)
    }

    /// The model's name.
    pub fn model(&self) -> &str {
        self.embedder.model()
    }

    /// The model.
    pub fn embedder(&self) -> &Arc<dyn Embedder> {
        &self.embedder
    }

    /// Lets go of vectors of chunks that are gone, and notes whose are there.
    fn keep_only(&self, shelf: &RwLock<Shelf>) {
        let shelf = shelf.read();
        let (mut vectors, mut having) = (self.vectors.write(), self.having.write());
        let held: RoaringTreemap = vectors.ids().collect();
        (&held - shelf.live()).iter().for_each(|gone| vectors.remove(gone));
        *having = held & shelf.live();
    }

    /// Reads what the store keeps: which inputs, and the vectors of chunks that lack theirs.
    async fn read(&self, store: &Store, shelf: &RwLock<Shelf>) -> Result<()> {
        let lacking = !self.missing(shelf).is_empty();
        let columns = if lacking { "hash, vector" } else { "hash" };
        let sql = format!("SELECT {columns} FROM {} WHERE model = $1", self.table.name);
        let question = Question { sql, params: vec![self.model().to_owned()] };
        let limits = Limits { rows_max: usize::MAX, ..Limits::default() };
        let mut rows = store.query(&reader(), question, limits).await?.stream;
        while let Some(batch) = rows.try_next().await.map_err(engine::sql::session::from_datafusion)? {
            let cells = Cells::of(&batch)?;
            for row in 0..cells.len() {
                let Some(hash) = hash_of(cells.required("hash", row)?) else { continue };
                self.stored.lock().insert(hash);
                if let Some(vector) = cells.vector("vector", row, self.width) {
                    self.put(shelf, &hash, &vector);
                }
            }
        }
        Ok(())
    }

    /// Gives a vector to every chunk of this input that is searchable now.
    pub fn put(&self, shelf: &RwLock<Shelf>, hash: &Hash, vector: &[f32]) {
        // Both locks, so that a chunk that goes meanwhile takes its vector along.
        let shelf = shelf.read();
        let (mut vectors, mut having) = (self.vectors.write(), self.having.write());
        for id in shelf.of_hash(hash) {
            if having.insert(*id) {
                vectors.add(*id, vector);
            }
        }
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// What the fusion wants to know of the model. A model that is not known by name is known by its vectors: by those of the
    /// inputs with the smallest hashes, so that the same texts tell the same, however they came.
    pub fn traits(&self, shelf: &RwLock<Shelf>) -> ModelTraits<'_> {
        let name = self.model();
        let spread = if vector_unit(name).is_some() { None } else { self.spread(shelf) };
        ModelTraits { name, spread }
    }

    fn spread(&self, shelf: &RwLock<Shelf>) -> Option<f32> {
        let changes = self.changes.load(Ordering::Acquire);
        if self.spread.lock().changes == changes {
            return self.spread.lock().value;
        }
        let shelf = shelf.read();
        let vectors = self.vectors.read();
        let held = |hash: &Hash| shelf.of_hash(hash).iter().copied().find(|id| vectors.contains(*id));
        let mut inputs: Vec<Hash> = shelf.hashes().filter(|hash| held(hash).is_some()).copied().collect();
        if inputs.len() > SPREAD_INPUTS {
            inputs.select_nth_unstable(SPREAD_INPUTS);
            inputs.truncate(SPREAD_INPUTS);
        }
        inputs.sort_unstable();
        let mut known = self.spread.lock();
        if known.inputs != inputs {
            known.value = vectors.spread(&inputs.iter().filter_map(held).collect::<Vec<_>>());
            known.inputs = inputs;
        }
        known.changes = changes;
        known.value
    }

    /// Chunks without a vector.
    pub fn missing(&self, shelf: &RwLock<Shelf>) -> RoaringTreemap {
        shelf.read().live() - &*self.having.read()
    }

    /// Chunks with a vector.
    pub fn len(&self) -> u64 {
        self.having.read().len()
    }

    /// Whether a chunk has a vector.
    pub fn has(&self, id: u64) -> bool {
        self.having.read().contains(id)
    }

    /// Takes chunks out that are gone.
    pub fn remove(&self, ids: &[u64]) {
        let (mut vectors, mut having) = (self.vectors.write(), self.having.write());
        for id in ids {
            vectors.remove(*id);
            having.remove(*id);
        }
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Gives up to `most` chunks their vectors, the newest first.
    pub async fn fill(&self, store: &Store, shelf: &RwLock<Shelf>, passages: &Passages, most: usize) -> Result<()> {
        let _one_at_a_time = self.filling.lock().await;
        let mut wanted = self.wanted(shelf, passages, most)?;
        let known: Vec<Hash> = wanted.keys().filter(|hash| self.stored.lock().contains(*hash)).copied().collect();
        for (hash, vector) in self.vectors_of(store, &known).await? {
            self.put(shelf, &hash, &vector);
            wanted.remove(&hash);
        }
        let wanted: Vec<(Hash, Wanted)> = wanted.into_iter().collect();
        for part in wanted.chunks(EMBEDDED_TOGETHER) {
            let vectors = self.embed(store, part).await?;
            for ((hash, _), vector) in part.iter().zip(&vectors) {
                self.put(shelf, hash, vector);
            }
        }
        while self.vectors.write().tend_some(TENDED_TOGETHER) {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// The vectors of inputs that are about to be searchable: those that the store keeps, or `all`.
    pub async fn prepare(
        &self,
        store: &Store,
        inputs: &BTreeMap<Hash, Wanted>,
        all: bool,
    ) -> Result<Vec<(Hash, Vec<f32>)>> {
        let known: Vec<Hash> = inputs.keys().filter(|hash| self.stored.lock().contains(*hash)).copied().collect();
        let mut found = self.vectors_of(store, &known).await?;
        if all {
            let _one_at_a_time = self.filling.lock().await;
            let kept: HashSet<Hash> = found.iter().map(|(hash, _)| *hash).collect();
            let lacking = inputs.iter().filter(|(hash, _)| !kept.contains(*hash));
            let lacking: Vec<(Hash, Wanted)> = lacking.map(|(hash, wanted)| (*hash, wanted.clone())).collect();
            for part in lacking.chunks(EMBEDDED_TOGETHER) {
                let vectors = self.embed(store, part).await?;
                found.extend(part.iter().map(|(hash, _)| *hash).zip(vectors));
            }
        }
        Ok(found)
    }

    /// Has inputs read by the model, and keeps their vectors in the store.
    async fn embed(&self, store: &Store, part: &[(Hash, Wanted)]) -> Result<Vec<Vec<f32>>> {
        let inputs: Vec<&str> = part.iter().map(|(_, wanted)| wanted.input.as_str()).collect();
        let vectors = self.embedder.embed(&inputs, Purpose::Passage).await?;
        if vectors.len() != part.len() || vectors.iter().any(|vector| vector.len() != self.width) {
            let why = format!("the model {} answered vectors of another number or width", self.model());
            return Err(Error::new(Kind::Unavailable, why));
        }
        self.keep(store, part, &vectors).await?;
        self.read_inputs.fetch_add(part.len() as u64, Ordering::Relaxed);
        reached(Point::EmbeddingKept);
        Ok(vectors)
    }

    /// Inputs that the model has read.
    pub fn read_inputs(&self) -> u64 {
        self.read_inputs.load(Ordering::Relaxed)
    }

    /// Chunks that lack a vector, by input.
    fn wanted(&self, shelf: &RwLock<Shelf>, passages: &Passages, most: usize) -> Result<BTreeMap<Hash, Wanted>> {
        let missing = self.missing(shelf);
        let shelf = shelf.read();
        let mut wanted: BTreeMap<Hash, Wanted> = BTreeMap::new();
        for id in missing.iter().rev().take(most) {
            let Some(slot) = shelf.slot(id) else { continue };
            if wanted.contains_key(&slot.hash) {
                continue;
            }
            let held = shelf.held(slot);
            let Words { heading, prefix, text } = passages.read(slot.spot)?;
            let input = chunk::input(&held.about.title, &heading, &prefix, &text);
            wanted.insert(slot.hash, Wanted { tenant: held.place.tenant.clone(), input });
        }
        Ok(wanted)
    }

    async fn look_up(&self, store: &Store, hashes: &[Hash]) -> Result<Vec<(Hash, Vec<f32>)>> {
        let names: Vec<String> = hashes.iter().map(|hash| format!("'{}'", hex::encode(hash))).collect();
        let table = self.table.name;
        let sql = format!("SELECT hash, vector FROM {table} WHERE model = $1 AND hash IN ({})", names.join(", "));
        let mut found = Vec::new();
        for batch in ask(store, &reader(), &sql, &[self.model()]).await? {
            let cells = Cells::of(&batch)?;
            for row in 0..cells.len() {
                let hash = hash_of(cells.required("hash", row)?);
                found.extend(hash.zip(cells.vector("vector", row, self.width)));
            }
        }
        Ok(found)
    }

    /// Writes vectors into the store.
    async fn keep(&self, store: &Store, part: &[(Hash, Wanted)], vectors: &[Vec<f32>]) -> Result<()> {
        let mut rows = Rows::new(self.table);
        for ((hash, wanted), vector) in part.iter().zip(vectors) {
            let mut padded = vector.clone();
            padded.resize(self.padded, 0.0);
            rows.set("tenant", wanted.tenant.as_str())
                .set("model", self.model())
                .set("hash", hex::encode(hash))
                .set("width", i64::try_from(self.width).unwrap_or(i64::MAX))
                .set("vector", Value::Vector(padded));
            rows.end_row()?;
        }
        let mut frame = Frame::new("index");
        frame.push_rows(&mut rows);
        store.append(frame).await?;
        self.stored.lock().extend(part.iter().map(|(hash, _)| *hash));
        Ok(())
    }

    /// The vector of a question.
    pub async fn question(&self, query: &str) -> Result<Vec<f32>> {
        let mut vectors = self.embedder.embed(&[query], Purpose::Query).await?;
        let vector = vectors.pop().filter(|vector| vector.len() == self.width);
        vector.ok_or_else(|| Error::new(Kind::Unavailable, format!("the model {} gave no vector", self.model())))
    }

    /// The nearest chunks.
    pub fn search(&self, vector: &[f32], k: usize, allowed: Option<&RoaringTreemap>) -> Vec<Hit> {
        self.vectors.read().search(vector, k, allowed)
    }

    /// The vectors of some inputs, of those that the store keeps.
    pub async fn vectors_of(&self, store: &Store, hashes: &[Hash]) -> Result<Vec<(Hash, Vec<f32>)>> {
        let mut found = Vec::with_capacity(hashes.len());
        for part in hashes.chunks(LOOKED_UP_MAX) {
            found.extend(self.look_up(store, part).await?);
        }
        Ok(found)
    }

    /// Writes the index beside the store, so that the next start need not build it.
    pub fn save(&self) -> Result<()> {
        self.vectors.read().save(&self.file)
    }

    /// Deletes the model's rows from the store and its file; answers how many rows.
    pub async fn drop(store: &Store, dir: &Path, model: &str) -> Result<u64> {
        let mut dropped = 0;
        for table in crate::stored::TABLES.iter().filter(|table| table.name.starts_with("embedding")) {
            let sql = format!("SELECT tenant, hash FROM {} WHERE model = $1", table.name);
            for batch in ask(store, &reader(), &sql, &[model]).await? {
                let cells = Cells::of(&batch)?;
                let mut rows = Rows::new(table);
                for row in 0..cells.len() {
                    rows.set("tenant", cells.required("tenant", row)?)
                        .set("model", model)
                        .set("hash", cells.required("hash", row)?);
                    rows.end_delete()?;
                }
                dropped += rows.len() as u64;
                let mut frame = Frame::new("index");
                frame.push_rows(&mut rows);
                if !frame.batches.is_empty() {
                    store.append(frame).await?;
                }
            }
        }
        let file = dir.join(format!("vectors-{}", chunk::hash(model)));
        if file.exists() {
            std::fs::remove_file(&file).map_err(|e| Error::unavailable("delete a model's vectors", e))?;
        }
        Ok(dropped)
    }
}

/// A hash from its text.
pub fn hash_of(text: &str) -> Option<Hash> {
    let mut hash = [0; 16];
    hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
}
