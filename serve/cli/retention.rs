//! `stellwerk retention`: how long rows are kept, and what is past its time.

use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use engine::Result;
use engine::arrow::array::{ArrayRef, StringArray};
use ledger::retention::TableStatus;

use super::exit::Exit;
use super::place::Place;
use super::{print, tables};
use crate::reach::keep::KeepWish;
use crate::reach::reach;

const AFTER: &str = "\
Rows are kept for ever unless the table declares otherwise (logs and spans 30 days, metrics, query_log and reject 90, usage of
clusters 400) or a rule of --retention FILE says so:

  rules:
  - {signal: logs, tenant: acme, keep: 90d}     # the first rule that fits decides
  - {signal: logs, keep: 30d}                   # signals: logs, traces, metrics, kubernetes, azure_devops, cost, prices,
  - {table: k8s_event, keep: 13w}               #   documents, supply_chain, policies, queries
  - {table: query_log, keep: forever}           # h, d, w, or forever

A server deletes what is past its time once an hour: whole fragments where they are old enough, single rows elsewhere. What a
hold keeps stays, and as_of() does not reach behind what is gone.

Examples:
  stellwerk retention status --data ./data --retention retention.yaml
  stellwerk retention status --all --format json --data ./data
  stellwerk retention run --data ./data
  stellwerk sql \"SELECT * FROM retention_status WHERE due_rows > 0\" --data ./data";

/// See how long rows are kept, and delete what is past its time.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Retention {
    /// Show each table's rule, its rows past their time, and what holds keep them.
    Status(Status),
    /// Delete what is past its time now, not at the next hour.
    Run(Status),
}

/// Which tables, and how they are shown.
#[derive(Debug, Args)]
pub struct Status {
    /// Tables that are kept for ever and hold nothing, too.
    #[arg(long)]
    all: bool,
    /// How they are shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    place: Place,
}

/// How an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Retention {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        let (wish, shown) = match self {
            Retention::Status(status) => (KeepWish::RetentionStatus, status),
            Retention::Run(status) => (KeepWish::RetentionRun, status),
        };
        let reach = reach(&shown.place.settings(), false).await?;
        let found: Result<Vec<TableStatus>> = reach.keep(wish).await;
        reach.close().await?;
        let mut found = found?;
        let says = |table: &TableStatus| table.keep != "forever" || table.due.rows > 0 || !table.holds.is_empty();
        found.retain(|table| shown.all || says(table));
        print::text(&match shown.format {
            Format::Text => listed(&found)?,
            Format::Json => format!("{:#}\n", serde_json::json!(found)),
        })
    }
}

fn listed(found: &[TableStatus]) -> Result<String> {
    let cells = |cell: &dyn Fn(&TableStatus) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(found.iter().map(cell)))
    };
    tables::aligned(vec![
        ("table", cells(&|t| t.table.clone())),
        ("keep", cells(&|t| t.keep.clone())),
        ("by", cells(&|t| t.origin.clone())),
        ("rows", cells(&|t| t.due.rows.to_string())),
        ("bytes", cells(&|t| t.due.size_bytes.to_string())),
        ("due rows", cells(&|t| t.due.due_rows.to_string())),
        ("due bytes", cells(&|t| t.due.due_bytes.to_string())),
        ("held rows", cells(&|t| t.due.held_rows.to_string())),
        ("holds", cells(&|t| t.holds.join(" "))),
        ("deleted so far", cells(&|t| t.deleted_rows.to_string())),
    ])
}
