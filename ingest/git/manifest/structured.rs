//! Manifests in JSON, TOML and YAML.

use serde_json::Value;

use super::Manifest;
use super::lines::requirement;
use crate::bounded;
use crate::json::{Reason, at};
use crate::supply_chain::lenient::{items, owned, scalar, text};

/// What a YAML manifest may weigh once it is read.
const WEIGHT_MAX: usize = 4 << 20;

fn json(body: &str) -> Result<Value, Reason> {
    bounded::json(body).map_err(|e| format!("no JSON: {e}"))
}

fn toml(body: &str) -> Result<Value, Reason> {
    let table: toml::Table = body.parse().map_err(|e| format!("no TOML: {e}"))?;
    serde_json::to_value(table).map_err(|e| format!("no TOML: {e}"))
}

/// The members of an object at a path.
fn members<'a>(value: &'a Value, path: &[&str]) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    at(value, path).and_then(Value::as_object).into_iter().flatten()
}

/// npm.
pub fn package_json(body: &str) -> Result<Manifest, Reason> {
    let document = json(body)?;
    let licence = owned(&document, &["license"]).or_else(|| owned(&document, &["license", "type"]));
    let mut manifest = head("npm", &document, licence);
    let sections = [
        ("dependencies", "runtime"),
        ("devDependencies", "development"),
        ("peerDependencies", "peer"),
        ("optionalDependencies", "optional"),
    ];
    for (section, scope) in sections {
        members(&document, &[section])
            .for_each(|(name, range)| manifest.need(scope, name, range.as_str().map(str::to_owned)));
    }
    Ok(manifest)
}

fn head(ecosystem: &'static str, document: &Value, licences: Option<String>) -> Manifest {
    Manifest {
        ecosystem,
        name: owned(document, &["name"]),
        version: scalar(document, &["version"]),
        licences,
        description: owned(document, &["description"]),
        dependencies: Vec::new(),
    }
}

/// Composer; `php` and its extensions are the platform's.
pub fn composer(body: &str) -> Result<Manifest, Reason> {
    let document = json(body)?;
    let mut manifest = head("composer", &document, owned(&document, &["license"]));
    for (section, scope) in [("require", "runtime"), ("require-dev", "development")] {
        let needs = members(&document, &[section]).filter(|(name, _)| name.contains('/'));
        needs.for_each(|(name, range)| manifest.need(scope, name, range.as_str().map(str::to_owned)));
    }
    Ok(manifest)
}

/// Cargo: a package, a workspace, and both for each target.
pub fn cargo(body: &str) -> Result<Manifest, Reason> {
    let document = toml(body)?;
    let package = document.get("package").unwrap_or(&Value::Null);
    let mut manifest = head("cargo", package, owned(package, &["license"]));
    let sections = [("dependencies", "runtime"), ("dev-dependencies", "development"), ("build-dependencies", "build")];
    let targets = members(&document, &["target"]).map(|(_, target)| target);
    for level in std::iter::once(&document).chain(targets) {
        for (section, scope) in sections {
            members(level, &[section])
                .for_each(|(name, wish)| manifest.need(scope, cargo_name(name, wish), cargo_range(wish)));
        }
    }
    let shared = members(&document, &["workspace", "dependencies"]);
    shared.for_each(|(name, wish)| manifest.need("workspace", cargo_name(name, wish), cargo_range(wish)));
    Ok(manifest)
}

/// A renamed dependency counts under its own name.
fn cargo_name(name: &str, wish: &Value) -> String {
    owned(wish, &["package"]).unwrap_or_else(|| name.to_owned())
}

fn cargo_range(wish: &Value) -> Option<String> {
    let range = wish.as_str().map(str::to_owned).or_else(|| owned(wish, &["version"]));
    range.or_else(|| owned(wish, &["git"]))
}

/// Python's pyproject, and Poetry's tables in it.
pub fn pyproject(body: &str) -> Result<Manifest, Reason> {
    let document = toml(body)?;
    let poetry = at(&document, &["tool", "poetry"]).unwrap_or(&Value::Null);
    let project = document.get("project").unwrap_or(poetry);
    let licence = owned(project, &["license"]).or_else(|| owned(project, &["license", "text"]));
    let mut manifest = head("pypi", project, licence);
    let mut list = |scope: &str, wishes: &[Value]| {
        wishes
            .iter()
            .filter_map(Value::as_str)
            .filter_map(requirement)
            .for_each(|(name, range)| manifest.need(scope, name, range));
    };
    list("runtime", items(project, &["dependencies"]));
    members(project, &["optional-dependencies"]).for_each(|(_, wishes)| list("optional", items(wishes, &[])));
    members(&document, &["dependency-groups"]).for_each(|(_, wishes)| list("development", items(wishes, &[])));
    list("build", items(&document, &["build-system", "requires"]));
    let groups = members(poetry, &["group"])
        .flat_map(|(_, group)| members(group, &["dependencies"]))
        .map(|need| ("development", need));
    let older = members(poetry, &["dev-dependencies"]).map(|need| ("development", need));
    for (scope, (name, wish)) in
        members(poetry, &["dependencies"]).map(|need| ("runtime", need)).chain(groups).chain(older)
    {
        if name != "python" {
            manifest.need(scope, name, cargo_range(wish));
        }
    }
    Ok(manifest)
}

/// Helm: a dependency with a condition may be left out.
pub fn chart(body: &str) -> Result<Manifest, Reason> {
    let document = bounded::bounded(serde_yaml_ng::Deserializer::from_str(body), WEIGHT_MAX)
        .map_err(|e| format!("no YAML: {e}"))?;
    let mut manifest = head("helm", &document, None);
    for need in items(&document, &["dependencies"]) {
        let conditional = text(need, &["condition"]).is_some() || !items(need, &["tags"]).is_empty();
        let scope = if conditional { "optional" } else { "runtime" };
        manifest.need(scope, owned(need, &["name"]).unwrap_or_default(), scalar(need, &["version"]));
    }
    Ok(manifest)
}
