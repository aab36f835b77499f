#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::fixture::instant;
use super::*;

fn rows(value: Value) -> Vec<Map<String, Value>> {
    value.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect()
}

#[test]
fn what_is_otherwise_than_a_case_says_is_named() {
    let found = rows(json!([{"pod": "a", "n": "2.50"}, {"pod": "b", "n": "3"}]));
    for (fires, silent, wrong) in [
        (json!([{"pod": "a", "n": 2.5}, {"pod": "b"}]), json!([{"pod": "c"}]), ""),
        (json!([{"pod": "a"}]), json!([]), "fires, and no line of `fires` says so: {\"pod\":\"b\""),
        (json!([{"pod": "a"}, {"pod": "b"}, {"pod": "b"}]), json!([]), "nothing fires like {\"pod\":\"b\"}"),
        (json!([{"pod": "a"}, {"pod": "b"}]), json!([{"pod": "b"}]), "must be silent about {\"pod\":\"b\"}"),
    ] {
        let said = compare(&rows(fires), &rows(silent), &found).join("\n");
        assert!(said.starts_with(wrong) && said.is_empty() == wrong.is_empty(), "{said}");
    }
}

#[test]
fn a_test_without_both_kinds_of_rows_shows_nothing() {
    for (text, part) in [
        ("- {case: a, rows: {}, fires: [], silent: [{a: 1}]}", "under `fires`"),
        ("- {case: a, rows: {}, fires: [{a: 1}]}", "under `silent`"),
        ("- {case: a, rows: {}, fires: [{a: 1}], silent: [{a: 2}]}\n- {case: a, rows: {}, fires: []}", "one name"),
        ("- {case: a, row: {}, fires: []}", "unknown field"),
    ] {
        let said = parse(text).unwrap_err();
        assert!(said.contains(part), "{text}: {said}");
    }
}

#[test]
fn instants_are_about_the_tick() {
    let hour = 3_600_000_000;
    for (text, wanted) in [
        ("now", Some(hour)),
        ("now-30m", Some(hour / 2)),
        ("now+1h", Some(2 * hour)),
        ("1970-01-01T02:00:00Z", Some(2 * hour)),
        ("1970-01-02", Some(24 * hour)),
        ("nowhere", None),
        ("soon", None),
    ] {
        assert_eq!(instant(text, hour), wanted, "{text}");
    }
}
