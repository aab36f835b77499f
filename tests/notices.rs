//! Messages of rules through the real binary: grouped, routed, escalated, silenced, mailed; and what else rules put in place.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Done, Ground, Server};
use crate::kubernetes::POD;
use crate::rules::receiver::Receiver;
use crate::simulated::kubernetes::ApiServer;

/// A little more than a tick of a rule: what stays this long is there at one.
const TICK: Duration = Duration::from_millis(1_100);

/// Pods of the cluster.
const PODS: [&str; 9] = ["a", "b", "c", "d", "e", "web-0", "web-1", "web-2", "web-9"];

/// These pods hang, the others run.
fn pods(names: &[&str]) -> Value {
    let version = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let pod = |name: &&str| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Pod", "spec": { "containers": [{ "name": "c", "image": "i:1" }] },
            "metadata": { "name": name, "namespace": "shop", "uid": name, "resourceVersion": version.to_string() },
            "status": { "phase": if names.contains(name) { "Pending" } else { "Running" } },
        })
    };
    let items: Vec<Value> = PODS.iter().map(pod).collect();
    serde_json::json!({ "apiVersion": "v1", "kind": "PodList", "metadata": { "resourceVersion": "1" }, "items": items })
}

struct Trial {
    ground: Ground,
    receiver: Receiver,
    rules: String,
    actions: String,
}

impl Trial {
    /// A rule over pods that hang, with these lines in its front matter, and more settings of actions.
    fn new(lines: &str, settings: &str) -> Trial {
        let (ground, receiver) = (Ground::new(), Receiver::start());
        let rules = ground.beside("rules");
        fs::create_dir_all(&rules).unwrap();
        let rule = format!(
            "-- ---\n-- owner: shop\n-- every: 1s\n-- key: [namespace, pod]\n{lines}\n-- ---\n\
             SELECT namespace, pod, 'acme' AS tenant FROM k8s_pod WHERE phase = 'Pending'\n"
        );
        fs::write(rules.join("pods.sql"), rule).unwrap();
        let actions = ground.beside("actions.yaml");
        let hook = |path: &str| format!("'http://{}/{path}'", receiver.address());
        let channels = format!(
            "channels:\n  ops: {{url: {}}}\n  chat: {{kind: slack, url: {}}}\n  team: {{kind: teams, url: {}}}\n  boss: {{url: {}}}\n",
            hook("ops"),
            hook("chat"),
            hook("team"),
            hook("boss")
        );
        fs::write(&actions, channels + settings).unwrap();
        let trial =
            Trial { ground, receiver, rules: rules.display().to_string(), actions: actions.display().to_string() };
        trial.put(&[]);
        trial
    }

    /// These pods hang, and no others.
    fn put(&self, names: &[&str]) {
        let path = self.ground.beside("pods.json");
        fs::write(&path, pods(names).to_string()).unwrap();
        self.ground.run(&["ingest", "k8s", path.to_str().unwrap(), "--cluster", "c"]).ok();
    }

    fn run(&self) -> Done {
        std::thread::sleep(TICK);
        self.ground.run(&["rule", "run", &format!("{}/pods.sql", self.rules), "--actions", &self.actions]).ok()
    }

    fn serve(&self) -> Server {
        Server::start(&self.ground, &["--rules", &self.rules, "--actions", &self.actions])
    }

    fn texts(&self, path: &str) -> Vec<String> {
        let text = |body: &Value| body["text"].as_str().unwrap_or_default().to_owned();
        self.receiver.bodies(path).iter().map(text).collect()
    }

    /// Waits until a path got so many messages.
    fn wait(&self, path: &str, count: usize) {
        wait_until(|| self.receiver.bodies(path).len() >= count, || format!("{path}: {:?}", self.texts(path)));
    }
}

