//! Twenty questions of dashboards and people on call, over a day of logs and spans that came through the real door.
//! Every engine has the same rows and must give the same answers.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::Context;
use crate::report::{Bound, Goal, Report, Spread, figure};
use engines::{Engine, Ours, Peer};
use prepare::Telemetry;
use race::Race;

pub mod asked;
pub mod engines;
pub mod prepare;
pub mod race;

const QUESTIONS: &str = include_str!("sql/questions.sql");
/// chDB's tables as ClickStack declares OpenTelemetry's, in our column names.
const CHDB_LOGS: &str = include_str!("sql/chdb_otel_log.sql");
const CHDB_SPANS: &str = include_str!("sql/chdb_otel_span.sql");
/// The lookups that the goal against chDB is about.
const LOOKUPS: [&str; 2] = ["trace_spans", "trace_logs"];

/// Asks them all.
pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let telemetry = prepare::telemetry(context);
    let mut ours = Ours::start(&telemetry.data, &[]).unwrap_or_else(|why| panic!("{why}"));
    let mut peers = peers(context, &telemetry, &mut report);
    let asked = asked::read(QUESTIONS, &telemetry.words());
    let mut engines: Vec<&mut dyn Engine> = vec![&mut ours];
    engines.extend(peers.iter_mut().map(|peer| peer as &mut dyn Engine));
    let race = race::run(context, asked, &mut engines);
    let inside = inside(&mut ours, &race);
    ours.stop();
    goals(&race, &mut report);
    let title = format!("{} log rows, {} spans; medians", telemetry.log_rows, telemetry.span_rows);
    race.tables(&mut report, &title, &inside);
    report.note(
        "Ours is asked over HTTP with JSON answers, the peers inside a Python process that fetches Arrow; all are warm \
         and use all cores. Ours has 2 GiB of memory (`--memory`), the peers what they like. Texts: `benches/sql/questions.sql`.",
    );
    race.insist();
    report
}

/// The peers with their tables; those that cannot be there are said.
fn peers(context: &Context, telemetry: &Telemetry, report: &mut Report) -> Vec<Peer> {
    let Some(python) = &context.python else {
        report.missing("chDB, DataFusion and DuckDB", "the Python environment of the bench is not there");
        return Vec::new();
    };
    let mut found = Vec::new();
    for name in ["datafusion", "duckdb", "chdb"] {
        match open(name, python, telemetry, context) {
            Ok(peer) => found.push(peer),
            Err(why) => report.missing(name, &why),
        }
    }
    found
}

fn open(name: &'static str, python: &Path, telemetry: &Telemetry, context: &Context) -> Result<Peer, String> {
    let mut peer = Peer::start(name, python, &telemetry.folder)?;
    for (table, file, create) in [("otel_log", &telemetry.logs, CHDB_LOGS), ("otel_span", &telemetry.spans, CHDB_SPANS)]
    {
        context.say(format_args!("{name}: {table}"));
        peer.table(table, std::slice::from_ref(file), json!({ "create": create }))?;
    }
    Ok(peer)
}

/// Milliseconds inside the server, as `query_log` says, for each question.
fn inside(ours: &mut Ours, race: &Race) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for question in race.questions() {
        let ids: Vec<String> = race.query_ids(&question.name).iter().map(|id| format!("'{id}'")).collect();
        if ids.is_empty() {
            continue;
        }
        let sql = format!("SELECT duration_ms FROM query_log WHERE query_id IN ({})", ids.join(", "));
        let Ok(answered) = ours.ask(&sql) else { continue };
        let times: Vec<f64> = answered.rows.iter().filter_map(|row| row[0].as_ref()?.parse().ok()).collect();
        if let Some(spread) = Spread::maybe(&times) {
            found.insert(question.name.clone(), spread.median);
        }
    }
    found
}

fn goals(race: &Race, report: &mut Report) {
    race.goal(report, "20 questions, ours over DataFusion on Parquet", "datafusion", 1.0);
    race.goal(report, "20 questions, ours over DuckDB's native tables", "duckdb", 2.0);
    let of = |engine: &'static str| -> Option<f64> {
        let times: Option<Vec<f64>> = LOOKUPS.iter().map(|name| race.median(name, engine)).collect();
        times.map(|times| times.iter().sum())
    };
    let (ours, chdb) = (of("stellwerk"), of("chdb"));
    let shown = |ms: Option<f64>| ms.map_or_else(|| "not answered".to_owned(), |ms| format!("{} ms", figure(ms)));
    report.goal(Goal {
        what: "looking up a trace, spans and logs: chDB over ours",
        bound: Bound::AtLeast(5.0),
        unit: "x",
        value: ours.zip(chdb).map(|(ours, chdb)| chdb / ours.max(1e-3)),
        ours: shown(ours),
        peer: format!("chDB {}", shown(chdb)),
    });
    report.raw("geomeans", race.geomeans());
}
