//! `stellwerk cost showback`: what a tenant costs in a month and why, as a document for the people who caused it. Every
//! figure is a question to a view, asked in the tenant's own scope.

mod section;

use clap::{Args, ValueEnum};
use engine::{Error, Kind, Result};
use ledger::rewrite::instant;

use super::super::exit::Exit;
use super::super::place::Place;
use super::super::print;
use super::month;
use super::rows::{Told, ask, csv_cell};
use crate::reach::{Reach, reach};
use section::SECTIONS;

const AFTER: &str = "\
Amounts of several currencies are never added: each currency has lines of its own. CSV has a line for each figure; JSON has
every amount exact, as text.

Examples:
  stellwerk cost showback --tenant shop --month 2026-10 --data ./data
  stellwerk cost showback --month 2026-10 --format csv --data ./data > showback.csv";

/// Show a tenant what it costs and why, a month at a time.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Showback {
    /// The tenant; without it, every tenant that has charges in the month, one behind the other.
    #[arg(long, value_name = "TENANT", env = "STELLWERK_TENANT")]
    tenant: Option<String>,
    /// The billing period; without it, the last one that has charges.
    #[arg(long, value_name = "MONTH", value_parser = month)]
    month: Option<(i64, i64)>,
    /// How it is written.
    #[arg(long, value_enum, default_value = "markdown")]
    format: DocumentFormat,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DocumentFormat {
    /// A document for people.
    Markdown,
    /// A line a figure.
    Csv,
    /// One JSON document.
    Json,
}

/// One part of a document.
struct Part {
    title: &'static str,
    why: &'static str,
    told: Told,
}

impl Showback {
    /// Asks, and writes the document.
    pub async fn run(self) -> Result<Exit> {
        let reach = reach(&self.place.settings(), false).await?;
        let written = self.written(reach.as_ref()).await;
        let closed = reach.close().await;
        print::text(&written.and_then(|text| closed.map(|()| text))?)
    }

    async fn written(&self, reach: &dyn Reach) -> Result<String> {
        let month = self.month_of(reach).await?;
        let name = month_name(month);
        let tenants = match &self.tenant {
            Some(tenant) => vec![tenant.clone()],
            None => self.tenants(reach, month).await?,
        };
        let mut documents = Vec::new();
        for tenant in tenants {
            documents.push((tenant.clone(), self.parts(reach, &tenant, month).await?));
        }
        Ok(match self.format {
            DocumentFormat::Markdown => {
                documents.iter().map(|(tenant, parts)| markdown(tenant, &name, parts)).collect::<Vec<_>>().join("\n")
            }
            DocumentFormat::Csv => csv(&documents, &name),
            DocumentFormat::Json => json(&documents, &name),
        })
    }

    async fn month_of(&self, reach: &dyn Reach) -> Result<i64> {
        if let Some((start, _)) = self.month {
            return Ok(start);
        }
        let sql = "SELECT CAST(CAST(max(month) AS DATE) AS VARCHAR) AS month FROM cost_by_tenant";
        let told = ask(reach, sql, self.tenant.as_deref()).await?;
        let last = told.rows.into_iter().flatten().flatten().next();
        let last = last.ok_or_else(|| Error::new(Kind::NotFound, "the ledger has no charges to show"))?;
        month(&last[..7.min(last.len())]).map(|(start, _)| start).map_err(Error::invalid)
    }

    async fn tenants(&self, reach: &dyn Reach, month: i64) -> Result<Vec<String>> {
        let sql =
            format!("SELECT DISTINCT tenant FROM cost_by_tenant WHERE month = {} ORDER BY tenant", instant(month));
        let told = ask(reach, &sql, None).await?;
        let tenants: Vec<String> = told.rows.into_iter().flatten().flatten().collect();
        match tenants.is_empty() {
            true => Err(Error::new(Kind::NotFound, format!("nobody has charges in {}", month_name(month)))),
            false => Ok(tenants),
        }
    }

    async fn parts(&self, reach: &dyn Reach, tenant: &str, month: i64) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        for section in SECTIONS {
            let sql = section.sql.replace("{month}", &instant(month));
            let told = ask(reach, &sql, Some(tenant)).await.map_err(|e| e.context(section.title))?;
            parts.push(Part { title: section.title, why: section.why, told });
        }
        Ok(parts)
    }
}

fn month_name(month: i64) -> String {
    let at = chrono::DateTime::from_timestamp_micros(month).unwrap_or_default();
    at.format("%Y-%m").to_string()
}

