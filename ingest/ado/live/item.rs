//! Work items: revisions by the reporting interface's token, states in batches of 200, comments of what changed; what hooks
//! and revisions missed is found by comparing numbers.

use std::collections::BTreeSet;

use engine::{Result, Value as Cell};
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::super::cells::{int, path};
use super::super::client::{Ask, Host, Pages, Paging, segment};
use super::super::origin::{Origin, Told};
use super::super::route;
use super::super::work_item::{self, Telling};
use super::super::{ADO_WORK_ITEM, ADO_WORK_ITEM_COMMENT, WORK_ITEM_COMMENT};
use super::book::Known;
use super::code::AT_ONCE;
use super::cursor::Cursor;
use super::reading::Listing;
use super::{Count, Pass, Project, word};

/// The batch call rejects more.
const BATCH: usize = 200;
/// A query names no more.
const QUERY_MAX: usize = 19_999;
/// Comments are still in preview.
const COMMENTS_API: &str = "7.1-preview.4";

impl Pass<'_> {
    /// Everything about work items. `whole` says that all projects of the organization are read.
    pub async fn work_items(&self, projects: &[Project], whole: bool) -> Result<()> {
        let mut changed = BTreeSet::new();
        for project in projects {
            changed.extend(self.revisions(project).await?);
        }
        let Some(there) = self.numbers(projects, whole).await? else { return Ok(()) };
        let known = self.book.known(&ADO_WORK_ITEM).await?;
        let in_view = |k: &&Known| whole || projects.iter().any(|p| k.project_id.as_deref() == Some(p.id.as_str()));
        let number = |k: &Known| k.text("id").parse::<i64>().unwrap_or(0);
        let has: BTreeSet<i64> = known.iter().map(number).collect();
        // What the source has and we have not, and what only a hook told.
        changed.extend(there.difference(&has));
        changed.extend(known.iter().filter(|k| k.by_hook).filter(in_view).map(number));
        let comments = self.book.known(&ADO_WORK_ITEM_COMMENT).await?;
        let of_item = |k: &Known| k.text("work_item_id").parse::<i64>().unwrap_or(0);
        changed.extend(comments.iter().filter(|k| k.by_hook).filter(in_view).map(of_item));
        let gone: BTreeSet<i64> = known.iter().filter(in_view).map(number).filter(|id| !there.contains(id)).collect();
        let alive: Vec<i64> = changed.iter().copied().filter(|id| there.contains(id)).collect();
        let lost = self.states(&alive, projects).await?;
        let bin: BTreeSet<i64> =
            changed.iter().copied().filter(|id| !there.contains(id)).chain(gone).chain(lost).collect();
        // What lies in the bin and is marked so is left alone: only whether it is still there is asked.
        let marked = self.book.binned().await?;
        let there = self.in_bin().await?;
        let settled = |id: &i64| {
            let still = there.as_ref().is_some_and(|there| there.contains(id)) && marked.contains(&id.to_string());
            still && !changed.contains(id)
        };
        let bin: BTreeSet<i64> = bin.into_iter().filter(|id| !settled(id)).collect();
        self.recycled(&bin, projects, &known).await
    }

    /// Revisions since the last reading; the numbers of what changed.
    async fn revisions(&self, project: &Project) -> Result<BTreeSet<i64>> {
        let mut token = self.book.position("work_item_revisions", &project.id).await?;
        let mut changed = BTreeSet::new();
        let ask = Ask::get(Host::Core, format!("{}/_apis/wit/reporting/workitemrevisions", segment(&project.id)));
        let ask = ask.with("includeIdentityRef", "true").with("includeDeleted", "true").with("$expand", "fields");
        loop {
            let mut pages = Pages::from(ask.clone(), token.clone());
            let answer = match pages.next(self.client, "values").await {
                Ok(Some(answer)) => answer,
                Ok(None) => break,
                Err(refused) => {
                    self.tolerate("work_item_revisions", refused)?;
                    break;
                }
            };
            let items = answer.items("values");
            changed.extend(items.iter().filter_map(|item| path(item, &["id"]).and_then(int)));
            let next = pages.token().map(str::to_owned).or_else(|| token_of(&answer.body));
            let cursor = next.as_ref().map(|token| Cursor {
                stream: "work_item_revisions",
                part: project.id.clone(),
                position: token.clone(),
            });
            let write = |o: &Origin, item: &Value, told: &mut Told| route::revision(o, item, Telling::State, told);
            let (_, rows) = self
                .write("work_item_revisions", Some(project), items, answer.asked_us, cursor.as_ref(), &write)
                .await?;
            self.count(
                "work_item_revisions",
                Some(project),
                Count { read: items.len() as u64, changed: rows, gone: 0 },
            );
            let last = path(&answer.body, &["isLastBatch"]).and_then(Value::as_bool).unwrap_or(items.is_empty());
            if last || next.is_none() || next == token {
                break;
            }
            token = next;
        }
        Ok(changed)
    }

    /// The numbers of all work items that there are; `None` where they may not be asked for.
    async fn numbers(&self, projects: &[Project], whole: bool) -> Result<Option<BTreeSet<i64>>> {
        let mut there = BTreeSet::new();
        let named: Vec<String> = projects.iter().map(|p| format!("'{}'", p.name.replace('\'', "''"))).collect();
        let within = if whole { String::new() } else { format!(" AND [System.TeamProject] IN ({})", named.join(", ")) };
        let mut after = 0;
        loop {
            let query =
                format!("SELECT [System.Id] FROM WorkItems WHERE [System.Id] > {after}{within} ORDER BY [System.Id]");
            let ask =
                Ask::post(Host::Core, "_apis/wit/wiql", json!({"query": query})).with("$top", QUERY_MAX.to_string());
            let answer = match self.client.ask(&ask).await {
                Ok(answer) => answer,
                Err(refused) => {
                    self.tolerate("work_items", refused)?;
                    return Ok(None);
                }
            };
            let ids: Vec<i64> =
                answer.items("workItems").iter().filter_map(|i| path(i, &["id"]).and_then(int)).collect();
            let Some(highest) = ids.iter().copied().max().filter(|id| *id > after) else { return Ok(Some(there)) };
            after = highest;
            let few = ids.len() < QUERY_MAX;
            there.extend(ids);
            if few {
                return Ok(Some(there));
            }
        }
    }

    /// What lies in the recycle bin; `None` where it may not be asked for.
    async fn in_bin(&self) -> Result<Option<BTreeSet<i64>>> {
        match self.client.ask(&Ask::get(Host::Core, "_apis/wit/recyclebin")).await {
            Ok(answer) => {
                Ok(Some(answer.items("value").iter().filter_map(|i| path(i, &["id"]).and_then(int)).collect()))
            }
            Err(refused) => self.tolerate("recycle_bin", refused).map(|()| None),
        }
    }

    /// States of these work items with their comments; the numbers that the source left out.
    async fn states(&self, ids: &[i64], projects: &[Project]) -> Result<Vec<i64>> {
        let mut lost = Vec::new();
        for some in ids.chunks(BATCH) {
            let body = json!({"ids": some, "$expand": "relations", "errorPolicy": "omit"});
            let answer = match self.client.ask(&Ask::post(Host::Core, "_apis/wit/workitemsbatch", body)).await {
                Ok(answer) => answer,
                Err(refused) => {
                    self.tolerate("work_items", refused)?;
                    return Ok(lost);
                }
            };
            let items: Vec<Value> = answer.items("value").iter().filter(|item| !item.is_null()).cloned().collect();
            let found: BTreeSet<i64> = items.iter().filter_map(|i| path(i, &["id"]).and_then(int)).collect();
            lost.extend(some.iter().copied().filter(|id| !found.contains(id)));
            let write = |o: &Origin, item: &Value, told: &mut Told| {
                let project = project_of(item, projects);
                let origin = project.map_or(o.clone(), |p| o.of_project(Some(p.id.clone()), Some(p.name.clone())));
                work_item::write(&origin, item, Telling::State, told.rows(&ADO_WORK_ITEM))
            };
            let (_, changed) = self.write("work_items", None, &items, answer.asked_us, None, &write).await?;
            self.count("work_items", None, Count { read: items.len() as u64, changed, gone: 0 });
            let talked = items.iter().filter(|item| {
                let count = item.get("fields").and_then(|f| f.get("System.CommentCount")).and_then(int);
                count.is_none_or(|count| count > 0)
            });
            let talked: Vec<&Value> = talked.collect();
            for few in talked.chunks(AT_ONCE) {
                try_join_all(few.iter().map(|item| self.comments(item, projects))).await?;
            }
        }
        Ok(lost)
    }

    async fn comments(&self, item: &Value, projects: &[Project]) -> Result<()> {
        let (Some(id), Some(project)) = (path(item, &["id"]).and_then(int), project_of(item, projects)) else {
            return Ok(());
        };
        let of_item = |known: &Known| known.text("work_item_id") == id.to_string();
        let listing = Listing {
            stream: "work_item_comments",
            project: Some(project),
            ask: Ask::get(Host::Core, format!("{}/_apis/wit/workItems/{id}/comments", segment(&project.id)))
                .with("includeDeleted", "true")
                .with("$top", "200")
                .api(COMMENTS_API),
            paging: Paging::Token,
            member: "comments",
            sweep: &[(&ADO_WORK_ITEM_COMMENT, &of_item)],
        };
        let write = |o: &Origin, comment: &Value, told: &mut Told| {
            WORK_ITEM_COMMENT.write_with(o, comment, &[("work_item_id", Cell::from(id))], told)
        };
        self.list(listing, &write).await?;
        Ok(())
    }

    /// Work items that are not among the living: in the recycle bin, or destroyed. Nobody can read their comments there.
    async fn recycled(&self, ids: &BTreeSet<i64>, projects: &[Project], known: &[Known]) -> Result<()> {
        for id in ids {
            let of_item = |known: &Known| known.text("work_item_id") == id.to_string();
            let now_us = self.client.time().now_us();
            self.book.sweep(&ADO_WORK_ITEM_COMMENT, &Default::default(), now_us, &of_item).await?;
            let Some((found, asked_us)) = self.one(&Ask::get(Host::Core, format!("_apis/wit/recyclebin/{id}"))).await?
            else {
                let gone = known.iter().filter(|k| k.text("id") == id.to_string());
                let gone: Vec<&Known> = gone.collect();
                self.book.forget(&ADO_WORK_ITEM, &gone, self.client.time().now_us()).await?;
                self.count("work_items", None, Count { read: 0, changed: 0, gone: gone.len() as u64 });
                continue;
            };
            let item = found.get("resource").cloned().unwrap_or(found);
            let write = |o: &Origin, item: &Value, told: &mut Told| {
                let project = project_of(item, projects);
                let origin = project.map_or(o.clone(), |p| o.of_project(Some(p.id.clone()), Some(p.name.clone())));
                work_item::write(&origin, item, Telling::Deleted, told.rows(&ADO_WORK_ITEM))
            };
            let (_, changed) = self.write("work_items", None, &[item], asked_us, None, &write).await?;
            self.count("work_items", None, Count { read: 1, changed, gone: 0 });
        }
        Ok(())
    }
}

fn project_of<'p>(item: &Value, projects: &'p [Project]) -> Option<&'p Project> {
    let name = item.get("fields")?.get("System.TeamProject")?.as_str()?;
    projects.iter().find(|p| p.name.eq_ignore_ascii_case(name))
}

/// The token that the address of the next page holds.
fn token_of(body: &Value) -> Option<String> {
    let next = url::Url::parse(&word(body, &["nextLink"])?).ok()?;
    next.query_pairs()
        .find(|(name, _)| name.eq_ignore_ascii_case("continuationToken"))
        .map(|(_, token)| token.into_owned())
}
