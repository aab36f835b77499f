//! From changed texts to searchable chunks: what changed is told by comparing the sources' rows with what is on the shelf,
//! cut, written into the store, and only then put into the index. A crash in between is made good at the next start.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::fault::{Point, reached};
use engine::{Error, Frame, Result, Rows, Store};
use rayon::prelude::*;
use tokio::task::{JoinError, JoinSet};

use super::mark::Mark;
use super::shelf::{Document, Hash, Put};
use super::space::{Space, Wanted, hash_of};
use super::{Cutting, Searcher};
use crate::chunk::Chunk;
use crate::material::{self, MATERIAL, Material, MaterialSource, Place};
use crate::stored::{CHUNK, kind_name};
use crate::text::Passage;

/// Texts of one step.
const TEXTS_A_STEP: usize = 256;
/// Texts of one step that are only cut otherwise: a model reads them first.
const RECUT_A_STEP: usize = 8;
/// Bytes of text of one step: a frame of their chunks, and a commit of the text index.
const BYTES_A_STEP: usize = 4 << 20;
/// How long a step waits for looks: those of small sources end within it.
const SOON: Duration = Duration::from_millis(50);

/// What is known of one source.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) source: &'static MaterialSource,
    /// The tables' changes when they were last looked at, and how texts were cut then.
    seen: Option<(u64, String)>,
    /// Not before this moment.
    next_look: Option<Instant>,
    /// The look that is on its way: a source of much data keeps no other waiting.
    looking: JoinSet<Result<Look>>,
    /// Texts to be cut, the newest first.
    changed: VecDeque<(Place, i64)>,
    /// Texts that are gone.
    gone: Vec<Place>,
}

impl Followed {
    /// The sources whose tables the store has.
    pub(super) fn all(store: &Store) -> Vec<Followed> {
        let has = |table: &&str| store.catalogue().tables.iter().any(|declared| declared.name == *table);
        let of = |source| Followed {
            source,
            seen: None,
            next_look: None,
            looking: JoinSet::new(),
            changed: VecDeque::new(),
            gone: Vec::new(),
        };
        MATERIAL.iter().filter(|source| source.tables.iter().all(|table| has(&table))).map(of).collect()
    }

    /// Ends the look that is on its way.
    pub(super) async fn rest(&mut self) {
        self.looking.shutdown().await;
    }

    /// Texts that wait.
    fn waiting(&self) -> usize {
        self.changed.len() + self.gone.len()
    }
}

/// What a source's tables held.
#[derive(Debug)]
struct Look {
    /// The tables' changes before they were read.
    changes: u64,
    places: HashMap<Place, i64>,
    took: Duration,
}

/// What a model makes of new chunks.
pub(super) type Known = (Arc<Space>, Vec<(Hash, Vec<f32>)>);

/// What one step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// Texts that were cut or taken out.
    pub texts: usize,
    /// Texts that wait.
    pub waiting: usize,
}

/// A text's new chunks.
pub(super) struct Cut {
    pub(super) material: Material,
    pub(super) chunks: Vec<(Chunk, Hash)>,
    cut_by: String,
}

/// A chunk's row in a frame.
#[derive(Debug, Clone, Copy)]
enum Row {
    Put { text: usize, chunk: usize },
    Gone,
}

impl Searcher {
    /// One bounded step: looks for changes where there may be some, and makes some of them searchable.
    pub(super) async fn step(&self, patient: bool) -> Result<Step> {
        let mut followed = self.followed.lock().await;
        let mut step = Step::default();
        // A source that cannot be read keeps no other from being followed.
        let looked = self.look_at(&mut followed, patient).await;
        let mut budget = TEXTS_A_STEP;
        for source in followed.iter_mut() {
            while budget > 0 && source.waiting() > 0 {
                let (taken, slow) = self.advance(source, budget).await?;
                budget = if slow { 0 } else { budget.saturating_sub(taken.max(1)) };
                step.texts += taken;
            }
        }
        step.waiting = followed.iter().map(Followed::waiting).sum();
        looked.map(|()| step)
    }

    /// Looks for changes of every source, and makes none of them searchable.
    pub(super) async fn look_around(&self) -> Result<()> {
        let mut followed = self.followed.lock().await;
        self.look_at(&mut followed, true).await
    }

