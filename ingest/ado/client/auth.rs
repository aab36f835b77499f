//! Who we are to Azure DevOps: a personal access token, a service principal, or the identity of the machine or the pod.

use std::path::PathBuf;
use std::str::FromStr;

use base64::Engine;
use engine::{Error, Kind, Result};
use serde_json::Value;

use super::REFUSAL_CHARS_MAX;
use super::assertion::{self, Certificate};
use super::hosts::{Hosts, LOGIN};
use super::secret::SecretRef;
use super::time::Time;

/// What tokens are for: Azure DevOps's id in Entra.
const RESOURCE: &str = "499b84ac-1321-427f-aa17-267ca6975798";
/// A token is renewed so long before its end, one that lasts shorter after half of its life.
const RENEW_BEFORE_US: i64 = 300_000_000;
/// How long a token lasts that does not say.
const LIFE_DEFAULT_S: i64 = 3_600;
/// What may be said with `--auth`.
const WORDS: &str = "--auth is pat:env:NAME, pat:file:PATH, sp:TENANT:CLIENT:env:NAME, sp:TENANT:CLIENT:file:PATH, \
    cert:TENANT:CLIENT:PATH, mi, mi:CLIENT, wi or wi:TENANT:CLIENT:PATH";

/// How we sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A personal access token.
    Pat(SecretRef),
    /// A service principal of an Entra tenant, with what proves it.
    ServicePrincipal { tenant: String, client: String, proof: Proof },
    /// The managed identity of the machine; one of several by its client id.
    ManagedIdentity { client: Option<String> },
    /// The workload identity of a pod: who it is and where its token lies stand in the environment.
    PodIdentity,
}

/// What proves a service principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A client secret.
    Secret(SecretRef),
    /// A file in PEM with a certificate and its key.
    Certificate(PathBuf),
    /// A file with a token of somebody whom Entra trusts, such as a cluster.
    Federated(PathBuf),
}

impl FromStr for Credential {
    type Err = Error;

