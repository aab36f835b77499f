//! Texts become token numbers, by the tokenizer that came with the model.

use std::borrow::Cow;
use std::path::Path;

use engine::{Error, Result};
use tokenizers::Tokenizer;

use super::config::Config;

/// Rows of a model's table that no token may have: tables are rounded up, but not by more.
const SPARE_ROWS_MAX: usize = 1_024;
/// Bytes of a text that are looked at for each token that the model reads; no natural text needs as many.
const TOKEN_BYTES_MAX: usize = 256;

/// The tokenizer of a model.
#[derive(Debug)]
pub struct Words {
    tokenizer: Tokenizer,
    tokens_max: usize,
    /// The mark behind every text.
    last: u32,
}

impl Words {
    /// Reads `tokenizer.json` and holds it against the model's table of tokens.
    pub fn read(folder: &Path, config: &Config) -> Result<Words> {
        let path = folder.join("tokenizer.json");
        let wrong = |why: String| Error::invalid(format!("the tokenizer {}: {why}", path.display()));
        let mut tokenizer = Tokenizer::from_file(&path).map_err(|e| wrong(e.to_string()))?;
        let tokens = tokenizer.get_vocab_size(true);
        if tokens > config.vocabulary || config.vocabulary - tokens > SPARE_ROWS_MAX {
            let rows = config.vocabulary;
            return Err(wrong(format!("it knows {tokens} tokens and the model {rows}: it belongs to another model")));
        }
        // Files carry the settings of a training run; the model is asked for what it can read.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| wrong(e.to_string()))?;
        let marks = tokenizer.encode_fast("", true).map_err(|e| wrong(e.to_string()))?;
        let [_, last] = *marks.get_ids() else {
            return Err(wrong(format!("it puts {} marks around a text, this family has two", marks.len())));
        };
        Ok(Words { tokenizer, tokens_max: config.tokens_max, last })
    }

    /// The tokens of a text with the marks around it, as many as the model reads.
    pub fn ids(&self, prefix: &str, text: &str) -> Result<Vec<u32>> {
        let text = &text[..text.floor_char_boundary(self.tokens_max * TOKEN_BYTES_MAX)];
        let text = if prefix.is_empty() { Cow::Borrowed(text) } else { Cow::Owned([prefix, text].concat()) };
        let encoding = self.tokenizer.encode_fast(text.as_ref(), true);
        let encoding =
            encoding.map_err(|e| Error::invalid(format!("a text cannot be taken apart into tokens: {e}")))?;
        let mut ids = encoding.get_ids().to_vec();
        if ids.len() > self.tokens_max {
            ids.truncate(self.tokens_max - 1);
            ids.push(self.last);
        }
        Ok(ids)
    }

    /// Tokens of a text without the marks around it.
    pub fn count(&self, text: &str) -> usize {
        self.tokenizer.encode_fast(text, false).map_or(0, |encoding| encoding.len())
    }
}
