//! `ado_event`: every service-hook event, whole.

use engine::{Column, Index, Rows, Table, Type, Value as Cell};
use serde_json::Value;

use super::cells::{Identity, identity, int, member, organization, path, text, time};
use super::origin::Origin;
use super::shape::without_secrets;
use crate::json::Reason;

/// Events of service hooks.
pub static ADO_EVENT: Table = Table {
    key: &["delivery"],
    time: "created_date",
    indexes: &[Index::BTree("event_id")],
    ..Table::new(
        "ado_event",
        "Every Azure DevOps service-hook event as it came, of every type. Work items, pull requests, pushes and builds have tables of their own beside it.",
        &[
            Column::new("tenant", Type::Name, "Tenant whose credential sent the event.").required(),
            Column::new("delivery", Type::Text, "Identity of the delivery: subscription, event, notification and hash of the body. A repeated delivery is the same row.").required(),
            Column::new("event_type", Type::Name, "Type of the event (`git.push`).").required(),
            Column::new("publisher_id", Type::Name, "Publisher (`tfs`, `pipelines`, `rm`, `advsec`)."),
            Column::new("event_id", Type::Text, "Id of the event; several subscriptions may deliver the same."),
            Column::new("notification_id", Type::Int, "Number of the notification within its subscription."),
            Column::new("subscription_id", Type::Text, "Subscription that delivered it."),
            Column::new("resource_version", Type::Name, "Version of the resource's form."),
            Column::new("organization", Type::Name, "Organization's name from its URLs, else the collection's id."),
            Column::new("collection_id", Type::Text, "Id of the collection."),
            Column::new("collection_url", Type::Text, "Base URL of the collection."),
            Column::new("project_id", Type::Text, "Id of the project."),
            Column::new("project", Type::Name, "Name of the project."),
            Column::new("resource_type", Type::Name, "What it is about: `workitem`, `pullrequest`, `push`, `build`, `run`, `repository` …"),
            Column::new("resource_id", Type::Text, "Its number or id."),
            Column::new("resource_url", Type::Text, "Its REST address."),
            Column::new("actor", Type::Text, "Display name of who did it, where the event says so."),
            Column::new("actor_unique_name", Type::Text, "Unique name of who did it."),
            Column::new("message", Type::Text, "The event in one sentence."),
            Column::new("detailed_message", Type::Text, "The event in several lines."),
            Column::new("created_date", Type::Time, "When the event was made."),
            Column::new("resource", Type::Json, "The resource as the event carries it."),
            Column::new("body", Type::Json, "The whole event."),
        ],
    )
};

/// An event with what every type has in common.
#[derive(Debug)]
pub struct Event<'a> {
    /// The whole body.
    pub body: &'a Value,
    /// The resource, or null.
    pub resource: &'a Value,
    pub event_type: String,
    pub event_id: Option<String>,
    pub subscription_id: Option<String>,
    pub notification_id: Option<i64>,
    /// Name or id; empty if nothing tells it.
    pub organization: String,
    pub project_id: Option<String>,
    pub project: Option<String>,
}

