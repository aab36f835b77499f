//! Dated rates of exchange: one currency becomes another by the rate of its day, exactly, or not at all. Sums over several
//! currencies do not exist here: views split by currency, and whoever wants one currency says which with `fx`.

mod function;

use std::collections::{BTreeMap, HashMap};

use engine::{Column, Error, Result, Rows, Scope, Store, Table, Type, Value};

use crate::answer::{Answer, text};
use crate::decimal::scaled;
use crate::focus::values::CURRENCIES;
use crate::price::PRICE_TENANT;

pub use function::functions;

/// Rates of exchange.
pub static FX_RATE: Table = Table {
    key: &["rate_list", "from_currency", "to_currency", "valid_from"],
    time: "valid_from",
    ..Table::new(
        "fx_rate",
        "Rates of exchange: what one unit of a currency is worth in another, from a day on until the next rate of the same list. `fx(amount, from, to, at)` converts by them.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the rate; SQL's function uses those of `default`.").required(),
            Column::new(
                "rate_list",
                Type::Name,
                "The list that it comes from: `ecb`, or the name given at the import.",
            )
            .required(),
            Column::new("from_currency", Type::Name, "ISO 4217 code of what is converted.").required(),
            Column::new("to_currency", Type::Name, "ISO 4217 code of what it becomes.").required(),
            Column::new("rate", Type::Decimal, "One unit of the first is this much of the second.").required(),
            Column::new("valid_from", Type::Time, "The rate is good from here on, until the next one.").required(),
            Column::new("x_raw", Type::Text, "The rate as the list writes it, where it has more than 18 decimals."),
        ],
    )
};

/// Currencies through which two others are converted that no list names together, in this order.
const PIVOTS: &[&str] = &["EUR", "USD", "GBP", "CHF"];

/// One row of [`FX_RATE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FxRate {
    /// The list.
    pub rate_list: String,
    /// What is converted.
    pub from: String,
    /// What it becomes.
    pub to: String,
    /// In units of 10⁻¹⁸.
    pub rate: i128,
    /// Microseconds since 1970.
    pub valid_from: i64,
    /// The rate as written, where the decimal is not exact.
    pub raw: Option<String>,
}

impl FxRate {
    /// Refuses what is no rate: between the same or unknown currencies, or not above zero.
    pub fn check(&self) -> Result<()> {
        let pair = format!("the rate from {:?} to {:?}", self.from, self.to);
        for currency in [&self.from, &self.to] {
            if !is_currency(currency) {
                return Err(Error::invalid(format!("{pair}: {currency:?} is no ISO 4217 code")));
            }
        }
        if self.from == self.to {
            return Err(Error::invalid(format!("{pair} is between one and the same currency")));
        }
        if self.rate <= 0 {
            return Err(Error::invalid(format!("{pair} is not above zero")));
        }
        Ok(())
    }

    /// Writes the row.
    pub fn write(&self, tenant: &str, rows: &mut Rows) -> Result<()> {
        rows.set("tenant", tenant)
            .set("rate_list", self.rate_list.as_str())
            .set("from_currency", self.from.as_str())
            .set("to_currency", self.to.as_str())
            .set("rate", Value::Decimal(self.rate))
            .set("valid_from", Value::Time(self.valid_from))
            .set("x_raw", self.raw.as_deref());
        rows.end_row()
    }
}

/// Whether a text is a currency's code.
pub fn is_currency(code: &str) -> bool {
    CURRENCIES.contains(&code)
}

/// Reads the rates of a tenant; of one list, or of all.
pub async fn known(store: &Store, tenant: &str, list: Option<&str>) -> Result<Vec<FxRate>> {
    let scope = Scope::tenant(tenant, "fx rates");
    let condition = if list.is_some() { "WHERE rate_list = $1" } else { "" };
    let sql = format!("SELECT rate_list, from_currency, to_currency, rate, valid_from, x_raw FROM fx_rate {condition}");
    let params: Vec<String> = list.map(str::to_owned).into_iter().collect();
    let answer = Answer::of(store, &scope, sql, &params).await?;
    let (lists, from, to) = (answer.texts("rate_list")?, answer.texts("from_currency")?, answer.texts("to_currency")?);
    let (rates, since, raw) = (answer.decimals("rate")?, answer.times("valid_from")?, answer.texts("x_raw")?);
    let rate = |at: usize| FxRate {
        rate_list: text(&lists, at),
        from: text(&from, at),
        to: text(&to, at),
        rate: rates.value(at),
        valid_from: since.value(at),
        raw: Some(text(&raw, at)).filter(|raw| !raw.is_empty()),
    };
    Ok((0..answer.rows()).map(rate).collect())
}