fn wait_until(done: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not in time: {}", otherwise());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_flood_of_rows_is_one_message_that_counts_the_others() {
    let lines =
        "-- group: 2\n-- new: notify(\"ops\", \"{pod} hangs\")\n-- resolved: notify(\"ops\", \"{pod} runs\", \"Pods\")";
    let trial = Trial::new(lines, "");
    trial.put(&["a", "b", "c", "d", "e"]);
    trial.run();
    assert_eq!(trial.texts("/ops"), ["a hangs\nb hangs\nand 3 more"]);
    let body = trial.receiver.bodies("/ops").remove(0);
    assert_eq!((body["rows"].as_array().map(Vec::len), &body["more"]), (Some(2), &3.into()));
    trial.put(&["b", "c", "d", "e"]);
    trial.run();
    let body = trial.receiver.bodies("/ops").remove(1);
    assert_eq!((&body["text"], &body["title"]), (&"a runs".into(), &"Pods (resolved)".into()));
    assert_eq!(trial.ground.ask("SELECT count(*) FROM rule_row WHERE state = 'firing'"), [["4"]]);
}

const ROUTES: &str = "routes:\n  P1: {channels: [chat, team], escalate: [{after: 3s, to: [boss]}, {after: 5s, to: [boss, ops]}]}\n  P2: {channels: [chat], escalate: [{after: 6s, to: [boss]}]}\n";

#[test]
fn a_route_tells_several_and_later_others_and_all_of_them_when_it_is_over() {
    let lines = "-- new: notify(\"P1\", \"{pod} hangs\")\n-- resolved: notify(\"P1\", \"{pod} runs\")";
    let trial = Trial::new(lines, ROUTES);
    let mut server = trial.serve();
    trial.put(&["web-0"]);
    trial.wait("/chat", 1);
    trial.wait("/team", 1);
    let told = || server.cell("SELECT count(*) FROM job WHERE kind = 'notify'") == "0";
    wait_until(told, || "messages are open".to_owned());
    // Who is told later is a row of the queue: another process does it.
    server.kill9();
    let server = trial.serve();
    trial.wait("/ops", 1);
    trial.wait("/boss", 2);
    let slack = trial.receiver.bodies("/chat").remove(0);
    assert_eq!(slack["blocks"][1]["text"]["text"], "web-0 hangs");
    let card = trial.receiver.bodies("/team").remove(0)["attachments"][0]["content"].clone();
    assert_eq!((&card["type"], &card["body"][0]["text"]), (&"AdaptiveCard".into(), &"\\[P1\\] pods".into()));
    assert_eq!(trial.ground.ask("SELECT route, step FROM escalation ORDER BY step"), [["P1", "0"], ["P1", "1"]]);
    trial.put(&[]);
    trial.wait("/ops", 2);
    trial.wait("/boss", 3);
    trial.wait("/chat", 2);
    assert_eq!(trial.texts("/ops"), ["web-0 hangs", "web-0 runs"]);
    // Every step of it has its own name, and none was said twice.
    wait_until(|| server.cell("SELECT count(*) FROM job") == "0", || "jobs are open".to_owned());
    assert_eq!((trial.texts("/boss").len(), trial.texts("/team").len(), trial.texts("/chat").len()), (3, 2, 2));
}

#[test]
fn nobody_is_told_later_of_what_somebody_knows() {
    let trial = Trial::new("-- new: notify(\"P2\", \"{pod} hangs\")", ROUTES);
    let server = trial.serve();
    trial.put(&["web-0", "web-1"]);
    trial.wait("/chat", 2);
    let ack = ["rule", "ack", "pods", "[\"shop\", \"web-0\"]", "--by", "otto", "--why", "on it"];
    trial.ground.run(&ack).ok();
    let wrong = trial.ground.run(&["rule", "ack", "pods", "nothing", "--by", "otto"]);
    assert!(wrong.code != Some(0) && wrong.stderr.contains("no row"), "{}", wrong.stderr);
    trial.wait("/boss", 1);
    wait_until(|| server.cell("SELECT count(*) FROM job") == "0", || "jobs are open".to_owned());
    assert_eq!(trial.texts("/boss"), ["web-1 hangs"]);
    assert_eq!(trial.ground.ask("SELECT rule, who, why FROM acknowledgement"), [["pods", "otto", "on it"]]);
}

