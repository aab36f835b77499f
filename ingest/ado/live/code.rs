//! Projects, repositories, refs, pushes, commits, pull requests with votes, threads, comments and policies, alerts.

use engine::{Kind, Result, Value as Cell};
use futures::future::try_join_all;
use serde_json::Value;

use super::super::cells::{int, path, time};
use super::super::client::{Ask, Host, Paging, segment};
use super::super::origin::{Origin, Told};
use super::super::route;
use super::super::{
    ADO_POLICY_CONFIGURATION, ADO_PROJECT, ADO_PULL_REQUEST, ADO_PULL_REQUEST_COMMENT, ADO_PULL_REQUEST_VOTE, ADO_REF,
    ADO_REPOSITORY, COMMIT, POLICY_CONFIGURATION, POLICY_EVALUATION, PROJECT_SHAPE, PULL_REQUEST_COMMENT,
    PULL_REQUEST_THREAD, REF, REPOSITORY,
};
use super::book::Known;
use super::cursor::Cursor;
use super::reading::Listing;
use super::{Count, Pass, Project, rfc3339, word};
use crate::json::Reason;

/// Details asked for at the same time.
pub(super) const AT_ONCE: usize = 4;
/// Pages of lists that skip.
pub(super) const BY_100: Paging = Paging::Skip { skip: "$skip", top: "$top", size: 100 };
const PULLS: Paging = BY_100;
/// How long after its end a pull request is still talked about, and its threads read again.
const TALK_US: i64 = 7 * 86_400_000_000;
/// What the cursor of pull requests looks back again: an end may be told late.
const OVERLAP_US: i64 = 600_000_000;

