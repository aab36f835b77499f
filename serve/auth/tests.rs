#![allow(clippy::unwrap_used)]

use axum::http::HeaderMap;
use engine::Tenants;

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (axum::http::HeaderName::from_static(name), value.parse().unwrap())).collect()
}

#[test]
fn a_key_is_found_wherever_it_stands() {
    let basic = base64::engine::general_purpose::STANDARD.encode("anybody:swk_a:b");
    for (name, value, key) in [
        ("authorization", "Bearer swk_a", Some("swk_a")),
        ("authorization", "bearer   swk_a ", Some("swk_a")),
        ("authorization", &format!("Basic {basic}"), Some("swk_a:b")),
        ("x-api-key", "swk_a", Some("swk_a")),
        ("authorization", "swk_a", None),
        ("authorization", "Digest x", None),
        ("authorization", "Basic %%%", None),
    ] {
        assert_eq!(presented(&headers(&[(name, value)])).as_deref(), key, "{name}: {value}");
    }
    assert_eq!(presented(&HeaderMap::new()), None);
}

#[tokio::test]
async fn a_caller_narrows_itself_to_what_it_may_see() {
    let narrow = headers(&[(TENANT_HEADER, "acme")]);
    let tenants = |(_, caller): (Principal, Caller)| caller.scope.tenants;
    let acme = || Tenants::One("acme".into());
    let platform = Guard::Everybody(Principal::platform("ops"));
    assert_eq!(tenants(platform.caller(&narrow, Permission::Read).await.unwrap()), acme());
    let own = Guard::Everybody(Principal::tenant_member("acme", "ci"));
    assert_eq!(tenants(own.caller(&narrow, Permission::Read).await.unwrap()), acme());
    let globex = Principal::tenant_member("globex", "ci");
    let other = Guard::Everybody(globex.clone());
    assert!(matches!(other.caller(&narrow, Permission::Read).await, Err(Refused::Foreign(_))));
    let granted = Guard::Everybody(globex.with_groups(vec!["globex/ops".to_owned()], &["acme"], &[]));
    assert_eq!(tenants(granted.caller(&narrow, Permission::Read).await.unwrap()), acme());
    assert!(
        matches!(granted.caller(&narrow, Permission::Write).await, Err(Refused::Foreign(_))),
        "granted for reading"
    );
    assert!(matches!(own.caller(&narrow, Permission::Keys).await, Err(Refused::Lacks(..))));
}

#[tokio::test]
async fn what_a_request_says_of_itself_is_kept() {
    let parent = "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let said = headers(&[("traceparent", parent), (BEHALF_HEADER, " ana ")]);
    let guard = Guard::Everybody(Principal::platform("ops"));
    let (_, caller) = guard.caller(&said, Permission::Read).await.unwrap();
    assert_eq!(caller.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(caller.on_behalf_of.as_deref(), Some("ana"));
    for bad in ["", "00-xyz-1-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
        assert_eq!(trace_id(&headers(&[("traceparent", bad)])), None, "{bad}");
    }
}

#[test]
fn grpc_callers_get_a_grpc_status() {
    let response = Refused::Unknown(Refusal::NoKey, None).grpc();
    assert_eq!((response.status(), &response.headers()["grpc-status"]), (StatusCode::OK, &"16".parse().unwrap()));
    let response = Refused::Lacks(Principal::platform("ops"), Permission::Write).grpc();
    assert_eq!(response.headers()["grpc-status"], "7");
    let response = Refused::Unknown(Refusal::Revoked, None).into_response();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
}

#[test]
fn the_log_says_why_and_the_caller_is_not_told() {
    let refused = Refused::Unknown(Refusal::Expired, Some("k1".to_owned()));
    assert_eq!(refused.said(), Refused::Unknown(Refusal::Unknown, None).said());
    assert!(refused.entry(&Method::POST, "/sql", &HeaderMap::new()).is_some());
    assert_eq!(key_id("swk_0f3k2j1h9g8d_secret").as_deref(), Some("0f3k2j1h9g8d"));
    assert_eq!(key_id("swk_ä_x"), None);
}
