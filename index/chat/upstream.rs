//! A model behind OpenAI's interface: `POST BASE/chat/completions`, streamed.
//!
//! Until the first word, a server that is busy or away is asked again, after the time that it names. Behind the first word
//! nothing is repeated: an answer that breaks off says so.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use engine::{ChatModel, ChatRequest, Error, Kind, Result, Speaker};
use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::event_stream::Events;

/// Longest that a connection is waited for.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How often a request is sent in all.
const ATTEMPTS_MAX: u32 = 4;
/// First pause where the server names none; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// Longest pause: a server that names a longer one is busy for too long.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Bytes of a refusal that are told.
const REASON_BYTES_MAX: usize = 500;

/// Reads the key, with every request, so that a rotated one is found.
pub type Key = Arc<dyn Fn() -> Result<String> + Send + Sync>;

/// Where a model is, and how it is asked.
#[derive(Clone)]
pub struct UpstreamSettings {
    /// `https://host/v1`.
    pub base: String,
    /// The model's name there.
    pub model: String,
    /// The key, if one is needed.
    pub key: Option<Key>,
    /// Tokens of question and answer together.
    pub context_tokens: usize,
    /// Longest silence, before the first word and between two.
    pub silence_max: Duration,
}

impl std::fmt::Debug for UpstreamSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamSettings").field("base", &self.base).field("model", &self.model).finish_non_exhaustive()
    }
}

impl UpstreamSettings {
    /// A model with the usual bounds.
    pub fn new(base: &str, model: &str) -> UpstreamSettings {
        UpstreamSettings {
            base: base.trim_end_matches('/').to_owned(),
            model: model.to_owned(),
            key: None,
            context_tokens: 8_192,
            silence_max: Duration::from_secs(60),
        }
    }
}

/// A model of another server.
#[derive(Debug)]
pub struct Upstream {
    settings: UpstreamSettings,
    http: reqwest::Client,
}

impl Upstream {
    /// Asks nobody yet.
    pub fn new(settings: UpstreamSettings) -> Result<Upstream> {
        let base = reqwest::Url::parse(&settings.base).ok();
        if !base.is_some_and(|base| ["http", "https"].contains(&base.scheme()) && base.host().is_some()) {
            return Err(Error::invalid("a model's server is given as http://HOST/v1 or https://HOST/v1"));
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("stellwerk/", env!("CARGO_PKG_VERSION")))
            // A key is for this host and no other.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIME_MAX)
            .build()
            .map_err(|e| Error::unavailable("make the HTTP client", e))?;
        Ok(Upstream { settings, http })
    }

    fn doing(&self) -> String {
        format!("ask the model {} at {}", self.settings.model, host(&self.settings.base))
    }

    /// One attempt: an answer whose head came, or why there is none, with the pause that the server wishes.
    async fn send(&self, body: &Value) -> Result<Response, Refusal> {
        let mut request = self.http.post(format!("{}/chat/completions", self.settings.base)).json(body);
        if let Some(key) = &self.settings.key {
            request = request.bearer_auth(key().map_err(Refusal::last)?);
        }
        let lost = |words: String| Refusal::again(Error::new(Kind::Unavailable, format!("{}: {words}", self.doing())));
        let response = tokio::time::timeout(self.settings.silence_max, request.send()).await;
        let response = response.map_err(|_| lost(silence(self.settings.silence_max)))?;
        let response = response.map_err(|e| lost(reasons(&e.without_url())))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wish = response.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(pause);
        let body = tokio::time::timeout(self.settings.silence_max, response.bytes()).await;
        let reason = reason(&body.ok().and_then(Result::ok).unwrap_or_default());
        let error = Error::new(kind(status), format!("{}: {status}: {reason}", self.doing()));
        let is_passing = matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504);
        Err(Refusal { error, again: is_passing, pause: wish })
    }

    /// Attempts until one has an answer, or none will.
    async fn ask(&self, body: &Value) -> Result<Response> {
        let mut pause = PAUSE_FIRST;
        let mut attempt = 1;
        loop {
            let refusal = match self.send(body).await {
                Ok(response) => return Ok(response),
                Err(refusal) => refusal,
            };
            let wait = refusal.pause.unwrap_or(pause);
            if !refusal.again || attempt == ATTEMPTS_MAX || wait > PAUSE_MAX {
                return Err(refusal.error);
            }
            tracing::info!(error = %refusal.error, attempt, wait_ms = wait.as_millis() as u64, "the model is asked again");
            tokio::time::sleep(wait).await;
            (pause, attempt) = (pause * 2, attempt + 1);
        }
    }
}

/// Why an attempt failed.
struct Refusal {
    error: Error,
    again: bool,
    pause: Option<Duration>,
}

impl Refusal {
    fn last(error: Error) -> Refusal {
        Refusal { error, again: false, pause: None }
    }

    fn again(error: Error) -> Refusal {
        Refusal { error, again: true, pause: None }
    }
}

/// `Retry-After`: seconds, or an instant.
fn pause(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = chrono::DateTime::parse_from_rfc2822(value.trim()).ok()?;
    let until = SystemTime::from(at).duration_since(SystemTime::now());
    Some(until.unwrap_or_default())
}

