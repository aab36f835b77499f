//! `stellwerk policy`: suites of templates and constraints, and the audit of what is stored.

mod shown;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use engine::{Error, Result};
use ledger::policy::{AuditOptions, CaseOutcome, Engine, SuiteReport, run_suite, suites};

use super::exit::Exit;
use super::place::Place;
use super::print;
use crate::reach::{AuditWish, reach};

const AFTER_TEST: &str = "\
A suite is gator's: a template, a constraint, objects, and how many violations are expected of each. A policy that cannot
be evaluated as OPA would denies, with its reason; such a case is told apart and does not pass.
Exit codes: 0 every case passed, 1 some did not, 2 there is no suite or it cannot be read.

Examples:
  stellwerk policy test ./policies
  stellwerk policy test ./policies/labels/suite.yaml -v --engine both
  stellwerk policy test ./policies --run disallowed --json";

const AFTER_AUDIT: &str = "\
Every violation becomes a row of the table policy_violation; one that is gone at the next audit leaves it. Each audit
leaves a row in policy_audit. Objects come from the table k8s_object, whether a server runs over DIR or not.
Exit codes: 0 nothing broken, 1 violations, 2 the policies cannot be read.

Examples:
  stellwerk policy audit --policies ./policies --data ./data
  stellwerk policy audit --policies ./policies --cluster prod-1 --format json --data ./data
  stellwerk sql \"SELECT constraint_name, count(*) FROM policy_violation GROUP BY 1\" --data ./data";

/// Run suites of policies, and audit the stored objects by them.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Run suites; no store is needed.
    Test(Test),
    /// Hold the stored objects against templates and constraints.
    Audit(Audit),
}

/// Run suites of templates and constraints.
#[derive(Debug, Args)]
#[command(after_help = AFTER_TEST)]
pub struct Test {
    /// Suites, or folders that hold some at any depth.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Name every test and case, not only what did not pass.
    #[arg(short, long)]
    verbose: bool,
    /// One JSON document with every case, its violations and its time.
    #[arg(long)]
    json: bool,
    /// Which engine evaluates a template that has both.
    #[arg(long, value_enum, default_value = "rego")]
    engine: EngineWord,
    /// Only tests and cases whose name fits this regular expression.
    #[arg(long, value_name = "PATTERN")]
    run: Option<String>,
}

/// Hold the stored objects against templates and constraints.
#[derive(Debug, Args)]
#[command(after_help = AFTER_AUDIT)]
pub struct Audit {
    /// Folder (or file) of templates and constraints.
    #[arg(long, value_name = "DIR", env = "STELLWERK_POLICIES", default_value = "policies")]
    policies: PathBuf,
    /// Only this tenant's objects.
    #[arg(long, value_name = "TENANT", env = "STELLWERK_TENANT")]
    tenant: Option<String>,
    /// Only this cluster.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Which engine evaluates a template that has both.
    #[arg(long, value_enum, default_value = "rego")]
    engine: EngineWord,
    /// Threads that evaluate; as many as there are cores without it.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// How the outcome is written.
    #[arg(long, value_enum, default_value = "text")]
    format: ReportFormat,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EngineWord {
    /// Rego; CEL where there is no Rego.
    Rego,
    /// CEL; Rego where there is no CEL.
    Cel,
    /// Both; where they differ, the policy denies.
    Both,
}

impl From<EngineWord> for Engine {
    fn from(word: EngineWord) -> Self {
        match word {
            EngineWord::Rego => Engine::Rego,
            EngineWord::Cel => Engine::Cel,
            EngineWord::Both => Engine::Both,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// Tables for people.
    Text,
    /// One JSON document.
    Json,
}

impl Policy {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Policy::Test(test) => {
                let running = tokio::task::spawn_blocking(move || test.run());
                running.await.map_err(|e| Error::unavailable("run the suites", e))?
            }
            Policy::Audit(audit) => audit.run().await,
        }
    }
}

impl Test {
    fn run(self) -> Result<Exit> {
        let mut files = Vec::new();
        for path in &self.paths {
            if !path.exists() {
                return Err(Error::invalid(format!("there is no {}", path.display())));
            }
            files.extend(suites(path)?);
        }
        if files.is_empty() {
            return Err(Error::invalid(
                "there is no suite: a YAML document of kind Suite, apiVersion test.gatekeeper.sh/v1alpha1",
            ));
        }
        let mut reports: Vec<SuiteReport> = Vec::with_capacity(files.len());
        for file in &files {
            let report = run_suite(file, self.engine.into(), self.run.as_deref())?;
            if !self.json {
                print::text(&shown::suite(&report, self.verbose))?;
            }
            reports.push(report);
        }
        let summary = shown::Counts::of(&reports);
        match self.json {
            true => print::text(&format!("{:#}\n", serde_json::json!({"summary": summary, "suites": reports})))?,
            false => print::text(&summary.line())?,
        };
        let good = |r: &SuiteReport| matches!(r.outcome, CaseOutcome::Passed | CaseOutcome::Skipped);
        Ok(Exit(if reports.iter().all(good) { Exit::OK } else { Exit::PROBLEMS }))
    }
}

impl Audit {
    async fn run(self) -> Result<Exit> {
        let failed = |e| Error::invalid(format!("read the policies in {}: {e}", self.policies.display()));
        let policies = self.policies.canonicalize().map_err(failed)?;
        let options = AuditOptions { cluster: self.cluster.clone(), engine: self.engine.into(), threads: self.threads };
        let wish = AuditWish { policies, tenant: self.tenant.clone(), options };
        let reach = reach(&self.place.settings(), false).await?;
        let done = tokio::select! {
            done = reach.audit(&wish) => done.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        };
        let closed = reach.close().await;
        let Some(report) = done? else { return Ok(Exit(Exit::INTERRUPTED)) };
        closed?;
        print::text(&match self.format {
            ReportFormat::Text => shown::audit(&report),
            ReportFormat::Json => format!("{:#}\n", serde_json::json!(report)),
        })?;
        let broken = report.clusters.iter().any(|c| c.violations > 0);
        Ok(Exit(if broken { Exit::PROBLEMS } else { Exit::OK }))
    }
}
