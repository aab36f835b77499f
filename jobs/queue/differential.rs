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
        if number.is_multiple_of(2) {
            self.queue.add(job).await.unwrap();
            return;
        }
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

/// What a group is made of: ends of what is held, new jobs, then a claim.
struct Round {
    ended: Vec<(Claimed, Ended)>,
    jobs: Vec<NewJob>,
    count: i64,
    now: i64,
}

impl Round {
    fn draw(number: u64, held: &[Claimed], dice: &mut Dice, now: i64) -> Round {
        let ended = held.iter().map(|job| {
            let outcome = match dice.roll(4) {
                0 => Ended::Failed { error: "no".to_owned(), retry_after: None },
                1 => Ended::Refused { error: "never".to_owned() },
                _ => Ended::Done { target: "t".to_owned(), response: "200".to_owned() },
            };
            // Some are stale.
            (Claimed { attempt: job.attempt + i64::from(dice.roll(8) == 0), ..job.clone() }, outcome)
        });
        let ended = ended.collect();
        let jobs = (0..dice.roll(90)).map(|at| NewJob {
            id: format!("job-{number:03}-{at:02}"),
            kind: KINDS[usize::try_from(dice.roll(3)).unwrap()].to_owned(),
            arguments: json!({ "at": at }),
            dedupe: format!("name-{}", dice.roll(300)),
            cause: "a test".to_owned(),
            run_us: now + i64::try_from(dice.roll(2)).unwrap() * 500_000,
            created_us: now,
            terms: Terms { priority: i64::try_from(dice.roll(3)).unwrap(), ..Terms::default() },
        });
        Round { jobs: jobs.collect(), ended, count: i64::try_from(dice.roll(40)).unwrap(), now }
    }

    /// One transaction for everything.
    async fn together(&self, side: &Side) -> (usize, Vec<bool>, Vec<Claimed>) {
        let mut wishes = vec![Wish::End(self.ended.clone(), self.now, oneshot::channel().0)];
        wishes.extend(self.jobs.iter().map(|job| Wish::Insert(Box::new(job.clone()), oneshot::channel().0)));
        wishes.push(Wish::Claim(self.count, self.now, oneshot::channel().0));
        let mut done =
            group::write(&side.state, "one", &mut wishes, 0, None).await.map_err(|failed| failed.error).unwrap();
        (done.ended.iter().filter(|counts| **counts).count(), done.made, done.claimed.remove(0))
    }

    /// A transaction for each.
    async fn one_by_one(&self, side: &Side) -> (usize, Vec<bool>, Vec<Claimed>) {
        let (mut ended, mut made) = (0, Vec::new());
        for one in &self.ended {
            ended += side.queue.end(std::slice::from_ref(one), self.now).await.unwrap();
        }
        for job in &self.jobs {
            made.push(side.queue.add(job.clone()).await.unwrap());
        }
        (ended, made, side.queue.claim(self.count, self.now).await.unwrap())
    }
}

async fn a_group_is_its_wishes_one_by_one(one: &mut Side, other: &mut Side) {
    for seed in 0..3 {
        one.clear().await;
        other.clear().await;
        let mut dice = Dice(1_000 + seed, 0);
        for number in 0..8 {
            one.now += 700_000;
            let round = Round::draw(number, &one.held, &mut dice, one.now);
            let (here, there) = (round.together(one).await, round.one_by_one(other).await);
            assert_eq!(here, there, "seed {seed}, round {number}");
            assert_eq!(one.dump().await, other.dump().await, "seed {seed}, round {number}");
            one.held = here.2;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_on_sqlite_is_its_wishes_one_by_one() {
    let ((_data, here), (_more, there)) = (databases::sqlite().await, databases::sqlite().await);
    a_group_is_its_wishes_one_by_one(&mut Side::new(here), &mut Side::new(there)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_on_postgres_is_its_wishes_one_by_one_on_sqlite() {
    let Some(server) = databases::Postgres::start("the differential of groups") else { return };
    let (postgres, (_data, sqlite)) = (server.open().await, databases::sqlite().await);
    a_group_is_its_wishes_one_by_one(&mut Side::new(Arc::clone(&postgres)), &mut Side::new(sqlite)).await;
    postgres.close().await;
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
