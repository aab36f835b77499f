//! Rules in this process: a hundred over a million rows, the difference of a hundred thousand tracked rows, and how late a
//! thousand schedules are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Clock, Column, Frame, Rows, Table, Type, Value, WallClock};
use jobs::rows::{Seen, Tracked, difference};
use jobs::rule::{Found, Rule};
use jobs::runner::Runner;
use serde_json::{Map, json};
use tokio::runtime::Runtime;

use super::{Process, ROUNDS, python};
use crate::Context;
use crate::report::{Bound, Goal, Report, Spread, figure, percentile};

const ROWS: usize = 1_000_000;
const RULES: usize = 100;
const TRACKED: usize = 100_000;
const SCHEDULES: usize = 1_000;
/// Every schedule comes once in this time.
const EVERY: Duration = Duration::from_secs(60);
const FRAME_ROWS: usize = 50_000;
const RULES_GOAL_S: f64 = 1.4;
const DIFFERENCE_GOAL_S: f64 = 0.08;
const LATE_MS_GOAL: f64 = 50.0;

static ROW: Table = Table::new(
    "bench_row",
    "Rows under rules.",
    &[
        Column::new("tenant", Type::Name, "The tenant.").required(),
        Column::new("time", Type::Time, "When.").required(),
        Column::new("n", Type::Int, "Its number.").required(),
        Column::new("team", Type::Int, "One of a hundred.").required(),
        Column::new("value", Type::Int, "A number that looks like chance.").required(),
    ],
);

/// All three.
pub fn measure(context: &Context, report: &mut Report, runtime: &Runtime) {
    over_rows(context, report, runtime);
    of_tracked(context, report);
    schedules(context, report, runtime);
}

async fn fill(process: &Process, rows: usize) {
    let now_us = WallClock.now_us();
    for first in (0..rows).step_by(FRAME_ROWS) {
        let mut batch = Rows::new(&ROW);
        for n in first..(first + FRAME_ROWS).min(rows) {
            let number = |n: usize| Value::Int(i64::try_from(n).expect("a row's number"));
            batch.set("tenant", "acme").set("time", Value::Time(now_us)).set("n", number(n));
            batch.set("team", number(n % RULES)).set("value", number(n * 7_919 % 100_003));
            batch.end_row().expect("a row of the table");
        }
        let mut frame = Frame::new("bench");
        frame.push_rows(&mut batch);
        process.store.append(frame).await.expect("the rows are taken");
    }
    process.store.flush().await.expect("the rows are flushed");
}

