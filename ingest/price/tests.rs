#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use engine::{Catalogue, NoRedaction, Ports, Settings, WallClock};
use ledger::decimal::{self, ONE};
use ledger::price::{Ask, Book, Prices, Usage, cost};

use super::*;
use crate::sources::Silent;

const LIST: &str = r#"{
    "sample_spec": {"input_cost_per_token": 0.0},
    "m": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05,
          "input_cost_per_token_priority": 2.5e-6, "cache_read_input_token_cost": 1.25e-07,
          "input_cost_per_token_above_200k_tokens": 2.5e-06, "search_context_cost_per_query": {"size_low": 0.01}},
    "free": {"litellm_provider": "openai", "mode": "chat"},
    "ranged": {"litellm_provider": "dashscope", "mode": "chat", "tiered_pricing": [
          {"input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07, "range": [0, 256000.0]},
          {"input_cost_per_token": 2.5e-07, "output_cost_per_token": 2e-06, "range": [256000.0, 1000000.0]}]}
}"#;

fn book(text: &str) -> Book {
    let format = Format::of(text, None).unwrap();
    Book::new(read(text, format, format.name()).unwrap().models)
}

/// Prompt and completion cost, or the error's text.
fn priced(book: &Book, model: &str, usage: Usage) -> String {
    match cost(book, model, "", &usage, 0) {
        Ok(cost) => format!("{} {}", decimal::text(cost.prompt), decimal::text(cost.completion)),
        Err(error) => error.to_string(),
    }
}

#[test]
fn numbers_are_read_from_their_text_and_thresholds_move_the_whole_request() {
    let book = book(LIST);
    let usage = |input: i64, output: i64| Usage { input, output, ..Usage::default() };
    assert_eq!(priced(&book, "m", usage(200_000, 1000)), "0.25 0.01");
    assert_eq!(priced(&book, "m", usage(200_001, 1000)), "0.5000025 0.01");
    assert_eq!(priced(&book, "ranged", usage(256_000, 1)), "0.0128 0.0000004");
    assert_eq!(priced(&book, "ranged", usage(256_001, 1)), "0.06400025 0.000002");
    assert!(priced(&book, "free", usage(1, 1)).contains("unpriced"));
    assert!(priced(&book, "other", usage(1, 1)).contains("no price list has the model other"));
    let priority = Usage { input: 1000, cache_read: 400, service_tier: "priority".to_owned(), ..Usage::default() };
    assert_eq!(priced(&book, "m", priority), "0.00155 0");
    let ask = Ask { model: "m", provider: "openai", dimension: "input", at: 0, service_tier: "flex", input_tokens: 0 };
    assert_eq!(book.price(&ask), Some(1_250_000_000_000));
}

#[test]
fn patterns_and_conditions_of_langfuse() {
    let text = r#"[{"modelName": "gpt", "matchPattern": "(?i)^(openai/)?(gpt)(-[0-9]+)?$", "pricingTiers": [
        {"name": "Standard", "conditions": [], "prices": {"input": 1e-6, "input_tokens": 1e-6, "output": 2e-6}},
        {"name": "Flex", "conditions": [{"key": "service_tier", "operator": "in", "values": ["flex"]}], "prices": {"input": 5e-7, "output": 1e-6}}]},
        {"modelName": "odd", "matchPattern": "(?<!x)odd", "pricingTiers": []}]"#;
    let list = read(text, Format::of(text, Some("langfuse")).unwrap(), "langfuse").unwrap();
    assert!(list.notes[0].starts_with("odd is not read"), "{:?}", list.notes);
    let book = Book::new(list.models);
    let usage = Usage { input: 10, output: 1, service_tier: "flex".to_owned(), ..Usage::default() };
    assert_eq!(priced(&book, "OpenAI/GPT-4", usage), "0.000005 0.000001");
}

#[test]
fn bad_lists_are_refused_whole() {
    let wrong = |text: &str| match Format::of(text, None).and_then(|format| read(text, format, "x")) {
        Ok(_) => panic!("{text} was read"),
        Err(error) => error.to_string(),
    };
    assert!(wrong("hello").contains("no price list"));
    assert!(wrong("{\"m\": {\"input_cost_per_token\": 1e-6}, \"m\": {}}").contains("m stands there twice"));
    assert!(wrong("{\"m\": {\"input_cost_per_token\": 1e30}}").contains("more than 20 digits"));
    assert!(wrong("{\"m\": {\"mode\": \"chat\"}}").contains("no model of this map has a price"));
    assert!(wrong("{\"CPU\": \"much\", \"RAM\": \"1\"}").contains("is no price"));
    assert!(Format::of("[]", Some("litellm")).is_err());
}

#[tokio::test]
async fn an_import_changes_only_what_differs_and_keeps_what_was() {
    let root = tempfile::tempdir().unwrap();
    let catalogue = Catalogue { tables: Price.tables(), ..Catalogue::default() };
    let ports = Ports { clock: Arc::new(WallClock), redactor: Arc::new(NoRedaction) };
    let store = Store::open(Settings::new(&root.path().join("data")), catalogue, ports).await.unwrap();
    let file = root.path().join("prices.json");
    let scope = Scope::platform("operator");
    let import = async |text: &str, valid_from: Option<i64>| {
        std::fs::write(&file, text).unwrap();
        let options = FileOptions { valid_from, ..FileOptions::default() };
        Price.ingest_path(&store, &scope, &file, &options, &Silent).await
    };
    let first = import(LIST, None).await.unwrap();
    assert_eq!((first.accepted, first.repeated), (10, 0), "{:?}", first.notes);
    let again = import(LIST, None).await.unwrap();
    assert_eq!((again.accepted, again.repeated), (0, 1));
    let dearer = LIST.replace("1.25e-06", "1.5e-06");
    let changed = import(&dearer, Some(1_000_000)).await.unwrap();
    assert_eq!(changed.accepted, 2, "{:?}", changed.notes);
    let prices = Prices::new(Arc::new(WallClock));
    prices.load(&store).await.unwrap();
    let usage = Usage { input: 1_000_000, ..Usage::default() };
    let short = Usage { input: 1000, ..usage };
    let at = |at: i64| cost(&prices.book(), "m", "openai", &short, at).unwrap().total();
    assert_eq!((at(999_999), at(1_000_000)), (1_250_000_000_000 * 1000, 1_500_000_000_000 * 1000));
    let early = import(LIST, Some(500_000)).await.unwrap_err();
    assert!(early.to_string().contains("overlap"), "{early}");
    let negative = import(&dearer.replace("1.5e-06", "-1.5e-06"), None).await.unwrap_err();
    assert!(negative.to_string().contains("negative"), "{negative}");
    assert!(at(1_000_000) < ONE);
    store.close().await.unwrap();
}
