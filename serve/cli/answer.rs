//! `stellwerk answer`: a question answered from what the store holds, with the places that say it.

use std::io::Write;

use clap::Args;
use engine::Result;
use futures::StreamExt;
use serde_json::Value;

use super::embedder::EmbedderArgs;
use super::exit::Exit;
use super::place::Place;
use super::print;
use crate::answers::{AnswerWish, ChatOptions};
use crate::reach::reach_with;

const AFTER: &str = "\
Every sentence carries the number of its source; a sentence that no source supports is marked [?]. Without a model the
sentences are the sources' own.
Exit codes: 0 answered, 1 it is not in the sources, 2 wrong usage.

Examples:
  stellwerk answer \"How long are backups kept?\" --data ./data
  stellwerk answer \"Warum scheitert der Build?\" --from ado_work_item --no-model --data ./data
  stellwerk answer \"Who owns the ledger?\" --json --data ./data";

/// Answer a question from documents, work items and telemetry, with citations.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Answer {
    /// The question, in German or English.
    question: String,
    /// One JSON document: the answer, its sentences, citations and sources.
    #[arg(long)]
    json: bool,
    /// The sources' own sentences, whatever model there is.
    #[arg(long)]
    no_model: bool,
    /// Passages that the answer is made from.
    #[arg(long, value_name = "N", default_value_t = index::answer::PASSAGES)]
    passages: usize,
    /// Only this source: document, ado_work_item … Repeat it for several.
    #[arg(long, value_name = "SOURCE")]
    from: Vec<String>,
    /// The answer's language, de or en; the question's without it.
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    /// As of this _seq or time.
    #[arg(long, value_name = "SEQ|TIME")]
    as_of: Option<String>,
    /// See only this tenant's texts.
    #[arg(long, value_name = "TENANT", env = "STELLWERK_TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    embedder: EmbedderArgs,
    #[command(flatten)]
    chat: ChatOptions,
}

impl Answer {
    /// Asks, and writes the answer as it comes.
    pub async fn run(self) -> Result<Exit> {
        let wish = AnswerWish {
            question: self.question.clone(),
            k: Some(self.passages),
            language: self.language.clone(),
            sources: self.from.clone(),
            as_of: self.as_of.clone().map(|moment| moment.parse::<u64>().map_or(Value::String(moment), Value::from)),
            stream: true,
            model: self.no_model.then_some(false),
        };
        let reach = reach_with(&self.place.settings(), &self.embedder).await?;
        let done = tokio::select! {
            done = self.show(reach.as_ref(), &wish) => done,
            _ = tokio::signal::ctrl_c() => Ok(Exit(Exit::INTERRUPTED)),
        };
        let closed = reach.close().await;
        done.and_then(|exit| closed.map(|()| exit))
    }

    async fn show(&self, reach: &dyn crate::reach::Reach, wish: &AnswerWish) -> Result<Exit> {
        let mut events = reach.answer(wish, &self.chat, self.tenant.as_deref()).await?;
        let mut answer = Value::Null;
        while let Some(event) = events.next().await.transpose()? {
            match event["event"].as_str().unwrap_or_default() {
                "text" if !self.json => {
                    print::text(event["data"]["text"].as_str().unwrap_or_default())?;
                }
                "done" => answer = event["data"].clone(),
                _ => {}
            }
        }
        if self.json {
            print::text(&format!("{answer:#}\n"))?;
        } else {
            print::text(&format!("\n{}", sources(&answer)))?;
            for note in answer["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let _ = writeln!(std::io::stderr(), "note: {note}");
            }
        }
        let answered = answer["answered"].as_bool().unwrap_or(false);
        Ok(Exit(if answered { Exit::OK } else { Exit::PROBLEMS }))
    }
}

/// The cited places, by number: where they are, and what they say.
fn sources(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut citations: Vec<&Value> = answer["citations"].as_array().into_iter().flatten().collect();
    citations.sort_by_key(|citation| citation["n"].as_u64());
    let mut out = String::new();
    let mut last = None;
    for citation in citations {
        let number = citation["n"].as_u64().unwrap_or(0);
        if last != Some(number) {
            let (title, heading) = (text(&citation["title"]), text(&citation["heading"]));
            let heading = if heading.is_empty() || heading == title { String::new() } else { format!(" > {heading}") };
            let place = citation["uri"].as_str().map_or_else(|| text(&citation["document"]), str::to_owned);
            out.push_str(&format!("\n[{number}] {title}{heading}\n    {place}, version {}\n", citation["version"]));
        }
        last = Some(number);
        let quote = text(&citation["quote"]).split_whitespace().collect::<Vec<_>>().join(" ");
        out.push_str(&format!("    {}-{}: “{quote}”\n", citation["start"], citation["end"]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_listed_once_with_their_quotes() {
        let cited = |n: u64, start: u64, quote: &str| serde_json::json!({"n": n, "document": "document:x", "version": 2, "uri": null, "title": "Backup", "heading": "Ledger", "start": start, "end": start + 3, "quote": quote});
        let answer = serde_json::json!({"citations": [cited(2, 0, "c"), cited(1, 5, "b\n b"), cited(1, 9, "a")]});
        assert_eq!(
            sources(&answer),
            "\n[1] Backup > Ledger\n    document:x, version 2\n    5-8: “b b”\n    9-12: “a”\n\n[2] Backup > Ledger\n    document:x, version 2\n    0-3: “c”\n"
        );
    }
}
