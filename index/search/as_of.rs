//! An answer as of then: the chunks that stood at that moment are read under the asker's scope, ranked in an index of their
//! own, and forgotten. Nothing is derived beforehand, so that any moment within the horizon can be asked for.

use std::collections::HashMap;

use engine::{Error, Kind, Result, Scope};
use roaring::RoaringTreemap;

use super::shelf::Hash;
use super::space::hash_of;
use super::wish::{Explained, Filters, Found, Legs, Moment, SearchHit, SearchWish};
use super::{CANDIDATES_MIN, CANDIDATES_TIMES, Searcher, call, candidates, part};
use crate::stored::{Cells, ask, kind_name, kind_of};
use crate::text::{Passage, TextIndex, TextKind};
use crate::vector::{VectorIndex, VectorSettings};

/// Chunks that are ranked for one such answer.
const CHUNKS_MAX: usize = 200_000;

/// One chunk as it stood.
struct Then {
    hit: SearchHit,
    prefix: String,
    hash: Hash,
    kind: TextKind,
}

impl Searcher {
    pub(super) async fn search_as_of(&self, scope: &Scope, wish: &SearchWish) -> Result<Found> {
        let moment = wish.as_of.as_ref().expect("asked with a moment");
        let chunks = self.chunks_as_of(scope, moment, &wish.filters).await?;
        let (index, mut notes) = (TextIndex::in_memory()?, Vec::new());
        let passages: Vec<Passage<'_>> = chunks.iter().map(passage).collect();
        index.add(&passages)?;
        index.commit()?;
        let space = self.active.read().clone();
        let question = self.question(wish, space.as_deref(), &mut notes).await?;
        let depth = wish.hits().saturating_mul(CANDIDATES_TIMES).max(CANDIDATES_MIN);
        let mut text = match wish.legs {
            Legs::Vector => None,
            _ => Some(call::text(&index, wish, depth, None)?),
        };
        let mut embedded = RoaringTreemap::new();
        let mut near = Vec::new();
        if let (Some(space), Some(question)) = (&space, &question) {
            let mut by_hash: HashMap<Hash, Vec<u64>> = HashMap::new();
            chunks.iter().for_each(|chunk| by_hash.entry(chunk.hash).or_default().push(chunk.hit.seq));
            let hashes: Vec<Hash> = by_hash.keys().copied().collect();
            let settings = VectorSettings { exact_rows_max: usize::MAX, ..VectorSettings::default() };
            let mut vectors = VectorIndex::new(question.len(), settings);
            for (hash, vector) in space.vectors_of(&self.store, &hashes).await? {
                for id in &by_hash[&hash] {
                    vectors.add(*id, &vector);
                    embedded.insert(*id);
                }
            }
            near = candidates::with_equals(depth, |most| Ok(vectors.search(question, most, None)))?;
            let missing = chunks.len() as u64 - embedded.len();
            if missing > 0 {
                notes.push(format!(
                    "{missing} chunks of then have no vector of this model and are found by their words only"
                ));
            }
        }
        let allowed = chunks.len() as u64;
        let by_id: HashMap<u64, &Then> = chunks.iter().map(|chunk| (chunk.hit.seq, chunk)).collect();
        let place = |id: u64| by_id.get(&id).map(|then| (&then.hit.tenant, &then.hit.document, then.hit.ordinal));
        text.iter_mut().for_each(|text| candidates::settle(&mut text.hits, depth, place));
        candidates::settle(&mut near, depth, place);
        let mut fused = call::fused(text.as_ref(), &near, space.as_ref().map(|space| space.traits(&self.shelf)));
        fused.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| place(a.id).cmp(&place(b.id))));
        let hits = fused.iter().filter_map(|hit| {
            let then = by_id.get(&hit.id)?;
            let explain = wish.explain.then(|| Explained {
                text: hit.text.map(part),
                vector: hit.vector.map(part),
                allowed,
                embedded: embedded.contains(hit.id),
            });
            Some(SearchHit { score: hit.score, explain, ..then.hit.clone() })
        });
        let mut hits: Vec<SearchHit> = hits.take(wish.hits()).collect();
        if wish.parts {
            call::mark_parts(&index, wish, &mut hits)?;
        }
        let covered_seq = chunks.iter().map(|chunk| chunk.hit.seq).max().unwrap_or(0);
        let model = space.filter(|_| question.is_some()).map(|space| space.model().to_owned());
        Ok(Found { hits, covered_seq, behind: false, model, notes })
    }

    /// The chunks of then that the scope may see; both walls of SQL stand in front of them.
    async fn chunks_as_of(&self, scope: &Scope, moment: &Moment, filters: &Filters) -> Result<Vec<Then>> {
        let at = match moment {
            Moment::Seq(seq) => seq.to_string(),
            Moment::Time(time) => format!("'{}'", time.replace('\'', "''")),
        };
        let mut sql = format!("SELECT * FROM as_of('chunk', {at})");
        let mut params: Vec<&str> = Vec::new();
        let kind = filters.kind.map(kind_name);
        let wanted = [
            ("tenant", filters.tenant.as_deref()),
            ("material", filters.source.as_deref()),
            ("language", filters.language.as_deref()),
            ("text_kind", kind),
            ("document", filters.document.as_deref()),
        ];
        for (column, value) in wanted.iter().filter_map(|(column, value)| value.map(|value| (column, value))) {
            params.push(value);
            sql.push_str(if params.len() == 1 { " WHERE " } else { " AND " });
            sql.push_str(&format!("{column} = ${}", params.len()));
        }
        let mut chunks = Vec::new();
        for batch in ask(&self.store, scope, &sql, &params).await? {
            let cells = Cells::of(&batch)?;
            for row in 0..cells.len() {
                let then = then(&cells, row)?;
                if filters.path.as_deref().is_none_or(|path| then.hit.path.starts_with(path)) {
                    chunks.push(then);
                }
            }
            if chunks.len() > CHUNKS_MAX {
                let why = format!("more than {CHUNKS_MAX} chunks stood then; narrow the search by a filter");
                return Err(Error::new(Kind::Limit, why));
            }
        }
        Ok(chunks)
    }
}

