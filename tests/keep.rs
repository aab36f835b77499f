//! Retention, holds, erasure and backups through the real binary: what is past its time goes and what is held stays, a
//! subject's bytes are in no file after an erasure that was killed half-way, and a restored backup is the store of its moment.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Ground, Http, Server};
use crate::records::{PROTOBUF, log_records, logs, now_ns};
use crate::state_postgres::Postgres;

const JSON: &str = "application/json";
const DAY_NS: u64 = 86_400_000_000_000;
const NAME: &str = "Wilhelmine Zauberwald";

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn send(server: &Server, time_ns: u64, service: &str, bodies: &[&str]) {
    let records = bodies.iter().map(|body| ((*body).to_owned(), 9));
    let reply = server.connect().post("/v1/logs", PROTOBUF, log_records(time_ns, service, records));
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[test]
fn rows_past_their_time_go_and_held_rows_stay() {
    let ground = Ground::new();
    let rules = ground.beside("retention.yaml");
    std::fs::write(&rules, "rules:\n- {signal: logs, keep: 10d}\n- {table: query_log, keep: forever}\n")
        .expect("a file");
    let rules = rules.to_str().expect("UTF-8");
    let wrong = ground.beside("wrong.yaml");
    std::fs::write(&wrong, "rules:\n- {table: otel_logs, keep: 10d}\n").expect("a file");
    let Err(said) = Server::try_start(&ground, &["--retention", wrong.to_str().expect("UTF-8")]) else {
        panic!("a rule about no table is taken")
    };
    assert!(said.contains("there is no table otel_logs"), "{said}");

    let server = Server::start(&ground, &["--retention", rules, "--maintain-every", "1h"]);
    send(&server, now_ns() - 12 * DAY_NS, "old", &["one", "two", "three"]);
    send(&server, now_ns(), "new", &["four"]);
    let status = |args: &[&str]| {
        let done = ground.run(&[&["retention", "status", "--format", "json"][..], args].concat()).ok();
        let all = parsed(&done.stdout);
        all.as_array().expect("a list").iter().find(|t| t["table"] == "otel_log").expect("otel_log").clone()
    };
    let due = status(&[]);
    assert_eq!((&due["keep"], &due["origin"], &due["due_rows"]), (&json!("10d"), &json!("rule 1"), &json!(3)), "{due}");
    let add = ["hold", "add", "--table", "otel_*", "--reason", "matter 1", "--format", "json"];
    let hold = parsed(&ground.run(&add).ok().stdout)[0]["id"].as_str().expect("an id").to_owned();
    let held = status(&[]);
    assert_eq!(
        (&held["due_rows"], &held["held_rows"], &held["holds"][0]),
        (&json!(0), &json!(3), &json!(hold)),
        "{held}"
    );
    ground.run(&["retention", "run"]).ok();
    assert_eq!(server.cell("SELECT count(*) FROM otel_log"), "4");
    assert!(ground.run(&["hold", "list"]).ok().stdout.contains("matter 1"));
    ground.run(&["hold", "release", &hold, "--reason", "closed"]).ok();
    assert_eq!(ground.run(&["hold", "release", &hold, "--reason", "closed"]).code, Some(2));
    let gone = ground.run(&["retention", "run"]).ok().stdout;
    assert!(gone.contains("otel_log"), "{gone}");
    assert_eq!(server.sql("SELECT service_name FROM otel_log").rows, [["new"]]);
    let noted = "SELECT keep, due_rows, deleted_rows FROM retention_status WHERE table_name = 'otel_log'";
    assert_eq!(server.sql(noted).rows, [["10d", "0", "3"]]);
    let told = "SELECT count(*) FROM audit WHERE action = 'retention.delete' AND subject = 'otel_log'";
    assert_eq!(server.cell(told), "1");
    let back = server.try_sql("SELECT * FROM as_of('otel_log', '2020-01-01T00:00:00Z')").expect_err("refused");
    assert!(back.text().contains("past their retention"), "{}", back.text());
    assert_eq!(server.stop().0, Some(0));
    let verified = ground.run(&["audit", "verify"]).ok().stdout;
    assert!(verified.contains("nothing was changed"), "{verified}");
}

#[test]
fn held_rows_are_copied_out_and_read_back() {
    let ground = Ground::new();
    let server = Server::start(&ground, &[]);
    send(&server, now_ns(), "shop", &["order of Ana Meier", "another order"]);
    send(&server, now_ns(), "shop", &["ANA MEIER paid"]);
    let json = |args: &[&str]| parsed(&ground.run(&[args, &["--format", "json"]].concat()).ok().stdout);
    let hold = json(&["hold", "add", "--subject", "Ana Meier", "--reason", "matter 9"])[0].clone();
    let id = hold["id"].as_str().expect("an id");
    let dest = ground.beside("evidence").display().to_string();
    let copy = json(&["hold", "copy", id, &dest])[0].clone();
    assert_eq!((&copy["rows"], &copy["files"], &copy["lock_mode"]), (&json!(2), &json!(1), &json!(null)), "{copy:#}");
    let copy_id = copy["id"].as_str().expect("an id");
    assert_eq!(json(&["hold", "copies"])[0]["id"], copy["id"]);
    let checked = json(&["hold", "check", copy_id]);
    assert_eq!((&checked["files"], &checked["findings"]), (&json!(1), &json!([])), "{checked}");
    // Its hash stands in the audit log, and nothing of the subject does.
    let detail = server.cell("SELECT detail FROM audit WHERE action = 'hold.copy'");
    assert!(detail.contains(copy["sha256"].as_str().expect("a hash")) && !detail.contains("Ana"), "{detail}");
    let note = json(&["erase", "--subject", "Ana Meier", "--reason", "request 1"]);
    assert!(note["plan"]["notes"].to_string().contains("1 copies of held rows"), "{note:#}");

    let list = std::path::Path::new(&dest).join(copy["path"].as_str().expect("a path"));
    let rows = parsed(&std::fs::read_to_string(&list).expect("the list"))["files"][0].clone();
    assert_eq!((&rows["table"], &rows["rows"]), (&json!("otel_log"), &json!(2)));
    let file = std::path::Path::new(&dest).join(rows["name"].as_str().expect("a name"));
    let content = std::fs::read(&file).expect("the rows");
    assert!(content.starts_with(b"PAR1"), "a Parquet file");
    let mut changed = content.clone();
    changed[content.len() / 2] ^= 1;
    std::fs::write(&file, changed).expect("written");
    let wrong = ground.run(&["hold", "check", copy_id]);
    assert!(wrong.code == Some(1) && wrong.stdout.contains("not what was written"), "{}", wrong.stdout);
    std::fs::write(&file, content).expect("written");
    std::fs::write(&list, "{}").expect("written");
    assert_eq!(ground.run(&["hold", "check", copy_id]).code, Some(1));

    ground.run(&["hold", "release", id, "--reason", "closed"]).ok();
    for (args, why) in [
        (["hold", "copy", id, dest.as_str()].as_slice(), "no hold"),
        (&["hold", "check", "nothing"], "there is no copy"),
    ] {
        let refused = ground.run(args);
        assert!(refused.code == Some(2) && refused.stderr.contains(why), "{}", refused.stderr);
    }
    assert!(
        std::fs::read_dir(ground.data()).expect("a folder").all(|f| !f
            .expect("a file")
            .file_name()
            .to_string_lossy()
            .starts_with("hold-"))
    );
}

/// Files below a folder that hold some bytes.
fn holding(folder: &Path, bytes: &str, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            holding(&path, bytes, found);
        } else if let Ok(content) = std::fs::read(&path)
            && content.windows(bytes.len()).any(|window| window.eq_ignore_ascii_case(bytes.as_bytes()))
        {
            found.push(path);
        }
    }
}

