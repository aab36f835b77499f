//! Forms in which findings are handed on: DefectDojo's generic findings, AWS's ASFF, GitHub's dependency snapshot, Anchore's
//! engine.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::advisory;
use super::bom::{Bom, Component};
use super::finding::Finding;
use super::lenient::{float, instant, int, items, owned, scalar, text, texts};
use super::report::{Refused, Report};
use super::severity::{Rating, Severity};
use crate::json::Reason;

/// Whether a document is DefectDojo's generic list.
pub fn is_generic(document: &Value) -> bool {
    let records = document.get("findings").and_then(Value::as_array);
    records.is_some_and(|records| records.iter().all(|record| record.get("title").is_some()))
}

/// Reads DefectDojo's generic findings.
pub fn read_generic(document: &Value) -> Result<Report, Reason> {
    let tool = text(document, &["type"]).or_else(|| text(document, &["name"])).unwrap_or("generic");
    let mut report = Report::of("DefectDojo generic", tool);
    report.tool_version = owned(document, &["version"]);
    for (i, record) in items(document, &["findings"]).iter().enumerate() {
        report.take(generic(record).map(Some), || format!("findings[{i}]"), record);
    }
    Ok(report)
}

fn generic(record: &Value) -> Result<Finding, Reason> {
    let title = owned(record, &["title"]).ok_or("title is missing")?;
    let mut ids = texts(record, &["vulnerability_ids"]);
    ids.extend(owned(record, &["cve"]));
    let rule = owned(record, &["vuln_id_from_tool"])
        .or_else(|| ids.first().cloned())
        .or_else(|| owned(record, &["unique_id_from_tool"]));
    let kind = if ids.iter().any(|id| !advisory::named_in(id).is_empty()) { "vulnerability" } else { "code" };
    let mut finding = Finding::of(kind, rule.or_else(|| Some(title.clone())), "title")?;
    finding.aliases = ids.into_iter().filter(|id| *id != finding.rule_id).collect();
    finding.title = Some(title);
    finding.severity = Severity::of(text(record, &["severity"]));
    finding.description = owned(record, &["description"]);
    finding.remediation = owned(record, &["mitigation"]);
    finding.url = owned(record, &["references"]);
    finding.cwes = int(record, &["cwe"]).filter(|cwe| *cwe > 0).map(|cwe| format!("CWE-{cwe}")).into_iter().collect();
    finding.rating = Rating::of(text(record, &["cvssv3"]), float(record, &["cvssv3_score"]));
    finding.epss = float(record, &["epss_score"]);
    finding.component = owned(record, &["component_name"]);
    finding.version = scalar(record, &["component_version"]);
    finding.file = owned(record, &["file_path"]);
    finding.line = int(record, &["line"]);
    finding.resource = owned(record, &["service"]);
    finding.first_seen_us = instant(record, &["date"]);
    finding.own_fingerprint = owned(record, &["unique_id_from_tool"]);
    let truth = |member: &str| record.get(member).and_then(Value::as_bool);
    finding.state = match (truth("active"), truth("false_p"), truth("is_mitigated")) {
        (_, Some(true), _) => Some("suppressed"),
        (_, _, Some(true)) => Some("fixed"),
        (Some(false), _, _) => Some("suppressed"),
        _ => None,
    };
    Ok(finding)
}

/// Whether a text begins with the head of the generic CSV.
pub fn is_generic_csv(text: &str) -> bool {
    let head = text.lines().next().unwrap_or_default();
    head.contains("Title") && head.contains("Severity") && head.contains(',')
}

