//! What could not be parsed is kept, with its reason. One bad record never rejects its neighbours.

use crate::rows::{Rows, Value};
use crate::table::{Column, Table, Type};

/// Bytes of a refused record that are kept; the hash covers all of it.
pub const BODY_BYTES_MAX: usize = 65_536;

/// Records that were refused, with the reason and the redacted record.
pub static REJECT: Table = Table {
    time: "ingested_at",
    retention_days: Some(90),
    ..Table::new(
        "reject",
        "Records that could not be parsed or did not fit their table, with the reason. Nothing received is lost: it is here or in its table.",
        &[
            Column::new("tenant", Type::Name, "Tenant whose credential sent the record.").required(),
            Column::new("kind", Type::Name, "What it was meant to be: `otlp.logs`, `cost`, `k8s`, `ado` …").required(),
            Column::new("reason", Type::Text, "Why it was refused, for the person who must act.").required(),
            Column::new("place", Type::Text, "Where in its input it stood: line, record number or JSON path."),
            Column::new(
                "body",
                Type::Text,
                "The record, redacted, its first 65,536 bytes; bytes that are not UTF-8 are replaced.",
            ),
            Column::new("body_bytes", Type::Int, "Size of the record as received.").unit("bytes"),
        ],
    )
};

/// One refused record.
#[derive(Debug, Clone)]
pub struct Reject {
    pub kind: &'static str,
    pub reason: String,
    pub place: Option<String>,
    pub body: Vec<u8>,
}

impl Reject {
    /// Appends this record to `rows` (of [`REJECT`]) for `tenant`.
    pub fn write(&self, tenant: &str, rows: &mut Rows) {
        let kept = &self.body[..self.body.len().min(BODY_BYTES_MAX)];
        rows.set("tenant", tenant)
            .set("kind", self.kind)
            .set("reason", self.reason.as_str())
            .set("place", self.place.clone())
            .set("body", String::from_utf8_lossy(kept).into_owned())
            .set("body_bytes", Value::Int(i64::try_from(self.body.len()).unwrap_or(i64::MAX)));
        rows.end_row().expect("a reject has every required cell");
    }
}
