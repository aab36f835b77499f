//! `stellwerk index`: how far the index is, another model beside the one in use, and vectors that nobody needs any more.

use std::time::Duration;

use clap::{Args, Subcommand};
use engine::Result;
use index::search::{IndexStatus, PrefixStatus, SpaceStatus};
use indicatif::{ProgressBar, ProgressStyle};

use super::context::ContextArgs;
use super::embedder::EmbedderArgs;
use super::exit::Exit;
use super::place::Place;
use super::print;
use crate::reach::{BuildWish, DropWish, reach_placing, reach_with};

const AFTER: &str = "\
A running server keeps the index up to date by itself. `build --model` makes another model's vectors beside those in use and
turns to them in one moment; the old ones stay until `drop --model` deletes them.

With --context-model a model of a server writes what places each chunk within its document. Everything is searchable before,
and each document once more when the words of all its chunks are there. A build that the model fails ends with an error when
all the rest is done, and asks for what is missing when it is run again; a server asks again by itself, after longer and
longer pauses (at most five minutes). What was said about the same words is not asked again.

Examples:
  stellwerk index status --data ./data
  stellwerk index build --data ./data
  stellwerk index build --model multilingual-e5-small --data ./data
  stellwerk index build --context-model http://127.0.0.1:8080/v1#qwen3 --data ./data
  stellwerk index drop --model hashed-384 --data ./data";

/// Look after the index of the search.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Index {
    /// How far it is: what it covers, what waits, which models have their vectors.
    Status(Status),
    /// Bring it up to date; with a model, make that one ready and turn to it.
    Build(Build),
    /// Delete the vectors of a model, or what it wrote about chunks.
    Drop(Drop),
}

/// How far the index is.
#[derive(Debug, Args)]
pub struct Status {
    /// One JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    embedder: EmbedderArgs,
}

/// Bring the index up to date.
#[derive(Debug, Args)]
pub struct Build {
    /// The model to turn to.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// One JSON document at the end.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    embedder: EmbedderArgs,
    #[command(flatten)]
    context: ContextArgs,
}

/// Delete the vectors of a model, or what it wrote about chunks.
#[derive(Debug, Args)]
pub struct Drop {
    /// The model, as `index status` names it.
    #[arg(long, value_name = "NAME")]
    model: String,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    embedder: EmbedderArgs,
}

impl Index {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Index::Status(status) => status.run().await,
            Index::Build(build) => build.run().await,
            Index::Drop(drop) => drop.run().await,
        }
    }
}

impl Status {
    async fn run(self) -> Result<Exit> {
        let reach = reach_with(&self.place.settings(), &self.embedder).await?;
        let status = reach.index_status().await;
        let closed = reach.close().await;
        let status = status?;
        closed?;
        show(&status, self.json)
    }
}

impl Build {
    async fn run(self) -> Result<Exit> {
        self.context.wish()?;
        let reach = reach_placing(&self.place.settings(), &self.embedder, &self.context).await?;
        let bar = Bar::new();
        let wish = BuildWish { model: self.model.clone(), context: self.context.word().map(str::to_owned) };
        let tell = |status: &IndexStatus| bar.show(status);
        let built = tokio::select! {
            built = reach.index_build(&wish, &tell) => built.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        };
        bar.0.finish_and_clear();
        let closed = reach.close().await;
        let Some(status) = built? else { return Ok(Exit(Exit::INTERRUPTED)) };
        closed?;
        show(&status, self.json)
    }
}

impl Drop {
    async fn run(self) -> Result<Exit> {
        let reach = reach_with(&self.place.settings(), &self.embedder).await?;
        let dropped = reach.index_drop(&DropWish { model: self.model.clone() }).await;
        let closed = reach.close().await;
        let dropped = dropped?;
        closed?;
        print::text(&format!("{dropped} vectors of {} are deleted\n", self.model))
    }
}

fn show(status: &IndexStatus, json: bool) -> Result<Exit> {
    if json {
        return print::text(&format!("{:#}\n", serde_json::json!(status)));
    }
    let mut text = format!("covers _seq {}", status.covered_seq);
    match (status.waiting_documents, status.behind) {
        (0, false) => text.push_str(", nothing waits\n"),
        (0, true) => text.push_str(", a source is about to be looked at\n"),
        (waiting, _) => text.push_str(&format!(", {waiting} texts wait\n")),
    }
    for source in &status.sources {
        text.push_str(&format!("  {}: {} texts, {} chunks\n", source.name, source.documents, source.chunks));
    }
    let model = |word: &str, space: &SpaceStatus| {
        format!("  {word} {}: {} chunks embedded, {} not yet\n", space.model, space.embedded, space.missing)
    };
    match &status.active {
        Some(active) => text.push_str(&model("model", active)),
        None => text.push_str("  no model: full text only\n"),
    }
    if let Some(next) = &status.next {
        text.push_str(&model("making ready", next));
    }
    if let Some(prefixes) = &status.prefixes {
        text.push_str(&prefix_lines(prefixes));
    }
    if let Some(failed) = &status.failed {
        text.push_str(&format!("  the last attempt failed: {failed}\n"));
    }
    print::text(&text)
}

fn prefix_lines(prefixes: &PrefixStatus) -> String {
    let PrefixStatus { model, written, without, waiting, failed } = prefixes;
    let by = model.as_ref().map_or_else(|| "kept, nobody is asked".to_owned(), |model| format!("by {model}"));
    let mut text = format!("  prefixes {by}: {written} chunks have one, {waiting} wait, {without} go without\n");
    if let Some(failed) = failed {
        text.push_str(&format!("  the model was not heard; it is asked again: {failed}\n"));
    }
    text
}

/// A bar over what waits; hidden where stderr is no terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{spinner} {wide_msg} {pos:>8} / {len:<8} {bar:24} {eta:>4}");
        bar.set_style(style.expect("the bar's template is valid").progress_chars("━╾ "));
        bar.enable_steady_tick(Duration::from_millis(120));
        Bar(bar)
    }

    fn show(&self, status: &IndexStatus) {
        let space = status.next.as_ref().or(status.active.as_ref()).filter(|space| space.missing > 0);
        let placing = status.prefixes.as_ref().filter(|prefixes| prefixes.waiting > 0);
        let (done, all, what) = match space {
            Some(space) if status.waiting_documents == 0 => {
                (space.embedded, space.embedded + space.missing, format!("embedding with {}", space.model))
            }
            None if status.waiting_documents == 0 && placing.is_some() => {
                let PrefixStatus { written, without, waiting, .. } = placing.expect("asked just now");
                (written + without, written + without + waiting, "writing prefixes".to_owned())
            }
            _ => (status.documents, status.documents + status.waiting_documents, "cutting texts".to_owned()),
        };
        self.0.set_message(what);
        self.0.set_length(all);
        self.0.set_position(done);
    }
}
