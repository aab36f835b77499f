//! CycloneDX 1.2 to 1.6 (and what later versions keep): components at any depth, services, dependencies, vulnerabilities
//! with ratings and analysis.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::advisory;
use super::bom::{Bom, Component};
use super::finding::Finding;
use super::lenient::{instant, int, items, owned, scalar, text, texts};
use super::report::Report;
use super::severity::{Rating, Severity};
use super::vex::{self, Statement};
use crate::json::{Reason, at};

mod xml;

pub use xml::document_of;

/// Components within components that are followed.
const DEPTH_MAX: usize = 64;

/// Reads one document.
pub fn read(document: &Value) -> Result<Report, Reason> {
    let tools = tools(document);
    let first = tools.first().map_or("cyclonedx", String::as_str);
    let mut report = Report::of("CycloneDX", first.split('@').next().unwrap_or(first));
    report.format_version = owned(document, &["specVersion"]);
    report.tool_version = first.split_once('@').map(|(_, version)| version.to_owned());
    report.observed_us = instant(document, &["metadata", "timestamp"]);
    // A document that lists no vulnerabilities does not say that there are none.
    let looked = document.get("vulnerabilities").is_some();
    report.category = if looked { String::new() } else { "components".to_owned() };
    let mut bom = Bom {
        serial_number: owned(document, &["serialNumber"]),
        document_version: scalar(document, &["version"]),
        created_us: report.observed_us,
        tools,
        authors: items(document, &["metadata", "authors"])
            .iter()
            .filter_map(|author| owned(author, &["name"]))
            .collect(),
        data_licence: licences(document.get("metadata").unwrap_or(&Value::Null)),
        ..Bom::default()
    };
    if let Some(subject) = at(document, &["metadata", "component"]) {
        bom.subject = component(subject, None).unwrap_or_default();
        // What the subject is made of may stand inside it.
        let reference = bom.subject.reference.clone();
        walk(items(subject, &["components"]), reference.as_deref(), 0, &mut bom, &mut report);
        report.target = target(&bom.subject);
        report.target_kind = Some(bom.subject.kind.clone()).filter(|kind| !kind.is_empty());
    }
    walk(items(document, &["components"]), None, 0, &mut bom, &mut report);
    services(items(document, &["services"]), None, 0, &mut bom, &mut report);
    dependencies(document, &mut bom);
    vulnerabilities(document, &bom, &mut report);
    // A VEX or VDR without components is no bill of materials.
    let empty = bom.components.is_empty() && bom.dependencies.is_empty();
    report.bom = (!empty || report.findings.is_empty()).then_some(bom);
    Ok(report)
}

/// What a subject is called as a scan's target.
fn target(subject: &Component) -> String {
    let name = subject.group.as_ref().map_or_else(|| subject.name.clone(), |group| format!("{group}/{}", subject.name));
    match &subject.version {
        // An image's name holds its tag or digest already.
        Some(version) if subject.kind != "container" => format!("{name}@{version}"),
        _ => name,
    }
}

/// Tools as `name@version`; 1.5 moved them below `components` and `services`.
fn tools(document: &Value) -> Vec<String> {
    let listed = items(document, &["metadata", "tools"]).iter();
    let newer = ["components", "services"].iter().flat_map(|kind| items(document, &["metadata", "tools", kind]));
    let name = |tool: &Value| {
        let name = owned(tool, &["name"])?;
        Some(text(tool, &["version"]).map_or_else(|| name.clone(), |version| format!("{name}@{version}")))
    };
    listed.chain(newer).filter_map(name).collect()
}

fn walk(list: &[Value], parent: Option<&str>, depth: usize, bom: &mut Bom, report: &mut Report) {
    for (i, item) in list.iter().enumerate() {
        match component(item, parent) {
            Ok(read) => {
                let reference = read.reference.clone();
                bom.components.push(read);
                if depth < DEPTH_MAX {
                    walk(items(item, &["components"]), reference.as_deref(), depth + 1, bom, report);
                }
            }
            Err(reason) => {
                report.refuse(reason, format!("components[{i}] of {}", parent.unwrap_or("the document")), item)
            }
        }
    }
}

