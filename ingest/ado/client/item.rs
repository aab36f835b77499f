//! Work items that are made and commented at most once: what is ours bears a mark, and is looked for before it is made.

use reqwest::Method;
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
    /// Its description, as text.
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
    let (title, text) = (title(wanted.title), html(wanted.text));
    let fields = [("System.Title", title.as_str()), ("System.Description", &text), ("System.Tags", wanted.mark)];
    make(client, wanted.project, wanted.kind, &fields).await
}

/// Makes one of these fields; its number. Were the answer lost, a second one would be a second work item: it is sent once, and
/// the next attempt looks first.
pub async fn make(client: &Client, project: &str, kind: &str, fields: &[(&str, &str)]) -> Result<i64, Refused> {
    let at = format!("{}/_apis/wit/workitems/${}", segment(project), segment(kind));
    let ask = Ask::post(Host::Core, at, Value::Array(added(fields).collect())).once();
    let made = client.ask(&Ask { content_type: PATCH, ..ask }).await?;
    made.body["id"].as_i64().ok_or_else(|| Refused::Broken {
        doing: "write a work item".to_owned(),
        words: "the answer names no id".to_owned(),
    })
}

/// Changes fields of a work item, if nobody changed it since it was read.
pub async fn change(client: &Client, item: &Value, fields: &[(&str, &str)]) -> Result<(), Refused> {
    let test = json!({ "op": "test", "path": "/rev", "value": item["rev"] });
    let operations = std::iter::once(test).chain(added(fields)).collect();
    let ask = Ask::post(Host::Core, format!("_apis/wit/workitems/{}", item["id"]), Value::Array(operations));
    client.ask(&Ask { method: Method::PATCH, content_type: PATCH, ..ask }).await.map(|_| ())
}

fn added<'a>(fields: &'a [(&str, &str)]) -> impl Iterator<Item = Value> + 'a {
    fields.iter().map(|(name, value)| json!({ "op": "add", "path": format!("/fields/{name}"), "value": value }))
}

/// A title as long as the source takes it.
pub fn title(text: &str) -> String {
    text.chars().take(TITLE_CHARS_MAX).collect()
}

/// A description is HTML; what others say is text in it.
pub fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('\n', "<br>")
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

#[cfg(test)]
mod tests {
    #[test]
    fn what_others_say_is_no_markup() {
        assert_eq!(super::html("<img src=x>\n&"), "&lt;img src=x&gt;<br>&amp;");
    }
}
