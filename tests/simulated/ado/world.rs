//! What the organization holds, and how it changes. Everything is decided by the seed and the time, so that two runs over
//! one seed have the same history whatever they ask.

#[allow(dead_code)] // The benches' own.
mod history;

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::clock::BEGINNING_US;
use super::date::rfc3339;

/// Address that resources name; the door's own port would differ between two runs.
pub const HOME: &str = "https://dev.azure.com/acme";
const ZEROS: &str = "0000000000000000000000000000000000000000";
const CHANGES_AN_HOUR: usize = 40;
/// When the organization was made.
const FIRST_DAY_US: i64 = BEGINNING_US - 20 * 86_400_000_000;

/// One pull request with what hangs on it.
pub struct Pull {
    pub resource: Value,
    pub threads: Vec<Value>,
    pub evaluations: Vec<Value>,
}

/// One build with its timeline.
pub struct Build {
    pub resource: Value,
    pub records: Vec<Value>,
}

/// One work item: all its revisions, and whether it lies in the bin.
pub struct Item {
    pub revisions: Vec<Value>,
    pub comments: Vec<Value>,
    pub in_bin: bool,
    pub destroyed: bool,
}

/// The organization.
pub struct World {
    dice: StdRng,
    now_us: i64,
    next: i64,
    pub projects: Vec<Value>,
    pub repositories: Vec<Value>,
    /// By repository and name.
    pub refs: BTreeMap<(String, String), String>,
    /// By repository, oldest first; each with its commits.
    pub pushes: Vec<(String, Value, Vec<Value>)>,
    pub pulls: Vec<Pull>,
    pub policies: Vec<(String, Value)>,
    pub builds: Vec<Build>,
    pub approvals: Vec<(String, Value)>,
    pub environments: Vec<(String, Value)>,
    pub deployments: Vec<(i64, Value)>,
    pub items: BTreeMap<i64, Item>,
    /// Number of the work item and of its revision, in the order of the source's watermark.
    pub watermarks: Vec<(i64, usize)>,
    pub groups: Vec<Value>,
    pub users: Vec<Value>,
    pub members: Vec<(String, String)>,
    pub subscriptions: Vec<Value>,
    pub audit: Vec<Value>,
    pub test_runs: Vec<(String, Value, Vec<Value>)>,
    pub alerts: Vec<(String, Value)>,
    events: Vec<String>,
}

fn person(n: i64) -> Value {
    json!({"id": format!("person-{n}"), "displayName": format!("Person {n}"), "uniqueName": format!("person{n}@acme.example"),
        "descriptor": format!("aad.{n}")})
}

impl World {
    /// A small organization.
    pub fn new(seed: u64) -> World {
        World::sized(seed, FIRST_DAY_US, 2, 2, 12)
    }

    /// One with many repositories and work items.
    pub fn large(seed: u64, size: usize) -> World {
        let mut world = World::sized(seed, FIRST_DAY_US, 4, size / 4, size * 40);
        for _ in 0..size {
            world.now_us += 1_000_000;
            world.change();
        }
        for _ in 0..size * 12 {
            world.now_us += 1_000_000;
            world.open_pull();
            world.start_build();
        }
        world.events.clear();
        world
    }

