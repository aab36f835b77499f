//! What an import changes. Decided purely: known prices and imported ones in, rows to write out. Nothing is written where
//! anything is wrong.

use std::collections::{HashMap, HashSet};

use engine::{Error, Result};

/// When a price is good, in microseconds since 1970; the end is excluded, and there is none while it is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From here on.
    pub from: i64,
    /// Until here.
    pub to: Option<i64>,
}

impl Validity {
    /// Whether an instant is in it.
    pub fn holds(&self, at: i64) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }
}

/// A price with its validity.
pub trait Dated: Clone {
    /// What has one price at any time, for people to read.
    fn identity(&self) -> String;
    /// What an import replaces as a whole: all prices of one model.
    fn group(&self) -> String;
    /// Whether the other row says the same, its validity aside.
    fn agrees(&self, other: &Self) -> bool;
    /// When it is good.
    fn validity(&mut self) -> &mut Validity;
    /// The price in units of 10⁻¹⁸, and its currency.
    fn price(&self) -> (i128, &str);
}

/// What an import comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<T> {
    /// Rows to write, closed and opened ones.
    pub rows: Vec<T>,
    /// Prices that are new or changed.
    pub opened: usize,
    /// Prices whose validity ends.
    pub closed: usize,
    /// Prices that stay as they are.
    pub unchanged: usize,
    /// Models that are known and no longer in the list; their prices stay.
    pub absent: usize,
}

/// What importing `imported` at the instant `at` changes of what is known of the same list. All prices of a model that
/// the list names are replaced by the list's; models that it does not name stay.
pub fn change<T: Dated>(known: &[T], imported: Vec<T>, at: i64) -> Result<Change<T>> {
    let mut change = Change { rows: Vec::new(), opened: 0, closed: 0, unchanged: 0, absent: 0 };
    let mut open: HashMap<String, T> = HashMap::new();
    let mut last_end: HashMap<String, i64> = HashMap::new();
    for price in known {
        let (mut price, identity) = (price.clone(), price.identity());
        match price.validity().to {
            None => drop(open.insert(identity, price)),
            Some(to) => {
                let end = last_end.entry(identity).or_insert(to);
                *end = to.max(*end);
            }
        }
    }
    let mut seen = HashSet::new();
    let mut groups = HashSet::new();
    for mut price in imported {
        let identity = price.identity();
        check(&price, &identity)?;
        if !seen.insert(identity.clone()) {
            return Err(Error::invalid(format!("the price of {identity} stands there twice")));
        }
        groups.insert(price.group());
        if last_end.get(&identity).is_some_and(|end| *end > at) {
            return Err(overlap(&identity));
        }
        let before = open.remove(&identity);
        if before.as_ref().is_some_and(|before| before.agrees(&price)) {
            change.unchanged += 1;
            continue;
        }
        if let Some(before) = before {
            change.close(before, &identity, at, true)?;
        }
        *price.validity() = Validity { from: at, to: None };
        change.rows.push(price);
        change.opened += 1;
    }
    let mut absent = HashSet::new();
    for (identity, left) in open {
        let group = left.group();
        if groups.contains(&group) {
            change.close(left, &identity, at, false)?;
        } else {
            absent.insert(group);
        }
    }
    change.absent = absent.len();
    Ok(change)
}

impl<T: Dated> Change<T> {
    /// Ends the validity of a price. One that began at this very instant is replaced by its successor: that has its key.
    fn close(&mut self, mut price: T, identity: &str, at: i64, succeeded: bool) -> Result<()> {
        let from = price.validity().from;
        if from > at {
            return Err(overlap(identity));
        }
        price.validity().to = Some(at);
        if from < at || !succeeded {
            self.rows.push(price);
        }
        self.closed += 1;
        Ok(())
    }
}

fn overlap(identity: &str) -> Error {
    Error::invalid(format!(
        "the price of {identity} changed after the date of this import, so two validities would overlap; give a later --valid-from"
    ))
}

fn check<T: Dated>(price: &T, identity: &str) -> Result<()> {
    let (units, currency) = price.price();
    if units < 0 {
        return Err(Error::invalid(format!("the price of {identity} is negative")));
    }
    if !crate::exchange::is_currency(currency) {
        return Err(Error::invalid(format!("the price of {identity} is in {currency:?}, which is no ISO 4217 code")));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Price(&'static str, i128, Validity);

    impl Dated for Price {
        fn identity(&self) -> String {
            self.0.to_owned()
        }
        fn group(&self) -> String {
            self.0.split('.').next().unwrap().to_owned()
        }
        fn agrees(&self, other: &Self) -> bool {
            self.1 == other.1
        }
        fn validity(&mut self) -> &mut Validity {
            &mut self.2
        }
        fn price(&self) -> (i128, &str) {
            (self.1, "USD")
        }
    }

    fn price(name: &'static str, units: i128, from: i64, to: Option<i64>) -> Price {
        Price(name, units, Validity { from, to })
    }

    fn new(name: &'static str, units: i128) -> Price {
        price(name, units, 0, None)
    }

    /// The rows that an import at 10 writes, sorted; or the error's text.
    fn check(known: &[Price], imported: &[Price], expected: Result<&[Price], &str>) {
        match (change(known, imported.to_vec(), 10), expected) {
            (Ok(change), Ok(expected)) => {
                let mut rows = change.rows;
                rows.sort_by_key(|row| (row.0, row.2.from));
                assert_eq!(rows, expected);
            }
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (got, expected) => panic!("{got:?} is not {expected:?}"),
        }
    }

    #[test]
    fn a_changed_price_closes_the_old_row_and_an_unchanged_one_adds_nothing() {
        check(&[], &[new("a.in", 1)], Ok(&[price("a.in", 1, 10, None)]));
        check(&[price("a.in", 1, 0, None)], &[new("a.in", 1)], Ok(&[]));
        let changed = [price("a.in", 1, 0, Some(10)), price("a.in", 2, 10, None)];
        check(&[price("a.in", 1, 0, None)], &[new("a.in", 2)], Ok(&changed));
        check(&[price("a.in", 1, 10, None)], &[new("a.in", 2)], Ok(&[price("a.in", 2, 10, None)]));
    }

    #[test]
    fn a_model_is_replaced_as_a_whole_and_models_that_are_not_named_stay() {
        let known = [price("a.in", 1, 0, None), price("a.out", 1, 0, None), price("b.in", 1, 0, None)];
        check(&known, &[new("a.in", 1)], Ok(&[price("a.out", 1, 0, Some(10))]));
        assert_eq!(change(&known, vec![new("a.in", 1)], 10).unwrap().absent, 1);
    }

    #[test]
    fn what_is_wrong_changes_nothing() {
        check(&[], &[new("a.in", 1), new("a.in", 2)], Err("twice"));
        check(&[], &[new("a.in", -1)], Err("negative"));
        check(&[price("a.in", 1, 20, None)], &[new("a.in", 2)], Err("overlap"));
        check(&[price("a.in", 1, 0, Some(20))], &[new("a.in", 2)], Err("overlap"));
    }
}
