//! `stellwerk price`: price lists read in, usage priced, and what has no price.

use std::path::PathBuf;

use ::ingest::FileOptions;
use ::ingest::sources::Silent;
use clap::{Args, Subcommand};
use engine::arrow::array::AsArray;
use engine::{Error, Kind, Question, Result};
use futures::StreamExt;

use super::exit::{self, Exit};
use super::place::Place;
use super::print;
use crate::output::Format;
use crate::reach::{Reach, reach};

const AFTER: &str = "\
Examples:
  stellwerk price import model_prices_and_context_window.json --data ./data
  stellwerk price import ours.json --format litellm --list ours --valid-from 2026-10-01 --data ./data
  stellwerk price cost --model gpt-5 --provider openai --input-tokens 10000 --output-tokens 2000 --data ./data
  stellwerk price check --data ./data";

/// Read price lists, price usage, and find what has no price.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Price {
    /// Read price lists: a price that changed ends, and the new one begins.
    Import(Import),
    /// What a model's request costs.
    Cost(Cost),
    /// Fail while there is usage without a price.
    Check(Check),
}

/// Read price lists.
#[derive(Debug, Args)]
pub struct Import {
    /// LiteLLM's map, Langfuse's list, or OpenCost's prices as JSON or CSV.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The format; without it, what the content says.
    #[arg(long, value_parser = ::ingest::price::FORMATS)]
    format: Option<String>,
    /// Name of the list; without it, the format's. Lists with a name of their own are asked before the public ones.
    #[arg(long, value_name = "NAME")]
    list: Option<String>,
    /// When these prices begin to hold: 2026-10-01 or 2026-10-01T00:00:00Z. Without it, now; a first list holds always.
    #[arg(long, value_name = "DATE", value_parser = instant)]
    valid_from: Option<i64>,
    /// Write one JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// What a model's request costs. Input includes what the cache read and wrote, output includes reasoning.
#[derive(Debug, Args)]
pub struct Cost {
    /// The model, with or without its provider in front.
    #[arg(long)]
    model: String,
    /// Its provider: openai, azure, anthropic, bedrock, gemini, vertex_ai …
    #[arg(long, default_value = "")]
    provider: String,
    /// Tokens sent.
    #[arg(long, value_name = "N", default_value_t = 0)]
    input_tokens: u32,
    /// Tokens answered.
    #[arg(long, value_name = "N", default_value_t = 0)]
    output_tokens: u32,
    /// Of the tokens sent, those found in the cache.
    #[arg(long, value_name = "N", default_value_t = 0)]
    cache_read_tokens: u32,
    /// Of the tokens sent, those written to the cache.
    #[arg(long, value_name = "N", default_value_t = 0)]
    cache_write_tokens: u32,
    /// Of these, those written for an hour.
    #[arg(long, value_name = "N", default_value_t = 0)]
    cache_write_1h_tokens: u32,
    /// Of the tokens answered, those of thought.
    #[arg(long, value_name = "N", default_value_t = 0)]
    reasoning_tokens: u32,
    /// Of the tokens sent, those of sound.
    #[arg(long, value_name = "N", default_value_t = 0)]
    audio_input_tokens: u32,
    /// flex, priority, batch …
    #[arg(long, value_name = "TIER", default_value = "")]
    service_tier: String,
    /// As of this day; without it, now.
    #[arg(long, value_name = "DATE", value_parser = instant)]
    at: Option<i64>,
    /// Write one JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Fail while there is usage without a price.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    place: Place,
}

/// A day, or an instant with its zone, in microseconds since 1970.
fn instant(text: &str) -> Result<i64, String> {
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|day| day.and_time(Default::default()).and_utc());
    let at = day.or_else(|_| chrono::DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()));
    at.map(|at| at.timestamp_micros()).map_err(|_| "a date is 2026-10-01 or 2026-10-01T00:00:00Z".to_owned())
}

impl Price {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        let (place, makes) = match &self {
            Price::Import(import) => (&import.place, true),
            Price::Cost(cost) => (&cost.place, false),
            Price::Check(check) => (&check.place, false),
        };
        let reach = reach(&place.settings(), makes).await?;
        let done = match &self {
            Price::Import(import) => import.run(reach.as_ref()).await,
            Price::Cost(cost) => cost.run(reach.as_ref()).await,
            Price::Check(_) => check(reach.as_ref()).await,
        };
        let closed = reach.close().await;
        done.and_then(|exit| closed.map(|()| exit))
    }
}

