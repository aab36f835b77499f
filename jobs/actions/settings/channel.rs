//! A channel: one place that takes messages, of one of four kinds.

use std::path::Path;

use serde::Deserialize;
use url::Url;

use super::mailbox::Mailbox;
use super::{referred, secret};

/// Where a channel's messages go.
#[derive(Clone)]
pub enum Channel {
    /// A web hook of anybody: JSON with a signature.
    Hook(Place),
    /// A web hook of Microsoft Teams: an adaptive card.
    Teams(Place),
    /// An incoming web hook of Slack: blocks.
    Slack(Place),
    /// E-mail by SMTP.
    Email(Box<Mail>),
}

/// A web hook.
#[derive(Clone)]
pub struct Place {
    /// The URL.
    pub url: Url,
    /// Signs the body, if there is one.
    pub secret: Option<Vec<u8>>,
}

/// How the connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// It begins in the clear and must become TLS before anything is said.
    #[default]
    StartTls,
    /// It is TLS from the first byte.
    Tls,
    /// It stays in the clear: for relays on the same machine or network, and never with a password.
    None,
}

/// A mail server with who writes to whom.
#[derive(Clone)]
pub struct Mail {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// Name and password, if it wants them.
    pub credentials: Option<(String, String)>,
    /// Who writes.
    pub from: Mailbox,
    /// To whom.
    pub to: Vec<Mailbox>,
    /// Whether a mail goes out again where a process ended while it sent it; else somebody decides.
    pub resend: bool,
}

impl Channel {
    /// The kind's name in settings and in `effect`.
    pub fn kind(&self) -> &'static str {
        match self {
            Channel::Hook(_) => "hook",
            Channel::Teams(_) => "teams",
            Channel::Slack(_) => "slack",
            Channel::Email(_) => "email",
        }
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A web hook's URL is a secret, too.
        let host = match self {
            Channel::Hook(place) | Channel::Teams(place) | Channel::Slack(place) => place.url.host_str(),
            Channel::Email(mail) => Some(mail.host.as_str()),
        };
        f.debug_struct("Channel").field("kind", &self.kind()).field("host", &host).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindWord {
    #[default]
    Hook,
    Teams,
    Slack,
    Email,
}

/// A channel as its file says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    #[serde(default)]
    kind: KindWord,
    /// A URL, or where one stands: `env:NAME`, `file:PATH`.
    url: Option<String>,
    secret: Option<String>,
    /// `HOST` or `HOST:PORT`.
    server: Option<String>,
    #[serde(default)]
    tls: Tls,
    user: Option<String>,
    password: Option<String>,
    from: Option<String>,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    resend: bool,
}

impl Words {
    pub(super) fn read(self, folder: &Path) -> Result<Channel, String> {
        if self.kind == KindWord::Email {
            return self.mail(folder).map(|mail| Channel::Email(Box::new(mail)));
        }
        let more = [self.server.is_some(), self.from.is_some(), !self.to.is_empty(), self.password.is_some()];
        if more.contains(&true) {
            return Err("server, from, to and password belong to channels of kind: email".to_owned());
        }
        let url = self.url.ok_or("its url is missing")?;
        let url = referred(&url, folder)?.unwrap_or(url);
        let url = Url::parse(url.trim()).map_err(|e| format!("its URL cannot be read: {e}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("its URL is neither http nor https".to_owned());
        }
        let secret = self.secret.as_deref().map(|place| secret(place, folder)).transpose()?;
        if secret.is_some() && self.kind != KindWord::Hook {
            return Err("only channels of kind: hook sign what they send; leave secret out".to_owned());
        }
        let place = Place { url, secret: secret.map(String::into_bytes) };
        Ok(match self.kind {
            KindWord::Teams => Channel::Teams(place),
            KindWord::Slack => Channel::Slack(place),
            KindWord::Hook | KindWord::Email => Channel::Hook(place),
        })
    }

    fn mail(self, folder: &Path) -> Result<Mail, String> {
        if self.url.is_some() || self.secret.is_some() {
            return Err("url and secret belong to web hooks; a channel of kind: email has a server".to_owned());
        }
        let server = self.server.ok_or("its server is missing: write HOST or HOST:PORT")?;
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) => {
                (host.to_owned(), port.parse().map_err(|_| format!("`{port}` is no port of {host}"))?)
            }
            None => (
                server,
                match self.tls {
                    Tls::StartTls => 587,
                    Tls::Tls => 465,
                    Tls::None => 25,
                },
            ),
        };
        let password = self.password.as_deref().map(|place| secret(place, folder)).transpose()?;
        let credentials = match (self.user, password) {
            (Some(user), Some(password)) => Some((user, password)),
            (None, None) => None,
            _ => return Err("user and password go together".to_owned()),
        };
        if credentials.is_some() && self.tls == Tls::None {
            return Err("a password does not travel in the clear: write tls: starttls or tls: tls".to_owned());
        }
        let address = |text: &String| {
            Mailbox::parse(text).ok_or_else(|| format!("`{text}` is no address of mail: write Name <name@example.org>"))
        };
        let from = address(&self.from.ok_or("its from is missing: who writes")?)?;
        let to = self.to.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err("its to is missing: a list of addresses".to_owned());
        }
        Ok(Mail { host, port, tls: self.tls, credentials, from, to, resend: self.resend })
    }
}
