//! Estimates, bills and seals against a store: what every sum says after each step.
#![allow(clippy::unwrap_used)]

mod schedule;

use std::path::PathBuf;
use std::sync::Arc;

use engine::reject::REJECT;
use engine::{Catalogue, Frame, NoRedaction, Ports, Settings, Table, Value, WallClock};
use ledger::period::{SealWish, broken_seals, seal};
use ledger::price::{Book, ModelPrice, Prices, RESOURCE_PRICE, Validity};
use serde_json::json;

use super::*;
use crate::cost::Cost;
use crate::kubernetes::{
    K8S_NODE, K8S_OBJECT, K8S_OBJECT_HISTORY, K8S_PERSISTENT_VOLUME, K8S_POD, K8S_SERVICE, K8S_USAGE,
};
use crate::otel::OTEL_SPAN;
use crate::sources::{FileOptions, Silent, Source};

const DAY: &str = "2025-10-01";

fn at(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
}

fn day() -> (i64, i64) {
    (at("2025-10-01T00:00:00Z"), at("2025-10-02T00:00:00Z"))
}

struct House {
    store: Arc<Store>,
    dir: tempfile::TempDir,
}

impl House {
    async fn open() -> House {
        let dir = tempfile::tempdir().unwrap();
        let mut tables: Vec<&'static Table> = vec![
            &REJECT,
            &K8S_NODE,
            &K8S_POD,
            &K8S_USAGE,
            &K8S_OBJECT,
            &K8S_OBJECT_HISTORY,
            &K8S_PERSISTENT_VOLUME,
            &K8S_SERVICE,
            &OTEL_SPAN,
        ];
        tables.extend(ledger::TABLES);
        let prices = Arc::new(Prices::new(Arc::new(WallClock)));
        let price = |dimension: &str, text: &str| ModelPrice {
            price_list: "ours".to_owned(),
            model: "gpt-4o".to_owned(),
            provider: "openai".to_owned(),
            mode: "chat".to_owned(),
            match_pattern: None,
            dimension: dimension.to_owned(),
            service_tier: "standard".to_owned(),
            above_tokens: 0,
            unit: "token".to_owned(),
            unit_price: ledger::decimal::parse(text).unwrap().units,
            currency: "USD".to_owned(),
            validity: Validity { from: 0, to: None },
            key: None,
            raw: None,
        };
        prices.publish(Book::new(vec![price("input", "0.000002"), price("output", "0.00001")]));
        let functions = ledger::price::functions(&prices);
        let catalogue = Catalogue { tables, views: ledger::VIEWS.to_vec(), functions, ..Catalogue::default() };
        let ports = Ports { clock: Arc::new(WallClock), redactor: Arc::new(NoRedaction) };
        let store = Store::open(Settings::new(dir.path().join("data")), catalogue, ports).await.unwrap();
        House { store, dir }
    }

    /// Rows of an answer, cells between bars.
    async fn ask(&self, sql: &str) -> Vec<String> {
        self.ask_as(&Scope::platform("test"), sql).await
    }

    async fn ask_as(&self, scope: &Scope, sql: &str) -> Vec<String> {
        use engine::arrow::array::Array;
        let question = engine::Question::from(sql);
        let answer = self.store.query(scope, question, engine::Limits::default()).await.unwrap();
        let names: Vec<String> = answer.stream.schema().fields().iter().map(|f| f.name().clone()).collect();
        let batches = engine::datafusion::physical_plan::common::collect(answer.stream).await.unwrap();
        let mut rows = Vec::new();
        for batch in batches {
            let answer = Answer::over(batch);
            let cells: Vec<_> = names.iter().map(|name| answer.texts(name).unwrap()).collect();
            for at in 0..answer.rows() {
                let cell = |texts: &engine::arrow::array::StringArray| match texts.is_null(at) {
                    true => "∅".to_owned(),
                    false => plain(texts.value(at)),
                };
                rows.push(cells.iter().map(cell).collect::<Vec<_>>().join("|"));
            }
        }
        rows
    }

    async fn check(&self, sql: &str, expected: &[&str]) {
        assert_eq!(self.ask(sql).await, expected, "{sql}");
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn bill(&self, name: &str, text: &str) -> Result<crate::Summary> {
        let path = self.write(name, text);
        let scope = Scope::platform("test");
        Cost.ingest_path(&self.store, &scope, &path, &FileOptions::default(), &Silent).await
    }

    async fn objects(&self, objects: serde_json::Value) {
        let scope = Scope::platform("test");
        let parsed = crate::kubernetes::objects(objects.to_string().as_bytes(), &scope, "prod").unwrap();
        assert!(parsed.rejects.is_empty(), "{:?}", parsed.rejects);
        self.store.append(parsed.into_frame("test", &scope)).await.unwrap();
    }

    async fn price(&self, resource: &str, text: &str, validity: (i64, Option<i64>)) {
        let price = ledger::price::ResourcePrice {
            price_list: "opencost".to_owned(),
            provider: String::new(),
            resource: resource.to_owned(),
            region: String::new(),
            instance_type: String::new(),
            selector: String::new(),
            unit: "hour".to_owned(),
            unit_price: ledger::decimal::parse(text).unwrap().units,
            currency: "USD".to_owned(),
            validity: Validity { from: validity.0, to: validity.1 },
            key: None,
            raw: None,
        };
        let mut rows = Rows::new(&RESOURCE_PRICE);
        price.write("default", &mut rows).unwrap();
        let mut frame = Frame::new("test");
        frame.push_rows(&mut rows);
        self.store.append(frame).await.unwrap();
    }

    /// A node of 4 cores and 16 GiB, with a tenant's pod and one of the platform.
    async fn cluster(&self) {
        self.price("cpu", "0.02", (0, None)).await;
        self.price("ram", "0.0025", (0, None)).await;
        self.price("storage", "0.001", (0, None)).await;
        let pod = |namespace: &str, name: &str, labels: serde_json::Value, cpu: &str, memory: &str, claim: &str| {
            json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace, "labels": labels, "creationTimestamp": "2025-09-30T12:00:00Z"},
                "spec": {"nodeName": "n1", "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": claim}}],
                    "containers": [{"name": "app", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]},
                "status": {"phase": "Running", "startTime": "2025-09-30T12:00:00Z"}})
        };
        let sample = |time: &str, cpu: &str| {
            json!({"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
                "metadata": {"name": "web-1", "namespace": "shop", "labels": {"tenant": "shop"}}, "timestamp": time, "window": "30s",
                "containers": [{"name": "app", "usage": {"cpu": cpu, "memory": "2Gi"}}]})
        };
        self.objects(json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "creationTimestamp": "2025-09-01T00:00:00Z"},
                "spec": {"providerID": "aws:///eu-central-1a/i-0123456789abcdef0"},
                "status": {"capacity": {"cpu": "4", "memory": "16Gi"}}},
            {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv-1", "creationTimestamp": "2025-09-01T00:00:00Z"},
                "spec": {"capacity": {"storage": "10Gi"}, "claimRef": {"namespace": "shop", "name": "data"}}, "status": {"phase": "Bound"}},
            pod("shop", "web-1", json!({"tenant": "shop", "app": "web", "project": "store"}), "1", "4Gi", "data"),
            pod("kube-system", "dns-1", json!({}), "500m", "1Gi", "none"),
            sample("2025-10-01T10:00:00Z", "500m"),
            sample("2025-10-01T11:00:00Z", "2"),
        ]}))
        .await;
    }

    async fn estimate(&self) -> Estimated {
        let wish = ClusterWish { window: day(), provider: "AWS".to_owned(), ..ClusterWish::default() };
        clusters(&self.store, &wish).await.unwrap()
    }
}

