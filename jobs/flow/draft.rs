//! *Ticket, branch, change, commit, draft pull request*: somebody's wish becomes a change that people look at. Whatever
//! happens in between, there is one of each afterwards, or none and a comment that says why.

use engine::{Error, Kind, Result};
use ingest::ado::client::{item, pull_request};
use ingest::git::change::{Commit, file_path};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::forge::{Forge, Forges};
use super::hands::Call;
use super::{Act, Flow, Known, RETRY, Step};
use crate::actions::{Effect, Kind as Type, Parameter};

const fn text(name: &'static str, doc: &'static str) -> Parameter {
    Parameter { name, kind: Type::Text, optional: false, doc }
}

/// A change of one file, as a draft that people look at.
pub static DRAFT_PULL_REQUEST: Flow = Flow {
    name: "draft_pull_request",
    doc: "Makes a ticket (or takes one that is there), a branch, a change of a file, a commit, and a draft pull request.",
    parameters: &[
        text("repository", "Name of the repository in the settings of actions."),
        text("title", "What is changed: title of ticket, commit and pull request."),
        text("path", "The file that is changed, within the repository."),
        text("content", "What the file holds afterwards."),
        Parameter { optional: true, ..text("description", "Why it is changed.") },
        Parameter {
            kind: Type::Number,
            optional: true,
            ..text("work_item", "The ticket, where there is one already.")
        },
    ],
    steps: &[
        Step {
            name: "ticket",
            doc: "There is a work item for it.",
            act: natural(ticket_input),
            retry: RETRY,
            undo: Some(undo_ticket),
        },
        Step {
            name: "branch",
            doc: "There is a branch of its own where the target stands.",
            act: natural(branch_input),
            retry: RETRY,
            undo: Some(undo_branch),
        },
        Step { name: "change", doc: "The file is changed.", act: natural(change_input), retry: RETRY, undo: None },
        Step {
            name: "commit",
            doc: "The branch holds the change.",
            act: natural(commit_input),
            retry: RETRY,
            undo: None,
        },
        Step {
            name: "pull_request",
            doc: "There is a draft pull request for it.",
            act: natural(pull_input),
            retry: RETRY,
            undo: Some(undo_pull),
        },
    ],
};

const fn natural(input: super::Make) -> Act {
    Act::Call { effect: Effect::Natural, input }
}

/// Names the flow and its round among everything of its repository: the same at every attempt.
fn mark(known: &Known<'_>) -> String {
    let named = format!("{}@{}", known.dedupe, known.round);
    format!("stellwerk-{}", hex::encode(&Sha256::digest(named.as_bytes())[..8]))
}

fn branch(known: &Known<'_>) -> Result<String, String> {
    let item = known.output("ticket")["id"].as_i64().ok_or("the ticket has no number")?;
    Ok(format!("stellwerk/{item}-{}", mark(known).trim_start_matches("stellwerk-")))
}

fn ticket_input(known: &Known<'_>) -> Result<Value, String> {
    file_path(known.text("path")?).map_err(|e| e.to_string())?;
    let description = known.input["description"].as_str().unwrap_or_default();
    Ok(json!({
        "repository": known.text("repository")?, "title": known.text("title")?, "description": description,
        "work_item": known.input["work_item"], "mark": mark(known),
    }))
}

fn undo_ticket(known: &Known<'_>) -> Result<Value, String> {
    Ok(json!({
        "do": "comment_ticket", "repository": known.text("repository")?, "work_item": known.input["work_item"], "mark": mark(known),
    }))
}

fn branch_input(known: &Known<'_>) -> Result<Value, String> {
    Ok(json!({ "repository": known.text("repository")?, "branch": branch(known)? }))
}

fn undo_branch(known: &Known<'_>) -> Result<Value, String> {
    Ok(json!({ "do": "delete_branch", "repository": known.text("repository")?, "branch": branch(known)? }))
}

fn change_input(known: &Known<'_>) -> Result<Value, String> {
    let base = known.output("branch")["base"].as_str().ok_or("the branch has no commit")?;
    Ok(json!({
        "repository": known.text("repository")?, "base": base, "path": known.text("path")?, "content": known.text("content")?,
    }))
}

fn commit_input(known: &Known<'_>) -> Result<Value, String> {
    let item = known.output("ticket")["id"].as_i64().ok_or("the ticket has no number")?;
    let description = known.input["description"].as_str().unwrap_or_default();
    // Azure DevOps links a commit to the work item that it names.
    let message = format!("{}\n\n{description}\n\n#{item}\n", known.text("title")?);
    let mut input = change_input(known)?;
    input["branch"] = branch(known)?.into();
    input["tree"] = known.output("change")["tree"].clone();
    input["message"] = message.into();
    Ok(input)
}

fn pull_input(known: &Known<'_>) -> Result<Value, String> {
    let item = known.output("ticket")["id"].as_i64().ok_or("the ticket has no number")?;
    Ok(json!({
        "repository": known.text("repository")?, "branch": branch(known)?, "title": known.text("title")?, "item": item,
        "description": known.input["description"].as_str().unwrap_or_default(),
    }))
}

fn undo_pull(known: &Known<'_>) -> Result<Value, String> {
    Ok(json!({ "do": "abandon_pull_request", "repository": known.text("repository")?, "branch": branch(known)? }))
}

