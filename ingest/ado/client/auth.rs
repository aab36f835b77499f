//! Who we are to Azure DevOps: a personal access token, a service principal, or the managed identity of the machine.

use std::str::FromStr;

use base64::Engine;
use engine::{Error, Kind, Result};
use serde_json::Value;

use super::hosts::Hosts;
use super::secret::SecretRef;
use super::time::Time;

/// What tokens are for: Azure DevOps's id in Entra.
const RESOURCE: &str = "499b84ac-1321-427f-aa17-267ca6975798";
/// A token is renewed so long before its end.
const RENEW_BEFORE_US: i64 = 300_000_000;
/// How long a token lasts that does not say.
const LIFE_DEFAULT_S: i64 = 3_600;

/// How we sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A personal access token.
    Pat(SecretRef),
    /// A service principal of an Entra tenant, with its secret.
    ServicePrincipal { tenant: String, client: String, secret: SecretRef },
    /// The managed identity of the machine; one of several by its client id.
    ManagedIdentity { client: Option<String> },
}

impl FromStr for Credential {
    type Err = Error;

    fn from_str(words: &str) -> Result<Credential> {
        let bad = || {
            Error::invalid(
                "--auth is pat:env:NAME, pat:file:PATH, sp:TENANT:CLIENT:env:NAME, sp:TENANT:CLIENT:file:PATH, mi or mi:CLIENT",
            )
        };
        match words.split_once(':').unwrap_or((words, "")) {
            ("pat", secret) => Ok(Credential::Pat(secret.parse()?)),
            ("sp", rest) => {
                let parts: Vec<&str> = rest.splitn(3, ':').collect();
                let [tenant, client, secret] = parts[..] else { return Err(bad()) };
                Ok(Credential::ServicePrincipal {
                    tenant: tenant.to_owned(),
                    client: client.to_owned(),
                    secret: secret.parse()?,
                })
            }
            ("mi", client) => {
                Ok(Credential::ManagedIdentity { client: (!client.is_empty()).then(|| client.to_owned()) })
            }
            _ => Err(bad()),
        }
    }
}

/// The header for each request, with the token that is valid now.
#[derive(Debug)]
pub struct Auth {
    credential: Credential,
    login: String,
    metadata: String,
    token: tokio::sync::Mutex<Option<Token>>,
    stale: std::sync::atomic::AtomicBool,
}

#[derive(Debug, Clone)]
struct Token {
    value: String,
    renew_us: i64,
}

impl Auth {
    /// Signs in at these hosts.
    pub fn new(credential: Credential, hosts: &Hosts) -> Auth {
        let (login, metadata) = (hosts.login.clone(), hosts.metadata.clone());
        Auth { credential, login, metadata, token: tokio::sync::Mutex::default(), stale: false.into() }
    }

    /// What to look at when it fails; never the secret.
    pub fn told(&self) -> String {
        match &self.credential {
            Credential::Pat(secret) => format!("the personal access token of {secret}"),
            Credential::ServicePrincipal { client, secret, .. } => {
                format!("the service principal {client} and its secret of {secret}")
            }
            Credential::ManagedIdentity { .. } => "the managed identity of this machine".to_owned(),
        }
    }

    /// The token did not work: the next request gets another.
    pub fn forget(&self) {
        self.stale.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// The value of `authorization`.
    pub async fn header(&self, http: &reqwest::Client, time: &dyn Time) -> Result<String> {
        if let Credential::Pat(secret) = &self.credential {
            let pair = format!(":{}", secret.read()?);
            return Ok(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)));
        }
        let mut kept = self.token.lock().await;
        let stale = self.stale.swap(false, std::sync::atomic::Ordering::SeqCst);
        if let Some(token) = kept.as_ref().filter(|token| !stale && time.now_us() < token.renew_us) {
            return Ok(format!("Bearer {}", token.value));
        }
        let token = self.fetch(http, time).await?;
        let header = format!("Bearer {}", token.value);
        *kept = Some(token);
        Ok(header)
    }

    async fn fetch(&self, http: &reqwest::Client, time: &dyn Time) -> Result<Token> {
        let request = match &self.credential {
            Credential::Pat(_) => return Err(Error::new(Kind::Internal, "a personal access token is not fetched")),
            Credential::ServicePrincipal { tenant, client, secret } => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.append_pair("grant_type", "client_credentials").append_pair("client_id", client);
                form.append_pair("client_secret", &secret.read()?)
                    .append_pair("scope", &format!("{RESOURCE}/.default"));
                let at = format!("{}/{}/oauth2/v2.0/token", self.login, super::segment(tenant));
                let request = http.post(at).header("content-type", "application/x-www-form-urlencoded");
                request.body(form.finish())
            }
            Credential::ManagedIdentity { client } => {
                let mut at = format!(
                    "{}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={RESOURCE}",
                    self.metadata
                );
                client.iter().for_each(|id| at.push_str(&format!("&client_id={}", super::segment(id))));
                http.get(at).header("metadata", "true")
            }
        };
        let lost = |e: reqwest::Error| Error::unavailable("fetch a token", e.without_url());
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let body = response.bytes().await.map_err(lost)?;
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let Some(value) = body.get("access_token").and_then(Value::as_str).filter(|_| status.is_success()) else {
            let why = body
                .get("error_description")
                .or(body.get("error"))
                .and_then(Value::as_str)
                .unwrap_or("no reason given");
            let kind = if status.is_server_error() { Kind::Unavailable } else { Kind::Denied };
            return Err(Error::new(kind, format!("fetch a token: {status}, {why}")));
        };
        // The metadata service says it as text.
        let life = body.get("expires_in").and_then(super::super::cells::int).unwrap_or(LIFE_DEFAULT_S);
        let renew_us = time.now_us() + life.saturating_mul(1_000_000) - RENEW_BEFORE_US;
        Ok(Token { value: value.to_owned(), renew_us })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_references() {
        for (words, told) in [
            ("pat:env:ADO_PAT", "the personal access token of env:ADO_PAT"),
            ("sp:t:c:file:/run/secret", "the service principal c and its secret of file:/run/secret"),
            ("mi", "the managed identity of this machine"),
        ] {
            let auth = Auth::new(words.parse().unwrap(), &Hosts::of("https://dev.azure.com/a").unwrap());
            assert_eq!(auth.told(), told);
        }
        for bad in ["pat:abcdef", "sp:t:c", "basic:x", ""] {
            let told = bad.parse::<Credential>().unwrap_err().to_string();
            assert!(!told.contains("abcdef"), "{told}");
        }
    }
}
