//! Documents: read with the place of every error, planned, applied as versions.

use std::path::Path;

use super::*;

const TENANT: &str = "apiVersion: stellwerk/v1\nkind: Tenant\nmetadata:\n  name: acme\nspec: {}\n";

/// Writes files (`--- name` begins one) and applies the folder.
async fn applied(h: &House, folder: &Path, files: &[(&str, &str)], wish: &Wish) -> Result<Applied> {
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    h.directory.apply_folder(folder, wish, &Caller::operator()).await
}

async fn count(h: &House, sql: &'static str) -> i64 {
    h.state.fetch(sql, &[]).await.unwrap()[0].get("n").unwrap()
}

/// A document of the tenant acme, the name in its fifth line.
fn of(kind: &str, name: &str, spec: &str) -> String {
    format!("---\napiVersion: stellwerk/v1\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: acme\nspec: {spec}\n")
}

#[tokio::test]
async fn every_error_has_its_file_and_line() {
    let h = house().await;
    let cases: Vec<(&str, String, &str)> = vec![
        ("an unknown field", of("Team", "web", "\n  parnt: x"), "a.yaml:13: spec: unknown field `parnt`"),
        (
            "an unknown field of the head",
            of("Team", "web", "{}").replace("namespace", "namspace"),
            "a.yaml:11: metadata: unknown field `namspace`",
        ),
        ("an unknown kind", of("Teem", "web", "{}"), "a.yaml:8: kind Teem is not known"),
        (
            "an unknown version",
            of("Team", "web", "{}").replace("stellwerk/v1", "v9"),
            "a.yaml:7: apiVersion v9 is not known",
        ),
        (
            "a duplicate",
            of("Team", "web", "{}") + &of("Team", "web", "{}"),
            "a.yaml:14: Team acme/web stands in a.yaml:7 already",
        ),
        (
            "a missing owner",
            of("Project", "shop", "\n  owner: nobody"),
            "a.yaml:13: owner: there is no Team or Member nobody in acme",
        ),
        (
            "a missing cost center",
            of("Application", "shop", "\n  costCenter: cc1"),
            "a.yaml:13: costCenter: there is no CostCenter cc1 in acme",
        ),
        (
            "a missing member",
            of("Team", "web", "\n  members:\n  - ana\n  - bo"),
            "a.yaml:14: members: there is no Member ana in acme",
        ),
        (
            "a missing tenant",
            of("Team", "web", "{}").replace("namespace: acme", "namespace: rival"),
            "a.yaml:7: Team rival/web: there is no tenant rival",
        ),
        (
            "an objective of nothing",
            of("Objective", "o", "\n  target: 99"),
            "a.yaml:7: service: the name that its spans have, or *",
        ),
        (
            "an objective that leaves no failure",
            of("Objective", "o", "\n  service: shop\n  target: 100"),
            "a.yaml:14: target: 100 is no percentage of requests above 0 and below 100",
        ),
        (
            "an objective of somebody unknown",
            of("Objective", "o", "\n  service: shop\n  target: 99.5\n  owner: nobody"),
            "a.yaml:15: owner: there is no Team or Member nobody in acme",
        ),
        (
            "a reserved name",
            TENANT.replace("acme", "platform").replacen("api", "---\napi", 1),
            "a.yaml:7: the name platform is reserved",
        ),
        (
            "a reserved namespace",
            of("Team", "web", "{}").replace("namespace: acme", "namespace: platform"),
            "a.yaml:7: a Team belongs to a tenant",
        ),
        ("a name that is none", of("Team", "\"a b\"", "{}"), "a.yaml:10: name \"a b\""),
        (
            "a cycle",
            of("Team", "a", "\n  parent: b") + &of("Team", "b", "\n  parent: c") + &of("Team", "c", "\n  parent: a"),
            "the teams are their own ancestors: a → b → c → a",
        ),
        (
            "its own parent",
            of("Team", "a", "\n  parent: a"),
            "a.yaml:13: parent: the teams are their own ancestors: a → a",
        ),
        (
            "two parents",
            of("Team", "a", "{children: [c]}") + &of("Team", "b", "{children: [c]}") + &of("Team", "c", "{}"),
            "children: Team acme/c has the parent a already",
        ),
        (
            "a parent elsewhere",
            of("Team", "a", "\n  parent: rival/b"),
            "a.yaml:13: parent: teams above and below are of the same tenant",
        ),
        (
            "the wrong kind",
            of("Project", "p", "\n  owner: component:x"),
            "a.yaml:13: owner: component:x is no Team or Member",
        ),
        ("a grant to nobody", of("Grant", "g", "\n  to: everybody"), "a.yaml:13: to: everybody is neither"),
        (
            "another's rows",
            of("Grant", "g", "\n  to: role:x\n  tenants: [rival]"),
            "a.yaml:14: tenants: acme cannot grant the rows of rival",
        ),
        (
            "no access",
            of("Grant", "g", "\n  to: role:x\n  access: all"),
            "a.yaml:14: spec.access: unknown variant `all`",
        ),
        ("no YAML", of("Team", "web", "{").replace("}", ""), "a.yaml:"),
    ];
    for (what, text, wanted) in cases {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{TENANT}{text}");
        let refused = applied(&h, folder.path(), &[("a.yaml", &text)], &Wish::default()).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid, "{what}");
        assert!(refused.to_string().contains(wanted), "{what}:\n  {refused}\n  {wanted}\n{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let two = [
        ("b/x.yaml", "kind: [\n"),
        ("a.yml", "apiVersion: stellwerk/v1\nkind: Nothing\nmetadata: {name: x}\nspec: {}\n"),
    ];
    let refused = applied(&h, folder.path(), &two, &Wish::default()).await.unwrap_err().to_string();
    assert!(refused.contains("a.yml:2:") && refused.contains("b/x.yaml:"), "all are told at once: {refused}");
    assert_eq!(count(&h, "SELECT COUNT(*) AS n FROM directory_entity").await, 0, "nothing was changed");
    assert_eq!(count(&h, "SELECT version AS n FROM directory_head").await, 0);
}

