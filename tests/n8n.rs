//! A real n8n: one of its workflows calls us, signed, a rule follows what came and starts a flow, the flow calls another
//! workflow back, and that one's answer ends it.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Ground, Http, Server, skipped};

/// n8n makes its database and loads its nodes first.
const READY_MAX: Duration = Duration::from_secs(180);
const PATIENCE: Duration = Duration::from_secs(90);
const STOP_MAX: Duration = Duration::from_secs(20);
const SECRET: &str = "between n8n and us";

/// Every order of n8n becomes a flow that calls n8n back.
fn rule(n8n: SocketAddr) -> String {
    format!(
        "-- ---\n-- owner: shop\n-- on: [hook_event]\n-- key: [delivery_id]\n-- new: flow(\"callback\")\n\
         -- why: Whoever orders is called back.\n-- ---\n\
         SELECT delivery_id, tenant, 'http://{n8n}/webhook/back' AS url, body->>'text' AS text FROM hook_event\n\
         WHERE hook = 'n8n' AND event = 'order.placed' AND received_at > $now - INTERVAL '1' DAY\n"
    )
}

fn node(name: &str, kind: &str, version: f64, parameters: Value) -> Value {
    json!({
        "id": name, "name": name, "type": format!("n8n-nodes-base.{kind}"), "typeVersion": version, "position": [0, 0],
        "parameters": parameters,
    })
}

/// What a request to us looks like in n8n.
fn request(name: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let headers: Vec<Value> = headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let parameters = json!({
        "method": "POST", "url": url, "sendHeaders": true, "headerParameters": { "parameters": headers }, "sendBody": true,
        "contentType": "raw", "rawContentType": "application/json", "body": body, "options": {},
    });
    node(name, "httpRequest", 4.2, parameters)
}

/// A workflow of nodes one behind the other, which begins when its web hook `/webhook/NAME` is called.
fn workflow(name: &str, answers: &str, nodes: Vec<Value>) -> Value {
    let parameters = json!({ "httpMethod": "POST", "path": name, "responseMode": answers, "options": {} });
    let mut begin = node("begin", "webhook", 2.0, parameters);
    begin["webhookId"] = format!("hook-{name}").into();
    let nodes: Vec<Value> = std::iter::once(begin).chain(nodes).collect();
    let mut connections = serde_json::Map::new();
    for pair in nodes.windows(2) {
        let next = json!({ "main": [[{ "node": pair[1]["name"], "type": "main", "index": 0 }]] });
        connections.insert(pair[0]["name"].as_str().unwrap().to_owned(), next);
    }
    json!({
        "id": format!("stellwerk-{name}"), "name": name, "active": false, "nodes": nodes, "connections": connections,
        "settings": { "executionOrder": "v1" },
    })
}

/// Signs what it was given, and sends it to our door.
fn order(us: SocketAddr) -> Value {
    let said = "={{ JSON.stringify($json.body) }}";
    let sign = json!({
        "action": "hmac", "type": "SHA256", "value": said, "dataPropertyName": "signature", "secret": SECRET,
        "encoding": "hex",
    });
    let headers = [
        ("x-signature", "=sha256={{ $json.signature }}"),
        ("x-delivery", "=order-{{ $json.body.number }}"),
        ("x-event", "order.placed"),
    ];
    let send = request("send", &format!("http://{us}/hooks/n8n"), &headers, said);
    workflow("order", "lastNode", vec![node("sign", "crypto", 1.0, sign), send])
}

/// Is called back by a flow, and answers it.
fn back(us: SocketAddr, key: &str) -> Value {
    let authorization = format!("Bearer {key}");
    let headers =
        [("authorization", authorization.as_str()), ("idempotency-key", "={{ $json.headers['idempotency-key'] }}")];
    let answer = "={{ JSON.stringify({ text: $json.body.text, by: 'n8n' }) }}";
    let url = format!("=http://{us}{{{{ $json.body.answer }}}}");
    workflow("back", "onReceived", vec![request("answer", &url, &headers, answer)])
}

/// A running n8n.
struct N8n {
    child: Child,
    http: Http,
}

impl N8n {
    fn script() -> Command {
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/n8n.sh"))
    }

