#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use engine::WallClock;
use futures::future::join_all;

use super::super::{Queue, Terms};
use super::*;
use crate::databases;
use crate::flow::FLOWS;

fn job(id: &str, dedupe: &str) -> NewJob {
    NewJob {
        id: id.to_owned(),
        kind: "http".to_owned(),
        arguments: serde_json::json!({ "of": id }),
        dedupe: dedupe.to_owned(),
        cause: "a test".to_owned(),
        run_us: 0,
        created_us: 0,
        terms: Terms::default(),
    }
}

fn done() -> Ended {
    Ended::Done { target: "t".to_owned(), response: "200".to_owned() }
}

fn crew() -> Arc<Crew> {
    Arc::new(Crew { clock: Arc::new(WallClock), flows: FLOWS })
}

async fn count(state: &Database, sql: &'static str) -> i64 {
    state.fetch(sql, &[]).await.unwrap()[0].get("n").unwrap()
}

/// Calls that were made, by the name of their job.
type Calls = Arc<Mutex<BTreeMap<String, usize>>>;

/// A place that does its jobs at once.
async fn place(queue: Queue, crew: Arc<Crew>, calls: Calls) {
    let mut last = None;
    while let Ok(taken) = queue.turn(last, &crew).await {
        *calls.lock().unwrap().entry(taken.job.dedupe.clone()).or_default() += 1;
        last = Some((taken.job, done()));
    }
}

