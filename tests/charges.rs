//! Charges from end to end: usage becomes estimates, bills replace them, months are sealed; OpenCost's doors, the ledger's
//! check and a tenant's showback over the real binary. Answers are worked out by hand.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Done, Ground, Http, Server};

const HEADER: &str = "BilledCost,EffectiveCost,ListCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ChargeClass,ServiceName,ServiceCategory,ServiceProviderName,InvoiceIssuerName,PricingCategory,CommitmentDiscountId,CommitmentDiscountStatus,ResourceId,x_tenant,Tags";

/// One charge of a day.
fn charge(day: &str, tenant: &str, service: &str, cost: &str, more: &[(&str, &str)]) -> String {
    let month = &day[..7];
    let (year, number) = month.split_once('-').expect("a month");
    let number: u32 = number.parse().expect("a number");
    let next = if number == 12 {
        format!("{}-01", year.parse::<u32>().expect("a year") + 1)
    } else {
        format!("{year}-{:02}", number + 1)
    };
    let mut cells: Vec<(&str, String)> = HEADER.split(',').map(|name| (name, String::new())).collect();
    let mut set = |name: &str, value: &str| {
        let cell = cells.iter_mut().find(|(column, _)| *column == name).expect("a column of the header");
        cell.1 = value.to_owned();
    };
    for name in ["BilledCost", "EffectiveCost", "ListCost"] {
        set(name, cost);
    }
    set("BillingCurrency", "USD");
    set("BillingPeriodStart", &format!("{month}-01"));
    set("BillingPeriodEnd", &format!("{next}-01"));
    set("ChargePeriodStart", &format!("{day}T00:00:00Z"));
    set("ChargePeriodEnd", &format!("{day}T23:00:00Z"));
    for (name, value) in [
        ("ChargeCategory", "Usage"),
        ("ServiceName", service),
        ("ServiceCategory", "Compute"),
        ("ServiceProviderName", "Cloud"),
        ("InvoiceIssuerName", "Cloud"),
        ("PricingCategory", "Standard"),
        ("x_tenant", tenant),
    ] {
        set(name, value);
    }
    more.iter().for_each(|(name, value)| set(name, value));
    let quoted = cells.iter().map(|(_, cell)| format!("\"{}\"", cell.replace('"', "\"\"")));
    quoted.collect::<Vec<_>>().join(",")
}

/// The bills: two months of a shop with a spike, a commitment half used, euros of another tenant.
fn bills() -> String {
    let mut rows = vec![HEADER.to_owned()];
    let tags = r#"{"application": "web", "env": "prod", "cost_center": "1234", "project": "store"}"#;
    // Mondays of July and August 2025 cost about 10; the last one 50.
    let mondays = [
        "2025-07-07",
        "2025-07-14",
        "2025-07-21",
        "2025-07-28",
        "2025-08-04",
        "2025-08-11",
        "2025-08-18",
        "2025-08-25",
    ];
    for (at, day) in mondays.iter().enumerate() {
        let cost = ["10", "11", "9", "10", "10", "12", "8", "50"][at];
        rows.push(charge(day, "shop", "Search", cost, &[("Tags", tags)]));
    }
    rows.push(charge("2025-07-02", "shop", "Storage", "4", &[]));
    rows.push(charge("2025-08-02", "shop", "Storage", "6", &[]));
    let used =
        [("CommitmentDiscountId", "ri-1"), ("CommitmentDiscountStatus", "Used"), ("PricingCategory", "Committed")];
    let unused =
        [("CommitmentDiscountId", "ri-1"), ("CommitmentDiscountStatus", "Unused"), ("PricingCategory", "Committed")];
    rows.push(charge("2025-08-03", "shop", "Compute", "3", &used));
    rows.push(charge("2025-08-03", "shop", "Compute", "1", &unused));
    rows.push(charge(
        "2025-08-05",
        "shop",
        "Compute",
        "-2",
        &[("ChargeClass", "Correction"), ("ChargePeriodStart", "2025-07-05")],
    ));
    rows.push(charge("2025-08-04", "data", "Search", "7.5", &[("BillingCurrency", "EUR")]));
    rows.join("\n") + "\n"
}

