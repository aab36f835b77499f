//! trivy-operator's cluster objects: VulnerabilityReport, ConfigAuditReport, ExposedSecretReport, RbacAssessmentReport,
//! InfraAssessmentReport, ClusterComplianceReport and SbomReport, alone, in lists, or sorted by kind.

use serde_json::Value;

use super::cyclonedx;
use super::finding::Finding;
use super::lenient::{float, instant, int, items, owned, text, texts};
use super::report::Report;
use super::severity::{Rating, Severity};
use crate::json::{Reason, at};

const GROUP: &str = "aquasecurity.github.io";

/// Whether a value is one of the objects.
pub fn is(object: &Value) -> bool {
    text(object, &["apiVersion"]).is_some_and(|version| version.starts_with(GROUP))
}

/// The lists of a document that sorts reports by kind (`vulnerabilityreports.aquasecurity.github.io`).
pub fn sorted(document: &Value) -> Option<Vec<&Value>> {
    let members = document.as_object()?;
    let named = !members.is_empty() && members.keys().all(|name| name.ends_with(GROUP));
    named.then(|| members.values().filter_map(Value::as_array).flatten().collect())
}

/// Reads one object.
pub fn read(object: &Value) -> Result<Report, Reason> {
    let kind = text(object, &["kind"]).unwrap_or_default();
    if let Some(components) = at(object, &["report", "components"]).filter(|_| kind.ends_with("SbomReport")) {
        let mut report = cyclonedx::read(components)?;
        report.target = name(object);
        return Ok(report);
    }
    let mut report = Report::of("trivy-operator", "trivy");
    report.format_version = owned(object, &["apiVersion"]);
    report.tool_version = owned(object, &["report", "scanner", "version"]);
    report.target = name(object);
    report.target_kind = owned(object, &["metadata", "labels", "trivy-operator.resource.kind"]);
    report.category = kind.to_owned();
    let updated =
        instant(object, &["report", "updateTimestamp"]).or_else(|| instant(object, &["status", "updateTimestamp"]));
    report.observed_us = updated.or_else(|| instant(object, &["metadata", "creationTimestamp"]));
    let resource = resource(object);
    type Reader = fn(&Value) -> Result<Option<Finding>, Reason>;
    let readers: [(&str, Reader); 3] = [("vulnerabilities", vulnerability), ("checks", check), ("secrets", secret)];
    for (section, read) in readers {
        for (i, record) in items(object, &["report", section]).iter().enumerate() {
            let of_resource = |finding: Finding| Finding { resource: resource.clone(), ..finding };
            let mut kept = record.clone();
            if let Some(members) = kept.as_object_mut() {
                members.remove("match");
            }
            report.take(read(record).map(|found| found.map(of_resource)), || format!("report.{section}[{i}]"), &kept);
        }
    }
    compliance(object, &mut report);
    Ok(report)
}

