//! Requests to one API server: the client behind a kubeconfig or a service account, made again when its credential is
//! refused, and what a refusal asks of the caller.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Once, PoisonError, RwLock};
use std::time::Duration;

use http_body_util::BodyExt;
use kube::api::{ListParams, Patch, PatchParams};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::Wish;
use super::answer::Answer;

/// Tries of one request before whoever asked decides.
pub const TRIES_MAX: u32 = 6;
/// First and longest pause between two tries.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Bytes of a refusal that are read.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
/// How long the head of an answer may take.
const HEAD_TIME_MAX: Duration = Duration::from_secs(60);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// Where the client comes from.
#[derive(Debug)]
enum Home {
    Kubeconfig { path: PathBuf, context: String },
    InCluster,
}

/// The API server of one cluster.
pub struct Connection {
    home: Home,
    client: RwLock<(u64, Client)>,
}

/// Why a request has no answer.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Status of the answer; none when there was no answer.
    pub status: Option<u16>,
    /// The API server's words, or the connection's.
    pub message: String,
    /// When to come back.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A connection that broke, an answer that is none.
    pub fn broken(message: impl fmt::Display) -> Failure {
        Failure { status: None, message: message.to_string(), retry_after: None }
    }

    /// The version or the token is too old.
    pub fn is_expired(&self) -> bool {
        self.status == Some(410)
    }

    /// Coming back later may help.
    pub fn is_passing(&self) -> bool {
        self.status.is_none_or(|status| status == 429 || status >= 500)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// The pause before a try: longer each time, spread so that many callers do not come back together, and never shorter
/// than the API server asks for.
pub fn pause(tried: u32, asked: Option<Duration>) -> Duration {
    let doubled = PAUSE_MIN.saturating_mul(1 << tried.min(12)).min(PAUSE_MAX);
    let spread = doubled.mul_f64(rand::random_range(0.5..1.0));
    asked.map_or(spread, |asked| asked + spread.min(asked / 4))
}

impl Connection {
    /// A connection to each cluster of a wish, with the cluster's own name. Nothing is sent yet.
    pub async fn open(kubeconfig: &Path, wish: &Wish) -> Result<Vec<(String, Connection)>, String> {
        if wish.in_cluster {
            let home = Home::InCluster;
            let client = RwLock::new((0, home.client().await?));
            return Ok(vec![("in-cluster".to_owned(), Connection { home, client })]);
        }
        let read = Kubeconfig::read_from(kubeconfig).map_err(|e| format!("read {}: {e}", kubeconfig.display()))?;
        let current = || {
            let none = || format!("{} names no current context; name one with --context", kubeconfig.display());
            read.current_context.clone().filter(|name| !name.is_empty()).ok_or_else(none)
        };
        let contexts = if wish.contexts.is_empty() { vec![current()?] } else { wish.contexts.clone() };
        let mut connections = Vec::new();
        for context in contexts {
            let named = read.contexts.iter().find(|known| known.name == context);
            let cluster = named.and_then(|named| named.context.as_ref()).map(|context| context.cluster.clone());
            let cluster = cluster.ok_or_else(|| format!("{} has no context {context}", kubeconfig.display()))?;
            let home = Home::Kubeconfig { path: kubeconfig.to_owned(), context };
            let client = RwLock::new((0, home.client().await?));
            connections.push((cluster, Connection { home, client }));
        }
        Ok(connections)
    }

    fn current(&self) -> (u64, Client) {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the credential again, once for all who saw it refused.
    async fn renew(&self, seen: u64) -> Result<(), Failure> {
        if self.current().0 != seen {
            return Ok(());
        }
        let client = self.home.client().await.map_err(Failure::broken)?;
        let mut held = self.client.write().unwrap_or_else(PoisonError::into_inner);
        if held.0 == seen {
            *held = (seen + 1, client);
        }
        Ok(())
    }

    /// Asks once; a refused credential is read again and tried once more.
    pub async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(path, None).await
    }

    async fn send(&self, path: &str, merge: Option<&serde_json::Value>) -> Result<Answer, Failure> {
        let (seen, client) = self.current();
        match ask(&client, path, merge).await {
            Err(failure) if failure.status == Some(401) => {
                self.renew(seen).await?;
                ask(&self.current().1, path, merge).await
            }
            answered => answered,
        }
    }

    /// Changes an object once; a refused credential is read again and tried once more.
    pub async fn patch(&self, path: &str, merge: &serde_json::Value) -> Result<(), Failure> {
        self.send(path, Some(merge)).await.map(|_| ())
    }

    /// Asks for a document; what passes is waited for.
    pub async fn document(&self, path: &str) -> Result<serde_json::Value, Failure> {
        let mut tried = 0;
        loop {
            let read = async { self.get(path).await?.json().await };
            match read.await {
                Err(failure) if failure.is_passing() && tried + 1 < TRIES_MAX => {
                    tokio::time::sleep(pause(tried, failure.retry_after)).await;
                    tried += 1;
                }
                done => return done,
            }
        }
    }
}

impl Home {
    async fn client(&self) -> Result<Client, String> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // Two providers are linked, so rustls cannot choose; another part of the program may have chosen already.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        });
        let mut config = match self {
            Home::InCluster => Config::incluster().map_err(|e| format!("read the service account: {e}"))?,
            Home::Kubeconfig { path, context } => {
                let doing = |e: &dyn fmt::Display| format!("read {}: {e}", path.display());
                let read = Kubeconfig::read_from(path).map_err(|e| doing(&e))?;
                let options = KubeConfigOptions { context: Some(context.clone()), cluster: None, user: None };
                Config::from_custom_kubeconfig(read, &options).await.map_err(|e| doing(&e))?
            }
        };
        config.connect_timeout = Some(CONNECT_TIME_MAX);
        // Whoever asks knows better when to come back.
        config.default_retry = false;
        Client::try_from(config).map_err(|e| format!("make a client: {e}"))
    }
}

