//! Real FOCUS files: sums over the store equal exact sums over the text, and the totals that the README states.

use std::fs;
use std::path::Path;

use super::{Tally, arg, files};
use crate::harness::{Ground, csv_rows};

const COSTS: &[&str] = &["BilledCost", "EffectiveCost", "ListCost"];
/// Files of fewer rows are deliberately broken samples.
const ROWS_MIN: usize = 100;
const SCALE: u32 = 18;

pub fn run(suite: &Path) -> Option<Tally> {
    let mut tally = Tally::default();
    let readme = fs::read_to_string(suite.join("README.md")).unwrap_or_default();
    for file in files(suite, ".csv") {
        let rows = csv_rows(&fs::read_to_string(&file).unwrap_or_default());
        let Some((head, rows)) = rows.split_first().filter(|(_, rows)| rows.len() >= ROWS_MIN) else { continue };
        let mut sums = vec![("count".to_owned(), rows.len().to_string())];
        for cost in COSTS {
            let Some(at) = head.iter().position(|name| name == cost) else { continue };
            let total: i128 = rows.iter().map(|row| scaled(&row[at])).sum();
            sums.push(((*cost).to_owned(), text(total)));
            let stated = readme.split(&format!("{cost} ")).nth(1).and_then(|rest| rest.split([' ', ';']).next());
            if let Some(stated) = stated {
                tally.equal(&format!("{cost}: text and README"), &text(total), &text(scaled(stated)));
            }
        }
        // The typed copy of the same rows must give the same sums.
        let copies = [file.clone(), file.with_extension("parquet")];
        for path in copies.iter().filter(|path| path.exists()) {
            check(path, &sums, &mut tally);
        }
    }
    Some(tally)
}

fn check(path: &Path, sums: &[(String, String)], tally: &mut Tally) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let ground = Ground::new();
    let done = ground.run(&["ingest", "cost", arg(path)]);
    tally.case(&format!("{name}: ingested"), if done.code == Some(0) { Ok(()) } else { Err(done.stderr) });
    for (column, expected) in sums {
        let select = if column == "count" { "count(*)".to_owned() } else { format!("sum({column})") };
        let done = ground.run(&["sql", &format!("SELECT {select} FROM cost_line"), "--format", "csv"]);
        let got = csv_rows(&done.stdout).pop().and_then(|mut row| row.pop()).unwrap_or(done.stderr);
        let got = if column == "count" { got } else { text(scaled(&got)) };
        tally.equal(&format!("{name}: {select}"), &got, expected);
    }
}

/// A decimal text in units of 10^-18; empty and `NULL` are nothing.
fn scaled(decimal: &str) -> i128 {
    let (mantissa, exponent) = decimal.split_once(['e', 'E']).unwrap_or((decimal, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(digits) = format!("{whole}{fraction}").parse::<i128>() else { return 0 };
    let shift = i32::try_from(SCALE).expect("18") + exponent - i32::try_from(fraction.len()).expect("a short text");
    if shift >= 0 { digits * 10_i128.pow(shift.unsigned_abs()) } else { digits / 10_i128.pow(shift.unsigned_abs()) }
}

fn text(scaled: i128) -> String {
    let one = 10_i128.pow(SCALE);
    let sign = if scaled < 0 { "-" } else { "" };
    let text = format!("{sign}{}.{:018}", (scaled / one).abs(), (scaled % one).abs());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[test]
fn decimals_keep_every_digit() {
    assert_eq!(text(scaled("20.52022672899")), "20.52022672899");
    assert_eq!(text(scaled("1E-7") + scaled("-0.5")), "-0.4999999");
    assert_eq!(text(scaled("NULL")), "0");
}
