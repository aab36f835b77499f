//! `stellwerk silence`: telling nobody of some rows for a while.

use std::time::Duration;

use clap::{Args, Subcommand};
use engine::{Error, Question, Result};
use jobs::actions::notice::NewSilence;

use super::exit::Exit;
use super::place::{Place, duration, pair};
use super::print;
use crate::notices::NoticeWish;
use crate::output::Format;
use crate::reach::reach;
use crate::rules::RuleWish;

const AFTER: &str = "\
Rules run on, and their tickets, quotas and decisions with them; only messages wait. A row that still fires when its silence
ends is told then.

Examples:
  stellwerk silence add shop/pods --for 2h --why 'the node is being replaced' --data ./data
  stellwerk silence add 'shop/*' --where namespace=shop --where pod=web-0 --for 30m --why known --data ./data
  stellwerk silence list --data ./data
  stellwerk silence expire 1f0c9a7e --data ./data";

/// Silences.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Silence {
    /// Tell nobody of a rule, or of some of its rows, for a while.
    Add(Add),
    /// Show the silences that have not ended.
    List(List),
    /// End a silence now: what it kept back and still fires is told.
    Expire(Expire),
}

/// A silence.
#[derive(Debug, Args)]
pub struct Add {
    /// The rule's name; a `*` at its end stands for any rest.
    #[arg(value_name = "RULE")]
    rule: String,
    /// Only rows with this cell: COLUMN=VALUE. Repeat it for more.
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = pair)]
    cells: Vec<(String, String)>,
    /// How long: 30m, 2h, 7d.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    span: Duration,
    /// From when, RFC 3339; now without it.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Who wants it.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, default_value = "operator")]
    by: String,
    #[command(flatten)]
    place: Place,
}

/// The silences.
#[derive(Debug, Args)]
pub struct List {
    /// Those that have ended, too.
    #[arg(long)]
    all: bool,
    /// One JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// One silence.
#[derive(Debug, Args)]
pub struct Expire {
    /// Its id.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: Place,
}

impl Silence {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        let (wish, place) = match self {
            Silence::List(list) => return list.run().await,
            Silence::Expire(expire) => (NoticeWish::ExpireSilence { id: expire.id }, expire.place),
            Silence::Add(add) => {
                let instant = |text: &String| {
                    let at = chrono::DateTime::parse_from_rfc3339(text);
                    let at =
                        at.map_err(|_| Error::invalid(format!("`{text}` is no time: write 2026-11-01T06:00:00Z")))?;
                    Ok::<_, Error>(at.timestamp_micros())
                };
                let wish = NewSilence {
                    rule: add.rule,
                    cells: add.cells.into_iter().collect(),
                    starts_us: add.from.as_ref().map(instant).transpose()?,
                    span_us: i64::try_from(add.span.as_micros()).unwrap_or(i64::MAX),
                    who: add.by,
                    why: add.why,
                };
                (NoticeWish::AddSilence(wish), add.place)
            }
        };
        let reach = reach(&place.settings(), false).await?;
        let answer = reach.rules(&RuleWish::Notice(wish)).await;
        let closed = reach.close().await;
        let answer = answer?;
        closed?;
        print::text(&format!("{answer:#}\n"))
    }
}

impl List {
    async fn run(self) -> Result<Exit> {
        let narrow = if self.all { "" } else { "WHERE ends_at > now()" };
        let sql =
            format!("SELECT id, rule, cells, starts_at, ends_at, who, why FROM silence {narrow} ORDER BY ends_at, id");
        let question = Question { sql, params: Vec::new() };
        print::asked(&self.place, question, if self.json { Format::Json } else { Format::Table }).await
    }
}
