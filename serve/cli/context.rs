//! Which model places chunks within their documents: options of the commands that build an index or measure one.

use std::sync::Arc;

use ::ingest::ado::client::secret::SecretRef;
use clap::Args;
use engine::{Error, Result};
use index::chat::Upstream;
use index::prefix::Writer;
use index::search::PrefixWish;

use crate::answers::upstream;

/// Which model places chunks within their documents.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Model that places chunks within their documents")]
pub struct ContextArgs {
    /// URL#MODEL of a server that speaks OpenAI's interface (https://host/v1#name). For each chunk of a document of several it
    /// is asked for one or two sentences, which are searched in front of the chunk and never shown as the document's; each
    /// document is sent to it once a chunk, and asked about again only where it changed. With none, sentences that are there
    /// are taken out again; without the option they stay, and nobody is asked.
    #[arg(long, value_name = "URL#MODEL|none", env = "STELLWERK_CONTEXT_MODEL")]
    context_model: Option<String>,
    /// The server's key: env:NAME or file:PATH.
    #[arg(long, value_name = "SECRET", env = "STELLWERK_CONTEXT_KEY", requires = "context_model")]
    context_key: Option<SecretRef>,
    /// Tokens of question and answer together that the model takes; of a document that is longer, the part around the chunk
    /// is sent. 8192 where nothing is said.
    #[arg(long, value_name = "TOKENS", env = "STELLWERK_CONTEXT_TOKENS", requires = "context_model")]
    context_tokens: Option<usize>,
}

impl ContextArgs {
    /// As somebody else wrote the option.
    pub fn of_word(word: Option<String>) -> ContextArgs {
        ContextArgs { context_model: word, ..ContextArgs::default() }
    }

    /// What was written for the model, if anything was.
    pub fn word(&self) -> Option<&str> {
        self.context_model.as_deref().map(str::trim).filter(|word| !word.is_empty())
    }

    /// What is wished. The server is not asked yet.
    pub fn wish(&self) -> Result<PrefixWish> {
        let Some(word) = self.word() else { return Ok(PrefixWish::Keep) };
        if word == "none" {
            return Ok(PrefixWish::TakeOut);
        }
        if !word.starts_with("http://") && !word.starts_with("https://") {
            let text =
                format!("--context-model is a server's URL and model, https://host/v1#MODEL, or none; not {word}");
            return Err(Error::invalid(text));
        }
        let mut settings = upstream(word, self.context_key.clone())?;
        if let Some(tokens) = self.context_tokens {
            settings.context_tokens = tokens;
        }
        let writer = Writer::new(Arc::new(Upstream::new(settings)?));
        Ok(PrefixWish::Write(Arc::new(writer.map_err(|error| error.context("--context-tokens"))?)))
    }

    /// The model, for whoever only measures.
    pub fn writer(&self) -> Result<Option<Arc<Writer>>> {
        match self.wish()? {
            PrefixWish::Write(writer) => Ok(Some(writer)),
            PrefixWish::Keep | PrefixWish::TakeOut => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_for_a_model() {
        let args = |word: &str| ContextArgs { context_model: Some(word.to_owned()), ..ContextArgs::default() };
        assert!(matches!(ContextArgs::default().wish().unwrap(), PrefixWish::Keep));
        assert!(matches!(args(" ").wish().unwrap(), PrefixWish::Keep));
        assert!(matches!(args("none").wish().unwrap(), PrefixWish::TakeOut));
        let PrefixWish::Write(writer) = args("https://h/v1#gpt-x").wish().unwrap() else { panic!("a model") };
        assert!(writer.name().starts_with("gpt-x "), "{}", writer.name());
        for (word, tokens, why) in [
            ("gpt-x", None, "not gpt-x"),
            ("https://h/v1", None, "#MODEL"),
            ("https://h/v1#m", Some(900), "900 tokens leave a model no room"),
        ] {
            let refused = ContextArgs { context_tokens: tokens, ..args(word) }.wish().unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
        assert!(args("none").writer().unwrap().is_none() && args("http://h/v1#m").writer().unwrap().is_some());
    }
}
