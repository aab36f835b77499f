//! The ways of searching put together.

use crate::fuse::{Fused, QuestionTraits, Weights, fuse};
use crate::text::{Hit, Mass, TextFound};

/// What was found by words and by vectors as one ranking.
pub(super) fn fused(text: Option<&TextFound>, near: &[Hit], model: Option<&str>, k: usize) -> Vec<Fused> {
    let nothing = TextFound { hits: Vec::new(), mass: Mass::default(), tongue: None, tongue_share: 1.0 };
    let text = text.unwrap_or(&nothing);
    fuse(&QuestionTraits::of(text, model), &text.hits, near, k, &Weights::default())
}
