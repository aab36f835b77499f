//! Actions done: the only place from which a job reaches the world.

use std::time::Duration;

use async_trait::async_trait;
use hmac::{Hmac, Mac};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use url::Url;

use super::settings::Settings;
use super::{HTTP, NOTIFY};
use crate::queue::{Claimed, Ended};

/// A call that takes longer has failed.
const CALL_MAX: Duration = Duration::from_secs(20);
/// Bytes of an answer that are kept.
const RESPONSE_BYTES: usize = 300;
/// The header that holds the signature: `sha256=` and the HMAC of the body in hex.
pub const SIGNATURE: &str = "x-stellwerk-signature-256";

/// Does what a job asks for.
#[async_trait]
pub trait Outside: Send + Sync + std::fmt::Debug {
    /// One attempt of a job.
    async fn act(&self, job: &Claimed) -> Ended;
}

/// The real world.
#[derive(Debug)]
pub struct World {
    settings: Settings,
    client: Client,
}

impl World {
    /// The world as far as these settings reach.
    pub fn new(settings: Settings) -> engine::Result<Self> {
        let client = Client::builder().timeout(CALL_MAX).redirect(reqwest::redirect::Policy::none()).build();
        let client = client.map_err(|e| engine::Error::unavailable("prepare to call others", e))?;
        Ok(World { settings, client })
    }

    async fn post(&self, url: Url, target: String, body: &Value, job: &Claimed, secret: Option<&[u8]>) -> Ended {
        let body = body.to_string();
        let mut request = self.client.post(url).header("content-type", "application/json");
        request = request.header("idempotency-key", &job.dedupe).header("x-stellwerk-attempt", job.attempt);
        if let Some(secret) = secret {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length is one");
            mac.update(body.as_bytes());
            request = request.header(SIGNATURE, format!("sha256={}", hex::encode(mac.finalize().into_bytes())));
        }
        let answer = match request.body(body).send().await {
            Ok(answer) => answer,
            // Its text may hold the URL, and that a secret.
            Err(error) => return failed(format!("{target} was not reached: {}", error.without_url()), None),
        };
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let text: String = answer.text().await.unwrap_or_default().chars().take(RESPONSE_BYTES).collect();
        let error = || format!("{target} answered {status}: {text}");
        match status {
            _ if status.is_success() => Ended::Done { target: target.clone(), response: format!("{status} {text}") },
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::CONFLICT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS => failed(error(), after.map(Duration::from_secs)),
            _ if status.is_client_error() => Ended::Refused { error: error() },
            _ => failed(error(), after.map(Duration::from_secs)),
        }
    }
}

fn failed(error: String, retry_after: Option<Duration>) -> Ended {
    Ended::Failed { error, retry_after }
}

#[async_trait]
impl Outside for World {
    async fn act(&self, job: &Claimed) -> Ended {
        let with = |name: &str| job.arguments["with"][name].as_str().unwrap_or_default();
        if job.kind == NOTIFY.name {
            let name = with("channel");
            let Some(channel) = self.settings.channels.get(name) else {
                return Ended::Refused { error: format!("there is no channel {name} in the settings of actions") };
            };
            let mut body = json!({ "text": with("message") });
            for part in ["rule", "transition", "key", "row"] {
                body[part] = job.arguments[part].clone();
            }
            let target = format!("channel {name}");
            return self.post(channel.url.clone(), target, &body, job, channel.secret.as_deref()).await;
        }
        if job.kind == HTTP.name {
            let Some(url) = Url::parse(with("url")).ok().filter(|url| self.settings.allows(url)) else {
                return Ended::Refused {
                    error: "its host is not among the `hosts` of the settings of actions".to_owned(),
                };
            };
            let target = url.host_str().unwrap_or_default().to_owned();
            return self.post(url, target, &job.arguments, job, None).await;
        }
        Ended::Refused { error: format!("there is no action {}", job.kind) }
    }
}
