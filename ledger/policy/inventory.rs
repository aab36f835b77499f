//! The other objects of a cluster, as templates read them in `data.inventory`.

use std::collections::BTreeMap;

use regorus::Value;
use serde_json::Value as Json;

use super::document::text;
use super::rego;

type ByName = BTreeMap<Value, Value>;
type ByKind = BTreeMap<Value, ByName>;
type ByVersion = BTreeMap<Value, ByKind>;

/// Objects by namespace, version, kind and name.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    cluster: ByVersion,
    namespace: BTreeMap<Value, ByVersion>,
    /// Namespaces as objects: what selectors on namespaces look at.
    namespaces: BTreeMap<String, Json>,
}

impl Inventory {
    /// Adds an object; the last of a name counts.
    pub fn add(&mut self, object: &Json) -> Result<(), String> {
        let of = |pointer: &str| Value::from(text(object, pointer));
        let (version, kind, name) =
            (text(object, "/apiVersion"), text(object, "/kind"), text(object, "/metadata/name"));
        if version.is_empty() || kind.is_empty() || name.is_empty() {
            return Err("an object of the inventory has no apiVersion, kind or name".to_owned());
        }
        self.add_namespace(object);
        let namespace = text(object, "/metadata/namespace");
        let versions = match namespace {
            "" => &mut self.cluster,
            _ => self.namespace.entry(Value::from(namespace)).or_default(),
        };
        let kinds = versions.entry(of("/apiVersion")).or_default();
        kinds.entry(of("/kind")).or_default().insert(of("/metadata/name"), rego::value(object));
        Ok(())
    }

    /// Remembers a Namespace's labels, without adding it to what templates read; anything else is left out.
    pub fn add_namespace(&mut self, object: &Json) {
        if text(object, "/kind") == "Namespace" && text(object, "/apiVersion") == "v1" {
            self.namespaces.insert(text(object, "/metadata/name").to_owned(), object.clone());
        }
    }

    /// A namespace as an object.
    pub fn namespace(&self, name: &str) -> Option<&Json> {
        self.namespaces.get(name)
    }

    /// The same without what only templates read.
    pub(super) fn only_namespaces(&self) -> Inventory {
        Inventory { namespaces: self.namespaces.clone(), ..Inventory::default() }
    }

    /// `data.inventory`.
    pub(super) fn value(&self) -> Value {
        let names = |names: &ByName| Value::from(names.clone());
        let kinds =
            |kinds: &ByKind| Value::from(kinds.iter().map(|(k, v)| (k.clone(), names(v))).collect::<BTreeMap<_, _>>());
        let versions =
            |of: &ByVersion| Value::from(of.iter().map(|(k, v)| (k.clone(), kinds(v))).collect::<BTreeMap<_, _>>());
        let namespaces = self.namespace.iter().map(|(k, v)| (k.clone(), versions(v))).collect::<BTreeMap<_, _>>();
        Value::from(BTreeMap::from([
            (Value::from("cluster"), versions(&self.cluster)),
            (Value::from("namespace"), Value::from(namespaces)),
        ]))
    }
}
