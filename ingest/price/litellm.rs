//! LiteLLM's map of models: one flat object a model, whose keys say what is priced, for which tier and above which
//! length: `cache_read_input_token_cost_above_200k_tokens_priority`.

use engine::{Error, Result};
use ledger::price::{BATCH, ModelPrice, STANDARD, Validity};

use super::PriceList;
use super::entries::{Entries, Read, price};

/// The map's own example of an entry.
const SAMPLE: &str = "sample_spec";
const CURRENCY: &str = "USD";
/// Endings of keys, and the tier that each means.
const TIERS: &[(&str, &str)] = &[
    ("_batches", BATCH),
    ("_flex", "flex"),
    ("_priority", "priority"),
    ("_balanced", "balanced"),
    ("_ultrafast", "ultrafast"),
    ("_decisions", "decisions"),
];
/// What a price by the token is for.
const DIMENSIONS: &[(&str, &str)] = &[
    ("input_cost_per_token", "input"),
    ("output_cost_per_token", "output"),
    ("cache_read_input_token_cost", "cache_read"),
    ("explicit_cache_read_input_token_cost", "cache_read_explicit"),
    ("cache_read_input_audio_token_cost", "cache_read_audio"),
    ("cache_read_input_image_token_cost", "cache_read_image"),
    ("cache_creation_input_token_cost", "cache_write_5m"),
    ("cache_creation_input_token_cost_above_1hr", "cache_write_1h"),
    ("cache_creation_input_token_cost_above_12hr", "cache_write_12h"),
    ("cache_creation_input_audio_token_cost", "cache_write_audio"),
    ("output_cost_per_reasoning_token", "reasoning"),
    ("input_cost_per_audio_token", "audio_input"),
    ("output_cost_per_audio_token", "audio_output"),
    ("input_cost_per_image_token", "image_input"),
    ("output_cost_per_image_token", "image_output"),
    ("input_cost_per_video_token", "video_input"),
    ("output_cost_per_video_token", "video_output"),
];
/// A list of ranges of input, each with its own prices.
const RANGES: &str = "tiered_pricing";
/// Prices for some hours of the day, which no row can say.
const OFF_PEAK: &str = "off_peak_pricing";

/// A key taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    dimension: String,
    tier: &'static str,
    above: i64,
    unit: String,
}

impl Key {
    fn parse(key: &str) -> Key {
        let (rest, tier) = TIERS
            .iter()
            .find_map(|(ending, tier)| key.strip_suffix(ending).map(|rest| (rest, *tier)))
            .unwrap_or((key, STANDARD));
        let (base, above) = without_threshold(rest);
        if let Some((_, dimension)) = DIMENSIONS.iter().find(|(name, _)| *name == base) {
            return Key { dimension: (*dimension).to_owned(), tier, above, unit: "token".to_owned() };
        }
        let unit = base.rsplit_once("_per_").map_or("unit", |(_, unit)| unit);
        let unit = unit.split("_above_").next().unwrap_or(unit);
        Key { dimension: base.clone(), tier, above, unit: unit.to_owned() }
    }
}

/// A key without `_above_200k_tokens`, and the number of tokens.
fn without_threshold(key: &str) -> (String, i64) {
    let whole = (key.to_owned(), 0);
    let Some(before) = key.strip_suffix("_tokens") else { return whole };
    let Some((base, number)) = before.rsplit_once("_above_") else { return whole };
    let (digits, thousands) = number.strip_suffix('k').map_or((number, 1), |digits| (digits, 1000));
    digits.parse::<i64>().map_or(whole, |count| (base.to_owned(), count.saturating_mul(thousands)))
}

/// Whether a key of a model prices something; multipliers and limits do not.
fn is_price(key: &str) -> bool {
    key.contains("cost") && !key.contains("multiplier")
}

/// Reads the map.
pub fn read(text: &str, list: &str) -> Result<PriceList> {
    let mut found = PriceList::default();
    let (mut off_peak, mut free) = (0, 0);
    for (name, value) in Entries::read(text, "the map of models")?.0.into_iter().filter(|(name, _)| name != SAMPLE) {
        let model = Entries::read(value.get(), &name)?;
        let before = found.models.len();
        let reading = Reading {
            list,
            name: &name,
            provider: model.text("litellm_provider").unwrap_or_default(),
            mode: model.text("mode").unwrap_or_default(),
        };
        for (key, value) in &model.0 {
            match key.as_str() {
                OFF_PEAK => off_peak += 1,
                key if is_price(key) => reading.price(key, value, &mut found.models)?,
                _ => {}
            }
        }
        if let Some(ranges) = model.get(RANGES) {
            reading.ranges(ranges.get(), &mut found.models)?;
        }
        free += usize::from(found.models.len() == before);
    }
    if found.models.is_empty() {
        return Err(Error::invalid("no model of this map has a price"));
    }
    if free > 0 {
        found.notes.push(format!("{free} models have no price in the list: their usage is unpriced"));
    }
    if off_peak > 0 {
        found.notes.push(format!("{off_peak} models have other prices for some hours of the day, which are not kept"));
    }
    Ok(found)
}

