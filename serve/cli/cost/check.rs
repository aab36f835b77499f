//! `stellwerk cost check`: a file against FOCUS's rules, or the ledger as a whole.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use engine::{Error, Result, Settings};
use ledger::check::{STORED_RULES, Severity};
use serde::Serialize;

use super::super::exit::{self, Exit};
use super::super::print;
use super::rows::ask;
use crate::cost::{CostAnswer, CostWish};
use crate::reach::{Reach, reach};

/// Places that are shown of a rule that is broken.
const EXAMPLES_MAX: usize = 10;

const AFTER: &str = "\
Exit codes: 0 conformant, 1 violations, 2 the file or the store cannot be read.

Examples:
  stellwerk cost check focus.csv
  stellwerk cost check focus.parquet --focus-version 1.2 --format json
  stellwerk cost check --data ./data";

/// Check a file against FOCUS's rules, or the ledger as a whole: unpriced usage, mixed currencies, periods, splits, seals.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Check {
    /// A FOCUS dataset: CSV, CSV in gzip, or Parquet; no store is needed.
    #[arg(required_unless_present = "data")]
    file: Option<PathBuf>,
    /// The version to check against; without it, the one that the columns show.
    #[arg(long, value_name = "V", requires = "file")]
    focus_version: Option<String>,
    /// Data directory whose ledger is checked, where no file is given.
    #[arg(long, value_name = "DIR", env = "STELLWERK_DATA")]
    data: Option<PathBuf>,
    /// Only what this tenant sees.
    #[arg(long, value_name = "TENANT", env = "STELLWERK_TENANT")]
    tenant: Option<String>,
    /// How the findings are written.
    #[arg(long, value_enum, default_value = "text")]
    format: ReportFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    Text,
    Json,
}

/// What became of a rule over the ledger.
#[derive(Debug, Serialize)]
struct Finding {
    id: &'static str,
    title: &'static str,
    severity: Severity,
    count: usize,
    examples: Vec<String>,
}

impl Check {
    /// Checks, and says what is wrong.
    pub async fn run(self) -> Result<Exit> {
        match (&self.file, &self.data) {
            (Some(file), _) => self.file(file).await,
            (None, Some(data)) => {
                let reach = reach(&Settings::new(data), false).await?;
                let checked = self.ledger(reach.as_ref()).await;
                let closed = reach.close().await;
                checked.and_then(|exit| closed.map(|()| exit))
            }
            (None, None) => Err(Error::invalid("give a file, or --data DIR for the ledger")),
        }
    }

    async fn file(&self, file: &std::path::Path) -> Result<Exit> {
        let report = match ::ingest::cost::check_file(file, self.focus_version.as_deref()).await {
            Ok(report) => report,
            Err(error) => {
                // Whatever the cause, the answer is that this file could not be read.
                exit::say(&error);
                return Ok(Exit(Exit::USAGE));
            }
        };
        print::text(&match self.format {
            ReportFormat::Text => format!("{}\n", report.to_string().trim_end()),
            ReportFormat::Json => format!("{:#}\n", serde_json::json!(report)),
        })?;
        Ok(Exit(if report.is_conformant() { Exit::OK } else { Exit::PROBLEMS }))
    }

    async fn ledger(&self, reach: &dyn Reach) -> Result<Exit> {
        let mut findings = Vec::new();
        for rule in STORED_RULES {
            let told = ask(reach, rule.sql, self.tenant.as_deref()).await.map_err(|e| e.context(rule.id))?;
            let places = told.rows.into_iter().filter_map(|mut row| row.swap_remove(0)).collect();
            findings.push(finding(rule.id, rule.title, rule.severity, places));
        }
        if self.tenant.is_none() {
            let CostAnswer::Broken(broken) = reach.cost(&CostWish::BrokenSeals).await? else {
                return Err(Error::new(engine::Kind::Internal, "the seals were asked for and something else came"));
            };
            let title = "A sealed period holds what it held when it was sealed.";
            findings.push(finding("seals-whole", title, Severity::Error, broken));
        }
        print::text(&match self.format {
            ReportFormat::Text => text(&findings),
            ReportFormat::Json => format!("{:#}\n", serde_json::json!(findings)),
        })?;
        let is_broken = findings.iter().any(|f| f.count > 0 && f.severity == Severity::Error);
        Ok(Exit(if is_broken { Exit::PROBLEMS } else { Exit::OK }))
    }
}

fn finding(id: &'static str, title: &'static str, severity: Severity, places: Vec<String>) -> Finding {
    let count = places.len();
    Finding { id, title, severity, count, examples: places.into_iter().take(EXAMPLES_MAX).collect() }
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings.iter().filter(|f| f.count > 0) {
        let word = if finding.severity == Severity::Error { "FAIL" } else { "warn" };
        text.push_str(&format!("{word} {}: {} ({})\n", finding.id, finding.title, finding.count));
        finding.examples.iter().for_each(|example| text.push_str(&format!("       {example}\n")));
    }
    let broken = |severity| findings.iter().filter(|f| f.count > 0 && f.severity == severity).count();
    let (errors, warnings) = (broken(Severity::Error), broken(Severity::Warning));
    let passed = findings.len() - errors - warnings;
    text.push_str(&format!("the ledger: {} rules, {passed} hold, {errors} fail, {warnings} warn\n", findings.len()));
    text
}
