//! `stellwerk hook`: what senders of web hooks delivered, and telling rules of it once more.

use clap::{Args, Subcommand};
use engine::{Question, Result};

use super::exit::Exit;
use super::place::Place;
use super::print;
use crate::hooks::replay::ReplayWish;
use crate::notices::NoticeWish;
use crate::output::Format;
use crate::reach::reach;
use crate::rules::RuleWish;

const AFTER: &str = "\
`stellwerk serve --hooks FILE` takes web hooks at POST /hooks/NAME from the senders that FILE names:

  hooks:
    code:   {scheme: github, secret: 'env:GITHUB_SECRET', tenant: acme}
    alerts: {scheme: alertmanager, token: 'file:alertmanager.token'}
    sync:   {scheme: argocd, user: argocd, password: 'env:ARGOCD_PASSWORD'}
    devops: {scheme: ado, user: ado, password: 'env:ADO_HOOK_PASSWORD'}
    shop:   {scheme: hmac, secret: 'env:SHOP_SECRET'}             webhook-id, -timestamp, -signature
    other:  {scheme: hmac, secret: 'env:OTHER', signature_header: x-signature, delivery_header: x-id}
  oldest_ready_max: 5m        while a job waits longer for its turn, senders are told to come back later

An answer of 202 says that the delivery is durable: a row of hook_event, its alerts rows of hook_alert. What comes again is
the same row. Rules follow it by `on: [hook_event]` or `on: [hook_alert]`.

Examples:
  stellwerk hook list --data ./data
  stellwerk hook list code --count 5 --json --data ./data
  stellwerk hook replay 0b989ba4-242f-11e5-81e1-c7b6966d2516 --data ./data
  stellwerk hook replay --hook code --since 2026-11-01T06:00:00Z --until 2026-11-01T07:00:00Z --data ./data";

/// Web hooks of others.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Hook {
    /// Show what was delivered, newest first.
    List(List),
    /// Tell rules of deliveries once more, each as a new one that names the one it repeats.
    Replay(Replay),
}

/// What was delivered.
#[derive(Debug, Args)]
pub struct List {
    /// Only this sender's.
    #[arg(value_name = "NAME")]
    hook: Option<String>,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    count: u32,
    /// One JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Which deliveries.
#[derive(Debug, Args)]
pub struct Replay {
    /// Their ids, as `stellwerk hook list` shows them.
    #[arg(value_name = "DELIVERY")]
    deliveries: Vec<String>,
    /// Only this sender's.
    #[arg(long, value_name = "NAME")]
    hook: Option<String>,
    /// Received from then on, RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Received before then, RFC 3339.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl Hook {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Hook::List(list) => list.run().await,
            Hook::Replay(replay) => replay.run().await,
        }
    }
}

impl List {
    async fn run(self) -> Result<Exit> {
        let narrow = if self.hook.is_some() { "WHERE hook = $1" } else { "" };
        let sql = format!(
            "SELECT received_at, hook, event, subject, delivery_id, replay_of FROM hook_event {narrow} ORDER BY received_at DESC, delivery_id LIMIT {}",
            self.count
        );
        let question = Question { sql, params: self.hook.into_iter().collect() };
        print::asked(&self.place, question, if self.json { Format::Json } else { Format::Table }).await
    }
}

impl Replay {
    async fn run(self) -> Result<Exit> {
        let wish = ReplayWish { deliveries: self.deliveries, hook: self.hook, since: self.since, until: self.until };
        let reach = reach(&self.place.settings(), false).await?;
        let answer = reach.rules(&RuleWish::Notice(NoticeWish::Replay(wish))).await;
        let closed = reach.close().await;
        let answer = answer?;
        closed?;
        print::text(&format!("{answer:#}\n"))
    }
}
