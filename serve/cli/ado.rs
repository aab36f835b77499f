//! `stellwerk ado subscribe`, and the live side of `stellwerk ingest ado`.

use std::sync::Arc;
use std::time::Duration;

use ::ingest::ado::client::{Client, Hosts, WallTime};
use ::ingest::ado::live::{Count, Outcome, Watch, Wish};
use ::ingest::ado::subscribe::{self, Change, Done, Wanted};
use clap::{Args, Subcommand};
use engine::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};

use super::exit::Exit;
use super::print;
use crate::reach::Reach;

const AFTER: &str = "\
Only subscriptions that deliver to the same address with the user name `stellwerk` are ours; others are never touched.
Running it again changes nothing that is as it should be; one that Azure DevOps switched off is switched on again.

Examples:
  stellwerk ado subscribe --organization https://dev.azure.com/acme --auth pat:env:ADO_PAT \\
    --to https://stellwerk.acme.example/hooks/ado --key env:STELLWERK_HOOK_KEY --dry-run";

/// Azure DevOps: what an organization sends.
#[derive(Debug, Subcommand)]
pub enum Ado {
    /// Register the service hooks, and repair those that were switched off.
    #[command(after_help = AFTER)]
    Subscribe(Subscribe),
}

/// Where an organization is, and who asks.
#[derive(Debug, Args)]
pub struct Access {
    /// Address of the organization (https://dev.azure.com/NAME).
    #[arg(long, value_name = "URL", required = true)]
    organization: String,
    /// How to sign in: pat:env:NAME, pat:file:PATH, sp:TENANT:CLIENT:env:NAME, cert:TENANT:CLIENT:PATH, mi,
    /// mi:CLIENT, wi, wi:TENANT:CLIENT:PATH.
    #[arg(long, value_name = "HOW", required = true, env = "STELLWERK_ADO_AUTH")]
    auth: String,
    /// Project by name; repeat it for several. Default: all.
    #[arg(long, value_name = "NAME")]
    project: Vec<String>,
    /// Another address for one host (graph=URL; core, graph, entitlement, release, audit, security, login, metadata).
    #[arg(long, value_name = "HOST=URL")]
    host: Vec<String>,
}

/// Register and repair.
#[derive(Debug, Args)]
pub struct Subscribe {
    #[command(flatten)]
    access: Access,
    /// Where deliveries go: this server's /hooks/ado as Azure DevOps reaches it.
    #[arg(long, value_name = "URL")]
    to: String,
    /// The API key that deliveries bring, by reference: env:NAME or file:PATH.
    #[arg(long, value_name = "REF")]
    key: String,
    /// Show what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

impl Ado {
    /// Runs the command.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Ado::Subscribe(subscribe) => subscribe.run().await,
        }
    }
}

impl Subscribe {
    async fn run(self) -> Result<Exit> {
        if !self.to.starts_with("https://") && !self.dry_run {
            return Err(Error::invalid("Azure DevOps sends the key along: --to has to be an https address"));
        }
        let hosts =
            self.access.host.iter().try_fold(Hosts::of(&self.access.organization)?, |hosts, one| hosts.with(one))?;
        let client = Client::new(hosts, self.access.auth.parse()?, Arc::new(WallTime))?;
        let projects = subscribe::projects(&client, &self.access.project).await?;
        let wanted = Wanted { to: self.to, key: self.key.parse()?, projects };
        let done = subscribe::subscribe(&client, &wanted, self.dry_run).await?;
        if self.json {
            print::text(&format!("{:#}\n", serde_json::json!({"dry_run": self.dry_run, "changes": done})))?;
        } else {
            done.iter().filter_map(line).try_for_each(|line| print::text(&line).map(drop))?;
            print::text(&totals(&done, self.dry_run))?;
        }
        Ok(Exit(if done.iter().any(|d| d.failed.is_some()) { Exit::PROBLEMS } else { Exit::OK }))
    }
}

fn line(done: &Done) -> Option<String> {
    let text = match &done.change {
        Change::Keep { .. } => return None,
        Change::Create { event, project } => format!("create  {project}: {event}"),
        Change::Repair { event, project, id, why } => format!("repair  {project}: {event} ({id} {why})"),
        Change::Delete { event, project, id } => format!("delete  {project}: {event} ({id} is there twice)"),
    };
    let failed = done.failed.as_ref().map(|why| format!("\n  failed: {why}")).unwrap_or_default();
    Some(format!("{text}{failed}\n"))
}

fn totals(done: &[Done], rehearsed: bool) -> String {
    let count = |of: fn(&Change) -> bool| done.iter().filter(|d| d.failed.is_none() && of(&d.change)).count();
    let failed = done.iter().filter(|d| d.failed.is_some()).count();
    format!(
        "{}{} created, {} repaired, {} deleted, {} as they should be, {failed} failed\n",
        if rehearsed { "dry run: " } else { "" },
        count(|c| matches!(c, Change::Create { .. })),
        count(|c| matches!(c, Change::Repair { .. })),
        count(|c| matches!(c, Change::Delete { .. })),
        count(|c| matches!(c, Change::Keep { .. })),
    )
}

