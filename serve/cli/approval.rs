//! `stellwerk approval`: what people are asked, and their votes.

use std::fmt::Write;

use clap::{Args, Subcommand};
use engine::Result;
use ingest::ado::client::secret::SecretRef;
use serde_json::Value;

use super::exit::Exit;
use super::listing::{Asking, cell, table};
use crate::work::WorkWish;

const AFTER: &str = "\
One no is a no, and no answer until the deadline is a no. Who wants something does not vote on it. Without --key the vote is
the operator's, whom the kernel names; with it, that of whoever the key belongs to. Over HTTP: POST /approvals/ID/votes.

Examples:
  stellwerk approval list --data ./data
  stellwerk approval approve 0198c0de-… --why 'seen with Ana' --key file:./ana.key --data ./data
  stellwerk approval deny 0198c0de-… --why 'not on a Friday' --data ./data";

/// What people are asked before something is done.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Approval {
    /// Show what is asked and not decided.
    List(List),
    /// Show one with its votes.
    Show(One),
    /// Agree.
    Approve(Vote),
    /// Refuse.
    Deny(Vote),
}

/// Which approvals.
#[derive(Debug, Args)]
pub struct List {
    /// Also those that were decided.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    asking: Asking,
}

/// One approval.
#[derive(Debug, Args)]
pub struct One {
    /// Its id.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    asking: Asking,
}

/// A vote.
#[derive(Debug, Args)]
pub struct Vote {
    /// The approval.
    #[arg(value_name = "ID")]
    id: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Where the voter's key lies: env:NAME or file:PATH.
    #[arg(long, value_name = "PLACE")]
    key: Option<SecretRef>,
    #[command(flatten)]
    asking: Asking,
}

impl Approval {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Approval::List(list) => {
                let columns = [
                    ("id", "id"),
                    ("ask", "ask"),
                    ("voters", "voters"),
                    ("quorum", "quorum"),
                    ("requester", "requester"),
                    ("deadline", "deadline"),
                    ("decision", "decision"),
                ];
                let wish = WorkWish::Approvals { all: list.all };
                list.asking.show(&wish, |asked| table(asked, &columns, "nothing is asked")).await
            }
            Approval::Show(one) => one.asking.show(&WorkWish::Approval { id: one.id }, shown).await,
            Approval::Approve(vote) => vote.cast(true).await,
            Approval::Deny(vote) => vote.cast(false).await,
        }
    }
}

impl Vote {
    async fn cast(self, yes: bool) -> Result<Exit> {
        let key = self.key.map(|place| place.read()).transpose()?;
        let wish = WorkWish::Vote { id: self.id, yes, why: self.why, key };
        let said =
            |answer: &Value| Ok(format!("{}, by the vote of {}\n", cell(&answer["decision"]), cell(&answer["voter"])));
        self.asking.show(&wish, said).await
    }
}

fn shown(asked: &Value) -> Result<String> {
    let mut out = format!("{}\n", cell(&asked["ask"]));
    let decision = asked["decision"].as_str().unwrap_or("open");
    let _ = writeln!(
        out,
        "{decision}: {} of {} must agree until {}; {} wants it",
        cell(&asked["quorum"]),
        cell(&asked["voters"]),
        cell(&asked["deadline"]),
        cell(&asked["requester"])
    );
    let votes = [("voter", "voter"), ("agrees", "yes"), ("why", "why"), ("at", "at")];
    out.push_str(&table(&asked["votes"], &votes, "nobody has voted")?);
    Ok(out)
}
