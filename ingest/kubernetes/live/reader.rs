//! One kind of one cluster: listed in pages, then watched from the list's version on, and listed again whenever the
//! stream cannot be trusted: its version expired, something came out of order, or it is time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Clock, WallClock};
use serde_json::Value;
use tokio::sync::mpsc;

use super::answer::Answer;
use super::connection::{Failure, TRIES_MAX, pause};
use super::discovery::Resource;
use super::known::{Known, Version};
use super::pages::Pages;
use super::status::{State, Status};
use super::{Cluster, FRAME_BYTES, Message};
use crate::Parsed;
use crate::json::at;
use crate::kubernetes::unit::{Identity, Trace, Unit};

/// Objects on a page of a list.
const PAGE_OBJECTS: usize = 500;
/// Lists that begin anew because their token expired, before all is asked for on one page: that comes from the API
/// server's memory, where nothing expires.
const EXPIRED_MAX: u32 = 2;
/// How long the API server may keep a watch open, at the least; up to a third is added, so that not all end together.
const WATCH_SECONDS_MIN: u64 = 240;
/// Longest silence of a watch; API servers send a bookmark a minute.
const SILENCE_MAX: Duration = Duration::from_secs(150);
/// How often a stream says how it is, if nothing else happens.
const STATUS_EVERY: Duration = Duration::from_secs(20);
/// How long a kind waits that may not be read.
const DENIED_PAUSE: Duration = Duration::from_secs(60);
/// Ends of objects in one frame.
const ENDS_MAX: usize = 2_000;
/// Bytes of one line of a watch.
const LINE_BYTES_MAX: usize = 16 << 20;

/// The place that appends is gone, so is the reason to read.
struct Unheard;

/// Why a watch ended.
enum End {
    /// The API server ended it; it goes on from where it was.
    Closed,
    /// Everything must be listed again, for this reason.
    Again(&'static str),
    Failed(Failure),
    Unheard,
}

impl From<Unheard> for End {
    fn from(_: Unheard) -> Self {
        End::Unheard
    }
}

/// Why a list did not come to its end.
enum Broken {
    Failed(Failure),
    Unheard,
}

impl From<Unheard> for Broken {
    fn from(_: Unheard) -> Self {
        Broken::Unheard
    }
}

/// Reads one kind of one cluster.
pub struct Reader {
    id: u64,
    cluster: Arc<Cluster>,
    resource: Resource,
    known: Known,
    status: Status,
    to: mpsc::Sender<Message>,
    /// The newest version that the stream has shown.
    newest: Version,
    told: Instant,
    /// Bytes read and not yet told.
    read_bytes: u64,
}

fn now_us() -> i64 {
    WallClock.now_us()
}

impl Reader {
    /// Of what the tables hold already.
    pub fn new(id: u64, cluster: Arc<Cluster>, resource: Resource, known: Known, to: mpsc::Sender<Message>) -> Self {
        let status = Status::new(&resource);
        let newest = Version::Word(0);
        Reader { id, cluster, resource, known, status, to, newest, told: Instant::now(), read_bytes: 0 }
    }

    /// Reads until nobody listens; once, where the cluster is not followed.
    pub async fn run(mut self) {
        if self.cluster.wish.follow {
            // Ends when nobody listens any more.
            let Unheard = self.follow().await;
            return;
        }
        let mut tried = 0;
        let failed = loop {
            match self.list().await {
                Ok(_) => break None,
                Err(Broken::Unheard) => return,
                Err(Broken::Failed(failure)) if failure.is_passing() && tried < TRIES_MAX => {
                    tokio::time::sleep(pause(tried, failure.retry_after)).await;
                    tried += 1;
                }
                Err(Broken::Failed(failure)) => break Some(failure.to_string()),
            }
        };
        let _ = self.to.send(Message::Ended { reader: self.id, failed }).await;
    }

