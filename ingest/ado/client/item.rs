//! Work items that are made and commented at most once: what is ours bears a mark, and is looked for before it is made.

use serde_json::{Value, json};

use super::{Ask, Client, Host, Refused, segment};

/// What a change of a work item comes as.
const PATCH: &str = "application/json-patch+json";
/// Characters of a title that the source takes.
const TITLE_CHARS_MAX: usize = 255;
/// The version of comments, still in preview.
const COMMENTS_API: &str = "7.1-preview.4";

/// A work item that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The project, by name or id.
    pub project: &'a str,
    /// Its type, such as `Task`.
    pub kind: &'a str,
    /// Its title.
    pub title: &'a str,
    /// Its description.
    pub text: &'a str,
    /// A tag that only this one bears.
    pub mark: &'a str,
}

/// The work item of a number; `Gone` where there is none.
pub async fn read(client: &Client, id: i64) -> Result<Value, Refused> {
    Ok(client.ask(&Ask::get(Host::Core, format!("_apis/wit/workitems/{id}"))).await?.body)
}

/// The oldest work item that bears a mark.
pub async fn find(client: &Client, project: &str, mark: &str) -> Result<Option<i64>, Refused> {
    let query = format!(
        "SELECT [System.Id] FROM WorkItems WHERE [System.TeamProject] = '{}' AND [System.Tags] CONTAINS '{}' ORDER BY [System.Id]",
        project.replace('\'', "''"),
        mark.replace('\'', "''"),
    );
    let ask = Ask::post(Host::Core, "_apis/wit/wiql", json!({ "query": query })).with("$top", "1");
    let answer = client.ask(&ask).await?;
    Ok(answer.items("workItems").first().and_then(|item| item["id"].as_i64()))
}

/// Sees to it that there is one; its number.
pub async fn keep(client: &Client, wanted: &Wanted<'_>) -> Result<i64, Refused> {
    if let Some(id) = find(client, wanted.project, wanted.mark).await? {
        return Ok(id);
    }
    let title: String = wanted.title.chars().take(TITLE_CHARS_MAX).collect();
    let fields = [("System.Title", title.as_str()), ("System.Description", wanted.text), ("System.Tags", wanted.mark)];
    let add = |(name, value): &(&str, &str)| json!({ "op": "add", "path": format!("/fields/{name}"), "value": value });
    let at = format!("{}/_apis/wit/workitems/${}", segment(wanted.project), segment(wanted.kind));
    let ask = Ask::post(Host::Core, at, Value::Array(fields.iter().map(add).collect())).once();
    let made = client.ask(&Ask { content_type: PATCH, ..ask }).await?;
    made.body["id"].as_i64().ok_or_else(|| Refused::Broken {
        doing: "write a work item".to_owned(),
        words: "the answer names no id".to_owned(),
    })
}

/// Sees to it that a work item has a comment that bears the mark.
pub async fn comment(client: &Client, project: &str, id: i64, text: &str, mark: &str) -> Result<(), Refused> {
    let at = format!("{}/_apis/wit/workItems/{id}/comments", segment(project));
    let there = Ask::get(Host::Core, at.as_str()).api(COMMENTS_API).with("$top", "200").with("order", "desc");
    let answer = client.ask(&there).await?;
    let ours = |comment: &Value| comment["text"].as_str().is_some_and(|text| text.contains(mark));
    if answer.items("comments").iter().any(ours) {
        return Ok(());
    }
    let body = json!({ "text": format!("{text}\n\n({mark})") });
    client.ask(&Ask::post(Host::Core, at, body).api(COMMENTS_API).once()).await.map(|_| ())
}
