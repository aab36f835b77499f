#![allow(clippy::unwrap_used)]

use super::*;

const GOOD: &str = r#"
budgets:
- {name: all, tenant: acme, unit: EUR, limit: 1000, window: month, zone: Europe/Berlin}
- name: shop
  tenant: acme
  scope: x_app = 'shop' AND Tags ->> 'team' = 'web'
  unit: EUR
  limit: "250.50"
  cost: effective
  parent: all
  window: {calendar: quarter, start_day: 1, start_month: 2}
  zone: Europe/Berlin
  kind: soft
  thresholds: [{on: actual, percent: 80}, {on: forecast, percent: "100.5"}, {on: reserved, amount: "9.99"}]
  starts: 2026-01-01
  unpriced: "0.10"
- {name: calls, tenant: "*", unit: requests, limit: 50, window: {rolling: 24h}}
- {name: launch, tenant: acme, unit: tokens, limit: 7, window: fixed, starts: 2026-01-01, ends: 2026-02-01}
quotas:
- {name: chat, tenant: acme, per: [x_user], requests: 60/m, concurrency: 8}
"#;

#[test]
fn a_file_is_read_as_it_is_written() {
    let file = File::parse(GOOD).unwrap();
    nesting(&file.budgets).unwrap();
    let shop = &file.budgets[1];
    assert_eq!((shop.limit, shop.hard, shop.cost), (250_500_000_000, false, CostColumn::Effective));
    assert_eq!(shop.thresholds[0].units, 200_400_000_000);
    assert_eq!(shop.life.0, 1_767_222_000_000_000, "midnight in Berlin");
    assert_eq!(file.budgets[2].window, Window::Rolling { length_us: DAY_US });
    let again = Budget::read(&shop.stored()).unwrap();
    assert!(!again.counts_otherwise(shop) && again.limit == shop.limit && again.thresholds == shop.thresholds);
    assert_eq!(file.quotas.len(), 1);
}

#[test]
fn bad_input_is_refused_with_its_reason() {
    let base = |more: &str| {
        let entry = format!("{{name: b, tenant: acme, {more}}}");
        File::parse(&format!("budgets: [{entry}]")).map(|_| ()).unwrap_err().to_string()
    };
    let good = "unit: USD, limit: 10, window: day";
    for (more, why) in [
        ("unit: USD, limit: 10, window: day, scope: \"x_shop = 'a'\"", "no column x_shop"),
        ("unit: USD, limit: 10, window: day, scope: \"x_app = \"", "no predicate"),
        ("unit: USD, limit: 10, window: day, scope: \"x_app\"", "neither true nor false"),
        ("unit: USD, limit: 10, window: day, scope: \"x_app = 'a'; DROP TABLE budget\"", "follows behind"),
        ("unit: USD, limit: 10, window: day, scope: \"x_app IN (SELECT 1)\"", "subquery"),
        ("unit: USD, limit: 10, window: day, scope: \"random() < 0.5\"", "function random"),
        ("unit: USD, limit: 10, window: day, scope: \"now() > '2026'\"", "function now"),
        ("unit: USD, limit: 10, window: day, scope: \"BilledCost = 'a'\"", "cannot be compared"),
        ("unit: Taler, limit: 10, window: day", "ISO 4217"),
        ("unit: USD, limit: 0.1, window: day", "in quotes"),
        ("unit: USD, limit: \"0.0000000001\", window: day", "more than 9 decimals"),
        ("unit: USD, limit: -1, window: day", "negative"),
        ("unit: tokens, limit: \"1.5\", window: day", "whole number"),
        ("unit: USD, limit: 10, window: fortnight", "no window"),
        ("unit: USD, limit: 10, window: {rolling: 2y}", "rolling window"),
        ("unit: USD, limit: 10, window: {calendar: week, start_day: 9}", "start day"),
        ("unit: USD, limit: 10, window: fixed", "give both"),
        ("unit: USD, limit: 10, window: day, zone: Mars/Olympus", "time zone"),
        ("unit: USD, limit: 10, window: day, kind: strict", "hard or soft"),
        ("unit: USD, limit: 10, window: day, starts: 2026-02-01, ends: 2026-01-01", "ends before"),
        ("unit: USD, limit: 10, window: day, thresholds: [{on: actual}]", "percent"),
        ("unit: USD, limit: 10, window: day, parent: other/b", "another tenant"),
        ("unit: USD, limit: 10, window: day, limt: 9", "unknown field"),
        ("limit: 10, window: day", "missing field"),
    ] {
        let said = base(more);
        assert!(said.contains(why), "{more}: {said}");
    }
    let twice = format!("budgets: [{{name: b, tenant: a, {good}}}, {{name: b, tenant: a, {good}}}]");
    assert!(File::parse(&twice).unwrap_err().to_string().contains("twice"));
    assert!(File::parse("budgets: {").is_err());
}

#[test]
fn nesting_has_an_end() {
    let check = |text: &str, why: &str| {
        let said = nesting(&File::parse(text).unwrap().budgets).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    };
    let entry = |name: &str, unit: &str, parent: &str| {
        format!("{{name: {name}, tenant: t, unit: {unit}, limit: 1, window: day, parent: {parent}}}")
    };
    check(&format!("budgets: [{}, {}]", entry("a", "USD", "b"), entry("b", "USD", "a")), "its own ancestor");
    check(&format!("budgets: [{}]", entry("a", "USD", "a")), "its own ancestor");
    check(&format!("budgets: [{}]", entry("a", "USD", "b")), "is not there");
    check(
        &format!("budgets: [{}, {{name: b, tenant: t, unit: EUR, limit: 1, window: day}}]", entry("a", "USD", "b")),
        "counts EUR",
    );
}
