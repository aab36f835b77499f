//! grype's and syft's JSON: matches of vulnerabilities with artefacts; artefacts alone.

use std::collections::HashSet;

use serde_json::Value;

use super::bom::{Bom, Component};
use super::cyclonedx::joined;
use super::finding::{Finding, collapse};
use super::lenient::{float, instant, items, owned, scalar, text, texts};
use super::report::Report;
use super::severity::{Rating, Severity};
use super::vex;
use crate::json::{Reason, at};

/// Whether a document is grype's.
pub fn is(document: &Value) -> bool {
    let matches = document.get("matches").is_some_and(|matches| matches.is_array() || matches.is_null());
    let named = text(document, &["descriptor", "name"]) == Some("grype");
    let shaped = items(document, &["matches"]).iter().all(|found| found.get("vulnerability").is_some());
    matches && (named || (shaped && !items(document, &["matches"]).is_empty()))
}

/// Whether a document is syft's own JSON.
pub fn is_syft(document: &Value) -> bool {
    let named = text(document, &["descriptor", "name"]) == Some("syft");
    let schema = text(document, &["schema", "url"]).is_some_and(|url| url.contains("syft"));
    document.get("artifacts").is_some_and(Value::is_array) && (named || schema)
}

fn head(format: &'static str, document: &Value) -> Report {
    let mut report = Report::of(format, format);
    report.tool_version = owned(document, &["descriptor", "version"]);
    report.observed_us = instant(document, &["descriptor", "timestamp"]);
    let source = document.get("source").unwrap_or(&Value::Null);
    // grype writes the target as an object or, for a folder, as its path; syft calls it metadata.
    let target = ["target", "metadata"].iter().find_map(|name| source.get(name)).unwrap_or(&Value::Null);
    let named = owned(target, &["userInput"]).or_else(|| owned(target, &["path"])).or_else(|| owned(target, &[]));
    let named = named.or_else(|| owned(source, &["name"])).filter(|target| target != "unknown");
    report.target = named.unwrap_or_default();
    report.target_kind = owned(source, &["type"]);
    report
}

/// Reads grype's report.
pub fn read(document: &Value) -> Result<Report, Reason> {
    let mut report = head("grype", document);
    let mut found = Vec::new();
    let (mut components, mut seen): (Vec<Component>, HashSet<_>) = (Vec::new(), HashSet::new());
    for (section, suppressed) in [("matches", false), ("ignoredMatches", true)] {
        for (i, record) in items(document, &[section]).iter().enumerate() {
            match read_match(record, suppressed) {
                Ok(finding) => {
                    let key = (finding.rule_id.clone(), finding.component.clone(), finding.version.clone(), suppressed);
                    found.push((key, finding));
                }
                Err(reason) => report.refuse(reason, format!("{section}[{i}]"), record),
            }
            if let Ok(component) = artefact(record.get("artifact").unwrap_or(&Value::Null)) {
                let key = (component.reference.clone(), component.name.clone(), component.version.clone());
                components.extend(seen.insert(key).then_some(component));
            }
        }
    }
    // One package in several places is one finding, as often as it was matched.
    report.findings = collapse(found);
    let subject = Component { name: report.target.clone(), ..Component::default() };
    let bom = Bom { subject, partial: true, components, tools: vec!["grype".to_owned()], ..Bom::default() };
    report.bom = (!bom.components.is_empty()).then_some(bom);
    Ok(report)
}

