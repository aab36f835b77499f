//! A day of a cluster as FOCUS split rows: a row for each container's part of its node, of its volumes and of what balances
//! before it, and a row for what each node has left over. The parts of a node add up to the node, so that its bill, when
//! it comes, takes their place.

use std::collections::BTreeMap;

use engine::{Result, Rows, Scope, Store, Value};
use ledger::allocate::{Entry, Options, Row, Share, allocate};
use ledger::answer::Answer;
use ledger::decimal::{self, scaled};
use ledger::estimate::resource_key;
use ledger::price::ResourceBook;
use ledger::rewrite::{instant, literal};
use serde::{Deserialize, Serialize};

use super::{Estimated, Set, Writing, Written, charge_id, day_name, kept};
use crate::allocation::stored::{self, Measure, Measured, Priced, Stored};

/// Name and version of the rules, as `AllocatedMethodId`.
const METHOD: &str = ledger::allocate::METHOD;
const SCHEMA: &str = "Stellwerk cluster estimate";
const SOURCE: &str = "cost/estimate/clusters";

/// What is estimated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterWish {
    /// From midnight to midnight, in microseconds since 1970.
    pub window: (i64, i64),
    /// Only this cluster.
    pub cluster: Option<String>,
    /// What becomes of a node's idle: `none`, `weighted` or `even`, over its own containers.
    pub share_idle: String,
    /// Who sells and hosts the clusters.
    pub provider: String,
    /// Currency where no price says one.
    pub currency: String,
}

/// Labels that fill a column, the first that is there.
const LABELS: &[(&str, &[&str])] = &[
    ("x_app", &["app.kubernetes.io/name", "app", "k8s-app"]),
    ("x_component", &["app.kubernetes.io/component", "component"]),
    ("x_env", &["env", "environment", "app.kubernetes.io/environment"]),
    ("x_cost_center", &["cost-center", "cost_center", "costcenter"]),
    ("x_owner", &["owner", "team"]),
    ("x_project", &["project", "app.kubernetes.io/part-of"]),
    ("x_task", &["task", "work-item"]),
    ("x_pipeline_run", &["pipeline-run", "pipeline-run-id", "build-id", "run-id"]),
    ("x_agent", &["agent", "agent-id"]),
];

/// Writes the days.
pub async fn write(to: &Writing<'_>, days: &[(i64, i64)], wish: &ClusterWish) -> Result<Estimated> {
    let Writing { store, scope, .. } = to;
    let share_idle: Share = wish.share_idle.parse()?;
    let prices = ResourceBook::load(store).await?;
    let mut estimated = Estimated::default();
    for (start, end) in days {
        let mut was_written = false;
        for cluster in clusters(store, scope, (*start, *end), wish).await? {
            let asked = stored::Wish { start: *start, end: *end, cluster: Some(cluster.clone()) };
            let read = stored::read(store, &asked, &prices).await?;
            let mut set = Set::new(format!("estimate|k8s|{cluster}|{}", day_name(*start)));
            let options = Options { share_idle, ..Options::default() };
            let outcome = allocate(&read.input, &options)?;
            let day = Day { read: &read, span: (*start, *end), wish };
            day.fill(&outcome.rows, &mut set)?;
            estimated.faults.extend(outcome.faults);
            estimated.unpriced.extend(read.unpriced.iter().cloned());
            estimated.notes.extend(read.notes.iter().cloned());
            match set.write(to, *start, SOURCE).await? {
                Written::Rows(rows) => {
                    estimated.rows += rows;
                    was_written = true;
                }
                Written::Same => {}
                Written::Kept => estimated.notes.push(kept(*start)),
            }
        }
        estimated.days += u64::from(was_written);
    }
    for list in [&mut estimated.unpriced, &mut estimated.notes, &mut estimated.faults] {
        list.sort();
        list.dedup();
    }
    Ok(estimated)
}

/// The clusters that were there on a day, or of which something was written for it.
async fn clusters(store: &Store, scope: &Scope, span: (i64, i64), wish: &ClusterWish) -> Result<Vec<String>> {
    let only = wish.cluster.as_ref().map_or_else(String::new, |c| format!("WHERE cluster = {}", literal(c)));
    let sql = format!(
        "SELECT DISTINCT cluster FROM (
           SELECT cluster FROM k8s_node WHERE coalesce(creation_timestamp, {start}) < {end}
           UNION ALL SELECT cluster FROM k8s_pod WHERE coalesce(start_time, creation_timestamp, {start}) < {end}
           UNION ALL SELECT cluster FROM k8s_usage WHERE time > {start} AND time <= {end}
           UNION ALL SELECT x_cluster AS cluster FROM cost_line
             WHERE x_set LIKE 'estimate|k8s|%' AND \"ChargePeriodStart\" >= {start} AND \"ChargePeriodStart\" < {end} AND x_cluster IS NOT NULL
         ) AS seen {only} ORDER BY cluster",
        start = instant(span.0),
        end = instant(span.1)
    );
    let names = Answer::of(store, scope, sql, &[]).await?.texts("cluster")?;
    Ok(names.iter().flatten().map(str::to_owned).collect())
}

