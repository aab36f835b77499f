//! `stellwerk cost estimate`: what no bill says yet, written into the ledger.

use clap::Args;
use engine::Result;
use ingest::cost::estimate::Estimated;

use super::super::exit::{self, Exit};
use super::super::place::Place;
use super::super::print;
use super::{this_month, window};
use crate::cost::{CostAnswer, CostWish};
use crate::reach::reach;

const AFTER: &str = "\
Model calls are read from spans (gen_ai.*) and priced by the prices of their day. Writing a day again replaces it; what is
billed already is settled at once. What clusters cost is estimated by `stellwerk cost allocate --write`.
Exit codes: 0 done, 1 done but some usage has no price.

Examples:
  stellwerk cost estimate --data ./data
  stellwerk cost estimate --window 2026-10 --data ./data";

/// Write what models' calls cost into the ledger, as estimates that bills replace.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Estimate {
    /// Days: a month (2026-10), a day, or 2026-10-01..2026-10-08. Without it, this month so far.
    #[arg(long, value_name = "WINDOW", value_parser = window)]
    window: Option<(i64, i64)>,
    /// Write one JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Estimate {
    /// Estimates, and says what was written.
    pub async fn run(self) -> Result<Exit> {
        let reach = reach(&self.place.settings(), false).await?;
        let answer = reach.cost(&CostWish::EstimateModels(self.window.unwrap_or_else(this_month))).await;
        let closed = reach.close().await;
        let CostAnswer::Estimated(estimated) = answer.and_then(|answer| closed.map(|()| answer))? else {
            return Err(engine::Error::new(engine::Kind::Internal, "estimates were asked for and something else came"));
        };
        shown(&estimated, self.json)
    }
}

/// What was written, for people or as JSON.
pub fn shown(estimated: &Estimated, json: bool) -> Result<Exit> {
    if json {
        print::text(&format!("{:#}\n", serde_json::json!(estimated)))?;
    } else {
        let settled = &estimated.settlement;
        let mut text = format!("{} rows of {} days written as estimates", estimated.rows, estimated.days);
        if settled.covered > 0 {
            text.push_str(&format!("; {} of them are billed already", settled.covered));
        }
        text.push('\n');
        estimated.notes.iter().for_each(|note| text.push_str(&format!("  {note}\n")));
        print::text(&text)?;
    }
    for what in estimated.unpriced.iter().chain(&estimated.faults) {
        exit::say(&engine::Error::invalid(what.clone()));
    }
    let is_whole = estimated.unpriced.is_empty() && estimated.faults.is_empty();
    Ok(Exit(if is_whole { Exit::OK } else { Exit::PROBLEMS }))
}
