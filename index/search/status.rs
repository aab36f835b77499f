//! How far the index is: what it covers, what waits, which models have their vectors.

use std::sync::atomic::{AtomicI64, Ordering};

use engine::Store;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::Searcher;
use super::prefixes::PrefixStatus;
use super::space::Space;
use crate::material::{MATERIAL, MaterialSource};

/// Figures of the work.
#[derive(Debug)]
pub(super) struct Progress {
    newest: AtomicI64,
    followed: Mutex<Vec<Looked>>,
    failed: Mutex<Option<String>>,
}

/// What is known of a source that is followed.
#[derive(Debug)]
struct Looked {
    source: &'static MaterialSource,
    /// Its tables' changes when it was last looked at; none before the first look.
    changes: Option<u64>,
    /// Its texts that wait.
    waiting: usize,
}

impl Progress {
    /// Of these sources, before the first look.
    pub(super) fn new(followed: impl Iterator<Item = &'static MaterialSource>) -> Progress {
        let of = |source| Looked { source, changes: None, waiting: 0 };
        Progress {
            newest: AtomicI64::new(0),
            followed: Mutex::new(followed.map(of).collect()),
            failed: Mutex::default(),
        }
    }

    /// A source was looked at when its tables had changed so often, and so many texts of it wait.
    pub(super) fn looked(&self, source: &MaterialSource, changes: u64, waiting: usize) {
        self.of(source, |looked| (looked.changes, looked.waiting) = (Some(changes), waiting));
    }

    /// So many texts of a source wait now.
    pub(super) fn wait(&self, source: &MaterialSource, waiting: usize) {
        self.of(source, |looked| looked.waiting = waiting);
    }

    fn of(&self, source: &MaterialSource, tell: impl FnOnce(&mut Looked)) {
        if let Some(looked) = self.followed.lock().iter_mut().find(|looked| looked.source.name == source.name) {
            tell(looked);
        }
    }

    pub(super) fn seen(&self, newest: i64) {
        self.newest.fetch_max(newest, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, error: Option<String>) {
        *self.failed.lock() = error;
    }

    /// The newest `_seq` of the sources that was seen.
    pub(super) fn covered(&self) -> u64 {
        u64::try_from(self.newest.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Texts that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.followed.lock().iter().map(|looked| looked.waiting as u64).sum()
    }

    /// Whether texts wait, or a source changed since it was looked at, or never was.
    pub(super) fn behind(&self, store: &Store) -> bool {
        let behind = |looked: &Looked| looked.waiting > 0 || looked.changes != Some(looked.source.changes(store));
        self.followed.lock().iter().any(behind)
    }
}

/// One source of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Its name.
    pub name: String,
    /// Texts of it that are searchable.
    pub documents: u64,
    /// Their chunks.
    pub chunks: u64,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceStatus {
    /// Its name.
    pub model: String,
    /// Chunks with a vector.
    pub embedded: u64,
    /// Chunks without one.
    pub missing: u64,
}

/// How far the index is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexStatus {
    /// The newest `_seq` among the sources' rows that were seen: what was written up to it is searchable, unless it waits.
    pub covered_seq: u64,
    /// Texts that wait to be cut.
    pub waiting_documents: u64,
    /// Whether texts wait, or a source changed and was not looked at yet.
    pub behind: bool,
    /// Texts that are searchable.
    pub documents: u64,
    /// Their chunks.
    pub chunks: u64,
    /// Different inputs among them.
    pub inputs: u64,
    /// Inputs that the models named here read since the start.
    pub embedded_inputs: u64,
    /// Bytes of the chunks' texts beside the memory, those that nobody reads any more among them.
    pub text_bytes: u64,
    /// Bytes of them that nobody reads any more.
    pub garbage_bytes: u64,
    /// The sources.
    pub sources: Vec<SourceStatus>,
    /// The model that questions use; none means full text only.
    pub active: Option<SpaceStatus>,
    /// The model that is being made ready.
    pub next: Option<SpaceStatus>,
    /// What a model writes in front of chunks, where it was asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefixes: Option<PrefixStatus>,
    /// Why the last attempt to follow the sources failed, if it did.
    pub failed: Option<String>,
}

impl Searcher {
    /// How far the index is.
    pub fn status(&self) -> IndexStatus {
        // First what waits: a chunk that came later lacks its vector below, and one that came before is counted there.
        let (behind, waiting_documents) = (self.progress.behind(&self.store), self.progress.waiting());
        let of = |space: &Space| SpaceStatus {
            model: space.model().to_owned(),
            embedded: space.len(),
            missing: space.missing(&self.shelf).len(),
        };
        let active = self.active.read().as_deref().map(of);
        let next = self.next.read().as_deref().map(of);
        let (text_bytes, garbage_bytes) = self.passages.size();
        let shelf = self.shelf.read();
        let source = |source: &MaterialSource| {
            let mine = || shelf.documents().filter(|held| held.about.material == source.name);
            SourceStatus {
                name: source.name.to_owned(),
                documents: mine().count() as u64,
                chunks: mine().map(|held| held.slots.len() as u64).sum(),
            }
        };
        IndexStatus {
            covered_seq: self.progress.covered(),
            waiting_documents,
            behind,
            documents: shelf.documents().count() as u64,
            chunks: shelf.live().len(),
            inputs: shelf.hashes().count() as u64,
            embedded_inputs: self.spaces().iter().map(|space| space.read_inputs()).sum(),
            text_bytes,
            garbage_bytes,
            sources: MATERIAL.iter().map(source).collect(),
            active,
            next,
            prefixes: self.prefixes.status(&shelf),
            failed: self.progress.failed.lock().clone(),
        }
    }
}
