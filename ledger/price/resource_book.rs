//! Which price a machine, a volume or a balancer pays: of the prices that hold on its day, the one that speaks of it most
//! precisely.

use engine::datafusion::physical_plan::common::collect;
use engine::sql::session::from_datafusion;
use engine::{Limits, Question, Result, Scope, Store};

use super::PRICE_TENANT;
use super::resource_price::ResourcePrice;

/// The public list, which is asked behind lists that somebody made himself.
const PUBLIC: &str = "opencost";

/// What a price is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    /// Region of the machine; empty if unknown.
    pub region: &'a str,
    /// Its type.
    pub instance_type: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its id at the cloud.
    pub provider_id: &'a str,
    /// Its labels.
    pub labels: Option<&'a std::collections::BTreeMap<String, String>>,
}

impl About<'_> {
    fn field(&self, field: &str) -> Option<&str> {
        match field {
            "metadata.name" | "name" => Some(self.name),
            "spec.providerID" | "providerID" => Some(self.provider_id),
            _ => {
                let label = field.strip_prefix("metadata.labels.").unwrap_or(field);
                self.labels?.get(label).map(String::as_str)
            }
        }
    }
}

/// Every price of resources.
#[derive(Debug, Clone, Default)]
pub struct ResourceBook {
    prices: Vec<ResourcePrice>,
}

impl ResourceBook {
    /// A book of these prices.
    pub fn new(mut prices: Vec<ResourcePrice>) -> ResourceBook {
        prices.sort_by_key(|price| (price.price_list == PUBLIC, price.price_list.clone()));
        ResourceBook { prices }
    }

    /// The book of the store's prices.
    pub async fn load(store: &Store) -> Result<ResourceBook> {
        let scope = Scope::tenant(PRICE_TENANT, "prices");
        let answer = store.query(&scope, Question::from("SELECT * FROM resource_price"), Limits::default()).await?;
        let mut prices = Vec::new();
        for batch in collect(answer.stream).await.map_err(from_datafusion)? {
            prices.extend(ResourcePrice::read(&batch)?);
        }
        Ok(ResourceBook::new(prices))
    }

    /// The price of a resource at an instant; a price of nothing is none.
    pub fn price(&self, resource: &str, about: &About<'_>, at: i64) -> Option<&ResourcePrice> {
        let holds =
            |price: &&ResourcePrice| price.resource == resource && price.validity.holds(at) && price.unit_price > 0;
        let fitting = self.prices.iter().filter(holds).filter_map(|price| Some((precision(price, about)?, price)));
        // Of equals the first: `max_by_key` would take the last.
        fitting
            .fold(None, |best: Option<(u8, &ResourcePrice)>, (precision, price)| match best {
                Some((before, _)) if before >= precision => best,
                _ => Some((precision, price)),
            })
            .map(|(_, price)| price)
    }

    /// The instants inside a window at which some price changes, in order.
    pub fn changes(&self, window: (i64, i64)) -> Vec<i64> {
        let ends = self.prices.iter().flat_map(|price| [Some(price.validity.from), price.validity.to]);
        let mut inside: Vec<i64> = ends.flatten().filter(|at| window.0 < *at && *at < window.1).collect();
        inside.sort_unstable();
        inside.dedup();
        inside
    }
}

/// How precisely a price speaks of what is asked for; none if it speaks of something else.
fn precision(price: &ResourcePrice, about: &About<'_>) -> Option<u8> {
    let fits = |own: &str, asked: &str| own.is_empty() || own.eq_ignore_ascii_case(asked);
    if !fits(&price.region, about.region) || !fits(&price.instance_type, about.instance_type) {
        return None;
    }
    if let Some((field, value)) = price.selector.split_once('=') {
        about.field(field).filter(|own| *own == value)?;
    }
    let weight = |text: &str, weight: u8| if text.is_empty() { 0 } else { weight };
    Some(weight(&price.selector, 4) + weight(&price.instance_type, 2) + weight(&price.region, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::Validity;

    fn price(list: &str, region: &str, instance_type: &str, selector: &str, units: i128) -> ResourcePrice {
        ResourcePrice {
            price_list: list.to_owned(),
            provider: String::new(),
            resource: "cpu".to_owned(),
            region: region.to_owned(),
            instance_type: instance_type.to_owned(),
            selector: selector.to_owned(),
            unit: "core-hour".to_owned(),
            unit_price: units,
            currency: "USD".to_owned(),
            validity: Validity { from: 10, to: None },
            key: None,
            raw: None,
        }
    }

    #[test]
    fn the_most_precise_price_is_paid_and_own_lists_come_first() {
        let book = ResourceBook::new(vec![
            price("opencost", "", "", "", 1),
            price("ours", "", "", "", 2),
            price("opencost", "eu", "", "", 3),
            price("opencost", "", "big", "", 4),
            price("opencost", "", "", "metadata.labels.pool=gold", 5),
            price("opencost", "", "", "spec.providerID=p", 0),
        ]);
        let labels = [("pool".to_owned(), "gold".to_owned())].into();
        let paid = |about: &About<'_>, at: i64| book.price("cpu", about, at).map(|price| price.unit_price);
        assert_eq!(paid(&About::default(), 10), Some(2));
        assert_eq!(paid(&About::default(), 9), None);
        assert_eq!(paid(&About { region: "EU", ..About::default() }, 10), Some(3));
        assert_eq!(paid(&About { region: "eu", instance_type: "big", ..About::default() }, 10), Some(4));
        assert_eq!(paid(&About { labels: Some(&labels), ..About::default() }, 10), Some(5));
        assert_eq!(paid(&About { provider_id: "p", ..About::default() }, 10), Some(2));
        assert_eq!(book.changes((0, 100)), [10]);
    }
}
