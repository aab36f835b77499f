//! What this floor needs from a higher one: small traits, filled by `serve/wire`.

use std::borrow::Cow;

use crate::table::{Column, Table};

/// Takes secrets and personal data out of text before it becomes durable. Asked for every text and JSON column of every
/// frame.
pub trait Redactor: Send + Sync + std::fmt::Debug {
    /// A text of no column without secrets and personal data; borrowed when there was nothing to take out.
    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str>;
    /// What treats the cells of a column; `None` leaves them as they are.
    fn column<'a>(&'a self, table: &Table, column: &Column) -> Option<Box<dyn ColumnRedactor + 'a>>;
}

/// Treats the cells of one column.
pub trait ColumnRedactor {
    /// What is stored in place of the cell; `None` where it stays. Says what was found.
    fn redact(&self, text: &str, found: &mut Vec<Finding>) -> Option<Cell>;
}

/// A cell in which something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// The rest of it.
    Text(String),
    /// Nothing is left.
    Null,
}

/// What was found in a cell, without the value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// The kind of datum.
    pub detector: Cow<'static, str>,
    /// What was done with it.
    pub action: &'static str,
}

/// Leaves everything as it is; for tests of the store itself.
#[derive(Debug, Default)]
pub struct NoRedaction;

impl Redactor for NoRedaction {
    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(text)
    }

    fn column<'a>(&'a self, _: &Table, _: &Column) -> Option<Box<dyn ColumnRedactor + 'a>> {
        None
    }
}
