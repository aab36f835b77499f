//! The process's own periodic sweeps. The scheduler only beats time: what is due is decided by the sweep from what it
//! finds, so a beat that is missed, late or repeated changes nothing.

mod beat;

use std::sync::Arc;
use std::time::Duration;

use engine::{Error, Kind, Result, Store};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use beat::Beat;

pub use beat::{BACKOFF_MAX, Count, Sweep};

/// The running sweeps. They run until [`Sweeps::stop`].
pub struct Sweeps {
    scheduler: JobScheduler,
    beats: Vec<Arc<Beat>>,
}

impl Sweeps {
    /// Starts the sweeps of a store: its tables are maintained, by whichever process holds the lease that the store asks
    /// for. (Due tails are flushed by the store itself: durability does not hang on a scheduler.)
    pub async fn start(store: Arc<Store>, maintain_every: Duration) -> Result<Sweeps> {
        let maintain = move || {
            let store = Arc::clone(&store);
            async move { store.maintain().await }
        };
        Sweeps::run(vec![Sweep::new("maintain", maintain_every, maintain)]).await
    }

    /// Starts any sweeps.
    pub async fn run(sweeps: Vec<Sweep>) -> Result<Sweeps> {
        let scheduler = JobScheduler::new().await.map_err(|e| broken(&e))?;
        let beats: Vec<Arc<Beat>> = sweeps.into_iter().map(|sweep| Arc::new(Beat::new(sweep))).collect();
        for beat in &beats {
            // The scheduler's tasks outlive it and would keep what they own; they own nothing.
            let (every, beat) = (beat.every(), Arc::downgrade(beat));
            let job = Job::new_repeated_async(every, move |_, _| {
                let beat = beat.upgrade();
                Box::pin(async move {
                    if let Some(beat) = beat {
                        beat.once().await;
                    }
                })
            });
            scheduler.add(job.map_err(|e| broken(&e))?).await.map_err(|e| broken(&e))?;
        }
        scheduler.start().await.map_err(|e| broken(&e))?;
        Ok(Sweeps { scheduler, beats })
    }

    /// What each sweep did so far, for metrics.
    pub fn counts(&self) -> Vec<Count> {
        self.beats.iter().map(|beat| beat.count()).collect()
    }

    /// Begins no further sweep, and waits for those that run.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the scheduler did not stop; its beats find nothing to do");
        }
        for beat in &self.beats {
            beat.stop().await;
        }
    }
}

fn broken(cause: &JobSchedulerError) -> Error {
    Error::new(Kind::Internal, format!("start the sweeps: {cause}"))
}

#[cfg(test)]
mod tests;
