//! `stellwerk rule`: rules checked, tried on what is there and on what was, run, and asked why.

mod own;
mod shown;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use engine::{Error, Result};
use serde_json::Value;

use super::exit::Exit;
use super::place::Place;
use super::print;
use crate::notices::NoticeWish;
use crate::reach::reach;
use crate::rules::{RuleFile, RuleWish};

const AFTER: &str = "\
A rule is a SQL file: front matter in comments, then one SELECT. Its rows are compared, by `key`, with those that the rule
tracks already, and only the difference acts. $now is the tick.

  -- ---
  -- owner: platform
  -- every: 5m
  -- key: [namespace, pod]
  -- for: 10m
  -- new: notify(\"ops\", \"{pod} has been pending for ten minutes\")
  -- resolved: notify(\"ops\", \"{pod} runs\")
  -- why: A pod that nobody schedules is nobody's until somebody is told.
  -- ---
  SELECT DISTINCT namespace, pod FROM k8s_pod WHERE phase = 'Pending'

Exit codes: 0 nothing wrong, 1 a rule is wrong, held or failed, 2 wrong usage.

Examples:
  stellwerk rule init ./rules
  stellwerk rule test ./rules
  stellwerk rule check ./rules --data ./data
  stellwerk rule preview ./rules/pending.sql --data ./data
  stellwerk rule backtest ./rules/pending.sql --from 2026-11-01 --to 2026-11-02 --data ./data
  stellwerk rule run ./rules/pending.sql --actions actions.yaml --data ./data
  stellwerk rule explain pending '[\"shop\", \"web-0\"]' --data ./data
  stellwerk serve --rules ./rules --actions actions.yaml --data ./data";

/// Rules: SELECTs whose rows decide.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Rule {
    /// Say what is wrong with rules, each with file and line.
    Check(Files),
    /// Show what a rule would do now; nothing is done.
    Preview(One),
    /// Show what a rule would have done over what was there then; nothing is done.
    Backtest(Backtest),
    /// Run a rule once, and do what follows from it.
    Run(Run),
    /// Show every rule that was loaded or run.
    List(Listing),
    /// Show the newest runs of a rule.
    History(History),
    /// Say why a row did or did not fire.
    Explain(Explain),
    /// Let a held rule exceed its limit once.
    Release(Named),
    /// Say that somebody knows of a firing row: those who would be told later are not.
    Ack(Ack),
    /// Show what a rule can say: its fields and its actions.
    Fields(Fields),
    /// Show the rules that ship, with their why.
    Shipped(own::Shipped),
    /// Copy the rules that ship into a folder, to be edited and run.
    Init(own::Init),
    /// Run rules' own tests: NAME.test.yaml beside NAME.sql.
    Test(own::Test),
}

/// Files of rules.
#[derive(Debug, Args)]
pub struct Files {
    /// Files, or folders that hold `.sql` files at any depth.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Settings of actions (YAML): channels, routes and clusters that rules name must be in them.
    #[arg(long, value_name = "FILE")]
    actions: Option<PathBuf>,
    #[command(flatten)]
    way: Way,
}

/// One file.
#[derive(Debug, Args)]
pub struct One {
    /// The rule's file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The tick, RFC 3339; now without it.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    #[command(flatten)]
    way: Way,
}

/// One file, and a time.
#[derive(Debug, Args)]
pub struct Backtest {
    /// The rule's file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// From: a date, or RFC 3339.
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Up to and with; now without it.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    way: Way,
}

/// One file, and whom it may reach.
#[derive(Debug, Args)]
pub struct Run {
    /// The rule's file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Settings of actions (YAML): channels and hosts. Without it a running server's settings hold.
    #[arg(long, value_name = "FILE", env = "STELLWERK_ACTIONS")]
    actions: Option<PathBuf>,
    #[command(flatten)]
    way: Way,
}

/// Every rule.
#[derive(Debug, Args)]
pub struct Listing {
    #[command(flatten)]
    way: Way,
}

/// A rule's runs.
#[derive(Debug, Args)]
pub struct History {
    /// The rule's name.
    #[arg(value_name = "RULE")]
    rule: String,
    /// How many runs.
    #[arg(long, value_name = "N", default_value_t = 20)]
    count: i64,
    #[command(flatten)]
    way: Way,
}

/// A row of a rule.
#[derive(Debug, Args)]
pub struct Explain {
    /// The rule's name.
    #[arg(value_name = "RULE")]
    rule: String,
    /// The row's key: a JSON list of its cells, or the one cell.
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    way: Way,
}

/// A row of a rule, and who knows of it.
#[derive(Debug, Args)]
pub struct Ack {
    #[command(flatten)]
    row: Explain,
    /// Who knows.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, default_value = "operator")]
    by: String,
    /// What else is to be said.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

/// A rule by its name.
#[derive(Debug, Args)]
pub struct Named {
    /// The rule's name.
    #[arg(value_name = "RULE")]
    rule: String,
    #[command(flatten)]
    way: Way,
}

/// What a rule can say.
#[derive(Debug, Args)]
pub struct Fields {}

/// How the store is reached and the answer written.
#[derive(Debug, Args)]
pub struct Way {
    /// One JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Rule {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Rule::Check(files) => files.run().await,
            Rule::Preview(one) => {
                let wish =
                    RuleWish::Preview { file: read(&one.file)?, tick: one.at.as_deref().map(instant).transpose()? };
                one.way.show(&wish, shown::preview).await
            }
            Rule::Backtest(back) => {
                let to = back.to.as_deref().map_or_else(|| Ok(chrono::Utc::now().timestamp_micros()), instant)?;
                let wish = RuleWish::Backtest { file: read(&back.file)?, from: instant(&back.from)?, to };
                back.way.show(&wish, shown::backtest).await
            }
            Rule::Run(run) => {
                let absolute = |path: PathBuf| {
                    path.canonicalize()
                        .map_err(|e| Error::invalid(format!("read the settings {}: {e}", path.display())))
                };
                let wish = RuleWish::Run { file: read(&run.file)?, actions: run.actions.map(absolute).transpose()? };
                run.way.show(&wish, shown::run).await
            }
            Rule::List(list) => list.way.show(&RuleWish::List, shown::list).await,
            Rule::History(history) => {
                let wish = RuleWish::History { rule: history.rule, count: history.count };
                history.way.show(&wish, shown::history).await
            }
            Rule::Explain(explain) => {
                let key = serde_json::from_str(&explain.key).unwrap_or(Value::String(explain.key));
                explain.way.show(&RuleWish::Explain { rule: explain.rule, key }, shown::explain).await
            }
            Rule::Release(named) => named.way.show(&RuleWish::Release { rule: named.rule }, shown::plain).await,
            Rule::Ack(ack) => {
                let key = serde_json::from_str(&ack.row.key).unwrap_or(Value::String(ack.row.key));
                let wish = NoticeWish::Acknowledge { rule: ack.row.rule, key, who: ack.by, why: ack.why };
                ack.row.way.show(&RuleWish::Notice(wish), shown::plain).await
            }
            Rule::Fields(_) => print::text(&shown::fields()),
            Rule::Shipped(shipped) => shipped.run(),
            Rule::Init(init) => init.run(),
            Rule::Test(test) => test.run().await,
        }
    }
}