/// Every rate, by the two currencies and day; asked once a row, so a look-up allocates nothing.
#[derive(Debug, Default)]
pub struct Exchange {
    pairs: HashMap<String, HashMap<String, BTreeMap<i64, i128>>>,
}

/// A rate as a fraction, so that an inverse is not rounded before it is used.
#[derive(Debug, Clone, Copy)]
struct Fraction {
    over: i128,
    under: i128,
}

impl Exchange {
    /// The book of these rates. Where several lists have a rate of one day, the list that comes first by name says it.
    pub fn new(mut rates: Vec<FxRate>) -> Exchange {
        rates.sort_by(|a, b| b.rate_list.cmp(&a.rate_list));
        let mut exchange = Exchange::default();
        for rate in rates {
            let days = exchange.pairs.entry(rate.from).or_default().entry(rate.to).or_default();
            days.insert(rate.valid_from, rate.rate);
        }
        exchange
    }

    /// The book of the store's rates.
    pub async fn load(store: &Store) -> Result<Exchange> {
        Ok(Exchange::new(known(store, PRICE_TENANT, None).await?))
    }

    /// An amount in another currency, by the rates of an instant; `None` where there is no rate, or too many digits.
    pub fn convert(&self, amount: i128, from: &str, to: &str, at: i64) -> Option<i128> {
        if from == to {
            return Some(amount);
        }
        if let Some(rate) = self.fraction(from, to, at) {
            return scaled(amount, rate.over, rate.under);
        }
        PIVOTS.iter().filter(|pivot| **pivot != from && **pivot != to).find_map(|pivot| {
            let (first, second) = (self.fraction(from, pivot, at)?, self.fraction(pivot, to, at)?);
            // Rates of one list go out from one currency: then one rounding is enough.
            match first.over == crate::decimal::ONE && second.under == crate::decimal::ONE {
                true => scaled(amount, second.over, first.under),
                false => scaled(scaled(amount, first.over, first.under)?, second.over, second.under),
            }
        })
    }

    fn fraction(&self, from: &str, to: &str, at: i64) -> Option<Fraction> {
        let newest = |from: &str, to: &str| {
            let rates = self.pairs.get(from)?.get(to)?;
            rates.range(..=at).next_back().map(|(_, rate)| *rate)
        };
        let one = crate::decimal::ONE;
        let direct = newest(from, to).map(|rate| Fraction { over: rate, under: one });
        direct.or_else(|| newest(to, from).map(|rate| Fraction { over: one, under: rate }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::decimal::{self, ONE};

    fn rate(from: &str, to: &str, rate: &str, day: i64) -> FxRate {
        FxRate {
            rate_list: "ecb".to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            rate: decimal::parse(rate).unwrap().units,
            valid_from: day,
            raw: None,
        }
    }

    #[test]
    fn amounts_are_converted_by_the_rate_of_their_day() {
        let book = Exchange::new(vec![
            rate("EUR", "USD", "1.25", 10),
            rate("EUR", "USD", "1.5", 20),
            rate("EUR", "CHF", "0.75", 10),
        ]);
        let check = |amount: &str, from, to, at, expected: Option<&str>| {
            let got = book.convert(decimal::parse(amount).unwrap().units, from, to, at).map(decimal::text);
            assert_eq!(got.as_deref(), expected, "{amount} {from} {to} {at}");
        };
        check("100", "EUR", "USD", 10, Some("125"));
        check("100", "EUR", "USD", 25, Some("150"));
        check("125", "USD", "EUR", 19, Some("100"));
        check("100", "USD", "EUR", 20, Some("66.666666666666666667"));
        check("125", "USD", "CHF", 15, Some("75"));
        check("7", "USD", "USD", 0, Some("7"));
        check("100", "EUR", "USD", 9, None);
        check("100", "EUR", "JPY", 20, None);
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for (wrong, why) in [
            (rate("EUR", "EUR", "1", 0), "same currency"),
            (rate("EUR", "XXQ", "1", 0), "ISO 4217"),
            (rate("EUR", "USD", "0", 0), "above zero"),
            (rate("EUR", "USD", "-1", 0), "above zero"),
        ] {
            assert!(wrong.check().unwrap_err().to_string().contains(why), "{wrong:?}");
        }
        assert!(rate("EUR", "USD", "1.1", 0).check().is_ok());
        assert_eq!(Exchange::default().convert(ONE, "EUR", "USD", 0), None);
    }
}
