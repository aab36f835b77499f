//! Clusters themselves: every kind that is asked for is listed in pages and watched, and the tables stay equal to the API
//! server's own state, after lost connections, expired versions and restarts of either side.
//!
//! One task a kind reads and decides; one place appends, in the order of each kind. Between them stands a short queue:
//! when the store is slow, the tasks stop reading and the API server keeps what they have not read. Nothing is held but a
//! few bytes an object (its key, version, tenant and parts), so that an object that a list no longer names can be marked
//! as gone, even if the list was cut short by the end of this process: the next start reads those keys from the tables.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::{Error, Frame, Kind, Result, Scope, Store};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::custom::Field;
use crate::{Parsed, Progress, Summary};

mod answer;
mod connection;
mod discovery;
mod known;
pub mod label;
mod pages;
mod reader;
mod status;

pub use status::K8S_WATCH;

use connection::{Connection, Failure};
use discovery::{Found, Resource, Wanted};
use known::Known;
use reader::Reader;
use status::{State, Status};

/// Frames that may wait for the store; the readers wait when it is full.
const FRAMES_WAITING_MAX: usize = 2;
/// JSON of objects in one frame.
const FRAME_BYTES: usize = 1 << 20;
/// Kinds that are listed at the same time.
const LISTS_MAX: usize = 2;
/// Messages that go to the store together.
const TOGETHER_MAX: usize = 4;
/// How long a frame waits at the least for a full store.
const OVERLOADED_PAUSE: Duration = Duration::from_millis(50);

/// What to follow.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Wish {
    /// Contexts of the kubeconfig; none is its current one.
    #[serde(default)]
    pub contexts: Vec<String>,
    /// The cluster that this process runs in, by its service account.
    #[serde(default)]
    pub in_cluster: bool,
    /// Stay and watch; otherwise list once.
    #[serde(default)]
    pub follow: bool,
    /// Resources beside the usual ones: `PLURAL.GROUP`, `*.GROUP`, `*`.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Resources that are left out.
    #[serde(default)]
    pub without: Vec<String>,
    /// Members of custom resources that are picked out.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// How often kinds are looked for that the cluster did not have.
    pub discover_every: Duration,
    /// How often everything is listed again, in case that something between us and the API server loses events.
    pub list_every: Duration,
    /// How often usage is asked for, where the cluster serves `metrics.k8s.io`.
    pub usage_every: Duration,
}

impl Default for Wish {
    fn default() -> Self {
        Wish {
            contexts: Vec::new(),
            in_cluster: false,
            follow: false,
            resources: Vec::new(),
            without: Vec::new(),
            fields: Vec::new(),
            discover_every: Duration::from_secs(30),
            list_every: Duration::from_secs(3600),
            usage_every: Duration::from_secs(60),
        }
    }
}

/// One cluster, as its readers share it.
struct Cluster {
    /// Its name in the tables.
    name: String,
    scope: Scope,
    /// Tenant of objects without the label.
    tenant: Option<String>,
    wish: Wish,
    connection: Connection,
    /// Turns for listing.
    lists: Semaphore,
}

impl Cluster {
    fn origin(&self) -> super::Origin<'_> {
        super::Origin { scope: &self.scope, cluster: &self.name, tenant: self.tenant.as_deref() }
    }
}

/// What a task tells the place that appends.
enum Message {
    /// Rows of one reader.
    Rows { reader: u64, parsed: Parsed, read_bytes: u64 },
    /// What a cluster serves now.
    Served { cluster: usize, found: Found },
    /// A reader has listed what it was to list, or says why not.
    Ended { reader: u64, failed: Option<String> },
    /// A cluster could not be asked what it serves.
    Unreached { cluster: usize, failure: Failure },
}

