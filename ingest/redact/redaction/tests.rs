#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use std::path::Path;

fn redacted(text: &str) -> String {
    Redaction::default().redact(text).into_owned()
}

#[test]
fn texts_and_documents() {
    for (text, expected) in [
        (
            "Login von 156.157.216.211 durch anna@example.org um 12:30 Uhr",
            "Login von [redacted:ip_address] durch [redacted:email_address] um 12:30 Uhr",
        ),
        (
            r#"{"kunde":"Anna","iban":"DE85 7417 5243 4952 7616 83","karte":"4400762156769369"}"#,
            r#"{"kunde":"Anna","iban":"[redacted:iban]","karte":"[redacted:payment_card]"}"#,
        ),
        (
            r#"{"karte":4400762156769369,"n":[4400762156769369]}"#,
            r#"{"karte":"[redacted:payment_card]","n":["[redacted:payment_card]"]}"#,
        ),
        (r#"{"a@example.org":"b@example.org"}"#, r#"{"a@example.org":"[redacted:email_address]"}"#),
        (r#"{"inner":"{\"karte\":4400762156769369}"}"#, r#"{"inner":"{\"karte\":\"[redacted:payment_card]\"}"}"#),
        ("password=hunter2hunter and b@example.org", "password=[redacted:password] and [redacted:email_address]"),
        ("postgres://u:secret1@db.example.org/x", "postgres://u:[redacted:url_password]@db.example.org/x"),
    ] {
        assert_eq!(redacted(text), expected);
        assert_eq!(redacted(expected), expected, "twice is once");
    }
}

#[test]
fn older_detectors_are_reported_with_their_place() {
    let redaction = Redaction::default();
    let spot = |text: &str| -> Vec<String> {
        let spotted = redaction.spot(text, &Plan::mask(), SURE);
        spotted.iter().map(|s| format!("{}: {}", s.detector, &text[s.start..s.end])).collect()
    };
    assert_eq!(
        spot("password=hunter2hunter and b@example.org"),
        ["password: hunter2hunter", "email_address: b@example.org"]
    );
    assert_eq!(spot("[redacted:password] pwd=abc12345"), ["password: abc12345"]);
    assert_eq!(spot(r#"{"password":"a1b2c3d4","pwd":"zzz99"}"#), ["password: a1b2c3d4", "password: zzz99"]);
}

static TABLE: Table = Table::new(
    "crm_note",
    "Notes.",
    &[
        Column::new("tenant", Type::Name, "Tenant.").required(),
        Column::new("author_name", Type::Text, "Who wrote it.").personal(),
        Column::new("note", Type::Text, "The note."),
        Column::new("fields", Type::Json, "The rest."),
        Column::new("subject", Type::Text, "The subject.").required(),
    ],
);

/// A cell under rules: what is stored, and what was counted.
fn cell(rules: &str, column: &str, text: &str) -> (Option<Cell>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "0123456789abcdef0123\n").unwrap();
    let policy = Policy::parse(rules, folder.path()).unwrap();
    let redaction = Redaction::new(policy);
    let column = TABLE.columns.iter().find(|c| c.name == column).unwrap();
    let mut found = Vec::new();
    let cell = redaction.column(&TABLE, column).unwrap().redact(text, &mut found);
    (cell, found.into_iter().map(|f| format!("{} {}", f.detector, f.action)).collect())
}

#[test]
fn each_action() {
    let text = |text: &str| Some(Cell::Text(text.to_owned()));
    let counted = |found: &[&str]| found.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>();
    let mail = "x@example.org";
    assert_eq!(cell("{}", "note", mail), (text("[redacted:email_address]"), counted(&["email_address mask"])));
    assert_eq!(cell("rules: [{action: drop}]", "note", mail), (Some(Cell::Null), counted(&["email_address drop"])));
    assert_eq!(cell("rules: [{action: drop}]", "subject", mail).0, text(""), "a required cell is not null");
    assert_eq!(cell("rules: [{action: drop}]", "note", "by x@example.org!").0, text("by !"));
    assert_eq!(cell("rules: [{action: keep}]", "note", mail), (None, Vec::new()));
    assert_eq!(cell("{}", "fields", "4012888888881881").0, text("\"[redacted:payment_card]\""));
    assert_eq!(cell("{}", "author_name", "Anna Özdemir"), (text("[redacted:person]"), counted(&["person mask"])));
    assert_eq!(cell("{}", "author_name", "[redacted:person]").0, None, "twice is once");
    assert_eq!(cell("rules: [{action: keep}]", "note", "password=abc12345").0, text("password=[redacted:password]"));
    let hash = "key_file: key\nrules: [{action: hash}]";
    let (first, found) = cell(hash, "note", "from x@example.org, y@example.org and x@example.org");
    let Some(Cell::Text(first)) = first else { panic!("{first:?}") };
    let hashes: Vec<&str> =
        first.split("[hashed:email_address:").skip(1).map(|rest| rest.split(']').next().unwrap()).collect();
    assert_eq!((hashes.len(), hashes[0].len(), found.len()), (3, 16, 3), "{first}");
    assert!(hashes[0] == hashes[2] && hashes[0] != hashes[1], "{first}");
    assert_eq!(cell(hash, "note", &first).0, None, "twice is once");
    assert_eq!(cell(hash, "author_name", "Anna").0, cell(hash, "author_name", "Anna").0);
    assert!(Policy::read(Path::new("/no/such/rules.yaml")).is_err());
}

/// Texts out of what detectors look for and what stands around it.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => "[a-zA-Z0-9 =:;&@\"'\\\\/{}\n.+()-]{0,12}",
        1 => Just("anna@example.org".to_owned()),
        1 => Just("DE89370400440532013000".to_owned()),
        1 => Just("4012888888881881".to_owned()),
        1 => Just("203.0.113.7".to_owned()),
        1 => Just("+49 30 7331974".to_owned()),
        1 => Just("Steuer-ID 12345678903".to_owned()),
        1 => Just("00:1A:2B:3C:4D:5E".to_owned()),
        1 => Just("auth_key=q8Zr2Xk9Wv4Tm7Lp3".to_owned()),
        1 => Just("password: x9".to_owned()),
        1 => Just("[redacted:iban]".to_owned()),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

fn document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        text().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        Just(serde_json::json!(4_012_888_888_881_881_u64)),
        any::<f64>().prop_map(serde_json::Value::from),
    ];
    let names = prop_oneof![Just("card".to_owned()), Just("Steuer-ID".to_owned()), Just("token".to_owned()), text()];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((names.clone(), inner), 0..4)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// The names of all members.
fn names(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| names(item, found)),
        serde_json::Value::Object(members) => members.iter().for_each(|(name, member)| {
            found.push(name.clone());
            names(member, found);
        }),
        _ => {}
    }
}

proptest! {
    #[test]
    fn twice_is_once(text in text()) {
        let once = redacted(&text);
        prop_assert_eq!(&redacted(&once), &once, "of {}", text);
    }

    #[test]
    fn json_stays_json(value in document(), nested in any::<bool>()) {
        let value = if nested { serde_json::json!({"inner": value.to_string()}) } else { serde_json::json!([value]) };
        let text = value.to_string();
        let clean = redacted(&text);
        let read = serde_json::from_str::<serde_json::Value>(&clean);
        prop_assert!(read.is_ok(), "{} became {}", text, clean);
        prop_assert_eq!(&redacted(&clean), &clean, "of {}", text);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        names(&value, &mut before);
        names(&read.unwrap(), &mut after);
        // Names of members that are passwords themselves are the older detectors' matter.
        let plain = |n: &&String| !n.contains(['=', ':', '"', '\\']);
        let known: Vec<_> = before.iter().filter(plain).collect();
        prop_assert!(known.iter().all(|name| after.contains(name)), "{} became {}", text, clean);
    }
}
