//! An organization of Azure DevOps with 35,000 entities, read from nothing by the real binary: whether its budget alone says
//! how long that takes, what it costs us, and whether the tables are what the organization holds.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::Context;
use crate::harness::{Ground, command};
use crate::organization::clock::Turned;
use crate::organization::door::{Door, LIMIT};
use crate::organization::world::World;
use crate::peer::{self, Ended};
use crate::report::{Bound, Goal, Report, figure};

mod truth;

const SEED: u64 = 20_261_127;
const ENTITIES: usize = 35_000;
/// Budgets of five minutes that the backfill is made to cost, at any size: fewer would show the beginning alone.
const BUDGETS: f64 = 2.3;
/// Requests for an entity, about: many come a hundred at once, many need one of their own.
const REQUESTS_AN_ENTITY: f64 = 0.3;
/// Items that the real interface puts on a page.
const PAGE: usize = 100;
const USED_GOAL_PERCENT: f64 = 90.0;

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    let now_us = i64::try_from(since.as_micros()).expect("before the year 294247");
    let world = World::grown(SEED, now_us, context.scaled(ENTITIES));
    let (entities, tables) = (world.entities(), truth::of(&world));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime for the source");
    let door = runtime.block_on(Door::open(world, Arc::new(Turned::Machine)));
    door.pages_of(PAGE);
    door.dear(BUDGETS * LIMIT / (entities as f64 * REQUESTS_AN_ENTITY));
    context.say(format_args!("{entities} entities wait at {}", door.url()));
    let ground = Ground::under(&context.folder);
    std::fs::write(ground.beside("token"), door.token()).expect("a file for the token");
    let first = pass(&ground, &door);
    let (spent, least_s) = (door.spent(), door.spent().2 as f64 / 1e6);
    let used_percent = door.used_share() * 100.0;
    context.say(format_args!(
        "{} requests in {:.0} s, {least_s:.0} s at the least, {used_percent:.1} % of the budget used, {} answers of 429",
        spent.0,
        first.wall_s,
        door.throttled()
    ));
    let rows: usize = tables.iter().map(|table| table.hold(&ground)).sum();
    let again = pass(&ground, &door);
    for (what, bound, unit, value) in [
        ("share of the budget used while there was more to ask", Bound::AtLeast(USED_GOAL_PERCENT), "%", used_percent),
        ("answers of 429", Bound::AtMost(0.0), "answers", door.throttled() as f64),
    ] {
        let ours = format!("{} {unit}, {entities} entities", figure(value));
        report.goal(Goal { what, bound, unit, value: Some(value), ours, peer: String::new() });
    }
    let count = |pass: &Pass, of: &str, name: &str| pass.outcome[of][name].as_u64().unwrap_or(0);
    let row = |name: &str, pass: &Pass, cost: f64| {
        let traffic = |name: &str| count(pass, "traffic", name);
        let waited_s = traffic("waited_ms") as f64 / 1e3;
        let cells = [pass.wall_s, pass.cpu_s, pass.peak_mb, cost, waited_s].map(figure);
        let numbers = [traffic("requests"), count(pass, "total", "changed")].map(|n| n.to_string());
        [name.to_owned()].into_iter().chain(numbers).chain(cells).collect::<Vec<String>>()
    };
    let columns =
        ["pass", "requests", "rows written", "wall, s", "CPU, s", "resident at the most, MB", "TSTU", "waited, s"];
    let rows_of = vec![row("from nothing", &first, spent.1), row("again", &again, door.spent().1 - spent.1)];
    report.table("`ingest ado`, one process with a store of its own", &columns, rows_of);
    report.note(format!(
        "{entities} entities; {rows} rows in {} tables are, column by column, what the organization holds. Five minutes have {LIMIT} TSTU; {} TSTU need {} s at the least, a budget spent at once and again when its five minutes are over. Waits of requests at the same time add up.",
        tables.len(),
        figure(spent.1),
        figure(least_s)
    ));
    report.note("The simulated organization of the tests runs on the same cores and takes 20 ms for an answer; what requests cost is its own invention, Azure DevOps does not publish it.");
    report.note("Published, not run here: Steampipe gives each plugin 1,024 MB unless told otherwise (its reference of configuration files, `memory_max_mb`) and stays within a source's budget by limiters that somebody writes (its guide on limiters).");
    report.raw(
        "backfill",
        json!({"entities": entities, "requests": spent.0, "wall_s": first.wall_s, "least_s": least_s, "cpu_s": first.cpu_s,
            "peak_mb": first.peak_mb, "tstu": spent.1, "used_percent": used_percent, "throttled": door.throttled(),
            "rows": rows, "again_wall_s": again.wall_s, "again_cpu_s": again.cpu_s, "again_changed": again.outcome["total"]["changed"]}),
    );
    report
}

/// One `ingest ado` as a process of its own.
struct Pass {
    outcome: Value,
    wall_s: f64,
    cpu_s: f64,
    peak_mb: f64,
}

fn pass(ground: &Ground, door: &Door) -> Pass {
    let auth = format!("pat:file:{}", ground.beside("token").display());
    let mut command = command(&["ingest", "ado", "--organization", &door.url(), "--auth", &auth, "--json", "--data"]);
    let out = ground.beside("outcome.json");
    let file = std::fs::File::create(&out).expect("a file for the outcome");
    let Ended { status, wall_s, cpu_s, peak_mb } = peer::watch(command.arg(ground.data()).stdout(file));
    assert!(status.success(), "ingest ado ended with {status}");
    let text = std::fs::read_to_string(&out).expect("the outcome");
    let outcome: Value = serde_json::from_str(&text).expect("the outcome is JSON");
    assert_eq!(outcome["rejected"], 0, "{outcome}");
    Pass { outcome, wall_s, cpu_s, peak_mb }
}