    async fn follow(&mut self) -> Unheard {
        let mut tried = 0;
        loop {
            match self.list().await {
                Ok(_) if self.resource.is_usage() => tokio::time::sleep(self.cluster.wish.usage_every).await,
                Ok(version) => {
                    tried = 0;
                    match self.watch(version).await {
                        Ok(why) => {
                            tracing::info!(cluster = %self.cluster.name, resource = %self.resource, why, "listing again")
                        }
                        Err(unheard) => return unheard,
                    }
                }
                Err(Broken::Unheard) => return Unheard,
                Err(Broken::Failed(failure)) => {
                    let wait = match failure.status {
                        Some(401 | 403) if tried > 2 => DENIED_PAUSE,
                        // A kind that went away and came back between two looks at the kinds keeps its reader.
                        Some(404) => pause(tried, failure.retry_after).min(self.cluster.wish.discover_every),
                        _ => pause(tried, failure.retry_after),
                    };
                    if self.failed(&failure).await.is_err() {
                        return Unheard;
                    }
                    tokio::time::sleep(wait).await;
                    tried += 1;
                }
            }
        }
    }

    /// Sends rows, with how the stream is if it is time or `state` changed.
    async fn send(&mut self, unit: Unit<'_>, urgent: bool) -> Result<(), Unheard> {
        let mut parsed = unit.finish();
        if urgent || self.told.elapsed() >= STATUS_EVERY {
            self.status.objects = self.known.len();
            parsed.batches.extend(self.status.batch(&self.cluster, now_us()));
            self.told = Instant::now();
        }
        self.send_parsed(parsed).await
    }

    async fn send_parsed(&mut self, parsed: Parsed) -> Result<(), Unheard> {
        let read_bytes = std::mem::take(&mut self.read_bytes);
        if parsed.batches.is_empty() && parsed.rejects.is_empty() && read_bytes == 0 {
            return Ok(());
        }
        let message = Message::Rows { reader: self.id, parsed, read_bytes };
        self.to.send(message).await.map_err(|_| Unheard)
    }

    async fn failed(&mut self, failure: &Failure) -> Result<(), Unheard> {
        tracing::debug!(cluster = %self.cluster.name, resource = %self.resource, %failure, "the API server did not answer");
        self.status.state = State::Waiting;
        self.status.failures += 1;
        self.status.last_failure = Some((failure.to_string(), now_us()));
        let cluster = Arc::clone(&self.cluster);
        self.send(Unit::new(cluster.origin(), &cluster.wish.fields), true).await
    }

    /// Lists everything; answers the version from which to watch.
    async fn list(&mut self) -> Result<String, Broken> {
        let cluster = Arc::clone(&self.cluster);
        let _turn = cluster.lists.acquire().await.map_err(|_| Broken::Unheard)?;
        let began = Instant::now();
        self.status.state = State::Listing;
        self.known.begin_listing();
        let (mut expired, mut tried) = (0, 0);
        let (mut token, mut version): (Option<String>, Option<String>) = (None, None);
        loop {
            match self.page(token.as_deref(), expired > EXPIRED_MAX).await {
                Ok(rest) => {
                    tried = 0;
                    let word = |name: &str| at(&rest, &["metadata", name]).and_then(Value::as_str).unwrap_or_default();
                    // Of the first page: what changed behind it comes over the watch.
                    version.get_or_insert_with(|| word("resourceVersion").to_owned());
                    match word("continue") {
                        "" => break,
                        next => token = Some(next.to_owned()),
                    }
                }
                Err(Broken::Failed(failure)) if failure.is_expired() && expired <= EXPIRED_MAX => {
                    expired += 1;
                    self.known.begin_listing();
                    (token, version) = (None, None);
                }
                Err(Broken::Failed(failure)) if failure.is_passing() && token.is_some() && tried < TRIES_MAX => {
                    tokio::time::sleep(pause(tried, failure.retry_after)).await;
                    tried += 1;
                }
                Err(broken) => return Err(broken),
            }
        }
        let version = version.unwrap_or_default();
        if !self.resource.is_usage() {
            for parsed in endings(&cluster, &self.resource, &mut self.known) {
                self.send_parsed(parsed).await?;
            }
        }
        self.newest = Version::parse(&version);
        self.status.state = if cluster.wish.follow { State::Watching } else { State::Listed };
        self.status.lists += 1;
        self.status.list_seconds = Some(began.elapsed().as_secs_f64());
        self.status.resource_version = Some(version.clone());
        (self.status.listed_us, self.status.contact_us) = (Some(now_us()), Some(now_us()));
        self.send(Unit::new(cluster.origin(), &cluster.wish.fields), true).await?;
        Ok(version)
    }