fn left(ground: &Ground) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for word in [NAME, "Zauberwald"] {
        holding(&ground.data(), word, &mut found);
    }
    found
}

/// Fills a store with rows about the subject, everywhere that a name comes to stand.
fn fill(ground: &Ground, server: &Server) {
    let line = format!("session of {NAME} ended");
    send(server, now_ns(), "shop", &[line.as_str(), "nobody came", "the till is open"]);
    let wiki = ground.beside("wiki");
    std::fs::create_dir_all(&wiki).expect("a folder");
    let page = format!("# Who to ask\n\nThe mirror of the larder is looked after by {NAME}.\n");
    std::fs::write(wiki.join("people.md"), page).expect("a file");
    std::fs::write(wiki.join("mirror.md"), "# The mirror\n\nIt is polished every Friday.\n").expect("a file");
    ground.run(&["ingest", "docs", wiki.to_str().expect("UTF-8")]).ok();
    // The directory, a key, and on whose behalf somebody acts.
    let mut http = server.connect();
    let headers = [("content-type", JSON), ("x-stellwerk-on-behalf-of", NAME)];
    let body = json!({"name": NAME, "tenant": "acme"}).to_string();
    let made = http.send("POST", "/keys", &headers, body).expect("a reply");
    assert_eq!(made.status, 201, "{}", made.text());
    // A question about the subject is itself a row.
    let question = format!("SELECT count(*) FROM otel_log WHERE body LIKE '%{NAME}%'");
    assert_eq!(server.cell(&question), "1");
}

