//! The same operations on SQLite and on PostgreSQL leave the same rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use engine::{Clock, Settings, State, Tenants};
use ledger::budget::{Amounts, Attributes, Author, Budgets, Options, Request, Verdict};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::Ground;
use crate::state_postgres::Postgres;

#[derive(Debug)]
struct Turned(AtomicI64);

impl Clock for Turned {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

const FILE: &str = r#"
budgets:
- {name: all, tenant: acme, unit: USD, limit: "20", window: day, zone: Europe/Berlin, thresholds: [{on: actual, percent: 50}, {on: reserved, percent: 90}]}
- {name: shop, tenant: acme, unit: USD, limit: "9.5", window: {rolling: 1h}, parent: all, scope: "x_app = 'shop'"}
- {name: calls, tenant: "*", unit: requests, limit: 60, window: total}
- {name: soft, tenant: acme, unit: USD, limit: 1, window: week, kind: soft}
"#;

/// Tables and the order of their rows.
const TABLES: &[(&str, &str)] = &[
    ("budget", "tenant, name"),
    ("budget_revision", "tenant, name, version"),
    ("budget_window", "budget_id, starts_at"),
    ("budget_slice", "budget_id, starts_at, node"),
    ("budget_node", "node"),
    ("budget_reservation", "tenant, request_id"),
    ("budget_notice", "node, tenant, request_id"),
    ("budget_day", "budget_id, starts_at"),
    ("budget_event", "id"),
    ("budget_edition", "one"),
];

async fn play(state: Arc<State>) -> Vec<String> {
    let clock = Arc::new(Turned(AtomicI64::new(1_793_620_800_000_000)));
    let mut nodes = Vec::new();
    for home in ["one", "two"] {
        let options = Options::new(&format!("{home}-0"), home, false);
        let node = Budgets::open(Arc::clone(&state), clock.clone(), options).await.unwrap();
        node.run_commits();
        nodes.push(node);
    }
    let author = Author { name: "tester".to_owned(), tenant: None };
    nodes[0].apply(FILE, &author, false).await.unwrap();
    let mut dice = StdRng::seed_from_u64(11);
    let mut reserved: Vec<(String, i64)> = Vec::new();
    let mut verdicts = String::new();
    for at in 0..160 {
        let home = dice.random_range(0..2usize);
        match dice.random_range(0..10) {
            0..=4 => {
                let cents = dice.random_range(1..120);
                let app = if dice.random_bool(0.5) { "shop" } else { "other" };
                let mut attributes = Attributes::default();
                attributes.text("x_app", app).unwrap();
                let amounts =
                    Amounts::parse([("USD", format!("{}.{:02}", cents / 100, cents % 100).as_str())]).unwrap();
                let request = Request::new("acme", &format!("r{at}"), attributes, amounts).unwrap();
                let verdict = nodes[home].reserve(&request).await.unwrap();
                verdicts.push_str(match verdict {
                    Verdict::Allowed(_) => "+",
                    _ => "-",
                });
                if matches!(verdict, Verdict::Allowed(_)) {
                    reserved.push((format!("r{at}"), cents));
                }
            }
            5..=7 if !reserved.is_empty() => {
                let (id, cents) = reserved.swap_remove(dice.random_range(0..reserved.len()));
                let key = ("acme".into(), id.as_str().into());
                let posted = cents * dice.random_range(0..=105) / 100;
                let amounts =
                    Amounts::parse([("USD", format!("{}.{:02}", posted / 100, posted % 100).as_str())]).unwrap();
                let done = match dice.random_bool(0.8) {
                    true => nodes[home].post(&key, &amounts).await,
                    false => nodes[home].void(&key).await,
                };
                verdicts.push(if done.is_ok() { 'p' } else { 'e' });
            }
            8 => drop(clock.0.fetch_add(dice.random_range(1..400) * 1_000_000, Ordering::SeqCst)),
            _ => {}
        }
        for node in &nodes {
            node.tick().await.unwrap();
            node.evaluate().await.unwrap();
        }
    }
    let mut said = vec![verdicts];
    for (table, order) in TABLES {
        let columns = columns(&state, table).await;
        let joined: Vec<String> = columns.iter().map(|c| format!("COALESCE(CAST({c} AS TEXT), 'null')")).collect();
        let sql = format!("SELECT {} AS line FROM {table} ORDER BY {order}", joined.join(" || '|' || "));
        for row in state.fetch(engine::sqlx::AssertSqlSafe(sql), &[]).await.unwrap() {
            said.push(format!("{table}: {}", row.get::<String>("line").unwrap()));
        }
    }
    said
}

/// The columns as the migration names them.
async fn columns(state: &State, table: &str) -> Vec<String> {
    let found = state.fetch("SELECT name FROM pragma_table_info($1) ORDER BY 1", &[table.into()]).await;
    let rows = match found {
        Ok(rows) => rows,
        Err(_) => {
            let sql = "SELECT CAST(column_name AS TEXT) AS name FROM information_schema.columns WHERE table_name = $1 ORDER BY 1";
            state.fetch(sql, &[table.into()]).await.unwrap()
        }
    };
    let mut names: Vec<String> = rows.iter().map(|row| row.get("name").unwrap()).collect();
    names.sort();
    assert!(!names.is_empty(), "{table}");
    names
}

#[test]
fn both_databases_leave_the_same_rows() {
    let ground = Ground::new();
    let Some(postgres) = Postgres::start(&ground) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let of =
        |settings: Settings| runtime.block_on(async { play(Arc::new(State::open(&settings).await.unwrap())).await });
    std::fs::create_dir_all(ground.data()).unwrap();
    let lite = of(Settings::new(&ground.data()));
    let post = of(Settings { state: Some(postgres.url.clone()), ..Settings::new(&ground.data()) });
    assert!(lite.len() > 100, "enough happened: {}", lite.len());
    for (ours, theirs) in lite.iter().zip(&post) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(lite.len(), post.len());
    // The tables stand in SQL, too, with the same columns on both.
    let read = |settings: Settings| {
        runtime.block_on(async {
            let state = State::open(&settings).await.unwrap();
            let mut rows = Vec::new();
            for table in ledger::budget::STATE_TABLES {
                rows.push(state.read(table, &Tenants::All, None).await.unwrap().num_rows());
            }
            rows
        })
    };
    let theirs = read(Settings { state: Some(postgres.url.clone()), ..Settings::new(&ground.data()) });
    assert_eq!(read(Settings::new(&ground.data())), theirs);
}
