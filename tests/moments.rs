//! A point in time between two backups, through the real binary: facts and audit log are what they were at that moment, the
//! rest of the state is as it was put aside last, and what is missing in it is named. A server backs itself up.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Done, Ground, Server, run};
use crate::records::{PROTOBUF, logs};
use crate::state_postgres::Postgres;

/// What is compared: rows that only grow, rows that supersede each other, sets that are replaced.
const ASKED: &[&str] = &[
    "SELECT body, _seq FROM otel_log ORDER BY _seq",
    "SELECT path, title FROM document ORDER BY path",
    "SELECT \"ResourceId\", CAST(\"BilledCost\" AS DOUBLE) AS cost, x_set FROM cost_line ORDER BY 1, 2",
];

fn parsed(done: &Done) -> Value {
    serde_json::from_str(&done.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", done.stdout, done.stderr))
}

fn file(ground: &Ground, name: &str, text: &str) -> String {
    let path = ground.beside(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

fn bill(costs: &[(&str, &str)]) -> String {
    let row = |(thing, cost): &(&str, &str)| {
        format!("{cost},{cost},USD,2025-10-01,2025-10-01,2025-10-02,Usage,Compute,{thing}\n")
    };
    let header = "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceName,ResourceId\n";
    header.to_owned() + &costs.iter().map(row).collect::<String>()
}

/// Writes a generation of everything: each replaces or adds to the one before.
fn write(ground: &Ground, server: &Server, generation: usize) {
    let reply = server.connect().send(
        "POST",
        "/v1/logs",
        &[("content-type", PROTOBUF), ("x-idempotency-key", &format!("delivery-{generation}"))],
        logs("shop", &[format!("line {generation}")]),
    );
    assert_eq!(reply.expect("a reply").status, 200);
    let page = file(ground, "wiki/page.md", &format!("# Page of {generation}\n\nSays {generation}.\n"));
    if generation == 3 {
        std::fs::remove_file(&page).expect("the page goes");
        file(ground, "wiki/other.md", "# Another\n\nCame later.\n");
    }
    ground.run(&["ingest", "docs", ground.beside("wiki").to_str().expect("UTF-8")]).ok();
    let cost = generation.to_string();
    let things: Vec<(&str, &str)> =
        [("a", cost.as_str()), ("b", "1"), ("c", "2")].into_iter().take(generation).collect();
    ground.run(&["ingest", "cost", &file(ground, "october.csv", &bill(&things))]).ok();
}

fn known(ground: &Ground) -> Vec<Vec<Vec<String>>> {
    ASKED.iter().map(|sql| ground.ask(sql)).collect()
}

/// The server's own clock, behind everything that was written so far.
fn moment(server: &Server) -> String {
    std::thread::sleep(Duration::from_millis(20));
    let now = server.cell("SELECT now()");
    std::thread::sleep(Duration::from_millis(20));
    now
}

fn key(ground: &Ground, name: &str) -> Value {
    parsed(&ground.run(&["key", "create", name, "--tenant", "acme", "--format", "json"]).ok())
}

fn drill(args: &[&str]) {
    let ground = Ground::new();
    let server = Server::start(&ground, args);
    let dest = ground.beside("backups").display().to_string();
    let create = || parsed(&ground.run(&["backup", "create", &dest, "--format", "json"]).ok())[0].clone();
    write(&ground, &server, 1);
    key(&ground, "old");
    create();
    write(&ground, &server, 2);
    // Nothing of the state has changed since the backup; then a key comes, and one goes.
    let (quiet, quiet_known) = (moment(&server), known(&ground));
    let middle = key(&ground, "middle");
    let (busy, busy_known) = (moment(&server), known(&ground));
    // From here on the state is there, too, and a moment behind it that is wanted whole is this one.
    let aside = parsed(&ground.run(&["backup", "state", &dest, "--format", "json"]).ok());
    let aside_known = known(&ground);
    write(&ground, &server, 4);
    let (later, later_known) = (moment(&server), known(&ground));
    assert_ne!(later_known, aside_known);
    ground.run(&["key", "revoke", middle["id"].as_str().expect("an id")]).ok();
    let (gone, gone_known) = (moment(&server), known(&ground));
    write(&ground, &server, 3);
    let last = create();
    let after = moment(&server);
    let bootstrap = server.key.clone();
    assert_eq!(server.stop().0, Some(0));

    let restore_with = |name: &str, to: &str, more: &[&str]| {
        let data = ground.beside(name).display().to_string();
        let args = ["backup", "restore", &dest, "--to", to, "--format", "json", "--data", &data];
        run(&[&args[..], more].concat())
    };
    let restore = |name: &str, to: &str| restore_with(name, to, &[]);
    let facts = |name: &str, wanted: &[Vec<Vec<String>>]| {
        let data = ground.beside(name);
        for (sql, wanted) in ASKED.iter().zip(wanted) {
            let args = ["sql", *sql, "--format", "csv", "--data", data.to_str().expect("UTF-8")];
            assert_eq!(&crate::harness::csv_rows(&run(&args).ok().stdout)[1..], &wanted[..], "{name}: {sql}");
        }
    };
    // What changed the state between the moment that was put aside and this one is named, and nothing else.
    let revoked = json!([{"action": "key.revoke", "count": 1}]);
    for (name, to, whole, wanted, code, missing, keys) in [
        ("later", &later, false, &later_known, 0, &json!([]), "middle,"),
        ("gone", &gone, false, &gone_known, 1, &revoked, "middle,"),
        ("whole", &gone, true, &aside_known, 0, &json!([]), "middle,"),
    ] {
        let done = restore_with(name, to, if whole { &["--whole"] } else { &[] });
        let restored = parsed(&done);
        assert_eq!(
            (done.code, &restored["missing"], &restored["state_at"]),
            (Some(code), missing, &aside["at"]),
            "{name}"
        );
        assert_eq!(restored["to"] == aside["at"], whole, "{name}: {restored:#}");
        facts(name, wanted);
        let data = ground.beside(name).display().to_string();
        let live = "SELECT name, revoked_at FROM api_key WHERE name = 'middle'";
        let told = run(&["sql", live, "--format", "csv", "--data", &data]).ok().stdout;
        assert!(told.lines().any(|line| line == keys), "{name}: {told}");
        let verified = run(&["audit", "verify", "--data", &data]).ok().stdout;
        assert!(verified.contains("nothing was changed"), "{name}: {verified}");
    }
    let listed = parsed(&run(&["backup", "list", &dest, "--states", "--format", "json"]).ok());
    assert_eq!(listed, json!([aside["at"]]));
    let checked = parsed(&run(&["backup", "verify", &dest, "--format", "json"]).ok());
    assert_eq!((&checked["states"], &checked["findings"]), (&json!(1), &json!([])));

    for (name, to, wanted, missing) in [("quiet", &quiet, quiet_known, 0), ("busy", &busy, busy_known, 1)] {
        let done = restore(name, to);
        let restored = parsed(&done);
        assert_eq!(done.code, Some(missing), "{restored:#}");
        let told: Value = if missing == 0 { json!([]) } else { json!([{"action": "key.create", "count": 1}]) };
        assert_eq!(restored["missing"], told, "{restored:#}");
        assert!(restored["later_rows"].as_u64() > Some(0), "{restored:#}");

        let data = ground.beside(name);
        let place = ["--data", data.to_str().expect("UTF-8")];
        facts(name, &wanted);
        // The log of decisions is that of the moment, commits of the ledger among them, and one row tells of the restore.
        let verified = run(&[&["audit", "verify"][..], &place].concat()).ok().stdout;
        assert!(verified.contains("nothing was changed"), "{name}: {verified}");
        let sql = "SELECT action, count(*) FROM audit WHERE actor <> 'bootstrap'
            AND action IN ('key.create', 'key.revoke', 'backup.restore') GROUP BY 1 ORDER BY 1";
        let told = run(&[&["sql", sql, "--format", "csv"][..], &place].concat()).ok().stdout;
        let created = if missing == 0 { 1 } else { 2 };
        assert!(told.contains(&format!("key.create,{created}")) && !told.contains("key.revoke"), "{name}: {told}");
        assert!(told.contains("backup.restore,1"), "{name}: {told}");
        goes_on(&data, &bootstrap);
    }
    let late = restore("late", &after);
    assert!(late.code == Some(2) && late.stderr.contains(last["at"].as_str().expect("a time")), "{}", late.stderr);
    let early = restore("early", "2020-01-01");
    assert!(early.code == Some(2) && early.stderr.contains("that old"), "{}", early.stderr);
}

/// The restored store is served: what came after the moment is new when its sender repeats it.
fn goes_on(data: &Path, bootstrap: &str) {
    let copy = Ground::new();
    std::fs::rename(data, copy.data()).expect("the folder moves");
    let server = Server::start(&copy, &[]);
    assert_eq!(server.key, bootstrap, "its keys are those of the backup");
    for (generation, rows) in [(2, "2"), (3, "3")] {
        let key = format!("delivery-{generation}");
        let headers = [("content-type", PROTOBUF), ("x-idempotency-key", key.as_str())];
        let body = logs("shop", &[format!("line {generation}")]);
        // Another body under a key that is known is refused; under one that is not, it is stored.
        let status = server.connect().send("POST", "/v1/logs", &headers, body).expect("a reply").status;
        assert_eq!(status, if generation == 2 { 409 } else { 200 }, "delivery {generation}");
        assert_eq!(server.cell("SELECT count(*) FROM otel_log"), rows, "delivery {generation}");
    }
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn any_moment_between_two_backups_is_restored() {
    drill(&[]);
}

#[test]
fn a_moment_of_postgresql_is_restored_as_sqlite() {
    let ground = Ground::new();
    let Some(postgres) = Postgres::start(&ground) else { return };
    drill(&["--state", &postgres.url]);
}

#[test]
fn a_server_backs_itself_up() {
    let ground = Ground::new();
    let dest = ground.beside("backups").display().to_string();
    let server = Server::start(
        &ground,
        &["--backup", &dest, "--backup-every", "2s", "--backup-state-every", "1s", "--estimate", "off"],
    );
    let made = || match Path::new(&dest).is_dir() {
        true => parsed(&run(&["backup", "list", &dest, "--format", "json"]).ok()).as_array().map_or(0, Vec::len),
        false => 0,
    };
    for _ in 0..600 {
        if made() >= 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(made() >= 2, "{}", server.log());
    let states = parsed(&run(&["backup", "list", &dest, "--states", "--format", "json"]).ok());
    assert!(states.as_array().is_some_and(|states| !states.is_empty()), "{}", server.log());
    let told = "SELECT DISTINCT action, actor FROM audit WHERE action = 'backup.create'";
    assert_eq!(server.sql(told).rows, [["backup.create", "schedule"]]);
    assert_eq!(server.stop().0, Some(0));
    run(&["backup", "verify", &dest]).ok();
}