fn component(item: &Value, parent: Option<&str>) -> Result<Component, Reason> {
    let name = owned(item, &["name"]).ok_or("a component has no name")?;
    let supplier = owned(item, &["supplier", "name"]).or_else(|| owned(item, &["manufacturer", "name"]));
    let publisher = owned(item, &["publisher"]).or_else(|| owned(item, &["author"]));
    let authors = || items(item, &["authors"]).iter().find_map(|author| owned(author, &["name"]));
    Ok(Component {
        reference: owned(item, &["bom-ref"]),
        parent: parent.map(str::to_owned),
        kind: text(item, &["type"]).unwrap_or("library").to_owned(),
        group: owned(item, &["group"]),
        name,
        version: scalar(item, &["version"]),
        purl: owned(item, &["purl"]),
        cpe: owned(item, &["cpe"]),
        licences: licences(item),
        licence_concluded: None,
        hashes: hashes(items(item, &["hashes"]), "alg", "content"),
        supplier,
        publisher: publisher.or_else(authors),
        scope: owned(item, &["scope"]),
        is_subject: false,
        description: owned(item, &["description"]),
        copyright: owned(item, &["copyright"]),
    })
}

/// A list of hashes as one JSON object.
pub fn hashes(list: &[Value], algorithm: &str, content: &str) -> Option<String> {
    let pair = |hash: &Value| Some((owned(hash, &[algorithm])?, Value::String(owned(hash, &[content])?)));
    let found: Map<String, Value> = list.iter().filter_map(pair).collect();
    (!found.is_empty()).then(|| Value::Object(found).to_string())
}

/// Licences as one SPDX expression: ids, names and expressions, joined by AND.
fn licences(item: &Value) -> Option<String> {
    let one = |choice: &Value| {
        let expression = owned(choice, &["expression"]);
        expression.or_else(|| owned(choice, &["license", "id"])).or_else(|| owned(choice, &["license", "name"]))
    };
    joined(items(item, &["licenses"]).iter().filter_map(one).collect())
}

/// Several licences are all of them; a choice among them keeps its brackets.
pub fn joined(mut licences: Vec<String>) -> Option<String> {
    licences.dedup();
    match licences.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => {
            let bracket = |one: &String| if one.contains(" OR ") { format!("({one})") } else { one.clone() };
            Some(many.iter().map(bracket).collect::<Vec<_>>().join(" AND "))
        }
    }
}

fn services(list: &[Value], parent: Option<&str>, depth: usize, bom: &mut Bom, report: &mut Report) {
    for (i, item) in list.iter().enumerate() {
        let read = component(item, parent).map(|service| Component {
            kind: "service".to_owned(),
            supplier: owned(item, &["provider", "name"]).or(service.supplier.clone()),
            ..service
        });
        match read {
            Ok(service) => {
                let reference = service.reference.clone();
                bom.components.push(service);
                if depth < DEPTH_MAX {
                    services(items(item, &["services"]), reference.as_deref(), depth + 1, bom, report);
                }
            }
            Err(reason) => report.refuse(reason, format!("services[{i}]"), item),
        }
    }
}

fn dependencies(document: &Value, bom: &mut Bom) {
    for entry in items(document, &["dependencies"]) {
        let Some(from) = owned(entry, &["ref"]) else { continue };
        for (member, relation) in [("dependsOn", "depends_on"), ("provides", "provides")] {
            let listed = texts(entry, &[member]).into_iter();
            bom.dependencies.extend(listed.map(|to| (from.clone(), to, relation.to_owned())));
        }
        // Tools wrote 1.2's XML form into JSON: dependencies within dependencies.
        let nested = items(entry, &["dependencies"]).iter().filter_map(|to| owned(to, &["ref"]));
        bom.dependencies.extend(nested.map(|to| (from.clone(), to, "depends_on".to_owned())));
    }
    bom.dependencies.sort();
    bom.dependencies.dedup();
}

/// A finding for each component that a vulnerability affects.
fn vulnerabilities(document: &Value, bom: &Bom, report: &mut Report) {
    let subject = std::iter::once(&bom.subject).filter(|subject| !subject.name.is_empty());
    let known: HashMap<&str, &Component> =
        bom.components.iter().chain(subject).filter_map(|c| Some((c.reference.as_deref()?, c))).collect();
    for (i, item) in items(document, &["vulnerabilities"]).iter().enumerate() {
        let affected = items(item, &["affects"]);
        let affected: Vec<Option<&Value>> =
            if affected.is_empty() { vec![None] } else { affected.iter().map(Some).collect() };
        for affect in affected {
            let reference = affect.and_then(|affect| text(affect, &["ref"]));
            let place = || format!("vulnerabilities[{i}]");
            match finding(item, reference.and_then(|reference| known.get(reference).copied()), reference) {
                Ok(finding) => {
                    report.statements.extend(statement(document, item, reference, &finding));
                    report.findings.push(finding);
                }
                Err(reason) => report.refuse(reason, place(), item),
            }
        }
    }
}

