//! Langfuse's list of models: a regular expression for the names, and tiers with conditions. A condition on the tier of
//! service or on the length of input is what our rows say; others are named in a note.

use std::collections::BTreeSet;

use engine::{Error, Result};
use ledger::price::{ModelPrice, STANDARD, Validity};
use regex::Regex;
use serde_json::Value;

use super::PriceList;
use super::entries::{Entries, price};

const CURRENCY: &str = "USD";
/// Names of usage, best first where several mean the same.
const DIMENSIONS: &[(&str, &str)] = &[
    ("input", "input"),
    ("input_tokens", "input"),
    ("input_text", "input"),
    ("input_text_tokens", "input"),
    ("prompt_token_count", "input"),
    ("promptTokenCount", "input"),
    ("input_modality_1", "input"),
    ("output", "output"),
    ("output_tokens", "output"),
    ("output_text", "output"),
    ("output_text_tokens", "output"),
    ("candidates_token_count", "output"),
    ("candidatesTokenCount", "output"),
    ("output_modality_1", "output"),
    ("cache_read_input_tokens", "cache_read"),
    ("input_cache_read", "cache_read"),
    ("input_cached_tokens", "cache_read"),
    ("input_cached_text_tokens", "cache_read"),
    ("cached_content_token_count", "cache_read"),
    ("input_cached_audio_tokens", "cache_read_audio"),
    ("input_cache_creation_5m", "cache_write_5m"),
    ("input_cache_creation", "cache_write_5m"),
    ("cache_creation_input_tokens", "cache_write_5m"),
    ("cache_write_tokens", "cache_write_5m"),
    ("input_cache_creation_1h", "cache_write_1h"),
    ("output_reasoning_tokens", "reasoning"),
    ("output_reasoning", "reasoning"),
    ("reasoning_tokens", "reasoning"),
    ("thoughtsTokenCount", "reasoning"),
    ("thoughts_token_count", "reasoning"),
    ("input_audio_tokens", "audio_input"),
    ("input_audio", "audio_input"),
    ("output_audio_tokens", "audio_output"),
    ("output_audio", "audio_output"),
    ("input_image", "image_input"),
];

/// When a tier holds, as our rows say it.
#[derive(Debug, PartialEq, Eq)]
struct Condition {
    tier: String,
    above: i64,
}

impl Condition {
    /// `None` where the list has a condition that no row can say.
    fn read(conditions: &[Value]) -> Option<Condition> {
        let mut read = Condition { tier: STANDARD.to_owned(), above: 0 };
        for condition in conditions {
            let operator = condition["operator"].as_str().unwrap_or_default();
            let words: Vec<&str> =
                condition["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            match condition["key"].as_str() {
                Some("service_tier" | "speed") if operator == "in" => {
                    // `fast` is what some call the priority tier.
                    let own = words.iter().find(|word| **word != "fast").or(words.first())?;
                    read.tier = (*own).to_owned();
                }
                None if operator == "gt" && condition["usageDetailPattern"].is_string() => {
                    read.above = condition["value"].as_i64()?;
                }
                _ => return None,
            }
        }
        Some(read)
    }
}

/// Reads the list.
pub fn read(text: &str, list: &str) -> Result<PriceList> {
    let wrong = |e: serde_json::Error| Error::invalid(format!("read the list of models: {e}"));
    let models: Vec<Entries<'_>> = serde_json::from_str(text).map_err(wrong)?;
    let mut found = PriceList::default();
    for model in &models {
        let name = model.text("modelName").ok_or_else(|| Error::invalid("a model of the list has no modelName"))?;
        let pattern = model.text("matchPattern").filter(|pattern| !pattern.is_empty());
        if let Some(pattern) = &pattern
            && let Err(cause) = Regex::new(pattern)
        {
            let cause = cause.to_string();
            let last = cause.lines().last().unwrap_or_default();
            found.notes.push(format!("{name} is not read: its pattern {pattern} is not understood: {last}"));
            continue;
        }
        let tiers = model.get("pricingTiers").map_or("[]", |tiers| tiers.get());
        let tiers: Vec<Entries<'_>> = serde_json::from_str(tiers).map_err(|e| wrong(e).context(&name))?;
        let mut seen = BTreeSet::new();
        for tier in &tiers {
            let conditions = tier.get("conditions").map_or("[]", |conditions| conditions.get());
            let conditions: Vec<Value> = serde_json::from_str(conditions).map_err(|e| wrong(e).context(&name))?;
            let title = tier.text("name").unwrap_or_default();
            let Some(condition) = Condition::read(&conditions) else {
                found.notes.push(format!("{name}: the tier {title} is not read: its conditions cannot be kept"));
                continue;
            };
            let prices = tier.get("prices").map_or("{}", |prices| prices.get());
            let prices = Entries::read(prices, &format!("{name} {title}"))?;
            rows(list, &name, pattern.as_deref(), &condition, &prices, &mut seen, &mut found)?;
        }
    }
    if found.models.is_empty() {
        return Err(Error::invalid("no model of this list has a price"));
    }
    Ok(found)
}

/// The rows of one tier. Several names of usage mean the same; the best one's price is taken.
fn rows(
    list: &str,
    model: &str,
    pattern: Option<&str>,
    condition: &Condition,
    prices: &Entries<'_>,
    seen: &mut BTreeSet<(String, String, i64)>,
    found: &mut PriceList,
) -> Result<()> {
    let rank = |key: &str| DIMENSIONS.iter().position(|(name, _)| *name == key).unwrap_or(DIMENSIONS.len());
    let mut entries: Vec<_> = prices.0.iter().collect();
    entries.sort_by_key(|(key, _)| rank(key));
    for (key, value) in entries {
        let Some(read) = price(value, &format!("{model} {key}"))? else { continue };
        let named = DIMENSIONS.iter().find(|(name, _)| name == key);
        let dimension = named.map_or(key.as_str(), |(_, dimension)| *dimension).to_owned();
        if !seen.insert((dimension.clone(), condition.tier.clone(), condition.above)) {
            continue;
        }
        found.models.push(ModelPrice {
            price_list: list.to_owned(),
            model: model.to_owned(),
            provider: String::new(),
            mode: String::new(),
            match_pattern: pattern.map(str::to_owned),
            dimension,
            service_tier: condition.tier.clone(),
            above_tokens: condition.above,
            unit: if key.to_lowercase().contains("quer") { "query" } else { "token" }.to_owned(),
            unit_price: read.units,
            currency: CURRENCY.to_owned(),
            validity: Validity { from: 0, to: None },
            key: Some(key.clone()),
            raw: read.raw,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(conditions: Value, expected: Option<(&str, i64)>) {
        let read = Condition::read(conditions.as_array().map(Vec::as_slice).unwrap_or_default());
        assert_eq!(read.as_ref().map(|read| (read.tier.as_str(), read.above)), expected, "{conditions}");
    }

    #[test]
    fn conditions_become_tiers_and_thresholds() {
        use serde_json::json;
        let tier = json!({"source": "model_parameters", "key": "service_tier", "operator": "in", "values": ["fast", "priority"]});
        let long = json!({"usageDetailPattern": "(input)", "operator": "gt", "value": 272000});
        check(json!([]), Some((STANDARD, 0)));
        check(json!([tier]), Some(("priority", 0)));
        check(json!([tier, long]), Some(("priority", 272_000)));
        check(json!([{"key": "speed", "operator": "in", "values": ["fast"]}]), Some(("fast", 0)));
        check(json!([{"key": "region", "operator": "in", "values": ["eu"]}]), None);
    }
}
