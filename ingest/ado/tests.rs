#![allow(clippy::unwrap_used)]

use engine::Scope;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::shown::{data, fixture, rows};

fn parse(body: &[u8]) -> Parsed {
    event(body, &Scope::tenant("acme", "test"), None).unwrap()
}

fn parsed(name: &str) -> Parsed {
    let parsed = parse(&fixture(&format!("ado/{name}.json")));
    assert!(parsed.rejects.is_empty(), "{name}: {:?}", parsed.rejects);
    assert_eq!(parsed.accepted, 1, "{name}");
    parsed
}

fn check(row: &Value, expected: Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(row.get(name).unwrap_or(&Value::Null), value, "{name} of {row}");
    }
}

#[test]
fn every_event_is_kept_whole() {
    for (name, expected) in [
        (
            "git.push",
            json!({"event_type": "git.push", "publisher_id": "tfs", "resource_type": "push", "resource_id": "14",
            "organization": "fabrikam-fiber-inc", "project": "Fabrikam-Fiber-Git", "actor": "Jamal Hartnett", "tenant": "acme",
            "created_date": "2016-09-19T13:03:27.037915Z", "collection_id": "c12d0eb8-e382-443b-9f9c-c52cba5014c2"}),
        ),
        (
            "manualintervention.pending",
            json!({"event_type": "manualintervention.pending", "event_id": null, "project": "project-name"}),
        ),
        (
            "ms.vss-pipelines.job-state-changed-event",
            json!({"resource_type": "job", "notification_id": 3,
            "subscription_id": "aaaa0a0a-bb1b-cc2c-dd3d-eeeeee4e4e4e"}),
        ),
        ("ms.vss-alerts.alert-created-event", json!({"resource_type": "alert", "resource_id": "1"})),
        ("tfvc.checkin", json!({"resource_type": "changeset", "resource_id": "18", "actor": "Normal Paulk"})),
        (
            "variant.workitem.updated-5.1",
            json!({"resource_id": "30", "message": null, "organization": "fake-organization",
            "actor": "Bob Silent (Its Me)", "actor_unique_name": "bob@zzz.com", "project": "ExampleProject"}),
        ),
    ] {
        let found = rows(&parsed(name), &ADO_EVENT);
        assert_eq!(found.len(), 1);
        check(&found[0], expected);
        let body: Value = serde_json::from_str(found[0]["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, serde_json::from_slice::<Value>(&fixture(&format!("ado/{name}.json"))).unwrap());
    }
}

#[test]
fn work_items_follow_their_events() {
    for (name, expected) in [
        (
            "workitem.created",
            json!({"id": 5, "rev": 1, "state": "New", "title": "Some great new idea!", "is_deleted": false,
            "created_by": "Jamal Hartnett", "severity": "3 - Medium", "project": "FabrikamCloud", "work_item_type": "Bug",
            "created_date": "2014-07-15T17:42:44.663Z", "area_path": "FabrikamCloud"}),
        ),
        (
            "workitem.updated",
            json!({"id": 5, "rev": 2, "state": "Approved", "severity": "2 - High", "assigned_to": "Jamal Hartnet"}),
        ),
        ("workitem.commented", json!({"id": 5, "rev": 4})),
        ("workitem.deleted", json!({"id": 5, "is_deleted": true, "title": "Some great new idea!"})),
        ("workitem.restored", json!({"id": 5, "is_deleted": false})),
        ("variant.workitem.updated-test", json!({"id": 5, "assigned_to": "Jamal Hartnett"})),
        (
            "variant.workitem.updated-5.1",
            json!({"id": 30, "rev": 5, "work_item_type": "User Story", "state": "Active",
            "assigned_to": "Bob Silent (Its Me)", "assigned_to_unique_name": "bob@zzz.com", "created_by_unique_name": "alice@zzz.com"}),
        ),
    ] {
        let found = rows(&parsed(name), &ADO_WORK_ITEM);
        assert_eq!(found.len(), 1, "{name}");
        check(&found[0], expected);
    }
}

#[test]
fn pull_requests_pushes_and_builds() {
    let one = |name: &str, table| rows(&parsed(name), table).remove(0);
    check(
        &one("git.pullrequest.created", &ADO_PULL_REQUEST),
        json!({"pull_request_id": 1, "status": "active", "merge_status": "succeeded",
        "title": "my first pull request", "source_ref_name": "refs/heads/mytopic", "target_ref_name": "refs/heads/master",
        "repository": "Fabrikam", "created_by_unique_name": "fabrikamfiber4@hotmail.com", "organization": "fabrikam",
        "last_merge_commit": "eef717f69257a6333f221566c1c987dc94cc0d72", "approvals": 0}),
    );
    check(
        &one("git.pullrequest.merged", &ADO_PULL_REQUEST),
        json!({"status": "completed", "closed_date": "2014-06-30T18:59:12.366057Z"}),
    );
    check(
        &one("ms.vss-code.git-pullrequest-comment-event", &ADO_PULL_REQUEST),
        json!({"pull_request_id": 1, "status": "active"}),
    );
    check(
        &one("git.push", &ADO_PUSH),
        json!({"push_id": 14, "commit_count": 1, "ref_name": "refs/heads/master",
        "pushed_by": "Jamal Hartnett", "push_date": "2014-05-02T19:17:13.330958Z"}),
    );
    check(
        &one("build.complete", &ADO_BUILD),
        json!({"id": 2, "build_number": "ConsumerAddressModule_20150407.1", "status": "completed",
        "result": "succeeded", "definition": "ConsumerAddressModule", "duration_ms": 123_860, "source_branch": "refs/heads/master",
        "source_version": "600c52d2d5b655caa111abfd863e5a9bd304bb0e", "requested_for": "Normal Paulk"}),
    );
    check(
        &one("ms.vss-pipelines.run-state-changed-event", &ADO_BUILD),
        json!({"id": 11, "definition": "Pipeline-Name",
        "status": "completed", "result": "succeeded", "duration_ms": 660_000}),
    );
}

#[test]
fn every_event_reaches_its_own_table() {
    for (name, table, expected) in [
        ("agentqueue.created", &ADO_AGENT_QUEUE, json!({"id": 1, "name": "Sample pool"})),
        ("agentqueue.updated", &ADO_AGENT_QUEUE, json!({"id": 1})),
        ("elasticagentpool.resized", &ADO_ELASTIC_POOL, json!({"pool_id": 1, "previous_size": 1, "desired_size": 5})),
        (
            "git.repo.created",
            &ADO_REPOSITORY,
            json!({"name": "Fabrikam-Fiber-Git", "size_bytes": 728, "default_branch": "refs/heads/main", "is_disabled": false}),
        ),
        ("git.repo.deleted", &ADO_REPOSITORY, json!({"id": "c2c2c2c2-dddd-eeee-ffff-a3a3a3a3a3a3"})),
        (
            "git.repo.forked",
            &ADO_REPOSITORY,
            json!({"name": "Forked-Fiber-Git", "parent_repository_id": "c2c2c2c2-dddd-eeee-ffff-a3a3a3a3a3a3",
            "project": "Another-Great-Project", "is_fork": true}),
        ),
        ("git.repo.renamed", &ADO_REPOSITORY, json!({"name": "Fabrikam-Fiber-Git", "project": "Contoso"})),
        ("git.repo.statuschanged", &ADO_REPOSITORY, json!({"is_disabled": false})),
        (
            "manualintervention.pending",
            &ADO_MANUAL_INTERVENTION,
            json!({"status": "pending", "project": "project-name"}),
        ),
        ("message.posted", &ADO_MESSAGE, json!({"content": "Hello", "posted_by": "Jamal Hartnett"})),
        (
            "ms.vss-alerts.alert-created-event",
            &ADO_ALERT,
            json!({"alert_id": 1, "severity": "critical", "tool": "codeql", "rule": "codeql rule", "dismissal_type": "fixed"}),
        ),
        (
            "ms.vss-code.git-pullrequest-comment-event",
            &ADO_PULL_REQUEST_COMMENT,
            json!({"pull_request_id": 1, "id": 2, "parent_comment_id": 1, "content": "This is my comment.",
            "author_unique_name": "fabrikamfiber4@hotmail.com"}),
        ),
        ("ms.vss-endpoint.endpoint-created", &ADO_SERVICE_ENDPOINT, json!({"name": "Sample service connection"})),
        (
            "ms.vss-pipelinechecks-events.approval-pending",
            &ADO_APPROVAL,
            json!({"status": "pending", "min_required_approvers": 2, "instructions": "Instructions"}),
        ),
        (
            "ms.vss-pipelinechecks-events.approval-completed",
            &ADO_APPROVAL_STEP,
            json!({"status": "approved", "comment": "Sample comment", "approver_id": "d3d3d3d3-eeee-ffff-aaaa-b4b4b4b4b4b4"}),
        ),
        (
            "ms.vss-pipelinechecks-events.check-updated-event",
            &ADO_CHECK,
            json!({"id": 1, "resource_type": "queue", "resource_id": "1"}),
        ),
        (
            "ms.vss-pipelines.run-state-changed-event",
            &ADO_RUN,
            json!({"id": 11, "pipeline": "Pipeline-Name", "state": "completed", "duration_ms": 660_000}),
        ),
        (
            "ms.vss-pipelines.stage-state-changed-event",
            &ADO_STAGE,
            json!({"run_id": 2, "name": "__default", "result": "succeeded", "pipeline": "TEST-CI"}),
        ),
        (
            "ms.vss-pipelines.job-state-changed-event",
            &ADO_JOB,
            json!({"run_id": 2, "stage_id": "e4e4e4e4-ffff-aaaa-bbbb-c5c5c5c5c5c5", "duration_ms": 0}),
        ),
        (
            "ms.vss-release.deployment-approval-completed-event",
            &ADO_RELEASE_APPROVAL,
            json!({"approval_type": "preDeploy", "status": "approved", "approved_by": "Chuck Reinhart", "release_id": 1}),
        ),
        (
            "ms.vss-release.deployment-started-event",
            &ADO_RELEASE_ENVIRONMENT,
            json!({"name": "Dev", "status": "queued", "release_id": 5, "id": 5}),
        ),
        (
            "ms.vss-release.release-created-event",
            &ADO_RELEASE,
            json!({"id": 4, "definition": "Fabrikam.CD", "status": "active"}),
        ),
        ("ms.vss-release.release-abandoned-event", &ADO_RELEASE, json!({"status": "abandoned"})),
        ("tfvc.checkin", &ADO_CHANGESET, json!({"changeset_id": 18, "checked_in_by": "Normal Paulk"})),
        ("workitem.commented", &ADO_WORK_ITEM_COMMENT, json!({"work_item_id": 5, "comment_id": "rev:4"})),
        ("workitem.updated", &ADO_WORK_ITEM_REVISION, json!({"work_item_id": 5, "rev": 2, "state": "Approved"})),
        (
            "git.push",
            &ADO_COMMIT,
            json!({"commit_id": "33b55f7cb7e7e245323987634f960cf4a6e6bc74", "push_id": 14, "author_name": "Jamal Hartnett"}),
        ),
        (
            "git.push",
            &ADO_REF,
            json!({"name": "refs/heads/master", "object_id": "33b55f7cb7e7e245323987634f960cf4a6e6bc74"}),
        ),
        (
            "git.pullrequest.merged",
            &ADO_PULL_REQUEST_VOTE,
            json!({"reviewer_id": "2ea2d095-48f9-4cd6-9966-62f6f574096c", "vote": 0}),
        ),
    ] {
        let found = rows(&parsed(name), table);
        assert!(!found.is_empty(), "{name} reaches no row of {}", table.name);
        check(&found[0], expected);
    }
}

#[test]
fn shapes_read_columns_that_exist() {
    for shape in SHAPES {
        for (column, _) in shape.paths {
            assert!(shape.table.position(column).is_some(), "{} declares no column {column}", shape.table.name);
        }
        for key in shape.table.key {
            assert!(shape.table.position(key).is_some(), "{} declares no key {key}", shape.table.name);
        }
    }
}

#[test]
fn envelopes_of_every_spelling() {
    let pascal = json!({"SubscriptionId": "s", "NotificationId": 4, "Id": "e", "EventType": "workitem.updated", "PublisherId": "tfs",
        "Message": null, "DetailedMessage": {"Text": "long"}, "ResourceVersion": "3.1-preview.3", "CreatedDate": "2020-01-07T13:16:12Z",
        "ResourceContainers": {"Collection": {"Id": "c", "BaseUrl": "https://dev.azure.com/Acme/"}, "Project": {"Id": "p"}},
        "Resource": {"id": 9, "workItemId": 30, "rev": 5, "revisedDate": "9999-01-01T00:00:00Z",
            "fields": {"System.State": {"oldValue": "New", "newValue": "Active"}, "System.AssignedTo": {"oldValue": "Bob"}},
            "revision": {"id": 30, "rev": 5, "fields": {"System.WorkItemType": "Task", "System.State": "New", "System.AssignedTo": "Bob",
                "System.Parent": 7, "Microsoft.VSTS.Common.Priority": "2", "Microsoft.VSTS.Scheduling.StoryPoints": 3.5, "System.Tags": "a; b"}}}});
    let body = format!("\u{feff}{pascal}\n");
    let parsed = parse(body.as_bytes());
    assert_eq!(parsed.idempotency.as_ref().unwrap().key, "ado:one:acme:s:e:4");
    check(
        &rows(&parsed, &ADO_EVENT)[0],
        json!({"event_type": "workitem.updated", "event_id": "e", "detailed_message": "long",
        "resource_version": "3.1-preview.3", "organization": "acme", "project_id": "p"}),
    );
    check(
        &rows(&parsed, &ADO_WORK_ITEM)[0],
        json!({"id": 30, "state": "Active", "assigned_to": null, "parent": 7, "priority": 2,
        "story_points": 3.5, "tag_names": "a; b"}),
    );
}

#[test]
fn minimal_resources_do_not_wipe_what_is_known() {
    for (event, table, count) in [
        (
            json!({"eventType": "workitem.updated", "resource": {"id": 1, "workItemId": 5, "url": "x"}}),
            &ADO_WORK_ITEM,
            0,
        ),
        (json!({"eventType": "workitem.deleted", "resource": {"id": 5}}), &ADO_WORK_ITEM, 1),
        (json!({"eventType": "git.pullrequest.updated", "resource": {"pullRequestId": 5}}), &ADO_PULL_REQUEST, 0),
        (json!({"eventType": "git.push"}), &ADO_PUSH, 0),
        (json!({"eventType": "build.complete", "resource": null}), &ADO_BUILD, 0),
    ] {
        let parsed = parse(event.to_string().as_bytes());
        assert_eq!((parsed.accepted, parsed.rejects.len()), (1, 0), "{event}");
        assert_eq!(rows(&parsed, table).len(), count, "{event}");
    }
}

#[test]
fn what_is_no_event_is_told() {
    for (body, reason) in [
        ("", "no JSON"),
        ("hello", "no JSON"),
        ("{\"eventType\":\"x\"", "no JSON"),
        ("[]", "no JSON object"),
        ("{}", "eventType is missing"),
        ("{\"eventType\":7}", "eventType is missing"),
    ] {
        let parsed = parse(body.as_bytes());
        assert_eq!((parsed.accepted, parsed.rejects.len()), (0, 1), "{body}");
        assert!(parsed.rejects[0].reason.contains(reason), "{}", parsed.rejects[0].reason);
        assert!(parsed.idempotency.is_some());
    }
    let odd = json!({"eventType": "git.pullrequest.created", "resource": {"pullRequestId": 1, "status": "x", "repository": {"id": "r"}, "reviewers": 7}});
    let parsed = parse(odd.to_string().as_bytes());
    assert_eq!((parsed.accepted, parsed.rejects.len()), (1, 1));
    assert_eq!(rows(&parsed, &ADO_EVENT).len(), 1);
}

#[test]
fn the_key_names_the_delivery() {
    let scope = Scope::platform("test");
    let key = |body: &str, delivery| event(body.as_bytes(), &scope, delivery).unwrap().idempotency.unwrap().key;
    assert_eq!(
        key(r#"{"eventType":"x","id":"e","subscriptionId":"s","notificationId":7}"#, Some("d")),
        "ado:all::s:e:7"
    );
    assert_eq!(key(r#"{"eventType":"x","id":"e"}"#, Some("d")), "ado:all::delivery:d");
    let bare = key(r#"{"eventType":"x","id":"e"}"#, None);
    assert!(bare.starts_with("ado:all::body:"));
    assert_ne!(bare, key(r#"{"eventType":"y","id":"e"}"#, None));
    let long = format!(r#"{{"eventType":"x","id":"{}","subscriptionId":"s"}}"#, "e".repeat(4_000));
    assert!(key(&long, None).len() <= 512);
}

#[test]
fn files_hold_one_event_or_many() {
    let one = r#"{"eventType":"x","id":"1"}"#;
    let two = r#"{"eventType":"y","id":"2"}"#;
    for (body, accepted, rejected) in [
        (one.to_owned(), 1, 0),
        (format!("[{one},{two}]"), 2, 0),
        (format!("{one}\n{two}\n"), 2, 0),
        (format!("{one}\n{{broken\n{two}\n"), 2, 1),
        (format!("[{one},7]"), 1, 1),
        (String::new(), 0, 1),
    ] {
        let units = units(body.as_bytes(), "acme", "one:acme", content_hash(body.as_bytes()));
        assert_eq!(units.len(), 1);
        assert_eq!((units[0].accepted, units[0].rejects.len()), (accepted, rejected), "{body}");
    }
    let hooked = rows(&parse(format!(" {one}\n").as_bytes()), &ADO_EVENT).remove(0);
    let filed = rows(&units(one.as_bytes(), "acme", "one:acme", [0; 32])[0], &ADO_EVENT).remove(0);
    assert_eq!(hooked["delivery"], filed["delivery"], "the same event by either way is one row");
}

#[test]
fn every_file_of_the_data_is_kept() {
    let mut deliveries = std::collections::BTreeSet::new();
    for path in data("ado/service_hooks") {
        let parsed = parse(&std::fs::read(&path).unwrap());
        assert!(parsed.rejects.is_empty(), "{}: {:?}", path.display(), parsed.rejects);
        let row = rows(&parsed, &ADO_EVENT).remove(0);
        assert!(deliveries.insert(row["delivery"].as_str().unwrap().to_owned()), "{}", path.display());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_kept(body in prop::collection::vec(any::<u8>(), 0..400)) {
        let parsed = parse(&body);
        prop_assert_eq!(parsed.accepted + parsed.rejects.len() as u64, 1);
    }

    #[test]
    fn any_resource_is_kept(kind in 0_usize..5, word in "\\PC{0,12}", number in any::<i64>()) {
        let kinds = ["workitem.updated", "git.pullrequest.created", "git.push", "build.complete", "ms.vss-pipelines.run-state-changed-event"];
        for resource in [json!(word), json!([number]), json!({"id": word, "fields": [1], "run": number, "refUpdates": {}, "status": number,
            "pullRequestId": number, "repository": {"id": word}, "pushId": number, "reviewers": [word]})] {
            let event = json!({"eventType": kinds[kind], "id": number, "resource": resource, "createdDate": word, "message": word});
            prop_assert_eq!(parse(event.to_string().as_bytes()).accepted, 1);
        }
    }
}
