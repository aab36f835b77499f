//! Scenes: one behaviour each.

use super::*;

async fn sole(ground: &Ground, budgets: &str) -> Arc<Budgets> {
    let node = ground.node("home", true).await;
    ground.apply(&node, &format!("budgets: [{budgets}]")).await;
    node.run_commits();
    node
}

#[tokio::test]
async fn a_request_reserves_posts_and_frees_the_rest() {
    let ground = Ground::new().await;
    let node = sole(&ground, &budget("day", "10", "window: day, zone: Europe/Berlin")).await;
    assert!(is_allowed(&node.reserve(&request("a", "shop", "6")).await.unwrap()));
    let refused = refusal(node.reserve(&request("b", "shop", "5")).await.unwrap());
    assert_eq!((refused.reason, refused.limit, refused.reserved), (Reason::Reserved, 10_000_000_000, 6_000_000_000));
    assert_eq!(node.post(&key("a"), &usd("2.5")).await.unwrap(), Settled::Now);
    assert!(is_allowed(&node.reserve(&request("b", "shop", "7.5")).await.unwrap()), "exactly the rest is allowed");
    assert_eq!(node.post(&key("b"), &usd("7.5")).await.unwrap(), Settled::Now);
    let refused = refusal(node.reserve(&request("c", "shop", "0.000000001")).await.unwrap());
    assert_eq!(refused.reason, Reason::Spent);
    // Berlin's midnight is eleven hours away.
    assert_eq!(refused.retry_after_us, Some(11 * 3_600 * SECOND_US));
    ground.check_books().await;
    ground.clock.advance(11 * 3_600 * SECOND_US - 1);
    assert!(!is_allowed(&node.reserve(&request("c", "shop", "1")).await.unwrap()));
    ground.clock.advance(1);
    assert!(is_allowed(&node.reserve(&request("c", "shop", "10")).await.unwrap()), "a new window");
    assert_eq!(node.void(&key("c")).await.unwrap(), Settled::Now);
    node.close().await.unwrap();
    assert_eq!(ground.number("SELECT CAST(SUM(spent_units) AS BIGINT) AS n FROM budget_window").await, 10_000_000_000);
    assert_eq!(ground.number("SELECT CAST(SUM(granted_units) AS BIGINT) AS n FROM budget_window").await, 0);
    assert_eq!(ground.number("SELECT COUNT(*) AS n FROM budget_node").await, 0);
    assert_eq!(
        ground.number("SELECT CAST(SUM(event_count) AS BIGINT) AS n FROM budget_event WHERE kind = 'refused'").await,
        3
    );
}