    fn sized(seed: u64, now_us: i64, projects: usize, repositories: usize, items: usize) -> World {
        let mut world = World {
            dice: StdRng::seed_from_u64(seed),
            now_us,
            next: 100,
            projects: vec![],
            repositories: vec![],
            refs: BTreeMap::new(),
            pushes: vec![],
            pulls: vec![],
            policies: vec![],
            builds: vec![],
            approvals: vec![],
            environments: vec![],
            deployments: vec![],
            items: BTreeMap::new(),
            watermarks: vec![],
            groups: vec![],
            users: (0..5)
                .map(|n| {
                    json!({"descriptor": format!("aad.{n}"), "displayName": format!("Person {n}"),
                "principalName": format!("person{n}@acme.example"), "origin": "aad", "subjectKind": "user"})
                })
                .collect(),
            members: vec![],
            subscriptions: vec![
                json!({"id": "theirs", "eventType": "git.push", "publisherId": "tfs", "status": "enabled", "resourceVersion": "1.0",
                "consumerId": "webHooks", "consumerInputs": {"url": "https://elsewhere.example/", "basicAuthPassword": "hush"}}),
            ],
            audit: vec![],
            test_runs: vec![],
            alerts: vec![],
            events: vec![],
        };
        for n in 0..projects {
            let id = format!("project-{n}");
            world.projects.push(json!({"id": id, "name": format!("Fabrikam {n}"), "state": "wellFormed", "visibility": "private", "revision": 1,
                "url": format!("{HOME}/_apis/projects/{id}")}));
            for r in 0..repositories {
                world.make_repository(n, &format!("repo {r}"));
            }
            let policy = world.number();
            world.policies.push((id.clone(), json!({"id": policy, "revision": 1, "isEnabled": true, "isBlocking": true, "isDeleted": false,
                "createdBy": person(1), "createdDate": rfc3339(world.now_us), "type": {"id": "fa4e907d-c16b-4a4c-9dfa-4906e5d171dd",
                "displayName": "Minimum number of reviewers"}, "settings": {"minimumApproverCount": 2}})));
            let environment = world.number();
            world.environments.push((
                id.clone(),
                json!({"id": environment, "name": "production", "createdBy": person(1),
                "createdOn": rfc3339(world.now_us), "lastModifiedOn": rfc3339(world.now_us)}),
            ));
            let group = format!("vssgp.{n}");
            world.groups.push(json!({"descriptor": group, "displayName": "Contributors", "principalName": format!("[Fabrikam {n}]\\Contributors"), "origin": "vsts"}));
            world.members.push((group, "aad.1".to_owned()));
        }
        for _ in 0..items {
            world.make_item();
        }
        world.events.clear();
        world
    }

    /// An hour of life from `began_us` on; its events, as service hooks send them.
    pub fn live(&mut self, began_us: i64) -> Vec<String> {
        self.now_us = began_us;
        for _ in 0..CHANGES_AN_HOUR {
            // All in its first half.
            self.now_us += self.dice.random_range(1_000_000..40_000_000);
            self.change();
        }
        std::mem::take(&mut self.events)
    }

