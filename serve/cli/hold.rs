//! `stellwerk hold`: legal holds, which win over retention and erasure.

use std::sync::Arc;

use clap::{Args, Subcommand};
use engine::Result;
use engine::arrow::array::{ArrayRef, StringArray};
use ledger::retention::{CheckedCopy, HoldCopy, HoldEntry, HoldOrder};

use super::audit::{LockFor, absolute};
use super::exit::Exit;
use super::place::{Place, pair};
use super::retention::Format;
use super::{print, tables};
use crate::reach::keep::KeepWish;
use crate::reach::reach;

const AFTER: &str = "\
A hold keeps rows in this store: neither retention nor an erasure deletes them until it is released. Rows that newer ones
supersede are compacted away after the as-of horizon all the same.

It does not lock the objects underneath, which compaction writes anew. What must outlast this store and its operator is copied:
`hold copy` writes the rows that a hold keeps now, superseded ones among them, as Parquet to a folder or a bucket, and with
--lock nobody deletes or replaces them there before their time. The hash of the copy stands in the audit log and in the table
hold_copy; `hold check` reads every byte back. What comes later is in the next copy.

Examples:
  stellwerk hold add --table 'otel_*' --tenant acme --reason 'matter 2026-17' --data ./data
  stellwerk hold add --subject ana@acme.example --reason 'matter 2026-18' --data ./data
  stellwerk hold list --data ./data
  stellwerk hold copy 3f2a9c01b7de s3://evidence/acme --lock 3650d --lock-mode compliance --data ./data
  stellwerk hold copies --data ./data
  stellwerk hold check 91c04e7a2b55 --data ./data
  stellwerk hold release 3f2a9c01b7de --reason 'matter closed' --data ./data";

/// Place, list, copy and release legal holds.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Hold {
    /// Keep rows, whatever their age and whoever wants them erased.
    Add(Add),
    /// Show every hold, released ones too.
    List(List),
    /// Let the rows of a hold go.
    Release(Release),
    /// Write the rows of a hold to a place, locked there if that is wanted.
    Copy(CopyRows),
    /// Show every copy of held rows.
    Copies(List),
    /// Read a copy back, and hold every byte against what was written.
    Check(Check),
}

/// Which hold, and where to.
#[derive(Debug, Args)]
pub struct CopyRows {
    /// The id that `stellwerk hold list` shows.
    id: String,
    /// A folder, or the URL of an object store.
    #[arg(value_name = "DEST")]
    to: String,
    /// Option of the object store, as object_store names it. Repeat it for several.
    #[arg(long = "option", value_name = "K=V", value_parser = pair)]
    options: Vec<(String, String)>,
    #[command(flatten)]
    lock: LockFor,
    /// How it is shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    place: Place,
}

/// Which copy.
#[derive(Debug, Args)]
pub struct Check {
    /// The id that `stellwerk hold copies` shows.
    id: String,
    /// Option of the object store, as object_store names it. Repeat it for several.
    #[arg(long = "option", value_name = "K=V", value_parser = pair)]
    options: Vec<(String, String)>,
    /// How it is shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    place: Place,
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
            Hold::Copy(copy) => {
                let (to, lock) = (absolute(copy.to)?, copy.lock.wish());
                let reach = reach(&copy.place.settings(), false).await?;
                let wish = KeepWish::CopyHold { id: copy.id, to, options: copy.options, lock };
                let made: Result<HoldCopy> = reach.keep(wish).await;
                reach.close().await?;
                copies(&[made?], copy.format)
            }
            Hold::Copies(list) => {
                let reach = reach(&list.place.settings(), false).await?;
                let found: Result<Vec<HoldCopy>> = reach.keep(KeepWish::ListHoldCopies).await;
                reach.close().await?;
                copies(&found?, list.format)
            }
            Hold::Check(check) => check.run().await,
        }
    }
}

impl Check {
    async fn run(self) -> Result<Exit> {
        let reach = reach(&self.place.settings(), false).await?;
        let wish = KeepWish::CheckHoldCopy { id: self.id, options: self.options };
        let checked: Result<CheckedCopy> = reach.keep(wish).await;
        reach.close().await?;
        let checked = checked?;
        let mut text: String = checked.findings.iter().flat_map(|finding| [finding.as_str(), "\n"]).collect();
        let CheckedCopy { id, files, bytes, .. } = &checked;
        text.push_str(&format!("copy {id}: {files} files of {bytes} bytes are what was written\n"));
        print::text(&match self.format {
            Format::Text => text,
            Format::Json => format!("{:#}\n", serde_json::json!(checked)),
        })?;
        Ok(Exit(if checked.findings.is_empty() { Exit::OK } else { Exit::PROBLEMS }))
    }
}

fn copies(copies: &[HoldCopy], format: Format) -> Result<Exit> {
    let cells = |cell: fn(&HoldCopy) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(copies.iter().map(cell)))
    };
    print::text(&match format {
        Format::Json => format!("{:#}\n", serde_json::json!(copies)),
        Format::Text => tables::aligned(vec![
            ("id", cells(|c| c.id.clone())),
            ("hold", cells(|c| c.hold.clone())),
            ("made", cells(|c| c.made_at.clone())),
            ("rows", cells(|c| c.rows.to_string())),
            ("files", cells(|c| c.files.to_string())),
            ("bytes", cells(|c| c.size_bytes.to_string())),
            ("lock", cells(|c| c.lock_mode.clone().unwrap_or_default())),
            ("until", cells(|c| c.locked_until.clone().unwrap_or_default())),
            ("at", cells(|c| format!("{}/{}", c.destination.trim_end_matches('/'), c.path))),
        ])?,
    })
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
