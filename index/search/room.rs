//! The search as the rest of the process holds it: opened when somebody first asks, since most commands never do; followed
//! in the background where a server runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use engine::{Embedder, Error, Kind, Result, Store};
use parking_lot::{Mutex, RwLock};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use super::follow::REST;
use super::switch::remembered;
use super::{IndexStatus, PrefixWish, Searcher};

/// How long the follower waits after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Longest that it waits until a model that failed is asked for prefixes again.
const PREFIX_PAUSE_MAX: Duration = Duration::from_secs(300);
/// Chunks that a question has embedded before it is answered; more are left to a server, or to whoever builds the index.
const EMBEDDED_IN_PASSING_MAX: u64 = 2_000;
/// How often the vectors are written beside the store while they change.
const SAVE_EVERY: Duration = Duration::from_secs(300);

/// Where what is derived lies, beside a store's data.
pub fn dir(data: &Path) -> PathBuf {
    data.join("index")
}

/// What opens models.
#[async_trait]
pub trait Models: Send + Sync + std::fmt::Debug {
    /// The model of this name; without a name the one that the settings ask for, or `None` where there is none.
    /// `remembered` is the full name of the one that was turned to last.
    async fn open(&self, name: Option<&str>, remembered: Option<&str>) -> Result<Option<Arc<dyn Embedder>>>;

    /// What the settings wish of prefixes.
    fn prefixes(&self) -> Result<PrefixWish> {
        Ok(PrefixWish::Keep)
    }
}

/// Opens no model: full text only.
#[derive(Debug)]
pub struct NoModels;

#[async_trait]
impl Models for NoModels {
    async fn open(&self, name: Option<&str>, _: Option<&str>) -> Result<Option<Arc<dyn Embedder>>> {
        match name {
            Some(name) => Err(Error::new(Kind::NotFound, format!("there is no model {name}"))),
            None => Ok(None),
        }
    }
}

#[derive(Debug, Clone)]
struct Furniture {
    store: Arc<Store>,
    models: Arc<dyn Models>,
    dir: PathBuf,
}

/// Who keeps the index up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Keeping {
    /// Whoever asks: a command over a store that no server follows.
    #[default]
    WhoeverAsks,
    /// Tasks of this process.
    Followed,
    /// Nobody but who builds it.
    Nobody,
}

/// The search of a process.
#[derive(Debug, Default)]
pub struct SearchRoom {
    furniture: RwLock<Option<Furniture>>,
    searcher: RwLock<Arc<OnceCell<Arc<Searcher>>>>,
    /// An erasure is at work: nothing is searched or derived.
    resting: AtomicBool,
    keeping: RwLock<Keeping>,
    /// The tasks that follow.
    followers: Mutex<Vec<JoinHandle<()>>>,
}

impl SearchRoom {
    /// A room without a store; SQL's functions already know it.
    pub fn new() -> Arc<SearchRoom> {
        Arc::default()
    }

    /// Gives it the store.
    pub fn furnish(&self, store: Arc<Store>, models: Arc<dyn Models>) {
        let dir = dir(&store.settings().data);
        *self.furniture.write() = Some(Furniture { store, models, dir });
    }

    fn furniture(&self) -> Result<Furniture> {
        let missing = || Error::new(Kind::Unavailable, "the search is not ready");
        self.furniture.read().clone().ok_or_else(missing)
    }

    /// The index, opened by whoever asks first.
    pub async fn searcher(&self) -> Result<Arc<Searcher>> {
        if self.resting.load(Ordering::SeqCst) {
            let kind = Kind::Overloaded { retry_after: AFTER_FAILURE };
            return Err(Error::new(
                kind,
                "an erasure is at work, and the index is built anew after it; ask again soon",
            ));
        }
        let open = || async {
            let Furniture { store, models, dir } = self.furniture()?;
            let last = remembered(&dir);
            let embedder = match models.open(None, last.as_deref()).await {
                Ok(embedder) => embedder,
                Err(error) => {
                    tracing::error!(%error, "the model cannot be used: full text only");
                    None
                }
            };
            if embedder.is_none() {
                tracing::warn!("there is no model: searches find by words only; `stellwerk model pull` fetches one");
            }
            let searcher = Searcher::open(store, embedder, &dir).await?;
            searcher.wish_prefixes(models.prefixes()?).await?;
            Ok(searcher)
        };
        let cell = self.searcher.read().clone();
        cell.get_or_try_init(open).await.cloned()
    }

    /// The index as somebody asks it: where no task follows the sources, what was written is made findable by its words first,
    /// and by its meaning where that takes no while.
    pub async fn ready(&self) -> Result<Arc<Searcher>> {
        let searcher = self.searcher().await?;
        if *self.keeping.read() == Keeping::WhoeverAsks {
            searcher.follow_all().await?;
            let missing = searcher.status().active.map_or(0, |active| active.missing);
            if missing <= EMBEDDED_IN_PASSING_MAX {
                while searcher.embed_some().await? {}
            }
        }
        Ok(searcher)
    }

    /// How far the index is. Where no task follows the sources, they are looked at first: else nobody knew what waits.
    pub async fn status(&self) -> Result<IndexStatus> {
        let searcher = self.searcher().await?;
        if *self.keeping.read() != Keeping::Followed {
            let looked = searcher.look_around().await;
            searcher.tell_failure(true, looked.as_ref().err());
        }
        Ok(searcher.status())
    }

    /// Leaves the index as it is until somebody builds it.
    pub fn leave(&self) {
        *self.keeping.write() = Keeping::Nobody;
    }