#[tokio::test]
async fn the_same_request_is_the_same_reservation() {
    let ground = Ground::new().await;
    let node = sole(&ground, &budget("all", "10", "window: total")).await;
    for repeated in [false, true, true] {
        match node.reserve(&request("a", "shop", "6")).await.unwrap() {
            Verdict::Allowed(allowed) => assert_eq!(allowed.repeated, repeated),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(node.reserve(&request("a", "shop", "7")).await.unwrap_err().kind(), engine::Kind::Conflict);
    assert_eq!(node.post(&key("a"), &usd("5")).await.unwrap(), Settled::Now);
    assert_eq!(node.post(&key("a"), &usd("5")).await.unwrap(), Settled::Before);
    assert_eq!(node.post(&key("a"), &usd("4")).await.unwrap_err().kind(), engine::Kind::Conflict);
    assert_eq!(node.void(&key("a")).await.unwrap_err().kind(), engine::Kind::Conflict);
    assert_eq!(node.void(&key("zz")).await.unwrap_err().kind(), engine::Kind::NotFound);
    match node.reserve(&request("a", "shop", "6")).await.unwrap() {
        Verdict::Allowed(allowed) => assert!(allowed.repeated),
        other => panic!("{other:?}"),
    }
    assert_eq!(ground.number("SELECT CAST(SUM(spent_units) AS BIGINT) AS n FROM budget_window").await, 5_000_000_000);
}

#[tokio::test]
async fn the_tightest_of_nested_budgets_decides() {
    let ground = Ground::new().await;
    let all = budget("all", "100", "window: month");
    let shop = budget("shop", "10", "window: day, parent: all, scope: \"x_app = 'shop'\"");
    let soft = budget(
        "soft",
        "1",
        "window: day, kind: soft, thresholds: [{on: actual, percent: 80}, {on: reserved, amount: 2}]",
    );
    let node = sole(&ground, &format!("{all}, {shop}, {soft}")).await;
    match node.reserve(&request("a", "shop", "9")).await.unwrap() {
        Verdict::Allowed(allowed) => assert_eq!(allowed.budgets.len(), 3),
        other => panic!("{other:?}"),
    }
    assert_eq!(refusal(node.reserve(&request("b", "shop", "2")).await.unwrap()).budget.as_ref(), "shop");
    assert!(
        is_allowed(&node.reserve(&request("c", "other", "91")).await.unwrap()),
        "what shop refused reserved nothing"
    );
    assert_eq!(refusal(node.reserve(&request("d", "other", "1")).await.unwrap()).budget.as_ref(), "all");
    node.evaluate().await.unwrap();
    node.evaluate().await.unwrap();
    let fired = "SELECT COUNT(*) AS n FROM budget_event WHERE kind = 'threshold'";
    assert_eq!(ground.number(fired).await, 1, "what is reserved is over, what is spent is not; once");
    node.post(&key("c"), &usd("91")).await.unwrap();
    node.evaluate().await.unwrap();
    assert_eq!(ground.number(fired).await, 2);
    ground.clock.advance(24 * 3_600 * SECOND_US);
    node.evaluate().await.unwrap();
    assert_eq!(ground.number("SELECT COUNT(*) AS n FROM budget_event WHERE kind = 'reset'").await, 2, "two days begin");
}

#[tokio::test]
async fn more_than_was_reserved_is_booked_and_marked() {
    let ground = Ground::new().await;
    let node = sole(&ground, &budget("all", "10", "window: total")).await;
    node.reserve(&request("a", "shop", "8")).await.unwrap();
    assert_eq!(node.post(&key("a"), &usd("12")).await.unwrap(), Settled::Now);
    assert_eq!(ground.number("SELECT spent_units AS n FROM budget_window").await, 12_000_000_000);
    assert_eq!(ground.number("SELECT overrun_units AS n FROM budget_window").await, 4_000_000_000);
    assert_eq!(ground.number("SELECT COUNT(*) AS n FROM budget_event WHERE kind = 'overrun'").await, 1);
    assert!(!is_allowed(&node.reserve(&request("c", "shop", "0.01")).await.unwrap()));
    ground.check_books().await;
}

#[tokio::test]
async fn what_nobody_settles_counts_until_somebody_says_otherwise() {
    let ground = Ground::new().await;
    let node = sole(&ground, &budget("all", "10", "window: total")).await;
    for id in ["a", "b"] {
        assert!(is_allowed(&node.reserve(&request(id, "shop", "5")).await.unwrap()));
    }
    ground.clock.advance(3_600 * SECOND_US);
    node.tick().await.unwrap();
    assert_eq!(ground.number("SELECT spent_units AS n FROM budget_window").await, 10_000_000_000);
    assert_eq!(ground.number("SELECT COUNT(*) AS n FROM budget_reservation WHERE state = 'expired'").await, 2);
    assert_eq!(node.post(&key("a"), &usd("1")).await.unwrap(), Settled::Now, "the provider's usage came late");
    assert_eq!(node.void(&key("b")).await.unwrap(), Settled::Now);
    assert_eq!(ground.number("SELECT spent_units AS n FROM budget_window").await, 1_000_000_000);
    assert!(is_allowed(&node.reserve(&request("c", "shop", "9")).await.unwrap()));
    ground.check_books().await;
}

#[tokio::test]
async fn rolling_windows_let_go_bucket_by_bucket() {
    let ground = Ground::new().await;
    let node = sole(&ground, &budget("hour", "10", "window: {rolling: 1h}")).await;
    for id in ["a", "b"] {
        assert!(is_allowed(&node.reserve(&request(id, "shop", "5")).await.unwrap()));
        node.post(&key(id), &usd("5")).await.unwrap();
        ground.clock.advance(20 * 60 * SECOND_US);
        node.tick().await.unwrap();
    }
    let refused = refusal(node.reserve(&request("c", "shop", "5")).await.unwrap());
    // The first bucket's minute, and an hour behind it.
    assert_eq!(refused.resets_us, Some(NOON_US + 61 * 60 * SECOND_US));
    assert!(is_allowed(&{
        ground.clock.advance(21 * 60 * SECOND_US);
        node.reserve(&request("c", "shop", "5")).await.unwrap()
    }));
    assert!(!is_allowed(&node.reserve(&request("d", "shop", "5")).await.unwrap()));
    ground.check_books().await;
}

#[tokio::test]
async fn a_start_takes_over_what_the_last_one_left() {
    let ground = Ground::new().await;
    let node = sole(&ground, &budget("all", "10", "window: total")).await;
    for id in ["a", "b"] {
        node.reserve(&request(id, "shop", "2")).await.unwrap();
    }
    // Decided, and not waited for: it is written or it is not.
    assert!(node.try_reserve(&request("lost", "shop", "6")).unwrap().is_some());
    let next = ground.node("home", true).await;
    next.run_commits();
    next.begin().await.unwrap();
    ground.check_books().await;
    assert_eq!(next.post(&key("a"), &usd("2")).await.unwrap(), Settled::Now);
    let lost = next.void(&key("lost")).await;
    assert!(lost.is_ok() || lost.is_err_and(|error| error.kind() == engine::Kind::NotFound));
    assert!(is_allowed(&next.reserve(&request("c", "shop", "6")).await.unwrap()), "its slice is there again");
    assert_eq!(next.void(&key("b")).await.unwrap(), Settled::Now);
    // The node that was taken for dead finds out, and goes on as a new one.
    assert!(is_allowed(&node.reserve(&request("d", "shop", "1")).await.unwrap()));
    ground.check_books().await;
}

#[tokio::test]
async fn what_is_settled_during_a_take_over_holds_nothing() {
    let ground = Ground::new().await;
    let node = sole(&ground, &budget("all", "10", "window: total")).await;
    node.reserve(&request("a", "shop", "10")).await.unwrap();
    let next = ground.node("home", true).await;
    next.run_commits();
    next.begin().await.unwrap();
    // A settlement that looked into memory before the reservation came there, and into the database after.
    let posted = usd("4");
    let settled = next.settle_elsewhere(&key("a"), crate::budget::request::State::Posted, Some(&posted)).await.unwrap();
    assert_eq!(settled, Some(Settled::Now));
    next.tick().await.unwrap();
    assert!(is_allowed(&next.reserve(&request("b", "shop", "6")).await.unwrap()), "what it did not take is free");
    assert_eq!(next.post(&key("a"), &posted).await.unwrap(), Settled::Before);
    ground.check_books().await;
}

#[tokio::test]
async fn a_request_that_comes_again_during_a_take_over_is_held_once() {
    let ground = Ground::new().await;
    let (one, two) = (ground.node("one", false).await, ground.node("two", false).await);
    ground.apply(&one, &format!("budgets: [{}]", budget("all", "10", "window: total"))).await;
    for node in [&one, &two] {
        node.run_commits();
        node.tick().await.unwrap();
    }
    assert!(is_allowed(&one.reserve(&request("a", "shop", "1")).await.unwrap()));
    assert!(is_allowed(&two.reserve(&request("b", "shop", "1")).await.unwrap()));
    assert_eq!(two.void(&key("b")).await.unwrap(), Settled::Now);
    drop(one);
    ground.clock.advance(20 * SECOND_US);
    two.commit().await.unwrap();
    // Decided here and not written yet, when the row of the dead node is taken over.
    assert!(two.try_reserve(&request("a", "shop", "1")).unwrap().is_some());
    two.take_over_dead().await.unwrap();
    assert_eq!(two.void(&key("a")).await.unwrap(), Settled::Now);
    ground.check_books().await;
    assert_eq!(ground.number("SELECT reserved_units AS n FROM budget_window").await, 0);
    assert!(is_allowed(&two.reserve(&request("all", "shop", "10")).await.unwrap()), "nothing is held any more");
    ground.check_books().await;
}

#[tokio::test]
async fn nodes_share_what_there_is() {
    let ground = Ground::new().await;
    let (one, two) = (ground.node("one", false).await, ground.node("two", false).await);
    ground.apply(&one, &format!("budgets: [{}]", budget("all", "10", "window: total"))).await;
    for node in [&one, &two] {
        node.run_commits();
        node.tick().await.unwrap();
    }
    for at in 0..5 {
        assert!(is_allowed(&one.reserve(&request(&format!("one-{at}"), "shop", "1")).await.unwrap()));
        assert!(is_allowed(&two.reserve(&request(&format!("two-{at}"), "shop", "1")).await.unwrap()));
        ground.check_books().await;
    }
    assert!(!is_allowed(&one.reserve(&request("more", "shop", "1")).await.unwrap()));
    // A request that the other node reserved is settled here, and the other one hears of it.
    assert_eq!(one.post(&key("two-0"), &usd("0.5")).await.unwrap(), Settled::Now);
    two.tick().await.unwrap();
    assert_eq!(two.post(&key("two-0"), &usd("0.5")).await.unwrap(), Settled::Before);
    ground.check_books().await;
    assert!(is_allowed(&two.reserve(&request("rest", "shop", "0.5")).await.unwrap()));
    // A node that goes away is taken over when its lease ends.
    drop(two);
    ground.clock.advance(20 * SECOND_US);
    one.tick().await.unwrap();
    ground.check_books().await;
    assert_eq!(one.void(&key("two-1")).await.unwrap(), Settled::Now);
    assert!(is_allowed(&one.reserve(&request("again", "shop", "1")).await.unwrap()));
    ground.check_books().await;
}

#[tokio::test]
async fn a_change_is_planned_checked_and_kept() {
    let ground = Ground::new().await;
    let node = sole(&ground, &budget("all", "10", "window: total")).await;
    let author = Author { name: "tester".to_owned(), tenant: None };
    let file = |limit: &str, more: &str| format!("budgets: [{}]", budget("all", limit, more));
    let planned = node.apply(&file("20", "window: total"), &author, true).await.unwrap();
    assert_eq!((planned[0].action, planned[0].begins_anew), (Action::Changed, false));
    node.reserve(&request("a", "shop", "10")).await.unwrap();
    assert!(!is_allowed(&node.reserve(&request("b", "shop", "1")).await.unwrap()), "a plan changes nothing");
    assert_eq!(node.apply(&file("10", "window: total"), &author, false).await.unwrap()[0].action, Action::Unchanged);
    node.apply(&file("20", "window: total"), &author, false).await.unwrap();
    assert!(is_allowed(&node.reserve(&request("b", "shop", "1")).await.unwrap()), "the limit grew");
    let planned = node.apply(&file("20", "window: day"), &author, false).await.unwrap();
    assert!(planned[0].begins_anew);
    assert!(is_allowed(&node.reserve(&request("c", "shop", "20")).await.unwrap()), "another window counts anew");
    node.post(&key("a"), &usd("10")).await.unwrap();
    let wrong =
        format!("budgets: [{}, {}]", budget("all", "5", "window: day"), budget("x", "5", "window: day, parent: none"));
    assert!(node.apply(&wrong, &author, false).await.unwrap_err().to_string().contains("not there"));
    assert_eq!(node.history("acme", "all").await.unwrap().len(), 3, "what is wrong changed nothing");
    let other = Author { name: "other".to_owned(), tenant: Some("other".into()) };
    assert_eq!(node.delete("acme", "all", &other).await.unwrap_err().kind(), engine::Kind::Denied);
    node.delete("acme", "all", &author).await.unwrap();
    assert!(is_allowed(&node.reserve(&request("d", "shop", "1000")).await.unwrap()), "no budget, no limit");
    ground.check_books().await;
}

#[tokio::test]
async fn what_has_no_price_is_refused_or_counted_flat() {
    let ground = Ground::new().await;
    let flat =
        "{name: flat, tenant: acme, unit: EUR, limit: 1, window: total, unpriced: \"0.4\", scope: \"x_app = 'flat'\"}";
    let strict = "{name: strict, tenant: acme, unit: EUR, limit: 1, window: total, scope: \"x_app = 'strict'\"}";
    let node = sole(&ground, &format!("{flat}, {strict}")).await;
    let refused = node.reserve(&request("a", "strict", "1")).await.unwrap_err().to_string();
    assert!(refused.contains("price_unknown") && refused.contains("EUR"), "{refused}");
    for (id, allowed) in [("b", true), ("c", true), ("d", false)] {
        assert_eq!(is_allowed(&node.reserve(&request(id, "flat", "1")).await.unwrap()), allowed, "{id}");
    }
}

#[tokio::test]
async fn a_quota_refuses_before_a_budget_reserves() {
    let ground = Ground::new().await;
    let node = sole(&ground, &budget("all", "10", "window: total")).await;
    ground.apply(&node, "quotas: [{name: slow, tenant: acme, requests: 60/m, burst_requests: 2}]").await;
    for id in ["a", "b"] {
        assert!(is_allowed(&node.reserve(&request(id, "shop", "1")).await.unwrap()));
    }
    match node.reserve(&request("c", "shop", "1")).await.unwrap() {
        Verdict::OverQuota(over) => assert_eq!(over.retry_after_us, Some(SECOND_US)),
        other => panic!("{other:?}"),
    }
    assert!(is_allowed(&node.reserve(&request("a", "shop", "1")).await.unwrap()), "the same request is no new one");
    ground.clock.advance(SECOND_US);
    assert!(is_allowed(&node.reserve(&request("c", "shop", "1")).await.unwrap()));
    ground.check_books().await;
}

#[tokio::test]
async fn who_goes_away_leaves_his_place_to_others() {
    let ground = Ground::new().await;
    let node = ground.node("home", true).await;
    let quota = "{name: one, tenant: acme, concurrency: 1}";
    let text = format!("budgets: [{}]\nquotas: [{quota}]", budget("all", "10", "window: total"));
    ground.apply(&node, &text).await;
    // Nobody commits yet, so the caller waits until it gives up.
    let wish = request("a", "shop", "1");
    assert!(tokio::time::timeout(std::time::Duration::from_millis(20), node.reserve(&wish)).await.is_err());
    node.run_commits();
    assert!(is_allowed(&node.reserve(&request("b", "shop", "1")).await.unwrap()));
}

/// More callers than there is money: not a cent too much, and all of it used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_callers_spend_exactly_what_there_is() {
    let ground = Ground::new().await;
    let node = sole(&ground, &budget("all", "500", "window: total")).await;
    let callers = (0..64).map(|caller| {
        let node = Arc::clone(&node);
        tokio::spawn(async move {
            let mut made = 0;
            for at in 0.. {
                let id = format!("{caller}-{at}");
                match node.reserve(&request(&id, "shop", "1")).await.unwrap() {
                    Verdict::Allowed(_) => node.post(&key(&id), &usd("1")).await.map(|_| made += 1).unwrap(),
                    Verdict::Refused(refusal) if refusal.reason == Reason::Spent => return made,
                    // Others hold the rest; what they do not take comes back when they settle.
                    Verdict::Refused(_) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
                    other => panic!("{other:?}"),
                }
            }
            made
        })
    });
    let mut made = 0;
    for caller in callers.collect::<Vec<_>>() {
        made += caller.await.unwrap();
    }
    assert_eq!(made, 500);
    assert_eq!(ground.number("SELECT spent_units AS n FROM budget_window").await, 500_000_000_000);
    ground.check_books().await;
}
