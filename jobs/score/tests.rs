#![allow(clippy::unwrap_used)]

mod ground;

use std::time::Duration;

use engine::Kind;
use proptest::prelude::*;

use super::outcome::outcome;
use super::*;
use ground::{CARD, Ground, Step, card};

#[test]
fn a_level_needs_every_check_of_it_and_of_those_below() {
    use Outcome::{Fail, NotApplicable, Pass, Unknown};
    for (checks, level, percent, why) in [
        (vec![(1, 1, Pass), (2, 1, Pass)], 2, Some(100.0), "all pass"),
        (vec![(1, 1, Fail), (2, 1, Pass)], 0, Some(50.0), "all of silver passed, one of bronze did not"),
        (vec![(1, 1, Pass), (2, 3, Unknown)], 1, Some(25.0), "unknown is no pass, and counts in the denominator"),
        (vec![(1, 1, NotApplicable), (2, 1, Pass)], 2, Some(100.0), "what does not apply is no hindrance"),
        (vec![(1, 1, NotApplicable), (2, 1, NotApplicable)], 2, None, "nothing applies"),
        (vec![], 2, None, "there is nothing to pass"),
    ] {
        let stands = standing(3, checks);
        assert_eq!((stands.level, stands.percent()), (level, percent), "{why}");
    }
}

#[test]
fn a_fact_that_is_missing_or_old_is_unknown() {
    let hour = Some(Duration::from_secs(3_600));
    let fact = |passed, observed_us| Fact { passed, evidence: Some("seen".to_owned()), observed_us };
    for (fact, max_age, wanted, part) in [
        (None, None, Outcome::Unknown, "no fact"),
        (Some(fact(Some(true), None)), None, Outcome::Pass, "seen"),
        (Some(fact(Some(false), None)), None, Outcome::Fail, "seen"),
        (Some(fact(None, None)), None, Outcome::Unknown, "seen"),
        (Some(fact(Some(true), None)), hour, Outcome::Unknown, "nobody knows when"),
        (Some(fact(Some(true), Some(3_600_000_000))), hour, Outcome::Pass, "seen"),
        (Some(fact(Some(true), Some(3_599_999_999))), hour, Outcome::Unknown, "it may be 1h old"),
    ] {
        let (found, evidence) = outcome(fact.as_ref(), max_age, 7_200_000_000);
        assert_eq!(found, wanted, "{fact:?}");
        assert!(evidence.unwrap().contains(part), "{fact:?}");
    }
}

#[test]
fn everything_that_is_wrong_in_a_file_is_named() {
    for (from, to, part) in [
        ("name: things", "name: Things!", "small letters"),
        ("levels: [none, some, all]", "levels: [none]", "2 to 10"),
        ("levels: [none, some, all]", "levels: [none, some, some, all]", "twice"),
        ("level: all", "level: none", "carries no checks"),
        ("level: all", "level: most", "is no level; there are none, some, all"),
        ("max_age: 1h", "max_age: soon", "no span of time"),
        ("weight: 3", "weight: 0", "`weight` is 0"),
        ("id: seen", "id: ok", "two checks are called ok"),
        ("ok AS passed, kind", "now() IS NULL AS passed, kind", "write $now"),
        ("_seq >= $since", "true", "does not say $since"),
        ("title: It is well", "titel: It is well", "unknown field"),
    ] {
        assert!(CARD.contains(from), "{from}");
        let said = Scorecard::parse(&CARD.replacen(from, to, 1)).unwrap_err().join("\n");
        assert!(said.contains(part), "{to}: {said}");
    }
}

