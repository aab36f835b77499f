//! The real binary: durable web hooks a second at its door, and how soon after `kill -9` a job that was under way is done
//! again.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Context;
use crate::harness::{Ground, Server};
use crate::load::{self, Door, Plan};
use crate::report::{Bound, Goal, Report, Spread, figure};

const CLIENTS: usize = 64;
const WARM: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(8);
const DELIVERIES: usize = 60_000;
const KILLS: usize = 5;
/// A call comes within this time, or something is wrong.
const CALL_TIME_MAX: Duration = Duration::from_secs(60);
const HOOKS_GOAL: f64 = 2_200.0;
const AGAIN_GOAL_S: f64 = 0.5;
const TAKE_OVERS: usize = 3;
const TAKEN_OVER_GOAL_S: f64 = 16.0;

/// All of it; with the URL of a PostgreSQL that two nodes share, if there is one.
pub fn measure(context: &Context, report: &mut Report, postgres: Option<&str>) {
    hooks(context, report);
    again(context, report);
    if let Some(url) = postgres {
        taken_over(context, report, url);
    }
}

/// Alerts of a sender that proves itself, each another delivery.
fn hooks(context: &Context, report: &mut Report) {
    context.say("web hooks");
    let ground = Ground::under(&context.folder);
    fs::write(ground.beside("key"), "hidden").expect("a secret");
    let hooks = ground.beside("hooks.yaml");
    let senders = "hooks:\n  alerts: {scheme: alertmanager, token: 'file:key', tenant: acme}\n";
    fs::write(&hooks, senders).expect("the senders");
    let server = Server::start(&ground, &["--hooks", hooks.to_str().expect("the folder's name is UTF-8")]);
    let body = |at: usize| {
        let alert = json!({
            "status": "firing", "fingerprint": format!("{at:016x}"), "startsAt": "2026-11-01T06:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z", "labels": {"alertname": "Slow", "severity": "page", "instance": at.to_string()},
            "annotations": {"summary": "p99 is 2 s"}, "generatorURL": "",
        });
        let delivery = json!({
            "version": "4", "groupKey": format!("{{}}:{{instance=\"{at}\"}}"), "status": "firing", "receiver": "stellwerk",
            "commonLabels": {"alertname": "Slow"}, "externalURL": "http://alertmanager", "truncatedAlerts": 0,
            "alerts": [alert],
        });
        delivery.to_string().into_bytes()
    };
    let bodies: Vec<Vec<u8>> = (0..context.scaled(DELIVERIES)).map(body).collect();
    let count = bodies.len();
    let door = Door {
        address: server.address,
        path: "/hooks/alerts".to_owned(),
        headers: "content-type: application/json\r\nauthorization: Bearer hidden\r\n".to_owned(),
    };
    let plan = Plan { door, bodies: Arc::new(bodies), clients: CLIENTS, pace: None };
    let window = WINDOW.mul_f64(context.scale.max(0.25));
    let measured = load::run(plan, server.id(), WARM, window);
    let stored: usize = server.cell("SELECT count(*) FROM hook_event").parse().expect("a count");
    assert_eq!(stored, measured.sent.min(count), "what was acknowledged is there, a repetition once");
    if measured.sent > count {
        report.note(format!("{} of {} deliveries were repetitions.", measured.sent - count, measured.sent));
    }
    report.goal(Goal {
        what: &format!("durable web hooks, {CLIENTS} senders"),
        bound: Bound::AtLeast(HOOKS_GOAL),
        unit: "deliveries/s",
        value: Some(measured.per_s()),
        ours: format!(
            "{} deliveries/s, {} a CPU-second, p50 {} ms, p99 {} ms",
            figure(measured.per_s()),
            figure(measured.per_cpu_s()),
            figure(measured.ack_ms(0.5)),
            figure(measured.ack_ms(0.99))
        ),
        peer: "n8n: 220 executions/s on two cores by its own page".to_owned(),
    });
    report
        .raw("hooks", json!({"per_s": measured.per_s(), "p99_ms": measured.ack_ms(0.99), "refused": measured.refused}));
}

/// A call: when it came, and the name of its effect.
struct Call {
    at: Instant,
    key: String,
}

/// Takes calls, tells of each, and never answers.
fn silent() -> (SocketAddr, Receiver<Call>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let (sender, calls) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || hear(stream, &sender));
        }
    });
    (address, calls)
}

fn hear(mut stream: TcpStream, calls: &Sender<Call>) {
    let mut block = [0_u8; 4 << 10];
    if let Ok(read) = stream.read(&mut block)
        && read > 0
    {
        let head = String::from_utf8_lossy(&block[..read]).into_owned();
        let key = head.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).unwrap_or_default().to_owned();
        // Nobody listens any more once the suite has ended.
        let _ = calls.send(Call { at: Instant::now(), key });
    }
    // Until the other side ends.
    while stream.read(&mut block).is_ok_and(|read| read > 0) {}
}