    /// Looks for changes of all sources at the same time. Who is not patient takes what is there soon; the rest comes with a
    /// later step.
    async fn look_at(&self, followed: &mut [Followed], patient: bool) -> Result<()> {
        // A look that is on its way already may have missed what a patient one waits for.
        let on_the_way = followed.iter().map(|source| !source.looking.is_empty()).collect::<Vec<_>>();
        followed.iter_mut().for_each(|source| self.begin_look(source, patient));
        let soon = tokio::time::Instant::now() + SOON;
        let mut all = Ok(());
        for (source, on_the_way) in followed.iter_mut().zip(on_the_way) {
            let ended = match patient {
                true => source.looking.join_next().await,
                false => tokio::time::timeout_at(soon, source.looking.join_next()).await.ok().flatten(),
            };
            let mut looked = self.end_look(source, ended);
            if patient && on_the_way {
                self.begin_look(source, true);
                let ended = source.looking.join_next().await;
                looked = self.end_look(source, ended);
            }
            all = all.and(looked);
        }
        all
    }

    /// Begins to read a source, if its tables changed since the last look. Puts that off where it has just been read, unless
    /// somebody waits for it.
    fn begin_look(&self, followed: &mut Followed, patient: bool) {
        let source = followed.source;
        let changes = source.changes(&self.store);
        let put_off = !patient && followed.next_look.is_some_and(|at| Instant::now() < at);
        let known = followed.seen.as_ref().is_some_and(|seen| *seen == (changes, self.cutting().name));
        if put_off || known || !followed.looking.is_empty() {
            return;
        }
        let store = self.store.clone();
        followed.looking.spawn(async move {
            let begun = Instant::now();
            let places = material::places(&store, source).await?;
            Ok(Look { changes, places, took: begun.elapsed() })
        });
    }

    /// Compares what a source held with the shelf, where a look ended.
    fn end_look(
        &self,
        followed: &mut Followed,
        ended: Option<std::result::Result<Result<Look>, JoinError>>,
    ) -> Result<()> {
        let Some(ended) = ended else { return Ok(()) };
        let Look { changes, places, took } = ended.map_err(|e| Error::unavailable("look for changes", e))??;
        let cutting = self.cutting();
        let (mut changed, mut gone, mut newest) = (Vec::new(), Vec::new(), 0);
        {
            let shelf = self.shelf.read();
            for (place, seq) in &places {
                newest = newest.max(*seq);
                let held = shelf.at(place);
                if held.is_none_or(|held| held.about.seq != *seq || cutting.recuts(&held.about.cut_by)) {
                    changed.push((place.clone(), *seq));
                }
            }
            let of_source = |name: &str| name == followed.source.name;
            let lost = shelf.documents().filter(|held| of_source(&held.about.material));
            gone.extend(lost.map(|held| held.place.clone()).filter(|place| !places.contains_key(place)));
        }
        // The newest first: what was just written is what somebody waits for.
        changed.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        // A text without chunks leaves no trace on the shelf.
        changed.retain(|(place, seq)| self.empty.lock().get(place) != Some(seq));
        (followed.changed, followed.gone) = (changed.into(), gone);
        followed.seen = Some((changes, cutting.name));
        followed.next_look = Some(Instant::now() + followed.source.pace.rest(took));
        self.progress.seen(newest);
        self.progress.looked(followed.source, changes, followed.waiting());
        Ok(())
    }

    /// Cuts some of a source's changed texts and puts them in place; answers how many, and whether a model had to read them
    /// first: that is so where nothing changed but how texts are cut, and nobody waits.
    async fn advance(&self, followed: &mut Followed, most: usize) -> Result<(usize, bool)> {
        let same = |(place, seq): &(Place, i64)| self.shelf.read().at(place).is_some_and(|held| held.about.seq == *seq);
        let recut = followed.changed.front().is_some_and(same);
        let most = if recut { most.min(RECUT_A_STEP) } else { most };
        let taken = followed.changed.iter().take(most).take_while(|text| same(*text) == recut);
        let taken: Vec<(Place, i64)> = taken.cloned().collect();
        let gone = followed.gone.clone();
        let (mut texts, mut bytes, mut done) = (Vec::new(), 0, 0);
        let begun = Instant::now();
        for part in taken.chunks(material::FETCHED_TOGETHER) {
            // What changed or went since it was seen is not among them: the next look knows.
            let found = material::fetch(&self.store, followed.source, part).await?;
            bytes += found.iter().map(|found| found.text.len()).sum::<usize>();
            texts.extend(found);
            done += part.len();
            if bytes >= BYTES_A_STEP {
                break;
            }
        }
        // Where a text is computed, reading some costs what a look does.
        let rested = Instant::now() + followed.source.pace.rest(begun.elapsed());
        followed.next_look = followed.next_look.max(Some(rested));
        let cutting = self.cutting();
        let cut_all = move || texts.into_par_iter().map(|text| cut(text, &cutting)).collect::<Vec<Cut>>();
        let cuts = tokio::task::spawn_blocking(cut_all).await;
        let mut cuts = cuts.map_err(|e| Error::unavailable("cut texts", e))?;
        self.put_known_prefixes(&mut cuts).await?;
        self.put(&cuts, &gone, recut).await?;
        followed.changed.drain(..done);
        followed.gone.clear();
        self.progress.wait(followed.source, followed.waiting());
        Ok((done + gone.len(), recut))
    }

