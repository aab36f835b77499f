//! A real API server: kubectl makes, changes and deletes objects, and the tables follow within a second. The whole one where
//! `make faults` has built it, else one that knows custom resources only; the log says which.

use std::collections::BTreeSet;
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
                "etcd, kubectl or the API server is missing; make test installs them where it can",
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
        if api.is_whole() {
            // A whole one wants the namespace first.
            api.kubectl(&["create", "namespace", "shop"], None);
        }
        Some(api)
    }

    /// Whether it has pods and everything else, and not custom resources alone.
    fn is_whole(&self) -> bool {
        self.service.fact("version").starts_with("kube-apiserver")
    }

    /// What the server has of these kinds in all namespaces, as `kind|namespace|name|version`.
    fn versions(&self, kinds: &str) -> BTreeSet<String> {
        let (done, said) = self.try_kubectl(&["get", kinds, "--all-namespaces", "--output", "json"], None);
        assert!(done, "{said}");
        let list: Value = serde_json::from_str(&said).expect("kubectl shows JSON");
        let word = |item: &Value, path: &str| item.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let line = |item: &Value| {
            ["/kind", "/metadata/namespace", "/metadata/name", "/metadata/resourceVersion"]
                .map(|p| word(item, p))
                .join("|")
        };
        list["items"].as_array().expect("a list").iter().map(line).collect()
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

/// A workload of each kind that a pod's template makes, and what stands around it.
fn shop() -> Value {
    let meta = |name: &str| json!({"name": name, "namespace": "shop", "labels": {"app": name}});
    let container = |image: &str| {
        json!({"name": "web", "image": image, "env": [{"name": "LOG_LEVEL", "value": "info"}],
            "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}})
    };
    let template = |name: &str, restart: &str| json!({"metadata": {"labels": {"app": name}}, "spec": {"restartPolicy": restart, "containers": [container("shop/web:1")]}});
    let workload = |kind: &str, name: &str, more: Value| {
        let mut spec = json!({"selector": {"matchLabels": {"app": name}}, "template": template(name, "Always")});
        spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({"apiVersion": "apps/v1", "kind": kind, "metadata": meta(name), "spec": spec})
    };
    let pods = (0..3).map(|n| json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta(&format!("p{n}")), "spec": {"containers": [container("shop/web:1")]}}));
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"});
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let mut items = vec![
        workload("Deployment", "web", json!({"replicas": 2})),
        workload("StatefulSet", "db", json!({"replicas": 1, "serviceName": "db"})),
        workload("DaemonSet", "agent", json!({})),
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta("once"), "spec": {"template": template("once", "Never")}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta("web"), "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}),
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta("limit"), "spec": {"hard": {"pods": "20", "requests.cpu": "8"}}}),
        json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": meta("range"), "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta("disk"), "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta("key"), "stringData": {"password": "hush-hush-hush"}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta("web"), "spec": {"rules": [{"host": "shop.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta("closed"), "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta("readers"), "roleRef": role, "subjects": [{"kind": "Group", "name": "readers", "apiGroup": "rbac.authorization.k8s.io"}]}),
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta("web"), "spec": {"maxReplicas": 9, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}}),
    ];
    items.extend(pods);
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// Kinds that are compared as a whole, in kubectl's words and in the table's.
const KINDS: &str = "pods,services,deployments,statefulsets,daemonsets,jobs,resourcequotas,limitranges,persistentvolumeclaims,\
    ingresses,networkpolicies,rolebindings,horizontalpodautoscalers,namespaces";

#[test]
fn workloads_of_a_whole_api_server_are_followed_within_a_second() {
    let Some(api) = Api::start() else { return };
    if !api.is_whole() {
        skipped(
            "pods and workloads on a real API server",
            "kube-apiserver is not built; deploy/setup faults builds it",
        );
        return;
    }
    api.kubectl(&["apply", "--server-side", "-f", "-"], Some(&shop()));
    let ground = Ground::new();
    let server = Server::start(&ground, &[]);
    let _follower = Follower::start(&ground, api.service.fact("kubeconfig"), &["--resource", "secrets"]);
    for kind in ["Pod", "Deployment", "HorizontalPodAutoscaler", "Secret"] {
        becomes(&server, &format!("SELECT state FROM k8s_watch WHERE kind = '{kind}'"), "watching", READY_WITHIN);
    }
    each_kind_is_flattened(&server);
    changes_are_followed(&api, &server);
    all_of_it_is_there(&api, &server);
    assert_eq!(server.cell("SELECT count(*) FROM k8s_object WHERE kind = 'Secret' AND name = 'key'"), "1");
    for table in ["k8s_object", "k8s_object_history"] {
        let all = server.sql(&format!("SELECT object FROM {table} WHERE kind = 'Secret'")).rows.concat().concat();
        assert!(!all.contains("hush") && !all.contains("aHVzaC1odXNo"), "{all}");
    }
}

