//! Jobs being done: places for so many at once. A place hands in how its job ended and gets the next one in the same commit;
//! how a job ended is not forgotten while the database is away.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use engine::Result;
use engine::fault::{Point, reached};
use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{LOOK_EVERY, Runner};
use crate::actions::Outside;
use crate::flow::drive::Driver;
use crate::queue::{Claimed, Crew, Ended, FLOW, Queue, Taken};

/// Jobs that are under way at the same time; their beginnings share a commit, and so do their ends.
const PLACES: usize = 64;
/// Calls of others that run at the same time.
const AT_ONCE: usize = 16;

/// Does the jobs of one place.
#[derive(Debug, Clone)]
struct Hand {
    queue: Queue,
    driver: Driver,
    outside: Arc<dyn Outside>,
    gate: Arc<Semaphore>,
}

impl Hand {
    /// Does one job after the other, for as long as it is polled.
    async fn labour(self, crew: Arc<Crew>) {
        let mut last = None;
        loop {
            match self.queue.turn(last.clone(), &crew).await {
                Ok(taken) => {
                    let job = taken.job.clone();
                    last = self.act(taken).await.map(|ended| (job, ended));
                }
                // What is done must not be done once more: its end is handed in again.
                Err(error) => {
                    if let Some((job, _)) = &last {
                        tracing::warn!(%error, job = job.id, "how a job ended was not written, and is written again");
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Does a job; how its attempt ended, where the job is still there to be ended.
    async fn act(&self, taken: Taken) -> Option<Ended> {
        let Taken { job, begun } = taken;
        let doing = async {
            if job.kind == FLOW {
                return self.driver.drive_on(&job, begun.map(|begun| *begun)).await;
            }
            let _turn = self.gate.acquire().await;
            let ended = self.outside.act(&job).await;
            reached(Point::JobCalled);
            Some(ended)
        };
        match AssertUnwindSafe(doing).catch_unwind().await {
            Ok(ended) => ended,
            Err(_) => {
                tracing::error!(job = job.id, kind = job.kind, "an action panicked, and is tried again");
                Some(Ended::Failed { error: "the program failed while it was done".to_owned(), retry_after: None })
            }
        }
    }
}

impl Runner {
    /// Takes up the jobs that are due, does them, and writes how they ended. Answers how many there were.
    pub async fn work(&self) -> Result<usize> {
        let (hand, places) = (self.hand(), i64::try_from(PLACES).expect("a few places"));
        let claimed = self.queue.claim(places, self.clock.now_us()).await?;
        let (count, hand) = (claimed.len(), &hand);
        let doing = claimed.into_iter().map(|job| async move {
            let ended = hand.act(Taken { job: job.clone(), begun: None }).await;
            ended.map(|ended| (job, ended))
        });
        let ended: Vec<_> = doing.collect::<FuturesUnordered<_>>().filter_map(std::future::ready).collect().await;
        self.write_down(&ended).await;
        Ok(count)
    }

    /// Does jobs for as long as it is polled.
    pub(super) async fn labour(&self) {
        let (hand, crew) = (self.hand(), Arc::new(Crew { clock: Arc::clone(&self.clock), flows: self.flows }));
        let mut places = JoinSet::new();
        loop {
            while places.len() < PLACES {
                places.spawn(hand.clone().labour(Arc::clone(&crew)));
            }
            tokio::select! {
                () = self.wake_work.notified() => self.queue.look().await,
                Some(ended) = places.join_next() => tracing::error!(?ended, "a place for jobs ended, and is filled anew"),
            }
        }
    }

    fn hand(&self) -> Hand {
        let (clock, outside) = (Arc::clone(&self.clock), Arc::clone(&self.outside));
        let driver = Driver::new(self.queue.clone(), clock, self.flows, self.hands.clone(), Arc::clone(&outside));
        let driver = driver.with_trace(Arc::clone(&self.trace));
        Hand { queue: self.queue.clone(), driver, outside, gate: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Writes how jobs ended, again while the database is away: what is done must not be done once more.
    async fn write_down(&self, ended: &[(Claimed, Ended)]) {
        while !ended.is_empty() {
            match self.queue.end(ended, self.clock.now_us()).await {
                Ok(written) if written < ended.len() => {
                    let lost = ended.len() - written;
                    tracing::warn!(lost, "results came after their leases had ended, and count no more");
                    return;
                }
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, jobs = ended.len(), "how jobs ended was not written, and is written again");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }
}
