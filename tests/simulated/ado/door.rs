//! The organization's hosts on one port: every list in pages, the budget kept, and the faults that are asked for.

mod budget;
mod draft;
mod ticket;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::clock::Turned;
use super::world::{World, run_of};
pub use budget::LIMIT;
use budget::{Budget, LATENCY_US};

/// From here on answers tell what remains.
const TELL_FROM: f64 = 0.6;
/// From here on they tell when to come back, too.
const RETRY_FROM: f64 = 0.99;
/// Items of a page, where nobody says another number: few, so that lists have pages.
const PAGE: usize = 7;

/// What the source keeps beside the world.
struct Inner {
    world: World,
    clock: Arc<Turned>,
    token: String,
    budget: Budget,
    page: usize,
    faults: (u32, StdRng),
    down_after: Option<u32>,
    /// Whose tokens are good, in place of the one.
    trusted: Option<Trusted>,
    /// Requests whose credential was not good.
    turned_away: u64,
    drafts: draft::Drafts,
}

/// Says whether an `authorization` is good.
type Trusted = Box<dyn Fn(&str) -> bool + Send>;

/// The listening source.
pub struct Door {
    inner: Arc<Mutex<Inner>>,
    address: SocketAddr,
    token: Mutex<String>,
}

struct Asked {
    path: Vec<String>,
    query: HashMap<String, String>,
    method: String,
    body: Value,
}

impl Asked {
    fn number(&self, name: &str) -> Option<usize> {
        self.query.get(name)?.parse().ok()
    }