#[test]
fn what_is_silenced_waits_and_is_told_if_it_still_fires_then() {
    let lines = "-- new: notify(\"ops\", \"{pod} hangs\")\n-- resolved: notify(\"ops\", \"{pod} runs\")";
    let trial = Trial::new(lines, "");
    let add = |pod: &str| {
        let only = format!("pod={pod}");
        let args = ["silence", "add", "pod*", "--where", &only, "--for", "1h", "--why", "it is mended", "--by", "otto"];
        let made: Value = serde_json::from_str(&trial.ground.run(&args).ok().stdout).unwrap();
        made["id"].as_str().unwrap().to_owned()
    };
    let (stays, _goes) = (add("web-0"), add("web-1"));
    trial.put(&["web-0", "web-1", "web-2"]);
    trial.run();
    assert_eq!(trial.texts("/ops"), ["web-2 hangs"]);
    let listed: Value = serde_json::from_str(&trial.ground.run(&["silence", "list", "--json"]).ok().stdout).unwrap();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    trial.put(&["web-0", "web-2"]);
    trial.run();
    assert_eq!(trial.texts("/ops"), ["web-2 hangs"], "what is silenced is not told to be over, either");
    trial.ground.run(&["silence", "expire", &stays]).ok();
    trial.run();
    assert_eq!(trial.texts("/ops"), ["web-2 hangs", "web-0 hangs"]);
    let again = trial.ground.run(&["silence", "expire", &stays]);
    assert!(again.code != Some(0) && again.stderr.contains("no silence"), "{}", again.stderr);
    let audited = "SELECT count(*) FROM audit WHERE action IN ('silence.add', 'silence.expire')";
    assert_eq!(trial.ground.ask(audited), [["3"]]);
}

/// A mail server that takes everything and keeps what it was told.
fn mail_sink() -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, heard) = (listener.local_addr().unwrap().port(), Arc::<Mutex<String>>::default());
    let kept = Arc::clone(&heard);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            stream.write_all(b"220 sink\r\n").unwrap();
            let mut in_data = false;
            for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&format!("{line}\n"));
                let answer = match line.get(..4).unwrap_or_default() {
                    _ if in_data && line == "." => {
                        in_data = false;
                        "250 taken"
                    }
                    _ if in_data => continue,
                    "DATA" => {
                        in_data = true;
                        "354 go on"
                    }
                    "QUIT" => "221 bye",
                    _ => "250 ok",
                };
                if stream.write_all(format!("{answer}\r\n").as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    (port, heard)
}

#[test]
fn a_mail_arrives_and_a_channel_of_another_kind_is_refused() {
    let (port, heard) = mail_sink();
    let mail = format!(
        "  mail: {{kind: email, server: '127.0.0.1:{port}', tls: none, from: 'Stellwerk <s@acme.example>', to: [ops@acme.example]}}\n"
    );
    let trial = Trial::new("-- new: email(\"mail\", \"{pod} hangs\"); slack(\"ops\", \"{pod} hangs\")", &mail);
    trial.put(&["web-0"]);
    trial.run();
    let heard = heard.lock().unwrap().clone();
    assert!(heard.contains("RCPT TO:<ops@acme.example>") && heard.contains("web-0 hangs"), "{heard}");
    let file = trial.ground.beside("typo.sql");
    let rule = fs::read_to_string(format!("{}/pods.sql", trial.rules)).unwrap();
    fs::write(&file, rule.replace("email(\"mail\"", "email(\"male\"")).unwrap();
    let checked = trial.ground.run(&["rule", "check", file.to_str().unwrap(), "--actions", &trial.actions]);
    assert!(checked.code == Some(1) && checked.stdout.contains("the channel male"), "{}", checked.stdout);
    let dead = trial.ground.ask("SELECT kind, error FROM job WHERE state = 'dead'");
    assert!(dead.len() == 1 && dead[0][0] == "slack" && dead[0][1].contains("is of kind hook"), "{dead:?}");
}

