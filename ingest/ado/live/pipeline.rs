//! Builds with their timelines, runs, approvals, environments with deployments and checks, classic releases.

use std::collections::BTreeSet;

use engine::{Result, Value as Cell};
use futures::future::try_join_all;
use serde_json::Value;

use super::super::build;
use super::super::cells::{int, path, time};
use super::super::client::{Ask, Host, Pages, Paging, Refused, segment};
use super::super::origin::{Origin, Told};
use super::super::route;
use super::super::{
    ADO_AGENT_QUEUE, ADO_APPROVAL, ADO_BUILD, ADO_CHECK, ADO_ENVIRONMENT, ADO_SERVICE_ENDPOINT, AGENT_QUEUE, CHECK,
    ENVIRONMENT, ENVIRONMENT_DEPLOYMENT, JOB, RELEASE_APPROVAL, RELEASE_DEPLOYMENT, SERVICE_ENDPOINT, STAGE,
    TIMELINE_RECORD,
};
use super::book::Known;
use super::code::AT_ONCE;
use super::cursor::Cursor;
use super::reading::Listing;
use super::{Count, Pass, Project, rfc3339, word};
use crate::json::Reason;

/// Builds of one page.
const BUILDS: &str = "1000";
/// What the cursor of builds looks back again.
const OVERLAP_US: i64 = 600_000_000;

