//! Policies through the real binary: suites, and audits of stored objects with and without a server.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Done, Ground, Server, command};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/policies")
}

fn test(args: &[&str]) -> (Option<i32>, String) {
    let output = command(&[&["policy", "test"][..], args].concat()).output().expect("the binary starts");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn suites_are_run_as_gator_runs_them() {
    let folder = fixtures();
    let path = |name: &str| folder.join(name).display().to_string();
    let (code, said) = test(&[&path("owner"), &path("replicas/suite.yaml"), "-v"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("--- PASS: known-owner") && said.contains("ok\t") && said.contains("9 of 9 cases passed"),
        "{said}"
    );
    let (code, said) = test(&[&path("unreadable")]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--- DENY: denies") && said.contains("http.send"), "{said}");
    let (code, said) = test(&[&path(""), "--json", "--run", "^one$", "--engine", "both"]);
    let document: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &document["summary"]["passed"]), (Some(0), &json!(1)), "{said}");
    let empty = tempfile::tempdir().expect("a temporary folder");
    assert_eq!(test(&[empty.path().to_str().expect("UTF-8")]).0, Some(2));
}

/// A file of objects for `ingest k8s`.
fn objects(ground: &Ground, name: &str, items: &[Value]) -> String {
    let path = ground.beside(name);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    fs::write(&path, list.to_string()).expect("a file is written");
    path.display().to_string()
}

fn object(version: &str, kind: &str, namespace: &str, name: &str, team: Option<&str>) -> Value {
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace, "uid": format!("{kind}-{namespace}-{name}")}});
    if let Some(team) = team {
        object["metadata"]["labels"] = json!({"team": team});
    }
    object
}

fn audit(ground: &Ground) -> Value {
    let folder = fixtures().display().to_string();
    let done: Done = ground.run(&["policy", "audit", "--policies", &folder, "--format", "json"]);
    assert_eq!(done.code, Some(1), "{}{}", done.stdout, done.stderr);
    serde_json::from_str(&done.stdout).expect("JSON")
}

const VIOLATIONS: &str = "SELECT constraint_name, enforcement_action, kind, namespace, name, message FROM policy_violation \
    WHERE NOT is_failure ORDER BY 1, 3, 4, 5, 6";

#[test]
fn an_audit_holds_the_stored_objects_against_the_policies() {
    let ground = Ground::new();
    let first = objects(
        &ground,
        "first.json",
        &[
            object("v1", "Pod", "coast", "drifting", None),
            object("v1", "Pod", "kube-system", "proxy", None),
            object("v1", "Pod", "coast", "lighthouse", Some("harbour")),
            object("apps/v1", "Deployment", "coast", "brig", Some("pirates")),
            object("v1", "Service", "coast", "bell", Some("harbour")),
            object("v1", "Service", "island", "bell", Some("harbour")),
            object("v1", "ConfigMap", "coast", "chart", Some("harbour")),
        ],
    );
    ground.run(&["ingest", "k8s", &first, "--cluster", "sea"]).ok();
    let report = audit(&ground);
    let cluster = &report["clusters"][0];
    assert_eq!((&cluster["objects"], &cluster["violations"], &cluster["failures"]), (&json!(7), &json!(8), &json!(1)));
    let expected: [[&str; 6]; 5] = [
        [
            "known-owner",
            "deny",
            "Deployment",
            "coast",
            "brig",
            "brig is owned by \"pirates\", who is none of [\"harbour\", \"signal\"]",
        ],
        ["known-owner", "deny", "Pod", "coast", "drifting", "Pod drifting has no label team"],
        ["one-name-one-service", "dryrun", "Service", "coast", "bell", "there is a service bell in island already"],
        ["one-name-one-service", "dryrun", "Service", "island", "bell", "there is a service bell in coast already"],
        ["two-to-five", "deny", "Deployment", "coast", "brig", "too few replicas: 1"],
    ];
    let mut rows = ground.ask(VIOLATIONS);
    // The rule that only warns names the pods without a label too.
    rows.retain(|row| row[0] != "any-owner");
    assert_eq!(rows, expected);
    let failure = ground.ask("SELECT constraint_name, name, message FROM policy_violation WHERE is_failure");
    assert!(failure[0][..2] == ["abroad", "chart"] && failure[0][2].contains("http.send"), "{failure:?}");

    // A server runs; one violation is mended, one object is new.
    let server = Server::start(&ground, &[]);
    let second = objects(
        &ground,
        "second.json",
        &[object("v1", "Pod", "coast", "drifting", Some("signal")), object("v1", "Pod", "coast", "raft", None)],
    );
    ground.run(&["ingest", "k8s", &second, "--cluster", "sea"]).ok();
    let report = audit(&ground);
    assert_ne!(report["clusters"][0]["vanished"], json!(0), "{report}");
    let pods = "SELECT name FROM policy_violation WHERE kind = 'Pod' AND constraint_name = 'known-owner'";
    assert_eq!(server.sql(pods).rows, [["raft"]]);
    let runs = server.sql("SELECT \"cluster\", objects, failures FROM policy_audit ORDER BY audited_at");
    assert_eq!(runs.rows, [["sea", "7", "1"], ["sea", "8", "1"]]);
    assert_eq!(server.cell("SELECT count(DISTINCT audit_run) FROM policy_violation"), "1");

    let none = ground.beside("none");
    fs::create_dir(&none).expect("a folder");
    let refused = ground.run(&["policy", "audit", "--policies", none.to_str().expect("UTF-8")]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
}
