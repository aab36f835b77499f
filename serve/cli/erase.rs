//! `stellwerk erase`: a subject's data, planned, approved by somebody else, erased and proven.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use engine::arrow::array::{ArrayRef, StringArray};
use engine::{Error, Result};
use ledger::erase::{ErasureEntry, ErasureWish};

use super::exit::Exit;
use super::place::Place;
use super::retention::Format;
use super::{print, tables};
use crate::reach::keep::KeepWish;
use crate::reach::reach;

const AFTER: &str = "\
A value is found in any case, in columns that are declared to hold people and in every text: 4 bytes at least, so that it is
not found by chance. Look at the plan before it is approved: what it lists goes. Rows of tables that only grow are deleted;
where rows supersede each other the value becomes [erased], and the row stays. Chunks and vectors are made anew.

Whoever asks does not approve: without a key you are the operator of the data directory, with --key-file whose key it is (a
platform's key with the scope operate).

run deletes, writes the fragments anew, drops old versions, log segments and index files, masks the state database, erases
names in the audit log, and searches every file and every stored cell for what is left. Exit code 0: nothing is left; 1:
something is, and the erasure stays open to be run again. It may be killed at any moment and run again. The proof in the
audit log holds SHA-256(salt, then each value behind its length as 8 bytes) instead of the subject; the salt is told once.

Examples:
  stellwerk erase --subject ana@acme.example --subject 'Ana Meier' --tenant acme --reason 'request 4711' --data ./data
  stellwerk erase show 3f2a9c01b7de --data ./data
  stellwerk erase approve 3f2a9c01b7de --key-file privacy.key --data ./data
  stellwerk erase run 3f2a9c01b7de --data ./data
  stellwerk erase list --data ./data";

/// Erase a subject's data: plan it, have it approved, run it, keep the proof.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Erase {
    /// Look for a subject's data everywhere, and ask for its erasure; `stellwerk erase --subject …` is short for it.
    Plan(Plan),
    /// Let a planned erasure be run; not by who asked for it.
    Approve(One),
    /// Run an approved erasure, or one that was cut off.
    Run(One),
    /// Give up an erasure that was not run.
    Cancel(One),
    /// Show one erasure with its plan and its proof.
    Show(One),
    /// Show every erasure.
    List(How),
}

/// Whose data, and why.
#[derive(Debug, Args)]
pub struct Plan {
    /// A name or an address of the subject. Repeat it for each spelling.
    #[arg(long = "subject", value_name = "VALUE", required = true)]
    subject: Vec<String>,
    /// Only this tenant's rows; without it, every one's.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// The request that it answers.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    how: How,
}

/// Who does it, and how the answer is shown.
#[derive(Debug, Clone, Args)]
pub struct How {
    /// A file with the key of who does this.
    #[arg(long, value_name = "FILE", env = "STELLWERK_KEY_FILE")]
    key_file: Option<PathBuf>,
    /// How it is shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    place: Place,
}

/// Which erasure.
#[derive(Debug, Args)]
pub struct One {
    /// Its id.
    id: String,
    #[command(flatten)]
    how: How,
}

impl How {
    fn key(&self) -> Result<Option<String>> {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path);
            text.map(|text| text.trim().to_owned()).map_err(|e| Error::invalid(format!("read {}: {e}", path.display())))
        };
        self.key_file.as_ref().map(read).transpose()
    }
}

/// The words of the command line, with the step that `stellwerk erase --subject …` leaves out.
pub fn spelled_out(mut words: Vec<OsString>) -> Vec<OsString> {
    let is = |at: usize, word: &str| words.get(at).is_some_and(|found| found == word);
    let at = match words.get(1).and_then(|word| word.to_str()) {
        Some("--log-format") => 3,
        Some(word) if word.starts_with("--log-format=") => 2,
        _ => 1,
    };
    let option = words.get(at + 1).is_some_and(|word| word.to_string_lossy().starts_with("--"));
    if is(at, "erase") && option && !is(at + 1, "--help") && !is(at + 1, "--version") {
        words.insert(at + 1, "plan".into());
    }
    words
}