/// A store with one row that a rule tells of, and the arguments of a server that tells it there.
fn waiting(ground: &Ground, address: SocketAddr) -> [String; 4] {
    let rules = ground.beside("rules");
    fs::create_dir_all(&rules).expect("a folder");
    let rule = "-- ---\n-- owner: bench\n-- every: 1s\n-- key: [pod]\n-- new: notify(\"ops\", \"{pod} waits\")\n-- ---\n\
                SELECT pod FROM k8s_pod WHERE phase = 'Pending'\n";
    fs::write(rules.join("pods.sql"), rule).expect("a rule");
    let pods = json!({
        "apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": [{
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web-0", "namespace": "shop", "uid": "u", "resourceVersion": "1"},
            "spec": {"containers": [{"name": "c", "image": "i:1"}]}, "status": {"phase": "Pending"},
        }],
    });
    let file = ground.beside("pods.json");
    fs::write(&file, pods.to_string()).expect("the pods");
    let [actions, told] = messages(ground, address);
    [actions, told, "--rules".to_owned(), path(&rules)]
}

/// The arguments of a server whose messages go there.
fn messages(ground: &Ground, address: SocketAddr) -> [String; 2] {
    fs::write(ground.beside("key"), "hidden").expect("a secret");
    let actions = ground.beside("actions.yaml");
    let channel = format!("channels: {{ops: {{url: 'http://{address}/ops', secret: 'file:key'}}}}\n");
    fs::write(&actions, channel).expect("the channels");
    ["--actions".to_owned(), path(&actions)]
}

fn path(path: &Path) -> String {
    path.to_str().expect("the folder's name is UTF-8").to_owned()
}

/// A call is under way when its process ends; how long until another one that lives on the same database makes it again.
fn taken_over(context: &Context, report: &mut Report, url: &str) {
    context.say("kill -9 of one node of two");
    let (address, calls) = silent();
    let grounds = [Ground::under(&context.folder), Ground::under(&context.folder)];
    let rules = waiting(&grounds[0], address);
    let others = messages(&grounds[1], address);
    let state = ["--state".to_owned(), url.to_owned()];
    let start = |ground: &Ground, args: &[String]| {
        let args: Vec<&str> = args.iter().chain(&state).map(String::as_str).collect();
        Server::start(ground, &args)
    };
    let mut first = start(&grounds[0], &rules);
    grounds[0].run(&["ingest", "k8s", &path(&grounds[0].beside("pods.json")), "--cluster", "c"]).ok();
    let told = calls.recv_timeout(CALL_TIME_MAX).expect("the rule's message is sent");
    // The nodes have their facts apart, so that the rule may tell of the row once more; that is another message.
    let again = || {
        let next = || calls.recv_timeout(CALL_TIME_MAX).expect("the other node sends the message");
        std::iter::repeat_with(next).find(|call| call.key == told.key).expect("calls without end")
    };
    let mut second = start(&grounds[1], &others);
    let mut took_s = Vec::new();
    for turn in 0..TAKE_OVERS {
        let [dies, lives] = if turn % 2 == 0 { [&mut first, &mut second] } else { [&mut second, &mut first] };
        assert!(lives.ended().is_none(), "the other node lives");
        let begun = Instant::now();
        dies.kill9();
        took_s.push(again().at.duration_since(begun).as_secs_f64());
        // It comes back, for the next turn.
        match turn % 2 {
            0 => first = start(&grounds[0], &messages(&grounds[0], address)),
            _ => second = start(&grounds[1], &others),
        }
    }
    let took = Spread::of(&took_s);
    report.goal(Goal {
        what: "from kill -9 of a node to the call by another node on the same PostgreSQL",
        bound: Bound::AtMost(TAKEN_OVER_GOAL_S),
        unit: "s",
        value: Some(took.median),
        ours: format!("{took} s; a lease lasts {} s", jobs::queue::LEASE.as_secs()),
        peer: String::new(),
    });
    report.raw("taken_over_s", json!(took_s));
}

/// A call is under way when the process ends; from the start of the next one until the call is made again.
fn again(context: &Context, report: &mut Report) {
    context.say("kill -9 and the first call after it");
    let (ground, (address, calls)) = (Ground::under(&context.folder), silent());
    let args = waiting(&ground, address);
    ground.run(&["ingest", "k8s", &path(&ground.beside("pods.json")), "--cluster", "c"]).ok();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut server = Server::start(&ground, &args);
    calls.recv_timeout(CALL_TIME_MAX).expect("the rule's message is sent");
    let mut took_s = Vec::new();
    for _ in 0..KILLS {
        server.kill9();
        let begun = Instant::now();
        server = Server::start(&ground, &args);
        let called = calls.recv_timeout(CALL_TIME_MAX).expect("the message is sent again");
        took_s.push(called.at.duration_since(begun).as_secs_f64());
    }
    let took = Spread::of(&took_s);
    report.goal(Goal {
        what: "from a start after kill -9 to the first call of a job that was under way",
        bound: Bound::AtMost(AGAIN_GOAL_S),
        unit: "s",
        value: Some(took.median),
        ours: format!("{took} s"),
        peer: "DBOS: 1.81 s where it was measured; apalis 60 s, River an hour by default".to_owned(),
    });
    report.raw("again_s", json!(took_s));
}
