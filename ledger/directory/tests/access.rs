//! Keys with scopes, an end, teams and roles; rotated; over both databases.

use engine::NoRedaction;

use super::*;
use crate::audit::tests::ground::Postgres;
use crate::audit::verify::verify;
use crate::principal::{Permission, Permissions};

struct Ground {
    directory: Directory,
    state: Arc<State>,
    clock: Arc<Hand>,
}

async fn open(settings: &Settings) -> Ground {
    let state = Arc::new(State::open(settings).await.unwrap());
    let clock = Arc::new(Hand::default());
    let audit = Audit::start(state.clone(), clock.clone(), Arc::new(OsDice), Arc::new(NoRedaction)).await.unwrap();
    let directory = Directory::new(state.clone(), clock.clone(), Arc::new(OsDice)).with_audit(Arc::new(audit));
    Ground { directory, state, clock }
}

async fn suite(settings: Settings) {
    let ground = open(&settings).await;
    a_key_ends_by_itself(&ground).await;
    a_rotated_key_lives_on_for_the_overlap(&ground).await;
    a_tenant_manages_its_own_keys_only(&ground).await;
    grants_let_in_and_end_with_the_grant(&ground).await;
    let actions = "SELECT action, COUNT(*) AS n FROM audit GROUP BY action ORDER BY action";
    let actions = ground.state.fetch(actions, &[]).await.unwrap();
    let actions: Vec<(String, i64)> =
        actions.iter().map(|row| (row.get("action").unwrap(), row.get("n").unwrap())).collect();
    let wanted = [("directory.apply", 3), ("key.create", 8), ("key.revoke", 2), ("key.rotate", 2), ("tenant.apply", 4)];
    assert_eq!(actions, wanted.map(|(action, n)| (action.to_owned(), n)));
    assert!(verify(&ground.state, Vec::new(), &[]).await.unwrap().is_good());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    let data = tempfile::tempdir().unwrap();
    suite(Settings::new(data.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    let Some(server) = Postgres::start() else { return };
    let data = tempfile::tempdir().unwrap();
    suite(server.settings(data.path(), "access").await).await;
}

fn order(name: &str, tenant: &str, scopes: &str) -> KeyOrder {
    KeyOrder { scopes: Permissions::parse(scopes).unwrap(), ..KeyOrder::new(name, Some(tenant)) }
}

async fn refusal(ground: &Ground, secret: &Secret) -> Option<Refusal> {
    ground.directory.examine(secret.reveal()).await.unwrap().err()
}

async fn a_key_ends_by_itself(ground: &Ground) {
    let order = KeyOrder { expires_in: Some(Duration::from_secs(3_600)), ..order("ci", "acme", "read") };
    let (key, secret) = ground.directory.issue(&order, &Caller::operator()).await.unwrap();
    assert_eq!(key.expires_at_us, Some(ground.clock.now_us() + 3_600_000_000));
    let principal = ground.directory.verify(secret.reveal()).await.unwrap().unwrap();
    assert!(principal.may(Permission::Read) && !principal.may(Permission::Write));
    ground.clock.turn(Duration::from_secs(3_595));
    assert_eq!(refusal(ground, &secret).await, None);
    // Believed for ten seconds from now on, and good for five only.
    ground.clock.turn(Duration::from_secs(5));
    assert_eq!(refusal(ground, &secret).await, Some(Refusal::Expired));
    let rotation = Rotation { overlap: Duration::from_secs(60), expires_in: None };
    let late = ground.directory.rotate(&key.id, rotation, &Caller::operator()).await.unwrap_err();
    assert_eq!(late.kind(), Kind::Conflict, "{late}");
}

async fn a_rotated_key_lives_on_for_the_overlap(ground: &Ground) {
    let order = KeyOrder { expires_in: Some(Duration::from_secs(86_400 * 90)), ..order("web", "acme", "read write") };
    let (old, old_secret) = ground.directory.issue(&order, &Caller::operator()).await.unwrap();
    let rotation = Rotation { overlap: Duration::from_secs(3_600), expires_in: None };
    let (new, new_secret) = ground.directory.rotate(&old.id, rotation, &Caller::operator()).await.unwrap();
    assert_eq!((new.rotated_from.as_deref(), new.scopes, &new.name), (Some(old.id.as_str()), old.scopes, &old.name));
    assert_eq!(
        new.expires_at_us,
        Some(ground.clock.now_us() + 86_400 * 90 * 1_000_000),
        "good as long as the old one was"
    );
    for secret in [&old_secret, &new_secret] {
        assert_eq!(refusal(ground, secret).await, None, "both are good in the overlap");
    }
    let twice = ground.directory.rotate(&old.id, rotation, &Caller::operator()).await.unwrap_err();
    assert_eq!(twice.kind(), Kind::Conflict);
    assert!(twice.to_string().contains(&new.id), "{twice}");
    ground.clock.turn(Duration::from_secs(3_600));
    assert_eq!(refusal(ground, &old_secret).await, Some(Refusal::Expired));
    assert_eq!(refusal(ground, &new_secret).await, None);
    ground.directory.revoke(&new.id, &Caller::operator()).await.unwrap();
    assert_eq!(refusal(ground, &new_secret).await, Some(Refusal::Revoked));
    let gone = ground.directory.rotate("nobody", rotation, &Caller::operator()).await.unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
}

async fn a_tenant_manages_its_own_keys_only(ground: &Ground) {
    let (acme, _) = ground.directory.issue(&order("a", "acme", "read"), &Caller::operator()).await.unwrap();
    let (rival, _) = ground.directory.issue(&order("b", "rival", "read"), &Caller::operator()).await.unwrap();
    let admin = Caller { scope: engine::Scope::tenant("acme", "root"), ..Caller::operator() };
    let rotation = Rotation { overlap: Duration::ZERO, expires_in: None };
    for hidden in [
        ground.directory.revoke(&rival.id, &admin).await.unwrap_err(),
        ground.directory.rotate(&rival.id, rotation, &admin).await.map(|_| ()).unwrap_err(),
    ] {
        assert_eq!(hidden.kind(), Kind::NotFound, "{hidden}");
    }
    for (order, why) in [
        (order("x", "rival", "read"), "another tenant"),
        (KeyOrder::new("x", None), "the platform"),
        (KeyOrder { teams: vec!["rival/ops".to_owned()], ..order("x", "acme", "read") }, "another tenant's team"),
        (KeyOrder { roles: vec!["auditor".to_owned()], ..order("x", "acme", "read") }, "a role"),
    ] {
        let refused = ground.directory.issue(&order, &admin).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.kind(), Kind::Denied, "{why}: {refused}");
    }
    let (own, secret) = ground.directory.issue(&order("own", "acme", "admin"), &admin).await.unwrap();
    assert!(!own.scopes.has(Permission::Operate), "a tenant's admin does not operate the platform");
    assert_eq!(refusal(ground, &secret).await, None);
    ground.directory.rotate(&own.id, rotation, &admin).await.unwrap();
    ground.directory.revoke(&acme.id, &admin).await.unwrap();
    for (order, why) in [
        (KeyOrder { teams: vec!["nobodies".to_owned()], ..order("x", "acme", "read") }, "an unknown team"),
        (
            KeyOrder { scopes: Permissions::of(&[Permission::Operate]), ..order("x", "acme", "read") },
            "no scope of a tenant",
        ),
        (KeyOrder { roles: vec!["two words".to_owned()], ..order("x", "acme", "read") }, "a role of two words"),
        (KeyOrder { teams: vec!["ops".to_owned()], ..KeyOrder::new("x", None) }, "a bare team of no tenant"),
    ] {
        let refused = ground.directory.issue(&order, &Caller::operator()).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid, "{why}: {refused}");
    }
}

