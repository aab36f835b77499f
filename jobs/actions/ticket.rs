//! `ticket`: one work item of Azure DevOps for as long as a row fires. A tag that follows from the row's life tells it, so
//! that a second attempt finds what the first one made, and everything is said as a state, never as one more comment.

use std::sync::Arc;

use ingest::ado::client::item::{self, change, read};
use ingest::ado::client::{Client, Credential, Hosts, Refused, WallTime};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::settings::Tickets;
use super::world::{World, ended, failed, given, said, with};
use crate::queue::{Claimed, Ended};

/// The tag of everything that rules made.
const OURS: &str = "stellwerk";

/// The organization that takes tickets.
pub(super) fn tracker(world: &World) -> Result<(&Client, &Tickets), Ended> {
    let missing = || Ended::Refused { error: "the settings of actions name no organization for `tickets`".to_owned() };
    let settings = world.settings.tickets.as_ref().ok_or_else(missing)?;
    if world.tracker.get().is_none() {
        let client = open(settings).map_err(|error| ended(&error.context("open the organization of tickets")))?;
        // Another job may have been first.
        let _ = world.tracker.set(client);
    }
    Ok((world.tracker.get().expect("it was set above"), settings))
}

fn open(settings: &Tickets) -> engine::Result<Client> {
    let credential: Credential = settings.auth.parse()?;
    Client::new(Hosts::of(&settings.organization)?, credential, Arc::new(WallTime))
}

pub(super) async fn act(world: &World, job: &Claimed) -> Result<Ended, Ended> {
    let (client, settings) = tracker(world)?;
    let ticket = Ticket::of(job, settings);
    let done = match said(&job.arguments, "transition") {
        "resolved" => ticket.close(client, settings).await,
        _ => ticket.keep(client).await,
    };
    match done {
        Ok((id, what)) => Ok(Ended::Done {
            target: format!("work item {id} of {}", client.organization()),
            response: what.to_owned(),
        }),
        Err(refused) => Err(refusal(&refused)),
    }
}

/// How an attempt ended that the source did not serve.
pub(super) fn refusal(refused: &Refused) -> Ended {
    match refused {
        // What changed between reading and writing is read anew.
        Refused::Unwell { .. } | Refused::Broken { .. } | Refused::Invalid { status: 409 | 412, .. } => {
            failed(refused.to_string(), None)
        }
        _ => Ended::Refused { error: refused.to_string() },
    }
}

/// What is wanted.
struct Ticket<'a> {
    project: &'a str,
    title: String,
    text: String,
    kind: &'a str,
    tag: String,
}

impl<'a> Ticket<'a> {
    fn of(job: &'a Claimed, settings: &'a Tickets) -> Ticket<'a> {
        let text = format!("{}\n\nrule {}", with(job, "text"), said(&job.arguments, "rule"));
        let kind = given(job, "type").unwrap_or(&settings.kind);
        Ticket {
            project: with(job, "project"),
            title: item::title(with(job, "title")),
            text: item::html(text.trim()),
            kind,
            tag: tag(&job.arguments),
        }
    }

    /// Sees to it that there is one, and that it says what it should.
    async fn keep(&self, client: &Client) -> Result<(i64, &'static str), Refused> {
        let tags = format!("{OURS}; {}", self.tag);
        let mut fields = vec![("System.Title", self.title.as_str()), ("System.Description", self.text.as_str())];
        match item::find(client, self.project, &self.tag).await? {
            Some(id) => {
                let item = read(client, id).await?;
                fields.retain(|(name, wanted)| item["fields"][*name] != **wanted);
                if fields.is_empty() {
                    return Ok((id, "unchanged"));
                }
                change(client, &item, &fields).await?;
                Ok((id, "updated"))
            }
            None => {
                fields.push(("System.Tags", &tags));
                Ok((item::make(client, self.project, self.kind, &fields).await?, "created"))
            }
        }
    }

    /// Closes it, where there is one that is not closed.
    async fn close(&self, client: &Client, settings: &Tickets) -> Result<(i64, &'static str), Refused> {
        let Some(id) = item::find(client, self.project, &self.tag).await? else { return Ok((0, "it was not there")) };
        let item = read(client, id).await?;
        if item["fields"]["System.State"] == settings.closed.as_str() {
            return Ok((id, "closed already"));
        }
        let fields = [("System.State", settings.closed.as_str()), ("System.History", "What it is about is over.")];
        change(client, &item, &fields).await?;
        Ok((id, "closed"))
    }
}

/// Names the life of a row: the rule, the key, and when it began to fire.
fn tag(arguments: &Value) -> String {
    let life = json!([arguments["rule"], arguments["key"], arguments["epoch"]]).to_string();
    format!("{OURS}-{}", hex::encode(&Sha256::digest(life.as_bytes())[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_one_life_of_a_row() {
        let of = |epoch: i64| tag(&json!({ "rule": "r", "key": [1], "epoch": epoch, "row": {"x": epoch} }));
        assert_eq!(of(5), of(5));
        assert_ne!(of(5), of(6));
        assert!(of(5).len() == 26 && of(5).starts_with("stellwerk-"), "{}", of(5));
    }
}
