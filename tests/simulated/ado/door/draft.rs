//! What is written: tickets, comments and pull requests, and the faults of writing them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::world::{Item, Pull};
use super::{Asked, Door, Inner, Told};

/// Numbers of what is written, apart from those of the world's own life.
const FIRST: i64 = 700_000;

/// How writes fail.
#[derive(Default)]
pub struct Drafts {
    /// Pull requests are refused.
    refuses_pulls: bool,
    /// So many writes are done, and their answers lost.
    lost: u32,
    next: i64,
}

impl Door {
    /// Pull requests are refused from now on, or taken again.
    pub fn refuse_pulls(&self, refuses: bool) {
        self.with(|inner| inner.drafts.refuses_pulls = refuses);
    }

    /// The next writes are done, and their answers lost.
    pub fn lose_answers(&self, count: u32) {
        self.with(|inner| inner.drafts.lost = count);
    }

    /// Tickets that were written, with the texts of their comments, by title.
    pub fn tickets(&self) -> BTreeMap<String, Vec<Vec<String>>> {
        self.with(|inner| {
            let mut tickets: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
            for (_, item) in inner.world.items.range(FIRST..) {
                let title = item.revisions.last().unwrap()["fields"]["System.Title"].as_str().unwrap().to_owned();
                let comments = item.comments.iter().map(|comment| comment["text"].as_str().unwrap().to_owned());
                tickets.entry(title).or_default().push(comments.collect());
            }
            tickets
        })
    }

    /// Pull requests that were written.
    pub fn pulls(&self) -> Vec<Value> {
        self.with(|inner| {
            let ours = |pull: &&Pull| pull.resource["pullRequestId"].as_i64().unwrap() >= FIRST;
            inner.world.pulls.iter().filter(ours).map(|pull| pull.resource.clone()).collect()
        })
    }
}

/// The text in quotes behind a word of a query.
fn quoted<'a>(query: &'a str, word: &str) -> &'a str {
    query.split(word).nth(1).and_then(|rest| rest.split('\'').nth(1)).unwrap_or_default()
}

impl Inner {
    /// Answers what flows ask for; `None` for everything else.
    pub(super) fn draft(&mut self, at: &[&str], asked: &Asked) -> Option<Told> {
        let told = match (asked.method.as_str(), at) {
            ("POST", ["_apis", "wit", "wiql"]) if asked.body["query"].as_str()?.contains("CONTAINS") => {
                self.marked(asked)
            }
            ("GET", ["_apis", "wit", "workitems", id]) => {
                let item = self.world.items.get(&id.parse().ok()?);
                item.map_or(Told::Status(404), |item| Told::One(item.revisions.last().unwrap().clone()))
            }
            ("POST", [project, "_apis", "wit", "workitems", kind]) => self.make_ticket(project, kind, asked),
            ("POST", [_, "_apis", "wit", "workItems", id, "comments"]) => {
                let id: i64 = id.parse().ok()?;
                let number = self.next();
                let item = self.world.items.get_mut(&id)?;
                item.comments.push(json!({"workItemId": id, "id": number, "version": 1, "text": asked.body["text"], "isDeleted": false}));
                Told::One(item.comments.last().unwrap().clone())
            }
            ("GET", [project, "_apis", "git", "repositories", repository, "pullrequests"]) => {
                let (id, source) =
                    (self.repository(project, repository)?["id"].clone(), asked.text("searchCriteria.sourceRefName"));
                let pulls = self.world.pulls.iter().map(|pull| &pull.resource);
                let pulls = pulls.filter(|pull| pull["repository"]["id"] == id && pull["sourceRefName"] == source);
                Told::Skip(pulls.cloned().collect())
            }
            ("POST", [project, "_apis", "git", "repositories", repository, "pullrequests"]) => {
                self.make_pull(project, repository, asked)
            }
            ("PATCH", [_, "_apis", "git", "repositories", _, "pullrequests", id]) => {
                let pull =
                    self.world.pulls.iter_mut().find(|pull| pull.resource["pullRequestId"].to_string() == *id)?;
                pull.resource["status"] = asked.body["status"].clone();
                Told::One(pull.resource.clone())
            }
            _ => return None,
        };
        let writes = asked.method != "GET" && at.last() != Some(&"wiql");
        if writes && self.drafts.lost > 0 {
            self.drafts.lost -= 1;
            return Some(Told::Status(502));
        }
        Some(told)
    }

    fn next(&mut self) -> i64 {
        self.drafts.next += 1;
        FIRST + self.drafts.next
    }

    fn repository(&self, project: &str, named: &str) -> Option<Value> {
        let fits = |r: &&Value| {
            let (of, is) = (&r["project"], |v: &Value, word: &str| v["id"] == word || v["name"] == word);
            is(of, project) && is(r, named)
        };
        self.world.repositories.iter().find(fits).cloned()
    }

    fn marked(&self, asked: &Asked) -> Told {
        let query = asked.body["query"].as_str().unwrap_or_default();
        let (mark, project) = (quoted(query, "[System.Tags]"), quoted(query, "[System.TeamProject]"));
        let fits = |item: &&Item| {
            let fields = &item.revisions.last().unwrap()["fields"];
            fields["System.TeamProject"] == project
                && fields["System.Tags"].as_str().is_some_and(|tags| tags.split("; ").any(|tag| tag == mark))
        };
        let found = self.world.items.iter().filter(|(_, item)| fits(item)).map(|(id, _)| json!({"id": id}));
        Told::One(json!({"workItems": found.collect::<Vec<_>>()}))
    }

    fn make_ticket(&mut self, project: &str, kind: &str, asked: &Asked) -> Told {
        if !self.world.projects.iter().any(|known| known["name"] == project) {
            return Told::Status(404);
        }
        let mut fields = json!({"System.TeamProject": project, "System.WorkItemType": kind.trim_start_matches('$'), "System.State": "To Do"});
        for operation in asked.body.as_array().into_iter().flatten() {
            let path = operation["path"].as_str().unwrap_or_default().trim_start_matches("/fields/").to_owned();
            fields[path] = operation["value"].clone();
        }
        let id = self.next();
        let made = json!({"id": id, "rev": 1, "fields": fields});
        let item = Item { revisions: vec![made.clone()], comments: vec![], in_bin: false, destroyed: false };
        self.world.items.insert(id, item);
        Told::One(made)
    }

    fn make_pull(&mut self, project: &str, repository: &str, asked: &Asked) -> Told {
        let Some(repository) = self.repository(project, repository) else { return Told::Status(404) };
        if self.drafts.refuses_pulls {
            return Told::Status(403);
        }
        let source = &asked.body["sourceRefName"];
        let is_open = |pull: &Pull| pull.resource["sourceRefName"] == *source && pull.resource["status"] == "active";
        if self.world.pulls.iter().any(is_open) {
            return Told::Status(409);
        }
        let mut resource = asked.body.clone();
        resource["pullRequestId"] = json!(self.next());
        resource["status"] = json!("active");
        resource["repository"] = repository;
        self.world.pulls.push(Pull { resource: resource.clone(), threads: vec![], evaluations: vec![] });
        Told::One(resource)
    }
}