    /// The index, if somebody opened it.
    pub fn opened(&self) -> Option<Arc<Searcher>> {
        self.searcher.read().get().cloned()
    }

    /// Refuses a wish about prefixes that is not the one of the process's settings.
    pub fn refuse_other(&self, wish: &PrefixWish) -> Result<()> {
        let own = self.furniture()?.models.prefixes()?;
        let same = match (wish, &own) {
            (PrefixWish::Keep, _) | (PrefixWish::TakeOut, PrefixWish::TakeOut) => true,
            (PrefixWish::Write(wish), PrefixWish::Write(own)) => wish.name() == own.name(),
            _ => false,
        };
        let why = "the server that runs here was started with another --context-model; start it anew with this one";
        if same { Ok(()) } else { Err(Error::new(Kind::Conflict, why)) }
    }

    /// Makes a model ready beside the one in use and turns to it; without a name brings the index up to date. Then the chunks
    /// that wait for a prefix get theirs; a model that fails at that ends it with an error, and all the rest is done.
    pub async fn build(&self, model: Option<&str>, tell: &mut (dyn FnMut(&IndexStatus) + Send)) -> Result<IndexStatus> {
        let searcher = self.searcher().await?;
        match model {
            None => searcher.sync_watched(tell).await?,
            Some(name) => {
                let embedder = self.furniture()?.models.open(Some(name), None).await?;
                let embedder =
                    embedder.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no model {name}")))?;
                searcher.switch(embedder, tell).await?;
            }
        }
        let placed = searcher.place_all(tell).await;
        searcher.save()?;
        placed.map_err(|error| error.context("write prefixes; everything else is up to date"))?;
        Ok(searcher.status())
    }

    /// Keeps the index up to date until the room is gone: words in one task, vectors in another, prefixes in a third, so that a
    /// model that is slow keeps no text from being found.
    pub fn follow(self: &Arc<Self>) {
        *self.keeping.write() = Keeping::Followed;
        let spawn = |leg| tokio::spawn(follow(Arc::downgrade(self), leg));
        self.followers.lock().extend([Leg::Words, Leg::Vectors, Leg::Prefixes].map(spawn));
    }

    /// Ends the tasks that follow. What they were at is taken up again by the next ones.
    async fn stop_following(&self) {
        let followers = std::mem::take(&mut *self.followers.lock());
        for follower in followers {
            follower.abort();
            let _ = follower.await;
        }
        if let Some(searcher) = self.opened() {
            searcher.rest().await;
        }
    }

    /// Lets go of the index: nothing is searched or derived until [`SearchRoom::renew`].
    pub(super) async fn rest(&self) {
        self.resting.store(true, Ordering::SeqCst);
        self.stop_following().await;
        *self.searcher.write() = Arc::default();
    }

    /// Derives anew from what the store holds, where somebody follows it.
    pub(super) fn wake(self: &Arc<Self>) {
        self.resting.store(false, Ordering::SeqCst);
        if *self.keeping.read() == Keeping::Followed {
            self.follow();
        }
    }

    /// The store, and the folder of what is derived.
    pub(super) fn place(&self) -> Result<(Arc<Store>, PathBuf)> {
        self.furniture().map(|furniture| (furniture.store, furniture.dir))
    }

    /// Writes what the next start can use, and lets go of the store.
    pub async fn close(&self) -> Result<()> {
        *self.furniture.write() = None;
        // What they write now would outlive the last flush.
        self.stop_following().await;
        self.opened().map_or(Ok(()), |searcher| searcher.save())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leg {
    Words,
    Vectors,
    Prefixes,
}

/// How long a leg waits after so many failures, one after the other.
fn pause_after(leg: Leg, failures: u32, error: &Error) -> Duration {
    let wanted = match error.kind() {
        Kind::Overloaded { retry_after } => retry_after,
        _ => AFTER_FAILURE,
    };
    match leg {
        Leg::Words | Leg::Vectors => wanted.min(AFTER_FAILURE),
        // Somebody else's server, which may be paid by the question.
        Leg::Prefixes => (AFTER_FAILURE * (1 << failures.min(8))).max(wanted).min(PREFIX_PAUSE_MAX),
    }
}

async fn follow(room: Weak<SearchRoom>, leg: Leg) {
    let mut saved = std::time::Instant::now();
    let mut worked = false;
    let mut failures = 0;
    loop {
        let pause = {
            let Some(room) = room.upgrade() else { return };
            if room.furniture.read().is_none() {
                return;
            }
            let step = async {
                let searcher = room.searcher().await?;
                let more = match leg {
                    Leg::Words => searcher.follow_some().await,
                    Leg::Vectors => searcher.embed_some().await,
                    // What they failed of stands in a place of its own.
                    Leg::Prefixes => return searcher.place_some().await,
                };
                searcher.tell_failure(leg == Leg::Words, more.as_ref().err());
                if leg == Leg::Vectors && worked && saved.elapsed() > SAVE_EVERY {
                    (saved, worked) = (std::time::Instant::now(), false);
                    searcher.save()?;
                }
                more
            };
            match step.await {
                Ok(more) => {
                    failures = 0;
                    worked |= more;
                    if more { Duration::ZERO } else { REST }
                }
                // The process is stopping.
                Err(_) if room.furniture.read().is_none() => return,
                Err(error) => {
                    tracing::warn!(%error, ?leg, "the index does not follow its sources; it is tried again");
                    let pause = pause_after(leg, failures, &error);
                    failures += 1;
                    pause
                }
            }
        };
        match pause.is_zero() {
            true => tokio::task::yield_now().await,
            false => tokio::time::sleep(pause).await,
        }
    }
}
