//! Counts what a report holds by a plain walk over its JSON, knowing as little about its format as possible.

use std::collections::BTreeSet;

use serde_json::Value;

/// What a file should give.
#[derive(Debug, Default)]
pub struct Expected {
    pub findings: usize,
    /// `None` where the format says nothing of components.
    pub components: Option<usize>,
    /// Records that lack what identifies them.
    pub broken: usize,
}

/// The counts of a text; `None` where its format is not known here.
pub fn of(text: &str) -> Option<Expected> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with("RuleID,") {
        return Some(Expected { findings: text.lines().count() - 1, ..Expected::default() });
    }
    if text.lines().count() > 1 && text.lines().all(|line| line.contains("AuditResultName")) {
        return Some(Expected { findings: text.lines().count(), ..Expected::default() });
    }
    of_value(&serde_json::from_str(text).ok()?)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn findings(count: usize) -> Option<Expected> {
    Some(Expected { findings: count, ..Expected::default() })
}

fn of_value(value: &Value) -> Option<Expected> {
    if value.is_null() || value.as_array().is_some_and(Vec::is_empty) {
        return findings(0);
    }
    if let Some(items) = value.as_array() {
        return of_list(items);
    }
    let has = |name: &str| value.get(name).is_some();
    if has("bomFormat") {
        return Some(cyclonedx(value));
    }
    if has("spdxVersion") {
        let components = list(value, "packages").len() + list(value, "files").len();
        return Some(Expected { components: Some(components), ..Expected::default() });
    }
    if has("@graph") {
        let is = |kind: &str| kind.ends_with("Package") || kind == "software_File";
        let components = list(value, "@graph").iter().filter(|one| one["type"].as_str().is_some_and(is)).count();
        return Some(Expected { components: Some(components), ..Expected::default() });
    }
    if has("runs") {
        return findings(sarif(value));
    }
    if has("matches") {
        return Some(grype(value));
    }
    if has("SchemaVersion") || has("ClusterName") {
        return Some(trivy(value));
    }
    if has("manifests") {
        let resolved = value["manifests"]
            .as_object()?
            .values()
            .map(|one| one["resolved"].as_object().map_or(0, serde_json::Map::len));
        return Some(Expected { components: Some(resolved.sum()), ..Expected::default() });
    }
    if has("scan") {
        return findings(list(value, "vulnerabilities").len());
    }
    if has("Findings") {
        return findings(list(value, "Findings").len());
    }
    if has("Controls") {
        return findings(bench(list(value, "Controls")));
    }
    operator(value)
}

fn of_list(items: &[Value]) -> Option<Expected> {
    let first = &items[0];
    if first.get("RuleID").is_some() || first.get("offender").is_some() {
        let key = |one: &Value| {
            let names = ["Secret", "File", "StartLine", "Description", "offender", "file", "lineNumber", "rule"];
            names.map(|name| one[name].to_string())
        };
        return findings(items.iter().map(key).collect::<BTreeSet<_>>().len());
    }
    if first.get("Target").is_some() {
        return Some(trivy(&serde_json::json!({"Results": items})));
    }
    if first.get("tests").is_some() {
        return findings(bench(items));
    }
    if first.get("check_name").is_some() {
        return findings(items.len());
    }
    let each: Option<Vec<Expected>> = items.iter().map(of_value).collect();
    findings(each?.iter().map(|one| one.findings).sum())
}

fn cyclonedx(value: &Value) -> Expected {
    fn nested(value: &Value, name: &str) -> usize {
        list(value, name).iter().map(|one| 1 + nested(one, name)).sum()
    }
    let subject = &value["metadata"]["component"];
    let components = nested(value, "components") + nested(value, "services") + nested(subject, "components");
    let affected = list(value, "vulnerabilities").iter().map(|one| list(one, "affects").len().max(1));
    Expected { findings: affected.sum(), components: Some(components), broken: 0 }
}

fn sarif(value: &Value) -> usize {
    let results = list(value, "runs").iter().flat_map(|run| list(run, "results"));
    let fails = results.filter(|result| result["kind"].as_str().unwrap_or("fail") == "fail");
    fails.map(|result| list(result, "locations").len().max(1)).sum()
}

fn grype(value: &Value) -> Expected {
    let of = |one: &Value| {
        (
            one["vulnerability"]["id"].to_string(),
            one["artifact"]["name"].to_string(),
            one["artifact"]["version"].to_string(),
        )
    };
    let artefact = |one: &Value| (one["artifact"]["id"].to_string(), of(one).1, of(one).2);
    let matches = list(value, "matches");
    let ignored = list(value, "ignoredMatches");
    let distinct = |of: &[Value], key: &dyn Fn(&Value) -> (String, String, String)| {
        of.iter().map(key).collect::<BTreeSet<_>>().len()
    };
    let all = [matches, ignored].concat();
    Expected {
        findings: distinct(matches, &of) + distinct(ignored, &of),
        components: Some(distinct(&all, &artefact)),
        broken: 0,
    }
}

fn trivy(value: &Value) -> Expected {
    let sections = ["Resources", "Vulnerabilities", "Misconfigurations"];
    let nested = sections.iter().flat_map(|section| list(value, section)).flat_map(|one| list(one, "Results"));
    let (mut expected, mut packages) = (Expected::default(), 0);
    for result in list(value, "Results").iter().chain(nested) {
        let (whole, broken): (Vec<_>, Vec<_>) =
            list(result, "Vulnerabilities").iter().partition(|one| one.get("VulnerabilityID").is_some());
        let failed = list(result, "Misconfigurations").iter().filter(|one| one["Status"] != "PASS").count();
        expected.findings += whole.len() + failed + list(result, "Secrets").len() + list(result, "Licenses").len();
        expected.broken += broken.len();
        packages += list(result, "Packages").len();
    }
    expected.components = (packages > 0).then_some(packages);
    expected
}

fn bench(controls: &[Value]) -> usize {
    let results = controls.iter().flat_map(|one| list(one, "tests")).flat_map(|test| list(test, "results"));
    let counts = |one: &&Value| {
        let manual = one["reason"] == "Test marked as a manual test";
        one["status"] == "FAIL" || (one["status"] == "WARN" && !manual)
    };
    results.filter(counts).count()
}

/// trivy-operator's objects, alone or by kind.
fn operator(value: &Value) -> Option<Expected> {
    if value.get("apiVersion").is_none() {
        let lists = value.as_object()?.values().map(|list| list.as_array());
        let objects: Vec<&Value> = lists.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect();
        let each: Option<Vec<Expected>> = objects.into_iter().map(operator).collect();
        return findings(each?.iter().map(|one| one.findings).sum());
    }
    let report = &value["report"];
    let failed = |checks: &[Value]| checks.iter().filter(|check| check["success"] != true).count();
    let detailed: usize =
        list(&value["status"]["detailReport"], "results").iter().map(|one| failed(list(one, "checks"))).sum();
    let controls = list(&value["status"]["summaryReport"], "controlCheck").iter();
    let summed = controls.filter(|one| one["totalFail"].as_i64().unwrap_or(0) > 0).count();
    let listed = list(report, "vulnerabilities").len() + list(report, "secrets").len() + failed(list(report, "checks"));
    findings(listed + detailed + summed)
}
