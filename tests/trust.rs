//! Access, the directory and the audit log through the real binary: keys that end and rotate, folders that are applied,
//! tampering below everything that is found, and a kill that loses no acknowledged row.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use engine::sqlx::{self, AssertSqlSafe};
use serde_json::{Value, json};

use crate::harness::{Ground, Http, Server, run};
use crate::records::logs;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

fn create(ground: &Ground, args: &[&str]) -> Value {
    let done = ground.run(&[&["key", "create"][..], args, &["--format", "json"]].concat()).ok();
    serde_json::from_str(&done.stdout).expect("JSON")
}

fn text<'a>(document: &'a Value, field: &str) -> &'a str {
    document[field].as_str().unwrap_or_else(|| panic!("{field} in {document}"))
}

/// Status of a question, and of a log record, with a key.
fn statuses(server: &Server, key: &str) -> [u16; 2] {
    let mut http = Http::new(server.address, key);
    let asked = http.post("/sql", JSON, r#"{"sql": "SELECT 1"}"#).status;
    [asked, http.post("/v1/logs", PROTOBUF, logs("trust", &["one".to_owned()])).status]
}

fn send(http: &mut Http, method: &str, path: &str, body: Value) -> (u16, Value) {
    let reply = http.send(method, path, &[("content-type", JSON)], body.to_string()).expect("a reply");
    (reply.status, serde_json::from_slice(&reply.body).unwrap_or(Value::Null))
}

/// Runs statements on the state database of a stopped server, as somebody with a shell would.
fn tamper(ground: &Ground, statements: &[&str]) {
    let path = ground.data().join("state.db");
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(path)).await.expect("the file opens");
        for statement in statements {
            sqlx::query(AssertSqlSafe(*statement)).execute(&pool).await.unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
        pool.close().await;
    });
}

fn verify(ground: &Ground, args: &[&str]) -> (Option<i32>, Value) {
    let done = ground.run(&[&["audit", "verify", "--json"][..], args].concat());
    let found = serde_json::from_str(&done.stdout);
    (done.code, found.unwrap_or_else(|e| panic!("{e}: {} {}", done.stdout, done.stderr)))
}

