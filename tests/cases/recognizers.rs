//! What recognizers of personal data must find in short texts, and what of a number's check digit they must say: rows of
//! parametrised tests, `{file, cols, row}`. The file's name says which kind is looked for; nothing else is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::labelled::redacted;
use super::{Tally, files};

/// What a test file's name contains, and our name of its kind.
const KINDS: &[(&str, &str)] = &[
    ("credit_card", "payment_card"),
    ("crypto", "crypto_address"),
    ("bsnr", "de_practice"),
    ("fuehrerschein", "de_driving_licence"),
    ("handelsregister", "de_commercial_register"),
    ("health_insurance", "de_health_insurance"),
    ("id_card", "de_id_card"),
    ("kfz", "de_licence_plate"),
    ("lanr", "de_physician"),
    ("passport", "de_passport"),
    ("plz", "de_postcode"),
    ("social_security", "de_social_security"),
    ("tax_id", "de_tax_id"),
    ("tax_number", "de_tax_number"),
    ("vat_id", "de_vat_id"),
    ("email", "email_address"),
    ("iban", "iban"),
    ("_ip_", "ip_address"),
    ("_mac_", "mac_address"),
    ("phone", "phone_number"),
];

/// One row: values by the names of its columns.
struct Row {
    text: String,
    cells: BTreeMap<String, Value>,
}

pub fn run(suite: &Path) -> Option<Tally> {
    let (mut tally, mut skipped) = (Tally::default(), 0);
    let mut by_kind: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    for path in files(suite, ".json") {
        let text = fs::read_to_string(&path).expect("the vectors are readable");
        let rows: Value = serde_json::from_str(&text).expect("the vectors are JSON");
        for row in rows.as_array().into_iter().flatten() {
            let file = row["file"].as_str().unwrap_or_default();
            let Some((_, kind)) = KINDS.iter().find(|(part, _)| file.contains(part)) else {
                tally.case(file, Err("no kind of ours is looked for by this file".to_owned()));
                continue;
            };
            let names = row["cols"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            let cells: BTreeMap<String, Value> =
                names.zip(row["row"].as_array().into_iter().flatten().cloned()).collect();
            // How strictly digits are grouped is a setting of the library that the tests drive; 1 is its default.
            if cells.get("leniency").is_some_and(|level| level != 1) {
                skipped += 1;
                continue;
            }
            let text = ["text", "number", "iban"].iter().find_map(|name| cells.get(*name)?.as_str());
            by_kind.entry(*kind).or_default().push(Row { text: text.unwrap_or_default().to_owned(), cells });
        }
    }
    for (kind, rows) in &by_kind {
        let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
        let answers = redacted(&["--detect", *kind, "--min-score", "0"], &texts);
        for (row, answer) in rows.iter().zip(&answers) {
            let found: Vec<&Value> = answer["findings"].as_array().into_iter().flatten().collect();
            tally.case(&format!("{kind}: {:?}", row.text), judge(row, &found));
        }
    }
    if skipped > 0 {
        tally.note = format!(", {skipped} left out that set how strictly a library groups telephone numbers");
    }
    Some(tally)
}

fn judge(row: &Row, found: &[&Value]) -> Result<(), String> {
    let length = row.text.chars().count();
    if let Some(expected) = row.cells.get("expected") {
        let whole = found.iter().find(|f| f["start"] == 0 && f["end"] == length);
        let got = whole.map_or("invalid", |f| f["check"].as_str().unwrap_or("none"));
        // Where a check digit fails, the tests' lenient mode says nothing and their strict one says no.
        let fits = match expected {
            Value::Bool(true) => got == "valid",
            Value::Bool(false) => matches!(got, "invalid" | "failed"),
            _ => matches!(got, "none" | "failed"),
        };
        return if fits { Ok(()) } else { Err(format!("got {got}, expected {expected}")) };
    }
    let places = |key: &str| -> Option<Vec<(u64, u64)>> {
        let list = row.cells.get(key)?.as_array()?.iter();
        Some(list.filter_map(|at| Some((at[0].as_u64()?, at[1].as_u64()?))).collect())
    };
    let (start, end) = (row.cells.get("expected_start"), row.cells.get("expected_end"));
    let one = start.zip(end).and_then(|(start, end)| Some(vec![(start.as_u64()?, end.as_u64()?)]));
    let expected = one.or_else(|| places("expected_positions")).or_else(|| places("expected_res")).unwrap_or_default();
    let got: Vec<(u64, u64)> = found.iter().filter_map(|f| Some((f["start"].as_u64()?, f["end"].as_u64()?))).collect();
    if !expected.is_empty() && got != expected {
        return Err(format!("found {got:?}, expected {expected:?}"));
    }
    if let Some(count) = row.cells.get("expected_len").and_then(Value::as_u64) {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let checked = found.iter().filter(|f| f["check"] != "failed").count();
        if count != found.len() && count != checked {
            return Err(format!("found {got:?}, expected {count}"));
        }
    }
    for (found, range) in
        found.iter().zip(row.cells.get("expected_score_ranges").and_then(Value::as_array).into_iter().flatten())
    {
        let (low, high) = (range[0].as_f64().unwrap_or(0.0), range[1].as_f64().unwrap_or(1.0));
        let score = found["score"].as_f64().unwrap_or(-1.0);
        if !(low..=high).contains(&score) {
            return Err(format!("score {score}, expected {low} to {high}"));
        }
    }
    Ok(())
}
