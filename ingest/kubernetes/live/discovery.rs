//! Which kinds a cluster serves, and which of them are followed.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::connection::{Connection, Failure};
use crate::json::at;

/// The group whose objects are samples, not objects of the cluster.
pub const USAGE_GROUP: &str = "metrics.k8s.io";

/// What is followed unless it is left out: every kind with a table of its own, what is asked about often, and the custom
/// resources of the tools that most platforms have. Not Secrets, and not what changes every few seconds (Leases).
const USUAL: &[&str] = &[
    "pods",
    "nodes",
    "namespaces",
    "events",
    "services",
    "resourcequotas",
    "limitranges",
    "persistentvolumes",
    "persistentvolumeclaims",
    "serviceaccounts",
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "jobs.batch",
    "cronjobs.batch",
    "ingresses.networking.k8s.io",
    "networkpolicies.networking.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "horizontalpodautoscalers.autoscaling",
    "poddisruptionbudgets.policy",
    "storageclasses.storage.k8s.io",
    "priorityclasses.scheduling.k8s.io",
    "pods.metrics.k8s.io",
    "nodes.metrics.k8s.io",
    "applications.argoproj.io",
    "applicationsets.argoproj.io",
    "appprojects.argoproj.io",
    "rollouts.argoproj.io",
    "scaledobjects.keda.sh",
    "scaledjobs.keda.sh",
    "*.constraints.gatekeeper.sh",
    "constrainttemplates.templates.gatekeeper.sh",
    "externalsecrets.external-secrets.io",
    "clusterexternalsecrets.external-secrets.io",
    "secretstores.external-secrets.io",
    "clustersecretstores.external-secrets.io",
    "certificates.cert-manager.io",
    "issuers.cert-manager.io",
    "clusterissuers.cert-manager.io",
    "tenants.capsule.clastix.io",
];

/// A kind that a cluster serves, in the version that it prefers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub api_group: String,
    pub api_version: String,
    pub kind: String,
    /// The name in URLs (`deployments`).
    pub plural: String,
}

impl Resource {
    /// Whether both are the same kind, in whatever version.
    pub fn is_same_kind(&self, other: &Resource) -> bool {
        self.api_group == other.api_group && self.kind == other.kind
    }

    /// Whether its objects are samples of usage.
    pub fn is_usage(&self) -> bool {
        self.api_group == USAGE_GROUP
    }

    /// The value of `apiVersion`.
    pub fn group_version(&self) -> String {
        match self.api_group.is_empty() {
            true => self.api_version.clone(),
            false => format!("{}/{}", self.api_group, self.api_version),
        }
    }

    /// The path of its objects in all namespaces.
    pub fn path(&self) -> String {
        let root = if self.api_group.is_empty() { "/api" } else { "/apis" };
        format!("{root}/{}/{}", self.group_version(), self.plural)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plural)?;
        if self.api_group.is_empty() { Ok(()) } else { write!(f, ".{}", self.api_group) }
    }
}

/// Which resources are followed.
#[derive(Debug)]
pub struct Wanted {
    patterns: Vec<String>,
    without: Vec<String>,
}

impl Wanted {
    /// The usual ones and these, without those.
    pub fn new(more: &[String], without: &[String]) -> Self {
        let patterns = USUAL.iter().map(|usual| (*usual).to_owned()).chain(more.iter().cloned()).collect();
        Wanted { patterns, without: without.to_vec() }
    }

    /// Whether a resource is followed.
    pub fn takes(&self, plural: &str, api_group: &str) -> bool {
        // With a star for a whole cluster, events come twice: in the core group and in their own.
        let twice = plural == "events" && api_group == "events.k8s.io";
        let takes = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, plural, api_group));
        takes(&self.patterns)
            && !takes(&self.without)
            && !(twice && !self.patterns.iter().any(|p| p == "events.events.k8s.io"))
    }

    /// The groups that are named.
    fn groups(&self) -> BTreeSet<&str> {
        self.patterns.iter().filter_map(|pattern| Some(pattern.split_once('.')?.1)).collect()
    }

    /// Whether anything of a group may be followed.
    fn looks_into(&self, api_group: &str) -> bool {
        self.patterns
            .iter()
            .any(|pattern| pattern == "*" || pattern.split_once('.').map_or("", |(_, group)| group) == api_group)
    }
}

fn matches(pattern: &str, plural: &str, api_group: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let (wanted_plural, wanted_group) = pattern.split_once('.').unwrap_or((pattern, ""));
    wanted_group == api_group && (wanted_plural == "*" || wanted_plural == plural)
}

/// What a cluster serves of what is wanted.
#[derive(Debug, Default)]
pub struct Found {
    pub resources: Vec<Resource>,
    /// Groups that could not be read: nothing is known about them.
    unread: BTreeSet<String>,
}

impl Found {
    /// Whether every group could be read.
    pub fn is_whole(&self) -> bool {
        self.unread.is_empty()
    }

