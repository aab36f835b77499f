//! SPDX 3.0: a graph of elements in JSON-LD, in the compact form that the specification's context gives.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::bom::{Bom, Component};
use super::cyclonedx::{hashes, joined};
use super::lenient::{instant, items, owned, text, texts};
use super::report::Report;
use super::spdx::asserted;
use crate::json::Reason;

/// Whether a document is of this version.
pub fn is(document: &Value) -> bool {
    let contexts = texts(document, &["@context"]);
    document.get("@graph").is_some_and(Value::is_array) && contexts.iter().any(|context| context.contains("spdx"))
}

/// The graph by ids.
struct Graph<'a> {
    elements: HashMap<&'a str, &'a Value>,
    relations: Vec<(&'a str, &'a str, &'a str)>,
}

fn kind(element: &Value) -> &str {
    text(element, &["type"]).or_else(|| text(element, &["@type"])).unwrap_or_default()
}

fn id(element: &Value) -> Option<&str> {
    text(element, &["spdxId"]).or_else(|| text(element, &["@id"]))
}

impl<'a> Graph<'a> {
    fn read(document: &'a Value) -> Graph<'a> {
        let graph = items(document, &["@graph"]);
        let elements = graph.iter().filter_map(|element| Some((id(element)?, element))).collect();
        let mut relations = Vec::new();
        for relation in graph.iter().filter(|element| kind(element).ends_with("Relationship")) {
            let (Some(from), Some(what)) = (text(relation, &["from"]), text(relation, &["relationshipType"])) else {
                continue;
            };
            let to = match relation.get("to") {
                Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
                Some(Value::String(one)) => vec![one.as_str()],
                _ => Vec::new(),
            };
            relations.extend(to.into_iter().map(|to| (from, what, to)));
        }
        Graph { elements, relations }
    }

    fn name(&self, id: &str) -> Option<String> {
        owned(self.elements.get(id)?, &["name"])
    }

    fn licences(&self, of: &str, what: &str) -> Option<String> {
        let named = |to: &str| match self.elements.get(to) {
            Some(element) => asserted(element, &["simplelicensing_licenseExpression"])
                .or_else(|| asserted(element, &["expandedlicensing_licenseExpression"]))
                .or_else(|| owned(element, &["name"])),
            // A listed licence is only named: `https://spdx.org/licenses/MIT`.
            None => to.rsplit('/').next().map(str::to_owned).filter(|name| !name.starts_with("No") && !name.is_empty()),
        };
        let of_it = self.relations.iter().filter(|(from, relation, _)| *from == of && *relation == what);
        joined(of_it.filter_map(|(_, _, to)| named(to)).collect())
    }
}

/// Reads one document.
pub fn read(document: &Value) -> Result<Report, Reason> {
    let graph = Graph::read(document);
    let listed = items(document, &["@graph"]);
    let of_kind = |wanted: &str| listed.iter().find(|element| kind(element) == wanted);
    let creation = of_kind("CreationInfo").unwrap_or(&Value::Null);
    let tools: Vec<String> = texts(creation, &["createdUsing"]).iter().filter_map(|id| graph.name(id)).collect();
    let mut report = Report::of("SPDX", tools.first().map_or("spdx", String::as_str));
    report.format_version = owned(creation, &["specVersion"]);
    report.observed_us = instant(creation, &["created"]);
    let about = of_kind("SpdxDocument").unwrap_or(&Value::Null);
    let mut bom = Bom {
        serial_number: id(about).map(str::to_owned),
        name: owned(about, &["name"]),
        created_us: report.observed_us,
        authors: texts(creation, &["createdBy"]).iter().filter_map(|id| graph.name(id)).collect(),
        data_licence: owned(about, &["dataLicense"]).and_then(|id| id.rsplit('/').next().map(str::to_owned)),
        tools,
        ..Bom::default()
    };
    let roots = roots(document, &graph);
    for (i, element) in listed.iter().enumerate() {
        let component = match kind(element) {
            "software_File" => file(element, &graph),
            // AI models and data sets are packages, too.
            package if package.ends_with("Package") => self::package(element, package, &graph),
            _ => continue,
        };
        match component {
            Ok(mut component) => {
                component.is_subject = component.reference.as_ref().is_some_and(|id| roots.contains(id.as_str()));
                bom.components.push(component);
            }
            Err(reason) => report.refuse(reason, format!("@graph[{i}]"), element),
        }
    }
    let relation = |(from, what, to): &(&str, &str, &str)| ((*from).to_owned(), (*to).to_owned(), snake(what));
    bom.dependencies = graph.relations.iter().filter(|(_, what, _)| !what.ends_with("License")).map(relation).collect();
    bom.dependencies.sort();
    bom.dependencies.dedup();
    let subject = bom.components.iter().find(|component| component.is_subject && !component.is_file());
    let subject = subject.or_else(|| bom.components.iter().find(|component| component.is_subject)).cloned();
    report.target =
        subject.as_ref().map(|subject| subject.name.clone()).or_else(|| bom.name.clone()).unwrap_or_default();
    bom.subject = subject.unwrap_or_else(|| Component { name: report.target.clone(), ..Component::default() });
    report.bom = Some(bom);
    Ok(report)
}

/// What the document is about: roots of the document and of its SBOMs, and what they describe.
fn roots<'a>(document: &'a Value, graph: &Graph<'a>) -> HashSet<String> {
    let mut found: HashSet<String> = HashSet::new();
    for element in items(document, &["@graph"]) {
        if matches!(kind(element), "SpdxDocument" | "software_Sbom" | "Bom") {
            found.extend(texts(element, &["rootElement"]));
        }
    }
    found.extend(graph.relations.iter().filter(|(_, what, _)| *what == "describes").map(|(_, _, to)| (*to).to_owned()));
    found
}

