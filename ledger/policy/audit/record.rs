//! Writing an audit down: violations as they are found, then what is gone, then the row of the run.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::{Error, Frame, Kind, Result, Rows, Value};
use sha2::{Digest, Sha256};

use super::work::{BrokenObject, Seen};
use super::{Asked, BrokenConstraint, ClusterReport, next, texts};
use crate::policy::{Engine, POLICY_AUDIT, POLICY_VIOLATION, PolicySet, Violation};

/// Name of the audit in the source column.
const SOURCE: &str = "policy/audit";
/// Rows of one frame.
const ROWS_A_FRAME: usize = 2_000;
/// How often a full store is asked again.
const TRIES_MAX: usize = 20;
/// Longest pause before it is asked again.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The columns that make a violation what it is, behind the tenant.
const KEY: &[&str] =
    &["cluster", "constraint_kind", "constraint_name", "api_group", "kind", "namespace", "name", "violation_id"];

/// Writes one cluster's audit.
pub struct Recorder<'a> {
    ask: &'a Asked<'a>,
    run: String,
    at_us: i64,
    report: ClusterReport,
    rows: Rows,
    broken: BTreeMap<(String, String), BrokenConstraint>,
}

impl<'a> Recorder<'a> {
    /// For a cluster in a run that began then.
    pub fn new(ask: &'a Asked<'a>, run: &str, at_us: i64, tenant: &str, cluster: &str) -> Self {
        let report =
            ClusterReport { tenant: tenant.to_owned(), cluster: cluster.to_owned(), ..ClusterReport::default() };
        Recorder {
            ask,
            run: run.to_owned(),
            at_us,
            report,
            rows: Rows::new(&POLICY_VIOLATION),
            broken: BTreeMap::new(),
        }
    }

    /// Adds what a turn saw.
    pub async fn add(&mut self, seen: Seen) -> Result<()> {
        self.report.objects += seen.objects;
        self.report.reviews += seen.reviews;
        for object in seen.broken {
            for (id, violation) in merged(&object.violations) {
                self.count(&violation);
                self.write(&object, &id, &violation)?;
            }
            if self.rows.len() >= ROWS_A_FRAME {
                self.flush().await?;
            }
        }
        Ok(())
    }

    fn count(&mut self, violation: &Violation) {
        self.report.violations += 1;
        self.report.failures += u64::from(violation.is_failure);
        let key = (violation.constraint_kind.clone(), violation.constraint_name.clone());
        let entry = self.broken.entry(key).or_insert_with(|| BrokenConstraint {
            constraint_kind: violation.constraint_kind.clone(),
            constraint_name: violation.constraint_name.clone(),
            enforcement_action: violation.enforcement_action.clone(),
            violations: 0,
            failures: 0,
            example: violation.message.clone(),
        });
        entry.violations += 1;
        entry.failures += u64::from(violation.is_failure);
    }

    fn write(&mut self, object: &BrokenObject, id: &str, violation: &Violation) -> Result<()> {
        self.rows
            .set("tenant", self.report.tenant.as_str())
            .set("cluster", self.report.cluster.as_str())
            .set("constraint_kind", violation.constraint_kind.as_str())
            .set("constraint_name", violation.constraint_name.as_str())
            .set("template", violation.template.as_str())
            .set("enforcement_action", violation.enforcement_action.as_str())
            .set("api_group", object.group.as_str())
            .set("kind", object.kind.as_str())
            .set("namespace", object.namespace.as_str())
            .set("name", object.name.as_str())
            .set("uid", object.uid.as_deref())
            .set("violation_id", id)
            .set("message", violation.message.as_str())
            .set("details", violation.details.as_ref().map(ToString::to_string))
            .set("engine", violation.engine.as_str())
            .set("is_failure", violation.is_failure)
            .set("audit_run", self.run.as_str())
            .set("audited_at", Value::Time(self.at_us));
        self.rows.end_row()
    }

    async fn flush(&mut self) -> Result<()> {
        let mut frame = Frame::new(SOURCE);
        frame.push_rows(&mut self.rows);
        append(self.ask, frame).await
    }

