//! A real API server: kubectl makes, changes and deletes objects of custom resources, and the tables follow within a second.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Ground, Server, Service, skipped};
use crate::kubernetes::Follower;

/// How long the tables may lag behind kubectl.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(1);
/// How long the API server and what it learns may take.
const READY_WITHIN: Duration = Duration::from_secs(60);

struct Api {
    service: Service,
    _ground: Ground,
}

impl Api {
    fn start() -> Option<Api> {
        let ground = Ground::new();
        let Some(service) = Service::start("apiserver.sh", &[&ground.beside("apiserver")], 3) else {
            skipped(
                "a real API server",
                "etcd, kubectl or apiextensions-apiserver is missing; make test installs them where it can",
            );
            return None;
        };
        println!("API server of this run: {} on etcd", service.fact("version"));
        let api = Api { service, _ground: ground };
        let begun = Instant::now();
        while !api.try_kubectl(&["get", "--raw", DEFINITIONS], None).0 {
            let log = std::fs::read_to_string(api._ground.beside("apiserver/apiserver.log")).unwrap_or_default();
            assert!(begun.elapsed() < READY_WITHIN, "the API server did not start:\n{log}");
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(api)
    }

    fn try_kubectl(&self, args: &[&str], input: Option<&Value>) -> (bool, String) {
        let mut command = Command::new(self.service.fact("kubectl"));
        command.args(["--kubeconfig", self.service.fact("kubeconfig")]).args(args);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        input.map_or(Ok(()), |input| stdin.write_all(input.to_string().as_bytes())).expect("kubectl reads");
        drop(stdin);
        let output = child.wait_with_output().expect("kubectl ends");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Runs kubectl; it must succeed, if need be after a while: a new kind is not served at once.
    fn kubectl(&self, args: &[&str], input: Option<&Value>) {
        let begun = Instant::now();
        loop {
            let (done, said) = self.try_kubectl(args, input);
            if done {
                return;
            }
            assert!(begun.elapsed() < READY_WITHIN, "kubectl {args:?}: {said}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Defines a custom resource.
    fn define(&self, kind: &str, plural: &str) {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.example.org")},
            "spec": {"group": "example.org", "scope": "Namespaced", "versions": [version],
                "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()}}});
        self.kubectl(&["create", "--raw", DEFINITIONS, "-f", "-"], Some(&definition));
    }

    /// Creates an object.
    fn create(&self, kind: &str, plural: &str, name: &str) {
        let object = json!({"apiVersion": "example.org/v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"},
            "status": {"phase": "New"}});
        self.kubectl(&["create", "--raw", &path(plural), "-f", "-"], Some(&object));
    }

    /// Gives an object another phase.
    fn change(&self, plural: &str, name: &str, phase: &str) {
        let path = format!("{}/{name}", path(plural));
        let (done, said) = self.try_kubectl(&["get", "--raw", &path], None);
        assert!(done, "{said}");
        let mut object: Value = serde_json::from_str(&said).expect("kubectl shows JSON");
        object["status"]["phase"] = json!(phase);
        self.kubectl(&["replace", "--raw", &path, "-f", "-"], Some(&object));
    }

    /// Deletes what stands at a path.
    fn delete(&self, path: &str) {
        self.kubectl(&["delete", "--raw", path], None);
    }
}

/// Where custom resources are defined. `--raw`, because this API server does not list its groups and kubectl would ask.
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn path(plural: &str) -> String {
    format!("/apis/example.org/v1/namespaces/shop/{plural}")
}

/// Waits until a question has this answer; says how long that took.
fn becomes(server: &Server, sql: &str, expected: &str, within: Duration) -> Duration {
    let begun = Instant::now();
    loop {
        let found = server.sql(sql).rows.concat().join(",");
        if found == expected {
            return begun.elapsed();
        }
        let watch = || server.sql("SELECT kind, state, objects, lists, changes, last_failure FROM k8s_watch").rows;
        assert!(begun.elapsed() < within, "{sql}: {found:?} is not {expected:?} after {within:?}: {:?}", watch());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn tables_follow_a_real_api_server_within_a_second() {
    let Some(api) = Api::start() else { return };
    api.define("Widget", "widgets");
    for n in 0..5 {
        api.create("Widget", "widgets", &format!("w{n}"));
    }
    let ground = Ground::new();
    let server = Server::start(&ground, &[]);
    let args = ["--resource", "*.example.org", "--discover-every", "500ms"];
    let _follower = Follower::start(&ground, api.service.fact("kubeconfig"), &args);
    let phases = "SELECT name || '=' || phase FROM k8s_custom_resource WHERE kind = 'Widget' ORDER BY name";
    becomes(&server, phases, "w0=New,w1=New,w2=New,w3=New,w4=New", READY_WITHIN);
    let state = "SELECT state FROM k8s_watch WHERE kind = 'Widget'";
    becomes(&server, state, "watching", READY_WITHIN);

    let mut lags = Vec::new();
    api.create("Widget", "widgets", "w5");
    lags.push(becomes(&server, phases, "w0=New,w1=New,w2=New,w3=New,w4=New,w5=New", FOLLOWS_WITHIN));
    api.change("widgets", "w1", "Old");
    lags.push(becomes(&server, phases, "w0=New,w1=Old,w2=New,w3=New,w4=New,w5=New", FOLLOWS_WITHIN));
    api.delete(&format!("{}/w0", path("widgets")));
    lags.push(becomes(&server, phases, "w1=Old,w2=New,w3=New,w4=New,w5=New", FOLLOWS_WITHIN));
    println!("seen after kubectl had returned: {lags:?}");

    // A kind that the cluster did not have, and one that it has no more.
    api.define("Gadget", "gadgets");
    api.create("Gadget", "gadgets", "g");
    becomes(&server, "SELECT name FROM k8s_custom_resource WHERE kind = 'Gadget'", "g", READY_WITHIN);
    api.delete(&format!("{DEFINITIONS}/widgets.example.org"));
    becomes(&server, phases, "", READY_WITHIN);
    becomes(&server, state, "gone", READY_WITHIN);
    assert_eq!(server.cell("SELECT count(*) FROM k8s_object WHERE kind = 'Widget'"), "0");
}
