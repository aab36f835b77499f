//! The REST interface of Azure DevOps (api-version 7.1): one request at a time through the budget, its answer parsed once.
//!
//! What is peculiar here: throttling is announced on answers of 200 before the first 429; a credential that is not valid is
//! answered with 203 or 302 and a sign-in page; bodies may begin with a byte-order mark; a page may be continued by a header.

mod assertion;
pub mod auth;
pub mod hosts;
pub mod item;
pub mod pace;
pub mod page;
pub mod pull_request;
pub mod secret;
pub mod time;
pub mod write;

use std::sync::Arc;
use std::time::Duration;

use engine::{Error, Kind};
use parking_lot::Mutex;
use rand::Rng;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

pub use auth::Credential;
pub use hosts::{Host, Hosts};
pub use page::{Pages, Paging};
pub use time::{Time, WallTime};

use auth::Auth;
use pace::{Pacer, Told};

/// The version that we ask for. What is still in preview says so itself.
pub const API: &str = "7.1";
/// Times that one request is sent while the source is not well.
const ATTEMPTS_MAX: u32 = 7;
/// Longest that one answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);
/// The first wait before another try; it doubles with each.
const BACKOFF_FIRST_US: i64 = 1_000_000;
/// The longest wait between two tries.
const BACKOFF_MAX_US: i64 = 60_000_000;
/// Bytes of an answer that are read.
const BODY_BYTES_MAX: usize = 256 << 20;
/// Characters of a refusal that are told.
const REFUSAL_CHARS_MAX: usize = 300;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The credential is not valid, or no longer.
    #[error("{doing}: authentication failed, Azure DevOps answered {status}{page}; check {credential}")]
    SignIn { doing: String, status: u16, page: &'static str, credential: String },
    /// The identity may not see it.
    #[error("{doing}: {words} ({status})")]
    Forbidden { doing: String, status: u16, words: String },
    /// It is not there, or no longer.
    #[error("{doing}: not found ({status})")]
    Gone { doing: String, status: u16 },
    /// The request itself is refused.
    #[error("{doing}: {words} ({status})")]
    Invalid { doing: String, status: u16, words: String },
    /// The source is not well, or not reached, after all tries.
    #[error("{doing}: {words}, after {tries} tries")]
    Unwell { doing: String, words: String, tries: u32 },
    /// The answer is not what the interface promises.
    #[error("{doing}: the answer is no JSON: {words}")]
    Broken { doing: String, words: String },
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        let kind = match refused {
            Refused::SignIn { .. } | Refused::Forbidden { .. } => Kind::Denied,
            Refused::Gone { .. } => Kind::NotFound,
            Refused::Invalid { status: 409, .. } => Kind::Conflict,
            Refused::Invalid { .. } => Kind::Invalid,
            Refused::Unwell { .. } | Refused::Broken { .. } => Kind::Unavailable,
        };
        Error::new(kind, refused.to_string())
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: Method,
    pub host: Host,
    /// Path behind the organization, segments encoded where they need it.
    pub path: String,
    pub query: Vec<(String, String)>,
    /// `api-version`.
    pub api: &'static str,
    pub body: Option<Value>,
    /// `application/json`, or what a work item's change wants.
    pub content_type: &'static str,
    /// Times that it is sent while the source is not well. What makes something is sent once: whether the first one was
    /// heard is found out by looking.
    pub tries: u32,
}

impl Ask {
    /// Reads what is at `path`.
    pub fn get(host: Host, path: impl Into<String>) -> Ask {
        Ask {
            method: Method::GET,
            host,
            path: path.into(),
            query: Vec::new(),
            api: API,
            body: None,
            content_type: "application/json",
            tries: ATTEMPTS_MAX,
        }
    }

    /// Sends `body` to `path`.
    pub fn post(host: Host, path: impl Into<String>, body: Value) -> Ask {
        Ask { method: Method::POST, body: Some(body), ..Ask::get(host, path) }
    }

    /// The same with another parameter.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Ask {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// The same, sent once.
    pub fn once(mut self) -> Ask {
        self.tries = 1;
        self
    }

    /// The same at another `api-version`.
    pub fn api(mut self, api: &'static str) -> Ask {
        self.api = api;
        self
    }

    /// What it costs depends on what it asks: the last words of the path that are no id.
    fn class(&self) -> String {
        let mut words =
            self.path.rsplit('/').filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()) && word.len() < 40);
        words.next().unwrap_or_default().to_owned()
    }

    fn doing(&self) -> String {
        format!("{} {} of {}", if self.method == Method::GET { "read" } else { "write" }, self.path, self.host.name())
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub body: Value,
    /// Where the next page begins, by a header.
    pub continuation: Option<String>,
    /// When it was asked for: the rows are as new as that.
    pub asked_us: i64,
}

impl Answer {
    /// The resources of a list.
    pub fn items(&self, member: &str) -> &[Value] {
        match self.body.get(member) {
            Some(Value::Array(items)) => items,
            _ => self.body.as_array().map_or(&[], Vec::as_slice),
        }
    }
}

