//! A simulated Azure DevOps organization. After each run with faults (events dropped, repeated and out of order, throttling,
//! answers of 500, 503, 203, 302, tokens that change, times of silence, our own restarts) the tables are those of a run
//! without faults; and no 429 is of our making.

pub mod clock;
mod date;
pub mod door;
mod issuer;
mod sign_in;
mod tickets;
pub mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::{Catalogue, Clock, Kind, Limits, Ports, Scope, Settings, Store};
use futures::TryStreamExt;
use ingest::ado::client::Time;
use ingest::ado::live::{Live, Outcome, Unwatched, Wish};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use clock::{BEGINNING_US, Turned};
use door::Door;
use world::World;

const HOUR_US: i64 = 3_600_000_000;

/// Which faults a run meets, each with its share in a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    drop: u32,
    repeat: u32,
    reorder: bool,
    answers: u32,
    rotate: bool,
    silence: bool,
    restart: bool,
}

const EVERY: Faults =
    Faults { drop: 300, repeat: 200, reorder: true, answers: 60, rotate: true, silence: true, restart: true };

/// One run over one world: our store, the door of the source, the hooks between.
struct Ground {
    folder: tempfile::TempDir,
    clock: Arc<Turned>,
    door: Door,
    store: Option<Arc<Store>>,
    live: Option<Live>,
    token: PathBuf,
    /// How we sign in, and other addresses of hosts.
    auth: String,
    hosts: Vec<String>,
}

impl Ground {
    async fn new(world: World) -> Ground {
        let folder = tempfile::tempdir().unwrap();
        let clock = Turned::starting();
        let token = folder.path().join("token");
        std::fs::write(&token, "token-0").unwrap();
        let door = Door::open(world, Arc::clone(&clock)).await;
        let auth = format!("pat:file:{}", token.display());
        let mut ground = Ground { folder, clock, door, store: None, live: None, token, auth, hosts: vec![] };
        ground.start().await;
        ground
    }

    async fn start(&mut self) {
        let mut tables = vec![&engine::reject::REJECT, &engine::query_log::QUERY_LOG];
        tables.extend(ingest::ado::TABLES);
        let catalogue = Catalogue { tables, state_tables: vec![&engine::state::LEASE], ..Catalogue::default() };
        let mut settings = Settings::new(self.folder.path().join("data"));
        settings.flush_after = Duration::from_secs(86_400);
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let ports = Ports { clock, redactor: Arc::new(engine::ports::NoRedaction) };
        let store = Store::open(settings, catalogue, ports).await.unwrap();
        let wish = Wish {
            organization: self.door.url(),
            auth: self.auth.clone(),
            projects: vec![],
            hosts: self.hosts.clone(),
            tenant: Some("acme".to_owned()),
            follow: false,
            every_s: None,
            since_days: Some(30),
        };
        let time: Arc<dyn Time> = Arc::clone(&self.clock) as Arc<dyn Time>;
        self.live = Some(Live::with_time(Arc::clone(&store), &Scope::platform("test"), wish, time).unwrap());
        self.store = Some(store);
    }

    async fn restart(&mut self) {
        self.live = None;
        self.store.take().unwrap().close().await.unwrap();
        self.start().await;
    }

    fn store(&self) -> &Arc<Store> {
        self.store.as_ref().unwrap()
    }

    async fn hook(&self, event: &str) {
        let scope = Scope::tenant("acme", "hook");
        let parsed = ingest::ado::event(event.as_bytes(), &scope, None).unwrap();
        match self.store().append(parsed.into_frame("ado/hook", &scope)).await {
            Err(error) if error.kind() == Kind::Conflict => {}
            done => drop(done.unwrap()),
        }
    }

    async fn pass(&self) -> engine::Result<Outcome> {
        self.live.as_ref().unwrap().pass(&Unwatched).await
    }