    /// `None` where it is not installed, which is said.
    fn start(folder: &Path, address: SocketAddr, workflows: &[Value]) -> Option<N8n> {
        fs::create_dir_all(folder).unwrap();
        let files: Vec<_> = (0..workflows.len()).map(|at| folder.join(format!("workflow-{at}.json"))).collect();
        for (file, workflow) in files.iter().zip(workflows) {
            fs::write(file, workflow.to_string()).unwrap();
        }
        let imported = N8n::script().arg("import").arg(folder).args(&files).output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&imported.stdout), String::from_utf8_lossy(&imported.stderr));
        if imported.status.code() == Some(77) {
            skipped("n8n", said.trim());
            return None;
        }
        assert!(imported.status.success(), "{said}");
        let log = fs::File::create(folder.join("n8n.log")).unwrap();
        let mut serve = N8n::script();
        serve.arg("serve").arg(folder).arg(address.port().to_string()).stdin(Stdio::null());
        let child = serve.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut n8n = N8n { child, http: Http::new(address, "nobody") };
        let begun = Instant::now();
        while !n8n.is_ready() {
            let log = || fs::read_to_string(folder.join("n8n.log")).unwrap();
            assert!(n8n.child.try_wait().unwrap().is_none(), "n8n ended: {}", log());
            assert!(begun.elapsed() < READY_MAX, "n8n is not ready: {}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(n8n)
    }

    /// Whether it answers; its workflows are active a moment later.
    fn is_ready(&mut self) -> bool {
        let health = self.http.send("GET", "/healthz/readiness", &[], "");
        health.is_ok_and(|reply| reply.status == 200)
    }

    /// Places an order with it; what its workflow came to.
    fn order(&mut self, order: &Value) -> (u16, String) {
        let begun = Instant::now();
        loop {
            let headers = [("content-type", "application/json"), ("authorization", "")];
            let reply = self.http.send("POST", "/webhook/order", &headers, order.to_string()).unwrap();
            // It is ready a moment before its workflows are active.
            if reply.status != 404 || begun.elapsed() > PATIENCE {
                return (reply.status, reply.text());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for N8n {
    fn drop(&mut self) {
        let id = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let begun = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) && begun.elapsed() < STOP_MAX {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Settings and the rule beside the data; the arguments of a server that goes by them.
fn prepare(ground: &Ground, n8n: SocketAddr) -> Vec<String> {
    fs::create_dir_all(ground.beside("rules")).unwrap();
    let sender = "{scheme: hmac, secret: 'file:key', signature_header: x-signature, delivery_header: x-delivery, event_header: x-event, tenant: acme}";
    for (name, text) in [
        ("rules/orders.sql", rule(n8n)),
        ("key", SECRET.to_owned()),
        ("actions.yaml", format!("hosts: ['{n8n}']\n")),
        ("hooks.yaml", format!("hooks:\n  n8n: {sender}\n")),
    ] {
        fs::write(ground.beside(name), text).unwrap();
    }
    let args = [("--rules", "rules"), ("--actions", "actions.yaml"), ("--hooks", "hooks.yaml")];
    args.iter().flat_map(|(arg, name)| [(*arg).to_owned(), ground.beside(name).display().to_string()]).collect()
}

#[test]
fn a_workflow_calls_us_and_is_called_back() {
    let ground = Ground::new();
    let n8n = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let args = prepare(&ground, n8n);
    let args: Vec<&str> = args.iter().map(String::as_str).chain(["--index", "off"]).collect();
    let server = Server::start(&ground, &args);
    let key = ground.run(&["key", "create", "n8n", "--tenant", "acme", "--scope", "write"]).ok().stdout;
    let workflows = [order(server.address), back(server.address, key.trim())];
    let Some(mut n8n) = N8n::start(&ground.beside("n8n"), n8n, &workflows) else { return };
    // The second one comes twice: what is delivered again is nothing new.
    for number in [1, 2, 2] {
        let order = json!({ "number": number, "text": format!("Grüße, {number}") });
        let (status, text) = n8n.order(&order);
        assert_eq!(status, 200, "{text}\n{}", server.log());
    }
    let begun = Instant::now();
    let done = "SELECT count(*) FROM job_done WHERE kind = 'flow' AND state = 'done'";
    while server.cell(done) != "2" {
        let told = || format!("{:?}\n{}", server.sql("SELECT id, kind, state, error FROM job").rows, server.log());
        assert!(begun.elapsed() < PATIENCE, "the flows did not end: {}", told());
        std::thread::sleep(Duration::from_millis(100));
    }
    let came = server.sql("SELECT delivery_id, tenant, event FROM hook_event ORDER BY 1");
    assert_eq!(came.rows, [["order-1", "acme", "order.placed"], ["order-2", "acme", "order.placed"]]);
    let effects = server.sql("SELECT class, state, target FROM effect WHERE step = 'call'").rows;
    assert_eq!(effects.len(), 2, "{effects:?}");
    assert!(effects.iter().all(|effect| effect[0] == "keyed" && effect[1] == "done"), "{effects:?}");
    let answers =
        server.sql("SELECT payload->>'text' AS text, payload->>'by' AS by, sender FROM signal ORDER BY 1").rows;
    assert_eq!(answers, [["Grüße, 1", "n8n", "acme/n8n"], ["Grüße, 2", "n8n", "acme/n8n"]]);
    // A workflow that signs with another secret is not heard.
    let forged = [("content-type", "application/json"), ("x-signature", "sha256=00"), ("x-delivery", "order-3")];
    assert_eq!(server.connect().send("POST", "/hooks/n8n", &forged, "{}").unwrap().status, 401);
}