fn finding(item: &Value, component: Option<&Component>, reference: Option<&str>) -> Result<Finding, Reason> {
    // A vulnerability that nobody numbered yet has a reference, at least.
    let id = owned(item, &["id"]).or_else(|| owned(item, &["bom-ref"]));
    let mut finding = Finding::of("vulnerability", id, "id")?;
    let ratings = items(item, &["ratings"]);
    finding.rating =
        ratings.iter().map(|rating| Rating::of(text(rating, &["vector"]), score(rating))).fold(None, Rating::better);
    // The word that stands first is the author's; without any, the best score decides.
    let word = ratings.iter().find_map(|rating| text(rating, &["severity"]));
    finding.severity = Severity::of(word);
    finding.aliases = items(item, &["references"]).iter().filter_map(|other| owned(other, &["id"])).collect();
    finding.cwes = items(item, &["cwes"]).iter().filter_map(Value::as_i64).map(|cwe| format!("CWE-{cwe}")).collect();
    finding.description = match (text(item, &["description"]), text(item, &["detail"])) {
        (Some(description), Some(detail)) => Some(format!("{description}\n{detail}")),
        (one, other) => one.or(other).map(str::to_owned),
    };
    finding.remediation = owned(item, &["recommendation"]).or_else(|| owned(item, &["workaround"]));
    let advisory = || items(item, &["advisories"]).iter().find_map(|advisory| owned(advisory, &["url"]));
    finding.url = owned(item, &["source", "url"]).or_else(advisory);
    match component {
        Some(component) => {
            finding.purl = component.purl.clone();
            let named = component.group.as_ref().map(|group| format!("{group}/{}", component.name));
            finding.component = Some(named.unwrap_or_else(|| component.name.clone()));
            finding.version = component.version.clone();
        }
        // The reference may be a package URL itself, or point into another document.
        None => {
            finding.purl = reference.filter(|reference| reference.starts_with("pkg:")).map(str::to_owned);
            finding.component = reference.filter(|reference| !reference.starts_with("pkg:")).map(str::to_owned);
        }
    }
    finding.title = Some(match &finding.component {
        Some(component) => format!("{} in {component}", finding.rule_id),
        None => finding.rule_id.clone(),
    });
    let status = text(item, &["analysis", "state"]).and_then(vex::status);
    finding.vex_status = status;
    finding.vex_justification = owned(item, &["analysis", "justification"]);
    finding.state = status.and_then(vex::state);
    finding.suppression = finding.state.and_then(|_| owned(item, &["analysis", "detail"]));
    Ok(finding)
}

fn score(rating: &Value) -> Option<f64> {
    super::lenient::float(rating, &["score"])
}

/// The analysis of a vulnerability as a statement about what it affects.
fn statement(document: &Value, item: &Value, reference: Option<&str>, finding: &Finding) -> Option<Statement> {
    let status = owned(item, &["analysis", "state"]).filter(|word| vex::status(word).is_some())?;
    let product = finding.purl.clone().or_else(|| reference.map(str::to_owned))?;
    let ids = [vec![finding.rule_id.clone()], finding.aliases.clone()].concat();
    Some(Statement {
        document_id: owned(document, &["serialNumber"]),
        author: items(document, &["metadata", "authors"]).iter().find_map(|author| owned(author, &["name"])),
        vulnerability: advisory::canonical(&finding.rule_id, &ids),
        aliases: finding.aliases.clone(),
        product,
        subcomponent: None,
        status,
        justification: finding.vex_justification.clone(),
        detail: owned(item, &["analysis", "detail"]),
        response: super::lenient::cell(&texts(item, &["analysis", "response"])),
        issued_us: instant(item, &["analysis", "lastUpdated"]).or_else(|| instant(item, &["updated"])),
    })
}

/// Whether a document is of this format, also where a tool forgot to say so.
pub fn is(document: &Value) -> bool {
    let named = text(document, &["bomFormat"]).is_some_and(|format| format.eq_ignore_ascii_case("cyclonedx"));
    let schema = text(document, &["$schema"]).is_some_and(|schema| schema.contains("cyclonedx"));
    let shaped = text(document, &["specVersion"]).is_some_and(|version| version.starts_with("1."));
    named || schema || (shaped && int(document, &["version"]).is_some())
}