/// Reads the generic CSV by the names of its columns.
pub fn read_generic_csv(body: &str) -> Result<Report, Reason> {
    const NAMES: &[(&str, &str)] = &[
        ("Title", "title"),
        ("Severity", "severity"),
        ("Description", "description"),
        ("Mitigation", "mitigation"),
        ("References", "references"),
        ("CweId", "cwe"),
        ("CVE", "cve"),
        ("Date", "date"),
        ("ComponentName", "component_name"),
        ("ComponentVersion", "component_version"),
        ("CVSSV3", "cvssv3"),
        ("FilePath", "file_path"),
        ("Line", "line"),
        ("Active", "active"),
        ("FalsePositive", "false_p"),
    ];
    let mut report = Report::of("DefectDojo generic", "generic");
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(body.as_bytes());
    let head = reader.headers().map_err(|e| format!("no CSV: {e}"))?.clone();
    for (i, record) in reader.records().enumerate() {
        let place = format!("record {}", i + 1);
        let record = match record {
            Ok(record) => record,
            Err(e) => {
                report.refused.push(Refused { reason: format!("no CSV: {e}"), place, body: String::new() });
                continue;
            }
        };
        let cells: HashMap<&str, &str> = head.iter().zip(record.iter()).collect();
        let value = |cell: &str| match cell.to_ascii_lowercase().as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::String(cell.to_owned()),
        };
        let member = |(column, name): &(&str, &str)| Some(((*name).to_owned(), value(cells.get(column)?)));
        let record = Value::Object(NAMES.iter().filter_map(member).collect::<Map<String, Value>>());
        report.take(generic(&record).map(Some), || place, &record);
    }
    Ok(report)
}

/// Whether a value is a finding in AWS's format.
pub fn is_asff(record: &Value) -> bool {
    record.get("AwsAccountId").is_some() && record.get("GeneratorId").is_some()
}

/// Reads a list in AWS's format.
pub fn read_asff(list: &[Value]) -> Result<Report, Reason> {
    let product = list
        .first()
        .and_then(|first| owned(first, &["ProductFields", "Product Name"]).or_else(|| owned(first, &["ProductName"])));
    let mut report = Report::of("ASFF", product.as_deref().unwrap_or("security-hub"));
    report.observed_us = list.iter().filter_map(|record| instant(record, &["UpdatedAt"])).max();
    let resource = list.first().and_then(|first| items(first, &["Resources"]).iter().find_map(|r| owned(r, &["Id"])));
    // trivy writes the system behind an image's name.
    report.target = resource.map(|id| id.split(" (").next().unwrap_or(&id).to_owned()).unwrap_or_default();
    for (i, record) in list.iter().enumerate() {
        report.take(asff(record).map(Some), || format!("[{i}]"), record);
    }
    Ok(report)
}

fn asff(record: &Value) -> Result<Finding, Reason> {
    let resource = items(record, &["Resources"]).first().unwrap_or(&Value::Null);
    let other = |name: &str| owned(resource, &["Details", "Other", name]);
    let listed = items(record, &["Vulnerabilities"]).first().unwrap_or(&Value::Null);
    let advised = owned(listed, &["Id"]).or_else(|| other("CVE ID"));
    let kind = if advised.is_some() { "vulnerability" } else { "misconfiguration" };
    let mut finding = Finding::of(kind, advised.or_else(|| owned(record, &["GeneratorId"])), "GeneratorId")?;
    finding.severity = Severity::of(text(record, &["Severity", "Label"]));
    finding.title = owned(record, &["Title"]);
    finding.description = owned(record, &["Description"]);
    finding.remediation = owned(record, &["Remediation", "Recommendation", "Text"]);
    finding.url = owned(record, &["Remediation", "Recommendation", "Url"]);
    finding.resource = owned(resource, &["Id"]);
    let package = items(listed, &["VulnerablePackages"]).first().unwrap_or(&Value::Null);
    finding.component = other("PkgName").or_else(|| owned(package, &["Name"]));
    finding.version = other("Installed Package").or_else(|| owned(package, &["Version"]));
    finding.fixed_version = other("Patched Package").or_else(|| owned(package, &["FixedInVersion"]));
    let score = other("NvdCvssScoreV3").and_then(|score| score.parse().ok());
    finding.rating = Rating::of(other("NvdCvssVectorV3").as_deref(), score);
    finding.first_seen_us = instant(record, &["FirstObservedAt"]);
    if text(record, &["RecordState"]) == Some("ARCHIVED") || text(record, &["Workflow", "Status"]) == Some("RESOLVED") {
        finding.state = Some("fixed");
    } else if text(record, &["Workflow", "Status"]) == Some("SUPPRESSED") {
        finding.state = Some("suppressed");
    }
    Ok(finding)
}