#[test]
fn keys_have_scopes_an_end_and_successors() {
    let ground = Ground::new();
    let made = create(&ground, &["early", "--tenant", "acme", "--scope", "read", "--expires", "1h"]);
    assert!(made["expires_at"].is_string() && text(&made, "scopes") == "read", "without a server: {made}");
    let server = Server::start(&ground, &[]);
    assert_eq!(statuses(&server, text(&made, "key")), [200, 403], "a reader does not write");
    let writer = create(&ground, &["collector", "--tenant", "acme", "--scope", "write"]);
    assert_eq!(statuses(&server, text(&writer, "key")), [403, 200], "with a server; a writer does not read");

    let brief = create(&ground, &["brief", "--tenant", "acme", "--expires", "8s"]);
    assert_eq!(statuses(&server, text(&brief, "key")), [200, 200]);
    std::thread::sleep(Duration::from_secs(9));
    assert_eq!(statuses(&server, text(&brief, "key")), [401, 401], "believed no longer than it lives");

    // A tenant's own admin works over HTTP, and on its tenant only.
    let admin = create(&ground, &["admin", "--tenant", "acme", "--scope", "admin"]);
    let mut http = Http::new(server.address, text(&admin, "key"));
    let (status, own) = send(&mut http, "POST", "/keys", json!({"name": "own", "scopes": "read"}));
    assert_eq!((status, text(&own, "tenant")), (201, "acme"), "{own}");
    assert_eq!(send(&mut http, "POST", "/keys", json!({"name": "x", "tenant": "rival"})).0, 403);
    let (status, next) =
        send(&mut http, "POST", &format!("/keys/{}/rotate", text(&own, "id")), json!({"overlap_s": 3600}));
    assert_eq!((status, text(&next, "rotated_from")), (201, text(&own, "id")), "{next}");
    for key in [&own, &next] {
        assert_eq!(statuses(&server, text(key, "key"))[0], 200, "both are good in the overlap");
    }
    let (status, _) = send(&mut http, "DELETE", &format!("/keys/{}", text(&own, "id")), Value::Null);
    assert_eq!((status, statuses(&server, text(&own, "key"))[0]), (204, 401), "ended at once");
    let foreign = create(&ground, &["theirs", "--tenant", "rival"]);
    assert_eq!(send(&mut http, "DELETE", &format!("/keys/{}", text(&foreign, "id")), Value::Null).0, 404);
    let (_, listed) = send(&mut http, "GET", "/keys", Value::Null);
    assert!(listed.as_array().is_some_and(|keys| keys.iter().all(|key| key["tenant"] == "acme")), "{listed}");

    let rotated = ground.run(&["key", "rotate", text(&foreign, "id"), "--overlap", "0s"]).ok().stdout;
    assert_eq!((statuses(&server, text(&foreign, "key"))[0], statuses(&server, rotated.trim())[0]), (401, 200));

    // The log says who, what and why; a tenant sees its own part.
    let (_, rows) = send(
        &mut http,
        "POST",
        "/sql",
        json!({"sql": "SELECT action, actor, tenant, reason FROM audit WHERE action LIKE 'key.%' ORDER BY seq"}),
    );
    let rows = rows["rows"].as_array().expect("rows").clone();
    assert!(rows.iter().all(|row| row["tenant"] == "acme"), "{rows:?}");
    let has = |action: &str, actor: &str, reason: &str| {
        rows.iter().any(|row| row["action"] == action && row["actor"] == actor && text(row, "reason").contains(reason))
    };
    assert!(
        has("key.create", "operator", "operator of the data directory") || has("key.create", "operator", "listener"),
        "{rows:?}"
    );
    assert!(
        has("key.rotate", "admin", "has the scope keys") && has("key.revoke", "admin", text(&admin, "id")),
        "{rows:?}"
    );
    let denied = server.sql("SELECT sum(occurrences) FROM audit WHERE outcome = 'denied' AND reason = 'expired key'");
    assert_eq!(denied.rows, [["4"]], "of the brief one, and of the one that was rotated away at once");
    assert_eq!(server.stop().0, Some(0));
    let (code, found) = verify(&ground, &[]);
    assert_eq!(code, Some(0), "{found:#}");
}

const FOLDER: &[(&str, &str)] = &[
    (
        "tenants.yaml",
        "apiVersion: stellwerk/v1\nkind: Tenant\nmetadata: {name: acme, title: Acme}\nspec: {owner: web, costCenter: cc1}\n---\napiVersion: stellwerk/v1\nkind: Tenant\nmetadata: {name: globex}\nspec: {}\n",
    ),
    (
        "acme/teams.yaml",
        "apiVersion: stellwerk/v1\nkind: Team\nmetadata: {name: web, namespace: acme}\nspec: {members: [{name: ana, role: lead}]}\n---\napiVersion: stellwerk/v1\nkind: Member\nmetadata: {name: ana, namespace: acme}\nspec: {profile: {email: ana@acme.example}}\n",
    ),
    (
        "acme/catalog-info.yaml",
        "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: shop, namespace: acme}\nspec: {type: service, lifecycle: production, owner: 'group:acme/web'}\n",
    ),
    (
        "shared.yaml",
        "apiVersion: stellwerk/v1\nkind: CostCenter\nmetadata: {name: cc1}\nspec: {code: '100'}\n---\napiVersion: stellwerk/v1\nkind: Grant\nmetadata: {name: web-sees-globex}\nspec: {to: 'team:acme/web', tenants: [globex]}\n",
    ),
];

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
        fs::write(path, text).expect("a file is written");
    }
}

