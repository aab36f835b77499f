//! Which objects a constraint is about: Gatekeeper's `spec.match`, all parts of which must hold.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::glob::{fits, fits_generated};
use super::selector::Selector;

const ANY: &str = "*";
/// The source of objects that an expansion makes; none is made here.
const GENERATED: &str = "Generated";

/// `spec.match`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Match {
    kinds: Vec<Kinds>,
    scope: Option<String>,
    namespaces: Vec<String>,
    excluded_namespaces: Vec<String>,
    label_selector: Option<Selector>,
    namespace_selector: Option<Selector>,
    name: Option<String>,
    source: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Kinds {
    api_groups: Vec<String>,
    kinds: Vec<String>,
}

/// What of an object matters to a match.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// API group; empty for the core group.
    pub group: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// The whole object.
    pub object: &'a Value,
    /// The namespace it lies in, as an object, where it is known.
    pub namespace: Option<&'a Value>,
}

impl<'a> Subject<'a> {
    fn meta(&self, name: &str) -> &'a str {
        self.object.pointer("/metadata").and_then(|m| m.get(name)).and_then(Value::as_str).unwrap_or_default()
    }

    fn is_namespace(&self) -> bool {
        self.kind == "Namespace" && self.group.is_empty()
    }

    /// The namespace that counts: a Namespace's own name, else where the object lies; `None` for the cluster's objects.
    fn namespace_name(&self) -> Option<&'a str> {
        if self.is_namespace() {
            return Some(self.meta("name"));
        }
        let known = self.namespace.and_then(|n| n.pointer("/metadata/name")).and_then(Value::as_str);
        known.or_else(|| Some(self.meta("namespace")).filter(|name| !name.is_empty()))
    }
}

impl Match {
    /// Reads `spec.match`; the error says what is wrong with it.
    pub fn parse(document: Option<&Value>) -> Result<Match, String> {
        let Some(document) = document.filter(|d| !d.is_null()) else { return Ok(Match::default()) };
        let found: Match =
            serde_json::from_value(document.clone()).map_err(|e| format!("its match cannot be read: {e}"))?;
        let selectors = [("labelSelector", &found.label_selector), ("namespaceSelector", &found.namespace_selector)];
        for (name, selector) in selectors {
            if let Some(why) = selector.as_ref().and_then(Selector::wrong) {
                return Err(format!("its {name} cannot be read: {why}"));
            }
        }
        match found.source.as_deref() {
            None | Some("" | "All" | "Original" | GENERATED) => Ok(found),
            Some(other) => Err(format!("its source {other:?} is none of All, Original, Generated")),
        }
    }

    /// Whether objects of this kind can match at all.
    pub fn is_about(&self, group: &str, kind: &str) -> bool {
        let holds = |list: &[String], name: &str| list.is_empty() || list.iter().any(|l| l == ANY || l == name);
        self.kinds.is_empty() || self.kinds.iter().any(|k| holds(&k.kinds, kind) && holds(&k.api_groups, group))
    }

    /// The kinds that it names, or `None` if it is about any.
    pub fn kinds(&self) -> Option<impl Iterator<Item = &str>> {
        let named = |k: &Kinds| !k.kinds.is_empty() && k.kinds.iter().all(|kind| kind != ANY);
        let all = !self.kinds.is_empty() && self.kinds.iter().all(named);
        all.then(|| self.kinds.iter().flat_map(|k| k.kinds.iter().map(String::as_str)))
    }

    /// Whether the object matches. An error is a reason to deny: what the match asks for is not known.
    pub fn matches(&self, subject: Subject<'_>) -> Result<bool, String> {
        Ok(self.is_about(subject.group, subject.kind)
            && self.has_scope(subject)
            && self.is_in_namespaces(subject)
            && self.label_selector.as_ref().is_none_or(|s| s.selects(labels(subject.object)))
            && self.has_name(subject)
            && self.source.as_deref() != Some(GENERATED)
            && self.has_namespace_labels(subject)?)
    }

    fn has_scope(&self, subject: Subject<'_>) -> bool {
        let is_namespace = subject.is_namespace();
        let is_within = !subject.meta("namespace").is_empty() || (subject.namespace.is_some() && !is_namespace);
        match self.scope.as_deref() {
            Some("Cluster") => is_namespace || !is_within,
            Some("Namespaced") => !is_namespace && is_within,
            _ => true,
        }
    }

    fn is_in_namespaces(&self, subject: Subject<'_>) -> bool {
        // Objects of the cluster lie in no namespace, so that no list of namespaces speaks about them.
        let Some(name) = subject.namespace_name() else { return true };
        let holds = |list: &[String]| list.iter().any(|pattern| fits(pattern, name));
        (self.namespaces.is_empty() || holds(&self.namespaces)) && !holds(&self.excluded_namespaces)
    }

    fn has_name(&self, subject: Subject<'_>) -> bool {
        let Some(pattern) = self.name.as_deref().filter(|p| !p.is_empty()) else { return true };
        fits(pattern, subject.meta("name")) || fits_generated(pattern, subject.meta("generateName"))
    }

    fn has_namespace_labels(&self, subject: Subject<'_>) -> Result<bool, String> {
        let Some(selector) = &self.namespace_selector else { return Ok(true) };
        if subject.is_namespace() {
            return Ok(selector.selects(labels(subject.object)));
        }
        match (subject.namespace, subject.meta("namespace")) {
            (Some(namespace), _) => Ok(selector.selects(labels(namespace))),
            (None, "") => Ok(true),
            (None, name) => {
                Err(format!("its namespaceSelector needs the labels of namespace {name}, which are not known"))
            }
        }
    }
}

fn labels(object: &Value) -> Option<&Map<String, Value>> {
    object.pointer("/metadata/labels").and_then(Value::as_object)
}