    /// Every table but the events themselves and the cursors, without what says when and how a row was told. A repository's
    /// name beside its id is the one that it had when the row was told of.
    async fn tables(&self) -> BTreeMap<&'static str, Vec<String>> {
        let mut all = BTreeMap::new();
        for table in ingest::ado::TABLES.iter().filter(|t| !["ado_event", "ado_cursor"].contains(&t.name)) {
            let columns: Vec<String> = table
                .columns
                .iter()
                .map(|c| c.name)
                .filter(|c| !["version", "repository"].contains(c))
                .map(|c| format!("\"{c}\""))
                .collect();
            let sql = format!("SELECT {} FROM {}", columns.join(", "), table.name);
            let mut rows = self.ask(&sql).await;
            rows.sort();
            all.insert(table.name, rows);
        }
        all
    }

    async fn ask(&self, sql: &str) -> Vec<String> {
        let answer = self.store().query(&Scope::platform("test"), sql, Limits::default()).await.unwrap();
        let batches: Vec<engine::arrow::array::RecordBatch> = answer.stream.try_collect().await.unwrap();
        let mut writer = engine::arrow::json::LineDelimitedWriter::new(Vec::new());
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
        String::from_utf8(writer.into_inner()).unwrap().lines().map(str::to_owned).collect()
    }
}

/// Runs a seeded world for some hours; what hooks bring and what the source answers is subject to `faults`.
async fn run(seed: u64, hours: i64, faults: Faults) -> (BTreeMap<&'static str, Vec<String>>, Ground) {
    let mut dice = StdRng::seed_from_u64(seed ^ 0xfa17);
    let mut ground = Ground::new(World::new(seed)).await;
    let mut late: Vec<String> = Vec::new();
    let mut on_probation = false;
    for hour in 0..hours {
        let began_us = BEGINNING_US + hour * HOUR_US;
        assert!(Clock::now_us(&*ground.clock) <= began_us, "seed {seed}: a pass took longer than an hour");
        ground.clock.advance_to(began_us);
        let mut events = ground.door.live_an_hour(began_us);
        if faults.silence {
            // The receiver answered 500 once: for an hour or two nothing is sent, and nothing is sent later.
            on_probation = if on_probation { dice.random_ratio(1, 2) } else { dice.random_ratio(1, 4) };
            if on_probation {
                events.clear();
            }
        }
        events.retain(|_| !dice.random_ratio(faults.drop, 1000));
        let again: Vec<String> = events.iter().filter(|_| dice.random_ratio(faults.repeat, 1000)).cloned().collect();
        events.extend(again);
        if faults.reorder {
            events.append(&mut late);
            events.shuffle(&mut dice);
            late = events.split_off(events.len() - events.len() / 5);
        }
        // Half a world's hour has gone by before anything arrives.
        ground.clock.advance_to(began_us + HOUR_US / 2);
        for event in &events {
            ground.hook(event).await;
        }
        if faults.rotate && dice.random_ratio(1, 3) {
            ground.door.renew_token(hour);
            // The pass finds the old one refused; then somebody writes the new one where it is read.
            if dice.random_ratio(1, 2) {
                assert_eq!(ground.pass().await.unwrap_err().kind(), Kind::Denied);
            }
            std::fs::write(&ground.token, ground.door.token()).unwrap();
        }
        ground.door.fail(faults.answers, dice.random());
        if faults.silence && dice.random_ratio(1, 3) {
            ground.door.go_down_after(dice.random_range(1..30));
            assert!(ground.pass().await.is_err());
            ground.door.come_back();
        }
        if faults.restart && dice.random_ratio(1, 3) {
            ground.restart().await;
        }
        // With answers that fail the pass may give up; what it did so far stands.
        let _ = ground.pass().await;
        ground.door.fail(0, 0);
    }
    for event in late {
        ground.hook(&event).await;
    }
    ground.clock.advance_to(BEGINNING_US + hours * HOUR_US);
    let outcome = ground.pass().await.unwrap();
    assert_eq!(outcome.rejected, 0, "seed {seed}");
    let tables = ground.tables().await;
    (tables, ground)
}

fn differences(good: &BTreeMap<&'static str, Vec<String>>, other: &BTreeMap<&'static str, Vec<String>>) -> String {
    let mut text = String::new();
    for (name, rows) in good {
        let there = &other[name];
        let missing = rows.iter().filter(|row| !there.contains(row)).take(2).map(|row| format!("\n  missing {row}"));
        let surplus = there.iter().filter(|row| !rows.contains(row)).take(2).map(|row| format!("\n  surplus {row}"));
        let told: String = missing.chain(surplus).collect();
        if rows != there {
            text.push_str(&format!("{name}: {} rows, {} in the run with faults{told}\n", rows.len(), there.len()));
        }
    }
    text
}

