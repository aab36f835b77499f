//! An API server of Kubernetes: discovery, lists in pages over a snapshot, watches with bookmarks, versions that expire.
//! It fails as real ones and the networks before them do, when it is told to.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

/// A kind that the server serves: group, version, kind, plural.
pub type Kind = (&'static str, &'static str, &'static str, &'static str);

/// Changes that a watch can begin at.
const LOG_MAX: usize = 50_000;
/// Snapshots of lists that are being read.
const SNAPSHOTS_MAX: usize = 8;
const BOOKMARK_EVERY: Duration = Duration::from_millis(300);

/// How often things go wrong, each between 0 and 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A request is answered with 429 and Retry-After.
    pub throttled: f64,
    /// A request is answered with 500.
    pub broken: f64,
    /// A page's token is too old.
    pub token_expired: f64,
    /// A list breaks off in the middle.
    pub list_cut: f64,
    /// A watch is cut off, in the middle of a line, before an event.
    pub cut: f64,
    /// An event is sent again later.
    pub repeated: f64,
    /// An event comes after the one behind it.
    pub reordered: f64,
    /// An event never comes.
    pub lost: f64,
}

struct Change {
    version: u64,
    resource: String,
    line: Arc<str>,
}

/// An object as JSON.
type Stored = Arc<str>;

struct World {
    version: u64,
    /// Watches from before this version are refused.
    oldest: u64,
    kinds: Vec<Kind>,
    objects: BTreeMap<String, BTreeMap<String, Stored>>,
    log: VecDeque<Change>,
    snapshots: HashMap<u64, (u64, Vec<Stored>)>,
    next_snapshot: u64,
    token: String,
    down: bool,
    faults: Faults,
    dice: StdRng,
    /// Requests by what became of them.
    counts: BTreeMap<&'static str, u64>,
}

/// A running server. It ends with this value.
pub struct ApiServer {
    pub address: SocketAddr,
    world: Arc<Mutex<World>>,
    changed: watch::Sender<u64>,
    _runtime: tokio::runtime::Runtime,
}

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// The word for a kind in this module's maps.
pub fn resource(group: &str, plural: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

fn whole(status: u16, headers: &[(&str, &str)], document: &Value) -> Response<Body> {
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let body = Full::new(Bytes::from(document.to_string())).map_err(|never: Infallible| match never {});
    response.body(body.boxed_unsync()).expect("a valid response")
}

fn refused(code: u16, headers: &[(&str, &str)], reason: &str, message: &str) -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message});
    whole(code, headers, &status)
}

