//! What the simulated organization holds, as the tables must have it.

use serde_json::Value;

use crate::harness::Ground;
use crate::organization::world::{Item, World, run_of};

/// A table, the columns that are looked at, and their cells as the organization has them, sorted.
pub struct Truth {
    table: &'static str,
    columns: &'static str,
    rows: Vec<String>,
}

impl Truth {
    /// Holds the store against it. Returns how many rows that were.
    pub fn hold(&self, ground: &Ground) -> usize {
        let sql = format!("SELECT {} FROM {}", self.columns, self.table);
        let mut found: Vec<String> = ground.ask(&sql).into_iter().map(|row| row.join("|")).collect();
        found.sort();
        let odd = found.iter().zip(&self.rows).find(|(found, own)| found != own);
        assert_eq!(odd, None, "{}: a row (found, wanted)", self.table);
        assert_eq!(found.len(), self.rows.len(), "{}: rows", self.table);
        found.len()
    }
}

/// A cell as CSV shows it.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn truth(table: &'static str, columns: &'static str, rows: impl Iterator<Item = Vec<String>>) -> Truth {
    let mut rows: Vec<String> = rows.map(|row| row.join("|")).collect();
    rows.sort();
    Truth { table, columns, rows }
}

/// Members of resources as rows of a table.
fn plain<'v>(
    table: &'static str,
    columns: &'static str,
    members: &'v [&'static str],
    all: impl Iterator<Item = &'v Value>,
) -> Truth {
    truth(table, columns, all.map(|one| members.iter().map(|name| cell(&one[*name])).collect()))
}

/// Every table that is held against the organization.
pub fn of(world: &World) -> Vec<Truth> {
    let mut all = code(world);
    all.extend(reviews(world));
    all.extend(pipelines(world));
    all.extend(work(world));
    all.push(plain("ado_group", "descriptor, display_name", &["descriptor", "displayName"], world.groups.iter()));
    all.push(plain("ado_user", "descriptor, display_name", &["descriptor", "displayName"], world.users.iter()));
    let members = world.members.iter().map(|(group, member)| vec![group.clone(), member.clone()]);
    all.push(truth("ado_membership", "container_descriptor, member_descriptor", members));
    all
}

fn code(world: &World) -> Vec<Truth> {
    let refs = world.refs.iter().map(|((repository, name), at)| vec![repository.clone(), name.clone(), at.clone()]);
    let pushes = world
        .pushes
        .iter()
        .map(|(of, push, _)| vec![of.clone(), cell(&push["pushId"]), cell(&push["pushedBy"]["displayName"])]);
    let commits = world.pushes.iter().flat_map(|(of, push, commits)| {
        commits.iter().map(move |commit| {
            vec![of.clone(), cell(&commit["commitId"]), cell(&push["pushId"]), cell(&commit["comment"])]
        })
    });
    let alerts = world.alerts.iter().map(|(_, alert)| alert);
    vec![
        plain("ado_project", "id, name, state", &["id", "name", "state"], world.projects.iter()),
        plain(
            "ado_repository",
            "id, name, default_branch",
            &["id", "name", "defaultBranch"],
            world.repositories.iter(),
        ),
        truth("ado_ref", "repository_id, name, object_id", refs),
        truth("ado_push", "repository_id, push_id, pushed_by", pushes),
        truth("ado_commit", "repository_id, commit_id, push_id, comment", commits),
        plain("ado_alert", "alert_id, title, state", &["alertId", "title", "state"], alerts),
    ]
}

