#![allow(clippy::unwrap_used)]

use super::*;

/// What the rules find, as `rule: secret`.
fn check(text: &str, expected: &[&str]) {
    let found: Vec<String> =
        RULES.find(text).iter().map(|s| format!("{}: {}", s.rule, &text[s.start..s.end])).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn every_rule_is_applied_or_named() {
    let declared = toml::from_str::<Config>(SOURCE).unwrap().rules.len();
    assert_eq!(declared, 222);
    assert_eq!(RULES.rules.len() + LEFT_OUT.len(), declared);
    assert_eq!(RULES.refused(), Vec::<&str>::new(), "rules that the regex crate refuses stand here by name");
    let silent: Vec<_> = RULES.rules.iter().filter(|rule| rule.declared.keywords.is_empty()).map(|r| r.id).collect();
    assert_eq!(silent, Vec::<&str>::new(), "a rule without a keyword would never look");
}

#[test]
fn keys_of_many_services() {
    let body = "Zx9Qm2Lk7Tp4Wn8Rb3Vc6Yd1Hs5Gf0JaUeIo";
    for (rule, secret) in [
        ("digitalocean-pat", format!("dop_v1_{}", "0123456789abcdef".repeat(4))),
        ("huggingface-access-token", format!("hf_{}", "qWmZkLtRpXvBnSdFgHjYcTqWmZkLtRpXvB")),
        ("linear-api-key", format!("lin_api_{body}Q7w2")),
        ("stripe-access-token", format!("{}_live_{body}", "sk")),
        ("rubygems-api-token", format!("rubygems_{}", "0123456789abcdef".repeat(3))),
        ("gitlab-runner-authentication-token", format!("glrt-{}", &body[..20])),
        ("grafana-service-account-token", format!("glsa_{}_0a1b2c3d", &body[..32])),
        ("pulumi-api-token", format!("pul-{}", "0123456789".repeat(4))),
    ] {
        check(&format!("use {secret} now"), &[&format!("{rule}: {secret}")]);
        check(&format!(r#"{{"a":"{secret}"}}"#), &[&format!("{rule}: {secret}")]);
    }
}

#[test]
fn values_behind_names() {
    check(
        "datadog_token = 0123456789abcdef0123456789abcdef01234567",
        &["datadog-access-token: 0123456789abcdef0123456789abcdef01234567"],
    );
    check(r#"{"service_auth":"q8Zr2Xk9Wv4Tm7Lp3"}"#, &["generic-api-key: q8Zr2Xk9Wv4Tm7Lp3"]);
    // An allow-list, a stop word, a name, an id, a time, too little entropy.
    for text in [
        "primary_key = q8Zr2Xk9Wv4Tm7Lp3",
        "auth=example8Zr2Xk9Wv4Tm7",
        "cache key: orders-by-day-17",
        "token=3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "key=2026-11-26T10:00:00.123456Z",
        "key=aaaa1111aaaa1111",
        "they said: the key items.count was accessed",
    ] {
        check(text, &[]);
    }
}