struct Reading<'a> {
    list: &'a str,
    name: &'a str,
    provider: String,
    mode: String,
}

impl Reading<'_> {
    fn row(&self, key: Key, own: String, read: Read) -> ModelPrice {
        ModelPrice {
            price_list: self.list.to_owned(),
            model: self.name.to_owned(),
            provider: self.provider.clone(),
            mode: self.mode.clone(),
            match_pattern: None,
            dimension: key.dimension,
            service_tier: key.tier.to_owned(),
            above_tokens: key.above,
            unit: key.unit,
            unit_price: read.units,
            currency: CURRENCY.to_owned(),
            validity: Validity { from: 0, to: None },
            key: Some(own),
            raw: read.raw,
        }
    }

    /// A number is a price, an object is one for each of its names.
    fn price(&self, key: &str, value: &serde_json::value::RawValue, rows: &mut Vec<ModelPrice>) -> Result<()> {
        let of = format!("{} {key}", self.name);
        if let Some(read) = price(value, &of)? {
            rows.push(self.row(Key::parse(key), key.to_owned(), read));
        } else if value.get().trim_start().starts_with('{') {
            for (name, value) in Entries::read(value.get(), &of)?.0 {
                let own = format!("{key}.{name}");
                if let Some(read) = price(value, &own)? {
                    let parsed = Key { dimension: own.clone(), tier: STANDARD, above: 0, unit: Key::parse(key).unit };
                    rows.push(self.row(parsed, own, read));
                }
            }
        }
        Ok(())
    }

    /// Every range of input has all prices of its own; it begins above its lower end.
    fn ranges(&self, text: &str, rows: &mut Vec<ModelPrice>) -> Result<()> {
        let of = |e: serde_json::Error| Error::invalid(format!("{} {RANGES}: {e}", self.name));
        let ranges: Vec<Entries<'_>> = serde_json::from_str(text).map_err(of)?;
        let mut own = Vec::new();
        for range in ranges {
            let Some(bounds) = range.get("range") else { continue };
            let bounds: Vec<f64> = serde_json::from_str(bounds.get()).map_err(of)?;
            let above = bounds.first().copied().unwrap_or_default() as i64;
            for (key, value) in range.0.iter().filter(|(key, _)| is_price(key)) {
                if let Some(read) = price(value, &format!("{} {key}", self.name))? {
                    own.push(self.row(Key { above, ..Key::parse(key) }, format!("{RANGES}.{key}"), read));
                }
            }
        }
        // The ranges are the whole truth of what they price.
        let slot = |row: &ModelPrice| (row.dimension.clone(), row.service_tier.clone(), row.above_tokens);
        let priced: std::collections::HashSet<_> = own.iter().map(slot).collect();
        rows.retain(|row| row.model != self.name || !priced.contains(&slot(row)));
        rows.extend(own);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, dimension: &str, tier: &str, above: i64, unit: &str) {
        let got = Key::parse(key);
        assert_eq!(
            (got.dimension.as_str(), got.tier, got.above, got.unit.as_str()),
            (dimension, tier, above, unit),
            "{key}"
        );
    }

    #[test]
    fn keys_say_what_for_whom_and_above_which_length() {
        check("input_cost_per_token", "input", STANDARD, 0, "token");
        check("output_cost_per_token_above_272k_tokens_flex", "output", "flex", 272_000, "token");
        check("cache_creation_input_token_cost_above_1hr", "cache_write_1h", STANDARD, 0, "token");
        check(
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
            "cache_write_1h",
            STANDARD,
            200_000,
            "token",
        );
        check("input_cost_per_token_batches", "input", BATCH, 0, "token");
        check("output_cost_per_image", "output_cost_per_image", STANDARD, 0, "image");
        check("output_cost_per_second_1080p", "output_cost_per_second_1080p", STANDARD, 0, "second_1080p");
    }
}