    /// Whether it is certain that the cluster does not serve a kind (any more).
    pub fn lacks(&self, resource: &Resource) -> bool {
        !self.unread.contains(&resource.api_group) && !self.resources.iter().any(|found| found.is_same_kind(resource))
    }
}

/// Asks a cluster what it serves.
pub async fn discover(connection: &Connection, wanted: &Wanted) -> Result<Found, Failure> {
    let mut found = Found::default();
    // What is no list of resources says nothing: not that the cluster has lost its kinds.
    match connection.document("/api/v1").await {
        Ok(core) if core.get("resources").is_some() => found.resources.extend(resources(&core, "", "v1", wanted)),
        // An API server of custom resources alone has no core group.
        Ok(_) => found.unread.extend([String::new()]),
        Err(failure) if failure.status == Some(404) => found.unread.extend([String::new()]),
        Err(failure) => return Err(failure),
    }
    for group in &groups(connection, wanted, &mut found).await? {
        let word = |path: &[&str]| at(group, path).and_then(Value::as_str).unwrap_or_default();
        let (name, version) = (word(&["name"]), word(&["preferredVersion", "version"]));
        if name.is_empty() || version.is_empty() || !wanted.looks_into(name) {
            continue;
        }
        match connection.document(&format!("/apis/{name}/{version}")).await {
            Ok(served) if served.get("resources").is_some() => {
                found.resources.extend(resources(&served, name, version, wanted));
            }
            Ok(_) => found.unread.extend([name.to_owned()]),
            Err(failure) => {
                // The server behind an aggregated group may be away; the others are not.
                tracing::debug!(group = name, %failure, "a group cannot be read");
                found.unread.extend([name.to_owned()]);
            }
        }
    }
    Ok(found)
}

/// The groups that a cluster has. An API server of custom resources alone does not list them; those whose names are
/// known are asked for one by one.
async fn groups(connection: &Connection, wanted: &Wanted, found: &mut Found) -> Result<Vec<Value>, Failure> {
    match connection.document("/apis").await {
        Ok(mut listed) => match listed.get_mut("groups").map(Value::take) {
            Some(Value::Array(groups)) => return Ok(groups),
            _ => return Err(Failure::broken("/apis is no list of groups")),
        },
        Err(failure) if failure.status == Some(404) => {}
        Err(failure) => return Err(failure),
    }
    let mut groups = Vec::new();
    for name in wanted.groups() {
        match connection.document(&format!("/apis/{name}")).await {
            Ok(group) => groups.push(group),
            Err(failure) if failure.status == Some(404) => {}
            Err(_) => found.unread.extend([name.to_owned()]),
        }
    }
    Ok(groups)
}

fn resources(served: &Value, api_group: &str, api_version: &str, wanted: &Wanted) -> Vec<Resource> {
    let listed = served.get("resources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let one = |resource: &Value| {
        let word = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default();
        let verbs = resource.get("verbs").and_then(Value::as_array)?;
        let can = |verb: &str| verbs.iter().any(|known| known == verb);
        let (plural, kind) = (word("name"), word("kind"));
        // A name with a slash is a part of another one (`pods/status`).
        let whole = !plural.is_empty() && !plural.contains('/') && !kind.is_empty();
        let follows = can("list") && (can("watch") || api_group == USAGE_GROUP);
        let own = |word: &str| word.to_owned();
        (whole && follows && wanted.takes(plural, api_group)).then(|| Resource {
            api_group: own(api_group),
            api_version: own(api_version),
            kind: own(kind),
            plural: own(plural),
        })
    };
    listed.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_followed() {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let usual = Wanted::new(&[], &own(&["events"]));
        let all = Wanted::new(&own(&["*"]), &own(&["*.coordination.k8s.io"]));
        let some = Wanted::new(&own(&["widgets.example.org", "*.example.net"]), &[]);
        for (wanted, plural, group, takes) in [
            (&usual, "pods", "", true),
            (&usual, "events", "", false),
            (&usual, "secrets", "", false),
            (&usual, "k8srequiredlabels", "constraints.gatekeeper.sh", true),
            (&usual, "widgets", "example.org", false),
            (&all, "secrets", "", true),
            (&all, "leases", "coordination.k8s.io", false),
            (&all, "events", "events.k8s.io", false),
            (&some, "widgets", "example.org", true),
            (&some, "others", "example.org", false),
            (&some, "others", "example.net", true),
        ] {
            assert_eq!(wanted.takes(plural, group), takes, "{plural}.{group}");
        }
        assert!(usual.looks_into("apps") && !usual.looks_into("example.org") && all.looks_into("example.org"));
    }

    #[test]
    fn parts_of_resources_are_none() {
        let served = json!({"resources": [
            {"name": "pods", "kind": "Pod", "verbs": ["list", "watch"]},
            {"name": "pods/status", "kind": "Pod", "verbs": ["list", "watch"]},
            {"name": "nodes", "kind": "Node", "verbs": ["get"]}]});
        let found = resources(&served, "", "v1", &Wanted::new(&[], &[]));
        assert_eq!(found.iter().map(|r| r.path()).collect::<Vec<_>>(), ["/api/v1/pods"]);
    }
}
