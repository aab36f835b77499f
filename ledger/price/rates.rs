//! Which of a model's prices a request pays: by its tier of service, by the length of its input, by its day.

use std::collections::{BTreeSet, HashMap};

use super::history::Validity;
use super::{BATCH, STANDARD, dimension};

/// Providers that bill the higher price from the threshold on, not only above it.
const INCLUSIVE_PROVIDERS: &[&str] = &["xai"];
/// Tiers under other names.
const TIERS: &[(&str, &[&str])] = &[
    ("fast", &["fast", "priority"]),
    ("batches", &[BATCH]),
    ("default", &[STANDARD]),
    ("auto", &[STANDARD]),
    ("on_demand", &[STANDARD]),
    ("", &[STANDARD]),
];
/// A price for long inputs of one of these moves all of them.
const LONG_INPUT_DIMENSIONS: [&str; 4] =
    [dimension::INPUT, dimension::OUTPUT, dimension::CACHE_READ, dimension::CACHE_WRITE];

/// One price of a model, over time.
#[derive(Debug, Clone)]
pub struct Dated {
    /// When it is good.
    pub validity: Validity,
    /// In units of 10⁻¹⁸.
    pub unit_price: i128,
    /// What it is for one of.
    pub unit: String,
    /// ISO 4217.
    pub currency: String,
}

/// Dimension, tier of service, and the input tokens above which it holds.
pub type Slot = (String, String, i64);

/// A model of a price list.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// As the list writes it.
    pub name: String,
    /// Its provider; empty for any.
    pub provider: String,
    /// What it does.
    pub mode: String,
    /// Its prices.
    pub prices: HashMap<Slot, Vec<Dated>>,
}

/// The prices of one request.
pub struct Rates<'a> {
    model: &'a Model,
    at: i64,
    /// The request's tier and what may stand in for it, without the standard one.
    tiers: Vec<String>,
    /// Thresholds that the input is above, from the lowest.
    crossed: Vec<i64>,
}

/// The tiers that a request's word means, best first.
fn tiers(word: &str) -> Vec<String> {
    let word = word.trim().to_ascii_lowercase();
    let named = TIERS.iter().find(|(name, _)| *name == word);
    let all = named.map_or(vec![word], |(_, tiers)| tiers.iter().map(|tier| (*tier).to_owned()).collect());
    all.into_iter().filter(|tier| tier != STANDARD).collect()
}

impl<'a> Rates<'a> {
    /// The prices that hold at an instant for a request with this many input tokens.
    pub fn new(model: &'a Model, tier: &str, input_tokens: i64, provider: &str, at: i64) -> Rates<'a> {
        let mut rates = Rates { model, at, tiers: tiers(tier), crossed: Vec::new() };
        let provider = if provider.is_empty() { model.provider.as_str() } else { provider };
        let inclusive = INCLUSIVE_PROVIDERS.contains(&provider);
        let thresholds: BTreeSet<i64> = model
            .prices
            .keys()
            .filter(|(dimension, tier, above)| {
                let counts = LONG_INPUT_DIMENSIONS.contains(&dimension.as_str()) && *above > 0;
                counts && (tier == STANDARD || rates.tiers.contains(tier))
            })
            .map(|(_, _, above)| *above)
            .filter(|above| input_tokens > *above || (inclusive && input_tokens == *above))
            .collect();
        rates.crossed = thresholds.into_iter().collect();
        rates
    }

    /// What the list says for exactly this tier and threshold.
    fn listed(&self, dimension: &str, tier: &str, above: i64) -> Option<&'a Dated> {
        let slot = (dimension.to_owned(), tier.to_owned(), above);
        self.model.prices.get(&slot)?.iter().find(|price| price.validity.holds(self.at))
    }

    /// What the request's own tier pays, if the list has such a price.
    fn of_tier(&self, dimension: &str, above: i64) -> Option<&'a Dated> {
        self.tiers.iter().find_map(|tier| self.listed(dimension, tier, above))
    }

    /// Whether the list prices this dimension for the request's own tier.
    pub fn has_tier(&self, dimension: &str) -> bool {
        self.of_tier(dimension, 0).is_some()
    }

    /// The price of a dimension without regard to the input's length.
    pub fn plain(&self, dimension: &str) -> Option<&'a Dated> {
        self.of_tier(dimension, 0).or_else(|| self.listed(dimension, STANDARD, 0))
    }

    /// The price of a dimension: that of the highest threshold that has one. A tier that lists none of its own pays the
    /// standard price; a batch is never moved to the standard price of long inputs.
    pub fn price(&self, dimension: &str) -> Option<&'a Dated> {
        let mut price = self.plain(dimension);
        let keeps_tier = self.tiers.iter().any(|tier| tier == BATCH) && self.has_tier(dimension);
        for above in &self.crossed {
            let standard = || self.listed(dimension, STANDARD, *above).filter(|_| !keeps_tier);
            price = self.of_tier(dimension, *above).or_else(standard).or(price);
        }
        price
    }

    /// The price of a token of thought: its own, or that of the answer.
    pub fn reasoning(&self) -> Option<&'a Dated> {
        let output = self.price(dimension::OUTPUT);
        if let Some(own) = self.of_tier(dimension::REASONING, 0) {
            return Some(own);
        }
        if self.has_tier(dimension::OUTPUT) {
            return output;
        }
        let long = self.crossed.iter().rev().find_map(|above| self.listed(dimension::REASONING, STANDARD, *above));
        long.or_else(|| self.listed(dimension::REASONING, STANDARD, 0)).or(output)
    }
}