fn read_match(record: &Value, suppressed: bool) -> Result<Finding, Reason> {
    let found = record.get("vulnerability").unwrap_or(&Value::Null);
    let artefact = record.get("artifact").unwrap_or(&Value::Null);
    let mut finding = Finding::of("vulnerability", owned(found, &["id"]), "vulnerability.id")?;
    finding.component = Some(owned(artefact, &["name"]).ok_or("artifact.name is missing")?);
    finding.version = scalar(artefact, &["version"]);
    finding.purl = owned(artefact, &["purl"]);
    let related = items(record, &["relatedVulnerabilities"]);
    finding.aliases =
        related.iter().filter_map(|other| owned(other, &["id"])).filter(|id| *id != finding.rule_id).collect();
    let words = std::iter::once(found).chain(related).filter_map(|one| text(one, &["severity"]));
    finding.severity = Severity::of(words.into_iter().next());
    let ratings = std::iter::once(found).chain(related).flat_map(|one| items(one, &["cvss"]));
    let rating = |one: &Value| Rating::of(text(one, &["vector"]), float(one, &["metrics", "baseScore"]));
    finding.rating = ratings.map(rating).fold(None, Rating::better);
    let described = std::iter::once(found).chain(related).find_map(|one| owned(one, &["description"]));
    finding.description = described;
    finding.url = owned(found, &["dataSource"]);
    let fixed = texts(found, &["fix", "versions"]).join(", ");
    finding.fixed_version =
        Some(fixed).filter(|versions| !versions.is_empty()).or_else(|| owned(found, &["fixedInVersion"]));
    if finding.fixed_version.is_none() {
        finding.remediation = owned(found, &["fix", "state"]).filter(|state| state != "unknown");
    }
    finding.epss = items(found, &["epss"]).iter().find_map(|epss| float(epss, &["epss"]));
    finding.known_exploited = found.get("knownExploited").map(|_| !items(found, &["knownExploited"]).is_empty());
    finding.file = items(artefact, &["locations"]).iter().find_map(|location| owned(location, &["path"]));
    finding.cwes = items(found, &["cwes"]).iter().filter_map(|cwe| owned(cwe, &["cwe"])).collect();
    finding.title = Some(format!("{} in {}", finding.rule_id, finding.component.clone().unwrap_or_default()));
    if suppressed {
        let rules = items(record, &["appliedIgnoreRules"]);
        let status = rules.iter().find_map(|rule| text(rule, &["vex-status"])).and_then(vex::status);
        finding.vex_status = status;
        finding.vex_justification = rules.iter().find_map(|rule| owned(rule, &["vex-justification"]));
        finding.state = Some(if status == Some("fixed") { "fixed" } else { "suppressed" });
        finding.suppression = rules.iter().find_map(|rule| owned(rule, &["reason"])).or(Some("ignore rule".to_owned()));
    }
    Ok(finding)
}

/// Reads syft's JSON.
pub fn read_syft(document: &Value) -> Result<Report, Reason> {
    let mut report = head("syft", document);
    report.format_version = owned(document, &["schema", "version"]);
    let mut bom =
        Bom { tools: vec!["syft".to_owned()], serial_number: owned(document, &["source", "id"]), ..Bom::default() };
    for (i, record) in items(document, &["artifacts"]).iter().enumerate() {
        match artefact(record) {
            Ok(component) => bom.components.push(component),
            Err(reason) => report.refuse(reason, format!("artifacts[{i}]"), record),
        }
    }
    for relation in items(document, &["artifactRelationships"]) {
        let (parent, child) = (owned(relation, &["parent"]), owned(relation, &["child"]));
        let Some((parent, child)) = parent.zip(child) else { continue };
        match text(relation, &["type"]) {
            // syft writes that the parent is needed by the child.
            Some("dependency-of") => bom.dependencies.push((child, parent, "depends_on".to_owned())),
            other => bom.dependencies.push((parent, child, other.unwrap_or("relates_to").replace('-', "_"))),
        }
    }
    bom.dependencies.sort();
    bom.dependencies.dedup();
    bom.subject = Component {
        name: report.target.clone(),
        version: owned(document, &["source", "version"]),
        kind: report.target_kind.clone().unwrap_or_default(),
        ..Component::default()
    };
    report.bom = Some(bom);
    Ok(report)
}

fn artefact(record: &Value) -> Result<Component, Reason> {
    // Licences were texts before they became objects.
    let licence = |one: &Value| {
        one.as_str().map(str::to_owned).or_else(|| owned(one, &["spdxExpression"])).or_else(|| owned(one, &["value"]))
    };
    let cpe = |one: &Value| one.as_str().map(str::to_owned).or_else(|| owned(one, &["cpe"]));
    Ok(Component {
        reference: owned(record, &["id"]),
        kind: text(record, &["type"])
            .map_or("library", |kind| if kind == "file" { "file" } else { "library" })
            .to_owned(),
        name: owned(record, &["name"]).ok_or("an artefact has no name")?,
        version: scalar(record, &["version"]),
        purl: owned(record, &["purl"]),
        cpe: items(record, &["cpes"]).iter().find_map(cpe),
        licences: joined(
            items(record, &["licenses"]).iter().filter_map(licence).filter(|one| !one.is_empty()).collect(),
        ),
        publisher: at(record, &["metadata"])
            .and_then(|metadata| owned(metadata, &["maintainer"]).or_else(|| owned(metadata, &["vendor"]))),
        ..Component::default()
    })
}
