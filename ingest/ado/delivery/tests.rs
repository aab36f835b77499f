#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use engine::{Catalogue, Frame, Limits, Ports, Scope, Settings, Store, Value as Cell};
use futures::TryStreamExt;
use serde_json::{Value, json};

use super::VIEWS;
use crate::ado::answer;
use crate::ado::origin::Origin;

struct Ground {
    _folder: tempfile::TempDir,
    store: Arc<Store>,
}

impl Ground {
    async fn new() -> Ground {
        let folder = tempfile::tempdir().unwrap();
        let mut tables = vec![&engine::reject::REJECT, &engine::query_log::QUERY_LOG];
        tables.extend(crate::ado::TABLES);
        let catalogue = Catalogue { tables, views: VIEWS.to_vec(), ..Catalogue::default() };
        let ports = Ports { clock: Arc::new(engine::WallClock), redactor: Arc::new(engine::NoRedaction) };
        let store = Store::open(Settings::new(folder.path()), catalogue, ports).await.unwrap();
        Ground { _folder: folder, store }
    }

    async fn tell(&self, kind: &str, items: Value, given: &[(&'static str, Cell)]) {
        let origin = Origin {
            tenant: "acme".to_owned(),
            organization: "org".to_owned(),
            project_id: Some("p".to_owned()),
            project: Some("P".to_owned()),
            version: Some(1),
        };
        let (batches, _, reasons) = answer::read(kind, &items, &origin, given).unwrap();
        assert!(reasons.is_empty(), "{reasons:?}");
        let mut frame = Frame::new("test");
        frame.batches = batches;
        self.store.append(frame).await.unwrap();
    }

    async fn ask(&self, sql: &str) -> Vec<Value> {
        let answer = self.store.query(&Scope::platform("test"), sql, Limits::default()).await.unwrap();
        let batches: Vec<engine::arrow::array::RecordBatch> = answer.stream.try_collect().await.unwrap();
        let mut writer = engine::arrow::json::LineDelimitedWriter::new(Vec::new());
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
        let text = String::from_utf8(writer.into_inner()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn check(&self, sql: &str, expected: Value) {
        assert_eq!(Value::Array(self.ask(sql).await), expected, "{sql}");
    }
}

fn pull(id: i64, opened: &str, closed: &str, merge: &str) -> Value {
    json!({"pullRequestId": id, "repository": {"id": "r", "name": "R"}, "status": "completed", "creationDate": opened, "closedDate": closed,
        "sourceRefName": format!("refs/heads/topic-{id}"), "targetRefName": "refs/heads/main", "lastMergeCommit": {"commitId": merge},
        "createdBy": {"displayName": "Ann", "uniqueName": "ann@x"}, "reviewers": []})
}

fn push(id: i64, name: &str, to: &str, at: &str) -> Value {
    json!({"pushId": id, "date": at, "repository": {"id": "r"}, "refUpdates": [{"name": name, "oldObjectId": "0", "newObjectId": to}]})
}

fn build(id: i64, commit: &str, from: &str, to: &str, result: &str) -> Value {
    json!({"id": id, "status": "completed", "result": result, "definition": {"id": 1, "name": "cd"}, "repository": {"id": "r", "name": "R"},
        "sourceBranch": "refs/heads/main", "sourceVersion": commit, "queueTime": from, "startTime": from, "finishTime": to})
}

async fn deployed(ground: &Ground, id: i64, run: i64, from: &str, to: &str, result: &str, environment: &str) {
    let record = json!([{"id": id, "owner": {"id": run}, "definition": {"id": 1, "name": "cd"}, "queueTime": from, "startTime": from,
        "finishTime": to, "result": result}]);
    let given = [("environment_id", Cell::Int(1)), ("environment", Cell::from(environment))];
    ground.tell("deployments", record, &given).await;
}

/// Two merges, a deployment between that holds the first only, a failed one, and one that holds both.
async fn delivered(ground: &Ground) {
    ground
        .tell(
            "pushes",
            json!([
                push(1, "refs/heads/topic-1", "c1", "2026-01-05T08:00:00Z"),
                push(2, "refs/heads/main", "m1", "2026-01-05T12:00:00Z"),
                push(3, "refs/heads/main", "m2", "2026-01-06T12:00:00Z"),
            ]),
            &[],
        )
        .await;
    let commit = |sha: &str, at: &str, push: i64| json!({"commitId": sha, "author": {"name": "Ann", "date": at}, "committer": {"name": "Ann", "date": at}, "push": {"pushId": push}});
    let commits = json!([commit("c1", "2026-01-05T07:00:00Z", 1)]);
    ground.tell("commits", commits, &[("repository_id", Cell::from("r"))]).await;
    let pulls = json!([
        pull(1, "2026-01-05T09:00:00Z", "2026-01-05T12:00:00Z", "m1"),
        pull(2, "2026-01-06T09:00:00Z", "2026-01-06T12:00:00Z", "m2"),
    ]);
    ground.tell("pullRequests", pulls, &[]).await;
    ground
        .tell(
            "builds",
            json!([
                build(10, "m1", "2026-01-05T13:00:00Z", "2026-01-05T13:30:00Z", "succeeded"),
                // It began after the second merge and still ran the first: what it ran counts, not the clock.
                build(11, "m1", "2026-01-06T13:00:00Z", "2026-01-06T13:30:00Z", "succeeded"),
                build(12, "m2", "2026-01-13T13:00:00Z", "2026-01-13T13:20:00Z", "failed"),
                build(13, "m2", "2026-01-14T13:00:00Z", "2026-01-14T13:20:00Z", "succeeded"),
            ]),
            &[],
        )
        .await;
    for (id, run, day, result) in
        [(1, 10, "05", "succeeded"), (2, 11, "06", "succeeded"), (3, 12, "13", "failed"), (4, 13, "14", "succeeded")]
    {
        let at = |minute: &str| format!("2026-01-{day}T13:{minute}:00Z");
        deployed(ground, id, run, &at("05"), &at("20"), result, "production").await;
    }
    // A second record of the last run: the same deployment, which ends with it.
    deployed(ground, 5, 13, "2026-01-14T13:20:00Z", "2026-01-14T14:00:00Z", "succeeded", "production").await;
    deployed(ground, 6, 13, "2026-01-14T13:20:00Z", "2026-01-14T14:00:00Z", "succeeded", "staging").await;
}

#[tokio::test]
async fn deployments_and_lead_times() {
    let ground = Ground::new().await;
    delivered(&ground).await;
    ground
        .check(
            "SELECT deployment_id, result, CAST(finished_at AS VARCHAR) AS at_time FROM dora_deployment WHERE is_production ORDER BY 1",
            json!([
                {"deployment_id": "10", "result": "succeeded", "at_time": "2026-01-05T13:20:00Z"},
                {"deployment_id": "11", "result": "succeeded", "at_time": "2026-01-06T13:20:00Z"},
                {"deployment_id": "12", "result": "failed", "at_time": "2026-01-13T13:20:00Z"},
                {"deployment_id": "13", "result": "succeeded", "at_time": "2026-01-14T14:00:00Z"},
            ]),
        )
        .await;
    // The first deployment carries the first pull request; the second waits for the one that ran its merge.
    ground
        .check(
            "SELECT pull_request_id, deployment_id, coding_minutes, review_minutes, deploy_minutes, lead_time_minutes FROM dora_lead_time ORDER BY 1",
            json!([
                {"pull_request_id": 1, "deployment_id": "10", "coding_minutes": 120, "review_minutes": 180, "deploy_minutes": 80, "lead_time_minutes": 380},
                {"pull_request_id": 2, "deployment_id": "13", "review_minutes": 180, "deploy_minutes": 11_640, "lead_time_minutes": 11_820},
            ]),
        )
        .await;
    ground
        .check(
            "SELECT pull_requests, median_lead_time_minutes, band FROM dora_lead_time_month",
            json!([{"pull_requests": 2, "median_lead_time_minutes": 380, "band": "elite"}]),
        )
        .await;
    // Two days in the week of the 5th, one in that of the 12th: the failed one counts nowhere.
    ground
        .check(
            "SELECT weeks, deployment_days, median_days_per_week, band FROM dora_deployment_frequency",
            json!([{"weeks": 2, "deployment_days": 3, "median_days_per_week": 1.5, "band": "high"}]),
        )
        .await;
}

#[tokio::test]
async fn failures_and_recovery() {
    let ground = Ground::new().await;
    delivered(&ground).await;
    // Nothing is told of incidents: that is no rate of 0.
    let rates = "SELECT deployments, failed_deployments, rate, band FROM dora_change_failure_rate";
    ground.check(rates, json!([{"deployments": 3, "failed_deployments": 0}])).await;
    let incident = |id: i64, kind: &str, tags: &str, created: &str, closed: &str| {
        json!({"id": id, "rev": 1, "fields": {"System.TeamProject": "P", "System.WorkItemType": kind, "System.Tags": tags, "System.State": "Closed",
            "System.CreatedDate": created, "Microsoft.VSTS.Common.ClosedDate": closed}})
    };
    let items = json!([
        incident(1, "Bug", "web; Incident", "2026-01-06T14:00:00Z", "2026-01-06T15:20:00Z"),
        incident(2, "Incident", "", "2026-01-06T15:00:00Z", "2026-01-06T16:20:00Z"),
        incident(3, "Bug", "incidental", "2026-01-06T15:00:00Z", "2026-01-06T16:20:00Z"),
    ]);
    ground.tell("workItems", items, &[]).await;
    ground
        .check(
            "SELECT id, deployment_id, recovery_minutes FROM dora_incident ORDER BY id",
            json!([{"id": 1, "deployment_id": "11", "recovery_minutes": 120}, {"id": 2, "deployment_id": "11", "recovery_minutes": 180}]),
        )
        .await;
    ground.check(rates, json!([{"deployments": 3, "failed_deployments": 1, "rate": 1.0 / 3.0, "band": "low"}])).await;
    ground
        .check(
            "SELECT incidents, median_recovery_minutes, band FROM dora_recovery_time",
            json!([{"incidents": 2, "median_recovery_minutes": 120, "band": "high"}]),
        )
        .await;
}

#[tokio::test]
async fn reviews_pipelines_tests_and_items() {
    let ground = Ground::new().await;
    delivered(&ground).await;
    let comment = |id: i64, who: &str, at: &str, kind: &str| {
        json!({"id": id, "comments": [{"id": 1, "author": {"displayName": who, "uniqueName": format!("{who}@x")}, "publishedDate": at, "commentType": kind}],
            "publishedDate": at})
    };
    let mut vote = comment(3, "bob", "2026-01-05T11:00:00Z", "system");
    vote["properties"] =
        json!({"CodeReviewThreadType": {"$value": "VoteUpdate"}, "CodeReviewVoteResult": {"$value": "10"}});
    let threads = json!([
        comment(1, "ann", "2026-01-05T09:10:00Z", "text"),
        comment(2, "bob", "2026-01-05T10:00:00Z", "text"),
        vote,
    ]);
    let given = [("repository_id", Cell::from("r")), ("pull_request_id", Cell::Int(1))];
    ground.tell("pullRequestThreads", threads, &given).await;
    ground
        .check(
            "SELECT pull_request_id, comments, reviewers, pickup_minutes, review_minutes, cycle_minutes FROM pull_request_cycle ORDER BY 1",
            json!([
                {"pull_request_id": 1, "comments": 1, "reviewers": 1, "pickup_minutes": 60, "review_minutes": 120, "cycle_minutes": 180},
                {"pull_request_id": 2, "comments": 0, "reviewers": 0, "cycle_minutes": 180},
            ]),
        )
        .await;
    ground
        .check(
            "SELECT sum(builds) AS builds, sum(failed) AS failed, avg(success_rate) AS rate, max(median_duration_ms) AS longest FROM pipeline_health",
            json!([{"builds": 4, "failed": 1, "rate": 0.75, "longest": 1_800_000.0}]),
        )
        .await;
    let run = |id: i64, build: i64| json!({"id": id, "build": {"id": build.to_string()}, "name": "unit"});
    ground.tell("test/runs", json!([run(1, 10), run(2, 11)]), &[]).await;
    for (number, outcome) in [(1, "Failed"), (2, "Passed")] {
        let result =
            |id: i64, name: &str, outcome: &str| json!({"id": id, "automatedTestName": name, "outcome": outcome});
        let results = json!([result(1, "a", outcome), result(2, "b", "Passed")]);
        ground.tell("test/results", results, &[("run_id", Cell::Int(number))]).await;
    }
    // Both builds ran the same commit.
    ground
        .check(
            "SELECT test, passed, failed, flaky_rate FROM flaky_test",
            json!([{"test": "a", "passed": 1, "failed": 1, "flaky_rate": 1.0}]),
        )
        .await;
    let revision = |rev: i64, state: &str, at: &str| json!({"id": 7, "rev": rev, "fields": {"System.WorkItemType": "Bug", "System.State": state, "System.ChangedDate": at, "System.TeamProject": "P"}});
    let revisions = json!({"values": [
        revision(3, "Active", "2026-01-05T11:00:00Z"),
        revision(1, "New", "2026-01-05T08:00:00Z"),
        revision(2, "Active", "2026-01-05T09:00:00Z"),
        revision(4, "Closed", "2026-01-05T12:00:00Z"),
    ]});
    ground.tell("workItemRevisions", revisions, &[]).await;
    ground
        .check(
            "SELECT step_number, state, state_after, stay_minutes FROM work_item_flow ORDER BY 1",
            json!([
                {"step_number": 1, "state": "New", "state_after": "Active", "stay_minutes": 60},
                {"step_number": 2, "state": "Active", "state_after": "Closed", "stay_minutes": 180},
                {"step_number": 3, "state": "Closed"},
            ]),
        )
        .await;
}