#[test]
fn another_text_is_another_version_of_a_check() {
    let version = |text: &str| Scorecard::parse(text).unwrap().checks[0].version.clone();
    let first = version(CARD);
    assert_eq!(version(&CARD.replacen("title: It is well", "title: Well", 1)), first, "a title decides nothing");
    assert_ne!(version(&CARD.replacen("ok AS passed, kind", "NOT ok AS passed, kind", 1)), first);
    assert_ne!(version(&CARD.replacen("level: some", "level: all", 1)), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_select_lacks_is_named() {
    let ground = Ground::open().await;
    assert_eq!(check(&ground.store, &ground.scope(), &card()).await, [""; 0]);
    for (from, to, part) in [
        ("FROM part GROUP", "FROM parts GROUP", "parts"),
        ("bool_and(ok) AS passed", "bool_and(ok) AS good", "no column passed"),
        ("bool_and(ok) AS passed", "count(*) AS passed", "must be true, false or null"),
        ("filter: kind = 'a'", "filter: colour = 'a'", "colour"),
        ("name AS entity, kind FROM", "name AS thing, kind FROM", "no column entity"),
        ("SELECT DISTINCT thing AS entity", "SELECT DISTINCT thing", "no column entity"),
    ] {
        assert!(CARD.contains(from), "{from}");
        let card = Scorecard::parse(&CARD.replacen(from, to, 1)).unwrap();
        let said = check(&ground.store, &ground.scope(), &card).await.join("\n");
        assert!(said.contains(part), "{to}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_tells_when_a_check_changed_its_mind_and_by_which_version() {
    let ground = Ground::open().await;
    ground.does(&Step::Thing { name: 0, ok: Some(true), is_a: false, age_minutes: 0 }).await;
    let (first, counted) = run(&ground.store, &ground.scope(), &card(), false).await.unwrap();
    assert_eq!((counted.entities, counted.changed), (1, 3));
    ground.does(&Step::Wait(1)).await;
    assert_eq!(run(&ground.store, &ground.scope(), &card(), false).await.unwrap().1.changed, 0);
    ground.does(&Step::Thing { name: 0, ok: Some(false), is_a: false, age_minutes: 0 }).await;
    let (second, counted) = run(&ground.store, &ground.scope(), &card(), false).await.unwrap();
    assert_eq!(counted.changed, 1);
    let kept = ground.stored().await.results[&(("t".to_owned(), "n0".to_owned()), "ok".to_owned())].clone();
    assert_eq!((kept.outcome, kept.result_last_change), (Outcome::Fail, second));
    // Another text of the check: a version of its own, and the day of the result stays where the result does.
    ground.does(&Step::Wait(1)).await;
    let other = Scorecard::parse(&CARD.replacen("ok AS passed, kind", "ok AND true AS passed, kind", 1)).unwrap();
    run(&ground.store, &ground.scope(), &other, false).await.unwrap();
    let rows = ground
        .rows("SELECT happened_at, result_before, result FROM score_history WHERE check_id = 'ok' ORDER BY happened_at")
        .await;
    assert_eq!(rows.iter().map(|row| row[1..].join(" ")).collect::<Vec<_>>(), ["- pass", "pass fail", "fail fail"]);
    assert_ne!(first, second);
    let rows =
        ground.rows("SELECT number, until IS NULL FROM scorecard_check WHERE check_id = 'ok' ORDER BY number").await;
    assert_eq!(rows, [["1", "false"], ["2", "true"]]);
    let kept = ground.stored().await.results[&(("t".to_owned(), "n0".to_owned()), "ok".to_owned())].clone();
    assert_eq!(kept.result_last_change, second);
    // Who is gone leaves history, and nothing else.
    ground.does(&Step::DropThing { name: 0 }).await;
    run(&ground.store, &ground.scope(), &other, false).await.unwrap();
    assert!(ground.stored().await.results.is_empty());
    let rows = ground.rows("SELECT level_before, level FROM score_level_history ORDER BY happened_at").await;
    assert_eq!(rows.last().unwrap()[1], "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exemption_is_somebody_elses_word_and_ends_by_itself() {
    let ground = Ground::open().await;
    ground.does(&Step::Thing { name: 0, ok: Some(false), is_a: false, age_minutes: 0 }).await;
    ground.does(&Step::Part { name: 0, part: 0, ok: true }).await;
    run(&ground.store, &ground.scope(), &card(), false).await.unwrap();
    let level = "SELECT level, passed, failed, exempt FROM score";
    assert_eq!(ground.rows(level).await, [["none", "1", "1", "0"]]);
    let (exemptions, now) = (Exemptions::new(ground.store.state().clone()), ground.now());
    let request = |check: &str, days| Request {
        scorecard: "things".to_owned(),
        check: check.to_owned(),
        key: ("t".to_owned(), "n0".to_owned()),
        reason: "it is old".to_owned(),
        requester: "Ann".to_owned(),
        days,
    };
    assert_eq!(exemptions.request(&request("nothing", 5), now).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(exemptions.request(&request("ok", 0), now).await.unwrap_err().kind(), Kind::Invalid);
    let id = exemptions.request(&request("ok", 5), now).await.unwrap();
    assert_eq!(exemptions.decide(&id, true, "ann ", now).await.unwrap_err().kind(), Kind::Denied);
    assert_eq!(ground.rows(level).await, [["none", "1", "1", "0"]], "a request holds nothing");
    exemptions.decide(&id, true, "bob", now).await.unwrap();
    assert_eq!(exemptions.decide(&id, false, "bob", now).await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(ground.rows(level).await, [["all", "1", "0", "1"]], "no evaluation is needed");
    ground.does(&Step::Wait(1)).await;
    run(&ground.store, &ground.scope(), &card(), false).await.unwrap();
    assert_eq!(ground.rows("SELECT level FROM score_entity").await, [["all"]]);
    exemptions.revoke(&id, "bob", now).await.unwrap();
    assert_eq!(ground.rows(level).await, [["none", "1", "1", "0"]]);
    // Approved ten days ago for five: nobody has to end it.
    let id = exemptions.request(&request("ok", 5), now).await.unwrap();
    exemptions.decide(&id, true, "bob", now - 10 * 86_400_000_000).await.unwrap();
    assert_eq!(ground.rows(level).await, [["none", "1", "1", "0"]]);
    let states = ground.rows("SELECT state FROM score_exemption_current ORDER BY id").await;
    assert_eq!(states, [["revoked"], ["expired"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_select_that_fails_changes_nothing() {
    let ground = Ground::open().await;
    ground.does(&Step::Thing { name: 0, ok: Some(true), is_a: false, age_minutes: 0 }).await;
    run(&ground.store, &ground.scope(), &card(), false).await.unwrap();
    let before = ground.stored().await;
    ground.does(&Step::Wait(1)).await;
    let broken = Scorecard::parse(&CARD.replacen("FROM part GROUP", "FROM parts GROUP", 1)).unwrap();
    ground.does(&Step::Part { name: 0, part: 0, ok: true }).await;
    assert!(run(&ground.store, &ground.scope(), &broken, false).await.is_err());
    assert_eq!(ground.stored().await, before);
    assert_eq!(ground.rows("SELECT status FROM score_run ORDER BY tick").await, [["done"], ["error"]]);
    let twice = Scorecard::parse(&CARD.replacen("GROUP BY tenant, thing", "GROUP BY tenant, thing, part", 1)).unwrap();
    ground.does(&Step::Part { name: 0, part: 1, ok: true }).await;
    let error = run(&ground.store, &ground.scope(), &twice, false).await.unwrap_err();
    assert!(error.to_string().contains("check part has several rows for n0 of t"), "{error}");
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = 0_u8..4;
    let thing = (name.clone(), prop::option::of(any::<bool>()), any::<bool>(), 0_i64..90)
        .prop_map(|(name, ok, is_a, age_minutes)| Step::Thing { name, ok, is_a, age_minutes });
    let part = (name.clone(), 0_u8..2, any::<bool>()).prop_map(|(name, part, ok)| Step::Part { name, part, ok });
    let step = prop_oneof![
        4 => thing,
        3 => part,
        1 => name.clone().prop_map(|name| Step::DropThing { name }),
        2 => (name, 0_u8..2).prop_map(|(name, part)| Step::DropPart { name, part }),
        2 => (1_i64..40).prop_map(Step::Wait),
        4 => Just(Step::Evaluate),
    ];
    prop::collection::vec(step, 4..16)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 60, ..ProptestConfig::default() })]

    /// What looking at changes leaves behind is what looking at everything finds, whatever happened in between; and the
    /// view in SQL counts as the code does.
    #[test]
    fn looking_at_what_changed_is_looking_at_everything(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let ground = Ground::open().await;
            for step in steps.iter().chain(&[Step::Wait(1), Step::Evaluate]) {
                ground.does(step).await;
                if *step == Step::Evaluate {
                    ground.is_whole(&steps).await;
                }
            }
        });
    }
}