#[test]
fn a_folder_is_planned_and_applied_with_and_without_a_server() {
    let ground = Ground::new();
    let folder = ground.beside("tenants");
    write(&folder, FOLDER);
    let folder = folder.to_str().expect("UTF-8").to_owned();
    let apply = |args: &[&str]| ground.run(&[&["tenant", "apply", folder.as_str()][..], args].concat());
    let planned = apply(&["--dry-run"]);
    assert_eq!(planned.code, Some(1), "{}{}", planned.stdout, planned.stderr);
    assert!(planned.stdout.contains("+ Tenant acme") && planned.stdout.contains("7 to create"), "{}", planned.stdout);
    let done = apply(&[]).ok().stdout;
    assert!(done.contains("applied as version 1"), "{done}");
    assert!(apply(&[]).ok().stdout.contains("nothing to do, version 1"));
    assert_eq!(ground.ask("SELECT team, member, role FROM team_member"), [["web", "ana", "lead"]]);
    assert_eq!(ground.ask("SELECT id, owner, type FROM application"), [["shop", "group:acme/web", "service"]]);

    let mut server = Server::start(&ground, &[]);
    write(
        Path::new(&folder),
        &[(
            "acme/more.yaml",
            "apiVersion: stellwerk/v1\nkind: Team\nmetadata: {name: ops, namespace: acme}\nspec: {parent: web}\n",
        )],
    );
    let plan: Value = serde_json::from_str(&apply(&["--json"]).ok().stdout).expect("JSON");
    assert_eq!(
        (&plan["version"], &plan["applied"], &plan["plan"]["changes"][0]["id"]),
        (&json!(2), &json!(true), &json!("ops"))
    );
    assert_eq!(server.sql("SELECT id, parent FROM team ORDER BY 1").rows, [["ops", "web"], ["web", "NULL"]]);

    let wrong =
        "apiVersion: stellwerk/v1\nkind: Team\nmetadata:\n  name: net\n  namespace: acme\nspec:\n  parent: nowhere\n";
    write(Path::new(&folder), &[("acme/wrong.yaml", wrong)]);
    let refused = apply(&[]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("acme/wrong.yaml:7: parent: there is no Team nowhere"), "{}", refused.stderr);
    fs::remove_file(Path::new(&folder).join("acme/wrong.yaml")).expect("the file goes");

    // A team that was granted another tenant's rows sees both; the tenant sees who sees it.
    let ana = create(&ground, &["ana", "--tenant", "acme", "--team", "web"]);
    let globex = create(&ground, &["g", "--tenant", "globex"]);
    for (key, service) in [(&ana, "acme-shop"), (&globex, "globex-shop")] {
        let mut http = Http::new(server.address, text(key, "key"));
        assert_eq!(http.post("/v1/logs", PROTOBUF, logs(service, &["hello".to_owned()])).status, 200);
    }
    let mut seen = Http::new(server.address, text(&ana, "key"));
    let both = seen.ask("SELECT DISTINCT tenant, service_name FROM otel_log ORDER BY 1").expect("an answer");
    assert_eq!(both.rows, [["acme", "acme-shop"], ["globex", "globex-shop"]]);
    let narrowed =
        seen.send("POST", "/sql", &[("x-stellwerk-tenant", "globex")], "SELECT tenant FROM otel_log").expect("a reply");
    assert!(narrowed.text().contains("globex") && !narrowed.text().contains("acme"), "{}", narrowed.text());
    let other = seen.send("POST", "/sql", &[("x-stellwerk-tenant", "rival")], "SELECT 1").expect("a reply");
    assert_eq!(other.status, 403);
    let mut own = Http::new(server.address, text(&globex, "key"));
    assert_eq!(
        own.ask("SELECT tenant, grantee FROM tenant_grant").expect("an answer").rows,
        [["globex", "team:acme/web"]]
    );
    assert_eq!(
        own.ask("SELECT count(*) FROM directory_entity WHERE tenant <> 'globex'").expect("an answer").rows,
        [["0"]]
    );

    // The API: what came out goes in again; a tenant without the scope may look and not change.
    let mut http = server.connect();
    let (status, documents) = send(&mut http, "GET", "/tenants/acme", Value::Null);
    assert_eq!(status, 200);
    let body = json!({"entities": documents["entities"]});
    let (status, same) = send(&mut http, "PUT", "/tenants/acme?prune=true", body.clone());
    assert_eq!((status, &same["applied"]), (200, &json!(false)), "{same}");
    assert_eq!(send(&mut seen, "GET", "/tenants/acme", Value::Null).0, 200);
    assert_eq!(send(&mut seen, "PUT", "/tenants/acme", body.clone()).0, 403);
    let (status, problem) = send(&mut http, "PUT", "/tenants/globex", body);
    assert_eq!(status, 400, "{problem}");

    // What goes is ended: its keys with it.
    write(
        Path::new(&folder),
        &[
            ("tenants.yaml", FOLDER[0].1.split("---").next().expect("a document")),
            ("shared.yaml", FOLDER[3].1.split("---").next().expect("a document")),
        ],
    );
    let pruned = apply(&["--prune"]).ok().stdout;
    assert!(pruned.contains("- Tenant globex") && pruned.contains("applied as version 3"), "{pruned}");
    assert_eq!(statuses(&server, text(&globex, "key")), [401, 401]);
    assert_eq!(seen.ask("SELECT DISTINCT tenant FROM otel_log").expect("an answer").rows, [["acme"]]);
    server.kill9();
    assert_eq!(verify(&ground, &[]).0, Some(0));
}