/// Tables that the world fills; one that stays empty would prove nothing.
const FILLED: &[&str] = &[
    "ado_project",
    "ado_repository",
    "ado_ref",
    "ado_commit",
    "ado_push",
    "ado_pull_request",
    "ado_pull_request_vote",
    "ado_pull_request_thread",
    "ado_pull_request_comment",
    "ado_policy_configuration",
    "ado_policy_evaluation",
    "ado_build",
    "ado_run",
    "ado_stage",
    "ado_job",
    "ado_timeline_record",
    "ado_approval",
    "ado_approval_step",
    "ado_environment",
    "ado_environment_deployment",
    "ado_work_item",
    "ado_work_item_revision",
    "ado_work_item_comment",
    "ado_group",
    "ado_user",
    "ado_membership",
    "ado_hook_subscription",
    "ado_audit_entry",
    "ado_test_run",
    "ado_test_result",
    "ado_alert",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_true_after_every_fault() {
    let seeds: Vec<u64> = match std::env::var("STELLWERK_SEED").ok().and_then(|s| s.parse().ok()) {
        Some(seed) => vec![seed],
        None => vec![1, 2],
    };
    for seed in seeds {
        let (good, calm) = run(seed, 5, Faults::default()).await;
        for name in FILLED {
            assert!(!good[name].is_empty(), "seed {seed}: {name} is empty");
        }
        let (other, faulty) = run(seed, 5, EVERY).await;
        let text = differences(&good, &other);
        assert!(text.is_empty(), "STELLWERK_SEED={seed}\n{text}");
        for ground in [calm, faulty] {
            let throttled = ground.door.throttled();
            assert_eq!(throttled, 0, "seed {seed}: 429 of our making");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_backfill_is_limited_by_the_budget_alone() {
    let ground = Ground::new(World::large(7, 40)).await;
    ground.door.dear(1.5);
    let began = std::time::Instant::now();
    let outcome = ground.pass().await.unwrap();
    let (used, throttled) = (ground.door.used_share(), ground.door.throttled());
    let minutes = (Clock::now_us(&*ground.clock) - BEGINNING_US) / 60_000_000;
    println!(
        "backfill: {} resources, {} requests, {minutes} simulated minutes, {:.1} % of the budget used, {throttled} answers of 429, {:.1} s",
        outcome.total().read,
        outcome.traffic.requests,
        used * 100.0,
        began.elapsed().as_secs_f64()
    );
    assert_eq!((throttled, outcome.traffic.refused_429), (0, 0));
    assert!(used >= 0.9, "{used} of the budget used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_are_registered_once_and_repaired() {
    use ingest::ado::client::{Client, Hosts};
    use ingest::ado::subscribe::{Change, Wanted, projects, subscribe};
    let ground = Ground::new(World::new(3)).await;
    let key = ground.folder.path().join("key");
    std::fs::write(&key, "hush-hush").unwrap();
    let time: Arc<dyn Time> = Arc::clone(&ground.clock) as Arc<dyn Time>;
    let auth = format!("pat:file:{}", ground.token.display());
    let client = Client::new(Hosts::of(&ground.door.url()).unwrap(), auth.parse().unwrap(), time).unwrap();
    let key = format!("file:{}", key.display()).parse().unwrap();
    let to = "https://hooks.example/hooks/ado".to_owned();
    let wanted = Wanted { to, key, projects: projects(&client, &[]).await.unwrap() };
    let count =
        |done: &[ingest::ado::subscribe::Done], of: fn(&Change) -> bool| done.iter().filter(|d| of(&d.change)).count();
    let rehearsed = subscribe(&client, &wanted, true).await.unwrap();
    let first = subscribe(&client, &wanted, false).await.unwrap();
    assert_eq!(rehearsed.len(), first.len());
    assert!(first.iter().all(|d| d.failed.is_none() && matches!(d.change, Change::Create { .. })));
    let second = subscribe(&client, &wanted, false).await.unwrap();
    assert_eq!(count(&second, |c| matches!(c, Change::Keep { .. })), first.len());
    ground.door.put_on_probation(2);
    let third = subscribe(&client, &wanted, false).await.unwrap();
    assert_eq!(count(&third, |c| matches!(c, Change::Repair { .. })), 2);
    let fourth = subscribe(&client, &wanted, false).await.unwrap();
    assert_eq!(count(&fourth, |c| matches!(c, Change::Keep { .. })), first.len());
    // The key went to the source, and to no table.
    ground.pass().await.unwrap();
    let rows = ground.ask("SELECT consumer_inputs FROM ado_hook_subscription").await;
    assert_eq!(rows.len(), first.len() + 1);
    assert!(rows.iter().all(|row| !row.contains("hush-hush")), "{rows:?}");
}