    /// Writes the new chunks of texts, and marks that others are gone; then puts them in place.
    pub(super) async fn put(&self, cuts: &[Cut], gone: &[Place], embed: bool) -> Result<()> {
        let vectors = self.vectors_of(cuts, embed).await?;
        let (mut rows, mut written) = (Rows::new(&CHUNK), Vec::new());
        let mut old: Vec<u64> = Vec::new();
        {
            let shelf = self.shelf.read();
            // What stood before goes: ordinals that come again are replaced by their new row, others are marked as deleted.
            let mut end = |place: &Place, from: usize, rows: &mut Rows, written: &mut Vec<Row>| {
                let slots = shelf.at(place).map(|held| &held.slots);
                for (ordinal, id) in slots.into_iter().flatten() {
                    old.push(*id);
                    if (*ordinal as usize) >= from {
                        rows.set("tenant", place.tenant.as_str())
                            .set("document", place.document.as_str())
                            .set("ordinal", i64::from(*ordinal));
                        rows.end_delete()?;
                        written.push(Row::Gone);
                    }
                }
                Ok::<_, Error>(())
            };
            for (text, cut) in cuts.iter().enumerate() {
                for (at, (chunk, _)) in cut.chunks.iter().enumerate() {
                    write(&mut rows, &cut.material, &cut.cut_by, chunk)?;
                    written.push(Row::Put { text, chunk: at });
                }
                end(&place_of(&cut.material), cut.chunks.len(), &mut rows, &mut written)?;
            }
            for place in gone {
                end(place, 0, &mut rows, &mut written)?;
            }
        }
        if rows.is_empty() {
            self.note_empty(cuts);
            return Ok(());
        }
        let mut frame = Frame::new("index");
        frame.push_rows(&mut rows);
        let receipt = self.store.append(frame).await?;
        reached(Point::ChunksWritten);
        self.place(cuts, &written, receipt.seq, &old, &vectors)?;
        // Only now: a text whose old chunks could not be taken out is looked at again.
        self.note_empty(cuts);
        let mut shelf = self.shelf.write();
        gone.iter().for_each(|place| shelf.forget(place));
        cuts.iter().filter(|cut| cut.chunks.is_empty()).for_each(|cut| shelf.forget(&place_of(&cut.material)));
        Ok(())
    }

    /// What each model makes of the new chunks, as far as it read their inputs before: so a chunk that only moved is never
    /// without its vector. With `embed`, of all of them.
    pub(super) async fn vectors_of(&self, cuts: &[Cut], embed: bool) -> Result<Vec<Known>> {
        let mut inputs: BTreeMap<Hash, Wanted> = BTreeMap::new();
        for cut in cuts {
            for (chunk, hash) in &cut.chunks {
                let wanted = || Wanted { tenant: cut.material.tenant.clone(), input: chunk.input(&cut.material.title) };
                inputs.entry(*hash).or_insert_with(wanted);
            }
        }
        let mut vectors = Vec::new();
        for space in self.spaces() {
            let known = space.prepare(&self.store, &inputs, embed).await?;
            vectors.push((space, known));
        }
        Ok(vectors)
    }