/// A cluster with one node of 4 cores and 16 GiB, a tenant's pod and one of the platform, as lists.
fn cluster() -> String {
    let pod = |namespace: &str, name: &str, labels: Value, cpu: &str, memory: &str| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels, "creationTimestamp": "2025-07-31T12:00:00Z"},
            "spec": {"nodeName": "n1", "containers": [{"name": "app", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]},
            "status": {"phase": "Running", "startTime": "2025-07-31T12:00:00Z"}})
    };
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "creationTimestamp": "2025-07-01T00:00:00Z"},
            "spec": {"providerID": "aws:///eu-central-1a/i-0123456789abcdef0"}, "status": {"capacity": {"cpu": "4", "memory": "16Gi"}}},
        pod("shop", "web-1", json!({"tenant": "shop", "app": "web"}), "1", "4Gi"),
        pod("kube-system", "dns-1", json!({}), "500m", "1Gi"),
    ]})
    .to_string()
}

/// A ground with prices, rates, the cluster, the bills and a day of estimates.
fn prepared() -> Ground {
    let ground = Ground::new();
    let file = |name: &str, text: &str| {
        let path = ground.beside(name);
        fs::write(&path, text).expect("a file can be written");
        path.display().to_string()
    };
    let prices = json!({"provider": "custom", "CPU": "0.02", "RAM": "0.0025", "GPU": "0.95", "storage": "0.001"});
    ground.run(&["price", "import", &file("prices.json", &prices.to_string())]).ok();
    let rates = "date,from,to,rate\n2025-01-01,EUR,USD,1.25\n2025-08-01,EUR,USD,1.5\n";
    ground.run(&["price", "import", &file("rates.csv", rates)]).ok();
    ground.run(&["ingest", "k8s", &file("cluster.json", &cluster()), "--cluster", "prod"]).ok();
    ground.run(&["ingest", "cost", &file("bills.csv", &bills())]).ok();
    ground
}

fn decimal(answer: &Value) -> String {
    answer.as_str().map(str::to_owned).unwrap_or_else(|| answer.to_string())
}

fn allocated(done: &Done) -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|why| panic!("{why}: {}", done.stdout));
    let entries = document["entries"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| (decimal(&entry["group"]), decimal(&entry["total"]))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(group, total)| ((*group).to_owned(), (*total).to_owned())).collect()
}