impl Pass<'_> {
    /// All projects, or those that are wished for.
    pub async fn projects(&self, wished: &[String]) -> Result<Vec<Project>> {
        let listing = Listing {
            stream: "projects",
            project: None,
            ask: Ask::get(Host::Core, "_apis/projects"),
            paging: BY_100,
            member: "value",
            sweep: &[(&ADO_PROJECT, &|_| true)],
        };
        let write = |origin: &Origin, item: &Value, told: &mut Told| {
            let named = origin.of_project(word(item, &["id"]), word(item, &["name"]));
            PROJECT_SHAPE.write(&named, item, told)
        };
        let found = self.list(listing, &write).await?.ok_or_else(|| {
            let what = format!("the projects of {} cannot be read", self.client.organization());
            engine::Error::new(Kind::Denied, what)
        })?;
        let found = found.iter().filter_map(|p| Some(Project { id: word(p, &["id"])?, name: word(p, &["name"])? }));
        let found: Vec<Project> = found.collect();
        let missing = wished.iter().find(|name| !found.iter().any(|p| p.name.eq_ignore_ascii_case(name)));
        if let Some(name) = missing {
            let what = format!("the organization {} has no project {name}, or hides it", self.client.organization());
            return Err(engine::Error::new(Kind::Invalid, what));
        }
        let asked = |p: &Project| wished.is_empty() || wished.iter().any(|name| p.name.eq_ignore_ascii_case(name));
        Ok(found.into_iter().filter(asked).collect())
    }

    /// The project's repositories with what lies in them.
    pub async fn repositories(&self, project: &Project) -> Result<()> {
        let of_project = |known: &Known| known.project_id.as_deref() == Some(project.id.as_str());
        let listing = Listing {
            stream: "repositories",
            project: Some(project),
            ask: Ask::get(Host::Core, format!("{}/_apis/git/repositories", segment(&project.id)))
                .with("includeHidden", "true"),
            paging: Paging::Whole,
            member: "value",
            sweep: &[(&ADO_REPOSITORY, &of_project)],
        };
        let Some(found) = self.list(listing, &|o, item, told| REPOSITORY.write(o, item, told)).await? else {
            return Ok(());
        };
        let ids: Vec<(String, Option<String>)> = found
            .iter()
            .filter(|r| path(r, &["isDisabled"]).and_then(Value::as_bool) != Some(true))
            .filter_map(|r| Some((word(r, &["id"])?, word(r, &["name"]))))
            .collect();
        // Refs of a repository that is gone are gone; what happened in it has happened.
        let gone = |known: &Known| {
            of_project(known) && !found.iter().any(|r| word(r, &["id"]) == Some(known.text("repository_id")))
        };
        self.book.sweep(&ADO_REF, &Default::default(), self.client.time().now_us(), &gone).await?;
        for some in ids.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|(id, name)| self.repository(project, id, name.as_deref()))).await?;
        }
        let listing = Listing {
            stream: "policies",
            project: Some(project),
            ask: Ask::get(Host::Core, format!("{}/_apis/policy/configurations", segment(&project.id))),
            paging: Paging::Token,
            member: "value",
            sweep: &[(&ADO_POLICY_CONFIGURATION, &of_project)],
        };
        self.list(listing, &|o, item, told| POLICY_CONFIGURATION.write(o, item, told)).await?;
        Ok(())
    }

    async fn repository(&self, project: &Project, id: &str, name: Option<&str>) -> Result<()> {
        let given = [("repository_id", Cell::from(id)), ("repository", Cell::from(name))];
        let at = format!("{}/_apis/git/repositories/{}", segment(&project.id), segment(id));
        let moved = self.pushes(project, id, &at, &given).await?;
        let in_repository = |known: &Known| known.text("repository_id") == id;
        let refs = self.book.known(&ADO_REF).await?;
        // Refs move by pushes only, so where none came they stand.
        let told_by_hook = refs.iter().any(|known| in_repository(known) && known.by_hook);
        if moved || told_by_hook || !refs.iter().any(in_repository) {
            let listing = Listing {
                stream: "refs",
                project: Some(project),
                ask: Ask::get(Host::Core, format!("{at}/refs")).with("$top", "1000").with("peelTags", "true"),
                paging: Paging::Token,
                member: "value",
                sweep: &[(&ADO_REF, &in_repository)],
            };
            self.list(listing, &|o, item, told| REF.write_with(o, item, &given, told)).await?;
        }
        self.alerts(project, id).await
    }

    /// Pushes since the last reading, with their commits. Whether there were any.
    async fn pushes(&self, project: &Project, id: &str, at: &str, given: &[(&str, Cell); 2]) -> Result<bool> {
        let before: i64 = self.book.position("pushes", id).await?.and_then(|p| p.parse().ok()).unwrap_or(0);
        let (mut fresh, mut asked_us) = (Vec::new(), None);
        let ask = Ask::get(Host::Core, format!("{at}/pushes")).with("searchCriteria.includeRefUpdates", "true");
        let mut pages = super::super::client::Pages::new(ask, BY_100);
        'pages: loop {
            let answer = match pages.next(self.client, "value").await {
                Ok(Some(answer)) => answer,
                Ok(None) => break,
                Err(refused) => {
                    self.tolerate("pushes", refused)?;
                    return Ok(false);
                }
            };
            asked_us.get_or_insert(answer.asked_us);
            // The newest come first.
            for push in answer.items("value") {
                let number = path(push, &["pushId"]).and_then(int).unwrap_or(0);
                if number <= before {
                    break 'pages;
                }
                fresh.push((number, push.clone()));
            }
        }
        let Some(newest) = fresh.iter().map(|(number, _)| *number).max() else { return Ok(false) };
        let mut commits = Vec::new();
        for some in fresh.chunks(AT_ONCE) {
            let read = some.iter().map(|(number, _)| self.commits(at, *number));
            commits.extend(try_join_all(read).await?);
        }
        let (pushes, of_push): (Vec<Value>, Vec<(i64, Vec<Value>)>) =
            (fresh.into_iter().map(|(_, push)| push).collect(), commits);
        let asked_us = asked_us.unwrap_or(0);
        let items: Vec<Value> = of_push
            .iter()
            .flat_map(|(number, found)| {
                found.iter().map(move |commit| serde_json::json!({"commit": commit, "number": number}))
            })
            .collect();
        // Commits first: the cursor moves with the pushes that brought them.
        let write_commit = |o: &Origin, item: &Value, told: &mut Told| {
            let push = ("push_id", Cell::from(path(item, &["number"]).and_then(int)));
            let cells = [given[0].clone(), given[1].clone(), push];
            COMMIT.write_with(o, &item["commit"], &cells, told)
        };
        let (_, changed) = self.write("commits", Some(project), &items, asked_us, None, &write_commit).await?;
        self.count("commits", Some(project), Count { read: items.len() as u64, changed, gone: 0 });
        let cursor = Cursor { stream: "pushes", part: id.to_owned(), position: newest.to_string() };
        let write_push = |o: &Origin, item: &Value, told: &mut Told| push_row(o, item, given, told);
        let (_, changed) = self.write("pushes", Some(project), &pushes, asked_us, Some(&cursor), &write_push).await?;
        self.count("pushes", Some(project), Count { read: pushes.len() as u64, changed, gone: 0 });
        Ok(true)
    }

    /// The commits that a push brought, with its number.
    async fn commits(&self, at: &str, number: i64) -> Result<(i64, Vec<Value>)> {
        let ask = Ask::get(Host::Core, format!("{at}/commits")).with("pushId", number.to_string());
        match self.client.all(ask, Paging::Skip { skip: "skip", top: "top", size: 1000 }, "value").await {
            Ok(found) => Ok((number, found)),
            Err(refused) => self.tolerate("commits", refused).map(|()| (number, Vec::new())),
        }
    }

    /// Active pull requests, those that ended since the last reading or lately, and those that only a hook told of.
    pub async fn pull_requests(&self, project: &Project) -> Result<()> {
        let at = format!("{}/_apis/git/pullrequests", segment(&project.id));
        let now_us = self.client.time().now_us();
        let before = self.book.position("pull_requests", &project.id).await?.and_then(|p| crate::json::instant_us(&p));
        let since = before.map_or(i64::MIN, |at| (at - OVERLAP_US).min(now_us - TALK_US));
        let active = Ask::get(Host::Core, at.clone()).with("searchCriteria.status", "active");
        let mut asks = vec![active];
        for ended in ["completed", "abandoned"] {
            let mut ask = Ask::get(Host::Core, at.clone()).with("searchCriteria.status", ended);
            if since > i64::MIN {
                ask = ask
                    .with("searchCriteria.queryTimeRangeType", "closed")
                    .with("searchCriteria.minTime", rfc3339(since));
            }
            asks.push(ask);
        }
        let mut found: Vec<Value> = Vec::new();
        for ask in asks {
            match self.client.all(ask, PULLS, "value").await {
                Ok(some) => found.extend(some),
                Err(refused) => return self.tolerate("pull_requests", refused),
            }
        }
        found.extend(self.pulls_told(project, &found).await?);
        let (_, changed) = self.write("pull_requests", Some(project), &found, now_us, None, &route::pull).await?;
        self.count("pull_requests", Some(project), Count { read: found.len() as u64, changed, gone: 0 });
        for some in found.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|pull| self.pull_details(project, pull, now_us))).await?;
        }
        // The cursor moves when the details are there, too.
        let closed = found.iter().filter_map(|pull| path(pull, &["closedDate"]).and_then(time)).max().or(before);
        let position = rfc3339(closed.unwrap_or_else(|| self.since_us()));
        let cursor = Cursor { stream: "pull_requests", part: project.id.clone(), position };
        self.book.keep(Told::default(), Some(&cursor), now_us).await?;
        Ok(())
    }

    /// Pull requests that a hook told of last and no list had.
    async fn pulls_told(&self, project: &Project, listed: &[Value]) -> Result<Vec<Value>> {
        let known = self.book.known(&ADO_PULL_REQUEST).await?;
        let mut found = Vec::new();
        let told = known.iter().filter(|k| k.by_hook && k.project_id.as_deref() == Some(project.id.as_str()));
        let told: Vec<&Known> = told.collect();
        for known in told {
            let id = known.text("pull_request_id");
            if listed.iter().any(|pull| word(pull, &["pullRequestId"]).as_deref() == Some(id.as_str())) {
                continue;
            }
            let ask = Ask::get(Host::Core, format!("{}/_apis/git/pullrequests/{id}", segment(&project.id)));
            match self.one(&ask).await? {
                Some((pull, _)) => found.push(pull),
                None => self.book.forget(&ADO_PULL_REQUEST, &[known], self.client.time().now_us()).await?,
            }
        }
        Ok(found)
    }

    /// Votes, threads and policies of a pull request that was asked for at this time.
    async fn pull_details(&self, project: &Project, pull: &Value, asked_us: i64) -> Result<()> {
        let (Some(id), Some(repository)) =
            (path(pull, &["pullRequestId"]).and_then(int), word(pull, &["repository", "id"]))
        else {
            return Ok(());
        };
        let of_pull = |known: &Known| {
            known.text("repository_id") == repository && known.text("pull_request_id") == id.to_string()
        };
        let given = [("repository_id", Cell::from(repository.as_str())), ("pull_request_id", Cell::from(id))];
        // Reviewers that are no longer there; the pull request's own row was written with them.
        let mut told = Told::default();
        route::pull(&self.origin(Some(project), asked_us), pull, &mut told).map_err(engine::Error::invalid)?;
        let (listed, _) = self.book.keep(told, None, asked_us).await?;
        self.book.sweep(&ADO_PULL_REQUEST_VOTE, &listed, asked_us, &of_pull).await?;
        let at = format!(
            "{}/_apis/git/repositories/{}/pullRequests/{id}/threads",
            segment(&project.id),
            segment(&repository)
        );
        let listing = Listing {
            stream: "threads",
            project: Some(project),
            ask: Ask::get(Host::Core, at),
            paging: Paging::Whole,
            member: "value",
            // A hook may not know a comment's thread: its row ends when the thread is read.
            sweep: &[(&ADO_PULL_REQUEST_COMMENT, &of_pull)],
        };
        self.list(listing, &|o, item, told| thread(o, item, &given, told)).await?;
        let artifact = format!("vstfs:///CodeReview/CodeReviewId/{}/{id}", project.id);
        let listing = Listing {
            stream: "policy_evaluations",
            project: Some(project),
            ask: Ask::get(Host::Core, format!("{}/_apis/policy/evaluations", segment(&project.id)))
                .with("artifactId", artifact)
                .api("7.1-preview.1"),
            paging: BY_100,
            member: "value",
            sweep: &[],
        };
        let write = |o: &Origin, item: &Value, told: &mut Told| {
            POLICY_EVALUATION.write_with(o, item, &[("pull_request_id", Cell::from(id))], told)
        };
        self.list(listing, &write).await?;
        Ok(())
    }
}

