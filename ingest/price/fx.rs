//! Rates of exchange: a CSV of `date,from,to,rate`, or the European Central Bank's own, a line a day with a column for each
//! currency that one euro is worth.

use engine::{Error, Result};
use ledger::decimal;
use ledger::exchange::{FxRate, is_currency};

use super::PriceList;

/// The list that the European Central Bank's file becomes without another name.
pub const ECB: &str = "ecb";
const EURO: &str = "EUR";
/// Names of columns, ours first.
const DATE: &[&str] = &["date", "valid_from", "day"];
const FROM: &[&str] = &["from", "from_currency", "base", "base_currency"];
const TO: &[&str] = &["to", "to_currency", "quote", "currency", "quote_currency"];
const RATE: &[&str] = &["rate", "exchange_rate", "value"];

fn header(text: &str) -> Vec<String> {
    let line = text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default();
    line.split([',', ';']).map(|name| name.trim().trim_matches('"').to_lowercase()).collect()
}

fn place(header: &[String], names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| header.iter().position(|column| column == name))
}

/// The European Central Bank's: a date, and currencies.
fn is_ecb(header: &[String]) -> bool {
    let currencies = header.iter().filter(|name| is_currency(&name.to_uppercase())).count();
    header.first().is_some_and(|name| DATE.contains(&name.as_str())) && currencies > 0 && place(header, RATE).is_none()
}

/// Whether a text is a file of rates.
pub fn is_rates(text: &str) -> bool {
    let header = header(text);
    let named = [DATE, FROM, TO, RATE].iter().all(|names| place(&header, names).is_some());
    named || is_ecb(&header)
}

/// Reads the rates.
pub fn read(text: &str, list: &str) -> Result<PriceList> {
    let header = header(text);
    let separator = if text.lines().next().unwrap_or_default().contains(';') { b';' } else { b',' };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator).trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let mut found = PriceList::default();
    for (at, record) in reader.records().enumerate() {
        let line = at + 2;
        let record = record.map_err(|e| Error::invalid(format!("line {line}: {e}")))?;
        let cell = |column: usize| record.get(column).unwrap_or_default();
        let mut add = |from: &str, to: &str, day: &str, text: &str| -> Result<()> {
            let wrong = |why: &str| Error::invalid(format!("line {line}: {text:?} {why}"));
            let number = decimal::parse(text).map_err(wrong)?;
            let rate = FxRate {
                rate_list: list.to_owned(),
                from: from.to_uppercase(),
                to: to.to_uppercase(),
                rate: number.units,
                valid_from: instant(day).ok_or_else(|| Error::invalid(format!("line {line}: {day:?} is no date")))?,
                raw: (!number.exact).then(|| text.to_owned()),
            };
            rate.check().map_err(|e| e.context(&format!("line {line}")))?;
            found.rates.push(rate);
            Ok(())
        };
        if is_ecb(&header) {
            for (column, name) in header.iter().enumerate().skip(1).filter(|(_, name)| !name.is_empty()) {
                // A currency that has no rate on a day is written so.
                if !matches!(cell(column), "" | "N/A" | "-") {
                    add(EURO, name, cell(0), cell(column))?;
                }
            }
            continue;
        }
        let at = |names: &[&str]| place(&header, names).map(cell).unwrap_or_default();
        add(at(FROM), at(TO), at(DATE), at(RATE))?;
    }
    let mut days: Vec<_> = found.rates.iter().map(|r| (&r.from, &r.to, r.valid_from)).collect();
    days.sort_unstable();
    if let Some(twice) = days.windows(2).find(|pair| pair[0] == pair[1]) {
        let (from, to, _) = twice[0];
        return Err(Error::invalid(format!("the rate from {from} to {to} stands there twice for one day")));
    }
    Ok(found)
}

/// `2026-10-01`, `01 October 2026` as the bank's daily file writes it, or an instant with its zone.
fn instant(text: &str) -> Option<i64> {
    let day = ["%Y-%m-%d", "%d %B %Y", "%d %b %Y"]
        .iter()
        .find_map(|form| chrono::NaiveDate::parse_from_str(text, form).ok())
        .map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc());
    let at = day.or_else(|| chrono::DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc()));
    at.map(|at| at.timestamp_micros())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let rates = read(text, "t").unwrap().rates;
        rates
            .iter()
            .map(|r| format!("{} {} {} {}", r.from, r.to, decimal::text(r.rate), r.valid_from / 86_400_000_000))
            .collect()
    }

    #[test]
    fn rates_are_read_in_both_forms() {
        let ours = "date,from,to,rate\n1970-01-02,eur,USD,1.25\n";
        let bank = "Date, USD, JPY, CHF, \n02 January 1970, 1.25, N/A, 0.9, \n";
        assert!(is_rates(ours) && is_rates(bank));
        assert_eq!(shown(ours), ["EUR USD 1.25 1"]);
        assert_eq!(shown(bank), ["EUR USD 1.25 1", "EUR CHF 0.9 1"]);
        assert!(!is_rates("a,b\n") && !is_rates("{}"));
    }

    #[test]
    fn what_is_wrong_changes_nothing() {
        for (wrong, why) in [
            ("date,from,to,rate\n2026-10-01,EUR,USD,-1\n", "above zero"),
            ("date,from,to,rate\n2026-10-01,EUR,XYQ,1\n", "ISO 4217"),
            ("date,from,to,rate\nsoon,EUR,USD,1\n", "no date"),
            ("date,from,to,rate\n2026-10-01,EUR,USD,much\n", "line 2"),
            ("date,from,to,rate\n2026-10-01,EUR,USD,1\n2026-10-01,EUR,USD,2\n", "twice"),
        ] {
            let error = read(wrong, "t").unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
