//! Who may send: a name, how the sender proves that it is itself, and whose its rows are.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use engine::{Error, Result, parse_span};
use serde::Deserialize;

use crate::ado::client::secret::SecretRef;

/// Jobs that are ready and wait longer than this make senders wait, too, unless the settings say otherwise.
const OLDEST_READY_MAX: Duration = Duration::from_secs(300);
/// How far a signed time may be from ours.
const TOLERANCE: Duration = Duration::from_secs(300);
/// Names that are doors of their own.
const TAKEN: &[&str] = &["ado"];

/// Whose web hooks these are: how deliveries are named, and what their bodies say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// GitHub.
    GitHub,
    /// Prometheus' Alertmanager.
    Alertmanager,
    /// Notifications of Argo CD.
    ArgoCd,
    /// Service hooks of Azure DevOps.
    Ado,
    /// Anybody who signs with a shared secret.
    Hmac,
}

impl Scheme {
    /// Its name in settings and tables.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::GitHub => "github",
            Scheme::Alertmanager => "alertmanager",
            Scheme::ArgoCd => "argocd",
            Scheme::Ado => "ado",
            Scheme::Hmac => "hmac",
        }
    }
}

/// What a signature is over, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// `x-hub-signature-256: sha256=HEX` over the body.
    GitHub,
    /// `webhook-signature: v1,BASE64 …` over `id.timestamp.body`, as standardwebhooks.com has it.
    Standard,
    /// A header of the sender's own, in hex or base64, perhaps behind `sha256=`; over the body, or over `timestamp.body`.
    Header {
        /// The signature's header.
        signature: String,
        /// The timestamp's header, seconds since 1970.
        timestamp: Option<String>,
    },
}

/// How a sender proves that it is itself. Several secrets are good at the same time, so that one can follow another.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// An HMAC-SHA256.
    Hmac {
        /// Any of these keys.
        keys: Vec<Vec<u8>>,
        /// What it is over.
        form: Form,
        /// How far a signed time may be from ours.
        tolerance: Duration,
    },
    /// `Authorization: Bearer TOKEN`.
    Bearer(Vec<String>),
    /// `Authorization: Basic …`.
    Basic {
        /// The name.
        user: String,
        /// Any of these.
        passwords: Vec<String>,
    },
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Proof::Hmac { .. } => "Hmac",
            Proof::Bearer(_) => "Bearer",
            Proof::Basic { .. } => "Basic",
        })
    }
}

/// One sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Its name: `POST /hooks/NAME`.
    pub name: String,
    /// Whose web hooks these are.
    pub scheme: Scheme,
    /// How it proves that it is itself.
    pub proof: Proof,
    /// Whose its rows are.
    pub tenant: String,
    /// The header that names a delivery, if its scheme knows none.
    pub delivery_header: Option<String>,
    /// The header that names what happened, if its scheme knows none.
    pub event_header: Option<String>,
}

/// Every sender.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Senders {
    /// By name.
    pub by_name: BTreeMap<String, Sender>,
    /// How long a job may be ready and wait before senders are told to come back later.
    pub oldest_ready_max: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    hooks: BTreeMap<String, Words>,
    oldest_ready_max: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    scheme: Scheme,
    tenant: Option<String>,
    secret: Option<OneOrMore>,
    token: Option<OneOrMore>,
    user: Option<String>,
    password: Option<OneOrMore>,
    signature_header: Option<String>,
    timestamp_header: Option<String>,
    tolerance: Option<String>,
    delivery_header: Option<String>,
    event_header: Option<String>,
}

