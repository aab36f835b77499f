//! Rules and scorecards that ship, through the real binary: every rule against its own test, every scorecard over real
//! records, levels, exemptions and history as people and programs read them.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Ground, Server, csv_rows, run};
use crate::state_postgres::Postgres;

fn json_of(ground: &Ground, args: &[&str]) -> Value {
    let done = ground.run(&[&["score"][..], args, &["--format", "json"]].concat()).ok();
    serde_json::from_str(&done.stdout).unwrap_or_else(|e| panic!("{e}: {}", done.stdout))
}

fn deployment(name: &str, image: &str, is_good: bool) -> Value {
    let mut container = json!({ "name": "c", "image": image });
    let mut labels = json!({ "app.kubernetes.io/name": name });
    if is_good {
        container["resources"] =
            json!({ "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "cpu": "1", "memory": "128Mi" } });
        container["readinessProbe"] = json!({ "httpGet": { "path": "/", "port": 80 } });
        container["livenessProbe"] = json!({ "httpGet": { "path": "/", "port": 80 } });
        labels["env"] = "prod".into();
        labels["version"] = "1".into();
        labels["cost-center"] = "7".into();
    }
    let version = if is_good { "1" } else { "2" };
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": version, "labels": labels },
        "spec": { "replicas": 2, "selector": { "matchLabels": { "a": name } },
                  "template": { "metadata": { "labels": { "a": name } }, "spec": { "containers": [container] } } },
        "status": { "replicas": 2, "readyReplicas": 2, "availableReplicas": 2, "updatedReplicas": 2 },
    })
}

fn put(ground: &Ground, items: &[Value]) {
    let path = ground.beside("objects.json");
    let list = json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "1" }, "items": items });
    fs::write(&path, list.to_string()).unwrap();
    ground.run(&["ingest", "k8s", path.to_str().unwrap(), "--cluster", "c"]).ok();
}

const GOOD: &str = "c/shop/Deployment/good";
const CARD: &str = "production-readiness";

fn levels(ground: &Ground) -> Vec<Vec<String>> {
    ground.ask("SELECT entity, level FROM score WHERE scorecard = 'production-readiness' ORDER BY entity")
}

#[test]
fn every_rule_that_ships_passes_its_own_test() {
    let done = run(&["rule", "test"]);
    assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.ends_with(" cases passed, 0 are wrong\n"), "{}", done.stdout);
}

#[test]
fn rules_that_ship_are_copied_checked_and_tested_where_they_lie() {
    let ground = Ground::new();
    crate::slt::ingest_fixtures(&ground);
    let rules = ground.beside("rules");
    let folder = rules.to_str().unwrap();
    let done = run(&["rule", "init", folder]).ok();
    assert!(done.stdout.contains("files were written"), "{}", done.stdout);
    let checked = ground.run(&["rule", "check", folder]).ok();
    assert!(checked.stdout.contains("rules, 0 of them wrong"), "{}", checked.stdout);
    let listed = run(&["rule", "shipped", "--json"]).ok();
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert!(listed.as_array().unwrap().iter().all(|rule| rule["why"].is_string()), "{listed}");

    let rule = rules.join("kubernetes/image_latest.sql");
    let one = rule.to_str().unwrap();
    run(&["rule", "test", one]).ok();
    // Somebody breaks the rule: its test says so, and ends with 1.
    let broken = fs::read_to_string(&rule).unwrap().replace("image LIKE '%:latest'", "false");
    fs::write(&rule, broken).unwrap();
    let wrong = run(&["rule", "test", one]);
    assert_eq!(wrong.code, Some(1), "{}{}", wrong.stdout, wrong.stderr);
    assert!(wrong.stdout.contains("nothing fires like {\"workload_name\":\"latest\"}"), "{}", wrong.stdout);
    fs::remove_file(rule.with_extension("test.yaml")).unwrap();
    let missing = run(&["rule", "test", one]);
    assert!(missing.code == Some(1) && missing.stdout.contains("the rule has no test"), "{}", missing.stdout);
    // What was edited stays.
    run(&["rule", "init", folder]).ok();
    assert!(!fs::read_to_string(&rule).unwrap().contains("image LIKE '%:latest'"));
}

