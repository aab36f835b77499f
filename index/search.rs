//! Searching: what is on the shelf, found by words and by meaning, weighed against each other, and shown only to whom it may
//! be shown. Everything here is derived from the tables `chunk` and `embedding`; what a crash tore is filled anew.

mod as_of;
mod call;
mod candidates;
pub mod cutting;
pub mod erase;
mod follow;
pub mod functions;
pub mod hashed;
mod mark;
mod passages;
mod prefixes;
pub mod room;
mod shelf;
mod space;
mod status;
mod switch;
#[cfg(test)]
mod tests;
mod wish;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::facts::scan::admits;
use engine::{Embedder, Error, Kind, Limits, Question, Result, Scope, Store};
use futures::TryStreamExt;
use parking_lot::{Mutex, RwLock};
use roaring::RoaringTreemap;

use crate::fuse::{Fused, LegScore};
use crate::material::{Place, reader};
use crate::stored::{Cells, kind_of};
use crate::text::{Passage, TextIndex, TextKind};
pub use cutting::Cutting;
use follow::Followed;
use mark::Mark;
use passages::{Passages, Words};
use prefixes::Prefixes;
pub use prefixes::{PrefixStatus, PrefixWish};
use shelf::{Document, Put, Shelf, Slot};
use space::{Space, hash_of};
pub use status::{IndexStatus, SourceStatus, SpaceStatus};
pub use switch::remembered;
pub use wish::{Explained, Filters, Found, HITS_MAX, HitPart, LegPart, Legs, Moment, SearchHit, SearchWish};

/// Candidates that each way of searching names, for each hit that is wanted, and at least.
const CANDIDATES_TIMES: usize = 4;
const CANDIDATES_MIN: usize = 100;
/// Chunks that a model gets in one step.
const EMBEDDED_A_STEP: usize = 64;

/// The index of one store.
pub struct Searcher {
    store: Arc<Store>,
    dir: PathBuf,
    text: TextIndex,
    shelf: RwLock<Shelf>,
    passages: Passages,
    /// The model that questions use.
    active: RwLock<Option<Arc<Space>>>,
    /// The model that is being made ready.
    next: RwLock<Option<Arc<Space>>>,
    followed: tokio::sync::Mutex<Vec<Followed>>,
    /// Texts without anything to be found, by the `seq` of their row.
    empty: Mutex<HashMap<Place, i64>>,
    progress: status::Progress,
    prefixes: Prefixes,
}

