//! Bytes on disk a log row: the prepared day, flushed and compacted, against the same rows as Parquet with zstd.

use std::path::Path;

use serde_json::{Value, json};

use crate::Context;
use crate::peer::folder_bytes;
use crate::questions::engines::run_script;
use crate::questions::prepare::{self, Telemetry};
use crate::report::{Bound, Goal, Report, figure};

/// Columns that take less than this share of a row on both sides are one line of the table.
const SHARE_SHOWN: f64 = 0.005;

/// What a table takes.
struct Taken {
    data: u64,
    indexes: u64,
    /// Manifests, transactions, deletions.
    other: u64,
}

/// Measures it.
pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let telemetry = prepare::telemetry(context);
    let mut rows = Vec::new();
    let tables =
        [("otel_log", &telemetry.logs, telemetry.log_rows), ("otel_span", &telemetry.spans, telemetry.span_rows)];
    for (table, parquet, count) in tables {
        let taken = taken(&folder(&telemetry, table));
        let theirs = std::fs::metadata(parquet).ok().map(|meta| meta.len());
        let a_row = |bytes: u64| bytes as f64 / count as f64;
        rows.push(vec![
            table.to_owned(),
            figure(a_row(taken.data)),
            figure(a_row(taken.indexes)),
            figure(a_row(taken.other)),
            theirs.map_or_else(String::new, |bytes| figure(a_row(bytes))),
            theirs.map_or_else(String::new, |bytes| figure(taken.data as f64 / bytes as f64)),
            theirs.map_or_else(String::new, |bytes| figure((taken.data + taken.indexes) as f64 / bytes as f64)),
        ]);
        if table == "otel_log" {
            goals(&mut report, &taken, theirs, count);
        }
        let bytes = json!({"data": taken.data, "indexes": taken.indexes, "other": taken.other, "parquet": theirs});
        report.raw(table, bytes);
    }
    let columns = ["table", "data, B/row", "indexes", "manifests", "Parquet zstd-3", "data, x", "with indexes, x"];
    report.table("Bytes a row after maintenance", &columns, rows);
    match &context.python {
        Some(python) => by_column(&mut report, python, &telemetry),
        None => report.missing("Parquet", "the Python environment of the bench is not there"),
    }
    report.note(
        "Parquet: pyarrow, zstd level 3, row groups of a million rows, the columns that the table has, log order.",
    );
    report
}

fn goals(report: &mut Report, taken: &Taken, theirs: Option<u64>, count: u64) {
    let goals = [("data files", taken.data, 1.15), ("with indexes", taken.data + taken.indexes, 1.6)];
    for (what, bytes, most) in goals {
        report.goal(Goal {
            what: &format!("bytes a log row, {what}, over Parquet zstd-3"),
            bound: Bound::AtMost(most),
            unit: "x",
            value: theirs.map(|theirs| bytes as f64 / theirs as f64),
            ours: format!("{} B/row", figure(bytes as f64 / count as f64)),
            peer: theirs
                .map_or_else(String::new, |bytes| format!("Parquet {} B/row", figure(bytes as f64 / count as f64))),
        });
    }
}

fn folder(telemetry: &Telemetry, table: &str) -> std::path::PathBuf {
    telemetry.data.join("tables").join(format!("{table}.lance"))
}

fn taken(folder: &Path) -> Taken {
    let (data, indexes) = (folder_bytes(&folder.join("data")), folder_bytes(&folder.join("_indices")));
    assert!(data > 0, "{} holds no data files", folder.display());
    Taken { data, indexes, other: folder_bytes(folder) - data - indexes }
}

/// Where the bytes go: both sides, column by column.
fn by_column(report: &mut Report, python: &Path, telemetry: &Telemetry) {
    let tables =
        [("otel_log", &telemetry.logs, telemetry.log_rows), ("otel_span", &telemetry.spans, telemetry.span_rows)];
    for (table, parquet, count) in tables {
        let data = folder(telemetry, table).join("data");
        let args = [data.to_string_lossy().into_owned(), parquet.to_string_lossy().into_owned()];
        let columns = run_script(python, "columns.py", &args).and_then(|text| {
            serde_json::from_str::<Vec<(String, u64, u64)>>(&text).map_err(|cause| format!("columns.py: {cause}"))
        });
        let mut columns = match columns {
            Ok(columns) => columns,
            Err(why) => {
                report.note(format!("{table} column by column: {why}"));
                continue;
            }
        };
        columns.sort_by_key(|(_, ours, theirs)| std::cmp::Reverse(*ours.max(theirs)));
        let all: u64 = columns.iter().map(|(_, ours, theirs)| ours.max(theirs)).sum();
        let small = |bytes: u64| (bytes as f64) < SHARE_SHOWN * all as f64;
        let at = columns.iter().position(|(_, ours, theirs)| small(*ours.max(theirs))).unwrap_or(columns.len());
        let rest = columns.split_off(at);
        let sum = |of: fn(&(String, u64, u64)) -> u64| rest.iter().map(of).sum();
        columns.push((format!("{} other columns", rest.len()), sum(|c| c.1), sum(|c| c.2)));
        let raw: Value = columns.iter().map(|(name, ours, theirs)| json!([name, ours, theirs])).collect();
        report.raw(&format!("{table}_columns"), raw);
        let shown = |bytes: u64| figure(bytes as f64 / count as f64);
        let row = |(name, ours, theirs): &(String, u64, u64)| vec![name.clone(), shown(*ours), shown(*theirs)];
        let heads = ["column", "ours, B/row", "Parquet, B/row"];
        report.table(&format!("{table}, column by column"), &heads, columns.iter().map(row).collect());
    }
}