    /// Reads one page, object by object; answers the list without them.
    async fn page(&mut self, token: Option<&str>, whole: bool) -> Result<Value, Broken> {
        let path = self.resource.path();
        let query = match (token, whole) {
            (Some(token), _) => {
                let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
                format!("?limit={PAGE_OBJECTS}&continue={token}")
            }
            (None, true) => "?resourceVersion=0".to_owned(),
            (None, false) => format!("?limit={PAGE_OBJECTS}"),
        };
        let mut answer = self.cluster.connection.get(&format!("{path}{query}")).await.map_err(Broken::Failed)?;
        let cluster = Arc::clone(&self.cluster);
        let mut unit = Unit::new(cluster.origin(), &cluster.wish.fields);
        let mut pages = Pages::default();
        while let Some(piece) = answer.piece_soon().await.map_err(Broken::Failed)? {
            self.read_bytes += piece.len() as u64;
            pages.push(&piece, |item| match serde_json::from_slice(item) {
                Ok(object) => self.listed(object, &mut unit),
                Err(e) => unit.reject(format!("no JSON: {e}"), self.resource.path(), item.to_vec()),
            });
            if unit.bytes() >= FRAME_BYTES {
                let full = std::mem::replace(&mut unit, Unit::new(cluster.origin(), &cluster.wish.fields));
                self.send(full, false).await?;
            }
        }
        self.send(unit, false).await?;
        pages.finish().map_err(|e| Broken::Failed(Failure::broken(e)))
    }

    /// An object of a list.
    fn listed(&mut self, object: Value, unit: &mut Unit<'_>) {
        let Some((namespace, name, version)) = identity(&object) else {
            self.put(object, unit);
            return;
        };
        if self.known.version(namespace, name) == Some(version) {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            self.known.mark(&namespace, &name);
            return;
        }
        self.put(object, unit);
    }

    /// Writes an object, and takes away what an earlier version of it had left.
    fn put(&mut self, mut object: Value, unit: &mut Unit<'_>) {
        if let Some(members) = object.as_object_mut() {
            // The API server leaves both out of a list's items.
            members.entry("kind").or_insert_with(|| Value::from(self.resource.kind.as_str()));
            members.entry("apiVersion").or_insert_with(|| Value::from(self.resource.group_version()));
        }
        let own = identity(&object).map(|(namespace, name, version)| (namespace.to_owned(), name.to_owned(), version));
        let written = unit.put(&self.resource.path(), object);
        let Some((namespace, name, version)) = own.filter(|_| !self.resource.is_usage()) else { return };
        let Some(trace) = written else {
            // Nothing of it fitted; what the tables hold of an earlier version stays, and is gone with the object.
            let none = Trace {
                tenant: self.cluster.origin().scope.owner(self.cluster.tenant.as_deref()).to_owned(),
                parts: Vec::new(),
            };
            if let Some(before) = self.known.put(&namespace, &name, version, &none) {
                self.known.put(&namespace, &name, version, &before);
            }
            return;
        };
        let Some(before) = self.known.put(&namespace, &name, version, &trace) else { return };
        let identity = self.identity(&namespace, &name);
        let ended = if before.tenant == trace.tenant {
            let left: Vec<String> = before.parts.into_iter().filter(|part| !trace.parts.contains(part)).collect();
            unit.take_parts(&identity, &trace.tenant, &left)
        } else {
            unit.take_rows(&identity, &before)
        };
        if let Err(reason) = ended {
            unit.reject(reason, self.resource.path(), name.into_bytes());
        }
    }

