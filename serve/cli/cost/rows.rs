//! An answer as rows of texts, for commands that write their own documents.

use engine::{Question, Result};
use futures::TryStreamExt;

use crate::output::cells;
use crate::reach::Reach;

/// Rows of an answer; `None` is null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Option<String>>>,
}

/// Asks, and reads every row.
pub async fn ask(reach: &dyn Reach, sql: &str, tenant: Option<&str>) -> Result<Told> {
    let found = reach.ask(Question::from(sql), tenant).await?;
    let columns = found.schema.fields().iter().map(|field| field.name().clone()).collect();
    let mut told = Told { columns, rows: Vec::new() };
    let batches: Vec<_> = found.batches.try_collect().await?;
    for batch in &batches {
        let readers = cells::columns(batch)?;
        for row in 0..batch.num_rows() {
            let cell = |cells: &Box<dyn cells::Cells + '_>| {
                (!cells.is_null(row)).then(|| {
                    let mut text = String::new();
                    cells.write(row, &mut text);
                    text
                })
            };
            told.rows.push(readers.iter().map(cell).collect());
        }
    }
    Ok(told)
}

/// A cell of CSV.
pub fn csv_cell(text: &str) -> String {
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}