impl<'a> Event<'a> {
    /// Reads the envelope; refuses what is no event.
    pub fn read(body: &'a Value) -> Result<Event<'a>, Reason> {
        if !body.is_object() {
            return Err("not an event: no JSON object".to_owned());
        }
        // One documented event calls its type eventId.
        let event_type = member(body, "eventType").or_else(|| member(body, "eventId")).and_then(Value::as_str);
        let event_type = event_type.filter(|t| !t.is_empty()).ok_or("not an event: eventType is missing")?;
        let resource = member(body, "resource").unwrap_or(&Value::Null);
        let word = |names: &[&str]| path(body, names).and_then(text);
        Ok(Event {
            body,
            resource,
            event_type: event_type.to_owned(),
            event_id: word(&["id"]),
            subscription_id: word(&["subscriptionId"]),
            notification_id: path(body, &["notificationId"]).and_then(int),
            organization: find_organization(body, resource),
            project_id: word(&["resourceContainers", "project", "id"]).or_else(|| find_project(resource, "id")),
            project: team_project(resource).or_else(|| find_project(resource, "name")),
        })
    }

    /// A text of the resource.
    pub fn text(&self, names: &[&str]) -> Option<String> {
        path(self.resource, names).and_then(text)
    }

    /// Where its resource was told of.
    pub fn origin(&self, tenant: &str) -> Origin {
        Origin {
            tenant: tenant.to_owned(),
            organization: self.organization.clone(),
            project_id: self.project_id.clone(),
            project: self.project.clone(),
            version: path(self.body, &["createdDate"]).and_then(time),
        }
    }

    /// Adds the event's row.
    pub fn write(&self, tenant: &str, delivery: &str, rows: &mut Rows) -> Result<(), Reason> {
        let word = |names: &[&str]| path(self.body, names).and_then(text);
        let message = |name: &str| word(&[name, "text"]).or_else(|| word(&[name]));
        let (resource_type, resource_id) = self.subject();
        let actor = self.actor();
        self.origin(tenant).set(rows);
        rows.set("delivery", delivery)
            .set("event_type", self.event_type.as_str())
            .set("publisher_id", word(&["publisherId"]))
            .set("event_id", self.event_id.clone())
            .set("notification_id", self.notification_id)
            .set("subscription_id", self.subscription_id.clone())
            .set("resource_version", word(&["resourceVersion"]))
            .set("collection_id", word(&["resourceContainers", "collection", "id"]))
            .set("collection_url", word(&["resourceContainers", "collection", "baseUrl"]))
            .set("resource_type", resource_type)
            .set("resource_id", resource_id)
            .set("resource_url", self.url())
            .set("actor", actor.display_name)
            .set("actor_unique_name", actor.unique_name)
            .set("message", message("message"))
            .set("detailed_message", message("detailedMessage"))
            .set("created_date", path(self.body, &["createdDate"]).and_then(time).map(Cell::Time))
            .set("resource", (!self.resource.is_null()).then(|| without_secrets(self.resource).to_string()))
            .set("body", without_secrets(self.body).to_string());
        rows.end_row().map_err(|e| e.to_string())
    }

    /// What the event is about, and its id.
    fn subject(&self) -> (String, Option<String>) {
        let kind = self.event_type.as_str();
        let (subject, ids): (&str, &[&[&str]]) = match kind {
            _ if kind.starts_with("workitem.") => ("workitem", &[&["revision", "id"], &["workItemId"], &["id"]]),
            _ if kind.contains("pullrequest") => {
                ("pullrequest", &[&["pullRequestId"], &["pullRequest", "pullRequestId"]])
            }
            "git.push" => ("push", &[&["pushId"]]),
            "tfvc.checkin" => ("changeset", &[&["changesetId"]]),
            "build.complete" => ("build", &[&["id"]]),
            _ if kind.starts_with("git.repo.") => {
                ("repository", &[&["repository", "id"], &["repositoryId"], &["targetRepository", "id"]])
            }
            _ if kind.contains("run-state") => ("run", &[&["run", "id"]]),
            _ if kind.contains("stage-state") => ("stage", &[&["stage", "id"]]),
            _ if kind.contains("job-state") => ("job", &[&["job", "id"]]),
            _ if kind.contains("approval") => ("approval", &[&["approval", "id"], &["id"]]),
            _ if kind.contains(".deployment-") => ("deployment", &[&["deployment", "id"], &["environment", "id"]]),
            _ if kind.contains(".release-") => ("release", &[&["release", "id"]]),
            _ if kind.contains("-alerts.") => ("alert", &[&["alertId"]]),
            _ if kind.contains("endpoint") => ("endpoint", &[&["id"]]),
            _ => (
                kind.split('.').next().unwrap_or(kind),
                &[&["id"], &["queueId"], &["poolId"], &["manualIntervention", "id"]],
            ),
        };
        (subject.to_owned(), ids.iter().find_map(|names| self.text(names)).filter(|id| id != "0"))
    }

    fn url(&self) -> Option<String> {
        let places: [&[&str]; 6] = [
            &["url"],
            &["pullRequest", "url"],
            &["repository", "url"],
            &["run", "url"],
            &["release", "url"],
            &["_links", "self", "href"],
        ];
        places.iter().find_map(|names| self.text(names))
    }

    fn actor(&self) -> Identity {
        const PLACES: [&[&str]; 15] = [
            &["revisedBy"],
            &["initiatedBy"],
            &["pushedBy"],
            &["checkedInBy"],
            &["postedBy"],
            &["comment", "author"],
            &["requestedFor"],
            &["fields", "System.ChangedBy", "newValue"],
            &["fields", "System.ChangedBy"],
            &["revision", "fields", "System.ChangedBy"],
            &["approval", "approvedBy"],
            &["release", "modifiedBy"],
            &["release", "createdBy"],
            &["deployment", "requestedFor"],
            &["lastChangedBy"],
        ];
        let created = self.event_type.ends_with(".created").then(|| path(self.resource, &["createdBy"])).flatten();
        let places = PLACES.iter().filter_map(|names| path(self.resource, names));
        let mut found = created.into_iter().chain(places).map(identity);
        found.find(|who| who.display_name.is_some() || who.unique_name.is_some()).unwrap_or_default()
    }
}

/// The first URL that tells the organization, else the collection's or account's id. Only addresses of the organization
/// itself are asked: a repository may lie elsewhere.
fn find_organization(body: &Value, resource: &Value) -> String {
    let containers =
        ["collection", "account", "project"].map(|name| path(body, &["resourceContainers", name, "baseUrl"]));
    const PLACES: [&[&str]; 9] = [
        &["url"],
        &["_links", "self", "href"],
        &["repository", "url"],
        &["repository", "remoteUrl"],
        &["pullRequest", "repository", "url"],
        &["run", "url"],
        &["run", "pipeline", "url"],
        &["pipeline", "url"],
        &["release", "_links", "self", "href"],
    ];
    let resources = PLACES.iter().map(|names| path(resource, names));
    let urls = containers.into_iter().chain(resources).flatten();
    let named = urls.filter_map(Value::as_str).find_map(organization);
    let ids = ["collection", "account"].into_iter().filter_map(|name| path(body, &["resourceContainers", name, "id"]));
    named.or_else(|| ids.filter_map(text).next()).unwrap_or_default()
}

fn find_project(resource: &Value, what: &str) -> Option<String> {
    const PLACES: [&[&str]; 7] = [
        &["project"],
        &["repository", "project"],
        &["pullRequest", "repository", "project"],
        &["definition", "project"],
        &["manualIntervention", "project"],
        &["sourceRepository", "project"],
        &["environment", "project"],
    ];
    let direct = (what == "id").then(|| path(resource, &["projectId"]).and_then(text)).flatten();
    direct.or_else(|| PLACES.iter().find_map(|names| member(path(resource, names)?, what).and_then(text)))
}

fn team_project(resource: &Value) -> Option<String> {
    const FIELD: &str = "System.TeamProject";
    let places = [&["revision", "fields", FIELD][..], &["fields", FIELD, "newValue"], &["fields", FIELD]];
    places.iter().find_map(|names| path(resource, names).and_then(text))
}
