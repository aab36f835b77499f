#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use engine::WallClock;
use futures::FutureExt;
use futures::future::join_all;

use super::super::{Queue, Terms};
use super::*;
use crate::book::{After, Book, Run};
use crate::databases;
use crate::flow::FLOWS;
use crate::rows::Difference;
use crate::rule::Rule;

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
    assert!(queue.add(flow("flow")).await.unwrap(), "it was made, whoever heard of it");
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
    state.lose_answers(1);
    assert_eq!(queue.end(&ends, 2).await.unwrap(), 3, "each was theirs");
    assert_eq!(queue.end(&ends, 2).await.unwrap(), 0, "and ended before");
    assert_eq!(count(&state, "SELECT count(*) AS n FROM job").await, 0);
    assert_eq!(count(&state, "SELECT count(*) AS n FROM effect WHERE state = 'intent' AND job <> 'flow'").await, 0);
}

/// Ten wishes whose group loses its answer; two of them ask for what is there.
async fn what_a_lost_answer_made_is_told_as_made(state: Arc<Database>) {
    let queue = Queue::new(Arc::clone(&state), "one");
    assert!(queue.add(job("old", "name-3")).await.unwrap());
    state.lose_answers(1);
    let made = join_all((0..10).map(|at| {
        let queue = queue.clone();
        // The last one has the name of the one before.
        async move { queue.add(job(&at.to_string(), &format!("name-{}", at.min(8)))).await.unwrap() }
    }));
    let made = made.await;
    let wanted: Vec<bool> = (0..10).map(|at| at != 3 && at != 9).collect();
    assert_eq!(made, wanted);
    assert_eq!(count(&state, "SELECT count(*) AS n FROM job").await, 9);
}

/// The run of a rule, with its job and its difference: written once, and told as written.
async fn a_run_whose_answer_is_lost_ran(state: Arc<Database>) {
    let queue = Queue::new(Arc::clone(&state), "one");
    let text = "-- ---\n-- owner: o\n-- every: 1s\n-- key: k\n-- new: notify(\"ops\", \"{k}\")\n-- ---\nSELECT 1 AS k";
    let rule = Rule::parse("r", text).unwrap();
    Book::new(Arc::clone(&state)).add(&rule, 0).await.unwrap();
    let run = Run {
        rule: "r".to_owned(),
        tick: 5,
        version: rule.version.clone(),
        status: "done",
        query_id: Some("q".to_owned()),
        rows: 1,
        counts: [1, 0, 0],
        result: Vec::new(),
        error: None,
        began_us: 5,
        ended_us: 6,
    };
    for (lost, wanted) in [(1, true), (0, false)] {
        state.lose_answers(lost);
        let run = run.clone();
        let written = queue.together(None, move |open| {
            let run = run.clone();
            async move {
                let jobs = [job("of-run", "of-run")];
                let written = Book::write(open, &run, &Difference::default(), &jobs, &After::default()).await?;
                Ok((written, Vec::new()))
            }
            .boxed()
        });
        assert_eq!(written.await.unwrap(), wanted);
        assert_eq!(count(&state, "SELECT count(*) AS n FROM rule_run").await, 1);
        assert_eq!(count(&state, "SELECT count(*) AS n FROM job").await, 1);
    }
    state.execute("DELETE FROM rule_run", &[]).await.unwrap();
    state.execute("DELETE FROM rule", &[]).await.unwrap();
}

async fn a_mark_names_the_last_group_of_its_process(state: Arc<Database>) {
    let mut open = state.transaction().await.unwrap();
    let undone = mark::put(&mut open, "one").await.unwrap();
    drop(open);
    assert!(!mark::is_last(&state, "one", &undone).await.unwrap());
    let mut marks = Vec::new();
    for _ in 0..2 {
        let mut open = state.transaction().await.unwrap();
        marks.push(mark::put(&mut open, "one").await.unwrap());
        open.commit().await.unwrap();
    }
    assert!(mark::is_last(&state, "one", &marks[1]).await.unwrap());
    assert!(!mark::is_last(&state, "one", &marks[0]).await.unwrap());
    assert!(!mark::is_last(&state, "two", &marks[1]).await.unwrap());
    // Both are seen at 10, `one` lives at 30.
    mark::prune(&state, "one", 10, 0).await.unwrap();
    mark::prune(&state, "one", 30, 20).await.unwrap();
    let left = state.fetch("SELECT owner FROM queue_group", &[]).await.unwrap();
    assert_eq!(left.iter().map(|row| row.get::<String>("owner").unwrap()).collect::<Vec<_>>(), ["one"]);
    let queue = Queue::new(Arc::clone(&state), "idle");
    assert!(queue.claim(10, 1).await.unwrap().is_empty());
    let looked = "SELECT count(*) AS n FROM queue_group WHERE owner = 'idle'";
    assert_eq!(count(&state, looked).await, 0, "a look that finds nothing writes nothing");
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
    what_a_lost_answer_made_is_told_as_made(Arc::clone(&state)).await;
    clear(&state).await;
    a_run_whose_answer_is_lost_ran(Arc::clone(&state)).await;
    clear(&state).await;
    a_mark_names_the_last_group_of_its_process(state).await;
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
