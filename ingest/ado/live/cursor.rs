//! `ado_cursor`: how far each stream of an organization has been read.

use engine::{Column, Rows, Table, Type, Value as Cell};

use super::super::origin::{ORGANIZATION, Origin, TENANT};
use crate::json::Reason;

/// Cursors.
pub static ADO_CURSOR: Table = Table {
    key: &["organization", "stream", "part"],
    time: "ingested_at",
    ..Table::new(
        "ado_cursor",
        "How far each stream of an organization has been read; written in the frame of the rows that it stands for.",
        &[
            TENANT,
            ORGANIZATION,
            Column::new("stream", Type::Name, "What is read (`builds`, `pushes` …).").required(),
            Column::new("part", Type::Text, "Project or repository of it; empty for all.").required(),
            Column::new(
                "position",
                Type::Text,
                "Where the next reading begins: a time, a number or the source's token.",
            ),
            Column::new("asked_at", Type::Time, "When it was read."),
        ],
    )
};

/// A cursor that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub stream: &'static str,
    pub part: String,
    pub position: String,
}

impl Cursor {
    /// Adds its row.
    pub fn write(&self, origin: &Origin, rows: &mut Rows) -> Result<(), Reason> {
        rows.set("tenant", origin.tenant.as_str()).set("organization", origin.organization.as_str());
        rows.set("stream", self.stream).set("part", self.part.as_str()).set("position", self.position.as_str());
        rows.set("asked_at", origin.version.map_or(Cell::Null, Cell::Time));
        rows.end_row().map_err(|e| e.to_string())
    }
}
