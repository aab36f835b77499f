#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use engine::arrow::array::{ArrayRef, AsArray, BooleanArray, Decimal128Array, RecordBatch, StringArray};
use engine::datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;

use super::*;

fn attributes(json: &str) -> Attributes {
    let serde_json::Value::Object(object) = serde_json::from_str(json).unwrap() else { panic!("an object") };
    Attributes::parse(&object).unwrap()
}

fn check(scope: &str, row: &str, expected: bool) {
    let predicate = Predicate::parse(scope).unwrap();
    assert_eq!(predicate.matches(&attributes(row)), expected, "{scope} for {row}");
    let again = Predicate::parse(&predicate.sql()).unwrap();
    assert_eq!(again.matches(&attributes(row)), expected, "{} for {row}", predicate.sql());
}

#[test]
fn only_what_is_true_is_in_the_scope() {
    check("TRUE", "{}", true);
    check("x_app = 'shop'", r#"{"x_app": "shop"}"#, true);
    check("X_APP = 'shop'", r#"{"x_App": "shop"}"#, true);
    check("x_app = 'shop'", "{}", false);
    check("x_app <> 'shop'", "{}", false);
    check("NOT (x_app = 'shop')", "{}", false);
    check("x_app IS NULL OR x_app = 'a'", "{}", true);
    check("x_app IN ('a', 'b') AND x_env NOT IN ('dev')", r#"{"x_app": "b", "x_env": "prod"}"#, true);
    check("x_app NOT IN ('a', NULL)", r#"{"x_app": "b"}"#, false);
    check("x_model LIKE 'gpt-_%' AND x_model NOT LIKE '%mini'", r#"{"x_model": "gpt-5"}"#, true);
    check("x_model ILIKE 'GPT%'", r#"{"x_model": "gpt-5"}"#, true);
    check("lower(x_model) = 'gpt-5'", r#"{"x_model": "GPT-5"}"#, true);
    check("Tags ->> 'team' = 'web'", r#"{"Tags": {"team": "web"}}"#, true);
    check("Tags ->> 'team' = 'web'", r#"{"Tags": {"team": "api"}}"#, false);
    check("PricingQuantity BETWEEN 1 AND 2.5", r#"{"PricingQuantity": "2.50"}"#, true);
    check("PricingQuantity > -1", r#"{"PricingQuantity": 0}"#, true);
    check("x_estimate", r#"{"x_estimate": true}"#, true);
    check("x_estimate IS NOT TRUE", "{}", true);
    check("(x_app = 'a') IS UNKNOWN", "{}", true);
    check("x_user = 'u1'", r#"{"x_user": "u1"}"#, true);
}

#[test]
fn what_a_scope_asks_for_is_known() {
    let asks = |scope: &str| Predicate::parse(scope).unwrap().asks().map(|(_, text)| text.to_string());
    assert_eq!(asks("x_env <> 'dev' AND ('shop' = x_app AND x_model = 'a')").as_deref(), Some("shop"));
    for scope in ["x_app = 'a' OR x_app = 'b'", "NOT x_app = 'a'", "x_app = x_env", "lower(x_app) = 'a'", "TRUE"] {
        assert_eq!(asks(scope), None, "{scope}");
    }
}

#[test]
fn what_reads_the_ledger_is_known() {
    assert!(Predicate::parse("x_app = 'a' AND ServiceName = 'b'").unwrap().reads_ledger());
    assert!(!Predicate::parse("x_app = 'a' OR x_user = 'b'").unwrap().reads_ledger());
}

/// Terms over three columns of the ledger, one of each kind.
fn scopes() -> impl Strategy<Value = String> {
    let text = prop::sample::select(vec![
        "'a'",
        "'A'",
        "'ab'",
        "''",
        "NULL",
        "x_app",
        "lower(x_app)",
        "upper(x_env)",
        "x_env",
    ]);
    let number = prop::sample::select(vec!["0", "1", "-1", "0.5", "PricingQuantity", "NULL"]);
    let sign = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        (text.clone(), sign.clone(), text.clone()).prop_map(|(a, s, b)| format!("{a} {s} {b}")),
        (number.clone(), sign, number.clone()).prop_map(|(a, s, b)| format!("{a} {s} {b}")),
        (prop::bool::ANY, prop::collection::vec(prop::sample::select(vec!["'a'", "'b'", "NULL"]), 1..3))
            .prop_map(|(not, list)| format!("x_app {}IN ({})", if not { "NOT " } else { "" }, list.join(", "))),
        prop::sample::select(vec!["x_app LIKE 'a%'", "x_env NOT LIKE '_b'", "x_app ILIKE 'A_'", "x_app LIKE '%a%b%'"])
            .prop_map(str::to_owned),
        prop::sample::select(vec![
            "x_app IS NULL",
            "x_env IS NOT NULL",
            "x_estimate",
            "x_estimate IS FALSE",
            "TRUE",
            "FALSE"
        ])
        .prop_map(str::to_owned),
        (number.clone(), number).prop_map(|(a, b)| format!("PricingQuantity BETWEEN {a} AND {b}")),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) AND ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) OR ({b})")),
            inner.clone().prop_map(|a| format!("NOT ({a})")),
            inner.prop_map(|a| format!("({a}) IS NOT TRUE")),
        ]
    })
}

const TEXTS: [Option<&str>; 5] = [None, Some(""), Some("a"), Some("A"), Some("ab")];
const NUMBERS: [Option<i128>; 4] = [None, Some(0), Some(crate::decimal::ONE / 2), Some(-crate::decimal::ONE)];
const TRUTHS: [Option<bool>; 3] = [None, Some(true), Some(false)];

/// Every combination, as a batch and as requests.
fn ground() -> (RecordBatch, Vec<Attributes>) {
    let (mut app, mut env, mut quantity, mut estimate, mut requests) = (vec![], vec![], vec![], vec![], vec![]);
    for (at, a) in TEXTS.iter().enumerate() {
        for (number, n) in NUMBERS.iter().enumerate() {
            for t in TRUTHS {
                let e = TEXTS[(at + number) % TEXTS.len()];
                app.push(*a);
                env.push(e);
                quantity.push(*n);
                estimate.push(t);
                let mut request = Attributes::default();
                for (name, value) in [("x_app", a), ("x_env", &e)] {
                    value.iter().for_each(|value| request.text(name, value).unwrap());
                }
                let n = n.map(crate::decimal::text);
                request.set("PricingQuantity", &n.map_or(serde_json::Value::Null, Into::into)).unwrap();
                request.set("x_estimate", &t.map_or(serde_json::Value::Null, Into::into)).unwrap();
                requests.push(request);
            }
        }
    }
    let quantity = Decimal128Array::from(quantity).with_precision_and_scale(38, 18).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("x_app", Arc::new(StringArray::from(app))),
        ("x_env", Arc::new(StringArray::from(env))),
        ("PricingQuantity", Arc::new(quantity)),
        ("x_estimate", Arc::new(BooleanArray::from(estimate))),
    ];
    (RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap(), requests)
}

/// What DataFusion says about each row.
fn by_sql(batch: &RecordBatch, predicate: &Predicate) -> Vec<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        // Without the optimizer: it makes `a AND NOT a` false, which for null is unknown.
        let config = SessionConfig::new().set_usize("datafusion.optimizer.max_passes", 0);
        let context = SessionContext::new_with_config(config);
        context.register_batch("t", batch.clone()).unwrap();
        let sql = format!("SELECT ({}) IS TRUE AS hit FROM t", predicate.sql());
        let batches = context.sql(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e}")).collect().await.unwrap();
        batches.iter().flat_map(|b| b.column(0).as_boolean().iter().map(Option::unwrap).collect::<Vec<_>>()).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// A request in memory and a row in SQL are in the same scopes.
    #[test]
    fn memory_and_sql_agree(scope in scopes()) {
        let (batch, requests) = ground();
        // Null against null has no type to compare by; the parser takes it, the planner need not.
        let Ok(predicate) = Predicate::parse(&scope) else { return Ok(()) };
        let ours: Vec<bool> = requests.iter().map(|request| predicate.matches(request)).collect();
        prop_assert_eq!(&ours, &by_sql(&batch, &predicate), "{}", predicate.sql());
        let again = Predicate::parse(&predicate.sql()).unwrap();
        let read_again: Vec<bool> = requests.iter().map(|request| again.matches(request)).collect();
        prop_assert_eq!(&ours, &read_again);
        // Whoever looks budgets up by what they ask for misses none.
        if let Some((column, text)) = predicate.asks() {
            let says = |request: &Attributes| request.get(column) == Some(&Scalar::Text(Arc::clone(text)));
            prop_assert!(requests.iter().zip(&ours).all(|(request, hit)| !hit || says(request)));
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "[a-zA-Z_'%()<>=, .0-9]{0,40}") {
        let _ = Predicate::parse(&text);
    }
}