#[test]
fn charges_from_usage_to_showback() {
    let ground = prepared();
    let day = "2025-08-01";
    // 24 hours: the node 2.88, web 0.72, dns 0.30.
    let ask = |more: &[&str]| {
        let args = [&["cost", "allocate", "--window", day, "--format", "json"], more].concat();
        allocated(&ground.run(&args).ok())
    };
    assert_eq!(ask(&["--by", "namespace"]), pairs(&[("__idle__", "1.86"), ("kube-system", "0.3"), ("shop", "0.72")]));
    assert_eq!(
        ask(&["--by", "tenant,label:app", "--share", "namespace=kube-system"]),
        pairs(&[("__idle__", "1.86"), ("shop/web", "1.02")])
    );
    for _ in 0..2 {
        let written = ground.run(&["cost", "allocate", "--window", day, "--write"]).ok();
        assert!(written.stdout.starts_with("3 rows of 1 days"), "{}", written.stdout);
    }
    let sum = "SELECT sum(BilledCost) FROM cost_allocation";
    assert_eq!(ground.ask(sum), [["2.88"]]);
    let part_day = ground.run(&["cost", "allocate", "--window", "soon", "--write"]);
    assert_eq!(part_day.code, Some(2), "{}", part_day.stderr);

    let server = Server::start(&ground, &[]);
    opencost(&server);
    crate::slt::run_file(&server, Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql/charges/analyst.slt"));
    showback(&ground);
    checked_and_sealed(&ground);
    let (code, _) = server.stop();
    assert_eq!(code, Some(0));
}

fn get(http: &mut Http, path: &str) -> (u16, Value) {
    let reply = http.send("GET", path, &[], Vec::new()).unwrap_or_else(|why| panic!("GET {path}: {why}"));
    (reply.status, serde_json::from_slice(&reply.body).unwrap_or_else(|why| panic!("{path}: {why}: {}", reply.text())))
}

/// What OpenCost's dashboards read, under the platform's key and under a tenant's.
fn opencost(server: &Server) {
    let mut http = server.connect();
    let window = "window=2025-08-01T00:00:00Z,2025-08-02T00:00:00Z";
    let totals = |answer: &Value, set: usize| -> Vec<(String, String)> {
        let set = answer["data"][set].as_object().cloned().unwrap_or_default();
        set.iter().map(|(name, allocation)| (name.clone(), allocation["totalCost"].to_string())).collect()
    };
    let (status, answer) = get(&mut http, &format!("/allocation?{window}&aggregate=namespace&includeIdle=true"));
    assert_eq!((status, &answer["code"], &answer["status"]), (200, &json!(200), &json!("success")));
    assert_eq!(totals(&answer, 0), pairs(&[("__idle__", "1.86"), ("kube-system", "0.3"), ("shop", "0.72")]));
    let shop = &answer["data"][0]["shop"];
    for (member, expected) in [
        ("name", json!("shop")),
        ("cpuCores", json!(1)),
        ("cpuCoreHours", json!(24)),
        ("cpuCost", json!(0.48)),
        ("ramBytes", json!(4294967296u64)),
        ("ramCost", json!(0.24)),
        ("minutes", json!(1440)),
        ("gpuCost", json!(0)),
        ("pvs", Value::Null),
        ("start", json!("2025-08-01T00:00:00Z")),
    ] {
        assert_eq!(shop[member], expected, "{member}: {shop}");
    }
    assert_eq!(shop["properties"]["node"], "n1");
    assert_eq!(shop["properties"]["labels"]["app"], "web");
    let (_, shared) = get(&mut http, &format!("/allocation/compute?{window}&aggregate=namespace&shareIdle=true"));
    // Cores 1 : 0.5 of 2.5 idle ones, memory 4 : 1 of 11 idle GiB; of 0.02 and 0.0025 an hour.
    assert_eq!(totals(&shared, 0), pairs(&[("kube-system", "0.832"), ("shop", "2.048")]));
    let (_, shared) = get(
        &mut http,
        &format!("/allocation?{window}&aggregate=label:app&shareNamespaces=kube-system&includeIdle=false"),
    );
    assert_eq!(totals(&shared, 0), pairs(&[("web", "1.02")]));
    let (_, filtered) = get(&mut http, &format!("/allocation?{window}&aggregate=pod&filter=namespace:%22shop%22"));
    assert_eq!(totals(&filtered, 0), pairs(&[("web-1", "0.72")]));
    let (_, stepped) = get(&mut http, &format!("/allocation?{window}&aggregate=namespace&step=12h"));
    assert_eq!(stepped["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(totals(&stepped, 1), pairs(&[("kube-system", "0.15"), ("shop", "0.36")]));
    let (_, default) = get(&mut http, &format!("/allocation?{window}"));
    assert!(default["data"][0]["prod/n1/shop/web-1/app"].is_object(), "{default}");
    let (_, assets) = get(&mut http, &format!("/assets?{window}"));
    let node = &assets["data"]["AWS/__undefined__/__undefined__/Compute/prod/Node/Kubernetes/i-0123456789abcdef0/n1"];
    assert_eq!(
        (&node["totalCost"], &node["cpuCost"], &node["type"]),
        (&json!(2.88), &json!(1.92), &json!("Node")),
        "{assets}"
    );
    for wrong in [
        "/allocation",
        "/allocation?window=soon",
        "/allocation?window=1d&filter=x",
        "/allocation?window=1d&aggregate=colour",
    ] {
        let (status, answer) = get(&mut http, wrong);
        assert_eq!((status, &answer["code"]), (400, &json!(400)), "{wrong}: {answer}");
    }
    // A tenant sees its own rows, and what is hidden keeps its share.
    let narrowed = [("x-stellwerk-tenant", "shop")];
    let path = format!("/allocation?{window}&aggregate=namespace&shareIdle=true");
    let reply = http.send("GET", &path, &narrowed, Vec::new()).expect("an answer");
    let answer: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(totals(&answer, 0), pairs(&[("shop", "2.048")]), "{answer}");
    let reply = http.send("GET", &format!("/assets?{window}"), &narrowed, Vec::new()).expect("an answer");
    let answer: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(answer["data"], json!({}));
}

fn showback(ground: &Ground) {
    let markdown = ground.run(&["cost", "showback", "--tenant", "shop", "--month", "2025-08"]).ok().stdout;
    for expected in [
        "# shop: costs of 2025-08",
        "| USD | 88.72 | 88.72 | 88.72 | 0.72 | -2.00 | 9 |",
        "| Storage | USD | 6.00 | 4.00 | 2.00 | 50.0 % |",
        "| unused commitment | – | ri-1 | USD | 1.00 |",
        "| ri-1 | USD | 3.00 | 1.00 | 75.0 % |",
        "| 2025-08-25 | Search | USD | 50.00 | 10.00 |",
    ] {
        assert!(markdown.contains(expected), "{expected}\n{markdown}");
    }
    assert!(!markdown.contains("EUR"), "another tenant's costs are not shown: {markdown}");
    let csv = ground.run(&["cost", "showback", "--month", "2025-08", "--format", "csv"]).ok().stdout;
    let line = |tenant: &str, value: &str| format!("{tenant},2025-08,In all,1,billed_cost,{value}");
    for expected in [line("shop", "88.72"), line("data", "7.5"), line("default", "2.16")] {
        assert!(csv.lines().any(|found| found == expected), "{expected}\n{csv}");
    }
    let json = ground.run(&["cost", "showback", "--tenant", "data", "--format", "json"]).ok().stdout;
    let document: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(document[0]["sections"][0]["rows"][0]["billed_cost"], "7.5", "{json}");
    assert_eq!(document[0]["month"], "2025-08");
}

fn checked_and_sealed(ground: &Ground) {
    let checked = ground.run(&["cost", "check"]);
    assert_eq!(checked.code, Some(0), "{}\n{}", checked.stdout, checked.stderr);
    assert!(checked.stdout.contains("warn periods-sealed"), "{}", checked.stdout);
    let sealed = ground.run(&["cost", "period", "seal", "2025-07", "--note", "books of July"]).ok();
    assert!(sealed.stdout.contains("shop: 5 charges sealed"), "{}", sealed.stdout);
    let listed = ground.run(&["cost", "period", "list"]).ok();
    assert!(listed.stdout.contains("sealed"), "{}", listed.stdout);
    let restated = ground.beside("restated.csv");
    fs::write(&restated, bills().replace("\"4\",\"4\",\"4\"", "\"5\",\"5\",\"5\"")).expect("a file can be written");
    let path = restated.display().to_string();
    let refused = ground.run(&["ingest", "cost", &path]);
    assert_ne!(refused.code, Some(0), "{}", refused.stdout);
    assert!(refused.stderr.contains("2025-07 of shop is sealed"), "{}", refused.stderr);
    let early = ground.run(&["cost", "period", "seal", "2025-08", "--tenant", "shop"]);
    assert!(early.stderr.contains("1 estimates"), "{}", early.stderr);
    // The node's bill comes: everybody's estimate becomes a part of it.
    let bill = ground.beside("node.csv");
    let more = [("ResourceId", "arn:aws:ec2:eu-central-1:1:instance/i-0123456789abcdef0"), ("x_tenant", "")];
    fs::write(&bill, format!("{HEADER}\n{}\n", charge("2025-08-01", "", "EC2", "5.76", &more))).expect("written");
    ground.run(&["ingest", "cost", &bill.display().to_string()]).ok();
    let parts = "SELECT x_tenant, BilledCost, x_estimate_delta FROM cost_line WHERE x_pod IS NOT NULL ORDER BY 1";
    assert_eq!(ground.ask(parts), [["default", "0.6", "0.3"], ["shop", "1.44", "0.72"]]);
    let sum = "SELECT sum(BilledCost) FROM cost_line WHERE ChargePeriodStart >= '2025-08-01' AND ChargePeriodStart < '2025-08-02'";
    assert_eq!(ground.ask(sum), [["5.76"]]);
    assert_eq!(ground.run(&["cost", "check"]).code, Some(0));
}

#[test]
fn a_server_estimates_by_itself() {
    let ground = prepared();
    let estimated = "SELECT count(DISTINCT x_set) FROM cost_line WHERE x_estimate AND x_set LIKE 'estimate|k8s|%'
        AND \"ChargePeriodStart\" > now() - INTERVAL '5 days'";
    let server = Server::start(&ground, &["--estimate", "off"]);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(server.cell(estimated), "0", "off is off");
    assert_eq!(server.stop().0, Some(0));
    let server = Server::start(&ground, &["--estimate", "2s", "--estimate-provider", "AWS"]);
    for _ in 0..600 {
        if server.cell(estimated) == "4" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(server.cell(estimated), "4", "today and the three days before it: {}", server.log());
    let provider = "SELECT DISTINCT \"ServiceProviderName\" FROM cost_line WHERE x_set LIKE 'estimate|k8s|%'
        AND \"ChargePeriodStart\" > now() - INTERVAL '5 days'";
    assert_eq!(server.cell(provider), "AWS");
    // Days that are over are written once, today is written again as it grows.
    let writes =
        "SELECT max(n) FROM (SELECT count(*) AS n FROM audit WHERE action = 'cost.estimate' AND actor = 'schedule'
        AND detail ->> 'to' < CAST(now() AS VARCHAR) GROUP BY detail ->> 'from') AS days";
    let said =
        "SELECT DISTINCT actor, subject, outcome FROM audit WHERE action = 'cost.estimate' AND actor = 'schedule'";
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(server.sql(said).rows, [["schedule", "clusters", "done"]]);
    assert_eq!(server.cell(writes), "1");
    assert_eq!(server.stop().0, Some(0));
}
