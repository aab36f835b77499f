#![allow(clippy::unwrap_used)]

use std::path::Path;

use serde_json::{Value, json};

use super::*;

const SENDERS: &str = "
hooks:
  code: {scheme: github, secret: ['file:key', 'file:old'], tenant: acme}
  alerts: {scheme: alertmanager, token: 'file:key'}
  sync: {scheme: argocd, user: argo, password: 'file:key'}
  devops: {scheme: ado, user: ado, password: 'file:key'}
  shop: {scheme: hmac, secret: 'file:key'}
  mine: {scheme: hmac, secret: 'file:key', signature_header: x-sign, timestamp_header: x-time, event_header: x-kind, delivery_header: x-id}
oldest_ready_max: 90s
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "hidden\n").unwrap();
    std::fs::write(folder.path().join("old"), "before").unwrap();
    folder
}

fn senders() -> Senders {
    let folder = folder();
    Senders::parse(SENDERS, folder.path()).unwrap()
}

fn delivery(hook: &str, headers: &[(&str, &str)], body: &Value) -> std::result::Result<Delivery, String> {
    let senders = senders();
    let sender = &senders.by_name[hook];
    let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    read(sender, &header, &Body::read(body.to_string().as_bytes(), false, sender.scheme).unwrap())
}

#[test]
fn senders_are_read_with_their_secrets_and_say_none() {
    let senders = senders();
    assert_eq!(senders.oldest_ready_max, std::time::Duration::from_secs(90));
    let Proof::Hmac { keys, form, .. } = &senders.by_name["code"].proof else { panic!("it signs") };
    assert_eq!((keys.len(), &keys[1][..], form), (2, &b"before"[..], &Form::GitHub));
    assert_eq!(senders.by_name["sync"].proof, Proof::Basic { user: "argo".into(), passwords: vec!["hidden".into()] });
    assert!(!format!("{senders:?}").contains("hidden"));
}

#[test]
fn wrong_senders_are_refused() {
    let folder = folder();
    for (wrong, part) in [
        ("hooks: {a: {scheme: github}}", "wants secret"),
        ("hooks: {a: {scheme: github, secret: hidden}}", "env:NAME or file:PATH"),
        ("hooks: {a: {scheme: github, secret: 'file:none'}}", "read the secret"),
        ("hooks: {a: {scheme: github, secret: []}}", "empty"),
        ("hooks: {a: {scheme: github, secret: 'file:key', token: 'file:key'}}", "wants secret"),
        ("hooks: {a: {scheme: alertmanager, user: u}}", "token, or user and password"),
        ("hooks: {a: {scheme: ado, token: 'file:key'}}", "user and password"),
        ("hooks: {a: {scheme: github, secret: 'file:key', signature_header: x}}", "belong to scheme: hmac"),
        ("hooks: {a: {scheme: hmac, secret: 'file:key', timestamp_header: x}}", "goes with signature_header"),
        ("hooks: {a: {scheme: hmac, secret: 'file:key', tolerance: soon}}", "no span of time"),
        ("hooks: {a: {scheme: gitlab, secret: 'file:key'}}", "gitlab"),
        ("hooks: {ado: {scheme: ado, user: u, password: 'file:key'}}", "door of its own"),
        ("hooks: {'A/b': {scheme: github, secret: 'file:key'}}", "no name of a hook"),
        ("hook: {}", "hook"),
    ] {
        let said = Senders::parse(wrong, folder.path()).unwrap_err();
        assert!(said.contains(part), "{wrong}: {said}");
    }
    assert!(Senders::read(Path::new("not-there.yaml")).is_err());
}

#[test]
fn each_sender_names_its_deliveries() {
    let pull = json!({"action": "opened", "repository": {"full_name": "acme/shop"}, "pull_request": {"number": 7}});
    let github = [("x-github-event", "pull_request"), ("x-github-delivery", "g-1")];
    let argo = json!({"app": {"metadata": {"name": "shop"}}, "event": "on-sync-failed"});
    let ado = json!({"eventType": "git.push", "id": "e", "subscriptionId": "s", "notificationId": 3});
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a Value, &'a str, &'a str, Option<&'a str>);
    let cases: [Case<'_>; 7] = [
        ("code", &github[..], &pull, "g-1", "pull_request.opened", Some("acme/shop#7")),
        (
            "code",
            &[("x-github-event", "ping"), ("x-github-delivery", "g-2")],
            &json!({"zen": "x"}),
            "g-2",
            "ping",
            None,
        ),
        ("sync", &[], &argo, "body-", "on-sync-failed", Some("shop")),
        ("devops", &[], &ado, "s/3", "git.push", None),
        ("shop", &[("webhook-id", "w-1")], &json!({"type": "invoice.paid"}), "w-1", "invoice.paid", None),
        ("shop", &[], &json!({}), "body-", "message", None),
        ("mine", &[("x-id", "m-1"), ("x-kind", "told")], &json!({"type": "other"}), "m-1", "told", None),
    ];
    for (hook, headers, body, id, event, subject) in cases {
        let read = delivery(hook, headers, body).unwrap();
        assert!(read.id.starts_with(id), "{hook}: {}", read.id);
        assert_eq!((read.event.as_str(), read.subject.as_deref()), (event, subject), "{hook}");
    }
    let long = delivery("shop", &[("webhook-id", &"x".repeat(1000))], &json!({})).unwrap();
    assert_eq!(long.id.len(), 67);
    assert!(delivery("code", &[("x-github-event", "push")], &pull).unwrap_err().contains("x-github-delivery"));
    assert!(delivery("devops", &[], &json!({"id": 1})).unwrap_err().contains("eventType"));
    assert!(delivery("alerts", &[], &json!({"status": "firing"})).unwrap_err().contains("no alerts"));
}

