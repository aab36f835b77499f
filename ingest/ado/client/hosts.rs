//! Azure DevOps is several hosts; each has the organization in its address. A server of one's own, or a simulator, is one.

use engine::{Error, Result};
use url::Url;

/// One of the hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Host {
    /// dev.azure.com: projects, code, builds, work items, hooks.
    Core,
    /// vssps.dev.azure.com: groups, users, memberships.
    Graph,
    /// vsaex.dev.azure.com: entitlements.
    Entitlement,
    /// vsrm.dev.azure.com: classic releases.
    Release,
    /// auditservice.dev.azure.com: the audit log.
    Audit,
    /// advsec.dev.azure.com: alerts.
    Security,
}

impl Host {
    /// Every host.
    pub const ALL: [Host; 6] = [Host::Core, Host::Graph, Host::Entitlement, Host::Release, Host::Audit, Host::Security];

    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Host::Core => "core",
            Host::Graph => "graph",
            Host::Entitlement => "entitlement",
            Host::Release => "release",
            Host::Audit => "audit",
            Host::Security => "security",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Host::Core => "",
            Host::Graph => "vssps.",
            Host::Entitlement => "vsaex.",
            Host::Release => "vsrm.",
            Host::Audit => "auditservice.",
            Host::Security => "advsec.",
        }
    }
}

/// Where service principals get tokens in the public cloud.
pub const LOGIN: &str = "https://login.microsoftonline.com";

/// Refuses an address at which a credential would travel readably.
pub fn is_private(address: &str) -> Result<()> {
    let url = Url::parse(address).map_err(|e| Error::invalid(format!("{address} is no address: {e}")))?;
    let local = url.host_str().is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host));
    match url.scheme() == "https" || local {
        true => Ok(()),
        false => Err(Error::invalid(format!("{address}: credentials travel over https only"))),
    }
}

/// Base addresses, the organization's name in them, without a slash at the end.
#[derive(Debug, Clone)]
pub struct Hosts {
    /// The organization's name, as `organization` columns hold it.
    pub organization: String,
    bases: Vec<String>,
    /// Where service principals get tokens.
    pub login: String,
    /// Where managed identities get tokens.
    pub metadata: String,
}

impl Hosts {
    /// The hosts of `https://dev.azure.com/NAME`, `https://NAME.visualstudio.com`, or of one server for all.
    pub fn of(organization_url: &str) -> Result<Hosts> {
        let bad = |why: &str| Error::invalid(format!("{organization_url} is no organization's address: {why}"));
        let url = Url::parse(organization_url).map_err(|e| bad(&e.to_string()))?;
        let host = url.host_str().ok_or_else(|| bad("it names no host"))?.to_ascii_lowercase();
        is_private(organization_url)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("a credential in it would show in logs; say it with --auth"));
        }
        let segments: Vec<&str> =
            url.path_segments().map(|s| s.filter(|s| !s.is_empty()).collect()).unwrap_or_default();
        let old = host.strip_suffix(".visualstudio.com");
        let name = old.or(segments.first().copied()).ok_or_else(|| bad("it names no organization"))?;
        let whole = url.as_str().trim_end_matches('/').to_owned();
        let base = |of: Host| match (old, host.as_str()) {
            (Some(name), _) if of == Host::Core => format!("https://{name}.visualstudio.com"),
            (Some(name), _) => format!("https://{name}.{}visualstudio.com", of.prefix()),
            (None, "dev.azure.com") => format!("https://{}dev.azure.com/{name}", of.prefix()),
            _ => whole.clone(),
        };
        Ok(Hosts {
            organization: name.to_ascii_lowercase(),
            bases: Host::ALL.iter().map(|of| base(*of)).collect(),
            login: LOGIN.to_owned(),
            metadata: "http://169.254.169.254".to_owned(),
        })
    }

    /// The same with another address for one host: `graph=https://…`, also `login=` and `metadata=`.
    pub fn with(mut self, named: &str) -> Result<Hosts> {
        let bad = || {
            Error::invalid(format!(
                "{named} is not HOST=URL with one of core, graph, entitlement, release, audit, security, login, metadata"
            ))
        };
        let (name, url) = named.split_once('=').ok_or_else(bad)?;
        let base = url.trim_end_matches('/').to_owned();
        Url::parse(&base).map_err(|_| bad())?;
        // The machine's own metadata service speaks no TLS.
        if name != "metadata" {
            is_private(&base)?;
        }
        match name {
            "login" => self.login = base,
            "metadata" => self.metadata = base,
            _ => {
                let at = Host::ALL.iter().position(|host| host.name() == name).ok_or_else(bad)?;
                self.bases[at] = base;
            }
        }
        Ok(self)
    }

    /// The base address of a host.
    pub fn base(&self, host: Host) -> &str {
        let at = Host::ALL.iter().position(|of| *of == host).expect("every host stands in ALL");
        &self.bases[at]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_its_address() {
        for (url, host, base) in [
            ("https://dev.azure.com/Acme/", Host::Core, "https://dev.azure.com/Acme"),
            ("https://dev.azure.com/acme", Host::Graph, "https://vssps.dev.azure.com/acme"),
            ("https://acme.visualstudio.com", Host::Core, "https://acme.visualstudio.com"),
            ("https://acme.visualstudio.com", Host::Release, "https://acme.vsrm.visualstudio.com"),
            ("http://127.0.0.1:8080/acme", Host::Audit, "http://127.0.0.1:8080/acme"),
        ] {
            let hosts = Hosts::of(url).unwrap();
            assert_eq!((hosts.base(host), hosts.organization.as_str()), (base, "acme"), "{url}");
        }
        let hosts = Hosts::of("https://dev.azure.com/acme").unwrap().with("graph=https://graph.test/x/").unwrap();
        assert_eq!(hosts.base(Host::Graph), "https://graph.test/x");
        for bad in ["http://dev.azure.com/acme", "https://dev.azure.com", "acme", "https://u:p@dev.azure.com/acme"] {
            assert!(Hosts::of(bad).is_err(), "{bad}");
        }
        for bad in ["moon=https://x", "login=http://login.test", "graph=http://graph.test/x"] {
            assert!(hosts.clone().with(bad).is_err(), "{bad}");
        }
        assert!(hosts.with("metadata=http://169.254.169.254").is_ok());
    }
}
