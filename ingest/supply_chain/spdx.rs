//! SPDX 2.2 and 2.3 in JSON: packages, files, relationships.

use std::collections::HashSet;

use serde_json::Value;

use super::bom::{Bom, Component};
use super::cyclonedx::hashes;
use super::lenient::{instant, items, owned, text, texts};
use super::report::Report;
use crate::json::Reason;

/// Words by which SPDX says that it says nothing.
const NOTHING: &[&str] = &["NOASSERTION", "NONE"];

/// Text that asserts something.
pub fn asserted(value: &Value, path: &[&str]) -> Option<String> {
    owned(value, path).filter(|words| !NOTHING.contains(&words.as_str()))
}

/// Reads one document; GitHub's export has it under `sbom`.
pub fn read(document: &Value) -> Result<Report, Reason> {
    let document = document.get("sbom").filter(|inner| inner.get("spdxVersion").is_some()).unwrap_or(document);
    let creators = texts(document, &["creationInfo", "creators"]);
    let by = |kind: &str| {
        let named = creators.iter().filter_map(|creator| creator.strip_prefix(kind));
        named.map(|name| name.trim().to_owned()).collect::<Vec<_>>()
    };
    let tools = by("Tool:");
    let first = tools.first().map_or("spdx", String::as_str);
    // The specification writes a tool as `name-version`.
    let (tool, version) = match first.rsplit_once('-') {
        Some((name, version)) if version.starts_with(|c: char| c.is_ascii_digit() || c == 'v') => (name, Some(version)),
        _ => (first, None),
    };
    let mut report = Report::of("SPDX", tool);
    report.tool_version = version.map(str::to_owned);
    report.format_version =
        text(document, &["spdxVersion"]).map(|version| version.trim_start_matches("SPDX-").to_owned());
    report.observed_us = instant(document, &["creationInfo", "created"]);
    let mut bom = Bom {
        serial_number: owned(document, &["documentNamespace"]),
        name: owned(document, &["name"]),
        created_us: report.observed_us,
        tools: tools.clone(),
        authors: [by("Person:"), by("Organization:")].concat(),
        data_licence: asserted(document, &["dataLicense"]),
        ..Bom::default()
    };
    let described = described(document);
    for (i, item) in items(document, &["packages"]).iter().enumerate() {
        match package(item, &described) {
            Ok(package) => bom.components.push(package),
            Err(reason) => report.refuse(reason, format!("packages[{i}]"), item),
        }
    }
    for (i, item) in items(document, &["files"]).iter().enumerate() {
        match file(item) {
            Ok(file) => bom.components.push(file),
            Err(reason) => report.refuse(reason, format!("files[{i}]"), item),
        }
    }
    relationships(document, &mut bom);
    let subject = bom.components.iter().find(|component| component.is_subject).cloned();
    report.target =
        subject.as_ref().map(|subject| subject.name.clone()).or_else(|| bom.name.clone()).unwrap_or_default();
    // A document about nothing in particular is about itself.
    bom.subject = subject.unwrap_or_else(|| Component { name: report.target.clone(), ..Component::default() });
    report.target_kind = Some(bom.subject.kind.clone()).filter(|kind| !kind.is_empty());
    report.bom = Some(bom);
    Ok(report)
}

/// Packages that the document is about.
fn described(document: &Value) -> HashSet<String> {
    let mut found: HashSet<String> = texts(document, &["documentDescribes"]).into_iter().collect();
    for relation in items(document, &["relationships"]) {
        let kind = text(relation, &["relationshipType"]).unwrap_or_default();
        let (from, to) = (owned(relation, &["spdxElementId"]), owned(relation, &["relatedSpdxElement"]));
        match kind {
            "DESCRIBES" => found.extend(to),
            "DESCRIBED_BY" => found.extend(from),
            _ => {}
        }
    }
    found
}

