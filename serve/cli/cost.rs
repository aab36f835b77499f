//! `stellwerk cost`: cost files checked, and what a cluster costs spread over who used it.

mod allocate;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use engine::Result;

use super::exit::{self, Exit};
use super::print;

const AFTER: &str = "\
Exit codes: 0 conformant, 1 violations, 2 the file cannot be read.

Examples:
  stellwerk cost check focus.csv
  stellwerk cost check focus.parquet --focus-version 1.2 --format json";

/// Check cost files against FOCUS, and spread costs over who caused them.
#[derive(Debug, Subcommand)]
pub enum Cost {
    /// Spread a cluster's costs over who used it, by OpenCost's rules, exactly.
    Allocate(Box<allocate::Allocate>),
    /// Check one file against FOCUS's rules; no store is needed.
    Check(Check),
}

/// Check one file against FOCUS's rules.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Check {
    /// A FOCUS dataset: CSV, CSV in gzip, or Parquet.
    file: PathBuf,
    /// The version to check against; without it, the one that the columns show.
    #[arg(long, value_name = "V")]
    focus_version: Option<String>,
    /// How the findings are written.
    #[arg(long, value_enum, default_value = "text")]
    format: ReportFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    Text,
    Json,
}

impl Cost {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Cost::Allocate(allocate) => allocate.run().await,
            Cost::Check(check) => check.run().await,
        }
    }
}

impl Check {
    async fn run(self) -> Result<Exit> {
        let report = match ::ingest::cost::check_file(&self.file, self.focus_version.as_deref()).await {
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
}
