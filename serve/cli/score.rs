//! `stellwerk score`: scorecards evaluated, shown, explained, and who need not pass what for a while.

mod exempt;
mod kept;
mod shown;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use engine::{Error, Result};
use jobs::shipped::SCORECARDS;
use serde_json::{Value, json};

use super::exit::Exit;
use super::place::Place;
use super::print;
use crate::reach::reach;
use crate::scores::{About, CardFile, ScoreWish};

pub use kept::keep;

const AFTER: &str = "\
A scorecard is a YAML file: who is scored (a SELECT), levels, and checks (SELECTs that give pass, fail or unknown with
evidence). An entity's level is the highest one up to which every check that applies passes; unknown is no pass. In SQL:
score, score_check, score_history, score_level_history, score_exemption_current.

Exit codes: 0 done, 1 a scorecard is wrong or could not be evaluated, 2 wrong usage.

Examples:
  stellwerk score run --data ./data                                   those that ship
  stellwerk score init ./scorecards
  stellwerk score check ./scorecards --data ./data
  stellwerk score run ./scorecards --data ./data
  stellwerk score show production-readiness --data ./data
  stellwerk score explain production-readiness prod-1/shop/Deployment/web --data ./data
  stellwerk score exempt request production-readiness replicas prod-1/shop/Deployment/web --days 30 \\
      --reason 'one licence only' --by ann --data ./data
  stellwerk score exempt approve ID --by bob --data ./data
  stellwerk score exempt ask production-readiness replicas prod-1/shop/Deployment/web --days 30 \\
      --reason 'one licence only' --voters leads --key file:./ann.key --data ./data
  stellwerk serve --scorecards ./scorecards --data ./data             evaluated as often as each says";

/// Scorecards: what should be, as checks in SQL, by level.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Score {
    /// Show the scorecards that ship.
    Shipped(Shipped),
    /// Copy the scorecards that ship into a folder, to be edited and run.
    Init(Init),
    /// Say what is wrong with scorecards over the tables.
    Check(Files),
    /// Evaluate scorecards now; without files, those that ship.
    Run(Run),
    /// Show every scorecard that was evaluated.
    List(Listing),
    /// Show how everybody stands.
    Show(Show),
    /// Say what every check says about an entity, and why.
    Explain(Explain),
    /// Show what changed, newest first.
    History(History),
    /// Exemptions from checks.
    #[command(subcommand)]
    Exempt(exempt::Exempt),
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AnswerFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// How the store is reached and the answer written.
#[derive(Debug, Args)]
pub struct Way {
    /// How the answer is written.
    #[arg(long, value_enum, default_value = "text")]
    format: AnswerFormat,
    #[command(flatten)]
    place: Place,
}

/// Scorecards that ship.
#[derive(Debug, Args)]
pub struct Shipped {
    /// Only this one, with its file.
    #[arg(value_name = "SCORECARD")]
    scorecard: Option<String>,
}

