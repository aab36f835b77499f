//! Apache DevLake's own raw answers of Azure DevOps, and the tables that it makes of them: ours say the same.

use std::fs;
use std::path::Path;

use engine::Value as Cell;
use ingest::ado::answer::{number, read};
use ingest::ado::origin::Origin;
use serde_json::Value;

use super::Tally;

struct Comparison {
    raw: &'static str,
    kind: &'static str,
    table: &'static str,
    golden: &'static str,
    /// Their column and ours; the first names the row.
    columns: &'static [(&'static str, &'static str)],
}

const COMPARISONS: &[Comparison] = &[
    Comparison {
        raw: "_raw_azuredevops_go_api_builds.csv",
        kind: "builds",
        table: "ado_build",
        golden: "_tool_azuredevops_go_builds.csv",
        columns: &[
            ("azuredevops_id", "id"),
            // They write the repository that they asked for; ours is what the build itself says.
            ("status", "status"),
            ("result", "result"),
            ("name", "definition"),
            ("source_branch", "source_branch"),
            ("source_version", "source_version"),
            ("tags", "build_tags"),
            ("queue_time", "queue_time"),
            ("start_time", "start_time"),
            ("finish_time", "finish_time"),
        ],
    },
    Comparison {
        raw: "_raw_azuredevops_go_api_timeline_records.csv",
        kind: "timeline",
        table: "ado_timeline_record",
        golden: "_tool_azuredevops_go_timeline_records.csv",
        columns: &[
            ("record_id", "id"),
            ("build_id", "build_id"),
            ("parent_id", "parent_id"),
            ("name", "name"),
            ("start_time", "start_time"),
            ("finish_time", "finish_time"),
            ("state", "state"),
            ("result", "result"),
        ],
    },
    Comparison {
        raw: "_raw_azuredevops_go_api_pull_requests.csv",
        kind: "pullRequests",
        table: "ado_pull_request",
        golden: "_tool_azuredevops_go_pull_requests.csv",
        columns: &[
            ("azuredevops_id", "pull_request_id"),
            ("repository_id", "repository_id"),
            ("creation_date", "creation_date"),
            ("merge_commit_sha", "last_merge_commit"),
            ("source_commit_sha", "last_merge_source_commit"),
            ("target_commit_sha", "last_merge_target_commit"),
            ("target_ref_name", "target_ref_name"),
            ("source_ref_name", "source_ref_name"),
            ("created_by_name", "created_by"),
            ("closed_date", "closed_date"),
            ("title", "title"),
        ],
    },
    Comparison {
        raw: "_raw_azuredevops_go_api_pull_request_commits.csv",
        kind: "commits",
        table: "ado_commit",
        golden: "_tool_azuredevops_go_commits.csv",
        columns: &[
            ("sha", "commit_id"),
            ("message", "comment"),
            ("author_name", "author_name"),
            ("author_email", "author_email"),
            ("authored_date", "author_date"),
            ("committer_name", "committer_name"),
            ("committed_date", "committer_date"),
        ],
    },
];

pub fn run(suite: &Path) -> Option<Tally> {
    let mut tally = Tally::default();
    for comparison in COMPARISONS {
        let (raw, golden) = (suite.join("raw").join(comparison.raw), suite.join("golden").join(comparison.golden));
        if !raw.exists() || !golden.exists() {
            continue;
        }
        let ours = ours(comparison, &csv(&raw));
        for theirs in csv(&golden) {
            let (key, own) = comparison.columns[0];
            let name = format!("{} {}", comparison.golden, theirs.get(key));
            let found = ours.iter().filter(|row| plain(&row[own]) == theirs.get(key));
            let found: Vec<&Value> = found.collect();
            let same = |row: &&Value| {
                comparison.columns.iter().find(|(their, our)| !alike(&theirs.get(their), &plain(&row[*our])))
            };
            // One raw answer may come in several forms; one of them is the one they kept.
            let outcome = match found.iter().map(same).min_by_key(Option::is_some) {
                None => Err("there is no such row".to_owned()),
                Some(None) => Ok(()),
                Some(Some((their, our))) => {
                    Err(format!("{their} is {:?}, ours {:?}", theirs.get(their), plain(&found[0][*our])))
                }
            };
            tally.case(&name, outcome);
        }
    }
    Some(tally)
}

/// A line of a file with its head.
struct Line {
    head: Vec<String>,
    cells: Vec<String>,
}

impl Line {
    fn get(&self, name: &str) -> String {
        let at = self.head.iter().position(|column| column == name);
        at.and_then(|at| self.cells.get(at)).cloned().unwrap_or_default()
    }
}

fn csv(path: &Path) -> Vec<Line> {
    let text = fs::read_to_string(path).expect("the table is readable");
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let head: Vec<String> = reader.headers().expect("the table has a head").iter().map(str::to_owned).collect();
    let lines = reader.records().map_while(Result::ok);
    lines.map(|line| Line { head: head.clone(), cells: line.iter().map(str::to_owned).collect() }).collect()
}

fn ours(comparison: &Comparison, raw: &[Line]) -> Vec<Value> {
    let mut rows = Vec::new();
    for line in raw {
        let json = |name: &str| serde_json::from_str::<Value>(&line.get(name)).unwrap_or(Value::Null);
        let (params, input, body) = (json("params"), json("input"), json("data"));
        let origin =
            Origin { tenant: "t".to_owned(), organization: "o".to_owned(), version: Some(1), ..Origin::default() };
        let repository = params["RepositoryId"].as_str().unwrap_or_default().to_owned();
        let build = ["AzuredevopsId", "Id", "BuildId", "azuredevopsId"].iter().find_map(|name| input[*name].as_i64());
        let given: Vec<(&'static str, Cell)> = match comparison.kind {
            "commits" => vec![("repository_id", repository.into())],
            "timeline" => vec![("build_id", build.map_or_else(|| number("0"), Cell::Int))],
            _ => vec![],
        };
        let Some((batches, _, _)) = read(comparison.kind, &body, &origin, &given) else { continue };
        for batch in batches.iter().filter(|batch| batch.table.name == comparison.table) {
            let mut writer = engine::arrow::json::LineDelimitedWriter::new(Vec::new());
            writer.write(&batch.rows).expect("a batch is written as JSON");
            writer.finish().expect("a batch is written as JSON");
            let text = String::from_utf8(writer.into_inner()).expect("JSON is UTF-8");
            rows.extend(text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()));
        }
    }
    rows
}

fn plain(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The same, times to the millisecond; their texts lost their white space.
fn alike(theirs: &str, ours: &str) -> bool {
    let squeezed = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    if squeezed(theirs) == squeezed(ours) || (theirs == "[]" && ours.is_empty()) {
        return true;
    }
    match (milliseconds(theirs), milliseconds(ours)) {
        (Some(theirs), Some(ours)) => (theirs - ours).abs() <= 1,
        _ => false,
    }
}

/// Milliseconds within the day, behind the date as a number: enough to compare two instants of UTC.
fn milliseconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let time = time.split(['+', 'Z']).next()?;
    let mut parts = time.split(':');
    let (hours, minutes): (i64, i64) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let seconds: f64 = parts.next()?.parse().ok()?;
    let days: i64 = date.replace('-', "").parse().ok()?;
    Some(((days * 24 + hours) * 60 + minutes) * 60_000 + (seconds * 1_000.0).round() as i64)
}
