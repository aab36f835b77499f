//! `stellwerk backup`: facts and state of one moment, copied, checked, and made a store again.

use std::sync::Arc;

use clap::{Args, Subcommand};
use engine::arrow::array::{ArrayRef, StringArray};
use engine::backup::{self, BackupPlace, Checked, Restored, Summary};
use engine::{Error, Result};

use super::exit::Exit;
use super::place::{Place, pair};
use super::retention::Format;
use super::{print, tables};
use crate::reach::keep::KeepWish;
use crate::reach::reach;

const AFTER: &str = "\
DEST is a folder or the URL of an object store. It holds any number of backups; files that it has already are not copied again,
and on the same disk they are linked. A backup shows one moment: every table at a version, the state database (SQLite or
PostgreSQL, either can be restored as the other), the keys of the data directory and the signed roots of the audit log. So
DEST holds secrets: a folder is made for its owner alone. Writers wait for the moment itself, which takes as long as the last
flush. The search's index is not in it; it is derived anew.

restore makes a new data directory of the newest backup, of the newest that is no younger than --at, or of --id. There is no
point in time between two backups. It needs no server, and refuses a directory, tables or a state database that are in use.

Examples:
  stellwerk backup create /backups/stellwerk --data ./data
  stellwerk backup list /backups/stellwerk
  stellwerk backup verify /backups/stellwerk
  stellwerk backup restore /backups/stellwerk --data ./restored --at 2026-11-01T06:00:00Z
  stellwerk backup restore s3://bucket/backups --option aws_endpoint=http://127.0.0.1:9000 --data ./restored";

/// Back the store up, check backups, restore one.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Backup {
    /// Copy the store as it is at one moment.
    Create(Create),
    /// Show the backups of a place.
    List(At),
    /// Read every file of a backup and compare it with what was written.
    Verify(Verify),
    /// Make a new data directory of a backup.
    Restore(Restore),
}

/// Where backups lie.
#[derive(Debug, Args)]
pub struct At {
    /// A folder, or the URL of an object store.
    #[arg(value_name = "DEST")]
    dest: String,
    /// Option of the object store, as object_store names it. Repeat it for several.
    #[arg(long = "option", value_name = "K=V", value_parser = pair)]
    options: Vec<(String, String)>,
    /// How the answer is shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Copy the store.
#[derive(Debug, Args)]
pub struct Create {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    place: Place,
}

/// Check a backup.
#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    at: At,
    /// The backup; without it, the newest.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

/// Restore a backup.
#[derive(Debug, Args)]
pub struct Restore {
    #[command(flatten)]
    from: At,
    /// The backup; without it, the newest.
    #[arg(long, value_name = "ID", conflicts_with = "at")]
    id: Option<String>,
    /// The newest backup that is no younger than this: 2026-11-01, or RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<i64>,
    #[command(flatten)]
    place: Place,
}

fn instant(text: &str) -> Result<i64, String> {
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|day| day.and_time(Default::default()).and_utc());
    let at = day.or_else(|_| chrono::DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()));
    at.map(|at| at.timestamp_micros()).map_err(|_| format!("{text:?} is neither a day nor a time of RFC 3339"))
}

impl At {
    /// The place as a server finds it, whose working folder is another.
    fn absolute(&self) -> Result<String> {
        if self.dest.contains("://") {
            return Ok(self.dest.clone());
        }
        let path = std::path::absolute(&self.dest).map_err(|e| Error::invalid(format!("{}: {e}", self.dest)))?;
        Ok(path.display().to_string())
    }

    /// A place with backups; a folder that is not there is no such place.
    fn open(&self) -> Result<BackupPlace> {
        let name = self.absolute()?;
        if !name.contains("://") && !std::path::Path::new(&name).is_dir() {
            return Err(Error::new(engine::Kind::NotFound, format!("there is no folder {name}")));
        }
        BackupPlace::open(&name, &self.options)
    }
}

impl Backup {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Backup::Create(create) => {
                let wish = KeepWish::Backup { to: create.at.absolute()?, options: create.at.options.clone() };
                let reach = reach(&create.place.settings(), false).await?;
                let made: Result<Summary> = reach.keep(wish).await;
                reach.close().await?;
                listed(&[made?], create.at.format)
            }
            Backup::List(at) => listed(&backup::list(&at.open()?).await?, at.format),
            Backup::Verify(verify) => verify.run().await,
            Backup::Restore(restore) => restore.run().await,
        }
    }
}

impl Verify {
    async fn run(self) -> Result<Exit> {
        let checked: Checked = backup::verify(&self.at.open()?, self.id.as_deref()).await?;
        let mut text: String = checked.findings.iter().flat_map(|finding| [finding.as_str(), "\n"]).collect();
        text.push_str(&format!(
            "backup {}: {} files of {} bytes are what was written\n",
            checked.id, checked.files, checked.bytes
        ));
        print::text(&match self.at.format {
            Format::Text => text,
            Format::Json => format!("{:#}\n", serde_json::json!(checked)),
        })?;
        Ok(Exit(if checked.findings.is_empty() { Exit::OK } else { Exit::PROBLEMS }))
    }
}

impl Restore {
    async fn run(self) -> Result<Exit> {
        let settings = self.place.settings();
        let restored: Restored = backup::restore(&settings, &self.from.open()?, self.id.as_deref(), self.at).await?;
        let Summary { id, at, rows, .. } = &restored.backup;
        let state = restored.state.rows;
        print::text(&match self.from.format {
            Format::Json => format!("{:#}\n", serde_json::json!(restored)),
            Format::Text => format!(
                "restored backup {id} of {at} into {}: {rows} rows of facts, {state} of state; `stellwerk audit verify` proves it\n",
                settings.data.display()
            ),
        })
    }
}

fn listed(backups: &[Summary], format: Format) -> Result<Exit> {
    let cells = |cell: fn(&Summary) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(backups.iter().map(cell)))
    };
    print::text(&match format {
        Format::Json => format!("{:#}\n", serde_json::json!(backups)),
        Format::Text => tables::aligned(vec![
            ("id", cells(|b| b.id.clone())),
            ("moment", cells(|b| b.at.clone())),
            ("seq", cells(|b| b.seq.to_string())),
            ("rows", cells(|b| b.rows.to_string())),
            ("state rows", cells(|b| b.state_rows.to_string())),
            ("files", cells(|b| b.files.to_string())),
            ("bytes", cells(|b| b.size_bytes.to_string())),
            ("new bytes", cells(|b| b.new_bytes.map(|bytes| bytes.to_string()).unwrap_or_default())),
        ])?,
    })
}