#[test]
fn a_rule_whose_table_is_old_says_nothing_instead_of_all_is_fine() {
    let ground = Ground::new();
    put(&ground, &[deployment("good", "acme.azurecr.io/good:1", true)]);
    let rule = |fresh: &str| {
        let path = ground.beside("fresh.sql");
        let text = format!(
            "-- ---\n-- owner: a\n-- every: 1m\n-- key: name\n-- fresh: {fresh}\n-- new: notify(\"ops\", \"{{name}}\")\n-- ---\n\
             SELECT name FROM k8s_deployment WHERE name = 'nobody'\n"
        );
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let fine = ground.run(&["rule", "preview", &rule("k8s_deployment 1h")]).ok();
    assert!(fine.stdout.contains("nothing would be done"), "{}", fine.stdout);
    // Written at some time, but not within the second before the tick.
    let later = (chrono::Utc::now() + chrono::Duration::minutes(5)).to_rfc3339();
    let stale = ground.run(&["rule", "preview", &rule("k8s_deployment 1m"), "--at", &later]);
    assert_eq!(stale.code, Some(1), "{}{}", stale.stdout, stale.stderr);
    assert!(stale.stdout.contains("k8s_deployment was last written at"), "{}", stale.stdout);
    // Never written at all.
    let ran = ground.run(&["rule", "run", &rule("k8s_watch 1h")]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("k8s_watch was never written"), "{}", ran.stdout);
    assert_eq!(ground.ask("SELECT status FROM rule_run"), [["error"]]);
    let wrong = ground.run(&["rule", "check", &rule("k8s_nothing 1h")]);
    assert!(wrong.code == Some(1) && wrong.stdout.contains("no table of facts"), "{}", wrong.stdout);
}

#[test]
fn scorecards_that_ship_fit_the_tables_and_say_what_they_see() {
    let ground = Ground::new();
    crate::slt::ingest_fixtures(&ground);
    let folder = ground.beside("scorecards");
    run(&["score", "init", folder.to_str().unwrap()]).ok();
    let checked = ground.run(&["score", "check", folder.to_str().unwrap()]).ok();
    assert!(checked.stdout.contains("4 scorecards, 0 of them wrong"), "{}", checked.stdout);
    let runs = json_of(&ground, &["run"]);
    let runs = runs.as_array().unwrap();
    assert!(runs.len() == 4 && runs.iter().all(|run| run["status"] == "done"), "{runs:#?}");
    let scored = |name: &str| runs.iter().find(|run| run["scorecard"] == name).unwrap()["entities"].as_u64().unwrap();
    assert!(scored("cost") > 0 && scored(CARD) > 0 && scored("security") > 0, "{runs:#?}");
    let again = json_of(&ground, &["run", folder.to_str().unwrap()]);
    let changed: Vec<&Value> = again.as_array().unwrap().iter().map(|run| &run["results_changed"]).collect();
    assert!(changed.iter().all(|changed| **changed == json!(0)), "{again:#}");
    let listed = ground.run(&["score", "list"]).ok();
    assert!(listed.stdout.contains("Ready for production"), "{}", listed.stdout);

    let broken = folder.join("cost.yaml");
    let text = fs::read_to_string(&broken).unwrap().replace("FROM cost_line l GROUP", "FROM cost_lines l GROUP");
    fs::write(&broken, text).unwrap();
    let wrong = ground.run(&["score", "check", broken.to_str().unwrap()]);
    assert!(wrong.code == Some(1) && wrong.stdout.contains("check priced"), "{}{}", wrong.stdout, wrong.stderr);
    // A scorecard that cannot be evaluated leaves what was known as it was.
    let before = ground.ask("SELECT count(*) FROM score_result WHERE scorecard = 'cost'");
    let ran = ground.run(&["score", "run", broken.to_str().unwrap()]);
    assert!(ran.code == Some(1) && ran.stdout.contains("ERROR, nothing changed"), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ground.ask("SELECT count(*) FROM score_result WHERE scorecard = 'cost'"), before);
}

#[test]
fn levels_exemptions_and_history_are_told_as_they_are() {
    let ground = Ground::new();
    put(&ground, &[deployment("good", "acme.azurecr.io/good:1", true), deployment("bad", "bad:latest", false)]);
    json_of(&ground, &["run"]);
    assert_eq!(levels(&ground), [["c/shop/Deployment/bad", "basic"], [GOOD, "bronze"]]);
    let explained = ground.run(&["score", "explain", CARD, GOOD]).ok().stdout;
    assert!(explained.contains("bronze: for silver there is missing owned"), "{explained}");
    let bad = json_of(&ground, &["explain", CARD, "c/shop/Deployment/bad"]);
    let failed: Vec<&str> = bad[0]["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["result"] == "fail")
        .map(|check| check["check_id"].as_str().unwrap())
        .collect();
    assert!(["labels", "image-named", "resources", "probes"].iter().all(|id| failed.contains(id)), "{failed:?}");
    assert!(
        bad[0]["checks"]
            .as_array()
            .unwrap()
            .iter()
            .any(|check| check["check_id"] == "traced" && check["result"] == "unknown"),
        "{bad:#}"
    );

    let asked = json_of(
        &ground,
        &["exempt", "request", CARD, "owned", GOOD, "--days", "30", "--reason", "no directory yet", "--by", "ann"],
    );
    let id = asked["exemption"].as_str().unwrap().to_owned();
    let own = ground.run(&["score", "exempt", "approve", &id, "--by", "Ann"]);
    assert!(own.code == Some(2) && own.stderr.contains("somebody else decides"), "{}{}", own.stdout, own.stderr);
    assert_eq!(levels(&ground)[1], [GOOD, "bronze"]);
    let approved = json_of(&ground, &["exempt", "approve", &id, "--by", "bob"]);
    assert_eq!((&approved["state"], &approved["approver"]), (&json!("approved"), &json!("bob")));
    assert_eq!(levels(&ground)[1], [GOOD, "silver"]);
    ground.run(&["score", "exempt", "revoke", &id, "--by", "bob"]).ok();
    assert_eq!(levels(&ground)[1], [GOOD, "bronze"]);

    // The bad one gets better: only what changed is looked at where a check can tell, and history tells it.
    put(
        &ground,
        &[deployment("good", "acme.azurecr.io/good:1", true), {
            let mut better = deployment("bad", "acme.azurecr.io/bad:2", true);
            better["metadata"]["resourceVersion"] = "9".into();
            better
        }],
    );
    json_of(&ground, &["run"]);
    assert_eq!(levels(&ground)[0], ["c/shop/Deployment/bad", "bronze"]);
    let stored = ground.ask("SELECT entity, check_id, result, evidence FROM score_result ORDER BY 1, 2");
    let full = json_of(&ground, &["run", "--full"]);
    assert!(full.as_array().unwrap().iter().all(|run| run["results_changed"] == 0), "{full:#}");
    assert_eq!(ground.ask("SELECT entity, check_id, result, evidence FROM score_result ORDER BY 1, 2"), stored);
    let history = json_of(&ground, &["history", CARD, "c/shop/Deployment/bad"]);
    let told = |check: &str| {
        history
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["check_id"] == check && row["was"] == "fail" && row["is_now"] == "pass")
    };
    assert!(told("image-named") && told("resources"), "{history:#}");
    let moved = history.as_array().unwrap().iter().find(|row| row["check_id"] == "" && row["was"] == "basic");
    assert_eq!(moved.map(|row| &row["is_now"]), Some(&json!("bronze")), "{history:#}");

    // Over HTTP, and by a server that evaluates by itself.
    let folder = ground.beside("scorecards");
    run(&["score", "init", folder.to_str().unwrap()]).ok();
    let server = Server::start(&ground, &["--scorecards", folder.to_str().unwrap()]);
    let mut http = server.connect();
    let path = "/scorecards?scorecard=production-readiness";
    let reply = http.send("GET", path, &[], "").unwrap();
    let answer: Value = serde_json::from_str(&reply.text()).unwrap();
    assert_eq!(answer["scores"].as_array().map(Vec::len), Some(2), "{answer:#}");
    assert_eq!(answer["scores"][1]["level"], "bronze", "{answer:#}");
}

#[test]
fn scorecards_stand_in_postgresql_as_they_do_in_sqlite() {
    let (ground, beside) = (Ground::new(), Ground::new());
    let Some(postgres) = Postgres::start(&ground) else { return };
    let state = ["--state", postgres.url.as_str()];
    let objects = [deployment("good", "acme.azurecr.io/good:1", true), deployment("bad", "bad:latest", false)];
    put(&beside, &objects);
    let path = ground.beside("objects.json");
    let list = json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "1" }, "items": objects });
    fs::write(&path, list.to_string()).unwrap();
    let on = |args: &[&str]| ground.run(&[args, &state[..]].concat()).ok().stdout;
    on(&["ingest", "k8s", path.to_str().unwrap(), "--cluster", "c"]);
    let sql = "SELECT scorecard, entity, level, passed, failed, unknown FROM score ORDER BY 1, 2";
    let ways: [&[&str]; 2] = [&[], &["--full"]];
    for full in ways {
        on(&[&["score", "run"][..], full].concat());
        beside.run(&[&["score", "run"][..], full].concat()).ok();
        assert_eq!(csv_rows(&on(&["sql", sql, "--format", "csv"]))[1..], beside.ask(sql));
    }
    let asked = on(&[
        "score", "exempt", "request", CARD, "owned", GOOD, "--days", "3", "--reason", "r", "--by", "ann", "--format",
        "json",
    ]);
    let asked: Value = serde_json::from_str(&asked).unwrap();
    on(&["score", "exempt", "approve", asked["exemption"].as_str().unwrap(), "--by", "bob"]);
    let level = "SELECT level, exempt FROM score WHERE entity = 'c/shop/Deployment/good' AND scorecard = 'production-readiness'";
    assert_eq!(csv_rows(&on(&["sql", level, "--format", "csv"]))[1..], [["silver", "1"]]);
}

