//! Budgets over the real binary: what the commands say, what the doors refuse, and that nobody overspends, whatever is
//! killed and however many processes share the state.

mod crowd;
mod same;

use serde_json::{Value, json};

use crate::harness::{Done, Ground, Reply, Server};

const FILE: &str = r#"
budgets:
- {name: all, tenant: acme, unit: USD, limit: "100", window: month, zone: Europe/Berlin}
- name: shop
  tenant: acme
  scope: x_app = 'shop'
  unit: USD
  limit: "1.00"
  window: day
  zone: Europe/Berlin
  counts: calls
  parent: all
  thresholds: [{on: actual, percent: 50}]
- {name: ceiling, tenant: "*", unit: USD, limit: "50", window: total, counts: calls}
quotas:
- {name: slow, tenant: other, requests: 60/m, burst_requests: 1}
"#;

fn file(ground: &Ground, name: &str, text: &str) -> String {
    let path = ground.beside(name);
    std::fs::write(&path, text).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

/// What a command said, as JSON.
fn said(done: &Done) -> Value {
    serde_json::from_str(&done.stdout)
        .unwrap_or_else(|cause| panic!("{}: {cause}: {}{}", done.what, done.stdout, done.stderr))
}

fn actions(done: &Done) -> Vec<String> {
    said(done).as_array().unwrap().iter().map(|change| change["action"].as_str().unwrap().to_owned()).collect()
}

/// The commands, over whatever is there: a folder, or a server that has it open.
fn commands(ground: &Ground) {
    let path = file(ground, "budgets.yaml", FILE);
    let planned = ground.run(&["budget", "apply", &path, "--dry-run", "--json"]).ok();
    assert_eq!(actions(&planned), ["created"; 4]);
    assert_eq!(
        actions(&ground.run(&["budget", "apply", &path, "--json"]).ok()),
        ["created"; 4],
        "a plan changed nothing"
    );
    assert_eq!(actions(&ground.run(&["budget", "apply", &path, "--json"]).ok()), ["unchanged"; 4]);
    let spend = ["--tenant", "acme", "--attribute", "x_app=shop", "--amount"];
    let reserve = |id: &str, usd: &str| {
        let amount = format!("USD={usd}");
        ground.run(&[&["budget", "reserve", id], &spend[..], &[amount.as_str()]].concat())
    };
    assert_eq!(said(&reserve("call-1", "0.75").ok())["budgets"].as_array().unwrap().len(), 3);
    let refused = reserve("call-2", "0.50");
    assert_eq!(refused.code, Some(1), "{}{}", refused.stdout, refused.stderr);
    let told = said(&refused);
    assert_eq!(
        (&told["budget"], &told["reason"], &told["reserved"]),
        (&json!("shop"), &json!("reserved"), &json!("0.75"))
    );
    ground.run(&["budget", "post", "call-1", "--tenant", "acme", "--amount", "USD=0.70"]).ok();
    let refused = said(&reserve("call-3", "0.50"));
    assert_eq!(refused["reason"], "spent");
    assert!(refused["resets_at"].as_str().unwrap().ends_with(":00:00Z"), "{refused}");
    reserve("call-4", "0.30").ok();
    ground.run(&["budget", "void", "call-4", "--tenant", "acme"]).ok();
    let status = said(&ground.run(&["budget", "status", "--tenant", "acme", "--json"]).ok());
    let shop = status.as_array().unwrap().iter().find(|row| row["budget"] == "shop").unwrap();
    let figure = |name: &str| shop[name].as_str().unwrap().trim_end_matches('0').trim_end_matches('.').to_owned();
    assert_eq!(
        (figure("spent"), figure("remaining"), figure("limit_amount")),
        ("0.7".into(), "0.3".into(), "1".into()),
        "{shop}"
    );
    assert_eq!((&shop["state"], &shop["charges"], &shop["refusals"]), (&json!("open"), &json!(1), &json!(2)));
    assert_eq!(status.as_array().unwrap().len(), 2, "a tenant sees its own");
    let events =
        ground.ask("SELECT kind, sum(event_count) FROM budget_event WHERE budget = 'shop' GROUP BY 1 ORDER BY 1");
    assert_eq!(events, [["changed", "1"], ["refused", "2"], ["threshold", "1"]]);
    assert_eq!(said(&ground.run(&["budget", "list", "--json"]).ok()).as_array().unwrap().len(), 4);
    ground.run(&["budget", "delete", "acme/shop"]).ok();
    assert_eq!(
        ground.ask("SELECT version, action FROM budget_revision WHERE name = 'shop' ORDER BY 1"),
        [["1", "created"], ["2", "deleted"]]
    );
    assert_eq!(said(&ground.run(&["budget", "history", "acme/shop", "--json"]).ok()).as_array().unwrap().len(), 2);
}

#[test]
fn commands_over_a_folder() {
    commands(&Ground::new());
}

#[test]
fn commands_over_a_server() {
    let ground = Ground::new();
    let _server = Server::start(&ground, &[]);
    commands(&ground);
}

#[test]
fn bad_files_are_refused_and_change_nothing() {
    let ground = Ground::new();
    let good = file(&ground, "good.yaml", FILE);
    ground.run(&["budget", "apply", &good]).ok();
    let base = "unit: USD, limit: 1, window: day";
    for (entries, why) in [
        (format!("{{name: x, tenant: acme, {base}, scope: \"x_shop = 'a'\"}}"), "no column x_shop"),
        (format!("{{name: x, tenant: acme, {base}, scope: \"x_app\"}}"), "no predicate"),
        (format!("{{name: x, tenant: acme, {base}, scope: \"x_app = (SELECT 1)\"}}"), "subquery"),
        (format!("{{name: x, tenant: acme, {base}, scope: \"random() < 1\"}}"), "function random"),
        (format!("{{name: x, tenant: acme, {base}}}, {{name: x, tenant: acme, {base}}}"), "twice"),
        (
            format!("{{name: x, tenant: acme, {base}, parent: y}}, {{name: y, tenant: acme, {base}, parent: x}}"),
            "its own ancestor",
        ),
        (format!("{{name: all, tenant: acme, {base}, parent: shop}}"), "its own ancestor"),
        (format!("{{name: x, tenant: acme, {base}, parent: nobody}}"), "is not there"),
        ("{name: x, tenant: acme, unit: Taler, limit: 1, window: day}".to_owned(), "ISO 4217"),
        ("{name: x, tenant: acme, unit: USD, limit: 0.5, window: day}".to_owned(), "in quotes"),
        ("{name: x, tenant: acme, unit: USD, limit: 1, limit: 2, window: day}".to_owned(), "duplicate"),
    ] {
        let path = file(&ground, "bad.yaml", &format!("budgets: [{entries}]"));
        let done = ground.run(&["budget", "apply", &path]);
        assert_eq!(done.code, Some(2), "{entries}: {}", done.stderr);
        assert!(done.stderr.contains(why), "{entries}: {}", done.stderr);
    }
    assert_eq!(ground.ask("SELECT count(*), max(version) FROM budget"), [["3", "1"]]);
}

fn body(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|cause| panic!("{cause}: {}", reply.text()))
}

