//! gitleaks' reports, JSON of versions 7 and 8 and CSV. What was found is a secret: its value and the text around it are
//! read to tell two apart, and go no further.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::finding::{Finding, collapse};
use super::lenient::{instant_of, int, owned, text, texts};
use super::report::{Refused, Report};
use super::severity::Severity;
use crate::files::content_hash;
use crate::json::Reason;

/// Members that hold a secret or the text around it.
const HIDDEN: &[&str] = &["Secret", "Match", "offender", "line", "Line", "RawSecret"];
/// What stands in their place.
const MASK: &str = "[masked]";

/// Whether a record is one of gitleaks' findings.
pub fn is(record: &Value) -> bool {
    let has = |member: &str| record.get(member).is_some();
    (has("RuleID") && (has("File") || has("StartLine"))) || (has("rule") && has("offender"))
}

/// A record without what it found.
pub fn masked(record: &Value) -> Value {
    let mut record = record.clone();
    for (name, value) in record.as_object_mut().into_iter().flatten() {
        if HIDDEN.contains(&name.as_str()) && !value.is_null() {
            *value = Value::String(MASK.to_owned());
        }
    }
    record
}

/// Reads a list of findings.
pub fn read(list: &[Value]) -> Result<Report, Reason> {
    let mut report = Report::of("gitleaks", "gitleaks");
    let mut found = Vec::new();
    for (i, record) in list.iter().enumerate() {
        let finding = if record.get("RuleID").is_some() { current(record) } else { legacy(record) };
        match finding {
            Ok(finding) => found.push((identity(record, &finding), finding)),
            Err(reason) => {
                let body = masked(record).to_string();
                report.refused.push(Refused { reason, place: format!("[{i}]"), body });
            }
        }
    }
    let repositories: Vec<&str> = list.iter().filter_map(|record| text(record, &["repo"])).collect();
    report.target = repositories.first().map(|name| (*name).to_owned()).unwrap_or_default();
    report.target_kind = Some("repository".to_owned());
    // The same secret at the same place in several commits is one finding.
    report.findings = collapse(found);
    Ok(report)
}

/// The same secret at the same place: a hash that is used here and not kept.
fn identity(record: &Value, finding: &Finding) -> [u8; 32] {
    let secret = text(record, &["Secret"]).or_else(|| text(record, &["offender"])).unwrap_or_default();
    let file = finding.file.as_deref().unwrap_or_default();
    let what = text(record, &["Description"]).unwrap_or_default();
    content_hash(format!("{secret}\0{file}\0{:?}\0{what}", finding.line).as_bytes())
}

fn current(record: &Value) -> Result<Finding, Reason> {
    let mut finding = Finding::of("secret", owned(record, &["RuleID"]), "RuleID")?;
    finding.severity = Severity::given("high");
    finding.file = owned(record, &["File"]).or_else(|| owned(record, &["SymlinkFile"]));
    finding.line = int(record, &["StartLine"]);
    finding.end_line = int(record, &["EndLine"]);
    finding.title = owned(record, &["Description"]).or_else(|| Some(finding.rule_id.clone()));
    finding.first_seen_us = text(record, &["Date"]).and_then(instant_of);
    finding.own_fingerprint = owned(record, &["Fingerprint"]);
    finding.url = owned(record, &["Link"]);
    finding.description = commit(owned(record, &["Commit"]), &texts(record, &["Tags"]));
    finding.cwes = vec!["CWE-798".to_owned()];
    Ok(finding)
}

fn legacy(record: &Value) -> Result<Finding, Reason> {
    let mut finding = Finding::of("secret", owned(record, &["rule"]), "rule")?;
    finding.severity = Severity::given("high");
    finding.file = owned(record, &["file"]);
    finding.line = int(record, &["lineNumber"]);
    finding.title = Some(finding.rule_id.clone());
    finding.first_seen_us = text(record, &["date"]).and_then(instant_of);
    finding.url = owned(record, &["leakURL"]);
    finding.description = commit(owned(record, &["commit"]), &texts(record, &["tags"]));
    finding.cwes = vec!["CWE-798".to_owned()];
    Ok(finding)
}

fn commit(commit: Option<String>, tags: &[String]) -> Option<String> {
    let tags = (!tags.is_empty()).then(|| format!("tags {}", tags.join(", ")));
    let said: Vec<String> = commit.map(|commit| format!("commit {commit}")).into_iter().chain(tags).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// Whether a text begins with the head of gitleaks' CSV.
pub fn is_csv(text: &str) -> bool {
    let head = text.lines().next().unwrap_or_default();
    head.contains("RuleID") && head.contains("File") && head.contains(',')
}

/// Reads the CSV: each record as the JSON that it is in the other format.
pub fn read_csv(body: &str) -> Result<Report, Reason> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(body.as_bytes());
    let head = reader.headers().map_err(|e| format!("no CSV: {e}"))?.clone();
    let mut list = Vec::new();
    let mut refused = Vec::new();
    for (i, record) in reader.records().enumerate() {
        let place = format!("record {}", i + 1);
        match record {
            Ok(record) if record.len() == head.len() => {
                let cells: HashMap<&str, &str> = head.iter().zip(record.iter()).collect();
                let member = |(name, cell): (&&str, &&str)| ((*name).to_owned(), Value::String((*cell).to_owned()));
                list.push(Value::Object(cells.iter().map(member).collect::<Map<String, Value>>()));
            }
            // Which cell is the secret cannot be told any more: none is kept.
            Ok(record) => refused.push(Refused {
                reason: format!("{} cells, the head has {}", record.len(), head.len()),
                place,
                body: MASK.to_owned(),
            }),
            Err(e) => refused.push(Refused { reason: format!("no CSV: {e}"), place, body: MASK.to_owned() }),
        }
    }
    let mut report = read(&list)?;
    report.refused.extend(refused);
    Ok(report)
}