    /// Puts written chunks into the index: on the shelf, into the full text, and only then takes the old ones out, so that at
    /// no moment a text is missing. Until then an answer names the newer of the two.
    fn place(&self, cuts: &[Cut], written: &[Row], first: u64, old: &[u64], vectors: &[Known]) -> Result<()> {
        let mut spots = Vec::with_capacity(written.len());
        for row in written {
            spots.push(match row {
                Row::Put { text, chunk } => {
                    let (chunk, _) = &cuts[*text].chunks[*chunk];
                    Some(self.passages.add(&chunk.heading, &chunk.prefix, &chunk.text)?)
                }
                Row::Gone => None,
            });
        }
        let mut fresh = Vec::new();
        {
            let mut shelf = self.shelf.write();
            for ((id, row), spot) in (first..).zip(written).zip(spots) {
                let (Row::Put { text, chunk }, Some(spot)) = (row, spot) else { continue };
                let cut = &cuts[*text];
                let (chunk, hash) = &cut.chunks[*chunk];
                let number = shelf.document(&place_of(&cut.material), about(&cut.material, &cut.cut_by));
                shelf.put(
                    number,
                    &Put {
                        id,
                        ordinal: u32::try_from(chunk.ordinal).expect("fewer chunks than 2^32"),
                        hash: *hash,
                        start: chunk.start as u64,
                        end: chunk.end as u64,
                        kind: chunk.kind,
                        language: chunk.language.as_deref(),
                        prefix_by: chunk.prefix_by.as_deref(),
                        spot,
                    },
                );
                fresh.push((id, &cut.material.title, chunk));
            }
        }
        for (space, known) in vectors {
            known.iter().for_each(|(hash, vector)| space.put(&self.shelf, hash, vector));
        }
        let passages: Vec<Passage<'_>> = fresh.iter().map(|(id, title, chunk)| passage(*id, title, chunk)).collect();
        self.text.add(&passages)?;
        self.text.remove(old)?;
        let mark = {
            let gone: HashSet<u64> = old.iter().copied().collect();
            Mark::without(&self.shelf.read(), &gone)
        };
        self.text.commit_marked(Some(&mark.text()))?;
        reached(Point::TextCommitted);
        {
            let mut shelf = self.shelf.write();
            for slot in old.iter().filter_map(|id| shelf.take(*id)) {
                self.passages.forget(slot.spot);
            }
        }
        self.spaces().iter().for_each(|space| space.remove(old));
        Ok(())
    }

    /// Texts that hold nothing to be found are not cut again while their row stays the same.
    fn note_empty(&self, cuts: &[Cut]) {
        let mut empty = self.empty.lock();
        for cut in cuts {
            match cut.chunks.is_empty() {
                true => empty.insert(place_of(&cut.material), cut.material.seq),
                false => empty.remove(&place_of(&cut.material)),
            };
        }
    }
}

pub(super) fn cut(material: Material, cutting: &Cutting) -> Cut {
    if material.text.len() > material::TEXT_BYTES_MAX {
        let (document, bytes) = (&material.document, material.text.len());
        tracing::warn!(document, bytes, "a text is too long to be searched whole; its end is left out");
    }
    let chunks = material.chunks(&cutting.budget, &|text| cutting.tokens(text));
    let hashed = |chunk: Chunk| {
        let hash = hash_of(&chunk.hash).expect("a chunk's hash has 16 bytes");
        (chunk, hash)
    };
    Cut { material, chunks: chunks.into_iter().map(hashed).collect(), cut_by: cutting.name.clone() }
}

pub(super) fn place_of(material: &Material) -> Place {
    Place { tenant: material.tenant.clone(), document: material.document.clone() }
}

fn about(material: &Material, cut_by: &str) -> Document {
    Document {
        material: material.source.to_owned(),
        title: material.title.clone(),
        path: material.path.clone(),
        uri: material.uri.clone(),
        version: material.version,
        acl: material.acl.clone(),
        seq: material.seq,
        cut_by: cut_by.to_owned(),
    }
}

/// A chunk as the full text takes it.
fn passage<'a>(id: u64, title: &'a str, chunk: &'a Chunk) -> Passage<'a> {
    Passage {
        id,
        title,
        heading: &chunk.heading,
        prefix: &chunk.prefix,
        body: &chunk.text,
        language: chunk.language.as_deref(),
        kind: chunk.kind,
    }
}

fn write(rows: &mut Rows, material: &Material, cut_by: &str, chunk: &Chunk) -> Result<()> {
    let number = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
    rows.set("tenant", material.tenant.as_str())
        .set("document", material.document.as_str())
        .set("ordinal", number(chunk.ordinal))
        .set("hash", chunk.hash.as_str())
        .set("material", material.source)
        .set("title", material.title.as_str())
        .set("path", material.path.as_str())
        .set("uri", material.uri.clone())
        .set("heading", chunk.heading.as_str())
        .set("language", chunk.language.clone())
        .set("text_kind", kind_name(chunk.kind))
        .set("span_start", number(chunk.start))
        .set("span_end", number(chunk.end))
        .set("text", chunk.text.as_str())
        .set("acl", material.acl.clone())
        .set("document_hash", material.content_hash.clone())
        .set("document_version", material.version)
        .set("document_seq", material.seq)
        .set("cut_by", cut_by)
        .set("prefix", Some(chunk.prefix.clone()).filter(|prefix| !prefix.is_empty()))
        .set("prefix_by", chunk.prefix_by.clone());
    rows.end_row()
}

impl Cutting {
    /// Whether a text that was cut so is cut anew.
    fn recuts(&self, cut_by: &str) -> bool {
        self.exact && cut_by != self.name
    }
}

/// How long the follower sleeps when nothing is new.
pub(super) const REST: Duration = Duration::from_millis(100);
