//! Budgets: reserve and post a second on one node, durable, beside the same databases used one transaction a call; and
//! how long a decision takes that a caller waits for.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine::{Error, Settings, State, Value, WallClock};
use ledger::budget::{Amounts, Attributes, Author, Budgets, Key, Options, Request, Verdict};
use serde_json::json;

use crate::Context;
use crate::harness::Ground;
use crate::postgres::Postgres;
use crate::report::{Bound, Goal, Report, Spread, figure};

const ROUNDS: usize = 3;
/// Callers at once.
const CALLERS: usize = 1_024;
/// Callers at once where each call is a transaction: more only wait in the pool.
const NAIVE_CALLERS: usize = 64;
const ROUND: Duration = Duration::from_secs(8);
const DECISIONS: usize = 200_000;
/// Budgets in the plan, of which three count each request.
const BUDGETS: usize = 200;
const DECISION_US_GOAL: f64 = 5.0;
const RATIO_GOAL: f64 = 5.0;

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let round = ROUND.mul_f64(context.scale.max(0.2));
    let ground = Ground::under(&context.folder);
    std::fs::create_dir_all(ground.data()).expect("a folder");
    let sqlite = Settings::new(&ground.data());
    let mut rows = Vec::new();
    context.say("SQLite");
    rows.push(pair(&mut report, &runtime, "SQLite", &sqlite, round));
    match Postgres::start() {
        Ok(postgres) => {
            context.say("PostgreSQL");
            let settings = Settings { state: Some(postgres.url().to_owned()), ..Settings::new(&ground.data()) };
            rows.push(pair(&mut report, &runtime, "PostgreSQL", &settings, round));
        }
        Err(why) => report.missing("PostgreSQL", &why),
    }
    report.table(
        "Reserve and post, durable, one node",
        &["database", "grouped, pairs/s", "one transaction a call, pairs/s", "ratio", "false totals"],
        rows,
    );
    decisions(context, &mut report, &runtime);
    litellm(context, &mut report);
    report.note("Published elsewhere, not measured here: immudb 1.2 to 1.8 million entries a second (embedded, batches of 1,000, 4 cores of an E3-1275v6); TigerBeetle one million transfers a second on one core, in batches of up to 8,190. Both count entries of batches; a pair here is two acknowledged calls, a decision over every budget that counts the request, and four rows.");
    report
}

/// One database, by us and naively, in turns.
fn pair(
    report: &mut Report,
    runtime: &tokio::runtime::Runtime,
    name: &str,
    settings: &Settings,
    round: Duration,
) -> Vec<String> {
    let state = Arc::new(runtime.block_on(State::open(settings)).expect("the state database opens"));
    let (mut ours, mut naive) = (Vec::new(), Vec::new());
    let mut wrong = 0;
    for number in 0..ROUNDS {
        let (rate, off) = runtime.block_on(grouped(Arc::clone(&state), settings, number, round));
        ours.push(rate);
        wrong += off;
        naive.push(runtime.block_on(one_by_one(Arc::clone(&state), number, round)));
    }
    runtime.block_on(state.close());
    let (ours, naive) = (Spread::of(&ours), Spread::of(&naive));
    let ratio = ours.median / naive.median;
    report.goal(Goal {
        what: &format!("reserve and post on {name}, against one transaction a call"),
        bound: Bound::AtLeast(RATIO_GOAL),
        unit: "x",
        value: Some(ratio),
        ours: format!("{} pairs/s", figure(ours.median)),
        peer: format!("{} pairs/s", figure(naive.median)),
    });
    report.raw(name, json!({"ours": [ours.min, ours.median, ours.max], "naive": [naive.min, naive.median, naive.max]}));
    vec![name.to_owned(), spread(&ours), spread(&naive), figure(ratio), wrong.to_string()]
}

fn spread(of: &Spread) -> String {
    format!("{} ({} to {})", figure(of.median), figure(of.min), figure(of.max))
}

fn request(id: &str) -> Request {
    let object = json!({"x_app": "shop", "x_model": "gpt-5-mini", "x_user": "u17", "Tags": {"team": "web"}});
    let attributes = Attributes::parse(object.as_object().expect("an object")).expect("declared attributes");
    let amounts = Amounts::parse([("USD", "0.01"), ("tokens", "1200")]).expect("amounts");
    Request::new("acme", id, attributes, amounts).expect("a request")
}

