//! What every row has beside its resource: whose it is, where it stands, and how new it is. Hook events and REST answers
//! come to the same rows by it.

use std::collections::BTreeMap;

use engine::{Batch, Column, Rows, Table, Type};

/// Columns that every table begins with.
pub const TENANT: Column = Column::new("tenant", Type::Name, "Tenant whose credential sent or asked it.").required();
/// See [`TENANT`].
pub const ORGANIZATION: Column =
    Column::new("organization", Type::Name, "Organization's name from its URLs, else the collection's id.").required();
/// See [`TENANT`].
pub const PROJECT_ID: Column = Column::new("project_id", Type::Text, "Id of the project.");
/// See [`TENANT`].
pub const PROJECT: Column = Column::new("project", Type::Name, "Name of the project.");
/// The last column of every table whose rows may be told out of order.
pub const VERSION: Column = Column::new(
    "version",
    Type::Int,
    "How new this telling is, µs since 1970: when the event was made or the source was asked. The greatest stands.",
);

/// Where a resource was told of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Tenant of the rows.
    pub tenant: String,
    /// Name or id; empty if nothing tells it.
    pub organization: String,
    pub project_id: Option<String>,
    pub project: Option<String>,
    /// How new the telling is, in microseconds; unknown is older than any.
    pub version: Option<i64>,
}

impl Origin {
    /// The columns that every Azure DevOps table has.
    pub fn set(&self, rows: &mut Rows) {
        rows.set("tenant", self.tenant.as_str())
            .set("organization", self.organization.as_str())
            .set("project_id", self.project_id.clone())
            .set("project", self.project.clone());
    }

    /// The same, of another project.
    pub fn of_project(&self, id: Option<String>, name: Option<String>) -> Origin {
        Origin { project_id: id, project: name, ..self.clone() }
    }
}

/// Rows under construction, of whatever table they are.
#[derive(Debug, Default)]
pub struct Told {
    tables: BTreeMap<&'static str, Rows>,
}

impl Told {
    /// The rows of one table.
    pub fn rows(&mut self, table: &'static Table) -> &mut Rows {
        self.tables.entry(table.name).or_insert_with(|| Rows::new(table))
    }

    /// Drops whatever row is under construction.
    pub fn abandon(&mut self) {
        self.tables.values_mut().for_each(Rows::abandon_row);
    }

    /// Finished rows of all tables.
    pub fn len(&self) -> usize {
        self.tables.values().map(Rows::len).sum()
    }

    /// Whether no row is finished yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches, of tables with rows.
    pub fn finish(mut self) -> Vec<Batch> {
        let filled = self.tables.values_mut().filter(|rows| !rows.is_empty());
        filled.map(|rows| Batch { table: rows.table(), rows: rows.finish() }).collect()
    }
}
