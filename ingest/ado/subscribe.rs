//! The service hooks that we want, compared with those that are there: what is missing is made, what was switched off is
//! switched on, what is twice is taken away. Only what bears our mark is touched.

use engine::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cells::{path, text};
use super::client::secret::SecretRef;
use super::client::{Ask, Client, Host, Paging};

/// The user name that deliveries come with; a subscription with it is ours.
pub const MARK: &str = "stellwerk";

/// Publisher, event, resource version, and whether it is asked for project by project.
const EVENTS: &[(&str, &str, &str)] = &[
    ("tfs", "workitem.created", "1.0"),
    ("tfs", "workitem.updated", "1.0"),
    ("tfs", "workitem.commented", "1.0"),
    ("tfs", "workitem.deleted", "1.0"),
    ("tfs", "workitem.restored", "1.0"),
    ("tfs", "git.push", "1.0"),
    ("tfs", "git.pullrequest.created", "1.0"),
    ("tfs", "git.pullrequest.updated", "1.0"),
    ("tfs", "git.pullrequest.merged", "1.0"),
    ("tfs", "ms.vss-code.git-pullrequest-comment-event", "2.0"),
    ("tfs", "git.repo.created", "1.0-preview.1"),
    ("tfs", "git.repo.deleted", "1.0-preview.1"),
    ("tfs", "git.repo.forked", "1.0-preview.1"),
    ("tfs", "git.repo.renamed", "1.0-preview.1"),
    ("tfs", "git.repo.statuschanged", "1.0-preview.1"),
    ("tfs", "tfvc.checkin", "1.0"),
    ("tfs", "build.complete", "2.0"),
    ("pipelines", "ms.vss-pipelines.run-state-changed-event", "5.1-preview.1"),
    ("pipelines", "ms.vss-pipelines.stage-state-changed-event", "5.1-preview.1"),
    ("pipelines", "ms.vss-pipelines.job-state-changed-event", "5.1-preview.1"),
    ("pipelines", "ms.vss-pipelinechecks-events.approval-pending", "5.1-preview.1"),
    ("pipelines", "ms.vss-pipelinechecks-events.approval-completed", "5.1-preview.1"),
    ("rm", "ms.vss-release.release-created-event", "3.0-preview.1"),
    ("rm", "ms.vss-release.release-abandoned-event", "3.0-preview.1"),
    ("rm", "ms.vss-release.deployment-started-event", "3.0-preview.1"),
    ("rm", "ms.vss-release.deployment-completed-event", "3.0-preview.1"),
    ("rm", "ms.vss-release.deployment-approval-pending-event", "3.0-preview.1"),
    ("rm", "ms.vss-release.deployment-approval-completed-event", "3.0-preview.1"),
    ("advsec", "ms.vss-alerts.alert-created-event", "1.0"),
    ("advsec", "ms.vss-alerts.alert-state-changed-event", "1.0"),
    ("advsec", "ms.vss-alerts.alert-updated-event", "1.0"),
];

/// One difference between what is wanted and what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Missing.
    Create { event: String, project: String },
    /// Switched off, by whom the status says, or sends to another way than is wanted.
    Repair { event: String, project: String, id: String, why: String },
    /// There a second time.
    Delete { event: String, project: String, id: String },
    /// As it should be.
    Keep { event: String, project: String, id: String },
}

/// What came of one change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Done {
    #[serde(flatten)]
    pub change: Change,
    /// Why it could not be done, if it could not.
    pub failed: Option<String>,
}

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where deliveries go.
    pub to: String,
    /// The key that they bring as a password.
    pub key: SecretRef,
    /// Ids and names of projects.
    pub projects: Vec<(String, String)>,
}

/// Compares. `there` are the subscriptions as the source lists them.
pub fn plan(wanted: &Wanted, there: &[Value]) -> Vec<Change> {
    let mut changes = Vec::new();
    for (id, name) in &wanted.projects {
        for (_, event, version) in EVENTS {
            let (event, project) = ((*event).to_owned(), name.clone());
            let mut ours = there.iter().filter(|s| is_ours(s, &wanted.to) && is_of(s, &event, id));
            let number = |s: &Value| word(s, &["id"]).unwrap_or_default();
            match ours.next() {
                None => changes.push(Change::Create { event: event.clone(), project: project.clone() }),
                Some(first) => {
                    let status = word(first, &["status"]).unwrap_or_default();
                    let told = word(first, &["resourceVersion"]);
                    let details = word(first, &["consumerInputs", "resourceDetailsToSend"]);
                    let why = match (status.as_str(), told.as_deref(), details.as_deref()) {
                        ("enabled", Some(told), None | Some("all" | "")) if told == *version => None,
                        ("enabled", _, Some(some)) if !["all", ""].contains(&some) => {
                            Some(format!("sends {some} details"))
                        }
                        ("enabled", _, _) => Some("sends another resource version".to_owned()),
                        (status, _, _) => Some(format!("is {status}")),
                    };
                    let (event, project, id) = (event.clone(), project.clone(), number(first));
                    changes.push(match why {
                        None => Change::Keep { event, project, id },
                        Some(why) => Change::Repair { event, project, id, why },
                    });
                }
            }
            let second = |s: &Value| Change::Delete { event: event.clone(), project: project.clone(), id: number(s) };
            changes.extend(ours.map(second));
        }
    }
    changes
}

