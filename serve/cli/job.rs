//! `stellwerk job`: what waits, runs or is dead, how fast it may begin, and what to do about it.

mod top;

use std::time::Duration;

use clap::{Args, Subcommand};
use engine::{Result, parse_span};
use jobs::queue::{Limit as Rate, Which};

use super::exit::Exit;
use super::listing::{Asking, members, table};
use super::place::Place;
use super::print;
use crate::reach::reach;
use crate::rules::RuleWish;
use crate::work::WorkWish;

const AFTER: &str = "\
Jobs follow from rules. What waits, runs or is dead stands in the table job, what has ended in job_done, what reached the
world in effect.

Examples:
  stellwerk jobs top --data ./data
  stellwerk job dead --data ./data
  stellwerk job replay --all --data ./data
  stellwerk job limit --kind notify --rate 10/1m --data ./data
  stellwerk job pause --kind http --data ./data
  stellwerk job priority 0198c0de-… 10 --data ./data";

/// Jobs that follow from rules.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Job {
    /// Watch the queue: by kind, what runs, what is dead, since when the oldest waits.
    Top(top::Top),
    /// Show dead jobs, oldest first.
    Dead(Dead),
    /// Try dead jobs again, under their old names: who did them already knows them.
    #[command(visible_alias = "retry")]
    Replay(Replay),
    /// End a job that waits or is dead; a flow ends once what it did is undone.
    Cancel(Cancel),
    /// Let a job, or all of a kind or tenant, stand still.
    Pause(Hold),
    /// Let what stands still go on.
    Resume(Hold),
    /// Set how fast jobs of a kind or tenant may begin; more of them wait.
    Limit(Limit),
    /// Show the limits.
    Limits(Limits),
    /// Change how urgent a job is.
    Priority(Priority),
}

/// Which dead jobs.
#[derive(Debug, Args)]
pub struct Dead {
    /// Only those of this kind.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

/// Which dead jobs.
#[derive(Debug, Args)]
pub struct Replay {
    /// The job's id.
    #[arg(value_name = "ID", required_unless_present_any = ["all", "kind"])]
    id: Option<String>,
    /// All dead jobs of a kind.
    #[arg(long, value_name = "KIND", conflicts_with = "id")]
    kind: Option<String>,
    /// All dead jobs.
    #[arg(long, conflicts_with_all = ["id", "kind"])]
    all: bool,
    #[command(flatten)]
    asking: Asking,
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

/// What stands still.
#[derive(Debug, Args)]
pub struct Hold {
    /// One job.
    #[arg(value_name = "ID", required_unless_present_any = ["kind", "tenant"], conflicts_with_all = ["kind", "tenant"])]
    id: Option<String>,
    /// Jobs of this kind.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Jobs of this tenant.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

/// How fast jobs may begin.
#[derive(Debug, Args)]
pub struct Limit {
    /// Jobs of this kind.
    #[arg(long, value_name = "KIND", required_unless_present = "tenant")]
    kind: Option<String>,
    /// Jobs of this tenant.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// So many in such a time: 10/1m, 1/5s; none lifts the limit.
    #[arg(long, value_name = "N/TIME", value_parser = rate)]
    rate: MaybeRate,
    #[command(flatten)]
    asking: Asking,
}

/// How it is asked.
#[derive(Debug, Args)]
pub struct Limits {
    #[command(flatten)]
    asking: Asking,
}

/// How urgent a job is.
#[derive(Debug, Args)]
pub struct Priority {
    /// The job's id.
    #[arg(value_name = "ID")]
    id: String,
    /// Lower ones run first; 100 is usual.
    #[arg(value_name = "N", value_parser = clap::value_parser!(i64).range(0..=1000))]
    priority: i64,
    #[command(flatten)]
    asking: Asking,
}

/// A rate, or none.
#[derive(Debug, Clone, Copy)]
pub struct MaybeRate(Option<(u32, Duration)>);

fn rate(text: &str) -> std::result::Result<MaybeRate, String> {
    if text == "none" {
        return Ok(MaybeRate(None));
    }
    let wrong = || format!("`{text}` is no rate: write 10/1m, or none");
    let (count, per) = text.split_once('/').ok_or_else(wrong)?;
    let count = count.trim().parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
    let per = parse_span(per).map_err(|_| wrong())?;
    if per.is_zero() { Err(wrong()) } else { Ok(MaybeRate(Some((count, per)))) }
}

impl Job {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Job::Top(top) => top.run().await,
            Job::Dead(dead) => {
                let columns = [
                    ("id", "id"),
                    ("kind", "kind"),
                    ("attempts", "attempt"),
                    ("cause", "cause"),
                    ("created", "created_at"),
                    ("error", "error"),
                ];
                let wish = WorkWish::Dead { kind: dead.kind };
                dead.asking.show(&wish, |jobs| table(jobs, &columns, "no job is dead")).await
            }
            Job::Replay(replay) => {
                let which = match (replay.id, replay.kind) {
                    (Some(id), _) => Which::One(id),
                    (None, Some(kind)) => Which::Kind(kind),
                    (None, None) => Which::All,
                };
                replay.asking.show(&WorkWish::Replay { which }, members).await
            }
            Job::Cancel(cancel) => cancel.run().await,
            Job::Pause(hold) => hold.run(true).await,
            Job::Resume(hold) => hold.run(false).await,
            Job::Limit(limit) => {
                let wish = WorkWish::Limit(Rate { kind: limit.kind, tenant: limit.tenant, rate: limit.rate.0 });
                limit.asking.show(&wish, members).await
            }
            Job::Limits(limits) => {
                let columns = [("kind", "kind"), ("tenant", "tenant"), ("rate", "rate"), ("paused", "paused")];
                limits.asking.show(&WorkWish::Limits, |rows| table(rows, &columns, "nothing is limited")).await
            }
            Job::Priority(priority) => {
                let wish = WorkWish::Prioritize { job: priority.id, priority: priority.priority };
                priority.asking.show(&wish, members).await
            }
        }
    }
}

impl Hold {
    async fn run(self, paused: bool) -> Result<Exit> {
        let wish = match self.id {
            Some(job) => WorkWish::Pause { job, paused },
            None => WorkWish::Hold { kind: self.kind, tenant: self.tenant, paused },
        };
        self.asking.show(&wish, members).await
    }
}

impl Cancel {
    async fn run(self) -> Result<Exit> {
        let reach = reach(&self.place.settings(), false).await?;
        let answer = reach.rules(&RuleWish::Cancel { job: self.id }).await;
        let closed = reach.close().await;
        let answer = answer?;
        closed?;
        print::text(&format!("{answer}\n"))
    }
}