fn markdown(tenant: &str, month: &str, parts: &[Part]) -> String {
    let mut text = format!("# {tenant}: costs of {month}\n");
    for part in parts.iter().filter(|part| !part.told.rows.is_empty()) {
        text.push_str(&format!("\n## {}\n\n{}\n\n", part.title, part.why));
        let numeric: Vec<bool> = (0..part.told.columns.len()).map(|at| is_numeric(&part.told, at)).collect();
        let head = |of: &dyn Fn(usize) -> String| (0..numeric.len()).map(of).collect::<Vec<_>>().join(" | ");
        text.push_str(&format!("| {} |\n", head(&|at| part.told.columns[at].replace('_', " "))));
        text.push_str(&format!("| {} |\n", head(&|at| if numeric[at] { "---:" } else { "---" }.to_owned())));
        for row in &part.told.rows {
            let cell = |at: usize| shown(&part.told.columns[at], row[at].as_deref(), numeric[at]);
            text.push_str(&format!("| {} |\n", head(&cell)));
        }
    }
    if parts.iter().all(|part| part.told.rows.is_empty()) {
        text.push_str("\nNo charges.\n");
    }
    text
}

fn is_numeric(told: &Told, column: usize) -> bool {
    let mut cells = told.rows.iter().filter_map(|row| row[column].as_deref()).peekable();
    cells.peek().is_some() && cells.all(|cell| ledger::decimal::parse(cell).is_ok())
}

/// A cell for people: amounts to the cent, or to what is left of them below it; parts in percent.
fn shown(column: &str, cell: Option<&str>, is_numeric: bool) -> String {
    let Some(cell) = cell else { return "–".to_owned() };
    let plain = || cell.replace('|', "\\|").replace('\n', " ");
    let Some(number) = ledger::decimal::parse(cell).ok().filter(|_| is_numeric) else { return plain() };
    let units = number.units;
    let rounded = |places: u32| {
        let step = ledger::decimal::ONE / 10i128.pow(places);
        let near = ledger::decimal::scaled(units, 1, step).unwrap_or_default();
        (near, Fixed { units: near, places }.to_string())
    };
    match column {
        _ if column.ends_with("ratio") || column.ends_with("coverage") || column.ends_with("utilization") => {
            let percent = ledger::decimal::scaled(units, 1000, ledger::decimal::ONE).unwrap_or_default();
            format!("{} %", Fixed { units: percent, places: 1 })
        }
        _ if !cell.contains('.') && !column.ends_with("cost") => plain(),
        _ => match rounded(2) {
            (0, _) if units != 0 => rounded(6).1,
            (_, text) => text,
        },
    }
}

/// A number with a fixed count of decimals.
struct Fixed {
    units: i128,
    places: u32,
}

impl std::fmt::Display for Fixed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let one = 10u128.pow(self.places);
        let (sign, magnitude) = (if self.units < 0 { "-" } else { "" }, self.units.unsigned_abs());
        match self.places {
            0 => write!(f, "{sign}{magnitude}"),
            places => write!(f, "{sign}{}.{:0width$}", magnitude / one, magnitude % one, width = places as usize),
        }
    }
}

fn csv(documents: &[(String, Vec<Part>)], month: &str) -> String {
    let mut text = "tenant,month,section,row,column,value\n".to_owned();
    for (tenant, parts) in documents {
        for part in parts {
            for (at, row) in part.told.rows.iter().enumerate() {
                let number = (at + 1).to_string();
                for (column, cell) in part.told.columns.iter().zip(row) {
                    let cells = [tenant.as_str(), month, part.title, number.as_str(), column.as_str()];
                    let cells: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
                    text.push_str(&format!("{},{}\n", cells.join(","), csv_cell(cell.as_deref().unwrap_or_default())));
                }
            }
        }
    }
    text
}

fn json(documents: &[(String, Vec<Part>)], month: &str) -> String {
    let section = |part: &Part| {
        let row = |row: &Vec<Option<String>>| {
            let cells = part.told.columns.iter().cloned().zip(row.iter().map(|cell| serde_json::json!(cell)));
            serde_json::Value::Object(cells.collect())
        };
        serde_json::json!({"title": part.title, "rows": part.told.rows.iter().map(row).collect::<Vec<_>>()})
    };
    let document = |(tenant, parts): &(String, Vec<Part>)| serde_json::json!({"tenant": tenant, "month": month, "sections": parts.iter().map(section).collect::<Vec<_>>()});
    format!("{:#}\n", serde_json::json!(documents.iter().map(document).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_written_for_people() {
        for (column, cell, expected) in [
            ("billed_cost", Some("20.280226728990000000"), "20.28"),
            ("billed_cost", Some("0.0000024"), "0.000002"),
            ("billed_cost", Some("-1.005"), "-1.00"),
            ("billed_cost", Some("-1.0051"), "-1.01"),
            ("billed_cost", Some("3"), "3.00"),
            ("charges", Some("3"), "3"),
            ("coverage", Some("0.5"), "50.0 %"),
            ("change_ratio", Some("-0.1234"), "-12.3 %"),
            ("service", Some("a|b"), "a\\|b"),
            ("service", None, "–"),
        ] {
            let is_numeric = cell.is_some_and(|cell| ledger::decimal::parse(cell).is_ok());
            assert_eq!(shown(column, cell, is_numeric), expected, "{column} {cell:?}");
        }
    }
}
