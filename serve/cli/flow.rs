//! `stellwerk flow`: jobs of several steps, started, looked at, and spoken to.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine::{Error, Result};
use jobs::flow::Start;
use serde_json::Value;

use super::exit::Exit;
use super::listing::{Asking, cell, members, table};
use crate::work::WorkWish;

const AFTER: &str = "\
A flow is a job of several steps. A step that is done is never done again, whatever ends in between; how it is undone is
written down before it is done. Its rows stand in the tables step, effect, signal and approval.

Examples:
  stellwerk flow kinds --data ./data
  stellwerk flow start draft_pull_request --input change.json --key TICKET-7 --data ./data
  stellwerk flow list --data ./data
  stellwerk flow show 0198c0de-… --data ./data
  stellwerk flow signal 0198c0de-… deployed '{\"version\": \"1.2\"}' --data ./data
  stellwerk flow cancel 0198c0de-… --why 'the ticket is void' --data ./data";

/// Jobs of several steps.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Flow {
    /// Show the flows that can be started, with their steps.
    Kinds(Plain),
    /// Start a flow.
    Start(StartArgs),
    /// Show flows that have not ended.
    List(List),
    /// Show a flow with its steps, its effects and what it asks people.
    Show(One),
    /// Send a flow a signal that it may wait for.
    Signal(Signal),
    /// Let a flow end, once what it did is undone.
    Cancel(Cancel),
    /// Let a flow stand still after the step that it does.
    Pause(One),
    /// Let a paused flow go on.
    Resume(One),
    /// Say what became of a step that nobody knows about.
    Resolve(Resolve),
}

/// How it is asked.
#[derive(Debug, Args)]
pub struct Plain {
    #[command(flatten)]
    asking: Asking,
}

/// The flow to start.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Which one; `stellwerk flow kinds` shows them.
    #[arg(value_name = "FLOW")]
    flow: String,
    /// What it needs to know: a JSON object, or the file that holds one.
    #[arg(long, value_name = "JSON|FILE", default_value = "{}")]
    input: String,
    /// Names it: the same flow of the same key is started once.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Whose matter it is.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Lower ones run first; 100 without it.
    #[arg(long, value_name = "N")]
    priority: Option<i64>,
    #[command(flatten)]
    asking: Asking,
}

/// Which flows.
#[derive(Debug, Args)]
pub struct List {
    /// Also those that have ended.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    asking: Asking,
}

/// One flow.
#[derive(Debug, Args)]
pub struct One {
    /// Its id.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    asking: Asking,
}

/// A signal.
#[derive(Debug, Args)]
pub struct Signal {
    /// The flow's id.
    #[arg(value_name = "ID")]
    id: String,
    /// The signal.
    #[arg(value_name = "SIGNAL")]
    signal: String,
    /// What it says: JSON.
    #[arg(value_name = "JSON", default_value = "null")]
    payload: String,
    /// Tells one that is sent twice.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

/// Why a flow is to end.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The flow's id.
    #[arg(value_name = "ID")]
    id: String,
    /// Why; it stands in the audit log and in what is undone.
    #[arg(long, value_name = "TEXT", default_value = "no reason was given")]
    why: String,
    #[command(flatten)]
    asking: Asking,
}

/// What became of a step.
#[derive(Debug, Args)]
pub struct Resolve {
    /// The flow's id.
    #[arg(value_name = "ID")]
    id: String,
    /// The step.
    #[arg(value_name = "STEP")]
    step: String,
    /// It was done, and came to this (JSON).
    #[arg(long, value_name = "JSON", required_unless_present = "again", conflicts_with = "again")]
    done: Option<String>,
    /// It was not done, and is done again.
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    asking: Asking,
}

