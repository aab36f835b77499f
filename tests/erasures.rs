//! Retention, holds and erasures over HTTP: the platform's alone, and whoever asked for an erasure does not approve it, by
//! whichever of its keys.

use serde_json::{Value, json};

use crate::harness::{Ground, Http, Server};
use crate::records::{PROTOBUF, logs};

const NAME: &str = "Ottokar Federkiel";

fn call(http: &mut Http, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let reply = http.send(method, path, &[("content-type", "application/json")], body).expect("a reply");
    (reply.status, serde_json::from_slice(&reply.body).unwrap_or(Value::Null))
}

fn key(ground: &Ground, args: &[&str]) -> Value {
    let made = ground.run(&[&["key", "create"][..], args, &["--format", "json"]].concat()).ok();
    serde_json::from_str(&made.stdout).expect("JSON")
}

fn with(server: &Server, key: &Value) -> Http {
    Http::new(server.address, key["key"].as_str().expect("a key"))
}

const ROUTES: &[(&str, &str)] = &[
    ("GET", "/retention"),
    ("POST", "/retention/run"),
    ("GET", "/holds"),
    ("POST", "/holds"),
    ("POST", "/holds/x/release"),
    ("GET", "/erasures"),
    ("POST", "/erasures"),
    ("GET", "/erasures/x"),
    ("POST", "/erasures/x/approve"),
    ("POST", "/erasures/x/run"),
    ("POST", "/erasures/x/cancel"),
    ("GET", "/erasures/x/proof"),
];

fn only_the_platform_may(ground: &Ground, server: &Server) {
    let tenant = key(ground, &["admin", "--tenant", "acme", "--scope", "admin"]);
    let reader = key(ground, &["reader", "--scope", "read,write,audit,keys"]);
    for mut http in [with(server, &tenant), with(server, &reader)] {
        for (method, path) in ROUTES {
            let (status, said) = call(&mut http, method, path, &json!({"reason": "r", "subject": [NAME]}));
            assert_eq!(status, 403, "{method} {path}: {said}");
        }
    }
    let narrowed = [("x-stellwerk-tenant", "acme")];
    let reply = server.connect().send("GET", "/holds", &narrowed, "").expect("a reply");
    assert_eq!(reply.status, 403, "{}", reply.text());
}