struct Day<'a> {
    read: &'a Stored,
    span: (i64, i64),
    wish: &'a ClusterWish,
}

impl Day<'_> {
    fn fill(&self, entries: &[Option<Entry>], set: &mut Set) -> Result<()> {
        let nodes = self.read.assets.iter().filter(|asset| asset.kind == Priced::Node);
        let nodes: BTreeMap<&str, &Measured> = nodes.map(|node| (node.name.as_str(), node)).collect();
        let volumes = self.read.assets.iter().filter(|asset| asset.kind == Priced::Volume);
        let volumes: BTreeMap<&str, &Measured> = volumes.map(|volume| (volume.name.as_str(), volume)).collect();
        let mut shared: BTreeMap<&str, i128> = BTreeMap::new();
        for ((row, measure), entry) in self.read.input.rows.iter().zip(&self.read.measures).zip(entries) {
            let idle = entry.as_ref().map_or(0, |entry| entry.idle);
            *shared.entry(row.node.as_str()).or_default() += idle;
            self.node_part(row, measure, idle, nodes.get(row.node.as_str()).copied(), set)?;
            for (name, gib_hours, cost) in &measure.volumes {
                self.volume_part(row, volumes.get(name.as_str()).copied(), *gib_hours, *cost, set)?;
            }
            for (name, cost) in &measure.balancers {
                self.balancer_part(row, name, *cost, set)?;
            }
        }
        for idle in &self.read.input.idle {
            let left = idle.costs.iter().sum::<i128>() - shared.get(idle.node.as_str()).copied().unwrap_or_default();
            if let Some(node) = nodes.get(idle.node.as_str()).filter(|_| left != 0) {
                self.idle(node, left, set)?;
            }
        }
        Ok(())
    }

    fn begin<'s>(&self, tenant: &str, words: &[&str], cost: i128, set: &'s mut Set) -> &'s mut Rows {
        let mut id = vec![set.name.clone(), tenant.to_owned()];
        id.extend(words.iter().map(|word| (*word).to_owned()));
        let id = charge_id(&id.iter().map(String::as_str).collect::<Vec<_>>());
        let currency = self.read.currency.as_deref().unwrap_or(&self.wish.currency);
        let provider = self.wish.provider.as_str();
        let rows = set.begin(tenant, &id, self.span, SCHEMA);
        for name in ["BilledCost", "EffectiveCost", "ListCost", "ContractedCost"] {
            rows.set(name, Value::Decimal(cost));
        }
        rows.set("BillingCurrency", currency)
            .set("AllocatedMethodId", METHOD)
            .set("ServiceName", "Kubernetes")
            .set("ServiceCategory", "Compute")
            .set("ServiceSubcategory", "Containers")
            .set("ServiceProviderName", provider)
            .set("HostProviderName", provider)
            .set("InvoiceIssuerName", provider);
        rows
    }

    /// What a row is of, and the bill that replaces it.
    fn keyed(&self, rows: &mut Rows, cluster: &str, resource: &str, name: &str) {
        let thing = if resource.is_empty() { String::new() } else { resource_key(resource) };
        let key = (!thing.is_empty()).then(|| format!("{thing}|{}", day_name(self.span.0)));
        rows.set("x_estimate_key", key)
            .set("BillingAccountId", cluster)
            .set("BillingAccountName", cluster)
            .set("ResourceId", if resource.is_empty() { name } else { resource })
            .set("ResourceName", name)
            .set("x_cluster", cluster);
    }

    fn named(row: &Row, rows: &mut Rows) {
        let id = [&row.cluster, &row.namespace, &row.pod, &row.container].map(String::as_str).join("/");
        let is_nobodys = row.is_unmounted();
        rows.set("AllocatedResourceId", Some(id).filter(|_| !is_nobodys))
            .set("AllocatedResourceName", Some(row.container.as_str()).filter(|_| !is_nobodys))
            .set("AllocatedTags", Some(serde_json::json!(row.labels).to_string()).filter(|_| !is_nobodys))
            .set("x_namespace", text(&row.namespace))
            .set("x_pod", text(&row.pod))
            .set("x_container", text(&row.container))
            .set("x_workload", text(&row.controller));
        for (column, labels) in LABELS {
            let found = labels.iter().find_map(|name| row.labels.get(*name));
            rows.set(column, found.map(String::as_str));
        }
    }

    fn node_part(
        &self,
        row: &Row,
        measure: &Measure,
        idle: i128,
        node: Option<&Measured>,
        set: &mut Set,
    ) -> Result<()> {
        let own: i128 = row.costs.of_node().iter().sum();
        if row.node.is_empty() || (own + idle == 0 && measure.unpriced.is_none()) {
            return Ok(());
        }
        let tenant = tenant(row);
        let words = ["node", row.node.as_str(), row.namespace.as_str(), row.pod.as_str(), row.container.as_str()];
        let [cpu, ram, gpu] = measure.counted(measure.hours)?;
        let whole = node.map(Measured::total).unwrap_or_default();
        let ratio = scaled(own + idle, decimal::ONE, whole).unwrap_or_default();
        let element = |unit: &str, quantity: i128| {
            format!(
                "{{\"AllocatedRatio\":{},\"UsageUnit\":\"{unit}\",\"UsageQuantity\":{}}}",
                decimal::text(ratio),
                decimal::text(quantity)
            )
        };
        let mut elements = vec![element("Core-Hours", cpu), element("GiB-Hours", ram)];
        if gpu > 0 {
            elements.push(element("GPU-Hours", gpu));
        }
        let rows = self.begin(tenant, &words, own + idle, set);
        let provider_id = measure.provider_id.as_str();
        self.keyed(rows, &row.cluster, provider_id, &row.node);
        Self::named(row, rows);
        rows.set("ChargeDescription", format!("{}/{}/{} on {}", row.namespace, row.pod, row.container, row.node))
            .set("ResourceType", "Node")
            .set("PricingUnit", "Hours")
            .set("PricingQuantity", Value::Decimal(measure.hours))
            .set("ConsumedUnit", "Core-Hours")
            .set("ConsumedQuantity", Value::Decimal(cpu))
            .set("RegionId", node.map(|node| node.region.as_str()).and_then(text))
            .set("AllocatedMethodDetails", format!("{{\"Elements\":[{}]}}", elements.join(",")))
            .set("x_unpriced", measure.unpriced.as_deref());
        rows.end_row()
    }

    fn volume_part(
        &self,
        row: &Row,
        volume: Option<&Measured>,
        gib_hours: i128,
        cost: i128,
        set: &mut Set,
    ) -> Result<()> {
        let Some(volume) = volume else { return Ok(()) };
        let tenant = if row.is_unmounted() { volume.tenant.as_str() } else { tenant(row) };
        let words = ["volume", volume.name.as_str(), row.namespace.as_str(), row.pod.as_str(), row.container.as_str()];
        let rows = self.begin(tenant, &words, cost, set);
        self.keyed(rows, &row.cluster, &volume.provider_id, &volume.name);
        Self::named(row, rows);
        rows.set("ChargeDescription", format!("{} for {}/{}", volume.name, row.namespace, row.pod))
            .set("ResourceType", "Volume")
            .set("ServiceCategory", "Storage")
            .set("ServiceSubcategory", "Block Storage")
            .set("PricingUnit", "GiB-Hours")
            .set("PricingQuantity", Value::Decimal(gib_hours))
            .set("ConsumedUnit", "GiB-Hours")
            .set("ConsumedQuantity", Value::Decimal(gib_hours));
        rows.end_row()
    }

    fn balancer_part(&self, row: &Row, name: &str, cost: i128, set: &mut Set) -> Result<()> {
        let words = ["balancer", name, row.namespace.as_str(), row.pod.as_str(), row.container.as_str()];
        let rows = self.begin(tenant(row), &words, cost, set);
        self.keyed(rows, &row.cluster, "", name);
        Self::named(row, rows);
        rows.set("ChargeDescription", format!("load balancer {name} for {}/{}", row.namespace, row.pod))
            .set("ResourceType", "Load Balancer")
            .set("ServiceCategory", "Networking")
            .set("ServiceSubcategory", "Application Networking");
        rows.end_row()
    }

    fn idle(&self, node: &Measured, cost: i128, set: &mut Set) -> Result<()> {
        let rows = self.begin(&node.tenant, &["idle", node.name.as_str()], cost, set);
        self.keyed(rows, &node.cluster, &node.provider_id, &node.name);
        rows.set("ChargeDescription", format!("idle of {}", node.name))
            .set("ResourceType", "Node")
            .set("RegionId", text(&node.region))
            .set("PricingUnit", "Hours")
            .set("PricingQuantity", Value::Decimal(node.hours));
        rows.end_row()
    }
}

fn tenant(row: &Row) -> &str {
    if row.tenant.is_empty() { ledger::estimate::PAYER } else { &row.tenant }
}

fn text(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