impl Pass<'_> {
    /// Builds that ended since the last reading, those under way, and those that only a hook told of.
    pub async fn builds(&self, project: &Project) -> Result<()> {
        let at = format!("{}/_apis/build/builds", segment(&project.id));
        let before = self.book.position("builds", &project.id).await?.and_then(|p| crate::json::instant_us(&p));
        let since = before.map_or(self.since_us(), |at| at - OVERLAP_US);
        let ended = Ask::get(Host::Core, at.clone()).with("statusFilter", "completed").with("$top", BUILDS);
        let ended = ended.with("queryOrder", "finishTimeAscending").with("minTime", rfc3339(since));
        let under_way = Ask::get(Host::Core, at.clone()).with("$top", BUILDS);
        let under_way = under_way.with("statusFilter", "inProgress,notStarted,cancelling,postponed");
        let mut seen = BTreeSet::new();
        let mut definitions = BTreeSet::new();
        for (ask, moves) in [(ended, true), (under_way, false)] {
            let mut pages = Pages::new(ask, Paging::Token);
            loop {
                let answer = match pages.next(self.client, "value").await {
                    Ok(Some(answer)) => answer,
                    Ok(None) => break,
                    Err(refused) => return self.tolerate("builds", refused),
                };
                let items = answer.items("value");
                seen.extend(items.iter().filter_map(|b| path(b, &["id"]).and_then(int)));
                let latest =
                    items.iter().filter_map(|b| path(b, &["finishTime"]).and_then(time)).max().filter(|_| moves);
                definitions.extend(self.some_builds(project, items, answer.asked_us, latest).await?);
            }
        }
        let known = self.book.known(&ADO_BUILD).await?;
        let told = known.iter().filter(|k| k.by_hook && k.project_id.as_deref() == Some(project.id.as_str()));
        let told: Vec<String> =
            told.map(|k| k.text("id")).filter(|id| !seen.iter().any(|s| s.to_string() == *id)).collect();
        for some in told.chunks(100) {
            let ask = Ask::get(Host::Core, at.clone()).with("buildIds", some.join(","));
            match self.client.ask(&ask).await {
                Ok(answer) => {
                    definitions.extend(self.some_builds(project, answer.items("value"), answer.asked_us, None).await?);
                }
                Err(refused) => self.tolerate("builds", refused)?,
            }
        }
        self.runs(project, &definitions).await
    }

    /// Builds with their timelines; the cursor moves when both are there. The definitions that ran.
    async fn some_builds(
        &self,
        project: &Project,
        items: &[Value],
        asked_us: i64,
        latest: Option<i64>,
    ) -> Result<BTreeSet<i64>> {
        let ids: Vec<i64> = items.iter().filter_map(|b| path(b, &["id"]).and_then(int)).collect();
        for some in ids.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|id| self.timeline(project, *id))).await?;
        }
        let cursor = latest.map(|at| Cursor { stream: "builds", part: project.id.clone(), position: rfc3339(at) });
        let write = |o: &Origin, item: &Value, told: &mut Told| build::write(o, item, told.rows(&ADO_BUILD));
        let (_, changed) = self.write("builds", Some(project), items, asked_us, cursor.as_ref(), &write).await?;
        self.count("builds", Some(project), Count { read: items.len() as u64, changed, gone: 0 });
        Ok(items.iter().filter_map(|b| path(b, &["definition", "id"]).and_then(int)).collect())
    }

    /// A build's timeline. One whose YAML did not compile has none, or one that does not parse.
    async fn timeline(&self, project: &Project, id: i64) -> Result<()> {
        let ask = Ask::get(Host::Core, format!("{}/_apis/build/builds/{id}/timeline", segment(&project.id)));
        let (timeline, asked_us) = match self.client.ask(&ask).await {
            Ok(answer) => (answer.body, answer.asked_us),
            Err(Refused::Gone { .. } | Refused::Broken { .. }) => return Ok(()),
            Err(refused) => return self.tolerate("timelines", refused),
        };
        let records = path(&timeline, &["records"]).and_then(Value::as_array).cloned().unwrap_or_default();
        let write = |o: &Origin, item: &Value, told: &mut Told| record(o, item, id, &records, told);
        let (_, changed) = self.write("timelines", Some(project), &records, asked_us, None, &write).await?;
        self.count("timelines", Some(project), Count { read: records.len() as u64, changed, gone: 0 });
        Ok(())
    }

    async fn runs(&self, project: &Project, definitions: &BTreeSet<i64>) -> Result<()> {
        for pipeline in definitions {
            let listing = Listing {
                stream: "runs",
                project: Some(project),
                ask: Ask::get(Host::Core, format!("{}/_apis/pipelines/{pipeline}/runs", segment(&project.id))),
                paging: Paging::Whole,
                member: "value",
                sweep: &[],
            };
            self.list(listing, &route::write_run).await?;
        }
        Ok(())
    }

    /// What pipelines wait for and deploy to.
    pub async fn waits(&self, project: &Project) -> Result<()> {
        let id = segment(&project.id);
        let of_project = |known: &Known| known.project_id.as_deref() == Some(project.id.as_str());
        self.approvals(project).await?;
        let listing = Listing {
            stream: "environments",
            project: Some(project),
            ask: Ask::get(Host::Core, format!("{id}/_apis/pipelines/environments")),
            paging: Paging::Token,
            member: "value",
            sweep: &[(&ADO_ENVIRONMENT, &of_project)],
        };
        let found = self.list(listing, &|o, item, told| ENVIRONMENT.write(o, item, told)).await?;
        let Some(found) = found else { return Ok(()) };
        let mut checked = super::book::Listed::new();
        let asked_us = self.client.time().now_us();
        for environment in &found {
            let (Some(number), name) = (path(environment, &["id"]).and_then(int), word(environment, &["name"])) else {
                continue;
            };
            self.deployments(project, number, name).await?;
            let ask = Ask::get(Host::Core, format!("{id}/_apis/pipelines/checks/configurations"));
            let ask = ask.with("resourceType", "environment").with("resourceId", number.to_string());
            let ask = ask.with("$expand", "settings").api("7.1-preview.1");
            match self.client.all(ask, Paging::Whole, "value").await {
                Ok(checks) => {
                    let write = |o: &Origin, item: &Value, told: &mut Told| CHECK.write(o, item, told);
                    let (keys, changed) = self.write("checks", Some(project), &checks, asked_us, None, &write).await?;
                    self.count("checks", Some(project), Count { read: checks.len() as u64, changed, gone: 0 });
                    keys.into_iter().for_each(|(table, keys)| checked.entry(table).or_default().extend(keys));
                }
                Err(refused) => return self.tolerate("checks", refused),
            }
        }
        // Checks of queues, endpoints and repositories are told by hooks only: those stay.
        let own = |known: &Known| of_project(known) && !known.by_hook;
        self.book.sweep(&ADO_CHECK, &checked, asked_us, &own).await?;
        Ok(())
    }

    /// Queues of a project.
    pub async fn queues(&self, project: &Project) -> Result<()> {
        let of_project = |known: &Known| known.project_id.as_deref() == Some(project.id.as_str());
        let listing = Listing {
            stream: "agent_queues",
            project: Some(project),
            ask: Ask::get(Host::Core, format!("{}/_apis/distributedtask/queues", segment(&project.id))),
            paging: Paging::Whole,
            member: "value",
            sweep: &[(&ADO_AGENT_QUEUE, &of_project)],
        };
        self.list(listing, &|o, item, told| AGENT_QUEUE.write(o, item, told)).await?;
        Ok(())
    }

    /// Service endpoints. One may be shared, so it is of no project; what is gone is known when all projects are read.
    pub async fn endpoints(&self, projects: &[Project], whole: bool) -> Result<()> {
        let (mut listed, asked_us) = (super::book::Listed::new(), self.client.time().now_us());
        for project in projects {
            let ask = Ask::get(Host::Core, format!("{}/_apis/serviceendpoint/endpoints", segment(&project.id)));
            let found = match self.client.all(ask, Paging::Whole, "value").await {
                Ok(found) => found,
                Err(refused) => return self.tolerate("service_endpoints", refused),
            };
            let write = |o: &Origin, item: &Value, told: &mut Told| SERVICE_ENDPOINT.write(o, item, told);
            let (keys, changed) = self.write("service_endpoints", None, &found, asked_us, None, &write).await?;
            self.count("service_endpoints", Some(project), Count { read: found.len() as u64, changed, gone: 0 });
            keys.into_iter().for_each(|(table, keys)| listed.entry(table).or_default().extend(keys));
        }
        if whole {
            self.book.sweep(&ADO_SERVICE_ENDPOINT, &listed, asked_us, &|_| true).await?;
        }
        Ok(())
    }

    async fn approvals(&self, project: &Project) -> Result<()> {
        let at = format!("{}/_apis/pipelines/approvals", segment(&project.id));
        let listing = Listing {
            stream: "approvals",
            project: Some(project),
            ask: Ask::get(Host::Core, at.clone()).with("state", "all").with("top", "1000").with("$expand", "steps"),
            paging: Paging::Whole,
            member: "value",
            sweep: &[],
        };
        let write = |o: &Origin, item: &Value, told: &mut Told| route::write_approval(o, item, &[], told);
        let Some(latest) = self.list(listing, &write).await? else { return Ok(()) };
        // Older ones that were pending, and those of hooks.
        let open = self.book.pending_approvals(&project.id).await?;
        let known = self.book.known(&ADO_APPROVAL).await?;
        let told = known.iter().filter(|k| k.by_hook && k.project_id.as_deref() == Some(project.id.as_str()));
        let wanted: BTreeSet<String> = told.map(|k| k.text("id")).chain(open).collect();
        let wanted =
            wanted.into_iter().filter(|id| !latest.iter().any(|p| word(p, &["id"]).as_deref() == Some(id.as_str())));
        for some in wanted.collect::<Vec<_>>().chunks(100) {
            let listing = Listing {
                stream: "approvals",
                project: Some(project),
                ask: Ask::get(Host::Core, at.clone()).with("approvalIds", some.join(",")).with("$expand", "steps"),
                paging: Paging::Whole,
                member: "value",
                sweep: &[],
            };
            self.list(listing, &write).await?;
        }
        Ok(())
    }

    /// Deployments to an environment: the newest come first, and those under way are read again.
    async fn deployments(&self, project: &Project, number: i64, name: Option<String>) -> Result<()> {
        let part = format!("{}/{number}", project.id);
        let before: i64 = self.book.position("deployments", &part).await?.and_then(|p| p.parse().ok()).unwrap_or(0);
        let at = format!("{}/_apis/pipelines/environments/{number}/environmentdeploymentrecords", segment(&project.id));
        let mut pages = Pages::new(Ask::get(Host::Core, at).with("top", "100"), Paging::Token);
        let (mut fresh, mut asked_us, mut ended) = (Vec::new(), 0, false);
        while !ended {
            let answer = match pages.next(self.client, "value").await {
                Ok(Some(answer)) => answer,
                Ok(None) => break,
                Err(refused) => return self.tolerate("deployments", refused),
            };
            asked_us = if asked_us == 0 { answer.asked_us } else { asked_us };
            for record in answer.items("value") {
                let id = path(record, &["id"]).and_then(int).unwrap_or(0);
                ended |= id <= before;
                if id > before {
                    fresh.push(record.clone());
                }
            }
        }
        // Up to the first that is not done: it is read again until it is.
        let open = fresh.iter().filter(|r| path(r, &["finishTime"]).and_then(time).is_none());
        let open = open.filter_map(|r| path(r, &["id"]).and_then(int)).min();
        let newest = fresh.iter().filter_map(|r| path(r, &["id"]).and_then(int)).max().unwrap_or(before);
        let position = open.map_or(newest, |id| id - 1).max(before);
        let cursor = Cursor { stream: "deployments", part, position: position.to_string() };
        let write = |o: &Origin, item: &Value, told: &mut Told| {
            let given = [
                ("environment_id", number.into()),
                ("environment", name.clone().into()),
                ("duration_ms", route::took(item)),
            ];
            ENVIRONMENT_DEPLOYMENT.write_with(o, item, &given, told)
        };
        let moved = (position > before).then_some(&cursor);
        let (_, changed) = self.write("deployments", Some(project), &fresh, asked_us, moved, &write).await?;
        self.count("deployments", Some(project), Count { read: fresh.len() as u64, changed, gone: 0 });
        Ok(())
    }

    /// Classic releases with their environments, deployments and approvals.
    pub async fn releases(&self, project: &Project) -> Result<()> {
        let at = format!("{}/_apis/release", segment(&project.id));
        let now_us = self.client.time().now_us();
        let before = self.book.position("releases", &project.id).await?.and_then(|p| crate::json::instant_us(&p));
        let since = rfc3339(before.map_or(self.since_us(), |at| at - 7 * 86_400_000_000));
        let listings = [
            (
                "releases",
                Ask::get(Host::Release, format!("{at}/releases"))
                    .with("minCreatedTime", since.clone())
                    .with("$expand", "environments,artifacts,variables"),
            ),
            (
                "release_deployments",
                Ask::get(Host::Release, format!("{at}/deployments")).with("minModifiedTime", since),
            ),
            ("release_approvals", Ask::get(Host::Release, format!("{at}/approvals")).with("statusFilter", "undefined")),
        ];
        for (stream, ask) in listings {
            let listing = Listing {
                stream,
                project: Some(project),
                ask: ask.with(if stream == "release_approvals" { "top" } else { "$top" }, "100"),
                paging: Paging::Token,
                member: "value",
                sweep: &[],
            };
            let write = move |o: &Origin, item: &Value, told: &mut Told| match stream {
                "releases" => route::write_release(o, item, told),
                "release_deployments" => RELEASE_DEPLOYMENT.write(o, item, told),
                _ => RELEASE_APPROVAL.write(o, item, told),
            };
            if self.list(listing, &write).await?.is_none() {
                return Ok(());
            }
        }
        let cursor = Cursor { stream: "releases", part: project.id.clone(), position: rfc3339(now_us) };
        self.book.keep(Told::default(), Some(&cursor), now_us).await?;
        Ok(())
    }
}

