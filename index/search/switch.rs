//! Another model: its vectors are made beside those in use, and questions turn to it in one moment. The old ones stay until
//! somebody drops them.

use std::path::Path;
use std::sync::Arc;

use engine::fault::{Point, reached};
use engine::{Embedder, Error, Kind, Result};

use super::Searcher;
use super::follow::Followed;
use super::space::Space;
use super::status::IndexStatus;

/// The file that names the model in use.
pub(super) const ACTIVE: &str = "model";

impl Searcher {
    /// Makes a model ready and turns to it. Until then questions use the old one; a failure leaves that in place.
    pub async fn switch(&self, embedder: Arc<dyn Embedder>, tell: &mut (dyn FnMut(&IndexStatus) + Send)) -> Result<()> {
        if self.active.read().as_ref().is_some_and(|space| space.model() == embedder.model()) {
            return self.sync_watched(tell).await;
        }
        {
            let next = self.next.read();
            if let Some(next) = next.as_ref().filter(|next| next.model() != embedder.model()) {
                let why = format!("the model {} is being made ready; wait for it", next.model());
                return Err(Error::new(Kind::Conflict, why));
            }
        }
        let space = Arc::new(Space::open(&self.store, embedder, &self.shelf, &self.dir, true).await?);
        *self.next.write() = Some(space.clone());
        let made = self.make_ready(&space, tell).await;
        if made.is_ok() {
            // One moment: whoever asks from now on asks the new model.
            let old = self.active.write().replace(space.clone());
            *self.next.write() = None;
            reached(Point::ModelSwitched);
            drop(old);
            self.remember(space.model())?;
            // Texts are cut by the tokens of the new model, one after the other; each is found at every moment.
            *self.followed.lock().await = Followed::all(&self.store);
            return self.sync_watched(tell).await;
        }
        *self.next.write() = None;
        made
    }

    async fn make_ready(&self, space: &Space, tell: &mut (dyn FnMut(&IndexStatus) + Send)) -> Result<()> {
        loop {
            self.step(true).await?;
            if space.missing(&self.shelf).is_empty() {
                return space.save();
            }
            space.fill(&self.store, &self.shelf, &self.passages, super::EMBEDDED_A_STEP).await?;
            tell(&self.status());
        }
    }

    /// Deletes the vectors of a model, or the prefixes that it wrote; vectors of the one in use only after questions have let go of it.
    pub async fn drop_model(&self, model: &str) -> Result<u64> {
        if self.next.read().as_ref().is_some_and(|next| next.model() == model) {
            return Err(Error::new(Kind::Conflict, format!("the model {model} is being made ready")));
        }
        {
            let mut active = self.active.write();
            if active.as_ref().is_some_and(|active| active.model() == model) {
                *active = None;
                self.forget()?;
            }
        }
        Ok(Space::drop(&self.store, &self.dir, model).await? + self.drop_prefixes(model).await?)
    }

    /// The next start turns to no model by itself.
    fn forget(&self) -> Result<()> {
        match std::fs::remove_file(self.dir.join(ACTIVE)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::unavailable("forget the model in use", e)),
            _ => Ok(()),
        }
    }

    fn remember(&self, model: &str) -> Result<()> {
        let doing = |e| Error::unavailable("note which model is in use", e);
        let fresh = self.dir.join(format!("{ACTIVE}.new"));
        std::fs::write(&fresh, model).map_err(doing)?;
        std::fs::rename(&fresh, self.dir.join(ACTIVE)).map_err(doing)
    }
}

/// The model that was turned to last, as its name was.
pub fn remembered(dir: &Path) -> Option<String> {
    std::fs::read_to_string(dir.join(ACTIVE)).ok().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}