    fn text(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

enum Told {
    /// A page, and the token of the next.
    Page(Value, Option<String>),
    One(Value),
    Status(u16),
}

/// The asked page of a list in pages by token.
fn by_token<V: Borrow<Value>>(asked: &Asked, size: usize, member: &str, items: impl Iterator<Item = V>) -> Told {
    let from = asked.number("continuationToken").unwrap_or(0);
    let mut items = items.skip(from);
    let some: Vec<Value> = items.by_ref().take(size).map(|item| Borrow::<Value>::borrow(&item).clone()).collect();
    let next = items.next().map(|_| (from + size).to_string());
    Told::Page(json!({"count": some.len(), member: some}), next)
}

/// The asked page of a list in pages by numbers.
fn by_number<V: Borrow<Value>>(asked: &Asked, items: impl Iterator<Item = V>) -> Told {
    let number = |name: &str| asked.number(&format!("${name}")).or(asked.number(name));
    let some = items.skip(number("skip").unwrap_or(0)).take(number("top").unwrap_or(100));
    let some: Vec<Value> = some.map(|item| Borrow::<Value>::borrow(&item).clone()).collect();
    Told::One(json!({"count": some.len(), "value": some}))
}

/// Where in a list that numbers order this one stands.
fn numbered<T>(all: &[T], number: Option<i64>, of: impl Fn(&T) -> &Value) -> Option<&T> {
    // What somebody else wrote stands behind, with numbers of its own.
    let found = all.binary_search_by_key(&number, |one| of(one).as_i64()).ok().map(|at| &all[at]);
    found.or_else(|| all.iter().find(|one| of(one).as_i64() == number))
}

impl Door {
    pub async fn open(world: World, clock: Arc<Turned>) -> Door {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Inner {
            world,
            clock,
            token: "token-0".to_owned(),
            budget: Budget::new(),
            page: PAGE,
            faults: (0, StdRng::seed_from_u64(0)),
            down_after: None,
            trusted: None,
            turned_away: 0,
            drafts: draft::Drafts::default(),
        };
        let inner = Arc::new(Mutex::new(inner));
        let shared = Arc::clone(&inner);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Door { inner, address, token: Mutex::new("token-0".to_owned()) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/acme", self.address)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap())
    }

    pub fn live_an_hour(&self, began_us: i64) -> Vec<String> {
        self.with(|inner| inner.world.live(began_us))
    }

    pub fn renew_token(&self, hour: i64) {
        let token = format!("token-{}", hour + 1);
        *self.token.lock().unwrap() = token.clone();
        self.with(|inner| inner.token = token);
    }

    pub fn token(&self) -> String {
        self.token.lock().unwrap().clone()
    }

    /// Tokens of somebody else are good from now on, and no other.
    pub fn trust(&self, accepts: impl Fn(&str) -> bool + Send + 'static) {
        self.with(|inner| inner.trusted = Some(Box::new(accepts)));
    }

    /// Requests whose credential was not good.
    pub fn turned_away(&self) -> u64 {
        self.with(|inner| inner.turned_away)
    }

    /// So many of a thousand answers fail.
    pub fn fail(&self, of_thousand: u32, seed: u64) {
        self.with(|inner| inner.faults = (of_thousand, StdRng::seed_from_u64(seed)));
    }

    pub fn go_down_after(&self, requests: u32) {
        self.with(|inner| inner.down_after = Some(requests));
    }

    pub fn come_back(&self) {
        self.with(|inner| inner.down_after = None);
    }

    pub fn dear(&self, cost: f64) {
        self.with(|inner| inner.budget.dear = cost);
    }

    pub fn throttled(&self) -> u64 {
        self.with(|inner| inner.budget.throttled)
    }

    pub fn put_on_probation(&self, count: usize) {
        self.with(|inner| {
            for subscription in inner.world.subscriptions.iter_mut().skip(1).take(count) {
                subscription["status"] = json!("onProbation");
            }
        });
    }

    /// How much of the budget was used over the time in which there was more to ask than it allows.
    pub fn used_share(&self) -> f64 {
        self.with(|inner| inner.budget.used_share())
    }

    /// Requests so far, what they cost in TSTU, and the least time that the budget allows for them.
    #[allow(dead_code)] // The benches' own.
    pub fn spent(&self) -> (u64, f64, i64) {
        self.with(|inner| (inner.budget.requests, inner.budget.sum, inner.budget.least_us()))
    }

    /// So many items on a page.
    #[allow(dead_code)] // The benches' own.
    pub fn pages_of(&self, items: usize) {
        self.with(|inner| inner.page = items);
    }
}

async fn answer(inner: Arc<Mutex<Inner>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let authorization = request.headers().get("authorization").and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let decode = |text: &str| percent(&text.replace('+', " "));
    let query = parts.uri.query().unwrap_or("").split('&').filter_map(|pair| pair.split_once('='));
    let asked = Asked {
        path: parts.uri.path().split('/').skip(2).map(|s| percent(s)).collect(),
        query: query.map(|(name, value)| (decode(name), decode(value))).collect(),
        method: parts.method.to_string(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let clock = Arc::clone(&inner.lock().unwrap().clock);
    let told = inner.lock().unwrap().answer(&asked, &authorization);
    clock.pass(LATENCY_US).await;
    Ok(told)
}

pub(super) fn percent(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn plain(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(body.into())).unwrap()
}

impl Inner {
    fn answer(&mut self, asked: &Asked, authorization: &str) -> Response<Full<Bytes>> {
        let now_us = self.clock.advance(LATENCY_US);
        match &mut self.down_after {
            Some(0) => return plain(503, "{\"message\":\"down\"}"),
            Some(left) => *left -= 1,
            None => {}
        }
        // ":token-0" and so on, as a personal access token is sent.
        use std::fmt::Write;
        let good = match &self.trusted {
            Some(trusted) => trusted(authorization),
            None => authorization == format!("Basic {}", base64(format!(":{}", self.token).as_bytes())),
        };
        if !good {
            self.turned_away += 1;
            return match now_us % 2 {
                0 => plain(203, "<html>Sign in</html>"),
                _ => Response::builder().status(302).header("location", "/signin").body(Full::default()).unwrap(),
            };
        }
        let (share, dice) = &mut self.faults;
        if dice.random_ratio(*share, 1000) {
            return match dice.random_range(0..4) {
                0 => plain(500, "boom"),
                3 => plain(410, "{\"message\":\"gone for now\"}"),
                1 => Response::builder().status(503).header("retry-after", "7").body(Full::default()).unwrap(),
                _ => plain(502, ""),
            };
        }
        let used = self.budget.spend(asked.method == "POST" || asked.query.contains_key("$top"), now_us);
        if used > LIMIT {
            self.budget.throttled += 1;
            return Response::builder().status(429).header("retry-after", "30").body(Full::default()).unwrap();
        }
        let mut response = self.respond(asked);
        let headers = response.headers_mut();
        if used >= LIMIT * TELL_FROM {
            let mut told = String::new();
            write!(told, "{:.3}", LIMIT - used).unwrap();
            headers.insert("x-ratelimit-limit", "200".parse().unwrap());
            headers.insert("x-ratelimit-remaining", told.parse().unwrap());
            headers.insert("x-ratelimit-reset", (now_us / 1_000_000 + 300).to_string().parse().unwrap());
        }
        if used >= LIMIT * RETRY_FROM {
            headers.insert("retry-after", "2".parse().unwrap());
        }
        response
    }

    fn respond(&mut self, asked: &Asked) -> Response<Full<Bytes>> {
        let (body, token) = match self.route(asked) {
            Told::Status(status) => return plain(status, "{\"message\":\"not found\"}"),
            Told::One(value) => (value, None),
            Told::Page(page, next) => (page, next),
        };
        // The real answers begin with a byte-order mark at times.
        let text = if self.budget.used.fract() < 0.2 { format!("\u{feff}{body}") } else { body.to_string() };
        let mut response = plain(200, text);
        if let Some(token) = token {
            response.headers_mut().insert("x-ms-continuationtoken", token.parse().unwrap());
        }
        response
    }

    fn route(&mut self, asked: &Asked) -> Told {
        let at: Vec<&str> = asked.path.iter().map(String::as_str).collect();
        if let Some(told) = self.draft(&at, asked) {
            return told;
        }
        match at[..] {
            ["_apis", "projects"] => by_number(asked, self.world.projects.iter()),
            ["_apis", "graph", "groups"] => by_token(asked, self.page, "value", self.world.groups.iter()),
            ["_apis", "graph", "users"] => by_token(asked, self.page, "value", self.world.users.iter()),
            ["_apis", "graph", "Memberships", group] => {
                let of = self.world.members.iter().filter(|(g, _)| g == group);
                let of = of.map(|(g, m)| json!({"containerDescriptor": g, "memberDescriptor": m}));
                Told::One(json!({"value": of.collect::<Vec<_>>()}))
            }
            ["_apis", "distributedtask", _] => Told::One(json!({"count": 0, "value": []})),
            ["_apis", "hooks", "subscriptions"] if asked.method == "POST" => {
                let mut body = asked.body.clone();
                body["id"] = json!(format!("subscription-{}", self.world.subscriptions.len()));
                self.world.subscriptions.push(body.clone());
                Told::One(body)
            }
            ["_apis", "hooks", "subscriptions"] => Told::One(json!({"value": self.world.subscriptions})),
            ["_apis", "hooks", "subscriptions", id] => {
                let there = self.world.subscriptions.iter().position(|s| s["id"] == id);
                let Some(there) = there else { return Told::Status(404) };
                match asked.method.as_str() {
                    "PUT" => self.world.subscriptions[there] = asked.body.clone(),
                    "DELETE" => drop(self.world.subscriptions.remove(there)),
                    _ => {}
                }
                Told::One(json!({}))
            }
            ["_apis", "audit", "auditlog"] => self.audit(asked),
            ["_apis", "wit", "wiql"] if ticket::is_by_tag(asked) => self.tagged(asked),
            ["_apis", "wit", "workitems", id] => self.ticket(id, asked),
            [project, "_apis", "wit", "workitems", kind] if asked.method == "POST" => {
                self.new_ticket(project, kind, asked)
            }
            ["_apis", "wit", "wiql"] => self.wiql(asked),
            ["_apis", "wit", "workitemsbatch"] => self.batch(asked),
            ["_apis", "wit", "recyclebin"] => {
                let binned = self.world.items.iter().filter(|(_, item)| item.in_bin);
                Told::One(json!(binned.map(|(id, _)| json!({"id": id.to_string()})).collect::<Vec<_>>()))
            }
            ["_apis", "wit", "recyclebin", id] => match self.world.items.get(&id.parse().unwrap_or(0)) {
                Some(item) if item.in_bin => Told::One(json!({"id": id, "resource": item.revisions.last()})),
                _ => Told::Status(404),
            },
            [project, "_apis", ref rest @ ..] => self.of_project(project, rest, asked),
            _ => Told::Status(404),
        }
    }

    fn of_project(&mut self, project: &str, rest: &[&str], asked: &Asked) -> Told {
        let (world, size) = (&self.world, self.page);
        let of = |all: &[(String, Value)]| -> Vec<Value> {
            all.iter().filter(|(p, _)| p == project).map(|(_, v)| v.clone()).collect()
        };
        let pull = |id: &str| numbered(&world.pulls, id.parse().ok(), |pull| &pull.resource["pullRequestId"]);
        match *rest {
            ["git", "repositories"] => {
                let all = world.repositories.iter().filter(|r| r["project"]["id"] == project);
                Told::One(json!({"value": all.collect::<Vec<_>>()}))
            }
            ["git", "repositories", id, "refs"] => {
                let all = world.refs.iter().filter(|((r, _), _)| r == id);
                by_token(asked, size, "value", all.map(|((_, name), at)| json!({"name": name, "objectId": at})))
            }
            ["git", "repositories", id, "pushes"] => {
                by_number(asked, world.pushes.iter().rev().filter(|(r, _, _)| r == id).map(|(_, push, _)| push))
            }
            ["git", "repositories", id, "commits"] => {
                let push = numbered(&world.pushes, asked.text("pushId").parse().ok(), |(_, push, _)| &push["pushId"]);
                let found = push.filter(|(r, _, _)| r == id);
                by_number(asked, found.iter().flat_map(|(_, _, commits)| commits))
            }
            ["git", "repositories", _, "pullRequests", id, "threads"] => {
                Told::One(json!({"value": pull(id).map(|p| p.threads.clone()).unwrap_or_default()}))
            }
            ["git", "pullrequests"] => {
                let status = asked.text("searchCriteria.status");
                let since = asked.text("searchCriteria.minTime");
                let all = world
                    .pulls
                    .iter()
                    .rev()
                    .map(|p| &p.resource)
                    .filter(|p| p["repository"]["project"]["id"] == project);
                let all =
                    all.filter(|p| p["status"] == status && p["closedDate"].as_str().is_none_or(|at| at >= since));
                by_number(asked, all)
            }
            ["git", "pullrequests", id] => pull(id).map_or(Told::Status(404), |p| Told::One(p.resource.clone())),
            ["policy", "configurations"] => by_token(asked, size, "value", of(&world.policies).iter()),
            ["policy", "evaluations"] => {
                let id = asked.text("artifactId").rsplit('/').next().unwrap_or("");
                by_number(asked, pull(id).iter().flat_map(|p| &p.evaluations))
            }
            ["alert", "repositories", id, "alerts"] => {
                by_token(asked, size, "value", world.alerts.iter().filter(|(r, _)| r == id).map(|(_, alert)| alert))
            }
            ["build", "builds", id, "timeline"] => {
                let build = numbered(&world.builds, id.parse().ok(), |build| &build.resource["id"]);
                build.map_or(Told::Status(404), |b| Told::One(json!({"records": b.records})))
            }
            ["build", "builds"] => self.builds(project, asked),
            ["pipelines", "1", "runs"] => {
                let all = world.builds.iter().map(|b| &b.resource).filter(|b| b["project"]["id"] == project);
                Told::One(json!({"value": all.map(run_of).collect::<Vec<_>>()}))
            }
            ["pipelines", "approvals"] => {
                let ids: Vec<&str> = asked.text("approvalIds").split(',').collect();
                let state = asked.text("state");
                let mut all = of(&world.approvals);
                all.retain(|a| state == "all" || ids.contains(&a["id"].as_str().unwrap()));
                Told::One(json!({"value": all}))
            }
            ["pipelines", "environments"] => by_token(asked, size, "value", of(&world.environments).iter()),
            ["pipelines", "environments", id, "environmentdeploymentrecords"] => {
                let all = world.deployments.iter().rev().filter(|(e, _)| e.to_string() == id);
                by_token(asked, size, "value", all.map(|(_, d)| d))
            }
            ["pipelines", "checks", "configurations"]
            | ["distributedtask", "queues"]
            | ["serviceendpoint", "endpoints"] => Told::One(json!({"value": []})),
            ["test", "runs"] => {
                let (from, to) = (asked.text("minLastUpdatedDate"), asked.text("maxLastUpdatedDate"));
                let all = world.test_runs.iter().filter(|(p, run, _)| {
                    let at = run["lastUpdatedDate"].as_str().unwrap();
                    p == project && at >= from && at <= to
                });
                by_token(asked, size, "value", all.map(|(_, run, _)| run))
            }
            ["test", "Runs", id, "results"] => {
                let run = numbered(&world.test_runs, id.parse().ok(), |(_, run, _)| &run["id"]);
                by_number(asked, run.iter().flat_map(|(_, _, results)| results))
            }
            ["wit", "reporting", "workitemrevisions"] => self.revisions(project, asked),
            ["wit", "workItems", id, "comments"] => match world.items.get(&id.parse().unwrap_or(0)) {
                Some(item) => by_token(asked, size, "comments", item.comments.iter()),
                None => Told::Status(404),
            },
            _ => Told::Status(404),
        }
    }

    fn builds(&self, project: &str, asked: &Asked) -> Told {
        let all = self.world.builds.iter().map(|b| &b.resource).filter(|b| b["project"]["id"] == project);
        if let Some(ids) = asked.query.get("buildIds") {
            let ids: Vec<&str> = ids.split(',').collect();
            return Told::One(
                json!({"value": all.filter(|b| ids.contains(&b["id"].to_string().as_str())).collect::<Vec<_>>()}),
            );
        }
        let done = asked.text("statusFilter") == "completed";
        let since = asked.text("minTime");
        let all = all
            .filter(|b| (b["status"] == "completed") == done && b["finishTime"].as_str().is_none_or(|at| at >= since));
        let mut all: Vec<&Value> = all.collect();
        all.sort_by(|a, b| a["finishTime"].as_str().cmp(&b["finishTime"].as_str()));
        by_token(asked, self.page, "value", all.into_iter())
    }

    fn revisions(&self, project: &str, asked: &Asked) -> Told {
        let size = self.page.max(25);
        let name = self.world.projects.iter().find(|p| p["id"] == project).map(|p| p["name"].clone());
        let from = asked.number("continuationToken").unwrap_or(0);
        let of_project = |(id, at): &(i64, usize)| {
            let item = &self.world.items[id];
            (Some(item.revisions[*at]["fields"]["System.TeamProject"].clone()) == name)
                .then(|| item.revisions[*at].clone())
        };
        let page: Vec<&(i64, usize)> = self.world.watermarks.iter().skip(from).take(size).collect();
        let next = from + page.len();
        let values: Vec<Value> = page.iter().filter_map(|mark| of_project(*mark)).collect();
        let last = next >= self.world.watermarks.len();
        Told::One(json!({"values": values, "isLastBatch": last, "continuationToken": next.to_string()}))
    }

    fn wiql(&self, asked: &Asked) -> Told {
        let query = asked.body["query"].as_str().unwrap_or("");
        let after: i64 = query.split("> ").nth(1).and_then(|t| t.split(' ').next()?.parse().ok()).unwrap_or(0);
        let top = asked.number("$top").unwrap_or(200);
        let alive = self.world.items.iter().filter(|(id, i)| **id > after && !i.in_bin && !i.destroyed);
        Told::One(json!({"workItems": alive.take(top).map(|(id, _)| json!({"id": id})).collect::<Vec<_>>()}))
    }

    fn batch(&self, asked: &Asked) -> Told {
        let ids = asked.body["ids"].as_array().cloned().unwrap_or_default();
        if ids.len() > 200 {
            return Told::Status(400);
        }
        let alive = |id: &Value| self.world.items.get(&id.as_i64()?).filter(|i| !i.in_bin && !i.destroyed);
        Told::One(json!({"value": ids.iter().map(|id| alive(id).and_then(|i| i.revisions.last())).collect::<Vec<_>>()}))
    }

    fn audit(&self, asked: &Asked) -> Told {
        let size = self.page.max(30);
        let (from, to) = (asked.text("startTime"), asked.text("endTime"));
        let all = self.world.audit.iter().rev().filter(|e| {
            let at = e["timestamp"].as_str().unwrap();
            at >= from && at <= to
        });
        let skip = asked.number("continuationToken").unwrap_or(0);
        let all: Vec<&Value> = all.collect();
        let more = skip + size < all.len();
        let some: Vec<&Value> = all.into_iter().skip(skip).take(size).collect();
        Told::One(
            json!({"decoratedAuditLogEntries": some, "hasMore": more, "continuationToken": (skip + size).to_string()}),
        )
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().enumerate().fold(0_u32, |word, (i, byte)| word | u32::from(*byte) << (16 - 8 * i));
        for i in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * i) & 63) as usize] as char;
            text.push(if i <= three.len() { letter } else { '=' });
        }
    }
    text
}
