//! `stellwerk hold`: legal holds, which win over retention and erasure.

use std::sync::Arc;

use clap::{Args, Subcommand};
use engine::Result;
use engine::arrow::array::{ArrayRef, StringArray};
use ledger::retention::{HoldEntry, HoldOrder};

use super::exit::Exit;
use super::place::Place;
use super::retention::Format;
use super::{print, tables};
use crate::reach::keep::KeepWish;
use crate::reach::reach;

const AFTER: &str = "\
A hold keeps rows in this store: neither retention nor an erasure deletes them until it is released. It does not lock the
objects underneath; where a bucket has an object lock of its own, that holds beside it. Rows that newer ones supersede are
compacted away after the as-of horizon all the same.

Examples:
  stellwerk hold add --table 'otel_*' --tenant acme --reason 'matter 2026-17' --data ./data
  stellwerk hold add --subject ana@acme.example --reason 'matter 2026-18' --data ./data
  stellwerk hold list --data ./data
  stellwerk hold release 3f2a9c01b7de --reason 'matter closed' --data ./data";

/// Place, list and release legal holds.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Hold {
    /// Keep rows, whatever their age and whoever wants them erased.
    Add(Add),
    /// Show every hold, released ones too.
    List(List),
    /// Let the rows of a hold go.
    Release(Release),
}

/// Which rows, and why.
#[derive(Debug, Args)]
pub struct Add {
    /// The table, with a `*` at its end for several.
    #[arg(long, value_name = "TABLE", default_value = "*")]
    table: String,
    /// Only this tenant's rows.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only rows that hold this value, such as a name or an address. Repeat it for several spellings.
    #[arg(long = "subject", value_name = "VALUE")]
    subject: Vec<String>,
    /// The matter that it is for.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// How it is shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    place: Place,
}

/// How holds are shown.
#[derive(Debug, Args)]
pub struct List {
    /// How they are shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    place: Place,
}

/// Which hold, and why it ends.
#[derive(Debug, Args)]
pub struct Release {
    /// The id that `stellwerk hold list` shows.
    id: String,
    /// Why its rows may go.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    place: Place,
}

impl Hold {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Hold::Add(add) => {
                let order =
                    HoldOrder { tables: add.table, tenant: add.tenant, subject: add.subject, reason: add.reason };
                let reach = reach(&add.place.settings(), false).await?;
                let placed: Result<HoldEntry> = reach.keep(KeepWish::AddHold(order)).await;
                reach.close().await?;
                shown(&[placed?], add.format)
            }
            Hold::List(list) => {
                let reach = reach(&list.place.settings(), false).await?;
                let found: Result<Vec<HoldEntry>> = reach.keep(KeepWish::ListHolds).await;
                reach.close().await?;
                shown(&found?, list.format)
            }
            Hold::Release(release) => {
                let reach = reach(&release.place.settings(), false).await?;
                let wish = KeepWish::ReleaseHold { id: release.id, reason: release.reason };
                let done: Result<()> = reach.keep(wish).await;
                reach.close().await?;
                done.map(|()| Exit(Exit::OK))
            }
        }
    }
}

fn shown(holds: &[HoldEntry], format: Format) -> Result<Exit> {
    let cells = |cell: fn(&HoldEntry) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(holds.iter().map(cell)))
    };
    print::text(&match format {
        Format::Json => format!("{:#}\n", serde_json::json!(holds)),
        Format::Text => tables::aligned(vec![
            ("id", cells(|h| h.id.clone())),
            ("tables", cells(|h| h.tables.clone())),
            ("tenant", cells(|h| h.tenant.clone().unwrap_or_default())),
            ("subject", cells(|h| if h.about_subject { "yes".to_owned() } else { String::new() })),
            ("reason", cells(|h| h.reason.clone())),
            ("placed by", cells(|h| h.placed_by.clone())),
            ("placed", cells(|h| h.placed_at.clone())),
            ("released", cells(|h| h.released_at.clone().unwrap_or_default())),
            ("because", cells(|h| h.release_reason.clone().unwrap_or_default())),
        ])?,
    })
}
