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
