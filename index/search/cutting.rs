//! How texts are cut: by the tokens of the model that will read them.

use std::sync::Arc;

use engine::Embedder;

use crate::chunk::Budget;

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
    /// By the tokens of a model, or about as a model would.
    pub fn of(embedder: Option<Arc<dyn Embedder>>) -> Cutting {
        let most = embedder.as_ref().map_or(CHUNK_TOKENS_MAX, |embedder| embedder.tokens_max());
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
}
