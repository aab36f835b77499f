//! What every object says about itself: identity, owner, labels.

use engine::{Rows, Scope};
use serde_json::Value;

use super::unit::Identity;
use crate::json::{self, Reason, at};

/// Who sends objects, and from which cluster.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The caller.
    pub scope: &'a Scope,
    /// The cluster's name.
    pub cluster: &'a str,
    /// Tenant of objects without the label.
    pub tenant: Option<&'a str>,
}

/// An object's identity and metadata, checked.
#[derive(Debug)]
pub struct Meta<'a> {
    /// The whole object.
    pub object: &'a Value,
    /// Tenant that the row belongs to.
    pub tenant: &'a str,
    /// `apps` of `apps/v1`; empty for the core group.
    pub api_group: &'a str,
    /// `v1` of `apps/v1`.
    pub api_version: &'a str,
    pub kind: &'a str,
    /// Empty for what belongs to the cluster.
    pub namespace: &'a str,
    pub name: &'a str,
    pub uid: Option<&'a str>,
    pub creation_timestamp: Option<i64>,
    pub deletion_timestamp: Option<i64>,
    pub owner_kind: Option<&'a str>,
    pub owner_name: Option<&'a str>,
}

impl<'a> Meta<'a> {
    /// Reads what must be right for an object to be kept.
    pub fn read(object: &'a Value, origin: Origin<'a>) -> Result<Meta<'a>, Reason> {
        let kind = json::text(object, &["kind"])?.filter(|k| !k.is_empty()).ok_or("kind is missing")?;
        let (group, version) = group_version(json::text(object, &["apiVersion"])?.unwrap_or_default());
        if kind == "Status" && group.is_empty() && at(object, &["metadata", "name"]).is_none() {
            let message = json::text(object, &["message"])?.unwrap_or("no message");
            return Err(format!("an answer of the API server, not an object: {}", json::clip(message)));
        }
        let name = json::text(object, &["metadata", "name"])?.filter(|n| !n.is_empty());
        let name = match name {
            Some(name) => name,
            None => json::text(object, &["metadata", "generateName"])?.ok_or("metadata.name is missing")?,
        };
        for path in [["metadata", "labels"], ["metadata", "annotations"]] {
            for (key, value) in json::object(object, &path)?.into_iter().flatten() {
                if !(value.is_string() || value.is_null()) {
                    return Err(format!("{}.{key} is not text: {}", path.join("."), json::clip(&value.to_string())));
                }
            }
        }
        let owner = owner(object)?;
        let owner_word = |name: &str| owner.map_or(Ok(None), |owner| json::text(owner, &[name]));
        Ok(Meta {
            object,
            tenant: origin.scope.owner(label(object, &["tenant"]).or(origin.tenant)),
            api_group: group,
            api_version: version,
            kind,
            namespace: json::text(object, &["metadata", "namespace"])?.unwrap_or_default(),
            name,
            uid: json::text(object, &["metadata", "uid"])?,
            creation_timestamp: json::time(object, &["metadata", "creationTimestamp"])?,
            deletion_timestamp: json::time(object, &["metadata", "deletionTimestamp"])?,
            owner_kind: owner_word("kind")?,
            owner_name: owner_word("name")?,
        })
    }

    /// Which object of its cluster it is.
    pub fn identity(&self) -> Identity {
        Identity {
            api_group: self.api_group.into(),
            kind: self.kind.into(),
            namespace: self.namespace.into(),
            name: self.name.into(),
        }
    }

    /// The first of these labels that the object carries.
    pub fn label(&self, names: &[&str]) -> Option<&'a str> {
        label(self.object, names)
    }

    /// Sets the columns that every Kubernetes table has: tenant, cluster, namespace and the standard labels.
    pub fn set(&self, origin: Origin<'_>, rows: &mut Rows) {
        rows.set("tenant", self.tenant)
            .set("cluster", origin.cluster)
            .set("namespace", self.namespace)
            .set("env", self.label(&["env", "environment", "app.kubernetes.io/environment"]))
            .set("app", self.label(&["app.kubernetes.io/name", "app", "k8s-app"]))
            .set("version", self.label(&["app.kubernetes.io/version", "version"]))
            .set("cost_center", self.label(&["cost-center", "cost_center", "costcenter"]));
    }
}

fn group_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

fn label<'a>(object: &'a Value, names: &[&str]) -> Option<&'a str> {
    let labels = at(object, &["metadata", "labels"])?;
    names.iter().find_map(|name| labels.get(*name)?.as_str().filter(|l| !l.is_empty()))
}

/// The owner that controls the object, else its first.
fn owner(object: &Value) -> Result<Option<&Value>, Reason> {
    let Some(owners) = json::list(object, &["metadata", "ownerReferences"])? else { return Ok(None) };
    Ok(owners.iter().find(|o| o.get("controller") == Some(&Value::Bool(true))).or(owners.first()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn identity_owner_and_labels() {
        let scope = Scope::platform("test");
        let origin = Origin { scope: &scope, cluster: "c", tenant: Some("other") };
        let object = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {
            "name": "web-1", "namespace": "shop", "labels": {"tenant": "acme", "app": "x", "app.kubernetes.io/name": "web"},
            "ownerReferences": [{"kind": "A", "name": "a"}, {"kind": "Deployment", "name": "web", "controller": true}]}});
        let meta = Meta::read(&object, origin).unwrap();
        assert_eq!((meta.tenant, meta.api_group, meta.api_version), ("acme", "apps", "v1"));
        assert_eq!((meta.owner_kind, meta.owner_name), (Some("Deployment"), Some("web")));
        assert_eq!(meta.label(&["app.kubernetes.io/name", "app"]), Some("web"));
        let bare = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-"}});
        let meta = Meta::read(&bare, origin).unwrap();
        assert_eq!((meta.tenant, meta.api_group, meta.name, meta.namespace), ("other", "", "web-", ""));
        let one = Scope::tenant("mine", "test");
        assert_eq!(Meta::read(&object, Origin { scope: &one, ..origin }).unwrap().tenant, "mine");
    }

    #[test]
    fn what_is_no_object() {
        let scope = Scope::platform("test");
        let origin = Origin { scope: &scope, cluster: "c", tenant: None };
        for (object, reason) in [
            (json!({}), "kind is missing"),
            (json!({"kind": "Pod"}), "metadata.name is missing"),
            (json!({"kind": "Pod", "metadata": {"name": 7}}), "metadata.name is not text: 7"),
            (json!({"kind": "Pod", "metadata": {"name": "a", "labels": ["x"]}}), "metadata.labels is not an object"),
            (json!({"kind": "Pod", "metadata": {"name": "a", "labels": {"x": 1}}}), "metadata.labels.x is not text: 1"),
            (
                json!({"kind": "Pod", "metadata": {"name": "a", "creationTimestamp": "soon"}}),
                "creationTimestamp is no time",
            ),
            (json!({"kind": "Status", "apiVersion": "v1", "message": "pods is forbidden"}), "pods is forbidden"),
        ] {
            let found = Meta::read(&object, origin).unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
    }
}