/// Reads what is at a path, or merges a change into it.
async fn ask(client: &Client, path: &str, merge: Option<&serde_json::Value>) -> Result<Answer, Failure> {
    let of = kube::core::Request::new("/");
    let request = match merge {
        None => of.list(&ListParams::default()),
        Some(change) => of.patch("object", &PatchParams::default(), &Patch::Merge(change)),
    };
    let mut request = request.map_err(|e| Failure::broken(format!("{path}: {e}")))?.map(Body::from);
    point(request.uri_mut(), path)?;
    let sent = tokio::time::timeout(HEAD_TIME_MAX, client.send(request)).await;
    let response = sent.map_err(|_| Failure::broken(format!("no answer within {HEAD_TIME_MAX:?}")))?;
    let response = response.map_err(|e| Failure::broken(words(&e)))?;
    let status = response.status().as_u16();
    if response.status().is_success() {
        return Ok(Answer::new(response.into_body()));
    }
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let body = http_body_util::Limited::new(response.into_body(), REFUSAL_BYTES_MAX).collect();
    let body = tokio::time::timeout(HEAD_TIME_MAX, body).await;
    let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
    let told: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let message = told.as_ref().and_then(|told| told.get("message")?.as_str());
    let message =
        message.map_or_else(|| String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned(), str::to_owned);
    Err(Failure { status: Some(status), message, retry_after })
}

/// Sets a request's URI.
fn point<T: std::str::FromStr>(uri: &mut T, path: &str) -> Result<(), Failure>
where
    T::Err: fmt::Display,
{
    *uri = path.parse().map_err(|e: T::Err| Failure::broken(format!("{path}: {e}")))?;
    Ok(())
}

/// An error with its causes.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_keep_what_was_asked() {
        for tried in 0..40 {
            let free = pause(tried, None);
            assert!(free >= PAUSE_MIN / 2 && free <= PAUSE_MAX, "{tried}: {free:?}");
            let asked = pause(tried, Some(Duration::from_secs(2)));
            assert!(asked >= Duration::from_secs(2) && asked <= Duration::from_millis(2500), "{tried}: {asked:?}");
        }
    }
}
