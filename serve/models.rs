//! Which models the process can open, by name. One that is open is not opened twice.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use engine::{Embedder, Result};
use index::search::PrefixWish;
use index::search::hashed::HashedEmbedder;
use index::search::room::Models;
use tokio::sync::Mutex;

use crate::cli::context::ContextArgs;
use crate::cli::embedder::EmbedderArgs;

/// Models by what the operator asked for, else what is there.
#[derive(Debug, Default)]
pub struct Named {
    wish: EmbedderArgs,
    context: ContextArgs,
    open: Mutex<HashMap<String, Option<Arc<dyn Embedder>>>>,
}

impl Named {
    /// As these options say; without any the model that was turned to last, else the best that was pulled.
    pub fn new(wish: EmbedderArgs) -> Named {
        Named { wish, context: ContextArgs::default(), open: Mutex::default() }
    }

    /// With a model that places chunks within their documents.
    pub fn placing(self, context: ContextArgs) -> Named {
        Named { context, ..self }
    }
}

#[async_trait]
impl Models for Named {
    async fn open(&self, name: Option<&str>, remembered: Option<&str>) -> Result<Option<Arc<dyn Embedder>>> {
        // A full name says which weights; a folder is found by what stands in front of them.
        let remembered =
            remembered.map(|name| name.split('@').next().unwrap_or(name)).filter(|_| self.wish.is_silent());
        let args = match name.or(remembered) {
            Some(name) => self.wish.clone().with_model(Some(name.to_owned())),
            None => self.wish.clone(),
        };
        let word = args.word().to_owned();
        let mut open = self.open.lock().await;
        if let Some(known) = open.get(&word) {
            return Ok(known.clone());
        }
        let opened = match HashedEmbedder::named(&word) {
            Some(model) => Some(Arc::new(model) as Arc<dyn Embedder>),
            None => args.open().await?,
        };
        open.insert(word, opened.clone());
        Ok(opened)
    }

    fn prefixes(&self) -> Result<PrefixWish> {
        self.context.wish()
    }
}
