//! Expected output as files that a person can read. `BLESS=1` writes them anew.

use std::fs;
use std::path::Path;

use crate::harness::Ground;

/// Compares with `tests/golden/{name}`, or writes it.
pub fn check(name: &str, got: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, got).expect("the golden file is written");
        return;
    }
    let expected =
        fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{}: {cause}: BLESS=1 writes it", path.display()));
    let mut lines = expected.lines().zip(got.lines()).enumerate();
    let first =
        lines.find(|(_, (a, b))| a != b).map_or(expected.lines().count().min(got.lines().count()), |(at, _)| at);
    let line = |text: &str| text.lines().nth(first).unwrap_or("(the end)").to_owned();
    assert!(
        expected == got,
        "{name} differs from line {}:\n  - {}\n  + {}\nBLESS=1 writes it",
        first + 1,
        line(&expected),
        line(got)
    );
}

#[test]
fn the_sql_reference_is_as_documented() {
    let ground = Ground::new();
    crate::slt::ingest_fixtures(&ground);
    check("tables.md", &ground.run(&["tables", "--format", "markdown"]).ok().stdout);
}

/// Rows of the README's table that end with the tables of a room, and what those tables' names begin with.
const LISTED: &[(&str, &str)] = &[("| **Kubernetes** |", "k8s_")];

#[test]
fn the_readme_lists_the_tables_that_exist() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).expect("the README is readable");
    let ground = Ground::new();
    // The store is made by the first command that writes.
    crate::slt::ingest_fixtures(&ground);
    let mut lines: Vec<String> = readme.lines().map(str::to_owned).collect();
    for (row, prefix) in LISTED {
        let sql =
            format!("SELECT table_name FROM information_schema.tables WHERE table_name LIKE '{prefix}%' ORDER BY 1");
        let names: Vec<String> = ground.ask(&sql).concat().iter().map(|name| format!("`{name}`")).collect();
        let line = lines.iter_mut().find(|line| line.starts_with(row)).expect("the README has the row");
        let head = line.split_once(" Tables: ").map_or(line.as_str(), |(head, _)| head);
        *line = format!("{head} Tables: {} |", names.join(", "));
    }
    let wanted = lines.join("\n") + "\n";
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, wanted).expect("the README is written");
        return;
    }
    assert!(readme == wanted, "the README does not list the tables that exist: BLESS=1 writes it");
}