fn reviews(world: &World) -> Vec<Truth> {
    let pulls = || world.pulls.iter().map(|pull| (cell(&pull.resource["pullRequestId"]), pull));
    let resources = world.pulls.iter().map(|pull| &pull.resource);
    let votes = pulls().flat_map(|(id, pull)| {
        let reviewers = pull.resource["reviewers"].as_array().into_iter().flatten();
        reviewers.map(move |reviewer| vec![id.clone(), cell(&reviewer["id"]), cell(&reviewer["vote"])])
    });
    let threads = pulls().flat_map(|(id, pull)| {
        pull.threads.iter().map(move |thread| vec![id.clone(), cell(&thread["id"]), cell(&thread["status"])])
    });
    let comments = pulls().flat_map(|(id, pull)| {
        pull.threads.iter().flat_map(move |thread| {
            let (id, comments) = (id.clone(), thread["comments"].as_array().into_iter().flatten());
            comments.map(move |one| vec![id.clone(), cell(&thread["id"]), cell(&one["id"]), cell(&one["content"])])
        })
    });
    let evaluations = world.pulls.iter().flat_map(|pull| &pull.evaluations);
    vec![
        plain("ado_pull_request", "pull_request_id, title, status", &["pullRequestId", "title", "status"], resources),
        truth("ado_pull_request_vote", "pull_request_id, reviewer_id, vote", votes),
        truth("ado_pull_request_thread", "pull_request_id, id, status", threads),
        truth("ado_pull_request_comment", "pull_request_id, thread_id, id, content", comments),
        plain("ado_policy_evaluation", "evaluation_id, status", &["evaluationId", "status"], evaluations),
    ]
}

fn pipelines(world: &World) -> Vec<Truth> {
    let builds = || world.builds.iter().map(|build| &build.resource);
    let runs: Vec<Value> = builds().map(run_of).collect();
    let records = world.builds.iter().flat_map(|build| {
        let of = move |record: &Value| -> Vec<String> {
            let cells = ["id", "type", "state", "result"].map(|name| cell(&record[name]));
            [cell(&build.resource["id"])].into_iter().chain(cells).collect()
        };
        build.records.iter().map(of)
    });
    let results = world.test_runs.iter().flat_map(|(_, run, results)| {
        results.iter().map(move |one| vec![cell(&run["id"]), cell(&one["id"]), cell(&one["outcome"])])
    });
    let deployments = world
        .deployments
        .iter()
        .map(|(environment, one)| vec![environment.to_string(), cell(&one["id"]), cell(&one["result"])]);
    vec![
        plain("ado_build", "id, build_number, status, result", &["id", "buildNumber", "status", "result"], builds()),
        plain("ado_run", "id, name, state, result", &["id", "name", "state", "result"], runs.iter()),
        truth("ado_timeline_record", "build_id, id, type, state, result", records),
        plain(
            "ado_test_run",
            "id, name, state",
            &["id", "name", "state"],
            world.test_runs.iter().map(|(_, run, _)| run),
        ),
        truth("ado_test_result", "run_id, id, outcome", results),
        plain("ado_approval", "id, status", &["id", "status"], world.approvals.iter().map(|(_, one)| one)),
        plain("ado_environment", "id, name", &["id", "name"], world.environments.iter().map(|(_, one)| one)),
        truth("ado_environment_deployment", "environment_id, id, result", deployments),
    ]
}

/// Of work items that are destroyed only their revisions are told; comments are those of the living.
fn work(world: &World) -> Vec<Truth> {
    let there = world.items.iter().filter(|(_, item)| !item.destroyed);
    let items = there.map(|(id, item)| {
        let last = item.revisions.last().expect("a work item has a revision");
        vec![id.to_string(), cell(&last["rev"]), cell(&last["fields"]["System.State"]), item.in_bin.to_string()]
    });
    let revisions = world.items.iter().flat_map(|(id, item)| {
        let of = move |one: &Value| vec![id.to_string(), cell(&one["rev"]), cell(&one["fields"]["System.State"])];
        item.revisions.iter().map(of)
    });
    let alive = world.items.values().filter(|item: &&Item| !item.in_bin && !item.destroyed);
    let comments = alive.flat_map(|item| &item.comments);
    vec![
        truth("ado_work_item", "id, rev, state, coalesce(is_deleted, false)", items),
        truth("ado_work_item_revision", "work_item_id, rev, state", revisions),
        plain("ado_work_item_comment", "work_item_id, comment_id, text", &["workItemId", "id", "text"], comments),
    ]
}