    /// Takes away what is gone and writes the row of the run.
    pub async fn finish(
        mut self,
        set: &PolicySet,
        engine: Engine,
        begun_us: i64,
        broken: &mut BTreeMap<(String, String), BrokenConstraint>,
    ) -> Result<ClusterReport> {
        self.flush().await?;
        self.take_away_vanished().await?;
        self.report.duration_ms = (self.ask.store.clock().now_us() - begun_us) as f64 / 1e3;
        self.write_run(set, engine).await?;
        for (key, more) in self.broken {
            let entry =
                broken.entry(key).or_insert_with(|| BrokenConstraint { violations: 0, failures: 0, ..more.clone() });
            entry.violations += more.violations;
            entry.failures += more.failures;
        }
        Ok(self.report)
    }

    /// What an earlier run saw and this one did not.
    async fn take_away_vanished(&mut self) -> Result<()> {
        // `cluster` is a word of SQL.
        let columns: Vec<String> = KEY.iter().map(|name| format!("\"{name}\"")).collect();
        let sql = format!(
            "SELECT {} FROM policy_violation WHERE \"tenant\" = ? AND \"cluster\" = ? AND audit_run <> ?",
            columns.join(", ")
        );
        let (tenant, cluster, run) = (self.report.tenant.clone(), self.report.cluster.clone(), self.run.clone());
        let mut batches = self.ask.ask(&sql, &[&tenant, &cluster, &run]).await?;
        while let Some(batch) = next(&mut batches).await? {
            let columns = (0..KEY.len()).map(|at| texts(&batch, at)).collect::<Result<Vec<_>>>()?;
            for at in 0..batch.num_rows() {
                self.rows.set("tenant", tenant.as_str()).set("audited_at", Value::Time(self.at_us));
                for (name, column) in KEY.iter().zip(&columns) {
                    self.rows.set(name, column.value(at));
                }
                self.rows.end_delete()?;
                self.report.vanished += 1;
            }
            self.flush().await?;
        }
        Ok(())
    }

    async fn write_run(&mut self, set: &PolicySet, engine: Engine) -> Result<()> {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let (templates, constraints) = set.counts();
        let engine = match engine {
            Engine::Rego => "rego",
            Engine::Cel => "cel",
            Engine::Both => "both",
        };
        let mut rows = Rows::new(&POLICY_AUDIT);
        rows.set("tenant", self.report.tenant.as_str())
            .set("cluster", self.report.cluster.as_str())
            .set("audit_run", self.run.as_str())
            .set("audited_at", Value::Time(self.at_us))
            .set("duration_ms", self.report.duration_ms)
            .set("engine", engine)
            .set("templates", count(templates as u64))
            .set("constraints", count(constraints as u64))
            .set("objects", count(self.report.objects))
            .set("reviews", count(self.report.reviews))
            .set("violations", count(self.report.violations))
            .set("failures", count(self.report.failures))
            .set("vanished", count(self.report.vanished))
            .set("notes", serde_json::json!(set.notes).to_string());
        rows.end_row()?;
        let mut frame = Frame::new(SOURCE);
        frame.push_rows(&mut rows);
        append(self.ask, frame).await
    }
}

/// Appends; waits while the store is full.
async fn append(ask: &Asked<'_>, frame: Frame) -> Result<()> {
    if frame.rows() == 0 {
        return Ok(());
    }
    for _ in 0..TRIES_MAX {
        match ask.store.append(frame.clone()).await {
            Ok(_) => return Ok(()),
            Err(error) => match error.kind() {
                Kind::Overloaded { retry_after } => tokio::time::sleep(retry_after.min(PAUSE_MAX)).await,
                _ => return Err(error.context("write the violations")),
            },
        }
    }
    Err(Error::new(Kind::Unavailable, "the store stayed too full to take the violations"))
}

/// One entry a finding, under its id: what a constraint asks for twice, once for each action, is one violation.
fn merged(violations: &[Violation]) -> BTreeMap<String, Violation> {
    let mut found: BTreeMap<String, Violation> = BTreeMap::new();
    for violation in violations {
        let actions = |v: &Violation| v.enforcement_action.clone();
        found
            .entry(id(violation))
            .and_modify(|known| {
                if !known.enforcement_action.split(',').any(|a| a == violation.enforcement_action) {
                    known.enforcement_action = format!("{},{}", actions(known), actions(violation));
                }
            })
            .or_insert_with(|| violation.clone());
    }
    found
}

/// 128 bits over constraint, engine and what it says.
fn id(violation: &Violation) -> String {
    let details = violation.details.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut hash = Sha256::new();
    for part in
        [&violation.constraint_kind, &violation.constraint_name, &violation.engine, &violation.message, &details]
    {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}
