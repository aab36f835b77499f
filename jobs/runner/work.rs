//! Jobs being done: places for so many at once, filled as they become free. How jobs ended is written together, and is not
//! forgotten while the database is away.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use engine::Result;
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinError, JoinSet};

use super::{LOOK_EVERY, Runner, pause};
use crate::flow::drive::Driver;
use crate::queue::{Claimed, Ended, FLOW};

/// Jobs that are taken up together; their claims share a commit, and so do their ends.
const BATCH: usize = 64;
/// Calls of others that run at the same time.
const AT_ONCE: usize = 16;
/// Places that are free before more jobs are taken up: a claim for each would be a commit for each.
const FREE_MIN: usize = 16;

/// Jobs that are being done.
struct Places {
    tasks: JoinSet<(Claimed, Option<Ended>)>,
    /// What each task does, should it panic.
    jobs: HashMap<Id, Claimed>,
    gate: Arc<Semaphore>,
}

impl Places {
    fn new() -> Self {
        Places { tasks: JoinSet::new(), jobs: HashMap::new(), gate: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// A task that came to its end: the job, and how its attempt ended where the job is still there to be ended.
    fn ended(
        &mut self,
        done: std::result::Result<(Id, (Claimed, Option<Ended>)), JoinError>,
    ) -> Option<(Claimed, Ended)> {
        match done {
            Ok((id, (job, ended))) => {
                self.jobs.remove(&id);
                ended.map(|ended| (job, ended))
            }
            Err(panic) => {
                tracing::error!(%panic, "an action panicked, and is tried again");
                let job = self.jobs.remove(&panic.id())?;
                Some((
                    job,
                    Ended::Failed { error: "the program failed while it was done".to_owned(), retry_after: None },
                ))
            }
        }
    }
}

impl Runner {
    /// Takes up the jobs that are due, does them, and writes how they ended. Answers how many there were.
    pub async fn work(&self) -> Result<usize> {
        let mut places = Places::new();
        let count = self.take_up(&mut places).await?;
        let mut ended = Vec::with_capacity(count);
        while let Some(done) = places.tasks.join_next_with_id().await {
            ended.extend(places.ended(done));
        }
        self.write_down(&ended).await;
        Ok(count)
    }

    /// Does jobs for as long as it is polled.
    pub(super) async fn labour(&self) {
        let mut places = Places::new();
        let mut wait = Duration::ZERO;
        loop {
            let free = BATCH - places.tasks.len();
            if wait.is_zero() && (free >= FREE_MIN || places.tasks.is_empty()) {
                wait = match self.look(&mut places).await {
                    Ok(wait) => wait,
                    Err(error) => {
                        tracing::warn!(%error, "jobs stood still for a moment");
                        LOOK_EVERY
                    }
                };
            }
            tokio::select! {
                Some(done) = places.tasks.join_next_with_id(), if !places.tasks.is_empty() => {
                    let mut ended: Vec<_> = places.ended(done).into_iter().collect();
                    while let Some(done) = places.tasks.try_join_next_with_id() {
                        ended.extend(places.ended(done));
                    }
                    self.write_down(&ended).await;
                    wait = Duration::ZERO;
                }
                () = tokio::time::sleep(wait), if !wait.is_zero() => wait = Duration::ZERO,
                () = self.wake_work.notified() => wait = Duration::ZERO,
            }
        }
    }

    /// Takes up what is due, and says how long nothing more will be.
    async fn look(&self, places: &mut Places) -> Result<Duration> {
        if self.take_up(places).await? > 0 {
            // There may be more; it is looked for with the next place that becomes free.
            return Ok(LOOK_EVERY);
        }
        let now = self.clock.now_us();
        Ok(pause(self.queue.next_due(now).await?, now))
    }

    async fn take_up(&self, places: &mut Places) -> Result<usize> {
        let free = BATCH - places.tasks.len();
        let claimed = self.queue.claim(i64::try_from(free).expect("a few places"), self.clock.now_us()).await?;
        let count = claimed.len();
        for job in claimed {
            let task = match job.kind == FLOW {
                true => {
                    let (driver, job) = (self.driver(), job.clone());
                    places.tasks.spawn(async move {
                        let ended = driver.drive(&job).await;
                        (job, ended)
                    })
                }
                false => {
                    let (gate, outside, job) = (Arc::clone(&places.gate), Arc::clone(&self.outside), job.clone());
                    places.tasks.spawn(async move {
                        let _turn = gate.acquire_owned().await;
                        let ended = outside.act(&job).await;
                        (job, Some(ended))
                    })
                }
            };
            places.jobs.insert(task.id(), job);
        }
        Ok(count)
    }

    fn driver(&self) -> Driver {
        let state = Arc::clone(self.store.state());
        let (clock, outside) = (Arc::clone(&self.clock), Arc::clone(&self.outside));
        Driver::new(state, clock, self.flows, self.hands.clone(), outside).with_trace(Arc::clone(&self.trace))
    }

    /// Writes how jobs ended, again while the database is away: what is done must not be done once more.
    async fn write_down(&self, ended: &[(Claimed, Ended)]) {
        if ended.is_empty() {
            return;
        }
        loop {
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