    fn identity(&self, namespace: &str, name: &str) -> Identity {
        Identity {
            api_group: self.resource.api_group.as_str().into(),
            kind: self.resource.kind.as_str().into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Watches from a version on until everything must be listed again; answers why.
    async fn watch(&mut self, version: String) -> Result<&'static str, Unheard> {
        let listed = Instant::now();
        let mut from = version;
        let mut tried = 0;
        loop {
            let began = Instant::now();
            let wait = match self.watch_once(&mut from, listed).await {
                End::Unheard => return Err(Unheard),
                End::Again(why) => return Ok(why),
                End::Failed(failure) if failure.is_expired() => return Ok("the version expired"),
                // The kind may be gone, or its permission; a list finds out.
                End::Failed(failure) if !failure.is_passing() => {
                    self.failed(&failure).await?;
                    return Ok("the watch was refused");
                }
                End::Failed(failure) => {
                    self.failed(&failure).await?;
                    tried = if began.elapsed() > pause(tried, None) * 4 { 0 } else { tried };
                    pause(tried, failure.retry_after)
                }
                // A watch that ends as soon as it begins is not asked for in a tight loop.
                End::Closed if began.elapsed() < Duration::from_secs(1) => pause(tried.min(4), None),
                End::Closed => {
                    tried = 0;
                    continue;
                }
            };
            tokio::time::sleep(wait).await;
            tried += 1;
        }
    }

    async fn watch_once(&mut self, from: &mut String, listed: Instant) -> End {
        let seconds = WATCH_SECONDS_MIN + rand::random_range(0..WATCH_SECONDS_MIN / 3);
        let version: String = url::form_urlencoded::byte_serialize(from.as_bytes()).collect();
        let query = format!("watch=1&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={seconds}");
        let mut answer = match self.cluster.connection.get(&format!("{}?{query}", self.resource.path())).await {
            Ok(answer) => answer,
            Err(failure) => return End::Failed(failure),
        };
        self.status.state = State::Watching;
        let mut waiting: Vec<u8> = Vec::new();
        let mut heard = Instant::now();
        loop {
            if listed.elapsed() >= self.cluster.wish.list_every {
                return End::Again("it is time");
            }
            let piece = match self.next_piece(&mut answer, heard).await {
                Ok(Some(piece)) => piece,
                Ok(None) => return End::Closed,
                Err(end) => return end,
            };
            if let Some(piece) = piece {
                heard = Instant::now();
                self.status.contact_us = Some(now_us());
                self.read_bytes += piece.len() as u64;
                waiting.extend_from_slice(&piece);
                if waiting.len() > LINE_BYTES_MAX {
                    return End::Failed(Failure::broken(format!(
                        "a line of the watch is longer than {LINE_BYTES_MAX} bytes"
                    )));
                }
            }
            if let Err(end) = self.lines(&mut waiting, from).await {
                return end;
            }
        }
    }

    /// The next piece of a watch; `None` within where it is time to say how the stream is.
    async fn next_piece(&mut self, answer: &mut Answer, heard: Instant) -> Result<Option<Option<bytes::Bytes>>, End> {
        let patience = self.cluster.wish.list_every.min(STATUS_EVERY);
        match tokio::time::timeout(patience, answer.piece()).await {
            Ok(Ok(piece)) => Ok(piece.map(Some)),
            Ok(Err(failure)) => Err(End::Failed(failure)),
            Err(_) if heard.elapsed() > SILENCE_MAX => Err(End::Failed(Failure::broken("the watch fell silent"))),
            Err(_) => Ok(Some(None)),
        }
    }

    /// Takes the whole lines out of what waits; what they say goes to the store together.
    async fn lines(&mut self, waiting: &mut Vec<u8>, from: &mut String) -> Result<(), End> {
        let cluster = Arc::clone(&self.cluster);
        let mut unit = Unit::new(cluster.origin(), &cluster.wish.fields);
        let mut end = Ok(());
        let mut taken = 0;
        while let Some(length) = waiting[taken..].iter().position(|byte| *byte == b'\n') {
            let line = &waiting[taken..taken + length];
            taken += length + 1;
            end = self.line(line, from, &mut unit);
            if end.is_err() {
                break;
            }
            if unit.bytes() >= FRAME_BYTES {
                let full = std::mem::replace(&mut unit, Unit::new(cluster.origin(), &cluster.wish.fields));
                self.status.resource_version = Some(from.clone());
                self.send(full, false).await?;
            }
        }
        waiting.drain(..taken);
        // What came before the end counts.
        self.status.resource_version = Some(from.clone());
        self.send(unit, false).await?;
        end
    }

    fn line(&mut self, line: &[u8], from: &mut String, unit: &mut Unit<'_>) -> Result<(), End> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        // A line that is cut off has no end of line; this one is nonsense, and what it was about is not known.
        let Ok(mut event) = serde_json::from_slice::<Value>(line) else {
            return Err(End::Again("a line of the watch is no JSON"));
        };
        let object = event.get_mut("object").map(Value::take).unwrap_or_default();
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind == "ERROR" {
            let code = object.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
            let message = object.get("message").and_then(Value::as_str).unwrap_or("no message").to_owned();
            let seconds = at(&object, &["details", "retryAfterSeconds"]).and_then(Value::as_u64);
            let retry_after = seconds.map(Duration::from_secs);
            return Err(End::Failed(Failure { status: code.or(Some(500)), message, retry_after }));
        }
        let word = at(&object, &["metadata", "resourceVersion"]).and_then(Value::as_str).unwrap_or_default().to_owned();
        let version = Version::parse(&word);
        // A version that the stream has passed: repeated, or out of order.
        let late = matches!(version, Version::Number(_)) && version.is_stale_beside(self.newest);
        if !late {
            self.newest = version;
            *from = word;
        }
        if kind == "BOOKMARK" {
            return Ok(());
        }
        self.change(kind, object, version, late, unit)
    }

    fn change(
        &mut self,
        kind: &str,
        object: Value,
        version: Version,
        late: bool,
        unit: &mut Unit<'_>,
    ) -> Result<(), End> {
        let Some((namespace, name, _)) = identity(&object) else {
            return Err(End::Again("an object of the watch has no name"));
        };
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let known = self.known.version(&namespace, &name);
        if known.is_some_and(|known| version.is_stale_beside(known)) && (late || kind != "DELETED") {
            return Ok(());
        }
        self.status.changes += 1;
        self.status.changed_us = Some(now_us());
        match kind {
            // Whether it was deleted since cannot be known from here.
            "ADDED" | "MODIFIED" if late && known.is_none() => Err(End::Again("the watch is out of order")),
            "ADDED" | "MODIFIED" => {
                self.put(object, unit);
                Ok(())
            }
            "DELETED" => {
                if let Some(trace) = self.known.take(&namespace, &name)
                    && let Err(reason) = unit.take(&self.identity(&namespace, &name), &trace)
                {
                    unit.reject(reason, self.resource.path(), name.into_bytes());
                }
                Ok(())
            }
            _ => Err(End::Again("the watch says what is not known here")),
        }
    }
}

/// Namespace, name and version of an object.
fn identity(object: &Value) -> Option<(&str, &str, Version)> {
    let word = |name: &str| at(object, &["metadata", name]).and_then(Value::as_str);
    let name = word("name").filter(|name| !name.is_empty())?;
    Some((word("namespace").unwrap_or_default(), name, Version::parse(word("resourceVersion").unwrap_or_default())))
}

/// The ends of all objects that the last list did not name, a frame at a time.
pub fn endings(cluster: &Cluster, resource: &Resource, known: &mut Known) -> Vec<Parsed> {
    let mut frames = Vec::new();
    loop {
        let taken = known.take_unlisted(resource, ENDS_MAX);
        if taken.is_empty() {
            return frames;
        }
        let mut unit = Unit::new(cluster.origin(), &[]);
        for (identity, trace) in taken {
            if let Err(reason) = unit.take(&identity, &trace) {
                unit.reject(reason, resource.path(), identity.name.as_bytes().to_vec());
            }
        }
        frames.push(unit.finish());
    }
}
