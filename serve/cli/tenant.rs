//! `stellwerk tenant`: tenants and what they own, from documents in a folder.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine::{Error, Kind, Result};
use ledger::directory::{Action, Applied, Wish};

use super::exit::Exit;
use super::place::Place;
use super::print;
use crate::reach::reach;

const AFTER: &str = "\
A document has apiVersion stellwerk/v1, a kind (Tenant, Project, Team, Member, CostCenter, Application, DataClass, Grant,
Objective), metadata with a name and a namespace (the tenant), and a spec. Backstage's Group, User, Component and System are
read, too. An Objective has a service (as its spans name it, or '*') and a target, the percent of requests that succeed.

Exit code of apply: 0 done, or nothing to do; 1 with --dry-run where something would be done; 2 documents that make no sense.

Examples:
  stellwerk tenant apply ./tenants --dry-run --data ./data      shows the plan, changes nothing
  stellwerk tenant apply ./tenants --prune --data ./data        what is not in the folder goes
  stellwerk tenant show acme --data ./data                      its documents, which can be applied again";

/// Apply and show what the directory says about tenants.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Tenant {
    /// Make the directory what the documents of a folder say, all at once or not at all.
    Apply(Apply),
    /// Show the directory, or one tenant's part, as documents (JSON).
    Show(Show),
}

/// Make the directory what the documents of a folder say.
#[derive(Debug, Args)]
pub struct Apply {
    /// The folder, or one file.
    folder: PathBuf,
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
    /// What is in the directory and not in the folder goes; a tenant that goes is ended and keeps its rows.
    #[arg(long)]
    prune: bool,
    /// Only documents of this tenant; everything else is left alone.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Show the plan as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Show the directory as documents.
#[derive(Debug, Args)]
pub struct Show {
    /// Only this tenant's.
    tenant: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl Tenant {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Tenant::Apply(apply) => apply.run().await,
            Tenant::Show(show) => show.run().await,
        }
    }
}

impl Apply {
    async fn run(self) -> Result<Exit> {
        let folder = self.folder.canonicalize();
        let folder = folder.map_err(|e| Error::invalid(format!("read {}: {e}", self.folder.display())))?;
        let reach = reach(&self.place.settings(), true).await?;
        let wish = Wish { within: self.tenant, prune: self.prune, dry_run: self.dry_run };
        let applied = reach.apply_tenants(folder, wish).await;
        reach.close().await?;
        let applied = match applied {
            // A line for each place, as compilers have it.
            Err(wrong) if wrong.kind() == Kind::Invalid => {
                eprintln!("{wrong}");
                return Ok(Exit(Exit::USAGE));
            }
            other => other?,
        };
        print::text(&if self.json { format!("{:#}\n", serde_json::json!(applied)) } else { shown(&applied) })?;
        let pending = self.dry_run && !applied.plan.changes.is_empty();
        Ok(Exit(if pending { Exit::PROBLEMS } else { Exit::OK }))
    }
}

impl Show {
    async fn run(self) -> Result<Exit> {
        let reach = reach(&self.place.settings(), false).await?;
        let documents = reach.directory(self.tenant).await;
        reach.close().await?;
        print::text(&format!("{:#}\n", serde_json::json!(documents?)))
    }
}

/// The plan, a line a change.
fn shown(applied: &Applied) -> String {
    let plan = &applied.plan;
    let mut text = String::new();
    for change in &plan.changes {
        let (sign, fields) = match change.action {
            Action::Create => ('+', String::new()),
            Action::Change => ('~', format!("  ({})", change.fields.join(", "))),
            Action::Delete => ('-', String::new()),
        };
        text.push_str(&format!("{sign} {}{fields}\n", change.key));
    }
    for key in &plan.kept {
        text.push_str(&format!("  {key} is not in the folder and stays; --prune removes it\n"));
    }
    let [new, changed, gone] = [Action::Create, Action::Change, Action::Delete].map(|action| plan.count(action));
    let done = match applied.applied {
        true => format!("applied as version {}", applied.version),
        false if plan.changes.is_empty() => format!("nothing to do, version {}", applied.version),
        false => format!("not applied, version {}", applied.version),
    };
    text.push_str(&format!(
        "{new} to create, {changed} to change, {gone} to delete, {} as they are: {done}\n",
        plan.unchanged
    ));
    text
}
