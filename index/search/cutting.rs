//! How texts are cut: by the tokens of the model that will read them.

use std::sync::Arc;

use engine::Embedder;

use crate::chunk::Budget;
use crate::prefix::PREFIX_TOKENS_MAX;

/// Tokens of a chunk with its title and headings; a model that reads fewer decides.
pub const CHUNK_TOKENS_MAX: usize = 256;
/// Tokens that a chunk repeats of the one before it where a paragraph was cut.
pub const OVERLAP_TOKENS: usize = 0;
/// Characters that count as a token where there is no model.
const TOKEN_CHARS: usize = 4;

/// How texts are cut.
#[derive(Debug, Clone)]
pub struct Cutting {
    /// Tokens of a chunk.
    pub budget: Budget,
    /// What `chunk.cut_by` holds.
    pub name: String,
    /// Whether a model counts the tokens. Where none does, what was cut by one stays.
    pub exact: bool,
    embedder: Option<Arc<dyn Embedder>>,
}

impl Cutting {
    /// By the tokens of a model, or about as a model would. `roomy` leaves room for a prefix in what the model reads.
    pub fn of(embedder: Option<Arc<dyn Embedder>>, roomy: bool) -> Cutting {
        let most = embedder.as_ref().map_or(usize::MAX, |embedder| embedder.tokens_max());
        let most = if roomy { beside_prefix(most) } else { most };
        let budget = Budget { tokens_max: most.min(CHUNK_TOKENS_MAX), overlap_tokens: OVERLAP_TOKENS };
        let whose = embedder.as_ref().map_or("none", |embedder| embedder.model());
        let name = format!("{}/{} {whose}", budget.tokens_max, budget.overlap_tokens);
        Cutting { budget, name, exact: embedder.is_some(), embedder }
    }

    /// Tokens of a text.
    pub fn tokens(&self, text: &str) -> usize {
        match &self.embedder {
            Some(embedder) => embedder.tokens(text),
            None => estimate(text),
        }
    }
}

/// Tokens of a chunk whose model reads so many, prefix and all.
pub fn beside_prefix(tokens_max: usize) -> usize {
    tokens_max.saturating_sub(PREFIX_TOKENS_MAX).max(tokens_max / 2)
}

/// About as many tokens as a model counts: a word is one or several, a mark is one, a character outside the alphabets is one.
pub fn estimate(text: &str) -> usize {
    let (mut tokens, mut letters) = (0, 0_usize);
    for c in text.chars() {
        if c.is_alphanumeric() && u32::from(c) < 0x2e80 {
            letters += 1;
            continue;
        }
        tokens += letters.div_ceil(TOKEN_CHARS) + usize::from(!c.is_whitespace());
        letters = 0;
    }
    tokens + letters.div_ceil(TOKEN_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_guessed_from_above() {
        assert_eq!(estimate("one two, three!"), 1 + 1 + 1 + 2 + 1);
        assert_eq!(estimate("日本"), 2);
        assert_eq!(estimate(""), 0);
    }

    #[test]
    fn a_prefix_takes_its_room_from_models_that_read_little() {
        assert_eq!((beside_prefix(512), beside_prefix(254), beside_prefix(64)), (412, 154, 32));
        assert_eq!(Cutting::of(None, true).budget, Cutting::of(None, false).budget);
    }
}
