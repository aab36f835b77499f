#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const GOOD: &str = r##"-- Copyright: the house
-- ---
-- owner: finops # who answers
-- every: 5m
-- key: [tenant, budget]
-- watch: level
-- for: 10m
-- keep: 1h30m
-- limit: 50, 20%
-- rate: 10/1m
-- fresh: k8s_watch 15m, cost_run 2d
-- catchup: all, 2d
-- start: baseline
-- new: notify("#fin", "{tenant} has spent {spent} \"of\" {cap}");
--      http("http://x/{tenant}")
-- changed: notify("#fin", "{{{level}}}")
-- resolved: none
-- why: At 90 % # of its cap it is told.
-- ---
SELECT tenant, budget, spent, cap, level FROM t;
"##;

#[test]
fn a_rule_says_everything_in_its_front_matter() {
    let rule = Rule::parse("budget/near", GOOD).unwrap();
    let header = &rule.header;
    assert_eq!((header.owner.as_str(), header.why.as_deref()), ("finops", Some("At 90 % # of its cap it is told.")));
    assert_eq!(header.timing.every, Some(Duration::from_secs(300)));
    assert_eq!(header.key, ["tenant", "budget"]);
    assert_eq!((header.hold, header.keep), (Duration::from_secs(600), Duration::from_secs(5400)));
    assert_eq!(header.limit, Some(Limit { rows: Some(50), percent: Some(20) }));
    assert_eq!(header.catchup, Catchup { missed: Missed::All, window: Duration::from_secs(172_800) });
    assert_eq!((header.new.len(), header.changed.len(), header.resolved.len()), (2, 1, 0));
    assert_eq!(rule.sql, "SELECT tenant, budget, spent, cap, level FROM t");
    let fresh: Vec<_> = header.fresh.iter().map(ToString::to_string).collect();
    assert_eq!(fresh, ["k8s_watch 15m", "cost_run 2d"]);
    assert_eq!((rule.sql_line, header.line("watch")), (20, 6));
    let row = json!({"tenant": "a", "spent": "1.5", "cap": 2, "level": null});
    let said = header.new[0].render(row.as_object().unwrap());
    assert_eq!(said, [json!("#fin"), json!("a has spent 1.5 \"of\" 2")]);
    assert_eq!(header.changed[0].render(row.as_object().unwrap())[1], json!("{–}"));
}

fn faults(text: &str) -> String {
    match Rule::parse("r", text) {
        Ok(_) => String::new(),
        Err(faults) => faults.iter().map(|f| format!("{}: {}\n", f.line, f.what)).collect(),
    }
}

#[test]
fn everything_that_is_wrong_is_named_with_its_line() {
    for (text, line, part) in [
        ("SELECT 1", "1: ", "begins with front matter"),
        ("-- ---\n-- owner: a\nSELECT 1", "3: ", "not closed"),
        ("-- ---\n-- owner a\n-- ---\nSELECT 1", "2: ", "is no field"),
        ("-- ---\n-- owner: a\n-- every: 5m\n-- key: a\n-- ---\n\n", "6: ", "no SELECT"),
        ("-- ---\n-- owner: a\n-- every: 5m\n-- key: a\n-- oner: b\n-- ---\nSELECT a", "5: ", "there are owner, why"),
        ("-- ---\n-- owner: a\n-- owner: b\n-- every: 5m\n-- key: a\n-- ---\nSELECT a", "3: ", "stands twice"),
        ("-- ---\n-- every: 5m\n-- key: a\n-- ---\nSELECT a", "3: ", "`owner` is missing"),
        ("-- ---\n-- owner: a\n-- key: a\n-- ---\nSELECT a", "3: ", "`every`, `cron` or `on` is missing"),
        ("-- ---\n-- owner: a\n-- every: 5m\n-- ---\nSELECT a", "3: ", "`key` is missing"),
        ("-- ---\n-- owner: a\n-- every: soon\n-- key: a\n-- ---\nSELECT a", "3: ", "no span of time"),
        ("-- ---\n-- owner: a\n-- every: 0s\n-- key: a\n-- ---\nSELECT a", "3: ", "less than a second"),
        ("-- ---\n-- owner: a\n-- cron: 0 0 30 2 *\n-- key: a\n-- ---\nSELECT a", "3: ", "never fires"),
        ("-- ---\n-- owner: a\n-- cron: 0 9 * * 1-5 Mars/Base\n-- key: a\n-- ---\nSELECT a", "3: ", "no time zone"),
        ("-- ---\n-- owner: a\n-- every: 1h\n-- key: [a, a]\n-- ---\nSELECT a", "4: ", "stands twice"),
        (
            "-- ---\n-- owner: a\n-- every: 1h\n-- key: a\n-- changed: notify(\"x\", \"y\")\n-- ---\nSELECT a",
            "5: ",
            "needs `watch`",
        ),
        (
            "-- ---\n-- owner: a\n-- every: 1h\n-- key: a\n-- new: notify(\"x\n-- ---\nSELECT a",
            "5: ",
            "not closed by a quote",
        ),
        (
            "-- ---\n-- owner: a\n-- every: 1h\n-- key: a\n-- new: notify(\"{x y}\")\n-- ---\nSELECT a",
            "5: ",
            "names no column",
        ),
        ("-- ---\n-- owner: a\n-- every: 1h\n-- key: a\n-- limit: many\n-- ---\nSELECT a", "5: ", "no limit"),
        ("-- ---\n-- owner: a\n-- every: 1h\n-- key: a\n-- fresh: often\n-- ---\nSELECT a", "5: ", "no freshness"),
        ("-- ---\n-- owner: a\n-- every: 1h\n-- key: a\n-- approve: me\n-- ---\nSELECT a", "5: ", "no approval"),
    ] {
        let said = faults(text);
        assert!(said.lines().any(|l| l.starts_with(line) && l.contains(part)), "{text}\n{said}");
    }
}

