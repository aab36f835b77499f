//! `stellwerk budget`: budgets put in place from a file, how they stand, and spending of them by hand.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use engine::arrow::array::{ArrayRef, StringArray};
use engine::{Error, Question, Result};
use ledger::budget::Change;
use serde_json::{Map, Value};

use super::exit::Exit;
use super::place::Place;
use super::{print, tables};
use crate::http::budgets::{Answer, Reserve, Settle, Wish};
use crate::output::Format;
use crate::reach::{Reach, reach};

const AFTER: &str = "\
A file is YAML or JSON:
  budgets:
  - name: shop
    tenant: acme                      # * counts every tenant
    scope: x_app = 'shop' AND Tags ->> 'team' = 'web'
    unit: EUR                         # a currency, tokens or requests
    limit: \"1000\"
    window: month                     # day, week, quarter, year, fixed, total, {calendar: month, start_day: 25}, {rolling: 24h}
    zone: Europe/Berlin
    kind: hard                        # or soft: tells, and refuses nothing
    counts: both                      # calls, ledger or both
    parent: acme-all
    thresholds: [{on: actual, percent: 80}, {on: forecast, percent: 100}]
  quotas:
  - {name: chat, tenant: acme, per: [x_user], requests: 60/m, tokens: 100000/m, concurrency: 8}

Examples:
  stellwerk budget apply budgets.yaml --data ./data
  stellwerk budget status --tenant acme --data ./data
  stellwerk budget reserve call-17 --tenant acme --amount EUR=0.05 --attribute x_app=shop --data ./data
  stellwerk budget post call-17 --tenant acme --amount EUR=0.031 --data ./data
  stellwerk budget history acme/shop --data ./data

reserve ends with 1 where the request is refused.";

/// Put budgets in place, see how they stand, and spend of them.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Budget {
    /// Put the budgets and quotas of a file in place; others stay as they are.
    Apply(Apply),
    /// How budgets stand.
    Status(Shown),
    /// How budgets and quotas are defined.
    List(Shown),
    /// Take a budget or quota away; what it counted stays.
    Delete(Named),
    /// Every change of a budget or quota.
    History(Named),
    /// Reserve what a request may take.
    Reserve(ReserveArgs),
    /// Say what a request took.
    Post(SettleArgs),
    /// Give a reservation back: the request took nothing.
    Void(SettleArgs),
}

/// Put the budgets and quotas of a file in place.
#[derive(Debug, Args)]
pub struct Apply {
    /// YAML or JSON.
    file: PathBuf,
    /// Check the file and say what it would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Write one JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Show budgets.
#[derive(Debug, Args)]
pub struct Shown {
    /// Only this tenant's.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Write one JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// One budget or quota.
#[derive(Debug, Args)]
pub struct Named {
    /// TENANT/NAME.
    name: String,
    /// Write one JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Reserve what a request may take.
#[derive(Debug, Args)]
pub struct ReserveArgs {
    /// The request's id: the same request has the same.
    request: String,
    /// Who pays.
    #[arg(long, value_name = "TENANT", default_value = "default")]
    tenant: String,
    /// How much at most, UNIT=NUMBER: USD=0.05, tokens=1200. Repeat it for more.
    #[arg(long = "amount", value_name = "UNIT=NUMBER", value_parser = pair)]
    amounts: Vec<(String, String)>,
    /// What the request says about itself, by the ledger's column names: x_app=shop. Repeat it for more.
    #[arg(long = "attribute", value_name = "COLUMN=VALUE", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// How long it is held, in seconds.
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
    #[command(flatten)]
    place: Place,
}

/// Settle a reservation.
#[derive(Debug, Args)]
pub struct SettleArgs {
    /// The request's id.
    request: String,
    /// Who pays.
    #[arg(long, value_name = "TENANT", default_value = "default")]
    tenant: String,
    /// What it took, UNIT=NUMBER; what is not named took what was reserved.
    #[arg(long = "amount", value_name = "UNIT=NUMBER", value_parser = pair)]
    amounts: Vec<(String, String)>,
    #[command(flatten)]
    place: Place,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn object(pairs: &[(String, String)]) -> Map<String, Value> {
    pairs.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect()
}

impl Budget {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        let (place, makes) = match &self {
            Budget::Apply(apply) => (&apply.place, true),
            Budget::Status(shown) | Budget::List(shown) => (&shown.place, false),
            Budget::Delete(named) | Budget::History(named) => (&named.place, false),
            Budget::Reserve(reserve) => (&reserve.place, false),
            Budget::Post(settle) | Budget::Void(settle) => (&settle.place, false),
        };
        let reach = reach(&place.settings(), makes).await?;
        let done = self.act(reach.as_ref()).await;
        let closed = reach.close().await;
        done.and_then(|exit| closed.map(|()| exit))
    }

