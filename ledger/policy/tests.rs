//! What a set answers, and which objects a constraint is about.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/policies")
}

fn pod(meta: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta})
}

/// Whether a match holds for an object in a namespace with these labels; an error is told as `denies`.
fn check(what: &str, matching: Value, object: &Value, namespace: Option<Value>, expected: &str) {
    let review = Review::of_object(object.clone()).expect("an object").in_namespace(namespace);
    let subject = review.subjects().next().expect("a review has an object");
    let got = match Match::parse(Some(&matching)).and_then(|m| m.matches(subject)) {
        Ok(true) => "matches",
        Ok(false) => "no",
        Err(_) => "denies",
    };
    assert_eq!(got, expected, "{what}: {matching} on {object}");
}

#[test]
fn kinds_names_and_scopes() {
    let deployment =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "n"}});
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}});
    let a_pod = pod(json!({"name": "web-1", "namespace": "shop"}));
    let made = pod(json!({"generateName": "web-", "namespace": "shop"}));
    for (what, matching, object, expected) in [
        ("nothing asked", json!({}), &a_pod, "matches"),
        ("kind", json!({"kinds": [{"apiGroups": [""], "kinds": ["Pod"]}]}), &a_pod, "matches"),
        ("another group", json!({"kinds": [{"apiGroups": ["apps"], "kinds": ["Pod"]}]}), &a_pod, "no"),
        ("any group", json!({"kinds": [{"apiGroups": ["*"], "kinds": ["Deployment"]}]}), &deployment, "matches"),
        ("any kind", json!({"kinds": [{"apiGroups": ["apps"], "kinds": ["*"]}]}), &deployment, "matches"),
        ("no list is any", json!({"kinds": [{"kinds": ["Deployment"]}]}), &deployment, "matches"),
        ("one of several", json!({"kinds": [{"kinds": ["Pod"]}, {"kinds": ["Deployment"]}]}), &deployment, "matches"),
        ("name", json!({"name": "web-*"}), &a_pod, "matches"),
        ("name at the end", json!({"name": "*-1"}), &a_pod, "matches"),
        ("another name", json!({"name": "web"}), &a_pod, "no"),
        ("a name to be made", json!({"name": "web-*"}), &made, "matches"),
        ("the end of a name to be made", json!({"name": "*-1"}), &made, "no"),
        ("cluster scope", json!({"scope": "Cluster"}), &role, "matches"),
        ("cluster scope of a namespace", json!({"scope": "Cluster"}), &space, "matches"),
        ("cluster scope of a pod", json!({"scope": "Cluster"}), &a_pod, "no"),
        ("namespaced scope", json!({"scope": "Namespaced"}), &a_pod, "matches"),
        ("namespaced scope of a namespace", json!({"scope": "Namespaced"}), &space, "no"),
        ("any scope", json!({"scope": "*"}), &role, "matches"),
        ("an unknown scope is any", json!({"scope": "cluster"}), &a_pod, "matches"),
        ("original", json!({"source": "Original"}), &a_pod, "matches"),
        ("generated", json!({"source": "Generated"}), &a_pod, "no"),
        ("no source", json!({"source": "Elsewhere"}), &a_pod, "denies"),
        ("no field of a match", json!({"kind": "Pod"}), &a_pod, "denies"),
    ] {
        check(what, matching, object, None, expected);
    }
}

