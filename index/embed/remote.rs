//! Any server that embeds as OpenAI's interface does: `POST BASE/embeddings` with a model and a list of texts.
//!
//! Texts go in batches, some of them at the same time. What the server cannot take now (429, 5xx, a broken connection) is
//! sent again after the time that it names or a growing pause; what it refuses is told with its own words.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::{Embedder, Error, Kind, Purpose, Result};
use futures::{StreamExt, TryStreamExt, stream};
use rand::Rng;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::{Value, json};

/// Texts of one request.
const BATCH_TEXTS_MAX: usize = 64;
/// Bytes of the texts of one request, unless one text has more.
const BATCH_BYTES_MAX: usize = 256 << 10;
/// Requests on their way at the same time.
const REQUESTS_TOGETHER: usize = 4;
/// Times that a request is sent.
const TRIES_MAX: u32 = 5;
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// The longest pause, also where the server asks for a longer one.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Bytes of an answer: a full batch of wide vectors, written out.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Characters of a refusal that are told.
const REFUSAL_CHARS_MAX: usize = 300;
/// Bytes that a token has at least on average, for estimates without the server's tokenizer.
const TOKEN_BYTES: usize = 3;

/// Reads the key, with every request, so that a rotated one is found.
pub type Key = Arc<dyn Fn() -> Result<String> + Send + Sync>;

/// Which server, and how it is asked.
#[derive(Clone)]
pub struct RemoteSettings {
    /// The address that `/embeddings` is put behind, such as `https://api.openai.com/v1`.
    pub base: String,
    /// The model's name there.
    pub model: String,
    /// The key, if one is needed.
    pub key: Option<Key>,
    /// Tokens of one text that the model reads.
    pub tokens_max: usize,
    /// Put before a question.
    pub query_prefix: String,
    /// Put before what is to be found.
    pub passage_prefix: String,
}

impl RemoteSettings {
    /// A model of a server, without a key.
    pub fn new(base: &str, model: &str) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        let (query_prefix, passage_prefix) = (String::new(), String::new());
        RemoteSettings { base, model: model.to_owned(), key: None, tokens_max: 512, query_prefix, passage_prefix }
    }
}

impl fmt::Debug for RemoteSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSettings").field("base", &self.base).field("model", &self.model).finish_non_exhaustive()
    }
}

/// A server that embeds.
#[derive(Debug)]
pub struct RemoteEmbedder {
    settings: RemoteSettings,
    name: String,
    url: reqwest::Url,
    http: reqwest::Client,
    width: usize,
}

#[derive(Debug, Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

/// Why a request has no answer, and whether it is sent again.
enum Refused {
    Ends(Error),
    Again(Error, Option<Duration>),
}

