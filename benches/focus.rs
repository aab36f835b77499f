//! A million FOCUS rows: loading a CSV through the file door against DuckDB reading the same file into exact decimals,
//! and the commonest questions about cost on both.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use serde_json::json;

use crate::questions::asked;
use crate::questions::engines::{Engine, Ours, Peer, run_script};
use crate::questions::{prepare, race};
use crate::report::{Bound, Goal, Report, Spread, figure};
use crate::{Context, harness, peer};

const QUESTIONS: &str = include_str!("sql/focus.sql");
const DUCKDB_LOAD: &str = include_str!("sql/duckdb_focus.sql");
const SAMPLE: &str = "tests/fixtures/cost/focus_1.2_synthetic_80.csv";
const ROWS: usize = 1_000_000;
/// Raised when the generator writes other rows.
const VERSION: u32 = 1;
const ROUNDS: usize = 3;

/// What one load took.
struct Loaded {
    wall_s: f64,
    cpu_s: f64,
}

/// Loads and asks.
pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let Some(python) = &context.python else {
        report.missing("DuckDB", "the Python environment of the bench is not there; it also writes the rows");
        return report;
    };
    let rows = context.scaled(ROWS);
    let folder = context.folder.join(format!("focus-{VERSION}-{rows}"));
    fs::create_dir_all(&folder).expect("the folder for measurements can be made");
    let file = written(context, python, &folder, rows);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (data, duck) = (folder.join("data"), folder.join("duck"));
    let mut kept = None;
    for round in 0..ROUNDS {
        ours.push(load_ours(&data, &file));
        drop(kept.take());
        let (duckdb, loaded) = load_duckdb(python, &duck, &file);
        kept = Some(duckdb);
        theirs.push(loaded);
        context.say(format_args!(
            "load {round}: ours {:.1} s ({:.1} CPU-s), DuckDB {:.1} s ({:.1} CPU-s)",
            ours[round].wall_s, ours[round].cpu_s, theirs[round].wall_s, theirs[round].cpu_s
        ));
    }
    loads(&mut report, rows, &ours, &theirs);
    prepare::settle(context, &data);
    let mut ours = Ours::start(&data, &[]).unwrap_or_else(|why| panic!("{why}"));
    ours.arrow = true;
    let mut duckdb = kept.expect("there was a round");
    for (engine, count) in [(&mut ours as &mut dyn Engine, "focus_data_table"), (&mut duckdb, "focus_data_table")] {
        let answered = engine.ask(&format!("SELECT count(*) AS n FROM {count}")).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(answered.rows[0][0].as_deref(), Some(rows.to_string().as_str()), "{} has every row", engine.name());
    }
    let race = race::run(context, asked::read(QUESTIONS, &[]), &mut [&mut ours, &mut duckdb]);
    ours.stop();
    report.goal(Goal {
        what: "the 32 commonest questions about cost, median of ours over DuckDB's",
        bound: Bound::AtMost(1.0),
        unit: "x",
        value: race.median_ratio("duckdb"),
        ours: format!("geomean {}", race.geomean("duckdb").map_or_else(|| "none".to_owned(), figure)),
        peer: "DuckDB, native table".to_owned(),
    });
    race.tables(&mut report, &format!("{rows} FOCUS rows; medians"), &std::collections::BTreeMap::new());
    report.note(
        "Rows are generated from the sample in `tests/fixtures/cost`. Ours loads with `stellwerk ingest cost`, from \
         the start of the process to its end; DuckDB's time is the statement and CHECKPOINT alone. Ours answers over \
         HTTP in Arrow. Ours has 2 GiB of memory (`--memory`), the peers what they like. Texts: `benches/sql/focus.sql`.",
    );
    race.insist();
    report
}

/// The CSV, made once.
fn written(context: &Context, python: &Path, folder: &Path, rows: usize) -> PathBuf {
    let file = folder.join("focus.csv");
    if !file.exists() {
        context.say(format_args!("writing {rows} FOCUS rows"));
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join(SAMPLE);
        let args = [sample.to_string_lossy().into_owned(), rows.to_string(), file.to_string_lossy().into_owned()];
        run_script(python, "focus_rows.py", &args).unwrap_or_else(|why| panic!("{why}"));
    }
    file
}

fn load_ours(data: &Path, file: &Path) -> Loaded {
    let _ = fs::remove_dir_all(data);
    let (begun, cpu_s) = (Instant::now(), peer::cpu_s(std::process::id()));
    let mut command = harness::command(&["ingest", "cost"]);
    let done = command.arg(file).arg("--data").arg(data).stdin(Stdio::null()).output().expect("the binary starts");
    let wall_s = begun.elapsed().as_secs_f64();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Loaded { wall_s, cpu_s: peer::cpu_s(std::process::id()) - cpu_s }
}

fn load_duckdb(python: &Path, folder: &Path, file: &Path) -> (Peer, Loaded) {
    let _ = fs::remove_dir_all(folder);
    let mut duckdb = Peer::start("duckdb", python, folder).unwrap_or_else(|why| panic!("{why}"));
    let mut loaded = Loaded { wall_s: 0.0, cpu_s: 0.0 };
    for sql in [DUCKDB_LOAD.replace("{file}", &file.to_string_lossy()), "CHECKPOINT".to_owned()] {
        let did = duckdb.run(&sql).unwrap_or_else(|why| panic!("{why}"));
        loaded.wall_s += did["ms"].as_f64().unwrap_or(f64::NAN) / 1e3;
        loaded.cpu_s += did["cpu_s"].as_f64().unwrap_or(f64::NAN);
    }
    (duckdb, loaded)
}

fn loads(report: &mut Report, rows: usize, ours: &[Loaded], theirs: &[Loaded]) {
    let spread = |loads: &[Loaded], of: fn(&Loaded) -> f64| Spread::of(&loads.iter().map(of).collect::<Vec<_>>());
    let [wall, cpu]: [fn(&Loaded) -> f64; 2] = [|load| load.wall_s, |load| load.cpu_s];
    let line = |name: &str, loads: &[Loaded]| {
        let rate = figure(rows as f64 / spread(loads, wall).median);
        vec![name.to_owned(), spread(loads, wall).to_string(), spread(loads, cpu).to_string(), rate]
    };
    let table = vec![line("stellwerk", ours), line("duckdb", theirs)];
    report.table(&format!("Loading {rows} rows, durable"), &["engine", "wall, s", "CPU, s", "rows/s"], table);
    let (mine, other) = (spread(ours, wall).median, spread(theirs, wall).median);
    report.goal(Goal {
        what: "loading FOCUS rows: DuckDB's time over ours",
        bound: Bound::AtLeast(1.0),
        unit: "x",
        value: Some(other / mine),
        ours: format!("{} s", figure(mine)),
        peer: format!("DuckDB {} s", figure(other)),
    });
    let raw = |loads: &[Loaded]| json!(loads.iter().map(|load| [load.wall_s, load.cpu_s]).collect::<Vec<_>>());
    report.raw("loads_wall_cpu_s", json!({"stellwerk": raw(ours), "duckdb": raw(theirs)}));
}
