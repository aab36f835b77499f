//! Questions that documents are asked.

use engine::View;

/// The views.
pub const VIEWS: &[&View] = &[&ADR];

/// Architecture decisions.
pub static ADR: View = View {
    name: "adr",
    doc: "Architecture decision records of every folder and repository: number, title, status, date, decision.",
    sql: "SELECT tenant, origin, ref, path, adr_number, title, adr_status, adr_date, adr_decision, adr_superseded_by, owners, \
          language, modified_at, text FROM document WHERE document_kind = 'adr'",
};