fn package(item: &Value, described: &HashSet<String>) -> Result<Component, Reason> {
    let name = owned(item, &["name"]).ok_or("a package has no name")?;
    let reference = owned(item, &["SPDXID"]);
    let outside = |kinds: &[&str]| {
        let of = |one: &&Value| text(one, &["referenceType"]).is_some_and(|kind| kinds.contains(&kind));
        items(item, &["externalRefs"]).iter().find(of).and_then(|one| owned(one, &["referenceLocator"]))
    };
    let who = |member: &str| {
        asserted(item, &[member]).map(|who| match who.split_once(':') {
            Some(("Organization" | "Person" | "Tool", name)) => name.trim().to_owned(),
            _ => who,
        })
    };
    let purpose = text(item, &["primaryPackagePurpose"]).unwrap_or("LIBRARY");
    Ok(Component {
        is_subject: reference.as_ref().is_some_and(|reference| described.contains(reference)),
        reference,
        parent: None,
        kind: purpose.to_lowercase().replace('_', "-"),
        group: None,
        name,
        version: asserted(item, &["versionInfo"]),
        purl: outside(&["purl"]),
        cpe: outside(&["cpe23Type", "cpe22Type"]),
        licences: asserted(item, &["licenseDeclared"]),
        licence_concluded: asserted(item, &["licenseConcluded"]),
        hashes: hashes(items(item, &["checksums"]), "algorithm", "checksumValue"),
        supplier: who("supplier"),
        publisher: who("originator"),
        scope: None,
        description: asserted(item, &["summary"]).or_else(|| asserted(item, &["description"])),
        copyright: asserted(item, &["copyrightText"]),
    })
}

fn file(item: &Value) -> Result<Component, Reason> {
    let in_file: Vec<String> = texts(item, &["licenseInfoInFiles"]);
    let in_file = in_file.into_iter().filter(|licence| !NOTHING.contains(&licence.as_str())).collect();
    Ok(Component {
        reference: owned(item, &["SPDXID"]),
        kind: "file".to_owned(),
        name: owned(item, &["fileName"]).ok_or("a file has no name")?,
        licences: super::cyclonedx::joined(in_file),
        licence_concluded: asserted(item, &["licenseConcluded"]),
        hashes: hashes(items(item, &["checksums"]), "algorithm", "checksumValue"),
        copyright: asserted(item, &["copyrightText"]),
        ..Component::default()
    })
}

/// Relations read the same way round: who needs or holds, then what.
fn relationships(document: &Value, bom: &mut Bom) {
    for relation in items(document, &["relationships"]) {
        let kind = text(relation, &["relationshipType"]).unwrap_or_default();
        let (from, to) = (owned(relation, &["spdxElementId"]), owned(relation, &["relatedSpdxElement"]));
        let Some((from, to)) = from.zip(to).filter(|(_, to)| !NOTHING.contains(&to.as_str())) else { continue };
        let (from, to, relation) = turned(from, to, kind);
        bom.dependencies.push((from, to, relation));
    }
    let files: Vec<(String, String)> = items(document, &["packages"])
        .iter()
        .filter_map(|package| Some((owned(package, &["SPDXID"])?, texts(package, &["hasFiles"]))))
        .flat_map(|(package, files)| files.into_iter().map(move |file| (package.clone(), file)))
        .collect();
    bom.dependencies.extend(files.into_iter().map(|(package, file)| (package, file, "contains".to_owned())));
    bom.dependencies.sort();
    bom.dependencies.dedup();
}

/// A relation with its verb in the active form; `DEV_DEPENDENCY_OF` and its like are the reverse of `DEPENDS_ON`.
fn turned(from: String, to: String, kind: &str) -> (String, String, String) {
    match kind {
        "CONTAINED_BY" => (to, from, "contains".to_owned()),
        "DESCRIBED_BY" => (to, from, "describes".to_owned()),
        "DEPENDENCY_OF" | "RUNTIME_DEPENDENCY_OF" | "PREREQUISITE_FOR" => (to, from, "depends_on".to_owned()),
        other => match other.strip_suffix("_DEPENDENCY_OF") {
            Some(scope) => (to, from, format!("{}_depends_on", scope.to_lowercase())),
            None => (from, to, other.to_lowercase()),
        },
    }
}