/// A record of a timeline; a stage or job among them is one of its own table, too.
pub(crate) fn record(
    origin: &Origin,
    record: &Value,
    build: i64,
    all: &[Value],
    told: &mut Told,
) -> Result<(), Reason> {
    let took = route::took(record);
    TIMELINE_RECORD.write_with(origin, record, &[("build_id", build.into()), ("duration_ms", took.clone())], told)?;
    match word(record, &["type"]).as_deref() {
        Some("Stage") => STAGE.write_with(origin, record, &[("run_id", build.into()), ("duration_ms", took)], told),
        Some("Job") => {
            let given =
                [("run_id", Cell::from(build)), ("stage_id", stage_of(record, all).into()), ("duration_ms", took)];
            JOB.write_with(origin, record, &given, told)
        }
        _ => Ok(()),
    }
}

/// The stage above a record: a job stands in a phase, a phase in a stage.
fn stage_of(record: &Value, all: &[Value]) -> Option<String> {
    /// Records that stand in each other; more is a circle.
    const DEPTH_MAX: usize = 8;
    let mut parent = word(record, &["parentId"])?;
    for _ in 0..DEPTH_MAX {
        let above = all.iter().find(|r| word(r, &["id"]).as_deref() == Some(parent.as_str()))?;
        if word(above, &["type"]).as_deref() == Some("Stage") {
            return Some(parent);
        }
        parent = word(above, &["parentId"])?;
    }
    None
}
