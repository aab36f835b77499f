//! The results page: rendered from the JSON of the suites, so that nothing on it was typed by hand.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use crate::SUITES;

const HEAD: &str = "\
# What was measured

Written by `make bench`; every figure comes from the JSON file beside it. Ours and the peers run on the same machine, on
the same bytes, in turns; a figure is the median of its rounds, with the least and the greatest where it stands in
brackets. The load generator runs on the same cores. CPU-seconds are the operating system's, of the server and its children.
";

/// The page over every suite whose results lie in the folder.
pub fn render(folder: &Path) -> String {
    let documents: Vec<Value> = SUITES.iter().filter_map(|suite| read(folder, suite.name)).collect();
    let mut page = HEAD.to_owned();
    if documents.iter().any(|document| document["quick"] == true) {
        page.push_str("\n**A trial run at a tenth of the size: not to be quoted.**\n");
    }
    page.push_str(
        "\n## Goals\n\n| suite | what | goal | measured | ours | peer | verdict |\n|---|---|---|---|---|---|---|\n",
    );
    for document in &documents {
        list(&document["goals"]).for_each(|goal| goal_row(&mut page, &document["suite"], goal));
    }
    documents.iter().for_each(|document| section(&mut page, document));
    page
}

/// The verdicts of one suite as lines for a terminal.
pub fn verdicts(document: &Value) -> String {
    let line = |goal: &Value| {
        let peer = if text(&goal["peer"]).is_empty() { String::new() } else { format!("; {}", text(&goal["peer"])) };
        format!(
            "  {:<12} {}: {} ({}{peer})\n",
            text(&goal["verdict"]),
            text(&goal["what"]),
            text(&goal["goal"]),
            text(&goal["ours"])
        )
    };
    list(&document["goals"]).map(line).collect()
}

fn read(folder: &Path, suite: &str) -> Option<Value> {
    let path = folder.join(format!("{suite}.json"));
    let text = std::fs::read_to_string(&path).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|cause| panic!("{}: {cause}", path.display())))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace('|', "\\|").replace('\n', " "),
        other => other.to_string(),
    }
}

fn goal_row(page: &mut String, suite: &Value, goal: &Value) {
    let verdict = match text(&goal["verdict"]).as_str() {
        "missed" => "**missed**".to_owned(),
        other => other.to_owned(),
    };
    let cells = [suite, &goal["what"], &goal["goal"], &goal["shown"], &goal["ours"], &goal["peer"]].map(text);
    let _ = writeln!(page, "| {} | {verdict} |", cells.join(" | "));
}

fn section(page: &mut String, document: &Value) {
    let machine = &document["machine"];
    let _ = write!(
        page,
        "\n## {}: {}\n\n`{}`",
        text(&document["suite"]),
        text(&document["shows"]),
        text(&document["repeat"])
    );
    let _ = writeln!(
        page,
        " took {} s at commit {} on {} cores of {}, {}, {}; a bare 4 KiB fdatasync takes {} µs (p99 {} µs); load average {}.",
        document["took_s"],
        text(&document["commit"]),
        machine["cores"],
        text(&machine["cpu"]),
        text(&machine["memory"]),
        text(&machine["os"]),
        machine["fsync_p50_us"],
        machine["fsync_p99_us"],
        machine["load_average"],
    );
    for peer in list(&document["missing"]) {
        let _ = writeln!(page, "\n**Measured without a peer.** {}", text(peer));
    }
    list(&document["tables"]).for_each(|table| table_rows(page, table));
    let notes: Vec<_> = list(&document["notes"]).collect();
    if !notes.is_empty() {
        page.push('\n');
    }
    for note in notes {
        let _ = writeln!(page, "- {}", text(note));
    }
}

fn table_rows(page: &mut String, table: &Value) {
    let columns: Vec<String> = list(&table["columns"]).map(text).collect();
    let _ = writeln!(page, "\n**{}**\n\n| {} |", text(&table["title"]), columns.join(" | "));
    let _ = writeln!(page, "|{}", "---|".repeat(columns.len()));
    for row in list(&table["rows"]) {
        let _ = writeln!(page, "| {} |", list(row).map(text).collect::<Vec<_>>().join(" | "));
    }
}
