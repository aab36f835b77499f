//! The ways of searching put together.

use std::ops::Range;

use engine::Result;
use roaring::RoaringTreemap;

use super::candidates::with_equals;
use super::wish::{HitPart, SearchHit, SearchWish};
use crate::fuse::{Fused, ModelTraits, QuestionTraits, Weights, fuse};
use crate::passage::{CHUNKS, Chunk, parts};
use crate::stored::kind_of;
use crate::text::{Hit, Mass, TextFound, TextIndex, TextKind};

/// What words find, with all that are equal to the last of `depth`.
pub(super) fn text(
    index: &TextIndex,
    wish: &SearchWish,
    depth: usize,
    allowed: Option<&RoaringTreemap>,
) -> Result<TextFound> {
    let mut about = None;
    let hits = with_equals(depth, |most| {
        let mut found = index.ask(&wish.query, wish.language.as_deref(), most, allowed)?;
        let hits = std::mem::take(&mut found.hits);
        about = Some(found);
        Ok(hits)
    })?;
    let about = about.expect("what gives hits was asked once at least");
    Ok(TextFound { hits, ..about })
}

/// Marks the parts of the best hits that answer.
pub(super) fn mark_parts(index: &TextIndex, wish: &SearchWish, hits: &mut [SearchHit]) -> Result<()> {
    let question = index.weigh(&wish.query, wish.language.as_deref())?;
    let found = parts(&question, &hits.iter().take(CHUNKS).map(chunk_of).collect::<Vec<_>>());
    for part in found {
        let Range { start, end } = part.span;
        hits[part.chunk].parts.push(HitPart { start, end, worth: part.worth });
    }
    Ok(())
}

fn chunk_of(hit: &SearchHit) -> Chunk<'_> {
    Chunk {
        text: &hit.text,
        language: hit.language.as_deref(),
        kind: kind_of(&hit.kind).unwrap_or(TextKind::Prose),
        score: hit.score,
    }
}

/// What was found by words and by vectors as one ranking; it is not cut here, where the order of equal ones is not known.
pub(super) fn fused(text: Option<&TextFound>, near: &[Hit], model: Option<ModelTraits<'_>>) -> Vec<Fused> {
    let nothing = TextFound { hits: Vec::new(), mass: Mass::default(), tongue: None, tongue_share: 1.0 };
    let text = text.unwrap_or(&nothing);
    fuse(&QuestionTraits::of(text, model), &text.hits, near, usize::MAX, &Weights::default())
}