/// Follows the clusters of a wish until the caller goes away, or lists them once.
pub async fn run(
    store: &Store,
    scope: &Scope,
    kubeconfig: &Path,
    tenant: Option<&str>,
    name: Option<&str>,
    wish: &Wish,
    progress: &dyn Progress,
) -> Result<Summary> {
    let connections = Connection::open(kubeconfig, wish).await.map_err(|why| Error::invalid(why))?;
    if name.is_some() && connections.len() > 1 {
        return Err(Error::invalid("one name of a cluster cannot stand for several contexts"));
    }
    let (sender, receiver) = mpsc::channel(FRAMES_WAITING_MAX);
    let mut following = Following {
        store,
        clusters: Vec::new(),
        readers: HashMap::new(),
        tasks: JoinSet::new(),
        sender,
        next: 0,
        open: HashSet::new(),
        looked: HashSet::new(),
        summary: Summary::default(),
    };
    for (own_name, connection) in connections {
        let name = name.map_or(own_name, str::to_owned);
        progress.begin(Path::new(&name), 0);
        let (scope, tenant) = (scope.clone(), tenant.map(str::to_owned));
        let lists = Semaphore::new(LISTS_MAX);
        let cluster = Arc::new(Cluster { name, scope, tenant, wish: wish.clone(), connection, lists });
        let at = following.clusters.len();
        following.open.insert(Open::Discovery(at));
        following.tasks.spawn(discover(at, Arc::clone(&cluster), following.sender.clone()));
        following.clusters.push(cluster);
    }
    following.run(receiver, progress).await
}

/// Looks what a cluster serves, again and again where it is followed.
async fn discover(at: usize, cluster: Arc<Cluster>, sender: mpsc::Sender<Message>) {
    let wanted = Wanted::new(&cluster.wish.resources, &cluster.wish.without);
    let mut tried = 0;
    loop {
        let message = match discovery::discover(&cluster.connection, &wanted).await {
            Ok(found) => Message::Served { cluster: at, found },
            Err(failure) => Message::Unreached { cluster: at, failure },
        };
        let failed = matches!(message, Message::Unreached { .. });
        let once = !cluster.wish.follow;
        tried += 1;
        // A listing is worth a few tries, too.
        let last = once && (!failed || tried >= connection::TRIES_MAX);
        let tell = last || !once || !failed;
        if (tell && sender.send(message).await.is_err()) || last {
            return;
        }
        let pause = if failed { connection::pause(tried, None) } else { cluster.wish.discover_every };
        if !failed {
            tried = 0;
        }
        tokio::time::sleep(pause.min(cluster.wish.discover_every.max(Duration::from_millis(100)))).await;
    }
}

/// What a listing still waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Open {
    Discovery(usize),
    Reader(u64),
}

/// A reader that runs.
struct Running {
    cluster: usize,
    resource: Resource,
    task: tokio::task::AbortHandle,
}

/// The place that appends.
struct Following<'a> {
    store: &'a Store,
    clusters: Vec<Arc<Cluster>>,
    readers: HashMap<u64, Running>,
    /// Ends every task when it is dropped.
    tasks: JoinSet<()>,
    sender: mpsc::Sender<Message>,
    next: u64,
    open: HashSet<Open>,
    /// Clusters whose kinds of an earlier process were compared with what they serve.
    looked: HashSet<usize>,
    summary: Summary,
}

