//! What a budget counts in, and how much of it: whole numbers of a fixed unit, never floats. Money is counted in 10⁻⁹ of
//! its currency, tokens and requests one by one.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use engine::{Error, Result};

use crate::decimal;
use crate::focus::values::CURRENCIES;

/// Units of money in one of its currency.
pub const NANO: i64 = 1_000_000_000;
/// The ledger's decimals in one unit of money.
const DECIMALS_A_NANO: i128 = decimal::ONE / NANO as i128;
/// More units than this are refused: sums of a few stay far from the end of an `i64`.
pub const UNITS_MAX: i64 = i64::MAX / 8;
/// Word for tokens.
const TOKENS: &str = "tokens";
/// Word for requests.
const REQUESTS: &str = "requests";

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// Money, in units of 10⁻⁹ of the currency.
    Money(Arc<str>),
    /// Tokens of a model.
    Tokens,
    /// Requests.
    Requests,
}

impl Unit {
    /// Units in one whole: how many make `1`.
    pub fn scale(&self) -> i64 {
        if matches!(self, Unit::Money(_)) { NANO } else { 1 }
    }

    /// The units of a decimal text, exactly; the error is a sentence about the text.
    pub fn exact(&self, text: &str) -> Result<i64> {
        let (units, exact) = self.units(text)?;
        match (exact, self) {
            (true, _) => Ok(units),
            (false, Unit::Money(_)) => Err(Error::invalid(format!("{text:?} has more than 9 decimals"))),
            (false, _) => Err(Error::invalid(format!("{text:?} is not a whole number of {self}"))),
        }
    }

    /// The units of a decimal text, rounded up to the next one: what is charged is never less than what was used.
    pub fn at_least(&self, text: &str) -> Result<i64> {
        self.units(text).map(|(units, exact)| units + i64::from(!exact))
    }

    /// The units below or at the number, and whether they are all of it.
    fn units(&self, text: &str) -> Result<(i64, bool)> {
        let number = decimal::parse(text).map_err(|why| Error::invalid(format!("{text:?} {why}")))?;
        let divisor = if matches!(self, Unit::Money(_)) { DECIMALS_A_NANO } else { decimal::ONE };
        if number.units < 0 {
            return Err(Error::invalid(format!("{text:?} is negative")));
        }
        let units = i64::try_from(number.units / divisor).ok().filter(|units| *units <= UNITS_MAX);
        let units = units.ok_or_else(|| Error::invalid(format!("{text:?} is more than can be counted in {self}")))?;
        Ok((units, number.exact && number.units % divisor == 0))
    }

    /// Units as a plain decimal.
    pub fn text(&self, units: i64) -> String {
        match self {
            Unit::Money(_) => decimal::text(i128::from(units) * DECIMALS_A_NANO),
            Unit::Tokens | Unit::Requests => units.to_string(),
        }
    }
}

impl FromStr for Unit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.trim() {
            word if word.eq_ignore_ascii_case(TOKENS) => Ok(Unit::Tokens),
            word if word.eq_ignore_ascii_case(REQUESTS) => Ok(Unit::Requests),
            code if CURRENCIES.contains(&code) => Ok(Unit::Money(code.into())),
            other => Err(Error::invalid(format!(
                "{other:?} is no unit: an ISO 4217 currency in capitals (USD, EUR …), tokens and requests are"
            ))),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Money(code) => code,
            Unit::Tokens => TOKENS,
            Unit::Requests => REQUESTS,
        })
    }
}

/// How much of each unit one request takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Amounts(BTreeMap<Unit, i64>);

impl Amounts {
    /// From words and decimal texts: `{"USD": "0.05", "tokens": "1200"}`. What is not whole is rounded up.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Amounts> {
        let mut amounts = BTreeMap::new();
        for (unit, text) in pairs {
            let unit: Unit = unit.parse()?;
            let units = unit.at_least(text).map_err(|e| e.context(&format!("the amount in {unit}")))?;
            if amounts.insert(unit.clone(), units).is_some() {
                return Err(Error::invalid(format!("the amount in {unit} stands there twice")));
            }
        }
        Ok(Amounts(amounts))
    }

    /// The same with so many units.
    pub fn with(mut self, unit: Unit, units: i64) -> Self {
        self.0.insert(unit, units);
        self
    }

    /// Units of one kind. A request is one request where it does not say otherwise.
    pub fn of(&self, unit: &Unit) -> Option<i64> {
        self.0.get(unit).copied().or_else(|| (*unit == Unit::Requests).then_some(1))
    }

    /// As a JSON object of texts, the form in which it is stored.
    pub fn json(&self) -> String {
        let map = self.0.iter().map(|(unit, units)| (unit.to_string(), serde_json::Value::from(unit.text(*units))));
        serde_json::Value::Object(map.collect()).to_string()
    }

    /// What [`Amounts::json`] wrote.
    pub fn stored(text: &str) -> Result<Amounts> {
        let map: BTreeMap<String, String> = serde_json::from_str(text)
            .map_err(|e| Error::new(engine::Kind::Corrupt, format!("stored amounts: {e}")))?;
        Amounts::parse(map.iter().map(|(unit, text)| (unit.as_str(), text.as_str())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(unit: &str, text: &str, exact: Option<i64>, at_least: Option<i64>) {
        let unit: Unit = unit.parse().unwrap();
        assert_eq!((unit.exact(text).ok(), unit.at_least(text).ok()), (exact, at_least), "{text} {unit}");
    }

    #[test]
    fn amounts_are_exact_or_rounded_up() {
        check("USD", "1000", Some(1_000 * NANO), Some(1_000 * NANO));
        check("USD", "0.000000001", Some(1), Some(1));
        check("USD", "0.0000000375", None, Some(38));
        check("USD", "0.00000000000000000000001", None, Some(1));
        check("USD", "-1", None, None);
        check("USD", "ten", None, None);
        check("USD", "99999999999", None, None);
        check("tokens", "1200", Some(1_200), Some(1_200));
        check("tokens", "1.5", None, Some(2));
        check("requests", "1", Some(1), Some(1));
    }

    #[test]
    fn units_are_known_or_refused() {
        for word in ["usd", "XXQ", "", "dollars", "request"] {
            assert!(word.parse::<Unit>().is_err(), "{word}");
        }
        let amounts = Amounts::parse([("EUR", "1.50"), ("tokens", "7")]).unwrap();
        assert_eq!(amounts.of(&"EUR".parse().unwrap()), Some(3 * NANO / 2));
        assert_eq!((amounts.of(&Unit::Requests), amounts.of(&"USD".parse().unwrap())), (Some(1), None));
        assert_eq!(Amounts::stored(&amounts.json()).unwrap(), amounts);
        assert_eq!("EUR".parse::<Unit>().unwrap().text(3 * NANO / 2), "1.5");
    }
}
