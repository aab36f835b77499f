//! What this process wrote last, so that a schedule does not write the same set again and again.

use std::collections::HashMap;

use engine::arrow::array::RecordBatch;
use engine::arrow::row::{RowConverter, SortField};
use engine::{Error, Result};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// The content of a set, whatever the order of its rows.
pub type Content = [u8; 32];

/// Sets by their names, and what they hold.
#[derive(Debug, Default)]
pub struct Known(Mutex<HashMap<String, Content>>);

impl Known {
    /// Whether the set was written last with this content.
    pub fn holds(&self, set: &str, content: &Content) -> bool {
        self.0.lock().get(set) == Some(content)
    }

    /// The set was written.
    pub fn keep(&self, set: String, content: Content) {
        self.0.lock().insert(set, content);
    }

    /// Forgets the sets of a day: they are written again.
    pub fn forget(&self, day: &str) {
        self.0.lock().retain(|set, _| !set.ends_with(day));
    }

    /// Forgets the sets that are of none of these days.
    pub fn forget_but(&self, days: &[String]) {
        self.0.lock().retain(|set, _| days.iter().any(|day| set.ends_with(day.as_str())));
    }
}

/// The content of rows. A plan may hand them over in any order.
pub fn digest(rows: &RecordBatch) -> Result<Content> {
    let failed = |e| Error::unavailable("compare estimates", e);
    let fields = rows.columns().iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields).and_then(|c| c.convert_columns(rows.columns())).map_err(failed)?;
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_unstable();
    let mut hash = Sha256::new();
    for row in rows {
        hash.update((row.as_ref().len() as u64).to_le_bytes());
        hash.update(row.as_ref());
    }
    Ok(hash.finalize().into())
}
