//! Answers that are JSON, shown as a table or as they are; and how commands about work ask for them.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use engine::Result;
use engine::arrow::array::{ArrayRef, StringArray};
use serde_json::Value;

use super::exit::Exit;
use super::place::Place;
use super::{print, tables};
use crate::reach::reach;
use crate::work::WorkWish;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// How the store is reached and the answer written.
#[derive(Debug, Args)]
pub struct Asking {
    /// How the answer is written.
    #[arg(long, value_enum, default_value = "text")]
    pub format: ListFormat,
    #[command(flatten)]
    place: Place,
}

impl Asking {
    /// The answer to a wish.
    pub async fn ask(&self, wish: &WorkWish) -> Result<Value> {
        let reach = reach(&self.place.settings(), false).await?;
        let answer = reach.work(wish).await;
        let closed = reach.close().await;
        let answer = answer?;
        closed?;
        Ok(answer)
    }

    /// Asks, and shows the answer.
    pub async fn show(&self, wish: &WorkWish, text: impl FnOnce(&Value) -> Result<String>) -> Result<Exit> {
        let answer = self.ask(wish).await?;
        match self.format {
            ListFormat::Json => print::text(&format!("{answer:#}\n")),
            ListFormat::Text => print::text(&text(&answer)?),
        }
    }
}

/// A cell as people read it.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A list of objects as a table of these members; a word where there is none.
pub fn table(list: &Value, columns: &[(&str, &str)], none: &str) -> Result<String> {
    let rows = list.as_array().map_or(&[][..], Vec::as_slice);
    if rows.is_empty() {
        return Ok(format!("{none}\n"));
    }
    let cells = |member: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| cell(&row[member]))))
    };
    tables::aligned(columns.iter().map(|(title, member)| (*title, cells(member))).collect())
}

/// An object's members, one a line.
pub fn members(answer: &Value) -> Result<String> {
    let members = answer.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    Ok(members.map(|(name, value)| format!("{name}: {}\n", cell(value))).collect())
}