#[test]
fn doors_know_whose_money_it_is() {
    let ground = Ground::new();
    let path = file(&ground, "budgets.yaml", FILE);
    ground.run(&["budget", "apply", &path]).ok();
    let acme = ground.run(&["key", "create", "ci", "--tenant", "acme"]).ok().stdout.trim().to_owned();
    let other = ground.run(&["key", "create", "ci", "--tenant", "other"]).ok().stdout.trim().to_owned();
    let server = Server::start(&ground, &[]);
    let mut http = server.connect();
    let mut send = |key: &str, path: &str, body: Value| {
        let authorization = format!("Bearer {key}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        http.send("POST", path, &headers, body.to_string()).expect("a reply")
    };
    let ask = |id: &str, usd: &str| json!({"request_id": id, "attributes": {"x_app": "shop"}, "amounts": {"USD": usd}});
    assert_eq!(send(&acme, "/budgets/reserve", ask("a", "0.9")).status, 200);
    let refused = send(&acme, "/budgets/reserve", ask("b", "0.2"));
    assert_eq!((refused.status, &body(&refused)["budget"]), (429, &json!("shop")), "others may settle");
    assert_eq!(send(&acme, "/budgets/post", json!({"request_id": "a", "amounts": {"USD": "0.9"}})).status, 200);
    let refused = body(&send(&acme, "/budgets/reserve", ask("b", "0.2")));
    assert_eq!(
        (&refused["status"], &refused["code"], &refused["spent"]),
        (&json!(402), &json!("budget_exceeded"), &json!("0.9"))
    );
    let foreign = json!({"request_id": "c", "tenant": "acme", "amounts": {"USD": "1"}});
    assert_eq!(send(&other, "/budgets/reserve", foreign).status, 403);
    assert_eq!(
        send(&other, "/budgets/void", json!({"request_id": "a"})).status,
        404,
        "another tenant's requests are not there"
    );
    // The platform's ceiling is met, and its figures are not the tenant's business.
    let refused = body(&send(&other, "/budgets/reserve", ask("d", "60")));
    assert_eq!((&refused["budget"], refused.get("spent")), (&json!("ceiling"), None), "{refused}");
    assert_eq!(send(&other, "/budgets/reserve", ask("e", "1")).status, 200);
    let over = send(&other, "/budgets/reserve", ask("f", "1"));
    assert_eq!((over.status, &body(&over)["quota"]), (429, &json!("slow")));
    let unpriced = send(&acme, "/budgets/reserve", json!({"request_id": "g", "amounts": {"EUR": "1"}}));
    assert_eq!(unpriced.status, 400);
    assert!(unpriced.text().contains("price_unknown"), "{}", unpriced.text());
    assert_eq!(send(&acme, "/budgets/reserve", json!({"request_id": "h", "attributes": {"shoe": "1"}})).status, 400);
    assert_eq!(send("nobody", "/budgets/reserve", ask("i", "1")).status, 401);
}

/// Whoever was told that something is reserved or posted sees it in the next answer, not a moment later: an order, not a time.
#[test]
fn what_was_answered_stands_in_budget_status() {
    let ground = Ground::new();
    ground.run(&["budget", "apply", &file(&ground, "budgets.yaml", FILE)]).ok();
    let server = Server::start(&ground, &[]);
    let mut http = server.connect();
    let mut asking = server.connect();
    let mut standing = || {
        let sql = "SELECT spent, reserved, charges FROM budget_status WHERE budget = 'shop'";
        asking.ask(sql).expect("an answer").rows.swap_remove(0)
    };
    let mut send = |path: &str, body: Value| {
        let reply = http.post(path, "application/json", body.to_string());
        assert_eq!(reply.status, 200, "{path} {body}: {}", reply.text());
    };
    let number = |text: &str| text.parse::<f64>().unwrap_or_else(|e| panic!("{e}: {text}"));
    for n in 1..=12 {
        let id = format!("r{n}");
        let amounts = json!({"USD": "0.05"});
        let wish = json!({"request_id": id, "tenant": "acme", "attributes": {"x_app": "shop"}, "amounts": amounts});
        let before = standing();
        send("/budgets/reserve", wish);
        let reserved = standing();
        assert!((number(&reserved[1]) - 0.05).abs() < 1e-9, "{n}: {before:?} {reserved:?}");
        match n % 3 {
            0 => send("/budgets/void", json!({"request_id": id, "tenant": "acme"})),
            _ => send("/budgets/post", json!({"request_id": id, "tenant": "acme", "amounts": {"USD": "0.04"}})),
        }
        let settled = standing();
        let spent = number(&settled[0]) - number(&before[0]);
        assert!((spent - if n % 3 == 0 { 0.0 } else { 0.04 }).abs() < 1e-9, "{n}: {before:?} {settled:?}");
        assert_eq!(number(&settled[1]), 0.0, "{n}: {settled:?}");
    }
}

/// A bill that comes in counts, and is seen within a second.
#[test]
fn the_bill_counts() {
    let ground = Ground::new();
    let server = Server::start(&ground, &[]);
    let text = "budgets: [{name: cloud, tenant: default, unit: USD, limit: \"1000\", window: total, thresholds: [{on: actual, amount: \"0.01\"}]}]";
    let path = file(&ground, "budgets.yaml", text);
    ground.run(&["budget", "apply", &path]).ok();
    let bill = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cost/focus_1.0_real_1000.csv");
    ground.run(&["ingest", "cost", bill]).ok();
    let begun = std::time::Instant::now();
    let expected = server.cell("SELECT sum(BilledCost) FROM cost_line WHERE BillingCurrency = 'USD'");
    let expected: f64 = expected.parse().unwrap();
    let mut shown = String::new();
    while begun.elapsed() < std::time::Duration::from_secs(20) {
        shown = server.cell("SELECT billed FROM budget_status WHERE budget = 'cloud'");
        if shown.parse::<f64>().is_ok_and(|billed| billed > 0.0) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let took = begun.elapsed();
    assert!((shown.parse::<f64>().unwrap() - expected).abs() < 1e-6, "{shown} of {expected}");
    eprintln!("the bill was seen in budget_status after {took:?}");
}