async fn all_done(state: &Database, jobs: i64) {
    for _ in 0..1_000 {
        if count(state, "SELECT count(*) AS n FROM job_done").await == jobs {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} of {jobs} jobs are done", count(state, "SELECT count(*) AS n FROM job_done").await);
}

async fn many_at_once(state: Arc<Database>) {
    let (queue, calls) = (Queue::new(Arc::clone(&state), "one"), Calls::default());
    let crew = crew();
    let places: Vec<_> = (0..8).map(|_| tokio::spawn(place(queue.clone(), crew.clone(), calls.clone()))).collect();
    // Every name comes twice, from different callers.
    let made = join_all((0..300).map(|at| {
        let queue = queue.clone();
        async move { queue.add(job(&format!("{at:03}"), &format!("name-{}", at % 150))).await.unwrap() }
    }));
    let made = made.await;
    assert_eq!(made.iter().filter(|made| **made).count(), 150);
    all_done(&state, 150).await;
    let calls = calls.lock().unwrap();
    assert_eq!((calls.len(), calls.values().sum::<usize>()), (150, 150));
    assert_eq!(count(&state, "SELECT count(*) AS n FROM effect WHERE state = 'done'").await, 150);
    assert_eq!(count(&state, "SELECT count(*) AS n FROM job").await, 0);
    places.iter().for_each(tokio::task::JoinHandle::abort);
}

async fn a_refused_wish_hurts_no_other(state: Arc<Database>) {
    let queue = Queue::new(Arc::clone(&state), "one");
    queue.add(job("taken", "first")).await.unwrap();
    let bad = queue.together(None, |open| {
        Box::pin(async move { open.execute("INSERT INTO nowhere VALUES (1)", &[]).await.map(|n| (n, Vec::new())) })
    });
    // Its error is swallowed; PostgreSQL would answer the commit of such a transaction as if it were one.
    let silent = queue.together(None, |open| {
        Box::pin(async move {
            let _ = open.execute("INSERT INTO nowhere VALUES (1)", &[]).await;
            Ok((1_u64, Vec::new()))
        })
    });
    let others = join_all((0..100).map(|at| {
        let queue = queue.clone();
        // One of them has the id of another job.
        let id = if at == 50 { "taken".to_owned() } else { format!("{at:03}") };
        async move { queue.add(job(&id, &format!("name-{at}"))).await }
    }));
    let (bad, silent, others) = tokio::join!(bad, silent, others);
    assert!(bad.is_err() && silent.is_err(), "{bad:?} {silent:?}");
    for (at, made) in others.into_iter().enumerate() {
        match at {
            50 => assert_eq!(made.unwrap_err().kind(), Kind::Conflict),
            _ => assert!(made.unwrap(), "{at}"),
        }
    }
    assert_eq!(count(&state, "SELECT count(*) AS n FROM job").await, 100);
}

async fn a_free_place_gets_a_job_with_the_commit_that_makes_it(state: Arc<Database>) {
    let (queue, crew) = (Queue::new(Arc::clone(&state), "one"), crew());
    let waiting = tokio::spawn({
        let (queue, crew) = (queue.clone(), crew.clone());
        async move { queue.turn(None, &crew).await }
    });
    // The place waits before the job is made.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(queue.add(job("1", "a")).await.unwrap());
    assert_eq!(count(&state, "SELECT count(*) AS n FROM job WHERE state = 'running'").await, 1);
    assert_eq!(count(&state, "SELECT count(*) AS n FROM effect WHERE state = 'intent'").await, 1);
    let first = waiting.await.unwrap().unwrap();
    // Two more wait; the end of the first and the beginning of the second are one commit.
    queue.add(job("2", "b")).await.unwrap();
    let second = queue.turn(Some((first.job, done())), &crew).await.unwrap();
    assert_eq!((second.job.id.as_str(), second.job.attempt), ("2", 1));
    assert_eq!(count(&state, "SELECT count(*) AS n FROM job_done").await, 1);
}

async fn a_lost_answer_loses_no_job(state: Arc<Database>) {
    let (queue, crew) = (Queue::new(Arc::clone(&state), "one"), crew());
    let flow = |id: &str| NewJob {
        kind: crate::queue::FLOW.to_owned(),
        arguments: serde_json::json!({ "flow": "callback", "input": { "url": "http://nowhere" } }),
        ..job(id, id)
    };
    // Made and taken up in one commit, of which nobody hears.
    let waiting = tokio::spawn({
        let (queue, crew) = (queue.clone(), crew.clone());
        async move { queue.turn(None, &crew).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    state.lose_answers(1);
    assert!(!queue.add(flow("flow")).await.unwrap(), "it is there already");
    let taken = waiting.await.unwrap().unwrap();
    assert_eq!((taken.job.id.as_str(), taken.job.attempt), ("flow", 1));
    assert!(taken.begun.is_some(), "its first step was intended, and nobody was called");
    // An end, and the beginning of what was there before.
    for id in ["a", "b", "c"] {
        queue.add(job(id, id)).await.unwrap();
    }
    state.lose_answers(1);
    let next = queue.turn(Some((taken.job, done())), &crew).await.unwrap();
    assert_eq!((next.job.id.as_str(), next.job.attempt), ("a", 1));
    assert_eq!(count(&state, "SELECT count(*) AS n FROM job_done").await, 1);
    // A place that has nothing to hand in.
    state.lose_answers(1);
    let alone = queue.turn(None, &crew).await.unwrap();
    assert_eq!((alone.job.id.as_str(), alone.job.attempt), ("b", 1));
    // Whoever asks without a place.
    state.lose_answers(1);
    let claimed = queue.claim(10, 1).await.unwrap();
    assert_eq!(claimed.iter().map(|job| (job.id.as_str(), job.attempt)).collect::<Vec<_>>(), [("c", 1)]);
    let ends: Vec<_> = [next.job, alone.job, claimed[0].clone()].map(|job| (job, done())).into();
    assert_eq!(queue.end(&ends, 2).await.unwrap(), 3, "each was theirs");
    assert_eq!(count(&state, "SELECT count(*) AS n FROM job").await, 0);
    assert_eq!(count(&state, "SELECT count(*) AS n FROM effect WHERE state = 'intent' AND job <> 'flow'").await, 0);
}

async fn what_was_not_taken_up_is_nobodys(state: Arc<Database>) {
    let queue = Queue::new(Arc::clone(&state), "one");
    queue.add(job("1", "a")).await.unwrap();
    queue.add(job("2", "b")).await.unwrap();
    let first = queue.claim(1, 1).await.unwrap().remove(0);
    let (later, other) = (Claimed { attempt: 2, ..first.clone() }, Claimed { id: "2".to_owned(), ..first.clone() });
    let held = held(&state, "one", &[&first, &later, &other]).await.unwrap();
    assert_eq!(held.into_iter().collect::<Vec<_>>(), [("1".to_owned(), 1)]);
    assert!(super::held(&state, "two", &[&first]).await.unwrap().is_empty());
}

async fn clear(state: &Database) {
    for sql in ["DELETE FROM job", "DELETE FROM job_done", "DELETE FROM effect", "DELETE FROM step"] {
        state.execute(sql, &[]).await.unwrap();
    }
}

async fn suite(state: Arc<Database>) {
    many_at_once(Arc::clone(&state)).await;
    clear(&state).await;
    a_refused_wish_hurts_no_other(Arc::clone(&state)).await;
    clear(&state).await;
    a_free_place_gets_a_job_with_the_commit_that_makes_it(Arc::clone(&state)).await;
    clear(&state).await;
    a_lost_answer_loses_no_job(Arc::clone(&state)).await;
    clear(&state).await;
    what_was_not_taken_up_is_nobodys(state).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    let (_data, state) = databases::sqlite().await;
    suite(state).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    let Some(server) = databases::Postgres::start("the writer of the queue") else { return };
    let state = server.open().await;
    suite(Arc::clone(&state)).await;
    state.close().await;
}

/// A process that ends in the middle of everything, again and again: what it acknowledged is done once, in the end.
#[test]
fn what_was_acknowledged_before_an_end_is_done_after_it() {
    let (data, calls) = (tempfile::tempdir().unwrap(), Calls::default());
    let acknowledged: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let settings = engine::Settings::new(data.path());
    for life in 0..6_u64 {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let state = Arc::new(runtime.block_on(Database::open(&settings)).unwrap());
        let queue = Queue::new(state, &format!("life-{life}"));
        runtime.block_on(queue.reclaim(0, true)).unwrap();
        for _ in 0..8 {
            runtime.spawn(place(queue.clone(), crew(), calls.clone()));
        }
        for producer in 0..16 {
            let (queue, acknowledged) = (queue.clone(), acknowledged.clone());
            runtime.spawn(async move {
                for at in 0.. {
                    let name = format!("{life}-{producer}-{at}");
                    if queue.add(job(&name, &name)).await.is_ok() {
                        acknowledged.lock().unwrap().insert(name);
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(60 + life * 17));
        runtime.shutdown_timeout(Duration::from_secs(5));
        // A commit that was under way may still come to its end.
        std::thread::sleep(Duration::from_millis(100));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let state = Arc::new(Database::open(&settings).await.unwrap());
        let queue = Queue::new(Arc::clone(&state), "last");
        queue.reclaim(0, true).await.unwrap();
        for _ in 0..8 {
            tokio::spawn(place(queue.clone(), crew(), calls.clone()));
        }
        let live = "SELECT count(*) AS n FROM job";
        for _ in 0..1_000 {
            if count(&state, live).await == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(count(&state, live).await, 0);
        let rows = state.fetch("SELECT dedupe FROM job_done", &[]).await.unwrap();
        let ended: BTreeSet<String> = rows.iter().map(|row| row.get("dedupe").unwrap()).collect();
        let acknowledged = acknowledged.lock().unwrap().clone();
        assert!(acknowledged.len() > 20, "only {} jobs were acknowledged", acknowledged.len());
        assert!(acknowledged.is_subset(&ended), "{:?}", acknowledged.difference(&ended).collect::<Vec<_>>());
        let called: BTreeSet<String> = calls.lock().unwrap().keys().cloned().collect();
        assert_eq!(called, ended, "what ended was called, and what was called ended");
    });
}
