//! What is held against the constraints: an object, who does what with it, and where it lies.

use std::cell::OnceCell;

use kube_cel::cel;
use serde_json::{Value, json};

use super::document::{group_version, text};
use super::matching::Subject;
use super::{cel as cel_engine, rego};

/// One object under review. What the engines need of it is made once, whatever the number of constraints.
pub struct Review {
    /// `AdmissionRequest` as the templates see it.
    request: Value,
    namespace: Option<Value>,
    for_rego: OnceCell<regorus::Value>,
    for_cel: OnceCell<[(&'static str, cel::Value); 3]>,
}

impl Review {
    /// An object that exists, or is to be made; without an operation, as an audit sees it.
    pub fn of_object(object: Value) -> Result<Review, String> {
        Review::of_request(json!({"operation": "", "object": object}))
    }

    /// An `AdmissionRequest`; what follows from its object need not be said.
    pub fn of_request(mut request: Value) -> Result<Review, String> {
        let Some(fields) = request.as_object_mut() else { return Err("an admission request is an object".to_owned()) };
        let deleted = fields.get("operation").and_then(Value::as_str) == Some("DELETE");
        let old = fields.get("oldObject").filter(|old| old.is_object()).cloned();
        if !fields.get("object").is_some_and(Value::is_object) {
            let Some(old) = old.filter(|_| deleted) else { return Err("there is no object to review".to_owned()) };
            fields.insert("object".to_owned(), old);
        }
        let object = fields["object"].clone();
        let kind = text(&object, "/kind");
        if kind.is_empty() {
            return Err("the object has no kind".to_owned());
        }
        let (group, version) = group_version(text(&object, "/apiVersion"));
        let meta =
            |name: &str| object.pointer("/metadata").and_then(|m| m.get(name)).cloned().unwrap_or_else(|| json!(""));
        let mut or = |name: &str, value: Value| {
            fields.entry(name).or_insert(value);
        };
        or("kind", json!({"group": group, "version": version, "kind": kind}));
        or("name", meta("name"));
        or("namespace", meta("namespace"));
        or("operation", json!(""));
        or("userInfo", json!({}));
        // What Go's type writes where nothing is said.
        or("uid", json!(""));
        or("resource", json!({"group": "", "version": "", "resource": ""}));
        or("oldObject", Value::Null);
        or("options", Value::Null);
        if text(&object, "/metadata/namespace").is_empty() && fields.get("namespace") == Some(&json!("")) {
            // An object of the cluster has no namespace, rather than an empty one.
            fields.remove("namespace");
        }
        Ok(Review { request, namespace: None, for_rego: OnceCell::new(), for_cel: OnceCell::new() })
    }

    /// An object, or an `AdmissionReview` that holds a request.
    pub fn of_document(mut document: Value) -> Result<Review, String> {
        let is_review = text(&document, "/kind") == "AdmissionReview"
            && group_version(text(&document, "/apiVersion")).0 == "admission.k8s.io";
        match is_review {
            true => Review::of_request(document["request"].take()),
            false => Review::of_object(document),
        }
    }

    /// The same, in this namespace, given as an object.
    pub fn in_namespace(mut self, namespace: Option<Value>) -> Review {
        self.namespace = namespace;
        self
    }

    /// The object.
    pub fn object(&self) -> &Value {
        &self.request["object"]
    }

    /// Name of the namespace it lies in; empty for objects of the cluster.
    pub fn namespace_name(&self) -> &str {
        let own = text(self.object(), "/metadata/namespace");
        if own.is_empty() { text(&self.request, "/namespace") } else { own }
    }

    /// API group and kind.
    pub fn group_and_kind(&self) -> (&str, &str) {
        (group_version(text(self.object(), "/apiVersion")).0, text(self.object(), "/kind"))
    }

    /// What a match looks at: the object, and what it was before.
    pub fn subjects(&self) -> impl Iterator<Item = Subject<'_>> {
        let (group, kind) = self.group_and_kind();
        let objects = [Some(self.object()), self.request.get("oldObject").filter(|old| old.is_object())];
        objects.into_iter().flatten().map(move |object| Subject {
            group,
            kind,
            object,
            namespace: self.namespace.as_ref(),
        })
    }

    /// `input.review`.
    pub(super) fn for_rego(&self) -> &regorus::Value {
        self.for_rego.get_or_init(|| rego::value(&self.request))
    }

    /// `object`, `oldObject` and `request`.
    pub(super) fn for_cel(&self) -> &[(&'static str, cel::Value); 3] {
        self.for_cel.get_or_init(|| {
            let mut request = self.request.clone();
            if let Some(fields) = request.as_object_mut() {
                fields.remove("object");
                fields.remove("oldObject");
            }
            let old = self.request.get("oldObject").unwrap_or(&Value::Null);
            [
                ("object", cel_engine::value(self.object())),
                ("oldObject", cel_engine::value(old)),
                ("request", cel_engine::value(&request)),
            ]
        })
    }

    /// The namespace as an object, where it is known.
    pub(super) fn namespace(&self) -> Option<&Value> {
        self.namespace.as_ref()
    }
}
