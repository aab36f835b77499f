//! The prices in memory, by model, as SQL's functions ask them. Filled from `model_price` when the store opens and after
//! every import; a question sees one edition of it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use engine::datafusion::physical_plan::common::collect;
use engine::sql::session::from_datafusion;
use engine::{Clock, Limits, Question, Result, Scope, Store};
use regex::Regex;

use super::model_price::{MODEL_PRICE, ModelPrice};
use super::name;
use super::rates::{Dated, Model};
use super::{PRICE_TENANT, STANDARD};
use crate::exchange::{Exchange, FX_RATE};

/// Lists in the order in which they are asked; lists with another name, which somebody made himself, come before all.
const LISTS: &[&str] = &["litellm", "langfuse"];

/// Every price, by list and model.
#[derive(Debug, Default)]
pub struct Book {
    lists: Vec<List>,
}

#[derive(Debug, Default)]
struct List {
    name: String,
    models: Vec<Model>,
    /// Places of the models of a name, in lower case.
    by_name: HashMap<String, Vec<usize>>,
    patterns: Vec<(Regex, usize)>,
}

impl Book {
    /// The book of these rows.
    pub fn new(prices: Vec<ModelPrice>) -> Book {
        let mut lists: HashMap<String, HashMap<(String, String), (Model, Option<String>)>> = HashMap::new();
        for price in prices {
            let models = lists.entry(price.price_list).or_default();
            let entry = models.entry((price.model.clone(), price.provider.clone())).or_default();
            let (model, pattern) = entry;
            (model.name, model.provider, model.mode) = (price.model, price.provider, price.mode);
            *pattern = price.match_pattern.or(pattern.take());
            let slot = (price.dimension, price.service_tier, price.above_tokens);
            model.prices.entry(slot).or_default().push(Dated {
                validity: price.validity,
                unit_price: price.unit_price,
                unit: price.unit,
                currency: price.currency,
            });
        }
        let mut lists: Vec<List> = lists.into_iter().map(|(name, models)| List::new(name, models)).collect();
        let rank = |list: &List| LISTS.iter().position(|name| *name == list.name).map_or(0, |at| at + 1);
        lists.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name)));
        Book { lists }
    }

    /// The model that a request's name means, and the list that has it. Only models with a price at that instant count.
    pub fn find(&self, model: &str, provider: &str, at: i64) -> Option<(&str, &Model)> {
        self.lists.iter().find_map(|list| list.find(model, provider, at).map(|model| (list.name.as_str(), model)))
    }

    /// How many models have prices.
    pub fn models(&self) -> usize {
        self.lists.iter().map(|list| list.models.len()).sum()
    }

    /// The price of one unit of a dimension, and what it is a price in.
    pub fn price(&self, ask: &Ask<'_>) -> Option<i128> {
        let provider = name::provider(ask.provider);
        let (_, model) = self.find(ask.model, &provider, ask.at)?;
        let tier = if ask.service_tier.is_empty() { STANDARD } else { ask.service_tier };
        let rates = super::rates::Rates::new(model, tier, ask.input_tokens, &provider, ask.at);
        rates.price(ask.dimension).map(|price| price.unit_price)
    }
}

/// Which price is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The model.
    pub model: &'a str,
    /// Its provider; empty for any.
    pub provider: &'a str,
    /// What is priced.
    pub dimension: &'a str,
    /// When.
    pub at: i64,
    /// In which tier; empty is standard.
    pub service_tier: &'a str,
    /// For a request with this many input tokens.
    pub input_tokens: i64,
}

impl List {
    fn new(name: String, models: HashMap<(String, String), (Model, Option<String>)>) -> List {
        let mut models: Vec<(Model, Option<String>)> = models.into_values().collect();
        models.sort_by(|(a, _), (b, _)| (&a.name, &a.provider).cmp(&(&b.name, &b.provider)));
        let mut list = List { name, ..List::default() };
        for (at, (model, pattern)) in models.into_iter().enumerate() {
            list.by_name.entry(model.name.to_lowercase()).or_default().push(at);
            // Patterns were proved when they were imported.
            list.patterns.extend(pattern.and_then(|text| Regex::new(&text).ok()).map(|pattern| (pattern, at)));
            list.models.push(model);
        }
        list
    }

    fn find(&self, model: &str, provider: &str, at: i64) -> Option<&Model> {
        let priced = |model: &Model| model.prices.values().flatten().any(|price| price.validity.holds(at));
        for candidate in name::candidates(model, provider) {
            let places = self.by_name.get(&candidate.to_lowercase()).map(Vec::as_slice).unwrap_or_default();
            let fitting = places.iter().map(|place| &self.models[*place]);
            let fitting: Vec<&Model> =
                fitting.filter(|found| name::provider_fits(&found.provider, provider) && priced(found)).collect();
            // Names are told apart by case only where both are there.
            let exact = fitting.iter().find(|found| found.name == candidate);
            if let Some(found) = exact.or(fitting.first()) {
                return Some(*found);
            }
        }
        let asked = [model.to_owned(), format!("{provider}/{model}")];
        let matches = |pattern: &Regex| asked.iter().any(|name| pattern.is_match(name));
        let matching = self.patterns.iter().filter(|(pattern, _)| matches(pattern));
        matching.map(|(_, place)| &self.models[*place]).find(|found| priced(found))
    }
}

/// The current edition of the book, shared by the functions and by what fills it.
#[derive(Debug)]
pub struct Prices {
    clock: Arc<dyn Clock>,
    book: RwLock<Arc<Book>>,
    exchange: RwLock<Arc<Exchange>>,
}

impl Prices {
    /// An empty book.
    pub fn new(clock: Arc<dyn Clock>) -> Prices {
        Prices { clock, book: RwLock::default(), exchange: RwLock::default() }
    }

    /// The current edition.
    pub fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The rates of exchange.
    pub fn exchange(&self) -> Arc<Exchange> {
        Arc::clone(&self.exchange.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The instant that a request without a date is priced at.
    pub fn now(&self) -> i64 {
        self.clock.now_us()
    }

    /// Puts another edition in its place.
    pub fn publish(&self, book: Book) {
        *self.book.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(book);
    }

    /// Reads the store's prices into a new edition.
    pub async fn load(&self, store: &Store) -> Result<()> {
        let status = store.status();
        let holds = |table: &str| status.tables.iter().any(|t| t.table == table && t.tail_rows + t.fragments > 0);
        if holds(MODEL_PRICE.name) {
            self.publish(Book::new(known(store).await?));
        }
        if holds(FX_RATE.name) {
            let rates = Arc::new(Exchange::load(store).await?);
            *self.exchange.write().unwrap_or_else(PoisonError::into_inner) = rates;
        }
        Ok(())
    }
}

/// Every price of every list that SQL's functions use.
pub async fn known(store: &Store) -> Result<Vec<ModelPrice>> {
    let scope = Scope::tenant(PRICE_TENANT, "prices");
    let question = Question::from("SELECT * FROM model_price");
    let answer = store.query(&scope, question, Limits::default()).await?;
    let mut prices = Vec::new();
    for batch in collect(answer.stream).await.map_err(from_datafusion)? {
        prices.extend(ModelPrice::read(&batch)?);
    }
    Ok(prices)
}