impl std::fmt::Debug for Searcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Searcher").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Searcher {
    /// Opens the index of a store. `dir` holds what is derived; without a model only words find anything.
    pub async fn open(store: Arc<Store>, embedder: Option<Arc<dyn Embedder>>, dir: &Path) -> Result<Arc<Searcher>> {
        std::fs::create_dir_all(dir).map_err(|e| Error::unavailable(&format!("prepare {}", dir.display()), e))?;
        let followed = Followed::all(&store);
        let searcher = Searcher {
            text: TextIndex::open(&dir.join("text"))?,
            passages: Passages::new(dir)?,
            dir: dir.to_owned(),
            store,
            shelf: RwLock::default(),
            active: RwLock::default(),
            next: RwLock::default(),
            progress: status::Progress::new(followed.iter().map(|followed| followed.source)),
            followed: tokio::sync::Mutex::new(followed),
            empty: Mutex::default(),
            prefixes: Prefixes::default(),
        };
        searcher.read().await?;
        let known = searcher.mend().await?;
        if let Some(embedder) = embedder {
            let space = Space::open(&searcher.store, embedder, &searcher.shelf, dir, known).await?;
            *searcher.active.write() = Some(Arc::new(space));
        }
        Ok(Arc::new(searcher))
    }

    /// Reads the chunks that the store holds.
    async fn read(&self) -> Result<()> {
        let sql = "SELECT * FROM chunk";
        let limits = Limits { rows_max: usize::MAX, ..Limits::default() };
        let mut rows = self.store.query(&reader(), Question::from(sql), limits).await?.stream;
        while let Some(batch) = rows.try_next().await.map_err(engine::sql::session::from_datafusion)? {
            let cells = Cells::of(&batch)?;
            for row in 0..cells.len() {
                self.take_in(&cells, row)?;
            }
        }
        let newest = self.shelf.read().documents().map(|held| held.about.seq).max();
        self.progress.seen(newest.unwrap_or(0));
        Ok(())
    }

    fn take_in(&self, cells: &Cells, row: usize) -> Result<()> {
        let broken = |what: &str| Error::new(Kind::Corrupt, format!("a row of chunk has no readable {what}"));
        let number = |column: &str| cells.number(column, row).and_then(|n| u64::try_from(n).ok());
        let place = Place {
            tenant: cells.required("tenant", row)?.to_owned(),
            document: cells.required("document", row)?.to_owned(),
        };
        let owned = |column: &str| cells.text(column, row).map(str::to_owned);
        let about = Document {
            material: owned("material").unwrap_or_default(),
            title: owned("title").unwrap_or_default(),
            path: owned("path").unwrap_or_default(),
            uri: owned("uri"),
            version: cells.number("document_version", row),
            acl: owned("acl"),
            seq: cells.number("document_seq", row).unwrap_or(0),
            cut_by: owned("cut_by").unwrap_or_default(),
        };
        let ordinal = number("ordinal").and_then(|n| u32::try_from(n).ok()).ok_or_else(|| broken("ordinal"))?;
        let put = Put {
            id: number("_seq").ok_or_else(|| broken("_seq"))?,
            ordinal,
            hash: hash_of(cells.required("hash", row)?).ok_or_else(|| broken("hash"))?,
            start: number("span_start").unwrap_or(0),
            end: number("span_end").unwrap_or(0),
            kind: cells.text("text_kind", row).and_then(kind_of).unwrap_or(TextKind::Prose),
            language: cells.text("language", row),
            prefix_by: cells.text("prefix_by", row),
            spot: self.passages.add(
                cells.text("heading", row).unwrap_or_default(),
                cells.text("prefix", row).unwrap_or_default(),
                cells.required("text", row)?,
            )?,
        };
        let mut shelf = self.shelf.write();
        let document = shelf.document(&place, about);
        shelf.put(document, &put);
        Ok(())
    }

    /// Brings the full text to what is on the shelf. Says whether what lies in the folder is of this store.
    async fn mend(&self) -> Result<bool> {
        let shelf = self.shelf.read();
        let held = self.text.mark().and_then(|mark| Mark::known(&mark, &shelf));
        let known = held.is_some();
        let held = match held {
            Some(held) if held.len() == self.text.len() as u64 => held,
            _ => {
                self.text.clear()?;
                RoaringTreemap::new()
            }
        };
        let lacking = shelf.live() - &held;
        if lacking.is_empty() && known && held.len() == self.text.len() as u64 {
            return Ok(known);
        }
        for id in &lacking {
            let slot = shelf.slot(id).expect("every live number has its chunk");
            let Words { heading, prefix, text } = self.passages.read(slot.spot)?;
            let title = &shelf.held(slot).about.title;
            let language = shelf.language_of(slot);
            let (heading, prefix, body) = (heading.as_str(), prefix.as_str(), text.as_str());
            self.text.add(&[Passage { id, title, heading, prefix, body, language, kind: slot.kind }])?;
        }
        self.text.commit_marked(Some(&Mark::of(&shelf).text()))?;
        Ok(known)
    }

    /// The models whose vectors are kept now.
    fn spaces(&self) -> Vec<Arc<Space>> {
        self.active.read().iter().chain(self.next.read().iter()).cloned().collect()
    }

    /// How texts are cut now: by the tokens of the model that questions use, or of the one that is about to be used.
    fn cutting(&self) -> Cutting {
        let active = self.active.read().clone().or_else(|| self.next.read().clone());
        Cutting::of(active.map(|space| space.embedder().clone()), self.prefixes.roomy())
    }

    /// Brings everything up to date: what changed is cut and found by its words, and every chunk has its vector.
    pub async fn sync(&self) -> Result<()> {
        self.sync_watched(&mut |_| {}).await
    }

    /// The same, telling how far it is.
    pub async fn sync_watched(&self, tell: &mut (dyn FnMut(&IndexStatus) + Send)) -> Result<()> {
        loop {
            let step = self.step(true).await?;
            tell(&self.status());
            if step.waiting == 0 && step.texts == 0 {
                break;
            }
        }
        while self.embed_some().await? {
            tell(&self.status());
        }
        Ok(())
    }

    /// Makes some of what changed findable by its words; says whether more waits.
    pub async fn follow_some(&self) -> Result<bool> {
        let step = self.step(false).await?;
        Ok(step.waiting > 0)
    }

    /// The same for somebody who waits: whatever was written before is seen.
    pub async fn follow_all(&self) -> Result<()> {
        while self.step(true).await?.waiting > 0 {}
        Ok(())
    }

    /// Ends what reads the sources; the store is let go.
    pub async fn rest(&self) {
        for source in self.followed.lock().await.iter_mut() {
            source.rest().await;
        }
    }

    /// Gives some chunks their vectors; says whether more lack one.
    pub async fn embed_some(&self) -> Result<bool> {
        let mut more = false;
        for space in self.spaces() {
            if !space.missing(&self.shelf).is_empty() {
                space.fill(&self.store, &self.shelf, &self.passages, EMBEDDED_A_STEP).await?;
                more |= !space.missing(&self.shelf).is_empty();
            }
        }
        Ok(more)
    }

    /// The model that questions use.
    pub fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.active.read().as_ref().map(|space| space.embedder().clone())
    }

    /// Notes how an attempt to follow the sources ended, for the status.
    pub(crate) fn tell_failure(&self, words: bool, error: Option<&Error>) {
        if words || error.is_some() {
            self.progress.failed(error.map(ToString::to_string));
        }
    }

    /// Writes what can be built again but takes a while, for the next start.
    pub fn save(&self) -> Result<()> {
        self.spaces().iter().try_for_each(|space| space.save())
    }

    /// Answers a question under a scope.
    pub async fn search(&self, scope: &Scope, wish: &SearchWish) -> Result<Found> {
        wish.check()?;
        if wish.as_of.is_some() {
            return self.search_as_of(scope, wish).await;
        }
        let allowed = self.shelf.read().allowed(scope, &wish.filters);
        let mut notes = Vec::new();
        let space = self.active.read().clone();
        let vector = self.question(wish, space.as_deref(), &mut notes).await?;
        let depth = wish.hits().saturating_mul(CANDIDATES_TIMES).max(CANDIDATES_MIN);
        let mut text = match wish.legs {
            Legs::Vector => None,
            _ => Some(call::text(&self.text, wish, depth, allowed.as_ref())?),
        };
        let mut near = match (&space, &vector) {
            (Some(space), Some(vector)) => {
                candidates::with_equals(depth, |most| Ok(space.search(vector, most, allowed.as_ref())))?
            }
            _ => Vec::new(),
        };
        {
            let shelf = self.shelf.read();
            let place = |id: u64| shelf.slot(id).map(|slot| (&shelf.held(slot).place, slot.ordinal));
            text.iter_mut().for_each(|text| candidates::settle(&mut text.hits, depth, place));
            candidates::settle(&mut near, depth, place);
        }
        let fused = call::fused(text.as_ref(), &near, space.as_ref().map(|space| space.traits(&self.shelf)));
        let mut hits = self.shown(scope, wish, &fused, allowed.as_ref(), space.as_deref())?;
        if wish.parts {
            call::mark_parts(&self.text, wish, &mut hits)?;
        }
        if let Some(space) = space.as_ref().filter(|_| vector.is_some()) {
            // Of those that may be seen: how many others have is nobody's business.
            let missing = space.missing(&self.shelf);
            let missing = allowed.as_ref().map_or_else(|| missing.len(), |allowed| missing.intersection_len(allowed));
            if missing > 0 {
                notes.push(format!("{missing} chunks are not embedded yet and are found by their words only"));
            }
        }
        let model = space.filter(|_| vector.is_some()).map(|space| space.model().to_owned());
        Ok(Found {
            hits,
            covered_seq: self.progress.covered(),
            behind: self.progress.behind(&self.store),
            model,
            notes,
        })
    }

    /// The question's vector, if vectors take part and there is a model.
    async fn question(
        &self,
        wish: &SearchWish,
        space: Option<&Space>,
        notes: &mut Vec<String>,
    ) -> Result<Option<Vec<f32>>> {
        let loud = "there is no model: full text only; `stellwerk model pull` fetches one";
        match (wish.legs, space) {
            (Legs::Text, _) => Ok(None),
            (Legs::Vector, None) => Err(Error::new(Kind::NotFound, loud)),
            (Legs::Both, None) => {
                notes.push(loud.to_owned());
                Ok(None)
            }
            (Legs::Vector, Some(space)) => space.question(&wish.query).await.map(Some),
            (Legs::Both, Some(space)) => match space.question(&wish.query).await {
                Ok(vector) => Ok(Some(vector)),
                Err(error) => {
                    notes.push(format!("full text only: {error}"));
                    Ok(None)
                }
            },
        }
    }

    /// The hits with their words. What the scope may not see is left out once more, whatever named it.
    fn shown(
        &self,
        scope: &Scope,
        wish: &SearchWish,
        fused: &[Fused],
        allowed: Option<&RoaringTreemap>,
        space: Option<&Space>,
    ) -> Result<Vec<SearchHit>> {
        let mut found: Vec<(SearchHit, passages::Spot)> = Vec::new();
        {
            let shelf = self.shelf.read();
            let all = allowed.map_or_else(|| shelf.live().len(), RoaringTreemap::len);
            let mut places: HashMap<(u32, u32), usize> = HashMap::new();
            let seen = fused.iter().filter_map(|hit| shelf.slot(hit.id).map(|slot| (hit, slot)));
            let mut seen: Vec<(&Fused, &Slot)> = seen.filter(|(_, slot)| may_see(scope, &shelf, slot)).collect();
            // What is equally good stands in the order of the documents: the same however the index came to be.
            let place = |slot: &Slot| (&shelf.held(slot).place, slot.ordinal);
            seen.sort_by(|(a, of_a), (b, of_b)| {
                b.score.total_cmp(&a.score).then_with(|| place(of_a).cmp(&place(of_b)))
            });
            for (hit, slot) in seen {
                let explain = wish.explain.then(|| Explained {
                    text: hit.text.map(part),
                    vector: hit.vector.map(part),
                    allowed: all,
                    embedded: space.is_some_and(|space| space.has(hit.id)),
                });
                let shown = (hit_of(&shelf, slot, hit, explain), slot.spot);
                // While a text is put in place of its older self, both may be found.
                match places.get(&(slot.document, slot.ordinal)) {
                    Some(at) if found[*at].0.seq < hit.id => found[*at] = shown,
                    Some(_) => {}
                    None if found.len() < wish.hits() => {
                        places.insert((slot.document, slot.ordinal), found.len());
                        found.push(shown);
                    }
                    None => {}
                }
            }
        }
        let with_words = |(hit, spot): (SearchHit, passages::Spot)| {
            let Words { heading, text, .. } = self.passages.read(spot)?;
            Ok(SearchHit { heading, text, ..hit })
        };
        found.into_iter().map(with_words).collect()
    }
}

fn may_see(scope: &Scope, shelf: &Shelf, slot: &Slot) -> bool {
    let held = shelf.held(slot);
    let admitted = scope.groups().is_none_or(|groups| admits(held.about.acl.as_deref(), groups));
    scope.tenants.covers(&held.place.tenant) && admitted
}

fn part(leg: LegScore) -> LegPart {
    LegPart { rank: leg.rank, score: leg.score, normalized: leg.normalized, weight: leg.weight }
}

fn hit_of(shelf: &Shelf, slot: &Slot, hit: &Fused, explain: Option<Explained>) -> SearchHit {
    let held = shelf.held(slot);
    SearchHit {
        tenant: held.place.tenant.clone(),
        document: held.place.document.clone(),
        source: held.about.material.clone(),
        version: held.about.version,
        uri: held.about.uri.clone(),
        path: held.about.path.clone(),
        title: held.about.title.clone(),
        heading: String::new(),
        start: slot.start,
        end: slot.end,
        text: String::new(),
        language: shelf.language_of(slot).map(str::to_owned),
        kind: crate::stored::kind_name(slot.kind).to_owned(),
        ordinal: slot.ordinal,
        seq: hit.id,
        score: hit.score,
        parts: Vec::new(),
        explain,
    }
}
