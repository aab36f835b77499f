//! ClickBench's 43 questions on generated rows of its schema: the engine inside this process against the peers inside
//! theirs. The rows are not ClickBench's own, so the times compare engines here and with nothing published.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::Context;
use crate::questions::asked;
use crate::questions::engines::{Engine, Peer, run_script};
use crate::questions::race;
use crate::report::Report;
use hits::InProcess;

mod hits;

const QUESTIONS: &str = include_str!("sql/clickbench.sql");
const ROWS: usize = 10_000_000;
/// Raised when the generator writes other rows.
const VERSION: u32 = 1;
/// What decides how our copy lies on disk.
const LAYOUT: &[&str] = &[
    include_str!("../engine/table.rs"),
    include_str!("../engine/facts.rs"),
    include_str!("../engine/facts/encode.rs"),
    include_str!("../engine/facts/maintain.rs"),
    include_str!("clickbench/hits.rs"),
];

/// The server's allocator, because the engine runs in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Asks them all.
pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let Some(python) = &context.python else {
        report.missing("chDB, DataFusion and DuckDB", "the Python environment of the bench is not there");
        return report;
    };
    let rows = context.scaled(ROWS);
    let folder = context.folder.join(format!("hits-{VERSION}-{rows}"));
    fs::create_dir_all(&folder).expect("the folder for measurements can be made");
    let parquet = written(context, python, &folder, rows);
    let mut ours = loaded(context, &folder, &parquet, rows);
    let mut peers = Vec::new();
    for name in ["datafusion", "duckdb", "chdb"] {
        context.say(format_args!("{name}: hits"));
        let opened = Peer::start(name, python, &folder).and_then(|mut peer| {
            peer.table("hits", std::slice::from_ref(&parquet), json!({ "create": chdb_table() }))?;
            Ok(peer)
        });
        match opened {
            Ok(peer) => peers.push(peer),
            Err(why) => report.missing(name, &why),
        }
    }
    let sums: Vec<String> = (0..90).map(|n| format!("SUM(ResolutionWidth + {n}) AS s{n}")).collect();
    let asked = asked::read(QUESTIONS, &[("sums", &sums.join(", "))]);
    let mut engines: Vec<&mut dyn Engine> = vec![&mut ours];
    engines.extend(peers.iter_mut().map(|peer| peer as &mut dyn Engine));
    let race = race::run(context, asked, &mut engines);
    race.goal(&mut report, "ClickBench's 43, ours over DataFusion on Parquet", "datafusion", 1.0);
    race.goal(&mut report, "ClickBench's 43, ours over DuckDB's native table", "duckdb", 2.0);
    let title = format!("{rows} generated rows of `hits`; medians");
    race.tables(&mut report, &title, &std::collections::BTreeMap::new());
    report.raw("geomeans", race.geomeans());
    report.note(
        "The rows are generated (`benches/peers/hits_rows.py`), not ClickBench's. Every engine is asked inside its own \
         process, without a wire between. Ours has 2 GiB of memory, the peers what they like. Texts: `benches/sql/clickbench.sql`.",
    );
    ours.close();
    race.insist();
    report
}

/// The rows as Parquet, made once.
fn written(context: &Context, python: &Path, folder: &Path, rows: usize) -> PathBuf {
    let file = folder.join("hits.parquet");
    if !file.exists() {
        context.say(format_args!("writing {rows} rows of hits"));
        let columns = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/clickbench/columns.txt");
        let args = [columns.to_string_lossy().into_owned(), rows.to_string(), file.to_string_lossy().into_owned()];
        run_script(python, "hits_rows.py", &args).unwrap_or_else(|why| panic!("{why}"));
    }
    file
}

/// Our copy, loaded again when the store lays rows down otherwise than it did.
fn loaded(context: &Context, folder: &Path, parquet: &Path, rows: usize) -> InProcess {
    let (data, mark) = (folder.join("data"), folder.join("layout"));
    let layout = crate::questions::prepare::digest(LAYOUT);
    if fs::read_to_string(&mark).is_ok_and(|kept| kept == layout) {
        return InProcess::open(&data);
    }
    let _ = fs::remove_file(&mark);
    let _ = fs::remove_dir_all(&data);
    context.say("loading hits into the engine");
    let begun = std::time::Instant::now();
    let ours = InProcess::open(&data);
    assert_eq!(ours.load(parquet), rows as u64, "every row is loaded");
    context.say(format_args!("loaded in {:.0} s", begun.elapsed().as_secs_f64()));
    fs::write(&mark, layout).expect("the folder takes a file");
    ours
}

/// chDB's table, with the key of ClickBench's own declaration.
fn chdb_table() -> String {
    let column = |line: &str| {
        let (name, kind) = line.split_once(' ').expect("a line is a name and a kind");
        let kind = match kind {
            "i16" => "Int16",
            "i32" => "Int32",
            "i64" => "Int64",
            "time" => "DateTime64(6, 'UTC')",
            "date" => "Date",
            _ => "String",
        };
        format!("{name} {kind}")
    };
    let columns: Vec<String> = hits::COLUMNS.lines().map(column).collect();
    let key = "(CounterID, EventDate, UserID, EventTime, WatchID)";
    format!("CREATE TABLE hits ({}) ENGINE = MergeTree ORDER BY {key}", columns.join(", "))
}
