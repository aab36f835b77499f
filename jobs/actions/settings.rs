//! Whom actions may reach: channels and routes by name, hosts, and the organization that takes tickets. A rule names them,
//! never a URL with a secret in it.

mod channel;
mod mailbox;
mod route;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::{Error, Result};
use serde::Deserialize;
use url::Url;

use super::link::{self, Links};
use crate::flow::forge::Repository;

pub use channel::{Channel, Mail, Tls};
pub use mailbox::Mailbox;
#[cfg(test)]
pub use route::Escalation;
pub use route::Route;

/// A file of settings with everything in it, for help.
pub const EXAMPLE: &str = "\
channels:
  ops:  {url: 'https://hooks.example/ops', secret: 'file:ops.key'}
  chat: {kind: slack, url: 'env:SLACK_URL'}
  team: {kind: teams, url: 'file:teams.url'}
  mail: {kind: email, server: 'mail.example:587', tls: starttls, user: stellwerk, password: 'file:mail.key',
         from: 'Stellwerk <stellwerk@acme.example>', to: [ops@acme.example], resend: false}
routes:
  P1: {channels: [chat, ops], escalate: [{after: 15m, to: [team]}, {after: 1h, to: [mail]}]}
  P2: {channels: [chat]}
  P3: {channels: [mail]}
hosts: [api.example, '127.0.0.1:8080']
tickets: {organization: 'https://dev.azure.com/acme', auth: 'pat:env:ADO_TOKEN', type: Issue, closed: Done}
clusters:
  prod: {kubeconfig: prod.kubeconfig, context: prod}
acknowledge: {url: 'https://stellwerk.acme.example', secret: 'file:acknowledge.key', valid: 3d}
";

/// What actions may reach.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Channels of `notify`, by name.
    pub channels: BTreeMap<String, Channel>,
    /// Several channels under one name, such as `P1`, with what follows where nobody answers.
    pub routes: BTreeMap<String, Route>,
    /// Hosts that `http` may call, `name` or `name:port`.
    pub hosts: Vec<String>,
    /// Repositories that flows may change, by name.
    pub repositories: BTreeMap<String, Repository>,
    /// Where tickets are kept.
    pub tickets: Option<Tickets>,
    /// Clusters whose objects get labels, by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// The links in messages by which rows are acknowledged, if there are any.
    pub acknowledge: Option<Links>,
}

/// A cluster by its kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// The kubeconfig; a path that is not absolute begins at the settings' own folder.
    pub kubeconfig: PathBuf,
    /// Its context; without one the current one.
    pub context: Option<String>,
}

/// An organization of Azure DevOps that takes tickets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tickets {
    /// `https://dev.azure.com/NAME`, or a server of one's own.
    pub organization: String,
    /// The credential, as `stellwerk ingest ado --live` takes it: `pat:env:NAME`, `sp:…`, `mi`.
    pub auth: String,
    /// The type of a work item where the rule names none.
    #[serde(rename = "type", default = "issue")]
    pub kind: String,
    /// The state of a work item that is closed.
    #[serde(default = "done")]
    pub closed: String,
}

fn issue() -> String {
    "Issue".to_owned()
}

fn done() -> String {
    "Done".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    channels: BTreeMap<String, channel::Words>,
    #[serde(default)]
    routes: BTreeMap<String, route::Words>,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    repositories: BTreeMap<String, Repository>,
    #[serde(default)]
    tickets: Option<Tickets>,
    #[serde(default)]
    clusters: BTreeMap<String, Cluster>,
    #[serde(default)]
    acknowledge: Option<link::Words>,
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
        for (name, words) in file.channels {
            let channel = words.read(folder).map_err(|what| format!("channel {name}: {what}"))?;
            channels.insert(name, channel);
        }
        let mut repositories = BTreeMap::new();
        for (name, repository) in file.repositories {
            let read = repository.read(folder).map_err(|what| format!("repository {name}: {what}"))?;
            repositories.insert(name, read);
        }
        let mut routes = BTreeMap::new();
        for (name, words) in file.routes {
            if channels.contains_key(&name) {
                return Err(format!("{name} is a channel and a route: give one of them another name"));
            }
            let route = words.read(&channels).map_err(|what| format!("route {name}: {what}"))?;
            routes.insert(name, route);
        }
        let mut clusters = file.clusters;
        clusters.values_mut().for_each(|cluster| cluster.kubeconfig = folder.join(&cluster.kubeconfig));
        let acknowledge = file.acknowledge.map(|words| words.read(folder)).transpose();
        let acknowledge = acknowledge.map_err(|what| format!("acknowledge: {what}"))?;
        let (hosts, tickets) = (file.hosts, file.tickets);
        Ok(Settings { channels, routes, hosts, repositories, tickets, clusters, acknowledge })
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

/// A secret, which stands elsewhere.
pub(super) fn secret(place: &str, folder: &Path) -> std::result::Result<String, String> {
    let elsewhere = || "a secret stands elsewhere: write env:NAME or file:PATH".to_owned();
    let text = referred(place, folder)?.ok_or_else(elsewhere)?.trim().to_owned();
    if text.is_empty() { Err(format!("the secret of {place} is empty")) } else { Ok(text) }
}

#[cfg(test)]
mod tests;
