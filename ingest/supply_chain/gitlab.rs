//! GitLab's security reports (container, dependency, static analysis, secrets) and its code quality list.

use serde_json::Value;

use super::advisory;
use super::finding::Finding;
use super::lenient::{instant, int, items, owned, text};
use super::report::Report;
use super::severity::{Rating, Severity};
use crate::json::{Reason, at};

/// Whether a document is a security report.
pub fn is(document: &Value) -> bool {
    let listed = document.get("vulnerabilities").is_some_and(Value::is_array);
    listed
        && document.get("version").is_some()
        && (document.get("scan").is_some() || document.get("remediations").is_some())
}

/// Reads a security report.
pub fn read(document: &Value) -> Result<Report, Reason> {
    let scanner = ["scanner", "analyzer"].iter().find_map(|who| text(document, &["scan", who, "id"]));
    let mut report = Report::of("GitLab", scanner.unwrap_or("gitlab"));
    report.tool_version = owned(document, &["scan", "scanner", "version"]);
    report.format_version = owned(document, &["version"]);
    report.category = owned(document, &["scan", "type"]).unwrap_or_default();
    report.observed_us = instant(document, &["scan", "end_time"]);
    let records = items(document, &["vulnerabilities"]);
    report.target = records.iter().find_map(|record| owned(record, &["location", "image"])).unwrap_or_default();
    report.target_kind = Some(if report.target.is_empty() { "repository" } else { "container_image" }.to_owned());
    for (i, record) in records.iter().enumerate() {
        let mut kept = record.clone();
        if let Some(members) = kept.as_object_mut() {
            members.remove("raw_source_code_extract");
        }
        report.take(finding(&report.category.clone(), record).map(Some), || format!("vulnerabilities[{i}]"), &kept);
    }
    Ok(report)
}

fn finding(scan: &str, record: &Value) -> Result<Finding, Reason> {
    let identifiers = items(record, &["identifiers"]);
    let values: Vec<String> = identifiers.iter().filter_map(|one| owned(one, &["value"])).collect();
    let category = text(record, &["category"]).unwrap_or(scan);
    let advised = values.iter().find(|value| !advisory::named_in(value).is_empty()).cloned();
    let kind = match category {
        "secret_detection" => "secret",
        "container_scanning" | "dependency_scanning" => "vulnerability",
        _ if advised.is_some() && at(record, &["location", "dependency"]).is_some() => "vulnerability",
        _ => "code",
    };
    let id = advised
        .filter(|_| kind == "vulnerability")
        .or_else(|| values.first().cloned())
        .or_else(|| owned(record, &["id"]));
    let mut finding = Finding::of(kind, id, "identifiers")?;
    finding.cwes = identifiers
        .iter()
        .filter_map(|one| owned(one, &["name"]))
        .flat_map(|name| advisory::weaknesses_in(&name))
        .collect();
    finding.aliases = values.into_iter().filter(|value| *value != finding.rule_id).collect();
    finding.severity = Severity::of(text(record, &["severity"]));
    finding.rating = items(record, &["cvss_vectors"])
        .iter()
        .map(|one| Rating::of(text(one, &["vector"]), None))
        .fold(None, Rating::better);
    finding.title = owned(record, &["name"]).or_else(|| owned(record, &["message"]));
    finding.description = owned(record, &["description"]);
    finding.remediation = owned(record, &["solution"]);
    finding.url = items(record, &["links"]).iter().chain(identifiers).find_map(|link| owned(link, &["url"]));
    finding.component = owned(record, &["location", "dependency", "package", "name"]);
    finding.version = owned(record, &["location", "dependency", "version"]);
    finding.file = owned(record, &["location", "file"]);
    finding.line = int(record, &["location", "start_line"]);
    finding.end_line = int(record, &["location", "end_line"]);
    finding.resource = owned(record, &["location", "kubernetes_resource", "name"]);
    Ok(finding)
}

/// Whether a record is one of a code quality list.
pub fn is_quality(record: &Value) -> bool {
    record.get("check_name").is_some() && record.get("location").is_some()
}

/// Reads a code quality list.
pub fn read_quality(list: &[Value]) -> Result<Report, Reason> {
    let mut report = Report::of("Code Climate", "code-climate");
    for (i, record) in list.iter().enumerate() {
        report.take(quality(record).map(Some), || format!("[{i}]"), record);
    }
    Ok(report)
}

fn quality(record: &Value) -> Result<Finding, Reason> {
    let description = owned(record, &["description"]).unwrap_or_default();
    let advised = advisory::named_in(&description).into_iter().next();
    let kind = if advised.is_some() { "vulnerability" } else { "code" };
    let mut finding = Finding::of(kind, advised.or_else(|| owned(record, &["check_name"])), "check_name")?;
    // trivy's template writes `CVE - package - version - title`.
    if let [_, name, version, title @ ..] = description.split(" - ").collect::<Vec<_>>().as_slice()
        && kind == "vulnerability"
    {
        finding.component = Some((*name).to_owned());
        finding.version = Some((*version).to_owned());
        finding.title = Some(title.join(" - ")).filter(|title| !title.is_empty());
    }
    finding.title = finding.title.or(Some(description));
    finding.description = owned(record, &["content"]).or_else(|| owned(record, &["content", "body"]));
    // Code Climate's scale: info, minor, major, critical, blocker.
    let word = text(record, &["severity"]);
    finding.severity = match word {
        Some("critical") => Severity { normal: Some("high"), original: Some("critical".to_owned()) },
        Some("major") => Severity { normal: Some("medium"), original: Some("major".to_owned()) },
        word => Severity::of(word),
    };
    finding.own_fingerprint = owned(record, &["fingerprint"]);
    finding.file = owned(record, &["location", "path"]);
    let line = int(record, &["location", "lines", "begin"])
        .or_else(|| int(record, &["location", "positions", "begin", "line"]));
    finding.line = line.filter(|line| *line > 0);
    Ok(finding)
}