fn at(text: &str) -> i64 {
    text.parse::<DateTime<Utc>>().unwrap().timestamp_micros()
}

fn cron(line: &str) -> Timing {
    Timing { cron: Some(Cron::parse(line).unwrap()), ..Timing::default() }
}

/// Ticks within a time, as UTC.
fn ticks(timing: &Timing, from: &str, to: &str) -> Vec<String> {
    let (mut after, to) = (at(from) - 1, at(to));
    let mut ticks = Vec::new();
    while let Some(tick) = timing.next("r", after).filter(|tick| *tick <= to) {
        ticks.push(DateTime::from_timestamp_micros(tick).unwrap().format("%d %H:%M").to_string());
        after = tick;
    }
    ticks
}

#[test]
fn clocks_that_jump_neither_lose_nor_double_a_daily_tick() {
    // Berlin goes from 02:00 to 03:00 on 29 March and from 03:00 back to 02:00 on 25 October 2026.
    let daily = cron("30 2 * * * Europe/Berlin");
    assert_eq!(ticks(&daily, "2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z"), ["28 01:30", "29 01:00", "30 00:30"]);
    assert_eq!(ticks(&daily, "2026-10-24T00:00:00Z", "2026-10-26T12:00:00Z"), ["24 00:30", "25 00:30", "26 01:30"]);
    // New York: 8 March and 1 November 2026.
    let daily = cron("30 1 * * * America/New_York");
    assert_eq!(ticks(&daily, "2026-11-01T00:00:00Z", "2026-11-02T12:00:00Z"), ["01 05:30", "02 06:30"]);
    let daily = cron("30 2 * * * America/New_York");
    assert_eq!(ticks(&daily, "2026-03-07T00:00:00Z", "2026-03-09T12:00:00Z"), ["07 07:30", "08 07:00", "09 06:30"]);
    let hourly = cron("0 * * * * Europe/Berlin");
    assert_eq!(ticks(&hourly, "2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z").len(), 4);
    let workdays = cron("0 9 * * 1-5");
    assert_eq!(ticks(&workdays, "2026-11-27T00:00:00Z", "2026-11-30T23:00:00Z"), ["27 09:00", "30 09:00"]);
}

#[test]
fn missed_ticks_are_caught_up_as_the_rule_says() {
    let day = 86_400_000_000;
    let missed = [0, day, 2 * day, 3 * day];
    let of = |text: &str| Catchup::parse(text).unwrap().of(&missed, 3 * day + 1);
    assert_eq!(of("none"), [0_i64; 0]);
    assert_eq!(of("one, 2d"), [3 * day]);
    assert_eq!(of("all, 2d"), [2 * day, 3 * day]);
}

proptest! {
    #[test]
    fn every_tick_is_a_multiple_and_none_is_left_out(every in 1_u64..100_000, after in 0_i64..4_000_000_000_000_000, spread in 0_u64..5_000) {
        let spread = Duration::from_secs(spread);
        let timing = Timing { every: Some(Duration::from_secs(every)), spread, ..Timing::default() };
        let first = timing.next("a/rule", after).unwrap();
        let second = timing.next("a/rule", first).unwrap();
        let every = i64::try_from(every).unwrap() * 1_000_000;
        prop_assert!(first > after && first - after <= every);
        prop_assert_eq!(second - first, every);
    }

    #[test]
    fn reading_any_text_ends(text in "(-- ?---\n)?(-- [a-z]{1,6}: [ -~]{0,30}\n){0,6}(-- ---\n)?[ -~\n]{0,60}") {
        let _ = Rule::parse("r", &text);
    }

    #[test]
    fn the_tick_replaces_words_alone(sql in "[ -~\n]{0,80}") {
        let bound = at_tick(&sql, 5);
        if !sql.to_ascii_lowercase().contains(NOW) {
            prop_assert_eq!(bound, sql);
        }
    }
}
