//! `stellwerk tables`: what can be asked, with its documentation.

use std::sync::Arc;

use clap::Args;
use engine::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use engine::{Error, Kind, Result};

use super::exit::Exit;
use super::place::Place;
use super::print;
use crate::output::Encoder;
use crate::output::table::Table;
use crate::reach::reach;
use crate::reference::{FunctionEntry, Reference, TableEntry, TableKind};

const AFTER: &str = "\
Examples:
  stellwerk tables --data ./data                        every table, state table and view, with its rows
  stellwerk tables cost_line --data ./data              its columns, key, indexes, retention
  stellwerk tables --data ./data --format markdown      the SQL reference, functions too";

/// Show every table, view and function, with its documentation.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Tables {
    /// Only this table, with its columns.
    table: Option<String>,
    /// How it is written.
    #[arg(long, value_enum, default_value = "table")]
    format: ReferenceFormat,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ReferenceFormat {
    /// Aligned columns for people.
    Table,
    /// One JSON document.
    Json,
    /// The SQL reference.
    Markdown,
}

impl Tables {
    /// Shows the reference.
    pub async fn run(self) -> Result<Exit> {
        let reach = reach(&self.place.settings(), false).await?;
        let reference = reach.reference(self.format != ReferenceFormat::Markdown).await;
        reach.close().await?;
        let mut reference = reference?;
        if let Some(name) = &self.table {
            let table = reference.table(name).cloned();
            let table = table.ok_or_else(|| {
                Error::new(Kind::NotFound, format!("there is no table {name}; `stellwerk tables` lists them"))
            })?;
            reference = Reference { tables: vec![table], functions: Vec::new() };
        }
        print::text(&match (self.format, &self.table) {
            (ReferenceFormat::Json, None) => format!("{:#}\n", serde_json::json!(reference)),
            (ReferenceFormat::Json, Some(_)) => format!("{:#}\n", serde_json::json!(reference.tables[0])),
            (ReferenceFormat::Markdown, _) => reference.markdown(),
            (ReferenceFormat::Table, None) => overview(&reference)?,
            (ReferenceFormat::Table, Some(_)) => detail(&reference.tables[0])?,
        })
    }
}

/// Every table, a line each.
pub fn overview(reference: &Reference) -> Result<String> {
    let text = |cell: fn(&TableEntry) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(reference.tables.iter().map(cell)))
    };
    let rows = reference.tables.iter().map(|t| t.rows.and_then(|rows| i64::try_from(rows).ok()));
    let mut columns: Vec<(&str, ArrayRef)> =
        vec![("table", text(|t| t.name.clone())), ("kind", text(|t| t.kind.as_str().to_owned()))];
    if reference.tables.iter().any(|t| t.rows.is_some()) {
        // A view's rows are not counted: that could cost as much as any question.
        let shown = rows.map(|rows| rows.map(|r| r.to_string()).unwrap_or_default());
        columns.push(("rows", Arc::new(StringArray::from_iter_values(shown))));
    }
    columns.push(("holds", text(|t| t.doc.clone())));
    aligned(columns)
}

/// One table: its documentation, then its columns.
pub fn detail(table: &TableEntry) -> Result<String> {
    let mut text = format!("{} ({})\n{}\n", table.name, table.kind.as_str(), table.doc);
    for (label, value) in table.facts() {
        text.push_str(&format!("{label:<10} {value}\n"));
    }
    if let Some(rows) = table.rows {
        text.push_str(&format!("{:<10} {rows}\n", "rows"));
    }
    text.push('\n');
    if table.kind == TableKind::View && table.columns.is_empty() {
        text.push_str(table.sql.as_deref().unwrap_or_default().trim());
        text.push('\n');
        return Ok(text);
    }
    let cells = |cell: fn(&crate::reference::ColumnEntry) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(table.columns.iter().map(cell)))
    };
    let place = Int64Array::from_iter_values(1..=table.columns.len() as i64);
    text.push_str(&aligned(vec![
        ("#", Arc::new(place)),
        ("column", cells(|c| c.name.clone())),
        ("type", cells(|c| c.kind.clone())),
        ("unit", cells(|c| c.unit.clone().unwrap_or_default())),
        ("required", cells(|c| if c.required { "yes" } else { "" }.to_owned())),
        ("holds", cells(|c| c.doc.clone())),
    ])?);
    Ok(text)
}

/// The functions, a line each.
pub fn functions(reference: &Reference) -> Result<String> {
    let cells = |cell: fn(&FunctionEntry) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(reference.functions.iter().map(cell)))
    };
    aligned(vec![
        ("function", cells(|f| f.signature.clone())),
        ("answers", cells(|f| f.doc.clone())),
        ("example", cells(|f| f.example.clone())),
    ])
}

/// These columns as people read them on this stdout.
pub fn aligned(columns: Vec<(&str, ArrayRef)>) -> Result<String> {
    let batch = RecordBatch::try_from_iter(columns).expect("the columns have one length");
    let (mut table, mut out) = (Table::new(&batch.schema(), print::look()), Vec::new());
    table.batch(&batch, &mut out)?;
    table.finish(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}