    async fn act(&self, reach: &dyn Reach) -> Result<Exit> {
        match self {
            Budget::Apply(apply) => apply.run(reach).await,
            Budget::Status(shown) => {
                reach.budgets(Wish::Refresh).await?;
                let sql = "SELECT tenant, budget, state, limit_amount AS \"limit\", spent, reserved, remaining, unit, round(ratio * 100, 1) AS percent, forecast_p50, forecast_p90, kind, window_start, window_end FROM budget_status ORDER BY tenant, budget";
                let all = "SELECT * FROM budget_status ORDER BY tenant, budget";
                shown.ask(reach, if shown.json { all } else { sql }).await
            }
            Budget::List(shown) => {
                let sql = "SELECT 'budget' AS what, tenant, name, definition FROM budget UNION ALL SELECT 'quota', tenant, name, definition FROM quota ORDER BY 1, 2, 3";
                shown.ask(reach, sql).await
            }
            Budget::Delete(named) => {
                let (tenant, name) = named.parts()?;
                let wish = Wish::Delete { tenant: tenant.to_owned(), name: name.to_owned(), by: "operator".to_owned() };
                changes(reach.budgets(wish).await?, named.json)
            }
            Budget::History(named) => named.history(reach).await,
            Budget::Reserve(reserve) => reserve.run(reach).await,
            Budget::Post(settle) => answered(reach.budgets(Wish::Post(settle.wish())).await?),
            Budget::Void(settle) => answered(reach.budgets(Wish::Void(settle.wish())).await?),
        }
    }
}

impl Apply {
    async fn run(&self, reach: &dyn Reach) -> Result<Exit> {
        let text = std::fs::read_to_string(&self.file)
            .map_err(|e| Error::invalid(format!("read {}: {e}", self.file.display())))?;
        let wish = Wish::Apply { text, dry_run: self.dry_run, by: "operator".to_owned() };
        let answer = reach.budgets(wish).await.map_err(|e| e.context(&self.file.display().to_string()))?;
        changes(answer, self.json)
    }
}

impl Shown {
    async fn ask(&self, reach: &dyn Reach, sql: &str) -> Result<Exit> {
        ask(reach, Question::from(sql), self.tenant.as_deref(), self.json).await
    }
}

impl Named {
    fn parts(&self) -> Result<(&str, &str)> {
        self.name.split_once('/').ok_or_else(|| Error::invalid("a budget is named TENANT/NAME"))
    }

    async fn history(&self, reach: &dyn Reach) -> Result<Exit> {
        let (tenant, name) = self.parts()?;
        let sql = "SELECT version, kind, action, changed_at, changed_by, definition FROM budget_revision WHERE tenant = $1 AND name = $2 ORDER BY kind, version";
        let question = Question { sql: sql.to_owned(), params: vec![tenant.to_owned(), name.to_owned()] };
        ask(reach, question, None, self.json).await
    }
}

impl ReserveArgs {
    async fn run(&self, reach: &dyn Reach) -> Result<Exit> {
        let wish = Reserve {
            request_id: self.request.clone(),
            tenant: Some(self.tenant.clone()),
            attributes: object(&self.attributes),
            amounts: object(&self.amounts),
            ttl_s: self.ttl,
            wait_ms: None,
        };
        answered(reach.budgets(Wish::Reserve(wish)).await?)
    }
}

impl SettleArgs {
    fn wish(&self) -> Settle {
        Settle { request_id: self.request.clone(), tenant: Some(self.tenant.clone()), amounts: object(&self.amounts) }
    }
}

async fn ask(reach: &dyn Reach, question: Question, tenant: Option<&str>, json: bool) -> Result<Exit> {
    let found = reach.ask(question, tenant).await?;
    let mut sink = print::Sink::open(None)?;
    print::answer(found, if json { Format::Json } else { Format::Table }, &mut sink).await?;
    sink.finish()?;
    Ok(Exit(Exit::OK))
}

/// The document of an answer; a refusal ends with 1.
fn answered(answer: Answer) -> Result<Exit> {
    let (document, code) = match &answer {
        Answer::Done(document) => (document, Exit::OK),
        Answer::Refused(document) => (document, Exit::PROBLEMS),
        Answer::Changes(_) | Answer::Fresh => return Ok(Exit(Exit::OK)),
    };
    print::text(&format!("{document:#}\n"))?;
    Ok(Exit(code))
}

fn changes(answer: Answer, json: bool) -> Result<Exit> {
    let Answer::Changes(changes) = answer else { return Ok(Exit(Exit::OK)) };
    if json {
        return print::text(&format!("{:#}\n", serde_json::json!(changes)));
    }
    let cells =
        |cell: fn(&Change) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(changes.iter().map(cell))) };
    print::text(&tables::aligned(vec![
        ("what", cells(|c| c.kind.clone())),
        ("tenant", cells(|c| c.tenant.clone())),
        ("name", cells(|c| c.name.clone())),
        ("action", cells(|c| c.action.as_str().to_owned())),
        ("counting", cells(|c| if c.begins_anew { "begins anew".to_owned() } else { String::new() })),
    ])?)
}
