//! `stellwerk cost period`: billing periods listed and sealed.

use clap::{Args, Subcommand};
use engine::{Question, Result};
use ledger::period::SealWish;

use super::super::exit::Exit;
use super::super::place::Place;
use super::super::print;
use super::month;
use crate::cost::{CostAnswer, CostWish};
use crate::output::Format;
use crate::reach::reach;

const AFTER: &str = "\
A sealed period keeps its charges: later deliveries of it are refused, and corrections go to later periods. There is no
way back.

Examples:
  stellwerk cost period list --data ./data
  stellwerk cost period seal 2026-09 --note 'books of September' --data ./data
  stellwerk cost period seal 2026-09 --tenant shop --data ./data";

/// List billing periods, and seal them.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Period {
    /// Every billing period that has charges: open, closed by its issuer, or sealed.
    List(List),
    /// Keep a period's charges as they are from now on.
    Seal(Seal),
}

/// Every billing period that has charges.
#[derive(Debug, Args)]
pub struct List {
    /// Only this tenant's.
    #[arg(long, value_name = "TENANT", env = "STELLWERK_TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Keep a period's charges as they are from now on.
#[derive(Debug, Args)]
pub struct Seal {
    /// The month.
    #[arg(value_name = "MONTH", value_parser = month)]
    month: (i64, i64),
    /// Only this tenant's charges.
    #[arg(long, value_name = "TENANT", env = "STELLWERK_TENANT")]
    tenant: Option<String>,
    /// Only the charges of this issuer of invoices.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Why, for whoever reads the seal later.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Seal it although it holds estimates, or usage without a price.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: Place,
}

impl Period {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Period::List(list) => list.run().await,
            Period::Seal(seal) => seal.run().await,
        }
    }
}

impl List {
    async fn run(self) -> Result<Exit> {
        let reach = reach(&self.place.settings(), false).await?;
        let question = Question::from(
            "SELECT CAST(period_start AS DATE) AS period, tenant, issuer, state, charges, estimates, sealed_at, sealed_by
             FROM billing_period_state ORDER BY period_start, tenant, issuer",
        );
        let shown = async {
            let found = reach.ask(question, self.tenant.as_deref()).await?;
            let mut sink = print::Sink::open(None)?;
            print::answer(found, Format::Table, &mut sink).await?;
            sink.finish()
        };
        let shown = shown.await;
        reach.close().await?;
        shown.map(|()| Exit(Exit::OK))
    }
}

impl Seal {
    async fn run(self) -> Result<Exit> {
        let reach = reach(&self.place.settings(), false).await?;
        let wish = SealWish {
            period: self.month,
            tenant: self.tenant,
            issuer: self.issuer,
            by: "operator".to_owned(),
            note: self.note,
            is_forced: self.force,
        };
        let answer = reach.cost(&CostWish::Seal(wish)).await;
        let closed = reach.close().await;
        let CostAnswer::Sealed(seals) = answer.and_then(|answer| closed.map(|()| answer))? else {
            return Err(engine::Error::new(engine::Kind::Internal, "a seal was asked for and something else came"));
        };
        let mut text = String::new();
        for seal in seals {
            text.push_str(&format!("{}: {} charges sealed, root {}\n", seal.tenant, seal.rows, seal.root));
        }
        print::text(&text)
    }
}
