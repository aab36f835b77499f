//! What a request cost: tokens times the prices of its day, exactly.

use std::collections::BTreeSet;

use engine::{Error, Kind, Result};
use serde::Serialize;

use super::book::Book;
use super::rates::{Dated, Model, Rates};
use super::usage::Usage;
use super::{dimension, name};
use crate::decimal;

/// What models of these modes answer is no text, and lists give it no price.
const MODES_WITHOUT_OUTPUT: &[&str] = &["embedding", "rerank", "moderation", "search", "vector_store"];

/// The cost of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// The list that priced it.
    pub price_list: String,
    /// The model as the list writes it.
    pub model: String,
    /// Of the tokens sent, in units of 10⁻¹⁸.
    pub prompt: i128,
    /// Of the tokens answered.
    pub completion: i128,
    /// ISO 4217.
    pub currency: String,
    /// What it is made of.
    pub lines: Vec<Line>,
}

/// One dimension of a cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What was used.
    pub dimension: &'static str,
    /// How much of it.
    pub tokens: i64,
    /// The price of one, in units of 10⁻¹⁸.
    pub unit_price: i128,
    /// Both multiplied.
    pub cost: i128,
}

#[derive(Serialize)]
struct ShownLine {
    dimension: &'static str,
    tokens: i64,
    unit_price: String,
    cost: String,
}

impl Cost {
    /// Both together.
    pub fn total(&self) -> i128 {
        self.prompt + self.completion
    }

    /// As a JSON document; decimals are texts, so that no reader makes floats of them.
    pub fn to_json(&self) -> String {
        let lines = self.lines.iter().map(|line| ShownLine {
            dimension: line.dimension,
            tokens: line.tokens,
            unit_price: decimal::text(line.unit_price),
            cost: decimal::text(line.cost),
        });
        serde_json::json!({
            "model": self.model,
            "price_list": self.price_list,
            "currency": self.currency,
            "prompt_cost": decimal::text(self.prompt),
            "completion_cost": decimal::text(self.completion),
            "total_cost": decimal::text(self.total()),
            "lines": lines.collect::<Vec<_>>(),
        })
        .to_string()
    }
}

/// Prices a request as of an instant. A model, or a kind of token, that has no price is an error, never free.
pub fn cost(book: &Book, model: &str, provider: &str, usage: &Usage, at: i64) -> Result<Cost> {
    let usage = usage.clone().checked()?;
    let provider = name::provider(provider);
    let unpriced = || {
        let of = if provider.is_empty() { String::new() } else { format!(" of {provider}") };
        Error::new(
            Kind::NotFound,
            format!("no price list has the model {model}{of} at this date: its usage is unpriced"),
        )
    };
    let (list, found) = book.find(model, &provider, at).ok_or_else(unpriced)?;
    let rates = Rates::new(found, &usage.service_tier, usage.input, &provider, at);
    let mut sheet = Sheet { model: found, currency: None, lines: Vec::new() };
    sheet.sees(rates.price(dimension::OUTPUT))?;
    let prompt = sheet.prompt(&rates, &usage)?;
    let completion = sheet.completion(&rates, &usage)?;
    let currency = sheet.currency.ok_or_else(|| match found.prices.is_empty() {
        true => unpriced(),
        false => sheet_has_no_tokens(found),
    })?;
    Ok(Cost {
        price_list: list.to_owned(),
        model: found.name.clone(),
        prompt,
        completion,
        currency,
        lines: sheet.lines,
    })
}

fn sheet_has_no_tokens(model: &Model) -> Error {
    let other: BTreeSet<&str> = model.prices.keys().map(|(dimension, _, _)| dimension.as_str()).collect();
    let other: Vec<&str> = other.into_iter().collect();
    Error::new(Kind::NotFound, format!("{} has no price by the token, only {}", model.name, other.join(", ")))
}

/// A cost under construction.
struct Sheet<'a> {
    model: &'a Model,
    currency: Option<String>,
    lines: Vec<Line>,
}

impl Sheet<'_> {
    fn prompt(&mut self, rates: &Rates<'_>, usage: &Usage) -> Result<i128> {
        let input = rates.price(dimension::INPUT);
        self.sees(input)?;
        let (read, written) = (usage.cache_read, usage.cache_write.max(usage.cache_write_1h));
        // Sound and what the cache covers may overlap; then sound pays only for what the cache left.
        let uncached = (usage.input - read - written).max(0);
        let overlaps = (read > 0 || written > 0) && read + written + usage.audio_input > usage.input;
        let audio = if overlaps { usage.audio_input.min(uncached) } else { usage.audio_input };
        let text = (uncached - audio).max(0);
        let cache_read = rates.price(dimension::CACHE_READ).or(input);
        let cache_write = rates.price(dimension::CACHE_WRITE).or(input);
        let cache_write_1h = rates.price(dimension::CACHE_WRITE_1H).or(cache_write);
        let audio_input = rates.plain(dimension::AUDIO_INPUT).or(input);
        Ok(self.line(dimension::INPUT, text, input)?
            + self.line(dimension::CACHE_READ, read, cache_read)?
            + self.line(dimension::CACHE_WRITE, written - usage.cache_write_1h, cache_write)?
            + self.line(dimension::CACHE_WRITE_1H, usage.cache_write_1h, cache_write_1h)?
            + self.line(dimension::AUDIO_INPUT, audio, audio_input)?)
    }

    fn completion(&mut self, rates: &Rates<'_>, usage: &Usage) -> Result<i128> {
        let output = rates.price(dimension::OUTPUT).or_else(|| rates.price(dimension::IMAGE_OUTPUT));
        self.sees(output)?;
        if output.is_none() && MODES_WITHOUT_OUTPUT.contains(&self.model.mode.as_str()) {
            return Ok(0);
        }
        let text = (usage.output - usage.reasoning - usage.audio_output).max(0);
        let audio_output = rates.plain(dimension::AUDIO_OUTPUT).or(output);
        Ok(self.line(dimension::OUTPUT, text, output)?
            + self.line(dimension::REASONING, usage.reasoning, rates.reasoning().or(output))?
            + self.line(dimension::AUDIO_OUTPUT, usage.audio_output, audio_output)?)
    }

    fn sees(&mut self, price: Option<&Dated>) -> Result<()> {
        let Some(price) = price else { return Ok(()) };
        match &self.currency {
            Some(currency) if *currency != price.currency => Err(Error::invalid(format!(
                "{} has prices in {currency} and {}; they cannot be added",
                self.model.name, price.currency
            ))),
            _ => {
                self.currency = Some(price.currency.clone());
                Ok(())
            }
        }
    }

    fn line(&mut self, dimension: &'static str, tokens: i64, price: Option<&Dated>) -> Result<i128> {
        if tokens <= 0 {
            return Ok(0);
        }
        let Some(price) = price else {
            if self.currency.is_none() {
                return Err(sheet_has_no_tokens(self.model));
            }
            let text =
                format!("{} has no price for {dimension} tokens: {tokens} of them are unpriced", self.model.name);
            return Err(Error::new(Kind::NotFound, text));
        };
        self.sees(Some(price))?;
        let cost = price.unit_price.checked_mul(i128::from(tokens)).filter(|cost| cost.unsigned_abs() < 10u128.pow(38));
        let cost = cost.ok_or_else(|| {
            Error::invalid(format!("{tokens} {dimension} tokens cost more than 20 digits before the point"))
        })?;
        self.lines.push(Line { dimension, tokens, unit_price: price.unit_price, cost });
        Ok(cost)
    }
}
