//! Flows and approvals through the real binary: a draft pull request against a bare repository and a simulated
//! organization, `kill -9` at every step; votes over HTTP and from the command line; the queue watched and steered.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Ground, Server};
use crate::rules::receiver::Receiver;
use crate::simulated::ado::clock::Turned;
use crate::simulated::ado::door::Door;
use crate::simulated::ado::world::World;

const PATIENCE: Duration = Duration::from_secs(90);

fn git(folder: &Path, args: &[&str]) -> String {
    let done = Command::new("git").arg("-C").arg(folder).args(args).output().unwrap();
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// A bare repository, an organization, and settings that name both.
struct Trial {
    ground: Ground,
    door: Door,
    bare: PathBuf,
    actions: String,
    state: Option<String>,
    _runtime: tokio::runtime::Runtime,
}

impl Trial {
    fn new() -> Trial {
        let ground = Ground::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let door = runtime.block_on(Door::open(World::new(7), Turned::starting()));
        let (bare, work) = (ground.beside("shop.git"), ground.beside("work"));
        fs::create_dir_all(&work).unwrap();
        git(&work, &["init", "--bare", "--quiet", "-b", "main", bare.to_str().unwrap()]);
        git(&work, &["init", "--quiet", "-b", "main"]);
        fs::write(work.join("values.yaml"), "replicas: 1\n").unwrap();
        git(&work, &["add", "."]);
        git(&work, &["-c", "user.name=Ana", "-c", "user.email=ana@example.org", "commit", "--quiet", "-m", "first"]);
        git(&work, &["push", "--quiet", bare.to_str().unwrap(), "main"]);
        fs::write(ground.beside("token"), door.token()).unwrap();
        let actions = ground.beside("actions.yaml");
        let text = format!(
            "repositories:\n  shop: {{remote: shop.git, organization: '{}', auth: 'pat:file:token', project: Fabrikam 0, repository: repo 0}}\n",
            door.url()
        );
        fs::write(&actions, text).unwrap();
        Trial { ground, door, bare, actions: actions.display().to_string(), state: None, _runtime: runtime }
    }

    fn serve(&self, env: &[(&str, &str)]) -> Server {
        let state = self.state.as_deref().map_or(vec![], |url| vec!["--state", url]);
        Server::spawn(&self.ground, &[&["--actions", &self.actions, "--index", "off"][..], &state[..]].concat(), env)
            .unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        let done = self.ground.run(&[args, &["--format", "json"]].concat()).ok();
        serde_json::from_str(&done.stdout).unwrap()
    }

    fn start(&self, key: &str) -> String {
        self.begin(key).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Starts a flow; an error where the server ended before it answered.
    fn begin(&self, key: &str) -> Result<String, String> {
        let input = json!({
            "repository": "shop", "title": format!("Change {key}"), "path": "values.yaml", "content": format!("replicas: 3 # {key}\n"),
        });
        let input = input.to_string();
        let args = ["flow", "start", "draft_pull_request", "--input", &input, "--key", key, "--format", "json"];
        let started = self.ground.run(&args);
        match started.code {
            Some(0) => {
                let started: Value = serde_json::from_str(&started.stdout).unwrap();
                Ok(started["id"].as_str().unwrap().to_owned())
            }
            code => Err(format!("{code:?}: {}", started.stderr)),
        }
    }

    fn state(&self, id: &str) -> Value {
        self.json(&["flow", "show", id])
    }

    /// Waits until a flow has come to its end.
    fn ended(&self, id: &str) -> Value {
        let begun = Instant::now();
        loop {
            let flow = self.state(id);
            if ["done", "dead", "cancelled"].contains(&flow["state"].as_str().unwrap()) {
                return flow;
            }
            assert!(begun.elapsed() < PATIENCE, "the flow did not end: {flow:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Branches that flows made.
    fn branches(&self) -> Vec<String> {
        let all = git(&self.bare, &["for-each-ref", "--format=%(refname:short)", "refs/heads/stellwerk"]);
        all.lines().map(str::to_owned).collect()
    }

    /// Everything that came of a flow is there once.
    fn proves_one_of_each(&self, key: &str, flow: &Value) {
        let title = format!("Change {key}");
        assert_eq!(flow["state"], "done", "{flow:#}");
        let branch = flow["output"]["branch"].as_str().unwrap().to_owned();
        assert!(self.branches().contains(&branch), "{branch}");
        let range = format!("main..{branch}");
        assert_eq!(git(&self.bare, &["log", "--format=%s", &range]), title, "one commit");
        assert_eq!(git(&self.bare, &["show", &format!("{branch}:values.yaml")]), format!("replicas: 3 # {key}"));
        let pulls = self.door.pulls();
        let ours: Vec<&Value> = pulls.iter().filter(|pull| pull["title"] == title.as_str()).collect();
        assert_eq!(ours.len(), 1, "one pull request: {ours:?}");
        assert!(ours[0]["isDraft"] == true && ours[0]["status"] == "active", "{}", ours[0]);
        assert_eq!(ours[0]["sourceRefName"], format!("refs/heads/{branch}").as_str());
        assert_eq!(self.door.tickets()[&title].len(), 1, "one ticket");
        let effects = flow["effects"].as_array().unwrap();
        assert!(effects.len() == 5 && effects.iter().all(|effect| effect["state"] == "done"), "{effects:?}");
    }

    /// Nothing is left of a flow but its ticket, which says why.
    fn proves_it_is_undone(&self, key: &str, flow: &Value) {
        assert_eq!(flow["state"], "dead", "{flow:#}");
        assert!(flow["error"].as_str().unwrap().contains("the step pull_request failed"), "{flow:#}");
        let title = format!("Change {key}");
        assert!(self.door.pulls().iter().all(|pull| pull["title"] != title.as_str()));
        let tickets = &self.door.tickets()[&title];
        assert!(tickets.len() == 1 && tickets[0].len() == 1, "one ticket with one comment: {tickets:?}");
        assert!(tickets[0][0].contains("the step pull_request failed"), "{tickets:?}");
    }
}

fn wait_for_the_end(server: &mut Server, what: &str) {
    let begun = Instant::now();
    while server.ended().is_none() {
        assert!(begun.elapsed() < PATIENCE, "{what} was not reached\n{}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_draft_pull_request_is_there_once_whenever_the_process_is_killed() {
    let trial = Trial::new();
    // After each checkpoint and after each call whose end is not yet kept: five steps, six checkpoints.
    let points = (1..=5).flat_map(|nth| [format!("flow-kept:{nth}"), format!("flow-called:{nth}")]);
    for point in points.chain(["flow-kept:6".to_owned()]) {
        let mut server = trial.serve(&[("STELLWERK_FAIL_AT", &point)]);
        // The first step is intended in the commit that starts the flow, so the process may end before it answers. Whoever asks
        // again under the key is told of the flow that there is.
        let told = trial.begin(&point);
        wait_for_the_end(&mut server, &point);
        let _server = trial.serve(&[]);
        let id = trial.start(&point);
        assert!(told.is_ok() || point == "flow-kept:1", "{point}: {told:?}");
        assert!(told.is_err() || told.as_ref() == Ok(&id), "the same key is the same flow: {told:?}");
        let flow = trial.ended(&id);
        trial.proves_one_of_each(&point, &flow);
        assert_eq!(trial.start(&point), id, "the same key is the same flow");
    }
}

#[test]
fn on_postgresql_another_process_takes_over_what_a_killed_one_left() {
    let mut trial = Trial::new();
    let Some(postgres) = crate::state_postgres::Postgres::start(&trial.ground) else { return };
    trial.state = Some(postgres.url.clone());
    for point in ["flow-called:2", "flow-kept:5"] {
        let mut server = trial.serve(&[("STELLWERK_FAIL_AT", point)]);
        let id = trial.start(point);
        wait_for_the_end(&mut server, point);
        let begun = Instant::now();
        let _server = trial.serve(&[]);
        let flow = trial.ended(&id);
        // Its lease must end first: nobody can tell a dead process from a slow one.
        assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
        trial.proves_one_of_each(point, &flow);
    }
}

#[test]
fn what_fails_is_taken_back_whenever_the_process_is_killed() {
    let trial = Trial::new();
    trial.door.refuse_pulls(true);
    // The sixth call undoes the pull request, the seventh the branch, the eighth says so in the ticket.
    for point in ["flow-kept:99", "flow-called:6", "flow-called:7", "flow-called:8", "flow-kept:8"] {
        let mut server = trial.serve(&[("STELLWERK_FAIL_AT", point)]);
        let id = trial.start(point);
        if point.ends_with("99") {
            trial.ended(&id);
            server.kill9();
        } else {
            wait_for_the_end(&mut server, point);
        }
        let _server = trial.serve(&[]);
        let flow = trial.ended(&id);
        trial.proves_it_is_undone(point, &flow);
        assert!(trial.branches().is_empty(), "{:?}", trial.branches());
        let steps = flow["steps"].as_array().unwrap();
        let undone = steps.iter().filter(|step| step["undo_state"] == "done").count();
        assert_eq!(undone, 3, "{flow:#}");
    }
}

#[test]
fn a_failed_flow_is_replayed_and_lost_answers_double_nothing() {
    let trial = Trial::new();
    trial.door.refuse_pulls(true);
    let _server = trial.serve(&[]);
    let id = trial.start("again");
    trial.ended(&id);
    let dead = trial.json(&["job", "dead"]);
    assert_eq!((dead[0]["id"].as_str(), dead[0]["kind"].as_str()), (Some(id.as_str()), Some("flow")), "{dead}");
    trial.door.refuse_pulls(false);
    trial.door.lose_answers(2);
    let replayed = trial.json(&["job", "replay", &id]);
    assert_eq!(replayed["replayed"], 1);
    let begun = Instant::now();
    while trial.state(&id)["state"] == "dead" && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    let flow = trial.ended(&id);
    assert_eq!((&flow["state"], &flow["round"]), (&json!("done"), &json!(2)), "{flow:#}");
    assert_eq!((trial.branches().len(), trial.door.pulls().len()), (1, 1));
    // The first round's ticket tells why it was taken back, the second's belongs to the pull request.
    let tickets = &trial.door.tickets()["Change again"];
    assert_eq!(tickets.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0]);
    let rows = trial.ground.ask("SELECT count(*) FROM step WHERE undo_state = 'done'");
    assert_eq!(rows, [["3"]]);
    let shown = trial.ground.run(&["flow", "show", &id]).ok().stdout;
    assert!(shown.contains("pull_request") && shown.contains("natural"), "{shown}");
    let audit = trial.ground.ask("SELECT count(*) FROM audit WHERE action IN ('flow.start', 'job.replay')");
    assert_eq!(audit, [["2"]]);
    // Eight calls and their end in the first round; seven, two of them lost, and theirs in the second.
    let spans = format!("SELECT count(*) FROM otel_span WHERE trace_id = '{}'", id.replace('-', ""));
    let begun = Instant::now();
    while trial.ground.ask(&spans) != [["17"]] {
        assert!(begun.elapsed() < PATIENCE, "{:?}", trial.ground.ask(&spans));
        std::thread::sleep(Duration::from_millis(200));
    }
    let failed = "SELECT count(*) FROM otel_span WHERE service_name = 'stellwerk' AND status_code = 'ERROR'";
    assert_eq!(trial.ground.ask(failed), [["4"]], "the refused call, the end of the first round, two lost answers");
}

const RULE: &str = "-- ---
-- owner: shop
-- every: 1s
-- key: [pod]
-- new: notify(\"ops\", \"{pod} waits\")
-- approve: leads 2 1h
-- priority: 10
-- ---
SELECT pod, 'acme' AS tenant FROM k8s_pod WHERE phase = 'Pending'
";

/// A store with a pod that waits, and a rule that asks people before it tells of it.
struct Asking {
    ground: Ground,
    receiver: Receiver,
    args: Vec<String>,
}

impl Asking {
    fn new() -> Asking {
        let (ground, receiver) = (Ground::new(), Receiver::start());
        let rules = ground.beside("rules");
        fs::create_dir_all(&rules).unwrap();
        fs::write(rules.join("pods.sql"), RULE).unwrap();
        let pods = ground.beside("pods.json");
        let list = json!({ "apiVersion": "v1", "kind": "PodList", "metadata": { "resourceVersion": "1" }, "items": [{
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web-0", "namespace": "shop", "uid": "u", "resourceVersion": "1" },
            "spec": { "containers": [{ "name": "c", "image": "i:1" }] }, "status": { "phase": "Pending" } }] });
        fs::write(&pods, list.to_string()).unwrap();
        ground.run(&["ingest", "k8s", pods.to_str().unwrap(), "--cluster", "c"]).ok();
        let actions = ground.beside("actions.yaml");
        fs::write(&actions, format!("channels: {{ops: {{url: 'http://{}/hook'}}}}\n", receiver.address())).unwrap();
        let args = ["--rules", rules.to_str().unwrap(), "--actions", actions.to_str().unwrap()];
        let args = args.map(str::to_owned).to_vec();
        Asking { ground, receiver, args }
    }

    fn serve(&self) -> Server {
        Server::start(&self.ground, &self.args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A key of somebody, and where it lies.
    fn key(&self, name: &str, more: &[&str]) -> (String, String) {
        let made = self.ground.run(&[&["key", "create", name, "--tenant", "acme"], more].concat()).ok().stdout;
        let path = self.ground.beside(&format!("{name}.key"));
        fs::write(&path, made.trim()).unwrap();
        (made.trim().to_owned(), format!("file:{}", path.display()))
    }

    /// What is asked, as soon as something is.
    fn asked(&self) -> Value {
        let begun = Instant::now();
        loop {
            let done = self.ground.run(&["approval", "list", "--format", "json"]).ok();
            let asked: Value = serde_json::from_str(&done.stdout).unwrap();
            if !asked[0].is_null() {
                return asked[0].clone();
            }
            assert!(begun.elapsed() < PATIENCE, "nobody was asked");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn posted(server: &Server, key: &str, path: &str, body: &str) -> (u16, String) {
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let reply = server.connect().send("POST", path, &headers, body.to_owned()).unwrap();
    (reply.status, reply.text())
}

/// Waits until the receiver has been told something.
fn told(receiver: &Receiver) -> Vec<String> {
    let begun = Instant::now();
    while receiver.texts().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "nothing was told");
        std::thread::sleep(Duration::from_millis(20));
    }
    receiver.texts()
}

#[test]
fn people_agree_before_a_rule_acts() {
    let asking = Asking::new();
    let (ana, _) = asking.key("ana", &["--role", "leads"]);
    let (bob, bob_at) = asking.key("bob", &["--role", "leads"]);
    let (eve, _) = asking.key("eve", &[]);
    let mut server = asking.serve();
    let approval = asking.asked();
    let id = approval["id"].as_str().unwrap().to_owned();
    let meant = (&approval["requester"], &approval["quorum"], &approval["tenant"]);
    assert_eq!(meant, (&json!("shop"), &json!(2), &json!("acme")));
    let vote = |server: &Server, key: &str, body: &str| posted(server, key, &format!("/approvals/{id}/votes"), body);
    assert_eq!(vote(&server, "nobody", "{\"approve\": true}").0, 401);
    let (status, text) = vote(&server, &eve, "{\"approve\": true}");
    assert!(status == 403 && text.contains("not in the group leads"), "{status} {text}");
    assert_eq!(vote(&server, &ana, "{\"approve\": true, \"voter\": \"acme/bob\"}").0, 422, "nobody votes for another");
    let (status, text) = vote(&server, &ana, "{\"approve\": true, \"why\": \"it is fine\"}");
    assert!(status == 200 && text.contains("\"open\""), "{status} {text}");
    assert!(vote(&server, &ana, "{\"approve\": true}").1.contains("voted before"));
    assert_eq!(vote(&server, &ana, "{\"approve\": false}").0, 409);
    // What waits for people is a row, and outlives the process.
    server.kill9();
    let server = asking.serve();
    assert_eq!(asking.receiver.texts().len(), 0);
    let said = asking.ground.run(&["approval", "approve", &id, "--key", &bob_at, "--why", "seen"]).ok().stdout;
    assert!(said.contains("approved, by the vote of acme/bob"), "{said}");
    assert_eq!(told(&asking.receiver), ["web-0 waits"]);
    assert_eq!(vote(&server, &bob, "{\"approve\": true}").0, 200, "it is known");
    let votes = asking.ground.ask("SELECT voter, yes FROM vote ORDER BY voter");
    assert_eq!(votes, [["acme/ana", "true"], ["acme/bob", "true"]]);
    let audited = "SELECT outcome, count(*) FROM audit WHERE action = 'approval.vote' GROUP BY 1 ORDER BY 1";
    assert_eq!(asking.ground.ask(audited), [["denied", "1"], ["done", "2"]]);
    let of = "SELECT count(*) FROM job_done WHERE kind = 'flow' AND tenant = 'acme' AND requester = 'shop'";
    assert_eq!(asking.ground.ask(of), [["1"]]);
}

#[test]
fn a_service_is_called_and_answers_later() {
    let (ground, receiver) = (Ground::new(), Receiver::start());
    let actions = ground.beside("actions.yaml");
    fs::write(&actions, format!("hosts: ['{}']\n", receiver.address())).unwrap();
    let args = ["--actions", actions.to_str().unwrap()];
    let mut server = Server::start(&ground, &args);
    let tenant = ground.run(&["key", "create", "n8n", "--tenant", "acme"]).ok().stdout.trim().to_owned();
    let input = json!({ "url": format!("http://{}/run", receiver.address()), "text": "go" });
    let start = |tenant: &str| json!({ "flow": "callback", "input": input, "key": "k", "tenant": tenant }).to_string();
    let (status, text) = posted(&server, &tenant, "/flows", &start("acme"));
    assert!(status == 403 && text.contains("operate"), "{status} {text}");
    let (status, text) = posted(&server, &server.key, "/flows", &start("acme"));
    assert_eq!(status, 202, "{text}");
    let id = serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().unwrap().to_owned();
    let (status, text) = posted(&server, &server.key, "/flows", &start("acme").replace("go", "stay"));
    assert!(status == 409 && text.contains("another input"), "the same key is the same flow: {status} {text}");
    assert_eq!(told(&receiver), ["go"]);
    server.kill9();
    let server = Server::start(&ground, &args);
    let rival = ground.run(&["key", "create", "rival", "--tenant", "rival"]).ok().stdout.trim().to_owned();
    let signal = format!("/flows/{id}/signals/answered");
    assert_eq!(posted(&server, &rival, &signal, "{}").0, 404, "what is another tenant's is not there");
    assert_eq!(posted(&server, &tenant, &signal, "{\"version\": 7}").0, 202);
    let begun = Instant::now();
    let shown = loop {
        let reply = server.connect().send("GET", &format!("/flows/{id}"), &[], "").unwrap();
        let flow: Value = serde_json::from_slice(&reply.body).unwrap();
        if flow["state"] == "done" {
            break flow;
        }
        assert!(begun.elapsed() < PATIENCE, "{flow:#}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(shown["output"]["version"], 7, "{shown:#}");
    // The call may be made twice around a kill, and has one key.
    assert_eq!(receiver.keys().len(), 1);
    assert_eq!(posted(&server, &tenant, &signal, "{}").0, 404, "it has ended");
}

#[test]
fn a_process_that_stood_still_changes_nothing_once_another_has_taken_over() {
    use rustix::process::Signal;
    let (ground, beside, receiver) = (Ground::new(), Ground::new(), Receiver::start());
    let Some(postgres) = crate::state_postgres::Postgres::start(&ground) else { return };
    let actions = ground.beside("actions.yaml");
    fs::write(&actions, format!("hosts: ['{}']\n", receiver.address())).unwrap();
    let args = ["--actions", actions.to_str().unwrap(), "--index", "off", "--state", &postgres.url];
    let slow = Server::start(&ground, &args);
    // The key is the database's, so that both have one.
    fs::create_dir_all(beside.data()).unwrap();
    fs::copy(ground.data().join("bootstrap.key"), beside.data().join("bootstrap.key")).unwrap();
    let other = Server::start(&beside, &args);
    receiver.slow(Duration::from_secs(2), 0);
    let input = json!({ "url": format!("http://{}/run", receiver.address()), "text": "go" });
    let start = json!({ "flow": "callback", "input": input, "key": "k" }).to_string();
    let (status, text) = posted(&slow, &slow.key, "/flows", &start);
    assert_eq!(status, 202, "{text}");
    let id = serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().unwrap().to_owned();
    // It is on its way to the service now, which takes two seconds.
    std::thread::sleep(Duration::from_millis(500));
    slow.signal(Signal::STOP);
    let shown = || -> Value {
        let reply = other.connect().send("GET", &format!("/flows/{id}"), &[], "").unwrap();
        serde_json::from_slice(&reply.body).unwrap()
    };
    let until = |what: &str, is_so: &dyn Fn(&Value) -> bool| {
        let begun = Instant::now();
        while !is_so(&shown()) {
            assert!(begun.elapsed() < PATIENCE, "{what}: {:#}", shown());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    until("the other one takes over", &|flow| flow["steps"][0]["state"] == "done" && flow["state"] == "waiting");
    assert_eq!(shown()["steps"][0]["attempt"], 2, "{:#}", shown());
    let kept = shown();
    slow.signal(Signal::CONT);
    let begun = Instant::now();
    while !slow.log().contains("came after its lease had ended") {
        assert!(begun.elapsed() < PATIENCE, "its result was not refused\n{}", slow.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(shown(), kept, "what comes late counts no more");
    assert_eq!(receiver.keys().len(), 1, "both calls have one key");
    assert_eq!(posted(&other, &other.key, &format!("/flows/{id}/signals/answered"), "{\"version\": 7}").0, 202);
    until("the flow ends", &|flow| flow["state"] == "done");
    assert!(shown()["effects"].as_array().unwrap().iter().all(|effect| effect["state"] == "done"), "{:#}", shown());
}

#[test]
fn a_rule_starts_a_flow_with_its_row() {
    let trial = Trial::new();
    let rule = trial.ground.beside("change.sql");
    let text = "-- ---\n-- owner: shop\n-- every: 1s\n-- key: title\n-- new: flow(\"draft_pull_request\")\n-- ---\n\
                SELECT 'shop' AS repository, 'Change rule' AS title, 'values.yaml' AS path, 'replicas: 9' AS content\n";
    fs::write(&rule, text.replace("'values.yaml' AS path", "1 AS x")).unwrap();
    let _server = trial.serve(&[]);
    let checked = trial.ground.run(&["rule", "check", rule.to_str().unwrap()]);
    assert!(checked.code == Some(1) && checked.stdout.contains("needs the column path"), "{}", checked.stdout);
    fs::write(&rule, text.replace("draft_pull_request", "drafty")).unwrap();
    assert!(trial.ground.run(&["rule", "check", rule.to_str().unwrap()]).stdout.contains("names no flow"));
    fs::write(&rule, text).unwrap();
    trial.ground.run(&["rule", "run", rule.to_str().unwrap()]).ok();
    let flows = trial.json(&["flow", "list", "--all"]);
    let flow = trial.ended(flows[0]["id"].as_str().unwrap());
    assert_eq!((&flow["state"], &flow["requester"]), (&json!("done"), &json!("shop")), "{flow:#}");
    assert_eq!((trial.branches().len(), trial.door.pulls().len()), (1, 1));
}

#[test]
fn the_queue_is_watched_and_steered() {
    let trial = Trial::new();
    let server = trial.serve(&[]);
    let metric = || server.connect().send("GET", "/metrics", &[], "").unwrap().text();
    assert!(metric().contains("stellwerk_queue_oldest_ready_seconds{queue=\"default\"} 0.0"), "{}", metric());
    trial.ground.run(&["job", "pause", "--kind", "flow"]).ok();
    let id = trial.start("held");
    std::thread::sleep(Duration::from_millis(1_200));
    let text = metric();
    let line = text.lines().find(|line| line.starts_with("stellwerk_queue_oldest_ready_seconds{")).unwrap();
    let seconds: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(seconds >= 1.0, "{line}");
    assert!(text.trim_end().ends_with("# EOF") && text.matches("# EOF").count() == 1, "one document has one end");
    let top = trial.json(&["jobs", "top"]);
    assert_eq!((&top["loads"][0]["kind"], &top["loads"][0]["ready"]), (&json!("flow"), &json!(1)), "{top}");
    let shown = trial.ground.run(&["jobs", "top"]).ok().stdout;
    assert!(shown.contains("ready 1") && shown.contains("oldest"), "{shown}");
    trial.ground.run(&["job", "limit", "--kind", "flow", "--rate", "10/1m"]).ok();
    let limits = trial.json(&["job", "limits"]);
    assert_eq!((&limits[0]["rate"], &limits[0]["paused"]), (&json!("10/1m"), &json!(true)), "{limits}");
    trial.ground.run(&["job", "priority", &id, "1"]).ok();
    trial.ground.run(&["job", "resume", "--kind", "flow"]).ok();
    assert_eq!(trial.ended(&id)["state"], "done");
    for (wrong, part) in [
        (&["flow", "start", "drafty"][..], "there is no flow drafty"),
        (&["flow", "start", "draft_pull_request"], "needs repository"),
        (&["job", "replay", "none"], "no dead job"),
        (&["job", "limit", "--kind", "x", "--rate", "fast"], "is no rate"),
        (&["approval", "approve", "none"], "no approval none"),
    ] {
        let done = trial.ground.run(wrong);
        assert!(done.code == Some(2) && done.stderr.contains(part), "{wrong:?}: {:?} {}", done.code, done.stderr);
    }
}
