//! Holds every object of the table `k8s_object` against a set, and keeps what is broken in `policy_violation`.
//!
//! Objects are streamed and reviewed on every core; only what constraints read besides the object under review is held.
//! A later audit of a cluster supersedes an earlier one: what is gone is taken away once the new rows are durable, so a
//! run that breaks off leaves no rule unseen.

mod record;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::arrow::array::{Array, RecordBatch, StringArray};
use engine::arrow::compute::cast;
use engine::arrow::datatypes::DataType;
use engine::sql::session::from_datafusion;
use engine::{Error, Kind, Limits, Question, Result, Scope, Store};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::{Engine, Inventory, PolicySet};
use crate::check::quoted;
use record::Recorder;

/// An audit may read a large table to its end.
const LIMITS: Limits = Limits { rows_max: 100_000_000, time_max: Duration::from_secs(4 * 3_600) };
/// Objects of one cluster that constraints may read besides the one under review.
const INVENTORY_OBJECTS_MAX: usize = 250_000;
/// Clusters of one audit.
const CLUSTERS_MAX: usize = 10_000;

/// How an audit is made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AuditOptions {
    /// Only this cluster.
    pub cluster: Option<String>,
    /// Which engine evaluates.
    #[serde(default)]
    pub engine: Engine,
    /// Threads that evaluate; as many as there are cores without it.
    pub threads: Option<usize>,
}

/// What came of an audit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AuditReport {
    /// Its id, as in `policy_audit`.
    pub audit_run: String,
    /// Templates in the set.
    pub templates: usize,
    /// Constraints in the set.
    pub constraints: usize,
    /// Each cluster that was audited.
    pub clusters: Vec<ClusterReport>,
    /// What was broken, by constraint; the most broken first.
    pub broken: Vec<BrokenConstraint>,
    /// What was said when the policies were loaded.
    pub notes: Vec<String>,
    /// How long it took.
    pub duration_ms: f64,
}

/// One cluster and what came of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ClusterReport {
    /// Tenant of its objects.
    pub tenant: String,
    /// Its name.
    pub cluster: String,
    /// Objects that were read.
    pub objects: u64,
    /// Evaluations of a constraint on an object.
    pub reviews: u64,
    /// Violations found, failures among them.
    pub violations: u64,
    /// Evaluations that could not be made, and so deny.
    pub failures: u64,
    /// Violations of earlier audits that are gone.
    pub vanished: u64,
    /// How long it took.
    pub duration_ms: f64,
}

/// One constraint that is broken somewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BrokenConstraint {
    /// Kind of the constraint.
    pub constraint_kind: String,
    /// Name of the constraint.
    pub constraint_name: String,
    /// What it asks for.
    pub enforcement_action: String,
    /// How often it is broken.
    pub violations: u64,
    /// How often it could not be evaluated.
    pub failures: u64,
    /// The first message.
    pub example: String,
}

/// Audits every cluster that the scope sees.
pub async fn audit(
    store: &Arc<Store>,
    scope: &Scope,
    set: Arc<PolicySet>,
    options: &AuditOptions,
) -> Result<AuditReport> {
    let started_us = store.clock().now_us();
    let (templates, constraints) = set.counts();
    if constraints == 0 {
        return Err(Error::invalid(
            "there is no constraint to audit by; a folder of policies holds templates and constraints",
        ));
    }
    let mut report = AuditReport {
        audit_run: format!("{started_us:x}"),
        templates,
        constraints,
        notes: set.notes.clone(),
        ..AuditReport::default()
    };
    let ask = Asked { store, scope };
    let mut broken = BTreeMap::new();
    for (tenant, cluster) in ask.clusters(options.cluster.as_deref()).await? {
        let inventory = Arc::new(ask.inventory(&set, &tenant, &cluster).await?);
        let mut recorder = Recorder::new(&ask, &report.audit_run, started_us, &tenant, &cluster);
        let begun_us = store.clock().now_us();
        let objects = ask.objects(&set, &tenant, &cluster).await?;
        work::review_all(objects, &set, &inventory, options, &mut recorder).await?;
        let found = recorder.finish(&set, options.engine, begun_us, &mut broken).await?;
        report.clusters.push(found);
    }
    report.broken = broken.into_values().collect();
    report.broken.sort_by_key(|b: &BrokenConstraint| std::cmp::Reverse(b.violations));
    report.duration_ms = (store.clock().now_us() - started_us) as f64 / 1e3;
    Ok(report)
}

/// The store, asked under a scope.
struct Asked<'a> {
    store: &'a Arc<Store>,
    scope: &'a Scope,
}