#[test]
fn namespaces_and_labels() {
    let a_pod = pod(json!({"name": "web-1", "namespace": "kube-public", "labels": {"app": "web", "tier": "front"}}));
    let meta = json!({"name": "kube-system", "labels": {"env": "prod"}});
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": meta});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}});
    let prod = json!({"metadata": {"name": "kube-public", "labels": {"env": "prod"}}});
    let is_prod = json!({"namespaceSelector": {"matchLabels": {"env": "prod"}}});
    let labels = |labels: Value| json!({"labelSelector": {"matchLabels": labels}});
    let expression = |operator: &str, values: Value| json!({"labelSelector": {"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}});
    for (what, matching, object, namespace, expected) in [
        ("a prefix", json!({"namespaces": ["kube-*"]}), &a_pod, None, "matches"),
        ("a suffix", json!({"namespaces": ["*-public"]}), &a_pod, None, "matches"),
        ("a part", json!({"namespaces": ["*e-p*"]}), &a_pod, None, "matches"),
        ("another", json!({"namespaces": ["shop"]}), &a_pod, None, "no"),
        ("no wildcard", json!({"namespaces": ["kube"]}), &a_pod, None, "no"),
        ("excluded", json!({"excludedNamespaces": ["kube-*"]}), &a_pod, None, "no"),
        ("both", json!({"namespaces": ["*"], "excludedNamespaces": ["kube-public"]}), &a_pod, None, "no"),
        ("a namespace by its name", json!({"namespaces": ["kube-*"]}), &space, None, "matches"),
        ("a namespace excluded", json!({"excludedNamespaces": ["kube-system"]}), &space, None, "no"),
        ("the cluster's objects lie nowhere", json!({"namespaces": ["shop"]}), &role, None, "matches"),
        ("the cluster's are not excluded", json!({"excludedNamespaces": ["*"]}), &role, None, "matches"),
        ("labels", labels(json!({"app": "web", "tier": "front"})), &a_pod, None, "matches"),
        ("one label is another", labels(json!({"app": "web", "tier": "back"})), &a_pod, None, "no"),
        ("in", expression("In", json!(["api", "web"])), &a_pod, None, "matches"),
        ("not in", expression("NotIn", json!(["web"])), &a_pod, None, "no"),
        ("not in, absent", expression("NotIn", json!(["web"])), &role, None, "matches"),
        ("exists", expression("Exists", json!([])), &a_pod, None, "matches"),
        ("does not exist", expression("DoesNotExist", json!([])), &a_pod, None, "no"),
        ("in nothing", expression("In", json!([])), &a_pod, None, "denies"),
        ("the namespace's labels", is_prod.clone(), &a_pod, Some(prod), "matches"),
        ("the namespace is not known", is_prod.clone(), &a_pod, None, "denies"),
        ("a namespace's own labels", is_prod.clone(), &space, None, "matches"),
        ("the cluster's have no namespace", is_prod, &role, None, "matches"),
    ] {
        check(what, matching, object, namespace, expected);
    }
}

fn outcomes(folder: &str, engine: Engine) -> Vec<(String, CaseOutcome, String)> {
    let report = run_suite(&fixtures().join(folder).join("suite.yaml"), engine, None).expect("the suite is readable");
    report.tests.into_iter().flat_map(|t| t.cases).map(|c| (c.name, c.outcome, c.why)).collect()
}

#[test]
fn suites_pass_by_every_engine() {
    for engine in [Engine::Rego, Engine::Cel, Engine::Both] {
        for folder in ["owner", "replicas", "service-once"] {
            let cases = outcomes(folder, engine);
            assert!(!cases.is_empty(), "{folder} holds no case");
            for (name, outcome, why) in cases {
                assert_eq!(outcome, CaseOutcome::Passed, "{folder} {name} by {engine:?}: {why}");
            }
        }
    }
}

#[test]
fn what_cannot_be_evaluated_denies_with_its_reason() {
    let [(_, outcome, why)] = &outcomes("unreadable", Engine::Rego)[..] else { panic!("the suite has one case") };
    assert_eq!(*outcome, CaseOutcome::Denied);
    assert!(why.contains("it calls http.send, which is not there"), "{why}");
}

#[test]
fn a_set_answers_and_denies_without_an_inventory() {
    let set = PolicySet::load(&fixtures()).expect("the fixtures are policies");
    assert_eq!(set.counts(), (4, 5));
    assert!(set.notes.iter().any(|n| n.contains("asksabroad")), "{:?}", set.notes);
    let review = |object: Value, inventory: Option<&Inventory>| {
        set.reviewer(Engine::Rego, inventory).review(Review::of_object(object).expect("an object"), Point::Admission)
    };
    let drifting = pod(json!({"name": "drifting", "namespace": "coast"}));
    let verdict = review(drifting, None);
    assert!(!verdict.allowed && verdict.why.contains("[known-owner] Pod drifting has no label team"), "{verdict:?}");
    assert_eq!(verdict.violations[0].details, Some(json!({"label": "team"})));
    let owned = review(pod(json!({"name": "a", "namespace": "coast", "labels": {"team": "signal"}})), None);
    assert!(owned.allowed && owned.violations.is_empty() && owned.evaluated == 2, "{owned:?}");

    let meta = json!({"name": "bell", "namespace": "coast", "labels": {"team": "x"}});
    let bell = json!({"apiVersion": "v1", "kind": "Service", "metadata": meta});
    let blind = review(bell.clone(), None);
    let failure = blind.violations.iter().find(|v| v.constraint_name == "one-name-one-service").expect("it denies");
    assert!(failure.is_failure && failure.message.contains("none are given"), "{failure:?}");
    assert!(review(bell, Some(&Inventory::default())).violations.is_empty());
}

#[test]
fn a_constraint_without_its_template_denies() {
    let mut set = PolicySet::default();
    let (version, meta) = ("constraints.gatekeeper.sh/v1beta1", json!({"name": "n"}));
    set.add_constraint(json!({"apiVersion": version, "kind": "Nowhere", "metadata": meta})).expect("a constraint");
    let review = Review::of_object(pod(json!({"name": "a"}))).expect("an object");
    let verdict = set.reviewer(Engine::Rego, None).review(review, Point::Audit);
    assert!(!verdict.allowed && verdict.why.contains("there is no template Nowhere"), "{verdict:?}");
}

#[test]
fn scoped_actions_hold_at_their_points() {
    let document = json!({
        "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "K", "metadata": {"name": "n"},
        "spec": {"enforcementAction": "scoped", "scopedEnforcementActions": [
            {"action": "deny", "enforcementPoints": [{"name": "validation.gatekeeper.sh"}]},
            {"action": "warn", "enforcementPoints": [{"name": "*"}]},
        ]},
    });
    let constraint = Constraint::load(document).expect("a constraint");
    assert_eq!(constraint.actions(Point::Admission), ["deny", "warn"]);
    assert_eq!(constraint.actions(Point::Audit), ["warn"]);
}
