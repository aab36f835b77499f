//! Personal data through the real doors: it is in no table, the counts are, and a dry run finds what older rows hold.

use serde_json::Value;

use crate::harness::{Ground, Server};
use crate::records::logs;

/// Made up, with valid check digits.
const IBAN: &str = "DE89370400440532013000";
const MAIL: &str = "anna.oezdemir@mail.example.org";

fn bodies() -> Vec<String> {
    vec![
        format!("transfer to {IBAN} asked by {MAIL}"),
        format!(r#"{{"iban":"{IBAN}","card":4012888888881881,"trace":"4bf92f3577b34da6a3ce929d0e0e4736"}}"#),
        "order 42 shipped in 12 ms".to_owned(),
    ]
}

#[test]
fn what_is_found_is_counted_and_stands_in_no_table() {
    let ground = Ground::new();
    let server = Server::start(&ground, &[]);
    let reply = server.connect().post("/v1/logs", "application/x-protobuf", logs("shop", &bodies()));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let stored = server.sql("SELECT body FROM otel_log ORDER BY body").rows.concat();
    assert_eq!(
        stored,
        [
            "order 42 shipped in 12 ms",
            "transfer to [redacted:iban] asked by [redacted:email_address]",
            r#"{"iban":"[redacted:iban]","card":"[redacted:payment_card]","trace":"4bf92f3577b34da6a3ce929d0e0e4736"}"#,
        ]
    );
    server.stop();
    let counted = ground.ask(
        "SELECT table_name, column_name, detector, action, CAST(sum(findings) AS BIGINT) FROM redaction_finding \
         WHERE column_name = 'body' GROUP BY 1, 2, 3, 4 ORDER BY 3",
    );
    let row = |detector: &str, count: &str| vec!["otel_log", "body", detector, "mask", count].join(" ");
    let counted: Vec<String> = counted.iter().map(|row| row.join(" ")).collect();
    assert_eq!(counted, [row("email_address", "1"), row("iban", "2"), row("payment_card", "1")]);
}

#[test]
fn rules_of_a_file_hold_and_a_dry_run_finds_what_they_kept() {
    let ground = Ground::new();
    let rules = ground.beside("rules.yaml");
    std::fs::write(ground.beside("redaction.key"), "0123456789abcdef0123456789abcdef").unwrap();
    std::fs::write(
        &rules,
        "key_file: redaction.key\nrules:\n- {table: 'otel_*', column: body, detect: [iban], action: hash}\n\
         - {table: otel_log, detect: [email_address], action: keep}\n",
    )
    .unwrap();
    let server = Server::start(&ground, &["--redaction", rules.to_str().unwrap()]);
    server.connect().post("/v1/logs", "application/x-protobuf", logs("shop", &bodies()));
    let hashed = server.sql("SELECT body FROM otel_log WHERE body LIKE 'transfer%'").rows.concat().concat();
    assert!(hashed.starts_with("transfer to [hashed:iban:") && hashed.ends_with(MAIL), "{hashed}");
    let preview = ["redact", "preview", "--table", "otel_log", "--column", "body", "--format", "json"];
    let running = ground.run(&preview).ok().stdout;
    server.stop();
    let stopped = ground.run(&preview).ok().stdout;
    for said in [&running, &stopped] {
        assert!(!said.contains(MAIL), "no value is shown: {said}");
        let said: Value = serde_json::from_str(said).unwrap();
        let findings = said["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 1, "{said}");
        assert!(findings[0]["detector"] == "email_address" && findings[0]["findings"] == 1, "{said}");
    }
    let refused = ground.run(&["redact", "preview", "--table", "nothing"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("there is no table nothing"), "{}", refused.stderr);
}

/// What a flow is given and told, and what the other side says to it.
#[test]
fn what_flows_are_given_is_in_no_file_of_the_store() {
    use crate::rules::receiver::Receiver;
    // As GitHub writes its tokens; made up.
    const TOKEN: &str = "ghp_1A2b3C4d5E6f7G8h9I0jK1lM2nO3pQ4rS5tU";
    let (ground, receiver) = (Ground::new(), Receiver::start());
    let actions = ground.beside("actions.yaml");
    std::fs::write(&actions, format!("hosts: ['{}']\n", receiver.address())).unwrap();
    let server = Server::start(&ground, &["--actions", actions.to_str().unwrap()]);
    let said = |of: &str| format!("{of}: transfer to {IBAN} for {MAIL} with {TOKEN}");
    let post = |path: &str, body: Value| {
        let reply = server.connect().post(path, "application/json", body.to_string());
        assert_eq!(reply.status, 202, "{path}: {}", reply.text());
        serde_json::from_slice::<Value>(&reply.body).unwrap()
    };
    let url = format!("http://{}/run", receiver.address());
    let input = serde_json::json!({ "url": url, "text": said("input"), "more": { "deep": [said("list")] } });
    let start = serde_json::json!({ "flow": "callback", "input": input, "key": "k" });
    let id = post("/flows", start.clone())["id"].as_str().unwrap().to_owned();
    assert_eq!(post("/flows", start)["id"], id.as_str(), "the same input is the same flow");
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let begun = std::time::Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{what}\n{}", server.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    until("the service is called", &|| !receiver.texts().is_empty());
    let masked = "input: transfer to [redacted:iban] for [redacted:email_address] with [redacted:";
    assert!(receiver.texts()[0].starts_with(masked), "{:?}", receiver.texts());
    post(&format!("/flows/{id}/signals/answered"), serde_json::json!({ "said": said("signal") }));
    let done = format!("SELECT count(*) FROM job_done WHERE id = '{id}' AND output LIKE '%[redacted:iban]%'");
    until("the flow ends", &|| server.cell(&done) == "1");
    drop(server);
    for file in std::fs::read_dir(ground.data()).unwrap().map(|file| file.unwrap().path()) {
        if !file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("state.db")) {
            continue;
        }
        let bytes = std::fs::read(&file).unwrap();
        for secret in [IBAN, MAIL, TOKEN] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {}", file.display());
        }
    }
}