async fn grants_let_in_and_end_with_the_grant(ground: &Ground) {
    let document = |kind: &str, namespace: Option<&str>, name: &str, spec: serde_json::Value| {
        let mut metadata = serde_json::json!({ "name": name });
        if let Some(namespace) = namespace {
            metadata["namespace"] = namespace.into();
        }
        serde_json::json!({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})
    };
    let empty = || serde_json::json!({});
    let grant =
        |to: &str, tenants: &[&str], access: &str| serde_json::json!({"to": to, "tenants": tenants, "access": access});
    let mut all = vec![
        document("Tenant", None, "acme", empty()),
        document("Tenant", None, "globex", empty()),
        document("Tenant", None, "initech", empty()),
        document("Team", Some("acme"), "finance", empty()),
        document("Team", Some("acme"), "finops", serde_json::json!({"parent": "finance"})),
        document("Grant", None, "finance-reads", grant("team:acme/finance", &["globex", "initech"], "read")),
        document("Grant", Some("globex"), "finops-writes", grant("team:acme/finops", &["globex"], "write")),
        document("Grant", None, "auditors", grant("role:auditor", &["acme"], "read")),
    ];
    let apply = async |all: &[serde_json::Value]| {
        let wish = Wish { prune: true, ..Wish::default() };
        ground.directory.apply_entities(all, &wish, &Caller::operator()).await.unwrap()
    };
    assert_eq!(apply(&all).await.version, 1);
    let order = KeyOrder { teams: vec!["finops".to_owned()], ..order("ana", "acme", "read write") };
    let (_, ana) = ground.directory.issue(&order, &Caller::operator()).await.unwrap();
    let principal = ground.directory.verify(ana.reveal()).await.unwrap().unwrap();
    let tenants = |principal: &Principal, permission| principal.scope_for(permission).unwrap().tenants;
    assert_eq!(tenants(&principal, Permission::Read), Tenants::of(["acme", "globex", "initech"]).unwrap());
    assert_eq!(tenants(&principal, Permission::Write), Tenants::of(["acme", "globex"]).unwrap());
    let auditor = KeyOrder { role: Role::Granted, roles: vec!["auditor".to_owned()], ..KeyOrder::new("aud", None) };
    let (_, auditor) = ground.directory.issue(&auditor, &Caller::operator()).await.unwrap();
    let seen = ground.directory.verify(auditor.reveal()).await.unwrap().unwrap();
    assert_eq!(seen.scope().unwrap().tenants, Tenants::One("acme".into()));
    assert_eq!(seen.scope().unwrap().groups(), Some(&["role:auditor".to_owned()][..]));
    assert!(!seen.may(Permission::Keys));
    // The grant goes, and the next call knows.
    all.pop();
    apply(&all).await;
    let seen = ground.directory.verify(auditor.reveal()).await.unwrap().unwrap();
    assert_eq!(seen.scope(), None);
    // A tenant that is ended is nobody's to see, and its keys end.
    let (_, globex) = ground.directory.issue(&self::order("g", "globex", "read"), &Caller::operator()).await.unwrap();
    all.retain(|document| document["metadata"]["name"] != "globex" && document["metadata"]["namespace"] != "globex");
    all[4]["spec"]["tenants"] = serde_json::json!(["initech"]);
    apply(&all).await;
    assert_eq!(refusal(ground, &globex).await, Some(Refusal::Revoked));
    let principal = ground.directory.verify(ana.reveal()).await.unwrap().unwrap();
    assert_eq!(tenants(&principal, Permission::Read), Tenants::of(["acme", "initech"]).unwrap());
    let ended =
        ground.directory.issue(&self::order("g", "globex", "read"), &Caller::operator()).await.map(|_| ()).unwrap_err();
    assert_eq!(ended.kind(), Kind::Conflict, "{ended}");
}
