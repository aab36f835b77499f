//! A `ConstraintTemplate`: the rule itself, in Rego, in CEL or in both, and the schema of its parameters.

use serde_json::{Value, json};

use super::cel::Cel;
use super::document::{group_version, text};
use super::rego::Rego;

/// API group of templates.
pub const GROUP: &str = "templates.gatekeeper.sh";
/// The only target there is.
const TARGET: &str = "admission.k8s.gatekeeper.sh";
/// Names the kinds that a template reads besides the one under review.
const SYNC: &str = "/metadata/annotations/metadata.gatekeeper.sh~1requires-sync-data";

/// A template; where an engine's source cannot be evaluated, the reason stands in its place.
#[derive(Debug)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// The kind of its constraints.
    pub kind: String,
    pub(super) rego: Option<Result<Rego, String>>,
    pub(super) cel: Option<Result<Cel, String>>,
    schema: Value,
    reads: Option<Vec<String>>,
}

impl Template {
    /// Whether a document is a template.
    pub fn is(document: &Value) -> bool {
        text(document, "/kind") == "ConstraintTemplate" && group_version(text(document, "/apiVersion")).0 == GROUP
    }

    /// Reads a template. An error means that it is none; what only cannot be evaluated is kept, and denies.
    pub fn load(document: &Value) -> Result<Template, String> {
        let name = text(document, "/metadata/name").to_owned();
        let kind = text(document, "/spec/crd/spec/names/kind").to_owned();
        if name.is_empty() || kind.is_empty() {
            return Err("a template has no name or names no kind".to_owned());
        }
        if name != kind.to_lowercase() {
            return Err(format!("template {name}: its name must be its kind {kind} in small letters"));
        }
        let schema =
            document.pointer("/spec/crd/spec/validation/openAPIV3Schema").cloned().unwrap_or_else(|| json!({}));
        let mut template = Template { name, kind, rego: None, cel: None, schema, reads: synced(document) };
        let targets =
            document.pointer("/spec/targets").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let [target] = targets else {
            return Err(format!("template {}: it has {} targets, not one", template.name, targets.len()));
        };
        if text(target, "/target") != TARGET {
            return Err(format!("template {}: its target is not {TARGET}", template.name));
        }
        template.load_code(target);
        if template.rego.is_none() && template.cel.is_none() {
            return Err(format!("template {}: it has neither Rego nor CEL", template.name));
        }
        Ok(template)
    }

    fn load_code(&mut self, target: &Value) {
        let code = target.get("code").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for entry in code {
            let source = entry.get("source").unwrap_or(&Value::Null);
            match text(entry, "/engine") {
                "Rego" => self.rego = Some(load_rego(source)),
                "K8sNativeValidation" => self.cel = Some(Cel::load(source)),
                other => self.rego = self.rego.take().or(Some(Err(format!("its engine {other:?} is not known")))),
            }
        }
        if self.rego.is_none() && !text(target, "/rego").is_empty() {
            self.rego = Some(load_rego(target));
        }
    }

    /// Why it cannot be evaluated as it should, for each engine.
    pub fn reasons(&self) -> Vec<String> {
        let rego = self.rego.as_ref().and_then(|r| r.as_ref().err()).map(|why| format!("Rego: {why}"));
        let cel = self.cel.as_ref().and_then(|r| r.as_ref().err()).map(|why| format!("CEL: {why}"));
        rego.into_iter().chain(cel).collect()
    }

    /// Whether it reads other objects than the one under review.
    pub fn reads_inventory(&self) -> bool {
        self.rego.as_ref().is_some_and(|r| r.as_ref().is_ok_and(Rego::reads_inventory))
    }

    /// The kinds that it reads, where it says so.
    pub fn kinds_read(&self) -> Option<&[String]> {
        self.reads.as_deref()
    }

    /// A constraint's parameters with the schema's defaults filled in.
    pub fn defaulted(&self, parameters: Option<&Value>) -> Value {
        let mut parameters = parameters.filter(|p| !p.is_null()).cloned().unwrap_or_else(|| json!({}));
        fill(&self.schema, &mut parameters, 0);
        parameters
    }
}

fn load_rego(source: &Value) -> Result<Rego, String> {
    let libraries: Vec<String> = match source.get("libs") {
        None | Some(Value::Null) => Vec::new(),
        Some(libs) => serde_json::from_value(libs.clone()).map_err(|_| "its libs are no list of texts".to_owned())?,
    };
    Rego::load(text(source, "/rego"), &libraries)
}

/// Schemas inside each other.
const SCHEMAS_MAX: usize = 64;

/// The API server's defaulting: a property that is absent gets the schema's default.
fn fill(schema: &Value, value: &mut Value, depth: usize) {
    if depth > SCHEMAS_MAX {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, of) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                if let Some(default) = of.get("default").filter(|_| !fields.contains_key(name)) {
                    fields.insert(name.clone(), default.clone());
                }
                if let Some(field) = fields.get_mut(name) {
                    fill(of, field, depth + 1);
                }
            }
            if let Some(of) = schema.get("additionalProperties").filter(|of| of.is_object()) {
                let known = schema.get("properties");
                let others = fields.iter_mut().filter(|(name, _)| known.is_none_or(|k| k.get(name.as_str()).is_none()));
                others.for_each(|(_, field)| fill(of, field, depth + 1));
            }
        }
        Value::Array(items) => {
            if let Some(of) = schema.get("items") {
                items.iter_mut().for_each(|item| fill(of, item, depth + 1));
            }
        }
        _ => {}
    }
}

/// The kinds of `requires-sync-data`: a JSON text, sometimes a JSON text in a JSON text, of alternatives of requirements.
fn synced(document: &Value) -> Option<Vec<String>> {
    let note = text(document, SYNC);
    if note.is_empty() {
        return None;
    }
    let inner: Value = serde_json::from_str(note.trim()).unwrap_or_else(|_| json!(note.trim().trim_matches('"')));
    let list: Value = match &inner {
        Value::String(text) => serde_json::from_str(text.trim()).ok()?,
        _ => inner,
    };
    let mut kinds = Vec::new();
    for requirement in list.as_array()?.iter().flat_map(|alternatives| alternatives.as_array().into_iter().flatten()) {
        kinds.extend(requirement.get("kinds")?.as_array()?.iter().filter_map(|k| k.as_str().map(str::to_owned)));
    }
    (!kinds.is_empty()).then_some(kinds)
}