/// What `stellwerk ingest ado` reads when it is no file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Azure DevOps, live")]
pub struct Organization {
    /// Address of the organization (https://dev.azure.com/NAME).
    #[arg(long, value_name = "URL", requires = "auth")]
    organization: Option<String>,
    /// How to sign in: pat:env:NAME, pat:file:PATH, sp:TENANT:CLIENT:env:NAME, cert:TENANT:CLIENT:PATH, mi,
    /// mi:CLIENT, wi, wi:TENANT:CLIENT:PATH. Read by the process that owns the store: a running server's own environment
    /// counts.
    #[arg(long, value_name = "HOW", env = "STELLWERK_ADO_AUTH")]
    auth: Option<String>,
    /// Project by name; repeat it for several. Default: all.
    #[arg(long, value_name = "NAME")]
    project: Vec<String>,
    /// Another address for one host (graph=URL; core, graph, entitlement, release, audit, security, login, metadata).
    #[arg(long, value_name = "HOST=URL")]
    host: Vec<String>,
    /// Seconds between two passes with --follow.
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    every: u64,
    /// Days that the first pass looks back for what has no end: builds, tests, audit.
    #[arg(long, value_name = "DAYS", default_value = "365")]
    since_days: u32,
}

impl Organization {
    /// The wish, if an organization is named.
    pub fn wish(&self, tenant: Option<String>, follow: bool) -> Result<Option<Wish>> {
        let Some(organization) = self.organization.clone() else { return Ok(None) };
        let auth = self.auth.clone().ok_or_else(|| Error::invalid("say how to sign in with --auth"))?;
        Ok(Some(Wish {
            organization,
            auth,
            projects: self.project.clone(),
            hosts: self.host.clone(),
            tenant,
            follow,
            every_s: Some(self.every),
            since_days: Some(self.since_days),
        }))
    }
}

/// Reads an organization, showing how far it is.
pub async fn read(reach: &dyn Reach, wish: &Wish, json: bool) -> Result<Exit> {
    let shown = Shown::new(wish.follow, json);
    let read = reach.read_ado(wish, &shown).await;
    shown.bar.finish_and_clear();
    let outcome = read?;
    if !wish.follow {
        print::text(&if json { format!("{:#}\n", document(wish, &outcome)) } else { summary(&outcome) })?;
    }
    Ok(Exit(Exit::OK))
}

fn document(wish: &Wish, outcome: &Outcome) -> serde_json::Value {
    let total = outcome.total();
    let mut document = serde_json::json!(outcome);
    document["kind"] = "ado".into();
    document["organization"] = wish.organization.as_str().into();
    document["total"] = serde_json::json!(total);
    document
}

fn summary(outcome: &Outcome) -> String {
    let mut text = String::new();
    for (name, count) in outcome.streams.iter().filter(|(_, count)| **count != Count::default()) {
        text.push_str(&format!(
            "{name:<22} {:>9} read {:>9} changed {:>7} gone\n",
            count.read, count.changed, count.gone
        ));
    }
    let (total, traffic) = (outcome.total(), outcome.traffic);
    text.push_str(&format!(
        "{} resources read, {} rows changed, {} gone, {} rejected; {} requests, {} refused with 429, {} repeated, {} s waited for the budget\n",
        total.read,
        total.changed,
        total.gone,
        outcome.rejected,
        traffic.requests,
        traffic.refused_429,
        traffic.retries,
        traffic.waited_ms / 1_000
    ));
    outcome.notes.iter().for_each(|note| text.push_str(&format!("  {note}\n")));
    text
}

/// A line that moves on a terminal; with `--follow` a line a pass.
struct Shown {
    bar: ProgressBar,
    follow: bool,
    json: bool,
}

impl Shown {
    fn new(follow: bool, json: bool) -> Shown {
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}").expect("the spinner's template is valid"));
        bar.enable_steady_tick(Duration::from_millis(120));
        Shown { bar, follow, json }
    }
}

impl Watch for Shown {
    fn stream(&self, name: &str, project: Option<&str>, count: Count) {
        let of = project.map(|p| format!("{p}: ")).unwrap_or_default();
        let text = format!("{of}{name}: {} read, {} changed", count.read, count.changed);
        self.bar.set_message(crate::output::table::printable(&text));
        self.bar.inc(count.read);
    }

    fn pass(&self, outcome: &Outcome) {
        if self.follow {
            let total = outcome.total();
            let text = match self.json {
                true => format!("{}\n", serde_json::json!(outcome)),
                false => format!(
                    "{} read, {} changed, {} gone, {} rejected\n",
                    total.read, total.changed, total.gone, outcome.rejected
                ),
            };
            // A closed pipe ends the command at its next write elsewhere.
            let _ = print::text(&text);
        }
    }

    fn failed(&self, error: &Error) {
        super::exit::say(error);
    }
}