fn passage(then: &Then) -> Passage<'_> {
    let hit = &then.hit;
    Passage {
        id: hit.seq,
        title: &hit.title,
        heading: &hit.heading,
        prefix: &then.prefix,
        body: &hit.text,
        language: hit.language.as_deref(),
        kind: then.kind,
    }
}

fn then(cells: &Cells, row: usize) -> Result<Then> {
    let text = |column: &str| cells.text(column, row).unwrap_or_default().to_owned();
    let owned = |column: &str| cells.text(column, row).map(str::to_owned);
    let number = |column: &str| cells.number(column, row).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let kind = cells.text("text_kind", row).and_then(kind_of).unwrap_or(TextKind::Prose);
    let hash = hash_of(cells.required("hash", row)?);
    let hash = hash.ok_or_else(|| Error::new(Kind::Corrupt, "a row of chunk has no readable hash"))?;
    let hit = SearchHit {
        tenant: text("tenant"),
        document: text("document"),
        source: text("material"),
        version: cells.number("document_version", row),
        uri: owned("uri"),
        path: text("path"),
        title: text("title"),
        heading: text("heading"),
        start: number("span_start"),
        end: number("span_end"),
        text: text("text"),
        language: owned("language"),
        kind: kind_name(kind).to_owned(),
        ordinal: u32::try_from(number("ordinal")).unwrap_or(0),
        seq: number("_seq"),
        score: 0.0,
        parts: Vec::new(),
        explain: None,
    };
    Ok(Then { hit, prefix: text("prefix"), hash, kind })
}