fn rule(name: &str, header: &str, sql: &str) -> Rule {
    let text = format!("-- ---\n-- owner: bench\n{header}-- new: http(\"http://nobody/\")\n-- ---\n{sql}\n");
    Rule::parse(name, &text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

async fn load(runner: &Runner, rules: Vec<Rule>) {
    let found = rules.into_iter().map(|rule| Found { path: PathBuf::from(&rule.name), rule: Ok(rule) });
    let refused = runner.load(found.collect()).await.expect("the rules are taken");
    assert!(refused.is_empty(), "{refused:?}");
}

/// Runs every rule once, whose time is now.
async fn all_once(runner: &Runner, names: &[String]) -> f64 {
    for name in names {
        runner.book().touch(name, WallClock.now_us()).await.expect("a rule is due");
    }
    let begun = Instant::now();
    runner.once().await.expect("the rules run");
    begun.elapsed().as_secs_f64()
}

async fn runs(process: &Process, sql: &'static str) -> i64 {
    process.store.state().fetch(sql, &[]).await.expect("a count")[0].get("n").expect("a number")
}

fn over_rows(context: &Context, report: &mut Report, runtime: &Runtime) {
    let count = context.scaled(ROWS);
    context.say(format_args!("{RULES} rules over {count} rows"));
    let sql = |at: usize| format!("SELECT n, value FROM bench_row WHERE team = {at} AND value > 99000");
    let (first, later, large) = runtime.block_on(async {
        let process = Process::idle(context, None, &[&ROW]).await;
        fill(&process, count).await;
        let header = "-- every: 1h\n-- key: [n]\n-- watch: [value]\n";
        let names: Vec<String> = (0..RULES).map(|at| format!("bench/{at:03}")).collect();
        let mut rules: Vec<Rule> = (0..RULES).map(|at| rule(&names[at], header, &sql(at))).collect();
        let tracked = context.scaled(TRACKED);
        let large = format!("SELECT n, value FROM bench_row WHERE n < {tracked}");
        rules.push(rule("bench/large", header, &large));
        load(&process.runner, rules).await;
        let first = all_once(&process.runner, &names).await;
        let mut later = Vec::new();
        for _ in 0..ROUNDS {
            later.push(all_once(&process.runner, &names).await);
        }
        let good = runs(&process, "SELECT count(*) AS n FROM rule_run WHERE status = 'done'").await;
        assert_eq!(good, i64::try_from(RULES * (ROUNDS + 1)).expect("a count"), "every rule ran");
        assert!(runs(&process, "SELECT count(*) AS n FROM rule_row").await > 0, "their rows are tracked");
        let large = ["bench/large".to_owned()];
        let large = [all_once(&process.runner, &large).await, all_once(&process.runner, &large).await];
        process.stop().await;
        (first, later, large)
    });
    let later = Spread::of(&later);
    let peer = python(context, "jobs_rules.py", &[count.to_string(), RULES.to_string()]);
    let theirs = match &peer {
        Ok(found) => found["seconds"].as_f64(),
        Err(why) => {
            report.missing("DuckDB", why);
            None
        }
    };
    report.goal(Goal {
        what: &format!("{RULES} rules over {count} rows, what they track kept"),
        bound: Bound::AtMost(RULES_GOAL_S),
        unit: "s",
        value: Some(later.median),
        ours: format!("{later} s"),
        peer: theirs.map_or_else(String::new, |s| format!("DuckDB, the SELECTs alone: {} s", figure(s))),
    });
    report.table(
        &format!("Rules over {count} rows"),
        &["what", "s"],
        vec![
            vec![format!("{RULES} rules, their first run: all rows become tracked"), figure(first)],
            vec![format!("{RULES} rules, nothing changed"), later.to_string()],
            vec!["one rule of 100,000 rows at full size, its first run".to_owned(), figure(large[0])],
            vec!["the same again, nothing changed".to_owned(), figure(large[1])],
        ],
    );
    report
        .note("dbt 1.10 took 7.0 to 9.6 s for 100 tests over a million rows where it was measured; it keeps no state.");
    report.raw("rules", json!({"first_s": first, "later_s": later.median, "large_s": large, "duckdb": peer.ok()}));
}

/// The difference alone, as a pure function: one row in a hundred changed, one went and another came.
fn of_tracked(context: &Context, report: &mut Report) {
    let count = context.scaled(TRACKED);
    let rule = rule("bench/difference", "-- every: 1h\n-- key: [n]\n-- watch: [value]\n", "SELECT 1 AS n, 2 AS value");
    let rows = |churned: bool| -> Vec<Seen> {
        let row = |n: usize| {
            let (n, value) = match (churned, n % 100) {
                (true, 0) => (n, n + 1),
                (true, 1) => (n + count, n),
                _ => (n, n),
            };
            let data: Map<_, _> =
                [("n".to_owned(), n.into()), ("value".to_owned(), value.into())].into_iter().collect();
            Seen { key: format!("[{n}]"), watch: format!("{value:064}"), data }
        };
        (0..count).map(row).collect()
    };
    let first = difference(&rule.header, &BTreeMap::new(), rows(false), 0, true, false).expect("a difference");
    let tracked: BTreeMap<String, Tracked> = first.tracked.into_iter().collect();
    let times: Vec<f64> = (0..ROUNDS * 3)
        .map(|_| {
            let rows = rows(true);
            let begun = Instant::now();
            let found = difference(&rule.header, &tracked, rows, 3_600_000_000, false, false).expect("a difference");
            let took = begun.elapsed().as_secs_f64();
            assert_eq!(found.moves.len(), 3 * count / 100, "changed, came and went");
            took
        })
        .collect();
    let ours = Spread::of(&times);
    let peer = python(context, "jobs_difference.py", &[count.to_string()]);
    let theirs = match &peer {
        Ok(found) => found["seconds"].as_f64(),
        Err(why) => {
            report.missing("the difference as SQL in SQLite", why);
            None
        }
    };
    report.goal(Goal {
        what: &format!("difference of {count} tracked rows, 3 in a hundred of them new, changed or gone"),
        bound: Bound::AtMost(DIFFERENCE_GOAL_S),
        unit: "s",
        value: Some(ours.median),
        ours: format!("{ours} s"),
        peer: theirs.map_or_else(String::new, |s| format!("as SQL in SQLite: {} s", figure(s))),
    });
    report.raw("difference", json!({"s": times, "sqlite": peer.ok()}));
}

/// How long after its tick a run begins.
fn schedules(context: &Context, report: &mut Report, runtime: &Runtime) {
    let window = if context.quick { EVERY / 4 } else { EVERY + Duration::from_secs(5) };
    context.say(format_args!("{SCHEDULES} schedules for {} s", window.as_secs()));
    let (late, counted) = runtime.block_on(async {
        let process = Process::idle(context, None, &[&ROW]).await;
        fill(&process, SCHEDULES).await;
        let header = format!("-- every: {0}s\n-- spread: {0}s\n-- key: [n]\n", EVERY.as_secs());
        let rules = (0..SCHEDULES)
            .map(|at| rule(&format!("bench/{at:04}"), &header, &format!("SELECT n FROM bench_row WHERE n = {at}")));
        load(&process.runner, rules.collect()).await;
        // Ticks that came while the rules were loaded are late for a reason of their own.
        let begun_us = WallClock.now_us();
        let running = tokio::spawn({
            let runner = Arc::clone(&process.runner);
            async move { runner.run(true).await }
        });
        tokio::time::sleep(window).await;
        running.abort();
        let _ = running.await;
        let sql = "SELECT tick, began_at FROM rule_run WHERE tick > $1 AND status = 'done'";
        let rows = process.store.state().fetch(sql, &[Value::Time(begun_us)]).await.expect("the runs");
        let late = rows.iter().map(|row| {
            let (tick, began): (i64, i64) = (row.get("tick").expect("a time"), row.get("began_at").expect("a time"));
            (began - tick) as f64 / 1e3
        });
        let mut late: Vec<f64> = late.collect();
        late.sort_by(f64::total_cmp);
        process.stop().await;
        let counted = late.len();
        (late, counted)
    });
    assert!(counted > 0, "no schedule came");
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| percentile(&late, share));
    report.goal(Goal {
        what: &format!("lateness of {SCHEDULES} schedules, 99 of 100 runs"),
        bound: Bound::AtMost(LATE_MS_GOAL),
        unit: "ms",
        value: Some(p99),
        ours: format!("p50 {} ms, p99 {} ms, most {} ms, {counted} runs", figure(p50), figure(p99), figure(most)),
        peer: "DBOS: 380 to 2,280 ms where it was measured".to_owned(),
    });
    report.raw("late_ms", json!({"p50": p50, "p99": p99, "max": most, "runs": counted}));
}