fn plan() -> String {
    let mut file = String::from(
        "budgets:\n- {name: all, tenant: acme, unit: USD, limit: 900000000, window: month, zone: Europe/Berlin}\n\
         - {name: shop, tenant: acme, unit: USD, limit: 900000000, window: day, parent: all, scope: \"x_app = 'shop' AND x_model LIKE 'gpt-%'\"}\n\
         - {name: web, tenant: acme, unit: tokens, limit: 900000000000000, window: total, scope: \"Tags ->> 'team' IN ('web', 'api')\"}\n",
    );
    for at in 3..BUDGETS {
        file.push_str(&format!("- {{name: b{at}, tenant: acme, unit: USD, limit: 1, window: month, scope: \"x_app = 'other-{at}' AND x_env <> 'dev'\"}}\n"));
    }
    file
}

async fn budgets(state: Arc<State>, settings: &Settings, number: usize) -> Arc<Budgets> {
    let sole = settings.state.is_none();
    let options = Options::new(&format!("bench-{number}-{}", std::process::id()), "bench", sole);
    let budgets = Budgets::open(state, Arc::new(WallClock), options).await.expect("budgets open");
    budgets.run_commits();
    let author = Author { name: "bench".to_owned(), tenant: None };
    budgets.apply(&plan(), &author, false).await.expect("the plan is applied");
    budgets
}

