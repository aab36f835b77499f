//! `stellwerk job`: what waits, what is dead, and what to do about it.

use clap::{Args, Subcommand};
use engine::Result;

use super::exit::Exit;
use super::place::Place;
use super::print;
use crate::reach::reach;
use crate::rules::RuleWish;

const AFTER: &str = "\
Jobs follow from rules. What waits, runs or is dead stands in the table job, what has ended in job_done, what reached the
world in effect.

Examples:
  stellwerk job retry --all --data ./data
  stellwerk sql \"SELECT id, kind, error FROM job WHERE state = 'dead'\" --data ./data";

/// Jobs that follow from rules.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Job {
    /// Try dead jobs again, under their old names: who did them already knows them.
    Retry(Retry),
    /// End a job that waits or is dead.
    Cancel(Cancel),
}

/// Which dead jobs.
#[derive(Debug, Args)]
pub struct Retry {
    /// The job's id.
    #[arg(value_name = "ID", required_unless_present = "all")]
    id: Option<String>,
    /// All dead jobs.
    #[arg(long, conflicts_with = "id")]
    all: bool,
    #[command(flatten)]
    place: Place,
}

/// Which job.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The job's id.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: Place,
}

impl Job {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        let (wish, place) = match self {
            Job::Retry(retry) => (RuleWish::Retry { job: retry.id }, retry.place),
            Job::Cancel(cancel) => (RuleWish::Cancel { job: cancel.id }, cancel.place),
        };
        let reach = reach(&place.settings(), false).await?;
        let answer = reach.rules(&wish).await;
        let closed = reach.close().await;
        let answer = answer?;
        closed?;
        print::text(&format!("{answer}\n"))
    }
}