/// Every file below a folder, with its content.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(files(&path))
        } else {
            found.push((path.clone(), fs::read(&path).expect("a file")))
        }
    }
    found
}

/// Puts database and signed roots back as they were: what was signed over a forged history is of no use afterwards.
fn restore(ground: &Ground, state: &[u8], signed: &[(PathBuf, Vec<u8>)]) {
    for file in ["state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(ground.data().join(file));
    }
    fs::write(ground.data().join("state.db"), state).expect("the file is put back");
    for (path, _) in files(&ground.data().join("audit")) {
        fs::remove_file(path).expect("the file goes");
    }
    for (path, content) in signed {
        fs::write(path, content).expect("the file is put back");
    }
}

/// What somebody does to the database, and the row that must be named.
const TAMPERING: &[(&str, &[&str], u64)] = &[
    ("a changed text", &["UPDATE audit SET subject = 'x' WHERE seq = 3"], 3),
    ("a changed name", &["UPDATE audit SET actor = 'eve' WHERE seq = 4"], 4),
    ("a removed row", &["DELETE FROM audit WHERE seq = 5"], 5),
    (
        "two that changed places",
        &[
            "UPDATE audit SET seq = -9 WHERE seq = 2",
            "UPDATE audit SET seq = 2 WHERE seq = 6",
            "UPDATE audit SET seq = 6 WHERE seq = -9",
        ],
        2,
    ),
    ("a cut end", &["DELETE FROM audit WHERE seq >= 6"], 6),
    // The whole end is taken back, hashes and all: only the signed root in the data directory knows better.
    (
        "a cut end without a trace",
        &[
            "DELETE FROM audit WHERE seq >= 4",
            "DELETE FROM audit_salt WHERE seq >= 4",
            "DELETE FROM audit_commit WHERE size > 4",
            "UPDATE audit_head SET size = 4, root = (SELECT root FROM audit_commit WHERE size = 4), peaks = (SELECT root FROM audit_commit WHERE size = 4)",
        ],
        4,
    ),
];

