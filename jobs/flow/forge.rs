//! Where flows change code: repositories by name, each with the project of Azure DevOps that takes its pull requests and
//! work items. A flow names a repository, never an address or a secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use engine::{Error, Kind, Result};
use ingest::ado::client::secret::SecretRef;
use ingest::ado::client::{Client, Credential, Hosts, WallTime};
use ingest::git::change::{Workplace, branch_name};
use serde::Deserialize;

/// A repository that flows may change.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Where it lies: a folder, or an address that git knows.
    pub remote: String,
    /// Where git's credential lies, `env:NAME` or `file:PATH`; sent as the password of Basic over HTTP.
    #[serde(default)]
    pub secret: Option<String>,
    /// The organization: `https://dev.azure.com/NAME`, or a server of one's own.
    pub organization: String,
    /// Its credential: `pat:env:NAME`, `pat:file:PATH`, `sp:…`, `mi`.
    pub auth: String,
    /// The project, by name or id.
    pub project: String,
    /// The repository's name or id there.
    pub repository: String,
    /// The branch that changes go to.
    #[serde(default = "main")]
    pub target: String,
    /// The type of work items that flows make.
    #[serde(default = "task")]
    pub item_type: String,
}

fn main() -> String {
    "main".to_owned()
}

fn task() -> String {
    "Task".to_owned()
}

impl Repository {
    /// The same with what its words mean, relative to the folder of the settings; an error says what is wrong.
    pub fn read(mut self, folder: &Path) -> std::result::Result<Repository, String> {
        let is_path = !self.remote.contains("://") && !self.remote.contains('@');
        if is_path {
            let path = folder.join(&self.remote);
            let whole = path.canonicalize().map_err(|e| format!("its remote {}: {e}", path.display()))?;
            self.remote = whole.display().to_string();
        }
        if let Some((_, rest)) = self.remote.split_once("://")
            && rest.split('/').next().is_some_and(|host| host.contains('@') && !self.remote.starts_with("ssh://"))
        {
            return Err(
                "a credential in its remote would show in logs: write it as secret: env:NAME or file:PATH".to_owned()
            );
        }
        branch_name(&self.target).map_err(|e| e.to_string())?;
        self.auth =
            self.auth.replacen("file:", &format!("file:{}/", absolute(folder)), usize::from(is_relative(&self.auth)));
        self.auth.parse::<Credential>().map_err(|e| e.to_string())?;
        Hosts::of(&self.organization).map_err(|e| e.to_string())?;
        if let Some(secret) = &mut self.secret {
            *secret =
                secret.replacen("file:", &format!("file:{}/", absolute(folder)), usize::from(is_relative(secret)));
            secret.parse::<SecretRef>().map_err(|e| e.to_string())?;
        }
        Ok(self)
    }
}

fn absolute(folder: &Path) -> String {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).display().to_string()
}

fn is_relative(words: &str) -> bool {
    words.split_once("file:").is_some_and(|(_, path)| !path.starts_with('/'))
}

/// The repositories, with what speaks to their organizations.
#[derive(Debug)]
pub struct Forges {
    repositories: BTreeMap<String, Repository>,
    data: PathBuf,
    clients: Mutex<BTreeMap<String, Arc<Client>>>,
}

/// One repository, ready.
#[derive(Debug)]
pub struct Forge {
    /// Its settings.
    pub repository: Repository,
    /// Speaks to its organization.
    pub client: Arc<Client>,
    /// Where its changes are made.
    pub place: Workplace,
}

impl Forges {
    /// These repositories; working copies lie in `data`.
    pub fn new(repositories: BTreeMap<String, Repository>, data: &Path) -> Result<Self> {
        Ok(Forges { repositories, data: data.to_owned(), clients: Mutex::default() })
    }

    /// The repository of a name.
    pub async fn open(&self, name: &str) -> Result<Forge> {
        let repository = self.repositories.get(name).cloned().ok_or_else(|| {
            let known: Vec<_> = self.repositories.keys().map(String::as_str).collect();
            let known =
                if known.is_empty() { "there is none".to_owned() } else { format!("there are {}", known.join(", ")) };
            Error::new(Kind::NotFound, format!("there is no repository {name} in the settings of actions; {known}"))
        })?;
        let authorization = match &repository.secret {
            Some(secret) => Some(basic(&secret.parse::<SecretRef>()?.read()?)),
            None => None,
        };
        let place = Workplace::open(&repository.remote, authorization, &self.data).await?;
        let client = self.client(name, &repository)?;
        Ok(Forge { repository, client, place })
    }

    /// One client an organization's repository: it knows how much of the budget is left.
    fn client(&self, name: &str, repository: &Repository) -> Result<Arc<Client>> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(name) {
            return Ok(Arc::clone(client));
        }
        let (hosts, credential) = (Hosts::of(&repository.organization)?, repository.auth.parse::<Credential>()?);
        let client = Arc::new(Client::new(hosts, credential, Arc::new(WallTime))?);
        clients.insert(name.to_owned(), Arc::clone(&client));
        Ok(client)
    }
}

/// A password without a user, as personal access tokens are sent.
fn basic(secret: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!(":{secret}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn repository(yaml: &str, folder: &Path) -> std::result::Result<Repository, String> {
        serde_yaml_ng::from_str::<Repository>(yaml).map_err(|e| e.to_string())?.read(folder)
    }

    const GOOD: &str = "{remote: shop.git, organization: 'https://dev.azure.com/acme', auth: 'pat:file:token', project: P, repository: r}";

    #[test]
    fn words_are_taken_relative_to_their_file_and_secrets_stand_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("shop.git")).unwrap();
        let read = repository(GOOD, folder.path()).unwrap();
        let whole = folder.path().canonicalize().unwrap().display().to_string();
        assert_eq!(read.remote, format!("{whole}/shop.git"));
        assert_eq!((read.auth, read.target.as_str()), (format!("pat:file:{whole}/token"), "main"));
        for (from, to, part) in [
            ("shop.git", "none.git", "none.git"),
            ("shop.git", "https://u:p@h/x", "would show in logs"),
            ("https://dev", "http://dev", "https only"),
            ("pat:file:token", "hunter2", "--auth is"),
            ("repository: r", "repository: r, target: 'a b'", "no name of a branch"),
            ("repository: r", "repository: r, secret: hunter2", "never as itself"),
            ("project: P", "projekt: P", "projekt"),
        ] {
            let refused = repository(&GOOD.replace(from, to), folder.path()).unwrap_err();
            assert!(refused.contains(part), "{to}: {refused}");
        }
    }

    #[test]
    fn a_password_without_a_user() {
        assert_eq!(basic("token-0"), "Basic OnRva2VuLTA=");
    }
}