impl Senders {
    /// Reads a file of senders. Secrets stand in it by reference only: `env:NAME` or `file:PATH`.
    pub fn read(path: &Path) -> Result<Senders> {
        let doing = |what: String| Error::invalid(format!("the settings of web hooks {}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| doing(e.to_string()))?;
        Senders::parse(&text, path.parent().unwrap_or(Path::new("."))).map_err(doing)
    }

    pub(super) fn parse(text: &str, folder: &Path) -> std::result::Result<Senders, String> {
        let file: File = serde_yaml_ng::from_str(text).map_err(|e| e.to_string())?;
        let oldest_ready_max = file.oldest_ready_max.as_deref().map_or(Ok(OLDEST_READY_MAX), parse_span)?;
        let mut by_name = BTreeMap::new();
        for (name, words) in file.hooks {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
            if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
                return Err(format!("`{name}` is no name of a hook: write a-z, 0-9, - and _, 64 at most"));
            }
            if TAKEN.contains(&name.as_str()) {
                return Err(format!("/hooks/{name} is a door of its own, for callers with a key; take another name"));
            }
            let sender = words.read(&name, folder).map_err(|what| format!("hook {name}: {what}"))?;
            by_name.insert(name, sender);
        }
        Ok(Senders { by_name, oldest_ready_max })
    }
}

impl Words {
    fn read(self, name: &str, folder: &Path) -> std::result::Result<Sender, String> {
        let own = [&self.signature_header, &self.timestamp_header, &self.tolerance].into_iter().any(Option::is_some);
        if own && self.scheme != Scheme::Hmac {
            return Err("signature_header, timestamp_header and tolerance belong to scheme: hmac".to_owned());
        }
        let tolerance = self.tolerance.as_deref().map_or(Ok(TOLERANCE), parse_span)?;
        let read = |given: Option<OneOrMore>| given.map(|given| secrets(given, folder)).transpose();
        let (secret, token, password) = (read(self.secret)?, read(self.token)?, read(self.password)?);
        let wanted = match self.scheme {
            Scheme::GitHub | Scheme::Hmac => "secret",
            Scheme::Alertmanager | Scheme::ArgoCd => "token, or user and password",
            Scheme::Ado => "user and password",
        };
        let wrong = || format!("scheme: {} wants {wanted}", self.scheme.name());
        let proof = match (self.scheme, secret, token, self.user, password) {
            (Scheme::GitHub | Scheme::Hmac, Some(secrets), None, None, None) => {
                let form = match (self.scheme, self.signature_header) {
                    (Scheme::GitHub, _) => Form::GitHub,
                    (_, Some(signature)) => Form::Header { signature, timestamp: self.timestamp_header },
                    (_, None) if self.timestamp_header.is_some() => {
                        return Err("timestamp_header goes with signature_header".to_owned());
                    }
                    (_, None) => Form::Standard,
                };
                let keys = secrets.into_iter().map(|text| key(&text, &form)).collect::<std::result::Result<_, _>>()?;
                Proof::Hmac { keys, form, tolerance }
            }
            (Scheme::Alertmanager | Scheme::ArgoCd, None, Some(tokens), None, None) => Proof::Bearer(tokens),
            (Scheme::Alertmanager | Scheme::ArgoCd | Scheme::Ado, None, None, Some(user), Some(passwords)) => {
                Proof::Basic { user, passwords }
            }
            _ => return Err(wrong()),
        };
        Ok(Sender {
            name: name.to_owned(),
            scheme: self.scheme,
            proof,
            tenant: self.tenant.unwrap_or_else(|| "default".to_owned()),
            delivery_header: self.delivery_header,
            event_header: self.event_header,
        })
    }
}

/// A key as it signs: `whsec_` stands before the base64 of one.
fn key(text: &str, form: &Form) -> std::result::Result<Vec<u8>, String> {
    use base64::Engine;
    match text.strip_prefix("whsec_").filter(|_| *form == Form::Standard) {
        Some(packed) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(packed);
            bytes.map_err(|_| "behind whsec_ stands no base64".to_owned())
        }
        None => Ok(text.as_bytes().to_vec()),
    }
}

fn secrets(given: OneOrMore, folder: &Path) -> std::result::Result<Vec<String>, String> {
    let places = match given {
        OneOrMore::One(place) => vec![place],
        OneOrMore::More(places) => places,
    };
    let read = |place: &String| {
        let place = match place.parse().map_err(|e: Error| e.to_string())? {
            SecretRef::File(path) => SecretRef::File(folder.join(path)),
            env => env,
        };
        place.read().map_err(|e| e.to_string())
    };
    match places.iter().map(read).collect::<std::result::Result<Vec<_>, _>>()? {
        none if none.is_empty() => Err("a list of secrets is empty".to_owned()),
        secrets => Ok(secrets),
    }
}