/// What a client has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Traffic {
    /// Requests sent.
    pub requests: u64,
    /// Answers of 429.
    pub refused_429: u64,
    /// Tries after an answer of 5xx or none.
    pub retries: u64,
    /// Milliseconds that the budget made us wait.
    pub waited_ms: u64,
}

/// Speaks to one organization.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    hosts: Hosts,
    auth: Auth,
    time: Arc<dyn Time>,
    pacer: Mutex<Pacer>,
    /// Near the limit one request waits for the other: what is on its way is not yet counted.
    turn: tokio::sync::Mutex<()>,
    traffic: Mutex<Traffic>,
}

impl Client {
    /// For this organization and credential.
    pub fn new(hosts: Hosts, credential: Credential, time: Arc<dyn Time>) -> Result<Client, Error> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("stellwerk/", env!("CARGO_PKG_VERSION")))
            // A redirect is the sign-in page: to follow it would turn a failed authentication into a page of HTML.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_TIME_MAX)
            .build()
            .map_err(|e| Error::unavailable("make the HTTP client", e))?;
        let auth = Auth::new(credential, &hosts);
        Ok(Client {
            http,
            hosts,
            auth,
            time,
            pacer: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            traffic: Mutex::default(),
        })
    }

    /// The organization's name.
    pub fn organization(&self) -> &str {
        &self.hosts.organization
    }

    /// The client's time.
    pub fn time(&self) -> &Arc<dyn Time> {
        &self.time
    }

    /// What it has done so far.
    pub fn traffic(&self) -> Traffic {
        *self.traffic.lock()
    }

    /// Sends one request, again while the source is not well, and reads the answer.
    pub async fn ask(&self, ask: &Ask) -> Result<Answer, Refused> {
        let (mut renewed, mut words) = (false, String::new());
        // A token that was renewed in between is no try of its own.
        for attempt in 0..ask.tries.max(2) {
            if attempt >= ask.tries && !renewed {
                break;
            }
            if attempt > 0 {
                self.traffic.lock().retries += 1;
            }
            let near = self.pacer.lock().is_near();
            let _turn = if near { Some(self.turn.lock().await) } else { None };
            self.wait_for_budget(&ask.class()).await;
            let asked_us = self.time.now_us();
            let (status, headers, body) = match self.send(ask).await {
                Ok(answer) => answer,
                Err(Sending::Refused(refused)) => {
                    self.pacer.lock().lost(&ask.class(), self.time.now_us());
                    return Err(refused);
                }
                Err(Sending::Lost(why)) => {
                    self.pacer.lock().lost(&ask.class(), self.time.now_us());
                    words = why;
                    self.back_off(attempt).await;
                    continue;
                }
            };
            self.settle(&ask.class(), status, &headers);
            match status.as_u16() {
                // 203 carries the sign-in page, where a body of JSON is promised.
                203 | 300..=399 | 401 => {
                    if renewed {
                        return Err(self.sign_in(ask, status));
                    }
                    renewed = true;
                    self.auth.forget();
                }
                200..=299 => return answer(ask, &headers, &body, asked_us),
                404 => return Err(Refused::Gone { doing: ask.doing(), status: 404 }),
                403 => return Err(Refused::Forbidden { doing: ask.doing(), status: 403, words: told(&body) }),
                // 410 may be a page whose token is too old, or a source that is being moved: it is believed at the last try.
                410 if attempt + 1 == ask.tries => return Err(Refused::Gone { doing: ask.doing(), status: 410 }),
                408 | 410 | 429 | 500..=599 => {
                    words = format!("the source answered {}", status.as_u16());
                    // A time to come back is waited for with the budget.
                    if retry_after_us(&headers).is_none() {
                        self.back_off(attempt).await;
                    }
                }
                other => return Err(Refused::Invalid { doing: ask.doing(), status: other, words: told(&body) }),
            }
        }
        Err(Refused::Unwell { doing: ask.doing(), words, tries: ask.tries })
    }

    /// A list, all its pages.
    pub async fn all(&self, ask: Ask, paging: Paging, member: &str) -> Result<Vec<Value>, Refused> {
        let (mut pages, mut items) = (Pages::new(ask, paging), Vec::new());
        while let Some(answer) = pages.next(self, member).await? {
            items.extend_from_slice(answer.items(member));
        }
        Ok(items)
    }

    async fn send(&self, ask: &Ask) -> Result<(StatusCode, HeaderMap, Vec<u8>), Sending> {
        let url = self.url(ask).map_err(Sending::Refused)?;
        let lost = |e: reqwest::Error| Sending::Lost(format!("the source was not reached: {}", e.without_url()));
        let authorization = self.auth.header(&self.http, &*self.time).await.map_err(|e| match e.kind() {
            Kind::Unavailable => Sending::Lost(e.to_string()),
            _ => Sending::Refused(Refused::SignIn {
                doing: format!("{} ({e})", ask.doing()),
                status: 401,
                page: "",
                credential: self.auth.told(),
            }),
        })?;
        let mut authorization = HeaderValue::from_str(&authorization).map_err(|_| {
            let doing = format!("{} (the credential is no header)", ask.doing());
            Sending::Refused(Refused::SignIn { doing, status: 401, page: "", credential: self.auth.told() })
        })?;
        // Logs of the HTTP client leave it out.
        authorization.set_sensitive(true);
        let mut request = self.http.request(ask.method.clone(), url).header("authorization", authorization);
        // Without it, a page of HTML may come where an error is meant.
        request = request.header("accept", "application/json").header("x-tfs-fedauthredirect", "Suppress");
        if let Some(body) = &ask.body {
            request = request.header("content-type", ask.content_type).body(body.to_string());
        }
        self.traffic.lock().requests += 1;
        let mut response = request.send().await.map_err(lost)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_BYTES_MAX {
                let words = format!("it has more than {BODY_BYTES_MAX} bytes");
                return Err(Sending::Refused(Refused::Broken { doing: ask.doing(), words }));
            }
        }
        Ok((status, headers, body))
    }

    fn url(&self, ask: &Ask) -> Result<Url, Refused> {
        let base = self.hosts.base(ask.host);
        let url = Url::parse(&format!("{base}/{}", ask.path.trim_start_matches('/')));
        let mut url = url.map_err(|e| Refused::Invalid { doing: ask.doing(), status: 0, words: e.to_string() })?;
        {
            let mut query = url.query_pairs_mut();
            for (name, value) in &ask.query {
                query.append_pair(name, value);
            }
            query.append_pair("api-version", ask.api);
        }
        Ok(url)
    }

    async fn wait_for_budget(&self, class: &str) {
        loop {
            let now_us = self.time.now_us();
            let until = match self.pacer.lock().admit(class, now_us) {
                Ok(()) => return,
                Err(until_us) => until_us,
            };
            self.traffic.lock().waited_ms += u64::try_from((until - now_us) / 1_000).unwrap_or(0);
            self.time.sleep_until(until).await;
        }
    }

    fn settle(&self, class: &str, status: StatusCode, headers: &HeaderMap) {
        let number = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()?.trim().parse::<f64>().ok());
        let told = Told {
            limit: number("x-ratelimit-limit"),
            remaining: number("x-ratelimit-remaining"),
            retry_after_us: retry_after_us(headers),
        };
        self.pacer.lock().settle(class, self.time.now_us(), &told);
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.traffic.lock().refused_429 += 1;
        }
    }

    /// Waits longer each time, and never all at the same moment.
    async fn back_off(&self, attempt: u32) {
        let longest = BACKOFF_FIRST_US.saturating_mul(1 << attempt.min(20)).min(BACKOFF_MAX_US);
        let wait_us = rand::rng().random_range(longest / 2..=longest);
        self.time.sleep_until(self.time.now_us() + wait_us).await;
    }

    fn sign_in(&self, ask: &Ask, status: StatusCode) -> Refused {
        let page = if status == StatusCode::UNAUTHORIZED { "" } else { " and its sign-in page" };
        Refused::SignIn { doing: ask.doing(), status: status.as_u16(), page, credential: self.auth.told() }
    }
}