impl Way {
    async fn show(&self, wish: &RuleWish, text: impl Fn(&Value) -> String) -> Result<Exit> {
        let answer = self.ask(wish).await?;
        match self.json {
            true => print::text(&format!("{answer:#}\n"))?,
            false => print::text(&text(&answer))?,
        };
        let wrong = answer["stop"].is_string() || matches!(answer["status"].as_str(), Some("held" | "error"));
        Ok(Exit(if wrong { Exit::PROBLEMS } else { Exit::OK }))
    }

    async fn ask(&self, wish: &RuleWish) -> Result<Value> {
        let reach = reach(&self.place.settings(), false).await?;
        let answer = reach.rules(wish).await;
        let closed = reach.close().await;
        let answer = answer?;
        closed?;
        Ok(answer)
    }
}

impl Files {
    async fn run(&self) -> Result<Exit> {
        let settings = self.actions.as_deref().map(jobs::actions::Settings::read).transpose()?;
        let names = |rule: &jobs::rule::Rule| match &settings {
            Some(settings) => jobs::actions::unknown_names(rule, settings),
            None => Vec::new(),
        };
        let (mut files, mut unread) = (Vec::new(), Vec::new());
        let mut places = Vec::new();
        for path in &self.paths {
            if !path.exists() {
                return Err(Error::invalid(format!("there is no {}", path.display())));
            }
            for found in jobs::rule::read_folder(path)? {
                match found.rule {
                    Ok(rule) => {
                        places.push((found.path, names(&rule)));
                        files.push(RuleFile { name: rule.name, text: rule.text });
                    }
                    Err(faults) => unread.push((found.path, faults)),
                }
            }
        }
        if files.is_empty() && unread.is_empty() {
            return Err(Error::invalid("there is no rule: a file that ends with .sql"));
        }
        let answer = self.way.ask(&RuleWish::Check { files }).await?;
        let told = |faults: &[jobs::rule::Fault]| -> Vec<Value> {
            faults.iter().map(|f| serde_json::json!({ "line": f.line, "what": f.what })).collect()
        };
        let mut checks: Vec<(PathBuf, Value)> = Vec::new();
        for ((path, faults), mut check) in places.into_iter().zip(answer.as_array().cloned().unwrap_or_default()) {
            if let Some(found) = check["faults"].as_array_mut() {
                found.extend(told(&faults));
            }
            checks.push((path, check));
        }
        checks.extend(unread.into_iter().map(|(path, faults)| (path, serde_json::json!({ "faults": told(&faults) }))));
        checks.sort_by(|a, b| a.0.cmp(&b.0));
        match self.way.json {
            true => {
                let list: Vec<Value> = checks
                    .iter()
                    .map(|(path, check)| serde_json::json!({ "file": path, "rule": check["rule"], "faults": check["faults"] }))
                    .collect();
                print::text(&format!("{:#}\n", Value::Array(list)))?
            }
            false => print::text(&shown::checks(&checks))?,
        };
        let sound = checks.iter().all(|(_, check)| check["faults"].as_array().is_some_and(Vec::is_empty));
        Ok(Exit(if sound { Exit::OK } else { Exit::PROBLEMS }))
    }
}

/// A rule's file; one that cannot be read is told with its lines.
fn read(path: &Path) -> Result<RuleFile> {
    let found = jobs::rule::read(path)?;
    match found.rule {
        Ok(rule) => Ok(RuleFile { name: rule.name, text: rule.text }),
        Err(faults) => {
            let lines = faults.iter().map(|f| format!("{}:{}: {}", path.display(), f.line, f.what)).collect::<Vec<_>>();
            Err(Error::invalid(lines.join("\n")))
        }
    }
}

/// A date or an instant, as µs since 1970.
fn instant(text: &str) -> Result<i64> {
    let date = || {
        let date: chrono::NaiveDate = text.parse().ok()?;
        Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros())
    };
    let instant = || Some(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros());
    let wrong = || Error::invalid(format!("`{text}` is no time: write 2026-11-01 or 2026-11-01T06:00:00Z"));
    instant().or_else(date).ok_or_else(wrong)
}