fn package(element: &Value, kind: &str, graph: &Graph<'_>) -> Result<Component, Reason> {
    let name = owned(element, &["name"]).ok_or("a package has no name")?;
    let reference = id(element).map(str::to_owned);
    let outside = |wanted: &str| {
        let of = |one: &&Value| text(one, &["externalIdentifierType"]) == Some(wanted);
        items(element, &["externalIdentifier"]).iter().find(of).and_then(|one| owned(one, &["identifier"]))
    };
    let default = match kind {
        "ai_AIPackage" => "machine-learning-model",
        "dataset_DatasetPackage" => "data",
        _ => "library",
    };
    let purl =
        asserted(element, &["software_packageUrl"]).or_else(|| outside("packageUrl")).or_else(|| outside("packageURL"));
    let id = reference.as_deref().unwrap_or_default();
    Ok(Component {
        kind: text(element, &["software_primaryPurpose"]).unwrap_or(default).to_lowercase(),
        name,
        version: asserted(element, &["software_packageVersion"]),
        purl,
        cpe: outside("cpe23").or_else(|| outside("cpe22")),
        licences: graph.licences(id, "hasDeclaredLicense"),
        licence_concluded: graph.licences(id, "hasConcludedLicense"),
        hashes: hashes(items(element, &["verifiedUsing"]), "algorithm", "hashValue"),
        supplier: text(element, &["suppliedBy"]).and_then(|id| graph.name(id)),
        publisher: texts(element, &["originatedBy"]).iter().find_map(|id| graph.name(id)),
        description: asserted(element, &["summary"]).or_else(|| asserted(element, &["description"])),
        copyright: asserted(element, &["software_copyrightText"]),
        reference,
        ..Component::default()
    })
}

fn file(element: &Value, graph: &Graph<'_>) -> Result<Component, Reason> {
    let reference = id(element).map(str::to_owned);
    let id = reference.as_deref().unwrap_or_default();
    Ok(Component {
        kind: "file".to_owned(),
        name: owned(element, &["name"]).ok_or("a file has no name")?,
        licences: graph.licences(id, "hasDeclaredLicense"),
        licence_concluded: graph.licences(id, "hasConcludedLicense"),
        hashes: hashes(items(element, &["verifiedUsing"]), "algorithm", "hashValue"),
        copyright: asserted(element, &["software_copyrightText"]),
        reference,
        ..Component::default()
    })
}

/// `dependsOn` as `depends_on`.
fn snake(camel: &str) -> String {
    let mut out = String::with_capacity(camel.len() + 4);
    for letter in camel.chars() {
        if letter.is_uppercase() {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}
