//! Whom actions may reach: channels by name, and hosts. A rule names a channel, never a URL with a secret in it.

use std::collections::BTreeMap;
use std::path::Path;

use engine::{Error, Result};
use serde::Deserialize;
use url::Url;

use crate::flow::forge::Repository;

/// What actions may reach.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Channels of `notify`, by name.
    pub channels: BTreeMap<String, Channel>,
    /// Hosts that `http` may call, `name` or `name:port`.
    pub hosts: Vec<String>,
    /// Repositories that flows may change, by name.
    pub repositories: BTreeMap<String, Repository>,
}

/// Where a channel's messages go.
#[derive(Clone)]
pub struct Channel {
    /// The web hook.
    pub url: Url,
    /// Signs the body, if there is one.
    pub secret: Option<Vec<u8>>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A web hook's URL is a secret, too.
        f.debug_struct("Channel").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    channels: BTreeMap<String, ChannelText>,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    repositories: BTreeMap<String, Repository>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelText {
    /// A URL, or where one stands: `env:NAME`, `file:PATH`.
    url: String,
    #[serde(default)]
    secret: Option<String>,
}

impl Settings {
    /// Reads a file of settings. Secrets stand in it by reference only: `env:NAME` or `file:PATH`.
    pub fn read(path: &Path) -> Result<Settings> {
        let doing = |what: String| Error::invalid(format!("the settings of actions {}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| doing(e.to_string()))?;
        Settings::parse(&text, path.parent().unwrap_or(Path::new("."))).map_err(doing)
    }

    fn parse(text: &str, folder: &Path) -> std::result::Result<Settings, String> {
        let file: File = serde_yaml_ng::from_str(text).map_err(|e| e.to_string())?;
        let mut channels = BTreeMap::new();
        for (name, channel) in file.channels {
            let of = |what: String| format!("channel {name}: {what}");
            let url = referred(&channel.url, folder).map_err(of)?.unwrap_or(channel.url);
            let url = Url::parse(url.trim()).map_err(|e| format!("channel {name}: its URL cannot be read: {e}"))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(format!("channel {name}: its URL is neither http nor https"));
            }
            let secret = match &channel.secret {
                Some(place) => Some(referred(place, folder).map_err(of)?.ok_or_else(|| {
                    format!("channel {name}: a secret stands elsewhere: write env:NAME or file:PATH")
                })?),
                None => None,
            };
            channels.insert(name, Channel { url, secret: secret.map(|s| s.trim().as_bytes().to_vec()) });
        }
        let mut repositories = BTreeMap::new();
        for (name, repository) in file.repositories {
            let read = repository.read(folder).map_err(|what| format!("repository {name}: {what}"))?;
            repositories.insert(name, read);
        }
        Ok(Settings { channels, hosts: file.hosts, repositories })
    }

    /// Whether `http` may call a URL.
    pub fn allows(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let port = url.port_or_known_default().unwrap_or(0);
        self.hosts.iter().any(|allowed| match allowed.rsplit_once(':') {
            Some((name, at)) if at.parse() == Ok(port) => name.eq_ignore_ascii_case(host),
            _ => allowed.eq_ignore_ascii_case(host),
        })
    }
}

/// What a reference means; `None` for a text that is none.
fn referred(text: &str, folder: &Path) -> std::result::Result<Option<String>, String> {
    if let Some(name) = text.strip_prefix("env:") {
        return std::env::var(name).map(Some).map_err(|_| format!("the environment has no {name}"));
    }
    if let Some(path) = text.strip_prefix("file:") {
        let path = folder.join(path);
        return std::fs::read_to_string(&path).map(Some).map_err(|e| format!("read {}: {e}", path.display()));
    }
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stand_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "hidden\n").unwrap();
        let text = "channels: {ops: {url: 'http://127.0.0.1:9/hook', secret: 'file:key'}}\nhosts: ['127.0.0.1:9', example.org]";
        let settings = Settings::parse(text, folder.path()).unwrap();
        assert_eq!(settings.channels["ops"].secret.as_deref(), Some(&b"hidden"[..]));
        let allowed = |url: &str| settings.allows(&Url::parse(url).unwrap());
        assert!(allowed("http://127.0.0.1:9/x") && allowed("https://example.org/") && !allowed("http://127.0.0.1:10/"));
        for wrong in [
            "channels: {ops: {url: 'http://x/', secret: 'plain'}}",
            "channels: {ops: {url: 'ftp://x/'}}",
            "channels: {ops: {url: 'http://x/', secret: 'file:none'}}",
            "chanels: {}",
        ] {
            assert!(Settings::parse(wrong, folder.path()).is_err(), "{wrong}");
        }
    }
}