impl Flow {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Flow::Kinds(plain) => plain.asking.show(&WorkWish::Flows, kinds).await,
            Flow::Start(start) => {
                let input = json("--input", &input(&start.input)?)?;
                let wish = WorkWish::Start(Start {
                    flow: start.flow,
                    input,
                    key: start.key,
                    tenant: start.tenant,
                    priority: start.priority,
                });
                start.asking.show(&wish, |answer| Ok(format!("{}\n", cell(&answer["id"])))).await
            }
            Flow::List(list) => {
                let columns = [
                    ("id", "id"),
                    ("flow", "flow"),
                    ("state", "state"),
                    ("at", "at"),
                    ("tenant", "tenant"),
                    ("requester", "requester"),
                    ("created", "created_at"),
                    ("error", "error"),
                ];
                list.asking
                    .show(&WorkWish::List { ended: list.all }, |flows| table(flows, &columns, "there is no flow"))
                    .await
            }
            Flow::Show(one) => one.asking.show(&WorkWish::Show { flow: one.id }, shown).await,
            Flow::Signal(signal) => {
                let payload = json("the signal", &signal.payload)?;
                let wish = WorkWish::Signal { flow: signal.id, signal: signal.signal, payload, id: signal.key };
                signal.asking.show(&wish, members).await
            }
            Flow::Cancel(cancel) => {
                cancel.asking.show(&WorkWish::Cancel { flow: cancel.id, why: cancel.why }, members).await
            }
            Flow::Pause(one) => one.asking.show(&WorkWish::Pause { job: one.id, paused: true }, members).await,
            Flow::Resume(one) => one.asking.show(&WorkWish::Pause { job: one.id, paused: false }, members).await,
            Flow::Resolve(resolve) => {
                let output = resolve.done.as_deref().map(|text| json("--done", text)).transpose()?;
                let wish = WorkWish::Resolve { flow: resolve.id, step: resolve.step, output };
                resolve.asking.show(&wish, members).await
            }
        }
    }
}

/// A text that is JSON, or that of the file which it names.
fn input(text: &str) -> Result<String> {
    if text.trim_start().starts_with('{') {
        return Ok(text.to_owned());
    }
    std::fs::read_to_string(PathBuf::from(text)).map_err(|e| Error::invalid(format!("read the input {text}: {e}")))
}

fn json(what: &str, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|e| Error::invalid(format!("{what} is no JSON: {e}")))
}

fn kinds(flows: &Value) -> Result<String> {
    let mut out = String::new();
    for flow in flows.as_array().into_iter().flatten() {
        let _ = writeln!(out, "{}\n  {}", cell(&flow["flow"]), cell(&flow["doc"]));
        for parameter in flow["parameters"].as_array().into_iter().flatten() {
            let optional = if parameter["optional"] == true { " (may be left out)" } else { "" };
            let _ = writeln!(out, "  {:<14} {}{optional}", cell(&parameter["name"]), cell(&parameter["doc"]));
        }
        for (at, step) in flow["steps"].as_array().into_iter().flatten().enumerate() {
            let undone = if step["undone"] == true { "; is undone" } else { "" };
            let (name, kind) = (cell(&step["name"]), cell(&step["kind"]));
            let _ = writeln!(out, "    {}. {name:<14} {kind:<9} {}{undone}", at + 1, cell(&step["doc"]));
        }
    }
    Ok(out)
}

fn shown(flow: &Value) -> Result<String> {
    let mut out = format!("{} {}: {}", cell(&flow["flow"]), cell(&flow["id"]), cell(&flow["state"]));
    for (title, member) in
        [(" since", "created_at"), (" until", "ended_at"), ("; error:", "error"), ("; cancelled:", "cancel")]
    {
        if !flow[member].is_null() {
            let _ = write!(out, "{title} {}", cell(&flow[member]));
        }
    }
    out.push('\n');
    let steps = [
        ("round", "round"),
        ("step", "step"),
        ("kind", "kind"),
        ("state", "state"),
        ("attempt", "attempt"),
        ("undo", "undo_state"),
        ("output", "output"),
        ("error", "error"),
    ];
    out.push_str(&table(&flow["steps"], &steps, "no step has begun")?);
    let effects = [("effect", "key"), ("class", "class"), ("state", "state"), ("target", "target")];
    out.push_str(&table(&flow["effects"], &effects, "it has reached nobody")?);
    let asked = [("approval", "id"), ("step", "step"), ("decision", "decision"), ("ask", "ask")];
    out.push_str(&table(&flow["approvals"], &asked, "it asks nobody")?);
    Ok(out)
}
