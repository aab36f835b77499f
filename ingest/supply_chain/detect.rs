//! Which format a document has: told by its content, never by its name.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::lenient::{items, text};
use super::report::{Refused, Report};
use super::{
    cyclonedx, exchange, gitlab, gitleaks, grype, kube_audit, kubescape, sarif, spdx, spdx3, trivy, trivy_operator, vex,
};
use crate::bounded;
use crate::json::Reason;
use crate::stream::{self, Part};

/// Lists within lists that are looked into.
const DEPTH_MAX: usize = 4;

/// JSON members that hold what a scanner found, in texts that do not parse.
static FOUND: LazyLock<Regex> = LazyLock::new(|| {
    let names = "Secret|Match|match|offender|line|Line|RawSecret|Raw|Content|Highlighted|raw_source_code_extract|text";
    Regex::new(&format!(r#""({names})"(\s*:\s*)"(?:\\.|[^"\\])*("|$)"#))
        .expect("the pattern of hidden members is valid")
});

/// What a file holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Its documents.
    pub reports: Vec<Report>,
    /// What is none.
    pub refused: Vec<Refused>,
}

impl Contents {
    fn refuse(&mut self, reason: Reason, place: String, text: &str) {
        self.refused.push(Refused { reason, place, body: without_found(text) });
    }

    fn take(&mut self, read: Result<Report, Reason>, place: &str, document: &Value) {
        match read {
            Ok(report) => self.reports.push(report),
            Err(reason) => self.refuse(reason, place.to_owned(), &document.to_string()),
        }
    }
}

/// A text without the values of members that hold what was found.
fn without_found(text: &str) -> String {
    FOUND.replace_all(text, r#""$1"$2"[masked]""#).into_owned()
}

/// Reads a body of documents.
pub fn read(body: &str) -> Contents {
    let mut contents = Contents::default();
    let body = body.trim_start_matches('\u{feff}');
    let begin = body.trim_start();
    if begin.is_empty() {
        contents.refuse("the file is empty".to_owned(), "file".to_owned(), body);
    } else if begin.starts_with(['{', '[']) || begin.trim_end() == "null" {
        read_json(body, &mut contents);
    } else if gitleaks::is_csv(begin) {
        take_table(gitleaks::read_csv(begin), &mut contents);
    } else if exchange::is_generic_csv(begin) {
        take_table(exchange::read_generic_csv(begin), &mut contents);
    } else if begin.starts_with('<') {
        match cyclonedx::document_of(begin) {
            Some(document) => contents.take(cyclonedx::read(&document), "file", &Value::Null),
            None => {
                contents.refuse("of XML only CycloneDX is read: give the tool's JSON".to_owned(), "file".to_owned(), "")
            }
        }
    } else {
        contents.refuse(UNKNOWN.to_owned(), "file".to_owned(), "");
    }
    contents
}

const UNKNOWN: &str = "no format that is known: CycloneDX, SPDX, SARIF, VEX, trivy, grype, gitleaks …";

fn take_table(read: Result<Report, Reason>, contents: &mut Contents) {
    match read {
        Ok(report) => contents.reports.push(report),
        Err(reason) => contents.refuse(reason, "file".to_owned(), ""),
    }
}

fn read_json(body: &str, contents: &mut Contents) {
    let (mut audit, mut leaks) = (Vec::new(), Vec::new());
    for part in stream::parts(body) {
        match part {
            Part::Broken { number, text, reason } => contents.refuse(reason, format!("document {number}"), text),
            Part::Whole { number, text } => match bounded::json(text) {
                // Tools that write a line a finding make one report of them.
                Ok(line) if kube_audit::is_audit(&line) => audit.push(line),
                Ok(line) if gitleaks::is(&line) => leaks.push(line),
                Ok(document) => of_value(&document, &format!("document {number}"), 0, contents),
                Err(e) => contents.refuse(format!("no JSON: {e}"), format!("document {number}"), text),
            },
        }
    }
    if !audit.is_empty() {
        contents.take(kube_audit::read_audit(&audit), "lines", &Value::Null);
    }
    if !leaks.is_empty() {
        contents.take(gitleaks::read(&leaks), "lines", &Value::Null);
    }
}

fn of_value(value: &Value, place: &str, depth: usize, contents: &mut Contents) {
    match value {
        // Tools that found nothing write null.
        Value::Null => {}
        Value::Array(list) => of_list(list, value, place, depth, contents),
        Value::Object(_) => of_document(value, place, depth, contents),
        other => contents.refuse(UNKNOWN.to_owned(), place.to_owned(), &other.to_string()),
    }
}

fn of_list(list: &[Value], value: &Value, place: &str, depth: usize, contents: &mut Contents) {
    let Some(first) = list.first() else { return };
    // One odd record does not change what the list is.
    let any = |is: fn(&Value) -> bool| list.iter().any(is);
    let read = match () {
        () if any(gitleaks::is) => gitleaks::read(list),
        () if trivy::is_legacy(list) => trivy::read_legacy(list),
        () if any(kube_audit::is_bench) => kube_audit::read_bench(value),
        () if any(kube_audit::is_audit) => kube_audit::read_audit(list),
        () if any(exchange::is_asff) => exchange::read_asff(list),
        () if any(gitlab::is_quality) => gitlab::read_quality(list),
        () if first.is_object() && depth < DEPTH_MAX => {
            list.iter().enumerate().for_each(|(i, item)| of_value(item, &format!("{place}[{i}]"), depth + 1, contents));
            return;
        }
        () => Err(UNKNOWN.to_owned()),
    };
    contents.take(read, place, value);
}

fn of_document(document: &Value, place: &str, depth: usize, contents: &mut Contents) {
    if sarif::is(document) {
        return contents.reports.extend(sarif::read(document));
    }
    if let Some(objects) = trivy_operator::sorted(document) {
        return objects.into_iter().for_each(|object| of_value(object, place, depth + 1, contents));
    }
    let lists = text(document, &["kind"]).is_some_and(|kind| kind.ends_with("List")) && document.get("items").is_some();
    if lists && depth < DEPTH_MAX {
        let objects = items(document, &["items"]).iter().enumerate();
        return objects.for_each(|(i, object)| of_value(object, &format!("items[{i}]"), depth + 1, contents));
    }
    let spdx = document.get("spdxVersion").is_some()
        || document.get("sbom").is_some_and(|sbom| sbom.get("spdxVersion").is_some());
    let openvex = text(document, &["@context"]).is_some_and(|context| context.contains("openvex"));
    let csaf =
        text(document, &["document", "category"]).is_some() && document["document"].get("csaf_version").is_some();
    let asff = items(document, &["Findings"]);
    let read = match () {
        () if spdx3::is(document) => spdx3::read(document),
        () if spdx => spdx::read(document),
        () if openvex => vex::openvex(document),
        () if csaf => vex::csaf(document),
        () if trivy_operator::is(document) => trivy_operator::read(document),
        () if trivy::is(document) => trivy::read(document),
        () if grype::is(document) => grype::read(document),
        () if grype::is_syft(document) => grype::read_syft(document),
        () if kubescape::is(document) => kubescape::read(document),
        () if kube_audit::is_bench(document) => kube_audit::read_bench(document),
        () if gitlab::is(document) => gitlab::read(document),
        () if exchange::is_snapshot(document) => exchange::read_snapshot(document),
        () if !asff.is_empty() && asff.iter().any(exchange::is_asff) => exchange::read_asff(asff),
        () if exchange::is_anchore(document) => exchange::read_anchore(document),
        () if exchange::is_generic(document) => exchange::read_generic(document),
        // Last, because its shape alone says little where its name is missing.
        () if cyclonedx::is(document) => cyclonedx::read(document),
        () => Err(UNKNOWN.to_owned()),
    };
    contents.take(read, place, document);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_not_kept_of_broken_texts() {
        let kept = without_found(r#"[{"RuleID": "x", "Secret": "hunter\"2", "Match" : "key=hunter2"#);
        assert_eq!(kept, r#"[{"RuleID": "x", "Secret": "[masked]", "Match" : "[masked]""#);
    }

    #[test]
    fn nothing_found_is_no_refusal() {
        for body in ["null", "[]", " [ ]\n"] {
            let contents = read(body);
            assert!(contents.reports.is_empty() && contents.refused.is_empty(), "{body}");
        }
        for body in ["", "{}", "[1]", "hello", "<html>", "{\"a\":"] {
            let contents = read(body);
            assert!(contents.reports.is_empty() && contents.refused.len() == 1, "{body}: {contents:?}");
        }
    }
}
