//! A local model whose weights are read with the first text: a server that embeds nothing starts as quickly and stays as small
//! as one without a model. What the folder's small files say is known at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use engine::{Embedder, Error, Purpose, Result};
use parking_lot::Mutex;

use super::config::Config;
use super::{LocalEmbedder, Options, WEIGHTS, model_name};
use crate::model::manifest::{Manifest, hash};

/// Bytes that a token has at least on average, for estimates where the tokenizer cannot be read.
const TOKEN_BYTES: usize = 3;

/// A local model that is loaded when it is needed.
#[derive(Debug, Clone)]
pub struct LazyEmbedder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    options: Options,
    name: String,
    config: Config,
    loaded: Mutex<Option<LocalEmbedder>>,
    /// The last try to load it failed.
    failed: AtomicBool,
}

impl LazyEmbedder {
    /// Reads what a folder says about its model.
    pub fn open(folder: &Path, options: Options) -> Result<LazyEmbedder> {
        options.device.check(options.precision)?;
        let config = Config::read(folder)?;
        let pulled = Manifest::read(folder)?.and_then(|manifest| manifest.files.get(WEIGHTS).cloned());
        let hash = pulled.map_or_else(|| hash(&folder.join(WEIGHTS)), Ok)?;
        let name = model_name(&config.name, &hash, options.precision);
        let inner = Inner {
            folder: folder.to_owned(),
            options,
            name,
            config,
            loaded: Mutex::default(),
            failed: AtomicBool::new(false),
        };
        Ok(LazyEmbedder { inner: Arc::new(inner) })
    }

    /// The loaded model; whoever comes first loads it, the others wait. Blocks.
    pub fn load(&self) -> Result<LocalEmbedder> {
        let mut loaded = self.inner.loaded.lock();
        if let Some(model) = &*loaded {
            return Ok(model.clone());
        }
        let model = LocalEmbedder::load(&self.inner.folder, self.inner.options);
        self.inner.failed.store(model.is_err(), Ordering::Relaxed);
        let model = model?;
        *loaded = Some(model.clone());
        Ok(model)
    }

    async fn loaded(&self) -> Result<LocalEmbedder> {
        let lazy = self.clone();
        let loading = tokio::task::spawn_blocking(move || lazy.load());
        loading.await.map_err(|e| Error::unavailable("load the model", e))?
    }
}

#[async_trait]
impl Embedder for LazyEmbedder {
    fn model(&self) -> &str {
        &self.inner.name
    }

    fn width(&self) -> usize {
        self.inner.config.hidden
    }

    /// Loads the model, since only its tokenizer knows; an estimate where that failed, and embedding, which tries again, will
    /// say why. Each of many texts would else read all weights in vain.
    fn tokens(&self, text: &str) -> usize {
        let estimate = || text.len().div_ceil(TOKEN_BYTES);
        if self.inner.failed.load(Ordering::Relaxed) {
            return estimate();
        }
        self.load().map_or_else(|_| estimate(), |model| model.tokens(text))
    }

    fn tokens_max(&self) -> usize {
        self.inner.config.text_tokens_max()
    }

    async fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Vec<Vec<f32>>> {
        self.loaded().await?.embed(texts, purpose).await
    }
}
