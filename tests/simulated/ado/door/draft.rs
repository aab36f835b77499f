//! What is written: tickets, comments and pull requests, and the faults of writing them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::world::Pull;
use super::{Asked, Door, Inner, Told, by_number};

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

impl Drafts {
    /// Whether the answer to what was written just now is lost.
    pub(super) fn loses(&mut self) -> bool {
        let loses = self.lost > 0;
        self.lost = self.lost.saturating_sub(1);
        loses
    }
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

impl Inner {
    /// Answers what flows ask for; `None` for everything else.
    pub(super) fn draft(&mut self, at: &[&str], asked: &Asked) -> Option<Told> {
        let told = match (asked.method.as_str(), at) {
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
                by_number(asked, pulls)
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
        if asked.method != "GET" && self.drafts.loses() {
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