/// A decimal without the zeros that say nothing.
fn plain(text: &str) -> String {
    let is_decimal = text.contains('.') && ledger::decimal::parse(text).is_ok();
    if is_decimal { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

const SUM: &str =
    "SELECT sum(\"BilledCost\") AS billed, count(*) FILTER (WHERE x_estimate) AS estimates FROM cost_line";
const WHO: &str =
    "SELECT x_tenant, coalesce(x_pod, 'idle') AS pod, sum(\"BilledCost\") AS billed, sum(x_estimate_delta) AS delta
    FROM cost_line WHERE \"AllocatedMethodId\" IS NOT NULL AND \"ResourceType\" = 'Node' GROUP BY 1, 2 ORDER BY 1, 2";

fn node_bill(cost: &str) -> String {
    format!(
        "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceName,ResourceId,InvoiceId\n\
         {cost},{cost},USD,2025-10-01,2025-11-01,{DAY},2025-10-02,Usage,Amazon EC2,arn:aws:ec2:eu-central-1:1:instance/i-0123456789abcdef0,INV-1\n\
         1,1,USD,2025-10-01,2025-11-01,{DAY},2025-10-02,Usage,Amazon S3,bucket,INV-1\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_a_cluster_is_estimated_and_gives_way_to_the_bill() {
    let house = House::open().await;
    house.cluster().await;
    let estimated = house.estimate().await;
    assert_eq!((estimated.days, estimated.faults, estimated.unpriced), (1, vec![], vec![]));
    // The node is 4 × 0.02 + 16 × 0.0025 an hour; web takes 1.5 cores (1 asked, 2 used at one of two samples) and 4 GiB.
    house.check(WHO, &["default|dns-1|0.3|∅", "default|idle|1.62|∅", "shop|web-1|0.96|∅"]).await;
    house.check(SUM, &["3.12|4"]).await;
    house.check(
        "SELECT x_tenant, x_app, x_project, \"BilledCost\", \"ResourceId\" FROM cost_line WHERE \"ResourceType\" = 'Volume'",
        &["shop|web|store|0.24|pv-1"],
    )
    .await;
    let again = house.estimate().await;
    assert_eq!(again.rows, estimated.rows);
    house.check(SUM, &["3.12|4"]).await;

    // The bill says twice the node: everybody's part doubles, and the ledger holds the bill once.
    let summary = house.bill("october.csv", &node_bill("5.76")).await.unwrap();
    assert!(summary.notes.iter().any(|note| note.contains("3 estimates are billed now, 1 are not yet")), "{summary:?}");
    house.check(WHO, &["default|dns-1|0.6|0.3", "default|idle|3.24|1.62", "shop|web-1|1.92|0.96"]).await;
    house.check(SUM, &["7|1"]).await;
    house.check("SELECT sum(\"BilledCost\") AS billed FROM cost_line WHERE \"InvoiceId\" = 'INV-1'", &["6.76"]).await;
    house.check("SELECT sum(\"BilledCost\") AS billed FROM \"CostAndUsage\"", &["7"]).await;
    let shop = Scope::tenant("shop", "test");
    let own = "SELECT billed_cost, estimated_cost FROM cost_by_tenant";
    assert_eq!(house.ask_as(&shop, own).await, ["2.16|0.24"]);
    house
        .check(
            "SELECT tenant, estimated_cost, billed_cost, difference, open_cost FROM cost_estimate_delta ORDER BY tenant, service",
            &["default|1.92|3.84|1.92|∅", "shop|0.96|1.92|0.96|0.24"],
        )
        .await;

    // Written again after the bill, and a bill that is restated: still what is billed, once.
    house.estimate().await;
    house.check(SUM, &["7|1"]).await;
    house.bill("october.csv", &node_bill("2.88")).await.unwrap();
    house.check(WHO, &["default|dns-1|0.3|0", "default|idle|1.62|0", "shop|web-1|0.96|0"]).await;
    house.check(SUM, &["4.12|1"]).await;
    // A bill that is taken back makes estimates of them again.
    let empty = node_bill("0").lines().take(1).chain(node_bill("0").lines().skip(2)).collect::<Vec<_>>().join("\n");
    house.bill("october.csv", &empty).await.unwrap();
    house.check(WHO, &["default|dns-1|0.3|∅", "default|idle|1.62|∅", "shop|web-1|0.96|∅"]).await;
    house.check(SUM, &["4.12|4"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_that_was_there_first_covers_what_is_estimated_later() {
    let house = House::open().await;
    house.bill("october.csv", &node_bill("5.76")).await.unwrap();
    house.cluster().await;
    let wish = ClusterWish { window: day(), share_idle: "weighted".to_owned(), ..ClusterWish::default() };
    let estimated = clusters(&house.store, &wish).await.unwrap();
    assert_eq!((estimated.settlement.covered, estimated.settlement.open), (2, 1));
    // Idle went to who used the node, resource by resource: cores 1.5 : 0.5, memory 4 : 1.
    house.check(WHO, &["default|dns-1|1.344|0.672", "shop|web-1|4.416|2.208"]).await;
    house.check(SUM, &["7|1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_changed_at_noon_is_paid_from_noon_on() {
    let house = House::open().await;
    house.cluster().await;
    let noon = at("2025-10-01T12:00:00Z");
    house.price("cpu", "0.02", (0, Some(noon))).await;
    house.price("cpu", "0.04", (noon, None)).await;
    house.estimate().await;
    // 0.5 cores, 1 GiB: 12 h at 0.01 and 12 h at 0.02, and 24 h at 0.0025.
    let dns = "SELECT sum(\"BilledCost\") AS billed FROM cost_line WHERE x_pod = 'dns-1'";
    house.check(dns, &["0.42"]).await;
    let sum = "SELECT sum(\"BilledCost\") AS billed FROM cost_line WHERE \"ResourceType\" = 'Node'";
    house.check(sum, &["3.84"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_price_is_a_row_that_says_so() {
    let house = House::open().await;
    house.objects(json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": {"capacity": {"cpu": "4", "memory": "16Gi"}}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "b", "creationTimestamp": "2025-09-01T00:00:00Z"},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}, "status": {}}]}))
    .await;
    let estimated = house.estimate().await;
    assert_eq!(estimated.unpriced.len(), 1, "{estimated:?}");
    house.check("SELECT tenant, charges FROM cost_unpriced", &["default|1"]).await;
    house.check("SELECT \"BilledCost\", \"ListUnitPrice\" FROM cost_line WHERE x_unpriced IS NOT NULL", &["0|∅"]).await;
    let rule = ledger::check::STORED_RULES.iter().find(|rule| rule.id == "usage-priced").unwrap();
    assert_eq!(house.ask(rule.sql).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_and_nodes_that_are_gone_by_now_are_found_in_the_history() {
    let house = House::open().await;
    house.cluster().await;
    let scope = Scope::platform("test");
    let gone = |kind: &str, meta: serde_json::Value| {
        let spec = json!({"containers": [{"name": "app"}]});
        json!({"type": "DELETED", "object": {"apiVersion": "v1", "kind": kind, "metadata": meta, "spec": spec}})
            .to_string()
    };
    for body in [
        gone("Pod", json!({"name": "web-1", "namespace": "shop", "labels": {"tenant": "shop"}})),
        gone("Node", json!({"name": "n1"})),
    ] {
        let parsed = crate::kubernetes::objects(body.as_bytes(), &scope, "prod").unwrap();
        house.store.append(parsed.into_frame("test", &scope)).await.unwrap();
    }
    house.check("SELECT count(*) AS n FROM k8s_node", &["0"]).await;
    house.check("SELECT count(*) AS n FROM k8s_pod", &["1"]).await;
    house.estimate().await;
    house.check(WHO, &["default|dns-1|0.3|∅", "default|idle|1.62|∅", "shop|web-1|0.96|∅"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn model_calls_are_estimated_and_the_bill_is_split_over_who_called() {
    let house = House::open().await;
    let mut rows = Rows::new(&OTEL_SPAN);
    for (at_hour, tenant, model, agent, tokens) in [
        (9, "shop", "gpt-4o-2024-08-06", "writer", 1_000),
        (10, "shop", "gpt-4o-2024-08-06", "writer", 2_000),
        (11, "data", "gpt-4o", "reader", 1_000),
        (12, "data", "unknown-model", "reader", 5_000),
    ] {
        rows.set("time", Value::Time((day().0 + at_hour * 3_600_000_000) * 1_000))
            .set("trace_id", "0".repeat(32))
            .set("span_id", format!("{at_hour:016}"))
            .set("tenant", tenant)
            .set("gen_ai_provider_name", "openai")
            .set("gen_ai_response_model", model)
            .set("gen_ai_agent_name", agent)
            .set("gen_ai_usage_input_tokens", tokens as i64)
            .set("gen_ai_usage_output_tokens", 100i64);
        rows.end_row().unwrap();
    }
    let mut frame = Frame::new("test");
    frame.push_rows(&mut rows);
    house.store.append(frame).await.unwrap();
    let estimated = models(&house.store, day()).await.unwrap();
    assert_eq!((estimated.rows, estimated.days, estimated.unpriced.len()), (3, 1, 1), "{estimated:?}");
    let who =
        "SELECT x_tenant, x_agent, x_model, x_calls, x_tokens_in, \"BilledCost\", x_unpriced IS NOT NULL AS unpriced
        FROM cost_line WHERE x_agent IS NOT NULL ORDER BY 1, 3";
    house
        .check(
            who,
            &[
                "data|reader|gpt-4o|1|1000|0.003|false",
                "data|reader|unknown-model|1|5000|0|true",
                "shop|writer|gpt-4o-2024-08-06|2|3000|0.008|false",
            ],
        )
        .await;
    let bill = "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceName,ServiceProviderName,SkuPriceDetails\n\
        0.022,0.022,USD,2025-10-01,2025-10-01,2025-10-02,Usage,API,OpenAI,\"{\"\"ModelId\"\":\"\"gpt-4o\"\"}\"\n";
    house.bill("openai.csv", bill).await.unwrap();
    house
        .check(
            "SELECT x_tenant, x_agent, x_model, \"BilledCost\", x_estimate_delta, x_estimate FROM cost_line WHERE x_agent IS NOT NULL ORDER BY 1, 3",
            &[
                "data|reader|gpt-4o|0.006|0.003|false",
                "data|reader|unknown-model|0|∅|true",
                "shop|writer|gpt-4o-2024-08-06|0.016|0.008|false",
            ],
        )
        .await;
    house.check("SELECT sum(\"BilledCost\") AS billed FROM cost_line", &["0.022"]).await;
    let rule = ledger::check::STORED_RULES.iter().find(|rule| rule.id == "split-conserved").unwrap();
    house.check(rule.sql, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn estimates_of_a_file_are_replaced_by_the_bill_whoever_comes_first() {
    let header = "BilledCost,BillingCurrency,BillingPeriodStart,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ResourceId,x_estimate\n";
    let told = format!(
        "{header}10,USD,2025-10-01,2025-10-01,2025-10-02,Usage,vm-1,true\n4,USD,2025-10-01,2025-10-01,2025-10-02,Usage,vm-2,true\n"
    );
    let bill = format!("{header}12,USD,2025-10-01,2025-10-01,2025-10-02,Usage,VM-1,false\n");
    for estimate_first in [true, false] {
        let house = House::open().await;
        let files = [("told.csv", &told), ("bill.csv", &bill)];
        let order: Vec<_> = if estimate_first { files.to_vec() } else { files.iter().rev().copied().collect() };
        for (name, text) in order {
            house.bill(name, text).await.unwrap();
        }
        house.check(SUM, &["16|1"]).await;
        house
            .check(
                "SELECT \"BilledCost\", x_estimated_cost, x_estimate_delta FROM cost_line WHERE x_estimated_cost IS NOT NULL",
                &["12|10|2"],
            )
            .await;
        // Both again: nothing changes.
        house.bill("told.csv", &told).await.unwrap();
        house.bill("bill.csv", &bill).await.unwrap();
        house.check(SUM, &["16|1"]).await;
    }
}

fn correction(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fixtures/cost/corrections")
        .join(format!("closed_scenario_1_{name}.csv"));
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_period_keeps_its_charges_and_corrections_go_to_later_ones_in_both_shapes() {
    let by_resource = "SELECT \"ResourceId\", sum(\"BilledCost\") AS billed FROM cost_line GROUP BY 1 ORDER BY 1";
    let period = (at("2025-05-01T00:00:00Z"), at("2025-06-01T00:00:00Z"));
    let wish = SealWish { period, tenant: None, issuer: None, by: "test".to_owned(), note: None, is_forced: false };
    for shape in ["ledger", "delta"] {
        for original_first in [true, false] {
            let house = House::open().await;
            let files = [("original.csv", correction("original")), ("correction.csv", correction(shape))];
            let order = if original_first { [0, 1] } else { [1, 0] };
            for place in order {
                house.bill(files[place].0, &files[place].1).await.unwrap();
            }
            house.check(by_resource, &["R-111|1200", "R-222|300"]).await;
            if !original_first {
                continue;
            }
            let seals = seal(&house.store, &wish).await.unwrap();
            assert_eq!((seals.len(), seals[0].rows), (1, 1));
            assert!(seal(&house.store, &wish).await.unwrap_err().to_string().contains("sealed already"));
            // The same file is a repetition; another one of the month is refused, alone or beside another month.
            assert_eq!(house.bill("original.csv", &files[0].1).await.unwrap().repeated, 1);
            let restated = files[0].1.replace("1500,1500,1500", "9,9,9");
            for (name, text) in [("original.csv", &restated), ("other.csv", &restated)] {
                let refused = house.bill(name, text).await.unwrap_err().to_string();
                assert!(refused.contains("2025-05 of default is sealed"), "{refused}");
            }
            house.check(by_resource, &["R-111|1200", "R-222|300"]).await;
            house.check("SELECT DISTINCT state FROM cost_run ORDER BY 1", &["applied", "refused"]).await;
            // Corrections of it still come, in a later period.
            let more = correction(shape).replace("R-222,300", "R-222,301").replace("R-222,300", "R-222,301");
            house.bill("more.csv", &more).await.unwrap();
            house
                .check(
                    "SELECT period_start, state FROM billing_period_state ORDER BY 1",
                    &["2025-05-01T00:00:00Z|sealed", "2025-06-01T00:00:00Z|open"],
                )
                .await;
            assert!(broken_seals(&house.store, &Scope::platform("test")).await.unwrap().is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn estimates_are_no_books_to_close_and_a_sealed_month_takes_none() {
    let house = House::open().await;
    house.cluster().await;
    house.estimate().await;
    let period = (at("2025-10-01T00:00:00Z"), at("2025-11-01T00:00:00Z"));
    let mut wish = SealWish { period, tenant: None, issuer: None, by: "test".to_owned(), note: None, is_forced: false };
    assert!(seal(&house.store, &wish).await.unwrap_err().to_string().contains("4 estimates"));
    wish.is_forced = true;
    assert_eq!(seal(&house.store, &wish).await.unwrap().len(), 2);
    let cluster = ClusterWish { window: day(), ..ClusterWish::default() };
    let refused = clusters(&house.store, &cluster).await.unwrap_err().to_string();
    assert!(refused.contains("is sealed"), "{refused}");
    // Nor does a bill of another month's delivery change what was split in it.
    assert!(house.bill("october.csv", &node_bill("5.76")).await.is_err());
    house.check(SUM, &["3.12|4"]).await;
    wish.period = (at("2125-10-01T00:00:00Z"), at("2125-11-01T00:00:00Z"));
    assert!(seal(&house.store, &wish).await.unwrap_err().to_string().contains("not over yet"));
}
