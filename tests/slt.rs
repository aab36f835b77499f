//! `tests/sql/*.slt`: SQL with its answers, over HTTP, on a store that holds every fixture. `BLESS=1` writes the answers.

use std::fmt;
use std::path::{Path, PathBuf};

use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner};

use crate::harness::{Ground, Http, Server};

struct Door(Http);

#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl DB for Door {
    type Error = Refused;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        let answer = self.0.ask(sql).map_err(|reply| Refused(reply.text()))?;
        let empty = |cell: String| if cell.is_empty() { "(empty)".to_owned() } else { cell };
        let rows = answer.rows.into_iter().map(|row| row.into_iter().map(empty).collect()).collect();
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; answer.columns.len()], rows })
    }

    fn engine_name(&self) -> &str {
        "stellwerk"
    }
}

/// The records of the demo, by the word that reads them.
pub fn ingest_fixtures(ground: &Ground) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let ingest = |kind: &str, paths: &[&str], more: &[&str]| {
        let paths: Vec<String> = paths.iter().map(|path| fixtures.join(path).display().to_string()).collect();
        let mut args = vec!["ingest", kind];
        args.extend(paths.iter().map(String::as_str).chain(more.iter().copied()));
        ground.run(&args).ok();
    };
    ingest("cost", &["cost/focus_1.0_real_1000.csv"], &[]);
    ingest("k8s", &["k8s", "demo/pods-default.json"], &["--cluster", "demo"]);
    ingest("ado", &["ado", "demo/build.failed.json"], &[]);
    ingest("price", &["cost/llm_prices/litellm_model_prices_reduced.json"], &[]);
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql");
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("tests/sql").flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.extension().is_some_and(|e| e == "slt"));
    found.sort();
    found
}

#[test]
fn every_script_of_sql_answers_as_written() {
    let ground = Ground::new();
    ingest_fixtures(&ground);
    let server = Server::start(&ground, &[]);
    for script in scripts() {
        run_file(&server, script);
    }
}

/// Runs one script against a server, or writes its answers.
pub fn run_file(server: &Server, script: PathBuf) {
    let mut runner = Runner::new(|| async { Ok(Door(server.connect())) });
    if std::env::var_os("BLESS").is_some() {
        let update = runner.update_test_file(
            &script,
            " ",
            sqllogictest::default_validator,
            sqllogictest::default_normalizer,
            sqllogictest::default_column_validator,
        );
        futures::executor::block_on(update).unwrap_or_else(|why| panic!("{}: {why}", script.display()));
    } else {
        runner.run_file(&script).unwrap_or_else(|why| panic!("{}\n{why}", script.display()));
    }
}