impl ApiServer {
    /// Serves these kinds on a free port.
    pub fn start(kinds: &[Kind], seed: u64) -> ApiServer {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let world = World {
            version: 100,
            oldest: 0,
            kinds: kinds.to_vec(),
            objects: BTreeMap::new(),
            log: VecDeque::new(),
            snapshots: HashMap::new(),
            next_snapshot: 0,
            token: "first".to_owned(),
            down: false,
            faults: Faults::default(),
            dice: StdRng::seed_from_u64(seed),
            counts: BTreeMap::new(),
        };
        let world = Arc::new(Mutex::new(world));
        let (changed, hears) = watch::channel(0);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let shared = Arc::clone(&world);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (world, hears) = (Arc::clone(&shared), hears.clone());
                if lock(&world).down {
                    continue;
                }
                tokio::spawn(async move {
                    let service =
                        hyper::service::service_fn(|request| answer(request, Arc::clone(&world), hears.clone()));
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        ApiServer { address, world, changed, _runtime: runtime }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    /// Writes a kubeconfig that is good for the token of now.
    pub fn kubeconfig(&self, path: &Path, cluster: &str) {
        let token = self.world().token.clone();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\nclusters:\n- name: {cluster}\n  cluster: {{server: 'http://{}'}}\n\
             contexts:\n- name: it\n  context: {{cluster: {cluster}, user: me}}\nusers:\n- name: me\n  user: {{token: {token}}}\n",
            self.address
        );
        std::fs::write(path, text).expect("the kubeconfig is written");
    }

    /// Only this token is good from now on.
    pub fn rotate(&self, token: &str) {
        self.world().token = token.to_owned();
    }

    /// How it fails from now on.
    pub fn fail(&self, faults: Faults) {
        self.world().faults = faults;
    }

    /// Refuses connections and ends those that are open, or comes back.
    pub fn down(&self, down: bool) {
        self.world().down = down;
        self.tell();
    }

    /// Forgets every version before now: watches that begin earlier, and lists that are being read, expire.
    pub fn compact(&self) {
        let mut world = self.world();
        world.oldest = world.version;
        world.log.clear();
        world.snapshots.clear();
    }

    /// Serves a kind more.
    pub fn serve(&self, kind: Kind) {
        self.world().kinds.push(kind);
    }

    /// Serves a kind no more; its objects are gone.
    pub fn stop_serving(&self, plural: &str) {
        let mut world = self.world();
        let gone: Vec<String> =
            world.kinds.iter().filter(|kind| kind.3 == plural).map(|kind| resource(kind.0, kind.3)).collect();
        world.kinds.retain(|kind| kind.3 != plural);
        gone.iter().for_each(|resource| drop(world.objects.remove(resource)));
        drop(world);
        self.tell();
    }

    /// Creates an object or changes it.
    pub fn put(&self, resource: &str, mut object: Value) {
        let mut world = self.world();
        world.version += 1;
        object["metadata"]["resourceVersion"] = json!(world.version.to_string());
        let key = key(&object);
        let text: Stored = object.to_string().into();
        let before = world.objects.entry(resource.to_owned()).or_default().insert(key, Arc::clone(&text));
        world.log(resource, if before.is_some() { "MODIFIED" } else { "ADDED" }, &text);
        drop(world);
        self.tell();
    }

    /// Deletes an object, if it is there.
    pub fn delete(&self, resource: &str, key: &str) {
        let mut world = self.world();
        let Some(stored) = world.objects.get_mut(resource).and_then(|objects| objects.remove(key)) else { return };
        world.version += 1;
        let mut object: Value = serde_json::from_str(&stored).expect("what was stored is JSON");
        object["metadata"]["resourceVersion"] = json!(world.version.to_string());
        world.log(resource, "DELETED", &object.to_string());
        drop(world);
        self.tell();
    }

    /// Every object that there is.
    pub fn objects(&self, resource: &str) -> Vec<Value> {
        let world = self.world();
        let objects = world.objects.get(resource).into_iter().flat_map(BTreeMap::values);
        objects.map(|stored| serde_json::from_str(&stored).expect("what was stored is JSON")).collect()
    }

    /// Requests by what became of them.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.world().counts.clone()
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

fn key(object: &Value) -> String {
    let word = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    format!("{}/{}", word("namespace"), word("name"))
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Merges labels into an object.
    fn patch(&mut self, resource: &str, key: &str, patch: &Value) -> Response<Body> {
        let Some(stored) = self.objects.get(resource).and_then(|objects| objects.get(key)) else {
            return refused(404, &[], "NotFound", &format!("{resource} {key} not found"));
        };
        let mut object: Value = serde_json::from_str(stored).expect("what was stored is JSON");
        for (label, value) in patch["metadata"]["labels"].as_object().into_iter().flatten() {
            match value {
                Value::Null => {
                    drop(object["metadata"]["labels"].as_object_mut().and_then(|labels| labels.remove(label)))
                }
                value => object["metadata"]["labels"][label] = value.clone(),
            }
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let text: Stored = object.to_string().into();
        self.objects.entry(resource.to_owned()).or_default().insert(key.to_owned(), Arc::clone(&text));
        self.log(resource, "MODIFIED", &text);
        whole(200, &[], &object)
    }

    fn log(&mut self, resource: &str, kind: &str, text: &str) {
        let line = format!("{{\"type\":\"{kind}\",\"object\":{text}}}\n").into();
        self.log.push_back(Change { version: self.version, resource: resource.to_owned(), line });
        while self.log.len() > LOG_MAX {
            if let Some(change) = self.log.pop_front() {
                self.oldest = change.version;
            }
        }
    }

    fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.dice.random_bool(share)
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

async fn answer(
    request: Request<Incoming>,
    world: Arc<Mutex<World>>,
    hears: watch::Receiver<u64>,
) -> Result<Response<Body>, std::io::Error> {
    let query: HashMap<String, String> = query(request.uri().query().unwrap_or_default());
    let is_patch = request.method() == hyper::Method::PATCH;
    let (parts, body) = request.into_parts();
    let patch: Value = match is_patch {
        true => {
            serde_json::from_slice(&body.collect().await.map_err(std::io::Error::other)?.to_bytes()).unwrap_or_default()
        }
        false => Value::Null,
    };
    let request = Request::from_parts(parts, ());
    let bearer = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut held = lock(&world);
    if held.down {
        return Err(std::io::Error::other("down"));
    }
    if bearer.trim_start_matches("Bearer ") != held.token {
        held.count("401");
        return Ok(refused(401, &[], "Unauthorized", "Unauthorized"));
    }
    let faults = held.faults;
    if held.happens(faults.throttled) {
        held.count("429");
        let seconds = if held.happens(0.2) { "1" } else { "0" };
        return Ok(refused(429, &[("retry-after", seconds)], "TooManyRequests", "slow down"));
    }
    if held.happens(faults.broken) {
        held.count("500");
        return Ok(refused(500, &[], "InternalError", "etcdserver: leader changed"));
    }
    let parts: Vec<&str> = request.uri().path().split('/').filter(|part| !part.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis"] => return Ok(whole(200, &[], &groups(&held))),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Ok(refused(404, &[], "NotFound", "the server could not find the requested resource")),
    };
    let served = |plural: &str, kind: &&Kind| kind.0 == group && kind.1 == version && kind.3 == plural;
    match rest {
        [] => Ok(whole(200, &[], &resources(&held, group, version))),
        ["namespaces", namespace, plural, name] if is_patch => {
            Ok(held.patch(&resource(group, plural), &format!("{namespace}/{name}"), &patch))
        }
        [plural] => {
            let Some(kind) = held.kinds.iter().find(|kind| served(plural, kind)).copied() else {
                return Ok(refused(404, &[], "NotFound", "the server could not find the requested resource"));
            };
            if !query.contains_key("watch") {
                return Ok(list(&mut held, kind, &query));
            }
            let from: u64 = query.get("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0);
            if from < held.oldest {
                held.count("410 watch");
                return Ok(refused(410, &[], "Expired", "too old resource version"));
            }
            held.count("watch");
            drop(held);
            let seconds = query.get("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(300);
            Ok(stream(Arc::clone(&world), hears, resource(kind.0, kind.3), from, Duration::from_secs(seconds), kind))
        }
        _ => Ok(refused(404, &[], "NotFound", "the server could not find the requested resource")),
    }
}

fn query(text: &str) -> HashMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.replace("%3A", ":"))).collect()
}

fn groups(world: &World) -> Value {
    let versions: BTreeMap<&str, &str> =
        world.kinds.iter().filter(|kind| !kind.0.is_empty()).map(|kind| (kind.0, kind.1)).collect();
    let group = |(name, version): (&&str, &&str)| {
        let preferred = json!({"groupVersion": format!("{name}/{version}"), "version": version});
        json!({"name": name, "versions": [preferred.clone()], "preferredVersion": preferred})
    };
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": versions.iter().map(group).collect::<Vec<_>>()})
}

fn resources(world: &World, group: &str, version: &str) -> Value {
    let of = world.kinds.iter().filter(|kind| kind.0 == group && kind.1 == version);
    let one =
        |kind: &Kind| json!({"name": kind.3, "kind": kind.2, "namespaced": true, "verbs": ["get", "list", "watch"]});
    json!({"kind": "APIResourceList", "groupVersion": version, "resources": of.map(one).collect::<Vec<_>>()})
}

fn list(world: &mut World, kind: Kind, query: &HashMap<String, String>) -> Response<Body> {
    let faults = world.faults;
    let limit: usize = query.get("limit").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    let (snapshot, from) = match query.get("continue").and_then(|token| token.split_once(':')) {
        Some((snapshot, from)) => (snapshot.parse().unwrap_or(u64::MAX), from.parse().unwrap_or(0_usize)),
        None => {
            let all = world.objects.get(&resource(kind.0, kind.3)).map(|all| all.values().cloned().collect());
            let id = world.next_snapshot;
            world.next_snapshot += 1;
            world.snapshots.insert(id, (world.version, all.unwrap_or_default()));
            let oldest = id.saturating_sub(SNAPSHOTS_MAX as u64);
            world.snapshots.retain(|known, _| *known >= oldest);
            (id, 0)
        }
    };
    if from > 0 && world.happens(faults.token_expired) {
        world.snapshots.remove(&snapshot);
    }
    let Some((version, all)) = world.snapshots.get(&snapshot) else {
        world.count("410 list");
        return refused(410, &[], "Expired", "The provided continue parameter is too old");
    };
    let to = from.saturating_add(limit).min(all.len());
    let more = if to < all.len() { format!("{snapshot}:{to}") } else { String::new() };
    let version = version.to_string();
    let mut text = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{{\"resourceVersion\":\"{version}\",\"continue\":\"{more}\"}},\"items\":[",
        kind.2,
        if kind.0.is_empty() { kind.1.to_owned() } else { format!("{}/{}", kind.0, kind.1) }
    );
    for (at, stored) in all[from.min(to)..to].iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(stored);
    }
    text.push_str("]}");
    if more.is_empty() {
        world.snapshots.remove(&snapshot);
    }
    world.count("list");
    if world.happens(faults.list_cut) {
        world.count("list cut");
        let cut = text.len() / 2;
        let pieces = [
            Ok(Frame::data(Bytes::from(text[..text.floor_char_boundary(cut)].to_owned()))),
            Err(std::io::Error::other("cut")),
        ];
        let body = StreamBody::new(futures::stream::iter(pieces));
        return Response::new(BodyExt::boxed_unsync(body));
    }
    let body = Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {});
    Response::new(body.boxed_unsync())
}

/// What one watch does next.
enum Step {
    Send(Vec<u8>),
    Cut,
    /// Nothing up to this version is left to send.
    Wait(u64),
}

struct Watch {
    resource: String,
    kind: Kind,
    sent: u64,
    held_back: Option<Arc<str>>,
    again: VecDeque<Arc<str>>,
}

impl Watch {
    fn step(&mut self, world: &mut World) -> Step {
        let faults = world.faults;
        if world.down || !world.kinds.contains(&self.kind) {
            return Step::Cut;
        }
        if self.sent < world.oldest {
            // As the watch cache does when a watcher is too slow.
            return Step::Cut;
        }
        let start = world.log.partition_point(|change| change.version <= self.sent);
        let next = world.log.iter().skip(start).find(|change| change.resource == self.resource);
        let Some((version, line)) = next.map(|change| (change.version, Arc::clone(&change.line))) else {
            if let Some(line) = self.held_back.take() {
                return Step::Send(line.as_bytes().to_vec());
            }
            return Step::Wait(world.version);
        };
        if world.happens(faults.cut) {
            world.count("watch cut");
            return Step::Cut;
        }
        self.sent = version;
        if world.happens(faults.lost) {
            world.count("lost");
            return Step::Send(Vec::new());
        }
        if self.held_back.is_none() && world.happens(faults.reordered) {
            world.count("reordered");
            self.held_back = Some(line);
            return Step::Send(Vec::new());
        }
        let mut bytes = line.as_bytes().to_vec();
        if let Some(line) = self.held_back.take() {
            bytes.extend_from_slice(line.as_bytes());
        }
        self.again.push_back(line);
        self.again.truncate(20);
        if world.happens(faults.repeated) {
            world.count("repeated");
            let at = world.dice.random_range(0..self.again.len());
            bytes.extend_from_slice(self.again[at].as_bytes());
        }
        Step::Send(bytes)
    }

    fn bookmark(&self, version: u64) -> Vec<u8> {
        let version = version.to_string();
        let object = json!({"kind": self.kind.2, "apiVersion": self.kind.1, "metadata": {"resourceVersion": version}});
        format!("{}\n", json!({"type": "BOOKMARK", "object": object})).into_bytes()
    }
}

fn stream(
    world: Arc<Mutex<World>>,
    mut hears: watch::Receiver<u64>,
    resource: String,
    from: u64,
    time: Duration,
    kind: Kind,
) -> Response<Body> {
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(64);
    tokio::spawn(async move {
        let mut watch = Watch { resource, kind, sent: from, held_back: None, again: VecDeque::new() };
        let end = tokio::time::Instant::now() + time;
        loop {
            hears.borrow_and_update();
            let step = watch.step(&mut lock(&world));
            let sent = match step {
                Step::Send(bytes) if bytes.is_empty() => Ok(()),
                Step::Send(bytes) => sender.send(Ok(Frame::data(bytes.into()))).await,
                Step::Cut => {
                    let _ = sender.send(Ok(Frame::data(Bytes::from_static(b"{\"type\":\"ADD")))).await;
                    let _ = sender.send(Err(std::io::Error::other("cut"))).await;
                    return;
                }
                Step::Wait(version) => {
                    let waited = tokio::time::timeout(BOOKMARK_EVERY, hears.changed()).await;
                    if tokio::time::Instant::now() >= end {
                        return;
                    }
                    match waited {
                        Ok(_) => Ok(()),
                        Err(_) => sender.send(Ok(Frame::data(watch.bookmark(version).into()))).await,
                    }
                }
            };
            if sent.is_err() {
                return;
            }
        }
    });
    let frames = futures::stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
}