/// One attempt of a step: whom it reached, and what it came to.
pub async fn act(forges: &Forges, call: &Call) -> Result<(String, Value)> {
    let forge = forges.open(said(call, "repository")?).await?;
    let done = match (call.step.as_str(), call.undo) {
        ("ticket", false) => forge.ticket(call).await,
        ("ticket", true) => forge.comment_ticket(call).await,
        ("branch", false) => forge.branch(call).await,
        ("branch", true) => {
            let gone = forge.place.delete_branch(said(call, "branch")?, &forge.repository.target).await?;
            Ok(json!({ "deleted": gone }))
        }
        ("change", false) => forge.change(call).await,
        ("commit", false) => forge.commit(call).await,
        ("pull_request", false) => forge.pull_request(call).await,
        ("pull_request", true) => {
            let (project, repository) = (&forge.repository.project, &forge.repository.repository);
            let ours = said(call, "branch")?;
            pull_request::abandon(&forge.client, project, repository, ours)
                .await
                .map(|()| json!({}))
                .map_err(Error::from)
        }
        (other, _) => Err(Error::invalid(format!("the flow {} has no step {other}", call.flow))),
    };
    Ok((format!("repository {}", said(call, "repository")?), done?))
}

fn said<'a>(call: &'a Call, name: &str) -> Result<&'a str> {
    let lacks = || Error::invalid(format!("the step {} was made without {name}", call.step));
    call.input[name].as_str().ok_or_else(lacks)
}

impl Forge {
    async fn ticket(&self, call: &Call) -> Result<Value> {
        let id = match call.input["work_item"].as_i64() {
            Some(id) => {
                item::read(&self.client, id).await?;
                id
            }
            None => {
                let wanted = item::Wanted {
                    project: &self.repository.project,
                    kind: &self.repository.item_type,
                    title: said(call, "title")?,
                    text: said(call, "description")?,
                    mark: said(call, "mark")?,
                };
                item::keep(&self.client, &wanted).await?
            }
        };
        Ok(json!({ "id": id }))
    }

    /// Says in the ticket that nothing came of it, and why.
    async fn comment_ticket(&self, call: &Call) -> Result<Value> {
        let project = &self.repository.project;
        let known = call.output.as_ref().and_then(|output| output["id"].as_i64());
        let id = match known.or_else(|| call.input["work_item"].as_i64()) {
            Some(id) => Some(id),
            None => item::find(&self.client, project, said(call, "mark")?).await?,
        };
        // Where nobody knows whether it was made, and it is not there, there is nothing to say.
        let Some(id) = id else { return Ok(json!({})) };
        let reason = call.reason.as_deref().unwrap_or("it was cancelled");
        let text = format!("The change was not made, and what was begun is taken back: {reason}.");
        item::comment(&self.client, project, id, &text, said(call, "mark")?).await?;
        Ok(json!({ "id": id }))
    }

    async fn branch(&self, call: &Call) -> Result<Value> {
        let name = said(call, "branch")?;
        let target = &self.repository.target;
        let head = self.place.fetch(target).await?;
        // Only this flow has a branch of this name: where it stands already, an earlier attempt put it.
        let base = match self.place.stands(name).await? {
            Some(stands) => stands,
            None => self.place.put_branch(name, &head).await?,
        };
        Ok(json!({ "branch": name, "base": base }))
    }

    async fn change(&self, call: &Call) -> Result<Value> {
        let (path, tree) = (said(call, "path")?, self.tree(call).await?);
        Ok(json!({ "tree": tree, "path": path }))
    }

    /// The files of the base with the change.
    async fn tree(&self, call: &Call) -> Result<String> {
        let (base, path) = (said(call, "base")?, said(call, "path")?);
        // The copy may be another one than at the step before.
        self.place.fetch(&self.repository.target).await?;
        let files = [(path.to_owned(), said(call, "content")?.to_owned())];
        let tree = self.place.tree(base, &files).await?;
        let same =
            || Error::new(Kind::Invalid, format!("{path} holds what it should already: there is nothing to change"));
        tree.ok_or_else(same)
    }

    async fn commit(&self, call: &Call) -> Result<Value> {
        let (base, name) = (said(call, "base")?, said(call, "branch")?);
        let tree = self.tree(call).await?;
        if call.input["tree"].as_str() != Some(&tree) {
            return Err(Error::new(Kind::Conflict, "the change is not the one that was looked at"));
        }
        let at_s = call.began_us / 1_000_000;
        let commit = Commit { base, tree: &tree, message: said(call, "message")?, at_s };
        let id = self.place.commit(&commit).await?;
        self.place.move_branch(name, base, &id).await?;
        Ok(json!({ "commit": id, "branch": name }))
    }

    async fn pull_request(&self, call: &Call) -> Result<Value> {
        let wanted = pull_request::Wanted {
            project: &self.repository.project,
            repository: &self.repository.repository,
            branch: said(call, "branch")?,
            target: &self.repository.target,
            title: said(call, "title")?,
            text: said(call, "description")?,
            item: call.input["item"].as_i64(),
        };
        let pull = pull_request::keep_draft(&self.client, &wanted).await?;
        let id = pull["pullRequestId"].as_i64();
        let id = id.ok_or_else(|| Error::new(Kind::Unavailable, "the answer names no pull request"))?;
        Ok(json!({ "pull_request": id, "status": pull["status"], "branch": wanted.branch, "work_item": wanted.item }))
    }
}