fn kind(status: StatusCode) -> Kind {
    match status.as_u16() {
        401 | 403 => Kind::Denied,
        404 => Kind::NotFound,
        413 => Kind::TooLarge,
        429 => Kind::Overloaded { retry_after: PAUSE_MAX },
        400..=499 => Kind::Invalid,
        _ => Kind::Unavailable,
    }
}

/// What a refusal's body says.
fn reason(body: &[u8]) -> String {
    let document: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let error = &document["error"];
    let said = error["message"].as_str().or(error.as_str()).or(document["message"].as_str());
    let said = said.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if said.is_empty() {
        return "no reason given".to_owned();
    }
    let end = (0..=REASON_BYTES_MAX.min(said.len())).rev().find(|at| said.is_char_boundary(*at)).unwrap_or(0);
    said[..end].to_owned()
}

fn host(base: &str) -> String {
    let url = reqwest::Url::parse(base).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// An error with its causes, which say more than it does.
fn reasons(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

fn silence(max: Duration) -> String {
    format!("it said nothing for {} s", max.as_secs_f32())
}

#[async_trait]
impl ChatModel for Upstream {
    fn model(&self) -> &str {
        &self.settings.model
    }

    fn context_tokens(&self) -> usize {
        self.settings.context_tokens
    }

    async fn chat(&self, request: ChatRequest) -> Result<BoxStream<'static, Result<String>>> {
        let role = |speaker: Speaker| match speaker {
            Speaker::System => "system",
            Speaker::User => "user",
            Speaker::Assistant => "assistant",
        };
        let messages = request.messages.iter().map(|m| json!({"role": role(m.speaker), "content": m.text}));
        let body = json!({
            "model": self.settings.model,
            "messages": messages.collect::<Vec<_>>(),
            "max_tokens": request.tokens_max,
            "temperature": request.temperature,
            "stream": true,
        });
        let response = self.ask(&body).await?;
        let said = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let reading = Reading {
            is_stream: !said.starts_with("application/json"),
            doing: self.doing(),
            silence_max: self.settings.silence_max,
            events: Events::default(),
            ready: Vec::new().into_iter(),
            whole: Vec::new(),
            bytes: 0,
            is_over: false,
            response,
        };
        // Dropping the stream closes the connection, and that ends the work at the other side.
        let pieces = futures::stream::unfold(Some(reading), |reading| async {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error.context(&reading.doing)), None)),
            }
        });
        Ok(pieces.boxed())
    }
}

/// The events' data: names say nothing here.
fn data(events: impl IntoIterator<Item = (String, String)>) -> std::vec::IntoIter<String> {
    events.into_iter().map(|(_, data)| data).collect::<Vec<_>>().into_iter()
}

/// An answer being read.
struct Reading {
    response: Response,
    is_stream: bool,
    doing: String,
    silence_max: Duration,
    events: Events,
    ready: std::vec::IntoIter<String>,
    /// The body of a server that does not stream.
    whole: Vec<u8>,
    bytes: usize,
    is_over: bool,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(data) = self.ready.next() {
                match self.piece(&data)? {
                    Some(piece) => return Ok(Some(piece)),
                    None if self.is_over => return Ok(None),
                    None => continue,
                }
            }
            if self.is_over {
                return Ok(None);
            }
            let chunk = tokio::time::timeout(self.silence_max, self.response.chunk()).await;
            let chunk = chunk.map_err(|_| Error::new(Kind::Unavailable, silence(self.silence_max)))?;
            let chunk = chunk.map_err(|e| Error::new(Kind::Unavailable, reasons(&e.without_url())))?;
            self.bytes += chunk.as_ref().map_or(0, |chunk| chunk.len());
            if self.bytes > ANSWER_BYTES_MAX {
                return Err(Error::new(
                    Kind::Unavailable,
                    format!("its answer has more than {ANSWER_BYTES_MAX} bytes"),
                ));
            }
            match (chunk, self.is_stream) {
                (Some(chunk), true) => self.ready = data(self.events.push(&chunk)?),
                (Some(chunk), false) => self.whole.extend_from_slice(&chunk),
                (None, true) => match self.events.finish()? {
                    Some(last) => self.ready = data([last]),
                    None => return Err(Error::new(Kind::Unavailable, "its answer broke off")),
                },
                (None, false) => {
                    let last = String::from_utf8_lossy(&std::mem::take(&mut self.whole)).into_owned();
                    self.ready = vec![last].into_iter();
                }
            }
        }
    }

    /// The text of an event; the last one says that it is the last.
    fn piece(&mut self, data: &str) -> Result<Option<String>> {
        if data.trim() == "[DONE]" {
            self.is_over = true;
            return Ok(None);
        }
        let event: Value = serde_json::from_str(data)
            .map_err(|e| Error::new(Kind::Unavailable, format!("it sent an event that is no JSON: {e}")))?;
        if !event["error"].is_null() {
            return Err(Error::new(Kind::Unavailable, reason(data.as_bytes())));
        }
        let choice = &event["choices"][0];
        self.is_over |= !choice["finish_reason"].is_null();
        let text = choice["delta"]["content"].as_str().or(choice["message"]["content"].as_str());
        Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
