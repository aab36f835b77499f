//! The same operations, drawn from a seed, on SQLite and on PostgreSQL: after each of them the rows are the same. What two
//! databases do alike is what the SQL says, and not what one of them happens to do.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use engine::State as Database;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::databases;

const SEEDS: u64 = 6;
const OPERATIONS: u64 = 60;
const KINDS: [&str; 3] = ["notify", "http", "flow"];

/// Dice that are the same everywhere.
struct Dice(u64, u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.1 += 1;
        let hash = Sha256::digest(format!("{}/{}", self.0, self.1).as_bytes());
        u64::from_be_bytes(hash[..8].try_into().unwrap()) % below
    }
}

/// One database with a process over it.
struct Side {
    state: Arc<Database>,
    queue: Queue,
    held: Vec<Claimed>,
    now: i64,
}

impl Side {
    fn new(state: Arc<Database>) -> Side {
        let queue = Queue::new(Arc::clone(&state), "one");
        Side { state, queue, held: Vec::new(), now: 1_000_000 }
    }

    async fn put(&self, number: u64, dice: &mut Dice) {
        let kind = KINDS[usize::try_from(dice.roll(3)).unwrap()];
        let tenant = (dice.roll(2) == 0).then(|| "acme".to_owned());
        let job = NewJob {
            id: format!("job-{number:03}"),
            kind: kind.to_owned(),
            arguments: json!({ "n": number }),
            // Some names come twice.
            dedupe: format!("name-{}", dice.roll(40)),
            cause: "a test".to_owned(),
            run_us: self.now + i64::try_from(dice.roll(3)).unwrap() * 500_000,
            created_us: self.now,
            terms: Terms { priority: i64::try_from(dice.roll(3)).unwrap(), tenant, ..Terms::default() },
        };
        let mut open = self.state.transaction().await.unwrap();
        insert(&mut open, &job).await.unwrap();
        open.commit().await.unwrap();
    }

    /// One operation; what it answered, as text.
    async fn operate(&mut self, number: u64, dice: &mut Dice) -> String {
        self.now += i64::try_from(dice.roll(3)).unwrap() * 400_000;
        let (now, queue) = (self.now, self.queue.clone());
        match dice.roll(12) {
            0..=3 => {
                self.put(number, dice).await;
                String::new()
            }
            4..=6 => {
                let claimed = queue.claim(i64::try_from(1 + dice.roll(4)).unwrap(), now).await.unwrap();
                let ids: Vec<String> = claimed.iter().map(|job| format!("{}#{}", job.id, job.attempt)).collect();
                self.held.extend(claimed);
                ids.join(" ")
            }
            7 | 8 => {
                let held = std::mem::take(&mut self.held);
                let mut ended = Vec::new();
                for job in held {
                    let outcome = match dice.roll(4) {
                        0 => Ended::Failed { error: "no".to_owned(), retry_after: None },
                        1 => Ended::Refused { error: "never".to_owned() },
                        _ => Ended::Done { target: "t".to_owned(), response: "200".to_owned() },
                    };
                    ended.push((job, outcome));
                }
                queue.end(&ended, now).await.unwrap().to_string()
            }
            9 => {
                // Another process takes over; what this one holds is stale.
                let other = Queue::new(Arc::clone(&self.state), "two");
                other.reclaim(now, true).await.unwrap().to_string()
            }
            10 => queue.replay(&Which::All, now).await.unwrap().to_string(),
            _ => {
                let rate = (dice.roll(2) == 0).then_some((2, Duration::from_secs(3)));
                let limit = Limit { kind: Some("http".to_owned()), tenant: None, rate };
                queue.limit(&limit, now).await.unwrap();
                queue.hold(None, Some("acme"), dice.roll(4) == 0, now).await.unwrap();
                format!("{:?}", queue.next_due(now).await.unwrap())
            }
        }
    }

    /// Every row, in an order of its own.
    async fn dump(&self) -> String {
        let mut text = String::new();
        for (sql, columns) in [
            (
                "SELECT id, state, kind, dedupe, error, attempt, priority, run_at FROM job ORDER BY id",
                (&["id", "state", "kind", "dedupe", "error"][..], &["attempt", "priority", "run_at"][..]),
            ),
            (
                "SELECT id, state, dedupe, attempt, ended_at FROM job_done ORDER BY id",
                (&["id", "state", "dedupe"][..], &["attempt", "ended_at"][..]),
            ),
            (
                "SELECT dedupe, job, state, class, target, response, attempt, at FROM effect ORDER BY dedupe",
                (&["dedupe", "job", "state", "class", "target", "response"][..], &["attempt", "at"][..]),
            ),
            (
                "SELECT kind, tenant, interval_us, free_at FROM job_limit ORDER BY kind, tenant",
                (&["kind", "tenant"][..], &["interval_us", "free_at"][..]),
            ),
        ] {
            for row in self.state.fetch(sql, &[]).await.unwrap() {
                for name in columns.0 {
                    write!(text, "{name}={:?} ", row.get::<Option<String>>(name).unwrap()).unwrap();
                }
                for name in columns.1 {
                    write!(text, "{name}={:?} ", row.get::<Option<i64>>(name).unwrap()).unwrap();
                }
                text.push('\n');
            }
        }
        text
    }

    async fn clear(&mut self) {
        for sql in ["DELETE FROM job", "DELETE FROM job_done", "DELETE FROM effect", "DELETE FROM job_limit"] {
            self.state.execute(sql, &[]).await.unwrap();
        }
        (self.held, self.now) = (Vec::new(), 1_000_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_databases_do_the_same() {
    let Some(server) = databases::Postgres::start("the differential of queues") else { return };
    let (_data, sqlite) = databases::sqlite().await;
    let postgres = server.open().await;
    let (mut one, mut other) = (Side::new(sqlite), Side::new(Arc::clone(&postgres)));
    for seed in 0..SEEDS {
        one.clear().await;
        other.clear().await;
        let (mut dice, mut same) = (Dice(seed, 0), Dice(seed, 0));
        for number in 0..OPERATIONS {
            let said = (one.operate(number, &mut dice).await, other.operate(number, &mut same).await);
            assert_eq!(said.0, said.1, "seed {seed}, operation {number}");
            assert_eq!(one.dump().await, other.dump().await, "seed {seed}, operation {number}");
        }
    }
    postgres.close().await;
}
