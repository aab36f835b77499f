#![allow(clippy::unwrap_used)]

use super::*;

fn check(cast: &[(&str, bool)], ballot: (&str, bool), now_us: i64, wanted: &str) {
    let of = |(voter, yes): &(&str, bool)| Ballot { voter: (*voter).to_owned(), yes: *yes };
    let asked = Asked { requester: "ana".to_owned(), quorum: 2, deadline_us: 100, decision: None };
    let cast: Vec<Ballot> = cast.iter().map(of).collect();
    let got = match verdict(&asked, &cast, &of(&ballot), now_us) {
        Ok(verdict) => format!("{verdict:?}"),
        Err(error) => format!("{:?}", error.kind()),
    };
    assert_eq!(got, wanted, "{cast:?} {ballot:?} at {now_us}");
}

#[test]
fn votes_are_counted() {
    check(&[], ("bob", true), 0, "Open");
    check(&[("bob", true)], ("eve", true), 0, "Approved");
    check(&[("bob", true)], ("bob", true), 0, "Again");
    check(&[("bob", true)], ("bob", false), 0, "Conflict");
    check(&[("bob", true)], ("eve", false), 99, "Denied");
    check(&[], ("ana", true), 0, "Denied");
    check(&[], ("bob", true), 100, "Conflict");
    check(&[("bob", true)], ("bob", true), 100, "Again");
}

#[test]
fn a_name_without_a_tenant_may_be_anybodys_of_that_name() {
    for (voter, requester, wanted) in [
        ("acme/ana", "ana", true),
        ("ana", "acme/ana", true),
        ("acme/ana", "acme/ana", true),
        ("rival/ana", "acme/ana", false),
        ("acme/bob", "ana", false),
    ] {
        assert_eq!(is_one(voter, requester), wanted, "{voter} {requester}");
    }
}

#[test]
fn a_decision_stands() {
    let asked = Asked { requester: "ana".to_owned(), quorum: 1, deadline_us: 100, decision: Some("denied".to_owned()) };
    let refused = verdict(&asked, &[], &Ballot { voter: "bob".to_owned(), yes: true }, 0).unwrap_err();
    assert!(refused.to_string().contains("denied already"), "{refused}");
}

#[test]
fn a_group_is_meant_at_home_or_as_a_role() {
    let in_groups = |groups: &[&str]| Scope::tenant("acme", "bob").in_groups(groups.iter().map(|g| (*g).to_owned()));
    for (groups, tenant, wanted) in [
        (&["acme/leads"][..], Some("acme"), true),
        (&["role:leads"], Some("acme"), true),
        (&["leads"], Some("acme"), true),
        (&["rival/leads"], Some("acme"), false),
        (&["acme/web"], Some("acme"), false),
        (&["acme/leads"], Some("rival"), false),
        (&["acme/leads"], None, false),
    ] {
        assert_eq!(may_vote(&in_groups(groups), false, "leads", tenant), wanted, "{groups:?} {tenant:?}");
    }
    assert!(may_vote(&in_groups(&[]), false, ANYBODY, Some("acme")));
    let platform = Scope::platform("ops");
    assert!(may_vote(&platform, true, "leads", None) && may_vote(&platform, true, "leads", Some("acme")));
    assert!(!may_vote(&platform, false, "leads", None), "a key of the platform that only reads");
}