impl Import {
    async fn run(&self, reach: &dyn Reach) -> Result<Exit> {
        let options = FileOptions {
            price_list: self.list.clone(),
            valid_from: self.valid_from,
            format: self.format.clone(),
            ..FileOptions::default()
        };
        let mut documents = Vec::new();
        for file in &self.files {
            let summary = reach.ingest(::ingest::price::KIND, file, &options, &Silent).await?;
            match self.json {
                true => {
                    documents.push(serde_json::json!({"path": file, "rows": summary.accepted, "notes": summary.notes}))
                }
                false => {
                    let mut text = format!("{}: {} rows written\n", file.display(), summary.accepted);
                    summary.notes.iter().for_each(|note| text.push_str(&format!("  {note}\n")));
                    print::text(&text)?;
                }
            }
        }
        if self.json {
            print::text(&format!("{:#}\n", serde_json::json!(documents)))?;
        }
        Ok(Exit(Exit::OK))
    }
}

impl Cost {
    fn question(&self) -> Question {
        let usage = serde_json::json!({
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cache_read_tokens": self.cache_read_tokens,
            "cache_write_tokens": self.cache_write_tokens,
            "cache_write_1h_tokens": self.cache_write_1h_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "audio_input_tokens": self.audio_input_tokens,
            "service_tier": self.service_tier,
        });
        let mut question = Question {
            sql: "SELECT llm_cost_detail($1, $2, $3) AS cost".to_owned(),
            params: vec![self.model.clone(), self.provider.clone(), usage.to_string()],
        };
        if let Some(at) = self.at.and_then(chrono::DateTime::from_timestamp_micros) {
            question.sql = "SELECT llm_cost_detail($1, $2, $3, $4) AS cost".to_owned();
            question.params.push(at.to_rfc3339());
        }
        question
    }

    async fn run(&self, reach: &dyn Reach) -> Result<Exit> {
        let mut found = reach.ask(self.question(), None).await?;
        let lost = || Error::new(Kind::Internal, "the store gave no cost");
        let batch = found.batches.next().await.transpose()?.ok_or_else(lost)?;
        let text = batch.column(0).as_string_opt::<i32>().map(|texts| texts.value(0).to_owned()).ok_or_else(lost)?;
        let cost: serde_json::Value = serde_json::from_str(&text).map_err(|_| lost())?;
        if let Some(error) = cost["error"].as_str() {
            return Err(Error::new(Kind::NotFound, error));
        }
        if self.json {
            return print::text(&format!("{cost:#}\n"));
        }
        let word = |of: &serde_json::Value| of.as_str().map_or_else(|| of.to_string(), str::to_owned);
        let mut shown = format!(
            "{} {} ({}, {}): prompt {}, completion {}\n",
            word(&cost["total_cost"]),
            word(&cost["currency"]),
            word(&cost["model"]),
            word(&cost["price_list"]),
            word(&cost["prompt_cost"]),
            word(&cost["completion_cost"]),
        );
        for line in cost["lines"].as_array().into_iter().flatten() {
            let cell = |name: &str| word(&line[name]);
            let (dimension, tokens) = (cell("dimension"), cell("tokens"));
            shown.push_str(&format!("  {dimension:<16} {tokens:>12} x {} = {}\n", cell("unit_price"), cell("cost")));
        }
        print::text(&shown)
    }
}

/// Whether every usage has a price.
async fn check(reach: &dyn Reach) -> Result<Exit> {
    let question = Question::from("SELECT * FROM unpriced_usage ORDER BY calls DESC, model");
    let found = reach.ask(question, None).await?;
    let mut sink = print::Sink::open(None)?;
    let rows = print::answer(found, Format::Table, &mut sink).await?.unwrap_or_default();
    sink.finish()?;
    if rows > 0 {
        exit::say(&Error::invalid(format!("{rows} models were called and have no price")));
        return Ok(Exit(Exit::PROBLEMS));
    }
    Ok(Exit(Exit::OK))
}