/// `namespace/Kind/name` of what the report is about, with its container.
fn resource(object: &Value) -> Option<String> {
    let label = |name: &str| text(object, &["metadata", "labels", &format!("trivy-operator.{name}")]);
    let parts = ["resource.namespace", "resource.kind", "resource.name"].iter().filter_map(|part| label(part));
    let parts = parts.chain(label("container.name")).collect::<Vec<_>>();
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// The report's own name where it names no resource.
fn name(object: &Value) -> String {
    let own = || {
        let parts = [text(object, &["metadata", "namespace"]), text(object, &["metadata", "name"])];
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    };
    resource(object).unwrap_or_else(own)
}

fn vulnerability(record: &Value) -> Result<Option<Finding>, Reason> {
    let mut finding = Finding::of("vulnerability", owned(record, &["vulnerabilityID"]), "vulnerabilityID")?;
    finding.component = owned(record, &["resource"]);
    finding.version = owned(record, &["installedVersion"]);
    finding.purl = owned(record, &["packagePURL"]);
    finding.fixed_version = owned(record, &["fixedVersion"]);
    finding.severity = Severity::of(text(record, &["severity"]));
    finding.rating = Rating::of(text(record, &["cvss", "nvd", "V3Vector"]), float(record, &["score"]));
    finding.title = owned(record, &["title"]);
    finding.description = owned(record, &["description"]);
    finding.url = owned(record, &["primaryLink"]);
    finding.file = owned(record, &["packagePath"]);
    Ok(Some(finding))
}

fn check(record: &Value) -> Result<Option<Finding>, Reason> {
    if at(record, &["success"]).and_then(Value::as_bool) == Some(true) {
        return Ok(None);
    }
    let id = owned(record, &["checkID"]).or_else(|| owned(record, &["title"]));
    let mut finding = Finding::of("misconfiguration", id, "checkID")?;
    finding.severity = Severity::of(text(record, &["severity"]));
    finding.title = owned(record, &["title"]);
    let said = [owned(record, &["description"]).into_iter().collect(), texts(record, &["messages"])].concat();
    finding.description = (!said.is_empty()).then(|| said.join("\n"));
    finding.remediation = owned(record, &["remediation"]);
    Ok(Some(finding))
}

fn secret(record: &Value) -> Result<Option<Finding>, Reason> {
    let mut finding = Finding::of("secret", owned(record, &["ruleID"]), "ruleID")?;
    finding.severity = Severity::of(text(record, &["severity"]));
    finding.title = owned(record, &["title"]);
    finding.description = owned(record, &["category"]);
    finding.file = owned(record, &["target"]);
    Ok(Some(finding))
}

/// A compliance report in full lists checks with their targets; a summary counts failures by control.
fn compliance(object: &Value, report: &mut Report) {
    let benchmark =
        text(object, &["status", "detailReport", "id"]).or_else(|| text(object, &["status", "summaryReport", "id"]));
    let benchmark = benchmark.unwrap_or_default();
    for (i, control) in items(object, &["status", "detailReport", "results"]).iter().enumerate() {
        for (n, record) in items(control, &["checks"]).iter().enumerate() {
            let read = control_check(benchmark, control, record);
            report.take(read, || format!("status.detailReport.results[{i}].checks[{n}]"), record);
        }
    }
    for (i, control) in items(object, &["status", "summaryReport", "controlCheck"]).iter().enumerate() {
        if int(control, &["totalFail"]).unwrap_or(0) > 0 {
            let read = failed_control(object, benchmark, control).map(Some);
            report.take(read, || format!("status.summaryReport.controlCheck[{i}]"), control);
        }
    }
}

fn control_check(benchmark: &str, control: &Value, record: &Value) -> Result<Option<Finding>, Reason> {
    if at(record, &["success"]).and_then(Value::as_bool) != Some(false) {
        return Ok(None);
    }
    let Some(found) = check(record)? else { return Ok(None) };
    let severity = text(record, &["severity"]).or_else(|| text(control, &["severity"]));
    let control_id = owned(control, &["id"]);
    Ok(Some(Finding {
        kind: "benchmark",
        severity: Severity::of(severity),
        aliases: control_id.iter().map(|id| format!("{benchmark}:{id}")).collect(),
        resource: owned(record, &["target"]),
        component: control_id,
        ..found
    }))
}

fn failed_control(object: &Value, benchmark: &str, control: &Value) -> Result<Finding, Reason> {
    let id = owned(control, &["id"]);
    let of = items(object, &["spec", "compliance", "controls"]).iter().find(|one| owned(one, &["id"]) == id);
    let mut finding = Finding::of("benchmark", id, "id")?;
    finding.severity = Severity::of(text(control, &["severity"]));
    finding.title = owned(control, &["name"]);
    finding.description = of.and_then(|of| owned(of, &["description"]));
    finding.aliases =
        of.map(|of| items(of, &["checks"])).unwrap_or_default().iter().filter_map(|c| owned(c, &["id"])).collect();
    finding.component = Some(benchmark.to_owned()).filter(|name| !name.is_empty());
    finding.occurrences = int(control, &["totalFail"]).unwrap_or(1);
    Ok(finding)
}
