//! kubescape's JSON: a finding for each rule that a resource fails.

use std::collections::HashMap;

use serde_json::Value;

use super::finding::Finding;
use super::lenient::{float, instant, items, owned, text};
use super::report::Report;
use super::severity::{Severity, of_score};
use crate::json::{Reason, at};

/// Whether a document is kubescape's.
pub fn is(document: &Value) -> bool {
    document.get("summaryDetails").is_some()
        && document.get("results").is_some_and(|results| results.is_array() || results.is_null())
}

/// Reads one scan.
pub fn read(document: &Value) -> Result<Report, Reason> {
    let mut report = Report::of("kubescape", "kubescape");
    let cluster = owned(document, &["clusterName"])
        .or_else(|| owned(document, &["metadata", "contextMetadata", "clusterContextMetadata", "contextName"]));
    report.target = cluster.unwrap_or_default();
    report.target_kind = Some("kubernetes".to_owned());
    report.observed_us = instant(document, &["generationTime"]);
    let resources = items(document, &["resources"]);
    let resources: HashMap<&str, &Value> =
        resources.iter().filter_map(|one| Some((text(one, &["resourceID"])?, one))).collect();
    let controls = at(document, &["summaryDetails", "controls"]).unwrap_or(&Value::Null);
    for (i, result) in items(document, &["results"]).iter().enumerate() {
        let Some(resource) = text(result, &["resourceID"]) else {
            report.refuse("resourceID is missing".to_owned(), format!("results[{i}]"), result);
            continue;
        };
        for (n, control) in items(result, &["controls"]).iter().enumerate() {
            // Old versions say nothing of the control itself.
            let status = text(control, &["status", "status"]).or_else(|| text(control, &["status"]));
            if status.is_some_and(|status| status != "failed") {
                continue;
            }
            for rule in items(control, &["rules"]).iter().filter(|rule| text(rule, &["status"]) != Some("passed")) {
                let summary = text(control, &["controlID"]).and_then(|id| controls.get(id)).unwrap_or(&Value::Null);
                let read = finding(control, rule, summary, resource, resources.get(resource).copied());
                report.take(read.map(Some), || format!("results[{i}].controls[{n}]"), control);
            }
        }
    }
    Ok(report)
}

fn finding(
    control: &Value,
    rule: &Value,
    summary: &Value,
    id: &str,
    resource: Option<&Value>,
) -> Result<Finding, Reason> {
    let mut finding = Finding::of("misconfiguration", owned(control, &["controlID"]), "controlID")?;
    finding.aliases = owned(rule, &["name"]).into_iter().collect();
    finding.own_fingerprint = Some(format!("{}\n{id}", text(rule, &["name"]).unwrap_or_default()));
    // A control's weight goes from 1 to 10, as kubescape's own words do: below 4 low, below 7 medium, below 9 high.
    let weight = float(summary, &["scoreFactor"]);
    finding.severity = Severity {
        normal: Some(weight.map_or("unknown", of_score)),
        original: weight.map(|weight| weight.to_string()),
    };
    finding.title = owned(control, &["name"]).or_else(|| owned(summary, &["name"]));
    finding.description = owned(summary, &["description"]);
    finding.remediation = owned(summary, &["mitigation"]);
    finding.resource = Some(resource.and_then(named).unwrap_or_else(|| id.to_owned()));
    finding.file = resource.and_then(|resource| {
        owned(resource, &["source", "relativePath"]).or_else(|| owned(resource, &["object", "sourcePath"]))
    });
    finding.url = Some(format!("https://hub.armosec.io/docs/{}", finding.rule_id.to_lowercase()));
    Ok(finding)
}

/// `namespace/Kind/name` of a resource whose object is there.
fn named(resource: &Value) -> Option<String> {
    let object = resource.get("object")?;
    let (kind, name) = (text(object, &["kind"])?, text(object, &["metadata", "name"])?);
    Some(match text(object, &["metadata", "namespace"]) {
        Some(namespace) => format!("{namespace}/{kind}/{name}"),
        None => format!("{kind}/{name}"),
    })
}
