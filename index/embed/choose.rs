//! Which model embeds: the one that was asked for, or the best that lies in the cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Embedder, Error, Kind, Result};

use super::{LazyEmbedder, Options, RemoteEmbedder, RemoteSettings};
use crate::model;

/// Models that are taken by themselves when they were pulled, the first first.
pub const PREFERRED: &[&str] = &["multilingual-e5-small", "all-MiniLM-L6-v2"];

/// What embeds.
#[derive(Debug, Clone)]
pub enum Wish {
    /// The first of [`PREFERRED`] that was pulled, or nothing.
    WhatIsThere,
    /// Nothing: full text only.
    Nothing,
    /// A pulled model.
    Named(String),
    /// A model's folder.
    Folder(PathBuf),
    /// A server's model.
    Server(RemoteSettings),
}

/// Opens what embeds; a local model is loaded with the first text. `None` means full text only; the caller says so.
pub async fn choose(cache: &Path, wish: Wish, options: Options) -> Result<Option<Arc<dyn Embedder>>> {
    let folder = match wish {
        Wish::Nothing => return Ok(None),
        Wish::Server(settings) => return Ok(Some(Arc::new(RemoteEmbedder::connect(settings).await?))),
        Wish::Folder(folder) => folder,
        Wish::Named(name) if model::present(cache, &name) => model::folder(cache, &name),
        Wish::Named(name) => {
            let text = format!("the model {name} was not pulled: `stellwerk model pull {name}` fetches it");
            return Err(Error::new(Kind::NotFound, text));
        }
        Wish::WhatIsThere => match PREFERRED.iter().find(|name| model::present(cache, name)) {
            Some(name) => model::folder(cache, name),
            None => return Ok(None),
        },
    };
    let open = move || LazyEmbedder::open(&folder, options);
    let opened = tokio::task::spawn_blocking(open).await.map_err(|e| Error::unavailable("open the model", e))??;
    Ok(Some(Arc::new(opened)))
}
