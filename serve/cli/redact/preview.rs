//! `stellwerk redact preview`: reads stored rows as a question would, and says what the redaction would find in them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use engine::arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use engine::arrow::compute::cast;
use engine::arrow::datatypes::DataType;
use engine::{Column, Error, Kind, Question, Result, Table, Type};
use futures::StreamExt;
use ingest::redact::Redaction;
use ingest::redact::personal::SURE;
use ingest::redact::policy::Plan;
use serde_json::json;

use super::super::exit::Exit;
use super::super::place::Place;
use super::super::print;
use super::super::tables::aligned;
use crate::reach::{Reach, reach};
use crate::wire;

/// Say what would be found in stored rows now, by column and kind, without a value.
#[derive(Debug, Args)]
pub struct Preview {
    /// Only this table.
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Only columns of this name.
    #[arg(long, value_name = "COLUMN")]
    column: Option<String>,
    /// Look at this many rows of a table.
    #[arg(long, value_name = "ROWS", default_value_t = 100_000)]
    limit: u64,
    /// How it is written.
    #[arg(long, value_enum, default_value = "table")]
    format: PreviewFormat,
    /// Rules to try instead of those that --redaction names.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PreviewFormat {
    /// Aligned columns for people.
    Table,
    /// One JSON document.
    Json,
}

/// What was found in one column.
#[derive(Debug, Default)]
struct Seen {
    findings: i64,
    rows: i64,
    /// The shape of one value: letters are x, digits 9.
    sample: String,
}

/// By table, column, detector and action.
type Report = BTreeMap<(&'static str, &'static str, String, &'static str), Seen>;

impl Preview {
    /// Looks and reports.
    pub async fn run(self) -> Result<Exit> {
        let tables = self.tables()?;
        let settings = self.place.settings();
        let redaction = wire::redaction(self.rules.as_deref().or(settings.redaction.as_deref()))?;
        let reach = reach(&settings, false).await?;
        let looked = self.look(&*reach, &tables, &redaction).await;
        let closed = reach.close().await;
        let (report, rows) = looked?;
        closed?;
        print::text(&match self.format {
            PreviewFormat::Table => table(&report, rows)?,
            PreviewFormat::Json => format!("{:#}\n", json(&report, rows)),
        })
    }

    fn tables(&self) -> Result<Vec<&'static Table>> {
        let mut tables = wire::catalogue().tables;
        if let Some(name) = &self.table {
            tables.retain(|table| table.name == name);
            if tables.is_empty() {
                return Err(Error::new(
                    Kind::NotFound,
                    format!("there is no table {name}; `stellwerk tables` lists them"),
                ));
            }
        }
        if let Some(name) = &self.column
            && !tables.iter().any(|table| table.position(name).is_some())
        {
            return Err(Error::new(Kind::NotFound, format!("none of these tables has a column {name}")));
        }
        Ok(tables)
    }

    async fn look(&self, reach: &dyn Reach, tables: &[&'static Table], redaction: &Redaction) -> Result<(Report, i64)> {
        let (mut report, mut looked) = (Report::new(), 0);
        for table in tables {
            let columns: Vec<(&'static Column, Arc<Plan>)> = table
                .columns
                .iter()
                .filter(|column| matches!(column.kind, Type::Text | Type::Json | Type::Name))
                .filter(|column| self.column.as_ref().is_none_or(|name| column.name == name))
                .filter_map(|column| Some((column, redaction.plan(table, column)?)))
                .collect();
            if columns.is_empty() {
                continue;
            }
            let names: Vec<String> = columns.iter().map(|(column, _)| format!("\"{}\"", column.name)).collect();
            let sql = format!("SELECT {} FROM \"{}\" LIMIT {}", names.join(", "), table.name, self.limit);
            let mut found = reach.ask(Question::from(sql.as_str()), None).await?;
            while let Some(batch) = found.batches.next().await.transpose()? {
                looked += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
                for ((column, plan), cells) in columns.iter().zip(batch.columns()) {
                    cells_of(*table, *column, plan, cells, redaction, &mut report)?;
                }
            }
        }
        Ok((report, looked))
    }
}

/// Adds what one column's cells hold.
fn cells_of(
    table: &'static Table,
    column: &'static Column,
    plan: &Plan,
    cells: &ArrayRef,
    redaction: &Redaction,
    report: &mut Report,
) -> Result<()> {
    let cells = cast(cells, &DataType::Utf8).map_err(|e| Error::invalid(format!("read {}: {e}", column.name)))?;
    for text in cells.as_string::<i32>().iter().flatten() {
        let spotted = redaction.spot(text, plan, SURE);
        for (at, spot) in spotted.iter().enumerate() {
            let key = (table.name, column.name, spot.detector.to_string(), spot.action.name());
            let seen = report.entry(key).or_default();
            seen.findings += 1;
            seen.rows += i64::from(spotted[..at].iter().all(|other| other.detector != spot.detector));
            if seen.sample.is_empty() {
                seen.sample = shape(&text[spot.start..spot.end]);
            }
        }
    }
    Ok(())
}

/// A value without its letters and digits.
fn shape(value: &str) -> String {
    const SHOWN: usize = 40;
    let masked = |c: char| match c {
        _ if c.is_numeric() => '9',
        _ if c.is_alphabetic() => 'x',
        _ if c.is_control() => ' ',
        _ => c,
    };
    value.chars().take(SHOWN).map(masked).collect()
}

fn table(report: &Report, rows: i64) -> Result<String> {
    let text = |cell: &dyn Fn(&(&'static str, &'static str, String, &'static str), &Seen) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(report.iter().map(|(key, seen)| cell(key, seen))))
    };
    let number =
        |cell: fn(&Seen) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(report.values().map(cell))) };
    let found = aligned(vec![
        ("table", text(&|key, _| key.0.to_owned())),
        ("column", text(&|key, _| key.1.to_owned())),
        ("detector", text(&|key, _| key.2.clone())),
        ("action", text(&|key, _| key.3.to_owned())),
        ("findings", number(|seen| seen.findings)),
        ("rows", number(|seen| seen.rows)),
        ("shape of one", text(&|_, seen| seen.sample.clone())),
    ])?;
    Ok(format!("{found}({rows} rows looked at)\n"))
}

fn json(report: &Report, rows: i64) -> serde_json::Value {
    let findings = report.iter().map(|((table, column, detector, action), seen)| {
        json!({
            "table": table, "column": column, "detector": detector, "action": action,
            "findings": seen.findings, "rows": seen.rows, "shape": seen.sample,
        })
    });
    json!({ "rows": rows, "findings": findings.collect::<Vec<_>>() })
}