const COMPANY: &[(&str, &str)] = &[
    (
        "acme/tenant.yaml",
        "# The tenant, and who pays.
apiVersion: stellwerk/v1
kind: Tenant
metadata:
  name: acme
  title: Acme
spec:
  owner: web
  costCenter: cc-100
  environments: [dev, prod]
---
apiVersion: stellwerk/v1
kind: Team
metadata: {name: web, namespace: acme, labels: {tier: gold}}
spec:
  members:
  - {name: ana, role: lead}
---
apiVersion: stellwerk/v1
kind: Member
metadata: {name: ana, namespace: acme}
spec: {profile: {displayName: Ana, email: ana@acme.example}}
---
apiVersion: stellwerk/v1
kind: Member
metadata: {name: bo, namespace: acme}
spec: {memberOf: [web]}
---
apiVersion: stellwerk/v1
kind: Project
metadata: {name: shop, namespace: acme}
spec: {owner: web, costCenter: cc-100, dataClass: internal}
",
    ),
    (
        "shared.yaml",
        "apiVersion: stellwerk/v1
kind: CostCenter
metadata: {name: cc-100}
spec: {code: \"100\"}
---
apiVersion: stellwerk/v1
kind: DataClass
metadata: {name: internal}
spec: {level: 1, retentionDays: 365}
",
    ),
    (
        "catalog-info.yaml",
        "apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: checkout
  namespace: acme
  annotations: {backstage.io/techdocs-ref: 'dir:.'}
  tags: [rust]
  links: [{url: https://acme.example, title: Home}]
spec: {type: service, lifecycle: production, owner: 'group:acme/web', system: shop, providesApis: [orders]}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: frontend, namespace: acme}
spec: {type: team, parent: web, children: []}
",
    ),
];

#[tokio::test]
async fn a_folder_becomes_versions() {
    let h = house().await;
    let folder = tempfile::tempdir().unwrap();
    let dry = Wish { dry_run: true, ..Wish::default() };
    let planned = applied(&h, folder.path(), COMPANY, &dry).await.unwrap();
    assert_eq!((planned.applied, planned.version, planned.plan.count(Action::Create)), (false, 0, 9));
    assert_eq!(planned.plan.changes[0].key.kind, EntityKind::Tenant, "tenants come first");
    assert_eq!(count(&h, "SELECT COUNT(*) AS n FROM directory_entity").await, 0);

    let first = applied(&h, folder.path(), &[], &Wish::default()).await.unwrap();
    assert_eq!((first.applied, first.version, &first.plan), (true, 1, &planned.plan));
    assert_eq!(count(&h, "SELECT COUNT(*) AS n FROM team_member WHERE team = 'web'").await, 2);
    assert_eq!(count(&h, "SELECT COUNT(*) AS n FROM team_member WHERE member = 'ana' AND role = 'lead'").await, 1);
    assert_eq!(count(&h, "SELECT COUNT(*) AS n FROM tenant WHERE id = 'acme' AND name = 'Acme'").await, 1);
    let again = applied(&h, folder.path(), &[], &Wish::default()).await.unwrap();
    assert_eq!((again.applied, again.version, again.plan.unchanged), (false, 1, 9), "the same again changes nothing");
    assert_eq!(again.plan.hash, first.plan.hash);

    let other = COMPANY[1].1.replace("\"100\"", "\"101\"");
    let changed = applied(&h, folder.path(), &[("shared.yaml", &other)], &Wish::default()).await.unwrap();
    assert_eq!((changed.version, changed.plan.changes[0].fields.clone()), (2, vec!["spec.code".to_owned()]));
    let before = "SELECT before FROM directory_change WHERE version = 2 AND id = 'cc-100'";
    let before: String = h.state.fetch(before, &[]).await.unwrap()[0].get("before").unwrap();
    assert!(before.contains("\"100\""), "the history has what was: {before}");

    std::fs::remove_file(folder.path().join("catalog-info.yaml")).unwrap();
    let kept = applied(&h, folder.path(), &[], &Wish::default()).await.unwrap();
    assert_eq!((kept.applied, kept.plan.kept.len()), (false, 2), "nothing goes unasked");
    let prune = Wish { prune: true, ..Wish::default() };
    let gone = applied(&h, folder.path(), &[], &prune).await.unwrap();
    assert_eq!((gone.version, gone.plan.count(Action::Delete)), (3, 2));
    assert_eq!(count(&h, "SELECT COUNT(*) AS n FROM directory_version").await, 3);

    // A team that something else needs does not go.
    let without = COMPANY[0].1.replace("kind: Team\nmetadata: {name: web", "kind: Team\nmetadata: {name: net");
    let refused = applied(&h, folder.path(), &[("acme/tenant.yaml", &without)], &prune).await.unwrap_err();
    assert!(refused.to_string().contains("owner: there is no Team or Member web"), "{refused}");
    assert_eq!(count(&h, "SELECT version AS n FROM directory_head").await, 3);
}

#[tokio::test]
async fn documents_go_in_as_they_came_out() {
    let h = house().await;
    let folder = tempfile::tempdir().unwrap();
    applied(&h, folder.path(), COMPANY, &Wish::default()).await.unwrap();
    let documents = h.directory.documents(&Tenants::All).await.unwrap();
    assert_eq!(documents.entities.len(), 9);
    let prune = Wish { prune: true, ..Wish::default() };
    let same = h.directory.apply_entities(&documents.entities, &prune, &Caller::operator()).await.unwrap();
    assert!(same.plan.changes.is_empty(), "{:?}", same.plan.changes);
    let own = h.directory.documents(&Tenants::One("acme".into())).await.unwrap();
    assert_eq!(own.entities.len(), 7, "what is shared is the platform's");
}

#[tokio::test]
async fn a_tenant_changes_its_own_part_only() {
    let h = house().await;
    let folder = tempfile::tempdir().unwrap();
    applied(&h, folder.path(), COMPANY, &Wish::default()).await.unwrap();
    let rival = format!("{}{}", TENANT.replace("acme", "rival"), of("Team", "ops", "{}").replace("acme", "rival"));
    applied(&h, folder.path(), &[("rival.yaml", &rival)], &Wish::default()).await.unwrap();
    let admin = Caller { scope: engine::Scope::tenant("rival", "root"), ..Caller::operator() };
    let team = |namespace: &str, name: &str| serde_json::json!({"apiVersion": API_VERSION, "kind": "Team", "metadata": {"name": name, "namespace": namespace}, "spec": {}});
    let tenant = serde_json::json!({"apiVersion": API_VERSION, "kind": "Tenant", "metadata": {"name": "rival"}, "spec": {"costCenter": "cc-100"}});
    let prune = Wish { prune: true, ..Wish::default() };
    let foreign = h.directory.apply_entities(&[team("acme", "mine")], &prune, &admin).await.unwrap_err();
    assert!(
        foreign.to_string().contains("entities[0]:") && foreign.to_string().contains("does not belong"),
        "{foreign}"
    );
    let other = Wish { within: Some("acme".to_owned()), ..prune.clone() };
    assert_eq!(h.directory.apply_entities(&[], &other, &admin).await.unwrap_err().kind(), Kind::Denied);
    let own = h.directory.apply_entities(&[tenant, team("rival", "net")], &prune, &admin).await.unwrap();
    let actions: Vec<(Action, &str)> = own.plan.changes.iter().map(|c| (c.action, c.key.id.as_str())).collect();
    assert_eq!(
        actions,
        [(Action::Change, "rival"), (Action::Create, "net"), (Action::Delete, "ops")],
        "a shared cost center is found"
    );
    assert_eq!(
        h.directory.documents(&Tenants::One("acme".into())).await.unwrap().entities.len(),
        7,
        "acme is as it was"
    );
}

#[tokio::test]
async fn two_who_apply_at_once_do_not_overwrite_each_other() {
    let h = house().await;
    let folder = tempfile::tempdir().unwrap();
    applied(&h, folder.path(), &[("t.yaml", TENANT)], &Wish::default()).await.unwrap();
    let team = |n: usize| serde_json::json!({"apiVersion": API_VERSION, "kind": "Team", "metadata": {"name": format!("t{n}"), "namespace": "acme"}, "spec": {}});
    let caller = Caller::operator();
    let (wish, teams) = (Wish::default(), [[team(0)], [team(1)], [team(2)]]);
    let all =
        futures::future::join_all(teams.iter().map(|team| h.directory.apply_entities(team, &wish, &caller))).await;
    let done = all.iter().filter(|one| one.is_ok()).count() as i64;
    assert!(
        done >= 1 && all.iter().all(|one| one.as_ref().err().is_none_or(|e| e.kind() == Kind::Conflict)),
        "{all:?}"
    );
    assert_eq!(count(&h, "SELECT COUNT(*) AS n FROM directory_entity WHERE kind = 'Team'").await, done);
    assert_eq!(count(&h, "SELECT version AS n FROM directory_head").await, 1 + done);
}
