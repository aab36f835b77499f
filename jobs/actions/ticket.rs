//! `ticket`: one work item of Azure DevOps for as long as a row fires. A tag that follows from the row's life tells it, so
//! that a second attempt finds what the first one made, and everything is said as a state, never as one more comment.

use ingest::ado::client::{Ask, Client, Credential, Host, Hosts, Refused, WallTime, segment};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

use super::settings::Tickets;
use super::world::{World, ended, failed, given, said, with};
use crate::queue::{Claimed, Ended};

/// The tag of everything that rules made.
const OURS: &str = "stellwerk";
/// What a change of a work item comes as.
const PATCH: &str = "application/json-patch+json";
/// Characters of a title that Azure DevOps takes.
const TITLE_CHARS: usize = 255;

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
        let title: String = with(job, "title").chars().take(TITLE_CHARS).collect();
        let text = format!("{}\n\nrule {}", with(job, "text"), said(&job.arguments, "rule"));
        let kind = given(job, "type").unwrap_or(&settings.kind);
        Ticket { project: with(job, "project"), title, text: html(text.trim()), kind, tag: tag(&job.arguments) }
    }

    /// Sees to it that there is one, and that it says what it should.
    async fn keep(&self, client: &Client) -> Result<(i64, &'static str), Refused> {
        let tags = format!("{OURS}; {}", self.tag);
        let mut fields = vec![("System.Title", self.title.as_str()), ("System.Description", self.text.as_str())];
        match self.find(client).await? {
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
                let at = format!("{}/_apis/wit/workitems/${}", segment(self.project), segment(self.kind));
                // Were its answer lost, a second one would be a second work item: the next attempt looks first.
                let ask = Ask { content_type: PATCH, tries: 1, ..Ask::post(Host::Core, at, patch(&fields)) };
                let made = client.ask(&ask).await?;
                Ok((made.body["id"].as_i64().unwrap_or(0), "created"))
            }
        }
    }

    /// Closes it, where there is one that is not closed.
    async fn close(&self, client: &Client, settings: &Tickets) -> Result<(i64, &'static str), Refused> {
        let Some(id) = self.find(client).await? else { return Ok((0, "it was not there")) };
        let item = read(client, id).await?;
        if item["fields"]["System.State"] == settings.closed.as_str() {
            return Ok((id, "closed already"));
        }
        let fields = [("System.State", settings.closed.as_str()), ("System.History", "What it is about is over.")];
        change(client, &item, &fields).await?;
        Ok((id, "closed"))
    }

    /// The oldest work item with our tag.
    async fn find(&self, client: &Client) -> Result<Option<i64>, Refused> {
        let query = format!(
            "SELECT [System.Id] FROM WorkItems WHERE [System.TeamProject] = '{}' AND [System.Tags] CONTAINS '{}' ORDER BY [System.Id]",
            self.project.replace('\'', "''"),
            self.tag
        );
        let ask = Ask::post(Host::Core, "_apis/wit/wiql", json!({ "query": query })).with("$top", "1");
        let answer = client.ask(&ask).await?;
        Ok(answer.items("workItems").first().and_then(|item| item["id"].as_i64()))
    }
}

/// Names the life of a row: the rule, the key, and when it began to fire.
fn tag(arguments: &Value) -> String {
    let life = json!([arguments["rule"], arguments["key"], arguments["epoch"]]).to_string();
    format!("{OURS}-{}", hex::encode(&Sha256::digest(life.as_bytes())[..8]))
}

/// A work item as it is.
pub(super) async fn read(client: &Client, id: i64) -> Result<Value, Refused> {
    Ok(client.ask(&Ask::get(Host::Core, format!("_apis/wit/workitems/{id}"))).await?.body)
}

/// Changes fields of a work item, if nobody changed it since it was read.
pub(super) async fn change(client: &Client, item: &Value, fields: &[(&str, &str)]) -> Result<(), Refused> {
    let mut operations = vec![json!({ "op": "test", "path": "/rev", "value": item["rev"] })];
    operations.extend(patch(fields).as_array().cloned().unwrap_or_default());
    let at = format!("_apis/wit/workitems/{}", item["id"]);
    let ask = Ask::post(Host::Core, at, Value::Array(operations));
    client.ask(&Ask { method: Method::PATCH, content_type: PATCH, ..ask }).await.map(|_| ())
}

fn patch(fields: &[(&str, &str)]) -> Value {
    let add = |(name, value): &(&str, &str)| json!({ "op": "add", "path": format!("/fields/{name}"), "value": value });
    Value::Array(fields.iter().map(add).collect())
}

/// A description is HTML; what rows say is text in it.
fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('\n', "<br>")
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

    #[test]
    fn what_rows_say_is_no_markup() {
        assert_eq!(html("<img src=x>\n&"), "&lt;img src=x&gt;<br>&amp;");
    }
}
