//! Pull requests that are opened at most once: of a branch that only one flow has there is only one.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, Client, Host, Refused, segment};

/// A pull request that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The project, by name or id.
    pub project: &'a str,
    /// The repository, by name or id.
    pub repository: &'a str,
    /// The branch with the change, without `refs/heads/`.
    pub branch: &'a str,
    /// The branch that it goes to.
    pub target: &'a str,
    /// Its title.
    pub title: &'a str,
    /// Its description.
    pub text: &'a str,
    /// The work item that it belongs to.
    pub item: Option<i64>,
}

fn place(project: &str, repository: &str) -> String {
    format!("{}/_apis/git/repositories/{}/pullrequests", segment(project), segment(repository))
}

/// The newest pull request of a branch, open or not.
pub async fn find(client: &Client, project: &str, repository: &str, branch: &str) -> Result<Option<Value>, Refused> {
    let ask = Ask::get(Host::Core, place(project, repository))
        .with("searchCriteria.sourceRefName", format!("refs/heads/{branch}"))
        .with("searchCriteria.status", "all")
        .with("$top", "10");
    let answer = client.ask(&ask).await?;
    // A source that does not know the criterion answers with others'.
    let source = format!("refs/heads/{branch}");
    let ours = answer.items("value").iter().filter(|pull| pull["sourceRefName"] == source.as_str());
    Ok(ours.max_by_key(|pull| pull["pullRequestId"].as_i64()).cloned())
}

/// Sees to it that there is a draft; what it is.
pub async fn keep_draft(client: &Client, wanted: &Wanted<'_>) -> Result<Value, Refused> {
    if let Some(there) = find(client, wanted.project, wanted.repository, wanted.branch).await? {
        return Ok(there);
    }
    let items: Vec<Value> = wanted.item.iter().map(|id| json!({ "id": id.to_string() })).collect();
    let body = json!({
        "sourceRefName": format!("refs/heads/{}", wanted.branch), "targetRefName": format!("refs/heads/{}", wanted.target),
        "title": wanted.title, "description": wanted.text, "isDraft": true, "workItemRefs": items,
    });
    let made = client.ask(&Ask::post(Host::Core, place(wanted.project, wanted.repository), body).once()).await;
    match made {
        Ok(answer) => Ok(answer.body),
        // There is an active one of this branch, which the list did not tell of yet.
        Err(refused @ Refused::Invalid { status: 409, .. }) => {
            let there = find(client, wanted.project, wanted.repository, wanted.branch).await?;
            there.ok_or(refused)
        }
        Err(refused) => Err(refused),
    }
}

/// Sees to it that no pull request of a branch is open.
pub async fn abandon(client: &Client, project: &str, repository: &str, branch: &str) -> Result<(), Refused> {
    let Some(there) = find(client, project, repository, branch).await? else { return Ok(()) };
    let id = there["pullRequestId"].as_i64().unwrap_or(0);
    if there["status"] != "active" {
        return Ok(());
    }
    let ask = Ask::post(Host::Core, format!("{}/{id}", place(project, repository)), json!({ "status": "abandoned" }));
    client.ask(&Ask { method: Method::PATCH, ..ask }).await.map(|_| ())
}
