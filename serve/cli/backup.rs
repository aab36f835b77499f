//! `stellwerk backup`: facts and state of one moment, copied, checked, and made a store again.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use engine::arrow::array::{ArrayRef, StringArray};
use engine::backup::{self, BackupPlace, Checked, Restored, RestoredTo, Shipped, Summary, To};
use engine::clock::rfc3339;
use engine::{Clock, Error, Result, Settings, WallClock};
use ledger::audit::Rewind;
use ledger::directory::OsDice;
use ledger::principal::Caller;

use super::exit::Exit;
use super::place::{Place, duration, pair};
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

restore makes a new data directory of the newest backup, of the newest that is no younger than --at, of --id, or of any moment
between two backups with --to. It needs no server, and refuses a directory, tables or a state database that are in use.

--to restores every row that was acknowledged by then and none that came later, as as_of() would show it, out of the first
backup behind the moment; a load from a file counts from when it began. The audit log is that of the moment, too, and a row of
it tells of the restore. The rest of the state database (keys, directory, budgets, jobs) is as it was put aside last before the
moment, with a backup or alone: `backup state` does that, and so does a server with --backup every minute
(--backup-state-every). What changed it in between is not restored, but counted from the audit log and named (exit code 1): a
key that was revoked in between is good again. With --whole the moment is the last one no later than --to of which everything
is there, facts, audit log and state; `backup list --states` shows these moments. Rows that outlived their retention or were
erased since stay gone; where rows that newer ones replaced were dropped after the as-of horizon, the moment is refused.

prune removes the lists of old backups and the states before the oldest that is left at once, and files that no list names once that has been so for a day: a backup that is
being made may need them yet.

Examples:
  stellwerk backup create /backups/stellwerk --data ./data
  stellwerk backup list /backups/stellwerk
  stellwerk backup verify /backups/stellwerk
  stellwerk backup prune /backups/stellwerk --older-than 30d
  stellwerk backup restore /backups/stellwerk --data ./restored --at 2026-11-01T06:00:00Z
  stellwerk backup restore /backups/stellwerk --data ./restored --to 2026-11-01T06:13:27.5Z
  stellwerk backup restore /backups/stellwerk --data ./restored --to 2026-11-01T06:13:27.5Z --whole
  stellwerk backup state /backups/stellwerk --data ./data
  stellwerk backup restore s3://bucket/backups --option aws_endpoint=http://127.0.0.1:9000 --data ./restored";

/// Back the store up, check backups, restore one, remove old ones.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Backup {
    /// Copy the store as it is at one moment.
    Create(Create),
    /// Put the state database alone beside the backups: what `restore --to` takes for moments between two.
    State(Create),
    /// Show the backups of a place.
    List(List),
    /// Read every file of a backup and compare it with what was written.
    Verify(Verify),
    /// Make a new data directory of a backup.
    Restore(Restore),
    /// Remove old backups, and the files that none of the others needs.
    Prune(Prune),
}

/// Remove old backups.
#[derive(Debug, Args)]
pub struct Prune {
    #[command(flatten)]
    at: At,
    /// Backups older than this go, but for the last of them, from which every moment since can be restored: 30d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    older_than: Duration,
    /// Only say which.
    #[arg(long)]
    dry_run: bool,
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

/// Show the backups of a place.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    at: At,
    /// Show the moments between backups whose state lies there instead.
    #[arg(long)]
    states: bool,
}

/// Copy the store, or its state.
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
    /// This moment itself, between two backups or at one: 2026-11-01, or RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with_all = ["id", "at"])]
    to: Option<i64>,
    /// The last moment no later than --to of which the state is there, too.
    #[arg(long, requires = "to")]
    whole: bool,
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
            Backup::State(state) => state.run_state().await,
            Backup::List(list) if list.states => list.run_states().await,
            Backup::List(list) => listed(&backup::list(&list.at.open()?).await?, list.at.format),
            Backup::Verify(verify) => verify.run().await,
            Backup::Restore(restore) => restore.run().await,
            Backup::Prune(prune) => prune.run().await,
        }
    }
}