#[test]
fn tampering_with_the_file_is_found_and_located() {
    let ground = Ground::new();
    // The first start makes the bootstrap key: later ones change nothing.
    Server::start(&ground, &[]).stop();
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        create(&ground, &[name, "--tenant", "acme"]);
    }
    let exported = ground.beside("elsewhere");
    let place = exported.to_str().expect("UTF-8");
    let said = ground.run(&["audit", "export", "--to", place]).ok().stdout;
    assert!(said.contains("signed"), "{said}");
    let (code, found) = verify(&ground, &["--root", place]);
    assert_eq!(code, Some(0), "{found:#}");
    assert!(found["log"]["signed_roots"].as_u64().is_some_and(|n| n >= 2), "{found:#}");
    let state = ground.data().join("state.db");
    let kept = fs::read(&state).expect("the file is readable");
    let signed = files(&ground.data().join("audit"));
    assert!(signed.len() >= 7, "every command leaves a signed root: {}", signed.len());
    for (what, statements, seq) in TAMPERING {
        tamper(&ground, statements);
        for server in [false, true] {
            let running = server.then(|| Server::start(&ground, &[]));
            let (code, found) = verify(&ground, &["--root", place]);
            assert_eq!(code, Some(1), "{what}: {found:#}");
            let findings = found["log"]["findings"].as_array().expect("findings").clone();
            let named = |finding: &Value| (finding["from"].as_u64()..=finding["to"].as_u64()).contains(&Some(*seq));
            assert!(findings.iter().any(named), "{what}: {findings:#?}");
            if let Some(server) = running {
                server.stop();
            }
        }
        restore(&ground, &kept, &signed);
        assert_eq!(verify(&ground, &["--root", place]).0, Some(0), "{what}: as it was");
        restore(&ground, &kept, &signed);
    }
    // A root of somebody else does not count.
    let root = fs::read_dir(exported.join("roots")).expect("a folder").flatten().next().expect("a log").path();
    let root = fs::read_dir(root).expect("a folder").flatten().next().expect("a root").path();
    let forged = fs::read_to_string(&root).expect("a root").replacen("\"size\":", "\"size\":1", 1);
    let path = ground.beside("forged.json");
    fs::write(&path, forged).expect("a file is written");
    let (code, found) = verify(&ground, &["--root", path.to_str().expect("UTF-8")]);
    assert_eq!((code, &found["log"]["findings"][0]["wrong"]), (Some(1), &json!("signature")), "{found:#}");
}

#[test]
fn rows_are_proved_and_exported() {
    let ground = Ground::new();
    for name in ["a", "b", "c"] {
        create(&ground, &[name, "--tenant", "acme"]);
    }
    let proof = |args: &[&str]| -> Value {
        serde_json::from_str(&ground.run(&[&["audit", "prove"][..], args].concat()).ok().stdout).expect("JSON")
    };
    let row: ledger::audit::proof::InclusionProof = serde_json::from_value(proof(&["1"])).expect("a proof");
    assert!(row.holds() && row.seq == 1 && row.size >= 3);
    let growth: ledger::audit::proof::ConsistencyProof =
        serde_json::from_value(proof(&["--from", "1", "--to", "3"])).expect("a proof");
    assert!(growth.holds() && (growth.from, growth.to) == (1, 3));
    assert_eq!(ground.run(&["audit", "prove", "99999"]).code, Some(2));
    let lines = ground.run(&["audit", "export", "--format", "cef"]).ok().stdout;
    assert!(lines.lines().count() >= 3 && lines.lines().all(|line| line.starts_with("CEF:0|Stellwerk|")), "{lines}");
    let lines = ground.run(&["audit", "export", "--format", "ocsf", "--from", "1"]).ok().stdout;
    let first: Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&first["class_uid"], &first["metadata"]["uid"]), (&json!(6003), &json!("1")));
    let server = Server::start(&ground, &[]);
    let jsonl = ground.run(&["audit", "export", "--format", "jsonl"]).ok().stdout;
    assert!(jsonl.lines().any(|line| line.contains("\"action\":\"key.create\"")), "{jsonl}");
    let (status, proof) = send(&mut server.connect(), "GET", "/audit/rows/1/proof", Value::Null);
    assert_eq!((status, &proof["seq"]), (200, &json!(1)));
    let tenant = create(&ground, &["reader", "--tenant", "acme"]);
    assert_eq!(
        send(&mut Http::new(server.address, text(&tenant, "key")), "GET", "/audit/rows/1/proof", Value::Null).0,
        403
    );
}