/// A push; what a list tells lacks the repository, which is known.
fn push_row(origin: &Origin, push: &Value, given: &[(&str, Cell); 2], told: &mut Told) -> Result<(), Reason> {
    let mut whole = push.clone();
    if let (Some(members), Cell::Text(id)) = (whole.as_object_mut(), &given[0].1) {
        let name = match &given[1].1 {
            Cell::Text(name) => Value::String(name.clone()),
            _ => Value::Null,
        };
        members.insert("repository".to_owned(), serde_json::json!({"id": id, "name": name}));
    }
    super::super::push::write(origin, &whole, told.rows(&super::super::ADO_PUSH))
}

/// A thread with its comments.
pub(crate) fn thread(
    origin: &Origin,
    thread: &Value,
    given: &[(&str, Cell); 2],
    told: &mut Told,
) -> Result<(), Reason> {
    let comments = path(thread, &["comments"]).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let alive = |c: &&Value| path(c, &["isDeleted"]).and_then(Value::as_bool) != Some(true);
    let count = i64::try_from(comments.iter().filter(alive).count()).unwrap_or(i64::MAX);
    let author =
        comments.first().and_then(|c| path(c, &["author"])).map(super::super::cells::identity).unwrap_or_default();
    let own = [
        given[0].clone(),
        given[1].clone(),
        ("comment_count", count.into()),
        ("author", author.display_name.into()),
        ("author_unique_name", author.unique_name.into()),
    ];
    PULL_REQUEST_THREAD.write_with(origin, thread, &own, told)?;
    let number = ("thread_id", Cell::from(path(thread, &["id"]).and_then(int)));
    for comment in comments {
        let cells = [given[0].clone(), given[1].clone(), number.clone()];
        PULL_REQUEST_COMMENT.write_with(origin, comment, &cells, told)?;
    }
    Ok(())
}