/// Somebody's key.
fn key_of(ground: &Ground, name: &str, tenant: &str, more: &[&str]) -> String {
    let made = ground.run(&[&["key", "create", name, "--tenant", tenant], more].concat()).ok().stdout;
    fs::write(ground.beside(&format!("{name}.key")), made.trim()).unwrap();
    made.trim().to_owned()
}

/// Waits until an exemption stands so.
fn stands(ground: &Ground, id: &str, state: &str) -> Value {
    let begun = std::time::Instant::now();
    loop {
        let listed = json_of(ground, &["exempt", "list"]);
        let one = listed.as_array().unwrap().iter().find(|one| one["id"] == id).cloned();
        if one.as_ref().is_some_and(|one| one["state"] == state) {
            return one.unwrap();
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{id} is not {state}: {listed:#}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn people_who_have_proved_who_they_are_agree_to_an_exemption() {
    let ground = Ground::new();
    put(&ground, &[deployment("good", "acme.azurecr.io/good:1", true)]);
    json_of(&ground, &["run"]);
    let tenant = ground.ask("SELECT DISTINCT tenant FROM score_entity").concat().concat();
    let ann = key_of(&ground, "ann", &tenant, &["--role", "leads"]);
    let bob = key_of(&ground, "bob", &tenant, &["--role", "leads"]);
    let eve = key_of(&ground, "eve", &tenant, &[]);
    let rival = key_of(&ground, "rival", "rival", &["--role", "leads"]);
    let mut server = Server::start(&ground, &[]);
    let post = |server: &Server, key: &str, path: &str, body: &Value| -> (u16, Value) {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let reply = server.connect().send("POST", path, &headers, body.to_string()).unwrap();
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    };
    let ask = |changed: Value| {
        let mut wish = json!({
            "scorecard": CARD, "check": "owned", "entity": GOOD, "reason": "no directory yet", "days": 30, "voters": "leads",
        });
        changed.as_object().unwrap().iter().for_each(|(name, value)| wish[name] = value.clone());
        wish
    };
    let door = "/scorecards/exemptions";
    for (key, changed, status) in [
        ("nobody", json!({}), 401),
        (rival.as_str(), json!({}), 404),
        (ann.as_str(), json!({ "days": 0 }), 400),
        (ann.as_str(), json!({ "reason": " " }), 400),
        (ann.as_str(), json!({ "check": "none" }), 404),
        (ann.as_str(), json!({ "quorum": 0 }), 400),
        (ann.as_str(), json!({ "deadline": "soon" }), 400),
        (ann.as_str(), json!({ "requester": "bob" }), 422),
    ] {
        let (got, said) = post(&server, key, door, &ask(changed.clone()));
        assert_eq!(got, status, "{changed}: {said}");
    }
    let (status, asked) = post(&server, &ann, door, &ask(json!({})));
    assert_eq!((status, &asked["state"]), (202, &json!("pending")), "{asked}");
    let id = asked["exemption"].as_str().unwrap().to_owned();
    assert_eq!(stands(&ground, &id, "pending")["requester"], format!("{tenant}/ann"));
    let alone = ground.run(&["score", "exempt", "approve", &id, "--by", "boss"]);
    assert!(alone.code == Some(2) && alone.stderr.contains("people vote on"), "{}{}", alone.stdout, alone.stderr);
    // It waits for people, whatever becomes of the process.
    server.kill9();
    let server = Server::start(&ground, &[]);
    let open: Value = serde_json::from_str(&ground.run(&["approval", "list", "--format", "json"]).ok().stdout).unwrap();
    let vote = format!("/approvals/{}/votes", open[0]["id"].as_str().unwrap());
    assert!(open[0]["ask"].as_str().unwrap().contains("need not pass owned"), "{open:#}");
    let yes = json!({ "approve": true });
    assert_eq!(post(&server, &ann, &vote, &yes).0, 403, "nobody agrees to a wish of its own");
    assert_eq!(post(&server, &eve, &vote, &yes).0, 403, "she is not in the group");
    assert_eq!(levels(&ground), [[GOOD, "bronze"]]);
    assert_eq!(post(&server, &bob, &vote, &yes).0, 200);
    let approved = stands(&ground, &id, "approved");
    assert_eq!(approved["approver"], format!("{tenant}/bob"), "{approved:#}");
    assert_eq!(levels(&ground), [[GOOD, "silver"]]);
    ground.run(&["score", "exempt", "revoke", &id, "--by", "boss"]).ok();

    // Nobody answers in time, which is a no; and so is one no.
    let late = json_of(
        &ground,
        &[
            "exempt",
            "ask",
            CARD,
            "owned",
            GOOD,
            "--days",
            "3",
            "--reason",
            "r",
            "--deadline",
            "1s",
            "--key",
            &format!("file:{}", ground.beside("ann.key").display()),
        ],
    );
    let denied = stands(&ground, late["exemption"].as_str().unwrap(), "denied");
    assert_eq!(
        (&denied["approver"], &denied["requester"]),
        (&json!("nobody in time"), &json!(format!("{tenant}/ann")))
    );
    let (_, asked) = post(&server, &bob, door, &ask(json!({})));
    let open: Value = serde_json::from_str(&ground.run(&["approval", "list", "--format", "json"]).ok().stdout).unwrap();
    let vote = format!("/approvals/{}/votes", open[0]["id"].as_str().unwrap());
    assert_eq!(post(&server, &ann, &vote, &json!({ "approve": false, "why": "not this one" })).0, 200);
    assert_eq!(stands(&ground, asked["exemption"].as_str().unwrap(), "denied")["approver"], format!("{tenant}/ann"));
    assert_eq!(levels(&ground), [[GOOD, "bronze"]]);
}