/// Reads, compares, and unless it is a rehearsal, changes. One that fails does not hold up the others.
pub async fn subscribe(client: &Client, wanted: &Wanted, rehearse: bool) -> Result<Vec<Done>> {
    let there = client
        .all(Ask::get(Host::Core, "_apis/hooks/subscriptions"), Paging::Whole, "value")
        .await
        .map_err(Error::from)?;
    let mut done = Vec::new();
    for change in plan(wanted, &there) {
        let failed = if rehearse { None } else { apply(client, wanted, &change).await.err().map(|e| e.to_string()) };
        done.push(Done { change, failed });
    }
    Ok(done)
}

/// All projects of the organization, or those named.
pub async fn projects(client: &Client, named: &[String]) -> Result<Vec<(String, String)>> {
    let ask = Ask::get(Host::Core, "_apis/projects");
    let found =
        client.all(ask, Paging::Skip { skip: "$skip", top: "$top", size: 100 }, "value").await.map_err(Error::from)?;
    let found: Vec<(String, String)> =
        found.iter().filter_map(|p| Some((word(p, &["id"])?, word(p, &["name"])?))).collect();
    if let Some(name) = named.iter().find(|name| !found.iter().any(|(_, p)| p.eq_ignore_ascii_case(name))) {
        return Err(Error::invalid(format!(
            "the organization {} has no project {name}, or hides it",
            client.organization()
        )));
    }
    let asked = |(_, p): &(String, String)| named.is_empty() || named.iter().any(|name| p.eq_ignore_ascii_case(name));
    Ok(found.into_iter().filter(asked).collect())
}

async fn apply(client: &Client, wanted: &Wanted, change: &Change) -> Result<()> {
    let at = |id: &str| format!("_apis/hooks/subscriptions/{}", super::client::segment(id));
    let ask = match change {
        Change::Keep { .. } => return Ok(()),
        Change::Create { event, project } => {
            Ask::post(Host::Core, "_apis/hooks/subscriptions", body(wanted, event, project, None)?)
        }
        Change::Repair { event, project, id, .. } => Ask {
            method: reqwest::Method::PUT,
            ..Ask::post(Host::Core, at(id), body(wanted, event, project, Some(id))?)
        },
        Change::Delete { id, .. } => Ask { method: reqwest::Method::DELETE, ..Ask::get(Host::Core, at(id)) },
    };
    client.ask(&ask).await.map(drop).map_err(Error::from)
}

fn body(wanted: &Wanted, event: &str, project: &str, id: Option<&str>) -> Result<Value> {
    let unknown = || Error::invalid(format!("{event} is no event that is wanted"));
    let (publisher, _, version) = EVENTS.iter().find(|(_, kind, _)| *kind == event).ok_or_else(unknown)?;
    let of = wanted.projects.iter().find(|(_, name)| name == project).map(|(id, _)| id.as_str()).unwrap_or_default();
    let mut body = json!({
        "publisherId": publisher,
        "eventType": event,
        "resourceVersion": version,
        "consumerId": "webHooks",
        "consumerActionId": "httpRequest",
        "publisherInputs": {"projectId": of},
        "consumerInputs": {
            "url": wanted.to,
            "basicAuthUsername": MARK,
            "basicAuthPassword": wanted.key.read()?,
            "resourceDetailsToSend": "all",
            "messagesToSend": "none",
            "detailedMessagesToSend": "none",
        },
        "status": "enabled",
    });
    if let Some(id) = id {
        body["id"] = json!(id);
    }
    Ok(body)
}

fn is_ours(subscription: &Value, to: &str) -> bool {
    word(subscription, &["consumerInputs", "url"]).as_deref() == Some(to)
        && word(subscription, &["consumerInputs", "basicAuthUsername"]).as_deref() == Some(MARK)
}

fn is_of(subscription: &Value, event: &str, project: &str) -> bool {
    word(subscription, &["eventType"]).as_deref() == Some(event)
        && word(subscription, &["publisherInputs", "projectId"]).as_deref() == Some(project)
}

fn word(value: &Value, names: &[&str]) -> Option<String> {
    path(value, names).and_then(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_planned() {
        let wanted = Wanted {
            to: "https://hooks.example/hooks/ado".to_owned(),
            key: "env:KEY".parse().unwrap(),
            projects: vec![("p1".to_owned(), "Fabrikam".to_owned())],
        };
        let one = |id: &str, event: &str, version: &str, status: &str, user: &str| {
            json!({"id": id, "eventType": event, "resourceVersion": version, "status": status, "publisherInputs": {"projectId": "p1"},
                "consumerInputs": {"url": "https://hooks.example/hooks/ado", "basicAuthUsername": user, "resourceDetailsToSend": "all"}})
        };
        let there = [
            one("keep", "git.push", "1.0", "enabled", MARK),
            one("twice", "git.push", "1.0", "enabled", MARK),
            one("tired", "build.complete", "2.0", "onProbation", MARK),
            one("old", "tfvc.checkin", "0.9", "enabled", MARK),
            one("theirs", "workitem.created", "1.0", "enabled", "somebody"),
        ];
        let changes = plan(&wanted, &there);
        let of = |event: &str| -> Vec<&Change> {
            changes.iter().filter(|c| json!(c)["event"].as_str() == Some(event)).collect()
        };
        assert!(matches!(of("git.push")[..], [Change::Keep { .. }, Change::Delete { .. }]));
        assert!(matches!(of("build.complete")[..], [Change::Repair { .. }]));
        assert!(matches!(of("tfvc.checkin")[..], [Change::Repair { .. }]));
        assert!(matches!(of("workitem.created")[..], [Change::Create { .. }]));
        assert_eq!(changes.len(), EVENTS.len() + 1);
    }
}