#[test]
fn a_decision_is_a_table_and_a_tenant_is_throttled_while_a_row_fires() {
    let lines = "-- new: materialize(\"hanging\"); throttle(tenant, \"60/m\")\n-- resolved: materialize(\"hanging\"); unthrottle(tenant)";
    let trial = Trial::new(lines, "");
    let decided =
        || trial.ground.ask("SELECT tenant, data->>'pod', rule FROM decision WHERE decision = 'hanging' ORDER BY 2");
    let quotas = || trial.ground.ask("SELECT tenant, name, definition->>'requests' FROM quota");
    trial.put(&["web-0", "web-1"]);
    trial.run();
    assert_eq!(decided(), [["acme", "web-0", "pods"], ["acme", "web-1", "pods"]]);
    assert_eq!(quotas(), [["acme", "pods", "60/m"]]);
    trial.put(&["web-1", "web-2"]);
    trial.run();
    assert_eq!(decided(), [["acme", "web-1", "pods"], ["acme", "web-2", "pods"]]);
    trial.put(&[]);
    trial.run();
    assert_eq!(decided(), [[""; 0]; 0]);
    assert_eq!(quotas(), [[""; 0]; 0]);
    assert_eq!(trial.ground.ask("SELECT count(*) FROM job"), [["0"]]);
    let rule = fs::read_to_string(format!("{}/pods.sql", trial.rules)).unwrap();
    let stale = trial.ground.beside("stale.sql");
    fs::write(&stale, rule.replace("-- resolved: materialize(\"hanging\");", "-- resolved:")).unwrap();
    let checked = trial.ground.run(&["rule", "check", stale.to_str().unwrap()]);
    assert!(checked.code == Some(1) && checked.stdout.contains("under `resolved`, too"), "{}", checked.stdout);
}

#[test]
fn an_object_is_labelled_while_a_row_fires() {
    let cluster = ApiServer::start(&[POD], 1);
    let object = |name: &str| serde_json::json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "shop" } });
    cluster.put("pods", object("web-0"));
    let call = "k8s_label(\"prod\", \"pods\", namespace, pod, \"stellwerk/hangs\", \"yes\")";
    let lines = format!("-- new: {call}\n-- resolved: {call}");
    let trial = Trial::new(&lines, "clusters: {prod: {kubeconfig: kubeconfig}}\n");
    cluster.kubeconfig(&trial.ground.beside("kubeconfig"), "sim");
    let label = || cluster.objects("pods")[0]["metadata"]["labels"]["stellwerk/hangs"].clone();
    trial.put(&["web-0", "web-9"]);
    trial.run();
    assert_eq!(label(), "yes");
    let dead = trial.ground.ask("SELECT error FROM job WHERE state = 'dead'");
    assert!(dead.len() == 1 && dead[0][0].contains("not found"), "{dead:?}");
    trial.put(&[]);
    trial.run();
    assert_eq!(label(), Value::Null);
    assert_eq!(trial.ground.ask("SELECT count(*) FROM job WHERE state <> 'dead'"), [["0"]]);
}

/// Follows a link as a browser would that never heard of a key.
fn followed(server: &Server, method: &str, link: &str, body: &str) -> (u16, String) {
    let path = link.strip_prefix("https://stellwerk.example").unwrap();
    let headers = [("authorization", ""), ("content-type", "application/x-www-form-urlencoded")];
    let reply = server.connect().send(method, path, &headers, body.to_owned()).unwrap();
    (reply.status, reply.text())
}