impl RemoteEmbedder {
    /// Asks the server for one vector, so that a wrong address, key or model is found at once, and the width is known.
    pub async fn connect(settings: RemoteSettings) -> Result<RemoteEmbedder> {
        let address = format!("{}/embeddings", settings.base);
        let url = reqwest::Url::parse(&address).map_err(|e| Error::invalid(format!("{address} is no address: {e}")))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(Error::invalid(format!("{address} is neither http nor https")));
        }
        // Texts and key are for this host and no other.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let http = http.connect_timeout(CONNECT_TIME_MAX).timeout(ANSWER_TIME_MAX).build();
        let http = http.map_err(|e| Error::unavailable("make an HTTP client", e))?;
        let host = url.host_str().unwrap_or_default();
        let name = format!("{}@{host}", settings.model);
        let mut embedder = RemoteEmbedder { settings, name, url, http, width: 0 };
        let first = embedder.ask(&["a signal box".to_owned()]).await?;
        embedder.width = first.first().map_or(0, Vec::len);
        if embedder.width == 0 {
            return Err(Error::invalid(format!("{} answers with an empty vector", embedder.name)));
        }
        Ok(embedder)
    }

    /// One request, sent until it is answered or refused.
    async fn ask(&self, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        let mut pause = PAUSE_FIRST;
        for attempt in 1.. {
            match self.try_once(texts).await {
                Ok(vectors) => return Ok(vectors),
                Err(Refused::Ends(error)) => return Err(error),
                Err(Refused::Again(error, _)) if attempt >= TRIES_MAX => {
                    return Err(error.context(&format!("embed by {}, after {attempt} tries", self.name)));
                }
                Err(Refused::Again(error, told)) => {
                    tracing::debug!(%error, model = self.name, "embedding is tried again");
                    let jitter = rand::rng().random_range(0.75..1.25);
                    tokio::time::sleep(told.unwrap_or_else(|| pause.mul_f64(jitter)).min(PAUSE_MAX)).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
        unreachable!("the tries are counted")
    }

    async fn try_once(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, Refused> {
        let body = json!({"model": self.settings.model, "input": texts, "encoding_format": "float"});
        let mut request = self.http.post(self.url.clone()).json(&body);
        if let Some(key) = &self.settings.key {
            request = request.bearer_auth(key().map_err(Refused::Ends)?);
        }
        let broken = |e: reqwest::Error| Refused::Again(Error::unavailable("ask for vectors", e.without_url()), None);
        let mut answer = request.send().await.map_err(broken)?;
        let (status, told) = (answer.status().as_u16(), told_pause(answer.headers()));
        let mut bytes = Vec::new();
        while let Some(more) = answer.chunk().await.map_err(broken)? {
            bytes.extend_from_slice(&more);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(Refused::Ends(Error::new(Kind::TooLarge, format!("{} answers without an end", self.name))));
            }
        }
        if status != 200 {
            let error = |kind| Error::new(kind, format!("{} answers {status}: {}", self.name, words(&bytes)));
            return Err(match status {
                408 | 429 | 500.. => Refused::Again(error(Kind::Unavailable), told),
                401 | 403 => Refused::Ends(error(Kind::Denied)),
                404 => Refused::Ends(error(Kind::NotFound)),
                413 => Refused::Ends(error(Kind::TooLarge)),
                _ => Refused::Ends(error(Kind::Invalid)),
            });
        }
        self.vectors(&bytes, texts.len()).map_err(Refused::Ends)
    }

    /// The vectors of an answer in the order of the texts, of length one.
    fn vectors(&self, bytes: &[u8], texts: usize) -> Result<Vec<Vec<f32>>> {
        let wrong =
            |why: String| Error::new(Kind::Unavailable, format!("the answer of {} is of no use: {why}", self.name));
        let answer: Answer = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        let mut vectors = vec![Vec::new(); texts];
        for Item { index, embedding } in answer.data {
            let width = self.width;
            if width > 0 && embedding.len() != width {
                return Err(wrong(format!("a vector of {} numbers, the others have {width}", embedding.len())));
            }
            let length = embedding.iter().map(|cell| cell * cell).sum::<f32>().sqrt();
            if !length.is_finite() || length == 0.0 {
                return Err(wrong("a vector without a direction".to_owned()));
            }
            let place = vectors.get_mut(index).ok_or_else(|| wrong(format!("a vector for text {index} of {texts}")))?;
            *place = embedding.into_iter().map(|cell| cell / length).collect();
        }
        match vectors.iter().position(Vec::is_empty) {
            Some(missing) => Err(wrong(format!("no vector for text {missing} of {texts}"))),
            None => Ok(vectors),
        }
    }
}

/// How long the server asks to wait. A date instead of seconds is left to the growing pause.
fn told_pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// What a refusal says.
fn words(body: &[u8]) -> String {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let told = ["/error/message", "/error", "/message", "/detail"].iter().find_map(|at| document.pointer(at)?.as_str());
    let text = told.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    text.chars().take(REFUSAL_CHARS_MAX).collect()
}

/// Texts cut into requests.
fn batches(texts: Vec<String>) -> Vec<Vec<String>> {
    let mut batches: Vec<Vec<String>> = Vec::new();
    let mut bytes = 0;
    for text in texts {
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_TEXTS_MAX && bytes + text.len() <= BATCH_BYTES_MAX => {
                bytes += text.len();
                batch.push(text);
            }
            _ => {
                bytes = text.len();
                batches.push(vec![text]);
            }
        }
    }
    batches
}

#[async_trait]
impl Embedder for RemoteEmbedder {
    fn model(&self) -> &str {
        &self.name
    }

    fn width(&self) -> usize {
        self.width
    }

    /// An estimate from above for most texts: the server's tokenizer is not here.
    fn tokens(&self, text: &str) -> usize {
        text.len().div_ceil(TOKEN_BYTES)
    }

    fn tokens_max(&self) -> usize {
        self.settings.tokens_max
    }

    async fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Vec<Vec<f32>>> {
        let prefix = match purpose {
            Purpose::Query => self.settings.query_prefix.as_str(),
            Purpose::Passage => self.settings.passage_prefix.as_str(),
        };
        let texts = texts.iter().map(|text| [prefix, *text].concat()).collect();
        let asked = stream::iter(batches(texts)).map(|batch| async move { self.ask(&batch).await });
        let vectors: Vec<Vec<Vec<f32>>> = asked.buffered(REQUESTS_TOGETHER).try_collect().await?;
        Ok(vectors.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests;