#[test]
fn commits_of_the_ledger_are_leaves() {
    let ground = Ground::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cost/focus_1.0_real_1000.csv");
    ground.run(&["ingest", "cost", file.to_str().expect("UTF-8")]).ok();
    let prices =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cost/llm_prices/litellm_model_prices_reduced.json");
    ground.run(&["ingest", "price", prices.to_str().expect("UTF-8")]).ok();
    let (code, found) = verify(&ground, &[]);
    assert_eq!(code, Some(0), "{found:#}");
    let tables = &found["tables"];
    assert!(tables["rows"].as_u64().is_some_and(|rows| rows >= 1_000), "{tables:#}");
    assert_eq!((&tables["unwitnessed"], &tables["findings"]), (&json!(0), &json!([])), "{tables:#}");
    let actions =
        ground.ask("SELECT action, outcome FROM audit WHERE action IN ('file.ingest', 'price.import') ORDER BY seq");
    assert_eq!(actions, [["file.ingest", "done"], ["price.import", "done"]]);
    // What the log says of a commit is what the rows are held against.
    tamper(
        &ground,
        &["UPDATE audit SET detail = replace(detail, '\"rows\":1000', '\"rows\":999') WHERE action = 'commit'"],
    );
    let (code, found) = verify(&ground, &[]);
    assert_eq!(code, Some(1), "{found:#}");
    assert!(
        found["tables"]["findings"][0]["why"].as_str().is_some_and(|why| why.starts_with("cost_line")),
        "{found:#}"
    );
}

#[test]
fn a_kill_loses_no_acknowledged_row() {
    let ground = Ground::new();
    let mut server = Server::start(&ground, &[]);
    let acknowledged: Arc<Mutex<Vec<String>>> = Arc::default();
    for round in 0..3 {
        let (address, key) = (server.address, server.key.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (stop, acknowledged, key) = (stop.clone(), acknowledged.clone(), key.clone());
                std::thread::spawn(move || {
                    let mut http = Http::new(address, &key);
                    let mut n = 0;
                    while !stop.load(Ordering::SeqCst) {
                        let body = json!({"name": format!("k-{round}-{writer}-{n}"), "tenant": "acme"}).to_string();
                        let Ok(reply) = http.send("POST", "/keys", &[("content-type", JSON)], body) else { return };
                        assert_eq!(reply.status, 201, "{}", reply.text());
                        let made: Value = serde_json::from_slice(&reply.body).expect("JSON");
                        acknowledged.lock().expect("whole").push(text(&made, "id").to_owned());
                        n += 1;
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(1_500));
        server.kill9();
        stop.store(true, Ordering::SeqCst);
        writers.into_iter().for_each(|writer| writer.join().expect("a writer ends"));
        server = Server::start(&ground, &[]);
        let known = server.sql("SELECT subject FROM audit WHERE action = 'key.create'").rows.concat();
        let known: std::collections::BTreeSet<String> = known.into_iter().collect();
        let acknowledged = acknowledged.lock().expect("whole");
        assert!(acknowledged.len() > 5 * (round + 1), "{} keys were made", acknowledged.len());
        let lost: Vec<_> = acknowledged.iter().filter(|id| !known.contains(*id)).collect();
        assert!(lost.is_empty(), "{lost:?}");
        // The keys and their rows are one transaction: neither is there without the other.
        let without = "SELECT count(*) FROM api_key k LEFT JOIN audit a ON a.subject = k.id AND a.action = 'key.create' WHERE a.seq IS NULL";
        assert_eq!(server.cell(without), "0");
        let (code, found) = verify(&ground, &[]);
        assert_eq!(code, Some(0), "{found:#}");
    }
}

#[test]
fn the_commands_say_what_they_do() {
    for (args, words) in [
        (vec!["audit", "verify", "--help"], vec!["--root", "--key"]),
        (vec!["tenant", "apply", "--help"], vec!["--dry-run", "--prune"]),
        (vec!["key", "create", "--help"], vec!["--expires", "--scope", "--team"]),
        (vec!["key", "rotate", "--help"], vec!["--overlap"]),
    ] {
        let done = run(&args).ok();
        assert!(words.iter().all(|word| done.stdout.contains(word)), "{}", done.stdout);
    }
    let ground = Ground::new();
    let unknown = ground.run(&["key", "create", "x", "--tenant", "acme", "--scope", "root"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("there is no scope root"), "{}", unknown.stderr);
}
