//! Texts with labelled spans of personal data, `{full_text, spans, negative}`: for each type recall and precision by whole
//! spans, nothing at all in the negatives, and JSON that stays JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::{Tally, files};
use crate::harness::command;

/// Types of labels, our kinds, and whether a check digit lets us promise [`SHARE`].
const TYPES: &[(&str, &str, bool)] = &[
    ("IBAN_CODE", "iban", true),
    ("CREDIT_CARD", "payment_card", true),
    ("DE_TAX_ID", "de_tax_id", true),
    ("DE_ID_CARD", "de_id_card", true),
    ("DE_PASSPORT", "de_passport", true),
    ("DE_VAT_ID", "de_vat_id", true),
    ("DE_SOCIAL_SECURITY", "de_social_security", true),
    ("DE_HEALTH_INSURANCE", "de_health_insurance", true),
    ("EMAIL_ADDRESS", "email_address", false),
    ("PHONE_NUMBER", "phone_number", false),
    ("IP_ADDRESS", "ip_address", false),
    ("DE_KFZ", "de_licence_plate", false),
    ("MAC_ADDRESS", "mac_address", false),
];
/// Recall and precision of a type with a check digit.
const SHARE: f64 = 0.99;
/// The same where a form is all there is.
const SHARE_OF_FORMS: f64 = 0.95;

/// A labelled or found span.
type Span = (usize, u64, u64);

pub fn run(suite: &Path) -> Option<Tally> {
    let mut tally = Tally::default();
    let mut texts: Vec<Value> = Vec::new();
    for path in files(suite, ".json") {
        let text = fs::read_to_string(&path).expect("the texts are readable");
        let labelled: Value = serde_json::from_str(&text).expect("the texts are JSON");
        texts.extend(labelled.as_array().into_iter().flatten().filter(|t| t["full_text"].is_string()).cloned());
    }
    if texts.is_empty() {
        return None;
    }
    let bodies: Vec<&str> = texts.iter().map(|t| t["full_text"].as_str().unwrap_or_default()).collect();
    let answers = redacted(&[], &bodies);
    let mut labelled: BTreeMap<&str, BTreeSet<Span>> = BTreeMap::new();
    let mut found: BTreeMap<&str, BTreeSet<Span>> = BTreeMap::new();
    for (at, (text, answer)) in texts.iter().zip(&answers).enumerate() {
        let findings: Vec<&Value> = answer["findings"].as_array().into_iter().flatten().collect();
        for (label, kind, _) in TYPES {
            let spans = text["spans"].as_array().into_iter().flatten().filter(|s| s["entity_type"] == *label);
            labelled
                .entry(*label)
                .or_default()
                .extend(spans.filter_map(|s| span(at, s, "start_position", "end_position")));
            let of_kind = findings.iter().filter(|f| f["type"] == *kind);
            found.entry(*label).or_default().extend(of_kind.filter_map(|f| span(at, f, "start", "end")));
        }
        let body = bodies[at];
        if text["negative"] == true {
            let none = if findings.is_empty() { Ok(()) } else { Err(format!("found {findings:?}")) };
            tally.case(&format!("negative {}: {body}", text["id"]), none);
        }
        if serde_json::from_str::<Value>(body).is_ok_and(|v| v.is_object()) {
            let clean = answer["redacted"].as_str().unwrap_or_default();
            let valid = serde_json::from_str::<Value>(clean).map(|_| ()).map_err(|e| format!("{clean}: {e}"));
            tally.case(&format!("JSON {}", text["id"]), valid);
        }
    }
    let mut shares = Vec::new();
    for (label, _, checked) in TYPES {
        let (labelled, found) = (&labelled[label], &found[label]);
        if labelled.is_empty() {
            continue;
        }
        let both = labelled.intersection(found).count() as f64;
        let (recall, precision) = (both / labelled.len() as f64, both / found.len().max(1) as f64);
        shares.push(format!("{label} {recall:.3}/{precision:.3}"));
        let bound = if *checked { SHARE } else { SHARE_OF_FORMS };
        for (what, share) in [("recall", recall), ("precision", precision)] {
            let missed = labelled.symmetric_difference(found).next().map(|(at, ..)| bodies[*at]);
            let enough =
                if share >= bound { Ok(()) } else { Err(format!("{share:.4}, expected {bound}; one: {missed:?}")) };
            tally.case(&format!("{label} {what}"), enough);
        }
    }
    tally.note = format!(", recall/precision {}", shares.join(", "));
    Some(tally)
}

fn span(text: usize, value: &Value, start: &str, end: &str) -> Option<Span> {
    Some((text, value[start].as_u64()?, value[end].as_u64()?))
}

/// What `stellwerk redact text --json` says of each text.
pub fn redacted(args: &[&str], texts: &[&str]) -> Vec<Value> {
    let mut command = command(&["redact", "text", "--json", "--null"]);
    let mut child = command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|cause| panic!("the binary does not start: {cause}"));
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let input: String = texts.iter().map(|text| format!("{text}\0")).collect();
    // All of it is read before anything is answered.
    stdin.write_all(input.as_bytes()).expect("the binary reads its stdin");
    drop(stdin);
    let output = child.wait_with_output().expect("the binary ends");
    assert!(output.status.success(), "redact text failed");
    let lines = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let answers: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert_eq!(answers.len(), texts.len(), "one answer a text");
    answers
}
