//! `stellwerk jobs top`: the queue as it stands, again and again on a terminal, once elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use engine::Result;
use jobs::queue::{Figures, Load};
use serde_json::{Value, json};

use crate::cli::exit::Exit;
use crate::cli::listing::{Asking, ListFormat, table};
use crate::cli::place::duration;
use crate::cli::print;
use crate::work::WorkWish;

/// Clears the terminal and goes to its first place.
const CLEAR: &str = "\x1b[2J\x1b[H";
/// Characters of an error that a line shows.
const ERROR_CHARS: usize = 70;

/// How the queue is watched.
#[derive(Debug, Args)]
pub struct Top {
    /// How often the view is made anew on a terminal.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    every: Duration,
    /// Show it once, on a terminal, too.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    asking: Asking,
}

impl Top {
    /// Shows it until somebody interrupts, or once.
    pub async fn run(self) -> Result<Exit> {
        let live = !self.once && self.asking.format == ListFormat::Text && std::io::stdout().is_terminal();
        if !live {
            return self.asking.show(&WorkWish::Top, |answer| shown(&figures(answer))).await;
        }
        loop {
            let text = shown(&figures(&self.asking.ask(&WorkWish::Top).await?))?;
            let help = format!("every {:.1} s, Ctrl-C ends\n", self.every.as_secs_f64());
            print::text(&format!("{CLEAR}{text}{help}"))?;
            let mut out = std::io::stdout();
            let _ = out.flush();
            tokio::select! {
                () = tokio::time::sleep(self.every) => {}
                _ = tokio::signal::ctrl_c() => return Ok(Exit(Exit::OK)),
            }
        }
    }
}

fn figures(answer: &Value) -> Figures {
    serde_json::from_value(answer.clone()).unwrap_or_default()
}

/// The view of one moment.
fn shown(figures: &Figures) -> Result<String> {
    let sum = |of: fn(&Load) -> i64| figures.loads.iter().map(of).sum::<i64>();
    let oldest = figures.loads.iter().filter_map(|load| load.oldest_ready_age_us).max();
    let mut text = format!(
        "ready {}  running {}  retrying {}  waiting {}  dead {}  paused {}  ended in a minute {}  oldest {}  approvals {}\n\n",
        sum(|l| l.ready),
        sum(|l| l.running),
        sum(|l| l.later),
        sum(|l| l.waiting),
        sum(|l| l.dead),
        sum(|l| l.paused),
        sum(|l| l.ended_minute),
        age(oldest),
        figures.approvals,
    );
    let loads = figures.loads.iter().map(|load| {
        let mut row = json!(load);
        row["oldest"] = age(load.oldest_ready_age_us).into();
        row
    });
    let columns = [
        ("kind", "kind"),
        ("ready", "ready"),
        ("oldest", "oldest"),
        ("running", "running"),
        ("dead", "dead"),
        ("retrying", "later"),
        ("waiting", "waiting"),
        ("ended/min", "ended_minute"),
        ("paused", "paused"),
        ("queue", "queue"),
    ];
    text.push_str(&table(&Value::Array(loads.collect()), &columns, "the queue is empty")?);
    if !figures.running.is_empty() {
        let columns = [("running", "id"), ("kind", "kind"), ("attempt", "attempt"), ("cause", "cause")];
        text.push('\n');
        text.push_str(&table(&json!(figures.running), &columns, "")?);
    }
    if !figures.dead.is_empty() {
        let dead = figures.dead.iter().map(|dead| {
            let error: String = dead.error.iter().flat_map(|error| error.chars()).take(ERROR_CHARS).collect();
            json!({ "id": dead.id, "kind": dead.kind, "error": error })
        });
        text.push('\n');
        text.push_str(&table(
            &Value::Array(dead.collect()),
            &[("dead", "id"), ("kind", "kind"), ("error", "error")],
            "",
        )?);
    }
    Ok(text)
}

/// A span as people read it at a glance.
fn age(us: Option<i64>) -> String {
    match us {
        None => "-".to_owned(),
        Some(us) if us < 10_000_000 => format!("{:.1} s", us as f64 / 1e6),
        Some(us) => engine::write_span(Duration::from_secs(u64::try_from(us / 1_000_000).unwrap_or(0))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_view_says_what_waits_and_since_when() {
        let load = Load {
            queue: "default".to_owned(),
            kind: "notify".to_owned(),
            ready: 3,
            dead: 1,
            oldest_ready_age_us: Some(75_000_000),
            ..Load::default()
        };
        let dead = jobs::queue::DeadNow { id: "7".to_owned(), kind: "notify".to_owned(), error: Some("no".to_owned()) };
        let text = shown(&Figures { loads: vec![load], dead: vec![dead], ..Figures::default() }).unwrap();
        for part in ["ready 3", "dead 1", "oldest 1m15s", "notify", "no"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(shown(&Figures::default()).unwrap().contains("the queue is empty"));
    }
}
