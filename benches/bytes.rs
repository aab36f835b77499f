//! Bytes on disk a log row: the prepared day, flushed and compacted, against the same rows as Parquet with zstd.

use std::path::Path;

use serde_json::{Value, json};

use crate::Context;
use crate::questions::engines::run_script;
use crate::questions::prepare::{self, Telemetry};
use crate::report::{Bound, Goal, Report, figure};

/// Columns that take less than this share of a row on both sides are one line of the table.
const SHARE_SHOWN: f64 = 0.005;

/// What one table's newest version takes, as `columns.py` found it.
struct Taken {
    table: &'static str,
    rows: u64,
    data: u64,
    indexes: u64,
    /// With the versions that wait for their cleaning.
    all: u64,
    parquet: u64,
    fragments: u64,
    /// Ours and Parquet's, by column.
    columns: Vec<(String, u64, u64)>,
}

/// Measures it.
pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let telemetry = prepare::telemetry(context);
    let Some(python) = &context.python else {
        report.missing("Parquet", "the Python environment of the bench is not there");
        return report;
    };
    let tables = [
        Taken::of(python, &telemetry, "otel_log", &telemetry.logs, telemetry.log_rows),
        Taken::of(python, &telemetry, "otel_span", &telemetry.spans, telemetry.span_rows),
    ];
    goals(&mut report, &tables[0]);
    let heads = ["table", "data, B/row", "indexes", "Parquet zstd-3", "data, x", "with indexes, x", "fragments"];
    report.table("Bytes a row after maintenance", &heads, tables.iter().map(Taken::row).collect());
    tables.iter().for_each(|taken| by_column(&mut report, taken));
    report.note(
        "The newest version's files count; older versions lie beside them for ten minutes. Parquet: pyarrow, zstd level \
         3, row groups of a million rows, the columns that the table has, log order.",
    );
    report
}

impl Taken {
    fn of(python: &Path, telemetry: &Telemetry, table: &'static str, parquet: &Path, rows: u64) -> Taken {
        let folder = telemetry.data.join("tables").join(format!("{table}.lance"));
        let args = [folder.to_string_lossy().into_owned(), parquet.to_string_lossy().into_owned()];
        let said = run_script(python, "columns.py", &args).unwrap_or_else(|why| panic!("{why}"));
        let found: Value = serde_json::from_str(&said).expect("columns.py prints JSON");
        let number = |name: &str| found[name].as_u64().expect("columns.py prints every figure");
        let columns = serde_json::from_value(found["columns"].clone()).expect("columns.py prints every column");
        assert!(number("data") > 0, "{table} holds no data files");
        Taken {
            table,
            rows,
            data: number("data"),
            indexes: number("indexes"),
            all: number("all"),
            parquet: number("parquet"),
            fragments: number("fragments"),
            columns,
        }
    }

    fn a_row(&self, bytes: u64) -> String {
        figure(bytes as f64 / self.rows as f64)
    }

    fn ratio(&self, bytes: u64) -> f64 {
        bytes as f64 / self.parquet as f64
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.table.to_owned(),
            self.a_row(self.data),
            self.a_row(self.indexes),
            self.a_row(self.parquet),
            figure(self.ratio(self.data)),
            figure(self.ratio(self.data + self.indexes)),
            self.fragments.to_string(),
        ]
    }
}

fn goals(report: &mut Report, logs: &Taken) {
    for (what, bytes, most) in [("data files", logs.data, 1.15), ("with indexes", logs.data + logs.indexes, 1.6)] {
        report.goal(Goal {
            what: &format!("bytes a log row, {what}, over Parquet zstd-3"),
            bound: Bound::AtMost(most),
            unit: "x",
            value: Some(logs.ratio(bytes)),
            ours: format!("{} B/row", logs.a_row(bytes)),
            peer: format!("Parquet {} B/row", logs.a_row(logs.parquet)),
        });
    }
}

/// Where the bytes go: both sides, column by column.
fn by_column(report: &mut Report, taken: &Taken) {
    let mut columns = taken.columns.clone();
    columns.sort_by_key(|(_, ours, theirs)| std::cmp::Reverse(*ours.max(theirs)));
    let all: u64 = columns.iter().map(|(_, ours, theirs)| ours.max(theirs)).sum();
    let small = |bytes: u64| (bytes as f64) < SHARE_SHOWN * all as f64;
    let at = columns.iter().position(|(_, ours, theirs)| small(*ours.max(theirs))).unwrap_or(columns.len());
    let rest = columns.split_off(at);
    let sum = |of: fn(&(String, u64, u64)) -> u64| rest.iter().map(of).sum();
    columns.push((format!("{} other columns", rest.len()), sum(|c| c.1), sum(|c| c.2)));
    let row = |(name, ours, theirs): &(String, u64, u64)| vec![name.clone(), taken.a_row(*ours), taken.a_row(*theirs)];
    let title = format!("{}, column by column", taken.table);
    report.table(&title, &["column", "ours, B/row", "Parquet, B/row"], columns.iter().map(row).collect());
    let figures = json!({
        "data": taken.data, "indexes": taken.indexes, "all": taken.all, "parquet": taken.parquet,
        "columns": taken.columns,
    });
    report.raw(taken.table, figures);
}
