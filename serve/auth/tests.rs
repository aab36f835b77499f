#![allow(clippy::unwrap_used)]

use axum::http::HeaderMap;

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
async fn only_the_platform_may_narrow_itself() {
    let narrow = headers(&[(TENANT_HEADER, "acme")]);
    let platform = Guard::Everybody(Scope::platform("ops"));
    assert_eq!(platform.scope(&narrow).await.unwrap(), Scope::tenant("acme", "ops"));
    let own = Guard::Everybody(Scope::tenant("acme", "ci"));
    assert_eq!(own.scope(&narrow).await.unwrap(), Scope::tenant("acme", "ci"));
    let other = Guard::Everybody(Scope::tenant("globex", "ci"));
    assert!(matches!(other.scope(&narrow).await, Err(Refused::Denied)));
}

#[test]
fn grpc_callers_get_a_grpc_status() {
    let response = Refused::Unknown("no key").grpc();
    assert_eq!((response.status(), &response.headers()["grpc-status"]), (StatusCode::OK, &"16".parse().unwrap()));
    let response = Refused::Unknown("no key").into_response();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
}