/// Where they are copied to.
#[derive(Debug, Args)]
pub struct Init {
    /// The folder; it is made if it is not there, and no file in it is overwritten.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Files of scorecards.
#[derive(Debug, Args)]
pub struct Files {
    /// Files, or folders of them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    way: Way,
}

/// Scorecards to be evaluated.
#[derive(Debug, Args)]
pub struct Run {
    /// Files, or folders of them; without any, those that ship.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Look at everything, not only at what changed since the last time; the result is the same.
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    way: Way,
}

/// Every scorecard.
#[derive(Debug, Args)]
pub struct Listing {
    #[command(flatten)]
    way: Way,
}

/// Whom an answer is about.
#[derive(Debug, Args)]
pub struct Show {
    /// Only this scorecard.
    #[arg(value_name = "SCORECARD")]
    scorecard: Option<String>,
    /// Only this tenant's.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    way: Way,
}

/// An entity of a scorecard.
#[derive(Debug, Args)]
pub struct Explain {
    /// The scorecard.
    #[arg(value_name = "SCORECARD")]
    scorecard: String,
    /// The entity, as `stellwerk score show` has it.
    #[arg(value_name = "ENTITY")]
    entity: String,
    /// Its tenant, where several have one of this name.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    way: Way,
}

/// What changed.
#[derive(Debug, Args)]
pub struct History {
    /// Only of this scorecard.
    #[arg(value_name = "SCORECARD")]
    scorecard: Option<String>,
    /// Only of this entity.
    #[arg(value_name = "ENTITY")]
    entity: Option<String>,
    /// Only this tenant's.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// How many changes.
    #[arg(long, value_name = "N", default_value_t = 50)]
    count: usize,
    #[command(flatten)]
    way: Way,
}

impl Score {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Score::Shipped(shipped) => shipped.run(),
            Score::Init(init) => init.run(),
            Score::Check(files) => {
                let wish = ScoreWish::Check { files: read(&files.paths)? };
                files.way.show(&wish, shown::checks).await
            }
            Score::Run(run) => {
                let wish = ScoreWish::Run { files: read(&run.paths)?, full: run.full };
                run.way.show(&wish, shown::runs).await
            }
            Score::List(list) => list.way.show(&ScoreWish::List, shown::list).await,
            Score::Show(show) => {
                let about = About { scorecard: show.scorecard, tenant: show.tenant, entity: None };
                show.way.show(&ScoreWish::Show { about }, shown::standings).await
            }
            Score::Explain(one) => {
                let about = About { scorecard: Some(one.scorecard), tenant: one.tenant, entity: Some(one.entity) };
                one.way.show(&ScoreWish::Explain { about }, shown::explained).await
            }
            Score::History(history) => {
                let about = About { scorecard: history.scorecard, tenant: history.tenant, entity: history.entity };
                history.way.show(&ScoreWish::History { about, count: history.count }, shown::history).await
            }
            Score::Exempt(exempt) => exempt.run().await,
        }
    }
}

impl Way {
    async fn show(&self, wish: &ScoreWish, text: impl Fn(&Value) -> String) -> Result<Exit> {
        let reach = reach(&self.place.settings(), false).await?;
        let answer = reach.scores(wish).await;
        let closed = reach.close().await;
        let answer = answer?;
        closed?;
        match self.format {
            AnswerFormat::Json => print::text(&format!("{answer:#}\n"))?,
            AnswerFormat::Text => print::text(&text(&answer))?,
        };
        let is_wrong =
            |one: &Value| one["status"] == "error" || one["faults"].as_array().is_some_and(|faults| !faults.is_empty());
        let wrong = answer.as_array().is_some_and(|list| list.iter().any(is_wrong));
        Ok(Exit(if wrong { Exit::PROBLEMS } else { Exit::OK }))
    }
}

impl Shipped {
    fn run(self) -> Result<Exit> {
        let Some(name) = self.scorecard else {
            let names: String = SCORECARDS.iter().map(|card| format!("{}\n", card.name)).collect();
            return print::text(&names);
        };
        let found = SCORECARDS.iter().find(|card| card.name == name);
        let missing =
            || Error::invalid(format!("no scorecard {name} ships; `stellwerk score shipped` lists those that do"));
        print::text(found.ok_or_else(missing)?.yaml)
    }
}

impl Init {
    fn run(self) -> Result<Exit> {
        let (written, kept) = jobs::shipped::write_scorecards(&self.folder)?;
        let folder = self.folder.display();
        let kept = if kept.is_empty() {
            String::new()
        } else {
            format!(", {} were there already and stay as they are", kept.len())
        };
        print::text(&format!("{} files were written to {folder}{kept}\n", written.len()))
    }
}

/// Files of scorecards with their texts; a name twice is refused here, where the paths are known.
fn read(paths: &[PathBuf]) -> Result<Vec<CardFile>> {
    let files = jobs::score::read_all(paths)?;
    if files.is_empty() && !paths.is_empty() {
        return Err(Error::invalid("there is no scorecard: a file that ends with .yaml"));
    }
    Ok(files.into_iter().map(|(path, text)| CardFile { path: path.display().to_string(), text }).collect())
}

/// One answer as a list of one, as the others are.
fn alone(answer: &Value) -> Value {
    json!([answer])
}