/// Batches of an answer.
type Batches = engine::datafusion::execution::SendableRecordBatchStream;

impl Asked<'_> {
    async fn ask(&self, sql: &str, params: &[&str]) -> Result<Batches> {
        let question = Question { sql: sql.to_owned(), params: params.iter().map(|p| (*p).to_owned()).collect() };
        Ok(self.store.query(self.scope, question, LIMITS).await?.stream)
    }

    /// Every tenant and cluster that has objects now or had violations before.
    async fn clusters(&self, only: Option<&str>) -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for table in ["k8s_object", "policy_violation"] {
            let mut batches = self.ask(&format!("SELECT DISTINCT \"tenant\", \"cluster\" FROM {table}"), &[]).await?;
            while let Some(batch) = next(&mut batches).await? {
                let (tenants, clusters) = (texts(&batch, 0)?, texts(&batch, 1)?);
                found.extend(
                    (0..batch.num_rows()).map(|at| (tenants.value(at).to_owned(), clusters.value(at).to_owned())),
                );
            }
        }
        found.retain(|(_, cluster)| only.is_none_or(|only| only == cluster));
        found.sort();
        found.dedup();
        if found.len() > CLUSTERS_MAX {
            return Err(Error::new(
                Kind::Limit,
                format!("{} clusters are more than {CLUSTERS_MAX}; name one", found.len()),
            ));
        }
        Ok(found)
    }

    /// What constraints read besides the object under review: namespaces' labels, and the kinds that templates name.
    async fn inventory(&self, set: &PolicySet, tenant: &str, cluster: &str) -> Result<Inventory> {
        const SQL: &str = "SELECT \"object\" FROM k8s_object WHERE \"tenant\" = ? AND \"cluster\" = ?";
        let mut inventory = Inventory::default();
        let namespaces = format!("{SQL} AND kind = 'Namespace' AND api_group = ''");
        self.each_object(&namespaces, tenant, cluster, |object| {
            inventory.add_namespace(object);
            Ok(())
        })
        .await?;
        if let Some(kinds) = set.inventory_kinds() {
            let wanted = among("kind", &kinds);
            self.each_object(&format!("{SQL}{wanted}"), tenant, cluster, |object| inventory.add(object)).await?;
        }
        Ok(inventory)
    }

    async fn each_object(
        &self,
        sql: &str,
        tenant: &str,
        cluster: &str,
        mut each: impl FnMut(&serde_json::Value) -> Result<(), String>,
    ) -> Result<()> {
        let mut batches = self.ask(sql, &[tenant, cluster]).await?;
        let mut count = 0;
        while let Some(batch) = next(&mut batches).await? {
            let objects = texts(&batch, 0)?;
            count += objects.len();
            if count > INVENTORY_OBJECTS_MAX {
                let why =
                    format!("the policies read more than {INVENTORY_OBJECTS_MAX} other objects of cluster {cluster}");
                return Err(Error::new(Kind::Limit, why));
            }
            for object in objects.iter().flatten() {
                // What is no object here is told of when it is reviewed.
                if let Ok(object) = serde_json::from_str(object) {
                    let _ = each(&object);
                }
            }
        }
        Ok(())
    }

    /// The objects that any constraint is about.
    async fn objects(&self, set: &PolicySet, tenant: &str, cluster: &str) -> Result<Batches> {
        let wanted = set.kinds().map(|kinds| among("kind", &kinds)).unwrap_or_default();
        let sql = format!(
            "SELECT api_group, kind, \"namespace\", name, uid, \"object\" FROM k8s_object WHERE \"tenant\" = ? AND \"cluster\" = ?{wanted}"
        );
        self.ask(&sql, &[tenant, cluster]).await
    }
}

/// A condition that a column holds one of these; no condition without any.
fn among(column: &str, values: &[String]) -> String {
    if values.is_empty() { String::new() } else { format!(" AND {column} IN ({})", quoted(values)) }
}

async fn next(batches: &mut Batches) -> Result<Option<RecordBatch>> {
    batches.next().await.transpose().map_err(from_datafusion)
}

/// A column as text, however it is encoded.
fn texts(batch: &RecordBatch, at: usize) -> Result<StringArray> {
    let failed = |why: String| Error::new(Kind::Internal, format!("read column {at} of an audit's question: {why}"));
    let column = cast(batch.column(at), &DataType::Utf8).map_err(|e| failed(e.to_string()))?;
    column.as_any().downcast_ref::<StringArray>().cloned().ok_or_else(|| failed("it is no text".to_owned()))
}