/// Our way: pairs a second, and pairs by which the books differ from what was acknowledged.
async fn grouped(state: Arc<State>, settings: &Settings, number: usize, round: Duration) -> (f64, i64) {
    let budgets = budgets(Arc::clone(&state), settings, number).await;
    let booked = |state: Arc<State>| async move {
        let sql = "SELECT CAST(COALESCE(SUM(charges), 0) AS BIGINT) AS n FROM budget_window WHERE budget = 'all'";
        state.fetch(sql, &[]).await.expect("a sum")[0].get::<i64>("n").expect("a number")
    };
    let before = booked(Arc::clone(&state)).await;
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let callers = (0..CALLERS).map(|caller| {
        let (budgets, done) = (Arc::clone(&budgets), Arc::clone(&done));
        tokio::spawn(async move {
            let actual = Amounts::parse([("USD", "0.008"), ("tokens", "900")]).expect("amounts");
            for at in 0.. {
                let request = request(&format!("{number}-{caller}-{at}"));
                if begun.elapsed() > round {
                    return;
                }
                match budgets.reserve(&request).await.expect("a verdict") {
                    Verdict::Allowed(_) => budgets.post(&request.key, &actual).await.expect("it is booked"),
                    other => panic!("{other:?}"),
                };
                done.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("a caller ends");
    }
    let (pairs, took) = (done.load(Ordering::Relaxed), begun.elapsed().as_secs_f64());
    budgets.close().await.expect("the node leaves");
    let off = booked(state).await - before - i64::try_from(pairs).unwrap_or(i64::MAX);
    (pairs as f64 / took, off)
}

const NAIVE: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS naive_budget (name TEXT PRIMARY KEY, most BIGINT, spent BIGINT, reserved BIGINT)",
    "CREATE TABLE IF NOT EXISTS naive_reservation (id TEXT PRIMARY KEY, state TEXT, units BIGINT)",
    "INSERT INTO naive_budget VALUES ('all', 900000000000000000, 0, 0) ON CONFLICT (name) DO NOTHING",
];

/// The plain way: one budget, one transaction a call.
async fn one_by_one(state: Arc<State>, number: usize, round: Duration) -> f64 {
    for sql in NAIVE {
        state.execute(engine::sqlx::AssertSqlSafe((*sql).to_owned()), &[]).await.expect("a table");
    }
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let callers = (0..NAIVE_CALLERS).map(|caller| {
        let (state, done) = (Arc::clone(&state), Arc::clone(&done));
        tokio::spawn(async move {
            for at in 0.. {
                if begun.elapsed() > round {
                    return;
                }
                naive_pair(&state, &format!("{number}-{caller}-{at}")).await.expect("a plain pair");
                done.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("a caller ends");
    }
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

async fn naive_pair(state: &State, id: &str) -> Result<(), Error> {
    let units = 10_000_000i64;
    let mut transaction = state.transaction().await?;
    let reserve =
        "UPDATE naive_budget SET reserved = reserved + $1 WHERE name = 'all' AND spent + reserved + $1 <= most";
    transaction.execute(reserve, &[Value::Int(units)]).await?;
    transaction
        .execute("INSERT INTO naive_reservation VALUES ($1, 'open', $2)", &[id.into(), Value::Int(units)])
        .await?;
    transaction.commit().await?;
    let mut transaction = state.transaction().await?;
    transaction
        .execute("UPDATE naive_reservation SET state = 'posted' WHERE id = $1 AND state = 'open'", &[id.into()])
        .await?;
    let post = "UPDATE naive_budget SET reserved = reserved - $1, spent = spent + $2 WHERE name = 'all'";
    transaction.execute(post, &[Value::Int(units), Value::Int(8_000_000)]).await?;
    transaction.commit().await
}

/// How long the decision takes that a caller waits for: 200 budgets known, three count the request.
fn decisions(context: &Context, report: &mut Report, runtime: &tokio::runtime::Runtime) {
    let ground = Ground::under(&context.folder);
    std::fs::create_dir_all(ground.data()).expect("a folder");
    let settings = Settings::new(&ground.data());
    let count = context.scaled(DECISIONS);
    let mut ns = runtime.block_on(async {
        let state = Arc::new(State::open(&settings).await.expect("the state database opens"));
        let budgets = budgets(state, &settings, 0).await;
        budgets.reserve(&request("first")).await.expect("a slice");
        let requests: Vec<Request> = (0..count).map(|at| request(&format!("d{at}"))).collect();
        let mut ns = Vec::with_capacity(count);
        for request in &requests {
            let begun = Instant::now();
            let verdict = budgets.try_reserve(request).expect("a verdict");
            ns.push(begun.elapsed().as_nanos() as f64);
            assert!(matches!(verdict, Some(Verdict::Allowed(_))), "{verdict:?}");
            let key: Key = request.key.clone();
            if ns.len() % 1_000 == 0 {
                // Lets the writer breathe; open reservations are bounded.
                budgets.void(&key).await.expect("it is given back");
            }
        }
        budgets.close().await.expect("the node leaves");
        ns
    });
    ns.sort_by(f64::total_cmp);
    let at = |share: f64| ns[((ns.len() - 1) as f64 * share) as usize] / 1e3;
    report.goal(Goal {
        what: "a decision on the hot path, median, 200 budgets of which 3 count",
        bound: Bound::AtMost(DECISION_US_GOAL),
        unit: "µs",
        value: Some(at(0.5)),
        ours: format!("{} µs, p99 {} µs", figure(at(0.5)), figure(at(0.99))),
        peer: String::new(),
    });
    report.raw("decision_us", json!({"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0)}));
}

/// LiteLLM's in-process counter, where it is installed.
fn litellm(context: &Context, report: &mut Report) {
    let Some(python) = &context.litellm else {
        return report.missing("litellm 1.106.2", "it is not installed: deploy/setup bench");
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/budget_litellm.py");
    let output = Command::new(python).arg(script).output();
    let said = match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let why = text.trim_end().lines().last().unwrap_or("it failed").to_owned();
            return report.missing("litellm 1.106.2", &format!("its counter could not be asked: {why}"));
        }
        Err(why) => return report.missing("litellm 1.106.2", &why.to_string()),
    };
    let found: serde_json::Value = serde_json::from_str(said.trim()).unwrap_or_default();
    report.note(format!(
        "LiteLLM {}'s in-process budget: {} increments a second on one core, in memory and as binary floats; ten times 0.1 it counts as {}.",
        found["version"].as_str().unwrap_or("1.106.2"),
        figure(found["increments_per_s"].as_f64().unwrap_or_default()),
        found["ten_times_a_tenth"]
    ));
    report.raw("litellm", found);
}