    fn from_str(words: &str) -> Result<Credential> {
        let bad = || Error::invalid(WORDS);
        let (how, rest) = words.split_once(':').unwrap_or((words, ""));
        let parts: Vec<&str> = rest.splitn(3, ':').collect();
        match (how, &parts[..]) {
            ("pat", _) => Ok(Credential::Pat(rest.parse()?)),
            ("sp" | "cert" | "wi", [tenant, client, last]) if ![tenant, client, last].iter().any(|w| w.is_empty()) => {
                let proof = match how {
                    "sp" => Proof::Secret(last.parse()?),
                    "cert" => Proof::Certificate(last.into()),
                    _ => Proof::Federated(last.into()),
                };
                let (tenant, client) = ((*tenant).to_owned(), (*client).to_owned());
                Ok(Credential::ServicePrincipal { tenant, client, proof })
            }
            ("mi", [client]) => {
                Ok(Credential::ManagedIdentity { client: (!client.is_empty()).then(|| (*client).to_owned()) })
            }
            ("wi", [""]) => Ok(Credential::PodIdentity),
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
            Credential::ServicePrincipal { client, proof, .. } => {
                let proof = match proof {
                    Proof::Secret(secret) => format!("secret of {secret}"),
                    Proof::Certificate(path) => format!("certificate in {}", path.display()),
                    Proof::Federated(path) => format!("federated token in {}", path.display()),
                };
                format!("the service principal {client} and its {proof}")
            }
            Credential::ManagedIdentity { .. } => "the managed identity of this machine".to_owned(),
            Credential::PodIdentity => "the workload identity of this pod".to_owned(),
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
        let (request, sent) = match &self.credential {
            Credential::Pat(_) => return Err(Error::new(Kind::Internal, "a personal access token is not fetched")),
            Credential::ServicePrincipal { tenant, client, proof } => {
                self.by_client(http, time, &self.login, tenant, client, proof)?
            }
            Credential::PodIdentity => {
                let name = |name: &str| {
                    let told = std::env::var(name).ok().filter(|value| !value.is_empty());
                    told.ok_or_else(|| {
                        Error::new(
                            Kind::Denied,
                            format!("a workload identity wants the variable {name}, which is not set"),
                        )
                    })
                };
                let (tenant, client) = (name("AZURE_TENANT_ID")?, name("AZURE_CLIENT_ID")?);
                let proof = Proof::Federated(name("AZURE_FEDERATED_TOKEN_FILE")?.into());
                // Clouds of their own have an authority of their own; what was said with --host wins.
                let authority = name("AZURE_AUTHORITY_HOST").ok().filter(|_| self.login == LOGIN);
                let login = authority.map_or(self.login.clone(), |host| host.trim_end_matches('/').to_owned());
                super::hosts::is_private(&login)?;
                self.by_client(http, time, &login, &tenant, &client, &proof)?
            }
            Credential::ManagedIdentity { client } => {
                let mut at = format!(
                    "{}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={RESOURCE}",
                    self.metadata
                );
                client.iter().for_each(|id| at.push_str(&format!("&client_id={}", super::segment(id))));
                (http.get(at).header("metadata", "true"), String::new())
            }
        };
        let lost = |e: reqwest::Error| Error::unavailable("fetch a token", e.without_url());
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let body = response.bytes().await.map_err(lost)?;
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let Some(value) = body.get("access_token").and_then(Value::as_str).filter(|_| status.is_success()) else {
            return Err(self.refusal(status, &body, &sent));
        };
        // The metadata service says it as text.
        let life = body.get("expires_in").and_then(super::super::cells::int).unwrap_or(LIFE_DEFAULT_S);
        let life_us = life.saturating_mul(1_000_000);
        let renew_us = time.now_us() + life_us - RENEW_BEFORE_US.min(life_us / 2);
        Ok(Token { value: value.to_owned(), renew_us })
    }

    /// The request of a service principal, and what in it is secret. What proves it is read anew each time.
    fn by_client(
        &self,
        http: &reqwest::Client,
        time: &dyn Time,
        login: &str,
        tenant: &str,
        client: &str,
        proof: &Proof,
    ) -> Result<(reqwest::RequestBuilder, String)> {
        let at = format!("{login}/{}/oauth2/v2.0/token", super::segment(tenant));
        let (kind, sent) = match proof {
            Proof::Secret(secret) => ("client_secret", secret.read()?),
            Proof::Certificate(path) => {
                ("client_assertion", Certificate::read(path)?.assertion(&at, client, time.now_us())?)
            }
            Proof::Federated(path) => ("client_assertion", SecretRef::File(path.clone()).read()?),
        };
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials").append_pair("client_id", client);
        form.append_pair(kind, &sent).append_pair("scope", &format!("{RESOURCE}/.default"));
        if kind == "client_assertion" {
            form.append_pair("client_assertion_type", assertion::TYPE);
        }
        let request = http.post(at).header("content-type", "application/x-www-form-urlencoded");
        Ok((request.body(form.finish()), sent))
    }

    /// Why there is no token, without what was sent for it.
    fn refusal(&self, status: reqwest::StatusCode, body: &Value, sent: &str) -> Error {
        let told = body.get("error_description").or(body.get("error")).and_then(Value::as_str);
        let mut why = told.unwrap_or("no reason given").to_owned();
        if !sent.is_empty() {
            why = why.replace(sent, "(secret)");
        }
        let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REFUSAL_CHARS_MAX).collect();
        // The metadata service says these while it is busy or being renewed.
        let is_busy =
            matches!(self.credential, Credential::ManagedIdentity { .. }) && [404, 410].contains(&status.as_u16());
        let is_unwell = status.is_server_error() || [408, 429].contains(&status.as_u16());
        let kind = if is_unwell || is_busy { Kind::Unavailable } else { Kind::Denied };
        Error::new(kind, format!("fetch a token: {status}, {why}"))
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
            ("cert:t:c:/run/app.pem", "the service principal c and its certificate in /run/app.pem"),
            ("wi:t:c:/run/token", "the service principal c and its federated token in /run/token"),
            ("wi", "the workload identity of this pod"),
            ("mi", "the managed identity of this machine"),
            ("mi:c", "the managed identity of this machine"),
        ] {
            let auth = Auth::new(words.parse().unwrap(), &Hosts::of("https://dev.azure.com/a").unwrap());
            assert_eq!(auth.told(), told);
        }
        for bad in ["pat:abcdef", "sp:t:c", "sp:t:c:abcdef", "cert:t:c", "wi:t", "mi:a:b", "basic:x", ""] {
            let told = bad.parse::<Credential>().unwrap_err().to_string();
            assert!(!told.contains("abcdef"), "{told}");
        }
    }
}