/// Why a request was not sent or its answer not read.
enum Sending {
    /// It may be better at the next try.
    Lost(String),
    Refused(Refused),
}

fn answer(ask: &Ask, headers: &HeaderMap, body: &[u8], asked_us: i64) -> Result<Answer, Refused> {
    let body = super::trim(body);
    let parsed = match body {
        [] => Ok(Value::Null),
        _ => std::str::from_utf8(body)
            .map_err(|e| e.to_string())
            .and_then(|text| crate::bounded::json(text).map_err(|e| e.to_string())),
    };
    let body = parsed.map_err(|words| Refused::Broken { doing: ask.doing(), words })?;
    let continuation = headers.get("x-ms-continuationtoken").and_then(|v| v.to_str().ok()).filter(|t| !t.is_empty());
    Ok(Answer { body, continuation: continuation.map(str::to_owned), asked_us })
}

/// `Retry-After` in seconds; the interface never sends a date.
#[allow(clippy::cast_possible_truncation)]
fn retry_after_us(headers: &HeaderMap) -> Option<i64> {
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    (seconds.is_finite() && (0.0..86_400.0).contains(&seconds)).then_some((seconds * 1e6) as i64)
}

/// What a refusal says.
fn told(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(super::trim(body));
    let words = serde_json::from_str::<Value>(&text).ok().and_then(|v| v.get("message")?.as_str().map(str::to_owned));
    let words = words.unwrap_or_else(|| "it is refused".to_owned());
    words.chars().take(REFUSAL_CHARS_MAX).collect()
}

/// A word as a segment of a path.
pub fn segment(word: &str) -> String {
    url::form_urlencoded::byte_serialize(word.as_bytes()).collect::<String>().replace('+', "%20")
}
