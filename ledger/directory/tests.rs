#![allow(clippy::unwrap_used)]

mod access;
mod documents;

use std::time::Duration;

use engine::{Kind, Settings, Tenants};

use super::*;
use crate::audit::tests::ground::Hand;
use crate::principal::{Caller, Principal, Role};

struct House {
    directory: Directory,
    state: Arc<State>,
    clock: Arc<Hand>,
    _data: tempfile::TempDir,
}

async fn house() -> House {
    let data = tempfile::tempdir().unwrap();
    let state = Arc::new(State::open(&Settings::new(data.path())).await.unwrap());
    let clock = Arc::new(Hand::default());
    let directory = Directory::new(Arc::clone(&state), clock.clone(), Arc::new(OsDice));
    House { directory, state, clock, _data: data }
}

#[tokio::test]
async fn a_key_speaks_for_its_tenant_only() {
    let h = house().await;
    let (key, secret) = h.directory.create_key(Some("acme"), "ci", Role::Tenant).await.unwrap();
    let principal = h.directory.verify(secret.reveal()).await.unwrap().unwrap();
    assert_eq!(principal, Principal::tenant_member("acme", "ci"));
    assert_eq!(principal.scope().unwrap().tenants, Tenants::One("acme".into()));
    let (_, platform) = h.directory.create_key(None, "ops", Role::Platform).await.unwrap();
    assert_eq!(h.directory.verify(platform.reveal()).await.unwrap(), Some(Principal::platform("ops")));
    let listed = h.directory.list(Some("acme")).await.unwrap();
    assert_eq!(listed.iter().map(|k| k.id.as_str()).collect::<Vec<_>>(), [key.id.as_str()]);
    assert_eq!(listed[0].last_used_at_us, Some(h.clock.now_us()));
    assert_eq!(h.directory.list(None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_no_good_key_is_nobody() {
    let h = house().await;
    let (_, good) = h.directory.create_key(Some("acme"), "ci", Role::Tenant).await.unwrap();
    let other = h.directory.mint().unwrap();
    let crossed = format!("{PREFIX}{}_{}", good.id(), other.reveal().rsplit('_').next().unwrap());
    for presented in ["", "swk_", other.reveal(), &crossed, &good.reveal().to_uppercase(), "' OR 1=1 --"] {
        assert_eq!(h.directory.verify(presented).await.unwrap(), None, "{presented}");
    }
}

#[tokio::test]
async fn a_revoked_key_ends_at_once_here_and_soon_elsewhere() {
    let h = house().await;
    let elsewhere = Directory::new(Arc::clone(&h.state), h.clock.clone(), Arc::new(OsDice));
    let (key, secret) = h.directory.create_key(Some("acme"), "ci", Role::Tenant).await.unwrap();
    assert!(h.directory.verify(secret.reveal()).await.unwrap().is_some());
    assert!(elsewhere.verify(secret.reveal()).await.unwrap().is_some());
    h.directory.revoke(&key.id, &Caller::operator()).await.unwrap();
    h.directory.revoke(&key.id, &Caller::operator()).await.unwrap();
    assert!(h.directory.verify(secret.reveal()).await.unwrap().is_none());
    h.clock.turn(BELIEVED_FOR);
    assert!(elsewhere.verify(secret.reveal()).await.unwrap().is_none());
    assert_eq!(h.directory.revoke("nobody", &Caller::operator()).await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn the_last_use_is_coarse() {
    let h = house().await;
    let (_, secret) = h.directory.create_key(Some("acme"), "ci", Role::Tenant).await.unwrap();
    let first = h.clock.now_us();
    for (wait, noted) in [(0, 0), (60, 0), (300, 0), (300, 660), (60, 660)] {
        h.clock.turn(Duration::from_secs(wait));
        h.directory.verify(secret.reveal()).await.unwrap().unwrap();
        let used = h.directory.list(None).await.unwrap()[0].last_used_at_us.unwrap();
        assert_eq!(used - first, noted * 1_000_000, "after {wait} s");
    }
}

#[tokio::test]
async fn names_and_roles_are_checked() {
    let h = house().await;
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for (tenant, name, role) in [
        (None, "a", Role::Tenant),
        (Some("acme"), "a", Role::Platform),
        (Some(""), "a", Role::Tenant),
        (Some("platform"), "a", Role::Tenant),
        (Some("acme"), " ", Role::Tenant),
        (Some("acme"), "a\nb", Role::Tenant),
        (Some(long.as_str()), "a", Role::Tenant),
    ] {
        let refused = h.directory.create_key(tenant, name, role).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid, "{tenant:?} {name:?}");
    }
    assert!(h.directory.list(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn there_is_one_bootstrap_key() {
    let h = house().await;
    let first = h.directory.mint().unwrap();
    let key = h.directory.ensure_bootstrap(first.reveal()).await.unwrap();
    let again = h.directory.ensure_bootstrap(&format!("{}\n", first.reveal())).await.unwrap();
    assert_eq!(key.id, again.id);
    assert_eq!(h.directory.verify(first.reveal()).await.unwrap(), Some(Principal::platform(BOOTSTRAP)));

    let second = h.directory.mint().unwrap();
    h.directory.ensure_bootstrap(second.reveal()).await.unwrap();
    assert_eq!(h.directory.verify(first.reveal()).await.unwrap(), None, "the older one ended");
    assert!(h.directory.verify(second.reveal()).await.unwrap().is_some());
    assert_eq!(h.directory.ensure_bootstrap(first.reveal()).await.unwrap_err().kind(), Kind::Conflict);
    assert!(h.directory.verify(second.reveal()).await.unwrap().is_some(), "a refused one changes nothing");

    let (_, tenants) = h.directory.create_key(Some("acme"), BOOTSTRAP, Role::Tenant).await.unwrap();
    assert_eq!(h.directory.ensure_bootstrap(tenants.reveal()).await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(h.directory.ensure_bootstrap("hunter2").await.unwrap_err().kind(), Kind::Invalid);
}

#[tokio::test]
async fn sql_sees_neither_hashes_nor_other_tenants() {
    let h = house().await;
    let (_, acme) = h.directory.create_key(Some("acme"), "ci", Role::Tenant).await.unwrap();
    let (_, rival) = h.directory.create_key(Some("rival"), "secret project", Role::Tenant).await.unwrap();
    h.directory.create_key(None, "ops", Role::Platform).await.unwrap();
    for (tenants, keys, known) in [
        (Tenants::All, 3, 2),
        (Tenants::One("acme".into()), 1, 1),
        (Tenants::One("ACME".into()), 0, 0),
        (Tenants::One("".into()), 0, 0),
        (Tenants::One("x' OR '1'='1".into()), 0, 0),
    ] {
        let batch = h.state.read(&API_KEY, &tenants, None).await.unwrap();
        assert_eq!(batch.num_rows(), keys, "{tenants:?}");
        assert_eq!(h.state.read(&TENANT, &tenants, None).await.unwrap().num_rows(), known, "{tenants:?}");
        let seen = format!("{batch:?}");
        for secret in [&acme, &rival] {
            assert!(!seen.contains(&hex::encode(secret.hash())) && !seen.contains(secret.reveal()));
        }
        assert!(tenants == Tenants::All || !seen.contains("secret project"));
    }
}
