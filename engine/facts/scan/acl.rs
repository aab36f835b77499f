//! Which rows a scope's groups may see. A cell is a list of groups as JSON, null is everybody of the tenant; what is no
//! such list is for nobody.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use datafusion::error::Result as DfResult;

/// Whether a cell admits somebody in these groups.
pub fn admits(acl: Option<&str>, groups: &[String]) -> bool {
    let Some(acl) = acl else { return true };
    let named: Result<Vec<String>, _> = serde_json::from_str(acl);
    named.is_ok_and(|named| named.iter().any(|group| groups.contains(group)))
}

/// The rows that somebody in these groups may see.
pub fn admitted(rows: RecordBatch, column: &str, groups: &[String]) -> DfResult<RecordBatch> {
    let cells = rows.column_by_name(column).expect("a scan reads the column of its access list");
    if cells.null_count() == cells.len() {
        return Ok(rows);
    }
    let cells = cells.as_string::<i32>();
    // Few lists differ.
    let mut known: HashMap<&str, bool> = HashMap::new();
    let keep: BooleanArray = (0..cells.len())
        .map(|row| {
            let acl = cells.is_valid(row).then(|| cells.value(row));
            Some(acl.is_none_or(|acl| *known.entry(acl).or_insert_with(|| admits(Some(acl), groups))))
        })
        .collect();
    Ok(filter_record_batch(&rows, &keep)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_admits_its_groups_and_what_is_none_nobody() {
        let groups = ["web".to_owned(), "ops".to_owned()];
        assert!(admits(None, &[]) && admits(Some(r#"["db","ops"]"#), &groups));
        for acl in [r#"["db"]"#, "[]", "", "null", "\"web\"", r#"{"web":1}"#, "[1"] {
            assert!(!admits(Some(acl), &groups), "{acl}");
        }
        assert!(!admits(Some(r#"["web"]"#), &[]));
    }
}