    fn change(&mut self) {
        match self.dice.random_range(0..22) {
            0..=2 => self.push(),
            3 => self.open_pull(),
            4 | 5 => self.vote(),
            6 | 7 => self.comment_on_pull(),
            8 => self.end_pull(),
            9 => self.start_build(),
            10 | 11 => self.end_build(),
            12 => self.make_item(),
            13 | 14 => self.update_item(),
            15 => self.comment_on_item(),
            16 => self.bin_item(),
            17 => self.change_members(),
            18 => self.deploy(),
            19 => self.approve(),
            20 => self.rename_repository(),
            _ => self.raise_alert(),
        }
        let (id, at) = (self.number(), rfc3339(self.now_us));
        self.audit.push(json!({"id": format!("entry-{id}"), "timestamp": at, "actionId": "Git.RefUpdate", "area": "Git", "actorDisplayName": "Person 1",
            "category": "modify", "details": format!("Change {id}"), "scopeType": "organization"}));
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    fn hex(&mut self) -> String {
        (0..5).map(|_| format!("{:08x}", self.dice.random::<u32>())).collect()
    }

    fn pick<T>(&mut self, from: &[T]) -> Option<usize> {
        (!from.is_empty()).then(|| self.dice.random_range(0..from.len()))
    }

    fn tell(&mut self, kind: &str, project: &str, resource: Value) {
        let number = self.number();
        let event = json!({"subscriptionId": "sub", "notificationId": number, "id": format!("event-{number}"), "eventType": kind,
            "publisherId": "tfs", "resource": resource, "resourceVersion": "1.0", "createdDate": rfc3339(self.now_us),
            "resourceContainers": {"collection": {"id": "c", "baseUrl": format!("{HOME}/")}, "project": {"id": project}}});
        self.events.push(event.to_string());
    }

    fn make_repository(&mut self, project: usize, name: &str) {
        let id = format!("repository-{}", self.number());
        let (project, commit) = (self.projects[project].clone(), self.hex());
        self.repositories.push(json!({"id": id, "name": name, "project": project, "defaultBranch": "refs/heads/main", "size": 1000,
            "isDisabled": false, "url": format!("{HOME}/_apis/git/repositories/{id}"), "remoteUrl": format!("{HOME}/_git/{id}")}));
        self.record_push(self.repositories.len() - 1, "refs/heads/main", ZEROS, &commit, false);
    }

    fn record_push(&mut self, repository: usize, name: &str, from: &str, to: &str, told: bool) {
        let (repository, number) = (self.repositories[repository].clone(), self.number());
        let id = repository["id"].as_str().unwrap().to_owned();
        let at = rfc3339(self.now_us);
        let commits = match to {
            ZEROS => vec![],
            _ => vec![
                json!({"commitId": to, "comment": format!("Change {number}"), "author": {"name": "Person 1", "email": "person1@acme.example", "date": at},
                "committer": {"name": "Person 1", "email": "person1@acme.example", "date": at}, "url": format!("{HOME}/commits/{to}")}),
            ],
        };
        let update = json!({"name": name, "oldObjectId": from, "newObjectId": to});
        let push = json!({"pushId": number, "date": at, "pushedBy": person(1), "refUpdates": [update], "url": format!("{HOME}/pushes/{number}")});
        match to {
            ZEROS => self.refs.remove(&(id.clone(), name.to_owned())),
            _ => self.refs.insert((id.clone(), name.to_owned()), to.to_owned()),
        };
        if told {
            let mut resource = push.clone();
            resource["repository"] = repository.clone();
            resource["commits"] = json!(commits);
            let project = repository["project"]["id"].as_str().unwrap().to_owned();
            self.tell("git.push", &project, resource);
        }
        self.pushes.push((id, push, commits));
    }

    fn push(&mut self) {
        let Some(repository) = self.pick(&self.repositories.clone()) else { return };
        let id = self.repositories[repository]["id"].as_str().unwrap().to_owned();
        let names: Vec<(String, String)> =
            self.refs.iter().filter(|((r, _), _)| *r == id).map(|((_, name), at)| (name.clone(), at.clone())).collect();
        let to = self.hex();
        match (self.dice.random_range(0..4), self.pick(&names)) {
            (0, _) => {
                let name = format!("refs/heads/topic-{}", self.number());
                self.record_push(repository, &name, ZEROS, &to, true);
            }
            (1, Some(at)) if names[at].0 != "refs/heads/main" => {
                self.record_push(repository, &names[at].0, &names[at].1, ZEROS, true);
            }
            (_, Some(at)) => self.record_push(repository, &names[at].0, &names[at].1, &to, true),
            _ => {}
        }
    }

    fn rename_repository(&mut self) {
        let Some(at) = self.pick(&self.repositories.clone()) else { return };
        let name = format!("renamed {}", self.number());
        self.repositories[at]["name"] = json!(name);
        let repository = self.repositories[at].clone();
        let project = repository["project"]["id"].as_str().unwrap().to_owned();
        self.tell("git.repo.renamed", &project, json!({"oldName": "x", "newName": name, "repository": repository}));
    }

    fn open_pull(&mut self) {
        let Some(at) = self.pick(&self.repositories.clone()) else { return };
        let (repository, number) = (self.repositories[at].clone(), self.number());
        let resource = json!({"pullRequestId": number, "repository": {"id": repository["id"], "name": "of pull", "project": repository["project"]},
            "status": "active", "title": format!("Pull {number}"), "createdBy": person(number % 5), "creationDate": rfc3339(self.now_us),
            "sourceRefName": "refs/heads/topic", "targetRefName": "refs/heads/main", "mergeStatus": "succeeded", "isDraft": false, "reviewers": []});
        let evaluation = json!({"evaluationId": format!("evaluation-{number}"), "status": "queued", "startedDate": rfc3339(self.now_us),
            "configuration": {"id": 1, "isBlocking": true, "type": {"displayName": "Minimum number of reviewers"}}});
        self.pulls.push(Pull { resource, threads: vec![], evaluations: vec![evaluation] });
        self.tell_pull(self.pulls.len() - 1, "git.pullrequest.created");
    }

    fn tell_pull(&mut self, at: usize, kind: &str) {
        let pull = self.pulls[at].resource.clone();
        let project = pull["repository"]["project"]["id"].as_str().unwrap().to_owned();
        self.tell(kind, &project, pull);
    }

    fn active(&mut self) -> Option<usize> {
        let active: Vec<usize> =
            (0..self.pulls.len()).filter(|at| self.pulls[*at].resource["status"] == "active").collect();
        self.pick(&active).map(|at| active[at])
    }

    fn vote(&mut self) {
        let Some(at) = self.active() else { return };
        let (who, vote) = (self.dice.random_range(0..5), [10, 5, 0, -5, -10][self.dice.random_range(0..5)]);
        let mut reviewer = person(who);
        let now = rfc3339(self.now_us);
        let pull = &mut self.pulls[at];
        let reviewers = pull.resource["reviewers"].as_array_mut().unwrap();
        let known = reviewers.iter().position(|r| r["id"] == reviewer["id"]);
        match known {
            // Somebody is taken off the list.
            Some(at) if vote == 0 => drop(reviewers.remove(at)),
            Some(at) => reviewers[at]["vote"] = json!(vote),
            None => {
                reviewer["vote"] = json!(vote);
                reviewers.push(reviewer.clone());
            }
        }
        let number = pull.threads.len() as i64 + 1;
        pull.threads.push(json!({"id": number, "publishedDate": now, "lastUpdatedDate": now, "isDeleted": false,
            "properties": {"CodeReviewThreadType": {"$value": "VoteUpdate"}, "CodeReviewVoteResult": {"$value": vote.to_string()}},
            "comments": [{"id": 1, "parentCommentId": 0, "author": reviewer, "content": format!("voted {vote}"), "publishedDate": now,
                "lastUpdatedDate": now, "commentType": "system", "isDeleted": false}]}));
        if vote >= 5 {
            pull.evaluations[0]["status"] = json!("approved");
            pull.evaluations[0]["completedDate"] = json!(now);
        }
        self.tell_pull(at, "git.pullrequest.updated");
    }

    fn comment_on_pull(&mut self) {
        let Some(at) = self.active() else { return };
        let (now, who) = (rfc3339(self.now_us), person(self.dice.random_range(0..5)));
        let number = self.pulls[at].threads.len() as i64 + 1;
        let comment = json!({"id": 1, "parentCommentId": 0, "author": who, "content": "Why?", "publishedDate": now, "lastUpdatedDate": now,
            "commentType": "text", "isDeleted": false});
        self.pulls[at].threads.push(
            json!({"id": number, "publishedDate": now, "lastUpdatedDate": now, "status": "active", "isDeleted": false,
            "comments": [comment]}),
        );
        let pull = self.pulls[at].resource.clone();
        let project = pull["repository"]["project"]["id"].as_str().unwrap().to_owned();
        let mut told = comment.clone();
        // One in two tells its thread.
        if number % 2 == 0 {
            told["_links"] = json!({"threads": {"href": format!("{HOME}/_apis/git/repositories/r/pullRequests/1/threads/{number}")}});
        }
        self.tell("ms.vss-code.git-pullrequest-comment-event", &project, json!({"comment": told, "pullRequest": pull}));
    }

    fn end_pull(&mut self) {
        let Some(at) = self.active() else { return };
        let done = self.dice.random_ratio(3, 4);
        let (now, commit) = (rfc3339(self.now_us), self.hex());
        let pull = &mut self.pulls[at].resource;
        pull["status"] = json!(if done { "completed" } else { "abandoned" });
        pull["closedDate"] = json!(now);
        if done {
            pull["lastMergeCommit"] = json!({"commitId": commit});
        }
        self.tell_pull(at, if done { "git.pullrequest.merged" } else { "git.pullrequest.updated" });
    }

    fn start_build(&mut self) {
        let Some(at) = self.pick(&self.repositories.clone()) else { return };
        let (repository, number, commit) = (self.repositories[at].clone(), self.number(), self.hex());
        let now = rfc3339(self.now_us);
        let resource = json!({"id": number, "buildNumber": format!("2026.{number}"), "status": "inProgress", "reason": "individualCI",
            "queueTime": now, "startTime": now, "definition": {"id": 1, "name": "ci"}, "project": repository["project"],
            "repository": {"id": repository["id"], "name": "of build"}, "sourceBranch": "refs/heads/main", "sourceVersion": commit,
            "requestedFor": person(1), "url": format!("{HOME}/_apis/build/Builds/{number}")});
        let records = ["Stage", "Phase", "Job", "Task"].iter().enumerate().map(|(depth, kind)| {
            let parent = depth.checked_sub(1).map(|above| format!("record-{number}-{above}"));
            json!({"id": format!("record-{number}-{depth}"), "parentId": parent, "type": kind, "name": kind, "identifier": kind, "state": "inProgress",
                "startTime": now, "attempt": 1, "order": 1})
        });
        self.builds.push(Build { resource, records: records.collect() });
        self.tell_run(self.builds.len() - 1);
    }

    fn tell_run(&mut self, at: usize) {
        let build = self.builds[at].resource.clone();
        let project = build["project"]["id"].as_str().unwrap().to_owned();
        let run = run_of(&build);
        self.tell(
            "ms.vss-pipelines.run-state-changed-event",
            &project,
            json!({"run": run, "pipeline": {"id": 1, "name": "ci"}}),
        );
    }

    fn end_build(&mut self) {
        let open: Vec<usize> =
            (0..self.builds.len()).filter(|at| self.builds[*at].resource["status"] == "inProgress").collect();
        let Some(at) = self.pick(&open).map(|at| open[at]) else { return };
        let result = if self.dice.random_ratio(3, 4) { "succeeded" } else { "failed" };
        let now = rfc3339(self.now_us);
        let build = &mut self.builds[at];
        build.resource["status"] = json!("completed");
        build.resource["result"] = json!(result);
        build.resource["finishTime"] = json!(now);
        for record in &mut build.records {
            record["state"] = json!("completed");
            record["result"] = json!(result);
            record["finishTime"] = json!(now);
        }
        let (resource, project) =
            (build.resource.clone(), build.resource["project"]["id"].as_str().unwrap().to_owned());
        let run = self.number();
        let tests = (0..3).map(|n| json!({"id": 100_000 + n, "testCaseTitle": format!("test {n}"), "automatedTestName": format!("suite.test_{n}"),
            "outcome": if n == 0 && result == "failed" { "Failed" } else { "Passed" }, "state": "Completed", "durationInMs": 12.0}));
        let of_build = json!({"id": resource["id"].to_string(), "name": resource["buildNumber"]});
        self.test_runs.push((
            project.clone(),
            json!({"id": run, "name": "unit", "state": "Completed", "isAutomated": true, "build": of_build,
            "totalTests": 3, "completedDate": now, "lastUpdatedDate": now}),
            tests.collect(),
        ));
        self.tell_run(at);
        self.tell("build.complete", &project, resource);
    }

    fn revise(&mut self, id: i64, changes: &[(&str, Value)]) {
        let now = rfc3339(self.now_us);
        let item = self.items.get_mut(&id).unwrap();
        let mut next = item.revisions.last().cloned().unwrap_or_else(|| json!({"id": id, "rev": 0, "fields": {}}));
        let rev = next["rev"].as_i64().unwrap() + 1;
        next["rev"] = json!(rev);
        next["fields"]["System.ChangedDate"] = json!(now);
        next["fields"]["System.ChangedBy"] = person(2);
        next["fields"]["System.CommentCount"] = json!(item.comments.len());
        for (name, value) in changes {
            next["fields"][*name] = value.clone();
        }
        item.revisions.push(next);
        let at = item.revisions.len() - 1;
        self.watermarks.push((id, at));
    }

    fn make_item(&mut self) {
        let id = self.number();
        let at = self.dice.random_range(0..self.projects.len());
        let project = self.projects[at].clone();
        self.items.insert(id, Item { revisions: vec![], comments: vec![], in_bin: false, destroyed: false });
        let changes = [
            ("System.TeamProject", project["name"].clone()),
            ("System.WorkItemType", json!("Bug")),
            ("System.State", json!("New")),
            ("System.Title", json!(format!("Item {id}"))),
            ("System.CreatedDate", json!(rfc3339(self.now_us))),
            ("System.CreatedBy", person(1)),
        ];
        self.revise(id, &changes);
        self.tell_item(id, "workitem.created");
    }

    fn tell_item(&mut self, id: i64, kind: &str) {
        let item = self.items[&id].revisions.last().unwrap().clone();
        let name = item["fields"]["System.TeamProject"].clone();
        let project = self.projects.iter().find(|p| p["name"] == name).unwrap()["id"].as_str().unwrap().to_owned();
        let resource = match kind {
            "workitem.updated" => {
                json!({"id": item["rev"], "workItemId": id, "rev": item["rev"], "revisedDate": "9999-01-01T00:00:00Z",
                "fields": {"System.State": {"oldValue": "New", "newValue": item["fields"]["System.State"]}}, "revision": item})
            }
            _ => item,
        };
        self.tell(kind, &project, resource);
    }

    fn some_item(&mut self) -> Option<i64> {
        let alive: Vec<i64> = self.items.iter().filter(|(_, i)| !i.in_bin && !i.destroyed).map(|(id, _)| *id).collect();
        self.pick(&alive).map(|at| alive[at])
    }

    fn update_item(&mut self) {
        let Some(id) = self.some_item() else { return };
        let state = ["New", "Active", "Resolved", "Closed"][self.dice.random_range(0..4)];
        self.revise(id, &[("System.State", json!(state)), ("System.AssignedTo", person(3))]);
        self.tell_item(id, "workitem.updated");
    }

    fn comment_on_item(&mut self) {
        let Some(id) = self.some_item() else { return };
        let (number, now) = (self.number(), rfc3339(self.now_us));
        self.items
            .get_mut(&id)
            .unwrap()
            .comments
            .push(json!({"workItemId": id, "id": number, "version": 1, "text": "Look at it.", "createdBy": person(2),
            "createdDate": now, "modifiedDate": now, "isDeleted": false}));
        self.revise(id, &[]);
        let mut told = self.items[&id].revisions.last().unwrap().clone();
        told["fields"]["System.History"] = json!("Look at it.");
        let name = told["fields"]["System.TeamProject"].clone();
        let project = self.projects.iter().find(|p| p["name"] == name).unwrap()["id"].as_str().unwrap().to_owned();
        self.tell("workitem.commented", &project, told);
    }

    fn bin_item(&mut self) {
        let binned: Vec<i64> = self.items.iter().filter(|(_, i)| i.in_bin).map(|(id, _)| *id).collect();
        match (self.dice.random_range(0..4), self.pick(&binned)) {
            (0, Some(at)) => {
                let item = self.items.get_mut(&binned[at]).unwrap();
                item.in_bin = false;
                self.revise(binned[at], &[]);
                self.tell_item(binned[at], "workitem.restored");
            }
            (1, Some(at)) => {
                // Nobody is told of it.
                let item = self.items.get_mut(&binned[at]).unwrap();
                (item.in_bin, item.destroyed) = (false, true);
            }
            _ => {
                let Some(id) = self.some_item() else { return };
                self.items.get_mut(&id).unwrap().in_bin = true;
                self.revise(id, &[]);
                self.tell_item(id, "workitem.deleted");
            }
        }
    }

    fn change_members(&mut self) {
        let Some(at) = self.pick(&self.groups.clone()) else { return };
        let group = self.groups[at]["descriptor"].as_str().unwrap().to_owned();
        let pair = (group, format!("aad.{}", self.dice.random_range(0..5)));
        match self.members.iter().position(|m| *m == pair) {
            Some(there) => drop(self.members.remove(there)),
            None => self.members.push(pair),
        }
    }

    fn deploy(&mut self) {
        let now = rfc3339(self.now_us);
        // What is under way ends first.
        if let Some((_, open)) = self.deployments.iter_mut().find(|(_, d)| d["finishTime"].is_null()) {
            open["finishTime"] = json!(now);
            open["result"] = json!("succeeded");
            return;
        }
        let Some(at) = self.pick(&self.environments.clone()) else { return };
        let (environment, number) = (self.environments[at].1["id"].as_i64().unwrap(), self.number());
        self.deployments.push((environment, json!({"id": number, "environmentId": environment, "definition": {"id": 1, "name": "ci"}, "owner": {"id": number},
            "stageName": "deploy", "queueTime": now, "startTime": now})));
    }

    fn approve(&mut self) {
        let now = rfc3339(self.now_us);
        let open = self.approvals.iter().position(|(_, a)| a["status"] == "pending");
        let (at, kind) = match open {
            Some(at) => {
                let approval = &mut self.approvals[at].1;
                approval["status"] = json!("approved");
                approval["lastModifiedOn"] = json!(now);
                approval["steps"][0]["status"] = json!("approved");
                approval["steps"][0]["actualApprover"] = person(4);
                (at, "ms.vss-pipelinechecks-events.approval-completed")
            }
            None => {
                let (id, project) =
                    (format!("approval-{}", self.number()), self.dice.random_range(0..self.projects.len()));
                let project = self.projects[project]["id"].as_str().unwrap().to_owned();
                self.approvals.push((project, json!({"id": id, "status": "pending", "createdOn": now, "lastModifiedOn": now, "minRequiredApprovers": 1,
                    "steps": [{"assignedApprover": person(4), "status": "pending", "initiatedOn": now, "order": 1}]})));
                (self.approvals.len() - 1, "ms.vss-pipelinechecks-events.approval-pending")
            }
        };
        let (project, approval) = self.approvals[at].clone();
        self.tell(kind, &project, json!({"approval": approval, "projectId": project}));
    }

    fn raise_alert(&mut self) {
        let Some(at) = self.pick(&self.repositories.clone()) else { return };
        let repository = self.repositories[at].clone();
        let (number, now) = (self.number(), rfc3339(self.now_us));
        let alert = json!({"alertId": number, "severity": "high", "title": "A secret", "alertType": "secret", "state": "active", "firstSeenDate": now,
            "repositoryUrl": repository["remoteUrl"], "gitRef": "refs/heads/main", "tools": [{"name": "secrets", "rules": [{"friendlyName": "a key"}]}]});
        let project = repository["project"]["id"].as_str().unwrap().to_owned();
        self.alerts.push((repository["id"].as_str().unwrap().to_owned(), alert.clone()));
        self.tell("ms.vss-alerts.alert-created-event", &project, alert);
    }
}

/// A build as the pipelines interface tells it.
pub fn run_of(build: &Value) -> Value {
    let state = if build["status"] == "completed" { "completed" } else { "inProgress" };
    json!({"id": build["id"], "name": build["buildNumber"], "state": state, "result": build["result"], "createdDate": build["queueTime"],
        "finishedDate": build["finishTime"], "pipeline": {"id": 1, "name": "ci", "folder": "\\"},
        "url": format!("{HOME}/_apis/pipelines/1/runs/{}", build["id"])})
}
