//! The declaration of a table that lives in the state database: the sibling of [`crate::Table`].

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::table::{Column, Type};

/// A table of the state database as SQL sees it. Its rows change in place; the DDL stands in `state/migrations`.
#[derive(Debug)]
pub struct StateTable {
    /// Name in SQL and in the database.
    pub name: &'static str,
    /// One or two sentences for the SQL reference.
    pub doc: &'static str,
    /// The columns that SQL may see, of any type but `Decimal`.
    pub columns: &'static [Column],
    /// Columns of the database that no answer shows: secrets and their hashes.
    pub hidden: &'static [&'static str],
    /// The column that names the tenant; `None` where only the platform's own scope sees rows.
    pub tenant: Option<&'static str>,
}

impl StateTable {
    /// Schema as SQL sees it.
    pub fn sql_schema(&self) -> SchemaRef {
        let field = |c: &Column| Field::new(c.name, c.kind.arrow(), !c.required);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }
}

/// Who does the work that only one process may do.
pub static LEASE: StateTable = StateTable {
    name: "lease",
    doc: "Work that one process at a time may do, and the process that holds it. Seen by the platform only.",
    columns: &[
        Column::new("name", Type::Text, "The work.").required(),
        Column::new("holder", Type::Text, "The process that may do it.").required(),
        Column::new(
            "epoch",
            Type::Int,
            "Grows by one when the holder changes; what an earlier holder still writes can be told by it.",
        )
        .required(),
        Column::new("expires_at", Type::Time, "When another process may take it.").required(),
    ],
    hidden: &[],
    tenant: None,
};
