//! Work items that others make, change and look for by their tags.

use serde_json::{Value, json};

use super::super::world::Item;
use super::{Asked, Inner, Told};

/// Far from the numbers that the world gives.
const FIRST: i64 = 900_001;

/// Whether a query looks for a tag.
pub(super) fn is_by_tag(asked: &Asked) -> bool {
    asked.body["query"].as_str().is_some_and(|query| query.contains("[System.Tags] CONTAINS"))
}

/// The text in quotes behind a word of a query.
fn quoted<'a>(query: &'a str, word: &str) -> &'a str {
    query.split(word).nth(1).and_then(|rest| rest.split('\'').nth(1)).unwrap_or_default()
}

impl Inner {
    pub(super) fn tagged(&self, asked: &Asked) -> Told {
        let query = asked.body["query"].as_str().unwrap_or_default();
        let (tag, project) = (quoted(query, "[System.Tags]"), quoted(query, "[System.TeamProject]"));
        let fits = |item: &&Item| {
            let fields = &item.revisions.last().unwrap()["fields"];
            let tags = fields["System.Tags"].as_str().unwrap_or_default();
            fields["System.TeamProject"] == project && tags.split("; ").any(|one| one == tag)
        };
        let found = self.world.items.iter().filter(|(_, item)| !item.in_bin && !item.destroyed && fits(item));
        let top = asked.number("$top").unwrap_or(200);
        Told::One(json!({ "workItems": found.take(top).map(|(id, _)| json!({ "id": id })).collect::<Vec<_>>() }))
    }

    pub(super) fn ticket(&mut self, id: &str, asked: &Asked) -> Told {
        let id = id.parse().unwrap_or(0);
        let Some(item) = self.world.items.get(&id) else { return Told::Status(404) };
        let last = item.revisions.last().unwrap().clone();
        if asked.method == "GET" {
            return Told::One(last);
        }
        match changed(&last, &asked.body) {
            Ok(next) => Told::One(self.keep_item(id, next)),
            Err(status) => Told::Status(status),
        }
    }

    pub(super) fn new_ticket(&mut self, project: &str, kind: &str, asked: &Asked) -> Told {
        if !self.world.projects.iter().any(|known| known["name"] == project) {
            return Told::Status(404);
        }
        let id = self.world.items.keys().next_back().map_or(FIRST, |last| (last + 1).max(FIRST));
        let fields = json!({
            "System.TeamProject": project, "System.WorkItemType": kind.trim_start_matches('$'), "System.State": "To Do",
        });
        let made = match changed(&json!({ "id": id, "rev": 0, "fields": fields }), &asked.body) {
            Ok(made) => self.keep_item(id, made),
            Err(status) => return Told::Status(status),
        };
        if self.drafts.loses() {
            // It was made, and nobody hears of it.
            return Told::Status(502);
        }
        Told::One(made)
    }

    fn keep_item(&mut self, id: i64, revision: Value) -> Value {
        let new = || Item { revisions: vec![], comments: vec![], in_bin: false, destroyed: false };
        let item = self.world.items.entry(id).or_insert_with(new);
        item.revisions.push(revision.clone());
        let at = item.revisions.len() - 1;
        self.world.watermarks.push((id, at));
        revision
    }
}

/// The next revision of a work item; or the status that refuses the change.
fn changed(last: &Value, operations: &Value) -> Result<Value, u16> {
    let mut next = last.clone();
    next["fields"].as_object_mut().unwrap().remove("System.History");
    for operation in operations.as_array().ok_or(400_u16)? {
        let path = operation["path"].as_str().unwrap_or_default();
        match (operation["op"].as_str(), path.strip_prefix("/fields/")) {
            (Some("test"), None) if path == "/rev" => {
                if operation["value"] != last["rev"] {
                    return Err(412);
                }
            }
            (Some("add"), Some(field)) => next["fields"][field] = operation["value"].clone(),
            _ => return Err(400),
        }
    }
    next["rev"] = (last["rev"].as_i64().unwrap_or(0) + 1).into();
    Ok(next)
}

impl super::Door {
    /// The work items that others made, as they are.
    pub fn items(&self) -> Vec<Value> {
        self.with(|inner| {
            let made = inner.world.items.range(FIRST..);
            made.map(|(_, item)| item.revisions.last().unwrap().clone()).collect()
        })
    }

    /// The name of a project.
    pub fn project(&self) -> String {
        self.with(|inner| inner.world.projects[0]["name"].as_str().unwrap().to_owned())
    }
}
