//! Providers' own exports: what the ledger holds of each equals what the rules make of its text, summed here exactly. And
//! FOCUS's worked corrections: both shapes come to the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ledger::decimal::parse;

use super::{Tally, arg, files};
use crate::harness::{Ground, csv_rows};

/// A row's cells by name, without what the two spellings of AWS's columns differ in.
type Cells = BTreeMap<String, String>;

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

fn rows(file: &Path) -> Vec<Cells> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let rows = csv_rows(text.trim_start_matches('\u{feff}'));
    let Some((head, rows)) = rows.split_first() else { return Vec::new() };
    let head: Vec<String> = head.iter().map(|name| plain(name)).collect();
    rows.iter().map(|row| head.iter().cloned().zip(row.iter().cloned()).collect()).collect()
}

fn units(cells: &Cells, name: &str) -> Option<i128> {
    parse(cells.get(name)?).ok().map(|number| number.units)
}

/// BilledCost and EffectiveCost by the rules; none where the rules know no such form.
fn costs(cells: &Cells) -> Option<(Option<i128>, Option<i128>)> {
    let of = |name: &str| units(cells, name);
    if let Some(kind) = cells.get("lineitemlineitemtype") {
        let billed = of("lineitemnetunblendedcost").or_else(|| of("lineitemunblendedcost"));
        let has_reservation = cells.get("reservationreservationarn").is_some_and(|arn| !arn.is_empty());
        let effective = match kind.as_str() {
            "SavingsPlanCoveredUsage" => of("savingsplansavingsplaneffectivecost"),
            "SavingsPlanRecurringFee" => of("savingsplantotalcommitmenttodate")
                .zip(of("savingsplanusedcommitment"))
                .map(|(all, used)| all - used),
            "SavingsPlanNegation" | "SavingsPlanUpfrontFee" => Some(0),
            "DiscountedUsage" => of("reservationeffectivecost"),
            "RIFee" => of("reservationunusedamortizedupfrontfeeforbillingperiod")
                .zip(of("reservationunusedrecurringfee"))
                .map(|(fee, recurring)| fee + recurring),
            "Fee" if has_reservation => Some(0),
            _ => of("lineitemunblendedcost"),
        };
        return Some((billed, effective));
    }
    if cells.contains_key("costmycost") {
        return Some((of("costmycostoverage"), of("costmycost")));
    }
    cells.get("costinbillingcurrency").map(|_| (of("costinbillingcurrency"), of("costinbillingcurrency")))
}

pub fn run(suite: &Path) -> Option<Tally> {
    let mut tally = Tally::default();
    for file in files(suite, ".csv") {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let rows = rows(&file);
        let Some(costs) = rows.iter().map(costs).collect::<Option<Vec<_>>>().filter(|costs| !costs.is_empty()) else {
            continue;
        };
        let ground = Ground::new();
        let done = ground.run(&["ingest", "cost", arg(&file)]);
        tally.case(&format!("{name}: ingested"), if done.code == Some(0) { Ok(()) } else { Err(done.stderr) });
        let sum = |of: fn(&(Option<i128>, Option<i128>)) -> Option<i128>| -> String {
            let known: Vec<i128> = costs.iter().filter_map(of).collect();
            if known.is_empty() { String::new() } else { ledger::decimal::text(known.iter().sum()) }
        };
        let expected = vec![rows.len().to_string(), sum(|cost| cost.0), sum(|cost| cost.1)];
        let asked = ground.run(&[
            "sql",
            "SELECT count(*), sum(BilledCost), sum(EffectiveCost) FROM cost_line",
            "--format",
            "csv",
        ]);
        let got = csv_rows(&asked.stdout).pop().unwrap_or_default();
        tally.equal(&name, &got, &expected);
        let empty = ground.run(&["sql", "SELECT count(*) FROM cost_line WHERE ChargePeriodStart IS NULL OR ServiceName IS NULL OR BillingCurrency IS NULL OR BillingPeriodStart IS NULL", "--format", "csv"]);
        tally.equal(&format!("{name}: times, service and currency"), &empty.stdout.trim(), &"count(*)\n0".trim());
    }
    Some(tally)
}

/// An original with its correction as ledger, and with the same as delta, in either order.
pub fn corrections(suite: &Path) -> Option<Tally> {
    let mut tally = Tally::default();
    for original in files(suite, "_original.csv") {
        let mut answers = BTreeMap::new();
        for shape in ["ledger", "delta"] {
            let other = original.display().to_string().replace("_original.csv", &format!("_{shape}.csv"));
            if !Path::new(&other).exists() {
                continue;
            }
            for (order, files) in [("after", [arg(&original), &other]), ("before", [&other, arg(&original)])] {
                let ground = Ground::new();
                for file in files {
                    let done = ground.run(&["ingest", "cost", file]);
                    let came = if done.code == Some(0) { Ok(()) } else { Err(done.stderr) };
                    tally.case(&format!("{shape} {order}: ingested"), came);
                }
                let sql = "SELECT ResourceId, sum(BilledCost), sum(EffectiveCost), sum(ListCost), sum(PricingQuantity) FROM cost_line GROUP BY 1 ORDER BY 1";
                answers.insert(format!("{shape} {order}"), ground.ask(sql));
            }
        }
        let first = answers.values().next().cloned().unwrap_or_default();
        for (name, answer) in &answers {
            tally.equal(name, answer, &first);
        }
    }
    Some(tally)
}