/// Columns of each kind's table.
fn each_kind_is_flattened(server: &Server) {
    for (sql, expected) in [
        ("SELECT replicas, cpu_request_cores FROM k8s_deployment WHERE name = 'web'", "2,0.25"),
        ("SELECT name FROM k8s_stateful_set", "db"),
        ("SELECT name FROM k8s_daemon_set", "agent"),
        ("SELECT name FROM k8s_job", "once"),
        ("SELECT hosts FROM k8s_ingress", "[\"shop.example\"]"),
        ("SELECT denies_ingress FROM k8s_network_policy", "true"),
        ("SELECT hard FROM k8s_resource_quota WHERE resource = 'pods'", "20"),
        ("SELECT request_bytes FROM k8s_persistent_volume_claim", "1073741824"),
        ("SELECT subject_name || role_name FROM k8s_role_binding WHERE name = 'readers'", "readersview"),
        ("SELECT target_name || max_replicas FROM k8s_horizontal_pod_autoscaler", "web9"),
        ("SELECT memory_limit_bytes FROM k8s_pod WHERE pod = 'p0'", "134217728"),
    ] {
        becomes(server, sql, expected, READY_WITHIN);
    }
}

/// What kubectl does, and how soon it is seen.
fn changes_are_followed(api: &Api, server: &Server) {
    let running = json!({"status": {"phase": "Running"}}).to_string();
    let pods = "SELECT pod || '=' || phase || '@' || tenant FROM k8s_pod ORDER BY pod";
    let first = "p0=Pending@default,p1=Pending@default,p2=Pending@default";
    becomes(server, pods, first, READY_WITHIN);
    let mut lags = Vec::new();
    for (args, sql, expected) in [
        (
            vec!["patch", "pod", "p0", "--subresource=status", "--type=merge", "--patch", &running],
            pods,
            "p0=Running@default,p1=Pending@default,p2=Pending@default",
        ),
        (vec!["label", "pod", "p1", "tenant=acme"], pods, "p0=Running@default,p1=Pending@acme,p2=Pending@default"),
        (vec!["delete", "pod", "p2", "--now"], pods, "p0=Running@default,p1=Pending@acme"),
        (vec!["scale", "deployment", "web", "--replicas=5"], "SELECT replicas FROM k8s_deployment", "5"),
        (
            vec!["set", "image", "deployment/web", "web=shop/web:2"],
            "SELECT images FROM k8s_deployment",
            "[\"shop/web:2\"]",
        ),
        (vec!["delete", "ingress", "web"], "SELECT count(*) FROM k8s_ingress", "0"),
        (vec!["create", "namespace", "pay"], "SELECT count(*) FROM k8s_namespace WHERE name = 'pay'", "1"),
    ] {
        let args: Vec<&str> = args.into_iter().chain(["--namespace", "shop"]).collect();
        api.kubectl(&args, None);
        lags.push(becomes(server, sql, expected, FOLLOWS_WITHIN));
    }
    println!("seen after kubectl had returned: {lags:?}");
}

/// Every object of these kinds, in the server's own version of it.
fn all_of_it_is_there(api: &Api, server: &Server) {
    let begun = Instant::now();
    let tables =
        "SELECT kind || '|' || coalesce(namespace, '') || '|' || name || '|' || resource_version FROM k8s_object";
    let beside = [
        "Pod",
        "Service",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "Job",
        "ResourceQuota",
        "LimitRange",
        "Ingress",
        "PersistentVolumeClaim",
        "NetworkPolicy",
        "RoleBinding",
        "HorizontalPodAutoscaler",
        "Namespace",
    ];
    let compared = |line: &String| beside.contains(&line.split('|').next().unwrap_or_default());
    loop {
        let own: BTreeSet<String> = server.sql(tables).rows.concat().into_iter().filter(compared).collect();
        let theirs = api.versions(KINDS);
        if own == theirs {
            break;
        }
        assert!(begun.elapsed() < READY_WITHIN, "{:?}", own.symmetric_difference(&theirs).collect::<Vec<_>>());
    }
}