impl Following<'_> {
    async fn run(mut self, mut receiver: mpsc::Receiver<Message>, progress: &dyn Progress) -> Result<Summary> {
        let follow = self.clusters.first().is_some_and(|cluster| cluster.wish.follow);
        let mut together = Vec::new();
        while follow || !self.open.is_empty() {
            if receiver.recv_many(&mut together, TOGETHER_MAX).await == 0 {
                break;
            }
            let mut frame = Frame::new("k8s/live");
            for message in together.drain(..) {
                match message {
                    // What a reader sent before it was stopped is not true any more.
                    Message::Rows { reader, .. } if !self.readers.contains_key(&reader) => {}
                    Message::Rows { parsed, read_bytes, reader } => {
                        progress.advance(read_bytes);
                        self.summary.accepted += parsed.accepted;
                        self.summary.rejected += parsed.rejects.len() as u64;
                        let cluster = self.readers.get(&reader).map_or(0, |running| running.cluster);
                        let part = parsed.into_frame("k8s/live", &self.clusters[cluster].scope);
                        frame.batches.extend(part.batches);
                    }
                    Message::Served { cluster, found } => {
                        self.append(std::mem::replace(&mut frame, Frame::new("k8s/live"))).await?;
                        self.served(cluster, found).await?;
                        self.open.remove(&Open::Discovery(cluster));
                    }
                    Message::Ended { reader, failed } => self.ended(reader, failed),
                    Message::Unreached { cluster, failure } => self.unreached(cluster, &failure),
                }
            }
            self.append(frame).await?;
        }
        self.summary.files = self.clusters.len() as u64;
        Ok(self.summary)
    }

    fn unreached(&mut self, cluster: usize, failure: &Failure) {
        let name = &self.clusters[cluster].name;
        tracing::warn!(cluster = %name, %failure, "the cluster cannot be asked what it serves");
        if self.open.remove(&Open::Discovery(cluster)) && !self.clusters[cluster].wish.follow {
            self.summary.refused += 1;
            self.summary.notes.push(format!("{name}: {failure}"));
        }
    }

    fn ended(&mut self, reader: u64, failed: Option<String>) {
        self.open.remove(&Open::Reader(reader));
        if let (Some(running), Some(why)) = (self.readers.get(&reader), failed) {
            self.summary.refused += 1;
            let cluster = &self.clusters[running.cluster].name;
            self.summary.notes.push(format!("{cluster}: {}: {why}", running.resource));
        }
    }

    /// Starts a reader for each new kind, and takes away what belonged to kinds that are served no more.
    async fn served(&mut self, cluster: usize, found: Found) -> Result<()> {
        let of = Arc::clone(&self.clusters[cluster]);
        for resource in &found.resources {
            let runs = |r: &Running| r.cluster == cluster && r.resource.is_same_kind(resource);
            match self.readers.iter().find(|(_, r)| runs(r)).map(|(id, r)| (*id, r.resource == *resource)) {
                Some((_, true)) => continue,
                // Another version of the kind is preferred now.
                Some((id, false)) => self.stop(id),
                None => {}
            }
            self.start(cluster, &of, resource.clone()).await?;
        }
        let gone = |running: &Running| running.cluster == cluster && found.lacks(&running.resource);
        let stopped: Vec<u64> = self.readers.iter().filter(|(_, r)| gone(r)).map(|(id, _)| *id).collect();
        let mut lost: Vec<Resource> = Vec::new();
        for id in stopped {
            lost.extend(self.readers.get(&id).map(|running| running.resource.clone()));
            self.stop(id);
        }
        // Kinds that went while nobody looked; later ones have a reader that goes with them.
        if !self.looked.contains(&cluster) {
            for resource in status::followed(self.store, &of).await? {
                if found.lacks(&resource) && !lost.iter().any(|known| known.is_same_kind(&resource)) {
                    lost.push(resource);
                }
            }
            if found.is_whole() {
                self.looked.insert(cluster);
            }
        }
        for resource in lost {
            self.take_away(&of, &resource).await?;
        }
        Ok(())
    }

    async fn start(&mut self, cluster: usize, of: &Arc<Cluster>, resource: Resource) -> Result<()> {
        let known = Known::load(self.store, of, &resource).await?;
        let id = self.next;
        self.next += 1;
        let reader = Reader::new(id, Arc::clone(of), resource.clone(), known, self.sender.clone());
        let task = self.tasks.spawn(reader.run());
        self.readers.insert(id, Running { cluster, resource, task });
        if !of.wish.follow {
            self.open.insert(Open::Reader(id));
        }
        Ok(())
    }

    fn stop(&mut self, reader: u64) {
        if let Some(running) = self.readers.remove(&reader) {
            running.task.abort();
            self.open.remove(&Open::Reader(reader));
        }
    }

    /// Marks every object of a kind as gone.
    async fn take_away(&mut self, cluster: &Cluster, resource: &Resource) -> Result<()> {
        tracing::info!(cluster = %cluster.name, %resource, "the cluster serves this kind no more");
        let mut known = Known::load(self.store, cluster, resource).await?;
        known.begin_listing();
        let mut status = Status::new(resource);
        status.state = State::Gone;
        for mut parsed in reader::endings(cluster, resource, &mut known) {
            self.summary.accepted += parsed.accepted;
            let rejects = std::mem::take(&mut parsed.rejects);
            debug_assert!(rejects.is_empty(), "an end is no record of anybody's");
            self.append(parsed.into_frame("k8s/live", &cluster.scope)).await?;
        }
        let mut frame = Frame::new("k8s/live");
        frame.batches.extend(status.batch(cluster, self.store.clock().now_us()));
        self.append(frame).await
    }

    /// A full store is waited for: the API server still has what is not read.
    async fn append(&mut self, frame: Frame) -> Result<()> {
        if frame.batches.is_empty() {
            return Ok(());
        }
        loop {
            match self.store.append(frame.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) => match error.kind() {
                    Kind::Overloaded { retry_after } => tokio::time::sleep(retry_after.max(OVERLOADED_PAUSE)).await,
                    _ => {
                        return Err(error.context("append what a cluster said"));
                    }
                },
            }
        }
    }
}
