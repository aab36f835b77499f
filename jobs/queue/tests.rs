#![allow(clippy::unwrap_used)]

use super::*;

async fn queue() -> (tempfile::TempDir, Arc<Database>, Queue) {
    let folder = tempfile::tempdir().unwrap();
    let state = Arc::new(Database::open(&engine::Settings::new(folder.path())).await.unwrap());
    let queue = Queue::new(Arc::clone(&state), "one");
    (folder, state, queue)
}

fn job(id: &str, dedupe: &str, run_us: i64) -> NewJob {
    let (kind, cause) = ("notify".to_owned(), "rule r at 0".to_owned());
    NewJob {
        id: id.to_owned(),
        kind,
        arguments: serde_json::json!({}),
        dedupe: dedupe.to_owned(),
        cause,
        run_us,
        created_us: 0,
        terms: Terms::default(),
    }
}

async fn put(state: &Database, jobs: &[NewJob]) -> Vec<bool> {
    let mut open = state.transaction().await.unwrap();
    let mut made = Vec::new();
    for job in jobs {
        made.push(insert(&mut open, job).await.unwrap());
    }
    open.commit().await.unwrap();
    made
}

fn done() -> Ended {
    Ended::Done { target: "t".to_owned(), response: "200".to_owned() }
}

fn failed() -> Ended {
    Ended::Failed { error: "no".to_owned(), retry_after: None }
}

async fn effect(state: &Database, dedupe: &str) -> String {
    let rows = state.fetch("SELECT state FROM effect WHERE dedupe = $1", &[dedupe.into()]).await.unwrap();
    rows[0].get("state").unwrap()
}

#[tokio::test]
async fn a_name_is_done_once() {
    let (_folder, state, queue) = queue().await;
    assert_eq!(put(&state, &[job("1", "a", 0), job("2", "a", 0), job("3", "b", 9)]).await, [true, false, true]);
    let claimed = queue.claim(10, 5).await.unwrap();
    assert_eq!(claimed.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["1"]);
    assert_eq!(effect(&state, "a").await, "intent");
    assert_eq!(queue.end(&[(claimed[0].clone(), done())], 6).await.unwrap(), 1);
    assert_eq!(effect(&state, "a").await, "done");
    assert_eq!(put(&state, &[job("4", "a", 0)]).await, [false]);
    assert_eq!(queue.next_due(6).await.unwrap(), Some(9));
}

#[tokio::test]
async fn a_result_that_comes_after_its_lease_counts_no_more() {
    let (_folder, state, first) = queue().await;
    put(&state, &[job("1", "a", 0)]).await;
    let stale = first.claim(1, 0).await.unwrap().remove(0);
    let second = Queue::new(Arc::clone(&state), "two");
    let late = i64::try_from(LEASE.as_micros()).unwrap() + 1;
    assert_eq!(second.reclaim(late - 2, false).await.unwrap(), 0);
    assert_eq!(second.reclaim(late, false).await.unwrap(), 1);
    assert_eq!(effect(&state, "a").await, "unknown");
    let fresh = second.claim(1, late).await.unwrap().remove(0);
    assert_eq!((fresh.attempt, stale.attempt), (2, 1));
    assert_eq!(first.end(&[(stale, done())], late).await.unwrap(), 0);
    assert_eq!(second.end(&[(fresh, done())], late).await.unwrap(), 1);
}

#[tokio::test]
async fn what_fails_waits_longer_each_time_and_is_dead_at_last() {
    let (_folder, state, queue) = queue().await;
    put(&state, &[job("1", "a", 0)]).await;
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 0..ATTEMPTS_MAX {
        let claimed = queue.claim(1, now).await.unwrap().remove(0);
        queue.end(&[(claimed, failed())], now).await.unwrap();
        let due = queue.next_due(now).await.unwrap();
        waits.extend(due.map(|due| due - now));
        now = due.unwrap_or(now);
    }
    assert_eq!(waits.len() as i64, ATTEMPTS_MAX - 1);
    assert!(waits.iter().enumerate().all(|(at, wait)| *wait > 0 && *wait <= 1_000_000 << at), "{waits:?}");
    assert_eq!(queue.retry(None, now).await.unwrap(), 1);
    let claimed = queue.claim(1, now).await.unwrap().remove(0);
    assert_eq!((claimed.attempt, claimed.dedupe.as_str()), (1, "a"));
    let asked = Ended::Failed { error: "busy".to_owned(), retry_after: Some(Duration::from_secs(7)) };
    queue.end(&[(claimed, asked)], now).await.unwrap();
    assert_eq!(queue.next_due(now).await.unwrap(), Some(now + 7_000_000));
    queue.cancel("1", now).await.unwrap();
    assert_eq!(queue.cancel("1", now).await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn one_attempt_ends_once_and_a_stale_one_hurts_no_other() {
    let (_folder, state, queue) = queue().await;
    put(&state, &[job("1", "a", 0), job("2", "b", 0), job("3", "c", 0)]).await;
    let claimed = queue.claim(10, 0).await.unwrap();
    let stale = Claimed { attempt: 9, ..claimed[0].clone() };
    let ended = [
        (stale, done()),
        (claimed[1].clone(), failed()),
        (claimed[1].clone(), done()),
        (claimed[2].clone(), done()),
        (claimed[2].clone(), done()),
        (claimed[0].clone(), Ended::Refused { error: "never".to_owned() }),
    ];
    assert_eq!(queue.end(&ended, 1).await.unwrap(), 3);
    let rows = state.fetch("SELECT id, state FROM job ORDER BY id", &[]).await.unwrap();
    let stands: Vec<(String, String)> =
        rows.iter().map(|row| (row.get("id").unwrap(), row.get("state").unwrap())).collect();
    let stands: Vec<_> = stands.iter().map(|(id, state)| (id.as_str(), state.as_str())).collect();
    assert_eq!(stands, [("1", "dead"), ("2", "ready")]);
    assert_eq!([effect(&state, "a").await, effect(&state, "c").await], ["failed", "done"]);
}

#[tokio::test]
async fn a_job_that_cannot_be_read_is_dead_and_keeps_no_other_from_running() {
    let (_folder, state, queue) = queue().await;
    put(&state, &[job("1", "a", 0), job("2", "b", 0)]).await;
    state.execute("UPDATE job SET arguments = '{' WHERE id = '1'", &[]).await.unwrap();
    let claimed = queue.claim(10, 0).await.unwrap();
    assert_eq!(claimed.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["2"]);
    assert!(queue.dead(None).await.unwrap()[0].error.as_ref().unwrap().contains("no JSON"));
}
