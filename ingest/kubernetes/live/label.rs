//! A label of an object, put there or taken off: a merge patch, which says the same when it is sent again.

use std::path::Path;

use engine::{Error, Kind, Result};
use serde_json::json;

use super::Wish;
use super::connection::Connection;

/// Who changed the object, in its managed fields.
const MANAGER: &str = "stellwerk";

/// An object of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    path: String,
}

impl Object {
    /// An object by its resource (`pods`, `deployments.apps`, `widgets.v1beta1.example.org`), namespace and name. A resource
    /// without a version is of v1; an object without a namespace is the cluster's own.
    pub fn of(resource: &str, namespace: &str, name: &str) -> Result<Object> {
        let word = |what: &str, text: &str| {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:".contains(c);
            match !text.is_empty() && text.len() <= 253 && !text.starts_with('.') && text.chars().all(fits) {
                true => Ok(()),
                false => Err(Error::invalid(format!("`{text}` is no {what} of Kubernetes"))),
            }
        };
        word("resource", resource)?;
        word("name", name)?;
        let (plural, rest) = resource.split_once('.').unwrap_or((resource, ""));
        let is_version =
            |text: &str| text.strip_prefix('v').is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
        let (version, group) = match rest.split_once('.') {
            Some((version, group)) if is_version(version) => (version, group),
            None if is_version(rest) => (rest, ""),
            _ => ("v1", rest),
        };
        let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let within = match namespace {
            "" => String::new(),
            _ => {
                word("namespace", namespace)?;
                format!("/namespaces/{namespace}")
            }
        };
        Ok(Object { path: format!("{root}{within}/{plural}/{name}") })
    }
}

/// One cluster whose objects get labels.
pub struct Labels {
    connection: Connection,
}

impl std::fmt::Debug for Labels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Labels").finish_non_exhaustive()
    }
}

impl Labels {
    /// The cluster of a kubeconfig's context, or of its current one. Nothing is sent yet.
    pub async fn open(kubeconfig: &Path, context: Option<&str>) -> Result<Labels> {
        let wish = Wish { contexts: context.map(str::to_owned).into_iter().collect(), ..Wish::default() };
        let opened = Connection::open(kubeconfig, &wish).await.map_err(Error::invalid)?;
        let (_, connection) = opened.into_iter().next().expect("a wish without contexts is the current one");
        Ok(Labels { connection })
    }

    /// Puts a label on an object, or takes it off with `None`.
    pub async fn put(&self, object: &Object, label: &str, value: Option<&str>) -> Result<()> {
        let body = json!({ "metadata": { "labels": { label: value } } });
        let path = format!("{}?fieldManager={MANAGER}", object.path);
        self.connection.patch(&path, &body).await.map_err(|failure| {
            let kind = match failure.status {
                Some(404) => Kind::NotFound,
                Some(401 | 403) => Kind::Denied,
                _ if failure.is_passing() => Kind::Unavailable,
                Some(409) => Kind::Conflict,
                _ => Kind::Invalid,
            };
            Error::new(kind, format!("label {}: {failure}", object.path))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_paths() {
        for (resource, namespace, wanted) in [
            ("pods", "shop", "/api/v1/namespaces/shop/pods/web-0"),
            ("deployments.apps", "shop", "/apis/apps/v1/namespaces/shop/deployments/web-0"),
            ("nodes", "", "/api/v1/nodes/web-0"),
            (
                "applications.v1alpha1.argoproj.io",
                "argo",
                "/apis/argoproj.io/v1alpha1/namespaces/argo/applications/web-0",
            ),
            ("ingresses.networking.k8s.io", "shop", "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/web-0"),
        ] {
            assert_eq!(Object::of(resource, namespace, "web-0").unwrap().path, wanted);
        }
        for (resource, namespace, name) in
            [("", "a", "b"), ("pods", "../x", "b"), ("pods", "a", "b/c"), ("pods", "a", "..")]
        {
            assert!(Object::of(resource, namespace, name).is_err(), "{resource} {namespace} {name}");
        }
    }
}