impl Erase {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        let (wish, how) = match self {
            Erase::Plan(Plan { subject, tenant, reason, how }) => {
                let wish = ErasureWish { subject, tenant, reason };
                (KeepWish::PlanErasure { wish, key: how.key()? }, how)
            }
            Erase::Approve(One { id, how }) => (KeepWish::ApproveErasure { id, key: how.key()? }, how),
            Erase::Run(One { id, how }) => (KeepWish::RunErasure { id, key: how.key()? }, how),
            Erase::Cancel(One { id, how }) => (KeepWish::CancelErasure { id, key: how.key()? }, how),
            Erase::Show(One { id, how }) => (KeepWish::ShowErasure { id }, how),
            Erase::List(how) => return list(&how).await,
        };
        let ran = matches!(wish, KeepWish::RunErasure { .. });
        let reach = reach(&how.place.settings(), false).await?;
        let entry: Result<ErasureEntry> = reach.keep(wish).await;
        reach.close().await?;
        let entry = entry?;
        print::text(&match how.format {
            Format::Text => shown(&entry),
            Format::Json => format!("{:#}\n", serde_json::json!(entry)),
        })?;
        let open = ran && entry.state != "done";
        Ok(Exit(if open { Exit::PROBLEMS } else { Exit::OK }))
    }
}

async fn list(how: &How) -> Result<Exit> {
    let reach = reach(&how.place.settings(), false).await?;
    let found: Result<Vec<ErasureEntry>> = reach.keep(KeepWish::ListErasures).await;
    reach.close().await?;
    let found = found?;
    let cells = |cell: fn(&ErasureEntry) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(found.iter().map(cell)))
    };
    print::text(&match how.format {
        Format::Json => format!("{:#}\n", serde_json::json!(found)),
        Format::Text => tables::aligned(vec![
            ("id", cells(|e| e.id.clone())),
            ("state", cells(|e| e.state.clone())),
            ("tenant", cells(|e| e.tenant.clone().unwrap_or_default())),
            ("reason", cells(|e| e.reason.clone())),
            ("requested by", cells(|e| e.requested_by.clone())),
            ("requested", cells(|e| e.requested_at.clone())),
            ("approved by", cells(|e| e.approved_by.clone().unwrap_or_default())),
            ("ended", cells(|e| e.ended_at.clone().unwrap_or_default())),
        ])?,
    })
}

fn shown(entry: &ErasureEntry) -> String {
    let mut text = format!("erasure {}: {}, {}\n", entry.id, entry.state, entry.reason);
    let plan = &entry.plan;
    for seen in &plan.columns {
        let (masked, personal) = (seen.rows - seen.rows_deleted, if seen.is_personal { " (people)" } else { "" });
        text.push_str(&format!(
            "  {}.{}{personal}: {} rows, of which {} are deleted and {masked} masked\n",
            seen.table, seen.column, seen.rows, seen.rows_deleted
        ));
    }
    for cells in &plan.state {
        text.push_str(&format!("  {}.{}: {} cells are masked\n", cells.table, cells.column, cells.cells));
    }
    if plan.audit_names > 0 {
        text.push_str(&format!("  audit log: {} names are erased, their commitments stay\n", plan.audit_names));
    }
    if plan.dead_rows > 0 {
        text.push_str(&format!("  {} rows that were deleted before leave the files, too\n", plan.dead_rows));
    }
    if plan.columns.is_empty() && plan.state.is_empty() && plan.audit_names == 0 {
        text.push_str("  nothing was found\n");
    }
    for held in &plan.held {
        text.push_str(&format!(
            "  HELD: hold {} keeps {} rows; nothing is run until it is released\n",
            held.hold, held.rows
        ));
    }
    for note in &plan.notes {
        text.push_str(&format!("  note: {note}\n"));
    }
    if let Some(proof) = &entry.proof {
        for table in &proof.tables {
            text.push_str(&format!(
                "{}: {} rows deleted, {} masked, {} fragments written anew\n",
                table.table, table.rows_deleted, table.rows_masked, table.fragments
            ));
        }
        text.push_str(&format!(
            "searched {} files of {} bytes: {} hold a value; {} rows hold one; {} names erased in {} places of the audit log\n",
            proof.scanned.files,
            proof.scanned.bytes,
            proof.scanned.holding_count,
            proof.remaining_rows,
            proof.audit_names,
            proof.audit_places
        ));
        if proof.elsewhere_rows > 0 {
            text.push_str(&format!("{} rows of other tenants hold a value and stay\n", proof.elsewhere_rows));
        }
        if proof.state_elsewhere > 0 {
            text.push_str(&format!("{} cells of other tenants' state hold a value and stay\n", proof.state_elsewhere));
        }
        for file in &proof.scanned.holding {
            text.push_str(&format!("LEFT: {file}\n"));
        }
        for left in &proof.remaining {
            text.push_str(&format!("LEFT: {left}\n"));
        }
    }
    if let Some(salt) = &entry.salt {
        text.push_str(&format!("commitment {} with salt {salt}, told this once\n", entry.commitment));
    }
    text
}
