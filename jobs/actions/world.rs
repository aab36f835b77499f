//! Actions done: the only place from which a job reaches the world.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use engine::{Clock, Store, WallClock};
use ingest::ado::client::Client as Ado;
use ingest::kubernetes::live::label::Labels;
use ledger::budget::Budgets;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use url::Url;

use super::settings::Settings;
use super::{HTTP, K8S_LABEL, LABEL, MATERIALIZE, THROTTLE, TICKET, UNTHROTTLE};
use super::{decision, k8s_label, label, notify, throttle, ticket};
use crate::queue::{Claimed, Ended};

/// A call that takes longer has failed.
pub(super) const CALL_MAX: Duration = Duration::from_secs(20);
/// Characters of an answer that are kept.
const RESPONSE_CHARS: usize = 300;

/// Does what a job asks for.
#[async_trait]
pub trait Outside: Send + Sync + std::fmt::Debug {
    /// One attempt of a job.
    async fn act(&self, job: &Claimed) -> Ended;
}

/// The house's own things that actions change.
#[derive(Debug, Clone)]
pub struct Inside {
    /// The tables, and the state database beside them.
    pub store: Arc<Store>,
    /// Budgets and quotas.
    pub budgets: Arc<Budgets>,
}

/// The real world.
#[derive(Debug)]
pub struct World {
    pub(super) settings: Settings,
    pub(super) inside: Option<Inside>,
    pub(super) tracker: OnceLock<Ado>,
    /// Clusters that were opened, by name.
    pub(super) clusters: tokio::sync::Mutex<BTreeMap<String, Arc<Labels>>>,
    /// Snapshots are taken and written one behind the other: the last one written is the newest.
    pub(super) snapshots: tokio::sync::Mutex<()>,
    client: Client,
}

impl World {
    /// The world as far as these settings reach.
    pub fn new(settings: Settings) -> engine::Result<Self> {
        let client = Client::builder().timeout(CALL_MAX).redirect(reqwest::redirect::Policy::none()).build();
        let client = client.map_err(|e| engine::Error::unavailable("prepare to call others", e))?;
        let (tracker, clusters, snapshots) = Default::default();
        Ok(World { settings, inside: None, tracker, clusters, snapshots, client })
    }

    /// The same with the house's own things.
    pub fn within(self, inside: Inside) -> Self {
        World { inside: Some(inside), ..self }
    }

    /// The house's own things, for an action that needs them.
    pub(super) fn inside(&self) -> Result<&Inside, Ended> {
        let none = || Ended::Refused { error: "this process does not reach the store".to_owned() };
        self.inside.as_ref().ok_or_else(none)
    }

    pub(super) fn now_us(&self) -> i64 {
        self.inside.as_ref().map_or_else(|| WallClock.now_us(), |inside| inside.store.clock().now_us())
    }

    /// Posts a body under the job's name.
    pub(super) async fn post(
        &self,
        url: Url,
        target: &str,
        body: String,
        headers: Vec<(&'static str, String)>,
        job: &Claimed,
    ) -> Ended {
        let mut request = self.client.post(url).header("content-type", "application/json");
        request = request.header("idempotency-key", &job.dedupe).header("x-stellwerk-attempt", job.attempt);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = match request.body(body).send().await {
            Ok(answer) => answer,
            // Its text may hold the URL, and that a secret.
            Err(error) => return failed(format!("{target} was not reached: {}", error.without_url()), None),
        };
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let text: String = answer.text().await.unwrap_or_default().chars().take(RESPONSE_CHARS).collect();
        let error = || format!("{target} answered {status}: {text}");
        match status {
            _ if status.is_success() => Ended::Done { target: target.to_owned(), response: format!("{status} {text}") },
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::CONFLICT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS => failed(error(), after.map(Duration::from_secs)),
            _ if status.is_client_error() => Ended::Refused { error: error() },
            _ => failed(error(), after.map(Duration::from_secs)),
        }
    }

    async fn call(&self, job: &Claimed) -> Ended {
        let Some(url) = Url::parse(with(job, "url")).ok().filter(|url| self.settings.allows(url)) else {
            let error = "its host is not among the `hosts` of the settings of actions".to_owned();
            return Ended::Refused { error };
        };
        let target = url.host_str().unwrap_or_default().to_owned();
        self.post(url, &target, job.arguments.to_string(), Vec::new(), job).await
    }
}

/// An argument of a job as text; a number as its digits.
pub(super) fn with<'a>(job: &'a Claimed, name: &str) -> &'a str {
    job.arguments["with"][name].as_str().unwrap_or_default()
}

/// The same, where the rule gave one.
pub(super) fn given<'a>(job: &'a Claimed, name: &str) -> Option<&'a str> {
    Some(with(job, name)).filter(|text| !text.is_empty())
}

pub(super) fn failed(error: String, retry_after: Option<Duration>) -> Ended {
    Ended::Failed { error, retry_after }
}

/// How an attempt ended that met an error of our own floors.
pub(super) fn ended(error: &engine::Error) -> Ended {
    use engine::Kind;
    match error.kind() {
        Kind::Overloaded { retry_after } => failed(error.to_string(), Some(retry_after)),
        Kind::Unavailable | Kind::Conflict | Kind::Internal | Kind::Limit => failed(error.to_string(), None),
        Kind::Invalid | Kind::NotFound | Kind::Denied | Kind::TooLarge | Kind::Corrupt => {
            Ended::Refused { error: error.to_string() }
        }
    }
}

/// A part of a job's arguments as text.
pub(super) fn said<'a>(arguments: &'a Value, name: &str) -> &'a str {
    arguments[name].as_str().unwrap_or_default()
}

#[async_trait]
impl Outside for World {
    async fn act(&self, job: &Claimed) -> Ended {
        let ended = match job.kind.as_str() {
            kind if notify::KINDS.contains(&kind) => notify::act(self, job).await,
            kind if kind == HTTP.name => Ok(self.call(job).await),
            kind if kind == TICKET.name => ticket::act(self, job).await,
            kind if kind == MATERIALIZE.name => decision::act(self, job).await,
            kind if kind == THROTTLE.name => throttle::put(self, job).await,
            kind if kind == UNTHROTTLE.name => throttle::take(self, job).await,
            kind if kind == LABEL.name => label::act(self, job).await,
            kind if kind == K8S_LABEL.name => k8s_label::act(self, job).await,
            kind => Ok(Ended::Refused { error: format!("there is no action {kind}") }),
        };
        ended.unwrap_or_else(|ended| ended)
    }
}
