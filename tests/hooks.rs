//! Web hooks of others through the real binary: proven, durable before the answer, followed by rules, told; `kill -9` in
//! between, replays, and the answer when too much waits.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Ground, Reply, Server};
use crate::rules::receiver::{Receiver, hmac};

const ALERT_RULE: &str = "-- ---
-- owner: platform
-- on: [hook_alert]
-- key: [fingerprint, starts_at]
-- new: notify(\"ops\", \"{alertname}: {summary}\")
-- resolved: notify(\"ops\", \"{alertname} is over\")
-- ---
SELECT fingerprint, starts_at, alertname, summary FROM hook_alert WHERE status = 'firing'
";

const PULL_RULE: &str = "-- ---
-- owner: platform
-- on: [hook_event]
-- key: [delivery_id]
-- new: notify(\"ops\", \"{subject} was opened: {title}\")
-- ---
SELECT delivery_id, subject, body->'pull_request'->>'title' AS title FROM hook_event
WHERE hook = 'code' AND event = 'pull_request.opened' AND received_at > $now - INTERVAL '1' DAY
";

struct Trial {
    ground: Ground,
    receiver: Receiver,
    args: [String; 6],
}

impl Trial {
    fn new(more: &str) -> Trial {
        let (ground, receiver) = (Ground::new(), Receiver::start());
        let rules = ground.beside("rules");
        fs::create_dir_all(&rules).unwrap();
        fs::write(rules.join("alert.sql"), ALERT_RULE).unwrap();
        fs::write(rules.join("pull.sql"), PULL_RULE).unwrap();
        fs::write(ground.beside("key"), "hidden").unwrap();
        let (actions, hooks) = (ground.beside("actions.yaml"), ground.beside("hooks.yaml"));
        fs::write(
            &actions,
            format!("channels: {{ops: {{url: 'http://{}/ops', secret: 'file:key'}}}}\n", receiver.address()),
        )
        .unwrap();
        let senders = "hooks:\n  code: {scheme: github, secret: 'file:key', tenant: acme}\n  alerts: {scheme: alertmanager, token: 'file:key'}\n";
        fs::write(&hooks, format!("{senders}{more}")).unwrap();
        let path = |path: std::path::PathBuf| path.display().to_string();
        let args = [
            "--rules".to_owned(),
            path(rules),
            "--actions".to_owned(),
            path(actions),
            "--hooks".to_owned(),
            path(hooks),
        ];
        Trial { ground, receiver, args }
    }

    fn serve(&self) -> Server {
        Server::start(&self.ground, &self.args.each_ref().map(String::as_str))
    }

    fn wait(&self, count: usize) {
        let begun = Instant::now();
        while self.receiver.keys().len() < count {
            assert!(begun.elapsed() < Duration::from_secs(60), "{count} messages: {:?}", self.receiver.texts());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn pull(server: &Server, delivery: &str, title: &str) -> Reply {
    let body = json!({
        "action": "opened", "repository": {"full_name": "acme/shop"}, "pull_request": {"number": 7, "title": title},
    });
    let body = body.to_string();
    let signature = format!("sha256={}", hmac(b"hidden", body.as_bytes()));
    let headers = [
        ("content-type", "application/json"),
        ("authorization", ""),
        ("x-github-event", "pull_request"),
        ("x-github-delivery", delivery),
        ("x-hub-signature-256", &signature),
    ];
    server.connect().send("POST", "/hooks/code", &headers, body).unwrap()
}

fn alert(server: &Server, token: &str, status: &str, starts: &str) -> Reply {
    let body = json!({
        "version": "4", "groupKey": "{}:{alertname=\"Slow\"}", "status": status, "receiver": "stellwerk",
        "commonLabels": {"alertname": "Slow"}, "externalURL": "http://alertmanager", "truncatedAlerts": 0,
        "alerts": [{
            "status": status, "fingerprint": "f1", "startsAt": starts, "endsAt": "2026-11-01T09:00:00Z",
            "labels": {"alertname": "Slow", "severity": "page"}, "annotations": {"summary": "p99 is 2 s"}, "generatorURL": "",
        }],
    });
    let authorization = format!("Bearer {token}");
    let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
    server.connect().send("POST", "/hooks/alerts", &headers, body.to_string()).unwrap()
}

const STARTS: &str = "2026-11-01T06:00:00Z";

fn said(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn an_alert_and_a_pull_request_become_messages() {
    let trial = Trial::new("");
    let server = trial.serve();
    let taken = pull(&server, "g-1", "Faster");
    assert_eq!(taken.status, 202, "{}", taken.text());
    assert_eq!(said(&taken), json!({"delivery_id": "g-1", "event": "pull_request.opened", "repeated": false}));
    assert_eq!(alert(&server, "hidden", "firing", STARTS).status, 202);
    trial.wait(2);
    let mut texts = trial.receiver.texts();
    texts.sort();
    assert_eq!(texts, ["Slow: p99 is 2 s", "acme/shop#7 was opened: Faster"]);
    assert!(trial.receiver.signed(b"hidden"));

    // What comes again adds nothing; the same alert in another state does.
    assert_eq!(said(&pull(&server, "g-1", "Faster"))["repeated"], true);
    assert_eq!(said(&alert(&server, "hidden", "firing", STARTS))["repeated"], true);
    assert_eq!(alert(&server, "hidden", "resolved", STARTS).status, 202);
    trial.wait(3);
    assert_eq!(trial.receiver.texts()[2], "Slow is over");
    // An old word of the alert that comes late changes nothing any more.
    assert_eq!(server.cell("SELECT status FROM hook_alert"), "resolved");
    assert_eq!(pull(&server, "g-1", "Otherwise").status, 409);

    let rows = server.sql("SELECT hook, event, delivery_id, tenant FROM hook_event WHERE hook = 'code'").rows;
    assert_eq!(rows, [["code", "pull_request.opened", "g-1", "acme"]]);
    let listed = trial.ground.run(&["hook", "list", "code", "--json"]).ok().stdout;
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap()[0]["delivery_id"], "g-1");

    // A replay is a new delivery that rules act on.
    let replayed = trial.ground.run(&["hook", "replay", "g-1"]).ok().stdout;
    let replayed: Value = serde_json::from_str(&replayed).unwrap();
    assert_eq!(replayed, json!([{"delivery_id": "g-1~1", "replay_of": "g-1"}]));
    trial.wait(4);
    assert_eq!(trial.receiver.texts()[3], "acme/shop#7 was opened: Faster");
    let again: Value = serde_json::from_str(&trial.ground.run(&["hook", "replay", "g-1"]).ok().stdout).unwrap();
    assert_eq!(again[0]["delivery_id"], "g-1~2");
    let wrong = trial.ground.run(&["hook", "replay", "g-9"]);
    assert!(wrong.code != Some(0) && wrong.stderr.contains("no delivery g-9"), "{}", wrong.stderr);
    let wide = trial.ground.run(&["hook", "replay"]);
    assert!(wide.code != Some(0) && wide.stderr.contains("say which deliveries"), "{}", wide.stderr);
    // Replays of alerts say what was, not what is.
    let from = ["hook", "replay", "--hook", "alerts", "--since", "2026-01-01T00:00:00Z"];
    let replayed: Value = serde_json::from_str(&trial.ground.run(&from).ok().stdout).unwrap();
    assert_eq!(replayed.as_array().map(Vec::len), Some(2), "{replayed}");
    assert_eq!(server.cell("SELECT status FROM hook_alert"), "resolved");
}

#[test]
fn who_does_not_prove_it_is_turned_away() {
    let trial = Trial::new("");
    let server = trial.serve();
    let mut http = server.connect();
    let body = json!({"action": "opened"}).to_string();
    let wrong = format!("sha256={}", hmac(b"other", body.as_bytes()));
    let github = [("x-github-event", "pull_request"), ("x-github-delivery", "g-1")];
    for more in [None, Some(("x-hub-signature-256", wrong.as_str())), Some(("x-hub-signature-256", "sha256="))] {
        let headers: Vec<(&str, &str)> = github.into_iter().chain(more).collect();
        assert_eq!(http.send("POST", "/hooks/code", &headers, body.clone()).unwrap().status, 401, "{more:?}");
    }
    // The platform's own key is no proof of being GitHub, nor is a key needed where there is one.
    assert_eq!(alert(&server, "other", "firing", STARTS).status, 401);
    assert_eq!(http.post("/hooks/nobody", "application/json", "{}").status, 404);
    assert_eq!(server.cell("SELECT count(*) FROM hook_event"), "0");
    let signature = format!("sha256={}", hmac(b"hidden", b"not json"));
    let headers = [github[0], github[1], ("x-hub-signature-256", signature.as_str())];
    let refused = http.send("POST", "/hooks/code", &headers, "not json").unwrap();
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(server.cell("SELECT kind || ' ' || body FROM reject"), "hook not json");
    let denied = server.cell("SELECT count(*) FROM audit WHERE action = 'hook.send' AND outcome = 'denied'");
    assert!(denied.parse::<u32>().unwrap() > 0);
}

#[test]
fn what_was_acknowledged_is_told_although_the_server_is_killed() {
    let trial = Trial::new("");
    // It answers late and, at first, with errors: there is always something on its way when the server dies.
    trial.receiver.slow(Duration::from_millis(20), 3);
    const ROUNDS: usize = 6;
    for round in 0..ROUNDS {
        let mut server = trial.serve();
        for at in 0..3 {
            let taken = pull(&server, &format!("g-{round}-{at}"), "x");
            assert_eq!(taken.status, 202, "{}", taken.text());
        }
        std::thread::sleep(Duration::from_millis(15 * round as u64));
        server.kill9();
    }
    let server = trial.serve();
    trial.wait(3 * ROUNDS);
    let begun = Instant::now();
    while server.cell("SELECT count(*) FROM job") != "0" {
        assert!(begun.elapsed() < Duration::from_secs(60), "jobs are still open");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Every delivery has one row, one job and one name; whoever remembers names heard of each once.
    let wanted = (3 * ROUNDS).to_string();
    assert_eq!(server.cell("SELECT count(*) FROM hook_event"), wanted);
    assert_eq!(server.sql("SELECT count(*), count(DISTINCT dedupe) FROM job_done").rows, [[wanted.as_str(), &wanted]]);
    assert_eq!(trial.receiver.keys().len(), 3 * ROUNDS);
}

#[test]
fn while_jobs_wait_too_long_senders_are_told_to_come_back() {
    let trial = Trial::new("oldest_ready_max: 300ms\n");
    trial.receiver.slow(Duration::from_secs(6), 0);
    let server = trial.serve();
    // While the first is being told, more arrive than are taken up together: the others are ready, and wait.
    for at in 0..80 {
        let status = pull(&server, &format!("g-{at}"), "x").status;
        if status == 429 {
            break;
        }
        assert_eq!(status, 202);
    }
    let begun = Instant::now();
    while pull(&server, "late", "x").status != 429 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody was told to come back");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Alertmanager takes 429 for a refusal.
    assert_eq!(alert(&server, "hidden", "firing", STARTS).status, 503);
    trial.receiver.slow(Duration::ZERO, 0);
    let begun = Instant::now();
    while alert(&server, "hidden", "firing", STARTS).status != 202 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody may come back");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn wrong_settings_of_hooks_keep_the_server_from_starting() {
    let trial = Trial::new("  ado: {scheme: ado, user: u, password: 'file:key'}\n");
    let args = trial.args.each_ref().map(String::as_str);
    let why = Server::try_start(&trial.ground, &args).err().unwrap();
    assert!(why.contains("door of its own"), "{why}");
}