fn erasure(ground: &Ground, args: &[&str]) -> (Option<i32>, Value) {
    let done = ground.run(&[&["erase"][..], args, &["--format", "json"]].concat());
    (done.code, serde_json::from_str(&done.stdout).unwrap_or_else(|_| json!({"stderr": done.stderr})))
}

fn erase_with(args: &[&str], ground: &Ground) {
    let server = Server::start(ground, args);
    fill(ground, &server);
    let searched = || ground.run(&["search", "who looks after the larder", "--json"]).stdout;
    for _ in 0..100 {
        if searched().contains(NAME) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(searched().contains(NAME), "{}", searched());

    let (code, short) = erasure(ground, &["--subject", "Ana", "--reason", "r"]);
    assert_eq!(code, Some(2), "{short}");
    let (code, plan) = erasure(ground, &["--subject", NAME, "--reason", "request 4711"]);
    assert_eq!(code, Some(0), "{plan}");
    let id = plan["id"].as_str().expect("an id").to_owned();
    let tables: Vec<&str> =
        plan["plan"]["columns"].as_array().expect("columns").iter().filter_map(|c| c["table"].as_str()).collect();
    for table in ["otel_log", "document", "chunk", "query_log"] {
        assert!(tables.contains(&table), "{table} in {tables:?}");
    }
    assert!(plan["plan"]["audit_names"].as_u64() >= Some(1), "{plan:#}");
    assert!(!plan.to_string().contains("Zauberwald"), "a plan does not name the subject");

    // Whoever asked does not approve; a hold is in the way; only what is approved is run.
    let (code, said) = erasure(ground, &["approve", &id]);
    assert!(code == Some(2) && said.to_string().contains("somebody else"), "{said}");
    assert_eq!(erasure(ground, &["run", &id]).0, Some(3), "it is not approved yet");
    let key = ground.beside("privacy.key");
    std::fs::write(&key, ground.run(&["key", "create", "privacy officer"]).ok().stdout).expect("a file");
    let (code, approved) = erasure(ground, &["approve", &id, "--key-file", key.to_str().expect("UTF-8")]);
    assert_eq!((code, &approved["state"]), (Some(0), &json!("approved")), "{approved}");
    let add = ["hold", "add", "--subject", NAME, "--reason", "matter 2", "--format", "json"];
    let hold = parsed(&ground.run(&add).ok().stdout)[0]["id"].as_str().expect("an id").to_owned();
    let (code, said) = erasure(ground, &["run", &id]);
    assert!(code == Some(3) && said.to_string().contains(&hold), "{said}");
    ground.run(&["hold", "release", &hold, "--reason", "closed"]).ok();
    assert_eq!(server.stop().0, Some(0));

    // Killed with one fragment written anew, and run again.
    let mut server = Server::spawn(ground, args, &[("STELLWERK_FAIL_AT", "rewrite-committed:1")])
        .unwrap_or_else(|why| panic!("{why}"));
    let _ = erasure(ground, &["run", &id]);
    for _ in 0..600 {
        if server.ended().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(server);
    assert!(!left(ground).is_empty() || args.contains(&"--state"), "it was killed on the way");
    let server = Server::start(ground, args);
    let writing = Arc::new(AtomicBool::new(true));
    let writer = {
        let (address, key, writing) = (server.address, server.key.clone(), writing.clone());
        std::thread::spawn(move || {
            let mut http = Http::new(address, &key);
            let mut sent = 0;
            while writing.load(Ordering::SeqCst) {
                let reply = http.post("/v1/logs", PROTOBUF, logs("busy", &[format!("b{sent}")]));
                assert_eq!(reply.status, 200, "{}", reply.text());
                sent += 1;
            }
            sent
        })
    };
    let (code, done) = erasure(ground, &["run", &id]);
    writing.store(false, Ordering::SeqCst);
    let sent: u64 = writer.join().expect("the writer ends");
    assert_eq!((code, &done["state"]), (Some(0), &json!("done")), "{done:#}");
    let salt = done["salt"].as_str().expect("the salt, told once").to_owned();
    assert_eq!(done["proof"]["scanned"]["holding_count"], json!(0), "{done:#}");
    assert_eq!(done["proof"]["remaining_rows"], json!(0), "{done:#}");
    assert!(done["proof"]["audit_places"].as_u64() >= Some(1), "{done:#}");

    assert_eq!(left(ground), Vec::<PathBuf>::new(), "no file of the store holds the name");
    assert_eq!(server.cell("SELECT count(*) FROM otel_log WHERE service_name = 'shop'"), "2");
    assert_eq!(server.cell("SELECT count(*) FROM otel_log WHERE service_name = 'busy'"), sent.to_string());
    assert_eq!(server.cell("SELECT count(*) FROM document WHERE text LIKE '%[erased]%'"), "1");
    // The index is made anew, of what is left.
    let mut found = String::new();
    for _ in 0..100 {
        found = ground.run(&["search", "who looks after the larder", "--json"]).stdout;
        if found.contains("[erased]") {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(found.contains("[erased]") && !found.contains("Zauberwald"), "{found}");
    let back = server.try_sql("SELECT * FROM as_of('document', 1)").expect_err("refused");
    assert!(back.text().contains("were erased"), "{}", back.text());
    // The proof is a row of the log, by a commitment that the salt opens.
    let proof = server.sql("SELECT outcome, detail FROM audit WHERE action = 'erase.proof' ORDER BY seq");
    let last = proof.rows.last().expect("a proof");
    let commitment = ledger::erase::commitment(&hex::decode(&salt).expect("hexadecimal"), &[NAME.to_owned()]);
    assert!(last[0] == "done" && last[1].contains(&commitment), "{last:?}");
    assert_eq!(erasure(ground, &["show", &id]).1["salt"], Value::Null, "the salt was told once");
    assert_eq!(erasure(ground, &["run", &id]).0, Some(0), "running it again changes nothing");
    assert_eq!(server.stop().0, Some(0));
    let done = ground.run(&[&["audit", "verify", "--json"][..], args].concat());
    assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
    assert!(parsed(&done.stdout)["log"]["erased"].as_u64() >= Some(1), "{}", done.stdout);
    let exported = ground.run(&[&["audit", "export", "--format", "jsonl"][..], args].concat()).ok().stdout;
    assert!(exported.lines().count() > 5 && !exported.contains("Zauberwald"));
    assert_eq!(left(ground), Vec::<PathBuf>::new(), "nor after the server stopped");
}

#[test]
fn a_subject_is_erased_down_to_the_bytes() {
    let ground = Ground::new();
    erase_with(&[], &ground);
}

#[test]
fn a_subject_is_erased_on_postgresql() {
    let ground = Ground::new();
    let Some(postgres) = Postgres::start(&ground) else { return };
    erase_with(&["--state", &postgres.url], &ground);
}

/// Everything that a restored store must answer as the first one did.
const ANSWERS: &[&str] = &[
    "SELECT count(*), count(DISTINCT body) FROM otel_log",
    "SELECT id, tenant FROM api_key ORDER BY id",
    "SELECT seq, leaf_hash FROM audit WHERE action = 'key.create' ORDER BY seq",
    "SELECT path, title FROM document ORDER BY path",
];

fn answers(ground: &Ground, data: &Path, args: &[&str]) -> Vec<String> {
    let ask = |sql: &&str| {
        let data = data.to_str().expect("UTF-8");
        crate::harness::run(&[&["sql", sql, "--format", "csv", "--data", data][..], args].concat()).ok().stdout
    };
    let _ = ground;
    ANSWERS.iter().map(ask).collect()
}

fn drill(args: &[&str], into: &[&str], ground: &Ground) {
    let server = Server::start(ground, args);
    fill(ground, &server);
    let dest = ground.beside("backups");
    let dest = dest.to_str().expect("UTF-8").to_owned();
    let create = || parsed(&ground.run(&["backup", "create", &dest, "--format", "json"]).ok().stdout)[0].clone();
    // A quiet moment first: its answers are known.
    let quiet = create();
    let known = answers(ground, &ground.data(), args);
    // Then with writes going on.
    let writing = Arc::new(AtomicBool::new(true));
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let (address, key, writing) = (server.address, server.key.clone(), writing.clone());
            std::thread::spawn(move || {
                let mut http = Http::new(address, &key);
                let mut sent = 0;
                while writing.load(Ordering::SeqCst) {
                    let reply = http.post("/v1/logs", PROTOBUF, logs("busy", &[format!("w{writer}-{sent}")]));
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    sent += 1;
                }
                sent
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let busy = create();
    writing.store(false, Ordering::SeqCst);
    let sent: u64 = writers.into_iter().map(|writer| writer.join().expect("a writer ends")).sum();
    assert!(sent > 0 && busy["seq"].as_u64() > quiet["seq"].as_u64(), "{quiet} {busy}");
    let listed = parsed(&crate::harness::run(&["backup", "list", &dest, "--format", "json"]).ok().stdout);
    assert_eq!(listed.as_array().expect("a list").len(), 2);
    crate::harness::run(&["backup", "verify", &dest]).ok();
    assert_eq!(server.stop().0, Some(0));

    let restored = ground.beside("restored");
    let data = restored.to_str().expect("UTF-8");
    let at = quiet["at"].as_str().expect("a time");
    let restore = |data: &str, more: &[&str]| {
        crate::harness::run(&[&["backup", "restore", &dest, "--data", data][..], more, into].concat())
    };
    restore(data, &["--at", at]).ok();
    assert_eq!(answers(ground, &restored, into), known, "the store of that moment");
    let verified = crate::harness::run(&[&["audit", "verify", "--data", data][..], into].concat()).ok().stdout;
    assert!(verified.contains("nothing was changed") && verified.contains("signed roots compared"), "{verified}");
    assert_eq!(restore(data, &[]).code, Some(3), "a folder in use is not written over");
    let early = ground.beside("early");
    let early = restore(early.to_str().expect("UTF-8"), &["--at", "2020-01-01"]);
    assert!(early.code == Some(2) && early.stderr.contains("the first is of"), "{}", early.stderr);
    if into.is_empty() {
        let newest = ground.beside("newest");
        let data = newest.to_str().expect("UTF-8");
        restore(data, &[]).ok();
        crate::harness::run(&["audit", "verify", "--data", data]).ok();
        let count = "SELECT count(*) FROM otel_log WHERE service_name = 'busy'";
        let counted = crate::harness::run(&["sql", count, "--format", "csv", "--data", data]).ok().stdout;
        let counted: u64 = counted.lines().last().and_then(|line| line.parse().ok()).expect("a number");
        assert!(counted > 0 && counted <= sent, "{counted} of {sent}");
    }
}

#[test]
fn a_restored_backup_is_the_store_of_its_moment() {
    let ground = Ground::new();
    drill(&[], &[], &ground);
}

#[test]
fn a_backup_moves_between_databases() {
    let ground = Ground::new();
    let Some(postgres) = Postgres::start(&ground) else { return };
    drill(&["--state", &postgres.url], &[], &ground);
    let other = Ground::new();
    let Some(postgres) = Postgres::start(&other) else { return };
    drill(&[], &["--state", &postgres.url], &other);
}

#[test]
fn denials_behind_the_door_and_changes_of_the_ledger_are_rows() {
    let ground = Ground::new();
    let server = Server::start(&ground, &[]);
    let made = ground.run(&["key", "create", "admin", "--tenant", "acme", "--scope", "admin"]).ok().stdout;
    let mut http = Http::new(server.address, made.trim());
    for _ in 0..7 {
        let body = json!({"name": "x", "tenant": "rival"}).to_string();
        assert_eq!(http.send("POST", "/keys", &[("content-type", JSON)], body).expect("a reply").status, 403);
    }
    ground.run(&["cost", "estimate", "--window", "2026-10"]).ok();
    assert_eq!(server.stop().0, Some(0));
    let denied =
        "SELECT sum(occurrences) FROM audit WHERE action = 'door.act' AND outcome = 'denied' AND actor = 'admin'";
    assert_eq!(ground.ask(denied), [["7"]], "counted exactly");
    let changed = ground.ask("SELECT DISTINCT action, outcome FROM audit WHERE action LIKE 'cost.%'");
    assert_eq!(changed, [["cost.estimate", "done"]]);
}

#[test]
fn a_month_stands_beside_its_budget() {
    let ground = Ground::new();
    let budgets = ground.beside("budgets.yaml");
    let file = "budgets:\n- {name: all, tenant: acme, unit: USD, limit: \"100\", window: month, zone: UTC}\n- {name: day, tenant: acme, unit: USD, limit: \"9\", window: day, zone: UTC}\n";
    std::fs::write(&budgets, file).expect("a file");
    ground.run(&["budget", "apply", budgets.to_str().expect("UTF-8")]).ok();
    ground.run(&["budget", "reserve", "c1", "--tenant", "acme", "--amount", "USD=2.5"]).ok();
    ground.run(&["budget", "post", "c1", "--tenant", "acme", "--amount", "USD=2.25"]).ok();
    let sql = "SELECT budget, currency, CAST(limit_amount AS DOUBLE), CAST(month_to_date AS DOUBLE), CAST(remaining AS DOUBLE),
        CAST(ratio AS DOUBLE), month_passed BETWEEN 0 AND 1, even_pace <= limit_amount, last_month IS NULL, standing IN ('within', 'ahead')
        FROM cost_month_against_budget";
    let row = ["all", "USD", "100", "2.25", "97.75", "0.0225", "true", "true", "true", "true"];
    assert_eq!(ground.ask(sql), [row]);
}