impl Create {
    async fn run_state(self) -> Result<Exit> {
        let wish = KeepWish::BackupState { to: self.at.absolute()?, options: self.at.options.clone() };
        let reach = reach(&self.place.settings(), false).await?;
        let shipped: Result<Shipped> = reach.keep(wish).await;
        reach.close().await?;
        let shipped = shipped?;
        print::text(&match self.at.format {
            Format::Json => format!("{:#}\n", serde_json::json!(shipped)),
            Format::Text => {
                let Shipped { at, held, new_bytes } = shipped;
                format!("state of {at}: {} rows of {} tables, {new_bytes} bytes are new\n", held.rows, held.tables)
            }
        })
    }
}

impl List {
    async fn run_states(self) -> Result<Exit> {
        let states = backup::states(&self.at.open()?, 0).await?;
        let moments: Vec<String> = states.iter().map(|mark| rfc3339(mark.at_us)).collect();
        print::text(&match self.at.format {
            Format::Json => format!("{:#}\n", serde_json::json!(moments)),
            Format::Text => moments.iter().flat_map(|moment| [moment.as_str(), "\n"]).collect(),
        })
    }
}

impl Prune {
    async fn run(self) -> Result<Exit> {
        let now_us = WallClock.now_us();
        let age_us = i64::try_from(self.older_than.as_micros()).unwrap_or(i64::MAX);
        let before_us = now_us.saturating_sub(age_us);
        let pruned = backup::prune(&self.at.open()?, before_us, now_us, self.dry_run).await?;
        let word = if self.dry_run { "would go" } else { "gone" };
        print::text(&match self.at.format {
            Format::Json => format!("{:#}\n", serde_json::json!(pruned)),
            Format::Text => format!(
                "{} backups {word}, {} left; {} states {word}; {} files of {} bytes gone, {} wait for a day\n",
                pruned.backups.len(),
                pruned.left,
                pruned.states,
                pruned.files,
                pruned.bytes,
                pruned.waiting_files
            ),
        })
    }
}

impl Verify {
    async fn run(self) -> Result<Exit> {
        let checked: Checked = backup::verify(&self.at.open()?, self.id.as_deref()).await?;
        let mut text: String = checked.findings.iter().flat_map(|finding| [finding.as_str(), "\n"]).collect();
        text.push_str(&format!(
            "backup {}: {} files of {} bytes are what was written; {} states around it were read\n",
            checked.id, checked.files, checked.bytes, checked.states
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
        if let Some(to_us) = self.to {
            return self.run_to(&settings, to_us).await;
        }
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

impl Restore {
    async fn run_to(&self, settings: &Settings, to_us: i64) -> Result<Exit> {
        let journal = Rewind::new(Arc::new(WallClock), Arc::new(OsDice), Caller::operator());
        let tables = crate::wire::catalogue().tables;
        let to = if self.whole { To::Whole(to_us) } else { To::Exactly(to_us) };
        let restored = backup::restore_to(settings, &self.from.open()?, &tables, to, &journal).await?;
        print::text(&match self.from.format {
            Format::Json => format!("{:#}\n", serde_json::json!(restored)),
            Format::Text => told(&restored, settings),
        })?;
        Ok(Exit(if restored.is_whole() { Exit::OK } else { Exit::PROBLEMS }))
    }
}

fn told(restored: &RestoredTo, settings: &Settings) -> String {
    let RestoredTo { to, facts, later_rows, state, state_at, state_held, missing, notes } = restored;
    let mut text = format!(
        "restored {to} into {}: facts of backup {} without the {later_rows} rows that came later, audit log of that moment, {} rows of state of {state_at} (behind backup {}); `stellwerk audit verify` proves it\n",
        settings.data.display(),
        facts.id,
        state_held.rows,
        state.id
    );
    if !missing.is_empty() {
        let changes: Vec<String> = missing.iter().map(|c| format!("{} {}", c.count, c.action)).collect();
        text.push_str(&format!(
            "MISSING: what changed the state between {state_at} and {to} is not in it: {}; --whole restores {state_at}\n",
            changes.join(", ")
        ));
    }
    notes.iter().for_each(|note| text.push_str(&format!("note: {note}\n")));
    text
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