#[test]
fn a_message_brings_a_link_that_acknowledges_and_ends() {
    let more = "acknowledge: {url: 'https://stellwerk.example', secret: 'file:ack.key', valid: 1h}\n";
    let lines = "-- new: notify(\"P2\", \"{pod} hangs <b>\")\n-- resolved: notify(\"ops\", \"{pod} runs\")";
    let routes = "routes:\n  P2: {channels: [chat, ops], escalate: [{after: 15s, to: [boss]}]}\n";
    let trial = Trial::new(lines, &format!("{routes}{more}"));
    fs::write(trial.ground.beside("ack.key"), "0123456789abcdef0123").unwrap();
    let server = trial.serve();
    trial.put(&["web-0", "web-1"]);
    trial.wait("/ops", 2);
    trial.wait("/chat", 2);
    let bodies = trial.receiver.bodies("/ops");
    let of = |pod: &str| {
        bodies.iter().find(|body| body["row"]["pod"] == pod).unwrap()["acknowledge"].as_str().unwrap().to_owned()
    };
    let link = of("web-0");
    let slack = trial.receiver.bodies("/chat").remove(0);
    assert!(slack["blocks"][3]["text"]["text"].as_str().unwrap().ends_with("|Acknowledge>"), "{slack:#}");
    // Whoever only looks changes nothing.
    let (status, shown) = followed(&server, "GET", &link, "");
    assert!(status == 200 && shown.contains("web-0 hangs &lt;b&gt;") && shown.contains("<form"), "{status} {shown}");
    assert_eq!(trial.ground.ask("SELECT count(*) FROM acknowledgement"), [["0"]]);
    let cut = link.rfind('/').unwrap();
    let forged = format!("{}/{}", &link[..cut], "0".repeat(64));
    let stolen = format!("{}/{}", &of("web-1")[..of("web-1").rfind('/').unwrap()], &link[cut + 1..]);
    for wrong in [&forged, &stolen] {
        assert_eq!(followed(&server, "POST", wrong, "name=eve").0, 404, "{wrong}");
        assert_eq!(followed(&server, "GET", wrong, "").0, 404, "{wrong}");
    }
    let (status, said) = followed(&server, "POST", &link, "name=Otto+anna%40example.org");
    assert!(status == 200 && said.contains("1 of 1 rows"), "{status} {said}");
    assert_eq!(followed(&server, "POST", &link, "name=Eve").0, 200, "it is known already");
    let known = trial.ground.ask("SELECT key, who FROM acknowledgement");
    assert_eq!(known.len(), 1, "{known:?}");
    assert!(known[0][0].contains("web-0"), "{known:?}");
    assert_eq!(
        known[0][1], "Otto [redacted:email_address], by the link in ops",
        "the first one stays, without an address"
    );
    assert_eq!(trial.ground.ask("SELECT count(*) FROM audit WHERE action = 'rule.acknowledge'"), [["2"]]);
    // Those who are told later hear of the other one only.
    trial.wait("/boss", 1);
    wait_until(|| server.cell("SELECT count(*) FROM job") == "0", || "jobs are open".to_owned());
    assert_eq!(trial.texts("/boss"), ["web-1 hangs <b>"]);
    // What is over is not acknowledged, and no message about it has a link.
    trial.put(&["web-1"]);
    trial.wait("/ops", 3);
    assert!(trial.receiver.bodies("/ops").remove(2)["acknowledge"].is_null());
    let (status, said) = followed(&server, "POST", &link, "");
    assert!(status == 409 && said.contains("fires any more"), "{status} {said}");
    drop(server);
    // Another secret, and what was signed before is nobody's.
    fs::write(trial.ground.beside("ack.key"), "another secret of ours").unwrap();
    let server = trial.serve();
    assert_eq!(followed(&server, "GET", &of("web-1"), "").0, 404);
}