fn notification(alerts: &[(&str, &str, &str)]) -> Value {
    let alert = |(fingerprint, status, starts): &(&str, &str, &str)| {
        json!({
            "status": status, "fingerprint": fingerprint, "startsAt": starts, "endsAt": "2026-11-01T10:00:00Z",
            "labels": {"alertname": "Slow", "severity": "page"}, "annotations": {"summary": "it is slow"}, "generatorURL": "http://p/x",
        })
    };
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"Slow\"}", "status": "firing", "receiver": "r",
        "commonLabels": {"alertname": "Slow"}, "alerts": alerts.iter().map(alert).collect::<Vec<_>>(),
    })
}

#[test]
fn a_notification_that_is_repeated_is_the_same_and_a_changed_one_is_not() {
    const ONE: &str = "2026-11-01T06:00:00Z";
    const TWO: &str = "2026-11-01T07:00:00Z";
    let id = |alerts: &[(&str, &str, &str)]| delivery("alerts", &[], &notification(alerts)).unwrap().id;
    let first = id(&[("a", "firing", ONE), ("b", "firing", ONE)]);
    assert_eq!(id(&[("b", "firing", ONE), ("a", "firing", ONE)]), first);
    for other in [
        id(&[("a", "firing", ONE)]),
        id(&[("a", "firing", ONE), ("b", "firing", TWO)]),
        id(&[("a", "firing", ONE), ("b", "resolved", ONE)]),
    ] {
        assert_ne!(other, first);
    }
    // The other parts of a repetition may change: it still is one.
    let senders = senders();
    let sender = &senders.by_name["alerts"];
    let keys: Vec<_> = ["x", "y"]
        .iter()
        .map(|url| {
            let mut body = notification(&[("a", "firing", ONE)]);
            body["externalURL"] = json!(url);
            let body = Body::read(body.to_string().as_bytes(), false, Scheme::Alertmanager).unwrap();
            let delivery = read(sender, &|_: &str| None, &body).unwrap();
            frame(sender, &delivery, &body, 5).unwrap().idempotency
        })
        .collect();
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn alerts_are_rows_and_a_bad_one_takes_no_other_with_it() {
    let mut body = notification(&[("a", "firing", "2026-11-01T06:00:00Z"), ("b", "resolved", "2026-11-01T06:00:00Z")]);
    body["alerts"].as_array_mut().unwrap().push(json!({"status": "asleep"}));
    let senders = senders();
    let sender = &senders.by_name["alerts"];
    let body = Body::read(body.to_string().as_bytes(), false, Scheme::Alertmanager).unwrap();
    let frame = frame(sender, &read(sender, &|_: &str| None, &body).unwrap(), &body, 5).unwrap();
    let rows: Vec<_> = frame.batches.iter().map(|batch| (batch.table.name, batch.rows.num_rows())).collect();
    assert_eq!(rows, [("hook_event", 1), ("hook_alert", 2), ("reject", 1)]);
}

#[test]
fn bodies_are_json_or_a_form_and_of_some_senders_any_text() {
    let form = format!("payload={}", url::form_urlencoded::byte_serialize(b"{\"a\": 1}").collect::<String>());
    assert!(Body::read(form.as_bytes(), true, Scheme::GitHub).is_ok());
    assert!(Body::read(b"hello", false, Scheme::GitHub).unwrap_err().contains("no JSON"));
    assert!(Body::read(b"hello", false, Scheme::Hmac).is_ok());
    assert!(Body::read(b"\xff", false, Scheme::Hmac).unwrap_err().contains("UTF-8"));
    let kept = Body::kept("{\"a\":1}", 8, &"00".repeat(32)).unwrap();
    assert!(frame(&senders().by_name["shop"], &delivery("shop", &[], &json!({})).unwrap(), &kept, 5).is_ok());
    assert!(Body::kept("{", 1, "").is_err());
}

#[test]
fn what_azure_devops_sends_becomes_rows_of_its_own_tables() {
    let event = json!({"eventType": "x.y", "id": "e", "subscriptionId": "s", "notificationId": 3});
    let senders = senders();
    let sender = &senders.by_name["devops"];
    let body = Body::read(event.to_string().as_bytes(), false, Scheme::Ado).unwrap();
    let frame = frame(sender, &read(sender, &|_: &str| None, &body).unwrap(), &body, 5).unwrap();
    assert!(frame.batches.iter().any(|batch| batch.table.name == "ado_event"));
}
