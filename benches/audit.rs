//! The audit log: rows a second that become leaves of the tree (commitments, canonical bytes, SHA-256, frontier), and rows a
//! second that are durable in SQLite with it, from many callers at once.

use std::sync::Arc;
use std::time::Instant;

use engine::{NoRedaction, Scope, Settings, State, WallClock};
use ledger::audit::merkle::{Frontier, leaf_hash};
use ledger::audit::verify::verify;
use ledger::audit::{Audit, Entry, leaf};
use ledger::directory::{Dice, OsDice};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde_json::json;

use crate::Context;
use crate::harness::Ground;
use crate::report::{Bound, Goal, Report, Spread, figure};

const ROUNDS: usize = 5;
const ROWS: usize = 1_000_000;
const DURABLE_ROWS: usize = 100_000;
const CALLERS: usize = 256;
const SEED: u64 = 20_261_127;
const RATE_GOAL: f64 = 200_000.0;
/// Bytes of a bare entry: what a row of the log has, about.
const ENTRY_BYTES: usize = 320;

/// Salts without a call of the system each, as the tree alone is measured here.
#[derive(Debug)]
struct Seeded(std::sync::Mutex<StdRng>);

impl Dice for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> engine::Result<()> {
        self.0.lock().expect("nobody panics with it").fill_bytes(bytes);
        Ok(())
    }
}

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let rows = context.scaled(ROWS);
    let bare = Spread::of(&(0..ROUNDS).map(|_| tree(rows)).collect::<Vec<_>>());
    let whole = Spread::of(&(0..ROUNDS).map(|_| leaves(rows)).collect::<Vec<_>>());
    report.goal(Goal {
        what: "audit rows that become leaves of the tree, one thread",
        bound: Bound::AtLeast(RATE_GOAL),
        unit: "rows/s",
        value: Some(whole.median),
        ours: format!("{whole} rows/s with commitments and canonical bytes, {bare} rows/s of ready bytes"),
        peer: String::new(),
    });
    let durable = durable(context);
    report.note(format!(
        "Durable in SQLite (synchronous FULL), {CALLERS} callers: {} rows/s, {} groups; the whole log of it is recomputed and \
         verified at {} rows/s.",
        figure(durable.per_s),
        figure(durable.groups),
        figure(durable.verified_per_s),
    ));
    report
}

/// Entries of a size that are hashed and joined to the tree.
fn tree(rows: usize) -> f64 {
    let mut entry = vec![7; ENTRY_BYTES];
    let mut frontier = Frontier::default();
    let begun = Instant::now();
    for n in 0..rows as u64 {
        entry[..8].copy_from_slice(&n.to_be_bytes());
        frontier.push(leaf_hash(&entry));
    }
    std::hint::black_box(frontier.root());
    rows as f64 / begun.elapsed().as_secs_f64()
}

fn entry(n: u64) -> Entry {
    Entry::new(&Scope::tenant("acme", "ci-runner-7"), "key.create", format!("{n:012}"))
        .because("key 0f3k2j1h9g8d has the scope keys")
        .on_behalf_of(Some("somebody@acme.example"))
        .traced(Some("0af7651916cd43dd8448eb211c80319c"))
        .with(json!({"name": "ci", "scopes": "read write"}))
}

fn leaves(rows: usize) -> f64 {
    let dice = Seeded(std::sync::Mutex::new(StdRng::seed_from_u64(SEED)));
    let mut frontier = Frontier::default();
    let begun = Instant::now();
    for n in 0..rows as u64 {
        frontier.push(leaf(entry(n), n, 0, &dice).expect("the dice never fail"));
    }
    std::hint::black_box(frontier.root());
    rows as f64 / begun.elapsed().as_secs_f64()
}

struct Durable {
    per_s: f64,
    groups: f64,
    verified_per_s: f64,
}

fn durable(context: &Context) -> Durable {
    let ground = Ground::under(&context.folder);
    std::fs::create_dir_all(ground.data()).expect("the folder for measurements takes a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let rows = context.scaled(DURABLE_ROWS) as u64;
    runtime.block_on(async move {
        let state = Arc::new(State::open(&Settings::new(ground.data())).await.expect("the state database opens"));
        let audit = Audit::start(state.clone(), Arc::new(WallClock), Arc::new(OsDice), Arc::new(NoRedaction)).await;
        let audit = Arc::new(audit.expect("the log opens"));
        let begun = Instant::now();
        let callers = (0..CALLERS as u64).map(|caller| {
            let audit = audit.clone();
            tokio::spawn(async move {
                let mut n = caller;
                while n < rows {
                    audit.record(entry(n)).await.expect("the log takes a row");
                    n += CALLERS as u64;
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.expect("no caller panics");
        }
        let per_s = rows as f64 / begun.elapsed().as_secs_f64();
        audit.close().await;
        let groups = state.fetch("SELECT COUNT(*) AS n FROM audit_commit", &[]).await.expect("the database is asked");
        let groups = groups[0].get::<i64>("n").expect("a count") as f64;
        let begun = Instant::now();
        let verdict = verify(&state, Vec::new(), &[]).await.expect("the log is read");
        assert!(verdict.is_good() && verdict.rows == rows, "{verdict:?}");
        let verified_per_s = rows as f64 / begun.elapsed().as_secs_f64();
        state.close().await;
        Durable { per_s, groups, verified_per_s }
    })
}