/// Whether a document is GitHub's dependency snapshot.
pub fn is_snapshot(document: &Value) -> bool {
    document.get("detector").is_some() && document.get("manifests").is_some_and(Value::is_object)
}

/// Reads a dependency snapshot.
pub fn read_snapshot(document: &Value) -> Result<Report, Reason> {
    let mut report = Report::of("GitHub snapshot", text(document, &["detector", "name"]).unwrap_or("github"));
    report.tool_version = owned(document, &["detector", "version"]);
    report.format_version = scalar(document, &["version"]);
    report.observed_us = instant(document, &["scanned"]);
    report.target = text(document, &["job", "correlator"]).unwrap_or_default().to_owned();
    let mut bom = Bom { document_version: owned(document, &["sha"]), created_us: report.observed_us, ..Bom::default() };
    bom.subject = Component { name: report.target.clone(), version: owned(document, &["sha"]), ..Component::default() };
    for (file, manifest) in document.get("manifests").and_then(Value::as_object).into_iter().flatten() {
        for (name, resolved) in manifest.get("resolved").and_then(Value::as_object).into_iter().flatten() {
            let purl = owned(resolved, &["package_url"]);
            let read = purl.as_deref().and_then(super::purl::Purl::read);
            bom.dependencies.extend(
                texts(resolved, &["dependencies"]).into_iter().map(|to| (name.clone(), to, "depends_on".to_owned())),
            );
            bom.components.push(Component {
                reference: Some(name.clone()),
                parent: Some(file.clone()),
                kind: "library".to_owned(),
                name: read.as_ref().map_or_else(|| name.clone(), |purl| purl.plain_name()),
                version: read.and_then(|purl| purl.version),
                scope: owned(resolved, &["scope"]),
                purl,
                ..Component::default()
            });
        }
    }
    report.bom = Some(bom);
    Ok(report)
}

/// Whether a document is of Anchore's engine or enterprise.
pub fn is_anchore(document: &Value) -> bool {
    let records = items(document, &["vulnerabilities"]);
    let shaped = records.iter().all(|record| record.get("vuln").is_some() && record.get("package").is_some());
    let named = ["imageDigest", "image_digest"].iter().any(|name| document.get(name).is_some());
    document.get("vulnerabilities").is_some_and(Value::is_array) && shaped && (named || !records.is_empty())
}

/// Reads Anchore's list.
pub fn read_anchore(document: &Value) -> Result<Report, Reason> {
    let mut report = Report::of("anchore", "anchore");
    let digest = owned(document, &["imageDigest"]).or_else(|| owned(document, &["image_digest"]));
    report.target = digest.unwrap_or_default();
    report.target_kind = Some("container_image".to_owned());
    for (i, record) in items(document, &["vulnerabilities"]).iter().enumerate() {
        report.take(anchore(record).map(Some), || format!("vulnerabilities[{i}]"), record);
    }
    Ok(report)
}

fn anchore(record: &Value) -> Result<Finding, Reason> {
    let mut finding = Finding::of("vulnerability", owned(record, &["vuln"]), "vuln")?;
    let known = |member: &str| owned(record, &[member]).filter(|word| word != "None");
    let name = known("package_name").or_else(|| known("packageName"));
    finding.component = name.or_else(|| known("package"));
    finding.version = known("package_version").or_else(|| known("packageVersion"));
    finding.fixed_version = known("fix");
    finding.severity = Severity::of(text(record, &["severity"]));
    finding.file = known("package_path").or_else(|| known("packagePath")).filter(|path| path != "pkgdb");
    finding.url = known("url");
    finding.aliases = items(record, &["nvd_data"])
        .iter()
        .filter_map(|nvd| owned(nvd, &["id"]))
        .filter(|id| *id != finding.rule_id)
        .collect();
    let scores = items(record, &["nvd_data"]).iter().filter_map(|nvd| float(nvd, &["cvss_v3", "base_score"]));
    finding.rating =
        Rating::of(None, scores.fold(None, |best: Option<f64>, score| Some(best.map_or(score, |b| b.max(score)))));
    finding.title = Some(format!("{} in {}", finding.rule_id, finding.component.clone().unwrap_or_default()));
    Ok(finding)
}