#[test]
fn a_subject_is_erased_over_http_by_two() {
    let ground = Ground::new();
    let server = Server::start(&ground, &[]);
    let bodies = [format!("session of {NAME} ended"), "nobody came".to_owned()];
    assert_eq!(server.connect().post("/v1/logs", PROTOBUF, logs("shop", &bodies)).status, 200);
    only_the_platform_may(&ground, &server);

    let mut officer = server.connect();
    for (path, body) in [
        ("/holds", json!({"tables": "otel_*"})),
        ("/holds", json!({"tables": "nowhere*", "reason": "matter 3"})),
        ("/holds", json!({"tables": "*", "reason": "matter 3", "until": "2030-01-01"})),
        ("/erasures", json!({"subject": ["Bo"], "reason": "request 1"})),
        ("/erasures", json!({"subject": [NAME], "reason": " "})),
    ] {
        let (status, said) = call(&mut officer, "POST", path, &body);
        assert_eq!(status, 400, "{path} {body}: {said}");
    }
    let (status, hold) = call(&mut officer, "POST", "/holds", &json!({"tables": "otel_*", "reason": "matter 3"}));
    assert_eq!(status, 201, "{hold}");
    let hold = hold["id"].as_str().expect("an id").to_owned();
    let (_, stands) = call(&mut officer, "GET", "/retention", &Value::Null);
    let log = stands.as_array().expect("a list").iter().find(|t| t["table"] == "otel_log").expect("otel_log").clone();
    assert_eq!((&log["keep"], &log["holds"]), (&json!("30d"), &json!([hold])), "{log}");

    let asker = key(&ground, &["asker", "--scope", "operate,keys"]);
    let mut asking = with(&server, &asker);
    let wish = json!({"subject": [NAME], "reason": "request 1"});
    let (status, plan) = call(&mut asking, "POST", "/erasures", &wish);
    assert_eq!((status, &plan["state"]), (201, &json!("planned")), "{plan}");
    assert!(!plan.to_string().contains("Federkiel"), "a plan does not name the subject: {plan}");
    assert_eq!(plan["plan"]["held"][0]["hold"], json!(hold), "{plan:#}");
    let at = |what: &str| format!("/erasures/{}{what}", plan["id"].as_str().expect("an id"));
    assert_eq!(call(&mut officer, "GET", &at("/proof"), &Value::Null).0, 404, "it was not run");
    assert_eq!(call(&mut officer, "POST", &at("/run"), &Value::Null).0, 409, "it was not approved");

    // Neither the asker's key nor the one in its place; the operator of the data directory is somebody else.
    let (status, said) = call(&mut asking, "POST", &at("/approve"), &Value::Null);
    assert!(status == 403 && said["error"].as_str().is_some_and(|e| e.contains("somebody else")), "{said}");
    let rotate = format!("/keys/{}/rotate", asker["id"].as_str().expect("an id"));
    let (status, successor) = call(&mut asking, "POST", &rotate, &json!({"overlap_s": 3600}));
    assert_eq!(status, 201, "{successor}");
    assert_eq!(call(&mut with(&server, &successor), "POST", &at("/approve"), &Value::Null).0, 403, "the same hand");
    let (status, approved) = call(&mut officer, "POST", &at("/approve"), &Value::Null);
    assert_eq!((status, &approved["state"]), (200, &json!("approved")), "{approved}");

    let (status, said) = call(&mut asking, "POST", &at("/run"), &Value::Null);
    assert!(status == 409 && said.to_string().contains(&hold), "{said}");
    let release = format!("/holds/{hold}/release");
    assert_eq!(call(&mut officer, "POST", &release, &json!({})).0, 400, "a release has a reason");
    assert_eq!(call(&mut officer, "POST", &release, &json!({"reason": "closed"})).0, 204);
    assert_eq!(call(&mut officer, "POST", &release, &json!({"reason": "closed"})).0, 404);
    let (_, holds) = call(&mut officer, "GET", "/holds", &Value::Null);
    assert_eq!((&holds[0]["id"], &holds[0]["release_reason"]), (&json!(hold), &json!("closed")));

    let (status, done) = call(&mut asking, "POST", &at("/run"), &Value::Null);
    assert_eq!((status, &done["state"]), (200, &json!("done")), "{done:#}");
    let salt = hex::decode(done["salt"].as_str().expect("the salt, told once")).expect("hexadecimal");
    let (status, proven) = call(&mut officer, "GET", &at("/proof"), &Value::Null);
    assert_eq!((status, &proven["holds"]), (200, &json!(true)), "{proven:#}");
    assert_eq!(proven["commitment"], json!(ledger::erase::commitment(&salt, &[NAME.to_owned()])));
    assert_eq!(call(&mut officer, "GET", &at(""), &Value::Null).1["salt"], Value::Null, "told once");
    assert_eq!(server.sql("SELECT body FROM otel_log").rows, [["nobody came"]]);

    // The key that lies in the data directory is its operator's: what one asks for the other does not approve.
    let (_, second) = call(&mut officer, "POST", "/erasures", &json!({"subject": ["Rosalinde Uhu"], "reason": "r 2"}));
    let second = second["id"].as_str().expect("an id").to_owned();
    let refused = ground.run(&["erase", "approve", &second]);
    assert!(refused.code == Some(2) && refused.stderr.contains("somebody else"), "{}", refused.stderr);
    let (status, given_up) = call(&mut officer, "POST", &format!("/erasures/{second}/cancel"), &Value::Null);
    assert_eq!((status, &given_up["state"]), (200, &json!("cancelled")), "{given_up}");
    assert_eq!(call(&mut officer, "POST", "/retention/run", &Value::Null).0, 200);
    let (_, all) = call(&mut officer, "GET", "/erasures", &Value::Null);
    assert_eq!(all.as_array().map(Vec::len), Some(2), "{all}");

    let told = "SELECT action, actor FROM audit WHERE outcome = 'done'
        AND (action LIKE 'hold.%' OR action IN ('erase.plan', 'erase.approve', 'erase.begin', 'erase.proof', 'erase.cancel',
        'retention.run')) ORDER BY seq";
    let rows = server.sql(told).rows;
    let told: Vec<(&str, &str)> = rows.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    let by = |actor: &'static str, action: &'static str| (action, actor);
    assert_eq!(
        told,
        [
            by("bootstrap", "hold.add"),
            by("asker", "erase.plan"),
            by("bootstrap", "erase.approve"),
            by("bootstrap", "hold.release"),
            by("asker", "erase.begin"),
            by("asker", "erase.proof"),
            by("bootstrap", "erase.plan"),
            by("bootstrap", "erase.cancel"),
            by("bootstrap", "retention.run"),
        ]
    );
    let denied = "SELECT sum(occurrences) FROM audit WHERE action = 'erase.approve' AND outcome = 'denied'";
    assert_eq!(server.cell(denied), "3");
    assert_eq!(server.stop().0, Some(0));
    let verified = ground.run(&["audit", "verify"]).ok().stdout;
    assert!(verified.contains("nothing was changed"), "{verified}");
}
