#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;

const WHOLE: &str = "
channels:
  ops: {url: 'http://127.0.0.1:9/hook', secret: 'file:key'}
  chat: {kind: slack, url: 'https://hooks.slack.example/x'}
  team: {kind: teams, url: 'https://teams.example/x'}
  mail: {kind: email, server: 'mail.example', user: u, password: 'file:key', from: 'Stellwerk <s@x.example>', to: [a@x.example]}
routes:
  P1: {channels: [chat, ops], escalate: [{after: 15m, to: [mail]}, {after: 1h, to: [team, mail]}]}
  P3: {channels: [mail]}
hosts: ['127.0.0.1:9', example.org]
tickets: {organization: 'https://dev.azure.com/acme', auth: 'pat:env:ADO'}
";

#[test]
fn secrets_stand_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "hidden\n").unwrap();
    let settings = Settings::parse(WHOLE, folder.path()).unwrap();
    let Channel::Hook(ops) = &settings.channels["ops"] else { panic!("ops is a hook") };
    assert_eq!(ops.secret.as_deref(), Some(&b"hidden"[..]));
    assert!(!format!("{settings:?}").contains("hidden"));
    let allowed = |url: &str| settings.allows(&Url::parse(url).unwrap());
    assert!(allowed("http://127.0.0.1:9/x") && allowed("https://example.org/") && !allowed("http://127.0.0.1:10/"));
    let Channel::Email(mail) = &settings.channels["mail"] else { panic!("mail is mail") };
    assert_eq!((mail.port, mail.tls, mail.resend), (587, Tls::StartTls, false));
    let route = &settings.routes["P1"];
    assert_eq!(route.channels, ["chat", "ops"]);
    assert_eq!(route.escalate[1].after, Duration::from_secs(3600));
    assert_eq!(settings.tickets.unwrap().closed, "Done");
}

#[test]
fn the_example_is_one() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ops.key", "mail.key"] {
        std::fs::write(folder.path().join(name), "hidden").unwrap();
    }
    std::fs::write(folder.path().join("acknowledge.key"), "0123456789abcdef").unwrap();
    std::fs::write(folder.path().join("teams.url"), "https://teams.example/x").unwrap();
    // A test does not change its environment.
    let example = EXAMPLE.replace("env:SLACK_URL", "https://slack.example/x");
    let settings = Settings::parse(&example, folder.path()).unwrap();
    assert!(settings.routes.len() == 3 && settings.acknowledge.is_some());
}

#[test]
fn what_is_wrong_is_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "hidden\n").unwrap();
    std::fs::write(folder.path().join("empty"), "\n").unwrap();
    let mail = "kind: email, from: a@x.example, to: [b@x.example]";
    for (wrong, part) in [
        ("channels: {ops: {url: 'http://x/', secret: 'plain'}}".to_owned(), "stands elsewhere"),
        ("channels: {ops: {url: 'http://x/', secret: 'file:empty'}}".to_owned(), "is empty"),
        ("channels: {ops: {url: 'ftp://x/'}}".to_owned(), "neither http"),
        ("channels: {ops: {url: 'http://x/', secret: 'file:none'}}".to_owned(), "read "),
        ("channels: {ops: {kind: slack, url: 'http://x/', secret: 'file:key'}}".to_owned(), "leave secret out"),
        ("channels: {ops: {kind: pager, url: 'http://x/'}}".to_owned(), "pager"),
        ("channels: {ops: {kind: teams}}".to_owned(), "url is missing"),
        (format!("channels: {{ops: {{{mail}}}}}"), "server is missing"),
        (format!("channels: {{ops: {{{mail}, server: 'x:high'}}}}"), "no port"),
        (format!("channels: {{ops: {{{mail}, server: x, user: u}}}}"), "go together"),
        (format!("channels: {{ops: {{{mail}, server: x, user: u, password: 'file:key', tls: none}}}}"), "in the clear"),
        ("channels: {ops: {kind: email, server: x, from: nobody, to: [b@x.example]}}".to_owned(), "no address"),
        ("channels: {a: {url: 'http://x/'}}\nroutes: {a: {channels: [a]}}".to_owned(), "another name"),
        ("routes: {P1: {channels: [a]}}".to_owned(), "no channel a"),
        ("routes: {P1: {channels: []}}".to_owned(), "empty"),
        ("channels: {a: {url: 'http://x/'}}\nroutes: {P1: {channels: [a], escalate: [{after: 5m, to: [a]}, {after: 5m, to: [a]}]}}".to_owned(), "comes later"),
        ("chanels: {}".to_owned(), "chanels"),
        ("acknowledge: {url: 'https://x', secret: 'file:key'}".to_owned(), "acknowledge: its secret has 6 bytes"),
    ] {
        let said = Settings::parse(&wrong, folder.path()).unwrap_err();
        assert!(said.contains(part), "{wrong}: {said}");
    }
}
