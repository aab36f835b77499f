//! Reports about clusters by lines and benchmarks: kubeaudit's JSON lines and kube-bench's controls.

use serde_json::Value;

use super::finding::Finding;
use super::lenient::{instant, items, owned, text};
use super::report::Report;
use super::severity::Severity;
use crate::json::Reason;

/// Whether a value is a line of kubeaudit.
pub fn is_audit(record: &Value) -> bool {
    record.get("AuditResultName").is_some()
}

/// Reads kubeaudit's lines.
pub fn read_audit(records: &[Value]) -> Result<Report, Reason> {
    let mut report = Report::of("kubeaudit", "kubeaudit");
    report.target_kind = Some("kubernetes".to_owned());
    report.observed_us = records.iter().filter_map(|record| instant(record, &["time"])).max();
    for (i, record) in records.iter().enumerate() {
        report.take(audit(record).map(Some), || format!("line {}", i + 1), record);
    }
    Ok(report)
}

fn audit(record: &Value) -> Result<Finding, Reason> {
    let mut finding = Finding::of("misconfiguration", owned(record, &["AuditResultName"]), "AuditResultName")?;
    finding.severity = Severity::of(text(record, &["level"]));
    let place = ["ResourceNamespace", "ResourceKind", "ResourceName", "Container"];
    let place: Vec<&str> = place.iter().filter_map(|part| text(record, &[part])).collect();
    finding.resource = (!place.is_empty()).then(|| place.join("/"));
    finding.title = owned(record, &["msg"]);
    finding.component = owned(record, &["MissingAnnotation"]).or_else(|| owned(record, &["Capability"]));
    Ok(finding)
}

/// Whether a value is a control of kube-bench, or a document of them.
pub fn is_bench(value: &Value) -> bool {
    let control = |one: &Value| {
        one.get("tests").is_some_and(Value::is_array) && (one.get("node_type").is_some() || one.get("text").is_some())
    };
    control(value) || items(value, &["Controls"]).first().is_some_and(control)
}

/// Reads kube-bench's controls.
pub fn read_bench(document: &Value) -> Result<Report, Reason> {
    let mut report = Report::of("kube-bench", "kube-bench");
    report.target_kind = Some("kubernetes".to_owned());
    let alone = std::slice::from_ref(document);
    let controls = match document {
        Value::Array(controls) => controls.as_slice(),
        _ if document.get("Controls").is_some() => items(document, &["Controls"]),
        _ => alone,
    };
    let first = controls.first().unwrap_or(&Value::Null);
    report.format_version = owned(first, &["version"]);
    for (i, control) in controls.iter().enumerate() {
        for (n, test) in items(control, &["tests"]).iter().enumerate() {
            for record in items(test, &["results"]) {
                report.take(bench(control, test, record), || format!("[{i}].tests[{n}]"), record);
            }
        }
    }
    Ok(report)
}

/// What failed; a warning counts unless the test only asks a person to look.
fn bench(control: &Value, test: &Value, record: &Value) -> Result<Option<Finding>, Reason> {
    let manual = text(record, &["reason"]) == Some("Test marked as a manual test");
    let severity = match text(record, &["status"]).map(str::to_ascii_uppercase).as_deref() {
        Some("FAIL") => "medium",
        Some("WARN") if !manual => "info",
        _ => return Ok(None),
    };
    let mut finding = Finding::of("benchmark", owned(record, &["test_number"]), "test_number")?;
    finding.severity = Severity { normal: Some(severity), original: owned(record, &["status"]) };
    finding.title = owned(record, &["test_desc"]);
    let said = [owned(control, &["text"]), owned(test, &["desc"]), owned(record, &["reason"])];
    let said: Vec<String> = said.into_iter().flatten().collect();
    finding.description = (!said.is_empty()).then(|| said.join("\n"));
    finding.remediation = owned(record, &["remediation"]);
    finding.component = owned(control, &["detected_version"]).or_else(|| owned(control, &["version"]));
    finding.resource = owned(control, &["node_type"]);
    Ok(Some(finding))
}
